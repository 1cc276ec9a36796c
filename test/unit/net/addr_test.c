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
		"*:80", "unix:", "[fe80::1%nosuchif]:80" };
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

static void
what_is_no_connection_has_no_ends(void **state)
{
	char text[ADDR_TEXT];
	struct addr a;
	int fd[2];

	(void)state;
	assert_int_equal(addr_local(-1, &a), ERR_SYS);
	assert_int_equal(addr_peer(-1, &a), ERR_SYS);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(addr_local(fd[0], &a), 0);
	assert_string_equal(addr_text(&a, text), "unix:");
	close(fd[0]);
	close(fd[1]);
}

static void
zones_are_read_and_looked_up(void **state)
{
	static const char *const bad[] = { "fe80::1%", "fe80::1%a b", "fe80::1%0123456789abcdef",
		"127.0.0.1%lo", "%lo", "[::1]", "::1/64", "" };
	char text[ADDR_TEXT];
	const char *zone;
	struct addr a;

	(void)state;
	assert_true(addr_read("fe80::1%nosuchif", &a, &zone));
	assert_string_equal(zone, "nosuchif");
	assert_true(addr_read("fe80::1%0123456789abcde", &a, &zone));
	assert_true(addr_read("fe80::1", &a, &zone));
	assert_null(zone);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (addr_read(bad[i], &a, &zone) || addr_literal(bad[i], 1, &a))
			fail_msg("%s", bad[i]);
	assert_false(addr_literal("fe80::1%nosuchif", 1, &a));
	assert_true(addr_literal("fe80::1%lo", 1, &a));
	assert_int_equal(a.u.in6.sin6_scope_id, 1);
	assert_string_equal(addr_text(&a, text), "[fe80::1%lo]:1");
	/* A number that no interface has any more cannot be named. */
	a.u.in6.sin6_scope_id = INT32_MAX;
	assert_string_equal(addr_text(&a, text), "[fe80::1]:1");
	assert_true(addr_literal("fe80::1%7", 1, &a));
	assert_int_equal(a.u.in6.sin6_scope_id, 7);
	assert_false(addr_literal("fe80::1%0", 1, &a));
}

static void
loopback_and_special_in_all_their_forms(void **state)
{
	static const struct {
		const char *ip;
		bool loopback, special;
	} t[] = {
		{ "127.0.0.1", true, true },
		{ "127.255.255.255", true, true },
		{ "::ffff:127.0.0.1", true, true },
		{ "::1", true, true },
		{ "126.255.255.255", false, false },
		{ "128.0.0.1", false, false },
		{ "0.255.255.255", false, true },
		{ "1.0.0.0", false, false },
		{ "::", false, true },
		{ "::2", false, true },
		{ "::127.0.0.1", false, true },
		{ "::1:0:0", false, false },
		{ "::ffff:8.8.8.8", false, false },
		{ "169.253.255.255", false, false },
		{ "169.254.169.254", false, true },
		{ "169.255.0.0", false, false },
		{ "223.255.255.255", false, false },
		{ "224.0.0.0", false, true },
		{ "255.255.255.255", false, true },
		{ "100.100.100.199", false, false },
		{ "100.100.100.200", false, true },
		{ "::ffff:100.100.100.200", false, true },
		{ "100.100.100.201", false, false },
		{ "168.63.129.16", false, true },
		{ "fd00:ec2::254", false, true },
		{ "fd00:ec2::255", false, false },
		{ "fd20:ce::254", false, true },
		{ "fe80::1", false, true },
		{ "febf::1", false, true },
		{ "fec0::1", false, false },
		{ "ff02::1", false, true },
		{ "64:ff9b::7f00:1", false, true },
		{ "64:ff9b:1:2::1", false, true },
		{ "64:ff9b:2::1", false, false },
		{ "2001:db8::1", false, false },
		{ "fd00::1", false, false },
	};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		assert_true(addr_literal(t[i].ip, 80, &a));
		if (addr_is_loopback(&a) != t[i].loopback || addr_is_special(&a) != t[i].special)
			fail_msg("%s", t[i].ip);
	}
	a.u.sa.sa_family = AF_UNSPEC;
	assert_false(addr_is_loopback(&a));
}

