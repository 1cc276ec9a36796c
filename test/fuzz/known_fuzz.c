/* SPDX-License-Identifier: ISC */
/* known_fuzz - files of known agents: what is accepted has a key for each name that it knows. */
#include <assert.h>
#include <stdint.h>

#include "cmd/connect/known.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct known *k = NULL;
	struct errtext e;

	if (known_parse((const char *)data, size, &k, &e) != 0) {
		assert(k == NULL);
		return 0;
	}
	assert(known_keys(k, "pi") == NULL || known_keys(k, "pi")->n > 0);
	assert(known_keys(k, "") == NULL);
	known_free(k);
	return 0;
}
