/* SPDX-License-Identifier: ISC */
/*
 * hnr_fuzz - http-network-relay: what a message says, and sessions of our relay against an
 * edge-agent or an access-client that says anything.
 *
 * Input: one byte of setting, three of seed, then messages, each behind its length in two bytes.
 *   bits 0-1  whose messages they are (enum hnr_way); of those to the relay a session is made
 *   bit 2     in the end the client's WebSocket ends well;  bit 3  hello refuses
 *   bit 4     memory fails now and then
 *   bit 5     before the messages comes what logs in, and between them targets that answer
 *
 * The fast path must say what the strict parser does; what was read is written and read again.
 * What a session says must be messages of the protocol, and nothing to a client before start_ok.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "proto/dialect/hnr_accept.h"
#include "proto/dialect/hnr_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SETTING = 4, STREAMS = 8, SEND_MAX = 70000 };

struct use {
	struct world *w;
	/* NULL: free */
	struct stream *s;
	uint64_t got, taken;
};

struct world {
	struct session *s;
	struct use use[STREAMS];
	struct budget budget;
	uint32_t seed, depth;
	uint64_t now_us;
	enum hnr_way way;
	enum session_verdict verdict;
	bool stopped, started, over, may_fail;
	/* The last one that was said to an agent. */
	char id[HNR_ID_MAX + 1];
};

static uint8_t zeros[SEND_MAX];

static uint32_t
pick(struct world *w, uint32_t n)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 16) % n;
}

/* ---- messages ---- */

static void
check_same(const struct hnr_msg *a, const struct hnr_msg *b)
{
	const char *const p[] = { a->name, a->last_error, a->agent, a->secret, a->host, a->protocol,
		a->message };
	const char *const q[] = { b->name, b->last_error, b->agent, b->secret, b->host, b->protocol,
		b->message };

	assert(a->kind == b->kind && a->port == b->port && strcmp(a->id, b->id) == 0);
	for (size_t i = 0; i < sizeof p / sizeof p[0]; i++)
		assert(
		    (p[i] == NULL) == (q[i] == NULL) && (p[i] == NULL || strcmp(p[i], q[i]) == 0));
	assert(a->data.len == b->data.len);
	for (size_t off = 0; off < a->data.len; off++) {
		uint8_t x, y;

		bufq_read(&a->data, off, &x, 1);
		bufq_read(&b->data, off, &y, 1);
		assert(x == y);
		if (off > 64)
			off += 61;
	}
}

static void
write_again(const struct hnr_msg *m, enum hnr_way way, struct bufq *out)
{
	bool ids = way == HNR_FROM_AGENT || way == HNR_TO_AGENT;
	struct bufq data = { 0 };

	if (m->kind != HNR_DATA) {
		assert(hnr_msg_write(out, way, m) == 0);
		return;
	}
	if ((ids && !hnr_id_is_plain(m->id)) || m->data.len > HNR_DATA_MAX)
		return;
	assert(bufq_share(&data, &m->data, 0, m->data.len) == 0);
	assert(hnr_data_write(out, ids ? m->id : NULL, &data, data.len) == 0);
	assert(data.len == 0);
}

static void
try_message(enum hnr_way way, const uint8_t *p, size_t n)
{
	struct bufq in = { 0 }, spaced = { 0 }, again = { 0 };
	struct hnr_msg a, b, c;
	struct errtext why;
	int r;

	for (size_t off = 0; off < n; off += 7)
		assert(bufq_copy(&in, p + off, n - off < 7 ? n - off : 7) == 0);
	assert(bufq_copy(&spaced, " ", 1) == 0 && bufq_copy(&spaced, p, n) == 0);
	r = hnr_msg_read(&a, way, &in, &why);
	assert(hnr_msg_read(&b, way, &spaced, &why) == r);
	if (r == 0) {
		check_same(&a, &b);
		write_again(&a, way, &again);
		if (again.len > 0) {
			assert(hnr_msg_read(&c, way, &again, &why) == 0);
			check_same(&a, &c);
			hnr_msg_fini(&c);
		}
	}
	hnr_msg_fini(&a);
	hnr_msg_fini(&b);
	bufq_fini(&in);
	bufq_fini(&spaced);
	bufq_fini(&again);
}

/* ---- a stream's user ---- */

static void act(struct world *w, struct use *u);

static void
in_callback(struct world *w, struct use *u)
{
	if (w->depth >= 3 || pick(w, 4) != 0)
		return;
	w->depth++;
	act(w, u);
	w->depth--;
}

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct use *u = arg;

	(void)ok;
	in_callback(u->w, u);
}

static void
on_data(void *arg, struct bufq *in)
{
	struct use *u = arg;

	assert(in->len > 0);
	u->got += in->len;
	if (pick(u->w, 2) == 0 || stream_send(u->s, in, in->len) != 0)
		bufq_drain(in, in->len);
	in_callback(u->w, u);
}

