/* SPDX-License-Identifier: ISC */
/*
 * publish_host_test - web services by host: which hosts an agent gets, whom each leads to, and what
 * becomes of them when agents come, go and lose their rights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/group.h"
#include "cmd/relay/ingress/publish_host.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"
#include "test/unit/publictest.h"
#include "test/unit/turns.h"

#define D "t.example.com"
#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
/* Everybody has the same secret. */
#define ENTRY(name, more) "\"" name "\":{\"secret\":\"s\"" more "}"
#define CREDS(entries) "{\"edge-agents\":{" entries "}}"

static struct relay r;
static struct worker *w;
static struct fake_session *agent;

static int
setup(void **state)
{
	(void)state;
	publictest_init(&r, 1);
	publictest_web(&r, 8080, 0, D, NULL);
	w = &r.workers[0];
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	publictest_fini(&r);
	return 0;
}

/* The answer to a request for this service; more: members, with a comma in front. */
static const struct request_reply *
ask(struct fake_session *f, const char *kind, const char *service, const char *more)
{
	char members[2048];

	snprintf(members, sizeof members,
	    "\"request\":\"publish\",\"kind\":\"%s\",\"service\":\"%s\"%s", kind, service, more);
	return publictest_ask(f, members);
}

/* The URL of a service at this host. */
static const char *
url(struct fake_session *f, const char *service, const char *host)
{
	const struct request_reply *a;
	char more[REQUEST_HOST_MAX + 32] = "";

	if (host != NULL)
		snprintf(more, sizeof more, ",\"host\":\"%s\"", host);
	a = ask(f, "http", service, more);
	return a->ok ? a->public : a->error;
}

/* Whose service a visitor of this host gets: "AGENT:SERVICE", "away" or "none". */
static const char *
whose(const char *host)
{
	static char text[CTL_AGENT_MAX + CTL_NAME_MAX + 2];
	struct route at;

	switch (publish_route(&r, host, &at)) {
	case ROUTE_FOUND:
		assert_non_null(publish_find(&r.workers[at.worker], &at));
		snprintf(text, sizeof text, "%s:%s", at.agent, at.service);
		return text;
	case ROUTE_AWAY:
		return "away";
	case ROUTE_NONE:
		break;
	}
	return "none";
}

static void
assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void
leave(struct fake_session *f)
{
	relaytest_hang_up(f);
	relaytest_settle(&r);
}

/* ---- asking ---- */

static void
an_agent_has_its_own_name(void **state)
{
	(void)state;
	assert_string_equal(url(agent, "http", NULL), "http://pi." D ":8080");
	assert_string_equal(whose("pi." D), "pi:http");
	assert_string_equal(whose("x.pi." D), "none");
	assert_string_equal(whose("pi"), "none");
	publictest_ask(agent, "\"request\":\"withdraw\",\"kind\":\"http\",\"service\":\"http\"");
	assert_string_equal(whose("pi." D), "none");
}

static void
a_label_stands_under_every_domain(void **state)
{
	(void)state;
	publictest_web(&r, 80, 443, D, "other.test");
	assert_string_equal(url(agent, "a", "Shop"), "https://shop." D);
	assert_string_equal(whose("shop." D), "pi:a");
	assert_string_equal(whose("shop.other.test"), "pi:a");
	assert_string_equal(url(agent, "b", "www.acme.test"), "https://www.acme.test");
	assert_string_equal(url(agent, "c", "*.acme.test"), "https://*.acme.test");
	assert_string_equal(whose("www.acme.test"), "pi:b");
	assert_string_equal(whose("ftp.acme.test"), "pi:c");
	assert_string_equal(whose("www.other.test"), "none");
}

static void
a_star_is_the_first_label_of_any_host(void **state)
{
	(void)state;
	publictest_web(&r, 80, 0, "*", NULL);
	assert_string_equal(url(agent, "a", "shop"), "http://shop.localhost");
	assert_string_equal(whose("shop.anything.test"), "pi:a");
	assert_string_equal(whose("shop"), "pi:a");
	assert_string_equal(whose("x.shop.test"), "none");
	/* Who names all of it goes before. */
	assert_string_equal(url(agent, "b", "shop.acme.test"), "http://shop.acme.test");
	assert_string_equal(whose("shop.acme.test"), "pi:b");
}

