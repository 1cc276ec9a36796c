/* SPDX-License-Identifier: ISC */
/*
 * worker - the relay's threads: one reactor each.  Worker 0 is the main thread, which also accepts, watches files and handles
 * signals.
 */
#ifndef CMD_RELAY_WORKER_H
#define CMD_RELAY_WORKER_H

#include "cmd/relay/relay.h"

/* workers_init - make n workers and their loops; none runs yet.  ERR_NOMEM, ERR_SYS with e. */
int workers_init(struct relay *r, int n, struct errtext *e) WARN_UNUSED;
/* workers_start - start the threads of workers 1 and up. */
int workers_start(struct relay *r, struct errtext *e) WARN_UNUSED;
/* workers_each - run fn in every worker's thread; in worker 0's, which must be the caller's, at once. */
void workers_each(struct relay *r, void (*fn)(void *worker));
/* workers_stop - end the loops of workers 1 and up and wait for them; everything they held is closed. */
void workers_stop(struct relay *r);
/* worker_drop_all - close and free what a worker holds; in its own thread. */
void worker_drop_all(struct worker *w);
/* workers_fini - free loops and workers; after workers_stop. */
void workers_fini(struct relay *r);

#endif
