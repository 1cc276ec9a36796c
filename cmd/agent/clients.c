/* SPDX-License-Identifier: ISC */
/*
 * clients - sessions end to end.
 *
 *     SHAKING ── the key is proved, and in the file ──> IN ── goodbye, revoked ──> LEAVING
 */
#include "cmd/agent/clients.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cmd/common/inner.h"
#include "cmd/common/watched.h"
#include "lib/base/clock.h"
#include "lib/base/hashtab.h"
#include "lib/base/log_limit.h"
#include "lib/base/ratelimit.h"
#include "lib/base/version.h"
#include "proto/creds.h"
#include "proto/creds_clients.h"

/* Lines a second about the sessions of all clients. */
#define LOG_LINES 100

enum caller_state { CALLER_SHAKING, CALLER_IN, CALLER_LEAVING, N_CALLER };

static const char *const state_name[N_CALLER] = { "SHAKING", "IN", "LEAVING" };
static const bool state_can[N_CALLER][N_CALLER] = {
	[CALLER_SHAKING] = { [CALLER_IN] = true },
	[CALLER_IN] = { [CALLER_LEAVING] = true },
};

/* What all sessions of one entry share; there while it has sessions or streams. */
struct account {
	struct clients *cl;
	char name[sizeof((struct creds_id *)NULL)->name];
	struct service_client client;
	struct budget memory, keep;
	uint64_t n_sessions, n_streams, max_sessions, max_streams;
	UT_hash_handle hh;
	struct grave grave;
};

/* One session. */
struct caller {
	struct clients *cl;
	enum caller_state state;
	struct inner *inner;
	/* The relay's number and address of it. */
	uint32_t number;
	char from[CTL_ADDR_MAX];
	/* Since the key is proved. */
	struct creds_id id;
	struct account *account;
	TAILQ_ENTRY(caller) link;
	struct grave grave;
};

TAILQ_HEAD(caller_list, caller);

struct clients {
	struct clients_config cfg;
	struct tls_keyed *tls;
	struct watched watched;
	struct creds *creds;
	/* SHAKING, the oldest first; the others. */
	struct caller_list shaking, in;
	unsigned n_shaking;
	uint64_t n_in;
	struct account *accounts;
	uint64_t next_number;
	struct ratelimit *rate;
	/* Of the handshakes that keep to it. */
	struct tls_turns *turns;
	struct log_limit log;
	bool draining;
};

static void
set_state(struct caller *ca, enum caller_state next)
{
	assert(state_can[ca->state][next]);
	log_debug(
	    "end to end from %s: %s -> %s", ca->from, state_name[ca->state], state_name[next]);
	ca->state = next;
}

/* ---- accounts ---- */

static bool
account_may_dial(void *arg, const char *host, const struct addr *a)
{
	const struct account *ac = arg;

	return creds_clients_dial(ac->cl->creds, ac->name, host, a);
}

static void
account_put(struct account *ac)
{
	if (ac->n_sessions > 0 || ac->n_streams > 0)
		return;
	HASH_DEL(ac->cl->accounts, ac);
	loop_bury(ac->cl->cfg.loop, &ac->grave, mem_free, ac);
}

static void
account_stream_ended(void *arg)
{
	struct account *ac = arg;

	ac->n_streams--;
	account_put(ac);
}

/* As the entry has it now. */
static void
account_refresh(struct account *ac, const struct creds_id *id)
{
	struct creds_limits l;

	creds_limits(ac->cl->creds, id, &l);
	ac->max_sessions = l.sessions > 0 ? l.sessions : CLIENTS_SESSIONS;
	ac->max_streams = l.streams > 0 ? l.streams : CLIENTS_STREAMS;
	ac->memory.max = l.memory > 0 ? l.memory : BUDGET_DEFAULT;
	ac->keep.max = 2 * ac->memory.max;
}

