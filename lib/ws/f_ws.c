/* SPDX-License-Identifier: ISC */
/*
 * f_ws - the WebSocket filter: its states, what it sends, what others call.
 *
 * The two directions, each a machine:
 *
 *   receiving   RX_FRAMES ── Close, and the user reads; a failure; the end of below ──→ RX_OVER
 *                   └── Close, and the user is paused → RX_CLOSE ── it reads again ────────┘
 *   sending     TX_OPEN ── our Close: asked for, in answer, or to say what is wrong ──→ TX_CLOSED
 *
 * In RX_OVER the stream is over: what still comes is dropped.
 *
 * Copies of payload:
 *   server           header and moved slices: 0
 *   client           masked into fresh blocks, filled whole: 1
 *   control frames   2
 */
#include "lib/ws/f_ws_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

static const char *const rx_name[RX_STATES] = { "frames", "close", "over" };
static const char *const tx_name[TX_STATES] = { "open", "closed" };

/* From the row's state to the column's. */
static const bool rx_can[RX_STATES][RX_STATES] = {
	[RX_FRAMES] = { [RX_CLOSE] = true, [RX_OVER] = true },
	[RX_CLOSE] = { [RX_OVER] = true },
};
static const bool tx_can[TX_STATES][TX_STATES] = {
	[TX_OPEN] = { [TX_CLOSED] = true },
};

static struct f_ws *
ws_of(const struct filter *f)
{
	return (struct f_ws *)(uintptr_t)f;
}

void
f_ws_set_rx(struct f_ws *w, enum f_ws_rx next)
{
	assert(rx_can[w->rx][next]);
	log_debug("websocket: receiving: %s -> %s", rx_name[w->rx], rx_name[next]);
	w->rx = next;
}

void
f_ws_set_tx(struct f_ws *w, enum f_ws_tx next)
{
	assert(tx_can[w->tx][next]);
	log_debug("websocket: sending: %s -> %s", tx_name[w->tx], tx_name[next]);
	w->tx = next;
}

void
f_ws_tell_readable(struct f_ws *w)
{
	if (!w->fresh)
		return;
	w->fresh = false;
	filter_readable(&w->f);
}

void
f_ws_fail(struct f_ws *w, int code, int err, const char *text)
{
	if (f_ws_is_over(w))
		return;
	/* What came before the mistake is good. */
	f_ws_tell_readable(w);
	if (f_ws_is_over(w))
		return;
	f_ws_set_rx(w, RX_OVER);
	bufq_fini(&w->held);
	if (code != 0)
		f_ws_send_close(w, code, text, strlen(text));
	if (!w->f.closed)
		filter_shutdown(w->f.below);
	filter_close(&w->f, err, text);
}

void
f_ws_fail_nomem(struct f_ws *w)
{
	f_ws_fail(w, F_WS_INTERNAL, ERR_NOMEM, "out of memory");
}

/* ---- control frames sent ---- */

/* Write one control frame.  Returns 0, or an error for which nothing is sent. */
static int
write_control(struct f_ws *w, enum f_ws_opcode opcode, const void *p, size_t n)
{
	struct bufq payload = { 0 }, out = { 0 };
	int r = bufq_copy(&payload, p, n);

	if (r == 0)
		r = f_ws_frame_put(w->cfg.client, opcode, &payload, n, &out);
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

void
f_ws_write_pong(struct f_ws *w)
{
	if (!w->pong_due || w->tx == TX_CLOSED || f_ws_is_over(w))
		return;
	/* What stands there unflushed is the pong before, and no reason to wait. */
	if (!w->unflushed && filter_room(w->f.below) == 0)
		return;
	w->pong_due = false;
	if (write_control(w, F_WS_OP_PONG, w->pong, w->pong_len) == ERR_NOMEM)
		f_ws_fail_nomem(w);
	else
		w->unflushed = true;
}

void
f_ws_flush_pongs(struct f_ws *w)
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
	struct bufq out = { 0 };
	int r = 0;

	if (w->held.len == 0)
		return;
	if (w->cfg.mode == F_WS_MESSAGES)
		r = bufq_move(&out, &w->held, w->held.len);
	while (w->held.len > 0 && r == 0) {
		size_t n = w->held.len < F_WS_FRAME_MAX ? w->held.len : F_WS_FRAME_MAX;

		r = f_ws_frame_put(w->cfg.client, F_WS_OP_BINARY, &w->held, n, &out);
	}
	if (r == 0)
		r = filter_write(w->f.below, &out);
	bufq_fini(&out);
	/* Bytes of the stream are lost: nothing can follow them, not even Close. */
	if (r != 0)
		f_ws_fail(w, 0, r, r == ERR_CLOSED ? "the connection is closed" : err_str(r));
}

