/* SPDX-License-Identifier: ISC */
/*
 * mux_datagram - a stream of datagrams (PROTOCOL.md 5.7): no halves, no windows, no
 * acknowledgements.
 *
 * Copies of payload: one when a datagram is queued (datagrams.h); one more of what comes in pieces.
 */
#include "lib/base/mem.h"
#include "proto/mux_int.h"

int
mux_datagram_init(struct mux_stream *ms, struct budget *charge)
{
	ms->datagrams = mem_alloc(sizeof *ms->datagrams);
	if (ms->datagrams == NULL)
		return ERR_NOMEM;
	datagrams_init(ms->datagrams, charge);
	/* The window that each new stream has is none here: what it cost is given back. */
	flow_in_end(&ms->from);
	return 0;
}

void
mux_datagram_fini(struct mux_stream *ms)
{
	if (ms->datagrams != NULL)
		datagrams_fini(ms->datagrams);
}

int
mux_datagram_send(struct stream *s, struct bufq *src, unsigned *dropped)
{
	struct mux_stream *ms = (struct mux_stream *)s;
	int r;

	if (ms->datagrams == NULL || ms->out_half != OUT_OPEN)
		return ERR_CLOSED;
	r = datagrams_put(ms->datagrams, src, dropped);
	if (r == 0)
		mux_out_schedule(ms);
	return r;
}

size_t
mux_datagram_room(const struct mux_stream *ms)
{
	return datagrams_room(ms->datagrams);
}

/* ---- from the peer ---- */

static void
deliver(struct mux_stream *ms, struct bufq *in)
{
	/* PROTOCOL.md 4.3: nothing of the answering side precedes its answer. */
	if (ms->local && !ms->answered && ms->out_half != OUT_RESETTING) {
		mux_stream_fail(ms, "the answering side sent a datagram before it accepted");
		return;
	}
	ms->s.rx += in->len;
	if (ms->s.user != NULL)
		ms->s.user->datagram(ms->s.arg, in);
}

int
mux_datagram_fill(struct mux *m, struct bufq *in, size_t n)
{
	struct bufq whole = { 0 };
	/* Pieces are copied: they may be small ones of large blocks. */
	bool at_once = m->fill_left == 0 && m->datagram.len == 0;
	int r = at_once ? bufq_move(&whole, in, n) : bufq_keep(&m->datagram, in, n);

	if (r == 0 && m->fill_left == 0 && !at_once)
		r = bufq_move(&whole, &m->datagram, m->datagram.len);
	if (r == 0 && m->fill_left == 0)
		deliver(m->filling, &whole);
	bufq_fini(&whole);
	return r;
}

/* ---- towards the peer ---- */

size_t
mux_datagram_need(const struct mux_stream *ms)
{
	if (ms->head != NULL || !mux_datagram_waits(ms))
		return 0;
	return FRAME_HDR_LEN + datagrams_next(ms->datagrams);
}

int
mux_datagram_frame(struct mux_stream *ms, struct bufq *out, size_t *n)
{
	struct frame f = { FRAME_DATAGRAM, 0, 0, ms->id };
	uint8_t hdr[FRAME_HDR_LEN];
	int r;

	*n = datagrams_next(ms->datagrams);
	f.len = (uint16_t)*n;
	frame_pack(hdr, &f);
	r = bufq_copy(out, hdr, sizeof hdr);
	if (r == 0)
		r = datagrams_take(ms->datagrams, out);
	if (r == 0)
		ms->s.tx += *n;
	return r;
}
