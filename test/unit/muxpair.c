/* SPDX-License-Identifier: ISC */
/* muxpair - sessions joined in memory. */
#include "test/unit/muxpair.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

/* ---- a stream at an endpoint ---- */

static void
hook(struct side *x, const char *call)
{
	if (x->hook != NULL)
		x->hook(x, call);
}

static void
side_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct side *x = arg;

	(void)ok;
	x->opened = true;
	hook(x, "opened");
}

static void
side_data(void *arg, struct bufq *in)
{
	struct side *x = arg;
	size_t n = in->len;

	if (bufq_move(&x->got, in, n) == 0 && !x->hold) {
		stream_consumed(x->s, n);
		stream_ack(x->s, x->got.len, false);
	}
	hook(x, "data");
}

static void
side_datagram_in(void *arg, struct bufq *in)
{
	struct side *x = arg;

	x->n_datagrams++;
	/* Without memory it is lost. */
	IGNORE_RESULT(bufq_move(&x->got, in, in->len));
	hook(x, "datagram");
}

static void
side_eof(void *arg)
{
	struct side *x = arg;

	x->eof = true;
	if (!x->hold)
		stream_ack(x->s, x->got.len, true);
	hook(x, "eof");
}

static void
side_sent(void *arg, size_t n)
{
	struct side *x = arg;

	(void)n;
	x->n_left++;
	hook(x, "sent");
}

static void
side_acked(void *arg, uint64_t off, bool eof)
{
	struct side *x = arg;

	assert(off >= x->acked);
	x->acked = off;
	x->acked_eof |= eof;
	hook(x, "acked");
}

static void
side_closed(void *arg, uint32_t code, const char *text)
{
	struct side *x = arg;

	assert(!x->closed);
	x->s = NULL;
	x->closed = true;
	x->code = code;
	strncpy(x->text, text, sizeof x->text - 1);
	hook(x, "closed");
}

static const struct stream_user side_user = {
	.opened = side_opened,
	.data = side_data,
	.datagram = side_datagram_in,
	.eof = side_eof,
	.sent = side_sent,
	.acked = side_acked,
	.closed = side_closed,
};

/* ---- the relay's bridge: nothing but what cmd/relay/bridge.c does ---- */

struct bridge {
	struct stream *s[2];
	struct half {
		struct bridge *b;
		int i;
	} half[2];
};

static struct stream **
other_of(struct half *h)
{
	return &h->b->s[!h->i];
}

static void
bridge_break(struct bridge *b, uint32_t code, const char *text)
{
	struct stream *s0 = b->s[0], *s1 = b->s[1];

	b->s[0] = b->s[1] = NULL;
	if (s0 != NULL)
		stream_reset(s0, code, text);
	if (s1 != NULL)
		stream_reset(s1, code, text);
	mem_free(b);
}

static void
bridge_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct half *h = arg;

	if (*other_of(h) != NULL && stream_accept(*other_of(h), ok) != 0)
		bridge_break(h->b, CODE_INTERNAL, "");
}

static void
bridge_data(void *arg, struct bufq *in)
{
	struct half *h = arg;

	if (*other_of(h) != NULL && stream_send(*other_of(h), in, in->len) != 0)
		bridge_break(h->b, CODE_INTERNAL, "");
}

static void
bridge_datagram(void *arg, struct bufq *in)
{
	struct half *h = arg;
	unsigned dropped;

	if (*other_of(h) != NULL && stream_datagram(*other_of(h), in, &dropped) != 0)
		bridge_break(h->b, CODE_INTERNAL, "");
}

static void
bridge_eof(void *arg)
{
	struct half *h = arg;

	if (*other_of(h) != NULL)
		stream_eof(*other_of(h));
}

static void
bridge_sent(void *arg, size_t n)
{
	struct half *h = arg;

	if (*other_of(h) != NULL)
		stream_consumed(*other_of(h), n);
}

static void
bridge_acked(void *arg, uint64_t off, bool eof)
{
	struct half *h = arg;

	if (*other_of(h) != NULL)
		stream_ack(*other_of(h), off, eof);
}

static void
bridge_closed(void *arg, uint32_t code, const char *text)
{
	struct half *h = arg;
	struct bridge *b = h->b;

	b->s[h->i] = NULL;
	if (code != CODE_OK)
		bridge_break(b, code, text);
	else if (*other_of(h) == NULL)
		mem_free(b);
}

