/* SPDX-License-Identifier: ISC */
/* carrier - a session on its filter stack.  Copies of payload: 0. */
#include "cmd/common/carrier.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

struct carrier {
	struct loop *loop;
	struct filter *f;
	struct session *s;
	const struct carrier_user *user;
	void *arg;
	/* at the end of the turn: what all of its events have queued leaves together */
	struct task flush;
	/* in the next turn: input that was more than one turn's work */
	struct task more;
	struct timer timer;
	/* when the timer fires; UINT64_MAX: not set */
	uint64_t armed_us;
	/* Set of CARRIER_HOLD and so on: why nothing is read. */
	unsigned blocked;
	bool finishing, shut, dead;
	struct grave grave;
};

static void
arm_timer(struct carrier *c)
{
	uint64_t due = session_deadline_us(c->s), now = loop_now_us(c->loop);

	if (c->dead || c->shut || due >= c->armed_us)
		return;
	c->armed_us = due;
	timer_set(&c->timer, due > now ? (due - now + 999) / 1000 : 0);
}

/* Tell the owner once. */
static void
carrier_end(struct carrier *c, int err, const char *text)
{
	if (c->dead)
		return;
	c->dead = true;
	timer_cancel(&c->timer);
	task_cancel(c->loop, &c->flush);
	task_cancel(c->loop, &c->more);
	c->user->closed(c->arg, err, text);
}

/* Interest in input follows from what is in the way of it. */
static void
set_blocked(struct carrier *c, unsigned why, bool on)
{
	unsigned was = c->blocked;

	c->blocked = on ? was | why : was & ~why;
	if ((was == 0) == (c->blocked == 0))
		return;
	session_unread(c->s, c->blocked != 0, loop_now_us(c->loop));
	filter_pause(c->f, c->blocked != 0);
}

/* ---- bytes out ---- */

/* What the session has said leaves in the form that its protocol has. */
static int
write_out(struct carrier *c, struct bufq *out)
{
	if (c->s->carries == SESSION_BYTES)
		return filter_write(c->f, out);
	return out->len == 0 ? 0
			     : f_ws_send_message(c->f,
				   c->s->carries == SESSION_TEXT ? F_WS_TEXT : F_WS_BINARY, out);
}

/* Input that was left for the next turn goes on when nothing else stands in its way. */
static void
block(struct carrier *c, unsigned why, bool on)
{
	set_blocked(c, why, on);
	if (c->blocked == CARRIER_BEHIND)
		task_later(c->loop, &c->more);
}

/* The end of what we send, with the reason that the session has for it. */
static void
say_bye(struct carrier *c)
{
	if (c->s->bye != NULL && c->s->carries != SESSION_BYTES)
		f_ws_close(c->f, F_WS_NORMAL, c->s->bye);
	else
		filter_shutdown(c->f);
}

/*
 * One portion, as large as the socket would like.  Returns bytes written, 0 when blocked, negative
 * after a failure.
 */
static ssize_t
write_some(struct carrier *c)
{
	struct bufq out = { 0 };
	size_t room = filter_room(c->f), n;
	int r;

	if (room == 0)
		return 0;
	/*
	 * A little more, so that the headers of a round of full frames do not make a second write
	 * of its last bytes.
	 */
	r = session_output(c->s, &out, room + room / 128, loop_now_us(c->loop));
	/* By a ping that found the connection broken. */
	if (c->dead) {
		bufq_fini(&out);
		return ERR_CLOSED;
	}
	n = out.len;
	if (r == 0)
		r = write_out(c, &out);
	bufq_fini(&out);
	if (r != 0) {
		carrier_end(c, r, err_str(r));
		return r;
	}
	filter_flush(c->f);
	return (ssize_t)n;
}

static void
carrier_flush(struct carrier *c)
{
	size_t sent = 0;
	ssize_t n = 1;

	while (!c->dead && n > 0 && sent < CARRIER_TURN && session_has_output(c->s)) {
		n = write_some(c);
		sent += (size_t)n;
	}
	if (c->dead)
		return;
	if (session_has_output(c->s)) {
		/* Blocked: the socket will tell.  Only out of budget: in the next turn. */
		if (n > 0)
			task_later(c->loop, &c->flush);
	} else if (c->finishing && !c->shut) {
		c->shut = true;
		say_bye(c);
	}
	arm_timer(c);
}

static void
on_flush(void *arg)
{
	carrier_flush(arg);
}

/* ---- bytes in ---- */

/* The end that says that something was wrong: that of one that was refused is an orderly one. */
static void
say_why(struct carrier *c, int err, const char *text)
{
	if (c->s->carries == SESSION_BYTES || err == ERR_DENIED)
		say_bye(c);
	else
		f_ws_close(c->f, err == ERR_PROTO ? F_WS_PROTOCOL : F_WS_INTERNAL, text);
}

