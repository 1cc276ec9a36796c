/* SPDX-License-Identifier: ISC */
/*
 * http_test - heads are read exactly, whole and byte by byte; what could be read in two ways is
 * refused; building is safe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/http/http.h"
#include "lib/base/mem.h"

/*
 * Feed s in pieces of at most chunk bytes.  Returns what the last call did, or the bytes taken in
 * all.
 */
static ssize_t
feed(struct http_head *h, const char *s, size_t len, size_t chunk)
{
	struct errtext e;
	size_t off = 0;

	while (off < len) {
		size_t n = len - off < chunk ? len - off : chunk;
		ssize_t r;

		errtext_clear(&e);
		r = http_head_feed(h, s + off, n, &e);
		if (r < 0) {
			assert_true(e.s[0] != 0);
			return r;
		}
		off += (size_t)r;
		if ((size_t)r < n)
			break;
	}
	return (ssize_t)off;
}

static const char request[] = "GET /t?a=b HTTP/1.1\r\n"
			      "Host: example.com\r\n"
			      "Connection: keep-alive, Upgrade\r\n"
			      "Upgrade:   websocket  \r\n"
			      "X-Empty:\r\n"
			      "x-twice: 1\r\n"
			      "X-Twice: 2\r\n"
			      "\r\n";

static void
a_request_is_read_whole_and_byte_by_byte(void **state)
{
	(void)state;
	for (size_t chunk = 1; chunk < sizeof request + 10; chunk += 3) {
		struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);
		char all[sizeof request + 4];
		const char *name, *value;

		/* What follows belongs to the next protocol. */
		snprintf(all, sizeof all, "%s\x82\x01x", request);
		assert_int_equal(feed(h, all, sizeof all - 1, chunk), sizeof request - 1);
		assert_true(http_head_is_done(h));
		assert_string_equal(http_method(h), "GET");
		assert_string_equal(http_target(h), "/t?a=b");
		assert_int_equal(http_minor(h), 1);
		assert_string_equal(http_header(h, "host"), "example.com");
		assert_string_equal(http_header(h, "UPGRADE"), "websocket");
		assert_string_equal(http_header(h, "x-empty"), "");
		assert_null(http_header(h, "x-none"));
		assert_int_equal(http_header_count(h, "x-twice"), 2);
		assert_true(http_has_token(h, "connection", "upgrade"));
		assert_true(http_has_token(h, "connection", "Keep-Alive"));
		assert_false(http_has_token(h, "connection", "keep"));
		assert_true(http_has_token(h, "x-twice", "2"));
		assert_true(http_header_at(h, 5, &name, &value));
		assert_string_equal(name, "X-Twice");
		assert_string_equal(value, "2");
		assert_false(http_header_at(h, 6, &name, &value));
		assert_int_equal(http_body(h), HTTP_BODY_NONE);
		assert_int_equal(http_head_feed(h, "x", 1, NULL), 0);
		http_head_free(h);
	}
}

static void
a_truncated_head_is_not_done(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof request - 1; n++) {
		struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);

		assert_int_equal(feed(h, request, n, n + 1), n);
		assert_false(http_head_is_done(h));
		http_head_free(h);
	}
}

