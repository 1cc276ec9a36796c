/* SPDX-License-Identifier: ISC */
/* udp - public ports of UDP. */
#include "cmd/relay/ingress/udp.h"

#include <stdio.h>
#include <string.h>

#include "cmd/common/udp_port.h"
#include "cmd/relay/account.h"
#include "cmd/relay/group.h"
#include "cmd/relay/ingress/door.h"
#include "cmd/relay/ingress/publication.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

struct udp_guard {
	struct udp_batch *batch;
	/* By network: new flows, and answers to those not proven; all new flows of a port. */
	struct ratelimit *opens, *answers, *total;
};

void
udp_guard_free(struct udp_guard *g)
{
	if (g == NULL)
		return;
	udp_batch_free(g->batch);
	ratelimit_free(g->opens);
	ratelimit_free(g->answers);
	ratelimit_free(g->total);
	mem_free(g);
}

static struct udp_guard *
guard_get(struct worker *w)
{
	struct udp_guard *g = w->udp;

	if (g != NULL || (g = mem_zalloc(sizeof *g)) == NULL)
		return g;
	g->batch = udp_batch_new();
	g->opens = ratelimit_new(UDP_NEW_RATE, 2 * UDP_NEW_RATE);
	g->answers = ratelimit_new(UDP_ANSWER_RATE, 2 * UDP_ANSWER_RATE);
	g->total = ratelimit_new(UDP_NEW_TOTAL, UDP_NEW_TOTAL);
	if (g->batch != NULL && g->opens != NULL && g->answers != NULL && g->total != NULL)
		return w->udp = g;
	udp_guard_free(g);
	return NULL;
}

/* The port's own bucket. */
static void
key_of_port(const struct publication *pub, uint8_t key[RATELIMIT_KEY_LEN])
{
	memset(key, 0, RATELIMIT_KEY_LEN);
	memcpy(key, &pub->port, sizeof pub->port);
}

/* The network's, whatever port it asks. */
static void
key_of_network(const struct addr *from, uint8_t key[RATELIMIT_KEY_LEN])
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	_Static_assert(RATELIMIT_KEY_LEN == ADDR_IDENTITY_LEN, "a key is an identity, cut");
	addr_identity(from, key);
	if (memcmp(key, mapped, sizeof mapped) == 0)
		key[15] = 0;
	else
		memset(key + 6, 0, 10);
}

/* ---- flows ---- */

__attribute__((format(printf, 4, 5))) static void
log_flow(
    struct publication *pub, const struct udp_flow *f, enum log_level level, const char *fmt, ...)
{
	char label[ADDR_TEXT + PUBLICATION_NAME], from[ADDR_TEXT];
	va_list ap;

	snprintf(label, sizeof label, "%s -> %s", addr_text(&f->from, from), pub->name);
	va_start(ap, fmt);
	log_limited_about(&pub->log, loop_now_ms(pub->w->loop), level, "flow", label, fmt, ap);
	va_end(ap);
}

/* Of all ports of the agent. */
static uint64_t
flows_max(const struct publication *pub)
{
	return pub->w->relay->opts.max_streams / 2;
}

/* *most: the port that has the most of them. */
static uint64_t
count_flows(const struct group *g, struct publication **most)
{
	struct publication *pub;
	uint64_t n = 0;

	*most = NULL;
	TAILQ_FOREACH (pub, &g->published, link) {
		if (pub->udp == NULL)
			continue;
		n += udp_port_flows(pub->udp);
		if (*most == NULL || udp_port_flows(pub->udp) > udp_port_flows((*most)->udp))
			*most = pub;
	}
	return n;
}

/* The flow at hand is counted by its port already. */
static bool
has_room(const struct publication *pub)
{
	struct publication *most;

	while (count_flows(pub->group, &most) > flows_max(pub))
		if (!udp_port_evict(most->udp))
			return false;
	return true;
}

static bool
comes_too_fast(const struct publication *pub, const struct udp_flow *f)
{
	uint64_t now_ms = loop_now_ms(pub->w->loop);
	uint8_t network[RATELIMIT_KEY_LEN], port[RATELIMIT_KEY_LEN];

	key_of_network(&f->from, network);
	key_of_port(pub, port);
	return !ratelimit_take(pub->w->udp->opens, network, now_ms) ||
	       !ratelimit_take(pub->w->udp->total, port, now_ms);
}

/* Its share may be taken up by flows that nobody needs any more. */
static enum door_answer
enter_stream(struct door_pass *pass, struct publication *pub)
{
	enum door_answer a = door_stream(pass, pub);

	if (a == DOOR_SHARE && udp_port_evict(pub->udp))
		a = door_stream(pass, pub);
	return a;
}

static struct stream *
open_stream(struct publication *pub, struct udp_flow *f, const struct door_pass *pass,
    struct peer *agent, const struct stream_user *u, struct errtext *why)
{
	struct ctl_open o = { .protocol = CTL_UDP, .client = account_number(pass->account) };
	char from[ADDR_TEXT];

