/* SPDX-License-Identifier: ISC */
/*
 * proxy_hdr - the PROXY protocol: a header before everything else on a connection, by which a proxy
 * says whose connection it carries.
 *
 *     PROXY TCP4 192.0.2.1 198.51.100.9 40000 443\r\n      version 1; version 2 is binary
 *
 * The rules are those of haproxy's doc/proxy-protocol.txt; its sections are cited as "PROXY 2.1".
 * Whether a connection begins with a header is configured and never guessed: who may send one may
 * claim any address.  No input or output, no allocation.
 */
#ifndef LIB_PROXY_HDR_H
#define LIB_PROXY_HDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/addr.h"

/* The longest line of version 1, with its CRLF (PROXY 2.1). */
#define PROXY_HDR_MAX_V1 107
/* The longest header of version 2 that is accepted.  Its length field could say 65,551 bytes. */
#define PROXY_HDR_MAX_V2 4096
/* Room for what is built, in either version. */
#define PROXY_HDR_MAX PROXY_HDR_MAX_V1

/* ---- to a service ---- */

/*
 * proxy_hdr_build - the header for a connection from one address to the other.
 *   version   1 or 2
 * An IPv4-mapped IPv6 address is sent as IPv4.  If then one end is neither IPv4 nor IPv6, or they
 * are not of one family, the header names no addresses: UNKNOWN in version 1; LOCAL in version 2,
 * which every receiver has to accept.  A scope is not sent: it means nothing to another machine.
 * Returns the bytes written to out, which are not terminated.
 */
size_t proxy_hdr_build(uint8_t out[PROXY_HDR_MAX], int version, const struct addr *from,
    const struct addr *to) WARN_UNUSED;

/* ---- from a proxy ---- */

struct proxy_hdr {
	/*
	 * No addresses were given, or none of IP: the connection's own count.  So it is with the
	 * command LOCAL, with UNKNOWN or UNSPEC, and with Unix sockets.
	 */
	bool local;
	/* The client, and what it connected to.  If local, both are zero (AF_UNSPEC). */
	struct addr from, to;
};

/*
 * proxy_hdr_parse - read a header of either version; the first byte says which.
 *   p, n   all bytes of the connection so far, borrowed; what follows the header is not looked at
 *   out    filled when the header is complete
 *   why    may be NULL
 * Returns the header's length, at most PROXY_HDR_MAX_V2, when it is complete; 0 if bytes are
 * missing: call again with these and more; ERR_PROTO if this is no header, with why saying so.
 * ERR_PROTO comes with the first byte that is wrong in a keyword, a fixed field or the end of a
 * line; addresses, ports and TLVs are read when the header is complete (PROXY 2.1, 2.2).
 *
 * TLVs are skipped, a checksum among them too, but they have to fill the header to its last byte.
 * Behind LOCAL or UNSPEC may be anything: the length says how much.
 */
int proxy_hdr_parse(
    const uint8_t *p, size_t n, struct proxy_hdr *out, struct errtext *why) WARN_UNUSED;

#endif
