/* SPDX-License-Identifier: ISC */
/*
 * bridge_test - a client's stream joined to an agent's: what one side says the other side is told,
 * and no more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/account.h"
#include "cmd/relay/bridge.h"
#include "test/unit/heap.h"
#include "test/unit/relaytest.h"

struct fix {
	struct relay r;
	struct fake_session *client, *agent;
	/* The two streams that are joined. */
	struct fake_stream *c, *a;
};

static void
join(struct fix *x)
{
	x->c = fake_open(x->client, "ssh");
	x->a = x->agent->stream[x->agent->n_streams - 1];
}

/* From now on the streams are new ones, and their protocols have these abilities only. */
static void
join_with(struct fix *x, unsigned client, unsigned agent)
{
	x->client->s.can = client;
	x->agent->s.can = agent;
	fake_end(x->c, CODE_GONE, "");
	join(x);
}

static void
sent(struct fake_stream *f, size_t n)
{
	f->s.user->sent(f->s.arg, n);
}

static void
eof(struct fake_stream *f)
{
	f->s.user->eof(f->s.arg);
}

static int
setup(void **state)
{
	static struct fix x;

	x = (struct fix){ 0 };
	relaytest_init(&x.r, 1);
	x.agent = relaytest_login(&x.r, 0, CTL_AGENT, "pi");
	x.client = relaytest_login(&x.r, 0, CTL_CONNECT, "pi");
	join(&x);
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	relaytest_fini(&x->r);
	return 0;
}

static void
agent_accepts(struct fix *x, const char *target)
{
	struct ctl_open_ok ok = { 0 };

	snprintf(ok.target, sizeof ok.target, "%s", target);
	x->a->s.user->opened(x->a->s.arg, &ok);
}

static void
the_agent_is_asked_what_the_client_asked(void **state)
{
	struct fix *x = *state;

	assert_int_equal(x->agent->n_streams, 1);
	assert_string_equal(x->a->open.service, "ssh");
	assert_string_equal(x->a->open.protocol, "tcp");
	/* Where the client is the relay knows better than it does. */
	assert_string_equal(x->a->open.source, "192.0.2.7:5022");
}

static void
the_answer_is_the_agents(void **state)
{
	struct fix *x = *state;

	assert_false(x->c->accepted);
	agent_accepts(x, "127.0.0.1:22");
	assert_true(x->c->accepted);
	assert_string_equal(x->c->target, "127.0.0.1:22");
}

static void
a_refusal_is_the_agents(void **state)
{
	struct fix *x = *state;

	fake_end(x->a, CODE_REFUSED, "connection refused");
	assert_true(x->c->reset);
	assert_int_equal(x->c->code, CODE_REFUSED);
	assert_string_equal(x->c->text, "connection refused");
}

static void
an_answer_that_cannot_be_passed_on_ends_both(void **state)
{
	struct fix *x = *state;

	x->c->fail = true;
	agent_accepts(x, "");
	assert_int_equal(x->c->code, CODE_INTERNAL);
	assert_int_equal(x->a->code, CODE_INTERNAL);
	assert_true(x->c->reset && x->a->reset);
}

static void
bytes_pass_both_ways(void **state)
{
	struct fix *x = *state;

	fake_data(x->c, "SSH-2.0-a");
	assert_true(fake_got(x->a, "SSH-2.0-a"));
	agent_accepts(x, "");
	fake_data(x->a, "SSH-2.0-b");
	assert_true(fake_got(x->c, "SSH-2.0-b"));
	assert_true(fake_got(x->a, "SSH-2.0-a"));
}

static void
credit_is_given_for_what_the_next_hop_took(void **state)
{
	struct fix *x = *state;

	fake_data(x->c, "12345");
	fake_data(x->a, "1234567");
	assert_int_equal(x->c->consumed, 0);
	assert_int_equal(x->a->consumed, 0);
	x->a->s.user->sent(x->a->s.arg, 3);
	assert_int_equal(x->c->consumed, 3);
	x->a->s.user->sent(x->a->s.arg, 2);
	assert_int_equal(x->c->consumed, 5);
	assert_int_equal(x->a->consumed, 0);
	x->c->s.user->sent(x->c->s.arg, 7);
	assert_int_equal(x->a->consumed, 7);
	assert_int_equal(x->c->consumed, 5);
}

