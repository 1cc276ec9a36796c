/* SPDX-License-Identifier: ISC */
/* ratelimit - token buckets by key. */
#include "lib/base/ratelimit.h"

#include <string.h>
#include <sys/queue.h>

#include "lib/base/hashtab.h"
#include "lib/base/mem.h"

struct bucket {
	uint8_t key[RATELIMIT_KEY_LEN];
	/* thousandths of a token */
	uint64_t milli;
	/* when milli was true */
	uint64_t at_ms;
	/* oldest first */
	TAILQ_ENTRY(bucket) used;
	UT_hash_handle hh;
};

TAILQ_HEAD(bucket_list, bucket);

struct ratelimit {
	uint64_t rate, burst;
	struct bucket *buckets;
	struct bucket_list used;
};

struct ratelimit *
ratelimit_new(uint64_t rate, uint64_t burst)
{
	struct ratelimit *r = mem_zalloc(sizeof *r);

	if (r == NULL)
		return NULL;
	r->rate = rate;
	r->burst = burst;
	TAILQ_INIT(&r->used);
	return r;
}

static void
forget(struct ratelimit *r, struct bucket *b)
{
	HASH_DEL(r->buckets, b);
	TAILQ_REMOVE(&r->used, b, used);
	mem_free(b);
}

void
ratelimit_free(struct ratelimit *r)
{
	if (r == NULL)
		return;
	while (!TAILQ_EMPTY(&r->used))
		forget(r, TAILQ_FIRST(&r->used));
	mem_free(r);
}

static struct bucket *
find(struct ratelimit *r, const uint8_t *key, uint64_t now_ms)
{
	struct bucket *b;

	HASH_FIND(hh, r->buckets, key, RATELIMIT_KEY_LEN, b);
	if (b != NULL) {
		TAILQ_REMOVE(&r->used, b, used);
		TAILQ_INSERT_TAIL(&r->used, b, used);
		return b;
	}
	if (HASH_COUNT(r->buckets) >= RATELIMIT_KEYS_MAX)
		forget(r, TAILQ_FIRST(&r->used));
	b = mem_zalloc(sizeof *b);
	if (b == NULL)
		return NULL;
	memcpy(b->key, key, sizeof b->key);
	b->milli = r->burst * 1000;
	b->at_ms = now_ms;
	HASH_ADD(hh, r->buckets, key, RATELIMIT_KEY_LEN, b);
	if (!hashtab_has(b)) {
		mem_free(b);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&r->used, b, used);
	return b;
}

bool
ratelimit_take(struct ratelimit *r, const uint8_t key[RATELIMIT_KEY_LEN], uint64_t now_ms)
{
	struct bucket *b = find(r, key, now_ms);
	uint64_t full = r->burst * 1000, gain;

	if (b == NULL)
		return true;
	/*
	 * Two loops' clocks may differ by a turn: one that is behind gives nothing and takes
	 * nothing.
	 */
	if (now_ms > b->at_ms) {
		gain = (now_ms - b->at_ms) * r->rate;
		b->milli = full - b->milli < gain ? full : b->milli + gain;
		b->at_ms = now_ms;
	}
	if (b->milli < 1000)
		return false;
	b->milli -= 1000;
	return true;
}
