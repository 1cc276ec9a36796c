/* SPDX-License-Identifier: ISC */
/* dialect - the table of dialects and the way from a path to one. */
#include "proto/dialect/dialect.h"

#include <string.h>

const struct dialect *const dialects_all[] = { &dialect_native, &dialect_hnr_agents,
	&dialect_hnr_clients, NULL };

static bool
is_path(const char *path, const char *target, size_t len)
{
	return strlen(path) == len && memcmp(path, target, len) == 0;
}

static bool
serves(const struct dialect *d, const char *target, size_t len)
{
	for (size_t i = 0; d->accept != NULL && d->paths[i] != NULL; i++)
		if (is_path(d->paths[i], target, len))
			return true;
	return false;
}

const struct dialect *
dialect_find(
    const struct dialect *const *all, const char *target, char *const *native_paths, size_t n)
{
	size_t len = strcspn(target, "?");

	for (size_t i = 0; i < n; i++)
		if (is_path(native_paths[i], target, len))
			return &dialect_native;
	for (; *all != NULL; all++)
		if ((*all != &dialect_native || n == 0) && serves(*all, target, len))
			return *all;
	return NULL;
}

const struct dialect *
dialect_by_name(const struct dialect *const *all, const char *name, enum ctl_role role)
{
	for (; *all != NULL; all++)
		if (strcmp((*all)->name, name) == 0 && ((*all)->roles & DIALECT_FOR(role)) != 0)
			return *all;
	return NULL;
}

const struct dialect *
dialect_by_url(const struct dialect *const *all, const char *target)
{
	size_t len = strcspn(target, "?");

	for (; *all != NULL; all++)
		for (size_t i = 0; *all != &dialect_native && (*all)->paths[i] != NULL; i++) {
			size_t n = strlen((*all)->paths[i]);

			if (n <= len && memcmp((*all)->paths[i], target + len - n, n) == 0)
				return *all;
		}
	return NULL;
}

static struct session *
with_abilities(const struct dialect *d, struct session *s)
{
	if (s != NULL) {
		s->carries = d->carries;
		s->can = d->can;
	}
	return s;
}

struct session *
dialect_accept(const struct dialect *d, const struct mux_config *cfg,
    const struct dialect_from *from, uint64_t now)
{
	return with_abilities(d, d->accept(cfg, from, now));
}

struct session *
dialect_dial(const struct dialect *d, const struct mux_config *cfg, uint64_t now)
{
	return with_abilities(d, d->dial(cfg, now));
}
