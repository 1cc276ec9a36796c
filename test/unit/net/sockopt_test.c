/* SPDX-License-Identifier: ISC */
/*
 * sockopt_test - what every socket of ours is given, and what accept(2) may answer.
 *
 * link: -Wl,--wrap=accept4
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/net/dial.h"
#include "lib/net/f_sock.h"
#include "lib/net/listen.h"
#include "test/unit/listen_on.h"
#include "test/unit/sockpair.h"

int __real_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);

/* What accept4(2) fails with; 0: it is the kernel's. */
static int accept_error;

int
__wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	if (accept_error == 0)
		return __real_accept4(fd, sa, len, flags);
	errno = accept_error;
	return -1;
}

struct dialled {
	struct loop *l;
	int fd;
};

static void
on_dialled(void *arg, int fd, int err, const char *text)
{
	struct dialled *d = arg;

	(void)err;
	(void)text;
	d->fd = fd;
	loop_stop(d->l);
}

static void
is_ours(int fd)
{
	int nodelay = 0;
	socklen_t len = sizeof nodelay;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len), 0);
	assert_true(nodelay != 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void
both_ends_of_a_connection_send_at_once(void **state)
{
	struct dialled d = { .l = loop_new(), .fd = -1 };
	struct addr at, from, peer;
	int listener = listen_on("127.0.0.1:0", &at), fd = -1;

	(void)state;
	assert_non_null(dial_start(d.l, "127.0.0.1", addr_port(&at), 0, 5000, on_dialled, &d));
	assert_int_equal(loop_run(d.l), 0);
	assert_true(d.fd >= 0);
	is_ours(d.fd);
	assert_int_equal(listen_accept(listener, &fd, &peer), 0);
	is_ours(fd);
	assert_int_equal(addr_local(d.fd, &from), 0);
	assert_int_equal(addr_port(&peer), addr_port(&from));
	/* There is no other. */
	assert_int_equal(listen_accept(listener, &fd, NULL), ERR_AGAIN);
	close(d.fd);
	close(fd);
	close(listener);
	loop_free(d.l);
}

/* Who waits goes on later, who lacks something rests, and a broken listener is not tried again. */
static void
each_error_of_accept_has_its_answer(void **state)
{
	static const struct {
		int error, answer;
	} all[] = {
		{ EAGAIN, ERR_AGAIN },
		{ EMFILE, ERR_LIMIT },
		{ ENFILE, ERR_LIMIT },
		{ ENOBUFS, ERR_LIMIT },
		{ ENOMEM, ERR_LIMIT },
		{ EBADF, ERR_SYS },
		{ EINVAL, ERR_SYS },
		{ ENOTSOCK, ERR_SYS },
		{ EFAULT, ERR_SYS },
		{ ECONNABORTED, ERR_CLOSED },
		{ EPROTO, ERR_CLOSED },
		{ ENETDOWN, ERR_CLOSED },
	};
	int fd = -1;

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		accept_error = all[i].error;
		assert_int_equal(listen_accept(0, &fd, NULL), all[i].answer);
		assert_int_equal(fd, -1);
	}
	accept_error = 0;
}

static int
lingers(int fd)
{
	struct linger g = { .l_onoff = -1, .l_linger = -1 };
	socklen_t len = sizeof g;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &g, &len), 0);
	assert_int_equal(g.l_linger, 0);
	return g.l_onoff;
}

/* A reset is one in both directions, where these are two sockets, too. */
static void
a_reset_is_set_and_taken_back_on_each_descriptor(void **state)
{
	struct loop *l = loop_new();
	int in[2], out[2], one[2];
	struct filter *f;

	(void)state;
	sockpair_tcp(in, true);
	sockpair_tcp(out, true);
	sockpair_tcp(one, true);
	f = f_sock_new_pair(l, in[0], out[0]);
	assert_non_null(f);
	for (int on = 1; on >= 0; on--) {
		filter_reset(f, on != 0);
		assert_int_equal(lingers(in[0]), on);
		assert_int_equal(lingers(out[0]), on);
	}
	filter_free(f);
	f = f_sock_new(l, one[0], false);
	assert_non_null(f);
	for (int on = 1; on >= 0; on--) {
		filter_reset(f, on != 0);
		assert_int_equal(lingers(one[0]), on);
	}
	filter_free(f);
	loop_settle(l);
	close(in[1]);
	close(out[1]);
	close(one[1]);
	loop_free(l);
}

/* A listener that cannot be made leaves no descriptor, and says where it was to be. */
static void
a_listener_in_vain_leaves_nothing(void **state)
{
	static const char *const nowhere[] = { "192.0.2.1:0", "unix:/nowhere/at/all",
		"127.0.0.1:x" };
	struct addr at;
	char taken[ADDR_TEXT];
	int listener = listen_on("127.0.0.1:0", &at), before = dup(listener), fd = -1;
	struct errtext why;

	(void)state;
	close(before);
	addr_text(&at, taken);
	assert_int_equal(listen_open(taken, &fd, &why), ERR_SYS);
	assert_non_null(strstr(why.s, taken));
	assert_non_null(strstr(why.s, "another program listens there"));
	for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
		assert_int_not_equal(listen_open(nowhere[i], &fd, &why), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(dup(listener), before);
	close(before);
	close(listener);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_of_a_connection_send_at_once),
		cmocka_unit_test(each_error_of_accept_has_its_answer),
		cmocka_unit_test(a_listener_in_vain_leaves_nothing),
		cmocka_unit_test(a_reset_is_set_and_taken_back_on_each_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
