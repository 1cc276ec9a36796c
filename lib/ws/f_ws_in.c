/* SPDX-License-Identifier: ISC */
/*
 * f_ws_in - what the WebSocket filter receives: frames, messages, Pings and Close, in bounded
 * turns.
 *
 * Copies of payload: below->in → unmasked in place → moved to f->in or the message: 0.  Pieces up
 * to SMALL_PIECE: 1, so that a flood of tiny frames costs memory in proportion to its bytes.
 */
#include <stdio.h>
#include <string.h>

#include "lib/ws/f_ws_int.h"
#include "lib/ws/wsmask.h"

enum {
	/* Bytes that are copied, not moved, when others stand before them. */
	SMALL_PIECE = 256,
	/* Slices looked at in one go. */
	IOV_TURN = 16
};

static void
fail_proto(struct f_ws *w, int code, const char *text)
{
	f_ws_fail(w, code, ERR_PROTO, text);
}

static bool
is_reading(const struct f_ws *w)
{
	return !f_ws_is_over(w) && w->rx == RX_FRAMES && !w->f.paused;
}

/* ---- control frames received ---- */

/* Both directions have ended, or end now. */
static void
finish_close(struct f_ws *w)
{
	f_ws_set_rx(w, RX_OVER);
	/* RFC 6455 5.5.1: the answer carries the code that was received. */
	f_ws_send_close(w, w->peer_code, "", 0);
	if (w->f.closed)
		return;
	filter_shutdown(w->f.below);
	filter_close(&w->f, ERR_EOF, "");
}

static void
on_peer_close(struct f_ws *w)
{
	size_t n = w->rf.len;

	w->peer_code = F_WS_NO_CODE;
	if (n == 1) {
		fail_proto(w, F_WS_PROTOCOL, "the peer's WebSocket Close has half a code");
		return;
	}
	if (n >= F_WS_CLOSE_CODE_LEN)
		w->peer_code = w->control[0] << 8 | w->control[1];
	if (n >= F_WS_CLOSE_CODE_LEN && !f_ws_frame_is_close_code(w->peer_code)) {
		fail_proto(w, F_WS_PROTOCOL, "the peer's WebSocket Close has an invalid code");
		return;
	}
	if (n > F_WS_CLOSE_CODE_LEN &&
	    !utf8_is_valid(w->control + F_WS_CLOSE_CODE_LEN, n - F_WS_CLOSE_CODE_LEN)) {
		fail_proto(
		    w, F_WS_BAD_UTF8, "the reason in the peer's WebSocket Close is no UTF-8");
		return;
	}
	if (n > F_WS_CLOSE_CODE_LEN)
		memcpy(w->peer_reason, w->control + F_WS_CLOSE_CODE_LEN, n - F_WS_CLOSE_CODE_LEN);
	f_ws_tell_readable(w);
	if (f_ws_is_over(w))
		return;
	if (w->f.paused)
		f_ws_set_rx(w, RX_CLOSE);
	else
		finish_close(w);
}

/* RFC 6455 5.5.3: the latest replaces one that is not answered yet. */
static void
on_ping(struct f_ws *w)
{
	if (w->cfg.on_ping != NULL)
		w->cfg.on_ping(w->cfg.arg);
	memcpy(w->pong, w->control, w->rf.len);
	w->pong_len = (uint8_t)w->rf.len;
	w->pong_due = true;
	if (++w->n_pings <= F_WS_TURN_PONGS)
		f_ws_write_pong(w);
	else
		task_later(w->f.loop, &w->again);
}

static void
on_control(struct f_ws *w)
{
	switch (w->rf.opcode) {
	case F_WS_OP_PING:
		on_ping(w);
		break;
	case F_WS_OP_PONG:
		if (w->cfg.on_pong != NULL)
			w->cfg.on_pong(w->cfg.arg, w->control, w->rf.len);
		break;
	default:
		on_peer_close(w);
	}
}

/* ---- frames received ---- */

/* A data frame begins: does it fit what went before?  Returns false after a failure. */
static bool
begin_data(struct f_ws *w)
{
	const struct f_ws_frame *fr = &w->rf;

	/* RFC 6455 5.4 */
	if ((fr->opcode == F_WS_OP_CONTINUATION) != (w->kind != 0)) {
		fail_proto(w, F_WS_PROTOCOL,
		    w->kind == 0 ? "a WebSocket continuation without a beginning"
				 : "a new WebSocket message inside a fragmented one");
		return false;
	}
	if (w->kind == 0) {
		w->kind = fr->opcode;
		w->message_len = 0;
		w->utf8 = (struct utf8){ 0 };
		if (w->kind == F_WS_OP_TEXT && w->cfg.mode == F_WS_STREAM &&
		    !w->cfg.text_as_bytes) {
			fail_proto(
			    w, F_WS_UNSUPPORTED, "a WebSocket text message where bytes are spoken");
			return false;
		}
	}
	if (w->cfg.max_message > 0 && fr->len > w->cfg.max_message - w->message_len) {
		f_ws_fail(w, F_WS_TOO_BIG, ERR_LIMIT, "the WebSocket message is too long");
		return false;
	}
	w->message_len += w->cfg.max_message > 0 ? fr->len : 0;
	return true;
}

/*
 * Take the header of a data frame off the input, or a whole control frame.  Returns false if there
 * is none yet, or the stream is over.
 */
