/* SPDX-License-Identifier: ISC */
/*
 * inflow - bytes from a peer whose protocol cannot stop one stream by itself: how much of each
 * stream may stand here, and when the whole peer is not read for a while.
 *
 * What a stream has brought and its user has not passed on (stream_consumed) is held, and charged
 * to the stream's budget.  INFLOW_FLOOR each may hold, whatever that has left.
 *
 *   a pause   begins when a stream holds more than it may: INFLOW_STOP at first, and never more
 *             than the budget gives.  It ends when no stream does so by more than half any longer.
 *   others    must not wait for a stream that stands still: where there are any, and it has passed
 *             on less than INFLOW_MOVES in INFLOW_STALL_US, it may hold twice as much from then on.
 *             One that moves, and is slow, may hold INFLOW_STOP more after INFLOW_PAUSE_US.
 *   sips      The peer's own pings wait in a pause, behind all that its socket and ours have taken,
 *             and it gives up when they are not answered.  So when one may be under way, a little
 *             is read all the same, at a pace that gets through to it in time, until it has come.
 *             Of a peer whose pings do not come, still less: its end is noticed like that.
 *   the bound when a budget is over, the stream that holds most of it is to be closed.
 *
 * So a slow reader slows the sender down, and one that has stopped costs the others of that peer
 * a few short pauses, then its own stream; alone it is closed when sips have filled its budget.
 *
 * Embedded in its session, and one struct in each stream.  Pure: time is an argument.
 */
#ifndef PROTO_DIALECT_INFLOW_H
#define PROTO_DIALECT_INFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/budget.h"
#include "proto/session.h"

#define INFLOW_FLOOR (64 * 1024)
/* Enough to keep a fast link busy in between. */
#define INFLOW_STOP (1024 * 1024)
#define INFLOW_STALL_US 1000000
#define INFLOW_MOVES (64 * 1024)
#define INFLOW_PAUSE_US 10000000
/*
 * An unmodified program of http-network-relay sends a ping 20 s after it had the answer to the last
 * one, and gives up 20 s later.  Ahead of it may be what the sockets hold, up to some 8 MiB.
 */
#define INFLOW_QUIET_US 20000000
#define INFLOW_SIP (64 * 1024)
#define INFLOW_SIP_EACH_US 125000
/* It sends none. */
#define INFLOW_MUTE_US 60000000
#define INFLOW_SIP_MUTE_US 2000000
/* The answer to a ping of ours is behind as much. */
#define INFLOW_LISTEN (16 * 1024 * 1024)

struct inflow_stream {
	/* Borrowed until inflow_stream_fini. */
	struct budget *budget;
	/* Bytes, and how many it may hold. */
	uint64_t held, may;
	/* It holds more: what it has passed on since that was looked at. */
	bool over;
	uint64_t moved;
	/* Among those that hold something. */
	TAILQ_ENTRY(inflow_stream) link;
};

TAILQ_HEAD(inflow_list, inflow_stream);

struct inflow {
	/* Who is told to stop; borrowed. */
	struct session *s;
	struct inflow_list holding;
	/* Streams that are over. */
	unsigned n_over;
	/* When the pause began, and is looked at again; UINT64_MAX: there is none. */
	uint64_t since_us, look_us;
	/* In a pause: when the next sip is taken; the bytes that are left of this one. */
	uint64_t sip_us, sip;
};

void inflow_init(struct inflow *f, struct session *s);

/* inflow_stream_init - budget counts one stream more until inflow_stream_fini. */
void inflow_stream_init(struct inflow_stream *x, struct budget *budget);
/* inflow_stream_fini - its user is gone: nothing is held any more. */
void inflow_stream_fini(struct inflow *f, struct inflow_stream *x);

/*
 * inflow_came - n bytes go to x's user.  Returns the stream that is to be closed, x or another, and
 * then inflow_fullest until there is none; NULL: none is.
 */
struct inflow_stream *inflow_came(
    struct inflow *f, struct inflow_stream *x, size_t n, uint64_t now_us);
struct inflow_stream *inflow_fullest(struct inflow *f, const struct budget *b);

/* inflow_taken - n of them were passed on. */
void inflow_taken(struct inflow *f, struct inflow_stream *x, size_t n);

/* inflow_tick - at inflow_deadline_us. */
void inflow_tick(struct inflow *f, uint64_t now_us);
static inline uint64_t
inflow_deadline_us(const struct inflow *f)
{
	return f->look_us < f->sip_us ? f->look_us : f->sip_us;
}

/* inflow_listen - an answer of the peer is waited for: in a pause, too, it is read until then. */
void inflow_listen(struct inflow *f);

#endif
