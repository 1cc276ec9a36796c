/* SPDX-License-Identifier: ISC */
/*
 * body_test - bodies are read exactly, however they are cut; framing that could be read in two ways
 * is refused, and costs its sender as much as us.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/http/body.h"
#include "test/unit/bodyrun.h"

#define MAX 65536

struct expected {
	int r;
	bool done;
	/* bytes behind the body, which stay where they are */
	size_t behind;
	const char *payload, *trailers;
};

static void
is_as_expected(const struct bodyrun *run, size_t n, const struct expected *e)
{
	assert_non_null(run);
	assert_int_equal(run->r, e->r);
	assert_int_equal(run->r != 0, run->why.s[0] != '\0');
	assert_int_equal(run->done, e->done);
	assert_int_equal(run->n, strlen(e->payload));
	assert_memory_equal(run->payload, e->payload, run->n);
	if (e->r == 0)
		assert_int_equal(run->taken, n - e->behind);
	assert_string_equal(run->trailers, e->trailers == NULL ? "" : e->trailers);
}

/* Whole, in two at every place, byte by byte, and with room for one byte at a time. */
static void
reads(enum http_body kind, uint64_t length, const char *s, const struct expected *e)
{
	size_t n = strlen(s);
	struct expected two = *e;
	struct bodyrun *run;

	for (size_t first = 1; first <= n; first++) {
		/* A body that is over is not asked for the rest. */
		run = bodyrun(kind, length, s, n, first, n, MAX);
		two.behind = e->done && first <= n - e->behind ? n - run->taken : e->behind;
		is_as_expected(run, n, &two);
		assert_true(e->r != 0 || run->taken == n - e->behind);
		bodyrun_free(run);
	}
	run = bodyrun(kind, length, s, n, 1, 1, MAX);
	is_as_expected(run, n, e);
	bodyrun_free(run);
	run = bodyrun(kind, length, s, n, n, n, 1);
	is_as_expected(run, n, e);
	bodyrun_free(run);
}

static void
chunked(const char *s, const struct expected *e)
{
	reads(HTTP_BODY_CHUNKED, 0, s, e);
}

static void
refused(const char *s, const char *payload, int r)
{
	chunked(s, &(struct expected){ .r = r, .payload = payload });
}

static void
a_body_of_known_length_ends_there(void **state)
{
	(void)state;
	reads(HTTP_BODY_LENGTH, 5, "helloGET / HTTP",
	    &(struct expected){ .done = true, .behind = 10, .payload = "hello" });
	reads(HTTP_BODY_LENGTH, 5, "hell", &(struct expected){ .payload = "hell" });
	reads(HTTP_BODY_LENGTH, UINT64_MAX, "hell", &(struct expected){ .payload = "hell" });
	reads(HTTP_BODY_LENGTH, 0, "x",
	    &(struct expected){ .done = true, .behind = 1, .payload = "" });
}

static void
no_body_takes_nothing_and_one_until_close_all(void **state)
{
	(void)state;
	reads(HTTP_BODY_NONE, 7, "GET /",
	    &(struct expected){ .done = true, .behind = 5, .payload = "" });
	reads(HTTP_BODY_CLOSE, 0, "5\r\nhello\r\n0\r\n\r\n",
	    &(struct expected){ .payload = "5\r\nhello\r\n0\r\n\r\n" });
}

