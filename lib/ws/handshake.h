/* SPDX-License-Identifier: ISC */
/*
 * handshake - the WebSocket opening handshake (RFC 6455 4), without I/O: what a client sends, what
 * a server answers, and the checks on both.  Frames are the work of f_ws.
 *
 *   client   ws_handshake_key_new → ws_handshake_request_begin → own headers → http_build_end →
 *            send; read the response's head → ws_handshake_check_response
 *   server   read the request's head → ws_handshake_is_upgrade → ws_handshake_check_request →
 *            ws_handshake_response_begin → own headers → http_build_end → send
 */
#ifndef LIB_HANDSHAKE_H
#define LIB_HANDSHAKE_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/http/http.h"

/* Base64 of 16 random bytes (4.1). */
#define WS_KEY_LEN 24
/*
 * A header of the answer by which our relay can be told from others that serve the same path; its
 * value means nothing.
 */
#define WS_OURS_HEADER "Tunnel-Relay"

/* Base64 of a SHA-1 (4.2.2). */
#define WS_ACCEPT_LEN 28

/*
 * ws_handshake_key_new - a random Sec-WebSocket-Key.  Returns 0, or ERR_SYS without random bytes.
 */
int ws_handshake_key_new(char key[WS_KEY_LEN + 1]) WARN_UNUSED;

/*
 * ws_handshake_accept - the Sec-WebSocket-Accept that answers key (4.2.2 step 5.4).  Returns 0, or
 * ERR_NOMEM if the digest fails.
 */
int ws_handshake_accept(const char *key, char accept[WS_ACCEPT_LEN + 1]) WARN_UNUSED;

/* ---- client ---- */

/*
 * ws_handshake_request_begin - the request without its end.
 *   host       as url_host_header() writes it
 *   protocol   one subprotocol, or several separated by ", "; NULL: none
 * Failures stick in b until http_build_end.
 */
void ws_handshake_request_begin(struct http_build *b, const char *host, const char *target,
    const char *key, const char *protocol);

/*
 * ws_handshake_check_response - does this answer open the connection (4.1)?
 *   key, protocol   as sent; of the protocols the server may choose one, or none
 * Returns 0; ERR_DENIED for 401 and 403, ERR_NOTFOUND for 404, ERR_AGAIN for other answers that may
 * change with time (408, 429, 5xx), ERR_PROTO for every other answer that is no valid 101.  e says
 * what was wrong, and where a redirection points to.
 */
int ws_handshake_check_response(const struct http_head *h, const char *key, const char *protocol,
    struct errtext *e) WARN_UNUSED;

/*
 * ws_handshake_retry_after_s - the seconds that a refusal asks to wait (RFC 9110 10.2.3), at most
 * WS_RETRY_AFTER_MAX_S; 0: it does not say, or names a date.
 */
#define WS_RETRY_AFTER_MAX_S 3600
unsigned ws_handshake_retry_after_s(const struct http_head *h);

/* ---- server ---- */

/*
 * ws_handshake_is_upgrade - does the request ask for a WebSocket at all?  (Not whether it asks
 * correctly.)
 */
bool ws_handshake_is_upgrade(const struct http_head *h);

/*
 * ws_handshake_check_request - every rule of 4.2.1.
 * Returns 0; ERR_PROTO with the status to answer: 400, or 426 for a version that is not 13.
 */
int ws_handshake_check_request(
    const struct http_head *h, int *status, struct errtext *e) WARN_UNUSED;

/*
 * ws_handshake_response_begin - the 101 without its end, for a request that
 * ws_handshake_check_request has passed.
 *   protocol   the one chosen among the client's, or NULL
 */
void ws_handshake_response_begin(
    struct http_build *b, const struct http_head *request, const char *protocol);

/*
 * ws_handshake_refuse - a whole answer with that status; 426 names the version spoken (4.4).
 * Returns as http_build_end.
 */
int ws_handshake_refuse(struct http_build *b, int status) WARN_UNUSED;

#endif
