/* SPDX-License-Identifier: ISC */
/* e2e - sessions with agents themselves. */
#include "cmd/connect/e2e.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/version.h"
#include "proto/dialect/dialect.h"

/* One session. */
struct e2e_session {
	struct e2e_link *link;
	struct inner *inner;
	/* It takes new streams, as far as we know; else it is in the list of those that leave. */
	bool current;
	/* It has been ready: the agent has proved this key. */
	bool stood;
	uint8_t key[KEYS_POINT_LEN];
	TAILQ_ENTRY(e2e_session) entry;
	struct grave grave;
};

struct e2e_link {
	struct e2e *x;
	struct uplink *uplink;
	char agent[CTL_AGENT_MAX + 1];
	const struct e2e_user *user;
	void *arg;
	/* NULL: none. */
	struct e2e_session *now;
	/* The oldest first. */
	TAILQ_HEAD(, e2e_session) leaving;
	unsigned n_leaving;
	/* What the agent may show while a handshake is under way. */
	struct keys_list keys;
	LIST_ENTRY(e2e_link) entry;
};

/* ---- the end of a session ---- */

static void
session_drop(struct e2e_session *es, uint32_t code, const char *text)
{
	struct e2e_link *lk = es->link;

	if (es->current) {
		lk->now = NULL;
	} else {
		TAILQ_REMOVE(&lk->leaving, es, entry);
		lk->n_leaving--;
	}
	inner_free(es->inner, code, text);
	loop_bury(lk->x->loop, &es->grave, mem_free, es);
}

/* Put it aside: new streams go on another one. */
static void
session_leave(struct e2e_session *es)
{
	struct e2e_link *lk = es->link;
	struct session *s = inner_session(es->inner);

	if (!es->current)
		return;
	if (s == NULL) {
		session_drop(es, CODE_GONE, "the session is going away");
		return;
	}
	if (lk->n_leaving == E2E_LEAVING_MAX)
		session_drop(TAILQ_FIRST(&lk->leaving), CODE_LOST,
		    "the agent went away, and others after it");
	es->current = false;
	lk->now = NULL;
	TAILQ_INSERT_TAIL(&lk->leaving, es, entry);
	lk->n_leaving++;
	session_goaway(s, CODE_OK, "the client is done");
	if (s->n_streams == 0)
		inner_finish(es->inner);
}

/* ---- the session's calls ---- */

static bool
on_proved(void *arg, const uint8_t point[KEYS_POINT_LEN], struct mux_config *cfg)
{
	struct e2e_session *es = arg;
	struct uplink_config *c = es->link->x->config;

	/* It has been judged. */
	memcpy(es->key, point, sizeof es->key);
	cfg->window_max = c->max_window;
	cfg->budget = &c->memory;
	cfg->keep = &c->keep;
	return true;
}

static void
on_ready(void *arg)
{
	struct e2e_session *es = arg;

	es->stood = true;
	es->link->user->ready(es->link->arg);
}

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct e2e_session *es = arg;

	if (h->role != CTL_AGENT || strcmp(h->name, es->link->agent) != 0) {
		log_errorx("agent %s, end to end: the other end says that it is %s %s",
		    es->link->agent, ctl_role_str(h->role), h->name);
		session_goaway(inner_session(es->inner), CODE_PROTOCOL, "this is another agent");
		return SESSION_REFUSED;
	}
	log_info("end to end with agent %s", es->link->agent);
	return SESSION_GO_ON;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	(void)o;
	stream_reset(s, CODE_DENIED, "this is a client, it serves nothing");
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct e2e_session *es = arg;

	log_debug("agent %s says goodbye: %s (%s)", es->link->agent, frame_code_str(code), text);
	if (code == CODE_OK)
		session_leave(es);
}