static void
where_nothing_can_be_published_it_is_said_why(void **state)
{
	struct fake_session *dotted = relaytest_login(&r, 0, CTL_AGENT, "pi.home");

	(void)state;
	assert_says(url(dotted, "http", NULL), "no label");
	assert_says(url(agent, "http", "t.example.com"), "of the relay itself");
	publictest_web(&r, 0, 0, D, NULL);
	assert_says(url(agent, "http", NULL), "--http");
	publictest_web(&r, 80, 0, NULL, NULL);
	assert_says(url(agent, "http", NULL), "--domain");
	assert_string_equal(url(agent, "http", "www.acme.test"), "http://www.acme.test");
	assert_says(ask(agent, "tls", "tls", ",\"host\":\"a.test\"")->error, "--https");
	publictest_web(&r, 80, 8443, NULL, NULL);
	assert_string_equal(
	    ask(agent, "tls", "tls", ",\"host\":\"a.test\"")->public, "https://a.test:8443");
	assert_string_equal(whose("a.test"), "pi:tls");
}

static void
no_wildcard_covers_the_relays_own_hosts(void **state)
{
	(void)state;
	publictest_web(&r, 80, 0, D, "*");
	url(agent, "a", "*.example.com");
	url(agent, "b", "t");
	assert_string_equal(whose("x.example.com"), "pi:a");
	assert_string_equal(whose(D), "none");
	assert_string_equal(whose("t.other.test"), "pi:b");
}

static void
a_host_has_one_holder(void **state)
{
	struct fake_session *other = relaytest_login(&r, 0, CTL_AGENT, "lab");

	(void)state;
	assert_string_equal(url(agent, "a", "shop"), "http://shop." D ":8080");
	assert_says(url(other, "a", "shop"), "belongs to another service");
	assert_says(url(other, "a", "shop." D), "belongs to another service");
	assert_says(url(agent, "b", "shop"), "another service of this agent");
	assert_says(ask(agent, "tls", "a", ",\"host\":\"shop\"")->error, "--https");
	assert_string_equal(whose("shop." D), "pi:a");
	/* What was refused has left nothing behind. */
	assert_null(publictest_find(w, "lab", "a"));
	assert_null(publictest_find(w, "pi", "b"));
	publictest_ask(agent, "\"request\":\"withdraw\",\"kind\":\"http\",\"service\":\"a\"");
	assert_string_equal(url(other, "a", "shop." D), "http://shop." D ":8080");
	assert_string_equal(whose("shop." D), "lab:a");
}

static void
a_service_may_move(void **state)
{
	(void)state;
	publictest_web(&r, 80, 0, D, "other.test");
	url(agent, "a", "shop");
	/* It keeps what both have in common. */
	assert_string_equal(url(agent, "a", "shop.other.test"), "http://shop.other.test");
	assert_string_equal(whose("shop.other.test"), "pi:a");
	assert_string_equal(whose("shop." D), "none");
	/* What it cannot have leaves it where it is. */
	assert_says(url(agent, "a", "other.test"), "of the relay itself");
	assert_string_equal(whose("shop.other.test"), "pi:a");
	assert_string_equal(url(agent, "a", "shop"), "http://shop." D);
	assert_string_equal(whose("shop.other.test"), "pi:a");
	assert_string_equal(whose("shop." D), "pi:a");
}

static void
what_it_says_of_requests_is_taken_over(void **state)
{
	struct request_web *before;
	struct publication *pub;

	(void)state;
	ask(agent, "http", "a", ",\"timeout_ms\":5000,\"max_rate\":7");
	pub = publictest_find(w, "pi", "a");
	assert_int_equal(pub->web->timeout_ms, 5000);
	assert_int_equal(pub->rules.max_rate, 7);
	before = request_web_ref(pub->web);
	ask(agent, "http", "a", ",\"timeout_ms\":6000,\"pool\":false");
	assert_ptr_equal(publictest_find(w, "pi", "a"), pub);
	assert_int_equal(pub->web->timeout_ms, 6000);
	assert_true(pub->web->no_pool);
	/* Who began with it goes on with it. */
	assert_int_equal(before->timeout_ms, 5000);
	request_web_unref(before);
	assert_says(ask(agent, "http", "a", ",\"timeout_ms\":0")->error, "timeout_ms");
	assert_int_equal(pub->web->timeout_ms, 6000);
}

