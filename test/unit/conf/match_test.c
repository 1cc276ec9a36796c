/* SPDX-License-Identifier: ISC */
/* match_test - what patterns admit, and every way around them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/conf/match.h"
#include "lib/base/mem.h"

static struct match *
rules(const char *one, const char *two)
{
	struct match *m = match_new();

	assert_non_null(m);
	assert_int_equal(match_add(m, one, NULL), 0);
	if (two != NULL)
		assert_int_equal(match_add(m, two, NULL), 0);
	return m;
}

static bool
allows(const struct match *m, const char *name, const char *ip, unsigned port)
{
	struct addr a;

	assert_true(addr_literal(ip, (uint16_t)port, &a));
	return match_target(m, name, &a);
}

static void
an_empty_list_allows_nothing(void **state)
{
	struct match *m = match_new();

	(void)state;
	assert_false(allows(m, "localhost", "127.0.0.1", 22));
	assert_false(match_name(m, "127.0.0.1", 22));
	match_free(m);
	match_free(NULL);
}

static void
address_rules_compare_addresses(void **state)
{
	static const struct {
		const char *rule, *ip;
		unsigned port;
		bool yes;
	} t[] = {
		{ "127.0.0.1:*", "127.0.0.1", 1, true },
		{ "127.0.0.1:*", "127.0.0.1", 65535, true },
		{ "127.0.0.1:*", "::ffff:127.0.0.1", 22, true },
		{ "127.0.0.1:*", "127.0.0.2", 22, false },
		{ "127.0.0.1:*", "::1", 22, false },
		{ "[::ffff:127.0.0.1]:*", "127.0.0.1", 22, true },
		{ "10.0.0.0/8:443", "10.255.1.2", 443, true },
		{ "10.0.0.0/8:443", "::ffff:10.1.2.3", 443, true },
		{ "10.0.0.0/8:443", "11.0.0.1", 443, false },
		{ "10.0.0.0/8:443", "10.0.0.1", 444, false },
		{ "10.0.0.0/9:443", "10.127.0.1", 443, true },
		{ "10.0.0.0/9:443", "10.128.0.1", 443, false },
		{ "0.0.0.0/0:*", "8.8.8.8", 53, true },
		{ "0.0.0.0/0:*", "2001:db8::1", 53, false },
		{ "[::1]:*", "::1", 80, true },
		{ "[::1]:*", "::2", 80, false },
		{ "[2001:db8::]/32:80-90", "2001:db8:1::1", 85, true },
		{ "[2001:db8::/32]:80-90", "2001:db8:1::1", 90, true },
		{ "[2001:db8::/32]:80-90", "2001:db9::1", 85, false },
		{ "[2001:db8::/32]:80-90", "2001:db8::1", 79, false },
		{ "[2001:db8::/32]:80-90", "2001:db8::1", 91, false },
		{ "[::/0]:*", "::1", 1, true },
		{ "*:443", "192.0.2.1", 443, true },
		{ "*:443", "192.0.2.1", 80, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct match *m = rules(t[i].rule, NULL);

		/* Whatever it was called, it is the address that counts. */
		assert_int_equal(allows(m, "some.name", t[i].ip, t[i].port), t[i].yes);
		assert_int_equal(allows(m, t[i].ip, t[i].ip, t[i].port), t[i].yes);
		match_free(m);
	}
}

static void
name_rules_compare_names(void **state)
{
	struct match *m = rules("*.example.com:80-90", "db.internal.:5432");

	(void)state;
	assert_true(allows(m, "a.example.com", "192.0.2.1", 80));
	assert_true(allows(m, "A.b.EXAMPLE.com.", "192.0.2.1", 90));
	assert_false(allows(m, "example.com", "192.0.2.1", 80));
	assert_false(allows(m, ".example.com", "192.0.2.1", 91));
	assert_false(allows(m, "aexample.com", "192.0.2.1", 80));
	assert_false(allows(m, "a.example.com.evil.net", "192.0.2.1", 80));
	assert_true(allows(m, "db.internal", "10.0.0.5", 5432));
	assert_true(allows(m, "db.internal.", "10.0.0.5", 5432));
	assert_false(allows(m, "xdb.internal", "10.0.0.5", 5432));
	match_free(m);
}

