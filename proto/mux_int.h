/* SPDX-License-Identifier: ISC */
/*
 * mux_int - what mux.c (session), mux_stream.c (one stream's halves and windows) and mux_out.c (who sends next) share.
 * Nobody else includes it.
 */
#ifndef PROTO_MUX_INT_H
#define PROTO_MUX_INT_H

#include <sys/queue.h>

#include "lib/base/hashtab.h"
#include "proto/mux.h"

/* The half towards the peer: bytes are queued, sent, and acknowledged by the far endpoint. */
enum mux_out_half {
	OUT_OPEN,
	OUT_ENDING,    /* stream_eof was called; queued bytes go first */
	OUT_EOF_SENT,  /* waiting for the far endpoint to have passed everything on */
	OUT_EOF_ACKED, /* final */
	OUT_RESETTING, /* stream_reset was called; queued bytes go first, then RESET, and the stream is gone */
};

/* The half from the peer. */
enum mux_in_half {
	IN_OPEN,
	IN_EOF_SEEN,  /* the peer's EOF was told to the user */
	IN_EOF_ACKED, /* final: we have said that it was passed on */
};

/* Where a stream waits for its turn to send. */
enum mux_queue { QUEUE_NONE, QUEUE_SPARSE, QUEUE_BULK };

struct mux;

struct mux_stream {
	struct stream s;
	struct mux *m;
	uint32_t id;
	bool local;    /* opened by us */
	bool answered; /* OPEN_OK was sent or received */

	/* towards the peer; offsets from the stream's start */
	enum mux_out_half out_half;
	struct bufq out;     /* bytes [out_base, out_base + out.len) */
	uint64_t out_base;   /* acknowledged when retaining, else sent */
	uint64_t out_sent;   /* next byte to send */
	uint64_t out_limit;  /* the peer takes bytes before this */
	uint64_t out_acked;  /* the far endpoint has passed on bytes before this */
	uint32_t reset_code; /* OUT_RESETTING: what RESET will say */
	char *reset_text;    /* may be NULL */
	uint64_t linger_ms,
	    linger_sent; /* when RESET goes at last, unless out_sent is another one by then */

	/* from the peer */
	enum mux_in_half in_half;
	uint64_t in_received, in_consumed;
	uint64_t in_limit;           /* what the peer may send up to, as last told */
	uint64_t in_window;          /* what we let be on its way */
	uint64_t in_acked;           /* what may be acknowledged ... */
	uint64_t in_acked_said;      /* ... and what has been */
	bool in_eof_ack;             /* the end may be acknowledged */
	uint64_t grow_ms, grow_from; /* start of the running measurement of the peer's rate */

	/* turns */
	enum mux_queue queue;
	TAILQ_ENTRY(mux_stream) turn;
	uint64_t deficit; /* bytes it may still send in this round */
	uint64_t epoch_ms, epoch_bytes;
	bool window_due; /* in the session's list of WINDOW frames to send */
	bool ack_due;    /* something to acknowledge, not urgent */
	TAILQ_ENTRY(mux_stream) window_turn;
	TAILQ_ENTRY(mux_stream) ack_turn;
	TAILQ_ENTRY(mux_stream) linger_turn; /* OUT_RESETTING */
	UT_hash_handle hh;
};

TAILQ_HEAD(mux_stream_list, mux_stream);

enum mux_state {
	MUX_START, /* the peer's HELLO is the next frame */
	MUX_HELD,  /* it was read; the user decides */
	MUX_OPEN,
	MUX_BROKEN, /* the peer broke the protocol, or was refused; nothing more is read */
};

struct mux {
	struct session s;
	struct mux_config cfg;
	enum mux_state state;
	struct mux_stream *streams; /* by id: mux_stream_find() */
	uint64_t id_mul,
	    id_add; /* of the ids' hash: a peer chooses its ids, so it must not know where they go */
	uint32_t next_id;
	uint32_t peer_last_id; /* ids of the peer's streams only go up */
	bool greeted, goaway_sent, goaway_got;

	struct mux_stream
	    *filling;       /* the stream whose DATA frame is being read, NULL when dropped */
	uint32_t fill_left; /* bytes of that frame still to come */

	struct bufq control; /* frames that go before all payload */
	struct mux_stream_list sparse, bulk, windows, acks;
	struct mux_stream_list resetting; /* by linger_ms */
	uint64_t lingering;               /* bytes queued on them */
	uint64_t sparse_run;              /* bytes of sparse streams since bulk had a turn */
	uint64_t window_sum;
	uint64_t retained;  /* bytes queued on all streams, sent or not; an endpoint's only */
	uint64_t unsent;    /* bytes queued on all streams and not yet sent */
	uint64_t now_ms;    /* as of the last call that said */
	uint64_t ping_ms;   /* when the next ping may be due */
	uint64_t pinged_ms; /* when the last one went */
	uint64_t ack_ms;    /* when delayed acknowledgements are due; UINT64_MAX: none */
	int failed;         /* ERR_NOMEM or ERR_LIMIT met where no error could be returned */
};

/* ---- mux.c ---- */

/* mux_control - queue a frame that goes before all payload.  A failure is kept and ends the session at the next call. */
void mux_control(
    struct mux *m, uint8_t type, uint8_t flags, uint32_t id, const void *body, size_t n);
/* mux_text - the same with a code and a text (RESET, GOAWAY). */
void mux_text(struct mux *m, uint8_t type, uint32_t id, uint32_t code, const char *text);
void mux_want_output(struct mux *m);

/* ---- mux_stream.c ---- */

extern const struct stream_ops mux_stream_ops;

/* mux_stream_new - in the session's table; NULL when out of memory. */
struct mux_stream *mux_stream_new(struct mux *m, uint32_t id, bool local);
/* mux_stream_find - NULL: there is none. */
struct mux_stream *mux_stream_find(const struct mux *m, uint32_t id);
/* mux_stream_drop - out of every list and freed; the user is not told. */
void mux_stream_drop(struct mux_stream *ms);
/* mux_stream_close - tell the user, then drop. */
void mux_stream_close(struct mux_stream *ms, uint32_t code, const char *text);
/* Frames from the peer.  ERR_PROTO ends the session. */
int mux_stream_data(struct mux_stream *ms, struct bufq *in, size_t n) WARN_UNUSED;
int mux_stream_window(
    struct mux_stream *ms, uint64_t acked, uint64_t limit, bool eof_acked) WARN_UNUSED;
int mux_stream_ended(struct mux_stream *ms, uint64_t final) WARN_UNUSED;
/* mux_stream_window_frame - append the WINDOW frame that says how things stand, and forget that one is due. */
int mux_stream_window_frame(struct mux_stream *ms, struct bufq *out) WARN_UNUSED;
/* mux_stream_linger - send the RESETs that have waited long enough for room. */
void mux_stream_linger(struct mux *m);
/* mux_stream_finish - close it if both halves have reached their end; returns true if so. */
bool mux_stream_finish(struct mux_stream *ms);
/* mux_stream_unsent - bytes queued and not yet sent; _sendable those that the peer's limit admits. */
uint64_t mux_stream_unsent(const struct mux_stream *ms);
uint64_t mux_stream_sendable(const struct mux_stream *ms);

/* ---- mux_out.c ---- */

/* mux_out_schedule - put the stream in line if it has something to send, out of it if not. */
void mux_out_schedule(struct mux_stream *ms);
/* mux_out_leave - out of the line. */
void mux_out_leave(struct mux_stream *ms);
int mux_out_fill(struct mux *m, struct bufq *out, size_t max) WARN_UNUSED;

#endif
