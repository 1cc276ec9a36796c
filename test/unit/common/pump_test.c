/* SPDX-License-Identifier: ISC */
/*
 * pump_test - a socket and a stream: bytes, ends, breaks, with a session in memory and a real pair
 * of sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/common/pump.h"
#include "lib/base/clock.h"
#include "lib/net/f_sock.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"
#include "test/unit/muxpair.h"
#include "test/unit/sockpair.h"

/*
 * The far endpoint is a.side; the near one a pump, whose socket's other end (app) the test holds.
 */
struct fix {
	struct loop *l;
	struct net *net;
	struct side a;
	struct pump *pump;
	/* The application's end, and the pump's. */
	int app, pump_fd;
	int n_done;
	uint32_t code;
	bool local;
	uint64_t to_stream, from_stream;
	struct task stop;
	/* what the application has read */
	uint8_t got[4 << 20];
	size_t n_got;
	bool app_eof;
	int app_error;
};

static void
on_done(void *arg, const struct pump_result *res)
{
	struct fix *x = arg;

	x->n_done++;
	x->code = res->code;
	x->local = res->local;
	x->to_stream = res->to_stream;
	x->from_stream = res->from_stream;
	x->pump = NULL;
}

static void
on_stop(void *arg)
{
	loop_stop(arg);
}

/* One turn of the loop, and of the session. */
static void
turn(struct fix *x)
{
	net_run(x->net);
	task_soon(x->l, &x->stop);
	assert_int_equal(loop_run(x->l), 0);
	net_run(x->net);
}

#define TURN_UNTIL(x, cond)                                  \
	do {                                                 \
		uint64_t late = clock_mono_ms() + 10000;     \
		while (!(cond)) {                            \
			assert_true(clock_mono_ms() < late); \
			turn(x);                             \
		}                                            \
	} while (0)

static void
fix_pump(struct fix *x, struct filter *f)
{
	x->pump = pump_new(x->l, f, net_agent(x->net)->side[0].s, on_done, x);
	assert_non_null(x->pump);
	pump_start(x->pump);
}

/* All but the pump, for the socket's filter. */
static struct fix *
fix_begin(bool tcp, struct filter **f)
{
	struct fix *x = mem_must_zalloc(sizeof *x);
	int fd[2], small = 65536;

	if (tcp)
		sockpair_tcp(fd, false);
	else
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	x->app = fd[1];
	x->pump_fd = fd[0];
	x->l = loop_new();
	x->net = net_new(NULL, NULL);
	task_init(&x->stop, on_stop, x->l);
	assert_true(side_open(&x->a, net_client(x->net)));
	net_run(x->net);
	*f = f_sock_new(x->l, fd[0], false);
	assert_non_null(*f);
	return x;
}

static struct fix *
fix_new(bool tcp)
{
	struct filter *f;
	struct fix *x = fix_begin(tcp, &f);

	fix_pump(x, f);
	return x;
}

static void
fix_free(struct fix *x)
{
	if (x->pump != NULL)
		pump_stop(x->pump, CODE_GONE, "");
	loop_settle(x->l);
	net_free(x->net);
	side_fini(&x->a);
	loop_free(x->l);
	if (x->app >= 0)
		close(x->app);
	mem_free(x);
	buf_pool_free();
}

/*
 * The application reads at most max bytes more; returns whether it has all it will get or as many
 * as asked.
 */
static bool
app_reads(struct fix *x, size_t max)
{
	while (max > 0 && x->n_got < sizeof x->got) {
		size_t k = sizeof x->got - x->n_got < max ? sizeof x->got - x->n_got : max;
		ssize_t n = read(x->app, x->got + x->n_got, k);

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0)
			x->app_error = errno;
		if (n <= 0) {
			x->app_eof = true;
			return true;
		}
		x->n_got += (size_t)n;
		max -= (size_t)n;
	}
	return true;
}

/* side_check compares what arrived at a side: lend it what the application has read. */
static bool
app_has(struct fix *x, size_t n)
{
	struct side s = { 0 };
	bool ok;

	assert_int_equal(bufq_copy(&s.got, x->got, x->n_got), 0);
	ok = side_check(&s, n);
	side_fini(&s);
	return ok;
}

static void
bytes_and_ends_pass_each_way(void **state)
{
	struct fix *x = fix_new(false);

	(void)state;
	assert_int_equal(side_send(&x->a, 1000000), 0);
	stream_eof(x->a.s);
	TURN_UNTIL(x, app_reads(x, SIZE_MAX));
	assert_true(app_has(x, 1000000));
	assert_int_equal(x->app_error, 0);
	TURN_UNTIL(x, x->a.acked_eof);
	assert_int_equal(x->a.acked, 1000000);
	/* The other direction still works. */
	assert_int_equal(write(x->app, "answer", 6), 6);
	assert_int_equal(shutdown(x->app, SHUT_WR), 0);
	TURN_UNTIL(x, x->a.eof);
	assert_int_equal(x->a.got.len, 6);
	TURN_UNTIL(x, x->n_done == 1 && x->a.closed);
	assert_int_equal(x->code, CODE_OK);
	assert_int_equal(x->from_stream, 1000000);
	assert_int_equal(x->to_stream, 6);
	fix_free(x);
}

