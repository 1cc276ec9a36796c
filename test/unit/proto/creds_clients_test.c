/* SPDX-License-Identifier: ISC */
/*
 * creds_clients_test - keys in place of secrets: in a relay's credentials, where "e2e" is a right,
 * and in an agent's own file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/creds_clients.h"
#include "test/by_secret.h"

#define NOW 1800000000 /* 2027-01-15 */
#define K1 "tunnel-pub-AyKE7TqQYgOqZVLbPWdlcswHmqLrKhAQhnbPp8-aj-to"
#define K2 "tunnel-pub-A-s1Jx4DshpTPe9nzFYrZWvEGt5BIRL7O-LymNpMsCWH"
#define K3 "tunnel-pub-A_fU8zFvcP53u7xHahjj7R9bvkDo7G68jO_SOv6ACZmg"

static const char relays[] =
    "{\"edge-agents\":{\"pi\":{\"key\":[\"" K1 "\",\"" K2 "\"]},\"gate\":{\"secret\":\"g\","
    "\"services\":[\"web\"]},\"two\":{\"key\":\"" K3 "\",\"secret\":\"t\"}},"
    "\"access-client-secrets\":[\"shared\"],"
    "\"clients\":{\"alice\":{\"key\":\"" K1 "\",\"agents\":[\"pi\",\"g*\"],\"e2e\":true},"
    "\"bob\":{\"secret\":\"b\",\"agents\":[\"*\"],\"targets\":[\"*\",\"*:*\"],\"e2e\":false},"
    "\"carol\":{\"key\":\"" K2 "\",\"secret\":\"c\",\"e2e\":true,"
    "\"expires\":\"2027-01-01T00:00:00Z\"}}}";

static const char agents[] =
    "{\"clients\":{\"alice\":{\"key\":[\"" K1 "\",\"" K2 "\"],\"targets\":[\"ssh\",\"web-*\","
    "\"10.0.0.0/8:443\",\"*.lan:22\"],\"max-sessions\":3,\"max-streams\":5,"
    "\"max-memory\":\"1m\"},"
    "\"bob\":{\"key\":\"" K3 "\",\"expires\":\"2027-01-01T00:00:00Z\"}}}";

typedef int parse_fn(const void *p, size_t n, struct creds **out, struct errtext *e);

static struct creds *
parsed(parse_fn *parse, const char *text)
{
	struct creds *c = NULL;
	struct errtext e = { "" };

	if (parse(text, strlen(text), &c, &e) != 0)
		fail_msg("%s", e.s);
	return c;
}

static void
is_refused(parse_fn *parse, const char *text, const char *why)
{
	struct creds *c = NULL;
	struct errtext e = { "" };

	assert_int_equal(parse(text, strlen(text), &c, &e), ERR_INVALID);
	assert_null(c);
	if (strstr(e.s, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.s, why);
}

static const uint8_t *
point(const char *text)
{
	static uint8_t p[KEYS_POINT_LEN];
	struct errtext e;

	assert_int_equal(keys_point(text, strlen(text), p, &e), 0);
	return p;
}

/* ---- at a relay ---- */

static void
agents_are_known_by_name_and_key_together(void **state)
{
	struct creds *c = parsed(creds_parse, relays);
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_KEY(point(K1)), NOW, &id), 0);
	assert_int_equal(id.kind, CREDS_AGENT);
	assert_string_equal(id.name, "pi");
	assert_true(creds_still_valid(c, &id, NOW));
	assert_int_equal(creds_agent(c, "pi", BY_KEY(point(K2)), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "pi", BY_KEY(point(K3)), NOW, &id), ERR_DENIED);
	assert_int_equal(id.kind, CREDS_NOBODY);
	assert_int_equal(creds_agent(c, "gate", BY_KEY(point(K1)), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "none", BY_KEY(point(K1)), NOW, &id), ERR_DENIED);
	creds_unref(c);
}

static void
an_entry_with_a_key_admits_a_secret_only_if_it_has_one(void **state)
{
	struct creds *c = parsed(creds_parse, relays);
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_SECRET(""), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET(K1), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "two", BY_SECRET("t"), NOW, &id), 0);
	assert_false(id.by_key);
	assert_int_equal(creds_agent(c, "two", BY_KEY(point(K3)), NOW, &id), 0);
	assert_true(id.by_key);
	assert_int_equal(creds_client(c, BY_SECRET(K1), NOW, &id), ERR_DENIED);
	creds_unref(c);
}

