/* SPDX-License-Identifier: ISC */
/* dropin - command lines of http-network-relay, read and passed on. */
#include "cmd/common/dropin.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/base/mem.h"
#include "lib/net/loop.h"

#define SAY_MAX (16 * 1024)
#define WORD_MAX 8192

int
dropin_read(const struct argparse_spec *spec, int argc, char **argv, char **values)
{
	struct strbuf say;
	int r, code = CMD_GO;

	strbuf_init(&say, SAY_MAX);
	r = argparse_read(spec, argc, argv, values, &say);
	if (r == ARGPARSE_HELP)
		code = fputs(say.s, stdout) == EOF || fflush(stdout) == EOF ? CMD_FAILED : CMD_OK;
	else if (r != 0)
		code = r == ERR_NOMEM ? CMD_FAILED : CMD_USAGE;
	if (r < 0)
		fprintf(stderr, "%s", r == ERR_NOMEM ? "out of memory\n" : say.s);
	strbuf_fini(&say);
	return code;
}

void
dropin_word(struct dropin *d, const char *fmt, ...)
{
	char word[WORD_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(word, sizeof word, fmt, ap);
	va_end(ap);
	if (d->n < DROPIN_WORDS_MAX && n >= 0 && n < WORD_MAX)
		d->v[d->n] = mem_strdup(word);
	if (d->n == DROPIN_WORDS_MAX || d->v[d->n] == NULL)
		d->nomem = true;
	else
		d->n++;
	mem_wipe(word, sizeof word);
}

void
dropin_drain(struct dropin *d)
{
	if (getenv("TUNNEL_DRAIN") == NULL)
		dropin_word(d, "--drain=1s");
}

void
dropin_common(struct dropin *d)
{
	const char *debug = getenv("DEBUG");

	if (debug != NULL && strcmp(debug, "1") == 0)
		dropin_word(d, "--log-level=debug");
}

void
dropin_fini(struct dropin *d)
{
	for (int i = 0; i < d->n; i++) {
		mem_wipe(d->v[i], strlen(d->v[i]));
		mem_free(d->v[i]);
	}
	memset(d, 0, sizeof *d);
}

int
dropin_end(int code)
{
	int signo = sig_last();

	if (signo != 0 && signal(signo, SIG_DFL) != SIG_ERR)
		raise(signo);
	return code;
}

void
dropin_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
