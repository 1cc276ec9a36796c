/* SPDX-License-Identifier: ISC */
/* net - addresses and stream sockets. */
#include "lib/net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/net/hostport.h"

enum { UNIX_MODE = 0600 };

#define LOCK_SUFFIX ".lock"
#define LOCK_TRIES 100 /* of LOCK_WAIT_US: who holds the lock does a few system calls */
#define LOCK_WAIT_US 20000

/* ---- addresses ---- */

bool
net_addr_literal(const char *host, uint16_t port, struct net_addr *a)
{
	char text[HOSTPORT_HOST_MAX + 1];
	char *zone;

	*a = (struct net_addr){ 0 };
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
parse_unix(const char *path, struct net_addr *a, struct errtext *e)
{
	size_t n = strlen(path);

	if (n == 0)
		return err_set(
		    e, ERR_INVALID, "\"" NET_UNIX_PREFIX "\" needs the path of a socket");
	if (n >= sizeof a->u.un.sun_path)
		return err_set(e, ERR_INVALID,
		    "the path of the Unix socket is longer than %zu characters: %s",
		    sizeof a->u.un.sun_path - 1, path);
	*a = (struct net_addr){ .u.un.sun_family = AF_UNIX };
	memcpy(a->u.un.sun_path, path, n + 1);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

int
net_addr_parse(const char *s, struct net_addr *a, struct errtext *e)
{
	struct hostport hp;
	const char *host;
	int r;

	if (strncmp(s, NET_UNIX_PREFIX, strlen(NET_UNIX_PREFIX)) == 0)
		return parse_unix(s + strlen(NET_UNIX_PREFIX), a, e);
	r = hostport_parse(s, HOSTPORT_ANY_HOST | HOSTPORT_PORT_0, &hp, e);
	if (r != 0)
		return r;
	host = hp.host;
	if (host[0] == 0 || strcmp(host, "*") == 0)
		host = "::";
	else if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (!net_addr_literal(host, hp.port, a))
		return err_set(e, ERR_INVALID,
		    "%s: not an IP address; give 127.0.0.1, [::1], an address of this machine, or "
		    "nothing for all",
		    hp.host);
	return 0;
}

static bool
is_mapped(const struct net_addr *a)
{
	return a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr);
}

const char *
net_addr_host(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "?", zone[IF_NAMESIZE];

	if (a->u.sa.sa_family == AF_UNIX) {
		snprintf(out, NET_ADDR_TEXT, "unix");
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
		snprintf(out, NET_ADDR_TEXT, "%s%%%s", ip, zone);
	else
		snprintf(out, NET_ADDR_TEXT, "%s", ip);
	return out;
}

const char *
net_addr_text(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	char host[NET_ADDR_TEXT];
	bool brackets = a->u.sa.sa_family == AF_INET6 && !is_mapped(a);

	if (a->u.sa.sa_family == AF_UNIX) {
		size_t skip = offsetof(struct sockaddr_un, sun_path);
		int n = a->len > skip ? (int)(a->len - skip) : 0;

		snprintf(out, NET_ADDR_TEXT, NET_UNIX_PREFIX "%.*s", n, a->u.un.sun_path);
		return out;
	}
	/* The longest: a scoped IPv6 address with brackets and port, 46 + 16 + 8. */
	net_addr_host(a, host);
	snprintf(
	    out, NET_ADDR_TEXT, brackets ? "[%.100s]:%u" : "%.100s:%u", host, net_addr_port(a));
	return out;
}

uint16_t
net_addr_port(const struct net_addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return ntohs(a->u.in.sin_port);
	if (a->u.sa.sa_family == AF_INET6)
		return ntohs(a->u.in6.sin6_port);
	return 0;
}

bool
net_addr_is_loopback(const struct net_addr *a)
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
net_local(int fd, struct net_addr *a)
{
	a->len = sizeof a->u;
	return getsockname(fd, &a->u.sa, &a->len) == 0 ? 0 : ERR_SYS;
}

int
net_peer(int fd, struct net_addr *a)
{
	a->len = sizeof a->u;
	return getpeername(fd, &a->u.sa, &a->len) == 0 ? 0 : ERR_SYS;
}

/* ---- listening ---- */

/*
 * Of those who find the same stale socket each would remove what the one before has just made.  So a path is judged, removed and
 * bound only with the lock on a file beside it, which is there no longer than that takes; one that a crash has left behind
 * is as good as any.
 */
static void
lock_name(const struct net_addr *a, char out[sizeof a->u.un.sun_path + sizeof LOCK_SUFFIX])
{
	snprintf(
	    out, sizeof a->u.un.sun_path + sizeof LOCK_SUFFIX, "%s" LOCK_SUFFIX, a->u.un.sun_path);
}

/* Returns 0 with the lock's descriptor in *out; ERR_AGAIN: somebody has it, or has just removed it; ERR_SYS. */
static int
lock_try(const char *name, int *out)
{
	int error, fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, UNIX_MODE);
	struct stat mine, there;

	if (fd < 0)
		return ERR_SYS;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		error = errno;
		close(fd);
		errno = error;
		return error == EWOULDBLOCK || error == EINTR ? ERR_AGAIN : ERR_SYS;
	}
	if (fstat(fd, &mine) != 0 || stat(name, &there) != 0 || mine.st_dev != there.st_dev ||
	    mine.st_ino != there.st_ino) {
		close(fd);
		return ERR_AGAIN;
	}
	*out = fd;
	return 0;
}

