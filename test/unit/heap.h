/* SPDX-License-Identifier: ISC */
/*
 * heap - does what is made and ended again and again give everything back?  Header only; after
 * cmocka.h.
 *
 * Counts the bytes of the C library's heap, so that it is seen without a sanitizer, too.
 */
#ifndef TEST_UNIT_HEAP_H
#define TEST_UNIT_HEAP_H

#include <malloc.h>
#include <stddef.h>

enum { HEAP_WARM_UP = 32, HEAP_ROUNDS = 64 };

/* heap_is_given_back - round() makes and ends something; what it keeps for ever it makes in the first rounds. */
static inline void
heap_is_given_back(void (*round)(void))
{
	size_t before;

	for (int i = 0; i < HEAP_WARM_UP; i++)
		round();
	before = mallinfo2().uordblks;
	for (int i = 0; i < HEAP_ROUNDS; i++)
		round();
	/* The least that malloc(3) takes for a block, each time. */
	if (mallinfo2().uordblks >= before + HEAP_ROUNDS * 4 * sizeof(size_t))
		fail_msg("%zu bytes are kept in each round",
		    (mallinfo2().uordblks - before) / HEAP_ROUNDS);
}

#endif
