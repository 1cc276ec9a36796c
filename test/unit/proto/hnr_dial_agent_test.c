/* SPDX-License-Identifier: ISC */
/* hnr_dial_agent_test - we as an edge-agent of somebody else's relay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/dialect/inflow.h"
#include "test/unit/hnrdialfix.h"

/* It has logged in, and has been asked for a stream, which is its user's first. */
static struct one *
asked(void)
{
	begin(CTL_AGENT, false);
	said();
	good(INITIATE(ID));
	return &x.one[0];
}

static struct one *
connected(void)
{
	const struct ctl_open_ok ok = { 0 };
	struct one *o = asked();

	assert_int_equal(stream_accept(o->s, &ok), 0);
	said();
	return o;
}

static void
the_login_says_what_went_wrong_before(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	assert_string_equal(said(), "{\"inner\":{\"kind\":\"start\",\"last_error\":\"gone "
				    "\\\"away\\\"\",\"name\":\"pi\",\"secret\":\"sesame\"}}");
	assert_string_equal(said(), "");
}

static void
silence_after_the_login_is_a_welcome(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	assert_int_equal(pass(60 * S), ERR_TIMEOUT); /* nothing has left, so it does not count */
	assert_int_equal(x.n_hello, 0);
	session_free(x.s);
	begin(CTL_AGENT, false);
	said();
	assert_int_equal(pass(HNR_SETTLE_US - 1), 0);
	assert_int_equal(x.n_hello, 0);
	assert_int_equal(pass(1), 0);
	assert_int_equal(x.n_hello, 1);
	good("{\"inner\":{\"kind\":\"keep_alive\"}}");
	assert_int_equal(x.n_hello, 1);
}

static void
a_word_of_the_relay_is_one_too(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	said();
	good("{\"inner\":{\"kind\":\"keep_alive\"}}");
	assert_int_equal(x.n_hello, 1);
	session_hung_up(x.s, ERR_EOF, 1000, "");
	assert_int_equal(x.away, CODE_OK);
}

static void
an_end_in_good_order_right_after_the_login_is_a_refusal(void **state)
{
	static const struct {
		int err, code;
		uint32_t away;
	} ends[] = { { ERR_EOF, 1000, CODE_DENIED }, { ERR_EOF, 1012, CODE_OK },
		{ ERR_CLOSED, 0, CODE_OK } };

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		begin(CTL_AGENT, false);
		said();
		session_hung_up(x.s, ends[i].err, ends[i].code, "");
		assert_int_equal(x.away, ends[i].away);
		session_free(x.s);
		x.s = NULL;
		x.away = CODE_OK;
	}
}

static void
a_stream_is_dialled_and_carried(void **state)
{
	struct one *o;
	const struct ctl_open_ok ok = { 0 };

	(void)state;
	o = asked();
	assert_string_equal(o->open.host, "127.0.0.1");
	assert_int_equal(o->open.port, 22);
	assert_string_equal(o->open.protocol, "tcp");
	/* Bytes may come before our answer. */
	good(DATA(ID, "aGVsbG8="));
	got(o, "hello");
	assert_int_equal(stream_accept(o->s, &ok), 0);
	send_text(o, "welcome");
	assert_string_equal(said(), "{\"inner\":{\"kind\":\"initiate_connection_ok\","
				    "\"connection_id\":\"" ID "\"}}");
	assert_string_equal(said(), DATA(ID, "d2VsY29tZQ=="));
	assert_int_equal(o->sent, 7);
	assert_string_equal(said(), "");
	good(CLOSE(ID));
	assert_true(o->closed);
	assert_int_equal(o->code, CODE_OK);
	assert_int_equal(x.n_idle, 1);
	/* What is unknown by now is passed over. */
	good(CLOSE(ID));
	good(DATA(ID, "aGVsbG8="));
}

static void
a_refusal_has_its_text(void **state)
{
	struct one *o;

	(void)state;
	o = asked();
	stream_reset(o->s, CODE_REFUSED, "nobody listens");
	assert_string_equal(said(),
	    "{\"inner\":{\"kind\":\"initiate_connection_error\","
	    "\"message\":\"nobody listens\",\"connection_id\":\"" ID "\"}}");
	assert_false(o->closed);
	assert_int_equal(x.s->n_streams, 0);
	/* The id is free again. */
	good(INITIATE(ID));
	assert_int_equal(x.n, 2);
}

