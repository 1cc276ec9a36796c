/* SPDX-License-Identifier: ISC */
/* ports - which public port belongs to whom. */
#include "cmd/relay/ingress/ports.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/conf/jobj.h"

struct port {
	/* NULL: nobody's yet */
	char *owner;
	bool taken;
};

struct ports {
	/* constant */
	uint16_t first;
	size_t n;
	/* guards what they point to; nothing else is taken while it is held */
	pthread_mutex_t lock;
	/* n of TCP, and n of UDP */
	struct port *of[2];
};

/* How a port of UDP is written in a dump. */
#define UDP_SUFFIX "/udp"

struct ports *
ports_new(uint16_t first, uint16_t last)
{
	struct ports *t = mem_zalloc(sizeof *t);

	if (t == NULL)
		return NULL;
	t->first = first;
	t->n = (size_t)last - first + 1;
	t->of[0] = mem_array(t->n, sizeof *t->of[0]);
	t->of[1] = mem_array(t->n, sizeof *t->of[1]);
	if (t->of[0] == NULL || t->of[1] == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
		mem_free(t->of[0]);
		mem_free(t->of[1]);
		mem_free(t);
		return NULL;
	}
	return t;
}

void
ports_free(struct ports *t)
{
	if (t == NULL)
		return;
	for (int udp = 0; udp < 2; udp++) {
		for (size_t i = 0; i < t->n; i++)
			mem_free(t->of[udp][i].owner);
		mem_free(t->of[udp]);
	}
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

/* NULL: outside the range. */
static struct port *
port_at(struct ports *t, bool udp, uint16_t port)
{
	return port >= t->first && (size_t)(port - t->first) < t->n ? &t->of[udp][port - t->first]
								    : NULL;
}

static bool
is_owner(const struct port *p, const char *owner)
{
	return p->owner != NULL && strcmp(p->owner, owner) == 0;
}

/* The one it had last; 0: none. */
static uint16_t
remembered(struct ports *t, bool udp, const char *owner)
{
	uint16_t port = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; port == 0 && i < t->n; i++)
		if (is_owner(&t->of[udp][i], owner))
			port = (uint16_t)(t->first + i);
	pthread_mutex_unlock(&t->lock);
	return port;
}

/* Before somebody listens on it: no other may try it meanwhile. */
static int
reserve(struct ports *t, struct port *p)
{
	bool taken;

	pthread_mutex_lock(&t->lock);
	taken = p->taken;
	p->taken = true;
	pthread_mutex_unlock(&t->lock);
	return taken ? ERR_EXISTS : 0;
}

/* From now on it is remembered as the owner's, in place of the one that it had before. */
static int
own(struct ports *t, bool udp, struct port *p, const char *owner)
{
	char *copy = mem_strdup(owner);

	if (copy == NULL)
		return ERR_NOMEM;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n; i++)
		if (is_owner(&t->of[udp][i], owner)) {
			mem_free(t->of[udp][i].owner);
			t->of[udp][i].owner = NULL;
		}
	mem_free(p->owner);
	p->owner = copy;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static int
take_if(struct ports *t, bool udp, const char *owner, uint16_t port, const struct ports_user *u)
{
	struct port *p = port_at(t, udp, port);
	int r;

	if (p == NULL)
		return ERR_DENIED;
	if ((r = reserve(t, p)) != 0)
		return r;
	/* What try has made is the caller's to end, if there is no memory for the name. */
	if ((r = u->try(u->arg, port)) == 0)
		r = own(t, udp, p, owner);
	if (r != 0)
		ports_release(t, udp, port);
	return r;
}

static bool
is_other(int r)
{
	return r == ERR_EXISTS || r == ERR_DENIED;
}

/* The next port from at on that is free, and nobody's or somebody's; n if there is none. */
static size_t
next_free(struct ports *t, bool udp, size_t at, bool owned)
{
	pthread_mutex_lock(&t->lock);
	while (at < t->n && (t->of[udp][at].taken || (t->of[udp][at].owner != NULL) != owned))
		at++;
	pthread_mutex_unlock(&t->lock);
	return at;
}

