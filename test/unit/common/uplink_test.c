/* SPDX-License-Identifier: ISC */
/*
 * uplink_test - a session with the relay: dialled, greeted, lost, dialled again, refused.
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

/* ---- up ---- */

static void
it_dials_greets_and_is_up(void **state)
{
	struct errtext why = { "" };
	struct fake_session *f;

	(void)state;
	make(CTL_AGENT);
	assert_int_equal(x.wait_ms, 0);
	assert_int_equal(x.n_dials, 0);
	assert_false(uplink_has_session(x.k));
	assert_null(open_one(&why));
	assert_string_equal(why.s, "there is no connection to ws://relay.test");

	stand();
	f = x.s[0];
	assert_int_equal(x.n_dials, 1);
	assert_int_equal(x.n_ready, 1);
	assert_int_equal(x.n_up, 0);
	assert_true(f->greeted);
	assert_int_equal(f->hello.version, CTL_VERSION);
	assert_int_equal(f->hello.role, CTL_AGENT);
	assert_int_equal(f->hello.keepalive_ms, 4321);
	assert_string_equal(f->hello.name, "pi");
	assert_string_equal(f->hello.secret, "sesame");
	assert_string_equal(f->hello.software, "tunnel/" VERSION);
	assert_memory_equal(f->hello.instance, x.cfg.instance, CTL_TOKEN_LEN);
	assert_true(f->dialled.dialer);
	assert_true(f->dialled.endpoint);
	assert_int_equal(f->dialled.keepalive_ms, 4321);
	assert_int_equal(f->dialled.window_max, 777777);
	assert_ptr_equal(f->dialled.budget, &x.cfg.memory);
	assert_ptr_equal(f->dialled.keep, &x.cfg.keep);
	assert_int_equal(f->dialled.client_max, 55);
	/* Nothing waits for a round trip. */
	assert_true(uplink_has_session(x.k));
	assert_false(uplink_is_up(x.k));
	assert_int_equal(uplink_streams(x.k), 0);
	assert_non_null(open_one(&why));
	assert_int_equal(uplink_streams(x.k), 1);

	assert_int_equal(fake_hello(f, CTL_RELAY, "", "", 1), SESSION_GO_ON);
	assert_int_equal(x.n_up, 1);
	assert_true(uplink_is_up(x.k));
	assert_true(uplink_has_session(x.k));
	fake_open(f, "ssh");
	assert_int_equal(x.n_open, 1);
	assert_int_equal(uplink_streams(x.k), 2);
	f->s.user->idle(f->s.arg);
	assert_int_equal(x.n_idle, 1);
	assert_int_equal(x.n_down, 0);
	/* Without a goodbye of ours an idle session stands. */
	mem_settle(x.l);
	assert_false(f->freed);
	assert_int_equal(x.n_down, 0);
}

static void
what_is_no_relay_is_left(void **state)
{
	(void)state;
	make(CTL_AGENT);
	stand();
	assert_int_equal(fake_hello(x.s[0], CTL_AGENT, "", "", 1), SESSION_REFUSED);
	assert_int_equal(x.s[0]->away_code, CODE_PROTOCOL);
	assert_int_equal(x.n_up, 0);
	assert_false(uplink_is_up(x.k));
}

/* ---- lost, and dialled again ---- */

static void
the_wait_doubles_up_to_its_bound(void **state)
{
	static const uint64_t wait[] = { 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };

	(void)state;
	/* Half of it is chance: all of that, none, or none for want of random numbers. */
	for (int how = 0; how < 3; how++) {
		if (how > 0) {
			teardown(state);
			setup(state);
		}
		x.chance = how == 1 ? 0 : UINT64_MAX;
		x.no_chance = how == 2;
		make(CTL_CONNECT);
		for (size_t i = 0; i < sizeof wait / sizeof wait[0]; i++) {
			dial_fails();
			assert_int_equal(x.below, wait[i] / 2 + 1);
			assert_int_equal(x.wait_ms, how == 0 ? wait[i] : wait[i] / 2);
			assert_int_equal(x.next_ms, x.wait_ms);
			assert_int_equal(x.n_down, i + 1);
			assert_int_equal(x.err, ERR_CLOSED);
			assert_string_equal(x.text, "nobody is there");
			assert_false(uplink_has_session(x.k));
		}
	}
}

static void
what_the_relay_asks_for_is_added_once_and_bounded(void **state)
{
	(void)state;
	x.chance = 0;
	make(CTL_AGENT);
	x.asked_ms = 29999;
	dial_fails();
	assert_int_equal(x.wait_ms, 250 + 29999);
	x.asked_ms = 0;
	dial_fails();
	assert_int_equal(x.wait_ms, 500);
	x.asked_ms = 3600000;
	dial_fails();
	assert_int_equal(x.wait_ms, 1000 + 30000);
	/* A session that is lost has asked for nothing. */
	x.asked_ms = 0;
	come_up();
	hang_up(0);
	assert_int_equal(x.wait_ms, 2000);
}

