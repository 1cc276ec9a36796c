/* SPDX-License-Identifier: ISC */
/*
 * mux_out - who sends next.
 *
 * Order: control frames; WINDOW frames; sparse streams, first come first served; bulk streams by deficit round robin.  A
 * stream is sparse as long as it sent less than MUX_SPARSE_BYTES in the last MUX_SPARSE_EPOCH_MS: keystrokes and small requests
 * never wait behind a download.  So that many sparse streams cannot starve the others, bulk gets a turn after each
 * SPARSE_RUN_MAX bytes of theirs.
 *
 * Copies of payload: 0 (moved, or shared with what is retained).
 */
#include "proto/mux_int.h"

enum { SPARSE_RUN_MAX = 256 * 1024 };

static bool
has_work(const struct mux_stream *ms)
{
	return mux_stream_sendable(ms) > 0 ||
	       ((ms->out_half == OUT_ENDING || ms->out_half == OUT_RESETTING) &&
		   mux_stream_unsent(ms) == 0);
}

void
mux_out_leave(struct mux_stream *ms)
{
	struct mux *m = ms->m;

	if (ms->queue == QUEUE_NONE)
		return;
	if (ms->queue == QUEUE_SPARSE)
		TAILQ_REMOVE(&m->sparse, ms, turn);
	else
		TAILQ_REMOVE(&m->bulk, ms, turn);
	ms->queue = QUEUE_NONE;
	m->unsent -= mux_stream_unsent(ms);
}

static void
enter(struct mux_stream *ms, enum mux_queue q)
{
	struct mux *m = ms->m;

	ms->queue = q;
	m->unsent += mux_stream_unsent(ms);
	if (q == QUEUE_SPARSE)
		TAILQ_INSERT_TAIL(&m->sparse, ms, turn);
	else
		TAILQ_INSERT_TAIL(&m->bulk, ms, turn);
}

static bool
is_sparse(struct mux_stream *ms)
{
	if (ms->m->now_ms - ms->epoch_ms >= MUX_SPARSE_EPOCH_MS) {
		/* Half of the last epoch counts on, so that a steady flow does not become sparse at each turn of the clock. */
		ms->epoch_bytes = ms->m->now_ms - ms->epoch_ms < 2 * MUX_SPARSE_EPOCH_MS
				      ? ms->epoch_bytes / 2
				      : 0;
		ms->epoch_ms = ms->m->now_ms;
	}
	return ms->epoch_bytes < MUX_SPARSE_BYTES && mux_stream_unsent(ms) < MUX_SPARSE_BYTES;
}

void
mux_out_schedule(struct mux_stream *ms)
{
	if (!has_work(ms)) {
		mux_out_leave(ms);
		return;
	}
	if (ms->queue == QUEUE_NONE) {
		ms->deficit = 0;
		enter(ms, is_sparse(ms) ? QUEUE_SPARSE : QUEUE_BULK);
	}
	mux_want_output(ms->m);
}

/* One DATA frame of at most max bytes.  Returns its payload's length, or a negative error. */
static ssize_t
data_frame(struct mux_stream *ms, struct bufq *out, size_t max)
{
	uint64_t n = mux_stream_sendable(ms);
	struct frame f = { FRAME_DATA, 0, 0, ms->id };
	uint8_t hdr[FRAME_HDR_LEN];
	int r;

	if (n > FRAME_DATA_MAX)
		n = FRAME_DATA_MAX;
	if (n > max)
		n = max;
	f.len = (uint16_t)n;
	frame_pack(hdr, &f);
	r = bufq_copy(out, hdr, sizeof hdr);
	if (r == 0 && ms->m->cfg.retain)
		r = bufq_share(out, &ms->out, (size_t)(ms->out_sent - ms->out_base), (size_t)n);
	else if (r == 0)
		r = bufq_move(out, &ms->out, (size_t)n);
	if (r != 0)
		return r;
	ms->out_sent += n;
	ms->m->unsent -= n;
	if (ms->out_half == OUT_RESETTING)
		ms->m->lingering -= n;
	ms->s.tx += n;
	ms->epoch_bytes += n;
	if (!ms->m->cfg.retain)
		ms->out_base = ms->out_sent;
	return (ssize_t)n;
}

static int
eof_frame(struct mux_stream *ms, struct bufq *out)
{
	struct frame f = { FRAME_EOF, 0, 8, ms->id };
	uint8_t p[FRAME_HDR_LEN + 8];

	frame_pack(p, &f);
	put_u64be(p + FRAME_HDR_LEN, ms->out_sent);
	ms->out_half = OUT_EOF_SENT;
	return bufq_copy(out, p, sizeof p);
}

