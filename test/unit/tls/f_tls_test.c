/* SPDX-License-Identifier: ISC */
/*
 * f_tls - the TLS filter with its peer: bytes, the end, versions, other loops, memory.
 * link: -Wl,--wrap=loop_now_ms -Wl,--wrap=madvise
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "test/unit/tlstest.h"

/* ---- the clock is turned by hand ---- */

uint64_t __real_loop_now_ms(struct loop *l);
uint64_t __wrap_loop_now_ms(struct loop *l);

static uint64_t ms_off;

uint64_t
__wrap_loop_now_ms(struct loop *l)
{
	return __real_loop_now_ms(l) + ms_off;
}

/* ---- memory that was given back is counted ---- */

int __real_madvise(void *p, size_t n, int advice);
int __wrap_madvise(void *p, size_t n, int advice);

static unsigned n_given_back;

int
__wrap_madvise(void *p, size_t n, int advice)
{
	n_given_back++;
	return __real_madvise(p, n, advice);
}

/* ---- bytes ---- */

static void
carries_every_size_both_ways(void **state)
{
	static const size_t sizes[] = { 1, 2, 100, 5000, 16383, 16384, 16385, 200000, 3000000 };
	static const size_t pieces[] = { 7, 1000, 16384, 200000 };
	struct tlstest p;

	(void)state;
	tlstest_ready(&p);
	assert_string_equal(f_tls_describe(p.c.f), f_tls_describe(p.s.f));
	assert_non_null(strstr(f_tls_describe(p.c.f), tlstest_tls12_only ? "TLSv1.2" : "TLSv1.3"));
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
			if (sizes[i] / pieces[j] > 100000)
				continue;
			p.c.want = p.s.want = sizes[i];
			tlstest_write(&p.c, sizes[i], pieces[j]);
			tlstest_write(&p.s, sizes[i], pieces[j]);
			assert_true(wire_run(p.l, 10000, tlstest_both_got, &p));
			tlstest_got(&p.c, sizes[i]);
			tlstest_got(&p.s, sizes[i]);
			bufq_fini(&p.c.got);
			bufq_fini(&p.s.got);
		}
	tlstest_close(&p);
}

static void
works_one_byte_at_a_time(void **state)
{
	struct tlstest p;

	(void)state;
	tlstest_open(&p, "relay.test", tlstest_pem, NULL);
	p.c.wire->chunk = p.s.wire->chunk = 1;
	p.c.want = p.s.want = 3000;
	tlstest_write(&p.c, 3000, 100);
	tlstest_write(&p.s, 3000, 3000);
	assert_true(wire_run(p.l, 20000, tlstest_both_got, &p));
	tlstest_got(&p.c, 3000);
	tlstest_got(&p.s, 3000);
	tlstest_close(&p);
}

/* extra: a record's header, type and tag; in TLS 1.2 header, nonce and tag. */
static void
makes_one_record(size_t n, size_t extra)
{
	struct tlstest p;
	uint64_t before;

	tlstest_ready(&p);
	wire_turns(p.l, 4);
	before = p.s.wire->passed;
	p.s.want = n;
	tlstest_write(&p.c, n, 10);
	assert_true(wire_run(p.l, 10000, tlstest_both_got, &p));
	assert_int_equal(p.s.wire->passed - before, n + extra);
	/* It stands in a block of about its size. */
	assert_true(bufq_weight(&p.s.got) < 2 * BUF_MEDIUM);
	tlstest_close(&p);
}

static void
many_small_slices_make_one_record(void **state)
{
	(void)state;
	makes_one_record(1000, 22);
	makes_one_record(16384, 22);
	tlstest_tls12_only = true;
	makes_one_record(1000, 29);
	makes_one_record(16384, 29);
	tlstest_tls12_only = false;
}

static void
nothing_leaves_before_a_flush(void **state)
{
	struct tlstest p;
	uint64_t before;

	(void)state;
	tlstest_ready(&p);
	wire_turns(p.l, 4);
	before = p.s.wire->passed;
	assert_int_equal(filter_send(p.c.f, "abc", 3), 0);
	assert_true(filter_room(p.c.f) < WIRE_ROOM);
	wire_turns(p.l, 4);
	assert_int_equal(p.s.wire->passed, before);
	filter_flush(p.c.f);
	wire_turns(p.l, 4);
	assert_int_equal(p.s.got.len, 3);
	tlstest_close(&p);
}

