/* SPDX-License-Identifier: ISC */
/* clock_test - clocks that go forward, and their printed form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"

static void
the_monotonic_clock_never_goes_back(void **state)
{
	uint64_t last = clock_mono_us();
	int i;

	(void)state;
	for (i = 0; i < 10000; i++) {
		uint64_t now = clock_mono_us();

		assert_true(now >= last);
		last = now;
	}
	assert_true(clock_mono_ms() >= last / 1000);
}

static void
the_wall_clock_prints_as_rfc_3339(void **state)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
	char s[CLOCK_ISO_LEN + 1];
	size_t i;

	(void)state;
	clock_wall_iso(s);
	assert_int_equal(strlen(s), CLOCK_ISO_LEN);
	for (i = 0; i < CLOCK_ISO_LEN; i++)
		if (shape[i] == 'd')
			assert_in_range(s[i], '0', '9');
		else
			assert_int_equal(s[i], shape[i]);
	assert_true(clock_wall_s() > 1700000000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_monotonic_clock_never_goes_back),
		cmocka_unit_test(the_wall_clock_prints_as_rfc_3339),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
