/* SPDX-License-Identifier: ISC */
/*
 * mux - the native session: many streams over one byte stream (PROTOCOL.md).
 *
 * Limits, each with its reason.  Those that a peer could exceed are answered by RESET of the stream (streams, window) or by
 * the end of the session (everything else).
 */
#ifndef PROTO_MUX_H
#define PROTO_MUX_H

#include "proto/session.h"

/* Bytes the peer may send on a new stream before any WINDOW: part of the protocol, both sides count on it. */
#define MUX_WINDOW_FIRST (128 * 1024)
/* The most a window grows to by itself: the product of 10 Gbit/s and 3 ms, or of 400 Mbit/s and 80 ms. */
#define MUX_WINDOW_MAX (4 * 1024 * 1024)
/* All windows of a session together grow no further than this: what one peer can make us hold. */
#define MUX_WINDOW_SUM_MAX (64 * 1024 * 1024)
/* Bytes an endpoint keeps for one stream until they are acknowledged. */
#define MUX_RETAIN_MAX (8 * 1024 * 1024)
/*
 * All streams of a session together: beyond it each keeps no more than its share, so that a peer which acknowledges nothing
 * cannot make us keep MUX_RETAIN_MAX for every stream it opens, and the others go on, if slower.
 */
#define MUX_RETAIN_SUM_MAX (64 * 1024 * 1024)
#define MUX_RETAIN_SHARE (64 * 1024)
/* Bytes an endpoint reads ahead of what was sent: enough for the largest read, small enough to stay in the cache. */
#define MUX_UNSENT_MAX (256 * 1024)
/*
 * Memory behind the queued bytes of one stream before it is looked at whether it is worth that (see bufq_compact): when the peer
 * takes nothing, and always.  Not less, because bulk streams that share their blocks would be copied all the time.
 */
#define MUX_WEIGHT_BLOCKED (512 * 1024)
#define MUX_WEIGHT_MAX (1024 * 1024)
/* For all streams of a session together: with many of them each is looked at sooner. */
#define MUX_WEIGHT_SUM_MAX (128 * 1024 * 1024)
/* With this much unsent in a session each stream reads ahead by its share only: all of it together stays in the cache too. */
#define MUX_UNSENT_SUM (512 * 1024)
#define MUX_UNSENT_SHARE (32 * 1024)
/* Streams open at once in a session, unless the configuration says otherwise. */
#define MUX_STREAMS_MAX 4096
/*
 * Bytes of control frames queued for a peer that does not read; more ends the session.  Of these only a part is for OPEN, which
 * a third party (a relay's client) can have sent as often as it likes: beyond it our side opens no streams, and resets say
 * their code without words, so that what is left is the peer's own doing (pongs, answers).
 */
#define MUX_CONTROL_MAX (1024 * 1024)
#define MUX_CONTROL_OPEN_MAX (MUX_CONTROL_MAX / 4)
/* Bytes one stream may send before the next one's turn; more on a carrier that takes more than four of these at once. */
#define MUX_QUANTUM (16 * 1024)
/* A stream that sent less than this in an epoch is sparse and goes first. */
#define MUX_SPARSE_BYTES (32 * 1024)
#define MUX_SPARSE_EPOCH_MS 20
/* An acknowledgement waits this long for company. */
#define MUX_ACK_DELAY_MS 100
/* A reset waits this long, without progress, for the peer to make room for the bytes that go before it; then it goes at once. */
#define MUX_RESET_LINGER_MS 30000
/* Bytes that wait like this in a session; beyond it those go that have waited longest. */
#define MUX_LINGER_SUM_MAX (16 * 1024 * 1024)
/* A peer that was not heard of for this many of our keepalive intervals, each with a ping to answer, is dead. */
#define MUX_KEEPALIVE_MISSES 3
/* A ping goes when this part of the interval is all that is missing of it. */
#define MUX_QUIET_SLACK 8
/* A peer that is heard all the time is asked for its round trip every so many intervals. */
#define MUX_RTT_INTERVALS 4

struct mux_config {
	bool dialer; /* opened the carrier: its streams have odd ids, it says HELLO first */
	bool retain; /* an endpoint: keep what was sent until it is acknowledged */
	uint32_t keepalive_ms; /* between pings */
	uint32_t streams_max;  /* 0: MUX_STREAMS_MAX */
	uint64_t window_max;   /* bytes; 0: MUX_WINDOW_MAX */
};

/* mux_new - a session in its first state: nothing said, nothing heard.  NULL when out of memory, or of random numbers. */
struct session *mux_new(const struct mux_config *cfg, uint64_t now_ms);

#endif
