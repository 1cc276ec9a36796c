/* SPDX-License-Identifier: ISC */
/* registry - which worker owns an agent's name. */
#include "cmd/relay/registry.h"

#include <pthread.h>
#include <stdio.h>

#include "lib/base/hashtab.h"
#include "lib/base/mem.h"
#include "proto/ctl.h"

struct entry {
	char name[CTL_NAME_MAX + 1];
	int worker;
	unsigned refs;
	UT_hash_handle hh;
};

struct registry {
	pthread_mutex_t lock; /* guards everything below; nothing else is taken while it is held */
	struct entry *names;
	int n_workers;
	unsigned *load; /* names of each worker */
};

struct registry *
registry_new(int n_workers)
{
	struct registry *r = mem_zalloc(sizeof *r);

	if (r == NULL)
		return NULL;
	r->n_workers = n_workers;
	r->load = mem_array((size_t)n_workers, sizeof *r->load);
	if (r->load == NULL || pthread_mutex_init(&r->lock, NULL) != 0) {
		mem_free(r->load);
		mem_free(r);
		return NULL;
	}
	return r;
}

void
registry_free(struct registry *r)
{
	struct entry *e, *tmp;

	if (r == NULL)
		return;
	HASH_ITER(hh, r->names, e, tmp)
	{
		HASH_DEL(r->names, e);
		mem_free(e);
	}
	pthread_mutex_destroy(&r->lock);
	mem_free(r->load);
	mem_free(r);
}

static struct entry *
entry_new(struct registry *r, const char *name)
{
	struct entry *e = mem_zalloc(sizeof *e);

	if (e == NULL)
		return NULL;
	snprintf(e->name, sizeof e->name, "%s", name);
	for (int i = 1; i < r->n_workers; i++)
		if (r->load[i] < r->load[e->worker])
			e->worker = i;
	HASH_ADD_STR(r->names, name, e);
	if (!hashtab_has(e)) {
		mem_free(e);
		return NULL;
	}
	r->load[e->worker]++;
	return e;
}

int
registry_bind(struct registry *r, const char *name)
{
	struct entry *e;
	int worker = ERR_NOMEM;

	pthread_mutex_lock(&r->lock);
	HASH_FIND_STR(r->names, name, e);
	if (e == NULL)
		e = entry_new(r, name);
	if (e != NULL) {
		e->refs++;
		worker = e->worker;
	}
	pthread_mutex_unlock(&r->lock);
	return worker;
}

void
registry_release(struct registry *r, const char *name)
{
	struct entry *e;

	pthread_mutex_lock(&r->lock);
	HASH_FIND_STR(r->names, name, e);
	if (e != NULL && --e->refs == 0) {
		r->load[e->worker]--;
		HASH_DEL(r->names, e);
		mem_free(e);
	}
	pthread_mutex_unlock(&r->lock);
}
