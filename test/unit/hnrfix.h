/* SPDX-License-Identifier: ISC */
/*
 * hnrfix - a relay's session of http-network-relay between a test that is the peer, by messages,
 * and the same test that is the relay.
 *
 * Header only, after cmocka.h.
 */
#ifndef TEST_UNIT_HNRFIX_H
#define TEST_UNIT_HNRFIX_H

#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "proto/dialect/hnr_accept.h"
#include "proto/dialect/hnr_msg.h"

enum { HNRFIX_S = 1000000, HNRFIX_STREAMS = 4 };

/* A stream as its user sees it. */
struct hnrfix_stream {
	struct stream *s;
	char got[4096];
	size_t n_got, n_sent;
	bool opened, eof, closed;
	uint32_t code;
	char text[256];
};

static struct hnrfix {
	struct session *s;
	struct budget budget;
	uint64_t now_us;
	enum session_verdict verdict;
	/* What the session told. */
	struct ctl_hello hello;
	unsigned n_hello, n_open, n_idle, n_pings;
	/* Pings are not answered. */
	bool mute;
	/* A stream is refused at once with this code, if it is not 0. */
	uint32_t refuse;
	bool stopped;
	struct ctl_open asked;
	struct hnrfix_stream st[HNRFIX_STREAMS];
	/* The last message that it said. */
	char said[70000];
} x;

static void
hnrfix_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)ok;
	((struct hnrfix_stream *)arg)->opened = true;
}

static void
hnrfix_data(void *arg, struct bufq *in)
{
	struct hnrfix_stream *f = arg;
	size_t n = in->len < sizeof f->got - 1 - f->n_got ? in->len : sizeof f->got - 1 - f->n_got;

	f->n_got += bufq_read(in, 0, f->got + f->n_got, n);
	bufq_drain(in, in->len);
}

static void
hnrfix_eof(void *arg)
{
	((struct hnrfix_stream *)arg)->eof = true;
}

static void
hnrfix_sent(void *arg, size_t n)
{
	((struct hnrfix_stream *)arg)->n_sent += n;
}

static void
hnrfix_closed(void *arg, uint32_t code, const char *text)
{
	struct hnrfix_stream *f = arg;

	assert_false(f->closed);
	f->closed = true;
	f->code = code;
	snprintf(f->text, sizeof f->text, "%s", text);
	f->s = NULL;
}

static const struct stream_user hnrfix_stream_user = {
	.opened = hnrfix_opened,
	.data = hnrfix_data,
	.eof = hnrfix_eof,
	.sent = hnrfix_sent,
	.closed = hnrfix_closed,
};

static enum session_verdict
hnrfix_hello(void *arg, const struct ctl_hello *h)
{
	(void)arg;
	x.hello = *h;
	x.n_hello++;
	if (x.verdict == SESSION_GO_ON)
		assert_int_equal(session_greet(x.s, h), 0);
	if (x.verdict == SESSION_REFUSED)
		session_goaway(x.s, CODE_DENIED, "wrong name or secret");
	return x.verdict;
}

static void
hnrfix_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	x.asked = *o;
	x.n_open++;
	x.st[0].s = s;
	stream_set_user(s, &hnrfix_stream_user, &x.st[0]);
	if (x.refuse != 0)
		stream_reset(s, x.refuse, "agent pi is not connected");
}

static void
hnrfix_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
	fail();
}

static void
hnrfix_want_output(void *arg)
{
	(void)arg;
}

static void
hnrfix_idle(void *arg)
{
	(void)arg;
	x.n_idle++;
}

static void
hnrfix_stop(void *arg, bool on)
{
	(void)arg;
	x.stopped = on;
}

static void
hnrfix_ping(void *arg)
{
	(void)arg;
	x.n_pings++;
}

static const struct session_user hnrfix_user = {
	.hello = hnrfix_hello,
	.open = hnrfix_open,
	.goaway = hnrfix_goaway,
	.want_output = hnrfix_want_output,
	.idle = hnrfix_idle,
	.stop = hnrfix_stop,
	.ping = hnrfix_ping,
};

static inline void
hnrfix_init(bool agent)
{
	struct mux_config cfg = { .keepalive_ms = 15000, .streams_max = 3 };

	memset(&x, 0, sizeof x);
	x.now_us = 100 * (uint64_t)HNRFIX_S;
	budget_init(&x.budget, 64 * 1024 * 1024, NULL);
	cfg.budget = &x.budget;
	x.s = agent ? hnr_accept_agent(&cfg, NULL, x.now_us)
		    : hnr_accept_client(&cfg, NULL, x.now_us);
	assert_non_null(x.s);
	session_set_user(x.s, &hnrfix_user, NULL);
}

static inline void
hnrfix_fini(void)
{
	session_free(x.s);
	assert_true(budget_is_idle(&x.budget));
	assert_int_equal(atomic_load(&x.budget.used), 0);
}

/* The peer says this; the result of session_input. */
static inline int
hnrfix_say(const char *text)
{
	struct bufq in = { 0 };
	struct errtext why = { "" };
	int r;

	assert_int_equal(bufq_copy(&in, text, strlen(text)), 0);
	r = session_input(x.s, &in, x.now_us, &why);
	assert_int_equal(in.len, 0);
	return r;
}

/* The next message that the session says, in x.said; NULL: it says nothing. */
static inline const char *
hnrfix_said(void)
{
	struct bufq out = { 0 };

	while (session_has_output(x.s) && out.len == 0)
		assert_int_equal(session_output(x.s, &out, 100000, x.now_us), 0);
	assert_true(out.len < sizeof x.said);
	x.said[bufq_read(&out, 0, x.said, out.len)] = '\0';
	bufq_fini(&out);
	return x.said[0] != '\0' ? x.said : NULL;
}

static inline void
hnrfix_send(struct stream *s, const char *text)
{
	struct bufq q = { 0 };

	assert_int_equal(bufq_copy(&q, text, strlen(text)), 0);
	assert_int_equal(stream_send(s, &q, q.len), 0);
	bufq_fini(&q);
}

/* Time passes, and the session is ticked when it wants to be; the last result. */
static inline int
hnrfix_pass(uint64_t us)
{
	uint64_t until = x.now_us + us;
	struct errtext why;
	int r = 0;

	if (!x.mute)
		session_ponged(x.s, x.s->pings, x.now_us);
	while (r == 0 && session_deadline_us(x.s) <= until) {
		if (session_deadline_us(x.s) > x.now_us)
			x.now_us = session_deadline_us(x.s);
		r = session_tick(x.s, x.now_us, &why);
	}
	x.now_us = until;
	return r;
}

#endif
