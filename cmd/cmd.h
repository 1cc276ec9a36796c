/* SPDX-License-Identifier: ISC */
/*
 * cmd - what the subcommands share with main(): entry points, exit codes, the first steps of each.
 *
 * Each entry point gets argv with its own name in argv[0] and returns an exit code; main() passes
 * it to exit(3).
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "lib/opt.h"

/* Exit codes of every subcommand; they are part of the manual. */
enum cmd_exit {
	CMD_OK = 0,      /* done */
	CMD_FAILED = 1,  /* failed at run time */
	CMD_USAGE = 2,   /* wrong usage or configuration */
	CMD_REFUSED = 3, /* refused: authentication or policy */
};

#define CMD_GO (-1) /* cmd_options(): go on */

int relay_main(int argc, char **argv);
int agent_main(int argc, char **argv);
int connect_main(int argc, char **argv);
int keygen_main(int argc, char **argv);

/*
 * cmd_options - opt_parse() and what follows from it: --help goes to standard output, a mistake
 * with its sentence to standard error.  Returns CMD_GO, or the code to exit with.  The caller calls
 * opt_fini() in every case.
 */
int cmd_options(const struct opt_spec *spec, int argc, char **argv, void *target,
    struct opt_result *res) WARN_UNUSED;

#endif
