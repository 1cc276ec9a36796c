/* SPDX-License-Identifier: ISC */
/*
 * cmd - the first step of every subcommand: its options.
 */
#include "cmd/cmd.h"

#include <signal.h>
#include <stdio.h>

#include "lib/rand.h"
#include "lib/rlimit.h"

#define HELP_MAX (64 * 1024) /* bytes of one --help */

static int
print_help(const struct opt_spec *spec)
{
	struct strbuf text;
	int r = CMD_OK;

	strbuf_init(&text, HELP_MAX);
	opt_help(spec, &text);
	if (strbuf_status(&text) != 0 || fputs(text.s, stdout) == EOF || fflush(stdout) == EOF)
		r = CMD_FAILED;
	strbuf_fini(&text);
	return r;
}

int
cmd_options(
    const struct opt_spec *spec, int argc, char **argv, void *target, struct opt_result *res)
{
	struct errtext e = { "" };
	int r = opt_parse(spec, argc, argv, target, res, &e);

	if (r == 0)
		return res->help ? print_help(spec) : CMD_GO;
	fprintf(stderr, "%s: %s\n", spec->prog, e.s);
	return r == ERR_NOMEM ? CMD_FAILED : CMD_USAGE;
}

void
cmd_begin(const struct cmd_common *common)
{
	log_init((enum log_level)common->log_level, (enum log_format)common->log_format, 2);
	signal(SIGPIPE, SIG_IGN);
	rand_init();
	log_debug("%llu descriptors", (unsigned long long)rlimit_raise_files());
}
