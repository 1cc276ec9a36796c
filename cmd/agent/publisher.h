/* SPDX-License-Identifier: ISC */
/*
 * publisher - asks the relay to publish what the offers say (PROTOCOL.md 4.4), and keeps what it
 * answered.
 *
 *     ASKED ── yes ──> GRANTED <── yes, no ──> REFUSED <── no ── ASKED
 *     any ── no longer offered ──> WITHDRAWN ── answered ──> (forgotten)
 *     any ── offered otherwise ──> ASKED
 *
 * Everything is asked for by each carrier after its login, an automatic port with the number that
 * it had before.  What was refused is asked for again every PUBLISHER_AGAIN_MS, since the port may
 * be in another's grace period; so is what got no answer in that time, which counts as a refusal.
 * Several carriers ask for the same; the last answer counts.
 */
#ifndef CMD_AGENT_PUBLISHER_H
#define CMD_AGENT_PUBLISHER_H

#include "cmd/agent/offer.h"
#include "lib/conf/jobj.h"
#include "lib/net/loop.h"

#define PUBLISHER_AGAIN_MS 30000
#define PUBLISHER_CARRIERS_MAX 8

struct publisher_user {
	/* Say this to the relay.  ERR_CLOSED: it is not up, or cannot publish. */
	int (*send)(void *arg, unsigned carrier, const void *body, size_t n);
	/* What publisher_list tells may have changed, or publisher_is_answered. */
	void (*changed)(void *arg);
};

struct publisher;

/* publisher_new - with nothing to publish so far.  NULL: out of memory. */
struct publisher *publisher_new(
    struct loop *l, unsigned n_carriers, const struct publisher_user *user, void *arg) WARN_UNUSED;
void publisher_free(struct publisher *p);

/*
 * publisher_host - the host by which we reach the relay (borrowed): it stands for the address of a
 * public port that is open on every address of the relay's.
 */
void publisher_host(struct publisher *p, const char *host);

/*
 * publisher_use - publish these from now on (copied) and withdraw others.  ERR_NOMEM: part of it is
 * done; the same call again does the rest.
 */
int publisher_use(struct publisher *p, const struct offers *o) WARN_UNUSED;

/* publisher_up, publisher_down - the relay has let this carrier in; it is lost. */
void publisher_up(struct publisher *p, unsigned carrier);
void publisher_down(struct publisher *p, unsigned carrier);
/* publisher_control - a CONTROL has come by this carrier. */
void publisher_control(struct publisher *p, unsigned carrier, const void *body, size_t n);
/* publisher_stop - ask for nothing more: the agent is going. */
void publisher_stop(struct publisher *p);

/* publisher_is_answered - has the relay said yes or no to everything? */
bool publisher_is_answered(const struct publisher *p);
/* publisher_list - arrays "services" (granted) and "refused" into o.  ERR_NOMEM. */
int publisher_list(const struct publisher *p, struct jobj *o) WARN_UNUSED;

#endif
