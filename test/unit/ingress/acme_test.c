/* SPDX-License-Identifier: ISC */
/*
 * acme_test - the files of challenges: which requests ask for one, what is read and what is not,
 * many at once, the end.
 *
 * link: -Wl,--wrap=pthread_create
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/ingress/acme.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/net/buf.h"
#include "test/unit/heardlog.h"
#include "test/unit/nothread.h"
#include "test/unit/turns.h"

static char dir[64], webroot[160], command[256];
static struct acme *a;
static struct loop *l;

/* What was answered, and how often. */
static char answer[ACME_FILE_MAX + 1];
static unsigned n_answers;

static void
on_text(void *arg, const char *text, size_t n)
{
	assert_ptr_equal(arg, answer);
	n_answers++;
	snprintf(answer, sizeof answer, "%s", text == NULL ? "none" : text);
	assert_true(text == NULL || strlen(text) == n);
}

static bool
has_answers(void *arg)
{
	return n_answers == *(unsigned *)arg;
}

static const char *
ask(const char *token)
{
	unsigned want = 1;

	n_answers = 0;
	assert_non_null(acme_ask(a, l, token, on_text, answer));
	assert_true(turns_until(l, has_answers, &want));
	return answer;
}

static void
put(const char *in, const char *name, const char *text)
{
	char path[256];
	struct errtext why = { "" };

	snprintf(path, sizeof path, "%s/%s", in, name);
	if (file_write_atomic(path, text, strlen(text), 0644, &why) != 0)
		fail_msg("%s", why.s);
}

static int
setup(void **state)
{
	struct errtext why = { "" };

	(void)state;
	no_thread = false;
	snprintf(dir, sizeof dir, "/tmp/acme_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(webroot, sizeof webroot, "%s/.well-known/acme-challenge", dir);
	snprintf(command, sizeof command, "mkdir -p %s", webroot);
	assert_int_equal(system(command), 0);
	l = loop_new();
	if (acme_open(dir, &a, &why) != 0)
		fail_msg("%s", why.s);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	acme_close(a);
	loop_free(l);
	buf_pool_free();
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command);
}

/* ---- the thread ---- */

static bool
leaves_signal(const char *task, int signal)
{
	char path[512], line[256];
	unsigned long long blocked = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		sscanf(line, "SigBlk: %llx", &blocked);
	if (f != NULL)
		fclose(f);
	return (blocked >> (signal - 1) & 1) == 1;
}

static void
signals_are_left_to_the_main_thread(void **state)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned n_others = 0;
	struct dirent *e;
	char own[16];

	(void)state;
	assert_non_null(tasks);
	snprintf(own, sizeof own, "%d", (int)getpid());
	assert_false(leaves_signal(own, SIGTERM));
	while ((e = readdir(tasks)) != NULL)
		if (e->d_name[0] != '.' && strcmp(e->d_name, own) != 0) {
			n_others++;
			assert_true(leaves_signal(e->d_name, SIGTERM));
			assert_true(leaves_signal(e->d_name, SIGHUP));
		}
	assert_true(n_others > 0);
	closedir(tasks);
}

/* ---- requests ---- */

static void
a_challenge_has_a_token_of_letters_digits_and_two_signs(void **state)
{
	static const char *const none[] = { "/", "/.well-known/acme-challenge",
		"/.well-known/acme-challenge/", "/.well-known/acme-challenge/../x",
		"/.well-known/acme-challenge/.", "/.well-known/acme-challenge/a/b",
		"/.well-known/acme-challenge/a?b", "/.well-known/acme-challenge/a%2e",
		"/.well-known//acme-challenge/a", "/x/.well-known/acme-challenge/a",
		"/.well-known/acme-challenge/a\xc3\xa4", "*" };
	char target[sizeof ACME_PATH + ACME_TOKEN_MAX + 1];

	(void)state;
	assert_string_equal(acme_token(ACME_PATH "aZ09-_"), "aZ09-_");
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		assert_null(acme_token(none[i]));
	memset(target, 'x', sizeof target);
	memcpy(target, ACME_PATH, strlen(ACME_PATH));
	target[strlen(ACME_PATH) + ACME_TOKEN_MAX] = '\0';
	assert_non_null(acme_token(target));
	target[strlen(ACME_PATH) + ACME_TOKEN_MAX] = 'x';
	target[strlen(ACME_PATH) + ACME_TOKEN_MAX + 1] = '\0';
	assert_null(acme_token(target));
}

