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

struct tls_generation_pair {
	/* The server's own certificate first. */
	mbedtls_x509_crt chain;
	mbedtls_pk_context key;
};

struct tls_generation {
	atomic_uint refs;
	mbedtls_ssl_config conf;

	/* Server: owned. */
	struct tls_generation_pair *pairs;
	size_t n_pairs;
	mbedtls_ssl_ticket_context tickets;

	/* Client: owned.  roots may be empty: then a pin is the only proof. */
	mbedtls_x509_crt roots;
	uint8_t pins[TLS_PINS_MAX][HASH_SHA256_LEN];
	size_t n_pins;
	/* No ca_file was given. */
	bool pin_suffices;
};

/*
 * tls_generation_server, tls_generation_client - the generation for a new connection, with a
 * reference that tls_generation_drop() gives back.
 */
struct tls_generation *tls_generation_server(struct tls_server_ctx *ctx);
struct tls_generation *tls_generation_client(struct tls_client_ctx *ctx);
void tls_generation_drop(struct tls_generation *g);

#endif
