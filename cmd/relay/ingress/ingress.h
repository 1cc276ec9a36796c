/* SPDX-License-Identifier: ISC */
/* ingress - how the public comes in: what the workers share for it, from the relay's options. */
#ifndef CMD_RELAY_INGRESS_INGRESS_H
#define CMD_RELAY_INGRESS_INGRESS_H

#include "cmd/relay/ingress/names.h"
#include "lib/base/err.h"
#include "lib/net/addr.h"

struct acme;
struct ports;
struct relay;
struct routes;
struct state;

/* Constant once the workers run. */
struct ingress {
	/* Where public ports are opened; the port does not count. */
	struct addr at;
	/* NULL: no --ports, so there are none. */
	struct ports *ports;
	uint16_t first, last;
	/* Web services: whose each host is, and how hosts are called. */
	struct routes *routes;
	struct names names;
	/* Of the first --http and --https listener, as bound; 0: there is none. */
	uint16_t http_port, https_port;
	/* What a redirection to https names; 0: the usual one. */
	uint16_t https_public;
	/* Files of challenges (--acme-dir); NULL: none. */
	struct acme *acme;
	/* Who has to say for whom it stands (--proxy-from). */
	struct addr_net *proxies;
	size_t n_proxies;
	/* What outlives this process; NULL: nothing (--state). */
	struct state *state;
};

/*
 * ingress_open - r->ingress from r's options, once the credentials are there.  ERR_*
 * with e.  ingress_close - of one opened in part, too.
 */
int ingress_open(struct relay *r, struct errtext *e) WARN_UNUSED;
void ingress_close(struct relay *r);

/*
 * ingress_stop - end the threads that answer into the workers' loops; when nobody asks any more,
 * and before the loops are freed.
 */
void ingress_stop(struct relay *r);

#endif
