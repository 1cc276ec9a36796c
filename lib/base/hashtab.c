/* SPDX-License-Identifier: ISC */
/* hashtab - SipHash-2-4 (Aumasson and Bernstein 2012). */
#include "lib/base/hashtab.h"

#include <endian.h>
#include <string.h>

#include "lib/base/rand.h"

enum { WORD = 8, ROUNDS = 2, LAST_ROUNDS = 4 };

/* Set before there are threads, and constant from then on. */
static uint64_t seed[2];

static uint64_t
rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void
mix(uint64_t v[4], int rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static uint64_t
word(const uint8_t *p, size_t n)
{
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)p[i] << 8 * i;
	return x;
}

uint64_t
hashtab_siphash(const uint64_t key[2], const void *data, size_t n)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
	uint64_t last = (uint64_t)n << 56;
	const uint8_t *p = data;

	for (; n >= WORD; p += WORD, n -= WORD) {
		uint64_t x;

		memcpy(&x, p, sizeof x);
		x = le64toh(x);
		v[3] ^= x;
		mix(v, ROUNDS);
		v[0] ^= x;
	}
	last |= word(p, n);
	v[3] ^= last;
	mix(v, ROUNDS);
	v[0] ^= last;
	v[2] ^= 0xff;
	mix(v, LAST_ROUNDS);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
hashtab_init(void)
{
	/* Without random bytes nothing runs: rand_init() has looked. */
	IGNORE_RESULT(rand_bytes(seed, sizeof seed));
}

unsigned
hashtab_hash(const void *p, size_t n)
{
	return (unsigned)hashtab_siphash(seed, p, n);
}
