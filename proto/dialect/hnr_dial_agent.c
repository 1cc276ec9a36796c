/* SPDX-License-Identifier: ISC */
/*
 * hnr_dial_agent - as an edge-agent of http-network-relay: all streams over one WebSocket.
 *
 *     session  NEW ── `start` left ──> SETTLING ── the relay's first word, or time ──> UP
 *     stream   ASKED ── accepted ──> OPEN ── our user has ended it ──> FLUSHING
 *              FLUSHING ── all has left, and a ping behind it ──> ARRIVING
 *              ARRIVING ── the ping's answer ──> RESTING
 *              FLUSHING ── all has left, and the relay is one of ours ──> RESTING
 *              RESTING ── the pause is over: connection_reset ──> gone
 *              ASKED, OPEN, FLUSHING, ARRIVING, RESTING ── connection_close ──> gone
 *
 * Copies of payload: 1 each way, which is base64.
 */
#include "proto/dialect/hnr_dial.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/hashtab.h"
#include "lib/base/log.h"
#include "lib/base/rand.h"
#include "proto/dialect/hnr_link.h"

enum session_state { SESSION_NEW, SESSION_SETTLING, SESSION_UP, N_SESSION };
enum stream_state {
	STREAM_ASKED,
	STREAM_OPEN,
	STREAM_FLUSHING,
	STREAM_ARRIVING,
	STREAM_RESTING,
	N_STREAM
};

static const char *const session_name[N_SESSION] = { "new", "settling", "up" };
static const bool session_can[N_SESSION][N_SESSION] = {
	[SESSION_NEW] = { [SESSION_SETTLING] = true, [SESSION_UP] = true },
	[SESSION_SETTLING] = { [SESSION_UP] = true },
};
static const char *const stream_name[N_STREAM] = { "asked", "open", "flushing", "arriving",
	"resting" };
static const bool stream_can[N_STREAM][N_STREAM] = {
	[STREAM_ASKED] = { [STREAM_OPEN] = true, [STREAM_FLUSHING] = true },
	[STREAM_OPEN] = { [STREAM_FLUSHING] = true },
	[STREAM_FLUSHING] = { [STREAM_ARRIVING] = true, [STREAM_RESTING] = true },
	[STREAM_ARRIVING] = { [STREAM_RESTING] = true },
};

struct hnr_stream {
	struct stream s;
	char id[HNR_ID_MAX + 1];
	enum stream_state state;
	/* Our user has reset it, and is not called any more. */
	bool left;
	/* It did, and the target has not ended in good order. */
	bool broken;
	/* What is on its way to the relay, and what the user has not taken. */
	struct bufq out;
	struct inflow_stream in;
	/* What the relay may not have passed on yet at that time; see HNR_END_RATE. */
	uint64_t behind, behind_us;
	/* ARRIVING: the relay has it all once this has passed (alive.h). */
	uint32_t mark;
	/* ARRIVING, RESTING: when it is over. */
	uint64_t end_us;
	/*
	 * In the order they were opened; those that have something to send; ARRIVING or RESTING.
	 */
	TAILQ_ENTRY(hnr_stream) entry, turn, rest;
	bool waits;
	UT_hash_handle hh;
};
TAILQ_HEAD(hnr_streams, hnr_stream);

struct agent {
	struct hnr_link link;
	enum session_state state;
	struct hnr_stream *by_id;
	struct hnr_streams all, turns, resting;
	/* Bytes in all streams' out. */
	size_t unsent;
	/* rest_us: not after the first of those that rest. */
	uint64_t settled_us, keep_alive_us, rest_us;
	uint32_t streams_max, n;
	/* The relay is one of ours. */
	bool ours;
};

static const struct stream_ops stream_ops;

static struct agent *
of_session(const struct session *s)
{
	return (struct agent *)(uintptr_t)s;
}

static struct hnr_stream *
of_stream(struct stream *s)
{
	return (struct hnr_stream *)s;
}

