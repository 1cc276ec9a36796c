/* SPDX-License-Identifier: ISC */
/*
 * mux - the native session: many streams over one byte stream (PROTOCOL.md).
 *
 * Windows and what streams may make us hold are the work of proto/flow.h, who sends next that of
 * proto/turns.h.  The limits here are those of a session.  What a peer could exceed is answered by
 * RESET of the stream (streams, window) or by the end of the session (everything else).
 */
#ifndef PROTO_MUX_H
#define PROTO_MUX_H

#include "proto/flow.h"
#include "proto/session.h"

/*
 * Bytes an endpoint reads ahead of what was sent: enough for the largest read, small enough to stay
 * in the cache.
 */
#define MUX_UNSENT_MAX (256 * 1024)
/*
 * With this much unsent in a session each stream reads ahead by its share only: all of it together
 * stays in the cache too.
 */
#define MUX_UNSENT_SUM (512 * 1024)
#define MUX_UNSENT_SHARE (32 * 1024)
/*
 * Memory behind the queued bytes of one stream before it is looked at whether it is worth that (see
 * bufq_compact): when the peer takes nothing, and always.  Not less, because bulk streams that
 * share their blocks would be copied all the time.
 */
#define MUX_WEIGHT_BLOCKED (512 * 1024)
#define MUX_WEIGHT_MAX (1024 * 1024)
/*
 * For all streams that charge one budget, of however many sessions: with many each is looked at
 * sooner.
 */
#define MUX_WEIGHT_SUM_MAX (32 * 1024 * 1024)
/* Streams open at once in a session, unless the configuration says otherwise. */
#define MUX_STREAMS_MAX 4096
/* Bytes of answers (PONG, refusals) queued for a peer that does not read; more ends the session. */
#define MUX_CONTROL_MAX (1024 * 1024)
/* An acknowledgement for which nobody waits waits this long for company. */
#define MUX_ACK_DELAY_US 100000
/*
 * A reset waits this long, without progress, for the peer to make room for the bytes that go before
 * it; then it goes at once.
 */
#define MUX_RESET_LINGER_US 30000000
/* Bytes that wait like this in a session; beyond it those go that have waited longest. */
#define MUX_LINGER_SUM_MAX (16 * 1024 * 1024)
/*
 * A peer that was not heard of for this many of our keepalive intervals, each with a ping to
 * answer, is dead.
 */
#define MUX_KEEPALIVE_MISSES 3
/* A ping goes when this part of the interval is all that is missing of it. */
#define MUX_QUIET_SLACK 8
/* A peer that is heard all the time is asked for its round trip every so many intervals. */
#define MUX_RTT_INTERVALS 4
/*
 * Work of one session_input(): each frame counts one, an OPEN, a CONTROL and a DATAGRAM so many.
 * Then others have their turn, whatever a peer has packed into its bytes: 64 OPENs, or 2,048 small
 * frames, are under a millisecond, 8 requests to publish something are one or two.
 */
#define MUX_WORK_TURN 2048
#define MUX_WORK_OPEN 32
#define MUX_WORK_CONTROL 256
/* Of each a system call comes, or a queue's turn: 256 of them are about a millisecond. */
#define MUX_WORK_DATAGRAM 8
/* Of the PINGs of one session_input() so many are answered, and the last one. */
#define MUX_PONGS_TURN 16

struct mux_config {
	/* opened the carrier: its streams have odd ids, it says HELLO first */
	bool dialer;
	/* keep what was sent until it is acknowledged, unless inner */
	bool endpoint;
	/*
	 * it stands in a stream of another session, which keeps what is under way and watches the
	 * peer: nothing is kept here once it is sent, and no PING goes out by itself
	 */
	bool inner;
	/* of foreign dialects: the relay that was dialled is one of ours */
	bool ours;
	/* between pings; of no meaning with inner */
	uint32_t keepalive_ms;
	/* 0: MUX_STREAMS_MAX */
	uint32_t streams_max;
	/* bytes; 0: FLOW_WINDOW_MAX */
	uint64_t window_max;
	/* session->budget at first; borrowed, outlives the session */
	struct budget *budget;
	/*
	 * an endpoint: pays for what is kept until it is acknowledged, which can stand at both hops
	 * before it; NULL: budget does
	 */
	struct budget *keep;
	/*
	 * bytes that the streams of one client (PROTOCOL.md 4.2, "client") may take of budget, and
	 * twice as many of keep; 0: clients are not told apart
	 */
	uint64_t client_max;
};

/*
 * mux_new - a session in its first state: nothing said, nothing heard.  NULL when out of memory, or
 * of random numbers.
 */
struct session *mux_new(const struct mux_config *cfg, uint64_t now_us);

#endif
