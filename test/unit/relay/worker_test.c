/* SPDX-License-Identifier: ISC */
/* worker_test - the relay's threads: all run, all are told, all end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/relaytest.h"
#include "test/unit/turns.h"

enum { WORKERS = 3 };

static atomic_int told[WORKERS];
static pthread_t where[WORKERS];

static void
on_told(void *arg)
{
	struct worker *w = arg;

	where[w->index] = pthread_self();
	atomic_fetch_add(&told[w->index], 1);
}

static bool
all_told(void *arg)
{
	(void)arg;
	for (int i = 0; i < WORKERS; i++)
		if (atomic_load(&told[i]) == 0)
			return false;
	return true;
}

static void
each_worker_is_told_once_in_its_own_thread(void **state)
{
	struct relay r;

	(void)state;
	relaytest_init(&r, WORKERS);
	assert_int_equal(r.n_workers, WORKERS);
	assert_int_equal(workers_start(&r, NULL), 0);
	assert_false(r.workers[0].started);
	workers_each(&r, on_told);
	assert_int_equal(atomic_load(&told[0]), 1);
	assert_true(turns_until(r.workers[0].loop, all_told, NULL));
	workers_stop(&r);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(atomic_load(&told[i]), 1);
		assert_true((pthread_equal(where[i], pthread_self()) != 0) == (i == 0));
		for (int j = 0; j < i; j++)
			assert_false(pthread_equal(where[i], where[j]));
	}
	relaytest_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_worker_is_told_once_in_its_own_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
