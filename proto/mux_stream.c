/* SPDX-License-Identifier: ISC */
/*
 * mux_stream - one stream of a mux: its two halves, its ends, what is kept until it is
 * acknowledged.
 *
 * Copies of payload: 0.  Received blocks are moved to the user; sent ones are shared with what is
 * kept.
 *
 *      out  OPEN ── eof ──> ENDING ── all sent ──> EOF_SENT ── WINDOW+eof ──> EOF_ACKED
 *           any of these ── reset ──> RESETTING ── all sent ──> gone
 *      in   OPEN ── EOF frame ──> EOF_SEEN ── user acks the end ──> EOF_ACKED
 *
 * A stream whose halves have both reached the right edge has ended in good order.
 */
#include <assert.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "proto/mux_int.h"

const char *const mux_out_name[OUT_HALVES] = { "OPEN", "ENDING", "EOF_SENT", "EOF_ACKED",
	"RESETTING" };
const bool mux_out_can[OUT_HALVES][OUT_HALVES] = {
	[OUT_OPEN] = { [OUT_ENDING] = true, [OUT_RESETTING] = true },
	[OUT_ENDING] = { [OUT_EOF_SENT] = true, [OUT_RESETTING] = true },
	[OUT_EOF_SENT] = { [OUT_EOF_ACKED] = true, [OUT_RESETTING] = true },
	[OUT_EOF_ACKED] = { [OUT_RESETTING] = true },
};

const char *const mux_in_name[IN_HALVES] = { "OPEN", "EOF_SEEN", "EOF_ACKED" };
const bool mux_in_can[IN_HALVES][IN_HALVES] = {
	[IN_OPEN] = { [IN_EOF_SEEN] = true },
	[IN_EOF_SEEN] = { [IN_EOF_ACKED] = true },
};

static struct mux_stream *
ms_of(struct stream *s)
{
	return (struct mux_stream *)s;
}

void
mux_stream_set_out(struct mux_stream *ms, enum mux_out_half next)
{
	assert(mux_out_can[ms->out_half][next]);
	log_debug(
	    "stream %u: out %s -> %s", ms->id, mux_out_name[ms->out_half], mux_out_name[next]);
	ms->out_half = next;
}

static void
set_in(struct mux_stream *ms, enum mux_in_half next)
{
	assert(mux_in_can[ms->in_half][next]);
	log_debug("stream %u: in %s -> %s", ms->id, mux_in_name[ms->in_half], mux_in_name[next]);
	ms->in_half = next;
}

static void window_check(struct mux_stream *ms);
static void watch(struct mux_stream *ms);

/* ---- life ---- */

/*
 * Multiply, add, shift (Dietzfelbinger 1996): any two ids collide as seldom as chance has it,
 * whoever chose them.
 */
static unsigned
id_hash(const struct mux *m, uint32_t id)
{
	return (unsigned)((m->id_mul * id + m->id_add) >> 32);
}

struct mux_stream *
mux_stream_find(const struct mux *m, uint32_t id)
{
	struct mux_stream *ms;

	HASH_FIND_BYHASHVALUE(hh, m->streams, &id, sizeof id, id_hash(m, id), ms);
	return ms;
}

int
mux_stream_name(struct mux_stream *ms, uint32_t id)
{
	struct mux *m = ms->m;

	ms->id = id;
	HASH_ADD_BYHASHVALUE(hh, m->streams, id, sizeof id, id_hash(m, id), ms);
	if (hashtab_has(ms))
		return 0;
	ms->id = 0;
	return ERR_NOMEM;
}

/* The OPEN of a local stream, which waits for its turn. */
static int
make_open(struct mux_stream *ms, const struct ctl_open *o)
{
	struct ctl_open ours = *o;

	ours.window = ms->datagrams == NULL ? (uint32_t)ms->from.limit : 0;
	ms->head = ctl_open_dump(&ours, &ms->head_len);
	if (ms->head == NULL)
		return ERR_NOMEM;
	return ms->head_len <= FRAME_OPEN_MAX ? 0 : ERR_LIMIT;
}

