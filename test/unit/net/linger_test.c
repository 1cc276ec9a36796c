/* SPDX-License-Identifier: ISC */
/* linger_test - the last words arrive whatever was not read; nobody lingers for ever, nor too many. */
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

/* Fill the connection towards the descriptor under test, as a peer does that sends and does not read. */
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
		cmocka_unit_test(a_peer_that_sends_for_ever_is_cut_off),
		cmocka_unit_test(a_peer_that_never_closes_is_cut_off),
		cmocka_unit_test(one_too_many_closes_the_oldest),
		cmocka_unit_test(a_peer_that_has_gone_is_not_waited_for),
		cmocka_unit_test(without_memory_it_is_closed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
