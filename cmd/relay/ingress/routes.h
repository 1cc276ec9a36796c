/* SPDX-License-Identifier: ISC */
/*
 * routes - which host name belongs to which published service, in the whole process.
 *
 * A host is a whole name ("shop.t.example.com") or a wildcard that covers one or more labels
 * ("*.acme.test").  The whole name goes before every wildcard, of these the longest wins.  Names are
 * normalised (lib/http/host.h).
 *
 * Threads: any; one lock, held for a look-up in a hash table for each label.
 */
#ifndef CMD_RELAY_INGRESS_ROUTES_H
#define CMD_RELAY_INGRESS_ROUTES_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/http/host.h"
#include "proto/ctl.h"

/* A wildcard is longer by two. */
#define ROUTE_HOST_MAX (HTTP_HOST_MAX + 2)

/* Whose a host is: a publication is found by it on that worker (publish_find). */
struct route {
	/* index of the worker that owns the agent's name */
	int worker;
	char agent[CTL_NAME_MAX + 1];
	/* "http", "tls" */
	char kind[8];
	char service[CTL_NAME_MAX + 1];
};

struct routes;

/* routes_new - empty.  NULL: out of memory.  routes_free accepts NULL. */
struct routes *routes_new(void);
void routes_free(struct routes *t);

/*
 * routes_claim - the host is r's from now on.  ERR_EXISTS: it is another's; ERR_NOMEM.
 * routes_release - it is nobody's, if it was r's.
 * "http" and "tls" of one host exclude each other.
 */
int routes_claim(struct routes *t, const char *host, const struct route *r) WARN_UNUSED;
void routes_release(struct routes *t, const char *host, const struct route *r);

/* routes_find - whose is this name?  false: nobody's. */
bool routes_find(struct routes *t, const char *host, struct route *out);

#endif
