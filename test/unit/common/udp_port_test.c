/* SPDX-License-Identifier: ISC */
/*
 * udp_port_test - a flow for each source, and what those can make it do whose addresses are forged.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/common/udp_port.h"
#include "test/unit/fakesession.h"
#include "test/unit/handclock.h"

enum { SOURCES = 64, MAX = 8 };

static struct loop *l;
static struct udp_batch *batch;
static struct udp_port *port;
static struct fake_session *session;
static struct addr at;
/* Who sends. */
static int source[SOURCES];
/* What the user says, and was told. */
static bool turned_away, silenced;
static unsigned n_closed;
static struct udp_flow last_closed;

/* ---- the user ---- */

static struct stream *
on_open(void *arg, struct udp_flow *f, const struct stream_user *u)
{
	struct ctl_open o = { .protocol = CTL_UDP, .service = "dns" };

	assert_ptr_equal(arg, &at);
	return turned_away ? NULL : session_open(&session->s, &o, NULL, u, f, NULL);
}

static bool
on_answer(void *arg, const struct udp_flow *f, size_t n)
{
	assert_ptr_equal(arg, &at);
	assert_int_not_equal(f->state, UDP_PROVEN);
	(void)n;
	return !silenced;
}

static void
on_closed(void *arg, struct udp_flow *f, uint32_t code, const char *text)
{
	assert_ptr_equal(arg, &at);
	assert_null(f->s);
	(void)code;
	(void)text;
	last_closed = *f;
	n_closed++;
}

static const struct udp_port_user user = { on_open, on_answer, on_closed };

static int
setup(void **state)
{
	struct udp_port_config cfg = { .max = MAX, .amplify = 3, .user = &user, .arg = &at };
	struct errtext e;

	(void)state;
	turned_away = silenced = false;
	n_closed = 0;
	l = loop_new();
	cfg.batch = batch = udp_batch_new();
	session = fake_new();
	if (l == NULL || batch == NULL || !addr_literal("127.0.0.1", 0, &at) ||
	    udp_open(&at, &cfg.fd, &e) != 0 || addr_local(cfg.fd, &at) != 0)
		return -1;
	port = udp_port_new(l, &cfg);
	for (int i = 0; i < SOURCES; i++) {
		source[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (source[i] < 0 || connect(source[i], &at.u.sa, at.len) != 0)
			return -1;
	}
	return port == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	udp_port_free(port);
	loop_settle(l);
	loop_free(l);
	udp_batch_free(batch);
	fake_free_all();
	for (int i = 0; i < SOURCES; i++)
		close(source[i]);
	return 0;
}

/* ---- what happens ---- */

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* What has come is taken. */
static void
turn(void)
{
	for (int i = 0; i < 2; i++) {
		struct task t;

		task_init(&t, stop, l);
		task_soon(l, &t);
		assert_int_equal(loop_run(l), 0);
	}
}

/* Source i sends n bytes. */
static void
ask(int i, size_t n)
{
	static const uint8_t bytes[65507];

	assert_int_equal(send(source[i], bytes, n, 0), n);
	turn();
}

/* The newest stream is the newest flow's. */
static struct fake_stream *
stream(size_t i)
{
	assert_true(i < session->n_streams);
	return session->stream[i];
}

/* The agent answers n bytes on stream i. */
static void
answer(size_t i, size_t n)
{
	static const uint8_t bytes[65507];
	struct bufq q = { 0 };

	assert_int_equal(bufq_copy(&q, bytes, n), 0);
	stream(i)->s.user->datagram(stream(i)->s.arg, &q);
	bufq_fini(&q);
}

/* How many answers source i has. */
static int
answers(int i)
{
	uint8_t bytes[10];
	int n = 0;

	while (recv(source[i], bytes, sizeof bytes, MSG_TRUNC) >= 0)
		n++;
	return n;
}

static const struct udp_port_counts *
counts(void)
{
	return udp_port_counts(port);
}

/* ---- flows ---- */

static void
each_source_is_a_flow_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		ask(i, 10);
	ask(1, 20);
	assert_int_equal(session->n_streams, 3);
	assert_int_equal(stream(1)->n_datagrams, 2);
	assert_true(stream(1)->sent.len == 30);
	for (size_t i = 0; i < 3; i++)
		answer(i, 5);
	for (int i = 0; i < 3; i++)
		assert_int_equal(answers(i), 1);
	assert_int_equal(udp_port_flows(port), 3);
	assert_int_equal(counts()->flows, 3);
	assert_int_equal(counts()->up, 4);
	assert_int_equal(counts()->up_bytes, 50);
	assert_int_equal(counts()->down, 3);
}

