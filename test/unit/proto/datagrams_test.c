/* SPDX-License-Identifier: ISC */
/* datagrams_test - a bounded queue that drops the oldest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/datagrams.h"

enum { ALWAYS = DATAGRAMS_FLOOR - DATAGRAMS_COST };

/* One of n bytes, each of value; returns how many were dropped for it, or an error. */
static int
put(struct datagrams *q, uint8_t value, size_t n)
{
	static uint8_t bytes[FRAME_DATAGRAM_MAX];
	struct bufq src = { 0 };
	unsigned dropped = 0;
	int r;

	memset(bytes, value, n);
	assert_int_equal(bufq_copy(&src, bytes, n), 0);
	r = datagrams_put(q, &src, &dropped);
	assert_int_equal(src.len, r == 0 ? 0 : n);
	bufq_fini(&src);
	return r == 0 ? (int)dropped : r;
}

/* The oldest is one of n bytes of that value. */
static void
take(struct datagrams *q, uint8_t value, size_t n)
{
	struct bufq out = { 0 };
	uint8_t byte = value;

	assert_int_equal(datagrams_next(q), n);
	assert_int_equal(datagrams_take(q, &out), 0);
	assert_true(out.len == n);
	bufq_read(&out, 0, &byte, 1);
	assert_int_equal(byte, value);
	bufq_fini(&out);
}

static void
each_comes_out_as_it_went_in_the_oldest_first(void **state)
{
	static const size_t sizes[] = { 0, 1, 1472, FRAME_DATAGRAM_MAX, 0, 700 };
	struct budget b;
	struct datagrams q;

	(void)state;
	budget_init(&b, BUDGET_DEFAULT, NULL);
	datagrams_init(&q, &b);
	for (uint8_t i = 0; i < 6; i++)
		assert_int_equal(put(&q, i, sizes[i]), 0);
	for (uint8_t i = 0; i < 6; i++)
		take(&q, i, sizes[i]);
	assert_int_equal(q.n, 0);
	assert_int_equal(b.used, 0);
	datagrams_fini(&q);
}

static void
the_oldest_make_room_and_are_counted(void **state)
{
	enum { N = DATAGRAMS_MAX / (1200 + DATAGRAMS_COST) };
	struct budget b;
	struct datagrams q;

	(void)state;
	budget_init(&b, BUDGET_DEFAULT, NULL);
	datagrams_init(&q, &b);
	for (int i = 0; i < N; i++)
		assert_int_equal(put(&q, (uint8_t)i, 1200), 0);
	assert_true(datagrams_room(&q) < 1200);
	assert_int_equal(put(&q, 99, 1200), 1);
	assert_int_equal(put(&q, 99, 3 * 1200), 3);
	assert_int_equal(q.n, N - 2);
	take(&q, 4, 1200);
	datagrams_fini(&q);
	assert_int_equal(b.used, 0);
}

/* Else a flood of them would cost memory that is never counted. */
static void
empty_ones_are_bounded_too(void **state)
{
	struct budget b;
	struct datagrams q;
	int dropped = 0;

	(void)state;
	budget_init(&b, BUDGET_DEFAULT, NULL);
	datagrams_init(&q, &b);
	for (int i = 0; i < 100000; i++)
		dropped += put(&q, 0, 0);
	assert_int_equal(q.n, DATAGRAMS_MAX / DATAGRAMS_COST);
	assert_int_equal(dropped + (int)q.n, 100000);
	assert_true(q.cap <= 2 * q.n);
	datagrams_fini(&q);
}

static void
what_waits_is_charged_beyond_the_floor(void **state)
{
	struct budget b;
	struct datagrams q;

	(void)state;
	budget_init(&b, BUDGET_DEFAULT, NULL);
	datagrams_init(&q, &b);
	assert_int_equal(put(&q, 0, ALWAYS), 0);
	assert_int_equal(b.used, 0);
	assert_int_equal(put(&q, 0, 1000), 0);
	assert_int_equal(b.used, 1000 + DATAGRAMS_COST);
	take(&q, 0, ALWAYS);
	assert_int_equal(b.used, 0);
	datagrams_fini(&q);
}

