/* SPDX-License-Identifier: ISC */
/*
 * tls_aead - one key of one of TLS 1.3's ciphers (RFC 8446 9.1): AES-GCM or ChaCha20-Poly1305.
 * Encrypts bytes in pieces, decrypts them in one.  For lib/tls/tls_rec.c; nobody else includes
 * this.
 *
 * Input and output may be the same bytes, and must not overlap otherwise.  A nonce must never be
 * used twice with one key: that is the caller's business.  A key belongs to one thread at a time.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_AEAD_H
#define LIB_TLS_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <mbedtls/chachapoly.h>
#include <mbedtls/gcm.h>

#include "lib/base/err.h"

/* Bytes, of all ciphers. */
#define TLS_AEAD_NONCE 12
#define TLS_AEAD_TAG 16
#define TLS_AEAD_KEY_MAX 32

/* Members are private; zero is valid and has no key. */
struct tls_aead {
	mbedtls_gcm_context gcm;
	/* Owned; NULL: AES-GCM. */
	mbedtls_chachapoly_context *chacha;
	bool keyed;
};

/*
 * tls_aead_init - expand the key: 16 or 32 bytes of AES-GCM, 32 of ChaCha20-Poly1305; copied.
 * Returns 0 or ERR_NOMEM, and a is then without a key.  tls_aead_fini - wipe it.
 */
int tls_aead_init(struct tls_aead *a, bool chacha, const uint8_t *key, size_t len) WARN_UNUSED;
void tls_aead_fini(struct tls_aead *a);

/*
 * tls_aead_begin, tls_aead_update any number of times, tls_aead_end - encrypt a message in pieces.
 * ad: bytes that the tag covers and that are not encrypted.  Return 0 or ERR_NOMEM.
 */
int tls_aead_begin(struct tls_aead *a, const uint8_t nonce[TLS_AEAD_NONCE], const uint8_t *ad,
    size_t ad_len) WARN_UNUSED;
int tls_aead_update(struct tls_aead *a, const uint8_t *in, size_t n, uint8_t *out) WARN_UNUSED;
int tls_aead_end(struct tls_aead *a, uint8_t tag[TLS_AEAD_TAG]) WARN_UNUSED;

/*
 * tls_aead_open - decrypt n bytes at p in place and compare the tag, in constant time.
 * Returns 0; ERR_DENIED when the tag is wrong, and the bytes are then wiped; ERR_NOMEM.
 */
int tls_aead_open(struct tls_aead *a, const uint8_t nonce[TLS_AEAD_NONCE], const uint8_t *ad,
    size_t ad_len, uint8_t *p, size_t n, const uint8_t tag[TLS_AEAD_TAG]) WARN_UNUSED;

#endif