int
mux_stream_new(struct mux *m, uint32_t id, const struct ctl_open *o, struct budget *charge,
    struct mux_stream **out)
{
	bool told_apart = id == 0 || m->cfg.client_max > 0;
	struct mux_client *c = mux_client_get(m, told_apart ? o->client : 0);
	struct mux_stream *ms = mem_zalloc(sizeof *ms);
	uint64_t limit = id != 0 && o->window > FLOW_FLOOR ? o->window : FLOW_FLOOR;
	int r;

	if (c == NULL || ms == NULL) {
		if (c != NULL)
			mux_client_put(m, c);
		mem_free(ms);
		return ERR_NOMEM;
	}
	if (charge == NULL)
		charge = mux_client_budget(m, c);
	ms->s.ops = &mux_stream_ops;
	ms->s.session = &m->s;
	ms->m = m;
	ms->client = c;
	ms->local = id == 0;
	flow_in_init(&ms->from, charge, m->cfg.window_max, m->cfg.endpoint, ms->local, m->now_us);
	flow_out_init(&ms->to, mux_client_keep(m, c), m->cfg.endpoint, limit, m->now_us);
	TAILQ_INSERT_TAIL(&m->all, ms, all);
	m->s.n_streams++;
	r = strcmp(o->protocol, CTL_UDP) == 0 ? mux_datagram_init(ms, charge) : 0;
	if (r == 0)
		r = ms->local ? make_open(ms, o) : mux_stream_name(ms, id);
	if (r != 0) {
		mux_stream_drop(ms);
		return r;
	}
	if (!ms->local && ms->datagrams == NULL) {
		window_check(ms); /* the peer knows the floor only */
		watch(ms);
	}
	*out = ms;
	return 0;
}

/* The RESET no longer waits for bytes. */
static void
linger_end(struct mux_stream *ms)
{
	if (!ms->lingers)
		return;
	ms->lingers = false;
	TAILQ_REMOVE(&ms->m->resetting, ms, linger_turn);
	ms->m->lingering -= mux_stream_unsent(ms);
}

/* No WINDOW and no RETURN of this stream is to be sent. */
static void
be_silent(struct mux_stream *ms)
{
	struct mux *m = ms->m;

	if (ms->window_due)
		TAILQ_REMOVE(&m->windows, ms, window_turn);
	if (ms->ack_due)
		TAILQ_REMOVE(&m->acks, ms, ack_turn);
	if (ms->watched)
		TAILQ_REMOVE(&m->idle, ms, idle_turn);
	ms->window_due = ms->ack_due = ms->watched = false;
}

void
mux_stream_drop(struct mux_stream *ms)
{
	struct mux *m = ms->m;

	mux_out_leave(ms);
	linger_end(ms);
	be_silent(ms);
	if (m->filling == ms) {
		m->filling = NULL; /* the rest of its frame is skipped */
		bufq_fini(&m->datagram);
	}
	if (ms->id != 0)
		HASH_DEL(m->streams, ms);
	TAILQ_REMOVE(&m->all, ms, all);
	m->s.n_streams--;
	mux_datagram_fini(ms);
	/* The half that counts as the stream last: the budget may be gone then. */
	flow_out_fini(&ms->to);
	flow_in_fini(&ms->from);
	mux_client_put(m, ms->client);
	bufq_fini(&ms->out);
	mem_free(ms->head);
	mem_free(ms->reset_text);
	mem_free(ms->datagrams);
	mem_free(ms);
	if (m->s.n_streams == 0 && m->s.user != NULL)
		m->s.user->idle(m->s.arg);
}

void
mux_stream_close(struct mux_stream *ms, uint32_t code, const char *text)
{
	const struct stream_user *user = ms->s.user;
	void *arg = ms->s.arg;

	/* Dropped first: what the user does when it is told may end the whole session. */
	mux_stream_drop(ms);
	if (user != NULL)
		user->closed(arg, code, text);
}

