/* SPDX-License-Identifier: ISC */
/*
 * mux_inner_test - a session inside a stream of another one: it keeps nothing that was sent, says
 * nothing by itself, and is otherwise as any.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/mux_int.h"
#include "test/unit/muxpair.h"

static const struct mux_config dialer = { .dialer = true, .endpoint = true, .inner = true };
static const struct mux_config acceptor = { .endpoint = true, .inner = true };

static const struct mux_stream *
ms_of(const struct side *x)
{
	return (const struct mux_stream *)x->s;
}

static void
what_was_sent_is_not_kept(void **state)
{
	struct net *n = net_new(&dialer, &acceptor);
	struct side x = { 0 };

	(void)state;
	net_agent(n)->hold_opened = true;
	assert_true(side_open(&x, net_client(n)));
	net_run(n);
	assert_int_equal(side_send(&x, 5000), 0);
	net_run(n);
	/* It has left, and nobody has taken it. */
	assert_int_equal(x.acked, 0);
	assert_int_equal(ms_of(&x)->to.sent, 5000);
	assert_int_equal(ms_of(&x)->out.len, 0);
	assert_int_equal(ms_of(&x)->to.charged, 0);
	side_fini(&x);
	net_free(n);
}

static void
bytes_ends_and_acknowledgements_are_as_in_any(void **state)
{
	static const int chunks[] = { NET_WHOLE, NET_RANDOM };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct net *n = net_new(&dialer, &acceptor);
		struct side x = { 0 }, *far = &net_agent(n)->side[0];

		n->chunk = chunks[i];
		assert_true(side_open(&x, net_client(n)));
		for (int k = 0; k < 50; k++) {
			assert_int_equal(side_send(&x, 20000), 0);
			net_run(n);
		}
		stream_eof(x.s);
		net_run(n);
		assert_true(side_check(far, 1000000));
		assert_true(far->eof);
		assert_int_equal(x.acked, 1000000);
		assert_true(x.acked_eof);
		stream_eof(far->s);
		net_run(n);
		assert_true(x.closed);
		assert_int_equal(x.code, CODE_OK);
		assert_int_equal(far->code, CODE_OK);
		side_fini(&x);
		net_free(n);
	}
}

/* Whoever finds no room because of what waits is told when that has left. */
static void
no_room_is_told_without_an_acknowledgement(void **state)
{
	struct budget none = { .max = 0 };
	struct mux_config poor = dialer;
	struct net *n;
	struct side x = { 0 };
	unsigned left;

	(void)state;
	poor.budget = poor.keep = &none;
	n = net_new(&poor, &acceptor);
	net_agent(n)->hold_opened = true;
	assert_true(side_open(&x, net_client(n)));
	net_run(n);
	net_client(n)->peer->stalled = net_client(n)->stalled = true;
	assert_int_equal(side_send(&x, FLOW_KEEP), 0);
	assert_int_equal(stream_room(x.s), 0);
	left = x.n_left;
	net_client(n)->peer->stalled = net_client(n)->stalled = false;
	net_run(n);
	assert_true(x.n_left > left);
	assert_int_equal(x.acked, 0);
	assert_true(stream_room(x.s) > 0);
	side_fini(&x);
	net_free(n);
}

static void
it_says_nothing_by_itself_and_never_dies_of_silence(void **state)
{
	struct net *n = net_new(&dialer, &acceptor);
	uint64_t said[2];

	(void)state;
	net_run(n);
	said[0] = net_client(n)->sent_bytes;
	said[1] = net_agent(n)->sent_bytes;
	assert_int_equal(session_deadline_us(net_client(n)->s), UINT64_MAX);
	net_wait(n, 24 * 3600 * 1000);
	assert_int_equal(net_client(n)->err, 0);
	assert_int_equal(net_agent(n)->err, 0);
	assert_int_equal(net_client(n)->sent_bytes, said[0]);
	assert_int_equal(net_agent(n)->sent_bytes, said[1]);
	net_free(n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sent_is_not_kept),
		cmocka_unit_test(bytes_ends_and_acknowledgements_are_as_in_any),
		cmocka_unit_test(no_room_is_told_without_an_acknowledgement),
		cmocka_unit_test(it_says_nothing_by_itself_and_never_dies_of_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
