/* SPDX-License-Identifier: ISC */
/* publish - the services of a worker's agents that are open to the public. */
#include "cmd/relay/ingress/publish.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/relay/group.h"
#include "cmd/relay/ingress/state.h"
#include "cmd/relay/origin.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/net/listen.h"
#include "lib/net/sockopt.h"

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
	mem_free(pub);
}

/* What it has taken is given back; of one that was never granted, too. */
static void
publication_free(struct publication *pub)
{
	struct relay *r = pub->w->relay;

	visitors_leave(pub);
	acceptor_fini(&pub->acceptor);
	if (pub->fd >= 0) {
		listen_close(pub->fd);
		ports_release(r->ingress.ports, pub->port);
	}
	timer_fini(&pub->grace);
	if (pub->asking)
		registry_cancel(r->registry, &pub->ask);
	if (pub->bound)
		registry_release(r->registry, pub->group->name);
	account_put(r->accounts, pub->account, loop_now_ms(pub->w->loop));
	log_limit_fini(&pub->log);
	loop_bury(pub->w->loop, &pub->grave, publication_dispose, pub);
}

/* Its group may be gone afterwards. */
static void
publication_end(struct publication *pub, const char *why)
{
	struct group *g = pub->group;
	struct worker *w = pub->w;

	set_state(pub, PUBLICATION_OVER);
	log_publication(pub, "no longer published: ", why);
	TAILQ_REMOVE(&g->published, pub, link);
	publication_free(pub);
	group_free_empty(w, g);
}

static void
on_grace_over(void *arg)
{
	publication_end(arg, "its agent has not come back, or does not offer it any more");
}

/* ---- making one ---- */

struct attempt {
	struct publication *pub;
	const struct creds *creds;
	struct errtext *why;
};

static uint16_t
next_port(void *arg, uint16_t port)
{
	struct attempt *t = arg;

	return creds_agent_next_port(t->creds, &t->pub->id, port);
}

static int
try_port(void *arg, uint16_t port)
{
	struct attempt *t = arg;
	struct addr at = t->pub->w->relay->ingress.at;
	char spec[ADDR_TEXT];
	int r;

	/* What was said of another port. */
	t->why->s[0] = '\0';
	if (!creds_agent_may_publish(t->creds, &t->pub->id, port))
		return err_set(
		    t->why, ERR_DENIED, "the credentials do not allow this agent port %u", port);
	addr_set_port(&at, port);
	r = listen_open(addr_text(&at, spec), &t->pub->fd, t->why);
	return r == ERR_SYS && errno == EADDRINUSE ? ERR_EXISTS : r;
}

static int
take_port(
    struct publication *pub, const struct request *q, const struct creds *c, struct errtext *why)
{
	const struct ingress *in = &pub->w->relay->ingress;
	char owner[PORTS_OWNER_MAX];
	struct attempt t = { pub, c, why };
	const struct ports_user user = { next_port, try_port, &t };
	int r;

	snprintf(owner, sizeof owner, "%s/%s/%s", pub->group->name, pub->kind, pub->service);
	r = ports_take(in->ports, owner, q->port, q->had, &user, &pub->port);
	if (r != 0 && pub->fd >= 0) {
		listen_close(pub->fd);
		pub->fd = -1;
	}
	if (r == 0)
		return r;
	/* Of the ports that were tried each had a reason of its own. */
	if (r == ERR_LIMIT)
		return err_set(why, r, "none of this relay's public ports is free for this agent");
	if (why->s[0] != '\0')
		return r;
	if (r == ERR_DENIED)
		return err_set(why, r, "port %u is none of this relay's public ports, %u to %u",
		    q->port, in->first, in->last);
	if (r == ERR_EXISTS)
		return err_set(why, r, "port %u belongs to another service", q->port);
	return err_set(why, r, "out of memory");
}

static void
on_accepted(void *arg, int fd, const struct addr *from)
{
	visitor_start(arg, fd, from);
}

static void
on_bound(void *arg, int worker)
{
	struct publication *pub = arg;

	pub->asking = false;
	/* The agent's session is bound here.  Without memory the next one may come elsewhere. */
	pub->bound = worker >= 0;
}

