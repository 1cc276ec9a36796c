/* SPDX-License-Identifier: ISC */
/*
 * mux - the native session: greeting, dispatch of frames, keepalive, going away.
 *
 * Copies of payload: 0.  DATA is passed on as it arrives, before its frame is complete; only
 * control frames, at most 8 KiB each, are copied to be parsed.  A DATAGRAM is gathered first.
 */
#include "proto/mux.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "proto/mux_int.h"

enum { BODY_COPY_MAX = 8192 }; /* the longest control body (frame.c's table) */

const char *const mux_state_name[MUX_STATES] = { "START", "HELD", "OPEN", "BROKEN" };
const bool mux_state_can[MUX_STATES][MUX_STATES] = {
	[MUX_START] = { [MUX_HELD] = true, [MUX_BROKEN] = true },
	[MUX_HELD] = { [MUX_OPEN] = true, [MUX_BROKEN] = true },
	[MUX_OPEN] = { [MUX_BROKEN] = true },
};

static struct mux *
mux_of(const struct session *s)
{
	return (struct mux *)(uintptr_t)s;
}

static void
set_state(struct mux *m, enum mux_state next)
{
	if (m->state == next)
		return;
	assert(mux_state_can[m->state][next]);
	log_debug("session: %s -> %s", mux_state_name[m->state], mux_state_name[next]);
	m->state = next;
}

void
mux_want_output(struct mux *m)
{
	if (m->s.user != NULL)
		m->s.user->want_output(m->s.arg);
}

int
mux_frame(struct bufq *out, uint8_t type, uint8_t flags, uint32_t id, const void *body, size_t n)
{
	struct frame f = { type, flags, (uint16_t)n, id };
	uint8_t hdr[FRAME_HDR_LEN];
	int r;

	assert(n <= FRAME_BODY_MAX);
	frame_pack(hdr, &f);
	r = bufq_copy(out, hdr, sizeof hdr);
	return r != 0 ? r : bufq_copy(out, body, n);
}

void
mux_control(struct mux *m, uint8_t type, uint8_t flags, uint32_t id, const void *body, size_t n)
{
	int r = ERR_LIMIT;

	if (m->control.len + n <= MUX_CONTROL_MAX)
		r = mux_frame(&m->control, type, flags, id, body, n);
	if (r != 0)
		m->failed = r;
	mux_want_output(m); /* after a failure too: it looks at the deadline, which is now */
}

size_t
mux_text_body(uint8_t body[MUX_TEXT_MAX], uint32_t code, const char *text)
{
	size_t n = strnlen(text, MUX_TEXT_MAX - 4);

	/* PROTOCOL.md 3.5: UTF-8, so it is cut between two characters. */
	if (n > 0 && text[n] != '\0')
		while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
			n--;
	put_u32be(body, code);
	memcpy(body + 4, text, n);
	return 4 + n;
}

/* A RESET without a stream, or a GOAWAY. */
static void
control_text(struct mux *m, uint8_t type, uint32_t id, uint32_t code, const char *text)
{
	uint8_t body[MUX_TEXT_MAX];

	mux_control(m, type, 0, id, body, mux_text_body(body, code, text));
}

/*
 * A ping carries the time at which it was sent.  The first goes as soon as both HELLOs are there:
 * windows need a round trip.
 */
static void
send_ping(struct mux *m)
{
	uint8_t body[8];

	put_u64be(body, m->now_us);
	mux_control(m, FRAME_PING, 0, 0, body, sizeof body);
}

/* ---- frames of the session ---- */

static int
got_hello(struct mux *m, const uint8_t *body, size_t n, struct errtext *why)
{
	struct ctl_hello h;
	enum session_verdict v;
	int r = ctl_hello_parse(&h, body, n, why);

	if (r != 0)
		return r;
	/* Until the user has decided nothing else of this peer is looked at. */
	set_state(m, MUX_HELD);
	v = m->s.user->hello(m->s.arg, &h);
	ctl_hello_wipe(&h);
	if (m->state != MUX_HELD)
		return 0; /* abandoned meanwhile */
	if (v == SESSION_GO_ON)
		set_state(m, MUX_OPEN);
	else if (v == SESSION_REFUSED)
		set_state(m, MUX_BROKEN);
	if (m->state == MUX_OPEN && m->cfg.dialer && m->greeted && !m->cfg.inner)
		send_ping(m); /* an acceptor's went with its own HELLO */
	return 0;
}

