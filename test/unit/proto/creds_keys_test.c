/* SPDX-License-Identifier: ISC */
/*
 * creds_keys_test - entries with public keys: who proves one gets in, who says one does not; keys
 * of agents that have no entry in the file.
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

#define NOW 1800000000
/* Of the private keys 1, 2 and 3. */
#define K1 "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"
#define K2 "tunnel-pub-A3zyexiNA09-ilI4AwS1GsPAiWnid_IbNaYLSPxHZpl4"
#define K3 "tunnel-pub-Al7L5NGmMwpEyPfvlR1L8WXmxrch762phftBZhvG5_1s"

static uint8_t p1[KEYS_POINT_LEN], p2[KEYS_POINT_LEN], p3[KEYS_POINT_LEN];

static int
points(void **state)
{
	(void)state;
	assert_int_equal(keys_point(K1, strlen(K1), p1, NULL), 0);
	assert_int_equal(keys_point(K2, strlen(K2), p2, NULL), 0);
	assert_int_equal(keys_point(K3, strlen(K3), p3, NULL), 0);
	return 0;
}

static struct creds *
parsed(const char *text)
{
	struct creds *c = NULL;
	struct errtext e = { "" };

	if (creds_parse(text, strlen(text), &c, &e) != 0)
		fail_msg("%s", e.s);
	return c;
}

