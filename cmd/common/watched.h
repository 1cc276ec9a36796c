/* SPDX-License-Identifier: ISC */
/*
 * watched - a file that is read again when it changes, while the program runs.
 *
 * Files may be slow (a network file system, a disk that wakes up), and the loop must not wait:
 * every WATCHED_MS a thread of its own looks at the file, reads and checks what has changed, and
 * the loop is told.  A file that is wrong is logged, and what was in use stays.
 */
#ifndef CMD_COMMON_WATCHED_H
#define CMD_COMMON_WATCHED_H

#include "lib/base/file.h"
#include "lib/net/aside.h"

#define WATCHED_MS 1000

struct watched_user {
	/* Borrowed. */
	const char *path;
	/*
	 * In the thread: what the file says.  ERR_* with its sentence.  It is cancelled where it
	 * waits for the file (lib/base/file.h).
	 */
	int (*read)(const char *path, void **out, struct errtext *e);
	/* What was read is not wanted. */
	void (*drop)(void *what);
	/* In the loop: what was read is the user's, and in force from now on. */
	void (*use)(void *arg, void *what);
	/* In the loop, every WATCHED_MS; may be NULL. */
	void (*tick)(void *arg);
	void *arg;
};

/* Embedded.  Members are private. */
struct watched {
	struct watched_user user;
	struct timer timer;
	struct aside reading;
	/* Asked for while it was busy. */
	bool wanted;
	/* From here on the thread's while it is busy. */
	bool only_changed;
	struct file_stamp stamp;
	/* It was read again; and how that went. */
	bool looked;
	int r;
	void *fresh;
	struct errtext why;
};

/*
 * watched_init - read the file a first time, at once, and use it.  ERR_* with e; watched_fini in
 * every case.
 */
int watched_init(struct watched *w, struct loop *l, const struct watched_user *user,
    struct errtext *e) WARN_UNUSED;
/* watched_reread - read it again, changed or not. */
void watched_reread(struct watched *w);
/*
 * watched_fini - end a thread that still reads.  After the loop has ended, before it is freed;
 * accepts a zeroed one.
 */
void watched_fini(struct watched *w);

#endif
