/* SPDX-License-Identifier: ISC */
/*
 * client_test - routes, connections on their way, and how a client ends; the relay is the test.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams,--wrap=timer_set
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/connect/client.h"
#include "lib/base/mem.h"
#include "lib/net/f_sock.h"
#include "test/unit/fakeuplink.h"
#include "test/unit/heap.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

/* Time goes fast here, but for one timer; what was asked for last is looked at. */
void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms);
static uint64_t last_ms, never_ms;

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	if (ms > 10)
		last_ms = ms;
	__real_timer_set(t, ms == never_ms ? 3600000 : ms > 10 ? ms / 50 : ms);
}

/* One local program's connection, and what came of it. */
struct local {
	int app;
	struct filter *f;
	int n_done, n_answers;
	uint32_t code;
	char text[128];
};

static struct client c;
static struct route *r;
static struct ctl_open ssh;

static void
on_done(void *arg, const struct pump_result *res)
{
	struct local *x = arg;

	x->n_done++;
	x->code = res->code;
	snprintf(x->text, sizeof x->text, "%s", res->text);
}

static bool
on_answer(void *arg, uint32_t code, const char *text)
{
	struct local *x = arg;

	x->n_answers++;
	x->code = code;
	snprintf(x->text, sizeof x->text, "%s", text);
	return true;
}

static int
setup(void **state)
{
	struct errtext e;

	(void)state;
	fake_uplinks_reset();
	never_ms = UINT64_MAX;
	c = (struct client){ .loop = loop_new() };
	c.config.target.dialect = &dialect_fake;
	c.opts.uplink.carriers = 1;
	assert_int_equal(client_init(&c), 0);
	assert_int_equal(conn_target(&ssh, CTL_TCP, "ssh", "target", &e), 0);
	r = route_get(&c, "pi");
	assert_non_null(r);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	client_fini(&c);
	loop_settle(c.loop);
	loop_free(c.loop);
	buf_pool_free();
	fake_uplinks_reset();
	return 0;
}

static void
begin(struct local *x, bool asks)
{
	int fd[2];

	*x = (struct local){ 0 };
	sockpair_tcp(fd, true);
	x->app = fd[1];
	x->f = f_sock_new(c.loop, fd[0], false);
	assert_non_null(x->f);
	assert_non_null(conn_start(r, x->f, &ssh, asks ? on_answer : NULL, on_done, x));
}

/* Some turns of the loop. */
static void
turn(void)
{
	turns_some(c.loop, 20);
}

static bool
is_done(void *arg)
{
	return ((struct local *)arg)->n_done + ((struct local *)arg)->n_answers > 0;
}

static bool
is_over(void *arg)
{
	return ((struct client *)arg)->state == CLIENT_OVER;
}

/* What the local program sees: bytes, 0 for an end, or -errno. */
static ssize_t
app_sees(struct local *x)
{
	char got[64];
	ssize_t n;

	turn();
	n = read(x->app, got, sizeof got);
	return n >= 0 ? n : -errno;
}

static struct fake_stream *
stream_at(int uplink, size_t i)
{
	assert_true(fake_uplink[uplink].f->n_streams > i);
	return fake_uplink[uplink].f->stream[i];
}

/* ---- connections ---- */

static void
a_connection_waits_for_an_uplink_and_its_bytes_for_nothing_more(void **state)
{
	static const uint8_t zero[CTL_TOKEN_LEN];
	struct local x;
	struct fake_stream *s;

	(void)state;
	begin(&x, false);
	assert_int_equal(write(x.app, "hello", 5), 5);
	turn();
	assert_int_equal(fake_uplink[0].f->n_streams, 0);
	assert_string_equal(fake_uplink[0].name, "pi");
	fake_stand(&fake_uplink[0]);
	s = stream_at(0, 0);
	assert_string_equal(s->open.service, "ssh");
	assert_string_equal(s->open.protocol, "tcp");
	assert_memory_not_equal(s->open.token, zero, sizeof zero);
	turn();
	assert_true(fake_got(s, "hello"));
	close(x.app);
}

static void
it_does_not_wait_for_ever(void **state)
{
	struct local x;

	(void)state;
	begin(&x, false);
	assert_int_equal(last_ms, CLIENT_WAIT_MS);
	assert_true(turns_until(c.loop, is_done, &x));
	assert_int_equal(x.code, CODE_GONE);
	assert_int_equal(app_sees(&x), -ECONNRESET);
	assert_int_equal(c.n_conns, 0);
	/* One that has found an uplink is not timed any more. */
	close(x.app);
	begin(&x, false);
	fake_stand(&fake_uplink[0]);
	for (int i = 0; i < 100; i++)
		turn();
	assert_int_equal(x.n_done, 0);
	close(x.app);
}

