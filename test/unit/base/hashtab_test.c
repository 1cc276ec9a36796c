/* SPDX-License-Identifier: ISC */
/* hashtab_test - the hash of tables whose keys come from peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/hashtab.h"

enum { CHOSEN = 256, SAME_BITS = 0x3fff, CHAIN_MAX = 16 };

struct token {
	uint64_t v[2];
	UT_hash_handle hh;
};

/* The paper's appendix A, and the reference implementation's first vectors. */
static void
it_is_siphash(void **state)
{
	static const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	static const struct {
		size_t n;
		uint64_t hash;
	} vectors[] = {
		{ 0, 0x726fdb47dd0e0e31 },
		{ 1, 0x74f839c593dc67fd },
		{ 7, 0xab0200f58b01d137 },
		{ 8, 0x93f5f5799a932462 },
		{ 15, 0xa129ca6149be45e5 },
	};
	uint8_t in[16];

	(void)state;
	for (uint8_t i = 0; i < sizeof in; i++)
		in[i] = i;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
		assert_int_equal(hashtab_siphash(key, in, vectors[i].n), vectors[i].hash);
}

/* uthash's own hash has no key: anybody can find tokens that fall into one of its buckets. */
static void
chosen_keys_do_not_meet(void **state)
{
	static struct token chosen[CHOSEN];
	struct token *all = NULL;
	unsigned longest = 0;
	uint64_t next = 0;

	(void)state;
	for (int i = 0; i < CHOSEN; i++) {
		unsigned hash;

		do {
			chosen[i].v[0] = ++next;
			HASH_JEN(chosen[i].v, sizeof chosen[i].v, hash);
		} while ((hash & SAME_BITS) != 0);
		HASH_ADD(hh, all, v, sizeof chosen[i].v, &chosen[i]);
		assert_true(hashtab_has(&chosen[i]));
	}
	for (unsigned i = 0; i < all->hh.tbl->num_buckets; i++)
		if (all->hh.tbl->buckets[i].count > longest)
			longest = all->hh.tbl->buckets[i].count;
	assert_in_range(longest, 1, CHAIN_MAX);
	HASH_CLEAR(hh, all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_siphash),
		cmocka_unit_test(chosen_keys_do_not_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
