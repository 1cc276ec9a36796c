/* SPDX-License-Identifier: ISC */
/* creds_publish - an agent's ports and number of services, read once at load. */
#include "proto/creds_publish.h"

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/conf/jobj.h"
#include "proto/creds.h"

void
creds_publish_init(struct creds_publish *p)
{
	*p = (struct creds_publish){ .any_port = true, .max_services = CREDS_SERVICES_DEFAULT };
}

void
creds_publish_fini(struct creds_publish *p)
{
	mem_free(p->ports);
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
	return take_ports(p, entry, where, e);
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
