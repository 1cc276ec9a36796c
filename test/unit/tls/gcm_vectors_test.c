/* SPDX-License-Identifier: ISC */
/*
 * AES-GCM against NIST's vectors (CAVP, gcmtestvectors.zip): test/vectors/gcm/ holds a part of
 * them, in NIST's format. The complete files pass as well: give their folder as the argument.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "test/unit/gcm_ref.h"

enum { FIELD_MAX = 512 };

struct field {
	uint8_t b[FIELD_MAX];
	size_t len;
};

struct vector {
	struct field key, iv, pt, ct, aad, tag;
	bool refused;
	bool filled;
};

static const char *dir = "test/vectors/gcm";

static void
field_parse(struct field *f, const char *hex)
{
	unsigned int v;

	for (f->len = 0; sscanf(hex + 2 * f->len, "%2x", &v) == 1; f->len++) {
		assert_true(f->len < FIELD_MAX);
		f->b[f->len] = (uint8_t)v;
	}
}

static void
check_encrypt(mbedtls_gcm_context *ctx, ref_ctx *ref, const struct vector *v)
{
	uint8_t out[FIELD_MAX], tag[16];
	uint32_t seed = 1;
	size_t n;

	assert_int_equal(mbedtls_gcm_crypt_and_tag(ctx, MBEDTLS_GCM_ENCRYPT, v->pt.len, v->iv.b,
			     v->iv.len, v->aad.b, v->aad.len, v->pt.b, out, v->tag.len, tag),
	    0);
	assert_memory_equal(out, v->ct.b, v->ct.len);
	assert_memory_equal(tag, v->tag.b, v->tag.len);
	for (n = 1; n <= 33; n += 8) {
		memset(out, 0, sizeof(out));
		stream(ctx, MBEDTLS_GCM_ENCRYPT, v->pt.len, v->iv.b, v->iv.len, v->aad.b,
		    v->aad.len, v->pt.b, out, v->tag.len, tag, n, &seed);
		assert_memory_equal(out, v->ct.b, v->ct.len);
		assert_memory_equal(tag, v->tag.b, v->tag.len);
	}
	assert_int_equal(ref_crypt_and_tag(ref, MBEDTLS_GCM_ENCRYPT, v->pt.len, v->iv.b, v->iv.len,
			     v->aad.b, v->aad.len, v->pt.b, out, v->tag.len, tag),
	    0);
	assert_memory_equal(out, v->ct.b, v->ct.len);
	assert_memory_equal(tag, v->tag.b, v->tag.len);
}

static void
check_decrypt(mbedtls_gcm_context *ctx, ref_ctx *ref, const struct vector *v)
{
	static const uint8_t zero[FIELD_MAX];
	const int want = v->refused ? MBEDTLS_ERR_GCM_AUTH_FAILED : 0;
	const uint8_t *plain = v->refused ? zero : v->pt.b;
	uint8_t out[FIELD_MAX], tag[16];
	uint32_t seed = 1;

	memset(out, 0xff, sizeof(out));
	assert_int_equal(mbedtls_gcm_auth_decrypt(ctx, v->ct.len, v->iv.b, v->iv.len, v->aad.b,
			     v->aad.len, v->tag.b, v->tag.len, v->ct.b, out),
	    want);
	assert_memory_equal(out, plain, v->ct.len);
	assert_int_equal(ref_auth_decrypt(ref, v->ct.len, v->iv.b, v->iv.len, v->aad.b, v->aad.len,
			     v->tag.b, v->tag.len, v->ct.b, out),
	    want);
	assert_memory_equal(out, plain, v->ct.len);
	stream(ctx, MBEDTLS_GCM_DECRYPT, v->ct.len, v->iv.b, v->iv.len, v->aad.b, v->aad.len,
	    v->ct.b, out, v->tag.len, tag, 7, &seed);
	assert_int_equal(memcmp(tag, v->tag.b, v->tag.len) != 0, v->refused);
}

static void
check(const struct vector *v, bool decrypt)
{
	mbedtls_gcm_context ctx;
	ref_ctx *ref = ref_new(v->key.b, (unsigned int)v->key.len * 8);

	mbedtls_gcm_init(&ctx);
	assert_int_equal(
	    mbedtls_gcm_setkey(&ctx, MBEDTLS_CIPHER_ID_AES, v->key.b, (unsigned int)v->key.len * 8),
	    0);
	if (decrypt)
		check_decrypt(&ctx, ref, v);
	else
		check_encrypt(&ctx, ref, v);
	mbedtls_gcm_free(&ctx);
	ref_delete(ref);
}

/* One line of a file; "Count" begins the next message. */
static void
take_line(struct vector *v, const char *line)
{
	const struct {
		const char *name;
		struct field *f;
	} fields[] = { { "Key = ", &v->key }, { "IV = ", &v->iv }, { "PT = ", &v->pt },
		{ "CT = ", &v->ct }, { "AAD = ", &v->aad }, { "Tag = ", &v->tag } };
	size_t i;

	if (strncmp(line, "FAIL", 4) == 0)
		v->refused = true;
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strncmp(line, fields[i].name, strlen(fields[i].name)) == 0) {
			field_parse(fields[i].f, line + strlen(fields[i].name));
			v->filled = true;
		}
}

static void
run_file(const char *name, bool decrypt)
{
	char path[512], line[2048];
	struct vector v = { .filled = false };
	unsigned int n = 0;
	bool more;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	do {
		more = fgets(line, sizeof(line), f) != NULL;
		if ((!more || strncmp(line, "Count", 5) == 0) && v.filled) {
			check(&v, decrypt);
			n++;
			memset(&v, 0, sizeof(v));
		}
		if (more)
			take_line(&v, line);
	} while (more);
	fclose(f);
	print_message("%s: %u messages\n", name, n);
	assert_true(n >= 87);
}

static void
nist_encrypt(void **state)
{
	(void)state;
	run_file("gcmEncryptExtIV128.rsp", false);
	run_file("gcmEncryptExtIV192.rsp", false);
	run_file("gcmEncryptExtIV256.rsp", false);
}

static void
nist_decrypt(void **state)
{
	(void)state;
	run_file("gcmDecrypt128.rsp", true);
	run_file("gcmDecrypt192.rsp", true);
	run_file("gcmDecrypt256.rsp", true);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nist_encrypt),
		cmocka_unit_test(nist_decrypt),
	};

	if (argc > 1)
		dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
