/* SPDX-License-Identifier: ISC */
/* identity_test - limits of an identity at a relay, whatever the number of its sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/relay/account.h"
#include "test/unit/relaytest.h"
#include "test/unit/turns.h"

static int
setup(void **state)
{
	static struct relay r;

	relaytest_init(&r, 1);
	*state = &r;
	return 0;
}

static int
teardown(void **state)
{
	relaytest_fini(*state);
	return 0;
}

static void
an_agents_entry_bounds_the_streams_to_it(void **state)
{
	struct relay *r = *state;
	struct fake_session *one;

	relaytest_creds(r, "{\"edge-agents\":{\"pi\":{\"secret\":\"a\",\"max-streams\":4}},"
			   "\"access-client-secrets\":[\"s\"]}");
	fake_hello(relaytest_peer(r, 0, NULL), CTL_AGENT, "pi", "a", 1);
	one = relaytest_peer(r, 0, NULL);
	fake_hello(one, CTL_CONNECT, "pi", "s", 2);
	/* As above: half of what there is. */
	assert_false(fake_open(one, "ssh")->over);
	assert_false(fake_open(one, "ssh")->over);
	assert_int_equal(fake_open(one, "ssh")->code, CODE_LIMIT);
}

static void
sessions_of_an_identity_are_bounded_and_given_back(void **state)
{
	struct relay *r = *state;
	struct fake_session *first, *second;

	relaytest_creds(r, "{\"edge-agents\":{\"pi\":{\"secret\":\"a\",\"max-sessions\":1}},"
			   "\"clients\":{\"bob\":{\"secret\":\"b\",\"max-sessions\":1,"
			   "\"agents\":[\"*\"]}},\"access-client-secrets\":[\"s\"]}");
	first = relaytest_peer(r, 0, NULL);
	assert_int_equal(fake_hello(first, CTL_CONNECT, "pi", "b", 1), SESSION_GO_ON);
	second = relaytest_peer(r, 0, NULL);
	assert_int_equal(fake_hello(second, CTL_CONNECT, "pi", "b", 2), SESSION_REFUSED);
	assert_int_equal(second->away_code, CODE_LIMIT);
	assert_string_equal(second->away_text, "this identity has as many sessions as it may have");
	assert_int_equal(atomic_load(&r->counts.clients), 1);
	assert_int_equal(
	    fake_hello(relaytest_peer(r, 0, NULL), CTL_CONNECT, "pi", "s", 3), SESSION_GO_ON);
	relaytest_hang_up(first);
	relaytest_settle(r);
	assert_int_equal(
	    fake_hello(relaytest_peer(r, 0, NULL), CTL_CONNECT, "pi", "b", 4), SESSION_GO_ON);
	/* An agent may take the place of its own earlier session. */
	assert_int_equal(
	    fake_hello(relaytest_peer(r, 0, NULL), CTL_AGENT, "pi", "a", 5), SESSION_GO_ON);
	assert_int_equal(
	    fake_hello(relaytest_peer(r, 0, NULL), CTL_AGENT, "pi", "a", 6), SESSION_GO_ON);
	relaytest_settle(r);
	assert_int_equal(atomic_load(&r->counts.agents), 1);
}

static void
streams_of_an_identity_are_bounded_over_all_agents(void **state)
{
	struct relay *r = *state;
	struct fake_session *pi, *lab;
	struct fake_stream *s;

	r->opts.identity.streams = 3;
	accounts_free(r->accounts);
	r->accounts = accounts_new(&r->opts.identity, &r->memory);
	relaytest_login(r, 0, CTL_AGENT, "pi");
	relaytest_login(r, 0, CTL_AGENT, "lab");
	pi = relaytest_login(r, 0, CTL_CONNECT, "pi");
	lab = relaytest_login(r, 0, CTL_CONNECT, "lab");
	s = fake_open(pi, "ssh");
	assert_false(s->over);
	assert_false(fake_open(pi, "ssh")->over);
	assert_false(fake_open(lab, "ssh")->over);
	assert_int_equal(fake_open(lab, "ssh")->code, CODE_LIMIT);
	assert_int_equal(fake_open(pi, "ssh")->code, CODE_LIMIT);
	fake_end(s, CODE_CANCELLED, "");
	assert_false(fake_open(lab, "ssh")->over);
	assert_int_equal(fake_open(lab, "ssh")->code, CODE_LIMIT);
}

static void
an_identity_may_have_as_many_as_it_leaves(void **state)
{
	struct relay *r = *state;
	struct fake_session *one, *same, *other;

	r->opts.max_streams = 8;
	relaytest_login(r, 0, CTL_AGENT, "pi");
	one = relaytest_login(r, 0, CTL_CONNECT, "pi");
	same = relaytest_login(r, 0, CTL_CONNECT, "pi");
	relaytest_from("192.0.2.8");
	other = relaytest_login(r, 0, CTL_CONNECT, "pi");
	for (int i = 0; i < 4; i++)
		assert_false(fake_open(i % 2 == 0 ? one : same, "ssh")->over);
	assert_int_equal(fake_open(one, "ssh")->code, CODE_LIMIT);
	assert_int_equal(fake_open(same, "ssh")->code, CODE_LIMIT);
	assert_false(fake_open(other, "ssh")->over);
	assert_false(fake_open(other, "ssh")->over);
	assert_int_equal(fake_open(other, "ssh")->code, CODE_LIMIT);
}

