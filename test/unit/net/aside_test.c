/* SPDX-License-Identifier: ISC */
/*
 * aside_test - work in a thread beside a loop: who is told, and what becomes of it at the end.
 *
 * link: -Wl,--wrap=pthread_create
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/net/aside.h"
#include "test/unit/nothread.h"
#include "test/unit/turns.h"

static struct fix {
	struct loop *l;
	struct aside a;
	pthread_t worker;
	/* Where the work waits, as long as it is open; -1: nowhere. */
	int in, out;
	atomic_int n_work;
	int n_done, again;
} x;

static void
work(void *arg)
{
	char c;
	int old;

	assert_ptr_equal(arg, &x);
	x.worker = pthread_self();
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	if (x.in >= 0)
		IGNORE_RESULT(read(x.in, &c, 1));
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	x.n_work += old == PTHREAD_CANCEL_DISABLE ? 1 : 100;
}

static void
done(void *arg)
{
	assert_ptr_equal(arg, &x);
	assert_false(aside_is_busy(&x.a));
	x.n_done++;
	if (x.again > 0) {
		x.again--;
		assert_int_equal(aside_start(&x.a), 0);
	}
}

static int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .l = loop_new(), .in = -1, .out = -1 };
	aside_init(&x.a, x.l, work, done, &x);
	return x.l == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	aside_fini(&x.a);
	loop_free(x.l);
	close(x.in);
	close(x.out);
	return 0;
}

static void
it_waits(void)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	x.in = p[0];
	x.out = p[1];
}

static bool
is_done(void *arg)
{
	return x.n_done >= *(int *)arg;
}

static void
the_loop_is_told_each_time(void **state)
{
	(void)state;
	x.again = 2;
	assert_false(aside_is_busy(&x.a));
	assert_int_equal(aside_start(&x.a), 0);
	assert_true(aside_is_busy(&x.a));
	assert_true(turns_until(x.l, is_done, &(int){ 3 }));
	assert_int_equal(x.n_work, 3);
	assert_false(aside_is_busy(&x.a));
	assert_false(pthread_equal(x.worker, pthread_self()));
	turns_some(x.l, 3);
	assert_int_equal(x.n_done, 3);
}

static void
the_loop_goes_on_meanwhile(void **state)
{
	(void)state;
	it_waits();
	assert_int_equal(aside_start(&x.a), 0);
	turns_some(x.l, 10);
	assert_true(aside_is_busy(&x.a));
	assert_int_equal(x.n_done, 0);
	assert_int_equal(write(x.out, "", 1), 1);
	assert_true(turns_until(x.l, is_done, &(int){ 1 }));
}

static void
one_that_waits_for_ever_is_ended(void **state)
{
	(void)state;
	it_waits();
	assert_int_equal(aside_start(&x.a), 0);
	aside_fini(&x.a);
	assert_false(aside_is_busy(&x.a));
	turns_some(x.l, 3);
	assert_int_equal(x.n_work, 0);
	assert_int_equal(x.n_done, 0);
}

/* It has been done, and its message waits in the loop, which must not touch it any more. */
static void
one_that_is_over_is_not_told_of_after_the_end(void **state)
{
	(void)state;
	assert_int_equal(aside_start(&x.a), 0);
	while (x.n_work == 0)
		usleep(1000);
	aside_fini(&x.a);
	memset(&x.a, 0xff, sizeof x.a);
	turns_some(x.l, 3);
	assert_int_equal(x.n_done, 0);
	memset(&x.a, 0, sizeof x.a);
}

static void
without_a_thread_nothing_is_done(void **state)
{
	(void)state;
	no_thread = true;
	errno = 0;
	assert_int_equal(aside_start(&x.a), ERR_SYS);
	no_thread = false;
	assert_int_equal(errno, EAGAIN);
	assert_false(aside_is_busy(&x.a));
	assert_int_equal(aside_start(&x.a), 0);
	assert_true(turns_until(x.l, is_done, &(int){ 1 }));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_loop_is_told_each_time),
		T(the_loop_goes_on_meanwhile),
		T(one_that_waits_for_ever_is_ended),
		T(one_that_is_over_is_not_told_of_after_the_end),
		T(without_a_thread_nothing_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
