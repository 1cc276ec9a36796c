/* SPDX-License-Identifier: ISC */
/*
 * wire - two filters joined in memory, for tests: what is written to one end arrives at the other
 * in a later turn of the loop, in pieces as small as asked for, changed or cut off where asked for.
 *
 * Header only, because unit tests, benchmarks and fuzzers use it and link differently.
 */
#ifndef TEST_WIRE_H
#define TEST_WIRE_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/net/filter.h"
#include "lib/net/loop.h"
#include "lib/base/mem.h"

#define WIRE_ROOM (256 * 1024)
#define WIRE_NOWHERE UINT64_MAX

/* One end; the members up to passed are the test's to set and read. */
struct wire {
	struct filter f;
	/* bytes that arrive here in a turn; 0: all */
	size_t chunk;
	/* the byte that arrives here changed */
	uint64_t flip_at;
	/* nothing from here on arrives, but the end of the stream */
	uint64_t cut_at;
	/* bytes that have arrived here */
	uint64_t passed;
	/* NULL when that end was freed */
	struct wire *peer;
	struct bufq coming;
	struct task deliver;
	bool fin;
	/* the next flush here fails, as a write(2) to a reset socket does */
	bool broken;
};

static inline struct wire *
wire_of(struct filter *f)
{
	return (struct wire *)f;
}

static inline void
wire_flip(struct wire *w, size_t n)
{
	struct iovec iov;

	if (w->flip_at < w->passed || w->flip_at >= w->passed + n)
		return;
	if (bufq_own(&w->coming, (size_t)(w->flip_at - w->passed), 1, &iov, 1) == 1)
		*(uint8_t *)iov.iov_base ^= 0x55;
}

static inline void
wire_on_deliver(void *arg)
{
	struct wire *w = arg;
	size_t n = w->coming.len;

	if (w->f.closed || w->f.eof || w->f.paused)
		return;
	if (w->chunk > 0 && n > w->chunk)
		n = w->chunk;
	if (w->passed + n > w->cut_at) {
		n = (size_t)(w->cut_at - w->passed);
		w->fin = true;
	}
	wire_flip(w, n);
	if (n > 0 && bufq_move(&w->f.in, &w->coming, n) != 0) {
		filter_close(&w->f, ERR_NOMEM, "out of memory");
		return;
	}
	w->passed += n;
	if (w->passed >= w->cut_at)
		bufq_fini(&w->coming);
	if (w->coming.len > 0)
		task_later(w->f.loop, &w->deliver);
	if (n > 0)
		filter_readable(&w->f);
	if (n > 0 && w->peer != NULL)
		filter_writable(&w->peer->f);
	if (w->fin && w->coming.len == 0 && !w->f.closed)
		filter_close(&w->f, ERR_EOF, "");
}

static inline int
wire_write(struct filter *f, struct bufq *src)
{
	struct wire *to = wire_of(f)->peer;

	if (to == NULL)
		return ERR_CLOSED;
	if (bufq_move(&to->coming, src, src->len) != 0)
		return ERR_NOMEM;
	task_soon(to->f.loop, &to->deliver);
	return 0;
}

static inline void
wire_flush(struct filter *f)
{
	if (wire_of(f)->broken)
		filter_close(f, ERR_CLOSED, "Broken pipe");
}

static inline size_t
wire_room(struct filter *f)
{
	struct wire *to = wire_of(f)->peer;
	size_t used = to != NULL ? to->coming.len + to->f.in.len : WIRE_ROOM;

	return used < WIRE_ROOM ? WIRE_ROOM - used : 0;
}

static inline void
wire_shutdown(struct filter *f)
{
	struct wire *to = wire_of(f)->peer;

	if (to == NULL || to->fin)
		return;
	to->fin = true;
	task_soon(to->f.loop, &to->deliver);
}

static inline void
wire_fini(struct filter *f)
{
	struct wire *w = wire_of(f);

	wire_shutdown(f);
	task_cancel(f->loop, &w->deliver);
	bufq_fini(&w->coming);
	if (w->peer != NULL)
		w->peer->peer = NULL;
}

static inline void
wire_pause(struct filter *f, bool paused)
{
	if (!paused)
		task_soon(f->loop, &wire_of(f)->deliver);
}

static inline void
wire_detach(struct filter *f)
{
	task_cancel(f->loop, &wire_of(f)->deliver);
}

static inline int
wire_attach(struct filter *f, struct loop *l)
{
	task_soon(l, &wire_of(f)->deliver);
	return 0;
}

static const struct filter_ops wire_ops = {
	.name = "wire",
	.write = wire_write,
	.flush = wire_flush,
	.room = wire_room,
	.shutdown = wire_shutdown,
	.fini = wire_fini,
	.pause = wire_pause,
	.detach = wire_detach,
	.attach = wire_attach,
};

static inline struct wire *
wire_end(struct loop *l)
{
	struct wire *w = mem_must_zalloc(sizeof *w);

	filter_init(&w->f, &wire_ops, NULL, l);
	task_init(&w->deliver, wire_on_deliver, w);
	w->flip_at = w->cut_at = WIRE_NOWHERE;
	return w;
}

/* wire_pair - two ends, each freed by filter_free() as any filter. */
static inline void
wire_pair(struct loop *l, struct wire **a, struct wire **b)
{
	*a = wire_end(l);
	*b = wire_end(l);
	(*a)->peer = *b;
	(*b)->peer = *a;
}

/*
 * wire_run - turn the loop until done(arg), or until a deadline of ms has passed.  Returns whether
 * it is done.
 */
struct wire_wait {
	struct loop *l;
	struct task again;
	bool (*done)(void *arg);
	void *arg;
	uint64_t until_ms;
	bool is_done;
};

static inline void
wire_on_wait(void *arg)
{
	struct wire_wait *w = arg;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	w->is_done = w->done(w->arg);
	if (w->is_done || (uint64_t)now.tv_sec * 1000 > w->until_ms)
		loop_stop(w->l);
	else
		task_later(w->l, &w->again);
}

static inline bool
wire_run(struct loop *l, uint64_t ms, bool (*done)(void *arg), void *arg)
{
	struct timespec now;
	struct wire_wait w = { .l = l, .done = done, .arg = arg };

	clock_gettime(CLOCK_MONOTONIC, &now);
	w.until_ms = (uint64_t)now.tv_sec * 1000 + ms;
	task_init(&w.again, wire_on_wait, &w);
	task_later(l, &w.again);
	if (loop_run(l) != 0)
		return false;
	task_cancel(l, &w.again);
	return w.is_done;
}

static inline bool
wire_turns_done(void *arg)
{
	return --*(unsigned *)arg == 0;
}

/* wire_turns - turn the loop n times: after that nothing in memory is still on its way. */
static inline void
wire_turns(struct loop *l, unsigned n)
{
	bool ok = wire_run(l, 60000, wire_turns_done, &n);

	assert(ok);
}

#endif
