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
