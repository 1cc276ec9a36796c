/* SPDX-License-Identifier: ISC */
/* cmd_test - the first steps of a subcommand, and the file that says that it is ready. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/cmd.h"
#include "lib/base/mem.h"
#include "test/unit/subcommand.h"

/* ---- options ---- */

struct opts {
	struct cmd_common common;
	uint64_t drain_ms, keepalive_ms;
	char *ready_file;
};

static struct opts got;

static int
parse(int argc, char **argv)
{
	static const struct opt_row rows[] = {
		CMD_DRAIN_ROW(struct opts, drain_ms),
		CMD_KEEPALIVE_ROW(struct opts, keepalive_ms),
		CMD_READY_ROW(struct opts, ready_file, "it", "ready"),
		CMD_COMMON_ROWS(struct opts, common, "warn"),
	};
	static const struct opt_spec spec = { .prog = "tunnel x",
		.synopsis = "[OPTION...]",
		.about = "A test.",
		.rows = rows,
		.n_rows = sizeof rows / sizeof rows[0] };
	struct opt_result res = { 0 };
	int code;

	got = (struct opts){ 0 };
	code = cmd_options(&spec, argc, argv, &got, &res);
	opt_fini(&spec, &got, &res);
	return code;
}

static void
options_are_read_or_told_or_wrong(void **state)
{
	(void)state;
	subcommand_in = subcommand_to = NULL;
	assert_int_equal(subcommand_heard(parse, "x"), CMD_GO);
	assert_int_equal(got.drain_ms, 30000);
	assert_int_equal(got.keepalive_ms, 15000);
	assert_int_equal(got.common.log_level, LOG_LEVEL_WARN);
	assert_string_equal(subcommand_out, "");
	assert_int_equal(subcommand_heard(parse, "x --help"), CMD_OK);
	assert_non_null(strstr(subcommand_out, "usage: tunnel x [OPTION...]"));
	assert_string_equal(subcommand_err, "");
	assert_int_equal(subcommand_heard(parse, "x --keepalive 99ms"), CMD_USAGE);
	assert_int_equal(strncmp(subcommand_err, "tunnel x: ", 10), 0);
	assert_string_equal(subcommand_out, "");
	assert_int_equal(subcommand_heard(parse, "x --keepalive 100ms --drain 0"), CMD_GO);
	assert_int_equal(subcommand_heard(parse, "x --keepalive 3600s --drain 86400s"), CMD_GO);
	assert_int_equal(subcommand_heard(parse, "x --keepalive 3601s"), CMD_USAGE);
	assert_int_equal(subcommand_heard(parse, "x --drain 86401s"), CMD_USAGE);
}

static void
help_that_is_not_printed_is_a_failure(void **state)
{
	(void)state;
	subcommand_to = "/dev/full";
	assert_int_equal(subcommand_heard(parse, "x --help"), CMD_FAILED);
	subcommand_to = NULL;
	for (long n = 0; n < 2; n++) {
		mem_fail_after(0);
		assert_int_equal(subcommand_heard(parse, n == 0 ? "x --help" : "x"), CMD_FAILED);
		mem_fail_after(MEM_NO_FAIL);
		assert_string_equal(subcommand_out, "");
	}
}

static void
the_first_steps_set_the_process_up(void **state)
{
	struct cmd_common common = { .log_level = LOG_LEVEL_ERROR };
	struct sigaction now;
	struct rlimit rl;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	rl.rlim_cur = rl.rlim_max / 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	cmd_begin(&common);
	assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_true(rl.rlim_cur == rl.rlim_max);
	assert_int_equal(log_threshold, LOG_LEVEL_ERROR);
}

static void
a_start_fails_by_mistake_or_by_bad_luck(void **state)
{
	(void)state;
	assert_int_equal(cmd_start_failed(ERR_INVALID), CMD_USAGE);
	assert_int_equal(cmd_start_failed(ERR_NOTFOUND), CMD_USAGE);
	assert_int_equal(cmd_start_failed(ERR_SYS), CMD_FAILED);
	assert_int_equal(cmd_start_failed(ERR_NOMEM), CMD_FAILED);
}

