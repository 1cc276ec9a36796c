/* SPDX-License-Identifier: ISC */
/*
 * backend_stream_test - requests on a stream to the agent's service: what leaves, what is taken
 * for the answer's end, how failures are told apart, and in what time.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/backendfix.h"
#include "test/unit/heap.h"
#include "test/unit/memfilter.h"

#define GET_HEAD "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST_HEAD "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"

/* ---- the request ---- */

static void
a_request_goes_before_the_answer_to_open(void **state)
{
	struct ask a = ask_by("192.0.2.1");

	(void)state;
	ask_get(&a);
	assert_string_equal(newest()->open.service, "web");
	assert_string_equal(newest()->open.source, "192.0.2.1:40000");
	assert_true(fake_got(newest(), GET_HEAD));
	ask_close(&a);
	assert_true(newest()->aborted);
}

static void
bodies_are_framed(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");

	(void)state;
	assert_true(ask_open(&a));
	ask_say(&a, "POST", HTTP_BODY_LENGTH, 5);
	assert_true(backend_room(a.b) > 0);
	ask_payload(&a, "he");
	ask_payload(&a, "llo");
	ask_end(&a);
	assert_true(fake_got(
	    newest(), "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"));
	ask_close(&a);
	assert_true(ask_open(&b));
	ask_say(&b, "POST", HTTP_BODY_CHUNKED, 0);
	ask_payload(&b, "hello");
	ask_payload(&b, "");
	ask_end(&b);
	assert_true(fake_got(newest(),
	    "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n0\r\n\r\n"));
	ask_close(&b);
}

static void
a_proxy_header_goes_first(void **state)
{
	struct ask a = ask_by("192.0.2.1");

	(void)state;
	a.q.proxy = 1;
	ask_get(&a);
	assert_true(
	    fake_got(newest(), "PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n"
			       "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"));
	ask_close(&a);
}

/* ---- the answer ---- */

static void
answers_by_length(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	service_says(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
	assert_string_equal(a.got, "[200 OK]he");
	assert_false(a.ended);
	service_says(s, "llo");
	assert_string_equal(a.got, "[200 OK]hello|end");
	ask_close(&a);
}

static void
answers_in_chunks_with_trailers(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	service_says(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n");
	service_says(s, "3\r\nllo\r\n0\r\nDigest: x\r\n\r\n");
	assert_string_equal(a.got, "[200 OK]hello{Digest: x}|end");
	ask_close(&a);
}

static void
answers_by_close(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	service_says(s, "HTTP/1.0 200 OK\r\n\r\nhello");
	assert_false(a.ended);
	service_closes(s);
	assert_string_equal(a.got, "[200 OK]hello|end");
	ask_close(&a);
	/* The service sees a good end of ours, too. */
	assert_true(s->eof && !s->aborted && s->acked_eof);
}

static void
one_byte_at_a_time_is_the_same(void **state)
{
	static const char text[] =
	    "HTTP/1.1 100 Continue\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	for (size_t i = 0; i < sizeof text - 1; i++) {
		char one[2] = { text[i], '\0' };

		assert_false(a.ended);
		service_says(s, one);
	}
	assert_string_equal(a.got, "[100 Continue][200 OK]hello|end");
	ask_close(&a);
}

static void
some_answers_have_no_body(void **state)
{
	static const struct {
		const char *head, *got;
		bool is_head;
	} t[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "[200 OK]|end", true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "[200 OK]|end", true },
		{ "HTTP/1.1 200 OK\r\n\r\n", "[200 OK]|end", true },
		{ "HTTP/1.1 204 No Content\r\n\r\n", "[204 No Content]|end", false },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
		    "[304 Not Modified]|end", false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "[200 OK]|end", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct ask a = ask_by("192.0.2.1");

		a.q.is_head = t[i].is_head;
		service_says(ask_taken(&a), t[i].head);
		assert_string_equal(a.got, t[i].got);
		ask_close(&a);
	}
}

