/* SPDX-License-Identifier: ISC */
/*
 * creds_publish_test - which ports of the relay an agent may take, which hosts it may have and how
 * many services it may publish, as its entry of the credentials says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/creds.h"
#include "proto/creds_publish.h"
#include "test/by_secret.h"

#define NOW 1800000000
/* An agent's entry with more than its secret. */
#define ENTRY(more) "{\"edge-agents\":{\"pi\":{\"secret\":\"s\"" more "}}}"

static struct creds *
parsed(const char *text)
{
	struct creds *c = NULL;
	struct errtext e;

	errtext_clear(&e);
	if (creds_parse(text, strlen(text), &c, &e) != 0)
		fail_msg("%s", e.s);
	return c;
}

static struct creds_id
agent(const struct creds *c, const char *name, const char *secret)
{
	struct creds_id id;

	assert_int_equal(creds_agent(c, name, BY_SECRET(secret), NOW, &id), 0);
	return id;
}

/* refused - the sentence that says why, never empty and without the secret. */
static const char *
refused(const char *text)
{
	static struct errtext e;
	struct creds *c = NULL;

	errtext_clear(&e);
	if (creds_parse(text, strlen(text), &c, &e) == 0)
		fail_msg("taken: %s", text);
	assert_null(c);
	assert_true(e.s[0] != '\0');
	return e.s;
}

static void
without_credentials_any_port_may_be_had(void **state)
{
	struct creds_id nobody = { .kind = CREDS_NOBODY };

	(void)state;
	assert_true(creds_agent_may_publish(NULL, &nobody, 1));
	assert_true(creds_agent_may_publish(NULL, &nobody, 65535));
	assert_int_equal(creds_agent_next_port(NULL, &nobody, 7), 7);
	assert_int_equal(creds_max_services(NULL, &nobody), 16);
}

static void
an_entry_that_says_nothing_has_any_port_and_16_services(void **state)
{
	struct creds *c = parsed("{\"edge-agents\":{\"pi\":\"p\",\"lab\":{\"secret\":\"l\","
				 "\"services\":[\"ssh\"],\"max-streams\":5}}}");
	struct creds_id pi = agent(c, "pi", "p"), lab = agent(c, "lab", "l");

	(void)state;
	assert_true(creds_agent_may_publish(c, &pi, 1));
	assert_true(creds_agent_may_publish(c, &pi, 65535));
	assert_true(creds_agent_may_publish(c, &lab, 22));
	assert_int_equal(creds_max_services(c, &pi), 16);
	assert_int_equal(creds_max_services(c, &lab), 16);
	creds_unref(c);
}

static void
only_the_ports_of_its_list_may_be_had(void **state)
{
	struct creds *c = parsed(
	    ENTRY(",\"ports\":[2222,\"6000-6010\",\"7000\",\"65535\",1],\"max-services\":0"));
	static const uint16_t yes[] = { 1, 2222, 6000, 6005, 6010, 7000, 65535 };
	static const uint16_t no[] = { 0, 2, 2221, 2223, 5999, 6011, 6999, 7001, 65534 };
	static const uint16_t next[][2] = { { 1, 1 }, { 2, 2222 }, { 2223, 6000 }, { 6003, 6003 },
		{ 6011, 7000 }, { 7001, 65535 }, { 65535, 65535 } };
	struct creds_id id = agent(c, "pi", "s");

	(void)state;
	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
		assert_true(creds_agent_may_publish(c, &id, yes[i]));
	for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
		assert_false(creds_agent_may_publish(c, &id, no[i]));
	for (size_t i = 0; i < sizeof next / sizeof next[0]; i++)
		assert_int_equal(creds_agent_next_port(c, &id, next[i][0]), next[i][1]);
	/* The two members say nothing of each other. */
	assert_int_equal(creds_max_services(c, &id), 0);
	creds_unref(c);
}

static void
an_empty_list_admits_no_port(void **state)
{
	struct creds *c = parsed(ENTRY(",\"ports\":[]"));
	struct creds_id id = agent(c, "pi", "s");

	(void)state;
	for (unsigned port = 0; port <= UINT16_MAX; port++)
		assert_false(creds_agent_may_publish(c, &id, (uint16_t)port));
	assert_int_equal(creds_agent_next_port(c, &id, 1), 0);
	assert_int_equal(creds_max_services(c, &id), 16);
	creds_unref(c);
}

