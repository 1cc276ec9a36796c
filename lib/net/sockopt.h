/* SPDX-License-Identifier: ISC */
/* sockopt - options of sockets. */
#ifndef LIB_SOCKOPT_H
#define LIB_SOCKOPT_H

/* sockopt_nodelay - small writes leave at once; does nothing on a Unix socket. */
void sockopt_nodelay(int fd);

#endif
