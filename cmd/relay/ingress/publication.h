/* SPDX-License-Identifier: ISC */
/*
 * publication - one service of an agent that is open to the public: what all kinds have in common.
 *
 *     LIVE ── the agent's last session has gone ──> AWAY ── asked for again ──> LIVE
 *     LIVE, AWAY ── withdrawn, no longer allowed, or away for --grace ──> OVER
 *
 * It stands in the group of the agent's name, on that group's worker, and only its thread touches
 * it.  Whoever works for one of its visitors over several turns takes a reference: what is over can
 * still be read then.  How people come in is the kind's (publish_port.h).
 */
#ifndef CMD_RELAY_INGRESS_PUBLICATION_H
#define CMD_RELAY_INGRESS_PUBLICATION_H

#include "cmd/common/acceptor.h"
#include "cmd/relay/ingress/pool.h"
#include "cmd/relay/ingress/exchange.h"
#include "cmd/relay/ingress/visitor.h"
#include "cmd/relay/peer.h"
#include "cmd/relay/registry.h"
#include "lib/base/ratelimit.h"
#include "proto/creds.h"
#include "proto/request.h"

/* Lines a second about a publication's visitors. */
#define PUBLICATION_LOG_LINES 100

/* "AGENT:SERVICE (tcp ADDRESS:PORT)" */
#define PUBLICATION_NAME (CTL_AGENT_MAX + CTL_NAME_MAX + ADDR_TEXT + 16)

enum publication_state { PUBLICATION_LIVE, PUBLICATION_AWAY, PUBLICATION_OVER, PUBLICATION_STATES };

struct claims;
struct publication;
struct udp_port;

/* A kind: what is different from the others.  All members are set. */
struct publication_kind {
	const char *name;
	/* Can this relay do it, and may the agent at all?  ERR_* with why. */
	int (*check)(const struct peer *p, const struct request *q, const struct creds *c,
	    struct errtext *why);
	/* Is it open where q wants it? */
	bool (*is_at)(const struct publication *pub, const struct request *q);
	/* What the group keeps for a service not asked for again must not stand in q's way. */
	void (*clear_way)(struct group *g, const struct request *q);
	/*
	 * Open a new one to the public, and set public and name.  Whatever fails, it is freed.
	 * ERR_* with why.
	 */
	int (*open)(struct publication *pub, const struct request *q, const struct creds *c,
	    struct errtext *why);
	/* Do the credentials still allow it? */
	bool (*may_stay)(const struct publication *pub, const struct creds *c);
	/* Nobody comes in any more; also for one that was opened in part or not at all. */
	void (*close)(struct publication *pub);
	/* The agent is there: those that wait go on. */
	void (*joined)(struct publication *pub);
	/* What the answer tells beside public. */
	void (*tell)(const struct publication *pub, struct request_reply *a);
};

/* Members may be read; they change through the functions. */
struct publication {
	struct worker *w;
	/* NULL: it is over. */
	struct group *group;
	const struct publication_kind *kind;
	enum publication_state state;
	char service[CTL_NAME_MAX + 1];
	/* Published by the credentials: what its agent is to connect; "": it was asked for. */
	char host[CTL_HOST_MAX + 1];
	uint16_t target_port;
	struct request_rules rules;
	/* Whose credentials granted it, and whose lines those about it are; a reference. */
	struct creds_id id;
	struct account *account;
	/* Where people come in, and the same for messages. */
	char public[REQUEST_PUBLIC_MAX + 1];
	char name[PUBLICATION_NAME];
	/* Of a port. */
	int fd;
	uint16_t port;
	struct acceptor acceptor;
	/* Of a port of UDP, whose fd it has. */
	struct udp_port *udp;
	/* Of hosts. */
	struct claims *claims;
	/* Of kind "http": how requests are treated; a reference. */
	struct request_web *web;
	/* Requests that wait for the agent. */
	struct exchange_list waiting;
	/* New ones a second; NULL: as many as come. */
	struct ratelimit *rate;
	/* Those that are on their way to the agent, and how many there are with those carried. */
	struct visitor_list arriving;
	unsigned n_visitors;
	/* Streams to the service that wait for the next request. */
	struct pool_list idle;
	struct log_limit log;
	struct timer grace;
	/* So that the agent comes back to this worker. */
	struct registry_ask ask;
	bool asking, bound;
	unsigned refs;
	TAILQ_ENTRY(publication) link;
	struct grave grave;
};

/*
 * publication_new - what p asks for, live and not opened; in no list yet.  NULL: out of memory.
 * publication_drop - one that could not be opened.
 */
struct publication *publication_new(
    struct peer *p, const struct publication_kind *kind, const struct request *q);
void publication_drop(struct publication *pub);

/* publication_enter - it is open: it joins its group, and the agent's name stays on this worker. */
void publication_enter(struct publication *pub);

/* publication_confirm - p asks for it as q says: it goes on, whoever asked before.  ERR_NOMEM. */
int publication_confirm(
    struct publication *pub, const struct peer *p, const struct request *q) WARN_UNUSED;

/* publication_set_rules - of q.  ERR_NOMEM, and nothing has changed. */
int publication_set_rules(struct publication *pub, const struct request *q) WARN_UNUSED;

/* publication_set_name - for messages, once public is known. */
void publication_set_name(struct publication *pub);

/* publication_away - its agent has gone: the grace period begins. */
void publication_away(struct publication *pub);

/* publication_end - out of its group, which may be gone afterwards. */
void publication_end(struct publication *pub, const char *why);

/* publication_ref, publication_unref - the last one frees, at the end of the turn. */
void publication_ref(struct publication *pub);
void publication_unref(struct publication *pub);

/* publication_find - NULL: the group has none such. */
struct publication *publication_find(const struct group *g, const char *kind, const char *service);

/* publication_target - what an OPEN to it says. */
void publication_target(const struct publication *pub, struct ctl_open *o);

/* publication_count - of the group. */
size_t publication_count(const struct group *g);

#endif
