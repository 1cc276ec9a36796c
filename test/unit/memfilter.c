/* SPDX-License-Identifier: ISC */
/* memfilter - two filters joined in memory. */
#include "test/unit/memfilter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

enum {
	ROOM = 256 * 1024, /* what an end that is not stalled offers */
	QUIET_TURNS = 12   /* turns without movement that count as settled */
};

struct memfilter {
	struct filter f;
	struct memfilter *peer; /* NULL: freed */
	struct bufq out;        /* written */
	size_t flushed;         /* bytes of out that may go */
	size_t chunk;
	bool stalled, shut, shut_told, refuse, detached;
	struct task deliver;
};

static unsigned moves; /* deliveries so far; tests have one thread */

static struct memfilter *
mem_of(const struct filter *f)
{
	return (struct memfilter *)(uintptr_t)f;
}

static void
kick(struct memfilter *m)
{
	if (m->f.loop != NULL)
		task_later(m->f.loop, &m->deliver);
}

/* Copy n bytes over in pieces, as if each had been read from a socket. */
static bool
carry(struct memfilter *m, size_t n)
{
	uint8_t piece[4096];

	while (n > 0) {
		size_t k = bufq_read(&m->out, 0, piece, n < sizeof piece ? n : sizeof piece);

		if (bufq_copy(&m->peer->f.in, piece, k) != 0)
			return false;
		bufq_drain(&m->out, k);
		m->flushed -= k;
		n -= k;
	}
	return true;
}

static void
on_deliver(void *arg)
{
	struct memfilter *m = arg;
	struct memfilter *p = m->peer;
	size_t n = m->chunk > 0 && m->chunk < m->flushed ? m->chunk : m->flushed;

	if (m->stalled)
		return;
	if (p == NULL || p->f.closed) {
		bufq_fini(&m->out);
		m->flushed = 0;
		return;
	}
	if (p->f.paused)
		return;
	if (n > 0) {
		moves++;
		if (!carry(m, n)) {
			filter_close(&p->f, ERR_NOMEM, "out of memory");
			return;
		}
		if (m->flushed > 0)
			kick(m);
		filter_readable(&p->f);
		if (m->flushed == 0)
			filter_writable(&m->f);
	}
	if (m->shut && !m->shut_told && m->out.len == 0 && m->peer != NULL) {
		m->shut_told = true;
		moves++;
		filter_close(&m->peer->f, ERR_EOF, "");
	}
}

static int
mem_op_write(struct filter *f, struct bufq *src)
{
	struct memfilter *m = mem_of(f);

	return m->shut ? ERR_CLOSED : bufq_move(&m->out, src, src->len);
}

static void
mem_op_flush(struct filter *f)
{
	mem_of(f)->flushed = mem_of(f)->out.len;
	kick(mem_of(f));
}

static size_t
mem_op_room(struct filter *f)
{
	return mem_of(f)->stalled || mem_of(f)->shut ? 0 : ROOM;
}

static void
mem_op_shutdown(struct filter *f)
{
	mem_of(f)->shut = true;
	mem_op_flush(f);
}

static void
mem_op_fini(struct filter *f)
{
	struct memfilter *m = mem_of(f);

	if (f->loop != NULL)
		task_cancel(f->loop, &m->deliver);
	bufq_fini(&m->out);
	if (m->peer != NULL) {
		m->peer->peer = NULL;
		/* One between two loops is told nothing, as a socket is not. */
		if (m->peer->f.loop != NULL && !m->peer->f.closed && !m->shut_told)
			filter_close(&m->peer->f, ERR_EOF, "");
	}
}

static void
mem_op_pause(struct filter *f, bool paused)
{
	if (!paused && mem_of(f)->peer != NULL)
		kick(mem_of(f)->peer);
}

static void
mem_op_detach(struct filter *f)
{
	task_cancel(f->loop, &mem_of(f)->deliver);
	mem_of(f)->detached = true;
}

static int
mem_op_attach(struct filter *f, struct loop *l)
{
	struct memfilter *m = mem_of(f);

	if (m->refuse) {
		m->refuse = false;
		return ERR_NOMEM;
	}
	/* A descriptor would be watched twice. */
	if (!m->detached)
		abort();
	m->detached = false;
	f->loop = l;
	kick(m);
	return 0;
}

static const struct filter_ops mem_ops = {
	.name = "memory",
	.write = mem_op_write,
	.flush = mem_op_flush,
	.room = mem_op_room,
	.shutdown = mem_op_shutdown,
	.fini = mem_op_fini,
	.pause = mem_op_pause,
	.detach = mem_op_detach,
	.attach = mem_op_attach,
};

bool
memfilter_pair(struct loop *l, struct filter *ends[2])
{
	struct memfilter *a = mem_zalloc(sizeof *a), *b = mem_zalloc(sizeof *b);

	if (a == NULL || b == NULL) {
		mem_free(a);
		mem_free(b);
		return false;
	}
	filter_init(&a->f, &mem_ops, NULL, l);
	filter_init(&b->f, &mem_ops, NULL, l);
	task_init(&a->deliver, on_deliver, a);
	task_init(&b->deliver, on_deliver, b);
	a->peer = b;
	b->peer = a;
	ends[0] = &a->f;
	ends[1] = &b->f;
	return true;
}

void
memfilter_set_chunk(struct filter *f, size_t n)
{
	mem_of(f)->chunk = n;
}

void
memfilter_stall(struct filter *f, bool stall)
{
	mem_of(f)->stalled = stall;
	if (!stall) {
		kick(mem_of(f));
		filter_writable(f);
	}
}

void
memfilter_cut(struct filter *f)
{
	struct memfilter *m = mem_of(f);

	bufq_fini(&m->out);
	m->flushed = 0;
	if (m->peer != NULL)
		filter_close(&m->peer->f, ERR_CLOSED, "connection reset by peer");
}

void
memfilter_refuse_attach(struct filter *f)
{
	mem_of(f)->refuse = true;
}

/* ---- turning the loop ---- */

struct settle {
	struct loop *l;
	struct task t;
	unsigned seen;
	int quiet;
};

static void
on_turn(void *arg)
{
	struct settle *s = arg;

	s->quiet = s->seen == moves ? s->quiet + 1 : 0;
	s->seen = moves;
	if (s->quiet < QUIET_TURNS)
		task_later(s->l, &s->t);
	else
		loop_stop(s->l);
}

void
mem_settle(struct loop *l)
{
	struct settle s = { .l = l, .seen = moves };

	task_init(&s.t, on_turn, &s);
	task_later(l, &s.t);
	IGNORE_RESULT(loop_run(l)); /* a loop without descriptors cannot fail */
}

/* ---- the collecting user ---- */

static void
sink_readable(void *arg)
{
	struct sink *s = arg;

	s->n_readable++;
}

static void
sink_writable(void *arg)
{
	struct sink *s = arg;

	s->n_writable++;
}

static void
sink_closed(void *arg, int err, const char *text)
{
	struct sink *s = arg;

	assert(err != 0);
	s->n_closed++;
	s->err = err;
	snprintf(s->text, sizeof s->text, "%s", text);
}

const struct filter_user sink_user = { sink_readable, sink_writable, sink_closed };
