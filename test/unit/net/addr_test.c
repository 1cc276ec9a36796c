/* SPDX-License-Identifier: ISC */
/* addr_test - addresses as text and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/addr.h"

static void
addresses_are_written_as_they_are_read(void **state)
{
	static const struct {
		const char *in, *out, *host;
		uint16_t port;
		bool loopback;
	} cases[] = {
		{ "127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", 80, true },
		{ "127.9.9.9:1", "127.9.9.9:1", "127.9.9.9", 1, true },
		{ "192.0.2.1:65535", "192.0.2.1:65535", "192.0.2.1", 65535, false },
		{ "[::1]:443", "[::1]:443", "::1", 443, true },
		{ "[2001:db8::1]:0", "[2001:db8::1]:0", "2001:db8::1", 0, false },
		{ "[::ffff:127.0.0.1]:5", "127.0.0.1:5", "127.0.0.1", 5, true },
		{ "[::ffff:192.0.2.1]:5", "192.0.2.1:5", "192.0.2.1", 5, false },
		{ ":80", "[::]:80", "::", 80, false },
		{ "localhost:80", "127.0.0.1:80", "127.0.0.1", 80, true },
		{ "unix:/run/x.sock", "unix:/run/x.sock", "unix", 0, true },
	};
	char text[ADDR_TEXT];
	struct addr a;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(addr_parse(cases[i].in, &a, &e), 0);
		assert_string_equal(addr_text(&a, text), cases[i].out);
		assert_string_equal(addr_host(&a, text), cases[i].host);
		assert_int_equal(addr_port(&a), cases[i].port);
		assert_int_equal(addr_is_loopback(&a), cases[i].loopback);
	}
}

static void
wrong_addresses_are_refused_with_a_text(void **state)
{
	static const char *const cases[] = { "", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
		"127.0.0.1:x", "::1:80", "[::1]", "[::1:80", "example.com:80", "256.0.0.1:80",
		"unix:", "[fe80::1%nosuchif]:80" };
	char lengthy[200];
	struct addr a;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		errtext_clear(&e);
		if (addr_parse(cases[i], &a, &e) != ERR_INVALID)
			fail_msg("%s", cases[i]);
		assert_true(e.s[0] != 0);
	}
	snprintf(lengthy, sizeof lengthy, "unix:/%0150d", 1);
	assert_int_equal(addr_parse(lengthy, &a, NULL), ERR_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_as_they_are_read),
		cmocka_unit_test(wrong_addresses_are_refused_with_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
