/* SPDX-License-Identifier: ISC */
/*
 * worker_test - the relay's threads: all run, all are told, all end; and what of them cannot begin.
 *
 * link: -Wl,--wrap=loop_new,--wrap=loop_post,--wrap=loop_run,--wrap=pthread_create
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test/unit/heap.h"
#include "test/unit/heardlog.h"
#include "test/unit/relaytest.h"
#include "test/unit/turns.h"

enum { WORKERS = 3 };

struct loop *__wrap_loop_new(void);
struct loop *__real_loop_new(void);
int __wrap_loop_post(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);
int __real_loop_post(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);
int __wrap_loop_run(struct loop *l);
int __real_loop_run(struct loop *l);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *arg), void *arg);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *arg), void *arg);

/* So many can be made before one fails; negative: all.  Which loop takes no message, cannot run. */
static int loops_max = -1, threads_max = -1;
static struct loop *deaf, *lame;

struct loop *
__wrap_loop_new(void)
{
	if (loops_max == 0) {
		errno = EMFILE;
		return NULL;
	}
	loops_max--;
	return __real_loop_new();
}

int
__wrap_loop_post(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
	return l == deaf ? ERR_NOMEM : __real_loop_post(l, fn, drop, arg);
}

int
__wrap_loop_run(struct loop *l)
{
	errno = EBADF;
	return l == lame ? ERR_SYS : __real_loop_run(l);
}

int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *arg), void *arg)
{
	if (threads_max == 0)
		return EAGAIN;
	threads_max--;
	return __real_pthread_create(t, a, fn, arg);
}

static atomic_int told[WORKERS];
static pthread_t where[WORKERS];
/* Is SIGTERM kept from the thread? */
static bool deaf_to_term[WORKERS];

static int
setup(void **state)
{
	(void)state;
	loops_max = threads_max = -1;
	deaf = lame = NULL;
	for (int i = 0; i < WORKERS; i++)
		atomic_store(&told[i], 0);
	return 0;
}

static bool
blocks_term(void)
{
	sigset_t now;

	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	return sigismember(&now, SIGTERM) && sigismember(&now, SIGHUP) && sigismember(&now, SIGINT);
}

static void
on_told(void *arg)
{
	struct worker *w = arg;

	where[w->index] = pthread_self();
	deaf_to_term[w->index] = blocks_term();
	log_info("told");
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
	const char *log;

	(void)state;
	heardlog_begin(LOG_LEVEL_INFO);
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
		/* Signals are the main thread's, which has its own as before. */
		assert_int_equal(deaf_to_term[i], i != 0);
	}
	assert_false(blocks_term());
	relaytest_fini(&r);
	/* Each one's lines bear its name. */
	log = heardlog_end();
	assert_non_null(strstr(log, "w1"));
	assert_non_null(strstr(log, "w2"));
	assert_null(strstr(log, "w3"));
}

static void
one_worker_needs_no_thread(void **state)
{
	struct relay r;

	(void)state;
	relaytest_init(&r, 1);
	threads_max = 0;
	assert_int_equal(workers_start(&r, NULL), 0);
	workers_each(&r, on_told);
	assert_int_equal(atomic_load(&told[0]), 1);
	workers_stop(&r);
	relaytest_fini(&r);
}

static void
a_worker_that_is_not_told_keeps_nothing_from_the_others(void **state)
{
	struct relay r;

	(void)state;
	relaytest_init(&r, WORKERS);
	assert_int_equal(workers_start(&r, NULL), 0);
	deaf = r.workers[1].loop;
	workers_each(&r, on_told);
	atomic_fetch_add(&told[1], 1);
	assert_true(turns_until(r.workers[0].loop, all_told, NULL));
	workers_stop(&r);
	assert_int_equal(atomic_load(&told[1]), 1);
	relaytest_fini(&r);
}

static void
what_a_worker_held_ends_with_it(void **state)
{
	struct fake_session *f[WORKERS];
	struct relay r;

	(void)state;
	relaytest_init(&r, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		f[i] = relaytest_peer(&r, i, NULL);
	assert_int_equal(workers_start(&r, NULL), 0);
	workers_stop(&r);
	assert_true(f[1]->freed && f[2]->freed);
	/* That of worker 0 is the caller's. */
	assert_false(f[0]->freed);
	worker_drop_all(&r.workers[0]);
	loop_settle(r.workers[0].loop);
	assert_true(f[0]->freed);
	relaytest_fini(&r);
}

static void
a_loop_that_fails_ends_its_worker_and_is_told(void **state)
{
	struct fake_session *f;
	struct relay r;
	const char *log;

	(void)state;
	heardlog_begin(LOG_LEVEL_INFO);
	relaytest_init(&r, WORKERS);
	f = relaytest_peer(&r, 2, NULL);
	lame = r.workers[2].loop;
	assert_int_equal(workers_start(&r, NULL), 0);
	workers_stop(&r);
	assert_true(f->freed);
	relaytest_fini(&r);
	log = heardlog_end();
	assert_non_null(strstr(log, "worker 2: the event loop failed"));
	assert_null(strstr(log, "worker 1"));
}

static void
without_a_loop_there_are_no_workers(void **state)
{
	(void)state;
	for (int n = 0; n < WORKERS; n++) {
		struct relay r = { .n_workers = 99 };
		struct errtext why = { "" };
		char words[64];

		loops_max = n;
		assert_int_equal(workers_init(&r, WORKERS, &why), ERR_SYS);
		snprintf(words, sizeof words, "event loop of worker %d", n);
		assert_non_null(strstr(why.s, words));
		assert_non_null(strstr(why.s, strerror(EMFILE)));
		assert_int_equal(r.n_workers, n);
		workers_fini(&r);
	}
}

static void
without_a_thread_those_that_run_are_ended(void **state)
{
	(void)state;
	for (int n = 0; n < WORKERS - 1; n++) {
		struct errtext why = { "" };
		struct relay r;

		relaytest_init(&r, WORKERS);
		threads_max = n;
		assert_int_equal(workers_start(&r, &why), ERR_SYS);
		assert_non_null(strstr(why.s, strerror(EAGAIN)));
		for (int i = 0; i < WORKERS; i++)
			assert_int_equal(r.workers[i].started, i > 0 && i <= n);
		assert_false(blocks_term());
		workers_stop(&r);
		relaytest_fini(&r);
	}
}

static void
round_trip(void)
{
	struct relay r;

	relaytest_init(&r, 2);
	/* Without threads, whose heaps are their own. */
	relaytest_peer(&r, 1, NULL);
	relaytest_fini(&r);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_worker_is_told_once_in_its_own_thread),
		T(one_worker_needs_no_thread),
		T(a_worker_that_is_not_told_keeps_nothing_from_the_others),
		T(what_a_worker_held_ends_with_it),
		T(a_loop_that_fails_ends_its_worker_and_is_told),
		T(without_a_loop_there_are_no_workers),
		T(without_a_thread_those_that_run_are_ended),
		T(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
