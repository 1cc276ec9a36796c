/* SPDX-License-Identifier: ISC */
/* offer - from the words of --tcp, --udp, --http, --tls and --allow to services. */
#include "cmd/agent/offer_int.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

#define PORT_MAX UINT16_MAX

static bool
is_digits(const char *s)
{
	return s[0] != '\0' && s[strspn(s, "0123456789")] == '\0';
}

int
offer_port(const char *s, uint16_t *out, struct errtext *e)
{
	uint64_t port;

	if (str_parse_u64(s, 1, PORT_MAX, &port) != 0)
		return err_set(e, ERR_INVALID, "\"%s\" is no port between 1 and %d", s, PORT_MAX);
	*out = (uint16_t)port;
	return 0;
}

/* ---- ranges of ports ---- */

struct range {
	uint16_t first, last;
};

/* "6000-6010" */
static bool
looks_like_range(const char *s)
{
	const char *dash = strchr(s, '-');

	return dash != NULL && dash > s && strspn(s, "0123456789") == (size_t)(dash - s) &&
	       is_digits(dash + 1);
}

/* s is cut at its dash. */
static int
read_range(char *s, struct range *out, struct errtext *e)
{
	char *dash = strchr(s, '-');
	int r;

	*dash = '\0';
	if ((r = offer_port(s, &out->first, e)) != 0 ||
	    (r = offer_port(dash + 1, &out->last, e)) != 0)
		return r;
	if (out->first > out->last)
		return err_set(
		    e, ERR_INVALID, "a range goes up: write %u-%u", out->last, out->first);
	return 0;
}

/* ---- the target ---- */

static int
read_target(const char *s, struct offer *f, struct errtext *e)
{
	struct hostport at = { .port = 0 };
	struct addr a;
	int r;

	if (s[0] == '\0')
		return err_set(
		    e, ERR_INVALID, "no target: write PORT, HOST:PORT or " ADDR_UNIX_PREFIX "PATH");
	if (strncmp(s, ADDR_UNIX_PREFIX, strlen(ADDR_UNIX_PREFIX)) == 0) {
		if (strcmp(f->kind, "udp") == 0)
			return err_set(e, ERR_INVALID, "datagrams go to no Unix socket");
		if ((r = addr_parse(s, &a, e)) == 0)
			snprintf(f->host, sizeof f->host, "%s", s);
		return r;
	}
	/* "80" and ":80" are this machine's. */
	if (is_digits(s))
		r = offer_port(s, &at.port, e);
	else
		r = hostport_parse(s, HOSTPORT_ANY_HOST, &at, e);
	if (r != 0)
		return r;
	snprintf(f->host, sizeof f->host, "%s", at.host[0] != '\0' ? at.host : "127.0.0.1");
	f->port = at.port;
	return 0;
}

/* A target that ends with a range: f gets its first port.  s is changed. */
static int
read_target_range(char *s, const struct range *public, struct offer *f, struct errtext *e)
{
	char *colon = strrchr(s, ':'), *ports = colon != NULL ? colon + 1 : s;
	struct range at;
	int r;

	if (!looks_like_range(ports))
		return err_set(e, ERR_INVALID,
		    "a range of ports needs a target with one, HOST:%u-%u", public->first,
		    public->last);
	if ((r = read_range(ports, &at, e)) != 0)
		return r;
	if (at.last - at.first != public->last - public->first)
		return err_set(e, ERR_INVALID,
		    "%u-%u are %d ports and %u-%u are %d: both ranges must be as long",
		    public->first, public->last, public->last - public->first + 1, at.first,
		    at.last, at.last - at.first + 1);
	/* read_range has ended s behind the first port. */
	if ((r = read_target(s, f, e)) == 0 && f->port == 0)
		r = err_set(e, ERR_INVALID, "a Unix socket has no ports");
	return r;
}

/* ---- the left side ---- */

