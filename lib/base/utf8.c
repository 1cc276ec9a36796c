/* SPDX-License-Identifier: ISC */
/* utf8 - checking UTF-8 piece by piece. */
#include "lib/base/utf8.h"

#include <string.h>

/*
 * RFC 3629 4: what the byte that begins a character demands of those behind it.  False if none
 * begins so.
 */
static bool
begin(struct utf8 *u, uint8_t c)
{
	u->lo = 0x80;
	u->hi = 0xbf;
	if (c < 0x80)
		return true;
	if (c >= 0xc2 && c <= 0xdf) {
		u->more = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		u->more = 2;
		if (c == 0xe0)
			u->lo = 0xa0; /* overlong below */
		if (c == 0xed)
			u->hi = 0x9f; /* surrogates above */
	} else if (c >= 0xf0 && c <= 0xf4) {
		u->more = 3;
		if (c == 0xf0)
			u->lo = 0x90; /* overlong below */
		if (c == 0xf4)
			u->hi = 0x8f; /* beyond U+10FFFF above */
	} else {
		return false;
	}
	return true;
}

bool
utf8_feed(struct utf8 *u, const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		/* Eight ASCII characters at a time. */
		while (u->more == 0 && n - i >= 8) {
			uint64_t w;

			memcpy(&w, p + i, sizeof w);
			if (w & 0x8080808080808080u)
				break;
			i += 8;
		}
		if (i == n)
			break;
		if (u->more > 0) {
			if (p[i] < u->lo || p[i] > u->hi)
				return false;
			u->more--;
			u->lo = 0x80;
			u->hi = 0xbf;
		} else if (!begin(u, p[i])) {
			return false;
		}
		i++;
	}
	return true;
}

bool
utf8_is_whole(const struct utf8 *u)
{
	return u->more == 0;
}

bool
utf8_is_valid(const void *p, size_t n)
{
	struct utf8 u = { 0 };

	return utf8_feed(&u, p, n) && utf8_is_whole(&u);
}