static void
a_response_is_read(void **state)
{
	static const char text[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
	struct http_head *h = http_head_new(HTTP_HEAD_RESPONSE);

	(void)state;
	assert_int_equal(feed(h, text, sizeof text - 1, 1), sizeof text - 1);
	assert_int_equal(http_status(h), 101);
	assert_string_equal(http_reason(h), "Switching Protocols");
	assert_int_equal(http_body(h), HTTP_BODY_NONE);
	http_head_reset(h);
	assert_int_equal(feed(h, "HTTP/1.0 200 \r\n\r\n", 17, 17), 17);
	assert_string_equal(http_reason(h), "");
	assert_int_equal(http_minor(h), 0);
	assert_int_equal(http_body(h), HTTP_BODY_CLOSE);
	http_head_free(h);
}

static void
what_cannot_become_a_response_is_refused_at_once(void **state)
{
	static const char *const wrong[] = { "S", "2", "h", "HTTPS", "HTTP\r", "HT\r", "\r\nX",
		"\"" };
	static const char *const right[] = { "H", "HTTP", "\r\nHTTP/", "HTTP/1.1 200" };
	struct http_head *h = http_head_new(HTTP_HEAD_RESPONSE);

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct errtext why = { "" };
		size_t n = strlen(wrong[i]);

		assert_int_equal(http_head_feed(h, wrong[i], n - 1, &why), n - 1);
		assert_int_equal(http_head_feed(h, wrong[i] + n - 1, 1, &why), ERR_PROTO);
		assert_non_null(strstr(why.s, "does not begin with HTTP/"));
		http_head_reset(h);
	}
	for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
		assert_int_equal(
		    http_head_feed(h, right[i], strlen(right[i]), NULL), strlen(right[i]));
		http_head_reset(h);
	}
	http_head_free(h);
	/* A request may begin with anything that is a method. */
	h = http_head_new(HTTP_HEAD_REQUEST);
	assert_int_equal(http_head_feed(h, "S", 1, NULL), 1);
	http_head_free(h);
}

/* The words are llhttp's, which knows best. */
static void
a_refusal_says_why(void **state)
{
	static const char bad[] = "GET / HTTP/1.1\r\nA b: c\r\n\r\n";
	struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);
	struct errtext e = { "" };

	(void)state;
	assert_int_equal(http_head_feed(h, bad, sizeof bad - 1, &e), ERR_PROTO);
	assert_non_null(strstr(e.s, "header"));
	http_head_free(h);
}

static void
bodies_are_known_by_their_headers(void **state)
{
	static const struct {
		const char *text;
		enum http_body body;
		uint64_t length;
	} cases[] = {
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", HTTP_BODY_LENGTH, 0 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1234567\r\n\r\n", HTTP_BODY_LENGTH,
		    1234567 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
		    HTTP_BODY_CHUNKED, 0 },
		{ "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", HTTP_BODY_NONE, 0 },
		{ "\r\nOPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", HTTP_BODY_NONE, 0 },
		{ "GET / HTTP/1.0\r\n\r\n", HTTP_BODY_NONE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);

		assert_int_equal(
		    feed(h, cases[i].text, strlen(cases[i].text), 1000), strlen(cases[i].text));
		assert_true(http_head_is_done(h));
		assert_int_equal(http_body(h), cases[i].body);
		assert_int_equal(http_content_length(h), cases[i].length);
		http_head_free(h);
	}
}

/* RFC 9112 5.1: on both sides, and where there is nothing else. */
static void
space_around_a_value_is_none_of_it(void **state)
{
	static const char text[] =
	    "GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB: \r\nC:\t \t\r\nD: \tx y \t\r\nE: z"
	    "\r\n\r\n";
	static const char *const want[][2] = { { "a", "" }, { "b", "" }, { "c", "" },
		{ "d", "x y" }, { "e", "z" } };
	struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);

	(void)state;
	assert_int_equal(feed(h, text, sizeof text - 1, 1000), sizeof text - 1);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		assert_string_equal(http_header(h, want[i][0]), want[i][1]);
	http_head_free(h);
}

/* RFC 9112 6.3: what has a body whatever its headers say. */
static void
bodies_of_responses_depend_on_the_status(void **state)
{
	static const int statuses[] = { 100, 101, 199, 200, 203, 204, 205, 303, 304, 305, 404 };

	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		for (int given = 0; given < 2; given++) {
			struct http_head *h = http_head_new(HTTP_HEAD_RESPONSE);
			int s = statuses[i];
			char text[100];
			int n = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\n%s\r\n", s,
			    given ? "Content-Length: 5\r\n" : "");

			assert_int_equal(feed(h, text, (size_t)n, 1000), n);
			assert_int_equal(http_body(h), s < 200 || s == 204 || s == 304
							   ? HTTP_BODY_NONE
						       : given ? HTTP_BODY_LENGTH
							       : HTTP_BODY_CLOSE);
			http_head_free(h);
		}
}