static void
a_name_cannot_be_pointed_at_special_addresses(void **state)
{
	static const char *const special[] = { "127.0.0.1", "127.9.9.9", "0.0.0.0",
		"169.254.169.254", "224.0.0.1", "255.255.255.255", "::1", "::", "::ffff:127.0.0.1",
		"::ffff:169.254.169.254", "fe80::1", "ff02::1", "::127.0.0.1", "64:ff9b::7f00:1",
		"fd00:ec2::254", "100.100.100.200", "::ffff:100.100.100.200", "168.63.129.16",
		"fd20:ce::254", "64:ff9b:1::a9fe:a9fe" };
	struct match *m = rules("*.example.com:*", NULL),
		     *both = rules("*.example.com:*", "127.0.0.1:*");
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		assert_false(allows(m, "a.example.com", special[i], 80));
	assert_true(allows(m, "a.example.com", "192.168.1.1", 80));
	assert_true(allows(both, "a.example.com", "127.0.0.1", 80));
	match_free(m);
	match_free(both);
}

static void
localhost_may_be_loopback_and_nothing_else_special(void **state)
{
	struct match *m = rules("localhost:22", NULL);

	(void)state;
	assert_true(allows(m, "localhost", "127.0.0.1", 22));
	assert_true(allows(m, "LOCALHOST.", "::1", 22));
	assert_false(allows(m, "localhost", "169.254.169.254", 22));
	assert_false(allows(m, "localhost", "127.0.0.1", 23));
	assert_false(allows(m, "127.0.0.1", "127.0.0.1", 22));
	match_free(m);
}

static void
the_default_is_loopback(void **state)
{
	struct match *m = match_new();

	(void)state;
	assert_int_equal(match_add_loopback(m), 0);
	assert_true(allows(m, "127.0.0.1", "127.0.0.1", 22));
	assert_true(allows(m, "localhost", "::1", 22));
	assert_true(allows(m, "::ffff:127.0.0.1", "::ffff:127.0.0.1", 1));
	assert_true(allows(m, "my.name", "127.0.1.1", 22));
	assert_false(allows(m, "localhost", "192.0.2.1", 0));
	assert_false(allows(m, "my.name", "10.0.0.1", 22));
	match_free(m);
}

static void
the_relay_matches_what_is_written(void **state)
{
	struct match *m = rules("*.example.com:80", "10.0.0.0/8:22");

	(void)state;
	assert_true(match_name(m, "a.example.com", 80));
	assert_true(match_name(m, "10.1.2.3", 22));
	assert_true(match_name(m, "::ffff:10.1.2.3", 22));
	assert_false(match_name(m, "11.1.2.3", 22));
	assert_false(match_name(m, "a.example.com", 22));
	match_free(m);
	m = rules("*:443", NULL);
	assert_true(match_name(m, "anything", 443));
	assert_true(match_name(m, "::1", 443));
	match_free(m);
}

static void
bad_patterns_are_refused(void **state)
{
	static const char *const bad[] = { "", ":", "*", "host", "host:", ":80", "host:0",
		"host:65536", "host:80-70", "host:80-", "host:-80", "host:a", "host:1-2-3",
		"10.0.0.1/8:80", "10.0.0.0/33:80", "10.0.0.0/-1:80", "10.0.0:80", "256.0.0.1:80",
		"::1:80", "[::1:80", "[::1]x:80", "[host]:80", "[*]:80", "[::]/129:80",
		"[2001:db8::1]/32:80", "*.*.com:80", "a*.com:80", "*.:80", "*.10.0.0.1/8:80",
		"host/8:80", "a b:80", "host:**", "\x1b[2J:80" };
	struct match *m = match_new();
	struct errtext e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errtext_clear(&e);
		assert_int_equal(match_add(m, bad[i], &e), ERR_INVALID);
		assert_true(strlen(e.s) > 20);
		assert_null(strchr(e.s, '\x1b'));
	}
	assert_false(allows(m, "host", "192.0.2.1", 80));
	/* A slip of the pen is told as such. */
	assert_int_equal(match_add(m, "10.0.0.1/8:80", &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "beyond its prefix"));
	match_free(m);
}

