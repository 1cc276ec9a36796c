/* SPDX-License-Identifier: ISC */
/*
 * service - the connections to what an agent offers: its named services, and targets that its
 * --allow patterns admit.
 *
 * The agent decides by its own list, whatever the relay asks for.  A name is resolved once, every
 * address is checked against the patterns, and that very address is dialled.
 */
#ifndef CMD_AGENT_SERVICE_H
#define CMD_AGENT_SERVICE_H

#include "cmd/agent/offer.h"
#include "lib/net/loop.h"
#include "proto/session.h"

#define SERVICE_DIAL_MS 10000 /* to connect to a target */
/*
 * Streams that were reset while their target did not read: they do not count as open.  A client may
 * have half of what the others leave; one more ends its oldest.
 */
#define SERVICE_LINGER_MAX 256

/* Datagrams that wait for the look-up of their target's name, of all streams together. */
#define SERVICE_EARLY_MAX (4 * 1024 * 1024)

#define SERVICE_DRAIN_QUIET_MS 500

struct services;

/*
 * services_new - serve these offers (borrowed), at most max_streams at once; more are refused.
 * NULL: out of memory.
 */
struct services *services_new(
    struct loop *l, const struct offers *offers, uint64_t max_streams) WARN_UNUSED;
/* services_left - how many more streams it would take. */
uint64_t services_left(const struct services *sv);
/* services_use - others from now on; what is being dialled and carried goes on. */
void services_use(struct services *sv, const struct offers *offers);
/*
 * services_drain - the process is to end: flows of datagrams, which have no end of their own, end
 * when they are silent for SERVICE_DRAIN_QUIET_MS.
 */
void services_drain(struct services *sv);
/* services_free - ends what is being dialled and carried. */
void services_free(struct services *sv);

/* A client that the agent knows itself (e2e.h); lives until its last stream has ended. */
struct service_client {
	/* Tells it from the others; above UINT32_MAX, since relays number theirs below. */
	uint64_t number;
	/* May its stream to host be connected to a, beside what --allow says? */
	bool (*may_dial)(void *arg, const char *host, const struct addr *a);
	/* One of its streams is over. */
	void (*ended)(void *arg);
	void *arg;
};

/*
 * services_open - serve a stream that was opened: check, dial, carry.  Answers s in every case.
 *   whose  borrowed until ended; NULL: a client of the relay's, as o says
 */
void services_open(struct services *sv, struct stream *s, const struct ctl_open *o,
    const struct service_client *whose);

#endif
