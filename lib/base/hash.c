/* SPDX-License-Identifier: ISC */
/*
 * hash - digests from mbedTLS, and comparison in constant time.
 */
#include "lib/base/hash.h"

#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>
#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#include "lib/base/hex.h"

int
hash_sha256(const void *p, size_t n, uint8_t out[HASH_SHA256_LEN])
{
	return mbedtls_sha256(p, n, out, 0) == 0 ? 0 : ERR_NOMEM;
}

int
hash_sha1(const void *p, size_t n, uint8_t out[HASH_SHA1_LEN])
{
	return mbedtls_sha1(p, n, out) == 0 ? 0 : ERR_NOMEM;
}

int
hash_hmac_sha256(
    const void *key, size_t key_len, const void *p, size_t n, uint8_t out[HASH_SHA256_LEN])
{
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

	return mbedtls_md_hmac(md, key, key_len, p, n, out) == 0 ? 0 : ERR_NOMEM;
}

void
hash_hex(char *out, const void *p, size_t n)
{
	const uint8_t *in = p;
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = hex_digits[in[i] >> 4];
		out[2 * i + 1] = hex_digits[in[i] & 15];
	}
	out[2 * n] = '\0';
}

bool
hash_unhex(void *out, size_t n, const char *s)
{
	uint8_t *to = out;
	size_t i;
	int hi, lo;

	for (i = 0; i < n; i++) {
		if ((hi = hex_value(s[2 * i])) < 0 || (lo = hex_value(s[2 * i + 1])) < 0)
			return false;
		to[i] = (uint8_t)(hi << 4 | lo);
	}
	return s[2 * n] == '\0';
}

bool
hash_equal(const void *a, const void *b, size_t n)
{
	return mbedtls_ct_memcmp(a, b, n) == 0;
}

const char *
hash_version(void)
{
	static char text[18 + 1]; /* what mbedtls_version_get_string_full() asks for */

	mbedtls_version_get_string_full(text);
	return text;
}
