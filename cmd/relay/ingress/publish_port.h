/* SPDX-License-Identifier: ISC */
/*
 * publish_port - publications of the kinds "tcp" and "udp": a port of the relay, whose connections
 * are visitors (visitor.h), or whose datagrams make flows (udp.h).
 */
#ifndef CMD_RELAY_INGRESS_PUBLISH_PORT_H
#define CMD_RELAY_INGRESS_PUBLISH_PORT_H

#include "cmd/relay/ingress/publication.h"

extern const struct publication_kind publish_tcp, publish_udp;

#endif
