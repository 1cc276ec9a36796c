/* SPDX-License-Identifier: ISC */
/*
 * rivals - agents that log in under a name that is taken, with the right credentials.
 *
 * Newest wins: whoever knows the secret and comes later is the one that is alive.  One that has
 * said goodbye is in nobody's way, its last streams may end; sessions of one process are carriers
 * of one agent.
 *
 * An agent that does not understand that it was replaced (without SESSION_YIELDS) comes back at
 * once: two of a name would replace each other for ever.  So before one comes in, those that are
 * there are asked for a sign of life.  Who answers within RIVALS_WAIT_MS stays, and the newcomer is
 * refused.
 */
#ifndef CMD_RELAY_RIVALS_H
#define CMD_RELAY_RIVALS_H

#include <stdbool.h>
#include <stdint.h>

#define RIVALS_WAIT_MS 3000
#define RIVALS_POLL_MS 50
#define RIVALS_LIVE "another agent is connected under this name"

struct group;
struct peer;

/* rivals_must_be_asked - before p joins g. */
bool rivals_must_be_asked(const struct peer *p, const struct group *g);
/*
 * rivals_ask - ask them; when the last word of them came.  rivals_answered - has any said something
 * since that time?
 */
uint64_t rivals_ask(const struct peer *p);
/* One that is not read for a while has no time to answer. */
bool rivals_answered(const struct peer *p, uint64_t since_us);

/*
 * rivals_displace - make way for p in g, which may be gone afterwards.  Returns why p must wait
 * instead, or NULL.
 */
const char *rivals_displace(struct peer *p, struct group *g);

#endif
