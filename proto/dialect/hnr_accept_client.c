/* SPDX-License-Identifier: ISC */
/*
 * hnr_accept_client - a relay's session with an access-client, whose one stream is its WebSocket.
 * Copies of payload: base64.
 *
 *      NEW ── `start` ──> ASKED ── session_greet ──> IN ── our user is asked ──> OPENING
 *      OPENING ── accepted: `start_ok` ──> OPEN
 *      NEW, ASKED ── refused: `error` ──> OVER
 *      OPENING ── reset: `error` ──> OVER
 *      OPEN ── our side ends ──> ENDING ── all is said ──> OVER
 *      any ── the WebSocket ends, abandoned ──> OVER
 *
 * The carrier ends the WebSocket when the session is OVER and has nothing more to say.
 */
#include "proto/dialect/hnr_accept.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "proto/dialect/alive.h"
#include "proto/dialect/hnr_msg.h"
#include "proto/dialect/inflow.h"

/* The reference's texts. */
#define TEXT_SECRET "Invalid access client secret"
#define TEXT_AGENT "Agent not registered"
#define TEXT_OPEN "Error initiating connection: "

/* Bytes of an error's text. */
enum { ERROR_MAX = 1024, PROTOCOL_SHOWN = 64 };

/*
 * What an OPEN says whose target makes no sense: nobody serves it, but the agent must be there, as
 * in the reference.
 */
#define NOTHING "none"

enum client_state {
	CLIENT_NEW,
	CLIENT_ASKED,
	CLIENT_IN,
	CLIENT_OPENING,
	CLIENT_OPEN,
	CLIENT_ENDING,
	CLIENT_OVER,
	N_CLIENT
};

static const char *const state_name[N_CLIENT] = { "new", "asked", "in", "opening", "open", "ending",
	"over" };

static const bool state_can[N_CLIENT][N_CLIENT] = {
	[CLIENT_NEW] = { [CLIENT_ASKED] = true, [CLIENT_OVER] = true },
	[CLIENT_ASKED] = { [CLIENT_IN] = true, [CLIENT_OVER] = true },
	[CLIENT_IN] = { [CLIENT_OPENING] = true, [CLIENT_OVER] = true },
	[CLIENT_OPENING] = { [CLIENT_OPEN] = true, [CLIENT_OVER] = true },
	[CLIENT_OPEN] = { [CLIENT_ENDING] = true, [CLIENT_OVER] = true },
	[CLIENT_ENDING] = { [CLIENT_OVER] = true },
};

struct client {
	struct session s;
	enum client_state state;
	struct alive alive;
	struct inflow inflow;
	uint64_t now_us;
	/* Of OPENING, OPEN and ENDING; its user is NULL once it has broken it off. */
	struct stream stream;
	struct inflow_stream in;
	/* What it has asked for; and why that makes no sense, "": it does. */
	struct ctl_open target;
	char nonsense[PROTOCOL_SHOWN + 32];
	/* To the client. */
	struct bufq out;
	bool start_ok_due;
	/* Our user is asked for the stream: what it refuses now no agent has refused. */
	bool asking;
	/* To be said; "": nothing. */
	char error[ERROR_MAX];
	char bye[128];
};

static struct client *
of_session(const struct session *s)
{
	return (struct client *)(uintptr_t)s;
}

static struct client *
of_stream(const struct stream *s)
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
has_stream(const struct client *c)
{
	return c->state >= CLIENT_OPENING && c->state <= CLIENT_ENDING;
}

static void
want_output(struct client *c)
{
	if (c->s.user != NULL)
		c->s.user->want_output(c->s.arg);
}

static void
set_now(struct client *c, uint64_t now_us)
{
	c->now_us = now_us > c->now_us ? now_us : c->now_us;
}

/* ---- the end ---- */

/* Nothing more comes of it; what is to be said is, and then the carrier ends it. */
static void
client_over(struct client *c)
{
	bool had = has_stream(c);

	set_state(c, CLIENT_OVER);
	c->s.going = true;
	if (!had)
		return;
	inflow_stream_fini(&c->inflow, &c->in);
	c->s.n_streams = 0;
	if (c->s.user != NULL)
		c->s.user->idle(c->s.arg);
}

/* The same, and the stream's user is told. */
static void
client_end(struct client *c, uint32_t code, const char *text)
{
	const struct stream_user *u = has_stream(c) ? c->stream.user : NULL;

	c->stream.user = NULL;
	client_over(c);
	if (u != NULL)
		u->closed(c->stream.arg, code, text);
}

