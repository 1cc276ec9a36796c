/* SPDX-License-Identifier: ISC */
/*
 * publish - the services of a worker's agents that are open to the public: asked for, granted, kept
 * while the agent is away for a moment, withdrawn.
 *
 * A publication belongs to the agent's name: it stands in the name's group, and with it on the
 * worker that owns the name.  A new process of that agent finds its ports as they were, and what it
 * does not ask for again ends with the grace period.  Visitors who are carried (visitor.h) do not
 * end with their publication.
 */
#ifndef CMD_RELAY_INGRESS_PUBLISH_H
#define CMD_RELAY_INGRESS_PUBLISH_H

#include "cmd/relay/ingress/publication.h"
#include "cmd/relay/ingress/routes.h"

/* publish_control - a peer of this relay has sent a CONTROL: answer it. */
void publish_control(struct peer *p, const void *body, size_t n);

/*
 * publish_configured - p, an agent, was let in: what the credentials publish for it is published.
 */
void publish_configured(struct peer *p);

/* publish_find - what a route leads to, on its worker, w; NULL: it has ended meanwhile. */
struct publication *publish_find(struct worker *w, const struct route *r);

/* publish_joined - a session of the group's agent was let in: visitors need wait no more. */
void publish_joined(struct worker *w, struct group *g);
/* publish_left - a session of the group's agent has gone; the last one begins the grace period. */
void publish_left(struct worker *w, struct group *g);

/* publish_check - after a reload: end what the credentials do not allow any more. */
void publish_check(struct worker *w);

/* publish_stop - no new visitors, at the end of the process; those that are carried go on. */
void publish_stop(struct worker *w);

#endif
