/* SPDX-License-Identifier: ISC */
/*
 * mux_stream_test - one stream: order, ends, windows, acknowledgement, directly and through a
 * relay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/mux_int.h"
#include "test/unit/muxpair.h"

static const struct mux_config acceptor = { .keepalive_ms = 1000 };
static const struct mux_config keeper = { .endpoint = true, .keepalive_ms = 1000 };

static const struct mux_stream *
inner(const struct stream *s)
{
	return (const struct mux_stream *)s;
}

/* Everything that a peer has opened at this session, but at the end of it. */
static struct side *
first(struct raw *r)
{
	return &r->net.end[0].side[0];
}

/* ---- bytes ---- */

static void
transfer(struct net *n, int chunk)
{
	struct side a = { 0 };
	const struct side *b = &net_agent(n)->side[0];
	size_t up = 0, down = 0;

	n->chunk = chunk;
	assert_true(side_open(&a, net_client(n)));
	for (size_t i = 1; i < 3000; i = i * 3 + 1) {
		assert_int_equal(side_send(&a, i * 7), 0);
		up += i * 7;
		net_run(n);
		assert_int_equal(side_send(&net_agent(n)->side[0], i * 40), 0);
		down += i * 40;
		net_run(n);
	}
	assert_true(a.opened);
	assert_true(side_check(b, up));
	assert_true(side_check(&a, down));
	net_free(n);
	side_fini(&a);
}

static void
bytes_arrive_in_order_whatever_the_pieces(void **state)
{
	static const int chunks[] = { NET_WHOLE, NET_ONE, 7, NET_RANDOM };

	(void)state;
	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
		transfer(net_new(NULL, NULL), chunks[i]);
		transfer(net_new_relay(), chunks[i]);
	}
}

static void
bytes_may_follow_the_open_at_once(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	assert_int_equal(side_send(&a, 100), 0);
	stream_eof(a.s);
	net_run(n);
	assert_true(side_check(&net_agent(n)->side[0], 100));
	assert_true(net_agent(n)->side[0].eof);
	net_free(n);
	side_fini(&a);
}

/* ---- ends ---- */

static void
half_close(struct net *n)
{
	struct side a = { 0 }, *b = &net_agent(n)->side[0];

	assert_true(side_open(&a, net_client(n)));
	assert_int_equal(side_send(&a, 1000), 0);
	stream_eof(a.s);
	net_run(n);
	assert_true(b->eof);
	assert_true(a.acked_eof);
	assert_false(a.closed);
	/* The other half goes on. */
	assert_int_equal(side_send(b, 500000), 0);
	net_run(n);
	assert_true(side_check(&a, 500000));
	stream_eof(b->s);
	net_wait(n, 200);
	assert_true(a.closed && b->closed);
	assert_int_equal(a.code, CODE_OK);
	assert_int_equal(b->code, CODE_OK);
	for (int i = 0; i < n->n; i++) {
		assert_int_equal(n->end[i].s->n_streams, 0);
		assert_int_equal(n->end[i].n_idle, 1);
	}
	net_free(n);
	side_fini(&a);
}

static void
half_close_each_way(void **state)
{
	(void)state;
	half_close(net_new(NULL, NULL));
	half_close(net_new_relay());
}

static void
an_empty_stream_ends_in_good_order(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	stream_eof(a.s);
	net_run(n);
	stream_eof(net_agent(n)->side[0].s);
	net_wait(n, 200);
	assert_true(a.closed);
	assert_int_equal(a.code, CODE_OK);
	net_free(n);
}

static void
the_end_waits_until_it_is_passed_on(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 }, *b = &net_agent(n)->side[0];

	(void)state;
	net_agent(n)->hold_opened = true;
	assert_true(side_open(&a, net_client(n)));
	assert_int_equal(side_send(&a, 10), 0);
	stream_eof(a.s);
	net_wait(n, 500);
	assert_true(b->eof);
	assert_false(a.acked_eof);
	stream_consumed(b->s, 10);
	stream_ack(b->s, 10, false);
	net_wait(n, 500);
	assert_int_equal(a.acked, 10);
	assert_false(a.acked_eof);
	stream_ack(b->s, 10, true);
	net_run(n);
	assert_true(a.acked_eof);
	net_free(n);
}

