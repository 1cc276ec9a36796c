/* SPDX-License-Identifier: ISC */
/*
 * exchange_test - how long a request may take, each of its limits at its edge, what is asked once
 * more, answers that come early, and the end of the process.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cmd/relay/ingress/exchange.h"
#include "cmd/relay/ingress/splice.h"
#include "test/unit/frontfix.h"

#define POST "POST / HTTP/1.1\r\nHost: pi.t.test\r\n"

/* Whatever is on its way arrives, and nothing has come of it for the visitor. */
static void
still_waits(int fd)
{
	char c;

	for (int i = 0; i < 20; i++)
		turns_some(w->loop, 1);
	errno = 0;
	assert_int_equal(read(fd, &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

/* ---- heads, and what comes between requests ---- */

static void
a_head_has_ten_seconds_in_all(void **state)
{
	int fd = visitor_on(w), quiet = visitor_on(w);
	char text[8192];

	(void)state;
	visitor_says(fd, "GET / HTTP/1.1\r\n");
	handclock_pass(HEAD_MS - 1);
	visitor_says(fd, "Host: pi.t.test\r\n");
	still_waits(fd);
	handclock_pass(1);
	assert_int_equal(ends(fd, text), VISIT_FIN);
	assert_non_null(strstr(text, "HTTP/1.1 408 "));
	assert_non_null(strstr(text, "Connection: close\r\n"));
	/* Who has said nothing is told nothing. */
	assert_int_equal(ends(quiet, text), VISIT_FIN);
	assert_string_equal(text, "");
	all_leave();
}

static void
an_idle_connection_is_closed(void **state)
{
	int fd = visitor_on(w);
	char text[8192];

	(void)state;
	visitor_gets(fd, "/");
	fake_data(taken("GET / "), SHORT);
	hears(fd, "ok");
	handclock_pass(IDLE_MS - 1);
	still_waits(fd);
	/* A new request has the time of a head again. */
	visitor_says(fd, "GET /2");
	turns_some(w->loop, 20);
	handclock_pass(HEAD_MS - 1);
	visitor_says(fd, " HTTP/1.1\r\nHost: pi.t.test\r\n\r\n");
	fake_data(taken("GET /2 "), SHORT);
	hears(fd, "ok");
	handclock_pass(IDLE_MS);
	assert_int_equal(ends(fd, text), VISIT_FIN);
	assert_string_equal(text, "");
	all_leave();
}

/* ---- bodies ---- */

static void
a_body_moves_every_thirty_seconds(void **state)
{
	int fd = visitor_on(w);
	char text[8192];

	(void)state;
	visitor_says(fd, POST "Content-Length: 100\r\n\r\n1");
	taken("\r\n\r\n1");
	for (int i = 2; i < 5; i++) {
		char said[2] = { (char)('0' + i), '\0' };

		handclock_pass(BODY_MS - 1);
		visitor_says(fd, said);
		takes_all(asked(said));
	}
	handclock_pass(BODY_MS - 1);
	still_waits(fd);
	handclock_pass(1);
	assert_int_equal(ends(fd, text), VISIT_FIN);
	assert_non_null(strstr(text, "HTTP/1.1 408 "));
	assert_non_null(strstr(text, "Connection: close\r\n"));
	all_leave();
}

static void
nobody_is_blamed_for_a_body_that_the_service_does_not_take(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	(void)state;
	visitor_says(fd, POST "Content-Length: 8\r\n\r\nhalf");
	s = taken("half");
	s->no_room = true;
	visitor_says(fd, "more");
	turns_some(w->loop, 20);
	/* Its own time has not begun, since it has read all that was sent. */
	handclock_pass(2 * BODY_MS);
	still_waits(fd);
	s->no_room = false;
	takes_all(s);
	takes_all(asked("halfmore"));
	fake_data(s, SHORT);
	hears(fd, "ok");
	close(fd);
	all_leave();
}

static struct fake_stream *
asks_to_go_on(int fd)
{
	struct fake_stream *s;

	visitor_says(fd, POST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nbody");
	s = taken("Expect: 100-continue\r\n");
	assert_false(was_asked((void *)(uintptr_t) "\r\n\r\nbody"));
	return s;
}

static void
a_body_waits_a_second_for_100(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s = asks_to_go_on(fd);

	(void)state;
	handclock_pass(EXCHANGE_EXPECT_MS - 1);
	turns_some(w->loop, 20);
	assert_false(was_asked((void *)(uintptr_t) "body"));
	handclock_pass(1);
	takes_all(asked("\r\n\r\nbody"));
	fake_data(s, SHORT);
	/* Nobody has said 100, and the relay does not invent it. */
	assert_memory_equal(hears(fd, "ok"), "HTTP/1.1 200 OK\r\n", 17);
	close(fd);
	all_leave();
}

static void
a_body_goes_when_the_service_says_100(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s = asks_to_go_on(fd);

	(void)state;
	fake_data(s, "HTTP/1.1 100 Continue\r\n\r\n");
	takes_all(asked("\r\n\r\nbody"));
	fake_data(s, SHORT);
	assert_memory_equal(hears(fd, "ok"), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ", 38);
	close(fd);
	all_leave();
}

static void
a_refusal_before_100_is_the_last_answer(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s = asks_to_go_on(fd);
	char text[8192];

	(void)state;
	fake_data(s, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(ends(fd, text), VISIT_FIN);
	assert_non_null(strstr(text, "HTTP/1.1 417 No\r\n"));
	assert_non_null(strstr(text, "Connection: close\r\n"));
	all_leave();
}

/* ---- answers ---- */

static void
a_service_that_says_nothing_is_given_up(void **state)
{
	int fd = visitor_on(w);

	(void)state;
	visitor_gets(fd, "/");
	taken("GET / ");
	handclock_pass(REQUEST_MS - 1);
	still_waits(fd);
	handclock_pass(1);
	hears(fd, "HTTP/1.1 504 ");
	/* The connection can be used still. */
	visitor_gets(fd, "/2");
	fake_data(taken("GET /2 "), SHORT);
	hears(fd, "ok");
	close(fd);
	all_leave();
}

static void
the_time_for_an_answer_runs_from_the_last_byte_that_was_taken(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	(void)state;
	visitor_says(fd, POST "Content-Length: 8\r\n\r\nhalf");
	s = taken("half");
	handclock_pass(REQUEST_MS - 1);
	visitor_says(fd, "more");
	takes_all(asked("halfmore"));
	handclock_pass(REQUEST_MS - 1);
	still_waits(fd);
	handclock_pass(1);
	hears(fd, "HTTP/1.1 504 ");
	assert_true(s->over);
	close(fd);
	all_leave();
}

static void
a_service_that_is_not_reached_in_time(void **state)
{
	int fd = visitor_on(w);

	(void)state;
	visitor_gets(fd, "/");
	asked("GET / ");
	handclock_pass(EXCHANGE_CONNECT_MS - 1);
	still_waits(fd);
	handclock_pass(1);
	assert_non_null(strstr(hears(fd, "in time"), "HTTP/1.1 504 "));
	close(fd);
	all_leave();
}

static void
a_service_has_times_of_its_own(void **state)
{
	int fd = visitor_on(w);

	(void)state;
	publish_again(",\"connect_ms\":300,\"timeout_ms\":700");
	visitor_gets(fd, "/");
	asked("GET / ");
	handclock_pass(299);
	still_waits(fd);
	handclock_pass(1);
	hears(fd, "HTTP/1.1 504 ");
	visitor_gets(fd, "/2");
	taken("GET /2 ");
	handclock_pass(699);
	still_waits(fd);
	handclock_pass(1);
	hears(fd, "HTTP/1.1 504 ");
	close(fd);
	all_leave();
}

static void
an_answer_that_stands_still_is_cut(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	(void)state;
	visitor_gets(fd, "/");
	s = taken("GET / ");
	fake_data(s, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
	for (int i = 0; i < 3; i++) {
		handclock_pass(ANSWER_MS - 1);
		fake_data(s, "x");
	}
	hears(fd, "\r\n\r\nxxx");
	handclock_pass(ANSWER_MS - 1);
	still_waits(fd);
	handclock_pass(1);
	assert_int_equal(ends(fd, NULL), VISIT_RESET);
	all_leave();
}

/* If the process ended now: of the relay's end, which is the next descriptor. */
static bool
would_be_reset(int fd)
{
	struct linger linger = { 0 };
	socklen_t len = sizeof linger;

	assert_int_equal(getsockopt(fd + 1, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	return linger.l_onoff != 0 && linger.l_linger == 0;
}

static void
an_answer_in_part_is_reset_by_the_end_of_the_process(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	(void)state;
	visitor_gets(fd, "/");
	s = taken("GET / ");
	assert_false(would_be_reset(fd));
	fake_data(s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
	hears(fd, "ha");
	assert_true(would_be_reset(fd));
	fake_data(s, "lf");
	hears(fd, "lf");
	assert_false(would_be_reset(fd));
	close(fd);
	all_leave();
}

/* A visitor with little room, to whom the service has said more than it takes. */
static int
visitor_takes_nothing(struct fake_stream **s)
{
	static char much[64 * 1024 + 1];
	int fd = visitor_on(w), size = 128 * 1024;

	memset(much, 'x', sizeof much - 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
	visitor_gets(fd, "/");
	*s = taken("GET / ");
	fake_data(*s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
	for (int i = 0; i < 200; i++) {
		fake_data(*s, much);
		turns_some(w->loop, 1);
	}
	return fd;
}

static bool
takes_some(void *arg)
{
	char text[64 * 1024];
	size_t *left = arg;
	ssize_t n = read((int)left[1], text, sizeof text);

	if (n > 0)
		left[0] = left[0] > (size_t)n ? left[0] - (size_t)n : 0;
	return left[0] == 0;
}

static void
a_visitor_who_takes_nothing_is_cut_off(void **state)
{
	struct fake_stream *s;
	int fd = visitor_takes_nothing(&s);

	(void)state;
	handclock_pass(ANSWER_MS - 1);
	turns_some(w->loop, 20);
	assert_false(s->over);
	handclock_pass(ANSWER_MS / 4 + 1);
	assert_true(s->over);
	close(fd);
	all_leave();
}

static void
a_visitor_who_is_slow_is_not(void **state)
{
	struct fake_stream *s;
	int fd = visitor_takes_nothing(&s);

	(void)state;
	for (int i = 0; i < 5; i++) {
		size_t some[2] = { 1024 * 1024, (size_t)fd };

		handclock_pass(ANSWER_MS - ANSWER_MS / 4);
		assert_true(turns_until(w->loop, takes_some, some));
	}
	assert_false(s->over);
	visitor_breaks_off(fd);
	all_leave();
}

/* ---- visitors who leave ---- */

static void
who_sends_no_more_may_read_the_answer(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;
	char text[8192];

	(void)state;
	visitor_gets(fd, "/");
	s = taken("GET / ");
	shutdown(fd, SHUT_WR);
	turns_some(w->loop, 20);
	handclock_pass(EXCHANGE_ENDED_MS - 1);
	fake_data(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
	for (int i = 0; i < 2; i++) {
		handclock_pass(EXCHANGE_ENDED_MS - 1);
		fake_data(s, "x");
	}
	assert_int_equal(ends(fd, text), VISIT_FIN);
	assert_non_null(strstr(text, "\r\n\r\nxx"));
	all_leave();
}

/* So much of its answer has come when it ends. */
static void
assert_holds_no_stream(const char *answer)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	visitor_gets(fd, "/");
	s = taken("GET / ");
	fake_data(s, answer);
	turns_some(w->loop, 20);
	/* The kernel's reset for what was not read is another matter. */
	shutdown(fd, SHUT_WR);
	turns_some(w->loop, 20);
	handclock_pass(EXCHANGE_ENDED_MS - 1);
	assert_false(s->over);
	handclock_pass(1);
	assert_true(s->over);
	assert_int_equal(ends(fd, NULL), VISIT_RESET);
	all_leave();
}

static void
who_has_gone_holds_no_stream(void **state)
{
	(void)state;
	assert_holds_no_stream("");
	assert_holds_no_stream("HTTP/1.1 100 Continue\r\n\r\n");
	assert_holds_no_stream("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
	assert_holds_no_stream("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
}

static bool
is_over(void *arg)
{
	struct fake_stream *s = arg;

	if (!s->over)
		fake_data(s, "more");
	return s->over;
}

static void
a_write_to_who_has_gone_ends_it(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	(void)state;
	visitor_gets(fd, "/");
	s = taken("GET / ");
	close(fd);
	turns_some(w->loop, 20);
	assert_false(s->over);
	fake_data(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
	assert_true(turns_until(w->loop, is_over, s));
	all_leave();
}

static void
a_body_that_is_taken_slowly_is_carried_to_its_end(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;
	char text[8192];

	(void)state;
	visitor_says(fd, POST "Content-Length: 8\r\n\r\nhalf");
	s = taken("half");
	s->no_room = true;
	visitor_says(fd, "more");
	shutdown(fd, SHUT_WR);
	turns_some(w->loop, 20);
	handclock_pass(EXCHANGE_ENDED_MS - 1);
	s->no_room = false;
	takes_all(s);
	takes_all(asked("halfmore"));
	handclock_pass(EXCHANGE_ENDED_MS - 1);
	fake_data(s, SHORT);
	assert_int_equal(ends(fd, text), VISIT_FIN);
	assert_non_null(strstr(text, "HTTP/1.1 200 "));
	all_leave();
}

static void
who_has_gone_does_not_wait_for_an_agent(void **state)
{
	int gone = visitor_on(w), fd = visitor_on(w);

	(void)state;
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	visitor_gets(gone, "/");
	visitor_gets(fd, "/");
	turns_some(w->loop, 20);
	assert_int_equal(atomic_load(&r.counts.visitors), 2);
	visitor_breaks_off(gone);
	turns_some(w->loop, 20);
	assert_int_equal(atomic_load(&r.counts.visitors), 1);
	shutdown(fd, SHUT_WR);
	turns_some(w->loop, 20);
	handclock_pass(EXCHANGE_ENDED_MS - 1);
	still_waits(fd);
	handclock_pass(1);
	assert_int_equal(ends(fd, NULL), VISIT_RESET);
	all_leave();
}

/* ---- once more ---- */

/* The request is said on a used stream that ends then; is it asked again? */
static bool
is_asked_again(const char *request, const char *end, bool all)
{
	int fd = visitor_on(w);
	struct fake_stream *s = used_stream(fd);
	size_t n = agent->n_streams;
	bool again;

	visitor_says(fd, request);
	assert_ptr_equal(asked(end), s);
	if (all)
		takes_all(s);
	fake_end(s, CODE_REFUSED, "gone");
	turns_some(w->loop, 50);
	again = agent->n_streams > n;
	if (again)
		fake_data(taken(end), SHORT);
	hears(fd, again ? "HTTP/1.1 200 " : "HTTP/1.1 502 ");
	close(fd);
	all_leave();
	return again;
}

static void
what_does_no_harm_twice_is_asked_again(void **state)
{
	(void)state;
	assert_true(is_asked_again("GET /x HTTP/1.1\r\nHost: pi.t.test\r\n\r\n", "GET /x ", true));
	assert_true(
	    is_asked_again("HEAD /x HTTP/1.1\r\nHost: pi.t.test\r\n\r\n", "HEAD /x ", true));
	assert_true(
	    is_asked_again("OPTIONS /x HTTP/1.1\r\nHost: pi.t.test\r\n\r\n", "OPTIONS /x ", true));
	assert_false(
	    is_asked_again("DELETE /x HTTP/1.1\r\nHost: pi.t.test\r\n\r\n", "DELETE /x ", true));
	assert_false(is_asked_again(
	    "GET /x HTTP/1.1\r\nHost: pi.t.test\r\nContent-Length: 1\r\n\r\nb", "\r\n\r\nb", true));
	/* Whatever it is, if nobody got it. */
	assert_true(
	    is_asked_again("DELETE /x HTTP/1.1\r\nHost: pi.t.test\r\n\r\n", "DELETE /x ", false));
}

static void
a_body_that_is_too_large_to_keep_is_not_sent_again(void **state)
{
	static char large[EXCHANGE_AGAIN_MAX + 200];
	size_t head = (size_t)snprintf(
	    large, sizeof large, POST "Content-Length: %d\r\n\r\n", EXCHANGE_AGAIN_MAX + 1);

	(void)state;
	memset(large + head, 'x', EXCHANGE_AGAIN_MAX);
	large[head + EXCHANGE_AGAIN_MAX] = 'y';
	assert_false(is_asked_again(large, "xxxy", false));
	/* One byte less is kept. */
	head = (size_t)snprintf(
	    large, sizeof large, POST "Content-Length: %d\r\n\r\n", EXCHANGE_AGAIN_MAX);
	memset(large + head, 'x', EXCHANGE_AGAIN_MAX - 1);
	large[head + EXCHANGE_AGAIN_MAX - 1] = 'y';
	large[head + EXCHANGE_AGAIN_MAX] = '\0';
	assert_true(is_asked_again(large, "xxxy", false));
}

static void
what_has_begun_to_be_answered_is_not_asked_again(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s = used_stream(fd);
	size_t n = agent->n_streams;

	(void)state;
	visitor_gets(fd, "/2");
	takes_all(asked("GET /2 "));
	fake_data(s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
	hears(fd, "half");
	fake_end(s, CODE_REFUSED, "gone");
	assert_int_equal(ends(fd, NULL), VISIT_RESET);
	assert_int_equal(agent->n_streams, n);
	all_leave();
}

/* ---- early answers ---- */

static int
answered_early(void)
{
	int fd = visitor_on(w);

	visitor_says(fd, POST "Content-Length: 100000000\r\n\r\nhalf");
	fake_data(taken("half"), "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
	hears(fd, "Connection: close\r\n\r\nno");
	return fd;
}

static void
the_rest_of_a_request_is_read_past_for_a_while(void **state)
{
	int fd = answered_early();

	(void)state;
	handclock_pass(FRONT_PAST_MS - 1);
	turns_some(w->loop, 20);
	visitor_says(fd, "more");
	assert_false(TAILQ_EMPTY(&w->fronts));
	handclock_pass(1);
	all_leave();
	close(fd);
}

static bool
says_much(void *arg)
{
	static const char much[16 * 1024];
	size_t *said = arg;
	ssize_t n = write((int)said[1], much, sizeof much);

	if (n > 0)
		said[0] += (size_t)n;
	return TAILQ_EMPTY(&w->fronts) || said[0] > 64 * FRONT_PAST_MAX;
}

static void
the_rest_of_a_request_is_read_past_up_to_a_limit(void **state)
{
	int fd = answered_early();
	size_t said[2] = { 0, (size_t)fd };

	(void)state;
	assert_true(turns_until(w->loop, says_much, said));
	assert_true(said[0] >= FRONT_PAST_MAX);
	all_leave();
	close(fd);
}

/* ---- the end of the process ---- */

static void
a_request_during_a_drain_is_refused(void **state)
{
	int fd = visitor_on(w);
	char text[8192];

	(void)state;
	atomic_store(&r.draining, true);
	visitor_gets(fd, "/");
	assert_int_equal(ends(fd, text), VISIT_FIN);
	assert_non_null(strstr(text, "HTTP/1.1 503 "));
	assert_non_null(strstr(text, "Connection: close\r\n"));
	assert_int_equal(agent->n_streams, 0);
	all_leave();
}

/* ---- 101 ---- */

static void
a_tunnel_ends_when_nothing_moves(void **state)
{
	int fd = visitor_on(w);
	struct fake_stream *s;

	(void)state;
	visitor_says(fd, "GET / HTTP/1.1\r\nHost: pi.t.test\r\nConnection: Upgrade\r\n"
			 "Upgrade: websocket\r\n\r\n");
	s = taken("Upgrade: websocket\r\n");
	fake_data(s, "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
	hears(fd, "\r\n\r\nhi");
	/* The other limits are those of requests. */
	handclock_pass(UPGRADE_MS - 1);
	visitor_says(fd, "ho");
	takes_all(asked("ho"));
	handclock_pass(UPGRADE_MS - 1);
	still_waits(fd);
	fake_data(s, "!");
	hears(fd, "!");
	handclock_pass(UPGRADE_MS + SPLICE_LINGER_MS);
	assert_int_equal(ends(fd, NULL), VISIT_RESET);
	all_leave();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_head_has_ten_seconds_in_all),
		T(an_idle_connection_is_closed),
		T(a_body_moves_every_thirty_seconds),
		T(nobody_is_blamed_for_a_body_that_the_service_does_not_take),
		T(a_body_waits_a_second_for_100),
		T(a_body_goes_when_the_service_says_100),
		T(a_refusal_before_100_is_the_last_answer),
		T(a_service_that_says_nothing_is_given_up),
		T(the_time_for_an_answer_runs_from_the_last_byte_that_was_taken),
		T(a_service_that_is_not_reached_in_time),
		T(a_service_has_times_of_its_own),
		T(an_answer_that_stands_still_is_cut),
		T(an_answer_in_part_is_reset_by_the_end_of_the_process),
		T(a_visitor_who_takes_nothing_is_cut_off),
		T(a_visitor_who_is_slow_is_not),
		T(who_sends_no_more_may_read_the_answer),
		T(who_has_gone_holds_no_stream),
		T(a_write_to_who_has_gone_ends_it),
		T(a_body_that_is_taken_slowly_is_carried_to_its_end),
		T(who_has_gone_does_not_wait_for_an_agent),
		T(what_does_no_harm_twice_is_asked_again),
		T(a_body_that_is_too_large_to_keep_is_not_sent_again),
		T(what_has_begun_to_be_answered_is_not_asked_again),
		T(the_rest_of_a_request_is_read_past_for_a_while),
		T(the_rest_of_a_request_is_read_past_up_to_a_limit),
		T(a_request_during_a_drain_is_refused),
		T(a_tunnel_ends_when_nothing_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
