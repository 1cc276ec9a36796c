/* SPDX-License-Identifier: ISC */
/* publish_host - hosts that are agents' services. */
#include "cmd/relay/ingress/publish_host.h"

#include <stdio.h>
#include <string.h>

#include "cmd/relay/group.h"
#include "lib/base/mem.h"

/* The hosts of a publication. */
struct claims {
	/* what was asked for: a label, a name, a wildcard */
	char asked[REQUEST_HOST_MAX + 1];
	/* in place of which the relay chose a label */
	bool random;
};

static struct names *
names_of(const struct worker *w)
{
	return &w->relay->ingress.names;
}

static void
set_route(const struct publication *pub, struct route *r)
{
	*r = (struct route){ .worker = pub->w->index };
	snprintf(r->agent, sizeof r->agent, "%s", pub->group->name);
	snprintf(r->kind, sizeof r->kind, "%s", pub->kind->name);
	snprintf(r->service, sizeof r->service, "%s", pub->service);
}

/* ---- may it? ---- */

static int
may_claim(
    const struct publication *pub, const char *host, const struct creds *c, struct errtext *why)
{
	const struct names *n = names_of(pub->w);
	char label[NAMES_LABEL_MAX + 1] = "";
	const char *owner;

	if (!names_label(n, host, label) && strchr(host, '.') == NULL)
		snprintf(label, sizeof label, "%s", host);
	owner = label[0] != '\0' ? creds_agent_of_label(c, label) : NULL;
	if (names_is_relay(n, host))
		return err_set(why, ERR_DENIED, "%s is a host of the relay itself", host);
	if (owner != NULL && strcmp(owner, pub->group->name) != 0)
		return err_set(
		    why, ERR_DENIED, "%s is kept for the agent of that name, %s", host, owner);
	if (pub->claims->random ? creds_agent_may_random(c, &pub->id)
				: creds_agent_may_host(c, &pub->id, label, host))
		return 0;
	if (pub->claims->random)
		return err_set(
		    why, ERR_DENIED, "the credentials do not allow this agent random names");
	return err_set(
	    why, ERR_DENIED, "the credentials do not allow this agent the host %s", host);
}

static int
host_check(
    const struct peer *p, const struct request *q, const struct creds *c, struct errtext *why)
{
	const struct ingress *in = &p->w->relay->ingress;
	bool tls = strcmp(q->kind, publish_tls.name) == 0;

	(void)c; /* it is asked for each host */
	if (in->http_port == 0 && in->https_port == 0)
		return err_set(
		    why, ERR_DENIED, "this relay has no web addresses (--http, --https)");
	if (tls && in->https_port == 0)
		return err_set(why, ERR_DENIED, "this relay has no TLS for the web (--https)");
	return 0;
}

/* ---- what is asked for ---- */

/* What stands for q's host: without one the agent's own label.  "": the agent has none. */
static void
asked_host(const struct group *g, const struct request *q, char out[REQUEST_HOST_MAX + 1])
{
	char label[NAMES_LABEL_MAX + 1];

	out[0] = '\0';
	if (q->host[0] != '\0')
		snprintf(out, REQUEST_HOST_MAX + 1, "%s", q->host);
	else if (names_of_agent(g->name, label))
		snprintf(out, REQUEST_HOST_MAX + 1, "%s", label);
}

static bool
host_is_at(const struct publication *pub, const struct request *q)
{
	char asked[REQUEST_HOST_MAX + 1];

	if (q->random || pub->claims->random)
		return q->random == pub->claims->random;
	asked_host(pub->group, q, asked);
	return strcmp(asked, pub->claims->asked) == 0;
}

static bool
has_host(const struct publication *pub, const char *host)
{
	char other[REQUEST_HOST_MAX + 1];

	for (size_t i = 0; names_each(names_of(pub->w), pub->claims->asked, i, other); i++)
		if (strcmp(host, other) == 0)
			return true;
	return false;
}

