/* SPDX-License-Identifier: ISC */
/*
 * hnr_dial_client - as an access-client of http-network-relay: one stream over one WebSocket.
 *
 *     NONE ── session_open: `start` ──> ASKED ── start_ok ──> OPEN
 *     ASKED, OPEN ── our user resets it, the WebSocket ends, `error` ──> OVER
 *
 * What was sent before OVER still goes.
 */
#include "proto/dialect/hnr_dial.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "proto/dialect/hnr_link.h"

enum client_state { CLIENT_NONE, CLIENT_ASKED, CLIENT_OPEN, CLIENT_OVER, N_CLIENT };

static const char *const state_name[N_CLIENT] = { "none", "asked", "open", "over" };
static const bool state_can[N_CLIENT][N_CLIENT] = {
	[CLIENT_NONE] = { [CLIENT_ASKED] = true },
	[CLIENT_ASKED] = { [CLIENT_OPEN] = true, [CLIENT_OVER] = true },
	[CLIENT_OPEN] = { [CLIENT_OVER] = true },
};

struct client {
	struct hnr_link link;
	struct stream stream;
	enum client_state state;
	/* Of greet. */
	char *agent;
	struct secret *secret;
	/* What is on its way to the relay, and what our user has not taken. */
	struct bufq out;
	struct inflow_stream in;
	/* An `error` that came too late to be the answer. */
	char late[128];
};

static struct client *
of_session(const struct session *s)
{
	return (struct client *)(uintptr_t)s;
}

static struct client *
of_stream(struct stream *s)
{
	return of_session(s->session);
}

static void
set_state(struct client *c, enum client_state next)
{
	assert(state_can[c->state][next]);
	log_debug("hnr client: %s -> %s", state_name[c->state], state_name[next]);
	c->state = next;
}

static bool
is_live(const struct client *c)
{
	return c->state == CLIENT_ASKED || c->state == CLIENT_OPEN;
}

/* ---- the stream's end ---- */

/* The stream is gone; tell: its user has not ended it. */
static void
stream_over(struct client *c, bool tell, uint32_t code, const char *text)
{
	const struct stream_user *user = c->stream.user;
	struct session *s = &c->link.s;

	if (!is_live(c))
		return;
	set_state(c, CLIENT_OVER);
	s->n_streams = 0;
	inflow_stream_fini(&c->link.inflow, &c->in);
	if (tell && user != NULL)
		user->closed(c->stream.arg, code, text);
	if (s->user != NULL)
		s->user->idle(s->arg);
}

/* ---- the stream's operations ---- */

static int
op_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	(void)s; /* never: the relay opens none */
	(void)ok;
	return ERR_CLOSED;
}

static size_t
op_room(struct stream *s)
{
	size_t n = of_stream(s)->out.len;

	return n < MUX_UNSENT_MAX ? MUX_UNSENT_MAX - n : 0;
}

static int
op_send(struct stream *s, struct bufq *src, size_t n)
{
	struct client *c = of_stream(s);
	int r = bufq_move(&c->out, src, n);

	if (r == 0)
		hnr_link_want_output(&c->link);
	return r;
}

/* There are no words for it: what the other side says still comes. */
static void
op_eof(struct stream *s)
{
	(void)s;
}

static void
op_reset(struct stream *s, uint32_t code, const char *text)
{
	(void)code;
	(void)text;
	stream_over(of_stream(s), false, 0, "");
}

static void
op_abort(struct stream *s, uint32_t code, const char *text)
{
	bufq_fini(&of_stream(s)->out);
	op_reset(s, code, text);
}

static void
op_consumed(struct stream *s, size_t n)
{
	struct client *c = of_stream(s);

	if (is_live(c))
		inflow_taken(&c->link.inflow, &c->in, n);
}

static void
op_ack(struct stream *s, uint64_t off, bool eof)
{
	(void)s; /* nobody wants to know */
	(void)off;
	(void)eof;
}

static const struct stream_ops stream_ops = {
	.accept = op_accept,
	.room = op_room,
	.send = op_send,
	.eof = op_eof,
	.reset = op_reset,
	.abort = op_abort,
	.consumed = op_consumed,
	.ack = op_ack,
};

/* ---- what the relay says ---- */

