/* SPDX-License-Identifier: ISC */
/*
 * f_ws_frame - single WebSocket frames.
 *
 * wslay reads and writes every header, and reads control frames whole.  It masks at 0.4 GB/s, so
 * the payload of data frames is moved and unmasked here and in f_ws: of a data frame wslay gets a
 * copy of the header, and of one byte of payload, since it tells of no frame before.
 *
 * A context that is left inside a frame is of no use for the next one.  It can be led to the
 * frame's end by bytes that nobody looks at, which is cheaper than a new context (0.2 us) as long
 * as they are few, or need no masking; otherwise it is freed.
 */
#include "lib/ws/f_ws_frame.h"

#include <assert.h>
#include <string.h>
#include <wslay/wslay.h>

#include "lib/base/rand.h"
#include "lib/ws/wsmask.h"

enum {
	KEY_LEN = 4,
	/* The shortest headers. */
	HEADER_MIN = 2,
	HEADER_MIN_MASKED = HEADER_MIN + KEY_LEN,
	/*
	 * Payload in bytes after which a new context costs less than leading the old one to its
	 * end.
	 */
	LEAD_MASKED = 48,
	LEAD_PLAIN = 16 * 1024
};

/* The receiving context of this thread, and what its callback hands out. */
static __thread struct reader {
	wslay_frame_context_ptr ctx;
	/* NULL: bytes that nobody looks at. */
	const uint8_t *p;
	size_t left;
	/* The most that the next callback hands out; those after it one byte each. */
	size_t step;
} reader;

/*
 * The sending contexts of this thread: unmasked and masked, since wslay never clears its mask flag.
 */
static __thread struct writer {
	wslay_frame_context_ptr ctx;
	/* Where the header goes; NULL: what is sent now nobody looks at. */
	uint8_t *head;
	size_t head_len;
	uint8_t key[KEY_LEN];
} writers[2];

static void
drop(wslay_frame_context_ptr *ctx)
{
	wslay_frame_context_free(*ctx);
	*ctx = NULL;
}

void
f_ws_thread_fini(void)
{
	drop(&reader.ctx);
	for (int i = 0; i < 2; i++)
		drop(&writers[i].ctx);
}

/* ---- received ---- */

static ssize_t
on_recv(uint8_t *buf, size_t n, int flags, void *arg)
{
	struct reader *r = arg;

	(void)flags;
	n = n < r->step ? n : r->step;
	n = n < r->left ? n : r->left;
	if (r->p != NULL) {
		memcpy(buf, r->p, n);
		r->p += n;
	}
	r->left -= n;
	/* Asked again within one call, wslay is at the next part of the frame. */
	r->step = 1;
	return (ssize_t)n;
}

/* Call wslay with n bytes at p, of which it gets step at its first question. */
static ssize_t
recv_some(struct wslay_frame_iocb *io, const uint8_t *p, size_t n, size_t step)
{
	reader.p = p;
	reader.left = n;
	reader.step = step;
	return wslay_frame_recv(reader.ctx, io);
}

/*
 * Hand over p until wslay tells of the frame: the shortest header at once, then single bytes, so
 * that none of the payload but its first is among them.  Returns the header's length, 0 if it is
 * not whole, ERR_PROTO.
 */
static ssize_t
read_header(struct wslay_frame_iocb *io, const uint8_t *p, size_t n, size_t least)
{
	ssize_t r = recv_some(io, p, n, least);

	while (r == WSLAY_ERR_WANT_READ && reader.left > 0)
		r = recv_some(io, reader.p, reader.left, 1);
	if (r >= 0)
		return (ssize_t)(n - reader.left) - r;
	if (r != WSLAY_ERR_WANT_READ)
		return ERR_PROTO;
	/*
	 * A zero stands in for payload that has not come.  Taken for a part of the header it proves
	 * nothing.
	 */
	return recv_some(io, (const uint8_t[]){ 0 }, 1, 1) == 1 ? (ssize_t)n : 0;
}

/* What wslay leaves to us; NULL: nothing is wrong. */
static const char *
violation(const struct wslay_frame_iocb *io, bool client)
{
	if (io->rsv != 0)
		return "a WebSocket frame with a reserved bit"; /* RFC 6455 5.2 */
	if (io->opcode > F_WS_OP_PONG ||
	    (io->opcode > F_WS_OP_BINARY && io->opcode < F_WS_OP_CLOSE))
		return "a WebSocket frame of unknown type"; /* 5.2 */
	if (io->mask == client)
		return client ? "a masked WebSocket frame from the server"
			      : "an unmasked WebSocket frame from the client"; /* 5.1 */
	return NULL;
}

/* The payload, of which p has n bytes.  Returns false if it is not whole. */
static bool
read_control(struct wslay_frame_iocb *io, const uint8_t *p, size_t n, uint8_t *control)
{
	size_t len = (size_t)io->payload_length;

	if (n < len)
		return false;
	if (len == 0)
		return true;
	control[0] = io->data[0];
	if (len > 1) {
		ssize_t r = recv_some(io, p + 1, len - 1, len - 1);

		assert(r == (ssize_t)len - 1);
		memcpy(control + 1, io->data, len - 1);
	}
	return true;
}

/* Lead the context to the end of the data frame, or drop it. */
static void
leave_data(const struct wslay_frame_iocb *io)
{
	uint64_t left = io->payload_length - io->data_length;
	struct wslay_frame_iocb rest;

	if (left > (io->mask ? LEAD_MASKED : LEAD_PLAIN)) {
		drop(&reader.ctx);
		return;
	}
	for (reader.left = (size_t)left; reader.left > 0;)
		IGNORE_RESULT(
		    recv_some(&rest, NULL, reader.left, reader.left) < 0); /* it takes all */
}

