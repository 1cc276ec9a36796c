/* SPDX-License-Identifier: ISC */
/*
 * mux_reset_test - streams that end by RESET: order, waiting for room, crossing, codes, and clients
 * that break every rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "test/unit/muxpair.h"

static const struct mux_config acceptor = { .keepalive_ms = 1000 };
static const struct mux_config keeper = { .endpoint = true, .keepalive_ms = 1000 };

/* The first stream that the test, as the peer, has opened. */
static struct side *
first(struct raw *r)
{
	return &r->net.end[0].side[0];
}

static void
a_reset_comes_after_queued_bytes(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 }, *b = &net_agent(n)->side[0];

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	net_client(n)->stalled = true;
	assert_int_equal(side_send(&a, 70000), 0);
	stream_reset(a.s, CODE_RESET, "broken");
	net_client(n)->stalled = false;
	net_run(n);
	assert_true(side_check(b, 70000));
	assert_true(b->closed);
	assert_int_equal(b->code, CODE_RESET);
	assert_string_equal(b->text, "broken");
	for (int i = 0; i < n->n; i++)
		assert_int_equal(n->end[i].s->n_streams, 0);
	net_free(n);
}

static void
a_reset_passes_the_relay_the_other_way_too(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };

	(void)state;
	net_agent(n)->deny_opened = true;
	assert_true(side_open(&a, net_client(n)));
	assert_int_equal(side_send(&a, 300000), 0);
	net_run(n);
	assert_true(a.closed);
	assert_int_equal(a.code, CODE_DENIED);
	assert_string_equal(a.text, "no");
	for (int i = 0; i < n->n; i++)
		assert_int_equal(n->end[i].s->n_streams, 0);
	net_free(n);
}

/* PROTOCOL.md 5.6: else the opener would not know what the other end has never had. */
static void
what_was_handed_on_is_acknowledged_before_a_reset(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 }, *b = &net_agent(n)->side[0];

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	/* Less than is acknowledged at once. */
	assert_int_equal(side_send(&a, 100), 0);
	net_run(n);
	assert_int_equal(a.acked, 0);
	stream_reset(b->s, CODE_RESET, "broken");
	net_run(n);
	assert_true(a.closed);
	assert_int_equal(a.acked, 100);
	for (int i = 0; i < n->n; i++)
		assert_int_equal(n->end[i].s->n_streams, 0);
	net_free(n);
}

/*
 * A stream that ended in good order needs nothing more, so a reset must never pass for that: the
 * other side would stay for ever.
 */
static void
a_reset_is_never_an_end_in_good_order(void **state)
{
	static const uint32_t codes[] = { CODE_OK, CODE_LOST + 1, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		struct raw r;
		uint8_t body[4];

		raw_init(&r, &keeper, true);
		assert_int_equal(raw_open(&r, 1), 0);
		put_u32be(body, codes[i]);
		assert_int_equal(raw_put(&r, FRAME_RESET, 0, 1, body, 4), 0);
		assert_true(first(&r)->closed);
		assert_int_equal(first(&r)->code, CODE_INTERNAL); /* PROTOCOL.md 3.8 */
		raw_fini(&r);
	}
}

/* PROTOCOL.md 4.2: the far endpoint may know a code that the relay between does not. */
static void
a_hop_passes_unknown_codes_on(void **state)
{
	struct raw r;
	uint8_t body[4];

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 1), 0);
	put_u32be(body, 77);
	assert_int_equal(raw_put(&r, FRAME_RESET, 0, 1, body, 4), 0);
	assert_int_equal(first(&r)->code, 77);
	raw_fini(&r);
}

static void
resets_may_cross(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	stream_reset(a.s, CODE_CANCELLED, "");
	stream_reset(net_agent(n)->side[0].s, CODE_RESET, "");
	net_run(n);
	for (int i = 0; i < n->n; i++) {
		assert_int_equal(n->end[i].s->n_streams, 0);
		assert_int_equal(n->end[i].err, 0);
	}
	net_free(n);
}