/* ---- files ---- */

static void
both_places_are_looked_into(void **state)
{
	(void)state;
	assert_string_equal(ask("t1"), "none");
	put(dir, "t1", "beside");
	assert_string_equal(ask("t1"), "beside");
	put(webroot, "t1", "in the webroot");
	assert_string_equal(ask("t1"), "in the webroot");
	put(webroot, "empty", "");
	assert_string_equal(ask("empty"), "");
}

static void
only_a_small_plain_file_of_the_directory_is_read(void **state)
{
	char big[ACME_FILE_MAX + 2], path[256];

	(void)state;
	memset(big, 'x', sizeof big);
	big[ACME_FILE_MAX] = '\0';
	put(webroot, "largest", big);
	assert_string_equal(ask("largest"), big);
	big[ACME_FILE_MAX] = 'x';
	big[ACME_FILE_MAX + 1] = '\0';
	put(webroot, "larger", big);
	heardlog_begin(LOG_LEVEL_WARN);
	assert_string_equal(ask("larger"), "none");
	assert_non_null(strstr(heardlog_end(), "--acme-dir: .well-known/acme-challenge/larger"));
	snprintf(path, sizeof path, "%s/link", webroot);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_string_equal(ask("link"), "none");
	snprintf(path, sizeof path, "%s/directory", webroot);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_string_equal(ask("directory"), "none");
	/* Whoever waits for the other end of a FIFO waits for ever. */
	snprintf(path, sizeof path, "%s/fifo", webroot);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_string_equal(ask("fifo"), "none");
}

/* ---- many, and the end ---- */

static void
a_question_that_was_taken_back_is_not_answered(void **state)
{
	unsigned want = 1;

	(void)state;
	n_answers = 0;
	put(dir, "t", "x");
	acme_cancel(acme_ask(a, l, "t", on_text, answer));
	acme_cancel(NULL);
	assert_non_null(acme_ask(a, l, "none", on_text, answer));
	assert_true(turns_until(l, has_answers, &want));
	assert_string_equal(answer, "none");
}

static void
questions_that_wait_have_a_number(void **state)
{
	unsigned asked = 0;

	(void)state;
	n_answers = 0;
	/* The thread takes some meanwhile, but not more than it can read of them. */
	while (asked < 1000000 && acme_ask(a, l, "none", on_text, answer) != NULL)
		asked++;
	assert_true(asked >= ACME_ASKS_MAX && asked < 1000000);
	assert_true(turns_until(l, has_answers, &asked));
	assert_string_equal(ask("none"), "none");
}

static void
the_end_leaves_nothing_behind(void **state)
{
	struct errtext why = { "" };

	(void)state;
	for (int i = 0; i < 20; i++)
		acme_cancel(acme_ask(a, l, "none", on_text, answer));
	acme_close(a);
	loop_free(l);
	l = loop_new();
	assert_int_equal(acme_open(dir, &a, &why), 0);
	for (int i = 0; i < 20; i++)
		acme_cancel(acme_ask(a, l, "none", on_text, answer));
}

static void
what_is_wrong_is_named(void **state)
{
	struct errtext why = { "" };
	struct acme *other;

	(void)state;
	acme_close(NULL);
	assert_int_equal(acme_open("/nonexistent", &other, &why), ERR_INVALID);
	assert_non_null(strstr(why.s, "--acme-dir /nonexistent: no directory that can be read"));
	put(dir, "file", "x");
	snprintf(command, sizeof command, "%s/file", dir);
	assert_int_equal(acme_open(command, &other, &why), ERR_INVALID);
	no_thread = true;
	assert_int_equal(acme_open(dir, &other, &why), ERR_SYS);
	assert_non_null(strstr(why.s, "cannot start a thread"));
	mem_fail_after(0);
	assert_int_equal(acme_open(dir, &other, &why), ERR_NOMEM);
	mem_fail_after(0);
	assert_null(acme_ask(a, l, "t", on_text, answer));
	mem_fail_after(MEM_NO_FAIL);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(signals_are_left_to_the_main_thread),
		TEST(a_challenge_has_a_token_of_letters_digits_and_two_signs),
		TEST(both_places_are_looked_into),
		TEST(only_a_small_plain_file_of_the_directory_is_read),
		TEST(a_question_that_was_taken_back_is_not_answered),
		TEST(questions_that_wait_have_a_number),
		TEST(the_end_leaves_nothing_behind),
		TEST(what_is_wrong_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
