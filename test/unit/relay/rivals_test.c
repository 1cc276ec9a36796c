/* SPDX-License-Identifier: ISC */
/*
 * rivals_test - a second agent whose protocol does not say that it was replaced.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/rivals.h"
#include "test/unit/handclock.h"
#include "test/unit/relaytest.h"

#define NOBODY "{\"edge-agents\":{\"other\":\"s\"},\"access-client-secrets\":[\"x\"]}"

struct fix {
	struct relay r;
	struct fake_session *old, *late;
};

/* A newcomer that waits for the answer of the one that is there. */
static int
setup(void **state)
{
	static struct fix x;

	relaytest_init(&x.r, 1);
	x.old = relaytest_login(&x.r, 0, CTL_AGENT, "pi");
	x.old->s.heard_us = handclock.now_ms * 1000;
	x.late = relaytest_peer(&x.r, 0, NULL);
	x.late->s.can &= ~(unsigned)SESSION_YIELDS;
	assert_int_equal(x.old->n_pings, 0);
	assert_int_equal(fake_hello(x.late, CTL_AGENT, "pi", "", 99), SESSION_HOLD);
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	relaytest_hang_up_all();
	relaytest_settle(&x->r);
	relaytest_fini(&x->r);
	return 0;
}

static void
pass(struct fix *x, uint64_t ms)
{
	handclock_pass(ms);
	relaytest_settle(&x->r);
}

static void
it_asks_and_waits(void **state)
{
	struct fix *x = *state;

	assert_int_equal(x->old->n_pings, 1);
	pass(x, RIVALS_WAIT_MS - 1);
	assert_false(x->late->greeted);
	assert_int_equal(x->late->n_away, 0);
	assert_int_equal(x->old->n_away, 0);
}

static void
who_answers_stays(void **state)
{
	struct fix *x = *state;

	pass(x, 1000);
	x->old->s.heard_us = handclock.now_ms * 1000;
	pass(x, RIVALS_POLL_MS);
	assert_int_equal(x->late->away_code, CODE_LIMIT);
	assert_string_equal(x->late->away_text, RIVALS_LIVE);
	assert_int_equal(x->old->n_away, 0);
	pass(x, RIVALS_WAIT_MS);
	assert_int_equal(x->old->n_away, 0);
}

static void
who_is_silent_is_replaced(void **state)
{
	struct fix *x = *state;

	pass(x, RIVALS_WAIT_MS);
	assert_true(x->late->greeted);
	assert_int_equal(x->old->away_code, CODE_REPLACED);
}

static void
who_is_not_read_cannot_answer(void **state)
{
	struct fix *x = *state;

	x->old->s.unread = true;
	pass(x, RIVALS_POLL_MS);
	assert_int_equal(x->late->n_away, 1);
	assert_int_equal(x->old->n_away, 0);
}

static void
who_goes_meanwhile_is_in_nobodys_way(void **state)
{
	struct fix *x = *state;

	relaytest_hang_up(x->old);
	relaytest_settle(&x->r);
	pass(x, RIVALS_WAIT_MS);
	assert_true(x->late->greeted);
}

static void
a_newcomer_that_goes_is_forgotten(void **state)
{
	struct fix *x = *state;

	relaytest_hang_up(x->late);
	relaytest_settle(&x->r);
	pass(x, RIVALS_WAIT_MS);
	assert_int_equal(x->old->n_away, 0);
	assert_false(x->late->greeted);
}

static void
credentials_may_change_meanwhile(void **state)
{
	struct fix *x = *state;

	relaytest_creds(&x->r, NOBODY);
	pass(x, RIVALS_WAIT_MS);
	assert_int_equal(x->late->away_code, CODE_REVOKED);
	assert_false(x->late->greeted);
}

/* Only the newcomer's protocol counts: it is the one that would come back for ever. */
static void
one_that_yields_does_not_ask(void **state)
{
	struct fix *x = *state;
	struct fake_session *f;

	pass(x, RIVALS_WAIT_MS);
	f = relaytest_login(&x->r, 0, CTL_AGENT, "pi");
	assert_true(f->greeted);
	assert_int_equal(x->late->away_code, CODE_REPLACED);
	assert_int_equal(x->late->n_pings, 0);
}

static void
the_operator_may_want_it_refused_at_once(void **state)
{
	struct fix *x = *state;
	struct fake_session *f = relaytest_peer(&x->r, 0, NULL);

	x->r.opts.on_duplicate = DUPLICATE_REFUSE;
	f->s.can &= ~(unsigned)SESSION_YIELDS;
	assert_int_equal(fake_hello(f, CTL_AGENT, "pi", "", 7), SESSION_REFUSED);
	assert_int_equal(f->away_code, CODE_LIMIT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_asks_and_waits),
		T(who_answers_stays),
		T(who_is_silent_is_replaced),
		T(who_is_not_read_cannot_answer),
		T(who_goes_meanwhile_is_in_nobodys_way),
		T(a_newcomer_that_goes_is_forgotten),
		T(credentials_may_change_meanwhile),
		T(one_that_yields_does_not_ask),
		T(the_operator_may_want_it_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
