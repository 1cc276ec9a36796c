/* SPDX-License-Identifier: ISC */
/*
 * mux_out - who sends next.
 *
 * Order: control frames; WINDOW frames, one for each stream; then turns (proto/turns.h): the
 * clients of the session take turns, and in the turn of a client its streams do.  A stream's OPEN,
 * OPEN_OK and RESET take its turn like its bytes, so a flood of them waits behind nobody but its
 * own client.
 *
 * Copies of payload: 0 (moved, or shared with what is kept).
 */
#include <assert.h>

#include "lib/base/mem.h"
#include "proto/mux_int.h"

static bool
ends_now(const struct mux_stream *ms)
{
	return (ms->out_half == OUT_ENDING || ms->out_half == OUT_RESETTING) &&
	       mux_stream_unsent(ms) == 0 && !mux_datagram_waits(ms);
}

static bool
has_work(const struct mux_stream *ms)
{
	/*
	 * Nothing of a stream goes before its OPEN, and nothing of the answering side before
	 * OPEN_OK.
	 */
	return ms->head != NULL || (ms->id != 0 && (mux_stream_sendable(ms) > 0 ||
						       mux_datagram_waits(ms) || ends_now(ms)));
}

void
mux_out_leave(struct mux_stream *ms)
{
	struct mux *m = ms->m;
	struct mux_client *c = ms->client;

	if (ms->turn.list == TURN_NONE)
		return;
	turns_leave(&c->streams, &ms->turn);
	if (turns_is_empty(&c->streams))
		turns_leave(&m->turns, &c->turn);
	m->unsent -= mux_stream_unsent(ms);
}

void
mux_out_schedule(struct mux_stream *ms)
{
	struct mux *m = ms->m;

	if (!has_work(ms)) {
		mux_out_leave(ms);
		return;
	}
	if (ms->turn.list == TURN_NONE) {
		m->unsent += mux_stream_unsent(ms);
		turns_enter(&ms->client->streams, &ms->turn, m->now_us);
		turns_enter(&m->turns, &ms->client->turn, m->now_us);
	}
	mux_want_output(m);
}

/* The OPEN or OPEN_OK that waited. */
int
mux_out_head(struct mux_stream *ms, struct bufq *out)
{
	struct mux *m = ms->m;
	uint8_t type = ms->local ? FRAME_OPEN : FRAME_OPEN_OK;
	int r = 0;

	if (ms->id == 0) {
		r = mux_stream_name(ms, m->next_id);
		m->next_id += 2;
	}
	if (r == 0)
		r = mux_frame(out, type, 0, ms->id, ms->head, ms->head_len);
	mem_free(ms->head);
	ms->head = NULL;
	return r;
}

/* One DATA frame of at most max bytes; *n: how many. */
static int
data_frame(struct mux_stream *ms, struct bufq *out, size_t max, size_t *n)
{
	uint64_t can = mux_stream_sendable(ms);
	struct frame f = { FRAME_DATA, 0, 0, ms->id };
	uint8_t hdr[FRAME_HDR_LEN];
	int r;

	max = max < FRAME_DATA_MAX ? max : FRAME_DATA_MAX;
	*n = can < max ? (size_t)can : max;
	f.len = (uint16_t)*n;
	frame_pack(hdr, &f);
	r = bufq_copy(out, hdr, sizeof hdr);
	if (r == 0 && mux_retains(ms->m))
		r = bufq_share(out, &ms->out, (size_t)(ms->to.sent - ms->out_base), *n);
	else if (r == 0)
		r = bufq_move(out, &ms->out, *n);
	if (r != 0)
		return r;
	flow_out_sent(&ms->to, *n, ms->m->now_us);
	ms->m->unsent -= *n;
	if (ms->lingers)
		ms->m->lingering -= *n;
	ms->s.tx += *n;
	if (!mux_retains(ms->m)) {
		ms->out_base = ms->to.sent;
		flow_out_kept(&ms->to, ms->out.len);
	}
	return 0;
}

