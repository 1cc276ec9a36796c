/* SPDX-License-Identifier: ISC */
/* account_test - who shares an account, what it refuses, and when it slows down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "cmd/relay/account.h"
#include "proto/budget.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"

static struct budget memory = { .max = 1ULL << 30 };
static const uint8_t here[ADDR_IDENTITY_LEN] = { 4, 192, 0, 2, 1 };
static const uint8_t there[ADDR_IDENTITY_LEN] = { 4, 192, 0, 2, 2 };
static const struct creds_limits limits = {
	.sessions = 2, .streams = 4, .memory = 1000, .opens = 1000
};

static struct creds_id
who(enum creds_kind kind, const char *name, uint8_t digest)
{
	struct creds_id id = { .kind = kind, .digest = { digest } };

	memcpy(id.name, name, strlen(name));
	return id;
}

static struct account *
get(struct accounts *t, enum creds_kind kind, const char *name, uint8_t digest,
    const uint8_t *address)
{
	struct creds_id id = who(kind, name, digest);
	struct account *a = accounts_get(t, &id, address, NULL);

	assert_non_null(a);
	return a;
}

static void
an_entry_is_one_account_whatever_its_secret_and_address(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here);

	(void)state;
	assert_ptr_equal(get(t, CREDS_CLIENT, "alice", 2, there), a);
	assert_ptr_not_equal(get(t, CREDS_CLIENT, "bob", 1, here), a);
	assert_ptr_not_equal(get(t, CREDS_AGENT, "alice", 1, here), a);
	assert_int_equal(accounts_count(t), 3);
	account_put(t, a, 0);
	account_put(t, a, 0);
	account_put(t, get(t, CREDS_CLIENT, "bob", 1, here), 0);
	account_put(t, get(t, CREDS_CLIENT, "bob", 1, here), 0);
	assert_int_equal(accounts_count(t), 3);
	accounts_free(t);
}

static void
a_shared_secret_is_an_account_of_its_own(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_SHARED, "", 1, here);

	(void)state;
	assert_ptr_equal(get(t, CREDS_SHARED, "", 1, there), a);
	assert_ptr_not_equal(get(t, CREDS_SHARED, "", 2, here), a);
	accounts_free(t);
}

static void
without_credentials_the_address_counts(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_NOBODY, "", 0, here);

	(void)state;
	assert_ptr_equal(get(t, CREDS_NOBODY, "", 0, here), a);
	assert_ptr_not_equal(get(t, CREDS_NOBODY, "", 0, there), a);
	accounts_free(t);
}

static void
sessions_are_counted_over_all_who_hold_it(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here),
		       *b = get(t, CREDS_CLIENT, "alice", 1, here);

	(void)state;
	assert_true(account_enter(a));
	assert_true(account_enter(b));
	assert_false(account_enter(a));
	assert_false(account_enter(b));
	account_leave(a);
	assert_true(account_enter(b));
	assert_false(account_enter(a));
	accounts_free(t);
}

static void
streams_and_bytes_are_counted_too(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here);

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_true(account_open(a));
	assert_false(account_open(a));
	account_close(a);
	assert_true(account_open(a));
	assert_false(account_open(a));
	assert_int_equal(account_streams_max(a), 4);

	account_hold(a, 600);
	account_hold(a, 400);
	assert_false(account_is_over(a));
	account_hold(a, 1);
	assert_true(account_is_over(a));
	account_pass(a, 1);
	assert_false(account_is_over(a));
	accounts_free(t);
}

static void
lines_of_an_account_are_limited(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here),
		       *b = get(t, CREDS_CLIENT, "bob", 1, here);

	(void)state;
	for (int i = 0; i < 1000; i++)
		log_limited(account_log(a), 5000, LOG_LEVEL_INFO, "a line of %d", i);
	log_limited(account_log(b), 5000, LOG_LEVEL_INFO, "a line of another's");
	assert_int_equal(account_log(a)->left_out, 1000 - ACCOUNT_LOG_LINES);
	assert_int_equal(account_log(b)->left_out, 0);
	accounts_free(t);
}

static struct creds *
creds(const char *json)
{
	struct creds *c = NULL;

	assert_int_equal(creds_parse(json, strlen(json), &c, NULL), 0);
	return c;
}

static void
an_entry_says_its_own_limits_and_a_reload_changes_them(void **state)
{
	struct creds *c =
	    creds("{\"clients\":{\"alice\":{\"secret\":\"s\",\"max-sessions\":1,"
		  "\"max-streams\":7,\"max-memory\":5,\"max-opens\":2000}},"
		  "\"edge-agents\":{\"alice\":{\"secret\":\"s\",\"max-streams\":9}}}");
	struct creds *later =
	    creds("{\"clients\":{\"alice\":{\"secret\":\"s\",\"max-sessions\":3}}}");
	struct creds_id alice = who(CREDS_CLIENT, "alice", 1), agent = who(CREDS_AGENT, "alice", 1);
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = accounts_get(t, &alice, here, c), *b = accounts_get(t, &agent, here, c);

	(void)state;
	assert_true(account_enter(a));
	assert_false(account_enter(a));
	assert_int_equal(account_streams_max(a), 7);
	account_hold(a, 6);
	assert_true(account_is_over(a));
	for (int i = 0; i < 1001; i++)
		account_opened(a, 1);
	assert_int_equal(account_wait_ms(a, 1), 1);
	assert_int_equal(account_streams_max(b), 9);
	account_hold(b, 1000);
	assert_false(account_is_over(b));
	account_refresh(t, a, later);
	account_refresh(t, b, later);
	assert_false(account_is_over(a));
	assert_true(account_enter(a));
	assert_true(account_enter(a));
	assert_false(account_enter(a));
	assert_int_equal(account_streams_max(a), 4);
	assert_int_equal(account_streams_max(b), 4);
	accounts_free(t);
	creds_unref(c);
	creds_unref(later);
}

static void
it_is_kept_for_a_while_when_nobody_holds_it(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here);

	(void)state;
	assert_true(account_enter(a));
	accounts_sweep(t, 1000000);
	assert_int_equal(accounts_count(t), 1);
	account_put(t, a, 1000);
	accounts_sweep(t, 1000 + ACCOUNT_KEEP_MS - 1);
	assert_int_equal(accounts_count(t), 1);
	assert_ptr_equal(get(t, CREDS_CLIENT, "alice", 1, here), a);
	assert_true(account_enter(a));
	assert_false(account_enter(a));
	accounts_sweep(t, 1000 + ACCOUNT_KEEP_MS);
	assert_int_equal(accounts_count(t), 1);
	account_put(t, a, 2000);
	accounts_sweep(t, 2000 + ACCOUNT_KEEP_MS);
	assert_int_equal(accounts_count(t), 0);
	accounts_free(t);
}

static void
those_that_are_held_stay_when_others_go(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here),
		       *b = get(t, CREDS_CLIENT, "bob", 1, here),
		       *c = get(t, CREDS_CLIENT, "carol", 1, here);

	(void)state;
	/* One of two who hold it has gone. */
	assert_ptr_equal(get(t, CREDS_CLIENT, "alice", 1, here), a);
	account_put(t, a, 0);
	account_put(t, b, 10);
	account_put(t, c, 500);
	accounts_sweep(t, 10 + ACCOUNT_KEEP_MS);
	assert_int_equal(accounts_count(t), 2);
	assert_ptr_equal(get(t, CREDS_CLIENT, "carol", 1, here), c);
	assert_ptr_equal(get(t, CREDS_CLIENT, "alice", 1, here), a);
	accounts_free(t);
}

