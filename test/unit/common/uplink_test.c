/* SPDX-License-Identifier: ISC */
/*
 * uplink_test - a session with a relay that is the test: dialled, greeted, lost, dialled again,
 * refused, left, ended.
 *
 * link: -Wl,--wrap=dialer_start,--wrap=dialer_cancel,--wrap=dialer_wait_ms
 * link: -Wl,--wrap=rand_below,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/common/uplink.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/version.h"
#include "test/unit/fakesession.h"
#include "test/unit/memfilter.h"

struct dialer *__wrap_dialer_start(
    struct loop *l, const struct dialer_target *t, dialer_fn *fn, void *arg);
void __wrap_dialer_cancel(struct dialer *d);
uint64_t __wrap_dialer_wait_ms(const struct dialer *d);
int __wrap_rand_below(uint64_t n, uint64_t *out);
uint64_t __wrap_loop_now_ms(struct loop *l);
uint64_t __real_loop_now_ms(struct loop *l);
void __wrap_timer_set(struct timer *t, uint64_t ms);
void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_cancel(struct timer *t);
void __real_timer_cancel(struct timer *t);

enum { SESSIONS = 8 };

static struct fix {
	struct loop *l;
	struct uplink_config cfg;
	struct uplink *k;
	/* The dial that is under way. */
	bool dialling;
	dialer_fn *dialled;
	void *dialled_arg;
	int n_dials, n_cancelled;
	/* Given by the test: dials cannot begin; what the relay asks for; chance; the clock. */
	bool no_dial, no_chance;
	uint64_t asked_ms, chance, skew_ms;
	/* The next dial: when, by its timer, which the test fires. */
	struct timer *retry;
	bool making, due;
	uint64_t wait_ms, below;
	/* The relay's ends, and their sessions, in the order they were dialled. */
	struct filter *far[SESSIONS];
	struct fake_session *s[SESSIONS];
	int n;
	/* What the owner was told, and answers. */
	int n_ready, n_up, n_down, n_away, n_refused, n_open, n_idle;
	int err;
	char text[256];
	uint64_t next_ms;
	uint32_t code;
	bool leave, again;
} x;

/* ---- what the uplink stands on ---- */

struct dialer *
__wrap_dialer_start(struct loop *l, const struct dialer_target *t, dialer_fn *fn, void *arg)
{
	assert_ptr_equal(l, x.l);
	assert_ptr_equal(t, &x.cfg.target);
	assert_false(x.dialling);
	x.n_dials++;
	x.dialled = fn;
	x.dialled_arg = arg;
	x.dialling = !x.no_dial;
	return x.no_dial ? NULL : (struct dialer *)&x;
}

void
__wrap_dialer_cancel(struct dialer *d)
{
	if (d == NULL)
		return;
	assert_true(x.dialling);
	x.dialling = false;
	x.n_cancelled++;
}

uint64_t
__wrap_dialer_wait_ms(const struct dialer *d)
{
	assert_ptr_equal(d, &x);
	return x.asked_ms;
}

int
__wrap_rand_below(uint64_t n, uint64_t *out)
{
	x.below = n;
	*out = x.chance < n ? x.chance : n - 1;
	return x.no_chance ? ERR_SYS : 0;
}

uint64_t
__wrap_loop_now_ms(struct loop *l)
{
	return __real_loop_now_ms(l) + x.skew_ms;
}

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	if (x.making && x.retry == NULL)
		x.retry = t;
	if (t != x.retry) {
		__real_timer_set(t, ms);
		return;
	}
	x.due = true;
	x.wait_ms = ms;
}

void
__wrap_timer_cancel(struct timer *t)
{
	if (t == x.retry)
		x.due = false;
	__real_timer_cancel(t);
}

/* ---- its owner ---- */

static void
on_ready(void *arg)
{
	(void)arg;
	x.n_ready++;
}

static void
on_up(void *arg)
{
	(void)arg;
	x.n_up++;
}

static void
on_down(void *arg, int err, const char *text, uint64_t next_ms)
{
	(void)arg;
	x.n_down++;
	x.err = err;
	snprintf(x.text, sizeof x.text, "%s", text);
	x.next_ms = next_ms;
}

