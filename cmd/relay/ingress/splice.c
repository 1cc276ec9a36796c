/* SPDX-License-Identifier: ISC */
/*
 * splice - two filters joined both ways.  Copies of payload: 0 (blocks move between the queues).
 *
 *      half  OPEN ── its side's end, which is passed on ──> ENDED
 *      life  RUNNING ── both halves have ended ──> CLOSING ── all is in the kernel ──> OVER
 *            RUNNING, CLOSING ── one is broken ──> BREAKING ── all has arrived ──> OVER
 */
#include "cmd/relay/ingress/splice.h"

#include <assert.h>
#include <stdio.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

enum half { HALF_OPEN, HALF_ENDED, N_HALF };
enum life { LIFE_RUNNING, LIFE_CLOSING, LIFE_BREAKING, LIFE_OVER, N_LIFE };

static const char *const half_name[N_HALF] = { "OPEN", "ENDED" };
static const char *const life_name[N_LIFE] = { "RUNNING", "CLOSING", "BREAKING", "OVER" };

static const bool half_can[N_HALF][N_HALF] = {
	[HALF_OPEN] = { [HALF_ENDED] = true },
};
static const bool life_can[N_LIFE][N_LIFE] = {
	[LIFE_RUNNING] = { [LIFE_CLOSING] = true, [LIFE_BREAKING] = true, [LIFE_OVER] = true },
	[LIFE_CLOSING] = { [LIFE_BREAKING] = true, [LIFE_OVER] = true },
	[LIFE_BREAKING] = { [LIFE_OVER] = true },
};

/* One of the two, and the half that comes from it. */
struct end {
	struct splice *s;
	struct end *other;
	struct filter *f;
	enum half half;
	uint64_t bytes;
	struct task flush;
};

struct splice {
	struct loop *loop;
	struct end end[SPLICE_SIDES];
	enum life life;
	void (*done)(void *arg, const struct splice_result *res);
	void *arg;
	/* Whose end or break came first; NULL: none. */
	struct end *first;
	char text[128];
	/* When something moved last, or it broke. */
	uint64_t since_ms;
	uint64_t idle_ms;
	struct timer timer;
	struct grave grave;
};

static void
set_half(struct end *e, enum half next)
{
	assert(half_can[e->half][next]);
	log_debug("splice: half %s -> %s", half_name[e->half], half_name[next]);
	e->half = next;
}

static void
set_life(struct splice *s, enum life next)
{
	assert(life_can[s->life][next]);
	log_debug("splice: %s -> %s", life_name[s->life], life_name[next]);
	s->life = next;
}

/* ---- the end ---- */

static void
splice_dispose(void *arg)
{
	mem_free(arg);
}

static void
splice_release(struct splice *s)
{
	set_life(s, LIFE_OVER);
	timer_fini(&s->timer);
	for (int i = 0; i < SPLICE_SIDES; i++) {
		task_cancel(s->loop, &s->end[i].flush);
		filter_free(s->end[i].f);
	}
	loop_bury(s->loop, &s->grave, splice_dispose, s);
}

static void
splice_finish(struct splice *s)
{
	struct splice_result res = { .whole = s->life == LIFE_CLOSING,
		.side = s->first == NULL ? SPLICE_SIDES : (enum splice_side)(s->first - s->end),
		.text = s->text,
		.bytes = { s->end[SPLICE_A].bytes, s->end[SPLICE_B].bytes } };

	for (int i = 0; res.whole && i < SPLICE_SIDES; i++)
		filter_reset(s->end[i].f, false);
	splice_release(s);
	s->done(s->arg, &res);
}

/* Bytes that no kernel, and no session, has taken. */
static size_t
unwritten(const struct filter *f)
{
	size_t n = 0;

	for (; f != NULL; f = f->below)
		n += filter_pending(f);
	return n;
}

static void
try_to_close(struct splice *s)
{
	if (unwritten(s->end[SPLICE_A].f) == 0 && unwritten(s->end[SPLICE_B].f) == 0)
		splice_finish(s);
}

/* A reset drops what the kernel still holds, so it waits until that has arrived. */
static void
try_to_break(struct splice *s)
{
	size_t left = 0;

	for (int i = 0; i < SPLICE_SIDES; i++)
		if (!s->end[i].f->closed)
			left += filter_unacked(s->end[i].f);
	if (left == 0 || loop_now_ms(s->loop) >= s->since_ms + SPLICE_LINGER_MS)
		splice_finish(s);
	else
		timer_set(&s->timer, SPLICE_POLL_MS);
}

