/* SPDX-License-Identifier: ISC */
/*
 * exchange - one request of a visitor and its answer.
 *
 *     ROUTED ── may it come in? ──> ASKED ── the answer's head ──> ANSWERED ──> OVER
 *       └─> WAITING ── the agent is back ──^    └── 101 ──> TUNNEL ──────────────^
 *
 * Bodies pass both ways with back-pressure and are never held.  An answer that has begun and cannot
 * be finished is broken off, so that nobody takes it for a whole one; before that the visitor is
 * answered by the relay itself (answers.h).  A line in the log tells of each.
 *
 * Life cycle: exchange_new when a head has been read, exchange_begin on the worker it is for; the
 * connection passes on what happens to it; done; exchange_free, at any time.  Functions that are
 * given an exchange may call done.
 */
#ifndef CMD_RELAY_INGRESS_EXCHANGE_H
#define CMD_RELAY_INGRESS_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/net/addr.h"

struct exchange;
struct filter;
struct http_head;
struct publication;
struct relay;
struct worker;

TAILQ_HEAD(exchange_list, exchange);

/* How long an agent may take to reach a service that says nothing of its own. */
#define EXCHANGE_CONNECT_MS 10000
/* How long the body waits for an answer to Expect: 100-continue. */
#define EXCHANGE_EXPECT_MS 1000
/*
 * A visitor who sends no more may still read the answer, or have gone: nobody can tell before
 * something is written.  So a service has this long for the next byte of it, and a connection that
 * is gone answers that byte by a reset.
 */
#define EXCHANGE_ENDED_MS 5000
/* Of a request on a stream that was used before, what is kept to be sent once more. */
#define EXCHANGE_AGAIN_MAX (64 * 1024)

/* What becomes of the visitor's connection. */
enum exchange_end {
	/* it may carry the next request */
	EXCHANGE_KEEP,
	/* the answer is whole and the last one */
	EXCHANGE_LAST,
	/* the same, and some of the request may still come */
	EXCHANGE_EARLY,
	/* to be broken off */
	EXCHANGE_CUT,
	/* it has been used up as a tunnel */
	EXCHANGE_TAKEN,
};

struct exchange_user {
	/* Call exchange_tick at this time (loop_now_ms), or before. */
	void (*due)(void *arg, uint64_t at_ms);
	/* The filter is the exchange's from now on, and no more told of. */
	void (*taken)(void *arg);
	/* Once; what is left is exchange_free. */
	void (*done)(void *arg, enum exchange_end end);
};

struct exchange_from {
	/* the connection; borrowed */
	struct filter *f;
	/* the other end of it, and ours; borrowed */
	const struct addr *peer, *to;
	bool tls;
	const struct exchange_user *user;
	void *arg;
};

/* exchange_new - head, done, is taken over.  NULL: out of memory; head is still the caller's. */
struct exchange *exchange_new(
    struct worker *w, struct http_head *head, const struct exchange_from *from);

/* exchange_worker - where the request is to be carried; w itself if it is answered at once. */
struct worker *exchange_worker(const struct exchange *x, struct worker *w);

/* exchange_move - it is on w now. */
void exchange_move(struct exchange *x, struct worker *w);

/* exchange_begin - carry it. */
void exchange_begin(struct exchange *x);

/* What the connection has to tell: bytes, room for them, the visitor's orderly end, the time. */
void exchange_readable(struct exchange *x);
void exchange_writable(struct exchange *x);
void exchange_ended(struct exchange *x);
void exchange_tick(struct exchange *x, uint64_t now_ms);

/* exchange_lost - the visitor's connection is broken, or is to end now; why is for the log. */
void exchange_lost(struct exchange *x, const char *why);

void exchange_free(struct exchange *x);

/* exchanges_go - the publication's agent is there: requests that wait for it are carried. */
void exchanges_go(struct publication *pub);
/* exchanges_leave - the publication is over: they are answered. */
void exchanges_leave(struct publication *pub);

#endif
