/* SPDX-License-Identifier: ISC */
/*
 * pump_tls_test - a pump on a TLS filter: bytes, ends, breaks and acknowledgements, with TLS 1.3
 * and 1.2 on a real connection.
 *
 * The far endpoint is a.side; the near one a pump on the server's TLS filter; the application a
 * client's TLS filter.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/common/pump.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/net/f_sock.h"
#include "lib/tls/tls_generation.h"
#include "test/unit/muxpair.h"
#include "test/unit/sockpair.h"
#include "test/unit/tlstest.h"

enum { WAIT_MS = 20000 };

struct fix {
	struct loop *l;
	struct net *net;
	struct side a;
	struct pump *pump;
	struct tls_client_ctx *ctx;
	struct tlstest_side app;
	int app_fd, pump_fd;
	int n_done;
	uint32_t code;
	struct task stop;
};

static void
on_done(void *arg, const struct pump_result *res)
{
	struct fix *x = arg;

	x->n_done++;
	x->code = res->code;
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
		uint64_t late = clock_mono_ms() + WAIT_MS;   \
		while (!(cond)) {                            \
			assert_true(clock_mono_ms() < late); \
			turn(x);                             \
		}                                            \
	} while (0)

static struct tls_client_ctx *
client_ctx(bool tls12)
{
	struct tls_client_ctx *ctx;
	struct errtext e;

	if (tls_client_new(&(struct tls_client_opts){ tlstest_pem, NULL }, &ctx, &e) != 0)
		fail_msg("%s", e.s);
	if (tls12) {
		struct tls_generation *g = tls_generation_client(ctx);

		mbedtls_ssl_conf_max_tls_version(&g->conf, MBEDTLS_SSL_VERSION_TLS1_2);
		tls_generation_drop(g);
	}
	return ctx;
}

static struct fix *
fix_new(bool tls12)
{
	struct fix *x = mem_must_zalloc(sizeof *x);
	struct filter *f;
	int fd[2], small = 65536;

	sockpair_tcp(fd, true);
	for (int i = 0; i < 2; i++)
		assert_int_equal(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	x->pump_fd = fd[0];
	x->app_fd = fd[1];
	x->l = loop_new();
	x->net = net_new(NULL, NULL);
	task_init(&x->stop, on_stop, x->l);
	assert_true(side_open(&x->a, net_client(x->net)));
	net_run(x->net);
	x->ctx = client_ctx(tls12);
	tlstest_side_start(
	    &x->app, f_tls_client(f_sock_new(x->l, fd[1], false), x->l, x->ctx, "relay.test"));
	f = f_tls_server(f_sock_new(x->l, fd[0], false), x->l, tlstest_server_ctx);
	assert_non_null(f);
	x->pump = pump_new(x->l, f, net_agent(x->net)->side[0].s, on_done, x);
	assert_non_null(x->pump);
	pump_start(x->pump);
	return x;
}

static void
fix_free(struct fix *x)
{
	if (x->pump != NULL)
		pump_stop(x->pump, CODE_GONE, "");
	tlstest_side_free(&x->app);
	bufq_fini(&x->app.got);
	tls_client_free(x->ctx);
	loop_settle(x->l);
	net_free(x->net);
	side_fini(&x->a);
	loop_free(x->l);
	mem_free(x);
	buf_pool_free();
}

/* What the application has got is the first n bytes that the far endpoint sent. */
static bool
app_has(struct fix *x, size_t n)
{
	struct side s = { .got = x->app.got };

	return side_check(&s, n);
}

static void
app_breaks(struct fix *x)
{
	filter_reset(x->app.f, true);
	tlstest_side_free(&x->app);
}

/* ---- in good order ---- */

static void
bytes_and_ends_pass_each_way(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct fix *x = fix_new(tls12);

		/* The first bytes wait for the handshake. */
		assert_int_equal(side_send(&x->a, 1000000), 0);
		TURN_UNTIL(x, x->app.got.len == 1000000);
		assert_true(app_has(x, 1000000));
		assert_int_equal(filter_send(x->app.f, "answer", 6), 0);
		filter_flush(x->app.f);
		TURN_UNTIL(x, x->a.got.len == 6 && x->a.acked == 1000000);
		stream_eof(x->a.s);
		TURN_UNTIL(x, x->app.n_closed == 1);
		assert_int_equal(x->app.err, ERR_EOF);
		TURN_UNTIL(x, x->a.eof && x->n_done == 1 && x->a.closed);
		assert_int_equal(x->a.code, CODE_OK);
		assert_int_equal(x->code, CODE_OK);
		fix_free(x);
	}
}

/*
 * TLS ends both ways: what was written before its end still arrives, and so does the stream's own
 * end behind it.
 */
static void
the_applications_end_is_the_streams_and_bytes_before_it_arrive(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct fix *x = fix_new(tls12);

		TURN_UNTIL(x, x->app.n_ready == 1);
		assert_int_equal(side_send(&x->a, 300000), 0);
		tlstest_write(&x->app, 300000, 10000);
		TURN_UNTIL(x, x->app.got.len == 300000);
		filter_shutdown(x->app.f);
		TURN_UNTIL(x, x->a.eof);
		assert_int_equal(x->a.got.len, 300000);
		assert_true(app_has(x, 300000));
		stream_eof(x->a.s);
		TURN_UNTIL(x, x->a.closed && x->n_done == 1);
		assert_int_equal(x->a.code, CODE_OK);
		fix_free(x);
	}
}

/*
 * Bytes that come for an application that has ended both ways cannot be delivered: that is no good
 * order.
 */
