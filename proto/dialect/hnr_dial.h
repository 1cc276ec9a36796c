/* SPDX-License-Identifier: ISC */
/*
 * hnr_dial - our sessions with somebody else's relay of http-network-relay: as its edge-agent, and
 * as its access-client.
 *
 * What the protocol lacks (session.h, enum session_can) is all: half-closes, acknowledgements,
 * windows, datagrams, services by name.
 *
 *   agent    The login has no answer.  So the relay has let us in when it says its first word, or
 *            HNR_SETTLE_US after our `start`; an orderly end before that is a refusal.  When one
 *            half of a stream has ended, so has the stream: connection_reset, after a pause, since
 *            the relay drops what it has not passed on when that comes.  The pause begins when it
 *            has received everything, which the answer to a ping tells.
 *   client   One stream for each session.  Its end is that of the WebSocket: in good order if that
 *            was.  What our user ends stays open, as nothing can be said of it.
 */
#ifndef PROTO_DIALECT_HNR_DIAL_H
#define PROTO_DIALECT_HNR_DIAL_H

#include "proto/mux.h"

#define HNR_SETTLE_US 1000000
/* The edge-agent says so that it lives. */
#define HNR_KEEP_ALIVE_US 10000000
/*
 * Before connection_reset, and so much more as the relay needs for what it still has if it passes
 * on HNR_END_RATE bytes a second (the reference does some 4 MB on an idle machine).  Better late
 * than cut off: the client could not tell.  Our own relay loses nothing.
 */
#define HNR_END_PAUSE_US 1000000
#define HNR_END_PAUSE_MAX_US 1800000000
#define HNR_END_RATE (512 * 1024)

/* Both: NULL when out of memory. */
struct session *hnr_dial_agent(const struct mux_config *cfg, uint64_t now_us);
struct session *hnr_dial_client(const struct mux_config *cfg, uint64_t now_us);

#endif