static bool
is_taken(const struct offers *o, const struct offer *f, const char *name)
{
	return offers_find(o, offer_protocol(f), name) != NULL;
}

/* One that has no name gets one. */
static void
make_name(const struct offers *o, struct offer *f)
{
	char first[CTL_NAME_MAX - 8];

	if (f->public != 0)
		snprintf(first, sizeof first, "%u", f->public);
	else if (f->random)
		snprintf(first, sizeof first, "%s-random", f->kind);
	else
		snprintf(first, sizeof first, "auto");
	snprintf(f->name, sizeof f->name, "%s", first);
	for (unsigned i = 2; f->public == 0 && is_taken(o, f, f->name); i++)
		snprintf(f->name, sizeof f->name, "%s-%u", first, i);
}

static int
check_new(const struct offers *o, const struct offer *f, struct errtext *e)
{
	if (o->n == OFFERS_MAX)
		return err_set(e, ERR_INVALID, "more than %d services", OFFERS_MAX);
	for (size_t i = 0; f->public != 0 && i < o->n; i++)
		if (o->v[i].public == f->public &&
		    strcmp(offer_protocol(&o->v[i]), offer_protocol(f)) == 0)
			return err_set(
			    e, ERR_INVALID, "the public port %u is given twice", f->public);
	if (is_taken(o, f, f->name))
		return err_set(e, ERR_INVALID, "there are two services of that name, %s", f->name);
	if (o->n_nets + f->rules.n_allow + f->rules.n_deny > OFFERS_NETS_MAX)
		return err_set(e, ERR_INVALID, "more than %d networks in all", OFFERS_NETS_MAX);
	return 0;
}