static void
the_largest_and_the_empty_pass(void **state)
{
	(void)state;
	ask(0, 0);
	ask(0, 65507);
	assert_int_equal(stream(0)->n_datagrams, 2);
	answer(0, 65507);
	answer(0, 0);
	assert_int_equal(answers(0), 2);
}

static void
a_silent_flow_ends_after_a_minute(void **state)
{
	(void)state;
	ask(0, 1);
	ask(1, 1);
	handclock_pass(UDP_IDLE_MS - 10);
	ask(1, 1);
	handclock_pass(UDP_SWEEP_MS + 10);
	assert_true(stream(0)->reset);
	assert_int_equal(stream(0)->code, CODE_CANCELLED);
	assert_false(stream(1)->over);
	assert_int_equal(n_closed, 1);
	/* The next one begins another. */
	ask(0, 1);
	assert_int_equal(session->n_streams, 3);
	handclock_pass(UDP_IDLE_MS + UDP_SWEEP_MS);
	assert_int_equal(udp_port_flows(port), 0);
}

static void
answers_keep_a_flow_alive(void **state)
{
	(void)state;
	ask(0, 100);
	ask(0, 100);
	for (int i = 0; i < 10; i++) {
		handclock_pass(UDP_IDLE_MS / 2);
		answer(0, 10);
	}
	assert_int_equal(udp_port_flows(port), 1);
}

static void
a_stream_that_ends_takes_its_flow_along(void **state)
{
	(void)state;
	ask(0, 1);
	fake_end(stream(0), CODE_REFUSED, "no");
	assert_int_equal(udp_port_flows(port), 0);
	assert_int_equal(n_closed, 1);
	assert_int_equal(last_closed.n.up, 1);
	ask(0, 1);
	assert_int_equal(udp_port_flows(port), 1);
}

static void
who_is_turned_away_is_counted_and_may_come_again(void **state)
{
	(void)state;
	turned_away = true;
	ask(0, 1);
	ask(0, 1);
	assert_int_equal(counts()->refused, 2);
	assert_int_equal(udp_port_flows(port), 0);
	turned_away = false;
	ask(0, 1);
	assert_int_equal(udp_port_flows(port), 1);
	assert_int_equal(n_closed, 0);
}

static void
what_a_stream_loses_is_counted(void **state)
{
	(void)state;
	ask(0, 1);
	stream(0)->lose = 3;
	ask(0, 1);
	stream(0)->lose = 0;
	stream(0)->fail = true;
	ask(0, 1);
	assert_int_equal(counts()->dropped, 4);
	fake_end(stream(0), CODE_LOST, "");
	assert_int_equal(last_closed.n.dropped, 4);
	assert_int_equal(last_closed.n.up, 3);
}

/* ---- forged sources ---- */

static void
answers_are_three_times_the_question_until_it_was_heard(void **state)
{
	(void)state;
	ask(0, 100);
	answer(0, 250);
	answer(0, 51);
	assert_int_equal(answers(0), 1);
	answer(0, 50);
	assert_int_equal(answers(0), 1);
	answer(0, 1);
	assert_int_equal(answers(0), 0);
	assert_int_equal(counts()->held, 2);
	/* It has sent again after an answer, so it hears us. */
	ask(0, 1);
	answer(0, 65507);
	answer(0, 65507);
	assert_int_equal(answers(0), 2);
	fake_end(stream(0), CODE_CANCELLED, "");
	assert_int_equal(last_closed.held, 2);
	assert_int_equal(last_closed.n.down, 4);
}

