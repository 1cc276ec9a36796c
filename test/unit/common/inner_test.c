/* SPDX-License-Identifier: ISC */
/*
 * inner_test - a session end to end inside a stream: who is let in, what stands in line, and what
 * an end of the outer stream is taken for.
 *
 *     inner ═ TLS ═ f_stream ═ mux ═ carrier ═ memory ═ carrier ═ mux ═ f_stream ═ TLS ═ inner
 *
 * link: -Wl,--wrap=timer_set
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/common/inner.h"
#include "lib/base/mem.h"
#include "proto/dialect/dialect.h"
#include "test/unit/heap.h"
#include "test/unit/memfilter.h"
#include "test/unit/muxpair.h"
#include "test/unit/turns.h"

/* The deadline comes soon where a test wants it. */
void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms);
static bool hurry;

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	__real_timer_set(t, hurry && ms == INNER_GREETING_MS ? 1 : ms);
}

enum { DIALER, ACCEPTOR };

/* One end of the inner session. */
struct inside {
	struct inner *in;
	struct tls_keyed *tls;
	struct keys_list allowed;
	struct budget budget;
	/* What it was told. */
	int n_proved, n_ready, n_hello, n_closed, n_goaway;
	char name[CTL_AGENT_MAX + 1];
	uint32_t code;
	char text[256];
	/* A stream in it, and what came. */
	struct stream *s;
	struct bufq got;
	bool eof;
	int n_over;
	uint32_t over;
};

static struct fix {
	struct loop *l;
	struct filter *wire[2];
	struct carrier *carrier[2];
	struct stream *outer[2];
	struct inside x[2];
} f;

/* ---- a stream in the inner session ---- */

static void
s_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)arg;
	(void)ok;
}

static void
s_data(void *arg, struct bufq *in)
{
	struct inside *x = arg;
	size_t n = in->len;

	assert_int_equal(bufq_move(&x->got, in, n), 0);
	stream_consumed(x->s, n);
	stream_ack(x->s, x->got.len, false);
}

static void
s_eof(void *arg)
{
	struct inside *x = arg;

	x->eof = true;
	stream_ack(x->s, x->got.len, true);
}

static void
s_sent(void *arg, size_t n)
{
	(void)arg;
	(void)n;
}

static void
s_acked(void *arg, uint64_t off, bool eof)
{
	(void)arg;
	(void)off;
	(void)eof;
}

static void
s_closed(void *arg, uint32_t code, const char *text)
{
	struct inside *x = arg;

	(void)text;
	x->s = NULL;
	x->n_over++;
	x->over = code;
}

static const struct stream_user stream_user = {
	.opened = s_opened,
	.data = s_data,
	.eof = s_eof,
	.sent = s_sent,
	.acked = s_acked,
	.closed = s_closed,
};

/* ---- the inner session's user ---- */

static bool
on_proved(void *arg, const uint8_t point[KEYS_POINT_LEN], struct mux_config *cfg)
{
	struct inside *x = arg;

	assert_non_null(point);
	x->n_proved++;
	cfg->budget = &x->budget;
	return true;
}

static void
on_ready(void *arg)
{
	struct inside *x = arg;

	x->n_ready++;
	assert_true(inner_may_open(x->in));
}

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct inside *x = arg;
	const struct ctl_hello mine = net_hello(CTL_RELAY);

	x->n_hello++;
	snprintf(x->name, sizeof x->name, "%s", h->name);
	if (x == &f.x[ACCEPTOR])
		assert_int_equal(session_greet(inner_session(x->in), &mine), 0);
	return SESSION_GO_ON;
}

static void
on_inner_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	const struct ctl_open_ok ok = { 0 };
	struct inside *x = arg;

	assert_string_equal(o->service, "ssh");
	x->s = s;
	stream_set_user(s, &stream_user, x);
	assert_int_equal(stream_accept(s, &ok), 0);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct inside *x = arg;

	(void)code;
	(void)text;
	x->n_goaway++;
}

static void
on_idle(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct inside *x = arg;

	x->n_closed++;
	x->code = code;
	snprintf(x->text, sizeof x->text, "%s", text);
	inner_free(x->in, code, text);
	x->in = NULL;
}