/* The client that logged in last. */
static struct peer *
last_client(struct relay *r)
{
	return TAILQ_LAST(&r->workers[0].peers, peer_list);
}

static bool
goes_on(void *arg)
{
	return !((struct peer *)arg)->slowed;
}

static void
use_limits(struct relay *r, uint64_t opens)
{
	r->opts.identity.opens = opens;
	r->opts.identity.streams = r->opts.max_streams = 1000;
	accounts_free(r->accounts);
	r->accounts = accounts_new(&r->opts.identity, &r->memory);
	relaytest_login(r, 0, CTL_AGENT, "pi");
}

static void
who_opens_too_fast_is_not_read_for_a_moment(void **state)
{
	struct relay *r = *state;
	struct fake_session *f, *g;
	struct peer *p, *same, *other;

	use_limits(r, 10);
	f = relaytest_login(r, 0, CTL_CONNECT, "pi");
	p = last_client(r);
	g = relaytest_login(r, 0, CTL_CONNECT, "pi");
	same = last_client(r);
	relaytest_from("192.0.2.8");
	relaytest_login(r, 0, CTL_CONNECT, "pi");
	other = last_client(r);
	/* Half a second's worth is free. */
	for (int i = 0; i < 5; i++) {
		fake_open(f, "ssh");
		assert_false(p->slowed);
	}
	fake_open(f, "ssh");
	assert_true(p->slowed);
	assert_false(same->slowed);
	/* Its other session is slowed down when it opens one, too. */
	fake_open(g, "ssh");
	assert_true(same->slowed);
	assert_false(other->slowed);
	assert_true(turns_until(r->workers[0].loop, goes_on, p));
	assert_true(turns_until(r->workers[0].loop, goes_on, same));
	fake_open(f, "ssh");
	assert_true(p->slowed);
	peer_close(p, CODE_LIMIT, "");
	assert_false(p->slowed);
	peer_close(same, CODE_LIMIT, "");
}

static void
resets_that_wait_for_room_count_in_the_share(void **state)
{
	struct relay *r = *state;
	struct fake_session *f;
	struct budget *b;

	r->opts.max_streams = 8;
	relaytest_login(r, 0, CTL_AGENT, "pi");
	f = relaytest_login(r, 0, CTL_CONNECT, "pi");
	b = account_budget(last_client(r)->account);
	assert_false(fake_open(f, "ssh")->over);
	/* The halves of the one that is open, of the next OPEN, and of what waits. */
	for (int i = 0; i < 2 + 1 + 5; i++)
		budget_join(b);
	assert_false(fake_open(f, "ssh")->over);
	for (int i = 0; i < 2 + 1; i++)
		budget_join(b);
	assert_int_equal(fake_open(f, "ssh")->code, CODE_LIMIT);
	for (int i = 0; i < 2 + 1 + 5 + 2 + 1; i++)
		budget_leave(b);
	assert_false(fake_open(f, "ssh")->over);
}

static void
a_refused_open_counts_in_the_rate(void **state)
{
	struct relay *r = *state;
	struct fake_session *f;

	use_limits(r, 10);
	f = relaytest_login(r, 0, CTL_CONNECT, "nobody");
	for (int i = 0; i < 6; i++)
		assert_int_equal(fake_open(f, "ssh")->code, CODE_NOT_FOUND);
	assert_true(last_client(r)->slowed);
}

static void
an_open_that_the_session_refuses_counts_too(void **state)
{
	struct relay *r = *state;
	struct fake_session *f;
	struct peer *p;

	use_limits(r, 10);
	f = relaytest_login(r, 0, CTL_CONNECT, "pi");
	p = last_client(r);
	for (int i = 0; i < 5; i++) {
		f->s.user->open_refused(f->s.arg);
		assert_false(p->slowed);
	}
	f->s.user->open_refused(f->s.arg);
	assert_true(p->slowed);
	assert_true(turns_until(r->workers[0].loop, goes_on, p));
}

static void
a_relay_that_is_full_gives_the_identity_its_place_back(void **state)
{
	struct relay *r = *state;
	struct fake_session *f;

	r->opts.max_clients = 1;
	r->opts.identity.sessions = 2;
	accounts_free(r->accounts);
	r->accounts = accounts_new(&r->opts.identity, &r->memory);
	f = relaytest_login(r, 0, CTL_CONNECT, "pi");
	for (int i = 0; i < 3; i++)
		assert_string_equal(relaytest_login(r, 0, CTL_CONNECT, "pi")->away_text,
		    "the relay has no room for another client");
	relaytest_hang_up(f);
	relaytest_settle(r);
	assert_true(relaytest_login(r, 0, CTL_CONNECT, "pi")->greeted);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_identity_may_have_as_many_as_it_leaves),
		T(an_agents_entry_bounds_the_streams_to_it),
		T(sessions_of_an_identity_are_bounded_and_given_back),
		T(streams_of_an_identity_are_bounded_over_all_agents),
		T(who_opens_too_fast_is_not_read_for_a_moment),
		T(resets_that_wait_for_room_count_in_the_share),
		T(a_refused_open_counts_in_the_rate),
		T(an_open_that_the_session_refuses_counts_too),
		T(a_relay_that_is_full_gives_the_identity_its_place_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
