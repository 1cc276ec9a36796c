/* SPDX-License-Identifier: ISC */
/*
 * match - which targets are allowed: patterns of name or network, and ports.
 */
#include "lib/conf/match.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

#define PATTERN_SHOWN 300 /* bytes of a pattern in an error */

struct rule {
	/* host is "*": by name and by address */
	bool any;
	/* net is set, else name */
	bool by_addr;
	/* refused: it has bits beyond its prefix */
	bool stray;
	/* address rule */
	struct addr_net net;
	/* ports, inclusive */
	uint16_t lo, hi;
	/* name rule; "*.x" for every name below x */
	char name[HOSTPORT_HOST_MAX + 1];
};

struct match {
	struct rule *v;
	size_t n, cap;
};

struct match *
match_new(void)
{
	return mem_zalloc(sizeof(struct match));
}

void
match_free(struct match *m)
{
	if (m == NULL)
		return;
	mem_free(m->v);
	mem_free(m);
}

/* ---- patterns ---- */

/* "*", "80" or "80-90"; port 0 is nobody's. */
static bool
parse_ports(const char *s, struct rule *r)
{
	uint64_t lo, hi;

	if (strcmp(s, "*") == 0) {
		r->lo = 1;
		r->hi = UINT16_MAX;
		return true;
	}
	if (str_parse_range(s, 1, UINT16_MAX, &lo, &hi) != 0)
		return false;
	r->lo = (uint16_t)lo;
	r->hi = (uint16_t)hi;
	return true;
}

static bool
parse_host(char *host, bool brackets, struct rule *r)
{
	struct hostport hp;
	size_t n;

	if (strcmp(host, "*") == 0 && !brackets) {
		r->any = true;
		return true;
	}
	/* What looks like an address is one or an error, never a name of digits. */
	if (brackets || strpbrk(host, ":/") != NULL || host[strspn(host, "0123456789.")] == '\0') {
		int rc = addr_net_parse(host, &r->net);

		r->by_addr = rc == 0;
		r->stray = rc == ERR_LIMIT;
		return rc == 0;
	}
	if (hostport_host(strncmp(host, "*.", 2) == 0 ? host + 2 : host, &hp, NULL) != 0)
		return false;
	n = strlen(host);
	if (n > 1 && host[n - 1] == '.')
		host[--n] = '\0';
	memcpy(r->name, host, n + 1);
	return true;
}

static int
parse_rule(const char *pattern, struct rule *r)
{
	const char *colon = strrchr(pattern, ':');
	char host[HOSTPORT_HOST_MAX + 1];
	const char *close;
	size_t n;
	bool brackets = pattern[0] == '[';

	*r = (struct rule){ 0 };
	if (colon == NULL || !parse_ports(colon + 1, r))
		return ERR_INVALID;
	n = (size_t)(colon - pattern);
	if (n >= sizeof(host))
		return ERR_INVALID;
	memcpy(host, pattern, n);
	host[n] = '\0';
	if (brackets) {
		/* "[2001:db8::]/32" and "[2001:db8::/32]" are both in use. */
		if ((close = strchr(host, ']')) == NULL || (close[1] != '\0' && close[1] != '/'))
			return ERR_INVALID;
		n = (size_t)(close - host);
		memmove(host, host + 1, n - 1);
		memmove(host + n - 1, close + 1, strlen(close + 1) + 1);
	} else if (strchr(host, ':') != NULL) {
		return ERR_INVALID; /* IPv6 without brackets: where does the port begin? */
	}
	return parse_host(host, brackets, r) ? 0 : ERR_INVALID;
}

