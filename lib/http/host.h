/* SPDX-License-Identifier: ISC */
/*
 * host - which host a request is for, by one rule for everybody who asks.
 *
 * The name is compared in lower case, without one trailing dot and without the port.  It consists
 * of DNS labels (letters, digits, hyphens within, underscores; of a name in another script its
 * A-labels).
 *
 * What ends in a number is an address and never a name: "127.0.0.1", and what some programs take
 * for it, such as "127.1", "0x7f.1", "2130706433" (WHATWG URL 3.5, "ends in a number").
 *
 * An absolute target must name the same host and port as Host does: RFC 9112 3.2.2 would let it
 * win, but what two programs may read differently is refused here.
 */
#ifndef LIB_HTTP_HOST_H
#define LIB_HTTP_HOST_H

#include "lib/base/err.h"
#include "lib/http/http.h"

#define HTTP_HOST_MAX 253

struct http_site {
	/* normalised; an IPv6 address in brackets; "" for an HTTP/1.0 request that names none */
	char host[HTTP_HOST_MAX + 1];
	/* the target in origin form ("/a?b"), or "*"; a piece of the head, or static */
	const char *target;
	/* as it was given; 0: none was */
	uint16_t port;
	/* the host is an address and no name */
	bool is_literal;
};

/*
 * http_site - of a request's head, done.
 * ERR_PROTO with why: an invalid Host, a target in no form that the method may have, one that
 * contradicts Host.  CONNECT is ERR_DENIED: this is no proxy for it.
 */
int http_site(const struct http_head *h, struct http_site *out, struct errtext *why) WARN_UNUSED;

/*
 * http_host_norm - the same rule for a name from elsewhere (options, SNI), no address.
 * ERR_INVALID.
 */
int http_host_norm(const char *s, size_t n, char out[HTTP_HOST_MAX + 1]) WARN_UNUSED;

#endif
