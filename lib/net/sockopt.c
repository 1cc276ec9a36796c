/* SPDX-License-Identifier: ISC */
/* sockopt - options of sockets. */
#include "lib/net/sockopt.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "lib/base/err.h"

void
sockopt_nodelay(int fd)
{
	int one = 1;

	/* A Unix socket has no such option. */
	IGNORE_RESULT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
}

void
sockopt_reset(int fd, bool on)
{
	struct linger hard = { .l_onoff = on, .l_linger = 0 };

	IGNORE_RESULT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
}
