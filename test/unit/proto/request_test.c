/* SPDX-License-Identifier: ISC */
/*
 * request_test - bodies of CONTROL: each member of PROTOCOL.md 4.4 up to its bound and one beyond,
 * what is written, and whom the rules of a service let in.
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

/* A whole request; more begins with a comma. */
#define PUBLISH(more) \
	"{\"id\":7,\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\"" more "}"
#define NAME_64 "a234567890123456789012345678901234567890123456789012345678901234"
#define ID_MAX (INT64_C(1) << 53)

static struct request q;
static struct request_reply a;
static struct errtext why;

static int
parse(const char *text)
{
	errtext_clear(&why);
	int r = request_parse(&q, &a, text, strlen(text), &why);
	assert_true(r == 0 || why.s[0] != '\0');
	return r;
}

/* refused - a request that is answered: its id is known. */
static void
refused(const char *text)
{
	if (parse(text) != ERR_PROTO)
		fail_msg("taken: %s", text);
	assert_int_equal(q.id, 7);
}

/* ignored - nothing to which one could answer. */
static void
ignored(const char *text)
{
	if (parse(text) != ERR_PROTO)
		fail_msg("taken: %s", text);
	assert_int_equal(q.id, 0);
}

/* with - a request with one more member, whose value is made of fmt. */
static const char *__attribute__((format(printf, 1, 2))) with(const char *fmt, ...)
{
	static char text[CTL_BODY_MAX + 512];
	va_list ap;
	size_t n =
	    (size_t)snprintf(text, sizeof text, "%.*s,", (int)strlen(PUBLISH("")) - 1, PUBLISH(""));

	va_start(ap, fmt);
	n += (size_t)vsnprintf(text + n, sizeof text - n, fmt, ap);
	va_end(ap);
	assert_true(n + 1 < sizeof text);
	memcpy(text + n, "}", 2);
	return text;
}

static struct addr_net
net(const char *text)
{
	struct addr_net n;

	assert_int_equal(addr_net_parse(text, &n), 0);
	return n;
}

static struct addr
address(const char *text)
{
	struct addr x;

	assert_true(addr_literal(text, 40000, &x));
	return x;
}

/* ---- reading ---- */

static void
the_example_of_the_protocol_is_read(void **state)
{
	struct addr_net deny = net("192.0.2.0/24");

	(void)state;
	assert_int_equal(parse("{\"id\":1,\"request\":\"publish\",\"kind\":\"tcp\",\"service\":"
			       "\"ssh\",\"port\":2222,\"deny\":[\"192.0.2.0/24\"]}"),
	    0);
	assert_int_equal(q.verb, REQUEST_PUBLISH);
	assert_int_equal(q.id, 1);
	assert_string_equal(q.kind, "tcp");
	assert_string_equal(q.service, "ssh");
	assert_int_equal(q.port, 2222);
	assert_int_equal(q.had, 0);
	assert_int_equal(q.rules.n_allow, 0);
	assert_int_equal(q.rules.n_deny, 1);
	assert_memory_equal(&q.rules.deny[0], &deny, sizeof deny);
	assert_int_equal(q.rules.max_connections, 0);
	assert_int_equal(q.rules.max_rate, 0);
	assert_int_equal(q.rules.proxy, 0);

	assert_int_equal(
	    parse("{\"id\":1,\"ok\":true,\"public\":\"203.0.113.7:2222\",\"port\":2222}"), 0);
	assert_int_equal(q.verb, REQUEST_REPLY);
	assert_int_equal(a.id, 1);
	assert_true(a.ok);
	assert_string_equal(a.public, "203.0.113.7:2222");
	assert_int_equal(a.port, 2222);
	assert_string_equal(a.error, "");
}

