/* SPDX-License-Identifier: ISC */
/* addr - addresses as text and back, and what is known of them. */
#include "lib/net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/net/hostport.h"

bool
addr_read(const char *s, struct addr *a, const char **zone)
{
	char plain[INET6_ADDRSTRLEN];
	size_t n = strcspn(s, "%");

	*zone = NULL;
	*a = (struct addr){ .len = sizeof a->u.in };
	if (inet_pton(AF_INET, s, &a->u.in.sin_addr) == 1) {
		a->u.in.sin_family = AF_INET;
		return true;
	}
	*a = (struct addr){ .len = sizeof a->u.in6 };
	/* A zone is an interface's name or number (RFC 4007 11.2). */
	if (n >= sizeof plain || (s[n] == '%' && !str_is_name(s + n + 1, IF_NAMESIZE - 1)))
		return false;
	memcpy(plain, s, n);
	plain[n] = '\0';
	if (inet_pton(AF_INET6, plain, &a->u.in6.sin6_addr) != 1)
		return false;
	a->u.in6.sin6_family = AF_INET6;
	if (s[n] == '%')
		*zone = s + n + 1;
	return true;
}

bool
addr_literal(const char *host, uint16_t port, struct addr *a)
{
	const char *zone;
	uint64_t index;

	if (!addr_read(host, a, &zone))
		return false;
	addr_set_port(a, port);
	if (zone == NULL)
		return true;
	a->u.in6.sin6_scope_id = if_nametoindex(zone);
	if (a->u.in6.sin6_scope_id == 0 && str_parse_u64(zone, 1, UINT32_MAX, &index) == 0)
		a->u.in6.sin6_scope_id = (uint32_t)index;
	return a->u.in6.sin6_scope_id != 0;
}

static int
parse_unix(const char *path, struct addr *a, struct errtext *e)
{
	size_t n = strlen(path);

	if (n == 0)
		return err_set(
		    e, ERR_INVALID, "\"" ADDR_UNIX_PREFIX "\" needs the path of a socket");
	if (n >= sizeof a->u.un.sun_path)
		return err_set(e, ERR_INVALID,
		    "the path of the Unix socket is longer than %zu characters: %s",
		    sizeof a->u.un.sun_path - 1, path);
	*a = (struct addr){ .u.un.sun_family = AF_UNIX };
	memcpy(a->u.un.sun_path, path, n + 1);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

int
addr_parse(const char *s, struct addr *a, struct errtext *e)
{
	struct hostport hp;
	const char *host;
	int r;

	if (strncmp(s, ADDR_UNIX_PREFIX, strlen(ADDR_UNIX_PREFIX)) == 0)
		return parse_unix(s + strlen(ADDR_UNIX_PREFIX), a, e);
	r = hostport_parse(s, HOSTPORT_ANY_HOST | HOSTPORT_PORT_0, &hp, e);
	if (r != 0)
		return r;
	host = hp.host;
	if (host[0] == 0)
		host = "::";
	else if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (!addr_literal(host, hp.port, a))
		return err_set(e, ERR_INVALID,
		    "%s: not an IP address; give 127.0.0.1, [::1], an address of this machine, or "
		    "nothing for all",
		    hp.host);
	return 0;
}

static bool
is_mapped(const struct addr *a)
{
	return a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr);
}

/* As inet_ntop writes it, without its formats: it stands in every request of a visitor. */
static void
ipv4_text(const uint8_t ip[4], char *out)
{
	for (int i = 0; i < 4; i++) {
		unsigned n = ip[i];

		if (i > 0)
			*out++ = '.';
		if (n >= 100)
			*out++ = (char)('0' + n / 100);
		if (n >= 10)
			*out++ = (char)('0' + n / 10 % 10);
		*out++ = (char)('0' + n % 10);
	}
	*out = '\0';
}

