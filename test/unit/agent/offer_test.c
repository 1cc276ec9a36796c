/* SPDX-License-Identifier: ISC */
/* offer_test - --tcp and --allow: what they say, and what is refused with its text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/agent/offer.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"
#include "test/unit/offerwords.h"

static struct errtext e;

/* NULL, and e says why. */
static struct offers *
read_all(const struct offer_words *words)
{
	struct offers *o = NULL;
	int r;

	errtext_clear(&e);
	r = offers_of_words(words, &o, &e);
	assert_true(r == 0 ? o != NULL : o == NULL && e.s[0] != '\0');
	if (r != 0 && r != ERR_NOMEM)
		assert_int_equal(r, ERR_INVALID);
	return o;
}

static struct offers *
read_words(const char *tcp, const char *allow)
{
	return read_all(&(struct offer_words){ .tcp = tcp, .allow = allow });
}

/* What is offered, one a line: name, target and, if published, "@" and the port, 0 for any. */
static void
offers(const char *tcp, const char *want)
{
	struct offers *o = read_words(tcp, "");
	char got[8192] = "", target[OFFER_TARGET_MAX];

	if (o == NULL)
		fail_msg("%s: %s", tcp, e.s);
	for (size_t i = 0; i < o->n; i++) {
		char *end = got + strlen(got);
		size_t room = (size_t)(got + sizeof got - end);

		snprintf(end, room, "%s%s %s", i > 0 ? ", " : "", o->v[i].name,
		    offer_target(&o->v[i], target));
		if (o->v[i].published)
			snprintf(
			    got + strlen(got), sizeof got - strlen(got), " @%u", o->v[i].public);
		else
			assert_int_equal(o->v[i].public, 0);
	}
	assert_string_equal(got, want);
	offers_free(o);
}

static void
a_service_is_a_name_and_a_place(void **state)
{
	(void)state;
	offers("ssh=22", "ssh 127.0.0.1:22");
	offers("db=10.0.0.7:5432 web=:80 six=[::1]:6 lan=nas.lan:1",
	    "db 10.0.0.7:5432, web 127.0.0.1:80, six [::1]:6, lan nas.lan:1");
	offers("web=unix:/run/web.sock", "web unix:/run/web.sock");
	offers("n234567890123456789012345678901234567890123456789012345678901234=1",
	    "n234567890123456789012345678901234567890123456789012345678901234 127.0.0.1:1");
	/* Names that are neither ports nor ranges. */
	offers("2a=1 80-x=2 80-=3", "2a 127.0.0.1:1, 80-x 127.0.0.1:2, 80- 127.0.0.1:3");
}

static void
a_port_publishes_it(void **state)
{
	(void)state;
	offers("ssh=22;public=2222", "ssh 127.0.0.1:22 @2222");
	offers("ssh=22;public=auto", "ssh 127.0.0.1:22 @0");
	offers("2222=22", "2222 127.0.0.1:22 @2222");
	offers("auto=22 auto=10.0.0.7:80 auto=[::1]:81",
	    "auto 127.0.0.1:22 @0, auto-2 10.0.0.7:80 @0, auto-3 [::1]:81 @0");
	offers("auto-2=1 auto=2 auto=3",
	    "auto-2 127.0.0.1:1, auto 127.0.0.1:2 @0, auto-3 127.0.0.1:3 @0");
	offers("65535=unix:/run/x", "65535 unix:/run/x @65535");
}

static void
a_range_is_a_service_for_each_port(void **state)
{
	(void)state;
	offers("6000-6002=10.0.0.7:7000-7002",
	    "6000 10.0.0.7:7000 @6000, 6001 10.0.0.7:7001 @6001, 6002 10.0.0.7:7002 @6002");
	offers("65534-65535=65534-65535",
	    "65534 127.0.0.1:65534 @65534, 65535 127.0.0.1:65535 @65535");
	offers("1-1=[::1]:9-9;proxy=v1", "1 [::1]:9 @1");
}

static void
options_travel_with_it(void **state)
{
	struct offers *o = read_words("ssh=22;public=auto;allow=10.0.0.0/8,2001:db8::/32;"
				      "allow=192.0.2.7;deny=10.9.0.0/16;max-connections=50;"
				      "max-rate=5;proxy=v2 6000-6001=1-2;max-rate=7",
	    "");
	const struct request_rules *r;

	(void)state;
	assert_non_null(o);
	r = &o->v[0].rules;
	assert_int_equal(r->n_allow, 3);
	assert_int_equal(r->allow[1].bits, 32);
	assert_int_equal(r->n_deny, 1);
	assert_int_equal(r->max_connections, 50);
	assert_int_equal(r->max_rate, 5);
	assert_int_equal(r->proxy, 2);
	assert_int_equal(o->v[1].rules.max_rate, 7);
	assert_int_equal(o->v[2].rules.max_rate, 7);
	assert_ptr_equal(offers_find(o, "tcp", "6001"), &o->v[2]);
	assert_null(offers_find(o, "tcp", "6002"));
	offers_free(o);
}

