/* SPDX-License-Identifier: ISC */
/* listen_test - listeners of each kind, and what they accept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/listen.h"
#include "test/unit/listen_on.h"

static void
a_port_in_use_is_told(void **state)
{
	struct addr a;
	char text[ADDR_TEXT];
	struct errtext e;
	int fd = listen_on("127.0.0.1:0", &a), other;

	(void)state;
	assert_true(addr_port(&a) != 0);
	assert_int_equal(listen_open(addr_text(&a, text), &other, &e), ERR_SYS);
	assert_non_null(strstr(e.s, text));
	assert_non_null(strstr(e.s, "another program"));
	listen_close(fd);
}

static void
every_address_takes_ipv4_too(void **state)
{
	struct addr a, peer;
	int fd = listen_on(":0", &a), c, s;
	uint16_t port = addr_port(&a);
	char host[ADDR_TEXT];

	(void)state;
	assert_true(addr_literal("127.0.0.1", port, &a));
	c = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(c, &a.u.sa, a.len), 0);
	assert_int_equal(listen_accept(fd, &s, &peer), 0);
	assert_string_equal(addr_host(&peer, host), "127.0.0.1");
	assert_true(fcntl(s, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(s, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(listen_accept(fd, &s, NULL), ERR_AGAIN);
	close(c);
	close(s);
	listen_close(fd);
}

static void
out_of_descriptors_is_told_from_nothing_to_accept(void **state)
{
	struct rlimit old, low;
	struct addr a;
	int fd = listen_on("127.0.0.1:0", &a), c = socket(AF_INET, SOCK_STREAM, 0), s, r;

	(void)state;
	assert_int_equal(connect(c, &a.u.sa, a.len), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)c + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	r = listen_accept(fd, &s, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, ERR_LIMIT);
	assert_int_equal(listen_accept(fd, &s, NULL), 0);
	close(s);
	close(c);
	listen_close(fd);
}

static void
unix_sockets_are_private_and_stale_ones_replaced(void **state)
{
	char dir[] = "/tmp/net_test.XXXXXX", spec[80], path[64];
	struct addr a;
	struct errtext e;
	struct stat st;
	int fd, other, plain;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
	snprintf(spec, sizeof spec, "unix:%s", path);
	fd = listen_on(spec, &a);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(listen_open(spec, &other, &e), ERR_EXISTS);
	/* Closed without removing its path: stale. */
	close(fd);
	fd = listen_on(spec, &a);
	listen_close(fd);
	assert_int_equal(stat(path, &st), -1);
	/* Anything else there is left alone. */
	plain = open(path, O_CREAT | O_WRONLY, 0600);
	close(plain);
	assert_int_equal(listen_open(spec, &other, &e), ERR_EXISTS);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
	rmdir(dir);
}

enum { RACERS = 6, RACES = 60 };

/* A racer: listen on spec as soon as begin ends; exit status 0 if that works, after end has ended, 3 if another program listens. */
static pid_t
start_racer(const char *spec, const int begin[2], const int end[2], int told)
{
	struct errtext e;
	char c;
	int fd, r;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	close(begin[1]);
	close(end[1]);
	while (read(begin[0], &c, 1) > 0)
		;
	r = listen_open(spec, &fd, &e);
	if (write(told, r == 0 ? "y" : "n", 1) != 1)
		_exit(4);
	while (read(end[0], &c, 1) > 0)
		;
	_exit(r == 0 ? 0 : r == ERR_EXISTS ? 3 : 5);
}

/* Start RACERS at once, look at the path when all have had their answer, let them go; returns how many listened. */
static int
race(const char *spec, const struct addr *a)
{
	int begin[2], end[2], told[2], n = 0, status, s;
	pid_t pids[RACERS];
	char c;

	assert_int_equal(pipe(begin) | pipe(end) | pipe(told), 0);
	for (int i = 0; i < RACERS; i++)
		assert_true((pids[i] = start_racer(spec, begin, end, told[1])) > 0);
	close(begin[1]);
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(read(told[0], &c, 1), 1);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(s, &a->u.sa, a->len), 0);
	close(s);
	close(end[1]);
	for (int i = 0; i < RACERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
		n += WEXITSTATUS(status) == 0;
	}
	close(begin[0]);
	close(end[0]);
	close(told[0]);
	close(told[1]);
	return n;
}

static void
one_of_many_gets_a_stale_path(void **state)
{
	char dir[] = "/tmp/net_test.XXXXXX", spec[80];
	struct addr a;
	struct errtext e;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof spec, "unix:%s/s", dir);
	assert_int_equal(addr_parse(spec, &a, &e), 0);
	close(listen_on(spec, &a)); /* stale from here on: each round leaves it so */
	for (int i = 0; i < RACES; i++)
		assert_int_equal(race(spec, &a), 1);
	fd = listen_on(spec, &a);
	listen_close(fd);
	assert_int_equal(rmdir(dir), 0); /* nothing is left in it */
}

static void
the_path_of_another_listener_is_not_removed(void **state)
{
	char dir[] = "/tmp/net_test.XXXXXX", spec[80], path[64];
	struct addr a;
	struct stat st;
	int first, second;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
	snprintf(spec, sizeof spec, "unix:%s", path);
	first = listen_on(spec, &a);
	assert_int_equal(unlink(path), 0); /* an operator does that */
	second = listen_on(spec, &a);
	listen_close(first);
	assert_int_equal(stat(path, &st), 0);
	listen_close(second);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_in_use_is_told),
		cmocka_unit_test(every_address_takes_ipv4_too),
		cmocka_unit_test(out_of_descriptors_is_told_from_nothing_to_accept),
		cmocka_unit_test(unix_sockets_are_private_and_stale_ones_replaced),
		cmocka_unit_test(one_of_many_gets_a_stale_path),
		cmocka_unit_test(the_path_of_another_listener_is_not_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
