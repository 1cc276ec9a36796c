/* SPDX-License-Identifier: ISC */
/*
 * heads_test - heads built anew, names of Upgrade, and what the relay answers by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/ingress/answers.h"
#include "cmd/relay/ingress/heads.h"
#include "lib/base/mem.h"
#include "proto/request_web.h"

static struct http_head *
parse(enum http_kind kind, const char *text)
{
	struct http_head *h = http_head_new(kind);

	assert_non_null(h);
	assert_int_equal(http_head_feed(h, text, strlen(text), NULL), strlen(text));
	assert_true(http_head_is_done(h));
	return h;
}

/* ---- requests ---- */

static const char *
request_of(struct request_web *rules, const char *request)
{
	static char text[4096];
	const struct fields_origin origin = { .peer = &(struct addr){ .len = 0 },
		.visitor = &(struct addr){ .len = 0 },
		.host = "a" };
	struct http_head *h = parse(HTTP_HEAD_REQUEST, request);
	struct http_site site = { .target = http_target(h) };
	const struct heads_request q = { h, &site, &origin, rules, "7" };
	struct http_build b;

	heads_request(&b, &q);
	assert_int_equal(http_build_end(&b), 0);
	snprintf(text, sizeof text, "%.*s", (int)b.len, b.s);
	http_head_free(h);
	return text;
}

#define OPTIONS(fields) "OPTIONS / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static void
a_hop_is_taken_off(void **state)
{
	struct request_field gone = { .name = (char[]){ "MAX-FORWARDS" } };
	struct request_web rules = { .refs = 1 };
	const char *text = request_of(&rules, OPTIONS("max-forwards: 3\r\n"));

	(void)state;
	assert_non_null(strstr(text, "\r\nMax-Forwards: 2\r\n"));
	assert_null(strstr(text, "max-forwards"));
	assert_null(strstr(request_of(&rules, OPTIONS("")), "Max-Forwards"));
	/* To others it means nothing, and is passed on. */
	text = request_of(&rules, "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n");
	assert_non_null(strstr(text, "\r\nMax-Forwards: x\r\n"));
	/* The service wants to see none. */
	rules.remove = &gone;
	rules.n_remove = 1;
	text = request_of(&rules, OPTIONS("Max-Forwards: 3\r\n"));
	assert_null(strstr(text, "Max-Forwards"));
}

/* ---- answers of services ---- */

struct framed {
	const char *answer;
	int minor;
	bool is_head, keep;
	enum heads_framing framing;
	const char *built;
};

#define OK "HTTP/1.1 200 OK\r\n"

static const struct framed all_framed[] = {
	{ OK "Content-Length: 5\r\n\r\n", 1, false, true, HEADS_LENGTH,
	    OK "Content-Length: 5\r\n\r\n" },
	{ OK "Content-Length: 5\r\n\r\n", 0, false, true, HEADS_LENGTH,
	    OK "Content-Length: 5\r\nConnection: keep-alive\r\n\r\n" },
	{ OK "Content-Length: 5\r\n\r\n", 1, true, true, HEADS_NOTHING,
	    OK "Content-Length: 5\r\n\r\n" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n", 1, false, true, HEADS_CHUNKED,
	    OK "Transfer-Encoding: chunked\r\n\r\n" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n", 0, false, false, HEADS_CLOSE,
	    OK "Connection: close\r\n\r\n" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n", 1, true, true, HEADS_NOTHING,
	    OK "Transfer-Encoding: chunked\r\n\r\n" },
	{ OK "A: b\r\nConnection: close, C\r\nC: d\r\n\r\n", 1, false, true, HEADS_CHUNKED,
	    OK "A: b\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 1, false, false, HEADS_NOTHING,
	    "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n" },
	{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 1, false, true, HEADS_NOTHING,
	    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n" },
};

static void
an_answer_is_framed_for_its_visitor(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof all_framed / sizeof all_framed[0]; i++) {
		const struct framed *f = &all_framed[i];
		struct http_head *h = parse(HTTP_HEAD_RESPONSE, f->answer);
		struct http_build b;

		assert_int_equal(heads_framing(h, f->minor, f->is_head), f->framing);
		assert_int_equal(heads_answer(&b, h, f->minor, f->framing, f->keep), 0);
		assert_int_equal(b.len, strlen(f->built));
		assert_memory_equal(b.s, f->built, b.len);
		http_head_free(h);
	}
}

/* ---- Upgrade ---- */

