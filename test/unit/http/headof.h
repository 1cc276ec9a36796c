/* SPDX-License-Identifier: ISC */
/* headof - a head from its text, for tests.  Header only; after cmocka.h. */
#ifndef TEST_UNIT_HTTP_HEADOF_H
#define TEST_UNIT_HTTP_HEADOF_H

#include <string.h>

#include "lib/http/http.h"

/* headof - the caller frees it. */
static inline struct http_head *
headof(enum http_kind kind, const char *text)
{
	struct http_head *h = http_head_new(kind);
	struct errtext e;

	assert_non_null(h);
	errtext_clear(&e);
	if (http_head_feed(h, text, strlen(text), &e) != (ssize_t)strlen(text) ||
	    !http_head_is_done(h))
		fail_msg("no head: %s (%s)", text, e.s);
	return h;
}

#endif
