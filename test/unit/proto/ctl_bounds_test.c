/* SPDX-License-Identifier: ISC */
/*
 * ctl_bounds_test - every member of HELLO, OPEN and OPEN_OK at its limit, one below and one beyond;
 * and what a refused body leaves: nothing.
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
#define HELLO_HEAD "{\"role\":\"relay\",\"instance\":\"" TOKEN "\""
#define OPEN_HEAD "{\"token\":\"" TOKEN "\",\"protocol\":\"tcp\""

/* How a body of one kind is parsed into zeroed memory; the result and what the struct holds. */
enum kind { HELLO, OPEN, OPEN_OK };

union body {
	struct ctl_hello hello;
	struct ctl_open open;
	struct ctl_open_ok ok;
};

static int
parse(enum kind k, const char *text, union body *b)
{
	struct errtext why;
	int r;

	errtext_clear(&why);
	memset(b, 0xa5, sizeof *b);
	if (k == HELLO) {
		r = ctl_hello_parse(&b->hello, text, strlen(text), &why);
	} else if (k == OPEN) {
		r = ctl_open_parse(&b->open, text, strlen(text), &why);
		ctl_open_fini(&b->open);
	} else {
		r = ctl_open_ok_parse(&b->ok, text, strlen(text), &why);
		ctl_open_ok_fini(&b->ok);
	}
	assert_true(r == 0 || why.s[0] != '\0');
	return r;
}

static size_t
size_of(enum kind k)
{
	return k == HELLO  ? sizeof(struct ctl_hello)
	       : k == OPEN ? sizeof(struct ctl_open)
			   : sizeof(struct ctl_open_ok);
}

static void
refused(enum kind k, const char *text)
{
	static const union body zero;
	union body b;

	if (parse(k, text, &b) != ERR_PROTO)
		fail_msg("taken: %s", text);
	assert_memory_equal(&b, &zero, size_of(k));
}

static void
numbers_are_taken_between_their_bounds(void **state)
{
	static const struct {
		enum kind kind;
		const char *head, *name;
		long long min, max;
	} all[] = {
		{ HELLO, HELLO_HEAD, "version", 1, CTL_VERSION_MAX },
		{ HELLO, HELLO_HEAD ",\"version\":1", "keepalive_ms", 0, CTL_KEEPALIVE_MAX_MS },
		{ OPEN, OPEN_HEAD ",\"host\":\"h\"", "port", 1, UINT16_MAX },
		{ OPEN, OPEN_HEAD ",\"service\":\"s\"", "client", 1, UINT32_MAX },
		{ OPEN, OPEN_HEAD ",\"service\":\"s\"", "window", CTL_WINDOW_MIN, CTL_WINDOW_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		const long long v[] = { all[i].min - 1, all[i].min, all[i].min + 1, all[i].max - 1,
			all[i].max, all[i].max + 1 };

		for (size_t j = 0; j < sizeof v / sizeof v[0]; j++) {
			char text[300];
			union body b;

			snprintf(
			    text, sizeof text, "%s,\"%s\":%lld}", all[i].head, all[i].name, v[j]);
			if (v[j] < all[i].min || v[j] > all[i].max) {
				refused(all[i].kind, text);
				continue;
			}
			assert_int_equal(parse(all[i].kind, text, &b), 0);
			assert_true(v[j] == (i == 0      ? (long long)b.hello.version
						: i == 1 ? b.hello.keepalive_ms
						: i == 2 ? b.open.port
						: i == 3 ? b.open.client
							 : b.open.window));
		}
	}
}

static void
texts_are_taken_up_to_their_length(void **state)
{
	static const struct {
		enum kind kind;
		const char *head, *name, *tail;
		size_t max, at;
	} all[] = {
		{ HELLO, HELLO_HEAD ",\"version\":1", "software", "",
		    sizeof((struct ctl_hello *)0)->software - 1,
		    offsetof(struct ctl_hello, software) },
		{ OPEN, "{\"token\":\"" TOKEN "\",\"service\":\"s\"", "protocol", "",
		    sizeof((struct ctl_open *)0)->protocol - 1,
		    offsetof(struct ctl_open, protocol) },
		{ OPEN, OPEN_HEAD, "service", "", CTL_NAME_MAX,
		    offsetof(struct ctl_open, service) },
		{ OPEN, OPEN_HEAD, "host", ",\"port\":1", CTL_HOST_MAX,
		    offsetof(struct ctl_open, host) },
		{ OPEN, OPEN_HEAD ",\"service\":\"s\"", "source", "", CTL_ADDR_MAX - 1,
		    offsetof(struct ctl_open, source) },
		{ OPEN_OK, "{\"received\":1", "target", "", CTL_HOST_MAX + 7,
		    offsetof(struct ctl_open_ok, target) },
	};
	char fill[CTL_HOST_MAX + 10], text[800];
	union body b;

	(void)state;
	memset(fill, 'x', sizeof fill);
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		for (size_t n = all[i].max - 1; n <= all[i].max + 1; n++) {
			snprintf(text, sizeof text, "%s,\"%s\":\"%.*s\"%s}", all[i].head,
			    all[i].name, (int)n, fill, all[i].tail);
			if (n > all[i].max) {
				refused(all[i].kind, text);
				continue;
			}
			assert_int_equal(parse(all[i].kind, text, &b), 0);
			assert_int_equal(strlen((char *)&b + all[i].at), n);
		}
	}
}

