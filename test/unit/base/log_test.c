/* SPDX-License-Identifier: ISC */
/* log_test - lines that are whole, escaped, counted when lost, and limited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wchar.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/conf/jobj.h"
#include "lib/base/log.h"

static int pipe_fd[2];

static void
start(enum log_level level, enum log_format format)
{
	assert_int_equal(pipe2(pipe_fd, O_NONBLOCK | O_CLOEXEC), 0);
	log_init(level, format, pipe_fd[1]);
}

static void
stop(void)
{
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* What has been written since the last call, terminated. */
static const char *
written(void)
{
	static char buf[65536];
	ssize_t n = read(pipe_fd[0], buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static void
text_has_time_level_worker_and_message(void **state)
{
	const char *s;

	(void)state;
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("agent %s: %d streams", "pi", 3);
	s = written();
	assert_int_equal(s[CLOCK_ISO_LEN - 1], 'Z');
	assert_string_equal(s + CLOCK_ISO_LEN, " info: agent pi: 3 streams\n");
	log_set_worker("w1");
	errno = ECONNRESET;
	log_warn("read");
	assert_int_equal(errno, ECONNRESET);
	assert_string_equal(
	    written() + CLOCK_ISO_LEN, " warn w1: read: Connection reset by peer\n");
	log_set_worker(NULL);
	log_errorx("x");
	assert_string_equal(written() + CLOCK_ISO_LEN, " error: x\n");
	errno = ENOSPC;
	log_error("write");
	assert_string_equal(written() + CLOCK_ISO_LEN, " error: write: No space left on device\n");
	log_info("%s", "");
	assert_string_equal(written() + CLOCK_ISO_LEN, " info: \n");
	/* No character: there is no text for it. */
	log_info("abc%lc", (wint_t)0x7fffffff);
	assert_string_equal(
	    written() + CLOCK_ISO_LEN, " info: (a log line could not be formatted)\n");
	stop();
}

/* Every byte: what a terminal shows is itself, a tab is a blank, the rest is written in hex. */
static void
each_byte_is_shown_or_written_in_hex(void **state)
{
	(void)state;
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	for (int c = 1; c < 256; c++) {
		char want[32], shown[8];

		if (c == '\t')
			snprintf(shown, sizeof shown, " ");
		else if (c >= ' ' && c <= '~')
			snprintf(shown, sizeof shown, "%c", c);
		else
			snprintf(shown, sizeof shown, "\\x%02x", (unsigned)c);
		snprintf(want, sizeof want, " info: a%sz\n", shown);
		log_info("a%cz", c);
		assert_string_equal(written() + CLOCK_ISO_LEN, want);
	}
	stop();
}

static void
json_is_json_whatever_the_message(void **state)
{
	struct jobj *o;
	const char *s, *msg, *level, *worker, *when;

	(void)state;
	start(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
	log_set_worker("w2");
	log_debug("quote \" backslash \\ escape \x1b[31m newline \n tab \t high \xc3\xa4 del \x7f");
	log_set_worker(NULL);
	s = written();
	assert_int_equal(s[strlen(s) - 1], '\n');
	assert_int_equal(jobj_parse(s, strlen(s), 65536, &o, NULL), 0);
	assert_int_equal(jobj_str(o, "msg", &msg, NULL), 0);
	assert_string_equal(msg,
	    "quote \" backslash \\ escape \\x1b[31m newline \\x0a tab   high \\xc3\\xa4 del \\x7f");
	assert_int_equal(jobj_str(o, "level", &level, NULL), 0);
	assert_string_equal(level, "debug");
	assert_int_equal(jobj_str(o, "worker", &worker, NULL), 0);
	assert_string_equal(worker, "w2");
	assert_int_equal(jobj_str(o, "time", &when, NULL), 0);
	assert_int_equal(strlen(when), CLOCK_ISO_LEN);
	jobj_free(o);
	stop();
}

static void
no_byte_of_a_peer_reaches_the_terminal(void **state)
{
	char all[256];
	const char *s;
	size_t i;

	(void)state;
	for (i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info("%s", all);
	s = written();
	for (i = 0; i + 1 < strlen(s); i++)
		assert_in_range(s[i], 0x20, 0x7e);
	assert_int_equal(s[i], '\n');
	stop();
}

static void
levels_above_the_threshold_are_silent(void **state)
{
	int evaluated = 0;

	(void)state;
	start(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
	log_info("no");
	log_debug("no %d", evaluated++);
	assert_string_equal(written(), "");
	assert_int_equal(evaluated, 0);
	assert_true(log_enabled(LOG_LEVEL_WARN));
	assert_false(log_enabled(LOG_LEVEL_INFO));
	stop();
}

static void
the_longest_line_is_cut_and_stays_one_line(void **state)
{
	static char big[3 * LOG_LINE_MAX];
	const char *s;
	int format;

	(void)state;
	memset(big, '\n', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	for (format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
		start(LOG_LEVEL_INFO, (enum log_format)format);
		log_info("%s", big);
		s = written();
		assert_ptr_equal(strchr(s, '\n'), s + strlen(s) - 1);
		assert_in_range(strlen(s), PIPE_BUF - 64, PIPE_BUF);
		assert_string_equal(
		    s + strlen(s) - 5, format == LOG_FORMAT_JSON ? "0a\"}\n" : "\\x0a\n");
		stop();
	}
}

/* A pipe that has room for a part of a line takes none of it. */
static void
a_long_line_is_written_whole_or_not_at_all(void **state)
{
	static char big[LOG_LINE_MAX], room[PIPE_BUF + 1000];
	const char *s, *next;
	int i;

	(void)state;
	memset(big, '\n', sizeof(big) - 1);
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	for (i = 0; i < 5000; i++)
		log_info("%0100d", i);
	assert_int_equal(read(pipe_fd[0], room, sizeof(room)), sizeof(room));
	log_info("%s", big);
	while (*(s = written()) != '\0')
		assert_int_equal(s[strlen(s) - 1], '\n');
	log_info("back");
	for (s = written(), i = 0; *s != '\0'; s = next + 1, i++) {
		assert_non_null(next = strchr(s, '\n'));
		assert_int_equal(s[CLOCK_ISO_LEN - 1], 'Z');
	}
	assert_int_equal(i, 2);
	stop();
}

static void
a_full_pipe_loses_lines_and_says_how_many(void **state)
{
	size_t lost = 5000;
	char expected[80];
	const char *s;
	int i;

	(void)state;
	start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	for (i = 0; i < 5000; i++)
		log_info("%0100d", i);
	while (*(s = written()) != '\0')
		for (; *s != '\0'; s++)
			lost -= *s == '\n';
	assert_in_range(lost, 1, 4999);
	log_info("back");
	s = written();
	snprintf(expected, sizeof(expected), " warn: %u log lines were lost before this one\n",
	    (unsigned)lost);
	assert_memory_equal(s + CLOCK_ISO_LEN, expected, strlen(expected));
	assert_non_null(strstr(s, " info: back\n"));
	log_info("again");
	assert_null(strstr(written(), "lost"));
	stop();
}

/*
 * Whoever reads has stopped reading, and the descriptor is one that blocks: the usual standard
 * error.
 */
static void
fill_a_blocking_one(void)
{
	const char *s;
	int i;

	for (i = 0; i < 5000; i++)
		log_info("%0100d", i);
	log_info("%02000d", 0);
	assert_int_equal(fcntl(pipe_fd[1], F_GETFL) & O_NONBLOCK, 0);
	while (*written() != '\0')
		;
	log_info("back");
	s = written();
	assert_non_null(strstr(s, "log lines were lost before this one\n"));
	assert_non_null(strstr(s, " info: back\n"));
	stop();
}

static void
a_reader_that_stops_never_blocks_the_writer(void **state)
{
	struct rlimit old, none;

	(void)state;
	alarm(20); /* what blocks ends here */
	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK), 0);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, pipe_fd[1]);
	fill_a_blocking_one();

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipe_fd), 0);
	assert_int_equal(fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK), 0);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, pipe_fd[1]);
	fill_a_blocking_one();

	/* A pipe that cannot be opened anew. */
	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	assert_int_equal(fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, pipe_fd[1]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	fill_a_blocking_one();
	alarm(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_has_time_level_worker_and_message),
		cmocka_unit_test(each_byte_is_shown_or_written_in_hex),
		cmocka_unit_test(json_is_json_whatever_the_message),
		cmocka_unit_test(no_byte_of_a_peer_reaches_the_terminal),
		cmocka_unit_test(levels_above_the_threshold_are_silent),
		cmocka_unit_test(the_longest_line_is_cut_and_stays_one_line),
		cmocka_unit_test(a_long_line_is_written_whole_or_not_at_all),
		cmocka_unit_test(a_full_pipe_loses_lines_and_says_how_many),
		cmocka_unit_test(a_reader_that_stops_never_blocks_the_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
