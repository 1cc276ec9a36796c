/* SPDX-License-Identifier: ISC */
/*
 * keys - the key pairs that agents and clients are known by, as one-line strings.
 *
 *     tunnel-priv-<base64url of the 32-byte scalar>            43 characters after the prefix
 *     tunnel-pub-<base64url of the 33-byte compressed point>   44 characters after the prefix
 *
 * The point is as in SEC 1 2.3.3; the curve is NIST P-256 (secp256r1), which TLS 1.3 and every
 * library knows.  A public key is as short as a fingerprint, and is shown where one is wanted.  A
 * string is fit for an environment variable, a JSON value and a command line
 * (though a private one belongs on none).
 */
#ifndef LIB_KEYS_H
#define LIB_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"

#define KEYS_PRIV_PREFIX "tunnel-priv-"
#define KEYS_PUB_PREFIX "tunnel-pub-"
/* Bytes of a private and of a public key. */
#define KEYS_SCALAR_LEN 32
#define KEYS_POINT_LEN 33
/* Keys in one list. */
#define KEYS_LIST_MAX 16
#define KEYS_PRIV_TEXT_LEN (sizeof(KEYS_PRIV_PREFIX) - 1 + 43)
#define KEYS_PUB_TEXT_LEN (sizeof(KEYS_PUB_PREFIX) - 1 + 44)

/* keys_generate - a new private key as text, the caller's; NULL if random bytes or memory fail. */
struct secret *keys_generate(void) WARN_UNUSED;

/*
 * keys_public - the public text that belongs to a private one.
 * Returns 0; ERR_INVALID if priv is no private key of the form above, with a number in 1..order-1
 * (e says what is wrong and never quotes it); ERR_NOMEM or ERR_SYS.
 */
int keys_public(
    const struct secret *priv, char pub[KEYS_PUB_TEXT_LEN + 1], struct errtext *e) WARN_UNUSED;

/*
 * keys_scalar - the bytes of a private text, checked as keys_public() does; the same errors.  The
 * caller wipes them.
 */
int keys_scalar(
    const struct secret *priv, uint8_t scalar[KEYS_SCALAR_LEN], struct errtext *e) WARN_UNUSED;

/* keys_scalar_text - the reverse; NULL: out of memory. */
struct secret *keys_scalar_text(const uint8_t scalar[KEYS_SCALAR_LEN]) WARN_UNUSED;

/*
 * keys_point - the bytes of a public text of n characters.
 * Returns 0; ERR_INVALID if it is not of the form above or no point of the curve (e says which);
 * ERR_NOMEM.  keys_point_text - the reverse.
 */
int keys_point(
    const char *text, size_t n, uint8_t point[KEYS_POINT_LEN], struct errtext *e) WARN_UNUSED;
void keys_point_text(const uint8_t point[KEYS_POINT_LEN], char pub[KEYS_PUB_TEXT_LEN + 1]);

/* Keys of one identity: more than one while they are changed.  Zeroed it is empty. */
struct keys_list {
	uint8_t points[KEYS_LIST_MAX][KEYS_POINT_LEN];
	size_t n;
};

/* keys_list_add - errors as keys_point(); ERR_LIMIT when it is full. */
int keys_list_add(struct keys_list *l, const char *text, size_t n, struct errtext *e) WARN_UNUSED;

/* keys_list_has - takes as long whichever of them it is, or none. */
bool keys_list_has(const struct keys_list *l, const uint8_t point[KEYS_POINT_LEN]);

#endif
