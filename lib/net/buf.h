/* SPDX-License-Identifier: ISC */
/*
 * buf - bytes in motion: reference-counted blocks and queues of slices of them.
 *
 * A block is a piece of memory of one of a few sizes, taken from a pool that belongs to the calling
 * thread.  A slice names some bytes of a block and holds one reference.  A bufq is a queue of
 * slices.  Payload moves between queues by moving or sharing slices; the bytes themselves stay
 * where recv(2) put them.  The same bytes may stand in several queues at once (what is kept until
 * it is acknowledged, and what is being sent), so bytes in a queue are read-only, except through
 * bufq_own().
 *
 * Why not evbuffer: a sender shares bytes between what it retains and what it sends, reads go
 * straight into pooled memory without a malloc per read, and the memory that a queue pins is known
 * (see bufq_weight).
 *
 * Threads: reference counts are not atomic.  All queues that share blocks belong to one thread; to
 * hand bytes to another thread, hand over every queue that shares them.  A block goes back to the
 * pool of the thread that drops the last reference.
 *
 * What it was measured to give (CPU of relay, agent and client for a plain download of 1.5 GB,
 * medians of 4 runs by turns on a busy machine, where equal runs differ by 5 %):
 *
 *      pools of free blocks              21 % less CPU than malloc and free for each read
 *      blocks of 64 and 128 KiB          5 % less CPU than reads of 16 KiB
 *      reads up to BUF_SMALL are copied  memory: small_reads_pin_little (f_sock_test)
 *      bufq_keep                         memory: 500 stalled readers, see lib/net/buf.c
 *      bufq_compact                      memory: a_scattered_queue_is_compacted (buf_test)
 *
 * Units: lengths and offsets are bytes.  Errors: ERR_NOMEM only; a failed call leaves its arguments
 * as they were.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/base/err.h"

/* Block sizes (capacity in bytes).  A request is met from the smallest class that holds it. */
/* Frame headers, control bodies. */
#define BUF_SMALL 1024
/* A whole TLS record with its header and tag, an idle socket's read. */
#define BUF_MEDIUM (16 * 1024 + 512)
/* A busy socket. */
#define BUF_LARGE (64 * 1024)
/*
 * Bulk: a few of these fit in a CPU's cache; with its head a block is 128 KiB, and it holds two
 * DATA frames (proto/frame.h).
 */
#define BUF_HUGE (128 * 1024 - 16)

struct block {
	uint32_t refs;
	/* Bytes in data. */
	uint32_t cap;
	/* Bytes used from the front; only the one filler advances it. */
	uint32_t fill;
	/* Index of the pool it returns to. */
	uint16_t class;
	/* Not 0: it is overwritten before that (bufq_secret). */
	uint16_t secret;
	uint8_t data[];
};

/* Bytes [off, off + n) of a block. */
struct slice {
	struct block *b;
	uint32_t off, n;
};

/* Zero is a valid empty queue.  Members are private; len may be read. */
struct bufq {
	/* Bytes queued. */
	size_t len;
	/* Bytes of the blocks behind them. */
	size_t pinned;
	/* Ring of cap slices. */
	struct slice *v;
	uint32_t cap, head, n;
};

/*
 * block_new - a block of at least n bytes (n <= BUF_HUGE), fill 0, one reference to the caller.
 * NULL: out of memory.
 */
struct block *block_new(size_t n);
struct block *block_ref(struct block *b);
/* block_unref - drop a reference; accepts NULL. */
void block_unref(struct block *b);
/* block_room - bytes that may still be filled behind b->fill. */
static inline size_t
block_room(const struct block *b)
{
	return b->cap - b->fill;
}

/*
 * buf_pool_free - give this thread's pooled blocks back to malloc (end of a thread; idle moments).
 */
void buf_pool_free(void);

/* bufq_fini - drop everything; the queue is empty and valid afterwards. */
void bufq_fini(struct bufq *q);

/*
 * bufq_append - queue n bytes at p, which lie in b; takes a reference of its own.  n == 0 does
 * nothing.
 */
int bufq_append(struct bufq *q, struct block *b, uint8_t *p, size_t n) WARN_UNUSED;

/*
 * bufq_copy - queue a copy of n bytes; small copies share the tail block while nobody else holds
 * it.
 */
int bufq_copy(struct bufq *q, const void *p, size_t n) WARN_UNUSED;

/* bufq_move - move the first n (<= src->len) bytes of src to the end of dst without copying. */
int bufq_move(struct bufq *dst, struct bufq *src, size_t n) WARN_UNUSED;

/*
 * bufq_keep - as bufq_move, for bytes that will stand in dst: what is less than half of what its
 * block holds, or than BUF_SMALL, is copied.  So a queue whose pieces lie between those of others
 * pins little more than it holds, and no byte is copied twice.
 */
int bufq_keep(struct bufq *dst, struct bufq *src, size_t n) WARN_UNUSED;

/*
 * bufq_share - append n bytes of src from offset off to dst; src keeps them.  off + n <= src->len.
 */
int bufq_share(struct bufq *dst, const struct bufq *src, size_t off, size_t n) WARN_UNUSED;

/* bufq_drain - drop the first n (<= len) bytes. */
void bufq_drain(struct bufq *q, size_t n);

/*
 * bufq_peek - describe bytes from offset off in at most max iovecs, at most n bytes; returns the
 * number of iovecs.
 */
int bufq_peek(const struct bufq *q, size_t off, size_t n, struct iovec *iov, int max);

/*
 * bufq_front - the first contiguous run; *n its length (0 and NULL when empty).  Valid until q
 * changes.
 */
const uint8_t *bufq_front(const struct bufq *q, size_t *n);

/* bufq_read - copy up to n bytes from offset off into p without removing them; returns how many. */
size_t bufq_read(const struct bufq *q, size_t off, void *p, size_t n);

/*
 * bufq_own - as bufq_peek over all of q for writing: bytes may be changed in place.  Only for
 * queues whose bytes have no other holder by construction (fresh from a socket, before anything
 * shared them).
 */
int bufq_own(struct bufq *q, size_t off, size_t n, struct iovec *iov, int max);

/*
 * bufq_wipe - overwrite n bytes from offset off: a secret does not stay in a block that goes back
 * to the pool.  As bufq_own.
 */
void bufq_wipe(struct bufq *q, size_t off, size_t n);

/*
 * bufq_secret - what stands in q now is secret, and others may hold it for a while: each block
 * behind it is overwritten when nobody does any more.
 */
void bufq_secret(struct bufq *q);

/* buf_all_secret - from now on every block that this thread makes is. */
void buf_all_secret(void);

/* bufq_weight - memory that a queue holds: the blocks behind it, and its slices. */
static inline size_t
bufq_weight(const struct bufq *q)
{
	return q->pinned + q->n * sizeof *q->v;
}

/*
 * bufq_compact - when a queue weighs more than BUF_COMPACT_MIN and more than BUF_COMPACT_RATIO
 * times its length, copy it into blocks of its own, so that a stalled queue's memory is bounded by
 * its length, whatever pieces a peer sent it in.  Cheap when there is nothing to do; call it after
 * appending to a queue that may wait.
 */
#define BUF_COMPACT_MIN (64 * 1024)
#define BUF_COMPACT_RATIO 6
void bufq_compact(struct bufq *q);

#endif
