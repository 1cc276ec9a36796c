/* SPDX-License-Identifier: ISC */
/*
 * ctl_test - JSON bodies: what is written is read back the same, and what a peer must not write is
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/ctl.h"

#define TOKEN "000102030405060708090a0b0c0d0e0f"

static const uint8_t token[CTL_TOKEN_LEN] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15 };

static int
hello(struct ctl_hello *h, const char *text)
{
	struct errtext why;

	errtext_clear(&why);
	int r = ctl_hello_parse(h, text, strlen(text), &why);
	assert_true(r == 0 || why.s[0] != '\0');
	return r;
}

static int
open_of(struct ctl_open *o, const char *text)
{
	struct errtext why;

	errtext_clear(&why);
	int r = ctl_open_parse(o, text, strlen(text), &why);
	assert_true(r == 0 || why.s[0] != '\0');
	ctl_open_fini(o);
	return r;
}

static void
hello_is_written_as_the_protocol_says(void **state)
{
	struct ctl_hello h = { .version = 1,
		.role = CTL_AGENT,
		.name = "pi",
		.secret = "s3cret",
		.software = "tunnel/0.1.0",
		.keepalive_ms = 15000 };
	size_t n = 0;

	(void)state;
	memcpy(h.instance, token, sizeof token);
	char *s = ctl_hello_dump(&h, &n);
	assert_non_null(s);
	assert_string_equal(s,
	    "{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"secret\":\"s3cret\","
	    "\"instance\":\"" TOKEN "\",\"keepalive_ms\":15000,\"software\":\"tunnel/0.1.0\"}");
	assert_int_equal(n, strlen(s));
	mem_free(s);
}

static void
hello_survives_the_trip_for_each_role(void **state)
{
	(void)state;
	for (int role = CTL_AGENT; role <= CTL_RELAY; role++) {
		struct ctl_hello h = { .version = 1,
			.role = (enum ctl_role)role,
			.keepalive_ms = 250 },
				 g;
		size_t n;

		if (role != CTL_RELAY) {
			memset(h.name, ' ', CTL_AGENT_MAX);
			memset(h.secret, '"', CTL_SECRET_MAX);
		}
		char *s = ctl_hello_dump(&h, &n);
		assert_non_null(s);
		assert_int_equal(ctl_hello_parse(&g, s, n, NULL), 0);
		mem_free(s);
		assert_memory_equal(&g, &h, sizeof h);
	}
}

static void
hello_has_defaults_and_ignores_what_it_does_not_know(void **state)
{
	struct ctl_hello h;

	(void)state;
	assert_int_equal(hello(&h, "{\"version\":2,\"role\":\"relay\",\"instance\":\"" TOKEN "\","
				   "\"later\":{\"a\":[1]}}"),
	    0);
	assert_int_equal(h.version, 2);
	assert_int_equal(h.keepalive_ms, CTL_KEEPALIVE_DEFAULT_MS);
	assert_string_equal(h.secret, "");
}

static void
hello_refuses_what_breaks_a_rule(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"pi\"}",
		"{\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"" TOKEN "\"}",
		"{\"version\":0,\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"" TOKEN "\"}",
		"{\"version\":\"1\",\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"" TOKEN "\"}",
		"{\"version\":1,\"role\":\"root\",\"name\":\"pi\",\"instance\":\"" TOKEN "\"}",
		"{\"version\":1,\"role\":\"agent\",\"instance\":\"" TOKEN "\"}",
		"{\"version\":1,\"role\":\"connect\",\"name\":\"\",\"instance\":\"" TOKEN "\"}",
		"{\"version\":1,\"role\":\"relay\",\"name\":\"p\",\"instance\":\"" TOKEN "\"}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"p\\u007f\",\"instance\":\"" TOKEN
		"\"}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"p\\ni\",\"instance\":\"" TOKEN "\"}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"00\"}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"" TOKEN "00\"}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"" TOKEN
		"\",\"keepalive_ms\":-1}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"" TOKEN
		"\",\"keepalive_ms\":3600001}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"name\":\"po\",\"instance\":"
		"\"" TOKEN "\"}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"secret\":\"a\\nb\","
		"\"instance\":\"" TOKEN "\"}",
		"{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"software\":\"\\u009b31m\","
		"\"instance\":\"" TOKEN "\"}",
	};
	static const struct ctl_hello zero;
	struct ctl_hello h;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(hello(&h, bad[i]), ERR_PROTO);
		assert_memory_equal(&h, &zero, sizeof h);
	}
}

static void
texts_are_taken_up_to_their_limit_and_not_beyond(void **state)
{
	char text[2 * CTL_SECRET_MAX], fill[CTL_SECRET_MAX + 2];
	struct ctl_hello h;

	(void)state;
	memset(fill, 'x', sizeof fill);
	for (int over = 0; over <= 1; over++) {
		snprintf(text, sizeof text,
		    "{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"" TOKEN
		    "\",\"secret\":\"%.*s\"}",
		    CTL_SECRET_MAX + over, fill);
		assert_int_equal(hello(&h, text), over ? ERR_PROTO : 0);
		snprintf(text, sizeof text,
		    "{\"version\":1,\"role\":\"agent\",\"name\":\"%.*s\",\"instance\":\"" TOKEN
		    "\"}",
		    CTL_AGENT_MAX + over, fill);
		assert_int_equal(hello(&h, text), over ? ERR_PROTO : 0);
	}
}

static void
an_error_never_quotes_the_secret(void **state)
{
	static const char text[] =
	    "{\"version\":1,\"role\":\"agent\",\"name\":\"pi\",\"instance\":\"" TOKEN
	    "\",\"secret\":\"hunter2\\u0007\"}";
	struct ctl_hello h;
	struct errtext why;

	(void)state;
	assert_int_equal(ctl_hello_parse(&h, text, strlen(text), &why), ERR_PROTO);
	assert_null(strstr(why.s, "hunter2"));
	assert_non_null(strstr(why.s, "secret"));
}

static void
every_truncation_of_a_body_is_refused(void **state)
{
	struct ctl_hello h = { .version = 1, .role = CTL_AGENT, .name = "pi", .secret = "s" }, g;
	size_t n;

	(void)state;
	char *s = ctl_hello_dump(&h, &n);
	assert_non_null(s);
	for (size_t i = 0; i < n; i++) {
		char *part = mem_dup(s, i);

		assert_non_null(part);
		assert_int_equal(ctl_hello_parse(&g, part, i, NULL), ERR_PROTO);
		mem_free(part);
	}
	mem_free(s);
}

static void
open_names_a_service_or_a_host_and_port(void **state)
{
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" }, g;
	size_t n;

	(void)state;
	memcpy(o.token, token, sizeof token);
	char *s = ctl_open_dump(&o, &n);
	assert_string_equal(
	    s, "{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"service\":\"ssh\"}");
	assert_int_equal(ctl_open_parse(&g, s, n, NULL), 0);
	ctl_open_fini(&g);
	assert_memory_equal(&g, &o, sizeof o);
	mem_free(s);

	o = (struct ctl_open){
		.protocol = "tcp", .host = "::1", .port = 22, .source = "1.2.3.4:555"
	};
	memcpy(o.token, token, sizeof token);
	s = ctl_open_dump(&o, &n);
	assert_string_equal(s,
	    "{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"host\":\"::1\",\"port\":22,"
	    "\"source\":\"1.2.3.4:555\"}");
	assert_int_equal(ctl_open_parse(&g, s, n, NULL), 0);
	ctl_open_fini(&g);
	assert_memory_equal(&g, &o, sizeof o);
	mem_free(s);
}

static void
open_of_an_end_to_end_session_names_no_target(void **state)
{
	static const char head[] = "{\"token\":\"000102030405060708090a0b0c0d0e0f\","
				   "\"protocol\":\"e2e\"";
	static const char *const targets[] = { "\"service\":\"ssh\"", "\"host\":\"a\"",
		"\"port\":22", "\"host\":\"a\",\"port\":22" };
	struct errtext why = { "" };
	struct ctl_open o;
	char text[256];

	(void)state;
	snprintf(text, sizeof text, "%s}", head);
	assert_int_equal(ctl_open_parse(&o, text, strlen(text), &why), 0);
	assert_true(ctl_open_is_e2e(&o));
	ctl_open_fini(&o);
	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
		snprintf(text, sizeof text, "%s,%s}", head, targets[i]);
		assert_int_equal(ctl_open_parse(&o, text, strlen(text), &why), ERR_PROTO);
	}
}

static void
open_refuses_what_breaks_a_rule(void **state)
{
	static const char *const bad[] = {
		"{\"protocol\":\"tcp\",\"service\":\"ssh\"}",
		"{\"token\":\"" TOKEN "\",\"service\":\"ssh\"}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\"}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"TCP\",\"service\":\"ssh\"}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"\",\"service\":\"ssh\"}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"service\":\"s s\"}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"service\":\"ssh\",\"port\":1}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"service\":\"ssh\",\"host\":\"a\"}",
		"{\"token\":\"" TOKEN
		"\",\"protocol\":\"tcp\",\"service\":\"ssh\",\"host\":\"a\",\"port\":1}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"host\":\"a\"}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"port\":22}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"host\":\"a\",\"port\":0}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"host\":\"a\",\"port\":65536}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"host\":\"a\",\"port\":-22}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"host\":\"a\",\"port\":22.0}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"host\":\"a b\",\"port\":22}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"host\":\"a\u00fc\",\"port\":22}",
		"{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"service\":\"s\",\"received\":-1}",
		"{\"token\":\"" TOKEN
		"\",\"protocol\":\"tcp\",\"service\":\"s\",\"received\":9223372036854775808}",
	};
	struct ctl_open o;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(open_of(&o, bad[i]), ERR_PROTO);
}

static void
so_many_abilities_and_no_more(void **state)
{
	struct ctl_hello h;

	(void)state;
	for (int over = 0; over < 2; over++) {
		char text[1000];
		int n = snprintf(text, sizeof text,
		    "{\"version\":1,\"role\":\"relay\",\"instance\":\"" TOKEN "\",\"abilities\":[");

		for (int i = 0; i < CTL_WORDS_MAX + over; i++)
			n += snprintf(
			    text + n, sizeof text - (size_t)n, "%s\"a%d\"", i > 0 ? "," : "", i);
		snprintf(text + n, sizeof text - (size_t)n, "]}");
		assert_int_equal(hello(&h, text), over ? ERR_PROTO : 0);
	}
}

static void
the_ability_to_publish_is_said_and_known(void **state)
{
	static const struct {
		const char *words;
		unsigned can;
	} t[] = {
		{ "[\"publish\"]", CTL_CAN_PUBLISH },
		{ "[\"later\",\"publish\",\"publish\"]", CTL_CAN_PUBLISH },
		{ "[\"later\"]", 0 },
		{ "[\"Publish\",\"publis\",\"publish2\"]", 0 },
		{ "[]", 0 },
		{ "null", 0 },
	};
	struct ctl_hello h = { .version = 1, .role = CTL_RELAY, .keepalive_ms = 250 }, g;
	size_t n;

	(void)state;
	memcpy(h.instance, token, sizeof token);
	char *s = ctl_hello_dump(&h, &n);
	assert_null(strstr(s, "abilities"));
	mem_free(s);
	h.abilities = CTL_CAN_PUBLISH;
	s = ctl_hello_dump(&h, &n);
	assert_string_equal(s, "{\"version\":1,\"role\":\"relay\",\"instance\":\"" TOKEN
			       "\",\"keepalive_ms\":250,\"abilities\":[\"publish\"]}");
	assert_int_equal(ctl_hello_parse(&g, s, n, NULL), 0);
	assert_memory_equal(&g, &h, sizeof h);
	mem_free(s);
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		char text[256];

		snprintf(text, sizeof text,
		    "{\"version\":1,\"role\":\"relay\",\"instance\":\"" TOKEN
		    "\",\"abilities\":%s}",
		    t[i].words);
		assert_int_equal(hello(&g, text), 0);
		assert_int_equal(g.abilities, t[i].can);
	}
	/* It is a session's; an endpoint that says it can do nothing more. */
	struct ctl_open o;
	assert_int_equal(open_of(&o, "{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"service\":"
				     "\"ssh\",\"abilities\":[\"publish\"]}"),
	    0);
}

