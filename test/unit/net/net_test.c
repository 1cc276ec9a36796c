/* SPDX-License-Identifier: ISC */
/* net_test - addresses as text and back, listeners of each kind, and dialling them. */
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

#include "lib/base/mem.h"
#include "lib/net/net.h"
#include "lib/net/net_dial.h"

enum { DIAL_MS = 5000 };

/* ---- addresses ---- */

static void
addresses_are_written_as_they_are_read(void **state)
{
	static const struct {
		const char *in, *out, *host;
		uint16_t port;
		bool loopback;
	} cases[] = {
		{ "127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", 80, true },
		{ "127.9.9.9:1", "127.9.9.9:1", "127.9.9.9", 1, true },
		{ "192.0.2.1:65535", "192.0.2.1:65535", "192.0.2.1", 65535, false },
		{ "[::1]:443", "[::1]:443", "::1", 443, true },
		{ "[2001:db8::1]:0", "[2001:db8::1]:0", "2001:db8::1", 0, false },
		{ "[::ffff:127.0.0.1]:5", "127.0.0.1:5", "127.0.0.1", 5, true },
		{ "[::ffff:192.0.2.1]:5", "192.0.2.1:5", "192.0.2.1", 5, false },
		{ ":80", "[::]:80", "::", 80, false },
		{ "localhost:80", "127.0.0.1:80", "127.0.0.1", 80, true },
		{ "unix:/run/x.sock", "unix:/run/x.sock", "unix", 0, true },
	};
	char text[NET_ADDR_TEXT];
	struct net_addr a;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(net_addr_parse(cases[i].in, &a, &e), 0);
		assert_string_equal(net_addr_text(&a, text), cases[i].out);
		assert_string_equal(net_addr_host(&a, text), cases[i].host);
		assert_int_equal(net_addr_port(&a), cases[i].port);
		assert_int_equal(net_addr_is_loopback(&a), cases[i].loopback);
	}
}

static void
wrong_addresses_are_refused_with_a_text(void **state)
{
	static const char *const cases[] = { "", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
		"127.0.0.1:x", "::1:80", "[::1]", "[::1:80", "example.com:80", "256.0.0.1:80",
		"unix:", "[fe80::1%nosuchif]:80" };
	char lengthy[200];
	struct net_addr a;
	struct errtext e;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		errtext_clear(&e);
		if (net_addr_parse(cases[i], &a, &e) != ERR_INVALID)
			fail_msg("%s", cases[i]);
		assert_true(e.s[0] != 0);
	}
	snprintf(lengthy, sizeof lengthy, "unix:/%0150d", 1);
	assert_int_equal(net_addr_parse(lengthy, &a, NULL), ERR_INVALID);
}

/* ---- listening and accepting ---- */

static int
listen_on(const char *spec, struct net_addr *a)
{
	struct errtext e;
	int fd;

	if (net_listen(spec, &fd, &e) != 0)
		fail_msg("%s: %s", spec, e.s);
	assert_int_equal(net_local(fd, a), 0);
	return fd;
}

static void
a_port_in_use_is_told(void **state)
{
	struct net_addr a;
	char text[NET_ADDR_TEXT];
	struct errtext e;
	int fd = listen_on("127.0.0.1:0", &a), other;

	(void)state;
	assert_true(net_addr_port(&a) != 0);
	assert_int_equal(net_listen(net_addr_text(&a, text), &other, &e), ERR_SYS);
	assert_non_null(strstr(e.s, text));
	assert_non_null(strstr(e.s, "another program"));
	net_listen_close(fd);
}