static void
each_connection_goes_to_the_uplink_with_the_fewest_streams(void **state)
{
	struct local x[5];

	(void)state;
	c.opts.uplink.carriers = 3;
	r = route_get(&c, "lab");
	assert_int_equal(fake_n_uplinks, 4);
	assert_ptr_equal(route_get(&c, "lab"), r);
	assert_int_equal(fake_n_uplinks, 4);
	fake_stand(&fake_uplink[1]);
	fake_stand(&fake_uplink[3]);
	for (int i = 0; i < 5; i++)
		begin(&x[i], false);
	assert_int_equal(fake_uplink[1].f->n_streams, 3);
	assert_int_equal(fake_uplink[2].f->n_streams, 0);
	assert_int_equal(fake_uplink[3].f->n_streams, 2);
	for (int i = 0; i < 5; i++)
		close(x[i].app);
}

static void
who_asks_for_an_answer_sends_nothing_before_it(void **state)
{
	struct ctl_open_ok ok = { 0 };
	struct local x;
	struct fake_stream *s;

	(void)state;
	fake_stand(&fake_uplink[0]);
	begin(&x, true);
	assert_int_equal(write(x.app, "hello", 5), 5);
	turn();
	s = stream_at(0, 0);
	assert_true(fake_got(s, ""));
	s->s.user->opened(s->s.arg, &ok);
	assert_int_equal(x.n_answers, 1);
	assert_int_equal(x.code, CODE_OK);
	turn();
	assert_true(fake_got(s, "hello"));
	fake_data(s, "hi");
	assert_int_equal(app_sees(&x), 2);
	fake_end(s, CODE_RESET, "broken");
	assert_int_equal(app_sees(&x), -ECONNRESET);
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.n_answers, 1);
	close(x.app);
}

/* The filter is the asker's again, and closes in good order: the refusal has been said on it. */
static void
after_a_refusal_the_filter_is_the_askers(void **state)
{
	struct local x;

	(void)state;
	fake_stand(&fake_uplink[0]);
	begin(&x, true);
	fake_end(stream_at(0, 0), CODE_REFUSED, "closed port");
	assert_int_equal(x.n_answers, 1);
	assert_int_equal(x.n_done, 0);
	assert_int_equal(x.code, CODE_REFUSED);
	assert_string_equal(x.text, "closed port");
	assert_int_equal(c.n_conns, 0);
	filter_free(x.f);
	assert_int_equal(app_sees(&x), 0);
	close(x.app);
}

static void
bytes_before_the_answer_are_a_fault(void **state)
{
	(void)state;
	fake_stand(&fake_uplink[0]);
	for (size_t i = 0; i < 4; i++) {
		bool asks = i % 2 == 0;
		struct local x;
		struct fake_stream *s;

		begin(&x, asks);
		s = stream_at(0, i);
		if (i < 2)
			fake_data(s, "stolen");
		else
			s->s.user->eof(s->s.arg);
		assert_true(s->reset);
		assert_int_equal(s->code, CODE_PROTOCOL);
		assert_int_equal(x.code, CODE_PROTOCOL);
		assert_int_equal(x.n_answers, asks);
		assert_int_equal(x.n_done, !asks);
		if (asks)
			filter_free(x.f);
		assert_int_equal(app_sees(&x), asks ? 0 : -ECONNRESET);
		close(x.app);
	}
}

static void
a_stream_that_cannot_be_opened_is_told(void **state)
{
	struct local x;

	(void)state;
	fake_stand(&fake_uplink[0]);
	fake_uplink[0].f->fail_open = ERR_LIMIT;
	begin(&x, false);
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.code, CODE_LIMIT);
	assert_int_equal(app_sees(&x), -ECONNRESET);
	begin(&x, true);
	assert_int_equal(x.n_answers, 1);
	filter_free(x.f);
	assert_int_equal(c.n_conns, 0);
	close(x.app);
}

static void
a_relay_that_opens_a_stream_here_is_told_no(void **state)
{
	struct ctl_open o = { .protocol = "tcp" };
	struct fake_stream *s;
	struct stream *opened;

	(void)state;
	opened = session_open(&fake_uplink[0].f->s, &o, NULL, NULL, NULL, NULL);
	assert_non_null(opened);
	fake_uplink[0].user->open(fake_uplink[0].arg, opened, &o);
	s = stream_at(0, 0);
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_DENIED);
}

