/* SPDX-License-Identifier: ISC */
/*
 * log_limit_test - the first lines of a window are written, the others counted, and the count is
 * told in every case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/log_limit.h"

static int pipe_fd[2];

static int
start(void **state)
{
	(void)state;
	assert_int_equal(pipe2(pipe_fd, O_NONBLOCK | O_CLOEXEC), 0);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, pipe_fd[1]);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return 0;
}

/* What has been written since the last call, one line after the other without their times. */
static const char *
written(void)
{
	static char out[65536];
	char buf[65536], *line, *next;
	ssize_t n = read(pipe_fd[0], buf, sizeof buf - 1);
	size_t len = 0;

	buf[n > 0 ? n : 0] = '\0';
	out[0] = '\0';
	for (line = buf; *line != '\0'; line = next) {
		next = strchr(line, '\n') + 1;
		len += (size_t)snprintf(out + len, sizeof out - len, "%.*s|",
		    (int)(next - line) - CLOCK_ISO_LEN - 2, line + CLOCK_ISO_LEN + 1);
	}
	return out;
}

static void
the_first_lines_of_a_window_are_written(void **state)
{
	struct log_limit l;

	(void)state;
	log_limit_init(&l, 2, 1000, "pi");
	log_limited(&l, 5000, LOG_LEVEL_INFO, "a %d", 1);
	log_limited(&l, 5999, LOG_LEVEL_INFO, "a 2");
	assert_false(log_limits_waiting());
	log_limited(&l, 5999, LOG_LEVEL_INFO, "a 3");
	assert_true(log_limits_waiting());
	log_limited(&l, 5999, LOG_LEVEL_INFO, "a 4");
	assert_string_equal(written(), "info: a 1|info: a 2|");
	log_limited(&l, 6000, LOG_LEVEL_INFO, "a 5");
	assert_string_equal(written(), "info: pi: 2 lines left out|info: a 5|");
	assert_false(log_limits_waiting());
	log_limited(&l, 6000, LOG_LEVEL_INFO, "a 6");
	log_limited(&l, 6001, LOG_LEVEL_INFO, "a 7");
	assert_string_equal(written(), "info: a 6|");
	/* A window begins with its first line. */
	log_limited(&l, 9500, LOG_LEVEL_INFO, "b 1");
	log_limited(&l, 10499, LOG_LEVEL_INFO, "b 2");
	log_limited(&l, 10499, LOG_LEVEL_INFO, "b 3");
	assert_string_equal(written(), "info: pi: 1 lines left out|info: b 1|info: b 2|");
	log_limit_fini(&l);
	assert_string_equal(written(), "info: pi: 1 lines left out|");
}

__attribute__((format(printf, 2, 3))) static void
say_about(struct log_limit *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_limited_about(l, 100, LOG_LEVEL_WARN, "visitor", "192.0.2.7", fmt, ap);
	va_end(ap);
}

static void
lines_about_a_thing_and_lines_to_be_made_count_too(void **state)
{
	struct log_limit l;

	(void)state;
	log_limit_init(&l, 2, 1000, "pi");
	say_about(&l, "opened %d", 1);
	assert_string_equal(written(), "warn: visitor 192.0.2.7: opened 1|");
	assert_true(log_limit_admits(&l, 100, LOG_LEVEL_INFO));
	assert_false(log_limit_admits(&l, 100, LOG_LEVEL_INFO));
	say_about(&l, "opened %d", 2);
	/* Switched off, it is nobody's line. */
	assert_false(log_limit_admits(&l, 2000, LOG_LEVEL_DEBUG));
	assert_string_equal(written(), "");
	log_limit_fini(&l);
	assert_string_equal(written(), "warn: pi: 2 lines left out|");
}

static void
quiet_tells_the_count(void **state)
{
	struct log_limit a, b;

	(void)state;
	log_limit_init(&a, 1, 1000, "a");
	log_limit_init(&b, 1, 3000, "b");
	for (int i = 0; i < 5; i++) {
		log_limited(&a, 100, LOG_LEVEL_INFO, "x");
		log_limited(&b, 100, LOG_LEVEL_INFO, "y");
	}
	written();
	log_limits_tell(1099);
	assert_string_equal(written(), "");
	log_limits_tell(1100);
	assert_string_equal(written(), "info: a: 4 lines left out|");
	assert_true(log_limits_waiting());
	log_limits_tell(1100);
	assert_string_equal(written(), "");
	log_limits_tell(9000);
	assert_string_equal(written(), "info: b: 4 lines left out|");
	assert_false(log_limits_waiting());
	log_limit_fini(&a);
	log_limit_fini(&b);
	log_limit_fini(&b);
	assert_string_equal(written(), "");
}

