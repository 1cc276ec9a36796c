/* SPDX-License-Identifier: ISC */
/*
 * ready_file - the agent's --ready-file, which says something else whenever what is published
 * changes.
 *
 * A disk may be slow, and the loop must not wait: the file is written beside it (lib/net/aside.h).
 * What is said meanwhile is written afterwards, the latest alone.
 */
#ifndef CMD_AGENT_READY_FILE_H
#define CMD_AGENT_READY_FILE_H

#include "cmd/cmd.h"
#include "lib/net/aside.h"

/* Embedded.  Members are private. */
struct ready_file {
	struct cmd_ready file;
	struct aside writing;
	/* The first time it could not be written, and whoever waits for it would for ever. */
	void (*failed)(void *arg);
	void *arg;
	/* What the file says, and is to say later; NULL: nothing. */
	char *written, *next;
	/* The thread's while it is busy: what is being written, or NULL. */
	char *text;
	int r;
	struct errtext why;
};

/* ready_file_begin - as cmd_ready_begin.  path may be NULL: none is wanted. */
void ready_file_begin(struct ready_file *rf, const char *path);

/* ready_file_init - before the first ready_file_say. */
void ready_file_init(struct ready_file *rf, struct loop *l, void (*failed)(void *arg), void *arg);

bool ready_file_is_wanted(const struct ready_file *rf);

/* ready_file_is_said - has anything been said yet? */
bool ready_file_is_said(const struct ready_file *rf);

/* ready_file_say - the file is to say this; json is taken over, NULL is want of memory. */
void ready_file_say(struct ready_file *rf, char *json);

/*
 * ready_file_end - the file goes.  What is being written is waited for.  After the loop has ended,
 * before it is freed, also without ready_file_init.
 */
void ready_file_end(struct ready_file *rf);

#endif
