/* SPDX-License-Identifier: ISC */
/*
 * fields - what a reverse proxy does to the fields of a head on its way (RFC 9110 7.6).
 *
 * Never passed on: Connection and what it names, Keep-Alive, Proxy-Connection, Proxy-Authenticate,
 * Proxy-Authorization, Proxy-Authentication-Info, TE, Trailer, Transfer-Encoding, Content-Length,
 * Upgrade, HTTP2-Settings: they belong to one connection, and the next one has its own.  A field that
 * Connection names is passed on all the same if leaving it out would change whom the request is for
 * or what it may do (Host, Authorization, Cookie, X-Forwarded-*, Forwarded ...): the request is
 * refused instead (fields_connection_is_honest).
 */
#ifndef LIB_HTTP_FIELDS_H
#define LIB_HTTP_FIELDS_H

#include "lib/http/http.h"
#include "lib/net/addr.h"

/* fields_connection_is_honest - does Connection name only fields that may go? */
bool fields_connection_is_honest(const struct http_head *h);

/*
 * fields_pass - append those of h that may be passed on to b, in their order, but for Host and
 * those for which drop(arg, name) says true (NULL: none).
 */
void fields_pass(struct http_build *b, const struct http_head *h,
    bool (*drop)(void *arg, const char *name), void *arg);

/* How a request came to us. */
struct fields_origin {
	/* who sent it to us; and, told by trusted proxies or the same, the visitor */
	const struct addr *peer, *visitor;
	/* it came over TLS */
	bool tls;
	/* as the visitor wrote it */
	const char *host;
	/* what proxies before us say is kept, and ours is appended: peer is one of ours */
	bool trusted;
};

/*
 * fields_is_forwarded - is it one of those that fields_forwarded writes, in any spelling that a
 * server may take for it (X-Forwarded-For, X_Forwarded_For, Forwarded, X-Real-IP, ...)?  For drop.
 */
bool fields_is_forwarded(const char *name);

/* fields_forwarded - X-Forwarded-For, -Proto, -Host and Forwarded (RFC 7239) of a request. */
void fields_forwarded(
    struct http_build *b, const struct http_head *h, const struct fields_origin *o);

/*
 * fields_basic - user and password of "Authorization: Basic" (RFC 7617).
 *   out  both, separated by NUL and terminated: a secret, wipe it
 * ERR_INVALID: there is none, or it is malformed.
 */
#define FIELDS_BASIC_MAX 1024
int fields_basic(const struct http_head *h, char out[FIELDS_BASIC_MAX], const char **user,
    const char **password) WARN_UNUSED;

#endif
