/* SPDX-License-Identifier: ISC */
/* route - routes to agents: their uplinks, shared by connections or one for each. */
#include "cmd/connect/client_int.h"

#include <stdio.h>
#include <string.h>

#include "cmd/common/dropin.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "proto/dialect/dialect.h"

static bool own_uplink(struct conn *cn);

/* ---- uplinks ---- */

/* Of several the one with the fewest streams. */
struct uplink *
route_uplink_now(const struct route *r)
{
	struct uplink *best = NULL;
	const struct route_uplink *rl;

	TAILQ_FOREACH (rl, &r->uplinks, link)
		if (rl->shared && uplink_has_session(rl->uplink) &&
		    (best == NULL || uplink_streams(rl->uplink) < uplink_streams(best)))
			best = rl->uplink;
	return best;
}

/* The relay's protocol has one stream for each WebSocket. */
static bool
is_single(const struct client *c)
{
	return c->config.target.dialect->single;
}

void
route_leave(struct route_uplink *rl)
{
	rl->conn = NULL;
	rl->shared = false;
	if (!rl->ended)
		uplink_finish(rl->uplink, "the connection has ended");
}

static void
uplink_gone(struct route_uplink *rl)
{
	if (rl->conn != NULL)
		rl->conn->own = NULL;
	TAILQ_REMOVE(&rl->route->uplinks, rl, link);
	uplink_free(rl->uplink, CODE_CANCELLED, "the client has ended");
	loop_bury(rl->route->client->loop, &rl->grave, mem_free, rl);
}

/*
 * A shared uplink has found out that its relay has one stream for each: it is the first
 * connection's, and the others get their own.
 */
static void
share_no_more(struct route_uplink *rl)
{
	struct conn *cn, *next;

	rl->shared = false;
	for (cn = TAILQ_FIRST(&rl->route->waiting); cn != NULL; cn = next) {
		next = TAILQ_NEXT(cn, link);
		if (cn->own != NULL)
			continue;
		if (rl->conn == NULL) {
			rl->conn = cn;
			cn->own = rl;
		} else if (!own_uplink(cn)) {
			conn_give_up(cn, CODE_INTERNAL, "out of memory");
		}
	}
}

static void
on_ready(void *arg)
{
	struct route_uplink *rl = arg;
	struct conn *cn, *next;

	if (rl->route->client->dropin != NULL)
		rl->route->client->dropin->reached = true;
	if (rl->shared && is_single(rl->route->client))
		share_no_more(rl);
	if (!rl->shared) {
		if (rl->conn != NULL)
			conn_go(rl->conn, rl->uplink);
		else
			route_leave(rl);
		return;
	}
	for (cn = TAILQ_FIRST(&rl->route->waiting); cn != NULL; cn = next) {
		next = TAILQ_NEXT(cn, link);
		conn_go(cn, rl->uplink);
	}
}

static void
on_up(void *arg)
{
	struct route_uplink *rl = arg;

	/* Of those that are for one connection each, programs decide how many there are. */
	if (rl->route->client->dropin != NULL)
		dropin_say("Received OK message");
	if (!rl->shared)
		log_debug("connected to %s", rl->route->client->config.relay);
	else
		log_info("connected to %s for agent %s", rl->route->client->config.relay,
		    rl->route->agent);
}

/* Standard input and output are over with the uplink that carries them, or was to. */
static bool
is_only_hope(const struct route_uplink *rl)
{
	const struct conn *cn = TAILQ_FIRST(&rl->route->carried);

	return rl->route->client->once && (cn == NULL || cn->via == rl->uplink);
}

/* What had arrived before is still being written: then the connection's own end is the client's. */
static void
once_over(struct route_uplink *rl, int code)
{
	struct client *c = rl->route->client;

	if (!TAILQ_EMPTY(&rl->route->carried) && c->code < 0)
		client_code(c, code);
	else
		client_stop(c, code);
}

/* It is no use any more: its only connection has had it. */
static bool
is_done_with(const struct route_uplink *rl)
{
	return !rl->shared && (rl->conn == NULL || rl->conn->state != CONN_WAITING);
}

static void
on_down(void *arg, int err, const char *text, uint64_t next_ms)
{
	struct route_uplink *rl = arg;
	struct client *c = rl->route->client;

	if (err == ERR_EOF && (c->state >= CLIENT_LEAVING || is_done_with(rl))) {
		rl->ended = true;
		if (c->state >= CLIENT_LEAVING && routes_ended(c))
			client_stop(c, CMD_OK);
		if (!rl->shared)
			uplink_gone(rl);
		return;
	}
	if (rl->ended)
		return;
	if (is_only_hope(rl)) {
		if (c->dropin != NULL && err == ERR_PROTO)
			c->dropin->failed = true;
		if (c->code < 0)
			log_errorx("%s", text);
		rl->ended = true;
		uplink_finish(rl->uplink, ""); /* no further dial */
		once_over(rl, err == ERR_DENIED ? CMD_REFUSED : CMD_FAILED);
		return;
	}
	if (is_done_with(rl)) {
		route_leave(rl);
		return;
	}
	log_warnx("%s: next attempt in %llu.%llu s", text, (unsigned long long)next_ms / 1000,
	    (unsigned long long)next_ms % 1000 / 100);
}

