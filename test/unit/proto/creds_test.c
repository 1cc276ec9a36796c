/* SPDX-License-Identifier: ISC */
/*
 * creds_test - the credentials file: who gets in, who reaches what, what a reload takes away, what
 * is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/creds.h"
#include "test/by_secret.h"
#include "test/unit/heap.h"

#define NOW 1800000000 /* 2027-01-15 */
#define SHA_AGENT "1bb1b82398e8fb2eb299f797b2dbdaeea3c495c0c096cd507a5e4d21f6bb8e42"
#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char rich[] =
    "{\"edge-agents\":{\"pi\":\"agent-1\",\"lab-a\":{\"secret\":[\"old\",\"new\"],\"services\":["
    "\"ssh\","
    "\"web-*\"]},\"nas\":{\"secret\":\"n\",\"expires\":\"2027-01-01T00:00:00Z\","
    "\"ports\":[2222,\"6000-6010\"],\"max-services\":3},"
    "\"none\":{\"secret\":\"x\",\"services\":[]},"
    "\"gate\":{\"secret\":\"g\",\"targets\":[\"127.0.0.1:80-90\",\"*.lan:22\"]},"
    "\"both\":{\"secret\":\"b\",\"services\":[\"ssh\",\"x\"],\"targets\":[\"10.0.0.0/8:443\"]}},"
    "\"access-client-secrets\":[\"shared-1\",\"shared-2\"],"
    "\"clients\":{\"alice\":{\"secret\":\"alice-1\",\"agents\":[\"pi\",\"lab-*\"],"
    "\"targets\":[\"ssh\",\"127.0.0.1:22\",\"10.0.0.0/8:*\"]},"
    "\"bob\":{\"secret\":[\"bob-1\",\"bob-2\"],\"agents\":[\"*\"]},"
    "\"carol\":{\"secret\":\"carol-1\",\"targets\":[\"*\",\"*:*\"]},"
    "\"dave\":{\"secret\":\"dave-1\",\"agents\":[\"*\"],\"targets\":[\"*\",\"*:*\"],"
    "\"expires\":\"2027-02-01T00:00:00Z\"}}}";

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

static bool
may(const struct creds *c, const char *secret, const char *agent, const char *service,
    const char *host, uint16_t port)
{
	struct ctl_open o = { .protocol = "tcp", .port = port };
	struct creds_id id;

	assert_int_equal(creds_client(c, BY_SECRET(secret), NOW, &id), 0);
	snprintf(o.service, sizeof o.service, "%s", service);
	snprintf(o.host, sizeof o.host, "%s", host);
	return creds_client_may(c, &id, agent, &o, NOW);
}

static void
the_format_of_http_network_relay_is_taken_as_it_is(void **state)
{
	struct creds *c = parsed("{\"edge-agents\": {\"pi\": \"agent-secret-1\"},\n"
				 " \"access-client-secrets\": [\"client-secret-1\"]}\n");
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("agent-secret-1"), NOW, &id), 0);
	assert_int_equal(id.kind, CREDS_AGENT);
	assert_string_equal(id.name, "pi");
	assert_int_equal(creds_client(c, BY_SECRET("client-secret-1"), NOW, &id), 0);
	assert_int_equal(id.kind, CREDS_SHARED);
	assert_true(may(c, "client-secret-1", "pi", "", "192.0.2.1", 80));
	assert_true(may(c, "client-secret-1", "another", "any", "", 0));
	creds_unref(c);
}

static void
agents_are_matched_by_name_and_secret_together(void **state)
{
	struct creds *c = parsed(rich);
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("agent-1"), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "lab-a", BY_SECRET("old"), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "lab-a", BY_SECRET("new"), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("old"), NOW, &id), ERR_DENIED);
	assert_int_equal(id.kind, CREDS_NOBODY);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET(""), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("agent-1 "), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "lab-b", BY_SECRET("new"), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "lab-*", BY_SECRET("new"), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("shared-1"), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_client(c, BY_SECRET("agent-1"), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_client(c, BY_SECRET(""), NOW, &id), ERR_DENIED);
	creds_unref(c);
}

