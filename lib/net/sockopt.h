/* SPDX-License-Identifier: ISC */
/*
 * sockopt - options of TCP sockets.
 *
 * All do nothing on a Unix socket, and nothing depends on their success.
 */
#ifndef LIB_SOCKOPT_H
#define LIB_SOCKOPT_H

/* sockopt_nodelay - small writes leave at once. */
void sockopt_nodelay(int fd);
/* sockopt_keepalive - probe a silent peer after idle_s seconds, then every interval_s, give up after n. */
void sockopt_keepalive(int fd, int idle_s, int interval_s, int n);

#endif
