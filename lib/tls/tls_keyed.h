/* SPDX-License-Identifier: ISC */
/*
 * tls_keyed - TLS between two ends that know each other by their keys (lib/tls/keys.h), in place of
 * authorities and names.
 *
 * A context is one end: its own private key, whether it is the client or the server of the
 * handshake, and what it speaks inside (ALPN, RFC 7301), which both ends must name alike.  One key
 * may serve several contexts.  It never changes, and serves connections of all threads.
 *
 * TLS 1.3 only, both ends with a P-256 key and an ephemeral one: no tickets, no resumption (a
 * resumed session would show no key), no early data.  Keys travel in certificates that are made
 * here; of the peer's only the point counts, no date, name, use or chain.  Each handshake proves
 * that the peer has the private half of the key it shows.
 *
 * Who is let in is the tls_judge of each connection.  A client's is asked before the client shows
 * its own key, so that a wrong server does not learn who called.  A server's is asked when the
 * client has proved its key, so that nobody learns which keys it knows by showing those of others.
 */
#ifndef LIB_TLS_KEYED_H
#define LIB_TLS_KEYED_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/tls/keys.h"

/* What is spoken inside: the login to a relay, or a session from end to end. */
#define TLS_KEYED_LOGIN "tunnel-login/1"
#define TLS_KEYED_E2E "tunnel-e2e/1"
/*
 * Bytes that a peer may send before its handshake is done.  Ours sends less than 1.5 KiB; this
 * bounds the certificates that a stranger can have us parse.
 */
#define TLS_KEYED_HANDSHAKE_MAX 4096

struct tls_keyed;

enum tls_keyed_end { TLS_KEYED_CLIENT, TLS_KEYED_SERVER };

/*
 * tls_keyed_new - make a context.
 *   priv   the own private key as text, borrowed for the call
 *   alpn   TLS_KEYED_LOGIN or TLS_KEYED_E2E; not copied
 * Returns 0 and *out for tls_keyed_free(); ERR_INVALID if priv is no private key (never quoted),
 * ERR_NOMEM, ERR_TLS with e.
 */
int tls_keyed_new(const struct secret *priv, enum tls_keyed_end end, const char *alpn,
    struct tls_keyed **out, struct errtext *e) WARN_UNUSED;

/*
 * tls_keyed_sibling - another end, or another protocol, with the same key, which is not asked for
 * again.  ERR_NOMEM, ERR_TLS with e.
 */
int tls_keyed_sibling(const struct tls_keyed *k, enum tls_keyed_end end, const char *alpn,
    struct tls_keyed **out, struct errtext *e) WARN_UNUSED;

/* tls_keyed_free - accepts NULL.  Connections may outlive it: each holds a reference. */
void tls_keyed_free(struct tls_keyed *k);

/* tls_keyed_public - the own public key as text; valid as long as k. */
const char *tls_keyed_public(const struct tls_keyed *k);

/*
 * tls_judge - fn(arg, point, e) says whether the peer with this public key is the right one: 0, or
 * ERR_DENIED with e for the log of this end (the peer learns no words).  It is called at most once,
 * from the thread of the connection, and does not touch the connection.  fn NULL: whoever it is (a
 * server's only; what comes inside is then judged by the peer's key).
 */
struct tls_judge {
	int (*fn)(void *arg, const uint8_t point[KEYS_POINT_LEN], struct errtext *e);
	void *arg;
};

/*
 * tls_judge_list - one of l and nobody else (borrowed until the handshake is done).  The refusal
 * shows the key that came and the one that was to come.
 */
struct tls_judge tls_judge_list(const struct keys_list *l);

#endif
