/* SPDX-License-Identifier: ISC */
/*
 * f_ws_int - what the two files of the WebSocket filter share: f_ws.c (states, sending, the
 * filter's operations) and f_ws_in.c (receiving).
 *
 * Whatever may call the user may free the filter: f_ws_is_over() is asked afterwards.  The memory
 * stays until the end of the turn.
 *
 * Private to lib/ws.
 */
#ifndef LIB_F_WS_INT_H
#define LIB_F_WS_INT_H

#include "lib/base/utf8.h"
#include "lib/ws/f_ws.h"
#include "lib/ws/f_ws_frame.h"

/* The two directions; f_ws.c draws them. */
enum f_ws_rx { RX_FRAMES, RX_CLOSE, RX_OVER, RX_STATES };

enum f_ws_tx { TX_OPEN, TX_CLOSED, TX_STATES };

/* Bytes of the code in a Close frame (5.5.1). */
#define F_WS_CLOSE_CODE_LEN 2

struct f_ws {
	struct filter f;
	struct f_ws_config cfg;

	/* Receiving. */
	enum f_ws_rx rx;
	/* f_ws_input is on the stack. */
	bool running;
	/* f.in has grown since the user was told. */
	bool fresh;
	/* The payload of the data frame rf comes next, not a header. */
	bool in_data;
	struct f_ws_frame rf;
	uint8_t control[F_WS_CONTROL_MAX];
	/* Of the message that is being received; 0: none. */
	uint8_t kind;
	uint64_t message_len;
	/* F_WS_MESSAGES only. */
	struct bufq message;
	struct utf8 utf8;
	int peer_code;
	char peer_reason[F_WS_REASON_MAX + 1];
	/* 0, or how below ended. */
	int below_err;
	char below_text[128];

	/* What this turn of the loop has seen so far. */
	uint64_t turn;
	unsigned n_frames, n_pings;
	/* It has seen F_WS_TURN_FRAMES: below is paused until the next. */
	bool resting;

	/* Sending. */
	enum f_ws_tx tx;
	/* F_WS_STREAM: bytes; F_WS_MESSAGES: frames. */
	struct bufq held;
	/* The user found no room while below had some. */
	bool starved;
	bool pong_due;
	/* Below has a pong that was not flushed. */
	bool unflushed;
	uint8_t pong_len;
	uint8_t pong[F_WS_CONTROL_MAX];

	/* Go on after a pause, or in the next turn. */
	struct task again;
	/* There is room again. */
	struct task tell;
};

void f_ws_set_rx(struct f_ws *w, enum f_ws_rx next);
void f_ws_set_tx(struct f_ws *w, enum f_ws_tx next);

/* f_ws_is_over - has the user been told the end, or gone? */
static inline bool
f_ws_is_over(const struct f_ws *w)
{
	return w->f.closed || w->f.eof || w->rx == RX_OVER;
}

/* f_ws_tell_readable - if f.in has grown. */
void f_ws_tell_readable(struct f_ws *w);

/* f_ws_fail - break off: say why to the peer (code 0: nothing) and to the user. */
void f_ws_fail(struct f_ws *w, int code, int err, const char *text);
void f_ws_fail_nomem(struct f_ws *w);

/*
 * f_ws_write_pong - the answer to the latest ping, if the socket takes something; f_ws_flush_pongs
 * sends it.
 */
void f_ws_write_pong(struct f_ws *w);
void f_ws_flush_pongs(struct f_ws *w);

/* f_ws_send_close - once, behind what is held; the n bytes of the reason are cut to what fits. */
void f_ws_send_close(struct f_ws *w, int code, const char *reason, size_t n);

/* f_ws_input - read all there is, unless the user pauses or the turn has seen enough. */
void f_ws_input(struct f_ws *w);

#endif
