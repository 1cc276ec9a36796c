/* SPDX-License-Identifier: ISC */
/*
 * splice - two filters joined both ways: a visitor's connection and a stream to a service, once
 * they speak a protocol of their own (101 Switching Protocols).
 *
 *     a ── input ──> b        each half ends by itself, behind all its bytes
 *     a <── input ── b
 *
 * One that is broken breaks the other, behind what came before, and by a reset: a program must not
 * take a part for the whole.  Nobody who has something to read is waited for without end: nothing
 * may move for idle_ms, in either direction, and what is left when the other side is broken
 * has SPLICE_LINGER_MS.
 *
 * Back-pressure: a side is read as far as the other has room.
 */
#ifndef CMD_RELAY_INGRESS_SPLICE_H
#define CMD_RELAY_INGRESS_SPLICE_H

#include "lib/net/filter.h"

/* How long the last bytes may take to arrive before a reset, and how often that is looked at. */
#define SPLICE_LINGER_MS 5000
#define SPLICE_POLL_MS 20

enum splice_side { SPLICE_A, SPLICE_B, SPLICE_SIDES };

struct splice;

struct splice_result {
	/* Both halves have ended in good order. */
	bool whole;
	/* Whose end or break came first; SPLICE_SIDES: neither's. */
	enum splice_side side;
	/* Why it broke, "" if it did not; borrowed for the call. */
	const char *text;
	/* Bytes from each side. */
	uint64_t bytes[SPLICE_SIDES];
};

/*
 * splice_new - join them; both are taken over, with what stands unread in them.
 *   idle_ms  without a byte in either direction, after which both are broken
 *   done     called once, not before the loop's next turn, when both are freed
 * NULL: out of memory; nothing was taken.
 */
struct splice *splice_new(struct loop *l, struct filter *a, struct filter *b, uint64_t idle_ms,
    void (*done)(void *arg, const struct splice_result *res), void *arg);

/* splice_stop - end it from outside: both sides are reset at once; done is not called. */
void splice_stop(struct splice *s);

/* splice_bytes - from that side so far. */
uint64_t splice_bytes(const struct splice *s, enum splice_side side);

#endif
