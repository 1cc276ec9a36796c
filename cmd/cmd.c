/* SPDX-License-Identifier: ISC */
/*
 * cmd - the first steps of every subcommand, and what says that it is ready.
 */
#include "cmd/cmd.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/rand.h"
#include "lib/base/rlimit.h"
#include "lib/base/str.h"

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

bool
cmd_hangup_ends(void)
{
	struct sigaction now;

	return sigaction(SIGHUP, NULL, &now) != 0 || now.sa_handler != SIG_IGN;
}

/* ---- --ready-file ---- */

/* /dev/stdout, a pipe: somebody reads there, nothing is left behind. */
static void
remove_plain(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && unlink(path) != 0)
		log_warn("--ready-file %s: cannot remove it", path);
}

void
cmd_ready_begin(struct cmd_ready *r, const char *path)
{
	*r = (struct cmd_ready){ .path = path };
	if (path != NULL)
		remove_plain(path);
}

int
cmd_ready_write(struct cmd_ready *r, const char *json, struct errtext *e)
{
	struct strbuf line;
	int rc;

	strbuf_init(&line, strlen(json) + 1);
	strbuf_addf(&line, "%s\n", json);
	rc = strbuf_status(&line) != 0 ? err_set(e, ERR_NOMEM, "out of memory")
				       : file_write_atomic(r->path, line.s, line.len, 0644, e);
	strbuf_fini(&line);
	if (rc == 0)
		file_stamp_take(&r->written, r->path);
	return rc;
}

void
cmd_ready_end(const struct cmd_ready *r)
{
	struct file_stamp now;

	if (r->path == NULL || !r->written.exists)
		return;
	file_stamp_take(&now, r->path);
	if (file_stamp_same(&now, &r->written))
		remove_plain(r->path);
}
