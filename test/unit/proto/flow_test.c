/* SPDX-License-Identifier: ISC */
/*
 * flow_test - windows: what they charge, how they grow, what is given back, and that nobody waits
 * for a timer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/flow.h"

enum { MIB = 1024 * 1024, RTT_US = 50000 };

static struct budget
a_budget(uint64_t max)
{
	struct budget b;

	budget_init(&b, max, NULL);
	return b;
}

/* Say what is due; returns the limit. */
static uint64_t
say(struct flow_in *f)
{
	uint64_t acked, limit;
	bool answer;

	flow_in_say(f, &acked, &limit, &answer);
	return limit;
}

/* ---- in ---- */

static void
the_answering_side_owes_a_window_at_once(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, false, 1);
	assert_int_equal(f.limit, FLOW_FLOOR);
	assert_int_equal(b.used, 0);
	assert_true(flow_in_due(&f));
	assert_int_equal(say(&f), FLOW_FLOOR + FLOW_FIRST);
	assert_false(flow_in_due(&f));
	assert_int_equal(b.used, FLOW_FIRST);
	flow_in_fini(&f);
	assert_int_equal(b.used, 0);
	assert_true(budget_is_idle(&b));
}

static void
the_opener_has_told_its_window(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, 1);
	assert_int_equal(f.limit, FLOW_FLOOR + FLOW_FIRST);
	assert_false(flow_in_due(&f));
	flow_in_fini(&f);
}

static void
bytes_up_to_the_limit_are_taken_and_not_one_more(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, false, 1);
	assert_false(flow_in_take(&f, FLOW_FLOOR + 1));
	assert_true(flow_in_take(&f, FLOW_FLOOR - 1));
	assert_true(flow_in_take(&f, 1));
	assert_false(flow_in_take(&f, 1));
	flow_in_end(&f);
	assert_false(flow_in_take(&f, 0));
	flow_in_fini(&f);
}

static void
what_is_held_and_promised_is_charged_beyond_the_floor(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, 1);
	assert_true(flow_in_take(&f, 100000));
	assert_int_equal(b.used, FLOW_FIRST); /* received instead of promised: the same */
	flow_in_consumed(&f, 50000, 1000000, RTT_US);
	assert_int_equal(b.used, FLOW_FIRST - 50000);
	flow_in_end(&f);
	assert_int_equal(
	    b.used, 50000 - FLOW_FLOOR); /* what is held; nothing is promised any more */
	flow_in_consumed(&f, 50000, 1000000, RTT_US);
	assert_int_equal(b.used, 0);
	flow_in_fini(&f);
}

/* A peer that uses each window within a round trip, for rounds of it; returns the window. */
static uint64_t
run(struct flow_in *f, int rounds, uint64_t *now_us)
{
	for (int i = 0; i < rounds; i++) {
		uint64_t n = f->limit - f->received;

		*now_us += RTT_US;
		assert_true(flow_in_take(f, n));
		flow_in_consumed(f, n, *now_us, RTT_US);
		assert_true(flow_in_due(f));
		say(f);
	}
	return f->window;
}

static void
a_window_doubles_in_each_round_trip_as_tcp_does(void **state)
{
	struct budget b = a_budget(1024ULL * MIB);
	struct flow_in f;
	uint64_t now = 1;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, now);
	for (uint64_t want = 256 * 1024; want <= 16 * MIB; want *= 2)
		assert_int_equal(run(&f, 1, &now), want);
	assert_int_equal(run(&f, 1, &now), 16 * MIB);
	flow_in_fini(&f);
}

static void
a_window_does_not_grow_for_a_slow_peer_or_a_long_queue(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;
	uint64_t now = 1;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, now);
	/* Less than half a window in two round trips. */
	for (int i = 0; i < 100; i++) {
		now += 2 * RTT_US + 1;
		assert_true(flow_in_take(&f, 60000));
		flow_in_consumed(&f, 60000, now, RTT_US);
		say(&f);
	}
	assert_int_equal(f.window, FLOW_FLOOR + FLOW_FIRST);
	/* Fast, but more than a quarter of the window waits here. */
	assert_true(flow_in_take(&f, f.limit - f.received));
	now += 1;
	flow_in_consumed(&f, 70000, now, RTT_US);
	assert_int_equal(f.window, FLOW_FLOOR + FLOW_FIRST);
	flow_in_fini(&f);
}

