/* SPDX-License-Identifier: ISC */
/*
 * mux_int - what mux.c (session), mux_stream.c (one stream's halves), mux_datagram.c (one without
 * halves), mux_client.c (whose streams) and mux_out.c (who sends next) share.  Nobody else includes
 * it.
 */
#ifndef PROTO_MUX_INT_H
#define PROTO_MUX_INT_H

#include <sys/queue.h>

#include "lib/base/hashtab.h"
#include "proto/datagrams.h"
#include "proto/flow.h"
#include "proto/mux.h"
#include "proto/turns.h"

/* The half towards the peer.  mux_stream.c has the table of moves. */
enum mux_out_half {
	OUT_OPEN,
	/* stream_eof was called; queued bytes go first */
	OUT_ENDING,
	/* waiting for the far endpoint to have passed everything on */
	OUT_EOF_SENT,
	/* final */
	OUT_EOF_ACKED,
	/* stream_reset was called; queued bytes go first, then RESET, and the stream is gone */
	OUT_RESETTING,
	OUT_HALVES
};

/* The half from the peer. */
enum mux_in_half {
	IN_OPEN,
	/* the peer's EOF was told to the user */
	IN_EOF_SEEN,
	/* final: we have said that it was passed on */
	IN_EOF_ACKED,
	IN_HALVES
};

enum mux_state {
	/* the peer's HELLO is the next frame */
	MUX_START,
	/* it was read; the user decides */
	MUX_HELD,
	MUX_OPEN,
	/* the peer broke the protocol, or was refused; nothing more is read */
	MUX_BROKEN,
	MUX_STATES
};

/*
 * Names and allowed moves [from][to], for the setters, the debug log and the test that compares
 * them with PROTOCOL.md.
 */
extern const char *const mux_out_name[OUT_HALVES];
extern const bool mux_out_can[OUT_HALVES][OUT_HALVES];
extern const char *const mux_in_name[IN_HALVES];
extern const bool mux_in_can[IN_HALVES][IN_HALVES];
extern const char *const mux_state_name[MUX_STATES];
extern const bool mux_state_can[MUX_STATES][MUX_STATES];

struct mux;

/*
 * The streams of one client, which take turns among themselves.  There while it has any; number 0
 * is there always.
 */
struct mux_client {
	uint32_t number;
	uint32_t n_streams;
	/* its place in the session's rotation */
	struct turn turn;
	struct turns streams;
	/* used when the session tells clients apart */
	struct budget budget, keep;
	UT_hash_handle hh;
};

struct mux_stream {
	struct stream s;
	struct mux *m;
	struct mux_client *client;
	/* 0: its OPEN has not left */
	uint32_t id;
	/* opened by us */
	bool local;
	/* OPEN_OK was sent or received */
	bool answered;

	/* The OPEN or OPEN_OK that waits for the stream's turn; NULL: none. */
	char *head;
	size_t head_len;

	/* towards the peer */
	enum mux_out_half out_half;
	struct flow_out to;
	/*
	 * bytes [out_base, out_base + out.len) of the half; they begin at what is acknowledged
	 * where it is retained, else at what is sent
	 */
	struct bufq out;
	uint64_t out_base;
	/* OUT_RESETTING: what RESET will say; the text may be NULL */
	uint32_t reset_code;
	char *reset_text;
	/*
	 * bytes are waited for; when RESET goes at last, unless more than linger_sent bytes have
	 * gone by then
	 */
	bool lingers;
	uint64_t linger_us, linger_sent;

	/*
	 * a stream of datagrams: those that wait, and nothing of the two halves is used but their
	 * OPEN and RESETTING; NULL: a stream of bytes
	 */
	struct datagrams *datagrams;

	/* from the peer */
	enum mux_in_half in_half;
	struct flow_in from;
	/* the end may be acknowledged */
	bool in_eof_ack;

	struct turn turn;
	/* in the session's list of WINDOW frames to send */
	bool window_due;
	/* something to acknowledge, not urgent */
	bool ack_due;
	/* credit is looked at when idle_us has come */
	bool watched;
	uint64_t idle_us;
	TAILQ_ENTRY(mux_stream) window_turn;
	TAILQ_ENTRY(mux_stream) ack_turn;
	TAILQ_ENTRY(mux_stream) idle_turn;
	/* OUT_RESETTING */
	TAILQ_ENTRY(mux_stream) linger_turn;
	/* in the session's list of all streams */
	TAILQ_ENTRY(mux_stream) all;
	UT_hash_handle hh;
};