static void
chunks_are_put_together(void **state)
{
	static const struct {
		const char *s, *payload;
		size_t behind;
	} t[] = {
		{ "0\r\n\r\n", "", 0 },
		{ "5\r\nhello\r\n0\r\n\r\n", "hello", 0 },
		{ "5\r\nhello\r\n0\r\n\r\nGET /", "hello", 5 },
		{ "5\r\nhello\r\n0\r\n\r\n\r\n", "hello", 2 },
		{ "1\r\na\r\n2\r\nbc\r\n0A\r\n0123456789\r\n000\r\n\r\n", "abc0123456789", 0 },
		{ "b\r\nhello world\r\n0\r\n\r\n", "hello world", 0 },
		{ "B\r\nhello world\r\n0\r\n\r\n", "hello world", 0 },
		{ "0000000000000001\r\na\r\n0\r\n\r\n", "a", 0 },
		{ "4\r\n0\r\n\r\r\n0\r\n\r\n", "0\r\n\r", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
		chunked(t[i].s, &(struct expected){
				    .done = true, .behind = t[i].behind, .payload = t[i].payload });
}

static void
extensions_are_read_past(void **state)
{
	static const char *const good[] = { "1;a\r\nx\r\n0\r\n\r\n", "1;a=b\r\nx\r\n0;c\r\n\r\n",
		"1 ; a = b ;c\r\nx\r\n0\r\n\r\n", "1;a=\"b;c \\\" d\"\r\nx\r\n0\r\n\r\n",
		"1;a=\"\" ;b\t=\t1\r\nx\r\n0\r\n\r\n", "1;a=\"\xc3\xa4\"\r\nx\r\n0\r\n\r\n" };
	static const char *const bad[] = { "1;\r\nx\r\n", "1;;a\r\nx\r\n", "1 \r\nx\r\n",
		"1;a \r\nx\r\n", "1;a=\r\nx\r\n", "1;a=\"b\r\nx\r\n", "1;a=b c\r\nx\r\n",
		"1;a=\"b\\\r\nx\r\n", "1 a\r\nx\r\n", "1;a\nx\r\n", "1;a=\"\n\"\r\nx\r\n",
		"1;a\x01\r\nx\r\n", "1;a=\"\x7f\"\r\nx\r\n", "1;\xc3\xa4\r\nx\r\n",
		"1;a\r\rx\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		chunked(good[i], &(struct expected){ .done = true, .payload = "x" });
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refused(bad[i], "", ERR_PROTO);
}

static void
a_size_is_hexadecimal_digits_alone(void **state)
{
	static const char *const bad[] = { "\r\n", "x\r\n", "-1\r\n", "+1\r\n", " 1\r\n", "0x1\r\n",
		"1,\r\n", "1_0\r\n", "\t1\r\n", "\n", "g\r\n", ";a\r\n", "1\n", "1\r", "1\r1",
		"0\n\n", "8000000000000000\r\n", "ffffffffffffffff\r\n", "00000000000000001\r\n",
		"10000000000000000\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char s[64];

		/* What is not whole yet is no fault; here something follows. */
		snprintf(s, sizeof s, "%s%s", bad[i], "x\r\n");
		refused(s, "", ERR_PROTO);
	}
	chunked("7fffffffffffffff\r\nabc", &(struct expected){ .payload = "abc" });
}

static void
a_chunk_ends_where_it_says(void **state)
{
	(void)state;
	refused("3\r\nhello\r\n0\r\n\r\n", "hel", ERR_PROTO);
	refused("6\r\nhello\r\n0\r\n\r\n", "hello\r", ERR_PROTO);
	refused("5\r\nhello\n0\r\n\r\n", "hello", ERR_PROTO);
	refused("5\r\nhello\r0\r\n\r\n", "hello", ERR_PROTO);
	refused("5\r\nhello0\r\n\r\n", "hello", ERR_PROTO);
	refused("5\r\nhelloXX0\r\n\r\n", "hello", ERR_PROTO);
	refused("5\r\nhello\r\r0\r\n\r\n", "hello", ERR_PROTO);
	refused("5\r\nhello\n\n0\r\n\r\n", "hello", ERR_PROTO);
	refused("5\r\nhello\r\n\r\n0\r\n\r\n", "hello", ERR_PROTO);
}

static void
a_body_that_breaks_off_is_not_done(void **state)
{
	static const char s[] = "5;a=\"b\"\r\nhello\r\n0\r\nX-A: b\r\n\r\n";

	(void)state;
	for (size_t n = 0; n < sizeof s - 1; n++) {
		struct bodyrun *run = bodyrun(HTTP_BODY_CHUNKED, 0, s, n, n, n, MAX);

		assert_int_equal(run->r, 0);
		assert_false(run->done);
		bodyrun_free(run);
	}
}

static void
trailers_are_kept(void **state)
{
	(void)state;
	chunked("1\r\nx\r\n0\r\nX-Sum: 1\r\nEmpty:\r\nX-Two:\t a  b \t\r\n\r\nGET",
	    &(struct expected){ .done = true,
		.behind = 3,
		.payload = "x",
		.trailers = "X-Sum: 1|Empty: |X-Two: a  b|" });
}

static void
trailers_that_must_not_stand_there_are_dropped(void **state)
{
	static const char *const names[] = { "Content-Length", "Transfer-Encoding", "Host",
		"Connection", "Authorization", "Cookie", "Set-Cookie", "content_length",
		"TRANSFER_ENCODING", "X-Forwarded-For", "X_Forwarded_For", "Forwarded", "Trailer",
		"TE", "Upgrade", "Expect", "If-Match", "Range", "Content-Type", "Content-Encoding",
		"Proxy-Authorization", "Keep-Alive", "Cache-Control", "WWW-Authenticate",
		"Location", "X-Real-IP" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char s[128];

		snprintf(s, sizeof s, "0\r\nA: 1\r\n%s: 5\r\nB: 2\r\n\r\n", names[i]);
		chunked(
		    s, &(struct expected){ .done = true, .payload = "", .trailers = "A: 1|B: 2|" });
	}
}

static void
malformed_trailers_are_refused(void **state)
{
	static const char *const bad[] = { "A\r\n\r\n", "A : b\r\n\r\n", ": b\r\n\r\n",
		" A: b\r\n\r\n", "\tA: b\r\n\r\n", "A: b\n\r\n", "A: b\rc\r\n\r\n",
		"A: b\x01\r\n\r\n", "A: b\x7f\r\n\r\n", "A b: c\r\n\r\n", "\n", "\r\r\n",
		"Content-Length : 5\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\xc3: b\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char s[128];

		snprintf(s, sizeof s, "1\r\nx\r\n0\r\n%s", bad[i]);
		refused(s, "x", ERR_PROTO);
	}
	chunked("1\r\nx\r\n0\r\nA: 1\r\n B: 2\r\n\r\n",
	    &(struct expected){ .r = ERR_PROTO, .payload = "x", .trailers = "A: 1|" });
}

/* ---- limits ---- */

/* head, n times unit, and tail, as one body that is cut in every 1000 bytes. */
static struct bodyrun *
long_body(const char *head, const char *unit, size_t n, const char *tail)
{
	size_t len = strlen(head) + n * strlen(unit) + strlen(tail);
	char *s = malloc(len + 1), *p = s;
	struct bodyrun *run;

	assert_non_null(s);
	p = stpcpy(p, head);
	for (size_t i = 0; i < n; i++)
		p = stpcpy(p, unit);
	stpcpy(p, tail);
	run = bodyrun(HTTP_BODY_CHUNKED, 0, s, len, 1000, 1000, MAX);
	assert_non_null(run);
	free(s);
	return run;
}

static void
ends_with(struct bodyrun *run, int r, size_t n)
{
	assert_int_equal(run->r, r);
	assert_int_equal(run->done, r == 0);
	assert_int_equal(run->n, n);
	bodyrun_free(run);
}

static void
a_line_is_bounded(void **state)
{
	(void)state;
	ends_with(long_body("1;", "a", BODY_LINE_MAX - 4, "\r\nx\r\n0\r\n\r\n"), 0, 1);
	ends_with(long_body("1;", "a", BODY_LINE_MAX - 3, "\r\nx\r\n0\r\n\r\n"), ERR_LIMIT, 0);
}

static void
trailers_are_bounded(void **state)
{
	(void)state;
	ends_with(long_body("0\r\nA: ", "a", BODY_TRAILERS_MAX - 7, "\r\n\r\n"), 0, 0);
	ends_with(long_body("0\r\nA: ", "a", BODY_TRAILERS_MAX - 6, "\r\n\r\n"), ERR_LIMIT, 0);
	ends_with(long_body("0\r\n", "A: b\r\n", HTTP_HEADERS_MAX, "\r\n"), 0, 0);
	ends_with(long_body("0\r\n", "A: b\r\n", HTTP_HEADERS_MAX + 1, "\r\n"), ERR_LIMIT, 0);
	/* Those that are dropped count, too. */
	ends_with(long_body("0\r\n", "TE: b\r\n", HTTP_HEADERS_MAX + 1, "\r\n"), ERR_LIMIT, 0);
}

static void
chunks_of_one_byte_go_on_for_ever_and_extensions_do_not(void **state)
{
	static const char small[] = "0000000000000001\r\nx\r\n",
			  large[] = "1;aaaaaaaaaaaaaaaaaaa\r\nx\r\n";
	struct bodyrun *run;

	(void)state;
	ends_with(long_body("", small, 100000, "0\r\n\r\n"), 0, 100000);
	run = long_body("", large, 100000, "0\r\n\r\n");
	assert_true(run->n > 1000 && run->n < 10000);
	ends_with(run, ERR_LIMIT, run->n);
	/* A payload pays for its line. */
	ends_with(long_body("", "a;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n0123456789\r\n", 10000,
		      "0\r\n\r\n"),
	    0, 100000);
}

static void
payload_is_moved_and_not_copied(void **state)
{
	struct block *block = block_new(BUF_LARGE);
	struct bufq in = { 0 }, out = { 0 };
	struct body_reader b;
	size_t n;

	(void)state;
	memset(block->data, 'x', BUF_LARGE);
	memcpy(block->data, "8000\r\n", 6);
	block->fill = BUF_LARGE;
	assert_int_equal(bufq_append(&in, block, block->data, BUF_LARGE), 0);
	body_begin(&b, HTTP_BODY_CHUNKED, 0);
	assert_int_equal(body_take(&b, &in, &out, 10, NULL), 0);
	assert_int_equal(out.len, 10);
	assert_int_equal(body_take(&b, &in, &out, 0, NULL), 0);
	assert_int_equal(out.len, 10);
	/* What follows is no end of a chunk, and the refusal stays. */
	assert_int_equal(body_take(&b, &in, &out, 0x8000 - 10, NULL), ERR_PROTO);
	assert_int_equal(body_take(&b, &in, &out, 1, NULL), ERR_PROTO);
	assert_int_equal(out.len, 0x8000);
	assert_ptr_equal(bufq_front(&out, &n), block->data + 6);
	assert_int_equal(n, 0x8000);
	assert_int_equal(b.payload, 0x8000);
	assert_false(body_is_done(&b));
	body_fini(&b);
	body_fini(&b);
	bufq_fini(&in);
	bufq_fini(&out);
	block_unref(block);
}

/* ---- writing ---- */

static void
holds(struct bufq *q, const char *s)
{
	char text[256];
	size_t n = bufq_read(q, 0, text, sizeof text);

	assert_int_equal(n, strlen(s));
	assert_memory_equal(text, s, n);
	bufq_drain(q, n);
}

static void
chunks_are_written(void **state)
{
	struct bufq in = { 0 }, out = { 0 };
	struct body_reader b;
	struct bufq payload = { 0 };

	(void)state;
	assert_int_equal(body_chunk(&in, &out), 0);
	holds(&out, "");
	assert_int_equal(bufq_copy(&in, "hello, world", 12), 0);
	assert_int_equal(body_chunk(&in, &out), 0);
	assert_int_equal(in.len, 0);
	holds(&out, "c\r\nhello, world\r\n");
	assert_int_equal(body_last_chunk(NULL, &out), 0);
	holds(&out, "0\r\n\r\n");
	assert_int_equal(bufq_copy(&in, "0\r\nA: 1\r\nHost: x\r\nB:\r\n\r\n", 25), 0);
	body_begin(&b, HTTP_BODY_CHUNKED, 0);
	assert_int_equal(body_take(&b, &in, &payload, MAX, NULL), 0);
	assert_true(body_is_done(&b));
	assert_int_equal(body_last_chunk(&b, &out), 0);
	holds(&out, "0\r\nA: 1\r\nB: \r\n\r\n");
	body_fini(&b);
	body_begin(&b, HTTP_BODY_NONE, 0);
	assert_int_equal(body_last_chunk(&b, &out), 0);
	holds(&out, "0\r\n\r\n");
	body_fini(&b);
	bufq_fini(&in);
	bufq_fini(&payload);
	bufq_fini(&out);
}

/* Each allocation fails once, and each failure is told. */
static void
out_of_memory_is_told(void **state)
{
	static const char s[] = "5\r\nhello\r\n0\r\nA: 1\r\n\r\n";
	bool whole = false;

	(void)state;
	for (long fail = 0; !whole; fail++) {
		struct bufq in = { 0 }, payload = { 0 }, out = { 0 };
		struct body_reader b;
		int r;

		assert_int_equal(bufq_copy(&in, s, sizeof s - 1), 0);
		body_begin(&b, HTTP_BODY_CHUNKED, 0);
		buf_pool_free();
		mem_fail_after(fail);
		if ((r = body_take(&b, &in, &payload, MAX, NULL)) == 0 &&
		    (r = body_chunk(&payload, &out)) == 0)
			r = body_last_chunk(&b, &out);
		mem_fail_after(MEM_NO_FAIL);
		whole = r == 0;
		assert_true(whole || r == ERR_NOMEM);
		if (whole)
			holds(&out, s);
		body_fini(&b);
		bufq_fini(&in);
		bufq_fini(&payload);
		bufq_fini(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_of_known_length_ends_there),
		cmocka_unit_test(no_body_takes_nothing_and_one_until_close_all),
		cmocka_unit_test(chunks_are_put_together),
		cmocka_unit_test(extensions_are_read_past),
		cmocka_unit_test(a_size_is_hexadecimal_digits_alone),
		cmocka_unit_test(a_chunk_ends_where_it_says),
		cmocka_unit_test(a_body_that_breaks_off_is_not_done),
		cmocka_unit_test(trailers_are_kept),
		cmocka_unit_test(trailers_that_must_not_stand_there_are_dropped),
		cmocka_unit_test(malformed_trailers_are_refused),
		cmocka_unit_test(a_line_is_bounded),
		cmocka_unit_test(trailers_are_bounded),
		cmocka_unit_test(chunks_of_one_byte_go_on_for_ever_and_extensions_do_not),
		cmocka_unit_test(payload_is_moved_and_not_copied),
		cmocka_unit_test(chunks_are_written),
		cmocka_unit_test(out_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
