/* SPDX-License-Identifier: ISC */
/*
 * match - which targets are allowed: patterns of name or network, and ports.
 *
 * Every address is brought into one form before it is compared: 16 bytes, IPv4 as ::ffff:a.b.c.d,
 * so that a rule has one prefix length and no spelling of an address can slip past it.
 */
#include "lib/conf/match.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

#define PATTERN_SHOWN 300 /* bytes of a pattern in an error */
#define V4_BITS 96        /* prefix of ::ffff:0:0/96, before an IPv4 address */

struct addr {
	uint8_t b[16];
};

struct rule {
	bool any;                         /* host is "*": by name and by address */
	bool by_addr;                     /* net and bits are set, else name */
	bool stray;                       /* refused: it has bits beyond its prefix */
	struct addr net;                  /* address rule */
	unsigned bits;                    /* of net that count, 0 to 128 */
	uint16_t lo, hi;                  /* ports, inclusive */
	char name[HOSTPORT_HOST_MAX + 1]; /* name rule; "*.x" for every name below x */
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

/* ---- addresses ---- */

static void
addr_of_v4(struct addr *a, const struct in_addr *v4)
{
	*a = (struct addr){ .b = { [10] = 0xff, [11] = 0xff } };
	memcpy(a->b + 12, v4, 4);
}

static bool
addr_of_sockaddr(struct addr *a, uint16_t *port, const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		addr_of_v4(a, &in.sin_addr);
		*port = ntohs(in.sin_port);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		memcpy(a->b, &in6.sin6_addr, 16);
		*port = ntohs(in6.sin6_port);
		return true;
	}
	return false;
}

/* An address as text; a zone does not change which address it is. */
static bool
addr_of_text(struct addr *a, const char *s, bool *is_v4)
{
	char plain[INET6_ADDRSTRLEN];
	struct in_addr v4;
	size_t n = strcspn(s, "%");

	*is_v4 = inet_pton(AF_INET, s, &v4) == 1;
	if (*is_v4) {
		addr_of_v4(a, &v4);
		return true;
	}
	if (n >= sizeof(plain))
		return false;
	memcpy(plain, s, n);
	plain[n] = '\0';
	return inet_pton(AF_INET6, plain, a->b) == 1;
}

static bool
addr_in(const struct addr *a, const uint8_t *net, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a->b, net, whole) != 0)
		return false;
	return rest == 0 || ((a->b[whole] ^ net[whole]) >> (8 - rest)) == 0;
}

static const uint8_t net_v4_loopback[16] = { [10] = 0xff, [11] = 0xff, [12] = 127 };
static const uint8_t net_v6_loopback[16] = { [15] = 1 };

static bool
addr_is_loopback(const struct addr *a)
{
	return addr_in(a, net_v4_loopback, V4_BITS + 8) || addr_in(a, net_v6_loopback, 128);
}

