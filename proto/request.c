/* SPDX-License-Identifier: ISC */
/* request - bodies of CONTROL to structs and back (PROTOCOL.md 4.4). */
#include "proto/request.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/conf/jobj.h"
#include "proto/ctl_int.h"

static const char *const verbs[] = {
	[REQUEST_PUBLISH] = "publish",
	[REQUEST_WITHDRAW] = "withdraw",
};

/* 2^53: what every reader of JSON takes exactly. */
#define ID_MAX (INT64_C(1) << 53)

static bool
is_kind(const struct request *q, const char *kind)
{
	return strcmp(q->kind, kind) == 0;
}

/* ---- reading ---- */

struct nets {
	struct addr_net *v;
	size_t *n;
};

static int
take_net(void *arg, const char *s, struct errtext *why)
{
	struct nets *nets = arg;
	int r = addr_net_parse(s, &nets->v[*nets->n]);

	(void)why;
	*nets->n += r == 0;
	return r;
}

static int
get_nets(
    const struct jobj *o, const char *name, struct addr_net *out, size_t *n, struct errtext *why)
{
	struct nets nets = { out, n };

	return ctl_each_text(o, name, REQUEST_NETS_MAX, "network", take_net, &nets, why);
}

static int
get_rules(const struct jobj *o, struct request_rules *r, struct errtext *why)
{
	int64_t connections = 0, rate = 0, proxy = 0;
	int rc;

	if ((rc = get_nets(o, "allow", r->allow, &r->n_allow, why)) != 0 ||
	    (rc = get_nets(o, "deny", r->deny, &r->n_deny, why)) != 0 ||
	    (rc = ctl_get_int(o, "max_connections", 1, REQUEST_LIMIT_MAX, &connections, why)) !=
		0 ||
	    (rc = ctl_get_int(o, "max_rate", 1, REQUEST_LIMIT_MAX, &rate, why)) != 0 ||
	    (rc = ctl_get_int(o, "proxy", 1, 2, &proxy, why)) != 0)
		return rc;
	r->max_connections = (uint32_t)connections;
	r->max_rate = (uint32_t)rate;
	r->proxy = (int)proxy;
	return 0;
}

static int
get_host(
    const struct jobj *o, const char *name, char out[REQUEST_HOST_MAX + 1], struct errtext *why)
{
	char host[REQUEST_HOST_MAX + 2] = "";
	int r = ctl_get_text(o, name, false, host, sizeof host, why);

	if (r != 0 || host[0] == '\0')
		return r;
	if (request_host_norm(host, out) != 0)
		return err_set(why, ERR_PROTO, "\"%s\" is no host", name);
	return 0;
}

/* Of a web service; other kinds have no such members, so they say nothing there. */
static int
get_web(const struct jobj *o, struct request *q, struct errtext *why)
{
	const struct jobj *random = jobj_get(o, "random");
	int r;

	if ((!is_kind(q, "http") && !is_kind(q, "tls")) || q->verb != REQUEST_PUBLISH)
		return 0;
	if (random != NULL && !jobj_as_bool(random, &q->random))
		return err_set(why, ERR_PROTO, "\"random\" is no boolean");
	if ((r = get_host(o, "host", q->host, why)) != 0 ||
	    (r = get_host(o, "had_host", q->had_host, why)) != 0)
		return r;
	if (q->random && q->host[0] != '\0')
		return err_set(why, ERR_PROTO, "\"random\" excludes \"host\"");
	if (!is_kind(q, "http"))
		return 0;
	if ((q->web = request_web_new()) == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	return request_web_take(q->web, o, why);
}

/* What is to be published or withdrawn. */
static int
get_what(const struct jobj *o, struct request *q, struct errtext *why)
{
	int64_t port = 0, had = 0;
	int rc;

	if ((rc = ctl_get_text(o, "kind", true, q->kind, sizeof q->kind, why)) != 0 ||
	    (rc = ctl_get_text(o, "service", true, q->service, sizeof q->service, why)) != 0 ||
	    (rc = ctl_get_int(o, "port", 1, UINT16_MAX, &port, why)) != 0 ||
	    (rc = ctl_get_int(o, "had", 1, UINT16_MAX, &had, why)) != 0 ||
	    (rc = get_rules(o, &q->rules, why)) != 0)
		return rc;
	if (!ctl_is_name(q->service))
		return err_set(why, ERR_PROTO, "\"service\" is not a name");
	q->port = (uint16_t)port;
	q->had = (uint16_t)had;
	return get_web(o, q, why);
}

static int
get_reply(const struct jobj *o, struct request_reply *a, struct errtext *why)
{
	int64_t port = 0;
	int rc;

	if (!jobj_as_bool(jobj_get(o, "ok"), &a->ok))
		return err_set(why, ERR_PROTO, "\"ok\" is no boolean");
	if ((rc = ctl_get_text(o, "public", false, a->public, sizeof a->public, why)) != 0 ||
	    (rc = ctl_get_text(o, "error", false, a->error, sizeof a->error, why)) != 0 ||
	    (rc = get_host(o, "host", a->host, why)) != 0 ||
	    (rc = ctl_get_int(o, "port", 1, UINT16_MAX, &port, why)) != 0)
		return rc;
	a->port = (uint16_t)port;
	return 0;
}

static enum request_verb
verb_of(const char *word)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(word, verbs[i]) == 0)
			return (enum request_verb)i;
	return REQUEST_UNKNOWN;
}

