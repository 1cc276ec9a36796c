/* SPDX-License-Identifier: ISC */
/*
 * hello_fuzz - ClientHellos: the input is what a client sends first, and what follows.
 *
 * However the bytes come, the answer is the same: more is wanted before the byte that decides, and
 * after it the answer stays, whatever follows.  The same message in records of other sizes asks for
 * the same name.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD_HEADER = 5, MORE = 8, PREFIXES_MAX = 256 };

/* Bytes that end where their memory does, so that a sanitizer sees a read past them. */
static enum hello
look(const uint8_t *p, size_t n, char name[HELLO_NAME_MAX + 1])
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	enum hello r;

	assert(copy != NULL);
	if (n > 0)
		memcpy(copy, p, n);
	r = hello_name(copy, n, name);
	assert((r == HELLO_NAME) == (name[0] != '\0'));
	free(copy);
	return r;
}

/* Where the answer is given: the shortest prefix that says other than more. */
static size_t
check_prefixes(const uint8_t *data, size_t size, enum hello r, const char *name)
{
	size_t step = 1 + size / PREFIXES_MAX, decided = size;
	char now[HELLO_NAME_MAX + 1];
	bool over = false;

	for (size_t n = 0; n < size; n += step) {
		enum hello got = look(data, n, now);

		assert(got == HELLO_MORE ? !over : got == r && strcmp(now, name) == 0);
		if (got != HELLO_MORE && !over)
			decided = n;
		over = got != HELLO_MORE;
	}
	return decided;
}

static void
check_more(const uint8_t *data, size_t n, enum hello r, const char *name)
{
	uint8_t *p = malloc(n + MORE);
	char now[HELLO_NAME_MAX + 1];

	assert(p != NULL);
	memcpy(p, data, n);
	for (int fill = 0; fill < 2; fill++) {
		memset(p + n, fill ? 0xff : 0, MORE);
		assert(look(p, n + MORE, now) == r && strcmp(now, name) == 0);
	}
	free(p);
}

/* Each record's body as two records. */
static size_t
split(const uint8_t *data, size_t size, uint8_t *out)
{
	size_t at = 0, n;

	for (size_t off = 0; off + RECORD_HEADER < size; off += RECORD_HEADER + n) {
		const uint8_t *head = data + off;
		size_t first;

		n = (size_t)head[3] << 8 | head[4];
		if (n < 2 || off + RECORD_HEADER + n > size)
			return 0;
		first = 1 + n % (n - 1);
		for (int i = 0; i < 2; i++) {
			size_t from = i == 0 ? 0 : first, len = i == 0 ? first : n - first;

			memcpy(out + at, head, 3);
			out[at + 3] = (uint8_t)(len >> 8);
			out[at + 4] = (uint8_t)len;
			memcpy(out + at + RECORD_HEADER, head + RECORD_HEADER + from, len);
			at += RECORD_HEADER + len;
		}
	}
	return at;
}

static void
check_split(const uint8_t *data, size_t size, enum hello r, const char *name)
{
	uint8_t *out = malloc(2 * size + 2 * RECORD_HEADER);
	char now[HELLO_NAME_MAX + 1];
	size_t n;

	assert(out != NULL);
	n = split(data, size, out);
	if (n > 0 && n < HELLO_MAX)
		assert(look(out, n, now) == r && strcmp(now, name) == 0);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[HELLO_NAME_MAX + 1];
	enum hello r = look(data, size, name);
	size_t decided = check_prefixes(data, size, r, name);

	assert(r != HELLO_MORE || size < HELLO_MAX);
	if (r == HELLO_MORE)
		return 0;
	check_more(data, size, r, name);
	if (r == HELLO_NAME || r == HELLO_NO_NAME)
		check_split(data, decided, r, name);
	return 0;
}
