/* SPDX-License-Identifier: ISC */
/*
 * lib/tls/gcm_ipsec.c on a processor without AES-NI: libipsec-mb seems to find no such
 * instructions, and mbedTLS's own code does the work behind the same functions.
 *
 * link: -Wl,--wrap=init_mb_mgr_auto
 */
#include <string.h>

#include "lib/tls/gcm_provider.h"
#include "lib/base/hash.h"
#include "test/unit/gcm_ref.h"
#include "test/unit/rectest.h"

#if defined(MBEDTLS_GCM_ALT)
#include <intel-ipsec-mb.h>

void __real_init_mb_mgr_auto(IMB_MGR *m, IMB_ARCH *arch);
void __wrap_init_mb_mgr_auto(IMB_MGR *m, IMB_ARCH *arch);

void
__wrap_init_mb_mgr_auto(IMB_MGR *m, IMB_ARCH *arch)
{
	__real_init_mb_mgr_auto(m, arch);
	m->features &= ~IMB_FEATURE_AESNI;
}
#endif

static void
provider_is_mbedtls(void **state)
{
	(void)state;
	assert_string_equal(gcm_alt_provider(), "mbedTLS");
}

static void
messages_go_both_ways(void **state)
{
	uint8_t key[32], msg[333], ct[333], out[333], tag[16], tag2[16];
	mbedtls_gcm_context ctx;
	uint32_t seed = 7;
	ref_ctx *ref;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (i = 0; i < sizeof(msg); i++)
		msg[i] = (uint8_t)(i * 7);
	ref = ref_new(key, 256);
	mbedtls_gcm_init(&ctx);
	assert_int_equal(mbedtls_gcm_setkey(&ctx, MBEDTLS_CIPHER_ID_AES, key, 256), 0);
	assert_int_equal(ref_crypt_and_tag(ref, MBEDTLS_GCM_ENCRYPT, sizeof(msg), key, 12, key, 20,
			     msg, ct, 16, tag),
	    0);
	assert_int_equal(mbedtls_gcm_crypt_and_tag(&ctx, MBEDTLS_GCM_ENCRYPT, sizeof(msg), key, 12,
			     key, 20, msg, out, 16, tag2),
	    0);
	assert_memory_equal(out, ct, sizeof(ct));
	assert_memory_equal(tag2, tag, 16);
	stream(
	    &ctx, MBEDTLS_GCM_DECRYPT, sizeof(ct), key, 12, key, 20, ct, out, 16, tag2, 50, &seed);
	assert_memory_equal(out, msg, sizeof(msg));
	assert_memory_equal(tag2, tag, 16);
	tag[3] ^= 1;
	assert_int_equal(
	    mbedtls_gcm_auth_decrypt(&ctx, sizeof(ct), key, 12, key, 20, tag, 16, ct, out),
	    MBEDTLS_ERR_GCM_AUTH_FAILED);
	mbedtls_gcm_free(&ctx);
	ref_delete(ref);
}

/*
 * The client's record of RFC 8448 3 from slices of 7 bytes, and bulk in pieces that do not fit its
 * blocks.
 */
static void
tls_records_are_the_same(void **state)
{
	static const char want[] =
	    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd5"
	    "4a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
	struct tls_rec *c = rectest_new(RECTEST_AES128, false, 0, 0);
	struct tls_rec *s = rectest_new(RECTEST_AES128, true, 0, 0);
	struct bufq plain = { 0 }, in = { 0 }, got = { 0 };
	struct tls_writer out = { 0 };
	uint8_t p[100], q[100];
	struct errtext e;

	(void)state;
	for (uint8_t i = 0; i < 50; i++)
		rectest_put(&plain, &i, 1);
	assert_int_equal(tls_rec_seal(c, &plain, &out), 0);
	assert_int_equal(bufq_read(&out.q, 0, p, sizeof p), 72);
	assert_true(hash_unhex(q, 72, want));
	assert_memory_equal(p, q, 72);
	tls_writer_fini(&out);
	rectest_seal(c, 100000, 777, &plain);
	rectest_put(&in, p, 72);
	rectest_carry(&plain, 5001, &in);
	assert_int_equal(tls_rec_open(s, &in, &got, RECTEST_PLENTY, &e), 0);
	bufq_drain(&got, 50);
	rectest_pattern(&got, 100000);
	bufq_fini(&got);
	tls_rec_free(c);
	tls_rec_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(provider_is_mbedtls),
		cmocka_unit_test(messages_go_both_ways),
		cmocka_unit_test(tls_records_are_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
