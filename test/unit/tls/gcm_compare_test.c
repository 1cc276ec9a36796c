/* SPDX-License-Identifier: ISC */
/*
 * The AES-GCM that mbedTLS uses in this build against mbedTLS's own: every length from 0 to 1100,
 * every alignment of input and output, additional data of 0 to 80 bytes, IVs of 1 to 70 bytes, all
 * tag lengths, in place and apart, whole and in pieces. Then what must be refused.
 */
#include <string.h>

#include "test/unit/gcm_ref.h"

enum { LEN_MAX = 1100, AD_MAX = 80, IV_MAX = 70, ALIGN_MAX = 64, BIG = 16384 };

static uint8_t pool[BIG + 4096];
static uint32_t seed;

static const unsigned int key_bits[] = { 128, 192, 256 };

/* Two contexts with the same key, one of each implementation. */
struct pair {
	mbedtls_gcm_context ours;
	ref_ctx *ref;
};

static uint32_t
draw(uint32_t n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % n;
}

static int
setup(void **state)
{
	size_t i;

	(void)state;
	seed = 20240607;
	for (i = 0; i < sizeof(pool); i++)
		pool[i] = (uint8_t)draw(256);
	return 0;
}

static void
pair_init(struct pair *p, unsigned int bits)
{
	const uint8_t *key = pool + draw(1000);

	mbedtls_gcm_init(&p->ours);
	assert_int_equal(mbedtls_gcm_setkey(&p->ours, MBEDTLS_CIPHER_ID_AES, key, bits), 0);
	p->ref = ref_new(key, bits);
}

static void
pair_fini(struct pair *p)
{
	mbedtls_gcm_free(&p->ours);
	ref_delete(p->ref);
}

/* One message both ways, whole and in pieces; in and out begin at the given alignments. */
static void
compare(struct pair *p, size_t len, size_t iv_len, size_t ad_len, size_t tag_len, size_t in_at,
    size_t out_at)
{
	static uint8_t in_area[BIG + ALIGN_MAX], out_area[BIG + ALIGN_MAX], want[BIG];
	uint8_t *in = in_area + in_at, *out = out_area + out_at;
	uint8_t tag[16], want_tag[16];
	const uint8_t *iv = pool + draw(1000), *ad = pool + draw(1000);

	memcpy(in, pool + draw(1000), len);
	assert_int_equal(ref_crypt_and_tag(p->ref, MBEDTLS_GCM_ENCRYPT, len, iv, iv_len, ad, ad_len,
			     in, want, tag_len, want_tag),
	    0);
	assert_int_equal(mbedtls_gcm_crypt_and_tag(&p->ours, MBEDTLS_GCM_ENCRYPT, len, iv, iv_len,
			     ad, ad_len, in, out, tag_len, tag),
	    0);
	assert_memory_equal(out, want, len);
	assert_memory_equal(tag, want_tag, tag_len);
	memset(out, 0, len);
	stream(&p->ours, MBEDTLS_GCM_ENCRYPT, len, iv, iv_len, ad, ad_len, in, out, tag_len, tag,
	    1 + draw(70), &seed);
	assert_memory_equal(out, want, len);
	assert_memory_equal(tag, want_tag, tag_len);
	/* Back, in place. */
	assert_int_equal(mbedtls_gcm_auth_decrypt(
			     &p->ours, len, iv, iv_len, ad, ad_len, want_tag, tag_len, out, out),
	    0);
	assert_memory_equal(out, in, len);
	stream(&p->ours, MBEDTLS_GCM_DECRYPT, len, iv, iv_len, ad, ad_len, want, out, tag_len, tag,
	    1 + draw(70), &seed);
	assert_memory_equal(out, in, len);
	assert_memory_equal(tag, want_tag, tag_len);
}

static void
every_length(void **state)
{
	struct pair p;
	size_t i, len;

	(void)state;
	for (i = 0; i < 3; i++) {
		pair_init(&p, key_bits[i]);
		for (len = 0; len <= LEN_MAX; len++)
			compare(
			    &p, len, 12, draw(AD_MAX + 1), 16, draw(ALIGN_MAX), draw(ALIGN_MAX));
		compare(&p, BIG, 12, 5, 16, 0, 0);
		compare(&p, BIG, 12, 13, 16, 5, 3);
		pair_fini(&p);
	}
}

static void
every_alignment(void **state)
{
	struct pair p;
	size_t in_at, out_at;

	(void)state;
	pair_init(&p, 128);
	for (in_at = 0; in_at < ALIGN_MAX; in_at++)
		for (out_at = 0; out_at < ALIGN_MAX; out_at++)
			compare(&p, 200 + draw(200), 12, 5, 16, in_at, out_at);
	pair_fini(&p);
}

static void
every_additional_data_length(void **state)
{
	struct pair p;
	size_t i, ad, len;

	(void)state;
	for (i = 0; i < 3; i++) {
		pair_init(&p, key_bits[i]);
		for (ad = 0; ad <= AD_MAX; ad++)
			for (len = 0; len <= 48; len += 1 + draw(7))
				compare(&p, len, 12, ad, 16, draw(ALIGN_MAX), draw(ALIGN_MAX));
		compare(&p, 100, 12, 2000, 16, 0, 0);
		pair_fini(&p);
	}
}

static void
every_iv_and_tag_length(void **state)
{
	struct pair p;
	size_t i, iv, tag;

	(void)state;
	for (i = 0; i < 3; i++) {
		pair_init(&p, key_bits[i]);
		for (iv = 1; iv <= IV_MAX; iv++)
			for (tag = 4; tag <= 16; tag++)
				compare(&p, draw(80), iv, draw(40), tag, 0, 0);
		pair_fini(&p);
	}
}