/* One of g's other than this publication that has the host; NULL: none. */
static struct publication *
other_with(const struct group *g, const struct publication * not, const char *host)
{
	struct publication *pub;

	TAILQ_FOREACH (pub, &g->published, link)
		if (pub != not &&pub->claims != NULL && has_host(pub, host))
			return pub;
	return NULL;
}

static void
host_clear_way(struct group *g, const struct request *q)
{
	char asked[REQUEST_HOST_MAX + 1], host[REQUEST_HOST_MAX + 1];
	struct publication *pub, *next;

	asked_host(g, q, asked);
	for (pub = TAILQ_FIRST(&g->published); pub != NULL && !q->random; pub = next) {
		bool same = pub->claims != NULL && pub->state == PUBLICATION_AWAY &&
			    strcmp(pub->service, q->service) != 0;

		next = TAILQ_NEXT(pub, link);
		for (size_t i = 0; same && names_each(names_of(pub->w), asked, i, host); i++)
			if (has_host(pub, host)) {
				publication_end(
				    pub, "its agent wants the host for another service");
				break;
			}
	}
}

/* ---- claiming ---- */

static int
claim_one(struct publication *pub, const char *host, const struct creds *c, struct errtext *why)
{
	struct route r, holder;
	int rc = may_claim(pub, host, c, why);

	if (rc != 0)
		return rc;
	set_route(pub, &r);
	rc = routes_claim(pub->w->relay->ingress.routes, host, &r, &holder);
	if (rc == ERR_EXISTS)
		return err_set(why, rc, "%s belongs to another service%s", host,
		    strcmp(holder.agent, r.agent) == 0 ? " of this agent" : "");
	return rc == 0 ? 0 : err_set(why, rc, "out of memory");
}

static int
claim_all(struct publication *pub, const struct creds *c, struct errtext *why)
{
	char host[REQUEST_HOST_MAX + 1];
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && names_each(names_of(pub->w), pub->claims->asked, i, host); i++)
		r = claim_one(pub, host, c, why);
	if (r == 0 && i == 0)
		return err_set(why, ERR_DENIED,
		    "this relay has no --domain for the label %s: ask for a whole name",
		    pub->claims->asked);
	return r;
}

static void
release_all(struct publication *pub)
{
	char host[REQUEST_HOST_MAX + 1];
	struct route r;

	set_route(pub, &r);
	for (size_t i = 0; names_each(names_of(pub->w), pub->claims->asked, i, host); i++)
		/* What the same service is to have from now on stays. */
		if (other_with(pub->group, pub, host) == NULL)
			routes_release(pub->w->relay->ingress.routes, host, &r);
}

/* The one that it had, as the agent says, if nobody else has it by now. */
static bool
claim_had(struct publication *pub, const char *had, const struct creds *c)
{
	struct errtext why;
	size_t len = strcspn(had, ".");

	snprintf(pub->claims->asked, sizeof pub->claims->asked, "%.*s", (int)len, had);
	if (!names_is_random(pub->claims->asked))
		return false;
	if (claim_all(pub, c, &why) == 0)
		return true;
	release_all(pub);
	return false;
}

static int
claim_random(struct publication *pub, const char *had, const struct creds *c, struct errtext *why)
{
	struct names *n = names_of(pub->w);
	char label[NAMES_RANDOM_LEN + 1];

	if (names_random(n, pub->group->name, pub->service, label) != 0)
		return err_set(why, ERR_NOMEM, "out of memory");
	if (!n->has_key && claim_had(pub, had, c))
		return 0;
	snprintf(pub->claims->asked, sizeof pub->claims->asked, "%s", label);
	return claim_all(pub, c, why);
}

static int
claim(struct publication *pub, const struct request *q, const struct creds *c, struct errtext *why)
{
	pub->claims->random = q->random;
	if (q->random)
		return claim_random(pub, q->had_host, c, why);
	asked_host(pub->group, q, pub->claims->asked);
	if (pub->claims->asked[0] == '\0')
		return err_set(why, ERR_DENIED,
		    "the agent's name is no label of a host: ask for one, as in HOST=TARGET");
	return claim_all(pub, c, why);
}

