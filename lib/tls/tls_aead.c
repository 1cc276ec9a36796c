/* SPDX-License-Identifier: ISC */
/*
 * tls_aead - AES-GCM and ChaCha20-Poly1305 by mbedTLS's interfaces; behind that of AES-GCM is
 * lib/tls/gcm_ipsec.c where it can run.
 *
 * All lengths and orders of calls are ours, so that an error of mbedTLS, but for a wrong tag, is
 * want of memory.
 */
#include "lib/tls/tls_aead.h"

#include "lib/base/mem.h"

static int
chacha_init(struct tls_aead *a, const uint8_t *key)
{
	a->chacha = mem_alloc(sizeof *a->chacha);
	if (a->chacha == NULL)
		return ERR_NOMEM;
	mbedtls_chachapoly_init(a->chacha);
	return mbedtls_chachapoly_setkey(a->chacha, key) == 0 ? 0 : ERR_NOMEM;
}

static int
gcm_init(struct tls_aead *a, const uint8_t *key, size_t len)
{
	mbedtls_gcm_init(&a->gcm);
	return mbedtls_gcm_setkey(&a->gcm, MBEDTLS_CIPHER_ID_AES, key, (unsigned)len * 8) == 0
		   ? 0
		   : ERR_NOMEM;
}

int
tls_aead_init(struct tls_aead *a, bool chacha, const uint8_t *key, size_t len)
{
	int r;

	*a = (struct tls_aead){ .keyed = true };
	r = chacha ? chacha_init(a, key) : gcm_init(a, key, len);
	if (r != 0)
		tls_aead_fini(a);
	return r;
}

void
tls_aead_fini(struct tls_aead *a)
{
	if (a->keyed && a->chacha == NULL)
		mbedtls_gcm_free(&a->gcm);
	if (a->chacha != NULL)
		mbedtls_chachapoly_free(a->chacha);
	mem_free(a->chacha);
	*a = (struct tls_aead){ 0 };
}

int
tls_aead_begin(
    struct tls_aead *a, const uint8_t nonce[TLS_AEAD_NONCE], const uint8_t *ad, size_t ad_len)
{
	int ret;

	if (a->chacha != NULL) {
		ret = mbedtls_chachapoly_starts(a->chacha, nonce, MBEDTLS_CHACHAPOLY_ENCRYPT);
		if (ret == 0)
			ret = mbedtls_chachapoly_update_aad(a->chacha, ad, ad_len);
	} else {
		ret = mbedtls_gcm_starts(&a->gcm, MBEDTLS_GCM_ENCRYPT, nonce, TLS_AEAD_NONCE);
		if (ret == 0)
			ret = mbedtls_gcm_update_ad(&a->gcm, ad, ad_len);
	}
	return ret == 0 ? 0 : ERR_NOMEM;
}

int
tls_aead_update(struct tls_aead *a, const uint8_t *in, size_t n, uint8_t *out)
{
	size_t made;
	int ret = a->chacha != NULL ? mbedtls_chachapoly_update(a->chacha, n, in, out)
				    : mbedtls_gcm_update(&a->gcm, in, n, out, n, &made);

	return ret == 0 ? 0 : ERR_NOMEM;
}

int
tls_aead_end(struct tls_aead *a, uint8_t tag[TLS_AEAD_TAG])
{
	size_t made;
	int ret = a->chacha != NULL
		      ? mbedtls_chachapoly_finish(a->chacha, tag)
		      : mbedtls_gcm_finish(&a->gcm, NULL, 0, &made, tag, TLS_AEAD_TAG);

	return ret == 0 ? 0 : ERR_NOMEM;
}

int
tls_aead_open(struct tls_aead *a, const uint8_t nonce[TLS_AEAD_NONCE], const uint8_t *ad,
    size_t ad_len, uint8_t *p, size_t n, const uint8_t tag[TLS_AEAD_TAG])
{
	int ret;

	if (a->chacha != NULL)
		ret = mbedtls_chachapoly_auth_decrypt(a->chacha, n, nonce, ad, ad_len, tag, p, p);
	else
		ret = mbedtls_gcm_auth_decrypt(
		    &a->gcm, n, nonce, TLS_AEAD_NONCE, ad, ad_len, tag, TLS_AEAD_TAG, p, p);
	if (ret == MBEDTLS_ERR_GCM_AUTH_FAILED || ret == MBEDTLS_ERR_CHACHAPOLY_AUTH_FAILED)
		return ERR_DENIED;
	return ret == 0 ? 0 : ERR_NOMEM;
}
