/* SPDX-License-Identifier: ISC */
/*
 * The context of AES-GCM in mbedTLS when MBEDTLS_GCM_ALT is set: <mbedtls/gcm.h> includes this file
 * under the name gcm_alt.h in place of its own struct, and lib/tls/gcm_ipsec.c implements the
 * functions that <mbedtls/gcm.h> documents. Nobody else includes it.
 *
 * The struct is one pointer because mbedTLS allocates contexts with the alignment of malloc, while
 * libipsec-mb wants its expanded key on a cache line of its own. The typedef is mbedTLS's
 * interface.
 */
#ifndef LIB_GCM_ALT_H
#define LIB_GCM_ALT_H

struct gcm_key;

typedef struct mbedtls_gcm_context {
	/* NULL until mbedtls_gcm_setkey(); owned, wiped and freed by mbedtls_gcm_free(). */
	struct gcm_key *key;
} mbedtls_gcm_context;

#endif
