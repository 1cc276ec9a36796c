/* SPDX-License-Identifier: ISC */
/* request_web - what a request to publish a web service says of hosts and of requests. */
#include "proto/request_web.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/conf/jobj.h"
#include "lib/net/hostport.h"
#include "proto/ctl_int.h"

/* ---- life ---- */

struct request_web *
request_web_new(void)
{
	struct request_web *w = mem_zalloc(sizeof *w);

	if (w != NULL)
		w->refs = 1;
	return w;
}

struct request_web *
request_web_ref(struct request_web *w)
{
	if (w != NULL)
		w->refs++;
	return w;
}

static void
free_fields(struct request_field *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		mem_free(v[i].name);
		mem_free(v[i].value);
	}
	mem_free(v);
}

void
request_web_unref(struct request_web *w)
{
	if (w == NULL || --w->refs > 0)
		return;
	free_fields(w->add, w->n_add);
	free_fields(w->remove, w->n_remove);
	mem_free(w->users);
	mem_free(w);
}

/* ---- what may be said ---- */

/* RFC 9110 5.6.2 */
static bool
is_token(const char *s, size_t max)
{
	size_t n = strlen(s);

	return n >= 1 && n <= max &&
	       strspn(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
}

/* They say where a message ends, or whom it is for: the relay's to write. */
static bool
is_relays(const char *name)
{
	static const char *const names[] = { "Connection", "Content-Length", "Expect", "Host",
		"HTTP2-Settings", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

static int
check_field(const char *name, const char *value, struct errtext *why)
{
	size_t n = value != NULL ? strlen(value) : 0;

	if (!is_token(name, REQUEST_FIELD_NAME_MAX))
		return err_set(why, ERR_INVALID, "this is no name of a header field");
	if (is_relays(name))
		return err_set(why, ERR_INVALID, "the field %s is the relay's to write", name);
	if (n > REQUEST_FIELD_VALUE_MAX)
		return err_set(why, ERR_INVALID, "the value of %s is longer than %d bytes", name,
		    REQUEST_FIELD_VALUE_MAX);
	if (value != NULL && !ctl_is_text(value))
		return err_set(why, ERR_INVALID, "the value of %s holds a control character", name);
	return 0;
}

static int
no_memory(struct errtext *why)
{
	return err_set(why, ERR_NOMEM, "out of memory");
}

int
request_web_add_field(
    struct request_web *w, const char *name, const char *value, struct errtext *why)
{
	struct request_field **v = value != NULL ? &w->add : &w->remove, *f;
	size_t *n = value != NULL ? &w->n_add : &w->n_remove;
	int r = check_field(name, value, why);

	if (r != 0)
		return r;
	if (*n == REQUEST_FIELDS_MAX)
		return err_set(why, ERR_LIMIT, "more than %d header fields", REQUEST_FIELDS_MAX);
	if ((f = mem_resize(*v, *n + 1, sizeof *f)) == NULL)
		return no_memory(why);
	*v = f;
	f[*n] = (struct request_field){ mem_strdup(name), NULL };
	if (f[*n].name == NULL)
		return no_memory(why);
	f[(*n)++].value = value != NULL ? mem_strdup(value) : NULL;
	return value != NULL && f[*n - 1].value == NULL ? no_memory(why) : 0;
}

int
request_web_add_upgrade(struct request_web *w, const char *name, struct errtext *why)
{
	size_t len = strlen(w->upgrades), n = len > 0;

	for (const char *p = w->upgrades; *p != '\0'; p++)
		n += *p == ',';
	if (!is_token(name, REQUEST_UPGRADE_MAX))
		return err_set(why, ERR_INVALID, "this is no name of a protocol");
	if (strcasecmp(name, "h2c") == 0)
		return err_set(why, ERR_INVALID, "h2c is never passed on");
	if (n == REQUEST_UPGRADES_MAX)
		return err_set(why, ERR_LIMIT, "more than %d protocols", REQUEST_UPGRADES_MAX);
	snprintf(w->upgrades + len, sizeof w->upgrades - len, "%s%s", n > 0 ? ", " : "", name);
	return 0;
}

int
request_web_add_user(struct request_web *w, const char *name, const uint8_t digest[HASH_SHA256_LEN],
    struct errtext *why)
{
	struct request_user *v;
	size_t n = strlen(name);

	if (n == 0 || n > REQUEST_USER_MAX || strchr(name, ':') != NULL || !ctl_is_text(name))
		return err_set(why, ERR_INVALID, "a user has 1 to %d characters, and no colon",
		    REQUEST_USER_MAX);
	for (size_t i = 0; i < w->n_users; i++)
		if (strcmp(w->users[i].name, name) == 0)
			return err_set(why, ERR_INVALID, "the user %s stands there twice", name);
	if (w->n_users == REQUEST_USERS_MAX)
		return err_set(why, ERR_LIMIT, "more than %d users", REQUEST_USERS_MAX);
	if ((v = mem_resize(w->users, w->n_users + 1, sizeof *v)) == NULL)
		return no_memory(why);
	w->users = v;
	memset(&v[w->n_users], 0, sizeof *v);
	memcpy(v[w->n_users].name, name, n);
	memcpy(v[w->n_users++].digest, digest, HASH_SHA256_LEN);
	return 0;
}

int
request_web_set_host(struct request_web *w, const char *host, struct errtext *why)
{
	struct hostport at;

	if (hostport_parse(host, 0, &at, NULL) != 0 && hostport_host(host, &at, NULL) != 0)
		return err_set(why, ERR_INVALID, "neither HOST nor HOST:PORT");
	if (at.is_v6 && host[0] != '[')
		return err_set(why, ERR_INVALID, "an IPv6 address needs its brackets");
	snprintf(w->host, sizeof w->host, "%s", host);
	return 0;
}

int
request_host_norm(const char *s, char out[REQUEST_HOST_MAX + 1])
{
	bool wild = strncmp(s, "*.", 2) == 0;
	const char *name = wild ? s + 2 : s;
	/* A label is part of a name that the relay completes: it may be a number. */
	bool label = !wild && strchr(name, '.') == NULL;
	char text[HTTP_HOST_MAX + 3], norm[HTTP_HOST_MAX + 1];
	int n = snprintf(text, sizeof text, "%s%s", name, label ? ".x" : "");

	if (n < 0 || (size_t)n >= sizeof text || http_host_norm(text, (size_t)n, norm) != 0)
		return ERR_INVALID;
	if (label)
		norm[strlen(norm) - 2] = '\0';
	snprintf(out, REQUEST_HOST_MAX + 1, "%s%s", wild ? "*." : "", norm);
	return 0;
}

/* ---- the same? ---- */

static bool
same_fields(const struct request_field *a, size_t n, const struct request_field *b, size_t m)
{
	if (n != m)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(a[i].name, b[i].name) != 0 ||
		    (a[i].value != NULL && strcmp(a[i].value, b[i].value) != 0))
			return false;
	return true;
}

bool
request_web_same(const struct request_web *a, const struct request_web *b)
{
	if (strcmp(a->host, b->host) != 0 || a->connect_ms != b->connect_ms ||
	    a->timeout_ms != b->timeout_ms || strcmp(a->upgrades, b->upgrades) != 0 ||
	    a->no_pool != b->no_pool || a->n_users != b->n_users)
		return false;
	for (size_t i = 0; i < a->n_users; i++)
		if (memcmp(&a->users[i], &b->users[i], sizeof a->users[i]) != 0)
			return false;
	return same_fields(a->add, a->n_add, b->add, b->n_add) &&
	       same_fields(a->remove, a->n_remove, b->remove, b->n_remove);
}

/* ---- from JSON ---- */

/* A peer's mistake, whatever was wrong with it. */
static int
as_proto(int r)
{
	return r == 0 || r == ERR_NOMEM ? r : ERR_PROTO;
}

/* "NAME: VALUE" */
static int
take_add(void *arg, const char *s, struct errtext *why)
{
	const char *colon = strstr(s, ": ");
	char name[REQUEST_FIELD_NAME_MAX + 1];

	if (colon == NULL)
		return err_set(why, ERR_INVALID, "not of the form NAME: VALUE");
	if ((size_t)(colon - s) >= sizeof name)
		return err_set(why, ERR_INVALID, "the name of a header field is too long");
	memcpy(name, s, (size_t)(colon - s));
	name[colon - s] = '\0';
	return request_web_add_field(arg, name, colon + 2, why);
}

static int
take_remove(void *arg, const char *s, struct errtext *why)
{
	return request_web_add_field(arg, s, NULL, why);
}

static int
take_upgrade(void *arg, const char *s, struct errtext *why)
{
	return request_web_add_upgrade(arg, s, why);
}

static int
take_users(struct request_web *w, const struct jobj *o, struct errtext *why)
{
	uint8_t digest[HASH_SHA256_LEN];
	struct errtext sub = { "" };
	struct jobj_iter it = { 0 };
	const struct jobj *v, *users = NULL;
	const char *name;
	int r = jobj_obj(o, "auth", &users, why);

	if (r == ERR_NOTFOUND)
		return 0;
	/* It would ask for a password that nobody has, or for none. */
	if (r == 0 && jobj_count(users) == 0)
		return err_set(why, ERR_PROTO, "\"auth\" names nobody");
	while (r == 0 && jobj_each(users, &it, &name, &v)) {
		if (jobj_as_str(v) == NULL || !hash_unhex(digest, sizeof digest, jobj_as_str(v)))
			return err_set(why, ERR_PROTO, "\"auth\" holds what is no digest");
		if ((r = request_web_add_user(w, name, digest, &sub)) != 0)
			err_set(why, r, "\"auth\": %s", sub.s);
	}
	return as_proto(r);
}

int
request_web_take(struct request_web *w, const struct jobj *o, struct errtext *why)
{
	int64_t connect_ms = 0, timeout_ms = 0;
	char host[REQUEST_REWRITE_MAX + 1] = "";
	const struct jobj *pool = jobj_get(o, "pool");
	bool pooled = true;
	int r;

	if ((r = ctl_get_text(o, "rewrite_host", false, host, sizeof host, why)) != 0 ||
	    (r = ctl_get_int(o, "connect_ms", 1, REQUEST_TIME_MAX_MS, &connect_ms, why)) != 0 ||
	    (r = ctl_get_int(o, "timeout_ms", 1, REQUEST_TIME_MAX_MS, &timeout_ms, why)) != 0 ||
	    (r = ctl_each_text(
		 o, "add_fields", REQUEST_FIELDS_MAX, "header field", take_add, w, why)) != 0 ||
	    (r = ctl_each_text(o, "remove_fields", REQUEST_FIELDS_MAX, "header field", take_remove,
		 w, why)) != 0 ||
	    (r = ctl_each_text(
		 o, "upgrades", REQUEST_UPGRADES_MAX, "protocol", take_upgrade, w, why)) != 0 ||
	    (r = take_users(w, o, why)) != 0)
		return r;
	if (host[0] != '\0' && request_web_set_host(w, host, NULL) != 0)
		return err_set(why, ERR_PROTO, "\"rewrite_host\" is no host");
	if (pool != NULL && !jobj_as_bool(pool, &pooled))
		return err_set(why, ERR_PROTO, "\"pool\" is no boolean");
	w->connect_ms = (uint32_t)connect_ms;
	w->timeout_ms = (uint32_t)timeout_ms;
	w->no_pool = !pooled;
	return 0;
}

/* ---- to JSON ---- */

/* o gets a if that has items. */
static int
put_some(struct jobj *o, const char *name, struct jobj *a, int r)
{
	if (r == 0 && jobj_count(a) > 0)
		return jobj_set_take(o, name, a);
	jobj_free(a);
	return r;
}

static int
put_fields(struct jobj *o, const char *name, const struct request_field *v, size_t n)
{
	char text[REQUEST_FIELD_NAME_MAX + 2 + REQUEST_FIELD_VALUE_MAX + 1];
	struct jobj *a = jobj_new_arr();
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		snprintf(text, sizeof text, "%s%s%s", v[i].name, v[i].value != NULL ? ": " : "",
		    v[i].value != NULL ? v[i].value : "");
		r = jobj_add_str(a, text);
	}
	return put_some(o, name, a, r);
}

static int
put_upgrades(struct jobj *o, const struct request_web *w)
{
	char list[sizeof w->upgrades], *save = NULL;
	struct jobj *a = jobj_new_arr();
	int r = 0;

	memcpy(list, w->upgrades, sizeof list);
	for (char *s = strtok_r(list, ", ", &save); r == 0 && s != NULL;
	     s = strtok_r(NULL, ", ", &save))
		r = jobj_add_str(a, s);
	return put_some(o, "upgrades", a, r);
}

static int
put_users(struct jobj *o, const struct request_web *w)
{
	char hex[HASH_HEX_LEN(HASH_SHA256_LEN) + 1];
	struct jobj *users = jobj_new_obj();
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->n_users; i++) {
		hash_hex(hex, w->users[i].digest, HASH_SHA256_LEN);
		r = jobj_set_str(users, w->users[i].name, hex);
	}
	return put_some(o, "auth", users, r);
}

static int
put_ms(struct jobj *o, const char *name, uint32_t ms)
{
	return ms == 0 ? 0 : jobj_set_int(o, name, ms);
}

int
request_web_put(const struct request_web *w, struct jobj *o)
{
	int r;

	if ((r = ctl_set_text(o, "rewrite_host", w->host)) == 0 &&
	    (r = put_ms(o, "connect_ms", w->connect_ms)) == 0 &&
	    (r = put_ms(o, "timeout_ms", w->timeout_ms)) == 0 &&
	    (r = put_fields(o, "add_fields", w->add, w->n_add)) == 0 &&
	    (r = put_fields(o, "remove_fields", w->remove, w->n_remove)) == 0 &&
	    (r = put_upgrades(o, w)) == 0 && (r = put_users(o, w)) == 0 && w->no_pool)
		r = jobj_set_bool(o, "pool", false);
	return r;
}