static void
a_slow_reader_is_not_overrun_and_acknowledges_what_it_took(void **state)
{
	struct fix *x = fix_new(false);

	(void)state;
	assert_int_equal(side_send(&x->a, 2000000), 0);
	for (int i = 0; i < 20; i++)
		turn(x);
	assert_true(x->a.acked < 300000);
	assert_true(x->a.s->tx <= x->a.acked + 2 * RAW_WINDOW + 65536);
	stream_eof(x->a.s);
	TURN_UNTIL(x, app_reads(x, 10000) && x->app_eof);
	assert_true(app_has(x, 2000000));
	fix_free(x);
}

static void
the_application_is_held_back_when_the_peer_does_not_read(void **state)
{
	static const uint8_t zeros[65536];
	struct fix *x = fix_new(false);
	size_t sum = 0;

	(void)state;
	x->a.hold = true;
	for (int idle = 0; idle < 20; idle++) {
		ssize_t n = write(x->app, zeros, sizeof zeros);

		sum += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle;
		turn(x);
	}
	assert_int_equal(x->a.got.len, RAW_WINDOW);
	assert_true(sum < RAW_WINDOW + MUX_UNSENT_MAX + 2 * 1024 * 1024);
	/* It goes on when the peer does. */
	x->a.hold = false;
	stream_consumed(x->a.s, x->a.got.len);
	stream_ack(x->a.s, x->a.got.len, false);
	TURN_UNTIL(x, x->a.got.len == sum);
	fix_free(x);
}

static void
a_reset_breaks_the_socket_after_the_bytes_before_it(void **state)
{
	struct fix *x = fix_new(true);

	(void)state;
	assert_int_equal(side_send(&x->a, 100000), 0);
	stream_reset(x->a.s, CODE_RESET, "broken");
	TURN_UNTIL(x, app_reads(x, SIZE_MAX));
	assert_true(app_has(x, 100000));
	TURN_UNTIL(x, x->n_done == 1);
	assert_int_equal(x->app_error, ECONNRESET);
	assert_int_equal(x->code, CODE_RESET);
	assert_false(x->local);
	fix_free(x);
}

/*
 * A reader that takes its time: neither may bytes be lost in the kernel, nor may the break look
 * like an end.
 */
static void
a_slow_reader_gets_all_bytes_and_then_the_break(void **state)
{
	(void)state;
	for (size_t n = 1000; n <= 1000000; n *= 10) {
		struct fix *x = fix_new(true);

		assert_int_equal(side_send(&x->a, n), 0);
		for (int i = 0; i < 5; i++)
			turn(x);
		stream_reset(x->a.s, CODE_RESET, "broken");
		for (int i = 0; i < 20; i++)
			turn(x);
		TURN_UNTIL(x, app_reads(x, 5000) && x->app_eof);
		assert_true(app_has(x, n));
		assert_int_equal(x->app_error, ECONNRESET);
		TURN_UNTIL(x, x->n_done == 1);
		fix_free(x);
	}
}

/* When the pump has gone the kernel still has bytes to deliver. */
static void
a_slow_reader_gets_all_bytes_and_then_the_end(void **state)
{
	struct fix *x = fix_new(true);

	(void)state;
	assert_int_equal(shutdown(x->app, SHUT_WR), 0);
	TURN_UNTIL(x, x->a.eof);
	assert_int_equal(side_send(&x->a, 100000), 0);
	stream_eof(x->a.s);
	TURN_UNTIL(x, x->n_done == 1);
	assert_int_equal(x->code, CODE_OK);
	TURN_UNTIL(x, app_reads(x, 5000) && x->app_eof);
	assert_true(app_has(x, 100000));
	assert_int_equal(x->app_error, 0);
	fix_free(x);
}

static void
a_broken_socket_resets_the_stream(void **state)
{
	struct fix *x = fix_new(false);

	(void)state;
	/* Unread bytes make the close a reset. */
	assert_int_equal(side_send(&x->a, 100), 0);
	turn(x);
	turn(x);
	close(x->app);
	x->app = -1;
	TURN_UNTIL(x, x->a.closed);
	assert_int_equal(x->a.code, CODE_RESET);
	TURN_UNTIL(x, x->n_done == 1);
	assert_true(x->local);
	fix_free(x);
}

