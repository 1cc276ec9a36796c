/* SPDX-License-Identifier: ISC */
/*
 * proxy_hdr_fuzz - PROXY headers: the input is what a proxy sends first, and what follows.
 *
 * However the bytes come, the answer is the same: nothing before the byte that decides, and after
 * it no other.  What is read reads the same when it is built again.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/proxy_hdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Prefixes up to here get a copy of their own; both lengths are known before. */
enum { COPIED_MAX = 300, MORE = 8 };

/* Bytes that end where their memory does, so that a sanitizer sees a read past them. */
static int
parse(const uint8_t *p, size_t n, struct proxy_hdr *out)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	struct errtext why;
	int r;

	assert(copy != NULL);
	if (n > 0)
		memcpy(copy, p, n);
	errtext_clear(&why);
	r = proxy_hdr_parse(copy, n, out, &why);
	assert((r == ERR_PROTO) == (why.s[0] != '\0'));
	assert(r == ERR_PROTO || r >= 0);
	free(copy);
	return r;
}

/* Each prefix says 0 up to some byte and r from there on; what is accepted ends with that byte. */
static void
check_prefixes(const uint8_t *data, size_t size, int r)
{
	struct proxy_hdr h;
	int last = 0;

	for (size_t n = 0; n < size; n++) {
		int now = n < COPIED_MAX ? parse(data, n, &h) : proxy_hdr_parse(data, n, &h, NULL);

		assert(now == 0 || now == r);
		assert(now == last || last == 0);
		assert(r <= 0 || (now != 0) == (n >= (size_t)r));
		last = now;
	}
}

/* What follows changes nothing of an answer that is given. */
static void
check_more(const uint8_t *data, size_t size, int r)
{
	static const uint8_t fills[] = { 0, '\n', '0', 0xff };
	uint8_t *p = malloc(size + MORE);
	struct proxy_hdr h;

	assert(p != NULL);
	memcpy(p, data, size);
	for (size_t i = 0; i < sizeof fills; i++) {
		memset(p + size, fills[i], MORE);
		assert(parse(p, size + MORE, &h) == r);
		if (r > 0) {
			memset(p + r, fills[i], size - (size_t)r);
			assert(parse(p, size, &h) == r);
		}
	}
	free(p);
}

static bool
is_same(const struct addr *a, const struct addr *b)
{
	char text[2][ADDR_TEXT];

	return strcmp(addr_text(a, text[0]), addr_text(b, text[1])) == 0;
}

static bool
is_ipv4(const struct addr *a)
{
	char text[ADDR_TEXT];

	return strchr(addr_host(a, text), ':') == NULL;
}

static void
check_built(const uint8_t *p, size_t n, const struct proxy_hdr *h)
{
	/* An IPv4-mapped address is built as IPv4, and has no IPv6 address beside it then. */
	bool one_family = !h->local && is_ipv4(&h->from) == is_ipv4(&h->to);
	struct proxy_hdr again;

	assert(n <= PROXY_HDR_MAX && parse(p, n, &again) == (int)n);
	assert(again.local == !one_family);
	if (one_family)
		assert(is_same(&again.from, &h->from) && is_same(&again.to, &h->to));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_hdr h;
	uint8_t out[PROXY_HDR_MAX];
	int r = parse(data, size, &h);

	check_prefixes(data, size, r);
	if (r == 0)
		return 0;
	check_more(data, size, r);
	if (r < 0)
		return 0;
	assert((size_t)r <= size && r <= PROXY_HDR_MAX_V2);
	assert(data[0] == '\r' || r <= PROXY_HDR_MAX_V1);
	assert(h.local == (h.from.u.sa.sa_family == AF_UNSPEC));
	assert(h.from.u.sa.sa_family == h.to.u.sa.sa_family && h.from.len == h.to.len);
	check_built(out, proxy_hdr_build(out, 1, &h.from, &h.to), &h);
	check_built(out, proxy_hdr_build(out, 2, &h.from, &h.to), &h);
	return 0;
}