const char *
addr_host(const struct addr *a, char out[ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "?", zone[IF_NAMESIZE];

	if (a->u.sa.sa_family == AF_UNIX) {
		snprintf(out, ADDR_TEXT, "unix");
		return out;
	}
	if (a->u.sa.sa_family == AF_INET || is_mapped(a)) {
		ipv4_text(a->u.sa.sa_family == AF_INET ? (const uint8_t *)&a->u.in.sin_addr
						       : &a->u.in6.sin6_addr.s6_addr[12],
		    out);
		return out;
	}
	if (a->u.sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &a->u.in6.sin6_addr, ip, sizeof ip);
	if (a->u.sa.sa_family == AF_INET6 && a->u.in6.sin6_scope_id != 0 &&
	    if_indextoname(a->u.in6.sin6_scope_id, zone) != NULL)
		snprintf(out, ADDR_TEXT, "%s%%%s", ip, zone);
	else
		snprintf(out, ADDR_TEXT, "%s", ip);
	return out;
}

const char *
addr_text(const struct addr *a, char out[ADDR_TEXT])
{
	char host[ADDR_TEXT];
	bool brackets = a->u.sa.sa_family == AF_INET6 && !is_mapped(a);

	if (a->u.sa.sa_family == AF_UNIX) {
		size_t skip = offsetof(struct sockaddr_un, sun_path);
		int n = a->len > skip ? (int)(a->len - skip) : 0;

		snprintf(out, ADDR_TEXT, ADDR_UNIX_PREFIX "%.*s", n, a->u.un.sun_path);
		return out;
	}
	/* The longest: a scoped IPv6 address with brackets and port, 46 + 16 + 8. */
	addr_host(a, host);
	snprintf(out, ADDR_TEXT, brackets ? "[%.100s]:%u" : "%.100s:%u", host, addr_port(a));
	return out;
}

uint16_t
addr_port(const struct addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return ntohs(a->u.in.sin_port);
	if (a->u.sa.sa_family == AF_INET6)
		return ntohs(a->u.in6.sin6_port);
	return 0;
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	if (a->u.sa.sa_family == AF_INET)
		a->u.in.sin_port = htons(port);
	else if (a->u.sa.sa_family == AF_INET6)
		a->u.in6.sin6_port = htons(port);
}

int
addr_local(int fd, struct addr *a)
{
	a->len = sizeof a->u;
	return getsockname(fd, &a->u.sa, &a->len) == 0 ? 0 : ERR_SYS;
}

int
addr_peer(int fd, struct addr *a)
{
	a->len = sizeof a->u;
	return getpeername(fd, &a->u.sa, &a->len) == 0 ? 0 : ERR_SYS;
}

/* ---- what is known of an address ---- */

/* The bits before an IPv4 address in ::ffff:0:0/96. */
#define V4_BITS 96

/*
 * Every address in one form, so that a network has one prefix length and no spelling slips past it:
 * 16 bytes, IPv4 mapped.
 */
static bool
to_bytes(const struct addr *a, uint8_t out[16])
{
	if (a->u.sa.sa_family == AF_INET) {
		memset(out, 0, 10);
		out[10] = out[11] = 0xff;
		memcpy(out + 12, &a->u.in.sin_addr, 4);
		return true;
	}
	if (a->u.sa.sa_family != AF_INET6)
		return false;
	memcpy(out, &a->u.in6.sin6_addr, 16);
	return true;
}

static bool
in_net(const uint8_t b[16], const struct addr_net *net)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(b, net->b, whole) != 0)
		return false;
	return rest == 0 || ((b[whole] ^ net->b[whole]) >> (8 - rest)) == 0;
}

bool
addr_in_net(const struct addr *a, const struct addr_net *net)
{
	uint8_t b[16];

	return to_bytes(a, b) && in_net(b, net);
}

bool
addr_in_nets(const struct addr *a, const struct addr_net *nets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (addr_in_net(a, &nets[i]))
			return true;
	return false;
}

/* x.y.0.0/n as a network. */
#define V4(x, y, n)                                                         \
	{                                                                   \
		.b = { [10] = 0xff, 0xff, (x), (y) }, .bits = V4_BITS + (n) \
	}
#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

bool
addr_is_loopback(const struct addr *a)
{
	static const struct addr_net nets[] = { V4(127, 0, 8), { .b = { [15] = 1 }, .bits = 128 } };

	return a->u.sa.sa_family == AF_UNIX || addr_in_nets(a, nets, N_OF(nets));
}

