/* SPDX-License-Identifier: ISC */
/*
 * hnr_dial_fuzz - our sessions with a relay of http-network-relay, which says what the input has.
 *
 * The first byte is who we are: 'a' an agent, else a client.  Then lines: each is a message of the
 * relay, or "!X", something that our side does with the stream of number X % STREAMS and the like;
 * see act().  Judged: what we say can be read as what our side may say, bytes are delivered to live
 * streams only, each stream ends once, and nothing is left in the budget.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/dialect/hnr_dial.h"
#include "proto/dialect/hnr_msg.h"

enum { STREAMS = 16, S = 1000000 };

static struct {
	struct session *s;
	bool agent, over;
	uint64_t now;
	struct stream *stream[STREAMS];
	size_t held[STREAMS];
	/* May send. */
	bool open[STREAMS];
} x;

/* ---- the user ---- */

static size_t
slot(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;

	assert(i < STREAMS && x.stream[i] != NULL);
	return i;
}

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)ok;
	slot(arg);
}

static void
on_data(void *arg, struct bufq *in)
{
	x.held[slot(arg)] += in->len;
	bufq_drain(in, in->len);
}

static void
on_sent(void *arg, size_t n)
{
	slot(arg);
	assert(n > 0);
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	(void)code;
	assert(text != NULL);
	x.stream[slot(arg)] = NULL;
}

static const struct stream_user stream_user = {
	.opened = on_opened, .data = on_data, .sent = on_sent, .closed = on_closed
};

static bool
take(struct stream *s)
{
	for (size_t i = 0; i < STREAMS; i++)
		if (x.stream[i] == NULL) {
			x.stream[i] = s;
			x.held[i] = 0;
			x.open[i] = !x.agent;
			stream_set_user(s, &stream_user, (void *)i);
			return true;
		}
	return false;
}

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	(void)arg;
	assert(h->role == CTL_RELAY);
	return SESSION_GO_ON;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	assert(x.agent && o->host[0] != '\0' && o->port != 0);
	if (!take(s))
		stream_reset(s, CODE_LIMIT, "no more");
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
}

static void
on_nothing(void *arg)
{
	(void)arg;
}

static void
on_stop(void *arg, bool on)
{
	(void)arg;
	session_unread(x.s, on, x.now);
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

/* ---- what happens ---- */

static void
output(void)
{
	for (int i = 0; i < 64 && session_has_output(x.s); i++) {
		struct bufq out = { 0 };
		struct errtext why;
		struct hnr_msg m;

		if (session_output(x.s, &out, 65536, x.now) != 0)
			abort();
		if (out.len > 0) {
			if (hnr_msg_read(
				&m, x.agent ? HNR_FROM_AGENT : HNR_FROM_CLIENT, &out, &why) != 0)
				abort();
			hnr_msg_fini(&m);
		}
		bufq_fini(&out);
	}
}

static void
send_some(size_t i, size_t n)
{
	static const uint8_t p[1000];
	struct bufq q = { 0 };

	if (bufq_copy(&q, p, n % sizeof p) != 0)
		abort();
	IGNORE_RESULT(stream_send(x.stream[i], &q, q.len)); /* it may have ended */
	bufq_fini(&q);
}

static void
tick(uint64_t us)
{
	struct errtext why;

	x.now += us;
	session_ponged(x.s, x.s->pings, x.now);
	if (session_deadline_us(x.s) <= x.now && session_tick(x.s, x.now, &why) != 0)
		x.over = true;
}

static void
end(size_t i, bool abort_it)
{
	struct stream *s = x.stream[i];

	x.stream[i] = NULL;
	(abort_it ? stream_abort : stream_reset)(s, CODE_RESET, "the fuzzer");
}

static void
act(uint8_t what, uint8_t n)
{
	const struct ctl_open_ok ok = { 0 };
	size_t i = n % STREAMS;

	if (what == 'o')
		output();
	else if (what == 't')
		tick((uint64_t)n * S / 4);
	else if (what == 'g')
		session_goaway(x.s, CODE_OK, "");
	else if (what == 'h') {
		session_hung_up(
		    x.s, n % 2 != 0 ? ERR_EOF : ERR_CLOSED, 1000, n % 4 < 2 ? "" : "cut");
		x.over = true;
	}
	if (x.stream[i] == NULL)
		return;
	if (what == 'a' && !x.open[i]) {
		x.open[i] = true;
		IGNORE_RESULT(stream_accept(x.stream[i], &ok)); /* tells by the next call */
	} else if (what == 's' && x.open[i]) {
		send_some(i, (size_t)n * 7);
	} else if (what == 'e' && x.open[i]) {
		stream_eof(x.stream[i]);
	} else if (what == 'r' || what == 'b') {
		end(i, what == 'b');
	} else if (what == 'c') {
		size_t held = x.held[i];

		x.held[i] = 0;
		stream_consumed(x.stream[i], held);
	}
}

static void
hear(const uint8_t *p, size_t n)
{
	struct bufq in = { 0 };
	struct errtext why = { "" };

	if (bufq_copy(&in, p, n) != 0)
		abort();
	if (session_input(x.s, &in, x.now, &why) != 0) {
		assert(why.s[0] != '\0');
		x.over = true;
	}
	bufq_fini(&in);
}

static void
begin(struct budget *b)
{
	struct mux_config cfg = {
		.dialer = true, .endpoint = true, .keepalive_ms = 15000, .budget = b
	};
	struct ctl_hello h = { .name = "pi", .secret = "sesame" };
	struct ctl_open o = { .protocol = "tcp", .host = "h", .port = 1 };
	struct errtext why;

	x.s = x.agent ? hnr_dial_agent(&cfg, x.now) : hnr_dial_client(&cfg, x.now);
	h.role = x.agent ? CTL_AGENT : CTL_CONNECT;
	if (x.s == NULL || session_greet(x.s, &h) != 0)
		abort();
	session_set_user(x.s, &session_user, NULL);
	if (!x.agent && !take(session_open(x.s, &o, NULL, &stream_user, NULL, &why)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct budget budget;

	if (n < 1)
		return 0;
	memset(&x, 0, sizeof x);
	budget_init(&budget, 256 * 1024, NULL);
	x.agent = p[0] == 'a';
	x.now = S;
	begin(&budget);
	for (p++, n--; n > 0 && !x.over;) {
		const uint8_t *nl = memchr(p, '\n', n);
		size_t len = nl != NULL ? (size_t)(nl - p) : n;

		if (len == 3 && p[0] == '!')
			act(p[1], p[2]);
		else
			hear(p, len);
		p += len + (nl != NULL);
		n -= len + (nl != NULL);
	}
	if (!x.over)
		output();
	session_abandon(x.s, CODE_GONE, "the end");
	for (size_t i = 0; i < STREAMS; i++)
		assert(x.stream[i] == NULL);
	session_free(x.s);
	assert(budget.used == 0 && budget_is_idle(&budget));
	buf_pool_free();
	return 0;
}