static void
nothing_is_taken_after_eof(void **state)
{
	struct net *n = net_new(NULL, NULL);
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	stream_eof(a.s);
	assert_int_equal(side_send(&a, 1), ERR_CLOSED);
	assert_int_equal(stream_room(a.s), 0);
	net_free(n);
}

static void
eof_at_the_wrong_offset_ends_the_session(void **state)
{
	struct raw r;

	(void)state;
	for (uint64_t off = 0; off < 21; off += 10) {
		raw_init(&r, &acceptor, true);
		assert_int_equal(raw_open(&r, 1), 0);
		assert_int_equal(raw_data(&r, 1, 10), 0);
		assert_int_equal(raw_eof(&r, 1, off), off == 10 ? 0 : ERR_PROTO);
		raw_fini(&r);
	}
}

static void
a_second_eof_or_data_after_it_ends_the_session(void **state)
{
	struct raw r;

	(void)state;
	for (int data = 0; data < 2; data++) {
		raw_init(&r, &acceptor, true);
		assert_int_equal(raw_open(&r, 1), 0);
		assert_int_equal(raw_eof(&r, 1, 0), 0);
		assert_int_equal(data ? raw_data(&r, 1, 1) : raw_eof(&r, 1, 0), ERR_PROTO);
		raw_fini(&r);
	}
}

static void
eof_has_the_expected_bytes(void **state)
{
	struct frame f;
	uint8_t body[FRAME_BODY_MAX];
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(side_send(first(&r), 5), 0);
	stream_eof(first(&r)->s);
	assert_true(raw_skip(&r, FRAME_DATA, &f, body));
	assert_int_equal(f.len, 5);
	assert_true(raw_get(&r, &f, body));
	assert_int_equal(f.type, FRAME_EOF);
	assert_memory_equal(body, "\0\0\0\0\0\0\0\5", 8);
	raw_fini(&r);
}

/* ---- windows ---- */

static void
data_beyond_the_window_ends_the_session(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	r.net.end[0].hold_opened = true;
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(raw_data(&r, 1, RAW_WINDOW), 0);
	assert_int_equal(raw_data(&r, 1, 1), ERR_PROTO);
	assert_string_equal(r.net.end[0].why.s, "DATA beyond the limit or after EOF");
	raw_fini(&r);
}

static void
a_sender_stops_at_the_limit(void **state)
{
	struct frame f;
	struct raw r;
	size_t got = 0;

	(void)state;
	raw_init(&r, &keeper, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(side_send(first(&r), 200000), 0);
	while (raw_skip(&r, FRAME_DATA, &f, NULL))
		got += f.len;
	assert_int_equal(got, RAW_WINDOW);
	assert_false(session_has_output(r.net.end[0].s));
	/* A lower limit changes nothing, one byte more is one byte more. */
	assert_int_equal(raw_window(&r, 1, 0, 5, 0), 0);
	assert_false(session_has_output(r.net.end[0].s));
	assert_int_equal(raw_window(&r, 1, 0, RAW_WINDOW + 1, 0), 0);
	assert_true(raw_skip(&r, FRAME_DATA, &f, NULL));
	assert_int_equal(f.len, 1);
	raw_fini(&r);
}

static int n_acked;

static void
count_acked(struct side *x, const char *call)
{
	(void)x;
	n_acked += strcmp(call, "acked") == 0;
}

/* What is passed on of it to the other side of a relay would be a frame for nothing. */
static void
a_limit_alone_acknowledges_nothing(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &keeper, true);
	assert_int_equal(raw_open(&r, 1), 0);
	n_acked = 0;
	first(&r)->hook = count_acked;
	assert_int_equal(side_send(first(&r), 10), 0);
	assert_true(raw_skip(&r, FRAME_DATA, &f, NULL));
	assert_int_equal(raw_window(&r, 1, 0, RAW_WINDOW + 1, 0), 0);
	assert_int_equal(n_acked, 0);
	assert_int_equal(raw_window(&r, 1, 10, RAW_WINDOW + 2, 0), 0);
	assert_int_equal(n_acked, 1);
	assert_int_equal(raw_window(&r, 1, 10, RAW_WINDOW + 3, 0), 0);
	assert_int_equal(n_acked, 1);
	raw_fini(&r);
}

