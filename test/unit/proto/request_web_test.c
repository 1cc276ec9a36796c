/* SPDX-License-Identifier: ISC */
/*
 * request_web_test - what a request says of a web service: each member up to its bound and one
 * beyond, hosts in normal form, and the way there and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/request.h"

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define CHARS_63 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1"

static struct request q;
static struct request_reply a;
static struct errtext why;

static int
teardown(void **state)
{
	(void)state;
	request_fini(&q);
	return 0;
}

static int
parse_text(const char *text)
{
	int r;

	request_fini(&q);
	errtext_clear(&why);
	r = request_parse(&q, &a, text, strlen(text), &why);
	assert_true(r == 0 || (why.s[0] != '\0' && q.web == NULL));
	return r;
}

/* more: members, with a comma in front. */
static int
parse(const char *kind, const char *more)
{
	static char text[CTL_BODY_MAX + 512];
	int n = snprintf(text, sizeof text,
	    "{\"id\":7,\"request\":\"publish\",\"kind\":\"%s\",\"service\":\"s\"%s}", kind, more);

	assert_true(n > 0 && (size_t)n < sizeof text);
	return parse_text(text);
}

/* It is answered, and the answer says what is wrong with it. */
static void
refused(const char *more, const char *words)
{
	if (parse("http", more) != ERR_PROTO)
		fail_msg("taken: %s", more);
	assert_int_equal(q.id, 7);
	if (strstr(why.s, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why.s, words);
}

/* ---- reading ---- */

static void
the_example_of_the_protocol_is_read(void **state)
{
	(void)state;
	assert_int_equal(
	    parse_text("{\"id\":2,\"request\":\"publish\",\"kind\":\"http\",\"service\":"
		       "\"http-shop\",\"host\":\"shop\",\"add_fields\":[\"X-From: tunnel\"]}"),
	    0);
	assert_string_equal(q.host, "shop");
	assert_false(q.random);
	assert_int_equal(q.web->n_add, 1);
	assert_string_equal(q.web->add[0].name, "X-From");
	assert_string_equal(q.web->add[0].value, "tunnel");
	assert_int_equal(
	    parse_text("{\"id\":2,\"ok\":true,\"public\":\"https://shop.t.example.com\",\"host\":"
		       "\"shop.t.example.com\"}"),
	    0);
	assert_string_equal(a.host, "shop.t.example.com");
	assert_string_equal(a.public, "https://shop.t.example.com");
}

static void
each_member_has_its_place(void **state)
{
	static const uint8_t digest[HASH_SHA256_LEN] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
		13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

	(void)state;
	assert_int_equal(
	    parse("http", ",\"random\":true,\"had_host\":\"X.T.test.\",\"rewrite_host\":"
			  "\"localhost:3000\",\"connect_ms\":1000,\"timeout_ms\":2000,"
			  "\"add_fields\":[\"A: b: c\",\"D: \"],\"remove_fields\":[\"E\"],"
			  "\"upgrades\":[\"foo\",\"bar\"],\"pool\":false,\"max_rate\":3,"
			  "\"auth\":{\"ann\":\"" HEX "\",\"bob \\u00e9\":\"" HEX "\"}"),
	    0);
	assert_true(q.random);
	assert_string_equal(q.had_host, "x.t.test");
	assert_int_equal(q.rules.max_rate, 3);
	assert_string_equal(q.web->host, "localhost:3000");
	assert_int_equal(q.web->connect_ms, 1000);
	assert_int_equal(q.web->timeout_ms, 2000);
	assert_int_equal(q.web->n_add, 2);
	assert_string_equal(q.web->add[0].value, "b: c");
	assert_string_equal(q.web->add[1].value, "");
	assert_int_equal(q.web->n_remove, 1);
	assert_string_equal(q.web->remove[0].name, "E");
	assert_null(q.web->remove[0].value);
	assert_string_equal(q.web->upgrades, "foo, bar");
	assert_true(q.web->no_pool);
	assert_int_equal(q.web->n_users, 2);
	assert_string_equal(q.web->users[0].name, "ann");
	assert_memory_equal(q.web->users[0].digest, digest, sizeof digest);
	assert_string_equal(q.web->users[1].name, "bob \xc3\xa9");
}

static void
only_its_kind_has_it(void **state)
{
	(void)state;
	assert_int_equal(parse("http", ""), 0);
	assert_non_null(q.web);
	assert_string_equal(q.host, "");
	/* No members of theirs, so whatever stands there is ignored. */
	assert_int_equal(parse("tcp", ",\"host\":7,\"auth\":7"), 0);
	assert_null(q.web);
	assert_int_equal(parse("tls", ",\"host\":\"a.test\",\"auth\":7"), 0);
	assert_null(q.web);
	assert_string_equal(q.host, "a.test");
	assert_int_equal(parse("tls", ",\"host\":7"), ERR_PROTO);
	assert_int_equal(parse_text("{\"id\":7,\"request\":\"withdraw\",\"kind\":\"http\","
				    "\"service\":\"s\",\"host\":7}"),
	    0);
	assert_null(q.web);
}

static void
hosts_have_a_normal_form(void **state)
{
	static const struct {
		const char *in, *out;
	} v[] = {
		{ "shop", "shop" },
		{ "SHOP.", "shop" },
		{ "10", "10" },
		{ "a_b", "a_b" },
		{ "Www.Acme.Test.", "www.acme.test" },
		{ "*.Acme.test", "*.acme.test" },
		{ "*.test", "*.test" },
	};
	static const char *const bad[] = { "", ".", "*", "*.", "*shop", "a.*.test", "*.*.test",
		"a..b", "-a", "a-", "a b", "a/b", "a:80", "10.0.0.1", "*.10.0.0.1", "[::1]",
		"caf\xc3\xa9.test" };
	char out[REQUEST_HOST_MAX + 1], longest[REQUEST_HOST_MAX + 2] = "*.";

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		assert_int_equal(request_host_norm(v[i].in, out), 0);
		assert_string_equal(out, v[i].out);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (request_host_norm(bad[i], out) != ERR_INVALID)
			fail_msg("taken: %s", bad[i]);
	for (size_t i = 0; i < HTTP_HOST_MAX; i++)
		longest[2 + i] = i % 2 == 0 ? 'a' : '.';
	longest[REQUEST_HOST_MAX] = '\0';
	assert_int_equal(request_host_norm(longest, out), 0);
	assert_string_equal(out, longest);
	assert_int_equal(request_host_norm(longest + 2, out), 0);
	memcpy(longest + REQUEST_HOST_MAX, "a", 2);
	assert_int_equal(request_host_norm(longest, out), ERR_INVALID);
	/* Labels have 63 characters at most. */
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_int_equal(request_host_norm(longest, out), ERR_INVALID);
	assert_int_equal(request_host_norm(longest + 1, out), 0);
	assert_int_equal(strlen(out), 63);
}

static void
what_breaks_the_table_is_refused(void **state)
{
	static const struct {
		const char *more, *words;
	} bad[] = {
		{ ",\"host\":\"a b\"", "\"host\" is no host" },
		{ ",\"host\":\"a\",\"random\":true", "excludes" },
		{ ",\"random\":1", "\"random\"" },
		{ ",\"had_host\":\"-\"", "\"had_host\" is no host" },
		{ ",\"rewrite_host\":\"a b\"", "\"rewrite_host\"" },
		{ ",\"rewrite_host\":\"::1\"", "\"rewrite_host\"" },
		{ ",\"rewrite_host\":\"a:0\"", "\"rewrite_host\"" },
		{ ",\"connect_ms\":0", "connect_ms" },
		{ ",\"timeout_ms\":3600001", "timeout_ms" },
		{ ",\"timeout_ms\":\"1s\"", "timeout_ms" },
		{ ",\"pool\":0", "\"pool\" is no boolean" },
		{ ",\"add_fields\":\"A: b\"", "add_fields" },
		{ ",\"add_fields\":[7]", "\"add_fields\" holds" },
		{ ",\"add_fields\":[\"A\"]", "NAME: VALUE" },
		{ ",\"add_fields\":[\": b\"]", "no name of a header field" },
		{ ",\"add_fields\":[\"A B: c\"]", "no name of a header field" },
		{ ",\"add_fields\":[\"A: b\\r\\nC: d\"]", "control character" },
		{ ",\"add_fields\":[\"A: b\\u0085\"]", "control character" },
		{ ",\"add_fields\":[\"Content-Length: 3\"]", "the relay's to write" },
		{ ",\"add_fields\":[\"hOsT: x\"]", "the relay's to write" },
		{ ",\"remove_fields\":[\"Transfer-Encoding\"]", "the relay's to write" },
		{ ",\"remove_fields\":[\"A:\"]", "no name" },
		{ ",\"remove_fields\":[\"\"]", "no name" },
		{ ",\"upgrades\":[\"h2c\"]", "h2c" },
		{ ",\"upgrades\":[\"H2C\"]", "h2c" },
		{ ",\"upgrades\":[\"a, b\"]", "no name of a protocol" },
		{ ",\"auth\":[]", "auth" },
		{ ",\"auth\":{}", "nobody" },
		{ ",\"auth\":{\"a\":7}", "no digest" },
		{ ",\"auth\":{\"a\":\"00\"}", "no digest" },
		{ ",\"auth\":{\"\":\"" HEX "\"}", "a user has" },
		{ ",\"auth\":{\"a:b\":\"" HEX "\"}", "no colon" },
		{ ",\"auth\":{\"a\\n\":\"" HEX "\"}", "a user has" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refused(bad[i].more, bad[i].words);
}

/* A member with n items: before, a number, after; between brackets. */
static const char *
many(const char *name, const char *brackets, size_t n, const char *before, const char *after)
{
	static char text[CTL_BODY_MAX];
	size_t len = (size_t)snprintf(text, sizeof text, ",\"%s\":%c", name, brackets[0]);

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s\"%s%zu%s",
		    i > 0 ? "," : "", before, i, after);
	assert_true(len + 1 < sizeof text);
	text[len] = brackets[1];
	text[len + 1] = '\0';
	return text;
}

static void
lists_are_taken_up_to_their_bound(void **state)
{
	(void)state;
	assert_int_equal(parse("http", many("add_fields", "[]", 16, "X-", ": v\"")), 0);
	assert_int_equal(q.web->n_add, REQUEST_FIELDS_MAX);
	refused(many("add_fields", "[]", 17, "X-", ": v\""), "more than 16");
	assert_int_equal(parse("http", many("remove_fields", "[]", 16, "X-", "\"")), 0);
	assert_int_equal(q.web->n_remove, REQUEST_FIELDS_MAX);
	refused(many("remove_fields", "[]", 17, "X-", "\""), "more than 16");
	assert_int_equal(parse("http", many("upgrades", "[]", 4, "p", "\"")), 0);
	assert_string_equal(q.web->upgrades, "p0, p1, p2, p3");
	refused(many("upgrades", "[]", 5, "p", "\""), "more than 4");
	assert_int_equal(parse("http", many("auth", "{}", 32, "u", "\":\"" HEX "\"")), 0);
	assert_int_equal(q.web->n_users, REQUEST_USERS_MAX);
	refused(many("auth", "{}", 33, "u", "\":\"" HEX "\""), "more than 32");
}

/* Texts of n bytes in the middle of before and after. */
static int
parse_long(const char *before, size_t n, const char *after)
{
	static char text[CTL_BODY_MAX];
	size_t len = (size_t)snprintf(text, sizeof text, "%s", before);

	memset(text + len, 'a', n);
	snprintf(text + len + n, sizeof text - len - n, "%s", after);
	return parse("http", text);
}

static void
texts_are_taken_up_to_their_bound(void **state)
{
	(void)state;
	assert_int_equal(parse_long(",\"add_fields\":[\"", 64, ": v\"]"), 0);
	assert_int_equal(parse_long(",\"add_fields\":[\"", 65, ": v\"]"), ERR_PROTO);
	assert_int_equal(parse_long(",\"add_fields\":[\"A: ", 1024, "\"]"), 0);
	assert_int_equal(strlen(q.web->add[0].value), REQUEST_FIELD_VALUE_MAX);
	assert_int_equal(parse_long(",\"add_fields\":[\"A: ", 1025, "\"]"), ERR_PROTO);
	assert_int_equal(parse_long(",\"add_fields\":[\"A: ", 4000, "\"]"), ERR_PROTO);
	assert_int_equal(parse_long(",\"upgrades\":[\"", 32, "\"]"), 0);
	assert_int_equal(parse_long(",\"upgrades\":[\"", 33, "\"]"), ERR_PROTO);
	assert_int_equal(parse_long(",\"auth\":{\"", 64, "\":\"" HEX "\"}"), 0);
	assert_int_equal(parse_long(",\"auth\":{\"", 65, "\":\"" HEX "\"}"), ERR_PROTO);
	assert_int_equal(parse_long(",\"rewrite_host\":\"", 253, ":65535\""), 0);
	assert_int_equal(parse_long(",\"rewrite_host\":\"", 254, "\""), ERR_PROTO);
	assert_int_equal(parse("http", ",\"connect_ms\":3600000,\"timeout_ms\":1"), 0);
	assert_int_equal(q.web->connect_ms, REQUEST_TIME_MAX_MS);
}

/* ---- there and back ---- */

/* What it says in each of its members. */
static const char *const differences[] = { "", ",\"rewrite_host\":\"a\"", ",\"rewrite_host\":\"b\"",
	",\"connect_ms\":5", ",\"timeout_ms\":5", ",\"pool\":false", ",\"upgrades\":[\"a\"]",
	",\"upgrades\":[\"a\",\"b\"]", ",\"add_fields\":[\"A: b\"]", ",\"add_fields\":[\"A: c\"]",
	",\"add_fields\":[\"B: b\"]", ",\"add_fields\":[\"A: b\",\"A: b\"]",
	",\"remove_fields\":[\"A\"]", ",\"remove_fields\":[\"B\"]", ",\"auth\":{\"a\":\"" HEX "\"}",
	",\"auth\":{\"b\":\"" HEX "\"}", ",\"auth\":{\"a\":\"f" CHARS_63 "\"}" };

#define N_DIFFERENCES (sizeof differences / sizeof differences[0])

static void
a_difference_is_seen_in_each_member(void **state)
{
	struct request_web *w[N_DIFFERENCES];

	(void)state;
	for (size_t i = 0; i < N_DIFFERENCES; i++) {
		assert_int_equal(parse("http", differences[i]), 0);
		w[i] = request_web_ref(q.web);
	}
	for (size_t i = 0; i < N_DIFFERENCES; i++)
		for (size_t j = 0; j < N_DIFFERENCES; j++)
			assert_int_equal(request_web_same(w[i], w[j]), i == j);
	for (size_t i = 0; i < N_DIFFERENCES; i++)
		request_web_unref(w[i]);
}

static void
what_is_written_is_read_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_DIFFERENCES; i++) {
		struct request_web *before;
		char *text;
		size_t n;

		assert_int_equal(parse("http", differences[i]), 0);
		before = request_web_ref(q.web);
		text = request_dump(&q, &n);
		assert_non_null(text);
		assert_int_equal(parse_text(text), 0);
		assert_true(request_web_same(before, q.web));
		request_web_unref(before);
		mem_free(text);
	}
	assert_int_equal(parse("tls", ",\"random\":true,\"had_host\":\"a.b\""), 0);
	{
		size_t n;
		char *text = request_dump(&q, &n);

		assert_string_equal(text,
		    "{\"id\":7,\"request\":\"publish\",\"kind\":\"tls\","
		    "\"service\":\"s\",\"had_host\":\"a.b\",\"random\":true}");
		mem_free(text);
	}
}

