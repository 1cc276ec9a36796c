/* SPDX-License-Identifier: ISC */
/*
 * fields - what a reverse proxy does to the fields of a head on its way (RFC 9110 7.6).
 *
 * Never passed on: Connection and what it names, Keep-Alive, Proxy-Connection, Proxy-Authenticate,
 * Proxy-Authorization, Proxy-Authentication-Info, TE, Transfer-Encoding, Content-Length, Upgrade,
 * HTTP2-Settings, and Trailer where nothing is chunked: they belong to one connection, and the next
 * one has its own.  If Connection names a field whose loss would change whom the message is for or
 * what it may do (Host, Authorization, Cookie, X-Forwarded-*, Forwarded ...), the message is to be
 * refused (fields_connection_is_honest).
 *
 * Programs that make variables of fields (RFC 3875 4.1.18) cannot tell '_' from '-'.  So a name is
 * taken here for what they would take it for: Content_Length for Content-Length.
 */
#ifndef LIB_HTTP_FIELDS_H
#define LIB_HTTP_FIELDS_H

#include "lib/http/http.h"
#include "lib/net/addr.h"

/*
 * fields_connection_is_honest - does Connection name only fields that may go, in at most
 * FIELDS_CONNECTION_MAX bytes?
 */
#define FIELDS_CONNECTION_MAX 1024
bool fields_connection_is_honest(const struct http_head *h);

/*
 * fields_pass - append those of h that may be passed on to b, in their order, but for Host and
 * those for which drop(arg, name) says true (NULL: none).
 *   h   done; its Connection is honest
 */
void fields_pass(struct http_build *b, const struct http_head *h,
    bool (*drop)(void *arg, const char *name), void *arg);

/*
 * fields_may_trail - may a field of that name stand in a trailer section?  No framing, routing,
 * authentication, request modifiers, what says how the content is to be read, or what belongs to
 * one connection (RFC 9110 6.5.1).
 */
bool fields_may_trail(const char *name);

/*
 * fields_hops - how many servers may pass the request on?  OPTIONS and TRACE may say so in
 * Max-Forwards (RFC 9110 7.6.2).
 *   *hops   at most FIELDS_HOPS_MAX, and so is what the next server is told
 * Returns 0; ERR_NOTFOUND: as many as there are; ERR_PROTO: it is no number, or there are two.
 */
#define FIELDS_HOPS_MAX 1000
int fields_hops(const struct http_head *h, uint64_t *hops) WARN_UNUSED;

/* How a request came to us. */
struct fields_origin {
	/* who sent it to us; and, told by trusted proxies or the same, the visitor */
	const struct addr *peer, *visitor;
	/* it came over TLS */
	bool tls;
	/* as the visitor wrote it; "": not at all */
	const char *host;
	/* what proxies before us say is kept, and ours is appended: peer is one of ours */
	bool trusted;
};

/*
 * fields_is_forwarded - is it one of those by which proxies tell of the visitor, in any spelling
 * that a server may take for it (X-Forwarded-For, X_Forwarded_For, Forwarded, X-Real-IP, ...)?
 * For drop: fields_forwarded writes those that are to be.
 */
bool fields_is_forwarded(const char *name);

/*
 * fields_forwarded - X-Forwarded-For, -Proto, -Host and Forwarded (RFC 7239) of a request.  From a
 * trusted proxy: what it says of protocol and host stays, the address is appended to lists; its
 * other fields of this kind (X-Forwarded-Port, X-Real-IP) are passed on, too.
 */
void fields_forwarded(
    struct http_build *b, const struct http_head *h, const struct fields_origin *o);

/*
 * fields_basic - user and password of "Authorization: Basic" (RFC 7617).
 *   out              both, separated by NUL and terminated: a secret, wipe it
 *   user, password   set to where they stand in out
 * ERR_INVALID: there is none, more than one, or it is malformed or too long; out is wiped then.
 */
#define FIELDS_BASIC_MAX 1024
int fields_basic(const struct http_head *h, char out[FIELDS_BASIC_MAX], const char **user,
    const char **password) WARN_UNUSED;

#endif
