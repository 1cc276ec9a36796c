/* SPDX-License-Identifier: ISC */
/*
 * listen - the relay's listeners.  All of them run in worker 0's loop and deal the connections out
 * to the workers in turn.
 *
 * A connection is counted among the guests, and the rate of its address is checked, before anything
 * else is spent on it.  Who comes too often gets 429, who comes to a full house 503, and with TLS a
 * close.  When descriptors run out, one in reserve turns the next connection away, and accepting
 * rests for a moment.
 *
 * Life cycle: listeners_open binds, listeners_start accepts, listeners_stop closes and frees.
 * Between the first two the ports are known and nobody is let in yet.
 */
#ifndef CMD_RELAY_LISTEN_H
#define CMD_RELAY_LISTEN_H

#include "cmd/relay/relay.h"
#include "lib/net/loop.h"

struct listeners;

/*
 * listeners_open - bind every --listen, --http and --https of r.
 * Returns 0 and *out, which listeners_stop frees; else the error with e, and nothing is left open.
 * A listener that other machines can reach is refused (ERR_INVALID) if there are no credentials and
 * no --insecure.
 */
int listeners_open(struct relay *r, struct listeners **out, struct errtext *e) WARN_UNUSED;

/* listeners_start - accept from now on, in l, which is worker 0's.  ERR_NOMEM, ERR_SYS. */
int listeners_start(struct listeners *ls, struct loop *l) WARN_UNUSED;

/* listeners_stop - close all and free ls; accepts NULL.  What was dealt out goes on. */
void listeners_stop(struct listeners *ls);

/* listeners_web_port - of the first for the web, with or without TLS; 0: there is none. */
uint16_t listeners_web_port(const struct listeners *ls, bool tls);

/*
 * listeners_ready_json - the addresses, as --ready-file holds them.  mem_free it; NULL when out of
 * memory.
 */
char *listeners_ready_json(const struct listeners *ls);

#endif
