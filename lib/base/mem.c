/* SPDX-License-Identifier: ISC */
/*
 * mem - the heap behind checked sizes, with failures on demand for tests.
 */
#include "lib/base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Thread-local, so a test that lets its own allocations fail leaves the workers' alone. */
static _Thread_local long fail_after = MEM_NO_FAIL;
static _Thread_local uint64_t asked;
static _Thread_local uint64_t freed;

static int
must_fail(void)
{
	asked++;
	if (__builtin_expect(fail_after == MEM_NO_FAIL, 1))
		return 0;
	return fail_after-- == 0;
}

void *
mem_alloc(size_t n)
{
	return must_fail() ? NULL : malloc(n == 0 ? 1 : n);
}

void *
mem_zalloc(size_t n)
{
	return must_fail() ? NULL : calloc(1, n == 0 ? 1 : n);
}

void *
mem_array(size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return mem_zalloc(total);
}

void *
mem_resize(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total) || must_fail())
		return NULL;
	return realloc(p, total == 0 ? 1 : total);
}

void *
mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);

	if (copy != NULL && n > 0)
		memcpy(copy, p, n);
	return copy;
}

char *
mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

/* The one place outside cmd/ that may end the process: see the header. */
static void *
must(void *p, size_t n)
{
	if (p == NULL) {
		fprintf(stderr, "tunnel: out of memory for %zu bytes at start\n", n);
		abort();
	}
	return p;
}

void *
mem_must_zalloc(size_t n)
{
	return must(mem_zalloc(n), n);
}

void
mem_free(void *p)
{
	freed += malloc_usable_size(p);
	free(p);
}

uint64_t
mem_freed(void)
{
	return freed;
}

void
mem_trim(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

void
mem_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

void
mem_fail_after(long n)
{
	fail_after = n;
}

uint64_t
mem_count(void)
{
	return asked;
}
