/* SPDX-License-Identifier: ISC */
/*
 * rand - unpredictable numbers from getrandom(2).
 *
 * Small requests (a mask key for every WebSocket frame, a stream token) come from a buffer of the
 * calling thread that is filled RAND_BUF bytes at a time; bytes are wiped as they are handed out.
 * Processes here never fork and go on as two, so the buffer needs no fork protection.
 */
#ifndef LIB_RAND_H
#define LIB_RAND_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define RAND_BUF 4096 /* bytes fetched at a time */

/*
 * rand_init - check once at start that the kernel gives random bytes; otherwise a message and
 * abort().
 */
void rand_init(void);

/* rand_bytes - fill p with n bytes.  Returns 0, or ERR_SYS and p is wiped. */
int rand_bytes(void *p, size_t n) WARN_UNUSED;

/*
 * rand_u64 - a uniform 64-bit number.  rand_below - a uniform number in 0..n-1, n at least 1,
 * without bias.
 */
int rand_u64(uint64_t *out) WARN_UNUSED;
int rand_below(uint64_t n, uint64_t *out) WARN_UNUSED;

/*
 * rand_callback - rand_bytes() in the shape that the TLS library asks for; ctx is not used.  0 or a
 * negative number.
 */
int rand_callback(void *ctx, unsigned char *p, size_t n);

#endif
