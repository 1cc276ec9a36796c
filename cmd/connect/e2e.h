/* SPDX-License-Identifier: ISC */
/*
 * e2e - connect --e2e: sessions with agents themselves, inside streams of the sessions with the
 * relay.
 *
 * Each uplink of a route has a link.  A link has at most one session that takes new streams; it is
 * begun when the uplink stands, and again when somebody needs one that has ended.  Sessions whose
 * agent or relay has said goodbye are kept until their streams have ended.
 *
 * The agent must prove a key that --agent-key or --known-agents names; none comes from the relay.
 * Sessions whose key is no longer in the file end when it has been read again.
 */
#ifndef CMD_CONNECT_E2E_H
#define CMD_CONNECT_E2E_H

#include <sys/queue.h>

#include "cmd/common/inner.h"
#include "cmd/common/uplink.h"
#include "cmd/common/watched.h"
#include "cmd/connect/known.h"

/* Sessions of one link that are kept until their streams end; one more cuts off the oldest. */
#define E2E_LEAVING_MAX 4

struct e2e_link;

/* What all links share; zeroed: --e2e is not given. */
struct e2e {
	struct loop *loop;
	struct uplink_config *config;
	/* NULL: off. */
	struct tls_keyed *tls;
	/* Of --agent-key. */
	struct keys_list keys;
	/* Of --known-agents; NULL: not given. */
	struct known *known;
	const char *known_path;
	struct watched watched;
	LIST_HEAD(, e2e_link) links;
};

/* What the command line says of it. */
struct e2e_opts {
	bool on;
	struct opt_list agent_keys;
	char *known_agents;
};

/*
 * e2e_init - check the options, and read the file of known agents.  ERR_INVALID and others with e;
 * e2e_fini in every case, after the last link.
 */
int e2e_init(struct e2e *x, struct loop *l, struct uplink_config *cfg, const struct e2e_opts *o,
    struct errtext *e) WARN_UNUSED;
void e2e_fini(struct e2e *x);

struct e2e_user {
	/* A session takes streams. */
	void (*ready)(void *arg);
	/* The one that was begun has ended before that. */
	void (*failed)(void *arg, uint32_t code, const char *text);
};

/* e2e_link_new - to this agent, on k.  NULL: out of memory.  e2e_link_free accepts NULL. */
struct e2e_link *e2e_link_new(
    struct e2e *x, struct uplink *k, const char *agent, const struct e2e_user *user, void *arg);
void e2e_link_free(struct e2e_link *lk, uint32_t code, const char *text);

/* e2e_session - the one that takes new streams; NULL: none. */
struct session *e2e_session(struct e2e_link *lk);

/*
 * e2e_start - begin one, unless there is one, or one is on its way.  False: it is in vain, code and
 * why tell why.
 */
bool e2e_start(struct e2e_link *lk, uint32_t *code, struct errtext *why) WARN_UNUSED;
bool e2e_is_starting(const struct e2e_link *lk);

/*
 * e2e_leave - take no new streams on what there is, and say goodbye when those that are open have
 * ended.
 */
void e2e_leave(struct e2e_link *lk);

#endif
