/* SPDX-License-Identifier: ISC */
/*
 * f_sock_read_test - how large the blocks are that a socket is read into.
 *
 * link: -Wl,--wrap=block_new
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/f_sock.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

/* The largest block that was asked for, since the test has looked. */
static size_t largest;

struct block *__real_block_new(size_t n);
struct block *__wrap_block_new(size_t n);

struct block *
__wrap_block_new(size_t n)
{
	if (n > largest)
		largest = n;
	return __real_block_new(n);
}

static struct fix {
	struct loop *l;
	struct filter *f;
	int peer;
	/* What the peer has sent and is to send; what has arrived. */
	size_t sent, want, got;
} x;

static void
on_readable(void *arg)
{
	(void)arg;
	x.got += x.f->in.len;
	bufq_drain(&x.f->in, x.f->in.len);
}

static void
nothing(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)arg;
	fail_msg("%d: %s", err, text);
}

static const struct filter_user user = { on_readable, nothing, on_closed };

static bool
has_all(void *arg)
{
	static uint8_t zeros[BUF_HUGE];

	(void)arg;
	while (x.sent < x.want) {
		size_t n = x.want - x.sent < sizeof zeros ? x.want - x.sent : sizeof zeros;
		ssize_t k = send(x.peer, zeros, n, MSG_DONTWAIT);

		if (k <= 0)
			break;
		x.sent += (size_t)k;
	}
	return x.got == x.want;
}

/* n bytes more, so often, each waited for. */
static void
arrive(size_t n, int times)
{
	for (int i = 0; i < times; i++) {
		x.want += n;
		assert_true(turns_until(x.l, has_all, NULL));
	}
}

static size_t
read_size(void)
{
	largest = 0;
	arrive(1, 1);
	return largest;
}

static void
blocks_are_as_large_as_what_comes(void **state)
{
	enum { SHRINK_AFTER = 32, MORE_THAN_AN_EIGHTH = BUF_HUGE / 8 + 1 };
	int fd[2];

	(void)state;
	sockpair_tcp(fd, false);
	x = (struct fix){ .l = loop_new(), .peer = fd[1] };
	x.f = f_sock_new(x.l, fd[0], true);
	assert_non_null(x.f);
	filter_set_user(x.f, &user, &x);
	assert_int_equal(read_size(), BUF_MEDIUM);
	arrive(64 * BUF_HUGE, 1);
	arrive(MORE_THAN_AN_EIGHTH, 1);
	assert_int_equal(read_size(), BUF_HUGE);
	/* Small reads count in a row: this one was the first. */
	arrive(1, SHRINK_AFTER - 2);
	arrive(MORE_THAN_AN_EIGHTH, 1);
	arrive(1, SHRINK_AFTER - 1);
	assert_int_equal(read_size(), BUF_HUGE);
	assert_int_equal(read_size(), BUF_HUGE / 4);
	filter_free(x.f);
	close(x.peer);
	loop_free(x.l);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_as_large_as_what_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
