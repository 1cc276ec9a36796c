/* SPDX-License-Identifier: ISC */
/*
 * nopost - messages to a loop that are lost, for want of memory, while the test says so.  Header
 * only.  A test that uses it has in its head comment
 *
 *      * link: -Wl,--wrap=loop_post
 */
#ifndef TEST_UNIT_NOPOST_H
#define TEST_UNIT_NOPOST_H

#include <stdatomic.h>

#include "lib/net/loop.h"

int __real_loop_post(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);
int __wrap_loop_post(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);

static atomic_bool no_post;

int
__wrap_loop_post(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
	return atomic_load(&no_post) ? ERR_NOMEM : __real_loop_post(l, fn, drop, arg);
}

#endif
