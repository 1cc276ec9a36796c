/* SPDX-License-Identifier: ISC */
/*
 * clients - those whom the agent knows itself: sessions end to end, in streams that the relay only
 * carries (PROTOCOL.md 5.8).
 *
 * Who they are and what they may reach stands in the agent's own file (--clients), whatever the
 * relay says: a key proves who somebody is, and each stream is judged by the entry, by the services
 * and by --allow.
 *
 * Limits belong to the entry: however many sessions its keys have, they share sessions, streams and
 * bytes; and of the agent's sessions and streams an entry has at most half of what the others
 * leave.  Until a key is proved, they belong to the number that the relay has given the client: so
 * many handshakes at once, and so many begun in a second, whatever others do.
 */
#ifndef CMD_AGENT_CLIENTS_H
#define CMD_AGENT_CLIENTS_H

#include "cmd/agent/service.h"
#include "cmd/common/uplink.h"

/* What an entry may have that says nothing of its own. */
#define CLIENTS_SESSIONS 64
#define CLIENTS_STREAMS 4096
/*
 * Handshakes under way, of all and of one client of the relay: 42 KiB each.  Of all the oldest
 * gives way, of the client that has most.
 */
#define CLIENTS_HANDSHAKES 256
#define CLIENTS_HANDSHAKES_EACH 64
/* Begun in a second by one client of the relay, and at once: each is some milliseconds of work. */
#define CLIENTS_RATE 32
#define CLIENTS_BURST 64

struct clients;

struct clients_config {
	struct loop *loop;
	/* All borrowed: the agent's name, its --clients, what its uplinks have, what it offers. */
	const char *name;
	const char *path;
	struct uplink_config *uplink;
	struct services *services;
	/* Sessions of all, as they are streams of the relay. */
	uint64_t max_sessions;
};

/* clients_new - read the file.  ERR_* with e. */
int clients_new(
    const struct clients_config *cfg, struct clients **out, struct errtext *e) WARN_UNUSED;
/* clients_free - sessions end; after services_free.  Accepts NULL. */
void clients_free(struct clients *cl);

/* clients_take - the relay has opened s for a session end to end.  It is answered in every case. */
void clients_take(struct clients *cl, struct stream *s, const struct ctl_open *o);

/* clients_reread - read the file again, changed or not. */
void clients_reread(struct clients *cl);

/* clients_drain - take no new sessions and streams; those end that have none, or no more. */
void clients_drain(struct clients *cl);

#endif