static void
a_stored_digest_admits_its_secret_and_not_itself(void **state)
{
	uint8_t d[HASH_SHA256_LEN];
	char hex[HASH_HEX_LEN(HASH_SHA256_LEN) + 1], text[256];
	struct creds_id id;

	(void)state;
	assert_int_equal(hash_sha256("hunter2", 7, d), 0);
	hash_hex(hex, d, sizeof d);
	snprintf(text, sizeof text,
	    "{\"edge-agents\":{\"pi\":\"sha256:%s\"},\"access-client-secrets\":[\"sha256:%s\"]}",
	    hex, hex);
	struct creds *c = parsed(text);

	assert_int_equal(creds_agent(c, "pi", BY_SECRET("hunter2"), NOW, &id), 0);
	assert_memory_equal(id.digest, d, sizeof d);
	assert_int_equal(creds_client(c, BY_SECRET("hunter2"), NOW, &id), 0);
	assert_int_equal(creds_client(c, BY_SECRET(hex), NOW, &id), ERR_DENIED);
	snprintf(text, sizeof text, "sha256:%s", hex);
	assert_int_equal(creds_client(c, BY_SECRET(text), NOW, &id), ERR_DENIED);
	creds_unref(c);
}

static void
an_expired_entry_is_told_so_only_with_the_right_secret(void **state)
{
	struct creds *c = parsed(rich);
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_agent(c, "nas", BY_SECRET("n"), NOW, &id), ERR_TIMEOUT);
	assert_int_equal(creds_agent(c, "nas", BY_SECRET("m"), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "nas", BY_SECRET("n"), 1798761599, &id), 0);
	assert_true(creds_still_valid(c, &id, 1798761599));
	assert_false(creds_still_valid(c, &id, 1798761600));
	creds_unref(c);
}

static void
a_client_reaches_what_its_lists_name_and_nothing_else(void **state)
{
	struct creds *c = parsed(rich);

	(void)state;
	assert_true(may(c, "alice-1", "pi", "ssh", "", 0));
	assert_true(may(c, "alice-1", "lab-z", "ssh", "", 0));
	assert_false(may(c, "alice-1", "nas", "ssh", "", 0));
	assert_false(may(c, "alice-1", "pi", "web", "", 0));
	assert_true(may(c, "alice-1", "pi", "", "127.0.0.1", 22));
	assert_false(may(c, "alice-1", "pi", "", "127.0.0.1", 23));
	assert_false(may(c, "alice-1", "pi", "", "localhost", 22));
	assert_true(may(c, "alice-1", "pi", "", "10.200.3.4", 65535));
	assert_false(may(c, "alice-1", "pi", "", "11.0.0.1", 80));
	creds_unref(c);
}

static void
an_absent_list_denies(void **state)
{
	struct creds *c = parsed(rich);

	(void)state;
	assert_false(may(c, "bob-1", "pi", "ssh", "", 0));
	assert_false(may(c, "bob-2", "pi", "", "127.0.0.1", 22));
	assert_false(may(c, "carol-1", "pi", "ssh", "", 0));
	assert_true(may(c, "dave-1", "pi", "ssh", "", 0));
	assert_true(may(c, "dave-1", "pi", "", "example.com", 443));
	creds_unref(c);
}

static void
an_agent_offers_only_the_services_of_its_entry(void **state)
{
	struct creds *c = parsed(rich);

	(void)state;
	assert_true(may(c, "shared-1", "lab-a", "ssh", "", 0));
	assert_true(may(c, "shared-1", "lab-a", "web-7", "", 0));
	assert_false(may(c, "shared-1", "lab-a", "db", "", 0));
	assert_true(may(c, "shared-1", "pi", "db", "", 0));
	assert_false(may(c, "shared-1", "none", "ssh", "", 0));
	creds_unref(c);
}