static const struct stream_user bridge_user = {
	.opened = bridge_opened,
	.data = bridge_data,
	.datagram = bridge_datagram,
	.eof = bridge_eof,
	.sent = bridge_sent,
	.acked = bridge_acked,
	.closed = bridge_closed,
};

static void
bridge_open(struct end *e, struct stream *s, const struct ctl_open *o)
{
	struct bridge *b = mem_zalloc(sizeof *b);

	if (b == NULL) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		return;
	}
	b->half[0] = (struct half){ b, 0 };
	b->half[1] = (struct half){ b, 1 };
	b->s[1] = session_open(e->across->s, o, NULL, &bridge_user, &b->half[1], NULL);
	if (b->s[1] == NULL) {
		stream_reset(s, CODE_LIMIT, "");
		mem_free(b);
		return;
	}
	b->s[0] = s;
	stream_set_user(s, &bridge_user, &b->half[0]);
}

/* ---- an end ---- */

static void
end_hook(struct end *e, const char *call)
{
	if (e->hook != NULL)
		e->hook(e, call);
}

static enum session_verdict
end_hello(void *arg, const struct ctl_hello *h)
{
	struct end *e = arg;

	(void)h;
	e->n_hello++;
	end_hook(e, "hello");
	return e->verdict;
}

static void
end_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct end *e = arg;
	struct ctl_open_ok ok = { 0 };
	struct side *x;

	if (e->across != NULL) {
		bridge_open(e, s, o);
		return;
	}
	if (e->n_opened == NET_STREAMS || e->deny_opened) {
		stream_reset(s, CODE_DENIED, "no");
		return;
	}
	x = &e->side[e->n_opened++];
	x->s = s;
	x->end = e;
	x->hold = e->hold_opened;
	snprintf(x->source, sizeof x->source, "%s", o->source);
	stream_set_user(s, &side_user, x);
	if (stream_accept(s, &ok) != 0) {
		x->s = NULL;
		stream_reset(s, CODE_INTERNAL, "out of memory");
		return;
	}
	end_hook(e, "open");
}

static void
end_goaway(void *arg, uint32_t code, const char *text)
{
	struct end *e = arg;

	e->n_goaway++;
	e->away_code = code;
	strncpy(e->away_text, text, sizeof e->away_text - 1);
	end_hook(e, "goaway");
}

static void
end_want_output(void *arg)
{
	struct end *e = arg;

	e->n_want++; /* net_step looks at all of them anyway */
}

static void
end_idle(void *arg)
{
	struct end *e = arg;

	e->n_idle++;
	end_hook(e, "idle");
}

static void
end_open_refused(void *arg)
{
	struct end *e = arg;

	e->n_refused++;
}

static void
end_control(void *arg, const void *body, size_t n)
{
	struct end *e = arg;

	assert(n < sizeof e->control);
	e->n_control++;
	memcpy(e->control, body, n);
	e->control[n] = '\0';
	end_hook(e, "control");
}

static const struct session_user end_user = {
	.hello = end_hello,
	.open = end_open,
	.goaway = end_goaway,
	.want_output = end_want_output,
	.idle = end_idle,
	.open_refused = end_open_refused,
	.control = end_control,
};

bool
net_end_init(struct end *e, struct net *n, const struct mux_config *cfg)
{
	struct mux_config own = *cfg;

	e->net = n;
	if (own.budget == NULL) {
		own.budget = &e->budget;
		budget_init(&e->budget, BUDGET_DEFAULT, NULL);
	}
	e->s = mux_new(&own, n->now_ms * 1000);
	if (e->s != NULL)
		session_set_user(e->s, &end_user, e);
	return e->s != NULL;
}

static void
end_fail(struct end *e, int r)
{
	assert(r < 0);
	if (e->err == 0)
		e->err = r;
	/* As a lost carrier is for the other side. */
	session_abandon(e->s, CODE_LOST, "the session is lost");
	if (e->peer->s != NULL && e->peer->err == 0) {
		e->peer->err = ERR_EOF;
		session_abandon(e->peer->s, CODE_LOST, "the session is lost");
	}
}

size_t
net_random(struct net *n, size_t below)
{
	n->seed = n->seed * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(n->seed >> 33) % below;
}

static size_t
piece(struct net *n)
{
	if (n->chunk != NET_RANDOM)
		return n->chunk == NET_WHOLE ? SIZE_MAX : (size_t)n->chunk;
	return 1 + net_random(n, net_random(n, 2) == 0 ? 20 : 5000);
}

