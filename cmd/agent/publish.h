/* SPDX-License-Identifier: ISC */
/*
 * publish - asks the relay to publish what the offers say (PROTOCOL.md 4.4), and keeps what it
 * answered.
 *
 *     ASKED ── yes ──> GRANTED <── yes, no ──> REFUSED <── no ── ASKED
 *     any ── no longer offered ──> WITHDRAWN ── answered ──> (forgotten)
 *     any ── offered otherwise ──> ASKED
 *
 * Everything is asked for by each carrier after its login, an automatic port with the number that
 * it had before.  What was refused is asked for again every PUBLISH_AGAIN_MS, since the port may be
 * in another's grace period; so is what got no answer in that time, which counts as a refusal.
 * Several carriers ask for the same; the last answer counts.
 */
#ifndef CMD_AGENT_PUBLISH_H
#define CMD_AGENT_PUBLISH_H

#include "cmd/agent/offer.h"
#include "lib/conf/jobj.h"
#include "lib/net/loop.h"

#define PUBLISH_AGAIN_MS 30000
#define PUBLISH_CARRIERS_MAX 8

struct publish_user {
	/* Say this to the relay.  ERR_CLOSED: it is not up, or cannot publish. */
	int (*send)(void *arg, unsigned carrier, const void *body, size_t n);
	/* What publish_list tells may have changed, or publish_is_answered. */
	void (*changed)(void *arg);
};

struct publisher;

/* publisher_new - with nothing to publish so far.  NULL: out of memory. */
struct publisher *publisher_new(
    struct loop *l, unsigned n_carriers, const struct publish_user *user, void *arg) WARN_UNUSED;
void publisher_free(struct publisher *p);

/*
 * publish_use - publish these from now on (copied) and withdraw others.  ERR_NOMEM: part of it is
 * done; the same call again does the rest.
 */
int publish_use(struct publisher *p, const struct offers *o) WARN_UNUSED;

/* publish_up, publish_down - the relay has let this carrier in; it is lost. */
void publish_up(struct publisher *p, unsigned carrier);
void publish_down(struct publisher *p, unsigned carrier);
/* publish_control - a CONTROL has come by this carrier. */
void publish_control(struct publisher *p, unsigned carrier, const void *body, size_t n);
/* publish_stop - ask for nothing more: the agent is going. */
void publish_stop(struct publisher *p);

/* publish_is_answered - has the relay said yes or no to everything? */
bool publish_is_answered(const struct publisher *p);
/* publish_list - arrays "services" (granted) and "refused" into o.  ERR_NOMEM. */
int publish_list(const struct publisher *p, struct jobj *o) WARN_UNUSED;

#endif
