/* SPDX-License-Identifier: ISC */
/*
 * f_sock_pass_test - payload that passes from one socket filter to another: pieces with headers
 * between them, in any segments, to any kind of receiver, with every way to end or to stop in the
 * middle.
 *
 * The peer writes frames: four bytes of length, then so many bytes of a pattern that goes on from
 * frame to frame.  The user reads the lengths and passes the payload on, to a queue or to a second
 * filter, without looking at it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/f_sock.h"
#include "test/unit/sockpair.h"
#include "test/wire.h"

enum { WAIT_MS = 20000, HEAD = 4, FRAMES_MAX = 2000 };

enum segments { WHOLE, EXACT, RANDOM, DRIBBLE };

struct fixture {
	struct loop *l;
	/* reads frames */
	struct filter *f;
	/* payload goes here; NULL: into got */
	struct filter *out;
	/* the other ends of f and out; -1: closed */
	int peer, far;

	/* What the peer writes. */
	uint8_t *bytes;
	size_t n_bytes, sent, payload;
	size_t edge[2 * FRAMES_MAX], n_edges;
	enum segments how;
	bool fin, finned;

	/* What the user has seen. */
	uint8_t head[HEAD];
	size_t n_head, left;
	struct bufq got;
	size_t n_got;
	/* bytes of payload; 0: never */
	size_t pause_at, free_at;
	unsigned n_eof, n_closed;

	size_t far_got;
	bool far_eof;
	unsigned seed;
};

/* ---- the user ---- */

static void
take_payload(struct fixture *t, size_t n)
{
	struct bufq q = { 0 };

	assert_int_equal(bufq_move(&q, &t->f->in, n), 0);
	t->n_got += n;
	t->left -= n;
	if (t->out != NULL) {
		assert_int_equal(filter_write(t->out, &q), 0);
		filter_flush(t->out);
	} else {
		assert_int_equal(bufq_move(&t->got, &q, n), 0);
	}
	bufq_fini(&q);
}