static void
what_makes_no_sense_is_answered(void **state)
{
	static const char *const port[] = { "0", "-1", "65536", "99999999999" };
	char text[512];

	(void)state;
	begin(CTL_AGENT, false);
	said();
	for (size_t i = 0; i < sizeof port / sizeof port[0]; i++) {
		snprintf(text, sizeof text,
		    "{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"h\","
		    "\"target_port\":%s,\"protocol\":\"tcp\",\"connection_id\":\"" ID "\"}}",
		    port[i]);
		good(text);
		assert_non_null(strstr(said(), "initiate_connection_error"));
	}
	good("{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"h\",\"target_port\":1,"
	     "\"protocol\":\"udp\",\"connection_id\":\"" ID "\"}}");
	assert_non_null(strstr(said(), "Unsupported protocol: udp"));
	good("{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"\",\"target_port\":1,"
	     "\"protocol\":\"tcp\",\"connection_id\":\"" ID "\"}}");
	assert_non_null(strstr(said(), "Name or service not known"));
	assert_int_equal(x.n, 0);
	session_goaway(x.s, CODE_OK, "");
	good(INITIATE(ID));
	assert_non_null(strstr(said(), "shutting down"));
}

static void
a_relay_that_makes_no_sense_is_left(void **state)
{
	static const char *const bad[] = { "", "{}", "[]", "{\"inner\":{}}",
		"{\"inner\":{\"kind\":\"start_ok\"}}", "{\"inner\":{\"kind\":\"tcp_data\"}}",
		DATA(ID, "a"), DATA(ID, "aGVsbG8"), INITIATE("a b") };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		asked();
		hear(bad[i]);
		if (x.r != ERR_PROTO || x.why.s[0] == '\0')
			fail_msg("%s: %d", bad[i], x.r);
		session_abandon(x.s, CODE_LOST, "");
		session_free(x.s);
		setup(state);
	}
	asked();
	hear(INITIATE(ID));
	assert_int_equal(x.r, ERR_PROTO);
}

static void
the_end_of_a_target_is_told_after_its_bytes_and_a_pause(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	send_text(o, "bye");
	stream_eof(o->s);
	assert_string_equal(said(), DATA(ID, "Ynll"));
	assert_string_equal(said(), "");
	assert_int_equal(pass(HNR_END_PAUSE_US - 1), 0);
	assert_string_equal(said(), "");
	/* Meanwhile the other way goes on. */
	good(DATA(ID, "aGVsbG8="));
	got(o, "hello");
	assert_int_equal(pass(1000), 0);
	assert_string_equal(said(),
	    "{\"inner\":{\"kind\":\"connection_reset\",\"message\":\"" HNR_ENDED
	    "\",\"connection_id\":\"" ID "\"}}");
	assert_true(o->closed);
	assert_int_equal(o->code, CODE_OK);
}

static void
the_pause_grows_with_what_the_relay_has_to_pass_on(void **state)
{
	struct bufq q = { 0 };
	struct one *o;
	uint8_t p[48000] = { 0 };

	(void)state;
	o = connected();
	for (int i = 0; i < 32; i++) {
		assert_int_equal(bufq_copy(&q, p, sizeof p), 0);
		assert_int_equal(stream_send(o->s, &q, q.len), 0);
		said();
	}
	stream_eof(o->s);
	assert_string_equal(said(), "");
	assert_int_equal(pass(3 * S), 0);
	assert_string_equal(said(), "");
	assert_false(o->closed);
	assert_int_equal(pass(2 * S), 0);
	assert_true(o->closed);
	/* It has had time for these before the end. */
	session_abandon(x.s, CODE_OK, "");
	session_free(x.s);
	setup(state);
	o = connected();
	send_text(o, "bye");
	said();
	assert_int_equal(pass(5 * S), 0);
	stream_eof(o->s);
	said();
	assert_int_equal(pass(HNR_END_PAUSE_US), 0);
	assert_true(o->closed);
}