	if ((carrier_session(agent->carrier)->can & SESSION_DATAGRAMS) == 0) {
		err_set(why, ERR_INVALID, "the agent's protocol has no datagrams");
		return NULL;
	}
	if (rand_bytes(o.token, sizeof o.token) != 0) {
		err_set(why, ERR_SYS, "the system gives no random bytes");
		return NULL;
	}
	publication_target(pub, &o);
	snprintf(
	    o.source, sizeof o.source, "%.*s", (int)sizeof o.source - 1, addr_text(&f->from, from));
	return session_open(
	    carrier_session(agent->carrier), &o, account_budget(pass->account), u, f, why);
}

/* Through the door and on to the agent; what pass holds is the caller's in every case. */
static struct stream *
come_in(struct publication *pub, struct udp_flow *f, struct door_pass *pass,
    const struct stream_user *u, struct errtext *why)
{
	struct peer *agent = group_agent(pub->group);
	enum door_answer a;

	if (agent == NULL) {
		err_set(why, ERR_CLOSED, "the agent is away");
		return NULL;
	}
	if (comes_too_fast(pub, f)) {
		err_set(why, ERR_LIMIT, "too many new flows a second from this network, or in all");
		return NULL;
	}
	if (!has_room(pub)) {
		err_set(why, ERR_LIMIT, "the agent has as many flows as it may have");
		return NULL;
	}
	if ((a = door_enter(pass, pub, &f->from)) == DOOR_IN)
		a = enter_stream(pass, pub);
	if (a != DOOR_IN) {
		err_set(why, ERR_DENIED, "%s", door_words(a));
		return NULL;
	}
	return open_stream(pub, f, pass, agent, u, why);
}

static struct stream *
on_open(void *arg, struct udp_flow *f, const struct stream_user *u)
{
	struct publication *pub = arg;
	struct door_pass *pass = mem_zalloc(sizeof *pass);
	struct errtext why = { "out of memory" };
	struct stream *s;

	pub->n_visitors++;
	s = pass != NULL ? come_in(pub, f, pass, u, &why) : NULL;
	if (s != NULL) {
		f->own = pass;
		return s;
	}
	log_flow(pub, f, LOG_LEVEL_WARN, "turned away: %s", why.s);
	pub->n_visitors--;
	if (pass != NULL)
		door_leave(pass, pub->w);
	mem_free(pass);
	return NULL;
}

static bool
on_answer(void *arg, const struct udp_flow *f, size_t n)
{
	const struct publication *pub = arg;
	uint8_t key[RATELIMIT_KEY_LEN];

	(void)n;
	key_of_network(&f->from, key);
	return ratelimit_take(pub->w->udp->answers, key, loop_now_ms(pub->w->loop));
}

static void
on_closed(void *arg, struct udp_flow *f, uint32_t code, const char *text)
{
	struct publication *pub = arg;
	uint64_t ms = loop_now_ms(pub->w->loop) - f->since_ms;
	char counts[FLOW_COUNTS_TEXT];

	log_flow(pub, f, LOG_LEVEL_INFO,
	    "closed: %s%s%s, %s, %llu answers held back, %llu.%03llu s",
	    code == CODE_OK ? "" : frame_code_str(code), code == CODE_OK ? "" : ": ", text,
	    flow_counts_text(&f->n, counts), (unsigned long long)f->held,
	    (unsigned long long)ms / 1000, (unsigned long long)ms % 1000);
	pub->n_visitors--;
	door_leave(f->own, pub->w);
	mem_free(f->own);
}

static const struct udp_port_user port_user = {
	.open = on_open,
	.answer = on_answer,
	.closed = on_closed,
};

/* ---- ports ---- */

int
udp_start(struct publication *pub)
{
	struct udp_guard *g = guard_get(pub->w);
	struct udp_port_config cfg = {
		.fd = pub->fd,
		.max = (unsigned)flows_max(pub),
		.amplify = UDP_AMPLIFY,
		.user = &port_user,
		.arg = pub,
	};

	if (g == NULL)
		return ERR_NOMEM;
	cfg.batch = g->batch;
	pub->udp = udp_port_new(pub->w->loop, &cfg);
	if (pub->udp == NULL)
		return ERR_NOMEM;
	pub->fd = -1;
	return 0;
}

void
udp_stop(struct publication *pub)
{
	char counts[UDP_PORT_COUNTS_TEXT];

	if (pub->udp == NULL)
		return;
	log_limited(account_log(pub->account), loop_now_ms(pub->w->loop), LOG_LEVEL_INFO, "%s: %s",
	    pub->name, udp_port_counts_text(udp_port_counts(pub->udp), counts));
	udp_port_free(pub->udp);
	pub->udp = NULL;
}
