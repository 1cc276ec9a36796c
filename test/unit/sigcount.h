/* SPDX-License-Identifier: ISC */
/*
 * sigcount - the signals that a subcommand watches, counted, and one that cannot be watched.
 *
 * Header only, as it replaces functions: a test that uses it has in its head comment
 *
 *      * link: -Wl,--wrap=sig_init,--wrap=sig_fini
 */
#ifndef TEST_UNIT_SIGCOUNT_H
#define TEST_UNIT_SIGCOUNT_H

#include "lib/net/loop.h"

int __wrap_sig_init(struct sig *s, struct loop *l, int signo, void (*fn)(void *arg), void *arg);
int __real_sig_init(struct sig *s, struct loop *l, int signo, void (*fn)(void *arg), void *arg);
void __wrap_sig_fini(struct sig *s);
void __real_sig_fini(struct sig *s);

/* Those that are watched now; the test gives the one that cannot be, 0: none. */
static int sigcount, sigcount_bad;

int
__wrap_sig_init(struct sig *s, struct loop *l, int signo, void (*fn)(void *arg), void *arg)
{
	if (signo == sigcount_bad)
		return ERR_NOMEM;
	sigcount++;
	return __real_sig_init(s, l, signo, fn, arg);
}

void
__wrap_sig_fini(struct sig *s)
{
	sigcount -= s->ev != NULL;
	__real_sig_fini(s);
}

#endif
