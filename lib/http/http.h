/* SPDX-License-Identifier: ISC */
/*
 * http - HTTP/1.1 message heads (RFC 9112): strict parsing, and building.  The only user of llhttp.
 * No I/O.
 *
 * A head is everything up to and with the first empty line.  What follows it (a body, WebSocket
 * frames) is left to the caller: not one byte behind the head is taken.  Parsing is strict where
 * the standards let a recipient choose, because what two programs on the way read differently is
 * how requests are smuggled (RFC 9112 11.2).  Refused are: a bare CR or LF, NUL and other control
 * characters, folded lines (5.2), space before the colon (5.1), names that are no tokens,
 * Content-Length beside Transfer-Encoding or twice or beyond INT64_MAX, a Transfer-Encoding that is
 * not "chunked" alone or in HTTP/1.0, Host twice or missing, versions other than 1.0 and 1.1, and
 * methods that are none of HTTP's.
 *
 * Life cycle: http_head_new, http_head_feed until http_head_is_done, the questions, http_head_free
 * (or http_head_reset for the next message on the same connection).  All strings that are handed
 * out live until reset or free.
 */
#ifndef LIB_HTTP_H
#define LIB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/net/buf.h"
#include "lib/base/err.h"

#define HTTP_HEAD_MAX (16 * 1024) /* bytes of a head: twice what common servers take */
#define HTTP_HEADERS_MAX 100      /* header lines of a head */
#define HTTP_BUILD_MAX \
	(HTTP_HEAD_MAX + 4096) /* bytes built: a forwarded head and what we add to it */

/* ---- parsing ---- */

struct http_head;

enum http_kind {
	HTTP_HEAD_REQUEST,
	HTTP_HEAD_RESPONSE,
};

/* http_head_new - an empty parser; NULL: out of memory.  http_head_free accepts NULL. */
struct http_head *http_head_new(enum http_kind kind) WARN_UNUSED;
void http_head_free(struct http_head *h);
/* http_head_reset - forget everything, for the next head of the same kind. */
void http_head_reset(struct http_head *h);

/*
 * http_head_feed - take bytes as they arrive.
 *   p, n   borrowed; after the head is done nothing more is taken
 *   e      filled on error; may be NULL
 * Returns the bytes that belong to the head (less than n: the rest is not part of it); ERR_PROTO
 * for a malformed head, ERR_LIMIT beyond HTTP_HEAD_MAX or HTTP_HEADERS_MAX, ERR_NOMEM.  After an
 * error only http_refusal(), reset and free make sense.
 */
ssize_t http_head_feed(struct http_head *h, const void *p, size_t n, struct errtext *e) WARN_UNUSED;

/*
 * http_head_take - as http_head_feed over a queue, from which the bytes of the head are dropped.
 * Returns 0 or the error.
 */
int http_head_take(struct http_head *h, struct bufq *q, struct errtext *e) WARN_UNUSED;

/* http_head_is_done - has the whole head been read?  All questions below ask for that. */
bool http_head_is_done(const struct http_head *h);

/*
 * http_refusal - the status that answers a request which http_head_feed refused: 400, 431, 500, 501
 * or 505.
 */
int http_refusal(const struct http_head *h);

/* ---- questions ---- */

/*
 * http_method - "GET"; target: as it stands in the request line ("/a?b", "*", "host:443" for
 * CONNECT).
 */
const char *http_method(const struct http_head *h);
const char *http_target(const struct http_head *h);
/* http_status - 100 to 999 of a response; http_reason: its words, "" if none. */
int http_status(const struct http_head *h);
const char *http_reason(const struct http_head *h);
/* http_minor - 0 or 1: HTTP/1.0 or HTTP/1.1. */
int http_minor(const struct http_head *h);

/*
 * http_header - the value of the first header of that name (any case), without the space around it;
 * NULL if there is none.
 */
const char *http_header(const struct http_head *h, const char *name);
/* http_header_count - how many lines have that name. */
size_t http_header_count(const struct http_head *h, const char *name);
/* http_header_at - the i-th line in order; false behind the last. */
bool http_header_at(const struct http_head *h, size_t i, const char **name, const char **value);
/*
 * http_has_token - is token (any case) a member of the comma-separated lists of all headers of that
 * name? "Connection: keep-alive, Upgrade" has "upgrade" (RFC 9110 5.6.1).  Parameters belong to the
 * member: "a;q=1" is not "a".
 */
