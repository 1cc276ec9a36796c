/* SPDX-License-Identifier: ISC */
/*
 * service - what an agent offers: named services, and targets that its --allow patterns admit; and
 * the connections to them.
 *
 * The agent decides by its own list, whatever the relay asks for.  A name is resolved once, every
 * address is checked against the patterns, and that very address is dialled.
 */
#ifndef CMD_AGENT_SERVICE_H
#define CMD_AGENT_SERVICE_H

#include "lib/net/loop.h"
#include "lib/conf/opt.h"
#include "proto/session.h"

#define SERVICE_DIAL_MS 10000 /* to connect to a target */
#define SERVICE_MAX 64        /* services of one agent */
/*
 * Streams that were reset while their target did not read: they do not count as open.  A client may
 * have half of what the others leave; one more ends its oldest.
 */
#define SERVICE_LINGER_MAX 256

struct services;

/*
 * services_new - from --tcp NAME=HOST:PORT and --allow HOST:PORT; with no --allow targets on
 * loopback are allowed.
 *   max_streams   served at once; more are refused
 * ERR_INVALID, ERR_NOMEM with e.
 */
int services_new(struct loop *l, const struct opt_list *tcp, const struct opt_list *allow,
    uint64_t max_streams, struct services **out, struct errtext *e) WARN_UNUSED;
/* services_free - ends what is being dialled and carried. */
void services_free(struct services *sv);

/*
 * services_open - serve a stream that the relay has opened: check, dial, carry.  Answers s in every
 * case.
 */
void services_open(struct services *sv, struct stream *s, const struct ctl_open *o);

#endif