static void
one_that_is_over_can_still_be_read(void **state)
{
	struct publication *pub;

	(void)state;
	url(agent, "a", NULL);
	pub = publictest_find(w, "pi", "a");
	publication_ref(pub);
	leave(agent);
	publish_stop(w);
	relaytest_settle(&r);
	assert_int_equal(pub->state, PUBLICATION_OVER);
	assert_null(pub->group);
	assert_non_null(pub->web);
	assert_string_equal(pub->service, "a");
	publication_unref(pub);
}

/* ---- credentials ---- */

static struct fake_session *
log_in(const char *name)
{
	struct fake_session *f = relaytest_peer(&r, 0, NULL);

	fake_hello(f, CTL_AGENT, name, "s", (uint8_t)name[0]);
	relaytest_settle(&r);
	assert_true(f->greeted);
	return f;
}

static void
the_credentials_say_which_hosts(void **state)
{
	struct fake_session *shop, *plain, *shut;

	(void)state;
	relaytest_creds(&r, CREDS(ENTRY("plain", "") "," ENTRY(
				"shop", ",\"hosts\":[\"web-*\",\"*.acme.test\"]") "," ENTRY("shut",
				",\"services\":[\"ssh\"]")));
	plain = log_in("plain");
	shop = log_in("shop");
	shut = log_in("shut");
	assert_string_equal(url(plain, "a", NULL), "http://plain." D ":8080");
	assert_says(url(plain, "b", "plain"), "another service of this agent");
	assert_says(url(plain, "b", "shop"), "kept for the agent of that name");
	assert_says(url(plain, "b", "web-1"), "do not allow this agent the host web-1." D);
	assert_says(url(plain, "b", "www.acme.test"), "do not allow");
	assert_true(ask(plain, "http", "r", ",\"random\":true")->ok);
	assert_string_equal(url(shop, "a", "web-1"), "http://web-1." D ":8080");
	assert_string_equal(url(shop, "b", "www.acme.test"), "http://www.acme.test:8080");
	assert_string_equal(url(shop, "c", "*.acme.test"), "http://*.acme.test:8080");
	assert_string_equal(url(shop, "d", "a.b.acme.test"), "http://a.b.acme.test:8080");
	/* A list names all there is. */
	assert_says(url(shop, "e", NULL), "do not allow");
	assert_says(url(shop, "e", "acme.test"), "do not allow");
	assert_says(url(shop, "e", "web-1.other.test"), "do not allow");
	assert_says(url(shop, "e", "*.test"), "do not allow");
	assert_says(ask(shop, "http", "e", ",\"random\":true")->error, "random");
	/* Whose entry says what it offers offers nothing else. */
	assert_says(url(shut, "a", NULL), "do not allow");
	assert_says(ask(shut, "http", "a", ",\"random\":true")->error, "random");
}

static void
a_reload_ends_what_is_not_allowed_any_more(void **state)
{
	(void)state;
	leave(agent);
	relaytest_creds(&r, CREDS(ENTRY("lab", ",\"hosts\":[\"*\"]")));
	agent = log_in("lab");
	url(agent, "a", "shop");
	url(agent, "b", "www.acme.test");
	url(agent, "c", "pi");
	publish_check(w);
	assert_string_equal(whose("pi." D), "lab:c");
	/* Somebody has that name now. */
	relaytest_creds(&r, CREDS(ENTRY("lab", ",\"hosts\":[\"*\"]") "," ENTRY("pi", "")));
	publish_check(w);
	assert_string_equal(whose("pi." D), "away");
	assert_string_equal(whose("shop." D), "lab:a");
	relaytest_creds(&r, CREDS(ENTRY("lab", ",\"hosts\":[\"shop\"]")));
	publish_check(w);
	assert_string_equal(whose("shop." D), "lab:a");
	assert_string_equal(whose("www.acme.test"), "none");
	relaytest_creds(&r, CREDS(ENTRY("pi", "")));
	publish_check(w);
	assert_string_equal(whose("shop." D), "none");
}

