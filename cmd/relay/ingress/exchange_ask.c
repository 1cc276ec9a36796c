/* SPDX-License-Identifier: ISC */
/* exchange - whose a request is, who may ask, and asking. */
#include "cmd/relay/ingress/exchange_int.h"

#include <string.h>
#include <strings.h>

#include "cmd/relay/group.h"
#include "cmd/relay/ingress/acme.h"
#include "cmd/relay/ingress/publish_host.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/tls/f_tls.h"
#include "proto/request_web.h"

/* ---- whose it is ---- */

static const struct refusal away = { 503, "the agent of this host is not connected" };

static void
will_refuse(struct exchange *x, int status, const char *text, const char *why)
{
	x->refusal = (struct refusal){ status, text };
	exchange_set_why(x, why);
}

/*
 * RFC 9110 15.5.20: on another connection the visitor's program gets the certificate of this host.
 * The host of an address has none.
 */
static bool
is_misdirected(const struct exchange *x)
{
	return x->tls && !x->site.is_literal && x->site.host[0] != '\0' &&
	       !f_tls_covers(x->f, x->site.host);
}

static void
will_misdirect(struct exchange *x, const char *why)
{
	will_refuse(x, 421, "this connection is not for that host", why);
}

/*
 * --https-only, unless it came by https to a proxy of ours.  An authority that looks for a
 * challenge's file comes by http, and whose file it is only its owner knows.
 */
static bool
is_to_be_https(const struct exchange *x)
{
	const char *proto = x->trusted ? http_header(x->head, "X-Forwarded-Proto") : NULL;

	return exchange_opts(x)->https_only && !x->tls && acme_token(x->site.target) == NULL &&
	       (proto == NULL || strcasecmp(proto, "https") != 0);
}

/* Whose is it? */
void
exchange_route(struct exchange *x)
{
	struct errtext why = { "" };
	int r = http_site(x->head, &x->site, &why);
	enum publish_route found;
	uint64_t hops;

	if (r == 0 && !fields_connection_is_honest(x->head))
		r = err_set(&why, ERR_PROTO, "Connection names what must not go");
	if (r == 0 && fields_hops(x->head, &hops) == ERR_PROTO)
		r = err_set(&why, ERR_PROTO, "an invalid Max-Forwards");
	if (r != 0) {
		x->keep = false;
		will_refuse(x, r == ERR_DENIED ? 501 : 400, "the request is malformed", why.s);
		return;
	}
	if (atomic_load(&x->w->relay->draining)) {
		will_refuse(x, 503, "the relay is shutting down", "shutting down");
		return;
	}
	if (is_misdirected(x)) {
		will_misdirect(x, "not a host of the certificate");
		return;
	}
	found =
	    x->site.is_literal ? ROUTE_NONE : publish_route(x->w->relay, x->site.host, &x->route);
	if (found == ROUTE_NONE) {
		will_refuse(x, 404, "there is no such host", "no such host");
		return;
	}
	if (is_to_be_https(x)) {
		will_refuse(x, 308, "this host is reached by https", "--https-only");
		return;
	}
	if (found == ROUTE_AWAY) {
		will_refuse(x, 503, away.text, "the agent is away");
		return;
	}
	if (strcmp(x->route.kind, "http") == 0)
		return;
	/* The service has a certificate of its own, and is found by the name in the handshake. */
	if (x->tls)
		will_misdirect(x, "published with TLS of its own");
	else
		will_refuse(x, 404, "there is no such host", "published with TLS only");
}

/* ---- failures of the backend ---- */

static const struct refusal failures[] = {
	[BACKEND_REFUSED] = { 502, "the service cannot be reached" },
	[BACKEND_LOST] = { 503, "the connection to the agent was lost" },
	[BACKEND_CUT] = { 502, "the service ended the connection before its answer was whole" },
	[BACKEND_UNREACHED] = { 504, "the service does not take the connection in time" },
	[BACKEND_SILENT] = { 504, "the service does not answer in time" },
	[BACKEND_STALLED] = { 504, "the service's answer stands still" },
	[BACKEND_MALFORMED] = { 502, "the service's answer is no valid HTTP" },
	[BACKEND_HEAD_TOO_LARGE] = { 502, "the head of the service's answer is too large" },
	[BACKEND_LIMITED] = { 429, "too many requests at once from this address" },
	[BACKEND_FULL] = { 503, "the agent has as many connections as it may have" },
	[BACKEND_NO_MEMORY] = { 503, "the relay is out of memory" },
};

static bool
is_safe(const struct exchange *x)
{
	const char *m = http_method(x->head);

	return http_body(x->head) == HTTP_BODY_NONE &&
	       (strcmp(m, "GET") == 0 || strcmp(m, "HEAD") == 0 || strcmp(m, "OPTIONS") == 0);
}

