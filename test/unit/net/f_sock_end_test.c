/* SPDX-License-Identifier: ISC */
/*
 * f_sock_end_test - what becomes of the descriptors when a socket is let go, and how a pair goes on
 * after it was full.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/buf.h"
#include "lib/net/f_sock.h"
#include "lib/net/linger.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

struct fix {
	struct loop *l;
	struct filter *f;
	/* The filter's socket, and the other end. */
	int fd, peer;
	int n_writable, n_closed;
};

static void
on_readable(void *arg)
{
	(void)arg;
}

static void
on_writable(void *arg)
{
	((struct fix *)arg)->n_writable++;
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)err;
	(void)text;
	((struct fix *)arg)->n_closed++;
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static int
setup(void **state)
{
	static struct fix x;
	int fd[2];

	sockpair_tcp(fd, true);
	x = (struct fix){ .l = loop_new(), .fd = fd[0], .peer = fd[1] };
	x.f = f_sock_new(x.l, x.fd, false);
	assert_non_null(x.f);
	filter_set_user(x.f, &user, &x);
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	filter_free(x->f);
	if (x->peer >= 0)
		close(x->peer);
	loop_settle(x->l);
	loop_free(x->l);
	buf_pool_free();
	return 0;
}

static void
let_go(struct fix *x)
{
	filter_free(x->f);
	x->f = NULL;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static bool
is_closed(void *arg)
{
	return !is_open(((struct fix *)arg)->fd);
}

static bool
has_closed(void *arg)
{
	return ((struct fix *)arg)->n_closed > 0;
}

/* Who has said nothing has no last words to wait for. */
static void
a_socket_that_wrote_nothing_is_closed_at_once(void **state)
{
	struct fix *x = *state;

	let_go(x);
	assert_true(is_closed(x));
}

static void
a_socket_that_wrote_waits_for_the_peers_end(void **state)
{
	struct fix *x = *state;
	char got[8];

	assert_int_equal(filter_send(x->f, "bye", 3), 0);
	filter_flush(x->f);
	let_go(x);
	assert_true(is_open(x->fd));
	loop_settle(x->l);
	assert_true(is_open(x->fd));
	assert_int_equal(recv(x->peer, got, sizeof got, 0), 3);
	assert_int_equal(recv(x->peer, got, sizeof got, 0), 0);
	close(x->peer);
	x->peer = -1;
	assert_true(turns_until(x->l, is_closed, x));
}

/* Then nothing can come that would make a reset of the close. */
static void
a_socket_whose_peer_has_ended_is_closed_at_once(void **state)
{
	struct fix *x = *state;
	char got[8];

	shutdown(x->peer, SHUT_WR);
	assert_true(turns_until(x->l, has_closed, x));
	assert_int_equal(filter_send(x->f, "bye", 3), 0);
	filter_flush(x->f);
	loop_settle(x->l);
	let_go(x);
	assert_true(is_closed(x));
	assert_int_equal(recv(x->peer, got, sizeof got, 0), 3);
	assert_int_equal(recv(x->peer, got, sizeof got, 0), 0);
}

static void
a_reset_does_not_wait_for_anybody(void **state)
{
	struct fix *x = *state;
	char got[8];

	assert_int_equal(filter_send(x->f, "bye", 3), 0);
	filter_flush(x->f);
	filter_reset(x->f, true);
	let_go(x);
	assert_true(is_closed(x));
	while (recv(x->peer, got, sizeof got, 0) > 0)
		;
	assert_int_equal(errno, ECONNRESET);
}

enum { MUCH = 1 << 20 };

static int pipe_out;
static char got_much[MUCH];
static size_t n_got;

static bool
has_got_much(void *arg)
{
	ssize_t n = read(pipe_out, got_much + n_got, MUCH - n_got);

	(void)arg;
	n_got += n > 0 ? (size_t)n : 0;
	return n_got == MUCH;
}

static bool
was_told(void *arg)
{
	return ((struct fix *)arg)->n_writable > 0;
}

/* The direction out of two pipes has an event of its own. */
static void
a_full_pipe_is_written_on_when_it_is_read(void **state)
{
	static char bytes[MUCH];
	struct fix *x = *state;
	int in[2], out[2];
	struct filter *f;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
	f = f_sock_new_pair(x->l, in[0], out[1]);
	assert_non_null(f);
	filter_set_user(f, &user, x);
	memset(bytes, 'x', MUCH);
	assert_int_equal(filter_send(f, bytes, MUCH), 0);
	filter_flush(f);
	loop_settle(x->l);
	assert_true(filter_pending(f) > 0);
	assert_int_equal(x->n_writable, 0);
	pipe_out = out[0];
	n_got = 0;
	assert_true(turns_until(x->l, has_got_much, NULL));
	assert_true(turns_until(x->l, was_told, x));
	assert_int_equal(filter_pending(f), 0);
	assert_memory_equal(got_much, bytes, MUCH);
	filter_free(f);
	loop_settle(x->l);
	close(in[1]);
	close(out[0]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_socket_that_wrote_nothing_is_closed_at_once),
		T(a_socket_that_wrote_waits_for_the_peers_end),
		T(a_socket_whose_peer_has_ended_is_closed_at_once),
		T(a_reset_does_not_wait_for_anybody),
		T(a_full_pipe_is_written_on_when_it_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
