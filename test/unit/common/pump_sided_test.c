/* SPDX-License-Identifier: ISC */
/*
 * pump_sided_test - the pump on a stream whose protocol has no half-close and no acknowledgements.
 *
 * link: -Wl,--wrap=timer_set
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/common/pump.h"
#include "lib/net/f_sock.h"
#include "test/unit/fakesession.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

enum { QUIET_MS = 4321, BULK = 4 * 1024 * 1024 };

void __wrap_timer_set(struct timer *t, uint64_t ms);
void __real_timer_set(struct timer *t, uint64_t ms);

static struct {
	struct loop *l;
	struct fake_session *f;
	struct fake_stream *s;
	struct pump *pump;
	/* The pump's. */
	struct filter *filter;
	int app, n_done;
	uint32_t code;
	bool local;
	/* The last timer that was set: so many milliseconds pass at once. */
	struct timer *timer;
	uint64_t timer_ms;
} x;

/* Time is the test's: see fire(). */
void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	x.timer = t;
	x.timer_ms = ms;
}

static void
on_done(void *arg, const struct pump_result *res)
{
	(void)arg;
	x.n_done++;
	x.code = res->code;
	x.local = res->local;
	x.pump = NULL;
}

static int
setup(void **state)
{
	(void)state;
	memset(&x, 0, sizeof x);
	x.l = loop_new();
	x.f = fake_new();
	x.f->s.can = 0;
	return 0;
}

/* quiet_ms: of pump_one_sided; UINT64_MAX: it is the other side that was opened. */
static void
begin(uint64_t quiet_ms)
{
	struct ctl_open o = { .protocol = "tcp" };
	struct errtext why;
	struct filter *f;
	int fd[2], small = 65536;

	sockpair_tcp(fd, true);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	x.app = fd[1];
	f = f_sock_new(x.l, fd[0], false);
	assert_non_null(f);
	x.filter = f;
	x.s = (struct fake_stream *)session_open(&x.f->s, &o, NULL, NULL, NULL, &why);
	x.pump = pump_new(x.l, f, &x.s->s, on_done, NULL);
	assert_non_null(x.pump);
	if (quiet_ms != UINT64_MAX)
		pump_one_sided(x.pump, quiet_ms);
	pump_start(x.pump);
}

static int
teardown(void **state)
{
	(void)state;
	if (x.pump != NULL)
		pump_stop(x.pump, CODE_GONE, "");
	close(x.app);
	loop_settle(x.l);
	loop_free(x.l);
	fake_free_all();
	buf_pool_free();
	return 0;
}

static void
turn(void)
{
	turns_some(x.l, 20);
}

static void
fire(void)
{
	assert_non_null(x.timer);
	x.timer->fn(x.timer->arg);
}

/* What the application sees: bytes, 0 for an end, or -errno. */
static ssize_t
app_sees(void)
{
	char got[64];
	ssize_t n;

	turn();
	n = read(x.app, got, sizeof got);
	return n >= 0 ? n : -errno;
}

/* The relay sends more than the sockets take. */
static void
send_bulk(void)
{
	static char bulk[BULK];
	struct bufq q = { 0 };

	memset(bulk, 'x', sizeof bulk);
	for (size_t at = 0; at < sizeof bulk; at += 50000) {
		assert_int_equal(
		    bufq_copy(&q, bulk + at, sizeof bulk - at < 50000 ? sizeof bulk - at : 50000),
		    0);
		x.s->s.user->data(x.s->s.arg, &q);
		bufq_fini(&q);
	}
	turn();
}

static bool
app_reads_all(void *arg)
{
	static char got[65536];
	size_t *n = arg;
	ssize_t k;

	while ((k = read(x.app, got, sizeof got)) > 0)
		*n += (size_t)k;
	return k == 0;
}

static void
the_local_end_says_nothing_and_the_answer_comes(void **state)
{
	(void)state;
	begin(QUIET_MS);
	assert_int_equal(shutdown(x.app, SHUT_WR), 0);
	turn();
	assert_false(x.s->eof);
	assert_int_equal(x.timer_ms, QUIET_MS);
	x.timer_ms = 0;
	fake_data(x.s, "answer");
	assert_int_equal(x.timer_ms, QUIET_MS);
	assert_int_equal(app_sees(), 6);
	fake_end(x.s, CODE_OK, "");
	assert_int_equal(app_sees(), 0);
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.code, CODE_OK);
}