static void
on_idle(void *arg)
{
	struct e2e_session *es = arg;

	if (!es->current)
		inner_finish(es->inner);
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct e2e_session *es = arg;
	struct e2e_link *lk = es->link;
	bool failed = es->current && !es->stood;
	struct errtext why = { "" };

	err_set(&why, ERR_CLOSED, "%s", text);
	if (es->current && es->stood)
		log_warnx("agent %s, end to end: %s", lk->agent, text);
	session_drop(es, code, why.s);
	if (failed)
		lk->user->failed(lk->arg, code, why.s);
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

/* The keys that the agent may show. */
static bool
find_keys(struct e2e_link *lk, struct errtext *why)
{
	const struct e2e *x = lk->x;
	const struct keys_list *known =
	    x->known != NULL ? known_keys(x->known, lk->agent) : &x->keys;

	if (known == NULL) {
		err_set(why, ERR_DENIED, "agent %s is not in %s: its key is not known", lk->agent,
		    x->known_path);
		return false;
	}
	lk->keys = *known;
	return true;
}

static int
make_hello(struct e2e_link *lk, struct ctl_hello *h)
{
	*h = (struct ctl_hello){ .version = CTL_VERSION, .role = CTL_CONNECT };
	snprintf(h->name, sizeof h->name, "%s", lk->agent);
	snprintf(h->software, sizeof h->software, "tunnel/%s", VERSION);
	/* The agent has no use for it, and another one than the relay's says less. */
	return rand_bytes(h->instance, sizeof h->instance);
}

static struct stream *
open_outer(struct e2e_link *lk, uint32_t *code, struct errtext *why)
{
	struct ctl_open o = { .protocol = CTL_E2E };

	if (rand_bytes(o.token, sizeof o.token) != 0) {
		err_set(why, ERR_SYS, "the system gives no random bytes");
		return NULL;
	}
	return uplink_open(lk->uplink, &o, NULL, NULL, code, why);
}

static bool
start(struct e2e_link *lk, struct e2e_session *es, uint32_t *code, struct errtext *why)
{
	struct ctl_hello h;
	struct stream *s;

	if (make_hello(lk, &h) != 0) {
		err_set(why, ERR_SYS, "the system gives no random bytes");
		return false;
	}
	s = open_outer(lk, code, why);
	if (s == NULL)
		return false;
	es->inner =
	    inner_new(lk->x->loop, s, lk->x->tls, tls_judge_list(&lk->keys), &h, &inner_user, es);
	if (es->inner == NULL)
		err_set(why, ERR_NOMEM, "out of memory");
	return es->inner != NULL;
}

bool
e2e_start(struct e2e_link *lk, uint32_t *code, struct errtext *why)
{
	struct e2e_session *es;

	if (lk->now != NULL)
		return true;
	*code = CODE_DENIED;
	if (!find_keys(lk, why))
		return false;
	*code = CODE_GONE;
	es = mem_zalloc(sizeof *es);
	if (es == NULL) {
		err_set(why, ERR_NOMEM, "out of memory");
		return false;
	}
	es->link = lk;
	es->current = true;
	lk->now = es;
	if (start(lk, es, code, why))
		return true;
	lk->now = NULL;
	mem_free(es);
	return false;
}

bool
e2e_is_starting(const struct e2e_link *lk)
{
	return lk->now != NULL && !lk->now->stood;
}

struct session *
e2e_session(struct e2e_link *lk)
{
	struct e2e_session *es = lk->now;

	return es != NULL && inner_may_open(es->inner) ? inner_session(es->inner) : NULL;
}

void
e2e_leave(struct e2e_link *lk)
{
	if (lk->now != NULL)
		session_leave(lk->now);
}

/* ---- links ---- */

struct e2e_link *
e2e_link_new(
    struct e2e *x, struct uplink *k, const char *agent, const struct e2e_user *user, void *arg)
{
	struct e2e_link *lk = mem_zalloc(sizeof *lk);

	if (lk == NULL)
		return NULL;
	lk->x = x;
	lk->uplink = k;
	snprintf(lk->agent, sizeof lk->agent, "%s", agent);
	lk->user = user;
	lk->arg = arg;
	TAILQ_INIT(&lk->leaving);
	LIST_INSERT_HEAD(&x->links, lk, entry);
	return lk;
}

void
e2e_link_free(struct e2e_link *lk, uint32_t code, const char *text)
{
	if (lk == NULL)
		return;
	while (lk->n_leaving > 0)
		session_drop(TAILQ_FIRST(&lk->leaving), code, text);
	if (lk->now != NULL)
		session_drop(lk->now, code, text);
	LIST_REMOVE(lk, entry);
	mem_free(lk);
}

/* ---- keys that are not the agent's any more ---- */

static void
session_check(struct e2e_session *es)
{
	struct e2e_link *lk = es->link;

	if (!es->stood || keys_list_has(&lk->keys, es->key))
		return;
	log_warnx("agent %s, end to end: its key was taken out of %s, disconnected", lk->agent,
	    lk->x->known_path);
	session_drop(es, CODE_REVOKED, "the agent's key was taken out of the known ones");
}

/* The file was read again.  A handshake that is under way is judged by what it says now. */
static void
link_check(struct e2e_link *lk)
{
	const struct keys_list *known = known_keys(lk->x->known, lk->agent);
	struct e2e_session *es, *next;

	lk->keys = known != NULL ? *known : (struct keys_list){ 0 };
	for (es = TAILQ_FIRST(&lk->leaving); es != NULL; es = next) {
		next = TAILQ_NEXT(es, entry);
		session_check(es);
	}
	if (lk->now != NULL)
		session_check(lk->now);
}

/* ---- what links share ---- */

static int
read_known(const char *path, void **out, struct errtext *e)
{
	struct known *k = NULL;
	int r = known_load(path, &k, e);

	*out = k;
	return r;
}

static void
drop_known(void *what)
{
	known_free(what);
}

static void
use_known(void *arg, void *what)
{
	struct e2e *x = arg;
	struct e2e_link *lk;

	known_free(x->known);
	x->known = what;
	LIST_FOREACH (lk, &x->links, entry)
		link_check(lk);
}

static int
take_keys(struct e2e *x, const struct e2e_opts *o, struct errtext *e)
{
	struct watched_user user = {
		.path = o->known_agents,
		.read = read_known,
		.drop = drop_known,
		.use = use_known,
		.arg = x,
	};
	struct errtext why = { "" };

	if ((o->agent_keys.n == 0) == (o->known_agents == NULL))
		return err_set(e, ERR_INVALID,
		    "--e2e needs the agent's key, which never comes from the relay: give either "
		    "--agent-key tunnel-pub-... or --known-agents FILE");
	for (size_t i = 0; i < o->agent_keys.n; i++) {
		const char *key = o->agent_keys.v[i];
		int r = keys_list_add(&x->keys, key, strlen(key), &why);

		if (r != 0)
			return err_set(e, r, "--agent-key: %s", why.s);
	}
	x->known_path = o->known_agents;
	return o->known_agents != NULL ? watched_init(&x->watched, x->loop, &user, e) : 0;
}

int
e2e_init(struct e2e *x, struct loop *l, struct uplink_config *cfg, const struct e2e_opts *o,
    struct errtext *e)
{
	struct errtext why = { "" };
	int r;

	*x = (struct e2e){ .loop = l, .config = cfg };
	if (!o->on && o->agent_keys.n == 0 && o->known_agents == NULL)
		return 0;
	if (!o->on)
		return err_set(e, ERR_INVALID,
		    "--agent-key and --known-agents are for --e2e, which was not given");
	if (cfg->target.keyed == NULL)
		return err_set(e, ERR_INVALID,
		    "--e2e needs a key of your own, by which agents know you: --key-file FILE "
		    "(tunnel keygen makes one)");
	if ((cfg->target.dialect->can & SESSION_E2E) == 0)
		return err_set(e, ERR_INVALID,
		    "--e2e: the protocol that is spoken with the relay has nothing like it");
	cfg->other = NULL;
	/* What passes is plain text here and at the agent only. */
	buf_all_secret();
	if ((r = take_keys(x, o, e)) != 0)
		return r;
	r = tls_keyed_sibling(cfg->target.keyed, TLS_KEYED_CLIENT, TLS_KEYED_E2E, &x->tls, &why);
	return r == 0 ? 0 : err_set(e, r, "--e2e: %s", why.s);
}

void
e2e_fini(struct e2e *x)
{
	watched_fini(&x->watched);
	known_free(x->known);
	tls_keyed_free(x->tls);
	memset(x, 0, sizeof *x);
}
