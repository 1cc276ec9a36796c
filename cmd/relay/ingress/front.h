/* SPDX-License-Identifier: ISC */
/*
 * front - one visitor's connection to a web listener: socket, [TLS], one request after the other.
 *
 *     HEAD ── whole ──> CARRIED ──> IDLE ──> HEAD ...
 *       └──> MOVING ──────^ └──> ENDING ──> OVER
 *
 * Each request is routed on its own (exchange.h), and the connection goes to the worker of the
 * agent that it is for.  The next one is read when the answer is through, so pipelined requests
 * are answered in order.
 *
 * Whoever has not sent a whole head, or nothing since the last answer, takes a place (gate.h): when
 * they are all taken, the oldest of the address that has the most goes.  While a request is carried
 * the limits of its address count instead (door.h).  An idle connection holds no buffer and no
 * parser.
 *
 * A front belongs to its worker and ends by itself.
 */
#ifndef CMD_RELAY_INGRESS_FRONT_H
#define CMD_RELAY_INGRESS_FRONT_H

#include <stdbool.h>
#include <sys/queue.h>

#include "lib/net/addr.h"

struct filter;
struct front;
struct gate;
struct gate_place;
struct http_head;
struct relay;
struct worker;

TAILQ_HEAD(front_list, front);

/* Of a request whose answer is through: read past before the connection is closed. */
#define FRONT_PAST_MAX (256 * 1024)
#define FRONT_PAST_MS 5000

/* fronts_gate - the places that the options grant; for struct relay.  NULL: out of memory. */
struct gate *fronts_gate(struct relay *r, int n_workers);

/*
 * front_start - a connection that has said nothing yet, but for its PROXY header.
 *   fd        taken over, also on failure
 *   from, to  the other end and ours; borrowed
 *   tls       begin with a TLS handshake
 *   place     of fronts_gate; taken over, also on failure
 */
void front_start(struct worker *w, int fd, const struct addr *from, const struct addr *to, bool tls,
    struct gate_place *place);

/*
 * front_adopt - a connection whose first head was read by somebody else.
 *   f     the stack, on w's loop; taken over, also on failure
 *   head  done; taken over, also on failure
 *   from, to  the other end and ours; borrowed
 */
void front_adopt(struct worker *w, struct filter *f, struct http_head *head,
    const struct addr *from, const struct addr *to, bool tls);

/* fronts_drain - no requests but those that are on their way. */
void fronts_drain(struct worker *w);

/* front_drop_all - end every front of w at once; at the end of the process. */
void front_drop_all(struct worker *w);

#endif
