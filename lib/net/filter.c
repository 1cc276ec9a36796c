/* SPDX-License-Identifier: ISC */
/* filter - what all byte-stream filters share: state checks, pausing, telling the user, burial. */
#include "lib/net/filter.h"

#include <stdio.h>

#include "lib/base/mem.h"

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
	*f = (struct filter){ .ops = ops, .below = below, .loop = l };
	task_init(&f->resume, on_resume, f);
}

void
filter_set_user(struct filter *f, const struct filter_user *user, void *arg)
{
	f->user = user;
	f->arg = arg;
	/* The bytes and the end that came before this user did are its own too. */
	if (user != NULL && has_news(f))
		task_soon(f->loop, &f->resume);
}

int
filter_write(struct filter *f, struct bufq *src)
{
	if (f->closed)
		return ERR_CLOSED;
	return f->ops->write(f, src);
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

void
filter_flush(struct filter *f)
{
	if (!f->closed)
		f->ops->flush(f);
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
		task_cancel(f->loop, &f->resume);
		f->ops->fini(f);
		bufq_fini(&f->in);
		f->below = NULL;
		loop_bury(f->loop, &f->grave, filter_dispose, f);
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
filter_attach(struct filter *f, struct loop *l)
{
	int r = 0;

	/* All of them get the loop even if one fails, so that filter_free can bury them. */
	for (; f != NULL; f = f->below) {
		f->loop = l;
		if (r == 0)
			r = f->ops->attach(f, l);
		if (r == 0 && has_news(f) && !f->paused)
			task_soon(l, &f->resume);
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
