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
#define ADDR_IDENTITY_LEN 16

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

/*
 * addr_read - an IP address as text, without port or brackets: "192.0.2.1", "::1", "fe80::1%eth0".
 *   zone   set to what stands behind the '%' of an IPv6 address, in s; NULL if there is none.
 *          Whether this machine has such an interface is not asked, and a gets no scope.
 * False if s is none; every other reader of addresses asks this one.
 */
bool addr_read(const char *s, struct addr *a, const char **zone);

/*
 * addr_literal - as addr_read, with a port; the zone is an interface's name or number; false also
 * if none has the name.
 */
bool addr_literal(const char *host, uint16_t port, struct addr *a);

/*
 * addr_text - with port; an IPv4-mapped IPv6 address as IPv4; an unnamed Unix socket is "unix:".
 * Returns out.
 */
const char *addr_text(const struct addr *a, char out[ADDR_TEXT]);
/* addr_host - the address alone, without port and brackets ("unix" for a Unix socket). */
const char *addr_host(const struct addr *a, char out[ADDR_TEXT]);
/* addr_port - host byte order; 0 for a Unix socket. */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/* addr_local, addr_peer - the two ends of a socket.  ERR_SYS (ENOTCONN after a reset). */
int addr_local(int fd, struct addr *a) WARN_UNUSED;
int addr_peer(int fd, struct addr *a) WARN_UNUSED;

/* ---- what is known of an address; ::ffff:a.b.c.d is a.b.c.d in all of it ---- */

/* addr_is_loopback - 127.0.0.0/8, ::1, or a Unix socket: reached from this machine only. */
bool addr_is_loopback(const struct addr *a);

/*
 * addr_is_special - an address that a name from the network has no business to point at (DNS
 * rebinding): loopback, link-local, the metadata services of clouds, multicast, unspecified,
 * reserved, and IPv4 addresses behind a translator.
 */
bool addr_is_special(const struct addr *a);

/*
 * addr_identity - whom limits are counted for: an IPv4 address itself; of an IPv6 address the /56
 * that one subscriber gets; a Unix socket as ::1.
 */
void addr_identity(const struct addr *a, uint8_t out[ADDR_IDENTITY_LEN]);
/* addr_identity_text - "192.0.2.7", "2001:db8::/56", "this machine" (::1); returns out. */
const char *addr_identity_text(const uint8_t id[ADDR_IDENTITY_LEN], char out[ADDR_TEXT]);

/* ---- networks ---- */

struct addr_net {
	uint8_t b[16];
	/* Of b that count, 0 to 128. */
	unsigned bits;
};

/*
 * addr_net_parse - "10.0.0.0/8", "2001:db8::/32", or one address, whose zone does not count.
 * Returns 0; ERR_INVALID: neither; ERR_LIMIT: there are bits beyond the prefix (10.1.2.3/8), which
 * is a slip of the pen.
 */
int addr_net_parse(const char *s, struct addr_net *net) WARN_UNUSED;
/* addr_net_text - as addr_net_parse reads it; of one address without its length.  Returns out. */
const char *addr_net_text(const struct addr_net *net, char out[ADDR_TEXT]);
/* addr_in_net - never of a Unix socket. */
bool addr_in_net(const struct addr *a, const struct addr_net *net);
/* addr_in_nets - in any of n. */
bool addr_in_nets(const struct addr *a, const struct addr_net *nets, size_t n);

#endif
