/* SPDX-License-Identifier: ISC */
/* proxy_hdr - the PROXY protocol's header, written and read. */
#include "lib/net/proxy_hdr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"

/* ---- version 2 in bytes (PROXY 2.2) ---- */

static const uint8_t signature[] = { '\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T',
	'\n' };

/* Where the fixed fields are, and where they end. */
enum { AT_COMMAND = sizeof signature, AT_FAMILY, AT_LEN, V2_FIXED = AT_LEN + 2 };

/* The byte at AT_COMMAND: version and command. */
enum { V2_LOCAL = 0x20, V2_PROXY = 0x21 };

/* The byte at AT_FAMILY: a family in its upper half, a transport in its lower one. */
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX, FAMILY_N };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM, TRANSPORT_N };

/* Bytes: of addresses, and of a TLV's type and length. */
enum { IPV4 = 4, IPV6 = 16, UNIX_PATH = 108, TLV_HEAD = 3 };

/* Two IP addresses and their two ports. */
#define ENDS_LEN(ip_len) (2 * ((ip_len) + sizeof(in_port_t)))

/* Room to show how something else begins; no more, as it may be a request with a secret in it. */
#define BEGINNING_SHOWN 32

/* ---- building ---- */

/* The address as it is sent, borrowed from a; NULL if it is none of IP. */
static const uint8_t *
ip_of(const struct addr *a, size_t *len)
{
	const struct in6_addr *ip6 = &a->u.in6.sin6_addr;

	*len = IPV4;
	if (a->u.sa.sa_family == AF_INET)
		return (const uint8_t *)&a->u.in.sin_addr;
	if (a->u.sa.sa_family != AF_INET6)
		return NULL;
	if (IN6_IS_ADDR_V4MAPPED(ip6))
		return ip6->s6_addr + IPV6 - IPV4;
	*len = IPV6;
	return ip6->s6_addr;
}

/* Both addresses as they are sent; false if they are not of one family. */
static bool
ips_of(const struct addr *a, const struct addr *b, const uint8_t *ip[2], size_t *len)
{
	size_t other;

	ip[0] = ip_of(a, len);
	ip[1] = ip_of(b, &other);
	return ip[0] != NULL && ip[1] != NULL && *len == other;
}

static size_t
build_v1(uint8_t out[PROXY_HDR_MAX], const struct addr *from, const struct addr *to)
{
	char text[2][INET6_ADDRSTRLEN];
	const uint8_t *ip[2];
	size_t len;
	int n;

	if (!ips_of(from, to, ip, &len)) {
		n = snprintf((char *)out, PROXY_HDR_MAX, "PROXY UNKNOWN\r\n");
	} else {
		for (int i = 0; i < 2; i++)
			inet_ntop(len == IPV4 ? AF_INET : AF_INET6, ip[i], text[i], sizeof text[i]);
		n = snprintf((char *)out, PROXY_HDR_MAX, "PROXY TCP%c %s %s %u %u\r\n",
		    len == IPV4 ? '4' : '6', text[0], text[1], addr_port(from), addr_port(to));
	}
	/* The longest has 104 bytes (PROXY 2.1). */
	assert(n > 0 && n < PROXY_HDR_MAX);
	return (size_t)n;
}

static size_t
build_v2(uint8_t out[PROXY_HDR_MAX], const struct addr *from, const struct addr *to)
{
	const uint8_t *ip[2];
	in_port_t ports[2] = { htons(addr_port(from)), htons(addr_port(to)) };
	size_t len;

	memcpy(out, signature, sizeof signature);
	memset(out + sizeof signature, 0, V2_FIXED - sizeof signature);
	if (!ips_of(from, to, ip, &len)) {
		out[AT_COMMAND] = V2_LOCAL;
		return V2_FIXED;
	}
	out[AT_COMMAND] = V2_PROXY;
	out[AT_FAMILY] =
	    (uint8_t)((len == IPV4 ? FAMILY_INET : FAMILY_INET6) << 4 | TRANSPORT_STREAM);
	out[AT_LEN + 1] = (uint8_t)ENDS_LEN(len);
	memcpy(out + V2_FIXED, ip[0], len);
	memcpy(out + V2_FIXED + len, ip[1], len);
	memcpy(out + V2_FIXED + 2 * len, ports, sizeof ports);
	return V2_FIXED + ENDS_LEN(len);
}

size_t
proxy_hdr_build(
    uint8_t out[PROXY_HDR_MAX], int version, const struct addr *from, const struct addr *to)
{
	assert(version == 1 || version == 2);
	return version == 1 ? build_v1(out, from, to) : build_v2(out, from, to);
}