static struct agent *
agent_of(struct hnr_stream *st)
{
	return of_session(st->s.session);
}

static void
set_session(struct agent *a, enum session_state next)
{
	assert(session_can[a->state][next]);
	log_debug("hnr agent: %s -> %s", session_name[a->state], session_name[next]);
	a->state = next;
}

static void
set_stream(struct hnr_stream *st, enum stream_state next)
{
	assert(stream_can[st->state][next]);
	log_debug("hnr stream %s: %s -> %s", st->id, stream_name[st->state], stream_name[next]);
	st->state = next;
}

/* ---- the end of a stream ---- */

static void
drop_output(struct agent *a, struct hnr_stream *st)
{
	a->unsent -= st->out.len;
	bufq_fini(&st->out);
	if (st->waits)
		TAILQ_REMOVE(&a->turns, st, turn);
	st->waits = false;
}

/* Our user has gone, or is told: it counts no more. */
static void
stream_leave(struct agent *a, struct hnr_stream *st)
{
	if (st->left)
		return;
	st->left = true;
	inflow_stream_fini(&a->link.inflow, &st->in);
	a->link.s.n_streams--;
}

static void
tell_idle(struct agent *a)
{
	struct session *s = &a->link.s;

	if (s->n_streams == 0 && s->user != NULL)
		s->user->idle(s->arg);
}

/* Everything of it goes; code and text: for a user that has not left. */
static void
stream_gone(struct agent *a, struct hnr_stream *st, uint32_t code, const char *text)
{
	const struct stream_user *user = st->left ? NULL : st->s.user;
	void *arg = st->s.arg;
	bool counted = !st->left;

	drop_output(a, st);
	stream_leave(a, st);
	if (st->state >= STREAM_ARRIVING)
		TAILQ_REMOVE(&a->resting, st, rest);
	TAILQ_REMOVE(&a->all, st, entry);
	HASH_DEL(a->by_id, st);
	a->n--;
	mem_free(st);
	if (user != NULL)
		user->closed(arg, code, text);
	if (counted)
		tell_idle(a);
}

/* ---- messages about a stream ---- */

/* What cannot be said ends the session, which cannot be understood any more. */
static void
say(struct agent *a, enum hnr_kind kind, const char *id, const char *message)
{
	struct hnr_msg m = { .kind = kind, .message = message };
	int r;

	snprintf(m.id, sizeof m.id, "%s", id);
	r = hnr_link_say(&a->link, HNR_FROM_AGENT, &m);
	if (r == ERR_INVALID) {
		m.message = "the reason is no text";
		r = hnr_link_say(&a->link, HNR_FROM_AGENT, &m);
	}
	if (r != 0 && a->link.broken == 0)
		a->link.broken = r;
}

/* n bytes more are on their way. */
static void
note_sent(struct hnr_stream *st, size_t n, uint64_t now_us)
{
	uint64_t passed = (now_us - st->behind_us) * HNR_END_RATE / 1000000;

	st->behind = (st->behind > passed ? st->behind - passed : 0) + n;
	st->behind_us = now_us;
}

static void
end_after(struct agent *a, struct hnr_stream *st, uint64_t pause_us, uint64_t now_us)
{
	st->end_us = now_us + (pause_us < HNR_END_PAUSE_MAX_US ? pause_us : HNR_END_PAUSE_MAX_US);
	if (st->end_us < a->rest_us)
		a->rest_us = st->end_us;
}

/* What waited has left: the reset is next, when the relay has it, and has had its time. */
static void
stream_rest(struct agent *a, struct hnr_stream *st, uint64_t now_us)
{
	TAILQ_INSERT_TAIL(&a->resting, st, rest);
	if (a->ours) {
		set_stream(st, STREAM_RESTING);
		end_after(a, st, 0, now_us);
		return;
	}
	set_stream(st, STREAM_ARRIVING);
	st->mark = alive_mark(&a->link.alive, &a->link.s);
	end_after(a, st, HNR_END_PAUSE_MAX_US, now_us);
}

