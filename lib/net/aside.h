/* SPDX-License-Identifier: ISC */
/*
 * aside - what may block, done beside the loop: a thread of its own does it, and the loop is told.
 *
 * Life cycle: aside_init; then, as often as wanted, aside_start, work in the thread, done in the
 * loop; aside_fini.  From start to done (aside_is_busy) what work uses is the thread's.
 */
#ifndef LIB_ASIDE_H
#define LIB_ASIDE_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/net/loop.h"

/* Embedded.  Members are private. */
struct aside {
	struct loop *loop;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
	pthread_t thread;
	/* The thread was started and not joined yet. */
	bool busy;
	struct loop_message told;
};

/*
 * aside_init - nothing is done yet.
 *   work   in the thread.  It is cancelled only where it allows that itself, as the reading of
 *          files does (lib/base/file.h)
 *   done   in the loop, once work has returned; aside_start may be called in it
 */
void aside_init(
    struct aside *a, struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg);

/* aside_start - not while it is busy.  Returns 0; ERR_SYS with errno: there is no thread. */
int aside_start(struct aside *a) WARN_UNUSED;

bool aside_is_busy(const struct aside *a);

/*
 * aside_fini - end what is being done, since a file may be a FIFO that nobody ever writes to; done
 * is not called.  After the loop has ended, before it is freed.  Accepts a zeroed one.
 */
void aside_fini(struct aside *a);

#endif
