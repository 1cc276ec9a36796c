/* SPDX-License-Identifier: ISC */
/*
 * listen_on - a listener for a test, which fails if there can be none.
 *
 * Header only; after cmocka.h.
 */
#ifndef TEST_UNIT_LISTEN_ON_H
#define TEST_UNIT_LISTEN_ON_H

#include "lib/net/listen.h"

/* The descriptor; *a is where it listens. */
static inline int
listen_on(const char *spec, struct addr *a)
{
	struct errtext e;
	int fd = -1;

	if (listen_open(spec, &fd, &e) != 0)
		fail_msg("%s: %s", spec, e.s);
	assert_int_equal(addr_local(fd, a), 0);
	return fd;
}

#endif