static bool
on_away(void *arg, const char *text)
{
	(void)arg;
	x.n_away++;
	snprintf(x.text, sizeof x.text, "%s", text);
	return x.leave;
}

static bool
on_refused(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	x.n_refused++;
	x.code = code;
	snprintf(x.text, sizeof x.text, "%s", text);
	return x.again;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	(void)s;
	assert_string_equal(o->service, "ssh");
	x.n_open++;
}

static void
on_idle(void *arg)
{
	(void)arg;
	x.n_idle++;
}

static const struct uplink_user user = { on_ready, on_up, on_down, on_away, on_refused, on_open,
	on_idle };

/* ---- the set-up ---- */

static void
make(enum ctl_role role)
{
	x.making = true;
	x.k = uplink_new(x.l, &x.cfg, role, "pi", &user, &x);
	x.making = false;
	assert_non_null(x.k);
}

static int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .l = loop_new(), .chance = UINT64_MAX, .leave = true };
	x.cfg.target.dialect = &dialect_fake;
	x.cfg.secret = secret_new("sesame", 6);
	x.cfg.keepalive_ms = 4321;
	x.cfg.max_window = 777777;
	x.cfg.client_max = 55;
	memset(x.cfg.instance, 7, sizeof x.cfg.instance);
	snprintf(x.cfg.relay, sizeof x.cfg.relay, "ws://relay.test");
	return 0;
}

static void
free_far(int i)
{
	if (x.far[i] != NULL)
		filter_free(x.far[i]);
	x.far[i] = NULL;
}

static int
teardown(void **state)
{
	(void)state;
	uplink_free(x.k, CODE_GONE, "the end");
	for (int i = 0; i < x.n; i++)
		free_far(i);
	mem_settle(x.l);
	loop_free(x.l);
	for (int i = 0; i < x.n; i++)
		assert_true(x.s[i] == NULL || x.s[i]->freed);
	secret_free(x.cfg.secret);
	fake_free_all();
	buf_pool_free();
	return 0;
}

/* ---- what happens to it ---- */

/* The time for the next dial has come. */
static void
fire(void)
{
	assert_true(x.due);
	x.due = false;
	x.retry->fn(x.retry->arg);
}

static void
dial_fails(void)
{
	fire();
	assert_true(x.dialling);
	x.dialling = false;
	x.dialled(x.dialled_arg, NULL, ERR_CLOSED, "nobody is there");
}

/* The WebSocket stands. */
static void
stand(void)
{
	struct filter *f[2];

	fire();
	assert_true(x.dialling);
	x.dialling = false;
	assert_true(memfilter_pair(x.l, f));
	assert_true(x.n < SESSIONS);
	x.far[x.n] = f[1];
	fake_last = NULL;
	x.dialled(x.dialled_arg, f[0], 0, "");
	x.s[x.n++] = fake_last;
}

/* And the relay has let us in. */
static struct fake_session *
come_up(void)
{
	struct fake_session *f;

	stand();
	f = x.s[x.n - 1];
	assert_int_equal(fake_hello(f, CTL_RELAY, "", "", 1), SESSION_GO_ON);
	return f;
}

static void
goodbye(struct fake_session *f, uint32_t code, const char *text)
{
	f->s.going = true;
	f->s.user->goaway(f->s.arg, code, text);
}

/* The connection of session i ends. */
static void
hang_up(int i)
{
	free_far(i);
	mem_settle(x.l);
}

static void
on_stream_closed(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
}

static const struct stream_user nobody = { .closed = on_stream_closed };

static struct stream *
open_one(struct errtext *why)
{
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" };

	return uplink_open(x.k, &o, &nobody, NULL, why);
}

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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
		T(a_relay_that_goes_is_left_for_the_next),
		T(clients_come_after_agents_and_nobody_twice_at_once),
		T(without_chance_it_leaves_at_once),
		T(a_session_without_streams_leaves_at_once),
		T(the_oldest_of_too_many_is_cut_off),
		T(the_owner_may_stay),
		T(a_finish_without_a_session_is_the_end),
		T(a_finish_waits_for_streams),
		T(a_finish_without_streams_goes_at_once),
		T(a_finish_waits_for_sessions_that_leave),
		T(a_free_ends_everything_with_its_reason),
		T(without_memory_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
