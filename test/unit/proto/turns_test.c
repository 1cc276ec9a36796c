/* SPDX-License-Identifier: ISC */
/* turns_test - fresh before bulk, bulk in rotation, neither starves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/turns.h"

enum { MOST = 65528, ROUND = 16 * 1024 };

/* Send as much as the next turn allows; returns whose it was. */
static struct turn *
take(struct turns *ts, uint64_t now_us, size_t *n)
{
	struct turn *t = turns_next(ts, ROUND, MOST, n);

	if (t != NULL)
		turns_spent(ts, t, *n, now_us);
	return t;
}

/* One that has sent so much lately that it enters as bulk. */
static void
make_bulk(struct turns *ts, struct turn *t)
{
	t->epoch_us = 1;
	t->epoch_bytes = TURN_SPARSE_BYTES;
	turns_enter(ts, t, 1);
}

static void
nobody_waits_nobody_is_next(void **state)
{
	struct turns ts;
	size_t n;

	(void)state;
	turns_init(&ts);
	assert_true(turns_is_empty(&ts));
	assert_null(turns_next(&ts, ROUND, MOST, &n));
}

static void
one_alone_may_send_the_most(void **state)
{
	struct turns ts;
	struct turn a = { 0 };
	size_t n;

	(void)state;
	turns_init(&ts);
	turns_enter(&ts, &a, 1);
	assert_false(turns_is_empty(&ts));
	assert_ptr_equal(turns_next(&ts, ROUND, MOST, &n), &a);
	assert_int_equal(n, MOST);
}

static void
a_turn_begun_alone_is_cut_short_when_others_come(void **state)
{
	struct turns ts;
	struct turn a = { 0 }, b = { 0 };
	size_t n;

	(void)state;
	turns_init(&ts);
	turns_enter(&ts, &a, 1);
	turns_next(&ts, ROUND, MOST, &n);
	turns_spent(&ts, &a, 10, 1);
	turns_enter(&ts, &b, 1);
	assert_ptr_equal(turns_next(&ts, ROUND, MOST, &n), &a);
	assert_int_equal(n, TURN_FRESH_BYTES);
}

static void
fresh_goes_before_bulk_with_a_small_turn(void **state)
{
	struct turns ts;
	struct turn a = { 0 }, b = { 0 }, key = { 0 };
	size_t n;

	(void)state;
	turns_init(&ts);
	make_bulk(&ts, &a);
	make_bulk(&ts, &b);
	turns_enter(&ts, &key, 1);
	assert_ptr_equal(take(&ts, 1, &n), &key);
	assert_int_equal(n, TURN_FRESH_BYTES);
	/* What it has left waits behind the others. */
	assert_ptr_equal(take(&ts, 1, &n), &a);
	assert_int_equal(n, TURN_BULK_BYTES);
	assert_ptr_equal(take(&ts, 1, &n), &b);
	assert_ptr_equal(take(&ts, 1, &n), &key);
	assert_int_equal(n, TURN_BULK_BYTES);
}

static void
a_turn_goes_on_until_it_is_used_up(void **state)
{
	struct turns ts;
	struct turn a = { 0 }, b = { 0 };
	size_t n;

	(void)state;
	turns_init(&ts);
	make_bulk(&ts, &a);
	make_bulk(&ts, &b);
	assert_ptr_equal(turns_next(&ts, ROUND, MOST, &n), &a);
	turns_spent(&ts, &a, 1000, 1);
	assert_ptr_equal(turns_next(&ts, ROUND, MOST, &n), &a);
	assert_int_equal(n, TURN_BULK_BYTES - 1000);
	turns_spent(&ts, &a, n, 1);
	assert_ptr_equal(turns_next(&ts, ROUND, MOST, &n), &b);
}

static void
a_hundred_bursts_put_two_kilobytes_each_before_a_keystroke(void **state)
{
	struct turns ts;
	struct turn burst[100] = { { 0 } }, key = { 0 };
	size_t n, before = 0;

	(void)state;
	turns_init(&ts);
	for (int i = 0; i < 100; i++)
		turns_enter(&ts, &burst[i], 1);
	turns_enter(&ts, &key, 1);
	while (take(&ts, 1, &n) != &key)
		before += n;
	assert_true(before <= 100 * TURN_FRESH_BYTES +
				  100 * TURN_FRESH_BYTES / TURN_FRESH_RUN * TURN_BULK_BYTES);
}

/* What cannot be cut: sixteen turns of others go by, and then it has all that it passed. */
static void
who_passes_goes_behind_the_others_and_has_more_the_next_time(void **state)
{
	struct turn a = { 0 }, b = { 0 }, c = { 0 };
	struct turns ts;
	size_t n, others = 0;

	(void)state;
	turns_init(&ts);
	make_bulk(&ts, &a);
	make_bulk(&ts, &b);
	for (;;) {
		struct turn *t = turns_next(&ts, ROUND, MOST, &n);

		if (t == &a && n >= 60000)
			break;
		if (t == &a) {
			turns_pass(&ts, &a);
		} else {
			turns_spent(&ts, t, n, 1);
			others += n;
		}
	}
	assert_int_equal(n, 4 * TURN_BULK_BYTES);
	assert_int_equal(others, 3 * TURN_BULK_BYTES);
	/* The rest of what it saved is its own, until it has nothing to send. */
	turns_spent(&ts, &a, 60000, 1);
	assert_int_equal(a.saved, 4 * TURN_BULK_BYTES - 60000);
	turns_leave(&ts, &a);
	assert_int_equal(a.saved, 0);
	/* A fresh one that passes is fresh no more. */
	turns_enter(&ts, &c, 1);
	assert_ptr_equal(turns_next(&ts, ROUND, MOST, &n), &c);
	turns_pass(&ts, &c);
	assert_int_equal(c.list, TURN_BULK);
	assert_ptr_equal(turns_next(&ts, ROUND, MOST, &n), &b);
}