/* NULL: out of memory. */
static struct account *
account_get(struct clients *cl, const struct creds_id *id)
{
	struct account *ac;

	HASH_FIND_STR(cl->accounts, id->name, ac);
	if (ac != NULL)
		return ac;
	ac = mem_zalloc(sizeof *ac);
	if (ac == NULL)
		return NULL;
	ac->cl = cl;
	snprintf(ac->name, sizeof ac->name, "%s", id->name);
	ac->client = (struct service_client){ .number = ++cl->next_number,
		.may_dial = account_may_dial,
		.ended = account_stream_ended,
		.arg = ac };
	budget_init(&ac->memory, BUDGET_DEFAULT, &cl->cfg.uplink->memory);
	budget_init(&ac->keep, 2 * BUDGET_DEFAULT, &cl->cfg.uplink->keep);
	account_refresh(ac, id);
	HASH_ADD_STR(cl->accounts, name, ac);
	if (hashtab_has(ac))
		return ac;
	mem_free(ac);
	return NULL;
}

/* ---- the end of a session ---- */

static void
caller_drop(struct caller *ca, uint32_t code, const char *text)
{
	struct clients *cl = ca->cl;

	if (ca->state == CALLER_SHAKING) {
		TAILQ_REMOVE(&cl->shaking, ca, link);
		cl->n_shaking--;
	} else {
		TAILQ_REMOVE(&cl->in, ca, link);
		cl->n_in--;
	}
	inner_free(ca->inner, code, text);
	if (ca->account != NULL) {
		ca->account->n_sessions--;
		account_put(ca->account);
	}
	loop_bury(cl->cfg.loop, &ca->grave, mem_free, ca);
}

/* It gets a goodbye, and its streams end at once. */
static void
caller_close(struct caller *ca, uint32_t code, const char *text)
{
	struct session *s = inner_session(ca->inner);

	if (ca->state != CALLER_IN || s == NULL)
		return;
	set_state(ca, CALLER_LEAVING);
	session_goaway(s, code, text);
	session_abandon(s, code, text);
	inner_finish(ca->inner);
}

static void
caller_leave(struct caller *ca)
{
	struct session *s = inner_session(ca->inner);

	if (ca->state != CALLER_IN || s == NULL)
		return;
	session_goaway(s, CODE_OK, "the agent is shutting down");
	if (s->n_streams == 0)
		inner_finish(ca->inner);
}

/* ---- the session's calls ---- */

static int
judge(void *arg, const uint8_t point[KEYS_POINT_LEN], struct errtext *e)
{
	struct caller *ca = arg;
	struct creds_id id;
	char pub[KEYS_PUB_TEXT_LEN + 1];
	const struct creds_proof proof = { .key = point };
	int r = creds_client(ca->cl->creds, &proof, clock_wall_s(), &id);

	if (r == 0)
		return 0;
	keys_point_text(point, pub);
	return err_set(e, ERR_DENIED, "the key %s %s %s", pub,
	    r == ERR_TIMEOUT ? "has expired in" : "is not in", ca->cl->cfg.path);
}

static bool
on_proved(void *arg, const uint8_t point[KEYS_POINT_LEN], struct mux_config *cfg)
{
	const struct creds_proof proof = { .key = point };
	struct caller *ca = arg;
	struct clients *cl = ca->cl;

	if (creds_client(cl->creds, &proof, clock_wall_s(), &ca->id) != 0)
		return false;
	ca->account = account_get(cl, &ca->id);
	if (ca->account == NULL)
		return false;
	TAILQ_REMOVE(&cl->shaking, ca, link);
	cl->n_shaking--;
	set_state(ca, CALLER_IN);
	TAILQ_INSERT_TAIL(&cl->in, ca, link);
	cl->n_in++;
	ca->account->n_sessions++;
	cfg->window_max = cl->cfg.uplink->max_window;
	cfg->budget = &ca->account->memory;
	cfg->keep = &ca->account->keep;
	return true;
}

