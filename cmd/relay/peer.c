/* SPDX-License-Identifier: ISC */
/* peer - an agent or a client of the relay. */
#include "cmd/relay/peer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cmd/relay/admit.h"
#include "cmd/relay/bridge.h"
#include "cmd/relay/group.h"
#include "cmd/relay/ingress/publish.h"
#include "cmd/relay/move.h"
#include "cmd/relay/registry.h"
#include "cmd/relay/rivals.h"
#include "lib/base/clock.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/base/version.h"

/* Of the time that somebody is not read for opening too fast; then it is looked at again. */
#define SLOW_MAX_MS 1000
#define REVOKED "the credentials were revoked or have expired"

/* A peer with what only its login needs. */
struct login {
	/* first: a login becomes the peer it was all along */
	struct peer p;
	void (*settled)(void *arg);
	void *settled_arg;
	struct admit admit;
	/* What it has proved, if it has proved a key. */
	uint8_t key[KEYS_POINT_LEN];
	bool has_key;
	struct registry_ask ask;
	struct move move;
	/*
	 * Of PEER_PROBING: since when its rivals are asked, their last word before that, and when
	 * they are looked at.
	 */
	uint64_t probe_ms, heard_us;
	struct timer probe;
	/* Its HELLO is on the stack; verdict is what that will be answered. */
	bool in_hello;
	enum session_verdict verdict;
};

static const char *const state_name[] = { "new", "asked", "binding", "moving", "probing", "in",
	"leaving" };

/* From the row's state to the column's. */
static const bool state_can[PEER_STATES][PEER_STATES] = {
	[PEER_NEW] = { [PEER_ASKED] = true, [PEER_LEAVING] = true },
	[PEER_ASKED] = { [PEER_BINDING] = true, [PEER_LEAVING] = true },
	[PEER_BINDING] = { [PEER_MOVING] = true,
	    [PEER_PROBING] = true,
	    [PEER_IN] = true,
	    [PEER_LEAVING] = true },
	[PEER_MOVING] = { [PEER_PROBING] = true, [PEER_IN] = true, [PEER_LEAVING] = true },
	[PEER_PROBING] = { [PEER_IN] = true, [PEER_LEAVING] = true },
	[PEER_IN] = { [PEER_LEAVING] = true },
};

static const struct carrier_user carrier_user;

static void go_on_reading(struct peer *p);

static void
set_state(struct peer *p, enum peer_state next)
{
	assert(state_can[p->state][next]);
	log_debug(
	    "peer %s from %s: %s -> %s", p->name, p->from, state_name[p->state], state_name[next]);
	p->state = next;
}

static void
login_settled(struct peer *p)
{
	struct login *lg = (struct login *)p;
	void (*fn)(void *arg) = lg->settled;

	lg->settled = NULL;
	if (fn != NULL)
		fn(lg->settled_arg);
}

/* ---- the end ---- */

static void
peer_dispose(void *arg)
{
	mem_free(arg);
}

static atomic_uint *
peer_count(struct peer *p)
{
	struct relay_counts *n = &p->w->relay->counts;

	return p->role == CTL_AGENT ? &n->agents : &n->clients;
}

void
peer_uncount(struct peer *p)
{
	if (p->counted) {
		atomic_fetch_sub(peer_count(p), 1);
		account_leave(p->account);
	}
	p->counted = false;
}

/* What it waits for is not wanted any more. */
static void
stop_asking(struct peer *p)
{
	struct login *lg = (struct login *)p;
	struct relay *r = p->w->relay;

	if (p->state == PEER_ASKED)
		r->admitter->cancel(r, &lg->admit);
	else if (p->state == PEER_BINDING)
		registry_cancel(r->registry, &lg->ask);
	else if (p->state == PEER_MOVING)
		move_cancel(&lg->move);
	else if (p->state == PEER_PROBING)
		timer_fini(&lg->probe);
}

