/* SPDX-License-Identifier: ISC */
/* f_stream - a session's stream as the bottom of a filter stack.  Copies of payload: 0. */
#include "cmd/common/f_stream.h"

#include <assert.h>

#include "lib/base/mem.h"

struct f_stream {
	struct filter f;
	/* NULL once it is gone. */
	struct stream *s;
	/* What came and is not handed to the user yet; no credit was given for it. */
	struct bufq held;
	struct task more;
	/* Bytes handed to the user, and of them those that the other side has its credit for. */
	uint64_t handed, passed;
	/* Bytes written, sent and acknowledged. */
	uint64_t written, sent, acked;
	/* The other half has ended, the user was handed that, and it was acknowledged. */
	bool eof, eof_handed, eof_acked;
	/* Our half has ended. */
	bool shut;
	/* The user found no room. */
	bool starved;
	bool reset;
	bool open;
	/* Bytes that may be written and not sent. */
	size_t limit;
	/* Of the reset that ended it. */
	uint32_t code;
	/* NULL: nobody is told. */
	const struct f_stream_news *news;
	void *news_arg;
};

static struct f_stream *
stream_of(const struct filter *f)
{
	return (struct f_stream *)(uintptr_t)f;
}

static void
run_out_of_memory(struct f_stream *x)
{
	struct stream *s = x->s;

	x->s = NULL;
	if (s != NULL)
		stream_reset(s, CODE_INTERNAL, "out of memory");
	filter_close(&x->f, ERR_NOMEM, "out of memory");
}

static void
acknowledge(struct f_stream *x)
{
	uint64_t n = x->handed - x->passed;

	if (x->s == NULL || (n == 0 && x->eof_handed == x->eof_acked))
		return;
	x->passed = x->handed;
	x->eof_acked = x->eof_handed;
	if (n > 0)
		stream_consumed(x->s, n);
	/* The stream may be gone afterwards. */
	stream_ack(x->s, x->passed, x->eof_acked);
}

/* Behind the last piece; a paused user is told when it has taken that. */
static void
hand_end(struct f_stream *x)
{
	if (x->held.len > 0 || !x->eof || x->eof_handed)
		return;
	x->eof_handed = true;
	filter_close(&x->f, ERR_EOF, "");
}

/* A user that is paused has not taken what it was handed: its credit waits until it goes on. */
static void
hand_on(struct f_stream *x)
{
	size_t n = x->held.len < F_STREAM_PIECE ? x->held.len : F_STREAM_PIECE;

	if (n > 0 && !x->f.paused) {
		if (bufq_move(&x->f.in, &x->held, n) != 0) {
			run_out_of_memory(x);
			return;
		}
		x->handed += n;
		filter_readable(&x->f);
	}
	hand_end(x);
	if (x->f.paused)
		return;
	acknowledge(x);
	if (x->held.len > 0)
		task_later(x->f.loop, &x->more);
}

static void
on_more(void *arg)
{
	hand_on(arg);
}

static size_t
room_now(struct f_stream *x)
{
	uint64_t unsent = x->written - x->sent;
	size_t room = stream_room(x->s);

	if (unsent >= x->limit)
		return 0;
	return room < x->limit - unsent ? room : x->limit - (size_t)unsent;
}

static void
tell_room(struct f_stream *x)
{
	if (!x->starved || x->s == NULL || room_now(x) == 0)
		return;
	x->starved = false;
	filter_writable(&x->f);
}

static void
set_acked(struct f_stream *x, uint64_t off)
{
	if (off == x->acked)
		return;
	x->acked = off;
	if (x->news != NULL)
		x->news->acked(x->news_arg);
}

/* ---- the stream's calls ---- */

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct f_stream *x = arg;

	/* What was written has left already. */
	(void)ok;
	x->open = true;
	if (x->news != NULL)
		x->news->opened(x->news_arg);
}

static void
on_data(void *arg, struct bufq *in)
{
	struct f_stream *x = arg;
	bool waits = x->held.len > 0;

	if (bufq_move(&x->held, in, in->len) != 0) {
		run_out_of_memory(x);
		return;
	}
	x->open = true;
	/* Else its turn comes. */
	if (!waits)
		hand_on(x);
}

static void
on_eof(void *arg)
{
	struct f_stream *x = arg;

	x->eof = true;
	if (x->held.len == 0)
		hand_on(x);
}

/* It is over: what it said before is the user's at once. */
static void
hand_all(struct f_stream *x)
{
	if (x->held.len == 0)
		return;
	task_cancel(x->f.loop, &x->more);
	if (bufq_move(&x->f.in, &x->held, x->held.len) != 0)
		run_out_of_memory(x);
	else
		filter_readable(&x->f);
}

