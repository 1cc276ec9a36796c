/* SPDX-License-Identifier: ISC */
/*
 * f_stream_test - a stream as a filter: bytes, ends and credit through two sessions, and TLS on it.
 *
 *     TLS ═ f_stream ═ mux ═ carrier ═ memory ═ carrier ═ mux ═ f_stream ═ TLS
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/common/carrier.h"
#include "cmd/common/f_stream.h"
#include "lib/base/mem.h"
#include "proto/dialect/dialect.h"
#include "test/unit/heap.h"
#include "test/unit/memfilter.h"
#include "test/unit/muxpair.h"
#include "test/unit/tlstest.h"

struct fix {
	struct loop *l;
	struct filter *wire[2];
	/* The dialer's, and the other side's. */
	struct carrier *carrier[2];
	struct stream *stream[2];
	/* On the streams. */
	struct filter *f[2];
	struct sink sink[2];
};

/* ---- two sessions ---- */

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	(void)arg;
	(void)h;
	return SESSION_GO_ON;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct fix *x = arg;
	const struct ctl_open_ok ok = { 0 };

	(void)o;
	x->stream[1] = s;
	x->f[1] = f_stream_new(x->l, s);
	assert_non_null(x->f[1]);
	assert_int_equal(stream_accept(s, &ok), 0);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
}

static void
on_idle(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)arg;
	(void)err;
	(void)text;
}

static const struct carrier_user carrier_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
};

static int
setup(void **state)
{
	static struct fix x;
	static struct budget budget = { .max = BUDGET_DEFAULT };
	const struct mux_config dialer = {
		.dialer = true, .endpoint = true, .keepalive_ms = 60000, .budget = &budget
	};
	const struct mux_config other = {
		.endpoint = true, .keepalive_ms = 60000, .budget = &budget
	};
	const struct ctl_hello hello[2] = { net_hello(CTL_CONNECT), net_hello(CTL_RELAY) };
	const struct ctl_open o = { .protocol = "tcp", .service = "inner" };
	struct session *s[2];

	x = (struct fix){ .l = loop_new() };
	assert_true(x.l != NULL && memfilter_pair(x.l, x.wire));
	s[0] = dialect_dial(&dialect_native, &dialer, loop_now_us(x.l));
	s[1] = dialect_accept(&dialect_native, &other, NULL, loop_now_us(x.l));
	for (int i = 0; i < 2; i++) {
		x.carrier[i] = carrier_new(x.l, x.wire[i], s[i], &carrier_user, &x);
		assert_int_equal(session_greet(s[i], &hello[i]), 0);
	}
	mem_settle(x.l);
	x.stream[0] = session_open(s[0], &o, NULL, NULL, NULL, NULL);
	x.f[0] = f_stream_new(x.l, x.stream[0]);
	assert_non_null(x.f[0]);
	mem_settle(x.l);
	assert_non_null(x.f[1]);
	for (int i = 0; i < 2; i++)
		filter_set_user(x.f[i], &sink_user, &x.sink[i]);
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	for (int i = 0; i < 2; i++)
		if (x->f[i] != NULL)
			filter_free(x->f[i]);
	for (int i = 0; i < 2; i++)
		carrier_free(x->carrier[i], CODE_GONE, "");
	loop_settle(x->l);
	loop_free(x->l);
	buf_pool_free();
	return 0;
}

static void
drop(struct fix *x, int i)
{
	filter_free(x->f[i]);
	x->f[i] = NULL;
}

static size_t
take(struct filter *f)
{
	size_t n = f->in.len;

	bufq_drain(&f->in, n);
	return n;
}

/* Write as much as is welcome, n bytes at most. */
static size_t
fill(struct filter *f, size_t n)
{
	static const uint8_t zeros[65536];
	size_t done = 0, room;

	while (done < n && (room = filter_room(f)) > 0) {
		size_t k = room < sizeof zeros ? room : sizeof zeros;

		if (k > n - done)
			k = n - done;
		assert_int_equal(filter_send(f, zeros, k), 0);
		done += k;
	}
	return done;
}

