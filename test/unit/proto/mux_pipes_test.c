/* SPDX-License-Identifier: ISC */
/* mux_pipes_test - payload that passes sessions as pipes: kept or not, cut by windows, given up in the middle, beside a stalled stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/net/bufpipe.h"
#include "proto/mux_int.h"
#include "test/unit/muxpair.h"

static const struct mux_config acceptor = { .keepalive_ms = 1000 };

enum { BIG = 4 << 20 };

static struct net *
piped(struct net *n, int chunk)
{
	assert_non_null(n);
	n->pipes = true;
	n->chunk = chunk;
	return n;
}

static void
transfer(struct net *n, size_t each)
{
	struct side a = { 0 };
	struct side *b = &net_agent(n)->side[0];
	size_t up = 0, down = 0;

	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	while (up < 2000000) {
		assert_int_equal(side_send(&a, each), 0);
		assert_int_equal(side_send(b, each / 3), 0);
		up += each;
		down += each / 3;
		net_run(n);
	}
	stream_eof(a.s);
	stream_eof(b->s);
	net_wait(n, 100);
	assert_true(n->n_pipes > 0);
	assert_true(side_check(b, up));
	assert_true(side_check(&a, down));
	assert_true(a.closed);
	assert_int_equal(a.code, CODE_OK);
	side_fini(&a);
	net_free(n);
	buf_pool_free();
}

static void
bytes_arrive_in_order_directly_and_through_a_relay(void **state)
{
	static const int chunks[] = { NET_WHOLE, 1448, NET_RANDOM };
	static const size_t sizes[] = { 300, 17000, 65528, 65529, 400000 };

	(void)state;
	for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++)
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			transfer(piped(net_new(NULL, NULL), chunks[c]), sizes[i]);
			transfer(piped(net_new(&acceptor, &acceptor), chunks[c]), sizes[i]);
			transfer(piped(net_new_relay(), chunks[c]), sizes[i]);
		}
}

/* A reader that takes a little at a time: limits that cut every piece, with and without retaining. */
static void
windows_cut_pieces(void **state)
{
	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		struct net *n = piped(kind == 0   ? net_new(NULL, NULL)
				      : kind == 1 ? net_new(&acceptor, &acceptor)
						  : net_new_relay(),
		    NET_RANDOM);
		struct side a = { 0 };
		struct side *b = &net_agent(n)->side[0];
		size_t taken = 0;

		net_agent(n)->hold_opened = true;
		assert_true(side_open(&a, net_client(n)));
		net_run(n);
		for (int i = 0; i < 10; i++)
			assert_int_equal(side_send(&a, 100001), 0);
		net_run(n);
		assert_true(b->got.len < 1000010);
		for (size_t step = 1; taken < 1000010; step = (step * 7 + 1) % 50000) {
			size_t k = b->got.len - taken < step ? b->got.len - taken : step;

			stream_consumed(b->s, k);
			taken += k;
			stream_ack(b->s, taken, false);
			net_wait(n, 10);
		}
		assert_true(side_check(b, 1000010));
		side_fini(&a);
		net_free(n);
		buf_pool_free();
	}
}

/* Pieces that a session has taken, and the stream is given up by either side at any moment. */
static void
a_stream_that_is_reset_takes_nothing_of_the_others(void **state)
{
	(void)state;
	for (int by = 0; by < 2; by++)
		for (int steps = 1; steps < 12; steps++) {
			struct net *n = piped(net_new_relay(), NET_RANDOM);
			struct side a[2] = { { 0 } };

			for (int i = 0; i < 2; i++)
				assert_true(side_open(&a[i], net_client(n)));
			net_run(n);
			for (int i = 0; i < 2; i++)
				assert_int_equal(side_send(&a[i], 600000), 0);
			for (int i = 0; i < steps; i++)
				net_step(n);
			stream_reset(by == 0 ? a[0].s : net_agent(n)->side[0].s, CODE_RESET, "x");
			net_run(n);
			net_wait(n, 100);
			for (int i = 0; i < n->n; i++)
				assert_int_equal(n->end[i].err, 0);
			assert_true(side_check(&net_agent(n)->side[1], 600000));
			net_free(n);
			for (int i = 0; i < 2; i++)
				side_fini(&a[i]);
			buf_pool_free();
		}
}

/* Half a DATA frame has come, as a pipe; then its stream is gone.  The rest is skipped, and the next frame is a frame. */
static void
the_rest_of_a_frame_is_skipped_when_its_stream_is_gone(void **state)
{
	static const uint8_t zeros[60000];

	(void)state;
	for (size_t part = 1; part < 60000; part += 9973) {
		struct frame data = { FRAME_DATA, 0, 60000, 1 }, f;
		struct bufq rest = { 0 };
		struct raw r;
		struct end *e = &r.net.end[0];
		uint8_t hdr[FRAME_HDR_LEN], ping[8] = "12345678", body[FRAME_BODY_MAX];
		size_t n;

		raw_init(&r, &acceptor, true);
		r.net.pipes = true;
		assert_int_equal(raw_open(&r, 1), 0);
		assert_false(session_express(e->s, &n));
		frame_pack(hdr, &data);
		assert_int_equal(bufq_copy(&e->in, hdr, sizeof hdr), 0);
		assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
		assert_true(session_express(e->s, &n));
		assert_int_equal(n, 60000);
		assert_int_equal(bufq_copy(&rest, zeros, sizeof zeros), 0);
		assert_int_equal(net_pipe(&r.net, &e->in, &rest, part), 0);
		assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
		assert_int_equal(e->side[0].got.len, part);
		stream_reset(e->side[0].s, CODE_RESET, "no more");
		/* Nobody wants it, so it need not be a pipe; but it may be on its way as one. */
		assert_false(session_express(e->s, &n));
		assert_int_equal(n, 60000 - part);
		assert_int_equal(net_pipe(&r.net, &e->in, &rest, rest.len), 0);
		assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
		assert_int_equal(raw_put(&r, FRAME_PING, 0, 0, ping, sizeof ping), 0);
		assert_true(raw_skip(&r, FRAME_PONG, &f, body));
		assert_memory_equal(body, ping, sizeof ping);
		raw_fini(&r);
		buf_pool_free();
	}
}

