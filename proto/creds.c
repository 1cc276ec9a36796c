/* SPDX-License-Identifier: ISC */
/*
 * creds - the credentials in memory: entries sorted by name, secrets as digests; creds_file.c
 * reads them.
 *
 * The count of references is the one atomic here: relay workers share a struct creds, and the last
 * to let an old one go after a reload frees it.
 */
#include "proto/creds_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"

/* ---- life ---- */

static void
list_fini(struct creds_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		mem_free(l->v[i]);
	mem_free(l->v);
}

static void
table_fini(struct creds_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct creds_entry *en = &t->v[i];

		mem_free(en->name);
		mem_free(en->secrets.v);
		mem_free(en->keys.v);
		list_fini(&en->services);
		list_fini(&en->agents);
		creds_publish_fini(&en->publish);
		match_free(en->hosts);
	}
	mem_free(t->v);
}

struct creds *
creds_ref(struct creds *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
creds_unref(struct creds *c)
{
	if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	table_fini(&c->agents);
	table_fini(&c->clients);
	mem_free(c->shared.v);
	mem_free(c);
}

/* ---- asking ---- */

int
creds_digest_of_key(const uint8_t point[KEYS_POINT_LEN], uint8_t out[HASH_SHA256_LEN])
{
	return hash_sha256(point, KEYS_POINT_LEN, out);
}

int
creds_digest_of(const char *secret, uint8_t out[HASH_SHA256_LEN])
{
	return hash_sha256(secret, strlen(secret), out);
}

int
creds_by_name(const void *a, const void *b)
{
	const char *x = ((const struct creds_entry *)a)->name,
		   *y = ((const struct creds_entry *)b)->name;
	int d = strcasecmp(x, y);

	return d != 0 ? d : strcmp(x, y);
}

const char *
creds_warning(const struct creds *c, size_t i)
{
	return i < c->n_warnings ? c->warnings[i].s : NULL;
}

bool
creds_is_empty(const struct creds *c)
{
	return c->agents.n == 0 && c->clients.n == 0 && c->shared.n == 0;
}

static bool
table_has_keys(const struct creds_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].keys.n > 0)
			return true;
	return false;
}

bool
creds_has_keys(const struct creds *c)
{
	return table_has_keys(&c->agents) || table_has_keys(&c->clients);
}

/* digests_have - every one is compared, whichever matches. */
static bool
digests_have(const struct creds_digests *d, const uint8_t digest[HASH_SHA256_LEN])
{
	unsigned found = 0;

	for (size_t i = 0; i < d->n; i++)
		found |= hash_equal(d->v[i], digest, HASH_SHA256_LEN);
	return found != 0;
}

static const struct creds_entry *
table_find(const struct creds_table *t, const char *name)
{
	struct creds_entry key = { .name = (char *)(uintptr_t)name };

	return t->n == 0 ? NULL : bsearch(&key, t->v, t->n, sizeof *t->v, creds_by_name);
}

bool
creds_list_has(const struct creds_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (match_glob(l->v[i], name))
			return true;
	}
	return false;
}

/* proved - the digest to look for, and in which list of an entry it must stand. */
struct proved {
	uint8_t digest[HASH_SHA256_LEN];
	bool by_key;
};

static int
proved_of(const struct creds_proof *proof, struct proved *p)
{
	p->by_key = proof->key != NULL;
	return p->by_key ? creds_digest_of_key(proof->key, p->digest)
			 : creds_digest_of(proof->secret, p->digest);
}

static bool
entry_has(const struct creds_entry *en, const uint8_t digest[HASH_SHA256_LEN], bool by_key)
{
	return digests_have(by_key ? &en->keys : &en->secrets, digest);
}

/* admit - fill id for the entry that was found, NULL if none was. */
static int
admit(enum creds_kind kind, const struct creds_entry *en, const struct proved *p, int64_t now_s,
    struct creds_id *id)
{
	if (kind == CREDS_NOBODY)
		return ERR_DENIED;
	if (en != NULL && now_s >= en->expires_s)
		return ERR_TIMEOUT;
	id->kind = kind;
	if (en != NULL)
		memcpy(id->name, en->name, strlen(en->name) + 1);
	memcpy(id->digest, p->digest, HASH_SHA256_LEN);
	id->by_key = p->by_key;
	return 0;
}

int
creds_agent(const struct creds *c, const char *name, const struct creds_proof *proof, int64_t now_s,
    struct creds_id *id)
{
	const struct creds_entry *hit = NULL;
	struct proved p;

	memset(id, 0, sizeof *id);
	if (proved_of(proof, &p) != 0)
		return ERR_DENIED;
	for (size_t i = 0; i < c->agents.n; i++) {
		const struct creds_entry *en = &c->agents.v[i];

		if (entry_has(en, p.digest, p.by_key) & (strcmp(en->name, name) == 0))
			hit = en;
	}
	return admit(hit != NULL ? CREDS_AGENT : CREDS_NOBODY, hit, &p, now_s, id);
}

int
creds_client(
    const struct creds *c, const struct creds_proof *proof, int64_t now_s, struct creds_id *id)
{
	enum creds_kind kind = CREDS_NOBODY;
	const struct creds_entry *hit = NULL;
	struct proved p;

	memset(id, 0, sizeof *id);
	if (proved_of(proof, &p) != 0)
		return ERR_DENIED;
	if (!p.by_key && digests_have(&c->shared, p.digest))
		kind = CREDS_SHARED;
	for (size_t i = 0; i < c->clients.n; i++) {
		if (entry_has(&c->clients.v[i], p.digest, p.by_key)) {
			kind = CREDS_CLIENT;
			hit = &c->clients.v[i];
		}
	}
	return admit(kind, hit, &p, now_s, id);
}

