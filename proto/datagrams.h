/* SPDX-License-Identifier: ISC */
/*
 * datagrams - those that wait for their turn on one stream (PROTOCOL.md 5.7): a queue that drops
 * the oldest rather than grow.
 *
 * Windows do not bound datagrams, so this does: a queue holds DATAGRAMS_MAX at most, and less when
 * the budget of whoever pays for the stream has little left.  What waits is charged there, beyond
 * DATAGRAMS_FLOOR.
 *
 * Pure: no time, no I/O.  Copies of payload: small ones, so that they do not pin the large blocks
 * that they came in (bufq_keep).
 */
#ifndef PROTO_DATAGRAMS_H
#define PROTO_DATAGRAMS_H

#include "lib/net/buf.h"
#include "proto/budget.h"
#include "proto/frame.h"

/* Of one stream: a hundredth of a second at 200 Mbit/s, and three of the largest. */
#define DATAGRAMS_MAX (256 * 1024)
/* What each weighs beside its bytes, so that empty ones are bounded too. */
#define DATAGRAMS_COST 64
/* A stream may always have so much waiting; it is not charged. */
#define DATAGRAMS_FLOOR (8 * 1024)

/* Members are private; n may be read. */
struct datagrams {
	struct budget *budget;
	struct bufq bytes;
	/* A ring of their lengths. */
	uint16_t *len;
	uint32_t cap, head, n;
	/* Bytes charged to the budget. */
	uint64_t charged;
};

/* datagrams_init - empty; the budget is borrowed until datagrams_fini, which drops all. */
void datagrams_init(struct datagrams *q, struct budget *budget);
void datagrams_fini(struct datagrams *q);

/*
 * datagrams_put - queue all of src, at most FRAME_DATAGRAM_MAX bytes, as one datagram.
 *   dropped  how many were lost for it: the oldest, or this one if there is no room even so
 * ERR_NOMEM: src is as it was.
 */
int datagrams_put(struct datagrams *q, struct bufq *src, unsigned *dropped) WARN_UNUSED;

/* datagrams_room - bytes of a datagram for which nothing would be dropped now. */
size_t datagrams_room(const struct datagrams *q);

/* datagrams_next - bytes of the oldest; there must be one. */
size_t datagrams_next(const struct datagrams *q);
/* datagrams_take - move it to the end of out.  ERR_NOMEM: it stays. */
int datagrams_take(struct datagrams *q, struct bufq *out) WARN_UNUSED;

#endif
