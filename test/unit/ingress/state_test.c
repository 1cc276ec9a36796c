/* SPDX-License-Identifier: ISC */
/*
 * state_test - whose each port was is known after a restart, and what cannot be read is not
 * overwritten.
 *
 * link: -Wl,--wrap=pthread_create,--wrap=file_write_atomic
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/ingress/ports.h"
#include "cmd/relay/ingress/state.h"
#include "lib/base/file.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"
#include "test/unit/heardlog.h"
#include "test/unit/nothread.h"

int __real_file_write_atomic(
    const char *path, const void *p, size_t n, mode_t mode, struct errtext *e);
int __wrap_file_write_atomic(
    const char *path, const void *p, size_t n, mode_t mode, struct errtext *e);

/* Writes so far; the disk's signals. */
static atomic_int n_writes, n_takes_sigterm;
/* The disk takes nothing. */
static atomic_bool full;

int
__wrap_file_write_atomic(const char *path, const void *p, size_t n, mode_t mode, struct errtext *e)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	n_takes_sigterm += !sigismember(&blocked, SIGTERM);
	n_writes++;
	if (full)
		return err_set(e, ERR_SYS, "no space left");
	return __real_file_write_atomic(path, p, n, mode, e);
}

static char dir[64], path[96];
static struct ports *ports;
static struct state *st;

static int
setup(void **state)
{
	(void)state;
	no_thread = false;
	n_writes = n_takes_sigterm = 0;
	full = false;
	st = NULL;
	snprintf(dir, sizeof dir, "/tmp/state_test.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/ports.json", dir);
	ports = ports_new(100, 109);
	return ports != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	state_close(st);
	ports_free(ports);
	unlink(path);
	return rmdir(dir);
}

static int
yes(void *arg, uint16_t port)
{
	(void)arg;
	(void)port;
	return 0;
}

static uint16_t
any(void *arg, uint16_t port)
{
	(void)arg;
	return port;
}

static const struct ports_user user = { any, yes, NULL };

static uint16_t
take(const char *owner)
{
	uint16_t port = 0;

	assert_int_equal(ports_take(ports, false, owner, 0, 0, &user, &port), 0);
	return port;
}

static void
put(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	fclose(f);
}

static const char *
content(void)
{
	static char text[4096];
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return "";
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	return text;
}

/* A second process on the same directory. */
static void
restart(void)
{
	state_close(st);
	st = NULL;
	ports_free(ports);
	ports = ports_new(100, 109);
	assert_int_equal(state_open(dir, ports, &st, NULL), 0);
}

static void
the_ports_are_known_after_a_restart(void **state)
{
	struct stat s;

	(void)state;
	assert_int_equal(state_open(dir, ports, &st, NULL), 0);
	/* Nothing has changed, so nothing is written. */
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(take("pi/tcp/ssh"), 100);
	assert_int_equal(take("pi/tcp/web"), 101);
	state_changed(st);
	restart();
	assert_string_equal(content(), "{\"100\":\"pi/tcp/ssh\",\"101\":\"pi/tcp/web\"}");
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(s.st_mode & 0777, 0600);
	assert_int_equal(take("lab/tcp/ssh"), 102);
	assert_int_equal(take("pi/tcp/web"), 101);
	restart();
	/* The last change was not told, so it is not there. */
	assert_int_equal(take("x/tcp/ssh"), 102);
}

static void
what_is_none_of_ours_is_not_overwritten(void **state)
{
	static const char *const bad[] = { "", "not json", "{\"100\":7}" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct errtext e = { "" };

		put(bad[i]);
		assert_int_equal(state_open(dir, ports, &st, &e), ERR_INVALID);
		assert_non_null(strstr(e.s, path));
		assert_null(st);
		assert_string_equal(content(), bad[i]);
	}
}

static void
a_directory_that_is_not_there_is_told_at_the_start(void **state)
{
	struct errtext e = { "" };
	char *longest = mem_zalloc(5000);

	(void)state;
	assert_int_equal(state_open("/nonexistent/dir", ports, &st, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "/nonexistent/dir"));
	/* A file. */
	put("{}");
	assert_int_equal(state_open(path, ports, &st, &e), ERR_INVALID);
	memset(longest, 'x', 4999);
	assert_int_equal(state_open(longest, ports, &st, &e), ERR_INVALID);
	assert_null(st);
	mem_free(longest);
}

static void
want_of_memory_or_threads_is_told_at_the_start(void **state)
{
	struct errtext e = { "" };

	(void)state;
	no_thread = true;
	assert_int_equal(state_open(dir, ports, &st, &e), ERR_SYS);
	assert_non_null(strstr(e.s, "thread"));
	no_thread = false;
	put("{\"100\":\"pi/tcp/ssh\"}");
	for (long n = 1;; n++) {
		int r;

		mem_fail_after(n);
		r = state_open(dir, ports, &st, &e);
		mem_fail_after(MEM_NO_FAIL);
		if (r == 0)
			break;
		assert_int_equal(r, ERR_NOMEM);
		assert_null(st);
		assert_true(n < 100);
	}
}

