/* SPDX-License-Identifier: ISC */
/*
 * reread - the agent's configuration file read again while it runs.
 *
 * The file may be slow (a network file system, a disk that wakes up), and the loop must not wait: a
 * thread of its own reads and checks it, and the loop is told.  One reading is under way at a time;
 * what is asked for meanwhile is done once more afterwards.
 */
#ifndef CMD_AGENT_REREAD_H
#define CMD_AGENT_REREAD_H

#include "lib/conf/opt.h"
#include "lib/net/aside.h"

struct reread_user {
	/* Of what opt_parse() read at the start: all borrowed. */
	const struct opt_spec *spec;
	const struct opt_result *before;
	const char *path;
	/* Gets the options; zeroed, of size bytes. */
	void *fresh;
	size_t size;
	/*
	 * In the thread, once fresh holds what is in the file: what else is to be read or checked.
	 * ERR_* with its sentence.  It is cancelled where it waits for a file (lib/base/file.h).
	 */
	int (*prepare)(void *arg, const struct opt_result *now, struct errtext *why);
	/*
	 * It has been read: fresh and what opt_changed() needs, until this returns; or r is an
	 * ERR_* and why its sentence.
	 */
	void (*done)(void *arg, const struct opt_result *now, int r, const char *why);
	void *arg;
};

/* Embedded.  Members are private. */
struct reread {
	struct reread_user user;
	struct aside reading;
	/* Asked for while it was busy. */
	bool wanted;
	/* From here on the thread's while it is busy. */
	struct opt_result now;
	int r;
	struct errtext why;
};

void reread_init(struct reread *rl, struct loop *l, const struct reread_user *user);
/* reread_start - read the file. */
void reread_start(struct reread *rl);
/*
 * reread_fini - end a thread that still reads.  After the loop has ended, before it is freed;
 * accepts a zeroed one.
 */
void reread_fini(struct reread *rl);

#endif