static int
lock_path(const struct net_addr *a, int *out, struct errtext *e)
{
	char name[sizeof a->u.un.sun_path + sizeof LOCK_SUFFIX];
	int r;

	lock_name(a, name);
	for (int i = 0; (r = lock_try(name, out)) == ERR_AGAIN && i < LOCK_TRIES; i++)
		usleep(LOCK_WAIT_US);
	if (r == ERR_SYS)
		return err_sys(e, "cannot listen on " NET_UNIX_PREFIX "%s: cannot lock %s",
		    a->u.un.sun_path, name);
	if (r != 0)
		return err_set(e, ERR_EXISTS,
		    "cannot listen on " NET_UNIX_PREFIX "%s: another program holds %s",
		    a->u.un.sun_path, name);
	return 0;
}

static void
unlock_path(const struct net_addr *a, int lock)
{
	char name[sizeof a->u.un.sun_path + sizeof LOCK_SUFFIX];

	if (lock < 0)
		return;
	lock_name(a, name);
	IGNORE_RESULT(unlink(name)); /* if it stays, it is free all the same */
	close(lock);
}

/* Does somebody accept on this path?  Only a refusal proves the contrary; a full backlog answers EAGAIN. */
static bool
is_stale(const struct net_addr *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, &a->u.sa, a->len) != 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* Make way for a Unix socket: remove what nobody listens on any more. */
static int
clear_path(const struct net_addr *a, struct errtext *e)
{
	const char *path = a->u.un.sun_path;
	struct stat st;

	if (lstat(path, &st) != 0)
		return 0; /* bind() will say what it thinks of the path */
	if (!S_ISSOCK(st.st_mode))
		return err_set(
		    e, ERR_EXISTS, "cannot listen on %s: there is a file that is no socket", path);
	if (!is_stale(a))
		return err_set(
		    e, ERR_EXISTS, "cannot listen on %s: another program does already", path);
	if (unlink(path) != 0)
		return err_sys(e, "cannot remove the stale socket %s", path);
	return 0;
}

/* Unix sockets take their mode from the umask: it is narrowed while the path appears. */
static int
bind_addr(int fd, const struct net_addr *a)
{
	mode_t old;
	int r;

	if (a->u.sa.sa_family != AF_UNIX)
		return bind(fd, &a->u.sa, a->len);
	old = umask(0777 & ~UNIX_MODE);
	r = bind(fd, &a->u.sa, a->len);
	umask(old);
	return r;
}