static void
a_disk_that_is_full_is_told_and_tried_again(void **state)
{
	size_t lines = 0;
	const char *text;
	char owner[32];

	(void)state;
	assert_int_equal(state_open(dir, ports, &st, NULL), 0);
	full = true;
	heardlog_begin(LOG_LEVEL_INFO);
	for (int i = 0; i < 40; i++) {
		int before = n_writes;

		snprintf(owner, sizeof owner, "pi/tcp/%d", i);
		ports_release(ports, false, take(owner));
		state_changed(st);
		for (int k = 0; k < 2000 && n_writes == before; k++)
			usleep(1000);
		assert_true(n_writes > before);
	}
	full = false;
	state_changed(st);
	restart();
	text = heardlog_end();
	assert_non_null(strstr(text, "no space left"));
	for (; (text = strstr(text, "no space left")) != NULL; text++)
		lines++;
	assert_in_range(lines, 1, LOG_LIMIT_FEW);
	assert_true(strlen(content()) > 2);
}

static void
signals_are_not_for_the_thread_that_writes(void **state)
{
	(void)state;
	assert_int_equal(state_open(dir, ports, &st, NULL), 0);
	take("a");
	state_changed(st);
	restart();
	assert_true(n_writes > 0);
	assert_int_equal(n_takes_sigterm, 0);
}

static void
what_has_not_changed_is_not_written_again(void **state)
{
	(void)state;
	assert_int_equal(state_open(dir, ports, &st, NULL), 0);
	take("a");
	for (int i = 0; i < 100; i++) {
		state_changed(st);
		usleep(1000);
	}
	restart();
	assert_int_equal(n_writes, 1);
}

static void
open_and_close(void)
{
	restart();
}

static void
nothing_is_left_behind(void **state)
{
	(void)state;
	heap_is_given_back(open_and_close);
	state_changed(NULL);
	state_close(NULL);
}

/* Workers take and release ports while they are written. */
static void *
be_busy(void *arg)
{
	char owner[32];
	uint16_t port;

	for (int i = 0; i < 300; i++) {
		snprintf(owner, sizeof owner, "%s/tcp/%d", (const char *)arg, i % 3);
		if (ports_take(ports, false, owner, 0, 0, &user, &port) != 0)
			continue;
		state_changed(st);
		ports_release(ports, false, port);
	}
	return NULL;
}

static void
several_threads_change_them(void **state)
{
	static char name[4][2] = { "a", "b", "c", "d" };
	pthread_t t[4];

	(void)state;
	assert_int_equal(state_open(dir, ports, &st, NULL), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, be_busy, name[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	/* Each has what it took, so what is read is whole. */
	restart();
}

/* ---- the key ---- */

static char key_path[96];

static int
setup_key(void **state)
{
	int r = setup(state);

	snprintf(key_path, sizeof key_path, "%s/names.key", dir);
	return r;
}

static int
teardown_key(void **state)
{
	unlink(key_path);
	return teardown(state);
}

static void
a_key_is_made_once(void **state)
{
	uint8_t first[STATE_KEY_LEN], again[STATE_KEY_LEN], zero[STATE_KEY_LEN] = { 0 };
	struct errtext e = { "" };
	struct stat sb;

	(void)state;
	assert_int_equal(state_key(dir, first, &e), 0);
	assert_memory_not_equal(first, zero, sizeof first);
	assert_int_equal(stat(key_path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	assert_int_equal(state_key(dir, again, &e), 0);
	assert_memory_equal(first, again, sizeof first);
	unlink(key_path);
	assert_int_equal(state_key(dir, again, &e), 0);
	assert_memory_not_equal(first, again, sizeof first);
}

static void
what_is_no_key_is_refused_and_stays(void **state)
{
	static const char *const bad[] = { "", "\n", "00", "xyz\n",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00\n",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fx",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g" };
	uint8_t key[STATE_KEY_LEN];
	struct errtext e;

	(void)state;
	memcpy(path, key_path, sizeof path);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		put(bad[i]);
		errtext_clear(&e);
		assert_int_not_equal(state_key(dir, key, &e), 0);
		assert_non_null(strstr(e.s, "names.key"));
	}
	put("000102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f");
	assert_int_equal(state_key(dir, key, &e), 0);
	assert_int_equal(key[31], 0x1f);
	assert_int_equal(state_key("/nowhere/at/all", key, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "--state /nowhere/at/all"));
	mem_fail_after(0);
	assert_int_equal(state_key(dir, key, &e), ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    the_ports_are_known_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_is_none_of_ours_is_not_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_directory_that_is_not_there_is_told_at_the_start, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    want_of_memory_or_threads_is_told_at_the_start, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_disk_that_is_full_is_told_and_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    signals_are_not_for_the_thread_that_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_has_not_changed_is_not_written_again, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_left_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(several_threads_change_them, setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_is_made_once, setup_key, teardown_key),
		cmocka_unit_test_setup_teardown(
		    what_is_no_key_is_refused_and_stays, setup_key, teardown_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
