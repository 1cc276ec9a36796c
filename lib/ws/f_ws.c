/* SPDX-License-Identifier: ISC */
/*
 * f_ws - the WebSocket filter.
 *
 * Copies of payload:
 *   receiving   below->in → unmasked in place → moved to f->in or the message: 0 (pieces up to SMALL_PIECE: 1, so that a
 *               flood of tiny frames costs memory in proportion to its bytes)
 *   sending     server, or client with zero_key: header + moved slices: 0.  Client: masked into fresh blocks, filled whole: 1.
 *               Control frames: 2.
 *
 * States: receiving HEADER ⇄ PAYLOAD → OVER (after the peer's Close, or a failure; input is then dropped).  Our Close goes out at
 * most once (close_sent); the stream is over when it was sent and the peer's was received.
 */
#include "lib/ws/f_ws.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/ws/f_ws_frame.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"
#include "lib/ws/wsmask.h"

enum {
	SMALL_PIECE = 256, /* bytes: copied, not moved, when others stand before them */
	IOV_TURN = 16,     /* slices looked at in one go */
	CLOSE_CODE_LEN = 2
};

enum rx {
	RX_HEADER,
	RX_PAYLOAD,
	RX_OVER,
};

struct f_ws {
	struct filter f;
	struct f_ws_config cfg;

	/* Receiving. */
	enum rx rx;
	bool running;       /* ws_input is on the stack */
	bool fresh;         /* f.in has grown since the user was told */
	bool close_waiting; /* the peer's Close has come, the user is paused */
	struct f_ws_frame rf;
	uint8_t control[F_WS_CONTROL_MAX];
	uint8_t kind; /* of the message that is being received; 0: none */
	uint64_t message_len;
	struct bufq message; /* F_WS_MESSAGES */
	struct utf8 utf8;
	int peer_code;
	int below_err; /* 0, or how below ended */
	char below_text[128];

	/* What this turn of the loop has seen so far. */
	uint64_t turn;
	unsigned n_frames, n_pings;
	/* It has seen F_WS_TURN_FRAMES: below is paused until the next. */
	bool resting;

	/* Sending. */
	struct bufq held; /* F_WS_STREAM: bytes; F_WS_MESSAGES: frames */
	bool close_sent;
	bool starved; /* the user found no room while below had some */
	bool pong_due;
	/* Below has a pong that was not flushed. */
	bool unflushed;
	uint8_t pong_len;
	uint8_t pong[F_WS_CONTROL_MAX];

	struct task again; /* go on after a pause, or in the next turn */
	struct task tell;  /* there is room again */
};

static struct f_ws *
ws_of(const struct filter *f)
{
	return (struct f_ws *)(uintptr_t)f;
}

static void send_close(struct f_ws *w, int code, const char *reason, size_t n);

/* Has the user been told the end, or gone?  Asked after everything that may call it. */
static bool
is_over(const struct f_ws *w)
{
	return w->f.closed || w->f.eof || w->rx == RX_OVER;
}

static void
tell_readable(struct f_ws *w)
{
	if (!w->fresh)
		return;
	w->fresh = false;
	filter_readable(&w->f);
}

/* Break off: say why to the peer (code 0: nothing) and to the user. */
static void
ws_fail(struct f_ws *w, int code, int err, const char *text)
{
	if (is_over(w))
		return;
	/* What came before the mistake is good. */
	tell_readable(w);
	if (is_over(w))
		return;
	w->rx = RX_OVER;
	bufq_fini(&w->held);
	if (code != 0)
		send_close(w, code, text, strlen(text));
	if (!w->f.closed)
		filter_shutdown(w->f.below);
	filter_close(&w->f, err, text);
}

static void
ws_fail_nomem(struct f_ws *w)
{
	ws_fail(w, F_WS_INTERNAL, ERR_NOMEM, "out of memory");
}

