/* SPDX-License-Identifier: ISC */
/*
 * wsmask - WebSocket masking: a plain reference, 64-bit words, and AVX2.
 *
 * Copies of payload: one when dst is not src, none in place.
 */
#include "lib/ws/wsmask.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void
wsmask_plain(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], unsigned phase)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = src[i] ^ key[(phase + i) & 3];
}

/* The key as it meets the payload from phase on, repeated to eight bytes. */
static uint64_t
key_word(const uint8_t key[4], unsigned phase)
{
	uint8_t turned[8];
	uint64_t w;

	for (unsigned i = 0; i < 8; i++)
		turned[i] = key[(phase + i) & 3];
	memcpy(&w, turned, sizeof w);
	return w;
}

void
wsmask_words(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], unsigned phase)
{
	uint64_t k = key_word(key, phase);
	size_t i = 0;

	/*
	 * memcpy of a fixed size is one unaligned load or store; steps of 32 and 8 keep the phase.
	 */
	for (; n - i >= 32; i += 32) {
		uint64_t w[4];

		memcpy(w, src + i, sizeof w);
		for (int j = 0; j < 4; j++)
			w[j] ^= k;
		memcpy(dst + i, w, sizeof w);
	}
	for (; n - i >= 8; i += 8) {
		uint64_t w;

		memcpy(&w, src + i, sizeof w);
		w ^= k;
		memcpy(dst + i, &w, sizeof w);
	}
	wsmask_plain(dst + i, src + i, n - i, key, phase);
}

#if defined(__x86_64__)
enum { STEP = 128 };

/* STEP bytes; dst is aligned to 32. */
__attribute__((target("avx2"))) static inline void
mask_step(uint8_t *dst, const uint8_t *src, __m256i k)
{
	const __m256i *s = (const void *)src;
	__m256i *d = (void *)dst;
	__m256i a = _mm256_loadu_si256(s), b = _mm256_loadu_si256(s + 1);
	__m256i c = _mm256_loadu_si256(s + 2), e = _mm256_loadu_si256(s + 3);

	_mm256_store_si256(d, _mm256_xor_si256(a, k));
	_mm256_store_si256(d + 1, _mm256_xor_si256(b, k));
	_mm256_store_si256(d + 2, _mm256_xor_si256(c, k));
	_mm256_store_si256(d + 3, _mm256_xor_si256(e, k));
}

/*
 * Stores are aligned: those that cross a cache line are what costs (30 and 41 GB/s in the
 * second-level cache).
 */
__attribute__((target("avx2"))) static void
wsmask_avx2(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], unsigned phase)
{
	size_t head = -(uintptr_t)dst & 31, whole = (n - head) / STEP * STEP;
	__m256i k = _mm256_set1_epi64x((long long)key_word(key, phase + (unsigned)head));

	wsmask_words(dst, src, head, key, phase);
	dst += head;
	src += head;
	phase += (unsigned)head;
	for (size_t i = 0; i < whole; i += STEP)
		mask_step(dst + i, src + i, k);
	wsmask_words(dst + whole, src + whole, n - head - whole, key, phase);
}
#endif

void
wsmask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], unsigned phase)
{
#if defined(__x86_64__)
	/*
	 * Reads a variable that the C library's start-up code has set: no cost worth keeping a
	 * pointer for.
	 */
	if (n >= 2 * STEP && __builtin_cpu_supports("avx2")) {
		wsmask_avx2(dst, src, n, key, phase);
		return;
	}
#endif
	wsmask_words(dst, src, n, key, phase);
}
