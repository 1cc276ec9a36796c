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

/* ---- where streams are opened ---- */

static bool
may_open(const struct route_uplink *rl)
{
	return rl->e2e != NULL ? e2e_session(rl->e2e) != NULL : uplink_has_session(rl->uplink);
}

static uint32_t
streams_of(const struct route_uplink *rl)
{
	return rl->e2e != NULL ? e2e_session(rl->e2e)->n_streams : uplink_streams(rl->uplink);
}

/* Of several the one with the fewest streams. */
struct route_uplink *
route_uplink_now(const struct route *r)
{
	struct route_uplink *best = NULL, *rl;

	TAILQ_FOREACH (rl, &r->uplinks, link)
		if (rl->shared && may_open(rl) &&
		    (best == NULL || streams_of(rl) < streams_of(best)))
			best = rl;
	return best;
}

struct stream *
route_open(struct route_uplink *rl, const struct ctl_open *o, const struct stream_user *user,
    void *arg, uint32_t *code, struct errtext *why)
{
	struct session *s;
	struct stream *st;

	if (rl->e2e == NULL)
		return uplink_open(rl->uplink, o, user, arg, code, why);
	s = e2e_session(rl->e2e);
	st = session_open(s, o, NULL, user, arg, why);
	if (st == NULL)
		*code = session_open_code(s);
	return st;
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
	e2e_link_free(rl->e2e, CODE_CANCELLED, "the client has ended");
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

/* Streams can be opened on rl: those that wait go there. */
static void
all_go(struct route_uplink *rl)
{
	struct conn *cn, *next;

	for (cn = TAILQ_FIRST(&rl->route->waiting); cn != NULL; cn = next) {
		next = TAILQ_NEXT(cn, link);
		conn_go(cn, rl);
	}
}

/* ---- end to end ---- */

static void
on_e2e_ready(void *arg)
{
	all_go(arg);
}

/* Those who wait do so no longer, unless there is hope elsewhere. */
static void
on_e2e_failed(void *arg, uint32_t code, const char *text)
{
	struct route_uplink *rl = arg, *other;
	struct route *r = rl->route;

	TAILQ_FOREACH (other, &r->uplinks, link)
		if (e2e_is_starting(other->e2e))
			return;
	if (TAILQ_EMPTY(&r->waiting))
		log_warnx("agent %s, end to end: %s: %s", r->agent, frame_code_str(code), text);
	while (!TAILQ_EMPTY(&r->waiting))
		conn_give_up(TAILQ_FIRST(&r->waiting), code, text);
}

static const struct e2e_user e2e_user = { on_e2e_ready, on_e2e_failed };

static void
start_e2e(struct route_uplink *rl)
{
	struct errtext why = { "" };
	uint32_t code = CODE_GONE;

	if (!e2e_start(rl->e2e, &code, &why))
		on_e2e_failed(rl, code, why.s);
}

void
route_want_e2e(struct route *r)
{
	struct route_uplink *rl;

	TAILQ_FOREACH (rl, &r->uplinks, link)
		if (rl->e2e != NULL && uplink_has_session(rl->uplink)) {
			start_e2e(rl);
			return;
		}
}

/* ---- uplinks ---- */

static void
on_ready(void *arg)
{
	struct route_uplink *rl = arg;

	if (rl->e2e != NULL) {
		start_e2e(rl);
		return;
	}
	if (rl->shared && is_single(rl->route->client))
		share_no_more(rl);
	if (!rl->shared) {
		if (rl->conn != NULL)
			conn_go(rl->conn, rl);
		else
			route_leave(rl);
		return;
	}
	all_go(rl);
}

static void
on_up(void *arg)
{
	struct route_uplink *rl = arg;

	/* Of those that are for one connection each, programs decide how many there are. */
	if (rl->route->client->dropin != NULL) {
		rl->route->client->dropin->answered = true;
		dropin_say("Received OK message");
	}
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
	if (rl->e2e != NULL)
		e2e_leave(rl->e2e);
	return true;
}

static bool
on_refused(void *arg, uint32_t code, const char *text)
{
	struct route_uplink *rl = arg;
	struct client *c = rl->route->client;

	bool denied = code == CODE_DENIED || code == CODE_REVOKED;

	if (c->dropin != NULL) {
		c->dropin->answered = true;
		dropin_say("Received error message: %s", text);
	} else {
		log_errorx("%s: refused: %s", c->config.relay, text);
	}
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

/* False: out of memory, and the uplink is gone again. */
static bool
link_e2e(struct route_uplink *rl)
{
	struct client *c = rl->route->client;

	if (c->e2e.tls == NULL)
		return true;
	rl->e2e = e2e_link_new(&c->e2e, rl->uplink, rl->route->agent, &e2e_user, rl);
	if (rl->e2e == NULL)
		uplink_free(rl->uplink, CODE_INTERNAL, "out of memory");
	return rl->e2e != NULL;
}

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
	if (rl->uplink == NULL || !link_e2e(rl)) {
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
	struct route *r = cn->route;

	if (!has_shared(r))
		return own_uplink(cn);
	route_want_e2e(r);
	return true;
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

/* The relay waits for the streams, and a session end to end is one. */
static void
say_goodbye(struct route_uplink *rl)
{
	if (rl->e2e != NULL)
		e2e_leave(rl->e2e);
	uplink_finish(rl->uplink, "the client is done");
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
				say_goodbye(rl);
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
