/* SPDX-License-Identifier: ISC */
/*
 * mux_stream - one stream of a mux: its two halves, its windows, what is kept until it is acknowledged.
 *
 * Copies of payload: 0.  Received blocks are moved to the user; sent ones are shared with what is retained.
 *
 *      out  OPEN ── eof ──> ENDING ── all sent ──> EOF_SENT ── WINDOW+eof ──> EOF_ACKED
 *           OPEN, ENDING, EOF_SENT ── reset ──> RESETTING ── all sent ──> gone
 *      in   OPEN ── EOF frame ──> EOF_SEEN ── user acks the end ──> EOF_ACKED
 *
 * A stream whose halves have both reached the right edge has ended in good order.
 */
#include <string.h>

#include "lib/base/mem.h"
#include "proto/mux_int.h"

static struct mux_stream *
ms_of(struct stream *s)
{
	return (struct mux_stream *)s;
}

/* Multiply, add, shift (Dietzfelbinger 1996): any two ids collide as seldom as chance has it, whoever chose them. */
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

struct mux_stream *
mux_stream_new(struct mux *m, uint32_t id, bool local)
{
	struct mux_stream *ms = mem_zalloc(sizeof *ms);

	if (ms == NULL)
		return NULL;
	ms->s.ops = &mux_stream_ops;
	ms->s.session = &m->s;
	ms->m = m;
	ms->id = id;
	ms->local = local;
	ms->out_limit = MUX_WINDOW_FIRST;
	ms->in_limit = ms->in_window = MUX_WINDOW_FIRST;
	ms->grow_ms = m->now_ms;
	HASH_ADD_BYHASHVALUE(hh, m->streams, id, sizeof id, id_hash(m, id), ms);
	if (!hashtab_has(ms)) {
		mem_free(ms);
		return NULL;
	}
	m->window_sum += ms->in_window;
	m->s.n_streams++;
	return ms;
}

void
mux_stream_drop(struct mux_stream *ms)
{
	struct mux *m = ms->m;

	mux_out_leave(ms);
	if (ms->window_due)
		TAILQ_REMOVE(&m->windows, ms, window_turn);
	if (ms->ack_due)
		TAILQ_REMOVE(&m->acks, ms, ack_turn);
	if (ms->out_half == OUT_RESETTING) {
		TAILQ_REMOVE(&m->resetting, ms, linger_turn);
		m->lingering -= mux_stream_unsent(ms);
	}
	if (m->filling == ms)
		m->filling = NULL; /* the rest of its DATA frame is skipped */
	m->window_sum -= ms->in_window;
	if (m->cfg.retain)
		m->retained -= ms->out.len;
	HASH_DEL(m->streams, ms);
	m->s.n_streams--;
	bufq_fini(&ms->out);
	mem_free(ms->reset_text);
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
	return ms->out_base + ms->out.len - ms->out_sent;
}

uint64_t
mux_stream_sendable(const struct mux_stream *ms)
{
	uint64_t unsent = mux_stream_unsent(ms), credit = ms->out_limit - ms->out_sent;

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
	if (m->ack_ms == UINT64_MAX) {
		m->ack_ms = m->now_ms + MUX_ACK_DELAY_MS;
		mux_want_output(m); /* not yet, but the deadline is a nearer one now */
	}
}

/*
 * The window follows the product of bandwidth and delay: a peer that used up half of it within two round trips (at least two
 * milliseconds, the scale of a busy scheduler) would be waiting for us with the next half, so it is doubled.
 */
static void
window_grow(struct mux_stream *ms)
{
	struct mux *m = ms->m;
	uint64_t span = m->s.rtt_us / 500 > 2 ? m->s.rtt_us / 500 : 2;
	uint64_t bytes = ms->in_consumed - ms->grow_from,
		 backlog = ms->in_received - ms->in_consumed;

	if (bytes < ms->in_window / 2 && m->now_ms - ms->grow_ms < span)
		return;
	/* What stands here waits for the next hop: a larger window would only make the queue longer. */
	if (backlog < ms->in_window / 4 && bytes >= ms->in_window / 2 &&
	    m->now_ms - ms->grow_ms <= span && ms->in_window * 2 <= m->cfg.window_max &&
	    m->window_sum + ms->in_window <= MUX_WINDOW_SUM_MAX) {
		m->window_sum += ms->in_window;
		ms->in_window *= 2;
	}
	ms->grow_from = ms->in_consumed;
	ms->grow_ms = m->now_ms;
}