static void
on_eof(void *arg)
{
	struct use *u = arg;

	in_callback(u->w, u);
}

static void
on_sent(void *arg, size_t n)
{
	struct use *u = arg;

	assert(n > 0);
	in_callback(u->w, u);
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct use *u = arg;

	assert(code < CODES && text != NULL);
	u->s = NULL;
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.data = on_data,
	.eof = on_eof,
	.sent = on_sent,
	.closed = on_closed,
};

static struct use *
free_use(struct world *w)
{
	for (int i = 0; i < STREAMS; i++)
		if (w->use[i].s == NULL) {
			w->use[i].got = w->use[i].taken = 0;
			return &w->use[i];
		}
	return NULL;
}

static void
open_one(struct world *w)
{
	struct ctl_open o = { .protocol = "tcp", .host = "h", .port = 1 };
	struct use *u = free_use(w);
	struct errtext why;

	if (u != NULL)
		u->s = session_open(w->s, &o, NULL, &stream_user, u, &why);
}

static void
send_some(struct world *w, struct use *u)
{
	struct bufq q = { 0 };

	if (bufq_copy(&q, zeros, pick(w, SEND_MAX)) == 0)
		IGNORE_RESULT(stream_send(u->s, &q, q.len)); /* after its end it is refused */
	bufq_fini(&q);
}

static void
leave_one(struct world *w, struct use *u)
{
	struct stream *s = u->s;
	uint32_t code = pick(w, CODES);

	u->s = NULL;
	if (pick(w, 2) == 0)
		stream_reset(s, code, "left");
	else
		stream_abort(s, code, "broken off");
}

static void
act(struct world *w, struct use *u)
{
	static const struct ctl_open_ok ok = { 0 };

	if (w->over)
		return;
	switch (u->s == NULL ? 8 : pick(w, 9)) {
	case 0:
	case 1:
		send_some(w, u);
		break;
	case 2:
	case 3:
		if (u->got > u->taken)
			stream_consumed(u->s, (size_t)(u->got - u->taken));
		u->taken = u->got;
		break;
	case 4:
		stream_eof(u->s);
		break;
	case 5:
		leave_one(w, u);
		break;
	case 6:
		if (w->way == HNR_FROM_CLIENT && !w->started) {
			w->started = true;
			assert(stream_accept(u->s, &ok) == 0);
		}
		break;
	default:
		if (w->way == HNR_FROM_AGENT)
			open_one(w);
	}
}

/* ---- the session's user ---- */

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct world *w = arg;

	assert(h->role == (w->way == HNR_FROM_AGENT ? CTL_AGENT : CTL_CONNECT));
	assert(strlen(h->name) <= CTL_AGENT_MAX);
	if (w->verdict == SESSION_GO_ON)
		assert(session_greet(w->s, h) == 0);
	if (w->verdict == SESSION_REFUSED)
		session_goaway(w->s, CODE_DENIED, "no");
	return w->verdict;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct world *w = arg;
	struct use *u = free_use(w);

	assert(w->way == HNR_FROM_CLIENT && u != NULL);
	assert(ctl_is_host(o->host) && o->port > 0);
	u->s = s;
	stream_set_user(s, &stream_user, u);
	in_callback(w, u);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
	abort();
}

static void
on_nothing(void *arg)
{
	(void)arg;
}

static void
on_stop(void *arg, bool on)
{
	struct world *w = arg;

	assert(w->stopped != on);
	w->stopped = on;
}

static const struct session_user session_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.want_output = on_nothing,
	.idle = on_nothing,
	.stop = on_stop,
	.ping = on_nothing,
};

/* ---- what the session says ---- */

static void
check_said(struct world *w, const struct bufq *out)
{
	struct hnr_msg m;
	struct errtext why;

	assert(hnr_msg_read(
		   &m, w->way == HNR_FROM_AGENT ? HNR_TO_AGENT : HNR_TO_CLIENT, out, &why) == 0);
	if (m.id[0] != '\0')
		memcpy(w->id, m.id, sizeof w->id);
	if (w->way == HNR_FROM_CLIENT && (m.kind == HNR_DATA || m.kind == HNR_START_OK))
		assert(w->started);
	hnr_msg_fini(&m);
}

static void
drain(struct world *w)
{
	for (int i = 0; i < 100 && session_has_output(w->s); i++) {
		struct bufq out = { 0 };
		int r = session_output(w->s, &out, 1000000, w->now_us);

		assert(r == 0 || w->may_fail);
		mem_fail_after(MEM_NO_FAIL);
		if (r == 0 && out.len > 0)
			check_said(w, &out);
		bufq_fini(&out);
	}
}

