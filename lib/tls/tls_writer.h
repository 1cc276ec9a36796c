/* SPDX-License-Identifier: ISC */
/*
 * tls_writer - where TLS records are written on their way to the filter below: blocks, filled one behind the other.
 *
 * A record may begin in one block and end in the next, so that blocks are full and the socket's writev(2) is large.  Zero is a
 * valid empty one.  Between lib/tls/f_tls.c and the makers of records; nobody else includes this.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_WRITER_H
#define LIB_TLS_WRITER_H

#include "lib/net/buf.h"

struct tls_writer {
	struct bufq q;      /* what was written; the owner may take it after tls_writer_end() */
	struct block *last; /* the block that is being filled */
	size_t
	    expected; /* bytes that are about to come, as far as the writer knows: the size of the next block */
};

/* tls_writer_room - *n (at least 1) bytes that may be written, in one piece.  NULL: out of memory. */
uint8_t *tls_writer_room(struct tls_writer *o, size_t *n);

/* tls_writer_add - the first n bytes of tls_writer_room() have been written.  Returns 0 or ERR_NOMEM, and then they are lost. */
int tls_writer_add(struct tls_writer *o, size_t n) WARN_UNUSED;

/* tls_writer_put - copy n bytes.  Returns 0 or ERR_NOMEM; some of them may be written then. */
int tls_writer_put(struct tls_writer *o, const void *p, size_t n) WARN_UNUSED;

/* tls_writer_end - let go of the block that is being filled, so that q is the only holder of what was written. */
void tls_writer_end(struct tls_writer *o);

/* tls_writer_fini - drop everything; empty and valid afterwards. */
void tls_writer_fini(struct tls_writer *o);

#endif
