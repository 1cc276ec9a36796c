/* SPDX-License-Identifier: ISC */
/*
 * uplink_leave_test - an uplink whose relay goes, and the end of an uplink.
 *
 * link: -Wl,--wrap=dialer_start,--wrap=dialer_cancel,--wrap=dialer_wait_ms
 * link: -Wl,--wrap=dialer_status,--wrap=dialer_is_ours
 * link: -Wl,--wrap=rand_below,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/uplinkfix.h"
#include "test/unit/heap.h"

/* ---- left ---- */

static void
a_relay_that_goes_is_left_for_the_next(void **state)
{
	struct fake_session *old, *f;

	(void)state;
	make(CTL_AGENT);
	old = come_up();
	fake_open(old, "ssh");
	x.skew_ms += UPLINK_LASTED_MS;
	goodbye(old, CODE_OK, "restart");
	assert_int_equal(x.n_away, 1);
	assert_string_equal(x.text, "restart");
	assert_int_equal(x.n_down, 0);
	assert_int_equal(x.below, UPLINK_LEAVE_SPREAD_MS);
	assert_int_equal(x.wait_ms, UPLINK_LEAVE_SPREAD_MS - 1);
	assert_false(uplink_is_up(x.k));
	assert_int_equal(uplink_streams(x.k), 0);
	/* What was under way when it was said still comes. */
	fake_open(old, "ssh");
	assert_int_equal(x.n_open, 2);
	f = come_up();
	assert_ptr_not_equal(f, old);
	/* The old one stays until its last stream has gone, which is not the new one's end. */
	fake_end(old->stream[0], CODE_OK, "");
	mem_settle(x.l);
	assert_false(old->freed);
	fake_end(old->stream[1], CODE_OK, "");
	old->s.user->idle(old->s.arg);
	mem_settle(x.l);
	hang_up(0);
	assert_true(old->freed);
	assert_int_equal(x.n_idle, 0);
	assert_int_equal(x.n_down, 0);
	assert_true(uplink_is_up(x.k));
	/* The next end has its own reason again. */
	hang_up(1);
	assert_string_equal(x.text, "the relay closed the connection");
}

static void
clients_come_after_agents_and_nobody_twice_at_once(void **state)
{
	(void)state;
	make(CTL_CONNECT);
	come_up();
	x.skew_ms += UPLINK_LASTED_MS;
	x.chance = 0;
	goodbye(x.s[0], CODE_OK, "restart");
	assert_int_equal(x.wait_ms, UPLINK_LEAVE_SPREAD_MS);
	/* The next relay says it at once: this is no success, and the waits grow. */
	come_up();
	goodbye(x.s[1], CODE_OK, "restart");
	assert_int_equal(x.wait_ms, 250);
	come_up();
	goodbye(x.s[2], CODE_OK, "restart");
	assert_int_equal(x.wait_ms, 500);
}

static void
without_chance_it_leaves_at_once(void **state)
{
	(void)state;
	x.no_chance = true;
	make(CTL_AGENT);
	come_up();
	x.skew_ms += UPLINK_LASTED_MS;
	goodbye(x.s[0], CODE_OK, "restart");
	assert_int_equal(x.wait_ms, 0);
}

static void
a_session_without_streams_leaves_at_once(void **state)
{
	struct sink sink = { 0 };

	(void)state;
	make(CTL_AGENT);
	come_up();
	filter_set_user(x.far[0], &sink_user, &sink);
	goodbye(x.s[0], CODE_OK, "restart");
	mem_settle(x.l);
	assert_int_equal(sink.n_closed, 1);
	hang_up(0);
	assert_true(x.s[0]->freed);
}

static void
the_oldest_of_too_many_is_cut_off(void **state)
{
	(void)state;
	make(CTL_AGENT);
	for (int i = 0; i < UPLINK_LEAVING_MAX + 1; i++) {
		struct fake_session *f = come_up();

		fake_open(f, "ssh");
		goodbye(f, CODE_OK, "restart");
		assert_int_equal(x.s[0]->stream[0]->over, i == UPLINK_LEAVING_MAX);
	}
	assert_int_equal(x.s[0]->stream[0]->code, CODE_LOST);
	assert_false(x.s[1]->stream[0]->over);
	/* One that ends by itself makes room. */
	hang_up(1);
	assert_int_equal(x.s[1]->stream[0]->code, CODE_LOST);
	fake_open(come_up(), "ssh");
	goodbye(x.s[5], CODE_OK, "restart");
	assert_false(x.s[2]->stream[0]->over);
}

static void
the_owner_may_stay(void **state)
{
	(void)state;
	x.leave = false;
	make(CTL_CONNECT);
	come_up();
	goodbye(x.s[0], CODE_OK, "restart");
	assert_int_equal(x.n_away, 1);
	assert_false(x.due);
	assert_true(uplink_is_up(x.k));
	assert_false(uplink_has_session(x.k));
	hang_up(0);
	assert_string_equal(x.text, "restart");
	assert_true(x.due);
}

/* ---- ended ---- */

static void
a_finish_without_a_session_is_the_end(void **state)
{
	(void)state;
	/* While it waits, and while it dials. */
	for (int dialling = 0; dialling < 2; dialling++) {
		make(CTL_AGENT);
		if (dialling) {
			fire();
		} else {
			dial_fails();
			x.n_down = 0;
		}
		uplink_finish(x.k, "signal");
		assert_int_equal(x.n_down, 1);
		assert_int_equal(x.err, ERR_EOF);
		assert_string_equal(x.text, "signal");
		assert_int_equal(x.next_ms, 0);
		assert_int_equal(x.n_cancelled, dialling);
		assert_false(x.due);
		assert_false(x.dialling);
		teardown(state);
		setup(state);
	}
}