/* 5.2, 5.5: wslay has one error for both. */
static const char *
wslay_words(uint8_t first)
{
	return wslay_is_ctrl_frame(first)
		   ? "a WebSocket control frame that is fragmented or too long"
		   : "a WebSocket frame whose length is not in its shortest form";
}

/*
 * f_ws_frame_parse; what it returns is above 0 only when the context can be used again, or is gone.
 */
static ssize_t
parse(struct f_ws_frame *fr, const uint8_t *p, size_t n, bool client, uint8_t *control,
    const char **why)
{
	struct wslay_frame_iocb io;
	ssize_t head = read_header(&io, p, n, client ? HEADER_MIN : HEADER_MIN_MASKED);

	if (head == ERR_PROTO)
		*why = wslay_words(p[0]);
	if (head <= 0)
		return head;
	if ((*why = violation(&io, client)) != NULL)
		return ERR_PROTO;
	*fr = (struct f_ws_frame){
		.fin = io.fin, .masked = io.mask, .opcode = io.opcode, .len = io.payload_length
	};
	/* wslay does not show it. */
	if (fr->masked)
		memcpy(fr->key, p + head - KEY_LEN, KEY_LEN);
	if (!f_ws_frame_is_control(fr)) {
		leave_data(&io);
		return head;
	}
	if (!read_control(&io, p + head, n - (size_t)head, control))
		return 0;
	fr->done = fr->len;
	return head + (ssize_t)fr->len;
}

ssize_t
f_ws_frame_parse(struct f_ws_frame *fr, const uint8_t *p, size_t n, bool client,
    uint8_t control[F_WS_CONTROL_MAX], const char **why)
{
	const struct wslay_frame_callbacks cb = { .recv_callback = on_recv };
	ssize_t r;

	if (n == 0)
		return 0;
	if (reader.ctx == NULL && wslay_frame_context_init(&reader.ctx, &cb, &reader) != 0) {
		reader.ctx = NULL;
		return ERR_NOMEM;
	}
	r = parse(fr, p, n, client, control, why);
	if (r <= 0)
		drop(&reader.ctx);
	return r;
}

bool
f_ws_frame_is_close_code(int code)
{
	if (code >= 3000 && code <= 4999)
		return true;
	return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

/* ---- sent ---- */

static ssize_t
on_send(const uint8_t *p, size_t n, int flags, void *arg)
{
	struct writer *w = arg;

	(void)flags;
	if (w->head != NULL) {
		memcpy(w->head, p, n);
		w->head_len = n;
	}
	return (ssize_t)n;
}

static int
on_key(uint8_t *p, size_t n, void *arg)
{
	const struct writer *w = arg;

	memcpy(p, w->key, n);
	return 0;
}

/* Lead the context to the end of the frame, or drop it. */
static void
leave_sent(struct writer *w, struct wslay_frame_iocb *io)
{
	static const uint8_t none[LEAD_MASKED];
	size_t left = (size_t)io->payload_length;

	if (left == 0)
		return;
	if (io->mask && left > sizeof none) {
		drop(&w->ctx);
		return;
	}
	w->head = NULL;
	/* Without a mask nobody reads what it points to. */
	io->data = none;
	io->data_length = left;
	IGNORE_RESULT(wslay_frame_send(w->ctx, io) < 0); /* our callback takes all */
}

/* The header of a frame of n bytes.  Returns its length, ERR_NOMEM or ERR_SYS. */
static ssize_t
put_header(bool client, enum f_ws_opcode opcode, size_t n, uint8_t head[F_WS_FRAME_HEADER_MAX])
{
	const struct wslay_frame_callbacks cb = { .send_callback = on_send,
		.genmask_callback = on_key };
	struct wslay_frame_iocb io = {
		.fin = 1, .opcode = (uint8_t)opcode, .mask = client, .payload_length = n
	};
	struct writer *w = &writers[client];
	ssize_t r;

	if (client && rand_bytes(w->key, KEY_LEN) != 0)
		return ERR_SYS;
	if (w->ctx == NULL && wslay_frame_context_init(&w->ctx, &cb, w) != 0) {
		w->ctx = NULL;
		return ERR_NOMEM;
	}
	w->head = head;
	r = wslay_frame_send(w->ctx, &io);
	assert(r == 0);
	leave_sent(w, &io);
	return (ssize_t)w->head_len;
}

/* Behind its header, the first n bytes of src masked, in blocks of their own. */
static int
put_masked(const uint8_t *head, size_t hlen, struct bufq *src, size_t n, struct bufq *out)
{
	const uint8_t *key = head + hlen - KEY_LEN;
	size_t done = 0, left = hlen + n;

	while (left > 0) {
		struct block *b = block_new(left < BUF_HUGE ? left : BUF_HUGE);
		int r;

		if (b == NULL)
			return ERR_NOMEM;
		if (left == hlen + n) {
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
		left -= b->fill;
		r = bufq_append(out, b, b->data, b->fill);
		block_unref(b);
		if (r != 0)
			return r;
	}
	return 0;
}

int
f_ws_frame_put(bool client, enum f_ws_opcode opcode, struct bufq *src, size_t n, struct bufq *out)
{
	uint8_t head[F_WS_FRAME_HEADER_MAX];
	ssize_t hlen = put_header(client, opcode, n, head);
	int r;

	if (hlen < 0)
		return (int)hlen;
	if (client)
		return put_masked(head, (size_t)hlen, src, n, out);
	r = bufq_copy(out, head, (size_t)hlen);
	return r != 0 ? r : bufq_move(out, src, n);
}
