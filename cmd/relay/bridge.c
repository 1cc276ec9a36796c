/* SPDX-License-Identifier: ISC */
/* bridge - a client's stream joined to an agent's.  Copies of payload: 0. */
#include "cmd/relay/bridge.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "proto/dialect/inflow.h"

enum { CLIENT, AGENT };

static const char *const side_name[] = { "client", "agent" };

/* What one side's protocol can do, and how far it is. */
struct side {
	/* SESSION_HALF_CLOSE and so on. */
	unsigned can;
	/* Bytes that went to it, and those that wait for that. */
	uint64_t sent, waiting;
	/* It will send no more; it was told that the other will not. */
	bool ended, told;
};

struct bridge {
	struct side side[2];
	/* NULL once gone */
	struct stream *client, *agent;
	/* the client's; a reference */
	struct party *party;
	/* its bytes are, while the client's stream is there */
	bool counted;
	/* bytes of both ways that wait for the next hop */
	uint64_t held;
	/* while there are any */
	TAILQ_ENTRY(bridge) held_link;
	struct worker *w;
	uint64_t since_ms;
	/* bytes from the client, and sent to it */
	uint64_t up, down;
	/* end to end: in its client's list, while the client's stream is there */
	bool e2e;
	LIST_ENTRY(bridge) e2e_link;
	/* a stream of datagrams: those that came, and those that were dropped here, both ways */
	bool datagrams;
	uint64_t n_up, n_down, n_dropped;
	struct grave grave;
	bool over;
	/* for logs */
	char label[];
};

#define LABEL_TEXT (ADDR_TEXT + CTL_AGENT_MAX + RELAY_TARGET_TEXT + 8)

static void
bridge_dispose(void *arg)
{
	mem_free(arg);
}

/* ---- what a client's streams make us hold ---- */

static struct account *
payer(const struct bridge *b)
{
	return b->party->key.account;
}

static void
held_more(struct bridge *b, uint64_t n)
{
	if (!b->counted || n == 0)
		return;
	if (b->held == 0)
		TAILQ_INSERT_TAIL(&b->party->held_by, b, held_link);
	b->held += n;
	account_hold(payer(b), n);
}

static void
held_less(struct bridge *b, uint64_t n)
{
	if (!b->counted || n == 0)
		return;
	b->held -= n;
	account_pass(payer(b), n);
	if (b->held == 0)
		TAILQ_REMOVE(&b->party->held_by, b, held_link);
}

static void
held_none(struct bridge *b)
{
	held_less(b, b->held);
	b->counted = false;
}

static void
bridge_end(struct bridge *b, const char *side, uint32_t code, const char *text)
{
	uint64_t ms = loop_now_ms(b->w->loop) - b->since_ms;
	char datagrams[96] = "";

	if (b->over)
		return;
	b->over = true;
	if (b->datagrams)
		snprintf(datagrams, sizeof datagrams,
		    " in %llu datagrams up, %llu down, %llu dropped here",
		    (unsigned long long)b->n_up, (unsigned long long)b->n_down,
		    (unsigned long long)b->n_dropped);
	log_limited(account_log(payer(b)), loop_now_ms(b->w->loop), LOG_LEVEL_INFO,
	    "stream %s: closed by %s: %s%s%s, %llu bytes up, %llu down%s, %llu.%03llu s", b->label,
	    side, code == CODE_OK ? "ended" : frame_code_str(code), text[0] != '\0' ? ": " : "",
	    text, (unsigned long long)b->up, (unsigned long long)b->down, datagrams,
	    (unsigned long long)ms / 1000, (unsigned long long)ms % 1000);
	b->party->streams--;
	account_close(payer(b));
	party_put(b->w, b->party);
	loop_bury(b->w->loop, &b->grave, bridge_dispose, b);
}

/* ---- what is missing in a protocol, made up for (bridge.h) ---- */

static struct stream *
stream_at(const struct bridge *b, int i)
{
	return i == CLIENT ? b->client : b->agent;
}

