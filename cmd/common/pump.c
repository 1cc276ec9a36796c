/* SPDX-License-Identifier: ISC */
/* pump - socket to stream and back.  Copies of payload: 0 (blocks move between the queues). */
#include "cmd/common/pump.h"

#include <string.h>

#include "lib/net/f_sock.h"
#include "lib/base/mem.h"

struct pump {
	struct loop *loop;
	struct filter *f;
	struct stream *s; /* NULL once it is gone */
	void (*done)(void *arg, const struct pump_result *res);
	void *arg;
	struct task flush;
	struct timer linger;
	uint64_t linger_until_ms;
	uint64_t before;   /* bytes written to the socket before the pump had it (a SOCKS answer) */
	uint64_t consumed; /* bytes that the kernel has taken and the stream was told of */
	uint64_t received; /* bytes from the stream */
	uint64_t sent;     /* bytes to the stream */
	bool started, eof_in, eof_out; /* eof_in: from the stream; eof_out: to the stream */
	bool awaiting;                 /* the far side has not accepted the stream yet */
	bool
	    end_acked; /* the stream's far end has passed on all that the socket said, and its end */
	bool deaf;     /* the socket takes nothing more: what comes for it is dropped */
	bool over;
	uint32_t code; /* the reset that ended the stream */
	char text[128];
	struct grave grave;
};

static void
pump_dispose(void *arg)
{
	mem_free(arg);
}

static void
pump_release(struct pump *p)
{
	p->over = true;
	task_cancel(p->loop, &p->flush);
	timer_fini(&p->linger);
	filter_free(p->f);
	loop_bury(p->loop, &p->grave, pump_dispose, p);
}

static void
pump_finish(struct pump *p, uint32_t code, const char *text, bool local)
{
	struct pump_result res = { code, text, local, p->sent, p->received };

	if (p->over)
		return;
	if (code == CODE_OK)
		f_sock_reset(p->f, false);
	pump_release(p);
	p->done(p->arg, &res);
}

static void pump_break(struct pump *p);

/* ---- from the stream to the socket ---- */

/* Tell the stream what has become of its bytes; s may be gone afterwards. */
static void
pump_account(struct pump *p)
{
	uint64_t written = f_sock_written(p->f), at = p->received;
	bool all;

	if (p->s == NULL)
		return;
	if (!p->deaf)
		at = written > p->before ? written - p->before : 0;
	all = p->eof_in && at == p->received;
	if (at > p->consumed) {
		stream_consumed(p->s, (size_t)(at - p->consumed));
		p->consumed = at;
		stream_ack(p->s, at, false);
	}
	if (all && p->s != NULL)
		stream_ack(p->s, at, true);
}

static void
on_drained(void *arg)
{
	struct pump *p = arg;

	if (p->over)
		return;
	if (p->s != NULL)
		pump_account(p);
	else
		pump_break(p);
}

static void
on_flush(void *arg)
{
	struct pump *p = arg;

	if (!p->over)
		filter_flush(p->f);
}

/* The far side has said something, and has not accepted the stream yet: then it is not the target that said it. */
static bool
came_too_early(struct pump *p)
{
	if (!p->awaiting)
		return false;
	stream_reset(p->s, CODE_PROTOCOL, PUMP_TOO_EARLY);
	p->s = NULL;
	pump_finish(p, CODE_PROTOCOL, PUMP_TOO_EARLY, false);
	return true;
}

static void
on_data(void *arg, struct bufq *in)
{
	struct pump *p = arg;
	int r = 0;

	if (came_too_early(p))
		return;
	p->received += in->len;
	if (!p->deaf)
		r = filter_write(p->f, in);
	/* It broke when nobody was its user yet; it will tell us in a moment, and why. */
	p->deaf |= r == ERR_CLOSED;
	if (p->deaf) {
		pump_account(p);
		return;
	}
	if (r != 0) {
		stream_reset(p->s, CODE_INTERNAL, "out of memory");
		p->s = NULL;
		pump_finish(p, CODE_INTERNAL, "out of memory", true);
		return;
	}
	task_soon(p->loop, &p->flush);
}

static void
on_eof(void *arg)
{
	struct pump *p = arg;

	if (came_too_early(p))
		return;
	p->eof_in = true;
	if (!p->deaf)
		filter_shutdown(p->f);
	pump_account(p);
}

/* ---- from the socket to the stream ---- */

static void
pump_feed(struct pump *p)
{
	size_t n = p->f->in.len;

	if (!p->started || p->s == NULL || p->eof_out)
		return;
	if (n > 0) {
		if (stream_send(p->s, &p->f->in, n) != 0) {
			stream_reset(p->s, CODE_INTERNAL, "out of memory");
			p->s = NULL;
			pump_finish(p, CODE_INTERNAL, "out of memory", true);
			return;
		}
		p->sent += n;
	}
	filter_pause(p->f, stream_room(p->s) == 0);
}