static void
an_agents_services_admit_no_host_and_port(void **state)
{
	struct creds *c = parsed(rich);

	(void)state;
	assert_false(may(c, "shared-1", "lab-a", "", "127.0.0.1", 5432));
	assert_false(may(c, "shared-1", "none", "", "127.0.0.1", 22));
	assert_false(may(c, "dave-1", "lab-a", "", "127.0.0.1", 22));
	assert_true(may(c, "shared-1", "pi", "", "127.0.0.1", 5432));
	creds_unref(c);
}

static void
an_agents_targets_are_all_that_it_reaches(void **state)
{
	struct creds *c = parsed(rich);

	(void)state;
	assert_true(may(c, "shared-1", "gate", "", "127.0.0.1", 90));
	assert_false(may(c, "shared-1", "gate", "", "127.0.0.1", 91));
	assert_true(may(c, "shared-1", "gate", "", "nas.lan", 22));
	assert_false(may(c, "shared-1", "gate", "ssh", "", 0));
	assert_true(may(c, "shared-1", "both", "ssh", "", 0));
	assert_true(may(c, "shared-1", "both", "x", "", 0));
	assert_false(may(c, "shared-1", "both", "db", "", 0));
	assert_true(may(c, "shared-1", "both", "", "10.1.2.3", 443));
	assert_false(may(c, "shared-1", "both", "", "10.1.2.3", 22));
	/* Both sides must admit it. */
	assert_false(may(c, "alice-1", "gate", "", "127.0.0.1", 90));
	assert_true(may(c, "dave-1", "gate", "", "127.0.0.1", 90));
	creds_unref(c);
}

static void
an_agents_identity_opens_nothing(void **state)
{
	struct creds *c = parsed(rich);
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" };
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("agent-1"), NOW, &id), 0);
	assert_false(creds_client_may(c, &id, "pi", &o, NOW));
	memset(&id, 0, sizeof id);
	assert_false(creds_client_may(c, &id, "pi", &o, NOW));
	creds_unref(c);
}

static void
a_reload_takes_away_what_is_gone(void **state)
{
	struct creds *c = parsed(rich);
	struct creds *d =
	    parsed("{\"edge-agents\":{\"pi\":\"agent-2\",\"lab-a\":\"new\"},"
		   "\"access-client-secrets\":[\"shared-2\"],"
		   "\"clients\":{\"alice\":{\"secret\":\"alice-1\",\"agents\":[\"pi\"]}}}");
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" };
	struct creds_id pi, old, fresh, s1, s2, alice, bob;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("agent-1"), NOW, &pi), 0);
	assert_int_equal(creds_agent(c, "lab-a", BY_SECRET("old"), NOW, &old), 0);
	assert_int_equal(creds_agent(c, "lab-a", BY_SECRET("new"), NOW, &fresh), 0);
	assert_int_equal(creds_client(c, BY_SECRET("shared-1"), NOW, &s1), 0);
	assert_int_equal(creds_client(c, BY_SECRET("shared-2"), NOW, &s2), 0);
	assert_int_equal(creds_client(c, BY_SECRET("alice-1"), NOW, &alice), 0);
	assert_int_equal(creds_client(c, BY_SECRET("bob-1"), NOW, &bob), 0);
	assert_false(creds_still_valid(d, &pi, NOW));
	assert_false(creds_still_valid(d, &old, NOW));
	assert_true(creds_still_valid(d, &fresh, NOW));
	assert_false(creds_still_valid(d, &s1, NOW));
	assert_true(creds_still_valid(d, &s2, NOW));
	assert_true(creds_still_valid(d, &alice, NOW));
	assert_false(creds_still_valid(d, &bob, NOW));
	assert_true(creds_client_may(c, &alice, "pi", &o, NOW));
	assert_false(creds_client_may(d, &alice, "pi", &o, NOW));
	assert_false(creds_client_may(d, &s1, "pi", &o, NOW));
	creds_unref(c);
	creds_unref(d);
}

