/* SPDX-License-Identifier: ISC */
/*
 * f_ws_stream_test - the WebSocket filter as a byte stream: sizes, framing, pauses, two of them
 * joined, out of memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ws/f_ws.h"
#include "lib/base/mem.h"
#include "test/unit/memfilter.h"
#include "test/unit/ws_fix.h"

static void
fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

/* Two WebSockets, joined. */
struct duo {
	struct loop *l;
	struct filter *end[2]; /* client, server */
	struct filter *below[2];
	struct sink sink[2];
};

static bool
duo_init(struct duo *d)
{
	memset(d, 0, sizeof *d);
	d->l = loop_new();
	if (d->l == NULL || !memfilter_pair(d->l, d->below))
		return false;
	for (int i = 0; i < 2; i++) {
		const struct f_ws_config cfg = { .mode = F_WS_STREAM, .client = i == 0 };

		d->end[i] = f_ws_new(d->below[i], d->l, &cfg);
		if (d->end[i] == NULL)
			return false;
		filter_set_user(d->end[i], &sink_user, &d->sink[i]);
	}
	return true;
}

static void
duo_fini(struct duo *d)
{
	for (int i = 0; i < 2; i++) {
		if (d->end[i] != NULL)
			filter_free(d->end[i]);
		else if (d->below[i] != NULL)
			filter_free(d->below[i]);
	}
	if (d->l != NULL)
		mem_settle(d->l);
	loop_free(d->l);
	buf_pool_free();
}

static void
a_stream_carries_every_size_both_ways(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 125, 126, 127, 1000, 5000, 65535, 65536, 200000,
		262130, 262144, 1048576, 1048577, 3000000 };
	enum { MOST = 3000000 };
	uint8_t *data = mem_must_zalloc(MOST), *got = mem_must_zalloc(MOST);

	(void)state;
	fill(data, MOST, 7);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		for (int from = 0; from < 2; from++) {
			struct duo d;

			assert_true(duo_init(&d));
			memfilter_set_chunk(d.below[from], sizes[i] / 3);
			/* In two writes, and small ones before: one message all the same. */
			assert_int_equal(filter_send(d.end[from], data, sizes[i] / 3), 0);
			assert_int_equal(
			    filter_send(d.end[from], data + sizes[i] / 3, sizes[i] - sizes[i] / 3),
			    0);
			filter_flush(d.end[from]);
			mem_settle(d.l);
			assert_int_equal(d.end[!from]->in.len, sizes[i]);
			assert_int_equal(bufq_read(&d.end[!from]->in, 0, got, MOST), sizes[i]);
			assert_memory_equal(got, data, sizes[i]);
			duo_fini(&d);
		}
	}
	mem_free(data);
	mem_free(got);
}

static void
one_flush_is_one_message_and_long_ones_are_split(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	uint8_t *p = mem_must_zalloc(F_WS_FRAME_MAX + 100), head[10];

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(filter_send(x->ws, "abcd", 4), 0);
	mem_settle(x->l);
	assert_int_equal(x->raw->in.len, 0);
	filter_flush(x->ws);
	mem_settle(x->l);
	assert_int_equal(ws_fix_sent(x, head, 4), 4);
	assert_memory_equal(head, "\x82\x7e\x00\xc8", 4);
	assert_int_equal(x->raw->in.len, 204);
	bufq_drain(&x->raw->in, 204);

	assert_int_equal(filter_send(x->ws, p, F_WS_FRAME_MAX + 100), 0);
	filter_flush(x->ws);
	mem_settle(x->l);
	assert_int_equal(x->raw->in.len, 10 + F_WS_FRAME_MAX + 2 + 100);
	assert_int_equal(ws_fix_sent(x, head, 10), 10);
	assert_memory_equal(head, "\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00", 10);
	mem_free(p);
	ws_fix_free(x);
}

static void
a_client_masks_with_fresh_keys_and_leaves_what_it_was_given(void **state)
{
	struct ws_fix *x = ws_fix_stream(true);
	struct bufq kept = { 0 }, q = { 0 };
	uint8_t p[2][9], back[3];

	(void)state;
	assert_int_equal(bufq_copy(&kept, "abc", 3), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bufq_share(&q, &kept, 0, 3), 0);
		assert_int_equal(filter_write(x->ws, &q), 0);
		filter_flush(x->ws);
		mem_settle(x->l);
		assert_int_equal(ws_fix_sent(x, p[i], 9), 9);
		bufq_drain(&x->raw->in, 9);
		assert_memory_equal(p[i], "\x82\x83", 2);
		for (int j = 0; j < 3; j++)
			assert_int_equal(p[i][6 + j] ^ p[i][2 + j], "abc"[j]);
	}
	assert_memory_not_equal(p[0] + 2, p[1] + 2, 4);
	assert_int_equal(bufq_read(&kept, 0, back, 3), 3);
	assert_memory_equal(back, "abc", 3);
	bufq_fini(&kept);
	ws_fix_free(x);
}