void
mux_stream_fail(struct mux_stream *ms, const char *text)
{
	const struct stream_user *user = ms->s.user;
	void *arg = ms->s.arg;

	if (ms->out_half == OUT_RESETTING)
		return; /* its end is on its way already */
	stream_abort(&ms->s, CODE_PROTOCOL, text);
	if (user != NULL)
		user->closed(arg, CODE_PROTOCOL, text);
}

bool
mux_stream_finish(struct mux_stream *ms)
{
	if (ms->out_half != OUT_EOF_ACKED || ms->in_half != IN_EOF_ACKED)
		return false;
	mux_stream_close(ms, CODE_OK, "");
	return true;
}

uint64_t
mux_stream_unsent(const struct mux_stream *ms)
{
	return ms->out_base + ms->out.len - ms->to.sent;
}

uint64_t
mux_stream_sendable(const struct mux_stream *ms)
{
	uint64_t unsent = mux_stream_unsent(ms), credit = flow_out_credit(&ms->to);

	return unsent < credit ? unsent : credit;
}

/* ---- windows ---- */

static void
window_due(struct mux_stream *ms)
{
	if (ms->window_due)
		return;
	if (ms->ack_due)
		TAILQ_REMOVE(&ms->m->acks, ms, ack_turn);
	ms->ack_due = false;
	ms->window_due = true;
	TAILQ_INSERT_TAIL(&ms->m->windows, ms, window_turn);
	mux_want_output(ms->m);
}

static void
ack_due(struct mux_stream *ms)
{
	struct mux *m = ms->m;

	if (ms->ack_due || ms->window_due)
		return;
	ms->ack_due = true;
	TAILQ_INSERT_TAIL(&m->acks, ms, ack_turn);
	if (m->ack_us == UINT64_MAX) {
		m->ack_us = m->now_us + MUX_ACK_DELAY_US;
		mux_want_output(m); /* not yet, but the deadline is a nearer one now */
	}
}

static bool
end_due(const struct mux_stream *ms)
{
	return ms->in_eof_ack && ms->in_half == IN_EOF_SEEN;
}

static bool
has_news(const struct mux_stream *ms)
{
	return flow_in_due(&ms->from) || flow_in_has_news(&ms->from) || end_due(ms);
}

static void
window_check(struct mux_stream *ms)
{
	if (ms->out_half == OUT_RESETTING || ms->datagrams != NULL)
		return;
	if (flow_in_due(&ms->from) || end_due(ms))
		window_due(ms);
	else if (flow_in_has_news(&ms->from))
		ack_due(ms);
}

int
mux_stream_window_frame(struct mux_stream *ms, struct bufq *out)
{
	struct mux *m = ms->m;
	uint64_t acked, limit;
	uint8_t flags = 0, p[16];
	bool answer;
	int r;

	TAILQ_REMOVE(&m->windows, ms, window_turn);
	ms->window_due = false;
	if (!has_news(ms))
		return 0; /* its end came meanwhile: a limit is of no use */
	/* Acknowledged bytes are told behind the answer: it does not wait for its turn then. */
	if (ms->head != NULL && !ms->local && flow_in_has_news(&ms->from)) {
		if ((r = mux_out_head(ms, out)) != 0)
			return r;
		mux_out_schedule(ms);
	}
	flow_in_say(&ms->from, &acked, &limit, &answer);
	if (end_due(ms)) {
		flags |= FRAME_F_EOF_ACKED;
		set_in(ms, IN_EOF_ACKED);
	}
	if (answer)
		flags |= FRAME_F_RETURNED;
	put_u64be(p, acked);
	put_u64be(p + 8, limit);
	r = mux_frame(out, FRAME_WINDOW, flags, ms->id, p, sizeof p);
	if (r == 0)
		mux_stream_finish(ms);
	return r;
}