/* RFC 9110 9.2.2: once more, if nobody can have acted on it, or acting twice does no harm. */
static bool
may_try_again(const struct exchange *x, enum backend_failure f)
{
	return x->state == EXCHANGE_ASKED && x->may_again && !x->was_again &&
	       (f == BACKEND_CUT || f == BACKEND_LOST) && backend_was_used(x->b) &&
	       (is_safe(x) || backend_is_untouched(x->b));
}

static void ask(struct exchange *x, struct peer *agent);

void
exchange_failed(void *arg, enum backend_failure f, const char *why)
{
	struct exchange *x = arg;
	struct peer *agent = x->pub->group != NULL ? group_agent(x->pub->group) : NULL;

	if (agent == NULL || !may_try_again(x, f)) {
		exchange_refuse(x, failures[f], why);
		return;
	}
	log_debug("request %s: once more: %s", x->id, why);
	exchange_close_backend(x);
	x->was_again = true;
	ask(x, agent);
}

/* ---- asking ---- */

static int
send_request(struct exchange *x)
{
	const char *host = http_header(x->head, "Host");
	const struct fields_origin origin = { x->peer, &x->visitor, x->tls,
		host != NULL ? host : x->site.host, x->trusted };
	const struct heads_request q = { x->head, &x->site, &origin, x->rules, x->id };
	struct bufq again = { 0 };
	struct http_build b;
	int r;

	heads_request(&b, &q);
	r = backend_begin(x->b, &b, http_body(x->head), http_content_length(x->head));
	if (r == 0 && x->again.len > 0) {
		r = bufq_move(&again, &x->again, x->again.len);
		if (r == 0)
			r = backend_body(x->b, &again);
		bufq_fini(&again);
	}
	if (r == 0 && x->body_done)
		r = backend_end(x->b, &x->body);
	return r;
}

static const struct refusal large_head = { 431, "the head of the request is too large" };

static void
ask(struct exchange *x, struct peer *agent)
{
	bool asks_upgrade = heads_upgrade(x->head, x->rules, x->upgrade);
	const struct backend_request q = {
		.pub = x->pub,
		.agent = agent,
		.payer = x->pass.account,
		.visitor = &x->visitor,
		.to = x->to,
		.proxy = x->pub->rules.proxy,
		.connect_ms =
		    x->rules->connect_ms != 0 ? x->rules->connect_ms : EXCHANGE_CONNECT_MS,
		.timeout_ms =
		    x->rules->timeout_ms != 0 ? x->rules->timeout_ms : exchange_opts(x)->request_ms,
		.stall_ms = x->w->relay->opts.answer_ms,
		.is_head = x->is_head,
		.upgrade = asks_upgrade ? x->upgrade : NULL,
		.fresh = x->was_again,
		.once = x->rules->no_pool || asks_upgrade,
	};
	enum backend_failure f = BACKEND_NO_MEMORY;
	struct errtext why = { "" };
	int r;

	if (x->state == EXCHANGE_WAITING)
		TAILQ_REMOVE(&x->pub->waiting, x, waiting);
	if (x->state != EXCHANGE_ASKED)
		exchange_set_state(x, EXCHANGE_ASKED);
	/* Of the one before, if this is the second. */
	x->paused = false;
	x->b = backend_open(x->w->loop, &q, &exchange_backend_user, x, &f, &why);
	if (x->b == NULL) {
		exchange_refuse(x, failures[f], why.s);
		return;
	}
	x->may_again = !x->was_again && backend_was_used(x->b);
	r = send_request(x);
	if (r != 0) {
		exchange_refuse(x, r == ERR_NOMEM ? exchange_no_memory : large_head, err_str(r));
		return;
	}
	x->body_ms = exchange_now_ms(x);
	if (x->body_done)
		exchange_watch_visitor(x);
	else
		exchange_move_body(x);
	if (x->state != EXCHANGE_OVER)
		exchange_arrange(x);
}

/* ---- who may ask ---- */

static const struct refusal doors[DOOR_ANSWERS] = {
	[DOOR_DENIED] = { 403, "this address may not use the service" },
	[DOOR_CONNECTIONS] = { 429, "the service has as many requests as it may have" },
	[DOOR_RATE] = { 429, "too many requests" },
	[DOOR_ADDRESS] = { 429, "too many requests from this address" },
	[DOOR_NO_MEMORY] = { 503, "the relay is out of memory" },
};

/* The time taken does not depend on whose name or password is right. */
static bool
may_use(const struct exchange *x)
{
	char text[FIELDS_BASIC_MAX];
	const char *user, *password;
	uint8_t digest[HASH_SHA256_LEN];
	bool yes = x->rules->n_users == 0;

	if (yes || fields_basic(x->head, text, &user, &password) != 0)
		return yes;
	if (hash_sha256(password, strlen(password), digest) == 0)
		for (size_t i = 0; i < x->rules->n_users; i++) {
			const struct request_user *u = &x->rules->users[i];
			bool same = hash_equal(u->digest, digest, sizeof digest);

			yes = yes || (same && strcmp(u->name, user) == 0);
		}
	mem_wipe(text, sizeof text);
	return yes;
}