static void
a_list_has_a_limit_and_survives_want_of_memory(void **state)
{
	struct match *m = match_new();
	int i;

	(void)state;
	mem_fail_after(0);
	assert_int_equal(match_add(m, "a:1", NULL), ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
	for (i = 0; i < MATCH_RULES_MAX; i++)
		assert_int_equal(match_add(m, "a:1", NULL), 0);
	assert_int_equal(match_add(m, "a:1", NULL), ERR_LIMIT);
	match_free(m);
}

static void
globs_have_one_wildcard(void **state)
{
	(void)state;
	assert_true(match_glob("*", ""));
	assert_true(match_glob("*", "anything"));
	assert_true(match_glob("pi-*", "pi-4"));
	assert_true(match_glob("*a*b*", "xxaxxbxx"));
	assert_true(match_glob("a*a", "aaa"));
	assert_true(match_glob("", ""));
	assert_false(match_glob("", "x"));
	assert_false(match_glob("pi", "pi4"));
	assert_false(match_glob("pi?", "pi4"));
	assert_false(match_glob("*ab", "abc"));
	assert_false(match_glob("a*a", "a"));
	assert_false(match_glob("*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void
a_unix_socket_is_no_target(void **state)
{
	struct match *m = rules("*:*", NULL);
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse("unix:/run/x", &a, NULL), 0);
	assert_false(match_target(m, "x", &a));
	match_free(m);
}

/* Neither a zone nor a colon makes a name of an address. */
static void
an_address_is_never_a_name(void **state)
{
	struct match *m = rules("*.example.com:80", NULL);

	(void)state;
	assert_false(allows(m, "::1%a.example.com", "192.0.2.1", 80));
	assert_false(match_name(m, "::1%a.example.com", 80));
	assert_false(match_name(m, "::1%a b.example.com", 80));
	assert_false(match_name(m, "fe80:a.example.com", 80));
	match_free(m);
	m = rules("[fe80::1]:80", NULL);
	assert_true(match_name(m, "fe80::1%eth0", 80));
	match_free(m);
}

static void
a_host_has_its_bound(void **state)
{
	char pattern[HOSTPORT_HOST_MAX + 8];

	(void)state;
	for (int n = HOSTPORT_HOST_MAX - 1; n <= HOSTPORT_HOST_MAX + 1; n++) {
		struct match *m = match_new();

		memset(pattern, 'h', sizeof pattern);
		strcpy(pattern + n, ":1");
		assert_int_equal(
		    match_add(m, pattern, NULL), n <= HOSTPORT_HOST_MAX ? 0 : ERR_INVALID);
		pattern[n] = '\0';
		assert_int_equal(match_name(m, pattern, 1), n <= HOSTPORT_HOST_MAX);
		match_free(m);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_allows_nothing),
		cmocka_unit_test(address_rules_compare_addresses),
		cmocka_unit_test(name_rules_compare_names),
		cmocka_unit_test(a_name_cannot_be_pointed_at_special_addresses),
		cmocka_unit_test(localhost_may_be_loopback_and_nothing_else_special),
		cmocka_unit_test(the_default_is_loopback),
		cmocka_unit_test(the_relay_matches_what_is_written),
		cmocka_unit_test(bad_patterns_are_refused),
		cmocka_unit_test(a_host_has_its_bound),
		cmocka_unit_test(a_list_has_a_limit_and_survives_want_of_memory),
		cmocka_unit_test(globs_have_one_wildcard),
		cmocka_unit_test(a_unix_socket_is_no_target),
		cmocka_unit_test(an_address_is_never_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
