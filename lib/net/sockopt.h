/* SPDX-License-Identifier: ISC */
/* sockopt - options of sockets. */
#ifndef LIB_SOCKOPT_H
#define LIB_SOCKOPT_H

#include <stdbool.h>

/* sockopt_nodelay - small writes leave at once; does nothing on a Unix socket. */
void sockopt_nodelay(int fd);

/*
 * sockopt_keepalive - a TCP peer that is silent for a minute is asked whether it is there, and its
 * connection breaks (ETIMEDOUT) when it has not answered for another.  What a listener accepts
 * inherits it (tcp(7)).
 */
void sockopt_keepalive(int fd);
/* sockopt_reset - the close of fd will be a reset, or again an end; a pipe has no such thing. */
void sockopt_reset(int fd, bool on);

#endif