/*
 * Half of the window within two round trips, counted from where the measurement began: at the
 * stream's start, at the bytes that ended a pause, or where the window was half used last.
 */
static void
a_measurement_is_as_long_as_two_round_trips(void **state)
{
	const uint64_t first = FLOW_FLOOR + FLOW_FIRST, span = 2 * RTT_US;
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;

	(void)state;
	/* From the start on: the second piece is just in time, or just too late. */
	for (uint64_t late = 0; late <= 1; late++) {
		flow_in_init(&f, &b, 16 * MIB, true, true, 5 * span);
		assert_true(flow_in_take(&f, first / 2));
		flow_in_consumed(&f, 1, 5 * span + 1, RTT_US);
		flow_in_consumed(&f, first / 2 - 1, 6 * span + late, RTT_US);
		assert_int_equal(f.window, late ? first : 2 * first);
		flow_in_fini(&f);
	}
	/* From the end of a pause on. */
	for (uint64_t late = 0; late <= 1; late++) {
		flow_in_init(&f, &b, 16 * MIB, true, true, 1);
		assert_true(flow_in_take(&f, first / 2));
		flow_in_consumed(&f, first / 4, 5 * span, RTT_US);
		assert_int_equal(f.window, first);
		flow_in_consumed(&f, first / 4, 6 * span + late, RTT_US);
		assert_int_equal(f.window, late ? first : 2 * first);
		flow_in_fini(&f);
	}
	/* From where it was half used on, with a queue that kept the window as it was. */
	for (uint64_t late = 0; late <= 1; late++) {
		uint64_t used = span - 1;

		flow_in_init(&f, &b, 16 * MIB, true, true, 1);
		assert_true(flow_in_take(&f, first));
		flow_in_consumed(&f, first / 2, used, RTT_US);
		assert_int_equal(f.window, first);
		flow_in_consumed(&f, 1, used + 2, RTT_US);
		flow_in_consumed(&f, first / 2 - 1, used + span + late, RTT_US);
		assert_int_equal(f.window, late ? first : 2 * first);
		flow_in_fini(&f);
	}
	assert_int_equal(b.used, 0);
}

/* Twice in a round trip is not what TCP's window does. */
static void
a_window_grows_once_in_a_round_trip(void **state)
{
	struct budget b = a_budget(1024ULL * MIB);
	struct flow_in f;
	uint64_t n, was, now = 10 * RTT_US;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, now);
	was = run(&f, 1, &now);
	for (uint64_t wait = RTT_US - 1; wait <= RTT_US; wait++) {
		n = f.limit - f.received;
		assert_true(flow_in_take(&f, n));
		flow_in_consumed(&f, n, now + wait, RTT_US);
		assert_int_equal(f.window, wait < RTT_US ? was : 2 * was);
		say(&f);
	}
	flow_in_fini(&f);
}

/* A quarter of the window that waits here is where growing ends. */
static void
a_queue_below_a_quarter_of_the_window_may_grow(void **state)
{
	const uint64_t first = FLOW_FLOOR + FLOW_FIRST;
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;

	(void)state;
	for (uint64_t less = 0; less <= 1; less++) {
		flow_in_init(&f, &b, 16 * MIB, true, true, 1);
		assert_true(flow_in_take(&f, first));
		flow_in_consumed(&f, first - first / 4 + less, RTT_US, RTT_US);
		assert_int_equal(f.window, less ? 2 * first : first);
		flow_in_fini(&f);
	}
}

static void
a_share_is_small_until_bytes_have_moved_for_a_while(void **state)
{
	struct budget b = a_budget(8 * MIB);
	struct flow_in f;
	uint64_t now = 1, before;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, now);
	/* 100 ms, and not yet eight round trips of 50 ms. */
	before = run(&f, 5, &now);
	assert_true(before <= FLOW_FLOOR + 8 * MIB / 10);
	assert_true(run(&f, 20, &now) > 2 * MIB);
	assert_true(f.window <= FLOW_FLOOR + 4 * MIB);
	flow_in_fini(&f);
}

