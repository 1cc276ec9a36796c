/* SPDX-License-Identifier: ISC */
/* dial_test - dialling each kind of target, and every way in which that fails. */
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
#include "lib/net/addr.h"
#include "lib/net/dial.h"
#include "lib/net/listen.h"
#include "test/unit/listen_on.h"

enum { DIAL_MS = 5000 };

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
	assert_non_null(dial_start(d.l, host, port, 0, timeout_ms, on_dialed, &d));
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
	struct addr a;
	int fd = listen_on("127.0.0.1:0", &a), s;

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		struct dialed d = dial(hosts[i], addr_port(&a), DIAL_MS);

		if (d.err != 0)
			fail_msg("%s: %s", hosts[i], d.text);
		assert_int_equal(listen_accept(fd, &s, NULL), 0);
		close(s);
		close(d.fd);
	}
	listen_close(fd);
}

static void
ipv6_and_unix_are_dialled(void **state)
{
	char dir[] = "/tmp/net_test.XXXXXX", spec[64];
	struct addr a;
	struct dialed d;
	int fd = listen_on("[::1]:0", &a);

	(void)state;
	d = dial("[::1]", addr_port(&a), DIAL_MS);
	assert_int_equal(d.err, 0);
	close(d.fd);
	listen_close(fd);
	assert_non_null(mkdtemp(dir));
	snprintf(spec, sizeof spec, "unix:%s/s", dir);
	fd = listen_on(spec, &a);
	d = dial(spec, 0, DIAL_MS);
	assert_int_equal(d.err, 0);
	close(d.fd);
	listen_close(fd);
	d = dial(spec, 0, DIAL_MS);
	assert_int_equal(d.err, ERR_CLOSED);
	assert_non_null(strstr(d.text, spec));
	rmdir(dir);
}

/* Takes one connection from a listener, so that there is room for another. */
static void
take_one(void *arg)
{
	int s;

	assert_int_equal(listen_accept(*(int *)arg, &s, NULL), 0);
	close(s);
}

static void
a_full_unix_socket_is_waited_for(void **state)
{
	char path[64];
	struct dialed d = { .l = loop_new(), .fd = -1 }, late;
	int fd, fillers[8], n = 0;
	struct timer t = { 0 };
	struct addr a;

	(void)state;
	snprintf(path, sizeof path, "unix:/tmp/dial_test.%d", (int)getpid());
	fd = listen_on(path, &a);
	assert_int_equal(listen(fd, 0), 0);
	for (;; n++) {
		assert_true(n < 8);
		fillers[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (connect(fillers[n], &a.u.sa, a.len) != 0)
			break;
	}
	assert_int_equal(errno, EAGAIN);
	/* For ever: */
	late = dial(path, 0, 3 * DIAL_FULL_MS);
	assert_int_equal(late.err, ERR_TIMEOUT);
	assert_non_null(strstr(late.text, "Resource temporarily unavailable"));
	/* For a while: */
	assert_non_null(dial_start(d.l, path, 0, 0, DIAL_MS, on_dialed, &d));
	assert_int_equal(timer_init(&t, d.l, take_one, &fd), 0);
	timer_set(&t, 3 * DIAL_FULL_MS);
	assert_int_equal(loop_run(d.l), 0);
	assert_int_equal(d.err, 0);
	close(d.fd);
	timer_fini(&t);
	loop_free(d.l);
	for (; n >= 0; n--)
		close(fillers[n]);
	listen_close(fd);
	unlink(path + 5);
}

static void
a_refusal_names_each_address(void **state)
{
	struct addr a;
	char text[ADDR_TEXT];
	int fd = listen_on("127.0.0.1:0", &a);
	struct dialed d;

	(void)state;
	listen_close(fd);
	d = dial("localhost", addr_port(&a), DIAL_MS);
	assert_int_equal(d.err, ERR_CLOSED);
	assert_non_null(strstr(d.text, "cannot connect to localhost:"));
	assert_non_null(strstr(d.text, "[::1]:"));
	assert_non_null(strstr(d.text, addr_text(&a, text)));
	assert_non_null(strstr(d.text, "Connection refused"));
}

static bool
only_ipv6(void *arg, const struct addr *a)
{
	int *asked = arg;

	++*asked;
	return a->u.sa.sa_family == AF_INET6;
}

static bool
nothing(void *arg, const struct addr *a)
{
	return only_ipv6(arg, a) && false; /* counted there */
}

static void
addresses_that_may_not_be_tried_are_left_out(void **state)
{
	static bool (*const may[])(void *, const struct addr *) = { only_ipv6, nothing };
	struct addr a;
	int fd = listen_on("127.0.0.1:0", &a);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct dialed d = { .l = loop_new(), .fd = -1 };
		int asked = 0;
		struct dial *n =
		    dial_start(d.l, "localhost", addr_port(&a), 0, DIAL_MS, on_dialed, &d);

		assert_non_null(n);
		dial_set_vet(n, may[i], &asked);
		assert_int_equal(loop_run(d.l), 0);
		assert_int_equal(asked, 2);
		assert_int_equal(d.err, i == 0 ? ERR_CLOSED : ERR_DENIED);
		assert_non_null(strstr(d.text, "not allowed"));
		loop_free(d.l);
	}
	listen_close(fd);
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
	struct addr a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), full[8];
	struct dialed d;

	(void)state;
	assert_true(addr_literal("127.0.0.1", 0, &a));
	assert_int_equal(bind(fd, &a.u.sa, a.len), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(addr_local(fd, &a), 0);
	for (int i = 0; i < 8; i++) {
		full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		IGNORE_RESULT(
		    connect(full[i], &a.u.sa, a.len)); /* the first succeed, the others hang */
	}
	d = dial("127.0.0.1", addr_port(&a), 100);
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
		struct dial *n = dial_start(d.l, hosts[i], 1, 0, DIAL_MS, on_dialed, &d);

		assert_non_null(n);
		dial_cancel(n);
		loop_free(d.l);
		assert_int_equal(d.n, 0);
	}
	dial_cancel(NULL);
}

static void
every_failed_allocation_is_told(void **state)
{
	bool started = false;

	(void)state;
	for (long n = 0; !started; n++) {
		struct dialed d = { .l = loop_new() };
		struct dial *dial;

		mem_fail_after(n);
		dial = dial_start(d.l, "no-such-host.invalid", 1, 0, DIAL_MS, on_dialed, &d);
		mem_fail_after(MEM_NO_FAIL);
		started = dial != NULL;
		/*
		 * It answers for itself, and whoever was told so hears nothing more.  One that was
		 * started may have its answer in this turn.
		 */
		assert_true(started || n < 100);
		if (!started)
			loop_settle(d.l);
		assert_int_equal(d.n, 0);
		dial_cancel(dial);
		loop_free(d.l);
		assert_true(!started || n > 2);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literal_addresses_and_localhost_are_dialled),
		cmocka_unit_test(ipv6_and_unix_are_dialled),
		cmocka_unit_test(a_full_unix_socket_is_waited_for),
		cmocka_unit_test(a_refusal_names_each_address),
		cmocka_unit_test(addresses_that_may_not_be_tried_are_left_out),
		cmocka_unit_test(unusable_targets_fail_with_a_text),
		cmocka_unit_test(silence_ends_with_the_deadline),
		cmocka_unit_test(a_dial_may_be_cancelled_at_any_time),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
