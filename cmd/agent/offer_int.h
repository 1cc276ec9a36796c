/* SPDX-License-Identifier: ISC */
/* offer_int - what offer.c, offer_option.c and offer_web.c share. */
#ifndef CMD_AGENT_OFFER_INT_H
#define CMD_AGENT_OFFER_INT_H

#include "cmd/agent/offer.h"

/* All return 0, ERR_INVALID or ERR_NOMEM with e. */

/* offer_port - a port from 1 on. */
int offer_port(const char *s, uint16_t *out, struct errtext *e) WARN_UNUSED;

/* offer_options - what stands behind the target, NULL: nothing, into f.  s is changed. */
int offer_options(char *s, struct offer *f, struct errtext *e) WARN_UNUSED;

/*
 * offer_web - f is a web service, published at this host: a label, a name, a wildcard, "random",
 * NULL: the agent's own label.  A random one gets no name yet.
 */
int offer_web(struct offer *f, const char *host, struct errtext *e) WARN_UNUSED;

/*
 * offer_web_users - who may come in, from the file of auth=: "USER:PASSWORD" or
 * "USER:sha256:HEX", one a line; empty lines and those that begin with '#' do not count.
 * ERR_NOTFOUND, ERR_LIMIT and ERR_SYS, too.
 */
int offer_web_users(struct offer *f, struct errtext *e) WARN_UNUSED;

#endif
