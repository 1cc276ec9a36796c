/* SPDX-License-Identifier: ISC */
/*
 * hnr_accept - a relay's sessions with unmodified programs of http-network-relay: an edge-agent
 * (hnr_accept_agent.c), whose streams are told apart by their ids, and an access-client
 * (hnr_accept_client.c), whose one stream is its WebSocket.
 *
 * What cannot be said there (session.h, enum session_can), and what comes of it:
 *
 *   half-closes   What our side has said to the end of is not told to an agent: the answer is still
 *                 to come.  A client learns the end of the answer by the end of its WebSocket.
 *   ends          An edge-agent does not report the end of what a target says.  So after the end of
 *                 our side has arrived, which the answer to a ping tells, the stream goes on until
 *                 HNR_END_IDLE_US have passed without a byte, and is then cut off.  Our own agents
 *                 say HNR_ENDED.
 *   windows       inflow.h
 *   services      by name: an agent has none.
 *
 * Texts of refusals are the reference's.  Each WebSocket ends with 1000; a reason in it (bye) says
 * that a client's stream was cut.  A message that makes no sense ends it with 1002.
 */
#ifndef PROTO_DIALECT_HNR_ACCEPT_H
#define PROTO_DIALECT_HNR_ACCEPT_H

#include "proto/dialect/dialect.h"

/* To an agent that knows it: every so often, the first one so long after its login. */
#define HNR_KEEP_ALIVE_TO_AGENT_US 30000000
#define HNR_END_IDLE_US 30000000
/* Bytes of a stream that are welcome before the others have left. */
#define HNR_UNSENT_MAX (256 * 1024)
/* Bytes from an agent before it has said that the target is connected. */
#define HNR_EARLY_MAX (64 * 1024)
/* Of all streams that were ended, and wait for an agent that does not read. */
#define HNR_LEAVING_MAX (16 * 1024 * 1024)

/* For rows of dialect.c: see struct dialect. */
struct session *hnr_accept_agent(
    const struct mux_config *cfg, const struct dialect_from *from, uint64_t now_us);
struct session *hnr_accept_client(
    const struct mux_config *cfg, const struct dialect_from *from, uint64_t now_us);

#endif