static void
a_session_that_lasted_starts_the_waits_anew(void **state)
{
	(void)state;
	x.chance = 0;
	make(CTL_AGENT);
	dial_fails();
	dial_fails();
	/* Half of what counts as a success. */
	come_up();
	x.skew_ms += UPLINK_LASTED_MS / 2;
	hang_up(0);
	assert_int_equal(x.wait_ms, 1000);
	assert_int_equal(x.n_down, 3);
	assert_int_equal(x.err, ERR_EOF);
	come_up();
	x.skew_ms += UPLINK_LASTED_MS;
	hang_up(1);
	assert_int_equal(x.wait_ms, 250);
	/* What only stood, and was never let in, is no success. */
	stand();
	x.skew_ms += UPLINK_LASTED_MS;
	hang_up(2);
	assert_int_equal(x.wait_ms, 500);
}

static void
the_end_of_a_session_ends_its_streams_and_says_why(void **state)
{
	struct fake_session *f;

	(void)state;
	make(CTL_AGENT);
	f = come_up();
	fake_open(f, "ssh");
	memfilter_cut(x.far[0]);
	mem_settle(x.l);
	assert_int_equal(x.err, ERR_CLOSED);
	assert_true(f->stream[0]->over);
	assert_int_equal(f->stream[0]->code, CODE_LOST);
	/* The relay's own words, if it had any, are the reason. */
	f = come_up();
	fake_open(f, "ssh");
	goodbye(f, CODE_INTERNAL, "no memory");
	assert_int_equal(x.n_away, 0);
	hang_up(1);
	assert_string_equal(x.text, "no memory");
	assert_string_equal(f->stream[0]->text, "no memory");
	assert_int_equal(x.n_refused, 0);
	/* They are of that session, not of the next. */
	come_up();
	hang_up(2);
	assert_string_equal(x.text, "the relay closed the connection");
}

static void
what_cannot_begin_is_tried_again(void **state)
{
	(void)state;
	make(CTL_AGENT);
	x.no_dial = true;
	fire();
	assert_int_equal(x.n_down, 1);
	assert_int_equal(x.err, ERR_NOMEM);
	assert_true(x.due);
	x.no_dial = false;
	assert_int_equal(x.n_dials, 1);
	come_up();
	assert_int_equal(x.n_up, 1);
}

/* Each allocation between the WebSocket and our HELLO fails once. */
static void
without_memory_for_a_session_it_is_lost(void **state)
{
	int n_failed = 0;

	(void)state;
	for (long n = 0; x.n_ready == 0; n++) {
		struct filter *f[2];

		make(CTL_AGENT);
		fire();
		x.dialling = false;
		assert_true(memfilter_pair(x.l, f));
		mem_fail_after(n);
		x.dialled(x.dialled_arg, f[0], 0, "");
		mem_fail_after(MEM_NO_FAIL);
		if (x.n_ready == 0) {
			n_failed++;
			assert_int_equal(x.n_down, 1);
			assert_int_equal(x.err, ERR_NOMEM);
			assert_true(fake_last->freed);
		}
		x.far[0] = f[1];
		x.s[0] = fake_last;
		x.n = 1;
		if (x.n_ready == 0) {
			mem_settle(x.l);
			teardown(state);
			setup(state);
		}
	}
	assert_true(n_failed > 0);
}

static struct session *
dial_none(const struct mux_config *cfg, uint64_t now)
{
	(void)cfg;
	(void)now;
	return NULL;
}

static void
without_a_session_the_connection_is_closed(void **state)
{
	static struct dialect none;
	struct sink sink = { 0 };

	(void)state;
	none = dialect_fake;
	none.dial = dial_none;
	x.cfg.target.dialect = &none;
	make(CTL_AGENT);
	stand();
	filter_set_user(x.far[0], &sink_user, &sink);
	mem_settle(x.l);
	assert_int_equal(x.err, ERR_NOMEM);
	assert_int_equal(sink.n_closed, 1);
	assert_true(x.due);
}

static struct session *
dial_mute(const struct mux_config *cfg, uint64_t now)
{
	struct session *s = dialect_fake.dial(cfg, now);

	fake_last->fail_greet = ERR_NOMEM;
	return s;
}

