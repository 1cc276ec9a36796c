/* SPDX-License-Identifier: ISC */
/*
 * dropin - the command lines of http-network-relay's three programs, by which ours can be run in
 * their place: read as theirs, and passed on as words for our own subcommands.
 *
 * What these subcommands have beside is set by their variables (TUNNEL_...), so that a unit file or
 * a script stays as it is.
 */
#ifndef CMD_DROPIN_H
#define CMD_DROPIN_H

#include "lib/conf/argparse.h"

#define DROPIN_WORDS_MAX 16

/* Words for a subcommand; zeroed at first. */
struct dropin {
	char *v[DROPIN_WORDS_MAX + 1];
	int n;
	bool nomem;
};

/*
 * dropin_read - the command line and the environment (argparse.h).  Returns CMD_GO, or the status
 * to end with: what there is to say has been printed.
 */
int dropin_read(const struct argparse_spec *spec, int argc, char **argv, char **values) WARN_UNUSED;

/* dropin_word - one word more; a failure sticks in nomem. */
void dropin_word(struct dropin *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* dropin_common - the words that all three have: DEBUG=1 wants more to be said. */
void dropin_common(struct dropin *d);

/* dropin_drain - of those that serve: the reference does not wait for what it carries. */
void dropin_drain(struct dropin *d);

/* dropin_fini - wipe and free them. */
void dropin_fini(struct dropin *d);

/*
 * dropin_end - the status to end with: code; or, if a signal has ended it, the end by that signal,
 * as the reference leaves it at that.
 */
int dropin_end(int code);

/*
 * dropin_say - a line on standard error, as the reference prints it: without time and level, since
 * scripts look for its words.
 */
void dropin_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
