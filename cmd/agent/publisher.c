/* SPDX-License-Identifier: ISC */
/* publisher - services that the relay is asked to publish. */
#include "cmd/agent/publisher.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/base/log_limit.h"
#include "lib/base/mem.h"

enum publish_state { PUBLISH_ASKED, PUBLISH_GRANTED, PUBLISH_REFUSED, PUBLISH_WITHDRAWN, N_STATES };

static const char *const state_name[] = { "asked", "granted", "refused", "withdrawn" };

static const bool state_can[N_STATES][N_STATES] = {
	[PUBLISH_ASKED] = { [PUBLISH_GRANTED] = true,
	    [PUBLISH_REFUSED] = true,
	    [PUBLISH_WITHDRAWN] = true },
	[PUBLISH_GRANTED] = { [PUBLISH_ASKED] = true,
	    [PUBLISH_REFUSED] = true,
	    [PUBLISH_WITHDRAWN] = true },
	[PUBLISH_REFUSED] = { [PUBLISH_ASKED] = true,
	    [PUBLISH_GRANTED] = true,
	    [PUBLISH_WITHDRAWN] = true },
	[PUBLISH_WITHDRAWN] = { [PUBLISH_ASKED] = true },
};

/* One published service. */
struct publication {
	struct offer offer;
	enum publish_state state;
	/* By carrier: the request that has no answer yet; 0: none. */
	int64_t waiting[PUBLISHER_CARRIERS_MAX];
	uint64_t asked_ms;
	/* The port or host that it was granted last. */
	uint16_t had;
	char had_host[REQUEST_HOST_MAX + 1];
	/* Of the last yes, and the last no. */
	char public[REQUEST_PUBLIC_MAX + 1];
	char error[REQUEST_ERROR_MAX + 1];
	TAILQ_ENTRY(publication) link;
};

struct publisher {
	struct loop *loop;
	const struct publisher_user *user;
	void *arg;
	unsigned n_carriers;
	/* NULL: unknown. */
	const char *host;
	/* Never used twice, whatever the session. */
	int64_t last_id;
	/* The relay has been said to be unable to publish. */
	bool unable;
	TAILQ_HEAD(, publication) all;
	struct timer again;
	bool stopped;
	/* The relay decides how much nonsense it sends. */
	struct log_limit log;
};

static void
set_state(struct publication *b, enum publish_state next)
{
	if (b->state == next)
		return;
	assert(state_can[b->state][next]);
	log_debug("public %s: %s -> %s", b->offer.name, state_name[b->state], state_name[next]);
	b->state = next;
}

static bool
is_web(const struct publication *b)
{
	return strcmp(b->offer.kind, "http") == 0 || strcmp(b->offer.kind, "tls") == 0;
}

static bool
is_waiting(const struct publication *b)
{
	for (unsigned i = 0; i < PUBLISHER_CARRIERS_MAX; i++)
		if (b->waiting[i] != 0)
			return true;
	return false;
}

/* ---- life ---- */

static void on_again(void *arg);

struct publisher *
publisher_new(struct loop *l, unsigned n_carriers, const struct publisher_user *user, void *arg)
{
	struct publisher *p = mem_zalloc(sizeof *p);

	assert(n_carriers <= PUBLISHER_CARRIERS_MAX);
	if (p == NULL)
		return NULL;
	if (timer_init(&p->again, l, on_again, p) != 0) {
		mem_free(p);
		return NULL;
	}
	p->loop = l;
	p->n_carriers = n_carriers;
	p->user = user;
	p->arg = arg;
	TAILQ_INIT(&p->all);
	log_limit_init(&p->log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "the relay's answers");
	return p;
}

void
publisher_host(struct publisher *p, const char *host)
{
	p->host = host;
}

static void
forget(struct publisher *p, struct publication *b)
{
	TAILQ_REMOVE(&p->all, b, link);
	request_web_unref(b->offer.web);
	mem_free(b);
}

void
publisher_free(struct publisher *p)
{
	struct publication *b;

	if (p == NULL)
		return;
	while ((b = TAILQ_FIRST(&p->all)) != NULL)
		forget(p, b);
	timer_fini(&p->again);
	log_limit_fini(&p->log);
	mem_free(p);
}

/* ---- asking ---- */

/* The timer runs while anything is to be asked for again, or was not answered. */
static void
arm(struct publisher *p)
{
	uint64_t now = loop_now_ms(p->loop), first = UINT64_MAX;
	struct publication *b;

	TAILQ_FOREACH (b, &p->all, link)
		if ((b->state != PUBLISH_GRANTED || is_waiting(b)) && b->asked_ms < first)
			first = b->asked_ms;
	if (first == UINT64_MAX || p->stopped)
		timer_cancel(&p->again);
	else
		timer_set(&p->again,
		    first + PUBLISHER_AGAIN_MS > now ? first + PUBLISHER_AGAIN_MS - now : 0);
}