static void
each_member_has_its_place(void **state)
{
	struct addr_net allow[2] = { net("10.0.0.0/8"), net("2001:db8::/32") },
			deny = net("10.1.2.3");

	(void)state;
	assert_int_equal(
	    parse("{\"proxy\":2,\"max_rate\":30,\"max_connections\":20,\"deny\":[\"10.1.2.3\"],"
		  "\"allow\":[\"10.0.0.0/8\",\"2001:db8::/32\"],\"had\":6000,\"port\":5000,"
		  "\"service\":\"web-1\",\"kind\":\"udp\",\"request\":\"publish\",\"id\":9}"),
	    0);
	assert_int_equal(q.verb, REQUEST_PUBLISH);
	assert_int_equal(q.id, 9);
	assert_string_equal(q.kind, "udp");
	assert_string_equal(q.service, "web-1");
	assert_int_equal(q.port, 5000);
	assert_int_equal(q.had, 6000);
	assert_int_equal(q.rules.n_allow, 2);
	assert_memory_equal(q.rules.allow, allow, sizeof allow);
	assert_int_equal(q.rules.n_deny, 1);
	assert_memory_equal(&q.rules.deny[0], &deny, sizeof deny);
	assert_int_equal(q.rules.max_connections, 20);
	assert_int_equal(q.rules.max_rate, 30);
	assert_int_equal(q.rules.proxy, 2);
}

static void
a_withdrawal_names_kind_and_service(void **state)
{
	(void)state;
	assert_int_equal(
	    parse("{\"id\":2,\"request\":\"withdraw\",\"kind\":\"tcp\",\"service\":\"ssh\"}"), 0);
	assert_int_equal(q.verb, REQUEST_WITHDRAW);
	assert_string_equal(q.kind, "tcp");
	assert_string_equal(q.service, "ssh");
	refused("{\"id\":7,\"request\":\"withdraw\",\"kind\":\"tcp\"}");
	refused("{\"id\":7,\"request\":\"withdraw\",\"service\":\"ssh\"}");
}

static void
what_is_not_there_must_be_there(void **state)
{
	(void)state;
	refused("{\"id\":7,\"request\":\"publish\",\"service\":\"ssh\"}");
	assert_non_null(strstr(why.s, "\"kind\""));
	refused("{\"id\":7,\"request\":\"publish\",\"kind\":\"tcp\"}");
	assert_non_null(strstr(why.s, "\"service\""));
	refused("{\"id\":7,\"request\":\"publish\",\"kind\":null,\"service\":\"ssh\"}");
	refused("{\"id\":7}");
	refused("{\"id\":7,\"ok\":null,\"kind\":\"tcp\",\"service\":\"ssh\"}");
	ignored("{\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\"}");
	ignored("{\"id\":null,\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\"}");
	ignored("{\"ok\":true}");
	ignored("{}");
}

static void
what_is_no_object_is_ignored(void **state)
{
	static const char *const bad[] = { "", "[]", "7", "null", "\"publish\"", "{",
		"[{\"id\":7}]", PUBLISH("") "x", PUBLISH(",\"id\":7"), PUBLISH(",\"kind\":\"tcp\""),
		PUBLISH(",\"x\":\"\xff\"") };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ignored(bad[i]);
}

static void
every_truncation_is_ignored(void **state)
{
	static const char text[] = PUBLISH(",\"port\":22,\"allow\":[\"10.0.0.0/8\"],\"proxy\":1");

	(void)state;
	assert_int_equal(parse(text), 0);
	for (size_t i = 0; i < strlen(text); i++) {
		char *part = mem_dup(text, i);

		assert_non_null(part);
		assert_int_equal(request_parse(&q, &a, part, i, NULL), ERR_PROTO);
		assert_int_equal(q.id, 0);
		mem_free(part);
	}
}

static void
an_id_is_1_to_2_to_the_53(void **state)
{
	static const char *const bad[] = { "0", "-1", "9007199254740993", "9223372036854775808",
		"1.0", "\"1\"", "true", "[1]" };
	char text[128];

	(void)state;
	for (int64_t id = 1; id != 0; id = id == 1 ? ID_MAX : 0) {
		snprintf(text, sizeof text, "{\"id\":%lld,\"ok\":true}", (long long)id);
		assert_int_equal(parse(text), 0);
		assert_true(a.id == id);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "{\"id\":%s,\"ok\":true}", bad[i]);
		ignored(text);
	}
}