/* Who was never answered proves nothing by sending: a forger can do that, too. */
static void
sending_again_before_an_answer_is_no_proof(void **state)
{
	(void)state;
	ask(0, 10);
	ask(0, 10);
	answer(0, 61);
	assert_int_equal(answers(0), 0);
	answer(0, 60);
	assert_int_equal(answers(0), 1);
	answer(0, 1);
	assert_int_equal(answers(0), 0);
}

static void
the_user_may_hold_answers_back_from_those_not_proven(void **state)
{
	(void)state;
	silenced = true;
	ask(0, 100);
	answer(0, 10);
	assert_int_equal(answers(0), 0);
	silenced = false;
	answer(0, 10);
	ask(0, 100);
	silenced = true;
	answer(0, 10);
	assert_int_equal(answers(0), 2);
}

static void
a_full_table_drops_the_oldest_that_was_never_answered(void **state)
{
	(void)state;
	for (int i = 0; i < MAX; i++)
		ask(i, 100);
	answer(0, 10);
	answer(1, 10);
	ask(MAX, 100);
	assert_false(stream(0)->over);
	assert_false(stream(1)->over);
	assert_true(stream(2)->reset);
	assert_int_equal(udp_port_flows(port), MAX);
	assert_int_equal(counts()->evicted, 1);
	/* A flood of such sources takes one another's places, and no other's. */
	for (int i = MAX + 1; i < SOURCES; i++)
		ask(i, 100);
	assert_false(stream(0)->over);
	assert_false(stream(1)->over);
	answer(0, 10);
	assert_int_equal(answers(0), 2);
}

static void
of_those_that_were_answered_the_one_that_wanted_no_more_goes(void **state)
{
	(void)state;
	for (int i = 0; i < MAX; i++) {
		ask(i, 100);
		answer((size_t)i, 10);
	}
	ask(3, 100);
	/* It may still send again. */
	ask(MAX, 100);
	assert_int_equal(counts()->refused, 1);
	handclock_pass(UDP_WAIT_MS);
	ask(MAX, 100);
	assert_true(stream(0)->reset);
	assert_int_equal(udp_port_flows(port), MAX);
	/* One that was just asked has more of a right to its place than one that is done. */
	ask(MAX + 1, 100);
	assert_true(stream(1)->reset);
	assert_false(stream(MAX)->over);
}

static void
those_that_are_proven_stay(void **state)
{
	(void)state;
	for (int i = 0; i < MAX; i++) {
		ask(i, 100);
		answer((size_t)i, 10);
		ask(i, 100);
	}
	handclock_pass(UDP_WAIT_MS);
	ask(MAX, 100);
	assert_int_equal(counts()->refused, 1);
	assert_int_equal(counts()->evicted, 0);
	assert_false(udp_port_evict(port));
	assert_int_equal(udp_port_flows(port), MAX);
}

/* ---- an end ---- */

static void
the_end_of_the_port_ends_its_flows(void **state)
{
	char text[UDP_PORT_COUNTS_TEXT];

	(void)state;
	ask(0, 1);
	ask(1, 1);
	assert_non_null(strstr(udp_port_counts_text(counts(), text), "2 flows, 0 of them"));
	udp_port_free(port);
	port = NULL;
	assert_true(stream(0)->reset && stream(1)->reset);
	assert_int_equal(n_closed, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_source_is_a_flow_of_its_own),
		TEST(the_largest_and_the_empty_pass),
		TEST(a_silent_flow_ends_after_a_minute),
		TEST(answers_keep_a_flow_alive),
		TEST(a_stream_that_ends_takes_its_flow_along),
		TEST(who_is_turned_away_is_counted_and_may_come_again),
		TEST(what_a_stream_loses_is_counted),
		TEST(answers_are_three_times_the_question_until_it_was_heard),
		TEST(sending_again_before_an_answer_is_no_proof),
		TEST(the_user_may_hold_answers_back_from_those_not_proven),
		TEST(a_full_table_drops_the_oldest_that_was_never_answered),
		TEST(of_those_that_were_answered_the_one_that_wanted_no_more_goes),
		TEST(those_that_are_proven_stay),
		TEST(the_end_of_the_port_ends_its_flows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
