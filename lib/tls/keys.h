/* SPDX-License-Identifier: ISC */
/*
 * keys - the key pairs that agents and clients are known by, as one-line strings.
 *
 *     tunnel-priv-<base64url of the 32-byte scalar>            43 characters after the prefix
 *     tunnel-pub-<base64url of the 33-byte compressed point>   44 characters after the prefix
 *
 * The point is as in SEC 1 2.3.3; the curve is NIST P-256 (secp256r1), which TLS 1.3 and every
 * library knows.  A string is fit for an environment variable, a JSON value and a command line
 * (though a private one belongs on none).
 */
#ifndef LIB_KEYS_H
#define LIB_KEYS_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"

#define KEYS_PRIV_PREFIX "tunnel-priv-"
#define KEYS_PUB_PREFIX "tunnel-pub-"
/* Bytes of a private and of a public key. */
#define KEYS_SCALAR_LEN 32
#define KEYS_POINT_LEN 33
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

#endif
