/* SPDX-License-Identifier: ISC */
/*
 * registry - the one table all workers share: which worker owns an agent's name.
 *
 * The sessions of an agent and of all clients that are bound to it live on one worker, so that
 * their bytes need no lock.  A name gets its worker (the one with the fewest names) when the first
 * session binds it, and keeps it until the last has gone.
 */
#ifndef CMD_RELAY_REGISTRY_H
#define CMD_RELAY_REGISTRY_H

#include "lib/base/err.h"

struct registry;

/* registry_new - for n_workers workers; NULL when out of memory.  registry_free accepts NULL. */
struct registry *registry_new(int n_workers);
void registry_free(struct registry *r);

/*
 * registry_bind - take a reference on name.  Returns its worker's index, or ERR_NOMEM.  Any thread.
 */
int registry_bind(struct registry *r, const char *name) WARN_UNUSED;

/* registry_release - give one reference back; with the last the name is free.  Any thread. */
void registry_release(struct registry *r, const char *name);

#endif
