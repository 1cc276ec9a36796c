/* SPDX-License-Identifier: ISC */
/*
 * dpump_test - datagrams between a stream and a socket: whole, counted, and with an end.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/common/dpump.h"
#include "test/unit/fakesession.h"
#include "test/unit/handclock.h"

static struct loop *l;
static struct udp_batch *batch;
static struct fake_stream *stream;
static struct dpump *pump;
/* The program's end of the socket. */
static int program;
/* What done was told. */
static unsigned n_done;
static struct pump_result result;
static struct flow_counts counts;

static void
on_done(void *arg, const struct pump_result *res, const struct flow_counts *n)
{
	assert_ptr_equal(arg, &pump);
	n_done++;
	result = *res;
	counts = *n;
}

static void
begin(int fd, bool local)
{
	struct ctl_open o = { .protocol = CTL_UDP, .service = "dns" };

	n_done = 0;
	l = loop_new();
	batch = udp_batch_new();
	assert_true(l != NULL && batch != NULL);
	assert_non_null(session_open(&fake_new()->s, &o, NULL, NULL, NULL, NULL));
	stream = fake_last->stream[0];
	pump = dpump_new(l, fd, &stream->s, batch, local, on_done, &pump);
	assert_non_null(pump);
}

/* The agent's: a socket of UDP, connected to the program's. */
static void
begin_udp(void)
{
	struct addr a, b;
	struct errtext e;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(addr_literal("127.0.0.1", 0, &a));
	assert_int_equal(udp_open(&a, &program, &e), 0);
	assert_int_equal(addr_local(program, &a), 0);
	assert_int_equal(connect(fd, &a.u.sa, a.len), 0);
	assert_int_equal(addr_local(fd, &b), 0);
	assert_int_equal(connect(program, &b.u.sa, b.len), 0);
	begin(fd, false);
}

/* The client's: a socket of packets. */
static void
begin_packets(void)
{
	int sv[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), 0);
	program = sv[0];
	begin(sv[1], true);
}

