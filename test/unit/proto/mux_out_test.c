/* SPDX-License-Identifier: ISC */
/* mux_out_test - who sends next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/turns.h"
#include "test/unit/muxpair.h"

static const struct mux_config keeper = { .endpoint = true, .keepalive_ms = 1000 };

/* A session with n streams that the test, its peer, has opened and given all the room there is. */
static void
init(struct raw *r, int n)
{
	struct frame f;

	raw_init(r, &keeper, true);
	for (int i = 0; i < n; i++) {
		assert_int_equal(raw_open(r, (uint32_t)(2 * i + 1)), 0);
		assert_int_equal(raw_window(r, (uint32_t)(2 * i + 1), 0, INT64_MAX, 0), 0);
	}
	while (raw_get(r, &f, NULL))
		;
	r->net.portion = 16384; /* what a carrier takes at once */
}

static struct side *
side(struct raw *r, int i)
{
	return &r->net.end[0].side[i];
}

static void
sparse_goes_before_bulk(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	init(&r, 2);
	assert_int_equal(side_send(side(&r, 0), 1000000), 0);
	for (int i = 0; i < 5; i++)
		assert_true(raw_get(&r, &f, NULL));
	/*
	 * A keystroke beside a megabyte: nothing of that goes first but what is in the carrier
	 * already.
	 */
	assert_int_equal(side_send(side(&r, 1), 1), 0);
	bufq_fini(&r.out);
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.id, 3);
	assert_int_equal(f.len, 1);
	raw_fini(&r);
}

static void
sparse_streams_go_in_the_order_in_which_they_came(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	init(&r, 4);
	for (int i = 3; i >= 0; i--)
		assert_int_equal(side_send(side(&r, i), 100), 0);
	for (int i = 3; i >= 0; i--) {
		assert_true(raw_get(&r, &f, NULL));
		assert_int_equal(f.id, 2 * i + 1);
	}
	raw_fini(&r);
}

static void
bulk_streams_share(void **state)
{
	size_t got[4] = { 0 };
	struct frame f;
	struct raw r;

	(void)state;
	init(&r, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(side_send(side(&r, i), 2000000), 0);
	for (size_t sum = 0; sum < 4000000; sum += f.len) {
		assert_true(raw_get(&r, &f, NULL));
		got[f.id / 2] += f.len;
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(
		    got[i], 1000000 - 4 * TURN_BULK_BYTES, 1000000 + 4 * TURN_BULK_BYTES);
	raw_fini(&r);
}

static void
a_large_request_does_not_stay_sparse(void **state)
{
	size_t got[2] = { 0 };
	struct frame f;
	struct raw r;

	(void)state;
	init(&r, 2);
	assert_int_equal(side_send(side(&r, 0), 1000000), 0);
	/* It comes in small pieces, but without a pause. */
	for (int i = 0; i < 200; i++) {
		assert_int_equal(side_send(side(&r, 1), 10000), 0);
		assert_true(raw_get(&r, &f, NULL));
		got[f.id / 2] += f.len;
	}
	assert_true(got[0] > 100000);
	raw_fini(&r);
}

static void
many_sparse_streams_do_not_starve_bulk(void **state)
{
	size_t got = 0;
	struct frame f;
	struct raw r;

	(void)state;
	init(&r, 60);
	assert_int_equal(side_send(side(&r, 0), 1000000), 0);
	for (int turn = 0; turn < 100; turn++) {
		r.net.now_ms += 100; /* so that all of them are sparse again */
		for (int i = 1; i < 60; i++)
			assert_int_equal(side_send(side(&r, i), 10000), 0);
		for (int k = 0; k < 60 && raw_get(&r, &f, NULL); k++)
			got += f.id == 1 ? f.len : 0;
	}
	assert_true(got > 500000);
	raw_fini(&r);
}

static void
control_goes_before_payload(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	init(&r, 1);
	assert_int_equal(side_send(side(&r, 0), 1000000), 0);
	assert_true(raw_get(&r, &f, NULL));
	bufq_fini(&r.out);
	assert_int_equal(raw_put(&r, FRAME_PING, 0, 0, "12345678", 8), 0);
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.type, FRAME_PONG);
	raw_fini(&r);
}

static void
a_portion_is_kept_to(void **state)
{
	struct bufq out = { 0 };
	struct raw r;

	(void)state;
	init(&r, 2);
	assert_int_equal(side_send(side(&r, 0), 1000000), 0);
	assert_int_equal(side_send(side(&r, 1), 1000000), 0);
	for (size_t max = 1; max < 100000; max = max * 3 + 1) {
		assert_int_equal(session_output(r.net.end[0].s, &out, max, r.net.now_ms), 0);
		assert_in_range(out.len, max, max + 64);
		bufq_fini(&out);
	}
	raw_fini(&r);
}

/* ---- calls from within callbacks ---- */

static struct side second;

static void
open_another(struct side *x, const char *call)
{
	if (strcmp(call, "sent") != 0 || second.s != NULL)
		return;
	assert_true(side_open(&second, x->end));
	assert_int_equal(side_send(&second, 100), 0);
	stream_eof(second.s);
}

static void
a_stream_opened_while_sending_says_open_first(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	init(&r, 1);
	second = (struct side){ 0 };
	side(&r, 0)->hook = open_another;
	assert_int_equal(side_send(side(&r, 0), 1000), 0);
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.id, 1);
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.type, FRAME_OPEN);
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.type, FRAME_DATA);
	assert_int_equal(f.len, 100);
	raw_fini(&r);
}

