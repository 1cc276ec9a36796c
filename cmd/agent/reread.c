/* SPDX-License-Identifier: ISC */
/* reread - the agent's configuration file read again while it runs. */
#include "cmd/agent/reread.h"

#include <errno.h>
#include <string.h>

#include "lib/base/log.h"

static void on_read(void *arg);

static void *
reread_run(void *arg)
{
	struct reread *rl = arg;

	/* But while it waits for the file (lib/base/file.h). */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	rl->r = opt_reread(
	    rl->user.spec, rl->user.before, rl->user.path, rl->user.fresh, &rl->now, &rl->why);
	if (rl->r == 0)
		rl->r = rl->user.prepare(rl->user.arg, &rl->now, &rl->why);
	if (loop_post(rl->loop, on_read, NULL, rl) != 0) {
		log_errorx("%s: out of memory, it is not read again", rl->user.path);
		atomic_store(&rl->undelivered, true);
	}
	return NULL;
}

/* The thread has ended, or is about to. */
static void
join(struct reread *rl)
{
	pthread_join(rl->thread, NULL);
	rl->running = false;
}

static void
forget(struct reread *rl)
{
	opt_fini(rl->user.spec, rl->user.fresh, &rl->now);
	memset(rl->user.fresh, 0, rl->user.size);
}

static void
on_read(void *arg)
{
	struct reread *rl = arg;

	join(rl); /* posting this was the last thing it did */
	rl->user.done(rl->user.arg, &rl->now, rl->r, rl->why.s);
	forget(rl);
	if (rl->wanted)
		reread_start(rl);
}

void
reread_init(struct reread *rl, struct loop *l, const struct reread_user *user)
{
	*rl = (struct reread){ .loop = l, .user = *user };
}

void
reread_start(struct reread *rl)
{
	int rc;

	rl->wanted = true;
	if (rl->running && atomic_load(&rl->undelivered)) {
		join(rl);
		forget(rl);
	}
	if (rl->running)
		return;
	rl->wanted = false;
	errtext_clear(&rl->why);
	atomic_store(&rl->undelivered, false);
	rc = pthread_create(&rl->thread, NULL, reread_run, rl);
	rl->running = rc == 0;
	if (rl->running)
		return;
	errno = rc;
	err_sys(&rl->why, "%s: no thread to read it", rl->user.path);
	rl->user.done(rl->user.arg, &rl->now, ERR_SYS, rl->why.s);
}

void
reread_fini(struct reread *rl)
{
	if (!rl->running)
		return;
	/*
	 * It may wait for ever, for whoever was to write into a FIFO; only there it can be ended,
	 * and it holds no lock then.
	 */
	pthread_cancel(rl->thread);
	join(rl);
	forget(rl);
}
