/* SPDX-License-Identifier: ISC */
/*
 * f_sock - the socket filter on real sockets and pipes: bounds, both half-closes, resets, moving to
 * another loop.
 */
#include <fcntl.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/net/f_sock.h"
#include "lib/net/pace.h"
#include "test/unit/sockpair.h"
#include "test/wire.h"

enum { WAIT_MS = 10000, BULK = 64 * BUF_HUGE };

struct side {
	struct filter *f;
	struct bufq got;
	bool hold, free_in_closed;
	unsigned n_closed, n_eof, n_writable;
	/* that stood there when it was told of them */
	size_t most;
	char text[ERR_TEXT_MAX];
};

/* A filter on one end of a connection; the test holds the other end as a descriptor. */
struct fixture {
	struct loop *l;
	struct side x;
	int peer;
	size_t peer_got, peer_sent, want;
	bool peer_eof;
};

static void
on_readable(void *arg)
{
	struct side *x = arg;

	if (x->f->in.len > x->most)
		x->most = x->f->in.len;
	if (x->hold)
		filter_pause(x->f, true);
	else
		assert_int_equal(bufq_move(&x->got, &x->f->in, x->f->in.len), 0);
}

static void
on_writable(void *arg)
{
	((struct side *)arg)->n_writable++;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct side *x = arg;

	assert_int_not_equal(err, 0);
	if (err == ERR_EOF)
		x->n_eof++;
	else
		x->n_closed++;
	snprintf(x->text, sizeof x->text, "%s", text);
	if (x->free_in_closed) {
		filter_free(x->f);
		x->f = NULL;
	}
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static void
open_on(struct fixture *t, const int fd[2])
{
	*t = (struct fixture){ .l = loop_new(), .peer = fd[1] };
	t->x.f = f_sock_new(t->l, fd[0], true);
	assert_non_null(t->x.f);
	filter_set_user(t->x.f, &user, &t->x);
}

static void
open_tcp(struct fixture *t)
{
	int fd[2];

	sockpair_tcp(fd, false);
	open_on(t, fd);
}

static void
finish(struct fixture *t)
{
	if (t->x.f != NULL)
		filter_free(t->x.f);
	if (t->peer >= 0)
		close(t->peer);
	bufq_fini(&t->x.got);
	wire_turns(t->l, 2);
	loop_free(t->l);
	buf_pool_free();
}

/* Read at most max bytes at the peer's end, checked. */
static void
peer_read(struct fixture *t, size_t max)
{
	static uint8_t p[BULK];
	ssize_t n = read(t->peer, p, max < sizeof p ? max : sizeof p);

	for (ssize_t i = 0; i < n; i++)
		if (p[i] != pattern(t->peer_got + (size_t)i))
			fail_msg("byte %zu is wrong", t->peer_got + (size_t)i);
	if (n > 0)
		t->peer_got += (size_t)n;
	t->peer_eof = t->peer_eof || n == 0;
}

/* Write what the kernel takes at the peer's end, up to want bytes in all. */
static void
peer_write(struct fixture *t)
{
	uint8_t p[65536];
	size_t n = t->want - t->peer_sent;
	ssize_t k;

	n = n < sizeof p ? n : sizeof p;
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(t->peer_sent + i);
	k = write(t->peer, p, n);
	if (k > 0)
		t->peer_sent += (size_t)k;
}

static void
filter_put(struct fixture *t, size_t at, size_t n)
{
	struct bufq q = { 0 };

	for (size_t end = at + n; at < end;) {
		size_t k = end - at < BUF_HUGE ? end - at : BUF_HUGE;
		struct block *b = block_new(k);

		assert_non_null(b);
		for (size_t i = 0; i < k; i++)
			b->data[i] = pattern(at + i);
		b->fill = (uint32_t)k;
		assert_int_equal(bufq_append(&q, b, b->data, k), 0);
		block_unref(b);
		at += k;
	}
	assert_int_equal(filter_write(t->x.f, &q), 0);
	bufq_fini(&q);
	filter_flush(t->x.f);
}

static bool
peer_has_all(void *arg)
{
	struct fixture *t = arg;

	peer_read(t, 3000);
	return t->peer_got >= t->want || t->peer_eof;
}

static bool
filter_has_all(void *arg)
{
	struct fixture *t = arg;

	if (t->peer_sent < t->want)
		peer_write(t);
	return t->x.got.len >= t->want;
}

static bool
has_eof(void *arg)
{
	return ((struct fixture *)arg)->x.n_eof > 0;
}

static bool
has_closed(void *arg)
{
	return ((struct fixture *)arg)->x.n_closed > 0;
}

/* ---- bytes ---- */

/* RFC 9293 3.8.5: it stands between the others.  A read ends in front of it. */
static void
an_urgent_byte_is_one_like_any_other(void **state)
{
	struct fixture t;
	uint8_t urgent, p[4096];

	(void)state;
	open_tcp(&t);
	for (int i = 1; i <= 3; i++) {
		t.want = t.peer_sent + 300000;
		assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
		t.want = t.peer_sent + 1000;
		peer_write(&t);
		urgent = pattern(t.peer_sent++);
		assert_int_equal(send(t.peer, &urgent, 1, MSG_OOB), 1);
		t.want = t.peer_sent + 30000;
		peer_write(&t);
		assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	}
	for (size_t off = 0, k; off < t.want; off += k) {
		assert_true((k = bufq_read(&t.x.got, off, p, sizeof p)) > 0);
		for (size_t i = 0; i < k; i++)
			if (p[i] != pattern(off + i))
				fail_msg("byte %zu is wrong", off + i);
	}
	finish(&t);
}

/* ---- bounds ---- */

static void
a_slow_reader_is_not_written_beyond_the_room(void **state)
{
	struct fixture t;
	size_t sent = 0, most = 0;

	(void)state;
	open_tcp(&t);
	t.want = BULK;
	while (sent < BULK) {
		size_t room = filter_room(t.x.f);

		assert_true(room <= PACE_LOWAT_MAX);
		if (room > BULK - sent)
			room = BULK - sent;
		if (room > BUF_HUGE)
			room = BUF_HUGE;
		if (room > 0) {
			filter_put(&t, sent, room);
			sent += room;
		}
		if (filter_pending(t.x.f) > most)
			most = filter_pending(t.x.f);
		peer_read(&t, 20000);
		wire_turns(t.l, 1);
	}
	assert_true(most <= PACE_LOWAT_MAX);
	assert_true(t.x.n_writable > 0);
	assert_true(wire_run(t.l, WAIT_MS, peer_has_all, &t));
	assert_int_equal(t.peer_got, BULK);
	assert_int_equal(filter_written(t.x.f), BULK);
	assert_int_equal(filter_pending(t.x.f), 0);
	finish(&t);
}

static void
a_paused_reader_stops_the_socket(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	t.want = 64 * 1024 * 1024;
	t.x.hold = true;
	for (int i = 0; i < 2000; i++) {
		peer_write(&t);
		wire_turns(t.l, 1);
	}
	assert_true(t.x.f->in.len > 0);
	assert_true(t.x.f->in.len <= FILTER_IN_MAX);
	assert_true(t.peer_sent < t.want);
	t.want = t.peer_sent;
	t.x.hold = false;
	filter_pause(t.x.f, false);
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	for (size_t i = 0; i < t.want; i += 4096) {
		uint8_t b;

		assert_int_equal(bufq_read(&t.x.got, i, &b, 1), 1);
		assert_int_equal(b, pattern(i));
	}
	assert_int_equal(t.x.n_closed + t.x.n_eof, 0);
	finish(&t);
}

/* What is read beyond what a budget has room for, many times over, would be no budget. */
static void
a_socket_reads_no_more_than_is_wanted(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	filter_want(t.x.f, 100);
	t.want = 65536;
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	assert_int_equal(t.x.most, 100);
	finish(&t);
}

static void
small_reads_pin_little(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	for (size_t i = 0; i < 200; i++) {
		t.want = (i + 1) * 10;
		assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	}
	assert_int_equal(t.x.got.len, 2000);
	assert_true(t.x.got.pinned <= 2000 * BUF_SMALL / 10);
	finish(&t);
}

/* ---- the end ---- */

static void
the_peers_half_close_leaves_our_direction(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	t.want = 5000;
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	shutdown(t.peer, SHUT_WR);
	assert_true(wire_run(t.l, WAIT_MS, has_eof, &t));
	assert_int_equal(t.x.got.len, 5000);
	filter_put(&t, 0, 100000);
	t.want = 100000;
	assert_true(wire_run(t.l, WAIT_MS, peer_has_all, &t));
	assert_int_equal(t.peer_got, 100000);
	filter_shutdown(t.x.f);
	t.want = 100001;
	assert_true(wire_run(t.l, WAIT_MS, peer_has_all, &t));
	assert_true(t.peer_eof);
	assert_int_equal(t.x.n_eof, 1);
	assert_int_equal(t.x.n_closed, 0);
	finish(&t);
}

static void
our_half_close_comes_after_all_bytes(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	for (size_t i = 0; i < BULK / BUF_HUGE; i++)
		filter_put(&t, i * BUF_HUGE, BUF_HUGE);
	filter_shutdown(t.x.f);
	assert_int_equal(filter_send(t.x.f, "x", 1), ERR_CLOSED);
	t.want = BULK + 1;
	assert_true(wire_run(t.l, WAIT_MS, peer_has_all, &t));
	assert_true(t.peer_eof);
	assert_int_equal(t.peer_got, BULK);
	/* The other direction goes on. */
	t.want = 5000;
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	finish(&t);
}

static void
reset_peer(struct fixture *t)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(t->peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(t->peer);
	t->peer = -1;
}

static void
a_reset_is_told_even_while_paused(void **state)
{
	struct fixture t;

	(void)state;
	for (int paused = 0; paused < 2; paused++)
		for (int freeing = 0; freeing < 2; freeing++) {
			open_tcp(&t);
			t.x.free_in_closed = freeing == 1;
			filter_pause(t.x.f, paused == 1);
			wire_turns(t.l, 3);
			reset_peer(&t);
			assert_true(wire_run(t.l, WAIT_MS, has_closed, &t));
			assert_string_equal(t.x.text, "Connection reset by peer");
			assert_int_equal(t.x.n_closed, 1);
			finish(&t);
		}
}

static void
bytes_before_a_reset_and_the_reset_are_told(void **state)
{
	struct fixture t;

	(void)state;
	/* Both stand in the kernel when the loop looks for the first time. */
	open_tcp(&t);
	t.want = 1000;
	peer_write(&t);
	reset_peer(&t);
	assert_true(wire_run(t.l, WAIT_MS, has_closed, &t));
	assert_int_equal(t.x.got.len, 1000);
	assert_string_equal(t.x.text, "Connection reset by peer");
	finish(&t);
}

/* The event that tells of both comes long before the last of the bytes is read. */
static void
bytes_of_many_turns_before_a_reset_and_the_reset_are_told(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	filter_want(t.x.f, 100);
	t.want = 250;
	peer_write(&t);
	reset_peer(&t);
	assert_true(wire_run(t.l, WAIT_MS, has_closed, &t));
	assert_int_equal(t.x.got.len, 250);
	assert_int_equal(t.x.most, 100);
	assert_string_equal(t.x.text, "Connection reset by peer");
	finish(&t);
}

/*
 * Soon after one look at the connection an error behind bytes is looked for a little later, when a
 * user that has no room any more reads nothing.
 */
static void
a_reset_behind_bytes_is_told_to_who_pauses_after_them(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	t.want = 1;
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	t.want = 1000;
	peer_write(&t);
	reset_peer(&t);
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	filter_pause(t.x.f, true);
	assert_true(wire_run(t.l, WAIT_MS, has_closed, &t));
	assert_string_equal(t.x.text, "Connection reset by peer");
	assert_int_equal(t.x.n_closed, 1);
	finish(&t);
}

static void
a_reset_after_the_peers_half_close_is_told(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	shutdown(t.peer, SHUT_WR);
	assert_true(wire_run(t.l, WAIT_MS, has_eof, &t));
	reset_peer(&t);
	assert_true(wire_run(t.l, WAIT_MS, has_closed, &t));
	finish(&t);
}

/* A user that pauses with bytes left, or that comes after the end, is told in order: bytes, end. */
static void
an_end_waits_for_the_user(void **state)
{
	struct fixture t;

	(void)state;
	for (int away = 0; away < 2; away++) {
		open_tcp(&t);
		t.want = 1000;
		t.x.hold = true;
		if (away)
			filter_set_user(t.x.f, NULL, NULL);
		peer_write(&t);
		shutdown(t.peer, SHUT_WR);
		wire_turns(t.l, 5);
		assert_int_equal(t.x.n_eof, 0);
		t.x.hold = false;
		if (away)
			filter_set_user(t.x.f, &user, &t.x);
		filter_pause(t.x.f, false);
		assert_true(wire_run(t.l, WAIT_MS, has_eof, &t));
		assert_int_equal(t.x.got.len, 1000);
		finish(&t);
	}
}

static void
a_reset_waits_for_the_user(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	filter_set_user(t.x.f, NULL, NULL);
	reset_peer(&t);
	wire_turns(t.l, 5);
	filter_set_user(t.x.f, &user, &t.x);
	assert_true(wire_run(t.l, WAIT_MS, has_closed, &t));
	assert_int_equal(t.x.n_closed, 1);
	finish(&t);
}

static void
our_reset_is_seen_by_the_peer(void **state)
{
	/* Nothing written, bytes on their way, and more than the kernel takes. */
	static const size_t written[] = { 0, 5000, BULK };

	(void)state;
	for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
		struct fixture t;
		ssize_t k;
		char c;

		open_tcp(&t);
		wire_turns(t.l, 2);
		filter_put(&t, 0, written[i]);
		assert_int_equal(filter_pending(t.x.f) > 0, written[i] == BULK);
		filter_reset(t.x.f, true);
		filter_free(t.x.f);
		t.x.f = NULL;
		assert_int_equal(fcntl(t.peer, F_SETFL, 0), 0);
		while ((k = read(t.peer, &c, 1)) > 0)
			;
		assert_int_equal(k, -1);
		assert_int_equal(errno, ECONNRESET);
		finish(&t);
	}
}