static void
what_makes_no_sense_is_refused_with_its_text(void **state)
{
	static const struct {
		const char *tcp, *allow, *says;
	} bad[] = {
		{ "ssh", "", "--tcp ssh: not of the form" },
		{ "=22", "", "--tcp =22: a name has" },
		{ "a/b=22", "", "--tcp a/b=22: a name has" },
		{ "n234567890123456789012345678901234567890123456789012345678901234x=1", "",
		    "a name has 1 to 64" },
		{ "ssh=22 ssh=23", "", "--tcp ssh=23: there are two services of that name" },
		{ "auto=1 auto=2 auto-2=3", "", "two services of that name" },
		{ "ssh=", "", "--tcp ssh=: no target" },
		{ "ssh=;public=1", "", "no target" },
		{ "ssh=0", "", "--tcp ssh=0: \"0\" is no port" },
		{ "ssh=65536", "", "\"65536\" is no port" },
		{ "ssh=host", "", "has no port: write HOST:PORT" },
		{ "ssh=host:", "", "--tcp ssh=host:" },
		{ "ssh=::1:22", "", "in brackets" },
		{ "ssh=unix:", "", "needs the path" },
		{ "0=22", "", "\"0\" is no port" },
		{ "65536=22", "", "\"65536\" is no port" },
		{ "2222=22 ssh=1;public=2222", "", "the public port 2222 is given twice" },
		{ "2222=22 2220-2223=1-4", "", "the public port 2222 is given twice" },
		{ "2222=22;public=2223", "", "the public port is there already" },
		{ "ssh=22;public=1;public=2", "", "the public port is there already" },
		{ "ssh=22;public=any", "", "write public=PORT or public=auto" },
		{ "ssh=22;public=0", "", "\"0\" is no port" },
		{ "ssh=22;public", "", "public has no value" },
		{ "ssh=22;pulbic=1", "",
		    "there is no option \"pulbic\"; did you mean \"public\"?" },
		{ "ssh=22;colour=1", "", "there are public, allow, deny" },
		{ "ssh=22;", "", "there is no option \"\"" },
		{ "2222=22;public=auto;", "", "the public port is there" },
		{ "ssh=22;allow=10.0.0.0/8", "", "only a published service has options" },
		{ "1=2;allow=10.1.0.0/8", "", "allow=10.1.0.0/8: there are bits beyond" },
		{ "1=2;allow=10.0.0.0/33", "", "allow=10.0.0.0/33: neither" },
		{ "1=2;deny=1.2.3.4,lan", "", "deny=lan: neither" },
		{ "1=2;deny=,", "", "deny= names no network" },
		{ "1=2;max-connections=0", "", "max-connections=0: write a number from 1" },
		{ "1=2;max-rate=1000001", "", "max-rate=1000001: write a number" },
		{ "1=2;max-rate=1;max-rate=1", "", "max-rate is given twice" },
		{ "1=2;proxy=v3", "", "write proxy=v1 or proxy=v2" },
		{ "1=2;proxy=v1;proxy=v2", "", "proxy is given twice" },
		{ "6000-6010=127.0.0.1:6000-6009", "",
		    "6000-6010 are 11 ports and 6000-6009 are 10: both ranges must be as long" },
		{ "1-2=1-3", "", "1-2 are 2 ports and 1-3 are 3: both ranges" },
		{ "6000-6010=127.0.0.1:6000", "", "needs a target with one, HOST:6000-6010" },
		{ "6000-6010=unix:/run/x", "", "needs a target with one" },
		{ "6000-6001=unix:6000-6001", "", "a Unix socket has no ports" },
		{ "6010-6000=1-11", "", "a range goes up: write 6000-6010" },
		{ "1-2=2-1", "", "a range goes up: write 1-2" },
		{ "65535-65536=1-2", "", "\"65536\" is no port" },
		{ "1-2=host:0-1", "", "\"0\" is no port" },
		{ "1-2=a/b:3-4", "", "does not begin with a host name" },
		{ "1-2=3-4;proxy=2", "", "write proxy=v1" },
		{ "1-257=1-257", "", "more than 256 services" },
		{ "", "10.0.0.0/33:1", "--allow: " },
		{ "", "host", "--allow: " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (read_words(bad[i].tcp, bad[i].allow) != NULL ||
		    strstr(e.s, bad[i].says) == NULL)
			fail_msg("%s %s: %s", bad[i].tcp, bad[i].allow, e.s);
}

/* A number, and a name, is one service of each. */
static void
services_of_udp_stand_beside_those_of_tcp(void **state)
{
	static const struct {
		const char *udp, *says;
	} bad[] = {
		{ "dns=unix:/run/dns.sock", "--udp dns=unix:/run/dns.sock: datagrams go to no" },
		{ "53=53;proxy=v2", "there is no option \"proxy\"" },
		{ "53=53 53=54", "the public port 53 is given twice" },
		{ "dns=1 dns=2", "there are two services of that name" },
		{ "53", "not of the form" },
	};
	struct offers *o = read_all(&(struct offer_words){
	    .tcp = "5201=5201 a=1;public=53", .udp = "5201=5201 a=2 6000-6001=10.0.0.1:1-2" });

	(void)state;
	assert_non_null(o);
	assert_int_equal(o->n, 6);
	assert_string_equal(offers_find(o, "udp", "5201")->kind, "udp");
	assert_string_equal(offers_find(o, "tcp", "5201")->kind, "tcp");
	assert_int_equal(offers_find(o, "udp", "a")->port, 2);
	assert_int_equal(offers_find(o, "tcp", "a")->port, 1);
	assert_int_equal(offers_find(o, "udp", "6001")->port, 2);
	assert_null(offers_find(o, "tcp", "6001"));
	offers_free(o);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_null(read_all(&(struct offer_words){ .udp = bad[i].udp }));
		if (strstr(e.s, bad[i].says) == NULL)
			fail_msg("%s: %s", bad[i].udp, e.s);
	}
}

static void
there_is_room_for_256_services_and_64_networks(void **state)
{
	struct offers *o = read_words("1-256=1-256", "");
	char text[4096] = "1=2";

	(void)state;
	assert_non_null(o);
	assert_int_equal(o->n, OFFERS_MAX);
	offers_free(o);
	for (int i = 0; i < REQUEST_NETS_MAX; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), ";allow=10.0.0.%d", i);
	o = read_words(text, "");
	assert_non_null(o);
	assert_int_equal(o->v[0].rules.n_allow, REQUEST_NETS_MAX);
	offers_free(o);
	strcat(text, ";allow=10.0.1.1");
	assert_null(read_words(text, ""));
	assert_non_null(strstr(e.s, "allow has more than 64 networks"));
	assert_non_null(strstr(e.s, "--tcp 1=2;allow="));
}