static void
payload_arrives_before_its_frame_is_complete(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);

	(void)state;
	ws_fix_put(x, "\x82\xff\0\0\0\0\x7f\0\0\0" Z "abc", 17);
	assert_int_equal(x->ws->in.len, 3);
	assert_int_equal(x->ws_sink.n_readable, 1);
	ws_fix_free(x);
}

static void
a_stream_refuses_text_unless_told(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);

	(void)state;
	ws_fix_put(x, "\x81\x81" Z "a", 7);
	assert_int_equal(ws_fix_close_code(x), F_WS_UNSUPPORTED);
	assert_int_equal(x->ws_sink.err, ERR_PROTO);
	ws_fix_free(x);

	x = ws_fix_new((struct f_ws_config){ .mode = F_WS_STREAM, .text_as_bytes = true });
	ws_fix_put(x, "\x01\x81" Z "a\x80\x81" Z "\xff", 14);
	assert_int_equal(x->ws->in.len, 2);
	assert_int_equal(x->ws_sink.n_closed, 0);
	ws_fix_free(x);
}

static void
a_stream_with_a_limit_closes_1009(void **state)
{
	struct ws_fix *x =
	    ws_fix_new((struct f_ws_config){ .mode = F_WS_STREAM, .max_message = 4 });

	(void)state;
	ws_fix_put(x, "\x82\x84" Z "abcd\x02\x83" Z "abc\x80\x82" Z "de", 27);
	assert_int_equal(x->ws->in.len, 7);
	assert_int_equal(ws_fix_close_code(x), F_WS_TOO_BIG);
	assert_int_equal(x->ws_sink.err, ERR_LIMIT);
	ws_fix_free(x);
}

static void
tiny_frames_take_memory_in_proportion(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	enum { N = 20000 };
	uint8_t *p = mem_must_zalloc(N * 7);
	size_t n = 0;

	(void)state;
	for (int i = 0; i < N; i++)
		n += ws_fix_frame(p + n, 0x82, true, "x", 1);
	ws_fix_put(x, p, n);
	/* Settled is when nothing moves below, and the filter takes some turns for so many. */
	for (int i = 0; x->ws->in.len < N && i < N / F_WS_TURN_FRAMES; i++)
		mem_settle(x->l);
	assert_int_equal(x->ws->in.len, N);
	assert_true(x->ws->in.pinned < 2 * N + BUF_HUGE);
	assert_true(x->ws->in.n < 100);
	mem_free(p);
	ws_fix_free(x);
}

static void
a_pause_stops_the_input_and_nothing_is_lost(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);

	(void)state;
	filter_pause(x->ws, true);
	ws_fix_put(x, "\x82\x81" Z "a", 7);
	assert_int_equal(x->ws->in.len, 0);
	filter_pause(x->ws, false);
	mem_settle(x->l);
	assert_int_equal(x->ws->in.len, 1);
	assert_int_equal(x->ws_sink.n_readable, 1);
	ws_fix_free(x);
}

static void
pause_in_readable(void *arg)
{
	filter_pause(arg, true);
}

static void
ignore_writable(void *arg)
{
	(void)arg;
}

static int closed_in_pause;

static void
count_closed(void *arg, int err, const char *text)
{
	(void)arg;
	(void)err;
	(void)text;
	closed_in_pause++;
}

static void
close_waits_for_a_paused_reader(void **state)
{
	static const struct filter_user user = { pause_in_readable, ignore_writable, count_closed };
	struct ws_fix *x = ws_fix_stream(false);

	(void)state;
	closed_in_pause = 0;
	filter_set_user(x->ws, &user, x->ws);
	ws_fix_put(x, "\x82\x81" Z "a\x88\x80" Z, 13);
	assert_int_equal(x->ws->in.len, 1);
	assert_int_equal(closed_in_pause, 0);
	bufq_drain(&x->ws->in, 1);
	filter_pause(x->ws, false);
	mem_settle(x->l);
	assert_int_equal(closed_in_pause, 1);
	ws_fix_free(x);
}