static void
who_proves_the_key_of_an_entry_gets_in(void **state)
{
	struct creds *c = parsed("{\"edge-agents\": {\"pi\": {\"key\": \"" K1 "\"}},"
				 " \"clients\": {\"bob\": {\"key\": \"" K2 "\"}}}");
	struct creds_id id;

	(void)state;
	assert_true(creds_has_keys(c));
	assert_int_equal(creds_agent(c, "pi", BY_KEY(p1), NOW, &id), 0);
	assert_int_equal(id.kind, CREDS_AGENT);
	assert_string_equal(id.name, "pi");
	assert_true(creds_still_valid(c, &id, NOW));
	assert_int_equal(creds_agent(c, "pi", BY_KEY(p2), NOW, &id), ERR_DENIED);
	assert_int_equal(id.kind, CREDS_NOBODY);
	assert_int_equal(creds_agent(c, "po", BY_KEY(p1), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_client(c, BY_KEY(p2), NOW, &id), 0);
	assert_int_equal(id.kind, CREDS_CLIENT);
	assert_string_equal(id.name, "bob");
	assert_int_equal(creds_client(c, BY_KEY(p1), NOW, &id), ERR_DENIED);
	creds_unref(c);
}

/* Neither the key, nor what is kept of it, is a secret; and a secret is not asked for by key. */
static void
who_says_a_key_does_not(void **state)
{
	struct creds *c = parsed("{\"edge-agents\": {\"pi\": {\"key\": \"" K1 "\"},"
				 " \"old\": {\"secret\": \"s\"}},"
				 " \"access-client-secrets\": [\"s\"],"
				 " \"clients\": {\"bob\": {\"key\": \"" K2 "\"}}}");
	char point[KEYS_POINT_LEN + 1] = "";
	struct creds_id id;

	(void)state;
	memcpy(point, p1, KEYS_POINT_LEN);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET(K1), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET(point), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET(""), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_client(c, BY_SECRET(K2), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "old", BY_SECRET("s"), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "old", BY_KEY(p1), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_client(c, BY_KEY(p1), NOW, &id), ERR_DENIED);
	creds_unref(c);
}

static void
an_entry_may_have_a_key_and_a_secret(void **state)
{
	struct creds *c = parsed(
	    "{\"edge-agents\": {\"pi\": {\"key\": \"" K1 "\", \"secret\": [\"a\", \"b\"]}}}");
	struct creds_proof both = { "wrong", p1 }, wrong = { "a", p2 };
	struct creds_id id;

	(void)state;
	assert_int_equal(creds_agent(c, "pi", BY_SECRET("b"), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "pi", BY_KEY(p1), NOW, &id), 0);
	/* Whoever proves a key is judged by it alone. */
	assert_int_equal(creds_agent(c, "pi", &both, NOW, &id), 0);
	assert_int_equal(creds_agent(c, "pi", &wrong, NOW, &id), ERR_DENIED);
	creds_unref(c);
}

static void
keys_are_changed_and_taken_away(void **state)
{
	struct creds *first = parsed("{\"edge-agents\": {\"pi\": {\"key\": \"" K1 "\"}}}");
	struct creds *both =
	    parsed("{\"edge-agents\": {\"pi\": {\"key\": [\"" K2 "\", \"" K1 "\"]}}}");
	struct creds *last = parsed("{\"edge-agents\": {\"pi\": {\"key\": \"" K2
				    "\", \"expires\": \"2030-01-01T00:00:00Z\"}}}");
	struct creds_id old, fresh;

	(void)state;
	assert_int_equal(creds_agent(first, "pi", BY_KEY(p1), NOW, &old), 0);
	assert_int_equal(creds_agent(both, "pi", BY_KEY(p2), NOW, &fresh), 0);
	assert_true(creds_still_valid(both, &old, NOW));
	assert_false(creds_still_valid(last, &old, NOW));
	assert_true(creds_still_valid(last, &fresh, NOW));
	assert_false(creds_still_valid(last, &fresh, 1900000000));
	assert_int_equal(creds_agent(last, "pi", BY_KEY(p2), 1900000000, &fresh), ERR_TIMEOUT);
	creds_unref(first);
	creds_unref(both);
	creds_unref(last);
}

/* A digest in the file of secrets that is that of a point. */
static void
secrets_and_keys_are_not_mixed_at_a_reload(void **state)
{
	char text[256], hex[HASH_HEX_LEN(HASH_SHA256_LEN) + 1];
	struct creds *c = parsed("{\"edge-agents\": {\"pi\": {\"key\": \"" K1 "\"}}}"), *other;
	uint8_t digest[HASH_SHA256_LEN];
	struct creds_id id;

	(void)state;
	assert_int_equal(hash_sha256(p1, sizeof p1, digest), 0);
	hash_hex(hex, digest, sizeof digest);
	snprintf(text, sizeof text, "{\"edge-agents\": {\"pi\": \"sha256:%s\"}}", hex);
	other = parsed(text);
	assert_int_equal(creds_agent(c, "pi", BY_KEY(p1), NOW, &id), 0);
	assert_false(creds_still_valid(other, &id, NOW));
	assert_false(creds_has_keys(other));
	assert_int_equal(creds_agent(other, "pi", BY_KEY(p1), NOW, &id), ERR_DENIED);
	creds_unref(other);
	creds_unref(c);
}

static void
refused(const char *text, const char *says)
{
	struct creds *c = NULL;
	struct errtext e = { "" };

	assert_int_not_equal(creds_parse(text, strlen(text), &c, &e), 0);
	if (strstr(e.s, says) == NULL)
		fail_msg("%s: %s", text, e.s);
}

static void
what_is_wrong_with_keys_is_told(void **state)
{
	(void)state;
	refused("{\"edge-agents\": {\"pi\": {\"key\": \"x\"}}}",
	    "edge-agents: \"pi\": \"key\": this is no public key");
	refused("{\"edge-agents\": {\"pi\": {\"key\": 7}}}", "a key must be a string");
	refused(
	    "{\"edge-agents\": {\"pi\": {\"key\": [\"" K1 "\", null]}}}", "a key must be a string");
	refused("{\"edge-agents\": {\"pi\": {}}}", "\"secret\" or \"key\" is missing");
	refused("{\"edge-agents\": {\"pi\": \"" K1 "\"}}", "a public key is no secret");
	refused("{\"access-client-secrets\": [\"" K1 "\"]}", "a public key is no secret");
	refused("{\"clients\": {\"a\": {\"key\": \"" K1 "\"}, \"b\": {\"key\": [\"" K2 "\", \"" K1
		"\"]}}}",
	    "\"b\" has the same key as \"a\"");
	/* Agents are told apart by their names. */
	creds_unref(parsed(
	    "{\"edge-agents\": {\"a\": {\"key\": \"" K1 "\"}, \"b\": {\"key\": \"" K1 "\"}}}"));
}

/* ---- without a file ---- */

static int
load(char *const *items, size_t n, struct creds **out, struct errtext *e)
{
	return creds_load(NULL, items, n, out, e);
}

static void
agents_keys_need_no_file(void **state)
{
	char pi[] = "pi=" K1, again[] = "pi=" K2, odd[] = "a=b=" K3;
	char *items[] = { pi, odd, again };
	struct errtext e = { "" };
	struct creds *c = NULL;
	struct creds_id id;

	(void)state;
	if (load(items, 3, &c, &e) != 0)
		fail_msg("%s", e.s);
	assert_int_equal(creds_agent(c, "pi", BY_KEY(p1), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "pi", BY_KEY(p2), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "pi", BY_KEY(p3), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "pi", BY_SECRET(""), NOW, &id), ERR_DENIED);
	assert_int_equal(creds_agent(c, "a=b", BY_KEY(p3), NOW, &id), 0);
	/* As an entry with nothing but a key. */
	assert_true(creds_agent_may_host(c, &id, "a=b", ""));
	assert_int_equal(creds_max_services(c, &id), CREDS_SERVICES_DEFAULT);
	creds_unref(c);
}

static void
wrong_items_are_refused(void **state)
{
	static const struct {
		const char *item, *says;
	} bad[] = {
		{ K1, "not NAME=" },
		{ "=" K1, "not NAME=" },
		{ "pi=", "no public key" },
		{ "pi=tunnel-pub-x", "damaged" },
		{ "p\ni=" K1, "no agent's name" },
	};
	struct creds *c = NULL;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char *item = mem_strdup(bad[i].item);

		errtext_clear(&e);
		assert_int_equal(load(&item, 1, &c, &e), ERR_INVALID);
		if (strstr(e.s, bad[i].says) == NULL)
			fail_msg("%s: %s", item, e.s);
		mem_free(item);
	}
}