TAILQ_HEAD(mux_stream_list, mux_stream);

struct mux {
	struct session s;
	struct mux_config cfg;
	enum mux_state state;
	struct mux_stream_list all;
	/* by id: mux_stream_find() */
	struct mux_stream *streams;
	/* of the ids' hash: a peer chooses its ids, so it must not know where they go */
	uint64_t id_mul, id_add;
	uint32_t next_id;
	/* ids of the peer's streams only go up */
	uint32_t peer_last_id;
	bool greeted, goaway_sent, goaway_got;

	/*
	 * the stream whose DATA or DATAGRAM frame is being read, NULL when dropped; bytes of that
	 * frame still to come; of a datagram those that have come
	 */
	struct mux_stream *filling;
	uint32_t fill_left;
	struct bufq datagram;
	/*
	 * work done, PINGs seen in this call of session_input; the last PING that is not answered
	 * yet
	 */
	unsigned work, pings;
	uint8_t late_ping[8];

	/* frames that go before all payload */
	struct bufq control;
	struct mux_client *clients;
	struct mux_client client0;
	struct turns turns;
	struct mux_stream_list windows, acks;
	/* by idle_us; by linger_us */
	struct mux_stream_list idle, resetting;
	/* bytes queued on those that are resetting */
	uint64_t lingering;
	/* bytes queued on streams that wait for their turn */
	uint64_t unsent;
	/* as of the last call that said */
	uint64_t now_us;
	/* when the next ping may be due; when the last one went */
	uint64_t ping_us, pinged_us;
	/* when delayed acknowledgements are due; UINT64_MAX: none */
	uint64_t ack_us;
	/* ERR_NOMEM or ERR_LIMIT met where no error could be returned */
	int failed;
};

/* mux_retains - is what was sent kept until it is acknowledged? */
static inline bool
mux_retains(const struct mux *m)
{
	return m->cfg.endpoint && !m->cfg.inner;
}

/* ---- mux.c ---- */

/*
 * mux_control - queue a frame that goes before all payload.  A failure is kept and ends the session
 * at the next call.
 */
void mux_control(
    struct mux *m, uint8_t type, uint8_t flags, uint32_t id, const void *body, size_t n);
/* mux_frame - append a whole frame to out.  ERR_NOMEM. */
int mux_frame(struct bufq *out, uint8_t type, uint8_t flags, uint32_t id, const void *body,
    size_t n) WARN_UNUSED;
/*
 * mux_text_body - code and text as RESET and GOAWAY have them, cut between two characters; returns
 * its length.
 */
#define MUX_TEXT_MAX (4 + 256)
size_t mux_text_body(uint8_t body[MUX_TEXT_MAX], uint32_t code, const char *text);
void mux_want_output(struct mux *m);

/* ---- mux_client.c ---- */

/*
 * mux_client_get - the client of that number, for one more stream; NULL when out of memory.
 * mux_client_put - one less.
 */
struct mux_client *mux_client_get(struct mux *m, uint32_t number);
void mux_client_put(struct mux *m, struct mux_client *c);
/*
 * mux_client_init - its budgets.  mux_client_budget - what pays for streams of c; _keep - for what
 * they keep.
 */
void mux_client_init(struct mux *m, struct mux_client *c);
struct budget *mux_client_budget(struct mux *m, struct mux_client *c);
struct budget *mux_client_keep(struct mux *m, struct mux_client *c);

/* ---- mux_stream.c ---- */

extern const struct stream_ops mux_stream_ops;

/*
 * mux_stream_new - a stream of the client that o names.  id 0: a local one, whose OPEN (o, with the
 * first window) waits for its turn. charge: NULL for the client's budget.  Returns ERR_NOMEM, or
 * ERR_LIMIT when the OPEN would be too long.
 */
int mux_stream_new(struct mux *m, uint32_t id, const struct ctl_open *o, struct budget *charge,
    struct mux_stream **out) WARN_UNUSED;