static void
who_has_nothing_left_to_spend_keeps_the_floor(void **state)
{
	struct budget b;
	struct datagrams q;

	(void)state;
	budget_init(&b, 1000, NULL);
	budget_charge(&b, 0, 1000);
	datagrams_init(&q, &b);
	assert_int_equal(datagrams_room(&q), ALWAYS);
	assert_int_equal(put(&q, 1, ALWAYS + 1), 1);
	assert_int_equal(q.n, 0);
	assert_int_equal(put(&q, 2, ALWAYS), 0);
	assert_int_equal(put(&q, 3, 1), 1);
	take(&q, 3, 1);
	assert_int_equal(b.used, 1000);
	datagrams_fini(&q);
}

static void
one_that_is_too_large_costs_no_other(void **state)
{
	struct budget b;
	struct datagrams q;

	(void)state;
	budget_init(&b, 0, NULL);
	datagrams_init(&q, &b);
	assert_int_equal(put(&q, 1, 10), 0);
	assert_int_equal(put(&q, 2, FRAME_DATAGRAM_MAX), 1);
	take(&q, 1, 10);
	datagrams_fini(&q);
}

/* A few bytes of a read's large block do not hold the block. */
static void
small_ones_do_not_pin_what_they_came_in(void **state)
{
	struct block *block = block_new(BUF_LARGE);
	struct bufq read = { 0 };
	struct budget b;
	struct datagrams q;
	unsigned dropped;

	(void)state;
	assert_non_null(block);
	memset(block->data, 7, 2000);
	block->fill = 60000;
	budget_init(&b, BUDGET_DEFAULT, NULL);
	datagrams_init(&q, &b);
	assert_int_equal(bufq_append(&read, block, block->data, 100), 0);
	assert_int_equal(datagrams_put(&q, &read, &dropped), 0);
	assert_true(bufq_weight(&q.bytes) < BUF_LARGE);
	take(&q, 7, 100);
	bufq_fini(&read);
	block_unref(block);
	datagrams_fini(&q);
}

static void
without_memory_nothing_is_changed(void **state)
{
	struct budget b;
	struct datagrams q;

	(void)state;
	budget_init(&b, BUDGET_DEFAULT, NULL);
	datagrams_init(&q, &b);
	buf_pool_free();
	for (long fail = 0;; fail++) {
		static const uint8_t bytes[3000];
		struct bufq src = { 0 };
		unsigned dropped = 0, before = q.n;
		int r;

		assert_int_equal(bufq_copy(&src, bytes, sizeof bytes), 0);
		mem_fail_after(fail);
		r = datagrams_put(&q, &src, &dropped);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == 0 || r == ERR_NOMEM);
		assert_int_equal(q.n, before + (r == 0));
		assert_int_equal(src.len, r == 0 ? 0 : sizeof bytes);
		bufq_fini(&src);
		if (r == 0 && q.n > 40)
			break;
		if (r == 0)
			fail = -1;
	}
	assert_true(q.bytes.len == q.n * 3000ULL);
	datagrams_fini(&q);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_comes_out_as_it_went_in_the_oldest_first),
		cmocka_unit_test(the_oldest_make_room_and_are_counted),
		cmocka_unit_test(empty_ones_are_bounded_too),
		cmocka_unit_test(what_waits_is_charged_beyond_the_floor),
		cmocka_unit_test(who_has_nothing_left_to_spend_keeps_the_floor),
		cmocka_unit_test(one_that_is_too_large_costs_no_other),
		cmocka_unit_test(small_ones_do_not_pin_what_they_came_in),
		cmocka_unit_test(without_memory_nothing_is_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