static enum session_verdict
refuse(struct caller *ca, uint32_t code, const char *why)
{
	log_limited(&ca->cl->log, loop_now_ms(ca->cl->cfg.loop), LOG_LEVEL_WARN,
	    "client %s from %s, end to end: refused: %s", ca->id.name, ca->from, why);
	session_goaway(inner_session(ca->inner), code, why);
	return SESSION_REFUSED;
}

static int
greet(struct caller *ca)
{
	struct ctl_hello h = { .version = CTL_VERSION, .role = CTL_AGENT };

	snprintf(h.name, sizeof h.name, "%s", ca->cl->cfg.name);
	snprintf(h.software, sizeof h.software, "tunnel/%s", VERSION);
	memcpy(h.instance, ca->cl->cfg.uplink->instance, sizeof h.instance);
	return session_greet(inner_session(ca->inner), &h);
}

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct caller *ca = arg;
	struct clients *cl = ca->cl;
	char why[CTL_AGENT_MAX + 64];

	/* A relay may have led it to another agent that has the same key. */
	snprintf(why, sizeof why, "this is agent %s", cl->cfg.name);
	if (h->role != CTL_CONNECT)
		return refuse(ca, CODE_PROTOCOL, "only clients come end to end");
	if (strcmp(h->name, cl->cfg.name) != 0)
		return refuse(ca, CODE_DENIED, why);
	if (ca->account->n_sessions > ca->account->max_sessions)
		return refuse(ca, CODE_LIMIT, "this client has as many sessions as it may have");
	if (cl->n_in > cl->cfg.max_sessions ||
	    ca->account->n_sessions - 1 > cl->cfg.max_sessions - cl->n_in)
		return refuse(ca, CODE_LIMIT, "this client has its share of the agent's sessions");
	if (greet(ca) != 0)
		return refuse(ca, CODE_INTERNAL, "out of memory");
	log_limited(&cl->log, loop_now_ms(cl->cfg.loop), LOG_LEVEL_INFO,
	    "client %s: session opened end to end from %s", ca->id.name, ca->from);
	return SESSION_GO_ON;
}

static void
deny(struct caller *ca, struct stream *s, uint32_t code, const char *why)
{
	log_limited(&ca->cl->log, loop_now_ms(ca->cl->cfg.loop), LOG_LEVEL_WARN,
	    "stream of %s from %s refused: %s", ca->id.name, ca->from, why);
	stream_reset(s, code, why);
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct caller *ca = arg;
	struct account *ac = ca->account;
	struct ctl_open known = *o;

	if (!creds_clients_open(ca->cl->creds, &ca->id, o, clock_wall_s())) {
		deny(ca, s, CODE_DENIED, "not allowed for this client");
		return;
	}
	if (ac->n_streams >= ac->max_streams) {
		deny(ca, s, CODE_LIMIT, "this client has as many streams as it may have");
		return;
	}
	if (ac->n_streams >= services_left(ca->cl->cfg.services)) {
		deny(ca, s, CODE_LIMIT, "this client has its share of the agent's streams");
		return;
	}
	ac->n_streams++;
	/* What it says of itself is not believed. */
	snprintf(known.source, sizeof known.source, "%.*s %.*s", 20, ca->id.name, 41, ca->from);
	services_open(ca->cl->cfg.services, s, &known, &ac->client);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct caller *ca = arg;
	struct session *s = inner_session(ca->inner);

	log_debug("client %s says goodbye: %s (%s)", ca->id.name, frame_code_str(code), text);
	if (s != NULL && s->n_streams == 0)
		inner_finish(ca->inner);
}