/* Turns the clock with a peer that lives; returns whether RESET of stream 1 was sent meanwhile. */
static bool
reset_within(struct raw *r, uint64_t ms)
{
	struct frame f;
	bool seen = false;

	for (uint64_t until = r->net.now_ms + ms; r->net.now_ms < until;) {
		assert_int_equal(raw_put(r, FRAME_PING, 0, 0, "12345678", 8), 0);
		assert_int_equal(raw_tick(r, 500), 0);
		while (raw_get(r, &f, NULL))
			seen |= f.type == FRAME_RESET && f.id == 1;
	}
	return seen;
}

static void
a_reset_does_not_wait_for_ever_for_the_peers_limit(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &keeper, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(side_send(first(&r), 200000), 0);
	while (raw_get(&r, &f, NULL))
		;
	stream_reset(first(&r)->s, CODE_RESET, "broken");
	assert_false(reset_within(&r, MUX_RESET_LINGER_US / 1000 - 1000));
	/* As long as the peer takes something it is waited for. */
	assert_int_equal(raw_window(&r, 1, 0, RAW_WINDOW + 1, 0), 0);
	assert_false(reset_within(&r, MUX_RESET_LINGER_US / 1000 - 1000));
	assert_int_equal(r.net.end[0].s->n_streams, 1);
	assert_true(reset_within(&r, MUX_RESET_LINGER_US / 1000));
	assert_int_equal(r.net.end[0].s->n_streams, 0);
	raw_fini(&r);
}

/*
 * Each keeps what was queued, and the next one is opened at once: together they do not keep more
 * than one limit.
 */
static void
resets_that_wait_for_room_have_one_limit_together(void **state)
{
	enum { STREAMS = 20, EACH = 1024 * 1024, WAITING = EACH - RAW_WINDOW };
	struct frame f;
	struct raw r;
	uint32_t gone = 0;

	(void)state;
	raw_init(&r, &acceptor, true);
	for (uint32_t i = 0; i < STREAMS; i++) {
		assert_int_equal(raw_open(&r, 2 * i + 1), 0);
		assert_int_equal(side_send(&r.net.end[0].side[i], EACH), 0);
	}
	while (raw_get(&r, &f, NULL))
		;
	for (int i = 0; i < STREAMS; i++)
		stream_reset(r.net.end[0].side[i].s, CODE_RESET, "broken");
	/* The oldest first, and no more of them than it takes. */
	for (; raw_skip(&r, FRAME_RESET, &f, NULL); gone++)
		assert_int_equal(f.id, 2 * gone + 1);
	assert_int_equal(gone, STREAMS - MUX_LINGER_SUM_MAX / WAITING);
	assert_int_equal(r.net.end[0].s->n_streams, STREAMS - gone);
	raw_fini(&r);
}

/* Pieces that a session has taken, and the stream is given up by either side at any moment. */
static void
a_stream_that_is_reset_takes_nothing_of_the_others(void **state)
{
	(void)state;
	for (int by = 0; by < 2; by++)
		for (int steps = 1; steps < 12; steps++) {
			struct net *n = net_new_relay();
			struct side a[2] = { { 0 } };

			assert_non_null(n);
			n->chunk = NET_RANDOM;
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
		}
}

/*
 * Half a DATA frame has come; then its stream is gone.  The rest is skipped, and the next frame is
 * a frame.
 */
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

		raw_init(&r, &acceptor, true);
		assert_int_equal(raw_open(&r, 1), 0);
		frame_pack(hdr, &data);
		assert_int_equal(bufq_copy(&e->in, hdr, sizeof hdr), 0);
		assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
		assert_int_equal(bufq_copy(&rest, zeros, sizeof zeros), 0);
		assert_int_equal(bufq_move(&e->in, &rest, part), 0);
		assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
		assert_int_equal(e->side[0].got.len, part);
		stream_reset(e->side[0].s, CODE_RESET, "no more");
		assert_int_equal(bufq_move(&e->in, &rest, rest.len), 0);
		assert_int_equal(session_input(e->s, &e->in, r.net.now_ms, &e->why), 0);
		assert_int_equal(raw_put(&r, FRAME_PING, 0, 0, ping, sizeof ping), 0);
		assert_true(raw_skip(&r, FRAME_PONG, &f, body));
		assert_memory_equal(body, ping, sizeof ping);
		raw_fini(&r);
	}
}