static void
say_error(struct client *c, const char *what, const char *text)
{
	snprintf(c->error, sizeof c->error, "%s%s", what, text);
	want_output(c);
}

/* Our side will say no more. */
static void
begin_ending(struct client *c)
{
	set_state(c, CLIENT_ENDING);
	want_output(c);
}

/* ---- the stream's operations ---- */

static int
op_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	struct client *c = of_stream(s);

	(void)ok;
	set_state(c, CLIENT_OPEN);
	c->start_ok_due = true;
	want_output(c);
	return 0;
}

static size_t
op_room(struct stream *s)
{
	size_t n = of_stream(s)->out.len;

	return n < HNR_UNSENT_MAX ? HNR_UNSENT_MAX - n : 0;
}

static int
op_send(struct stream *s, struct bufq *src, size_t n)
{
	struct client *c = of_stream(s);

	if (c->state != CLIENT_OPENING && c->state != CLIENT_OPEN)
		return ERR_CLOSED;
	if (bufq_keep(&c->out, src, n) != 0)
		return ERR_NOMEM;
	want_output(c);
	return 0;
}

static void
op_eof(struct stream *s)
{
	struct client *c = of_stream(s);

	if (c->state == CLIENT_OPEN)
		begin_ending(c);
}

/* What an access-client is told of a stream that was not opened. */
static void
refuse(struct client *c, uint32_t code, const char *text)
{
	if (code == CODE_NOT_FOUND && c->asking)
		say_error(c, TEXT_AGENT, "");
	else if (c->nonsense[0] != '\0')
		say_error(c, TEXT_OPEN, c->nonsense);
	else
		say_error(c, TEXT_OPEN, text[0] != '\0' ? text : frame_code_str(code));
	client_over(c);
}