static void
an_unknown_request_is_intact(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"id\":7,\"request\":\"publicise\"}"), 0);
	assert_int_equal(q.verb, REQUEST_UNKNOWN);
	assert_int_equal(q.id, 7);
	assert_int_equal(parse("{\"id\":7,\"request\":\"publis\",\"port\":\"none of ours\"}"), 0);
	assert_int_equal(q.verb, REQUEST_UNKNOWN);
	assert_int_equal(parse("{\"id\":7,\"request\":\"Publish\",\"ok\":true}"), 0);
	assert_int_equal(q.verb, REQUEST_UNKNOWN);
	/* 31 bytes, and 32. */
	assert_int_equal(parse("{\"id\":7,\"request\":\"1234567890123456789012345678901\"}"), 0);
	assert_int_equal(q.verb, REQUEST_UNKNOWN);
	refused("{\"id\":7,\"request\":\"12345678901234567890123456789012\"}");
	refused("{\"id\":7,\"request\":1}");
	refused("{\"id\":7,\"request\":[\"publish\"]}");
	refused("{\"id\":7,\"request\":\"pub\\nlish\"}");
}

static void
members_that_nobody_knows_are_ignored(void **state)
{
	(void)state;
	assert_int_equal(parse(with("\"later\":{\"port\":[0]},\"error\":1,\"ok\":false")), 0);
	assert_int_equal(q.verb, REQUEST_PUBLISH);
	assert_int_equal(q.port, 0);
	assert_int_equal(parse("{\"id\":1,\"ok\":true,\"kind\":5,\"later\":[]}"), 0);
	assert_int_equal(q.verb, REQUEST_REPLY);
}

static void
texts_are_taken_up_to_their_bound(void **state)
{
	static const char *const bad_names[] = { "", ".ssh", "-ssh", "s s", "s*", "s/h", "s\\u00fc",
		NAME_64 "5" };
	char text[256];

	(void)state;
	assert_int_equal(parse("{\"id\":7,\"request\":\"publish\",\"kind\":\"1234567\",\"service\":"
			       "\"" NAME_64 "\"}"),
	    0);
	assert_string_equal(q.kind, "1234567");
	assert_string_equal(q.service, NAME_64);
	refused("{\"id\":7,\"request\":\"publish\",\"kind\":\"12345678\",\"service\":\"ssh\"}");
	refused("{\"id\":7,\"request\":\"publish\",\"kind\":\"t\\u0007\",\"service\":\"ssh\"}");
	refused("{\"id\":7,\"request\":\"publish\",\"kind\":1,\"service\":\"ssh\"}");
	refused("{\"id\":7,\"request\":\"publish\",\"kind\":\"tcp\",\"service\":22}");
	for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
		snprintf(text, sizeof text,
		    "{\"id\":7,\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"%s\"}",
		    bad_names[i]);
		refused(text);
	}
}

static void
numbers_are_taken_up_to_their_bound(void **state)
{
	static const struct {
		const char *name;
		long long max;
	} t[] = {
		{ "port", 65535 },
		{ "had", 65535 },
		{ "max_connections", 1000000 },
		{ "max_rate", 1000000 },
		{ "proxy", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		const char *name = t[i].name;

		for (long long v = 1; v != 0; v = v == 1 ? t[i].max : 0) {
			assert_int_equal(parse(with("\"%s\":%lld", name, v)), 0);
			assert_int_equal(q.port, i == 0 ? v : 0);
			assert_int_equal(q.had, i == 1 ? v : 0);
			assert_int_equal(q.rules.max_connections, i == 2 ? v : 0);
			assert_int_equal(q.rules.max_rate, i == 3 ? v : 0);
			assert_int_equal(q.rules.proxy, i == 4 ? v : 0);
		}
		refused(with("\"%s\":%lld", name, t[i].max + 1));
		assert_non_null(strstr(why.s, name));
		refused(with("\"%s\":0", name));
		refused(with("\"%s\":-1", name));
		refused(with("\"%s\":1.0", name));
		refused(with("\"%s\":\"1\"", name));
		refused(with("\"%s\":true", name));
		assert_int_equal(parse(with("\"%s\":null", name)), 0);
	}
}

static void
lists_of_networks_are_taken_up_to_their_bound(void **state)
{
	static const char *const names[] = { "allow", "deny" };
	static const char *const bad[] = { "\"\"", "\"10.0.0.1/8\"", "\"10.0.0.0/33\"",
		"\"::/129\"", "\"10.0.0\"", "\"example.com\"", "\"10.0.0.0/8,\"", "\"unix:/a\"",
		"10", "null", "[\"10.0.0.0/8\"]", "{}" };

	(void)state;
	for (int k = 0; k < 2; k++) {
		const size_t *n = k == 0 ? &q.rules.n_allow : &q.rules.n_deny;

		for (int over = 0; over < 2; over++) {
			char list[REQUEST_NETS_MAX * 16 + 16];
			size_t len = 0;

			for (int i = 0; i < 64 + over; i++)
				len += (size_t)snprintf(list + len, sizeof list - len,
				    "%s\"10.0.%d.0/24\"", i > 0 ? "," : "", i);
			assert_int_equal(
			    parse(with("\"%s\":[%s]", names[k], list)), over ? ERR_PROTO : 0);
			assert_int_equal(*n, over ? 0 : 64);
			assert_int_equal(q.id, 7);
		}
		assert_int_equal(parse(with("\"%s\":[]", names[k])), 0);
		assert_int_equal(*n, 0);
		for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
			refused(with("\"%s\":[\"::1\",%s]", names[k], bad[i]));
			assert_non_null(strstr(why.s, names[k]));
		}
		refused(with("\"%s\":\"10.0.0.0/8\"", names[k]));
		refused(with("\"%s\":{}", names[k]));
	}
}

