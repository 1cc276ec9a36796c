/* SPDX-License-Identifier: ISC */
/*
 * udp_port - one socket of UDP that many sources send to: a flow for each, carried as a stream.
 *
 *     NEW ── an answer has left ──> ANSWERED ── it has sent again ──> PROVEN
 *     any ── silent for UDP_IDLE_MS, its stream is over, another needs its place ──> OVER
 *
 * A flow is what one source sends to one of our addresses; answers leave from there.
 *
 * Sources can be forged.  Until a source has shown that it receives what is sent to it (PROVEN) it
 * gets `amplify` times the bytes that came from it, in sum.  When there are `max` flows, a new one
 * takes the place of one that was never answered for UDP_WAIT_MS, else of one that got an answer
 * and wanted no more for as long, else of the oldest that was never answered; proven ones stay.
 *
 * Copies of payload: one in each direction (the kernel's apart).
 */
#ifndef CMD_COMMON_UDP_PORT_H
#define CMD_COMMON_UDP_PORT_H

#include <sys/queue.h>

#include "cmd/common/dpump.h"
#include "lib/base/hashtab.h"

#define UDP_IDLE_MS DPUMP_IDLE_MS
/* How often the silent ones are looked for. */
#define UDP_SWEEP_MS (UDP_IDLE_MS / 12)
/* An answer, or one more question, comes within this time or hardly at all. */
#define UDP_WAIT_MS 2000

enum udp_flow_state { UDP_NEW, UDP_ANSWERED, UDP_PROVEN, UDP_OVER, UDP_STATES };

/* All of it is set, since it is compared as bytes. */
struct udp_key {
	uint8_t from[16], to[16];
	uint32_t zone;
	uint16_t port, family;
};

struct udp_port;

/* Members may be read; own is the user's. */
struct udp_flow {
	struct udp_port *port;
	enum udp_flow_state state;
	struct udp_key key;
	struct addr from, to;
	/* NULL: it is over. */
	struct stream *s;
	uint64_t since_ms, used_ms;
	struct flow_counts n;
	/* Answers that were not sent, since they might be for somebody else. */
	uint64_t held;
	void *own;
	TAILQ_ENTRY(udp_flow) link;
	UT_hash_handle hh;
	struct grave grave;
};

TAILQ_HEAD(udp_flow_list, udp_flow);

struct udp_port_user {
	/*
	 * A source without a flow has sent something: open a stream for f with u, and f as its
	 * argument.  NULL: the datagram is dropped.
	 */
	struct stream *(*open)(void *arg, struct udp_flow *f, const struct stream_user *u);
	/* May this answer of n bytes leave to an f that is not proven?  NULL: it may. */
	bool (*answer)(void *arg, const struct udp_flow *f, size_t n);
	/* f, which open was called for and gave a stream, is over. */
	void (*closed)(void *arg, struct udp_flow *f, uint32_t code, const char *text);
};

struct udp_port_config {
	/* Bound (udp_open); taken over on success. */
	int fd;
	/* Of this thread; borrowed. */
	struct udp_batch *batch;
	/* Flows at once. */
	unsigned max;
	/* Bytes to a source that is not proven, for each that came from it; 0: no limit. */
	unsigned amplify;
	const struct udp_port_user *user;
	void *arg;
};

/* What the port has seen: each datagram that came, or was to leave, is in one of its sums. */
struct udp_port_counts {
	uint64_t flows, evicted;
	/* From sources; of these those without a flow. */
	uint64_t up, up_bytes, refused;
	/* To sources; held back; what the socket did not take. */
	uint64_t down, down_bytes, held, unsent;
	/* For want of room on the way to the far side; before they came here, by the kernel. */
	uint64_t dropped, missed;
};

#define UDP_PORT_COUNTS_TEXT 320
/* udp_port_counts_text - all of them in words; returns out. */
const char *udp_port_counts_text(const struct udp_port_counts *n, char out[UDP_PORT_COUNTS_TEXT]);

/* udp_port_new - NULL: out of memory.  udp_port_free ends all flows; accepts NULL. */
struct udp_port *udp_port_new(struct loop *l, const struct udp_port_config *cfg) WARN_UNUSED;
void udp_port_free(struct udp_port *p);

const struct udp_port_counts *udp_port_counts(const struct udp_port *p);
/* udp_port_flows - how many there are. */
unsigned udp_port_flows(const struct udp_port *p);

/* udp_port_evict - end one that another may take the place of.  False: there is none. */
bool udp_port_evict(struct udp_port *p);

#endif