/* The reference's words, and what they mean. */
static uint32_t
error_code(const char *text)
{
	static const struct {
		const char *words;
		uint32_t code;
	} known[] = {
		{ "Invalid access client secret", CODE_DENIED },
		{ "Agent not registered", CODE_NOT_FOUND },
		{ "[Errno 111]", CODE_REFUSED },
		{ "onnection refused", CODE_REFUSED },
		{ "[Errno 110]", CODE_TIMEOUT },
		{ "Unsupported protocol", CODE_NOT_FOUND },
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strstr(text, known[i].words) != NULL)
			return known[i].code;
	return CODE_UNREACHABLE;
}

static int
take_error(struct client *c, const char *text, struct errtext *why)
{
	uint32_t code = error_code(text);
	struct session *s = &c->link.s;

	if (c->state == CLIENT_OPEN)
		snprintf(c->late, sizeof c->late, "%s", text);
	if (c->state != CLIENT_ASKED)
		return 0;
	s->going = true;
	/* The login, not the stream, is refused. */
	if (code == CODE_DENIED) {
		s->user->goaway(s->arg, code, text);
		return err_set(why, ERR_DENIED, "%s", text);
	}
	stream_over(c, true, code, text);
	return 0;
}

static int
take_start_ok(struct client *c, struct errtext *why)
{
	const struct ctl_hello h = { .version = CTL_VERSION, .role = CTL_RELAY };
	const struct ctl_open_ok ok = { 0 };
	struct session *s = &c->link.s;

	if (c->state == CLIENT_NONE)
		return err_set(why, ERR_PROTO, "start_ok, where nothing was asked");
	/* A second one says nothing new: the reference passes over it. */
	if (c->state != CLIENT_ASKED)
		return 0;
	set_state(c, CLIENT_OPEN);
	if (s->user->hello(s->arg, &h) != SESSION_GO_ON || !is_live(c))
		return 0;
	if (c->stream.user != NULL)
		c->stream.user->opened(c->stream.arg, &ok);
	return 0;
}

static int
take_data(struct client *c, struct bufq *data, uint64_t now_us, struct errtext *why)
{
	if (c->state == CLIENT_OVER)
		return 0;
	if (c->state != CLIENT_OPEN)
		return err_set(why, ERR_PROTO, "tcp_data before start_ok");
	c->stream.rx += data->len;
	if (inflow_came(&c->link.inflow, &c->in, data->len, now_us) != NULL)
		stream_over(c, true, CODE_LIMIT,
		    "too much has come that was not read, and the protocol cannot stop the sender");
	else if (c->stream.user != NULL && data->len > 0)
		c->stream.user->data(c->stream.arg, data);
	return 0;
}

static int
ops_input(struct session *s, struct bufq *in, uint64_t now_us, struct errtext *why)
{
	struct client *c = of_session(s);
	struct hnr_msg m;
	int r = hnr_msg_read(&m, HNR_TO_CLIENT, in, why);

	hnr_link_heard(&c->link, now_us);
	bufq_drain(in, in->len);
	if (r != 0)
		return r;
	if (m.kind == HNR_START_OK)
		r = take_start_ok(c, why);
	else if (m.kind == HNR_ERROR)
		r = take_error(c, m.message, why);
	else
		r = take_data(c, &m.data, now_us, why);
	hnr_msg_fini(&m);
	return r;
}

/* ---- what we say ---- */

static int
ops_output(struct session *s, struct bufq *out, size_t max, uint64_t now_us)
{
	struct client *c = of_session(s);
	size_t n = c->out.len < HNR_DATA_MAX ? c->out.len : HNR_DATA_MAX;
	int r;

	(void)now_us;
	/* Without room only the session's end would be said, for which there are no words. */
	if (max == 0 || hnr_link_take(&c->link, out) || n == 0)
		return 0;
	r = hnr_data_write(out, NULL, &c->out, n);
	if (r != 0)
		return r;
	c->stream.tx += n;
	if (is_live(c) && c->stream.user != NULL)
		c->stream.user->sent(c->stream.arg, n);
	return 0;
}

static bool
ops_has_output(const struct session *s)
{
	const struct client *c = of_session(s);

	return hnr_link_has(&c->link) || c->out.len > 0;
}