static void
on_readable(void *arg)
{
	struct fixture *t = arg;

	while (t->f->in.len > 0) {
		if (t->left > 0) {
			size_t n = t->f->in.len < t->left ? t->f->in.len : t->left;

			take_payload(t, n);
		} else {
			assert_int_equal(bufq_read(&t->f->in, 0, t->head + t->n_head, 1), 1);
			bufq_drain(&t->f->in, 1);
			if (++t->n_head < HEAD)
				continue;
			t->n_head = 0;
			t->left = (size_t)t->head[0] << 24 | (size_t)t->head[1] << 16 |
				  (size_t)t->head[2] << 8 | t->head[3];
		}
	}
	if (t->free_at > 0 && t->n_got >= t->free_at) {
		filter_free(t->f);
		t->f = NULL;
		return;
	}
	if (t->pause_at > 0 && t->n_got >= t->pause_at)
		filter_pause(t->f, true);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct fixture *t = arg;

	(void)text;
	if (err == ERR_EOF)
		t->n_eof++;
	else
		t->n_closed++;
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static const struct filter_user far_user = { on_writable, on_writable, on_closed };

/* ---- the fixture ---- */

static struct fixture *
start(const int fd[2])
{
	struct fixture *t = mem_must_zalloc(sizeof *t);

	t->l = loop_new();
	t->seed = 42;
	t->peer = fd[1];
	t->far = -1;
	t->f = f_sock_new(t->l, fd[0], true);
	assert_non_null(t->f);
	filter_set_user(t->f, &user, t);
	return t;
}

static struct fixture *
start_tcp(void)
{
	int fd[2];

	sockpair_tcp(fd, true);
	return start(fd);
}

/* Pass payload on to the filter out, whose other end is far. */
static void
forward(struct fixture *t, struct filter *out, int far)
{
	assert_non_null(out);
	t->out = out;
	t->far = far;
	filter_set_user(out, &far_user, t);
}

static void
forward_tcp(struct fixture *t)
{
	int fd[2];

	sockpair_tcp(fd, true);
	forward(t, f_sock_new(t->l, fd[0], true), fd[1]);
}

static void
finish(struct fixture *t)
{
	if (t->f != NULL)
		filter_free(t->f);
	if (t->out != NULL)
		filter_free(t->out);
	if (t->peer >= 0)
		close(t->peer);
	if (t->far >= 0)
		close(t->far);
	bufq_fini(&t->got);
	wire_turns(t->l, 2);
	loop_free(t->l);
	free(t->bytes);
	mem_free(t);
	buf_pool_free();
}

static void
add_frame(struct fixture *t, size_t n)
{
	uint8_t *p = realloc(t->bytes, t->n_bytes + HEAD + n);

	assert_non_null(p);
	assert_true(t->n_edges + 2 <= 2 * FRAMES_MAX);
	t->bytes = p;
	p += t->n_bytes;
	for (int i = 0; i < HEAD; i++)
		p[i] = (uint8_t)(n >> (24 - 8 * i));
	for (size_t i = 0; i < n; i++)
		p[HEAD + i] = pattern(t->payload + i);
	t->edge[t->n_edges++] = t->n_bytes += HEAD;
	t->edge[t->n_edges++] = t->n_bytes += n;
	t->payload += n;
}

/* One write at the peer's end. */
static void
peer_write(struct fixture *t)
{
	size_t n = t->n_bytes - t->sent;
	ssize_t k;

	if (n == 0) {
		if (t->fin && !t->finned)
			shutdown(t->peer, SHUT_WR);
		t->finned = t->fin;
		return;
	}
	if (t->how == EXACT) {
		size_t i = 0;

		while (t->edge[i] <= t->sent)
			i++;
		n = t->edge[i] - t->sent;
	} else if (t->how == RANDOM) {
		n = 1 + random_below(&t->seed, n < 30000 ? n : 30000);
	} else if (t->how == DRIBBLE) {
		n = 1;
	}
	k = write(t->peer, t->bytes + t->sent, n);
	if (k > 0)
		t->sent += (size_t)k;
}

static void
far_read(struct fixture *t, size_t max)
{
	static uint8_t p[1 << 18];
	ssize_t n = read(t->far, p, max < sizeof p ? max : sizeof p);

	for (ssize_t i = 0; i < n; i++)
		if (p[i] != pattern(t->far_got + (size_t)i))
			fail_msg("byte %zu is wrong", t->far_got + (size_t)i);
	if (n > 0)
		t->far_got += (size_t)n;
	t->far_eof |= n == 0;
}

/* ---- conditions ---- */

static bool
has_all(void *arg)
{
	struct fixture *t = arg;

	peer_write(t);
	if (t->far >= 0)
		far_read(t, 1 + random_below(&t->seed, 200000));
	return t->far >= 0 ? t->far_got >= t->payload : t->n_got >= t->payload;
}

static bool
user_has_all(void *arg)
{
	struct fixture *t = arg;

	peer_write(t);
	return t->n_got >= t->payload;
}

static bool
far_has_end(void *arg)
{
	struct fixture *t = arg;

	far_read(t, 1 << 18);
	return t->far_eof;
}

static bool
has_eof(void *arg)
{
	struct fixture *t = arg;

	peer_write(t);
	return t->n_eof > 0;
}

static bool
has_closed(void *arg)
{
	return ((struct fixture *)arg)->n_closed > 0;
}

static bool
has_paused(void *arg)
{
	struct fixture *t = arg;

	peer_write(t);
	return t->n_got >= t->pause_at;
}

static bool
is_freed(void *arg)
{
	struct fixture *t = arg;

	peer_write(t);
	return t->f == NULL;
}

static void
check_got(struct fixture *t, size_t n)
{
	uint8_t p[4096];

	assert_int_equal(t->got.len, n);
	for (size_t at = 0; at < n;) {
		size_t k = bufq_read(&t->got, 0, p, sizeof p);

		for (size_t i = 0; i < k; i++)
			if (p[i] != pattern(at + i))
				fail_msg("byte %zu is wrong", at + i);
		bufq_drain(&t->got, k);
		at += k;
	}
}

/* ---- pieces and headers ---- */

static const size_t sizes[] = { 15 * 1024, 16 * 1024, 16 * 1024 - 1, 17 * 1024, 64 * 1024, BUF_HUGE,
	BUF_HUGE + 1, 65535, 1, 100, 0, 1 << 20 };

static void
pieces_of_every_size_arrive_in_any_segments(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (int how = WHOLE; how <= RANDOM; how++) {
			struct fixture *t = start_tcp();

			t->how = (enum segments)how;
			add_frame(t, 100000); /* bulk has begun */
			for (int k = 0; k < 20; k++)
				add_frame(t, sizes[i]);
			assert_true(wire_run(t->l, WAIT_MS, has_all, t));
			check_got(t, t->payload);
			finish(t);
		}
}

static void
pieces_of_all_sizes_mixed(void **state)
{
	(void)state;
	for (int how = WHOLE; how <= RANDOM; how++) {
		struct fixture *t = start_tcp();

		t->how = (enum segments)how;
		for (int k = 0; k < 150; k++)
			add_frame(t, random_below(&t->seed, 3) == 0
					 ? random_below(&t->seed, 2000)
					 : 14000 + random_below(&t->seed, 100000));
		assert_true(wire_run(t->l, WAIT_MS, has_all, t));
		check_got(t, t->payload);
		finish(t);
	}
}

static void
a_dribble_pins_little(void **state)
{
	struct fixture *t = start_tcp();

	(void)state;
	add_frame(t, 100000);
	add_frame(t, 100000);
	assert_true(wire_run(t->l, WAIT_MS, has_all, t));
	t->how = DRIBBLE;
	add_frame(t, 40000);
	assert_true(wire_run(t->l, WAIT_MS, has_all, t));
	bufq_compact(&t->got);
	assert_true(bufq_weight(&t->got) < BUF_COMPACT_RATIO * t->payload + BUF_COMPACT_MIN);
	check_got(t, t->payload);
	finish(t);
}

/* ---- the end, in the middle of a piece ---- */

static void
an_end_in_the_middle_comes_after_the_bytes(void **state)
{
	(void)state;
	for (size_t cut = 1; cut < 70000; cut += 7919) {
		struct fixture *t = start_tcp();

		add_frame(t, 100000);
		add_frame(t, 70000);
		t->n_bytes -= cut;
		t->fin = true;
		assert_true(wire_run(t->l, WAIT_MS, has_eof, t));
		check_got(t, 170000 - cut);
		assert_int_equal(t->n_closed, 0);
		finish(t);
	}
}

static void
a_reset_in_the_middle_is_told(void **state)
{
	struct linger now = { .l_onoff = 1 };

	(void)state;
	for (int paused = 0; paused < 2; paused++) {
		struct fixture *t = start_tcp();

		add_frame(t, 100000);
		add_frame(t, 70000);
		t->n_bytes -= 30000;
		t->payload -= 30000;
		t->pause_at = paused ? 120000 : 0;
		assert_true(wire_run(t->l, WAIT_MS, has_all, t));
		setsockopt(t->peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		close(t->peer);
		t->peer = -1;
		assert_true(wire_run(t->l, WAIT_MS, has_closed, t));
		check_got(t, 140000);
		finish(t);
	}
}

static void
a_pause_in_the_middle_loses_nothing(void **state)
{
	(void)state;
	for (size_t at = 100000; at < 400000; at += 33333) {
		struct fixture *t = start_tcp();

		for (int i = 0; i < 20; i++)
			add_frame(t, 65000);
		t->pause_at = at;
		assert_true(wire_run(t->l, WAIT_MS, has_paused, t));
		for (int i = 0; i < 20; i++) {
			peer_write(t);
			wire_turns(t->l, 1);
		}
		assert_true(t->n_got <= at + FILTER_IN_MAX);
		t->pause_at = 0;
		filter_pause(t->f, false);
		assert_true(wire_run(t->l, WAIT_MS, has_all, t));
		check_got(t, t->payload);
		finish(t);
	}
}

static void
the_filter_may_be_freed_while_it_reads(void **state)
{
	(void)state;
	for (size_t at = 1; at < 300000; at += 29989) {
		struct fixture *t = start_tcp();

		for (int i = 0; i < 20; i++)
			add_frame(t, 65000);
		t->free_at = at;
		assert_true(wire_run(t->l, WAIT_MS, is_freed, t));
		check_got(t, t->n_got);
		finish(t);
	}
}

/* ---- on to another socket ---- */

static void
pieces_pass_from_socket_to_socket(void **state)
{
	(void)state;
	for (int how = WHOLE; how <= RANDOM; how++) {
		struct fixture *t = start_tcp();

		t->how = (enum segments)how;
		forward_tcp(t);
		for (int k = 0; k < 200; k++)
			add_frame(t,
			    random_below(&t->seed, 4) == 0 ? random_below(&t->seed, 1000) : 65528);
		assert_true(wire_run(t->l, WAIT_MS, has_all, t));
		assert_int_equal(t->far_got, t->payload);
		assert_int_equal(filter_written(t->out), t->payload);
		finish(t);
	}
}

static void
a_half_close_comes_after_the_bytes(void **state)
{
	struct fixture *t = start_tcp();

	(void)state;
	forward_tcp(t);
	for (int k = 0; k < 60; k++)
		add_frame(t, 65528);
	assert_true(wire_run(t->l, WAIT_MS, user_has_all, t));
	filter_shutdown(t->out);
	assert_true(filter_pending(t->out) > 0);
	assert_true(wire_run(t->l, WAIT_MS, far_has_end, t));
	assert_int_equal(t->far_got, t->payload);
	finish(t);
}

static void
a_receiver_that_goes_away_is_noticed(void **state)
{
	struct fixture *t = start_tcp();

	(void)state;
	forward_tcp(t);
	for (int k = 0; k < 60; k++)
		add_frame(t, 65528);
	assert_true(wire_run(t->l, WAIT_MS, user_has_all, t));
	close(t->far);
	t->far = -1;
	assert_true(wire_run(t->l, WAIT_MS, has_closed, t));
	finish(t);
}

static void
both_move_to_another_loop_with_bytes_queued(void **state)
{
	struct fixture *t = start_tcp();
	struct loop *other = loop_new();

	(void)state;
	forward_tcp(t);
	for (int k = 0; k < 60; k++)
		add_frame(t, 65528);
	assert_true(wire_run(t->l, WAIT_MS, user_has_all, t));
	assert_true(filter_pending(t->out) > 0);
	filter_detach(t->f);
	filter_detach(t->out);
	assert_int_equal(filter_attach(t->f, other), 0);
	assert_int_equal(filter_attach(t->out, other), 0);
	loop_free(t->l);
	t->l = other;
	assert_true(wire_run(t->l, WAIT_MS, has_all, t));
	finish(t);
}

/* ---- other kinds of descriptors ---- */

static void
pieces_pass_between_unix_sockets(void **state)
{
	struct fixture *t;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	t = start(fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	forward(t, f_sock_new(t->l, fd[0], false), fd[1]);
	for (int k = 0; k < 100; k++)
		add_frame(t, 65528);
	assert_true(wire_run(t->l, WAIT_MS, has_all, t));
	finish(t);
}

static void
pieces_pass_between_pipes(void **state)
{
	struct fixture *t = mem_must_zalloc(sizeof *t);
	int in[2], out[2], unused[2];

	(void)state;
	assert_int_equal(pipe2(in, O_NONBLOCK), 0);
	assert_int_equal(pipe2(out, O_NONBLOCK), 0);
	assert_int_equal(pipe2(unused, O_NONBLOCK), 0);
	t->l = loop_new();
	t->seed = 42;
	t->peer = in[1];
	t->f = f_sock_new_pair(t->l, in[0], unused[1]);
	assert_non_null(t->f);
	filter_set_user(t->f, &user, t);
	forward(t, f_sock_new_pair(t->l, unused[0], out[1]), out[0]);
	for (int k = 0; k < 100; k++)
		add_frame(t, 65528);
	assert_true(wire_run(t->l, WAIT_MS, has_all, t));
	filter_shutdown(t->out);
	assert_true(wire_run(t->l, WAIT_MS, far_has_end, t));
	assert_int_equal(t->far_got, t->payload);
	finish(t);
}

/* A terminal, which takes a few bytes at a time. */
static void
pieces_go_to_a_terminal(void **state)
{
	struct fixture *t = start_tcp();
	struct termios raw;
	int far = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), near, unused[2];

	(void)state;
	assert_true(far >= 0);
	assert_int_equal(grantpt(far), 0);
	assert_int_equal(unlockpt(far), 0);
	near = open(ptsname(far), O_RDWR | O_NOCTTY);
	assert_true(near >= 0);
	assert_int_equal(tcgetattr(near, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(near, TCSANOW, &raw), 0);
	assert_int_equal(pipe(unused), 0);
	forward(t, f_sock_new_pair(t->l, unused[0], near), far);
	for (int k = 0; k < 20; k++)
		add_frame(t, 65528);
	assert_true(wire_run(t->l, WAIT_MS, has_all, t));
	finish(t);
	close(unused[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_of_every_size_arrive_in_any_segments),
		cmocka_unit_test(pieces_of_all_sizes_mixed),
		cmocka_unit_test(a_dribble_pins_little),
		cmocka_unit_test(an_end_in_the_middle_comes_after_the_bytes),
		cmocka_unit_test(a_reset_in_the_middle_is_told),
		cmocka_unit_test(a_pause_in_the_middle_loses_nothing),
		cmocka_unit_test(the_filter_may_be_freed_while_it_reads),
		cmocka_unit_test(pieces_pass_from_socket_to_socket),
		cmocka_unit_test(a_half_close_comes_after_the_bytes),
		cmocka_unit_test(a_receiver_that_goes_away_is_noticed),
		cmocka_unit_test(both_move_to_another_loop_with_bytes_queued),
		cmocka_unit_test(pieces_pass_between_unix_sockets),
		cmocka_unit_test(pieces_pass_between_pipes),
		cmocka_unit_test(pieces_go_to_a_terminal),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