static void
no_budget_leaves_the_floor_and_it_moves(void **state)
{
	struct budget b = a_budget(1 * MIB);
	struct flow_in f;

	(void)state;
	budget_charge(&b, 0, 1 * MIB);
	flow_in_init(&f, &b, 16 * MIB, true, false, 1);
	assert_int_equal(f.window, FLOW_FLOOR);
	for (uint64_t now = 1; now < 100; now++) {
		assert_true(flow_in_take(&f, FLOW_FLOOR / 4));
		flow_in_consumed(&f, FLOW_FLOOR / 4, now, RTT_US);
		assert_true(flow_in_due(&f)); /* a quarter at once, no timer */
		say(&f);
	}
	assert_int_equal(f.window, FLOW_FLOOR);
	flow_in_fini(&f);
}

static void
an_endpoint_says_what_was_handed_on_after_so_many_bytes(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, 1);
	assert_true(flow_in_take(&f, FLOW_SAY));
	flow_in_ack(&f, FLOW_SAY - 1);
	assert_false(flow_in_due(&f));
	assert_true(flow_in_has_news(&f));
	flow_in_ack(&f, FLOW_SAY);
	assert_true(flow_in_due(&f));
	say(&f);
	assert_false(flow_in_has_news(&f));
	flow_in_fini(&f);
}

static void
a_hop_passes_on_every_acknowledgement_at_once(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, false, true, 1);
	assert_true(flow_in_take(&f, 10));
	assert_false(flow_in_due(&f));
	flow_in_ack(&f, 1);
	assert_true(flow_in_due(&f));
	say(&f);
	/* Never more than came, and never back. */
	flow_in_ack(&f, 1000);
	assert_int_equal(f.acked, 10);
	flow_in_ack(&f, 5);
	assert_int_equal(f.acked, 10);
	flow_in_fini(&f);
}

static void
returned_credit_costs_nothing_and_is_answered(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_in f;
	uint64_t acked, limit;
	bool answer;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, 1);
	assert_true(flow_in_take(&f, 1000));
	flow_in_consumed(&f, 1000, 2, RTT_US);
	assert_false(flow_in_returned(&f, 999));
	assert_false(flow_in_returned(&f, f.limit + 1));
	assert_true(flow_in_returned(&f, 1000 + FLOW_FLOOR));
	assert_int_equal(b.used, 0);
	assert_true(flow_in_due(&f));
	flow_in_say(&f, &acked, &limit, &answer);
	assert_true(answer);
	assert_int_equal(limit, 1000 + FLOW_FLOOR);
	assert_false(flow_in_due(&f));
	/* Half of the floor at once: it is in use again, and has its first window. */
	assert_true(flow_in_take(&f, FLOW_FLOOR));
	flow_in_consumed(&f, FLOW_FLOOR, 5000000, RTT_US);
	assert_true(flow_in_due(&f));
	flow_in_say(&f, &acked, &limit, &answer);
	assert_false(answer);
	assert_int_equal(limit, 1000 + FLOW_FLOOR + FLOW_FLOOR + FLOW_FIRST);
	flow_in_end(&f);
	assert_false(flow_in_returned(&f, f.limit));
	flow_in_fini(&f);
}

/* ---- out ---- */

static void
a_sender_stops_at_the_limit_and_limits_never_go_back(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_out f;

	(void)state;
	flow_out_init(&f, &b, true, FLOW_FLOOR, 1);
	assert_int_equal(flow_out_credit(&f), FLOW_FLOOR);
	flow_out_sent(&f, FLOW_FLOOR, 1);
	assert_int_equal(flow_out_credit(&f), 0);
	assert_true(flow_out_window(&f, 10, 20000, false, 2, RTT_US));
	assert_int_equal(flow_out_credit(&f), 20000 - FLOW_FLOOR);
	assert_true(flow_out_window(&f, 5, 10000, false, 2, RTT_US));
	assert_int_equal(f.acked, 10);
	assert_int_equal(f.limit, 20000);
	assert_false(flow_out_window(&f, FLOW_FLOOR + 1, 20000, false, 2, RTT_US));
	assert_false(flow_out_window(&f, 10, 1ULL << 63, false, 2, RTT_US));
	assert_true(flow_out_window(&f, 10, (1ULL << 63) - 1, false, 2, RTT_US));
	flow_out_fini(&f);
}