static void
a_detached_filter_can_be_freed(void **state)
{
	struct fixture t;

	(void)state;
	open_tcp(&t);
	filter_detach(t.x.f);
	filter_free(t.x.f);
	t.x.f = NULL;
	t.want = 1;
	assert_true(wire_run(t.l, WAIT_MS, peer_has_all, &t));
	assert_true(t.peer_eof);
	finish(&t);
}

/* A file cannot be watched: for a moment the descriptor is one. */
static void
an_attach_that_fails_changes_nothing(void **state)
{
	struct fixture t;
	char name[] = "/tmp/f_sock_test.XXXXXX";
	int fd[2], socket, file = mkstemp(name);

	(void)state;
	assert_true(file >= 0);
	unlink(name);
	sockpair_tcp(fd, false);
	open_on(&t, fd);
	filter_detach(t.x.f);
	socket = dup(fd[0]);
	assert_int_equal(dup2(file, fd[0]), fd[0]);
	assert_int_not_equal(filter_attach(t.x.f, t.l), 0);
	assert_null(t.x.f->loop);
	assert_int_equal(dup2(socket, fd[0]), fd[0]);
	close(socket);
	close(file);
	assert_int_equal(filter_attach(t.x.f, t.l), 0);
	t.want = 300000;
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	finish(&t);
}