/* What stands in the kernel's buffers of a slow link has not arrived. */
static void
the_pause_begins_when_the_relay_has_it(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	x.mute = true;
	send_text(o, "bye");
	stream_eof(o->s);
	assert_string_equal(said(), DATA(ID, "Ynll"));
	assert_int_equal(x.n_ping, 0);
	assert_true(session_has_output(x.s));
	assert_string_equal(said(), "");
	assert_int_equal(x.n_ping, 1);
	assert_false(session_has_output(x.s));
	/* Another ping's answer is none to this. */
	session_ponged(x.s, x.s->pings - 1, x.now);
	session_ponged(x.s, x.s->pings + 1, x.now);
	x.s->heard_us = x.now;
	assert_int_equal(pass(20 * S), 0);
	said();
	assert_false(o->closed);
	session_ponged(x.s, x.s->pings, x.now);
	assert_int_equal(pass(HNR_END_PAUSE_US - 1), 0);
	assert_false(o->closed);
	assert_int_equal(pass(1), 0);
	assert_true(o->closed);
}

/* A relay that answers no ping is not waited for without end. */
static void
without_an_answer_the_pause_has_a_bound(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	x.mute = true;
	stream_eof(o->s);
	said();
	for (uint64_t us = 0; us < HNR_END_PAUSE_MAX_US - 10 * S; us += 10 * S) {
		x.s->heard_us = x.now;
		assert_int_equal(pass(10 * S), 0);
		said();
	}
	assert_false(o->closed);
	x.s->heard_us = x.now;
	assert_int_equal(pass(20 * S), 0);
	assert_true(o->closed);
}

static void
our_own_relay_is_not_waited_for(void **state)
{
	const struct ctl_open_ok ok = { 0 };

	(void)state;
	begin(CTL_AGENT, true);
	said();
	good(INITIATE(ID));
	assert_int_equal(stream_accept(x.one[0].s, &ok), 0);
	said();
	stream_eof(x.one[0].s);
	said();
	assert_int_equal(pass(0), 0);
	assert_non_null(strstr(said(), HNR_ENDED));
}

static void
a_reset_goes_behind_what_was_sent_and_says_another_text(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	send_text(o, "bye");
	stream_reset(o->s, CODE_RESET, "broken");
	assert_int_equal(x.s->n_streams, 0);
	assert_string_equal(said(), DATA(ID, "Ynll"));
	assert_string_equal(said(), "");
	assert_int_equal(pass(2 * S), 0);
	assert_non_null(strstr(said(), "connection_reset"));
	assert_null(strstr(x.said, HNR_ENDED));
	assert_false(o->closed);
}

static void
an_abort_goes_at_once(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	send_text(o, "bye");
	stream_abort(o->s, CODE_LIMIT, "too much");
	assert_non_null(strstr(said(), "connection_reset"));
	assert_string_equal(said(), "");
	assert_false(session_has_output(x.s));
}

static void
streams_take_turns(void **state)
{
	const struct ctl_open_ok ok = { 0 };
	struct bufq q = { 0 };
	struct one *o;
	uint8_t p[100000] = { 0 };

	(void)state;
	o = connected();
	good(INITIATE(OTHER));
	assert_int_equal(stream_accept(x.one[1].s, &ok), 0);
	said();
	assert_int_equal(bufq_copy(&q, p, sizeof p), 0);
	assert_int_equal(stream_send(o->s, &q, q.len), 0);
	send_text(&x.one[1], "small");
	said();
	assert_int_equal(o->sent, HNR_DATA_MAX);
	assert_string_equal(said(), DATA(OTHER, "c21hbGw="));
	said();
	said();
	assert_int_equal(o->sent, sizeof p);
	assert_string_equal(said(), "");
	/* And a reader that does not keep up is told by the room. */
	assert_int_equal(bufq_copy(&q, p, sizeof p), 0);
	assert_int_equal(stream_send(o->s, &q, q.len), 0);
	assert_int_equal(stream_room(o->s), MUX_UNSENT_MAX - sizeof p);
}

static void
a_target_that_does_not_read_stops_the_relay_for_a_while(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	o->keep = true;
	flood(ID, 10);
	assert_false(x.stopped);
	flood(ID, 20);
	assert_true(x.stopped);
	stream_consumed(o->s, o->got.len);
	assert_false(x.stopped);
	/* Its pings must be read some time. */
	x.s->peer_ping_us = x.now;
	flood(ID, 30);
	assert_true(x.stopped);
	assert_int_equal(pass(INFLOW_QUIET_US - 1), 0);
	assert_true(x.stopped);
	assert_int_equal(pass(1), 0);
	assert_false(x.stopped);
	flood(ID, 3);
	assert_true(x.stopped);
}

