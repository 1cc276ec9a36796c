/* SPDX-License-Identifier: ISC */
/* dialer_env - whom the environment's NO_PROXY exempts, and which headers may be added. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cmd/common/dialer.h"
#include "lib/base/mem.h"

static void
no_proxy_exempts_names_addresses_and_ports(void **state)
{
	static const struct {
		const char *list, *host;
		uint16_t port;
		bool proxied;
	} cases[] = {
		{ "", "a.example", 80, true },
		{ "*", "a.example", 80, false },
		{ "a.example", "a.example", 80, false },
		{ "A.Example", "a.eXample", 80, false },
		{ ".example", "a.example", 80, false },
		{ "example", "a.example", 80, false },
		{ "ample", "a.example", 80, true },
		{ "x, b.example ,a.example", "a.example", 80, false },
		{ "a.example:80", "a.example", 80, false },
		{ "a.example:81", "a.example", 80, true },
		{ "192.0.2.1", "192.0.2.1", 80, false },
		{ "192.0.2.1:80,x", "192.0.2.1", 80, false },
		{ "2001:db8::1", "2001:db8::1", 80, false },
		{ "[2001:db8::1]", "2001:db8::1", 80, false },
		{ "[2001:db8::1]:80", "2001:db8::1", 80, false },
		{ "[2001:db8::1]:81", "2001:db8::1", 80, true },
		{ ":80,[],::,:", "a.example", 80, true },
		{ "x,10.0.0.0/8,y", "10.1.2.3", 80, false },
		{ "10.0.0.0/8", "11.1.2.3", 80, true },
		{ "10.0.0.0/8", "10.example", 80, true },
		{ "2001:db8::/32", "2001:db8:1::1", 80, false },
		{ "2001:db8::/32", "2001:db9::1", 80, true },
		{ "10.0.0.0/33,10.0.0.0/,/8,::/x", "10.1.2.3", 80, true },
		/* This machine is never reached through a proxy. */
		{ "", "localhost", 80, false },
		{ "", "127.0.0.1", 80, false },
		{ "", "::1", 80, false },
	};
	struct errtext why = { "" };

	(void)state;
	setenv("HTTP_PROXY", "http://proxy.example:3128", 1);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct dialer_target t = { .url.at.port = cases[i].port };

		strcpy(t.url.at.host, cases[i].host);
		setenv("NO_PROXY", cases[i].list, 1);
		assert_int_equal(dialer_proxy(&t, NULL, &why), 0);
		if (t.has_proxy != cases[i].proxied)
			fail_msg(
			    "NO_PROXY=%s and %s:%u", cases[i].list, cases[i].host, cases[i].port);
	}
}

static int
check_one(char *line, struct errtext *why)
{
	struct opt_list l = { .v = &line, .n = 1 };

	return dialer_check_headers(&l, why);
}

static void
headers_cannot_smuggle(void **state)
{
	static char *const bad[] = { "", "X", ": v", "A B: c", "X: a\r\nY: b", "X: a\nb", "X\r: a",
		"Host: x", "upgrade: x", "Sec-WebSocket-Key: x", "X: \x01" };
	static char lengthy[DIALER_HEADERS_MAX + 2];
	struct errtext why = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(check_one(bad[i], &why), ERR_INVALID);
	assert_int_equal(check_one("Authorization: Basic eDp5", &why), 0);
	assert_int_equal(check_one("X-Empty:", &why), 0);
	/* What no server would take is refused before the first dial. */
	memset(lengthy, 'a', sizeof lengthy);
	memcpy(lengthy, "X: ", 3);
	lengthy[sizeof lengthy - 1] = 0;
	assert_int_equal(check_one(lengthy, &why), ERR_INVALID);
	assert_non_null(strstr(why.s, "--header"));
	lengthy[DIALER_HEADERS_MAX] = 0;
	assert_int_equal(check_one(lengthy, &why), 0);
}