/* ---- other kinds, other loops ---- */

static void
moves_to_another_loop_with_bytes_under_way(void **state)
{
	struct loop *other = loop_new();
	struct fixture t;

	(void)state;
	open_tcp(&t);
	for (size_t i = 0; i < BULK / BUF_HUGE; i++)
		filter_put(&t, i * BUF_HUGE, BUF_HUGE);
	assert_true(filter_pending(t.x.f) > 0);
	t.want = 1000;
	peer_write(&t);
	filter_detach(t.x.f);
	assert_int_equal(filter_attach(t.x.f, other), 0);
	loop_free(t.l);
	t.l = other;
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	t.want = BULK;
	assert_true(wire_run(t.l, WAIT_MS, peer_has_all, &t));
	assert_int_equal(t.peer_got, BULK);
	finish(&t);
}

static void
works_on_unix_sockets(void **state)
{
	struct fixture t;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	open_on(&t, fd);
	t.want = 1000000;
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	for (size_t i = 0; i < 4; i++)
		filter_put(&t, i * BUF_HUGE, BUF_HUGE);
	t.want = 4 * BUF_HUGE;
	assert_true(wire_run(t.l, WAIT_MS, peer_has_all, &t));
	finish(&t);
}

static void
works_on_a_pair_of_pipes(void **state)
{
	struct fixture t;
	int in[2], out[2];
	char c;

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	t = (struct fixture){ .l = loop_new(), .peer = -1 };
	t.x.f = f_sock_new_pair(t.l, in[0], out[1]);
	assert_non_null(t.x.f);
	filter_set_user(t.x.f, &user, &t.x);
	assert_int_equal(write(in[1], "hello", 5), 5);
	close(in[1]);
	assert_true(wire_run(t.l, WAIT_MS, has_eof, &t));
	assert_int_equal(t.x.got.len, 5);
	assert_int_equal(filter_send(t.x.f, "x", 1), 0);
	filter_shutdown(t.x.f);
	assert_int_equal(read(out[0], &c, 1), 1);
	assert_int_equal(read(out[0], &c, 1), 0);
	close(out[0]);
	finish(&t);
}