static void
impossible_offsets_in_a_window_end_the_session(void **state)
{
	static const struct {
		uint64_t acked, limit;
		uint8_t flags;
	} bad[] = {
		{ 11, 0, 0 }, /* never sent */
		{ UINT64_MAX, 0, 0 }, { 0, (uint64_t)INT64_MAX + 1, 0 }, { 0, UINT64_MAX, 0 },
		{ 10, 0, FRAME_F_EOF_ACKED }, /* EOF was not sent */
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct frame f;
		struct raw r;

		raw_init(&r, &keeper, true);
		assert_int_equal(raw_open(&r, 1), 0);
		assert_int_equal(side_send(first(&r), 10), 0);
		assert_true(raw_skip(&r, FRAME_DATA, &f, NULL));
		assert_int_equal(
		    raw_window(&r, 1, bad[i].acked, bad[i].limit, bad[i].flags), ERR_PROTO);
		raw_fini(&r);
	}
}

static void
an_end_acknowledged_before_all_bytes_ends_the_session(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &keeper, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(side_send(first(&r), 10), 0);
	stream_eof(first(&r)->s);
	assert_true(raw_skip(&r, FRAME_EOF, &f, NULL));
	assert_int_equal(raw_window(&r, 1, 9, 0, FRAME_F_EOF_ACKED), ERR_PROTO);
	raw_fini(&r);
}

static void
the_highest_limit_is_harmless(void **state)
{
	struct frame f;
	struct raw r;
	size_t got = 0;

	(void)state;
	raw_init(&r, &keeper, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(raw_window(&r, 1, 0, INT64_MAX, 0), 0);
	assert_int_equal(side_send(first(&r), 1000000), 0);
	while (raw_skip(&r, FRAME_DATA, &f, NULL))
		got += f.len;
	assert_int_equal(got, 1000000);
	raw_fini(&r);
}

static void
a_slow_stream_does_not_stop_others(void **state)
{
	struct net *n = net_new_relay();
	struct side slow = { 0 }, fast = { 0 };

	(void)state;
	net_agent(n)->hold_opened = true;
	assert_true(side_open(&slow, net_client(n)));
	net_run(n);
	net_agent(n)->hold_opened = false;
	assert_true(side_open(&fast, net_client(n)));
	assert_int_equal(side_send(&slow, 3000000), 0);
	assert_int_equal(side_send(&fast, 3000000), 0);
	net_run(n);
	assert_true(side_check(&net_agent(n)->side[1], 3000000));
	/* What is on its way of the slow one is bounded by the windows of two hops. */
	assert_int_equal(net_agent(n)->side[0].got.len, RAW_WINDOW);
	assert_true(inner(slow.s)->to.sent <= 2 * RAW_WINDOW + RAW_WINDOW);
	/* It goes on when its reader does. */
	net_agent(n)->side[0].hold = false;
	stream_consumed(net_agent(n)->side[0].s, RAW_WINDOW);
	stream_ack(net_agent(n)->side[0].s, RAW_WINDOW, false);
	net_run(n);
	assert_true(side_check(&net_agent(n)->side[0], 3000000));
	net_free(n);
	side_fini(&slow);
	side_fini(&fast);
}

/* Any reader, however small its steps, gets everything: windows always open again. */
static void
windows_reopen_for_a_reader_of_any_step(void **state)
{
	static const size_t steps[] = { 1000, 4097, 32767, 32768, 65536, RAW_WINDOW };

	(void)state;
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct net *n = net_new_relay();
		struct side a = { 0 }, *b = &net_agent(n)->side[0];
		size_t read = 0;

		net_agent(n)->hold_opened = true;
		assert_true(side_open(&a, net_client(n)));
		assert_int_equal(side_send(&a, 700001), 0);
		stream_eof(a.s);
		for (int turn = 0; turn < 5000 && read < 700001; turn++) {
			net_run(n);
			size_t k = b->got.len - read < steps[i] ? b->got.len - read : steps[i];

			read += k;
			stream_consumed(b->s, k);
			stream_ack(b->s, read, false);
		}
		assert_int_equal(read, 700001);
		net_run(n);
		assert_true(b->eof);
		stream_ack(b->s, read, true);
		net_wait(n, 200);
		assert_true(a.acked_eof);
		net_free(n);
	}
}

