/* SPDX-License-Identifier: ISC */
/*
 * hnr_accept_agent - a relay's session with an edge-agent: login, messages, time; its streams are
 * hnr_conn.c's.
 *
 *      NEW ── `start` ──> ASKED ── session_greet ──> IN
 *      NEW, ASKED, IN ── refused, abandoned ──> OVER
 */
#include "proto/dialect/hnr_agent_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

static const char *const agent_name[N_AGENT] = { "new", "asked", "in", "over" };

static const bool agent_can[N_AGENT][N_AGENT] = {
	[AGENT_NEW] = { [AGENT_ASKED] = true, [AGENT_OVER] = true },
	[AGENT_ASKED] = { [AGENT_IN] = true, [AGENT_OVER] = true },
	[AGENT_IN] = { [AGENT_OVER] = true },
};

static void
set_agent(struct hnr_agent *a, enum hnr_agent_state next)
{
	assert(agent_can[a->state][next]);
	log_debug("hnr agent: %s -> %s", agent_name[a->state], agent_name[next]);
	a->state = next;
}

/* ---- opening ---- */

static struct stream *
agent_open(struct session *s, const struct ctl_open *o, struct budget *charge,
    const struct stream_user *user, void *arg, struct errtext *why)
{
	struct hnr_agent *a = hnr_agent_of(s);
	struct hnr_conn *c = NULL;

	if (s->going || a->state != AGENT_IN)
		s->open_error = err_set(why, ERR_CLOSED, "the session is going away");
	else if (o->service[0] != '\0')
		s->open_error = err_set(why, ERR_NOTFOUND,
		    "the agent's protocol has no services by name, only hosts and ports");
	else if (s->n_streams >= a->cfg.streams_max)
		s->open_error =
		    err_set(why, ERR_LIMIT, "too many streams in this session (%u)", s->n_streams);
	else if ((c = hnr_conn_new(a, o, charge)) == NULL)
		s->open_error = err_set(why, ERR_NOMEM, "out of memory");
	if (c == NULL)
		return NULL;
	stream_set_user(&c->s, user, arg);
	hnr_conn_set_turn(c);
	return &c->s;
}

/* ---- what the agent says ---- */

static int
take_start(struct hnr_agent *a, const struct hnr_msg *m, struct errtext *why)
{
	/* Agents that know no keep_alive, and have said so (the reference's two texts). */
	static const char *const old[] = { "'keep_alive'", "'successfully_ssh_connected'" };
	struct ctl_hello h = { .version = CTL_VERSION, .role = CTL_AGENT };
	enum session_verdict v;
	char text[128];

	if (m->kind != HNR_START)
		return err_set(why, ERR_PROTO, "the first message is no start");
	for (size_t i = 0; i < 2 && m->last_error != NULL; i++) {
		snprintf(text, sizeof text,
		    "Input tag %s found using 'kind' does not match any of the expected tags",
		    old[i]);
		a->is_old |= strstr(m->last_error, text) != NULL;
	}
	if (strlen(m->name) >= sizeof h.name || strlen(m->secret) >= sizeof h.secret)
		return err_set(why, ERR_DENIED, "no such agent: its name or secret is too long");
	memcpy(h.name, m->name, strlen(m->name) + 1);
	memcpy(h.secret, m->secret, strlen(m->secret) + 1);
	snprintf(h.software, sizeof h.software, "http-network-relay");
	/* Each process has one session, and nothing tells it from another. */
	if (rand_bytes(h.instance, sizeof h.instance) != 0) {
		ctl_hello_wipe(&h);
		return err_set(why, ERR_SYS, "the system gives no random bytes");
	}
	set_agent(a, AGENT_ASKED);
	v = a->s.user->hello(a->s.arg, &h);
	ctl_hello_wipe(&h);
	if (v == SESSION_REFUSED && a->state != AGENT_OVER)
		set_agent(a, AGENT_OVER);
	return 0;
}