static void
a_client_is_known_by_its_key_alone(void **state)
{
	struct creds *c = parsed(creds_parse, relays);
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_client(c, BY_KEY(point(K1)), NOW, &id), 0);
	assert_int_equal(id.kind, CREDS_CLIENT);
	assert_string_equal(id.name, "alice");
	assert_int_equal(creds_client(c, BY_KEY(point(K2)), NOW, &id), ERR_TIMEOUT);
	assert_int_equal(creds_client(c, BY_KEY(point(K3)), NOW, &id), ERR_DENIED);
	creds_unref(c);
}

static void
a_key_that_is_gone_is_revoked(void **state)
{
	struct creds *c = parsed(creds_parse, relays);
	struct creds *d = parsed(creds_parse,
	    "{\"edge-agents\":{\"pi\":{\"key\":\"" K2 "\"},\"two\":{\"secret\":\"t\"}}}");
	struct creds_id old, kept, two;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_KEY(point(K1)), NOW, &old), 0);
	assert_int_equal(creds_agent(c, "pi", BY_KEY(point(K2)), NOW, &kept), 0);
	assert_int_equal(creds_agent(c, "two", BY_KEY(point(K3)), NOW, &two), 0);
	assert_false(creds_still_valid(d, &old, NOW));
	assert_true(creds_still_valid(d, &kept, NOW));
	assert_false(creds_still_valid(d, &two, NOW));
	creds_unref(c);
	creds_unref(d);
}

static bool
may(const struct creds *c, const struct creds_id *id, const char *agent, bool e2e)
{
	struct ctl_open o = { .protocol = "tcp", .service = "web" };

	if (e2e)
		o = (struct ctl_open){ .protocol = CTL_E2E };
	return creds_client_may(c, id, agent, &o, NOW);
}

static void
end_to_end_is_a_right_that_no_targets_bind(void **state)
{
	struct creds *c = parsed(creds_parse, relays);
	struct creds_id alice, bob, shared;

	(void)state;
	assert_int_equal(creds_client(c, BY_KEY(point(K1)), NOW, &alice), 0);
	assert_int_equal(creds_client(c, BY_SECRET("b"), NOW, &bob), 0);
	assert_int_equal(creds_client(c, BY_SECRET("shared"), NOW, &shared), 0);
	assert_true(may(c, &alice, "pi", true));
	assert_true(may(c, &alice, "gate", true));
	assert_false(may(c, &alice, "two", true));
	/* What the relay can see she has no target for. */
	assert_false(may(c, &alice, "pi", false));
	/* Who may open everything else may not open what nobody sees. */
	assert_true(may(c, &bob, "pi", false));
	assert_false(may(c, &bob, "pi", true));
	assert_true(may(c, &shared, "pi", false));
	assert_false(may(c, &shared, "pi", true));
	creds_unref(c);
}

static void
entries_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	is_refused(creds_parse, "{\"edge-agents\":{\"pi\":{}}}", "missing");
	is_refused(creds_parse, "{\"clients\":{\"a\":{\"agents\":[\"*\"]}}}", "missing");
	is_refused(creds_parse, "{\"clients\":{\"a\":{\"key\":7}}}", "string");
	is_refused(creds_parse, "{\"clients\":{\"a\":{\"key\":\"tunnel-pub-x\"}}}", "key");
	is_refused(creds_parse, "{\"clients\":{\"a\":{\"secret\":\"s\",\"e2e\":1}}}", "e2e");
	is_refused(creds_parse,
	    "{\"clients\":{\"a\":{\"key\":\"" K1 "\"},\"b\":{\"key\":\"" K1 "\"}}}", "same");
}

/* ---- at an agent ---- */

static bool
opens(const struct creds *c, const struct creds_id *id, const char *service, const char *host)
{
	struct ctl_open o = { .protocol = "tcp", .port = host[0] != '\0' ? 22 : 0 };

	snprintf(o.service, sizeof o.service, "%s", service);
	snprintf(o.host, sizeof o.host, "%s", host);
	return creds_clients_open(c, id, &o, NOW);
}

static bool
dials(const struct creds *c, const char *client, const char *host, const char *ip, uint16_t port)
{
	struct addr a;

	assert_true(addr_literal(ip, port, &a));
	return creds_clients_dial(c, client, host, &a);
}