/* What a session says of the next bytes. */
static void
only_payload_of_a_willing_user_is_expressed(void **state)
{
	struct frame data = { FRAME_DATA, 0, 1000, 1 };
	struct raw r;
	struct end *e = &r.net.end[0];
	uint8_t hdr[FRAME_HDR_LEN], byte = 0;
	size_t n;

	(void)state;
	raw_init(&r, &acceptor, true);
	r.net.pipes = true;
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(raw_data(&r, 1, 100), 0);
	frame_pack(hdr, &data);
	for (size_t i = 0; i < sizeof hdr; i++) {
		assert_int_equal(bufq_copy(&e->in, hdr + i, 1), 0);
		assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
		IGNORE_RESULT(session_express(e->s, &n));
		assert_int_equal(n, i + 1 < sizeof hdr ? 0 : 1000);
	}
	for (size_t i = 1000; i-- > 0;) {
		assert_int_equal(bufq_copy(&e->in, &byte, 1), 0);
		assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
		assert_true(session_express(e->s, &n));
		assert_int_equal(n, i);
	}
	r.net.pipes = false; /* the user wants to see it from now on */
	assert_int_equal(bufq_copy(&e->in, hdr, sizeof hdr), 0);
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
	assert_false(session_express(e->s, &n));
	raw_fini(&r);
}

static void
streams_go_on_beside_a_stalled_one(void **state)
{
	struct net *n = piped(net_new_relay(), NET_RANDOM);
	struct side stalled = { 0 }, a[3] = { { 0 } };

	(void)state;
	net_agent(n)->hold_opened = true;
	assert_true(side_open(&stalled, net_client(n)));
	net_run(n);
	net_agent(n)->hold_opened = false;
	assert_int_equal(side_send(&stalled, BIG), 0);
	for (int i = 0; i < 3; i++)
		assert_true(side_open(&a[i], net_client(n)));
	net_run(n);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(side_send(&a[i], 200000), 0);
		net_run(n);
	}
	for (int i = 0; i < 3; i++)
		assert_true(side_check(&net_agent(n)->side[i + 1], 1000000));
	assert_true(net_agent(n)->side[0].got.len < BIG);
	net_free(n);
	side_fini(&stalled);
	for (int i = 0; i < 3; i++)
		side_fini(&a[i]);
	buf_pool_free();
}

/* Of two streams in bulk one comes as pipes, whose pieces are longer than a turn: its turns come less often then. */
static void
pieces_longer_than_a_turn_are_paid_for(void **state)
{
	enum { ROUND = 4 * MUX_QUANTUM, EACH = 512 * 1024, LOOKED_AT = 512 * 1024 };
	struct raw r;
	struct bufq src[2] = { { 0 } }, piped_bytes = { 0 }, out = { 0 };
	struct side a[2] = { { 0 } };
	uint64_t sent[2] = { 0 };

	(void)state;
	raw_init(&r, &acceptor, true);
	r.net.pipes = true;
	for (int i = 0; i < 2; i++) {
		assert_true(side_open(&a[i], &r.net.end[0]));
		assert_int_equal(raw_window(&r, (uint32_t)(2 * i + 2), 0, EACH, 0), 0);
		for (size_t n = 0; n < EACH; n += BUF_LARGE) {
			struct block *b = block_new(BUF_LARGE);

			assert_non_null(b);
			memset(b->data, 0, BUF_LARGE);
			assert_int_equal(bufq_append(&src[i], b, b->data, BUF_LARGE), 0);
			block_unref(b);
		}
	}
	assert_int_equal(net_pipe(&r.net, &piped_bytes, &src[0], EACH), 0);
	assert_int_equal(stream_send(a[0].s, &piped_bytes, piped_bytes.len), 0);
	assert_int_equal(stream_send(a[1].s, &src[1], EACH), 0);
	while (sent[0] + sent[1] < LOOKED_AT) {
		assert_int_equal(session_output(r.net.end[0].s, &out, ROUND, r.net.now_ms), 0);
		assert_true(out.len > 0);
		bufq_fini(&out);
		sent[0] = a[0].s->tx;
		sent[1] = a[1].s->tx;
	}
	assert_in_range(sent[1], LOOKED_AT / 2 - BUF_HUGE, LOOKED_AT / 2 + BUF_HUGE);
	raw_fini(&r);
	for (int i = 0; i < 2; i++) {
		bufq_fini(&src[i]);
		side_fini(&a[i]);
	}
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_in_order_directly_and_through_a_relay),
		cmocka_unit_test(windows_cut_pieces),
		cmocka_unit_test(a_stream_that_is_reset_takes_nothing_of_the_others),
		cmocka_unit_test(the_rest_of_a_frame_is_skipped_when_its_stream_is_gone),
		cmocka_unit_test(only_payload_of_a_willing_user_is_expressed),
		cmocka_unit_test(streams_go_on_beside_a_stalled_one),
		cmocka_unit_test(pieces_longer_than_a_turn_are_paid_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
