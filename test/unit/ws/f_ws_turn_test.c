/* SPDX-License-Identifier: ISC */
/*
 * f_ws_turn_test - what a flood of frames may do in one turn of the loop: so many are read, so many
 * pings answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/net/f_sock.h"
#include "lib/ws/f_ws.h"
#include "test/unit/memfilter.h"
#include "test/unit/sockpair.h"
#include "test/unit/ws_fix.h"

enum { FLOOD = 3000, FRAME = 8, MANY_TURNS = 100 };

/* n frames with their number as payload, all in one delivery, that no turn has looked at yet. */
static void
deliver(struct ws_fix *x, uint8_t first, unsigned n)
{
	uint8_t *p = mem_must_zalloc((size_t)n * FRAME);

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(ws_fix_frame(p + (size_t)i * FRAME, first, true,
				     (uint8_t[2]){ (uint8_t)(i >> 8), (uint8_t)i }, 2),
		    FRAME);
	assert_int_equal(bufq_copy(&x->ws->below->in, p, (size_t)n * FRAME), 0);
	mem_free(p);
}

/* The pongs that were sent: how many, and the number that the last one carries. */
static unsigned
count_pongs(struct ws_fix *x, unsigned *last)
{
	uint8_t p[4];
	unsigned n = 0;

	mem_settle(x->l);
	for (; x->raw->in.len >= sizeof p; n++) {
		assert_int_equal(bufq_read(&x->raw->in, 0, p, sizeof p), sizeof p);
		assert_memory_equal(p, "\x8a\x02", 2);
		*last = (unsigned)(p[2] << 8 | p[3]);
		bufq_drain(&x->raw->in, sizeof p);
	}
	assert_int_equal(x->raw->in.len, 0);
	return n;
}

static void
of_the_pings_of_a_turn_the_first_and_the_latest_are_answered(void **state)
{
	static const struct {
		unsigned pings, pongs;
	} cases[] = { { 1, 1 }, { 10, 10 }, { 15, 15 }, { 16, 16 }, { 17, 17 }, { 18, 17 },
		{ 500, 17 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ws_fix *x = ws_fix_stream(false);
		unsigned last = 0;

		mem_settle(x->l);
		/* A second time, for what a turn has used up is not missing in another. */
		for (int j = 0; j < 2; j++) {
			deliver(x, 0x89, cases[i].pings);
			filter_readable(x->ws->below);
			assert_int_equal(count_pongs(x, &last), cases[i].pongs);
			assert_int_equal(last, cases[i].pings - 1);
		}
		ws_fix_free(x);
	}
}

static void
pings_in_several_pieces_of_one_turn_count_together(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	unsigned last = 0;

	(void)state;
	mem_settle(x->l);
	for (int i = 0; i < 5; i++) {
		deliver(x, 0x89, 10);
		filter_readable(x->ws->below);
	}
	assert_int_equal(count_pongs(x, &last), F_WS_TURN_PONGS + 1);
	assert_int_equal(last, 9);
	ws_fix_free(x);
}

static void
a_turn_reads_so_many_frames_and_the_next_goes_on(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	int turns = 0, seen = F_WS_TURN_FRAMES;

	(void)state;
	mem_settle(x->l);
	deliver(x, 0x8a, FLOOD);
	filter_readable(x->ws->below);
	assert_int_equal(x->n_pongs, seen);
	for (; x->n_pongs < FLOOD && turns < MANY_TURNS; turns++) {
		/* The socket is left alone meanwhile, and what it has to say changes nothing. */
		assert_true(x->ws->below->paused);
		filter_readable(x->ws->below);
		assert_int_equal(x->n_pongs, seen);
		loop_settle(x->l);
		assert_in_range(x->n_pongs - seen, 0, F_WS_TURN_FRAMES);
		seen = x->n_pongs;
	}
	assert_int_equal(x->n_pongs, FLOOD);
	/* What is left for later in a turn's events is looked at in its end, too. */
	assert_in_range(turns, FLOOD / F_WS_TURN_FRAMES, FLOOD / F_WS_TURN_FRAMES + 1);
	loop_settle(x->l);
	assert_false(x->ws->below->paused);
	ws_fix_put_frame(x, 0x8a, true, "", 0);
	assert_int_equal(x->n_pongs, FLOOD + 1);
	ws_fix_free(x);
}

static void
frames_of_a_stream_are_bounded_too(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);

	(void)state;
	mem_settle(x->l);
	deliver(x, 0x82, FLOOD);
	filter_readable(x->ws->below);
	assert_int_equal(x->ws->in.len, 2 * F_WS_TURN_FRAMES);
	assert_int_equal(x->ws_sink.n_readable, 1);
	for (int i = 0; i < MANY_TURNS; i++)
		loop_settle(x->l);
	assert_int_equal(x->ws->in.len, 2 * FLOOD);
	ws_fix_free(x);
}

