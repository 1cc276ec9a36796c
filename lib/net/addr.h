/* SPDX-License-Identifier: ISC */
/*
 * addr - addresses of stream sockets, as people write them and as messages show them.
 *
 *     192.0.2.1:80    [2001:db8::1]:80    :80 (every address)    unix:/run/tunnel.sock
 */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/err.h"

#define ADDR_TEXT 128 /* room for any address as text, terminated */
#define ADDR_UNIX_PREFIX "unix:"

/* One address; u.sa.sa_family says which. */
struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage ss;
	} u;
	socklen_t len;
};

/*
 * addr_parse - a literal address with port, or unix:PATH.  ":80" is every address, IPv6 and IPv4.
 * Returns 0; ERR_INVALID with e saying what is wrong.
 */
int addr_parse(const char *s, struct addr *a, struct errtext *e) WARN_UNUSED;

/* addr_literal - an IP address without port or brackets ("::1", "fe80::1%eth0"); false if host is a name. */
bool addr_literal(const char *host, uint16_t port, struct addr *a);

/* addr_text - as above, an IPv4-mapped IPv6 address as IPv4; an unnamed Unix socket is "unix:".  Returns out. */
const char *addr_text(const struct addr *a, char out[ADDR_TEXT]);
/* addr_host - the address alone, without port and brackets ("unix" for a Unix socket). */
const char *addr_host(const struct addr *a, char out[ADDR_TEXT]);
/* addr_port - host byte order; 0 for a Unix socket. */
uint16_t addr_port(const struct addr *a);
/* addr_is_loopback - 127/8, ::1, mapped 127/8, or a Unix socket: reached from this machine only. */
bool addr_is_loopback(const struct addr *a);
/* addr_local, addr_peer - the two ends of a socket.  ERR_SYS (ENOTCONN after a reset). */
int addr_local(int fd, struct addr *a) WARN_UNUSED;
int addr_peer(int fd, struct addr *a) WARN_UNUSED;

#endif