static void
only_an_endpoint_is_charged_for_what_it_keeps(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_out f;

	(void)state;
	flow_out_init(&f, &b, false, FLOW_FLOOR, 1);
	flow_out_kept(&f, 1000000);
	assert_int_equal(b.used, 0);
	flow_out_fini(&f);
	flow_out_init(&f, &b, true, FLOW_FLOOR, 1);
	flow_out_kept(&f, FLOW_KEEP);
	assert_int_equal(b.used, 0);
	flow_out_kept(&f, FLOW_KEEP + 1);
	assert_int_equal(b.used, 1);
	flow_out_fini(&f);
	assert_int_equal(b.used, 0);
}

static void
a_sender_may_always_keep_as_much_as_the_other_end_waits_for(void **state)
{
	struct budget b = a_budget(1 * MIB);
	struct flow_out f;

	(void)state;
	assert_true(FLOW_KEEP >= FLOW_SAY);
	budget_charge(&b, 0, 1 * MIB);
	flow_out_init(&f, &b, true, FLOW_FLOOR, 1);
	assert_int_equal(flow_out_may_keep(&f, 1, RTT_US), FLOW_KEEP);
	flow_out_fini(&f);
}

static void
who_is_acknowledged_for_a_while_may_keep_half_of_what_is_left(void **state)
{
	struct budget b = a_budget(10 * MIB);
	struct flow_out f;
	uint64_t now = 1;

	(void)state;
	budget_join(&b);
	flow_out_init(&f, &b, true, INT64_MAX, now);
	assert_int_equal(flow_out_may_keep(&f, now, RTT_US), FLOW_KEEP + 1 * MIB);
	for (int i = 1; i <= 20; i++) {
		now += RTT_US;
		flow_out_sent(&f, FLOW_PROVEN_BYTES / 16, now);
		assert_true(flow_out_window(&f, f.sent, f.limit, false, now, RTT_US));
		/* Long enough from the 9th on, enough from the 16th on. */
		assert_int_equal(
		    flow_out_may_keep(&f, now, RTT_US), FLOW_KEEP + (i < 16 ? 1 : 5) * MIB);
	}
	/* Not for ever: nothing was acknowledged for a while. */
	now += 8 * RTT_US;
	assert_int_equal(flow_out_may_keep(&f, now, RTT_US), FLOW_KEEP + 1 * MIB);
	budget_leave(&b);
	flow_out_fini(&f);
}

static void
idle_credit_is_returned_once_and_old_limits_are_ignored(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_out f;

	(void)state;
	flow_out_init(&f, &b, true, 128 * 1024, 1);
	flow_out_sent(&f, 1000, 100);
	assert_false(flow_out_is_idle(&f, 100 + FLOW_IDLE_US - 1));
	assert_true(flow_out_is_idle(&f, 100 + FLOW_IDLE_US));
	assert_int_equal(flow_out_return(&f), 1000 + FLOW_FLOOR);
	assert_int_equal(flow_out_credit(&f), FLOW_FLOOR);
	assert_false(flow_out_is_idle(&f, 100 + 10 * FLOW_IDLE_US));
	/* A WINDOW that crossed the RETURN: its acknowledgement counts, its limit does not. */
	assert_true(flow_out_window(&f, 500, 200 * 1024, false, 200, RTT_US));
	assert_int_equal(f.acked, 500);
	assert_int_equal(flow_out_credit(&f), FLOW_FLOOR);
	assert_true(flow_out_window(&f, 500, 1000 + FLOW_FLOOR, true, 300, RTT_US));
	assert_true(flow_out_window(&f, 500, 200 * 1024, false, 400, RTT_US));
	assert_int_equal(f.limit, 200 * 1024);
	/* An answer that nobody asked for. */
	assert_false(flow_out_window(&f, 500, 200 * 1024, true, 400, RTT_US));
	flow_out_fini(&f);
}

static void
the_floor_is_not_returned(void **state)
{
	struct budget b = a_budget(64 * MIB);
	struct flow_out f;

	(void)state;
	flow_out_init(&f, &b, true, FLOW_FLOOR, 1);
	assert_false(flow_out_is_idle(&f, 10 * FLOW_IDLE_US));
	flow_out_fini(&f);
}

/* Moves n bytes at 4 MB/s. */
static void
trickle(struct flow_in *f, uint64_t n, uint64_t *now_us)
{
	for (uint64_t end = f->consumed + n; f->consumed < end; say(f)) {
		*now_us += 4000;
		assert_true(flow_in_take(f, 16 * 1024));
		flow_in_consumed(f, 16 * 1024, *now_us, 10000);
	}
}

