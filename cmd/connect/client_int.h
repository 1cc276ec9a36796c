/* SPDX-License-Identifier: ISC */
/*
 * client_int - what the files behind client.h share: client.c (the client's states, connections)
 * and route.c (routes and their uplinks).
 */
#ifndef CMD_CONNECT_CLIENT_INT_H
#define CMD_CONNECT_CLIENT_INT_H

#include "cmd/connect/client.h"

/*
 *     WAITING ── an uplink stands ──> ASKING ── OPEN_OK ──> CARRIED ──> OVER
 *     WAITING ── nobody asked for an answer ───────────> CARRIED
 */
enum conn_state { CONN_WAITING, CONN_ASKING, CONN_CARRIED, CONN_OVER };

struct conn {
	struct route *route;
	enum conn_state state;
	/* One of them, until the pump or the dpump has it; fd -1: bytes. */
	struct filter *f;
	int fd;
	struct ctl_open open;
	/* NULL while WAITING. */
	struct uplink *via;
	/* The uplink that is for this connection alone; NULL: it takes a shared one. */
	struct route_uplink *own;
	/* While ASKING. */
	struct stream *s;
	/* While CARRIED, one of them. */
	struct pump *pump;
	struct dpump *dpump;
	conn_answer_fn *answer;
	conn_done_fn *done;
	void *arg;
	struct timer wait;
	TAILQ_ENTRY(conn) link;
	struct grave grave;
};

struct route_uplink {
	struct route *route;
	struct uplink *uplink;
	/* With --e2e: streams are opened in its session, not in the uplink's; else NULL. */
	struct e2e_link *e2e;
	/* Many connections may use it; else it is for conn, which may have gone. */
	bool shared;
	struct conn *conn;
	bool ended;
	TAILQ_ENTRY(route_uplink) link;
	struct grave grave;
};

struct route {
	struct client *client;
	char agent[CTL_AGENT_MAX + 1];
	TAILQ_HEAD(, route_uplink) uplinks;
	TAILQ_HEAD(, conn) waiting, carried;
	TAILQ_ENTRY(route) link;
};

/* conn_go - streams can be opened on rl: open cn's.  cn may be gone afterwards. */
void conn_go(struct conn *cn, struct route_uplink *rl);
/* conn_give_up - one that waits: it has not come to a stream. */
void conn_give_up(struct conn *cn, uint32_t code, const char *text);

/* ---- route.c ---- */

/* route_uplink_now - one on which a stream can be opened now; NULL: none stands. */
struct route_uplink *route_uplink_now(const struct route *r);
/* route_open - a stream on it.  NULL, code and why. */
struct stream *route_open(struct route_uplink *rl, const struct ctl_open *o,
    const struct stream_user *user, void *arg, uint32_t *code, struct errtext *why);
/* route_want_e2e - with --e2e, a session is wanted: those that wait are told what comes of it. */
void route_want_e2e(struct route *r);
/*
 * route_want_uplink - see to it that there will be one for cn, which waits, and may be gone
 * afterwards.  False: out of memory.
 */
bool route_want_uplink(struct conn *cn) WARN_UNUSED;
/* route_leave - no connection wants this uplink any more: it says goodbye, and is freed then. */
void route_leave(struct route_uplink *rl);

/* routes_finish - say goodbye on all uplinks.  routes_ended - after a goodbye all have ended. */
void routes_finish(struct client *c);
bool routes_ended(const struct client *c);
/* route_free - its connections have gone. */
void route_free(struct route *r);

#endif