static void
a_pause_in_the_middle_of_a_flood_loses_nothing(void **state)
{
	(void)state;
	for (int turns = 0; turns < 3; turns++) {
		struct ws_fix *x = ws_fix_stream(false);
		int seen;

		mem_settle(x->l);
		deliver(x, 0x8a, FLOOD);
		filter_readable(x->ws->below);
		filter_pause(x->ws, true);
		seen = x->n_pongs;
		for (int i = 0; i < turns; i++)
			loop_settle(x->l);
		assert_int_equal(x->n_pongs, seen);
		assert_true(x->ws->below->paused);
		filter_pause(x->ws, false);
		for (int i = 0; i < MANY_TURNS; i++)
			loop_settle(x->l);
		assert_int_equal(x->n_pongs, FLOOD);
		assert_false(x->ws->below->paused);
		ws_fix_free(x);
	}
}

static void
a_flood_is_read_to_its_end_when_the_connection_has_gone(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);

	(void)state;
	mem_settle(x->l);
	deliver(x, 0x8a, FLOOD);
	filter_readable(x->ws->below);
	memfilter_cut(x->raw);
	assert_int_equal(x->ws_sink.n_closed, 0);
	for (int i = 0; i < MANY_TURNS; i++)
		loop_settle(x->l);
	assert_int_equal(x->n_pongs, FLOOD);
	assert_int_equal(x->ws_sink.n_closed, 1);
	assert_int_equal(x->ws_sink.err, ERR_CLOSED);
	ws_fix_free(x);
}

static void
a_flood_goes_on_in_another_loop(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	struct loop *other = loop_new();

	(void)state;
	assert_non_null(other);
	mem_settle(x->l);
	deliver(x, 0x8a, FLOOD);
	filter_readable(x->ws->below);
	filter_detach(x->ws);
	filter_detach(x->raw);
	assert_int_equal(filter_attach(x->ws, other), 0);
	assert_int_equal(filter_attach(x->raw, other), 0);
	loop_free(x->l);
	x->l = other;
	for (int i = 0; i < MANY_TURNS; i++)
		loop_settle(x->l);
	assert_int_equal(x->n_pongs, FLOOD);
	assert_false(x->ws->below->paused);
	ws_fix_free(x);
}

/* A socket has no room while a pong stands in it unflushed, which is no reason to leave one out. */
static void
ten_pings_at_once_get_ten_pongs_on_a_socket(void **state)
{
	const struct f_ws_config cfg = { .mode = F_WS_STREAM };
	struct loop *l = loop_new();
	uint8_t p[10 * FRAME];
	struct sink sink = { 0 };
	struct filter *ws;
	size_t n = 0;
	int fd[2];

	(void)state;
	assert_non_null(l);
	sockpair_tcp(fd, true);
	ws = f_ws_new(f_sock_new(l, fd[0], true), l, &cfg);
	assert_non_null(ws);
	filter_set_user(ws, &sink_user, &sink);
	for (uint8_t i = 0; i < 10; i++)
		n += ws_fix_frame(p + n, 0x89, true, (uint8_t[2]){ 0, i }, 2);
	assert_int_equal(write(fd[1], p, n), n);
	n = 0;
	for (int i = 0; n < 10 * 4 && i < MANY_TURNS; i++) {
		ssize_t k;

		mem_settle(l);
		k = read(fd[1], p + n, sizeof p - n);
		n += k > 0 ? (size_t)k : 0;
	}
	assert_int_equal(n, 10 * 4);
	for (uint8_t i = 0; i < 10; i++)
		assert_memory_equal(p + 4 * i, ((uint8_t[]){ 0x8a, 2, 0, i }), 4);
	filter_free(ws);
	close(fd[1]);
	mem_settle(l);
	loop_free(l);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_the_pings_of_a_turn_the_first_and_the_latest_are_answered),
		cmocka_unit_test(pings_in_several_pieces_of_one_turn_count_together),
		cmocka_unit_test(a_turn_reads_so_many_frames_and_the_next_goes_on),
		cmocka_unit_test(frames_of_a_stream_are_bounded_too),
		cmocka_unit_test(a_pause_in_the_middle_of_a_flood_loses_nothing),
		cmocka_unit_test(a_flood_is_read_to_its_end_when_the_connection_has_gone),
		cmocka_unit_test(a_flood_goes_on_in_another_loop),
		cmocka_unit_test(ten_pings_at_once_get_ten_pongs_on_a_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
