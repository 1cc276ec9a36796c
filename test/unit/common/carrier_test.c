/* SPDX-License-Identifier: ISC */
/*
 * carrier_test - two sessions on filters joined in memory: greeting, streams, the ways to end,
 * another loop.
 *
 * link: -Wl,--wrap=timer_init,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/common/carrier.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ws/f_ws.h"
#include "test/unit/heap.h"
#include "test/unit/fakesession.h"
#include "test/unit/memfilter.h"
#include "test/unit/muxpair.h"
#include "test/unit/turns.h"

int __wrap_timer_init(struct timer *t, struct loop *l, void (*fn)(void *arg), void *arg);
int __real_timer_init(struct timer *t, struct loop *l, void (*fn)(void *arg), void *arg);
void __wrap_timer_fini(struct timer *t);
void __real_timer_fini(struct timer *t);

/* Those that were made and not ended, and whether the next one cannot be made. */
static int n_timers;
static bool no_timer;

int
__wrap_timer_init(struct timer *t, struct loop *l, void (*fn)(void *arg), void *arg)
{
	if (no_timer)
		return ERR_NOMEM;
	n_timers++;
	return __real_timer_init(t, l, fn, arg);
}

void
__wrap_timer_fini(struct timer *t)
{
	n_timers -= t->ev != NULL;
	__real_timer_fini(t);
}

struct host {
	struct carrier *c;
	enum session_verdict verdict;
	bool free_in_hello, free_in_open;
	struct stream *opened;
	size_t got;
	int n_hello, n_goaway, n_idle, n_closed;
	/* It is not freed when it is closed: what it said last must arrive. */
	bool stays;
	uint32_t away_code;
	int err;
};

struct fix {
	struct loop *l;
	struct filter *f[2];
	struct host h[2]; /* 0 dials */
};

/* ---- a stream's user: counts and passes on ---- */

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)arg;
	(void)ok;
}

static void
on_data(void *arg, struct bufq *in)
{
	struct host *h = arg;

	h->got += in->len;
	stream_consumed(h->opened, in->len);
	stream_ack(h->opened, h->got, false);
	bufq_fini(in);
}

static void
on_eof(void *arg)
{
	(void)arg;
}

static void
on_sent(void *arg, size_t n)
{
	(void)arg;
	(void)n;
}

static void
on_acked(void *arg, uint64_t off, bool eof)
{
	(void)arg;
	(void)off;
	(void)eof;
}

static void
on_stream_closed(void *arg, uint32_t code, const char *text)
{
	struct host *h = arg;

	(void)code;
	(void)text;
	h->opened = NULL;
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.data = on_data,
	.eof = on_eof,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_stream_closed,
};

/* ---- a carrier's owner ---- */

static void
host_free(struct host *h)
{
	carrier_free(h->c, CODE_GONE, "freed");
	h->c = NULL;
}

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *hello)
{
	struct host *h = arg;

	(void)hello;
	h->n_hello++;
	if (h->free_in_hello)
		host_free(h);
	else if (h->verdict == SESSION_REFUSED)
		session_goaway(carrier_session(h->c), CODE_DENIED, "no");
	return h->verdict;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct host *h = arg;

	(void)o;
	h->opened = s;
	stream_set_user(s, &stream_user, h);
	if (h->free_in_open)
		host_free(h);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct host *h = arg;

	(void)text;
	h->n_goaway++;
	h->away_code = code;
}

static void
on_idle(void *arg)
{
	((struct host *)arg)->n_idle++;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct host *h = arg;

	(void)text;
	h->n_closed++;
	h->err = err;
	if (!h->stays)
		host_free(h);
}

static const struct carrier_user carrier_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
};

/* ---- the pair ---- */

static void
greet(struct host *h, enum ctl_role role)
{
	struct ctl_hello hello = net_hello(role);

	assert_int_equal(session_greet(carrier_session(h->c), &hello), 0);
}

static void
init(struct fix *x)
{
	memset(x, 0, sizeof *x);
	x->l = loop_new();
	assert_true(memfilter_pair(x->l, x->f));
	for (int i = 0; i < 2; i++) {
		static struct budget budget = { .max = BUDGET_DEFAULT };
		struct mux_config cfg = {
			.dialer = i == 0, .endpoint = true, .keepalive_ms = 60000, .budget = &budget
		};
		struct session *s = mux_new(&cfg, loop_now_us(x->l));

		assert_non_null(s);
		x->h[i].c = carrier_new(x->l, x->f[i], s, &carrier_user, &x->h[i]);
		assert_non_null(x->h[i].c);
	}
}

