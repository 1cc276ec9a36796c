/* SPDX-License-Identifier: ISC */
/*
 * group - the peers that belong to one agent's name: the agent's sessions, and the clients that are
 * bound to it.
 *
 * All of a group live on one worker (registry.h says which), so that bytes pass between them
 * without a lock.  A group exists while it has members or something is published under the name:
 * group_get makes it, and it goes with the last of them.  Whoever holds a pointer across a call
 * that may let somebody leave asks for it again by name.
 */
#ifndef CMD_RELAY_GROUP_H
#define CMD_RELAY_GROUP_H

#include "cmd/relay/worker.h"
#include "lib/base/hashtab.h"
#include "proto/ctl.h"

struct party;
struct peer;
struct publication;

TAILQ_HEAD(publication_list, publication);

/* Members may be read; they change through the functions. */
struct group {
	char name[CTL_AGENT_MAX + 1];
	struct peer_list agents, clients;
	/* What the agent has published; publish.c keeps it. */
	struct publication_list published;
	/* Of the last request that its agents were sent. */
	int64_t last_id;
	UT_hash_handle hh;
};

/* group_get - the group of this name on w, made if there is none.  NULL when out of memory. */
struct group *group_get(struct worker *w, const char *name);

/* group_free_empty - undo a group_get after which nobody joined; nothing if somebody is there. */
void group_free_empty(struct worker *w, struct group *g);

/* group_join - p becomes a member, by its role. */
void group_join(struct group *g, struct peer *p);

/* group_leave - p is no longer one; frees g if it was the last.  Nothing if p is in no group. */
void group_leave(struct peer *p);

/*
 * group_agent - the agent's session with the fewest streams that takes new ones; NULL: not
 * connected.
 */
struct peer *group_agent(const struct group *g);

/*
 * group_leaves_room - may y have one more of the streams that the agent's sessions, of max_streams
 * each, can still take?  An identity may have as many as it leaves to others: one alone gets half
 * of all, the next half of the rest, and whoever comes last finds room for one, too.
 */
bool group_leaves_room(const struct group *g, const struct party *y, uint64_t max_streams);

#endif
