/* SPDX-License-Identifier: ISC */
/*
 * argparse - command lines as Python's argparse reads them, for programs that stand in for one
 * written with it.  Our own commands use opt (lib/conf/opt.h).
 *
 * As there: "--name VALUE" and "--name=VALUE"; a prefix that fits one option only; the last of
 * several counts; options and arguments in any order; "--" ends the options; a word that begins
 * with "-" is no value, unless it is a negative number, holds a blank or is "-" alone; -h and
 * --help.  A value that was not given is the environment's, then the row's default.
 *
 * A secret is wiped from argv and from the environment as soon as it is read.
 */
#ifndef LIB_ARGPARSE_H
#define LIB_ARGPARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

enum argparse_kind { ARGPARSE_TEXT, ARGPARSE_INT, ARGPARSE_SECRET };

struct argparse_row {
	/* An option's long name without the dashes, or what --help calls a positional argument. */
	const char *name;
	/* It must be given, and stands without a name. */
	bool positional;
	enum argparse_kind kind;
	/* NULL: none */
	const char *env, *def;
	const char *help;
};

struct argparse_spec {
	const char *prog, *about;
	/* Positional arguments in their order. */
	const struct argparse_row *rows;
	size_t n_rows;
};

#define ARGPARSE_HELP 1

/*
 * argparse_read - read argv[1..argc-1] and the environment.
 *   values   one for each row, NULL before; owned by the caller (argparse_fini), NULL if there is
 *            none
 *   say      what is to be printed (unless 0 is returned), ends with a newline
 * Returns 0; ARGPARSE_HELP: say is the help, for standard output and status 0; ERR_INVALID: it is
 * the usage and the mistake, for standard error and status 2; ERR_NOMEM.
 */
int argparse_read(const struct argparse_spec *spec, int argc, char **argv, char **values,
    struct strbuf *say) WARN_UNUSED;

/* argparse_fini - wipe and free the values. */
void argparse_fini(const struct argparse_spec *spec, char **values);

#endif