static bool
same_identity(const char *x, const char *y)
{
	uint8_t a[ADDR_IDENTITY_LEN], b[ADDR_IDENTITY_LEN];
	struct addr at;

	assert_int_equal(addr_parse(x, &at, NULL), 0);
	addr_identity(&at, a);
	assert_int_equal(addr_parse(y, &at, NULL), 0);
	addr_identity(&at, b);
	return memcmp(a, b, sizeof a) == 0;
}

static void
assert_identity(const char *address, const char *text)
{
	uint8_t id[ADDR_IDENTITY_LEN];
	char out[ADDR_TEXT];
	struct addr a;

	assert_true(addr_literal(address, 80, &a));
	addr_identity(&a, id);
	assert_string_equal(addr_identity_text(id, out), text);
}

static void
an_identity_has_a_text(void **state)
{
	(void)state;
	assert_identity("192.0.2.7", "192.0.2.7");
	assert_identity("::ffff:192.0.2.7", "192.0.2.7");
	assert_identity("2001:db8:1:2ff:3::4", "2001:db8:1:200::/56");
	assert_identity("::1", "this machine");
}

static void
an_identity_is_what_one_subscriber_has(void **state)
{
	(void)state;
	assert_true(same_identity("192.0.2.1:80", "192.0.2.1:81"));
	assert_true(same_identity("192.0.2.1:80", "[::ffff:192.0.2.1]:81"));
	assert_false(same_identity("192.0.2.1:80", "192.0.2.0:80"));
	assert_false(same_identity("192.0.2.1:80", "193.0.2.1:80"));
	assert_true(same_identity("[2001:db8:0:100::1]:1", "[2001:db8:0:1ff:ffff::2]:2"));
	assert_false(same_identity("[2001:db8:0:100::1]:1", "[2001:db8:0:200::1]:1"));
	assert_false(same_identity("[2001:db8:0:0::1]:1", "[2001:db8:0:100::1]:1"));
	assert_true(same_identity("unix:/a", "unix:/b"));
	assert_true(same_identity("unix:/a", "[::1]:1"));
	assert_false(same_identity("[::1]:1", "127.0.0.1:1"));
}

