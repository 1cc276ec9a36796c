/* SPDX-License-Identifier: ISC */
/*
 * mbedTLS's own AES-GCM, kept beside the one that replaces it: lib/tls/gcm_ipsec.c falls back on it
 * when the processor lacks the instructions, and the tests compare the two.
 *
 * Each gcm_soft_X() is mbedtls_gcm_X() of <mbedtls/gcm.h> under another name, with the same
 * arguments, results and errors. Only builds with MBEDTLS_GCM_ALT have them.
 *
 * Private to lib/tls.
 */
#ifndef LIB_GCM_SOFT_H
#define LIB_GCM_SOFT_H

#include <stddef.h>
#include <mbedtls/cipher.h>

struct gcm_soft;

/* gcm_soft_new - an initialised context without a key; NULL when out of memory. */
struct gcm_soft *gcm_soft_new(void);
/* gcm_soft_delete - wipes and frees; NULL is fine. */
void gcm_soft_delete(struct gcm_soft *ctx);

int gcm_soft_setkey(struct gcm_soft *ctx, mbedtls_cipher_id_t cipher, const unsigned char *key,
    unsigned int keybits);
int gcm_soft_crypt_and_tag(struct gcm_soft *ctx, int mode, size_t len, const unsigned char *iv,
    size_t iv_len, const unsigned char *ad, size_t ad_len, const unsigned char *in,
    unsigned char *out, size_t tag_len, unsigned char *tag);
int gcm_soft_auth_decrypt(struct gcm_soft *ctx, size_t len, const unsigned char *iv, size_t iv_len,
    const unsigned char *ad, size_t ad_len, const unsigned char *tag, size_t tag_len,
    const unsigned char *in, unsigned char *out);
int gcm_soft_starts(struct gcm_soft *ctx, int mode, const unsigned char *iv, size_t iv_len);
int gcm_soft_update_ad(struct gcm_soft *ctx, const unsigned char *ad, size_t ad_len);
int gcm_soft_update(struct gcm_soft *ctx, const unsigned char *in, size_t len, unsigned char *out,
    size_t out_size, size_t *out_len);
int gcm_soft_finish(struct gcm_soft *ctx, unsigned char *out, size_t out_size, size_t *out_len,
    unsigned char *tag, size_t tag_len);

#endif
