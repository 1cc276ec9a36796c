/* SPDX-License-Identifier: ISC */
/* pump_fail_test - a pump between a socket and a stream of the test's, one of which fails. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/common/pump.h"
#include "lib/base/mem.h"
#include "lib/net/f_sock.h"
#include "test/unit/fakesession.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

static struct loop *l;
static struct fake_stream *st;
static struct filter *f;
static struct pump *pump;
static int app, n_done;
static struct pump_result result;

static void
on_done(void *arg, const struct pump_result *res)
{
	(void)arg;
	n_done++;
	result = *res;
	pump = NULL;
}

static int
setup(void **state)
{
	static const struct session_user user;
	struct ctl_open o = { .protocol = "tcp" };
	struct fake_session *s = fake_new();
	int fd[2];

	(void)state;
	l = loop_new();
	session_set_user(&s->s, &user, NULL);
	assert_non_null(session_open(&s->s, &o, NULL, NULL, NULL, NULL));
	st = s->stream[0];
	sockpair_tcp(fd, true);
	app = fd[1];
	f = f_sock_new(l, fd[0], false);
	assert_non_null(f);
	n_done = 0;
	pump = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (pump != NULL)
		pump_stop(pump, CODE_GONE, "");
	loop_settle(l);
	loop_free(l);
	close(app);
	fake_free_all();
	buf_pool_free();
	return 0;
}

static void
start(void)
{
	pump = pump_new(l, f, &st->s, on_done, NULL);
	assert_non_null(pump);
	pump_start(pump);
}

static bool
is_done(void *arg)
{
	(void)arg;
	return n_done > 0;
}

static bool
app_is_reset(void *arg)
{
	bool *yes = arg;
	char byte;

	/* It is told once. */
	*yes = *yes || (recv(app, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET);
	return *yes;
}

static void
a_stream_that_takes_nothing_ends_both(void **state)
{
	bool reset = false;

	(void)state;
	st->fail = true;
	start();
	assert_int_equal(send(app, "hello", 5, MSG_NOSIGNAL), 5);
	assert_true(turns_until(l, is_done, NULL));
	assert_int_equal(n_done, 1);
	assert_int_equal(result.code, CODE_INTERNAL);
	assert_true(result.local);
	assert_string_equal(result.text, "out of memory");
	assert_int_equal(result.to_stream, 0);
	assert_true(st->reset);
	assert_int_equal(st->code, CODE_INTERNAL);
	assert_true(turns_until(l, app_is_reset, &reset));
}

static bool
has_sent(void *text)
{
	return fake_got(st, text);
}

static bool
has_turned(void *left)
{
	return --*(int *)left <= 0;
}

/* Each allocation fails once; stream and filter are still the caller's, and can be tried again. */
static void
without_memory_there_is_no_pump(void **state)
{
	int n_failed = 0;

	(void)state;
	for (long n = 0; pump == NULL && n < 10; n++) {
		mem_fail_after(n);
		pump = pump_new(l, f, &st->s, on_done, NULL);
		mem_fail_after(MEM_NO_FAIL);
		n_failed += pump == NULL;
	}
	assert_true(n_failed > 0);
	assert_non_null(pump);
	pump_start(pump);
	assert_int_equal(send(app, "hello", 5, MSG_NOSIGNAL), 5);
	assert_true(turns_until(l, has_sent, "hello"));
	assert_int_equal(n_done, 0);
}

static void
a_result_counts_the_bytes_of_each_way(void **state)
{
	char got[8];

	(void)state;
	start();
	fake_data(st, "abc");
	assert_int_equal(send(app, "hello", 5, MSG_NOSIGNAL), 5);
	assert_true(turns_until(l, has_sent, "hello"));
	st->s.user->eof(st->s.arg);
	shutdown(app, SHUT_WR);
	while (!st->eof)
		assert_true(turns_until(l, has_sent, "hello"));
	st->s.user->acked(st->s.arg, 5, true);
	fake_end(st, CODE_OK, "");
	assert_true(turns_until(l, is_done, NULL));
	assert_int_equal(result.code, CODE_OK);
	assert_false(result.local);
	assert_int_equal(result.to_stream, 5);
	assert_int_equal(result.from_stream, 3);
	/* A good end is no reset. */
	assert_int_equal(recv(app, got, sizeof got, MSG_WAITALL), 3);
	assert_int_equal(recv(app, got, sizeof got, 0), 0);
}

