/* SPDX-License-Identifier: ISC */
/*
 * registry_test - names get the worker with the fewest, keep it while somebody holds them, and are
 * given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cmd/relay/registry.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"

static void
on_answer(void *arg, int worker)
{
	*(int *)arg = worker;
}

/* The table of this process answers within the call. */
static int
bind(struct registry *r, const char *name)
{
	int worker = -1000;
	struct registry_ask q = { on_answer, &worker };

	registry_bind(r, &q, name);
	registry_cancel(r, &q);
	return worker;
}

static void
names_go_where_the_fewest_are(void **state)
{
	struct registry *r = registry_new(3);

	(void)state;
	assert_int_equal(bind(r, "a"), 0);
	assert_int_equal(bind(r, "b"), 1);
	assert_int_equal(bind(r, "c"), 2);
	assert_int_equal(bind(r, "d"), 0);
	registry_release(r, "b");
	assert_int_equal(bind(r, "e"), 1);
	assert_int_equal(bind(r, "f"), 1);
	registry_free(r);
}

static void
a_name_stays_while_it_is_held(void **state)
{
	struct registry *r = registry_new(2);

	(void)state;
	assert_int_equal(bind(r, "a"), 0);
	assert_int_equal(bind(r, "b"), 1);
	assert_int_equal(bind(r, "b"), 1);
	assert_int_equal(bind(r, "c"), 0);
	registry_release(r, "b");
	assert_int_equal(bind(r, "b"), 1);
	registry_release(r, "b");
	registry_release(r, "b");
	/* Free: a new owner may be another worker. */
	registry_release(r, "a");
	registry_release(r, "c");
	assert_int_equal(bind(r, "b"), 0);
	registry_free(r);
}

static void
a_name_nobody_holds_is_released_without_harm(void **state)
{
	struct registry *r = registry_new(1);

	(void)state;
	registry_release(r, "never");
	assert_int_equal(bind(r, "a"), 0);
	registry_release(r, "a");
	registry_release(r, "a");
	assert_int_equal(bind(r, "a"), 0);
	registry_free(r);
	registry_free(NULL);
}

static void
without_memory_nothing_is_bound(void **state)
{
	int rc = ERR_NOMEM;
	long fail = 0;

	(void)state;
	for (; rc < 0; fail++) {
		struct registry *r;

		mem_fail_after(fail);
		r = registry_new(2);
		if (r != NULL)
			rc = bind(r, "a");
		mem_fail_after(MEM_NO_FAIL);
		if (r != NULL && rc < 0) {
			assert_int_equal(rc, ERR_NOMEM);
			assert_int_equal(bind(r, "b"), 0);
			assert_int_equal(bind(r, "c"), 1);
		}
		registry_free(r);
	}
	assert_true(fail > 3);
}

static void
round_trip(void)
{
	struct registry *r = registry_new(2);

	assert_int_equal(bind(r, "a"), 0);
	assert_int_equal(bind(r, "b"), 1);
	registry_release(r, "a");
	registry_free(r);
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
		cmocka_unit_test(names_go_where_the_fewest_are),
		cmocka_unit_test(a_name_stays_while_it_is_held),
		cmocka_unit_test(a_name_nobody_holds_is_released_without_harm),
		cmocka_unit_test(without_memory_nothing_is_bound),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
