/* SPDX-License-Identifier: ISC */
/* buf - blocks, their per-thread pools, and queues of slices. */
#include "lib/net/buf.h"

#include <assert.h>
#include <string.h>

#include "lib/base/mem.h"

/*
 * Free blocks kept for each class; more go back to malloc.  Bulk needs a handful, and the last
 * freed is still cached.
 */
static const struct {
	uint32_t cap;
	uint32_t keep;
} classes[] = {
	{ BUF_SMALL, 256 },
	{ BUF_MEDIUM, 64 },
	{ BUF_LARGE, 32 },
	{ BUF_HUGE, 16 },
};

enum { N_CLASSES = sizeof classes / sizeof classes[0], RING_MIN = 4, POOL_MAX = 256 };

static __thread struct {
	struct block *free[POOL_MAX];
	uint32_t n;
} pool[N_CLASSES];

/* buf_all_secret was called in this thread. */
static __thread bool all_secret;

void
buf_all_secret(void)
{
	all_secret = true;
}

struct block *
block_new(size_t n)
{
	uint16_t c = 0;
	struct block *b;

	assert(n <= BUF_HUGE);
	while (n > classes[c].cap)
		c++;
	if (pool[c].n > 0) {
		b = pool[c].free[--pool[c].n];
	} else {
		b = mem_alloc(sizeof *b + classes[c].cap);
		if (b == NULL)
			return NULL;
		b->cap = classes[c].cap;
		b->class = c;
	}
	b->refs = 1;
	b->fill = 0;
	b->secret = all_secret;
	return b;
}

struct block *
block_ref(struct block *b)
{
	b->refs++;
	return b;
}

void
block_unref(struct block *b)
{
	if (b == NULL || --b->refs > 0)
		return;
	if (b->secret)
		mem_wipe(b->data, b->fill);
	if (pool[b->class].n < classes[b->class].keep)
		pool[b->class].free[pool[b->class].n++] = b;
	else
		mem_free(b);
}

void
buf_pool_free(void)
{
	for (int c = 0; c < N_CLASSES; c++)
		while (pool[c].n > 0)
			mem_free(pool[c].free[--pool[c].n]);
}

static struct slice *
slice_at(const struct bufq *q, uint32_t i)
{
	return &q->v[(q->head + i) & (q->cap - 1)];
}

static uint8_t *
slice_mem(const struct slice *s)
{
	return s->b->data + s->off;
}

static int
ring_grow(struct bufq *q, uint32_t more)
{
	uint32_t cap = q->cap ? q->cap : RING_MIN;
	struct slice *v;

	while (cap - q->n < more) {
		if (cap > UINT32_MAX / 4)
			return ERR_NOMEM;
		cap *= 2;
	}
	if (cap == q->cap)
		return 0;
	v = mem_alloc(cap * sizeof *v);
	if (v == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < q->n; i++)
		v[i] = *slice_at(q, i);
	mem_free(q->v);
	q->v = v;
	q->cap = cap;
	q->head = 0;
	return 0;
}

/*
 * The number of slices that hold the bytes [off, off + n); *first is the one that holds off, *skip
 * its bytes before off.
 */
static uint32_t
slice_span(const struct bufq *q, size_t off, size_t n, uint32_t *first, size_t *skip)
{
	uint32_t i = 0, k;

	while (i < q->n && off >= slice_at(q, i)->n)
		off -= slice_at(q, i++)->n;
	*first = i;
	*skip = off;
	for (k = 0, n += off; n > 0 && i + k < q->n; k++) {
		size_t have = slice_at(q, i + k)->n;
		n -= have < n ? have : n;
	}
	return k;
}

/* Append without taking a reference; room in the ring is there. */
static void
ring_push(struct bufq *q, struct slice s)
{
	struct slice *t = q->n ? slice_at(q, q->n - 1) : NULL;

	q->len += s.n;
	if (t && t->b == s.b && t->off + t->n == s.off) {
		t->n += s.n;
		block_unref(s.b);
		return;
	}
	if (t == NULL || t->b != s.b)
		q->pinned += s.b->cap;
	q->n++;
	*slice_at(q, q->n - 1) = s;
}

/* Forget the first slice, whose reference the caller has taken over or dropped. */
static void
ring_pop(struct bufq *q)
{
	struct slice *s = slice_at(q, 0);

	if (q->n == 1 || slice_at(q, 1)->b != s->b)
		q->pinned -= s->b->cap;
	q->head = (q->head + 1) & (q->cap - 1);
	q->n--;
	if (q->n == 0) {
		/* An idle queue costs no ring. */
		mem_free(q->v);
		*q = (struct bufq){ 0 };
	}
}

