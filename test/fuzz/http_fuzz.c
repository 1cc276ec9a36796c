/* SPDX-License-Identifier: ISC */
/*
 * http_fuzz - heads: whole and byte by byte they are read the same, and what was accepted can be
 * built and read again.
 *
 * The first byte says whether it is a request or a response.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t
feed(struct http_head *h, const uint8_t *p, size_t n, size_t chunk)
{
	struct errtext e;
	size_t off = 0;

	while (off < n && !http_head_is_done(h)) {
		size_t k = n - off < chunk ? n - off : chunk;
		ssize_t r = http_head_feed(h, p + off, k, &e);

		if (r < 0)
			return r;
		off += (size_t)r;
	}
	return (ssize_t)off;
}

/* Everything that was understood, built anew, must be understood as the same. */
static void
rebuild(const struct http_head *h, enum http_kind kind)
{
	struct http_build b;
	struct http_head *again = http_head_new(kind);
	const char *name, *value, *name2, *value2;
	size_t i = 0;

	assert(again != NULL);
	if (kind == HTTP_HEAD_REQUEST)
		http_build_request(&b, http_method(h), http_target(h));
	else
		http_build_status(&b, http_status(h), http_reason(h));
	for (; http_header_at(h, i, &name, &value); i++)
		http_build_header(&b, name, value);
	if (http_build_end(&b) == 0 && http_minor(h) == 1) {
		assert(feed(again, (const uint8_t *)b.s, b.len, b.len) == (ssize_t)b.len);
		assert(http_head_is_done(again));
		for (i = 0; http_header_at(h, i, &name, &value); i++) {
			assert(http_header_at(again, i, &name2, &value2));
			assert(strcmp(name, name2) == 0 && strcmp(value, value2) == 0);
		}
		assert(http_body(h) == http_body(again));
	}
	http_head_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum http_kind kind;
	struct http_head *whole, *bytes;
	ssize_t a, b;

	if (size == 0)
		return 0;
	kind = data[0] & 1 ? HTTP_HEAD_RESPONSE : HTTP_HEAD_REQUEST;
	data++;
	size--;
	whole = http_head_new(kind);
	bytes = http_head_new(kind);
	assert(whole != NULL && bytes != NULL);
	a = feed(whole, data, size, size + 1);
	b = feed(bytes, data, size, 1);
	assert(a == b && http_head_is_done(whole) == http_head_is_done(bytes));
	if (http_head_is_done(whole)) {
		http_has_token(whole, "connection", "upgrade");
		rebuild(whole, kind);
	} else if (a < 0) {
		assert(http_refusal(whole) == http_refusal(bytes));
	}
	http_head_free(whole);
	http_head_free(bytes);
	return 0;
}
