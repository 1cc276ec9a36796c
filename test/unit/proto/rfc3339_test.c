/* SPDX-License-Identifier: ISC */
/*
 * rfc3339_test - times that RFC 3339 gives as examples, the calendar's corners, and what is no
 * time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/rfc3339.h"

static void
times_become_seconds(void **state)
{
	static const struct {
		const char *s;
		int64_t t;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1985-04-12T23:20:50.52Z", 482196050 },
		{ "1996-12-19T16:39:57-08:00", 851042397 },
		{ "1990-12-31T23:59:60Z", 662688000 },
		{ "1937-01-01T12:00:27.87+00:20", -1041337173 },
		{ "2000-02-29T00:00:00z", 951782400 },
		{ "2001-01-01T00:00:00Z", 978307200 },
		{ "2026-11-21t01:30:00+00:00", 1795224600 },
		{ "2100-03-01T00:00:00Z", 4107542400 },
		{ "9999-12-31T23:59:59Z", 253402300799 },
		{ "0001-01-01T00:00:00Z", -62135596800 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		int64_t t = 1;

		assert_true(rfc3339_parse(good[i].s, &t));
		assert_true(t == good[i].t);
	}
}

static void
what_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = { "", "2026", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00",
		"2026-01-01 00:00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+0100",
		"2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00Z ", "26-01-01T00:00:00Z",
		"0000-01-01T00:00:00Z", "2026-1-1T00:00:00Z", "+026-01-01T00:00:00Z" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int64_t t = 7;

		assert_false(rfc3339_parse(bad[i], &t));
		assert_true(t == 7);
	}
}

static void
every_truncation_is_refused(void **state)
{
	static const char whole[] = "2026-11-21T01:30:00+01:00";
	char part[sizeof whole];
	int64_t t;

	(void)state;
	for (size_t i = 0; i < sizeof whole - 1; i++) {
		memcpy(part, whole, i);
		part[i] = '\0';
		assert_false(rfc3339_parse(part, &t));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_become_seconds),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