void
peer_drop(struct peer *p, uint32_t code, const char *text)
{
	stop_asking(p);
	login_settled(p);
	group_leave(p);
	timer_fini(&p->slow);
	if (p->bound)
		registry_release(p->w->relay->registry, p->name);
	peer_uncount(p);
	if (p->listed)
		TAILQ_REMOVE(&p->w->peers, p, link);
	carrier_free(p->carrier, code, text);
	party_put(p->w, p->party);
	if (p->account != NULL)
		account_put(p->w->relay->accounts, p->account, loop_now_ms(p->w->loop));
	loop_bury(p->w->loop, &p->grave, peer_dispose, p);
}

void
peer_close(struct peer *p, uint32_t code, const char *text)
{
	bool waiting = p->state != PEER_NEW && p->state != PEER_IN;

	if (p->state == PEER_LEAVING)
		return;
	stop_asking(p);
	set_state(p, PEER_LEAVING);
	session_goaway(carrier_session(p->carrier), code, text);
	session_abandon(carrier_session(p->carrier), code, text);
	group_leave(p);
	carrier_finish(p->carrier);
	go_on_reading(p); /* until its goodbye */
	/* The goodbye of one whose input was kept is waited for, and must be read. */
	if (waiting)
		carrier_resume(p->carrier);
}

void
peer_drain(struct peer *p)
{
	session_goaway(carrier_session(p->carrier), CODE_OK, "the relay is shutting down");
	if (carrier_session(p->carrier)->n_streams == 0)
		carrier_finish(p->carrier);
}

void
peer_drop_all(struct worker *w)
{
	struct peer *p;

	while ((p = TAILQ_FIRST(&w->peers)) != NULL)
		peer_drop(p, CODE_GONE, "the relay is shutting down");
}

/* ---- login ---- */

static enum session_verdict
refuse(struct peer *p, uint32_t code, const char *text)
{
	set_state(p, PEER_LEAVING);
	session_goaway(carrier_session(p->carrier), code, text);
	return SESSION_REFUSED;
}

/* How often is its own matter, as far as it is known, or its address's. */
static void
log_denied(const struct peer *p, const char *why)
{
	static const struct creds_id nobody = { .kind = CREDS_NOBODY };
	struct accounts *t = p->w->relay->accounts;
	uint64_t now_ms = loop_now_ms(p->w->loop);
	struct account *a =
	    p->account != NULL ? p->account : accounts_get(t, &nobody, p->address, NULL);

	/* Out of memory. */
	if (a == NULL)
		return;
	log_limited(account_refused_log(a), now_ms, LOG_LEVEL_WARN, "%s %s from %s refused: %s",
	    ctl_role_str(p->role), p->name, p->from, why);
	if (a != p->account)
		account_put(t, a, now_ms);
}

/*
 * Reserve a place before there is one more.  Returns NULL, or which option says that there is none.
 */
static const char *
reserve_place(struct peer *p)
{
	atomic_uint *n = peer_count(p);
	const struct relay_opts *o = &p->w->relay->opts;
	bool agent = p->role == CTL_AGENT;

	if (!account_enter(p->account))
		return "--identity-sessions";
	if (atomic_fetch_add(n, 1) < (agent ? o->max_agents : o->max_clients)) {
		p->counted = true;
		return NULL;
	}
	atomic_fetch_sub(n, 1);
	account_leave(p->account);
	return agent ? "--max-agents" : "--max-clients";
}

static enum session_verdict
refuse_full(struct peer *p, const char *option)
{
	const char *role = p->role == CTL_AGENT ? "agent" : "client";
	char why[80];

	snprintf(why, sizeof why, "too many %ss (%s)", role, option);
	log_denied(p, why);
	if (strcmp(option, "--identity-sessions") == 0)
		snprintf(why, sizeof why, "this identity has as many sessions as it may have");
	else
		snprintf(why, sizeof why, "the relay has no room for another %s", role);
	return refuse(p, CODE_LIMIT, why);
}

/* Do the credentials of this moment know who was let in by those of an earlier one? */
static bool
is_still_known(const struct peer *p)
{
	struct creds *c = relay_creds(p->w->relay);
	bool yes = c == NULL || creds_still_valid(c, &p->id, clock_wall_s());

	creds_unref(c);
	return yes;
}

