/* SPDX-License-Identifier: ISC */
/*
 * listen_test - listeners of each kind, and what they accept.
 *
 * link: -Wl,--wrap=accept4,--wrap=bind,--wrap=socket
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/listen.h"
#include "test/unit/listen_on.h"

/* ---- errors that this machine does not have; 0: the kernel's own answer ---- */

static int accept_error, bind_error;
static bool no_ipv6;

int __real_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int __real_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);

int
__wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	errno = accept_error;
	return accept_error != 0 ? -1 : __real_accept4(fd, sa, len, flags);
}

int
__wrap_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	errno = bind_error;
	return bind_error != 0 ? -1 : __real_bind(fd, sa, len);
}

int
__wrap_socket(int domain, int type, int protocol)
{
	errno = EAFNOSUPPORT;
	return no_ipv6 && domain == AF_INET6 ? -1 : __real_socket(domain, type, protocol);
}

/* ---- */

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

static void
why_nobody_can_listen_there_is_told(void **state)
{
	static const struct {
		int error;
		const char *spec, *hint;
	} t[] = {
		{ EACCES, "127.0.0.1:80",
		    " (ports below 1024 need a privilege: CAP_NET_BIND_SERVICE)" },
		{ EADDRINUSE, "127.0.0.1:80", " (another program listens there)" },
		{ EADDRNOTAVAIL, "127.0.0.1:80", " (this machine has no such address)" },
		{ ENOBUFS, "127.0.0.1:80", "" },
		{ EACCES, "unix:/tmp/listen_test.none", "" },
	};
	char want[ERR_TEXT_MAX];
	struct errtext e;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		bind_error = t[i].error;
		assert_int_equal(listen_open(t[i].spec, &fd, &e), ERR_SYS);
		bind_error = 0;
		snprintf(want, sizeof want, "cannot listen on %s%s: %s", t[i].spec, t[i].hint,
		    strerror(t[i].error));
		assert_string_equal(e.s, want);
	}
	no_ipv6 = true;
	assert_int_equal(listen_open("[::1]:0", &fd, &e), ERR_SYS);
	no_ipv6 = false;
	assert_memory_equal(e.s, "cannot make a socket for [::1]:0: ", 34);
}

static void
every_address_is_ipv4s_without_ipv6(void **state)
{
	struct addr a;
	char host[ADDR_TEXT];
	int fd;

	(void)state;
	no_ipv6 = true;
	fd = listen_on(":0", &a);
	no_ipv6 = false;
	assert_string_equal(addr_host(&a, host), "0.0.0.0");
	listen_close(fd);
}

/*
 * A listener that is broken is told from a connection that is gone, and from want of what comes
 * back.
 */
static void
errors_of_accept_are_told_apart(void **state)
{
	static const struct {
		int error, r;
	} t[] = { { EAGAIN, ERR_AGAIN }, { EMFILE, ERR_LIMIT }, { ENFILE, ERR_LIMIT },
		{ ENOBUFS, ERR_LIMIT }, { ENOMEM, ERR_LIMIT }, { EBADF, ERR_SYS },
		{ EINVAL, ERR_SYS }, { ENOTSOCK, ERR_SYS }, { EFAULT, ERR_SYS },
		{ ECONNABORTED, ERR_CLOSED }, { EPROTO, ERR_CLOSED }, { EPERM, ERR_CLOSED } };
	int fd = -1;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		accept_error = t[i].error;
		assert_int_equal(listen_accept(-1, &fd, NULL), t[i].r);
		assert_int_equal(fd, -1);
	}
	accept_error = 0;
}

/* Whoever begins or ends to listen on a path holds its lock for a moment. */
static void
a_path_that_somebody_keeps_locked_is_told(void **state)
{
	char dir[] = "/tmp/net_test.XXXXXX", spec[80], lock[80];
	struct errtext e;
	int fd, held;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof spec, "unix:%s/s", dir);
	snprintf(lock, sizeof lock, "%s/s.lock", dir);
	held = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(held, LOCK_EX), 0);
	assert_int_equal(listen_open(spec, &fd, &e), ERR_EXISTS);
	assert_non_null(strstr(e.s, "another program holds "));
	assert_non_null(strstr(e.s, lock));
	close(held);
	assert_int_equal(listen_open(spec, &fd, &e), 0);
	listen_close(fd);
	assert_int_equal(rmdir(dir), 0);
	/* Where there can be no lock. */
	assert_int_equal(listen_open(spec, &fd, &e), ERR_SYS);
	assert_non_null(strstr(e.s, "cannot lock "));
}

enum { RACERS = 6, RACES = 60 };

/*
 * A racer: listen on spec as soon as begin ends; exit status 0 if that works, after end has ended,
 * 3 if another program listens.
 */
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

/*
 * Start RACERS at once, look at the path when all have had their answer, let them go; returns how
 * many listened.
 */
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
		cmocka_unit_test(why_nobody_can_listen_there_is_told),
		cmocka_unit_test(every_address_is_ipv4s_without_ipv6),
		cmocka_unit_test(errors_of_accept_are_told_apart),
		cmocka_unit_test(a_path_that_somebody_keeps_locked_is_told),
		cmocka_unit_test(one_of_many_gets_a_stale_path),
		cmocka_unit_test(the_path_of_another_listener_is_not_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
