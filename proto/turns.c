/* SPDX-License-Identifier: ISC */
/* turns - fresh before bulk, and bulk in rotation. */
#include "proto/turns.h"

#include <assert.h>

void
turns_init(struct turns *ts)
{
	TAILQ_INIT(&ts->fresh);
	TAILQ_INIT(&ts->bulk);
	ts->fresh_run = 0;
}

static struct turn_queue *
queue_of(struct turns *ts, enum turn_list list)
{
	return list == TURN_FRESH ? &ts->fresh : &ts->bulk;
}

static void
put_last(struct turns *ts, struct turn *t, enum turn_list list)
{
	t->list = list;
	t->left = 0;
	TAILQ_INSERT_TAIL(queue_of(ts, list), t, link);
}

static void
epoch_turn(struct turn *t, uint64_t now_us)
{
	uint64_t age = now_us - t->epoch_us;

	if (age < TURN_EPOCH_US)
		return;
	/*
	 * Half of the last epoch still counts, so that a steady sender is not fresh at each tick of
	 * the clock.
	 */
	t->epoch_bytes = age < 2 * TURN_EPOCH_US ? t->epoch_bytes / 2 : 0;
	t->epoch_us = now_us;
}

void
turns_enter(struct turns *ts, struct turn *t, uint64_t now_us)
{
	if (t->list != TURN_NONE)
		return;
	epoch_turn(t, now_us);
	put_last(ts, t, t->epoch_bytes < TURN_SPARSE_BYTES ? TURN_FRESH : TURN_BULK);
}

void
turns_leave(struct turns *ts, struct turn *t)
{
	if (t->list == TURN_NONE)
		return;
	TAILQ_REMOVE(queue_of(ts, t->list), t, link);
	t->list = TURN_NONE;
	t->left = t->saved = 0;
}

void
turns_pass(struct turns *ts, struct turn *t)
{
	assert(t->list != TURN_NONE && t->left > 0);
	t->saved += t->left;
	TAILQ_REMOVE(queue_of(ts, t->list), t, link);
	put_last(ts, t, TURN_BULK);
}

struct turn *
turns_next(struct turns *ts, size_t round, size_t most, size_t *n)
{
	struct turn *t = TAILQ_FIRST(&ts->fresh), *bulk = TAILQ_FIRST(&ts->bulk);
	size_t size;
	bool alone;

	if (t == NULL || (bulk != NULL && ts->fresh_run >= TURN_FRESH_RUN))
		t = bulk;
	if (t == NULL)
		return NULL;
	/* Nobody else waits: small turns would only make small frames. */
	alone = (t == bulk ? TAILQ_EMPTY(&ts->fresh) : bulk == NULL) && TAILQ_NEXT(t, link) == NULL;
	if (alone)
		size = most;
	else if (t->list == TURN_FRESH)
		size = TURN_FRESH_BYTES;
	else if (round / 4 > TURN_BULK_BYTES && TAILQ_EMPTY(&ts->fresh))
		size = round / 4; /* several turns fit into a round: large frames are cheaper */
	else
		size = TURN_BULK_BYTES;
	if (size > most)
		size = most;
	/* A turn that was begun alone gets no longer than the others once they are there. */
	if (alone || t->left == 0 || t->left > size)
		t->left = size;
	*n = t->left + t->saved;
	return t;
}

void
turns_spent(struct turns *ts, struct turn *t, size_t n, uint64_t now_us)
{
	assert(t->list != TURN_NONE);
	epoch_turn(t, now_us);
	t->epoch_bytes += n;
	if (t->list == TURN_FRESH)
		ts->fresh_run += n;
	else
		ts->fresh_run = 0;
	if (n > t->left)
		t->saved -= n - t->left < t->saved ? n - t->left : t->saved;
	/*
	 * What is hardly more than a header is not worth a frame; whoever had a larger turn, alone,
	 * is fresh no more.
	 */
	t->left = n + TURN_CRUMBS < t->left ? t->left - n : 0;
	if (t->left > 0 && (t->list == TURN_BULK || n < TURN_FRESH_BYTES))
		return;
	TAILQ_REMOVE(queue_of(ts, t->list), t, link);
	put_last(ts, t, TURN_BULK);
}
