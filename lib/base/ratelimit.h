/* SPDX-License-Identifier: ISC */
/*
 * ratelimit - how often something may happen for each of many keys (a source address): a table of
 * token buckets of bounded size.
 *
 * A bucket holds `burst` tokens and gains `rate` a second.  When the table is full the bucket that
 * was used longest ago is forgotten: it has most likely filled up again.  Not for several threads
 * at once.
 */
#ifndef LIB_RATELIMIT_H
#define LIB_RATELIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATELIMIT_KEYS_MAX 8192 /* buckets kept; about 100 bytes each */
#define RATELIMIT_KEY_LEN 16    /* an IPv6 /56, or an IPv4 address */

struct ratelimit;

/*
 * ratelimit_new - rate and burst in events, both at least 1; NULL when out of memory.
 * ratelimit_free accepts NULL.
 */
struct ratelimit *ratelimit_new(uint64_t rate, uint64_t burst);
void ratelimit_free(struct ratelimit *r);

/*
 * ratelimit_take - may key's next event happen at now_ms (monotonic)?  Without memory for a new
 * key: yes.
 */
bool ratelimit_take(struct ratelimit *r, const uint8_t key[RATELIMIT_KEY_LEN], uint64_t now_ms);

#endif
