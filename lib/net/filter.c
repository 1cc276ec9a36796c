/* SPDX-License-Identifier: ISC */
/* filter - what all byte-stream filters share: state checks, pausing, telling the user, burial. */
#include "lib/net/filter.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

enum { MARKS = 4 };

/*
 * Where the bytes of an encoding filter are: of those taken, the first v[i].taken are in the first
 * v[i].below of what the filter below took.  Oldest first; with no room left the newest is
 * replaced, so that bytes are counted late, never early.
 */
struct filter_marks {
	struct mark {
		uint64_t taken, below;
	} v[MARKS];
	unsigned n;
	uint64_t written;
};

/* An orderly end comes after all input. */
static bool
can_tell(const struct filter *f, int err)
{
	return f->user != NULL && (err != ERR_EOF || !f->paused || f->in.len == 0);
}

/* Unpausing tells of what is left from the loop, never from inside the user's own call. */
static void
on_resume(void *arg)
{
	struct filter *f = arg;
	int err;

	filter_readable(f);
	err = f->due;
	if (err == 0 || !can_tell(f, err))
		return;
	f->due = 0;
	f->user->closed(f->arg, err, f->due_text);
}

static bool
has_news(const struct filter *f)
{
	return f->due != 0 || (f->in.len > 0 && !f->closed);
}

void
filter_init(struct filter *f, const struct filter_ops *ops, struct filter *below, struct loop *l)
{
	*f = (struct filter){ .ops = ops, .below = below, .loop = l, .want = SIZE_MAX };
	task_init(&f->resume, on_resume, f);
}

void
filter_set_user(struct filter *f, const struct filter_user *user, void *arg)
{
	bool same = user == f->user && arg == f->arg;

	f->user = user;
	f->arg = arg;
	/* The bytes and the end that came before this user did are its own too, whoever was told of
	 * the end before. */
	if (user != NULL && !same && f->eof && f->due == 0)
		f->due = ERR_EOF;
	if (user != NULL && f->loop != NULL && has_news(f))
		task_soon(f->loop, &f->resume);
}

int
filter_write(struct filter *f, struct bufq *src)
{
	size_t n = src->len;
	int r;

	if (f->closed)
		return ERR_CLOSED;
	r = f->ops->write(f, src);
	if (r == 0)
		f->taken += n;
	return r;
}

int
filter_send(struct filter *f, const void *p, size_t n)
{
	struct bufq q = { 0 };
	int r = bufq_copy(&q, p, n);

	if (r == 0)
		r = filter_write(f, &q);
	bufq_fini(&q);
	return r;
}

size_t
filter_pending(const struct filter *f)
{
	return f->ops->pending != NULL ? f->ops->pending(f) : 0;
}

/* Note where the bytes are that have been handed on by now. */
static void
set_mark(struct filter *f)
{
	struct filter_marks *m = f->marks;
	uint64_t taken = f->taken - filter_pending(f);

	if (m == NULL || f->below == NULL ||
	    taken == (m->n > 0 ? m->v[m->n - 1].taken : m->written))
		return;
	if (m->n < MARKS)
		m->n++;
	m->v[m->n - 1] = (struct mark){ taken, f->below->taken };
}

void
filter_flush(struct filter *f)
{
	if (f->closed)
		return;
	f->ops->flush(f);
	set_mark(f);
}

size_t
filter_room(struct filter *f)
{
	return f->closed ? 0 : f->ops->room(f);
}

void
filter_shutdown(struct filter *f)
{
	if (!f->closed)
		f->ops->shutdown(f);
}

void
filter_pause(struct filter *f, bool paused)
{
	if (f->closed || f->paused == paused)
		return;
	f->paused = paused;
	f->ops->pause(f, paused);
	if (!paused && has_news(f))
		task_soon(f->loop, &f->resume);
}

void
filter_want(struct filter *f, size_t n)
{
	if (n > 0)
		f->want = n;
	filter_pause(f, n == 0);
}

static void
on_below_drained(void *arg)
{
	filter_drained(arg);
}