static void
a_pause_holds_payload_back_and_no_end(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	a.pause_in_body = true;
	service_says(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
	service_says(s, "ll");
	assert_string_equal(a.got, "[200 OK]he");
	assert_true(s->consumed < 50);
	a.pause_in_body = false;
	backend_pause(a.b, false);
	mem_settle(w->loop);
	assert_string_equal(a.got, "[200 OK]hell");
	a.pause_in_body = true;
	service_says(s, "o");
	assert_string_equal(a.got, "[200 OK]hello|end");
	ask_close(&a);
}

static void
what_stands_behind_a_pause_outlives_the_stream(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	a.pause_in_body = true;
	service_says(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
	service_says(s, "llo");
	fake_end(s, CODE_RESET, "reset");
	assert_string_equal(a.got, "[200 OK]he");
	a.pause_in_body = false;
	backend_pause(a.b, false);
	mem_settle(w->loop);
	assert_string_equal(a.got, "[200 OK]hello|end");
	ask_close(&a);

	s = ask_taken(&b);
	b.pause_in_body = true;
	service_says(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
	service_says(s, "ll");
	fake_end(s, CODE_RESET, "reset");
	b.pause_in_body = false;
	backend_pause(b.b, false);
	mem_settle(w->loop);
	assert_string_equal(b.got, "[200 OK]hell|failed: reset");
	assert_int_equal(b.failure, BACKEND_CUT);
	ask_close(&b);
}

static void
it_may_be_closed_in_each_callback(void **state)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhe";
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1"), c = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	a.close_in_head = true;
	s = ask_taken(&a);
	service_says(s, answer);
	assert_string_equal(a.got, "[200 OK]");
	assert_true(s->aborted);
	b.close_in_body = true;
	s = ask_taken(&b);
	service_says(s, answer);
	assert_string_equal(b.got, "[200 OK]he");
	assert_true(s->aborted);
	c.close_in_end = true;
	s = ask_taken(&c);
	service_says(s, answer);
	assert_string_equal(c.got, "[200 OK]he|end");
	assert_false(s->aborted);
}

static void
an_answer_may_come_before_the_request_is_whole(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	assert_true(ask_open(&a));
	ask_say(&a, "POST", HTTP_BODY_LENGTH, 500);
	ask_payload(&a, "some");
	s = newest();
	service_accepts(s);
	service_takes_all(s);
	service_says(s, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
	assert_string_equal(a.got, "[413 Content Too Large]no|end");
	ask_payload(&a, "more");
	ask_close(&a);
	assert_true(s->aborted);
}

/* ---- refused, cut, malformed ---- */

static void
what_an_agent_refuses_is_told_in_its_words(void **state)
{
	static const struct {
		uint32_t code;
		enum backend_failure f;
	} t[] = {
		{ CODE_REFUSED, BACKEND_REFUSED },
		{ CODE_UNREACHABLE, BACKEND_REFUSED },
		{ CODE_NOT_FOUND, BACKEND_REFUSED },
		{ CODE_DENIED, BACKEND_REFUSED },
		{ CODE_TIMEOUT, BACKEND_UNREACHED },
		{ CODE_LIMIT, BACKEND_FULL },
		{ CODE_LOST, BACKEND_LOST },
		{ CODE_GONE, BACKEND_LOST },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct ask a = ask_by("192.0.2.1");

		ask_get(&a);
		fake_end(newest(), t[i].code, "connection refused by 127.0.0.1:9");
		assert_string_equal(a.got, "|failed: connection refused by 127.0.0.1:9");
		assert_int_equal(a.failure, t[i].f);
		/* What was handed on before a link was lost, nobody knows. */
		assert_int_equal(backend_is_untouched(a.b), t[i].f != BACKEND_LOST);
		ask_close(&a);
	}
}

static void
an_answer_that_is_cut_is_told(void **state)
{
	static const char *const t[] = {
		"",
		"HTTP/1.1 200",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");
		struct fake_stream *s = ask_taken(&a);

		service_says(s, t[i]);
		service_closes(s);
		assert_true(a.failed && !a.ended);
		assert_int_equal(a.failure, BACKEND_CUT);
		assert_false(backend_is_untouched(a.b));
		ask_close(&a);
		s = ask_taken(&b);
		service_says(s, t[i]);
		fake_end(s, CODE_RESET, "reset");
		assert_int_equal(b.failure, BACKEND_CUT);
		ask_close(&b);
	}
}

static void
a_reset_within_an_answer_by_close_is_a_cut(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	service_says(s, "HTTP/1.1 200 OK\r\n\r\nhello");
	fake_end(s, CODE_RESET, "the target broke off");
	assert_string_equal(a.got, "[200 OK]hello|failed: the target broke off");
	assert_int_equal(a.failure, BACKEND_CUT);
	ask_close(&a);
}

static void
a_lost_session_is_told_apart(void **state)
{
	struct ask a = ask_by("192.0.2.1");

	(void)state;
	service_says(ask_taken(&a), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	assert_true(a.failed);
	assert_int_equal(a.failure, BACKEND_LOST);
	ask_close(&a);
}

static void
answers_against_the_rules_are_refused(void **state)
{
	static const char *const t[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct ask a = ask_by("192.0.2.1");
		struct fake_stream *s = ask_taken(&a);

		service_says(s, t[i]);
		assert_true(a.failed && !a.ended);
		assert_int_equal(a.failure, BACKEND_MALFORMED);
		assert_true(s->aborted);
		ask_close(&a);
	}
}

static void
bytes_before_the_request_are_no_answer(void **state)
{
	struct ask a = ask_by("192.0.2.1");

	(void)state;
	assert_true(ask_open(&a));
	service_accepts(newest());
	service_says(newest(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(a.failure, BACKEND_MALFORMED);
	ask_close(&a);
}

static void
a_head_that_is_too_large_is_named(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	service_says(s, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < HTTP_HEADERS_MAX && !a.failed; i++) {
		char line[512];

		snprintf(line, sizeof line, "X-%0400d: x\r\n", i);
		service_says(s, line);
	}
	assert_true(a.failed);
	assert_int_equal(a.failure, BACKEND_HEAD_TOO_LARGE);
	ask_close(&a);
}

static void
interim_answers_are_bounded(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	for (int i = 0; i < BACKEND_INTERIM_MAX; i++)
		service_says(s, "HTTP/1.1 103 Early Hints\r\n\r\n");
	assert_int_equal(a.n_heads, BACKEND_INTERIM_MAX);
	assert_false(a.failed);
	service_says(s, "HTTP/1.1 103 Early Hints\r\n\r\n");
	assert_int_equal(a.failure, BACKEND_MALFORMED);
	ask_close(&a);
}

/* ---- limits of the payer and the agent ---- */

static void
an_address_leaves_streams_to_others(void **state)
{
	struct ask a[100];
	size_t n = 0;

	(void)state;
	r.opts.max_streams = 10;
	do {
		a[n] = ask_by("192.0.2.1");
	} while (ask_open(&a[n]) && ++n < 100);
	assert_in_range(n, 1, 9);
	assert_int_equal(a[n].failure, BACKEND_LIMITED);
	assert_non_null(strstr(a[n].why.s, "share"));
	a[n] = ask_by("192.0.2.2");
	assert_true(ask_open(&a[n++]));
	/* What is closed leaves its place. */
	ask_close(&a[0]);
	a[0] = ask_by("192.0.2.1");
	assert_true(ask_open(&a[0]));
	while (n > 0)
		ask_close(&a[--n]);
}

static void
a_session_that_takes_no_more_is_full(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");

	(void)state;
	agent->fail_open = ERR_LIMIT;
	assert_false(ask_open(&a));
	assert_int_equal(a.failure, BACKEND_FULL);
	agent->fail_open = ERR_CLOSED;
	assert_false(ask_open(&b));
	assert_int_equal(b.failure, BACKEND_LOST);
}

/* ---- time ---- */

static void
a_service_that_cannot_be_connected_in_time(void **state)
{
	struct ask a = ask_by("192.0.2.1");

	(void)state;
	ask_get(&a);
	handclock_pass(BACKENDFIX_CONNECT_MS - 1);
	assert_false(a.failed);
	handclock_pass(1);
	assert_int_equal(a.failure, BACKEND_UNREACHED);
	assert_true(newest()->aborted);
	ask_close(&a);
}

static void
silence_counts_from_the_last_acknowledged_byte(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	ask_get(&a);
	s = newest();
	service_accepts(s);
	handclock_pass(BACKENDFIX_TIMEOUT_MS - 1);
	service_takes_all(s);
	handclock_pass(BACKENDFIX_TIMEOUT_MS - 1);
	assert_false(a.failed);
	handclock_pass(1);
	assert_int_equal(a.failure, BACKEND_SILENT);
	ask_close(&a);
}

static void
a_visitor_who_says_nothing_is_not_the_services_silence(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	assert_true(ask_open(&a));
	ask_say(&a, "POST", HTTP_BODY_LENGTH, 8);
	s = newest();
	service_accepts(s);
	service_takes_all(s);
	handclock_pass(10 * BACKENDFIX_TIMEOUT_MS);
	assert_false(a.failed);
	/* Bytes that nobody takes are. */
	ask_payload(&a, "some");
	handclock_pass(BACKENDFIX_TIMEOUT_MS - 1);
	assert_false(a.failed);
	handclock_pass(1);
	assert_int_equal(a.failure, BACKEND_SILENT);
	ask_close(&a);
}

static void
an_answer_that_stands_still_is_given_up_unless_paused(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	service_says(s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
	backend_pause(a.b, true);
	handclock_pass(10 * BACKENDFIX_STALL_MS);
	assert_false(a.failed);
	backend_pause(a.b, false);
	handclock_pass(BACKENDFIX_STALL_MS - 1);
	service_says(s, "l");
	handclock_pass(BACKENDFIX_STALL_MS - 1);
	assert_false(a.failed);
	handclock_pass(1);
	assert_int_equal(a.failure, BACKEND_STALLED);
	ask_close(&a);
}

static void
the_shorter_limit_counts_whatever_comes_first(void **state)
{
	struct ask a = ask_by("192.0.2.1"), b = ask_by("192.0.2.1");

	(void)state;
	a.q.connect_ms = 900000;
	a.q.timeout_ms = 1000;
	ask_get(&a);
	service_accepts(newest());
	handclock_pass(1000);
	assert_int_equal(a.failure, BACKEND_SILENT);
	ask_close(&a);
	b.q.timeout_ms = 900000;
	service_says(ask_taken(&b), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	handclock_pass(BACKENDFIX_STALL_MS);
	assert_int_equal(b.failure, BACKEND_STALLED);
	ask_close(&b);
}

/* ---- closing ---- */

static void
a_service_that_does_not_close_is_left_in_time(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	service_says(s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	ask_close(&a);
	assert_true(s->eof);
	service_says(s, "more, which nobody reads");
	assert_false(s->over);
	handclock_pass(BACKEND_LEAVE_MS);
	assert_true(s->over);
}

static void
an_end_that_comes_while_it_is_left_is_a_good_one(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;

	(void)state;
	s = ask_taken(&a);
	service_says(s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	ask_close(&a);
	service_closes(s);
	assert_true(s->eof && s->acked_eof && !s->over);
}

/* ---- switching ---- */

static void
a_switch_that_was_asked_for_gives_the_stream(void **state)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s;
	char got[8];

	(void)state;
	a.q.upgrade = "websocket";
	s = ask_taken(&a);
	assert_true(fake_got(s,
	    "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
	service_says(s, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
			"WebSocket\r\n\r\nhi");
	assert_string_equal(a.got, "[101 Switching Protocols]");
	assert_non_null(a.switched);
	assert_int_equal(bufq_read(&a.switched->in, 0, got, sizeof got), 2);
	assert_memory_equal(got, "hi", 2);
	handclock_pass(10 * BACKENDFIX_STALL_MS);
	assert_false(a.failed);
	filter_free(a.switched);
	ask_close(&a);
	assert_true(s->over);
}

static void
a_switch_to_something_else_is_refused(void **state)
{
	static const char *const t[] = {
		"Connection: upgrade\r\nUpgrade: h2c\r\n",
		"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
		"Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n",
		"Connection: upgrade\r\nUpgrade: ,\r\n",
		"Connection: upgrade\r\n",
		"Connection: close\r\nUpgrade: websocket\r\n",
		"Upgrade: websocket\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct ask a = ask_by("192.0.2.1");
		char head[256];

		a.q.upgrade = "websocket";
		snprintf(head, sizeof head, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n", t[i]);
		service_says(ask_taken(&a), head);
		assert_int_equal(a.failure, BACKEND_MALFORMED);
		assert_null(a.switched);
		ask_close(&a);
	}
}

static void
a_switch_before_the_requests_end_is_refused(void **state)
{
	struct ask a = ask_by("192.0.2.1");

	(void)state;
	a.q.upgrade = "websocket";
	assert_true(ask_open(&a));
	ask_say(&a, "POST", HTTP_BODY_LENGTH, 5);
	service_accepts(newest());
	service_says(newest(), "HTTP/1.1 101 Switching Protocols\r\nConnection: "
			       "Upgrade\r\nUpgrade: websocket\r\n\r\n");
	assert_int_equal(a.failure, BACKEND_MALFORMED);
	ask_close(&a);
}

/* ---- memory ---- */

/* Whatever cannot be had: it is told, or the request has left whole. */
static void
want_of_memory_is_told(void **state)
{
	bool whole = false;

	(void)state;
	for (int i = 0; !whole; i++) {
		struct ask a = ask_by("192.0.2.1");
		struct http_build head;
		int rc = ERR_NOMEM;

		assert_true(i < 100);
		http_build_request(&head, "POST", "/");
		http_build_header(&head, "Host", "a.test");
		buf_pool_free();
		mem_fail_after(i);
		a.b = backend_open(w->loop, &a.q, &ask_user, &a, &a.failure, &a.why);
		if (a.b != NULL)
			rc = backend_begin(a.b, &head, HTTP_BODY_CHUNKED, 0);
		if (rc == 0)
			rc = backend_end(a.b, NULL);
		mem_fail_after(-1);
		account_put(w->relay->accounts, a.q.payer, 0);
		if (a.b == NULL)
			assert_int_equal(a.failure, BACKEND_NO_MEMORY);
		else if (rc != 0)
			assert_int_equal(rc, ERR_NOMEM);
		whole = rc == 0;
		if (whole)
			assert_true(fake_got(newest(), POST_HEAD "0\r\n\r\n"));
		ask_close(&a);
		loop_settle(w->loop);
	}
}

static void
ask_once(void)
{
	struct ask a = ask_by("192.0.2.1");
	struct fake_stream *s = ask_taken(&a);

	service_says(s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhe");
	ask_close(&a);
	service_closes(s);
	bufq_fini(&s->sent);
	agent->s.n_streams--;
	agent->n_streams--;
	free(s);
	relaytest_settle(&r);
}

static void
requests_leave_nothing_behind(void **state)
{
	(void)state;
	heap_is_given_back(ask_once);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, backendfix_setup, backendfix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_goes_before_the_answer_to_open),
		TEST(bodies_are_framed),
		TEST(a_proxy_header_goes_first),
		TEST(answers_by_length),
		TEST(answers_in_chunks_with_trailers),
		TEST(answers_by_close),
		TEST(one_byte_at_a_time_is_the_same),
		TEST(some_answers_have_no_body),
		TEST(a_pause_holds_payload_back_and_no_end),
		TEST(what_stands_behind_a_pause_outlives_the_stream),
		TEST(it_may_be_closed_in_each_callback),
		TEST(an_answer_may_come_before_the_request_is_whole),
		TEST(what_an_agent_refuses_is_told_in_its_words),
		TEST(an_answer_that_is_cut_is_told),
		TEST(a_reset_within_an_answer_by_close_is_a_cut),
		TEST(a_lost_session_is_told_apart),
		TEST(answers_against_the_rules_are_refused),
		TEST(bytes_before_the_request_are_no_answer),
		TEST(a_head_that_is_too_large_is_named),
		TEST(interim_answers_are_bounded),
		TEST(an_address_leaves_streams_to_others),
		TEST(a_session_that_takes_no_more_is_full),
		TEST(a_service_that_cannot_be_connected_in_time),
		TEST(silence_counts_from_the_last_acknowledged_byte),
		TEST(a_visitor_who_says_nothing_is_not_the_services_silence),
		TEST(an_answer_that_stands_still_is_given_up_unless_paused),
		TEST(the_shorter_limit_counts_whatever_comes_first),
		TEST(a_service_that_does_not_close_is_left_in_time),
		TEST(an_end_that_comes_while_it_is_left_is_a_good_one),
		TEST(a_switch_that_was_asked_for_gives_the_stream),
		TEST(a_switch_to_something_else_is_refused),
		TEST(a_switch_before_the_requests_end_is_refused),
		TEST(want_of_memory_is_told),
		TEST(requests_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
