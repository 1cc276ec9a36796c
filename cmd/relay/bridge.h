/* SPDX-License-Identifier: ISC */
/*
 * bridge - a client's stream joined to an agent's.
 *
 * Bytes, ends and acknowledgements pass through; windows are hop by hop: a hop may send what the
 * other hop has taken.  So the memory of a stream is its window, and that of all streams of an
 * identity what its account admits: beyond that the fullest at this agent is reset.
 * A reset of one side resets the other, with its code and text.
 *
 * What a side's protocol cannot do (session.h, enum session_can) the bridge makes up for:
 *
 *   half-closes       The agent's end ends the client's stream as a whole, behind the last byte.
 *                     When a client is gone and its agent cannot be told that half of it is, the
 *                     agent's stream ends as a whole.  Data for a side that is over resets the
 *                     stream (CODE_GONE).
 *   acknowledgements  What has left for that side stands for acknowledged.  So a stream through it
 *                     cannot resume: bytes on that link may be lost with it.
 *
 * A stream of datagrams is passed on one by one; what the next hop does not take in time is
 * dropped, and counted in the line that tells of the stream's end.
 *
 * A bridge belongs to nobody: it is the user of its two streams and goes when both have gone.
 */
#ifndef CMD_RELAY_BRIDGE_H
#define CMD_RELAY_BRIDGE_H

#include "cmd/relay/peer.h"
#include "proto/ctl.h"
#include "proto/mux.h"

#define RELAY_TARGET_TEXT (CTL_HOST_MAX + 8)

/* relay_target_text - the service, or host and port, for logs; returns out. */
const char *relay_target_text(const struct ctl_open *o, char out[RELAY_TARGET_TEXT]);

/*
 * bridge_open - connect a stream to the agent.
 *   s  client's, which asked for o and has no answer yet; it gets one here or later, in every case
 */
void bridge_open(
    struct peer *client, struct peer *agent, struct stream *s, const struct ctl_open *o);

/* bridges_end_e2e - cut off all that this client has end to end. */
void bridges_end_e2e(struct peer *client, uint32_t code, const char *text);

#endif
