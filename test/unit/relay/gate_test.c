/* SPDX-License-Identifier: ISC */
/* gate_test - places before the login: who gets one, who loses one, and who is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/gate.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"

enum { N_WORKERS = 2, PLACES = 8, OF_ONE = 4, RATE = 100 };

static const struct gate_limits limits = { PLACES, OF_ONE, RATE };
static uint64_t now_ms;
static int told[N_WORKERS];
/* The next workers that cannot be told. */
static int deaf;

static bool
on_evict(void *arg, int worker)
{
	(void)arg;
	told[worker]++;
	return deaf == 0 || deaf-- == 0;
}

static struct gate *
gate(void)
{
	struct gate *g = gate_new(&limits, N_WORKERS, on_evict, NULL);

	assert_non_null(g);
	memset(told, 0, sizeof told);
	now_ms = 1000;
	return g;
}

static struct gate_who
from(int address)
{
	return (struct gate_who){ .key = { 4, 192, 0, 2, (uint8_t)address } };
}

/* A proxy, or this machine. */
static struct gate_who
any_from(int address)
{
	struct gate_who who = from(address);

	who.any_rate = who.any_places = true;
	return who;
}

/* A place for an address; its owner is the text, so that who is told can be compared. */
static struct gate_place *
enter(struct gate *g, int address, int worker, const char *owner)
{
	struct gate_who who = from(address);
	struct gate_place *p = NULL;

	assert_int_equal(gate_enter(g, &who, worker, now_ms, &p), GATE_IN);
	if (owner != NULL)
		assert_true(gate_claim(g, p, (struct gate_owner *)(uintptr_t)owner));
	return p;
}

static void
assert_evicted(struct gate *g, int worker, const char *owner)
{
	const char *got = (const char *)gate_evicted(g, worker);

	if (owner == NULL)
		assert_null(got);
	else
		assert_string_equal(got, owner);
}

static void
a_place_is_taken_and_given_back(void **state)
{
	struct gate *g = gate();
	struct gate_place *p = enter(g, 1, 0, "a"), *q = enter(g, 1, 1, "b");

	(void)state;
	assert_int_equal(gate_count(g), 2);
	gate_leave(g, p);
	assert_int_equal(gate_count(g), 1);
	gate_leave(g, q);
	gate_leave(g, NULL);
	assert_int_equal(gate_count(g), 0);
	assert_int_equal(told[0] + told[1], 0);
	gate_free(g);
}

static void
in_a_full_table_the_oldest_of_the_busiest_address_goes(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[PLACES + 1];

	(void)state;
	/* 1 has been here longest, 2 has most. */
	p[0] = enter(g, 1, 0, "1a");
	p[1] = enter(g, 2, 1, "2a");
	p[2] = enter(g, 2, 0, "2b");
	p[3] = enter(g, 2, 0, "2c");
	p[4] = enter(g, 2, 0, "2d");
	p[5] = enter(g, 3, 0, "3a");
	p[6] = enter(g, 3, 0, "3b");
	p[7] = enter(g, 3, 0, "3c");
	assert_int_equal(told[0] + told[1], 0);
	p[8] = enter(g, 4, 0, "4a");
	assert_int_equal(told[0], 0);
	assert_int_equal(told[1], 1);
	assert_evicted(g, 0, NULL);
	assert_evicted(g, 1, "2a");
	assert_evicted(g, 1, NULL);
	assert_int_equal(gate_count(g), PLACES + 1);
	gate_leave(g, p[1]);
	assert_int_equal(gate_count(g), PLACES);
	/* Now 3 is as busy as 2, and was so before. */
	p[1] = enter(g, 5, 0, "5a");
	assert_evicted(g, 0, "3a");
	gate_leave(g, p[5]);
	/* 2 has three again, all others fewer. */
	p[5] = enter(g, 6, 0, "6a");
	assert_evicted(g, 0, "2b");
	for (int i = 0; i <= PLACES; i++)
		gate_leave(g, p[i]);
	assert_int_equal(gate_count(g), 0);
	gate_free(g);
}

