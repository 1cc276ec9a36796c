/* SPDX-License-Identifier: ISC */
/* watched - a file read again while the program runs. */
#include "cmd/common/watched.h"

#include "lib/base/log.h"

static void
read_it(void *arg)
{
	struct watched *w = arg;
	struct file_stamp now;

	file_stamp_take(&now, w->user.path);
	w->looked = !w->only_changed || !file_stamp_same(&now, &w->stamp);
	if (w->looked) {
		w->stamp = now;
		w->r = w->user.read(w->user.path, &w->fresh, &w->why);
	}
}

static void
begin(struct watched *w, bool only_changed)
{
	w->only_changed = only_changed;
	w->fresh = NULL;
	errtext_clear(&w->why);
	if (aside_start(&w->reading) == 0)
		return;
	/* What has changed is found at the next look. */
	w->wanted = !only_changed;
	log_error("%s: no thread to read it again", w->user.path);
}

static void
on_read(void *arg)
{
	struct watched *w = arg;
	void *fresh = w->fresh;

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

static void
on_timer(void *arg)
{
	struct watched *w = arg;

	timer_set(&w->timer, WATCHED_MS);
	if (w->user.tick != NULL)
		w->user.tick(w->user.arg);
	if (aside_is_busy(&w->reading))
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
	if (aside_is_busy(&w->reading))
		return;
	w->wanted = false;
	begin(w, false);
}

int
watched_init(struct watched *w, struct loop *l, const struct watched_user *user, struct errtext *e)
{
	void *first = NULL;
	int r;

	*w = (struct watched){ .user = *user };
	aside_init(&w->reading, l, read_it, on_read, w);
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
	aside_fini(&w->reading);
	if (w->fresh != NULL)
		w->user.drop(w->fresh);
	w->fresh = NULL;
	timer_fini(&w->timer);
}
