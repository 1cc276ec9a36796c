/* SPDX-License-Identifier: ISC */
/*
 * creds_clients - an agent's own file of clients (agent --clients), in the form that a relay's
 * credentials have:
 *
 *     { "clients": {
 *             "alice": { "key": "tunnel-pub-...", "targets": ["ssh", "10.0.0.0/8:*"] },
 *             "bob":   { "key": ["tunnel-pub-...", "tunnel-pub-..."], "targets": ["web-*"],
 *                        "expires": "2027-01-31T00:00:00Z", "max-sessions": 4 } } }
 *
 * Clients are known by keys alone, and reach what their targets name: services, and hosts and ports
 * judged by the address that is really dialled (match_target).  "max-sessions", "max-streams",
 * "max-memory" and "expires" are as at a relay; "agents" and secrets have no place here.
 */
#ifndef PROTO_CREDS_CLIENTS_H
#define PROTO_CREDS_CLIENTS_H

#include "lib/net/addr.h"
#include "proto/creds.h"

/* creds_clients_load, creds_clients_parse - as creds_load, creds_parse (creds.h). */
int creds_clients_load(const char *path, struct creds **out, struct errtext *e) WARN_UNUSED;
int creds_clients_parse(const void *p, size_t n, struct creds **out, struct errtext *e) WARN_UNUSED;

/*
 * creds_clients_open - may id open this stream?  Of a host and port only whether there is any rule
 * for such: creds_clients_dial judges the address.
 *   client  of the entry
 */
bool creds_clients_open(
    const struct creds *c, const struct creds_id *id, const struct ctl_open *o, int64_t now_s);
bool creds_clients_dial(
    const struct creds *c, const char *client, const char *host, const struct addr *a);

#endif