static void
without_memory_nothing_is_called_and_nothing_is_left(void **state)
{
	(void)state;
	fake_uplinks_max = fake_n_uplinks;
	assert_null(route_get(&c, "other"));
	fake_uplinks_max = -1;
	fake_stand(&fake_uplink[0]);
	for (long n = 0; n < 4; n++) {
		struct local x = { 0 };
		int fd[2];
		bool null;
		char byte;

		sockpair_tcp(fd, true);
		x.f = f_sock_new(c.loop, fd[0], false);
		mem_fail_after(n);
		null = conn_start(r, x.f, &ssh, NULL, on_done, &x) == NULL;
		mem_fail_after(-1);
		assert_true(!null || x.n_done == 0);
		turn();
		/* An end would look like an answer to the local program. */
		if (null) {
			assert_int_equal(recv(fd[1], &byte, 1, 0), -1);
			assert_int_equal(errno, ECONNRESET);
		}
		close(fd[1]);
	}
}

/* ---- the end ---- */

static void
a_signal_without_connections_is_a_goodbye_and_status_0(void **state)
{
	(void)state;
	fake_stand(&fake_uplink[0]);
	client_end(&c);
	assert_int_equal(c.state, CLIENT_LEAVING);
	assert_int_equal(last_ms, CLIENT_GOODBYE_MS);
	assert_true(fake_uplink[0].finished);
	fake_goodbye(&fake_uplink[0]);
	assert_int_equal(c.state, CLIENT_OVER);
	assert_int_equal(c.code, CMD_OK);
}

static void
a_goodbye_that_no_relay_hears_is_not_waited_for(void **state)
{
	(void)state;
	fake_stand(&fake_uplink[0]);
	client_end(&c);
	assert_true(turns_until(c.loop, is_over, &c));
	assert_int_equal(c.code, CMD_OK);
}

static void
all_uplinks_say_goodbye(void **state)
{
	(void)state;
	c.opts.uplink.carriers = 2;
	assert_non_null(route_get(&c, "lab"));
	client_end(&c);
	for (int i = 0; i < 3; i++) {
		assert_true(fake_uplink[i].finished);
		assert_int_equal(c.state, CLIENT_LEAVING);
		fake_goodbye(&fake_uplink[i]);
	}
	assert_int_equal(c.state, CLIENT_OVER);
}

static void
a_signal_cuts_what_does_not_end_by_itself(void **state)
{
	struct local x, y;

	(void)state;
	never_ms = CLIENT_GOODBYE_MS;
	fake_stand(&fake_uplink[0]);
	begin(&x, false);
	begin(&y, true);
	client_end(&c);
	assert_int_equal(c.state, CLIENT_ENDING);
	assert_int_equal(last_ms, CLIENT_GRACE_MS);
	assert_false(fake_uplink[0].finished);
	while (c.state == CLIENT_ENDING)
		turn();
	assert_int_equal(c.code, CMD_FAILED);
	assert_int_equal(c.state, CLIENT_LEAVING);
	assert_true(fake_uplink[0].finished);
	for (size_t i = 0; i < 2; i++) {
		assert_true(stream_at(0, i)->reset);
		assert_int_equal(stream_at(0, i)->code, CODE_CANCELLED);
	}
	assert_int_equal(x.n_done + y.n_done + y.n_answers, 0);
	assert_int_equal(app_sees(&x), -ECONNRESET);
	assert_int_equal(app_sees(&y), -ECONNRESET);
	fake_goodbye(&fake_uplink[0]);
	assert_int_equal(c.state, CLIENT_OVER);
	assert_int_equal(c.code, CMD_FAILED);
	close(x.app);
	close(y.app);
}

static void
a_signal_lets_end_what_is_at_its_end(void **state)
{
	struct local x, y;

	(void)state;
	never_ms = CLIENT_GOODBYE_MS;
	fake_stand(&fake_uplink[0]);
	begin(&x, false);
	begin(&y, false);
	client_end(&c);
	fake_end(stream_at(0, 0), CODE_OK, "");
	assert_int_equal(c.state, CLIENT_ENDING);
	fake_end(stream_at(0, 1), CODE_OK, "");
	assert_int_equal(c.state, CLIENT_LEAVING);
	assert_int_equal(c.code, CMD_OK);
	assert_int_equal(app_sees(&x), 0);
	close(x.app);
	close(y.app);
}

