/* SPDX-License-Identifier: ISC */
/* buf_test - queues of slices against a plain array of bytes, their references, their memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/net/buf.h"
#include "lib/base/mem.h"

static bool
holds(const struct bufq *q, const void *p, size_t n)
{
	uint8_t *all = mem_must_zalloc(n + 1);
	bool same = q->len == n && bufq_read(q, 0, all, n + 1) == n && memcmp(all, p, n) == 0;

	mem_free(all);
	return same;
}

static int
put(struct bufq *q, const char *s)
{
	return bufq_copy(q, s, strlen(s));
}

/* A queue of n slices of one byte, each in a block of cap bytes of its own. */
static void
scatter(struct bufq *q, size_t n, size_t cap)
{
	for (size_t i = 0; i < n; i++) {
		struct block *b = block_new(cap);

		assert_non_null(b);
		b->data[b->cap / 2] = (uint8_t)i;
		assert_int_equal(bufq_append(q, b, b->data + b->cap / 2, 1), 0);
		block_unref(b);
	}
}

static void
a_block_has_the_smallest_size_that_holds(void **state)
{
	static const size_t sizes[] = { BUF_SMALL, BUF_MEDIUM, BUF_LARGE, BUF_HUGE };

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct block *b = block_new(sizes[i]);

		assert_int_equal(b->cap, sizes[i]);
		assert_int_equal(block_room(b), sizes[i]);
		block_unref(b);
		b = block_new(i > 0 ? sizes[i - 1] + 1 : 1);
		assert_int_equal(b->cap, sizes[i]);
		block_unref(b);
	}
	block_unref(NULL);
	buf_pool_free();
}

static void
small_copies_share_a_block(void **state)
{
	struct bufq q = { 0 };
	struct iovec iov[4];

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(put(&q, "0123456789"), 0);
	assert_int_equal(bufq_peek(&q, 0, q.len, iov, 4), 1);
	assert_int_equal(q.pinned, BUF_SMALL);
	bufq_fini(&q);
	buf_pool_free();
}

/* The one who holds the same bytes must not see them grow, nor be written over. */
static void
a_shared_tail_is_not_filled(void **state)
{
	struct bufq a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(put(&a, "hello"), 0);
	assert_int_equal(bufq_share(&b, &a, 0, 5), 0);
	assert_int_equal(put(&a, " a"), 0);
	assert_int_equal(put(&b, " b"), 0);
	assert_true(holds(&a, "hello a", 7));
	assert_true(holds(&b, "hello b", 7));
	bufq_fini(&a);
	assert_true(holds(&b, "hello b", 7));
	bufq_fini(&b);
	buf_pool_free();
}

static void
a_drained_queue_holds_nothing(void **state)
{
	struct bufq q = { 0 };

	(void)state;
	assert_int_equal(put(&q, "hello"), 0);
	bufq_drain(&q, 5);
	assert_int_equal(q.len, 0);
	assert_int_equal(q.pinned, 0);
	assert_null(q.v);
	size_t n;

	assert_null(bufq_front(&q, &n));
	assert_int_equal(n, 0);
}

static void
peek_and_read_start_anywhere(void **state)
{
	struct bufq q = { 0 };
	struct iovec iov[8];
	char out[8];

	(void)state;
	scatter(&q, 6, BUF_SMALL);
	assert_int_equal(bufq_peek(&q, 2, 3, iov, 8), 3);
	assert_int_equal(*(uint8_t *)iov[0].iov_base, 2);
	assert_int_equal(bufq_peek(&q, 0, 6, iov, 2), 2);
	assert_int_equal(bufq_peek(&q, 6, 1, iov, 2), 0);
	assert_int_equal(bufq_read(&q, 4, out, 8), 2);
	assert_int_equal(out[1], 5);
	bufq_fini(&q);
	buf_pool_free();
}

/* Four queues, random calls, each compared with an array that had the same done to it. */
enum { MODEL_QUEUES = 4, MODEL_MAX = 200000 };

static uint64_t seed;

static size_t
below(size_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return n == 0 ? 0 : (size_t)(seed >> 33) % n;
}

struct model {
	struct bufq q;
	uint8_t *p;
	size_t n;
};

static void
model_add(struct model *m, const uint8_t *p, size_t n)
{
	memmove(m->p + m->n, p, n);
	m->n += n;
}

static void
model_drop(struct model *m, size_t n)
{
	memmove(m->p, m->p + n, m->n - n);
	m->n -= n;
}