static void
reset_when_sent(struct side *x, const char *call)
{
	if (strcmp(call, "sent") == 0 && x->s != NULL) {
		stream_reset(x->s, CODE_CANCELLED, "");
		x->s = NULL;
	}
}

static void
a_reset_while_sending_comes_after_what_was_queued(void **state)
{
	size_t got = 0;
	struct frame f;
	struct raw r;

	(void)state;
	init(&r, 1);
	side(&r, 0)->hook = reset_when_sent;
	assert_int_equal(side_send(side(&r, 0), 100000), 0);
	while (raw_get(&r, &f, NULL) && f.type == FRAME_DATA)
		got += f.len;
	assert_int_equal(f.type, FRAME_RESET);
	assert_int_equal(got, 100000);
	assert_false(raw_get(&r, &f, NULL));
	raw_fini(&r);
}

static void
streams_in_line_share_what_is_read_ahead(void **state)
{
	struct raw r;

	(void)state;
	init(&r, 3);
	assert_int_equal(stream_room(side(&r, 2)->s), MUX_UNSENT_MAX);
	for (int i = 0; i < 2; i++)
		assert_int_equal(side_send(side(&r, i), MUX_UNSENT_SUM / 2), 0);
	assert_int_equal(stream_room(side(&r, 2)->s), MUX_UNSENT_SHARE);
	raw_fini(&r);
}

static void
streams_that_wait_for_the_peer_take_no_share(void **state)
{
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &(struct mux_config){ .keepalive_ms = 1000 }, true);
	for (uint32_t id = 1; id <= 5; id += 2)
		assert_int_equal(raw_open(&r, id), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(side_send(side(&r, i), RAW_WINDOW + MUX_UNSENT_SUM), 0);
	while (raw_get(&r, &f, NULL))
		;
	assert_int_equal(stream_room(side(&r, 2)->s), RAW_WINDOW + MUX_UNSENT_SHARE);
	raw_fini(&r);
}

/* Its answers come a moment after our pings: that must not cost a second look in each interval. */
static void
an_idle_session_is_looked_at_once_in_an_interval(void **state)
{
	uint8_t body[FRAME_BODY_MAX];
	struct frame f;
	struct raw r;
	const struct mux_config cfg = { .keepalive_ms = 1000 };
	int pings = 0;

	(void)state;
	raw_init(&r, &cfg, true);
	while (raw_get(&r, &f, NULL))
		;
	for (int looks = 0; looks < 40; looks++) {
		uint64_t due = raw_deadline_ms(&r);

		assert_int_equal(raw_tick(&r, due - r.net.now_ms), 0);
		while (raw_get(&r, &f, body)) {
			assert_int_equal(f.type, FRAME_PING);
			pings++;
			assert_int_equal(raw_tick(&r, 20), 0);
			assert_int_equal(raw_put(&r, FRAME_PONG, 0, 0, body, 8), 0);
		}
	}
	assert_true(pings >= 39);
	raw_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sparse_goes_before_bulk),
		cmocka_unit_test(sparse_streams_go_in_the_order_in_which_they_came),
		cmocka_unit_test(bulk_streams_share),
		cmocka_unit_test(streams_in_line_share_what_is_read_ahead),
		cmocka_unit_test(streams_that_wait_for_the_peer_take_no_share),
		cmocka_unit_test(a_large_request_does_not_stay_sparse),
		cmocka_unit_test(many_sparse_streams_do_not_starve_bulk),
		cmocka_unit_test(control_goes_before_payload),
		cmocka_unit_test(a_portion_is_kept_to),
		cmocka_unit_test(a_stream_opened_while_sending_says_open_first),
		cmocka_unit_test(a_reset_while_sending_comes_after_what_was_queued),
		cmocka_unit_test(an_idle_session_is_looked_at_once_in_an_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