static void
acknowledgements_are_the_endpoints(void **state)
{
	struct fix *x = *state;

	fake_data(x->c, "12345");
	x->a->s.user->sent(x->a->s.arg, 5);
	assert_int_equal(x->c->acked, 0);
	x->a->s.user->acked(x->a->s.arg, 4, false);
	assert_int_equal(x->c->acked, 4);
	assert_false(x->c->acked_eof);
	x->a->s.user->acked(x->a->s.arg, 5, true);
	assert_int_equal(x->c->acked, 5);
	assert_true(x->c->acked_eof);
	x->c->s.user->acked(x->c->s.arg, 9, true);
	assert_int_equal(x->a->acked, 9);
	assert_true(x->a->acked_eof);
}

static void
each_half_ends_by_itself(void **state)
{
	struct fix *x = *state;

	x->c->s.user->eof(x->c->s.arg);
	assert_true(x->a->eof);
	assert_false(x->c->eof);
	fake_data(x->a, "still here");
	assert_true(fake_got(x->c, "still here"));
	x->a->s.user->eof(x->a->s.arg);
	assert_true(x->c->eof);
	assert_false(x->c->over || x->a->over);
}

static void
a_side_in_good_order_waits_for_the_other(void **state)
{
	struct fix *x = *state;

	fake_end(x->a, CODE_OK, "");
	assert_false(x->c->over);
	assert_true(x->c->eof);
	/* Late calls of the other side find nobody. */
	x->c->s.user->eof(x->c->s.arg);
	x->c->s.user->sent(x->c->s.arg, 0);
	x->c->s.user->acked(x->c->s.arg, 0, true);
	fake_end(x->c, CODE_OK, "");
	relaytest_settle(&x->r);
}

static void
the_client_may_be_the_first_that_is_done(void **state)
{
	struct fix *x = *state;

	fake_end(x->c, CODE_OK, "");
	assert_false(x->a->over);
	assert_true(x->a->eof);
	agent_accepts(x, "");
	x->a->s.user->eof(x->a->s.arg);
	x->a->s.user->sent(x->a->s.arg, 0);
	x->a->s.user->acked(x->a->s.arg, 0, true);
	fake_end(x->a, CODE_OK, "");
	relaytest_settle(&x->r);
}

static void
a_reset_is_passed_on_with_its_words(void **state)
{
	struct fix *x = *state;

	fake_end(x->c, CODE_INTERNAL, "the program died");
	assert_true(x->a->reset);
	assert_false(x->a->aborted);
	assert_int_equal(x->a->code, CODE_INTERNAL);
	assert_string_equal(x->a->text, "the program died");
	relaytest_settle(&x->r);
}

static void
bytes_that_cannot_be_passed_on_end_both(void **state)
{
	struct fix *x = *state;

	x->a->fail = true;
	fake_data(x->c, "no memory for this");
	assert_true(x->a->reset && x->c->reset);
	assert_int_equal(x->a->code, CODE_INTERNAL);
	assert_int_equal(x->c->code, CODE_INTERNAL);
}

/* ---- what a protocol lacks ---- */

enum {
	HALF = SESSION_HALF_CLOSE,
	ACKS = SESSION_ACKS,
	ALL = HALF | ACKS | SESSION_ENDS,
};

static void
late_data_for_a_side_that_is_over_is_answered_by_a_reset(void **state)
{
	struct fix *x = *state;

	fake_end(x->a, CODE_OK, "");
	fake_data(x->c, "late");
	assert_true(x->c->reset);
	assert_int_equal(x->c->code, CODE_GONE);
}