static void
a_label_is_kept_for_its_agent(void **state)
{
	struct fake_session *lab, *pi;

	(void)state;
	leave(agent);
	relaytest_creds(&r, CREDS(ENTRY("lab", ",\"hosts\":[\"*\"]") "," ENTRY("Pi", "")));
	lab = log_in("lab");
	assert_says(url(lab, "a", "pi"), "kept for the agent of that name, Pi");
	assert_says(url(lab, "a", "pi." D), "kept for the agent of that name");
	assert_string_equal(whose("pi." D), "away");
	assert_string_equal(whose("lab." D), "none");
	/* Whoever has all the rest has it no more than others. */
	assert_string_equal(url(lab, "w", "*." D), "http://*." D ":8080");
	assert_string_equal(whose("pi." D), "away");
	assert_string_equal(whose("x." D), "lab:w");
	assert_string_equal(whose("x.pi." D), "lab:w");
	pi = log_in("Pi");
	assert_string_equal(whose("pi." D), "none");
	assert_string_equal(url(pi, "p", NULL), "http://pi." D ":8080");
	assert_string_equal(whose("pi." D), "Pi:p");
	leave(pi);
	/* In its grace period it is still found, and its visitors wait there. */
	assert_string_equal(whose("pi." D), "Pi:p");
}

static void
services_of_all_kinds_count(void **state)
{
	struct fake_session *f;

	(void)state;
	relaytest_creds(&r, CREDS(ENTRY("pi", ",\"hosts\":[\"*\"],\"max-services\":2")));
	leave(agent);
	f = log_in("pi");
	assert_true(ask(f, "http", "a", "")->ok);
	assert_int_not_equal(publictest_publish(f, "ssh", ""), 0);
	assert_says(url(f, "b", "b"), "may publish 2 services");
	assert_true(ask(f, "http", "a", "")->ok);
}

/* ---- away and back ---- */

static void
the_hosts_stay_for_the_agent_that_comes_back(void **state)
{
	struct publication *pub;

	(void)state;
	url(agent, "a", "shop");
	url(agent, "old", "old");
	pub = publictest_find(w, "pi", "a");
	leave(agent);
	assert_string_equal(whose("shop." D), "pi:a");
	assert_int_equal(pub->state, PUBLICATION_AWAY);
	/* The holder keeps it until its grace ends. */
	assert_says(url(relaytest_login(&r, 0, CTL_AGENT, "lab"), "a", "shop"), "belongs to");
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	assert_string_equal(url(agent, "a", "shop"), "http://shop." D ":8080");
	assert_ptr_equal(publictest_find(w, "pi", "a"), pub);
	assert_int_equal(pub->state, PUBLICATION_LIVE);
	/* Of what it does not ask for again it may use the host otherwise. */
	assert_string_equal(url(agent, "new", "old"), "http://old." D ":8080");
	assert_string_equal(whose("old." D), "pi:new");
	assert_null(publictest_find(w, "pi", "old"));
}

static void
the_host_is_anybodys_after_the_grace_period(void **state)
{
	(void)state;
	r.opts.grace_ms = 0;
	url(agent, "a", "shop");
	leave(agent);
	while (w->groups != NULL)
		relaytest_settle(&r);
	assert_string_equal(whose("shop." D), "none");
	assert_string_equal(
	    url(relaytest_login(&r, 0, CTL_AGENT, "lab"), "a", "shop"), "http://shop." D ":8080");
}

/* ---- random names ---- */

static void
random_names_are_the_key_and_who_asks(void **state)
{
	static const uint8_t key[STATE_KEY_LEN] = { 1, 2, 3 };
	char first[REQUEST_PUBLIC_MAX + 1], more[512];
	const struct request_reply *a;

	(void)state;
	names_set_key(&r.ingress.names, key);
	a = ask(agent, "http", "a", ",\"random\":true");
	assert_true(a->ok);
	snprintf(first, sizeof first, "%s", a->host);
	assert_int_equal(strcspn(first, "."), NAMES_RANDOM_LEN);
	assert_string_equal(whose(first), "pi:a");
	/* Again, and by another service. */
	assert_string_equal(ask(agent, "http", "a", ",\"random\":true")->host, first);
	a = ask(agent, "http", "b", ",\"random\":true");
	assert_true(a->ok);
	assert_string_not_equal(a->host, first);
	/* The key decides, whatever the agent says that it had. */
	snprintf(more, sizeof more, ",\"random\":true,\"had_host\":\"%s\"", first);
	a = ask(agent, "http", "c", more);
	assert_true(a->ok);
	assert_string_not_equal(a->host, first);
}