static void
a_reply_is_taken_up_to_its_bounds(void **state)
{
	char fill[REQUEST_PUBLIC_MAX + 2], text[CTL_BODY_MAX];

	(void)state;
	memset(fill, 'x', sizeof fill);
	for (int over = 0; over < 2; over++) {
		snprintf(text, sizeof text, "{\"id\":7,\"ok\":true,\"public\":\"%.*s\"}",
		    300 + over, fill);
		assert_int_equal(parse(text), over ? ERR_PROTO : 0);
		assert_int_equal(strlen(a.public), over ? 0 : 300);
		snprintf(text, sizeof text, "{\"id\":7,\"ok\":false,\"error\":\"%.*s\"}",
		    255 + over, fill);
		assert_int_equal(parse(text), over ? ERR_PROTO : 0);
		assert_int_equal(strlen(a.error), over ? 0 : 255);
		snprintf(text, sizeof text, "{\"id\":7,\"ok\":true,\"port\":%d}", 65535 + over);
		assert_int_equal(parse(text), over ? ERR_PROTO : 0);
		assert_int_equal(a.port, over ? 0 : 65535);
	}
}

static void
a_broken_reply_is_not_answered(void **state)
{
	static const char *const bad[] = { "\"ok\":1", "\"ok\":\"true\"", "\"ok\":true,\"port\":0",
		"\"ok\":true,\"public\":1", "\"ok\":true,\"public\":\"a\\u001b\"",
		"\"ok\":false,\"error\":[]", "\"ok\":false,\"error\":\"a\\n\"" };
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "{\"id\":7,%s}", bad[i]);
		ignored(text);
	}
}

/* ---- writing ---- */

static void
requests_are_written_as_the_protocol_says(void **state)
{
	struct request r = { .id = 1,
		.verb = REQUEST_PUBLISH,
		.kind = "tcp",
		.service = "ssh",
		.port = 2222,
		.rules = { .n_deny = 1 } };
	size_t n = 0;

	(void)state;
	r.rules.deny[0] = net("192.0.2.0/24");
	char *s = request_dump(&r, &n);
	assert_non_null(s);
	assert_string_equal(s, "{\"id\":1,\"request\":\"publish\",\"kind\":\"tcp\",\"service\":"
			       "\"ssh\",\"port\":2222,\"deny\":[\"192.0.2.0/24\"]}");
	assert_int_equal(n, strlen(s));
	mem_free(s);
	r = (struct request){ .id = 2, .verb = REQUEST_WITHDRAW, .kind = "tcp", .service = "ssh" };
	s = request_dump(&r, &n);
	assert_string_equal(
	    s, "{\"id\":2,\"request\":\"withdraw\",\"kind\":\"tcp\",\"service\":\"ssh\"}");
	mem_free(s);
}

