/* SPDX-License-Identifier: ISC */
/* hnr_accept_client_test - an access-client of http-network-relay at our relay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/dialect/inflow.h"
#include "test/unit/hnrfix.h"

#define START_OF(agent, host, port, protocol, secret)                                              \
	"{\"inner\":{\"kind\":\"start\",\"connection_target\":\"" agent "\",\"target_ip\":\"" host \
	"\",\"target_port\":" port ",\"protocol\":\"" protocol "\",\"secret\":\"" secret "\"}}"
#define START START_OF("pi", "127.0.0.1", "18080", "tcp", "client-secret-1")
#define DATA(b64) "{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"" b64 "\"}}"
#define ERROR(text) "{\"inner\":{\"kind\":\"error\",\"message\":\"" text "\"}}"
#define START_OK "{\"inner\":{\"kind\":\"start_ok\"}}"

static const struct ctl_open_ok ok;

static int
setup(void **state)
{
	(void)state;
	hnrfix_init(false);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	hnrfix_fini();
	return 0;
}

/* It is let in, and its target is connected. */
static void
begin(void)
{
	assert_int_equal(hnrfix_say(START), 0);
	assert_int_equal(stream_accept(x.st[0].s, &ok), 0);
	assert_string_equal(hnrfix_said(), START_OK);
}

static void
start_says_who_it_is_and_what_it_wants(void **state)
{
	(void)state;
	assert_int_equal(hnrfix_say(START), 0);
	assert_int_equal(x.hello.role, CTL_CONNECT);
	assert_string_equal(x.hello.name, "pi");
	assert_string_equal(x.hello.secret, "client-secret-1");
	assert_int_equal(x.n_open, 1);
	assert_string_equal(x.asked.protocol, "tcp");
	assert_string_equal(x.asked.host, "127.0.0.1");
	assert_int_equal(x.asked.port, 18080);
	assert_string_equal(x.asked.service, "");
	assert_null(hnrfix_said());
}

/* Whoever is let in later opens its stream as soon as the carrier asks what time it wants. */
static void
a_late_yes_is_as_good(void **state)
{
	struct ctl_hello relay = { .role = CTL_RELAY };

	(void)state;
	x.verdict = SESSION_HOLD;
	assert_int_equal(hnrfix_say(START), 0);
	assert_int_equal(x.n_open, 0);
	assert_int_equal(session_greet(x.s, &relay), 0);
	assert_int_equal(x.n_open, 0);
	assert_int_equal(hnrfix_pass(0), 0);
	assert_int_equal(x.n_open, 1);
}

static void
or_when_it_says_more(void **state)
{
	struct ctl_hello relay = { .role = CTL_RELAY };

	(void)state;
	x.verdict = SESSION_HOLD;
	assert_int_equal(hnrfix_say(START), 0);
	assert_int_equal(session_greet(x.s, &relay), 0);
	assert_int_equal(hnrfix_say(DATA("Zm9v")), 0);
	assert_int_equal(x.n_open, 1);
	assert_string_equal(x.st[0].got, "foo");
}

static void
nothing_is_said_before_start_ok(void **state)
{
	(void)state;
	assert_int_equal(hnrfix_say(START), 0);
	hnrfix_send(x.st[0].s, "early");
	assert_null(hnrfix_said());
	assert_int_equal(stream_accept(x.st[0].s, &ok), 0);
	assert_string_equal(hnrfix_said(), START_OK);
	assert_string_equal(hnrfix_said(), DATA("ZWFybHk="));
	assert_int_equal(x.st[0].n_sent, 5);
	assert_null(hnrfix_said());
}

static void
bytes_go_both_ways(void **state)
{
	(void)state;
	begin();
	assert_int_equal(hnrfix_say(DATA("Zm9v")), 0);
	assert_int_equal(hnrfix_say(DATA("")), 0);
	assert_int_equal(hnrfix_say(" " DATA("YmFy")), 0);
	assert_string_equal(x.st[0].got, "foobar");
	hnrfix_send(x.st[0].s, "a");
	assert_string_equal(hnrfix_said(), DATA("YQ=="));
}

