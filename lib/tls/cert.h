/* SPDX-License-Identifier: ISC */
/*
 * cert - make a self-signed certificate for a relay that has no other.
 *
 * ECDSA P-256 with SHA-256, version 3, a random serial number, subject alternative names (DNS and
 * IP, RFC 5280 4.2.1.6), good for a server only.  A client trusts it by `--ca FILE` or by its pin.
 */
#ifndef LIB_CERT_H
#define LIB_CERT_H

#include "lib/base/err.h"
#include "lib/base/secret.h"
#include "lib/base/str.h"

/* Bytes of the certificate as text. */
#define CERT_PEM_MAX (16 * 1024)
/* "sha256//" and 44 characters. */
#define CERT_PIN_LEN 52
/* Names in one certificate. */
#define CERT_HOSTS_MAX 64

/*
 * One certificate.  Zero it before cert_self_signed(); cert_fini() in every case.  The pin is the
 * hash of the public key (RFC 7469 2.4), as curl's --pinnedpubkey and our --pin take it.
 */
struct cert {
	/* Owned. */
	char *pem;
	/* Owned; private key as SEC 1. */
	struct secret *key_pem;
	char pin[CERT_PIN_LEN + 1];
};

/*
 * cert_self_signed - a new key and a certificate for n hosts (names, *.names, IP addresses), valid
 * for days from now and for the hour before (clocks differ).
 * Returns 0; ERR_INVALID with e naming the host that is none; ERR_LIMIT; ERR_NOMEM; ERR_TLS if the
 * library fails.
 */
int cert_self_signed(const char *const *hosts, size_t n, unsigned days, struct cert *out,
    struct errtext *e) WARN_UNUSED;
void cert_fini(struct cert *c);

#endif