static void
init_greeted(struct fix *x)
{
	init(x);
	greet(&x->h[0], CTL_AGENT);
	greet(&x->h[1], CTL_RELAY);
	mem_settle(x->l);
	assert_int_equal(x->h[0].n_hello, 1);
	assert_int_equal(x->h[1].n_hello, 1);
}

static void
fini(struct fix *x)
{
	for (int i = 0; i < 2; i++)
		host_free(&x->h[i]);
	loop_settle(x->l);
	assert_int_equal(n_timers, 0);
	loop_free(x->l);
	buf_pool_free();
}

static struct stream *
open_stream(struct fix *x)
{
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" };
	struct stream *s =
	    session_open(carrier_session(x->h[0].c), &o, NULL, &stream_user, &x->h[0], NULL);

	assert_non_null(s);
	x->h[0].opened = s;
	return s;
}

static void
send_zeros(struct stream *s, size_t n)
{
	struct bufq q = { 0 };
	uint8_t *p = mem_must_zalloc(n);

	assert_int_equal(bufq_copy(&q, p, n), 0);
	assert_int_equal(stream_send(s, &q, n), 0);
	mem_free(p);
}

static void
streams_pass_over_carriers(void **state)
{
	struct fix x;

	(void)state;
	init_greeted(&x);
	send_zeros(open_stream(&x), 3000000);
	mem_settle(x.l);
	assert_int_equal(x.h[1].got, 3000000);
	fini(&x);
}

static void
a_finished_carrier_says_goodbye(void **state)
{
	struct fix x;

	(void)state;
	init_greeted(&x);
	session_goaway(carrier_session(x.h[0].c), CODE_OK, "bye");
	carrier_finish(x.h[0].c);
	mem_settle(x.l);
	assert_int_equal(x.h[1].n_goaway, 1);
	assert_int_equal(x.h[1].n_closed, 1);
	assert_int_equal(x.h[1].err, ERR_EOF);
	assert_int_equal(x.h[0].n_closed, 1);
	fini(&x);
}

/* A peer that reads nothing must not keep a carrier for ever that has something left to say. */
static void
a_finish_has_a_time_limit_whatever_the_peer_does(void **state)
{
	struct fix x;
	uint64_t start;

	(void)state;
	init_greeted(&x);
	memfilter_stall(x.f[0], true);
	session_goaway(carrier_session(x.h[0].c), CODE_OK, "bye");
	start = clock_mono_ms();
	carrier_finish(x.h[0].c);
	while (x.h[0].n_closed == 0 && clock_mono_ms() - start < CARRIER_FINISH_MS + 3000)
		mem_settle(x.l);
	assert_int_equal(x.h[0].n_closed, 1);
	assert_int_equal(x.h[0].err, ERR_TIMEOUT);
	fini(&x);
}

static void
a_refused_peer_learns_why(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	x.h[1].verdict = SESSION_REFUSED;
	greet(&x.h[0], CTL_AGENT);
	mem_settle(x.l);
	assert_int_equal(x.h[0].n_goaway, 1);
	assert_int_equal(x.h[0].away_code, CODE_DENIED);
	assert_int_equal(x.h[0].n_closed, 1);
	fini(&x);
}

static void
a_peer_that_breaks_the_protocol_learns_why(void **state)
{
	struct fix x;

	(void)state;
	init_greeted(&x);
	assert_int_equal(filter_send(x.f[0], "\377\377\377\377\377\377\377\377", 8), 0);
	filter_flush(x.f[0]);
	mem_settle(x.l);
	assert_int_equal(x.h[1].n_closed, 1);
	assert_int_equal(x.h[1].err, ERR_PROTO);
	assert_int_equal(x.h[0].n_closed, 1);
	fini(&x);
}

static void
a_held_peer_waits_and_goes_on(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	x.h[1].verdict = SESSION_HOLD;
	greet(&x.h[0], CTL_AGENT);
	send_zeros(open_stream(&x), 1000);
	mem_settle(x.l);
	assert_int_equal(x.h[1].n_hello, 1);
	assert_null(x.h[1].opened);
	carrier_resume(x.h[1].c);
	mem_settle(x.l);
	assert_int_equal(x.h[1].got, 1000);
	fini(&x);
}