static const struct inner_user inner_user = {
	.proved = on_proved,
	.ready = on_ready,
	.hello = on_hello,
	.open = on_inner_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
};

/* ---- the outer sessions ---- */

static enum session_verdict
outer_hello(void *arg, const struct ctl_hello *h)
{
	(void)arg;
	(void)h;
	return SESSION_GO_ON;
}

static void
outer_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	const struct ctl_open_ok ok = { 0 };

	(void)arg;
	assert_true(ctl_open_is_e2e(o));
	f.outer[ACCEPTOR] = s;
	assert_int_equal(stream_accept(s, &ok), 0);
}

static void
outer_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
}

static void
outer_closed(void *arg, int err, const char *text)
{
	(void)arg;
	(void)err;
	(void)text;
}

static const struct carrier_user carrier_user = {
	.hello = outer_hello,
	.open = outer_open,
	.goaway = outer_goaway,
	.idle = on_idle,
	.closed = outer_closed,
};

/* ---- two ends that know each other ---- */

static void
keys_make(void)
{
	struct errtext e = { "" };

	for (int i = 0; i < 2; i++) {
		struct secret *priv = keys_generate();

		assert_non_null(priv);
		assert_int_equal(
		    tls_keyed_new(priv, i == DIALER ? TLS_KEYED_CLIENT : TLS_KEYED_SERVER,
			TLS_KEYED_E2E, &f.x[i].tls, &e),
		    0);
		secret_free(priv);
		budget_init(&f.x[i].budget, BUDGET_DEFAULT, NULL);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(keys_list_add(&f.x[i].allowed, tls_keyed_public(f.x[1 - i].tls),
				     KEYS_PUB_TEXT_LEN, &e),
		    0);
}

static int
setup(void **state)
{
	static struct budget budget = { .max = BUDGET_DEFAULT };
	const struct mux_config dialer = {
		.dialer = true, .endpoint = true, .keepalive_ms = 60000, .budget = &budget
	};
	const struct mux_config other = {
		.endpoint = true, .keepalive_ms = 60000, .budget = &budget
	};
	const struct ctl_hello hello[2] = { net_hello(CTL_CONNECT), net_hello(CTL_RELAY) };
	const struct ctl_open o = { .protocol = CTL_E2E };
	struct session *s[2];

	(void)state;
	hurry = false;
	f = (struct fix){ .l = loop_new() };
	assert_true(f.l != NULL && memfilter_pair(f.l, f.wire));
	keys_make();
	s[0] = dialect_dial(&dialect_native, &dialer, loop_now_us(f.l));
	s[1] = dialect_accept(&dialect_native, &other, NULL, loop_now_us(f.l));
	for (int i = 0; i < 2; i++) {
		f.carrier[i] = carrier_new(f.l, f.wire[i], s[i], &carrier_user, &f);
		assert_int_equal(session_greet(s[i], &hello[i]), 0);
	}
	mem_settle(f.l);
	f.outer[DIALER] = session_open(s[0], &o, NULL, NULL, NULL, NULL);
	assert_non_null(f.outer[DIALER]);
	mem_settle(f.l);
	assert_non_null(f.outer[ACCEPTOR]);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		inner_free(f.x[i].in, CODE_GONE, "");
		bufq_fini(&f.x[i].got);
		carrier_free(f.carrier[i], CODE_GONE, "");
		tls_keyed_free(f.x[i].tls);
	}
	loop_settle(f.l);
	loop_free(f.l);
	buf_pool_free();
	return 0;
}

static void
begin(int i)
{
	struct ctl_hello h = net_hello(CTL_CONNECT);

	snprintf(h.name, sizeof h.name, "pi");
	f.x[i].in = inner_new(f.l, f.outer[i], f.x[i].tls, tls_judge_list(&f.x[i].allowed),
	    i == DIALER ? &h : NULL, &inner_user, &f.x[i]);
	assert_non_null(f.x[i].in);
}

static void
begin_both(void)
{
	begin(ACCEPTOR);
	begin(DIALER);
	mem_settle(f.l);
}

static void
open_inside(void)
{
	const struct ctl_open o = { .protocol = CTL_TCP, .service = "ssh" };
	struct inside *x = &f.x[DIALER];

	x->s = session_open(inner_session(x->in), &o, NULL, &stream_user, x, NULL);
	assert_non_null(x->s);
	mem_settle(f.l);
}

