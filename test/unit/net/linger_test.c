/* SPDX-License-Identifier: ISC */
/*
 * linger_test - the last words arrive whatever was not read; nobody lingers for ever, nor too many.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/net/f_sock.h"
#include "lib/net/linger.h"
#include "test/unit/sockpair.h"
#include "test/wire.h"

enum { WAIT_MS = 10000 };

struct pair {
	struct loop *l;
	int fd, peer;
};

static void
pair_open(struct pair *p)
{
	int fd[2];

	sockpair_tcp(fd, false);
	*p = (struct pair){ loop_new(), fd[0], fd[1] };
}

static void
pair_finish(struct pair *p)
{
	if (p->peer >= 0)
		close(p->peer);
	loop_free(p->l);
	buf_pool_free();
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static bool
fd_is_closed(void *arg)
{
	return !is_open(((struct pair *)arg)->fd);
}

/*
 * Fill the connection towards the descriptor under test, as a peer does that sends and does not
 * read.
 */
static void
peer_floods(const struct pair *p)
{
	static char junk[64 * 1024];

	while (write(p->peer, junk, sizeof junk) > 0)
		continue;
	assert_int_equal(errno, EAGAIN);
}

static void
words_written_before_the_end_arrive_though_input_is_unread(void **state)
{
	struct bufq out = { 0 };
	struct pair p;
	char text[16] = "";

	(void)state;
	pair_open(&p);
	peer_floods(&p);
	assert_int_equal(bufq_copy(&out, "because", 7), 0);
	linger_close(p.l, p.fd, &out);
	wire_turns(p.l, 5);
	assert_int_equal(read(p.peer, text, sizeof text), 7);
	assert_string_equal(text, "because");
	assert_int_equal(read(p.peer, text, sizeof text), 0); /* FIN, no reset */
	close(p.peer);
	p.peer = -1;
	assert_true(wire_run(p.l, WAIT_MS, fd_is_closed, &p));
	pair_finish(&p);
}

static void
a_filter_that_is_freed_lets_its_last_words_arrive(void **state)
{
	struct pair p;
	struct filter *f;
	char text[16] = "";

	(void)state;
	pair_open(&p);
	f = f_sock_new(p.l, p.fd, true);
	assert_non_null(f);
	wire_turns(p.l, 1);
	peer_floods(&p);
	assert_int_equal(filter_send(f, "because", 7), 0);
	filter_flush(f);
	filter_free(f);
	wire_turns(p.l, 5);
	assert_int_equal(read(p.peer, text, sizeof text), 7);
	assert_int_equal(read(p.peer, text, sizeof text), 0);
	pair_finish(&p);
}

/* What a peer has read, a portion in each turn of the loop, to its end. */
struct slow {
	int fd;
	size_t portion, got;
	uint64_t pause_ms, next_ms;
	bool ended;
};

static bool
slow_has_ended(void *arg)
{
	struct slow *x = arg;
	static uint8_t p[64 * 1024];
	ssize_t n;

	if (clock_mono_ms() < x->next_ms)
		return false;
	x->next_ms = clock_mono_ms() + x->pause_ms;
	n = read(x->fd, p, x->portion);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(p[i], pattern(x->got + (size_t)i));
	x->got += n > 0 ? (size_t)n : 0;
	assert_true(n >= 0 || errno == EAGAIN);
	x->ended = n == 0;
	return x->ended;
}

/* Writes n bytes of the pattern, which are more than the kernel takes, and frees the filter. */
static void
write_and_free(struct filter *f, size_t n)
{
	struct bufq q = { 0 };

	for (size_t i = 0; i < n; i++) {
		uint8_t c = pattern(i);

		assert_int_equal(bufq_copy(&q, &c, 1), 0);
	}
	assert_int_equal(filter_write(f, &q), 0);
	filter_flush(f);
	assert_true(filter_pending(f) > 0);
	filter_free(f);
}

static void
on_nothing(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)text;
	*(int *)arg = err;
}

static bool
has_ended(void *arg)
{
	return *(int *)arg == ERR_EOF;
}

static const struct filter_user user = { on_nothing, on_nothing, on_closed };

static void
a_peer_that_has_said_its_end_gets_everything(void **state)
{
	enum { BYTES = 757440 };
	int err = 0, small = 16384;
	struct pair p;
	struct filter *f;
	struct slow x;

	(void)state;
	pair_open(&p);
	assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	f = f_sock_new(p.l, p.fd, true);
	assert_non_null(f);
	filter_set_user(f, &user, &err);
	assert_int_equal(shutdown(p.peer, SHUT_WR), 0);
	assert_true(wire_run(p.l, WAIT_MS, has_ended, &err));
	write_and_free(f, BYTES);
	x = (struct slow){ .fd = p.peer, .portion = 5000 };
	if (!wire_run(p.l, WAIT_MS, slow_has_ended, &x) || x.got != BYTES)
		fail_msg("%zu bytes", x.got);
	assert_true(wire_run(p.l, WAIT_MS, fd_is_closed, &p));
	pair_finish(&p);
}

