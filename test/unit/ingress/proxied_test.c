/* SPDX-License-Identifier: ISC */
/* proxied_test - the PROXY header is taken from a socket, and not one byte behind it. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "cmd/relay/ingress/proxied.h"
#include "lib/net/proxy_hdr.h"
#include "lib/net/sockopt.h"
#include "test/unit/sockpair.h"

#define LINE "PROXY TCP4 198.51.100.7 203.0.113.9 40000 443\r\n"

static int fd[2];
static struct addr from, to;
/* Bytes that wait to be read. */
static int unread;

static int
setup(void **state)
{
	(void)state;
	unread = 0;
	sockpair_tcp(fd, true);
	return addr_literal("192.0.2.1", 1, &from) && addr_literal("192.0.2.2", 2, &to) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static void
says(const void *p, size_t n)
{
	int here = 0;

	unread += (int)n;
	assert_int_equal(write(fd[0], p, n), n);
	for (int i = 0; i < 10000 && here < unread; i++) {
		poll(NULL, 0, i > 0);
		assert_int_equal(ioctl(fd[1], FIONREAD, &here), 0);
	}
	assert_int_equal(here, unread);
}

static void
assert_from(const char *a, const char *b)
{
	char text[ADDR_TEXT];

	assert_string_equal(addr_text(&from, text), a);
	assert_string_equal(addr_text(&to, text), b);
}

static int
reads(struct errtext *why)
{
	return proxied_read(fd[1], &from, &to, why);
}

static void
a_header_is_taken_and_what_follows_is_left(void **state)
{
	struct errtext why;
	char rest[8] = "";

	(void)state;
	says(LINE "GET", strlen(LINE "GET"));
	assert_int_equal(reads(&why), 0);
	assert_from("198.51.100.7:40000", "203.0.113.9:443");
	assert_int_equal(read(fd[1], rest, sizeof rest), 3);
	assert_string_equal(rest, "GET");
}

static void
a_header_in_part_is_left_where_it_is(void **state)
{
	struct errtext why;

	(void)state;
	assert_int_equal(reads(&why), ERR_AGAIN);
	for (size_t i = 0; i + 1 < strlen(LINE); i++) {
		says(&LINE[i], 1);
		assert_int_equal(reads(&why), ERR_AGAIN);
	}
	assert_from("192.0.2.1:1", "192.0.2.2:2");
	says("\n", 1);
	assert_int_equal(reads(&why), 0);
	assert_from("198.51.100.7:40000", "203.0.113.9:443");
}

static void
a_proxy_that_stands_for_itself_is_who_it_is(void **state)
{
	/* Version 2, LOCAL, nothing behind it. */
	static const uint8_t local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
	struct errtext why;
	char rest;

	(void)state;
	says(local, 16);
	assert_int_equal(reads(&why), 0);
	assert_from("192.0.2.1:1", "192.0.2.2:2");
	assert_int_equal(read(fd[1], &rest, 1), -1);
}

static void
the_longest_header_is_taken_whole(void **state)
{
	uint8_t h[PROXY_HDR_MAX_V2 + 1] = "\r\n\r\n\0\r\nQUIT\n\x20";
	struct errtext why;
	char rest[8] = "";

	(void)state;
	h[14] = (PROXY_HDR_MAX_V2 - 16) >> 8;
	h[15] = (PROXY_HDR_MAX_V2 - 16) & 0xff;
	h[PROXY_HDR_MAX_V2] = 'x';
	says(h, sizeof h);
	assert_int_equal(reads(&why), 0);
	assert_int_equal(read(fd[1], rest, sizeof rest), 1);
	assert_string_equal(rest, "x");
}

static void
what_is_no_header_is_refused(void **state)
{
	struct errtext why;

	(void)state;
	says("GET / HTTP/1.1\r\n", 16);
	assert_int_equal(reads(&why), ERR_PROTO);
	assert_from("192.0.2.1:1", "192.0.2.2:2");
}

static void
an_end_without_a_header_is_told(void **state)
{
	struct errtext why;

	(void)state;
	shutdown(fd[0], SHUT_WR);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd[1], .events = POLLIN }, 1, 10000), 1);
	assert_int_equal(reads(&why), ERR_CLOSED);
	assert_non_null(strstr(why.s, "ended before its PROXY header"));
}

static void
a_reset_is_told(void **state)
{
	struct errtext why;

	(void)state;
	sockopt_reset(fd[0], true);
	close(fd[0]);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd[1], .events = POLLIN }, 1, 10000), 1);
	assert_int_equal(reads(&why), ERR_CLOSED);
	fd[0] = dup(0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_header_is_taken_and_what_follows_is_left),
		T(a_header_in_part_is_left_where_it_is),
		T(a_proxy_that_stands_for_itself_is_who_it_is),
		T(the_longest_header_is_taken_whole),
		T(what_is_no_header_is_refused),
		T(an_end_without_a_header_is_told),
		T(a_reset_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