static void
who_is_no_agent_of_the_file_may_publish_nothing(void **state)
{
	struct creds *c = parsed("{\"edge-agents\":{\"pi\":{\"secret\":\"p\",\"max-services\":7},"
				 "\"gone\":\"g\"},\"access-client-secrets\":[\"shared\"],"
				 "\"clients\":{\"pi\":{\"secret\":\"c\"}}}");
	struct creds *later = parsed("{\"edge-agents\":{\"pi\":{\"secret\":\"p\",\"ports\":[80],"
				     "\"max-services\":8}}}");
	struct creds_id pi = agent(c, "pi", "p"), gone = agent(c, "gone", "g"), id;

	(void)state;
	assert_int_equal(creds_client(c, BY_SECRET("c"), NOW, &id), 0);
	assert_string_equal(id.name, "pi");
	assert_false(creds_agent_may_publish(c, &id, 80));
	assert_int_equal(creds_max_services(c, &id), 16);
	assert_int_equal(creds_client(c, BY_SECRET("shared"), NOW, &id), 0);
	assert_false(creds_agent_may_publish(c, &id, 80));
	memset(&id, 0, sizeof id);
	assert_false(creds_agent_may_publish(c, &id, 80));
	/* After a reload what the new file says holds. */
	assert_true(creds_agent_may_publish(c, &gone, 80));
	assert_false(creds_agent_may_publish(later, &gone, 80));
	assert_int_equal(creds_max_services(later, &gone), 16);
	assert_true(creds_agent_may_publish(c, &pi, 81));
	assert_int_equal(creds_agent_next_port(c, &id, 80), 0);
	assert_int_equal(creds_agent_next_port(later, &pi, 81), 0);
	assert_false(creds_agent_may_publish(later, &pi, 81));
	assert_int_equal(creds_max_services(c, &pi), 7);
	assert_int_equal(creds_max_services(later, &pi), 8);
	creds_unref(c);
	creds_unref(later);
}

static void
the_number_of_services_has_bounds(void **state)
{
	struct creds *c = parsed(ENTRY(",\"max-services\":1000"));
	struct creds_id id = agent(c, "pi", "s");

	(void)state;
	assert_int_equal(creds_max_services(c, &id), 1000);
	creds_unref(c);
	assert_non_null(strstr(refused(ENTRY(",\"max-services\":1001")), "\"max-services\""));
	assert_non_null(strstr(refused(ENTRY(",\"max-services\":-1")), "\"pi\""));
	refused(ENTRY(",\"max-services\":\"16\""));
	refused(ENTRY(",\"max-services\":1.0"));
	refused(ENTRY(",\"max-services\":[]"));
}

static void
what_is_no_port_is_refused_with_its_place(void **state)
{
	static const char *const bad[] = { "0", "65536", "-1", "80.0", "true", "null", "[80]", "{}",
		"\"\"", "\"0\"", "\"0-80\"", "\"80-\"", "\"-80\"", "\"90-80\"", "\"80-65536\"",
		"\"*\"", "\" 80\"", "\"80-90-100\"", "\"ssh\"" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[128];

		snprintf(text, sizeof text, ENTRY(",\"ports\":[2222,%s,80]"), bad[i]);
		assert_non_null(strstr(refused(text), "edge-agents: \"pi\": \"ports\": item 2: "));
	}
	refused(ENTRY(",\"ports\":80"));
	refused(ENTRY(",\"ports\":\"80\""));
	refused(ENTRY(",\"ports\":{}"));
	/* Clients publish nothing. */
	assert_non_null(strstr(
	    refused("{\"clients\":{\"bob\":{\"secret\":\"b\",\"ports\":[80]}}}"), "\"ports\""));
	refused("{\"clients\":{\"bob\":{\"secret\":\"b\",\"max-services\":1}}}");
}

/* ---- hosts ---- */

static bool
may(const struct creds *c, const struct creds_id *id, const char *label, const char *domain)
{
	char host[256];

	snprintf(host, sizeof host, "%s%s%s", label, label[0] != '\0' ? "." : "", domain);
	return creds_agent_may_host(c, id, label, host);
}

static void
without_a_list_an_agent_has_its_own_name(void **state)
{
	struct creds *c =
	    parsed("{\"edge-agents\":{\"Pi\":\"p\",\"lab\":{\"secret\":\"l\","
		   "\"targets\":[\"*:*\"]},\"den\":{\"secret\":\"d\",\"ports\":[]}}}");
	struct creds_id pi = agent(c, "Pi", "p"), lab = agent(c, "lab", "l"),
			den = agent(c, "den", "d"), nobody = { .kind = CREDS_NOBODY };

	(void)state;
	assert_true(may(c, &pi, "pi", "t.test"));
	assert_true(may(c, &pi, "pi", "u.test"));
	assert_false(may(c, &pi, "lab", "t.test"));
	assert_false(may(c, &pi, "", "pi"));
	assert_false(may(c, &pi, "", "www.acme.test"));
	assert_true(creds_agent_may_random(c, &pi));
	/* Of the web nothing was said, and the rest is limited. */
	assert_false(may(c, &lab, "lab", "t.test"));
	assert_false(creds_agent_may_random(c, &lab));
	assert_true(may(c, &den, "den", "t.test"));
	assert_false(may(c, &nobody, "pi", "t.test"));
	assert_false(creds_agent_may_random(c, &nobody));
	assert_true(may(NULL, &nobody, "pi", "t.test"));
	assert_true(creds_agent_may_random(NULL, &nobody));
	assert_string_equal(creds_agent_of_label(c, "pi"), "Pi");
	assert_string_equal(creds_agent_of_label(c, "LAB"), "lab");
	assert_null(creds_agent_of_label(c, "p"));
	assert_null(creds_agent_of_label(c, ""));
	assert_null(creds_agent_of_label(NULL, "pi"));
	creds_unref(c);
}

