/* SPDX-License-Identifier: ISC */
/*
 * hnr_conn - the streams of a relay's session with an edge-agent (hnr_agent_int.h).  Copies of
 * payload: base64.
 */
#include "proto/dialect/hnr_agent_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

static const char *const conn_name[N_CONN] = { "asked", "open", "idle", "leaving", "gone" };

static const bool conn_can[N_CONN][N_CONN] = {
	[CONN_ASKED] = { [CONN_OPEN] = true, [CONN_LEAVING] = true, [CONN_GONE] = true },
	[CONN_OPEN] = { [CONN_IDLE] = true, [CONN_LEAVING] = true, [CONN_GONE] = true },
	[CONN_IDLE] = { [CONN_LEAVING] = true, [CONN_GONE] = true },
	[CONN_LEAVING] = { [CONN_GONE] = true },
};

static struct hnr_conn *
of_stream(const struct stream *s)
{
	return (struct hnr_conn *)(uintptr_t)s;
}

static struct hnr_agent *
agent_of(const struct hnr_conn *c)
{
	return hnr_agent_of(c->s.session);
}

static void
set_conn(struct hnr_conn *c, enum hnr_conn_state next)
{
	struct hnr_agent *a = agent_of(c);

	assert(conn_can[c->state][next]);
	log_debug("hnr agent: %s: %s -> %s", c->id, conn_name[c->state], conn_name[next]);
	if (c->state == CONN_IDLE)
		TAILQ_REMOVE(&a->idle, c, idle_turn);
	if (next == CONN_IDLE)
		TAILQ_INSERT_TAIL(&a->idle, c, idle_turn);
	c->state = next;
}

/* ---- what is to be said ---- */

static bool
has_words(const struct hnr_conn *c)
{
	if (c->state == CONN_ASKED)
		return c->target != NULL;
	return c->state == CONN_LEAVING || (c->state != CONN_GONE && c->out.len > 0);
}

/* It stands in turns exactly if it has something to say. */
void
hnr_conn_set_turn(struct hnr_conn *c)
{
	struct hnr_agent *a = agent_of(c);
	bool has = has_words(c);

	if (has && !c->has_turn) {
		TAILQ_INSERT_TAIL(&a->turns, c, turn);
		hnr_agent_want_output(a);
	} else if (!has && c->has_turn) {
		TAILQ_REMOVE(&a->turns, c, turn);
	}
	c->has_turn = has;
}

/* ---- the end of a stream ---- */

static void
drop_target(struct hnr_conn *c)
{
	if (c->target != NULL)
		ctl_open_fini(c->target);
	mem_free(c->target);
	c->target = NULL;
}

/* What its user could still take or give is no more. */
static void
conn_release(struct hnr_conn *c)
{
	c->s.user = NULL;
	bufq_fini(&c->early);
	inflow_stream_fini(&agent_of(c)->inflow, &c->in);
}

/* It is over; its user was told, or knows. */
void
hnr_conn_gone(struct hnr_conn *c)
{
	struct hnr_agent *a = agent_of(c);

	if (c->state == CONN_LEAVING)
		a->leaving -= c->out.len;
	else
		conn_release(c);
	bufq_fini(&c->out);
	drop_target(c);
	set_conn(c, CONN_GONE);
	hnr_conn_set_turn(c);
	HASH_DEL(a->conns, c);
	TAILQ_INSERT_TAIL(&a->gone, c, gone_link);
	if (--a->s.n_streams == 0 && a->s.user != NULL)
		a->s.user->idle(a->s.arg);
}

/* Our side breaks it off, behind what was queued if the agent can have it yet. */
static void
conn_leave(struct hnr_conn *c, bool at_once)
{
	struct hnr_agent *a = agent_of(c);

	/* It knows nothing of it. */
	if (c->target != NULL) {
		hnr_conn_gone(c);
		return;
	}
	if (at_once || c->state == CONN_ASKED || a->leaving + c->out.len > HNR_LEAVING_MAX)
		bufq_fini(&c->out);
	a->leaving += c->out.len;
	conn_release(c);
	set_conn(c, CONN_LEAVING);
	hnr_conn_set_turn(c);
}

/* The same, and its user is told. */
static void
conn_fail(struct hnr_conn *c, uint32_t code, const char *text)
{
	const struct stream_user *u = c->s.user;
	void *arg = c->s.arg;

	conn_leave(c, true);
	if (u != NULL)
		u->closed(arg, code, text);
}

