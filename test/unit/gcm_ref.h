/* SPDX-License-Identifier: ISC */
/*
 * The two implementations of AES-GCM that the gcm_*_test.c files compare, behind one interface:
 * the one that mbedTLS uses in this build, and mbedTLS's own. In a build without MBEDTLS_GCM_ALT
 * they are the same code, and the comparison is one of whole messages with streamed ones.
 */
#ifndef TEST_UNIT_GCM_REF_H
#define TEST_UNIT_GCM_REF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include <mbedtls/gcm.h>

#if defined(MBEDTLS_GCM_ALT)
#include "lib/tls/gcm_soft.h"

static inline struct gcm_soft *
ref_new(const uint8_t *key, unsigned int bits)
{
	struct gcm_soft *ctx = gcm_soft_new();

	assert_non_null(ctx);
	assert_int_equal(gcm_soft_setkey(ctx, MBEDTLS_CIPHER_ID_AES, key, bits), 0);
	return ctx;
}

#define ref_delete gcm_soft_delete
#define ref_crypt_and_tag gcm_soft_crypt_and_tag
#define ref_auth_decrypt gcm_soft_auth_decrypt
typedef struct gcm_soft ref_ctx;

#else

typedef mbedtls_gcm_context ref_ctx;

static inline ref_ctx *
ref_new(const uint8_t *key, unsigned int bits)
{
	ref_ctx *ctx = malloc(sizeof(*ctx));

	assert_non_null(ctx);
	mbedtls_gcm_init(ctx);
	assert_int_equal(mbedtls_gcm_setkey(ctx, MBEDTLS_CIPHER_ID_AES, key, bits), 0);
	return ctx;
}

static inline void
ref_delete(ref_ctx *ctx)
{
	mbedtls_gcm_free(ctx);
	free(ctx);
}

#define ref_crypt_and_tag mbedtls_gcm_crypt_and_tag
#define ref_auth_decrypt mbedtls_gcm_auth_decrypt

#endif

/*
 * stream - one message through mbedtls_gcm_starts/update_ad/update/finish, its additional data and
 * its payload cut into pieces of at most n bytes, each length drawn from *seed (n = 1: byte by
 * byte).
 */
static inline void
stream(mbedtls_gcm_context *ctx, int mode, size_t len, const uint8_t *iv, size_t iv_len,
    const uint8_t *ad, size_t ad_len, const uint8_t *in, uint8_t *out, size_t tag_len, uint8_t *tag,
    size_t n, uint32_t *seed)
{
	size_t off, take, done;

	assert_int_equal(mbedtls_gcm_starts(ctx, mode, iv, iv_len), 0);
	for (off = 0; off < ad_len; off += take) {
		*seed = *seed * 1103515245u + 12345u;
		take = 1 + (*seed >> 16) % n;
		if (take > ad_len - off)
			take = ad_len - off;
		assert_int_equal(mbedtls_gcm_update_ad(ctx, ad + off, take), 0);
	}
	for (off = 0; off < len; off += take) {
		*seed = *seed * 1103515245u + 12345u;
		take = 1 + (*seed >> 16) % n;
		if (take > len - off)
			take = len - off;
		assert_int_equal(
		    mbedtls_gcm_update(ctx, in + off, take, out + off, len - off, &done), 0);
		assert_int_equal(done, take);
	}
	assert_int_equal(mbedtls_gcm_finish(ctx, out + len, 0, &done, tag, tag_len), 0);
	assert_int_equal(done, 0);
}

#endif
