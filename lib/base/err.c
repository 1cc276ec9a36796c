/* SPDX-License-Identifier: ISC */
/*
 * err - words for error codes, and the one-sentence texts that go with them.
 */
#include "lib/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
err_str(int code)
{
	static _Thread_local char sys[128];

	switch (code) {
	case 0:
		return "no error";
	case ERR_SYS:
		/* strerror() shares one buffer between threads. */
		return strerror_r(errno, sys, sizeof(sys));
	case ERR_NOMEM:
		return "out of memory";
	case ERR_AGAIN:
		return "not ready yet";
	case ERR_EOF:
		return "end of stream";
	case ERR_PROTO:
		return "protocol error";
	case ERR_LIMIT:
		return "limit reached";
	case ERR_DENIED:
		return "denied";
	case ERR_NOTFOUND:
		return "not found";
	case ERR_INVALID:
		return "invalid value";
	case ERR_EXISTS:
		return "already exists";
	case ERR_TIMEOUT:
		return "timed out";
	case ERR_CLOSED:
		return "connection closed";
	case ERR_TLS:
		return "TLS failure";
	default:
		return "unknown error";
	}
}

void
errtext_clear(struct errtext *e)
{
	e->s[0] = '\0';
}

/* A text that cannot be formatted is empty. */
__attribute__((format(printf, 2, 0))) static void
format(struct errtext *e, const char *fmt, va_list ap)
{
	if (vsnprintf(e->s, sizeof(e->s), fmt, ap) < 0)
		errtext_clear(e);
}

int
err_set(struct errtext *e, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (e != NULL) {
		va_start(ap, fmt);
		format(e, fmt, ap);
		va_end(ap);
	}
	errno = saved;
	return code;
}

int
err_sys(struct errtext *e, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	size_t len;

	if (e != NULL) {
		va_start(ap, fmt);
		format(e, fmt, ap);
		va_end(ap);
		len = strlen(e->s);
		errno = saved;
		snprintf(e->s + len, sizeof(e->s) - len, ": %s", err_str(ERR_SYS));
	}
	errno = saved;
	return ERR_SYS;
}