/* Credit that is not used for a while is given back; it is looked at once in that while. */
static void
watch(struct mux_stream *ms)
{
	if (ms->watched || ms->out_half != OUT_OPEN || flow_out_credit(&ms->to) <= FLOW_FLOOR)
		return;
	ms->watched = true;
	ms->idle_us = ms->m->now_us + FLOW_IDLE_US;
	TAILQ_INSERT_TAIL(&ms->m->idle, ms, idle_turn);
	if (TAILQ_FIRST(&ms->m->idle) == ms)
		mux_want_output(ms->m); /* a deadline is new */
}

void
mux_stream_idle(struct mux *m)
{
	struct mux_stream *ms;

	while ((ms = TAILQ_FIRST(&m->idle)) != NULL && ms->idle_us <= m->now_us) {
		uint8_t p[8];

		TAILQ_REMOVE(&m->idle, ms, idle_turn);
		ms->watched = false;
		if (ms->out_half == OUT_OPEN && mux_stream_unsent(ms) == 0 &&
		    flow_out_is_idle(&ms->to, m->now_us)) {
			put_u64be(p, flow_out_return(&ms->to));
			mux_control(m, FRAME_RETURN, 0, ms->id, p, sizeof p);
		} else {
			watch(ms);
		}
	}
}

/* ---- what the user does ---- */

static int
ms_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	struct mux_stream *ms = ms_of(s);

	ms->head = ctl_open_ok_dump(ok, &ms->head_len);
	if (ms->head == NULL || ms->head_len > FRAME_OPEN_MAX) {
		mem_free(ms->head);
		ms->head = NULL;
		return ERR_NOMEM;
	}
	ms->answered = true;
	mux_out_schedule(ms);
	return 0;
}

static size_t
ms_room(struct stream *s)
{
	struct mux_stream *ms = ms_of(s);
	struct mux *m = ms->m;
	uint64_t unsent = mux_stream_unsent(ms);
	uint64_t most = m->unsent < MUX_UNSENT_SUM ? MUX_UNSENT_MAX : MUX_UNSENT_SHARE;
	uint64_t credit = flow_out_credit(&ms->to) + MUX_UNSENT_SHARE, room, keep;

	if (ms->out_half != OUT_OPEN)
		return 0;
	if (ms->datagrams != NULL)
		return mux_datagram_room(ms);
	/* Beyond what the peer lets us send it would only stand here. */
	most = credit < most ? credit : most;
	room = unsent < most ? most - unsent : 0;
	if (m->cfg.endpoint) {
		/*
		 * Whoever is refused here has at least FLOW_KEEP bytes under way, and looks again
		 * when they are acknowledged, or sent where nothing is retained.
		 */
		keep = flow_out_may_keep(&ms->to, m->now_us, m->s.rtt_us);
		keep = ms->out.len < keep ? keep - ms->out.len : 0;
		room = room < keep ? room : keep;
	}
	return (size_t)room;
}

static size_t
weight_max(const struct mux_stream *ms)
{
	size_t share = MUX_WEIGHT_SUM_MAX / budget_streams(ms->from.budget),
	       most = mux_stream_sendable(ms) == 0 ? MUX_WEIGHT_BLOCKED : MUX_WEIGHT_MAX;

	return share < most ? share : most;
}

static int
ms_send(struct stream *s, struct bufq *src, size_t n)
{
	struct mux_stream *ms = ms_of(s);
	uint64_t unsent = mux_stream_unsent(ms);
	int r;

	if (ms->out_half != OUT_OPEN || ms->datagrams != NULL)
		return ERR_CLOSED;
	/*
	 * What the peer's limit or the carrier stops stands here for long, and must not pin much
	 * more than it holds.
	 */
	if (unsent + n > flow_out_credit(&ms->to) || unsent > MUX_UNSENT_SHARE)
		r = bufq_keep(&ms->out, src, n);
	else
		r = bufq_move(&ms->out, src, n);
	if (r != 0)
		return r;
	if (ms->turn.list != TURN_NONE)
		ms->m->unsent += n;
	flow_out_kept(&ms->to, ms->out.len);
	mux_out_schedule(ms);
	/*
	 * It may stand here for long, blocked by the peer's limit or by the carrier: then it must
	 * not pin much more than it holds.
	 */
	if (bufq_weight(&ms->out) > weight_max(ms))
		bufq_compact(&ms->out);
	return 0;
}