static void
an_address_that_has_all_it_may_have_loses_its_own_oldest(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[OF_ONE + 1];

	(void)state;
	for (int i = 0; i < OF_ONE; i++)
		p[i] = enter(g, 1, i % 2, i == 0 ? "first" : "later");
	assert_int_equal(told[0], 0);
	p[OF_ONE] = enter(g, 1, 1, "newest");
	assert_int_equal(told[0], 1);
	assert_evicted(g, 0, "first");
	assert_evicted(g, 0, NULL);
	for (int i = 0; i <= OF_ONE; i++)
		gate_leave(g, p[i]);
	gate_free(g);
}

static void
the_only_place_of_an_address_may_be_replaced(void **state)
{
	const struct gate_limits one = { 2, 1, RATE };
	struct gate *g = gate_new(&one, N_WORKERS, on_evict, NULL);
	struct gate_place *p, *q;

	(void)state;
	p = enter(g, 1, 0, "p");
	q = enter(g, 1, 0, "q");
	assert_evicted(g, 0, "p");
	gate_leave(g, p);
	gate_leave(g, q);
	assert_int_equal(gate_count(g), 0);
	gate_free(g);
}

static void
an_exempt_address_may_have_all_places(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[PLACES + 1];
	struct gate_who key = any_from(1);

	(void)state;
	for (int i = 0; i < PLACES; i++) {
		assert_int_equal(gate_enter(g, &key, 0, now_ms, &p[i]), GATE_IN);
		assert_true(gate_claim(g, p[i], (void *)p[i]));
	}
	assert_int_equal(told[0], 0);
	/* And is the busiest, too. */
	p[PLACES] = enter(g, 2, 0, "2");
	assert_ptr_equal(gate_evicted(g, 0), p[0]);
	for (int i = 0; i <= PLACES; i++)
		gate_leave(g, p[i]);
	gate_free(g);
}

static void
a_worker_is_told_once_until_it_has_looked(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[OF_ONE + 2];

	(void)state;
	for (int i = 0; i < OF_ONE + 2; i++)
		p[i] = enter(g, 1, 0, i == 0 ? "a" : i == 1 ? "b" : "c");
	assert_int_equal(told[0], 1);
	assert_evicted(g, 0, "a");
	assert_evicted(g, 0, "b");
	assert_evicted(g, 0, NULL);
	gate_leave(g, p[0]);
	gate_leave(g, p[1]);
	p[0] = enter(g, 1, 0, "d");
	assert_int_equal(told[0], 2);
	for (int i = 0; i < OF_ONE + 2; i++)
		if (i != 1)
			gate_leave(g, p[i]);
	assert_int_equal(gate_count(g), 0);
	gate_free(g);
}

static void
one_that_leaves_by_itself_is_not_told_to_go(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[OF_ONE + 1];

	(void)state;
	for (int i = 0; i <= OF_ONE; i++)
		p[i] = enter(g, 1, 0, "x");
	gate_leave(g, p[0]);
	assert_evicted(g, 0, NULL);
	for (int i = 1; i <= OF_ONE; i++)
		gate_leave(g, p[i]);
	gate_free(g);
}

static void
one_that_is_on_its_way_learns_it_on_arrival(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[OF_ONE + 2];

	(void)state;
	p[0] = enter(g, 1, 0, NULL);
	for (int i = 1; i < OF_ONE + 2; i++)
		p[i] = enter(g, 1, 0, i == 1 ? "here" : "x");
	/* It has no owner that could be told, and hides nobody behind it. */
	assert_evicted(g, 0, "here");
	assert_evicted(g, 0, NULL);
	assert_false(gate_claim(g, p[0], (void *)p[0]));
	assert_evicted(g, 0, NULL);
	for (int i = 0; i < OF_ONE + 2; i++)
		gate_leave(g, p[i]);
	assert_int_equal(gate_count(g), 0);
	gate_free(g);
}

static void
claimed_too_late_it_is_not_told_again(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[OF_ONE + 1];

	(void)state;
	p[0] = enter(g, 1, 0, NULL);
	for (int i = 1; i <= OF_ONE; i++)
		p[i] = enter(g, 1, 0, "x");
	assert_false(gate_claim(g, p[0], (void *)p[0]));
	assert_evicted(g, 0, NULL);
	for (int i = 0; i <= OF_ONE; i++)
		gate_leave(g, p[i]);
	gate_free(g);
}

