/* SPDX-License-Identifier: ISC */
/*
 * tls_verify - the client's decision about one server certificate, and the sentence that explains a
 * refusal.
 *
 * It lives from the start of a connection to the end of its handshake.  What it tells comes from
 * the peer and is escaped.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_VERIFY_H
#define LIB_TLS_VERIFY_H

#include <mbedtls/ssl.h>

#include "lib/base/err.h"
#include "lib/tls/tls_generation.h"

/* Characters of a host name (RFC 1035 2.3.4) */
#define TLS_HOST_MAX 253

struct tls_verify;

/*
 * tls_verify_new - decide for host by g (borrowed for its life), and tell ssl so: server name, name
 * check, callback.  NULL: out of memory, or a host of more than TLS_HOST_MAX characters.
 */
struct tls_verify *tls_verify_new(
    mbedtls_ssl_context *ssl, const struct tls_generation *g, const char *host);
void tls_verify_free(struct tls_verify *v);

/*
 * tls_verify_explain - fill e with why the certificate was refused and what would help; false if it
 * was not refused.
 */
bool tls_verify_explain(const struct tls_verify *v, struct errtext *e);

#endif