static void
a_carrier_may_be_freed_in_its_callbacks(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	x.h[1].free_in_hello = true;
	greet(&x.h[0], CTL_AGENT);
	mem_settle(x.l);
	assert_int_equal(x.h[0].n_closed, 1);
	fini(&x);

	init_greeted(&x);
	x.h[1].free_in_open = true;
	send_zeros(open_stream(&x), 100000);
	mem_settle(x.l);
	assert_int_equal(x.h[0].n_closed, 1);
	assert_null(x.h[0].opened);
	fini(&x);
}

static void
a_cut_carrier_tells_its_owner_once(void **state)
{
	struct fix x;

	(void)state;
	init_greeted(&x);
	open_stream(&x);
	mem_settle(x.l);
	memfilter_cut(x.f[0]);
	mem_settle(x.l);
	assert_int_equal(x.h[1].n_closed, 1);
	assert_int_equal(x.h[1].err, ERR_CLOSED);
	assert_null(x.h[1].opened);
	fini(&x);
}

static void
a_held_carrier_moves_with_every_byte(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	x.h[1].verdict = SESSION_HOLD;
	greet(&x.h[0], CTL_AGENT);
	send_zeros(open_stream(&x), 100000);
	mem_settle(x.l);
	/* Back to the same loop: the pair in memory has only one. */
	carrier_detach(x.h[1].c);
	mem_settle(x.l);
	assert_null(x.h[1].opened);
	assert_int_equal(carrier_attach(x.h[1].c, x.l), 0);
	greet(&x.h[1], CTL_RELAY);
	carrier_resume(x.h[1].c);
	mem_settle(x.l);
	assert_int_equal(x.h[1].got, 100000);
	fini(&x);
}

static void
stop_by_session(struct carrier *c, bool stop)
{
	carrier_session(c)->user->stop(carrier_session(c)->arg, stop);
}

/* Whoever is slowed down is not taken for dead meanwhile (PROTOCOL.md 6.2). */
static void
a_session_knows_that_it_is_not_read(void **state)
{
	struct fix x;
	struct session *s;

	(void)state;
	init_greeted(&x);
	s = carrier_session(x.h[1].c);
	assert_false(s->unread);
	carrier_slow(x.h[1].c, true);
	stop_by_session(x.h[1].c, true);
	assert_true(s->unread);
	s->heard_us = 0;
	carrier_slow(x.h[1].c, false);
	assert_true(s->unread);
	stop_by_session(x.h[1].c, false);
	assert_false(s->unread);
	assert_true(s->heard_us > 0);
	fini(&x);
}

/* Without memory it is as detached as it was: it can be tried again, or freed. */
static void
a_carrier_that_cannot_be_attached_is_not_half_built(void **state)
{
	struct fix x;

	(void)state;
	for (int again = 0; again < 2; again++) {
		init(&x);
		x.h[1].verdict = SESSION_HOLD;
		greet(&x.h[0], CTL_AGENT);
		send_zeros(open_stream(&x), 1000);
		mem_settle(x.l);
		carrier_detach(x.h[1].c);
		memfilter_refuse_attach(x.f[1]);
		assert_int_equal(carrier_attach(x.h[1].c, x.l), ERR_NOMEM);
		if (again) {
			assert_int_equal(carrier_attach(x.h[1].c, x.l), 0);
			carrier_resume(x.h[1].c);
			mem_settle(x.l);
			assert_int_equal(x.h[1].got, 1000);
		} else {
			host_free(&x.h[1]);
			mem_settle(x.l);
			assert_int_equal(x.h[0].n_closed, 1);
		}
		fini(&x);
	}
}

/* ---- not reading ---- */

static void
what_is_in_the_way_of_reading_is_counted_apart(void **state)
{
	struct fix x;
	struct carrier *c;

	(void)state;
	init_greeted(&x);
	c = x.h[1].c;
	assert_false(carrier_session(c)->unread);
	open_stream(&x);
	stop_by_session(c, true);
	carrier_slow(c, true);
	assert_true(carrier_session(c)->unread);
	send_zeros(x.h[0].opened, 1000);
	mem_settle(x.l);
	assert_null(x.h[1].opened);
	stop_by_session(c, false);
	mem_settle(x.l);
	assert_null(x.h[1].opened);
	carrier_slow(c, false);
	mem_settle(x.l);
	assert_int_equal(x.h[1].got, 1000);
	carrier_slow(c, true);
	send_zeros(x.h[0].opened, 500);
	mem_settle(x.l);
	assert_int_equal(x.h[1].got, 1000);
	carrier_slow(c, false);
	mem_settle(x.l);
	assert_int_equal(x.h[1].got, 1500);
	fini(&x);
}