/* What is withdrawn is named, no more. */
static void
only_names(struct request *q)
{
	q->port = q->had = 0;
	q->rules = (struct request_rules){ 0 };
	q->host[0] = q->had_host[0] = '\0';
	q->random = false;
	q->web = NULL;
}

/* By one carrier. */
static int
say(struct publisher *p, struct publication *b, unsigned carrier, enum request_verb verb)
{
	struct request q;
	size_t n = 0;
	char *body;
	int r;

	offer_request(&b->offer, &q);
	q.id = ++p->last_id;
	q.verb = verb;
	q.had = q.port == 0 ? b->had : 0;
	if (q.random)
		snprintf(q.had_host, sizeof q.had_host, "%s", b->had_host);
	if (verb == REQUEST_WITHDRAW)
		only_names(&q);
	b->waiting[carrier] = 0;
	b->asked_ms = loop_now_ms(p->loop);
	if ((body = request_dump(&q, &n)) == NULL)
		return ERR_NOMEM;
	r = p->user->send(p->arg, carrier, body, n);
	mem_free(body);
	if (r == 0)
		b->waiting[carrier] = q.id;
	return r;
}

static enum request_verb
verb_of(const struct publication *b)
{
	return b->state == PUBLISH_WITHDRAWN ? REQUEST_WITHDRAW : REQUEST_PUBLISH;
}

/* By all that are up; those that are not ask after their login. */
static void
say_by_all(struct publisher *p, struct publication *b, enum request_verb verb)
{
	for (unsigned i = 0; i < p->n_carriers; i++)
		IGNORE_RESULT(say(p, b, i, verb));
}

/* ---- answers ---- */

static void
refused(struct publisher *p, struct publication *b, const char *why)
{
	char target[OFFER_TARGET_MAX];

	if (b->state == PUBLISH_REFUSED && strcmp(b->error, why) == 0)
		return;
	set_state(b, PUBLISH_REFUSED);
	snprintf(b->error, sizeof b->error, "%s", why);
	log_warnx("not published: %s %s (%s): %s; it is asked for again every %d s", b->offer.kind,
	    b->offer.name, offer_target(&b->offer, target), why, PUBLISHER_AGAIN_MS / 1000);
	p->user->changed(p->arg);
}

/* Where people go, as far as it is known: nobody can go to "every address". */
static void
public_text(
    const struct publisher *p, const struct request_reply *a, char out[REQUEST_PUBLIC_MAX + 1])
{
	bool every = strncmp(a->public, "0.0.0.0:", 8) == 0 || strncmp(a->public, "[::]:", 5) == 0;
	struct hostport at = { .port = a->port };
	char text[HOSTPORT_TEXT_MAX + 1];

	snprintf(out, REQUEST_PUBLIC_MAX + 1, "%s", a->public);
	if (!every || p->host == NULL)
		return;
	snprintf(at.host, sizeof at.host, "%s", p->host);
	at.is_v6 = strchr(p->host, ':') != NULL;
	snprintf(out, REQUEST_PUBLIC_MAX + 1, "%s", hostport_text(&at, text));
}

/* What a yes must tell; NULL: it does. */
static const char *
what_is_missing(const struct publication *b, const struct request_reply *a)
{
	if (a->public[0] == '\0' || (!is_web(b) && a->port == 0) ||
	    (b->offer.random && a->host[0] == '\0'))
		return "the relay says yes, but not where";
	if (b->offer.public != 0 && a->port != b->offer.public)
		return "the relay says yes to another port";
	return NULL;
}

static void
granted(struct publisher *p, struct publication *b, const struct request_reply *a)
{
	char target[OFFER_TARGET_MAX], public[REQUEST_PUBLIC_MAX + 1];

	if (what_is_missing(b, a) != NULL) {
		refused(p, b, what_is_missing(b, a));
		return;
	}
	b->had = a->port;
	memcpy(b->had_host, a->host, sizeof b->had_host);
	public_text(p, a, public);
	if (b->state == PUBLISH_GRANTED && strcmp(b->public, public) == 0)
		return;
	set_state(b, PUBLISH_GRANTED);
	memcpy(b->public, public, sizeof b->public);
	log_info("published: %s %s (%s) at %s", b->offer.kind, b->offer.name,
	    offer_target(&b->offer, target), b->public);
	p->user->changed(p->arg);
}

static void
withdrawn(struct publisher *p, struct publication *b, const struct request_reply *a)
{
	if (!a->ok)
		log_warnx("the relay does not withdraw %s %s: %s", b->offer.kind, b->offer.name,
		    a->error);
	if (!is_waiting(b))
		forget(p, b);
}