static void
an_entry_may_say_what_its_holder_may_have(void **state)
{
	static const char text[] =
	    "{\"edge-agents\":{\"pi\":{\"secret\":\"p\",\"max-sessions\":8,\"max-streams\":100}},"
	    "\"access-client-secrets\":[\"shared-1\"],"
	    "\"clients\":{\"alice\":{\"secret\":\"a\",\"max-memory\":\"16m\",\"max-opens\":50},"
	    "\"bob\":{\"secret\":\"b\",\"max-memory\":1000000000000,\"max-sessions\":1}}}";
	struct creds *c = parsed(text);
	struct creds_limits l;
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("p"), NOW, &id), 0);
	creds_limits(c, &id, &l);
	assert_int_equal(l.sessions, 8);
	assert_int_equal(l.streams, 100);
	assert_int_equal(l.memory, 0);
	assert_int_equal(l.opens, 0);
	assert_int_equal(creds_client(c, BY_SECRET("a"), NOW, &id), 0);
	creds_limits(c, &id, &l);
	assert_int_equal(l.sessions, 0);
	assert_int_equal(l.memory, 16 * 1024 * 1024);
	assert_int_equal(l.opens, 50);
	assert_int_equal(creds_client(c, BY_SECRET("b"), NOW, &id), 0);
	creds_limits(c, &id, &l);
	assert_int_equal(l.memory, 1000000000000);
	assert_int_equal(l.sessions, 1);
	assert_int_equal(creds_client(c, BY_SECRET("shared-1"), NOW, &id), 0);
	creds_limits(c, &id, &l);
	assert_int_equal(l.sessions + l.streams + l.memory + l.opens, 0);
	memset(&id, 0, sizeof id);
	creds_limits(c, &id, &l);
	assert_int_equal(l.sessions + l.streams + l.memory + l.opens, 0);
	creds_unref(c);
}

static void
what_is_not_understood_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"edge-agents\":[]}",
		"{\"edge-agents\":{\"pi\":1}}",
		"{\"edge-agents\":{\"pi\":\"\"}}",
		"{\"edge-agents\":{\"\":\"s3cret\"}}",
		"{\"edge-agents\":{\"pi\":\"s3cret\",\"pi\":\"s3cret\"}}",
		"{\"edge-agents\":{\"pi\":{}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":[1]}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"agents\":[]}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"services\":[\"a b\"]}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"services\":[\"127.0.0.1:22\"]}}"
		"}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"services\":\"ssh\"}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"targets\":[\"ssh\"]}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"targets\":{}}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"expires\":\"tomorrow\"}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"expires\":1}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"max-sessions\":0}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"max-sessions\":1000000001}}}",
		"{\"edge-agents\":{\"pi\":{\"secret\":\"s3cret\",\"max-streams\":\"64m\"}}}",
		"{\"clients\":{\"pi\":{\"secret\":\"s3cret\",\"max-opens\":-1}}}",
		"{\"clients\":{\"pi\":{\"secret\":\"s3cret\",\"max-memory\":\"0\"}}}",
		"{\"clients\":{\"pi\":{\"secret\":\"s3cret\",\"max-memory\":\"many\"}}}",
		"{\"clients\":{\"pi\":{\"secret\":\"s3cret\",\"max-memory\":1.5}}}",
		"{\"edge-agents\":{\"pi\":\"sha256:s3cret\"}}",
		"{\"edge-agents\":{\"pi\":\"sha256:" SHA_AGENT "00\"}}",
		"{\"edge-agents\":{\"pi\":\"sha256:" SHA_EMPTY "\"}}",
		"{\"edge-agents\":{\"my\\npi\":\"s3cret\"}}",
		"{\"edge-agents\":{\"\\u0085\":\"s3cret\"}}",
		"{\"edge-agents\":{\"\":\"s3cret\"}}",
		"{\"access-client-secrets\":\"s3cret\"}",
		"{\"access-client-secrets\":[\"\"]}",
		"{\"access-client-secrets\":[null]}",
		"{\"clients\":{\"alice\":\"s3cret\"}}",
		"{\"clients\":{\"alice\":{\"secret\":\"s3cret\",\"targets\":[\"10.0.0.0/99:1\"]}}}",
		"{\"clients\":{\"alice\":{\"secret\":\"s3cret\",\"targets\":[22]}}}",
		"{\"clients\":{\"alice\":{\"secret\":\"s3cret\",\"targts\":[]}}}",
		"{\"clients\":{\"alice\":{\"secret\":\"s3cret\"},\"bob\":{\"secret\":[\"b\","
		"\"s3cret\"]}}}",
		"{\"access-client-secrets\":[\"s3cret\"],\"clients\":{\"alice\":{\"secret\":"
		"\"s3cret\"}}}",
		"{\"clients\":{\"alice\":{\"secret\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\","
		"\"8\",\"9\","
		"\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]}}}",
	};

	(void)state;
	for (int over = 0; over < 2; over++) {
		char text[CTL_SECRET_MAX + 64];
		struct creds *c = NULL;
		int n = snprintf(text, sizeof text, "{\"access-client-secrets\":[\"%0*d\"]}",
		    CTL_SECRET_MAX + over, 0);

		assert_int_equal(creds_parse(text, (size_t)n, &c, NULL), over ? ERR_INVALID : 0);
		creds_unref(c);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct creds *c = NULL;
		struct errtext e;

		errtext_clear(&e);
		assert_int_not_equal(creds_parse(bad[i], strlen(bad[i]), &c, &e), 0);
		assert_null(c);
		assert_true(e.s[0] != '\0');
		assert_null(strstr(e.s, "s3cret"));
	}
}