static int
ops_greet(struct session *s, const struct ctl_hello *h)
{
	struct client *c = of_session(s);

	c->agent = mem_strdup(h->name);
	c->secret = secret_new(h->secret, strlen(h->secret));
	return c->agent != NULL && c->secret != NULL ? 0 : ERR_NOMEM;
}

static struct stream *
no_stream(struct session *s, struct errtext *why, int err, const char *text)
{
	s->open_error = err_set(why, err, "%s", text);
	return NULL;
}

static struct stream *
ops_open(struct session *s, const struct ctl_open *o, struct budget *charge,
    const struct stream_user *user, void *arg, struct errtext *why)
{
	struct client *c = of_session(s);
	const struct hnr_msg m = {
		.kind = HNR_START,
		.agent = c->agent,
		.host = o->host,
		.port = o->port,
		.protocol = o->protocol,
		.secret = c->secret != NULL ? secret_bytes(c->secret) : "",
	};

	(void)charge; /* it has its own */
	if (c->state != CLIENT_NONE || s->going)
		return no_stream(s, why, ERR_CLOSED, "the session has had its stream");
	if (o->service[0] != '\0' || o->host[0] == '\0')
		return no_stream(s, why, ERR_NOTFOUND,
		    "http-network-relay knows no services by name: give a host and a port");
	if (hnr_link_say(&c->link, HNR_FROM_CLIENT, &m) != 0)
		return no_stream(s, why, ERR_NOMEM, "out of memory");
	secret_free(c->secret);
	c->secret = NULL;
	set_state(c, CLIENT_ASKED);
	s->n_streams = 1;
	inflow_stream_init(&c->in, s->budget);
	c->stream = (struct stream){ .ops = &stream_ops, .session = s };
	stream_set_user(&c->stream, user, arg);
	return &c->stream;
}

static void
ops_goaway(struct session *s, uint32_t code, const char *text)
{
	(void)code; /* there are no words for it */
	(void)text;
	s->going = true;
}

/* ---- time and the end ---- */

static int
ops_tick(struct session *s, uint64_t now_us, struct errtext *why)
{
	return hnr_link_tick(&of_session(s)->link, now_us, why);
}

static uint64_t
ops_deadline_us(const struct session *s)
{
	return hnr_link_deadline_us(&of_session(s)->link);
}

static void
ops_hung_up(struct session *s, int err, int ws_code, const char *text)
{
	struct client *c = of_session(s);
	/* Our own relay gives a reason when it cuts a stream off. */
	bool well = err == ERR_EOF && (ws_code == 1000 || ws_code == 1005) && text[0] == '\0';

	if (c->state == CLIENT_ASKED)
		stream_over(c, true, CODE_GONE,
		    "the relay ended the connection and did not say whether the target answers");
	else if (c->late[0] != '\0')
		stream_over(c, true, CODE_GONE, c->late);
	else if (well)
		stream_over(c, true, CODE_OK, "");
	else
		stream_over(c, true, CODE_LOST, text[0] != '\0' ? text : "the relay hung up");
}

static void
ops_abandon(struct session *s, uint32_t code, const char *text)
{
	s->user = NULL;
	stream_over(of_session(s), true, code, text);
}

static void
ops_free(struct session *s)
{
	struct client *c = of_session(s);

	stream_over(c, false, 0, "");
	hnr_link_fini(&c->link);
	bufq_fini(&c->out);
	secret_free(c->secret);
	mem_free(c->agent);
	mem_free(c);
}

static const struct session_ops session_ops = {
	.name = "http-network-relay client",
	.input = ops_input,
	.output = ops_output,
	.has_output = ops_has_output,
	.open = ops_open,
	.greet = ops_greet,
	.ping = alive_ask,
	.goaway = ops_goaway,
	.tick = ops_tick,
	.deadline_us = ops_deadline_us,
	.hung_up = ops_hung_up,
	.abandon = ops_abandon,
	.free = ops_free,
};

struct session *
hnr_dial_client(const struct mux_config *cfg, uint64_t now_us)
{
	struct client *c = mem_zalloc(sizeof *c);

	if (c == NULL)
		return NULL;
	hnr_link_init(&c->link, &session_ops, cfg, now_us);
	return &c->link.s;
}