void
bufq_fini(struct bufq *q)
{
	for (uint32_t i = 0; i < q->n; i++)
		block_unref(slice_at(q, i)->b);
	mem_free(q->v);
	*q = (struct bufq){ 0 };
}

int
bufq_append(struct bufq *q, struct block *b, uint8_t *p, size_t n)
{
	assert(p >= b->data && p + n <= b->data + b->cap);
	if (n == 0)
		return 0;
	if (ring_grow(q, 1) != 0)
		return ERR_NOMEM;
	ring_push(q, (struct slice){ block_ref(b), (uint32_t)(p - b->data), (uint32_t)n });
	return 0;
}

/*
 * The tail block, when its unused end follows the tail slice and no other queue can be filling it.
 */
static struct block *
tail_with_room(const struct bufq *q)
{
	struct slice *t = q->n ? slice_at(q, q->n - 1) : NULL;

	if (t == NULL || t->b->refs != 1 || t->off + t->n != t->b->fill)
		return NULL;
	return block_room(t->b) > 0 ? t->b : NULL;
}

int
bufq_copy(struct bufq *q, const void *src, size_t n)
{
	const uint8_t *p = src;
	struct bufq add = { 0 };
	struct block *b = tail_with_room(q);
	size_t first = b ? (block_room(b) < n ? block_room(b) : n) : 0;

	for (size_t off = first; off < n;) {
		size_t k = n - off < BUF_HUGE ? n - off : BUF_HUGE;
		struct block *nb = block_new(k);
		int r = nb ? bufq_append(&add, nb, nb->data, k) : ERR_NOMEM;

		if (r == 0) {
			memcpy(nb->data, p + off, k);
			nb->fill = (uint32_t)k;
		}
		block_unref(nb);
		if (r != 0) {
			bufq_fini(&add);
			return r;
		}
		off += k;
	}
	if (ring_grow(q, add.n + 1) != 0) {
		bufq_fini(&add);
		return ERR_NOMEM;
	}
	if (first > 0) {
		memcpy(b->data + b->fill, p, first);
		ring_push(q, (struct slice){ block_ref(b), b->fill, (uint32_t)first });
		b->fill += (uint32_t)first;
	}
	return add.len > 0 ? bufq_move(q, &add, add.len) : 0;
}

int
bufq_move(struct bufq *dst, struct bufq *src, size_t n)
{
	uint32_t first, k;
	size_t skip;

	assert(n <= src->len);
	if (n == 0)
		return 0;
	if (dst->n == 0 && n == src->len) {
		mem_free(dst->v);
		*dst = *src;
		*src = (struct bufq){ 0 };
		return 0;
	}
	k = slice_span(src, 0, n, &first, &skip);
	if (ring_grow(dst, k) != 0)
		return ERR_NOMEM;
	while (n > 0) {
		struct slice *s = slice_at(src, 0);

		if (s->n > n) {
			ring_push(dst, (struct slice){ block_ref(s->b), s->off, (uint32_t)n });
			s->off += (uint32_t)n;
			s->n -= (uint32_t)n;
			src->len -= n;
			break;
		}
		struct slice t = *s;

		n -= t.n;
		src->len -= t.n;
		ring_pop(src);
		ring_push(dst, t);
	}
	return 0;
}

/* Bytes at the front of q, at most n, that lie in one block. */
static size_t
front_run(const struct bufq *q, size_t n)
{
	const struct block *b = slice_at(q, 0)->b;
	size_t run = 0;

	for (uint32_t i = 0; i < q->n && run < n && slice_at(q, i)->b == b; i++)
		run += slice_at(q, i)->n;
	return run < n ? run : n;
}

/* Are n bytes of b too few to keep it for? */
static bool
is_thin(const struct bufq *dst, const struct block *b, size_t n)
{
	if (dst->n > 0 && slice_at(dst, dst->n - 1)->b == b)
		return false; /* it is kept already */
	return n < BUF_SMALL || n < b->fill / 2;
}

/* Copies n bytes of one block; returns how many could not be, for want of memory. */
static size_t
copy_front(struct bufq *dst, struct bufq *src, size_t n)
{
	while (n > 0) {
		const struct slice *s = slice_at(src, 0);
		size_t m = s->n < n ? s->n : n;

		if (bufq_copy(dst, slice_mem(s), m) != 0)
			break;
		bufq_drain(src, m);
		n -= m;
	}
	return n;
}

