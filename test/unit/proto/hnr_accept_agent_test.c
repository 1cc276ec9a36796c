/* SPDX-License-Identifier: ISC */
/* hnr_accept_agent_test - an edge-agent of http-network-relay at our relay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/hnrfix.h"

#define START_WITH(last, name, secret)                                                  \
	"{\"inner\":{\"kind\":\"start\",\"last_error\":" last ",\"name\":\"" name "\"," \
	"\"secret\":\"" secret "\"}}"
#define START START_WITH("null", "pi", "agent-secret-1")
#define KEEP_ALIVE "{\"inner\":{\"kind\":\"keep_alive\"}}"
#define TAG(t) "Input tag '" t "' found using 'kind' does not match any of the expected tags"

static int
setup(void **state)
{
	(void)state;
	hnrfix_init(true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	hnrfix_fini();
	return 0;
}

/* The id of stream i, which stands for '#' in the messages below. */
static char ids[HNRFIX_STREAMS][40];

static const char *
with_id(int i, const char *message)
{
	static char text[1024];
	const char *hash = strchr(message, '#');

	snprintf(text, sizeof text, "%.*s%s%s", (int)(hash - message), message, ids[i], hash + 1);
	return text;
}

static int
say(int i, const char *message)
{
	return hnrfix_say(with_id(i, message));
}

#define OK_ "{\"inner\":{\"kind\":\"initiate_connection_ok\",\"connection_id\":\"#\"}}"
#define DATA_(b64) \
	"{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"#\",\"data_base64\":\"" b64 "\"}}"
#define RESET_(text)                                                          \
	"{\"inner\":{\"kind\":\"connection_reset\",\"message\":\"" text "\"," \
	"\"connection_id\":\"#\"}}"
#define ERROR_(text)                                                                   \
	"{\"inner\":{\"kind\":\"initiate_connection_error\",\"message\":\"" text "\"," \
	"\"connection_id\":\"#\"}}"
#define CLOSE_                                                                          \
	"{\"inner\":{\"kind\":\"connection_close\",\"message\":\"Connection closed by " \
	"relay\",\"connection_id\":\"#\"}}"

/* The session's next message is this one about stream i. */
static void
assert_said(int i, const char *message)
{
	assert_string_equal(hnrfix_said(), with_id(i, message));
}

static struct stream *
open_stream(int i)
{
	struct ctl_open o = { .protocol = "tcp", .host = "127.0.0.1", .port = 18080 };
	struct errtext why;

	x.st[i].s = session_open(x.s, &o, NULL, &hnrfix_stream_user, &x.st[i], &why);
	return x.st[i].s;
}

static void
asked(int i)
{
	static const char before[] =
	    "{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"127.0.0.1\","
	    "\"target_port\":18080,\"protocol\":\"tcp\",\"connection_id\":\"";

	assert_non_null(open_stream(i));
	assert_non_null(hnrfix_said());
	assert_memory_equal(x.said, before, sizeof before - 1);
	snprintf(ids[i], sizeof ids[i], "%.36s", x.said + sizeof before - 1);
	assert_string_equal(x.said + sizeof before - 1 + 36, "\"}}");
}

static void
opened(int i)
{
	asked(i);
	assert_int_equal(say(i, OK_), 0);
	assert_true(x.st[i].opened);
}

static void
begin(void)
{
	assert_int_equal(hnrfix_say(START), 0);
	assert_null(hnrfix_said());
}

/* ---- login ---- */

static void
start_says_who_it_is(void **state)
{
	(void)state;
	begin();
	assert_int_equal(x.hello.role, CTL_AGENT);
	assert_string_equal(x.hello.name, "pi");
	assert_string_equal(x.hello.secret, "agent-secret-1");
}

static void
each_session_is_an_agent_of_its_own(void **state)
{
	uint8_t first[CTL_TOKEN_LEN];

	(void)state;
	begin();
	memcpy(first, x.hello.instance, sizeof first);
	hnrfix_fini();
	hnrfix_init(true);
	begin();
	assert_memory_not_equal(first, x.hello.instance, sizeof first);
}

static void
who_is_refused_hears_nothing(void **state)
{
	(void)state;
	x.verdict = SESSION_REFUSED;
	begin();
	assert_int_equal(hnrfix_say(KEEP_ALIVE), 0);
	assert_null(open_stream(0));
	assert_null(x.s->bye);
}

