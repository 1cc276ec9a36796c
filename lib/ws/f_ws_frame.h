/* SPDX-License-Identifier: ISC */
/*
 * f_ws_frame - single WebSocket frames (RFC 6455 5.2): headers read and written, whole frames built.  No state, no I/O.
 *
 * For f_ws only.  It is told what a frame is by itself; what may follow what (fragments, Close) is f_ws's business.
 *
 * Private to lib/ws.
 */
#ifndef LIB_F_WS_FRAME_H
#define LIB_F_WS_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/net/buf.h"
#include "lib/base/err.h"

#define F_WS_FRAME_HEADER_MAX 14 /* 2 bytes, 8 of length, 4 of key */

enum f_ws_opcode {
	F_WS_OP_CONTINUATION = 0,
	F_WS_OP_TEXT = 1,
	F_WS_OP_BINARY = 2,
	F_WS_OP_CLOSE = 8,
	F_WS_OP_PING = 9,
	F_WS_OP_PONG = 10,
};

/* What a header says, and how much of the payload has gone by. */
struct f_ws_frame {
	bool fin, masked;
	uint8_t opcode;
	uint8_t key[4];
	uint64_t len, done; /* bytes */
};

/* f_ws_frame_is_control - Close, Ping, Pong (5.5). */
static inline bool
f_ws_frame_is_control(const struct f_ws_frame *fr)
{
	return fr->opcode & 8;
}

/*
 * f_ws_frame_parse - read one header.
 *   p, n     what there is; at most F_WS_FRAME_HEADER_MAX bytes are looked at
 *   client   we are the client: the frame must not be masked, otherwise it must (5.1)
 *   why      set with ERR_PROTO only: what is wrong
 * Returns the header's length; 0 if more bytes are needed; ERR_PROTO.  What the first two bytes say wrong is refused without
 * waiting for the rest.
 */
ssize_t f_ws_frame_parse(
    struct f_ws_frame *fr, const uint8_t *p, size_t n, bool client, const char **why) WARN_UNUSED;

/*
 * f_ws_frame_build - one whole frame of any kind, by wslay; payload is copied.
 * Returns 0, or ERR_NOMEM with out as it was.
 */
int f_ws_frame_build(
    bool client, enum f_ws_opcode opcode, const struct bufq *payload, struct bufq *out) WARN_UNUSED;

/* How a frame is masked (5.3). */
enum f_ws_mask {
	F_WS_UNMASKED,   /* a server's */
	F_WS_ZERO_KEY,   /* a client's, with a key that changes nothing */
	F_WS_RANDOM_KEY, /* a client's */
};

/*
 * f_ws_frame_bulk - the first n bytes of src as one binary frame at the end of out: masked into fresh blocks with a random key, otherwise
 * moved.  Returns 0; after ERR_NOMEM or ERR_SYS (no random bytes) some of src may be lost.
 */
int f_ws_frame_bulk(enum f_ws_mask mask, struct bufq *src, size_t n, struct bufq *out) WARN_UNUSED;

/* f_ws_frame_is_close_code - may this code stand in a Close frame (7.4)? */
bool f_ws_frame_is_close_code(int code);

#endif