static void
a_second_signal_does_not_wait(void **state)
{
	struct local x;

	(void)state;
	fake_stand(&fake_uplink[0]);
	begin(&x, false);
	client_end(&c);
	client_end(&c);
	assert_int_equal(c.state, CLIENT_OVER);
	assert_int_equal(c.code, CMD_FAILED);
	client_fini(&c);
	assert_int_equal(app_sees(&x), -ECONNRESET);
	assert_int_equal(fake_uplink[0].code, CODE_CANCELLED);
	close(x.app);
}

static void
what_waits_for_an_uplink_is_cut_too(void **state)
{
	struct local x;

	(void)state;
	never_ms = CLIENT_GOODBYE_MS;
	begin(&x, false);
	client_cancel(&c, CMD_REFUSED, "enough");
	assert_int_equal(c.code, CMD_REFUSED);
	assert_int_equal(app_sees(&x), -ECONNRESET);
	assert_int_equal(x.n_done, 0);
	/* The first code counts, and a second call does not wait. */
	client_cancel(&c, CMD_OK, "again");
	assert_int_equal(c.state, CLIENT_OVER);
	assert_int_equal(c.code, CMD_REFUSED);
	close(x.app);
}

static void
leaving_twice_is_leaving_once(void **state)
{
	(void)state;
	client_leave(&c, CMD_FAILED);
	client_leave(&c, CMD_OK);
	assert_int_equal(c.state, CLIENT_LEAVING);
	fake_goodbye(&fake_uplink[0]);
	assert_int_equal(c.code, CMD_FAILED);
}

/* ---- forwards and the relay ---- */

static void
forwards_outlive_a_lost_uplink_and_a_full_relay(void **state)
{
	struct uplink *k = &fake_uplink[0];

	(void)state;
	fake_stand(k);
	k->user->down(k->arg, ERR_CLOSED, "lost", 500);
	k->user->down(k->arg, ERR_EOF, "the relay has gone", 500);
	assert_true(k->user->refused(k->arg, CODE_LIMIT, "full"));
	assert_true(k->user->refused(k->arg, CODE_PROTOCOL, "odd"));
	assert_true(k->user->away(k->arg, "going"));
	assert_int_equal(c.state, CLIENT_RUNNING);
	assert_int_equal(c.code, -1);
}

static void
forwards_end_when_they_are_refused(void **state)
{
	(void)state;
	assert_false(fake_uplink[0].user->refused(fake_uplink[0].arg, CODE_DENIED, "no"));
	assert_int_equal(c.state, CLIENT_OVER);
	assert_int_equal(c.code, CMD_REFUSED);
}

static void
forwards_end_when_they_are_revoked(void **state)
{
	(void)state;
	assert_false(fake_uplink[0].user->refused(fake_uplink[0].arg, CODE_REVOKED, "no"));
	assert_int_equal(c.code, CMD_REFUSED);
}

/* ---- standard input and output: one connection is all ---- */

static void
the_only_connection_is_over_when_no_relay_is_reached(void **state)
{
	static const struct {
		int err, code;
	} cases[] = { { ERR_CLOSED, CMD_FAILED }, { ERR_DENIED, CMD_REFUSED } };

	for (size_t i = 0; i < 2; i++) {
		struct local x;

		if (i > 0) {
			teardown(state);
			setup(state);
		}
		c.once = true;
		last_ms = 0;
		begin(&x, false);
		assert_int_equal(last_ms, 0);
		fake_uplink[0].user->down(fake_uplink[0].arg, cases[i].err, "no way", 500);
		assert_int_equal(c.state, CLIENT_OVER);
		assert_int_equal(c.code, cases[i].code);
		assert_true(fake_uplink[0].finished);
		close(x.app);
	}
}

/* Bytes that had arrived are still being written: the connection's own end is the client's. */
static void
a_lost_uplink_leaves_the_connection_its_end(void **state)
{
	struct local x;

	(void)state;
	c.once = true;
	c.opts.uplink.carriers = 2;
	r = route_get(&c, "lab");
	fake_stand(&fake_uplink[1]);
	begin(&x, false);
	/* Another uplink's trouble is not this connection's. */
	fake_uplink[2].user->down(fake_uplink[2].arg, ERR_CLOSED, "no way", 500);
	assert_int_equal(c.code, -1);
	fake_uplink[1].user->down(fake_uplink[1].arg, ERR_CLOSED, "lost", 500);
	assert_int_equal(c.code, CMD_FAILED);
	assert_int_equal(c.state, CLIENT_RUNNING);
	/* What follows from it is no news. */
	fake_uplink[1].user->down(fake_uplink[1].arg, ERR_EOF, "", 0);
	assert_int_equal(c.state, CLIENT_RUNNING);
	close(x.app);
}

