/* SPDX-License-Identifier: ISC */
/*
 * f_ws_frame - single WebSocket frames (RFC 6455 5.2) by wslay: headers and control frames read,
 * headers written, whole frames built.  No I/O.
 *
 * For f_ws only.  It knows what a frame is by itself; what may follow what (fragments, Close) is
 * f_ws's business.  wslay's contexts belong to the calling thread (f_ws_thread_fini in f_ws.h).
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
#include "lib/ws/f_ws.h"

/* 2 bytes, 8 of length, 4 of key. */
#define F_WS_FRAME_HEADER_MAX 14
#define F_WS_FRAME_LOOK (F_WS_FRAME_HEADER_MAX + F_WS_CONTROL_MAX)

enum f_ws_opcode {
	F_WS_OP_CONTINUATION = 0,
	F_WS_OP_TEXT = 1,
	F_WS_OP_BINARY = 2,
	F_WS_OP_CLOSE = 8,
	F_WS_OP_PING = 9,
	F_WS_OP_PONG = 10,
};

/* What a header says, and how many bytes of the payload have gone by. */
struct f_ws_frame {
	bool fin, masked;
	uint8_t opcode;
	uint8_t key[4];
	uint64_t len, done;
};

/* f_ws_frame_is_control - Close, Ping, Pong (5.5). */
static inline bool
f_ws_frame_is_control(const struct f_ws_frame *fr)
{
	return fr->opcode & 8;
}

/*
 * f_ws_frame_parse - read one header, and the payload of a control frame with it.
 *   p, n      what there is; at most F_WS_FRAME_LOOK bytes are looked at, and none is changed
 *   client    we are the client: the frame must not be masked, otherwise it must (5.1)
 *   control   filled with the unmasked payload of a control frame, fr->len bytes
 *   why       set with ERR_PROTO only: what is wrong
 * Returns the bytes to drop: the header of a data frame, a whole control frame; 0 if more are
 * needed; ERR_PROTO; ERR_NOMEM.
 */
ssize_t f_ws_frame_parse(struct f_ws_frame *fr, const uint8_t *p, size_t n, bool client,
    uint8_t control[F_WS_CONTROL_MAX], const char **why) WARN_UNUSED;

/*
 * f_ws_frame_put - the first n bytes of src as one whole frame at the end of out: a client's masked
 * into fresh blocks with a random key (5.3), a server's moved.  A control frame has at most
 * F_WS_CONTROL_MAX bytes. Returns 0; after ERR_NOMEM or ERR_SYS (no random bytes) some of src and a
 * part of the frame may be lost.
 */
int f_ws_frame_put(
    bool client, enum f_ws_opcode opcode, struct bufq *src, size_t n, struct bufq *out) WARN_UNUSED;

/* f_ws_frame_is_close_code - may this code stand in a Close frame (7.4)? */
bool f_ws_frame_is_close_code(int code);

#endif