static void
on_sent(void *arg, size_t n)
{
	struct f_stream *x = arg;

	x->sent += n;
	/* What leaves is all that can be known there. */
	if ((x->s->session->can & SESSION_ACKS) == 0)
		set_acked(x, x->sent);
	filter_drained(&x->f);
	tell_room(x);
}

static void
on_acked(void *arg, uint64_t off, bool eof)
{
	struct f_stream *x = arg;

	(void)eof;
	set_acked(x, off);
	tell_room(x);
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct f_stream *x = arg;

	x->s = NULL;
	x->code = code;
	if (code == CODE_OK)
		return;
	hand_all(x);
	filter_close(&x->f, ERR_CLOSED, text[0] != '\0' ? text : frame_code_str(code));
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.data = on_data,
	.eof = on_eof,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_closed,
};

/* ---- operations ---- */

static int
op_write(struct filter *f, struct bufq *src)
{
	struct f_stream *x = stream_of(f);
	size_t n = src->len;
	int r = x->s == NULL || x->shut ? ERR_CLOSED : stream_send(x->s, src, n);

	if (r == 0)
		x->written += n;
	return r;
}

static void
op_flush(struct filter *f)
{
	/* The session asks to be sent by itself. */
	(void)f;
}

static size_t
op_room(struct filter *f)
{
	struct f_stream *x = stream_of(f);
	size_t room = x->s == NULL || x->shut ? 0 : room_now(x);

	x->starved = x->starved || room == 0;
	return room;
}

static void
op_shutdown(struct filter *f)
{
	struct f_stream *x = stream_of(f);

	if (x->shut || x->s == NULL)
		return;
	x->shut = true;
	stream_eof(x->s);
}

static void
op_fini(struct filter *f)
{
	struct f_stream *x = stream_of(f);
	struct stream *s;

	/* The user saw the end, and nothing is left that it has not taken. */
	if (x->eof_handed && f->in.len == 0)
		acknowledge(x);
	task_cancel(f->loop, &x->more);
	bufq_fini(&x->held);
	s = x->s;
	x->s = NULL;
	if (s == NULL)
		return;
	/*
	 * A stream that has ended both ways is left to its session, which still sends what is
	 * queued.
	 */
	stream_set_user(s, NULL, NULL);
	if (x->reset)
		stream_abort(s, CODE_GONE, "broken off");
	else if (!x->shut || !x->eof_acked)
		stream_reset(s, CODE_GONE, "closed");
}

static void
op_pause(struct filter *f, bool paused)
{
	struct f_stream *x = stream_of(f);

	/* From the loop, never from inside the user's own call. */
	if (!paused && (x->held.len > 0 || x->handed > x->passed || x->eof != x->eof_acked))
		task_soon(f->loop, &x->more);
}

static void
op_detach(struct filter *f)
{
	(void)f;
	assert(false && "a stream stays with its session");
}

static int
op_attach(struct filter *f, struct loop *l)
{
	(void)l;
	op_detach(f);
	return ERR_INVALID;
}

static size_t
op_pending(const struct filter *f)
{
	const struct f_stream *x = stream_of(f);

	return (size_t)(x->written - x->sent);
}

static size_t
op_unacked(const struct filter *f)
{
	const struct f_stream *x = stream_of(f);

	return (size_t)(x->sent - x->acked);
}

static void
op_reset(struct filter *f, bool on)
{
	stream_of(f)->reset = on;
}

static const struct filter_ops ops = {
	.name = "stream",
	.write = op_write,
	.flush = op_flush,
	.room = op_room,
	.shutdown = op_shutdown,
	.fini = op_fini,
	.pause = op_pause,
	.detach = op_detach,
	.attach = op_attach,
	.pending = op_pending,
	.unacked = op_unacked,
	.reset = op_reset,
};

struct filter *
f_stream_new(struct loop *l, struct stream *s)
{
	struct f_stream *x = mem_zalloc(sizeof *x);

	if (x == NULL)
		return NULL;
	filter_init(&x->f, &ops, NULL, l);
	x->s = s;
	task_init(&x->more, on_more, x);
	x->limit = SIZE_MAX;
	stream_set_user(s, &stream_user, x);
	return &x->f;
}

void
f_stream_watch(struct filter *f, const struct f_stream_news *news, void *arg)
{
	struct f_stream *x = stream_of(f);

	assert(f->ops == &ops);
	x->news = news;
	x->news_arg = arg;
}

void
f_stream_limit(struct filter *f, size_t bytes)
{
	stream_of(f)->limit = bytes;
}

bool
f_stream_is_open(const struct filter *f)
{
	return stream_of(f)->open;
}

uint64_t
f_stream_acked(const struct filter *f)
{
	return stream_of(f)->acked;
}

struct session *
f_stream_session(const struct filter *f)
{
	const struct f_stream *x = stream_of(f);

	return x->s != NULL ? x->s->session : NULL;
}

uint32_t
f_stream_code(const struct filter *f)
{
	return stream_of(f)->code;
}