/* Linger 0: what was written goes, and a RST behind it. */
static void
app_breaks(struct fix *x)
{
	struct linger hard = { .l_onoff = 1 };

	assert_int_equal(setsockopt(x->app, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
	close(x->app);
	x->app = -1;
}

/* A SOCKS client that goes while its target is being dialled. */
static void
a_socket_that_broke_before_the_pump_had_it_is_told_as_that(void **state)
{
	struct filter *f;
	struct fix *x = fix_begin(true, &f);

	(void)state;
	app_breaks(x);
	for (int i = 0; i < 10; i++)
		turn(x);
	fix_pump(x, f);
	assert_int_equal(side_send(&x->a, 1000), 0);
	net_run(x->net);
	TURN_UNTIL(x, x->n_done == 1 && x->a.closed);
	assert_int_equal(x->a.code, CODE_RESET);
	assert_int_equal(x->code, CODE_RESET);
	fix_free(x);
}

static void
an_answer_arrives_although_the_connection_broke_behind_it(void **state)
{
	struct fix *x = fix_new(true);

	(void)state;
	turn(x);
	assert_int_equal(write(x->app, "503 go away", 11), 11);
	app_breaks(x);
	TURN_UNTIL(x, x->a.closed);
	assert_int_equal(x->a.got.len, 11);
	assert_int_equal(x->a.code, CODE_RESET);
	fix_free(x);
}

/* The pump has no room, so the answer stands in the kernel when the connection breaks. */
static void
an_answer_arrives_although_nobody_had_read_it_yet(void **state)
{
	static const uint8_t zeros[16384];
	struct fix *x = fix_new(true);
	size_t sum = 0;
	int unsent = 0;

	(void)state;
	x->a.hold = true;
	while (unsent == 0) {
		assert_int_equal(write(x->app, zeros, sizeof zeros), sizeof zeros);
		sum += sizeof zeros;
		for (int i = 0; i < 3; i++)
			turn(x);
		assert_int_equal(ioctl(x->app, SIOCOUTQ, &unsent), 0);
	}
	app_breaks(x);
	for (int i = 0; i < 10; i++)
		turn(x);
	x->a.hold = false;
	stream_consumed(x->a.s, x->a.got.len);
	stream_ack(x->a.s, x->a.got.len, false);
	TURN_UNTIL(x, x->a.closed);
	assert_true(x->a.got.len >= sum - (size_t)unsent);
	fix_free(x);
}

/* What an application said before it went still arrives, then the stream ends. */
static void
last_words_arrive_before_the_reset(void **state)
{
	struct fix *x = fix_new(false);

	(void)state;
	x->a.hold = true;
	assert_int_equal(write(x->app, "last words", 10), 10);
	assert_int_equal(shutdown(x->app, SHUT_WR), 0);
	TURN_UNTIL(x, x->a.eof);
	assert_int_equal(x->a.got.len, 10);
	close(x->app);
	x->app = -1;
	assert_int_equal(side_send(&x->a, 1000), 0);
	for (int i = 0; i < 10; i++)
		turn(x);
	assert_false(x->a.closed);
	stream_consumed(x->a.s, 10);
	stream_ack(x->a.s, 10, true);
	TURN_UNTIL(x, x->a.closed);
	assert_int_equal(x->a.code, CODE_RESET);
	TURN_UNTIL(x, x->n_done == 1);
	fix_free(x);
}

/*
 * A download that is broken off: the end of the request had long been acknowledged, so nothing is
 * left to wait for.
 */
static void
an_aborted_download_does_not_go_on_in_vain(void **state)
{
	struct fix *x = fix_new(false);

	(void)state;
	assert_int_equal(shutdown(x->app, SHUT_WR), 0);
	TURN_UNTIL(x, x->a.eof);
	for (int i = 0; i < 10; i++)
		turn(x);
	assert_int_equal(side_send(&x->a, 1000), 0);
	turn(x);
	close(x->app);
	x->app = -1;
	for (int i = 0; i < 100 && !x->a.closed; i++) {
		assert_int_equal(side_send(&x->a, 1000), 0);
		turn(x);
	}
	assert_true(x->a.closed);
	assert_int_equal(x->a.code, CODE_RESET);
	assert_int_equal(x->n_done, 1);
	fix_free(x);
}

/*
 * The end of a stream whose last bytes nobody took is no end in good order, although the other half
 * had ended in one.
 */
static void
bytes_that_nobody_took_are_no_good_order(void **state)
{
	struct fix *x = fix_new(true);

	(void)state;
	x->a.hold = true;
	assert_int_equal(write(x->app, "request", 7), 7);
	assert_int_equal(shutdown(x->app, SHUT_WR), 0);
	TURN_UNTIL(x, x->a.eof);
	app_breaks(x);
	assert_int_equal(side_send(&x->a, 1000000), 0);
	for (int i = 0; i < 20; i++)
		turn(x);
	stream_eof(x->a.s);
	for (int i = 0; i < 20; i++)
		turn(x);
	assert_false(x->a.acked_eof);
	assert_false(x->a.closed);
	stream_consumed(x->a.s, 7);
	stream_ack(x->a.s, 7, true);
	TURN_UNTIL(x, x->a.closed && x->n_done == 1);
	assert_int_equal(x->a.code, CODE_RESET);
	assert_int_equal(x->code, CODE_RESET);
	fix_free(x);
}

static void
a_stopped_pump_resets_both_sides_and_says_nothing(void **state)
{
	/* The application's half may have ended: that makes the other one no more complete. */
	for (int ended = 0; ended <= 1; ended++) {
		struct fix *x = fix_new(true);

		(void)state;
		assert_int_equal(side_send(&x->a, 1000), 0);
		if (ended)
			assert_int_equal(shutdown(x->app, SHUT_WR), 0);
		TURN_UNTIL(x, (x->n_got == 1000 || app_reads(x, 1000)) && x->a.eof == ended);
		pump_stop(x->pump, CODE_GONE, "shutdown");
		x->pump = NULL;
		TURN_UNTIL(x, x->a.closed && app_reads(x, SIZE_MAX) && x->app_eof);
		assert_int_equal(x->app_error, ECONNRESET);
		assert_int_equal(x->a.code, CODE_GONE);
		assert_int_equal(x->n_done, 0);
		fix_free(x);
	}
}

/* Bytes or an end that come before the far side has accepted the stream are not the target's. */
static void
nothing_passes_before_the_stream_is_accepted(void **state)
{
	(void)state;
	for (int end = 0; end <= 1; end++) {
		struct fix *x = fix_new(true);

		pump_await(x->pump);
		assert_int_equal(write(x->app, "hello", 5), 5);
		TURN_UNTIL(x, x->a.got.len == 5);
		if (end)
			stream_eof(x->a.s);
		else
			assert_int_equal(side_send(&x->a, 1000), 0);
		TURN_UNTIL(x, x->a.closed && app_reads(x, SIZE_MAX) && x->app_eof);
		assert_int_equal(x->n_got, 0);
		assert_int_equal(x->app_error, ECONNRESET);
		assert_int_equal(x->a.code, CODE_PROTOCOL);
		assert_int_equal(x->n_done, 1);
		assert_int_equal(x->code, CODE_PROTOCOL);
		fix_free(x);
	}
}

/*
 * A process that is killed closes its sockets without a word: the kernel must not make that an end
 * in good order.
 */
static void
a_socket_that_nobody_closes_is_reset(void **state)
{
	struct filter *f;
	struct fix *x = fix_begin(true, &f);
	struct linger l = { 0 };
	socklen_t len = sizeof l;

	(void)state;
	fix_pump(x, f);
	assert_int_equal(getsockopt(x->pump_fd, SOL_SOCKET, SO_LINGER, &l, &len), 0);
	assert_true(l.l_onoff && l.l_linger == 0);
	fix_free(x);
}

static void
round_trip(void)
{
	bytes_and_ends_pass_each_way(NULL);
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
		cmocka_unit_test(bytes_and_ends_pass_each_way),
		cmocka_unit_test(a_slow_reader_is_not_overrun_and_acknowledges_what_it_took),
		cmocka_unit_test(the_application_is_held_back_when_the_peer_does_not_read),
		cmocka_unit_test(a_reset_breaks_the_socket_after_the_bytes_before_it),
		cmocka_unit_test(a_slow_reader_gets_all_bytes_and_then_the_break),
		cmocka_unit_test(a_slow_reader_gets_all_bytes_and_then_the_end),
		cmocka_unit_test(a_broken_socket_resets_the_stream),
		cmocka_unit_test(a_socket_that_broke_before_the_pump_had_it_is_told_as_that),
		cmocka_unit_test(an_answer_arrives_although_the_connection_broke_behind_it),
		cmocka_unit_test(an_answer_arrives_although_nobody_had_read_it_yet),
		cmocka_unit_test(last_words_arrive_before_the_reset),
		cmocka_unit_test(an_aborted_download_does_not_go_on_in_vain),
		cmocka_unit_test(bytes_that_nobody_took_are_no_good_order),
		cmocka_unit_test(a_stopped_pump_resets_both_sides_and_says_nothing),
		cmocka_unit_test(nothing_passes_before_the_stream_is_accepted),
		cmocka_unit_test(a_socket_that_nobody_closes_is_reset),
		cmocka_unit_test(everything_is_given_back),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
