/* SPDX-License-Identifier: ISC */
/*
 * mux_fuzz - one session of the mux against a peer that says anything, and a user that does
 * anything it may.
 *
 * Input: four bytes of setting, then what the peer sends.
 *   0  bit 0: we dial; bit 1: we retain; bit 2: a HELLO of the peer's goes before; bit 3: hello
 *      answers HOLD first; bit 4: at most three streams; bit 5: memory fails now and then; bit 6:
 *      the user may abandon the session
 *   1  bytes that arrive at once
 *   2, 3  seed of what the user does
 *
 * What the session sends must be whole frames that a peer would accept, with payload inside the
 * limits that it was given.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "proto/mux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SETTING = 4, STREAMS = 16, SEND_MAX = 70000 };

/* A stream as its user sees it. */
struct use {
	struct world *w;
	/* NULL: free */
	struct stream *s;
	/* It carries datagrams. */
	bool udp;
	uint64_t got, consumed, acked;
	bool eof, eof_acked;
};

struct world {
	struct session *s;
	struct use use[STREAMS];
	uint32_t seed;
	uint64_t now_ms;
	bool may_abandon, may_fail, over;
	enum session_verdict verdict;
	/* what the peer has not looked at yet */
	struct bufq sent;
	/* of callbacks: the user does one thing in each, and not for ever */
	uint32_t depth;
};

static const char hello[] =
    "{\"version\":1,\"role\":\"relay\",\"instance\":\"000102030405060708090a0b0c0d0e0f\"}";
static uint8_t zeros[SEND_MAX];

static uint32_t
pick(struct world *w, uint32_t n)
{
	w->seed = w->seed * 1103515245 + 12345;
	return (w->seed >> 16) % n;
}

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

/* ---- a stream's user ---- */

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

	assert(in->len > 0 && !u->udp);
	u->got += in->len;
	if (pick(u->w, 2) == 0) {
		bufq_drain(in, in->len);
	} else if (stream_send(u->s, in, in->len) != 0) { /* an echo */
		bufq_drain(in, in->len);
	}
	in_callback(u->w, u);
}

static void
on_datagram(void *arg, struct bufq *in)
{
	struct use *u = arg;
	unsigned dropped;

	assert(u->udp && in->len <= FRAME_DATAGRAM_MAX);
	if (pick(u->w, 2) == 0)
		IGNORE_RESULT(
		    stream_datagram(u->s, in, &dropped)); /* an echo, if there is memory */
	in_callback(u->w, u);
}

static void
on_eof(void *arg)
{
	struct use *u = arg;

	assert(!u->eof);
	u->eof = true;
	in_callback(u->w, u);
}

static void
on_sent(void *arg, size_t n)
{
	struct use *u = arg;

	assert(n > 0 || u->udp);
	in_callback(u->w, u);
}

static void
on_acked(void *arg, uint64_t off, bool eof)
{
	struct use *u = arg;

	(void)eof;
	assert(off <= u->s->tx);
	in_callback(u->w, u);
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct use *u = arg;
	struct world *w = u->w;

	assert(text != NULL);
	(void)code;
	memset(u, 0, sizeof *u);
	in_callback(w, NULL);
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.data = on_data,
	.datagram = on_datagram,
	.eof = on_eof,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_closed,
};

static struct use *
use_free(struct world *w)
{
	for (int i = 0; i < STREAMS; i++)
		if (w->use[i].s == NULL)
			return &w->use[i];
	return NULL;
}

/* ---- what a user may do ---- */

static void
act_open(struct world *w)
{
	struct ctl_open o = { .service = "x" };
	struct use *u = use_free(w);
	struct errtext why;

	if (u == NULL)
		return;
	*u = (struct use){ .w = w, .udp = pick(w, 3) == 0 };
	strcpy(o.protocol, u->udp ? CTL_UDP : CTL_TCP);
	u->s = session_open(w->s, &o, NULL, &stream_user, u, &why);
}

