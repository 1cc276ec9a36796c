/* SPDX-License-Identifier: ISC */
/* argv_test - secrets vanish from argv, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/argv.h"

static void
both_forms_are_overwritten(void **state)
{
	char prog[] = "tunnel", one[] = "--secret", two[] = "hunter2", three[] = "--secret=hunter2",
	     four[] = "--secret-file", five[] = "kept";
	char *argv[] = { prog, one, two, three, four, five, NULL };

	(void)state;
	argv_wipe_flag(6, argv, "--secret");
	assert_string_equal(prog, "tunnel");
	assert_string_equal(one, "--secret");
	assert_memory_equal(two, "x\0\0\0\0\0\0", 8);
	assert_memory_equal(three, "--secret=x\0\0\0\0\0\0", 17);
	assert_string_equal(four, "--secret-file");
	assert_string_equal(five, "kept");
}

static void
a_flag_without_value_and_what_follows_two_dashes_stay(void **state)
{
	char prog[] = "tunnel", dashes[] = "--", flag[] = "--secret", value[] = "plain",
	     last[] = "--secret", empty[] = "--secret=";
	char *argv[] = { prog, dashes, flag, value, NULL }, *end[] = { prog, empty, last, NULL };

	(void)state;
	argv_wipe_flag(4, argv, "--secret");
	assert_string_equal(value, "plain");
	argv_wipe_flag(3, end, "--secret");
	assert_string_equal(empty, "--secret=");
	assert_string_equal(last, "--secret");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_are_overwritten),
		cmocka_unit_test(a_flag_without_value_and_what_follows_two_dashes_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
