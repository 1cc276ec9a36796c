/* SPDX-License-Identifier: ISC */
/*
 * tls_out - where TLS records are written on their way to the filter below: blocks, filled one behind the other.
 *
 * A record may begin in one block and end in the next, so that blocks are full and the socket's writev(2) is large.  Zero is a
 * valid empty one.  Between lib/tls/f_tls.c and the makers of records; nobody else includes this.
 *
 * Private to lib/tls.
 */
#ifndef LIB_TLS_OUT_H
#define LIB_TLS_OUT_H

#include "lib/net/buf.h"

struct tls_out {
	struct bufq q;      /* what was written; the owner may take it after tls_out_end() */
	struct block *last; /* the block that is being filled */
	size_t
	    expected; /* bytes that are about to come, as far as the writer knows: the size of the next block */
};

/* tls_out_room - *n (at least 1) bytes that may be written, in one piece.  NULL: out of memory. */
uint8_t *tls_out_room(struct tls_out *o, size_t *n);

/* tls_out_add - the first n bytes of tls_out_room() have been written.  Returns 0 or ERR_NOMEM, and then they are lost. */
int tls_out_add(struct tls_out *o, size_t n) WARN_UNUSED;

/* tls_out_put - copy n bytes.  Returns 0 or ERR_NOMEM; some of them may be written then. */
int tls_out_put(struct tls_out *o, const void *p, size_t n) WARN_UNUSED;

/* tls_out_end - let go of the block that is being filled, so that q is the only holder of what was written. */
void tls_out_end(struct tls_out *o);

/* tls_out_fini - drop everything; empty and valid afterwards. */
void tls_out_fini(struct tls_out *o);

#endif