/* RFC 9110 5.6.2 and 5.5, for each byte. */
static void
tokens_and_values_have_their_characters(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++) {
		char s[2] = { (char)c, '\0' };
		bool word =
		    (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		assert_int_equal(http_is_token(s), word || strchr("!#$%&'*+-.^_`|~", c) != NULL);
		assert_int_equal(http_is_value(s), c == '\t' || (c >= ' ' && c != 0x7f));
	}
	assert_false(http_is_token(""));
	assert_true(http_is_value(""));
}

static void
a_status_line_has_three_digits_and_one_line(void **state)
{
	static const struct {
		int status;
		const char *reason;
		bool good;
	} t[] = { { 100, "a", true }, { 999, "a", true }, { 99, "a", false }, { 1000, "a", false },
		{ 200, "a\r\nb", false }, { 200, "", true } };
	struct http_build b;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		http_build_status(&b, t[i].status, t[i].reason);
		assert_int_equal(http_build_end(&b) == 0, t[i].good);
	}
}

static void
what_could_be_read_in_two_ways_is_refused(void **state)
{
#define G "GET / HTTP/1.1\r\nHost: a\r\n"
#define E "\r\n\r\n"
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{ "GET / HTTP/1.1\nHost: a\n\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: a\n\r\n", 400 },
		{ G "A: b\rc" E, 400 },
		{ G "A: b\x01" E, 400 },
		{ G "A: b\x7f" E, 400 },
		{ G " folded: x" E, 400 },
		{ G "A: b\r\n more" E, 400 },
		{ G "A : b" E, 400 },
		{ G "A b: c" E, 400 },
		{ G ": c" E, 400 },
		{ G "no colon" E, 400 },
		{ G "A(b): c" E, 400 },
		{ G "Host: b" E, 400 },
		{ "GET / HTTP/1.1\r\nA: b" E, 400 },
		{ G "Content-Length: 1\r\nContent-Length: 1" E, 400 },
		{ G "Content-Length: 1\r\nTransfer-Encoding: chunked" E, 400 },
		{ G "Transfer-Encoding: chunked\r\nContent-Length: 1" E, 400 },
		{ G "Transfer-Encoding: gzip, chunked" E, 400 },
		{ G "Transfer-Encoding: xchunked" E, 400 },
		{ G "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" E, 400 },
		{ "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked" E, 400 },
		{ G "Content-Length: -1" E, 400 },
		{ G "Content-Length: +1" E, 400 },
		{ G "Content-Length: 0x10" E, 400 },
		{ G "Content-Length: 1, 1" E, 400 },
		{ G "Content-Length: 99999999999999999999999" E, 400 },
		{ G "Content-Length:" E, 400 },
		{ "GET  / HTTP/1.1\r\nHost: a" E, 400 },
		{ "GET /\xc3\xa9 HTTP/1.1\r\nHost: a" E, 400 },
		{ "GET / HTTP/2.0\r\nHost: a" E, 505 },
		{ "GET / HTTP/1.2\r\nHost: a" E, 505 },
		{ "GET / HTTP/0.9\r\nHost: a" E, 505 },
		{ "GET / HTTP/3\r\nHost: a" E, 400 },
		{ "GET / HTTP/1.10\r\nHost: a" E, 400 },
		{ "GET / HTTP/01.1\r\nHost: a" E, 400 },
		{ "GET / HTTP/1.1 \r\nHost: a" E, 400 },
		{ "GET / HTTP/1,1\r\nHost: a" E, 400 },
		{ "GET / http/1.1\r\nHost: a" E, 400 },
		{ "GET / RTSP/1.0\r\nHost: a" E, 400 },
		{ "GET / ICE/1.0\r\nHost: a" E, 400 },
		{ "GET /a b HTTP/1.1\r\nHost: a" E, 400 },
		{ "GET\t/ HTTP/1.1\r\nHost: a" E, 400 },
		{ "GET /\tHTTP/1.1\r\nHost: a" E, 400 },
		{ "GET /  HTTP/1.1\r\nHost: a" E, 400 },
		{ "GET /\x80 HTTP/1.1\r\nHost: a" E, 400 },
		{ "GET HTTP/1.1\r\nHost: a" E, 505 },
		{ "GET /\r\n\r\n", 505 },
		{ "GET\r\n\r\n", 400 },
		{ "PRI * HTTP/2.0\r\n\r\n", 505 },
		{ "PRI * HTTP/1.1\r\nHost: a" E, 501 },
		{ "DESCRIBE / HTTP/1.1\r\nHost: a" E, 501 },
		{ "SETUP / RTSP/1.0\r\nHost: a" E, 400 },
		{ "BREW / HTTP/1.1\r\nHost: a" E, 501 },
		{ "get / HTTP/1.1\r\nHost: a" E, 501 },
		{ "GETX / HTTP/1.1\r\nHost: a" E, 501 },
		{ "G@T / HTTP/1.1\r\nHost: a" E, 400 },
		{ "G\xc3\xa4T / HTTP/1.1\r\nHost: a" E, 400 },
		{ G "Content-Length: 9223372036854775808" E, 400 },
		{ G "Content-Length: 18446744073709551615" E, 400 },
		{ G "Content-Length: 1_0" E, 400 },
		{ G "Content-Length: 1 0" E, 400 },
		{ G "Transfer-Encoding:" E, 400 },
		{ G "Transfer-Encoding: identity" E, 400 },
		{ G "Transfer-Encoding: chunked, chunked" E, 400 },
		{ G "Transfer-Encoding: chunked;q=1" E, 400 },
		{ G "Transfer-Encoding: \"chunked\"" E, 400 },
		{ G "Transfer-Encoding: chunked," E, 400 },
		{ G "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity" E, 400 },
		{ "\x16\x03\x01\x02\x00\x01", 400 },
		{ "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (size_t chunk = 1; chunk <= 1000; chunk += 999) {
			struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);
			ssize_t r = feed(h, cases[i].text, strlen(cases[i].text), chunk);

			if (r != ERR_PROTO || http_refusal(h) != cases[i].status)
				fail_msg("%s: %zd, %d", cases[i].text, r, http_refusal(h));
			assert_int_equal(http_head_feed(h, "x", 1, NULL), ERR_PROTO);
			http_head_free(h);
		}
	}
}

