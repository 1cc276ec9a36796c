/* SPDX-License-Identifier: ISC */
/* buf_pipes_test - queues with pipes between memory: every operation in random order against plain arrays of bytes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/bufpipe.h"
#include "lib/base/mem.h"
#include "test/unit/sockpair.h"

enum { QUEUES = 3, MODEL_MAX = 1 << 20, ROUNDS = 20000, PIECE_MAX = 20000 };

/* A queue, and what it must hold. */
struct model {
	struct bufq q;
	uint8_t *bytes;
	size_t n;
};

static unsigned seed = 42;
static int from[2], to[2];

static void
take_front(struct model *m, size_t n)
{
	memmove(m->bytes, m->bytes + n, m->n - n);
	m->n -= n;
}

/* The numbers that a queue keeps, counted anew by sharing nothing and looking at each slice. */
static void
check_numbers(struct model *m)
{
	const struct bufq *q = &m->q;
	size_t len = 0, pinned = 0;
	uint32_t pipes = 0;

	for (uint32_t i = 0; i < q->n; i++) {
		const struct slice *s = &q->v[(q->head + i) & (q->cap - 1)];
		const struct slice *before = &q->v[(q->head + i - 1) & (q->cap - 1)];

		assert_true(s->n > 0);
		assert_true(s->off + s->n <= s->b->fill);
		len += s->n;
		pipes += s->b->class == BUF_PIPE;
		if (i == 0 || before->b != s->b)
			pinned += s->b->cap;
	}
	assert_int_equal(q->len, m->n);
	assert_int_equal(q->len, len);
	assert_int_equal(q->pipes, pipes);
	assert_int_equal(q->pinned, pinned);
}

static void
check_bytes(struct model *m)
{
	static uint8_t p[MODEL_MAX];

	assert_int_equal(bufq_load(&m->q), 0);
	assert_int_equal(bufq_read(&m->q, 0, p, sizeof p), m->n);
	assert_memory_equal(p, m->bytes, m->n);
}

static void
append(struct model *m)
{
	size_t n = 1 + random_below(&seed, random_below(&seed, 3) == 0 ? 50 : PIECE_MAX);
	uint8_t *p = m->bytes + m->n;
	struct block *b;

	if (m->n + n > MODEL_MAX)
		return;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)random_below(&seed, 256);
	m->n += n;
	if (random_below(&seed, 2) == 0) {
		assert_int_equal(bufq_copy(&m->q, p, n), 0);
		return;
	}
	assert_int_equal(write(from[1], p, n), n);
	if (bufpipe_fill(from[0], SIZE_MAX, &b) < 0) {
		/* There are none left at the moment. */
		assert_int_equal(read(from[0], p, n), n);
		assert_int_equal(bufq_copy(&m->q, p, n), 0);
		return;
	}
	assert_int_equal(b->fill, n);
	assert_int_equal(bufq_append_pipe(&m->q, b), 0);
	block_unref(b);
}

static void
move(struct model *dst, struct model *src)
{
	size_t n = random_below(&seed, 4) == 0 ? src->n : random_below(&seed, src->n + 1);

	if (dst == src || dst->n + n > MODEL_MAX)
		return;
	assert_int_equal(bufq_move(&dst->q, &src->q, n), 0);
	memcpy(dst->bytes + dst->n, src->bytes, n);
	dst->n += n;
	take_front(src, n);
}

static void
share(struct model *dst, struct model *src)
{
	size_t off = random_below(&seed, 2) == 0 ? 0 : random_below(&seed, src->n + 1);
	size_t n =
	    random_below(&seed, 2) == 0 ? src->n - off : random_below(&seed, src->n - off + 1);

	if (dst == src || dst->n + n > MODEL_MAX)
		return;
	assert_int_equal(bufq_share(&dst->q, &src->q, off, n), 0);
	memcpy(dst->bytes + dst->n, src->bytes + off, n);
	dst->n += n;
}

/* As a socket takes it: the front, in part. */
static void
send_front(struct model *m)
{
	const struct slice *s = bufq_first(&m->q);
	static uint8_t p[PIECE_MAX];
	ssize_t n;

	if (s == NULL || s->b->class != BUF_PIPE)
		return;
	n = bufpipe_send(s->b, s->off, 1 + (uint32_t)random_below(&seed, s->n), to[0]);
	if (n == ERR_INVALID)
		return;
	assert_true(n > 0);
	assert_int_equal(read(to[1], p, sizeof p), n);
	assert_memory_equal(p, m->bytes, (size_t)n);
	bufq_drain(&m->q, (size_t)n);
	take_front(m, (size_t)n);
}