static void
ms_eof(struct stream *s)
{
	struct mux_stream *ms = ms_of(s);

	assert(ms->datagrams == NULL);
	if (ms->out_half != OUT_OPEN)
		return;
	mux_stream_set_out(ms, OUT_ENDING);
	mux_out_schedule(ms);
}

/* ---- resets ---- */

/*
 * The peer may never make room, or be as stuck as we are: it is waited for while it takes
 * something.
 */
static void
linger(struct mux_stream *ms)
{
	ms->linger_us = ms->m->now_us + MUX_RESET_LINGER_US;
	ms->linger_sent = ms->to.sent;
	TAILQ_INSERT_TAIL(&ms->m->resetting, ms, linger_turn);
}

/* Bytes that wait are dropped; the RESET takes the stream's next turn. */
static void
drop_unsent(struct mux_stream *ms)
{
	mux_out_leave(ms);
	linger_end(ms);
	bufq_fini(&ms->out);
	ms->out_base = ms->to.sent;
	flow_out_kept(&ms->to, 0);
	mux_datagram_fini(ms);
	mux_out_schedule(ms);
}

void
mux_stream_linger(struct mux *m)
{
	struct mux_stream *ms;

	while ((ms = TAILQ_FIRST(&m->resetting)) != NULL && ms->linger_us <= m->now_us) {
		if (ms->to.sent == ms->linger_sent) {
			drop_unsent(ms);
			continue;
		}
		TAILQ_REMOVE(&m->resetting, ms, linger_turn);
		linger(ms);
	}
}

/* False: the stream is gone, since its OPEN has not left and nobody knows of it. */
static bool
begin_reset(struct mux_stream *ms, uint32_t code, const char *text)
{
	bool news;

	ms->s.user = NULL;
	if (ms->id == 0) {
		mux_stream_drop(ms);
		return false;
	}
	/* PROTOCOL.md 5.6: what was handed on is told before the reset, for there is no after. */
	news = flow_in_has_news(&ms->from);
	be_silent(ms);
	if (news)
		window_due(ms);
	mux_stream_set_out(ms, OUT_RESETTING);
	ms->reset_code = code;
	ms->reset_text = mem_strdup(text); /* without memory the code alone must do */
	return true;
}

static void
ms_reset(struct stream *s, uint32_t code, const char *text)
{
	struct mux_stream *ms = ms_of(s);
	struct mux *m = ms->m;

	if (!begin_reset(ms, code, text))
		return;
	/*
	 * Bytes that were taken are delivered: a server's last answer before its connection broke
	 * must not be lost.
	 */
	if (mux_stream_unsent(ms) > 0) {
		ms->lingers = true;
		m->lingering += mux_stream_unsent(ms);
		linger(ms);
		mux_want_output(m); /* a deadline is new */
	}
	mux_out_schedule(ms);
	/*
	 * Whoever resets one stream after another must not make us keep what each of them had
	 * queued.
	 */
	while (m->lingering > MUX_LINGER_SUM_MAX)
		drop_unsent(TAILQ_FIRST(&m->resetting));
}

static void
ms_abort(struct stream *s, uint32_t code, const char *text)
{
	struct mux_stream *ms = ms_of(s);

	if (begin_reset(ms, code, text))
		drop_unsent(ms);
}

/* ---- what was passed on ---- */

static void
ms_consumed(struct stream *s, size_t n)
{
	struct mux_stream *ms = ms_of(s);

	flow_in_consumed(&ms->from, n, ms->m->now_us, ms->m->s.rtt_us);
	window_check(ms);
}

static void
ms_ack(struct stream *s, uint64_t off, bool eof)
{
	struct mux_stream *ms = ms_of(s);

	flow_in_ack(&ms->from, off);
	if (eof && ms->in_half == IN_EOF_SEEN)
		ms->in_eof_ack = true;
	window_check(ms);
}