/* The reference's texts begin with Python's number of the error. */
static uint32_t
error_code(const char *text)
{
	if (strncmp(text, "[Errno 111]", 11) == 0)
		return CODE_REFUSED;
	return strncmp(text, "[Errno 110]", 11) == 0 ? CODE_TIMEOUT : CODE_UNREACHABLE;
}

static int
take_message(struct hnr_agent *a, struct hnr_msg *m, struct errtext *why)
{
	struct hnr_conn *c = NULL;

	if (m->kind == HNR_START)
		return err_set(why, ERR_PROTO, "a second start");
	if (m->kind == HNR_KEEP_ALIVE)
		return 0;
	HASH_FIND_STR(a->conns, m->id, c);
	/* It may have crossed our connection_close. */
	if (c == NULL)
		return 0;
	switch (m->kind) {
	case HNR_INITIATE_OK:
		hnr_conn_opened(c);
		break;
	case HNR_INITIATE_ERROR:
		hnr_conn_ended(c, error_code(m->message), m->message);
		break;
	case HNR_DATA:
		return hnr_conn_data(c, &m->data);
	default:
		/* What has not begun cannot end well. */
		if (strcmp(m->message, HNR_ENDED) == 0 && c->state != CONN_ASKED)
			hnr_conn_ended(c, CODE_OK, "");
		else
			hnr_conn_ended(c, CODE_RESET, m->message);
	}
	return 0;
}

static int
agent_input(struct session *s, struct bufq *in, uint64_t now_us, struct errtext *why)
{
	struct hnr_agent *a = hnr_agent_of(s);
	struct hnr_msg m;
	int r;

	a->now_us = now_us > a->now_us ? now_us : a->now_us;
	s->heard_us = a->now_us;
	if (a->state == AGENT_OVER) {
		bufq_drain(in, in->len);
		return 0;
	}
	r = hnr_msg_read(&m, HNR_FROM_AGENT, in, why);
	if (a->state == AGENT_NEW)
		bufq_wipe(in, 0, in->len);
	bufq_drain(in, in->len);
	if (r != 0)
		return r;
	if (a->state == AGENT_NEW)
		r = take_start(a, &m, why);
	else if (a->state == AGENT_IN)
		r = take_message(a, &m, why);
	hnr_msg_fini(&m);
	hnr_conns_free(a);
	return r;
}

/* ---- what the relay says ---- */

static int
agent_output(struct session *s, struct bufq *out, size_t max, uint64_t now_us)
{
	static const struct hnr_msg keep_alive = { .kind = HNR_KEEP_ALIVE };
	struct hnr_agent *a = hnr_agent_of(s);
	int r = 0;

	a->now_us = now_us > a->now_us ? now_us : a->now_us;
	/* Without room only the session's end would be said, for which there are no words. */
	if (max == 0)
		return 0;
	alive_ask_due(&a->alive, s);
	if (a->keep_alive_due) {
		r = hnr_msg_write(out, HNR_TO_AGENT, &keep_alive);
		a->keep_alive_due = r != 0;
	} else if (!TAILQ_EMPTY(&a->turns)) {
		r = hnr_conn_say(a, out);
		hnr_conns_free(a);
	}
	return r;
}

static void
agent_ping(struct session *s)
{
	inflow_listen(&hnr_agent_of(s)->inflow);
	alive_ask(s);
}

static void
agent_ponged(struct session *s, uint64_t now_us)
{
	struct hnr_agent *a = hnr_agent_of(s);

	a->now_us = now_us > a->now_us ? now_us : a->now_us;
	hnr_conns_arrived(a);
}

static bool
agent_has_output(const struct session *s)
{
	const struct hnr_agent *a = hnr_agent_of(s);

	return a->keep_alive_due || a->alive.ask_due || !TAILQ_EMPTY(&a->turns);
}