void
f_ws_send_close(struct f_ws *w, int code, const char *reason, size_t n)
{
	uint8_t p[F_WS_CONTROL_MAX] = { (uint8_t)(code >> 8), (uint8_t)code };

	if (w->tx == TX_CLOSED)
		return;
	send_held(w);
	if (w->f.closed || w->tx == TX_CLOSED)
		return;
	f_ws_set_tx(w, TX_CLOSED);
	if (n > F_WS_REASON_MAX)
		n = F_WS_REASON_MAX;
	/* Never cut inside a character. */
	while (n > 0 && !utf8_is_valid(reason, n))
		n--;
	memcpy(p + F_WS_CLOSE_CODE_LEN, reason, n);
	/*
	 * Without memory for the frame the peer sees the connection end: it is over all the same.
	 */
	IGNORE_RESULT(
	    send_control(w, F_WS_OP_CLOSE, p, code == F_WS_NO_CODE ? 0 : F_WS_CLOSE_CODE_LEN + n));
}

/* ---- told by below ---- */

static void
on_readable(void *arg)
{
	f_ws_input(arg);
}

static void
on_writable(void *arg)
{
	struct f_ws *w = arg;

	f_ws_write_pong(w);
	f_ws_flush_pongs(w);
	if (!f_ws_is_over(w) && w->tx == TX_OPEN)
		filter_writable(&w->f);
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct f_ws *w = arg;

	/* Our answer to the peer's Close, and what was written before, may be lost. */
	if (w->f.eof && err != ERR_EOF)
		filter_close(&w->f, err, text);
	if (f_ws_is_over(w))
		return;
	w->below_err = err;
	snprintf(w->below_text, sizeof w->below_text, "%s", text);
	f_ws_input(w);
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
	f_ws_write_pong(w);
	f_ws_input(w);
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
	if (w->tx == TX_CLOSED || f_ws_is_over(w))
		return ERR_CLOSED;
	return bufq_move(&w->held, src, src->len);
}

static void
ws_op_flush(struct filter *f)
{
	struct f_ws *w = ws_of(f);

	if (f_ws_is_over(w))
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

	if (w->tx == TX_CLOSED || f_ws_is_over(w))
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
	if (!paused && (w->rx == RX_CLOSE || w->resting || w->below_err != 0))
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

void
f_ws_set_max_message(struct filter *f, uint64_t max)
{
	ws_of(f)->cfg.max_message = max;
}

int
f_ws_send_message(struct filter *f, enum f_ws_kind kind, struct bufq *payload)
{
	struct f_ws *w = ws_of(f);
	enum f_ws_opcode opcode = kind == F_WS_TEXT ? F_WS_OP_TEXT : F_WS_OP_BINARY;
	struct bufq frame = { 0 };
	int r;

	if (w->tx == TX_CLOSED || f_ws_is_over(w))
		return ERR_CLOSED;
	r = f_ws_frame_put(w->cfg.client, opcode, payload, payload->len, &frame);
	if (r == 0)
		r = bufq_move(&w->held, &frame, frame.len);
	bufq_fini(&frame);
	return r;
}

void
f_ws_ping(struct filter *f, const void *p, size_t n)
{
	struct f_ws *w = ws_of(f);

	if (w->tx == TX_OPEN && !f_ws_is_over(w))
		IGNORE_RESULT(send_control(w, F_WS_OP_PING, p, n)); /* then no answer comes */
}

int
f_ws_peer_code(const struct filter *f)
{
	return ws_of(f)->peer_code;
}

const char *
f_ws_peer_reason(const struct filter *f)
{
	return ws_of(f)->peer_reason;
}

void
f_ws_close(struct filter *f, int code, const char *reason)
{
	struct f_ws *w = ws_of(f);

	if (!f_ws_is_over(w))
		f_ws_send_close(w, code, reason, strlen(reason));
}