static void
without_a_key_that_lasts_the_agent_says_what_it_had(void **state)
{
	static const char had[] = "abcdefghijklmnopqrstuvwxyz";
	struct fake_session *other = relaytest_login(&r, 0, CTL_AGENT, "lab");
	char more[128];

	(void)state;
	snprintf(more, sizeof more, ",\"random\":true,\"had_host\":\"%s." D "\"", had);
	assert_string_equal(
	    ask(agent, "http", "a", more)->public, "http://abcdefghijklmnopqrstuvwxyz." D ":8080");
	/* It is taken; and what is no random name is nobody's to have so. */
	assert_true(ask(other, "http", "a", more)->ok);
	assert_string_equal(whose("abcdefghijklmnopqrstuvwxyz." D), "pi:a");
	assert_true(ask(other, "http", "b", ",\"random\":true,\"had_host\":\"shop." D "\"")->ok);
	assert_string_equal(whose("shop." D), "none");
	assert_string_equal(
	    ask(agent, "http", "a", ",\"random\":true")->host, "abcdefghijklmnopqrstuvwxyz." D);
}

/* ---- memory ---- */

static void
want_of_memory_is_an_answer_or_none(void **state)
{
	bool done = false;

	(void)state;
	publictest_web(&r, 80, 0, D, "other.test");
	for (long n = 0; !done; n++) {
		int before = agent->n_control;
		bool there, yes;

		assert_true(n < 300);
		mem_fail_after(n);
		fake_control(agent,
		    "{\"id\":5,\"request\":\"publish\",\"kind\":\"http\",\"service\":\"a\","
		    "\"host\":\"shop\",\"add_fields\":[\"A: b\"],\"max_rate\":7}");
		mem_fail_after(MEM_NO_FAIL);
		there = publictest_find(w, "pi", "a") != NULL;
		yes = agent->n_control > before && strstr(agent->control, "\"ok\":true") != NULL;
		assert_true(there || !yes);
		done = yes;
		/* Nothing is held by what has failed, and all by what has not. */
		assert_string_equal(whose("shop." D), there ? "pi:a" : "none");
		assert_string_equal(whose("shop.other.test"), there ? "pi:a" : "none");
		if (there)
			publictest_ask(
			    agent, "\"request\":\"withdraw\",\"kind\":\"http\",\"service\":\"a\"");
		relaytest_settle(&r);
	}
	assert_string_equal(whose("shop." D), "none");
}

static void
publish_once(void)
{
	assert_true(ask(agent, "http", "a", ",\"auth\":{\"a\":\"" HEX "\"}")->ok);
	assert_true(ask(agent, "http", "b", ",\"random\":true")->ok);
	assert_true(ask(agent, "http", "b", ",\"host\":\"moved\"")->ok);
	assert_false(ask(agent, "http", "c", ",\"host\":\"moved\"")->ok);
	publish_stop(w);
	relaytest_settle(&r);
}

static void
nothing_is_left_behind(void **state)
{
	(void)state;
	heap_is_given_back(publish_once);
	assert_string_equal(whose("pi." D), "none");
	assert_string_equal(whose("moved." D), "none");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_agent_has_its_own_name),
		T(a_label_stands_under_every_domain),
		T(a_star_is_the_first_label_of_any_host),
		T(where_nothing_can_be_published_it_is_said_why),
		T(no_wildcard_covers_the_relays_own_hosts),
		T(a_host_has_one_holder),
		T(a_service_may_move),
		T(what_it_says_of_requests_is_taken_over),
		T(one_that_is_over_can_still_be_read),
		T(the_credentials_say_which_hosts),
		T(a_reload_ends_what_is_not_allowed_any_more),
		T(a_label_is_kept_for_its_agent),
		T(services_of_all_kinds_count),
		T(the_hosts_stay_for_the_agent_that_comes_back),
		T(the_host_is_anybodys_after_the_grace_period),
		T(random_names_are_the_key_and_who_asks),
		T(without_a_key_that_lasts_the_agent_says_what_it_had),
		T(want_of_memory_is_an_answer_or_none),
		T(nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