/*
 * The stream is over, and the application has not read all that it was sent: the break waits for
 * it, whatever of the rest the kernel takes meanwhile.
 */
static void
a_break_waits_for_what_is_still_to_be_read(void **state)
{
	enum { PIECE = 100000, PIECES = 60 };
	static char piece[PIECE + 1], got[PIECE];
	size_t n = 0;
	ssize_t k;

	(void)state;
	memset(piece, 'x', PIECE);
	start();
	for (int i = 0; i < PIECES; i++)
		fake_data(st, piece);
	loop_settle(l);
	fake_end(st, CODE_RESET, "on purpose");
	assert_int_equal(n_done, 0);
	while (n < (size_t)PIECE * PIECES) {
		bool read_some = false;

		while ((k = recv(app, got, sizeof got, MSG_DONTWAIT)) > 0) {
			n += (size_t)k;
			read_some = true;
		}
		assert_true(k < 0 && errno == EAGAIN);
		assert_true(n == (size_t)PIECE * PIECES || n_done == 0);
		if (!read_some)
			turns_until(l, has_turned, &(int){ 3 });
	}
	assert_true(turns_until(l, is_done, NULL));
	assert_int_equal(result.code, CODE_RESET);
}

/* The socket's bytes may be under way before the answer; the stream's may not. */
static void
what_is_awaited_opens_the_way_back(void **state)
{
	const struct ctl_open_ok ok = { 0 };
	char got[8];

	(void)state;
	start();
	pump_await(pump);
	assert_int_equal(send(app, "hello", 5, MSG_NOSIGNAL), 5);
	assert_true(turns_until(l, has_sent, "hello"));
	st->s.user->opened(st->s.arg, &ok);
	fake_data(st, "abc");
	loop_settle(l);
	assert_int_equal(n_done, 0);
	assert_int_equal(recv(app, got, sizeof got, 0), 3);
	/* It is said once; more of it changes nothing. */
	st->s.user->opened(st->s.arg, &ok);
	st->s.user->eof(st->s.arg);
	loop_settle(l);
	assert_int_equal(n_done, 0);
	assert_int_equal(recv(app, got, sizeof got, 0), 0);
}

static void
what_comes_before_the_answer_is_refused(void **state)
{
	bool reset = false;

	(void)state;
	start();
	pump_await(pump);
	fake_data(st, "abc");
	assert_int_equal(n_done, 1);
	assert_int_equal(result.code, CODE_PROTOCOL);
	assert_string_equal(result.text, PUMP_TOO_EARLY);
	assert_false(result.local);
	assert_int_equal(result.from_stream, 0);
	assert_true(st->reset);
	assert_int_equal(st->code, CODE_PROTOCOL);
	assert_string_equal(st->text, PUMP_TOO_EARLY);
	assert_true(turns_until(l, app_is_reset, &reset));
}

static void
an_end_before_the_answer_is_refused(void **state)
{
	(void)state;
	start();
	pump_await(pump);
	st->s.user->eof(st->s.arg);
	assert_int_equal(n_done, 1);
	assert_int_equal(result.code, CODE_PROTOCOL);
	assert_true(st->reset);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_stream_that_takes_nothing_ends_both),
		T(without_memory_there_is_no_pump),
		T(a_result_counts_the_bytes_of_each_way),
		T(a_break_waits_for_what_is_still_to_be_read),
		T(what_is_awaited_opens_the_way_back),
		T(what_comes_before_the_answer_is_refused),
		T(an_end_before_the_answer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
