/* SPDX-License-Identifier: ISC */
/* hnr_dial_client_test - we as an access-client of somebody else's relay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/unit/hnrdialfix.h"

static struct one *
ask(void)
{
	struct ctl_open o = { .protocol = "tcp", .host = "10.0.0.1", .port = 22 };

	begin(CTL_CONNECT, false);
	assert_false(session_has_output(x.s));
	x.one[0].s = session_open(x.s, &o, NULL, &stream_user, &x.one[0], &x.why);
	assert_non_null(x.one[0].s);
	return &x.one[0];
}

static struct one *
opened(void)
{
	struct one *o = ask();

	said();
	good("{\"inner\":{\"kind\":\"start_ok\"}}");
	assert_true(o->opened);
	return o;
}

static void
the_stream_is_asked_for_and_bytes_follow_at_once(void **state)
{
	struct one *o;

	(void)state;
	o = ask();
	send_text(o, "hello");
	assert_string_equal(said(), "{\"inner\":{\"kind\":\"start\",\"connection_target\":\"pi\","
				    "\"target_ip\":\"10.0.0.1\",\"target_port\":22,"
				    "\"protocol\":\"tcp\",\"secret\":\"sesame\"}}");
	assert_string_equal(
	    said(), "{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"aGVsbG8=\"}}");
	assert_int_equal(o->sent, 5);
	good("{\"inner\":{\"kind\":\"start_ok\",\"connection_id\":\"" ID "\"}}");
	assert_int_equal(x.n_hello, 1);
	assert_true(o->opened);
	good("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	got(o, "welcome");
}

static void
it_has_one_stream_of_bytes_to_a_host(void **state)
{
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" };

	(void)state;
	begin(CTL_CONNECT, false);
	assert_null(session_open(x.s, &o, NULL, &stream_user, &x.one[1], &x.why));
	assert_int_equal(session_open_code(x.s), CODE_NOT_FOUND);
	session_free(x.s);
	opened();
	o = (struct ctl_open){ .protocol = "tcp", .host = "h", .port = 1 };
	assert_null(session_open(x.s, &o, NULL, &stream_user, &x.one[1], &x.why));
	assert_int_equal(session_open_code(x.s), CODE_GONE);
}

static void
a_refusal_is_told_with_a_code(void **state)
{
	static const struct {
		const char *text;
		uint32_t code;
	} errors[] = {
		{ "Agent not registered", CODE_NOT_FOUND },
		{ "Error initiating connection: [Errno 111] Connect call failed ('127.0.0.1', 1)",
		    CODE_REFUSED },
		{ "Error initiating connection: Unsupported protocol: udp", CODE_NOT_FOUND },
		{ "Error initiating connection: [Errno -2] Name or service not known",
		    CODE_UNREACHABLE },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		struct one *o = ask();

		snprintf(text, sizeof text, "{\"inner\":{\"kind\":\"error\",\"message\":\"%s\"}}",
		    errors[i].text);
		good(text);
		assert_true(o->closed);
		assert_int_equal(o->code, errors[i].code);
		assert_string_equal(o->text, errors[i].text);
		assert_int_equal(x.away, CODE_OK);
		session_free(x.s);
		setup(state);
	}
}

static void
a_wrong_secret_is_the_logins_refusal(void **state)
{
	(void)state;
	ask();
	hear("{\"inner\":{\"kind\":\"error\",\"message\":\"Invalid access client secret\"}}");
	assert_int_equal(x.r, ERR_DENIED);
	assert_int_equal(x.away, CODE_DENIED);
}

static void
the_end_of_the_websocket_is_that_of_the_stream(void **state)
{
	static const struct {
		int err, ws_code;
		const char *text;
		uint32_t code;
	} ends[] = {
		{ ERR_EOF, 1000, "", CODE_OK },
		{ ERR_EOF, 1005, "", CODE_OK },
		/* Our own relay says so when it has cut the stream. */
		{ ERR_EOF, 1000, "the agent is gone", CODE_LOST },
		{ ERR_EOF, 1011, "", CODE_LOST },
		{ ERR_EOF, 1012, "", CODE_LOST },
		{ ERR_CLOSED, 0, "reset", CODE_LOST },
		{ ERR_CLOSED, 0, "!", CODE_LOST },
	};

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		struct one *o = opened();

		session_hung_up(x.s, ends[i].err, ends[i].ws_code, ends[i].text);
		assert_true(o->closed);
		assert_int_equal(o->code, ends[i].code);
		if (ends[i].text[0] != '\0')
			assert_string_equal(o->text, ends[i].text);
		session_free(x.s);
		setup(state);
	}
	ask();
	session_hung_up(x.s, ERR_EOF, 1000, "");
	assert_int_equal(x.one[0].code, CODE_GONE);
}

static void
our_own_end_is_kept_to_ourselves(void **state)
{
	struct one *o;

	(void)state;
	o = opened();
	stream_eof(o->s);
	assert_false(session_has_output(x.s));
	good("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	got(o, "welcome");
	stream_reset(o->s, CODE_CANCELLED, "");
	assert_int_equal(x.n_idle, 1);
	assert_false(o->closed);
	/* What was under way is passed over. */
	good("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	good("{\"inner\":{\"kind\":\"error\",\"message\":\"late\"}}");
}

static void
a_late_error_is_no_end_in_good_order(void **state)
{
	struct one *o;

	(void)state;
	o = opened();
	good("{\"inner\":{\"kind\":\"error\",\"message\":\"it went wrong\"}}");
	assert_false(o->closed);
	session_hung_up(x.s, ERR_EOF, 1000, "");
	assert_int_equal(o->code, CODE_GONE);
	assert_string_equal(o->text, "it went wrong");
}

static void
nothing_comes_before_the_answer(void **state)
{
	(void)state;
	ask();
	hear("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	assert_int_equal(x.r, ERR_PROTO);
}

/* The reference passes over it. */
static void
an_answer_counts_once(void **state)
{
	struct one *o;

	(void)state;
	o = opened();
	good("{\"inner\":{\"kind\":\"start_ok\"}}");
	assert_int_equal(x.n_hello, 1);
	good("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	got(o, "welcome");
}

static void
a_reader_that_has_stopped_stops_the_relay(void **state)
{
	struct one *o;

	(void)state;
	o = opened();
	o->keep = true;
	flood(NULL, 30);
	assert_true(x.stopped);
	stream_consumed(o->s, o->got.len);
	assert_false(x.stopped);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_stream_is_asked_for_and_bytes_follow_at_once),
		TEST(it_has_one_stream_of_bytes_to_a_host),
		TEST(a_refusal_is_told_with_a_code),
		TEST(a_wrong_secret_is_the_logins_refusal),
		TEST(the_end_of_the_websocket_is_that_of_the_stream),
		TEST(our_own_end_is_kept_to_ourselves),
		TEST(a_late_error_is_no_end_in_good_order),
		TEST(nothing_comes_before_the_answer),
		TEST(an_answer_counts_once),
		TEST(a_reader_that_has_stopped_stops_the_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
