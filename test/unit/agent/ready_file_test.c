/* SPDX-License-Identifier: ISC */
/*
 * ready_file_test - the agent's ready file, written beside the loop: what it says in the end, and
 * what happens when it cannot be written.
 *
 * link: -Wl,--wrap=pthread_create
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/agent/ready_file.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "test/unit/heardlog.h"
#include "test/unit/nothread.h"
#include "test/unit/subcommand.h"
#include "test/unit/turns.h"

static struct fix {
	struct loop *l;
	struct ready_file rf;
	char dir[64], path[96];
	int n_failed;
} x;

static void
on_failed(void *arg)
{
	assert_ptr_equal(arg, &x);
	x.n_failed++;
}

static int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .l = loop_new(), .dir = "/tmp/ready_file_test.XXXXXX" };
	if (x.l == NULL || mkdtemp(x.dir) == NULL)
		return -1;
	snprintf(x.path, sizeof x.path, "%s/ready", x.dir);
	ready_file_begin(&x.rf, x.path);
	ready_file_init(&x.rf, x.l, on_failed, &x);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ready_file_end(&x.rf);
	loop_free(x.l);
	return rmdir(x.dir);
}

static void
say(const char *text)
{
	char *json = mem_strdup(text);

	assert_non_null(json);
	ready_file_say(&x.rf, json);
}

static bool
it_says(void *arg)
{
	const char *text = subcommand_text(x.path);

	return text != NULL && strcmp(text, arg) == 0 && !aside_is_busy(&x.rf.writing);
}

static bool
is_idle(void *arg)
{
	(void)arg;
	return !aside_is_busy(&x.rf.writing);
}

static ino_t
inode(void)
{
	struct stat st;

	assert_int_equal(stat(x.path, &st), 0);
	return st.st_ino;
}

static void
it_says_the_latest(void **state)
{
	ino_t before;

	(void)state;
	assert_true(ready_file_is_wanted(&x.rf));
	assert_false(ready_file_is_said(&x.rf));
	say("1");
	assert_true(ready_file_is_said(&x.rf));
	/* While the first is being written: the second is not any more. */
	say("2");
	say("3");
	assert_true(turns_until(x.l, it_says, "3\n"));
	assert_true(ready_file_is_said(&x.rf));
	/* Nothing new: it is not written again. */
	before = inode();
	say("3");
	assert_false(aside_is_busy(&x.rf.writing));
	assert_int_equal(inode(), before);
	say("4");
	assert_true(aside_is_busy(&x.rf.writing));
	say("4");
	assert_null(x.rf.next);
	assert_true(turns_until(x.l, it_says, "4\n"));
	assert_int_equal(x.n_failed, 0);
	ready_file_end(&x.rf);
	assert_int_not_equal(access(x.path, F_OK), 0);
}

/* What is being written at the end does not stay. */
static void
at_the_end_it_is_not_there(void **state)
{
	(void)state;
	say("1");
	say("2");
	ready_file_end(&x.rf);
	assert_int_not_equal(access(x.path, F_OK), 0);
	/* And no more is written. */
	turns_some(x.l, 3);
	assert_int_not_equal(access(x.path, F_OK), 0);
}

static void
none_may_be_wanted(void **state)
{
	(void)state;
	ready_file_begin(&x.rf, NULL);
	assert_false(ready_file_is_wanted(&x.rf));
}

static void
only_the_first_failure_is_an_end(void **state)
{
	const char *text;

	(void)state;
	heardlog_begin(LOG_LEVEL_ERROR);
	ready_file_begin(&x.rf, "/nonexistent/x");
	ready_file_init(&x.rf, x.l, on_failed, &x);
	say("1");
	assert_true(turns_until(x.l, is_idle, NULL));
	assert_int_equal(x.n_failed, 1);
	assert_false(ready_file_is_said(&x.rf));
	ready_file_say(&x.rf, NULL);
	assert_int_equal(x.n_failed, 2);
	ready_file_begin(&x.rf, x.path);
	ready_file_init(&x.rf, x.l, on_failed, &x);
	say("2");
	assert_true(turns_until(x.l, it_says, "2\n"));
	x.rf.file.path = "/nonexistent/y";
	say("3");
	assert_true(turns_until(x.l, is_idle, NULL));
	ready_file_say(&x.rf, NULL);
	/* It is tried again when it is said again. */
	x.rf.file.path = x.path;
	say("3");
	assert_true(turns_until(x.l, it_says, "3\n"));
	assert_int_equal(x.n_failed, 2);
	text = heardlog_end();
	assert_non_null(strstr(text, "beside /nonexistent/x"));
	assert_non_null(strstr(text, "beside /nonexistent/y"));
	assert_non_null(strstr(text, "--ready-file: out of memory"));
}

static void
without_a_thread_it_is_not_written(void **state)
{
	(void)state;
	heardlog_begin(LOG_LEVEL_ERROR);
	no_thread = true;
	say("1");
	no_thread = false;
	assert_int_equal(x.n_failed, 1);
	assert_non_null(strstr(heardlog_end(), "--ready-file: no thread to write it: "));
	assert_false(ready_file_is_said(&x.rf));
	say("1");
	assert_true(turns_until(x.l, it_says, "1\n"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_says_the_latest),
		T(at_the_end_it_is_not_there),
		T(none_may_be_wanted),
		T(only_the_first_failure_is_an_end),
		T(without_a_thread_it_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