static const char *
upgrade_of(const char *allowed, const char *request)
{
	static char out[HEADS_UPGRADE_MAX];
	struct request_web rules = { .refs = 1 };
	struct http_head *h = parse(HTTP_HEAD_REQUEST, request);
	bool any;

	snprintf(rules.upgrades, sizeof rules.upgrades, "%s", allowed);
	any = heads_upgrade(h, &rules, out);
	assert_int_equal(any, out[0] != '\0');
	http_head_free(h);
	return out;
}

#define GET(minor, fields) "GET / HTTP/1." minor "\r\nHost: a\r\n" fields "\r\n"

static void
only_names_that_may_be_are_asked_for(void **state)
{
	(void)state;
	assert_string_equal(
	    upgrade_of("", GET("1", "Connection: Upgrade\r\nUpgrade: WebSocket\r\n")), "websocket");
	assert_string_equal(
	    upgrade_of("", GET("1", "Connection: x, upgrade\r\nUpgrade: h2c, websocket\r\n")),
	    "websocket");
	assert_string_equal(
	    upgrade_of("a, b", GET("1", "Connection: Upgrade\r\nUpgrade: b, c\r\n")), "b");
	assert_string_equal(
	    upgrade_of("a, b", GET("1", "Connection: Upgrade\r\nUpgrade: b, a, websocket\r\n")),
	    "websocket, a, b");
	assert_string_equal(
	    upgrade_of("", GET("1", "Connection: Upgrade\r\nUpgrade: h2c\r\n")), "");
	assert_string_equal(upgrade_of("", GET("1", "Upgrade: websocket\r\n")), "");
	assert_string_equal(
	    upgrade_of("", GET("0", "Connection: Upgrade\r\nUpgrade: websocket\r\n")), "");
	assert_string_equal(upgrade_of("", GET("1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
						    "Content-Length: 1\r\n")),
	    "");
}

/* ---- the relay's own answers ---- */

static const char *
answer_to(const struct answer *a, const char *request)
{
	static char text[4096];
	struct http_head *h = request != NULL ? parse(HTTP_HEAD_REQUEST, request) : NULL;
	struct bufq q = { 0 };
	size_t n;

	assert_int_equal(answer_build(&q, a, h, NULL), 0);
	n = bufq_read(&q, 0, text, sizeof text - 1);
	text[n] = '\0';
	bufq_fini(&q);
	http_head_free(h);
	return text;
}

static void
what_is_wrong_is_said_as_it_is_asked_for(void **state)
{
	const struct answer a = { .status = 503, .text = "gone", .keep = true, .request_id = "7" };
	const struct answer last = { .status = 400, .text = "bad", .request_id = "" };
	const char *text = answer_to(&a, GET("1", ""));

	(void)state;
	assert_non_null(strstr(text, "Content-Type: text/plain"));
	assert_non_null(strstr(text, "\r\nRetry-After: 5\r\n"));
	assert_non_null(strstr(text, "\r\nX-Request-Id: 7\r\n"));
	assert_null(strstr(text, "Connection:"));
	assert_non_null(strstr(text, "\r\n\r\n503 Service Unavailable: gone\n"));
	text = answer_to(&a, GET("1", "Accept: text/x, application/json;q=0.9\r\n"));
	assert_non_null(
	    strstr(text, "\r\n\r\n{\"status\":503,\"error\":\"gone\",\"request_id\":\"7\"}\n"));
	/* A browser takes JSON, too. */
	text = answer_to(&a, GET("1", "Accept: text/html, application/json\r\n"));
	assert_non_null(strstr(text, "Content-Type: text/plain"));
	text = answer_to(&a, GET("0", ""));
	assert_non_null(strstr(text, "\r\nConnection: keep-alive\r\n"));
	text = answer_to(&a, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
	text = answer_to(&last, NULL);
	assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
	assert_null(strstr(text, "X-Request-Id"));
}

static void
want_of_memory_builds_nothing(void **state)
{
	const struct answer a = { .status = 404, .text = "none", .request_id = "" };
	struct bufq q = { 0 };
	long n = 0;

	(void)state;
	do {
		bufq_fini(&q);
		mem_fail_after(n++);
	} while (answer_build(&q, &a, NULL, NULL) == ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
	assert_true(n > 1);
	bufq_fini(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hop_is_taken_off),
		cmocka_unit_test(an_answer_is_framed_for_its_visitor),
		cmocka_unit_test(only_names_that_may_be_are_asked_for),
		cmocka_unit_test(what_is_wrong_is_said_as_it_is_asked_for),
		cmocka_unit_test(want_of_memory_builds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