static void
responses_that_could_be_read_in_two_ways_are_refused(void **state)
{
#define R "HTTP/1.1 200 OK\r\n"
	static const char *const good[] = { "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n",
		"HTTP/1.0 404 a  b\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n",
		"HTTP/1.1 200 \xc3\xa4\r\n\r\n", R "A:b\r\n\r\n" };
	static const char *const bad[] = { "HTTP/1.1  200 OK" E, "HTTP/1.1 20 OK" E,
		"HTTP/1.1 2000 OK" E, "HTTP/1.1 099 OK" E, "HTTP/1.1 2 0 OK" E, "HTTP/1.1 +20 OK" E,
		"HTTP/1.1\t200 OK" E, "HTTP/1.1 200\tOK" E, "HTTP/1.1 200OK" E, "HTTP/1.1" E,
		"HTTP/2.0 200 OK" E, "HTTP/1.2 200 OK" E, "HTTP/0.9 200 OK" E, "HTTP/2 200" E,
		"HTTP/1.10 200 OK" E, R "Content-Length: 1\r\nContent-Length: 1" E,
		R "Content-Length: 1\r\nContent-Length: 2" E, R "Content-Length: 1, 1" E,
		R "Content-Length: 1\r\nTransfer-Encoding: chunked" E,
		R "Transfer-Encoding: gzip, chunked" E, R "Transfer-Encoding: chunked, gzip" E,
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked" E, R "A : b" E, R " A: b" E,
		R "A: b\r\n c" E, R "A: b\rc" E, R "A\r\n" E,
		R "Content-Length: 9223372036854775808" E };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct http_head *h = http_head_new(HTTP_HEAD_RESPONSE);

		if (feed(h, good[i], strlen(good[i]), 1) != (ssize_t)strlen(good[i]) ||
		    !http_head_is_done(h))
			fail_msg("%s", good[i]);
		http_head_free(h);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct http_head *h = http_head_new(HTTP_HEAD_RESPONSE);

		if (feed(h, bad[i], strlen(bad[i]), 1) != ERR_PROTO)
			fail_msg("%s", bad[i]);
		http_head_free(h);
	}
