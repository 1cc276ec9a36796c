/* SPDX-License-Identifier: ISC */
/* client - local connections, carried over routes, and the client's end. */
#include "cmd/connect/client_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

static void kill_conns(struct route *r, const char *text);

/* ---- states ---- */

static void
client_set(struct client *c, enum client_state next)
{
	static const char *const names[] = { "running", "ending", "leaving", "over" };
	static const bool can[][4] = {
		[CLIENT_RUNNING] = { [CLIENT_ENDING] = true,
		    [CLIENT_LEAVING] = true,
		    [CLIENT_OVER] = true },
		[CLIENT_ENDING] = { [CLIENT_LEAVING] = true, [CLIENT_OVER] = true },
		[CLIENT_LEAVING] = { [CLIENT_OVER] = true },
		[CLIENT_OVER] = { [CLIENT_OVER] = true },
	};

	assert(can[c->state][next]);
	log_debug("client: %s -> %s", names[c->state], names[next]);
	c->state = next;
}

static void
conn_set(struct conn *cn, enum conn_state next)
{
	static const char *const names[] = { "waiting", "asking", "carried", "over" };
	static const bool can[][4] = {
		[CONN_WAITING] = { [CONN_ASKING] = true,
		    [CONN_CARRIED] = true,
		    [CONN_OVER] = true },
		[CONN_ASKING] = { [CONN_CARRIED] = true, [CONN_OVER] = true },
		[CONN_CARRIED] = { [CONN_OVER] = true },
		[CONN_OVER] = { false },
	};

	assert(can[cn->state][next]);
	log_debug("connection to %s: %s -> %s", cn->route->agent, names[cn->state], names[next]);
	cn->state = next;
}

/* ---- the client's end ---- */

void
client_code(struct client *c, int code)
{
	if (c->code < 0)
		c->code = code;
}

void
client_stop(struct client *c, int code)
{
	client_code(c, code);
	client_set(c, CLIENT_OVER);
	loop_stop(c->loop);
}

/* Everything that was carried has ended. */
static void
say_goodbye(struct client *c)
{
	routes_finish(c);
	if (routes_ended(c) && c->state != CLIENT_OVER)
		client_stop(c, CMD_OK);
}

void
client_leave(struct client *c, int code)
{
	client_code(c, code);
	if (c->state >= CLIENT_LEAVING)
		return;
	client_set(c, CLIENT_LEAVING);
	say_goodbye(c);
}

void
client_cancel(struct client *c, int code, const char *text)
{
	struct route *r;

	client_code(c, code);
	if (c->state >= CLIENT_LEAVING) {
		client_stop(c, code);
		return;
	}
	client_set(c, CLIENT_LEAVING);
	timer_set(&c->deadline, CLIENT_GOODBYE_MS);
	TAILQ_FOREACH (r, &c->routes, link)
		kill_conns(r, text);
	say_goodbye(c);
}

void
client_end(struct client *c)
{
	if (c->state != CLIENT_RUNNING) {
		client_stop(c, CMD_FAILED);
	} else if (c->once || c->n_conns == 0) {
		client_cancel(c, c->once ? CMD_FAILED : CMD_OK, "the client has ended");
	} else {
		client_set(c, CLIENT_ENDING);
		timer_set(&c->deadline, CLIENT_GRACE_MS);
	}
}

static void
on_deadline(void *arg)
{
	struct client *c = arg;

	if (c->state == CLIENT_ENDING) {
		log_warnx("%u connections are cut off", c->n_conns);
		client_cancel(c, CMD_FAILED, "the client has ended");
	} else if (c->state == CLIENT_LEAVING) {
		client_stop(c, CMD_FAILED);
	}
}

int
client_init(struct client *c)
{
	TAILQ_INIT(&c->routes);
	TAILQ_INIT(&c->socks);
	c->code = -1;
	log_limit_init(&c->log, LOG_LIMIT_LINES, LOG_LIMIT_MS, "connections");
	return timer_init(&c->deadline, c->loop, on_deadline, c);
}

/* ---- the end of a connection ---- */

static void
conn_free(struct conn *cn)
{
	struct client *c = cn->route->client;

	conn_set(cn, CONN_OVER);
	timer_fini(&cn->wait);
	if (cn->f != NULL)
		filter_free(cn->f);
	if (cn->fd >= 0)
		close(cn->fd);
	if (cn->own != NULL)
		route_leave(cn->own);
	loop_bury(c->loop, &cn->grave, mem_free, cn);
	if (--c->n_conns == 0 && c->state == CLIENT_ENDING)
		client_cancel(c, CMD_OK, "the client has ended");
}

static void
conn_kill(struct conn *cn, const char *text)
{
	if (cn->pump != NULL)
		pump_stop(cn->pump, CODE_CANCELLED, text);
	else if (cn->dpump != NULL)
		dpump_stop(cn->dpump, CODE_CANCELLED, text);
	else if (cn->s != NULL)
		stream_reset(cn->s, CODE_CANCELLED, text);
	conn_free(cn);
}

