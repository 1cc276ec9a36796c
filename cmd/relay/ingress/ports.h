/* SPDX-License-Identifier: ISC */
/*
 * ports - which public port belongs to which service of which agent, in the whole process.
 *
 * A port is taken while somebody listens on it, or is about to.  Whose it was is remembered until
 * another takes it: a service that asks for any port gets the one it had before, after the agent's
 * absence and, with --state, after a restart of the relay.
 *
 * A number is one port of TCP and one of UDP, which may have different owners.
 *
 * Threads: any; one lock.
 */
#ifndef CMD_RELAY_INGRESS_PORTS_H
#define CMD_RELAY_INGRESS_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/* "AGENT/KIND/SERVICE" */
#define PORTS_OWNER_MAX 344
/* Ports that are tried for one service: others may listen on those of the range. */
#define PORTS_TRIES_MAX 1024

/* Bytes of a dump: 65,536 ports of each, with their owners' names. */
#define PORTS_FILE_MAX (2 * 65536 * (PORTS_OWNER_MAX + 24))

struct ports;

/* ports_new - the ports first to last.  NULL: out of memory.  ports_free accepts NULL. */
struct ports *ports_new(uint16_t first, uint16_t last);
void ports_free(struct ports *t);

/* Who asks for a port. */
struct ports_user {
	/* The first port from this one on that the owner may have; 0: none. */
	uint16_t (*next)(void *arg, uint16_t port);
	/*
	 * May it be this port?  Called without the lock, while nobody else is offered it.  Returns
	 * 0: yes, and somebody listens there now; ERR_EXISTS, ERR_DENIED: another, if any will do;
	 * other errors end the search.
	 */
	int (*try)(void *arg, uint16_t port);
	void *arg;
};

/*
 * ports_take - a port for the owner, of UDP or of TCP.
 *   want  this one; 0: the one it had last, then had (0: none), then others
 * Returns 0 with *port, which is the caller's until ports_release.  Errors: for a port that is
 * wanted ERR_DENIED (outside the range) and ERR_EXISTS (another has it); for any ERR_LIMIT (none is
 * left, or PORTS_TRIES_MAX were tried in vain); ERR_NOMEM, when try may have said yes; and what try
 * says.
 */
int ports_take(struct ports *t, bool udp, const char *owner, uint16_t want, uint16_t had,
    const struct ports_user *u, uint16_t *port) WARN_UNUSED;

/* ports_release - nobody listens there any more; whose it was is remembered. */
void ports_release(struct ports *t, bool udp, uint16_t port);

/*
 * ports_dump - who had which port, as JSON; the caller's (mem_free); NULL: out of memory.
 * ports_load - remember what an earlier process dumped; what is outside the range is left out.
 * ERR_INVALID or ERR_NOMEM with e.
 */
char *ports_dump(struct ports *t, size_t *n);
int ports_load(struct ports *t, const void *p, size_t n, struct errtext *e) WARN_UNUSED;

#endif