static void
the_operator_may_say_that_there_is_no_proxy(void **state)
{
	static const char *const none[] = { "none", "" };
	struct dialer_target t = { .url.at.port = 80 };
	struct errtext why = { "" };

	(void)state;
	strcpy(t.url.at.host, "a.example");
	unsetenv("HTTP_PROXY");
	unsetenv("NO_PROXY");
	setenv("ALL_PROXY", "socks5h://127.0.0.1:1080", 1);
	/* What we cannot speak is not passed over in silence; the way out is told. */
	assert_int_equal(dialer_proxy(&t, NULL, &why), ERR_INVALID);
	assert_non_null(strstr(why.s, "ALL_PROXY"));
	assert_non_null(strstr(why.s, "--proxy none"));
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
		assert_int_equal(dialer_proxy(&t, none[i], &why), 0);
		assert_false(t.has_proxy);
	}
	unsetenv("ALL_PROXY");
}

/* Which variable names the proxy: "none" where there is none. */
static void
variables_are_asked_in_their_order(void **state)
{
	static const char *const names[] = { "http_proxy", "HTTP_PROXY", "https_proxy",
		"HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
	/* One letter for each of them: set to a proxy of that letter; '-': empty; ' ': unset. */
	static const struct {
		const char *set;
		bool tls;
		const char *host;
	} cases[] = {
		{ "      ", false, NULL },
		{ "------", false, NULL },
		{ "------", true, NULL },
		{ "abcdef", false, "a" },
		{ " bcdef", false, "b" },
		{ "-bcdef", false, "b" },
		{ "  cdef", false, "e" },
		{ "--cdef", false, "e" },
		{ "----ef", false, "e" },
		{ "-----f", false, "f" },
		{ "     f", false, "f" },
		{ "abcdef", true, "c" },
		{ "ab def", true, "d" },
		{ "ab-def", true, "d" },
		{ "ab  ef", true, "e" },
		{ "ab   f", true, "f" },
	};

	(void)state;
	unsetenv("NO_PROXY");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct dialer_target t = { .url = { .tls = cases[i].tls, .at.port = 80 } };
		char value[16];

		strcpy(t.url.at.host, "a.example");
		for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
			snprintf(value, sizeof value, "http://%c:1", cases[i].set[k]);
			if (cases[i].set[k] == ' ')
				unsetenv(names[k]);
			else
				setenv(names[k], cases[i].set[k] == '-' ? "" : value, 1);
		}
		assert_int_equal(dialer_proxy(&t, NULL, NULL), 0);
		assert_int_equal(t.has_proxy, cases[i].host != NULL);
		if (t.has_proxy)
			assert_string_equal(t.proxy.at.host, cases[i].host);
		/* What is said on the command line counts before all of them. */
		assert_int_equal(dialer_proxy(&t, "http://z:2", NULL), 0);
		assert_true(t.has_proxy);
		assert_string_equal(t.proxy.at.host, "z");
	}
	for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
		unsetenv(names[k]);
}

static void
a_headers_name_has_a_bound_and_each_byte_of_its_value_counts(void **state)
{
	char line[300];
	struct errtext why;

	(void)state;
	for (size_t n = 254; n <= 256; n++) {
		memset(line, 'n', n);
		strcpy(line + n, ":v");
		assert_int_equal(check_one(line, &why), n < 256 ? 0 : ERR_INVALID);
	}
	assert_int_equal(check_one("X:\x01", &why), ERR_INVALID);
	assert_int_equal(check_one("X:\x01v", &why), ERR_INVALID);
	assert_int_equal(check_one("X:v\x7f", &why), ERR_INVALID);
	assert_int_equal(check_one("X:\x80", &why), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_operator_may_say_that_there_is_no_proxy),
		cmocka_unit_test(no_proxy_exempts_names_addresses_and_ports),
		cmocka_unit_test(headers_cannot_smuggle),
		cmocka_unit_test(variables_are_asked_in_their_order),
		cmocka_unit_test(a_headers_name_has_a_bound_and_each_byte_of_its_value_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