static void
act_send(struct world *w, struct use *u)
{
	struct bufq q = { 0 };
	size_t n = pick(w, 3) == 0 ? pick(w, SEND_MAX) : pick(w, 100);
	unsigned dropped;

	if (u->udp && n > FRAME_DATAGRAM_MAX)
		n = FRAME_DATAGRAM_MAX;
	if (bufq_copy(&q, zeros, n) != 0)
		return;
	if (u->udp)
		IGNORE_RESULT(stream_datagram(u->s, &q, &dropped));
	else
		IGNORE_RESULT(stream_send(u->s, &q, n)); /* a fuzzer's user does not mind */
	bufq_fini(&q);
}

static void
act_pass_on(struct world *w, struct use *u)
{
	uint64_t n = u->got - u->consumed;

	n = pick(w, 2) == 0 ? n : n / 2;
	u->consumed += n;
	stream_consumed(u->s, (size_t)n);
	if (pick(w, 2) == 0)
		stream_ack(u->s, u->consumed, u->eof && u->consumed == u->got);
}

static void
act(struct world *w, struct use *u)
{
	uint32_t what = pick(w, 64);

	if (w->over)
		return;
	if (u == NULL || u->s == NULL)
		u = &w->use[pick(w, STREAMS)];
	if (what == 0 && w->may_abandon) {
		w->over = true;
		session_abandon(w->s, CODE_GONE, "abandoned");
	} else if (what == 1) {
		session_goaway(w->s, CODE_OK, "going");
	} else if (what < 8) {
		act_open(w);
	} else if (what == 8 && w->may_fail) {
		mem_fail_after((long)pick(w, 8));
	} else if (u->s == NULL) {
		return;
	} else if (what < 12) {
		struct stream *s = u->s;

		memset(u, 0, sizeof *u);
		stream_reset(s, CODE_CANCELLED, "reset by the user");
	} else if (what < 16) {
		if (!u->udp)
			stream_eof(u->s);
	} else if (what < 36) {
		if (!u->udp)
			act_pass_on(w, u);
	} else {
		act_send(w, u);
	}
}

/* ---- the session's user ---- */

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct world *w = arg;
	enum session_verdict v = w->verdict;

	(void)h;
	w->verdict = SESSION_GO_ON;
	in_callback(w, NULL);
	return v;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct world *w = arg;
	struct use *u = use_free(w);
	struct ctl_open_ok ok = { 0 };

	if (u == NULL) {
		stream_reset(s, CODE_LIMIT, "no room");
		return;
	}
	*u = (struct use){ .w = w, .s = s, .udp = strcmp(o->protocol, CTL_UDP) == 0 };
	stream_set_user(s, &stream_user, u);
	if (stream_accept(s, &ok) == 0)
		in_callback(w, u);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	(void)code;
	(void)text;
	in_callback(arg, NULL);
}

static void
on_want_output(void *arg)
{
	(void)arg;
}

static void
on_idle(void *arg)
{
	in_callback(arg, NULL);
}

/* An answer, as often as not. */
static void
on_control(void *arg, const void *body, size_t n)
{
	static uint8_t bytes[CTL_BODY_MAX];
	static const char answer[] = "{\"id\":1,\"ok\":false}";
	struct world *w = arg;

	assert(n >= 2 && n <= sizeof bytes);
	memcpy(bytes, body, n); /* a sanitizer looks at each */
	if (pick(w, 2) == 0)
		IGNORE_RESULT(session_control(w->s, answer, sizeof answer - 1));
	in_callback(w, NULL);
}

static const struct session_user session_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.want_output = on_want_output,
	.idle = on_idle,
	.control = on_control,
};

/* ---- what the session says ---- */

static void
check_frames(struct world *w)
{
	uint8_t hdr[FRAME_HDR_LEN];
	struct frame f;

	while (w->sent.len >= FRAME_HDR_LEN) {
		ssize_t r = frame_unpack(&f, hdr, bufq_read(&w->sent, 0, hdr, sizeof hdr));

		assert(r == FRAME_HDR_LEN && w->sent.len >= (size_t)r + f.len);
		bufq_drain(&w->sent, (size_t)r + f.len);
	}
	assert(w->sent.len == 0);
}

