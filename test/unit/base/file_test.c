/* SPDX-License-Identifier: ISC */
/*
 * file_test - whole files: bounds, replacement, nothing overwritten, nothing left behind.
 *
 * link: -Wl,--wrap=fchmod,--wrap=fsync,--wrap=close,--wrap=rename
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"

static char dir[64];
/* The last two descriptors that were synced. */
static struct stat synced[2];

/* The call that fails with this error; NULL: none. */
static const char *failing;
static int failure;

int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

static bool
fails(const char *call)
{
	if (failing == NULL || strcmp(failing, call) != 0)
		return false;
	errno = failure;
	return true;
}

int
__wrap_fchmod(int fd, mode_t mode)
{
	return fails("fchmod") ? -1 : __real_fchmod(fd, mode);
}

int
__wrap_fsync(int fd)
{
	synced[0] = synced[1];
	assert_int_equal(fstat(fd, &synced[1]), 0);
	return fails("fsync") ? -1 : __real_fsync(fd);
}

int
__wrap_close(int fd)
{
	int r = __real_close(fd);

	return fails("close") ? -1 : r;
}

int
__wrap_rename(const char *from, const char *to)
{
	return fails("rename") ? -1 : __real_rename(from, to);
}

static int
enter_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/file_test.XXXXXX");
	return mkdtemp(dir) != NULL ? chdir(dir) : -1;
}

static int
leave_dir(void **state)
{
	static const char *const names[] = { "a", "b", "link" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	return chdir("/") == 0 ? rmdir(dir) : -1;
}

static int
files_here(void)
{
	DIR *d = opendir(".");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

static void
assert_content(const char *path, const char *p, size_t n)
{
	char *buf;
	size_t len;

	assert_int_equal(file_read_all(path, 1 << 20, &buf, &len, NULL), 0);
	assert_int_equal(len, n);
	assert_memory_equal(buf, p, n);
	assert_int_equal(buf[n], 0);
	mem_free(buf);
}

static void
every_size_is_read_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 4094, 4095, 4096, 4097, 8190, 8191, 100000 };
	static char data[100000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(file_write_atomic("a", data, sizes[i], 0644, NULL), 0);
		assert_content("a", data, sizes[i]);
	}
	assert_int_equal(files_here(), 1);
}

/* As in a program that was started with its standard input closed. */
static void
descriptor_0_is_one_like_any_other(void **state)
{
	int input = dup(0);

	(void)state;
	assert_true(input > 0);
	close(0);
	assert_int_equal(file_write_atomic("a", "abc", 3, 0600, NULL), 0);
	assert_content("a", "abc", 3);
	assert_int_equal(file_create_new("b", "abc", 3, 0600, NULL), 0);
	assert_content("b", "abc", 3);
	assert_int_equal(fcntl(0, F_GETFD), -1);
	assert_int_equal(dup2(input, 0), 0);
	close(input);
}

static void
a_file_over_the_bound_is_refused(void **state)
{
	static char data[10001];
	struct errtext e;
	char *buf;
	size_t len, max;

	(void)state;
	for (max = 0; max <= 10000; max += 2500) {
		assert_int_equal(file_write_atomic("a", data, max + 1, 0644, NULL), 0);
		assert_int_equal(file_read_all("a", max, &buf, &len, &e), ERR_LIMIT);
		assert_non_null(strstr(e.s, "a is longer than"));
		assert_int_equal(file_read_all("a", max + 1, &buf, &len, &e), 0);
		assert_int_equal(len, max + 1);
		mem_free(buf);
	}
}

static void
a_missing_file_is_told_from_a_failing_one(void **state)
{
	struct errtext e;
	char *buf;
	size_t len;

	(void)state;
	assert_int_equal(file_read_all("nowhere", 10, &buf, &len, &e), ERR_NOTFOUND);
	assert_string_equal(e.s, "cannot open nowhere: No such file or directory");
	assert_int_equal(file_read_all(".", 10, &buf, &len, &e), ERR_INVALID);
	assert_string_equal(e.s, "cannot read .: Is a directory");
}

