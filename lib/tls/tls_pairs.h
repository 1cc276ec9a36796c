/* SPDX-License-Identifier: ISC */
/*
 * tls_pairs - a server's certificates and keys as they stand in files.
 *
 * Files are given in pairs, or as directories of pairs (tls.h), which are looked into each time.
 * What has not changed since it was read is not read again, and generations share it.  A pair that
 * cannot be read any more stays as it was, and keeps nobody else's renewal out.
 *
 * Threads: one at a time; what was read may be used by all.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_PAIRS_H
#define LIB_TLS_PAIRS_H

#include <stdatomic.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "lib/base/file.h"
#include "lib/tls/tls.h"

/* A pair as it was read; it never changes. */
struct tls_loaded {
	atomic_uint refs;
	/* The server's own certificate first. */
	mbedtls_x509_crt chain;
	mbedtls_pk_context key;
};

/* tls_loaded_new - an empty one, with a reference; NULL: out of memory. */
struct tls_loaded *tls_loaded_new(void) WARN_UNUSED;
struct tls_loaded *tls_loaded_ref(struct tls_loaded *p);
/* tls_loaded_unref - accepts NULL. */
void tls_loaded_unref(struct tls_loaded *p);

struct tls_pair_files {
	/* Paths, owned. */
	char *cert, *key;
	struct file_stamp cert_stamp, key_stamp;
	/* A reference; NULL: it could never be read. */
	struct tls_loaded *loaded;
	/* As they are now they cannot be read. */
	bool broken;
};

struct tls_pairs {
	/* What was given: owned; key is NULL for a directory. */
	struct tls_pair *given;
	size_t n_given;
	/* May be read: the pairs, in the order in which they count. */
	struct tls_pair_files *v;
	size_t n;
	/* A directory could not be looked into the last time. */
	bool unlisted;
};

/* tls_pairs_new - copies what is given; nothing is read yet.  ERR_NOMEM. */
int tls_pairs_new(const struct tls_pair *given, size_t n, struct tls_pairs **out) WARN_UNUSED;
/* tls_pairs_free - accepts NULL. */
void tls_pairs_free(struct tls_pairs *t);

/*
 * tls_pairs_read - read what is new or has changed.  The first error is returned, e naming the
 * file; other pairs are read all the same.  ERR_LIMIT and what a directory refuses leave all as it
 * was.
 */
int tls_pairs_read(struct tls_pairs *t, struct errtext *e) WARN_UNUSED;

/* tls_pairs_changed - have files changed, come or gone since, as far as stat(2) tells? */
bool tls_pairs_changed(const struct tls_pairs *t);

/*
 * tls_pairs_read_certs - append the certificates of a file to chain.  lax: leave out those that
 * cannot be parsed.  tls_pairs_fail - the error that mbedTLS's code ret is, about a name.
 */
int tls_pairs_read_certs(
    const char *path, mbedtls_x509_crt *chain, bool lax, struct errtext *e) WARN_UNUSED;
int tls_pairs_fail(struct errtext *e, int ret, const char *what, const char *name);

#endif