/* ---- reading version 1 ---- */

/* How a line may begin. */
static const struct beginning {
	const char *s;
	sa_family_t family;
} beginnings[] = {
	{ "PROXY TCP4 ", AF_INET },
	{ "PROXY TCP6 ", AF_INET6 },
	{ "PROXY UNKNOWN", AF_UNSPEC },
};

/* The beginning that the bytes have, or may still come to have; NULL: none. */
static const struct beginning *
beginning_of(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
		size_t len = strlen(beginnings[i].s);

		if (memcmp(p, beginnings[i].s, n < len ? n : len) == 0)
			return &beginnings[i];
	}
	return NULL;
}

/*
 * The line's length with its CRLF; 0 if that may still come.  What is neither CR nor printable ends
 * the search: nothing else is in a line of text, and only CRLF ends it (PROXY 2.1).
 */
static int
find_end(const uint8_t *p, size_t n, struct errtext *why)
{
	for (size_t i = 0; i < n; i++) {
		if (i == PROXY_HDR_MAX_V1 - 2 && p[i] != '\r')
			return err_set(why, ERR_PROTO, "the PROXY line is longer than %d bytes",
			    PROXY_HDR_MAX_V1);
		if (p[i] == '\r' && i + 1 == n)
			return 0;
		if (p[i] == '\r' && p[i + 1] == '\n')
			return (int)i + 2;
		if (p[i] < ' ' || p[i] > '~')
			return err_set(why, ERR_PROTO,
			    "the PROXY line has the byte 0x%02x before its CR LF", p[i]);
	}
	return 0;
}

/* A decimal number in its one form, 0 to 65535. */
static bool
read_port(const char *s, struct addr *a)
{
	uint64_t port;

	if ((s[0] == '0' && s[1] != '\0') || str_parse_u64(s, 0, UINT16_MAX, &port) != 0)
		return false;
	addr_set_port(a, (uint16_t)port);
	return true;
}

/* An address without a zone.  IPv6 may end in dots, as nginx and haproxy write ::ffff:192.0.2.1. */
static bool
read_ip(const char *s, sa_family_t family, struct addr *a)
{
	const char *zone;

	return addr_read(s, a, &zone) && a->u.sa.sa_family == family && zone == NULL;
}

/* "SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT", which is cut into words. */
static bool
read_ends(char *s, sa_family_t family, struct proxy_hdr *out)
{
	char *word[4];

	for (size_t i = 0; i < sizeof word / sizeof word[0]; i++) {
		word[i] = strsep(&s, " ");
		if (word[i] == NULL)
			return false;
	}
	if (s != NULL)
		return false;
	return read_ip(word[0], family, &out->from) && read_ip(word[1], family, &out->to) &&
	       read_port(word[2], &out->from) && read_port(word[3], &out->to);
}

static int
parse_v1(const uint8_t *p, size_t n, struct proxy_hdr *out, struct errtext *why)
{
	const struct beginning *begin = beginning_of(p, n);
	char text[PROXY_HDR_MAX_V1], shown[4 * PROXY_HDR_MAX_V1];
	struct proxy_hdr h = { 0 };
	size_t skip, len;
	int end;

	if (begin == NULL)
		return err_set(why, ERR_PROTO, "no PROXY line: it begins with \"%s\"",
		    str_escape(shown, BEGINNING_SHOWN, p, n));
	end = find_end(p, n, why);
	if (end < 0)
		return end;
	skip = strlen(begin->s);
	/* What follows UNKNOWN does not count (PROXY 2.1), but it is another word. */
	if (begin->family == AF_UNSPEC && n > skip && p[skip] != ' ' && p[skip] != '\r')
		return err_set(why, ERR_PROTO, "the PROXY line's family is none: \"%s\"",
		    str_escape(shown, BEGINNING_SHOWN, p, n));
	if (end == 0)
		return 0;
	len = (size_t)end - 2;
	h.local = begin->family == AF_UNSPEC;
	if (!h.local) {
		memcpy(text, p + skip, len - skip);
		text[len - skip] = '\0';
		if (!read_ends(text, begin->family, &h))
			return err_set(why, ERR_PROTO,
			    "the PROXY line lacks two addresses of its family and two ports: "
			    "\"%s\"",
			    str_escape(shown, sizeof shown, p, len));
	}
	*out = h;
	return end;
}

/* ---- reading version 2 ---- */

