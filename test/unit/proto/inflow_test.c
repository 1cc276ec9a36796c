/* SPDX-License-Identifier: ISC */
/* inflow_test - when a peer without windows is read, and whose stream is too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/dialect/inflow.h"

enum { N = 3, S = 1000000, KB = 1024, MB = 1024 * 1024 };

static struct fix {
	struct session s;
	struct inflow f;
	struct inflow_stream x[N];
	struct budget all, own, other;
	bool stopped;
	unsigned n_stops;
	uint64_t now_us;
} x;

static void
on_stop(void *arg, bool on)
{
	(void)arg;
	assert_true(x.stopped != on);
	x.stopped = on;
	x.n_stops += on;
}

static const struct session_user user = { .stop = on_stop };

/* n streams; the budget has max bytes. */
static void
begin(unsigned n, uint64_t max)
{
	x = (struct fix){ .now_us = 5 * S };
	session_set_user(&x.s, &user, NULL);
	x.s.n_streams = n;
	budget_init(&x.all, UINT64_MAX / 2, NULL);
	budget_init(&x.own, max, &x.all);
	budget_init(&x.other, max, &x.all);
	inflow_init(&x.f, &x.s);
	for (int i = 0; i < N; i++)
		inflow_stream_init(&x.x[i], i == 2 ? &x.other : &x.own);
}

static void
end(void)
{
	for (int i = 0; i < N; i++)
		inflow_stream_fini(&x.f, &x.x[i]);
	assert_false(x.stopped);
	assert_true(atomic_load(&x.all.used) == 0 && budget_is_idle(&x.all));
}

static struct inflow_stream *
came(int i, size_t n)
{
	return inflow_came(&x.f, &x.x[i], n, x.now_us);
}

static void
pass(uint64_t us)
{
	uint64_t until = x.now_us + us;

	while (inflow_deadline_us(&x.f) <= until) {
		x.now_us = inflow_deadline_us(&x.f);
		inflow_tick(&x.f, x.now_us);
	}
	x.now_us = until;
}

static void
what_is_passed_on_at_once_stops_nobody(void **state)
{
	(void)state;
	begin(1, 64 * MB);
	for (int i = 0; i < 1000; i++) {
		assert_null(came(0, 48 * KB));
		inflow_taken(&x.f, &x.x[0], 48 * KB);
	}
	assert_int_equal(x.n_stops, 0);
	assert_true(inflow_deadline_us(&x.f) == UINT64_MAX);
	end();
}

static void
the_peer_is_stopped_beyond_a_limit_until_half_is_gone(void **state)
{
	(void)state;
	begin(1, 64 * MB);
	assert_null(came(0, INFLOW_STOP));
	assert_false(x.stopped);
	assert_null(came(0, 1));
	assert_true(x.stopped);
	inflow_taken(&x.f, &x.x[0], INFLOW_STOP / 2);
	assert_true(x.stopped);
	inflow_taken(&x.f, &x.x[0], 1);
	assert_false(x.stopped);
	assert_true(inflow_deadline_us(&x.f) == UINT64_MAX);
	end();
}

/* Bytes that a peer with endless ones gets read within us. */
static uint64_t
read_within(uint64_t us, size_t each)
{
	uint64_t until = x.now_us + us, n = 0;

	for (; x.now_us < until; pass(1000))
		for (; !x.stopped && x.now_us < until; n += each)
			assert_null(came(0, each));
	return n;
}

static void
alone_it_waits_as_long_as_no_ping_can_be_under_way(void **state)
{
	(void)state;
	begin(1, 64 * MB);
	x.s.peer_ping_us = x.now_us;
	pass(5 * S);
	came(0, INFLOW_STOP + 1);
	assert_int_equal(read_within(INFLOW_QUIET_US - 5 * S, KB), 0);
	/* Then it is read at a pace that 8 MiB before it take less than the time it has. */
	assert_in_range(read_within(18 * S, KB), 8 * MB, 12 * MB);
	x.s.peer_ping_us = x.now_us;
	assert_in_range(read_within(INFLOW_QUIET_US, KB), 0, INFLOW_SIP);
	assert_in_range(read_within(S, KB), 256 * KB, 600 * KB);
	/* What is passed on ends the pause, in a sip or not. */
	inflow_taken(&x.f, &x.x[0], x.x[0].held);
	assert_false(x.stopped);
	assert_true(inflow_deadline_us(&x.f) == UINT64_MAX);
	came(0, INFLOW_STOP + 1);
	assert_true(x.stopped);
	end();
}

/* Large messages are not more in the sum. */
static void
a_sip_is_measured_in_bytes(void **state)
{
	(void)state;
	begin(1, 64 * MB);
	x.now_us = x.s.peer_ping_us = 100 * (uint64_t)S;
	x.now_us += INFLOW_QUIET_US;
	came(0, INFLOW_STOP + 1);
	assert_in_range(read_within(10 * S, 48000), 5 * MB, 8 * MB);
	end();
}

/* It may have gone, or never asks. */
static void
one_whose_pings_do_not_come_is_read_a_little(void **state)
{
	(void)state;
	begin(1, 64 * MB);
	x.now_us = 200 * (uint64_t)S;
	came(0, INFLOW_STOP + 1);
	assert_in_range(read_within(60 * S, KB), MB, 3 * MB);
	end();
}

static void
an_answer_is_read_in_a_pause_too(void **state)
{
	(void)state;
	begin(1, 64 * MB);
	x.s.peer_ping_us = x.now_us;
	inflow_listen(&x.f);
	came(0, INFLOW_STOP + 1);
	assert_true(x.stopped);
	inflow_listen(&x.f);
	assert_false(x.stopped);
	inflow_listen(&x.f);
	assert_int_equal(read_within(S, KB), INFLOW_LISTEN);
	assert_true(x.stopped);
	inflow_listen(&x.f);
	inflow_taken(&x.f, &x.x[0], x.x[0].held);
	assert_false(x.stopped);
	came(0, INFLOW_STOP + 1);
	assert_true(x.stopped);
	end();
}

