/* SPDX-License-Identifier: ISC */
/* b64_fuzz - each byte string has one text: what is decoded is encoded to the very same input. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/b64.h"
#include "lib/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_form(const uint8_t *data, size_t size, enum b64_form form)
{
	size_t room = B64_DEC_LEN(size), text_room = B64_ENC_LEN(size) + 1;
	uint8_t *bytes = mem_alloc(room > size ? room : size);
	char *text = mem_alloc(text_room + 4);
	ssize_t n, len;

	assert(bytes != NULL && text != NULL);
	if ((n = b64_decode(bytes, room, (const char *)data, size, form)) >= 0) {
		len = b64_encode(text, text_room + 4, bytes, (size_t)n, form);
		assert(len == (ssize_t)size && memcmp(text, data, size) == 0);
	} else {
		assert(n == ERR_INVALID); /* B64_DEC_LEN is always room enough */
	}
	len = b64_encode(text, text_room, data, size, form);
	assert(len >= 0 && text[len] == '\0');
	assert(b64_decode(bytes, size, text, (size_t)len, form) == (ssize_t)size);
	assert(memcmp(bytes, data, size) == 0);
	mem_free(bytes);
	mem_free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_form(data, size, B64_STD);
	try_form(data, size, B64_URL);
	return 0;
}