static void
an_agent_without_half_closes_is_not_cut_short(void **state)
{
	struct fix *x = *state;

	join_with(x, ALL, ALL & ~HALF);
	fake_data(x->c, "GET");
	/* stream_eof: what that means there, its session knows. */
	eof(x->c);
	assert_true(x->a->eof);
	assert_false(x->a->reset);
	sent(x->a, 3);
	fake_data(x->a, "answer");
	assert_true(fake_got(x->c, "answer"));
	fake_end(x->a, CODE_OK, "");
	assert_true(x->c->eof);
	assert_false(x->c->over);
}

static void
a_client_without_half_closes_ends_behind_the_answer(void **state)
{
	struct fix *x = *state;

	join_with(x, ALL & ~HALF, ALL);
	fake_data(x->a, "answer");
	eof(x->a);
	/* stream_eof: as a whole, in such a protocol. */
	assert_true(x->c->eof);
	assert_false(x->a->eof);
	sent(x->c, 6);
	fake_end(x->c, CODE_OK, "");
	assert_true(x->a->eof);
	assert_false(x->a->over);
	fake_end(x->a, CODE_OK, "");
	relaytest_settle(&x->r);
}

static void
what_has_left_is_acknowledged_for_who_cannot(void **state)
{
	struct fix *x = *state;

	join_with(x, ALL & ~ACKS, ALL);
	fake_data(x->a, "12345");
	assert_int_equal(x->a->acked, 0);
	sent(x->c, 3);
	assert_int_equal(x->a->acked, 3);
	eof(x->a);
	assert_false(x->a->acked_eof);
	sent(x->c, 2);
	assert_int_equal(x->a->acked, 5);
	assert_true(x->a->acked_eof);
	/* It is told of no acknowledgements either. */
	x->a->s.user->acked(x->a->s.arg, 1, false);
	assert_int_equal(x->c->acked, 0);
}

static void
an_end_without_data_is_acknowledged_at_once(void **state)
{
	struct fix *x = *state;

	join_with(x, ALL, ALL & ~ACKS);
	eof(x->c);
	assert_true(x->c->acked_eof);
	assert_int_equal(x->c->acked, 0);
}

static void
the_end_is_acknowledged_when_the_other_side_is_over(void **state)
{
	struct fix *x = *state;

	join_with(x, ALL, 0);
	fake_data(x->c, "GET");
	eof(x->c);
	assert_false(x->c->acked_eof);
	sent(x->a, 3);
	assert_int_equal(x->c->acked, 3);
	assert_true(x->c->acked_eof);
	/* Or the other way round. */
	join_with(x, ALL, 0);
	fake_end(x->a, CODE_OK, "");
	assert_false(x->c->acked_eof);
	eof(x->c);
	assert_true(x->c->acked_eof);
}

static void
bytes_that_never_left_are_not_called_a_good_end(void **state)
{
	struct fix *x = *state;

	join_with(x, ALL, ALL & ~ACKS);
	fake_data(x->c, "12345");
	sent(x->a, 4);
	fake_end(x->a, CODE_OK, "");
	assert_true(x->c->reset);
	assert_int_equal(x->c->code, CODE_GONE);
}

static void
who_is_gone_ends_a_stream_that_has_no_halves(void **state)
{
	struct fix *x = *state;

	join_with(x, ALL & ~HALF, ALL & ~HALF);
	fake_data(x->c, "12345");
	fake_end(x->c, CODE_OK, "");
	assert_true(x->a->reset);
	assert_int_equal(x->a->code, CODE_OK);
}

static void
who_is_gone_ends_one_half_where_that_can_be_said(void **state)
{
	struct fix *x = *state;

	join_with(x, ALL & ~HALF, ALL);
	fake_end(x->c, CODE_OK, "");
	assert_false(x->a->reset);
	assert_true(x->a->eof);
}

static void
every_session_is_told_what_was_passed_on(void **state)
{
	struct fix *x = *state;

	join_with(x, 0, 0);
	fake_data(x->a, "12345");
	assert_int_equal(x->a->consumed, 0);
	sent(x->c, 3);
	assert_int_equal(x->a->consumed, 3);
	fake_data(x->c, "1234");
	sent(x->a, 4);
	assert_int_equal(x->c->consumed, 4);
}