static void
what_is_out_of_order_ends_it(void **state)
{
	(void)state;
	assert_int_equal(hnrfix_say(KEEP_ALIVE), ERR_PROTO);
	begin();
	assert_int_equal(hnrfix_say(START), ERR_PROTO);
	assert_int_equal(hnrfix_say("[]"), ERR_PROTO);
	assert_int_equal(hnrfix_say("{\"inner\":{\"kind\":\"start_ok\"}}"), ERR_PROTO);
}

static void
a_new_agent_is_kept_alive_and_an_old_one_left_alone(void **state)
{
	static const struct {
		const char *start;
		bool old;
	} agents[] = {
		{ START, false },
		{ "{\"inner\":{\"kind\":\"start\",\"name\":\"pi\",\"secret\":\"s\"}}", false },
		{ START_WITH("\"Connect call failed\"", "pi", "s"), false },
		{ START_WITH("\"x " TAG("tcp_data") "\"", "pi", "s"), false },
		{ START_WITH("\"x " TAG("keep_alive") ": y\"", "pi", "s"), true },
		{ START_WITH("\"" TAG("successfully_ssh_connected") "\"", "pi", "s"), true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof agents / sizeof agents[0]; i++) {
		hnrfix_fini();
		hnrfix_init(true);
		assert_int_equal(hnrfix_say(agents[i].start), 0);
		for (int k = 0; k < 3; k++) {
			x.s->heard_us = x.now_us;
			assert_int_equal(hnrfix_pass(30 * HNRFIX_S - 1), 0);
			assert_null(hnrfix_said());
			x.s->heard_us = x.now_us;
			assert_int_equal(hnrfix_pass(1), 0);
			if (agents[i].old)
				assert_null(hnrfix_said());
			else
				assert_string_equal(hnrfix_said(), KEEP_ALIVE);
		}
	}
}

static void
who_is_silent_is_asked_and_then_dead(void **state)
{
	(void)state;
	begin();
	assert_int_equal(hnrfix_pass(45 * HNRFIX_S - 1), 0);
	assert_true(x.n_pings > 0);
	assert_int_equal(hnrfix_pass(1), ERR_TIMEOUT);
}

/* ---- streams ---- */

static void
ids_are_uuids_of_version_4(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < 3; i++) {
		asked(i);
		for (int k = 0; k < 36; k++)
			if (k == 8 || k == 13 || k == 18 || k == 23)
				assert_int_equal(ids[i][k], '-');
			else
				assert_non_null(strchr("0123456789abcdef", ids[i][k]));
		assert_int_equal(ids[i][14], '4');
		assert_non_null(strchr("89ab", ids[i][19]));
	}
	assert_string_not_equal(ids[0], ids[1]);
}

static void
streams_are_kept_apart(void **state)
{
	(void)state;
	begin();
	opened(0);
	opened(1);
	assert_int_equal(say(1, DATA_("Zm9v")), 0);
	assert_int_equal(say(0, DATA_("YmFy")), 0);
	assert_int_equal(say(1, DATA_("Zm9v")), 0);
	assert_string_equal(x.st[0].got, "bar");
	assert_string_equal(x.st[1].got, "foofoo");
}

static void
each_has_its_turn(void **state)
{
	struct bufq q = { 0 };
	uint8_t *zeros = mem_zalloc(200000);

	(void)state;
	begin();
	opened(0);
	opened(1);
	assert_int_equal(bufq_copy(&q, zeros, 200000), 0);
	assert_int_equal(stream_send(x.st[0].s, &q, 200000), 0);
	hnrfix_send(x.st[1].s, "small");
	assert_non_null(hnrfix_said());
	assert_int_equal(x.st[0].n_sent, HNR_DATA_MAX);
	assert_said(1, DATA_("c21hbGw="));
	assert_int_equal(x.st[1].n_sent, 5);
	mem_free(zeros);
}

static void
what_is_sent_before_the_answer_waits_for_it(void **state)
{
	(void)state;
	begin();
	asked(0);
	hnrfix_send(x.st[0].s, "foo");
	assert_null(hnrfix_said());
	assert_int_equal(say(0, OK_), 0);
	assert_said(0, DATA_("Zm9v"));
}

