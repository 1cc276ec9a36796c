/* SPDX-License-Identifier: ISC */
/*
 * guest - a connection to the relay until it is a peer: TLS, the HTTP request, the WebSocket, the
 * login.
 *
 * All of it happens within one deadline (--handshake-timeout), with small limits, and takes a place
 * (gate.h): an address that never says anything costs a descriptor for that long, or until others
 * need its place, and no more.
 *
 *     head ──> (asked: who the request says that it is) ──> peer: 101, until the login is settled
 *       ├──> first: 101 ──> (keys: TLS inside proves one) ──┘
 *       ├────────────┴──> answered: another status, until the other side has closed
 *       └──> handed on: it is the web's (guest_start_beside)
 *
 * A guest belongs to its worker and ends by itself: when the login is settled (peer.h), when an
 * answer has been sent and the other side has closed, when the connection is lost, or at its
 * deadline.
 */
#ifndef CMD_RELAY_GUEST_H
#define CMD_RELAY_GUEST_H

#include <stdbool.h>

#include "lib/net/addr.h"

struct gate;
struct gate_place;
struct relay;
struct worker;

/* guests_gate - the places that the options grant; for struct relay.  NULL: out of memory. */
struct gate *guests_gate(struct relay *r, int n_workers);

/*
 * guest_start - a connection that was just accepted.
 *   fd    taken over, also on failure
 *   from  its address; borrowed
 *   tls   begin with a TLS handshake
 *   place taken over, also on failure: it is free again when the guest ends
 */
void guest_start(
    struct worker *w, int fd, const struct addr *from, bool tls, struct gate_place *place);

/*
 * guest_start_beside - the same on a listener where the web's visitors come in, too: who asks for
 * another host than the relay's own is handed on with its first request (front.h).
 *   to  what it connected to; borrowed
 */
void guest_start_beside(struct worker *w, int fd, const struct addr *from, const struct addr *to,
    bool tls, struct gate_place *place);

/* guest_drop_all - end every guest of w at once; at the end of the process. */
void guest_drop_all(struct worker *w);

#endif
