/* SPDX-License-Identifier: ISC */
/*
 * flow - how many bytes may be under way in one half of a stream, and who pays for them
 * (PROTOCOL.md 5.2, 5.3).
 *
 *   flow_in   a half from the peer: how far it may send, what was passed on, what is acknowledged
 *   flow_out  a half towards the peer: how far we may send, what is kept until it is acknowledged
 *
 * Both charge a budget (proto/budget.h) with what may still come to stand:
 *
 *   in    limit - passed on, beyond FLOW_FLOOR: the credit that the peer has, and what it has sent
 *         and we still hold
 *   out   at an endpoint the bytes kept, beyond FLOW_KEEP; at a hop nothing: the other leg's
 *         flow_in counts them
 *
 * Windows start small, double once in a round trip while the peer uses half of one within two, up
 * to a share of what the budget has left; a larger share once the stream has really moved
 * (FLOW_PROVEN_*): a stalled reader looks fast until the kernel's buffers are full.  Credit that a
 * sender has not used for FLOW_IDLE_US it gives back (RETURN).
 *
 * No sender ever waits for a timer while bytes could move:
 *   - a window is never less than FLOW_FLOOR, and a quarter of it passed on is said at once;
 *   - an endpoint says what it has handed on at the latest after FLOW_SAY bytes, a hop passes that
 *     on at once;
 *   - a sender may always keep FLOW_KEEP >= FLOW_SAY bytes, so one that is blocked by what it keeps
 *     has at least that much under way, and its delivery brings the WINDOW.
 *
 * An object of its own, apart from session and stream, so that it can outlive the carrier.  Pure:
 * time is an argument (microseconds), nothing is allocated.
 */
#ifndef PROTO_FLOW_H
#define PROTO_FLOW_H

#include "proto/budget.h"

/*
 * The least window, and what each side may send on a new stream before it is told more (PROTOCOL.md
 * 5.2).
 */
#define FLOW_FLOOR (8 * 1024)
/*
 * A new stream's window: the floor, and at most so much more.  As large as a kernel's first receive
 * buffer.
 */
#define FLOW_FIRST (120 * 1024)
/*
 * The most that a window grows to, unless the configuration says otherwise: 1 Gbit/s over 130 ms.
 */
#define FLOW_WINDOW_MAX (16 * 1024 * 1024)
/*
 * An endpoint says WINDOW at the latest when it has handed on so many bytes; a sender may always
 * keep as many.
 */
#define FLOW_SAY (16 * 1024)
#define FLOW_KEEP FLOW_SAY
/* Credit unused for so long is given back. */
#define FLOW_IDLE_US 1000000
/* The shortest time in which the use of a window is measured: the scale of a busy scheduler. */
#define FLOW_SPAN_MIN_US 2000
/*
 * A stream has really moved after so long, or so many round trips if that is longer, and so many
 * bytes without a pause as long. The bytes are more than the kernels at the end of a path take for
 * a reader that has stopped: PACE_LOWAT_MAX of lib/net/pace.h at the sending one, a receive buffer
 * that does not grow for who reads nothing at the other.
 */
#define FLOW_PROVEN_US 100000
#define FLOW_PROVEN_RTTS 8
#define FLOW_PROVEN_BYTES (1024 * 1024)

/* Bytes that move without a long pause. */
struct flow_run {
	/* when the last ones did; 0: none has */
	uint64_t last_us;
	/* when, and from which offset on */
	uint64_t since_us, from;
};

/* ---- the half from the peer ---- */

struct flow_in {
	struct budget *budget;
	uint64_t window_max;
	/* an endpoint hands bytes to a socket; a hop passes on what it is told */
	bool endpoint;
	/* the peer has ended its half: no more credit */
	bool ended;
	/* the peer has given credit back: the next WINDOW answers that */
	bool answer_due;
	/* offsets: bytes that came; that were passed on; that the peer was told it may send */
	uint64_t received, consumed, limit;
	/* bytes that limit should be ahead of consumed */
	uint64_t window;
	/* what may be acknowledged, and what has been */
	uint64_t acked, acked_said;
	/* bytes charged to the budget */
	uint64_t charged;
	/* when the window grew last: at most once in a round trip, as TCP's */
	uint64_t grown_us;
	/* where and when the running measurement began */
	uint64_t mark, mark_us;
	/* of bytes passed on */
	struct flow_run run;
};

