/* SPDX-License-Identifier: ISC */
/* hash_test - the vectors of FIPS 180-4, RFC 4231 and RFC 6455. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/b64.h"
#include "lib/base/hash.h"

static void
sha256_of_known_texts(void **state)
{
	static const struct {
		const char *text, *hex;
	} t[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	uint8_t d[HASH_SHA256_LEN];
	char hex[HASH_HEX_LEN(HASH_SHA256_LEN) + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(hash_sha256(t[i].text, strlen(t[i].text), d), 0);
		hash_hex(hex, d, sizeof(d));
		assert_string_equal(hex, t[i].hex);
	}
}

static void
sha1_makes_the_websocket_accept_value(void **state)
{
	static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t d[HASH_SHA1_LEN];
	char text[64];

	(void)state;
	assert_int_equal(hash_sha1(key, strlen(key), d), 0);
	assert_true(b64_encode(text, sizeof(text), d, sizeof(d), B64_STD) > 0);
	assert_string_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* RFC 6455 1.3 */
}

/* RFC 4231 4.2, 4.3 */
static void
a_keyed_digest_depends_on_the_key(void **state)
{
	static const struct {
		const char *key;
		size_t key_len;
		const char *data, *hex;
	} v[] = {
		{ "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
		  "\x0b",
		    20, "Hi There",
		    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ "Jefe", 4, "what do ya want for nothing?",
		    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	};
	char hex[HASH_HEX_LEN(HASH_SHA256_LEN) + 1];
	uint8_t out[HASH_SHA256_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		assert_int_equal(
		    hash_hmac_sha256(v[i].key, v[i].key_len, v[i].data, strlen(v[i].data), out), 0);
		hash_hex(hex, out, sizeof out);
		assert_string_equal(hex, v[i].hex);
	}
}

static void
hexadecimal_is_read_strictly(void **state)
{
	uint8_t b[3];

	(void)state;
	assert_true(hash_unhex(b, 3, "00fFaB"));
	assert_memory_equal(b, "\x00\xff\xab", 3);
	assert_false(hash_unhex(b, 3, "00ffa"));
	assert_false(hash_unhex(b, 3, "00ffab0"));
	assert_false(hash_unhex(b, 3, "00ffag"));
	assert_false(hash_unhex(b, 3, ""));
	assert_true(hash_unhex(b, 0, ""));
}

static void
equality_is_of_all_bytes(void **state)
{
	(void)state;
	assert_true(hash_equal("abc", "abc", 3));
	assert_true(hash_equal("a", "b", 0));
	assert_false(hash_equal("abc", "abd", 3));
	assert_false(hash_equal("abc", "bbc", 3));
	assert_non_null(strstr(hash_version(), " 3."));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_of_known_texts),
		cmocka_unit_test(sha1_makes_the_websocket_accept_value),
		cmocka_unit_test(a_keyed_digest_depends_on_the_key),
		cmocka_unit_test(hexadecimal_is_read_strictly),
		cmocka_unit_test(equality_is_of_all_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