static void
much_is_said_in_messages_of_a_size(void **state)
{
	struct bufq q = { 0 };
	uint8_t *zeros = mem_zalloc(100000);

	(void)state;
	begin();
	assert_int_equal(bufq_copy(&q, zeros, 100000), 0);
	assert_int_equal(stream_send(x.st[0].s, &q, 100000), 0);
	assert_int_equal(stream_room(x.st[0].s), HNR_UNSENT_MAX - 100000);
	assert_true(strlen(hnrfix_said()) > 64000);
	assert_int_equal(x.st[0].n_sent, HNR_DATA_MAX);
	assert_non_null(hnrfix_said());
	assert_non_null(hnrfix_said());
	assert_int_equal(x.st[0].n_sent, 100000);
	assert_null(hnrfix_said());
	mem_free(zeros);
}

static void
a_wrong_secret_has_the_references_words(void **state)
{
	(void)state;
	x.verdict = SESSION_REFUSED;
	assert_int_equal(hnrfix_say(START), 0);
	assert_string_equal(hnrfix_said(), ERROR("Invalid access client secret"));
	assert_null(hnrfix_said());
	assert_int_equal(hnrfix_say(DATA("Zm9v")), 0);
	assert_int_equal(x.n_open, 0);
}

static void
other_refusals_are_told_as_they_are(void **state)
{
	(void)state;
	x.verdict = SESSION_HOLD;
	assert_int_equal(hnrfix_say(START), 0);
	session_goaway(x.s, CODE_LIMIT, "the relay has no room for another client");
	assert_string_equal(hnrfix_said(), ERROR("the relay has no room for another client"));
}

/* The carrier finishes when the session is idle and going. */
static void
is_at_its_end(void)
{
	assert_null(hnrfix_said());
	assert_true(x.s->going);
	assert_int_equal(x.s->n_streams, 0);
	assert_int_equal(x.n_idle, 1);
}

static void
an_absent_agent_has_the_references_words(void **state)
{
	(void)state;
	x.refuse = CODE_NOT_FOUND;
	assert_int_equal(hnrfix_say(START), 0);
	assert_string_equal(hnrfix_said(), ERROR("Agent not registered"));
	is_at_its_end();
	assert_null(x.s->bye != NULL && x.s->bye[0] != '\0' ? x.s->bye : NULL);
}

static void
a_refused_target_has_the_agents_words_behind_the_references(void **state)
{
	(void)state;
	assert_int_equal(hnrfix_say(START), 0);
	stream_reset(x.st[0].s, CODE_REFUSED, "[Errno 111] Connect call failed ('127.0.0.1', 1)");
	assert_string_equal(
	    hnrfix_said(), ERROR("Error initiating connection: "
				 "[Errno 111] Connect call failed ('127.0.0.1', 1)"));
	is_at_its_end();
}

