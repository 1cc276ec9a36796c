/* SPDX-License-Identifier: ISC */
/*
 * tls_generation - one generation of what TLS connections share; between lib/tls/tls.c, which makes
 * it, and the files that use it for a connection.  Nobody else includes this.
 *
 * A generation never changes once it is made, so connections of several threads read it without a
 * lock; each of them holds a reference, and the last one frees it.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_GENERATION_H
#define LIB_TLS_GENERATION_H

#include <stdatomic.h>
#include <stdint.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>

#include "lib/base/hash.h"
#include "lib/tls/tls.h"
#include "lib/tls/tls_keyed.h"
#include "lib/tls/tls_names.h"
#include "lib/tls/tls_pairs.h"

struct tls_generation {
	atomic_uint refs;
	mbedtls_ssl_config conf;

	/* Server: references. */
	struct tls_loaded **pairs;
	size_t n_pairs;
	/* By number in pairs. */
	struct tls_names names;
	/* What is offered for no name, or one that no pair is for. */
	size_t *defaults;
	size_t n_defaults;
	mbedtls_ssl_ticket_context tickets;

	/* Client: owned.  roots may be empty: then a pin is the only proof. */
	mbedtls_x509_crt roots;
	uint8_t pins[TLS_PINS_MAX][HASH_SHA256_LEN];
	size_t n_pins;
	/* No ca_file was given. */
	bool pin_suffices;

	/* Of a tls_keyed, whose own pair is pairs[0]; NULL: of another.  The list is conf's. */
	const char *alpn;
	const char *alpn_list[2];
};

/* What the client of a server connection asked for; zero it before the handshake. */
struct tls_asked {
	/* In lower case, owned; NULL: no name. */
	char *name;
	/* The pairs that were offered for it; of the generation.  Both NULL: its defaults. */
	struct tls_names_found offered;
};

/*
 * tls_generation_serve - the handshake of ssl, a server's, fills asked, which stays where it is
 * until then.  tls_asked_fini - when it is no longer needed.
 */
void tls_generation_serve(mbedtls_ssl_context *ssl, struct tls_asked *asked);
void tls_asked_fini(struct tls_asked *asked);

/* tls_generation_covers - is each certificate that was offered for this host, too? */
bool tls_generation_covers(
    const struct tls_generation *g, const struct tls_asked *asked, const char *host);

/*
 * tls_generation_new - an empty one, with a reference; NULL: out of memory.
 * tls_generation_configure - what all have in common; endpoint is MBEDTLS_SSL_IS_CLIENT or _SERVER.
 * Returns 0; ERR_TLS, ERR_NOMEM, ERR_INVALID and e.
 */
struct tls_generation *tls_generation_new(void) WARN_UNUSED;
int tls_generation_configure(struct tls_generation *g, int endpoint, struct errtext *e) WARN_UNUSED;

/*
 * tls_generation_server, tls_generation_client, tls_generation_keyed - the generation for a new
 * connection, with a reference that tls_generation_drop() gives back.
 */
struct tls_generation *tls_generation_server(struct tls_server_ctx *ctx);
struct tls_generation *tls_generation_client(struct tls_client_ctx *ctx);
struct tls_generation *tls_generation_keyed(const struct tls_keyed *k);
struct tls_generation *tls_generation_ref(struct tls_generation *g);
void tls_generation_drop(struct tls_generation *g);

#endif
