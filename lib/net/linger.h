/* SPDX-License-Identifier: ISC */
/*
 * linger - close a connected socket so that what was written last arrives.
 *
 * A close(2) with input unread, or on its way, becomes a reset, and a reset overtakes what the peer
 * has not read yet: the very sentence that says why.  So what is left is written, our direction is
 * ended (FIN), what still comes is read and thrown away, and the descriptor is closed when the peer
 * has closed and we have said all, or at one of the bounds below.  The descriptor belongs to nobody
 * but its loop meanwhile.
 */
#ifndef LIB_LINGER_H
#define LIB_LINGER_H

#include "lib/net/buf.h"
#include "lib/net/loop.h"

/*
 * How long a peer may take to read some of the last words, and in the end to close; slow ones
 * included.
 */
#define LINGER_MS 5000
/* Thrown away of one socket: more than the windows of honest peers have under way. */
#define LINGER_BYTES (16 * 1024 * 1024)

/*
 * linger_close - fd, a non-blocking stream socket that no io watches any more, and out, what is yet
 * to be written, are taken over.  Of one loop LOOP_ORPHANS_MAX sockets linger at once; one more
 * closes the oldest.  Out of memory: closed at once.
 */
void linger_close(struct loop *l, int fd, struct bufq *out);

#endif
