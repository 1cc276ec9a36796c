/* SPDX-License-Identifier: ISC */
/*
 * turns - turn a loop with descriptors until something is true, or ten seconds have passed.  Header
 * only.  Needs no timer of the loop, so the clock may be the test's (handclock.h).
 */
#ifndef TEST_UNIT_TURNS_H
#define TEST_UNIT_TURNS_H

#include <time.h>

#include "lib/net/loop.h"

enum { TURNS_PAUSE_US = 100, TURNS_MAX = 100000 };

struct turns {
	struct loop *l;
	struct task next;
	bool (*cond)(void *arg);
	void *arg;
	int left;
};

static inline void
turns_look(void *arg)
{
	const struct timespec pause = { .tv_nsec = TURNS_PAUSE_US * 1000L };
	struct turns *x = arg;

	if (x->cond(x->arg) || --x->left == 0) {
		loop_stop(x->l);
		return;
	}
	nanosleep(&pause, NULL);
	task_later(x->l, &x->next);
}

/* turns_begin - the next loop_run ends when cond(arg) comes true; turns_end - behind that. */
static inline void
turns_begin(struct turns *x, struct loop *l, bool (*cond)(void *arg), void *arg)
{
	*x = (struct turns){ .l = l, .cond = cond, .arg = arg, .left = TURNS_MAX };
	task_init(&x->next, turns_look, x);
	task_later(l, &x->next);
}

static inline void
turns_end(struct turns *x)
{
	task_cancel(x->l, &x->next);
}

/* turns_until - returns whether cond(arg) came true. */
static inline bool
turns_until(struct loop *l, bool (*cond)(void *arg), void *arg)
{
	struct turns x;

	turns_begin(&x, l, cond, arg);
	IGNORE_RESULT(loop_run(l)); /* cond says what came of it */
	turns_end(&x);
	return cond(arg);
}

static inline bool
turns_count(void *arg)
{
	int *left = arg;

	return --*left <= 0;
}

/* turns_some - so many turns, for what nobody can wait for. */
static inline void
turns_some(struct loop *l, int n)
{
	turns_until(l, turns_count, &n);
}

#endif