/* Each sentence that the file's owner is told, with a newline behind it. */
static const char *
warnings(const struct creds *c)
{
	static char all[CREDS_WARNINGS_MAX * ERR_TEXT_MAX];
	const char *text;
	size_t n = 0;

	all[0] = '\0';
	for (size_t i = 0; (text = creds_warning(c, i)) != NULL; i++)
		n += (size_t)snprintf(all + n, sizeof all - n, "%s\n", text);
	return all;
}

/* As http-network-relay takes them. */
static void
an_agents_name_is_any_text(void **state)
{
	static const char *const names[] = { "my pi", "-a", ".", "a/b:c=d*", "K\303\274che 1",
		"\\\"" };
	char longest[CTL_AGENT_MAX + 2], text[CTL_AGENT_MAX + 64];
	struct creds *c;
	struct creds_id id;
	struct errtext e;

	(void)state;
	c = parsed(
	    "{\"edge-agents\":{\"my pi\":\"1\",\"-a\":\"1\",\".\":\"1\",\"a/b:c=d*\":\"1\","
	    "\"K\303\274che 1\":\"1\",\"\\\\\\\"\":\"1\"},"
	    "\"clients\":{\"x\":{\"secret\":\"x\",\"agents\":[\"my *\"],\"targets\":[\"ssh\"]}}}");
	assert_string_equal(warnings(c), "");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_int_equal(creds_agent(c, names[i], BY_SECRET("1"), NOW, &id), 0);
		assert_string_equal(id.name, names[i]);
		assert_true(creds_still_valid(c, &id, NOW));
	}
	assert_true(may(c, "x", "my pi", "ssh", "", 0));
	assert_false(may(c, "x", "-a", "ssh", "", 0));
	creds_unref(c);
	for (int over = 0; over < 2; over++) {
		memset(longest, 'x', sizeof longest);
		longest[CTL_AGENT_MAX + over] = '\0';
		snprintf(text, sizeof text, "{\"edge-agents\":{\"%s\":\"1\"}}", longest);
		c = NULL;
		assert_int_equal(creds_parse(text, strlen(text), &c, &e), over ? ERR_INVALID : 0);
		if (c != NULL)
			assert_int_equal(creds_agent(c, longest, BY_SECRET("1"), NOW, &id), 0);
		creds_unref(c);
	}
}