static void
log_revoked(const struct peer *p)
{
	log_warnx("%s %s from %s: credentials revoked, disconnected", ctl_role_str(p->role),
	    p->name, p->from);
}

static enum session_verdict peer_arrive(struct peer *p);

/*
 * peer_arrive of one that was in no worker's list meanwhile: what all peers were told, it missed.
 */
static enum session_verdict
arrive_late(struct peer *p)
{
	enum session_verdict v;

	if (!is_still_known(p)) {
		log_revoked(p);
		return refuse(p, CODE_REVOKED, REVOKED);
	}
	v = peer_arrive(p);
	if (v == SESSION_GO_ON && atomic_load(&p->w->relay->draining))
		peer_drain(p);
	return v;
}

/* The login is decided: in its HELLO's answer, or later. */
static void
decided(struct peer *p, enum session_verdict v)
{
	struct login *lg = (struct login *)p;

	lg->verdict = v;
	if (lg->in_hello || v == SESSION_HOLD)
		return;
	if (v != SESSION_GO_ON)
		carrier_finish(p->carrier);
	/* In every case: the goodbye of one that was refused is waited for, and must be read. */
	carrier_resume(p->carrier);
}

/* ---- the way to the worker that owns the name ---- */

static void
on_leave(void *arg)
{
	struct peer *p = arg;

	carrier_detach(p->carrier);
	TAILQ_REMOVE(&p->w->peers, p, link);
	p->listed = false;
	login_settled(p);
}

static void
on_lost(void *arg, struct worker *w)
{
	struct peer *p = arg;

	p->w = w;
	/* Only so that it can be freed on a loop. */
	IGNORE_RESULT(carrier_attach(p->carrier, w->loop));
	peer_drop(p, CODE_GONE, "the relay is shutting down, or out of memory");
}

static void
on_arrive(void *arg, struct worker *w)
{
	struct peer *p = arg;

	p->w = w;
	/* Before it is judged: one that is refused has an owner until it is gone, too. */
	TAILQ_INSERT_TAIL(&w->peers, p, link);
	p->listed = true;
	if (carrier_attach(p->carrier, w->loop) != 0)
		peer_drop(p, CODE_INTERNAL, "out of memory");
	else
		decided(p, arrive_late(p));
}

static const struct move_user move_user = { on_leave, on_arrive, on_lost };

/* ---- the questions ---- */

static void
on_bound(void *arg, int worker)
{
	struct peer *p = arg;
	struct login *lg = (struct login *)p;

	if (worker < 0) {
		peer_uncount(p);
		decided(p, refuse(p, CODE_INTERNAL, "out of memory"));
		return;
	}
	p->bound = true;
	if (worker == p->w->index) {
		decided(p, lg->in_hello ? peer_arrive(p) : arrive_late(p));
		return;
	}
	set_state(p, PEER_MOVING);
	move_start(&lg->move, p->w, &p->w->relay->workers[worker]);
}

static enum session_verdict
refuse_login(struct peer *p, int err)
{
	const struct login *lg = (const struct login *)p;
	const char *wrong = lg->has_key ? "wrong name or key" : "wrong name or secret";

	log_denied(p, err == ERR_AGAIN     ? "the credentials cannot be checked now"
		      : err == ERR_TIMEOUT ? "expired"
					   : wrong);
	if (err == ERR_AGAIN)
		return refuse(p, CODE_INTERNAL, "the credentials cannot be checked now");
	return refuse(p, CODE_DENIED, err == ERR_TIMEOUT ? "the credentials have expired" : wrong);
}

static bool
find_account(struct peer *p)
{
	struct relay *r = p->w->relay;
	struct creds *c = relay_creds(r);

	p->account = accounts_get(r->accounts, &p->id, p->address, c);
	creds_unref(c);
	if (p->account != NULL)
		carrier_session(p->carrier)->budget = account_budget(p->account);
	return p->account != NULL;
}

