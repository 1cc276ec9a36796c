/* SPDX-License-Identifier: ISC */
/*
 * mem - the only way to the heap: sizes checked for overflow, secrets wiped, failures on demand.
 *
 * Two families.  mem_alloc() and its kin may return NULL and the caller has a path for it:
 * everything that serves a peer uses these, with a size already bounded by a named limit.
 * mem_must_*() end the process with a message and are for start-up only, where there is nobody to
 * answer and nothing to save.
 *
 * What these functions return is freed by mem_free() and by nothing else.  Tests let the n-th
 * allocation of the calling thread fail (mem_fail_after), so that every error path can be walked.
 */
#ifndef LIB_MEM_H
#define LIB_MEM_H

#include <stddef.h>
#include <stdint.h>

#define MEM_NO_FAIL (-1L)

/* mem_alloc - n bytes (n = 0 counts as 1), contents undefined; NULL when there are none. */
void *mem_alloc(size_t n) __attribute__((malloc, warn_unused_result));

/* mem_zalloc - as mem_alloc, all zero. */
void *mem_zalloc(size_t n) __attribute__((malloc, warn_unused_result));

/*
 * mem_array - room for n items of size bytes each, all zero; NULL too if n * size does not fit a
 * size_t.
 */
void *mem_array(size_t n, size_t size) __attribute__((malloc, warn_unused_result));

/*
 * mem_resize - p (from this module, or NULL) grown or shrunk to n items of size bytes; new bytes
 * are undefined. NULL on failure or overflow, and then p is as it was.  Not for secrets: the old
 * place is not wiped.
 */
void *mem_resize(void *p, size_t n, size_t size) __attribute__((warn_unused_result));

/* mem_dup - a copy of n bytes; mem_strdup - a copy of a string.  NULL when there is no memory. */
void *mem_dup(const void *p, size_t n) __attribute__((warn_unused_result));
char *mem_strdup(const char *s) __attribute__((malloc, warn_unused_result));

/* mem_must_zalloc - for start-up: as above, but out of memory writes one line and aborts. */
void *mem_must_zalloc(size_t n) __attribute__((malloc, returns_nonnull, warn_unused_result));

/*
 * mem_trim - give what is free back to the system, from all threads' heaps.  It takes milliseconds,
 * so it is for the time after a load.  mem_freed() is the number of bytes that this thread has
 * freed.
 */
void mem_trim(void);
uint64_t mem_freed(void);

/* mem_free - give back; NULL is fine. */
void mem_free(void *p);

/* mem_wipe - overwrite n bytes at p so that no compiler leaves it out; n = 0 is fine. */
void mem_wipe(void *p, size_t n);

/*
 * mem_fail_after - for tests: the next n allocations of this thread succeed, the one after them
 * fails, later ones succeed again.  MEM_NO_FAIL switches it off.  mem_count() is the number of
 * allocations this thread has asked for.
 */
void mem_fail_after(long n);
uint64_t mem_count(void);

#endif
