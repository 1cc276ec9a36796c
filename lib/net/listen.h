/* SPDX-License-Identifier: ISC */
/*
 * listen - listening TCP and Unix stream sockets.
 *
 * What is listened on is a literal address or "localhost" (lib/net/addr.h): names are resolved for
 * dialling only. All descriptors are non-blocking and close-on-exec.
 */
#ifndef LIB_LISTEN_H
#define LIB_LISTEN_H

#include "lib/base/err.h"
#include "lib/net/addr.h"

#define LISTEN_BACKLOG 1024

/*
 * listen_open - bind and listen.
 *   *fd   set on success only; addr_local() tells the port that the system chose for port 0
 * SO_REUSEADDR is set.  A Unix socket is made with mode 0600; a stale one (nobody accepts on it) is
 * replaced, by one program if several try at once; one in use is ERR_EXISTS, and a path that is no
 * socket is never touched.  PATH.lock is there meanwhile. Otherwise ERR_INVALID or ERR_SYS; e names
 * the address and what to do.
 */
int listen_open(const char *spec, int *fd, struct errtext *e) WARN_UNUSED;

/*
 * listen_close - close a listener, and remove its Unix socket's path unless another listener has it
 * by now.
 */
void listen_close(int fd);

/*
 * listen_accept - the next connection, with TCP_NODELAY.  peer may be NULL.
 * Returns 0 with *fd set; ERR_AGAIN: none waits; ERR_CLOSED: this one was gone again, ask for the
 * next at once; ERR_LIMIT: no descriptor or memory for it (EMFILE, ENFILE, ENOBUFS, ENOMEM): stop
 * accepting for a moment; ERR_SYS.
 */
int listen_accept(int listener, int *fd, struct addr *peer) WARN_UNUSED;

#endif