static void
ws_fail_proto(struct f_ws *w, int code, const char *text)
{
	ws_fail(w, code, ERR_PROTO, text);
}

/* ---- control frames sent ---- */

/* How all frames but a stream's data are masked. */
static enum f_ws_mask
mask_of(const struct f_ws *w)
{
	return w->cfg.client ? F_WS_RANDOM_KEY : F_WS_UNMASKED;
}

/* Write one control frame.  Returns 0, or an error for which nothing is sent. */
static int
write_control(struct f_ws *w, enum f_ws_opcode opcode, const void *p, size_t n)
{
	struct bufq payload = { 0 }, out = { 0 };
	int r = bufq_copy(&payload, p, n);

	if (r == 0)
		r = f_ws_frame_put(mask_of(w), opcode, &payload, n, &out);
	if (r == 0)
		r = filter_write(w->f.below, &out);
	bufq_fini(&payload);
	bufq_fini(&out);
	return r;
}

/* The same now. */
static int
send_control(struct f_ws *w, enum f_ws_opcode opcode, const void *p, size_t n)
{
	int r = write_control(w, opcode, p, n);

	if (r == 0)
		filter_flush(w->f.below);
	return r;
}

/* The answer to the latest ping, if the socket takes something; flush_pongs sends it. */
static void
write_pong(struct f_ws *w)
{
	if (!w->pong_due || w->close_sent || is_over(w) || filter_room(w->f.below) == 0)
		return;
	w->pong_due = false;
	if (write_control(w, F_WS_OP_PONG, w->pong, w->pong_len) == ERR_NOMEM)
		ws_fail_nomem(w);
	else
		w->unflushed = true;
}

static void
flush_pongs(struct f_ws *w)
{
	if (!w->unflushed || w->f.closed)
		return;
	w->unflushed = false;
	filter_flush(w->f.below);
}

/* ---- sending bulk ---- */

/* Frame what is held and pass it down, unflushed. */
static void
send_held(struct f_ws *w)
{
	enum f_ws_mask mask = w->cfg.client && w->cfg.zero_key ? F_WS_ZERO_KEY : mask_of(w);
	struct bufq out = { 0 };
	int r = 0;

	if (w->held.len == 0)
		return;
	if (w->cfg.mode == F_WS_MESSAGES)
		r = bufq_move(&out, &w->held, w->held.len);
	while (w->held.len > 0 && r == 0) {
		size_t n = w->held.len < F_WS_FRAME_MAX ? w->held.len : F_WS_FRAME_MAX;

		r = f_ws_frame_put(mask, F_WS_OP_BINARY, &w->held, n, &out);
	}
	if (r == 0)
		r = filter_write(w->f.below, &out);
	bufq_fini(&out);
	/* Bytes of the stream are lost: nothing can follow them, not even Close. */
	if (r != 0)
		ws_fail(w, 0, r, r == ERR_CLOSED ? "the connection is closed" : err_str(r));
}

static void
send_close(struct f_ws *w, int code, const char *reason, size_t n)
{
	uint8_t p[F_WS_CONTROL_MAX] = { (uint8_t)(code >> 8), (uint8_t)code };

	if (w->close_sent)
		return;
	send_held(w);
	if (w->f.closed || w->close_sent)
		return;
	w->close_sent = true;
	if (n > F_WS_REASON_MAX)
		n = F_WS_REASON_MAX;
	/* Never cut inside a character. */
	while (n > 0 && !utf8_is_valid(reason, n))
		n--;
	memcpy(p + CLOSE_CODE_LEN, reason, n);
	/* Without memory for the frame the peer sees the connection end: it is over all the same. */
	IGNORE_RESULT(
	    send_control(w, F_WS_OP_CLOSE, p, code == F_WS_NO_CODE ? 0 : CLOSE_CODE_LEN + n));
}

/* ---- control frames received ---- */