/* Tell the peer when a quarter of the window, or everything that was there to acknowledge, would be news. */
static void
window_check(struct mux_stream *ms)
{
	uint64_t limit = ms->in_consumed + ms->in_window;

	if (ms->in_half != IN_OPEN) {
		if (ms->in_eof_ack && ms->in_half == IN_EOF_SEEN)
			window_due(ms);
		else if (ms->in_acked > ms->in_acked_said)
			ack_due(ms);
		return;
	}
	if (limit - ms->in_limit >= ms->in_window / 4 ||
	    ms->in_acked - ms->in_acked_said >= ms->in_window / 4)
		window_due(ms);
	else if (ms->in_acked > ms->in_acked_said)
		ack_due(ms);
}

int
mux_stream_window_frame(struct mux_stream *ms, struct bufq *out)
{
	struct mux *m = ms->m;
	struct frame f = { FRAME_WINDOW, 0, 16, ms->id };
	uint8_t p[FRAME_HDR_LEN + 16];
	int r;

	if (ms->window_due)
		TAILQ_REMOVE(&m->windows, ms, window_turn);
	if (ms->ack_due)
		TAILQ_REMOVE(&m->acks, ms, ack_turn);
	ms->window_due = ms->ack_due = false;
	if (ms->in_eof_ack && ms->in_half == IN_EOF_SEEN) {
		f.flags = FRAME_F_EOF_ACKED;
		ms->in_half = IN_EOF_ACKED;
	}
	if (ms->in_half == IN_OPEN && ms->in_consumed + ms->in_window > ms->in_limit)
		ms->in_limit = ms->in_consumed + ms->in_window;
	ms->in_acked_said = ms->in_acked;
	frame_pack(p, &f);
	put_u64be(p + FRAME_HDR_LEN, ms->in_acked);
	put_u64be(p + FRAME_HDR_LEN + 8, ms->in_limit);
	r = bufq_copy(out, p, sizeof p);
	if (r == 0)
		mux_stream_finish(ms);
	return r;
}

/* ---- what the user does ---- */

static int
ms_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	struct mux_stream *ms = ms_of(s);
	size_t n;
	char *json = ctl_open_ok_dump(ok, &n);

	if (json == NULL)
		return ERR_NOMEM;
	ms->answered = true;
	mux_control(ms->m, FRAME_OPEN_OK, 0, ms->id, json, n);
	mem_free(json);
	return 0;
}

static size_t
ms_room(struct stream *s)
{
	struct mux_stream *ms = ms_of(s);
	uint64_t unsent = mux_stream_unsent(ms);
	uint64_t most = ms->m->unsent < MUX_UNSENT_SUM ? MUX_UNSENT_MAX : MUX_UNSENT_SHARE;
	/* Whoever is refused here has bytes of its own to be acknowledged, and looks again when they are: nobody need be woken. */
	uint64_t keep = ms->m->retained < MUX_RETAIN_SUM_MAX ? MUX_RETAIN_MAX : MUX_RETAIN_SHARE;

	if (unsent >= most || ms->out.len >= keep || ms->out_half != OUT_OPEN)
		return 0;
	return (size_t)(most - unsent);
}

static size_t
weight_max(const struct mux_stream *ms)
{
	size_t share = MUX_WEIGHT_SUM_MAX / ms->m->s.n_streams,
	       most = mux_stream_sendable(ms) == 0 ? MUX_WEIGHT_BLOCKED : MUX_WEIGHT_MAX;

	return share < most ? share : most;
}

static int
ms_send(struct stream *s, struct bufq *src, size_t n)
{
	struct mux_stream *ms = ms_of(s);
	int r;

	if (ms->out_half != OUT_OPEN)
		return ERR_CLOSED;
	r = bufq_move(&ms->out, src, n);
	if (r != 0)
		return r;
	if (ms->queue != QUEUE_NONE)
		ms->m->unsent += n;
	if (ms->m->cfg.retain)
		ms->m->retained += n;
	mux_out_schedule(ms);
	/* It may stand here for long, blocked by the peer's limit or by the carrier: then it must not pin much more than it holds. */
	if (bufq_weight(&ms->out) > weight_max(ms))
		bufq_compact(&ms->out);
	return 0;
}

static void
ms_eof(struct stream *s)
{
	struct mux_stream *ms = ms_of(s);

	if (ms->out_half != OUT_OPEN)
		return;
	ms->out_half = OUT_ENDING;
	mux_out_schedule(ms);
}

/* The peer may never make room, or be as stuck as we are: it is waited for while it takes something. */
static void
linger(struct mux_stream *ms)
{
	ms->linger_ms = ms->m->now_ms + MUX_RESET_LINGER_MS;
	ms->linger_sent = ms->out_sent;
	TAILQ_INSERT_TAIL(&ms->m->resetting, ms, linger_turn);
}

static void
linger_no_more(struct mux_stream *ms)
{
	mux_text(ms->m, FRAME_RESET, ms->id, ms->reset_code,
	    ms->reset_text != NULL ? ms->reset_text : "");
	mux_stream_drop(ms);
}