static void
a_list_names_labels_hosts_and_patterns(void **state)
{
	struct creds *c = parsed("{\"edge-agents\":{\"pi\":{\"secret\":\"p\",\"hosts\":[\"Shop\","
				 "\"web-*\",\"*.Acme.test\",\"www.x.test\"]},"
				 "\"all\":{\"secret\":\"a\",\"hosts\":[\"*\"],\"services\":[]},"
				 "\"none\":{\"secret\":\"n\",\"hosts\":[]},"
				 "\"luck\":{\"secret\":\"r\",\"hosts\":[\"random\"]}}}");
	struct creds_id pi = agent(c, "pi", "p"), all = agent(c, "all", "a"),
			none = agent(c, "none", "n"), luck = agent(c, "luck", "r");

	(void)state;
	assert_true(may(c, &pi, "shop", "t.test"));
	assert_true(may(c, &pi, "web-1", "t.test"));
	assert_true(may(c, &pi, "", "www.x.test"));
	assert_true(may(c, &pi, "", "a.acme.test"));
	assert_true(may(c, &pi, "", "a.b.acme.test"));
	assert_true(may(c, &pi, "", "*.acme.test"));
	/* An item without a dot is no name, and one with a dot no label. */
	assert_false(may(c, &pi, "", "shop.evil.test"));
	assert_false(may(c, &pi, "", "web-1.evil.test"));
	assert_false(may(c, &pi, "", "acme.test"));
	assert_false(may(c, &pi, "", "xacme.test"));
	assert_false(may(c, &pi, "", "*.x.test"));
	assert_false(may(c, &pi, "pi", "t.test"));
	assert_false(creds_agent_may_random(c, &pi));
	assert_true(may(c, &all, "pi", "t.test"));
	assert_true(may(c, &all, "", "a.b"));
	assert_true(creds_agent_may_random(c, &all));
	assert_false(may(c, &none, "none", "t.test"));
	assert_false(creds_agent_may_random(c, &none));
	assert_true(creds_agent_may_random(c, &luck));
	assert_false(may(c, &luck, "luck", "t.test"));
	creds_unref(c);
	/* Stars that are not alone stand for labels. */
	c = parsed(ENTRY(",\"hosts\":[\"**\"]"));
	pi = agent(c, "pi", "s");
	assert_true(may(c, &pi, "shop", "t.test"));
	assert_false(may(c, &pi, "", "www.x.test"));
	creds_unref(c);
}

static void
what_is_no_pattern_of_hosts_is_refused_with_its_place(void **state)
{
	static const char *const bad[] = { "7", "true", "null", "[]", "\"\"", "\"a b\"", "\"a/b\"",
		"\"a:80\"", "\"caf\\u00e9.test\"" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[200];

		snprintf(text, sizeof text, ENTRY(",\"hosts\":[\"a\",%s]"), bad[i]);
		assert_non_null(strstr(refused(text), "\"hosts\": item 2"));
	}
	refused(ENTRY(",\"hosts\":\"*\""));
	refused(ENTRY(",\"hosts\":{}"));
}

static void
the_list_has_a_limit(void **state)
{
	(void)state;
	for (int over = 0; over < 2; over++) {
		char text[8 * CREDS_LIST_MAX];
		size_t n = (size_t)snprintf(
		    text, sizeof text, "{\"edge-agents\":{\"pi\":{\"secret\":\"s\",\"ports\":[1");
		struct creds *c = NULL;

		for (int i = 1; i < CREDS_LIST_MAX + over; i++)
			n += (size_t)snprintf(text + n, sizeof text - n, ",%d", i);
		n += (size_t)snprintf(text + n, sizeof text - n, "]}}}");
		assert_int_equal(creds_parse(text, n, &c, NULL), over ? ERR_LIMIT : 0);
		creds_unref(c);
	}
}

