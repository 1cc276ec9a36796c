/* SPDX-License-Identifier: ISC */
/*
 * secret - bytes that must not be seen: passwords, tokens, private keys.
 *
 * Opaque, on the heap, wiped when freed, compared in constant time.  There is no function that
 * prints or formats one; secret_bytes() lends the bytes to those who must send or hash them, who
 * keep no copy.
 */
#ifndef LIB_SECRET_H
#define LIB_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

#define SECRET_MAX (64 * 1024) /* bytes of one secret, and of a file that holds one */

struct secret;

/*
 * secret_new - a copy of n bytes (the caller wipes its own); NULL without memory or over
 * SECRET_MAX.
 */
struct secret *secret_new(const void *p, size_t n) WARN_UNUSED;

/* secret_free - wipe and free; NULL is fine. */
void secret_free(struct secret *s);

/*
 * secret_from_file - the content of path without one trailing newline ("\n" or "\r\n").
 *   warning   cleared, then filled when group or others may read the file; may be NULL
 * Returns 0 with *out owned by the caller; ERR_NOTFOUND, ERR_LIMIT, ERR_INVALID (empty), ERR_SYS or
 * ERR_NOMEM with e filled.
 */
int secret_from_file(
    const char *path, struct secret **out, struct errtext *warning, struct errtext *e) WARN_UNUSED;

/*
 * secret_from_env - take the variable name out of the environment: copied, its bytes overwritten,
 * unset, so that neither children nor /proc/PID/environ show it.  Returns 0; ERR_NOTFOUND if unset
 * or empty; ERR_LIMIT; ERR_NOMEM.  Call it before threads are started.
 */
int secret_from_env(const char *name, struct secret **out) WARN_UNUSED;

/* secret_random - n random bytes (n at most 1024) as unpadded base64url text; NULL on failure. */
struct secret *secret_random(size_t n) WARN_UNUSED;

/*
 * secret_bytes, secret_len - the bytes, borrowed until secret_free(), with a NUL after the last
 * (not counted).
 */
const char *secret_bytes(const struct secret *s);
size_t secret_len(const struct secret *s);

#endif
