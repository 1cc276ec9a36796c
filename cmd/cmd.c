/* SPDX-License-Identifier: ISC */
/*
 * cmd - the first steps of every subcommand, and what says that it is ready.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/hashtab.h"
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
	uint64_t descriptors;

	log_init((enum log_level)common->log_level, (enum log_format)common->log_format, 2);
	signal(SIGPIPE, SIG_IGN);
	rand_init();
	hashtab_init();
	/* Not within log_debug, whose arguments are only looked at when the line is written. */
	descriptors = rlimit_raise_files();
	log_debug("%llu descriptors", (unsigned long long)descriptors);
}

int
cmd_start_failed(int err)
{
	return err == ERR_INVALID || err == ERR_NOTFOUND ? CMD_USAGE : CMD_FAILED;
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

/*
 * Lock a plain file for as long as we live.  Returns the descriptor; negative with errno,
 * EWOULDBLOCK if another program has it.
 */
static int
lock_plain(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), error;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

void
cmd_ready_begin(struct cmd_ready *r, const char *path)
{
	int fd;

	*r = (struct cmd_ready){ .path = path, .lock = -1 };
	if (path == NULL)
		return;
	fd = lock_plain(path);
	if (fd < 0 && errno == EWOULDBLOCK) {
		log_warnx(
		    "--ready-file %s is another program's, which runs: it stays until we are ready",
		    path);
		return;
	}
	remove_plain(path);
	if (fd >= 0)
		close(fd);
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
	if (rc == 0) {
		file_stamp_take(&r->written, r->path);
		if (r->lock >= 0)
			close(r->lock);
		r->lock = lock_plain(r->path);
	}
	return rc;
}

void
cmd_ready_end(struct cmd_ready *r)
{
	struct file_stamp now;

	if (r->path == NULL || !r->written.exists)
		return;
	file_stamp_take(&now, r->path);
	if (file_stamp_same(&now, &r->written))
		remove_plain(r->path);
	if (r->lock >= 0)
		close(r->lock);
	r->lock = -1;
}