static void
carrier_fail(struct carrier *c, int err, const char *text)
{
	struct bufq out = { 0 };

	/*
	 * The peer learns why: only what is about the session, and whatever the socket says of
	 * room; it is sent after we are gone.
	 */
	session_goaway(c->s, err == ERR_PROTO ? CODE_PROTOCOL : CODE_INTERNAL, text);
	if (session_output(c->s, &out, 0, loop_now_us(c->loop)) == 0 && !c->dead &&
	    write_out(c, &out) == 0)
		say_why(c, err, text);
	bufq_fini(&out);
	carrier_end(c, err, text);
}

static void
take_input(struct carrier *c, struct bufq *in)
{
	struct errtext why = { "" };
	int r;

	if (c->dead)
		return;
	r = session_input(c->s, in, loop_now_us(c->loop), &why);
	if (c->dead) /* by a callback */
		return;
	if (r < 0) {
		carrier_fail(c, r, why.s);
		return;
	}
	set_blocked(c, CARRIER_BEHIND, r == SESSION_MORE);
	if (r == SESSION_MORE)
		task_later(c->loop, &c->more);
	arm_timer(c);
}

static void
on_readable(void *arg)
{
	struct carrier *c = arg;

	/* Messages come by on_message. */
	if (c->s->carries == SESSION_BYTES)
		take_input(c, &c->f->in);
}

static void
on_more(void *arg)
{
	struct carrier *c = arg;

	if (c->blocked == CARRIER_BEHIND)
		on_readable(c);
}

static void
on_message(void *arg, enum f_ws_kind kind, struct bufq *payload)
{
	struct carrier *c = arg;

	if (!c->dead && (kind == F_WS_TEXT) != (c->s->carries == SESSION_TEXT))
		carrier_fail(
		    c, ERR_PROTO, kind == F_WS_TEXT ? "a text message" : "a binary message");
	else
		take_input(c, payload);
}

static void
on_pong(void *arg, const uint8_t *p, size_t n)
{
	struct carrier *c = arg;
	uint32_t ping;

	c->s->heard_us = loop_now_us(c->loop);
	if (c->dead || n != sizeof ping)
		return;
	memcpy(&ping, p, sizeof ping);
	session_ponged(c->s, ping, loop_now_us(c->loop));
	arm_timer(c);
}

static void
on_peer_ping(void *arg)
{
	struct carrier *c = arg;

	c->s->heard_us = c->s->peer_ping_us = loop_now_us(c->loop);
}

struct f_ws_config
carrier_ws(enum session_carries carries, uint64_t message_max)
{
	if (carries == SESSION_BYTES)
		return (struct f_ws_config){ .mode = F_WS_STREAM };
	return (struct f_ws_config){
		.mode = F_WS_MESSAGES,
		.max_message = message_max,
		.on_message = on_message,
		.on_pong = on_pong,
		.on_ping = on_peer_ping,
	};
}

static void
on_writable(void *arg)
{
	struct carrier *c = arg;

	if (!c->dead && session_has_output(c->s))
		task_soon(c->loop, &c->flush);
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct carrier *c = arg;
	bool ws = c->s->carries != SESSION_BYTES && err == ERR_EOF;
	char why[ERR_TEXT_MAX];

	if (ws)
		str_escape(why, sizeof why, f_ws_peer_reason(c->f), strlen(f_ws_peer_reason(c->f)));
	else
		snprintf(why, sizeof why, "%s", text);
	if (!c->dead && !c->finishing)
		session_hung_up(c->s, err, ws ? f_ws_peer_code(c->f) : 0, why);
	carrier_end(c, err, why);
}

static const struct filter_user filter_user = { on_readable, on_writable, on_closed };

/* ---- the session's calls, passed on to the owner ---- */

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct carrier *c = arg;
	enum session_verdict v = c->user->hello(c->arg, h);

	if (v == SESSION_HOLD)
		set_blocked(c, CARRIER_HOLD, true);
	if (v == SESSION_REFUSED)
		carrier_finish(c);
	return v;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct carrier *c = arg;

	c->user->open(c->arg, s, o);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct carrier *c = arg;

	c->user->goaway(c->arg, code, text);
}

static void
on_want_output(void *arg)
{
	struct carrier *c = arg;

	if (!c->dead)
		task_soon(c->loop, &c->flush);
}

static void
on_idle(void *arg)
{
	struct carrier *c = arg;

	if (!c->dead)
		c->user->idle(c->arg);
}

static void
on_open_refused(void *arg)
{
	struct carrier *c = arg;

	if (!c->dead && c->user->open_refused != NULL)
		c->user->open_refused(c->arg);
}

static void
on_control(void *arg, const void *body, size_t n)
{
	struct carrier *c = arg;

	if (c->user->control != NULL)
		c->user->control(c->arg, body, n);
}

