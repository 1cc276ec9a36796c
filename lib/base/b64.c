/* SPDX-License-Identifier: ISC */
/*
 * b64 - base64 and base64url (RFC 4648), decoded strictly.
 */
#include "lib/base/b64.h"

#include <string.h>

static const char alphabet[2][65] = {
	[B64_STD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	[B64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

ssize_t
b64_encode(char *out, size_t outsz, const void *p, size_t n, enum b64_form form)
{
	const char *abc = alphabet[form];
	const uint8_t *in = p;
	size_t need = n / 3 * 4, o = 0, i;

	if (n % 3 != 0)
		need += form == B64_STD ? 4 : n % 3 + 1;
	if (n > SIZE_MAX / 2 || need >= outsz)
		return ERR_LIMIT;
	for (i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16;
		size_t have = n - i < 3 ? n - i : 3;

		if (have > 1)
			v |= (uint32_t)in[i + 1] << 8;
		if (have > 2)
			v |= in[i + 2];
		out[o++] = abc[v >> 18];
		out[o++] = abc[v >> 12 & 63];
		if (have > 1)
			out[o++] = abc[v >> 6 & 63];
		else if (form == B64_STD)
			out[o++] = '=';
		if (have > 2)
			out[o++] = abc[v & 63];
		else if (form == B64_STD)
			out[o++] = '=';
	}
	out[o] = '\0';
	return (ssize_t)o;
}

/* Value of one character, or -1; by comparisons alone, as a table would be indexed by a secret. */
static int
value(char c, enum b64_form form)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (form == B64_STD ? '+' : '-'))
		return 62;
	if (c == (form == B64_STD ? '/' : '_'))
		return 63;
	return -1;
}

ssize_t
b64_decode(void *out, size_t outsz, const char *s, size_t n, enum b64_form form)
{
	uint8_t *to = out;
	size_t o = 0, i, need;
	uint32_t acc = 0;
	unsigned bits = 0;
	int v;

	if (form == B64_STD) {
		if (n % 4 != 0)
			return ERR_INVALID; /* RFC 4648 3.2: padding must be there */
		if (n > 0 && s[n - 1] == '=')
			n -= s[n - 2] == '=' ? 2 : 1;
	}
	if (n % 4 == 1)
		return ERR_INVALID; /* six bits make no byte */
	need = n / 4 * 3 + (n % 4 > 0 ? n % 4 - 1 : 0);
	if (need > outsz)
		return ERR_LIMIT;
	for (i = 0; i < n; i++) {
		if ((v = value(s[i], form)) < 0)
			return ERR_INVALID;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			to[o++] = (uint8_t)(acc >> bits);
			acc &= (1u << bits) - 1;
		}
	}
	/* RFC 4648 3.5: the bits that are left over must be zero. */
	return acc == 0 ? (ssize_t)o : ERR_INVALID;
}

/* ---- in bulk ---- */

enum {
	/* Bytes of a group, and its characters. */
	GROUP = 3,
	GROUP_TEXT = 4,
	/* Beyond the 24 bits that a group has. */
	FOREIGN = 1 << 24
};

/* The two characters of 12 bits. */
static char two_of[4096][2];
/* What a character adds to its group, by its place there; FOREIGN: it has no value. */
static uint32_t bits_of[GROUP_TEXT][256];

/* Before main(), so before any thread. */
__attribute__((constructor)) static void
make_tables(void)
{
	const char *abc = alphabet[B64_STD];

	for (int i = 0; i < 4096; i++) {
		two_of[i][0] = abc[i >> 6];
		two_of[i][1] = abc[i & 63];
	}
	for (int k = 0; k < GROUP_TEXT; k++) {
		for (int c = 0; c < 256; c++)
			bits_of[k][c] = FOREIGN;
		for (uint32_t v = 0; v < 64; v++)
			bits_of[k][(uint8_t)abc[v]] = v << 6 * (GROUP_TEXT - 1 - k);
	}
}

static uint32_t
group_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static void
put_group(uint8_t *out, uint32_t v)
{
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
}

void
b64_encode_groups(char *out, const uint8_t *p, size_t n)
{
	for (; n >= GROUP; p += GROUP, out += GROUP_TEXT, n -= GROUP) {
		uint32_t v = group_at(p);

		memcpy(out, two_of[v >> 12], 2);
		memcpy(out + 2, two_of[v & 4095], 2);
	}
}

bool
b64_decode_groups(uint8_t *out, const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t seen = 0;

	for (; n >= GROUP_TEXT; p += GROUP_TEXT, out += GROUP, n -= GROUP_TEXT) {
		uint32_t v =
		    bits_of[0][p[0]] | bits_of[1][p[1]] | bits_of[2][p[2]] | bits_of[3][p[3]];

		seen |= v;
		put_group(out, v);
	}
	return seen < FOREIGN;
}
