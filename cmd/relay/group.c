/* SPDX-License-Identifier: ISC */
/* group - the peers that belong to one agent's name. */
#include "cmd/relay/group.h"

#include <stdio.h>

#include "cmd/relay/ingress/publish.h"
#include "cmd/relay/peer.h"
#include "lib/base/mem.h"

struct group *
group_get(struct worker *w, const char *name)
{
	struct group *g;

	HASH_FIND_STR(w->groups, name, g);
	if (g != NULL)
		return g;
	g = mem_zalloc(sizeof *g);
	if (g == NULL)
		return NULL;
	snprintf(g->name, sizeof g->name, "%s", name);
	TAILQ_INIT(&g->agents);
	TAILQ_INIT(&g->clients);
	TAILQ_INIT(&g->published);
	HASH_ADD_STR(w->groups, name, g);
	if (!hashtab_has(g)) {
		mem_free(g);
		return NULL;
	}
	return g;
}

void
group_free_empty(struct worker *w, struct group *g)
{
	if (!TAILQ_EMPTY(&g->agents) || !TAILQ_EMPTY(&g->clients) || !TAILQ_EMPTY(&g->published))
		return;
	HASH_DEL(w->groups, g);
	mem_free(g);
}

static struct peer_list *
list_of(struct group *g, const struct peer *p)
{
	return p->role == CTL_AGENT ? &g->agents : &g->clients;
}

void
group_join(struct group *g, struct peer *p)
{
	p->group = g;
	TAILQ_INSERT_TAIL(list_of(g, p), p, group_link);
	if (p->role == CTL_AGENT)
		publish_joined(p->w, g);
}

void
group_leave(struct peer *p)
{
	struct group *g = p->group;

	if (g == NULL)
		return;
	TAILQ_REMOVE(list_of(g, p), p, group_link);
	p->group = NULL;
	if (p->role == CTL_AGENT && TAILQ_EMPTY(&g->agents))
		publish_left(p->w, g);
	group_free_empty(p->w, g);
}

struct peer *
group_agent(const struct group *g)
{
	struct peer *p, *best = NULL;

	TAILQ_FOREACH (p, &g->agents, group_link)
		if (!carrier_session(p->carrier)->going &&
		    (best == NULL || carrier_session(p->carrier)->n_streams <
					 carrier_session(best->carrier)->n_streams))
			best = p;
	return best;
}

bool
group_leaves_room(const struct group *g, const struct party *y, uint64_t max_streams)
{
	uint64_t taken = 0, left = 0, most = 0, lingering;
	struct peer *p;

	TAILQ_FOREACH (p, &g->agents, group_link)
		if (!carrier_session(p->carrier)->going) {
			taken += carrier_session(p->carrier)->n_streams;
			left += max_streams - carrier_session(p->carrier)->n_streams;
			most = account_streams_max(p->account);
		}
	if (left > most - (taken < most ? taken : most))
		left = most - (taken < most ? taken : most);
	/*
	 * Resets that wait for room have a place at the agent, too.  The OPEN at hand is the first
	 * of them.
	 */
	lingering = account_lingering(y->key.account);
	return y->streams + (lingering > 1 ? lingering : 1) <= left;
}
