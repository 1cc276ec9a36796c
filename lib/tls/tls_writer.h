/* SPDX-License-Identifier: ISC */
/*
 * tls_writer - fills blocks with TLS records for the filter below.
 *
 * A record may begin in one block and end in the next, so that blocks are full and the socket's
 * writev(2) is large.  Zero is a valid empty one.  Between lib/tls/f_tls.c and the makers of
 * records; nobody else includes this.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_WRITER_H
#define LIB_TLS_WRITER_H

#include "lib/net/buf.h"

struct tls_writer {
	/* What was written; the owner may take it after tls_writer_end(). */
	struct bufq q;
	/* The block that is being filled. */
	struct block *last;
	/* About so many bytes will come: the size of the next block. */
	size_t expected;
};

/*
 * tls_writer_room - *n (at least 1) bytes that may be written, in one piece.  NULL: out of memory.
 */
uint8_t *tls_writer_room(struct tls_writer *o, size_t *n);

/*
 * tls_writer_add - the first n bytes of tls_writer_room() have been written.  Returns 0 or
 * ERR_NOMEM, and then they are lost.
 */
int tls_writer_add(struct tls_writer *o, size_t n) WARN_UNUSED;

/* tls_writer_put - copy n bytes.  Returns 0 or ERR_NOMEM; some of them may be written then. */
int tls_writer_put(struct tls_writer *o, const void *p, size_t n) WARN_UNUSED;

/* tls_writer_end - let go of the last block, so that q alone holds what was written. */
void tls_writer_end(struct tls_writer *o);

/* tls_writer_fini - drop everything; empty and valid afterwards. */
void tls_writer_fini(struct tls_writer *o);

#endif
