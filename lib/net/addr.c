/* SPDX-License-Identifier: ISC */
/* addr - addresses as text and back, and what is known of them. */
#include "lib/net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "lib/net/hostport.h"

bool
addr_literal(const char *host, uint16_t port, struct addr *a)
{
	char text[HOSTPORT_HOST_MAX + 1];
	char *zone;

	*a = (struct addr){ 0 };
	if (inet_pton(AF_INET, host, &a->u.in.sin_addr) == 1) {
		a->u.in.sin_family = AF_INET;
		a->u.in.sin_port = htons(port);
		a->len = sizeof a->u.in;
		return true;
	}
	if (strlen(host) >= sizeof text)
		return false;
	memcpy(text, host, strlen(host) + 1);
	zone = strchr(text, '%');
	if (zone != NULL) {
		*zone++ = 0;
		a->u.in6.sin6_scope_id = if_nametoindex(zone);
		if (a->u.in6.sin6_scope_id == 0)
			return false;
	}
	if (inet_pton(AF_INET6, text, &a->u.in6.sin6_addr) != 1)
		return false;
	a->u.in6.sin6_family = AF_INET6;
	a->u.in6.sin6_port = htons(port);
	a->len = sizeof a->u.in6;
	return true;
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
	if (host[0] == 0 || strcmp(host, "*") == 0)
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

const char *
addr_host(const struct addr *a, char out[ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "?", zone[IF_NAMESIZE];

	if (a->u.sa.sa_family == AF_UNIX) {
		snprintf(out, ADDR_TEXT, "unix");
		return out;
	}
	if (a->u.sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->u.in.sin_addr, ip, sizeof ip);
	else if (is_mapped(a))
		inet_ntop(AF_INET, &a->u.in6.sin6_addr.s6_addr[12], ip, sizeof ip);
	else if (a->u.sa.sa_family == AF_INET6)
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

bool
addr_is_loopback(const struct addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return ntohl(a->u.in.sin_addr.s_addr) >> 24 == 127;
	if (is_mapped(a))
		return a->u.in6.sin6_addr.s6_addr[12] == 127;
	if (a->u.sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
	return a->u.sa.sa_family == AF_UNIX;
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
