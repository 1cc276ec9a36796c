/* SPDX-License-Identifier: ISC */
/*
 * budget - bytes that somebody may make us hold: a chain of limits, from a client or an identity up
 * to the process.
 *
 * What is charged is what may still come to stand: credit that a peer was given and has not used,
 * bytes that wait for the next hop, bytes kept until they are acknowledged.  Small first windows
 * (FLOW_FLOOR, FLOW_KEEP of proto/flow.h) are not charged: each stream has them, so the worst that
 * a budget admits is max + n * (2 * FLOW_FLOOR), or max + n * (FLOW_FLOOR + FLOW_KEEP) at an
 * endpoint.
 *
 * A stream asks for a share of what is left, never for a fixed amount, so a newcomer always gets
 * some: budget_share(). Nothing is refused here; whoever charges more than its share is at fault.
 *
 * Threads: the counters are atomic, so streams of several workers may share a budget.  Two that ask
 * at the same moment may both get a share of the same free bytes; used can then pass max by one
 * share, and the next ones get nothing.
 *
 * Life: embedded in its owner, who lives longer than everything that charges it (budget_is_idle()).
 */
#ifndef PROTO_BUDGET_H
#define PROTO_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one identity may make a process hold, unless the configuration says otherwise. */
#define BUDGET_DEFAULT (64ULL * 1024 * 1024)

struct budget {
	/* bytes; may be changed at any time */
	_Atomic uint64_t max;
	/* the next larger one, borrowed; NULL: none */
	struct budget *up;
	/* bytes charged */
	_Atomic uint64_t used;
	/* streams that charge it */
	_Atomic uint32_t n;
};

void budget_init(struct budget *b, uint64_t max, struct budget *up);

/* budget_join, budget_leave - a stream begins, ends to charge b and everything above it. */
void budget_join(struct budget *b);
void budget_leave(struct budget *b);

/* budget_charge - replace the bytes a stream has charged, was, by now, at b and above. */
void budget_charge(struct budget *b, uint64_t was, uint64_t now);

/*
 * budget_share - bytes that one stream may have charged in all.
 *   own     what it has charged already
 *   proven  it has really moved bytes for a while: it may take half of what is left; else a part
 *           that gets smaller with the number of streams, since a stalled reader looks fast until
 *           the kernel's buffers are full
 * The smallest share of the chain counts.
 */
uint64_t budget_share(const struct budget *b, uint64_t own, bool proven);

/* budget_is_over - is more charged than there may be, to b or above? */
bool budget_is_over(const struct budget *b);

/* budget_streams - how many charge it. */
static inline uint32_t
budget_streams(const struct budget *b)
{
	return atomic_load_explicit(&b->n, memory_order_relaxed);
}

static inline bool
budget_is_idle(const struct budget *b)
{
	return atomic_load_explicit(&b->n, memory_order_acquire) == 0;
}

#endif