int
filter_follow(struct filter *f, void (*drained)(void *arg), void *arg)
{
	if (f->below != NULL) {
		if (f->marks == NULL && (f->marks = mem_zalloc(sizeof *f->marks)) == NULL)
			return ERR_NOMEM;
		if (filter_follow(f->below, on_below_drained, f) != 0)
			return ERR_NOMEM;
		f->marks->written = f->taken - filter_pending(f);
	}
	f->taken_before = f->taken;
	f->drained = drained;
	f->drained_arg = arg;
	return 0;
}

/* Of all that was ever written. */
static uint64_t
written(struct filter *f)
{
	struct filter_marks *m = f->marks;
	uint64_t below;
	unsigned gone = 0;

	if (f->below == NULL)
		return f->taken - filter_pending(f);
	assert(m != NULL);
	set_mark(f);
	below = written(f->below);
	while (gone < m->n && m->v[gone].below <= below)
		m->written = m->v[gone++].taken;
	m->n -= gone;
	memmove(m->v, m->v + gone, m->n * sizeof m->v[0]);
	return m->written;
}

uint64_t
filter_written(struct filter *f)
{
	uint64_t n = written(f);

	return n > f->taken_before ? n - f->taken_before : 0;
}

size_t
filter_backlog(const struct filter *f)
{
	size_t n = 0;

	for (; f != NULL; f = f->below)
		n += filter_pending(f);
	return n;
}

size_t
filter_unacked(const struct filter *f)
{
	size_t n = 0;

	for (; f != NULL; f = f->below) {
		n += filter_pending(f);
		if (f->ops->unacked != NULL)
			n += f->ops->unacked(f);
	}
	return n;
}

void
filter_reset(struct filter *f, bool on)
{
	for (; f != NULL; f = f->below)
		if (f->ops->reset != NULL)
			f->ops->reset(f, on);
}

static void
filter_dispose(void *arg)
{
	mem_free(arg);
}

void
filter_free(struct filter *f)
{
	while (f != NULL) {
		struct filter *below = f->below;

		f->closed = true;
		f->user = NULL;
		f->drained = NULL;
		if (f->loop != NULL)
			task_cancel(f->loop, &f->resume);
		f->ops->fini(f);
		bufq_fini(&f->in);
		mem_free(f->marks);
		f->marks = NULL;
		f->below = NULL;
		if (f->loop != NULL)
			loop_bury(f->loop, &f->grave, filter_dispose, f);
		else
			filter_dispose(f);
		f = below;
	}
}

void
filter_detach(struct filter *f)
{
	for (; f != NULL; f = f->below) {
		task_cancel(f->loop, &f->resume);
		f->ops->detach(f);
		f->loop = NULL;
	}
}

int
filter_attach(struct filter *top, struct loop *l)
{
	struct filter *f, *g;
	int r = 0;

	for (f = top; f != NULL && r == 0; f = f->below) {
		f->loop = l;
		r = f->ops->attach(f, l);
		if (r == 0 && has_news(f) && !f->paused)
			task_soon(l, &f->resume);
		if (r != 0)
			break;
	}
	if (r == 0)
		return 0;
	f->loop = NULL;
	for (g = top; g != f; g = g->below) {
		task_cancel(l, &g->resume);
		g->ops->detach(g);
		g->loop = NULL;
	}
	return r;
}

void
filter_readable(struct filter *f)
{
	if (f->closed || f->paused || f->in.len == 0 || f->user == NULL)
		return;
	f->user->readable(f->arg);
}

void
filter_writable(struct filter *f)
{
	if (!f->closed && f->user != NULL)
		f->user->writable(f->arg);
}

void
filter_drained(struct filter *f)
{
	if (!f->closed && f->drained != NULL)
		f->drained(f->drained_arg);
}

void
filter_close(struct filter *f, int err, const char *text)
{
	if (f->closed || (err == ERR_EOF && f->eof))
		return;
	if (err == ERR_EOF)
		f->eof = true;
	else
		f->closed = true;
	if (can_tell(f, err)) {
		f->due = 0;
		f->user->closed(f->arg, err, text);
		return;
	}
	f->due = err;
	snprintf(f->due_text, sizeof f->due_text, "%s", text);
}
