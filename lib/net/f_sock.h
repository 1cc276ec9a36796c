/* SPDX-License-Identifier: ISC */
/*
 * f_sock - the filter at the bottom: a connected stream socket.
 *
 * Input: read into pooled blocks, F_SOCK_TURN bytes a turn at most; the block grows and shrinks
 * with what arrives, and an idle socket holds none.  Output: gathered into one writev(2); written
 * at once as far as the kernel takes it.
 *
 * The kernel is given little more than it can send at once (TCP_NOTSENT_LOWAT), so that what is
 * decided later (which stream goes next) still matters (lib/net/pace.h).  filter_room() is at most
 * that.
 *
 * Urgent bytes (RFC 9293 3.8.5) are bytes like the others, at their place; what stands behind one
 * may come 0.2 s late.
 *
 * Half-close: the peer's end of file is closed(ERR_EOF), our own direction goes on until
 * filter_shutdown().
 *
 * Freed: what was written still goes out, and the descriptor lingers (lib/net/linger.h) so that it
 * arrives.
 */
#ifndef LIB_F_SOCK_H
#define LIB_F_SOCK_H

#include "lib/net/filter.h"

/* Bytes read from one socket in a turn: what keeps one peer from holding the loop. */
#define F_SOCK_TURN (2 * BUF_HUGE)
/* Memory behind bytes that wait for the kernel, before it is asked whether they are worth it. */
#define F_SOCK_WEIGHT_MAX (1024 * 1024)

/*
 * f_sock_new - take over a connected, non-blocking stream socket.  Returns NULL when out of memory
 * or when the loop refuses the descriptor (errno); fd then still belongs to the caller.  shape:
 * keep little unsent data in the kernel (for sockets that carry a session; a plain endpoint socket
 * has nothing to reorder).
 */
struct filter *f_sock_new(struct loop *l, int fd, bool shape);

/*
 * f_sock_new_pair - the same for two descriptors of pipes or sockets, one to read and one to write
 * (standard input and output; the same number twice for a socket).  Both become non-blocking and
 * are as they were when they are closed; the write end is closed by the shutdown.
 */
struct filter *f_sock_new_pair(struct loop *l, int rfd, int wfd);

#endif