/* What f owns is o's then. */
static int
add(struct offers *o, const struct offer *f, struct errtext *e)
{
	struct offer *v;
	int r = check_new(o, f, e);

	if (r != 0)
		return r;
	if ((v = mem_resize(o->v, o->n + 1, sizeof *v)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	o->v = v;
	v[o->n] = *f;
	if (f->name[0] == '\0')
		make_name(o, &v[o->n]);
	o->n_nets += f->rules.n_allow + f->rules.n_deny;
	o->n++;
	return 0;
}

/* left: "6000-6010" */
static int
add_range(
    struct offers *o, char *left, char *target, char *rest, struct offer *f, struct errtext *e)
{
	struct range public;
	int r;

	f->published = true;
	if ((r = read_range(left, &public, e)) != 0 ||
	    (r = read_target_range(target, &public, f, e)) != 0)
		return r;
	f->public = public.first;
	r = offer_options(rest, f, e);
	for (;; f->public ++, f->port++) {
		if (r == 0)
			r = add(o, f, e);
		if (r != 0 || f->public == public.last)
			return r;
	}
}

static int
add_port(struct offers *o, const char *left, const char *target, char *rest, struct offer *f,
    struct errtext *e)
{
	int r = 0;

	f->published = is_digits(left) || strcmp(left, "auto") == 0;
	if (is_digits(left))
		r = offer_port(left, &f->public, e);
	else if (f->published)
		;
	else if (!ctl_is_name(left))
		r = err_set(e, ERR_INVALID, "a name has 1 to %d letters, digits, '.', '-' and '_'",
		    CTL_NAME_MAX);
	else
		snprintf(f->name, sizeof f->name, "%s", left);
	if (r == 0 && (r = read_target(target, f, e)) == 0)
		r = offer_options(rest, f, e);
	if (r == 0 && !f->published && rest != NULL)
		r = err_set(e, ERR_INVALID,
		    "only a published service has options: add public=PORT or public=auto");
	return r != 0 ? r : add(o, f, e);
}

/* left: what stands before the equals sign, NULL: there is none. */
static int
add_web(struct offers *o, const char *left, const char *target, char *rest, struct offer *f,
    struct errtext *e)
{
	int r;

	if ((r = offer_web(f, left, e)) != 0 || (r = read_target(target, f, e)) != 0 ||
	    (r = offer_options(rest, f, e)) != 0)
		return r;
	return add(o, f, e);
}

static void
offer_fini(struct offer *f)
{
	request_web_unref(f->web);
	mem_free(f->auth);
}

/* s: "LEFT=TARGET;OPTION...", or "TARGET;OPTION..." of a web service; it is changed. */
static int
add_service(struct offers *o, char *s, struct offer *f, struct errtext *e)
{
	bool web = strcmp(f->kind, "http") == 0 || strcmp(f->kind, "tls") == 0;
	char *rest, *target;

	if ((rest = strchr(s, ';')) != NULL)
		*rest++ = '\0';
	if ((target = strchr(s, '=')) != NULL &&
	    !(web && strncmp(s, ADDR_UNIX_PREFIX, strlen(ADDR_UNIX_PREFIX)) == 0))
		*target++ = '\0';
	else if (web)
		return add_web(o, NULL, s, rest, f, e);
	else
		return err_set(e, ERR_INVALID, "not of the form NAME=TARGET or PORT=TARGET");
	if (web)
		return add_web(o, s, target, rest, f, e);
	return looks_like_range(s) ? add_range(o, s, target, rest, f, e)
				   : add_port(o, s, target, rest, f, e);
}

/* kind: the name of the option. */
static int
add_kind(struct offers *o, const char *kind, const char *arg, struct errtext *e)
{
	struct offer *f = mem_zalloc(sizeof *f);
	char *copy = mem_strdup(arg);
	struct errtext why = { "" };
	int r;

	if (f == NULL || copy == NULL) {
		r = err_set(&why, ERR_NOMEM, "out of memory");
	} else {
		snprintf(f->kind, sizeof f->kind, "%s", kind);
		r = add_service(o, copy, f, &why);
	}
	if (r != 0) {
		err_set(e, r, "--%s %.200s: %s", kind, arg, why.s);
		if (f != NULL)
			offer_fini(f);
	}
	mem_free(copy);
	mem_free(f);
	return r;
}

/* ---- all of them ---- */

/* Without an --allow: everything, or what is on loopback. */
static int
allow_default(struct match *m, bool open)
{
	return open ? match_add(m, "*:*", NULL) : match_add_loopback(m);
}

static int
add_allow(struct offers *o, const struct offer_lists *l, struct errtext *e)
{
	const struct opt_list *allow = l->allow;
	struct errtext why = { "" };
	int r = 0;

	o->allow = match_new();
	if (o->allow == NULL ||
	    ((allow == NULL || allow->n == 0) && allow_default(o->allow, l->open) != 0))
		return err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; r == 0 && allow != NULL && i < allow->n; i++)
		if ((r = match_add(o->allow, allow->v[i], &why)) != 0)
			err_set(e, r, "--allow: %s", why.s);
	return r;
}

/* What the relay is to be asked must fit into a frame, and all of it into a session. */
static int
check_size(struct offers *o, const struct offer *f, struct errtext *e)
{
	struct request q;
	size_t n = 0;
	char *body;

	offer_request(f, &q);
	if ((body = request_dump(&q, &n)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	mem_free(body);
	o->n_web += n;
	if (n > OFFER_REQUEST_MAX)
		return err_set(e, ERR_INVALID,
		    "--%s %s: its options are longer than %d bytes in all", f->kind, f->name,
		    OFFER_REQUEST_MAX);
	if (o->n_web > OFFERS_WEB_MAX)
		return err_set(e, ERR_INVALID,
		    "--%s %s: the options of all are longer than %d bytes", f->kind, f->name,
		    OFFERS_WEB_MAX);
	return 0;
}

/* Nothing else is in our hands here: a thread that waits for a file may be cancelled. */
static int
finish_web(struct offers *o, struct errtext *e)
{
	struct errtext why = { "" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->n; i++) {
		struct offer *f = &o->v[i];

		if (f->auth != NULL && (r = offer_web_users(f, &why)) != 0)
			err_set(e, r, "--%s %s: auth: %s", f->kind, f->name, why.s);
		if (r == 0 && f->web != NULL)
			r = check_size(o, f, e);
	}
	return r == ERR_LIMIT || r == ERR_NOTFOUND ? ERR_INVALID : r;
}

static int
add_all(struct offers *o, const char *kind, const struct opt_list *l, struct errtext *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && l != NULL && i < l->n; i++)
		r = add_kind(o, kind, l->v[i], e);
	return r;
}

int
offers_new(const struct offer_lists *l, struct offers **out, struct errtext *e)
{
	struct offers *o = mem_zalloc(sizeof *o);
	int r;

	if (o == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	*out = o;
	if ((r = add_allow(o, l, e)) == 0 && (r = add_all(o, "tcp", l->tcp, e)) == 0 &&
	    (r = add_all(o, "udp", l->udp, e)) == 0 && (r = add_all(o, "http", l->http, e)) == 0 &&
	    (r = add_all(o, "tls", l->tls, e)) == 0 && (r = finish_web(o, e)) == 0)
		return 0;
	offers_free(o);
	*out = NULL;
	return r;
}

void
offers_free(struct offers *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < o->n; i++)
		offer_fini(&o->v[i]);
	match_free(o->allow);
	mem_free(o->v);
	mem_free(o);
}

const char *
offer_protocol(const struct offer *f)
{
	return strcmp(f->kind, "udp") == 0 ? "udp" : "tcp";
}

const struct offer *
offers_find(const struct offers *o, const char *protocol, const char *name)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->v[i].name, name) == 0 &&
		    strcmp(offer_protocol(&o->v[i]), protocol) == 0)
			return &o->v[i];
	return NULL;
}

