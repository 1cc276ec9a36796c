/* SPDX-License-Identifier: ISC */
/* dialect - paths and the dialects they belong to. */
#include "proto/dialect/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
the_native_dialect_has_two_paths(void **state)
{
	(void)state;
	assert_ptr_equal(dialect_find(dialects_all, "/", NULL, 0), &dialect_native);
	assert_ptr_equal(dialect_find(dialects_all, "/tunnel", NULL, 0), &dialect_native);
	assert_ptr_equal(dialect_find(dialects_all, "/tunnel?x=/other", NULL, 0), &dialect_native);
}

static void
paths_match_exactly(void **state)
{
	(void)state;
	assert_null(dialect_find(dialects_all, "/tunnel/", NULL, 0));
	assert_null(dialect_find(dialects_all, "/tunne", NULL, 0));
	assert_null(dialect_find(dialects_all, "//", NULL, 0));
	assert_null(dialect_find(dialects_all, "", NULL, 0));
	assert_null(dialect_find(dialects_all, "*", NULL, 0));
}

static void
configured_paths_stand_for_the_native_ones(void **state)
{
	char one[] = "/secret-door", two[] = "/x";
	char *const paths[] = { one, two };

	(void)state;
	assert_ptr_equal(dialect_find(dialects_all, "/secret-door", paths, 2), &dialect_native);
	assert_ptr_equal(dialect_find(dialects_all, "/x?", paths, 2), &dialect_native);
	assert_null(dialect_find(dialects_all, "/", paths, 2));
	assert_null(dialect_find(dialects_all, "/tunnel", paths, 2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_native_dialect_has_two_paths),
		cmocka_unit_test(paths_match_exactly),
		cmocka_unit_test(configured_paths_stand_for_the_native_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
