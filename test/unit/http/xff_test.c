/* SPDX-License-Identifier: ISC */
/* xff_test - whom trusted proxies speak for, and that nobody else can speak for anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/http/xff.h"

static const char *const nets[] = { "10.0.0.0/8", "2001:db8::/32" };

/* The answer for a request from peer with these header lines, n of the networks trusted. */
static const char *
client(const char *peer, size_t n, const char *lines)
{
	static char text[ADDR_TEXT];
	struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);
	struct addr_net trusted[2];
	struct addr from, out;
	char head[1024];
	int len = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", lines);

	assert_true(len > 0 && (size_t)len < sizeof head);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(addr_net_parse(nets[i], &trusted[i]), 0);
	assert_int_equal(addr_parse(peer, &from, NULL), 0);
	assert_int_equal(http_head_feed(h, head, (size_t)len, NULL), len);
	assert_true(http_head_is_done(h));
	xff_client(h, &from, trusted, n, &out);
	http_head_free(h);
	return addr_text(&out, text);
}

#define XFF "X-Forwarded-For: "

static void
a_peer_that_is_not_trusted_speaks_for_itself(void **state)
{
	(void)state;
	assert_string_equal(client("192.0.2.1:5", 2, XFF "203.0.113.9\r\n"), "192.0.2.1:5");
	assert_string_equal(client("10.0.0.1:5", 0, XFF "203.0.113.9\r\n"), "10.0.0.1:5");
	assert_string_equal(client("[2001:db8::1]:5", 1, XFF "203.0.113.9\r\n"), "[2001:db8::1]:5");
	assert_string_equal(client("unix:/x", 0, XFF "203.0.113.9\r\n"), "unix:/x");
}

static void
the_walk_goes_from_the_right_and_ends_at_the_first_stranger(void **state)
{
	static const struct {
		const char *lines, *client;
	} t[] = {
		{ "", "10.0.0.1:5" },
		{ XFF "\r\n", "10.0.0.1:5" },
		{ XFF "203.0.113.9\r\n", "203.0.113.9:0" },
		{ XFF "198.51.100.1, 203.0.113.9\r\n", "203.0.113.9:0" },
		{ XFF "203.0.113.9, 10.2.2.2\r\n", "203.0.113.9:0" },
		{ XFF "203.0.113.9 ,\t10.2.2.2 , 2001:db8::5\r\n", "203.0.113.9:0" },
		{ XFF "203.0.113.9,,10.2.2.2,\r\n", "203.0.113.9:0" },
		{ XFF "203.0.113.9\r\nX-Other: 1.1.1.1\r\nx-forwarded-for: 10.2.2.2\r\n",
		    "203.0.113.9:0" },
		{ XFF "198.51.100.1\r\n" XFF "203.0.113.9\r\n", "203.0.113.9:0" },
		{ XFF "10.3.3.3, 10.2.2.2\r\n", "10.3.3.3:0" },
		{ XFF "203.0.113.9:4711\r\n", "203.0.113.9:4711" },
		{ XFF "[2001:db9::1]:4711, [2001:db8::1]\r\n", "[2001:db9::1]:4711" },
		{ XFF "2001:db9::1\r\n", "[2001:db9::1]:0" },
		{ XFF "::ffff:203.0.113.9, ::ffff:10.2.2.2\r\n", "203.0.113.9:0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
		assert_string_equal(client("10.0.0.1:5", 2, t[i].lines), t[i].client);
	assert_string_equal(client("unix:/x", 1, XFF "203.0.113.9\r\n"), "203.0.113.9:0");
}

static void
what_is_no_address_ends_the_walk(void **state)
{
	static const char *const bad[] = { "unknown", "localhost", "_hidden", "1.2.3", "1.2.3.4.5",
		"203.0.113.9:", "203.0.113.9:0", "203.0.113.9:65536", "[203.0.113.9]", "[::1",
		"::1]", "fe80::1%eth0", "203.0.113.9 203.0.113.8", "\"203.0.113.9\"",
		"for=203.0.113.9",
		"00000000000000000000000000000000000000000000000000000000000000001" };
	char lines[256];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(lines, sizeof lines, XFF "203.0.113.9, %s, 10.2.2.2\r\n", bad[i]);
		assert_string_equal(client("10.0.0.1:5", 2, lines), "10.2.2.2:0");
		snprintf(lines, sizeof lines, XFF "203.0.113.9, %s\r\n", bad[i]);
		assert_string_equal(client("10.0.0.1:5", 2, lines), "10.0.0.1:5");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_that_is_not_trusted_speaks_for_itself),
		cmocka_unit_test(the_walk_goes_from_the_right_and_ends_at_the_first_stranger),
		cmocka_unit_test(what_is_no_address_ends_the_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
