/* SPDX-License-Identifier: ISC */
/*
 * group_test - the peers of a name, and what an identity has open at an agent: found again,
 * counted, gone with the last.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/group.h"
#include "cmd/relay/party.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"
#include "test/unit/relaytest.h"

static struct relay r;
static struct worker *w;

static int
setup(void **state)
{
	(void)state;
	relaytest_init(&r, 1);
	w = &r.workers[0];
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	relaytest_fini(&r);
	return 0;
}

static struct account *
account(const char *name)
{
	struct creds_id id = { .kind = CREDS_CLIENT };
	struct account *a;

	snprintf(id.name, sizeof id.name, "%s", name);
	a = accounts_get(r.accounts, &id, NULL, NULL);
	assert_non_null(a);
	return a;
}

/* ---- groups ---- */

static void
a_name_has_one_group(void **state)
{
	char longest[CTL_AGENT_MAX + 1];
	struct group *pi = group_get(w, "pi"), *other;

	(void)state;
	assert_string_equal(pi->name, "pi");
	assert_true(TAILQ_EMPTY(&pi->agents) && TAILQ_EMPTY(&pi->clients));
	assert_null(group_agent(pi));
	memset(longest, 'x', CTL_AGENT_MAX);
	longest[CTL_AGENT_MAX] = '\0';
	other = group_get(w, longest);
	assert_ptr_not_equal(other, pi);
	assert_string_equal(other->name, longest);
	assert_ptr_equal(group_get(w, "pi"), pi);
	assert_ptr_equal(group_get(w, longest), other);
	group_free_empty(w, other);
	group_free_empty(w, pi);
	assert_null(w->groups);
}

static void
a_group_goes_with_its_last_member(void **state)
{
	struct group *g = group_get(w, "pi");
	struct peer agent = { .w = w, .role = CTL_AGENT };
	struct peer first = { .w = w, .role = CTL_CONNECT }, second = first;

	(void)state;
	group_join(g, &first);
	group_join(g, &agent);
	group_join(g, &second);
	assert_ptr_equal(agent.group, g);
	assert_ptr_equal(TAILQ_FIRST(&g->agents), &agent);
	assert_null(TAILQ_NEXT(&agent, group_link));
	/* In the order they came. */
	assert_ptr_equal(TAILQ_FIRST(&g->clients), &first);
	assert_ptr_equal(TAILQ_NEXT(&first, group_link), &second);
	group_free_empty(w, g);
	group_leave(&agent);
	assert_null(agent.group);
	assert_true(TAILQ_EMPTY(&g->agents));
	group_leave(&agent);
	group_leave(&first);
	assert_ptr_equal(group_get(w, "pi"), g);
	group_leave(&second);
	assert_null(w->groups);

	/* An agent alone keeps it as well. */
	g = group_get(w, "pi");
	group_join(g, &agent);
	group_free_empty(w, g);
	assert_ptr_equal(group_get(w, "pi"), g);
	group_leave(&agent);
	assert_null(w->groups);
}

/* Each allocation fails once: of the group itself, and of the table. */
static void
without_memory_there_is_no_group_and_no_party(void **state)
{
	struct account *a = account("a");
	int n_failed = 0;

	(void)state;
	for (long n = 0; n < 10; n++) {
		struct group *g;
		struct party *y;

		mem_fail_after(n);
		g = group_get(w, "pi");
		mem_fail_after(MEM_NO_FAIL);
		n_failed += g == NULL;
		if (g != NULL)
			group_free_empty(w, g);
		assert_null(w->groups);
		mem_fail_after(n);
		y = party_get(w, a, "pi");
		mem_fail_after(MEM_NO_FAIL);
		n_failed += y == NULL;
		party_put(w, y);
		assert_null(w->parties);
	}
	assert_true(n_failed >= 4);
	account_put(r.accounts, a, 0);
}

/* ---- parties ---- */

static void
an_identity_has_one_party_at_an_agent(void **state)
{
	struct account *a = account("a"), *b = account("b");
	struct party *y = party_get(w, a, "pi"), *at_b = party_get(w, a, "b");
	struct party *of_b = party_get(w, b, "pi");

	(void)state;
	assert_ptr_equal(y->key.account, a);
	assert_string_equal(y->key.agent, "pi");
	assert_int_equal(y->streams, 0);
	assert_true(TAILQ_EMPTY(&y->held_by));
	assert_true(y != at_b && y != of_b && at_b != of_b);
	assert_ptr_equal(party_get(w, a, "pi"), y);
	assert_ptr_equal(party_ref(y), y);
	assert_int_equal(y->refs, 3);
	party_put(w, y);
	party_put(w, y);
	assert_ptr_equal(party_get(w, a, "pi"), y);
	party_put(w, y);
	party_put(w, y);
	party_put(w, at_b);
	assert_ptr_equal(party_get(w, b, "pi"), of_b);
	party_put(w, of_b);
	party_put(w, of_b);
	party_put(w, NULL);
	assert_null(w->parties);
	account_put(r.accounts, a, 0);
	account_put(r.accounts, b, 0);
}

/* As long as the party is there, so is the account. */
static void
a_party_holds_its_account(void **state)
{
	struct account *a = account("a");
	struct party *y = party_get(w, a, "pi");
	uint64_t late_ms = loop_now_ms(w->loop) + 2 * ACCOUNT_KEEP_MS;

	(void)state;
	account_put(r.accounts, a, 0);
	accounts_sweep(r.accounts, late_ms);
	assert_int_equal(accounts_count(r.accounts), 1);
	party_put(w, y);
	accounts_sweep(r.accounts, late_ms);
	assert_int_equal(accounts_count(r.accounts), 0);
}

static void
round_trip(void)
{
	struct account *a;
	struct peer p = { .role = CTL_AGENT };

	setup(NULL);
	p.w = w;
	a = account("a");
	group_join(group_get(w, "pi"), &p);
	group_leave(&p);
	party_put(w, party_get(w, a, "pi"));
	account_put(r.accounts, a, 0);
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
		T(a_name_has_one_group),
		T(a_group_goes_with_its_last_member),
		T(without_memory_there_is_no_group_and_no_party),
		T(an_identity_has_one_party_at_an_agent),
		T(a_party_holds_its_account),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