static int
parse_object(struct request *q, struct request_reply *a, const struct jobj *o, struct errtext *why)
{
	char word[32] = "";
	int rc;

	if ((rc = ctl_get_int(o, "id", 1, ID_MAX, &q->id, why)) != 0 ||
	    (rc = ctl_get_text(o, "request", false, word, sizeof word, why)) != 0)
		return rc;
	if (q->id == 0)
		return err_set(why, ERR_PROTO, "\"id\" is missing");
	if (word[0] == '\0') {
		if (jobj_get(o, "ok") == NULL)
			return err_set(why, ERR_PROTO, "neither \"request\" nor \"ok\"");
		q->verb = REQUEST_REPLY;
		a->id = q->id;
		/* An answer to it would look like one to a request of its sender with this id. */
		if ((rc = get_reply(o, a, why)) != 0)
			q->id = 0;
		return rc;
	}
	q->verb = verb_of(word);
	return q->verb == REQUEST_UNKNOWN ? 0 : get_what(o, q, why);
}

int
request_parse(
    struct request *q, struct request_reply *a, const void *p, size_t n, struct errtext *why)
{
	struct jobj *o = NULL;
	int r;

	memset(q, 0, sizeof *q);
	memset(a, 0, sizeof *a);
	r = ctl_parse_body(p, n, &o, why);
	if (r == 0)
		r = parse_object(q, a, o, why);
	jobj_free(o);
	if (r != 0)
		request_fini(q);
	return r;
}

void
request_fini(struct request *q)
{
	request_web_unref(q->web);
	q->web = NULL;
}

/* ---- writing ---- */

static int
set_number(struct jobj *o, const char *name, int64_t v)
{
	return v == 0 ? 0 : jobj_set_int(o, name, v);
}

static int
set_nets(struct jobj *o, const char *name, const struct addr_net *nets, size_t n)
{
	struct jobj *a;
	char text[ADDR_TEXT];
	int r = 0;

	if (n == 0)
		return 0;
	a = jobj_new_arr();
	for (size_t i = 0; r == 0 && i < n; i++)
		r = jobj_add_str(a, addr_net_text(&nets[i], text));
	if (r == 0)
		return jobj_set_take(o, name, a);
	jobj_free(a);
	return r;
}

char *
request_dump(const struct request *q, size_t *n)
{
	struct jobj *o = jobj_new_obj();
	const struct request_rules *u = &q->rules;
	int r;

	if ((r = jobj_set_int(o, "id", q->id)) == 0 &&
	    (r = jobj_set_str(o, "request", verbs[q->verb])) == 0 &&
	    (r = jobj_set_str(o, "kind", q->kind)) == 0 &&
	    (r = jobj_set_str(o, "service", q->service)) == 0 &&
	    (r = set_number(o, "port", q->port)) == 0 && (r = set_number(o, "had", q->had)) == 0 &&
	    (r = set_nets(o, "allow", u->allow, u->n_allow)) == 0 &&
	    (r = set_nets(o, "deny", u->deny, u->n_deny)) == 0 &&
	    (r = set_number(o, "max_connections", u->max_connections)) == 0 &&
	    (r = set_number(o, "max_rate", u->max_rate)) == 0 &&
	    (r = set_number(o, "proxy", u->proxy)) == 0 &&
	    (r = ctl_set_text(o, "host", q->host)) == 0 &&
	    (r = ctl_set_text(o, "had_host", q->had_host)) == 0 && q->random)
		r = jobj_set_bool(o, "random", true);
	if (r == 0 && q->web != NULL)
		r = request_web_put(q->web, o);
	return ctl_dump_take(o, r, n);
}

char *
request_reply_dump(const struct request_reply *a, size_t *n)
{
	struct jobj *o = jobj_new_obj();
	int r;

	if ((r = jobj_set_int(o, "id", a->id)) == 0 && (r = jobj_set_bool(o, "ok", a->ok)) == 0 &&
	    (r = ctl_set_text(o, "public", a->public)) == 0 &&
	    (r = set_number(o, "port", a->port)) == 0 &&
	    (r = ctl_set_text(o, "host", a->host)) == 0)
		r = ctl_set_text(o, "error", a->error);
	return ctl_dump_take(o, r, n);
}

bool
request_admits(const struct request_rules *r, const struct addr *a)
{
	if (addr_in_nets(a, r->deny, r->n_deny))
		return false;
	return r->n_allow == 0 || addr_in_nets(a, r->allow, r->n_allow);
}
