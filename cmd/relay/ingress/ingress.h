/* SPDX-License-Identifier: ISC */
/* ingress - how the public comes in: what the workers share for it, from the relay's options. */
#ifndef CMD_RELAY_INGRESS_INGRESS_H
#define CMD_RELAY_INGRESS_INGRESS_H

#include "lib/base/err.h"
#include "lib/net/addr.h"

struct ports;
struct relay;
struct state;

/* Constant once the workers run. */
struct ingress {
	/* Where public ports are opened; the port does not count. */
	struct addr at;
	/* NULL: no --ports, so there are none. */
	struct ports *ports;
	uint16_t first, last;
	/* Who has to say for whom it stands (--proxy-from). */
	struct addr_net *proxies;
	size_t n_proxies;
	/* What outlives this process; NULL: nothing (--state). */
	struct state *state;
};

/*
 * ingress_open - r->ingress from r's options, once the credentials are there.  ERR_INVALID,
 * ERR_NOMEM, and what state_open says, with e.  ingress_close - of one opened in part, too.
 */
int ingress_open(struct relay *r, struct errtext *e) WARN_UNUSED;
void ingress_close(struct relay *r);

#endif
