/* SPDX-License-Identifier: ISC */
/*
 * xff - whom a proxy in front of us speaks for (X-Forwarded-For).
 *
 * Each proxy appends the address from which it got the request.  So the list is true from its right
 * end on as far as the proxies are ours; what stands to the left of the first address that is not
 * ours was written by that one, and may be anything.
 */
#ifndef LIB_XFF_H
#define LIB_XFF_H

#include "lib/http/http.h"
#include "lib/net/addr.h"

/*
 * xff_is_trusted - is a in one of n networks of proxies?  If there are any, a Unix socket is
 * trusted too: its mode says who may connect.
 */
bool xff_is_trusted(const struct addr *a, const struct addr_net *trusted, size_t n);

/*
 * xff_client - the first address, from the right, that is not trusted.
 *   h         a request's head, done
 *   peer      the other end of its connection, from which the walk starts
 *   trusted   n networks of proxies (xff_is_trusted)
 * *out is peer itself if that is not trusted; the last address that could be read if all are
 * trusted, or if the next one is none ("unknown", a name).  A port beside an address is taken
 * along, else it is 0.
 */
void xff_client(const struct http_head *h, const struct addr *peer, const struct addr_net *trusted,
    size_t n, struct addr *out);

#endif