static void
a_hello_with_abilities_may_lack_memory(void **state)
{
	struct ctl_hello h = { .version = 1, .role = CTL_RELAY, .abilities = CTL_CAN_PUBLISH };
	char *s = NULL;
	size_t n;

	(void)state;
	for (long i = 0; s == NULL; i++) {
		mem_fail_after(i);
		s = ctl_hello_dump(&h, &n);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(i < 1000);
	}
	assert_non_null(strstr(s, "[\"publish\"]"));
	mem_free(s);
}

static void
offsets_above_two_to_the_53_survive(void **state)
{
	static const uint64_t offs[] = { 0, 1, (1ULL << 53) + 1, (1ULL << 62) + 3, INT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof offs / sizeof offs[0]; i++) {
		struct ctl_open o = { .protocol = "tcp", .service = "s", .received = offs[i] }, p;
		struct ctl_open_ok k = { .received = offs[i], .target = "127.0.0.1:22" }, l;
		size_t n;
		char *s = ctl_open_dump(&o, &n);

		assert_int_equal(ctl_open_parse(&p, s, n, NULL), 0);
		assert_true(p.received == offs[i]);
		ctl_open_fini(&p);
		mem_free(s);
		s = ctl_open_ok_dump(&k, &n);
		assert_int_equal(ctl_open_ok_parse(&l, s, n, NULL), 0);
		ctl_open_ok_fini(&l);
		assert_memory_equal(&l, &k, sizeof k);
		mem_free(s);
	}
}