static void
say(int i, size_t n)
{
	static const uint8_t zeros[65536];
	struct bufq q = { 0 };

	assert_true(n <= sizeof zeros);
	assert_int_equal(bufq_copy(&q, zeros, n), 0);
	assert_int_equal(stream_send(f.x[i].s, &q, n), 0);
	bufq_fini(&q);
}

static void
keys_become_a_session(void **state)
{
	(void)state;
	begin_both();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f.x[i].n_proved, 1);
		assert_int_equal(f.x[i].n_hello, 1);
		assert_int_equal(f.x[i].n_closed, 0);
		assert_true(inner_session(f.x[i].in)->rtt_us > 0 || i == ACCEPTOR);
	}
	assert_int_equal(f.x[DIALER].n_ready, 1);
	assert_int_equal(f.x[ACCEPTOR].n_ready, 0);
	assert_string_equal(f.x[ACCEPTOR].name, "pi");
}

static void
streams_in_it_carry_bytes_and_ends(void **state)
{
	(void)state;
	begin_both();
	open_inside();
	say(DIALER, 50000);
	stream_eof(f.x[DIALER].s);
	mem_settle(f.l);
	assert_int_equal(f.x[ACCEPTOR].got.len, 50000);
	assert_true(f.x[ACCEPTOR].eof);
	assert_int_equal(f.x[ACCEPTOR].n_over, 0);
	say(ACCEPTOR, 60000);
	stream_eof(f.x[ACCEPTOR].s);
	mem_settle(f.l);
	assert_int_equal(f.x[DIALER].got.len, 60000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f.x[i].n_over, 1);
		assert_int_equal(f.x[i].over, CODE_OK);
	}
	inner_finish(f.x[DIALER].in);
	mem_settle(f.l);
	for (int i = 0; i < 2; i++)
		assert_int_equal(f.x[i].n_closed, 1);
	mem_settle(f.l);
	assert_int_equal(carrier_session(f.carrier[DIALER])->n_streams, 0);
	assert_int_equal(carrier_session(f.carrier[ACCEPTOR])->n_streams, 0);
}

static void
little_stands_in_line_below_it(void **state)
{
	struct filter *bottom;
	size_t queued;

	(void)state;
	begin_both();
	open_inside();
	/* So much that the peer's window lets all of the line through. */
	for (int i = 0; i < 64; i++) {
		say(DIALER, 65536);
		mem_settle(f.l);
	}
	bottom = f.outer[DIALER]->arg;
	memfilter_stall(f.wire[DIALER], true);
	for (int i = 0; i < 64; i++) {
		say(DIALER, 65536);
		mem_settle(f.l);
	}
	queued = filter_pending(bottom);
	assert_in_range(queued, INNER_QUEUE_MAX / 2, INNER_QUEUE_MAX);
	memfilter_stall(f.wire[DIALER], false);
	for (int i = 0; i < 1000 && f.x[ACCEPTOR].got.len < 128 * 65536; i++)
		mem_settle(f.l);
	assert_int_equal(f.x[ACCEPTOR].got.len, 128 * 65536);
}

static void
another_agents_key_is_refused(void **state)
{
	(void)state;
	f.x[DIALER].allowed = f.x[ACCEPTOR].allowed;
	begin_both();
	assert_int_equal(f.x[DIALER].n_closed, 1);
	assert_int_equal(f.x[DIALER].code, CODE_DENIED);
	assert_non_null(strstr(f.x[DIALER].text, tls_keyed_public(f.x[ACCEPTOR].tls)));
	assert_int_equal(f.x[ACCEPTOR].n_proved, 0);
	assert_int_equal(f.x[ACCEPTOR].n_closed, 1);
}

static void
a_client_is_told_that_its_key_is_refused(void **state)
{
	(void)state;
	f.x[ACCEPTOR].allowed = f.x[DIALER].allowed;
	begin_both();
	assert_int_equal(f.x[ACCEPTOR].code, CODE_DENIED);
	assert_int_equal(f.x[ACCEPTOR].n_proved, 0);
	assert_int_equal(f.x[DIALER].n_closed, 1);
	assert_int_equal(f.x[DIALER].code, CODE_DENIED);
	assert_non_null(strstr(f.x[DIALER].text, "refused our key"));
}

