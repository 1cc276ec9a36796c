/* SPDX-License-Identifier: ISC */
/*
 * watched_test - a file read again when it changes: what is put in force, what stays, and what is
 * not missed for want of threads.
 *
 * link: -Wl,--wrap=pthread_create,--wrap=timer_set
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/common/watched.h"
#include "lib/base/mem.h"
#include "test/unit/nothread.h"
#include "test/unit/turns.h"

/* A look every few milliseconds. */
void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms);

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	__real_timer_set(t, ms == WATCHED_MS ? 5 : ms);
}

static struct fix {
	struct loop *l;
	struct watched w;
	char path[64];
	/* What is in force, and how often that was told. */
	char *now;
	int n_used, n_ticks, n_dropped;
	atomic_int n_read;
} x;

static int
on_read(const char *path, void **out, struct errtext *e)
{
	char *text = NULL;
	size_t n;
	int r = file_read_all(path, 100, &text, &n, e);

	x.n_read++;
	if (r == 0 && text[0] == '!') {
		mem_free(text);
		return err_set(e, ERR_INVALID, "%s: wrong", path);
	}
	*out = text;
	return r;
}

static void
on_drop(void *what)
{
	x.n_dropped++;
	mem_free(what);
}

static void
on_use(void *arg, void *what)
{
	assert_ptr_equal(arg, &x);
	mem_free(x.now);
	x.now = what;
	x.n_used++;
}

static void
on_tick(void *arg)
{
	assert_ptr_equal(arg, &x);
	x.n_ticks++;
}

static void
file_says(const char *text)
{
	assert_int_equal(file_write_atomic(x.path, text, strlen(text), 0600, NULL), 0);
}

static int
begin(void)
{
	const struct watched_user user = {
		.path = x.path,
		.read = on_read,
		.drop = on_drop,
		.use = on_use,
		.tick = on_tick,
		.arg = &x,
	};
	struct errtext e;

	return watched_init(&x.w, x.l, &user, &e);
}

static int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .l = loop_new() };
	assert_non_null(x.l);
	snprintf(x.path, sizeof x.path, "/tmp/watched_test.%d", (int)getpid());
	file_says("one");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	no_thread = false;
	watched_fini(&x.w);
	loop_free(x.l);
	mem_free(x.now);
	unlink(x.path);
	return 0;
}

static bool
is_two(void *arg)
{
	(void)arg;
	return strcmp(x.now, "two") == 0;
}

static bool
has_looked(void *arg)
{
	return x.n_ticks >= *(int *)arg && !x.w.reading.busy;
}

static void
looks(int n)
{
	int until = x.n_ticks + n;

	assert_true(turns_until(x.l, has_looked, &until));
}

static void
it_is_read_at_once_and_when_it_changes(void **state)
{
	(void)state;
	assert_int_equal(begin(), 0);
	assert_string_equal(x.now, "one");
	looks(5);
	assert_int_equal(x.n_used, 1);
	assert_int_equal(x.n_read, 1);
	file_says("two");
	assert_true(turns_until(x.l, is_two, NULL));
	looks(5);
	assert_int_equal(x.n_used, 2);
	assert_int_equal(x.n_dropped, 0);
}

static void
one_that_is_wrong_from_the_start_is_told(void **state)
{
	(void)state;
	file_says("!");
	assert_int_equal(begin(), ERR_INVALID);
	assert_int_equal(x.n_used, 0);
}

static void
one_that_is_wrong_changes_nothing_and_is_read_once(void **state)
{
	(void)state;
	assert_int_equal(begin(), 0);
	file_says("!");
	looks(10);
	assert_string_equal(x.now, "one");
	assert_int_equal(x.n_read, 2);
	unlink(x.path);
	looks(10);
	assert_string_equal(x.now, "one");
	file_says("two");
	assert_true(turns_until(x.l, is_two, NULL));
}

static bool
used_twice(void *arg)
{
	(void)arg;
	return x.n_used >= 2;
}

static void
it_is_read_when_that_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(begin(), 0);
	watched_reread(&x.w);
	watched_reread(&x.w);
	assert_true(turns_until(x.l, used_twice, NULL));
	looks(5);
	/* The second was asked for while the first was under way. */
	assert_in_range(x.n_used, 2, 3);
}

static void
without_a_thread_it_is_tried_again(void **state)
{
	(void)state;
	assert_int_equal(begin(), 0);
	file_says("two");
	no_thread = true;
	watched_reread(&x.w);
	looks(3);
	assert_string_equal(x.now, "one");
	no_thread = false;
	assert_true(turns_until(x.l, is_two, NULL));
}

static bool
has_ticked(void *arg)
{
	return x.n_ticks >= *(int *)arg;
}

/* A FIFO that nobody writes to: the loop goes on, and the end does not wait. */
static void
one_that_never_answers_holds_nothing_up(void **state)
{
	(void)state;
	assert_int_equal(begin(), 0);
	unlink(x.path);
	assert_int_equal(mkfifo(x.path, 0600), 0);
	watched_reread(&x.w);
	assert_true(turns_until(x.l, has_ticked, &(int){ x.n_ticks + 5 }));
	assert_true(x.w.reading.busy);
	watched_fini(&x.w);
	x.w = (struct watched){ 0 };
}

static void
what_was_read_and_is_not_used_goes_at_the_end(void **state)
{
	(void)state;
	assert_int_equal(begin(), 0);
	watched_reread(&x.w);
	while (x.n_read < 2)
		usleep(1000);
	watched_fini(&x.w);
	assert_int_equal(x.n_used, 1);
	assert_int_equal(x.n_dropped, 1);
	x.w = (struct watched){ .fresh = NULL };
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_read_at_once_and_when_it_changes),
		T(one_that_is_wrong_from_the_start_is_told),
		T(one_that_is_wrong_changes_nothing_and_is_read_once),
		T(it_is_read_when_that_is_asked_for),
		T(without_a_thread_it_is_tried_again),
		T(one_that_never_answers_holds_nothing_up),
		T(what_was_read_and_is_not_used_goes_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