static void
what_is_written_first_waits_for_the_handshake(void **state)
{
	struct tlstest p;

	(void)state;
	tlstest_open(&p, "relay.test", tlstest_pem, NULL);
	p.s.want = 5000;
	tlstest_write(&p.c, 5000, 100);
	assert_int_equal(filter_room(p.c.f), F_TLS_EARLY - 5000);
	filter_shutdown(p.c.f);
	assert_true(wire_run(p.l, 10000, tlstest_both_closed, &p));
	tlstest_got(&p.s, 5000);
	assert_int_equal(p.s.err, ERR_EOF);
	tlstest_close(&p);
}

static void
a_paused_reader_bounds_memory(void **state)
{
	struct tlstest p;
	size_t sent = 0;

	(void)state;
	tlstest_ready(&p);
	p.s.hold = true;
	for (int i = 0; i < 200; i++) {
		size_t room = filter_room(p.c.f);

		if (room > 0) {
			tlstest_write(&p.c, room, 16384);
			sent += room;
		}
		wire_turns(p.l, 2);
	}
	assert_true(sent < FILTER_IN_MAX);
	assert_true(p.s.f->in.len + p.s.wire->f.in.len < FILTER_IN_MAX);
	p.s.hold = false;
	p.s.want = sent;
	filter_pause(p.s.f, false);
	assert_true(wire_run(p.l, 10000, tlstest_both_got, &p));
	assert_int_equal(p.s.got.len, sent);
	tlstest_close(&p);
}

static void
a_burst_does_not_hold_the_loop(void **state)
{
	struct tlstest p;

	(void)state;
	tlstest_ready(&p);
	tlstest_write(&p.c, 3 * F_TLS_TURN, F_TLS_TURN);
	for (int i = 0; i < 10 && p.s.got.len == 0; i++)
		wire_turns(p.l, 1);
	assert_true(p.s.got.len <= F_TLS_TURN);
	wire_turns(p.l, 10);
	assert_int_equal(p.s.got.len, 3 * F_TLS_TURN);
	tlstest_close(&p);
}

/* ---- the end ---- */

static void
shutdown_is_an_orderly_end_for_both(void **state)
{
	struct tlstest p;

	(void)state;
	tlstest_ready(&p);
	tlstest_write(&p.s, 100, 100);
	filter_shutdown(p.s.f);
	assert_true(wire_run(p.l, 10000, tlstest_both_closed, &p));
	tlstest_got(&p.c, 100);
	assert_int_equal(p.c.err, ERR_EOF);
	assert_int_equal(p.s.err, ERR_EOF);
	assert_int_equal(p.c.n_closed, 1);
	assert_int_equal(filter_send(p.c.f, "x", 1), ERR_CLOSED);
	tlstest_close(&p);
}

static void
the_end_waits_for_a_paused_reader(void **state)
{
	struct tlstest p;

	(void)state;
	tlstest_ready(&p);
	p.c.hold = true;
	tlstest_write(&p.s, 100, 100);
	filter_shutdown(p.s.f);
	wire_turns(p.l, 10);
	assert_int_equal(p.c.n_closed, 0);
	p.c.hold = false;
	filter_pause(p.c.f, false);
	assert_true(wire_run(p.l, 10000, tlstest_both_closed, &p));
	tlstest_got(&p.c, 100);
	assert_int_equal(p.c.err, ERR_EOF);
	tlstest_close(&p);
}

static void
an_end_without_close_notify_is_a_cut(void **state)
{
	struct tlstest p;

	(void)state;
	tlstest_ready(&p);
	tlstest_write(&p.s, 100, 100);
	filter_shutdown(&p.s.wire->f);
	wire_turns(p.l, 10);
	tlstest_got(&p.c, 100);
	assert_int_equal(p.c.err, ERR_CLOSED);
	assert_string_equal(p.c.text, "TLS: the connection ended without close_notify");
	tlstest_close(&p);
}

