/* SPDX-License-Identifier: ISC */
/*
 * secret - bytes that must not be seen: held apart, wiped when freed, compared in constant time.
 */
#include "lib/base/secret.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/b64.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

#define RANDOM_MAX 1024 /* bytes of secret_random() */

struct secret {
	size_t len;
	/* len bytes and a NUL */
	char b[];
};

struct secret *
secret_new(const void *p, size_t n)
{
	struct secret *s;

	if (n > SECRET_MAX || (s = mem_alloc(sizeof(*s) + n + 1)) == NULL)
		return NULL;
	s->len = n;
	if (n > 0)
		memcpy(s->b, p, n);
	s->b[n] = '\0';
	return s;
}

void
secret_free(struct secret *s)
{
	if (s == NULL)
		return;
	mem_wipe(s, sizeof(*s) + s->len);
	mem_free(s);
}

/* Others on the machine can read it: not our business to refuse, but worth a line. */
static void
warn_mode(const char *path, struct errtext *warning)
{
	struct stat sb;

	if (warning == NULL)
		return;
	errtext_clear(warning);
	if (stat(path, &sb) == 0 && S_ISREG(sb.st_mode) && (sb.st_mode & (S_IRGRP | S_IROTH)) != 0)
		err_set(warning, 0,
		    "%s can be read by others than its owner (mode %04o): chmod 600 %s", path,
		    (unsigned)(sb.st_mode & 07777), path);
}

int
secret_from_file(const char *path, struct secret **out, struct errtext *warning, struct errtext *e)
{
	struct secret *s;
	char *buf = NULL;
	size_t len, n;
	int r;

	if ((r = file_read_all(path, SECRET_MAX, &buf, &len, e)) != 0)
		return r;
	n = len;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	if (n > 0 && n < len && buf[n - 1] == '\r')
		n--;
	if (n == 0) {
		r = err_set(e, ERR_INVALID, "%s is empty: it should hold a secret", path);
	} else if ((s = secret_new(buf, n)) == NULL) {
		r = err_set(e, ERR_NOMEM, "cannot read %s: out of memory", path);
	} else {
		warn_mode(path, warning);
		*out = s;
	}
	mem_wipe(buf, len);
	mem_free(buf);
	return r;
}

int
secret_from_env(const char *name, struct secret **out)
{
	char *v = getenv(name);
	struct secret *s = NULL;
	size_t n;

	if (v == NULL)
		return ERR_NOTFOUND;
	n = strlen(v);
	if (n > 0 && n <= SECRET_MAX)
		s = secret_new(v, n);
	/* The bytes lie where /proc/PID/environ looks; unsetenv() alone would leave them there. */
	mem_wipe(v, n);
	unsetenv(name);
	if (n == 0)
		return ERR_NOTFOUND;
	if (s == NULL)
		return n > SECRET_MAX ? ERR_LIMIT : ERR_NOMEM;
	*out = s;
	return 0;
}

struct secret *
secret_random(size_t n)
{
	uint8_t raw[RANDOM_MAX];
	char text[B64_ENC_LEN(RANDOM_MAX) + 1];
	struct secret *s = NULL;
	ssize_t len;

	if (n > sizeof(raw) || rand_bytes(raw, n) != 0)
		return NULL;
	if ((len = b64_encode(text, sizeof(text), raw, n, B64_URL)) >= 0)
		s = secret_new(text, (size_t)len);
	mem_wipe(raw, sizeof(raw));
	mem_wipe(text, sizeof(text));
	return s;
}

const char *
secret_bytes(const struct secret *s)
{
	return s->b;
}

size_t
secret_len(const struct secret *s)
{
	return s->len;
}