/* Every bit of tag, payload and additional data matters, and nothing of the plaintext leaves. */
static void
one_wrong_bit_is_refused(void **state)
{
	static const uint8_t zero[64];
	uint8_t ct[64], tag[16], ad[21], out[64];
	struct pair p;
	size_t bit;

	(void)state;
	pair_init(&p, 128);
	memcpy(ad, pool, sizeof(ad));
	assert_int_equal(mbedtls_gcm_crypt_and_tag(&p.ours, MBEDTLS_GCM_ENCRYPT, sizeof(ct), pool,
			     12, ad, sizeof(ad), pool + 100, ct, 16, tag),
	    0);
	for (bit = 0; bit < 8 * (sizeof(ct) + sizeof(ad) + sizeof(tag)); bit++) {
		uint8_t *at = bit / 8 < sizeof(ct) ? ct + bit / 8
			      : bit / 8 < sizeof(ct) + sizeof(ad)
				  ? ad + (bit / 8 - sizeof(ct))
				  : tag + (bit / 8 - sizeof(ct) - sizeof(ad));

		*at ^= (uint8_t)(1 << bit % 8);
		memset(out, 0xff, sizeof(out));
		assert_int_equal(mbedtls_gcm_auth_decrypt(&p.ours, sizeof(ct), pool, 12, ad,
				     sizeof(ad), tag, 16, ct, out),
		    MBEDTLS_ERR_GCM_AUTH_FAILED);
		assert_memory_equal(out, zero, sizeof(out));
		*at ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(mbedtls_gcm_auth_decrypt(
			     &p.ours, sizeof(ct), pool, 12, ad, sizeof(ad), tag, 16, ct, out),
	    0);
	assert_memory_equal(out, pool + 100, sizeof(out));
	pair_fini(&p);
}

static void
bad_arguments_are_refused(void **state)
{
	mbedtls_gcm_context *c;
	uint8_t out[64], tag[16];
	struct pair p;
	size_t n;

	(void)state;
	pair_init(&p, 256);
	c = &p.ours;
	assert_int_equal(mbedtls_gcm_crypt_and_tag(
			     c, MBEDTLS_GCM_ENCRYPT, 16, pool, 0, NULL, 0, pool, out, 16, tag),
	    MBEDTLS_ERR_GCM_BAD_INPUT);
	assert_int_equal(mbedtls_gcm_crypt_and_tag(
			     c, MBEDTLS_GCM_ENCRYPT, 16, pool, 12, NULL, 0, pool, out, 3, tag),
	    MBEDTLS_ERR_GCM_BAD_INPUT);
	assert_int_equal(mbedtls_gcm_auth_decrypt(c, 16, pool, 12, NULL, 0, tag, 17, pool, out),
	    MBEDTLS_ERR_GCM_BAD_INPUT);
	assert_int_equal(
	    mbedtls_gcm_starts(c, MBEDTLS_GCM_ENCRYPT, pool, 0), MBEDTLS_ERR_GCM_BAD_INPUT);
	assert_int_equal(mbedtls_gcm_starts(c, MBEDTLS_GCM_ENCRYPT, pool, 12), 0);
	assert_int_equal(
	    mbedtls_gcm_update(c, pool, 16, out, 15, &n), MBEDTLS_ERR_GCM_BUFFER_TOO_SMALL);
	assert_int_equal(
	    mbedtls_gcm_update(c, out, 16, out + 1, 16, &n), MBEDTLS_ERR_GCM_BAD_INPUT);
	assert_int_equal(mbedtls_gcm_update(c, pool, 16, out, 16, &n), 0);
	assert_int_equal(mbedtls_gcm_finish(c, NULL, 0, &n, tag, 17), MBEDTLS_ERR_GCM_BAD_INPUT);
	assert_int_equal(
	    mbedtls_gcm_setkey(c, MBEDTLS_CIPHER_ID_AES, pool, 127), MBEDTLS_ERR_GCM_BAD_INPUT);
	pair_fini(&p);
}

/* The null pointers that go with empty pieces, and a key set twice. */
static void
empty_pieces_and_new_keys(void **state)
{
	mbedtls_gcm_context c;
	uint8_t a[16], b[16];
	size_t n;

	(void)state;
	mbedtls_gcm_init(&c);
	assert_int_equal(mbedtls_gcm_setkey(&c, MBEDTLS_CIPHER_ID_AES, pool, 256), 0);
	assert_int_equal(mbedtls_gcm_setkey(&c, MBEDTLS_CIPHER_ID_AES, pool + 1, 128), 0);
	assert_int_equal(mbedtls_gcm_crypt_and_tag(
			     &c, MBEDTLS_GCM_ENCRYPT, 0, pool, 12, NULL, 0, NULL, NULL, 16, a),
	    0);
	assert_int_equal(mbedtls_gcm_auth_decrypt(&c, 0, pool, 12, NULL, 0, a, 16, NULL, NULL), 0);
	assert_int_equal(mbedtls_gcm_starts(&c, MBEDTLS_GCM_ENCRYPT, pool, 12), 0);
	assert_int_equal(mbedtls_gcm_update_ad(&c, NULL, 0), 0);
	assert_int_equal(mbedtls_gcm_update(&c, NULL, 0, NULL, 0, &n), 0);
	assert_int_equal(mbedtls_gcm_finish(&c, NULL, 0, &n, b, 16), 0);
	assert_memory_equal(a, b, 16);
	mbedtls_gcm_free(&c);
	mbedtls_gcm_free(&c);
	mbedtls_gcm_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length),
		cmocka_unit_test(every_alignment),
		cmocka_unit_test(every_additional_data_length),
		cmocka_unit_test(every_iv_and_tag_length),
		cmocka_unit_test(one_wrong_bit_is_refused),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(empty_pieces_and_new_keys),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