/* mux_stream_name - give a local stream its id, when its OPEN leaves.  ERR_NOMEM. */
int mux_stream_name(struct mux_stream *ms, uint32_t id) WARN_UNUSED;
/* mux_stream_find - NULL: there is none. */
struct mux_stream *mux_stream_find(const struct mux *m, uint32_t id);
/* mux_stream_drop - out of every list and freed; the user is not told. */
void mux_stream_drop(struct mux_stream *ms);
/* mux_stream_close - tell the user, then drop. */
void mux_stream_close(struct mux_stream *ms, uint32_t code, const char *text);
/* mux_stream_fail - the peer broke the rules of this stream: reset it, and tell the user. */
void mux_stream_fail(struct mux_stream *ms, const char *text);
void mux_stream_set_out(struct mux_stream *ms, enum mux_out_half next);
/* Frames from the peer.  ERR_PROTO ends the session. */
int mux_stream_data(struct mux_stream *ms, struct bufq *in, size_t n) WARN_UNUSED;
int mux_stream_window(
    struct mux_stream *ms, uint64_t acked, uint64_t limit, uint8_t flags) WARN_UNUSED;
int mux_stream_ended(struct mux_stream *ms, uint64_t final) WARN_UNUSED;
int mux_stream_returned(struct mux_stream *ms, uint64_t to) WARN_UNUSED;
/*
 * mux_stream_window_frame - append the WINDOW frame that says how things stand, and forget that one
 * is due.
 */
int mux_stream_window_frame(struct mux_stream *ms, struct bufq *out) WARN_UNUSED;
/* mux_stream_linger - resets that have waited long enough for room wait no longer. */
void mux_stream_linger(struct mux *m);
/* mux_stream_idle - give back the credit that streams have not used. */
void mux_stream_idle(struct mux *m);
/* mux_stream_finish - close it if both halves have reached their end; returns true if so. */
bool mux_stream_finish(struct mux_stream *ms);
/*
 * mux_stream_unsent - bytes queued and not yet sent; _sendable those that the peer's limit admits.
 */
uint64_t mux_stream_unsent(const struct mux_stream *ms);
uint64_t mux_stream_sendable(const struct mux_stream *ms);

/* ---- mux_datagram.c ---- */

/* mux_datagram_init - ms, which is new, carries datagrams.  ERR_NOMEM. */
int mux_datagram_init(struct mux_stream *ms, struct budget *charge) WARN_UNUSED;
/* mux_datagram_fini - drop those that wait; nothing on a stream of bytes. */
void mux_datagram_fini(struct mux_stream *ms);
/* mux_datagram_send - what stream_datagram does. */
int mux_datagram_send(struct stream *s, struct bufq *src, unsigned *dropped) WARN_UNUSED;
size_t mux_datagram_room(const struct mux_stream *ms);
/*
 * mux_datagram_fill - of the DATAGRAM frame that is being read n bytes have come: keep them, and
 * deliver the datagram with the last ones.  ERR_NOMEM.
 */
int mux_datagram_fill(struct mux *m, struct bufq *in, size_t n) WARN_UNUSED;
/* mux_datagram_waits - one is to be sent; _need - bytes of its frame, 0 if none waits. */
static inline bool
mux_datagram_waits(const struct mux_stream *ms)
{
	return ms->datagrams != NULL && ms->datagrams->n > 0;
}
size_t mux_datagram_need(const struct mux_stream *ms);
/* mux_datagram_frame - append its frame; *n: bytes of the datagram.  ERR_NOMEM. */
int mux_datagram_frame(struct mux_stream *ms, struct bufq *out, size_t *n) WARN_UNUSED;

/* ---- mux_out.c ---- */

/* mux_out_schedule - put the stream in line if it has something to send, out of it if not. */
void mux_out_schedule(struct mux_stream *ms);
/* mux_out_leave - out of the line. */
void mux_out_leave(struct mux_stream *ms);
/* mux_out_head - append the OPEN or OPEN_OK that waits. */
int mux_out_head(struct mux_stream *ms, struct bufq *out) WARN_UNUSED;
int mux_out_fill(struct mux *m, struct bufq *out, size_t max) WARN_UNUSED;

#endif
