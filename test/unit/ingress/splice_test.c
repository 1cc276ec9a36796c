/* SPDX-License-Identifier: ISC */
/*
 * splice_test - two connections joined: bytes, ends, breaks and time, as the programs at both ends
 * see them.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/ingress/splice.h"
#include "lib/base/mem.h"
#include "lib/net/f_sock.h"
#include "test/unit/heap.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

uint64_t __wrap_loop_now_ms(struct loop *l);
uint64_t __real_loop_now_ms(struct loop *l);
void __wrap_timer_set(struct timer *t, uint64_t ms);
void __real_timer_set(struct timer *t, uint64_t ms);

enum { MUCH = 3 * 1024 * 1024, IDLE_MS = 3600000 };

static struct fix {
	struct loop *l;
	/* The programs' ends. */
	int fd[SPLICE_SIDES];
	struct filter *f[SPLICE_SIDES];
	struct splice *s;
	/* What came of it. */
	int n_done;
	struct splice_result res;
	char text[128];
	/* The clock is ahead by this; a timer of so many milliseconds is over at once. */
	uint64_t skew_ms, hurried_ms;
} x;

uint64_t
__wrap_loop_now_ms(struct loop *l)
{
	return __real_loop_now_ms(l) + x.skew_ms;
}

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	__real_timer_set(t, ms == x.hurried_ms ? 0 : ms);
}

static void
on_done(void *arg, const struct splice_result *res)
{
	(void)arg;
	x.n_done++;
	x.res = *res;
	snprintf(x.text, sizeof x.text, "%s", res->text);
	x.s = NULL;
}

static void
make_ends(void)
{
	int fd[2];

	for (int i = 0; i < SPLICE_SIDES; i++) {
		sockpair_tcp(fd, true);
		x.fd[i] = fd[0];
		x.f[i] = f_sock_new(x.l, fd[1], false);
		assert_non_null(x.f[i]);
	}
}

static int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .l = loop_new(), .hurried_ms = UINT64_MAX };
	make_ends();
	x.s = splice_new(x.l, x.f[SPLICE_A], x.f[SPLICE_B], IDLE_MS, on_done, NULL);
	return x.s != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	if (x.s != NULL)
		splice_stop(x.s);
	for (int i = 0; i < SPLICE_SIDES; i++)
		if (x.fd[i] >= 0)
			close(x.fd[i]);
	loop_settle(x.l);
	loop_free(x.l);
	buf_pool_free();
	return 0;
}

/* ---- the programs ---- */

static void
say(int i, const char *text)
{
	assert_int_equal(write(x.fd[i], text, strlen(text)), (ssize_t)strlen(text));
}

struct wanted {
	int i;
	size_t n, got;
	char last[64];
	/* The end, when it is seen: 0, or errno. */
	bool over;
	int err;
};

static bool
has_read(void *arg)
{
	struct wanted *q = arg;
	char p[65536];
	ssize_t n;

	while (
	    !q->over && q->got < q->n &&
	    (n = read(x.fd[q->i], p, q->n - q->got < sizeof p ? q->n - q->got : sizeof p)) != -1) {
		q->over = n == 0;
		q->got += (size_t)n;
		if (n > 0 && (size_t)n < sizeof q->last) {
			memcpy(q->last, p, (size_t)n);
			q->last[n] = '\0';
		}
	}
	if (!q->over && q->got < q->n && errno != EAGAIN) {
		q->over = true;
		q->err = errno;
	}
	return q->over || q->got == q->n;
}

static void
hears(int i, const char *text)
{
	struct wanted q = { .i = i, .n = strlen(text) };

	assert_true(turns_until(x.l, has_read, &q));
	assert_string_equal(q.last, text);
}

/* What it sees behind n bytes: 0 is an end of file, else errno. */
static int
ends_after(int i, size_t n)
{
	struct wanted q = { .i = i, .n = SIZE_MAX };

	assert_true(turns_until(x.l, has_read, &q));
	assert_int_equal(q.got, n);
	return q.err;
}

static bool
is_done(void *arg)
{
	(void)arg;
	return x.n_done > 0;
}

static void
done(bool whole, enum splice_side side)
{
	assert_true(turns_until(x.l, is_done, NULL));
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.res.whole, whole);
	assert_int_equal(x.res.side, side);
}

static void
finish(int i)
{
	shutdown(x.fd[i], SHUT_WR);
}

