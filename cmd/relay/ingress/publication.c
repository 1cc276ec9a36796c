/* SPDX-License-Identifier: ISC */
/* publication - one service of an agent that is open to the public. */
#include "cmd/relay/ingress/publication.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cmd/relay/account.h"
#include "cmd/relay/group.h"
#include "lib/base/mem.h"

static const char *const state_name[] = { "live", "away", "over" };

/* From the row's state to the column's. */
static const bool state_can[PUBLICATION_STATES][PUBLICATION_STATES] = {
	[PUBLICATION_LIVE] = { [PUBLICATION_AWAY] = true, [PUBLICATION_OVER] = true },
	[PUBLICATION_AWAY] = { [PUBLICATION_LIVE] = true, [PUBLICATION_OVER] = true },
};

static void
set_state(struct publication *pub, enum publication_state next)
{
	if (pub->state == next)
		return;
	assert(state_can[pub->state][next]);
	log_debug("published %s: %s -> %s", pub->name, state_name[pub->state], state_name[next]);
	pub->state = next;
}

/* A line that the agent can cause. */
static void
log_publication(const struct publication *pub, const char *what, const char *why)
{
	log_limited(account_log(pub->account), loop_now_ms(pub->w->loop), LOG_LEVEL_INFO,
	    "%s: %s%s", pub->name, what, why);
}

/* ---- the end ---- */

static void
publication_dispose(void *arg)
{
	struct publication *pub = arg;

	ratelimit_free(pub->rate);
	request_web_unref(pub->web);
	mem_free(pub);
}

void
publication_ref(struct publication *pub)
{
	pub->refs++;
}

void
publication_unref(struct publication *pub)
{
	if (--pub->refs > 0)
		return;
	account_put(pub->w->relay->accounts, pub->account, loop_now_ms(pub->w->loop));
	log_limit_fini(&pub->log);
	loop_bury(pub->w->loop, &pub->grave, publication_dispose, pub);
}

/* What it has taken is given back; of one that was never granted, too. */
void
publication_drop(struct publication *pub)
{
	struct relay *r = pub->w->relay;

	pub->kind->close(pub);
	pool_drop_service(pub);
	timer_fini(&pub->grace);
	if (pub->asking)
		registry_cancel(r->registry, &pub->ask);
	if (pub->bound)
		registry_release(r->registry, pub->group->name);
	pub->group = NULL;
	publication_unref(pub);
}

void
publication_end(struct publication *pub, const char *why)
{
	struct group *g = pub->group;
	struct worker *w = pub->w;

	set_state(pub, PUBLICATION_OVER);
	log_publication(pub, "no longer published: ", why);
	TAILQ_REMOVE(&g->published, pub, link);
	publication_drop(pub);
	group_free_empty(w, g);
}

static void
on_grace_over(void *arg)
{
	publication_end(arg, "its agent has not come back, or does not offer it any more");
}

/* ---- the beginning ---- */

static void
on_bound(void *arg, int worker)
{
	struct publication *pub = arg;

	pub->asking = false;
	/* The agent's session is bound here.  Without memory the next one may come elsewhere. */
	pub->bound = worker >= 0;
}

/* From now on it is what this session has asked for. */
static void
take_owner(struct publication *pub, const struct peer *p)
{
	struct accounts *all = p->w->relay->accounts;
	struct account *before = pub->account;

	account_ref(all, p->account);
	pub->account = p->account;
	pub->id = p->id;
	if (before != NULL)
		account_put(all, before, loop_now_ms(p->w->loop));
}

struct publication *
publication_new(struct peer *p, const struct publication_kind *kind, const struct request *q)
{
	struct publication *pub = mem_zalloc(sizeof *pub);

	if (pub == NULL)
		return NULL;
	pub->w = p->w;
	pub->group = p->group;
	pub->kind = kind;
	pub->refs = 1;
	pool_list_init(&pub->idle);
	take_owner(pub, p);
	pub->fd = -1;
	pub->ask = (struct registry_ask){ on_bound, pub };
	TAILQ_INIT(&pub->arriving);
	TAILQ_INIT(&pub->waiting);
	snprintf(pub->service, sizeof pub->service, "%s", q->service);
	log_limit_init(&pub->log, PUBLICATION_LOG_LINES, LOG_LIMIT_MS, "visitors of %s:%s", p->name,
	    q->service);
	if (timer_init(&pub->grace, p->w->loop, on_grace_over, pub) == 0)
		return pub;
	publication_drop(pub);
	return NULL;
}

void
publication_set_name(struct publication *pub)
{
	snprintf(pub->name, sizeof pub->name, "%s:%s (%s %.*s)", pub->group->name, pub->service,
	    pub->kind->name, ADDR_TEXT, pub->public);
}

int
publication_set_rules(struct publication *pub, const struct request *q)
{
	const struct request_rules *rules = &q->rules;
	struct ratelimit *rate = NULL;

	if (rules->max_rate != 0 &&
	    (rate = ratelimit_new(rules->max_rate, rules->max_rate)) == NULL)
		return ERR_NOMEM;
	ratelimit_free(pub->rate);
	pub->rate = rate;
	pub->rules = *rules;
	request_web_unref(pub->web);
	pub->web = request_web_ref(q->web);
	return 0;
}

void
publication_enter(struct publication *pub)
{
	TAILQ_INSERT_TAIL(&pub->group->published, pub, link);
	pub->asking = true;
	registry_bind(pub->w->relay->registry, &pub->ask, pub->group->name);
	log_publication(pub, "published", "");
}

int
publication_confirm(struct publication *pub, const struct peer *p, const struct request *q)
{
	if (publication_set_rules(pub, q) != 0)
		return ERR_NOMEM;
	take_owner(pub, p);
	/* What stands behind the name may be another program now. */
	pool_drop_service(pub);
	timer_cancel(&pub->grace);
	set_state(pub, PUBLICATION_LIVE);
	return 0;
}

void
publication_away(struct publication *pub)
{
	set_state(pub, PUBLICATION_AWAY);
	timer_set(&pub->grace, pub->w->relay->opts.grace_ms);
}

/* ---- those of a group ---- */

struct publication *
publication_find(const struct group *g, const char *kind, const char *service)
{
	struct publication *pub;

	TAILQ_FOREACH (pub, &g->published, link)
		if (strcmp(pub->kind->name, kind) == 0 && strcmp(pub->service, service) == 0)
			return pub;
	return NULL;
}

void
publication_target(const struct publication *pub, struct ctl_open *o)
{
	if (pub->host[0] != '\0') {
		snprintf(o->host, sizeof o->host, "%s", pub->host);
		o->port = pub->target_port;
	} else {
		snprintf(o->service, sizeof o->service, "%s", pub->service);
	}
}

size_t
publication_count(const struct group *g)
{
	struct publication *pub;
	size_t n = 0;

	TAILQ_FOREACH (pub, &g->published, link)
		n++;
	return n;
}
