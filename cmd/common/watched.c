/* SPDX-License-Identifier: ISC */
/* watched - a file read again while the program runs. */
#include "cmd/common/watched.h"

#include <errno.h>

#include "lib/base/log.h"

static void on_read(void *arg);

static void *
watched_run(void *arg)
{
	struct watched *w = arg;
	struct file_stamp now;

	/* But while it waits for the file (lib/base/file.h). */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	file_stamp_take(&now, w->user.path);
	w->looked = !w->only_changed || !file_stamp_same(&now, &w->stamp);
	if (w->looked) {
		w->stamp = now;
		w->r = w->user.read(w->user.path, &w->fresh, &w->why);
	}
	if (loop_post(w->loop, on_read, NULL, w) != 0)
		atomic_store(&w->undelivered, true);
	return NULL;
}

static void
join(struct watched *w)
{
	pthread_join(w->thread, NULL);
	w->running = false;
}

static void
begin(struct watched *w, bool only_changed)
{
	int rc;

	w->only_changed = only_changed;
	w->fresh = NULL;
	atomic_store(&w->undelivered, false);
	errtext_clear(&w->why);
	rc = pthread_create(&w->thread, NULL, watched_run, w);
	w->running = rc == 0;
	if (w->running)
		return;
	/* What has changed is found at the next look. */
	w->wanted = !only_changed;
	errno = rc;
	log_error("%s: no thread to read it again", w->user.path);
}

static void
on_read(void *arg)
{
	struct watched *w = arg;
	void *fresh;

	join(w); /* posting this was the last thing it did */
	fresh = w->fresh;
	w->fresh = NULL;
	if (w->looked && w->r == 0) {
		log_info("%s: read again", w->user.path);
		w->user.use(w->user.arg, fresh);
	} else if (w->looked) {
		log_errorx("%s; what was read before stays", w->why.s);
	}
	if (w->wanted)
		watched_reread(w);
}

/* The thread has ended and its message was lost. */
static void
take_back(struct watched *w)
{
	join(w);
	if (w->fresh != NULL)
		w->user.drop(w->fresh);
	w->fresh = NULL;
	w->wanted = true;
}

static void
on_timer(void *arg)
{
	struct watched *w = arg;

	timer_set(&w->timer, WATCHED_MS);
	if (w->user.tick != NULL)
		w->user.tick(w->user.arg);
	if (w->running && atomic_load(&w->undelivered))
		take_back(w);
	if (w->running)
		return;
	if (w->wanted)
		watched_reread(w);
	else
		begin(w, true);
}

void
watched_reread(struct watched *w)
{
	w->wanted = true;
	if (w->running)
		return;
	w->wanted = false;
	begin(w, false);
}

int
watched_init(struct watched *w, struct loop *l, const struct watched_user *user, struct errtext *e)
{
	void *first = NULL;
	int r;

	*w = (struct watched){ .loop = l, .user = *user };
	file_stamp_take(&w->stamp, user->path);
	if ((r = user->read(user->path, &first, e)) != 0)
		return r;
	user->use(user->arg, first);
	if (timer_init(&w->timer, l, on_timer, w) != 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	timer_set(&w->timer, WATCHED_MS);
	return 0;
}

void
watched_fini(struct watched *w)
{
	if (w->running) {
		/*
		 * It may wait for ever, for whoever was to write into a FIFO; only there it can be
		 * ended, and it holds no lock then.
		 */
		pthread_cancel(w->thread);
		join(w);
	}
	if (w->fresh != NULL)
		w->user.drop(w->fresh);
	w->fresh = NULL;
	timer_fini(&w->timer);
}