static int
got_goaway(struct mux *m, const uint8_t *body, size_t n)
{
	uint32_t code = get_u32be(body);
	char text[1024];

	if (m->goaway_got) /* PROTOCOL.md 6.4: only the first one counts */
		return 0;
	memcpy(text, body + 4, n - 4);
	text[n - 4] = '\0';
	m->goaway_got = m->s.going = true;
	/* PROTOCOL.md 3.8 */
	m->s.user->goaway(m->s.arg, code >= CODES ? CODE_INTERNAL : code, text);
	return 0;
}

/*
 * A flood of pings is answered by a few pongs: of those of one turn the first ones, and the last.
 */
static void
got_ping(struct mux *m, const uint8_t *body)
{
	if (++m->pings <= MUX_PONGS_TURN)
		mux_control(m, FRAME_PONG, 0, 0, body, sizeof m->late_ping);
	else
		memcpy(m->late_ping, body, sizeof m->late_ping);
}

/* A pong carries the time at which its ping was sent. */
static void
got_pong(struct mux *m, const uint8_t *body)
{
	uint64_t sent_us = get_u64be(body), rtt_us = m->now_us - sent_us;

	if (sent_us >= m->now_us)
		return;
	/*
	 * The smallest counts: a larger one measures a queue.  It is forgotten slowly, since routes
	 * change.
	 */
	if (m->s.rtt_us == 0 || rtt_us < m->s.rtt_us)
		m->s.rtt_us = rtt_us;
	else
		m->s.rtt_us += (rtt_us - m->s.rtt_us) / 16;
}

/* Each makes work for others. */
static void
got_control(struct mux *m, const uint8_t *body, size_t n)
{
	m->work += MUX_WORK_CONTROL;
	if (m->s.user->control != NULL)
		m->s.user->control(m->s.arg, body, n);
}

/* ---- frames of a stream ---- */

static void
refuse_open(struct mux *m, uint32_t id, uint32_t code, const char *why)
{
	control_text(m, FRAME_RESET, id, code, why);
	if (m->s.user->open_refused != NULL)
		m->s.user->open_refused(m->s.arg);
}

static int
got_open(struct mux *m, uint32_t id, const uint8_t *body, size_t n, struct errtext *why)
{
	struct errtext bad = { "" };
	struct ctl_open o;
	struct mux_stream *ms;
	int r;

	/* PROTOCOL.md 4.2: each side has its own parity, and never uses an id again. */
	if ((id & 1) == (m->cfg.dialer ? 1 : 0) || id <= m->peer_last_id)
		return err_set(why, ERR_PROTO, "OPEN with stream id %u out of turn", id);
	m->peer_last_id = id;
	m->work += MUX_WORK_OPEN;
	r = ctl_open_parse(&o, body, n, &bad);
	if (r != 0) {
		/* The frame is intact: the fault is this stream's alone. */
		refuse_open(m, id, r == ERR_NOMEM ? CODE_INTERNAL : CODE_PROTOCOL,
		    r == ERR_NOMEM ? "out of memory" : bad.s);
		return 0;
	}
	if (m->s.n_streams >= m->cfg.streams_max)
		refuse_open(m, id, CODE_LIMIT, "too many streams in this session");
	else if (m->goaway_sent)
		refuse_open(m, id, CODE_GONE, "going away");
	else if (mux_stream_new(m, id, &o, NULL, &ms) != 0)
		refuse_open(m, id, CODE_INTERNAL, "out of memory");
	else
		m->s.user->open(m->s.arg, &ms->s, &o);
	ctl_open_fini(&o);
	return 0;
}

static int
got_open_ok(struct mux_stream *ms, const uint8_t *body, size_t n, struct errtext *why)
{
	struct errtext bad = { "" };
	struct ctl_open_ok ok;

	if (!ms->local || ms->answered)
		return err_set(why, ERR_PROTO, "OPEN_OK for a stream that was not being opened");
	if (ctl_open_ok_parse(&ok, body, n, &bad) != 0) {
		mux_stream_fail(ms, bad.s);
		return 0;
	}
	ms->answered = true;
	if (ms->s.user != NULL)
		ms->s.user->opened(ms->s.arg, &ok);
	ctl_open_ok_fini(&ok);
	return 0;
}