/* The agent says that it is over. */
void
hnr_conn_ended(struct hnr_conn *c, uint32_t code, const char *text)
{
	const struct stream_user *u = c->s.user;
	void *arg = c->s.arg;

	if (code == CODE_OK && u != NULL)
		u->eof(arg);
	if (c->state == CONN_LEAVING || c->state == CONN_GONE) {
		/* By its user, meanwhile: the agent knows it. */
		if (c->state == CONN_LEAVING)
			hnr_conn_gone(c);
		return;
	}
	hnr_conn_gone(c);
	if (u != NULL)
		u->closed(arg, code, text);
}

void
hnr_conns_free(struct hnr_agent *a)
{
	struct hnr_conn *c;

	while ((c = TAILQ_FIRST(&a->gone)) != NULL) {
		TAILQ_REMOVE(&a->gone, c, gone_link);
		mem_free(c);
	}
}

/* ---- how long the answer may take ---- */

/* It moves: its time begins again. */
static void
stay_idle(struct hnr_conn *c)
{
	struct hnr_agent *a = agent_of(c);

	TAILQ_REMOVE(&a->idle, c, idle_turn);
	c->idle_us = a->now_us + HNR_END_IDLE_US;
	TAILQ_INSERT_TAIL(&a->idle, c, idle_turn);
}

/* The agent's time to answer begins when it has all. */
static void
all_said(struct hnr_conn *c)
{
	struct hnr_agent *a = agent_of(c);

	c->arriving = true;
	c->mark = alive_mark(&a->alive, &a->s);
	hnr_agent_want_output(a);
}

void
hnr_conns_arrived(struct hnr_agent *a)
{
	struct hnr_conn *c, *next;

	for (c = TAILQ_FIRST(&a->idle); c != NULL; c = next) {
		next = TAILQ_NEXT(c, idle_turn);
		if (!c->arriving || !alive_passed(&a->s, c->mark))
			continue;
		c->arriving = false;
		stay_idle(c);
	}
}

void
hnr_conns_cut(struct hnr_agent *a)
{
	struct hnr_conn *c;

	while ((c = TAILQ_FIRST(&a->idle)) != NULL && a->now_us >= c->idle_us) {
		if (c->out.len > 0 || c->arriving)
			stay_idle(c);
		else
			conn_fail(c, CODE_TIMEOUT,
			    "nothing more has come for a while, and the agent's protocol does not "
			    "tell of the end");
	}
}

/* ---- the stream's operations ---- */

static int
op_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	(void)s; /* never: an agent opens none */
	(void)ok;
	return ERR_CLOSED;
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
	struct hnr_conn *c = of_stream(s);

	if (c->shut)
		return ERR_CLOSED;
	if (bufq_keep(&c->out, src, n) != 0)
		return ERR_NOMEM;
	hnr_conn_set_turn(c);
	return 0;
}

static void
begin_idle(struct hnr_conn *c)
{
	struct hnr_agent *a = agent_of(c);

	c->idle_us = a->now_us + HNR_END_IDLE_US;
	set_conn(c, CONN_IDLE);
	if (c->out.len == 0)
		all_said(c);
}

static void
op_eof(struct stream *s)
{
	struct hnr_conn *c = of_stream(s);

	if (c->shut)
		return;
	c->shut = true;
	if (c->state == CONN_OPEN)
		begin_idle(c);
}

static void
op_reset(struct stream *s, uint32_t code, const char *text)
{
	(void)code; /* there are no words for it */
	(void)text;
	conn_leave(of_stream(s), false);
}

static void
op_abort(struct stream *s, uint32_t code, const char *text)
{
	(void)code;
	(void)text;
	conn_leave(of_stream(s), true);
}

static void
op_consumed(struct stream *s, size_t n)
{
	struct hnr_conn *c = of_stream(s);

	inflow_taken(&agent_of(c)->inflow, &c->in, n);
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

/* ---- opening ---- */

/* RFC 9562 5.4, as the reference writes it. */
static int
new_id(char out[HNR_UUID_LEN + 1])
{
	uint8_t r[16];

	if (rand_bytes(r, sizeof r) != 0)
		return ERR_SYS;
	r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
	r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
	snprintf(out, HNR_UUID_LEN + 1,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1],
	    r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14],
	    r[15]);
	return 0;
}

struct hnr_conn *
hnr_conn_new(struct hnr_agent *a, const struct ctl_open *o, struct budget *charge)
{
	struct hnr_conn *c = mem_zalloc(sizeof *c);

	if (c == NULL)
		return NULL;
	c->target = mem_dup(o, sizeof *o);
	if (c->target == NULL || new_id(c->id) != 0) {
		mem_free(c->target);
		mem_free(c);
		return NULL;
	}
	c->target->raw = NULL;
	HASH_ADD_STR(a->conns, id, c);
	if (!hashtab_has(c)) {
		mem_free(c->target);
		mem_free(c);
		return NULL;
	}
	c->s.ops = &stream_ops;
	c->s.session = &a->s;
	inflow_stream_init(&c->in, charge != NULL ? charge : a->s.budget);
	a->s.n_streams++;
	return c;
}

