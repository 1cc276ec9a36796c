/* SPDX-License-Identifier: ISC */
/*
 * ports_test - each port has one taker at a time, and a service that asks for any port finds the
 * one it had.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/ingress/ports.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"

/* What the next tries of ports are answered; the last answer stays. */
struct script {
	int answer[8];
	int i, n;
	/* the ports that were tried */
	uint16_t tried[PORTS_TRIES_MAX + 1];
	int n_tried;
	/* the one that the owner may have; 0: all */
	uint16_t only;
};

static int
try(void *arg, uint16_t port)
{
	struct script *s = arg;

	if (s->n_tried < (int)(sizeof s->tried / sizeof s->tried[0]))
		s->tried[s->n_tried++] = port;
	return s->answer[s->i + 1 < s->n ? s->i++ : s->i];
}

static uint16_t
next(void *arg, uint16_t port)
{
	const struct script *s = arg;

	if (s->only == 0)
		return port;
	return port <= s->only ? s->only : 0;
}

static int
take_by(struct ports *t, const char *owner, uint16_t want, uint16_t had, struct script *s,
    uint16_t *port)
{
	const struct ports_user u = { next, try, s };

	return ports_take(t, false, owner, want, had, &u, port);
}

static int
take(struct ports *t, const char *owner, uint16_t want, uint16_t had, uint16_t *port)
{
	struct script s = { .n = 1 };

	return take_by(t, owner, want, had, &s, port);
}

static uint16_t
any(struct ports *t, const char *owner)
{
	uint16_t port = 0;

	assert_int_equal(take(t, owner, 0, 0, &port), 0);
	return port;
}

static void
a_port_that_is_wanted_has_one_taker(void **state)
{
	struct ports *t = ports_new(100, 102);
	uint16_t port = 0;

	(void)state;
	assert_int_equal(take(t, "a", 101, 0, &port), 0);
	assert_int_equal(port, 101);
	assert_int_equal(take(t, "b", 101, 0, &port), ERR_EXISTS);
	assert_int_equal(take(t, "a", 101, 0, &port), ERR_EXISTS);
	assert_int_equal(take(t, "b", 99, 0, &port), ERR_DENIED);
	assert_int_equal(take(t, "b", 103, 0, &port), ERR_DENIED);
	assert_int_equal(take(t, "b", 100, 0, &port), 0);
	assert_int_equal(take(t, "b", 102, 0, &port), 0);
	ports_release(t, false, 101);
	assert_int_equal(take(t, "b", 101, 0, &port), 0);
	/* Nobody's business. */
	ports_release(t, false, 99);
	ports_release(t, false, 103);
	ports_free(t);
}

static void
any_port_is_the_one_it_had(void **state)
{
	struct ports *t = ports_new(100, 104);
	uint16_t port = 0;

	(void)state;
	assert_int_equal(any(t, "a"), 100);
	assert_int_equal(any(t, "b"), 101);
	ports_release(t, false, 100);
	ports_release(t, false, 101);
	/* Others take what was nobody's first. */
	assert_int_equal(any(t, "c"), 102);
	assert_int_equal(any(t, "b"), 101);
	assert_int_equal(any(t, "a"), 100);
	/* A process that knows nothing of it is told by the agent. */
	assert_int_equal(take(t, "d", 0, 104, &port), 0);
	assert_int_equal(port, 104);
	/* What another has is not to be had. */
	assert_int_equal(take(t, "e", 0, 104, &port), 0);
	assert_int_equal(port, 103);
	assert_int_equal(take(t, "f", 0, 0, &port), ERR_LIMIT);
	/* Of those who are away the first one's is taken, when nothing else is left. */
	ports_release(t, false, 102);
	assert_int_equal(any(t, "f"), 102);
	ports_release(t, false, 102);
	assert_int_equal(take(t, "c", 0, 200, &port), 0);
	assert_int_equal(port, 102);
	ports_free(t);
}