static void
running_out_of_memory_is_survived_everywhere(void **state)
{
	static const char more[] =
	    ",\"host\":\"a\",\"add_fields\":[\"A: b\"],\"remove_fields\":[\"C\"],"
	    "\"upgrades\":[\"x\"],\"auth\":{\"a\":\"" HEX "\"}";
	char *text = NULL;
	size_t n;
	int r = ERR_NOMEM;

	(void)state;
	for (long i = 0; r != 0; i++) {
		mem_fail_after(i);
		r = parse("http", more);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
	}
	for (long i = 0; text == NULL; i++) {
		mem_fail_after(i);
		text = request_dump(&q, &n);
		mem_fail_after(MEM_NO_FAIL);
	}
	mem_free(text);
	/* Whoever has a reference has it until the end. */
	request_web_unref(request_web_ref(q.web));
	assert_string_equal(q.web->users[0].name, "a");
	assert_null(request_web_ref(NULL));
	request_web_unref(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_example_of_the_protocol_is_read, teardown),
		cmocka_unit_test_teardown(each_member_has_its_place, teardown),
		cmocka_unit_test_teardown(only_its_kind_has_it, teardown),
		cmocka_unit_test_teardown(hosts_have_a_normal_form, teardown),
		cmocka_unit_test_teardown(what_breaks_the_table_is_refused, teardown),
		cmocka_unit_test_teardown(lists_are_taken_up_to_their_bound, teardown),
		cmocka_unit_test_teardown(texts_are_taken_up_to_their_bound, teardown),
		cmocka_unit_test_teardown(a_difference_is_seen_in_each_member, teardown),
		cmocka_unit_test_teardown(what_is_written_is_read_the_same, teardown),
		cmocka_unit_test_teardown(running_out_of_memory_is_survived_everywhere, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
