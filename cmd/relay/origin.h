/* SPDX-License-Identifier: ISC */
/*
 * origin - where a connection comes from, as far as limits are concerned.
 *
 * An IPv4 address is one origin, an IPv6 network too (what one subscriber gets).  A proxy that is
 * trusted (--trusted-proxy) stands for those whom its requests name, so its own connections are not
 * limited.  This machine may be such a proxy that we were not told of: its connections are not
 * limited either, unless --connection-rate says so.
 */
#ifndef CMD_RELAY_ORIGIN_H
#define CMD_RELAY_ORIGIN_H

#include "cmd/relay/gate.h"
#include "cmd/relay/relay.h"
#include "lib/net/addr.h"
#include "lib/tls/tls_turns.h"

/*
 * origin_nets - the networks of an option that takes a list of them, into *out (mem_free) and *n.
 * ERR_INVALID with e.
 */
int origin_nets(const char *flag, const struct opt_list *l, struct addr_net **out, size_t *n,
    struct errtext *e) WARN_UNUSED;

/* origin_is_proxy - does this address speak for others (xff_is_trusted)? */
bool origin_is_proxy(const struct relay *r, const struct addr *a);

/* origin_limits - what the options say of connections that have not logged in. */
void origin_limits(const struct relay_opts *o, struct gate_limits *limits);

/*
 * origin_turns - of handshakes by key in one worker: an address begins a third as many a second as
 * it may open connections.  NULL: out of memory.
 */
struct tls_turns *origin_turns(const struct relay_opts *o, struct loop *l);

/* origin_who - an address as the gate is to see it. */
void origin_who(const struct relay *r, const struct addr *from, struct gate_who *who);

/*
 * origin_gate - a gate of the relay's, whose owners are told on their workers that they have to go.
 * NULL: out of memory.
 */
struct gate *origin_gate(struct relay *r, const struct gate_limits *limits, int n_workers);

#endif