/* It takes longer than anybody may linger who takes nothing. */
static void
a_peer_that_reads_slowly_gets_everything(void **state)
{
	enum { STEPS = 16, PORTION = 64 * 1024 };
	int small = 65536;
	struct pair p;
	struct filter *f;
	struct slow x;

	(void)state;
	pair_open(&p);
	assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	assert_int_equal(setsockopt(p.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	f = f_sock_new(p.l, p.fd, true);
	assert_non_null(f);
	wire_turns(p.l, 1);
	write_and_free(f, STEPS * PORTION);
	x = (struct slow){ .fd = p.peer, .portion = PORTION, .pause_ms = LINGER_MS / 8 };
	if (!wire_run(p.l, 6 * WAIT_MS, slow_has_ended, &x) || x.got != STEPS * PORTION)
		fail_msg("%zu bytes", x.got);
	pair_finish(&p);
}

static void
a_peer_that_sends_for_ever_is_cut_off(void **state)
{
	struct bufq out = { 0 };
	struct pair p;
	static char junk[64 * 1024];
	uint64_t until = clock_mono_ms() + WAIT_MS;
	size_t sent = 0;

	(void)state;
	pair_open(&p);
	linger_close(p.l, p.fd, &out);
	while (is_open(p.fd) && clock_mono_ms() < until) {
		ssize_t n = write(p.peer, junk, sizeof junk);

		sent += n > 0 ? (size_t)n : 0;
		wire_turns(p.l, 1);
	}
	assert_false(is_open(p.fd));
	assert_true(sent >= LINGER_BYTES);
	pair_finish(&p);
}

static void
a_peer_that_never_closes_is_cut_off(void **state)
{
	struct bufq out = { 0 };
	struct pair p;
	uint64_t start = clock_mono_ms();

	(void)state;
	pair_open(&p);
	linger_close(p.l, p.fd, &out);
	assert_true(is_open(p.fd));
	assert_true(wire_run(p.l, LINGER_MS + WAIT_MS, fd_is_closed, &p));
	assert_true(clock_mono_ms() - start >= LINGER_MS - 100);
	pair_finish(&p);
}

static void
one_too_many_closes_the_oldest(void **state)
{
	struct loop *l = loop_new();
	int fd[LOOP_ORPHANS_MAX + 1][2];

	(void)state;
	for (int i = 0; i <= LOOP_ORPHANS_MAX; i++) {
		struct bufq out = { 0 };

		sockpair_tcp(fd[i], false);
		linger_close(l, fd[i][0], &out);
		assert_true(is_open(fd[i][0]));
		assert_true(i < LOOP_ORPHANS_MAX || !is_open(fd[0][0]));
	}
	assert_true(is_open(fd[1][0]));
	loop_free(l); /* and with it the rest */
	for (int i = 0; i <= LOOP_ORPHANS_MAX; i++) {
		assert_false(is_open(fd[i][0]));
		close(fd[i][1]);
	}
}

static void
a_peer_that_has_gone_is_not_waited_for(void **state)
{
	struct bufq out = { 0 };
	struct pair p;

	(void)state;
	pair_open(&p);
	close(p.peer);
	p.peer = -1;
	linger_close(p.l, p.fd, &out);
	assert_false(is_open(p.fd));
	pair_finish(&p);
}

static void
without_memory_it_is_closed_at_once(void **state)
{
	struct bufq out = { 0 };
	struct pair p;

	(void)state;
	for (int i = 0; i < 3; i++) {
		pair_open(&p);
		mem_fail_after(i);
		linger_close(p.l, p.fd, &out);
		mem_fail_after(MEM_NO_FAIL);
		loop_free(p.l);
		assert_false(is_open(p.fd));
		p.l = loop_new();
		pair_finish(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_written_before_the_end_arrive_though_input_is_unread),
		cmocka_unit_test(a_filter_that_is_freed_lets_its_last_words_arrive),
		cmocka_unit_test(a_peer_that_has_said_its_end_gets_everything),
		cmocka_unit_test(a_peer_that_reads_slowly_gets_everything),
		cmocka_unit_test(a_peer_that_sends_for_ever_is_cut_off),
		cmocka_unit_test(a_peer_that_never_closes_is_cut_off),
		cmocka_unit_test(one_too_many_closes_the_oldest),
		cmocka_unit_test(a_peer_that_has_gone_is_not_waited_for),
		cmocka_unit_test(without_memory_it_is_closed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