/* ---- the filter alone ---- */

static void
bytes_and_ends_pass(void **state)
{
	struct fix *x = *state;

	assert_int_equal(filter_send(x->f[0], "question", 8), 0);
	filter_shutdown(x->f[0]);
	assert_int_equal(filter_send(x->f[0], "late", 4), ERR_CLOSED);
	assert_int_equal(filter_room(x->f[0]), 0);
	mem_settle(x->l);
	assert_int_equal(x->f[1]->in.len, 8);
	assert_int_equal(x->sink[1].err, ERR_EOF);
	assert_int_equal(x->sink[0].n_closed, 0);
	assert_int_equal(filter_send(x->f[1], "answer", 6), 0);
	filter_shutdown(x->f[1]);
	mem_settle(x->l);
	assert_int_equal(x->f[0]->in.len, 6);
	assert_int_equal(x->sink[0].err, ERR_EOF);
	assert_int_equal(carrier_session(x->carrier[0])->n_streams, 0);
	assert_int_equal(carrier_session(x->carrier[1])->n_streams, 0);
}

static void
one_that_is_done_may_be_freed_before_the_rest_has_left(void **state)
{
	struct fix *x = *state;

	filter_shutdown(x->f[0]);
	mem_settle(x->l);
	assert_int_equal(filter_send(x->f[1], "answer", 6), 0);
	filter_shutdown(x->f[1]);
	drop(x, 1);
	mem_settle(x->l);
	assert_int_equal(x->f[0]->in.len, 6);
	assert_int_equal(x->sink[0].err, ERR_EOF);
}

static void
freed_before_the_end_it_is_a_reset_behind_what_was_written(void **state)
{
	struct fix *x = *state;

	assert_int_equal(filter_send(x->f[0], "last words", 10), 0);
	drop(x, 0);
	mem_settle(x->l);
	assert_int_equal(x->f[1]->in.len, 10);
	assert_int_equal(x->sink[1].err, ERR_CLOSED);
	assert_int_equal(filter_send(x->f[1], "late", 4), ERR_CLOSED);
}

static void
half_an_end_is_none(void **state)
{
	struct fix *x = *state;

	filter_shutdown(x->f[0]);
	drop(x, 0);
	mem_settle(x->l);
	assert_int_equal(x->sink[1].err, ERR_CLOSED);
}

static void
broken_off_nothing_more_leaves(void **state)
{
	struct fix *x = *state;

	assert_int_equal(filter_send(x->f[0], "lost", 4), 0);
	filter_reset(x->f[0], true);
	drop(x, 0);
	mem_settle(x->l);
	assert_int_equal(x->f[1]->in.len, 0);
	assert_int_equal(x->sink[1].err, ERR_CLOSED);
}

/* What it was told beside what filters tell. */
static struct {
	int n_opened, n_acked;
} told;

static void
on_told_opened(void *arg)
{
	(void)arg;
	told.n_opened++;
}

static void
on_told_acked(void *arg)
{
	(void)arg;
	told.n_acked++;
}

static const struct f_stream_news news = { on_told_opened, on_told_acked };

static void
acceptance_and_acknowledgements_are_told(void **state)
{
	enum { MUCH = 100000 };
	const struct ctl_open_ok ok = { 0 };
	struct fix *x = *state;
	uint64_t acked;

	told.n_opened = told.n_acked = 0;
	assert_true(f_stream_is_open(x->f[0]));
	f_stream_watch(x->f[0], &news, NULL);
	x->stream[0]->user->opened(x->stream[0]->arg, &ok);
	assert_int_equal(told.n_opened, 1);
	assert_int_equal(told.n_acked, 0);
	assert_int_equal(f_stream_acked(x->f[0]), 0);
	fill(x->f[0], MUCH);
	assert_int_equal(told.n_acked, 0);
	mem_settle(x->l);
	assert_true(told.n_acked > 0);
	acked = f_stream_acked(x->f[0]);
	assert_in_range(acked, 1, MUCH);
	assert_int_equal(acked + filter_unacked(x->f[0]), MUCH);
}