static void
one_agent_has_a_bounded_number_of_keys(void **state)
{
	char item[] = "pi=" K1, *items[CREDS_SECRETS_MAX + 1];
	struct creds *c = NULL;
	struct errtext e = { "" };

	(void)state;
	for (size_t i = 0; i <= CREDS_SECRETS_MAX; i++)
		items[i] = item;
	assert_int_equal(load(items, CREDS_SECRETS_MAX, &c, &e), 0);
	creds_unref(c);
	assert_int_equal(load(items, CREDS_SECRETS_MAX + 1, &c, &e), ERR_LIMIT);
}

static void
an_entry_of_the_file_is_not_changed(void **state)
{
	static const char text[] = "{\"edge-agents\": {\"pi\": \"s\", \"lab\": \"t\"}}";
	char path[] = "/tmp/creds_keys_test.XXXXXX";
	char nas[] = "nas=" K1, pi[] = "pi=" K1;
	char *items[] = { nas, pi };
	struct creds *c = NULL;
	struct errtext e = { "" };
	struct creds_id id;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(creds_load(path, items, 1, &c, &e), 0);
	assert_int_equal(creds_agent(c, "nas", BY_KEY(p1), NOW, &id), 0);
	assert_int_equal(creds_agent(c, "lab", BY_SECRET("t"), NOW, &id), 0);
	assert_string_equal(creds_agent_of_label(c, "PI"), "pi");
	creds_unref(c);
	assert_int_equal(creds_load(path, items, 2, &c, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "agent \"pi\" has an entry in the credentials file, too"));
	unlink(path);
}

static void
running_out_of_memory_is_survived(void **state)
{
	char pi[] = "pi=" K1, lab[] = "lab=" K2;
	char *items[] = { pi, lab };
	struct creds *c = NULL;

	(void)state;
	for (long i = 0; c == NULL && i < 100; i++) {
		struct errtext e;
		int r;

		mem_fail_after(i);
		r = load(items, 2, &c, &e);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
	}
	assert_non_null(c);
	creds_unref(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_proves_the_key_of_an_entry_gets_in),
		cmocka_unit_test(who_says_a_key_does_not),
		cmocka_unit_test(an_entry_may_have_a_key_and_a_secret),
		cmocka_unit_test(keys_are_changed_and_taken_away),
		cmocka_unit_test(secrets_and_keys_are_not_mixed_at_a_reload),
		cmocka_unit_test(what_is_wrong_with_keys_is_told),
		cmocka_unit_test(agents_keys_need_no_file),
		cmocka_unit_test(wrong_items_are_refused),
		cmocka_unit_test(one_agent_has_a_bounded_number_of_keys),
		cmocka_unit_test(an_entry_of_the_file_is_not_changed),
		cmocka_unit_test(running_out_of_memory_is_survived),
	};

	return cmocka_run_group_tests(tests, points, NULL);
}
