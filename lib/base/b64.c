/* SPDX-License-Identifier: ISC */
/*
 * b64 - base64 and base64url (RFC 4648), decoded strictly.
 */
#include "lib/base/b64.h"

#include <stdbool.h>

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