static void
on_admitted(void *arg, int err, const struct creds_id *id)
{
	struct peer *p = arg;
	struct login *lg = (struct login *)p;
	const char *full;

	if (err != 0) {
		decided(p, refuse_login(p, err));
		return;
	}
	p->id = *id;
	if (!find_account(p)) {
		decided(p, refuse(p, CODE_INTERNAL, "out of memory"));
		return;
	}
	if (atomic_load(&p->w->relay->draining)) {
		decided(p, refuse(p, CODE_OK, "the relay is shutting down"));
		return;
	}
	/*
	 * An agent may be about to take the place of its own stale session: that shows when it
	 * arrives.
	 */
	full = reserve_place(p);
	if (full != NULL && p->role != CTL_AGENT) {
		decided(p, refuse_full(p, full));
		return;
	}
	set_state(p, PEER_BINDING);
	lg->ask = (struct registry_ask){ on_bound, p };
	registry_bind(p->w->relay->registry, &lg->ask, p->name);
}

static void
take_hello(struct peer *p, const struct ctl_hello *h)
{
	p->role = h->role;
	snprintf(p->name, sizeof p->name, "%s", h->name);
	memcpy(p->instance, h->instance, sizeof p->instance);
}

void
peer_login(struct peer *p, const struct ctl_hello *h, const struct creds_id *id)
{
	take_hello(p, h);
	set_state(p, PEER_ASKED);
	on_admitted(p, 0, id);
}

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct peer *p = arg;
	struct login *lg = (struct login *)p;
	struct relay *r = p->w->relay;

	if (!ctl_hello_may_log_in(h))
		return refuse(p, CODE_PROTOCOL, "neither an agent nor a client, or no valid name");
	take_hello(p, h);
	lg->in_hello = true;
	lg->verdict = SESSION_HOLD;
	set_state(p, PEER_ASKED);
	lg->admit = (struct admit){ on_admitted, p, lg->has_key ? lg->key : NULL };
	r->admitter->ask(r, &lg->admit, h);
	lg->in_hello = false;
	return lg->verdict;
}

/* ---- arrival at the worker that owns the name ---- */

static void
on_probe(void *arg)
{
	struct peer *p = arg;
	struct login *lg = (struct login *)p;

	if (rivals_answered(p, lg->heard_us)) {
		timer_fini(&lg->probe);
		log_denied(p, RIVALS_LIVE);
		decided(p, refuse(p, CODE_LIMIT, RIVALS_LIVE));
	} else if (loop_now_ms(p->w->loop) < lg->probe_ms + RIVALS_WAIT_MS) {
		timer_set(&lg->probe, RIVALS_POLL_MS);
	} else {
		timer_fini(&lg->probe);
		decided(p, arrive_late(p));
	}
}

/* Those that are here are asked whether they live, and so long it waits. */
static enum session_verdict
probe(struct peer *p)
{
	struct login *lg = (struct login *)p;

	if (timer_init(&lg->probe, p->w->loop, on_probe, p) != 0)
		return refuse(p, CODE_INTERNAL, "out of memory");
	set_state(p, PEER_PROBING);
	lg->probe_ms = loop_now_ms(p->w->loop);
	lg->heard_us = rivals_ask(p);
	timer_set(&lg->probe, RIVALS_POLL_MS);
	return SESSION_HOLD;
}

static int
greet(struct peer *p)
{
	struct ctl_hello h = { .version = CTL_VERSION,
		.role = CTL_RELAY,
		.keepalive_ms = (uint32_t)p->w->relay->opts.keepalive_ms,
		.abilities = CTL_CAN_PUBLISH };

	snprintf(h.software, sizeof h.software, "tunnel/%s", VERSION);
	memcpy(h.instance, p->w->relay->instance, sizeof h.instance);
	return session_greet(carrier_session(p->carrier), &h);
}

