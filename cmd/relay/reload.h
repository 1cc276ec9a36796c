/* SPDX-License-Identifier: ISC */
/*
 * reload - credentials and certificates read again while the relay runs.
 *
 * Files may be slow (a network file system, a disk that wakes up), and the loops must not wait: a thread of its own looks at them,
 * reads and checks them, and worker 0's loop puts the result in force.  What is wrong is logged, and what was in use stays.
 */
#ifndef CMD_RELAY_RELOAD_H
#define CMD_RELAY_RELOAD_H

#include "cmd/relay/relay.h"
#include "lib/base/file.h"

/* Belongs to worker 0's thread; embedded.  Members are private. */
struct reload {
	struct relay *relay;
	void (*done)(void *arg);
	void *arg;
	pthread_t thread;
	bool running;                  /* the thread was started and not joined yet */
	atomic_bool undelivered;       /* it ended without its message, for want of memory */
	bool creds_wanted, tls_wanted; /* asked for while it was running */
	struct log_limit failed_log;
	/* The thread's from its start to its end. */
	bool only_changed;
	bool with_creds, with_tls;
	struct file_stamp creds_stamp; /* the file as it was when it was read last */
	struct creds *fresh;
	int creds_rc, tls_rc;
	struct errtext creds_why, tls_why;
};

/* reload_init - done(arg) is called in worker 0's loop each time new credentials are in force. */
void reload_init(struct reload *rl, struct relay *r, void (*done)(void *arg), void *arg);

/* reload_seen - the credentials are about to be read for the first time: what comes later is a change. */
void reload_seen(struct reload *rl);

/* reload_watch - read what has changed since it was read last; nothing if the last look is still under way. */
void reload_watch(struct reload *rl);

/* reload_start - read credentials, certificates or both, those that are configured; while it is under way, once more afterwards. */
void reload_start(struct reload *rl, bool creds, bool tls);

/* reload_fini - end a thread that still reads.  After the loop has ended, before it is freed. */
void reload_fini(struct reload *rl);

#endif