static int
eof_frame(struct mux_stream *ms, struct bufq *out)
{
	uint8_t p[8];

	put_u64be(p, ms->to.sent);
	mux_stream_set_out(ms, OUT_EOF_SENT);
	return mux_frame(out, FRAME_EOF, 0, ms->id, p, sizeof p);
}

static int
reset_frame(struct mux_stream *ms, struct bufq *out)
{
	uint8_t body[MUX_TEXT_MAX];
	size_t n =
	    mux_text_body(body, ms->reset_code, ms->reset_text != NULL ? ms->reset_text : "");

	return mux_frame(out, FRAME_RESET, 0, ms->id, body, n);
}

/* What ms has to send, at most about max bytes.  *n: payload among it; *gone: its RESET is out. */
static int
frames(struct mux_stream *ms, struct bufq *out, size_t max, size_t *n, bool *gone)
{
	int r = 0;

	*n = 0;
	*gone = false;
	if (ms->head != NULL)
		return mux_out_head(ms, out);
	if (mux_datagram_waits(ms))
		r = mux_datagram_frame(ms, out, n);
	else if (mux_stream_sendable(ms) > 0)
		r = data_frame(ms, out, max, n);
	if (r != 0 || !ends_now(ms))
		return r;
	if (ms->out_half == OUT_ENDING)
		return eof_frame(ms, out);
	*gone = true;
	return reset_frame(ms, out);
}

/* One turn of one stream of one client. */
static int
serve(struct mux *m, struct mux_client *c, struct mux_stream *ms, struct bufq *out, size_t max)
{
	size_t before = out->len, used, n;
	bool datagram = ms->head == NULL && mux_datagram_waits(ms), gone;
	int r = frames(ms, out, max, &n, &gone);

	if (r != 0)
		return r;
	used = out->len - before;
	assert(used > 0);
	turns_spent(&c->streams, &ms->turn, used, m->now_us);
	turns_spent(&m->turns, &c->turn, used, m->now_us);
	if (gone) {
		mux_stream_drop(ms);
		return 0;
	}
	if (!has_work(ms))
		mux_out_leave(ms);
	/* The last thing done here: the user may reset the stream, or open others. */
	if ((n > 0 || datagram) && ms->s.user != NULL)
		ms->s.user->sent(ms->s.arg, n);
	return 0;
}

static int
next_turn(struct mux *m, struct bufq *out, size_t room, size_t round)
{
	size_t n_client, n_stream, need;
	struct turn *t = turns_next(&m->turns, round, FRAME_DATA_MAX, &n_client);
	struct mux_client *c = TURN_OWNER(t, struct mux_client);
	struct mux_stream *ms;

	t = turns_next(&c->streams, round, FRAME_DATA_MAX, &n_stream);
	ms = TURN_OWNER(t, struct mux_stream);
	/* A datagram goes whole: behind the others, once they have had as much. */
	need = mux_datagram_need(ms);
	if (need > n_stream || need > n_client) {
		if (need > n_stream)
			turns_pass(&c->streams, t);
		else
			turns_pass(&m->turns, &c->turn);
		return 0;
	}
	n_stream = n_stream < n_client ? n_stream : n_client;
	return serve(m, c, ms, out, n_stream < room ? n_stream : room);
}

int
mux_out_fill(struct mux *m, struct bufq *out, size_t max)
{
	size_t end = out->len + max;
	int r = 0;

	if (m->control.len > 0)
		r = bufq_move(out, &m->control, m->control.len);
	while (r == 0 && !TAILQ_EMPTY(&m->windows))
		r = mux_stream_window_frame(TAILQ_FIRST(&m->windows), out);
	while (r == 0 && out->len < end && !turns_is_empty(&m->turns))
		r = next_turn(m, out, end - out->len, max);
	return r;
}