static void
a_greeting_that_cannot_be_said_is_a_loss(void **state)
{
	static struct dialect mute;

	(void)state;
	mute = dialect_fake;
	mute.dial = dial_mute;
	x.cfg.target.dialect = &mute;
	make(CTL_AGENT);
	stand();
	assert_int_equal(x.n_ready, 0);
	assert_int_equal(x.err, ERR_NOMEM);
	assert_true(x.due);
	assert_false(uplink_has_session(x.k));
}

/* ---- refused ---- */

static void
a_refusal_is_the_owners_to_judge(void **state)
{
	static const uint32_t codes[] = { CODE_DENIED, CODE_REPLACED, CODE_REVOKED, CODE_LIMIT };
	struct fake_session *f;

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		make(CTL_AGENT);
		stand();
		f = x.s[0];
		goodbye(f, codes[i], "not you");
		assert_int_equal(x.n_refused, 0);
		hang_up(0);
		assert_int_equal(x.n_refused, 1);
		assert_int_equal(x.code, codes[i]);
		assert_string_equal(x.text, "not you");
		assert_int_equal(x.n_down, 0);
		assert_true(f->freed);
		assert_false(x.due);
		assert_false(uplink_has_session(x.k));
		teardown(state);
		setup(state);
	}
	/* With its streams, which learn it after the owner. */
	x.again = true;
	make(CTL_AGENT);
	f = come_up();
	fake_open(f, "ssh");
	goodbye(f, CODE_REVOKED, "no more");
	hang_up(0);
	assert_int_equal(x.n_refused, 1);
	assert_int_equal(f->stream[0]->code, CODE_REVOKED);
	assert_string_equal(f->stream[0]->text, "no more");
	/* It comes back late. */
	assert_true(x.due);
	assert_int_equal(x.wait_ms, UPLINK_BACKOFF_MAX_MS);
	come_up();
	assert_int_equal(x.n_up, 2);
}

static void
trouble_of_the_moment_is_no_refusal(void **state)
{
	static const uint32_t codes[] = { CODE_OK, CODE_INTERNAL, CODE_TIMEOUT };

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		make(CTL_AGENT);
		stand();
		/* Before we are up a goodbye is no reason to have two sessions. */
		goodbye(x.s[0], codes[i], "later");
		assert_int_equal(x.n_away, 0);
		hang_up(0);
		assert_int_equal(x.n_refused, 0);
		assert_int_equal(x.n_down, 1);
		assert_string_equal(x.text, "later");
		assert_true(x.due);
		teardown(state);
		setup(state);
	}
}

/* ---- requests ---- */

static int
ask(const char *body)
{
	return uplink_control(x.k, body, strlen(body));
}

static void
only_a_relay_that_can_answer_is_asked(void **state)
{
	struct fake_session *f;

	(void)state;
	make(CTL_AGENT);
	assert_int_equal(ask("{\"id\":1}"), ERR_CLOSED);
	stand();
	f = x.s[0];
	f->abilities = CTL_CAN_PUBLISH;
	/* It has not said what it can. */
	assert_int_equal(ask("{\"id\":2}"), ERR_CLOSED);
	assert_int_equal(fake_hello(f, CTL_RELAY, "", "", 1), SESSION_GO_ON);
	assert_int_equal(f->n_control, 0);
	assert_int_equal(ask("{\"id\":3}"), 0);
	assert_int_equal(f->n_control, 1);
	assert_string_equal(f->control, "{\"id\":3}");
	hang_up(0);
	assert_int_equal(ask("{\"id\":4}"), ERR_CLOSED);
	/* The next relay is an older one. */
	f = come_up();
	assert_int_equal(ask("{\"id\":5}"), ERR_CLOSED);
	assert_int_equal(f->n_control, 0);
}

static void
what_the_relay_says_of_requests_is_the_owners(void **state)
{
	struct fake_session *f;

	(void)state;
	make(CTL_AGENT);
	f = come_up();
	f->s.user->control(f->s.arg, "{\"id\":1}...", 8);
	assert_int_equal(x.n_control, 1);
	assert_string_equal(x.control, "{\"id\":1}");
	/* From a session that leaves it is no news: the next one is asked anew. */
	x.skew_ms += UPLINK_LASTED_MS;
	fake_open(f, "ssh");
	goodbye(f, CODE_OK, "restart");
	assert_int_equal(x.n_away, 1);
	f->s.user->control(f->s.arg, "{\"id\":2}", 8);
	assert_int_equal(x.n_control, 1);
	assert_int_equal(ask("{\"id\":3}"), ERR_CLOSED);
}