static enum session_verdict
peer_arrive(struct peer *p)
{
	struct group *g = group_get(p->w, p->name);
	const char *why = NULL;

	if (g == NULL)
		return refuse(p, CODE_INTERNAL, "out of memory");
	if (p->role == CTL_AGENT && p->state != PEER_PROBING && rivals_must_be_asked(p, g))
		return probe(p);
	if (p->role == CTL_AGENT && (why = rivals_displace(p, g)) != NULL) {
		log_denied(p, why);
		return refuse(p, CODE_LIMIT, why);
	}
	g = group_get(p->w, p->name);
	if (g == NULL)
		return refuse(p, CODE_INTERNAL, "out of memory");
	if (!p->counted && (why = reserve_place(p)) != NULL) {
		group_free_empty(p->w, g);
		return refuse_full(p, why);
	}
	if (p->role == CTL_CONNECT)
		p->party = party_get(p->w, p->account, p->name);
	if ((p->role == CTL_CONNECT && p->party == NULL) || greet(p) != 0) {
		group_free_empty(p->w, g); /* it may have been made for this peer */
		return refuse(p, CODE_INTERNAL, "out of memory");
	}
	group_join(g, p);
	set_state(p, PEER_IN);
	carrier_set_message_max(p->carrier, p->message_max);
	p->since_ms = loop_now_ms(p->w->loop);
	log_limited(account_log(p->account), p->since_ms, LOG_LEVEL_INFO,
	    "%s %s: session opened from %s", p->role == CTL_AGENT ? "agent" : "client of", p->name,
	    p->from);
	login_settled(p);
	if (p->role == CTL_AGENT)
		publish_configured(p);
	return SESSION_GO_ON;
}

/* ---- streams ---- */

void
peer_deny(
    struct peer *p, struct stream *s, const struct ctl_open *o, uint32_t code, const char *why)
{
	char target[RELAY_TARGET_TEXT];

	log_limited(account_log(p->account), loop_now_ms(p->w->loop), LOG_LEVEL_WARN,
	    "stream %s -> %s:%s: refused: %s", p->from, p->name, relay_target_text(o, target), why);
	stream_reset(s, code, why);
}

/* ---- who opens too fast ---- */

static void
go_on_reading(struct peer *p)
{
	timer_fini(&p->slow);
	if (p->slowed)
		carrier_slow(p->carrier, false);
	p->slowed = false;
}

/* The account's other sessions count too, so there may be more to wait for than was said. */
static void
on_slow_over(void *arg)
{
	struct peer *p = arg;
	uint64_t wait_ms = account_wait_ms(p->account, loop_now_us(p->w->loop));

	if (wait_ms > 0)
		timer_set(&p->slow, wait_ms < SLOW_MAX_MS ? wait_ms : SLOW_MAX_MS);
	else
		go_on_reading(p);
}

/* One OPEN has come. */
static void
keep_to_rate(struct peer *p)
{
	uint64_t now_us = loop_now_us(p->w->loop);

	account_opened(p->account, now_us);
	if (p->slowed || account_wait_ms(p->account, now_us) == 0)
		return;
	/* Without a timer it cannot be slowed down, and is not. */
	if (timer_init(&p->slow, p->w->loop, on_slow_over, p) != 0)
		return;
	p->slowed = true;
	carrier_slow(p->carrier, true);
	on_slow_over(p);
}

/* ---- who may open what ---- */

static bool
may_open(struct peer *p, const struct ctl_open *o)
{
	struct creds *c = relay_creds(p->w->relay);
	bool yes = c == NULL || creds_client_may(c, &p->id, p->name, o, clock_wall_s());

	creds_unref(c);
	return yes;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct peer *p = arg, *agent;

	keep_to_rate(p);
	if (p->role != CTL_CONNECT || p->group == NULL) {
		peer_deny(p, s, o, CODE_DENIED, "an agent does not open streams");
		return;
	}
	if (!may_open(p, o)) {
		peer_deny(p, s, o, CODE_DENIED, "not allowed for this client");
		return;
	}
	agent = group_agent(p->group);
	if (agent == NULL) {
		char why[CTL_AGENT_MAX + 64];

		snprintf(why, sizeof why, "agent %s is not connected", p->name);
		peer_deny(p, s, o, CODE_NOT_FOUND, why);
		return;
	}
	if (!group_leaves_room(p->group, p->party, p->w->relay->opts.max_streams)) {
		peer_deny(
		    p, s, o, CODE_LIMIT, "this identity has its share of the agent's streams");
		return;
	}
	bridge_open(p, agent, s, o);
}

