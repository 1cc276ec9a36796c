/* SPDX-License-Identifier: ISC */
/* creds_file - the text of the credentials file to entries, each checked. */
#include "proto/creds_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/file.h"
#include "lib/conf/jobj.h"
#include "lib/conf/match.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "proto/rfc3339.h"

#define DIGEST_PREFIX "sha256:"
/* Members that both kinds of entry may have. */
#define LIMITS "expires", "max-sessions", "max-streams", "max-memory", "max-opens"
#define NEVER INT64_MAX

/* SHA-256 of nothing: as a stored digest it would admit who shows no secret at all. */
static const uint8_t digest_of_nothing[HASH_SHA256_LEN] = { 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc,
	0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64,
	0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55 };

/* warn - something to tell the file's owner. */
static void __attribute__((format(printf, 2, 3))) warn(struct creds *c, const char *fmt, ...)
{
	va_list ap;

	if (c->n_warnings == CREDS_WARNINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(c->warnings[c->n_warnings].s, sizeof c->warnings[c->n_warnings].s, fmt, ap);
	va_end(ap);
	c->n_warnings++;
}

/* take_secret - one secret as it stands in the file; where says in e whose it is. */
static int
take_secret(struct creds *c, const struct jobj *v, uint8_t out[HASH_SHA256_LEN], const char *where,
    struct errtext *e)
{
	const char *s = jobj_as_str(v);
	int r = 0;

	if (s == NULL)
		return err_set(e, ERR_INVALID, "%s: a secret must be a string", where);
	if (s[0] == '\0')
		return err_set(e, ERR_INVALID, "%s: the secret is empty", where);
	if (strlen(s) > CTL_SECRET_MAX)
		return err_set(e, ERR_INVALID, "%s: the secret is longer than %d bytes", where,
		    CTL_SECRET_MAX);
	if (!ctl_is_text(s))
		warn(c,
		    "%s: the secret has a control character: no native agent or client can show it",
		    where);
	/* As a secret it would let in whoever can read it. */
	if (strncmp(s, KEYS_PUB_PREFIX, strlen(KEYS_PUB_PREFIX)) == 0)
		return err_set(e, ERR_INVALID,
		    "%s: a public key is no secret: write { \"key\": \"" KEYS_PUB_PREFIX "...\" }",
		    where);
	if (strncmp(s, DIGEST_PREFIX, strlen(DIGEST_PREFIX)) != 0)
		r = creds_digest_of(s, out);
	else if (!hash_unhex(out, HASH_SHA256_LEN, s + strlen(DIGEST_PREFIX)))
		r = err_set(e, ERR_INVALID, "%s: after sha256: there must be %d hexadecimal digits",
		    where, HASH_HEX_LEN(HASH_SHA256_LEN));
	else if (hash_equal(out, digest_of_nothing, HASH_SHA256_LEN))
		r = err_set(e, ERR_INVALID, "%s: this is the digest of an empty secret", where);
	return r;
}

/* take_key - a public key. */
static int
take_key(struct creds *c, const struct jobj *v, uint8_t out[HASH_SHA256_LEN], const char *where,
    struct errtext *e)
{
	const char *s = jobj_as_str(v);
	uint8_t point[KEYS_POINT_LEN];
	struct errtext sub;
	int r;

	(void)c;
	if (s == NULL)
		return err_set(e, ERR_INVALID, "%s: a key must be a string", where);
	if ((r = keys_point(s, strlen(s), point, &sub)) != 0)
		return err_set(e, r, "%s: \"key\": %s", where, sub.s);
	return creds_digest_of_key(point, out);
}

typedef int take_digest(struct creds *c, const struct jobj *v, uint8_t out[HASH_SHA256_LEN],
    const char *where, struct errtext *e);

/* take_digests - the items of an array (at most max), or v itself. */
static int
take_digests(struct creds *c, const struct jobj *v, take_digest *take, size_t max,
    struct creds_digests *d, const char *where, struct errtext *e)
{
	bool many = jobj_kind(v) == JOBJ_ARR;
	size_t n = many ? jobj_count(v) : 1;
	int r = 0;

	if (n > max)
		return err_set(e, ERR_LIMIT, "%s: more than %zu secrets or keys", where, max);
	d->v = mem_array(n, sizeof *d->v);
	if (d->v == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", where);
	while (r == 0 && d->n < n) {
		r = take(c, many ? jobj_at(v, d->n) : v, d->v[d->n], where, e);
		d->n++;
	}
	return r;
}

/* is_pattern - a service's name, in which '*' may stand. */
static bool
is_pattern(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= CTL_NAME_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*") == n;
}

typedef bool is_item_fn(const char *s);

static int
take_item(
    const char *s, is_item_fn *is, struct creds_list *l, struct match *hosts, struct errtext *e)
{
	if (hosts != NULL && (l == NULL || strchr(s, ':') != NULL))
		return match_add(hosts, s, e);
	if (!is(s))
		return err_set(
		    e, ERR_INVALID, "not a name%s", hosts != NULL ? " and not HOST:PORT" : "");
	if ((l->v[l->n] = mem_strdup(s)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	l->n++;
	return 0;
}

/*
 * take_list - the strings of member name, if it is there: patterns of names, each as is says, into
 * l, and those with a colon into hosts. One of the two may be NULL: then all items belong to the
 * other.
 */
static int
take_list(const struct jobj *o, const char *name, is_item_fn *is, struct creds_list *l,
    struct match *hosts, const char *where, struct errtext *e)
{
	const struct jobj *a = NULL;
	struct errtext sub;
	int r = jobj_arr(o, name, &a, &sub);

	if (r == ERR_NOTFOUND)
		return 0;
	if (r != 0)
		return err_set(e, r, "%s: %s", where, sub.s);
	if (jobj_count(a) > CREDS_LIST_MAX)
		return err_set(
		    e, ERR_LIMIT, "%s: \"%s\" has more than %d items", where, name, CREDS_LIST_MAX);
	if (l != NULL && (l->v = mem_array(jobj_count(a), sizeof *l->v)) == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", where);
	for (size_t i = 0; i < jobj_count(a); i++) {
		const char *s = jobj_as_str(jobj_at(a, i));

		if (s == NULL)
			return err_set(
			    e, ERR_INVALID, "%s: \"%s\" must hold strings only", where, name);
		if ((r = take_item(s, is, l, hosts, &sub)) != 0)
			return err_set(e, r, "%s: \"%s\": item %zu: %s", where, name, i + 1, sub.s);
	}
	return 0;
}

static int
take_expires(const struct jobj *o, struct creds_entry *en, const char *where, struct errtext *e)
{
	const char *s = NULL;
	struct errtext sub;
	int r = jobj_str(o, "expires", &s, &sub);

	en->expires_s = NEVER;
	if (r == ERR_NOTFOUND)
		return 0;
	if (r != 0)
		return err_set(e, r, "%s: %s", where, sub.s);
	if (!rfc3339_parse(s, &en->expires_s))
		return err_set(e, ERR_INVALID,
		    "%s: \"expires\" is not a time like 2027-01-31T00:00:00Z", where);
	return 0;
}

/* take_limit - member name, if it is there; size: it may be written like "64m". */
static int
take_limit(const struct jobj *o, const char *name, bool size, uint64_t *out, const char *where,
    struct errtext *e)
{
	const char *s = size ? jobj_as_str(jobj_get(o, name)) : NULL;
	const int64_t max = size ? (int64_t)CREDS_LIMIT_MAX * 1000 : CREDS_LIMIT_MAX;
	struct errtext sub;
	int64_t n = 0;
	int r;

	if (s != NULL) {
		r = str_parse_size(s, 1, (uint64_t)max, out);
		return r == 0 ? 0 : err_set(e, r, "%s: \"%s\" is not a size like 64m", where, name);
	}
	r = jobj_int(o, name, 1, max, &n, &sub);
	if (r == ERR_NOTFOUND)
		return 0;
	if (r != 0)
		return err_set(e, r, "%s: %s", where, sub.s);
	*out = (uint64_t)n;
	return 0;
}

/* take_rest - what both kinds of entry may have. */
static int
take_rest(const struct jobj *o, struct creds_entry *en, const char *where, struct errtext *e)
{
	struct creds_limits *l = &en->limits;
	int r;

	if ((r = take_limit(o, "max-sessions", false, &l->sessions, where, e)) != 0 ||
	    (r = take_limit(o, "max-streams", false, &l->streams, where, e)) != 0 ||
	    (r = take_limit(o, "max-memory", true, &l->memory, where, e)) != 0 ||
	    (r = take_limit(o, "max-opens", false, &l->opens, where, e)) != 0)
		return r;
	return take_expires(o, en, where, e);
}

/* take_proofs - how one shows that one is the entry's owner: its "secret", its "key", or both. */
static int
take_proofs(struct creds *c, const struct jobj *o, struct creds_entry *en, const char *where,
    struct errtext *e)
{
	const struct jobj *secret = jobj_get(o, "secret"), *key = jobj_get(o, "key");
	int r = 0;

	if (secret != NULL)
		r = take_digests(c, secret, take_secret, CREDS_SECRETS_MAX, &en->secrets, where, e);
	if (r == 0 && key != NULL)
		r = take_digests(c, key, take_key, CREDS_SECRETS_MAX, &en->keys, where, e);
	return r;
}

/* check_members - refuse what is not known and demand a secret or a key. */
static int
check_members(
    const struct jobj *o, const char *const *allowed, const char *where, struct errtext *e)
{
	struct errtext sub;
	int r = jobj_only(o, allowed, &sub);

	if (r != 0)
		return err_set(e, r, "%s: %s", where, sub.s);
	if (jobj_get(o, "secret") == NULL && jobj_get(o, "key") == NULL)
		return err_set(e, ERR_INVALID, "%s: \"secret\" or \"key\" is missing", where);
	return 0;
}

static int
take_agent(struct creds *c, const struct jobj *v, struct creds_entry *en, const char *where,
    struct errtext *e)
{
	static const char *const allowed[] = { "secret", "key", "services", "targets", "ports",
		"hosts", "max-services", "publish", LIMITS, NULL };
	int r;

	/* A client's is only a label; an agent says its own, and clients ask for it. */
	if (!ctl_is_agent(en->name))
		return err_set(e, ERR_INVALID, "%s: a name has no control characters", where);
	creds_publish_init(&en->publish);
	if (jobj_kind(v) == JOBJ_STR) {
		en->expires_s = NEVER;
		return take_digests(c, v, take_secret, 1, &en->secrets, where, e);
	}
	if (jobj_kind(v) != JOBJ_OBJ)
		return err_set(e, ERR_INVALID, "%s: must be a secret or an object", where);
	if ((en->hosts = match_new()) == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", where);
	en->limited = jobj_get(v, "services") != NULL || jobj_get(v, "targets") != NULL;
	if ((r = check_members(v, allowed, where, e)) != 0 ||
	    (r = take_proofs(c, v, en, where, e)) != 0 ||
	    (r = take_list(v, "services", is_pattern, &en->services, NULL, where, e)) != 0 ||
	    (r = take_list(v, "targets", is_pattern, NULL, en->hosts, where, e)) != 0 ||
	    (r = creds_publish_take(&en->publish, v, where, e)) != 0)
		return r;
	return take_rest(v, en, where, e);
}

/* take_targets - a client's. */
static int
take_targets(const struct jobj *v, struct creds_entry *en, const char *where, struct errtext *e)
{
	if ((en->hosts = match_new()) == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", where);
	return take_list(v, "targets", is_pattern, &en->services, en->hosts, where, e);
}

static int
take_e2e(const struct jobj *v, struct creds_entry *en, const char *where, struct errtext *e)
{
	const struct jobj *b = jobj_get(v, "e2e");

	if (b != NULL && !jobj_as_bool(b, &en->e2e))
		return err_set(e, ERR_INVALID, "%s: \"e2e\" is neither true nor false", where);
	return 0;
}

static int
take_client(struct creds *c, const struct jobj *v, struct creds_entry *en, const char *where,
    struct errtext *e)
{
	static const char *const allowed[] = { "secret", "key", "agents", "targets", "e2e", LIMITS,
		NULL };
	int r;

	if (jobj_kind(v) != JOBJ_OBJ)
		return err_set(e, ERR_INVALID, "%s: must be an object", where);
	if ((r = check_members(v, allowed, where, e)) != 0 ||
	    (r = take_proofs(c, v, en, where, e)) != 0 ||
	    (r = take_list(v, "agents", ctl_is_agent, &en->agents, NULL, where, e)) != 0 ||
	    (r = take_targets(v, en, where, e)) != 0 || (r = take_e2e(v, en, where, e)) != 0)
		return r;
	return take_rest(v, en, where, e);
}

/* take_own_client - of an agent's file: a relay's agents and secrets have no place there. */
static int
take_own_client(struct creds *c, const struct jobj *v, struct creds_entry *en, const char *where,
    struct errtext *e)
{
	static const char *const allowed[] = { "key", "targets", "expires", "max-sessions",
		"max-streams", "max-memory", NULL };
	int r;

	if (jobj_kind(v) != JOBJ_OBJ)
		return err_set(e, ERR_INVALID, "%s: must be an object", where);
	if ((r = check_members(v, allowed, where, e)) != 0 ||
	    (r = take_proofs(c, v, en, where, e)) != 0 || (r = take_targets(v, en, where, e)) != 0)
		return r;
	return take_rest(v, en, where, e);
}

typedef int take_entry(struct creds *c, const struct jobj *v, struct creds_entry *en,
    const char *where, struct errtext *e);

/* take_table - member name of the file, an object of entries, into t. */
static int
take_table(struct creds *c, const struct jobj *file, const char *name, take_entry *take,
    struct creds_table *t, struct errtext *e)
{
	const struct jobj *o = NULL, *v;
	struct jobj_iter it = { 0 };
	const char *key;
	char where[CTL_AGENT_MAX + 32];
	int r = jobj_obj(file, name, &o, e);

	if (r != 0)
		return r == ERR_NOTFOUND ? 0 : r;
	if ((t->v = mem_array(jobj_count(o), sizeof *t->v)) == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", name);
	while (jobj_each(o, &it, &key, &v)) {
		struct creds_entry *en = &t->v[t->n];

		if (key[0] == '\0' || strlen(key) > CTL_AGENT_MAX)
			return err_set(e, ERR_INVALID, "%s: entry %zu: a name has 1 to %d bytes",
			    name, t->n + 1, CTL_AGENT_MAX);
		if ((en->name = mem_strdup(key)) == NULL)
			return err_set(e, ERR_NOMEM, "%s: out of memory", name);
		t->n++;
		snprintf(where, sizeof where, "%s: \"%s\"", name, key);
		if ((r = take(c, v, en, where, e)) != 0)
			return r;
	}
	if (t->n > 1)
		qsort(t->v, t->n, sizeof *t->v, creds_by_name);
	return 0;
}

struct owner {
	const uint8_t *digest;
	/* NULL: access-client-secrets */
	const struct creds_entry *entry;
};

static int
by_digest(const void *a, const void *b)
{
	return memcmp(
	    ((const struct owner *)a)->digest, ((const struct owner *)b)->digest, HASH_SHA256_LEN);
}

/* check_agents - an agent's name becomes a host name, and those do not differ by case. */
static void
check_agents(struct creds *c)
{
	struct creds_entry *v = c->agents.v;

	for (size_t i = 1; i < c->agents.n; i++) {
		if (strcasecmp(v[i - 1].name, v[i].name) != 0)
			continue;
		v[i - 1].has_twin = v[i].has_twin = true;
		warn(c,
		    "edge-agents: \"%s\" and \"%s\" differ in case only: neither is a host name",
		    v[i - 1].name, v[i].name);
	}
}

/* owners_differ - no two that are equal, in order, belong to different entries. */
static int
owners_differ(struct owner *all, size_t n, const char *what, struct errtext *e)
{
	if (n > 1)
		qsort(all, n, sizeof *all, by_digest);
	for (size_t i = 1; i < n; i++) {
		const struct owner *p = &all[i - 1], *q = &all[i];

		if (by_digest(p, q) == 0 && p->entry != q->entry)
			return err_set(e, ERR_INVALID, "clients: \"%s\" has the same %s as %s%s%s",
			    (q->entry != NULL ? q : p)->entry->name, what,
			    p->entry != NULL && q->entry != NULL ? "\"" : "access-client-secrets",
			    p->entry != NULL && q->entry != NULL ? p->entry->name : "",
			    p->entry != NULL && q->entry != NULL ? "\"" : "");
	}
	return 0;
}

static size_t
add_owners(struct owner *all, size_t n, const struct creds_digests *d, const struct creds_entry *en)
{
	for (size_t i = 0; i < d->n; i++)
		all[n++] = (struct owner){ d->v[i], en };
	return n;
}

/* check_clients - a client is known by its secret or key alone: no two may have the same. */
static int
check_clients(const struct creds *c, struct errtext *e)
{
	const struct creds_table *t = &c->clients;
	size_t most = c->shared.n, n;
	struct owner *all;
	int r;

	for (size_t i = 0; i < t->n; i++)
		most += t->v[i].secrets.n + t->v[i].keys.n;
	if ((all = mem_array(most, sizeof *all)) == NULL)
		return err_set(e, ERR_NOMEM, "clients: out of memory");
	n = add_owners(all, 0, &c->shared, NULL);
	for (size_t i = 0; i < t->n; i++)
		n = add_owners(all, n, &t->v[i].secrets, &t->v[i]);
	r = owners_differ(all, n, "secret", e);
	n = 0;
	for (size_t i = 0; r == 0 && i < t->n; i++)
		n = add_owners(all, n, &t->v[i].keys, &t->v[i]);
	if (r == 0)
		r = owners_differ(all, n, "key", e);
	mem_free(all);
	return r;
}

/* warn_unknown - http-network-relay ignores such members, and files have notes in them. */
static void
warn_unknown(struct creds *c, const struct jobj *o, const char *const *known)
{
	struct jobj_iter it = { 0 };
	const struct jobj *v = NULL;
	const char *name, *near;
	size_t i;

	while (jobj_each(o, &it, &name, &v)) {
		for (i = 0; known[i] != NULL && strcmp(known[i], name) != 0; i++)
			;
		near = str_nearest(name, known);
		if (known[i] == NULL)
			warn(c, "unknown key \"%.64s\" has no effect%s%s%s", name,
			    near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
			    near != NULL ? "\"?" : "");
	}
}

static int
take_file(const struct jobj *o, struct creds *c, struct errtext *e)
{
	static const char *const allowed[] = { "edge-agents", "access-client-secrets", "clients",
		NULL };
	const struct jobj *a = NULL;
	int r;

	if (jobj_kind(o) != JOBJ_OBJ)
		return err_set(e, ERR_INVALID, "the file is not a JSON object");
	warn_unknown(c, o, allowed);
	if ((r = take_table(c, o, "edge-agents", take_agent, &c->agents, e)) != 0 ||
	    (r = take_table(c, o, "clients", take_client, &c->clients, e)) != 0)
		return r;
	r = jobj_arr(o, "access-client-secrets", &a, e);
	if (r == ERR_NOTFOUND)
		return 0;
	return r != 0 ? r
		      : take_digests(c, a, take_secret, CREDS_FILE_MAX, &c->shared,
			    "access-client-secrets", e);
}

int
creds_take_clients(const struct jobj *o, struct creds *c, struct errtext *e)
{
	static const char *const allowed[] = { "clients", NULL };
	int r;

	if (jobj_kind(o) != JOBJ_OBJ)
		return err_set(e, ERR_INVALID, "the file is not a JSON object");
	if ((r = jobj_only(o, allowed, e)) != 0)
		return r;
	return take_table(c, o, "clients", take_own_client, &c->clients, e);
}

/* ---- agents' keys from the command line ---- */

/*
 * agent_of_key - the entry for an agent of n bytes, made if no item before has.  Those of the file,
 * which come first, are not to be changed by the command line: NULL and ERR_INVALID.
 */
static int
agent_of_key(struct creds *c, size_t n_file, const char *name, size_t n, struct creds_entry **out,
    struct errtext *e)
{
	struct creds_entry *en;

	for (size_t i = 0; i < c->agents.n; i++) {
		en = &c->agents.v[i];
		if (strlen(en->name) != n || memcmp(en->name, name, n) != 0)
			continue;
		*out = en;
		return i >= n_file ? 0
				   : err_set(e, ERR_INVALID,
					 "agent \"%s\" has an entry in the credentials file, too",
					 en->name);
	}
	en = &c->agents.v[c->agents.n];
	*en = (struct creds_entry){ .name = mem_zalloc(n + 1), .expires_s = NEVER };
	en->keys.v = mem_array(CREDS_SECRETS_MAX, sizeof *en->keys.v);
	c->agents.n++;
	if (en->name == NULL || en->keys.v == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	memcpy(en->name, name, n);
	creds_publish_init(&en->publish);
	*out = en;
	return ctl_is_agent(en->name) ? 0 : err_set(e, ERR_INVALID, "no agent's name");
}

static int
take_agent_key(struct creds *c, size_t n_file, const char *item, struct errtext *e)
{
	/* The last one: a name may have one, a key has none. */
	const char *eq = strrchr(item, '=');
	uint8_t point[KEYS_POINT_LEN];
	struct creds_entry *en = NULL;
	int r;

	if (eq == NULL || eq == item || (size_t)(eq - item) > CTL_AGENT_MAX)
		return err_set(e, ERR_INVALID, "not NAME=" KEYS_PUB_PREFIX "...");
	if ((r = keys_point(eq + 1, strlen(eq + 1), point, e)) != 0 ||
	    (r = agent_of_key(c, n_file, item, (size_t)(eq - item), &en, e)) != 0)
		return r;
	if (en->keys.n == CREDS_SECRETS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d keys of one agent", CREDS_SECRETS_MAX);
	return creds_digest_of_key(point, en->keys.v[en->keys.n++]);
}

static int
take_agent_keys(struct creds *c, char *const *items, size_t n, struct errtext *e)
{
	struct creds_table *t = &c->agents;
	size_t n_file = t->n;
	struct creds_entry *v;
	struct errtext why = { "" };
	int r = 0;

	if (n == 0)
		return 0;
	if ((v = mem_resize(t->v, t->n + n, sizeof *v)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	t->v = v;
	for (size_t i = 0; r == 0 && i < n; i++)
		if ((r = take_agent_key(c, n_file, items[i], &why)) != 0)
			err_set(e, r, "--agent-key %s: %s", items[i], why.s);
	if (r == 0)
		qsort(t->v, t->n, sizeof *t->v, creds_by_name);
	return r;
}

/* ---- all of it ---- */

/* p NULL: there is no file. */
static int
read_all(const void *p, size_t n, creds_take *take, char *const *agent_keys, size_t n_keys,
    struct creds **out, struct errtext *e)
{
	struct jobj *o = NULL;
	struct creds *c = mem_zalloc(sizeof *c);
	int r = 0;

	if (c == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	atomic_init(&c->refs, 1);
	if (p != NULL && (r = jobj_parse(p, n, CREDS_FILE_MAX, &o, e)) == 0)
		r = take(o, c, e);
	jobj_free(o);
	if (r == 0 && (r = take_agent_keys(c, agent_keys, n_keys, e)) == 0) {
		check_agents(c);
		r = check_clients(c, e);
	}
	if (r == 0)
		*out = c;
	else
		creds_unref(c);
	return r;
}

int
creds_parse(const void *p, size_t n, struct creds **out, struct errtext *e)
{
	return read_all(p, n, take_file, NULL, 0, out, e);
}

int
creds_read(const void *p, size_t n, creds_take *take, struct creds **out, struct errtext *e)
{
	return read_all(p, n, take, NULL, 0, out, e);
}

static int
load(const char *path, creds_take *take, char *const *agent_keys, size_t n, struct creds **out,
    struct errtext *e)
{
	struct errtext sub;
	char *buf = NULL;
	size_t len = 0;
	int r;

	if (path == NULL)
		return read_all(NULL, 0, take, agent_keys, n, out, e);
	if ((r = file_read_all(path, CREDS_FILE_MAX, &buf, &len, e)) != 0)
		return r;
	r = read_all(buf, len, take, agent_keys, n, out, &sub);
	mem_wipe(buf, len);
	mem_free(buf);
	return r == 0 ? 0 : err_set(e, r, "%s: %s", path, sub.s);
}

int
creds_load(
    const char *path, char *const *agent_keys, size_t n, struct creds **out, struct errtext *e)
{
	return load(path, take_file, agent_keys, n, out, e);
}

int
creds_read_file(const char *path, creds_take *take, struct creds **out, struct errtext *e)
{
	return load(path, take, NULL, 0, out, e);
}