static void
while_too_many_are_still_to_go_busy_addresses_wait(void **state)
{
	enum { GOING = PLACES / 4 + 1 };
	struct gate_who busy = from(1), half = from(2), other = from(3);
	struct gate *g = gate();
	struct gate_place *p[OF_ONE + GOING + 3], *none;
	int n = 0;

	(void)state;
	p[n++] = enter(g, 2, 0, "half");
	p[n++] = enter(g, 2, 0, "half");
	for (int i = 0; i < OF_ONE + GOING; i++)
		p[n++] = enter(g, 1, 0, "busy");
	assert_int_equal(gate_enter(g, &busy, 0, now_ms, &none), GATE_FULL);
	assert_null(none);
	assert_int_equal(gate_enter(g, &half, 0, now_ms, &none), GATE_FULL);
	assert_int_equal(gate_enter(g, &other, 0, now_ms, &p[n]), GATE_IN);
	n++;
	/* Told is not gone. */
	assert_evicted(g, 0, "busy");
	assert_int_equal(gate_enter(g, &busy, 0, now_ms, &none), GATE_FULL);
	gate_leave(g, p[2]);
	p[2] = enter(g, 1, 0, "busy");
	for (int i = 0; i < n; i++)
		gate_leave(g, p[i]);
	assert_int_equal(gate_count(g), 0);
	gate_free(g);
}

static void
while_all_places_are_still_to_go_everybody_waits(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[2 * PLACES + 1], *none;
	struct gate_who other = from(100);
	int n = 0;

	(void)state;
	/* As many addresses as there are places, each with one, and as many again. */
	for (; n < 2 * PLACES + 1; n++)
		p[n] = enter(g, n + 1, 0, "x");
	assert_int_equal(gate_enter(g, &other, 0, now_ms, &none), GATE_FULL);
	gate_leave(g, p[0]);
	p[0] = enter(g, 100, 0, "y");
	for (int i = 0; i < n; i++)
		gate_leave(g, p[i]);
	gate_free(g);
}

static void
new_connections_of_one_address_have_a_rate(void **state)
{
	struct gate *g = gate();
	struct gate_who key = from(1), any = any_from(1);
	struct gate_place *p;

	(void)state;
	for (int i = 0; i < RATE; i++)
		gate_leave(g, enter(g, 1, 0, "x"));
	assert_int_equal(gate_enter(g, &key, 0, now_ms, &p), GATE_OFTEN);
	assert_null(p);
	assert_int_equal(gate_enter(g, &any, 0, now_ms, &p), GATE_IN);
	gate_leave(g, p);
	gate_leave(g, enter(g, 2, 0, "x"));
	now_ms += 10;
	gate_leave(g, enter(g, 1, 0, "x"));
	assert_int_equal(gate_enter(g, &key, 0, now_ms, &p), GATE_OFTEN);
	gate_free(g);
}

static void
one_that_moves_counts_where_it_went(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[OF_ONE + 2];
	struct gate_who proxy = any_from(9), key = from(1);

	(void)state;
	for (int i = 0; i <= OF_ONE + 1; i++) {
		assert_int_equal(gate_enter(g, &proxy, 0, now_ms, &p[i]), GATE_IN);
		assert_true(gate_claim(g, p[i], (void *)p[i]));
	}
	for (int i = 0; i < OF_ONE; i++)
		assert_int_equal(gate_move(g, p[i], &key, now_ms), GATE_IN);
	assert_int_equal(told[0], 0);
	assert_int_equal(gate_move(g, p[OF_ONE], &key, now_ms), GATE_IN);
	assert_ptr_equal(gate_evicted(g, 0), p[0]);
	/* To where it is already, and once it is to go: nothing happens. */
	assert_int_equal(gate_move(g, p[1], &key, now_ms), GATE_IN);
	assert_int_equal(gate_move(g, p[0], &proxy, now_ms), GATE_IN);
	assert_null(gate_evicted(g, 0));
	assert_int_equal(gate_count(g), OF_ONE + 2);
	for (int i = 0; i <= OF_ONE + 1; i++)
		gate_leave(g, p[i]);
	assert_int_equal(gate_count(g), 0);
	gate_free(g);
}