static void
the_fullest_is_closed_when_memory_ends(void **state)
{
	const struct ctl_open_ok ok = { 0 };
	struct one *o;

	(void)state;
	o = connected();
	budget_init(&x.budget, 1024 * 1024, NULL);
	budget_join(&x.budget); /* what was counted before */
	good(INITIATE(OTHER));
	assert_int_equal(stream_accept(x.one[1].s, &ok), 0);
	said();
	o->keep = x.one[1].keep = true;
	flood(ID, 20);
	assert_false(o->closed);
	flood(OTHER, 6);
	assert_true(o->closed);
	assert_int_equal(o->code, CODE_LIMIT);
	assert_false(x.one[1].closed);
	assert_non_null(strstr(said(), "connection_reset"));
}

static void
it_says_that_it_lives_and_asks_the_relay(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	said();
	assert_int_equal(pass(HNR_KEEP_ALIVE_US - 1), 0);
	assert_string_equal(said(), "");
	assert_int_equal(pass(1), 0);
	assert_string_equal(said(), "{\"inner\":{\"kind\":\"keep_alive\"}}");
	assert_string_equal(said(), "");
	assert_int_equal(pass(6 * S), 0);
	assert_int_equal(x.n_ping, 1);
	x.s->heard_us = x.now;
	assert_int_equal(pass(44 * S), 0);
	assert_int_equal(pass(2 * S), ERR_TIMEOUT);
}

static void
answers_that_are_not_read_have_a_bound(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	session_goaway(x.s, CODE_OK, "");
	for (x.r = 0; x.r == 0 && x.n < 1;)
		hear(INITIATE(ID));
	assert_int_equal(x.r, ERR_LIMIT);
}

static void
without_memory_it_fails_and_nothing_is_left(void **state)
{
	static const char *const words[] = { INITIATE(ID), DATA(ID, "aGVsbG8="), CLOSE(ID) };
	const struct ctl_open_ok ok = { 0 };

	for (long n = 0; n < 40; n++) {
		begin(CTL_AGENT, false);
		said();
		mem_fail_after(n);
		for (size_t i = 0; x.r == 0 && i < sizeof words / sizeof words[0]; i++) {
			struct bufq in = { 0 };

			mem_fail_after(MEM_NO_FAIL);
			assert_int_equal(bufq_copy(&in, words[i], strlen(words[i])), 0);
			mem_fail_after(n);
			x.r = session_input(x.s, &in, x.now, &x.why);
			if (i == 0 && x.n == 1 && x.one[0].s != NULL)
				IGNORE_RESULT(stream_accept(x.one[0].s, &ok)); /* or it fails */
			mem_fail_after(MEM_NO_FAIL);
			bufq_fini(&in);
		}
		session_abandon(x.s, CODE_GONE, "");
		session_free(x.s);
		bufq_fini(&x.one[0].got);
		setup(state);
	}
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_login_says_what_went_wrong_before),
		TEST(silence_after_the_login_is_a_welcome),
		TEST(a_word_of_the_relay_is_one_too),
		TEST(an_end_in_good_order_right_after_the_login_is_a_refusal),
		TEST(a_stream_is_dialled_and_carried),
		TEST(a_refusal_has_its_text),
		TEST(what_makes_no_sense_is_answered),
		TEST(a_relay_that_makes_no_sense_is_left),
		TEST(the_end_of_a_target_is_told_after_its_bytes_and_a_pause),
		TEST(the_pause_grows_with_what_the_relay_has_to_pass_on),
		TEST(the_pause_begins_when_the_relay_has_it),
		TEST(without_an_answer_the_pause_has_a_bound),
		TEST(our_own_relay_is_not_waited_for),
		TEST(a_reset_goes_behind_what_was_sent_and_says_another_text),
		TEST(an_abort_goes_at_once),
		TEST(streams_take_turns),
		TEST(a_target_that_does_not_read_stops_the_relay_for_a_while),
		TEST(the_fullest_is_closed_when_memory_ends),
		TEST(it_says_that_it_lives_and_asks_the_relay),
		TEST(answers_that_are_not_read_have_a_bound),
		TEST(without_memory_it_fails_and_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
