/* SPDX-License-Identifier: ISC */
/*
 * f_tls - the TLS filter: TLS 1.3 (RFC 8446) or 1.2 on any byte stream below, on the socket or
 * inside a WebSocket.
 *
 * The handshake begins by itself.  What is written before it is done waits, up to the room of
 * F_TLS_EARLY bytes; then the ready callback and user->writable are called.  The owner watches the
 * time: there is no timer here.
 *
 * End: both directions end together.  filter_shutdown() sends what was written, close_notify and
 * the end of the stream below.  The peer's close_notify is answered and told as ERR_EOF; the end of
 * the stream below without it is ERR_CLOSED, because somebody may have cut it short (RFC 8446 6.1).
 * A failed handshake or record is ERR_TLS with a sentence for the log, ERR_PROTO when the server
 * answers in plain HTTP, ERR_DENIED and the judge's sentence when a tls_judge refuses, ERR_DENIED
 * too when the peer's does, which a client may learn only after its own handshake; the alert
 * has been handed to the stream below by then.
 *
 * mbedTLS does the handshake, and the records of TLS 1.2; lib/tls/tls_rec.h makes those of TLS 1.3.
 * It decrypts in place, in below's queue: nobody else may hold these bytes.  That is so above a
 * socket, a WebSocket, and any filter that does not share its input.
 *
 * Memory: about 42 KiB until the handshake is done, then 3.5 KiB (f_tls_bench) with TLS 1.3.  With
 * TLS 1.2 the 42 KiB stay while it is busy.  After the handshake, and again when only small records
 * were moved for F_TLS_TRIM_MS, most of the two record buffers of 16 KiB goes back to the system;
 * 13 KiB are left.
 */
#ifndef LIB_F_TLS_H
#define LIB_F_TLS_H

#include "lib/net/filter.h"
#include "lib/tls/tls.h"
#include "lib/tls/tls_keyed.h"
#include "lib/tls/tls_turns.h"

/* Bytes decrypted in a turn: what a socket reads in one. */
#define F_TLS_TURN (256 * 1024)
/* Bytes taken before a flush: one writev of the socket below. */
#define F_TLS_AHEAD (256 * 1024)
/* Bytes that wait for the end of the handshake. */
#define F_TLS_EARLY (64 * 1024)
/* Below the keepalive interval: an idle session's ping trims. */
#define F_TLS_TRIM_MS 10000

/*
 * f_tls_server - serve TLS on below with ctx (a reference is taken).  Takes below on success.
 * NULL: out of memory; below is still the caller's.
 */
struct filter *f_tls_server(struct filter *below, struct loop *l, struct tls_server_ctx *ctx);

/*
 * f_tls_client - speak TLS to host on below; host is the name or the address (without brackets)
 * that the certificate must have, copied.  Takes below on success.  NULL: out of memory; below is
 * still the caller's.
 */
struct filter *f_tls_client(
    struct filter *below, struct loop *l, struct tls_client_ctx *ctx, const char *host);

/*
 * f_tls_keyed - either end of TLS by keys (tls_keyed.h); judge says whom to accept, and a client
 * has one (judge.fn is not NULL).  Takes below on success, and a reference to ctx.  NULL: out of
 * memory; below is still the caller's.
 *
 * f_tls_peer - the peer's public key (KEYS_POINT_LEN bytes) when the handshake of a keyed one is
 * done, and NULL before; valid as long as f.
 */
struct filter *f_tls_keyed(
    struct filter *below, struct loop *l, const struct tls_keyed *ctx, struct tls_judge judge);
const uint8_t *f_tls_peer(const struct filter *f);

/*
 * f_tls_take_turns - each step of f's handshake that is work waits for its turn among those of t
 * (borrowed until the handshake is done or f freed).  Right after f was made.
 */
void f_tls_take_turns(struct filter *f, struct tls_turns *t, const struct tls_turns_who *who);

/* f_tls_set_ready - call fn(arg) once when the handshake is done, before user->writable. */
void f_tls_set_ready(struct filter *f, void (*fn)(void *arg), void *arg);

/*
 * f_tls_describe - version and cipher for the log, "TLSv1.3 AES-128-GCM-SHA256"; "" before the
 * handshake is done.
 */
const char *f_tls_describe(const struct filter *f);

/*
 * Of a server's connection, when its handshake is done:
 *
 * f_tls_asked - the name that the client asked for (RFC 6066 3), in lower case and otherwise as it
 * came; NULL: none.  Valid as long as f.
 *
 * f_tls_covers - is what the certificate says true of this host (normalised, a name)?  An exact
 * name, or a wildcard for its first label.  Where the client was offered a choice, of an ECDSA and
 * an RSA certificate for one name, both must be for host.  Costs a look into a hash table, and less
 * for the name that was asked for.
 */
const char *f_tls_asked(const struct filter *f);
bool f_tls_covers(const struct filter *f, const char *host);

#endif
