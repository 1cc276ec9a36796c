/* SPDX-License-Identifier: ISC */
/*
 * tls_names - which of a server's certificates are for a name, without a walk through all of them.
 *
 * A certificate is for the names and addresses of its subjectAltName; where it has none, for its
 * common name (RFC 6125 6.4.4).  A wildcard stands for the whole first label and for nothing else
 * (RFC 6125 6.4.3).  Names are compared without regard to case.
 *
 * Certificates are numbers here, in the order in which they were added.  When all are there the
 * table never changes again, so several threads ask it without a lock.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_NAMES_H
#define LIB_TLS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <mbedtls/x509_crt.h>

#include "lib/base/err.h"
#include "lib/base/hashtab.h"

/* Longer ones are in no certificate that counts. */
#define TLS_NAME_MAX 255

/* A certificate of those that have one name. */
struct tls_name {
	size_t cert;
	/* The next certificate with this name, which was added later; NULL: none. */
	struct tls_name *next;
	/* private; of the first one */
	UT_hash_handle hh;
	size_t len;
	char key[];
};

struct tls_names {
	struct tls_name *first;
};

/* The certificates for one name; each list may be NULL, and a certificate may be in both. */
struct tls_names_found {
	const struct tls_name *exact, *wild;
};

/*
 * tls_names_add - certificate number cert; larger than those before.  ERR_NOMEM.
 * tls_names_fini - accepts a zeroed one.
 */
int tls_names_add(struct tls_names *t, size_t cert, const mbedtls_x509_crt *crt) WARN_UNUSED;
void tls_names_fini(struct tls_names *t);

/* tls_names_find - the certificates for a name of n bytes; valid as long as t. */
struct tls_names_found tls_names_find(const struct tls_names *t, const char *name, size_t n);

/* tls_names_has - is the certificate among those that were found? */
bool tls_names_has(const struct tls_names_found *f, size_t cert);

/*
 * tls_names_any - is certificate number cert for one of the names or addresses that crt is for?
 */
bool tls_names_any(const struct tls_names *t, size_t cert, const mbedtls_x509_crt *crt);

#endif