static void
the_user_hears_of_room_that_no_event_tells(void **state)
{
	struct ws_fix *x = ws_fix_stream(false);
	size_t room = filter_room(x->ws);
	uint8_t *p = mem_must_zalloc(room);

	(void)state;
	assert_true(room > 0);
	assert_int_equal(filter_send(x->ws, p, room), 0);
	assert_int_equal(filter_room(x->ws), 0);
	x->ws_sink.n_writable = 0;
	filter_flush(x->ws);
	mem_settle(x->l);
	assert_true(x->ws_sink.n_writable > 0);
	assert_int_equal(filter_room(x->ws), room);
	mem_free(p);
	ws_fix_free(x);
}

static void
two_ends_close_in_order(void **state)
{
	(void)state;
	for (int from = 0; from < 2; from++) {
		struct duo d;

		assert_true(duo_init(&d));
		assert_int_equal(filter_send(d.end[from], "bye", 3), 0);
		filter_shutdown(d.end[from]);
		mem_settle(d.l);
		assert_int_equal(d.end[!from]->in.len, 3);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(d.sink[i].n_closed, 1);
			assert_int_equal(d.sink[i].err, ERR_EOF);
		}
		duo_fini(&d);
	}
}

static void
both_ends_may_close_at_once(void **state)
{
	struct duo d;

	(void)state;
	assert_true(duo_init(&d));
	filter_shutdown(d.end[0]);
	filter_shutdown(d.end[1]);
	mem_settle(d.l);
	assert_int_equal(d.sink[0].err, ERR_EOF);
	assert_int_equal(d.sink[1].err, ERR_EOF);
	duo_fini(&d);
}

static void
a_stack_moves_to_another_loop(void **state)
{
	struct duo d;
	struct loop *other = loop_new();

	(void)state;
	assert_true(duo_init(&d));
	mem_settle(d.l);
	for (int i = 0; i < 2; i++)
		filter_detach(d.end[i]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(filter_attach(d.end[i], other), 0);
	loop_free(d.l);
	d.l = other;
	assert_int_equal(filter_send(d.end[0], "abc", 3), 0);
	filter_flush(d.end[0]);
	mem_settle(d.l);
	assert_int_equal(d.end[1]->in.len, 3);
	duo_fini(&d);
}

/* ---- out of memory ---- */

static void
message_out_and_back(struct ws_fix *x)
{
	struct bufq q = { 0 };

	if (bufq_copy(&q, "answer", 6) == 0 && f_ws_send_message(x->ws, F_WS_TEXT, &q) == 0)
		filter_flush(x->ws);
	bufq_fini(&q);
}

static void
every_failed_allocation_is_survived(void **state)
{
	static uint8_t data[50000];
	bool failed = true;

	(void)state;
	for (long n = 0; failed && n < 200; n++) {
		struct duo d;
		uint64_t before;

		assert_true(duo_init(&d));
		before = mem_count();
		mem_fail_after(n);
		for (int i = 0; i < 2; i++) {
			IGNORE_RESULT(filter_send(
			    d.end[i], data, sizeof data)); /* may fail: the test's point */
			filter_flush(d.end[i]);
			filter_shutdown(d.end[i]);
		}
		mem_settle(d.l);
		failed = mem_count() - before > (uint64_t)n;
		mem_fail_after(MEM_NO_FAIL);
		if (!failed) {
			assert_int_equal(d.sink[0].err, ERR_EOF);
			assert_int_equal(d.end[0]->in.len, sizeof data);
		}
		duo_fini(&d);
	}
	assert_false(failed);
	for (long n = 0; n < 30; n++) {
		struct ws_fix *x = ws_fix_messages(false);

		mem_fail_after(n);
		message_out_and_back(x);
		mem_fail_after(MEM_NO_FAIL);
		mem_settle(x->l);
		ws_fix_free(x);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_carries_every_size_both_ways),
		cmocka_unit_test(one_flush_is_one_message_and_long_ones_are_split),
		cmocka_unit_test(a_client_masks_with_fresh_keys_and_leaves_what_it_was_given),
		cmocka_unit_test(payload_arrives_before_its_frame_is_complete),
		cmocka_unit_test(a_stream_refuses_text_unless_told),
		cmocka_unit_test(a_stream_with_a_limit_closes_1009),
		cmocka_unit_test(tiny_frames_take_memory_in_proportion),
		cmocka_unit_test(a_pause_stops_the_input_and_nothing_is_lost),
		cmocka_unit_test(close_waits_for_a_paused_reader),
		cmocka_unit_test(the_user_hears_of_room_that_no_event_tells),
		cmocka_unit_test(two_ends_close_in_order),
		cmocka_unit_test(both_ends_may_close_at_once),
		cmocka_unit_test(a_stack_moves_to_another_loop),
		cmocka_unit_test(every_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