void
offer_request(const struct offer *f, struct request *q)
{
	*q = (struct request){ .id = 1,
		.verb = REQUEST_PUBLISH,
		.port = f->public,
		.rules = f->rules,
		.random = f->random,
		.web = f->web };
	snprintf(q->kind, sizeof q->kind, "%s", f->kind);
	snprintf(q->service, sizeof q->service, "%s", f->name);
	snprintf(q->host, sizeof q->host, "%s", f->web_host);
}

const char *
offer_target(const struct offer *f, char out[OFFER_TARGET_MAX])
{
	struct hostport at = { .port = f->port, .is_v6 = strchr(f->host, ':') != NULL };

	if (f->port == 0) {
		snprintf(out, OFFER_TARGET_MAX, "%s", f->host);
		return out;
	}
	snprintf(at.host, sizeof at.host, "%s", f->host);
	return hostport_text(&at, out);
}

static bool
same_nets(const struct addr_net *a, size_t n, const struct addr_net *b, size_t m)
{
	if (n != m)
		return false;
	for (size_t i = 0; i < n; i++)
		if (a[i].bits != b[i].bits || memcmp(a[i].b, b[i].b, sizeof a[i].b) != 0)
			return false;
	return true;
}

bool
offer_same_rules(const struct offer *a, const struct offer *b)
{
	const struct request_rules *x = &a->rules, *y = &b->rules;
	const struct request_web *x_web = a->web, *y_web = b->web;

	if ((x_web == NULL) != (y_web == NULL) ||
	    (x_web != NULL && !request_web_same(x_web, y_web)))
		return false;
	return strcmp(a->kind, b->kind) == 0 && a->published == b->published &&
	       a->public == b->public && a->random == b->random &&
	       strcmp(a->web_host, b->web_host) == 0 &&
	       same_nets(x->allow, x->n_allow, y->allow, y->n_allow) &&
	       same_nets(x->deny, x->n_deny, y->deny, y->n_deny) &&
	       x->max_connections == y->max_connections && x->max_rate == y->max_rate &&
	       x->proxy == y->proxy;
}