/* http-network-relay takes such files, so they keep no relay from starting. */
static void
what_has_no_effect_is_warned_of(void **state)
{
	struct creds *c = parsed("{\"edge-agnets\":{},\"_note\":[\"ours\"],"
				 "\"edge-agents\":{\"pi\":\"s3cret\\n\"},"
				 "\"access-client-secrets\":[\"s3cret\\u009f\"]}");
	struct creds_id id;
	char many[CREDS_WARNINGS_MAX * 16] = "{";

	(void)state;
	assert_string_equal(warnings(c),
	    "unknown key \"edge-agnets\" has no effect; did you mean \"edge-agents\"?\n"
	    "unknown key \"_note\" has no effect\n"
	    "edge-agents: \"pi\": the secret has a control character: no native agent or client "
	    "can show it\n"
	    "access-client-secrets: the secret has a control character: no native agent or client "
	    "can show it\n");
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("s3cret\n"), NOW, &id), 0);
	assert_int_equal(creds_client(c, BY_SECRET("s3cret\xc2\x9f"), NOW, &id), 0);
	creds_unref(c);
	for (int i = 0; i < CREDS_WARNINGS_MAX + 2; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), "%s\"n%d\":1",
		    i > 0 ? "," : "", i);
	c = parsed(strcat(many, "}"));
	assert_non_null(strstr(warnings(c), "\"n15\""));
	assert_null(strstr(warnings(c), "\"n16\""));
	creds_unref(c);
}

static void
names_that_differ_in_case_only_are_no_host_names(void **state)
{
	struct creds *c = parsed("{\"edge-agents\":{\"a\":\"1\",\"LAB-b\":\"2\",\"pa\":\"3\","
				 "\"lab-B\":{\"secret\":\"4\",\"hosts\":[\"lab\"]},\"z\":\"5\"}}");
	struct creds_id id;

	(void)state;
	assert_string_equal(warnings(c),
	    "edge-agents: \"LAB-b\" and \"lab-B\" differ in case only: neither is a host name\n");
	assert_null(creds_agent_of_label(c, "lab-b"));
	assert_string_equal(creds_agent_of_label(c, "PA"), "pa");
	assert_int_equal(creds_agent(c, "LAB-b", BY_SECRET("2"), NOW, &id), 0);
	assert_false(creds_agent_may_host(c, &id, "lab-b", "lab-b.t.test"));
	assert_true(creds_agent_may_random(c, &id));
	assert_int_equal(creds_agent(c, "lab-B", BY_SECRET("4"), NOW, &id), 0);
	assert_false(creds_agent_may_host(c, &id, "lab-b", "lab-b.t.test"));
	assert_true(creds_agent_may_host(c, &id, "lab", "lab.t.test"));
	creds_unref(c);
	/* Who logs in still says the name as it stands there, and clients' are labels only. */
	c = parsed("{\"edge-agents\":{\"Pi\":\"p\",\"pi2\":\"q\",\"PI1\":\"r\",\"_\":\"s\"},"
		   "\"clients\":{\"bob\":{\"secret\":\"b\"},\"Bob\":{\"secret\":\"B\"}}}");
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("p"), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "Pi", BY_SECRET("p"), NOW, &id), 0);
	assert_true(creds_still_valid(c, &id, NOW));
	snprintf(id.name, sizeof id.name, "pi");
	assert_false(creds_still_valid(c, &id, NOW));
	assert_int_equal(creds_agent(c, "pi2", BY_SECRET("q"), NOW, &id), 0);
	assert_true(creds_still_valid(c, &id, NOW));
	assert_int_equal(creds_agent(c, "PI1", BY_SECRET("r"), NOW, &id), 0);
	assert_true(creds_still_valid(c, &id, NOW));
	assert_int_equal(creds_agent(c, "_", BY_SECRET("s"), NOW, &id), 0);
	assert_true(creds_still_valid(c, &id, NOW));
	assert_int_equal(creds_client(c, BY_SECRET("B"), NOW, &id), 0);
	assert_string_equal(id.name, "Bob");
	assert_true(creds_still_valid(c, &id, NOW));
	creds_unref(c);
}