/* The RESET that waited for the queued bytes; the stream is gone afterwards. */
static int
reset_frame(struct mux_stream *ms, struct bufq *out)
{
	struct mux *m = ms->m;

	/* Through the control queue, which is empty here but for pongs: the bytes before it are in out already. */
	mux_text(
	    m, FRAME_RESET, ms->id, ms->reset_code, ms->reset_text != NULL ? ms->reset_text : "");
	mux_stream_drop(ms);
	return bufq_move(out, &m->control, m->control.len);
}

/*
 * Serve one stream: what waits to be acknowledged rides along, then payload up to max bytes, then the end.  The user is told
 * last, since it may do anything to the stream.  Returns bytes of payload, or a negative error.
 */
static ssize_t
serve(struct mux_stream *ms, struct bufq *out, size_t max)
{
	ssize_t n = 0;
	int r = 0;

	if (ms->ack_due && (r = mux_stream_window_frame(ms, out)) != 0)
		return r;
	if (mux_stream_sendable(ms) > 0)
		n = data_frame(ms, out, max);
	if (n < 0)
		return n;
	if (ms->out_half == OUT_ENDING && mux_stream_unsent(ms) == 0)
		r = eof_frame(ms, out);
	else if (ms->out_half == OUT_RESETTING && mux_stream_unsent(ms) == 0)
		return reset_frame(ms, out) == 0 ? n : ERR_NOMEM;
	if (r != 0)
		return r;
	if (!has_work(ms))
		mux_out_leave(ms);
	if (n > 0 && ms->s.user != NULL)
		ms->s.user->sent(ms->s.arg, (size_t)n);
	return n;
}

static ssize_t
serve_sparse(struct mux *m, struct bufq *out)
{
	struct mux_stream *ms = TAILQ_FIRST(&m->sparse);

	if (!is_sparse(ms)) {
		mux_out_leave(ms);
		enter(ms, QUEUE_BULK);
		return 0;
	}
	return serve(ms, out, MUX_QUANTUM);
}

/* A stream's next turn. */
static void
begin_turn(struct mux_stream *ms, size_t round)
{
	/* Large frames are cheaper: alone it needs no fairness, and on a fast carrier several turns fit in a round. */
	ms->deficit = round / 4 > MUX_QUANTUM ? round / 4 : MUX_QUANTUM;
	if (TAILQ_NEXT(ms, turn) == NULL || ms->deficit > FRAME_DATA_MAX)
		ms->deficit = FRAME_DATA_MAX;
}

static ssize_t
serve_bulk(struct mux *m, struct bufq *out, size_t max, size_t round)
{
	struct mux_stream *ms = TAILQ_FIRST(&m->bulk);
	size_t quantum;

	if (ms->deficit == 0)
		begin_turn(ms, round);
	quantum = ms->deficit < max ? (size_t)ms->deficit : max;
	ms->deficit -= quantum;
	if (ms->deficit == 0) {
		TAILQ_REMOVE(&m->bulk, ms, turn);
		TAILQ_INSERT_TAIL(&m->bulk, ms, turn);
	}
	return serve(ms, out, quantum);
}

int
mux_out_fill(struct mux *m, struct bufq *out, size_t max)
{
	size_t end = out->len + max;
	int r = 0;

	if (m->control.len > 0 && (r = bufq_move(out, &m->control, m->control.len)) != 0)
		return r;
	while (r == 0 && !TAILQ_EMPTY(&m->windows))
		r = mux_stream_window_frame(TAILQ_FIRST(&m->windows), out);
	while (r == 0 && out->len < end) {
		ssize_t n;

		/* What a callback has queued: the OPEN of a new stream goes before its bytes. */
		if (m->control.len > 0 && (r = bufq_move(out, &m->control, m->control.len)) != 0)
			break;
		if (!TAILQ_EMPTY(&m->sparse) &&
		    (m->sparse_run < SPARSE_RUN_MAX || TAILQ_EMPTY(&m->bulk))) {
			n = serve_sparse(m, out);
			m->sparse_run += n > 0 ? (uint64_t)n : 0;
		} else if (!TAILQ_EMPTY(&m->bulk)) {
			n = serve_bulk(m, out, end - out->len, max);
			m->sparse_run = 0;
		} else {
			break;
		}
		r = n < 0 ? (int)n : 0;
	}
	return r;
}