static bool
on_away(void *arg, const char *text)
{
	struct route_uplink *rl = arg;
	struct client *c = rl->route->client;

	/* Standard input and output need no other session than the one that carries them. */
	if (c->once && TAILQ_EMPTY(&rl->route->waiting))
		return false;
	log_info("%s: %s: dialling again; open connections go on", c->config.relay, text);
	return true;
}

static bool
on_refused(void *arg, uint32_t code, const char *text)
{
	struct route_uplink *rl = arg;
	struct client *c = rl->route->client;

	bool denied = code == CODE_DENIED || code == CODE_REVOKED;

	if (c->dropin != NULL)
		dropin_say("Received error message: %s", text);
	else
		log_errorx("%s: refused: %s", c->config.relay, text);
	if (is_only_hope(rl))
		once_over(rl, denied ? CMD_REFUSED : CMD_FAILED);
	else if (denied)
		client_stop(c, CMD_REFUSED);
	else
		return true; /* the relay is full, or a stream was too odd for it */
	return false;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	(void)o;
	stream_reset(s, CODE_DENIED, "this is a client, it serves nothing");
}

static void
on_idle(void *arg)
{
	(void)arg;
}

static const struct uplink_user uplink_user = {
	.ready = on_ready,
	.up = on_up,
	.down = on_down,
	.away = on_away,
	.refused = on_refused,
	.open = on_open,
	.idle = on_idle,
};

/* ---- routes ---- */

/* For one connection, or shared (NULL).  NULL: out of memory. */
static struct route_uplink *
add_uplink(struct route *r, struct conn *cn)
{
	struct client *c = r->client;
	struct route_uplink *rl = mem_zalloc(sizeof *rl);

	if (rl == NULL)
		return NULL;
	rl->route = r;
	rl->shared = cn == NULL;
	rl->conn = cn;
	rl->uplink = uplink_new(c->loop, &c->config, CTL_CONNECT, r->agent, &uplink_user, rl);
	if (rl->uplink == NULL) {
		mem_free(rl);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&r->uplinks, rl, link);
	return rl;
}

static bool
own_uplink(struct conn *cn)
{
	cn->own = add_uplink(cn->route, cn);
	return cn->own != NULL;
}

/* There are uplinks that any connection may use. */
static bool
has_shared(const struct route *r)
{
	const struct route_uplink *rl;

	TAILQ_FOREACH (rl, &r->uplinks, link)
		if (rl->shared)
			return true;
	return false;
}

bool
route_want_uplink(struct conn *cn)
{
	return has_shared(cn->route) || own_uplink(cn);
}

struct route *
route_get(struct client *c, const char *agent)
{
	struct route *r;

	TAILQ_FOREACH (r, &c->routes, link)
		if (strcmp(r->agent, agent) == 0)
			return r;
	r = mem_zalloc(sizeof *r);
	if (r == NULL)
		return NULL;
	r->client = c;
	snprintf(r->agent, sizeof r->agent, "%s", agent);
	TAILQ_INIT(&r->uplinks);
	TAILQ_INIT(&r->waiting);
	TAILQ_INIT(&r->carried);
	TAILQ_INSERT_TAIL(&c->routes, r, link);
	if (is_single(c))
		return r;
	for (unsigned i = 0; i < c->opts.uplink.carriers; i++)
		if (add_uplink(r, NULL) == NULL)
			break;
	if (!TAILQ_EMPTY(&r->uplinks))
		return r;
	TAILQ_REMOVE(&c->routes, r, link);
	mem_free(r);
	return NULL;
}

/* ---- the end ---- */

bool
routes_ended(const struct client *c)
{
	const struct route *r;
	const struct route_uplink *rl;

	TAILQ_FOREACH (r, &c->routes, link)
		TAILQ_FOREACH (rl, &r->uplinks, link)
			if (!rl->ended)
				return false;
	return true;
}

void
routes_finish(struct client *c)
{
	struct route_uplink *rl, *next;
	struct route *r;

	TAILQ_FOREACH (r, &c->routes, link)
		for (rl = TAILQ_FIRST(&r->uplinks); rl != NULL; rl = next) {
			/* It may be gone at once. */
			next = TAILQ_NEXT(rl, link);
			if (!rl->ended)
				uplink_finish(rl->uplink, "the client is done");
		}
}

void
route_free(struct route *r)
{
	struct route_uplink *rl;

	while ((rl = TAILQ_FIRST(&r->uplinks)) != NULL)
		uplink_gone(rl);
	TAILQ_REMOVE(&r->client->routes, r, link);
	mem_free(r);
}