static void
an_aborted_stream_keeps_nothing(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(side_send(first(&r), 200000), 0);
	stream_abort(first(&r)->s, CODE_LIMIT, "too much");
	while (raw_get(&r, &f, NULL) && f.type != FRAME_RESET)
		assert_int_not_equal(f.type, FRAME_DATA);
	assert_int_equal(f.type, FRAME_RESET);
	assert_int_equal(r.net.end[0].s->n_streams, 0);
	assert_false(raw_get(&r, &f, NULL));
	raw_fini(&r);
}

/* Neither gives the other room, since what comes for a reset stream is dropped. */
static void
resets_with_full_windows_may_cross(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { .hold = true };

	(void)state;
	net_agent(n)->hold_opened = true;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	assert_int_equal(side_send(&a, 500000), 0);
	assert_int_equal(side_send(&net_agent(n)->side[0], 500000), 0);
	net_run(n);
	stream_reset(a.s, CODE_CANCELLED, "");
	stream_reset(net_agent(n)->side[0].s, CODE_RESET, "");
	net_wait(n, 3 * MUX_RESET_LINGER_US / 1000);
	for (int i = 0; i < n->n; i++) {
		assert_int_equal(n->end[i].s->n_streams, 0);
		assert_int_equal(n->end[i].err, 0);
	}
	net_free(n);
	side_fini(&a);
}

static void
a_lost_session_resets_the_streams_behind_the_relay(void **state)
{
	struct net *n = net_new_relay();
	struct side a = { 0 };

	(void)state;
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	n->end[0].err = n->end[1].err = ERR_CLOSED;
	session_abandon(n->end[1].s, CODE_GONE, "lost");
	net_run(n);
	assert_true(net_agent(n)->side[0].closed);
	assert_int_equal(net_agent(n)->side[0].code, CODE_GONE);
	net_free(n);
}

/*
 * Half of what can go wrong with a client's bytes; the relay may end its session, but nothing of it
 * may reach the agent's.
 */
static void
mad_client(uint64_t seed)
{
	struct net *n = net_new_relay();
	struct side a[4] = { 0 };

	n->seed = seed;
	n->mangle = 5 + (unsigned)net_random(n, 200);
	n->chunk = NET_RANDOM;
	for (int turn = 0; turn < 30 && n->end[0].err == 0; turn++) {
		struct side *x = &a[net_random(n, 4)], *b = &net_agent(n)->side[net_random(n, 4)];

		if (x->s == NULL && !x->closed)
			side_open(x, net_client(n));
		else if (x->s != NULL && net_random(n, 3) > 0)
			IGNORE_RESULT(side_send(x, 1 + net_random(n, 50)));
		else if (x->s != NULL)
			stream_eof(x->s);
		if (b->s != NULL && net_random(n, 4) > 0)
			IGNORE_RESULT(side_send(b, 1 + net_random(n, 2000)));
		else if (b->s != NULL)
			stream_eof(b->s);
		net_wait(n, net_random(n, 40));
	}
	assert_int_equal(n->end[2].err, 0);
	assert_int_equal(n->end[3].err, 0);
	/* When it has gone, nothing of it stays. */
	if (n->end[1].err == 0) {
		n->end[0].err = n->end[1].err = ERR_CLOSED;
		session_abandon(n->end[1].s, CODE_GONE, "lost");
	}
	net_wait(n, 2 * MUX_RESET_LINGER_US / 1000);
	assert_int_equal(n->end[2].s->n_streams, 0);
	assert_int_equal(n->end[3].s->n_streams, 0);
	net_free(n);
	for (int i = 0; i < 4; i++)
		side_fini(&a[i]);
}