static void
what_makes_no_sense_is_refused_behind_the_absent_agent(void **state)
{
	static const struct {
		const char *start, *error;
	} bad[] = {
		{ START_OF("pi", "h", "1", "udp", "s"),
		    ERROR("Error initiating connection: Unsupported protocol: udp") },
		{ START_OF("pi", "h", "0", "tcp", "s"),
		    ERROR("Error initiating connection: target_port must be 1-65535") },
		{ START_OF("pi", "h", "65536", "tcp", "s"),
		    ERROR("Error initiating connection: target_port must be 1-65535") },
		{ START_OF("pi", "a b", "1", "tcp", "s"),
		    ERROR("Error initiating connection: not a valid target_ip") },
		{ START_OF("pi", "", "1", "tcp", "s"),
		    ERROR("Error initiating connection: not a valid target_ip") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		for (int absent = 0; absent < 2; absent++) {
			x.refuse = absent ? CODE_NOT_FOUND : 0;
			assert_int_equal(hnrfix_say(bad[i].start), 0);
			/* Whatever it is, nobody must serve it. */
			assert_string_not_equal(x.asked.protocol, "tcp");
			assert_string_not_equal(x.asked.protocol, "udp");
			if (!absent)
				stream_reset(x.st[0].s, CODE_NOT_FOUND, "no such protocol");
			assert_string_equal(
			    hnrfix_said(), absent ? ERROR("Agent not registered") : bad[i].error);
			hnrfix_fini();
			hnrfix_init(false);
		}
}

static void
names_that_nobody_has_are_absent(void **state)
{
	char text[1000], name[CTL_AGENT_MAX + 2];

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	snprintf(text, sizeof text, START_OF("%s", "h", "1", "tcp", "s"), name);
	assert_int_equal(hnrfix_say(text), 0);
	assert_int_equal(x.n_hello, 0);
	assert_string_equal(hnrfix_said(), ERROR("Agent not registered"));
	hnrfix_fini();
	hnrfix_init(false);
	assert_int_equal(hnrfix_say(START_OF("", "h", "1", "tcp", "s")), 0);
	assert_string_equal(hnrfix_said(), ERROR("Agent not registered"));
}

static void
too_long_a_secret_is_a_wrong_one(void **state)
{
	char text[CTL_SECRET_MAX + 300], secret[CTL_SECRET_MAX + 2];

	(void)state;
	memset(secret, 's', sizeof secret - 1);
	secret[sizeof secret - 1] = '\0';
	snprintf(text, sizeof text, START_OF("pi", "h", "1", "tcp", "%s"), secret);
	assert_int_equal(hnrfix_say(text), 0);
	assert_int_equal(x.n_hello, 0);
	assert_string_equal(hnrfix_said(), ERROR("Invalid access client secret"));
}

static void
the_answers_end_ends_it_behind_the_last_byte(void **state)
{
	(void)state;
	begin();
	hnrfix_send(x.st[0].s, "last");
	stream_eof(x.st[0].s);
	assert_false(x.st[0].closed);
	assert_string_equal(hnrfix_said(), DATA("bGFzdA=="));
	assert_true(x.st[0].closed);
	assert_int_equal(x.st[0].code, CODE_OK);
	is_at_its_end();
	assert_string_equal(x.s->bye, "");
}

static void
a_reset_ends_it_behind_the_last_byte_and_says_why(void **state)
{
	(void)state;
	begin();
	hnrfix_send(x.st[0].s, "last");
	stream_reset(x.st[0].s, CODE_RESET, "Connection reset while writing data");
	assert_string_equal(hnrfix_said(), DATA("bGFzdA=="));
	is_at_its_end();
	assert_false(x.st[0].closed);
	assert_string_equal(x.s->bye, "Connection reset while writing data");
}

static void
broken_off_it_says_nothing_more(void **state)
{
	(void)state;
	begin();
	hnrfix_send(x.st[0].s, "last");
	stream_abort(x.st[0].s, CODE_LIMIT, "too much");
	is_at_its_end();
	assert_string_equal(x.s->bye, "too much");
}

static void
a_goodbye_is_a_good_end_and_a_cut_is_none(void **state)
{
	static const struct {
		int err, code;
		const char *text;
		uint32_t means;
	} ends[] = {
		{ ERR_EOF, 1000, "", CODE_OK },
		{ ERR_EOF, 1001, "", CODE_OK },
		{ ERR_EOF, 1005, "", CODE_OK },
		{ ERR_EOF, 1011, "keepalive ping timeout", CODE_LOST },
		{ ERR_EOF, 1009, "", CODE_LOST },
		{ ERR_CLOSED, 0, "connection lost", CODE_LOST },
	};

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		hnrfix_fini();
		hnrfix_init(false);
		begin();
		session_hung_up(x.s, ends[i].err, ends[i].code, ends[i].text);
		assert_true(x.st[0].closed);
		assert_int_equal(x.st[0].code, ends[i].means);
		assert_string_equal(x.st[0].text, ends[i].text);
	}
}

static void
what_is_out_of_order_ends_it(void **state)
{
	(void)state;
	assert_int_equal(hnrfix_say(DATA("Zm9v")), ERR_PROTO);
	hnrfix_fini();
	hnrfix_init(false);
	begin();
	assert_int_equal(hnrfix_say(START), ERR_PROTO);
	hnrfix_fini();
	hnrfix_init(false);
	begin();
	assert_int_equal(hnrfix_say("{}"), ERR_PROTO);
	assert_int_equal(hnrfix_say("{\"inner\":{\"kind\":\"keep_alive\"}}"), ERR_PROTO);
}

static void
a_target_that_does_not_read_stops_it_and_in_the_end_closes_it(void **state)
{
	char *text = mem_alloc(900000);
	int n = snprintf(text, 900000, "{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"");
	bool was = false;

	(void)state;
	memset(text + n, 'A', 800000);
	snprintf(text + n + 800000, 10, "\"}}");
	begin();
	for (int i = 0; i < 1000 && !x.st[0].closed; i++) {
		if (x.stopped) {
			was = true;
			x.s->heard_us = x.s->peer_ping_us = x.now_us;
			assert_int_equal(hnrfix_pass(INFLOW_QUIET_US - 1), 0);
			assert_true(x.stopped);
			assert_int_equal(hnrfix_pass(1), 0);
			assert_false(x.stopped);
		}
		assert_int_equal(hnrfix_say(text), 0);
	}
	assert_true(was);
	assert_true(x.st[0].closed);
	assert_int_equal(x.st[0].code, CODE_LIMIT);
	assert_int_equal(atomic_load(&x.budget.used), 0);
	mem_free(text);
}

static void
what_is_passed_on_makes_room(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < 100; i++)
		assert_int_equal(hnrfix_say(DATA("Zm9v")), 0);
	stream_consumed(x.st[0].s, 300);
	assert_false(x.stopped);
}

static void
who_is_silent_is_asked_and_then_dead(void **state)
{
	(void)state;
	begin();
	assert_int_equal(hnrfix_pass(15 * HNRFIX_S), 0);
	assert_int_equal(x.n_pings, 1);
	session_ping(x.s);
	assert_int_equal(x.n_pings, 2);
	/* Whoever is not read has no time to answer. */
	session_unread(x.s, true, x.now_us);
	assert_int_equal(hnrfix_pass(100 * (uint64_t)HNRFIX_S), 0);
	session_unread(x.s, false, x.now_us);
	assert_int_equal(hnrfix_pass(44 * HNRFIX_S), 0);
	assert_int_equal(hnrfix_pass(1 * HNRFIX_S), ERR_TIMEOUT);
}

static void
its_end_is_told_once(void **state)
{
	(void)state;
	begin();
	session_abandon(x.s, CODE_GONE, "the relay is shutting down");
	assert_true(x.st[0].closed);
	assert_int_equal(x.st[0].code, CODE_GONE);
	assert_string_equal(x.s->bye, "the relay is shutting down");
	assert_null(hnrfix_said());
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(start_says_who_it_is_and_what_it_wants),
		T(a_late_yes_is_as_good),
		T(or_when_it_says_more),
		T(nothing_is_said_before_start_ok),
		T(bytes_go_both_ways),
		T(much_is_said_in_messages_of_a_size),
		T(a_wrong_secret_has_the_references_words),
		T(other_refusals_are_told_as_they_are),
		T(an_absent_agent_has_the_references_words),
		T(a_refused_target_has_the_agents_words_behind_the_references),
		T(what_makes_no_sense_is_refused_behind_the_absent_agent),
		T(names_that_nobody_has_are_absent),
		T(too_long_a_secret_is_a_wrong_one),
		T(the_answers_end_ends_it_behind_the_last_byte),
		T(a_reset_ends_it_behind_the_last_byte_and_says_why),
		T(broken_off_it_says_nothing_more),
		T(a_goodbye_is_a_good_end_and_a_cut_is_none),
		T(what_is_out_of_order_ends_it),
		T(a_target_that_does_not_read_stops_it_and_in_the_end_closes_it),
		T(what_is_passed_on_makes_room),
		T(who_is_silent_is_asked_and_then_dead),
		T(its_end_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