static void
the_only_connection_ends_with_any_refusal(void **state)
{
	static const struct {
		uint32_t code;
		int exits;
	} cases[] = { { CODE_DENIED, CMD_REFUSED }, { CODE_REVOKED, CMD_REFUSED },
		{ CODE_LIMIT, CMD_FAILED } };

	for (size_t i = 0; i < 3; i++) {
		struct local x;

		if (i > 0) {
			teardown(state);
			setup(state);
		}
		c.once = true;
		begin(&x, false);
		assert_false(fake_uplink[0].user->refused(fake_uplink[0].arg, cases[i].code, "no"));
		assert_int_equal(c.code, cases[i].exits);
		close(x.app);
	}
}

static void
the_only_connection_needs_no_second_session(void **state)
{
	struct uplink *k = &fake_uplink[0];
	struct local x;

	(void)state;
	c.once = true;
	begin(&x, false);
	assert_true(k->user->away(k->arg, "going")); /* it has none yet */
	fake_stand(k);
	assert_false(k->user->away(k->arg, "going"));
	/* A signal cuts it, and there is nothing to wait for first. */
	client_end(&c);
	assert_int_equal(c.state, CLIENT_LEAVING);
	assert_int_equal(c.code, CMD_FAILED);
	close(x.app);
}

/* ---- targets ---- */

static void
a_target_is_a_service_or_a_host_and_port(void **state)
{
	static const char *const bad[] = { "", ":", "a b", "host:", "host:0", "host:65536",
		"::1:22x", "host:http", "-x" };
	struct ctl_open o;
	struct errtext e;

	(void)state;
	assert_int_equal(conn_target(&o, CTL_TCP, "db", "target", &e), 0);
	assert_string_equal(o.service, "db");
	assert_string_equal(o.host, "");
	assert_int_equal(o.port, 0);
	assert_int_equal(conn_target(&o, CTL_TCP, "printer.lan:631", "target", &e), 0);
	assert_string_equal(o.service, "");
	assert_string_equal(o.host, "printer.lan");
	assert_int_equal(o.port, 631);
	assert_int_equal(conn_target(&o, CTL_TCP, "[::1]:22", "target", &e), 0);
	assert_string_equal(o.host, "::1");
	assert_int_equal(o.port, 22);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (conn_target(&o, CTL_TCP, bad[i], "-L x", &e) != ERR_INVALID)
			fail_msg("\"%s\" is a target", bad[i]);
		assert_memory_equal(e.s, "-L x: ", 6);
	}
}

static void
round_trip(void)
{
	void *state = NULL;

	assert_int_equal(setup(&state), 0);
	a_connection_waits_for_an_uplink_and_its_bytes_for_nothing_more(&state);
	assert_int_equal(teardown(&state), 0);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_waits_for_an_uplink_and_its_bytes_for_nothing_more),
		TEST(it_does_not_wait_for_ever),
		TEST(each_connection_goes_to_the_uplink_with_the_fewest_streams),
		TEST(who_asks_for_an_answer_sends_nothing_before_it),
		TEST(after_a_refusal_the_filter_is_the_askers),
		TEST(bytes_before_the_answer_are_a_fault),
		TEST(a_stream_that_cannot_be_opened_is_told),
		TEST(a_relay_that_opens_a_stream_here_is_told_no),
		TEST(without_memory_nothing_is_called_and_nothing_is_left),
		TEST(a_signal_without_connections_is_a_goodbye_and_status_0),
		TEST(a_goodbye_that_no_relay_hears_is_not_waited_for),
		TEST(all_uplinks_say_goodbye),
		TEST(a_signal_cuts_what_does_not_end_by_itself),
		TEST(a_signal_lets_end_what_is_at_its_end),
		TEST(a_second_signal_does_not_wait),
		TEST(what_waits_for_an_uplink_is_cut_too),
		TEST(leaving_twice_is_leaving_once),
		TEST(forwards_outlive_a_lost_uplink_and_a_full_relay),
		TEST(forwards_end_when_they_are_refused),
		TEST(forwards_end_when_they_are_revoked),
		TEST(the_only_connection_is_over_when_no_relay_is_reached),
		TEST(a_lost_uplink_leaves_the_connection_its_end),
		TEST(the_only_connection_ends_with_any_refusal),
		TEST(the_only_connection_needs_no_second_session),
		TEST(a_target_is_a_service_or_a_host_and_port),
		cmocka_unit_test(everything_is_given_back),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
