/* SPDX-License-Identifier: ISC */
/*
 * bufpipe - blocks whose bytes never enter user space: splice(2) moves them from a socket into a pipe, and from the pipe to the next
 * socket, without a copy.
 *
 * A pipe is filled once, from one descriptor, and is read in order: of the slices that name its bytes the one with the lowest
 * offset must be sent or dropped first, which queues do by themselves.  Whoever has to look at the bytes loads them
 * (bufq_load), after which the block is an ordinary one.
 *
 * The same bytes can stand in two queues all the same: bufpipe_tee() makes a second pipe of the same pages.
 *
 * Descriptors: two for each pipe; BUFPIPE_MAX pipes, and an eighth of the process's descriptors, for all threads together at most.
 * They are kept for the next bytes until bufpipe_idle() finds that none was needed for a while, and a
 * loaded block has none.  Without a free pipe the caller reads into memory, so that nothing depends on them.
 *
 * Threads: as lib/net/buf.h.  A pipe that another thread drops last is that thread's from then on.
 */
#ifndef LIB_BUFPIPE_H
#define LIB_BUFPIPE_H

#include <sys/types.h>

#include "lib/net/buf.h"

/* Half of the pages that the kernel lets the pipes of one unprivileged user have (pipe-user-pages-soft). */
#define BUFPIPE_MAX 256
#define BUFPIPE_IDLE_MS 5000
/* Asked of the kernel for each pipe: 32 slots, one for each segment or page. */
#define BUFPIPE_BYTES (128 * 1024)
/* The most that goes into one: half a large block, which is a DATA frame. */
#define BUFPIPE_PIECE (BUF_HUGE / 2)

/*
 * bufpipe_fill - splice up to max bytes, and BUFPIPE_PIECE, from fd, which does not block, into a pipe.  Returns the bytes, with a reference to *out for the
 * caller; 0 at the end of file; ERR_AGAIN when there is nothing; ERR_LIMIT when there is no pipe, or fd cannot be spliced; ERR_SYS (errno).
 */
ssize_t bufpipe_fill(int fd, size_t max, struct block **out) WARN_UNUSED;

/*
 * bufpipe_send - splice bytes [off, off + n) of b to fd.  Returns the bytes taken; ERR_AGAIN; ERR_INVALID when these
 * bytes must be loaded first; ERR_SYS (errno).
 */
ssize_t bufpipe_send(struct block *b, uint32_t off, uint32_t n, int fd) WARN_UNUSED;

/* bufpipe_tee - another pipe with the bytes of b, of which none has been sent.  NULL: there is no pipe, or b is loaded. */
struct block *bufpipe_tee(const struct block *b) WARN_UNUSED;

/* bufpipe_trim - close this thread's unused pipes. */
void bufpipe_trim(void);
/*
 * bufpipe_idle - the same if none was used for BUFPIPE_IDLE_MS; with a monotonic time.  Returns whether any pipe is left, so that
 * it is to be called again after that time.
 */
bool bufpipe_idle(uint64_t now_ms);

/* ---- for lib/net/buf.c ---- */

/* bufpipe_load - read what the pipe holds into memory, and close it; does nothing the second time.  ERR_NOMEM. */
int bufpipe_load(struct block *b) WARN_UNUSED;
/* bufpipe_mem - where offset 0 is once loaded, else NULL. */
uint8_t *bufpipe_mem(const struct block *b);
/* bufpipe_put - the last reference is gone. */
void bufpipe_put(struct block *b);

#endif
