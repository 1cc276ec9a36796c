/* SPDX-License-Identifier: ISC */
/*
 * hashtab - uthash as it is to be used here: memory comes from lib/base/mem.h, and an addition
 * without memory is not the end of the process.
 *
 * After HASH_ADD and its kin: the element was added if and only if hashtab_has(e).  Everything else
 * is in uthash's own manual (uthash(3), or troydhanson.github.io/uthash).
 */
#ifndef LIB_HASHTAB_H
#define LIB_HASHTAB_H

#include "lib/base/mem.h"

#ifdef UTHASH_H
#error "include lib/base/hashtab.h in place of uthash.h"
#endif

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(n) mem_alloc(n)
#define uthash_free(p, size) mem_free(p)
#include <uthash.h>

/* hashtab_has - was e, whose handle is its member hh, added? */
#define hashtab_has(e) ((e)->hh.tbl != NULL)

#endif