/* The stream at this side is over. */
static void
leave_side(struct bridge *b, int i)
{
	if (i == AGENT) {
		b->agent = NULL;
		return;
	}
	b->client = NULL;
	if (b->e2e)
		LIST_REMOVE(b, e2e_link);
	b->e2e = false;
}

/*
 * What went to side i stands for acknowledged, if that side has no words for it.  The other may be
 * gone afterwards.
 */
static void
ack_for(struct bridge *b, int i)
{
	const struct side *x = &b->side[i];
	struct stream *other = stream_at(b, 1 - i);

	if (other != NULL && (x->can & SESSION_ACKS) == 0 &&
	    (b->side[1 - i].can & SESSION_ACKS) != 0)
		stream_ack(other, x->sent, x->told && x->waiting == 0);
}

/*
 * Side i is over: the end of the other's half stands for acknowledged too.  The other may be gone
 * afterwards.
 */
static void
ack_end_for(struct bridge *b, int i)
{
	const struct side *x = &b->side[i], *y = &b->side[1 - i];
	struct stream *other = stream_at(b, 1 - i);

	if (other != NULL && y->ended && (x->can & SESSION_ACKS) == 0 &&
	    (y->can & SESSION_ACKS) != 0)
		stream_ack(other, x->sent, true);
}

/* Side i learns that no more will come.  The streams may be gone afterwards. */
static void
tell_end(struct bridge *b, int i)
{
	if (stream_at(b, i) == NULL || b->side[i].told)
		return;
	b->side[i].told = true;
	stream_eof(stream_at(b, i));
	if (b->side[i].waiting == 0)
		ack_for(b, i);
}

/* Side i has said that it will send no more. */
static void
take_end(struct bridge *b, int i)
{
	b->side[i].ended = true;
	if (stream_at(b, 1 - i) == NULL) {
		ack_end_for(b, 1 - i);
		return;
	}
	tell_end(b, 1 - i);
}

static void
take_sent(struct bridge *b, int i, size_t n)
{
	struct stream *other = stream_at(b, 1 - i);

	b->side[i].sent += n;
	b->side[i].waiting -= n;
	if (other != NULL)
		stream_consumed(other, n);
	ack_for(b, i);
}

static void
take_ack(struct bridge *b, int i, uint64_t off, bool eof)
{
	struct stream *other = stream_at(b, 1 - i);

	if (other != NULL && (b->side[1 - i].can & SESSION_ACKS) != 0)
		stream_ack(other, off, eof);
}

/* ---- the end ---- */

static void
bridge_break(struct bridge *b, const char *side, uint32_t code, const char *text)
{
	struct stream *client = b->client, *agent = b->agent;

	leave_side(b, CLIENT);
	leave_side(b, AGENT);
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

	leave_side(b, CLIENT);
	leave_side(b, AGENT);
	held_none(b);
	if (client != NULL)
		stream_abort(client, code, text);
	if (agent != NULL)
		stream_abort(agent, code, text);
	bridge_end(b, "relay", code, text);
}

void
bridges_end_e2e(struct peer *client, uint32_t code, const char *text)
{
	struct bridge *b;

	while ((b = LIST_FIRST(&client->e2e)) != NULL)
		bridge_abort(b, code, text);
}

static struct bridge *
fullest(const struct party *y)
{
	struct bridge *b, *most = NULL;

	TAILQ_FOREACH (b, &y->held_by, held_link)
		if (most == NULL || b->held > most->held)
			most = b;
	return most;
}

/* Its protocol cannot stop one stream by itself: there are no windows that keep to the budget. */
static bool
has_windows(const struct side *x)
{
	return (x->can & SESSION_ACKS) != 0;
}

/*
 * Of what the account has at other agents nothing can be taken back here.
 *   windows  did the last bytes come in a window?
 */
static void
keep_to_limit(struct party *y, bool windows)
{
	struct account *a = y->key.account;
	struct bridge *b;

	while (account_is_over(a) || (!windows && budget_is_over(account_budget(a)))) {
		b = fullest(y);
		if (b == NULL || (b->held <= INFLOW_FLOOR && !account_is_over(a)))
			break;
		bridge_abort(b, CODE_LIMIT,
		    "the streams of this identity hold more than they may in the relay "
		    "(--identity-memory)");
	}
}

