/* SPDX-License-Identifier: ISC */
/*
 * resolve - names to addresses, without blocking and without the C library's resolver: in a static program too.
 *
 * /etc/hosts is looked into first (lib/net/hosts.h); then libevent's resolver asks the servers of /etc/resolv.conf, A and AAAA at once.
 * That file is read for each look-up, so that a machine that has moved to another network asks the right servers.  "localhost" and
 * names below it are the loopback addresses (RFC 6761 6.3), and literal addresses stand for themselves: neither asks anybody.
 *
 * Only UDP is spoken, and without EDNS: an answer that does not fit into 512 bytes counts as none (libevent has no TCP for it).
 */
#ifndef LIB_RESOLVE_H
#define LIB_RESOLVE_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/loop.h"
#include "lib/net/addr.h"

#define RESOLVE_ADDRS_MAX 16 /* addresses of one name; more are left out */
#define RESOLVE_SKEW_MS 50   /* RFC 8305 3: wait for the other family after the first answer */

struct resolve;

/*
 * How a look-up ends, called once from the loop, never from inside resolve_start; the look-up is gone afterwards.
 *   a, n   the addresses, IPv6 and IPv4 in turn (RFC 8305 4); borrowed for the call; n > 0 if err is 0
 *   err    0; ERR_NOTFOUND: no such name; ERR_TIMEOUT: no server answered, or none had an address; ERR_NOMEM
 *   text   "" or one sentence; borrowed
 */
typedef void resolve_fn(void *arg, const struct addr *a, size_t n, int err, const char *text);

/* resolve_start - begin.  host: a name, or an address without brackets.  NULL: out of memory; fn is not called then. */
struct resolve *resolve_start(
    struct loop *l, const char *host, uint16_t port, resolve_fn *fn, void *arg) WARN_UNUSED;

/* resolve_cancel - give up without calling fn; accepts NULL.  Not after fn was called. */
void resolve_cancel(struct resolve *r);

#endif