static void
members_of_the_wrong_type_are_refused_and_leave_nothing(void **state)
{
	static const struct {
		enum kind kind;
		const char *text;
	} bad[] = {
		{ HELLO, HELLO_HEAD ",\"version\":1,\"abilities\":{}}" },
		{ HELLO, HELLO_HEAD ",\"version\":1,\"abilities\":[1]}" },
		{ HELLO, HELLO_HEAD ",\"version\":1,\"abilities\":[\"\"]}" },
		{ HELLO, HELLO_HEAD ",\"version\":1,\"abilities\":[\"a\",\"b c\"]}" },
		{ HELLO, "{\"version\":1,\"role\":1,\"instance\":\"" TOKEN "\"}" },
		{ HELLO, "{\"version\":1,\"instance\":\"" TOKEN "\"}" },
		{ HELLO, "{\"version\":1,\"role\":\"relay\",\"instance\":1}" },
		{ HELLO, "{\"version\":1,\"role\":\"relay\",\"instance\":\"0\"}" },
		{ OPEN, OPEN_HEAD ",\"service\":\"s\",\"abilities\":\"a\"}" },
		{ OPEN, OPEN_HEAD ",\"service\":\"s\",\"received\":7,\"abilities\":[\"\"]}" },
		{ OPEN, OPEN_HEAD ",\"service\":\"s\",\"received\":\"7\"}" },
		{ OPEN, OPEN_HEAD ",\"host\":1,\"port\":1}" },
		{ OPEN, OPEN_HEAD ",\"service\":\"s\",\"source\":\"\\u0001\"}" },
		{ OPEN_OK, "" },
		{ OPEN_OK, "[]" },
		{ OPEN_OK, "{\"received\":-1}" },
		{ OPEN_OK, "{\"received\":\"7\"}" },
		{ OPEN_OK, "{\"received\":7,\"abilities\":1}" },
		{ OPEN_OK, "{\"received\":7,\"abilities\":[\"a\",1]}" },
		{ OPEN_OK, "{\"received\":7,\"target\":1}" },
		{ OPEN_OK, "{\"received\":7,\"target\":\"a\\u007fb\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refused(bad[i].kind, bad[i].text);
}

static void
words_are_as_long_as_names(void **state)
{
	char fill[CTL_NAME_MAX + 2], text[300];
	union body b;

	(void)state;
	memset(fill, 'x', sizeof fill);
	for (int over = 0; over <= 1; over++) {
		snprintf(text, sizeof text, "{\"abilities\":[\"a\",\"%.*s\"]}", CTL_NAME_MAX + over,
		    fill);
		if (over)
			refused(OPEN_OK, text);
		else
			assert_int_equal(parse(OPEN_OK, text, &b), 0);
	}
}

/* A peer may write members that we do not know: they are passed on beside what we overwrite. */
static void
unknown_members_are_kept_and_ours_are_overwritten(void **state)
{
	static const char open[] = OPEN_HEAD ",\"host\":\"h\",\"port\":80,\"client\":3,\"window\":"
					     "9000,\"received\":5,\"later\":[1]}",
			  ok[] = "{\"received\":5,\"target\":\"t\",\"later\":1}";
	struct ctl_open o;
	struct ctl_open_ok k;
	size_t n;
	char *s;

	(void)state;
	assert_int_equal(ctl_open_parse(&o, open, strlen(open), NULL), 0);
	o.client = 4;
	o.window = 9001;
	o.received = 6;
	o.port = 81;
	s = ctl_open_dump(&o, &n);
	ctl_open_fini(&o);
	assert_null(o.raw);
	assert_non_null(s);
	assert_string_equal(s, OPEN_HEAD ",\"host\":\"h\",\"port\":81,\"client\":4,\"window\":9001,"
					 "\"received\":6,\"later\":[1]}");
	mem_free(s);
	assert_int_equal(ctl_open_ok_parse(&k, ok, strlen(ok), NULL), 0);
	k.received = 0;
	s = ctl_open_ok_dump(&k, &n);
	ctl_open_ok_fini(&k);
	assert_null(k.raw);
	assert_non_null(s);
	assert_string_equal(s, "{\"received\":0,\"target\":\"t\",\"later\":1}");
	mem_free(s);
}

static void
only_agents_and_clients_with_a_name_may_log_in(void **state)
{
	struct ctl_hello h = { .role = CTL_AGENT, .name = "a" };

	(void)state;
	assert_true(ctl_hello_may_log_in(&h));
	h.role = CTL_CONNECT;
	assert_true(ctl_hello_may_log_in(&h));
	h.role = CTL_RELAY;
	assert_false(ctl_hello_may_log_in(&h));
	h = (struct ctl_hello){ .role = CTL_AGENT };
	assert_false(ctl_hello_may_log_in(&h));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_taken_between_their_bounds),
		cmocka_unit_test(texts_are_taken_up_to_their_length),
		cmocka_unit_test(members_of_the_wrong_type_are_refused_and_leave_nothing),
		cmocka_unit_test(words_are_as_long_as_names),
		cmocka_unit_test(unknown_members_are_kept_and_ours_are_overwritten),
		cmocka_unit_test(only_agents_and_clients_with_a_name_may_log_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
