/* SPDX-License-Identifier: ISC */
/*
 * reload - credentials, certificates and error pages read again while the relay runs.
 *
 * Files may be slow (a network file system, a disk that wakes up), and the loops must not wait: a
 * thread of its own looks at them, reads and checks them, and worker 0's loop puts the result in
 * force.  A file that is wrong is logged, and what was in use stays.
 *
 * Everything but the thread itself happens in worker 0's loop.  One reading is under way at a time;
 * what is asked for meanwhile is done once more afterwards.
 */
#ifndef CMD_RELAY_RELOAD_H
#define CMD_RELAY_RELOAD_H

#include "cmd/relay/relay.h"
#include "lib/base/file.h"
#include "lib/base/log_limit.h"
#include "lib/net/aside.h"

enum { RELOAD_CREDS = 1, RELOAD_TLS = 2, RELOAD_PAGES = 4, RELOAD_ALL = 7 };

/* Embedded.  Members are private. */
struct reload {
	struct relay *relay;
	void (*done)(void *arg);
	void *arg;
	struct aside reading;
	/* Asked for while it was busy. */
	unsigned wanted;
	struct log_limit failed_log;
	/* From here on the thread's while it is busy. */
	bool only_changed;
	unsigned with;
	/* The file as it was when it was read last. */
	struct file_stamp creds_stamp;
	struct creds *fresh;
	struct pages *fresh_pages;
	int creds_rc, tls_rc, pages_rc;
	struct errtext creds_why, tls_why, pages_why;
};

/* reload_init - done(arg) is called in worker 0's loop each time new credentials are in force. */
void reload_init(struct reload *rl, struct relay *r, void (*done)(void *arg), void *arg);

/*
 * reload_seen - the credentials are about to be read for the first time: what comes later is a
 * change.
 */
void reload_seen(struct reload *rl);

/*
 * reload_watch - read what has changed since it was read last; nothing if the last look is still
 * under way.
 */
void reload_watch(struct reload *rl);

/* reload_start - read these (RELOAD_*), as far as they are configured, changed or not. */
void reload_start(struct reload *rl, unsigned what);

/* reload_fini - end a thread that still reads.  After the loop has ended, before it is freed. */
void reload_fini(struct reload *rl);

#endif
