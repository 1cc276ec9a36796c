/* SPDX-License-Identifier: ISC */
/*
 * join - one word with all that a new agent or client needs to log in by key: the relay's URL and
 * public key, and a private key of its own.
 *
 *     tunnel-join-<base64url of: the relay's point (33 bytes), the private scalar (32), the first 4
 *                  bytes of the SHA-256 of all the rest, the URL (ws:// or wss://)>
 *
 * It holds a private key, so it is a secret: made by keygen --join, read from a file.  The sum is
 * for words that were cut off or mistyped; who changes one on purpose makes a new sum.
 */
#ifndef PROTO_JOIN_H
#define PROTO_JOIN_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/tls/keys.h"

#define JOIN_PREFIX "tunnel-join-"
/* Bytes of the URL. */
#define JOIN_URL_MAX 1024

struct join {
	char url[JOIN_URL_MAX + 1];
	/* The relay's public key. */
	uint8_t relay[KEYS_POINT_LEN];
	/* The private key as text, owned. */
	struct secret *key;
};

/*
 * join_make - the word for these three; *out is the caller's.
 * Returns 0; ERR_INVALID (no URL of a relay, too long, no private key) with e, ERR_NOMEM.
 */
int join_make(const char *url, const uint8_t relay[KEYS_POINT_LEN], const struct secret *key,
    struct secret **out, struct errtext *e) WARN_UNUSED;

/*
 * join_parse - take the word of n bytes apart; join_fini() in every case.
 * Returns 0; ERR_INVALID with e, which never quotes the key; ERR_NOMEM.
 */
int join_parse(const char *text, size_t n, struct join *j, struct errtext *e) WARN_UNUSED;
void join_fini(struct join *j);

#endif