static size_t
get_len(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

/* Whether the fixed fields, as far as they are there, are such. */
static int
check_fixed(const uint8_t *p, size_t n, struct errtext *why)
{
	char shown[BEGINNING_SHOWN];

	if (memcmp(p, signature, n < sizeof signature ? n : sizeof signature) != 0)
		return err_set(why, ERR_PROTO, "no PROXY signature: it begins with \"%s\"",
		    str_escape(shown, sizeof shown, p, n));
	if (n > AT_COMMAND && p[AT_COMMAND] != V2_LOCAL && p[AT_COMMAND] != V2_PROXY)
		return err_set(why, ERR_PROTO,
		    "the PROXY header's version and command are 0x%02x, neither LOCAL nor PROXY "
		    "of version 2",
		    p[AT_COMMAND]);
	/* PROXY 2.2: the family is ignored if the command is LOCAL. */
	if (n > AT_FAMILY && p[AT_COMMAND] == V2_PROXY &&
	    (p[AT_FAMILY] >> 4 >= FAMILY_N || (p[AT_FAMILY] & 0xf) >= TRANSPORT_N))
		return err_set(why, ERR_PROTO,
		    "the PROXY header's family and transport are 0x%02x, which is none",
		    p[AT_FAMILY]);
	return 0;
}

/* Bytes of both ends behind the fixed fields; 0 if their form is not known, so nothing is read. */
static size_t
ends_len(const uint8_t *p)
{
	static const size_t len[FAMILY_N] = {
		[FAMILY_INET] = ENDS_LEN(IPV4),
		[FAMILY_INET6] = ENDS_LEN(IPV6),
		[FAMILY_UNIX] = 2 * UNIX_PATH,
	};

	if (p[AT_COMMAND] == V2_LOCAL || (p[AT_FAMILY] & 0xf) == TRANSPORT_UNSPEC)
		return 0;
	return len[p[AT_FAMILY] >> 4];
}

static bool
are_tlvs(const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t len;

		if (n < TLV_HEAD)
			return false;
		len = TLV_HEAD + get_len(p + 1);
		if (len > n)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

/* Both are in network byte order. */
static void
set_ip(struct addr *a, const uint8_t *ip, size_t len, const uint8_t *port)
{
	if (len == IPV4) {
		*a = (struct addr){ .u.in.sin_family = AF_INET, .len = sizeof a->u.in };
		memcpy(&a->u.in.sin_addr, ip, len);
		memcpy(&a->u.in.sin_port, port, sizeof a->u.in.sin_port);
	} else {
		*a = (struct addr){ .u.in6.sin6_family = AF_INET6, .len = sizeof a->u.in6 };
		memcpy(&a->u.in6.sin6_addr, ip, len);
		memcpy(&a->u.in6.sin6_port, port, sizeof a->u.in6.sin6_port);
	}
}

static int
parse_v2(const uint8_t *p, size_t n, struct proxy_hdr *out, struct errtext *why)
{
	size_t all, ends;
	int r = check_fixed(p, n, why);

	if (r != 0 || n < V2_FIXED)
		return r;
	all = V2_FIXED + get_len(p + AT_LEN);
	ends = ends_len(p);
	if (all > PROXY_HDR_MAX_V2)
		return err_set(why, ERR_PROTO, "the PROXY header has %zu bytes, over the limit %d",
		    all, PROXY_HDR_MAX_V2);
	if (all < V2_FIXED + ends)
		return err_set(why, ERR_PROTO,
		    "the PROXY header has %zu bytes, too few for the addresses of its family", all);
	if (n < all)
		return 0;
	if (ends > 0 && !are_tlvs(p + V2_FIXED + ends, all - V2_FIXED - ends))
		return err_set(
		    why, ERR_PROTO, "the PROXY header's TLVs do not end where the header does");
	*out = (struct proxy_hdr){ .local = ends == 0 || p[AT_FAMILY] >> 4 == FAMILY_UNIX };
	if (!out->local) {
		size_t len = p[AT_FAMILY] >> 4 == FAMILY_INET ? IPV4 : IPV6;
		const uint8_t *ip = p + V2_FIXED, *ports = ip + 2 * len;

		set_ip(&out->from, ip, len, ports);
		set_ip(&out->to, ip + len, len, ports + sizeof(in_port_t));
	}
	return (int)all;
}

int
proxy_hdr_parse(const uint8_t *p, size_t n, struct proxy_hdr *out, struct errtext *why)
{
	if (n == 0)
		return 0;
	return p[0] == signature[0] ? parse_v2(p, n, out, why) : parse_v1(p, n, out, why);
}