static int
got_window(struct mux_stream *ms, uint8_t flags, const uint8_t *body, struct errtext *why)
{
	if (mux_stream_window(ms, get_u64be(body), get_u64be(body + 8), flags) == 0)
		return 0;
	return err_set(why, ERR_PROTO, "WINDOW with an impossible offset or answer");
}

static void
got_reset(struct mux_stream *ms, const uint8_t *body, size_t n)
{
	uint32_t code = get_u32be(body);
	char text[1024];

	memcpy(text, body + 4, n - 4);
	text[n - 4] = '\0';
	/*
	 * PROTOCOL.md 3.8: an endpoint takes what it does not know for 9, and a hop passes it on.
	 * OK is never a reason: it would mean that nothing is left to end.
	 */
	if (code == CODE_OK || (ms->m->cfg.endpoint && code >= CODES))
		code = CODE_INTERNAL;
	mux_stream_close(ms, code, text);
}

/*
 * A complete frame of a stream, other than OPEN and DATA.  For a stream that is no more it is
 * ignored: it was under way.
 */
static int
stream_frame(struct mux *m, const struct frame *f, const uint8_t *body, struct errtext *why)
{
	struct mux_stream *ms = mux_stream_find(m, f->id);

	if (ms == NULL)
		return 0;
	if (ms->datagrams != NULL && f->type != FRAME_OPEN_OK && f->type != FRAME_RESET) {
		mux_stream_fail(ms, "a stream of datagrams has neither windows nor ends");
		return 0;
	}
	switch (f->type) {
	case FRAME_OPEN_OK:
		return got_open_ok(ms, body, f->len, why);
	case FRAME_WINDOW:
		return got_window(ms, f->flags, body, why);
	case FRAME_EOF:
		if (mux_stream_ended(ms, get_u64be(body)) != 0)
			return err_set(why, ERR_PROTO, "EOF twice or at the wrong offset");
		return 0;
	case FRAME_RESET:
		got_reset(ms, body, f->len);
		return 0;
	default: /* FRAME_RETURN: control_frame() hands on no other */
		if (mux_stream_returned(ms, get_u64be(body)) != 0)
			return err_set(why, ERR_PROTO, "RETURN of credit that is not there");
		return 0;
	}
}

static int
control_frame(struct mux *m, const struct frame *f, const uint8_t *body, struct errtext *why)
{
	if (m->state == MUX_START) {
		if (f->type != FRAME_HELLO && f->type != FRAME_GOAWAY)
			return err_set(why, ERR_PROTO, "the first frame is no HELLO");
	} else if (f->type == FRAME_HELLO) {
		return err_set(why, ERR_PROTO, "a second HELLO");
	}
	switch (f->type) {
	case FRAME_HELLO:
		return got_hello(m, body, f->len, why);
	case FRAME_OPEN:
		return got_open(m, f->id, body, f->len, why);
	case FRAME_GOAWAY:
		return got_goaway(m, body, f->len);
	case FRAME_PING:
		got_ping(m, body);
		return 0;
	case FRAME_PONG:
		got_pong(m, body);
		return 0;
	case FRAME_CONTROL:
		got_control(m, body, f->len);
		return 0;
	default:
		return stream_frame(m, f, body, why);
	}
}

/* ---- input ---- */

/* The payload of the DATA or DATAGRAM frame that is being read, as far as it is there. */
static int
fill(struct mux *m, struct bufq *in, struct errtext *why)
{
	size_t n = in->len < m->fill_left ? in->len : m->fill_left;
	int r = 0;

	m->fill_left -= (uint32_t)n;
	if (m->filling == NULL)
		bufq_drain(in, n);
	else if (m->filling->datagrams != NULL)
		r = mux_datagram_fill(m, in, n);
	else
		r = mux_stream_data(m->filling, in, n);
	if (m->fill_left == 0)
		m->filling = NULL;
	if (r != 0)
		err_set(why, r, "%s",
		    r == ERR_PROTO ? "DATA beyond the limit or after EOF" : err_str(r));
	return r;
}

