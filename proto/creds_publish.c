/* SPDX-License-Identifier: ISC */
/* creds_publish - an agent's ports, hosts and number of services, read once at load. */
#include "proto/creds_publish.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/conf/jobj.h"
#include "lib/conf/match.h"
#include "lib/net/hostport.h"
#include "proto/creds.h"
#include "proto/request_web.h"

void
creds_publish_init(struct creds_publish *p)
{
	*p = (struct creds_publish){ .any_port = true, .max_services = CREDS_SERVICES_DEFAULT };
}

void
creds_publish_fini(struct creds_publish *p)
{
	mem_free(p->ports);
	for (size_t i = 0; i < p->n_hosts; i++)
		mem_free(p->hosts[i]);
	mem_free(p->hosts);
	for (size_t i = 0; i < p->n_published; i++)
		request_fini(&p->published[i].what);
	mem_free(p->published);
}

/* take_item - 2222, "2222" or "6000-6010". */
static bool
take_item(const struct jobj *v, struct creds_ports *out)
{
	const char *s = jobj_as_str(v);
	uint64_t lo, hi;
	int64_t port;

	if (s != NULL) {
		if (str_parse_range(s, 1, UINT16_MAX, &lo, &hi) != 0)
			return false;
	} else {
		if (!jobj_as_int(v, &port) || port < 1 || port > UINT16_MAX)
			return false;
		lo = hi = (uint64_t)port;
	}
	*out = (struct creds_ports){ (uint16_t)lo, (uint16_t)hi };
	return true;
}