static void
on_stop(void *arg, bool on)
{
	struct carrier *c = arg;

	/* The goodbye of one that is finishing must be read. */
	if (!c->dead && (!c->finishing || !on))
		block(c, CARRIER_STOP, on);
}

static void
on_ping(void *arg)
{
	struct carrier *c = arg;

	if (!c->dead && c->s->carries != SESSION_BYTES)
		f_ws_ping(c->f, &c->s->pings, sizeof c->s->pings);
}

static const struct session_user session_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.want_output = on_want_output,
	.idle = on_idle,
	.control = on_control,
	.open_refused = on_open_refused,
	.stop = on_stop,
	.ping = on_ping,
};

/* ---- time ---- */

static void
on_timer(void *arg)
{
	struct carrier *c = arg;
	struct errtext why = { "" };
	int r;

	c->armed_us = UINT64_MAX;
	if (c->finishing) {
		carrier_end(c, ERR_TIMEOUT,
		    c->shut ? "the peer did not say goodbye" : "the peer does not read");
		return;
	}
	r = session_tick(c->s, loop_now_us(c->loop), &why);
	if (r != 0)
		carrier_end(c, r, why.s);
	else
		arm_timer(c);
}

/* ---- life ---- */

struct carrier *
carrier_new(
    struct loop *l, struct filter *f, struct session *s, const struct carrier_user *user, void *arg)
{
	struct carrier *c = mem_zalloc(sizeof *c);

	if (c == NULL)
		return NULL;
	if (timer_init(&c->timer, l, on_timer, c) != 0) {
		mem_free(c);
		return NULL;
	}
	c->loop = l;
	c->f = f;
	c->s = s;
	c->user = user;
	c->arg = arg;
	c->armed_us = UINT64_MAX;
	task_init(&c->flush, on_flush, c);
	task_init(&c->more, on_more, c);
	s->peer_ping_us = loop_now_us(l);
	session_set_user(s, &session_user, c);
	filter_set_user(f, &filter_user, c);
	if (s->carries != SESSION_BYTES)
		f_ws_set_arg(f, c);
	arm_timer(c);
	return c;
}

static void
carrier_dispose(void *arg)
{
	struct carrier *c = arg;

	/*
	 * Here, at the end of the turn: the session may have been the caller of whoever freed the
	 * carrier.
	 */
	session_free(c->s);
	mem_free(c);
}

void
carrier_free(struct carrier *c, uint32_t code, const char *text)
{
	struct session *s;

	if (c == NULL)
		return;
	s = c->s;
	c->dead = true;
	timer_fini(&c->timer);
	if (c->loop != NULL) {
		task_cancel(c->loop, &c->flush);
		task_cancel(c->loop, &c->more);
	}
	session_abandon(s, code, text);
	filter_free(c->f);
	if (c->loop != NULL)
		loop_bury(c->loop, &c->grave, carrier_dispose, c);
	else
		carrier_dispose(c);
}

static void
arm_finish(struct carrier *c)
{
	c->armed_us = 0; /* no deadline of the session's moves it */
	timer_set(&c->timer, CARRIER_FINISH_MS);
}

void
carrier_finish(struct carrier *c)
{
	if (c->dead || c->finishing)
		return;
	c->finishing = true;
	/* The peer's goodbye must be read. */
	block(c, CARRIER_STOP, false);
	arm_finish(c);
	task_soon(c->loop, &c->flush);
}

void
carrier_set_message_max(struct carrier *c, uint64_t max)
{
	if (c->s->carries != SESSION_BYTES)
		f_ws_set_max_message(c->f, max);
}

void
carrier_resume(struct carrier *c)
{
	block(c, CARRIER_HOLD, false);
	if (c->blocked == 0)
		on_readable(c);
}

void
carrier_slow(struct carrier *c, bool slow)
{
	if (!c->dead)
		block(c, CARRIER_SLOW, slow);
}

void
carrier_detach(struct carrier *c)
{
	task_cancel(c->loop, &c->flush);
	task_cancel(c->loop, &c->more);
	timer_fini(&c->timer);
	c->armed_us = UINT64_MAX;
	filter_detach(c->f);
	c->loop = NULL;
}

int
carrier_attach(struct carrier *c, struct loop *l)
{
	int r = timer_init(&c->timer, l, on_timer, c);

	if (r == 0)
		r = filter_attach(c->f, l);
	if (r != 0) {
		timer_fini(&c->timer);
		return r;
	}
	c->loop = l;
	task_soon(l, &c->flush);
	if (c->blocked & CARRIER_BEHIND)
		task_later(l, &c->more);
	if (c->finishing)
		arm_finish(c);
	else
		arm_timer(c);
	return 0;
}

struct session *
carrier_session(struct carrier *c)
{
	return c->s;
}

void
carrier_set_user(struct carrier *c, const struct carrier_user *user, void *arg)
{
	c->user = user;
	c->arg = arg;
}