static void
model_step(struct model *a, struct model *b)
{
	uint8_t tmp[3000];
	size_t n = below(a->n + 1), off = below(a->n - n + 1), k = below(sizeof tmp);

	switch (below(6)) {
	case 0:
	case 1:
		for (size_t i = 0; i < k; i++)
			tmp[i] = (uint8_t)below(256);
		if (a->n + k > MODEL_MAX)
			break;
		assert_int_equal(bufq_copy(&a->q, tmp, k), 0);
		model_add(a, tmp, k);
		break;
	case 2:
		if (a == b || b->n + n > MODEL_MAX)
			break;
		assert_int_equal(
		    below(2) ? bufq_move(&b->q, &a->q, n) : bufq_keep(&b->q, &a->q, n), 0);
		model_add(b, a->p, n);
		model_drop(a, n);
		break;
	case 3:
		if (a == b || b->n + n > MODEL_MAX)
			break;
		assert_int_equal(bufq_share(&b->q, &a->q, off, n), 0);
		model_add(b, a->p + off, n);
		break;
	case 4:
		bufq_drain(&a->q, n);
		model_drop(a, n);
		break;
	default:
		bufq_compact(&a->q);
	}
}

static void
queues_do_what_arrays_do(void **state)
{
	struct model m[MODEL_QUEUES] = { 0 };

	(void)state;
	seed = 1;
	for (int i = 0; i < MODEL_QUEUES; i++)
		m[i].p = mem_must_zalloc(MODEL_MAX);
	for (int turn = 0; turn < 20000; turn++) {
		struct model *a = &m[below(MODEL_QUEUES)], *b = &m[below(MODEL_QUEUES)];

		model_step(a, b);
		if (turn % 16 == 0)
			assert_true(holds(&a->q, a->p, a->n) && holds(&b->q, b->p, b->n));
		assert_true(a->q.len == a->n);
	}
	for (int i = 0; i < MODEL_QUEUES; i++) {
		assert_true(holds(&m[i].q, m[i].p, m[i].n));
		bufq_drain(&m[i].q, m[i].n);
		assert_int_equal(m[i].q.pinned, 0);
		mem_free(m[i].p);
	}
	buf_pool_free();
}

static void
a_failed_call_changes_nothing(void **state)
{
	static uint8_t big[600000];
	struct bufq q = { 0 }, r = { 0 };

	(void)state;
	buf_pool_free();
	assert_int_equal(put(&q, "abc"), 0);
	scatter(&q, 3, BUF_SMALL);
	buf_pool_free();
	for (long fail = 0; fail < 4; fail++) {
		mem_fail_after(fail);
		assert_int_equal(bufq_copy(&q, big, sizeof big), ERR_NOMEM);
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(q.len, 6);
		buf_pool_free();
	}
	mem_fail_after(0);
	assert_int_equal(bufq_share(&r, &q, 0, 6), ERR_NOMEM);
	mem_fail_after(0);
	assert_int_equal(bufq_move(&r, &q, 5), ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
	assert_int_equal(q.len, 6);
	assert_int_equal(r.len, 0);
	bufq_fini(&q);
	bufq_fini(&r);
	buf_pool_free();
}

static void
a_scattered_queue_is_compacted(void **state)
{
	static const size_t sizes[] = { BUF_SMALL, BUF_MEDIUM, BUF_HUGE };
	uint8_t all[200];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct bufq q = { 0 };

		scatter(&q, 200, sizes[i]);
		assert_int_equal(q.pinned, 200 * sizes[i]);
		bufq_compact(&q);
		assert_int_equal(bufq_read(&q, 0, all, 200), 200);
		for (int k = 0; k < 200; k++)
			assert_int_equal(all[k], k);
		assert_true(bufq_weight(&q) <= BUF_COMPACT_MIN);
		bufq_fini(&q);
	}
	buf_pool_free();
}

/* One block, cut into so many pieces that the slices are what weighs. */
static void
a_shredded_queue_is_compacted(void **state)
{
	struct block *b = block_new(BUF_HUGE);
	struct bufq q = { 0 };

	(void)state;
	for (int i = 0; i < 50000; i++)
		assert_int_equal(bufq_append(&q, b, b->data + 2 * i, 1), 0);
	assert_int_equal(bufq_append(&q, b, b->data, 0), 0);
	assert_int_equal(q.n, 50000);
	block_unref(b);
	assert_true(bufq_weight(&q) > 50000 * sizeof(struct slice));
	bufq_compact(&q);
	assert_int_equal(q.len, 50000);
	assert_true(bufq_weight(&q) <= BUF_COMPACT_RATIO * q.len);
	bufq_fini(&q);
	buf_pool_free();
}

static void
a_compact_queue_is_left_alone(void **state)
{
	struct bufq q = { 0 };
	struct block *b = block_new(BUF_HUGE);
	size_t n;

	(void)state;
	assert_int_equal(bufq_append(&q, b, b->data, BUF_HUGE / 2), 0);
	block_unref(b);
	bufq_compact(&q);
	assert_ptr_equal(bufq_front(&q, &n), b->data);
	bufq_fini(&q);
	buf_pool_free();
}

/* Of a block of BUF_HUGE bytes, whose first n are in the queue. */
static const uint8_t *
part_of_a_block(struct bufq *q, size_t n)
{
	struct block *b = block_new(BUF_HUGE);
	const uint8_t *p = b->data;

	memset(b->data, (int)(n % 251), BUF_HUGE);
	b->fill = BUF_HUGE;
	assert_int_equal(bufq_append(q, b, b->data, n), 0);
	block_unref(b);
	return p;
}