static void
want_of_memory_is_an_error(void **state)
{
	static char data[20000];
	char *buf;
	size_t len;
	long i;

	(void)state;
	assert_int_equal(file_write_atomic("a", data, sizeof(data), 0644, NULL), 0);
	for (i = 0; i < 4; i++) {
		mem_fail_after(i);
		assert_int_equal(file_read_all("a", 1 << 20, &buf, &len, NULL), ERR_NOMEM);
	}
	mem_fail_after(0);
	assert_int_equal(file_write_atomic("a", "x", 1, 0644, NULL), ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
	assert_content("a", data, sizeof(data));
}

static void
a_replacement_has_the_mode_asked_for(void **state)
{
	struct stat sb;

	(void)state;
	assert_int_equal(file_write_atomic("a", "one", 3, 0644, NULL), 0);
	assert_int_equal(file_write_atomic("a", "two", 3, 0600, NULL), 0);
	assert_int_equal(stat("a", &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	assert_content("a", "two", 3);
}

/* A power cut after that leaves the new file, with its content. */
static void
a_replacement_and_its_directory_are_synced(void **state)
{
	char whole[sizeof dir + 2];
	const char *const paths[] = { "a", "./a", whole };
	struct stat here, file;

	(void)state;
	snprintf(whole, sizeof whole, "%s/a", dir);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		memset(synced, 0, sizeof synced);
		assert_int_equal(file_write_atomic(paths[i], "x", 1, 0600, NULL), 0);
		assert_int_equal(stat("a", &file), 0);
		assert_int_equal(stat(".", &here), 0);
		assert_int_equal(synced[0].st_ino, file.st_ino);
		assert_int_equal(synced[1].st_ino, here.st_ino);
	}
}

static void
a_full_disk_leaves_the_old_file_and_no_other(void **state)
{
	struct rlimit old, small;
	struct errtext e;
	static char data[8192];

	(void)state;
	assert_int_equal(file_write_atomic("a", "old", 3, 0644, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 4096; /* a limit of the file size fails write(2) as a full disk does */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(file_write_atomic("a", data, sizeof(data), 0644, &e), ERR_SYS);
	assert_string_equal(e.s, "cannot write a: File too large");
	assert_int_equal(file_create_new("b", data, sizeof(data), 0644, &e), ERR_SYS);
	assert_string_equal(e.s, "cannot write b: File too large");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_content("a", "old", 3);
	assert_int_equal(files_here(), 1);
	assert_int_equal(file_write_atomic("no/where", "x", 1, 0644, &e), ERR_SYS);
}

static void
each_step_that_fails_is_named_and_undone(void **state)
{
	static const struct {
		const char *call, *text;
		int error;
	} t[] = {
		{ "fchmod", "cannot set the mode of a: Operation not permitted", EPERM },
		{ "fsync", "cannot sync a: Input/output error", EIO },
		{ "close", "cannot close a: No space left on device", ENOSPC },
		{ "rename", "cannot replace a: Is a directory", EISDIR },
	};
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		assert_int_equal(file_write_atomic("a", "old", 3, 0600, NULL), 0);
		failing = t[i].call;
		failure = t[i].error;
		assert_int_equal(file_write_atomic("a", "new", 3, 0600, &e), ERR_SYS);
		failing = NULL;
		assert_string_equal(e.s, t[i].text);
		assert_content("a", "old", 3);
		assert_int_equal(files_here(), 1);
		assert_int_equal(unlink("a"), 0);
		if (strcmp(t[i].call, "rename") == 0)
			continue;
		failing = t[i].call;
		assert_int_equal(file_create_new("a", "new", 3, 0600, &e), ERR_SYS);
		failing = NULL;
		assert_string_equal(e.s, t[i].text);
		assert_int_equal(files_here(), 0);
	}
	/* What has no disk behind it need not be synced. */
	failing = "fsync";
	for (int i = 0; i < 2; i++) {
		failure = i == 0 ? EINVAL : EROFS;
		assert_int_equal(file_write_atomic("a", "new", 3, 0600, NULL), 0);
	}
	failing = NULL;
	assert_content("a", "new", 3);
}

static void
a_new_file_never_takes_the_place_of_another(void **state)
{
	struct errtext e;
	struct stat sb;

	(void)state;
	assert_int_equal(file_create_new("a", "key", 3, 0600, &e), 0);
	assert_int_equal(stat("a", &sb), 0);
	assert_int_equal(sb.st_mode & 07777, 0600);
	assert_int_equal(file_create_new("a", "other", 5, 0600, &e), ERR_EXISTS);
	assert_content("a", "key", 3);
	assert_int_equal(symlink("b", "link"), 0);
	assert_int_equal(file_create_new("link", "other", 5, 0600, &e), ERR_EXISTS);
	assert_int_equal(access("b", F_OK), -1);
}

static void
a_stamp_sees_each_kind_of_change(void **state)
{
	struct file_stamp a, b;
	struct timespec when[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	(void)state;
	file_stamp_take(&a, "a");
	assert_false(a.exists);
	assert_int_equal(file_write_atomic("a", "1", 1, 0644, NULL), 0);
	file_stamp_take(&b, "a");
	assert_true(b.exists);
	assert_false(file_stamp_same(&a, &b));
	file_stamp_take(&a, "a");
	assert_true(file_stamp_same(&a, &b));
	assert_int_equal(file_write_atomic("a", "2", 1, 0644, NULL), 0);
	file_stamp_take(&b, "a");
	assert_false(file_stamp_same(&a, &b));
	assert_int_equal(utimensat(AT_FDCWD, "a", when, 0), 0);
	file_stamp_take(&a, "a");
	assert_false(file_stamp_same(&a, &b));
}

static void
what_is_no_file_is_not_replaced(void **state)
{
	struct stat sb;
	struct errtext e;
	char got[8];
	int fd;

	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(file_write_atomic("fifo", "x", 1, 0644, &e), ERR_SYS); /* no reader */
	fd = open("fifo", O_RDONLY | O_NONBLOCK);
	assert_int_equal(file_write_atomic("fifo", "line", 4, 0644, NULL), 0);
	assert_int_equal(read(fd, got, sizeof(got)), 4);
	assert_memory_equal(got, "line", 4);
	close(fd);
	assert_int_equal(lstat("fifo", &sb), 0);
	assert_true(S_ISFIFO(sb.st_mode));

	/* As /dev/stdout is, where it is a file. */
	assert_int_equal(file_write_atomic("target", "old", 3, 0644, NULL), 0);
	assert_int_equal(symlink("target", "link"), 0);
	assert_int_equal(file_write_atomic("link", "newer", 5, 0644, NULL), 0);
	assert_int_equal(lstat("link", &sb), 0);
	assert_true(S_ISLNK(sb.st_mode));
	assert_int_equal(stat("target", &sb), 0);
	assert_int_equal(sb.st_size, 5);
	unlink("fifo");
	unlink("link");
	unlink("target");
}

static void
read_much(void)
{
	char *p = NULL;
	size_t n = 0;

	assert_int_equal(file_read_all("a", 300000, &p, &n, NULL), 0);
	assert_int_equal(n, 200000);
	mem_free(p);
	/* Too large: found when it has been read so far. */
	assert_int_equal(file_read_all("a", 100000, &p, &n, NULL), ERR_LIMIT);
}

static void
what_was_read_in_pieces_is_given_back(void **state)
{
	static char much[200000];

	(void)state;
	memset(much, 'x', sizeof much);
	assert_int_equal(file_write_atomic("a", much, sizeof much, 0600, NULL), 0);
	heap_is_given_back(read_much);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_size_is_read_back, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    descriptor_0_is_one_like_any_other, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    a_file_over_the_bound_is_refused, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    a_missing_file_is_told_from_a_failing_one, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(want_of_memory_is_an_error, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    what_was_read_in_pieces_is_given_back, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    a_replacement_has_the_mode_asked_for, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    a_replacement_and_its_directory_are_synced, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    a_full_disk_leaves_the_old_file_and_no_other, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    each_step_that_fails_is_named_and_undone, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    a_new_file_never_takes_the_place_of_another, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    a_stamp_sees_each_kind_of_change, enter_dir, leave_dir),
		cmocka_unit_test_setup_teardown(
		    what_is_no_file_is_not_replaced, enter_dir, leave_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
