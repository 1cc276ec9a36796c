/* SPDX-License-Identifier: ISC */
/* hostport_test - HOST:PORT in all its forms, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/net/hostport.h"

static void
good_forms_are_taken_apart(void **state)
{
	static const struct {
		const char *s;
		unsigned flags;
		const char *host;
		unsigned port;
		bool v6;
	} t[] = {
		{ "example.com:80", 0, "example.com", 80, false },
		{ "example.com.:80", 0, "example.com.", 80, false },
		{ "my_host-1:65535", 0, "my_host-1", 65535, false },
		{ "192.0.2.1:1", 0, "192.0.2.1", 1, false },
		{ "[::1]:22", 0, "::1", 22, true },
		{ "[2001:db8::1]:443", 0, "2001:db8::1", 443, true },
		{ "[fe80::1%eth0]:5000", 0, "fe80::1%eth0", 5000, true },
		{ "[::ffff:10.0.0.1]:8", 0, "::ffff:10.0.0.1", 8, true },
		{ ":80", HOSTPORT_ANY_HOST, "", 80, false },
		{ "localhost:0", HOSTPORT_PORT_0, "localhost", 0, false },
		{ ":0", HOSTPORT_ANY_HOST | HOSTPORT_PORT_0, "", 0, false },
	};
	struct hostport hp;
	char text[HOSTPORT_TEXT_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(hostport_parse(t[i].s, t[i].flags, &hp, NULL), 0);
		assert_string_equal(hp.host, t[i].host);
		assert_int_equal(hp.port, t[i].port);
		assert_int_equal(hp.is_v6, t[i].v6);
		assert_string_equal(hostport_text(&hp, text), t[i].s);
	}
}

static void
a_name_has_letters_digits_and_few_others(void **state)
{
	struct hostport hp;

	(void)state;
	for (int c = 1; c < 256; c++) {
		char s[] = { 'a', (char)c, 'b', ':', '1', '\0' };
		bool word =
		    (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		assert_int_equal(hostport_parse(s, 0, &hp, NULL),
		    word || c == '-' || c == '_' || c == '.' ? 0 : ERR_INVALID);
	}
}

static void
bad_forms_are_refused_with_a_sentence(void **state)
{
	static const char *const bad[] = { "", ":", "host", "host:", "host:0", "host:65536",
		"host:-1", "host:+1", "host: 1", "host:1 ", "host:http", ":80", "::1:80",
		"2001:db8::1:80", "[::1]", "[::1]80", "[::1", "[]:80", "[host]:80",
		"[127.0.0.1]:80", "[::1%]:80", "[::1%a b]:80", "ho st:80", "ho/st:80", "host..x:80",
		".host:80", "h\xc3\xb6st:80", "host\n:80", "host:8\n", "[::1]]:80",
		"user@host:80" };
	struct hostport hp = { .port = 7 };
	struct errtext e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errtext_clear(&e);
		assert_int_equal(hostport_parse(bad[i], 0, &hp, &e), ERR_INVALID);
		assert_true(strlen(e.s) > 10);
		assert_null(strchr(e.s, '\n'));
		assert_int_equal(hp.port, 7);
	}
}

static void
a_name_has_253_characters_at_most(void **state)
{
	char s[300];
	struct hostport hp;

	(void)state;
	memset(s, 'a', sizeof(s));
	strcpy(s + HOSTPORT_HOST_MAX, ":80");
	assert_int_equal(hostport_parse(s, 0, &hp, NULL), 0);
	assert_int_equal(strlen(hp.host), HOSTPORT_HOST_MAX);
	memset(s, 'a', sizeof(s));
	strcpy(s + HOSTPORT_HOST_MAX + 1, ":80");
	assert_int_equal(hostport_parse(s, 0, &hp, NULL), ERR_INVALID);
}

static void
a_host_alone_may_have_brackets_or_not(void **state)
{
	struct hostport a, b;

	(void)state;
	assert_int_equal(hostport_host("::1", &a, NULL), 0);
	assert_int_equal(hostport_host("[::1]", &b, NULL), 0);
	assert_string_equal(a.host, b.host);
	assert_true(a.is_v6 && b.is_v6);
	assert_int_equal(hostport_host("db.internal", &a, NULL), 0);
	assert_int_equal(hostport_host("", &a, NULL), ERR_INVALID);
	assert_int_equal(hostport_host("[]", &a, NULL), ERR_INVALID);
	assert_int_equal(hostport_host("[db]", &a, NULL), ERR_INVALID);
	assert_int_equal(hostport_host("db:80", &a, NULL), ERR_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_forms_are_taken_apart),
		cmocka_unit_test(a_name_has_letters_digits_and_few_others),
		cmocka_unit_test(bad_forms_are_refused_with_a_sentence),
		cmocka_unit_test(a_name_has_253_characters_at_most),
		cmocka_unit_test(a_host_alone_may_have_brackets_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