/* ---- the kinds ---- */

static int
host_open(
    struct publication *pub, const struct request *q, const struct creds *c, struct errtext *why)
{
	const struct ingress *in = &pub->w->relay->ingress;
	int r;

	if ((pub->claims = mem_zalloc(sizeof *pub->claims)) == NULL ||
	    publication_set_rules(pub, q) != 0)
		return err_set(why, ERR_NOMEM, "out of memory");
	if ((r = claim(pub, q, c, why)) != 0)
		return r;
	if (names_url(&in->names, pub->claims->asked, in->http_port, in->https_port,
		pub->kind == &publish_tls, pub->public) != 0)
		return err_set(why, ERR_DENIED, "this relay has no address for it");
	publication_set_name(pub);
	return 0;
}

static bool
host_may_stay(const struct publication *pub, const struct creds *c)
{
	char host[REQUEST_HOST_MAX + 1];
	struct errtext why;

	for (size_t i = 0; names_each(names_of(pub->w), pub->claims->asked, i, host); i++)
		if (may_claim(pub, host, c, &why) != 0)
			return false;
	return true;
}

static void
host_close(struct publication *pub)
{
	exchanges_leave(pub);
	visitors_leave(pub);
	if (pub->claims == NULL)
		return;
	release_all(pub);
	mem_free(pub->claims);
	pub->claims = NULL;
}

static void
host_tell(const struct publication *pub, struct request_reply *a)
{
	names_public(names_of(pub->w), pub->claims->asked, a->host);
}

const struct publication_kind publish_http = {
	.name = "http",
	.check = host_check,
	.is_at = host_is_at,
	.clear_way = host_clear_way,
	.open = host_open,
	.may_stay = host_may_stay,
	.close = host_close,
	.joined = exchanges_go,
	.tell = host_tell,
};

const struct publication_kind publish_tls = {
	.name = "tls",
	.check = host_check,
	.is_at = host_is_at,
	.clear_way = host_clear_way,
	.open = host_open,
	.may_stay = host_may_stay,
	.close = host_close,
	.joined = visitors_go,
	.tell = host_tell,
};

/* ---- finding them ---- */

/* Is it the label of an agent that we know, but not this one? */
static bool
is_kept(struct relay *r, const char *label, const char *but, bool *there)
{
	struct creds *c = relay_creds(r);
	const char *owner = creds_agent_of_label(c, label);
	bool kept = owner != NULL && (but == NULL || strcmp(owner, but) != 0);

	*there = kept && routes_has_agent(r->ingress.routes, owner);
	creds_unref(c);
	return kept;
}

/* A wildcard does not cover a label that is kept for an agent. */
static enum publish_route
by_wildcard(struct relay *r, const char *host, const struct route *out)
{
	char label[NAMES_LABEL_MAX + 1];
	bool there;

	if (!names_label(&r->ingress.names, host, label) || !is_kept(r, label, out->agent, &there))
		return ROUTE_FOUND;
	return there ? ROUTE_NONE : ROUTE_AWAY;
}

enum publish_route
publish_route(struct relay *r, const char *host, struct route *out)
{
	const struct ingress *in = &r->ingress;
	char label[NAMES_LABEL_MAX + 1];
	bool there;

	/* Nobody can ask for it, and no wildcard covers it. */
	if (names_is_relay(&in->names, host))
		return ROUTE_NONE;
	switch (routes_find(in->routes, host, out)) {
	case ROUTES_EXACT:
		return ROUTE_FOUND;
	case ROUTES_WILDCARD:
		return by_wildcard(r, host, out);
	case ROUTES_NONE:
		break;
	}
	if (names_first_label(&in->names, host, label)) {
		if (routes_find(in->routes, label, out) != ROUTES_NONE)
			return ROUTE_FOUND;
	} else if (!names_label(&in->names, host, label)) {
		return ROUTE_NONE;
	}
	return is_kept(r, label, NULL, &there) && !there ? ROUTE_AWAY : ROUTE_NONE;
}