/*
 * What a peer may do with one-byte DATA frames among others: each byte comes in a large block of
 * its own.
 */
static void
send_scattered(struct stream *s, int n)
{
	for (int i = 0; i < n; i++) {
		struct block *b = block_new(BUF_MEDIUM);
		struct bufq q = { 0 };

		assert_non_null(b);
		assert_int_equal(bufq_append(&q, b, b->data, 1), 0);
		block_unref(b);
		assert_int_equal(stream_send(s, &q, 1), 0);
	}
}

static void
queued_bytes_pin_little_more_than_themselves(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	/* The carrier does not take them ... */
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 1), 0);
	send_scattered(first(&r)->s, 10000);
	assert_int_equal(inner(first(&r)->s)->out.len, 10000);
	assert_true(bufq_weight(&inner(first(&r)->s)->out) <= MUX_WEIGHT_MAX);
	raw_fini(&r);

	/* ... or the peer does not. */
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(side_send(first(&r), RAW_WINDOW), 0);
	while (raw_get(&r, &f, NULL))
		;
	send_scattered(first(&r)->s, 1000);
	assert_true(bufq_weight(&inner(first(&r)->s)->out) <= MUX_WEIGHT_BLOCKED);
	raw_fini(&r);
}

static void
many_streams_pin_their_share_only(void **state)
{
	enum { STREAMS = 2048 };
	struct side *x = mem_must_zalloc(STREAMS * sizeof *x);
	uint64_t sum = 0;
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	for (int i = 0; i < STREAMS; i++) {
		assert_true(side_open(&x[i], &r.net.end[0]));
		if (i % 500 == 0)
			while (raw_get(&r, &f, NULL))
				;
	}
	for (int i = 0; i < STREAMS; i++) {
		send_scattered(x[i].s, 20);
		sum += bufq_weight(&inner(x[i].s)->out);
	}
	assert_true(sum <= MUX_WEIGHT_SUM_MAX);
	raw_fini(&r);
	mem_free(x);
}

static void
streams_of_other_sessions_count_for_the_share(void **state)
{
	enum { OTHERS = 512 };
	struct budget *b;
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 1), 0);
	b = inner(first(&r)->s)->from.budget;
	for (int i = 0; i < OTHERS; i++)
		budget_join(b);
	/* Blocks whose fill does not tell that they hold more: nothing is copied at once. */
	for (int i = 0; i < 12; i++) {
		struct block *block = block_new(BUF_MEDIUM);
		struct bufq q = { 0 };

		assert_non_null(block);
		assert_int_equal(bufq_append(&q, block, block->data, BUF_SMALL), 0);
		block_unref(block);
		assert_int_equal(stream_send(first(&r)->s, &q, BUF_SMALL), 0);
	}
	assert_true(bufq_weight(&inner(first(&r)->s)->out) <= MUX_WEIGHT_SUM_MAX / OTHERS);
	for (int i = 0; i < OTHERS; i++)
		budget_leave(b);
	raw_fini(&r);
}

/* A peer chooses its ids: here those that uthash's own function puts in one bucket. */
static void
ids_chosen_to_collide_do_not(void **state)
{
	struct raw r;
	UT_hash_table *t;

	(void)state;
	raw_init(&r, &acceptor, true);
	for (uint32_t id = 1, n = 0; n < NET_STREAMS; id += 2) {
		unsigned h;

		HASH_FUNCTION(&id, sizeof id, h);
		if ((h & 0xfff) != 0)
			continue;
		assert_int_equal(raw_open(&r, id), 0);
		n++;
	}
	assert_int_equal(r.net.end[0].s->n_streams, NET_STREAMS);
	t = inner(first(&r)->s)->hh.tbl;
	for (unsigned i = 0; i < t->num_buckets; i++)
		assert_true(t->buckets[i].count < NET_STREAMS / 3);
	raw_fini(&r);
}

