/* SPDX-License-Identifier: ISC */
/*
 * hnrdialfix - our sessions with a relay of http-network-relay, the test being the relay and what
 * stands on the session.  Header only, after cmocka.h.
 */
#ifndef TEST_UNIT_HNRDIALFIX_H
#define TEST_UNIT_HNRDIALFIX_H

#include "proto/dialect/hnr_dial.h"
#include "proto/dialect/hnr_msg.h"

enum { STREAMS = 8, S = 1000000 };

#define ID "237369e7-ea63-4072-8e48-36594930ba19"
#define OTHER "0b0cbd31-37a8-4ad0-8f6b-2f4ba8d4f7ee"
#define INITIATE(id)                                                                \
	"{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"127.0.0.1\"," \
	"\"target_port\":22,\"protocol\":\"tcp\",\"connection_id\":\"" id "\"}}"
#define DATA(id, b64)                                                                           \
	"{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"" id "\",\"data_base64\":\"" b64 \
	"\"}}"
#define CLOSE(id)                                                                               \
	"{\"inner\":{\"kind\":\"connection_close\",\"message\":\"Connection closed by relay\"," \
	"\"connection_id\":\"" id "\"}}"

/* A stream as its user sees it. */
struct one {
	struct stream *s;
	struct ctl_open open;
	struct bufq got;
	bool opened, closed, keep;
	uint64_t sent;
	uint32_t code;
	char text[128];
};

static struct fix {
	struct session *s;
	struct budget budget;
	uint64_t now;
	struct errtext why;
	int r;
	struct one one[STREAMS];
	int n, n_hello, n_idle, n_ping;
	bool stopped;
	/* Pings are not answered. */
	bool mute;
	uint32_t away;
	char said[4096];
} x;

/* ---- the sessions' user ---- */

static inline void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct one *o = arg;

	(void)ok;
	o->opened = true;
}

static inline void
on_data(void *arg, struct bufq *in)
{
	struct one *o = arg;
	size_t n = in->len;

	assert_int_equal(bufq_move(&o->got, in, n), 0);
	if (!o->keep)
		stream_consumed(o->s, n);
}

static inline void
on_eof(void *arg)
{
	(void)arg;
	fail_msg("the protocol has no half-close");
}

static inline void
on_sent(void *arg, size_t n)
{
	struct one *o = arg;

	o->sent += n;
}

static inline void
on_acked(void *arg, uint64_t off, bool eof)
{
	(void)arg;
	(void)off;
	(void)eof;
	fail_msg("the protocol has no acknowledgements");
}

static inline void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct one *o = arg;

	assert_false(o->closed);
	o->closed = true;
	o->s = NULL;
	o->code = code;
	snprintf(o->text, sizeof o->text, "%s", text);
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.data = on_data,
	.eof = on_eof,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_closed,
};

static inline enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	(void)arg;
	assert_int_equal(h->role, CTL_RELAY);
	x.n_hello++;
	return SESSION_GO_ON;
}

static inline void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct one *one = &x.one[x.n++];

	(void)arg;
	assert_true(x.n <= STREAMS);
	one->s = s;
	one->open = *o;
	stream_set_user(s, &stream_user, one);
}

static inline void
on_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)text;
	x.away = code;
}

static inline void
on_want_output(void *arg)
{
	(void)arg;
}

static inline void
on_idle(void *arg)
{
	(void)arg;
	x.n_idle++;
}

static inline void
on_stop(void *arg, bool on)
{
	(void)arg;
	x.stopped = on;
	session_unread(x.s, on, x.now);
}

static inline void
on_ping(void *arg)
{
	(void)arg;
	x.n_ping++;
}

static const struct session_user session_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.want_output = on_want_output,
	.idle = on_idle,
	.stop = on_stop,
	.ping = on_ping,
};

/* ---- the test as the relay ---- */

static inline void
begin(enum ctl_role role, bool ours)
{
	struct mux_config cfg = { .dialer = true,
		.endpoint = true,
		.keepalive_ms = 15000,
		.budget = &x.budget,
		.ours = ours };
	struct ctl_hello h = { .role = role, .name = "pi", .secret = "sesame" };

	budget_init(&x.budget, 64 * 1024 * 1024, NULL);
	x.now = 5 * S;
	x.s = role == CTL_AGENT ? hnr_dial_agent(&cfg, x.now) : hnr_dial_client(&cfg, x.now);
	assert_non_null(x.s);
	session_set_user(x.s, &session_user, NULL);
	h.last_error = role == CTL_AGENT ? "gone \"away\"" : NULL;
	assert_int_equal(session_greet(x.s, &h), 0);
}

/* The next message that the session has to say, "" if there is none. */
static inline const char *
said(void)
{
	struct bufq out = { 0 };
	size_t n;

	assert_int_equal(session_output(x.s, &out, 65536, x.now), 0);
	n = bufq_read(&out, 0, x.said, sizeof x.said - 1);
	x.said[n] = '\0';
	bufq_fini(&out);
	return x.said;
}

static inline void
hear(const char *text)
{
	struct bufq in = { 0 };

	assert_int_equal(bufq_copy(&in, text, strlen(text)), 0);
	errtext_clear(&x.why);
	x.r = session_input(x.s, &in, x.now, &x.why);
	bufq_fini(&in);
}

static inline void
good(const char *text)
{
	hear(text);
	if (x.r != 0)
		fail_msg("%s: %s", text, x.why.s);
}

/* Time passes, a deadline at a time. */
static inline int
pass(uint64_t us)
{
	uint64_t until = x.now + us;
	int r = 0;

	if (!x.mute)
		session_ponged(x.s, x.s->pings, x.now);
	while (r == 0 && session_deadline_us(x.s) <= until) {
		x.now = session_deadline_us(x.s) > x.now ? session_deadline_us(x.s) : x.now;
		r = session_tick(x.s, x.now, &x.why);
	}
	x.now = until;
	return r;
}

static inline void
send_text(struct one *o, const char *text)
{
	struct bufq q = { 0 };

	assert_int_equal(bufq_copy(&q, text, strlen(text)), 0);
	assert_int_equal(stream_send(o->s, &q, q.len), 0);
	bufq_fini(&q);
}

static inline void
got(struct one *o, const char *text)
{
	char buf[256];
	size_t n = bufq_read(&o->got, 0, buf, sizeof buf - 1);

	buf[n] = '\0';
	assert_string_equal(buf, text);
}

static inline int
setup(void **state)
{
	(void)state;
	memset(&x, 0, sizeof x);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	if (x.s != NULL) {
		session_abandon(x.s, CODE_GONE, "the end");
		session_free(x.s);
	}
	for (int i = 0; i < STREAMS; i++)
		bufq_fini(&x.one[i].got);
	assert_int_equal(x.budget.used, 0);
	assert_true(budget_is_idle(&x.budget));
	buf_pool_free();
	return 0;
}

/* n messages of 48,000 bytes each for a stream. */
static inline void
flood(const char *id, int n)
{
	uint8_t p[48000] = { 0 };

	for (int i = 0; i < n && x.r == 0; i++) {
		struct bufq raw = { 0 }, in = { 0 };

		assert_int_equal(bufq_copy(&raw, p, sizeof p), 0);
		assert_int_equal(hnr_data_write(&in, id, &raw, raw.len), 0);
		x.r = session_input(x.s, &in, x.now, &x.why);
		bufq_fini(&in);
	}
	assert_int_equal(x.r, 0);
}

#endif
