/* SPDX-License-Identifier: ISC */
/*
 * utf8 - is this UTF-8 (RFC 3629)?  Told piece by piece, as the text arrives.
 *
 * Refused as soon as it is seen: overlong forms, surrogates, anything above U+10FFFF, stray
 * continuation bytes.
 */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where in a character the text stopped.  Zero is the start.  Members are private. */
struct utf8 {
	/* continuation bytes still to come */
	uint8_t more;
	/* what the next of them may be */
	uint8_t lo, hi;
};

/* utf8_feed - check n more bytes; false: this is no UTF-8, whatever follows. */
bool utf8_feed(struct utf8 *u, const uint8_t *p, size_t n);

/* utf8_is_whole - does the text end between two characters? */
bool utf8_is_whole(const struct utf8 *u);

/* utf8_is_valid - the same for a whole text at once. */
bool utf8_is_valid(const void *p, size_t n);

#endif