/* ---- what the peer says ---- */

static bool
say(struct world *w, const void *p, size_t n)
{
	struct bufq in = { 0 };
	struct errtext why;
	int r;

	assert(bufq_copy(&in, p, n) == 0);
	if (w->may_fail)
		mem_fail_after((long)pick(w, 40));
	r = session_input(w->s, &in, w->now_us, &why);
	mem_fail_after(MEM_NO_FAIL);
	assert(r <= 0);
	bufq_fini(&in);
	return r == 0;
}

static void
say_well(struct world *w)
{
	char text[512];
	int n = 0;

	if (w->way == HNR_FROM_CLIENT)
		n = snprintf(text, sizeof text,
		    "{\"inner\":{\"kind\":\"start\",\"connection_target\":\"pi\",\"target_ip\":"
		    "\"h\",\"target_port\":1,\"protocol\":\"tcp\",\"secret\":\"s\"}}");
	else if (w->id[0] == '\0')
		n = snprintf(text, sizeof text,
		    "{\"inner\":{\"kind\":\"start\",\"last_error\":null,\"name\":\"pi\","
		    "\"secret\":\"s\"}}");
	else
		n = snprintf(text, sizeof text,
		    "{\"inner\":{\"kind\":\"%s\",\"connection_id\":\"%s\"%s}}",
		    pick(w, 2) == 0 ? "initiate_connection_ok" : "tcp_data", w->id,
		    ",\"data_base64\":\"Zm9v\"");
	IGNORE_RESULT(say(w, text, (size_t)n));
}

static void
step(struct world *w, const uint8_t *p, size_t n)
{
	/* Of an agent's ids none can be guessed: '#' stands for the last one. */
	uint8_t *text = malloc(n + HNR_ID_MAX + 1);
	size_t len = n;
	const uint8_t *hash = memchr(p, '#', n);

	assert(text != NULL);
	memcpy(text, p, n);
	if (hash != NULL && w->way == HNR_FROM_AGENT) {
		size_t at = (size_t)(hash - p), k = strlen(w->id);

		memcpy(text + at, w->id, k);
		memcpy(text + at + k, p + at + 1, n - at - 1);
		len = n - 1 + k;
	}
	if (!say(w, text, len))
		w->over = true;
	free(text);
}

static void
run(struct world *w, const uint8_t *p, size_t n, bool well)
{
	struct errtext why;

	if (well)
		say_well(w);
	for (int i = 0; n > 2 && !w->over; i++) {
		size_t len = (size_t)(p[0] << 8 | p[1]) % 2048;

		p += 2;
		n -= 2;
		len = len < n ? len : n;
		step(w, p, len);
		p += len;
		n -= len;
		act(w, &w->use[i % STREAMS]);
		drain(w);
		if (well && i % 2 == 0)
			say_well(w);
		w->now_us += pick(w, 2) == 0 ? 1000 : 3000000;
		w->s->heard_us = w->now_us;
		session_ponged(w->s, w->s->pings, w->now_us);
		if (session_deadline_us(w->s) <= w->now_us)
			IGNORE_RESULT(session_tick(w->s, w->now_us, &why));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { .now_us = 1000000 };
	const struct mux_config cfg = {
		.keepalive_ms = 15000, .streams_max = STREAMS, .budget = &w.budget
	};

	if (size < SETTING)
		return 0;
	w.way = (enum hnr_way)(data[0] & 3);
	try_message(w.way, data + SETTING, size - SETTING);
	if (w.way != HNR_FROM_AGENT && w.way != HNR_FROM_CLIENT)
		return 0;
	w.verdict = (data[0] & 8) ? SESSION_REFUSED : SESSION_GO_ON;
	w.may_fail = (data[0] & 16) != 0;
	w.seed = (uint32_t)(data[1] << 16 | data[2] << 8 | data[3]);
	budget_init(&w.budget, 300000, NULL);
	for (int i = 0; i < STREAMS; i++)
		w.use[i].w = &w;
	w.s = w.way == HNR_FROM_AGENT ? hnr_accept_agent(&cfg, NULL, w.now_us)
				      : hnr_accept_client(&cfg, NULL, w.now_us);
	assert(w.s != NULL);
	session_set_user(w.s, &session_user, &w);
	run(&w, data + SETTING, size - SETTING, (data[0] & 32) != 0);
	mem_fail_after(MEM_NO_FAIL);
	w.over = true;
	if (w.s->ops->hung_up != NULL && (data[0] & 4) != 0)
		session_hung_up(w.s, ERR_EOF, 1000, "");
	session_free(w.s);
	for (int i = 0; i < STREAMS; i++)
		assert(w.use[i].s == NULL);
	assert(atomic_load(&w.budget.used) == 0 && budget_is_idle(&w.budget));
	return 0;
}