static void
opens_beyond_the_rate_are_waited_for(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here);
	uint64_t now_us = 5000000;

	(void)state;
	/* 1,000 a second, half a second's worth at once */
	for (int i = 0; i < 500; i++) {
		assert_int_equal(account_wait_ms(a, now_us), 0);
		account_opened(a, now_us);
	}
	assert_int_equal(account_wait_ms(a, now_us), 0);
	account_opened(a, now_us);
	assert_int_equal(account_wait_ms(a, now_us), 1);
	for (int i = 0; i < 99; i++)
		account_opened(a, now_us);
	assert_int_equal(account_wait_ms(a, now_us), 100);
	assert_int_equal(account_wait_ms(a, now_us + 99000), 1);
	assert_int_equal(account_wait_ms(a, now_us + 99900), 1);
	assert_int_equal(account_wait_ms(a, now_us + 100000), 0);
	/* Rest is not saved up beyond the burst. */
	now_us += 3600000000;
	for (int i = 0; i < 500; i++)
		account_opened(a, now_us);
	assert_int_equal(account_wait_ms(a, now_us), 0);
	account_opened(a, now_us);
	assert_int_equal(account_wait_ms(a, now_us), 1);
	accounts_free(t);
}

static void
whoever_keeps_to_the_rate_never_waits(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here);

	(void)state;
	for (uint64_t i = 0; i < 5000; i++) {
		account_opened(a, 1000000 + i * 1000);
		assert_int_equal(account_wait_ms(a, 1000000 + i * 1000), 0);
	}
	accounts_free(t);
}

