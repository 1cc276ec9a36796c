/* SPDX-License-Identifier: ISC */
/*
 * f_ws - the WebSocket filter (RFC 6455 5 to 7): frames, control frames, the closing handshake.
 *
 * It stands on an open connection whose opening handshake (handshake.h) is done; bytes that came
 * behind the handshake wait in below->in. Two modes:
 *
 *   F_WS_STREAM     A byte stream.  Message boundaries carry no meaning: the payload of binary
 *                   messages is appended to f->in as it arrives, before its frame is complete.
 *                   What was written since the last flush is sent as one message, or as several of
 *                   at most F_WS_FRAME_MAX.  Text messages end the connection with 1003 unless
 *                   text_as_bytes.
 *   F_WS_MESSAGES   Whole messages: each is handed to on_message, bounded by max_message (1009
 *                   beyond), text checked to be UTF-8 while it arrives (1007).  f_ws_send_message
 *                   sends one.  f->in stays empty and filter_write is not used.
 *
 * Pings are answered at once, whatever waits to be sent; of several that cannot be answered yet the
 * latest is (5.5.3), so a flood of pings takes no memory.  A flood of small frames holds the loop
 * for F_WS_TURN_FRAMES of them at a time.  The end: filter_shutdown() sends Close 1000 (f_ws_close
 * another code) behind what was written, and the peer's Close, or its end of the connection, ends
 * the stream:
 *   closed(ERR_EOF)      Close was exchanged, whoever began
 *   closed(ERR_CLOSED)   the connection went away without a Close
 *   closed(ERR_PROTO)    the peer broke the protocol; Close with the fitting code was sent
 *   closed(ERR_LIMIT)    a message over max_message; Close 1009 was sent
 * f_ws holds no timer: whoever waits for the peer's Close sets a deadline of its own.
 *
 * Payload copies.  Receiving: none; unmasked in place in the received blocks.  Sending: none for a
 * server; one for a client, since it may not change bytes that somebody retains.
 */
#ifndef LIB_F_WS_H
#define LIB_F_WS_H

#include "lib/net/filter.h"

/* Payload of one frame sent: enough to make its header free, short enough to plan with. */
#define F_WS_FRAME_MAX (1024 * 1024)
/* Payload of a control frame (5.5). */
#define F_WS_CONTROL_MAX 125
/* Bytes of a close reason. */
#define F_WS_REASON_MAX 123

/*
 * In one turn of the loop so many frames are read at most, the rest in the next one; and of the
 * pings among them the first ones are answered, and then the latest.
 */
#define F_WS_TURN_FRAMES 512
#define F_WS_TURN_PONGS 16

/* Close codes (7.4.1). */
enum f_ws_code {
	F_WS_NORMAL = 1000,
	F_WS_GOING_AWAY = 1001,
	F_WS_PROTOCOL = 1002,
	F_WS_UNSUPPORTED = 1003,
	/* never sent: the peer's Close had no code */
	F_WS_NO_CODE = 1005,
	F_WS_BAD_UTF8 = 1007,
	F_WS_POLICY = 1008,
	F_WS_TOO_BIG = 1009,
	F_WS_INTERNAL = 1011,
};

enum f_ws_mode {
	F_WS_STREAM,
	F_WS_MESSAGES,
};

/* The kinds of messages. */
enum f_ws_kind {
	F_WS_TEXT = 1,
	F_WS_BINARY = 2,
};

struct f_ws_config {
	enum f_ws_mode mode;
	/* We mask, the peer must not; a server the other way round (5.1). */
	bool client;
	/* F_WS_STREAM: text messages are bytes too, not checked. */
	bool text_as_bytes;
	/* Bytes; 0: no limit (only in F_WS_STREAM, where nothing is collected). */
	uint64_t max_message;
	/*
	 * F_WS_MESSAGES: a whole message.  payload may be taken (bufq_move); what is left is
	 * dropped.  f may be freed in it. While the filter is paused no message is delivered.
	 */
	void (*on_message)(void *arg, enum f_ws_kind kind, struct bufq *payload);
	/* A pong arrived; NULL: not interested.  f may be freed in it. */
	void (*on_pong)(void *arg, const uint8_t *p, size_t n);
	/* A ping arrived, which is answered in any case; NULL: not interested. */
	void (*on_ping)(void *arg);
	/* Of these three; filter_set_user() has its own. */
	void *arg;
};

/*
 * f_ws_new - put a WebSocket on below.  On success below is owned by the filter.  Returns NULL when
 * out of memory, and below is still the caller's.  What waits in below->in is looked at in the
 * loop, not within this call.
 */
struct filter *f_ws_new(
    struct filter *below, struct loop *l, const struct f_ws_config *cfg) WARN_UNUSED;

/*
 * f_ws_set_arg - whoever gets the messages from now on; before the loop's next turn nobody is told
 * of one.
 */
void f_ws_set_arg(struct filter *f, void *arg);

/* f_ws_set_max_message - as the configuration has it, from the next message on. */
void f_ws_set_max_message(struct filter *f, uint64_t max);

/*
 * f_ws_send_message - F_WS_MESSAGES: one whole message; payload is moved.  Text is the caller's to
 * have checked.  filter_flush lets it go.  Returns 0; ERR_CLOSED after Close was sent; ERR_NOMEM or
 * ERR_SYS (no random bytes), and then the message is not sent and payload may have lost its
 * beginning.
 */
int f_ws_send_message(struct filter *f, enum f_ws_kind kind, struct bufq *payload) WARN_UNUSED;

/*
 * f_ws_close - as filter_shutdown with a code and a reason (UTF-8; cut to F_WS_REASON_MAX bytes).
 * A second call does nothing.
 */
void f_ws_close(struct filter *f, int code, const char *reason);

/*
 * f_ws_ping - send a ping with these n bytes (at most F_WS_CONTROL_MAX), whatever the room;
 * cfg.on_pong is told of the answer, which has the same.  After Close, or without memory, nothing
 * is sent: then there is no answer either.
 */
void f_ws_ping(struct filter *f, const void *p, size_t n);

/* f_ws_peer_code - of the peer's Close (7.1.5): F_WS_NO_CODE if it has none; 0: none came yet. */
int f_ws_peer_code(const struct filter *f);
/* f_ws_peer_reason - the same of its reason: UTF-8 of any kind, "" if there is none. */
const char *f_ws_peer_reason(const struct filter *f);

/* f_ws_thread_fini - free what this thread keeps for all its WebSockets; before it ends. */
void f_ws_thread_fini(void);

#endif