static void
bytes_after_the_applications_end_are_a_reset(void **state)
{
	struct fix *x = fix_new(false);

	(void)state;
	TURN_UNTIL(x, x->app.n_ready == 1);
	x->a.hold = true;
	filter_shutdown(x->app.f);
	TURN_UNTIL(x, x->a.eof);
	assert_int_equal(side_send(&x->a, 100), 0);
	for (int i = 0; i < 10; i++)
		turn(x);
	assert_false(x->a.closed);
	stream_ack(x->a.s, 0, true);
	TURN_UNTIL(x, x->a.closed && x->n_done == 1);
	assert_int_equal(x->a.code, CODE_RESET);
	assert_int_equal(x->code, CODE_RESET);
	fix_free(x);
}

/* ---- acknowledged is what the kernel has ---- */

static void
a_slow_reader_acknowledges_what_it_took(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct fix *x = fix_new(tls12);
		uint64_t last = 0;
		unsigned steps = 0;

		TURN_UNTIL(x, x->app.n_ready == 1);
		x->app.hold = true;
		assert_int_equal(side_send(&x->a, 2000000), 0);
		for (int i = 0; i < 30; i++)
			turn(x);
		assert_true(x->a.acked < 1000000);
		x->app.hold = false;
		filter_pause(x->app.f, false);
		while (x->app.got.len < 2000000) {
			turn(x);
			steps += x->a.acked > last;
			last = x->a.acked;
		}
		assert_true(steps > 3);
		assert_true(app_has(x, 2000000));
		/* The last acknowledgement is a delayed one. */
		net_wait(x->net, MUX_ACK_DELAY_US / 1000);
		TURN_UNTIL(x, x->a.acked == 2000000);
		fix_free(x);
	}
}

/* ---- broken ---- */

/* A TCP reset behind all bytes, without close_notify: to the application it is no end. */
static void
a_reset_breaks_the_connection_after_the_bytes_before_it(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++)
		for (size_t n = 0; n <= 1000000; n += 500000) {
			struct fix *x = fix_new(tls12);

			TURN_UNTIL(x, x->app.n_ready == 1);
			assert_int_equal(side_send(&x->a, n), 0);
			stream_reset(x->a.s, CODE_RESET, "broken");
			TURN_UNTIL(x, x->app.n_closed > 0);
			assert_true(app_has(x, n));
			assert_int_equal(x->app.err, ERR_CLOSED);
			assert_string_equal(x->app.text, "Connection reset by peer");
			TURN_UNTIL(x, x->n_done == 1);
			assert_int_equal(x->code, CODE_RESET);
			fix_free(x);
		}
}

static void
a_stopped_pump_resets_both_sides(void **state)
{
	struct fix *x = fix_new(false);

	(void)state;
	TURN_UNTIL(x, x->app.n_ready == 1);
	pump_stop(x->pump, CODE_GONE, "shutdown");
	x->pump = NULL;
	TURN_UNTIL(x, x->a.closed && x->app.n_closed > 0);
	assert_int_equal(x->a.code, CODE_GONE);
	assert_int_equal(x->app.err, ERR_CLOSED);
	assert_string_equal(x->app.text, "Connection reset by peer");
	fix_free(x);
}

/* The kernel's end of file without close_notify is a cut, as a reset is. */
static void
a_connection_that_was_cut_resets_the_stream(void **state)
{
	(void)state;
	for (int cut = 0; cut < 2; cut++) {
		struct fix *x = fix_new(false);

		TURN_UNTIL(x, x->app.n_ready == 1);
		tlstest_write(&x->app, 10000, 10000);
		TURN_UNTIL(x, x->a.got.len == 10000);
		if (cut)
			assert_int_equal(shutdown(x->app_fd, SHUT_WR), 0);
		else
			app_breaks(x);
		TURN_UNTIL(x, x->a.closed && x->n_done == 1);
		assert_int_equal(x->a.code, CODE_RESET);
		fix_free(x);
	}
}

/*
 * The application has said its end and breaks while our last bytes are on the way to it: nobody
 * waits for ever.
 */
static void
a_break_behind_the_applications_end_is_noticed(void **state)
{
	struct fix *x = fix_new(false);
	int small = 4096;

	(void)state;
	assert_int_equal(setsockopt(x->pump_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	assert_int_equal(setsockopt(x->app_fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	TURN_UNTIL(x, x->app.n_ready == 1);
	x->app.hold = true;
	assert_int_equal(side_send(&x->a, RAW_WINDOW), 0);
	stream_eof(x->a.s);
	for (int i = 0; i < 20; i++)
		turn(x);
	filter_shutdown(x->app.f);
	TURN_UNTIL(x, x->a.eof);
	assert_false(x->a.acked_eof);
	app_breaks(x);
	TURN_UNTIL(x, x->a.closed && x->n_done == 1);
	assert_int_equal(x->a.code, CODE_RESET);
	fix_free(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_ends_pass_each_way),
		cmocka_unit_test(the_applications_end_is_the_streams_and_bytes_before_it_arrive),
		cmocka_unit_test(bytes_after_the_applications_end_are_a_reset),
		cmocka_unit_test(a_slow_reader_acknowledges_what_it_took),
		cmocka_unit_test(a_reset_breaks_the_connection_after_the_bytes_before_it),
		cmocka_unit_test(a_stopped_pump_resets_both_sides),
		cmocka_unit_test(a_connection_that_was_cut_resets_the_stream),
		cmocka_unit_test(a_break_behind_the_applications_end_is_noticed),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