bool
addr_is_special(const struct addr *a)
{
	static const struct addr_net nets[] = {
		V4(0, 0, 8),      /* "this" network */
		V4(169, 254, 16), /* link-local, and most clouds' metadata */
		V4(224, 0, 4),    /* multicast */
		V4(240, 0, 4),    /* reserved, broadcast */
		/*
		 * Metadata: Alibaba's 100.100.100.200, Azure's 168.63.129.16, AWS's and Google's in
		 * IPv6.
		 */
		{ .b = { [10] = 0xff, 0xff, 100, 100, 100, 200 }, .bits = 128 },
		{ .b = { [10] = 0xff, 0xff, 168, 63, 129, 16 }, .bits = 128 },
		{ .b = { 0xfd, 0, 0x0e, 0xc2, [14] = 0x02, 0x54 }, .bits = 128 },
		{ .b = { 0xfd, 0x20, 0, 0xce, [14] = 0x02, 0x54 }, .bits = 128 },
		{ .bits = 96 },                                     /* ::, and IPv4-compatible */
		{ .b = { 0xfe, 0x80 }, .bits = 10 },                /* link-local */
		{ .b = { 0xff }, .bits = 8 },                       /* multicast */
		{ .b = { 0, 0x64, 0xff, 0x9b }, .bits = 96 },       /* NAT64 (RFC 6052) */
		{ .b = { 0, 0x64, 0xff, 0x9b, 0, 1 }, .bits = 48 }, /* NAT64 (RFC 8215) */
	};

	return addr_is_loopback(a) || addr_in_nets(a, nets, N_OF(nets));
}

void
addr_identity(const struct addr *a, uint8_t out[ADDR_IDENTITY_LEN])
{
	static const struct addr_net v4 = V4(0, 0, 0);
	enum { SUBSCRIBER = 56 / 8 };

	memset(out, 0, ADDR_IDENTITY_LEN);
	if (to_bytes(a, out) && !in_net(out, &v4))
		memset(out + SUBSCRIBER, 0, ADDR_IDENTITY_LEN - SUBSCRIBER);
}

const char *
addr_identity_text(const uint8_t id[ADDR_IDENTITY_LEN], char out[ADDR_TEXT])
{
	static const struct addr_net v4 = V4(0, 0, 0), none = { .bits = 128 };
	char ip[INET6_ADDRSTRLEN] = "?";

	if (in_net(id, &none)) {
		snprintf(out, ADDR_TEXT, "this machine");
	} else if (in_net(id, &v4)) {
		inet_ntop(AF_INET, id + V4_BITS / 8, ip, sizeof ip);
		snprintf(out, ADDR_TEXT, "%s", ip);
	} else {
		inet_ntop(AF_INET6, id, ip, sizeof ip);
		snprintf(out, ADDR_TEXT, "%s/56", ip);
	}
	return out;
}

/* ---- networks ---- */

int
addr_net_parse(const char *s, struct addr_net *net)
{
	char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
	size_t n = strcspn(s, "/");
	const char *zone;
	uint64_t bits;
	unsigned width;
	struct addr a;

	if (n >= sizeof host)
		return ERR_INVALID;
	memcpy(host, s, n);
	host[n] = '\0';
	if (!addr_read(host, &a, &zone) || !to_bytes(&a, net->b))
		return ERR_INVALID;
	width = a.u.sa.sa_family == AF_INET ? 32 : 128;
	bits = width;
	if (s[n] == '/' && str_parse_u64(s + n + 1, 0, width, &bits) != 0)
		return ERR_INVALID;
	net->bits = (unsigned)bits + 128 - width;
	for (unsigned i = net->bits; i < 128; i++)
		if ((net->b[i / 8] & 0x80 >> i % 8) != 0)
			return ERR_LIMIT;
	return 0;
}

const char *
addr_net_text(const struct addr_net *net, char out[ADDR_TEXT])
{
	static const struct addr_net v4 = V4(0, 0, 0);
	bool is_v4 = net->bits >= v4.bits && in_net(net->b, &v4);
	unsigned width = is_v4 ? 32 : 128, bits = net->bits - (128 - width);
	size_t n;

	/* Neither family nor room is missing: it cannot fail. */
	IGNORE_RESULT(inet_ntop(is_v4 ? AF_INET : AF_INET6, net->b + (is_v4 ? 12 : 0), out,
			  ADDR_TEXT) == NULL);
	n = strlen(out);
	if (bits < width)
		snprintf(out + n, ADDR_TEXT - n, "/%u", bits);
	return out;
}