static void
nohup_keeps_a_hangup_away(void **state)
{
	(void)state;
	signal(SIGHUP, SIG_IGN);
	assert_false(cmd_hangup_ends());
	signal(SIGHUP, SIG_DFL);
	assert_true(cmd_hangup_ends());
}

/* ---- the ready file ---- */

static char dir[64], path[96];

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/cmd_test.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/ready", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static bool
is_there(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void
put(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
a_ready_file_is_there_from_ready_to_end(void **state)
{
	struct cmd_ready r;
	struct stat st;
	int fd;

	(void)state;
	/* An earlier run has left one. */
	put("{\"old\":1}\n");
	cmd_ready_begin(&r, path);
	assert_false(is_there());
	assert_int_equal(cmd_ready_write(&r, "{\"pid\":1}", NULL), 0);
	assert_string_equal(subcommand_text(path), "{\"pid\":1}\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	/* Another program sees that it is in use, until it is removed. */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	cmd_ready_end(&r);
	assert_false(is_there());
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	assert_int_equal(r.lock, -1);
}

static void
what_a_running_program_has_written_stays(void **state)
{
	struct cmd_ready first, second;

	(void)state;
	cmd_ready_begin(&first, path);
	assert_int_equal(cmd_ready_write(&first, "1", NULL), 0);
	cmd_ready_begin(&second, path);
	assert_string_equal(subcommand_text(path), "1\n");
	/* The successor is ready: from now on it is its own, whatever the first one does. */
	assert_int_equal(cmd_ready_write(&second, "22", NULL), 0);
	cmd_ready_end(&first);
	assert_string_equal(subcommand_text(path), "22\n");
	cmd_ready_end(&second);
	assert_false(is_there());
}

static void
one_that_was_never_written_is_not_removed_at_the_end(void **state)
{
	struct cmd_ready r;

	(void)state;
	cmd_ready_begin(&r, path);
	put("another's");
	cmd_ready_end(&r);
	assert_true(is_there());
}

static void
only_a_plain_file_is_removed(void **state)
{
	struct cmd_ready r;

	(void)state;
	assert_int_equal(symlink("/dev/null", path), 0);
	cmd_ready_begin(&r, path);
	assert_true(is_there());
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	cmd_ready_begin(&r, path);
	assert_true(is_there());
	cmd_ready_end(&r);
	assert_true(is_there());
}

static void
a_ready_file_may_be_missing_or_impossible(void **state)
{
	struct cmd_ready r;
	struct errtext why = { "" };
	char nowhere[128];

	(void)state;
	cmd_ready_begin(&r, NULL);
	assert_null(r.path);
	cmd_ready_end(&r);
	snprintf(nowhere, sizeof nowhere, "%s/x/ready", dir);
	cmd_ready_begin(&r, nowhere);
	assert_int_equal(cmd_ready_write(&r, "1", &why), ERR_SYS);
	assert_non_null(strstr(why.s, nowhere));
	assert_int_equal(r.lock, -1);
	cmd_ready_end(&r);
	cmd_ready_begin(&r, path);
	mem_fail_after(0);
	assert_int_equal(cmd_ready_write(&r, "1", &why), ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
	assert_false(is_there());
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_read_or_told_or_wrong),
		cmocka_unit_test(help_that_is_not_printed_is_a_failure),
		cmocka_unit_test(the_first_steps_set_the_process_up),
		cmocka_unit_test(a_start_fails_by_mistake_or_by_bad_luck),
		cmocka_unit_test(nohup_keeps_a_hangup_away),
		T(a_ready_file_is_there_from_ready_to_end),
		T(what_a_running_program_has_written_stays),
		T(one_that_was_never_written_is_not_removed_at_the_end),
		T(only_a_plain_file_is_removed),
		T(a_ready_file_may_be_missing_or_impossible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
