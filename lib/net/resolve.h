/* SPDX-License-Identifier: ISC */
/*
 * resolve - names to addresses, without blocking and without the C library's resolver: in a static
 * program too.
 *
 * c-ares looks into /etc/hosts, then asks the servers of /etc/resolv.conf for A and AAAA, over UDP
 * with EDNS, and over TCP what does not fit; several servers, search domains and options are as
 * resolv.conf(5) has them.  Both files are read again when they have changed, so that a machine
 * that has moved to another network asks the right servers.  "localhost" and names below it are the
 * loopback addresses (RFC 6761 6.3), and literal addresses stand for themselves: neither asks
 * anybody.
 *
 * Nothing waits for a server.  /etc/hosts is read within the call, as a local file: c-ares 1.18
 * does so for each look-up.
 *
 * Each loop has one resolver, made by its first look-up and freed with the loop.  Look-ups are
 * cancelled before that.
 */
#ifndef LIB_RESOLVE_H
#define LIB_RESOLVE_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/addr.h"
#include "lib/net/loop.h"

/* Addresses of one name; more are left out. */
#define RESOLVE_ADDRS_MAX 16
/*
 * Look-ups under way in one loop, those that nobody waits for any more included.  An asker may have
 * half of what the others have left: names whose servers are silent cost nobody else theirs.
 */
#define RESOLVE_MAX 1024
/*
 * After this time without an answer A is asked for alone: there are servers and boxes in between
 * that answer A at once and AAAA never.
 */
#define RESOLVE_ALONE_MS 500
/*
 * A server's first answer; then the next server or round, with twice the time: RESOLVE_TRIES
 * rounds.
 */
#define RESOLVE_TRY_MS 2000
#define RESOLVE_TRIES 3

struct resolve;

/*
 * How a look-up ends, called once from the loop, never from inside resolve_start; the look-up is
 * gone afterwards.
 *   a, n   the addresses, in the order of RFC 6724, but so that the families take turns (RFC 8305
 *          4); borrowed for the call; n > 0 if err is 0
 *   err    0; ERR_NOTFOUND: no such name, or one without an address; ERR_TIMEOUT: no server
 *          answered, or none could; ERR_LIMIT: RESOLVE_MAX, or the asker's share; ERR_NOMEM
 *   text   "" or one sentence, which names the servers; borrowed
 */
typedef void resolve_fn(void *arg, const struct addr *a, size_t n, int err, const char *text);

/*
 * resolve_start - begin.  host: a name, or an address without brackets.  asker: for whom, 0 for
 * ourselves, who may have all there are.  NULL: out of memory; fn is not called then.
 */
struct resolve *resolve_start(struct loop *l, const char *host, uint16_t port, uint64_t asker,
    resolve_fn *fn, void *arg) WARN_UNUSED;

/* resolve_cancel - give up without calling fn; accepts NULL.  Not after fn was called. */
void resolve_cancel(struct resolve *r);

/*
 * resolve_servers - the servers that this loop asks now, for messages: "192.0.2.1, 192.0.2.2".
 * Returns out.
 */
#define RESOLVE_SERVERS_TEXT 160
const char *resolve_servers(struct loop *l, char out[RESOLVE_SERVERS_TEXT]);

#endif
