/* SPDX-License-Identifier: ISC */
/*
 * tls_turns_test - whose handshake has the next turn: one each turn of the loop, those who wait one
 * after the other, and each at its rate.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/tls/tls_turns.h"
#include "test/unit/handclock.h"

enum { RATE = 10, BURST = 20, PLACES = 64 };

static struct fix {
	struct loop *l;
	struct tls_turns *t;
	struct tls_place place[PLACES];
	/* How many turns each had, and of whom the last ones were. */
	int turns[PLACES];
	char order[4 * PLACES + 1];
	size_t n_order;
	/* Each wants so many steps. */
	int steps;
} f;

static void
on_turn(void *arg)
{
	struct tls_place *p = arg;
	int i = (int)(p - f.place);

	f.order[f.n_order++] = (char)p->who.key[0];
	if (++f.turns[i] < f.steps)
		assert_int_equal(tls_place_wait(p), 0);
}

static void
wait_as(int i, char who, bool any_rate)
{
	const struct tls_turns_who w = { .key = { (uint8_t)who }, .any_rate = any_rate };

	tls_place_init(&f.place[i], f.t, &w, on_turn, &f.place[i]);
	assert_int_equal(tls_place_wait(&f.place[i]), 0);
}

static int
setup(void **state)
{
	(void)state;
	f = (struct fix){ .l = loop_new(), .steps = 1 };
	f.t = tls_turns_new(f.l, RATE, BURST);
	assert_non_null(f.t);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < PLACES; i++)
		tls_place_leave(&f.place[i]);
	tls_turns_free(f.t);
	loop_free(f.l);
	return 0;
}

/* So many turns of the loop, and who had them. */
static const char *
turns(int n)
{
	memset(f.order, 0, sizeof f.order);
	f.n_order = 0;
	while (n-- > 0)
		loop_settle(f.l);
	return f.order;
}

static void
one_in_each_turn(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		wait_as(i, 'a', true);
	assert_string_equal(turns(1), "a");
	assert_string_equal(turns(1), "a");
	assert_int_equal(f.turns[0] + f.turns[1], 2);
	assert_string_equal(turns(10), "aaa");
	for (int i = 0; i < 5; i++)
		assert_int_equal(f.turns[i], 1);
}

static void
those_who_wait_are_asked_in_turn(void **state)
{
	(void)state;
	f.steps = 2;
	for (int i = 0; i < 10; i++)
		wait_as(i, 'a', true);
	assert_string_equal(turns(2), "aa");
	wait_as(10, 'b', true);
	wait_as(11, 'b', true);
	wait_as(12, 'c', true);
	/* Ten of a wait, and b and c have as many turns as a. */
	assert_string_equal(turns(9), "abcabcaba");
	assert_int_equal(f.turns[12], 2);
}

static void
who_has_begun_goes_first(void **state)
{
	(void)state;
	f.steps = 2;
	for (int i = 0; i < 4; i++)
		wait_as(i, 'a', true);
	turns(4);
	assert_int_equal(f.turns[0], 2);
	assert_int_equal(f.turns[1], 2);
	assert_int_equal(f.turns[2], 0);
}

static void
waiting_twice_is_once(void **state)
{
	(void)state;
	wait_as(0, 'a', true);
	assert_int_equal(tls_place_wait(&f.place[0]), 0);
	assert_string_equal(turns(3), "a");
}

static void
who_leaves_waits_no_more(void **state)
{
	struct tls_place none = { 0 };

	(void)state;
	wait_as(0, 'a', true);
	wait_as(1, 'a', true);
	wait_as(2, 'b', true);
	tls_place_leave(&f.place[0]);
	tls_place_leave(&f.place[2]);
	tls_place_leave(&f.place[2]);
	tls_place_leave(&none);
	assert_string_equal(turns(4), "a");
	assert_int_equal(f.turns[1], 1);
}

static void
each_begins_at_its_rate(void **state)
{
	(void)state;
	for (int i = 0; i < BURST + 5; i++)
		wait_as(i, 'a', false);
	assert_int_equal(strlen(turns(2 * BURST)), BURST);
	/* The others rest, and nobody waits for them. */
	wait_as(40, 'b', false);
	wait_as(41, 'c', true);
	assert_string_equal(turns(3), "bc");
	handclock_pass(TLS_TURNS_REST_MS);
	assert_string_equal(turns(2), "");
	handclock_pass(1000 / RATE);
	assert_string_equal(turns(2), "a");
	handclock_pass(2000 / RATE);
	assert_string_equal(turns(4), "aa");
	handclock_pass(10000);
	assert_string_equal(turns(4), "aa");
	assert_string_equal(turns(4), "");
}

static void
they_are_looked_at_while_others_wait(void **state)
{
	(void)state;
	for (int i = 0; i < BURST + 1; i++)
		wait_as(i, 'a', false);
	turns(BURST + 1);
	/* b always has something to do. */
	f.steps = 1000;
	wait_as(40, 'b', true);
	turns(3);
	handclock_pass(1000 / RATE + TLS_TURNS_REST_MS);
	f.steps = 1;
	assert_non_null(strchr(turns(2), 'a'));
}

static void
a_step_is_not_a_beginning(void **state)
{
	(void)state;
	wait_as(0, 'a', false);
	turns(1);
	for (int i = 1; i < BURST + 3; i++)
		wait_as(i, 'a', false);
	assert_int_equal(strlen(turns(2 * BURST)), BURST - 1);
	/* The first goes on while the last of a rest. */
	assert_int_equal(tls_place_wait(&f.place[0]), 0);
	assert_string_equal(turns(3), "a");
	assert_int_equal(f.turns[0], 2);
	/* And those do not go on for it. */
	assert_int_equal(f.turns[BURST + 1] + f.turns[BURST + 2], 0);
	handclock_pass(2000 / RATE + TLS_TURNS_REST_MS);
	assert_string_equal(turns(4), "aa");
}

static void
without_memory_nobody_waits(void **state)
{
	const struct tls_turns_who w = { .key = { 'a' } };

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		tls_place_init(&f.place[0], f.t, &w, on_turn, &f.place[0]);
		mem_fail_after(n);
		assert_int_equal(tls_place_wait(&f.place[0]), ERR_NOMEM);
		mem_fail_after(MEM_NO_FAIL);
		assert_string_equal(turns(2), "");
	}
	assert_int_equal(tls_place_wait(&f.place[0]), 0);
	assert_string_equal(turns(2), "a");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_in_each_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(those_who_wait_are_asked_in_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(who_has_begun_goes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(waiting_twice_is_once, setup, teardown),
		cmocka_unit_test_setup_teardown(who_leaves_waits_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(each_begins_at_its_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    they_are_looked_at_while_others_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_step_is_not_a_beginning, setup, teardown),
		cmocka_unit_test_setup_teardown(without_memory_nobody_waits, setup, teardown),
	};

	return cmocka_run_group_tests_name("tls/tls_turns", tests, NULL, NULL);
}
