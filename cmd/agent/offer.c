/* SPDX-License-Identifier: ISC */
/* offer - from the words of --tcp and --allow to services. */
#include "cmd/agent/offer.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

#define PORT_MAX UINT16_MAX

static bool
is_digits(const char *s)
{
	return s[0] != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static int
read_port(const char *s, uint16_t *out, struct errtext *e)
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
	if ((r = read_port(s, &out->first, e)) != 0 ||
	    (r = read_port(dash + 1, &out->last, e)) != 0)
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
		if ((r = addr_parse(s, &a, e)) == 0)
			snprintf(f->host, sizeof f->host, "%s", s);
		return r;
	}
	/* "80" and ":80" are this machine's. */
	if (is_digits(s))
		r = read_port(s, &at.port, e);
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

/* ---- options behind the target ---- */

static int
take_public(struct offer *f, char *value, struct errtext *e)
{
	if (f->published)
		return err_set(e, ERR_INVALID, "the public port is there already");
	f->published = true;
	if (strcmp(value, "auto") == 0)
		return 0;
	if (!is_digits(value))
		return err_set(e, ERR_INVALID, "write public=PORT or public=auto");
	return read_port(value, &f->public, e);
}

static int
take_nets(const char *option, char *value, struct addr_net *nets, size_t *n, struct errtext *e)
{
	char *save = NULL;

	for (char *s = strtok_r(value, ",", &save); s != NULL; s = strtok_r(NULL, ",", &save)) {
		int r;

		if (*n == REQUEST_NETS_MAX)
			return err_set(e, ERR_INVALID, "%s has more than %d networks", option,
			    REQUEST_NETS_MAX);
		if ((r = addr_net_parse(s, &nets[*n])) != 0)
			return err_set(e, ERR_INVALID,
			    r == ERR_LIMIT ? "%s=%s: there are bits beyond the prefix"
					   : "%s=%s: neither an address nor a network like "
					     "10.0.0.0/8",
			    option, s);
		(*n)++;
	}
	return *n > 0 ? 0 : err_set(e, ERR_INVALID, "%s= names no network", option);
}

static int
take_allow(struct offer *f, char *value, struct errtext *e)
{
	return take_nets("allow", value, f->rules.allow, &f->rules.n_allow, e);
}

static int
take_deny(struct offer *f, char *value, struct errtext *e)
{
	return take_nets("deny", value, f->rules.deny, &f->rules.n_deny, e);
}

static int
take_limit(const char *option, const char *value, uint32_t *out, struct errtext *e)
{
	uint64_t n;

	if (*out != 0)
		return err_set(e, ERR_INVALID, "%s is given twice", option);
	if (str_parse_u64(value, 1, REQUEST_LIMIT_MAX, &n) != 0)
		return err_set(e, ERR_INVALID, "%s=%s: write a number from 1 to %d", option, value,
		    REQUEST_LIMIT_MAX);
	*out = (uint32_t)n;
	return 0;
}

static int
take_max_connections(struct offer *f, char *value, struct errtext *e)
{
	return take_limit("max-connections", value, &f->rules.max_connections, e);
}

static int
take_max_rate(struct offer *f, char *value, struct errtext *e)
{
	return take_limit("max-rate", value, &f->rules.max_rate, e);
}

static int
take_proxy(struct offer *f, char *value, struct errtext *e)
{
	if (f->rules.proxy != 0)
		return err_set(e, ERR_INVALID, "proxy is given twice");
	if (strcmp(value, "v1") != 0 && strcmp(value, "v2") != 0)
		return err_set(e, ERR_INVALID, "write proxy=v1 or proxy=v2");
	f->rules.proxy = value[1] - '0';
	return 0;
}

static const struct {
	const char *name;
	int (*take)(struct offer *f, char *value, struct errtext *e);
} options[] = {
	{ "public", take_public },
	{ "allow", take_allow },
	{ "deny", take_deny },
	{ "max-connections", take_max_connections },
	{ "max-rate", take_max_rate },
	{ "proxy", take_proxy },
};

#define N_OPTIONS (sizeof options / sizeof options[0])

static int
no_such_option(const char *name, struct errtext *e)
{
	struct str_near near;

	str_near_start(&near, name);
	for (size_t i = 0; i < N_OPTIONS; i++)
		str_near_offer(&near, options[i].name);
	if (str_near_best(&near) != NULL)
		return err_set(e, ERR_INVALID, "there is no option \"%s\"; did you mean \"%s\"?",
		    name, str_near_best(&near));
	return err_set(e, ERR_INVALID,
	    "there is no option \"%s\"; there are public, allow, deny, max-connections, max-rate, "
	    "proxy",
	    name);
}

/* "allow=10.0.0.0/8;proxy=v2", or NULL. */
static int
read_options(char *s, struct offer *f, struct errtext *e)
{
	char *next, *equals;
	size_t i;
	int r = 0;

	for (; s != NULL && r == 0; s = next) {
		if ((next = strchr(s, ';')) != NULL)
			*next++ = '\0';
		if ((equals = strchr(s, '=')) != NULL)
			*equals++ = '\0';
		for (i = 0; i < N_OPTIONS && strcmp(options[i].name, s) != 0; i++)
			;
		if (i == N_OPTIONS)
			r = no_such_option(s, e);
		else if (equals == NULL)
			r = err_set(e, ERR_INVALID, "%s has no value: write %s=...", s, s);
		else
			r = options[i].take(f, equals, e);
	}
	return r;
}

