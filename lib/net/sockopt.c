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

void
sockopt_keepalive(int fd)
{
	static const int option[][2] = { { TCP_KEEPIDLE, 60 }, { TCP_KEEPINTVL, 15 },
		{ TCP_KEEPCNT, 4 } };
	int one = 1;

	/* Without it such connections stay for longer, no more. */
	IGNORE_RESULT(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
	for (size_t i = 0; i < sizeof option / sizeof option[0]; i++)
		IGNORE_RESULT(
		    setsockopt(fd, IPPROTO_TCP, option[i][0], &option[i][1], sizeof(int)));
}