static bool
read_frame(struct f_ws *w)
{
	struct bufq *in = &w->f.below->in;
	uint8_t p[F_WS_FRAME_LOOK];
	const char *why = NULL;
	ssize_t n = f_ws_frame_parse(
	    &w->rf, p, bufq_read(in, 0, p, sizeof p), w->cfg.client, w->control, &why);

	if (n == ERR_NOMEM)
		f_ws_fail_nomem(w);
	else if (n < 0)
		fail_proto(w, F_WS_PROTOCOL, why);
	if (n <= 0)
		return false;
	bufq_drain(in, (size_t)n);
	if (f_ws_frame_is_control(&w->rf)) {
		w->n_frames++;
		on_control(w);
		return !f_ws_is_over(w);
	}
	w->in_data = true;
	return begin_data(w);
}

/* Unmask the first n bytes of the input where they are; false if this is text and no UTF-8. */
static bool
unmask(struct f_ws *w, size_t n)
{
	bool check = w->kind == F_WS_OP_TEXT && w->cfg.mode == F_WS_MESSAGES;
	struct iovec iov[IOV_TURN];
	size_t off = 0;

	if (!w->rf.masked && !check)
		return true;
	while (off < n) {
		int k = bufq_own(&w->f.below->in, off, n - off, iov, IOV_TURN);

		for (int i = 0; i < k; i++) {
			uint8_t *p = iov[i].iov_base;
			size_t len = iov[i].iov_len;

			if (w->rf.masked)
				wsmask(p, p, len, w->rf.key, (unsigned)(w->rf.done + off));
			if (check && !utf8_feed(&w->utf8, p, len))
				return false;
			off += len;
		}
	}
	return true;
}

/* Move n bytes of the input behind q; small pieces are copied (see the top). */
static int
take(struct f_ws *w, struct bufq *q, size_t n)
{
	uint8_t piece[SMALL_PIECE];
	struct bufq *in = &w->f.below->in;
	int r;

	if (n > SMALL_PIECE || q->len == 0)
		return bufq_move(q, in, n);
	r = bufq_copy(q, piece, bufq_read(in, 0, piece, n));
	if (r == 0)
		bufq_drain(in, n);
	return r;
}

/* n payload bytes of a data frame. */
static void
read_data(struct f_ws *w, size_t n)
{
	bool stream = w->cfg.mode == F_WS_STREAM;

	if (!unmask(w, n)) {
		fail_proto(w, F_WS_BAD_UTF8, "a WebSocket text message that is no UTF-8");
		return;
	}
	if (take(w, stream ? &w->f.in : &w->message, n) != 0) {
		f_ws_fail_nomem(w);
		return;
	}
	w->rf.done += n;
	w->fresh = w->fresh || stream;
	if (!stream)
		bufq_compact(&w->message);
}

/* The last byte of a data frame has come. */
static void
end_data(struct f_ws *w)
{
	enum f_ws_kind kind = w->kind == F_WS_OP_TEXT ? F_WS_TEXT : F_WS_BINARY;
	struct bufq message;

	if (!w->rf.fin)
		return;
	w->kind = 0;
	if (w->cfg.mode == F_WS_STREAM)
		return;
	if (kind == F_WS_TEXT && !utf8_is_whole(&w->utf8)) {
		fail_proto(
		    w, F_WS_BAD_UTF8, "a WebSocket text message that ends inside a character");
		return;
	}
	message = w->message;
	w->message = (struct bufq){ 0 };
	w->cfg.on_message(w->cfg.arg, kind, &message);
	bufq_fini(&message);
}

/* One step of the receiver.  Returns false if there is no whole step to do. */
static bool
step(struct f_ws *w)
{
	uint64_t left = w->rf.len - w->rf.done;

	if (!w->in_data)
		return read_frame(w);
	/* A frame without payload ends with its header. */
	if (left > 0) {
		size_t n = w->f.below->in.len;

		if (n == 0)
			return false;
		read_data(w, n < left ? n : (size_t)left);
		if (f_ws_is_over(w) || w->rf.done < w->rf.len)
			return !f_ws_is_over(w);
	}
	w->in_data = false;
	w->n_frames++;
	end_data(w);
	return true;
}

/* The connection below has ended, and what it brought has been read. */
static void
on_end_below(struct f_ws *w)
{
	char text[sizeof w->below_text + 64];

	if (w->below_err != ERR_EOF && w->below_err != ERR_CLOSED) {
		f_ws_fail(w, 0, w->below_err, w->below_text);
		return;
	}
	snprintf(text, sizeof text, "connection lost without a WebSocket close%s%s",
	    w->below_text[0] != 0 ? ": " : "", w->below_text);
	f_ws_fail(w, 0, ERR_CLOSED, text);
}

/* Has this turn seen all that it may?  The rest then waits for the next. */
static bool
must_rest(struct f_ws *w)
{
	if (w->turn != loop_turn(w->f.loop)) {
		w->turn = loop_turn(w->f.loop);
		w->n_frames = w->n_pings = 0;
	}
	if (w->n_frames < F_WS_TURN_FRAMES)
		return false;
	w->resting = true;
	filter_pause(w->f.below, true);
	task_later(w->f.loop, &w->again);
	return true;
}

void
f_ws_input(struct f_ws *w)
{
	if (w->rx == RX_OVER && !w->f.closed) {
		/*
		 * Nothing counts any more, but unread input would turn our close into a reset that
		 * overtakes Close.
		 */
		bufq_drain(&w->f.below->in, w->f.below->in.len);
		return;
	}
	if (w->running || w->f.closed)
		return;
	w->running = true;
	if (w->rx == RX_CLOSE && !w->f.paused)
		finish_close(w);
	while (is_reading(w) && !must_rest(w) && step(w))
		continue;
	f_ws_flush_pongs(w);
	if (!f_ws_is_over(w))
		f_ws_tell_readable(w);
	if (is_reading(w) && !w->resting && w->below_err != 0)
		on_end_below(w);
	w->running = false;
}