static void
reset(int i)
{
	struct linger now = { 1, 0 };

	setsockopt(x.fd[i], SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(x.fd[i]);
	x.fd[i] = -1;
}

/* As much as goes without being read; returns how much. */
static size_t
stuff(int i)
{
	static char zeros[65536];
	size_t n = 0;
	ssize_t k;

	do {
		k = write(x.fd[i], zeros, sizeof zeros);
		n += k > 0 ? (size_t)k : 0;
	} while (k > 0);
	return n;
}

/* ---- tests ---- */

static void
bytes_pass_both_ways_and_each_half_ends_by_itself(void **state)
{
	(void)state;
	say(SPLICE_A, "question");
	hears(SPLICE_B, "question");
	finish(SPLICE_A);
	assert_int_equal(ends_after(SPLICE_B, 0), 0);
	assert_int_equal(x.n_done, 0);
	say(SPLICE_B, "answer");
	hears(SPLICE_A, "answer");
	finish(SPLICE_B);
	assert_int_equal(ends_after(SPLICE_A, 0), 0);
	done(true, SPLICE_A);
	assert_int_equal(x.res.bytes[SPLICE_A], 8);
	assert_int_equal(x.res.bytes[SPLICE_B], 6);
	assert_string_equal(x.text, "");
}

static void
what_stood_unread_goes_first(void **state)
{
	(void)state;
	splice_stop(x.s);
	for (int i = 0; i < SPLICE_SIDES; i++)
		close(x.fd[i]);
	make_ends();
	for (int i = 0; i < SPLICE_SIDES; i++) {
		filter_pause(x.f[i], true);
		assert_int_equal(bufq_copy(&x.f[i]->in, "early ", 6), 0);
	}
	x.s = splice_new(x.l, x.f[SPLICE_A], x.f[SPLICE_B], IDLE_MS, on_done, NULL);
	hears(SPLICE_A, "early ");
	hears(SPLICE_B, "early ");
}

static void
heed_closed(void *arg, int err, const char *text)
{
	(void)text;
	*(int *)arg = err;
}

static void
heed_nothing(void *arg)
{
	(void)arg;
}

static bool
is_eof(void *arg)
{
	return *(int *)arg == ERR_EOF;
}

/* A visitor may end its half while the service has yet to say 101. */
static void
an_end_that_was_told_of_before_is_passed_on(void **state)
{
	static const struct filter_user before = { heed_nothing, heed_nothing, heed_closed };
	int told = 0;

	(void)state;
	splice_stop(x.s);
	for (int i = 0; i < SPLICE_SIDES; i++)
		close(x.fd[i]);
	make_ends();
	filter_set_user(x.f[SPLICE_A], &before, &told);
	finish(SPLICE_A);
	assert_true(turns_until(x.l, is_eof, &told));
	filter_set_user(x.f[SPLICE_A], NULL, NULL);
	x.s = splice_new(x.l, x.f[SPLICE_A], x.f[SPLICE_B], IDLE_MS, on_done, NULL);
	assert_int_equal(ends_after(SPLICE_B, 0), 0);
}

/* Writes and reads at once, until both have n bytes from the other. */
struct flow {
	size_t n, sent[SPLICE_SIDES], got[SPLICE_SIDES];
	bool wrong;
};

static bool
has_flowed(void *arg)
{
	static uint8_t p[65536];
	struct flow *q = arg;

	for (int i = 0; i < SPLICE_SIDES; i++) {
		size_t left = q->n - q->sent[i], want = left < sizeof p ? left : sizeof p;
		ssize_t k;

		for (size_t j = 0; j < want; j++)
			p[j] = pattern(q->sent[i] + j);
		k = want > 0 ? write(x.fd[i], p, want) : 0;
		q->sent[i] += k > 0 ? (size_t)k : 0;
		k = read(x.fd[i], p, sizeof p);
		for (ssize_t j = 0; j < k; j++)
			q->wrong = q->wrong || p[j] != pattern(q->got[i] + (size_t)j);
		q->got[i] += k > 0 ? (size_t)k : 0;
	}
	return q->got[SPLICE_A] == q->n && q->got[SPLICE_B] == q->n;
}

static void
much_passes_unchanged(void **state)
{
	struct flow q = { .n = MUCH };

	(void)state;
	assert_true(turns_until(x.l, has_flowed, &q));
	assert_false(q.wrong);
	assert_int_equal(splice_bytes(x.s, SPLICE_A), MUCH);
	assert_int_equal(splice_bytes(x.s, SPLICE_B), MUCH);
}

static bool
stands_still(void *arg)
{
	size_t *turns = arg;

	stuff(SPLICE_B);
	return ++*turns >= 200;
}

static bool
some_turns(void *arg)
{
	return ++*(size_t *)arg >= 200;
}

static void
who_does_not_read_is_not_read_for(void **state)
{
	size_t turns = 0, before;

	(void)state;
	assert_true(turns_until(x.l, stands_still, &turns));
	before = splice_bytes(x.s, SPLICE_B);
	turns = 0;
	assert_true(turns_until(x.l, stands_still, &turns));
	assert_int_equal(splice_bytes(x.s, SPLICE_B), before);
	/* What stands here, beyond what the kernel has. */
	assert_true(filter_pending(x.f[SPLICE_A]) <= 2 * F_SOCK_TURN);
	/* The other way is free. */
	say(SPLICE_A, "still here");
	hears(SPLICE_B, "still here");
}

static void
a_reset_is_a_reset_behind_what_came(void **state)
{
	(void)state;
	say(SPLICE_B, "last words");
	hears(SPLICE_A, "last words");
	say(SPLICE_A, "unread");
	hears(SPLICE_B, "unread");
	reset(SPLICE_B);
	assert_int_equal(ends_after(SPLICE_A, 0), ECONNRESET);
	done(false, SPLICE_B);
	assert_string_not_equal(x.text, "");
}

static void
a_reset_of_the_visitor_reaches_the_service(void **state)
{
	(void)state;
	reset(SPLICE_A);
	assert_int_equal(ends_after(SPLICE_B, 0), ECONNRESET);
	done(false, SPLICE_A);
}

static void
a_reset_after_one_end_is_no_good_end(void **state)
{
	(void)state;
	finish(SPLICE_A);
	assert_int_equal(ends_after(SPLICE_B, 0), 0);
	reset(SPLICE_B);
	assert_int_equal(ends_after(SPLICE_A, 0), ECONNRESET);
	done(false, SPLICE_A);
}

static void
last_bytes_have_their_time_and_no_more(void **state)
{
	size_t turns = 0;

	(void)state;
	assert_true(turns_until(x.l, stands_still, &turns));
	reset(SPLICE_B);
	turns = 0;
	assert_true(turns_until(x.l, some_turns, &turns));
	assert_int_equal(x.n_done, 0);
	x.skew_ms += SPLICE_LINGER_MS;
	done(false, SPLICE_B);
}

static void
the_relays_end_resets_both(void **state)
{
	(void)state;
	say(SPLICE_A, "hello");
	hears(SPLICE_B, "hello");
	splice_stop(x.s);
	x.s = NULL;
	assert_int_equal(ends_after(SPLICE_A, 0), ECONNRESET);
	assert_int_equal(ends_after(SPLICE_B, 0), ECONNRESET);
	assert_int_equal(x.n_done, 0);
}

static void
silence_ends_it(void **state)
{
	(void)state;
	teardown(NULL);
	x.l = loop_new();
	make_ends();
	x.hurried_ms = IDLE_MS;
	x.s = splice_new(x.l, x.f[SPLICE_A], x.f[SPLICE_B], IDLE_MS, on_done, NULL);
	x.skew_ms = IDLE_MS;
	done(false, SPLICE_SIDES);
	assert_non_null(strstr(x.text, "nothing has moved"));
	assert_int_equal(ends_after(SPLICE_A, 0), ECONNRESET);
	assert_int_equal(ends_after(SPLICE_B, 0), ECONNRESET);
}

static void
either_direction_counts(void **state)
{
	(void)state;
	for (int i = 0; i < SPLICE_SIDES; i++) {
		teardown(NULL);
		x.l = loop_new();
		make_ends();
		x.skew_ms = 0;
		x.hurried_ms = UINT64_MAX;
		x.s = splice_new(x.l, x.f[SPLICE_A], x.f[SPLICE_B], IDLE_MS, on_done, NULL);
		x.skew_ms = IDLE_MS - 60000;
		say(i, "ping");
		hears(1 - i, "ping");
		x.skew_ms = IDLE_MS + 60000;
		say(1 - i, "pong");
		hears(i, "pong");
		assert_int_equal(x.n_done, 0);
	}
}

static void
want_of_memory_takes_nothing(void **state)
{
	struct splice *s;

	(void)state;
	splice_stop(x.s);
	x.s = NULL;
	for (int i = 0; i < SPLICE_SIDES; i++)
		close(x.fd[i]);
	make_ends();
	mem_fail_after(0);
	s = splice_new(x.l, x.f[SPLICE_A], x.f[SPLICE_B], IDLE_MS, on_done, NULL);
	mem_fail_after(-1);
	assert_null(s);
	for (int i = 0; i < SPLICE_SIDES; i++)
		filter_free(x.f[i]);
}

static void
round_trip(void)
{
	assert_int_equal(setup(NULL), 0);
	bytes_pass_both_ways_and_each_half_ends_by_itself(NULL);
	assert_int_equal(teardown(NULL), 0);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_pass_both_ways_and_each_half_ends_by_itself),
		TEST(what_stood_unread_goes_first),
		TEST(an_end_that_was_told_of_before_is_passed_on),
		TEST(much_passes_unchanged),
		TEST(who_does_not_read_is_not_read_for),
		TEST(a_reset_is_a_reset_behind_what_came),
		TEST(a_reset_of_the_visitor_reaches_the_service),
		TEST(a_reset_after_one_end_is_no_good_end),
		TEST(last_bytes_have_their_time_and_no_more),
		TEST(the_relays_end_resets_both),
		TEST(silence_ends_it),
		TEST(either_direction_counts),
		TEST(want_of_memory_takes_nothing),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