static void
open_ok_may_be_empty(void **state)
{
	struct ctl_open_ok k;

	(void)state;
	assert_int_equal(ctl_open_ok_parse(&k, "{}", 2, NULL), 0);
	assert_true(k.received == 0);
	assert_string_equal(k.target, "");
	ctl_open_ok_fini(&k);
	assert_int_equal(ctl_open_ok_parse(&k, "{\"target\":1}", 12, NULL), ERR_PROTO);
}

static void
running_out_of_memory_is_survived_everywhere(void **state)
{
	static const char text[] =
	    "{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\",\"service\":\"ssh\"}";
	struct ctl_open o;
	size_t n;
	int r = ERR_NOMEM;

	(void)state;
	for (long i = 0; r != 0; i++) {
		mem_fail_after(i);
		r = ctl_open_parse(&o, text, strlen(text), NULL);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
		assert_true(i < 1000);
	}
	ctl_open_fini(&o);
	char *s = NULL;
	for (long i = 0; s == NULL; i++) {
		mem_fail_after(i);
		s = ctl_open_dump(&o, &n);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(i < 1000);
	}
	assert_string_equal(s, text);
	mem_free(s);
}

static void
the_secret_is_wiped(void **state)
{
	struct ctl_hello h = { .name = "pi", .secret = "s3cret" };
	static const char zero[sizeof h.secret];

	(void)state;
	ctl_hello_wipe(&h);
	assert_memory_equal(h.secret, zero, sizeof zero);
	assert_string_equal(h.name, "pi");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_is_written_as_the_protocol_says),
		cmocka_unit_test(hello_survives_the_trip_for_each_role),
		cmocka_unit_test(hello_has_defaults_and_ignores_what_it_does_not_know),
		cmocka_unit_test(hello_refuses_what_breaks_a_rule),
		cmocka_unit_test(texts_are_taken_up_to_their_limit_and_not_beyond),
		cmocka_unit_test(an_error_never_quotes_the_secret),
		cmocka_unit_test(every_truncation_of_a_body_is_refused),
		cmocka_unit_test(open_names_a_service_or_a_host_and_port),
		cmocka_unit_test(open_of_an_end_to_end_session_names_no_target),
		cmocka_unit_test(open_refuses_what_breaks_a_rule),
		cmocka_unit_test(so_many_abilities_and_no_more),
		cmocka_unit_test(the_ability_to_publish_is_said_and_known),
		cmocka_unit_test(a_hello_with_abilities_may_lack_memory),
		cmocka_unit_test(offsets_above_two_to_the_53_survive),
		cmocka_unit_test(open_ok_may_be_empty),
		cmocka_unit_test(running_out_of_memory_is_survived_everywhere),
		cmocka_unit_test(the_secret_is_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
