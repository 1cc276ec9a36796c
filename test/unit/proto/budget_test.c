/* SPDX-License-Identifier: ISC */
/* budget_test - shares of what is left, up the whole chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/budget.h"

static void
a_charge_counts_at_every_level(void **state)
{
	struct budget process, account;

	(void)state;
	budget_init(&process, 1000, NULL);
	budget_init(&account, 100, &process);
	budget_charge(&account, 0, 60);
	assert_int_equal(account.used, 60);
	assert_int_equal(process.used, 60);
	budget_charge(&account, 60, 10);
	assert_int_equal(account.used, 10);
	assert_int_equal(process.used, 10);
}

static void
the_tightest_level_decides(void **state)
{
	struct budget process, account;

	(void)state;
	budget_init(&process, 1000, NULL);
	budget_init(&account, 800, &process);
	budget_charge(&process, 0, 900);
	assert_int_equal(budget_share(&account, 0, true), 50);
	budget_charge(&process, 900, 0);
	assert_int_equal(budget_share(&account, 0, true), 400);
}

static void
many_streams_get_small_shares_until_they_have_moved(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b, 1000, NULL);
	budget_join(&b);
	assert_int_equal(budget_share(&b, 0, false), 100); /* 1000 / (8 + 2) */
	for (int i = 0; i < 20; i++)
		budget_join(&b);
	assert_int_equal(budget_share(&b, 0, false), 20); /* 1000 / (8 + 42) */
	assert_int_equal(budget_share(&b, 0, true), 500);
}

static void
what_is_charged_already_counts_as_left(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b, 1000, NULL);
	budget_charge(&b, 0, 600);
	assert_int_equal(budget_share(&b, 600, true), 500);
	assert_int_equal(budget_share(&b, 0, true), 200);
}

static void
an_overdrawn_budget_gives_nothing(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b, 100, NULL);
	budget_charge(&b, 0, 150);
	assert_int_equal(budget_share(&b, 0, true), 0);
	assert_int_equal(budget_share(&b, 100, true), 25); /* 50 of others: 50 are left for it */
}

static void
a_full_budget_is_not_over_yet(void **state)
{
	struct budget process, account;

	(void)state;
	budget_init(&process, 100, NULL);
	budget_init(&account, 1000, &process);
	budget_charge(&account, 0, 100);
	assert_false(budget_is_over(&account));
	budget_charge(&account, 100, 101);
	assert_true(budget_is_over(&account));
}

static void
streams_are_counted_at_every_level(void **state)
{
	struct budget process, account;

	(void)state;
	budget_init(&process, 1000, NULL);
	budget_init(&account, 100, &process);
	assert_true(budget_is_idle(&account));
	budget_join(&account);
	assert_int_equal(process.n, 1);
	assert_false(budget_is_idle(&account));
	budget_leave(&account);
	assert_int_equal(process.n, 0);
	assert_true(budget_is_idle(&account));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_charge_counts_at_every_level),
		cmocka_unit_test(the_tightest_level_decides),
		cmocka_unit_test(many_streams_get_small_shares_until_they_have_moved),
		cmocka_unit_test(what_is_charged_already_counts_as_left),
		cmocka_unit_test(an_overdrawn_budget_gives_nothing),
		cmocka_unit_test(a_full_budget_is_not_over_yet),
		cmocka_unit_test(streams_are_counted_at_every_level),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