static struct publication *
find_waiting(struct publisher *p, unsigned carrier, int64_t id)
{
	struct publication *b;

	TAILQ_FOREACH (b, &p->all, link)
		if (id != 0 && b->waiting[carrier] == id)
			break;
	return b;
}

/* why: what is wrong with it, or NULL. */
static void
got_reply(struct publisher *p, unsigned carrier, const struct request_reply *a, const char *why)
{
	struct publication *b = find_waiting(p, carrier, a->id);

	if (b == NULL)
		return;
	b->waiting[carrier] = 0;
	if (b->state == PUBLISH_WITHDRAWN)
		withdrawn(p, b, a);
	else if (why != NULL)
		refused(p, b, why);
	else if (a->ok)
		granted(p, b, a);
	else
		refused(p, b, a->error[0] != '\0' ? a->error : "the relay does not say why");
	arm(p);
	if (publisher_is_answered(p))
		p->user->changed(p->arg);
}

static struct publication *
find(struct publisher *p, const char *kind, const char *name)
{
	struct publication *b;

	TAILQ_FOREACH (b, &p->all, link)
		if (strcmp(b->offer.name, name) == 0 && strcmp(b->offer.kind, kind) == 0)
			break;
	return b;
}

/* The relay has ended what it granted.  Whether it may be had again is asked later. */
static void
lost(struct publisher *p, const struct request *q)
{
	struct publication *b = find(p, q->kind, q->service);

	if (b == NULL || b->state != PUBLISH_GRANTED)
		return;
	b->asked_ms = loop_now_ms(p->loop);
	refused(p, b, "the relay does not publish it any more");
	arm(p);
}

/* The relay asks for something. */
static void
got_request(struct publisher *p, unsigned carrier, const struct request *q)
{
	struct request_reply a = { .id = q->id, .ok = q->verb == REQUEST_WITHDRAW };
	size_t n = 0;
	char *body;

	if (a.ok)
		lost(p, q);
	else
		snprintf(a.error, sizeof a.error, "an agent knows no such request");
	if (q->id == 0 || (body = request_reply_dump(&a, &n)) == NULL)
		return;
	IGNORE_RESULT(p->user->send(p->arg, carrier, body, n)); /* then it is gone */
	mem_free(body);
}

void
publisher_control(struct publisher *p, unsigned carrier, const void *body, size_t n)
{
	struct request_reply a;
	struct errtext why = { "" };
	char text[REQUEST_ERROR_MAX + 1];
	struct request q;
	int r = request_parse(&q, &a, body, n, &why);

	if (r == ERR_NOMEM)
		return;
	/* A request that breaks its table is answered by a no. */
	if (r != 0 && q.verb != REQUEST_REPLY)
		q.verb = REQUEST_UNKNOWN;
	if (r != 0) {
		snprintf(text, sizeof text, "the relay's answer makes no sense: %.200s", why.s);
		log_limited(&p->log, loop_now_ms(p->loop), LOG_LEVEL_WARN, "%s", text);
	}
	if (q.verb == REQUEST_REPLY)
		got_reply(p, carrier, &a, r != 0 ? text : NULL);
	else
		got_request(p, carrier, &q);
	request_fini(&q);
}

/* ---- carriers ---- */

static void
cannot(struct publication *b)
{
	set_state(b, PUBLISH_REFUSED);
	snprintf(b->error, sizeof b->error, "this relay cannot publish");
}

static void
is_unable(struct publisher *p)
{
	struct publication *b;

	if (!p->unable)
		log_warnx("this relay cannot publish: its services are reached by clients alone");
	p->unable = true;
	TAILQ_FOREACH (b, &p->all, link)
		if (b->state != PUBLISH_WITHDRAWN)
			cannot(b);
	p->user->changed(p->arg);
}

void
publisher_up(struct publisher *p, unsigned carrier)
{
	struct publication *b;
	int r = 0;

	if (p->stopped)
		return;
	TAILQ_FOREACH (b, &p->all, link)
		if ((r = say(p, b, carrier, verb_of(b))) == ERR_CLOSED)
			break;
	/* It is up, so it is the relay that has no word for it. */
	if (r == ERR_CLOSED)
		is_unable(p);
	else
		p->unable = false;
	arm(p);
}

void
publisher_down(struct publisher *p, unsigned carrier)
{
	struct publication *b;

	TAILQ_FOREACH (b, &p->all, link)
		b->waiting[carrier] = 0;
	arm(p);
}

void
publisher_stop(struct publisher *p)
{
	p->stopped = true;
	arm(p);
}

/* Ask once more: by the first carrier that can. */
static void
ask_again(struct publisher *p, struct publication *b)
{
	bool unanswered = is_waiting(b);

	memset(b->waiting, 0, sizeof b->waiting);
	if (unanswered && b->state == PUBLISH_ASKED)
		refused(p, b, "the relay does not answer");
	b->asked_ms = loop_now_ms(p->loop);
	if (b->state == PUBLISH_GRANTED)
		return;
	for (unsigned i = 0; i < p->n_carriers; i++)
		if (say(p, b, i, verb_of(b)) == 0)
			return;
}

