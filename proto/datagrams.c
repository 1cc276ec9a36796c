/* SPDX-License-Identifier: ISC */
/* datagrams - a queue that drops the oldest. */
#include "proto/datagrams.h"

#include <assert.h>

#include "lib/base/mem.h"

enum { RING_MIN = 16 };

void
datagrams_init(struct datagrams *q, struct budget *budget)
{
	*q = (struct datagrams){ .budget = budget };
}

static uint64_t
weight(const struct datagrams *q)
{
	return q->bytes.len + (uint64_t)q->n * DATAGRAMS_COST;
}

static void
charge(struct datagrams *q)
{
	uint64_t now = weight(q) > DATAGRAMS_FLOOR ? weight(q) - DATAGRAMS_FLOOR : 0;

	budget_charge(q->budget, q->charged, now);
	q->charged = now;
}

void
datagrams_fini(struct datagrams *q)
{
	bufq_fini(&q->bytes);
	mem_free(q->len);
	q->len = NULL;
	q->cap = q->head = q->n = 0;
	charge(q);
}

static uint64_t
most(const struct datagrams *q)
{
	uint64_t n = DATAGRAMS_FLOOR + budget_share(q->budget, q->charged, false);

	return n < DATAGRAMS_MAX ? n : DATAGRAMS_MAX;
}

size_t
datagrams_room(const struct datagrams *q)
{
	uint64_t taken = weight(q) + DATAGRAMS_COST, max = most(q);

	return taken < max ? (size_t)(max - taken) : 0;
}

/* One place in the ring more. */
static int
grow(struct datagrams *q)
{
	uint32_t cap = q->cap == 0 ? RING_MIN : 2 * q->cap;
	uint16_t *len;

	if (q->n < q->cap)
		return 0;
	if ((len = mem_array(cap, sizeof *len)) == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < q->n; i++)
		len[i] = q->len[(q->head + i) & (q->cap - 1)];
	mem_free(q->len);
	q->len = len;
	q->cap = cap;
	q->head = 0;
	return 0;
}

static void
forget_first(struct datagrams *q)
{
	q->head = (q->head + 1) & (q->cap - 1);
	q->n--;
}

static void
drop_first(struct datagrams *q)
{
	bufq_drain(&q->bytes, datagrams_next(q));
	forget_first(q);
}

int
datagrams_put(struct datagrams *q, struct bufq *src, unsigned *dropped)
{
	uint64_t add = src->len + DATAGRAMS_COST, max = most(q);
	size_t n = src->len;

	assert(n <= FRAME_DATAGRAM_MAX);
	*dropped = 0;
	if (add > max) {
		*dropped = 1;
		bufq_drain(src, n);
		return 0;
	}
	if (grow(q) != 0 || bufq_keep(&q->bytes, src, n) != 0)
		return ERR_NOMEM;
	q->len[(q->head + q->n++) & (q->cap - 1)] = (uint16_t)n;
	for (; weight(q) > max; ++*dropped)
		drop_first(q);
	charge(q);
	return 0;
}

size_t
datagrams_next(const struct datagrams *q)
{
	assert(q->n > 0);
	return q->len[q->head];
}

int
datagrams_take(struct datagrams *q, struct bufq *out)
{
	int r = bufq_move(out, &q->bytes, datagrams_next(q));

	if (r != 0)
		return r;
	forget_first(q);
	charge(q);
	return 0;
}
