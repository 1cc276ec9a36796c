/* SPDX-License-Identifier: ISC */
/*
 * creds_publish - what an agent's entry in the credentials says of publishing: which ports of the
 * relay the agent may take, under which hosts its web services may be, how many services it may
 * publish, and which ones are published without being asked for.
 *
 *     "ports": [2222, "6000-6010"], "hosts": ["shop", "*.acme.test", "random"], "max-services": 20,
 *     "publish": [{ "kind": "tcp", "service": "ssh", "target": "127.0.0.1:22", "port": 2222 }]
 *
 * An entry without "ports" may take every port that the relay has to give, one with an empty list
 * none.  An item of "hosts" without a dot is a label under the relay's domains, one with a dot a
 * whole name; '*' stands for any run of characters, "*" alone for every host, "random" for random
 * names too.  What holds without "hosts" is creds.h's to say.
 *
 * "publish" is for agents whose protocol cannot ask: an item has the members of a request to
 * publish (PROTOCOL.md 4.4), and the target that the agent is to connect.
 */
#ifndef PROTO_CREDS_PUBLISH_H
#define PROTO_CREDS_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "proto/request.h"

struct jobj;

struct creds_ports {
	/* both included */
	uint16_t lo, hi;
};

/* What is published as if it had been asked for. */
struct creds_published {
	struct request what;
	char host[CTL_HOST_MAX + 1];
	uint16_t port;
};

struct creds_publish {
	bool any_port;
	/* unless any_port */
	struct creds_ports *ports;
	size_t n_ports;
	/* It says "hosts": these, in lower case. */
	bool has_hosts;
	char **hosts;
	size_t n_hosts;
	uint64_t max_services;
	struct creds_published *published;
	size_t n_published;
};

/* creds_publish_init - what holds for an entry that says nothing.  creds_publish_fini frees. */
void creds_publish_init(struct creds_publish *p);
void creds_publish_fini(struct creds_publish *p);

/*
 * creds_publish_take - those members of entry that are there into p, which has been
 * initialised.  ERR_INVALID, ERR_LIMIT or ERR_NOMEM with e, which begins with where.
 */
int creds_publish_take(struct creds_publish *p, const struct jobj *entry, const char *where,
    struct errtext *e) WARN_UNUSED;

bool creds_publish_admits(const struct creds_publish *p, uint16_t port);
/* creds_publish_next - the first port from this one on that is admitted; 0: none. */
uint16_t creds_publish_next(const struct creds_publish *p, uint16_t port);

/*
 * creds_publish_admits_host - does "hosts" name this host, or its label ("": it has none)?
 * creds_publish_admits_random - does it name random ones?
 */
bool creds_publish_admits_host(const struct creds_publish *p, const char *label, const char *host);
bool creds_publish_admits_random(const struct creds_publish *p);

#endif
