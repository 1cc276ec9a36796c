/* SPDX-License-Identifier: ISC */
/* keys_fuzz - texts of keys: what is accepted is the one text of that key. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/tls/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same_text(const char *prefix, const uint8_t *raw, size_t n, const uint8_t *data, size_t size)
{
	char text[128];
	size_t np = strlen(prefix);

	memcpy(text, prefix, np);
	assert(b64_encode(text + np, sizeof(text) - np, raw, n, B64_URL) > 0);
	assert(strlen(text) == size && memcmp(text, data, size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t scalar[KEYS_SCALAR_LEN], point[KEYS_POINT_LEN];
	char pub[KEYS_PUB_TEXT_LEN + 1];
	struct errtext e = { "" };
	struct secret *s;

	if (keys_parse_priv((const char *)data, size, scalar, &e) == 0) {
		same_text(KEYS_PRIV_PREFIX, scalar, sizeof(scalar), data, size);
		s = secret_new(data, size);
		assert(s != NULL && keys_public(s, pub, &e) == 0);
		assert(keys_parse_pub(pub, strlen(pub), point, &e) == 0);
		secret_free(s);
	} else {
		assert(*e.s != '\0');
	}
	errtext_clear(&e);
	if (keys_parse_pub((const char *)data, size, point, &e) == 0)
		same_text(KEYS_PUB_PREFIX, point, sizeof(point), data, size);
	else
		assert(*e.s != '\0');
	return 0;
}
