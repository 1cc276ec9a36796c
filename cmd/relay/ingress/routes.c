/* SPDX-License-Identifier: ISC */
/* routes - which host name belongs to which published service. */
#include "cmd/relay/ingress/routes.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/hashtab.h"
#include "lib/base/mem.h"

struct claim {
	char host[REQUEST_HOST_MAX + 1];
	struct route route;
	UT_hash_handle hh;
};

/* One that is there. */
struct agent {
	char name[CTL_AGENT_MAX + 1];
	UT_hash_handle hh;
};

struct routes {
	/* guards the rest; nothing else is taken while it is held */
	pthread_mutex_t lock;
	struct claim *claims;
	/* Of claims: without one there is nothing to look for behind the whole name. */
	unsigned n_wildcards;
	struct agent *agents;
};

struct routes *
routes_new(void)
{
	struct routes *t = mem_zalloc(sizeof *t);

	if (t != NULL && pthread_mutex_init(&t->lock, NULL) != 0) {
		mem_free(t);
		return NULL;
	}
	return t;
}

void
routes_free(struct routes *t)
{
	struct claim *c, *next;
	struct agent *a, *after;

	if (t == NULL)
		return;
	HASH_ITER(hh, t->claims, c, next)
	{
		HASH_DEL(t->claims, c);
		mem_free(c);
	}
	HASH_ITER(hh, t->agents, a, after)
	{
		HASH_DEL(t->agents, a);
		mem_free(a);
	}
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

/* ---- with the lock held ---- */

static struct claim *
find(const struct routes *t, const char *host)
{
	struct claim *c;

	HASH_FIND_STR(t->claims, host, c);
	return c;
}

static bool
is_wildcard(const char *host)
{
	return host[0] == '*';
}

static bool
is_same(const struct route *a, const struct route *b)
{
	return a->worker == b->worker && strcmp(a->agent, b->agent) == 0 &&
	       strcmp(a->kind, b->kind) == 0 && strcmp(a->service, b->service) == 0;
}

static int
add(struct routes *t, const char *host, const struct route *r)
{
	struct claim *c = mem_zalloc(sizeof *c);

	if (c == NULL)
		return ERR_NOMEM;
	snprintf(c->host, sizeof c->host, "%s", host);
	c->route = *r;
	HASH_ADD_STR(t->claims, host, c);
	if (!hashtab_has(c)) {
		mem_free(c);
		return ERR_NOMEM;
	}
	t->n_wildcards += is_wildcard(host);
	return 0;
}

/* The longest wildcard that covers host. */
static struct claim *
find_wildcard(const struct routes *t, const char *host)
{
	char name[REQUEST_HOST_MAX + 1];
	const char *dot = strchr(host, '.');
	struct claim *c = NULL;

	for (; c == NULL && dot != NULL; dot = strchr(dot + 1, '.')) {
		snprintf(name, sizeof name, "*%s", dot);
		c = find(t, name);
	}
	return c;
}

/* ---- claims ---- */

int
routes_claim(struct routes *t, const char *host, const struct route *r, struct route *holder)
{
	struct claim *c;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	c = find(t, host);
	if (c == NULL)
		rc = add(t, host, r);
	else if (!is_same(&c->route, r))
		rc = ERR_EXISTS;
	if (rc == ERR_EXISTS && holder != NULL)
		*holder = c->route;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void
routes_release(struct routes *t, const char *host, const struct route *r)
{
	struct claim *c;

	pthread_mutex_lock(&t->lock);
	c = find(t, host);
	if (c != NULL && is_same(&c->route, r)) {
		HASH_DEL(t->claims, c);
		t->n_wildcards -= is_wildcard(host);
		mem_free(c);
	}
	pthread_mutex_unlock(&t->lock);
}

enum routes_hit
routes_find(struct routes *t, const char *host, struct route *out)
{
	enum routes_hit hit = ROUTES_EXACT;
	struct claim *c;

	pthread_mutex_lock(&t->lock);
	c = find(t, host);
	if (c == NULL) {
		c = t->n_wildcards > 0 ? find_wildcard(t, host) : NULL;
		hit = c != NULL ? ROUTES_WILDCARD : ROUTES_NONE;
	}
	if (c != NULL)
		*out = c->route;
	pthread_mutex_unlock(&t->lock);
	return hit;
}

/* ---- agents ---- */

static struct agent *
find_agent(const struct routes *t, const char *name)
{
	struct agent *a;

	HASH_FIND_STR(t->agents, name, a);
	return a;
}

static void
add_agent(struct routes *t, const char *name)
{
	struct agent *a = mem_zalloc(sizeof *a);

	if (a == NULL)
		return;
	snprintf(a->name, sizeof a->name, "%s", name);
	HASH_ADD_STR(t->agents, name, a);
	if (!hashtab_has(a))
		mem_free(a);
}

void
routes_agent(struct routes *t, const char *agent, bool there)
{
	struct agent *a;

	pthread_mutex_lock(&t->lock);
	a = find_agent(t, agent);
	if (there && a == NULL) {
		add_agent(t, agent);
	} else if (!there && a != NULL) {
		HASH_DEL(t->agents, a);
		mem_free(a);
	}
	pthread_mutex_unlock(&t->lock);
}

bool
routes_has_agent(struct routes *t, const char *agent)
{
	bool there;

	pthread_mutex_lock(&t->lock);
	there = find_agent(t, agent) != NULL;
	pthread_mutex_unlock(&t->lock);
	return there;
}
