/* SPDX-License-Identifier: ISC */
/* bridge - a client's stream joined to an agent's.  Copies of payload: 0. */
#include "cmd/relay/bridge.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/log_limit.h"
#include "lib/base/mem.h"

struct bridge {
	struct stream *client, *agent; /* NULL once gone */
	struct peer *owner;            /* the client, while its stream is there */
	uint64_t held;                 /* bytes of both ways that wait for the next hop */
	TAILQ_ENTRY(bridge) held_turn; /* while there are any */
	struct worker *w;
	struct log_limit *log; /* the client's, or the worker's */
	uint64_t since_ms;
	uint64_t up, down; /* bytes from the client, and sent to it */
	char label[ADDR_TEXT + CTL_NAME_MAX + CTL_HOST_MAX + 16];
	struct grave grave;
	bool over;
};

static void
bridge_dispose(void *arg)
{
	mem_free(arg);
}

/* ---- what a client's streams make us hold ---- */

static void
held_more(struct bridge *b, uint64_t n)
{
	if (b->owner == NULL || n == 0)
		return;
	if (b->held == 0)
		TAILQ_INSERT_TAIL(&b->owner->held_by, b, held_turn);
	b->held += n;
	b->owner->held += n;
}

/* It moves: it goes behind those that do not. */
static void
held_less(struct bridge *b, uint64_t n)
{
	if (b->owner == NULL || n == 0)
		return;
	TAILQ_REMOVE(&b->owner->held_by, b, held_turn);
	b->held -= n;
	b->owner->held -= n;
	if (b->held > 0)
		TAILQ_INSERT_TAIL(&b->owner->held_by, b, held_turn);
}

static void
held_none(struct bridge *b)
{
	held_less(b, b->held);
	b->owner = NULL;
}

static void
bridge_end(struct bridge *b, const char *side, uint32_t code, const char *text)
{
	uint64_t ms = loop_now_ms(b->w->loop) - b->since_ms;

	if (b->over)
		return;
	b->over = true;
	log_limited(b->log, loop_now_ms(b->w->loop), LOG_LEVEL_INFO,
	    "stream %s: closed by %s: %s%s%s, %llu bytes up, %llu down, %llu.%03llu s", b->label,
	    side, code == CODE_OK ? "ended" : frame_code_str(code), text[0] != '\0' ? ": " : "",
	    text, (unsigned long long)b->up, (unsigned long long)b->down,
	    (unsigned long long)ms / 1000, (unsigned long long)ms % 1000);
	loop_bury(b->w->loop, &b->grave, bridge_dispose, b);
}

static void
bridge_break(struct bridge *b, const char *side, uint32_t code, const char *text)
{
	struct stream *client = b->client, *agent = b->agent;

	b->client = b->agent = NULL;
	held_none(b);
	if (client != NULL)
		stream_reset(client, code, text);
	if (agent != NULL)
		stream_reset(agent, code, text);
	bridge_end(b, side, code, text);
}

/* As bridge_break, but what is queued is not waited for: it is what we want to be rid of. */
static void
bridge_abort(struct bridge *b, uint32_t code, const char *text)
{
	struct stream *client = b->client, *agent = b->agent;

	b->client = b->agent = NULL;
	held_none(b);
	if (client != NULL)
		stream_abort(client, code, text);
	if (agent != NULL)
		stream_abort(agent, code, text);
	bridge_end(b, "relay", code, text);
}

static void
keep_to_limit(struct peer *client)
{
	char why[80];

	snprintf(why, sizeof why, "the streams of this client hold more than %d MiB in the relay",
	    RELAY_HELD_MAX / (1024 * 1024));
	while (client->held > RELAY_HELD_MAX)
		bridge_abort(TAILQ_FIRST(&client->held_by), CODE_LIMIT, why);
}

static void
pass_data(struct bridge *b, struct stream *to, struct bufq *in)
{
	size_t n = in->len;

	if (to == NULL)
		return;
	held_more(b, n);
	if (stream_send(to, in, n) != 0) {
		bridge_break(b, "relay", CODE_INTERNAL, "out of memory");
		return;
	}
	if (b->owner != NULL && b->owner->held > RELAY_HELD_MAX)
		keep_to_limit(b->owner);
}

