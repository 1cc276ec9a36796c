/* SPDX-License-Identifier: ISC */
/*
 * f_ws_frame - single WebSocket frames.
 *
 * wslay builds every frame that is not a bulk binary one: control frames and the messages of
 * F_WS_MESSAGES; it knows their limits and masks them.  The receiving side is one state machine of our own for all frames.  wslay's
 * parser does not tell of a frame before some of its payload went through its own 4 KiB buffer, byte by byte, so the bulk path
 * would have to parse every header itself and hand back what turned out not to be bulk: two parsers that must agree on one byte
 * stream, where one that is 60 lines long will do.  The conformance tests run against this one, which is the product's.
 */
#include "lib/ws/f_ws_frame.h"

#include <string.h>
#include <wslay/wslay.h>

#include "lib/base/rand.h"
#include "lib/ws/wsmask.h"

enum {
	CONTROL_MAX = 125, /* RFC 6455 5.5 */
	FIN = 0x80,
	RSV = 0x70,
	OPCODE = 0x0f,
	MASKED = 0x80,
	LEN_16 = 126,
	LEN_64 = 127
};

/* ---- received ---- */

ssize_t
f_ws_frame_parse(struct f_ws_frame *fr, const uint8_t *p, size_t n, bool client, const char **why)
{
	size_t bytes, need;
	uint64_t len;

	if (n < 2)
		return 0;
	*fr = (struct f_ws_frame){
		.fin = p[0] & FIN, .opcode = p[0] & OPCODE, .masked = p[1] & MASKED
	};
	len = p[1] & ~MASKED & 0xff;
	if (p[0] & RSV)
		*why = "a WebSocket frame with a reserved bit";
	else if (fr->opcode > F_WS_OP_PONG ||
		 (fr->opcode > F_WS_OP_BINARY && fr->opcode < F_WS_OP_CLOSE))
		*why = "a WebSocket frame of unknown type";
	else if (fr->masked == client)
		*why = client ? "a masked WebSocket frame from the server"
			      : "an unmasked WebSocket frame from the client"; /* 5.1 */
	else if (f_ws_frame_is_control(fr) && (!fr->fin || len > CONTROL_MAX))
		*why = "a WebSocket control frame that is fragmented or too long"; /* 5.5 */
	if (*why != NULL)
		return ERR_PROTO;
	bytes = len == LEN_16 ? 2 : len == LEN_64 ? 8 : 0;
	need = 2 + bytes + (fr->masked ? 4 : 0);
	if (n < need)
		return 0;
	if (bytes > 0)
		len = 0;
	for (size_t i = 0; i < bytes; i++)
		len = len << 8 | p[2 + i];
	if ((bytes == 2 && len < LEN_16) || (bytes == 8 && (len <= UINT16_MAX || len >> 63))) {
		*why = "a WebSocket frame whose length is not in its shortest form";
		return ERR_PROTO;
	}
	if (fr->masked)
		memcpy(fr->key, p + 2 + bytes, 4);
	fr->len = len;
	return (ssize_t)need;
}

bool
f_ws_frame_is_close_code(int code)
{
	if (code >= 3000 && code <= 4999)
		return true;
	return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

/* ---- built by wslay ---- */

static ssize_t
wslay_out(const uint8_t *p, size_t n, int flags, void *arg)
{
	(void)flags;
	return bufq_copy(arg, p, n) == 0 ? (ssize_t)n : -1;
}

static int
wslay_key(uint8_t *p, size_t n, void *arg)
{
	(void)arg;
	return rand_bytes(p, n) == 0 ? 0 : -1;
}

/* The context lives for one frame: it holds a receive buffer of 4 KiB, which an idle connection should not pay for. */
int
f_ws_frame_build(bool client, enum f_ws_opcode opcode, const struct bufq *payload, struct bufq *out)
{
	const struct wslay_frame_callbacks cb = { wslay_out, NULL, wslay_key };
	struct wslay_frame_iocb io = {
		.fin = 1, .opcode = (uint8_t)opcode, .mask = client, .payload_length = payload->len
	};
	wslay_frame_context_ptr ctx;
	struct bufq frame = { 0 };
	size_t off = 0;
	int r = ERR_NOMEM;

	if (wslay_frame_context_init(&ctx, &cb, &frame) != 0)
		return ERR_NOMEM;
	do {
		struct iovec iov = { 0 };

		if (payload->len > 0)
			IGNORE_RESULT(bufq_peek(
			    payload, off, payload->len - off, &iov, 1)); /* there is one */
		io.data = iov.iov_base;
		io.data_length = iov.iov_len;
		if (wslay_frame_send(ctx, &io) != (ssize_t)iov.iov_len)
			goto out; /* our callbacks fail for want of memory alone */
		off += iov.iov_len;
	} while (off < payload->len);
	r = bufq_move(out, &frame, frame.len);
out:
	wslay_frame_context_free(ctx);
	bufq_fini(&frame);
	return r;
}

/* ---- bulk ---- */

/* RFC 6455 5.2, without the key.  Returns the length. */
static size_t
put_header(uint8_t *p, uint64_t len, bool client)
{
	uint8_t mask = client ? MASKED : 0;
	int bytes = len < LEN_16 ? 0 : len <= UINT16_MAX ? 2 : 8;

	p[0] = FIN | F_WS_OP_BINARY;
	p[1] = (uint8_t)(mask | (bytes == 0 ? len : bytes == 2 ? LEN_16 : LEN_64));
	for (int i = 0; i < bytes; i++)
		p[2 + i] = (uint8_t)(len >> (8 * (bytes - 1 - i)));
	return (size_t)(2 + bytes);
}

/* The first n bytes of src as a masked frame in blocks of its own. */
static int
frame_masked(struct bufq *src, size_t n, struct bufq *out)
{
	uint8_t head[F_WS_FRAME_HEADER_MAX];
	size_t hlen = put_header(head, n, true), done = 0;
	uint8_t *key = head + hlen;

	if (rand_bytes(key, 4) != 0)
		return ERR_SYS;
	hlen += 4;
	while (done < n) {
		size_t left = n - done + (done == 0 ? hlen : 0);
		struct block *b = block_new(left < BUF_HUGE ? left : BUF_HUGE);
		int r;

		if (b == NULL)
			return ERR_NOMEM;
		if (done == 0) {
			memcpy(b->data, head, hlen);
			b->fill = (uint32_t)hlen;
		}
		while (done < n && block_room(b) > 0) {
			size_t k;
			const uint8_t *p = bufq_front(src, &k);

			k = k < n - done ? k : n - done;
			k = k < block_room(b) ? k : block_room(b);
			wsmask(b->data + b->fill, p, k, key, (unsigned)done);
			b->fill += (uint32_t)k;
			bufq_drain(src, k);
			done += k;
		}
		r = bufq_append(out, b, b->data, b->fill);
		block_unref(b);
		if (r != 0)
			return r;
	}
	return 0;
}

/* The same as they are. */
static int
frame_moved(bool zero_key, struct bufq *src, size_t n, struct bufq *out)
{
	uint8_t head[F_WS_FRAME_HEADER_MAX] = { 0 };
	size_t hlen = put_header(head, n, zero_key);
	int r = bufq_copy(out, head, hlen + (zero_key ? 4 : 0));

	return r != 0 ? r : bufq_move(out, src, n);
}

int
f_ws_frame_bulk(enum f_ws_mask mask, struct bufq *src, size_t n, struct bufq *out)
{
	return mask == F_WS_RANDOM_KEY ? frame_masked(src, n, out)
				       : frame_moved(mask == F_WS_ZERO_KEY, src, n, out);
}
