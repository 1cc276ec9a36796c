/* SPDX-License-Identifier: ISC */
/*
 * pump - a filter and a stream, joined.  Copies of payload: 0 (blocks move between the queues).
 *
 * Three machines.
 *      down   from the stream
 *             OPEN ── pump_await ──> AWAITING ── accepted ──> OPEN
 *             OPEN ── its EOF ──> ENDING ── all is in the kernel ──> ENDED
 *             any ── the filter is broken ──> DEAF: what comes is dropped, and no end acknowledged
 *      up     to the stream
 *             HELD ── pump_start ──> OPEN ── the filter's end ──> ENDING ── it arrived ──> ENDED
 *             HELD ── the filter's end ──> ENDING
 *      life   RUNNING ── the stream was reset ──> LINGERING ── all has arrived ──> OVER
 *             RUNNING ── both ends, or a break ──> OVER
 */
#include "cmd/common/pump.h"

#include <assert.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

enum down { DOWN_OPEN, DOWN_AWAITING, DOWN_ENDING, DOWN_ENDED, DOWN_DEAF, N_DOWN };
enum up { UP_HELD, UP_OPEN, UP_ENDING, UP_ENDED, N_UP };
enum life { LIFE_RUNNING, LIFE_LINGERING, LIFE_OVER, N_LIFE };

static const char *const down_name[N_DOWN] = { "OPEN", "AWAITING", "ENDING", "ENDED", "DEAF" };
static const char *const up_name[N_UP] = { "HELD", "OPEN", "ENDING", "ENDED" };
static const char *const life_name[N_LIFE] = { "RUNNING", "LINGERING", "OVER" };

static const bool down_can[N_DOWN][N_DOWN] = {
	[DOWN_OPEN] = { [DOWN_AWAITING] = true, [DOWN_ENDING] = true, [DOWN_DEAF] = true },
	[DOWN_AWAITING] = { [DOWN_OPEN] = true, [DOWN_DEAF] = true },
	[DOWN_ENDING] = { [DOWN_ENDED] = true, [DOWN_DEAF] = true },
	[DOWN_ENDED] = { [DOWN_DEAF] = true },
};
static const bool up_can[N_UP][N_UP] = {
	[UP_HELD] = { [UP_OPEN] = true, [UP_ENDING] = true },
	[UP_OPEN] = { [UP_ENDING] = true },
	[UP_ENDING] = { [UP_ENDED] = true },
};
static const bool life_can[N_LIFE][N_LIFE] = {
	[LIFE_RUNNING] = { [LIFE_LINGERING] = true, [LIFE_OVER] = true },
	[LIFE_LINGERING] = { [LIFE_OVER] = true },
};

struct pump {
	struct loop *loop;
	struct filter *f;
	/* NULL once it is gone. */
	struct stream *s;
	void (*done)(void *arg, const struct pump_result *res);
	/* May be NULL. */
	void (*lingers)(void *arg);
	void *arg;
	enum down down;
	enum up up;
	enum life life;
	struct task flush;
	struct timer linger;
	uint64_t linger_until_ms;
	/* See pump_one_sided. */
	bool one_sided;
	uint64_t quiet_ms;
	/* Bytes that the kernel has taken and the stream was told of. */
	uint64_t consumed;
	/* Written to the filter by others before the stream's first byte: an answer of SOCKS. */
	uint64_t foreign;
	/* Bytes from the stream, and to it. */
	uint64_t received, sent;
	/* Why the stream was reset, or the filter broke. */
	uint32_t code;
	char text[128];
	struct grave grave;
};

static void
set_down(struct pump *p, enum down next)
{
	assert(down_can[p->down][next]);
	log_debug("pump: down %s -> %s", down_name[p->down], down_name[next]);
	p->down = next;
}

static void
set_up(struct pump *p, enum up next)
{
	assert(up_can[p->up][next]);
	log_debug("pump: up %s -> %s", up_name[p->up], up_name[next]);
	p->up = next;
}

static void
set_life(struct pump *p, enum life next)
{
	assert(life_can[p->life][next]);
	log_debug("pump: %s -> %s", life_name[p->life], life_name[next]);
	p->life = next;
}

/* ---- the end ---- */

static void
pump_dispose(void *arg)
{
	mem_free(arg);
}

static void
pump_release(struct pump *p)
{
	set_life(p, LIFE_OVER);
	task_cancel(p->loop, &p->flush);
	timer_fini(&p->linger);
	filter_free(p->f);
	loop_bury(p->loop, &p->grave, pump_dispose, p);
}

static void
pump_finish(struct pump *p, uint32_t code, const char *text, bool local)
{
	struct pump_result res = { code, text, local, p->sent, p->received };

	if (p->life == LIFE_OVER)
		return;
	if (code == CODE_OK)
		filter_reset(p->f, false);
	pump_release(p);
	p->done(p->arg, &res);
}

/* Our side is the reason that the stream ends here. */
static void
pump_fail(struct pump *p, uint32_t code, const char *text)
{
	struct stream *s = p->s;

	p->s = NULL;
	stream_reset(s, code, text);
	pump_finish(p, code, text, true);
}