/* ---- what an identity may make us hold ---- */

static void
much(struct fake_stream *f, size_t n)
{
	static char text[256 * 1024 + 1];

	memset(text, 'x', n);
	text[n] = '\0';
	fake_data(f, text);
}

static struct fake_stream *
agents_end(const struct fix *x, int i)
{
	return x->agent->stream[i];
}

static void
beyond_the_limit_goes_the_fullest(void **state)
{
	struct fix *x = *state;
	struct fake_stream *c[3];

	relaytest_fini(&x->r);
	relaytest_init(&x->r, 1);
	accounts_free(x->r.accounts);
	x->r.opts.identity.memory = 1000;
	x->r.accounts = accounts_new(&x->r.opts.identity, &x->r.memory);
	x->agent = relaytest_login(&x->r, 0, CTL_AGENT, "pi");
	x->client = relaytest_login(&x->r, 0, CTL_CONNECT, "pi");
	for (int i = 0; i < 3; i++)
		c[i] = fake_open(x->client, "ssh");
	much(c[0], 300);
	much(c[1], 300);
	much(agents_end(x, 2), 400);
	assert_false(c[0]->over || c[1]->over || c[2]->over);
	/* Both ways of a stream count together. */
	much(agents_end(x, 1), 101);
	assert_true(c[1]->aborted && agents_end(x, 1)->aborted);
	assert_int_equal(c[1]->code, CODE_LIMIT);
	assert_false(c[0]->over || c[2]->over);
	relaytest_settle(&x->r);
}

/* What a protocol without windows brings counts in the budget, not only here. */
static void
without_windows_the_budget_is_the_limit(void **state)
{
	struct fix *x = *state;
	struct fake_stream *c[3];

	for (int i = 0; i < 3; i++)
		c[i] = fake_open(x->client, "ssh");
	x->client->s.can = x->agent->s.can = 0;
	join(x);
	much(c[0], 100 * 1024);
	much(c[1], 200 * 1024);
	much(c[2], 64 * 1024);
	budget_charge(&x->r.memory, 0, atomic_load(&x->r.memory.max) + 1);
	/* A window is no fault of whoever fills it. */
	much(c[2], 1);
	assert_false(c[0]->over || c[1]->over || c[2]->over);
	much(x->c, 1);
	assert_true(c[1]->aborted && c[0]->aborted && c[2]->aborted);
	assert_false(x->c->over);
	much(x->c, 64 * 1024 - 1);
	assert_false(x->c->over);
	much(x->a, 1);
	assert_true(x->c->aborted);
	budget_charge(&x->r.memory, atomic_load(&x->r.memory.max) + 1, 0);
	relaytest_settle(&x->r);
}

/* ---- the rest ---- */

static void
a_lost_session_resets_the_other_side(void **state)
{
	struct fix *x = *state;

	relaytest_hang_up(x->agent);
	relaytest_settle(&x->r);
	assert_true(x->agent->freed);
	assert_true(x->c->reset);
	assert_int_equal(x->c->code, CODE_LOST);
	assert_false(x->client->freed);
}

static void
who_cannot_be_asked_is_said(void **state)
{
	static const struct {
		int err;
		uint32_t code;
	} v[] = { { ERR_CLOSED, CODE_GONE }, { ERR_NOMEM, CODE_INTERNAL },
		{ ERR_LIMIT, CODE_LIMIT } };
	struct fix *x = *state;

	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		struct fake_stream *s;

		x->agent->fail_open = v[i].err;
		s = fake_open(x->client, "ssh");
		assert_true(s->reset);
		assert_int_equal(s->code, v[i].code);
		assert_string_equal(s->text, "the fake does not open");
	}
	assert_int_equal(x->agent->n_streams, 1);
}

static void
targets_are_named_as_they_were_asked_for(void **state)
{
	struct ctl_open o = { .service = "ssh", .host = "ignored", .port = 1 };
	char text[RELAY_TARGET_TEXT];

	(void)state;
	assert_string_equal(relay_target_text(&o, text), "ssh");
	o.service[0] = '\0';
	snprintf(o.host, sizeof o.host, "db.lan");
	o.port = 65535;
	assert_string_equal(relay_target_text(&o, text), "db.lan:65535");
}

