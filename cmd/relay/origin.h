/* SPDX-License-Identifier: ISC */
/*
 * origin - where a connection comes from, as far as limits are concerned.
 *
 * An IPv4 address is one origin, an IPv6 network too (what one subscriber gets).  This machine may be a reverse proxy that
 * stands for everybody, so its connections are not limited by their origin unless --connection-rate says so.
 */
#ifndef CMD_RELAY_ORIGIN_H
#define CMD_RELAY_ORIGIN_H

#include "cmd/relay/gate.h"
#include "cmd/relay/relay.h"
#include "lib/net/addr.h"

/* origin_limits - what the options say of connections that have not logged in. */
void origin_limits(const struct relay_opts *o, struct gate_limits *limits);

/* origin_who - an address as the gate is to see it. */
void origin_who(const struct relay *r, const struct addr *from, struct gate_who *who);

#endif