static void
what_comes_before_the_answer_is_kept(void **state)
{
	(void)state;
	begin();
	asked(0);
	assert_int_equal(say(0, DATA_("Zm9v")), 0);
	assert_int_equal(x.st[0].n_got, 0);
	assert_int_equal(say(0, OK_), 0);
	assert_string_equal(x.st[0].got, "foo");
	stream_consumed(x.st[0].s, 3);
}

static void
too_much_before_the_answer_ends_it(void **state)
{
	char big[2100];

	(void)state;
	begin();
	asked(0);
	memset(big, 'A', sizeof big);
	memcpy(big, "{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"", 45);
	snprintf(big, sizeof big,
	    "{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"%s\",\"data_base64\":\"%"
	    "01900d\"}}",
	    ids[0], 0);
	for (int i = 0; i < HNR_EARLY_MAX / 1400 && !x.st[0].closed; i++)
		assert_int_equal(hnrfix_say(big), 0);
	assert_true(x.st[0].closed);
	assert_int_equal(x.st[0].code, CODE_PROTOCOL);
	assert_said(0, CLOSE_);
}

static void
a_refusal_has_the_agents_words(void **state)
{
	(void)state;
	begin();
	asked(0);
	asked(1);
	asked(2);
	assert_int_equal(say(0, ERROR_("[Errno 111] Connect call failed ('127.0.0.1', 1)")), 0);
	assert_int_equal(x.st[0].code, CODE_REFUSED);
	assert_string_equal(x.st[0].text, "[Errno 111] Connect call failed ('127.0.0.1', 1)");
	assert_int_equal(say(1, ERROR_("[Errno 110] Connection timed out")), 0);
	assert_int_equal(x.st[1].code, CODE_TIMEOUT);
	assert_int_equal(say(2, ERROR_("[Errno -2] Name or service not known")), 0);
	assert_int_equal(x.st[2].code, CODE_UNREACHABLE);
	assert_int_equal(x.s->n_streams, 0);
	assert_null(hnrfix_said());
}

static void
what_cannot_be_asked_is_refused(void **state)
{
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" };
	struct errtext why;

	(void)state;
	begin();
	assert_null(session_open(x.s, &o, NULL, NULL, NULL, &why));
	assert_int_equal(session_open_code(x.s), CODE_NOT_FOUND);
	for (int i = 0; i < 3; i++)
		assert_non_null(open_stream(i));
	assert_null(open_stream(3));
	assert_int_equal(session_open_code(x.s), CODE_LIMIT);
	session_goaway(x.s, CODE_OK, "");
	assert_null(open_stream(3));
	assert_int_equal(session_open_code(x.s), CODE_GONE);
}

static void
a_reset_comes_behind_its_data(void **state)
{
	(void)state;
	begin();
	opened(0);
	assert_int_equal(say(0, DATA_("Zm9v")), 0);
	assert_int_equal(say(0, RESET_("Connection reset while writing data")), 0);
	assert_string_equal(x.st[0].got, "foo");
	assert_false(x.st[0].eof);
	assert_int_equal(x.st[0].code, CODE_RESET);
	assert_string_equal(x.st[0].text, "Connection reset while writing data");
	assert_null(hnrfix_said());
}

static void
our_own_agents_tell_a_good_end(void **state)
{
	(void)state;
	begin();
	opened(0);
	assert_int_equal(say(0, RESET_(HNR_ENDED)), 0);
	assert_true(x.st[0].eof && x.st[0].closed);
	assert_int_equal(x.st[0].code, CODE_OK);
	assert_int_equal(x.s->n_streams, 0);
}

static void
it_is_closed_behind_what_was_sent(void **state)
{
	(void)state;
	begin();
	opened(0);
	hnrfix_send(x.st[0].s, "foo");
	stream_reset(x.st[0].s, CODE_GONE, "closed");
	assert_said(0, DATA_("Zm9v"));
	assert_said(0, CLOSE_);
	assert_null(hnrfix_said());
	assert_int_equal(x.s->n_streams, 0);
	assert_false(x.st[0].closed);
}

static void
broken_off_nothing_goes_before(void **state)
{
	(void)state;
	begin();
	opened(0);
	hnrfix_send(x.st[0].s, "foo");
	stream_abort(x.st[0].s, CODE_LIMIT, "too much");
	assert_said(0, CLOSE_);
	/* What crosses that is about nothing. */
	assert_int_equal(say(0, DATA_("Zm9v")), 0);
	assert_int_equal(say(0, RESET_("x")), 0);
	assert_int_equal(say(0, OK_), 0);
	assert_int_equal(x.st[0].n_got, 0);
}

/* A dial that nobody waits for any more: the agent may not know of it yet, or be at it. */
static void
a_dial_is_called_off(void **state)
{
	(void)state;
	begin();
	assert_non_null(open_stream(0));
	stream_reset(x.st[0].s, CODE_CANCELLED, "");
	assert_null(hnrfix_said());
	asked(1);
	hnrfix_send(x.st[1].s, "foo");
	stream_reset(x.st[1].s, CODE_CANCELLED, "");
	assert_said(1, CLOSE_);
	assert_int_equal(say(1, OK_), 0);
	assert_null(hnrfix_said());
}

static void
after_our_end_the_answer_still_comes_until_it_pauses(void **state)
{
	(void)state;
	begin();
	opened(0);
	hnrfix_send(x.st[0].s, "foo");
	stream_eof(x.st[0].s);
	assert_said(0, DATA_("Zm9v"));
	for (int i = 0; i < 3; i++) {
		x.s->heard_us = x.now_us;
		assert_int_equal(hnrfix_pass(HNR_END_IDLE_US - 1), 0);
		assert_int_equal(say(0, DATA_("YmFy")), 0);
	}
	assert_string_equal(x.st[0].got, "barbarbar");
	x.s->heard_us = x.now_us;
	assert_int_equal(hnrfix_pass(HNR_END_IDLE_US), 0);
	assert_true(x.st[0].closed);
	assert_int_equal(x.st[0].code, CODE_TIMEOUT);
	while (hnrfix_said() != NULL && strstr(x.said, "keep_alive") != NULL)
		continue;
	assert_non_null(strstr(x.said, "connection_close"));
}

static void
our_end_before_the_answer_counts_from_there(void **state)
{
	(void)state;
	begin();
	asked(0);
	stream_eof(x.st[0].s);
	x.s->heard_us = x.now_us;
	assert_int_equal(hnrfix_pass(HNR_END_IDLE_US + HNRFIX_S), 0);
	assert_false(x.st[0].closed);
	assert_int_equal(say(0, OK_), 0);
	assert_non_null(hnrfix_said()); /* that it lives */
	assert_int_equal(hnrfix_pass(HNR_END_IDLE_US), 0);
	assert_true(x.st[0].closed);
}

/* What we still have to say is no pause of the agent's. */
static void
the_pause_begins_when_all_was_said(void **state)
{
	struct bufq q = { 0 };
	uint8_t p[HNR_DATA_MAX + 5] = { 0 };

	(void)state;
	begin();
	opened(0);
	assert_int_equal(bufq_copy(&q, p, sizeof p), 0);
	assert_int_equal(stream_send(x.st[0].s, &q, sizeof p), 0);
	stream_eof(x.st[0].s);
	for (int i = 0; i < 2; i++) {
		x.s->heard_us = x.now_us;
		assert_int_equal(hnrfix_pass(HNR_END_IDLE_US), 0);
	}
	assert_false(x.st[0].closed);
	assert_non_null(hnrfix_said()); /* that it lives */
	assert_non_null(hnrfix_said());
	assert_non_null(hnrfix_said());
	assert_int_equal(x.st[0].n_sent, sizeof p);
	assert_null(hnrfix_said());
	x.s->heard_us = x.now_us;
	assert_int_equal(hnrfix_pass(HNR_END_IDLE_US - 1), 0);
	assert_false(x.st[0].closed);
	assert_int_equal(hnrfix_pass(1), 0);
	assert_true(x.st[0].closed);
}

static void
the_pause_begins_when_all_has_arrived(void **state)
{
	(void)state;
	begin();
	opened(0);
	x.mute = true;
	hnrfix_send(x.st[0].s, "foo");
	stream_eof(x.st[0].s);
	assert_said(0, DATA_("Zm9v"));
	assert_null(hnrfix_said());
	assert_int_equal(x.n_pings, 1);
	for (int i = 0; i < 2; i++) {
		x.s->heard_us = x.now_us;
		assert_int_equal(hnrfix_pass(HNR_END_IDLE_US), 0);
	}
	assert_false(x.st[0].closed);
	session_ponged(x.s, x.s->pings, x.now_us);
	x.s->heard_us = x.now_us;
	assert_int_equal(hnrfix_pass(HNR_END_IDLE_US - 1), 0);
	assert_false(x.st[0].closed);
	assert_int_equal(hnrfix_pass(1), 0);
	assert_true(x.st[0].closed);
}

static void
an_end_instead_of_the_answer_is_none(void **state)
{
	(void)state;
	begin();
	asked(0);
	assert_int_equal(say(0, RESET_(HNR_ENDED)), 0);
	assert_false(x.st[0].eof);
	assert_true(x.st[0].closed);
	assert_int_equal(x.st[0].code, CODE_RESET);
}

static void
one_that_does_not_read_does_not_stop_the_others(void **state)
{
	char big[4000];

	(void)state;
	begin();
	opened(0);
	opened(1);
	snprintf(big, sizeof big,
	    "{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"%s\",\"data_base64\":\"%"
	    "03600d\"}}",
	    ids[0], 0);
	for (int i = 0; i < 100000 && !x.st[0].closed; i++) {
		if (x.stopped) {
			x.s->heard_us = x.now_us;
			assert_int_equal(hnrfix_pass(HNRFIX_S), 0);
			assert_false(x.stopped);
		}
		assert_int_equal(hnrfix_say(big), 0);
		assert_int_equal(say(1, DATA_("Zm9v")), 0);
		stream_consumed(x.st[1].s, 3);
	}
	assert_int_equal(x.st[0].code, CODE_LIMIT);
	assert_false(x.st[1].closed);
	assert_false(x.stopped);
}

static void
all_end_with_the_session(void **state)
{
	(void)state;
	begin();
	opened(0);
	asked(1);
	assert_non_null(open_stream(2));
	session_abandon(x.s, CODE_LOST, "the connection was lost");
	for (int i = 0; i < 3; i++)
		assert_int_equal(x.st[i].code, CODE_LOST);
	assert_null(hnrfix_said());
	assert_null(open_stream(3));
}

static void
the_last_one_is_told(void **state)
{
	(void)state;
	begin();
	opened(0);
	opened(1);
	assert_int_equal(say(0, RESET_("x")), 0);
	assert_int_equal(x.n_idle, 0);
	stream_reset(x.st[1].s, CODE_OK, "");
	assert_int_equal(x.n_idle, 0);
	assert_non_null(hnrfix_said());
	assert_int_equal(x.n_idle, 1);
}

static void
want_of_memory_opens_nothing(void **state)
{
	(void)state;
	begin();
	for (long n = 0;; n++) {
		mem_fail_after(n);
		open_stream(0);
		mem_fail_after(MEM_NO_FAIL);
		if (x.st[0].s != NULL)
			break;
		assert_int_equal(session_open_code(x.s), CODE_INTERNAL);
		assert_int_equal(x.s->n_streams, 0);
	}
	assert_non_null(hnrfix_said());
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(start_says_who_it_is),
		T(each_session_is_an_agent_of_its_own),
		T(who_is_refused_hears_nothing),
		T(what_is_out_of_order_ends_it),
		T(a_new_agent_is_kept_alive_and_an_old_one_left_alone),
		T(who_is_silent_is_asked_and_then_dead),
		T(ids_are_uuids_of_version_4),
		T(streams_are_kept_apart),
		T(each_has_its_turn),
		T(what_is_sent_before_the_answer_waits_for_it),
		T(what_comes_before_the_answer_is_kept),
		T(too_much_before_the_answer_ends_it),
		T(a_refusal_has_the_agents_words),
		T(what_cannot_be_asked_is_refused),
		T(a_reset_comes_behind_its_data),
		T(our_own_agents_tell_a_good_end),
		T(it_is_closed_behind_what_was_sent),
		T(broken_off_nothing_goes_before),
		T(a_dial_is_called_off),
		T(after_our_end_the_answer_still_comes_until_it_pauses),
		T(our_end_before_the_answer_counts_from_there),
		T(the_pause_begins_when_all_was_said),
		T(the_pause_begins_when_all_has_arrived),
		T(an_end_instead_of_the_answer_is_none),
		T(one_that_does_not_read_does_not_stop_the_others),
		T(all_end_with_the_session),
		T(the_last_one_is_told),
		T(want_of_memory_opens_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