static void
the_gravest_level_tells(void **state)
{
	struct log_limit l;

	(void)state;
	log_limit_init(&l, 1, 1000, "pi");
	log_limited(&l, 1, LOG_LEVEL_INFO, "x");
	log_limited(&l, 1, LOG_LEVEL_INFO, "x");
	log_limited(&l, 1, LOG_LEVEL_WARN, "x");
	log_limited(&l, 1, LOG_LEVEL_INFO, "x");
	/* Switched off, it is nobody's line. */
	log_limited(&l, 1, LOG_LEVEL_DEBUG, "x");
	log_limit_fini(&l);
	assert_string_equal(written(), "info: x|warn: pi: 3 lines left out|");
}

static void
a_zeroed_limit_is_the_usual_one(void **state)
{
	struct log_limit l = { .n = 0 };

	(void)state;
	for (int i = 0; i < LOG_LIMIT_LINES + 7; i++)
		log_limited(&l, 1, LOG_LEVEL_INFO, "x");
	assert_int_equal(strlen(written()), LOG_LIMIT_LINES * strlen("info: x|"));
	log_limits_tell(LOG_LIMIT_MS);
	assert_string_equal(written(), "");
	log_limits_tell(LOG_LIMIT_MS + 1);
	assert_string_equal(written(), "info: 7 lines left out|");
	log_limit_fini(&l);
	/* Each number by itself. */
	log_limit_init(&l, 1, 0, "pi");
	log_limited(&l, 1, LOG_LEVEL_INFO, "x");
	log_limited(&l, LOG_LIMIT_MS, LOG_LEVEL_INFO, "x");
	log_limited(&l, LOG_LIMIT_MS + 1, LOG_LEVEL_INFO, "x");
	assert_string_equal(written(), "info: x|info: pi: 1 lines left out|info: x|");
	log_limit_fini(&l);
}

/* Two loops' clocks may differ by a turn. */
static void
a_clock_that_is_behind_opens_no_window(void **state)
{
	struct log_limit l;

	(void)state;
	log_limit_init(&l, 1, 1000, "pi");
	log_limited(&l, 5000, LOG_LEVEL_INFO, "x");
	log_limited(&l, 4999, LOG_LEVEL_INFO, "y");
	log_limits_tell(4999);
	assert_string_equal(written(), "info: x|");
	log_limit_fini(&l);
	assert_string_equal(written(), "info: pi: 1 lines left out|");
}

enum { THREADS = 4, EACH = 2000 };

static void *
shout(void *arg)
{
	for (uint64_t i = 0; i < EACH; i++) {
		log_limited(arg, i / 500, LOG_LEVEL_INFO, "x");
		log_limits_tell(i / 500);
	}
	return NULL;
}

static void
threads_share_a_limit_and_no_line_is_forgotten(void **state)
{
	pthread_t t[THREADS];
	struct log_limit l;
	unsigned long long told = 0, lines = 0, n;

	(void)state;
	log_limit_init(&l, 3, 1, "all");
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, shout, &l), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	log_limit_fini(&l);
	assert_false(log_limits_waiting());
	for (const char *s = written(); *s != '\0'; s = strchr(s, '|') + 1) {
		if (sscanf(s, "info: all: %llu lines", &n) == 1)
			told += n;
		else
			lines++;
	}
	assert_in_range(lines, 3, 60);
	assert_int_equal(told + lines, THREADS * EACH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    the_first_lines_of_a_window_are_written, start, stop),
		cmocka_unit_test_setup_teardown(
		    lines_about_a_thing_and_lines_to_be_made_count_too, start, stop),
		cmocka_unit_test_setup_teardown(quiet_tells_the_count, start, stop),
		cmocka_unit_test_setup_teardown(the_gravest_level_tells, start, stop),
		cmocka_unit_test_setup_teardown(a_zeroed_limit_is_the_usual_one, start, stop),
		cmocka_unit_test_setup_teardown(
		    a_clock_that_is_behind_opens_no_window, start, stop),
		cmocka_unit_test_setup_teardown(
		    threads_share_a_limit_and_no_line_is_forgotten, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
