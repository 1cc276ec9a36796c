/* SPDX-License-Identifier: ISC */
/* mux_datagram_test - streams of datagrams (PROTOCOL.md 5.7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/mux_int.h"
#include "test/unit/muxpair.h"

static const struct mux_config endpoint = { .endpoint = true, .keepalive_ms = 1000 };
static const struct mux_config dialer = { .dialer = true, .endpoint = true, .keepalive_ms = 1000 };
static const struct mux_config hop = { .keepalive_ms = 1000 };

static struct side *
side(struct raw *r, int i)
{
	return &r->net.end[0].side[i];
}

static void
drain(struct raw *r)
{
	struct frame f;

	while (raw_get(r, &f, NULL))
		;
}

/* ---- what arrives ---- */

static void
pass_through(struct net *net, int chunk)
{
	static const size_t sizes[] = { 0, 1, 1200, FRAME_DATAGRAM_MAX, 9000 };
	struct side x = { 0 };
	struct side *y = &net_agent(net)->side[0];
	size_t sum = 0;

	net->chunk = chunk;
	assert_true(side_open_udp(&x, net_client(net)));
	for (uint8_t i = 0; i < 5; i++) {
		assert_int_equal(side_datagram(&x, i, sizes[i]), 0);
		sum += sizes[i];
	}
	net_run(net);
	assert_int_equal(net_client(net)->err, 0);
	assert_true(x.opened && !x.closed);
	assert_int_equal(y->n_datagrams, 5);
	assert_int_equal(x.n_left, 5);
	assert_true(y->got.len == sum);
	assert_int_equal(side_datagram(y, 9, 512), 0);
	net_run(net);
	assert_int_equal(x.n_datagrams, 1);
	assert_true(x.got.len == 512);
	stream_reset(x.s, CODE_CANCELLED, "done");
	net_run(net);
	assert_true(y->closed);
	assert_int_equal(y->code, CODE_CANCELLED);
	side_fini(&x);
}

static void
datagrams_arrive_whole_in_whatever_pieces_the_carrier_brings_them(void **state)
{
	static const int chunks[] = { NET_WHOLE, NET_RANDOM, NET_ONE };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct net *net = net_new(&dialer, &endpoint);

		pass_through(net, chunks[i]);
		net_free(net);
	}
}

static void
a_relay_passes_them_on(void **state)
{
	struct net *net = net_new_relay();

	(void)state;
	pass_through(net, NET_RANDOM);
	net_free(net);
}

static void
they_go_before_the_answer_and_windows_are_never_spoken_of(void **state)
{
	char json[FRAME_BODY_MAX + 1] = "";
	struct side x = { 0 };
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &dialer, true);
	drain(&r);
	assert_true(side_open_udp(&x, &r.net.end[0]));
	assert_int_equal(side_datagram(&x, 'q', 20), 0);
	assert_true(raw_get(&r, &f, (uint8_t *)json));
	assert_int_equal(f.type, FRAME_OPEN);
	json[f.len] = '\0';
	assert_non_null(strstr(json, "\"protocol\":\"udp\""));
	assert_null(strstr(json, "window"));
	assert_true(raw_get(&r, &f, NULL));
	assert_int_equal(f.type, FRAME_DATAGRAM);
	assert_int_equal(f.len, 20);
	assert_int_equal(raw_put(&r, FRAME_OPEN_OK, 0, f.id, "{}", 2), 0);
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, f.id, "a", 1), 0);
	assert_int_equal(x.n_datagrams, 1);
	assert_int_equal(raw_tick(&r, 150), 0);
	assert_false(raw_skip(&r, FRAME_WINDOW, &f, NULL));
	raw_fini(&r);
	side_fini(&x);
}

/* ---- what breaks the rules ---- */

static void
is_reset_for(uint8_t type, uint8_t flags, const void *body, size_t n)
{
	struct frame f;
	struct raw r;

	raw_init(&r, &endpoint, true);
	assert_int_equal(raw_open_udp(&r, 1, ""), 0);
	assert_int_equal(raw_open_udp(&r, 3, ""), 0);
	assert_int_equal(raw_put(&r, type, flags, 1, body, n), 0);
	assert_true(side(&r, 0)->closed);
	assert_int_equal(side(&r, 0)->code, CODE_PROTOCOL);
	assert_true(raw_skip(&r, FRAME_RESET, &f, NULL));
	assert_int_equal(f.id, 1);
	/* The fault is that stream's alone, and what is still under way for it is skipped. */
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, 1, "late", 4), 0);
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, 3, "x", 1), 0);
	assert_int_equal(side(&r, 1)->n_datagrams, 1);
	raw_fini(&r);
}