int
match_add(struct match *m, const char *pattern, struct errtext *e)
{
	char shown[PATTERN_SHOWN];
	struct rule r, *bigger;
	size_t cap;
	bool good = parse_rule(pattern, &r) == 0;

	if (!good && r.stray)
		return err_set(e, ERR_INVALID,
		    "\"%s\" has bits beyond its prefix: a network is meant (10.0.0.0/8), or one "
		    "address "
		    "(10.1.2.3)",
		    str_escape(shown, sizeof(shown), pattern, strlen(pattern)));
	if (!good)
		return err_set(e, ERR_INVALID,
		    "\"%s\" is no pattern of the form HOST:PORT, such as localhost:22, "
		    "10.0.0.0/8:443, *.example.com:80-90 or [::1]:*",
		    str_escape(shown, sizeof(shown), pattern, strlen(pattern)));
	if (m->n >= MATCH_RULES_MAX)
		return err_set(e, ERR_LIMIT, "more than %d patterns in one list", MATCH_RULES_MAX);
	if (m->n == m->cap) {
		cap = m->cap > 0 ? m->cap * 2 : 4;
		if ((bigger = mem_resize(m->v, cap, sizeof(*bigger))) == NULL)
			return err_set(e, ERR_NOMEM, "out of memory");
		m->v = bigger;
		m->cap = cap;
	}
	m->v[m->n++] = r;
	return 0;
}

int
match_add_loopback(struct match *m)
{
	static const char *const patterns[] = { "127.0.0.0/8:*", "[::1]:*", "localhost:*" };
	size_t i;
	int r = 0;

	for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]) && r == 0; i++)
		r = match_add(m, patterns[i], NULL);
	return r;
}

/* ---- questions ---- */

/* Host names are compared without regard to case (RFC 4343); n characters of name. */
static bool
name_matches(const char *pattern, const char *name, size_t n)
{
	size_t tail;

	if (strncmp(pattern, "*.", 2) != 0)
		return strlen(pattern) == n && strncasecmp(pattern, name, n) == 0;
	tail = strlen(pattern + 1);
	return n > tail && strncasecmp(pattern + 1, name + n - tail, tail) == 0;
}

static size_t
name_len(const char *name)
{
	size_t n = strlen(name);

	return n > 1 && name[n - 1] == '.' ? n - 1 : n;
}

static bool
name_may_be_loopback(const char *name, size_t n)
{
	return name_matches("localhost", name, n) || name_matches("*.localhost", name, n);
}

/* What has a colon is an address or nothing: a name rule never speaks of it. */
static bool
is_name(const char *s)
{
	struct addr a;
	const char *zone;

	return strchr(s, ':') == NULL && !addr_read(s, &a, &zone);
}

bool
match_target(const struct match *m, const char *name, const struct addr *a)
{
	size_t n = name_len(name), i;
	uint16_t port = addr_port(a);
	bool name_ok;

	if (a->u.sa.sa_family != AF_INET && a->u.sa.sa_family != AF_INET6)
		return false;
	/* A name rule speaks of names: an address in text is only ever admitted as an address. */
	name_ok = is_name(name) &&
		  (!addr_is_special(a) || (addr_is_loopback(a) && name_may_be_loopback(name, n)));
	for (i = 0; i < m->n; i++) {
		const struct rule *r = &m->v[i];

		if (port < r->lo || port > r->hi)
			continue;
		if (r->any || (r->by_addr ? addr_in_net(a, &r->net)
					  : name_ok && name_matches(r->name, name, n)))
			return true;
	}
	return false;
}

bool
match_name(const struct match *m, const char *host, uint16_t port)
{
	size_t n = name_len(host), i;
	bool named = is_name(host);
	const char *zone;
	struct addr a;
	bool is_addr = addr_read(host, &a, &zone);

	for (i = 0; i < m->n; i++) {
		const struct rule *r = &m->v[i];

		if (port < r->lo || port > r->hi)
			continue;
		if (r->any || (r->by_addr ? is_addr && addr_in_net(&a, &r->net)
					  : named && name_matches(r->name, host, n)))
			return true;
	}
	return false;
}

bool
match_glob(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL;

	/* One place to come back to is enough: a later '*' can do all that an earlier one could. */
	while (*text != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			resume = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