static void
replies_are_written_as_the_protocol_says(void **state)
{
	struct request_reply yes = { .id = 1,
		.ok = true,
		.public = "203.0.113.7:2222",
		.port = 2222 },
			     no = { .id = ID_MAX, .error = "\"no\"" };
	size_t n = 0;

	(void)state;
	char *s = request_reply_dump(&yes, &n);
	assert_string_equal(
	    s, "{\"id\":1,\"ok\":true,\"public\":\"203.0.113.7:2222\",\"port\":2222}");
	assert_int_equal(n, strlen(s));
	mem_free(s);
	s = request_reply_dump(&no, &n);
	assert_string_equal(s, "{\"id\":9007199254740992,\"ok\":false,\"error\":\"\\\"no\\\"\"}");
	assert_int_equal(n, strlen(s));
	mem_free(s);
}

/* largest - every member at its bound, every network as long as one can be. */
static void
largest(struct request *r)
{
	*r = (struct request){ .id = ID_MAX,
		.verb = REQUEST_PUBLISH,
		.kind = "1234567",
		.service = NAME_64,
		.port = 65535,
		.had = 65535,
		.rules = { .n_allow = REQUEST_NETS_MAX,
		    .n_deny = REQUEST_NETS_MAX,
		    .max_connections = REQUEST_LIMIT_MAX,
		    .max_rate = REQUEST_LIMIT_MAX,
		    .proxy = 2 } };
	for (size_t i = 0; i < REQUEST_NETS_MAX; i++) {
		r->rules.allow[i] = net("1111:2222:3333:4444:5555:6666:7777:8888/125");
		r->rules.deny[i] = net("8888:7777:6666:5555:4444:3333:2222:1110/124");
	}
}

static void
the_largest_request_fits_a_frame_and_survives_the_trip(void **state)
{
	struct request r;
	size_t n = 0;

	(void)state;
	largest(&r);
	char *s = request_dump(&r, &n);
	assert_non_null(s);
	assert_true(n <= CTL_BODY_MAX);
	assert_int_equal(request_parse(&q, &a, s, n, &why), 0);
	assert_memory_equal(&q, &r, sizeof r);
	mem_free(s);
}

static void
the_largest_reply_survives_the_trip(void **state)
{
	struct request_reply r = { .id = ID_MAX, .ok = true, .port = 65535 };
	size_t n = 0;

	(void)state;
	memset(r.public, '\\', REQUEST_PUBLIC_MAX);
	memset(r.error, '"', REQUEST_ERROR_MAX);
	char *s = request_reply_dump(&r, &n);
	assert_non_null(s);
	assert_true(n <= CTL_BODY_MAX);
	assert_int_equal(request_parse(&q, &a, s, n, &why), 0);
	assert_int_equal(q.verb, REQUEST_REPLY);
	assert_memory_equal(&a, &r, sizeof r);
	mem_free(s);
}

static void
running_out_of_memory_is_survived_everywhere(void **state)
{
	static const char text[] =
	    PUBLISH(",\"allow\":[\"10.0.0.0/8\",\"::1\"],\"deny\":[\"::2\"]");
	struct request_reply no = { .id = 7, .error = "no" };
	struct request r;
	int rc = ERR_NOMEM;
	char *s = NULL;
	size_t n;
	long i;

	(void)state;
	for (i = 0; rc != 0; i++) {
		mem_fail_after(i);
		rc = request_parse(&q, &a, text, strlen(text), NULL);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(rc == 0 || rc == ERR_NOMEM);
		assert_true(i < 1000);
	}
	assert_true(i > 3);
	r = q;
	for (i = 0; s == NULL; i++) {
		mem_fail_after(i);
		s = request_dump(&r, &n);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(i < 1000);
	}
	assert_true(i > 3);
	assert_string_equal(s, text);
	mem_free(s);
	s = NULL;
	for (i = 0; s == NULL; i++) {
		mem_fail_after(i);
		s = request_reply_dump(&no, &n);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(i < 1000);
	}
	assert_true(i > 3);
	assert_string_equal(s, "{\"id\":7,\"ok\":false,\"error\":\"no\"}");
	mem_free(s);
}

/* ---- whom the rules let in ---- */

static bool
admits(const char *rules, const char *from)
{
	struct addr x = address(from);

	assert_int_equal(parse(with("%s", rules)), 0);
	return request_admits(&q.rules, &x);
}

static void
without_rules_everybody_is_let_in(void **state)
{
	(void)state;
	assert_true(admits("\"allow\":[],\"deny\":[]", "192.0.2.1"));
	assert_true(admits("\"max_rate\":1", "2001:db8::1"));
}