static void
a_finish_waits_for_streams(void **state)
{
	struct sink sink = { 0 };
	struct fake_session *f;

	(void)state;
	make(CTL_AGENT);
	f = come_up();
	filter_set_user(x.far[0], &sink_user, &sink);
	fake_open(f, "ssh");
	uplink_finish(x.k, "signal");
	assert_int_equal(f->n_away, 1);
	assert_int_equal(f->away_code, CODE_OK);
	assert_string_equal(f->away_text, "signal");
	mem_settle(x.l);
	assert_int_equal(sink.n_closed, 0);
	assert_int_equal(x.n_down, 0);
	/* A goodbye of the relay meanwhile changes nothing, whatever it says. */
	goodbye(f, CODE_OK, "me too");
	assert_int_equal(x.n_away, 0);
	fake_end(f->stream[0], CODE_OK, "");
	f->s.user->idle(f->s.arg);
	mem_settle(x.l);
	assert_int_equal(sink.n_closed, 1);
	hang_up(0);
	assert_int_equal(x.n_down, 1);
	assert_int_equal(x.err, ERR_EOF);
	assert_false(x.due);
}

static void
a_finish_without_streams_goes_at_once(void **state)
{
	struct sink sink = { 0 };

	(void)state;
	make(CTL_AGENT);
	come_up();
	filter_set_user(x.far[0], &sink_user, &sink);
	uplink_finish(x.k, "signal");
	mem_settle(x.l);
	assert_int_equal(sink.n_closed, 1);
	/* Not even a refusal is one now. */
	x.s[0]->s.user->goaway(x.s[0]->s.arg, CODE_DENIED, "no");
	hang_up(0);
	assert_int_equal(x.n_refused, 0);
	assert_int_equal(x.n_down, 1);
	assert_int_equal(x.err, ERR_EOF);
}

static void
a_finish_for_a_refusal_is_the_end(void **state)
{
	(void)state;
	x.again = true;
	x.finish_when_refused = true;
	make(CTL_AGENT);
	come_up();
	goodbye(x.s[0], CODE_LIMIT, "too many");
	hang_up(0);
	assert_int_equal(x.n_refused, 1);
	assert_int_equal(x.n_down, 1);
	assert_int_equal(x.err, ERR_EOF);
	assert_false(x.due);
}

static void
a_finish_waits_for_sessions_that_leave(void **state)
{
	(void)state;
	/* The session that counts ends first, or last. */
	for (int first = 0; first < 2; first++) {
		make(CTL_AGENT);
		fake_open(come_up(), "ssh");
		goodbye(x.s[0], CODE_OK, "restart");
		come_up();
		uplink_finish(x.k, "signal");
		hang_up(first);
		assert_int_equal(x.n_down, 0);
		hang_up(!first);
		assert_int_equal(x.n_down, 1);
		assert_int_equal(x.err, ERR_EOF);
		teardown(state);
		setup(state);
	}
	/* There is none that counts. */
	make(CTL_AGENT);
	fake_open(come_up(), "ssh");
	goodbye(x.s[0], CODE_OK, "restart");
	uplink_finish(x.k, "signal");
	assert_int_equal(x.n_down, 0);
	hang_up(0);
	assert_int_equal(x.n_down, 1);
}

static void
a_free_ends_everything_with_its_reason(void **state)
{
	struct fake_session *old, *f;

	(void)state;
	make(CTL_AGENT);
	old = come_up();
	fake_open(old, "ssh");
	goodbye(old, CODE_OK, "restart");
	f = come_up();
	fake_open(f, "ssh");
	uplink_free(x.k, CODE_GONE, "the agent ends");
	x.k = NULL;
	assert_int_equal(old->stream[0]->code, CODE_GONE);
	assert_int_equal(f->stream[0]->code, CODE_GONE);
	assert_string_equal(f->stream[0]->text, "the agent ends");
	assert_int_equal(x.n_down, 0);

	make(CTL_AGENT);
	assert_int_equal(x.n_cancelled, 0);
	x.retry->fn(x.k);
	uplink_free(x.k, CODE_GONE, "");
	x.k = NULL;
	assert_int_equal(x.n_cancelled, 1);
	uplink_free(NULL, CODE_GONE, "");
}

static void
without_memory_there_is_none(void **state)
{
	(void)state;
	mem_fail_after(0);
	assert_null(uplink_new(x.l, &x.cfg, CTL_AGENT, "pi", &user, &x));
	mem_fail_after(MEM_NO_FAIL);
}

static void
round_trip(void)
{
	setup(NULL);
	make(CTL_AGENT);
	fake_open(come_up(), "ssh");
	goodbye(x.s[0], CODE_OK, "restart");
	come_up();
	hang_up(0);
	teardown(NULL);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_relay_that_goes_is_left_for_the_next),
		T(clients_come_after_agents_and_nobody_twice_at_once),
		T(without_chance_it_leaves_at_once),
		T(a_session_without_streams_leaves_at_once),
		T(the_oldest_of_too_many_is_cut_off),
		T(the_owner_may_stay),
		T(a_finish_without_a_session_is_the_end),
		T(a_finish_waits_for_streams),
		T(a_finish_without_streams_goes_at_once),
		T(a_finish_for_a_refusal_is_the_end),
		T(a_finish_waits_for_sessions_that_leave),
		T(a_free_ends_everything_with_its_reason),
		T(without_memory_there_is_none),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
