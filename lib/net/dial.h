/* SPDX-License-Identifier: ISC */
/*
 * dial - connect to a name: look it up, try its addresses, hand over the first connection.
 *
 * Names are looked up by lib/net/resolve.h.  Addresses are tried as RFC 8305 says: in turn by
 * family, a new attempt every DIAL_STAGGER_MS or as soon as one fails; the first that connects wins
 * and the others are closed.
 */
#ifndef LIB_DIAL_H
#define LIB_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/addr.h"
#include "lib/net/loop.h"

#define DIAL_STAGGER_MS 250 /* RFC 8305 5: connection attempt delay */
#define DIAL_FULL_MS 20     /* a Unix socket whose queue is full is tried again after this time */

struct dial;

/*
 * How a dial ends, called once from the loop, never from inside dial_start; the dial is gone
 * afterwards.
 *   fd     connected, non-blocking, TCP_NODELAY; now the callee's; -1 on failure
 *   err    0; ERR_NOTFOUND: no such name, or no way to any of its addresses; ERR_TIMEOUT;
 *          ERR_CLOSED: no address took the connection; ERR_LIMIT: no descriptors or memory here;
 *          ERR_NOMEM; ERR_SYS
 *   text   "" or one sentence naming the target and each address tried with its error; borrowed for
 *          the call
 */
typedef void dial_fn(void *arg, int fd, int err, const char *text);

/*
 * dial_start - begin.
 *   host         a name, an IP address (brackets optional), or "unix:PATH" (port is then ignored)
 *   asker        for whom (resolve_start)
 *   timeout_ms   for everything together
 * Returns NULL when out of memory or when the loop refuses; fn is not called then.
 */
struct dial *dial_start(struct loop *l, const char *host, uint16_t port, uint64_t asker,
    uint64_t timeout_ms, dial_fn *fn, void *arg) WARN_UNUSED;

/*
 * dial_set_vet - ask may(arg, a) about each address just before it is tried; those it refuses are
 * left out, and if none remains the dial ends with ERR_DENIED and a text naming them.  To be called
 * right after dial_start, before the loop goes on.
 */
void dial_set_vet(struct dial *d, bool (*may)(void *arg, const struct addr *a), void *arg);

/*
 * dial_set_datagrams - a socket of UDP in place of a connection, connected to the first address to
 * which there is a way: nobody is asked whether there is anybody.  To be called as dial_set_vet.
 */
void dial_set_datagrams(struct dial *d);

/* dial_cancel - give up without calling fn; accepts NULL.  Not after fn was called. */
void dial_cancel(struct dial *d);

#endif