/* An address that a public name has no business to point at; see the header about DNS rebinding. */
static bool
addr_is_special(const struct addr *a)
{
	static const struct {
		uint8_t net[16];
		unsigned bits;
	} special[] = {
		{ { [10] = 0xff, [11] = 0xff, [12] = 0 }, V4_BITS + 8 }, /* 0.0.0.0/8 */
		{ { [10] = 0xff, [11] = 0xff, [12] = 169, [13] = 254 },
		    V4_BITS + 16 },                                        /* link-local */
		{ { [10] = 0xff, [11] = 0xff, [12] = 224 }, V4_BITS + 4 }, /* multicast */
		{ { [10] = 0xff, [11] = 0xff, [12] = 240 }, V4_BITS + 4 }, /* reserved, broadcast */
		{ { 0 }, V4_BITS },                   /* ::/96: unspecified and IPv4-compatible */
		{ { 0xfe, 0x80 }, 10 },               /* link-local */
		{ { 0xff }, 8 },                      /* multicast */
		{ { 0, 0x64, 0xff, 0x9b }, V4_BITS }, /* NAT64: an IPv4 address behind it */
	};
	size_t i;

	if (addr_is_loopback(a))
		return true;
	for (i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (addr_in(a, special[i].net, special[i].bits))
			return true;
	return false;
}

bool
match_is_loopback(const struct sockaddr *sa)
{
	struct addr a;
	uint16_t port;

	if (sa->sa_family == AF_UNIX)
		return true;
	return addr_of_sockaddr(&a, &port, sa) && addr_is_loopback(&a);
}

/* ---- patterns ---- */

/* "*", "80" or "80-90"; port 0 is nobody's. */
static bool
parse_ports(const char *s, struct rule *r)
{
	char first[8];
	uint64_t lo, hi;
	size_t n = strcspn(s, "-");

	if (strcmp(s, "*") == 0) {
		r->lo = 1;
		r->hi = UINT16_MAX;
		return true;
	}
	if (n >= sizeof(first))
		return false;
	memcpy(first, s, n);
	first[n] = '\0';
	if (str_parse_u64(first, 1, UINT16_MAX, &lo) != 0)
		return false;
	hi = lo;
	if (s[n] == '-' && str_parse_u64(s + n + 1, lo, UINT16_MAX, &hi) != 0)
		return false;
	r->lo = (uint16_t)lo;
	r->hi = (uint16_t)hi;
	return true;
}

/* Bits beyond the prefix must be zero: 10.1.2.3/8 is a slip of the pen, not a network. */
static bool
parse_net(char *host, struct rule *r)
{
	char *slash = strchr(host, '/');
	struct addr probe;
	uint64_t bits;
	unsigned width, i;
	bool is_v4;

	if (slash != NULL)
		*slash = '\0';
	if (!addr_of_text(&r->net, host, &is_v4))
		return false;
	width = is_v4 ? 32 : 128;
	bits = width;
	if (slash != NULL && str_parse_u64(slash + 1, 0, width, &bits) != 0)
		return false;
	r->bits = (unsigned)bits + (is_v4 ? V4_BITS : 0);
	r->by_addr = true;
	probe = r->net;
	for (i = r->bits; i < 128; i++)
		probe.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	r->stray = memcmp(&probe, &r->net, sizeof(probe)) != 0;
	return !r->stray;
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
	if (brackets || strpbrk(host, ":/") != NULL || host[strspn(host, "0123456789.")] == '\0')
		return parse_net(host, r);
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

bool
match_target(const struct match *m, const char *name, const struct sockaddr *sa)
{
	size_t n = name_len(name), i;
	struct addr a, literal;
	uint16_t port;
	bool is_v4, name_ok;

	if (!addr_of_sockaddr(&a, &port, sa))
		return false;
	/* A name rule speaks of names: an address in text is only ever admitted as an address. */
	name_ok = !addr_of_text(&literal, name, &is_v4) &&
		  (!addr_is_special(&a) || (addr_is_loopback(&a) && name_may_be_loopback(name, n)));
	for (i = 0; i < m->n; i++) {
		const struct rule *r = &m->v[i];

		if (port < r->lo || port > r->hi)
			continue;
		if (r->any || (r->by_addr ? addr_in(&a, r->net.b, r->bits)
					  : name_ok && name_matches(r->name, name, n)))
			return true;
	}
	return false;
}

bool
match_name(const struct match *m, const char *host, uint16_t port)
{
	size_t n = name_len(host), i;
	struct addr a;
	bool is_v4, is_addr = addr_of_text(&a, host, &is_v4);

	for (i = 0; i < m->n; i++) {
		const struct rule *r = &m->v[i];

		if (port < r->lo || port > r->hi)
			continue;
		if (r->any || (r->by_addr ? is_addr && addr_in(&a, r->net.b, r->bits)
					  : !is_addr && name_matches(r->name, host, n)))
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
