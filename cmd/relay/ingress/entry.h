/* SPDX-License-Identifier: ISC */
/*
 * entry - a connection to a web listener until it is known who serves it.
 *
 *     PROXIED ── its proxy has said who it is ──> HELLO ── the name in its ClientHello ──> OVER
 *        └─ without TLS ──────────────────────────────────────────────────────────────────^
 *
 * A name that an agent serves with a certificate of its own (--tls) makes it a visitor (visitor.h)
 * on the agent's worker, and the relay never sees its plain text.  Everybody else goes on here: to
 * front.h, or to guest.h where the listener is one for agents and clients, too.  The bytes that
 * were looked at are still in the socket then.
 *
 * An entry has the place that its connection came with (gate.h), and hands it on.  It belongs to
 * its worker and ends by itself.
 */
#ifndef CMD_RELAY_INGRESS_ENTRY_H
#define CMD_RELAY_INGRESS_ENTRY_H

#include <stdbool.h>
#include <sys/queue.h>

#include "lib/net/addr.h"

struct entry;
struct gate;
struct gate_place;
struct worker;

TAILQ_HEAD(entry_list, entry);

/* A connection that was just accepted. */
struct entry_from {
	int fd;
	struct addr from;
	bool tls;
	/* agents and clients come here, too */
	bool tunnel;
	struct gate *gate;
	struct gate_place *place;
};

/* entry_start - its descriptor and its place are taken over, also on failure. */
void entry_start(struct worker *w, const struct entry_from *from);

/* entry_drop_all - end every entry of w at once; at the end of the process. */
void entry_drop_all(struct worker *w);

#endif
