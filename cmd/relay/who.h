/* SPDX-License-Identifier: ISC */
/*
 * who - what the options say of who may log in: the credentials, and the relay's own key, without
 * which nobody can log in by key.
 */
#ifndef CMD_RELAY_WHO_H
#define CMD_RELAY_WHO_H

#include "cmd/relay/relay.h"

/*
 * who_load - both, at the start.  Nothing is read if nothing is given: then everybody is let in.
 * ERR_INVALID and others with e.
 */
int who_load(struct relay *r, struct errtext *e) WARN_UNUSED;

/*
 * who_read - the credentials: the file's entries, and those of --agent-key.  Any thread; errors as
 * creds_load().
 */
int who_read(const struct relay *r, struct creds **out, struct errtext *e) WARN_UNUSED;

/* who_warn - log what their owner should know of the credentials that are in force now. */
void who_warn(const struct relay *r);

#endif