static int
begin_accepting(struct publication *pub)
{
	struct acceptor_config cfg = { pub->fd, pub->name, &pub->w->reserve, on_accepted, pub };

	if (pub->w->reserve.fd < 0 && rlimit_reserve_init(&pub->w->reserve) != 0)
		return ERR_SYS;
	return acceptor_init(&pub->acceptor, pub->w->loop, &cfg);
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

static struct publication *
publication_new(struct peer *p, const struct request *q)
{
	struct publication *pub = mem_zalloc(sizeof *pub);

	if (pub == NULL)
		return NULL;
	pub->w = p->w;
	pub->group = p->group;
	take_owner(pub, p);
	pub->fd = -1;
	pub->ask = (struct registry_ask){ on_bound, pub };
	TAILQ_INIT(&pub->arriving);
	snprintf(pub->kind, sizeof pub->kind, "%s", q->kind);
	snprintf(pub->service, sizeof pub->service, "%s", q->service);
	log_limit_init(
	    &pub->log, PUBLISH_LOG_LINES, LOG_LIMIT_MS, "visitors of %s:%s", p->name, q->service);
	if (timer_init(&pub->grace, p->w->loop, on_grace_over, pub) == 0)
		return pub;
	publication_free(pub);
	return NULL;
}

static int
set_rules(struct publication *pub, const struct request_rules *rules)
{
	struct ratelimit *rate = NULL;

	if (rules->max_rate != 0 &&
	    (rate = ratelimit_new(rules->max_rate, rules->max_rate)) == NULL)
		return ERR_NOMEM;
	ratelimit_free(pub->rate);
	pub->rate = rate;
	pub->rules = *rules;
	return 0;
}

/* Listen for the public.  Whatever fails, the publication is to be freed. */
static int
open_port(
    struct publication *pub, const struct request *q, const struct creds *c, struct errtext *why)
{
	struct addr at;
	int r = take_port(pub, q, c, why);

	if (r != 0)
		return r;
	if (addr_local(pub->fd, &at) != 0)
		return err_sys(why, "the public port is lost");
	/* A visitor who vanished must not have a place for ever. */
	sockopt_keepalive(pub->fd);
	addr_text(&at, pub->public);
	snprintf(pub->name, sizeof pub->name, "%s:%s (%s %s)", pub->group->name, pub->service,
	    pub->kind, pub->public);
	if (set_rules(pub, &q->rules) != 0 || begin_accepting(pub) != 0)
		return err_set(why, ERR_NOMEM, "out of memory or file descriptors");
	return 0;
}

/* ---- requests ---- */

static struct publication *
find(const struct group *g, const struct request *q)
{
	struct publication *pub;

	TAILQ_FOREACH (pub, &g->published, link)
		if (strcmp(pub->kind, q->kind) == 0 && strcmp(pub->service, q->service) == 0)
			return pub;
	return NULL;
}

static uint64_t
count(const struct group *g)
{
	struct publication *pub;
	uint64_t n = 0;

	TAILQ_FOREACH (pub, &g->published, link)
		n++;
	return n;
}

/* The port is still kept for a service of the agent's, which it has not asked for again. */
static void
give_up_kept(struct group *g, uint16_t port)
{
	struct publication *pub, *next;

	for (pub = TAILQ_FIRST(&g->published); pub != NULL; pub = next) {
		next = TAILQ_NEXT(pub, link);
		if (pub->port == port && pub->state == PUBLICATION_AWAY)
			publication_end(pub, "its agent wants the port for another service");
	}
}

/* As it is asked for now: it goes on, whoever asked for it before. */
static int
confirm(struct publication *pub, const struct peer *p, const struct request *q)
{
	if (set_rules(pub, &q->rules) != 0)
		return ERR_NOMEM;
	take_owner(pub, p);
	timer_cancel(&pub->grace);
	set_state(pub, PUBLICATION_LIVE);
	return 0;
}

static int
publish_new(struct peer *p, const struct request *q, const struct creds *c,
    struct publication **out, struct errtext *why)
{
	struct publication *pub = publication_new(p, q);
	int r;

	if (pub == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	if ((r = open_port(pub, q, c, why)) != 0) {
		publication_free(pub);
		return r;
	}
	TAILQ_INSERT_TAIL(&p->group->published, pub, link);
	pub->asking = true;
	registry_bind(p->w->relay->registry, &pub->ask, p->name);
	state_changed(p->w->relay->ingress.state);
	log_publication(pub, "published", "");
	*out = pub;
	return 0;
}

static int
publish(struct peer *p, const struct request *q, const struct creds *c, struct publication **out,
    struct errtext *why)
{
	struct publication *old = find(p->group, q);
	uint64_t most = creds_max_services(c, &p->id);
	int r;

	*out = old;
	if (strcmp(q->kind, "tcp") != 0)
		return err_set(why, ERR_INVALID, "this relay publishes tcp only");
	if (!creds_agent_may_offer(c, &p->id, q->service))
		return err_set(
		    why, ERR_DENIED, "the credentials do not name %s as a service", q->service);
	if (p->w->relay->ingress.ports == NULL)
		return err_set(why, ERR_DENIED, "this relay has no public ports (--ports)");
	if (atomic_load(&p->w->relay->draining))
		return err_set(why, ERR_CLOSED, "the relay is shutting down");
	if (old != NULL && (q->port == 0 || q->port == old->port))
		return confirm(old, p, q) == 0 ? 0 : err_set(why, ERR_NOMEM, "out of memory");
	give_up_kept(p->group, q->port);
	if (old == NULL && count(p->group) >= most)
		return err_set(why, ERR_LIMIT, "this agent may publish %llu services, no more",
		    (unsigned long long)most);
	if ((r = publish_new(p, q, c, out, why)) == 0 && old != NULL)
		publication_end(old, "its agent asks for another port");
	return r;
}

static void
withdraw(struct peer *p, const struct request *q)
{
	struct publication *pub = find(p->group, q);

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
		snprintf(a->public, sizeof a->public, "%s", pub->public);
		a->port = pub->port;
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
	if (q.id == 0 || (r == 0 && q.verb == REQUEST_REPLY))
		return;
	reply.id = q.id;
	if (r != 0)
		snprintf(reply.error, sizeof reply.error, "%.*s", REQUEST_ERROR_MAX, why.s);
	else if (q.verb == REQUEST_UNKNOWN)
		snprintf(reply.error, sizeof reply.error, "this relay knows no such request");
	else if (p->role != CTL_AGENT || p->group == NULL)
		snprintf(reply.error, sizeof reply.error, "only agents publish services");
	else
		answer(p, &q, &reply);
	json = request_reply_dump(&reply, &len);
	/* A session that is over needs no answer. */
	if (json != NULL)
		IGNORE_RESULT(session_control(carrier_session(p->carrier), json, len));
	mem_free(json);
}

/* ---- the agent comes and goes ---- */

void
publish_joined(struct group *g)
{
	struct publication *pub;

	TAILQ_FOREACH (pub, &g->published, link)
		visitors_go(pub);
}

void
publish_left(struct group *g)
{
	struct publication *pub;

	TAILQ_FOREACH (pub, &g->published, link) {
		set_state(pub, PUBLICATION_AWAY);
		timer_set(&pub->grace, pub->w->relay->opts.grace_ms);
	}
}

/* ---- from outside ---- */

static void
check_group(struct group *g, const struct creds *c, int64_t now_s)
{
	struct publication *pub, *next;

	for (pub = TAILQ_FIRST(&g->published); pub != NULL; pub = next) {
		next = TAILQ_NEXT(pub, link);
		if (!creds_still_valid(c, &pub->id, now_s) ||
		    !creds_agent_may_offer(c, &pub->id, pub->service) ||
		    !creds_agent_may_publish(c, &pub->id, pub->port))
			publication_end(pub, "the credentials do not allow it any more");
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

/* ---- configuration ---- */

static int
parse_ports(struct relay *r, struct errtext *e)
{
	struct ingress *in = &r->ingress;
	uint64_t first, last;

	if (str_parse_range(r->opts.ports, 1, UINT16_MAX, &first, &last) != 0)
		return err_set(e, ERR_INVALID, "--ports %s: not of the form FIRST-LAST, 1 to 65535",
		    r->opts.ports);
	in->first = (uint16_t)first;
	in->last = (uint16_t)last;
	in->ports = ports_new(in->first, in->last);
	return in->ports != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

int
publish_config(struct relay *r, struct errtext *e)
{
	struct ingress *in = &r->ingress;
	int rc;

	if (!addr_literal(r->opts.public, 0, &in->at))
		return err_set(e, ERR_INVALID, "--public %s: not an address", r->opts.public);
	if (r->creds == NULL && !r->opts.insecure && !addr_is_loopback(&in->at))
		return err_set(e, ERR_INVALID,
		    "--public %s: anybody could publish there, since there are no --credentials; "
		    "give some, or publish on 127.0.0.1 (or say --insecure)",
		    r->opts.public);
	if ((rc = origin_nets(
		 "--proxy-from", &r->opts.proxy_from, &in->proxies, &in->n_proxies, e)) != 0)
		return rc;
	return r->opts.ports != NULL ? parse_ports(r, e) : 0;
}
