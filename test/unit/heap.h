/* SPDX-License-Identifier: ISC */
/*
 * heap - does what is made and ended again and again give everything back?  Header only; after
 * cmocka.h.
 *
 * Counts the bytes of the C library's heap, so that it is seen without a sanitizer, too.  They are
 * exact without the cache of each thread (GLIBC_TUNABLES=glibc.malloc.tcache_count=0, test/run sets
 * it): some sizes of c-ares 1.34 are random, and fill that cache for many rounds.
 */
#ifndef TEST_UNIT_HEAP_H
#define TEST_UNIT_HEAP_H

#include <malloc.h>
#include <stddef.h>

enum { HEAP_ROUNDS = 32, HEAP_TRIES = 8 };

/*
 * heap_is_given_back - round() makes and ends something.  What it keeps for ever it may make at
 * first, and the heap's own caches may grow now and then: what is lost in each round is lost in
 * every try.
 */
static inline void
heap_is_given_back(void (*round)(void))
{
	size_t kept = 0;

	for (int try = 0; try < HEAP_TRIES; try++) {
		size_t before = mallinfo2().uordblks, after;

		for (int i = 0; i < HEAP_ROUNDS; i++)
			round();
		after = mallinfo2().uordblks;
		kept = after > before ? (after - before) / HEAP_ROUNDS : 0;
		/* The least that malloc(3) takes for a block. */
		if (kept < 4 * sizeof(size_t))
			return;
	}
	fail_msg("%zu bytes are kept in each round", kept);
}

#endif