#undef R
}

static void
nul_is_refused(void **state)
{
	struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);

	(void)state;
	assert_int_equal(feed(h, G "A: \0b" E, sizeof(G "A: \0b" E) - 1, 1), ERR_PROTO);
	http_head_free(h);
}

static void
heads_are_bounded(void **state)
{
	struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);
	char *text = mem_must_zalloc(HTTP_HEAD_MAX + 100);
	size_t n = (size_t)sprintf(text, G "A: ");

	(void)state;
	memset(text + n, 'x', HTTP_HEAD_MAX - n);
	/* The last that fits, and the first that does not. */
	memcpy(text + HTTP_HEAD_MAX - 4, E, 5);
	assert_int_equal(feed(h, text, HTTP_HEAD_MAX, 100000), HTTP_HEAD_MAX);
	assert_true(http_head_is_done(h));
	http_head_reset(h);
	memcpy(text + HTTP_HEAD_MAX - 4, "xxxxx" E, 10);
	assert_int_equal(feed(h, text, HTTP_HEAD_MAX + 5, 1000), ERR_LIMIT);
	assert_int_equal(http_refusal(h), 431);

	for (int lines = HTTP_HEADERS_MAX; lines <= HTTP_HEADERS_MAX + 1; lines++) {
		http_head_reset(h);
		n = (size_t)sprintf(text, G);
		for (int i = 1; i < lines; i++)
			n += (size_t)sprintf(text + n, "A%d: b\r\n", i);
		n += (size_t)sprintf(text + n, "\r\n");
		assert_int_equal(
		    feed(h, text, n, n), lines == HTTP_HEADERS_MAX ? (ssize_t)n : ERR_LIMIT);
	}
	assert_int_equal(http_refusal(h), 431);
	http_head_free(h);
	mem_free(text);
}

static void
a_queue_gives_up_the_head_only(void **state)
{
	struct http_head *h = http_head_new(HTTP_HEAD_REQUEST);
	struct bufq q = { 0 };

	(void)state;
	assert_int_equal(bufq_copy(&q, request, sizeof request - 1), 0);
	assert_int_equal(bufq_copy(&q, "rest", 4), 0);
	assert_int_equal(http_head_take(h, &q, NULL), 0);
	assert_true(http_head_is_done(h));
	assert_int_equal(q.len, 4);
	bufq_fini(&q);
	http_head_free(h);
	buf_pool_free();
}

static void
lists_are_searched_by_member(void **state)
{
	(void)state;
	assert_true(http_list_has("a", "A"));
	assert_true(http_list_has(" ,, a\t,b ", "b"));
	assert_true(http_list_has("x,a", "a"));
	assert_false(http_list_has("ab", "a"));
	assert_false(http_list_has("a;q=1", "a"));
	assert_false(http_list_has("a b", "a"));
	assert_false(http_list_has("", "a"));
	assert_false(http_list_has(",", ""));
}