static void
ops_ponged(struct session *s, uint64_t now_us)
{
	struct agent *a = of_session(s);
	struct hnr_stream *st;

	TAILQ_FOREACH (st, &a->resting, rest) {
		if (st->state != STREAM_ARRIVING || !alive_passed(s, st->mark))
			continue;
		set_stream(st, STREAM_RESTING);
		note_sent(st, 0, now_us);
		end_after(a, st, HNR_END_PAUSE_US + st->behind * 1000000 / HNR_END_RATE, now_us);
	}
}

static void
rest_over(struct agent *a, uint64_t now_us)
{
	struct hnr_stream *st, *next;

	if (now_us < a->rest_us)
		return;
	a->rest_us = UINT64_MAX;
	for (st = TAILQ_FIRST(&a->resting); st != NULL; st = next) {
		next = TAILQ_NEXT(st, rest);
		if (st->end_us > now_us) {
			a->rest_us = st->end_us < a->rest_us ? st->end_us : a->rest_us;
			continue;
		}
		say(a, HNR_RESET, st->id, st->broken ? "Connection reset by target" : HNR_ENDED);
		stream_gone(a, st, CODE_OK, "");
		/* Its user may have ended others. */
		next = TAILQ_FIRST(&a->resting);
	}
}

/* ---- the stream's operations ---- */

static int
op_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	struct hnr_stream *st = of_stream(s);

	(void)ok; /* the answer has no member for it */
	set_stream(st, STREAM_OPEN);
	say(agent_of(st), HNR_INITIATE_OK, st->id, NULL);
	return agent_of(st)->link.broken;
}

static size_t
op_room(struct stream *s)
{
	struct hnr_stream *st = of_stream(s);
	size_t max = agent_of(st)->unsent < MUX_UNSENT_SUM ? MUX_UNSENT_MAX : MUX_UNSENT_SHARE;

	return st->out.len < max ? max - st->out.len : 0;
}

static int
op_send(struct stream *s, struct bufq *src, size_t n)
{
	struct hnr_stream *st = of_stream(s);
	struct agent *a = agent_of(st);
	int r;

	if (st->state != STREAM_OPEN)
		return ERR_CLOSED;
	if ((r = bufq_move(&st->out, src, n)) != 0)
		return r;
	a->unsent += n;
	if (!st->waits && n > 0)
		TAILQ_INSERT_TAIL(&a->turns, st, turn);
	st->waits = st->waits || n > 0;
	hnr_link_want_output(&a->link);
	return 0;
}

/* The next output sees to what follows. */
static void
stream_flush(struct hnr_stream *st)
{
	struct agent *a = agent_of(st);

	if (st->state >= STREAM_FLUSHING)
		return;
	set_stream(st, STREAM_FLUSHING);
	if (!st->waits)
		TAILQ_INSERT_TAIL(&a->turns, st, turn);
	st->waits = true;
	hnr_link_want_output(&a->link);
}

static void
op_eof(struct stream *s)
{
	stream_flush(of_stream(s));
}

static void
op_reset(struct stream *s, uint32_t code, const char *text)
{
	struct hnr_stream *st = of_stream(s);
	struct agent *a = agent_of(st);

	if (st->state != STREAM_ASKED) {
		stream_flush(st);
		st->broken = true;
		stream_leave(a, st);
		tell_idle(a);
		return;
	}
	say(a, HNR_INITIATE_ERROR, st->id, text[0] != '\0' ? text : frame_code_str(code));
	stream_leave(a, st);
	stream_gone(a, st, code, text);
	tell_idle(a);
}

static void
op_abort(struct stream *s, uint32_t code, const char *text)
{
	struct hnr_stream *st = of_stream(s);
	struct agent *a = agent_of(st);

	if (st->state == STREAM_ASKED) {
		op_reset(s, code, text);
		return;
	}
	say(a, HNR_RESET, st->id, text);
	stream_leave(a, st);
	stream_gone(a, st, code, text);
	tell_idle(a);
}

