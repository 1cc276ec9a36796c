/* SPDX-License-Identifier: ISC */
/*
 * dpump - an endpoint of a stream of datagrams: carries them between the stream and a local socket
 * that keeps their boundaries.
 *
 *   a connected socket of UDP   ends when its peer has no such port (ICMP), and when nothing has
 *                               passed for DPUMP_IDLE_MS
 *   a SOCK_SEQPACKET socket     stands for standard input and output (connect): read no faster than
 *                               the stream takes it; its end is waited out for DPUMP_LAST_MS, for
 *                               the answers
 *
 * What finds no room is dropped and counted: of the stream's queue the oldest (datagrams.h), of the
 * socket's the newest.
 *
 * The dpump owns the socket.  The stream stays its session's.  Copies of payload: one in each
 * direction (the kernel's apart).
 */
#ifndef CMD_COMMON_DPUMP_H
#define CMD_COMMON_DPUMP_H

#include "cmd/common/pump.h"
#include "lib/net/udp.h"

/* Silence in both directions after which a flow is over (PROTOCOL.md 5.7). */
#define DPUMP_IDLE_MS 60000
/* After the end of input an answer may still come: so long after the last one. */
#define DPUMP_LAST_MS 3000

/* What has passed; up: from whoever opened the flow. */
struct flow_counts {
	uint64_t up, up_bytes, down, down_bytes;
	/* Here, both ways. */
	uint64_t dropped;
};

#define FLOW_COUNTS_TEXT 128
/* flow_counts_text - "3 datagrams up (90 bytes), 2 down (180), 0 dropped here"; returns out. */
const char *flow_counts_text(const struct flow_counts *n, char out[FLOW_COUNTS_TEXT]);

struct dpump;

/* How it went: res->to_stream and from_stream are bytes; n is borrowed. */
typedef void dpump_done_fn(void *arg, const struct pump_result *res, const struct flow_counts *n);

/*
 * dpump_new - take over fd, become s's user, and begin.
 *   batch  of this thread; borrowed
 *   local  the flow was opened here: what comes from the socket is up
 * done is called once, when the flow is over; the dpump frees itself.  NULL: out of memory; nothing
 * was taken.
 */
struct dpump *dpump_new(struct loop *l, int fd, struct stream *s, struct udp_batch *batch,
    bool local, dpump_done_fn *done, void *arg) WARN_UNUSED;

/* dpump_deliver - a datagram that the stream had brought before; what is left in in is dropped. */
void dpump_deliver(struct dpump *p, struct bufq *in);

/* dpump_quiet - it ends after so long a silence from now on. */
void dpump_quiet(struct dpump *p, uint64_t ms);

/* dpump_stop - end it from outside: the stream is reset with code and text; done is not called. */
void dpump_stop(struct dpump *p, uint32_t code, const char *text);

#endif