static void
a_port_that_cannot_be_had_is_not_remembered(void **state)
{
	struct ports *t = ports_new(100, 104);
	struct script s = { { ERR_EXISTS, ERR_DENIED, 0 }, .n = 3 };
	uint16_t port = 0;

	(void)state;
	assert_int_equal(take_by(t, "a", 0, 0, &s, &port), 0);
	assert_int_equal(port, 102);
	assert_int_equal(s.n_tried, 3);
	assert_int_equal(any(t, "b"), 100);
	ports_release(t, false, 102);
	assert_int_equal(any(t, "a"), 102);
	/* One that is wanted is tried alone. */
	s = (struct script){ { ERR_EXISTS }, .n = 1 };
	assert_int_equal(take_by(t, "c", 103, 0, &s, &port), ERR_EXISTS);
	assert_int_equal(s.n_tried, 1);
	assert_int_equal(take(t, "d", 103, 0, &port), 0);
	ports_free(t);
}

static void
another_error_ends_the_search(void **state)
{
	struct ports *t = ports_new(100, 104);
	struct script s = { { ERR_EXISTS, ERR_SYS }, .n = 2 };
	uint16_t port = 0;

	(void)state;
	assert_int_equal(take_by(t, "a", 0, 0, &s, &port), ERR_SYS);
	assert_int_equal(s.n_tried, 2);
	assert_int_equal(any(t, "b"), 100);
	assert_int_equal(any(t, "c"), 101);
	ports_free(t);
}

static void
the_search_has_an_end(void **state)
{
	static struct script s;
	struct ports *t = ports_new(1, 65535);
	uint16_t port = 0;

	(void)state;
	s = (struct script){ { ERR_EXISTS }, .n = 1 };
	assert_int_equal(take_by(t, "a", 0, 0, &s, &port), ERR_LIMIT);
	assert_int_equal(s.n_tried, PORTS_TRIES_MAX);
	assert_int_equal(s.tried[0], 1);
	assert_int_equal(s.tried[PORTS_TRIES_MAX - 1], PORTS_TRIES_MAX);
	ports_free(t);
}

static void
what_the_owner_may_not_have_is_no_try(void **state)
{
	static struct script s;
	struct ports *t = ports_new(1, 65535);
	uint16_t port = 0;

	(void)state;
	/* It may have the last one alone. */
	s = (struct script){ .n = 1, .only = 65535 };
	assert_int_equal(take_by(t, "a", 0, 0, &s, &port), 0);
	assert_int_equal(port, 65535);
	assert_int_equal(s.n_tried, 1);
	assert_int_equal(take_by(t, "b", 0, 0, &s, &port), ERR_LIMIT);
	ports_free(t);
}

static void
another_port_takes_the_place_of_the_one_before(void **state)
{
	struct ports *t = ports_new(100, 104);
	uint16_t port = 0;
	size_t n;
	char *text;

	(void)state;
	assert_int_equal(any(t, "a"), 100);
	/* As when an agent asks for another port: the old one is released later. */
	assert_int_equal(take(t, "a", 103, 0, &port), 0);
	ports_release(t, false, 100);
	ports_release(t, false, 103);
	text = ports_dump(t, &n);
	assert_string_equal(text, "{\"103\":\"a\"}");
	mem_free(text);
	assert_int_equal(any(t, "a"), 103);
	ports_free(t);
}

static void
what_was_dumped_is_known_again(void **state)
{
	struct ports *t = ports_new(100, 104), *later = ports_new(102, 110);
	struct errtext e = { "" };
	uint16_t port = 0;
	size_t n = 0;
	char *text;

	(void)state;
	assert_int_equal(take(t, "pi/tcp/ssh", 103, 0, &port), 0);
	assert_int_equal(any(t, "pi/tcp/web"), 100);
	ports_release(t, false, 103);
	text = ports_dump(t, &n);
	assert_non_null(text);
	assert_string_equal(text, "{\"100\":\"pi/tcp/web\",\"103\":\"pi/tcp/ssh\"}");
	assert_int_equal(n, strlen(text));
	/* Another range: what is not in it is left out. */
	assert_int_equal(ports_load(later, text, n, &e), 0);
	assert_int_equal(any(later, "pi/tcp/ssh"), 103);
	assert_int_equal(any(later, "pi/tcp/web"), 102);
	mem_free(text);
	ports_free(t);
	ports_free(later);
}

