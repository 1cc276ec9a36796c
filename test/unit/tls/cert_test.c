/* SPDX-License-Identifier: ISC */
/* cert_test - a certificate that parses, verifies for its names and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include <cmocka.h>

#include "lib/base/b64.h"
#include "lib/tls/cert.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"

static void
verify(mbedtls_x509_crt *crt, const char *name, uint32_t expected)
{
	uint32_t flags = 0;

	mbedtls_x509_crt_verify(crt, crt, NULL, name, &flags, NULL, NULL);
	assert_int_equal(flags, expected);
}

static void
it_verifies_for_its_names_and_addresses_only(void **state)
{
	static const char *const hosts[] = { "relay.example.com", "*.t.example.com", "127.0.0.1",
		"::1" };
	mbedtls_x509_crt crt;
	struct cert c;
	struct errtext e;

	(void)state;
	assert_int_equal(cert_self_signed(hosts, 4, 825, &c, &e), 0);
	mbedtls_x509_crt_init(&crt);
	assert_int_equal(
	    mbedtls_x509_crt_parse(&crt, (const unsigned char *)c.pem, strlen(c.pem) + 1), 0);
	verify(&crt, "relay.example.com", 0);
	verify(&crt, "a.t.example.com", 0);
	verify(&crt, "127.0.0.1", 0);
	verify(&crt, "::1", 0);
	verify(&crt, "t.example.com", MBEDTLS_X509_BADCERT_CN_MISMATCH);
	verify(&crt, "127.0.0.2", MBEDTLS_X509_BADCERT_CN_MISMATCH);
	verify(&crt, "other.example.com", MBEDTLS_X509_BADCERT_CN_MISMATCH);
	assert_int_equal(mbedtls_x509_crt_get_ca_istrue(&crt), 0);
	mbedtls_x509_crt_free(&crt);
	cert_fini(&c);
}

static void
the_key_and_the_pin_belong_to_it(void **state)
{
	static const char *const hosts[] = { "localhost" };
	unsigned char der[256];
	uint8_t digest[HASH_SHA256_LEN];
	char pin[64] = "sha256//";
	mbedtls_pk_context key;
	struct cert c;
	int n;

	(void)state;
	assert_int_equal(cert_self_signed(hosts, 1, 1, &c, NULL), 0);
	mbedtls_pk_init(&key);
	assert_int_equal(mbedtls_pk_parse_key(&key, (const unsigned char *)secret_bytes(c.key_pem),
			     secret_len(c.key_pem) + 1, NULL, 0, NULL, NULL),
	    0);
	n = mbedtls_pk_write_pubkey_der(&key, der, sizeof(der));
	assert_true(n > 0);
	assert_int_equal(hash_sha256(der + sizeof(der) - n, (size_t)n, digest), 0);
	assert_int_equal(b64_encode(pin + 8, sizeof(pin) - 8, digest, sizeof(digest), B64_STD), 44);
	assert_string_equal(c.pin, pin);
	mbedtls_pk_free(&key);
	cert_fini(&c);
}

static void
long_names_do_not_fit_the_subject_and_still_do(void **state)
{
	char name[200];
	const char *hosts[] = { name };
	mbedtls_x509_crt crt;
	struct cert c;

	(void)state;
	memset(name, 'a', sizeof(name));
	name[60] = name[120] = name[180] = '.';
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(cert_self_signed(hosts, 1, 1, &c, NULL), 0);
	mbedtls_x509_crt_init(&crt);
	assert_int_equal(
	    mbedtls_x509_crt_parse(&crt, (const unsigned char *)c.pem, strlen(c.pem) + 1), 0);
	verify(&crt, name, 0);
	mbedtls_x509_crt_free(&crt);
	cert_fini(&c);
}

static void
what_is_no_host_is_refused_by_name(void **state)
{
	static const char *const bad[] = { "", "a b", "https://x", "*.127.0.0.1", "*",
		"fe80::1%eth0", "x,O=y" };
	struct cert c;
	struct errtext e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cert_self_signed(&bad[i], 1, 1, &c, &e), ERR_INVALID);
		assert_null(c.pem);
		assert_null(c.key_pem);
	}
	assert_int_equal(cert_self_signed(bad, 0, 1, &c, &e), ERR_LIMIT);
	assert_int_equal(cert_self_signed(bad, CERT_HOSTS_MAX + 1, 1, &c, &e), ERR_LIMIT);
}

static void
want_of_memory_is_an_error(void **state)
{
	static const char *const hosts[] = { "localhost" };
	struct cert c;
	long i;

	(void)state;
	for (i = 0; i < 3; i++) {
		mem_fail_after(i);
		assert_int_equal(cert_self_signed(hosts, 1, 1, &c, NULL), ERR_NOMEM);
		assert_null(c.pem);
	}
	mem_fail_after(MEM_NO_FAIL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_verifies_for_its_names_and_addresses_only),
		cmocka_unit_test(the_key_and_the_pin_belong_to_it),
		cmocka_unit_test(long_names_do_not_fit_the_subject_and_still_do),
		cmocka_unit_test(what_is_no_host_is_refused_by_name),
		cmocka_unit_test(want_of_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