static void
bytes_windows_and_ends_reset_a_stream_of_datagrams(void **state)
{
	static const uint8_t zeros[16];

	(void)state;
	is_reset_for(FRAME_DATA, 0, "x", 1);
	is_reset_for(FRAME_EOF, 0, zeros, 8);
	is_reset_for(FRAME_WINDOW, 0, zeros, 16);
	is_reset_for(FRAME_WINDOW, FRAME_F_EOF_ACKED, zeros, 16);
	is_reset_for(FRAME_RETURN, 0, zeros, 8);
}

static void
a_datagram_before_the_answer_resets_the_stream(void **state)
{
	struct side x = { 0 };
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &dialer, true);
	assert_true(side_open_udp(&x, &r.net.end[0]));
	assert_true(raw_skip(&r, FRAME_OPEN, &f, NULL));
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, f.id, "x", 1), 0);
	assert_true(x.closed);
	assert_int_equal(x.code, CODE_PROTOCOL);
	raw_fini(&r);
	side_fini(&x);
}

static void
bytes_cannot_be_sent_on_one_nor_a_datagram_on_the_other(void **state)
{
	struct raw r;

	(void)state;
	raw_init(&r, &endpoint, true);
	assert_int_equal(raw_open_udp(&r, 1, ",\"window\":1000000"), 0);
	assert_int_equal(raw_open(&r, 3), 0);
	assert_int_equal(side_send(side(&r, 0), 1), ERR_CLOSED);
	assert_int_equal(side_datagram(side(&r, 1), 0, 1), ERR_CLOSED);
	raw_fini(&r);
}

static void
a_stream_that_ends_in_the_middle_of_a_datagram_drops_it(void **state)
{
	uint8_t hdr[FRAME_HDR_LEN];
	struct raw r;
	struct end *e;

	(void)state;
	raw_init(&r, &endpoint, true);
	e = &r.net.end[0];
	assert_int_equal(raw_open_udp(&r, 1, ""), 0);
	assert_int_equal(raw_open_udp(&r, 3, ""), 0);
	frame_pack(hdr, &(struct frame){ FRAME_DATAGRAM, 0, 4000, 1 });
	assert_int_equal(bufq_copy(&e->in, hdr, sizeof hdr), 0);
	assert_int_equal(bufq_copy(&e->in, hdr, 4), 0);
	assert_int_equal(session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why), 0);
	stream_reset(side(&r, 0)->s, CODE_CANCELLED, "enough");
	/* The rest of it is skipped, and is no part of the next one. */
	for (int i = 0; i < 999; i++)
		assert_int_equal(bufq_copy(&e->in, "rest", 4), 0);
	assert_int_equal(raw_put(&r, FRAME_DATAGRAM, 0, 3, "next", 4), 0);
	assert_int_equal(side(&r, 1)->n_datagrams, 1);
	assert_true(side(&r, 1)->got.len == 4);
	raw_fini(&r);
}

/* ---- bounds ---- */

/* Each makes a system call: others have their turn between so many of them. */
static void
a_flood_of_datagrams_leaves_turns_to_others(void **state)
{
	enum { N = 1000, TURN = MUX_WORK_TURN / MUX_WORK_DATAGRAM };
	uint8_t frame[FRAME_HDR_LEN];
	struct raw r;
	struct end *e;
	int n;

	(void)state;
	raw_init(&r, &endpoint, true);
	e = &r.net.end[0];
	assert_int_equal(raw_open_udp(&r, 1, ""), 0);
	frame_pack(frame, &(struct frame){ FRAME_DATAGRAM, 0, 0, 1 });
	for (int i = 0; i < N; i++)
		assert_int_equal(bufq_copy(&e->in, frame, sizeof frame), 0);
	for (n = 1; session_input(e->s, &e->in, r.net.now_ms * 1000, &e->why) == SESSION_MORE; n++)
		assert_true(side(&r, 0)->n_datagrams <= (unsigned)(n * TURN));
	assert_int_equal(n, (N + TURN - 1) / TURN);
	assert_int_equal(side(&r, 0)->n_datagrams, N);
	raw_fini(&r);
}