static void
a_number_is_a_port_of_each(void **state)
{
	const struct ports_user u = { next, try, &(struct script){ .n = 1 } };
	struct ports *t = ports_new(100, 104), *later = ports_new(100, 104);
	uint16_t port = 0;
	size_t n = 0;
	char *text;

	(void)state;
	assert_int_equal(take(t, "pi/tcp/iperf", 103, 0, &port), 0);
	assert_int_equal(ports_take(t, true, "pi/udp/iperf", 103, 0, &u, &port), 0);
	assert_int_equal(ports_take(t, true, "pi/udp/other", 103, 0, &u, &port), ERR_EXISTS);
	ports_release(t, false, 103);
	assert_int_equal(ports_take(t, true, "pi/udp/other", 103, 0, &u, &port), ERR_EXISTS);
	ports_release(t, true, 103);
	text = ports_dump(t, &n);
	assert_string_equal(text, "{\"103\":\"pi/tcp/iperf\",\"103/udp\":\"pi/udp/iperf\"}");
	assert_int_equal(ports_load(later, text, n, NULL), 0);
	assert_int_equal(ports_take(later, true, "pi/udp/iperf", 0, 0, &u, &port), 0);
	assert_int_equal(port, 103);
	mem_free(text);
	ports_free(t);
	ports_free(later);
}

static void
what_is_no_dump_is_refused(void **state)
{
	static const char *const bad[] = { "", "[1", "{\"x\":\"a\"}", "{\"0\":\"a\"}",
		"{\"65536\":\"a\"}", "{\"100\":7}", "{\"100\":null}", "{\"100/\":\"a\"}",
		"{\"100/tcp\":\"a\"}", "{\"100/udp/\":\"a\"}", "{\"/udp\":\"a\"}" };
	struct ports *t = ports_new(100, 104);
	char longest[PORTS_OWNER_MAX + 32];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct errtext e = { "" };

		assert_int_equal(ports_load(t, bad[i], strlen(bad[i]), &e), ERR_INVALID);
		assert_true(e.s[0] != '\0');
	}
	snprintf(longest, sizeof longest, "{\"100\":\"%0*d\"}", PORTS_OWNER_MAX, 0);
	assert_int_equal(ports_load(t, longest, strlen(longest), NULL), 0);
	snprintf(longest, sizeof longest, "{\"101\":\"%0*d\"}", PORTS_OWNER_MAX + 1, 0);
	assert_int_equal(ports_load(t, longest, strlen(longest), NULL), ERR_INVALID);
	ports_free(t);
}

static void
dump_and_load(void)
{
	what_was_dumped_is_known_again(NULL);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(dump_and_load);
}

static void
without_memory_nothing_is_taken(void **state)
{
	struct ports *t;
	uint16_t port = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		mem_fail_after(i);
		t = ports_new(100, 104);
		mem_fail_after(MEM_NO_FAIL);
		assert_null(t);
	}
	t = ports_new(100, 104);
	assert_non_null(t);
	mem_fail_after(0);
	assert_int_equal(take(t, "a", 101, 0, &port), ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
	assert_int_equal(take(t, "b", 101, 0, &port), 0);
	ports_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_that_is_wanted_has_one_taker),
		cmocka_unit_test(any_port_is_the_one_it_had),
		cmocka_unit_test(a_port_that_cannot_be_had_is_not_remembered),
		cmocka_unit_test(another_error_ends_the_search),
		cmocka_unit_test(the_search_has_an_end),
		cmocka_unit_test(what_the_owner_may_not_have_is_no_try),
		cmocka_unit_test(another_port_takes_the_place_of_the_one_before),
		cmocka_unit_test(what_was_dumped_is_known_again),
		cmocka_unit_test(a_number_is_a_port_of_each),
		cmocka_unit_test(what_is_no_dump_is_refused),
		cmocka_unit_test(everything_is_given_back),
		cmocka_unit_test(without_memory_nothing_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
