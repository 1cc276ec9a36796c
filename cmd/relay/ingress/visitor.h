/* SPDX-License-Identifier: ISC */
/*
 * visitor - one connection to a public port, or one that asks for a name that the agent serves with
 * TLS of its own: admitted or turned away, carried to the agent as a stream.
 *
 *     PROXIED ── its proxy has said who it is ──> (admitted) ── the agent is there ──> CARRIED
 *                                                     └─> WAITING ── the agent is back ──> CARRIED
 *     any ──> OVER
 *
 * Its address is an account like any other identity: streams, memory and the rate of OPENs are
 * limited for all connections of an address together.  Whoever is turned away gets a reset.  Bytes
 * flow before the agent has answered; nothing is read, and no buffer held, before the stream
 * stands.
 *
 * A visitor belongs to its worker and ends by itself.
 */
#ifndef CMD_RELAY_INGRESS_VISITOR_H
#define CMD_RELAY_INGRESS_VISITOR_H

#include <sys/queue.h>

#include "lib/net/addr.h"

struct publication;
struct visitor;
struct worker;

TAILQ_HEAD(visitor_list, visitor);

/* How long one waits for an agent that is away. */
#define VISITOR_WAIT_MS 10000
/* Of one publication whose proxy has yet to say who they are. */
#define VISITOR_PROXIED_MAX 1024
/* Of one publication that wait for its agent; of one address. */
#define VISITOR_WAITING_MAX 256
#define VISITOR_WAITING_OF_ONE 32

/* visitor_start - a connection that was just accepted; fd is taken over in every case. */
void visitor_start(struct publication *pub, int fd, const struct addr *from);

/*
 * visitor_adopt - the same with one whose PROXY header has been read, if it had to have one.
 *   from, to  the visitor and what it connected to; borrowed
 */
void visitor_adopt(struct publication *pub, int fd, const struct addr *from, const struct addr *to);

/* visitors_go - the agent is there: those that wait are carried. */
void visitors_go(struct publication *pub);

/* visitors_leave - the publication is over: those that are not carried yet are turned away. */
void visitors_leave(struct publication *pub);

/* visitor_drop_all - end every visitor of w at once; at the end of the process. */
void visitor_drop_all(struct worker *w);

#endif
