/* SPDX-License-Identifier: ISC */
/*
 * reread_test - a configuration file read again beside the loop: what is told, and what is asked
 * for meanwhile.
 *
 * link: -Wl,--wrap=pthread_create
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/agent/reread.h"
#include "lib/base/file.h"
#include "test/unit/nothread.h"
#include "test/unit/turns.h"

struct target {
	char *name;
	struct opt_list list;
};

static const struct opt_row rows[] = {
	{ .name = "name", .kind = OPT_STRING, .off = offsetof(struct target, name) },
	{ .name = "list", .kind = OPT_LIST, .off = offsetof(struct target, list) },
};

static const struct opt_spec spec = {
	.prog = "tunnel test", .synopsis = "", .about = "", .rows = rows, .n_rows = 2
};

static struct fix {
	struct loop *l;
	struct reread rl;
	struct target began, fresh;
	struct opt_result from;
	char path[64];
	/* What was told: how often, and last. */
	int n, r;
	char name[16], names[128], why[ERR_TEXT_MAX];
} x;

static int
on_prepare(void *arg, const struct opt_result *now, struct errtext *why)
{
	(void)arg; /* the file is all there is */
	(void)now;
	(void)why;
	return 0;
}

static void
on_done(void *arg, const struct opt_result *now, int r, const char *why)
{
	assert_ptr_equal(arg, &x);
	x.n++;
	x.r = r;
	snprintf(x.why, sizeof x.why, "%s", why);
	snprintf(x.name, sizeof x.name, "%s", x.fresh.name != NULL ? x.fresh.name : "");
	snprintf(x.names + strlen(x.names), sizeof x.names - strlen(x.names), "%s ", x.name);
	if (r == 0)
		assert_true(opt_is_files(&spec, now, "name"));
}

static void
file_says(const char *text)
{
	assert_int_equal(file_write_atomic(x.path, text, strlen(text), 0600, NULL), 0);
}

static int
setup(void **state)
{
	char *argv[] = { "test", NULL };
	struct errtext e;

	(void)state;
	memset(&x, 0, sizeof x);
	x.l = loop_new();
	snprintf(x.path, sizeof x.path, "/tmp/reread_test.%d", (int)getpid());
	unlink(x.path);
	assert_int_equal(opt_parse(&spec, 1, argv, &x.began, &x.from, &e), 0);
	reread_init(&x.rl, x.l,
	    &(struct reread_user){ .spec = &spec,
		.before = &x.from,
		.path = x.path,
		.fresh = &x.fresh,
		.size = sizeof x.fresh,
		.prepare = on_prepare,
		.done = on_done,
		.arg = &x });
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	no_thread = false;
	reread_fini(&x.rl);
	loop_free(x.l);
	opt_fini(&spec, &x.began, &x.from);
	unlink(x.path);
	return 0;
}

static bool
is_told(void *arg)
{
	return x.n >= *(int *)arg;
}

static void
told(int n)
{
	assert_true(turns_until(x.l, is_told, &n));
}

static void
what_the_file_says_is_told(void **state)
{
	(void)state;
	file_says("{\"name\":\"one\",\"list\":[\"a\",\"b\"]}");
	reread_start(&x.rl);
	assert_int_equal(x.n, 0);
	told(1);
	assert_int_equal(x.r, 0);
	assert_string_equal(x.name, "one");
	/* Nothing is kept of it. */
	assert_null(x.fresh.name);
	assert_int_equal(x.fresh.list.n, 0);
	file_says("{}");
	reread_start(&x.rl);
	told(2);
	assert_int_equal(x.r, 0);
	assert_string_equal(x.name, "");
}

static void
a_mistake_is_told(void **state)
{
	(void)state;
	file_says("{\"name\":\"one\",\"nam\":1}");
	reread_start(&x.rl);
	told(1);
	assert_int_equal(x.r, ERR_INVALID);
	assert_non_null(strstr(x.why, "did you mean \"name\"?"));
	unlink(x.path);
	reread_start(&x.rl);
	told(2);
	assert_non_null(strstr(x.why, "cannot open"));
	assert_null(x.fresh.name);
}

/* The file is a FIFO that nobody writes to yet. */
static int
slow_file(void)
{
	int fd;

	assert_int_equal(mkfifo(x.path, 0600), 0);
	reread_start(&x.rl);
	fd = open(x.path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void
what_is_asked_for_meanwhile_is_done_once_more(void **state)
{
	int fd = slow_file();

	(void)state;
	reread_start(&x.rl);
	reread_start(&x.rl);
	unlink(x.path);
	file_says("{\"name\":\"later\"}");
	assert_int_equal(x.n, 0);
	assert_int_equal(write(fd, "{\"name\":\"slow\"}", 15), 15);
	close(fd);
	told(2);
	assert_string_equal(x.names, "slow later ");
	/* However often it was asked for. */
	reread_start(&x.rl);
	told(3);
	assert_string_equal(x.names, "slow later later ");
}

static void
one_that_reads_for_ever_is_ended(void **state)
{
	int fd = slow_file();

	(void)state;
	reread_fini(&x.rl);
	close(fd);
	assert_int_equal(x.n, 0);
}

static void
without_a_thread_that_is_told(void **state)
{
	(void)state;
	no_thread = true;
	file_says("{\"name\":\"one\"}");
	reread_start(&x.rl);
	assert_int_equal(x.n, 1);
	assert_int_equal(x.r, ERR_SYS);
	assert_non_null(strstr(x.why, "no thread to read it: Resource temporarily"));
	no_thread = false;
	reread_start(&x.rl);
	told(2);
	assert_string_equal(x.name, "one");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_file_says_is_told),
		TEST(a_mistake_is_told),
		TEST(what_is_asked_for_meanwhile_is_done_once_more),
		TEST(one_that_reads_for_ever_is_ended),
		TEST(without_a_thread_that_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
