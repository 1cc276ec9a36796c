/* SPDX-License-Identifier: ISC */
/*
 * lib/gcm_ipsec.c on a processor without AES-NI: libipsec-mb seems to find no such instructions,
 * and mbedTLS's own code does the work behind the same functions.
 *
 * link: -Wl,--wrap=init_mb_mgr_auto
 */
#include <string.h>

#include "lib/gcm_provider.h"
#include "test/unit/gcm_ref.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(provider_is_mbedtls),
		cmocka_unit_test(messages_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