static void
what_stands_is_copied_out_of_blocks_it_hardly_fills(void **state)
{
	struct bufq dst = { 0 }, src = { 0 };
	const uint8_t *half;
	size_t n;

	(void)state;
	half = part_of_a_block(&src, BUF_HUGE / 2);
	assert_int_equal(bufq_keep(&dst, &src, src.len), 0);
	assert_ptr_equal(bufq_front(&dst, &n), half);
	bufq_fini(&dst);
	/* A byte less is not half of it, whatever stands behind it. */
	half = part_of_a_block(&src, BUF_HUGE / 2 - 1);
	part_of_a_block(&src, 1);
	assert_int_equal(bufq_keep(&dst, &src, src.len), 0);
	assert_ptr_not_equal(bufq_front(&dst, &n), half);
	bufq_fini(&dst);

	/* 16 KiB of each, as turns are; the bytes stand one behind the other then. */
	for (int i = 0; i < 64; i++) {
		part_of_a_block(&src, 16 * 1024);
		assert_int_equal(bufq_keep(&dst, &src, src.len), 0);
	}
	assert_int_equal(dst.len, 64 * 16 * 1024);
	assert_true(bufq_weight(&dst) < dst.len + 2 * BUF_MEDIUM);
	bufq_fini(&dst);

	/* What is kept already is not copied, however small. */
	half = part_of_a_block(&src, BUF_HUGE);
	assert_int_equal(bufq_keep(&dst, &src, BUF_HUGE - 10), 0);
	assert_int_equal(bufq_keep(&dst, &src, 10), 0);
	assert_ptr_equal(bufq_front(&dst, &n), half);
	assert_int_equal(n, BUF_HUGE);
	bufq_fini(&dst);
	assert_int_equal(bufq_keep(&dst, &src, 0), 0);
	assert_int_equal(bufq_weight(&dst), 0);
	buf_pool_free();
}

static void
without_memory_what_stands_is_moved(void **state)
{
	(void)state;
	for (long fail = 0; fail < 8; fail++) {
		struct bufq dst = { 0 }, src = { 0 };
		uint8_t all[3000];
		int r;

		for (size_t n = 1000; n > 0; n -= 250)
			part_of_a_block(&src, n);
		buf_pool_free();
		mem_fail_after(fail);
		r = bufq_keep(&dst, &src, src.len);
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(r, fail == 0 ? ERR_NOMEM : 0);
		assert_int_equal(fail == 0 ? src.len : dst.len, 2500);
		assert_int_equal(bufq_read(fail == 0 ? &src : &dst, 0, all, sizeof all), 2500);
		for (size_t i = 0; i < 2500; i++)
			assert_int_equal(all[i], i < 1000   ? 1000 % 251
						 : i < 1750 ? 750 % 251
						 : i < 2250 ? 500 % 251
							    : 250 % 251);
		bufq_fini(&src);
		bufq_fini(&dst);
	}
	buf_pool_free();
}

/* Also by another queue that had it last, and not while somebody holds it. */
static void
what_is_secret_is_overwritten_when_nobody_holds_it(void **state)
{
	static const char text[] = "secret of nobody";
	static const uint8_t zeros[sizeof text];
	struct bufq q = { 0 }, other = { 0 };
	struct block *b;

	(void)state;
	buf_pool_free();
	b = block_new(sizeof text);
	assert_non_null(b);
	memcpy(b->data, text, sizeof text);
	b->fill = sizeof text;
	assert_int_equal(bufq_append(&q, b, b->data, sizeof text), 0);
	block_unref(b);
	bufq_secret(&q);
	assert_int_equal(bufq_share(&other, &q, 0, 3), 0);
	bufq_fini(&q);
	assert_memory_equal(b->data, text, sizeof text);
	bufq_drain(&other, 3);
	/* It stands in the pool now, from where the next one comes. */
	assert_memory_equal(b->data, zeros, sizeof text);
	assert_ptr_equal(block_new(sizeof text), b);
	memcpy(b->data, text, sizeof text);
	b->fill = sizeof text;
	block_unref(b);
	assert_memory_equal(b->data, text, sizeof text);
	bufq_fini(&other);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stands_is_copied_out_of_blocks_it_hardly_fills),
		cmocka_unit_test(without_memory_what_stands_is_moved),
		cmocka_unit_test(a_block_has_the_smallest_size_that_holds),
		cmocka_unit_test(small_copies_share_a_block),
		cmocka_unit_test(a_shared_tail_is_not_filled),
		cmocka_unit_test(a_drained_queue_holds_nothing),
		cmocka_unit_test(peek_and_read_start_anywhere),
		cmocka_unit_test(queues_do_what_arrays_do),
		cmocka_unit_test(a_failed_call_changes_nothing),
		cmocka_unit_test(a_scattered_queue_is_compacted),
		cmocka_unit_test(a_shredded_queue_is_compacted),
		cmocka_unit_test(a_compact_queue_is_left_alone),
		cmocka_unit_test(what_is_secret_is_overwritten_when_nobody_holds_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