/* The header of a DATA or DATAGRAM frame: whose is it? */
static int
begin_fill(struct mux *m, const struct frame *f, struct bufq *in, struct errtext *why)
{
	bool datagram = f->type == FRAME_DATAGRAM;

	if (m->state != MUX_OPEN)
		return err_set(why, ERR_PROTO, "the first frame is no HELLO");
	bufq_drain(in, FRAME_HDR_LEN);
	m->work += datagram ? MUX_WORK_DATAGRAM : 1;
	m->filling = mux_stream_find(m, f->id);
	m->fill_left = f->len;
	/* PROTOCOL.md 3.7: the fault is this stream's alone. */
	if (m->filling != NULL && datagram != (m->filling->datagrams != NULL)) {
		struct mux_stream *ms = m->filling;

		m->filling = NULL;
		mux_stream_fail(ms,
		    datagram ? "a datagram on a byte stream" : "bytes on a stream of datagrams");
	}
	return f->len == 0 ? fill(m, in, why) : 0;
}

/* Returns 1 when a frame was begun or handled, 0 when more input is needed, or a negative error. */
static int
next_frame(struct mux *m, struct bufq *in, struct errtext *why)
{
	uint8_t hdr[FRAME_HDR_LEN], body[BODY_COPY_MAX];
	struct frame f; /* frame_unpack bounds its length by its type */
	ssize_t k = frame_unpack(&f, hdr, bufq_read(in, 0, hdr, sizeof hdr));
	int r;

	if (k < 0)
		return err_set(why, ERR_PROTO, "malformed frame header (type %u)", hdr[0]);
	if (k == 0)
		return 0;
	if (f.type == FRAME_DATA || f.type == FRAME_DATAGRAM) {
		r = begin_fill(m, &f, in, why);
		return r != 0 ? r : 1;
	}
	m->work++;
	if (in->len < FRAME_HDR_LEN + (size_t)f.len)
		return 0;
	bufq_read(in, FRAME_HDR_LEN, body, f.len);
	if (f.type == FRAME_HELLO)
		bufq_wipe(in, FRAME_HDR_LEN, f.len);
	bufq_drain(in, FRAME_HDR_LEN + (size_t)f.len);
	r = control_frame(m, &f, body, why);
	if (f.type == FRAME_HELLO)
		mem_wipe(body, sizeof body); /* it holds the secret */
	return r != 0 ? r : 1;
}

/* What went wrong where no error could be returned. */
static int
failure(const struct mux *m, struct errtext *why)
{
	if (m->failed == 0)
		return 0;
	return err_set(why, m->failed, "%s",
	    m->failed == ERR_LIMIT ? "the peer does not read its control frames"
				   : err_str(m->failed));
}

/* A session may move to a thread whose turn began a moment earlier: its time never goes back. */
static void
set_now(struct mux *m, uint64_t now_us)
{
	if (now_us > m->now_us)
		m->now_us = now_us;
}

static int
mux_input(struct session *s, struct bufq *in, uint64_t now_us, struct errtext *why)
{
	struct mux *m = mux_of(s);
	int r = 1;

	set_now(m, now_us);
	if (in->len > 0)
		s->heard_us = m->now_us;
	/* The user calls again once it has decided about the peer: its HELLO stands. */
	if (m->state == MUX_HELD)
		set_state(m, MUX_OPEN);
	m->work = m->pings = 0;
	while (r > 0 && in->len > 0 && m->work < MUX_WORK_TURN && m->state != MUX_HELD &&
	       m->state != MUX_BROKEN) {
		if (m->fill_left > 0) {
			r = fill(m, in, why);
			r = r == 0 ? 1 : r;
		} else {
			r = next_frame(m, in, why);
		}
	}
	if (m->pings > MUX_PONGS_TURN)
		mux_control(m, FRAME_PONG, 0, 0, m->late_ping, sizeof m->late_ping);
	if (m->state == MUX_BROKEN)
		bufq_drain(in, in->len);
	if (r >= 0 && failure(m, why) < 0)
		r = m->failed;
	if (r < 0)
		set_state(m, MUX_BROKEN);
	if (r <= 0)
		return r;
	return in->len > 0 && m->work >= MUX_WORK_TURN ? SESSION_MORE : 0;
}

/* ---- output ---- */