/* Where the first pipe from an offset ends, counted by hand. */
static void
check_to_pipe(struct model *m)
{
	const struct bufq *q = &m->q;
	size_t off = random_below(&seed, m->n + 1), end = 0, want = 0;

	for (uint32_t i = 0; i < q->n && want == 0; i++) {
		const struct slice *s = &q->v[(q->head + i) & (q->cap - 1)];

		end += s->n;
		if (end > off && s->b->class == BUF_PIPE)
			want = end - off;
	}
	assert_int_equal(bufq_to_pipe(q, off), want);
}

/* What is in memory before the first pipe, and no more. */
static void
check_peek(struct model *m)
{
	struct iovec iov[64];
	size_t at = 0;
	int k = bufq_peek(&m->q, 0, m->n, iov, 64);

	for (int i = 0; i < k; i++) {
		assert_memory_equal(iov[i].iov_base, m->bytes + at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	assert_true(at <= m->n);
}

static void
one_step(struct model *all)
{
	struct model *m = &all[random_below(&seed, QUEUES)], *o = &all[random_below(&seed, QUEUES)];
	size_t n;

	switch (random_below(&seed, 12)) {
	case 0:
	case 1:
	case 2:
		append(m);
		break;
	case 3:
	case 4:
		move(m, o);
		break;
	case 5:
		share(m, o);
		break;
	case 6:
		n = random_below(&seed, random_below(&seed, 2) == 0 ? m->n + 1 : m->n / 8 + 1);
		bufq_drain(&m->q, n);
		take_front(m, n);
		break;
	case 7:
	case 8:
		send_front(m);
		break;
	case 9:
		check_to_pipe(m);
		check_peek(m);
		break;
	case 10:
		if (random_below(&seed, 10) == 0)
			check_bytes(m);
		break;
	default:
		if (random_below(&seed, 10) == 0)
			bufq_compact(&m->q);
	}
	check_numbers(m);
	check_numbers(o);
}

static void
queues_hold_what_arrays_hold(void **state)
{
	struct model all[QUEUES] = { { .n = 0 } };

	(void)state;
	for (int i = 0; i < QUEUES; i++)
		all[i].bytes = mem_must_zalloc(MODEL_MAX + PIECE_MAX);
	for (int i = 0; i < ROUNDS; i++)
		one_step(all);
	for (int i = 0; i < QUEUES; i++) {
		check_bytes(&all[i]);
		bufq_fini(&all[i].q);
		mem_free(all[i].bytes);
	}
}

/* Nothing is lost, taken twice or left behind when there is no memory for it. */
static void
any_allocation_may_fail(void **state)
{
	struct model all[QUEUES] = { { .n = 0 } };

	(void)state;
	for (int i = 0; i < QUEUES; i++)
		all[i].bytes = mem_must_zalloc(MODEL_MAX + PIECE_MAX);
	for (int i = 0; i < 300; i++) {
		struct model *m = &all[0], *o = &all[1];
		size_t n, off;
		int r;

		append(m);
		append(m);
		off = random_below(&seed, m->n);
		n = random_below(&seed, m->n - off + 1);
		mem_fail_after((long)random_below(&seed, 4));
		r = bufq_share(&o->q, &m->q, off, n);
		mem_fail_after(MEM_NO_FAIL);
		if (r == 0) {
			memcpy(o->bytes + o->n, m->bytes + off, n);
			o->n += n;
		}
		n = random_below(&seed, o->n + 1);
		mem_fail_after((long)random_below(&seed, 2));
		r = bufq_move(&m->q, &o->q, n);
		mem_fail_after((long)random_below(&seed, 3));
		bufq_compact(&m->q);
		mem_fail_after(MEM_NO_FAIL);
		if (r == 0) {
			memcpy(m->bytes + m->n, o->bytes, n);
			m->n += n;
			take_front(o, n);
		}
		check_numbers(m);
		check_numbers(o);
		if (m->n > MODEL_MAX / 4) {
			check_bytes(m);
			bufq_drain(&m->q, m->n);
			m->n = 0;
		}
	}
	for (int i = 0; i < QUEUES; i++) {
		check_bytes(&all[i]);
		bufq_fini(&all[i].q);
		mem_free(all[i].bytes);
	}
}

static int
open_all(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, from) |
	       socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, to);
}

static int
close_all(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		close(from[i]);
		close(to[i]);
	}
	buf_pool_free();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_hold_what_arrays_hold),
		cmocka_unit_test(any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
