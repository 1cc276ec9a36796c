/* SPDX-License-Identifier: ISC */
/*
 * admit - who may log in: a question whose answer may come later.
 *
 * The credentials file (proto/creds.h) answers at once, within the call; a key set that has to be
 * fetched, or a registry elsewhere, answers when it knows.  Whoever asks must be ready for both.
 *
 * Life cycle: struct admit is embedded in the asker, who sets done and arg, asks, and cancels what
 * it no longer wants to know.  An admitter is made before the workers start and serves all of them.
 */
#ifndef CMD_RELAY_ADMIT_H
#define CMD_RELAY_ADMIT_H

#include "proto/creds.h"
#include "proto/ctl.h"

struct relay;

/* A question. */
struct admit {
	/*
	 * Called once, in the thread that asked.
	 *   err  0; ERR_DENIED; ERR_TIMEOUT: it has expired; ERR_AGAIN: it cannot be known now
	 *   id   who it is, when err is 0; borrowed for the call
	 */
	void (*done)(void *arg, int err, const struct creds_id *id);
	void *arg;
	/*
	 * The key that the other side has proved (KEYS_POINT_LEN bytes, the asker's): it counts,
	 * and no secret.  NULL: none.
	 */
	const uint8_t *key;
};

/* Who is asked. */
struct admitter {
	/* May somebody who says h be let in?  h is borrowed for the call: it holds a secret. */
	void (*ask)(struct relay *r, struct admit *a, const struct ctl_hello *h);
	/* done will not be called; nothing if it was already. */
	void (*cancel)(struct relay *r, struct admit *a);
};

/* The credentials of this moment; without any, everybody is let in. */
extern const struct admitter admit_by_creds;

#endif