/*
 * flow_in_init - a new stream's half.  told: our OPEN tells the peer the first window, f->window;
 * else the peer knows only FLOW_FLOOR, and a WINDOW is due at once.  budget is borrowed until
 * flow_in_fini, and counts one stream until then.
 */
void flow_in_init(struct flow_in *f, struct budget *budget, uint64_t window_max, bool endpoint,
    bool told, uint64_t now_us);
void flow_in_fini(struct flow_in *f);

/* flow_in_take - n bytes came; false: they are beyond the limit, or behind the end. */
bool flow_in_take(struct flow_in *f, uint64_t n);
/* flow_in_consumed - n of them were passed on. */
void flow_in_consumed(struct flow_in *f, uint64_t n, uint64_t now_us, uint64_t rtt_us);
/*
 * flow_in_ack - the far endpoint has handed on everything before off; off never goes back, and is
 * at most what came.
 */
void flow_in_ack(struct flow_in *f, uint64_t off);
/* flow_in_end - the peer will send no more. */
void flow_in_end(struct flow_in *f);
/*
 * flow_in_returned - the peer gives back its credit from offset to on.  False: it was never given,
 * or is used.
 */
bool flow_in_returned(struct flow_in *f, uint64_t to);

/* flow_in_due - a WINDOW should go now. */
bool flow_in_due(const struct flow_in *f);
/* flow_in_has_news - there is something to say, but nobody waits for it. */
bool flow_in_has_news(const struct flow_in *f);
/* flow_in_say - what a WINDOW says now; it counts as said.  *answer: it answers a RETURN. */
void flow_in_say(struct flow_in *f, uint64_t *acked, uint64_t *limit, bool *answer);

/* ---- the half towards the peer ---- */

struct flow_out {
	struct budget *budget;
	bool endpoint;
	/*
	 * we have given credit back, and the peer has not answered yet: its limits are older than
	 * that
	 */
	bool returning;
	/* offsets: bytes sent; that we may send; that the far endpoint has handed on */
	uint64_t sent, limit, acked;
	/* bytes charged to the budget */
	uint64_t charged;
	/* when bytes were sent, or credit came, last */
	uint64_t used_us;
	/* of bytes acknowledged */
	struct flow_run run;
};

/*
 * flow_out_init - budget is borrowed until flow_out_fini; the stream counts through its other half.
 */
void flow_out_init(
    struct flow_out *f, struct budget *budget, bool endpoint, uint64_t limit, uint64_t now_us);
void flow_out_fini(struct flow_out *f);

static inline uint64_t
flow_out_credit(const struct flow_out *f)
{
	return f->limit > f->sent ? f->limit - f->sent : 0;
}

/* flow_out_sent - n bytes went; at most flow_out_credit(). */
void flow_out_sent(struct flow_out *f, uint64_t n, uint64_t now_us);

/* flow_out_kept - n bytes are queued or kept now.  Only an endpoint is charged. */
void flow_out_kept(struct flow_out *f, uint64_t n);
/* flow_out_may_keep - bytes that an endpoint may keep now, at least FLOW_KEEP. */
uint64_t flow_out_may_keep(const struct flow_out *f, uint64_t now_us, uint64_t rtt_us);

/*
 * flow_out_window - a WINDOW came.  Offsets that go back change nothing.  False: it acknowledges
 * what was not sent, its limit is 2^63 or more, or it answers a RETURN that was not sent.
 */
bool flow_out_window(struct flow_out *f, uint64_t acked, uint64_t limit, bool answer,
    uint64_t now_us, uint64_t rtt_us);

/* flow_out_is_idle - there is credit to give back at now_us; call flow_out_return then. */
bool flow_out_is_idle(const struct flow_out *f, uint64_t now_us);
/* flow_out_return - the offset from which on credit is given back. */
uint64_t flow_out_return(struct flow_out *f);

#endif
