/* SPDX-License-Identifier: ISC */
/* sockopt - options of TCP sockets. */
#include "lib/net/sockopt.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "lib/base/err.h"

static void
set_tcp(int fd, int option, int value)
{
	IGNORE_RESULT(
	    setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value)); /* a Unix socket has none */
}

void
sockopt_nodelay(int fd)
{
	set_tcp(fd, TCP_NODELAY, 1);
}

void
sockopt_keepalive(int fd, int idle_s, int interval_s, int n)
{
	int one = 1;

	IGNORE_RESULT(
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one)); /* an extra watch only */
	set_tcp(fd, TCP_KEEPIDLE, idle_s);
	set_tcp(fd, TCP_KEEPINTVL, interval_s);
	set_tcp(fd, TCP_KEEPCNT, n);
}