static int
say(struct world *w)
{
	size_t max = pick(w, 2) == 0 ? 65536 : 1 + pick(w, 300), before;
	int r;

	if (!session_has_output(w->s))
		return 0;
	before = w->s->n_streams;
	r = session_output(w->s, &w->sent, max, w->now_ms * 1000);
	if (r == 0) {
		assert(w->sent.len > 0 || before != w->s->n_streams || w->over);
		check_frames(w);
	}
	return r;
}

static void
live(struct world *w, const uint8_t *data, size_t size, size_t chunk)
{
	struct bufq in = { 0 };
	struct errtext why;
	int r = 0;

	while (size > 0 && r == 0 && !w->over) {
		size_t n = size < chunk ? size : chunk;

		if (bufq_copy(&in, data, n) != 0)
			break;
		data += n;
		size -= n;
		errtext_clear(&why);
		while ((r = session_input(w->s, &in, w->now_ms * 1000, &why)) == SESSION_MORE)
			; /* each call is a turn */
		assert(r == 0 || why.s[0] != '\0');
		for (uint32_t k = pick(w, 4); k > 0 && r == 0 && !w->over; k--)
			act(w, NULL);
		if (r == 0 && pick(w, 2) == 0)
			r = say(w);
		w->now_ms += pick(w, 60);
		if (r == 0 && session_deadline_us(w->s) <= w->now_ms * 1000)
			r = session_tick(w->s, w->now_ms * 1000, &why);
	}
	for (int i = 0; i < 100 && r == 0 && !w->over && session_has_output(w->s); i++)
		r = say(w);
	bufq_fini(&in);
}

static bool
begin(struct world *w, bool given_hello)
{
	struct ctl_hello h = { .version = 1, .role = CTL_RELAY };
	struct frame f = { FRAME_HELLO, 0, sizeof hello - 1, 0 };
	struct bufq in = { 0 };
	uint8_t hdr[FRAME_HDR_LEN];
	struct errtext why;
	bool ok;

	session_set_user(w->s, &session_user, w);
	frame_pack(hdr, &f);
	ok = session_greet(w->s, &h) == 0;
	if (ok && given_hello)
		ok = bufq_copy(&in, hdr, sizeof hdr) == 0 &&
		     bufq_copy(&in, hello, sizeof hello - 1) == 0 &&
		     session_input(w->s, &in, w->now_ms * 1000, &why) == 0;
	bufq_fini(&in);
	return ok;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = { .now_ms = 100000 };
	struct mux_config cfg = { .keepalive_ms = 1000 };
	struct budget budget;

	if (size < SETTING)
		return 0;
	cfg.dialer = data[0] & 1;
	cfg.endpoint = data[0] & 2;
	cfg.streams_max = data[0] & 16 ? 3 : 0;
	w.verdict = data[0] & 8 ? SESSION_HOLD : SESSION_GO_ON;
	w.may_fail = data[0] & 32;
	w.may_abandon = data[0] & 64;
	w.seed = (uint32_t)data[2] << 8 | data[3];
	budget_init(&budget, data[0] & 128 ? 1 << 20 : BUDGET_DEFAULT, NULL);
	cfg.budget = &budget;
	cfg.client_max = data[0] & 128 ? 1 << 19 : 0;
	w.s = mux_new(&cfg, w.now_ms * 1000);
	if (w.s != NULL && begin(&w, data[0] & 4))
		live(&w, data + SETTING, size - SETTING, data[1] == 0 ? SIZE_MAX : data[1]);
	mem_fail_after(MEM_NO_FAIL);
	w.over = true;
	session_free(w.s);
	bufq_fini(&w.sent);
	for (int i = 0; i < STREAMS; i++)
		assert(w.use[i].s == NULL);
	buf_pool_free(); /* so that a sanitizer sees a block that is used after its end */
	return 0;
}