static void
where_nobody_acknowledges_what_has_left_stands_for_it(void **state)
{
	struct fix *x = *state;

	told.n_acked = 0;
	f_stream_watch(x->f[0], &news, NULL);
	x->stream[0]->session->can &= ~(unsigned)SESSION_ACKS;
	assert_int_equal(filter_send(x->f[0], "question", 8), 0);
	mem_settle(x->l);
	assert_int_equal(told.n_acked, 1);
	assert_int_equal(filter_unacked(x->f[0]), 0);
}

static void
the_code_of_a_reset_is_kept(void **state)
{
	struct fix *x = *state;

	assert_int_equal(f_stream_code(x->f[0]), CODE_OK);
	drop(x, 1);
	mem_settle(x->l);
	assert_string_equal(x->sink[0].text, "closed");
	assert_int_equal(f_stream_code(x->f[0]), CODE_GONE);
}

static void
on_end(void *arg, int err, const char *text)
{
	struct fix *x = arg;

	(void)text;
	x->sink[0].err = err;
	drop(x, 0);
}

static void
on_nothing(void *arg)
{
	(void)arg;
}

static void
freed_when_the_other_half_ends_it_has_ended_well(void **state)
{
	static const struct filter_user user = { on_nothing, on_nothing, on_end };
	struct fix *x = *state;

	filter_set_user(x->f[0], &user, x);
	filter_shutdown(x->f[0]);
	mem_settle(x->l);
	filter_shutdown(x->f[1]);
	mem_settle(x->l);
	assert_null(x->f[0]);
	assert_int_equal(x->sink[0].err, ERR_EOF);
	assert_int_equal(x->sink[1].err, ERR_EOF);
	assert_int_equal(carrier_session(x->carrier[0])->n_streams, 0);
	assert_int_equal(carrier_session(x->carrier[1])->n_streams, 0);
}

static void
a_lost_session_ends_it(void **state)
{
	struct fix *x = *state;

	carrier_free(x->carrier[0], CODE_GONE, "the link was lost");
	x->carrier[0] = NULL;
	assert_int_equal(x->sink[0].err, ERR_CLOSED);
	assert_string_equal(x->sink[0].text, "the link was lost");
	assert_int_equal(filter_room(x->f[0]), 0);
}

static void
paused_it_takes_no_more_than_a_window(void **state)
{
	enum { MUCH = 64 * 1024 * 1024 };
	struct fix *x = *state;
	size_t wrote, got, n;

	filter_pause(x->f[1], true);
	for (wrote = 0, n = 1; n > 0; wrote += n) {
		n = fill(x->f[0], MUCH);
		mem_settle(x->l);
	}
	assert_true(wrote < MUCH);
	assert_int_equal(x->sink[1].n_readable, 0);
	assert_true(wrote > 0);
	assert_int_equal(x->f[1]->in.len, 0);
	assert_int_equal(f_stream_acked(x->f[0]), 0);
	/* It found no room, and is told when there is some. */
	x->sink[0].n_writable = 0;
	filter_pause(x->f[1], false);
	mem_settle(x->l);
	assert_true(x->sink[0].n_writable > 0);
	assert_true(x->sink[1].n_readable > 0);
	/* All of it arrives, as long as somebody takes it. */
	for (got = 0, n = 1; n > 0; got += n) {
		wrote += fill(x->f[0], MUCH / 8 > wrote ? MUCH / 8 - wrote : 0);
		mem_settle(x->l);
		n = take(x->f[1]);
	}
	assert_int_equal(got, wrote);
	assert_true(wrote >= MUCH / 8);
}

/* Takes what it is handed, and can pass nothing of it on. */
static void
on_too_much(void *arg)
{
	struct fix *x = arg;

	x->sink[1].n_readable += (int)take(x->f[1]);
	filter_pause(x->f[1], true);
}