static void
heads_are_built(void **state)
{
	static const char want[] = "GET /x HTTP/1.1\r\nHost: a\r\nX-N: 42\r\n\r\n";
	struct http_build b;
	struct http_head *h = http_head_new(HTTP_HEAD_RESPONSE);

	(void)state;
	http_build_request(&b, "GET", "/x");
	http_build_header(&b, "Host", "a");
	http_build_headerf(&b, "X-N", "%d", 42);
	assert_int_equal(http_build_end(&b), 0);
	assert_int_equal(b.len, sizeof want - 1);
	assert_memory_equal(b.s, want, b.len);

	assert_int_equal(http_build_simple(&b, 404, NULL), 0);
	assert_true(feed(h, b.s, b.len, 7) > 0);
	assert_int_equal(http_status(h), 404);
	assert_string_equal(http_reason(h), "Not Found");
	assert_int_equal(http_content_length(h), strlen("Not Found\n"));
	assert_string_equal(http_header(h, "Content-Type"), "text/plain; charset=utf-8");
	assert_string_equal(http_header(h, "Cache-Control"), "no-store");
	assert_string_equal(http_header(h, "Connection"), "close");
	assert_null(http_header(h, "retry-after"));
	http_head_free(h);
}

static void
each_status_has_words_of_its_own(void **state)
{
	static const char known[] =
	    "100 101 200 201 204 301 302 304 307 308 400 401 403 404 405 407 408 409 413 421 426 "
	    "429 431 500 501 502 503 504 505 ";
	char text[sizeof known] = "";
	size_t len = 0;

	(void)state;
	for (int i = 100; i < 600; i++) {
		if (strcmp(http_reason_of(i), "Unknown") != 0)
			len += (size_t)snprintf(text + len, sizeof text - len, "%d ", i);
		for (int j = 100; j < i; j++)
			if (strcmp(http_reason_of(i), "Unknown") != 0)
				assert_string_not_equal(http_reason_of(i), http_reason_of(j));
	}
	assert_string_equal(text, known);
}

static void
who_is_turned_away_for_a_while_is_told_how_long(void **state)
{
	static const int statuses[] = { 429, 503 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct http_head *h = http_head_new(HTTP_HEAD_RESPONSE);
		struct http_build b;

		assert_int_equal(http_build_simple(&b, statuses[i], "later\n"), 0);
		assert_true(feed(h, b.s, b.len, 7) > 0);
		assert_string_equal(http_header(h, "retry-after"), "5");
		http_head_free(h);
	}
}

static void
nothing_built_can_begin_another_line(void **state)
{
	static const struct {
		const char *method, *target, *name, *value;
	} cases[] = {
		{ "GE T", "/", "A", "b" },
		{ "", "/", "A", "b" },
		{ "GET", "/ HTTP/1.1\r\nX: y", "A", "b" },
		{ "GET", "/a b", "A", "b" },
		{ "GET", "", "A", "b" },
		{ "GET", "/", "A\r\nB", "b" },
		{ "GET", "/", "A:", "b" },
		{ "GET", "/", "", "b" },
		{ "GET", "/", "A", "b\r\nC: d" },
		{ "GET", "/", "A", "b\n" },
		{ "GET", "/", "A", "b\x1b[0m" },
	};
	struct http_build b;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		http_build_request(&b, cases[i].method, cases[i].target);
		http_build_header(&b, cases[i].name, cases[i].value);
		assert_int_equal(http_build_end(&b), ERR_INVALID);
	}
	http_build_status(&b, 200, "OK\r\nX: y");
	assert_int_equal(http_build_end(&b), ERR_INVALID);
	http_build_request(&b, "GET", "/");
	for (int i = 0; i < 30; i++)
		http_build_headerf(&b, "A", "%0900d", i);
	assert_int_equal(http_build_end(&b), ERR_LIMIT);
	http_build_request(&b, "GET", "/");
	http_build_headerf(&b, "A", "%02000d", 1);
	assert_int_equal(http_build_end(&b), ERR_LIMIT);
}

