/* SPDX-License-Identifier: ISC */
/*
 * hostport - "HOST:PORT" in the forms people write it.
 *
 *     example.com:80    192.0.2.1:80    [2001:db8::1]:80    :80 (where allowed)
 *
 * An IPv6 address needs its brackets (RFC 3986 3.2.2); a zone ("%eth0") is kept.  A name is 1 to
 * 253 letters, digits, '-', '_' and '.'; whether it exists is for the resolver to say.
 */
#ifndef LIB_HOSTPORT_H
#define LIB_HOSTPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

#define HOSTPORT_HOST_MAX 253 /* characters of a name, RFC 1035 2.3.4 without the root dot */
#define HOSTPORT_TEXT_MAX (HOSTPORT_HOST_MAX + 2 + 6) /* of "[HOST]:PORT" */

/* What may be left out; flags of hostport_parse(). */
enum hostport_flags {
	/* the host may be empty: ":80" */
	HOSTPORT_ANY_HOST = 1,
	/* port 0 is allowed: let the system choose */
	HOSTPORT_PORT_0 = 2,
};

struct hostport {
	/* without brackets; "" if left out */
	char host[HOSTPORT_HOST_MAX + 1];
	uint16_t port;
	/* host is an IPv6 address */
	bool is_v6;
};

/*
 * hostport_parse - the whole of s.  Returns 0, or ERR_INVALID with e (may be NULL) saying what is
 * wrong.
 */
int hostport_parse(
    const char *s, unsigned flags, struct hostport *out, struct errtext *e) WARN_UNUSED;

/*
 * hostport_host - check and take a host alone, brackets optional: "::1" and "[::1]" are the same.
 * port is set to 0.
 */
int hostport_host(const char *s, struct hostport *out, struct errtext *e) WARN_UNUSED;

/* hostport_text - "HOST:PORT", an IPv6 host in brackets, terminated; returns out. */
const char *hostport_text(const struct hostport *hp, char out[HOSTPORT_TEXT_MAX + 1]);

#endif