static void
silence_after_it_ends_the_stream(void **state)
{
	(void)state;
	begin(QUIET_MS);
	assert_int_equal(shutdown(x.app, SHUT_WR), 0);
	turn();
	fire();
	assert_true(x.s->reset);
	assert_int_equal(x.code, CODE_CANCELLED);
	assert_int_equal(app_sees(), -ECONNRESET);
}

static void
standard_input_may_end_for_ever(void **state)
{
	(void)state;
	begin(0);
	assert_int_equal(shutdown(x.app, SHUT_WR), 0);
	turn();
	assert_null(x.timer);
	fake_data(x.s, "late");
	assert_int_equal(app_sees(), 4);
}

static void
a_program_that_breaks_after_its_end_ends_the_stream(void **state)
{
	const struct linger hard = { 1, 0 };

	(void)state;
	begin(0);
	assert_int_equal(shutdown(x.app, SHUT_WR), 0);
	turn();
	setsockopt(x.app, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(x.app);
	x.app = -1;
	turn();
	/* It may have been noticed already. */
	if (x.n_done == 0)
		fake_data(x.s, "to nobody");
	turn();
	assert_int_equal(x.n_done, 1);
	assert_true(x.s->reset);
	assert_int_equal(x.code, CODE_RESET);
}

static void
a_target_that_ends_ends_the_stream(void **state)
{
	(void)state;
	begin(UINT64_MAX);
	assert_int_equal(shutdown(x.app, SHUT_WR), 0);
	turn();
	assert_true(x.s->eof);
	fake_end(x.s, CODE_OK, "");
	assert_int_equal(app_sees(), 0);
	assert_int_equal(x.code, CODE_OK);
}

static void
the_last_bytes_arrive_when_the_stream_has_gone(void **state)
{
	size_t n = 0;

	(void)state;
	begin(QUIET_MS);
	send_bulk();
	fake_end(x.s, CODE_OK, "");
	assert_int_equal(x.n_done, 0);
	assert_int_equal(x.timer_ms, PUMP_LINGER_MS);
	assert_true(turns_until(x.l, app_reads_all, &n));
	assert_int_equal(n, BULK);
	turn();
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.code, CODE_OK);
}

static void
who_does_not_take_them_is_reset(void **state)
{
	(void)state;
	begin(UINT64_MAX);
	send_bulk();
	fake_end(x.s, CODE_OK, "");
	fire();
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.code, CODE_TIMEOUT);
	assert_true(x.local);
	assert_int_equal(read(x.app, &(char){ 0 }, 1) == 0, 0);
}

static void
what_others_wrote_is_not_the_streams(void **state)
{
	(void)state;
	begin(0);
	assert_int_equal(filter_send(x.filter, "an answer", 9), 0);
	filter_flush(x.filter);
	turn();
	assert_int_equal(x.s->consumed, 0);
	fake_data(x.s, "bytes");
	turn();
	assert_int_equal(x.s->consumed, 5);
	assert_int_equal(x.s->acked, 5);
	assert_int_equal(app_sees(), 14);
}

static void
a_stream_that_was_cut_is_a_reset(void **state)
{
	(void)state;
	begin(0);
	fake_end(x.s, CODE_LOST, "cut");
	assert_int_equal(app_sees(), -ECONNRESET);
	assert_int_equal(x.code, CODE_LOST);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_local_end_says_nothing_and_the_answer_comes),
		T(silence_after_it_ends_the_stream),
		T(standard_input_may_end_for_ever),
		T(a_program_that_breaks_after_its_end_ends_the_stream),
		T(a_target_that_ends_ends_the_stream),
		T(the_last_bytes_arrive_when_the_stream_has_gone),
		T(who_does_not_take_them_is_reset),
		T(what_others_wrote_is_not_the_streams),
		T(a_stream_that_was_cut_is_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