static void
every_address_takes_ipv4_too(void **state)
{
	struct net_addr a, peer;
	int fd = listen_on(":0", &a), c, s;
	uint16_t port = net_addr_port(&a);
	char host[NET_ADDR_TEXT];

	(void)state;
	assert_true(net_addr_literal("127.0.0.1", port, &a));
	c = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(c, &a.u.sa, a.len), 0);
	assert_int_equal(net_accept(fd, &s, &peer), 0);
	assert_string_equal(net_addr_host(&peer, host), "127.0.0.1");
	assert_true(fcntl(s, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(s, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(net_accept(fd, &s, NULL), ERR_AGAIN);
	net_keepalive(s, 10, 5, 3);
	close(c);
	close(s);
	net_listen_close(fd);
}

static void
out_of_descriptors_is_told_from_nothing_to_accept(void **state)
{
	struct rlimit old, low;
	struct net_addr a;
	int fd = listen_on("127.0.0.1:0", &a), c = socket(AF_INET, SOCK_STREAM, 0), s, r;

	(void)state;
	assert_int_equal(connect(c, &a.u.sa, a.len), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)c + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	r = net_accept(fd, &s, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, ERR_LIMIT);
	assert_int_equal(net_accept(fd, &s, NULL), 0);
	close(s);
	close(c);
	net_listen_close(fd);
}

static void
unix_sockets_are_private_and_stale_ones_replaced(void **state)
{
	char dir[] = "/tmp/net_test.XXXXXX", spec[80], path[64];
	struct net_addr a;
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
	assert_int_equal(net_listen(spec, &other, &e), ERR_EXISTS);
	/* Closed without removing its path: stale. */
	close(fd);
	fd = listen_on(spec, &a);
	net_listen_close(fd);
	assert_int_equal(stat(path, &st), -1);
	/* Anything else there is left alone. */
	plain = open(path, O_CREAT | O_WRONLY, 0600);
	close(plain);
	assert_int_equal(net_listen(spec, &other, &e), ERR_EXISTS);
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
	r = net_listen(spec, &fd, &e);
	if (write(told, r == 0 ? "y" : "n", 1) != 1)
		_exit(4);
	while (read(end[0], &c, 1) > 0)
		;
	_exit(r == 0 ? 0 : r == ERR_EXISTS ? 3 : 5);
}

/* Start RACERS at once, look at the path when all have had their answer, let them go; returns how many listened. */
static int
race(const char *spec, const struct net_addr *a)
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
	struct net_addr a;
	struct errtext e;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof spec, "unix:%s/s", dir);
	assert_int_equal(net_addr_parse(spec, &a, &e), 0);
	close(listen_on(spec, &a)); /* stale from here on: each round leaves it so */
	for (int i = 0; i < RACES; i++)
		assert_int_equal(race(spec, &a), 1);
	fd = listen_on(spec, &a);
	net_listen_close(fd);
	assert_int_equal(rmdir(dir), 0); /* nothing is left in it */
}

static void
the_path_of_another_listener_is_not_removed(void **state)
{
	char dir[] = "/tmp/net_test.XXXXXX", spec[80], path[64];
	struct net_addr a;
	struct stat st;
	int first, second;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/s", dir);
	snprintf(spec, sizeof spec, "unix:%s", path);
	first = listen_on(spec, &a);
	assert_int_equal(unlink(path), 0); /* an operator does that */
	second = listen_on(spec, &a);
	net_listen_close(first);
	assert_int_equal(stat(path, &st), 0);
	net_listen_close(second);
	assert_int_equal(rmdir(dir), 0);
}

/* ---- dialling ---- */

struct dialed {
	struct loop *l;
	int n, fd, err;
	char text[ERR_TEXT_MAX];
};

static void
on_dialed(void *arg, int fd, int err, const char *text)
{
	struct dialed *d = arg;

	d->n++;
	d->fd = fd;
	d->err = err;
	snprintf(d->text, sizeof d->text, "%s", text);
	loop_stop(d->l);
}

/* Dial and wait for the end, which comes by itself or by the dial's own deadline. */
static struct dialed
dial(const char *host, uint16_t port, uint64_t timeout_ms)
{
	struct dialed d = { .l = loop_new(), .fd = -1 };

	assert_non_null(d.l);
	assert_non_null(net_dial_start(d.l, host, port, timeout_ms, on_dialed, &d));
	assert_int_equal(d.n, 0);
	assert_int_equal(loop_run(d.l), 0);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.err == 0, d.fd >= 0);
	assert_int_equal(d.err == 0, d.text[0] == 0);
	loop_free(d.l);
	return d;
}

static void
literal_addresses_and_localhost_are_dialled(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "LOCALHOST", "x.localhost" };
	struct net_addr a;
	int fd = listen_on("127.0.0.1:0", &a), s;

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		struct dialed d = dial(hosts[i], net_addr_port(&a), DIAL_MS);

		if (d.err != 0)
			fail_msg("%s: %s", hosts[i], d.text);
		assert_int_equal(net_accept(fd, &s, NULL), 0);
		close(s);
		close(d.fd);
	}
	net_listen_close(fd);
}

static void
ipv6_and_unix_are_dialled(void **state)
{
	char dir[] = "/tmp/net_test.XXXXXX", spec[64];
	struct net_addr a;
	struct dialed d;
	int fd = listen_on("[::1]:0", &a);

	(void)state;
	d = dial("[::1]", net_addr_port(&a), DIAL_MS);
	assert_int_equal(d.err, 0);
	close(d.fd);
	net_listen_close(fd);
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof spec, "unix:%s/s", dir);
	fd = listen_on(spec, &a);
	d = dial(spec, 0, DIAL_MS);
	assert_int_equal(d.err, 0);
	close(d.fd);
	net_listen_close(fd);
	d = dial(spec, 0, DIAL_MS);
	assert_int_equal(d.err, ERR_CLOSED);
	assert_non_null(strstr(d.text, spec));
	rmdir(dir);
}

