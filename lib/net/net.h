/* SPDX-License-Identifier: ISC */
/*
 * net - non-blocking TCP and Unix stream sockets: addresses, listening, accepting, options.
 *
 * Addresses as people write them, and as messages show them:
 *     192.0.2.1:80    [2001:db8::1]:80    :80 (every address)    unix:/run/tunnel.sock
 * Names are resolved by net_dial only; what is listened on is a literal address or "localhost".
 * All descriptors are non-blocking and close-on-exec.
 */
#ifndef LIB_NET_H
#define LIB_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/base/err.h"

#define NET_ADDR_TEXT 128 /* room for any address as text, terminated */
#define NET_BACKLOG 1024
#define NET_UNIX_PREFIX "unix:"

/* One address; u.sa.sa_family says which. */
struct net_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage ss;
	} u;
	socklen_t len;
};

/* ---- addresses ---- */

/*
 * net_addr_parse - a literal address with port, or unix:PATH.  ":80" is every address, IPv6 and IPv4.
 * Returns 0; ERR_INVALID with e saying what is wrong.
 */
int net_addr_parse(const char *s, struct net_addr *a, struct errtext *e) WARN_UNUSED;

/* net_addr_literal - an IP address without port or brackets ("::1", "fe80::1%eth0"); false if host is a name. */
bool net_addr_literal(const char *host, uint16_t port, struct net_addr *a);

/* net_addr_text - as above, an IPv4-mapped IPv6 address as IPv4; an unnamed Unix socket is "unix:".  Returns out. */
const char *net_addr_text(const struct net_addr *a, char out[NET_ADDR_TEXT]);
/* net_addr_host - the address alone, without port and brackets ("unix" for a Unix socket). */
const char *net_addr_host(const struct net_addr *a, char out[NET_ADDR_TEXT]);
/* net_addr_port - host byte order; 0 for a Unix socket. */
uint16_t net_addr_port(const struct net_addr *a);
/* net_addr_is_loopback - 127/8, ::1, mapped 127/8, or a Unix socket: reached from this machine only. */
bool net_addr_is_loopback(const struct net_addr *a);
/* net_local, net_peer - the two ends of a socket.  ERR_SYS (ENOTCONN after a reset). */
int net_local(int fd, struct net_addr *a) WARN_UNUSED;
int net_peer(int fd, struct net_addr *a) WARN_UNUSED;

/* ---- listening ---- */

/*
 * net_listen - bind and listen.
 *   *fd   set on success only; net_local() tells the port that the system chose for port 0
 * SO_REUSEADDR is set.  A Unix socket is made with mode 0600; a stale one (nobody accepts on it) is replaced, by one program if
 * several try at once; one in use is ERR_EXISTS, and a path that is no socket is never touched.  PATH.lock is there meanwhile.
 * Otherwise ERR_INVALID or ERR_SYS; e names the address and what to do.
 */
int net_listen(const char *spec, int *fd, struct errtext *e) WARN_UNUSED;

/* net_listen_close - close a listener, and remove its Unix socket's path unless another listener has it by now. */
void net_listen_close(int fd);

/*
 * net_accept - the next connection, with TCP_NODELAY.  peer may be NULL.
 * Returns 0 with *fd set; ERR_AGAIN: none waits; ERR_CLOSED: this one was gone again, ask for the next at once; ERR_LIMIT: no
 * descriptor or memory for it (EMFILE, ENFILE, ENOBUFS, ENOMEM): stop accepting for a moment; ERR_SYS.
 */
int net_accept(int listener, int *fd, struct net_addr *peer) WARN_UNUSED;

/* ---- options: all do nothing on a Unix socket, and nothing depends on their success ---- */

void net_nodelay(int fd);
/* net_keepalive - probe a silent peer after idle_s seconds, then every interval_s, give up after n. */
void net_keepalive(int fd, int idle_s, int interval_s, int n);

#endif