bool http_has_token(const struct http_head *h, const char *name, const char *token);
/* http_list_has - the same for one list given as text. */
bool http_list_has(const char *list, const char *token);
/*
 * http_next_scheme - the next authentication scheme in the value of a WWW- or Proxy-Authenticate
 * header, where challenges and their parameters stand in one list (RFC 9110 11.6.1).  Returns its n
 * bytes and moves *list behind the challenge's first member; NULL at the end.
 */
const char *http_next_scheme(const char **list, size_t *n);

/*
 * How the end of the body behind a head is found (RFC 9112 6.3), not regarding HEAD and CONNECT,
 * which the caller knows of.
 */
enum http_body {
	/* a request without a body; a 1xx, 204 or 304 */
	HTTP_BODY_NONE,
	/* http_content_length() bytes */
	HTTP_BODY_LENGTH,
	/* Transfer-Encoding: chunked */
	HTTP_BODY_CHUNKED,
	/* a response that ends with the connection */
	HTTP_BODY_CLOSE,
};
enum http_body http_body(const struct http_head *h);
uint64_t http_content_length(const struct http_head *h);

/* http_is_tchar - a character of tokens (RFC 9110 5.6.2). */
bool http_is_tchar(unsigned char c);
/* http_is_token - a non-empty token, such as a method or the name of a header. */
bool http_is_token(const char *s);
/* http_is_value - fit for a header's value: no CR, LF, NUL or other control character but TAB. */
bool http_is_value(const char *s);

/* ---- building ---- */

/*
 * A head being built, on the stack of its builder.  The first failure sticks, later additions do
 * nothing, http_build_end tells it, so a chain needs one check.  Names and values are checked, so
 * that no value can begin another line: ERR_INVALID.
 */
struct http_build {
	/* bytes in s */
	size_t len;
	/* private */
	int status;
	char s[HTTP_BUILD_MAX];
};

/* http_build_request - begin with "METHOD target HTTP/1.1". */
void http_build_request(struct http_build *b, const char *method, const char *target);
/* http_build_status - begin with "HTTP/1.1 status reason"; reason NULL: the usual words. */
void http_build_status(struct http_build *b, int status, const char *reason);
/* http_build_header - one line; _headerf with the value as printf makes it (up to 1023 bytes). */
void http_build_header(struct http_build *b, const char *name, const char *value);
void http_build_headerf(struct http_build *b, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * http_build_name, _piece, _line - a header whose value is put together from pieces, which may be
 * empty: its name, any number of pieces, its end.
 */
void http_build_name(struct http_build *b, const char *name);
void http_build_piece(struct http_build *b, const char *piece);
void http_build_line(struct http_build *b);
/*
 * http_build_end - the empty line.  Returns 0 with s and len ready; ERR_INVALID, or ERR_LIMIT
 * beyond HTTP_BUILD_MAX.
 */
int http_build_end(struct http_build *b) WARN_UNUSED;

/*
 * http_build_simple - a whole short answer that ends the connection: status, text/plain body with
 * Content-Length, Connection: close, Cache-Control: no-store; 429 and 503 ask to come again after
 * HTTP_RETRY_AFTER_S seconds.  body NULL: the status's words and a newline.  Returns as
 * http_build_end.
 */
#define HTTP_RETRY_AFTER_S 5
int http_build_simple(struct http_build *b, int status, const char *body) WARN_UNUSED;

/* http_reason_of - the usual words for a status, "Unknown" otherwise. */
const char *http_reason_of(int status);

/*
 * http_basic - the value of an (Proxy-)Authorization header (RFC 7617), terminated.
 *   user   without a colon
 * Returns 0; ERR_INVALID for a colon in user; ERR_LIMIT if out is too small.  The value is a
 * secret: wipe it.
 */
#define HTTP_BASIC_MAX 1024
int http_basic(const char *user, const char *password, char out[HTTP_BASIC_MAX]) WARN_UNUSED;

#endif