static void
a_refusal_names_each_address(void **state)
{
	struct net_addr a;
	char text[NET_ADDR_TEXT];
	int fd = listen_on("127.0.0.1:0", &a);
	struct dialed d;

	(void)state;
	net_listen_close(fd);
	d = dial("localhost", net_addr_port(&a), DIAL_MS);
	assert_int_equal(d.err, ERR_CLOSED);
	assert_non_null(strstr(d.text, "cannot connect to localhost:"));
	assert_non_null(strstr(d.text, "[::1]:"));
	assert_non_null(strstr(d.text, net_addr_text(&a, text)));
	assert_non_null(strstr(d.text, "Connection refused"));
}

static bool
only_ipv6(void *arg, const struct sockaddr *sa)
{
	int *asked = arg;

	++*asked;
	return sa->sa_family == AF_INET6;
}

static bool
nothing(void *arg, const struct sockaddr *sa)
{
	return only_ipv6(arg, sa) && false; /* counted there */
}

static void
addresses_that_may_not_be_tried_are_left_out(void **state)
{
	static bool (*const may[])(void *, const struct sockaddr *) = { only_ipv6, nothing };
	struct net_addr a;
	int fd = listen_on("127.0.0.1:0", &a);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct dialed d = { .l = loop_new(), .fd = -1 };
		int asked = 0;
		struct net_dial *n =
		    net_dial_start(d.l, "localhost", net_addr_port(&a), DIAL_MS, on_dialed, &d);

		assert_non_null(n);
		net_dial_set_vet(n, may[i], &asked);
		assert_int_equal(loop_run(d.l), 0);
		assert_int_equal(asked, 2);
		assert_int_equal(d.err, i == 0 ? ERR_CLOSED : ERR_DENIED);
		assert_non_null(strstr(d.text, "not allowed"));
		loop_free(d.l);
	}
	net_listen_close(fd);
}

static void
unusable_targets_fail_with_a_text(void **state)
{
	static const char *const hosts[] = { "", "a b", "unix:", "[::1", "\x1b[31m" };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		struct dialed d = dial(hosts[i], 1, DIAL_MS);

		assert_int_equal(d.err, ERR_CLOSED);
		assert_null(strchr(d.text, 0x1b));
	}
}

/* A listener whose queue is full drops what comes: the address neither takes nor refuses. */
static void
silence_ends_with_the_deadline(void **state)
{
	struct net_addr a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), full[8];
	struct dialed d;

	(void)state;
	assert_true(net_addr_literal("127.0.0.1", 0, &a));
	assert_int_equal(bind(fd, &a.u.sa, a.len), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(net_local(fd, &a), 0);
	for (int i = 0; i < 8; i++) {
		full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		IGNORE_RESULT(
		    connect(full[i], &a.u.sa, a.len)); /* the first succeed, the others hang */
	}
	d = dial("127.0.0.1", net_addr_port(&a), 100);
	assert_int_equal(d.err, ERR_TIMEOUT);
	assert_non_null(strstr(d.text, "timed out"));
	for (int i = 0; i < 8; i++)
		close(full[i]);
	close(fd);
}

static void
a_dial_may_be_cancelled_at_any_time(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "no-such-host.invalid" };

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		struct dialed d = { .l = loop_new() };
		struct net_dial *n = net_dial_start(d.l, hosts[i], 1, DIAL_MS, on_dialed, &d);

		assert_non_null(n);
		net_dial_cancel(n);
		loop_free(d.l);
		assert_int_equal(d.n, 0);
	}
	net_dial_cancel(NULL);
}

static void
every_failed_allocation_is_told(void **state)
{
	bool started = false;

	(void)state;
	for (long n = 0; !started; n++) {
		struct dialed d = { .l = loop_new() };
		struct net_dial *dial;

		mem_fail_after(n);
		dial = net_dial_start(d.l, "no-such-host.invalid", 1, DIAL_MS, on_dialed, &d);
		mem_fail_after(MEM_NO_FAIL);
		started = dial != NULL;
		net_dial_cancel(dial);
		loop_free(d.l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_written_as_they_are_read),
		cmocka_unit_test(wrong_addresses_are_refused_with_a_text),
		cmocka_unit_test(a_port_in_use_is_told),
		cmocka_unit_test(every_address_takes_ipv4_too),
		cmocka_unit_test(out_of_descriptors_is_told_from_nothing_to_accept),
		cmocka_unit_test(unix_sockets_are_private_and_stale_ones_replaced),
		cmocka_unit_test(one_of_many_gets_a_stale_path),
		cmocka_unit_test(the_path_of_another_listener_is_not_removed),
		cmocka_unit_test(literal_addresses_and_localhost_are_dialled),
		cmocka_unit_test(ipv6_and_unix_are_dialled),
		cmocka_unit_test(a_refusal_names_each_address),
		cmocka_unit_test(addresses_that_may_not_be_tried_are_left_out),
		cmocka_unit_test(unusable_targets_fail_with_a_text),
		cmocka_unit_test(silence_ends_with_the_deadline),
		cmocka_unit_test(a_dial_may_be_cancelled_at_any_time),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