static void
one_that_takes_and_stops_has_a_piece_and_no_credit_for_more(void **state)
{
	static const struct filter_user user = { on_too_much, on_nothing, on_end };
	enum { MUCH = 1024 * 1024 };
	struct fix *x = *state;
	size_t wrote = 0, n;

	/* The window grows first, so that much can come at once. */
	for (; wrote < MUCH; wrote += n) {
		n = fill(x->f[0], MUCH - wrote);
		mem_settle(x->l);
		IGNORE_RESULT(take(x->f[1]));
	}
	filter_pause(x->f[1], true);
	filter_set_user(x->f[1], &user, x);
	x->sink[1].n_readable = 0;
	wrote += fill(x->f[0], MUCH);
	mem_settle(x->l);
	filter_pause(x->f[1], false);
	mem_settle(x->l);
	assert_in_range(x->sink[1].n_readable, 1, F_STREAM_PIECE);
	assert_in_range(f_stream_acked(x->f[0]), MUCH, MUCH + F_STREAM_PIECE);
	assert_true(wrote > MUCH + F_STREAM_PIECE);
}

/* Much that waits, and the end behind it, are told in order, and the end once. */
static void
the_end_comes_behind_all_pieces(void **state)
{
	enum { MUCH = 5 * F_STREAM_PIECE };
	struct fix *x = *state;
	size_t wrote = 0, n;

	for (; wrote < MUCH; wrote += n) {
		n = fill(x->f[0], MUCH - wrote);
		mem_settle(x->l);
		IGNORE_RESULT(take(x->f[1]));
	}
	filter_pause(x->f[1], true);
	wrote = fill(x->f[0], MUCH);
	filter_shutdown(x->f[0]);
	mem_settle(x->l);
	assert_int_equal(x->sink[1].n_closed, 0);
	filter_pause(x->f[1], false);
	mem_settle(x->l);
	assert_int_equal(take(x->f[1]), wrote);
	assert_int_equal(x->sink[1].n_closed, 1);
	assert_int_equal(x->sink[1].err, ERR_EOF);
	assert_true(x->sink[1].n_readable > 1);
}

static void
what_came_before_a_reset_is_told_first(void **state)
{
	struct fix *x = *state;
	size_t wrote;

	filter_pause(x->f[1], true);
	wrote = fill(x->f[0], 3 * F_STREAM_PIECE / 2);
	mem_settle(x->l);
	drop(x, 0);
	mem_settle(x->l);
	assert_int_equal(x->sink[1].err, ERR_CLOSED);
	assert_int_equal(take(x->f[1]), wrote);
}

static void
a_limit_bounds_what_waits_to_be_sent(void **state)
{
	enum { LIMIT = 20000 };
	struct fix *x = *state;

	f_stream_limit(x->f[0], LIMIT);
	memfilter_stall(x->wire[0], true);
	assert_int_equal(fill(x->f[0], 1000000), LIMIT);
	assert_int_equal(filter_room(x->f[0]), 0);
	x->sink[0].n_writable = 0;
	memfilter_stall(x->wire[0], false);
	mem_settle(x->l);
	assert_true(x->sink[0].n_writable > 0);
	assert_int_equal(filter_room(x->f[0]), LIMIT);
	assert_int_equal(x->f[1]->in.len, LIMIT);
}

static void
count(void *arg)
{
	++*(int *)arg;
}

static void
written_bytes_are_followed(void **state)
{
	struct fix *x = *state;

	int n_drained = 0;

	assert_int_equal(filter_follow(x->f[0], count, &n_drained), 0);
	assert_int_equal(filter_send(x->f[0], "12345", 5), 0);
	assert_int_equal(filter_pending(x->f[0]), 5);
	assert_int_equal(filter_unacked(x->f[0]), 5);
	assert_int_equal(filter_written(x->f[0]), 0);
	mem_settle(x->l);
	assert_int_equal(n_drained, 1);
	assert_int_equal(filter_pending(x->f[0]), 0);
	assert_int_equal(filter_written(x->f[0]), 5);
}

/* ---- TLS on it ---- */

