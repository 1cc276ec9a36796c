/* SPDX-License-Identifier: ISC */
/*
 * hash - digests and keyed digests: SHA-256 and SHA-1 (FIPS 180-4), HMAC-SHA-256 (RFC 2104),
 * comparison in constant time.
 *
 * SHA-1 is for the Sec-WebSocket-Accept header only (RFC 6455 4.2.2), where nothing depends on its
 * strength.
 */
#ifndef LIB_HASH_H
#define LIB_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define HASH_SHA256_LEN 32
#define HASH_SHA1_LEN 20
#define HASH_HEX_LEN(n) (2 * (n)) /* characters for n bytes, without the NUL */

/*
 * hash_sha256, hash_sha1 - the digest of n bytes at p.  Return 0, or ERR_NOMEM if the library
 * fails.
 */
int hash_sha256(const void *p, size_t n, uint8_t out[HASH_SHA256_LEN]) WARN_UNUSED;
int hash_sha1(const void *p, size_t n, uint8_t out[HASH_SHA1_LEN]) WARN_UNUSED;

/* hash_hmac_sha256 - of n bytes at p under the key (RFC 2104).  The same errors. */
int hash_hmac_sha256(const void *key, size_t key_len, const void *p, size_t n,
    uint8_t out[HASH_SHA256_LEN]) WARN_UNUSED;

/* hash_hex - n bytes as lower-case hexadecimal, terminated; out has HASH_HEX_LEN(n) + 1 bytes. */
void hash_hex(char *out, const void *p, size_t n);

/*
 * hash_unhex - the reverse for exactly n bytes: false unless s is 2 * n hexadecimal digits (either
 * case) and no more.
 */
bool hash_unhex(void *out, size_t n, const char *s);

/* hash_equal - are n bytes the same?  The time taken depends on n only. */
bool hash_equal(const void *a, const void *b, size_t n);

/* hash_version - the cryptographic library at run time, "Mbed TLS 3.6.2". */
const char *hash_version(void);

#endif