/* ---- the left side ---- */

static bool
is_taken(const struct offers *o, const char *name)
{
	return offers_find(o, name) != NULL;
}

/* One that has no name gets one. */
static void
make_name(const struct offers *o, struct offer *f)
{
	if (f->public != 0) {
		snprintf(f->name, sizeof f->name, "%u", f->public);
		return;
	}
	snprintf(f->name, sizeof f->name, "auto");
	for (unsigned i = 2; is_taken(o, f->name); i++)
		snprintf(f->name, sizeof f->name, "auto-%u", i);
}

static int
add(struct offers *o, const struct offer *f, struct errtext *e)
{
	size_t n_nets = f->rules.n_allow + f->rules.n_deny;
	struct offer *v;

	if (o->n == OFFERS_MAX)
		return err_set(e, ERR_INVALID, "more than %d services", OFFERS_MAX);
	for (size_t i = 0; f->public != 0 && i < o->n; i++)
		if (o->v[i].public == f->public)
			return err_set(
			    e, ERR_INVALID, "the public port %u is given twice", f->public);
	if (is_taken(o, f->name))
		return err_set(e, ERR_INVALID, "there are two services of that name");
	if (o->n_nets + n_nets > OFFERS_NETS_MAX)
		return err_set(e, ERR_INVALID, "more than %d networks in all", OFFERS_NETS_MAX);
	if ((v = mem_resize(o->v, o->n + 1, sizeof *v)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	o->v = v;
	v[o->n] = *f;
	if (f->name[0] == '\0')
		make_name(o, &v[o->n]);
	o->n_nets += n_nets;
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
	r = read_options(rest, f, e);
	for (;; f->public ++, f->port++) {
		if (r == 0)
			r = add(o, f, e);
		if (r != 0 || f->public == public.last)
			return r;
	}
}

static int
add_one(struct offers *o, const char *left, const char *target, char *rest, struct offer *f,
    struct errtext *e)
{
	int r = 0;

	f->published = is_digits(left) || strcmp(left, "auto") == 0;
	if (is_digits(left))
		r = read_port(left, &f->public, e);
	else if (f->published)
		;
	else if (!ctl_is_name(left))
		r = err_set(e, ERR_INVALID, "a name has 1 to %d letters, digits, '.', '-' and '_'",
		    CTL_NAME_MAX);
	else
		snprintf(f->name, sizeof f->name, "%s", left);
	if (r == 0 && (r = read_target(target, f, e)) == 0)
		r = read_options(rest, f, e);
	if (r == 0 && !f->published && rest != NULL)
		r = err_set(e, ERR_INVALID,
		    "only a published service has options: add public=PORT or public=auto");
	return r != 0 ? r : add(o, f, e);
}

static int
add_tcp(struct offers *o, const char *arg, struct errtext *e)
{
	struct offer *f = mem_zalloc(sizeof *f);
	char *left = mem_strdup(arg), *target, *rest;
	struct errtext why = { "" };
	int r;

	if (f == NULL || left == NULL) {
		r = err_set(&why, ERR_NOMEM, "out of memory");
	} else if ((target = strchr(left, '=')) == NULL) {
		r = err_set(&why, ERR_INVALID, "not of the form NAME=TARGET or PORT=TARGET");
	} else {
		*target++ = '\0';
		if ((rest = strchr(target, ';')) != NULL)
			*rest++ = '\0';
		r = (looks_like_range(left) ? add_range(o, left, target, rest, f, &why)
					    : add_one(o, left, target, rest, f, &why));
	}
	if (r != 0)
		err_set(e, r, "--tcp %.200s: %s", arg, why.s);
	mem_free(left);
	mem_free(f);
	return r;
}

/* ---- all of them ---- */

static int
add_allow(struct offers *o, const struct opt_list *allow, struct errtext *e)
{
	struct errtext why = { "" };
	int r = 0;

	o->allow = match_new();
	if (o->allow == NULL || (allow->n == 0 && match_add_loopback(o->allow) != 0))
		return err_set(e, ERR_NOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < allow->n; i++)
		if ((r = match_add(o->allow, allow->v[i], &why)) != 0)
			err_set(e, r, "--allow: %s", why.s);
	return r;
}

int
offers_new(const struct opt_list *tcp, const struct opt_list *allow, struct offers **out,
    struct errtext *e)
{
	struct offers *o = mem_zalloc(sizeof *o);
	int r = o == NULL ? err_set(e, ERR_NOMEM, "out of memory") : add_allow(o, allow, e);

	for (size_t i = 0; r == 0 && i < tcp->n; i++)
		r = add_tcp(o, tcp->v[i], e);
	if (r == 0)
		*out = o;
	else
		offers_free(o);
	return r;
}

void
offers_free(struct offers *o)
{
	if (o == NULL)
		return;
	match_free(o->allow);
	mem_free(o->v);
	mem_free(o);
}

const struct offer *
offers_find(const struct offers *o, const char *name)
{
	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->v[i].name, name) == 0)
			return &o->v[i];
	return NULL;
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

	return a->published == b->published && a->public == b->public &&
	       same_nets(x->allow, x->n_allow, y->allow, y->n_allow) &&
	       same_nets(x->deny, x->n_deny, y->deny, y->n_deny) &&
	       x->max_connections == y->max_connections && x->max_rate == y->max_rate &&
	       x->proxy == y->proxy;
}
