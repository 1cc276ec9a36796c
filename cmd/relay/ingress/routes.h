/* SPDX-License-Identifier: ISC */
/*
 * routes - which host name belongs to which published service, and which agents are there, in the
 * whole process.
 *
 * A host is a whole name ("shop.t.example.com"), a wildcard that covers one or more labels
 * ("*.acme.test"), or a label alone, which stands for itself.  The whole name goes before every
 * wildcard, of these the longest wins.  Names are normalised (lib/http/host.h).
 *
 * Threads: any; one lock, held for a look-up in a hash table for each label.
 */
#ifndef CMD_RELAY_INGRESS_ROUTES_H
#define CMD_RELAY_INGRESS_ROUTES_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "proto/ctl.h"
#include "proto/request_web.h"

/* Whose a host is: a publication is found by it on that worker (publish_find). */
struct route {
	/* index of the worker that owns the agent's name */
	int worker;
	char agent[CTL_AGENT_MAX + 1];
	/* "http", "tls" */
	char kind[8];
	char service[CTL_NAME_MAX + 1];
};

struct routes;

/* routes_new - empty.  NULL: out of memory.  routes_free accepts NULL. */
struct routes *routes_new(void);
void routes_free(struct routes *t);

/*
 * routes_claim - the host is r's from now on, if it is nobody's.  ERR_EXISTS: it is another's, and
 * *holder (NULL: not wanted) says whose; ERR_NOMEM.
 * routes_release - it is nobody's, if it was r's.
 * "http" and "tls" of one host exclude each other.
 */
int routes_claim(
    struct routes *t, const char *host, const struct route *r, struct route *holder) WARN_UNUSED;
void routes_release(struct routes *t, const char *host, const struct route *r);

/* What a host was found by. */
enum routes_hit { ROUTES_NONE, ROUTES_EXACT, ROUTES_WILDCARD };

/* routes_find - whose is this name? */
enum routes_hit routes_find(struct routes *t, const char *host, struct route *out);

/*
 * routes_agent - a session of this agent is there, or none is any more.  Without memory it counts
 * as away.  routes_has_agent - was the former said last?
 */
void routes_agent(struct routes *t, const char *agent, bool there);
bool routes_has_agent(struct routes *t, const char *agent);

#endif
