/* SPDX-License-Identifier: ISC */
/*
 * publisher_lies_test - an agent whose relay gives no sensible answers; relay and clock are the
 * test.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_init,--wrap=timer_fini
 * link: -Wl,--wrap=timer_set,--wrap=timer_cancel
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/agent/publisher.h"
#include "test/unit/publisherfix.h"

static void
answers_that_nobody_waits_for_are_ignored(void **state)
{
	(void)state;
	use("ssh=22;public=2222");
	up(0);
	up(1);
	/* An unknown id, another carrier's, none at all. */
	reply(0, said[0].q.id + 1000, TAKEN);
	reply(0, said[1].q.id, TAKEN);
	publisher_control(p, 0, "{}", 2);
	publisher_control(p, 0, "", 0);
	publisher_control(p, 0, "nonsense", 8);
	assert_false(publisher_is_answered(p));
	lists(NOTHING);
	grant(0, "203.0.113.7", 2222);
	/* Twice. */
	answer(0, TAKEN);
	lists(SSH);
	/* Those of a lost session. */
	down(1);
	reply(1, said[1].q.id, TAKEN);
	lists(SSH);
}

static void
an_answer_to_what_was_asked_before_is_ignored(void **state)
{
	(void)state;
	use("ssh=22;public=2222");
	up(0);
	/* It is asked otherwise, which the relay does not hear: the session is about to be lost. */
	is_up[0] = false;
	use("ssh=22;public=2222;max-rate=1");
	answer(0, TAKEN);
	lists(NOTHING);
	assert_false(publisher_is_answered(p));
}

static void
an_answer_that_makes_no_sense_is_a_refusal(void **state)
{
	char long_text[400] = ",\"ok\":false,\"error\":\"", want[600];
	const char *const bad[][2] = {
		{ ",\"ok\":true", "the relay says yes, but not where" },
		{ ",\"ok\":true,\"public\":\"h:2222\"", "the relay says yes, but not where" },
		{ ",\"ok\":true,\"port\":2222", "the relay says yes, but not where" },
		{ ",\"ok\":true,\"public\":\"h:1\",\"port\":1",
		    "the relay says yes to another port" },
		{ ",\"ok\":1", "the relay's answer makes no sense: " },
		{ ",\"ok\":true,\"public\":7,\"port\":2222",
		    "the relay's answer makes no sense: " },
		{ ",\"ok\":true,\"public\":\"h\",\"port\":70000",
		    "the relay's answer makes no sense: " },
		{ ",\"ok\":false,\"error\":\"\\u001b[2J\"", "the relay's answer makes no sense: " },
		{ long_text, "the relay's answer makes no sense: " },
	};

	(void)state;
	memset(long_text + strlen(long_text), 'x', 300);
	strcat(long_text, "\"");
	use("ssh=22;public=2222");
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct jobj *o = jobj_new_obj();
		char *text;

		up(0);
		answer(2 * i, ",\"ok\":true,\"public\":\"h:2222\",\"port\":2222");
		down(0);
		up(0);
		answer(2 * i + 1, bad[i][0]);
		assert_true(publisher_is_answered(p));
		snprintf(want, sizeof want, "\"error\":\"%s", bad[i][1]);
		assert_int_equal(publisher_list(p, o), 0);
		text = jobj_dump(o, NULL);
		if (strstr(text, want) == NULL)
			fail_msg("%s is not in %s", want, text);
		mem_free(text);
		jobj_free(o);
		down(0);
	}
}

static void
nonsense_is_told_a_few_times(void **state)
{
	const char *heard;
	unsigned lines = 0;

	(void)state;
	heardlog_begin(LOG_LEVEL_INFO);
	for (int i = 0; i < 1000; i++)
		publisher_control(p, 0, "nonsense", 8);
	heard = heardlog_end();
	for (const char *s = heard; (s = strchr(s, '\n')) != NULL; s++)
		lines++;
	assert_int_equal(lines, LOG_LIMIT_FEW);
}

static void
the_relays_own_requests_are_refused(void **state)
{
	(void)state;
	is_up[1] = true;
	reply(1, 7, ",\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"ssh\"");
	reply(1, 8, ",\"request\":\"dance\"");
	reply(1, 9, ",\"request\":\"publish\"");
	assert_int_equal(n_said, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(said[i].carrier, 1);
		assert_int_equal(said[i].q.verb, REQUEST_REPLY);
		assert_int_equal(said[i].a.id, 7 + i);
		assert_false(said[i].a.ok);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_that_nobody_waits_for_are_ignored),
		TEST(an_answer_to_what_was_asked_before_is_ignored),
		TEST(an_answer_that_makes_no_sense_is_a_refusal),
		TEST(nonsense_is_told_a_few_times),
		TEST(the_relays_own_requests_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
