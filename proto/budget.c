/* SPDX-License-Identifier: ISC */
/* budget - who may make us hold how much. */
#include "proto/budget.h"

#include <assert.h>

void
budget_init(struct budget *b, uint64_t max, struct budget *up)
{
	atomic_init(&b->max, max);
	b->up = up;
	atomic_init(&b->used, 0);
	atomic_init(&b->n, 0);
}

void
budget_join(struct budget *b)
{
	for (; b != NULL; b = b->up)
		atomic_fetch_add_explicit(&b->n, 1, memory_order_relaxed);
}

void
budget_leave(struct budget *b)
{
	while (b != NULL) {
		struct budget *up = b->up;

		/* Released: whoever sees that the last stream has gone may free b. */
		atomic_fetch_sub_explicit(&b->n, 1, memory_order_release);
		b = up;
	}
}

void
budget_charge(struct budget *b, uint64_t was, uint64_t now)
{
	if (was == now)
		return;
	for (; b != NULL; b = b->up) {
		if (now > was)
			atomic_fetch_add_explicit(&b->used, now - was, memory_order_relaxed);
		else
			atomic_fetch_sub_explicit(&b->used, was - now, memory_order_relaxed);
	}
}

static uint64_t
left(const struct budget *b, uint64_t own)
{
	uint64_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
	uint64_t max = atomic_load_explicit(&b->max, memory_order_relaxed);

	assert(used >= own);
	used -= own;
	return used < max ? max - used : 0;
}

bool
budget_is_over(const struct budget *b)
{
	for (; b != NULL; b = b->up)
		if (atomic_load_explicit(&b->used, memory_order_relaxed) >
		    atomic_load_explicit(&b->max, memory_order_relaxed))
			return true;
	return false;
}

uint64_t
budget_share(const struct budget *b, uint64_t own, bool proven)
{
	uint64_t share = UINT64_MAX;

	for (; b != NULL; b = b->up) {
		uint64_t n = atomic_load_explicit(&b->n, memory_order_relaxed);
		uint64_t part = left(b, own) / (proven ? 2 : 8 + 2 * n);

		if (part < share)
			share = part;
	}
	return share;
}