/* ---- what the agent says ---- */

/* c is as good as open, and its user takes what came before. */
void
hnr_conn_opened(struct hnr_conn *c)
{
	const struct ctl_open_ok ok = { 0 };
	struct bufq early;

	if (c->state != CONN_ASKED || c->target != NULL)
		return;
	set_conn(c, CONN_OPEN);
	if (c->shut)
		begin_idle(c);
	hnr_conn_set_turn(c);
	early = c->early;
	c->early = (struct bufq){ 0 };
	if (c->s.user != NULL)
		c->s.user->opened(c->s.arg, &ok);
	if (early.len > 0 && c->s.user != NULL)
		c->s.user->data(c->s.arg, &early);
	bufq_fini(&early);
}

/* Those that are too much for who pays for this one. */
static void
close_fullest(struct hnr_agent *a, struct inflow_stream *x)
{
	const struct budget *b = x != NULL ? x->budget : NULL;

	for (; x != NULL; x = inflow_fullest(&a->inflow, b)) {
		struct hnr_conn *c = (struct hnr_conn *)((char *)x - offsetof(struct hnr_conn, in));

		conn_fail(c, CODE_LIMIT,
		    "it holds more than it may in the relay, and the agent's protocol cannot stop "
		    "it (--identity-memory)");
	}
}

static int
take_early(struct hnr_conn *c, struct bufq *data)
{
	if (c->early.len + data->len > HNR_EARLY_MAX) {
		conn_fail(c, CODE_PROTOCOL, "the agent says too much before its answer");
		return 0;
	}
	return bufq_move(&c->early, data, data->len);
}

int
hnr_conn_data(struct hnr_conn *c, struct bufq *data)
{
	struct hnr_agent *a = agent_of(c);
	struct inflow_stream *full;
	int r = 0;

	if (c->state == CONN_LEAVING || data->len == 0)
		return 0;
	c->s.rx += data->len;
	if (c->state == CONN_IDLE)
		stay_idle(c);
	full = inflow_came(&a->inflow, &c->in, data->len, a->now_us);
	if (c->state == CONN_ASKED)
		r = take_early(c, data);
	else if (c->s.user != NULL)
		c->s.user->data(c->s.arg, data);
	close_fullest(a, full != NULL ? inflow_fullest(&a->inflow, full->budget) : NULL);
	return r;
}

/* ---- what the relay says ---- */

static int
say_initiate(struct hnr_conn *c, struct bufq *out)
{
	struct hnr_msg m = { .kind = HNR_INITIATE,
		.host = c->target->host,
		.port = c->target->port,
		.protocol = c->target->protocol };
	int r;

	memcpy(m.id, c->id, sizeof c->id);
	r = hnr_msg_write(out, HNR_TO_AGENT, &m);
	if (r == 0)
		drop_target(c);
	return r;
}

static int
say_close(struct hnr_conn *c, struct bufq *out)
{
	struct hnr_msg m = { .kind = HNR_CLOSE, .message = "Connection closed by relay" };
	int r;

	memcpy(m.id, c->id, sizeof c->id);
	r = hnr_msg_write(out, HNR_TO_AGENT, &m);
	if (r == 0)
		hnr_conn_gone(c);
	return r;
}

static int
say_data(struct hnr_agent *a, struct hnr_conn *c, struct bufq *out)
{
	size_t n = c->out.len < HNR_DATA_MAX ? c->out.len : HNR_DATA_MAX;
	int r = hnr_data_write(out, c->id, &c->out, n);

	if (r != 0)
		return r;
	c->s.tx += n;
	if (c->state == CONN_IDLE && c->out.len == 0)
		all_said(c);
	if (c->state == CONN_LEAVING)
		a->leaving -= n;
	else if (c->s.user != NULL)
		c->s.user->sent(c->s.arg, n);
	return 0;
}

int
hnr_conn_say(struct hnr_agent *a, struct bufq *out)
{
	struct hnr_conn *c = TAILQ_FIRST(&a->turns);
	int r;

	TAILQ_REMOVE(&a->turns, c, turn);
	c->has_turn = false;
	if (c->target != NULL)
		r = say_initiate(c, out);
	else if (c->out.len > 0)
		r = say_data(a, c, out);
	else
		r = say_close(c, out);
	hnr_conn_set_turn(c);
	return r;
}