static void
a_window_grows_with_the_rate_and_is_bounded(void **state)
{
	struct net *n = net_new(NULL, NULL);
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	const struct mux_stream *in = inner(net_agent(n)->side[0].s);

	for (int i = 0; i < 40; i++) {
		assert_int_equal(side_send(&a, 1000000), 0);
		net_run(n);
		n->now_ms++;
	}
	/*
	 * A megabyte in each millisecond, measured over two to three of them: half a window, or the
	 * share of one alone.
	 */
	assert_in_range(in->from.window, 2 * 1024 * 1024, BUDGET_DEFAULT / 10 + FLOW_FLOOR);
	net_free(n);
	side_fini(&a);
}

static void
a_window_stays_small_for_a_slow_sender(void **state)
{
	struct net *n = net_new(NULL, NULL);
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	const struct mux_stream *in = inner(net_agent(n)->side[0].s);

	for (int i = 0; i < 200; i++) {
		assert_int_equal(side_send(&a, 20000), 0);
		net_wait(n, 20);
	}
	assert_int_equal(in->from.window, RAW_WINDOW);
	net_free(n);
	side_fini(&a);
}

static void
all_windows_together_are_bounded(void **state)
{
	struct mux_config big = keeper;
	struct net *n;
	struct side a[20] = { 0 };
	uint64_t sum = 0;

	(void)state;
	big.window_max = 16 * 1024 * 1024;
	n = net_new(NULL, &big);
	for (int i = 0; i < 20; i++)
		assert_true(side_open(&a[i], net_client(n)));
	for (int k = 0; k < 60; k++) {
		for (int i = 0; i < 20; i++) {
			assert_int_equal(side_send(&a[i], 300000), 0);
			net_run(n);
		}
		n->now_ms++;
	}
	/* What may come to stand is what was promised beyond what was passed on. */
	for (int i = 0; i < 20; i++)
		sum += inner(net_agent(n)->side[i].s)->from.limit -
		       inner(net_agent(n)->side[i].s)->from.consumed;
	assert_true(sum <= BUDGET_DEFAULT + 20 * FLOW_FLOOR);
	assert_true(sum > 20 * RAW_WINDOW);
	net_free(n);
	for (int i = 0; i < 20; i++)
		side_fini(&a[i]);
}

/* ---- acknowledgement ---- */

static void
acked_bytes_are_forgotten(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };

	(void)state;
	net_agent(n)->hold_opened = true;
	assert_true(side_open(&a, net_client(n)));
	assert_int_equal(side_send(&a, 100000), 0);
	net_wait(n, 300);
	assert_int_equal(inner(a.s)->out.len, 100000);
	stream_consumed(net_agent(n)->side[0].s, 60000);
	stream_ack(net_agent(n)->side[0].s, 60000, false);
	net_wait(n, 300);
	assert_int_equal(a.acked, 60000);
	assert_int_equal(inner(a.s)->out.len, 40000);
	net_free(n);
}

static void
a_relay_keeps_no_sent_bytes(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };

	(void)state;
	net_agent(n)->hold_opened = true;
	assert_true(side_open(&a, net_client(n)));
	assert_int_equal(side_send(&a, 100000), 0);
	net_run(n);
	struct mux *m = (struct mux *)n->end[2].s;

	assert_int_equal(m->streams->to.sent, 100000);
	assert_int_equal(m->streams->out.len, 0);
	net_free(n);
}

static void
a_few_bytes_are_acknowledged_within_the_delay(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	assert_int_equal(side_send(&a, 3), 0);
	net_run(n);
	assert_int_equal(a.acked, 0);
	/* One delay at the endpoint; the hop passes it on at once. */
	net_wait(n, MUX_ACK_DELAY_US / 1000);
	assert_int_equal(a.acked, 3);
	net_free(n);
	side_fini(&a);
}

