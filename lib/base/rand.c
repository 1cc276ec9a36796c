/* SPDX-License-Identifier: ISC */
/*
 * rand - unpredictable numbers from getrandom(2), small ones from a buffer of the thread.
 */
#include "lib/base/rand.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/mem.h"

static _Thread_local struct {
	size_t left; /* unused bytes, at the end of b */
	uint8_t b[RAND_BUF];
} pool;

static int
fill(void *p, size_t n)
{
	uint8_t *at = p;
	ssize_t got;

	while (n > 0) {
		got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ERR_SYS;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

void
rand_init(void)
{
	uint8_t probe[16];

	if (fill(probe, sizeof(probe)) != 0) {
		perror("tunnel: the kernel gives no random bytes (getrandom)");
		abort();
	}
	mem_wipe(probe, sizeof(probe));
}

int
rand_bytes(void *p, size_t n)
{
	int r;

	if (n > RAND_BUF / 8) {
		if ((r = fill(p, n)) != 0)
			mem_wipe(p, n);
		return r;
	}
	if (n > pool.left) {
		if ((r = fill(pool.b, sizeof(pool.b))) != 0) {
			pool.left = 0;
			mem_wipe(p, n);
			return r;
		}
		pool.left = sizeof(pool.b);
	}
	if (n > 0) {
		uint8_t *from = pool.b + sizeof(pool.b) - pool.left;

		memcpy(p, from, n);
		/* Handed out once, then gone: memory read later tells nothing about it. */
		memset(from, 0, n);
		pool.left -= n;
	}
	return 0;
}

int
rand_u64(uint64_t *out)
{
	return rand_bytes(out, sizeof(*out));
}

int
rand_below(uint64_t n, uint64_t *out)
{
	uint64_t v, odd;
	int r;

	assert(n > 0);
	odd = (UINT64_MAX % n + 1) %
	      n; /* 2^64 mod n: so many of the lowest values would be one too many */
	do {
		if ((r = rand_u64(&v)) != 0)
			return r;
	} while (v < odd);
	*out = v % n;
	return 0;
}

int
rand_callback(void *ctx, unsigned char *p, size_t n)
{
	(void)ctx;
	return rand_bytes(p, n);
}