static void
an_agents_client_reaches_what_its_targets_name(void **state)
{
	struct creds *c = parsed(creds_clients_parse, agents);
	struct creds_limits l;
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_client(c, BY_KEY(point(K2)), NOW, &id), 0);
	assert_string_equal(id.name, "alice");
	assert_true(opens(c, &id, "ssh", ""));
	assert_true(opens(c, &id, "web-1", ""));
	assert_false(opens(c, &id, "db", ""));
	/* A host and port is judged by what is dialled. */
	assert_true(opens(c, &id, "", "nas.lan"));
	assert_true(dials(c, "alice", "10.1.2.3", "10.1.2.3", 443));
	assert_true(dials(c, "alice", "some.name", "10.1.2.3", 443));
	assert_false(dials(c, "alice", "10.1.2.3", "10.1.2.3", 22));
	assert_true(dials(c, "alice", "nas.lan", "192.0.2.1", 22));
	assert_false(dials(c, "alice", "nas.lan", "127.0.0.1", 22));
	assert_false(dials(c, "bob", "10.1.2.3", "10.1.2.3", 443));
	assert_false(dials(c, "nobody", "10.1.2.3", "10.1.2.3", 443));
	creds_limits(c, &id, &l);
	assert_int_equal(l.sessions, 3);
	assert_int_equal(l.streams, 5);
	assert_int_equal(l.memory, 1024 * 1024);
	creds_unref(c);
}

static void
who_has_expired_opens_nothing(void **state)
{
	struct creds *c = parsed(creds_clients_parse, agents);
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_client(c, BY_KEY(point(K3)), NOW, &id), ERR_TIMEOUT);
	assert_int_equal(creds_client(c, BY_KEY(point(K3)), 1798000000, &id), 0);
	assert_false(opens(c, &id, "", "10.1.2.3"));
	creds_unref(c);
}

static void
an_agents_file_has_no_place_for_a_relays_things(void **state)
{
	(void)state;
	is_refused(creds_clients_parse, "[]", "object");
	is_refused(creds_clients_parse, "{\"edge-agents\":{}}", "edge-agents");
	is_refused(creds_clients_parse, "{\"access-client-secrets\":[]}", "access-client-secrets");
	is_refused(creds_clients_parse, "{\"clients\":{\"a\":\"s\"}}", "object");
	is_refused(creds_clients_parse, "{\"clients\":{\"a\":{}}}", "key");
	is_refused(creds_clients_parse,
	    "{\"clients\":{\"a\":{\"key\":\"" K1 "\",\"secret\":\"s\"}}}", "secret");
	is_refused(creds_clients_parse, "{\"clients\":{\"a\":{\"key\":\"" K1 "\",\"agents\":[]}}}",
	    "agents");
	is_refused(
	    creds_clients_parse, "{\"clients\":{\"a\":{\"key\":\"" K1 "\",\"e2e\":true}}}", "e2e");
	is_refused(creds_clients_parse,
	    "{\"clients\":{\"a\":{\"key\":\"" K1 "\",\"max-opens\":5}}}", "max-opens");
	is_refused(creds_clients_parse,
	    "{\"clients\":{\"a\":{\"key\":\"" K1 "\"},\"b\":{\"key\":\"" K1 "\"}}}", "same");
	is_refused(creds_clients_parse,
	    "{\"clients\":{\"a\":{\"key\":\"" K1 "\",\"targets\":[\"a:b:c\"]}}}", "targets");
}

static void
without_memory_nothing_is_left_behind(void **state)
{
	(void)state;
	for (long i = 0; i < 400; i++) {
		struct creds *c = NULL;
		struct errtext e;
		int r;

		mem_fail_after(i);
		r = creds_clients_parse(agents, strlen(agents), &c, &e);
		mem_fail_after(MEM_NO_FAIL);
		if (r == 0) {
			creds_unref(c);
			return;
		}
		assert_null(c);
	}
	fail_msg("it never had enough");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agents_are_known_by_name_and_key_together),
		cmocka_unit_test(an_entry_with_a_key_admits_a_secret_only_if_it_has_one),
		cmocka_unit_test(a_client_is_known_by_its_key_alone),
		cmocka_unit_test(a_key_that_is_gone_is_revoked),
		cmocka_unit_test(end_to_end_is_a_right_that_no_targets_bind),
		cmocka_unit_test(entries_that_make_no_sense_are_refused),
		cmocka_unit_test(an_agents_client_reaches_what_its_targets_name),
		cmocka_unit_test(who_has_expired_opens_nothing),
		cmocka_unit_test(an_agents_file_has_no_place_for_a_relays_things),
		cmocka_unit_test(without_memory_nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
