/* SPDX-License-Identifier: ISC */
/* mux_time_test - the session and the clock: keepalive, round trips, delayed acknowledgements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "test/unit/muxpair.h"

static const struct mux_config acceptor = { .keepalive_ms = 1000 };

static struct end *
end_of(struct raw *r)
{
	return &r->net.end[0];
}

static void
a_ping_is_answered_with_its_own_bytes(void **state)
{
	struct frame f;
	uint8_t body[FRAME_BODY_MAX];
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_put(&r, FRAME_PING, 0, 0, "12345678", 8), 0);
	assert_true(raw_get(&r, &f, body));
	assert_int_equal(f.type, FRAME_PONG);
	assert_memory_equal(body, "12345678", 8);
	raw_fini(&r);
}

static void
the_round_trip_is_measured(void **state)
{
	struct frame f;
	uint8_t body[FRAME_BODY_MAX];
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_tick(&r, 1000), 0);
	assert_true(raw_skip(&r, FRAME_PING, &f, body));
	r.net.now_ms += 40;
	assert_int_equal(raw_put(&r, FRAME_PONG, 0, 0, body, 8), 0);
	assert_int_equal(end_of(&r)->s->rtt_us, 40000);
	/* A pong from the future is a lie. */
	memset(body, 0xff, 8);
	assert_int_equal(raw_put(&r, FRAME_PONG, 0, 0, body, 8), 0);
	assert_int_equal(end_of(&r)->s->rtt_us, 40000);
	raw_fini(&r);
}

static void
an_idle_session_pings_and_lives(void **state)
{
	struct net *n = net_new(NULL, NULL);

	(void)state;
	net_wait(n, 60000);
	assert_int_equal(net_client(n)->err, 0);
	assert_int_equal(net_agent(n)->err, 0);
	net_free(n);
}

static bool
pinged(struct raw *r)
{
	struct frame f;
	bool yes = false;

	while (raw_get(r, &f, NULL))
		yes = yes || f.type == FRAME_PING;
	return yes;
}

/* Its answers wait in front of us, while we do not read. */
static void
a_peer_that_is_not_read_is_not_dead(void **state)
{
	struct raw r;
	int pings = 0;

	(void)state;
	raw_init(&r, &acceptor, true);
	pinged(&r);
	session_unread(end_of(&r)->s, true, r.net.now_ms * 1000);
	for (int i = 0; i < 4 * MUX_KEEPALIVE_MISSES; i++) {
		assert_int_equal(raw_tick(&r, 1000), 0);
		pings += pinged(&r);
	}
	/* It must hear of us all the same. */
	assert_int_equal(pings, 4 * MUX_KEEPALIVE_MISSES);
	session_unread(end_of(&r)->s, false, r.net.now_ms * 1000);
	assert_int_equal(raw_tick(&r, 2900), 0);
	assert_int_equal(raw_tick(&r, 100), ERR_TIMEOUT);
	raw_fini(&r);
}

static void
a_peer_that_was_just_heard_of_is_not_asked(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &(struct mux_config){ .keepalive_ms = 1000 }, true);
	pinged(&r);
	assert_int_equal(raw_tick(&r, 600), 0);
	assert_int_equal(raw_put(&r, FRAME_PONG, 0, 0, "12345678", 8), 0);
	assert_int_equal(raw_tick(&r, 400), 0);
	assert_false(pinged(&r));
	assert_int_equal(raw_tick(&r, 600), 0);
	assert_true(pinged(&r));
	raw_fini(&r);
}

static void
a_busy_peer_is_asked_for_its_round_trip_now_and_then(void **state)
{
	struct raw r;
	int n = 0;

	(void)state;
	raw_init(&r, &(struct mux_config){ .keepalive_ms = 1000 }, true);
	pinged(&r);
	for (int i = 0; i < 2 * MUX_RTT_INTERVALS; i++) {
		assert_int_equal(raw_put(&r, FRAME_PONG, 0, 0, "12345678", 8), 0);
		assert_int_equal(raw_tick(&r, 500), 0);
		assert_int_equal(raw_put(&r, FRAME_PONG, 0, 0, "12345678", 8), 0);
		assert_int_equal(raw_tick(&r, 500), 0);
		n += pinged(&r);
	}
	assert_in_range(n, 1, 2);
	raw_fini(&r);
}