static void
pump_out_of_memory(struct pump *p)
{
	pump_fail(p, CODE_INTERNAL, "out of memory");
}

static void pump_break(struct pump *p);
static void pump_end(struct pump *p);

/* ---- from the stream to the filter ---- */

/* Bytes from the stream that the kernel has taken. */
static uint64_t
pump_written(struct pump *p)
{
	uint64_t n = p->received > 0 ? filter_written(p->f) : 0;

	return n > p->foreign ? n - p->foreign : 0;
}

/* Tell the stream what has become of its bytes; s may be gone afterwards. */
static void
pump_account(struct pump *p)
{
	uint64_t at;

	if (p->s == NULL) {
		pump_end(p);
		return;
	}
	at = p->down == DOWN_DEAF ? p->received : pump_written(p);
	if (at > p->consumed) {
		stream_consumed(p->s, (size_t)(at - p->consumed));
		p->consumed = at;
		stream_ack(p->s, at, false);
	}
	if (p->down == DOWN_ENDING && at == p->received && p->s != NULL) {
		set_down(p, DOWN_ENDED);
		stream_ack(p->s, at, true);
	}
}

static void
pump_deafen(struct pump *p, const char *text)
{
	if (p->down != DOWN_DEAF)
		set_down(p, DOWN_DEAF);
	strncpy(p->text, text, sizeof p->text - 1);
}

static void
on_drained(void *arg)
{
	struct pump *p = arg;

	if (p->life == LIFE_RUNNING)
		pump_account(p);
	else if (p->life == LIFE_LINGERING)
		pump_break(p);
}

/* Our half has ended, which cannot be said: that of the stream has so much time. */
static void
pump_wait_quiet(struct pump *p)
{
	if (p->one_sided && p->quiet_ms > 0)
		timer_set(&p->linger, p->quiet_ms);
}

static void
on_flush(void *arg)
{
	struct pump *p = arg;

	if (p->life != LIFE_OVER)
		filter_flush(p->f);
}

/*
 * The far side has said something, and has not accepted the stream yet: then it is not the target
 * that said it.
 */
static bool
came_too_early(struct pump *p)
{
	struct stream *s = p->s;

	if (p->down != DOWN_AWAITING)
		return false;
	p->s = NULL;
	stream_reset(s, CODE_PROTOCOL, PUMP_TOO_EARLY);
	pump_finish(p, CODE_PROTOCOL, PUMP_TOO_EARLY, false);
	return true;
}

static void
on_data(void *arg, struct bufq *in)
{
	struct pump *p = arg;
	int r;

	if (came_too_early(p))
		return;
	if (p->received == 0)
		p->foreign = p->f->taken - p->f->taken_before;
	p->received += in->len;
	if (p->up == UP_ENDING)
		pump_wait_quiet(p);
	if (p->down == DOWN_DEAF) {
		pump_account(p);
		return;
	}
	r = filter_write(p->f, in);
	if (r == 0) {
		task_soon(p->loop, &p->flush);
	} else if (r != ERR_CLOSED) {
		pump_out_of_memory(p);
	} else {
		/*
		 * It has ended; if we do not know that yet, it will tell us in a moment, and why.
		 */
		pump_deafen(p, "the other end takes nothing after its own end");
		if (p->up == UP_ENDED)
			pump_fail(p, CODE_RESET, p->text);
		else
			pump_account(p);
	}
}

static void
on_eof(void *arg)
{
	struct pump *p = arg;

	if (came_too_early(p) || p->down == DOWN_DEAF)
		return;
	set_down(p, DOWN_ENDING);
	filter_shutdown(p->f);
	pump_account(p);
}

/* ---- from the filter to the stream ---- */

