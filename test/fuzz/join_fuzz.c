/* SPDX-License-Identifier: ISC */
/*
 * join_fuzz - join strings: what is accepted is the one string of its parts.
 *
 * The first byte says whether the rest is the string, or what it holds, with a sum that is right.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/base/hash.h"
#include "proto/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SUM_AT = KEYS_POINT_LEN + KEYS_SCALAR_LEN, SUM_LEN = 4, RAW_MAX = 4096 };

static void
check(const char *text, size_t n)
{
	struct secret *again = NULL;
	struct errtext e = { "" };
	struct join j;

	if (join_parse(text, n, &j, &e) == 0) {
		assert(join_make(j.url, j.relay, j.key, &again, &e) == 0);
		assert(secret_len(again) == n && memcmp(secret_bytes(again), text, n) == 0);
		secret_free(again);
	} else {
		assert(*e.s != '\0');
	}
	join_fini(&j);
}

static void
check_parts(const uint8_t *data, size_t size)
{
	char text[sizeof JOIN_PREFIX + B64_ENC_LEN(RAW_MAX)] = JOIN_PREFIX;
	uint8_t raw[RAW_MAX], digest[HASH_SHA256_LEN];
	size_t prefix = strlen(JOIN_PREFIX);
	ssize_t n;

	if (size < SUM_AT + SUM_LEN || size > RAW_MAX)
		return;
	memcpy(raw, data, size);
	memset(raw + SUM_AT, 0, SUM_LEN);
	assert(hash_sha256(raw, size, digest) == 0);
	memcpy(raw + SUM_AT, digest, SUM_LEN);
	n = b64_encode(text + prefix, sizeof text - prefix, raw, size, B64_URL);
	assert(n > 0);
	check(text, prefix + (size_t)n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		check_parts(data + 1, size - 1);
	else
		check((const char *)data + 1, size - 1);
	return 0;
}