static void
every_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < strlen(rich); i++) {
		struct creds *c = NULL;
		char *part = mem_dup(rich, i);

		assert_int_not_equal(creds_parse(part, i, &c, NULL), 0);
		mem_free(part);
	}
}

static void
an_empty_file_admits_nobody(void **state)
{
	struct creds *c = parsed("{}");
	struct creds_id id;

	(void)state;
	assert_true(creds_is_empty(c));
	assert_int_equal(creds_client(c, BY_SECRET(""), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "", BY_SECRET(""), NOW, &id), ERR_DENIED);
	creds_unref(c);
	c = parsed("{\"edge-agents\":{},\"access-client-secrets\":[],\"clients\":{}}");
	assert_true(creds_is_empty(c));
	creds_unref(c);
	c = parsed(rich);
	assert_false(creds_is_empty(c));
	creds_unref(c);
	creds_unref(NULL);
}

static void
a_broken_file_leaves_the_old_one(void **state)
{
	char path[] = "/tmp/creds_test.XXXXXX";
	struct creds *c = NULL, *old;
	struct errtext e;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, rich, strlen(rich)), (ssize_t)strlen(rich));
	assert_int_equal(creds_load(path, NULL, 0, &c, &e), 0);
	old = c;
	assert_int_equal(ftruncate(fd, (off_t)strlen(rich) - 3), 0);
	assert_int_not_equal(creds_load(path, NULL, 0, &c, &e), 0);
	assert_ptr_equal(c, old);
	assert_non_null(strstr(e.s, path));
	assert_int_equal(ftruncate(fd, CREDS_FILE_MAX + 1), 0);
	assert_int_equal(creds_load(path, NULL, 0, &c, &e), ERR_LIMIT);
	close(fd);
	unlink(path);
	assert_int_equal(creds_load(path, NULL, 0, &c, &e), ERR_NOTFOUND);
	assert_ptr_equal(c, old);
	assert_ptr_equal(creds_ref(c), c);
	creds_unref(c);
	assert_false(creds_is_empty(c));
	creds_unref(c);
}

static void
running_out_of_memory_is_survived_everywhere(void **state)
{
	struct creds *c = NULL;

	(void)state;
	for (long i = 0; c == NULL; i++) {
		struct errtext e;

		mem_fail_after(i);
		int r = creds_parse(rich, strlen(rich), &c, &e);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
		assert_true(i < 100000);
	}
	creds_unref(c);
}

static void
round_trip(void)
{
	creds_unref(parsed(rich));
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
		cmocka_unit_test(the_format_of_http_network_relay_is_taken_as_it_is),
		cmocka_unit_test(agents_are_matched_by_name_and_secret_together),
		cmocka_unit_test(a_stored_digest_admits_its_secret_and_not_itself),
		cmocka_unit_test(an_expired_entry_is_told_so_only_with_the_right_secret),
		cmocka_unit_test(a_client_reaches_what_its_lists_name_and_nothing_else),
		cmocka_unit_test(an_absent_list_denies),
		cmocka_unit_test(an_agent_offers_only_the_services_of_its_entry),
		cmocka_unit_test(an_agents_services_admit_no_host_and_port),
		cmocka_unit_test(an_agents_targets_are_all_that_it_reaches),
		cmocka_unit_test(an_agents_identity_opens_nothing),
		cmocka_unit_test(a_reload_takes_away_what_is_gone),
		cmocka_unit_test(an_entry_may_say_what_its_holder_may_have),
		cmocka_unit_test(what_is_not_understood_is_refused),
		cmocka_unit_test(an_agents_name_is_any_text),
		cmocka_unit_test(what_has_no_effect_is_warned_of),
		cmocka_unit_test(names_that_differ_in_case_only_are_no_host_names),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(an_empty_file_admits_nobody),
		cmocka_unit_test(a_broken_file_leaves_the_old_one),
		cmocka_unit_test(running_out_of_memory_is_survived_everywhere),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