static int
mux_output(struct session *s, struct bufq *out, size_t max, uint64_t now_us)
{
	struct mux *m = mux_of(s);
	int r = m->failed;

	set_now(m, now_us);
	/* After a failure half a frame may stand in a queue: nothing more is said. */
	if (r == 0)
		r = mux_out_fill(m, out, max);
	/* What failed meanwhile, in something that a user said when it was told, stays failed. */
	if (r != 0)
		m->failed = r;
	return r;
}

static bool
mux_has_output(const struct session *s)
{
	const struct mux *m = mux_of(s);

	return m->failed != 0 || m->control.len > 0 || !TAILQ_EMPTY(&m->windows) ||
	       !turns_is_empty(&m->turns);
}

/* ---- the user's side ---- */

static struct stream *
mux_open(struct session *s, const struct ctl_open *o, struct budget *charge,
    const struct stream_user *user, void *arg, struct errtext *why)
{
	struct mux *m = mux_of(s);
	struct mux_stream *ms = NULL;
	int r = 0;

	if (s->going || m->state == MUX_BROKEN || m->failed != 0)
		r = err_set(why, ERR_CLOSED, "the session is going away");
	/* Streams whose OPEN has not left have no id yet: there must be one for each. */
	else if (s->n_streams >= m->cfg.streams_max ||
		 m->next_id > UINT32_MAX - 2 - 2 * s->n_streams)
		r = err_set(why, ERR_LIMIT, "too many streams in this session (%u)", s->n_streams);
	else if ((r = mux_stream_new(m, 0, o, charge, &ms)) != 0)
		err_set(why, r, r == ERR_LIMIT ? "the OPEN is too long" : "out of memory");
	s->open_error = r;
	if (r != 0)
		return NULL;
	stream_set_user(&ms->s, user, arg);
	mux_out_schedule(ms);
	return &ms->s;
}

static int
mux_greet(struct session *s, const struct ctl_hello *h)
{
	struct mux *m = mux_of(s);
	size_t n;
	char *json = ctl_hello_dump(h, &n);

	if (json == NULL)
		return ERR_NOMEM;
	assert(!m->greeted);
	m->greeted = true;
	mux_control(m, FRAME_HELLO, 0, 0, json, n);
	bufq_secret(&m->control);
	mem_wipe(json, n);
	mem_free(json);
	if (!m->cfg.dialer && !m->cfg.inner)
		send_ping(m);
	return 0;
}

static void
mux_goaway(struct session *s, uint32_t code, const char *text)
{
	struct mux *m = mux_of(s);

	if (m->goaway_sent)
		return;
	m->goaway_sent = s->going = true;
	control_text(m, FRAME_GOAWAY, 0, code, text);
}

static void
mux_ping(struct session *s)
{
	struct mux *m = mux_of(s);

	if (m->state != MUX_BROKEN && m->failed == 0)
		send_ping(m);
}

static int
mux_send_control(struct session *s, const void *body, size_t n)
{
	struct mux *m = mux_of(s);

	if (m->state == MUX_BROKEN || m->failed != 0)
		return ERR_CLOSED;
	mux_control(m, FRAME_CONTROL, 0, 0, body, n);
	return 0;
}

/* ---- time ---- */

static uint64_t
interval_us(const struct mux *m)
{
	return (uint64_t)m->cfg.keepalive_ms * 1000;
}

/* A live peer answers our pings at our own pace, whatever its own is. */
static uint64_t
dead_us(const struct mux *m)
{
	if (m->s.unread || m->cfg.inner)
		return UINT64_MAX;
	return m->s.heard_us + interval_us(m) * MUX_KEEPALIVE_MISSES;
}

/*
 * A peer that was heard of within the interval is alive: of two idle ends only the one whose turn
 * comes first asks.  A busy one is asked now and then all the same, since windows want the round
 * trip of today's route.
 */
static void
keep_alive(struct mux *m)
{
	uint64_t interval = interval_us(m), quiet_us = m->s.heard_us + interval;

	/*
	 * The last thing heard is mostly the answer to our last ping: to wait for the rest of its
	 * interval would be one more turn.
	 */
	if (m->now_us + interval / MUX_QUIET_SLACK < quiet_us &&
	    m->now_us < m->pinged_us + MUX_RTT_INTERVALS * interval) {
		m->ping_us = quiet_us;
		return;
	}
	if (m->greeted)
		send_ping(m);
	m->pinged_us = m->now_us;
	m->ping_us = m->now_us + interval;
}