/* The same among those that the owner may have. */
static size_t
next_offer(struct ports *t, bool udp, size_t at, bool owned, const struct ports_user *u)
{
	while (at < t->n) {
		uint16_t may = u->next(u->arg, (uint16_t)(t->first + at));

		if (port_at(t, udp, may) == NULL)
			return t->n;
		at = next_free(t, udp, (size_t)(may - t->first), owned);
		if (at == (size_t)(may - t->first))
			return at;
	}
	return t->n;
}

/* Ports that were nobody's go first, so that others find theirs when they come back. */
static int
take_some(struct ports *t, bool udp, const char *owner, const struct ports_user *u, uint16_t *port)
{
	size_t tries = 0;
	int r = ERR_EXISTS;

	for (int owned = 0; owned < 2; owned++)
		for (size_t at = 0; is_other(r) && tries++ < PORTS_TRIES_MAX &&
				    (at = next_offer(t, udp, at, owned, u)) < t->n;
		     at++) {
			*port = (uint16_t)(t->first + at);
			r = take_if(t, udp, owner, *port, u);
		}
	return is_other(r) ? ERR_LIMIT : r;
}

int
ports_take(struct ports *t, bool udp, const char *owner, uint16_t want, uint16_t had,
    const struct ports_user *u, uint16_t *port)
{
	uint16_t before[2] = { remembered(t, udp, owner), had };

	*port = want;
	if (want != 0)
		return take_if(t, udp, owner, want, u);
	for (int i = 0; i < 2; i++) {
		int r = before[i] == 0 ? ERR_EXISTS : take_if(t, udp, owner, before[i], u);

		*port = before[i];
		if (!is_other(r))
			return r;
	}
	return take_some(t, udp, owner, u, port);
}

void
ports_release(struct ports *t, bool udp, uint16_t port)
{
	struct port *p = port_at(t, udp, port);

	if (p == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	p->taken = false;
	pthread_mutex_unlock(&t->lock);
}

/* ---- beyond a restart ---- */

static int
dump_one(struct ports *t, bool udp, size_t i, struct jobj *o)
{
	char number[16];
	int r = 0;

	/* For one at a time: workers wait for it. */
	pthread_mutex_lock(&t->lock);
	if (t->of[udp][i].owner != NULL) {
		snprintf(number, sizeof number, "%zu%s", t->first + i, udp ? UDP_SUFFIX : "");
		r = jobj_set_str(o, number, t->of[udp][i].owner);
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

char *
ports_dump(struct ports *t, size_t *n)
{
	struct jobj *o = jobj_new_obj();
	char *text = NULL;
	int r = 0;

	for (int udp = 0; udp < 2; udp++)
		for (size_t i = 0; r == 0 && i < t->n; i++)
			r = dump_one(t, udp, i, o);
	if (r == 0)
		text = jobj_dump(o, n);
	jobj_free(o);
	return text;
}

/* name: "30000", "30000/udp" */
static int
load_one(struct ports *t, const char *name, const char *owner)
{
	size_t len = strcspn(name, "/");
	char number[8] = "";
	bool udp = name[len] != '\0';
	uint64_t port;
	struct port *p;

	if (len < sizeof number)
		memcpy(number, name, len);
	if (owner == NULL || strlen(owner) > PORTS_OWNER_MAX ||
	    (udp && strcmp(name + len, UDP_SUFFIX) != 0) ||
	    str_parse_u64(number, 1, UINT16_MAX, &port) != 0)
		return ERR_INVALID;
	p = port_at(t, udp, (uint16_t)port);
	if (p == NULL || p->owner != NULL)
		return 0;
	p->owner = mem_strdup(owner);
	return p->owner != NULL ? 0 : ERR_NOMEM;
}

int
ports_load(struct ports *t, const void *p, size_t n, struct errtext *e)
{
	struct jobj_iter it = { 0 };
	const struct jobj *v;
	struct jobj *o = NULL;
	const char *number;
	int r = jobj_parse(p, n, PORTS_FILE_MAX, &o, e);

	pthread_mutex_lock(&t->lock);
	while (r == 0 && jobj_each(o, &it, &number, &v))
		if ((r = load_one(t, number, jobj_as_str(v))) != 0)
			err_set(
			    e, r, r == ERR_NOMEM ? "out of memory" : "not a port and its owner");
	pthread_mutex_unlock(&t->lock);
	jobj_free(o);
	return r;
}