static void
on_readable(void *arg)
{
	pump_feed(arg);
}

static void
on_writable(void *arg)
{
	(void)arg; /* on_drained does what there is to do */
}

/* A RST drops what the kernel still holds, so it waits until the other end has everything, or has had its time. */
static void
pump_break(struct pump *p)
{
	if (!p->deaf && f_sock_unacked(p->f) > 0 && loop_now_ms(p->loop) < p->linger_until_ms) {
		timer_set(&p->linger, PUMP_LINGER_POLL_MS);
		return;
	}
	pump_finish(p, p->code, p->text, false);
}

/* The stream is done with; the socket keeps the time to take what it was given.  Never by FIN: it would look complete. */
static void
pump_linger(struct pump *p, uint32_t code, const char *text)
{
	p->s = NULL;
	p->code = code;
	strncpy(p->text, text, sizeof p->text - 1);
	if (code == CODE_OK) {
		pump_finish(p, code, p->text, false);
		return;
	}
	filter_pause(p->f, true);
	p->linger_until_ms = loop_now_ms(p->loop) + PUMP_LINGER_MS;
	pump_break(p);
}

static void
on_linger(void *arg)
{
	pump_break(arg);
}

/*
 * The socket ended (ERR_EOF) or broke.  After its end of file a broken socket only means that nobody reads any more: what
 * it had said still has to arrive, so the stream lives until that is acknowledged.
 */
static void
on_closed(void *arg, int err, const char *text)
{
	struct pump *p = arg;

	if (p->s == NULL) {
		if (err != ERR_EOF)
			pump_finish(p, p->code, p->text, false);
		return;
	}
	if (err == ERR_EOF) {
		p->eof_out = true;
		stream_eof(p->s);
		return;
	}
	pump_feed(p); /* what it had said, if we were not listening */
	if (p->s == NULL)
		return;
	p->deaf = true;
	strncpy(p->text, text, sizeof p->text - 1);
	if (p->eof_out && !p->end_acked) {
		pump_account(p);
		return;
	}
	stream_reset(p->s, CODE_RESET, text);
	p->s = NULL;
	pump_finish(p, CODE_RESET, p->text, true);
}

/* ---- the stream's side ---- */

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct pump *p = arg;

	(void)ok;
	p->awaiting = false;
}

static void
on_sent(void *arg, size_t n)
{
	(void)n;
	pump_feed(arg);
}

static void
on_acked(void *arg, uint64_t off, bool eof)
{
	struct pump *p = arg;

	(void)off;
	if (p->over)
		return;
	p->end_acked |= eof;
	if (p->end_acked && p->deaf && p->s != NULL) {
		/* All that the broken socket had said has arrived: now the other half can end too. */
		stream_reset(p->s, CODE_RESET, p->text);
		p->s = NULL;
		pump_finish(p, CODE_RESET, p->text, true);
		return;
	}
	pump_feed(p);
}

static void
on_stream_closed(void *arg, uint32_t code, const char *text)
{
	struct pump *p = arg;

	if (!p->over)
		pump_linger(p, code, text);
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.data = on_data,
	.eof = on_eof,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_stream_closed,
};

static const struct filter_user filter_user = { on_readable, on_writable, on_closed };

/* ---- life ---- */

struct pump *
pump_new(struct loop *l, struct filter *f, struct stream *s,
    void (*done)(void *arg, const struct pump_result *res), void *arg)
{
	struct pump *p = mem_zalloc(sizeof *p);

	if (p == NULL)
		return NULL;
	if (timer_init(&p->linger, l, on_linger, p) != 0) {
		mem_free(p);
		return NULL;
	}
	p->loop = l;
	p->f = f;
	p->s = s;
	p->done = done;
	p->arg = arg;
	p->before = f_sock_written(f) + f_sock_pending(f);
	task_init(&p->flush, on_flush, p);
	filter_pause(f, true); /* until pump_start */
	f_sock_reset(f, true); /* until both halves have ended in good order */
	filter_set_user(f, &filter_user, p);
	f_sock_set_drained(f, on_drained, p);
	stream_set_user(s, &stream_user, p);
	return p;
}

void
pump_await(struct pump *p)
{
	p->awaiting = true;
}

void
pump_start(struct pump *p)
{
	if (p->started || p->over)
		return;
	p->started = true;
	pump_feed(p);
}

void
pump_deliver(struct pump *p, struct bufq *in, bool eof)
{
	if (in->len > 0)
		on_data(p, in);
	if (eof && !p->over)
		on_eof(p);
}

void
pump_stop(struct pump *p, uint32_t code, const char *text)
{
	if (p->over)
		return;
	if (p->s != NULL)
		stream_reset(p->s, code, text);
	p->s = NULL;
	pump_release(p);
}
