/* SPDX-License-Identifier: ISC */
/*
 * turns - who sends next: a rotation in which those that send little go first.
 *
 * Used twice, one inside the other: the clients of a session take turns, and the streams of a
 * client do.  So 2,000 streams of one client weigh no more than one of another's.
 *
 *   fresh  has sent little lately and has something to send now.  It gets one small turn
 *          (TURN_FRESH_BYTES) before the others; what is left then waits in bulk.  So 100 streams
 *          that send 31 KiB each at once put 200 KiB before a keystroke, not 3.1 MB.
 *   bulk   the others, by turns of TURN_BULK_BYTES (deficit round robin), larger when the carrier
 *          takes much at once.
 *
 * After TURN_FRESH_RUN bytes of fresh turns in a row bulk gets one, so neither starves the other.
 * The same idea as in fq_codel (RFC 8290) and CAKE.
 *
 * Pure: no time but what is passed in (microseconds), no allocation.
 */
#ifndef PROTO_TURNS_H
#define PROTO_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define TURN_FRESH_BYTES (2 * 1024)
#define TURN_BULK_BYTES (16 * 1024)
#define TURN_FRESH_RUN (64 * 1024)
/* A rest of a turn that is no larger than this is given up. */
#define TURN_CRUMBS 64
/* Whoever has sent less than this in an epoch is fresh when it has something to send again. */
#define TURN_SPARSE_BYTES (8 * 1024)
#define TURN_EPOCH_US 20000

enum turn_list { TURN_NONE, TURN_FRESH, TURN_BULK };

/* Embedded in what takes turns; zero is a valid one that waits nowhere. */
struct turn {
	enum turn_list list;
	TAILQ_ENTRY(turn) link;
	/* bytes left of the turn that it has; 0: none has begun */
	size_t left;
	/* bytes of turns that it has passed, which its next one is longer by */
	size_t saved;
	/* bytes sent since epoch_us */
	uint64_t epoch_us, epoch_bytes;
};

/* TURN_OWNER - the type whose member turn t is. */
#define TURN_OWNER(t, type) ((type *)(void *)((char *)(t)-offsetof(type, turn)))

TAILQ_HEAD(turn_queue, turn);

struct turns {
	struct turn_queue fresh, bulk;
	/* bytes of fresh turns since bulk had one */
	size_t fresh_run;
};

void turns_init(struct turns *ts);

/* turns_enter - t has something to send; nothing happens if it waits already. */
void turns_enter(struct turns *ts, struct turn *t, uint64_t now_us);

/* turns_leave - t has nothing to send, or goes away. */
void turns_leave(struct turns *ts, struct turn *t);

static inline bool
turns_is_empty(const struct turns *ts)
{
	return TAILQ_EMPTY(&ts->fresh) && TAILQ_EMPTY(&ts->bulk);
}

/*
 * turns_next - whose turn it is; NULL when nobody waits.
 *   round  bytes that the carrier takes at once: a fast one gets larger turns
 *   most   bytes of the largest turn
 *   *n     bytes that it may send now, at least 1
 * Ask again after each turns_spent().
 */
struct turn *turns_next(struct turns *ts, size_t round, size_t most, size_t *n);

/*
 * turns_pass - t, whose turn it is, has something that cannot be cut and is larger than that: it
 * goes behind the others, and its next turn is longer by this one.
 */
void turns_pass(struct turns *ts, struct turn *t);

/*
 * turns_spent - t sent n bytes.  If its turn is used up it goes behind the others; call
 * turns_leave() if it has nothing more.
 */
void turns_spent(struct turns *ts, struct turn *t, size_t n, uint64_t now_us);

#endif
