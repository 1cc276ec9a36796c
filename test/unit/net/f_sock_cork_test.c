/* SPDX-License-Identifier: ISC */
/*
 * f_sock_cork_test - what the kernel was told to hold back for what follows (MSG_MORE, a pipe's rest) leaves when nothing follows.
 *
 * The kernel has a buffer of 17 fragments for what it has not sent: a header and half of a pipe of 32 slots fill it, and it takes no other
 * one from a socket that may have as good as nothing unsent.  Nothing is under way whose acknowledgement would send the buffer,
 * so that it would wait for a timer of 200 ms.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/bufpipe.h"
#include "lib/net/f_sock.h"
#include "test/unit/sockpair.h"
#include "test/wire.h"

enum { ROUNDS = 20, SLOTS = 32, SLOT = 128, HEAD = 10, WAIT_MS = 10000 };

struct fixture {
	struct loop *l;
	struct filter *f;
	int far;
	size_t got;
};

static void
on_nothing(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)arg;
	fail_msg("closed: %d %s", err, text);
}

static const struct filter_user user = { on_nothing, on_nothing, on_closed };

/* A pipe of which each slot is a fragment of its own: what the kernel puts into memory side by side it may join. */
static struct block *
fragments(void)
{
	int from[2], aside[2];
	struct block *b = NULL;
	uint8_t p[SLOT] = { 0 };

	sockpair_tcp(from, true);
	sockpair_tcp(aside, true);
	for (int i = 0; i < SLOTS; i++) {
		assert_int_equal(write(from[1], p, sizeof p), sizeof p);
		assert_int_equal(write(aside[1], p, sizeof p), sizeof p);
	}
	assert_true(bufpipe_fill(from[0], SIZE_MAX, &b) > SLOTS / 2 * SLOT);
	for (int i = 0; i < 2; i++) {
		close(from[i]);
		close(aside[i]);
	}
	return b;
}

static bool
has_all(void *arg)
{
	struct fixture *t = arg;
	uint8_t p[4096];
	ssize_t n;

	while ((n = read(t->far, p, sizeof p)) > 0)
		t->got += (size_t)n;
	return f_sock_pending(t->f) == 0 && t->got == f_sock_written(t->f);
}

/* Returns whether the kernel refused the rest, which it does not when it joined fragments all the same. */
static bool
pass_a_header_and_a_pipe(void)
{
	struct fixture t = { .l = loop_new() };
	struct block *b = fragments();
	struct bufq q = { 0 };
	bool refused;
	int fd[2], one = 1, unsent;
	size_t n;

	sockpair_tcp(fd, true);
	t.f = f_sock_new(t.l, fd[0], true);
	assert_non_null(t.f);
	t.far = fd[1];
	filter_set_user(t.f, &user, &t);
	wire_turns(t.l, 2); /* it is writable now */
	assert_int_equal(setsockopt(fd[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &one, sizeof one), 0);

	assert_int_equal(bufq_copy(&q, "0123456789", HEAD), 0);
	assert_int_equal(bufq_append_pipe(&q, b), 0);
	block_unref(b);
	n = q.len;
	assert_int_equal(filter_write(t.f, &q), 0);
	filter_flush(t.f);
	refused = f_sock_pending(t.f) > 0;
	assert_int_equal(ioctl(fd[0], SIOCOUTQNSD, &unsent), 0);
	if (unsent != 0)
		fail_msg("%d bytes are held back", unsent);
	assert_true(wire_run(t.l, WAIT_MS, has_all, &t));
	assert_int_equal(t.got, n);

	filter_free(t.f);
	close(t.far);
	bufq_fini(&q);
	wire_turns(t.l, 2);
	loop_free(t.l);
	return refused;
}

static void
what_was_taken_leaves_when_the_rest_is_refused(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++)
		refused += pass_a_header_and_a_pipe();
	/* Another kernel may count its fragments in another way. */
	print_message("the rest was refused in %u of %d rounds\n", refused, ROUNDS);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_taken_leaves_when_the_rest_is_refused),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
