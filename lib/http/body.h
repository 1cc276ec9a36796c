/* SPDX-License-Identifier: ISC */
/*
 * body - the bodies of HTTP/1.1 messages (RFC 9112 6 and 7), read and written as they pass.  No
 * I/O.
 *
 *     in ── body_take ──> payload ──> ... ── body_chunk, body_last_chunk ──> out
 *
 * Payload is moved between queues and never copied or held.  Reading is strict: a chunk's size is
 * hexadecimal digits without sign, prefix or space, every line ends with CR LF, extensions are of
 * the form that RFC 9112 7.1.1 gives them and are dropped, and not one byte behind the body is
 * taken.  How the input is cut makes no difference.
 *
 * Chunks of a few bytes make a queue of many small pieces: call bufq_compact on one that may wait.
 *
 * Trailers are kept without those that must not stand there (fields_may_trail).
 */
#ifndef LIB_HTTP_BODY_H
#define LIB_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/http/http.h"
#include "lib/net/buf.h"

/* Bytes of one chunk's line with its extensions; of a trailer section, whose lines are counted as
 * those of a head (HTTP_HEADERS_MAX). */
#define BODY_LINE_MAX 4096
#define BODY_TRAILERS_MAX (16 * 1024)
/*
 * Framing costs us work and gives nobody anything.  Each chunk may have a line of
 * BODY_OVERHEAD_FREE bytes and twice its payload; what goes beyond adds up, to this at most.  So
 * chunks of one byte are fine for ever, and a kilobyte of extensions for each is not.
 */
#define BODY_OVERHEAD_FREE 16
#define BODY_OVERHEAD_MAX (16 * 1024)

enum body_state {
	/* within payload */
	BODY_PAYLOAD,
	/* a chunk's line: its digits, what follows them, its LF */
	BODY_SIZE,
	BODY_EXTENSION,
	BODY_SIZE_LF,
	/* the end of a chunk */
	BODY_CHUNK_CR,
	BODY_CHUNK_LF,
	/* behind the last chunk's line */
	BODY_TRAILERS,
	BODY_DONE,
	/* refused */
	BODY_BROKEN,
	BODY_STATES
};

/* Embedded.  Members are private but where said. */
struct body_reader {
	/* may be read */
	enum http_body kind;
	/* may be read: bytes of payload so far */
	uint64_t payload;
	enum body_state state;
	/* bytes of payload, or of this chunk, to come */
	uint64_t left;
	/* bytes of the line that is being read; of framing in excess */
	size_t line, overhead;
	/* place in the grammar of extensions */
	int extension;
	/* the last byte of a trailer was CR */
	bool cr;
	/* the trailer section so far, lines */
	size_t section, n_lines;
	/* name NUL value NUL of each trailer that is kept, and the line that is being read */
	char *text;
	size_t len, cap, kept;
	size_t n_trailers;
};

/*
 * body_begin - a body of this kind; length: of HTTP_BODY_LENGTH.  Allocates nothing.  body_fini
 * accepts a zeroed one, and may be called twice.
 */
void body_begin(struct body_reader *b, enum http_body kind, uint64_t length);
void body_fini(struct body_reader *b);

/*
 * body_take - move up to max bytes of payload from in to out.  Framing is read past, also where
 * max is reached.
 * Returns 0; ERR_PROTO, ERR_LIMIT or ERR_NOMEM with why, after which only body_fini makes sense.
 * out then has the payload that came before the fault.
 */
int body_take(struct body_reader *b, struct bufq *in, struct bufq *out, size_t max,
    struct errtext *why) WARN_UNUSED;

/*
 * body_is_done - has the last byte of the body been taken?  Never for HTTP_BODY_CLOSE, where the
 * end of the connection is the end of the body; with the others it is a cut before that.
 */
bool body_is_done(const struct body_reader *b);

/* body_trailer_at - the i-th trailer that may be passed on; false behind the last. */
bool body_trailer_at(const struct body_reader *b, size_t i, const char **name, const char **value);

/* ---- writing ---- */

/*
 * body_chunk - all of in, as one chunk, to out; nothing if in is empty.  ERR_NOMEM: out may have a
 * part of it, and is good for nothing then.
 */
int body_chunk(struct bufq *in, struct bufq *out) WARN_UNUSED;

/* body_last_chunk - the end of a chunked body, with b's trailers (NULL: without).  ERR_NOMEM. */
int body_last_chunk(const struct body_reader *b, struct bufq *out) WARN_UNUSED;

#endif
