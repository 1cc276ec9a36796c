/* SPDX-License-Identifier: ISC */
/*
 * origin_test - what an address may do before it has logged in, and which addresses speak for
 * others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/origin.h"
#include "lib/base/mem.h"

static struct addr
addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static struct gate_who
who(const struct relay *r, const char *text)
{
	struct addr a = addr(text);
	struct gate_who w;

	origin_who(r, &a, &w);
	return w;
}

static bool
is_proxy(const struct relay *r, const char *text)
{
	struct addr a = addr(text);

	return origin_is_proxy(r, &a);
}

static void
one_address_has_a_quarter_of_the_places(void **state)
{
	struct relay_opts o = { .max_handshakes = 4096 };
	struct gate_limits l;

	(void)state;
	origin_limits(&o, &l);
	assert_int_equal(l.places, 4096);
	assert_int_equal(l.places_of_one, 1024);
	assert_int_equal(l.rate, 100);
	o = (struct relay_opts){ .max_handshakes = 3, .connection_rate = 7 };
	origin_limits(&o, &l);
	assert_int_equal(l.places, 3);
	assert_int_equal(l.places_of_one, 1);
	assert_int_equal(l.rate, 7);
}

static void
this_machine_may_stand_for_others(void **state)
{
	struct relay r = { .n_proxies = 0 };

	(void)state;
	assert_true(who(&r, "127.0.0.1:1").any_places);
	assert_true(who(&r, "127.0.0.1:1").any_rate);
	assert_true(who(&r, "unix:/x").any_places);
	assert_false(who(&r, "192.0.2.1:1").any_places);
	assert_false(who(&r, "192.0.2.1:1").any_rate);
	r.opts.connection_rate = 5;
	assert_true(who(&r, "127.0.0.1:1").any_places);
	assert_false(who(&r, "127.0.0.1:1").any_rate);
}

static void
an_ipv6_network_is_one(void **state)
{
	struct relay r = { .n_proxies = 0 };
	struct gate_who a = who(&r, "[2001:db8::1]:1"), b = who(&r, "[2001:db8:0:ff::2]:2"),
			c = who(&r, "[2001:db8:0:100::1]:1");

	(void)state;
	assert_memory_equal(a.key, b.key, sizeof a.key);
	assert_memory_not_equal(a.key, c.key, sizeof a.key);
}

static void
only_what_was_named_is_a_proxy(void **state)
{
	char *nets[] = { "10.0.0.0/8", "2001:db8::1" };
	struct relay r = { .opts = { .trusted_proxy = { nets, 2 }, .connection_rate = 5 } };

	(void)state;
	assert_false(is_proxy(&r, "unix:/x"));
	assert_int_equal(
	    origin_nets("--trusted-proxy", &r.opts.trusted_proxy, &r.proxies, &r.n_proxies, NULL),
	    0);
	assert_true(is_proxy(&r, "10.255.0.1:1"));
	assert_true(is_proxy(&r, "[2001:db8::1]:1"));
	assert_true(is_proxy(&r, "unix:/x"));
	assert_false(is_proxy(&r, "11.0.0.1:1"));
	assert_false(is_proxy(&r, "127.0.0.1:1"));
	assert_false(is_proxy(&r, "[2001:db8::2]:1"));
	assert_true(who(&r, "10.0.0.1:1").any_places);
	assert_true(who(&r, "10.0.0.1:1").any_rate);
	assert_false(who(&r, "11.0.0.1:1").any_rate);
	mem_free(r.proxies);
}

static void
what_is_no_network_is_told(void **state)
{
	static const struct {
		const char *net, *why;
	} bad[] = { { "proxy.lan", "not an address" }, { "10.1.2.3/8", "bits behind" } };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char *net = mem_strdup(bad[i].net);
		struct relay r = { .opts = { .trusted_proxy = { &net, 1 } } };
		struct errtext e = { "" };

		assert_int_equal(origin_nets("--trusted-proxy", &r.opts.trusted_proxy, &r.proxies,
				     &r.n_proxies, &e),
		    ERR_INVALID);
		assert_non_null(strstr(e.s, bad[i].net));
		assert_non_null(strstr(e.s, bad[i].why));
		mem_free(r.proxies);
		mem_free(net);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_address_has_a_quarter_of_the_places),
		cmocka_unit_test(this_machine_may_stand_for_others),
		cmocka_unit_test(an_ipv6_network_is_one),
		cmocka_unit_test(only_what_was_named_is_a_proxy),
		cmocka_unit_test(what_is_no_network_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
