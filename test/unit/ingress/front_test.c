/* SPDX-License-Identifier: ISC */
/*
 * front_test - visitors' connections and their requests: what the service is asked, what the
 * visitor's program gets, and what is given back.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/http/http.h"
#include "lib/net/f_sock.h"
#include "test/unit/frontfix.h"
#include "test/unit/heap.h"

/* ---- requests ---- */

static void
a_request_is_written_anew_and_its_answer_too(void **state)
{
	char text[4096] = "";
	struct fake_stream *s;
	int fd = visitor_on(w);

	(void)state;
	visitor_says(fd, "GET /a?b HTTP/1.1\r\nhost: PI.t.test\r\nX-Request-Id: one\r\n"
			 "Connection: keep-alive, X-Own\r\nX-Own: 1\r\nKeep: me\r\n\r\n");
	s = taken("\r\n\r\n");
	bufq_read(&s->sent, 0, text, sizeof text - 1);
	assert_non_null(strstr(text, "GET /a?b HTTP/1.1\r\nHost: PI.t.test\r\n"));
	assert_non_null(strstr(text, "\r\nKeep: me\r\n"));
	assert_non_null(strstr(text, "\r\nX-Request-Id: one\r\n"));
	assert_non_null(strstr(text, "\r\nX-Forwarded-For: 127.0.0.1\r\n"));
	assert_null(strstr(text, "X-Own"));
	fake_data(
	    s, "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\nA: b\r\n\r\nok");
	assert_string_equal(
	    hears(fd, "ok"), "HTTP/1.1 200 Fine\r\nA: b\r\nContent-Length: 2\r\n\r\nok");
	close(fd);
	all_leave();
}