static void
end_input(struct end *e)
{
	while (e->wire.len > 0 && e->err == 0) {
		size_t k = piece(e->net);
		int r = bufq_move(&e->in, &e->wire, k < e->wire.len ? k : e->wire.len);

		do
			r = r < 0 ? r : session_input(e->s, &e->in, e->net->now_ms * 1000, &e->why);
		while (r == SESSION_MORE);
		if (r != 0)
			end_fail(e, r);
	}
}

/* Real carriers copy: the peer must never see the blocks that this side retains. */
static int
copy_over(struct net *n, struct bufq *dst, struct bufq *src, bool mangle)
{
	while (src->len > 0) {
		uint8_t tmp[4096];
		size_t k = bufq_read(src, 0, tmp, sizeof tmp);

		for (size_t i = 0; mangle && i < k; i++)
			if (net_random(n, n->mangle) == 0)
				tmp[i] = (uint8_t)net_random(n, net_random(n, 2) == 0 ? 14 : 256);
		if (bufq_copy(dst, tmp, k) != 0)
			return ERR_NOMEM;
		bufq_drain(src, k);
	}
	return 0;
}

static bool
end_output(struct end *e)
{
	struct bufq out = { 0 };
	size_t n;
	int r;

	if (e->err != 0 || e->stalled || !session_has_output(e->s))
		return false;
	r = session_output(e->s, &out, e->net->portion, e->net->now_ms * 1000);
	n = out.len;
	e->sent_bytes += n;
	if (r == 0)
		r = copy_over(
		    e->net, &e->peer->wire, &out, e->net->mangle > 0 && e == net_client(e->net));
	bufq_fini(&out);
	if (r != 0)
		end_fail(e, r);
	return r == 0 && n > 0;
}

/* ---- the net ---- */

struct ctl_hello
net_hello(enum ctl_role role)
{
	struct ctl_hello h = { .version = 1, .role = role, .keepalive_ms = 1000 };

	strcpy(h.software, "test");
	if (role != CTL_RELAY)
		strcpy(h.name, "pi");
	return h;
}

int
net_end_greet(struct end *e, enum ctl_role role)
{
	struct ctl_hello h = net_hello(role);

	return session_greet(e->s, &h);
}

static struct net *
net_make(const struct mux_config *cfg, const enum ctl_role *role, int n_ends)
{
	struct net *n = mem_zalloc(sizeof *n);
	bool ok = n != NULL;

	if (!ok)
		return NULL;
	n->n = n_ends;
	n->now_ms = 1000000;
	n->seed = 42;
	n->portion = 65536;
	for (int i = 0; i < n_ends; i++)
		n->end[i].peer = &n->end[i ^ 1];
	for (int i = 0; i < n_ends && ok; i++)
		ok =
		    net_end_init(&n->end[i], n, &cfg[i]) && net_end_greet(&n->end[i], role[i]) == 0;
	if (!ok) {
		net_free(n);
		return NULL;
	}
	net_run(n);
	return n;
}

struct net *
net_new(const struct mux_config *dialer, const struct mux_config *acceptor)
{
	struct mux_config cfg[2] = { { .endpoint = true, .keepalive_ms = 1000 },
		{ .endpoint = true, .keepalive_ms = 1000 } };
	static const enum ctl_role role[2] = { CTL_CONNECT, CTL_RELAY };

	if (dialer != NULL)
		cfg[0] = *dialer;
	if (acceptor != NULL)
		cfg[1] = *acceptor;
	cfg[0].dialer = true;
	return net_make(cfg, role, 2);
}

struct net *
net_new_relay(void)
{
	static const struct mux_config cfg[4] = {
		{ .dialer = true, .endpoint = true, .keepalive_ms = 1000 },
		{ .keepalive_ms = 1000 },
		{ .keepalive_ms = 1000 },
		{ .dialer = true, .endpoint = true, .keepalive_ms = 1000 },
	};
	static const enum ctl_role role[4] = { CTL_CONNECT, CTL_RELAY, CTL_RELAY, CTL_AGENT };
	struct net *n = net_make(cfg, role, 4);

	if (n != NULL) {
		n->end[1].across = &n->end[2];
		n->end[2].across = &n->end[1];
	}
	return n;
}

