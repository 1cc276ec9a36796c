/* SPDX-License-Identifier: ISC */
/*
 * turns - turn a loop with descriptors until something is true, or ten seconds have passed.  Header
 * only.
 */
#ifndef TEST_UNIT_TURNS_H
#define TEST_UNIT_TURNS_H

#include <stdlib.h>

#include "lib/net/loop.h"

struct turns {
	struct loop *l;
	struct timer t;
	bool (*cond)(void *arg);
	void *arg;
	int left;
};

static inline void
turns_look(void *arg)
{
	struct turns *x = arg;

	if (x->cond(x->arg) || --x->left == 0)
		loop_stop(x->l);
	else
		timer_set(&x->t, 1);
}

/* turns_until - returns whether cond(arg) came true. */
static inline bool
turns_until(struct loop *l, bool (*cond)(void *arg), void *arg)
{
	struct turns x = { .l = l, .cond = cond, .arg = arg, .left = 10000 };

	if (timer_init(&x.t, l, turns_look, &x) != 0)
		abort();
	timer_set(&x.t, 0);
	IGNORE_RESULT(loop_run(l)); /* cond says what came of it */
	timer_fini(&x.t);
	return cond(arg);
}

#endif
