/* SPDX-License-Identifier: ISC */
/*
 * b64q - base64 (RFC 4648 4, strict as in lib/base/b64.h) between queues of blocks.
 *
 * Copies of payload: 1, which is the coding.  The pieces that a queue is made of may be cut
 * anywhere.
 */
#ifndef LIB_B64Q_H
#define LIB_B64Q_H

#include "lib/net/buf.h"

/*
 * b64q_encode - the first n bytes of in as text behind b->fill, where B64_ENC_LEN(n) characters
 * have room; in keeps them.
 */
void b64q_encode(struct block *b, const struct bufq *in, size_t n);

/*
 * b64q_decode - the n characters of in from offset off on, off + n <= in->len, as bytes at the end
 * of out; in keeps them.  ERR_INVALID for text that is no base64, ERR_NOMEM: out is as it was.
 */
int b64q_decode(struct bufq *out, const struct bufq *in, size_t off, size_t n) WARN_UNUSED;

#endif