static void
op_consumed(struct stream *s, size_t n)
{
	struct hnr_stream *st = of_stream(s);

	inflow_taken(&agent_of(st)->link.inflow, &st->in, n);
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

static struct hnr_stream *
find(struct agent *a, const char *id)
{
	struct hnr_stream *st;

	HASH_FIND(hh, a->by_id, id, strlen(id), st);
	return st;
}

static struct hnr_stream *
stream_new(struct agent *a, const char *id)
{
	struct hnr_stream *st = mem_zalloc(sizeof *st);

	if (st == NULL)
		return NULL;
	snprintf(st->id, sizeof st->id, "%s", id);
	HASH_ADD_KEYPTR(hh, a->by_id, st->id, strlen(st->id), st);
	if (!hashtab_has(st)) {
		mem_free(st);
		return NULL;
	}
	st->s.ops = &stream_ops;
	st->s.session = &a->link.s;
	inflow_stream_init(&st->in, a->link.s.budget);
	TAILQ_INSERT_TAIL(&a->all, st, entry);
	a->n++;
	a->link.s.n_streams++;
	return st;
}

/* Why it cannot be opened; NULL: it can, and o is filled. */
static const char *
read_open(struct agent *a, const struct hnr_msg *m, struct ctl_open *o)
{
	if (a->link.s.going)
		return "the agent is shutting down";
	if (a->n >= a->streams_max)
		return "the agent has as many streams as it may have";
	if (m->port < 1 || m->port > UINT16_MAX)
		return "port must be 1-65535.";
	if (m->host[0] == '\0' || strlen(m->host) > CTL_HOST_MAX || !ctl_is_text(m->host))
		return "[Errno -2] Name or service not known";
	if (strlen(m->protocol) >= sizeof o->protocol)
		return "Unsupported protocol";
	if (rand_bytes(o->token, sizeof o->token) != 0)
		return "the system gives no random bytes";
	snprintf(o->host, sizeof o->host, "%s", m->host);
	snprintf(o->protocol, sizeof o->protocol, "%s", m->protocol);
	snprintf(o->source, sizeof o->source, "access-client");
	o->port = (uint16_t)m->port;
	return NULL;
}

static int
take_initiate(struct agent *a, const struct hnr_msg *m, struct errtext *why)
{
	struct session *s = &a->link.s;
	struct ctl_open o = { 0 };
	struct hnr_stream *st;
	const char *no = read_open(a, m, &o);

	if (!hnr_id_is_plain(m->id))
		return err_set(why, ERR_PROTO, "a connection_id that is no UUID");
	if (find(a, m->id) != NULL)
		return err_set(why, ERR_PROTO, "a connection_id twice");
	if (no != NULL) {
		say(a, HNR_INITIATE_ERROR, m->id, no);
		return 0;
	}
	st = stream_new(a, m->id);
	if (st == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	if (strcmp(o.protocol, CTL_TCP) != 0) {
		char text[64];

		snprintf(text, sizeof text, "Unsupported protocol: %s", o.protocol);
		op_reset(&st->s, CODE_NOT_FOUND, text);
		return 0;
	}
	s->user->open(s->arg, &st->s, &o);
	return 0;
}

/* Of all streams it holds most of what there may be. */
static void
too_much(struct agent *a, struct hnr_stream *st)
{
	say(a, st->state == STREAM_ASKED ? HNR_INITIATE_ERROR : HNR_RESET, st->id,
	    "the target does not read");
	stream_gone(a, st, CODE_LIMIT,
	    "more has come than memory allows, and the protocol cannot stop the sender");
}

static void
take_data(struct agent *a, const char *id, struct bufq *data, uint64_t now_us)
{
	struct hnr_stream *st = find(a, id);
	struct inflow_stream *full;

	if (st == NULL || st->left || data->len == 0)
		return;
	st->s.rx += data->len;
	full = inflow_came(&a->link.inflow, &st->in, data->len, now_us);
	if (full == NULL || full != &st->in)
		st->s.user->data(st->s.arg, data);
	for (; full != NULL; full = inflow_fullest(&a->link.inflow, a->link.s.budget))
		too_much(a, (struct hnr_stream *)((char *)full - offsetof(struct hnr_stream, in)));
}

static void
take_close(struct agent *a, const char *id)
{
	struct hnr_stream *st = find(a, id);

	/* However the client ended: the protocol does not tell. */
	if (st != NULL)
		stream_gone(a, st, CODE_OK, "");
}

/* The relay has let us in. */
static void
session_up(struct agent *a)
{
	const struct ctl_hello h = { .version = CTL_VERSION, .role = CTL_RELAY };

	if (a->state == SESSION_UP)
		return;
	set_session(a, SESSION_UP);
	/* There is nothing to refuse in what it has said. */
	IGNORE_RESULT(a->link.s.user->hello(a->link.s.arg, &h) != SESSION_GO_ON);
}

static int
ops_input(struct session *s, struct bufq *in, uint64_t now_us, struct errtext *why)
{
	struct agent *a = of_session(s);
	struct hnr_msg m;
	int r = hnr_msg_read(&m, HNR_TO_AGENT, in, why);

	hnr_link_heard(&a->link, now_us);
	bufq_drain(in, in->len);
	if (r != 0)
		return r;
	session_up(a);
	if (m.kind == HNR_INITIATE)
		r = take_initiate(a, &m, why);
	else if (m.kind == HNR_DATA)
		take_data(a, m.id, &m.data, now_us);
	else if (m.kind == HNR_CLOSE)
		take_close(a, m.id);
	hnr_msg_fini(&m);
	return r != 0 ? r : hnr_link_broken(&a->link, why);
}

/* ---- what we say ---- */

/* The next stream in turn says a message; or has nothing more to say. */
static int
turn(struct agent *a, struct bufq *out, uint64_t now_us)
{
	struct hnr_stream *st = TAILQ_FIRST(&a->turns);
	size_t n = st->out.len < HNR_DATA_MAX ? st->out.len : HNR_DATA_MAX;
	int r = n > 0 ? hnr_data_write(out, st->id, &st->out, n) : 0;

	if (r != 0)
		return r;
	a->unsent -= n;
	st->s.tx += n;
	note_sent(st, n, now_us);
	TAILQ_REMOVE(&a->turns, st, turn);
	st->waits = st->out.len > 0;
	if (st->waits)
		TAILQ_INSERT_TAIL(&a->turns, st, turn);
	else if (st->state == STREAM_FLUSHING)
		stream_rest(a, st, now_us);
	if (n > 0 && !st->left && st->s.user != NULL)
		st->s.user->sent(st->s.arg, n);
	return 0;
}

static int
ops_output(struct session *s, struct bufq *out, size_t max, uint64_t now_us)
{
	struct agent *a = of_session(s);
	int r = 0;

	/* Without room only the session's end would be said, for which there are no words. */
	if (max == 0)
		return 0;
	alive_ask_due(&a->link.alive, s);
	if (hnr_link_take(&a->link, out)) {
		if (a->state == SESSION_NEW) {
			set_session(a, SESSION_SETTLING);
			a->settled_us = now_us + HNR_SETTLE_US;
			a->keep_alive_us = now_us + HNR_KEEP_ALIVE_US;
		}
		return 0;
	}
	while (r == 0 && out->len == 0 && !TAILQ_EMPTY(&a->turns))
		r = turn(a, out, now_us);
	/* Nothing goes before it. */
	if (out->len == 0)
		alive_ask_due(&a->link.alive, s);
	return r;
}

static bool
ops_has_output(const struct session *s)
{
	const struct agent *a = of_session(s);

	return hnr_link_has(&a->link) || a->link.alive.ask_due || !TAILQ_EMPTY(&a->turns);
}

static int
ops_greet(struct session *s, const struct ctl_hello *h)
{
	const struct hnr_msg m = {
		.kind = HNR_START, .name = h->name, .secret = h->secret, .last_error = h->last_error
	};

	return hnr_link_say(&of_session(s)->link, HNR_FROM_AGENT, &m);
}

static struct stream *
ops_open(struct session *s, const struct ctl_open *o, struct budget *charge,
    const struct stream_user *user, void *arg, struct errtext *why)
{
	(void)o;
	(void)charge;
	(void)user;
	(void)arg;
	s->open_error = err_set(why, ERR_CLOSED, "an agent opens no streams");
	return NULL;
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
	struct agent *a = of_session(s);

	if (a->state == SESSION_SETTLING && now_us >= a->settled_us)
		session_up(a);
	rest_over(a, now_us);
	if (a->state != SESSION_NEW && now_us >= a->keep_alive_us) {
		a->keep_alive_us = now_us + HNR_KEEP_ALIVE_US;
		/* One that waits already will do. */
		if (!hnr_link_has(&a->link))
			say(a, HNR_KEEP_ALIVE, "", NULL);
	}
	return a->link.broken != 0 ? hnr_link_broken(&a->link, why)
				   : hnr_link_tick(&a->link, now_us, why);
}

static uint64_t
ops_deadline_us(const struct session *s)
{
	const struct agent *a = of_session(s);
	uint64_t due = hnr_link_deadline_us(&a->link);

	if (a->state == SESSION_SETTLING && a->settled_us < due)
		due = a->settled_us;
	if (a->state != SESSION_NEW && a->keep_alive_us < due)
		due = a->keep_alive_us;
	return a->rest_us < due ? a->rest_us : due;
}

static void
ops_hung_up(struct session *s, int err, int ws_code, const char *text)
{
	struct agent *a = of_session(s);

	(void)text;
	if (a->state == SESSION_SETTLING && err == ERR_EOF && ws_code == 1000)
		s->user->goaway(s->arg, CODE_DENIED,
		    "the relay has closed the connection after the login: it does not know the "
		    "name, or the secret is wrong");
}

static void
ops_abandon(struct session *s, uint32_t code, const char *text)
{
	struct agent *a = of_session(s);

	s->user = NULL;
	a->link.alive.ask_due = false;
	while (!TAILQ_EMPTY(&a->all))
		stream_gone(a, TAILQ_FIRST(&a->all), code, text);
}

static void
ops_free(struct session *s)
{
	struct agent *a = of_session(s);

	ops_abandon(s, CODE_GONE, "");
	hnr_link_fini(&a->link);
	mem_free(a);
}

static const struct session_ops session_ops = {
	.name = "http-network-relay agent",
	.input = ops_input,
	.output = ops_output,
	.has_output = ops_has_output,
	.open = ops_open,
	.greet = ops_greet,
	.ping = alive_ask,
	.ponged = ops_ponged,
	.goaway = ops_goaway,
	.tick = ops_tick,
	.deadline_us = ops_deadline_us,
	.hung_up = ops_hung_up,
	.abandon = ops_abandon,
	.free = ops_free,
};

struct session *
hnr_dial_agent(const struct mux_config *cfg, uint64_t now_us)
{
	struct agent *a = mem_zalloc(sizeof *a);

	if (a == NULL)
		return NULL;
	hnr_link_init(&a->link, &session_ops, cfg, now_us);
	a->ours = cfg->ours;
	a->rest_us = UINT64_MAX;
	a->streams_max = cfg->streams_max != 0 ? cfg->streams_max : MUX_STREAMS_MAX;
	TAILQ_INIT(&a->all);
	TAILQ_INIT(&a->turns);
	TAILQ_INIT(&a->resting);
	return &a->link.s;
}