static void
op_reset(struct stream *s, uint32_t code, const char *text)
{
	struct client *c = of_stream(s);

	c->stream.user = NULL;
	if (c->state == CLIENT_OPENING) {
		refuse(c, code, text);
		return;
	}
	if (code != CODE_OK)
		snprintf(
		    c->bye, sizeof c->bye, "%s", text[0] != '\0' ? text : frame_code_str(code));
	if (c->state == CLIENT_OPEN)
		begin_ending(c);
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

	inflow_taken(&c->inflow, &c->in, n);
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

/* ---- what the client says ---- */

/* What it wants, as far as others can say it, too. */
static void
take_target(struct client *c, const struct hnr_msg *m)
{
	struct ctl_open *o = &c->target;

	if (strcmp(m->protocol, CTL_TCP) != 0)
		snprintf(c->nonsense, sizeof c->nonsense, "Unsupported protocol: %.*s",
		    PROTOCOL_SHOWN, m->protocol);
	else if (!ctl_is_host(m->host))
		snprintf(c->nonsense, sizeof c->nonsense, "not a valid target_ip");
	else if (m->port < 1 || m->port > UINT16_MAX)
		snprintf(c->nonsense, sizeof c->nonsense, "target_port must be 1-65535");
	if (c->nonsense[0] != '\0') {
		snprintf(o->protocol, sizeof o->protocol, "%s", NOTHING);
		snprintf(o->host, sizeof o->host, "localhost");
		o->port = 1;
		return;
	}
	snprintf(o->protocol, sizeof o->protocol, "%s", CTL_TCP);
	snprintf(o->host, sizeof o->host, "%s", m->host);
	o->port = (uint16_t)m->port;
}

/* Refused without being asked. */
static int
turn_away(struct client *c, const char *text)
{
	say_error(c, text, "");
	client_over(c);
	c->s.user->idle(c->s.arg);
	return 0;
}

static void open_stream(struct client *c);

static int
take_start(struct client *c, const struct hnr_msg *m, struct errtext *why)
{
	struct ctl_hello h = { .version = CTL_VERSION, .role = CTL_CONNECT };
	enum session_verdict v;

	if (m->kind != HNR_START)
		return err_set(why, ERR_PROTO, "the first message is no start");
	if (strlen(m->secret) >= sizeof h.secret)
		return turn_away(c, TEXT_SECRET);
	take_target(c, m);
	memcpy(h.secret, m->secret, strlen(m->secret) + 1);
	snprintf(h.name, sizeof h.name, "%s", m->agent);
	snprintf(h.software, sizeof h.software, "http-network-relay");
	if (rand_bytes(h.instance, sizeof h.instance) != 0 ||
	    rand_bytes(c->target.token, sizeof c->target.token) != 0) {
		ctl_hello_wipe(&h);
		return err_set(why, ERR_SYS, "the system gives no random bytes");
	}
	set_state(c, CLIENT_ASKED);
	/* Nobody has such a name. */
	if (strlen(m->agent) >= sizeof h.name || !ctl_hello_may_log_in(&h)) {
		ctl_hello_wipe(&h);
		return turn_away(c, TEXT_AGENT);
	}
	v = c->s.user->hello(c->s.arg, &h);
	ctl_hello_wipe(&h);
	if (v == SESSION_REFUSED && c->state != CLIENT_OVER)
		client_over(c);
	if (c->state == CLIENT_IN)
		open_stream(c);
	return 0;
}

/* It was let in: our user is asked for its stream. */
static void
open_stream(struct client *c)
{
	set_state(c, CLIENT_OPENING);
	c->s.n_streams = 1;
	inflow_stream_init(&c->in, c->s.budget);
	c->stream = (struct stream){ .ops = &stream_ops, .session = &c->s };
	c->asking = true;
	c->s.user->open(c->s.arg, &c->stream, &c->target);
	c->asking = false;
}

static void
take_data(struct client *c, struct bufq *data)
{
	struct inflow_stream *full;

	if ((c->state != CLIENT_OPENING && c->state != CLIENT_OPEN) || c->stream.user == NULL ||
	    data->len == 0)
		return;
	c->stream.rx += data->len;
	full = inflow_came(&c->inflow, &c->in, data->len, c->now_us);
	c->stream.user->data(c->stream.arg, data);
	if (full == NULL || !has_stream(c) || inflow_fullest(&c->inflow, c->in.budget) == NULL)
		return;
	snprintf(c->bye, sizeof c->bye, "the target does not read");
	bufq_fini(&c->out);
	client_end(c, CODE_LIMIT,
	    "it holds more than it may in the relay, and the client's protocol cannot stop it "
	    "(--identity-memory)");
}

static int
client_input(struct session *s, struct bufq *in, uint64_t now_us, struct errtext *why)
{
	struct client *c = of_session(s);
	struct hnr_msg m;
	int r;

	set_now(c, now_us);
	s->heard_us = c->now_us;
	if (c->state == CLIENT_OVER) {
		bufq_drain(in, in->len);
		return 0;
	}
	r = hnr_msg_read(&m, HNR_FROM_CLIENT, in, why);
	if (c->state == CLIENT_NEW)
		bufq_wipe(in, 0, in->len);
	bufq_drain(in, in->len);
	if (r != 0)
		return r;
	if (c->state == CLIENT_IN)
		open_stream(c);
	if (c->state == CLIENT_NEW)
		r = take_start(c, &m, why);
	else if (m.kind == HNR_START)
		r = err_set(why, ERR_PROTO, "a second start");
	else
		take_data(c, &m.data);
	hnr_msg_fini(&m);
	return r;
}

/* ---- what the relay says ---- */

static int
write_error(struct client *c, struct bufq *out)
{
	const struct hnr_msg m = { .kind = HNR_ERROR, .message = c->error };
	int r = hnr_msg_write(out, HNR_TO_CLIENT, &m);

	c->error[0] = '\0';
	return r;
}

static int
write_start_ok(struct client *c, struct bufq *out)
{
	static const struct hnr_msg m = { .kind = HNR_START_OK };
	int r = hnr_msg_write(out, HNR_TO_CLIENT, &m);

	c->start_ok_due = r != 0;
	return r;
}

static int
write_data(struct client *c, struct bufq *out)
{
	size_t n = c->out.len < HNR_DATA_MAX ? c->out.len : HNR_DATA_MAX;
	int r = hnr_data_write(out, NULL, &c->out, n);

	if (r != 0)
		return r;
	c->stream.tx += n;
	if (c->stream.user != NULL)
		c->stream.user->sent(c->stream.arg, n);
	return 0;
}

/* Nothing comes before start_ok: the reference would take it for that. */
static bool
has_data(const struct client *c)
{
	return c->out.len > 0 && (c->state == CLIENT_OPEN || c->state == CLIENT_ENDING);
}

static int
client_output(struct session *s, struct bufq *out, size_t max, uint64_t now_us)
{
	struct client *c = of_session(s);
	int r = 0;

	set_now(c, now_us);
	if (c->error[0] != '\0')
		return write_error(c, out);
	/* Without room only what is about the session is said. */
	if (max == 0)
		return 0;
	if (c->start_ok_due)
		r = write_start_ok(c, out);
	else if (has_data(c))
		r = write_data(c, out);
	if (c->state == CLIENT_ENDING && c->out.len == 0)
		client_end(c, CODE_OK, "");
	return r;
}

static bool
client_has_output(const struct session *s)
{
	const struct client *c = of_session(s);

	return c->error[0] != '\0' || c->start_ok_due || has_data(c) || c->state == CLIENT_ENDING;
}

static struct stream *
client_open(struct session *s, const struct ctl_open *o, struct budget *charge,
    const struct stream_user *user, void *arg, struct errtext *why)
{
	(void)o;
	(void)charge;
	(void)user;
	(void)arg;
	s->open_error = err_set(why, ERR_CLOSED, "a client takes no streams");
	return NULL;
}

static int
client_greet(struct session *s, const struct ctl_hello *h)
{
	struct client *c = of_session(s);

	(void)h; /* start_ok comes when the target is connected */
	set_state(c, CLIENT_IN);
	/* So that the carrier asks for the deadline: the stream is opened then. */
	want_output(c);
	return 0;
}

static void
client_goaway(struct session *s, uint32_t code, const char *text)
{
	struct client *c = of_session(s);

	if (c->state == CLIENT_ASKED)
		say_error(c, code == CODE_DENIED ? TEXT_SECRET : text, "");
	s->going = true;
}

/* ---- time and the end ---- */

static int
client_tick(struct session *s, uint64_t now_us, struct errtext *why)
{
	struct client *c = of_session(s);

	set_now(c, now_us);
	if (c->state == CLIENT_IN)
		open_stream(c);
	inflow_tick(&c->inflow, c->now_us);
	return alive_tick(&c->alive, s, c->now_us, why);
}

static uint64_t
client_deadline_us(const struct session *s)
{
	const struct client *c = of_session(s);
	uint64_t alive = alive_deadline_us(&c->alive, s), inflow = inflow_deadline_us(&c->inflow);

	if (c->state == CLIENT_IN)
		return c->now_us;
	return alive < inflow ? alive : inflow;
}

static void
client_hung_up(struct session *s, int err, int ws_code, const char *text)
{
	struct client *c = of_session(s);
	/* 1000, 1001, or none: it wanted to end.  Others say what went wrong. */
	bool well = err == ERR_EOF && (ws_code == 1000 || ws_code == 1001 || ws_code == 1005);

	if (has_stream(c))
		client_end(c, well ? CODE_OK : CODE_LOST, well ? "" : text);
}

static void
client_abandon(struct session *s, uint32_t code, const char *text)
{
	struct client *c = of_session(s);

	s->user = NULL;
	bufq_fini(&c->out);
	c->start_ok_due = false;
	if (code != CODE_OK && has_stream(c))
		snprintf(c->bye, sizeof c->bye, "%s", text);
	if (c->state != CLIENT_OVER)
		client_end(c, code, text);
}

static void
client_free(struct session *s)
{
	struct client *c = of_session(s);

	client_abandon(s, CODE_LOST, "");
	mem_free(c);
}

static const struct session_ops client_ops = {
	.name = "http-network-relay access-client",
	.input = client_input,
	.output = client_output,
	.has_output = client_has_output,
	.open = client_open,
	.greet = client_greet,
	.goaway = client_goaway,
	.ping = alive_ask,
	.tick = client_tick,
	.deadline_us = client_deadline_us,
	.hung_up = client_hung_up,
	.abandon = client_abandon,
	.free = client_free,
};

struct session *
hnr_accept_client(const struct mux_config *cfg, const struct dialect_from *from, uint64_t now_us)
{
	struct client *c = mem_zalloc(sizeof *c);

	(void)from; /* it says who it is */
	if (c == NULL)
		return NULL;
	c->s.ops = &client_ops;
	c->s.budget = cfg->budget;
	c->s.heard_us = c->now_us = now_us;
	c->s.bye = c->bye;
	alive_init(&c->alive, cfg, now_us);
	inflow_init(&c->inflow, &c->s);
	return &c->s;
}