static const char *
bind_hint(const struct net_addr *a, int error)
{
	if (a->u.sa.sa_family == AF_UNIX)
		return "";
	if (error == EACCES)
		return " (ports below 1024 need a privilege: CAP_NET_BIND_SERVICE)";
	if (error == EADDRINUSE)
		return " (another program listens there)";
	if (error == EADDRNOTAVAIL)
		return " (this machine has no such address)";
	return "";
}

static int
listen_at(struct net_addr *a, const char *spec, int *out, struct errtext *e)
{
	int fd, one = 1, zero = 0;

	fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && a->u.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr)) {
		/* A kernel without IPv6: "every address" is IPv4's. */
		IGNORE_RESULT(!net_addr_literal("0.0.0.0", net_addr_port(a), a)); /* it is one */
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	if (fd < 0)
		return err_sys(e, "cannot make a socket for %s", spec);
	if (a->u.sa.sa_family != AF_UNIX)
		IGNORE_RESULT(setsockopt(
		    fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one)); /* only a comfort */
	if (a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr))
		IGNORE_RESULT(setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero)); /* or IPv6 alone */
	if (bind_addr(fd, a) != 0 || listen(fd, NET_BACKLOG) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		return err_sys(e, "cannot listen on %s%s", spec, bind_hint(a, error));
	}
	*out = fd;
	return 0;
}

int
net_listen(const char *spec, int *out, struct errtext *e)
{
	struct net_addr a;
	int lock = -1, r = net_addr_parse(spec, &a, e);

	if (r != 0)
		return r;
	if (a.u.sa.sa_family != AF_UNIX)
		return listen_at(&a, spec, out, e);
	if ((r = lock_path(&a, &lock, e)) == 0 && (r = clear_path(&a, e)) == 0)
		r = listen_at(&a, spec, out, e);
	unlock_path(&a, lock);
	return r;
}

void
net_listen_close(int fd)
{
	struct net_addr a;
	bool named;
	int lock = -1;

	if (fd < 0)
		return;
	named = net_local(fd, &a) == 0 && a.u.sa.sa_family == AF_UNIX &&
		a.len > offsetof(struct sockaddr_un, sun_path) && a.u.un.sun_path[0] != 0;
	close(fd);
	/* Then it is stale like any other.  If it is not, somebody else has taken the path. */
	if (named && lock_path(&a, &lock, NULL) == 0)
		IGNORE_RESULT(clear_path(&a, NULL)); /* somebody has removed it: as good */
	if (named)
		unlock_path(&a, lock);
}

int
net_accept(int listener, int *out, struct net_addr *peer)
{
	struct net_addr local;
	int fd;

	if (peer == NULL)
		peer = &local;
	peer->len = sizeof peer->u;
	fd = accept4(listener, &peer->u.sa, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		net_nodelay(fd);
		*out = fd;
		return 0;
	}
	switch (errno) {
	case EAGAIN:
		return ERR_AGAIN;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return ERR_LIMIT;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EFAULT:
		return ERR_SYS;
	default:
		/* accept(2): on Linux the errors of the new connection itself (ECONNABORTED, ENETDOWN, EPROTO, ...)
		 * come here. */
		return ERR_CLOSED;
	}
}

/* ---- options ---- */

static void
set_tcp(int fd, int option, int value)
{
	IGNORE_RESULT(
	    setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value)); /* a Unix socket has none */
}

void
net_nodelay(int fd)
{
	set_tcp(fd, TCP_NODELAY, 1);
}

void
net_keepalive(int fd, int idle_s, int interval_s, int n)
{
	int one = 1;

	IGNORE_RESULT(
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one)); /* an extra watch only */
	set_tcp(fd, TCP_KEEPIDLE, idle_s);
	set_tcp(fd, TCP_KEEPINTVL, interval_s);
	set_tcp(fd, TCP_KEEPCNT, n);
}
