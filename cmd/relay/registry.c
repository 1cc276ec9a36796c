/* SPDX-License-Identifier: ISC */
/* registry - which worker owns an agent's name. */
#include "cmd/relay/registry.h"

#include <pthread.h>
#include <stdio.h>

#include "lib/base/err.h"
#include "lib/base/hashtab.h"
#include "lib/base/mem.h"
#include "proto/ctl.h"

struct entry {
	char name[CTL_AGENT_MAX + 1];
	int worker;
	unsigned refs;
	UT_hash_handle hh;
};

/* The table of this process. */
struct table {
	struct registry r;
	pthread_mutex_t lock; /* guards everything below; nothing else is taken while it is held */
	struct entry *names;
	int n_workers;
	unsigned *load; /* names of each worker */
};

static struct entry *
entry_new(struct table *t, const char *name)
{
	struct entry *e = mem_zalloc(sizeof *e);

	if (e == NULL)
		return NULL;
	snprintf(e->name, sizeof e->name, "%s", name);
	for (int i = 1; i < t->n_workers; i++)
		if (t->load[i] < t->load[e->worker])
			e->worker = i;
	HASH_ADD_STR(t->names, name, e);
	if (!hashtab_has(e)) {
		mem_free(e);
		return NULL;
	}
	t->load[e->worker]++;
	return e;
}

static void
table_bind(struct registry *r, struct registry_ask *q, const char *name)
{
	struct table *t = (struct table *)r;
	struct entry *e;
	int worker = ERR_NOMEM;

	pthread_mutex_lock(&t->lock);
	HASH_FIND_STR(t->names, name, e);
	if (e == NULL)
		e = entry_new(t, name);
	if (e != NULL) {
		e->refs++;
		worker = e->worker;
	}
	pthread_mutex_unlock(&t->lock);
	q->answer(q->arg, worker);
}

static void
table_cancel(struct registry *r, struct registry_ask *q)
{
	/* Each question was answered before its bind returned. */
	(void)r;
	(void)q;
}

static void
table_release(struct registry *r, const char *name)
{
	struct table *t = (struct table *)r;
	struct entry *e;

	pthread_mutex_lock(&t->lock);
	HASH_FIND_STR(t->names, name, e);
	if (e != NULL && --e->refs == 0) {
		t->load[e->worker]--;
		HASH_DEL(t->names, e);
		mem_free(e);
	}
	pthread_mutex_unlock(&t->lock);
}

static void
table_free(struct registry *r)
{
	struct table *t = (struct table *)r;
	struct entry *e, *tmp;

	HASH_ITER(hh, t->names, e, tmp)
	{
		HASH_DEL(t->names, e);
		mem_free(e);
	}
	pthread_mutex_destroy(&t->lock);
	mem_free(t->load);
	mem_free(t);
}

static const struct registry_ops table_ops = { table_bind, table_cancel, table_release,
	table_free };

struct registry *
registry_new(int n_workers)
{
	struct table *t = mem_zalloc(sizeof *t);

	if (t == NULL)
		return NULL;
	t->r.ops = &table_ops;
	t->n_workers = n_workers;
	t->load = mem_array((size_t)n_workers, sizeof *t->load);
	if (t->load == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
		mem_free(t->load);
		mem_free(t);
		return NULL;
	}
	return &t->r;
}

/* ---- any kind ---- */

void
registry_free(struct registry *r)
{
	if (r != NULL)
		r->ops->free(r);
}

void
registry_bind(struct registry *r, struct registry_ask *q, const char *name)
{
	r->ops->bind(r, q, name);
}

void
registry_cancel(struct registry *r, struct registry_ask *q)
{
	r->ops->cancel(r, q);
}

void
registry_release(struct registry *r, const char *name)
{
	r->ops->release(r, name);
}