const struct stream_ops mux_stream_ops = {
	.accept = ms_accept,
	.room = ms_room,
	.send = ms_send,
	.datagram = mux_datagram_send,
	.eof = ms_eof,
	.reset = ms_reset,
	.abort = ms_abort,
	.consumed = ms_consumed,
	.ack = ms_ack,
};

/* ---- what the peer does ---- */

int
mux_stream_data(struct mux_stream *ms, struct bufq *in, size_t n)
{
	struct bufq part = { 0 };
	int r;

	/* PROTOCOL.md 5.2: beyond the limit, or after its own EOF, the peer must not send. */
	if (!flow_in_take(&ms->from, n))
		return ERR_PROTO;
	/* PROTOCOL.md 4.3: nothing of the answering side precedes its answer. */
	if (ms->local && !ms->answered && ms->out_half != OUT_RESETTING) {
		bufq_drain(in, n);
		mux_stream_fail(ms, "the answering side sent bytes before it accepted");
		return 0;
	}
	r = bufq_move(&part, in, n);
	if (r != 0)
		return r;
	ms->s.rx += n;
	if (ms->s.user != NULL)
		ms->s.user->data(ms->s.arg, &part);
	bufq_fini(&part);
	return 0;
}

/* What an endpoint has kept and the far one has. */
static void
forget(struct mux_stream *ms)
{
	if (!mux_retains(ms->m) || ms->to.acked <= ms->out_base)
		return;
	bufq_drain(&ms->out, (size_t)(ms->to.acked - ms->out_base));
	ms->out_base = ms->to.acked;
	flow_out_kept(&ms->to, ms->out.len);
}

int
mux_stream_window(struct mux_stream *ms, uint64_t acked, uint64_t limit, uint8_t flags)
{
	struct mux *m = ms->m;
	uint64_t before = ms->to.acked;
	bool eof = flags & FRAME_F_EOF_ACKED;
	uint32_t id = ms->id;

	/* PROTOCOL.md 5.3: offsets never go back, and nothing is acknowledged that was not sent. */
	if (!flow_out_window(
		&ms->to, acked, limit, flags & FRAME_F_RETURNED, m->now_us, m->s.rtt_us))
		return ERR_PROTO;
	/* A RESET of ours is on its way, and a peer that does not know it yet may go on. */
	if (ms->out_half == OUT_RESETTING)
		eof = false;
	if (eof && (ms->out_half != OUT_EOF_SENT || acked != ms->to.sent))
		return ERR_PROTO;
	forget(ms);
	watch(ms);
	if (eof)
		mux_stream_set_out(ms, OUT_EOF_ACKED);
	mux_out_schedule(ms);
	/*
	 * The user may reset the stream meanwhile; then finish must not look at it: a reset clears
	 * the user, and the acked callback is the last thing done here that may do so.
	 */
	if ((ms->to.acked > before || eof) && ms->s.user != NULL) {
		ms->s.user->acked(ms->s.arg, ms->to.acked, eof);
		ms = mux_stream_find(m, id);
	}
	if (ms != NULL)
		mux_stream_finish(ms);
	return 0;
}

int
mux_stream_ended(struct mux_stream *ms, uint64_t final)
{
	if (ms->in_half != IN_OPEN || final != ms->from.received)
		return ERR_PROTO;
	if (ms->local && !ms->answered && ms->out_half != OUT_RESETTING) {
		mux_stream_fail(ms, "the answering side ended before it accepted");
		return 0;
	}
	set_in(ms, IN_EOF_SEEN);
	flow_in_end(&ms->from);
	if (ms->s.user != NULL)
		ms->s.user->eof(ms->s.arg);
	return 0;
}

int
mux_stream_returned(struct mux_stream *ms, uint64_t to)
{
	if (!flow_in_returned(&ms->from, to))
		return ERR_PROTO;
	window_check(ms);
	return 0;
}