/* Bytes from side i. */
static void
pass_data(struct bridge *b, int i, struct bufq *in)
{
	struct stream *to = stream_at(b, 1 - i);
	size_t n = in->len;

	if (to == NULL) {
		/* As a closed socket answers late data. */
		bufq_drain(in, n);
		bridge_break(b, side_name[1 - i], CODE_GONE, "the other side has closed");
		return;
	}
	held_more(b, n);
	b->side[1 - i].waiting += n;
	if (stream_send(to, in, n) != 0) {
		bridge_break(b, "relay", CODE_INTERNAL, "out of memory");
		return;
	}
	if (b->counted)
		keep_to_limit(b->party, has_windows(&b->side[i]));
}

/* The client is gone in good order, and the agent cannot be told that one half of it is. */
static void
end_agent(struct bridge *b)
{
	struct stream *agent = b->agent;

	leave_side(b, AGENT);
	stream_reset(agent, CODE_OK, "");
	bridge_end(b, side_name[CLIENT], CODE_OK, "");
}

/* Side i is over, in good order or not. */
static void
pass_closed(struct bridge *b, int i, uint32_t code, const char *text)
{
	bool lost = b->side[i].waiting > 0 && (b->side[i].can & SESSION_ACKS) == 0;

	leave_side(b, i);
	if (code != CODE_OK) {
		bridge_break(b, side_name[i], code, text);
	} else if (stream_at(b, 1 - i) == NULL) {
		bridge_end(b, side_name[i], CODE_OK, "");
	} else if (lost) {
		bridge_break(b, side_name[i], CODE_GONE, "closed before it had everything");
	} else if (i == CLIENT && (b->side[AGENT].can & SESSION_HALF_CLOSE) == 0) {
		end_agent(b);
	} else {
		/* One that knows no half-closes ends as a whole. */
		tell_end(b, 1 - i);
		ack_end_for(b, i);
	}
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
	pass_data(b, CLIENT, in);
}

static void
client_eof(void *arg)
{
	take_end(arg, CLIENT);
}

static void
client_sent(void *arg, size_t n)
{
	struct bridge *b = arg;

	held_less(b, n);
	b->down += n;
	take_sent(b, CLIENT, n);
}

static void
client_acked(void *arg, uint64_t off, bool eof)
{
	take_ack(arg, CLIENT, off, eof);
}

static void
client_closed(void *arg, uint32_t code, const char *text)
{
	struct bridge *b = arg;

	held_none(b);
	pass_closed(b, CLIENT, code, text);
}

static const struct stream_user client_user = {
	.opened = client_opened,
	.data = client_data,
	.eof = client_eof,
	.sent = client_sent,
	.acked = client_acked,
	.closed = client_closed,
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
	pass_data(arg, AGENT, in);
}

static void
agent_eof(void *arg)
{
	take_end(arg, AGENT);
}

static void
agent_sent(void *arg, size_t n)
{
	struct bridge *b = arg;

	held_less(b, n);
	take_sent(b, AGENT, n);
}

static void
agent_acked(void *arg, uint64_t off, bool eof)
{
	take_ack(arg, AGENT, off, eof);
}

static void
agent_closed(void *arg, uint32_t code, const char *text)
{
	pass_closed(arg, AGENT, code, text);
}

static const struct stream_user agent_user = {
	.opened = agent_opened,
	.data = agent_data,
	.eof = agent_eof,
	.sent = agent_sent,
	.acked = agent_acked,
	.closed = agent_closed,
};

/* ---- datagrams: each is passed on at once, or dropped (stream_datagram) ---- */

/* One from side i. */
static void
pass_datagram(struct bridge *b, int i, struct bufq *in)
{
	struct stream *to = stream_at(b, 1 - i);
	unsigned dropped;

	if (to == NULL)
		return;
	if (i == CLIENT) {
		b->n_up++;
		b->up += in->len;
	} else {
		b->n_down++;
		b->down += in->len;
	}
	if (stream_datagram(to, in, &dropped) != 0)
		dropped = 1;
	b->n_dropped += dropped;
}