static void
others_do_not_wait_for_one_that_stands_still(void **state)
{
	(void)state;
	begin(2, 64 * MB);
	came(0, INFLOW_STOP + 1);
	pass(INFLOW_STALL_US - 1);
	assert_true(x.stopped);
	pass(1);
	assert_false(x.stopped);
	/* Twice as much each time. */
	came(0, 2 * MB);
	assert_true(x.stopped);
	pass(INFLOW_STALL_US);
	assert_false(x.stopped);
	came(0, 3 * MB);
	assert_false(x.stopped);
	came(0, 1 * MB);
	assert_true(x.stopped);
	end();
}

static void
one_that_moves_slows_the_peer_down(void **state)
{
	(void)state;
	begin(2, 64 * MB);
	came(0, INFLOW_STOP + 512 * KB);
	for (int i = 0; i < 9; i++) {
		inflow_taken(&x.f, &x.x[0], INFLOW_MOVES);
		came(0, INFLOW_MOVES);
		pass(INFLOW_STALL_US);
		assert_true(x.stopped);
	}
	/* But not for ever. */
	pass(INFLOW_STALL_US);
	assert_false(x.stopped);
	end();
}

static void
once_it_has_passed_on_it_may_hold_as_little_as_at_first(void **state)
{
	(void)state;
	begin(2, 64 * MB);
	came(0, INFLOW_STOP + 1);
	pass(INFLOW_STALL_US);
	assert_false(x.stopped);
	inflow_taken(&x.f, &x.x[0], INFLOW_STOP);
	came(0, INFLOW_STOP);
	assert_true(x.stopped);
	end();
}

static void
each_that_holds_too_much_must_have_passed_on(void **state)
{
	(void)state;
	begin(3, 64 * MB);
	came(0, INFLOW_STOP + 1);
	came(1, INFLOW_STOP + 1);
	inflow_taken(&x.f, &x.x[0], INFLOW_STOP);
	assert_true(x.stopped);
	inflow_stream_fini(&x.f, &x.x[1]);
	assert_false(x.stopped);
	inflow_stream_init(&x.x[1], &x.own);
	end();
}

static void
what_is_held_is_charged(void **state)
{
	(void)state;
	begin(2, 64 * MB);
	came(0, 10);
	came(1, 5);
	assert_int_equal(atomic_load(&x.own.used), 15);
	assert_int_equal(atomic_load(&x.all.used), 15);
	inflow_taken(&x.f, &x.x[0], 4);
	assert_int_equal(atomic_load(&x.own.used), 11);
	end();
}

/* Whoever has little is stopped early, before anything has to be closed. */
static void
a_small_budget_stops_sooner(void **state)
{
	(void)state;
	begin(1, 512 * KB);
	while (!x.stopped)
		assert_null(came(0, 16 * KB));
	assert_true(x.x[0].held < 512 * KB);
	end();
}

static void
when_the_budget_is_over_the_fullest_is_to_be_closed(void **state)
{
	(void)state;
	begin(3, 2 * MB);
	assert_null(came(0, 1 * MB));
	/* Of another budget. */
	assert_null(came(2, 2 * MB));
	assert_ptr_equal(came(1, 1200 * KB), &x.x[1]);
	inflow_stream_fini(&x.f, &x.x[1]);
	assert_null(inflow_fullest(&x.f, &x.own));
	inflow_stream_init(&x.x[1], &x.own);
	assert_null(came(1, 900 * KB));
	assert_ptr_equal(came(0, 300 * KB), &x.x[0]);
	end();
}

/* Who holds next to nothing is not closed for what others hold. */
static void
who_holds_little_is_not_closed(void **state)
{
	(void)state;
	begin(2, 1 * MB);
	budget_charge(&x.own, 0, 2 * MB);
	assert_null(came(0, INFLOW_FLOOR));
	assert_ptr_equal(came(0, 1), &x.x[0]);
	budget_charge(&x.own, 2 * MB, 0);
	end();
}

static void
a_session_without_a_user_is_told_nothing(void **state)
{
	(void)state;
	begin(1, 64 * MB);
	x.s.user = NULL;
	came(0, INFLOW_STOP + 1);
	inflow_taken(&x.f, &x.x[0], INFLOW_STOP + 1);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_passed_on_at_once_stops_nobody),
		cmocka_unit_test(the_peer_is_stopped_beyond_a_limit_until_half_is_gone),
		cmocka_unit_test(alone_it_waits_as_long_as_no_ping_can_be_under_way),
		cmocka_unit_test(a_sip_is_measured_in_bytes),
		cmocka_unit_test(one_whose_pings_do_not_come_is_read_a_little),
		cmocka_unit_test(an_answer_is_read_in_a_pause_too),
		cmocka_unit_test(others_do_not_wait_for_one_that_stands_still),
		cmocka_unit_test(one_that_moves_slows_the_peer_down),
		cmocka_unit_test(once_it_has_passed_on_it_may_hold_as_little_as_at_first),
		cmocka_unit_test(each_that_holds_too_much_must_have_passed_on),
		cmocka_unit_test(what_is_held_is_charged),
		cmocka_unit_test(a_small_budget_stops_sooner),
		cmocka_unit_test(when_the_budget_is_over_the_fullest_is_to_be_closed),
		cmocka_unit_test(who_holds_little_is_not_closed),
		cmocka_unit_test(a_session_without_a_user_is_told_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