static void
on_idle(void *arg)
{
	struct caller *ca = arg;
	const struct session *s = inner_session(ca->inner);

	if (s != NULL && s->going)
		inner_finish(ca->inner);
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct caller *ca = arg;
	struct clients *cl = ca->cl;
	bool in = ca->state != CALLER_SHAKING;

	log_limited(&cl->log, loop_now_ms(cl->cfg.loop), in ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
	    in ? "client %s from %s: session end to end closed: %s%s"
	       : "a client%s from %s did not come in end to end: %s%s",
	    ca->id.name, ca->from, text, "");
	caller_drop(ca, code == CODE_OK ? CODE_LOST : code, "the session end to end has ended");
}

static void
on_ready(void *arg)
{
	(void)arg; /* never: it dials */
}

static const struct inner_user inner_user = {
	.proved = on_proved,
	.ready = on_ready,
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
};

/* ---- the beginning of one ---- */

static unsigned
count_shaking(const struct clients *cl, uint32_t number)
{
	const struct caller *ca;
	unsigned n = 0;

	TAILQ_FOREACH (ca, &cl->shaking, link)
		n += ca->number == number;
	return n;
}

/* One of the client that has most gives way: it is the one that all of them are for. */
static void
make_place(struct clients *cl)
{
	struct caller *ca, *most = NULL;
	unsigned n_most = 0;

	TAILQ_FOREACH (ca, &cl->shaking, link) {
		unsigned n =
		    most != NULL && ca->number == most->number ? 0 : count_shaking(cl, ca->number);

		if (n > n_most) {
			n_most = n;
			most = ca;
		}
	}
	if (most != NULL)
		caller_drop(most, CODE_LIMIT, "too many handshakes at once");
}

static struct tls_turns_who
who_of(uint32_t number)
{
	struct tls_turns_who who = { .any_rate = true };

	memcpy(who.key, &number, sizeof number);
	return who;
}

static bool
keeps_to_rate(struct clients *cl, uint32_t number)
{
	return ratelimit_take(cl->rate, who_of(number).key, loop_now_ms(cl->cfg.loop));
}

static const char *
why_not(struct clients *cl, const struct ctl_open *o)
{
	if (cl->draining)
		return "the agent is shutting down";
	if (count_shaking(cl, o->client) >= CLIENTS_HANDSHAKES_EACH)
		return "too many handshakes at once";
	if (!keeps_to_rate(cl, o->client))
		return "too many sessions begun in a short time";
	return NULL;
}

void
clients_take(struct clients *cl, struct stream *s, const struct ctl_open *o)
{
	static const struct ctl_open_ok ok;
	const char *why = why_not(cl, o);
	struct tls_turns_who who = who_of(o->client);
	struct caller *ca;

	if (why != NULL) {
		log_limited(&cl->log, loop_now_ms(cl->cfg.loop), LOG_LEVEL_WARN,
		    "a client from %s, end to end: refused: %s", o->source, why);
		stream_reset(s, cl->draining ? CODE_GONE : CODE_LIMIT, why);
		return;
	}
	if (cl->n_shaking >= CLIENTS_HANDSHAKES)
		make_place(cl);
	ca = mem_zalloc(sizeof *ca);
	if (ca == NULL || stream_accept(s, &ok) != 0) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		mem_free(ca);
		return;
	}
	ca->cl = cl;
	ca->number = o->client;
	snprintf(ca->from, sizeof ca->from, "%s", o->source);
	ca->inner = inner_new(
	    cl->cfg.loop, s, cl->tls, (struct tls_judge){ judge, ca }, NULL, &inner_user, ca);
	if (ca->inner == NULL) {
		mem_free(ca);
		return;
	}
	inner_take_turns(ca->inner, cl->turns, &who);
	TAILQ_INSERT_TAIL(&cl->shaking, ca, link);
	cl->n_shaking++;
}

/* ---- the file ---- */

static int
read_file(const char *path, void **out, struct errtext *e)
{
	struct creds *c = NULL;
	int r = creds_clients_load(path, &c, e);

	*out = c;
	return r;
}

static void
drop_file(void *what)
{
	creds_unref(what);
}