static void
our_own_interval_decides_when_a_peer_is_dead(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &(struct mux_config){ .keepalive_ms = 100 }, true);
	assert_int_equal(raw_tick(&r, 299), 0);
	assert_int_equal(raw_tick(&r, 1), ERR_TIMEOUT);
	raw_fini(&r);
}

static void
a_silent_peer_is_dead_after_three_intervals_to_the_millisecond(void **state)
{
	struct raw r;
	uint64_t heard;
	int e = 0;

	(void)state;
	raw_init(&r, &acceptor, true);
	/* Heard between two pings, as it happens. */
	r.net.now_ms += 1;
	assert_int_equal(raw_put(&r, FRAME_PING, 0, 0, "12345678", 8), 0);
	heard = r.net.now_ms;
	while (e == 0) {
		assert_true(raw_deadline_ms(&r) > r.net.now_ms);
		e = raw_tick(&r, raw_deadline_ms(&r) - r.net.now_ms);
	}
	assert_int_equal(e, ERR_TIMEOUT);
	assert_int_equal(r.net.now_ms - heard, 3 * acceptor.keepalive_ms);
	raw_fini(&r);
}

/*
 * Two workers read the clock at different moments of their turns, and a session may move between
 * them.
 */
static void
a_clock_that_is_a_little_behind_kills_nobody(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &acceptor, true);
	assert_int_equal(raw_tick(&r, (uint64_t)-2), 0);
	raw_fini(&r);
}

static void
a_dialer_measures_the_round_trip_as_soon_as_it_is_let_in(void **state)
{
	static const struct mux_config dialer = { .dialer = true, .keepalive_ms = 1000 };
	struct frame f;
	struct raw r;
	struct ctl_hello h = net_hello(CTL_CONNECT);

	(void)state;
	raw_init(&r, &dialer, false);
	assert_int_equal(session_greet(end_of(&r)->s, &h), 0);
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.type, FRAME_HELLO);
	assert_false(raw_get(&r, &f, NULL));
	assert_int_equal(raw_hello(&r), 0);
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.type, FRAME_PING);
	raw_fini(&r);
}

/* Otherwise nobody would set a timer for it, and the peer kept the bytes until the next ping. */
static void
a_delayed_acknowledgement_asks_to_be_looked_at(void **state)
{
	struct raw r;
	int before;

	(void)state;
	raw_init(&r, &(struct mux_config){ .endpoint = true, .keepalive_ms = 1000 }, true);
	end_of(&r)->hold_opened = true;
	assert_int_equal(raw_open(&r, 1), 0);
	assert_int_equal(raw_data(&r, 1, 10), 0);
	before = end_of(&r)->n_want;
	stream_consumed(end_of(&r)->side[0].s, 10);
	stream_ack(end_of(&r)->side[0].s, 10, false);
	assert_true(raw_deadline_ms(&r) <= r.net.now_ms + MUX_ACK_DELAY_US / 1000);
	assert_int_equal(end_of(&r)->n_want, before + 1);
	raw_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ping_is_answered_with_its_own_bytes),
		cmocka_unit_test(the_round_trip_is_measured),
		cmocka_unit_test(an_idle_session_pings_and_lives),
		cmocka_unit_test(a_peer_that_is_not_read_is_not_dead),
		cmocka_unit_test(a_peer_that_was_just_heard_of_is_not_asked),
		cmocka_unit_test(a_busy_peer_is_asked_for_its_round_trip_now_and_then),
		cmocka_unit_test(our_own_interval_decides_when_a_peer_is_dead),
		cmocka_unit_test(a_silent_peer_is_dead_after_three_intervals_to_the_millisecond),
		cmocka_unit_test(a_clock_that_is_a_little_behind_kills_nobody),
		cmocka_unit_test(a_dialer_measures_the_round_trip_as_soon_as_it_is_let_in),
		cmocka_unit_test(a_delayed_acknowledgement_asks_to_be_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
