/* SPDX-License-Identifier: ISC */
/*
 * move - something that has a connection goes from one worker to another, with every byte.
 *
 *     move_start ── at the end of the turn ──> leave ── message ──> arrive
 *                                                         └──────> lost
 *
 * It leaves between callbacks, never within one of its own.  leave and arrive are called in the
 * thread of the worker that they are about; between them it belongs to no worker, no event reaches
 * it, and no list of a worker may name it.  So what all of a worker's are told meanwhile it has to
 * ask for on arrival.
 *
 * Life cycle: embedded in what moves, which must stay until arrive or lost is called.  Until leave
 * is called move_cancel takes it back.  It may move as often as it likes, but once at a time.
 */
#ifndef CMD_RELAY_MOVE_H
#define CMD_RELAY_MOVE_H

#include "cmd/relay/worker.h"

/* All members are set. */
struct move_user {
	/* Detach from the loop of the worker you are on. */
	void (*leave)(void *arg);
	/* You are on w now: attach to its loop. */
	void (*arrive)(void *arg, struct worker *w);
	/*
	 * It has not worked, and nobody else knows of you: attach only to end yourself, on w.  That
	 * is the worker you left (out of memory), or the one you were to go to (it has ended, and
	 * its loop is about to be freed).
	 */
	void (*lost)(void *arg, struct worker *w);
};

/* Members are private. */
struct move {
	struct task leave;
	/* NULL once it has left. */
	struct worker *from;
	struct worker *to;
	const struct move_user *user;
	void *arg;
};

/* move_init - before the first use. */
void move_init(struct move *m, const struct move_user *user, void *arg);

/* move_start - at the end of this turn go from worker from, whose thread this is, to worker to. */
void move_start(struct move *m, struct worker *from, struct worker *to);

/* move_cancel - stay; for one that has not left yet.  Nothing if no move was started. */
void move_cancel(struct move *m);

#endif