/* The relay ends the outer stream as if all had been said. */
static void
an_end_without_close_notify_is_a_cut(void **state)
{
	(void)state;
	begin_both();
	open_inside();
	say(DIALER, 1000);
	mem_settle(f.l);
	stream_eof(f.outer[DIALER]);
	mem_settle(f.l);
	assert_int_equal(f.x[ACCEPTOR].n_closed, 1);
	assert_int_equal(f.x[ACCEPTOR].code, CODE_LOST);
	assert_int_equal(f.x[ACCEPTOR].n_over, 1);
	assert_int_equal(f.x[ACCEPTOR].over, CODE_LOST);
	assert_false(f.x[ACCEPTOR].eof);
}

/* An end in good order of TLS is none of the streams that are open in it. */
static void
close_notify_is_no_end_of_the_streams(void **state)
{
	(void)state;
	begin_both();
	open_inside();
	inner_finish(f.x[DIALER].in);
	mem_settle(f.l);
	assert_int_equal(f.x[ACCEPTOR].n_over, 1);
	assert_int_equal(f.x[ACCEPTOR].over, CODE_LOST);
	assert_false(f.x[ACCEPTOR].eof);
}

static void
the_code_of_the_outer_streams_reset_is_told(void **state)
{
	(void)state;
	begin(DIALER);
	stream_reset(f.outer[ACCEPTOR], CODE_NOT_FOUND, "agent pi is not connected");
	mem_settle(f.l);
	assert_int_equal(f.x[DIALER].n_closed, 1);
	assert_int_equal(f.x[DIALER].code, CODE_NOT_FOUND);
	assert_string_equal(f.x[DIALER].text, "agent pi is not connected");
}

static void
a_changed_byte_ends_it(void **state)
{
	struct bufq q = { 0 };

	(void)state;
	begin_both();
	open_inside();
	/* Behind TLS's back, as a relay could. */
	assert_int_equal(bufq_copy(&q, "\x17\x03\x03\x00\x20", 5), 0);
	assert_int_equal(bufq_copy(&q, "0123456789abcdef0123456789abcdef", 32), 0);
	assert_int_equal(stream_send(f.outer[DIALER], &q, q.len), 0);
	mem_settle(f.l);
	assert_int_equal(f.x[ACCEPTOR].n_closed, 1);
	assert_int_equal(f.x[ACCEPTOR].code, CODE_PROTOCOL);
	assert_int_equal(f.x[ACCEPTOR].n_over, 1);
	bufq_fini(&q);
}

static bool
is_over(void *arg)
{
	return ((struct inside *)arg)->n_closed > 0;
}

static void
who_says_nothing_is_not_waited_for(void **state)
{
	(void)state;
	hurry = true;
	begin(DIALER);
	assert_true(turns_until(f.l, is_over, &f.x[DIALER]));
	assert_int_equal(f.x[DIALER].code, CODE_TIMEOUT);
}

static void
without_memory_it_does_not_begin(void **state)
{
	struct ctl_hello h = net_hello(CTL_CONNECT);
	bool begun = false;

	(void)state;
	for (long i = 0; !begun; i++) {
		teardown(NULL);
		setup(NULL);
		mem_fail_after(i);
		f.x[0].in = inner_new(f.l, f.outer[0], f.x[0].tls, tls_judge_list(&f.x[0].allowed),
		    &h, &inner_user, &f.x[0]);
		mem_fail_after(MEM_NO_FAIL);
		begun = f.x[0].in != NULL;
		assert_true(i < 1000);
	}
}

static void
round_trip(void)
{
	void *state = NULL;

	setup(&state);
	streams_in_it_carry_bytes_and_ends(&state);
	teardown(&state);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(keys_become_a_session),
		T(streams_in_it_carry_bytes_and_ends),
		T(little_stands_in_line_below_it),
		T(another_agents_key_is_refused),
		T(a_client_is_told_that_its_key_is_refused),
		T(an_end_without_close_notify_is_a_cut),
		T(close_notify_is_no_end_of_the_streams),
		T(the_code_of_the_outer_streams_reset_is_told),
		T(a_changed_byte_ends_it),
		T(who_says_nothing_is_not_waited_for),
		T(without_memory_it_does_not_begin),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