static void
who_finishes_reads_the_goodbye_although_it_was_stopped(void **state)
{
	struct fix x;

	(void)state;
	init_greeted(&x);
	stop_by_session(x.h[1].c, true);
	carrier_finish(x.h[1].c);
	/* Too late to stop it. */
	stop_by_session(x.h[1].c, true);
	assert_false(carrier_session(x.h[1].c)->unread);
	mem_settle(x.l);
	assert_int_equal(x.h[1].n_closed, 1);
	assert_int_equal(x.h[1].err, ERR_EOF);
	fini(&x);
}

/* ---- a session's time and input ---- */

/* One end alone, with a session that the test makes up. */
static struct fake_session *
init_fake(struct fix *x)
{
	struct fake_session *f = fake_new();

	memset(x, 0, sizeof *x);
	x->l = loop_new();
	assert_true(memfilter_pair(x->l, x->f));
	f->deadline_us = loop_now_us(x->l) + 1;
	x->h[0].c = carrier_new(x->l, x->f[0], &f->s, &carrier_user, &x->h[0]);
	assert_non_null(x->h[0].c);
	return f;
}

static void
on_peers_message(void *arg, enum f_ws_kind kind, struct bufq *payload)
{
	(void)arg;
	(void)kind;
	bufq_fini(payload);
}

/* The same with a session of texts; the test is the WebSocket's other end, x->f[1]. */
static struct fake_session *
init_texts(struct fix *x)
{
	const struct f_ws_config server = carrier_ws(SESSION_TEXT, 1000),
				 client = { .mode = F_WS_MESSAGES,
					 .client = true,
					 .max_message = 1000,
					 .on_message = on_peers_message };
	struct fake_session *f = fake_new();

	memset(x, 0, sizeof *x);
	x->l = loop_new();
	assert_true(memfilter_pair(x->l, x->f));
	x->f[0] = f_ws_new(x->f[0], x->l, &server);
	x->f[1] = f_ws_new(x->f[1], x->l, &client);
	f->s.carries = SESSION_TEXT;
	x->h[0].stays = true;
	x->h[0].c = carrier_new(x->l, x->f[0], &f->s, &carrier_user, &x->h[0]);
	assert_non_null(x->h[0].c);
	return f;
}

static void
fini_fake(struct fix *x)
{
	filter_free(x->f[1]);
	fini(x);
	fake_free_all();
}

static void
what_went_wrong_shows_in_the_code(void **state)
{
	static const struct {
		enum f_ws_kind kind;
		int fail, code;
	} v[] = { { F_WS_TEXT, ERR_PROTO, F_WS_PROTOCOL }, { F_WS_TEXT, ERR_NOMEM, F_WS_INTERNAL },
		{ F_WS_TEXT, ERR_DENIED, F_WS_NORMAL }, { F_WS_BINARY, 0, F_WS_PROTOCOL } };

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		struct bufq q = { 0 };
		struct fix x;

		init_texts(&x)->fail_input = v[i].fail;
		assert_int_equal(bufq_copy(&q, "hello", 5), 0);
		assert_int_equal(f_ws_send_message(x.f[1], v[i].kind, &q), 0);
		filter_flush(x.f[1]);
		mem_settle(x.l);
		assert_int_equal(x.h[0].n_closed, 1);
		assert_int_equal(f_ws_peer_code(x.f[1]), v[i].code);
		fini_fake(&x);
	}
}

