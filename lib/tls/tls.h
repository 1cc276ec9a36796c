/* SPDX-License-Identifier: ISC */
/*
 * tls - what TLS connections share: certificates, keys and trust.  The connections themselves are
 * lib/tls/f_tls.h.
 *
 * A context lives for the whole run of a program and serves the connections of all its threads.
 * TLS 1.3 and 1.2 with ephemeral key exchange and AEAD ciphers only (RFC 9325); no renegotiation,
 * no early data, no compression.
 *
 * Server: any number of certificate and key pairs, chosen by the name that the client asks for (RFC
 * 6066 3): the pairs whose certificate names it, exactly or by a wildcard for its first label; for
 * no name or an unknown one the first pair and those that share a name with it.  Of these the
 * client gets one that it can check (RFC 8446 4.2.3), of the kind of key it likes most; of several
 * of that kind an exact name goes before a wildcard, and the first before the next.
 * tls_server_reload() reads what has changed.  Connections keep the certificates they began with;
 * they hold a reference to that generation.  Session tickets (RFC 8446 4.6.1, RFC 5077) are sealed
 * with keys that change every TLS_TICKET_S seconds and are never written anywhere.
 *
 * Client: the server's certificate is always checked, and so is its name or address.  Trust comes
 * from
 *   nothing given    the system's authorities: SSL_CERT_FILE, otherwise TLS_SYSTEM_CA
 *   ca_file          the authorities of that file and no others (as curl --cacert does)
 *   pins             the key of the server's own certificate must have one of these hashes
 *                    (RFC 7469 2.4, as curl --pinnedpubkey).  Without ca_file the pin is proof
 *                    enough: a certificate that is self-signed or from an unknown authority is
 *                    then accepted.  With ca_file both must hold.  Name and dates are always
 *                    checked.
 *
 * Threads: any function, from any thread; a context is freed when nothing else uses it.
 */
#ifndef LIB_TLS_H
#define LIB_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

#define TLS_SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"
/* Certificate and key pairs of one context. */
#define TLS_PAIRS_MAX 4096
/* Pins of one context. */
#define TLS_PINS_MAX 16
/* Bytes of one certificate, key or authorities file. */
#define TLS_FILE_MAX (1024 * 1024)
/* How long a session can be resumed, and a ticket key is used. */
#define TLS_TICKET_S (6 * 3600)

struct tls_server_ctx;
struct tls_client_ctx;

/*
 * Files of one server certificate: PEM, the chain with the server's own certificate first, and its
 * private key.
 *
 * key_file NULL: cert_file is a directory, in which each NAME.crt with a NAME.key beside it (lego)
 * and each NAME/fullchain.pem with NAME/privkey.pem (certbot's "live") is a pair, in the order of
 * their names.  Names that begin with a dot do not count.
 */
struct tls_pair {
	const char *cert_file;
	const char *key_file;
};

/*
 * tls_server_new - read n pairs (1 to TLS_PAIRS_MAX, with those of directories; names are copied).
 * Returns 0 and *out for tls_server_free(); ERR_NOTFOUND, ERR_INVALID (not PEM, a key that does not
 * belong to its certificate, a certificate that is not for servers), ERR_LIMIT, ERR_SYS, ERR_NOMEM
 * or ERR_TLS with e naming the file.
 */
int tls_server_new(const struct tls_pair *pairs, size_t n, struct tls_server_ctx **out,
    struct errtext *e) WARN_UNUSED;

/* tls_server_free - accepts NULL.  Connections may outlive it: each holds a reference. */
void tls_server_free(struct tls_server_ctx *ctx);

/*
 * tls_server_changed - have any of the files changed since they were read, come or gone, as far as
 * stat(2) tells?  From one thread, as tls_server_reload.
 */
bool tls_server_changed(struct tls_server_ctx *ctx);

/*
 * tls_server_reload - read what has changed; connections that begin from now on use it.
 * Errors as tls_server_new, of the first pair that cannot be read: it stays as it was, and the
 * others are renewed all the same.  tls_server_changed() is false until the files change again, so
 * that a broken file is reported once.
 */
int tls_server_reload(struct tls_server_ctx *ctx, struct errtext *e) WARN_UNUSED;

/* What a client trusts; all members may be NULL. */
struct tls_client_opts {
	const char *ca_file;
	/* "sha256//BASE64", several separated by ';'. */
	const char *pins;
};

/*
 * tls_client_new - read the authorities and pins.
 * Returns 0 and *out for tls_client_free(); ERR_INVALID, ERR_NOTFOUND, ERR_LIMIT, ERR_SYS,
 * ERR_NOMEM or ERR_TLS with e naming the file or the pin.
 */
int tls_client_new(
    const struct tls_client_opts *opts, struct tls_client_ctx **out, struct errtext *e) WARN_UNUSED;

/* tls_client_free - accepts NULL.  Connections may outlive it: each holds a reference. */
void tls_client_free(struct tls_client_ctx *ctx);

#endif