static void
without_a_listener_requests_are_dropped(void **state)
{
	struct uplink_user deaf = user;
	struct fake_session *f;

	(void)state;
	deaf.control = NULL;
	x.making = true;
	x.k = uplink_new(x.l, &x.cfg, CTL_CONNECT, "pi", &deaf, &x);
	x.making = false;
	assert_non_null(x.k);
	f = come_up();
	f->s.user->control(f->s.arg, "{\"id\":1}", 8);
	assert_int_equal(x.n_control, 0);
	assert_true(uplink_is_up(x.k));
	/* deaf does not outlive this test. */
	uplink_free(x.k, CODE_GONE, "the end");
	x.k = NULL;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- the other dialect ---- */

static struct dialect other;

static void
offer_other(void)
{
	other = dialect_fake;
	x.cfg.other = &other;
	snprintf(x.cfg.other_path, sizeof x.cfg.other_path, "/other");
	snprintf(x.cfg.target.url.target, sizeof x.cfg.target.url.target, "/");
}

/* The dial that is under way is refused with that status. */
static void
refused_by(int status, const char *text)
{
	assert_true(x.dialling);
	x.dialling = false;
	x.status = status;
	x.dialled(x.dialled_arg, NULL, ERR_DENIED, text);
}

static void
where_native_is_not_served_the_other_dialect_is_tried_at_once(void **state)
{
	static const int status[] = { 403, 404 };

	for (size_t i = 0; i < sizeof status / sizeof status[0]; i++) {
		if (i > 0) {
			teardown(state);
			setup(state);
		}
		offer_other();
		make(CTL_AGENT);
		fire();
		refused_by(status[i], "not here");
		assert_int_equal(x.n_down, 0);
		assert_ptr_equal(x.cfg.target.dialect, &other);
		assert_string_equal(x.cfg.target.url.target, "/other");
		/* A failure of another kind says nothing about what is served. */
		assert_true(x.dialling);
		x.dialling = false;
		x.status = 0;
		x.dialled(x.dialled_arg, NULL, ERR_CLOSED, "gone");
		assert_int_equal(x.n_down, 1);
		assert_ptr_equal(x.cfg.target.dialect, &other);
	}
}

static void
where_neither_is_served_native_is_what_counts(void **state)
{
	(void)state;
	offer_other();
	make(CTL_CONNECT);
	for (int i = 1; i <= 3; i++) {
		fire();
		refused_by(404, "nothing native");
		refused_by(403, "nothing else");
		assert_int_equal(x.n_down, i);
		assert_string_equal(x.text, "nothing native");
		assert_ptr_equal(x.cfg.target.dialect, &dialect_fake);
		assert_string_equal(x.cfg.target.url.target, "/");
	}
	assert_int_equal(x.n_dials, 6);
}

static void
other_refusals_and_a_dialect_that_was_chosen_are_final(void **state)
{
	static const int status[] = { 0, 401, 407, 500, 503 };

	(void)state;
	offer_other();
	make(CTL_AGENT);
	for (size_t i = 0; i < sizeof status / sizeof status[0]; i++) {
		fire();
		refused_by(status[i], "no");
		assert_int_equal(x.n_down, i + 1);
		assert_ptr_equal(x.cfg.target.dialect, &dialect_fake);
	}
	x.cfg.other = NULL;
	fire();
	refused_by(404, "no");
	assert_ptr_equal(x.cfg.target.dialect, &dialect_fake);
	assert_int_equal(x.n_dials, 6);
}

static void
the_login_says_what_went_wrong_and_whose_relay_it_is(void **state)
{
	(void)state;
	x.ours = true;
	make(CTL_AGENT);
	dial_fails();
	come_up();
	assert_string_equal(x.s[0]->hello.last_error, "nobody is there");
	assert_true(x.s[0]->dialled.ours);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_dials_greets_and_is_up),
		T(what_is_no_relay_is_left),
		T(the_wait_doubles_up_to_its_bound),
		T(what_the_relay_asks_for_is_added_once_and_bounded),
		T(a_session_that_lasted_starts_the_waits_anew),
		T(the_end_of_a_session_ends_its_streams_and_says_why),
		T(what_cannot_begin_is_tried_again),
		T(without_memory_for_a_session_it_is_lost),
		T(without_a_session_the_connection_is_closed),
		T(a_greeting_that_cannot_be_said_is_a_loss),
		T(a_refusal_is_the_owners_to_judge),
		T(trouble_of_the_moment_is_no_refusal),
		T(only_a_relay_that_can_answer_is_asked),
		T(what_the_relay_says_of_requests_is_the_owners),
		T(without_a_listener_requests_are_dropped),
		T(where_native_is_not_served_the_other_dialect_is_tried_at_once),
		T(where_neither_is_served_native_is_what_counts),
		T(other_refusals_and_a_dialect_that_was_chosen_are_final),
		T(the_login_says_what_went_wrong_and_whose_relay_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
