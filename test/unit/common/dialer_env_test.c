/* SPDX-License-Identifier: ISC */
/* dialer_env - whom the environment's NO_PROXY exempts, and which headers may be added. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_operator_may_say_that_there_is_no_proxy),
		cmocka_unit_test(no_proxy_exempts_names_addresses_and_ports),
		cmocka_unit_test(headers_cannot_smuggle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