/* Both directions have ended, or end now. */
static void
finish_close(struct f_ws *w)
{
	w->close_waiting = false;
	w->rx = RX_OVER;
	/* RFC 6455 5.5.1: the answer carries the code that was received. */
	send_close(w, w->peer_code, "", 0);
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
		ws_fail_proto(w, F_WS_PROTOCOL, "the peer's WebSocket Close has half a code");
		return;
	}
	if (n >= CLOSE_CODE_LEN)
		w->peer_code = w->control[0] << 8 | w->control[1];
	if (n >= CLOSE_CODE_LEN && !f_ws_frame_is_close_code(w->peer_code)) {
		ws_fail_proto(w, F_WS_PROTOCOL, "the peer's WebSocket Close has an invalid code");
		return;
	}
	if (n > CLOSE_CODE_LEN && !utf8_is_valid(w->control + CLOSE_CODE_LEN, n - CLOSE_CODE_LEN)) {
		ws_fail_proto(
		    w, F_WS_BAD_UTF8, "the reason in the peer's WebSocket Close is no UTF-8");
		return;
	}
	tell_readable(w);
	if (is_over(w))
		return;
	w->close_waiting = true;
	if (!w->f.paused)
		finish_close(w);
}

/* RFC 6455 5.5.3: the latest replaces one that is not answered yet. */
static void
on_ping(struct f_ws *w)
{
	memcpy(w->pong, w->control, w->rf.len);
	w->pong_len = (uint8_t)w->rf.len;
	w->pong_due = true;
	if (++w->n_pings <= F_WS_TURN_PONGS)
		write_pong(w);
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
	struct f_ws_frame *fr = &w->rf;

	/* RFC 6455 5.4 */
	if ((fr->opcode == F_WS_OP_CONTINUATION) != (w->kind != 0)) {
		ws_fail_proto(w, F_WS_PROTOCOL,
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
			ws_fail_proto(
			    w, F_WS_UNSUPPORTED, "a WebSocket text message where bytes are spoken");
			return false;
		}
	}
	if (w->cfg.max_message > 0 && fr->len > w->cfg.max_message - w->message_len) {
		ws_fail(w, F_WS_TOO_BIG, ERR_LIMIT, "the WebSocket message is too long");
		return false;
	}
	w->message_len += w->cfg.max_message > 0 ? fr->len : 0;
	return true;
}

