/* SPDX-License-Identifier: ISC */
/* offer_option - the options behind a service's target: "...;allow=10.0.0.0/8;proxy=v2". */
#include <stdio.h>
#include <string.h>

#include "cmd/agent/offer_int.h"
#include "lib/base/mem.h"

/* ---- of every kind ---- */

static int
take_public(struct offer *f, char *value, struct errtext *e)
{
	if (f->published)
		return err_set(e, ERR_INVALID, "the public port is there already");
	f->published = true;
	if (strcmp(value, "auto") == 0)
		return 0;
	if (value[0] == '\0' || value[strspn(value, "0123456789")] != '\0')
		return err_set(e, ERR_INVALID, "write public=PORT or public=auto");
	return offer_port(value, &f->public, e);
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

/* ---- of kind http ---- */

static int
take_auth(struct offer *f, char *value, struct errtext *e)
{
	if (f->auth != NULL)
		return err_set(e, ERR_INVALID, "auth is given twice");
	f->auth = mem_strdup(value);
	return f->auth != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* As the service's own clients would write it. */
static void
own_host(const struct offer *f, char out[OFFER_TARGET_MAX])
{
	if (f->port == 0)
		snprintf(out, OFFER_TARGET_MAX, "localhost");
	else
		offer_target(f, out);
}

static int
take_host(struct offer *f, char *value, struct errtext *e)
{
	char own[OFFER_TARGET_MAX];

	if (f->web->host[0] != '\0')
		return err_set(e, ERR_INVALID, "host is given twice");
	own_host(f, own);
	return request_web_set_host(f->web, strcmp(value, "rewrite") == 0 ? own : value, e);
}

static int
take_add(struct offer *f, char *value, struct errtext *e)
{
	char *colon = strchr(value, ':');

	if (colon == NULL)
		return err_set(e, ERR_INVALID, "write header+=NAME: VALUE");
	*colon++ = '\0';
	return request_web_add_field(f->web, value, colon + strspn(colon, " "), e);
}

static int
take_remove(struct offer *f, char *value, struct errtext *e)
{
	return request_web_add_field(f->web, value, NULL, e);
}

static int
take_upgrade(struct offer *f, char *value, struct errtext *e)
{
	return request_web_add_upgrade(f->web, value, e);
}

static int
take_time(const char *option, const char *value, uint32_t *out, struct errtext *e)
{
	uint64_t ms;

	if (*out != 0)
		return err_set(e, ERR_INVALID, "%s is given twice", option);
	if (str_parse_duration_ms(value, 1, REQUEST_TIME_MAX_MS, &ms) != 0)
		return err_set(
		    e, ERR_INVALID, "%s=%s: write a time up to 1h, like 10s", option, value);
	*out = (uint32_t)ms;
	return 0;
}

static int
take_connect(struct offer *f, char *value, struct errtext *e)
{
	return take_time("connect", value, &f->web->connect_ms, e);
}

static int
take_timeout(struct offer *f, char *value, struct errtext *e)
{
	return take_time("timeout", value, &f->web->timeout_ms, e);
}

static int
take_pool(struct offer *f, char *value, struct errtext *e)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return err_set(e, ERR_INVALID, "write pool=0 or pool=1");
	f->web->no_pool = value[0] == '0';
	return 0;
}

/* ---- all of them ---- */

#define PORTS "tcp udp"
#define ALL "tcp udp http tls"

static const struct {
	const char *name;
	const char *kinds;
	int (*take)(struct offer *f, char *value, struct errtext *e);
} options[] = {
	{ "public", PORTS, take_public },
	{ "allow", ALL, take_allow },
	{ "deny", ALL, take_deny },
	{ "max-connections", ALL, take_max_connections },
	{ "max-rate", ALL, take_max_rate },
	{ "proxy", "tcp http tls", take_proxy },
	{ "auth", "http", take_auth },
	{ "host", "http", take_host },
	{ "header+", "http", take_add },
	{ "header-", "http", take_remove },
	{ "connect", "http", take_connect },
	{ "timeout", "http", take_timeout },
	{ "upgrade", "http", take_upgrade },
	{ "pool", "http", take_pool },
};

#define N_OPTIONS (sizeof options / sizeof options[0])

static bool
is_of(size_t i, const struct offer *f)
{
	return strstr(options[i].kinds, f->kind) != NULL;
}

static int
no_such_option(const struct offer *f, const char *name, struct errtext *e)
{
	struct str_near near;
	struct strbuf all;
	int r;

	str_near_start(&near, name);
	strbuf_init(&all, sizeof e->s);
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (is_of(i, f)) {
			str_near_offer(&near, options[i].name);
			strbuf_addf(&all, "%s%s", all.len > 0 ? ", " : "", options[i].name);
		}
	if (str_near_best(&near) != NULL)
		r = err_set(e, ERR_INVALID, "there is no option \"%s\"; did you mean \"%s\"?", name,
		    str_near_best(&near));
	else
		r = err_set(e, ERR_INVALID, "there is no option \"%s\"; there are %s", name, all.s);
	strbuf_fini(&all);
	return r;
}

int
offer_options(char *s, struct offer *f, struct errtext *e)
{
	char *next, *equals;
	size_t i;
	int r = 0;

	for (; s != NULL && r == 0; s = next) {
		if ((next = strchr(s, ';')) != NULL)
			*next++ = '\0';
		if ((equals = strchr(s, '=')) != NULL)
			*equals++ = '\0';
		for (i = 0; i < N_OPTIONS && (strcmp(options[i].name, s) != 0 || !is_of(i, f)); i++)
			;
		if (i == N_OPTIONS)
			r = no_such_option(f, s, e);
		else if (equals == NULL)
			r = err_set(e, ERR_INVALID, "%s has no value: write %s=...", s, s);
		else
			r = options[i].take(f, equals, e);
	}
	/* A limit of theirs is a mistake of the operator's here. */
	return r == ERR_LIMIT ? ERR_INVALID : r;
}