static void
what_is_published_unasked_is_a_request_with_a_target(void **state)
{
	struct creds *c =
	    parsed(ENTRY(",\"publish\":[{\"kind\":\"tcp\",\"service\":\"ssh\",\"port\":2222,"
			 "\"target\":\"127.0.0.1:22\",\"allow\":[\"10.0.0.0/8\"],\"proxy\":2},"
			 "{\"kind\":\"http\",\"service\":\"web\",\"host\":\"Shop\","
			 "\"target\":\"[::1]:80\",\"timeout_ms\":5}]"));
	struct creds_id id = agent(c, "pi", "s"), nobody = { .kind = CREDS_NOBODY };
	const struct creds_published *x;
	size_t n;

	(void)state;
	x = creds_agent_published(c, &id, &n);
	assert_int_equal(n, 2);
	assert_string_equal(x[0].what.kind, "tcp");
	assert_string_equal(x[0].what.service, "ssh");
	assert_int_equal(x[0].what.port, 2222);
	assert_int_equal(x[0].what.rules.n_allow, 1);
	assert_int_equal(x[0].what.rules.proxy, 2);
	assert_string_equal(x[0].host, "127.0.0.1");
	assert_int_equal(x[0].port, 22);
	assert_string_equal(x[1].what.host, "shop");
	assert_string_equal(x[1].host, "::1");
	assert_int_equal(x[1].port, 80);
	creds_agent_published(c, &nobody, &n);
	assert_int_equal(n, 0);
	creds_agent_published(NULL, &id, &n);
	assert_int_equal(n, 0);
	creds_unref(c);
}

static void
what_cannot_be_published_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ ENTRY(",\"publish\":{}"), "\"publish\" must be an array" },
		{ ENTRY(",\"publish\":[1]"), "\"publish\": item 1: must be an object" },
		{ ENTRY(",\"publish\":[{\"kind\":\"tcp\",\"service\":\"a\"}]"),
		    "item 1: \"target\" is missing" },
		{ ENTRY(",\"publish\":[{\"kind\":\"tcp\",\"service\":\"a\",\"target\":\"b\"}]"),
		    "item 1: " },
		{ ENTRY(",\"publish\":[{\"kind\":\"tcp\",\"target\":\"b:1\"}]"),
		    "item 1: \"service\" is missing" },
		{ ENTRY(",\"publish\":[{\"service\":\"a\",\"target\":\"b:1\"}]"),
		    "item 1: \"kind\" is missing" },
		{ ENTRY(",\"publish\":[{\"kind\":\"tcp\",\"service\":\"a\",\"target\":\"b:1\","
			"\"prot\":5}]"),
		    "item 1: unknown key \"prot\"; did you mean \"port\"?" },
		{ ENTRY(",\"publish\":[{\"kind\":\"tcp\",\"service\":\"a\",\"target\":\"b:1\","
			"\"id\":5}]"),
		    "unknown key \"id\"" },
		{ ENTRY(",\"max-services\":0,\"publish\":[{\"kind\":\"tcp\",\"service\":\"a\","
			"\"target\":\"b:1\"}]"),
		    "more items than the agent may publish" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (strstr(refused(bad[i].text), bad[i].says) == NULL)
			fail_msg("%s: %s", bad[i].text, refused(bad[i].text));
}

static void
running_out_of_memory_is_survived(void **state)
{
	static const char text[] =
	    ENTRY(",\"ports\":[2222,\"6000-6010\"],\"hosts\":[\"a\",\"*.b\"],\"max-services\":1,"
		  "\"publish\":[{\"kind\":\"http\",\"service\":\"a\",\"target\":\"b:1\"}]");
	struct creds *c = NULL;
	long i;

	(void)state;
	for (i = 0; c == NULL; i++) {
		mem_fail_after(i);
		int r = creds_parse(text, strlen(text), &c, NULL);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
		assert_true(i < 1000);
	}
	assert_true(i > 5);
	creds_unref(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_credentials_any_port_may_be_had),
		cmocka_unit_test(an_entry_that_says_nothing_has_any_port_and_16_services),
		cmocka_unit_test(only_the_ports_of_its_list_may_be_had),
		cmocka_unit_test(an_empty_list_admits_no_port),
		cmocka_unit_test(who_is_no_agent_of_the_file_may_publish_nothing),
		cmocka_unit_test(the_number_of_services_has_bounds),
		cmocka_unit_test(what_is_no_port_is_refused_with_its_place),
		cmocka_unit_test(without_a_list_an_agent_has_its_own_name),
		cmocka_unit_test(a_list_names_labels_hosts_and_patterns),
		cmocka_unit_test(what_is_no_pattern_of_hosts_is_refused_with_its_place),
		cmocka_unit_test(the_list_has_a_limit),
		cmocka_unit_test(what_is_published_unasked_is_a_request_with_a_target),
		cmocka_unit_test(what_cannot_be_published_is_refused_with_its_place),
		cmocka_unit_test(running_out_of_memory_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
