/* SPDX-License-Identifier: ISC */
/* dialect - the table of dialects and the way from a path to one. */
#include "proto/dialect/dialect.h"

#include <string.h>

static const struct dialect *const dialects[] = { &dialect_native };

static bool
is_path(const char *path, const char *target, size_t len)
{
	return strlen(path) == len && memcmp(path, target, len) == 0;
}

static bool
serves(const struct dialect *d, const char *target, size_t len)
{
	for (size_t i = 0; d->paths[i] != NULL; i++)
		if (is_path(d->paths[i], target, len))
			return true;
	return false;
}

const struct dialect *
dialect_find(const char *target, char *const *native_paths, size_t n)
{
	size_t len = strcspn(target, "?");

	for (size_t i = 0; i < n; i++)
		if (is_path(native_paths[i], target, len))
			return &dialect_native;
	for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++)
		if ((dialects[i] != &dialect_native || n == 0) && serves(dialects[i], target, len))
			return dialects[i];
	return NULL;
}