static void
requests_in_a_row_are_asked_one_after_the_other(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	(void)state;
	visitor_gets(fd, "/1");
	visitor_gets(fd, "/2");
	s = taken("GET /1 ");
	assert_false(was_asked((void *)(uintptr_t) "GET /2 "));
	fake_data(s, SHORT);
	assert_ptr_equal(asked("GET /2 "), s);
	takes_all(s);
	fake_data(s, SHORT);
	hears(fd, "okHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	close(fd);
	all_leave();
}

static void
a_connection_goes_to_the_worker_of_each_agent(void **state)
{
	struct worker *other = &r.workers[1 - w->index];
	int fd = visitor_on(other);
	struct fake_stream *s;

	(void)state;
	visitor_gets(fd, "/");
	assert_true(turns_until(other->loop, is_empty, other));
	s = taken("GET / ");
	fake_data(s, SHORT);
	hears(fd, "ok");
	close(fd);
	all_leave();
}

static void
a_place_is_held_while_nothing_is_carried(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	(void)state;
	assert_int_equal(gate_count(r.fronts), 1);
	visitor_gets(fd, "/");
	s = taken("GET / ");
	assert_int_equal(gate_count(r.fronts), 0);
	assert_int_equal(atomic_load(&r.counts.visitors), 1);
	fake_data(s, SHORT);
	hears(fd, "ok");
	assert_int_equal(gate_count(r.fronts), 1);
	assert_int_equal(atomic_load(&r.counts.visitors), 0);
	close(fd);
	all_leave();
}

static void
a_full_table_drops_the_oldest_that_waits(void **state)
{
	int fd[PLACES + 2];

	(void)state;
	fd[0] = visitor_on(w);
	visitor_gets(fd[0], "/");
	taken("GET / ");
	for (int i = 1; i < PLACES + 2; i++)
		fd[i] = visitor_on(w);
	assert_int_equal(ends(fd[1], NULL), VISIT_FIN);
	fake_data(agent->stream[0], SHORT);
	hears(fd[0], "ok");
	for (int i = 0; i < PLACES + 2; i++)
		if (i != 1)
			close(fd[i]);
	all_leave();
}

static void
a_drain_closes_what_is_idle_and_ends_what_is_carried(void **state)
{
	int idle = visitor_on(w), busy = visitor_on(w);
	struct fake_stream *s;
	char text[8192];

	(void)state;
	visitor_gets(idle, "/1");
	fake_data(taken("GET /1 "), SHORT);
	hears(idle, "ok");
	visitor_gets(busy, "/2");
	s = asked("GET /2 ");
	takes_all(s);
	atomic_store(&r.draining, true);
	publish_stop(w);
	fronts_drain(w);
	assert_int_equal(ends(idle, NULL), VISIT_FIN);
	fake_data(s, SHORT);
	assert_int_equal(ends(busy, text), VISIT_FIN);
	assert_non_null(strstr(text, "Connection: close\r\n\r\nok"));
	all_leave();
}

/* Somebody else has read its first head. */
static void
a_connection_of_a_shared_listener_is_taken_over(void **state)
{
	static const char first[] = "GET /1 HTTP/1.1\r\nHost: pi.t.test\r\n\r\n";
	struct http_head *head = http_head_new(HTTP_HEAD_REQUEST);
	struct addr from, to;
	int fd[2];

	(void)state;
	sockpair_tcp(fd, true);
	assert_int_equal(addr_local(fd[0], &from), 0);
	assert_int_equal(addr_local(fd[1], &to), 0);
	assert_int_equal(http_head_feed(head, first, sizeof first - 1, NULL), sizeof first - 1);
	front_adopt(w, f_sock_new(w->loop, fd[1], false), head, &from, &to, false);
	fake_data(taken("GET /1 "), SHORT);
	hears(fd[0], "ok");
	visitor_gets(fd[0], "/2");
	takes_all(asked("GET /2 "));
	fake_data(agent->stream[0], SHORT);
	hears(fd[0], "ok");
	close(fd[0]);
	all_leave();
}

/* ---- bodies ---- */

static void
a_visitor_who_takes_nothing_stops_the_service(void **state)
{
	static char much[64 * 1024 + 1];
	int fd = visitor_on(w), size = 4096;
	struct fake_stream *s;
	uint64_t said = 0;

	(void)state;
	memset(much, 'x', sizeof much - 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
	visitor_gets(fd, "/");
	s = taken("GET / ");
	fake_data(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
	/* What is taken is acknowledged; more than the kernel has room for is not. */
	for (int i = 0; i < 1000; i++) {
		fake_data(s, much);
		said += sizeof much - 1;
		loop_settle(w->loop);
	}
	assert_true(s->consumed < said / 2);
	close(fd);
	all_leave();
}

static void
a_cut_answer_is_a_reset(void **state)
{
	static const char *const heads[] = { "Content-Length: 10", "Transfer-Encoding: chunked",
		"Connection: close" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd = visitor_on(w);
		struct fake_stream *s;
		char head[256];

		visitor_gets(fd, "/");
		s = taken("GET / ");
		snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s\r\n\r\n%s", heads[i],
		    i == 1 ? "2\r\nha\r\n" : "ha");
		fake_data(s, head);
		hears(fd, "ha");
		fake_end(s, CODE_LOST, "gone");
		assert_int_equal(ends(fd, NULL), VISIT_RESET);
	}
	all_leave();
}

static void
an_answer_before_the_body_is_the_last(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;
	char text[8192];

	(void)state;
	visitor_says(fd, "POST / HTTP/1.1\r\nHost: pi.t.test\r\nContent-Length: 100\r\n\r\nhalf");
	s = taken("half");
	fake_data(s, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
	hears(fd, "Connection: close\r\n\r\nno");
	visitor_says(fd, "the rest of it");
	shutdown(fd, SHUT_WR);
	assert_int_equal(ends(fd, text), VISIT_FIN);
	all_leave();
}

static void
a_body_that_ends_too_soon_is_no_request(void **state)
{
	int fd = visitor_on(w);
	char text[8192];

	(void)state;
	visitor_says(fd, "POST / HTTP/1.1\r\nHost: pi.t.test\r\nContent-Length: 100\r\n\r\nhalf");
	taken("half");
	shutdown(fd, SHUT_WR);
	assert_int_equal(ends(fd, text), VISIT_FIN);
	assert_non_null(strstr(text, "HTTP/1.1 400 "));
	all_leave();
}

/* ---- once more ---- */

static void
what_fails_on_a_used_stream_is_asked_once_more(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s = used_stream(fd), *again;

	(void)state;
	visitor_gets(fd, "/second");
	assert_ptr_equal(asked("GET /second "), s);
	s->s.user->eof(s->s.arg);
	again = taken("GET /second ");
	assert_ptr_not_equal(again, s);
	/* And then no more. */
	again->s.user->eof(again->s.arg);
	hears(fd, "HTTP/1.1 502 ");
	close(fd);
	all_leave();
}

static void
what_may_have_been_done_is_not_asked_again(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s = used_stream(fd);
	size_t n = agent->n_streams;

	(void)state;
	visitor_says(
	    fd, "POST /second HTTP/1.1\r\nHost: pi.t.test\r\nContent-Length: 4\r\n\r\nbody");
	assert_ptr_equal(asked("body"), s);
	takes_all(s);
	s->s.user->eof(s->s.arg);
	hears(fd, "HTTP/1.1 502 ");
	assert_int_equal(agent->n_streams, n);
	close(fd);
	all_leave();
}

static void
a_body_that_nobody_got_is_sent_again(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s = used_stream(fd), *again;

	(void)state;
	visitor_says(
	    fd, "POST /second HTTP/1.1\r\nHost: pi.t.test\r\nContent-Length: 8\r\n\r\nbody");
	assert_ptr_equal(asked("body"), s);
	/* The agent resets it, and has acknowledged nothing of it. */
	fake_end(s, CODE_REFUSED, "the target has gone");
	again = taken("POST /second ");
	assert_ptr_not_equal(again, s);
	visitor_says(fd, "more");
	asked("bodymore");
	fake_data(again, SHORT);
	hears(fd, "ok");
	close(fd);
	all_leave();
}

/* ---- who is away ---- */

static void
a_request_waits_for_its_agent(void **state)
{
	int fd = visitor_on(w);

	(void)state;
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	visitor_gets(fd, "/");
	loop_settle(w->loop);
	agent = agent_comes("pi", "");
	fake_data(taken("GET / "), SHORT);
	hears(fd, "ok");
	close(fd);
	all_leave();
}

static bool
is_waiting(void *arg)
{
	(void)arg;
	return atomic_load(&r.counts.visitors) == 1;
}

static void
an_agent_that_stays_away_is_told(void **state)
{
	int fd = visitor_on(w);

	(void)state;
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	visitor_gets(fd, "/");
	assert_true(turns_until(w->loop, is_waiting, NULL));
	handclock_pass(VISITOR_WAIT_MS);
	hears(fd, "HTTP/1.1 503 ");
	close(fd);
	all_leave();
}

static void
a_service_that_ends_answers_those_who_wait(void **state)
{
	int fd = visitor_on(w);

	(void)state;
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	visitor_gets(fd, "/");
	assert_true(turns_until(w->loop, is_waiting, NULL));
	publish_stop(w);
	hears(fd, "HTTP/1.1 503 ");
	close(fd);
	all_leave();
}

/* ---- what is given back ---- */

#define TRAILED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n"

static void
round_of_requests(void)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	visitor_gets(fd, "/");
	s = taken("GET / ");
	fake_data(s, TRAILED);
	hears(fd, "A: b\r\n");
	visitor_gets(fd, "/again");
	takes_all(asked("GET /again "));
	fake_data(s, TRAILED);
	hears(fd, "A: b\r\n");
	visitor_says(fd, "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
	hears(fd, "HTTP/1.1 404 ");
	visitor_gets(fd, "/cut");
	asked("GET /cut ");
	visitor_breaks_off(fd);
	all_leave();
	/* The test's own memory. */
	bufq_fini(&s->sent);
	agent->n_streams--;
	if (!s->over)
		agent->s.n_streams--;
	free(s);
}

struct fate {
	struct heard h;
	size_t n_streams;
	int looks;
};

/*
 * It was asked for, answered, or has ended; what could not be sent to the service is told only when
 * the time for that is over.
 */
static bool
is_settled(void *arg)
{
	struct fate *x = arg;

	return ++x->looks > 200 || has_heard(&x->h) || x->h.len > 0 || x->h.how != VISIT_OPEN ||
	       (agent->n_streams > x->n_streams && was_asked((void *)(uintptr_t) "\r\n\r\n"));
}

static void
want_of_memory_ends_one_connection(void **state)
{
	(void)state;
	for (long n = 0; n < 60; n++) {
		struct fate x = { .h = { .fd = visitor_on(w) }, .n_streams = agent->n_streams };

		visitor_gets(x.h.fd, "/");
		mem_fail_after(n);
		assert_true(turns_until(w->loop, is_settled, &x));
		mem_fail_after(MEM_NO_FAIL);
		visitor_breaks_off(x.h.fd);
		all_leave();
	}
	/* Somebody else is served as ever. */
	round_of_requests();
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_of_requests);
}

static void
the_end_of_the_process_breaks_off_what_has_begun(void **state)
{
	int fd = visitor_on(w), waiting = visitor_on(w);

	(void)state;
	visitor_gets(fd, "/");
	fake_data(taken("GET / "), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf");
	hears(fd, "half");
	front_drop_all(w);
	assert_int_equal(ends(fd, NULL), VISIT_RESET);
	assert_int_equal(ends(waiting, NULL), VISIT_FIN);
	all_leave();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_is_written_anew_and_its_answer_too),
		T(requests_in_a_row_are_asked_one_after_the_other),
		T(a_connection_goes_to_the_worker_of_each_agent),
		T(a_place_is_held_while_nothing_is_carried),
		T(a_full_table_drops_the_oldest_that_waits),
		T(a_drain_closes_what_is_idle_and_ends_what_is_carried),
		T(a_connection_of_a_shared_listener_is_taken_over),
		T(a_visitor_who_takes_nothing_stops_the_service),
		T(a_cut_answer_is_a_reset),
		T(an_answer_before_the_body_is_the_last),
		T(a_body_that_ends_too_soon_is_no_request),
		T(what_fails_on_a_used_stream_is_asked_once_more),
		T(what_may_have_been_done_is_not_asked_again),
		T(a_body_that_nobody_got_is_sent_again),
		T(a_request_waits_for_its_agent),
		T(an_agent_that_stays_away_is_told),
		T(a_service_that_ends_answers_those_who_wait),
		T(want_of_memory_ends_one_connection),
		T(everything_is_given_back),
		T(the_end_of_the_process_breaks_off_what_has_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