static void
a_peer_that_takes_nothing_costs_the_oldest(void **state)
{
	enum { N = 1000, FITS = DATAGRAMS_MAX / (1200 + DATAGRAMS_COST) };
	uint8_t body[FRAME_BODY_MAX];
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &endpoint, true);
	assert_int_equal(raw_open_udp(&r, 1, ""), 0);
	drain(&r);
	for (int i = 0; i < N; i++)
		assert_int_equal(side_datagram(side(&r, 0), (uint8_t)i, 1200), 0);
	assert_int_equal(side(&r, 0)->n_dropped, N - FITS);
	for (int i = N - FITS; i < N; i++) {
		assert_true(raw_get(&r, &f, body));
		assert_int_equal(f.type, FRAME_DATAGRAM);
		assert_int_equal(body[0], (uint8_t)i);
	}
	assert_false(raw_get(&r, &f, body));
	assert_int_equal(side(&r, 0)->n_left, FITS);
	raw_fini(&r);
}

static void
who_pays_for_the_stream_pays_for_what_waits(void **state)
{
	struct budget b;
	struct ctl_open o = { .protocol = CTL_UDP, .service = "dns" };
	struct bufq q = { 0 };
	unsigned dropped;
	struct stream *s;
	struct raw r;

	(void)state;
	budget_init(&b, 1000000, NULL);
	raw_init(&r, &hop, true);
	s = session_open(r.net.end[0].s, &o, &b, NULL, NULL, NULL);
	assert_non_null(s);
	assert_int_equal(b.used, 0);
	for (int i = 0; i < 20; i++) {
		static const uint8_t bytes[1000];

		assert_int_equal(bufq_copy(&q, bytes, sizeof bytes), 0);
		assert_int_equal(stream_datagram(s, &q, &dropped), 0);
	}
	assert_int_equal(b.used, 20 * (1000 + DATAGRAMS_COST) - DATAGRAMS_FLOOR);
	drain(&r);
	assert_int_equal(b.used, 0);
	stream_reset(s, CODE_CANCELLED, "");
	drain(&r);
	assert_true(budget_is_idle(&b));
	raw_fini(&r);
}

static void
what_is_queued_goes_before_a_reset_and_not_after_an_abort(void **state)
{
	static void (*const end[])(
	    struct stream *, uint32_t, const char *) = { stream_reset, stream_abort };
	struct frame f;
	struct raw r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		raw_init(&r, &endpoint, true);
		assert_int_equal(raw_open_udp(&r, 1, ""), 0);
		drain(&r);
		assert_int_equal(side_datagram(side(&r, 0), 'x', 5), 0);
		end[i](side(&r, 0)->s, CODE_CANCELLED, "");
		assert_true(raw_get(&r, &f, NULL));
		assert_int_equal(f.type, i == 0 ? FRAME_DATAGRAM : FRAME_RESET);
		assert_true(raw_get(&r, &f, NULL) == (i == 0));
		assert_int_equal(f.type, FRAME_RESET);
		raw_fini(&r);
	}
}

/* ---- whose turn ---- */

/* Frames of other streams, as bytes, before the next one of this stream. */
static size_t
before(struct raw *r, uint32_t id)
{
	struct frame f;
	size_t n = 0;

	while (raw_get(r, &f, NULL) && f.id != id)
		n += f.len;
	assert_int_equal(f.id, id);
	return n;
}

static void
a_keystroke_goes_before_queued_datagrams(void **state)
{
	static const size_t sizes[] = { 1200, 2100, 30000, FRAME_DATAGRAM_MAX };
	struct raw r;

	(void)state;
	for (int k = 0; k < 4; k++) {
		raw_init(&r, &endpoint, true);
		r.net.portion = 16 * 1024;
		for (uint32_t i = 0; i < 9; i++)
			assert_int_equal(raw_open_udp(&r, 2 * i + 1, ""), 0);
		assert_int_equal(raw_open(&r, 19), 0);
		drain(&r);
		for (int i = 0; i < 9; i++)
			for (int n = 0; n < 3; n++)
				assert_int_equal(side_datagram(side(&r, i), 'x', sizes[k]), 0);
		assert_int_equal(side_send(side(&r, 9), 1), 0);
		assert_true(before(&r, 19) <= 9 * TURN_FRESH_BYTES);
		raw_fini(&r);
	}
}

