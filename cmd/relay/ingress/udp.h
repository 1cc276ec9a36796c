/* SPDX-License-Identifier: ISC */
/*
 * udp - public ports of UDP: what comes from each source is a flow (cmd/common/udp_port.h), and a
 * flow is a stream to the agent.
 *
 * Who may come in is asked at the door (door.h), for each flow.  Sources can be forged, so
 * everything that one datagram can cause is bounded:
 *
 *   flows at once     of all ports of an agent half of the streams that a session has, so that
 *                     other services keep theirs; the port with the most makes room for a new one,
 *                     and udp_port.h says which flow of it
 *   new flows         UDP_NEW_RATE a second of a network, UDP_NEW_TOTAL of all, at a port
 *   answers           three times what came, and UDP_ANSWER_RATE a second to a network, until the
 *                     source has shown that it receives them
 *
 * A network is an IPv4 /24 or an IPv6 /48: what one who forges his own network's addresses has.
 * While the agent is away datagrams are dropped and counted.
 */
#ifndef CMD_RELAY_INGRESS_UDP_H
#define CMD_RELAY_INGRESS_UDP_H

#include "lib/base/err.h"

#define UDP_AMPLIFY 3
#define UDP_NEW_RATE 500
#define UDP_NEW_TOTAL 5000
#define UDP_ANSWER_RATE 1000

struct publication;
struct udp_guard;

/*
 * udp_start - serve pub->fd, which is taken over, by pub->udp.  ERR_NOMEM: nothing has changed.
 * udp_stop - end its flows and close it; accepts one that was not started.
 */
int udp_start(struct publication *pub) WARN_UNUSED;
void udp_stop(struct publication *pub);

/* udp_guard_free - what the ports of a worker share, made with the first; accepts NULL. */
void udp_guard_free(struct udp_guard *g);

#endif