/*
 * Kernels take some hundred kilobytes for a reader that has stopped, over a long time when 500 of
 * them share a link.
 */
static void
what_kernels_take_proves_nothing(void **state)
{
	struct budget b = a_budget(MIB / 2);
	struct flow_in f;
	uint64_t now = 1;

	(void)state;
	flow_in_init(&f, &b, 16 * MIB, true, true, now);
	trickle(&f, FLOW_PROVEN_BYTES - 32 * 1024, &now);
	assert_true(now > 2 * FLOW_PROVEN_US);
	assert_true(f.window <= FLOW_FLOOR + MIB / 20);
	trickle(&f, MIB / 2, &now);
	assert_true(f.window > FLOW_FLOOR + MIB / 20);
	flow_in_fini(&f);
}

/*
 * ---- many, as in ../shared/FLOW.md: stalled streams, each of which looked fast for a megabyte,
 * beside one that moves ----
 */

static void
stalled_ones_leave_a_window_to_the_one_that_moves(void **state)
{
	static const struct {
		int n;
		uint64_t least;
	} cases[] = { { 20, 2 * MIB }, { 500, 512 * 1024 }, { 2000, 128 * 1024 } };
	static struct flow_in stalled[2000];

	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct budget b = a_budget(64 * MIB);
		struct flow_in f;
		uint64_t now = 1;

		for (int i = 0; i < cases[c].n; i++) {
			struct flow_in *s = &stalled[i];

			flow_in_init(s, &b, 16 * MIB, true, true, now);
			for (uint64_t n; s->received < 1 * MIB; say(s)) {
				n = s->limit - s->received;
				assert_true(flow_in_take(s, n));
				flow_in_consumed(s, n, ++now, 100);
			}
			assert_true(flow_in_take(s, s->limit - s->received));
		}
		flow_in_init(&f, &b, 16 * MIB, true, true, now);
		for (int i = 0; i < 400; i++) {
			uint64_t n = f.limit - f.received;

			now += 1000;
			assert_true(flow_in_take(&f, n));
			flow_in_consumed(&f, n, now, 100);
			say(&f);
		}
		assert_true(b.used <= b.max);
		assert_true(f.window >= cases[c].least);
		flow_in_fini(&f);
		for (int i = 0; i < cases[c].n; i++)
			flow_in_fini(&stalled[i]);
		assert_int_equal(b.used, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answering_side_owes_a_window_at_once),
		cmocka_unit_test(the_opener_has_told_its_window),
		cmocka_unit_test(bytes_up_to_the_limit_are_taken_and_not_one_more),
		cmocka_unit_test(what_is_held_and_promised_is_charged_beyond_the_floor),
		cmocka_unit_test(a_window_doubles_in_each_round_trip_as_tcp_does),
		cmocka_unit_test(a_window_does_not_grow_for_a_slow_peer_or_a_long_queue),
		cmocka_unit_test(a_measurement_is_as_long_as_two_round_trips),
		cmocka_unit_test(a_window_grows_once_in_a_round_trip),
		cmocka_unit_test(a_queue_below_a_quarter_of_the_window_may_grow),
		cmocka_unit_test(a_share_is_small_until_bytes_have_moved_for_a_while),
		cmocka_unit_test(no_budget_leaves_the_floor_and_it_moves),
		cmocka_unit_test(an_endpoint_says_what_was_handed_on_after_so_many_bytes),
		cmocka_unit_test(a_hop_passes_on_every_acknowledgement_at_once),
		cmocka_unit_test(returned_credit_costs_nothing_and_is_answered),
		cmocka_unit_test(a_sender_stops_at_the_limit_and_limits_never_go_back),
		cmocka_unit_test(only_an_endpoint_is_charged_for_what_it_keeps),
		cmocka_unit_test(a_sender_may_always_keep_as_much_as_the_other_end_waits_for),
		cmocka_unit_test(who_is_acknowledged_for_a_while_may_keep_half_of_what_is_left),
		cmocka_unit_test(idle_credit_is_returned_once_and_old_limits_are_ignored),
		cmocka_unit_test(the_floor_is_not_returned),
		cmocka_unit_test(what_kernels_take_proves_nothing),
		cmocka_unit_test(stalled_ones_leave_a_window_to_the_one_that_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