static void *
open_many(void *arg)
{
	for (int i = 0; i < 10000; i++)
		account_opened(arg, 1000000);
	return NULL;
}

static void
no_open_is_lost_between_threads(void **state)
{
	struct accounts *t = accounts_new(&limits, &memory);
	struct account *a = get(t, CREDS_CLIENT, "alice", 1, here);
	pthread_t other;

	(void)state;
	assert_int_equal(pthread_create(&other, NULL, open_many, a), 0);
	open_many(a);
	pthread_join(other, NULL);
	assert_int_equal(account_wait_ms(a, 1000000), 20000 - ACCOUNT_OPEN_BURST_MS);
	accounts_free(t);
}

static void
without_memory_nobody_gets_one(void **state)
{
	struct creds_id id = who(CREDS_CLIENT, "alice", 1);
	struct accounts *t = NULL;
	struct account *a = NULL;
	long fail;

	(void)state;
	for (fail = 0; t == NULL; fail++) {
		mem_fail_after(fail);
		t = accounts_new(&limits, &memory);
		mem_fail_after(MEM_NO_FAIL);
	}
	for (fail = 0; a == NULL; fail++) {
		mem_fail_after(fail);
		a = accounts_get(t, &id, here, NULL);
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(accounts_count(t), a != NULL);
	}
	assert_true(fail > 1);
	account_put(t, a, 0);
	accounts_free(t);
	accounts_free(NULL);
}

static void
round_trip(void)
{
	an_entry_is_one_account_whatever_its_secret_and_address(NULL);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_is_one_account_whatever_its_secret_and_address),
		cmocka_unit_test(a_shared_secret_is_an_account_of_its_own),
		cmocka_unit_test(without_credentials_the_address_counts),
		cmocka_unit_test(sessions_are_counted_over_all_who_hold_it),
		cmocka_unit_test(streams_and_bytes_are_counted_too),
		cmocka_unit_test(an_entry_says_its_own_limits_and_a_reload_changes_them),
		cmocka_unit_test(lines_of_an_account_are_limited),
		cmocka_unit_test(it_is_kept_for_a_while_when_nobody_holds_it),
		cmocka_unit_test(those_that_are_held_stay_when_others_go),
		cmocka_unit_test(opens_beyond_the_rate_are_waited_for),
		cmocka_unit_test(whoever_keeps_to_the_rate_never_waits),
		cmocka_unit_test(no_open_is_lost_between_threads),
		cmocka_unit_test(without_memory_nobody_gets_one),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