static int
agent_greet(struct session *s, const struct ctl_hello *h)
{
	struct hnr_agent *a = hnr_agent_of(s);

	(void)h; /* silence says that it is in */
	set_agent(a, AGENT_IN);
	if (!a->is_old)
		a->keep_alive_us = a->now_us + HNR_KEEP_ALIVE_TO_AGENT_US;
	/* So that the carrier learns of that time. */
	hnr_agent_want_output(a);
	return 0;
}

static void
agent_goaway(struct session *s, uint32_t code, const char *text)
{
	(void)code; /* there are no words for it */
	(void)text;
	s->going = true;
}

/* ---- time and the end ---- */

static int
agent_tick(struct session *s, uint64_t now_us, struct errtext *why)
{
	struct hnr_agent *a = hnr_agent_of(s);

	a->now_us = now_us > a->now_us ? now_us : a->now_us;
	inflow_tick(&a->inflow, a->now_us);
	if (a->now_us >= a->keep_alive_us) {
		a->keep_alive_us = a->now_us + HNR_KEEP_ALIVE_TO_AGENT_US;
		a->keep_alive_due = true;
		hnr_agent_want_output(a);
	}
	hnr_conns_cut(a);
	return alive_tick(&a->alive, s, a->now_us, why);
}

static uint64_t
agent_deadline_us(const struct session *s)
{
	const struct hnr_agent *a = hnr_agent_of(s);
	const struct hnr_conn *c = TAILQ_FIRST(&a->idle);
	uint64_t due = alive_deadline_us(&a->alive, s), other = inflow_deadline_us(&a->inflow);

	if (other < due)
		due = other;
	if (a->keep_alive_us < due)
		due = a->keep_alive_us;
	return c != NULL && c->idle_us < due ? c->idle_us : due;
}

static void
agent_abandon(struct session *s, uint32_t code, const char *text)
{
	struct hnr_agent *a = hnr_agent_of(s);
	struct hnr_conn *c;

	s->user = NULL;
	s->going = true;
	a->keep_alive_us = UINT64_MAX;
	a->keep_alive_due = a->alive.ask_due = false;
	if (a->state != AGENT_OVER)
		set_agent(a, AGENT_OVER);
	while ((c = a->conns) != NULL) {
		const struct stream_user *u = c->s.user;
		void *arg = c->s.arg;

		hnr_conn_gone(c);
		if (u != NULL)
			u->closed(arg, code, text);
	}
}

static void
agent_free(struct session *s)
{
	struct hnr_agent *a = hnr_agent_of(s);

	agent_abandon(s, CODE_LOST, "");
	hnr_conns_free(a);
	mem_free(a);
}

static const struct session_ops agent_ops = {
	.name = "http-network-relay edge-agent",
	.input = agent_input,
	.output = agent_output,
	.has_output = agent_has_output,
	.open = agent_open,
	.greet = agent_greet,
	.goaway = agent_goaway,
	.ping = agent_ping,
	.ponged = agent_ponged,
	.tick = agent_tick,
	.deadline_us = agent_deadline_us,
	.abandon = agent_abandon,
	.free = agent_free,
};

struct session *
hnr_accept_agent(const struct mux_config *cfg, const struct dialect_from *from, uint64_t now_us)
{
	struct hnr_agent *a = mem_zalloc(sizeof *a);

	(void)from; /* it says who it is */
	if (a == NULL)
		return NULL;
	a->s.ops = &agent_ops;
	a->s.budget = cfg->budget;
	a->s.heard_us = a->now_us = now_us;
	a->cfg = *cfg;
	if (a->cfg.streams_max == 0)
		a->cfg.streams_max = MUX_STREAMS_MAX;
	alive_init(&a->alive, cfg, now_us);
	inflow_init(&a->inflow, &a->s);
	a->keep_alive_us = UINT64_MAX;
	TAILQ_INIT(&a->turns);
	TAILQ_INIT(&a->idle);
	TAILQ_INIT(&a->gone);
	return &a->s;
}