/* Take a header off the input, or a whole control frame.  Returns false if there is none yet, or after a failure. */
static bool
read_frame(struct f_ws *w)
{
	struct bufq *in = &w->f.below->in;
	uint8_t p[F_WS_FRAME_LOOK];
	const char *why = NULL;
	ssize_t n = f_ws_frame_parse(
	    &w->rf, p, bufq_read(in, 0, p, sizeof p), w->cfg.client, w->control, &why);

	if (n == ERR_NOMEM)
		ws_fail_nomem(w);
	else if (n < 0)
		ws_fail_proto(w, F_WS_PROTOCOL, why);
	if (n <= 0)
		return false;
	bufq_drain(in, (size_t)n);
	w->rx = RX_PAYLOAD;
	/* A key of zeros changes nothing. */
	if (memcmp(w->rf.key, (uint8_t[4]){ 0 }, sizeof w->rf.key) == 0)
		w->rf.masked = false;
	return f_ws_frame_is_control(&w->rf) || begin_data(w);
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
		ws_fail_proto(w, F_WS_BAD_UTF8, "a WebSocket text message that is no UTF-8");
		return;
	}
	if (take(w, stream ? &w->f.in : &w->message, n) != 0) {
		ws_fail_nomem(w);
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
		ws_fail_proto(
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
	uint64_t left;

	/* A frame without payload ends with its header. */
	if (w->rx == RX_HEADER)
		return read_frame(w);
	left = w->rf.len - w->rf.done;
	if (left > 0) {
		size_t n = w->f.below->in.len;

		if (n == 0)
			return false;
		read_data(w, n < left ? n : (size_t)left);
		if (is_over(w) || w->rf.done < w->rf.len)
			return !is_over(w);
	}
	w->rx = RX_HEADER;
	w->n_frames++;
	if (f_ws_frame_is_control(&w->rf))
		on_control(w);
	else
		end_data(w);
	return true;
}

/* The connection below has ended, and what it brought has been read. */
static void
on_end_below(struct f_ws *w)
{
	char text[sizeof w->below_text + 64];

	if (w->below_err != ERR_EOF && w->below_err != ERR_CLOSED) {
		ws_fail(w, 0, w->below_err, w->below_text);
		return;
	}
	snprintf(text, sizeof text, "connection lost without a WebSocket close%s%s",
	    w->below_text[0] != 0 ? ": " : "", w->below_text);
	ws_fail(w, 0, ERR_CLOSED, text);
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

/* Read all there is, unless the user pauses. */
static void
ws_input(struct f_ws *w)
{
	if (w->rx == RX_OVER && !w->f.closed) {
		/* Nothing counts any more, but unread input would turn our close into a reset that overtakes Close. */
		bufq_drain(&w->f.below->in, w->f.below->in.len);
		return;
	}
	if (w->running || w->f.closed)
		return;
	w->running = true;
	if (w->close_waiting && !w->f.paused)
		finish_close(w);
	while (!is_over(w) && !w->f.paused && !w->close_waiting && !must_rest(w) && step(w))
		continue;
	flush_pongs(w);
	if (!is_over(w))
		tell_readable(w);
	if (!is_over(w) && !w->f.paused && !w->close_waiting && !w->resting && w->below_err != 0)
		on_end_below(w);
	w->running = false;
}

/* ---- told by below ---- */

static void
on_readable(void *arg)
{
	ws_input(arg);
}

static void
on_writable(void *arg)
{
	struct f_ws *w = arg;

	write_pong(w);
	flush_pongs(w);
	if (!is_over(w) && !w->close_sent)
		filter_writable(&w->f);
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct f_ws *w = arg;

	/* Our answer to the peer's Close, and what was written before, may be lost. */
	if (w->f.eof && err != ERR_EOF)
		filter_close(&w->f, err, text);
	if (is_over(w))
		return;
	w->below_err = err;
	snprintf(w->below_text, sizeof w->below_text, "%s", text);
	ws_input(w);
}

static const struct filter_user below_user = { on_readable, on_writable, on_closed };

static void
on_again(void *arg)
{
	struct f_ws *w = arg;

	if (w->resting) {
		w->resting = false;
		filter_pause(w->f.below, w->f.paused);
	}
	write_pong(w);
	ws_input(w);
}

static void
on_tell(void *arg)
{
	on_writable(arg);
}

/* ---- operations ---- */

static int
ws_op_write(struct filter *f, struct bufq *src)
{
	struct f_ws *w = ws_of(f);

	assert(w->cfg.mode == F_WS_STREAM);
	if (w->close_sent || is_over(w))
		return ERR_CLOSED;
	return bufq_move(&w->held, src, src->len);
}

static void
ws_op_flush(struct filter *f)
{
	struct f_ws *w = ws_of(f);

	if (is_over(w))
		return;
	send_held(w);
	if (w->f.closed)
		return;
	filter_flush(f->below);
	/* No event tells of this room: below never was full. */
	if (!w->f.closed && w->starved && filter_room(f->below) > 0) {
		w->starved = false;
		task_soon(f->loop, &w->tell);
	}
}

static size_t
ws_op_room(struct filter *f)
{
	struct f_ws *w = ws_of(f);
	size_t room;

	if (w->close_sent || is_over(w))
		return 0;
	room = filter_room(f->below);
	if (room <= w->held.len) {
		w->starved = room > 0;
		return 0;
	}
	return room - w->held.len;
}

static void
ws_op_shutdown(struct filter *f)
{
	f_ws_close(f, F_WS_NORMAL, "");
}

static void
ws_op_pause(struct filter *f, bool paused)
{
	struct f_ws *w = ws_of(f);

	filter_pause(f->below, paused || w->resting);
	/* What is left to do needs no input, so below will not tell of it. */
	if (!paused && (w->close_waiting || w->resting || w->below_err != 0))
		task_later(f->loop, &w->again);
}

static size_t
ws_op_pending(const struct filter *f)
{
	return ws_of(f)->held.len;
}

static void
ws_op_detach(struct filter *f)
{
	struct f_ws *w = ws_of(f);

	task_cancel(f->loop, &w->again);
	task_cancel(f->loop, &w->tell);
}

static int
ws_op_attach(struct filter *f, struct loop *l)
{
	struct f_ws *w = ws_of(f);

	if (!f->paused)
		task_later(l, &w->again);
	return 0;
}

static void
ws_op_fini(struct filter *f)
{
	struct f_ws *w = ws_of(f);

	if (f->loop != NULL)
		ws_op_detach(f);
	bufq_fini(&w->held);
	bufq_fini(&w->message);
	mem_wipe(w->control, sizeof w->control);
}

static const struct filter_ops ws_ops = {
	.name = "websocket",
	.write = ws_op_write,
	.flush = ws_op_flush,
	.room = ws_op_room,
	.shutdown = ws_op_shutdown,
	.fini = ws_op_fini,
	.pause = ws_op_pause,
	.detach = ws_op_detach,
	.attach = ws_op_attach,
	.pending = ws_op_pending,
};

/* ---- the rest of the interface ---- */

struct filter *
f_ws_new(struct filter *below, struct loop *l, const struct f_ws_config *cfg)
{
	struct f_ws *w = mem_zalloc(sizeof *w);

	assert(cfg->mode == F_WS_STREAM || (cfg->max_message > 0 && cfg->on_message != NULL));
	if (w == NULL)
		return NULL;
	filter_init(&w->f, &ws_ops, below, l);
	w->cfg = *cfg;
	w->peer_code = F_WS_ABNORMAL;
	task_init(&w->again, on_again, w);
	task_init(&w->tell, on_tell, w);
	if (below->eof || below->closed)
		w->below_err = below->closed ? ERR_CLOSED : ERR_EOF;
	filter_set_user(below, &below_user, w);
	filter_pause(below, false);
	task_later(l, &w->again);
	return &w->f;
}

void
f_ws_set_arg(struct filter *f, void *arg)
{
	ws_of(f)->cfg.arg = arg;
}

int
f_ws_send_message(struct filter *f, enum f_ws_kind kind, struct bufq *payload)
{
	struct f_ws *w = ws_of(f);
	enum f_ws_opcode opcode = kind == F_WS_TEXT ? F_WS_OP_TEXT : F_WS_OP_BINARY;
	struct bufq frame = { 0 };
	int r;

	if (w->close_sent || is_over(w))
		return ERR_CLOSED;
	r = f_ws_frame_put(mask_of(w), opcode, payload, payload->len, &frame);
	if (r == 0)
		r = bufq_move(&w->held, &frame, frame.len);
	bufq_fini(&frame);
	return r;
}

int
f_ws_ping(struct filter *f, const void *p, size_t n)
{
	struct f_ws *w = ws_of(f);

	if (w->close_sent || is_over(w))
		return ERR_CLOSED;
	if (n > F_WS_CONTROL_MAX)
		return ERR_LIMIT;
	return send_control(w, F_WS_OP_PING, p, n);
}

void
f_ws_close(struct filter *f, int code, const char *reason)
{
	struct f_ws *w = ws_of(f);

	if (!is_over(w))
		send_close(w, code, reason, strlen(reason));
}

int
f_ws_peer_code(const struct filter *f)
{
	return ws_of(f)->peer_code;
}
