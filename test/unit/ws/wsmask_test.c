/* SPDX-License-Identifier: ISC */
/*
 * wsmask_test - the fast ways of masking do what the plain one does, at every length, alignment and
 * phase.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ws/wsmask.h"

enum {
	LEN_MAX = 300, /* beyond twice the widest step */
	ALIGN_MAX = 33,
	ROOM = LEN_MAX + 2 * ALIGN_MAX
};

static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };

typedef void mask_fn(
    uint8_t *dst, const uint8_t *src, size_t n, const uint8_t k[4], unsigned phase);

static void
compare(mask_fn *fn, size_t from, size_t to, size_t n, unsigned phase)
{
	uint8_t src[ROOM], want[ROOM], got[ROOM];

	for (size_t i = 0; i < ROOM; i++)
		src[i] = (uint8_t)(i * 151 + 13);
	memset(want, 0xee, sizeof want);
	memset(got, 0xee, sizeof got);
	wsmask_plain(want + to, src + from, n, key, phase);
	fn(got + to, src + from, n, key, phase);
	/* All of it: not a byte beside the target may change. */
	assert_memory_equal(got, want, ROOM);
	memcpy(got, src, sizeof got);
	memcpy(want, src, sizeof want);
	wsmask_plain(want + from, want + from, n, key, phase);
	fn(got + from, got + from, n, key, phase);
	assert_memory_equal(got, want, ROOM);
}

static void
compare_all(mask_fn *fn)
{
	for (size_t n = 0; n <= 130; n++)
		for (size_t align = 0; align < ALIGN_MAX; align++)
			for (unsigned phase = 0; phase < 4; phase++)
				compare(fn, align, (align * 7) % ALIGN_MAX, n, phase);
	for (size_t n = 131; n <= LEN_MAX; n++)
		for (size_t align = 0; align < 4; align++)
			compare(fn, align, 3 - align, n, (unsigned)n);
}

static void
words_mask_as_the_reference_does(void **state)
{
	(void)state;
	compare_all(wsmask_words);
}

static void
the_chosen_way_masks_as_the_reference_does(void **state)
{
	(void)state;
	compare_all(wsmask);
}

static void
rfc_example_is_masked(void **state)
{
	uint8_t out[5];

	(void)state;
	/* RFC 6455 5.7 */
	wsmask(out, (const uint8_t *)"Hello", 5, key, 0);
	assert_memory_equal(out, "\x7f\x9f\x4d\x51\x58", 5);
}

static void
pieces_are_masked_as_the_whole(void **state)
{
	uint8_t whole[LEN_MAX], parts[LEN_MAX];

	(void)state;
	for (size_t i = 0; i < LEN_MAX; i++)
		whole[i] = parts[i] = (uint8_t)i;
	wsmask(whole, whole, LEN_MAX, key, 0);
	for (size_t i = 0, n = 1; i < LEN_MAX; i += n, n = n * 2 + 1) {
		if (n > LEN_MAX - i)
			n = LEN_MAX - i;
		wsmask(parts + i, parts + i, n, key, (unsigned)i);
	}
	assert_memory_equal(whole, parts, LEN_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_mask_as_the_reference_does),
		cmocka_unit_test(the_chosen_way_masks_as_the_reference_does),
		cmocka_unit_test(rfc_example_is_masked),
		cmocka_unit_test(pieces_are_masked_as_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
