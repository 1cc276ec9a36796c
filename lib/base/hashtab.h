/* SPDX-License-Identifier: ISC */
/*
 * hashtab - uthash as it is to be used here: memory comes from lib/base/mem.h, and an addition
 * without memory is not the end of the process.
 *
 * Keys come from peers (names, tokens, addresses), who must not know what falls into one bucket:
 * the hash is a keyed one.
 *
 * After HASH_ADD and its kin: the element was added if and only if hashtab_has(e).  Everything else
 * is in uthash's own manual (uthash(3), or troydhanson.github.io/uthash).
 */
#ifndef LIB_HASHTAB_H
#define LIB_HASHTAB_H

#include <stdint.h>

#include "lib/base/mem.h"

#ifdef UTHASH_H
#error "include lib/base/hashtab.h in place of uthash.h"
#endif

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(n) mem_alloc(n)
#define uthash_free(p, size) mem_free(p)
#define HASH_FUNCTION(p, n, hash) ((hash) = hashtab_hash((p), (n)))
#include <uthash.h>

/*
 * hashtab_init - a random key for this process; before its first table.  Until then the key is 0.
 */
void hashtab_init(void);

/* hashtab_hash - of a key of n bytes. */
unsigned hashtab_hash(const void *p, size_t n);
/* hashtab_siphash - the function behind it. */
uint64_t hashtab_siphash(const uint64_t key[2], const void *data, size_t n);

/* hashtab_has - was e, whose handle is its member hh, added? */
#define hashtab_has(e) ((e)->hh.tbl != NULL)

#endif
