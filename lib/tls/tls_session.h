/* SPDX-License-Identifier: ISC */
/*
 * tls_session - mbedTLS's part of a connection: every handshake, and the records of TLS 1.2.
 *
 * It takes what came from the filter below out of a queue, and writes what goes there to a
 * tls_writer; both are lent to it for its life.  It never waits: a call ends when the queue is
 * empty.  When a handshake of TLS 1.3 is done, tls_session_records() makes a tls_rec of it, and it
 * can be freed.
 *
 * Copies of payload.  In: queue -> input buffer, decrypted there -> block: 2.  Out: slices ->
 * output buffer, encrypted there -> block: 2; slices that are smaller than a record are gathered
 * first: 1 more.
 *
 * A peer cannot make us work for nothing for ever: after TLS_SESSION_IDLE_MAX records in a row
 * without data, or TLS_SESSION_ANSWERS_MAX that want an answer (a new handshake in TLS 1.2), it is
 * refused.
 *
 * Errors: ERR_NOMEM and ERR_TLS end the connection.  The alert about it has been written by then.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_SESSION_H
#define LIB_TLS_SESSION_H

#include "lib/net/buf.h"
#include "lib/tls/tls_generation.h"
#include "lib/tls/tls_rec.h"
#include "lib/tls/tls_writer.h"

#define TLS_SESSION_IDLE_MAX 64
#define TLS_SESSION_ANSWERS_MAX 32
/* A turn that moves no more leaves most of the record buffers untouched. */
#define TLS_SESSION_SMALL 2048

struct tls_session;

/*
 * tls_session_new_client - for the server host.  tls_session_new_server - what its client asks for
 * comes to stand in asked.  g, and asked until the handshake is done, are borrowed.
 * NULL: out of memory.
 */
struct tls_session *tls_session_new_client(
    const struct tls_generation *g, const char *host, struct bufq *in, struct tls_writer *out);
struct tls_session *tls_session_new_server(const struct tls_generation *g, struct tls_asked *asked,
    struct bufq *in, struct tls_writer *out);
/* tls_session_new_keyed - either end of a tls_keyed, whose generation g is. */
struct tls_session *tls_session_new_keyed(const struct tls_generation *g, struct tls_judge judge,
    struct bufq *in, struct tls_writer *out);
void tls_session_free(struct tls_session *s);

/*
 * tls_session_handshake - go on with it.  Returns 0 when it is done; ERR_AGAIN: more must come;
 * ERR_NOMEM; ERR_TLS and e; ERR_PROTO and e when the server answers in plain HTTP; ERR_DENIED and e
 * by the judge.
 */
int tls_session_handshake(struct tls_session *s, struct errtext *e) WARN_UNUSED;

/* tls_session_peer - the peer's public key, of a keyed one after its handshake. */
const uint8_t *tls_session_peer(const struct tls_session *s);

/* tls_session_describe - version and cipher, after the handshake. */
void tls_session_describe(const struct tls_session *s, char *words, size_t size);

/*
 * tls_session_records - after the handshake: what makes and reads the records from here on.  NULL:
 * this session does.
 */
struct tls_rec *tls_session_records(const struct tls_session *s);

/*
 * tls_session_seal - take all of plain and write it in records.  Returns 0; ERR_NOMEM; ERR_TLS and
 * e.
 */
int tls_session_seal(struct tls_session *s, struct bufq *plain, struct errtext *e) WARN_UNUSED;

/*
 * tls_session_open - read records until there are no more (0) or about budget bytes came of them
 * (ERR_AGAIN).  The payload goes to the end of plain.  ERR_EOF after close_notify; ERR_NOMEM;
 * ERR_TLS and e.
 */
int tls_session_open(
    struct tls_session *s, struct bufq *plain, size_t budget, struct errtext *e) WARN_UNUSED;

/* tls_session_close - write close_notify.  Returns 0 or ERR_NOMEM. */
int tls_session_close(struct tls_session *s) WARN_UNUSED;

/* tls_session_has_input - does it hold payload that was not taken yet? */
bool tls_session_has_input(const struct tls_session *s);

/*
 * tls_session_trim - give the memory of the record buffers back to the system, until they are used
 * again.
 */
void tls_session_trim(struct tls_session *s);

#endif