/* The socket reads what the kernel has, tells of it, and then that the connection is broken. */
static void
breaks_with_input(struct wire *w)
{
	assert_int_equal(bufq_move(&w->f.in, &w->coming, w->coming.len), 0);
	filter_readable(&w->f);
	filter_close(&w->f, ERR_CLOSED, "Connection reset by peer");
}

static void
what_came_before_the_connection_broke_is_delivered(void **state)
{
	bool tls12_only = tlstest_tls12_only;
	struct tlstest p;

	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++)
		for (int paused = 0; paused < 2; paused++) {
			size_t n = 4 * F_TLS_TURN;

			tlstest_tls12_only = tls12 == 1;
			tlstest_ready(&p);
			tlstest_tls12_only = tls12_only;
			wire_turns(p.l, 4);
			filter_pause(p.s.f, paused == 1);
			tlstest_write(&p.c, n, 16384);
			breaks_with_input(p.s.wire);
			wire_turns(p.l, 4);
			assert_int_equal(p.s.n_closed, 1 - paused);
			filter_pause(p.s.f, false);
			wire_turns(p.l, 20);
			tlstest_got(&p.s, n);
			assert_int_equal(p.s.n_closed, 1);
			assert_int_equal(p.s.err, ERR_CLOSED);
			assert_string_equal(p.s.text, "Connection reset by peer");
			tlstest_close(&p);
		}
	/* Without input there is nothing to wait for. */
	tlstest_ready(&p);
	wire_turns(p.l, 4);
	filter_pause(p.s.f, true);
	filter_close(&p.s.wire->f, ERR_CLOSED, "Connection reset by peer");
	assert_int_equal(p.s.n_closed, 1);
	tlstest_close(&p);
}

