/* SPDX-License-Identifier: ISC */
/*
 * utf8_test - every character of Unicode is accepted, every near miss is not, and pieces are judged
 * as the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/utf8.h"

/* The obvious encoder. */
static size_t
encode(uint8_t *p, uint32_t c)
{
	if (c < 0x80) {
		p[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (uint8_t)(0xc0 | c >> 6);
		p[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (uint8_t)(0xe0 | c >> 12);
		p[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		p[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	p[0] = (uint8_t)(0xf0 | c >> 18);
	p[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	p[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	p[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

static void
every_character_is_accepted_and_no_surrogate(void **state)
{
	uint8_t p[4];

	(void)state;
	for (uint32_t c = 0; c < 0x110000 + 0x1000; c++) {
		size_t n = encode(p, c);
		bool good = (c < 0xd800 || c > 0xdfff) && c <= 0x10ffff;

		if (utf8_is_valid(p, n) != good)
			fail_msg("U+%04X", c);
		/* Cut short it is not whole. */
		if (n > 1 && utf8_is_valid(p, n - 1))
			fail_msg("U+%04X cut", c);
	}
}

static void
wrong_bytes_are_refused_at_once(void **state)
{
	static const struct {
		const char *p;
		size_t n; /* all but the last byte could still become UTF-8 */
	} cases[] = {
		{ "\x80", 1 },
		{ "\xc0", 1 },
		{ "\xc1", 1 },
		{ "\xf5", 1 },
		{ "\xff", 1 },
		{ "\xc3(", 2 },
		{ "\xe0\x9f", 2 },
		{ "\xed\xa0", 2 },
		{ "\xf0\x8f", 2 },
		{ "\xf4\x90", 2 },
		{ "\xe2\x82(", 3 },
		{ "\xf0\x9f\x98(", 4 },
		{ "abcdefgh\x80", 9 },
		{ "abcdefghijklmnop\xc3\xa9\xa9", 19 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct utf8 u = { 0 };

		assert_true(utf8_feed(&u, (const uint8_t *)cases[i].p, cases[i].n - 1));
		assert_false(utf8_feed(&u, (const uint8_t *)cases[i].p + cases[i].n - 1, 1));
	}
}

static void
pieces_are_judged_as_the_whole(void **state)
{
	const char *text =
	    "abcdefghi\xc3\xa9jklmnopqrstuv\xe2\x82\xac\xf0\x9f\x98\x80wxyz0123456789";
	size_t len = strlen(text);

	(void)state;
	assert_true(utf8_is_valid(text, len));
	assert_true(utf8_is_valid("", 0));
	for (size_t cut = 0; cut <= len; cut++) {
		struct utf8 u = { 0 };

		assert_true(utf8_feed(&u, (const uint8_t *)text, cut));
		assert_true(utf8_feed(&u, (const uint8_t *)text + cut, len - cut));
		assert_true(utf8_is_whole(&u));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_is_accepted_and_no_surrogate),
		cmocka_unit_test(wrong_bytes_are_refused_at_once),
		cmocka_unit_test(pieces_are_judged_as_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