static void
an_unacknowledged_sender_has_no_room(void **state)
{
	struct raw r;
	struct frame f;

	(void)state;
	raw_init(&r, &keeper, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(raw_window(&r, 1, 0, 100000000, 0), 0);
	for (int i = 0; i < 64 && stream_room(first(&r)->s) > 0; i++) {
		assert_int_equal(side_send(first(&r), MUX_UNSENT_MAX), 0);
		while (raw_get(&r, &f, NULL))
			;
	}
	/* Alone, and not known to move: a tenth of the budget. */
	assert_true(inner(first(&r)->s)->out.len >= BUDGET_DEFAULT / 10);
	assert_true(
	    inner(first(&r)->s)->out.len <= BUDGET_DEFAULT / 10 + FLOW_KEEP + MUX_UNSENT_MAX);
	assert_int_equal(raw_window(&r, 1, 1000000, 0, 0), 0);
	assert_true(stream_room(first(&r)->s) > 0);
	raw_fini(&r);
}

/* A peer that reads all and acknowledges nothing, on every stream that it may open. */
static void
a_session_keeps_no_more_than_its_budget(void **state)
{
	struct budget *b;
	struct raw r;
	struct frame f;

	(void)state;
	raw_init(&r, &keeper, true);
	b = &r.net.end[0].budget;
	for (uint32_t i = 0; i < NET_STREAMS; i++) {
		struct side *x = &r.net.end[0].side[i];

		assert_int_equal(raw_open(&r, 2 * i + 1), 0);
		assert_int_equal(raw_window(&r, 2 * i + 1, 0, INT64_MAX, 0), 0);
		for (int k = 0; k < 4096 && stream_room(x->s) > 0; k++) {
			assert_int_equal(side_send(x, 32 * 1024), 0);
			while (raw_get(&r, &f, NULL))
				;
		}
		/* None starves: also the last one may keep as much as the other end waits for. */
		assert_true(inner(x->s)->out.len >= FLOW_KEEP);
	}
	assert_true(b->used <= b->max);
	/* One that is acknowledged goes on, whatever the others do. */
	assert_int_equal(stream_room(r.net.end[0].side[63].s), 0);
	assert_int_equal(raw_window(&r, 127, inner(r.net.end[0].side[63].s)->to.sent, 0, 0), 0);
	assert_true(stream_room(r.net.end[0].side[63].s) > 0);
	/* What has gone counts no more. */
	for (uint32_t i = 0; i < NET_STREAMS; i++)
		assert_int_equal(raw_put(&r, FRAME_RESET, 0, 2 * i + 1, "\0\0\0\1", 4), 0);
	assert_int_equal(b->used, 0);
	assert_true(budget_is_idle(b));
	raw_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_in_order_whatever_the_pieces),
		cmocka_unit_test(bytes_may_follow_the_open_at_once),
		cmocka_unit_test(half_close_each_way),
		cmocka_unit_test(an_empty_stream_ends_in_good_order),
		cmocka_unit_test(the_end_waits_until_it_is_passed_on),
		cmocka_unit_test(nothing_is_taken_after_eof),
		cmocka_unit_test(eof_at_the_wrong_offset_ends_the_session),
		cmocka_unit_test(a_second_eof_or_data_after_it_ends_the_session),
		cmocka_unit_test(eof_has_the_expected_bytes),
		cmocka_unit_test(data_beyond_the_window_ends_the_session),
		cmocka_unit_test(a_sender_stops_at_the_limit),
		cmocka_unit_test(a_limit_alone_acknowledges_nothing),
		cmocka_unit_test(impossible_offsets_in_a_window_end_the_session),
		cmocka_unit_test(an_end_acknowledged_before_all_bytes_ends_the_session),
		cmocka_unit_test(the_highest_limit_is_harmless),
		cmocka_unit_test(a_slow_stream_does_not_stop_others),
		cmocka_unit_test(windows_reopen_for_a_reader_of_any_step),
		cmocka_unit_test(queued_bytes_pin_little_more_than_themselves),
		cmocka_unit_test(many_streams_pin_their_share_only),
		cmocka_unit_test(streams_of_other_sessions_count_for_the_share),
		cmocka_unit_test(ids_chosen_to_collide_do_not),
		cmocka_unit_test(a_window_grows_with_the_rate_and_is_bounded),
		cmocka_unit_test(a_window_stays_small_for_a_slow_sender),
		cmocka_unit_test(all_windows_together_are_bounded),
		cmocka_unit_test(acked_bytes_are_forgotten),
		cmocka_unit_test(a_relay_keeps_no_sent_bytes),
		cmocka_unit_test(a_few_bytes_are_acknowledged_within_the_delay),
		cmocka_unit_test(an_unacknowledged_sender_has_no_room),
		cmocka_unit_test(a_session_keeps_no_more_than_its_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
