/* SPDX-License-Identifier: ISC */
/* ratelimit_test - buckets that fill with time, one for each key, and not too many of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/ratelimit.h"

static const uint8_t *
key(uint32_t n)
{
	static uint8_t k[RATELIMIT_KEY_LEN];

	memcpy(k, &n, sizeof n);
	return k;
}

static int
takes(struct ratelimit *r, uint32_t k, uint64_t now_ms, int tries)
{
	int n = 0;

	for (int i = 0; i < tries; i++)
		n += ratelimit_take(r, key(k), now_ms);
	return n;
}

static void
a_burst_is_let_through_and_no_more(void **state)
{
	struct ratelimit *r = ratelimit_new(2, 5);

	(void)state;
	assert_int_equal(takes(r, 1, 1000, 20), 5);
	ratelimit_free(r);
}

static void
tokens_come_back_at_the_rate(void **state)
{
	struct ratelimit *r = ratelimit_new(2, 5);

	(void)state;
	assert_int_equal(takes(r, 1, 1000, 20), 5);
	assert_int_equal(takes(r, 1, 1499, 20), 0);
	assert_int_equal(takes(r, 1, 1500, 20), 1);
	assert_int_equal(takes(r, 1, 2500, 20), 2);
	/* Never more than a burst. */
	assert_int_equal(takes(r, 1, 1000000, 20), 5);
	ratelimit_free(r);
}

static void
looking_often_does_not_lose_fractions(void **state)
{
	struct ratelimit *r = ratelimit_new(1, 1);
	int n = 0;

	(void)state;
	for (uint64_t t = 0; t < 10000; t += 3)
		n += ratelimit_take(r, key(1), t);
	assert_int_equal(n, 10);
	ratelimit_free(r);
}

static void
keys_do_not_disturb_each_other(void **state)
{
	struct ratelimit *r = ratelimit_new(1, 3);

	(void)state;
	assert_int_equal(takes(r, 1, 0, 20), 3);
	assert_int_equal(takes(r, 2, 0, 20), 3);
	ratelimit_free(r);
}

static void
the_key_that_was_used_longest_ago_is_forgotten(void **state)
{
	struct ratelimit *r = ratelimit_new(1, 1);

	(void)state;
	for (uint32_t k = 0; k < RATELIMIT_KEYS_MAX; k++)
		assert_int_equal(takes(r, k, 0, 2), 1);
	assert_int_equal(takes(r, 0, 0, 1), 0);                  /* used again */
	assert_int_equal(takes(r, RATELIMIT_KEYS_MAX, 0, 2), 1); /* pushes 1 out */
	assert_int_equal(takes(r, 0, 0, 1), 0);
	assert_int_equal(takes(r, 1, 0, 2), 1);
	ratelimit_free(r);
}

static void
a_clock_that_steps_back_is_no_gift(void **state)
{
	struct ratelimit *r = ratelimit_new(1, 3);

	(void)state;
	assert_int_equal(takes(r, 1, 1000, 20), 3);
	assert_int_equal(takes(r, 1, 999, 20), 0);
	assert_int_equal(takes(r, 1, 1500, 20), 0);
	assert_int_equal(takes(r, 1, 2000, 20), 1);
	ratelimit_free(r);
}

static void
without_memory_everything_is_let_through(void **state)
{
	(void)state;
	for (long fail = 0; fail < 4; fail++) {
		struct ratelimit *r;

		mem_fail_after(fail);
		r = ratelimit_new(1, 1);
		if (r != NULL)
			assert_int_equal(takes(r, 1, 0, 1), 1);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r != NULL || fail == 0);
		ratelimit_free(r);
	}
	ratelimit_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_let_through_and_no_more),
		cmocka_unit_test(tokens_come_back_at_the_rate),
		cmocka_unit_test(looking_often_does_not_lose_fractions),
		cmocka_unit_test(keys_do_not_disturb_each_other),
		cmocka_unit_test(the_key_that_was_used_longest_ago_is_forgotten),
		cmocka_unit_test(a_clock_that_steps_back_is_no_gift),
		cmocka_unit_test(without_memory_everything_is_let_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