static void
on_again(void *arg)
{
	struct publisher *p = arg;
	uint64_t now = loop_now_ms(p->loop);
	struct publication *b;

	TAILQ_FOREACH (b, &p->all, link)
		if ((b->state != PUBLISH_GRANTED || is_waiting(b)) &&
		    b->asked_ms + PUBLISHER_AGAIN_MS <= now)
			ask_again(p, b);
	arm(p);
	if (publisher_is_answered(p))
		p->user->changed(p->arg);
}

/* ---- what is to be published ---- */

/* NULL: it is none of these any more. */
static const struct offer *
find_offer(const struct offers *o, const struct publication *b)
{
	const struct offer *f = offers_find(o, offer_protocol(&b->offer), b->offer.name);

	return f != NULL && f->published && strcmp(f->kind, b->offer.kind) == 0 ? f : NULL;
}

/* Ports are given back before others ask for them. */
static void
withdraw_others(struct publisher *p, const struct offers *o)
{
	struct publication *b;

	TAILQ_FOREACH (b, &p->all, link) {
		const struct offer *f = find_offer(o, b);

		if (b->state == PUBLISH_WITHDRAWN)
			continue;
		if (f == NULL) {
			log_info("withdrawn: %s %s", b->offer.kind, b->offer.name);
			set_state(b, PUBLISH_WITHDRAWN);
			say_by_all(p, b, REQUEST_WITHDRAW);
		} else if (f->public != b->offer.public) {
			say_by_all(p, b, REQUEST_WITHDRAW);
		}
	}
}

static int
use_offer(struct publisher *p, const struct offer *f)
{
	struct publication *b = find(p, f->kind, f->name);
	bool same = b != NULL && b->state != PUBLISH_WITHDRAWN && offer_same_rules(&b->offer, f);

	if (b == NULL) {
		if ((b = mem_zalloc(sizeof *b)) == NULL)
			return ERR_NOMEM;
		TAILQ_INSERT_TAIL(&p->all, b, link);
	}
	request_web_unref(b->offer.web);
	b->offer = *f;
	request_web_ref(b->offer.web);
	b->offer.auth = NULL;
	if (same)
		return 0;
	set_state(b, PUBLISH_ASKED);
	say_by_all(p, b, REQUEST_PUBLISH);
	if (p->unable && !is_waiting(b))
		cannot(b);
	return 0;
}

int
publisher_use(struct publisher *p, const struct offers *o)
{
	int r = 0;

	withdraw_others(p, o);
	/* Ports that are named go first: one that is chosen for another must be none of them. */
	for (int any = 0; any < 2; any++)
		for (size_t i = 0; r == 0 && i < o->n; i++)
			if (o->v[i].published && (o->v[i].public == 0) == any)
				r = use_offer(p, &o->v[i]);
	arm(p);
	p->user->changed(p->arg);
	return r;
}

/* ---- what has come of it ---- */

bool
publisher_is_answered(const struct publisher *p)
{
	const struct publication *b;

	TAILQ_FOREACH (b, &p->all, link)
		if (b->state == PUBLISH_ASKED || is_waiting(b))
			return false;
	return true;
}

static struct jobj *
as_object(const struct publication *b)
{
	struct jobj *o = jobj_new_obj();
	char target[OFFER_TARGET_MAX];
	int r;

	if ((r = jobj_set_str(o, "kind", b->offer.kind)) != 0 ||
	    (r = jobj_set_str(o, "service", b->offer.name)) != 0)
		;
	else if (b->state == PUBLISH_REFUSED)
		r = jobj_set_str(o, "error", b->error);
	else if ((r = jobj_set_str(o, "target", offer_target(&b->offer, target))) == 0)
		r = jobj_set_str(o, is_web(b) ? "url" : "public", b->public);
	if (r == 0)
		return o;
	jobj_free(o);
	return NULL;
}

static int
list_state(const struct publisher *p, struct jobj *o, const char *name, enum publish_state state)
{
	struct jobj *a = jobj_new_arr();
	const struct publication *b;
	int r = 0;

	TAILQ_FOREACH (b, &p->all, link)
		if (r == 0 && b->state == state)
			r = jobj_add_take(a, as_object(b));
	if (r == 0)
		return jobj_set_take(o, name, a);
	jobj_free(a);
	return r;
}

int
publisher_list(const struct publisher *p, struct jobj *o)
{
	int r = list_state(p, o, "services", PUBLISH_GRANTED);

	return r != 0 ? r : list_state(p, o, "refused", PUBLISH_REFUSED);
}