static void
all_networks_fit_into_a_session(void **state)
{
	char text[4096] = "1-256=1-256";
	struct offers *o;

	(void)state;
	for (int i = 0; i < OFFERS_NETS_MAX / OFFERS_MAX; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), ";%s=10.0.0.%d",
		    i % 2 == 0 ? "allow" : "deny", i);
	o = read_words(text, "");
	assert_non_null(o);
	assert_int_equal(o->n_nets, OFFERS_NETS_MAX);
	offers_free(o);
	strcat(text, ";allow=10.0.1.1");
	assert_null(read_words(text, ""));
	assert_non_null(strstr(e.s, "more than 8192 networks in all"));
}

/* ---- differences ---- */

static bool
same(const char *a, const char *b)
{
	struct offers *x = read_words(a, ""), *y = read_words(b, "");
	bool is;

	assert_true(x != NULL && y != NULL);
	is = offer_same_rules(&x->v[0], &y->v[0]);
	assert_int_equal(is, offer_same_rules(&y->v[0], &x->v[0]));
	offers_free(x);
	offers_free(y);
	return is;
}

static void
a_difference_is_seen_in_each_rule(void **state)
{
	static const char *const others[] = { "a=1", "a=1;public=3", "a=1;public=auto",
		"a=1;public=2;allow=10.0.0.0/8", "a=1;public=2;deny=10.0.0.0/8",
		"a=1;public=2;max-connections=1", "a=1;public=2;max-rate=1",
		"a=1;public=2;proxy=v1" };

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		assert_false(same("a=1;public=2", others[i]));
		assert_true(same(others[i], others[i]));
	}
	assert_false(same("a=1", "a=1;public=auto"));
	assert_false(same(others[3], "a=1;public=2;allow=10.0.0.0/9"));
	assert_false(same(others[3], "a=1;public=2;allow=11.0.0.0/8"));
	assert_true(same("a=1;public=2", "a=7;public=2")); /* the relay does not see the target */
}

/* ---- without memory ---- */

static void
each_allocation_may_fail(void **state)
{
	struct offers *o = NULL;

	(void)state;
	for (long n = 0; o == NULL; n++) {
		mem_fail_after(n);
		o = read_words("a=1;public=2;allow=10.0.0.0/8 3-4=3-4", "*:1");
		mem_fail_after(MEM_NO_FAIL);
		if (o == NULL && strstr(e.s, "out of memory") == NULL)
			fail_msg("%s", e.s);
	}
	assert_int_equal(o->n, 3);
	offers_free(o);
}

static void
round_trip(void)
{
	offers_free(read_words("a=1;public=2;allow=10.0.0.0/8 3-4=3-4", "*:1"));
	offers_free(read_words("a=1 a=1", "*:1"));
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_is_a_name_and_a_place),
		cmocka_unit_test(a_port_publishes_it),
		cmocka_unit_test(a_range_is_a_service_for_each_port),
		cmocka_unit_test(options_travel_with_it),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_its_text),
		cmocka_unit_test(services_of_udp_stand_beside_those_of_tcp),
		cmocka_unit_test(there_is_room_for_256_services_and_64_networks),
		cmocka_unit_test(all_networks_fit_into_a_session),
		cmocka_unit_test(a_difference_is_seen_in_each_rule),
		cmocka_unit_test(each_allocation_may_fail),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
