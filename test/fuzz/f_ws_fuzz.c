/* SPDX-License-Identifier: ISC */
/*
 * f_ws_fuzz - the WebSocket filter fed by a stranger: whole, in pieces of three and byte by byte
 * the same things happen.
 *
 * The first byte: bit 0 client, bit 1 messages, bit 2 text as bytes, bit 3 pause after each event.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/ws/f_ws.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 4096, OUT_ROOM = 65536, TURNS = 12 };

/* What happened, as one number: FNV-1a over events and bytes. */
struct story {
	struct filter *ws;
	uint64_t hash, pongs;
	int closed;
	bool pause;
};

static void
note(struct story *s, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		s->hash = (s->hash ^ p[i]) * 1099511628211u;
}

static void
note_queue(struct story *s, struct bufq *q)
{
	while (q->len > 0) {
		size_t n;
		const uint8_t *p = bufq_front(q, &n);

		note(s, p, n);
		bufq_drain(q, n);
	}
}

/* ---- the layer below: takes everything, delivers what it is told to ---- */

static int
pipe_write(struct filter *f, struct bufq *src)
{
	(void)f;
	bufq_drain(src, src->len);
	return 0;
}

static void
pipe_nothing(struct filter *f)
{
	(void)f;
}

static size_t
pipe_room(struct filter *f)
{
	(void)f;
	return OUT_ROOM;
}

static void
pipe_pause(struct filter *f, bool paused)
{
	(void)f;
	(void)paused;
}

static int
pipe_attach(struct filter *f, struct loop *l)
{
	(void)f;
	(void)l;
	return 0;
}

static const struct filter_ops pipe_ops = { .name = "pipe",
	.write = pipe_write,
	.flush = pipe_nothing,
	.room = pipe_room,
	.shutdown = pipe_nothing,
	.fini = pipe_nothing,
	.pause = pipe_pause,
	.detach = pipe_nothing,
	.attach = pipe_attach };

/* ---- the user above ---- */

static void
on_message(void *arg, enum f_ws_kind kind, struct bufq *payload)
{
	struct story *s = arg;
	uint8_t text[MESSAGE_MAX];

	assert(!s->closed && payload->len <= MESSAGE_MAX);
	if (kind == F_WS_TEXT)
		assert(utf8_is_valid(text, bufq_read(payload, 0, text, sizeof text)));
	note(s, &(uint8_t){ (uint8_t)kind }, 1);
	note(s, &payload->len, sizeof payload->len);
	note_queue(s, payload);
	if (s->pause)
		filter_pause(s->ws, true);
}

static void
on_pong(void *arg, const uint8_t *p, size_t n)
{
	struct story *s = arg;
	uint64_t all = s->hash;

	/*
	 * A story of their own: they may overtake bytes of the stream that the user has not been
	 * told of yet.
	 */
	s->hash = s->pongs;
	note(s, &n, sizeof n);
	note(s, p, n);
	s->pongs = s->hash;
	s->hash = all;
}

static void
on_readable(void *arg)
{
	struct story *s = arg;

	assert(!s->closed);
	note_queue(s, &s->ws->in);
	if (s->pause)
		filter_pause(s->ws, true);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct story *s = arg;

	assert(!s->closed && (err == ERR_EOF || text[0] != 0));
	s->closed = err;
	note(s, &err, sizeof err);
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

/* ---- one telling ---- */

static void
turn(struct loop *l)
{
	/*
	 * Tasks that ask for the next turn, and what they ask for in theirs: a flood of frames
	 * takes several.
	 */
	for (int i = 0; i < TURNS; i++)
		loop_settle(l);
}

static uint64_t
tell(struct loop *l, const uint8_t *data, size_t size, size_t chunk)
{
	struct story s = { .hash = 14695981039346656037u, .pause = data[0] & 8 };
	struct f_ws_config cfg = { .mode = data[0] & 2 ? F_WS_MESSAGES : F_WS_STREAM,
		.client = data[0] & 1,
		.text_as_bytes = data[0] & 4,
		.max_message = MESSAGE_MAX,
		.on_message = on_message,
		.on_pong = on_pong,
		.arg = &s };
	struct filter *p = mem_must_zalloc(sizeof *p);
	filter_init(p, &pipe_ops, NULL, l);
	s.ws = f_ws_new(p, l, &cfg);
	assert(s.ws != NULL);
	filter_set_user(s.ws, &user, &s);
	for (size_t off = 1; off < size; off += chunk) {
		size_t n = size - off < chunk ? size - off : chunk;

		assert(bufq_copy(&p->in, data + off, n) == 0);
		filter_readable(p);
		turn(l);
		while (s.ws->paused && !s.closed) {
			filter_pause(s.ws, false);
			turn(l);
		}
	}
	filter_close(p, ERR_EOF, "");
	turn(l);
	assert(s.closed != 0);
	filter_free(s.ws);
	turn(l);
	return s.hash ^ s.pongs;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *l;
	uint64_t whole;

	if (size == 0)
		return 0;
	if (l == NULL)
		l = loop_new();
	assert(l != NULL);
	whole = tell(l, data, size, size);
	assert(tell(l, data, size, 3) == whole);
	assert(tell(l, data, size, 1) == whole);
	return 0;
}
