/* SPDX-License-Identifier: ISC */
/*
 * door - who may come in to a published service: what a visitor's connection to a public port and a
 * request of HTTP have in common.
 *
 *     door_enter ── the service's rules, the limits of the address ──> door_stream ── its share of
 *     the agent's streams ──> door_leave
 *
 * An address is an account like any other identity: streams, memory and the rate of OPENs are
 * limited for all that comes from an address together.
 */
#ifndef CMD_RELAY_INGRESS_DOOR_H
#define CMD_RELAY_INGRESS_DOOR_H

#include <stdbool.h>

#include "lib/net/addr.h"

struct account;
struct party;
struct publication;
struct worker;

enum door_answer {
	DOOR_IN,
	/* allow, deny */
	DOOR_DENIED,
	/* max-connections, max-rate */
	DOOR_CONNECTIONS,
	DOOR_RATE,
	/* --identity-streams, --identity-opens */
	DOOR_ADDRESS,
	/* the others' share of the agent's streams */
	DOOR_SHARE,
	DOOR_NO_MEMORY,
	DOOR_ANSWERS
};

/* What one that was let in holds; zeroed before.  Members may be read. */
struct door_pass {
	/* Its address's, from door_known or DOOR_IN on; a reference. */
	struct account *account;
	/* Counted there. */
	bool entered;
	/* What that has at the agent; a reference, from the DOOR_IN of door_stream on. */
	struct party *party;
};

/* door_known - whose the address is, for whoever is not let in, too.  false: out of memory. */
bool door_known(struct door_pass *pass, struct worker *w, const struct addr *from);

/* door_enter - may somebody from there use this service, which counts him already? */
enum door_answer door_enter(
    struct door_pass *pass, struct publication *pub, const struct addr *from);

/*
 * door_may_open - one more OPEN for the account: does it keep to its rate (--identity-opens)?  A
 * request on a stream that was kept is none.
 */
bool door_may_open(struct account *a, struct worker *w);

/* door_stream - may it open one more of the agent's streams?  It counts until door_leave. */
enum door_answer door_stream(struct door_pass *pass, struct publication *pub);

/* door_leave - give back what pass holds, if anything. */
void door_leave(struct door_pass *pass, struct worker *w);

/* door_words - why not. */
const char *door_words(enum door_answer a);

#endif