static void
splice_break(struct splice *s, struct end *first, const char *text)
{
	set_life(s, LIFE_BREAKING);
	if (s->first == NULL)
		s->first = first;
	snprintf(s->text, sizeof s->text, "%s", text);
	for (int i = 0; i < SPLICE_SIDES; i++)
		filter_pause(s->end[i].f, true);
	s->since_ms = loop_now_ms(s->loop);
	try_to_break(s);
}

/* ---- bytes ---- */

static void
on_flush(void *arg)
{
	struct end *e = arg;

	filter_flush(e->f);
	/* That alone may have made room. */
	if (e->s->life == LIFE_RUNNING && e->other->half == HALF_OPEN)
		filter_want(e->other->f, filter_room(e->f));
}

static void
pass(struct end *e)
{
	size_t n = e->f->in.len;
	int r;

	if (n == 0)
		return;
	r = filter_write(e->other->f, &e->f->in);
	if (r == 0) {
		e->bytes += n;
		e->s->since_ms = loop_now_ms(e->s->loop);
		task_soon(e->s->loop, &e->other->flush);
		filter_want(e->f, filter_room(e->other->f));
	} else {
		/* TLS takes nothing after its peer's end. */
		splice_break(e->s, r == ERR_CLOSED ? e->other : NULL,
		    r == ERR_CLOSED ? "it takes nothing more" : "out of memory");
	}
}

static void
on_readable(void *arg)
{
	struct end *e = arg;

	if (e->s->life == LIFE_RUNNING)
		pass(e);
}

static void
on_writable(void *arg)
{
	struct end *e = arg;

	if (e->s->life == LIFE_RUNNING && e->other->half == HALF_OPEN)
		filter_want(e->other->f, filter_room(e->f));
}

static void
on_drained(void *arg)
{
	struct splice *s = arg;

	if (s->life == LIFE_CLOSING)
		try_to_close(s);
}

static void
take_end(struct end *e)
{
	struct splice *s = e->s;

	set_half(e, HALF_ENDED);
	if (s->first == NULL)
		s->first = e;
	filter_shutdown(e->other->f);
	if (e->other->half != HALF_ENDED)
		return;
	set_life(s, LIFE_CLOSING);
	try_to_close(s);
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct end *e = arg;

	if (e->s->life == LIFE_BREAKING) {
		/* The other may be waited for no longer. */
		if (err != ERR_EOF)
			try_to_break(e->s);
	} else if (err == ERR_EOF) {
		take_end(e);
	} else {
		/* What it had said, if it was not read. */
		if (e->s->life == LIFE_RUNNING)
			pass(e);
		if (e->s->life == LIFE_RUNNING || e->s->life == LIFE_CLOSING)
			splice_break(e->s, e, text);
	}
}

static const struct filter_user filter_user = { on_readable, on_writable, on_closed };

/* ---- time ---- */

static void
on_timer(void *arg)
{
	struct splice *s = arg;
	uint64_t due = s->since_ms + s->idle_ms, now = loop_now_ms(s->loop);

	if (s->life == LIFE_BREAKING)
		try_to_break(s);
	else if (due > now)
		timer_set(&s->timer, due - now);
	else
		splice_break(s, NULL, "nothing has moved for too long");
}

/* ---- life ---- */

struct splice *
splice_new(struct loop *l, struct filter *a, struct filter *b, uint64_t idle_ms,
    void (*done)(void *arg, const struct splice_result *res), void *arg)
{
	struct splice *s = mem_zalloc(sizeof *s);

	if (s == NULL)
		return NULL;
	if (timer_init(&s->timer, l, on_timer, s) != 0 || filter_follow(a, on_drained, s) != 0 ||
	    filter_follow(b, on_drained, s) != 0) {
		/* This cannot fail a second time. */
		IGNORE_RESULT(filter_follow(a, NULL, NULL));
		timer_fini(&s->timer);
		mem_free(s);
		return NULL;
	}
	s->loop = l;
	s->idle_ms = idle_ms;
	s->done = done;
	s->arg = arg;
	s->since_ms = loop_now_ms(l);
	s->idle_ms = idle_ms;
	for (int i = 0; i < SPLICE_SIDES; i++) {
		struct end *e = &s->end[i];

		e->s = s;
		e->other = &s->end[1 - i];
		e->f = i == SPLICE_A ? a : b;
		task_init(&e->flush, on_flush, e);
		/* Until both halves have ended in good order. */
		filter_reset(e->f, true);
		filter_set_user(e->f, &filter_user, e);
	}
	for (int i = 0; i < SPLICE_SIDES; i++)
		filter_want(s->end[i].f, filter_room(s->end[1 - i].f));
	timer_set(&s->timer, idle_ms);
	return s;
}

void
splice_stop(struct splice *s)
{
	splice_release(s);
}

uint64_t
splice_bytes(const struct splice *s, enum splice_side side)
{
	return s->end[side].bytes;
}