static void
networks_are_prefixes(void **state)
{
	static const struct {
		const char *net, *in, *out;
	} t[] = {
		{ "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
		{ "10.0.0.0/8", "::ffff:10.1.1.1", "::10.1.1.1" },
		{ "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.2" },
		{ "0.0.0.0/0", "255.255.255.255", "::1" },
		{ "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
		{ "2001:db8::1", "2001:db8::1", "2001:db8::" },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3" },
	};
	static const struct {
		const char *net;
		int err;
	} bad[] = {
		{ "", ERR_INVALID },
		{ "/8", ERR_INVALID },
		{ "10.0.0.0/", ERR_INVALID },
		{ "10.0.0.0/33", ERR_INVALID },
		{ "10.0.0.0/-1", ERR_INVALID },
		{ "10.0.0.0/8/8", ERR_INVALID },
		{ "10.0.0/8", ERR_INVALID },
		{ "::/129", ERR_INVALID },
		{ "example.com", ERR_INVALID },
		{ "10.0.0.1/31", ERR_LIMIT },
		{ "2001:db8::1/127", ERR_LIMIT },
		{ "128.0.0.0/0", ERR_LIMIT },
	};
	struct addr_net net;
	struct addr a;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		assert_int_equal(addr_net_parse(t[i].net, &net), 0);
		assert_true(addr_literal(t[i].in, 0, &a));
		assert_true(addr_in_net(&a, &net));
		assert_true(addr_literal(t[i].out, 0, &a));
		assert_false(addr_in_net(&a, &net));
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (addr_net_parse(bad[i].net, &net) != bad[i].err)
			fail_msg("%s", bad[i].net);
	assert_int_equal(addr_net_parse("::/0", &net), 0);
	assert_int_equal(addr_parse("unix:/a", &a, NULL), 0);
	assert_false(addr_in_net(&a, &net));
}

/* Of the text, no more than the path and its end. */
static void
a_path_is_taken_up_to_its_end(void **state)
{
	char text[sizeof ADDR_UNIX_PREFIX + sizeof((struct sockaddr_un *)0)->sun_path + 8];
	const size_t most = sizeof((struct sockaddr_un *)0)->sun_path - 1;
	struct addr a;

	(void)state;
	for (size_t n = 1; n <= most + 1; n++) {
		memset(text, 'p', sizeof text);
		memcpy(text, ADDR_UNIX_PREFIX, strlen(ADDR_UNIX_PREFIX));
		text[strlen(ADDR_UNIX_PREFIX) + n] = '\0';
		if (n > most) {
			struct errtext why;

			assert_int_equal(addr_parse(text, &a, &why), ERR_INVALID);
			assert_non_null(strstr(why.s, "longer than 107 characters"));
			break;
		}
		assert_int_equal(addr_parse(text, &a, NULL), 0);
		assert_int_equal(strlen(a.u.un.sun_path), n);
		assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + n + 1);
		for (size_t i = n; i <= most; i++)
			assert_int_equal(a.u.un.sun_path[i], 0);
	}
}

static void
a_network_is_written_as_it_is_read(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1/32", "192.0.2.1" },
		{ "192.0.2.0/31", "192.0.2.0/31" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8" },
		{ "::ffff:0:0/96", "0.0.0.0/0" },
		{ "::fffe:0:0/95", "::fffe:0:0/95" },
		{ "2001:db8::/32", "2001:db8::/32" },
		{ "2001:DB8:0:0::1/128", "2001:db8::1" },
		{ "::/0", "::/0" },
		{ "::1", "::1" },
		{ "fe80::1%lo", "fe80::1" },
		{ "1111:2222:3333:4444:5555:6666:7777:8888/125",
		    "1111:2222:3333:4444:5555:6666:7777:8888/125" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct addr_net net, again;
		char text[ADDR_TEXT];

		assert_int_equal(addr_net_parse(t[i].in, &net), 0);
		assert_ptr_equal(addr_net_text(&net, text), text);
		assert_string_equal(text, t[i].out);
		assert_int_equal(addr_net_parse(text, &again), 0);
		assert_int_equal(again.bits, net.bits);
		assert_memory_equal(again.b, net.b, sizeof net.b);
	}
}

static void
an_address_is_looked_for_in_every_network(void **state)
{
	struct addr_net nets[2];
	struct addr first, second, other;

	(void)state;
	assert_int_equal(addr_net_parse("10.0.0.0/8", &nets[0]), 0);
	assert_int_equal(addr_net_parse("2001:db8::/32", &nets[1]), 0);
	assert_true(addr_literal("10.1.2.3", 1, &first));
	assert_true(addr_literal("2001:db8::1", 1, &second));
	assert_true(addr_literal("192.0.2.1", 1, &other));
	assert_true(addr_in_nets(&first, nets, 2));
	assert_true(addr_in_nets(&second, nets, 2));
	assert_false(addr_in_nets(&other, nets, 2));
	assert_false(addr_in_nets(&second, nets, 1));
	assert_false(addr_in_nets(&first, nets, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_as_they_are_read),
		cmocka_unit_test(wrong_addresses_are_refused_with_a_text),
		cmocka_unit_test(what_is_no_connection_has_no_ends),
		cmocka_unit_test(zones_are_read_and_looked_up),
		cmocka_unit_test(loopback_and_special_in_all_their_forms),
		cmocka_unit_test(an_identity_has_a_text),
		cmocka_unit_test(an_identity_is_what_one_subscriber_has),
		cmocka_unit_test(networks_are_prefixes),
		cmocka_unit_test(a_network_is_written_as_it_is_read),
		cmocka_unit_test(an_address_is_looked_for_in_every_network),
		cmocka_unit_test(a_path_is_taken_up_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
