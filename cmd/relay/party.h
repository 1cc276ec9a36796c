/* SPDX-License-Identifier: ISC */
/*
 * party - what one identity has open at one agent: all its sessions there together, and their
 * streams.
 *
 * The sessions of an agent and of its clients are on one worker, and so is a party: it needs no
 * lock.  It exists while somebody holds it: a client's session, or a bridge.
 */
#ifndef CMD_RELAY_PARTY_H
#define CMD_RELAY_PARTY_H

#include "cmd/relay/account.h"
#include "cmd/relay/ingress/pool.h"
#include "cmd/relay/worker.h"
#include "lib/base/hashtab.h"

struct bridge;

TAILQ_HEAD(bridge_list, bridge);

/* All of it is set, since it is compared as bytes. */
struct party_key {
	struct account *account;
	char agent[CTL_AGENT_MAX + 1];
};

/* Members may be read; bridge.c keeps held_by, pool.c idle. */
struct party {
	struct party_key key;
	unsigned refs;
	/* Streams that are open. */
	uint64_t streams;
	/* Bridges that have bytes waiting for the next hop. */
	struct bridge_list held_by;
	/* Streams that wait for its next request (ingress/pool.h); they are none of those above. */
	struct pool_list idle;
	UT_hash_handle hh;
};

/*
 * party_get - the account's at this agent, made if there is none; one reference for the caller.
 * NULL: out of memory.
 */
struct party *party_get(struct worker *w, struct account *a, const char *agent);
struct party *party_ref(struct party *y);
/* party_put - accepts NULL. */
void party_put(struct worker *w, struct party *y);

#endif
