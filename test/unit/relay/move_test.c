/* SPDX-License-Identifier: ISC */
/*
 * move_test - from one worker to another: left between callbacks, arrived in the other loop, lost
 * where that cannot be, cancelled before.
 *
 * link: -Wl,--wrap=loop_post
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/relay/move.h"
#include "test/unit/nopost.h"
#include "test/unit/relaytest.h"

static struct relay r;
static struct move m;
/* What the mover was told, and about which worker. */
static int n_left, n_arrived, n_lost;
static struct worker *at;

static void
on_leave(void *arg)
{
	assert_ptr_equal(arg, &m);
	n_left++;
}

static void
on_arrive(void *arg, struct worker *w)
{
	assert_ptr_equal(arg, &m);
	n_arrived++;
	at = w;
}

static void
on_lost(void *arg, struct worker *w)
{
	assert_ptr_equal(arg, &m);
	n_lost++;
	at = w;
}

static const struct move_user user = { .leave = on_leave, .arrive = on_arrive, .lost = on_lost };

static int
setup(void **state)
{
	(void)state;
	relaytest_init(&r, 2);
	n_left = n_arrived = n_lost = 0;
	no_post = false;
	at = NULL;
	move_init(&m, &user, &m);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	relaytest_fini(&r);
	return 0;
}

static void
it_leaves_when_the_callbacks_are_done_and_arrives_over_there(void **state)
{
	(void)state;
	move_start(&m, &r.workers[0], &r.workers[1]);
	assert_int_equal(n_left, 0);
	loop_settle(r.workers[0].loop);
	assert_int_equal(n_left, 1);
	assert_int_equal(n_arrived, 0);
	relaytest_settle(&r);
	assert_int_equal(n_arrived, 1);
	assert_ptr_equal(at, &r.workers[1]);
	assert_int_equal(n_lost, 0);
	/* And back. */
	move_start(&m, &r.workers[1], &r.workers[0]);
	relaytest_settle(&r);
	assert_int_equal(n_left, 2);
	assert_int_equal(n_arrived, 2);
	assert_ptr_equal(at, &r.workers[0]);
}

static void
without_memory_for_the_message_it_is_lost_where_it_was(void **state)
{
	(void)state;
	no_post = true;
	move_start(&m, &r.workers[0], &r.workers[1]);
	loop_settle(r.workers[0].loop);
	assert_int_equal(n_left, 1);
	assert_int_equal(n_lost, 1);
	assert_ptr_equal(at, &r.workers[0]);
	no_post = false;
	relaytest_settle(&r);
	assert_int_equal(n_arrived, 0);
}

static void
a_loop_that_goes_loses_who_is_on_the_way_there(void **state)
{
	(void)state;
	move_start(&m, &r.workers[0], &r.workers[1]);
	loop_settle(r.workers[0].loop);
	loop_free(r.workers[1].loop);
	r.workers[1].loop = loop_new();
	assert_int_equal(n_arrived, 0);
	assert_int_equal(n_lost, 1);
	assert_ptr_equal(at, &r.workers[1]);
}

static void
who_has_not_left_yet_may_stay(void **state)
{
	(void)state;
	move_cancel(&m);
	move_start(&m, &r.workers[0], &r.workers[1]);
	move_cancel(&m);
	/* Of nobody any more. */
	assert_null(m.from);
	move_cancel(&m);
	relaytest_settle(&r);
	assert_int_equal(n_left + n_arrived + n_lost, 0);
	/* It may try again. */
	move_start(&m, &r.workers[0], &r.workers[1]);
	relaytest_settle(&r);
	assert_int_equal(n_arrived, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_leaves_when_the_callbacks_are_done_and_arrives_over_there),
		T(without_memory_for_the_message_it_is_lost_where_it_was),
		T(a_loop_that_goes_loses_who_is_on_the_way_there),
		T(who_has_not_left_yet_may_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
