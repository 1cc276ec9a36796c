/* SPDX-License-Identifier: ISC */
/*
 * publish_host - publications of kinds "http" and "tls": hosts that stand in the relay's routes
 * (routes.h).  They have no listener of their own: whoever accepts for the web finds them by host.
 */
#ifndef CMD_RELAY_INGRESS_PUBLISH_HOST_H
#define CMD_RELAY_INGRESS_PUBLISH_HOST_H

#include "cmd/relay/ingress/publication.h"
#include "cmd/relay/ingress/routes.h"

extern const struct publication_kind publish_http, publish_tls;

enum publish_route {
	ROUTE_FOUND,
	/* it is kept for an agent that is away */
	ROUTE_AWAY,
	ROUTE_NONE,
};

/* publish_route - whose is this host (normalised), and where?  Any thread. */
enum publish_route publish_route(struct relay *r, const char *host, struct route *out);

#endif