static void
kill_conns(struct route *r, const char *text)
{
	struct conn *cn;

	while ((cn = TAILQ_FIRST(&r->waiting)) != NULL) {
		TAILQ_REMOVE(&r->waiting, cn, link);
		conn_kill(cn, text);
	}
	while ((cn = TAILQ_FIRST(&r->carried)) != NULL) {
		TAILQ_REMOVE(&r->carried, cn, link);
		conn_kill(cn, text);
	}
}

static void
routes_free(struct client *c)
{
	struct route *r;

	while ((r = TAILQ_FIRST(&c->routes)) != NULL) {
		kill_conns(r, "the client has ended");
		route_free(r);
	}
}

void
client_fini(struct client *c)
{
	routes_free(c);
	timer_fini(&c->deadline);
	e2e_fini(&c->e2e);
	log_limit_fini(&c->log);
	udp_batch_free(c->batch);
}

/* ---- connections ---- */

int
conn_target(
    struct ctl_open *o, const char *protocol, const char *text, const char *what, struct errtext *e)
{
	struct hostport at;
	struct errtext why = { "" };

	memset(o, 0, sizeof *o);
	snprintf(o->protocol, sizeof o->protocol, "%s", protocol);
	if (strchr(text, ':') == NULL) {
		if (!ctl_is_name(text))
			return err_set(e, ERR_INVALID, "%s: %s is no service's name", what, text);
		snprintf(o->service, sizeof o->service, "%s", text);
		return 0;
	}
	if (hostport_parse(text, 0, &at, &why) != 0)
		return err_set(e, ERR_INVALID, "%s: %s", what, why.s);
	snprintf(o->host, sizeof o->host, "%s", at.host);
	o->port = at.port;
	return 0;
}

/* It has not come to a pump: tell whoever waits. */
static void
conn_fail(struct conn *cn, uint32_t code, const char *text)
{
	struct pump_result res = { .code = code, .text = text };

	if (cn->answer != NULL) {
		filter_reset(cn->f, false);
		cn->f = NULL; /* the caller's again */
	}
	conn_free(cn);
	if (cn->answer != NULL)
		cn->answer(cn->arg, code, text);
	else
		cn->done(cn->arg, &res);
}

static void
on_pump_done(void *arg, const struct pump_result *res)
{
	struct conn *cn = arg;

	TAILQ_REMOVE(&cn->route->carried, cn, link);
	conn_free(cn);
	cn->done(cn->arg, res);
}

static void
on_dpump_done(void *arg, const struct pump_result *res, const struct flow_counts *n)
{
	struct conn *cn = arg;
	char counts[FLOW_COUNTS_TEXT];

	if (n->dropped > 0)
		log_warnx("%s: %s", cn->route->agent, flow_counts_text(n, counts));
	on_pump_done(cn, res);
}

/* From here on a pump or a dpump has the local side. */
static bool
conn_pump(struct conn *cn, struct stream *s)
{
	struct client *c = cn->route->client;
	struct udp_batch *batch;

	if (cn->f != NULL) {
		cn->pump = pump_new(c->loop, cn->f, s, on_pump_done, cn);
		if (cn->pump != NULL && (s->session->can & SESSION_HALF_CLOSE) == 0)
			pump_one_sided(cn->pump, c->once ? 0 : CLIENT_ONE_SIDED_MS);
	} else if ((batch = client_batch(c)) != NULL) {
		cn->dpump = dpump_new(c->loop, cn->fd, s, batch, true, on_dpump_done, cn);
	}
	if (cn->pump == NULL && cn->dpump == NULL)
		return false;
	cn->f = NULL;
	cn->fd = -1;
	return true;
}

/* Whoever asked is told once nothing is wanting any more.  false: and has broken off at that. */
static bool
tell_open(struct conn *cn)
{
	conn_answer_fn *answer = cn->answer;

	cn->answer = NULL;
	if (answer != NULL && !answer(cn->arg, CODE_OK, "") && cn->state == CONN_CARRIED) {
		const struct pump_result res = { .code = CODE_INTERNAL, .text = "out of memory" };

		pump_stop(cn->pump, res.code, res.text);
		on_pump_done(cn, &res);
	}
	return cn->state == CONN_CARRIED;
}

static void
conn_carry(struct conn *cn, bool accepted)
{
	struct stream *s = cn->s;

	conn_set(cn, CONN_CARRIED);
	cn->s = NULL;
	if (!conn_pump(cn, s)) {
		TAILQ_REMOVE(&cn->route->carried, cn, link);
		stream_reset(s, CODE_INTERNAL, "out of memory");
		conn_fail(cn, CODE_INTERNAL, "out of memory");
		return;
	}
	if (cn->pump == NULL || !tell_open(cn))
		return;
	if (!accepted)
		pump_await(cn->pump);
	pump_start(cn->pump);
}

/* ---- the stream while its answer is awaited ---- */

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)ok;
	conn_carry(arg, true);
}

