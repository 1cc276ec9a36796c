/* SPDX-License-Identifier: ISC */
/*
 * body - the bodies of HTTP/1.1 messages (RFC 9112 6 and 7), read and written as they pass.  No I/O.
 *
 * Payload is moved between queues and never copied or held.  Reading is strict: a chunk's size is
 * hexadecimal digits without sign, prefix or space, every line ends with CR LF, extensions are read
 * past within BODY_LINE_MAX, and not one byte behind the body is taken.
 *
 * Trailers are kept (BODY_TRAILERS_MAX bytes) without those that must not stand there (RFC 9110
 * 6.5.1): framing, routing, authentication, and what is meant for one connection.
 */
#ifndef LIB_HTTP_BODY_H
#define LIB_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/http/http.h"
#include "lib/net/buf.h"

/* Bytes of one chunk's line with its extensions; of a trailer section. */
#define BODY_LINE_MAX 4096
#define BODY_TRAILERS_MAX (16 * 1024)
/* Bytes of framing in a row that carry no payload are limited, so that nobody pays for chunks of one
 * byte with a kilobyte of extensions: so many for each body, and as many as its payload. */
#define BODY_OVERHEAD_MAX (64 * 1024)

/* Embedded.  Members are private but where said. */
struct body_reader {
	enum http_body kind;
	/* may be read: bytes of payload so far */
	uint64_t payload;
	uint64_t left, overhead;
	int state;
	/* the line that is being read, and then the trailers */
	char *text;
	size_t len, cap;
	size_t n_trailers;
};

/* body_begin - a body of this kind; length: of HTTP_BODY_LENGTH.  body_fini accepts a zeroed one. */
void body_begin(struct body_reader *b, enum http_body kind, uint64_t length);
void body_fini(struct body_reader *b);

/*
 * body_take - move up to max bytes of payload from in to out; framing is dropped.
 * Returns 0; ERR_PROTO, ERR_LIMIT or ERR_NOMEM with why, after which only body_fini makes sense.
 */
int body_take(struct body_reader *b, struct bufq *in, struct bufq *out, size_t max,
    struct errtext *why) WARN_UNUSED;

/* body_is_done - has the last byte of the body been taken?  Never for HTTP_BODY_CLOSE. */
bool body_is_done(const struct body_reader *b);

/* body_trailer_at - the i-th trailer that may be passed on; false behind the last. */
bool body_trailer_at(const struct body_reader *b, size_t i, const char **name, const char **value);

/* ---- writing ---- */

/* body_chunk - all of in, as one chunk, to out; nothing if in is empty.  ERR_NOMEM. */
int body_chunk(struct bufq *in, struct bufq *out) WARN_UNUSED;

/* body_last_chunk - the end of a chunked body, with b's trailers (NULL: without).  ERR_NOMEM. */
int body_last_chunk(const struct body_reader *b, struct bufq *out) WARN_UNUSED;

#endif
