/* SPDX-License-Identifier: ISC */
/* subcommand - a subcommand inside a test. */
#include "test/unit/subcommand.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STEP_MS = 2, RUN_S = 60, WORDS_MAX = 128 };

const char *subcommand_in, *subcommand_to;
char subcommand_out[64 * 1024], subcommand_err[64 * 1024];

static struct timer step;
static int n_steps;
static bool begun;
static bool (*play)(int i);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* ---- steps in its loop ---- */

static void
on_step(void *arg)
{
	(void)arg;
	if (play(n_steps++))
		timer_set(&step, STEP_MS);
	else
		timer_fini(&step);
}

void
subcommand_play(bool (*fn)(int step))
{
	play = fn;
	begun = false;
	n_steps = 0;
}

void
subcommand_loop(struct loop *l)
{
	if (begun || play == NULL)
		return;
	begun = true;
	must(timer_init(&step, l, on_step, NULL) == 0);
	timer_set(&step, 1);
}

void
subcommand_unloop(void)
{
	timer_fini(&step);
}

int
subcommand_steps(void)
{
	return n_steps;
}

/* ---- runs ---- */

int
subcommand_run(subcommand_fn *entry, const char *words)
{
	char text[16 * 1024], *argv[WORDS_MAX + 1], *save = NULL;
	int argc = 0, code;

	must((size_t)snprintf(text, sizeof text, "%s", words) < sizeof text);
	for (char *w = strtok_r(text, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
		must(argc < WORDS_MAX);
		argv[argc++] = w;
	}
	argv[argc] = NULL;
	alarm(RUN_S);
	code = entry(argc, argv);
	alarm(0);
	return code;
}

static void
keep(int fd, char *out, size_t room)
{
	ssize_t n = pread(fd, out, room - 1, 0);

	must(n >= 0);
	out[n] = '\0';
}

int
subcommand_heard(subcommand_fn *entry, const char *words)
{
	int own[3], fd[3], code;

	for (int i = 0; i < 3; i++) {
		own[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
		fd[i] = i == 1 && subcommand_to != NULL ? open(subcommand_to, O_WRONLY | O_CLOEXEC)
							: memfd_create("said", MFD_CLOEXEC);
		must(own[i] >= 0 && fd[i] >= 0);
	}
	if (subcommand_in != NULL)
		must(pwrite(fd[0], subcommand_in, strlen(subcommand_in), 0) >= 0);
	fflush(stdout);
	for (int i = 0; i < 3; i++)
		must(dup2(fd[i], i) == i);
	code = subcommand_run(entry, words);
	fflush(stdout);
	/* What could not be written must not come out in the test's own output. */
	__fpurge(stdout);
	clearerr(stdout);
	for (int i = 0; i < 3; i++)
		must(dup2(own[i], i) == i);
	subcommand_out[0] = '\0';
	if (subcommand_to == NULL)
		keep(fd[1], subcommand_out, sizeof subcommand_out);
	keep(fd[2], subcommand_err, sizeof subcommand_err);
	for (int i = 0; i < 3; i++) {
		close(own[i]);
		close(fd[i]);
	}
	return code;
}

const char *
subcommand_text(const char *path)
{
	static char text[64 * 1024];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	keep(fd, text, sizeof text);
	close(fd);
	return text;
}
