/* SPDX-License-Identifier: ISC */
/* routes_test - each host has one owner, and a name is found by the longest that covers it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/ingress/routes.h"
#include "lib/base/mem.h"

static struct routes *t;

static int
setup(void **state)
{
	(void)state;
	t = routes_new();
	return t != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	routes_free(t);
	return 0;
}

static struct route
route(const char *agent, const char *kind)
{
	struct route r = { .worker = 1 };

	snprintf(r.agent, sizeof r.agent, "%s", agent);
	snprintf(r.kind, sizeof r.kind, "%s", kind);
	snprintf(r.service, sizeof r.service, "service");
	return r;
}

static int
claim(const char *host, const char *agent)
{
	struct route r = route(agent, "http");

	return routes_claim(t, host, &r, NULL);
}

static void
release(const char *host, const char *agent)
{
	struct route r = route(agent, "http");

	routes_release(t, host, &r);
}

/* Whose it is; "" for nobody's. */
static const char *
owner(const char *host)
{
	static struct route r;

	return routes_find(t, host, &r) == ROUTES_NONE ? "" : r.agent;
}

static void
a_host_has_one_owner(void **state)
{
	struct route mine = route("pi", "http"), tls = route("pi", "tls"), holder;

	(void)state;
	assert_int_equal(claim("shop.test", "pi"), 0);
	assert_string_equal(owner("shop.test"), "pi");
	/* Again, by the same. */
	assert_int_equal(claim("shop.test", "pi"), 0);
	assert_int_equal(claim("shop.test", "lab"), ERR_EXISTS);
	assert_int_equal(routes_claim(t, "shop.test", &tls, &holder), ERR_EXISTS);
	assert_memory_equal(&holder, &mine, sizeof holder);
	release("shop.test", "lab");
	assert_string_equal(owner("shop.test"), "pi");
	routes_release(t, "shop.test", &tls);
	assert_string_equal(owner("shop.test"), "pi");
	release("shop.test", "pi");
	assert_string_equal(owner("shop.test"), "");
	release("shop.test", "pi");
	assert_int_equal(claim("shop.test", "lab"), 0);
	assert_string_equal(owner("shop.test"), "lab");
}

static void
what_is_found_is_all_of_it(void **state)
{
	struct route r = route("pi", "tls"), out;

	(void)state;
	r.worker = 7;
	assert_int_equal(routes_claim(t, "a.test", &r, NULL), 0);
	assert_int_equal(routes_find(t, "a.test", &out), ROUTES_EXACT);
	assert_int_equal(out.worker, 7);
	assert_string_equal(out.agent, "pi");
	assert_string_equal(out.kind, "tls");
	assert_string_equal(out.service, "service");
}

static void
the_whole_name_goes_before_the_longest_wildcard(void **state)
{
	struct route out;

	(void)state;
	assert_int_equal(claim("*.test", "outer"), 0);
	assert_int_equal(claim("*.acme.test", "inner"), 0);
	assert_int_equal(claim("www.acme.test", "whole"), 0);
	assert_string_equal(owner("www.acme.test"), "whole");
	assert_string_equal(owner("ftp.acme.test"), "inner");
	/* One label or more, but never none. */
	assert_string_equal(owner("a.b.acme.test"), "inner");
	assert_string_equal(owner("b.www.acme.test"), "inner");
	assert_string_equal(owner("acme.test"), "outer");
	assert_string_equal(owner("test"), "");
	assert_string_equal(owner("testa"), "");
	assert_string_equal(owner(""), "");
	assert_string_equal(owner("."), "");
	assert_int_equal(routes_find(t, "www.acme.test", &out), ROUTES_EXACT);
	assert_int_equal(routes_find(t, "ftp.acme.test", &out), ROUTES_WILDCARD);
	assert_int_equal(routes_find(t, "ftp.acme.example", &out), ROUTES_NONE);
	release("*.acme.test", "inner");
	assert_string_equal(owner("ftp.acme.test"), "outer");
	release("*.test", "outer");
	assert_string_equal(owner("ftp.acme.test"), "");
	assert_string_equal(owner("www.acme.test"), "whole");
}

static void
names_as_long_as_they_may_be_are_found(void **state)
{
	char host[REQUEST_HOST_MAX + 1] = "*.", *p = host + 2;

	(void)state;
	for (size_t i = 0; i < HTTP_HOST_MAX; i++)
		p[i] = i % 2 == 0 ? 'a' : '.';
	p[HTTP_HOST_MAX] = '\0';
	assert_int_equal(claim(host, "pi"), 0);
	assert_int_equal(claim(p, "lab"), 0);
	assert_string_equal(owner(p), "lab");
	assert_string_equal(owner(host), "pi");
	release(p, "lab");
	/* It covers what has a label more, and that is too long for a host. */
	assert_string_equal(owner(p), "");
}

static void
agents_are_there_until_they_are_not(void **state)
{
	(void)state;
	assert_false(routes_has_agent(t, "pi"));
	routes_agent(t, "pi", true);
	routes_agent(t, "pi", true);
	assert_true(routes_has_agent(t, "pi"));
	assert_false(routes_has_agent(t, "Pi"));
	routes_agent(t, "pi", false);
	assert_false(routes_has_agent(t, "pi"));
	routes_agent(t, "pi", false);
	routes_agent(t, "lab", true);
}

static void
without_memory_a_host_stays_free(void **state)
{
	(void)state;
	for (long n = 0;; n++) {
		int r;

		mem_fail_after(n);
		r = claim("shop.test", "pi");
		mem_fail_after(MEM_NO_FAIL);
		if (r == 0)
			break;
		assert_int_equal(r, ERR_NOMEM);
		assert_string_equal(owner("shop.test"), "");
	}
	assert_string_equal(owner("shop.test"), "pi");
}

/* ---- many at once ---- */

enum { THREADS = 4, ROUNDS = 3000, HOSTS = 8 };

struct claimer {
	pthread_t thread;
	char name[8];
	/* won: how often it was the only one that had a host */
	int won, wrong;
};

static void *
claim_often(void *arg)
{
	struct claimer *me = arg;
	struct route r = route(me->name, "http"), out;
	char host[32];

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(host, sizeof host, "%sh%d.test", i % 3 == 0 ? "*." : "", i % HOSTS);
		if (routes_claim(t, host, &r, NULL) != 0)
			continue;
		me->won++;
		/* Nobody else's as long as it is mine. */
		if (routes_find(t, host, &out) == ROUTES_NONE || strcmp(out.agent, me->name) != 0)
			me->wrong++;
		routes_agent(t, me->name, i % 2 == 0);
		routes_release(t, host, &r);
	}
	return NULL;
}

static void
threads_never_share_a_host(void **state)
{
	struct claimer c[THREADS];
	struct route out;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		c[i] = (struct claimer){ .won = 0 };
		snprintf(c[i].name, sizeof c[i].name, "a%d", i);
		assert_int_equal(pthread_create(&c[i].thread, NULL, claim_often, &c[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(c[i].thread, NULL);
		assert_true(c[i].won > 0);
		assert_int_equal(c[i].wrong, 0);
	}
	for (int i = 0; i < HOSTS; i++) {
		char host[32];

		snprintf(host, sizeof host, "h%d.test", i);
		assert_int_equal(routes_find(t, host, &out), ROUTES_NONE);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_host_has_one_owner),
		T(what_is_found_is_all_of_it),
		T(the_whole_name_goes_before_the_longest_wildcard),
		T(names_as_long_as_they_may_be_are_found),
		T(agents_are_there_until_they_are_not),
		T(without_memory_a_host_stays_free),
		T(threads_never_share_a_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