static void
may_be_freed_in_every_callback(void **state)
{
	struct tlstest p;

	(void)state;
	tlstest_open(&p, "relay.test", tlstest_pem, NULL);
	p.c.free_in_ready = true;
	wire_turns(p.l, 20);
	assert_null(p.c.f);
	tlstest_close(&p);

	tlstest_ready(&p);
	p.c.free_in_readable = true;
	tlstest_write(&p.s, 300000, 1000);
	wire_turns(p.l, 20);
	assert_null(p.c.f);
	tlstest_close(&p);

	tlstest_open(
	    &p, "relay.test", NULL, "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	p.c.free_in_closed = p.s.free_in_closed = true;
	wire_turns(p.l, 20);
	assert_null(p.c.f);
	assert_null(p.s.f);
	tlstest_close(&p);
}

static void
a_socket_that_breaks_under_a_write_is_told_once(void **state)
{
	struct tlstest p;

	(void)state;
	for (int when = 0; when < 5; when++)
		for (int freeing = 0; freeing < 2; freeing++) {
			tlstest_open(&p, "relay.test", tlstest_pem, NULL);
			p.s.free_in_closed = freeing == 1;
			if (when > 0)
				assert_true(wire_run(p.l, 10000, tlstest_both_ready, &p));
			p.s.wire->broken = true;
			if (when == 0)
				wire_turns(p.l, 10);
			else if (when == 1)
				tlstest_write(&p.s, 100000, 1000);
			else if (when == 2)
				filter_shutdown(p.s.f);
			else if (when == 3)
				filter_shutdown(p.c.f); /* its close_notify is answered */
			else
				p.s.wire->flip_at = p.s.wire->passed + 10; /* an alert is due */
			if (when == 4)
				tlstest_write(&p.c, 100, 100);
			wire_turns(p.l, 10);
			assert_int_equal(p.s.n_closed, 1);
			/* What the peer did says more than that it cannot be told. */
			assert_int_equal(p.s.err, when == 3   ? ERR_EOF
						  : when == 4 ? ERR_TLS
							      : ERR_CLOSED);
			tlstest_close(&p);
		}
}

/* ---- versions ---- */

static void
speaks_tls12_when_the_peer_knows_no_other(void **state)
{
	struct tlstest p;

	(void)state;
	tlstest_tls12_only = true;
	tlstest_open(&p, "relay.test", tlstest_pem, NULL);
	tlstest_tls12_only = false;
	p.c.want = p.s.want = 200000;
	tlstest_write(&p.c, 200000, 50000);
	tlstest_write(&p.s, 200000, 50);
	assert_true(wire_run(p.l, 10000, tlstest_both_got, &p));
	tlstest_got(&p.c, 200000);
	tlstest_got(&p.s, 200000);
	assert_non_null(strstr(f_tls_describe(p.s.f), "TLSv1.2"));
	filter_shutdown(p.c.f);
	assert_true(wire_run(p.l, 10000, tlstest_both_closed, &p));
	assert_int_equal(p.s.err, ERR_EOF);
	tlstest_close(&p);
}

/* ---- moving, memory ---- */

static void
moves_to_another_loop(void **state)
{
	struct loop *other = loop_new();
	struct tlstest p;

	(void)state;
	tlstest_ready(&p);
	wire_turns(p.l, 4);
	tlstest_write(&p.s, 500000, 50000);
	filter_detach(p.c.f);
	filter_detach(p.s.f);
	assert_int_equal(filter_attach(p.c.f, other), 0);
	assert_int_equal(filter_attach(p.s.f, other), 0);
	loop_free(p.l);
	p.l = other;
	p.c.want = 500000;
	assert_true(wire_run(p.l, 10000, tlstest_both_got, &p));
	tlstest_got(&p.c, 500000);
	tlstest_close(&p);
}

/* With TLS 1.2 two buffers of each end, after the handshake and in the quiet after each bulk. */
static void
goes_on_after_its_buffers_were_given_back(void **state)
{
	struct tlstest p;

	(void)state;
	n_given_back = 0;
	tlstest_ready(&p);
	assert_int_equal(n_given_back, tlstest_tls12_only ? 2 * 2 : 0);
	for (size_t round = 1; round <= 3; round++) {
		ms_off += F_TLS_TRIM_MS + 1000;
		for (size_t i = 0; i < 3; i++) {
			p.c.want = p.s.want = 50;
			tlstest_write(&p.c, 50, 50);
			tlstest_write(&p.s, 50, 50);
			assert_true(wire_run(p.l, 10000, tlstest_both_got, &p));
			tlstest_got(&p.c, 50);
			tlstest_got(&p.s, 50);
			bufq_fini(&p.c.got);
			bufq_fini(&p.s.got);
		}
		p.c.want = p.s.want = 100000;
		tlstest_write(&p.c, 100000, 100000);
		tlstest_write(&p.s, 100000, 100000);
		assert_true(wire_run(p.l, 10000, tlstest_both_got, &p));
		tlstest_got(&p.c, 100000);
		tlstest_got(&p.s, 100000);
		bufq_fini(&p.c.got);
		bufq_fini(&p.s.got);
	}
	/* Not in the first round: nothing had been moved since the handshake. */
	assert_int_equal(n_given_back, tlstest_tls12_only ? (1 + 2) * 2 * 2 : 0);
	ms_off = 0;
	tlstest_close(&p);
}

static void
every_failed_allocation_ends_one_connection_only(void **state)
{
	struct filter *f;
	struct wire *a, *b;
	struct tlstest p;
	long n = 0;
	bool failed = true;

	(void)state;
	/* While it is made: refused, and what is below stays the caller's. */
	p.l = loop_new();
	wire_pair(p.l, &a, &b);
	for (n = 0; failed; n++) {
		mem_fail_after(n);
		f = f_tls_server(&a->f, p.l, tlstest_server_ctx);
		mem_fail_after(MEM_NO_FAIL);
		failed = f == NULL;
	}
	assert_true(n > 1);
	filter_free(f);
	filter_free(&b->f);
	wire_turns(p.l, 2);
	loop_free(p.l);

	/* While it works: both ends are told, nothing leaks. */
	for (n = 0; n < 40; n++) {
		tlstest_ready(&p);
		wire_turns(p.l, 4);
		buf_pool_free();
		tlstest_write(&p.c, 40000, 5000);
		mem_fail_after(n);
		wire_turns(p.l, 10);
		mem_fail_after(MEM_NO_FAIL);
		assert_true(p.s.got.len == 40000 || p.s.err != 0);
		tlstest_close(&p);
	}
}

/*
 * Without memory for records of our own mbedTLS goes on, and nobody notices; without memory for
 * more both are told.
 */
static void
a_handshake_short_of_memory_is_done_or_told(void **state)
{
	struct tlstest p;
	unsigned done = 0;

	(void)state;
	for (long n = 0; n < 120; n++) {
		tlstest_open(&p, "relay.test", tlstest_pem, NULL);
		buf_pool_free();
		mem_fail_after(n);
		wire_turns(p.l, 12);
		mem_fail_after(MEM_NO_FAIL);
		if (tlstest_both_ready(&p) && p.c.n_closed + p.s.n_closed == 0) {
			done++;
			p.c.want = p.s.want = 20000;
			tlstest_write(&p.c, 20000, 3000);
			tlstest_write(&p.s, 20000, 3000);
			assert_true(wire_run(p.l, 10000, tlstest_both_got, &p));
			tlstest_got(&p.c, 20000);
			tlstest_got(&p.s, 20000);
		} else {
			assert_true(p.c.n_closed > 0 && p.s.n_closed > 0);
		}
		tlstest_close(&p);
	}
	assert_true(done > 10);
}

/* mbedTLS's records: everything that does not ask for TLS 1.3 again. */
static int
setup_tls12(void **state)
{
	tlstest_tls12_only = true;
	return tlstest_setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_every_size_both_ways),
		cmocka_unit_test(works_one_byte_at_a_time),
		cmocka_unit_test(many_small_slices_make_one_record),
		cmocka_unit_test(nothing_leaves_before_a_flush),
		cmocka_unit_test(what_is_written_first_waits_for_the_handshake),
		cmocka_unit_test(a_paused_reader_bounds_memory),
		cmocka_unit_test(a_burst_does_not_hold_the_loop),
		cmocka_unit_test(shutdown_is_an_orderly_end_for_both),
		cmocka_unit_test(the_end_waits_for_a_paused_reader),
		cmocka_unit_test(an_end_without_close_notify_is_a_cut),
		cmocka_unit_test(what_came_before_the_connection_broke_is_delivered),
		cmocka_unit_test(may_be_freed_in_every_callback),
		cmocka_unit_test(a_socket_that_breaks_under_a_write_is_told_once),
		cmocka_unit_test(speaks_tls12_when_the_peer_knows_no_other),
		cmocka_unit_test(moves_to_another_loop),
		cmocka_unit_test(every_failed_allocation_ends_one_connection_only),
		cmocka_unit_test(a_handshake_short_of_memory_is_done_or_told),
	};
	const struct CMUnitTest tls12[] = {
		cmocka_unit_test(carries_every_size_both_ways),
		cmocka_unit_test(works_one_byte_at_a_time),
		cmocka_unit_test(nothing_leaves_before_a_flush),
		cmocka_unit_test(what_is_written_first_waits_for_the_handshake),
		cmocka_unit_test(a_paused_reader_bounds_memory),
		cmocka_unit_test(a_burst_does_not_hold_the_loop),
		cmocka_unit_test(shutdown_is_an_orderly_end_for_both),
		cmocka_unit_test(the_end_waits_for_a_paused_reader),
		cmocka_unit_test(an_end_without_close_notify_is_a_cut),
		cmocka_unit_test(what_came_before_the_connection_broke_is_delivered),
		cmocka_unit_test(may_be_freed_in_every_callback),
		cmocka_unit_test(a_socket_that_breaks_under_a_write_is_told_once),
		cmocka_unit_test(moves_to_another_loop),
		cmocka_unit_test(goes_on_after_its_buffers_were_given_back),
		cmocka_unit_test(every_failed_allocation_ends_one_connection_only),
		cmocka_unit_test(a_handshake_short_of_memory_is_done_or_told),
	};
	int failed = cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);

	return failed + cmocka_run_group_tests(tls12, setup_tls12, tlstest_teardown);
}