static void
pump_feed(struct pump *p)
{
	size_t n = p->f->in.len;

	if (p->up != UP_OPEN || p->s == NULL)
		return;
	if (n > 0) {
		if (stream_send(p->s, &p->f->in, n) != 0) {
			pump_out_of_memory(p);
			return;
		}
		p->sent += n;
	}
	filter_want(p->f, stream_room(p->s));
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

/*
 * A RST drops what the kernel still holds, so it waits until the other end has everything, or has
 * had its time.
 */
static void
pump_break(struct pump *p)
{
	if (p->down != DOWN_DEAF && filter_unacked(p->f) > 0 &&
	    loop_now_ms(p->loop) < p->linger_until_ms) {
		timer_set(&p->linger, PUMP_LINGER_POLL_MS);
		return;
	}
	pump_finish(p, p->code, p->text, false);
}

/*
 * The stream has ended in good order.  Without acknowledgements that does not wait for the socket,
 * which may have yet to take the last bytes.
 */
static void
pump_end(struct pump *p)
{
	if (p->down == DOWN_OPEN) {
		set_down(p, DOWN_ENDING);
		filter_pause(p->f, true);
		filter_shutdown(p->f);
	}
	if (p->down == DOWN_ENDING && pump_written(p) < p->received) {
		/* Standard output may be slow for as long as it likes, and is nobody else's. */
		if (!p->one_sided || p->quiet_ms > 0)
			timer_set(&p->linger, PUMP_LINGER_MS);
		return;
	}
	if (p->down == DOWN_DEAF)
		pump_finish(p, CODE_RESET, p->text, true);
	else
		pump_finish(p, CODE_OK, "", false);
}

/*
 * The stream is done with; the socket keeps the time to take what it was given.  Never by FIN: it
 * would look complete.
 */
static void
pump_linger(struct pump *p, uint32_t code, const char *text)
{
	p->s = NULL;
	timer_cancel(&p->linger);
	if (code == CODE_OK) {
		pump_end(p);
		return;
	}
	p->code = code;
	strncpy(p->text, text, sizeof p->text - 1);
	set_life(p, LIFE_LINGERING);
	filter_pause(p->f, true);
	p->linger_until_ms = loop_now_ms(p->loop) + PUMP_LINGER_MS;
	pump_break(p);
	if (p->life == LIFE_LINGERING && p->lingers != NULL)
		p->lingers(p->arg);
}

static void
on_linger(void *arg)
{
	struct pump *p = arg;

	if (p->life == LIFE_LINGERING)
		pump_break(p);
	else if (p->s == NULL)
		pump_finish(p, CODE_TIMEOUT, "the last bytes were not taken", true);
	else
		pump_fail(p, CODE_CANCELLED, "the local end is over, and nothing more has come");
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct pump *p = arg;

	if (p->life == LIFE_LINGERING && err != ERR_EOF)
		pump_finish(p, p->code, p->text, false);
	if (p->life != LIFE_RUNNING)
		return;
	if (p->s == NULL) {
		if (err != ERR_EOF)
			pump_finish(p, CODE_RESET, text, true);
		return;
	}
	if (err == ERR_EOF) {
		set_up(p, UP_ENDING);
		pump_wait_quiet(p);
		if (!p->one_sided)
			stream_eof(p->s);
		return;
	}
	pump_feed(p); /* what it had said, if we were not listening */
	if (p->life != LIFE_RUNNING)
		return;
	pump_deafen(p, text);
	/*
	 * What it had said before its end must still arrive: the stream lives until that is
	 * acknowledged.
	 */
	if (p->up == UP_ENDING && !p->one_sided)
		pump_account(p);
	else
		pump_fail(p, CODE_RESET, p->text);
}

/* ---- the stream's side ---- */

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct pump *p = arg;

	(void)ok;
	if (p->down == DOWN_AWAITING)
		set_down(p, DOWN_OPEN);
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
	if (p->life != LIFE_RUNNING)
		return;
	if (eof && p->up == UP_ENDING)
		set_up(p, UP_ENDED);
	/* All that the broken filter had said has arrived: now the other half can end, too. */
	if (p->up == UP_ENDED && p->down == DOWN_DEAF)
		pump_fail(p, CODE_RESET, p->text);
	else
		pump_feed(p);
}

static void
on_stream_closed(void *arg, uint32_t code, const char *text)
{
	struct pump *p = arg;

	if (p->life == LIFE_RUNNING)
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
	if (timer_init(&p->linger, l, on_linger, p) != 0 || filter_follow(f, on_drained, p) != 0) {
		timer_fini(&p->linger);
		mem_free(p);
		return NULL;
	}
	p->loop = l;
	p->f = f;
	p->s = s;
	p->done = done;
	p->arg = arg;
	task_init(&p->flush, on_flush, p);
	filter_pause(f, true); /* until pump_start */
	filter_reset(f, true); /* until both halves have ended in good order */
	filter_set_user(f, &filter_user, p);
	stream_set_user(s, &stream_user, p);
	return p;
}

void
pump_await(struct pump *p)
{
	set_down(p, DOWN_AWAITING);
}

void
pump_one_sided(struct pump *p, uint64_t quiet_ms)
{
	p->one_sided = true;
	p->quiet_ms = quiet_ms;
}

void
pump_start(struct pump *p)
{
	if (p->life != LIFE_RUNNING || p->up != UP_HELD)
		return;
	set_up(p, UP_OPEN);
	pump_feed(p);
}

void
pump_deliver(struct pump *p, struct bufq *in, bool eof)
{
	if (in->len > 0)
		on_data(p, in);
	if (eof && p->life == LIFE_RUNNING)
		on_eof(p);
}

void
pump_on_linger(struct pump *p, void (*lingers)(void *arg))
{
	p->lingers = lingers;
}

size_t
pump_unwritten(const struct pump *p)
{
	return filter_pending(p->f);
}

void
pump_hurry(struct pump *p)
{
	if (p->life == LIFE_LINGERING)
		pump_finish(p, p->code, p->text, false);
}

void
pump_stop(struct pump *p, uint32_t code, const char *text)
{
	if (p->life == LIFE_OVER)
		return;
	if (p->s != NULL)
		stream_reset(p->s, code, text);
	p->s = NULL;
	pump_release(p);
}