static void
say_acks(struct mux *m)
{
	struct mux_stream *ms;

	m->ack_us = UINT64_MAX;
	while ((ms = TAILQ_FIRST(&m->acks)) != NULL) {
		TAILQ_REMOVE(&m->acks, ms, ack_turn);
		ms->ack_due = false;
		ms->window_due = true;
		TAILQ_INSERT_TAIL(&m->windows, ms, window_turn);
	}
	mux_want_output(m);
}

static int
mux_tick(struct session *s, uint64_t now_us, struct errtext *why)
{
	struct mux *m = mux_of(s);

	if (m->failed != 0)
		return failure(m, why);
	set_now(m, now_us);
	if (m->now_us >= dead_us(m))
		return err_set(why, ERR_TIMEOUT, "nothing heard for %llu s",
		    (unsigned long long)(m->now_us - s->heard_us) / 1000000);
	if (m->now_us >= m->ping_us)
		keep_alive(m);
	mux_stream_linger(m);
	mux_stream_idle(m);
	if (m->now_us >= m->ack_us)
		say_acks(m);
	return 0;
}

static uint64_t
mux_deadline_us(const struct session *s)
{
	const struct mux *m = mux_of(s);
	const struct mux_stream *waits = TAILQ_FIRST(&m->resetting);
	const struct mux_stream *idle = TAILQ_FIRST(&m->idle);
	uint64_t due = m->ping_us < dead_us(m) ? m->ping_us : dead_us(m);

	if (m->failed != 0)
		return m->now_us;
	if (waits != NULL && waits->linger_us < due)
		due = waits->linger_us;
	if (idle != NULL && idle->idle_us < due)
		due = idle->idle_us;
	return m->ack_us < due ? m->ack_us : due;
}

static void
mux_abandon(struct session *s, uint32_t code, const char *text)
{
	struct mux *m = mux_of(s);

	s->user = NULL;
	set_state(m, MUX_BROKEN);
	m->goaway_sent = s->going = true; /* users that are told may not open new streams here */
	while (!TAILQ_EMPTY(&m->all))
		mux_stream_close(TAILQ_FIRST(&m->all), code, text);
}

static void
mux_free(struct session *s)
{
	struct mux *m = mux_of(s);

	mux_abandon(s, CODE_LOST, "");
	bufq_fini(&m->control);
	bufq_fini(&m->datagram);
	mem_free(m);
}

static const struct session_ops mux_ops = {
	.name = "mux",
	.input = mux_input,
	.output = mux_output,
	.has_output = mux_has_output,
	.open = mux_open,
	.greet = mux_greet,
	.goaway = mux_goaway,
	.ping = mux_ping,
	.control = mux_send_control,
	.tick = mux_tick,
	.deadline_us = mux_deadline_us,
	.abandon = mux_abandon,
	.free = mux_free,
};

struct session *
mux_new(const struct mux_config *cfg, uint64_t now_us)
{
	uint64_t mul, add;
	struct mux *m;

	assert(cfg->budget != NULL);
	if (rand_u64(&mul) != 0 || rand_u64(&add) != 0 || (m = mem_zalloc(sizeof *m)) == NULL)
		return NULL;
	m->id_mul = mul;
	m->id_add = add;
	m->s.ops = &mux_ops;
	m->s.budget = cfg->budget;
	m->cfg = *cfg;
	if (m->cfg.streams_max == 0)
		m->cfg.streams_max = MUX_STREAMS_MAX;
	if (m->cfg.keep == NULL)
		m->cfg.keep = cfg->budget;
	if (m->cfg.window_max == 0)
		m->cfg.window_max = FLOW_WINDOW_MAX;
	m->next_id = cfg->dialer ? 1 : 2;
	TAILQ_INIT(&m->all);
	turns_init(&m->turns);
	mux_client_init(m, &m->client0);
	TAILQ_INIT(&m->windows);
	TAILQ_INIT(&m->acks);
	TAILQ_INIT(&m->idle);
	TAILQ_INIT(&m->resetting);
	m->now_us = m->s.heard_us = m->pinged_us = now_us;
	m->ping_us = m->cfg.inner ? UINT64_MAX : now_us + interval_us(m);
	m->ack_us = UINT64_MAX;
	return &m->s;
}