static void
round_trip(void)
{
	void *state = NULL;

	assert_int_equal(setup(&state), 0);
	bytes_pass_both_ways(&state);
	assert_int_equal(teardown(&state), 0);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

/* ---- end to end ---- */

#define E2E(alice) \
	"{\"edge-agents\":{\"pi\":\"a\"},\"clients\":{\"alice\":{\"secret\":\"c\"," alice "}}}"

static void
who_may_not_end_to_end_any_more_is_cut_off_there(void **state)
{
	struct relay *r = &((struct fix *)*state)->r;
	struct fake_session *agent = relaytest_peer(r, 0, NULL), *client;
	struct fake_stream *e2e[2], *plain;
	const char *const no_more[] = {
		E2E("\"agents\":[\"pi\"],\"targets\":[\"ssh\"],\"e2e\":false"),
		E2E("\"agents\":[\"lab\"],\"targets\":[\"ssh\"],\"e2e\":true"),
	};

	agent->s.can |= SESSION_E2E;
	for (size_t i = 0; i < 2; i++) {
		relaytest_creds(r, E2E("\"agents\":[\"pi\"],\"targets\":[\"ssh\"],\"e2e\":true"));
		if (i == 0)
			fake_hello(agent, CTL_AGENT, "pi", "a", 1);
		client = relaytest_peer(r, 0, NULL);
		fake_hello(client, CTL_CONNECT, "pi", "c", 1);
		fake_end(fake_open_e2e(client), CODE_OK, "");
		for (int k = 0; k < 2; k++)
			e2e[k] = fake_open_e2e(client);
		plain = fake_open(client, "ssh");
		peers_check(&r->workers[0]);
		assert_false(e2e[0]->over || e2e[1]->over || plain->over);
		relaytest_creds(r, no_more[i]);
		peers_check(&r->workers[0]);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(e2e[k]->code, CODE_REVOKED);
			assert_true(agent->stream[agent->n_streams - 3 + (size_t)k]->over);
		}
		/* Its other streams are those that were judged when they were opened. */
		assert_false(plain->over);
		assert_int_equal(client->n_away, 0);
		assert_int_equal(fake_open_e2e(client)->code, CODE_DENIED);
		fake_end(plain, CODE_CANCELLED, "");
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_agent_is_asked_what_the_client_asked),
		T(the_answer_is_the_agents),
		T(a_refusal_is_the_agents),
		T(an_answer_that_cannot_be_passed_on_ends_both),
		T(bytes_pass_both_ways),
		T(credit_is_given_for_what_the_next_hop_took),
		T(acknowledgements_are_the_endpoints),
		T(each_half_ends_by_itself),
		T(a_side_in_good_order_waits_for_the_other),
		T(the_client_may_be_the_first_that_is_done),
		T(a_reset_is_passed_on_with_its_words),
		T(bytes_that_cannot_be_passed_on_end_both),
		T(late_data_for_a_side_that_is_over_is_answered_by_a_reset),
		T(an_agent_without_half_closes_is_not_cut_short),
		T(a_client_without_half_closes_ends_behind_the_answer),
		T(what_has_left_is_acknowledged_for_who_cannot),
		T(an_end_without_data_is_acknowledged_at_once),
		T(the_end_is_acknowledged_when_the_other_side_is_over),
		T(bytes_that_never_left_are_not_called_a_good_end),
		T(who_is_gone_ends_a_stream_that_has_no_halves),
		T(who_is_gone_ends_one_half_where_that_can_be_said),
		T(every_session_is_told_what_was_passed_on),
		T(beyond_the_limit_goes_the_fullest),
		T(without_windows_the_budget_is_the_limit),
		T(a_lost_session_resets_the_other_side),
		T(who_cannot_be_asked_is_said),
		T(who_may_not_end_to_end_any_more_is_cut_off_there),
		cmocka_unit_test(targets_are_named_as_they_were_asked_for),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
