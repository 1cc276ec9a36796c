/* SPDX-License-Identifier: ISC */
/*
 * xff_fuzz - X-Forwarded-For: the input is the members that a client may have written.
 *
 * Whatever they are, an address that our proxy appended is the answer, members of our own proxies
 * change nothing, and the answer is not trusted unless there is nothing better.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/http/xff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIST_MAX = 2000 };

static struct addr_net trusted[2];
static struct addr proxy;

/* The answer for a list with something on its right; false if the list is no value of a header. */
static bool
ask(const char *list, const char *right, char out[ADDR_TEXT])
{
	static char text[LIST_MAX + 200];
	struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);
	struct addr a;
	bool good;
	int n = snprintf(text, sizeof text,
	    "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %s%s\r\n\r\n", list, right);

	assert(h != NULL && n > 0 && (size_t)n < sizeof text);
	good = http_head_feed(h, text, (size_t)n, NULL) == n && http_head_is_done(h);
	if (good) {
		xff_client(h, &proxy, trusted, 2, &a);
		addr_text(&a, out);
		assert(a.u.sa.sa_family == AF_INET || a.u.sa.sa_family == AF_INET6);
	}
	http_head_free(h);
	return good;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char list[LIST_MAX + 1], out[ADDR_TEXT], again[ADDR_TEXT];

	assert(addr_net_parse("10.0.0.0/8", &trusted[0]) == 0);
	assert(addr_net_parse("2001:db8::/32", &trusted[1]) == 0);
	assert(addr_literal("10.0.0.1", 5, &proxy));
	if (size > LIST_MAX)
		return 0;
	memcpy(list, data, size);
	list[size] = '\0';
	if (strlen(list) != size || strpbrk(list, "\r\n") != NULL || !ask(list, "", out))
		return 0;
	assert(ask(list, ", 192.0.2.7", again) && strcmp(again, "192.0.2.7:0") == 0);
	assert(
	    ask(list, "\r\nX-Forwarded-For:192.0.2.7", again) && strcmp(again, "192.0.2.7:0") == 0);
	assert(ask(list, ", 192.0.2.7,,10.9.9.9 , [2001:db8::7]:1", again));
	assert(strcmp(again, "192.0.2.7:0") == 0);
	/* Nothing but our own proxies, and then what cannot be read: the last of them. */
	assert(ask(list, ", nobody, 10.9.9.9", again) && strcmp(again, "10.9.9.9:0") == 0);
	/* What was the answer is it behind one more of ours, unless it was that one. */
	assert(ask(list, "\r\nX-Forwarded-For: 10.9.9.9", again));
	assert(strcmp(again, out) == 0 || strcmp(again, "10.9.9.9:0") == 0);
	return 0;
}