int
bufq_keep(struct bufq *dst, struct bufq *src, size_t n)
{
	uint32_t first, k;
	size_t skip;
	int r = 0;

	assert(n <= src->len);
	if (n == 0)
		return 0;
	k = slice_span(src, 0, n, &first, &skip);
	/*
	 * A copy makes three slices at most: the tail's rest, and two blocks.  From here on nothing
	 * fails.
	 */
	if (ring_grow(dst, 3 * k) != 0)
		return ERR_NOMEM;
	while (n > 0 && r == 0) {
		size_t run = front_run(src, n), left = run;

		if (is_thin(dst, slice_at(src, 0)->b, run))
			left = copy_front(dst, src, run);
		r = bufq_move(dst, src, left);
		n -= run;
	}
	return r;
}

int
bufq_share(struct bufq *dst, const struct bufq *src, size_t off, size_t n)
{
	uint32_t i, k;
	size_t skip;

	assert(off + n <= src->len);
	if (n == 0)
		return 0;
	k = slice_span(src, off, n, &i, &skip);
	if (ring_grow(dst, k) != 0)
		return ERR_NOMEM;
	for (; n > 0; i++, skip = 0) {
		const struct slice *s = slice_at(src, i);
		size_t m = s->n - skip < n ? s->n - skip : n;

		ring_push(
		    dst, (struct slice){ block_ref(s->b), s->off + (uint32_t)skip, (uint32_t)m });
		n -= m;
	}
	return 0;
}

void
bufq_drain(struct bufq *q, size_t n)
{
	assert(n <= q->len);
	while (n > 0) {
		struct slice *s = slice_at(q, 0);

		if (s->n > n) {
			s->off += (uint32_t)n;
			s->n -= (uint32_t)n;
			q->len -= n;
			return;
		}
		struct block *b = s->b;

		n -= s->n;
		q->len -= s->n;
		ring_pop(q);
		block_unref(b);
	}
}

int
bufq_peek(const struct bufq *q, size_t off, size_t n, struct iovec *iov, int max)
{
	uint32_t i, k;
	size_t skip;
	int got = 0;

	k = slice_span(q, off, n, &i, &skip);
	for (; k > 0 && n > 0 && got < max; i++, k--, skip = 0) {
		const struct slice *s = slice_at(q, i);
		size_t m = s->n - skip < n ? s->n - skip : n;

		iov[got++] = (struct iovec){ slice_mem(s) + skip, m };
		n -= m;
	}
	return got;
}

int
bufq_own(struct bufq *q, size_t off, size_t n, struct iovec *iov, int max)
{
	return bufq_peek(q, off, n, iov, max);
}

void
bufq_wipe(struct bufq *q, size_t off, size_t n)
{
	struct iovec iov[8];

	while (n > 0) {
		int k = bufq_own(q, off, n, iov, 8);

		for (int i = 0; i < k; i++) {
			mem_wipe(iov[i].iov_base, iov[i].iov_len);
			off += iov[i].iov_len;
			n -= iov[i].iov_len;
		}
	}
}

void
bufq_secret(struct bufq *q)
{
	for (uint32_t i = 0; i < q->n; i++)
		slice_at(q, i)->b->secret = 1;
}

const uint8_t *
bufq_front(const struct bufq *q, size_t *n)
{
	if (q->n == 0) {
		*n = 0;
		return NULL;
	}
	*n = slice_at(q, 0)->n;
	return slice_mem(slice_at(q, 0));
}

size_t
bufq_read(const struct bufq *q, size_t off, void *dst, size_t n)
{
	uint8_t *p = dst;
	uint32_t i, k;
	size_t skip, got = 0;

	for (k = slice_span(q, off, n, &i, &skip); k > 0 && got < n; i++, k--, skip = 0) {
		const struct slice *s = slice_at(q, i);
		size_t m = s->n - skip < n - got ? s->n - skip : n - got;

		memcpy(p + got, slice_mem(s) + skip, m);
		got += m;
	}
	return got;
}

void
bufq_compact(struct bufq *q)
{
	struct bufq own = { 0 };
	uint8_t chunk[4096];

	if (bufq_weight(q) <= BUF_COMPACT_MIN || bufq_weight(q) / BUF_COMPACT_RATIO <= q->len)
		return;
	for (size_t off = 0; off < q->len;) {
		size_t n = bufq_read(q, off, chunk, sizeof chunk);

		if (bufq_copy(&own, chunk, n) != 0) {
			/* Without memory the queue stays as it is: correct, only larger. */
			bufq_fini(&own);
			return;
		}
		off += n;
	}
	bufq_fini(q);
	*q = own;
}