static void
end(void)
{
	if (n_done == 0)
		dpump_stop(pump, CODE_GONE, "over");
	loop_settle(l);
	loop_free(l);
	udp_batch_free(batch);
	fake_free_all();
	close(program);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

static void
turn(void)
{
	for (int i = 0; i < 2; i++) {
		struct task t;

		task_init(&t, stop, l);
		task_soon(l, &t);
		assert_int_equal(loop_run(l), 0);
	}
}

static void
say(size_t n)
{
	static const uint8_t bytes[65507];

	assert_int_equal(send(program, bytes, n, 0), n);
	turn();
}

/* The stream brings one of n bytes. */
static void
bring(size_t n)
{
	static const uint8_t bytes[65507];
	struct bufq q = { 0 };

	assert_int_equal(bufq_copy(&q, bytes, n), 0);
	stream->s.user->datagram(stream->s.arg, &q);
	bufq_fini(&q);
}

/* Bytes of the next one that the program gets; -1: none waits. */
static ssize_t
hear(void)
{
	static uint8_t bytes[65536];

	return recv(program, bytes, sizeof bytes, MSG_DONTWAIT);
}

static void
each_passes_whole_in_both_directions(void **state)
{
	static const size_t sizes[] = { 1, 0, 1200, 65507 };

	(void)state;
	begin_udp();
	for (unsigned i = 0; i < 4; i++) {
		say(sizes[i]);
		assert_int_equal(stream->n_datagrams, i + 1);
		bring(sizes[i]);
		assert_int_equal(hear(), sizes[i]);
	}
	fake_end(stream, CODE_CANCELLED, "enough");
	assert_int_equal(n_done, 1);
	assert_int_equal(result.code, CODE_CANCELLED);
	assert_false(result.local);
	assert_int_equal(counts.up, 4);
	assert_int_equal(counts.down, 4);
	assert_int_equal(counts.up_bytes, 66708);
	assert_int_equal(counts.dropped, 0);
	end();
}

static void
silence_in_both_directions_is_the_end(void **state)
{
	(void)state;
	begin_udp();
	handclock_pass(DPUMP_IDLE_MS - 10);
	say(1);
	handclock_pass(DPUMP_IDLE_MS - 10);
	bring(1);
	handclock_pass(DPUMP_IDLE_MS - 10);
	assert_int_equal(n_done, 0);
	handclock_pass(20);
	assert_int_equal(n_done, 1);
	assert_int_equal(result.code, CODE_OK);
	assert_true(result.local && stream->reset);
	assert_int_equal(stream->code, CODE_CANCELLED);
	end();
}

static void
an_agent_that_ends_waits_for_no_silent_flow(void **state)
{
	(void)state;
	begin_udp();
	dpump_quiet(pump, 500);
	handclock_pass(400);
	say(1);
	handclock_pass(400);
	assert_int_equal(n_done, 0);
	handclock_pass(200);
	assert_int_equal(n_done, 1);
	end();
}

static void
a_port_that_nobody_has_ends_the_flow(void **state)
{
	(void)state;
	begin_udp();
	close(program);
	bring(1);
	turn();
	assert_int_equal(n_done, 1);
	assert_int_equal(result.code, CODE_REFUSED);
	assert_int_equal(stream->code, CODE_REFUSED);
	program = -1;
	end();
}

static void
what_the_streams_queue_drops_is_counted(void **state)
{
	(void)state;
	begin_udp();
	stream->lose = 2;
	say(10);
	stream->fail = true;
	say(10);
	fake_end(stream, CODE_LOST, "");
	assert_int_equal(counts.down, 2);
	assert_int_equal(counts.dropped, 2 + 3);
	end();
}

/* ---- standard input and output ---- */

static void
packets_are_datagrams_and_an_empty_one_is_not_written(void **state)
{
	(void)state;
	begin_packets();
	say(100);
	say(7);
	assert_int_equal(stream->n_datagrams, 2);
	assert_true(stream->sent.len == 107);
	bring(0);
	bring(9);
	assert_int_equal(hear(), 9);
	assert_int_equal(hear(), -1);
	end();
}

static void
input_waits_while_the_stream_has_no_room(void **state)
{
	(void)state;
	begin_packets();
	stream->no_room = true;
	say(10);
	say(10);
	assert_int_equal(stream->n_datagrams, 1);
	stream->no_room = false;
	stream->s.user->sent(stream->s.arg, 10);
	turn();
	turn();
	assert_int_equal(stream->n_datagrams, 2);
	end();
}

static void
the_end_of_input_waits_for_answers(void **state)
{
	(void)state;
	begin_packets();
	say(10);
	assert_int_equal(shutdown(program, SHUT_WR), 0);
	turn();
	handclock_pass(DPUMP_LAST_MS - 10);
	bring(5);
	assert_int_equal(hear(), 5);
	handclock_pass(DPUMP_LAST_MS - 10);
	assert_int_equal(n_done, 0);
	handclock_pass(20);
	assert_int_equal(n_done, 1);
	assert_int_equal(result.code, CODE_OK);
	assert_int_equal(result.to_stream, 10);
	assert_int_equal(result.from_stream, 5);
	end();
}

static void
who_thinks_for_long_is_waited_for(void **state)
{
	(void)state;
	begin_packets();
	handclock_pass(10 * DPUMP_IDLE_MS);
	assert_int_equal(n_done, 0);
	end();
}

static void
output_that_is_full_drops_and_counts(void **state)
{
	unsigned n = 0;

	(void)state;
	begin_packets();
	for (int i = 0; i < 1000; i++)
		bring(60000);
	while (hear() == 60000)
		n++;
	fake_end(stream, CODE_CANCELLED, "");
	assert_true(n > 0);
	assert_int_equal(n + counts.dropped, 1000);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_passes_whole_in_both_directions),
		cmocka_unit_test(silence_in_both_directions_is_the_end),
		cmocka_unit_test(an_agent_that_ends_waits_for_no_silent_flow),
		cmocka_unit_test(a_port_that_nobody_has_ends_the_flow),
		cmocka_unit_test(what_the_streams_queue_drops_is_counted),
		cmocka_unit_test(packets_are_datagrams_and_an_empty_one_is_not_written),
		cmocka_unit_test(input_waits_while_the_stream_has_no_room),
		cmocka_unit_test(the_end_of_input_waits_for_answers),
		cmocka_unit_test(who_thinks_for_long_is_waited_for),
		cmocka_unit_test(output_that_is_full_drops_and_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