void
mux_stream_linger(struct mux *m)
{
	struct mux_stream *ms;

	while ((ms = TAILQ_FIRST(&m->resetting)) != NULL && ms->linger_ms <= m->now_ms) {
		if (ms->out_sent != ms->linger_sent) {
			TAILQ_REMOVE(&m->resetting, ms, linger_turn);
			linger(ms);
			continue;
		}
		linger_no_more(ms);
	}
}

static void
ms_reset(struct stream *s, uint32_t code, const char *text)
{
	struct mux_stream *ms = ms_of(s);
	struct mux *m = ms->m;

	s->user = NULL;
	if (mux_stream_unsent(ms) == 0) {
		mux_text(m, FRAME_RESET, ms->id, code, text);
		mux_stream_drop(ms);
		return;
	}
	/* Bytes that were taken are delivered: a server's last answer before its connection broke must not be lost. */
	ms->out_half = OUT_RESETTING;
	ms->reset_code = code;
	ms->reset_text = mem_strdup(text); /* without memory the code alone must do */
	m->lingering += mux_stream_unsent(ms);
	linger(ms);
	mux_out_schedule(ms);
	/* Whoever resets one stream after another must not make us keep what each of them had queued. */
	while (m->lingering > MUX_LINGER_SUM_MAX)
		linger_no_more(TAILQ_FIRST(&m->resetting));
	mux_want_output(m); /* even if there is nothing: a deadline is new */
}

static void
ms_abort(struct stream *s, uint32_t code, const char *text)
{
	struct mux_stream *ms = ms_of(s);

	mux_text(ms->m, FRAME_RESET, ms->id, code, text);
	mux_stream_drop(ms);
}

static void
ms_consumed(struct stream *s, size_t n)
{
	struct mux_stream *ms = ms_of(s);

	ms->in_consumed += n;
	window_grow(ms);
	window_check(ms);
}

static void
ms_ack(struct stream *s, uint64_t off, bool eof)
{
	struct mux_stream *ms = ms_of(s);

	/* A far endpoint that acknowledges what was never sent has been caught by the session that told us. */
	if (off > ms->in_acked)
		ms->in_acked = off < ms->in_received ? off : ms->in_received;
	if (eof && ms->in_half == IN_EOF_SEEN)
		ms->in_eof_ack = true;
	window_check(ms);
}

const struct stream_ops mux_stream_ops = {
	.accept = ms_accept,
	.room = ms_room,
	.send = ms_send,
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
	if (ms->in_half != IN_OPEN || ms->in_received + n > ms->in_limit)
		return ERR_PROTO;
	r = bufq_move(&part, in, n);
	if (r != 0)
		return r;
	ms->in_received += n;
	ms->s.rx += n;
	if (ms->s.user != NULL)
		ms->s.user->data(ms->s.arg, &part);
	bufq_fini(&part);
	return 0;
}

int
mux_stream_window(struct mux_stream *ms, uint64_t acked, uint64_t limit, bool eof_acked)
{
	bool news = acked > ms->out_acked;

	/* PROTOCOL.md 5.3: offsets never go back, and nothing is acknowledged that was not sent. */
	if (acked > ms->out_sent || limit > INT64_MAX)
		return ERR_PROTO;
	if (eof_acked && (ms->out_half != OUT_EOF_SENT || acked != ms->out_sent))
		return ERR_PROTO;
	if (news)
		ms->out_acked = acked;
	if (ms->m->cfg.retain && ms->out_acked > ms->out_base) {
		bufq_drain(&ms->out, (size_t)(ms->out_acked - ms->out_base));
		ms->m->retained -= ms->out_acked - ms->out_base;
		ms->out_base = ms->out_acked;
	}
	if (limit > ms->out_limit)
		ms->out_limit = limit;
	if (eof_acked)
		ms->out_half = OUT_EOF_ACKED;
	mux_out_schedule(ms);
	/*
	 * The user may reset the stream meanwhile; then finish must not look at it: a reset clears the user, and the acked
	 * callback is the last thing done here that may do so.
	 */
	if ((news || eof_acked) && ms->s.user != NULL) {
		struct mux *m = ms->m;
		uint32_t id = ms->id;

		ms->s.user->acked(ms->s.arg, ms->out_acked, eof_acked);
		ms = mux_stream_find(m, id);
	}
	if (ms != NULL)
		mux_stream_finish(ms);
	return 0;
}

int
mux_stream_ended(struct mux_stream *ms, uint64_t final)
{
	if (ms->in_half != IN_OPEN || final != ms->in_received)
		return ERR_PROTO;
	ms->in_half = IN_EOF_SEEN;
	if (ms->s.user != NULL)
		ms->s.user->eof(ms->s.arg);
	return 0;
}
