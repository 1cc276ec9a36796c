/* SPDX-License-Identifier: ISC */
/* listen - listening stream sockets, and what they accept. */
#include "lib/net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/net/sockopt.h"

enum { UNIX_MODE = 0600 };

#define LOCK_SUFFIX ".lock"
#define LOCK_TRIES 100 /* of LOCK_WAIT_US: who holds the lock does a few system calls */
#define LOCK_WAIT_US 20000

/*
 * If several programs find the same stale socket, each would remove what the one before has just
 * made.  So a path is judged, removed and bound only while we hold the lock on a file beside it,
 * which is removed afterwards.  A lock file that a crash has left behind does no harm.
 */
static void
lock_name(const struct addr *a, char out[sizeof a->u.un.sun_path + sizeof LOCK_SUFFIX])
{
	snprintf(
	    out, sizeof a->u.un.sun_path + sizeof LOCK_SUFFIX, "%s" LOCK_SUFFIX, a->u.un.sun_path);
}

/*
 * Returns 0 with the lock's descriptor in *out; ERR_AGAIN: somebody has it, or has just removed it;
 * ERR_SYS.
 */
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
lock_path(const struct addr *a, int *out, struct errtext *e)
{
	char name[sizeof a->u.un.sun_path + sizeof LOCK_SUFFIX];
	int r;

	lock_name(a, name);
	for (int i = 0; (r = lock_try(name, out)) == ERR_AGAIN && i < LOCK_TRIES; i++)
		usleep(LOCK_WAIT_US);
	if (r == ERR_SYS)
		return err_sys(e, "cannot listen on " ADDR_UNIX_PREFIX "%s: cannot lock %s",
		    a->u.un.sun_path, name);
	if (r != 0)
		return err_set(e, ERR_EXISTS,
		    "cannot listen on " ADDR_UNIX_PREFIX "%s: another program holds %s",
		    a->u.un.sun_path, name);
	return 0;
}

static void
unlock_path(const struct addr *a, int lock)
{
	char name[sizeof a->u.un.sun_path + sizeof LOCK_SUFFIX];

	if (lock < 0)
		return;
	lock_name(a, name);
	IGNORE_RESULT(unlink(name)); /* if it stays, it is free all the same */
	close(lock);
}

/*
 * Does somebody accept on this path?  Only a refusal proves the contrary; a full backlog answers
 * EAGAIN.
 */
static bool
is_stale(const struct addr *a)
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
clear_path(const struct addr *a, struct errtext *e)
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
bind_addr(int fd, const struct addr *a)
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
bind_hint(const struct addr *a, int error)
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
listen_at(struct addr *a, const char *spec, int *out, struct errtext *e)
{
	int fd, one = 1, zero = 0;

	fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT && a->u.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr)) {
		/* A kernel without IPv6: "every address" is IPv4's. */
		IGNORE_RESULT(!addr_literal("0.0.0.0", addr_port(a), a)); /* it is one */
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
	if (bind_addr(fd, a) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		return err_sys(e, "cannot listen on %s%s", spec, bind_hint(a, error));
	}
	*out = fd;
	return 0;
}

int
listen_open(const char *spec, int *out, struct errtext *e)
{
	struct addr a;
	int lock = -1, r = addr_parse(spec, &a, e);

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
listen_close(int fd)
{
	struct addr a;
	bool named;
	int lock = -1;

	if (fd < 0)
		return;
	named = addr_local(fd, &a) == 0 && a.u.sa.sa_family == AF_UNIX &&
		a.len > offsetof(struct sockaddr_un, sun_path) && a.u.un.sun_path[0] != 0;
	close(fd);
	/* Then it is stale like any other.  If it is not, somebody else has taken the path. */
	if (named && lock_path(&a, &lock, NULL) == 0)
		IGNORE_RESULT(clear_path(&a, NULL)); /* somebody has removed it: as good */
	if (named)
		unlock_path(&a, lock);
}

int
listen_accept(int listener, int *out, struct addr *peer)
{
	struct addr local;
	int fd;

	if (peer == NULL)
		peer = &local;
	peer->len = sizeof peer->u;
	fd = accept4(listener, &peer->u.sa, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		sockopt_nodelay(fd);
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
		/*
		 * accept(2): on Linux the errors of the new connection itself (ECONNABORTED,
		 * ENETDOWN, EPROTO, ...) come here.
		 */
		return ERR_CLOSED;
	}
}