static void
bulk_is_not_starved_by_fresh_ones(void **state)
{
	struct turns ts;
	struct turn bulk = { 0 }, fresh[64] = { { 0 } };
	size_t n, run = 0;
	struct turn *t;

	(void)state;
	turns_init(&ts);
	make_bulk(&ts, &bulk);
	for (int i = 0; i < 64; i++)
		turns_enter(&ts, &fresh[i], 1);
	while ((t = take(&ts, 1, &n)) != &bulk) {
		assert_non_null(t);
		run += n;
	}
	assert_int_equal(run, TURN_FRESH_RUN);
	assert_ptr_not_equal(take(&ts, 1, &n), &bulk);
}

static void
a_steady_sender_is_bulk_and_becomes_fresh_when_it_rests(void **state)
{
	struct turns ts;
	struct turn a = { 0 };
	uint64_t now = 1000000;

	(void)state;
	turns_init(&ts);
	turns_enter(&ts, &a, now);
	assert_int_equal(a.list, TURN_FRESH);
	turns_spent(&ts, &a, 2 * TURN_SPARSE_BYTES, now);
	turns_leave(&ts, &a);
	turns_enter(&ts, &a, now + TURN_EPOCH_US - 1);
	assert_int_equal(a.list, TURN_BULK);
	turns_leave(&ts, &a);
	/* Half of the last epoch counts on. */
	turns_enter(&ts, &a, now + TURN_EPOCH_US);
	assert_int_equal(a.list, TURN_BULK);
	turns_leave(&ts, &a);
	turns_enter(&ts, &a, now + 4 * TURN_EPOCH_US);
	assert_int_equal(a.list, TURN_FRESH);
}

/* Somebody who always has more to send never leaves: what it sends counts as it goes. */
static void
who_sent_in_many_turns_and_comes_back_at_once_is_bulk(void **state)
{
	struct turns ts;
	struct turn a = { 0 };
	uint64_t now = 1000000;
	size_t n;

	(void)state;
	turns_init(&ts);
	turns_enter(&ts, &a, now);
	for (int i = 0; i < 100; i++)
		take(&ts, now += TURN_EPOCH_US / 4, &n);
	turns_leave(&ts, &a);
	turns_enter(&ts, &a, now);
	assert_int_equal(a.list, TURN_BULK);
}

/* Its turn was as long as nobody else was there. */
static void
who_had_a_fresh_turn_is_fresh_no_more(void **state)
{
	(void)state;
	for (int less = 0; less < 2; less++) {
		struct turns ts;
		struct turn a = { 0 };
		size_t n;

		turns_init(&ts);
		turns_enter(&ts, &a, 1);
		turns_next(&ts, ROUND, MOST, &n);
		turns_spent(&ts, &a, (size_t)(TURN_FRESH_BYTES - less), 1);
		assert_int_equal(a.list, less ? TURN_FRESH : TURN_BULK);
	}
}

static void
a_fast_carrier_gives_larger_turns(void **state)
{
	struct turns ts;
	struct turn a = { 0 }, b = { 0 };
	size_t n;

	(void)state;
	turns_init(&ts);
	make_bulk(&ts, &a);
	make_bulk(&ts, &b);
	turns_next(&ts, 4 * 32 * 1024, MOST, &n);
	assert_int_equal(n, 32 * 1024);
	a.left = 0;
	turns_next(&ts, 1024 * 1024, MOST, &n);
	assert_int_equal(n, MOST);
}

static void
leaving_twice_or_from_the_middle_does_no_harm(void **state)
{
	struct turns ts;
	struct turn a = { 0 }, b = { 0 }, c = { 0 };
	size_t n;

	(void)state;
	turns_init(&ts);
	turns_enter(&ts, &a, 1);
	turns_enter(&ts, &b, 1);
	turns_enter(&ts, &b, 1);
	turns_enter(&ts, &c, 1);
	turns_leave(&ts, &b);
	turns_leave(&ts, &b);
	assert_ptr_equal(take(&ts, 1, &n), &a);
	assert_ptr_equal(take(&ts, 1, &n), &c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_nobody_is_next),
		cmocka_unit_test(one_alone_may_send_the_most),
		cmocka_unit_test(a_turn_begun_alone_is_cut_short_when_others_come),
		cmocka_unit_test(fresh_goes_before_bulk_with_a_small_turn),
		cmocka_unit_test(a_turn_goes_on_until_it_is_used_up),
		cmocka_unit_test(a_hundred_bursts_put_two_kilobytes_each_before_a_keystroke),
		cmocka_unit_test(who_passes_goes_behind_the_others_and_has_more_the_next_time),
		cmocka_unit_test(bulk_is_not_starved_by_fresh_ones),
		cmocka_unit_test(a_steady_sender_is_bulk_and_becomes_fresh_when_it_rests),
		cmocka_unit_test(who_sent_in_many_turns_and_comes_back_at_once_is_bulk),
		cmocka_unit_test(who_had_a_fresh_turn_is_fresh_no_more),
		cmocka_unit_test(a_fast_carrier_gives_larger_turns),
		cmocka_unit_test(leaving_twice_or_from_the_middle_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