/* Who is not in the file any more, or has expired, goes. */
static void
check_all(void *arg)
{
	struct clients *cl = arg;
	struct caller *ca, *next;
	int64_t now_s = clock_wall_s();

	for (ca = TAILQ_FIRST(&cl->in); ca != NULL; ca = next) {
		next = TAILQ_NEXT(ca, link);
		if (ca->state != CALLER_IN || creds_still_valid(cl->creds, &ca->id, now_s))
			continue;
		log_warnx("client %s from %s: its key was revoked or has expired, disconnected",
		    ca->id.name, ca->from);
		caller_close(ca, CODE_REVOKED, "the key was revoked or has expired");
	}
}

static void
use_file(void *arg, void *what)
{
	struct clients *cl = arg;
	struct caller *ca;

	creds_unref(cl->creds);
	cl->creds = what;
	TAILQ_FOREACH (ca, &cl->in, link)
		account_refresh(ca->account, &ca->id);
	check_all(cl);
}

void
clients_reread(struct clients *cl)
{
	watched_reread(&cl->watched);
}

/* ---- life ---- */

static int
clients_init(struct clients *cl, struct errtext *e)
{
	const struct watched_user user = { .path = cl->cfg.path,
		.read = read_file,
		.drop = drop_file,
		.use = use_file,
		.tick = check_all,
		.arg = cl };
	struct errtext why = { "" };
	int r;

	if (cl->cfg.uplink->target.keyed == NULL)
		return err_set(e, ERR_INVALID,
		    "--clients needs a key of the agent's own, by which clients know it: "
		    "--key-file FILE (tunnel keygen makes one)");
	/* What passes is plain text here and at the client only. */
	buf_all_secret();
	r = tls_keyed_sibling(
	    cl->cfg.uplink->target.keyed, TLS_KEYED_SERVER, TLS_KEYED_E2E, &cl->tls, &why);
	if (r != 0)
		return err_set(e, r, "--clients: %s", why.s);
	cl->rate = ratelimit_new(CLIENTS_RATE, CLIENTS_BURST);
	cl->turns = tls_turns_new(cl->cfg.loop, CLIENTS_RATE, CLIENTS_BURST);
	if (cl->rate == NULL || cl->turns == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	return watched_init(&cl->watched, cl->cfg.loop, &user, e);
}

int
clients_new(const struct clients_config *cfg, struct clients **out, struct errtext *e)
{
	struct clients *cl = mem_zalloc(sizeof *cl);
	int r;

	if (cl == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	cl->cfg = *cfg;
	cl->next_number = UINT32_MAX;
	TAILQ_INIT(&cl->shaking);
	TAILQ_INIT(&cl->in);
	log_limit_init(&cl->log, LOG_LINES, LOG_LIMIT_MS, "sessions end to end");
	r = clients_init(cl, e);
	if (r == 0)
		*out = cl;
	else
		clients_free(cl);
	return r;
}

void
clients_free(struct clients *cl)
{
	struct caller *ca;

	if (cl == NULL)
		return;
	watched_fini(&cl->watched);
	while ((ca = TAILQ_FIRST(&cl->shaking)) != NULL || (ca = TAILQ_FIRST(&cl->in)) != NULL)
		caller_drop(ca, CODE_GONE, "the agent is shutting down");
	creds_unref(cl->creds);
	tls_keyed_free(cl->tls);
	ratelimit_free(cl->rate);
	tls_turns_free(cl->turns);
	log_limit_fini(&cl->log);
	mem_free(cl);
}

void
clients_drain(struct clients *cl)
{
	struct caller *ca, *next;

	cl->draining = true;
	while ((ca = TAILQ_FIRST(&cl->shaking)) != NULL)
		caller_drop(ca, CODE_GONE, "the agent is shutting down");
	for (ca = TAILQ_FIRST(&cl->in); ca != NULL; ca = next) {
		next = TAILQ_NEXT(ca, link);
		caller_leave(ca);
	}
}