static void
pings_have_numbers_and_the_peers_are_noted(void **state)
{
	struct fake_session *f;
	struct fix x;

	(void)state;
	f = init_texts(&x);
	mem_settle(x.l);
	f->s.pings = 7;
	f->s.ponged = 6;
	f->s.user->ping(f->s.arg);
	assert_int_equal(f->s.ponged, 6);
	f->s.heard_us = 0;
	mem_settle(x.l);
	assert_int_equal(f->s.ponged, 7);
	assert_true(f->s.heard_us > 0);
	f->s.heard_us = f->s.peer_ping_us = 0;
	f_ws_ping(x.f[1], "else", 4);
	f_ws_ping(x.f[1], NULL, 0);
	mem_settle(x.l);
	assert_true(f->s.heard_us > 0 && f->s.peer_ping_us == f->s.heard_us);
	assert_int_equal(f->s.ponged, 7);
	fini_fake(&x);
}

static bool
has_ticked(void *arg)
{
	return ((struct fake_session *)arg)->n_ticks > 0;
}

static void
a_session_is_told_its_time_and_may_end_then(void **state)
{
	static const int errors[] = { 0, ERR_TIMEOUT };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fix x;
		struct fake_session *f = init_fake(&x);

		f->fail_tick = errors[i];
		assert_true(turns_until(x.l, has_ticked, f));
		assert_int_equal(f->n_ticks, 1);
		assert_int_equal(x.h[0].n_closed, errors[i] != 0);
		assert_int_equal(x.h[0].err, errors[i]);
		fini_fake(&x);
	}
}

static void
a_session_that_fails_says_why_by_its_error(void **state)
{
	static const struct {
		int err;
		uint32_t code;
	} cases[] = { { ERR_PROTO, CODE_PROTOCOL }, { ERR_NOMEM, CODE_INTERNAL },
		{ ERR_LIMIT, CODE_INTERNAL } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fix x;
		struct fake_session *f = init_fake(&x);

		f->deadline_us = 0;
		f->fail_input = cases[i].err;
		assert_int_equal(filter_send(x.f[1], "x", 1), 0);
		filter_flush(x.f[1]);
		mem_settle(x.l);
		assert_int_equal(x.h[0].n_closed, 1);
		assert_int_equal(x.h[0].err, cases[i].err);
		assert_int_equal(f->away_code, cases[i].code);
		assert_string_equal(f->away_text, "the fake does not like it");
		fini_fake(&x);
	}
}

static void
without_memory_there_is_no_carrier_and_nothing_is_taken(void **state)
{
	struct fake_session *f = fake_new();
	struct fix x = { .l = loop_new() };

	(void)state;
	assert_true(memfilter_pair(x.l, x.f));
	mem_fail_after(0);
	assert_null(carrier_new(x.l, x.f[0], &f->s, &carrier_user, &x.h[0]));
	mem_fail_after(MEM_NO_FAIL);
	no_timer = true;
	assert_null(carrier_new(x.l, x.f[0], &f->s, &carrier_user, &x.h[0]));
	no_timer = false;
	assert_false(f->freed);
	carrier_free(NULL, CODE_OK, "");
	filter_free(x.f[0]);
	fini_fake(&x);
}

static void
round_trip(void)
{
	struct fix x;

	init_greeted(&x);
	send_zeros(open_stream(&x), 1000);
	mem_settle(x.l);
	fini(&x);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_pass_over_carriers),
		cmocka_unit_test(a_finished_carrier_says_goodbye),
		cmocka_unit_test(a_finish_has_a_time_limit_whatever_the_peer_does),
		cmocka_unit_test(a_refused_peer_learns_why),
		cmocka_unit_test(a_peer_that_breaks_the_protocol_learns_why),
		cmocka_unit_test(a_held_peer_waits_and_goes_on),
		cmocka_unit_test(a_carrier_may_be_freed_in_its_callbacks),
		cmocka_unit_test(a_cut_carrier_tells_its_owner_once),
		cmocka_unit_test(a_held_carrier_moves_with_every_byte),
		cmocka_unit_test(a_carrier_that_cannot_be_attached_is_not_half_built),
		cmocka_unit_test(a_session_knows_that_it_is_not_read),
		cmocka_unit_test(what_is_in_the_way_of_reading_is_counted_apart),
		cmocka_unit_test(who_finishes_reads_the_goodbye_although_it_was_stopped),
		cmocka_unit_test(what_went_wrong_shows_in_the_code),
		cmocka_unit_test(pings_have_numbers_and_the_peers_are_noted),
		cmocka_unit_test(a_session_is_told_its_time_and_may_end_then),
		cmocka_unit_test(a_session_that_fails_says_why_by_its_error),
		cmocka_unit_test(without_memory_there_is_no_carrier_and_nothing_is_taken),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