static bool
has_waiting_place(const struct exchange *x)
{
	const struct exchange *other;
	unsigned all = 0, own = 0;

	TAILQ_FOREACH (other, &x->pub->waiting, waiting) {
		all++;
		own += other->pass.account == x->pass.account;
	}
	return all < VISITOR_WAITING_MAX && own < VISITOR_WAITING_OF_ONE;
}

void
exchange_leave_publication(struct exchange *x)
{
	if (x->pub == NULL)
		return;
	if (x->state == EXCHANGE_WAITING)
		TAILQ_REMOVE(&x->pub->waiting, x, waiting);
	x->pub->n_visitors--;
	publication_unref(x->pub);
	x->pub = NULL;
}

static void
wait_for_agent(struct exchange *x)
{
	if (!has_waiting_place(x)) {
		exchange_refuse(x, away, "the agent is away, and others wait for it");
		return;
	}
	exchange_set_state(x, EXCHANGE_WAITING);
	TAILQ_INSERT_TAIL(&x->pub->waiting, x, waiting);
	x->until_ms = exchange_now_ms(x) + VISITOR_WAIT_MS;
	exchange_watch_visitor(x);
	exchange_arrange(x);
}

/* RFC 9110 7.6.2: it asks for the last server that it may reach, and that are we. */
static bool
is_for_us(const struct exchange *x)
{
	uint64_t hops;

	return fields_hops(x->head, &hops) == 0 && hops == 0;
}

static void
answer_for_us(struct exchange *x)
{
	/* What a browser sends along must not come back to a script (RFC 9110 9.3.8). */
	static const struct refusal no_trace = { 501, "the relay shows no request" };

	if (strcmp(http_method(x->head), "TRACE") == 0)
		exchange_refuse(x, no_trace, "TRACE to the relay");
	else
		exchange_answer_text(x, "", 0);
}

static void
carry(struct exchange *x)
{
	static const struct refusal who = { 401, "this service asks for a name and a password" };
	enum door_answer a;
	struct peer *agent;

	if (x->refusal.status != 0) {
		exchange_refuse(x, x->refusal, x->why);
		return;
	}
	x->pub = publish_find(x->w, &x->route);
	if (x->pub == NULL) {
		exchange_refuse(x, away, "its service has just gone");
		return;
	}
	publication_ref(x->pub);
	x->pub->n_visitors++;
	x->rules = request_web_ref(x->pub->web);
	a = door_enter(&x->pass, x->pub, &x->visitor);
	agent = group_agent(x->pub->group);
	if (a != DOOR_IN)
		exchange_refuse(x, doors[a], door_words(a));
	else if (!may_use(x))
		exchange_refuse(x, who, "no or wrong name and password");
	else if (is_for_us(x))
		answer_for_us(x);
	else if (agent != NULL)
		ask(x, agent);
	else
		wait_for_agent(x);
}

/* ---- challenges, whatever the host is ---- */

static void
on_challenge(void *arg, const char *text, size_t n)
{
	struct exchange *x = arg;

	x->challenge = NULL;
	if (text == NULL)
		carry(x);
	else
		exchange_answer_text(x, text, n);
}

/* Is there a file to be looked for?  Then the answer comes later. */
static bool
look_up_challenge(struct exchange *x)
{
	static const struct refusal busy = { 503, "too many challenges at once" };
	struct acme *a = x->w->relay->ingress.acme;
	const char *m = http_method(x->head), *token;

	if (a == NULL || x->refusal.status == 400 || x->refusal.status == 501 ||
	    (strcmp(m, "GET") != 0 && strcmp(m, "HEAD") != 0) ||
	    (token = acme_token(x->site.target)) == NULL)
		return false;
	x->challenge = acme_ask(a, x->w->loop, token, on_challenge, x);
	if (x->challenge == NULL) {
		exchange_refuse(x, busy, "too many challenges at once");
		return true;
	}
	x->until_ms = exchange_now_ms(x) + ACME_WAIT_MS;
	exchange_arrange(x);
	return true;
}

void
exchange_begin(struct exchange *x)
{
	atomic_fetch_add(&x->w->relay->counts.visitors, 1);
	x->counted = true;
	if (!look_up_challenge(x))
		carry(x);
}

void
exchanges_go(struct publication *pub)
{
	struct exchange *x, *next;
	struct peer *agent;

	for (x = TAILQ_FIRST(&pub->waiting); x != NULL; x = next) {
		next = TAILQ_NEXT(x, waiting);
		if ((agent = group_agent(pub->group)) != NULL)
			ask(x, agent);
	}
}

void
exchanges_leave(struct publication *pub)
{
	struct exchange *x;

	while ((x = TAILQ_FIRST(&pub->waiting)) != NULL)
		exchange_refuse(x, away, "the service is no longer published");
}

void
exchange_away(struct exchange *x)
{
	exchange_refuse(x, away, "the agent has not come back");
}