void
net_end_fini(struct end *e)
{
	session_free(e->s);
	bufq_fini(&e->wire);
	bufq_fini(&e->in);
	for (int i = 0; i < e->n_opened; i++)
		bufq_fini(&e->side[i].got);
}

void
net_free(struct net *n)
{
	if (n == NULL)
		return;
	for (int i = 0; i < n->n; i++)
		net_end_fini(&n->end[i]);
	mem_free(n);
}

struct end *
net_client(struct net *n)
{
	return &n->end[0];
}

struct end *
net_agent(struct net *n)
{
	return &n->end[n->n - 1];
}

bool
net_step(struct net *n)
{
	bool moved = false;

	for (int i = 0; i < n->n; i++)
		moved |= end_output(&n->end[i]);
	for (int i = 0; i < n->n; i++)
		end_input(&n->end[i]);
	return moved;
}

void
net_run(struct net *n)
{
	int turns = 0;

	while (net_step(n))
		assert(++turns < 1000000);
}

/* Never: as late as can be. */
uint64_t
net_deadline_ms(const struct session *s)
{
	uint64_t us = session_deadline_us(s);

	return us > UINT64_MAX - 999 ? UINT64_MAX : (us + 999) / 1000;
}

void
net_wait(struct net *n, uint64_t ms)
{
	uint64_t until = n->now_ms + ms;

	net_run(n);
	while (n->now_ms < until) {
		uint64_t next = until;

		for (int i = 0; i < n->n; i++)
			if (n->end[i].err == 0 && net_deadline_ms(n->end[i].s) < next)
				next = net_deadline_ms(n->end[i].s);
		n->now_ms = next > n->now_ms ? next : n->now_ms + 1;
		for (int i = 0; i < n->n; i++) {
			struct end *e = &n->end[i];
			int r = 0;

			if (e->err == 0 && net_deadline_ms(e->s) <= n->now_ms)
				r = session_tick(e->s, n->now_ms * 1000, &e->why);
			if (r != 0)
				end_fail(e, r);
		}
		net_run(n);
	}
}

/* ---- the test's side of a stream ---- */

static uint8_t
pattern(uint64_t off)
{
	return (uint8_t)(off * 131 + (off >> 8) * 17 + (off >> 16));
}

static bool
open_as(struct side *x, struct end *e, const char *protocol)
{
	struct ctl_open o = { .service = "ssh" };

	snprintf(o.protocol, sizeof o.protocol, "%s", protocol);
	*x = (struct side){ .end = e, .hold = x->hold, .hook = x->hook };
	x->s = session_open(e->s, &o, NULL, &side_user, x, &e->why);
	return x->s != NULL;
}

bool
side_open(struct side *x, struct end *e)
{
	return open_as(x, e, CTL_TCP);
}

bool
side_open_udp(struct side *x, struct end *e)
{
	return open_as(x, e, CTL_UDP);
}

int
side_datagram(struct side *x, uint8_t value, size_t n)
{
	static uint8_t bytes[FRAME_DATAGRAM_MAX];
	struct bufq q = { 0 };
	unsigned dropped = 0;
	int r;

	memset(bytes, value, n);
	r = bufq_copy(&q, bytes, n);
	if (r == 0)
		r = stream_datagram(x->s, &q, &dropped);
	x->n_dropped += dropped;
	bufq_fini(&q);
	return r;
}

int
side_send(struct side *x, size_t n)
{
	struct bufq q = { 0 };
	int r = 0;

	for (size_t off = 0; off < n && r == 0;) {
		uint8_t tmp[1000];
		size_t k = n - off < sizeof tmp ? n - off : sizeof tmp;

		for (size_t i = 0; i < k; i++)
			tmp[i] = pattern(x->sent + off + i);
		r = bufq_copy(&q, tmp, k);
		off += k;
	}
	if (r == 0)
		r = stream_send(x->s, &q, n);
	if (r == 0)
		x->sent += n;
	bufq_fini(&q);
	return r;
}

bool
side_check(const struct side *x, size_t n)
{
	uint8_t tmp[4096];
	uint64_t off = 0;

	if (x->got.len != n)
		return false;
	for (size_t k; (k = bufq_read(&x->got, off, tmp, sizeof tmp)) > 0; off += k)
		for (size_t i = 0; i < k; i++)
			if (tmp[i] != pattern(off + i))
				return false;
	return true;
}

void
side_fini(struct side *x)
{
	bufq_fini(&x->got);
}