static int
take_ports(struct creds_publish *p, const struct jobj *entry, const char *where, struct errtext *e)
{
	const struct jobj *a = NULL;
	struct errtext sub;
	int r = jobj_arr(entry, "ports", &a, &sub);

	if (r == ERR_NOTFOUND)
		return 0;
	if (r != 0)
		return err_set(e, r, "%s: %s", where, sub.s);
	if (jobj_count(a) > CREDS_LIST_MAX)
		return err_set(
		    e, ERR_LIMIT, "%s: \"ports\" has more than %d items", where, CREDS_LIST_MAX);
	if ((p->ports = mem_array(jobj_count(a), sizeof *p->ports)) == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", where);
	p->any_port = false;
	for (; p->n_ports < jobj_count(a); p->n_ports++) {
		if (!take_item(jobj_at(a, p->n_ports), &p->ports[p->n_ports]))
			return err_set(e, ERR_INVALID,
			    "%s: \"ports\": item %zu: neither a port nor a range like "
			    "\"6000-6010\"",
			    where, p->n_ports + 1);
	}
	return 0;
}

/* take_host - a copy in lower case; NULL: no memory, or no pattern of hosts (ERR_INVALID in *r). */
static char *
take_host(const char *s, int *r)
{
	char *host;

	*r = ERR_INVALID;
	if (s == NULL || s[0] == '\0' || strlen(s) > REQUEST_HOST_MAX ||
	    s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*")] !=
		'\0')
		return NULL;
	host = mem_strdup(s);
	*r = host != NULL ? 0 : ERR_NOMEM;
	for (char *c = host; c != NULL && *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return host;
}

static int
take_hosts(struct creds_publish *p, const struct jobj *entry, const char *where, struct errtext *e)
{
	const struct jobj *a = NULL;
	struct errtext sub;
	int r = jobj_arr(entry, "hosts", &a, &sub);

	if (r == ERR_NOTFOUND)
		return 0;
	if (r != 0)
		return err_set(e, r, "%s: %s", where, sub.s);
	if (jobj_count(a) > CREDS_LIST_MAX)
		return err_set(
		    e, ERR_LIMIT, "%s: \"hosts\" has more than %d items", where, CREDS_LIST_MAX);
	if ((p->hosts = mem_array(jobj_count(a), sizeof *p->hosts)) == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", where);
	p->has_hosts = true;
	for (; p->n_hosts < jobj_count(a); p->n_hosts++) {
		p->hosts[p->n_hosts] = take_host(jobj_as_str(jobj_at(a, p->n_hosts)), &r);
		if (r == ERR_NOMEM)
			return err_set(e, r, "%s: out of memory", where);
		if (r != 0)
			return err_set(e, r,
			    "%s: \"hosts\": item %zu: neither a label, nor a name, nor a pattern "
			    "like \"*.acme.test\"",
			    where, p->n_hosts + 1);
	}
	return 0;
}

/* ---- "publish" ---- */

static int
take_target(struct creds_published *x, const struct jobj *o, struct errtext *e)
{
	struct hostport hp;
	const char *s = NULL;
	int r = jobj_str(o, "target", &s, e);

	if (r == 0)
		r = hostport_parse(s, 0, &hp, e);
	if (r != 0)
		return ERR_INVALID;
	snprintf(x->host, sizeof x->host, "%s", hp.host);
	x->port = hp.port;
	return 0;
}

/* The item as the request that it stands for. */
static int
take_request(struct creds_published *x, const struct jobj *o, struct errtext *e)
{
	struct jobj *q = jobj_copy(o);
	struct request_reply a;
	char *text = NULL;
	size_t n = 0;
	int r;

	if ((r = jobj_set_int(q, "id", 1)) == 0 &&
	    (r = jobj_set_str(q, "request", "publish")) == 0 && (text = jobj_dump(q, &n)) == NULL)
		r = ERR_NOMEM;
	if (r == 0)
		r = request_parse(&x->what, &a, text, n, e);
	else
		err_set(e, r, "out of memory");
	mem_free(text);
	jobj_free(q);
	return r == 0 || r == ERR_NOMEM ? r : ERR_INVALID;
}

static int
take_published_one(struct creds_published *x, const struct jobj *o, struct errtext *e)
{
	static const char *const allowed[] = { "kind", "service", "target", "port", "host",
		"random", "allow", "deny", "max_connections", "max_rate", "proxy", "auth",
		"rewrite_host", "remove_fields", "add_fields", "upgrades", "connect_ms",
		"timeout_ms", "pool", NULL };
	int r = jobj_kind(o) == JOBJ_OBJ ? jobj_only(o, allowed, e)
					 : err_set(e, ERR_INVALID, "must be an object");

	if (r == 0)
		r = take_target(x, o, e);
	return r != 0 ? r : take_request(x, o, e);
}

static int
take_published(
    struct creds_publish *p, const struct jobj *entry, const char *where, struct errtext *e)
{
	const struct jobj *a = NULL;
	struct errtext sub;
	int r = jobj_arr(entry, "publish", &a, &sub);

	if (r == ERR_NOTFOUND)
		return 0;
	if (r != 0)
		return err_set(e, r, "%s: %s", where, sub.s);
	if (jobj_count(a) > p->max_services)
		return err_set(e, ERR_LIMIT,
		    "%s: \"publish\" has more items than the agent may publish (\"max-services\")",
		    where);
	if ((p->published = mem_array(jobj_count(a), sizeof *p->published)) == NULL)
		return err_set(e, ERR_NOMEM, "%s: out of memory", where);
	for (; p->n_published < jobj_count(a); p->n_published++) {
		r = take_published_one(
		    &p->published[p->n_published], jobj_at(a, p->n_published), &sub);
		if (r != 0)
			return err_set(e, r, "%s: \"publish\": item %zu: %s", where,
			    p->n_published + 1, sub.s);
	}
	return 0;
}

int
creds_publish_take(
    struct creds_publish *p, const struct jobj *entry, const char *where, struct errtext *e)
{
	struct errtext sub;
	int64_t n = CREDS_SERVICES_DEFAULT;
	int r = jobj_int(entry, "max-services", 0, CREDS_SERVICES_MAX, &n, &sub);

	if (r != 0 && r != ERR_NOTFOUND)
		return err_set(e, r, "%s: %s", where, sub.s);
	p->max_services = (uint64_t)n;
	if ((r = take_ports(p, entry, where, e)) != 0 || (r = take_hosts(p, entry, where, e)) != 0)
		return r;
	return take_published(p, entry, where, e);
}

bool
creds_publish_admits(const struct creds_publish *p, uint16_t port)
{
	for (size_t i = 0; i < p->n_ports; i++) {
		if (port >= p->ports[i].lo && port <= p->ports[i].hi)
			return true;
	}
	return p->any_port;
}

uint16_t
creds_publish_next(const struct creds_publish *p, uint16_t port)
{
	uint16_t next = 0;

	if (creds_publish_admits(p, port))
		return port;
	for (size_t i = 0; i < p->n_ports; i++)
		if (p->ports[i].lo > port && (next == 0 || p->ports[i].lo < next))
			next = p->ports[i].lo;
	return next;
}

bool
creds_publish_admits_host(const struct creds_publish *p, const char *label, const char *host)
{
	for (size_t i = 0; i < p->n_hosts; i++) {
		const char *item = p->hosts[i];
		const char *text = strchr(item, '.') != NULL ? host : label;

		/* Without a label there is nothing for a pattern of labels, "**" included. */
		if (strcmp(item, "*") == 0 || (text[0] != '\0' && match_glob(item, text)))
			return true;
	}
	return false;
}

bool
creds_publish_admits_random(const struct creds_publish *p)
{
	for (size_t i = 0; i < p->n_hosts; i++)
		if (strcmp(p->hosts[i], "*") == 0 || strcmp(p->hosts[i], "random") == 0)
			return true;
	return false;
}