static void
flows_share_by_bytes_whatever_the_size_of_their_datagrams(void **state)
{
	size_t sum[2] = { 0 };
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &endpoint, true);
	r.net.portion = 16 * 1024;
	assert_int_equal(raw_open_udp(&r, 1, ""), 0);
	assert_int_equal(raw_open_udp(&r, 3, ""), 0);
	drain(&r);
	while (sum[0] + sum[1] < 20000000) {
		while (stream_room(side(&r, 0)->s) >= 60000)
			assert_int_equal(side_datagram(side(&r, 0), 'l', 60000), 0);
		while (stream_room(side(&r, 1)->s) >= 1000)
			assert_int_equal(side_datagram(side(&r, 1), 's', 1000), 0);
		assert_true(raw_get(&r, &f, NULL));
		sum[f.id / 2] += f.len;
	}
	assert_in_range(sum[0], 9500000, 10500000);
	raw_fini(&r);
}

static void
datagrams_and_a_bulk_stream_share(void **state)
{
	size_t sum[2] = { 0 };
	struct frame f;
	struct raw r;

	(void)state;
	raw_init(&r, &hop, true);
	r.net.portion = 16 * 1024;
	assert_int_equal(raw_open_udp(&r, 1, ""), 0);
	assert_int_equal(raw_open(&r, 3), 0);
	assert_int_equal(raw_window(&r, 3, 0, 1 << 30, 0), 0);
	drain(&r);
	assert_int_equal(side_send(side(&r, 1), 10000000), 0);
	while (sum[0] + sum[1] < 10000000) {
		while (stream_room(side(&r, 0)->s) >= 1200)
			assert_int_equal(side_datagram(side(&r, 0), 'd', 1200), 0);
		assert_true(raw_get(&r, &f, NULL));
		sum[f.id / 2] += f.len;
	}
	assert_in_range(sum[0], 4500000, 5500000);
	raw_fini(&r);
}

/* ---- memory ---- */

static void
each_allocation_may_fail(void **state)
{
	bool failed = true;
	long fail = 0;

	(void)state;
	for (; failed; fail++) {
		struct side x = { 0 };
		struct net *net;
		uint64_t before;

		buf_pool_free();
		before = mem_count();
		mem_fail_after(fail);
		net = net_new_relay();
		if (net != NULL) {
			net->chunk = NET_RANDOM;
			if (side_open_udp(&x, net_client(net)) && side_datagram(&x, 'x', 3000) == 0)
				net_run(net);
		}
		failed = mem_count() - before > (uint64_t)fail;
		mem_fail_after(MEM_NO_FAIL);
		net_free(net);
		side_fini(&x);
	}
	assert_true(fail > 40);
	buf_pool_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_arrive_whole_in_whatever_pieces_the_carrier_brings_them),
		cmocka_unit_test(a_relay_passes_them_on),
		cmocka_unit_test(they_go_before_the_answer_and_windows_are_never_spoken_of),
		cmocka_unit_test(bytes_windows_and_ends_reset_a_stream_of_datagrams),
		cmocka_unit_test(a_datagram_before_the_answer_resets_the_stream),
		cmocka_unit_test(bytes_cannot_be_sent_on_one_nor_a_datagram_on_the_other),
		cmocka_unit_test(a_stream_that_ends_in_the_middle_of_a_datagram_drops_it),
		cmocka_unit_test(a_flood_of_datagrams_leaves_turns_to_others),
		cmocka_unit_test(a_peer_that_takes_nothing_costs_the_oldest),
		cmocka_unit_test(who_pays_for_the_stream_pays_for_what_waits),
		cmocka_unit_test(what_is_queued_goes_before_a_reset_and_not_after_an_abort),
		cmocka_unit_test(a_keystroke_goes_before_queued_datagrams),
		cmocka_unit_test(flows_share_by_bytes_whatever_the_size_of_their_datagrams),
		cmocka_unit_test(datagrams_and_a_bulk_stream_share),
		cmocka_unit_test(each_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