static bool
is_blocking(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

/* The shell that started us goes on with these descriptors. */
static void
a_pair_is_left_as_it_was_found(void **state)
{
	struct fixture t;
	int in[2], out[2], shared_in, shared_out;

	(void)state;
	for (int ended = 0; ended < 2; ended++) {
		assert_int_equal(pipe(in), 0);
		assert_int_equal(pipe(out), 0);
		shared_in = dup(in[0]);
		shared_out = dup(out[1]);
		t = (struct fixture){ .l = loop_new(), .peer = in[1] };
		t.x.f = f_sock_new_pair(t.l, in[0], out[1]);
		assert_false(is_blocking(shared_in) || is_blocking(shared_out));
		if (ended)
			filter_shutdown(t.x.f);
		assert_int_equal(is_blocking(shared_out), ended == 1);
		finish(&t);
		assert_true(is_blocking(shared_in) && is_blocking(shared_out));
		close(shared_in);
		close(shared_out);
		close(out[0]);
	}
}

static void
descriptor_0_is_closed_like_any_other(void **state)
{
	struct fixture t;
	int in[2], out[2], input = dup(0);

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	assert_int_equal(dup2(in[0], 0), 0);
	close(in[0]);
	t = (struct fixture){ .l = loop_new(), .peer = in[1] };
	t.x.f = f_sock_new_pair(t.l, 0, out[1]);
	filter_set_user(t.x.f, &user, &t.x);
	t.want = 5000;
	assert_true(wire_run(t.l, WAIT_MS, filter_has_all, &t));
	finish(&t);
	assert_int_equal(fcntl(0, F_GETFD), -1);
	assert_int_equal(dup2(input, 0), 0);
	close(input);
	close(out[0]);
}

static void
a_reader_that_left_a_pipe_is_told(void **state)
{
	struct fixture t;
	int in[2], out[2];

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	t = (struct fixture){ .l = loop_new(), .peer = in[1] };
	t.x.f = f_sock_new_pair(t.l, in[0], out[1]);
	filter_set_user(t.x.f, &user, &t.x);
	close(out[0]);
	assert_int_equal(filter_send(t.x.f, "x", 1), 0);
	filter_flush(t.x.f);
	assert_true(wire_run(t.l, WAIT_MS, has_closed, &t));
	assert_string_equal(t.x.text, "Broken pipe");
	finish(&t);
}

static void
a_pair_that_cannot_be_watched_is_left_as_it_was(void **state)
{
	struct loop *l = loop_new();
	char path[] = "/tmp/f_sock_test.XXXXXX";
	int p[2], file = mkstemp(path);

	(void)state;
	assert_true(file >= 0);
	unlink(path);
	assert_int_equal(pipe(p), 0);
	assert_null(f_sock_new_pair(l, p[0], file));
	assert_true(is_blocking(p[0]) && is_blocking(file));
	close(p[0]);
	close(p[1]);
	close(file);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_that_cannot_be_watched_is_left_as_it_was),
		cmocka_unit_test(an_urgent_byte_is_one_like_any_other),
		cmocka_unit_test(a_slow_reader_is_not_written_beyond_the_room),
		cmocka_unit_test(a_paused_reader_stops_the_socket),
		cmocka_unit_test(a_socket_reads_no_more_than_is_wanted),
		cmocka_unit_test(small_reads_pin_little),
		cmocka_unit_test(the_peers_half_close_leaves_our_direction),
		cmocka_unit_test(our_half_close_comes_after_all_bytes),
		cmocka_unit_test(a_reset_is_told_even_while_paused),
		cmocka_unit_test(bytes_before_a_reset_and_the_reset_are_told),
		cmocka_unit_test(bytes_of_many_turns_before_a_reset_and_the_reset_are_told),
		cmocka_unit_test(a_reset_behind_bytes_is_told_to_who_pauses_after_them),
		cmocka_unit_test(a_reset_after_the_peers_half_close_is_told),
		cmocka_unit_test(an_end_waits_for_the_user),
		cmocka_unit_test(a_reset_waits_for_the_user),
		cmocka_unit_test(our_reset_is_seen_by_the_peer),
		cmocka_unit_test(moves_to_another_loop_with_bytes_under_way),
		cmocka_unit_test(a_detached_filter_can_be_freed),
		cmocka_unit_test(an_attach_that_fails_changes_nothing),
		cmocka_unit_test(works_on_unix_sockets),
		cmocka_unit_test(works_on_a_pair_of_pipes),
		cmocka_unit_test(a_pair_is_left_as_it_was_found),
		cmocka_unit_test(descriptor_0_is_closed_like_any_other),
		cmocka_unit_test(a_reader_that_left_a_pipe_is_told),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