static void
on_early(void *arg)
{
	struct conn *cn = arg;
	struct stream *s = cn->s;

	/* PROTOCOL.md: nothing comes before OPEN_OK. */
	TAILQ_REMOVE(&cn->route->carried, cn, link);
	cn->s = NULL;
	stream_reset(s, CODE_PROTOCOL, PUMP_TOO_EARLY);
	conn_fail(cn, CODE_PROTOCOL, PUMP_TOO_EARLY);
}

static void
on_early_data(void *arg, struct bufq *in)
{
	(void)in;
	on_early(arg);
}

static void
on_sent(void *arg, size_t n)
{
	(void)arg; /* nothing is sent before the answer */
	(void)n;
}

static void
on_acked(void *arg, uint64_t off, bool eof)
{
	(void)arg; /* the same */
	(void)off;
	(void)eof;
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct conn *cn = arg;

	TAILQ_REMOVE(&cn->route->carried, cn, link);
	cn->s = NULL;
	conn_fail(cn, code, text);
}

static const struct stream_user answer_user = {
	.opened = on_opened,
	.data = on_early_data,
	.eof = on_early,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_closed,
};

/* ---- the way there ---- */

void
conn_go(struct conn *cn, struct route_uplink *rl)
{
	struct errtext why = { "" };
	uint32_t code;

	timer_cancel(&cn->wait);
	TAILQ_REMOVE(&cn->route->waiting, cn, link);
	cn->via = rl->uplink;
	cn->s = route_open(rl, &cn->open, &answer_user, cn, &code, &why);
	if (cn->s == NULL) {
		conn_fail(cn, code, why.s);
		return;
	}
	if (cn->f == NULL && (cn->s->session->can & SESSION_DATAGRAMS) == 0) {
		stream_abort(cn->s, CODE_CANCELLED, "");
		cn->s = NULL;
		conn_fail(cn, CODE_NOT_FOUND, "the relay's protocol has no datagrams");
		return;
	}
	TAILQ_INSERT_TAIL(&cn->route->carried, cn, link);
	/* Without a question to answer bytes need not wait for a round trip. */
	if (cn->answer == NULL)
		conn_carry(cn, false);
	else
		conn_set(cn, CONN_ASKING);
}

void
conn_give_up(struct conn *cn, uint32_t code, const char *text)
{
	TAILQ_REMOVE(&cn->route->waiting, cn, link);
	conn_fail(cn, code, text);
}

static void
on_wait_over(void *arg)
{
	struct conn *cn = arg;

	conn_give_up(cn, CODE_GONE, "there is no connection to the relay");
}

/* One that has its place; its local side is still to be set. */
static struct conn *
conn_new(struct route *r, const struct ctl_open *o, conn_done_fn *done, void *arg)
{
	struct conn *cn = mem_zalloc(sizeof *cn);

	if (cn == NULL)
		return NULL;
	cn->open = *o;
	if (rand_bytes(cn->open.token, sizeof cn->open.token) != 0 ||
	    timer_init(&cn->wait, r->client->loop, on_wait_over, cn) != 0) {
		mem_free(cn);
		return NULL;
	}
	cn->route = r;
	cn->fd = -1;
	cn->done = done;
	cn->arg = arg;
	r->client->n_conns++;
	return cn;
}

static struct conn *
conn_begin(struct conn *cn)
{
	struct route_uplink *rl = route_uplink_now(cn->route);

	TAILQ_INSERT_TAIL(&cn->route->waiting, cn, link);
	if (rl != NULL) {
		conn_go(cn, rl);
		return cn;
	}
	if (!cn->route->client->once) /* there the uplink itself says when it is over */
		timer_set(&cn->wait, CLIENT_WAIT_MS);
	if (!route_want_uplink(cn))
		conn_give_up(cn, CODE_INTERNAL, "out of memory");
	return cn;
}

struct conn *
conn_start(struct route *r, struct filter *f, const struct ctl_open *o, conn_answer_fn *answer,
    conn_done_fn *done, void *arg)
{
	struct conn *cn = conn_new(r, o, done, arg);

	filter_reset(f, true); /* until it has ended in good order, or is the caller's again */
	if (cn == NULL) {
		filter_free(f);
		return NULL;
	}
	cn->f = f;
	cn->answer = answer;
	filter_pause(f, true);
	return conn_begin(cn);
}

struct conn *
conn_start_datagrams(
    struct route *r, int fd, const struct ctl_open *o, conn_done_fn *done, void *arg)
{
	struct conn *cn = conn_new(r, o, done, arg);

	if (cn == NULL) {
		close(fd);
		return NULL;
	}
	cn->fd = fd;
	return conn_begin(cn);
}

struct stream *
route_stream(struct route *r, struct ctl_open *o, const struct stream_user *user, void *arg)
{
	struct route_uplink *rl = route_uplink_now(r);
	struct errtext why = { "" };
	uint32_t code;

	if (rl == NULL)
		route_want_e2e(r);
	if (rl == NULL || rand_bytes(o->token, sizeof o->token) != 0)
		return NULL;
	return route_open(rl, o, user, arg, &code, &why);
}

struct udp_batch *
client_batch(struct client *c)
{
	if (c->batch == NULL)
		c->batch = udp_batch_new();
	return c->batch;
}