static void
basic_credentials_are_encoded(void **state)
{
	char out[HTTP_BASIC_MAX], lengthy[HTTP_BASIC_MAX];

	(void)state;
	/* RFC 7617 2 */
	assert_int_equal(http_basic("Aladdin", "open sesame", out), 0);
	assert_string_equal(out, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	assert_int_equal(http_basic("a:b", "c", out), ERR_INVALID);
	memset(lengthy, 'x', sizeof lengthy - 1);
	lengthy[sizeof lengthy - 1] = 0;
	assert_int_equal(http_basic("a", lengthy, out), ERR_LIMIT);
}

/* The schemes of a value, each followed by a space. */
static const char *
schemes(const char *value)
{
	static char out[128];
	const char *s;
	size_t n = 0, len = 0;

	while ((s = http_next_scheme(&value, &n)) != NULL)
		len += (size_t)snprintf(out + len, sizeof out - len, "%.*s ", (int)n, s);
	out[len] = '\0';
	return out;
}

static void
challenges_are_told_from_their_parameters(void **state)
{
	(void)state;
	assert_string_equal(schemes("Negotiate"), "Negotiate ");
	assert_string_equal(schemes("NTLM, Basic realm=\"a, b\""), "NTLM Basic ");
	assert_string_equal(
	    schemes("Digest realm=\"x\\\", Fake y\", nonce = \"Fake z\" , qop=auth,Basic realm=x"),
	    "Digest Basic ");
	assert_string_equal(schemes("Negotiate YWJj==,\tBearer"), "Negotiate Bearer ");
	assert_string_equal(schemes(" ,, Basic"), "Basic ");
	assert_string_equal(schemes(""), "");
	assert_string_equal(schemes("=\", Basic"), "");
	assert_string_equal(schemes("\"\\"), "");
}

static void
every_failed_allocation_is_told(void **state)
{
	(void)state;
	for (long n = 0; n < 3; n++) {
		struct http_head *h;
		ssize_t r = 0;

		mem_fail_after(n);
		h = http_head_new(HTTP_HEAD_REQUEST);
		if (h != NULL)
			r = http_head_feed(h, request, sizeof request - 1, NULL);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(n == 0 ? h == NULL : n == 1 ? r == ERR_NOMEM : r == sizeof request - 1);
		if (r == ERR_NOMEM)
			assert_int_equal(http_refusal(h), 500);
		http_head_free(h);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read_whole_and_byte_by_byte),
		cmocka_unit_test(a_truncated_head_is_not_done),
		cmocka_unit_test(a_response_is_read),
		cmocka_unit_test(what_cannot_become_a_response_is_refused_at_once),
		cmocka_unit_test(a_refusal_says_why),
		cmocka_unit_test(bodies_are_known_by_their_headers),
		cmocka_unit_test(space_around_a_value_is_none_of_it),
		cmocka_unit_test(bodies_of_responses_depend_on_the_status),
		cmocka_unit_test(tokens_and_values_have_their_characters),
		cmocka_unit_test(a_status_line_has_three_digits_and_one_line),
		cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
		cmocka_unit_test(responses_that_could_be_read_in_two_ways_are_refused),
		cmocka_unit_test(nul_is_refused),
		cmocka_unit_test(heads_are_bounded),
		cmocka_unit_test(a_queue_gives_up_the_head_only),
		cmocka_unit_test(lists_are_searched_by_member),
		cmocka_unit_test(heads_are_built),
		cmocka_unit_test(each_status_has_words_of_its_own),
		cmocka_unit_test(who_is_turned_away_for_a_while_is_told_how_long),
		cmocka_unit_test(nothing_built_can_begin_another_line),
		cmocka_unit_test(basic_credentials_are_encoded),
		cmocka_unit_test(challenges_are_told_from_their_parameters),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