struct tls_fix {
	struct tls_client_ctx *ctx;
	struct tlstest_side c, s;
};

static void
tls_open(struct fix *x, struct tls_fix *t, size_t chunk)
{
	struct tls_client_opts opts = { .ca_file = tlstest_pem };

	*t = (struct tls_fix){ 0 };
	for (int i = 0; i < 2; i++)
		memfilter_set_chunk(x->wire[i], chunk);
	assert_int_equal(tls_client_new(&opts, &t->ctx, NULL), 0);
	tlstest_side_start(&t->s, f_tls_server(x->f[1], x->l, tlstest_server_ctx));
	tlstest_side_start(&t->c, f_tls_client(x->f[0], x->l, t->ctx, "relay.test"));
	/* TLS owns the streams' filters now. */
	x->f[0] = t->c.f;
	x->f[1] = t->s.f;
	mem_settle(x->l);
	assert_int_equal(t->c.n_ready, 1);
	assert_int_equal(t->s.n_ready, 1);
}

static void
tls_close(struct fix *x, struct tls_fix *t)
{
	x->f[0] = x->f[1] = NULL;
	tlstest_side_free(&t->c);
	tlstest_side_free(&t->s);
	bufq_fini(&t->c.got);
	bufq_fini(&t->s.got);
	tls_client_free(t->ctx);
}

static void
tls_runs_on_a_stream(void **state)
{
	static const size_t chunks[] = { 0, 1000 };
	struct fix *x = *state;
	struct tls_fix t;

	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
		if (i > 0) {
			teardown(state);
			setup(state);
		}
		tls_open(x, &t, chunks[i]);
		tlstest_write(&t.c, 1000000, 5000);
		tlstest_write(&t.s, 300000, 70000);
		mem_settle(x->l);
		tlstest_got(&t.s, 1000000);
		tlstest_got(&t.c, 300000);
		filter_shutdown(t.c.f);
		mem_settle(x->l);
		assert_int_equal(t.c.err, ERR_EOF);
		assert_int_equal(t.s.err, ERR_EOF);
		tls_close(x, &t);
		mem_settle(x->l);
		assert_int_equal(carrier_session(x->carrier[0])->n_streams, 0);
		assert_int_equal(carrier_session(x->carrier[1])->n_streams, 0);
	}
}

static void
tls_notices_a_stream_that_was_cut(void **state)
{
	struct fix *x = *state;
	struct tls_fix t;

	tls_open(x, &t, 0);
	tlstest_write(&t.c, 1000, 1000);
	mem_settle(x->l);
	tlstest_got(&t.s, 1000);
	/* An end of the stream without TLS's own: the relay's doing. */
	stream_eof(x->stream[0]);
	mem_settle(x->l);
	assert_int_equal(t.s.err, ERR_CLOSED);
	tls_close(x, &t);
}

static void
round_trip(void)
{
	void *state = NULL;

	assert_int_equal(setup(&state), 0);
	bytes_and_ends_pass(&state);
	assert_int_equal(teardown(&state), 0);
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
		T(bytes_and_ends_pass),
		T(one_that_is_done_may_be_freed_before_the_rest_has_left),
		T(freed_before_the_end_it_is_a_reset_behind_what_was_written),
		T(half_an_end_is_none),
		T(broken_off_nothing_more_leaves),
		T(a_lost_session_ends_it),
		T(paused_it_takes_no_more_than_a_window),
		T(one_that_takes_and_stops_has_a_piece_and_no_credit_for_more),
		T(the_end_comes_behind_all_pieces),
		T(what_came_before_a_reset_is_told_first),
		T(a_limit_bounds_what_waits_to_be_sent),
		T(written_bytes_are_followed),
		T(tls_runs_on_a_stream),
		T(tls_notices_a_stream_that_was_cut),
		T(acceptance_and_acknowledgements_are_told),
		T(where_nobody_acknowledges_what_has_left_stands_for_it),
		T(the_code_of_a_reset_is_kept),
		T(freed_when_the_other_half_ends_it_has_ended_well),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
