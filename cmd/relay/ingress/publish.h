/* SPDX-License-Identifier: ISC */
/*
 * publish - the services of a worker's agents that are open to the public: asked for, granted, kept
 * while the agent is away for a moment, withdrawn.
 *
 *     LIVE ── the agent's last session has gone ──> AWAY ── asked for again ──> LIVE
 *     LIVE, AWAY ── withdrawn, no longer allowed, or away for --grace ──> OVER
 *
 * A publication belongs to the agent's name: it stands in the name's group, and with it on the
 * worker that owns the name.  A new process of that agent finds its ports as they were, and what it
 * does not ask for again ends with the grace period.  Visitors who are carried (visitor.h) do not
 * end with their publication.
 */
#ifndef CMD_RELAY_INGRESS_PUBLISH_H
#define CMD_RELAY_INGRESS_PUBLISH_H

#include "cmd/common/acceptor.h"
#include "cmd/relay/ingress/ports.h"
#include "cmd/relay/ingress/visitor.h"
#include "cmd/relay/peer.h"
#include "cmd/relay/registry.h"
#include "lib/base/ratelimit.h"
#include "proto/request.h"

/* Lines a second about a publication's visitors. */
#define PUBLISH_LOG_LINES 100

/* "AGENT:SERVICE (tcp ADDRESS:PORT)" */
#define PUBLICATION_NAME (CTL_NAME_MAX + CTL_NAME_MAX + ADDR_TEXT + 16)

enum publication_state { PUBLICATION_LIVE, PUBLICATION_AWAY, PUBLICATION_OVER, PUBLICATION_STATES };

/* Members may be read; they change through the functions. */
struct publication {
	struct worker *w;
	struct group *group;
	enum publication_state state;
	char kind[8];
	char service[CTL_NAME_MAX + 1];
	struct request_rules rules;
	/* Whose credentials granted it, and whose lines those about it are; a reference. */
	struct creds_id id;
	struct account *account;
	/* Where people come in, and the same for messages. */
	int fd;
	uint16_t port;
	char public[ADDR_TEXT];
	char name[PUBLICATION_NAME];
	struct acceptor acceptor;
	/* New ones a second; NULL: as many as come. */
	struct ratelimit *rate;
	/* Those that are on their way to the agent, and how many there are with those carried. */
	struct visitor_list arriving;
	unsigned n_visitors;
	struct log_limit log;
	struct timer grace;
	/* So that the agent comes back to this worker. */
	struct registry_ask ask;
	bool asking, bound;
	TAILQ_ENTRY(publication) link;
	struct grave grave;
};

/* publish_config - --public, --ports and --proxy-from into r->ingress.  ERR_INVALID with e. */
int publish_config(struct relay *r, struct errtext *e) WARN_UNUSED;

/* publish_control - a peer of this relay has sent a CONTROL: answer it. */
void publish_control(struct peer *p, const void *body, size_t n);

/* publish_joined - a session of the group's agent was let in: visitors need wait no more. */
void publish_joined(struct group *g);
/* publish_left - a session of the group's agent has gone; the last one begins the grace period. */
void publish_left(struct group *g);

/* publish_check - after a reload: end what the credentials do not allow any more. */
void publish_check(struct worker *w);

/* publish_stop - no new visitors, at the end of the process; those that are carried go on. */
void publish_stop(struct worker *w);

#endif