const struct creds_entry *
creds_client_entry(const struct creds *c, const char *name)
{
	return table_find(&c->clients, name);
}

/* entry_of - NULL for who has none. */
static const struct creds_entry *
entry_of(const struct creds *c, const struct creds_id *id)
{
	switch (id->kind) {
	case CREDS_AGENT:
		return table_find(&c->agents, id->name);
	case CREDS_CLIENT:
		return table_find(&c->clients, id->name);
	case CREDS_NOBODY:
	case CREDS_SHARED:
		break;
	}
	return NULL;
}

bool
creds_still_valid(const struct creds *c, const struct creds_id *id, int64_t now_s)
{
	const struct creds_entry *en = entry_of(c, id);

	if (id->kind == CREDS_SHARED)
		return digests_have(&c->shared, id->digest);
	return en != NULL && entry_has(en, id->digest, id->by_key) && now_s < en->expires_s;
}

void
creds_limits(const struct creds *c, const struct creds_id *id, struct creds_limits *l)
{
	const struct creds_entry *en = entry_of(c, id);

	*l = en != NULL ? en->limits : (struct creds_limits){ 0 };
}

bool
creds_agent_may_publish(const struct creds *c, const struct creds_id *id, uint16_t port)
{
	const struct creds_entry *en;

	if (c == NULL)
		return true;
	en = id->kind == CREDS_AGENT ? entry_of(c, id) : NULL;
	return en != NULL && creds_publish_admits(&en->publish, port);
}

uint16_t
creds_agent_next_port(const struct creds *c, const struct creds_id *id, uint16_t port)
{
	const struct creds_entry *en;

	if (c == NULL)
		return port;
	en = id->kind == CREDS_AGENT ? entry_of(c, id) : NULL;
	return en != NULL ? creds_publish_next(&en->publish, port) : 0;
}

bool
creds_agent_may_offer(const struct creds *c, const struct creds_id *id, const char *service)
{
	const struct creds_entry *en;

	if (c == NULL)
		return true;
	en = id->kind == CREDS_AGENT ? entry_of(c, id) : NULL;
	return en != NULL && (!en->limited || creds_list_has(&en->services, service));
}

uint64_t
creds_max_services(const struct creds *c, const struct creds_id *id)
{
	const struct creds_entry *en =
	    c != NULL && id->kind == CREDS_AGENT ? entry_of(c, id) : NULL;

	return en != NULL ? en->publish.max_services : CREDS_SERVICES_DEFAULT;
}

const struct creds_published *
creds_agent_published(const struct creds *c, const struct creds_id *id, size_t *n)
{
	const struct creds_entry *en =
	    c != NULL && id->kind == CREDS_AGENT ? entry_of(c, id) : NULL;

	*n = en != NULL ? en->publish.n_published : 0;
	return en != NULL ? en->publish.published : NULL;
}

bool
creds_agent_may_host(
    const struct creds *c, const struct creds_id *id, const char *label, const char *host)
{
	const struct creds_entry *en;

	if (c == NULL)
		return true;
	en = id->kind == CREDS_AGENT ? entry_of(c, id) : NULL;
	if (en == NULL || en->publish.has_hosts)
		return en != NULL && creds_publish_admits_host(&en->publish, label, host);
	return !en->limited && !en->has_twin && strcasecmp(en->name, label) == 0;
}

bool
creds_agent_may_random(const struct creds *c, const struct creds_id *id)
{
	const struct creds_entry *en;

	if (c == NULL)
		return true;
	en = id->kind == CREDS_AGENT ? entry_of(c, id) : NULL;
	if (en == NULL || en->publish.has_hosts)
		return en != NULL && creds_publish_admits_random(&en->publish);
	return !en->limited;
}

static int
by_label(const void *a, const void *b)
{
	return strcasecmp(
	    ((const struct creds_entry *)a)->name, ((const struct creds_entry *)b)->name);
}

const char *
creds_agent_of_label(const struct creds *c, const char *label)
{
	const struct creds_entry key = { .name = (char *)(uintptr_t)label }, *en = NULL;

	if (c != NULL && c->agents.n > 0)
		en = bsearch(&key, c->agents.v, c->agents.n, sizeof *c->agents.v, by_label);
	return en != NULL && !en->has_twin ? en->name : NULL;
}

/* lists_admit - does the entry name what o asks for: its service, or its host and port? */
static bool
lists_admit(const struct creds_entry *en, const struct ctl_open *o)
{
	return o->service[0] != '\0' ? creds_list_has(&en->services, o->service)
				     : match_name(en->hosts, o->host, o->port);
}

bool
creds_client_may(const struct creds *c, const struct creds_id *id, const char *agent,
    const struct ctl_open *o, int64_t now_s)
{
	const struct creds_entry *to = table_find(&c->agents, agent);

	if (id->kind == CREDS_AGENT || !creds_still_valid(c, id, now_s))
		return false;
	if (ctl_open_is_e2e(o)) {
		const struct creds_entry *by = entry_of(c, id);

		return by != NULL && by->e2e && creds_list_has(&by->agents, agent);
	}
	if (to != NULL && to->limited && !lists_admit(to, o))
		return false;
	if (id->kind == CREDS_SHARED)
		return true;
	const struct creds_entry *en = entry_of(c, id);

	return creds_list_has(&en->agents, agent) && lists_admit(en, o);
}
