/* SPDX-License-Identifier: ISC */
/* mem_test - checked sizes, and failures on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"

static void
zeroed_memory_is_zero(void **state)
{
	unsigned char *p = mem_array(100, 10);
	size_t i;

	(void)state;
	assert_non_null(p);
	for (i = 0; i < 1000; i++)
		assert_int_equal(p[i], 0);
	mem_free(p);
	mem_free(NULL);
}

static void
an_overflowing_size_is_refused(void **state)
{
	void *p = mem_alloc(1);

	(void)state;
	assert_null(mem_array(SIZE_MAX / 2, 3));
	assert_null(mem_resize(p, SIZE_MAX / 2, 3));
	mem_free(p);
}

static void
nothing_at_all_is_still_memory(void **state)
{
	void *p = mem_alloc(0), *q = mem_zalloc(0), *r = mem_array(0, 8),
	     *s = mem_resize(NULL, 0, 1);

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	assert_non_null(r);
	assert_non_null(s);
	mem_free(p);
	mem_free(q);
	mem_free(r);
	mem_free(s);
}

static void
copies_are_equal(void **state)
{
	char *s = mem_strdup("abc"), *p = mem_dup("a\0b", 3);

	(void)state;
	assert_string_equal(s, "abc");
	assert_memory_equal(p, "a\0b", 3);
	mem_free(s);
	mem_free(p);
}

static void
the_chosen_allocation_fails_and_only_that(void **state)
{
	void *a, *b, *c;
	uint64_t before = mem_count();

	(void)state;
	mem_fail_after(1);
	a = mem_alloc(8);
	b = mem_alloc(8);
	c = mem_alloc(8);
	assert_non_null(a);
	assert_null(b);
	assert_non_null(c);
	assert_int_equal(mem_count() - before, 3);
	mem_fail_after(MEM_NO_FAIL);
	mem_free(a);
	mem_free(c);
}

static void
a_failed_resize_leaves_the_old_block(void **state)
{
	char *p = mem_strdup("kept");

	(void)state;
	mem_fail_after(0);
	assert_null(mem_resize(p, 1000, 1));
	assert_string_equal(p, "kept");
	mem_free(p);
}

static void
wiped_memory_is_zero(void **state)
{
	char b[5] = "abcd";

	(void)state;
	mem_wipe(b, sizeof(b));
	assert_memory_equal(b, "\0\0\0\0\0", 5);
	mem_wipe(NULL, 0);
}

static void
what_is_freed_is_counted(void **state)
{
	uint64_t before = mem_freed();

	(void)state;
	mem_free(NULL);
	assert_true(mem_freed() == before);
	mem_free(mem_alloc(100000));
	assert_in_range(mem_freed() - before, 100000, 110000);
}

/* At start-up there is no way on without memory. */
static void
what_must_be_had_is_zero_or_the_end(void **state)
{
	static const char zero[64];
	char *p = mem_must_zalloc(sizeof zero);
	int status;
	pid_t pid;

	(void)state;
	assert_memory_equal(p, zero, sizeof zero);
	mem_free(p);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		mem_fail_after(0);
		mem_free(mem_must_zalloc(1));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_memory_is_zero),
		cmocka_unit_test(an_overflowing_size_is_refused),
		cmocka_unit_test(nothing_at_all_is_still_memory),
		cmocka_unit_test(copies_are_equal),
		cmocka_unit_test(the_chosen_allocation_fails_and_only_that),
		cmocka_unit_test(a_failed_resize_leaves_the_old_block),
		cmocka_unit_test(what_is_freed_is_counted),
		cmocka_unit_test(wiped_memory_is_zero),
		cmocka_unit_test(what_must_be_had_is_zero_or_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