static void
one_that_moves_meets_the_rate_of_its_address(void **state)
{
	struct gate *g = gate();
	struct gate_place *p;
	struct gate_who proxy = any_from(9), key = from(1);

	(void)state;
	for (int i = 0; i <= RATE; i++) {
		assert_int_equal(gate_enter(g, &proxy, 0, now_ms, &p), GATE_IN);
		assert_int_equal(gate_move(g, p, &key, now_ms), i < RATE ? GATE_IN : GATE_OFTEN);
		gate_leave(g, p);
	}
	gate_free(g);
}

/* It learns of all that are to go when it is told of the next one, and is then told once. */
static void
a_worker_that_could_not_be_told_is_told_again(void **state)
{
	struct gate *g = gate();
	struct gate_place *p[OF_ONE + 3];

	(void)state;
	for (int i = 0; i < OF_ONE; i++)
		p[i] = enter(g, 1, 0, i == 0 ? "a" : i == 1 ? "b" : "c");
	deaf = 1;
	p[OF_ONE] = enter(g, 1, 0, "d");
	assert_int_equal(told[0], 1);
	p[OF_ONE + 1] = enter(g, 1, 0, "e");
	assert_int_equal(told[0], 2);
	/* This one waits for the same look. */
	p[OF_ONE + 2] = enter(g, 1, 0, "f");
	assert_int_equal(told[0], 2);
	assert_evicted(g, 0, "a");
	assert_evicted(g, 0, "b");
	assert_evicted(g, 0, "c");
	assert_evicted(g, 0, NULL);
	for (int i = 0; i < OF_ONE + 3; i++)
		gate_leave(g, p[i]);
	gate_free(g);
}

static void
without_memory_the_table_is_full(void **state)
{
	struct gate_who key = any_from(1), other = any_from(2);
	struct gate_place *p = NULL;
	struct gate *g = NULL;
	enum gate_answer r = GATE_FULL;
	long fail;

	(void)state;
	for (fail = 0; g == NULL; fail++) {
		mem_fail_after(fail);
		g = gate_new(&limits, N_WORKERS, on_evict, NULL);
		mem_fail_after(MEM_NO_FAIL);
	}
	for (fail = 0; r != GATE_IN; fail++) {
		mem_fail_after(fail);
		r = gate_enter(g, &key, 0, now_ms, &p);
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(gate_count(g), r == GATE_IN);
	}
	assert_true(fail > 2);
	for (r = GATE_FULL, fail = 0; r != GATE_IN; fail++) {
		mem_fail_after(fail);
		r = gate_move(g, p, &other, now_ms);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(r == GATE_IN || r == GATE_FULL);
	}
	assert_true(fail > 1);
	gate_leave(g, p);
	gate_free(g);
	gate_free(NULL);
}

static void
round_trip(void)
{
	a_place_is_taken_and_given_back(NULL);
	in_a_full_table_the_oldest_of_the_busiest_address_goes(NULL);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_is_taken_and_given_back),
		cmocka_unit_test(in_a_full_table_the_oldest_of_the_busiest_address_goes),
		cmocka_unit_test(an_address_that_has_all_it_may_have_loses_its_own_oldest),
		cmocka_unit_test(the_only_place_of_an_address_may_be_replaced),
		cmocka_unit_test(an_exempt_address_may_have_all_places),
		cmocka_unit_test(a_worker_is_told_once_until_it_has_looked),
		cmocka_unit_test(one_that_leaves_by_itself_is_not_told_to_go),
		cmocka_unit_test(one_that_is_on_its_way_learns_it_on_arrival),
		cmocka_unit_test(claimed_too_late_it_is_not_told_again),
		cmocka_unit_test(while_too_many_are_still_to_go_busy_addresses_wait),
		cmocka_unit_test(while_all_places_are_still_to_go_everybody_waits),
		cmocka_unit_test(new_connections_of_one_address_have_a_rate),
		cmocka_unit_test(one_that_moves_counts_where_it_went),
		cmocka_unit_test(one_that_moves_meets_the_rate_of_its_address),
		cmocka_unit_test(a_worker_that_could_not_be_told_is_told_again),
		cmocka_unit_test(without_memory_the_table_is_full),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