static void
pass_closed(
    struct bridge *b, const char *side, struct stream *other, uint32_t code, const char *text)
{
	if (code != CODE_OK)
		bridge_break(b, side, code, text);
	else if (other == NULL)
		bridge_end(b, side, CODE_OK, "");
}

/* ---- the client's side ---- */

static void
client_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)arg; /* never: the client opened it */
	(void)ok;
}

static void
client_data(void *arg, struct bufq *in)
{
	struct bridge *b = arg;

	b->up += in->len;
	pass_data(b, b->agent, in);
}

static void
client_eof(void *arg)
{
	struct bridge *b = arg;

	if (b->agent != NULL)
		stream_eof(b->agent);
}

static void
client_sent(void *arg, size_t n)
{
	struct bridge *b = arg;

	held_less(b, n);
	b->down += n;
	if (b->agent != NULL)
		stream_consumed(b->agent, n);
}

static void
client_acked(void *arg, uint64_t off, bool eof)
{
	struct bridge *b = arg;

	if (b->agent != NULL)
		stream_ack(b->agent, off, eof);
}

static void
client_closed(void *arg, uint32_t code, const char *text)
{
	struct bridge *b = arg;

	b->client = NULL;
	held_none(b);
	pass_closed(b, "client", b->agent, code, text);
	/* From here on the client may be gone. */
	b->log = &b->w->left_log;
}

static const struct stream_user client_user = {
	client_opened,
	client_data,
	client_eof,
	client_sent,
	client_acked,
	client_closed,
};

/* ---- the agent's side ---- */

static void
agent_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct bridge *b = arg;

	if (b->client != NULL && stream_accept(b->client, ok) != 0)
		bridge_break(b, "relay", CODE_INTERNAL, "out of memory");
}

static void
agent_data(void *arg, struct bufq *in)
{
	struct bridge *b = arg;

	pass_data(b, b->client, in);
}

static void
agent_eof(void *arg)
{
	struct bridge *b = arg;

	if (b->client != NULL)
		stream_eof(b->client);
}

static void
agent_sent(void *arg, size_t n)
{
	struct bridge *b = arg;

	held_less(b, n);
	if (b->client != NULL)
		stream_consumed(b->client, n);
}

static void
agent_acked(void *arg, uint64_t off, bool eof)
{
	struct bridge *b = arg;

	if (b->client != NULL)
		stream_ack(b->client, off, eof);
}

static void
agent_closed(void *arg, uint32_t code, const char *text)
{
	struct bridge *b = arg;

	b->agent = NULL;
	pass_closed(b, "agent", b->client, code, text);
}

static const struct stream_user agent_user = {
	agent_opened,
	agent_data,
	agent_eof,
	agent_sent,
	agent_acked,
	agent_closed,
};

/* ---- opening ---- */

const char *
relay_target_text(const struct ctl_open *o, char out[RELAY_TARGET_TEXT])
{
	if (o->service[0] != '\0')
		snprintf(out, RELAY_TARGET_TEXT, "%s", o->service);
	else
		snprintf(out, RELAY_TARGET_TEXT, "%s:%u", o->host, o->port);
	return out;
}

void
bridge_open(struct peer *client, struct peer *agent, struct stream *s, const struct ctl_open *o)
{
	struct bridge *b = mem_zalloc(sizeof *b);
	struct ctl_open onward = *o;
	struct errtext why = { "" };
	char target[RELAY_TARGET_TEXT];

	if (b == NULL) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		return;
	}
	b->w = client->w;
	b->log = &client->log;
	b->since_ms = loop_now_ms(b->w->loop);
	snprintf(b->label, sizeof b->label, "%s -> %s:%s", client->from, agent->name,
	    relay_target_text(o, target));
	/* What the client says of its own address is not believed. */
	snprintf(onward.source, sizeof onward.source, "%.*s", (int)sizeof onward.source - 1,
	    client->from);
	b->agent = session_open(carrier_session(agent->carrier), &onward, &agent_user, b, &why);
	if (b->agent == NULL) {
		peer_deny(client, s, o, session_open_code(carrier_session(agent->carrier)), why.s);
		mem_free(b);
		return;
	}
	b->client = s;
	b->owner = client;
	stream_set_user(s, &client_user, b);
	log_limited(b->log, b->since_ms, LOG_LEVEL_INFO, "stream %s: opened", b->label);
}
