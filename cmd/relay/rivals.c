/* SPDX-License-Identifier: ISC */
/* rivals - agents that log in under a name that is taken. */
#include "cmd/relay/rivals.h"

#include <string.h>

#include "cmd/relay/group.h"
#include "cmd/relay/peer.h"
#include "lib/base/log_limit.h"

/* Is it another process, that has not said goodbye? */
static bool
is_rival(const struct peer *p, const struct peer *old)
{
	return !carrier_session(old->carrier)->going &&
	       memcmp(old->instance, p->instance, sizeof p->instance) != 0;
}

bool
rivals_must_be_asked(const struct peer *p, const struct group *g)
{
	const struct peer *old;

	if ((carrier_session(p->carrier)->can & SESSION_YIELDS) != 0 ||
	    p->w->relay->opts.on_duplicate == DUPLICATE_REFUSE)
		return false;
	TAILQ_FOREACH (old, &g->agents, group_link)
		if (is_rival(p, old))
			return true;
	return false;
}

static struct group *
group_of(const struct peer *p)
{
	struct group *g;

	HASH_FIND_STR(p->w->groups, p->name, g);
	return g;
}

uint64_t
rivals_ask(const struct peer *p)
{
	struct group *g = group_of(p);
	uint64_t last_us = 0;
	struct peer *old;

	if (g == NULL)
		return 0;
	TAILQ_FOREACH (old, &g->agents, group_link) {
		struct session *s = carrier_session(old->carrier);

		if (!is_rival(p, old))
			continue;
		session_ping(s);
		/* Afterwards: one that was not read, and is for that, counts as heard now. */
		if (s->heard_us > last_us)
			last_us = s->heard_us;
	}
	return last_us;
}

bool
rivals_answered(const struct peer *p, uint64_t since_us)
{
	const struct group *g = group_of(p);
	const struct peer *old;

	if (g == NULL)
		return false;
	TAILQ_FOREACH (old, &g->agents, group_link)
		if (is_rival(p, old) && (carrier_session(old->carrier)->unread ||
					    carrier_session(old->carrier)->heard_us > since_us))
			return true;
	return false;
}

static void
replace(struct peer *old, const struct peer *p)
{
	uint64_t now = loop_now_ms(p->w->loop),
		 heard = carrier_session(old->carrier)->heard_us / 1000;
	/* It may have come from a worker whose turn began a moment later. */
	uint64_t silent = now > heard ? now - heard : 0;

	log_limited(account_log(p->account), now, LOG_LEVEL_WARN,
	    "agent %s: replaced %ssession from %s by one from %s, last heard %llu.%03llu s ago",
	    p->name, silent > p->w->relay->opts.keepalive_ms ? "stale " : "", old->from, p->from,
	    (unsigned long long)silent / 1000, (unsigned long long)silent % 1000);
	peer_close(old, CODE_REPLACED, "another agent has logged in under this name");
	peer_uncount(old); /* its place is free at once: a full relay must let an agent back in */
}

const char *
rivals_displace(struct peer *p, struct group *g)
{
	struct peer *old, *next;
	unsigned same = 0;

	for (old = TAILQ_FIRST(&g->agents); old != NULL; old = next) {
		next = TAILQ_NEXT(old, group_link);
		if (carrier_session(old->carrier)->going)
			continue;
		if (!is_rival(p, old)) {
			same++;
			continue;
		}
		if (p->w->relay->opts.on_duplicate == DUPLICATE_REFUSE)
			return RIVALS_LIVE;
		replace(old, p);
		/*
		 * Closing may have been the last of the group; its memory is found again by name.
		 */
		g = group_get(p->w, p->name);
		if (g == NULL)
			return "out of memory";
		next = TAILQ_FIRST(&g->agents);
		same = 0;
	}
	return same < RELAY_CARRIERS_MAX ? NULL : "the agent has as many carriers as it may have";
}
