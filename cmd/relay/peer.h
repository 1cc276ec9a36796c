/* SPDX-License-Identifier: ISC */
/*
 * peer - an agent or a client of the relay: its login, its way to the worker that owns its name,
 * its streams, its end.
 *
 *     HELLO ──> asked: who is it? ──> binding: whose is the name? ──> (moving: there)
 *       ──> (probing: is the one that is there alive?) ──> in
 *
 * Each question may be answered at once or later; meanwhile the session's input is kept.  A login
 * that took its time, or another worker, is judged anew when it arrives: a reload or a drain may
 * have missed it.
 *
 * A peer belongs to the worker it is on and owns its carrier.  It ends by itself when the carrier
 * is lost; peer_close and peer_drain say why to the other side first.  Its memory lives until the
 * end of the turn, so all functions here may be called inside callbacks of its session.
 */
#ifndef CMD_RELAY_PEER_H
#define CMD_RELAY_PEER_H

#include "cmd/common/carrier.h"
#include "cmd/relay/party.h"
#include "cmd/relay/worker.h"
#include "lib/net/addr.h"
#include "proto/creds.h"
#include "proto/dialect/dialect.h"

/* Sessions of one agent instance (PROTOCOL.md 4.1). */
#define RELAY_CARRIERS_MAX 8
/* Bytes of a message from somebody who is not logged in, whatever the dialect allows later. */
#define PEER_FIRST_MESSAGE_MAX (64 * 1024)

struct group;

/* What is the matter with it; peer.c has the table of moves. */
enum peer_state {
	/* Has said nothing yet. */
	PEER_NEW,
	/* Its credentials are being checked (admit.h). */
	PEER_ASKED,
	/* The registry is asked for its worker. */
	PEER_BINDING,
	/* On its way there (move.h). */
	PEER_MOVING,
	/* An agent that waits for its rivals to answer (rivals.h). */
	PEER_PROBING,
	/* Let in: greeted, in its group. */
	PEER_IN,
	/* Was refused or told to go. */
	PEER_LEAVING,
	PEER_STATES
};

struct peer {
	struct worker *w;
	/* Owned. */
	struct carrier *carrier;
	enum peer_state state;
	enum ctl_role role;
	/* An agent's own; of a client the agent's that it is bound to. */
	char name[CTL_AGENT_MAX + 1];
	char from[ADDR_TEXT];
	/* Of its dialect. */
	uint64_t message_max;
	/* Which entry of the credentials let it in. */
	struct creds_id id;
	/* From where, for whoever has no credentials. */
	uint8_t address[ADDR_IDENTITY_LEN];
	/* Whom its limits belong to; a reference, NULL until it is known. */
	struct account *account;
	/* Client: what the account has at this agent; a reference, NULL until it has arrived. */
	struct party *party;
	/* Client: its streams end to end (bridge.c). */
	LIST_HEAD(, bridge) e2e;
	/* Of its HELLO: sessions with the same one are carriers of one agent. */
	uint8_t instance[CTL_TOKEN_LEN];
	/* NULL until it has arrived, and once it was replaced. */
	struct group *group;
	/* Holds a reference in the registry. */
	bool bound;
	/* Has a place in relay_counts, and is one of its account's sessions. */
	bool counted;
	/* In the worker's list: everywhere but on the way between two workers. */
	bool listed;
	/* Opens too fast: nothing is read from it until the timer says so. */
	bool slowed;
	struct timer slow;
	/* When it was let in; 0: not yet. */
	uint64_t since_ms;
	/* In the worker's list, and in the group's of its role. */
	TAILQ_ENTRY(peer) link;
	TAILQ_ENTRY(peer) group_link;
	struct grave grave;
};

/*
 * peer_new - a session of dialect d for a guest whose WebSocket stands.
 *   f        the stack up to the WebSocket; taken over on success
 *   from     what is known of the other side; borrowed
 *   addr     its address
 *   settled  called once, when the guest's deadline has nothing more to watch: it was let in,
 *            handed over, refused or lost
 * NULL: out of memory; f is still the caller's and settled is not called.
 */
struct peer *peer_new(struct worker *w, struct filter *f, const struct dialect *d,
    const struct dialect_from *from, const struct addr *addr, void (*settled)(void *arg),
    void *arg);

/*
 * peer_login - it has said who it is before its WebSocket stood (dialect.h, login), and was let in
 * as id: what a right HELLO leads to, happens now.  p may be gone afterwards.
 */
void peer_login(struct peer *p, const struct ctl_hello *h, const struct creds_id *id);

/*
 * peer_close - tell it why and end; its streams end with the same code and text.  Once; more calls
 * do nothing.
 */
void peer_close(struct peer *p, uint32_t code, const char *text);

/* peer_drain - no new streams; it is closed when the last has gone. */
void peer_drain(struct peer *p);

/* peer_uncount - its place is free, before it is gone. */
void peer_uncount(struct peer *p);

/* peer_drop - end it at once; nothing is said or waited for. */
void peer_drop(struct peer *p, uint32_t code, const char *text);

/* peer_drop_all - end every peer of w at once; at the end of the process. */
void peer_drop_all(struct worker *w);

/* peer_deny - answer a client's OPEN with RESET, and say so in the log, at a limited rate. */
void peer_deny(
    struct peer *p, struct stream *s, const struct ctl_open *o, uint32_t code, const char *why);

/*
 * peers_check - after a reload, and from time to time: whoever the credentials no longer know is
 * disconnected, and who may not be end to end any more is cut off there.
 */
void peers_check(struct worker *w);

#endif
