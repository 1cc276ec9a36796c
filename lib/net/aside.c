/* SPDX-License-Identifier: ISC */
/* aside - what may block, done beside the loop. */
#include "lib/net/aside.h"

#include <errno.h>

static void
join(struct aside *a)
{
	pthread_join(a->thread, NULL);
	a->busy = false;
}

static void
on_told(void *arg)
{
	struct aside *a = arg;

	join(a); /* to send this was the last thing it did */
	a->done(a->arg);
}

static void *
aside_run(void *arg)
{
	struct aside *a = arg;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	a->work(a->arg);
	loop_send(a->loop, &a->told);
	return NULL;
}

void
aside_init(
    struct aside *a, struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	*a = (struct aside){ .loop = l,
		.work = work,
		.done = done,
		.arg = arg,
		.told = { .fn = on_told, .arg = a } };
}

int
aside_start(struct aside *a)
{
	errno = pthread_create(&a->thread, NULL, aside_run, a);
	a->busy = errno == 0;
	return a->busy ? 0 : ERR_SYS;
}

bool
aside_is_busy(const struct aside *a)
{
	return a->busy;
}

void
aside_fini(struct aside *a)
{
	if (!a->busy)
		return;
	pthread_cancel(a->thread);
	join(a);
	loop_recall(a->loop, &a->told);
}