static void
a_client_that_breaks_every_rule_does_not_harm_the_agents_session(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 1000; seed++)
		mad_client(seed);
}

/*
 * OPEN and RESET by turns, while the agent's carrier takes nothing: what is queued for the agent is
 * not the agent's fault.
 */
static void
a_client_that_opens_and_resets_does_not_end_the_agents_session(void **state)
{
	static char text[256];
	struct net *n = net_new_relay();
	struct side other = { 0 }, a = { 0 };

	(void)state;
	memset(text, 'x', sizeof text - 1);
	assert_true(side_open(&other, net_client(n)));
	net_run(n);
	n->end[2].stalled = true;
	for (int i = 0; i < 20000; i++) {
		a = (struct side){ 0 };
		assert_true(side_open(&a, net_client(n)));
		net_run(n);
		if (a.s != NULL)
			stream_reset(a.s, CODE_CANCELLED, text);
		net_run(n);
		assert_int_equal(n->end[2].err, 0);
	}
	/* An OPEN that had not left is cancelled by its RESET, and leaves nothing. */
	assert_int_equal(n->end[2].s->n_streams, 1);
	n->end[2].stalled = false;
	net_run(n);
	assert_true(other.opened && !other.closed);
	a = (struct side){ 0 };
	assert_true(side_open(&a, net_client(n)));
	net_run(n);
	assert_true(a.opened);
	assert_int_equal(net_agent(n)->n_opened, 2);
	net_free(n);
	side_fini(&other);
	side_fini(&a);
}

/*
 * All streams at once, each with the longest text: a client's carrier that is lost must not take
 * the agent's with it.
 */
static void
resets_of_all_streams_do_not_end_the_session(void **state)
{
	const struct mux_config cfg = { .keepalive_ms = 1000, .streams_max = 20000 };
	static char text[256];
	struct side *x = mem_must_zalloc(20000 * sizeof *x);
	struct frame f;
	struct raw r;
	int n = 0;

	(void)state;
	memset(text, 'x', sizeof text - 1);
	raw_init(&r, &cfg, true);
	for (int i = 0; i < 20000; i++) {
		if (i % 1000 == 0)
			while (raw_get(&r, &f, NULL))
				;
		assert_true(side_open(&x[i], &r.net.end[0]));
	}
	while (raw_get(&r, &f, NULL))
		;
	for (int i = 0; i < 20000; i++)
		stream_reset(x[i].s, CODE_GONE, text);
	assert_int_equal(raw_tick(&r, 0), 0);
	while (raw_get(&r, &f, NULL))
		n += f.type == FRAME_RESET;
	assert_int_equal(n, 20000);
	raw_fini(&r);
	mem_free(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_comes_after_queued_bytes),
		cmocka_unit_test(a_reset_passes_the_relay_the_other_way_too),
		cmocka_unit_test(what_was_handed_on_is_acknowledged_before_a_reset),
		cmocka_unit_test(a_reset_is_never_an_end_in_good_order),
		cmocka_unit_test(a_hop_passes_unknown_codes_on),
		cmocka_unit_test(resets_may_cross),
		cmocka_unit_test(a_reset_does_not_wait_for_ever_for_the_peers_limit),
		cmocka_unit_test(resets_that_wait_for_room_have_one_limit_together),
		cmocka_unit_test(a_stream_that_is_reset_takes_nothing_of_the_others),
		cmocka_unit_test(the_rest_of_a_frame_is_skipped_when_its_stream_is_gone),
		cmocka_unit_test(an_aborted_stream_keeps_nothing),
		cmocka_unit_test(resets_with_full_windows_may_cross),
		cmocka_unit_test(a_lost_session_resets_the_streams_behind_the_relay),
		cmocka_unit_test(a_client_that_opens_and_resets_does_not_end_the_agents_session),
		cmocka_unit_test(resets_of_all_streams_do_not_end_the_session),
		cmocka_unit_test(a_client_that_breaks_every_rule_does_not_harm_the_agents_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
