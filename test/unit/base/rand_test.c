/* SPDX-License-Identifier: ISC */
/* rand_test - numbers differ, stay in range and cover it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/rand.h"

static void
no_two_draws_are_alike(void **state)
{
	static const size_t sizes[] = { 8, 16, 500, 512, 513, 4096, 100000 };
	static uint8_t a[100000], b[100000];
	size_t i;

	(void)state;
	rand_init();
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(rand_bytes(a, sizes[i]), 0);
		assert_int_equal(rand_bytes(b, sizes[i]), 0);
		assert_memory_not_equal(a, b, sizes[i]);
	}
	assert_int_equal(rand_bytes(NULL, 0), 0);
}

static void
small_draws_use_up_each_refill_without_repeats(void **state)
{
	static uint64_t seen[3 * RAND_BUF / 8];
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
		assert_int_equal(rand_u64(&seen[i]), 0);
		assert_true(seen[i] != 0); /* wiped bytes are never handed out */
		for (j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	}
}

static void
a_bound_is_kept_and_everything_below_it_occurs(void **state)
{
	unsigned count[7] = { 0 };
	uint64_t v;
	int i;

	(void)state;
	for (i = 0; i < 7000; i++) {
		assert_int_equal(rand_below(7, &v), 0);
		assert_in_range(v, 0, 6);
		count[v]++;
	}
	for (i = 0; i < 7; i++)
		assert_in_range(count[i], 700, 1300); /* over ten standard deviations */
	assert_int_equal(rand_below(1, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(rand_below(UINT64_MAX, &v), 0);
}

static void
the_callback_fills(void **state)
{
	uint8_t a[32] = { 0 }, zero[32] = { 0 };

	(void)state;
	assert_int_equal(rand_callback(NULL, a, sizeof(a)), 0);
	assert_memory_not_equal(a, zero, sizeof(a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_draws_are_alike),
		cmocka_unit_test(small_draws_use_up_each_refill_without_repeats),
		cmocka_unit_test(a_bound_is_kept_and_everything_below_it_occurs),
		cmocka_unit_test(the_callback_fills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
