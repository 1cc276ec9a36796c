/* SPDX-License-Identifier: ISC */
/* publish - the services of a worker's agents that are open to the public. */
#include "cmd/relay/ingress/publish.h"

#include <stdio.h>
#include <string.h>

#include "cmd/relay/group.h"
#include "cmd/relay/ingress/publish_host.h"
#include "cmd/relay/ingress/publish_port.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "proto/creds_publish.h"

static const struct publication_kind *const kinds[] = { &publish_tcp, &publish_udp, &publish_http,
	&publish_tls };

#define N_KINDS (sizeof kinds / sizeof kinds[0])

/* ---- requests ---- */

static const struct publication_kind *
kind_of(const char *name)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

static int
publish_new(struct peer *p, const struct publication_kind *kind, const struct request *q,
    const struct creds *c, struct publication **out, struct errtext *why)
{
	struct publication *pub = publication_new(p, kind, q);
	int r;

	if (pub == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	if ((r = kind->open(pub, q, c, why)) != 0) {
		publication_drop(pub);
		return r;
	}
	publication_enter(pub);
	*out = pub;
	return 0;
}

/* What is only kept for an agent that came back without asking for it counts no more. */
static void
make_room(struct group *g)
{
	struct publication *pub;

	TAILQ_FOREACH_REVERSE(pub, &g->published, publication_list, link)
	if (pub->state == PUBLICATION_AWAY) {
		publication_end(pub, "its agent asks for others, as many as it may have");
		return;
	}
}

static int
publish(struct peer *p, const struct request *q, const struct creds *c, struct publication **out,
    struct errtext *why)
{
	const struct publication_kind *kind = kind_of(q->kind);
	struct publication *old = publication_find(p->group, q->kind, q->service);
	uint64_t most = creds_max_services(c, &p->id);
	int r;

	*out = old;
	if (kind == NULL)
		return err_set(
		    why, ERR_INVALID, "this relay publishes tcp, udp, http and tls only");
	if ((r = kind->check(p, q, c, why)) != 0)
		return r;
	if (atomic_load(&p->w->relay->draining))
		return err_set(why, ERR_CLOSED, "the relay is shutting down");
	if (old != NULL && kind->is_at(old, q))
		return publication_confirm(old, p, q) == 0
			   ? 0
			   : err_set(why, ERR_NOMEM, "out of memory");
	kind->clear_way(p->group, q);
	if (old == NULL && publication_count(p->group) >= most)
		make_room(p->group);
	if (old == NULL && publication_count(p->group) >= most)
		return err_set(why, ERR_LIMIT, "this agent may publish %llu services, no more",
		    (unsigned long long)most);
	if ((r = publish_new(p, kind, q, c, out, why)) == 0 && old != NULL)
		publication_end(old, "its agent asks for another place");
	return r;
}

/* From now on it is what its agent asks for, or what the credentials say: x. */
static void
set_target(struct publication *pub, const struct creds_published *x)
{
	snprintf(pub->host, sizeof pub->host, "%s", x != NULL ? x->host : "");
	pub->target_port = x != NULL ? x->port : 0;
}

static void
withdraw(struct peer *p, const struct request *q)
{
	struct publication *pub = publication_find(p->group, q->kind, q->service);

	if (pub != NULL)
		publication_end(pub, "its agent has withdrawn it");
}

static void
answer(struct peer *p, const struct request *q, struct request_reply *a)
{
	struct creds *c = relay_creds(p->w->relay);
	struct publication *pub = NULL;
	struct errtext why = { "" };

	if (q->verb == REQUEST_WITHDRAW)
		withdraw(p, q);
	a->ok = q->verb == REQUEST_WITHDRAW || publish(p, q, c, &pub, &why) == 0;
	creds_unref(c);
	if (a->ok && pub != NULL) {
		set_target(pub, NULL);
		snprintf(a->public, sizeof a->public, "%s", pub->public);
		pub->kind->tell(pub, a);
	}
	if (a->ok)
		return;
	snprintf(a->error, sizeof a->error, "%.*s", REQUEST_ERROR_MAX, why.s);
	log_limited(account_log(p->account), loop_now_ms(p->w->loop), LOG_LEVEL_WARN,
	    "agent %s: %s is not published: %s", p->name, q->service, why.s);
}

void
publish_control(struct peer *p, const void *body, size_t n)
{
	struct errtext why = { "" };
	struct request_reply a, reply = { 0 };
	struct request q;
	size_t len;
	char *json;
	int r = request_parse(&q, &a, body, n, &why);

	/* What cannot be answered is ignored, as are replies: nothing was asked. */
	if (q.id == 0 || (r == 0 && q.verb == REQUEST_REPLY)) {
		request_fini(&q);
		return;
	}
	reply.id = q.id;
	if (r != 0)
		snprintf(reply.error, sizeof reply.error, "%.*s", REQUEST_ERROR_MAX, why.s);
	else if (q.verb == REQUEST_UNKNOWN)
		snprintf(reply.error, sizeof reply.error, "this relay knows no such request");
	else if (p->role != CTL_AGENT || p->group == NULL)
		snprintf(reply.error, sizeof reply.error, "only agents publish services");
	else
		answer(p, &q, &reply);
	request_fini(&q);
	json = request_reply_dump(&reply, &len);
	/* A session that is over needs no answer. */
	if (json != NULL)
		IGNORE_RESULT(session_control(carrier_session(p->carrier), json, len));
	mem_free(json);
}

/* ---- the credentials ask ---- */

void
publish_configured(struct peer *p)
{
	struct creds *c = relay_creds(p->w->relay);
	const struct creds_published *x;
	struct publication *pub;
	struct errtext why;
	size_t n;

	x = creds_agent_published(c, &p->id, &n);
	for (size_t i = 0; i < n; i++) {
		errtext_clear(&why);
		if (publish(p, &x[i].what, c, &pub, &why) == 0)
			set_target(pub, &x[i]);
		else
			log_limited(account_log(p->account), loop_now_ms(p->w->loop),
			    LOG_LEVEL_WARN, "agent %s: %s is not published: %s", p->name,
			    x[i].what.service, why.s);
	}
	creds_unref(c);
}

/* Do the credentials publish it as it is? */
static bool
is_configured(const struct publication *pub, const struct creds *c)
{
	const struct creds_published *x;
	size_t n;

	x = creds_agent_published(c, &pub->id, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(x[i].what.kind, pub->kind->name) == 0 &&
		    strcmp(x[i].what.service, pub->service) == 0 &&
		    strcmp(x[i].host, pub->host) == 0 && x[i].port == pub->target_port &&
		    pub->kind->is_at(pub, &x[i].what))
			return true;
	return false;
}

static void
configure_group(struct group *g)
{
	/* One session of an agent is enough; publishing may not end the group. */
	if (!TAILQ_EMPTY(&g->agents))
		publish_configured(TAILQ_FIRST(&g->agents));
}

/* ---- the agent comes and goes ---- */

struct publication *
publish_find(struct worker *w, const struct route *r)
{
	struct group *g;

	HASH_FIND_STR(w->groups, r->agent, g);
	return g != NULL ? publication_find(g, r->kind, r->service) : NULL;
}

void
publish_joined(struct worker *w, struct group *g)
{
	struct publication *pub;

	routes_agent(w->relay->ingress.routes, g->name, true);
	TAILQ_FOREACH (pub, &g->published, link)
		pub->kind->joined(pub);
}

void
publish_left(struct worker *w, struct group *g)
{
	struct publication *pub;

	routes_agent(w->relay->ingress.routes, g->name, false);
	TAILQ_FOREACH (pub, &g->published, link)
		publication_away(pub);
}

/* ---- from outside ---- */

/* Its agent believes that it is open.  A session that is over needs not be told. */
static void
tell_withdrawn(const struct publication *pub)
{
	struct request q = { .id = ++pub->group->last_id, .verb = REQUEST_WITHDRAW };
	struct peer *p;
	size_t n = 0;
	char *json;

	snprintf(q.kind, sizeof q.kind, "%s", pub->kind->name);
	memcpy(q.service, pub->service, sizeof q.service);
	if ((json = request_dump(&q, &n)) == NULL)
		return;
	TAILQ_FOREACH (p, &pub->group->agents, group_link)
		IGNORE_RESULT(session_control(carrier_session(p->carrier), json, n));
	mem_free(json);
}

static void
check_group(struct group *g, const struct creds *c, int64_t now_s)
{
	struct publication *pub, *next;

	for (pub = TAILQ_FIRST(&g->published); pub != NULL; pub = next) {
		next = TAILQ_NEXT(pub, link);
		if (!creds_still_valid(c, &pub->id, now_s) || !pub->kind->may_stay(pub, c)) {
			tell_withdrawn(pub);
			publication_end(pub, "the credentials do not allow it any more");
		} else if (pub->host[0] != '\0' && !is_configured(pub, c)) {
			publication_end(pub, "the credentials do not publish it any more");
		}
	}
}

void
publish_check(struct worker *w)
{
	struct creds *c = relay_creds(w->relay);
	struct group *g, *tmp;

	if (c == NULL)
		return;
	HASH_ITER(hh, w->groups, g, tmp)
	check_group(g, c, clock_wall_s());
	HASH_ITER(hh, w->groups, g, tmp)
	configure_group(g);
	creds_unref(c);
}

static void
stop_group(struct group *g)
{
	struct publication *pub, *next;

	for (pub = TAILQ_FIRST(&g->published); pub != NULL; pub = next) {
		next = TAILQ_NEXT(pub, link);
		publication_end(pub, "the relay is shutting down");
	}
}

void
publish_stop(struct worker *w)
{
	struct group *g, *tmp;

	HASH_ITER(hh, w->groups, g, tmp)
	stop_group(g);
}
