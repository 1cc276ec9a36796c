/* SPDX-License-Identifier: ISC */
/* keys_fuzz - texts of keys, private and public: what is accepted is the one text of that key. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/tls/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_public(const char *text, size_t n)
{
	char again[KEYS_PUB_TEXT_LEN + 1];
	uint8_t point[KEYS_POINT_LEN];
	struct errtext e = { "" };

	if (keys_point(text, n, point, &e) != 0) {
		assert(*e.s != '\0');
		return;
	}
	keys_point_text(point, again);
	assert(n == KEYS_PUB_TEXT_LEN && memcmp(again, text, n) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t np = strlen(KEYS_PRIV_PREFIX);
	char pub[KEYS_PUB_TEXT_LEN + 1], text[KEYS_PRIV_TEXT_LEN + 1] = KEYS_PRIV_PREFIX;
	uint8_t scalar[KEYS_SCALAR_LEN];
	struct errtext e = { "" };
	struct secret *s = secret_new(data, size);

	check_public((const char *)data, size);
	if (s == NULL) /* larger than a secret may be */
		return 0;
	if (keys_public(s, pub, &e) == 0) {
		assert(size == KEYS_PRIV_TEXT_LEN && strlen(pub) == KEYS_PUB_TEXT_LEN);
		assert(b64_decode(scalar, sizeof(scalar), (const char *)data + np, size - np,
			   B64_URL) == KEYS_SCALAR_LEN);
		assert(
		    b64_encode(text + np, sizeof(text) - np, scalar, sizeof(scalar), B64_URL) > 0);
		assert(memcmp(text, data, size) == 0);
	} else {
		assert(*e.s != '\0');
	}
	secret_free(s);
	return 0;
}
