/* SPDX-License-Identifier: ISC */
/*
 * subcommand - a subcommand inside a test: run from its arguments to its exit status, with what it
 * reads and prints in the test's hands, and with steps of the test in its loop.
 */
#ifndef TEST_UNIT_SUBCOMMAND_H
#define TEST_UNIT_SUBCOMMAND_H

#include <stdbool.h>

#include "lib/net/loop.h"

typedef int subcommand_fn(int argc, char **argv);

/*
 * subcommand_run - entry with these words, separated by blanks; the first is argv[0].  Returns its
 * status.  A run of more than a minute ends the test.
 */
int subcommand_run(subcommand_fn *entry, const char *words);

/*
 * What the next subcommand_heard gives it: the standard input (NULL: none), and a file for its
 * standard output (NULL: it is kept).
 */
extern const char *subcommand_in, *subcommand_to;
/* What it has printed to the standard output and to the standard error. */
extern char subcommand_out[64 * 1024], subcommand_err[64 * 1024];

/*
 * subcommand_heard - as subcommand_run, with the three standard descriptors replaced.  An assertion
 * that fails meanwhile would not be seen: note what there is, and judge afterwards.
 */
int subcommand_heard(subcommand_fn *entry, const char *words);

/*
 * subcommand_play - what happens in the loop of the next run, a call every other millisecond with
 * its number; false: that was the last.  NULL: nothing.
 */
void subcommand_play(bool (*play)(int step));
/* subcommand_loop - the run has this loop; the first call begins the steps. */
void subcommand_loop(struct loop *l);
/* subcommand_unloop - that loop is about to go, and there may have been no last step. */
void subcommand_unloop(void);
/* subcommand_steps - how many there were. */
int subcommand_steps(void);

/* subcommand_text - the text of a file, valid until the next call; NULL: there is none. */
const char *subcommand_text(const char *path);

#endif