/* ---- the session's other calls ---- */

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct peer *p = arg;

	log_debug("%s %s: says goodbye: %s %s", ctl_role_str(p->role), p->name,
	    frame_code_str(code), text);
	/* It waits for its streams, and these for nothing that would still come. */
	pool_drop_session(&p->w->pool, carrier_session(p->carrier));
	if (carrier_session(p->carrier)->n_streams == 0)
		carrier_finish(p->carrier);
}

static void
on_idle(void *arg)
{
	struct peer *p = arg;

	if (carrier_session(p->carrier)->going || atomic_load(&p->w->relay->draining))
		carrier_finish(p->carrier);
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct peer *p = arg;
	uint64_t now = loop_now_ms(p->w->loop), ms = now - p->since_ms;

	if (p->since_ms != 0)
		log_limited(account_log(p->account), now, LOG_LEVEL_INFO,
		    "%s %s: session from %s closed after %llu s: %s",
		    p->role == CTL_AGENT ? "agent" : "client of", p->name, p->from,
		    (unsigned long long)ms / 1000, text[0] != '\0' ? text : err_str(err));
	else
		log_debug("connection from %s ended before login: %s", p->from, text);
	peer_drop(p, CODE_LOST, "the connection to the other side was lost");
}

static void
on_open_refused(void *arg)
{
	keep_to_rate(arg);
}

/* A request is as much work as an OPEN. */
static void
on_control(void *arg, const void *body, size_t n)
{
	struct peer *p = arg;

	keep_to_rate(p);
	publish_control(p, body, n);
}

static const struct carrier_user carrier_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
	.control = on_control,
	.open_refused = on_open_refused,
};

/* ---- life ---- */

struct peer *
peer_new(struct worker *w, struct filter *f, const struct dialect *d,
    const struct dialect_from *from, const struct addr *addr, void (*settled)(void *arg), void *arg)
{
	const struct relay_opts *o = &w->relay->opts;
	struct mux_config cfg = { .keepalive_ms = (uint32_t)o->keepalive_ms,
		.streams_max = (uint32_t)o->max_streams,
		.window_max = o->max_window,
		.budget = &w->relay->memory };
	struct login *lg = mem_zalloc(sizeof *lg);
	struct session *s = dialect_accept(d, &cfg, from, loop_now_us(w->loop));

	if (lg == NULL || s == NULL)
		goto fail;
	lg->p.carrier = carrier_new(w->loop, f, s, &carrier_user, lg);
	if (lg->p.carrier == NULL)
		goto fail;
	lg->p.w = w;
	lg->p.message_max = d->message_max;
	snprintf(lg->p.from, sizeof lg->p.from, "%s", from->address);
	addr_identity(addr, lg->p.address);
	lg->has_key = from->key != NULL;
	if (lg->has_key)
		memcpy(lg->key, from->key, sizeof lg->key);
	lg->settled = settled;
	lg->settled_arg = arg;
	move_init(&lg->move, &move_user, &lg->p);
	TAILQ_INSERT_TAIL(&w->peers, &lg->p, link);
	lg->p.listed = true;
	return &lg->p;
fail:
	session_free(s);
	mem_free(lg);
	return NULL;
}

/* Other streams are judged when they are opened; in one of these more are, for as long as it is. */
static void
check_e2e(struct peer *p)
{
	static const struct ctl_open e2e = { .protocol = CTL_E2E };

	if (LIST_EMPTY(&p->e2e) || may_open(p, &e2e))
		return;
	log_warnx(
	    "client of %s from %s: end to end is no longer allowed, cut off", p->name, p->from);
	bridges_end_e2e(p, CODE_REVOKED, "end to end is no longer allowed for this client");
}

void
peers_check(struct worker *w)
{
	struct relay *r = w->relay;
	struct creds *c = relay_creds(r);
	struct peer *p;

	TAILQ_FOREACH (p, &w->peers, link) {
		if (p->state != PEER_IN)
			continue;
		account_refresh(r->accounts, p->account, c);
		if (is_still_known(p)) {
			check_e2e(p);
			continue;
		}
		log_revoked(p);
		peer_close(p, CODE_REVOKED, REVOKED);
	}
	creds_unref(c);
}