static void
a_denied_network_is_kept_out(void **state)
{
	static const char rules[] = "\"deny\":[\"192.0.2.0/24\",\"2001:db8::/32\",\"10.1.2.3\"]";

	(void)state;
	assert_false(admits(rules, "192.0.2.0"));
	assert_false(admits(rules, "192.0.2.255"));
	assert_true(admits(rules, "192.0.3.0"));
	assert_true(admits(rules, "192.0.1.255"));
	assert_false(admits(rules, "2001:db8:ffff::1"));
	assert_true(admits(rules, "2001:db9::"));
	assert_false(admits(rules, "10.1.2.3"));
	assert_true(admits(rules, "10.1.2.4"));
}

static void
an_allowed_network_keeps_all_others_out(void **state)
{
	static const char rules[] = "\"allow\":[\"192.0.2.0/25\",\"2001:db8::1\"]";

	(void)state;
	assert_true(admits(rules, "192.0.2.127"));
	assert_false(admits(rules, "192.0.2.128"));
	assert_true(admits(rules, "2001:db8::1"));
	assert_false(admits(rules, "2001:db8::2"));
	assert_false(admits(rules, "::1"));
	assert_true(admits("\"allow\":[\"0.0.0.0/0\"]", "198.51.100.1"));
	assert_false(admits("\"allow\":[\"0.0.0.0/0\"]", "2001:db8::1"));
}

static void
deny_goes_before_allow(void **state)
{
	static const char rules[] = "\"allow\":[\"10.0.0.0/8\",\"10.1.2.3\"],"
				    "\"deny\":[\"10.1.0.0/16\",\"192.0.2.1\"]";

	(void)state;
	assert_true(admits(rules, "10.2.0.1"));
	assert_false(admits(rules, "10.1.2.3"));
	assert_false(admits(rules, "192.0.2.1"));
	assert_false(admits(rules, "192.0.2.2"));
}

static void
one_address_in_two_spellings_is_one(void **state)
{
	(void)state;
	assert_false(admits("\"deny\":[\"10.0.0.0/8\"]", "::ffff:10.1.2.3"));
	assert_false(admits("\"deny\":[\"::ffff:10.0.0.0/104\"]", "10.1.2.3"));
	assert_true(admits("\"allow\":[\"10.0.0.0/8\"]", "::ffff:10.1.2.3"));
	assert_false(admits("\"allow\":[\"10.0.0.0/8\"]", "::ffff:11.1.2.3"));
	assert_false(admits("\"allow\":[\"10.0.0.0/8\"]", "::10.1.2.3"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_protocol_is_read),
		cmocka_unit_test(each_member_has_its_place),
		cmocka_unit_test(a_withdrawal_names_kind_and_service),
		cmocka_unit_test(what_is_not_there_must_be_there),
		cmocka_unit_test(what_is_no_object_is_ignored),
		cmocka_unit_test(every_truncation_is_ignored),
		cmocka_unit_test(an_id_is_1_to_2_to_the_53),
		cmocka_unit_test(an_unknown_request_is_intact),
		cmocka_unit_test(members_that_nobody_knows_are_ignored),
		cmocka_unit_test(texts_are_taken_up_to_their_bound),
		cmocka_unit_test(numbers_are_taken_up_to_their_bound),
		cmocka_unit_test(lists_of_networks_are_taken_up_to_their_bound),
		cmocka_unit_test(a_reply_is_taken_up_to_its_bounds),
		cmocka_unit_test(a_broken_reply_is_not_answered),
		cmocka_unit_test(requests_are_written_as_the_protocol_says),
		cmocka_unit_test(replies_are_written_as_the_protocol_says),
		cmocka_unit_test(the_largest_request_fits_a_frame_and_survives_the_trip),
		cmocka_unit_test(the_largest_reply_survives_the_trip),
		cmocka_unit_test(running_out_of_memory_is_survived_everywhere),
		cmocka_unit_test(without_rules_everybody_is_let_in),
		cmocka_unit_test(a_denied_network_is_kept_out),
		cmocka_unit_test(an_allowed_network_keeps_all_others_out),
		cmocka_unit_test(deny_goes_before_allow),
		cmocka_unit_test(one_address_in_two_spellings_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