static void
client_datagram(void *arg, struct bufq *in)
{
	pass_datagram(arg, CLIENT, in);
}

static void
agent_datagram(void *arg, struct bufq *in)
{
	pass_datagram(arg, AGENT, in);
}

static void
datagram_sent(void *arg, size_t n)
{
	/* What waits is the streams' own business. */
	(void)arg;
	(void)n;
}

static const struct stream_user client_datagrams = {
	.opened = client_opened,
	.datagram = client_datagram,
	.sent = datagram_sent,
	.closed = client_closed,
};

static const struct stream_user agent_datagrams = {
	.opened = agent_opened,
	.datagram = agent_datagram,
	.sent = datagram_sent,
	.closed = agent_closed,
};

/* ---- opening ---- */

const char *
relay_target_text(const struct ctl_open *o, char out[RELAY_TARGET_TEXT])
{
	if (ctl_open_is_e2e(o))
		snprintf(out, RELAY_TARGET_TEXT, "(end to end)");
	else if (o->service[0] != '\0')
		snprintf(out, RELAY_TARGET_TEXT, "%s", o->service);
	else
		snprintf(out, RELAY_TARGET_TEXT, "%s:%u", o->host, o->port);
	return out;
}

void
bridge_open(struct peer *client, struct peer *agent, struct stream *s, const struct ctl_open *o)
{
	char target[RELAY_TARGET_TEXT], label[LABEL_TEXT];
	int len = snprintf(label, sizeof label, "%s -> %s:%s", client->from, agent->name,
	    relay_target_text(o, target));
	struct bridge *b = mem_zalloc(sizeof *b + (size_t)len + 1);
	struct ctl_open onward = *o;
	bool datagrams = strcmp(o->protocol, CTL_UDP) == 0;
	unsigned can = carrier_session(agent->carrier)->can;
	struct errtext why = { "" };

	if (b == NULL) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		return;
	}
	b->w = client->w;
	b->datagrams = datagrams;
	b->since_ms = loop_now_ms(b->w->loop);
	memcpy(b->label, label, (size_t)len + 1);
	/* What the client says of its own address is not believed. */
	snprintf(onward.source, sizeof onward.source, "%.*s", (int)sizeof onward.source - 1,
	    client->from);
	if (datagrams && (can & SESSION_DATAGRAMS) == 0) {
		peer_deny(client, s, o, CODE_NOT_FOUND, "the agent's protocol has no datagrams");
		mem_free(b);
		return;
	}
	if (ctl_open_is_e2e(o) && (can & SESSION_E2E) == 0) {
		peer_deny(client, s, o, CODE_NOT_FOUND,
		    "the agent's protocol has no end-to-end sessions");
		mem_free(b);
		return;
	}
	if (!account_open(client->account)) {
		peer_deny(
		    client, s, o, CODE_LIMIT, "this identity has as many streams as it may have");
		mem_free(b);
		return;
	}
	onward.client = account_number(client->account);
	b->agent = session_open(carrier_session(agent->carrier), &onward,
	    account_budget(client->account), datagrams ? &agent_datagrams : &agent_user, b, &why);
	if (b->agent == NULL) {
		account_close(client->account);
		peer_deny(client, s, o, session_open_code(carrier_session(agent->carrier)), why.s);
		mem_free(b);
		return;
	}
	b->client = s;
	b->e2e = ctl_open_is_e2e(o);
	if (b->e2e)
		LIST_INSERT_HEAD(&client->e2e, b, e2e_link);
	b->side[CLIENT] = (struct side){ .can = carrier_session(client->carrier)->can };
	b->side[AGENT] = (struct side){ .can = can };
	b->party = party_ref(client->party);
	b->party->streams++;
	b->counted = true;
	stream_set_user(s, datagrams ? &client_datagrams : &client_user, b);
	log_limited(
	    account_log(payer(b)), b->since_ms, LOG_LEVEL_INFO, "stream %s: opened", b->label);
}
