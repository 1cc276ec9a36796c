/* SPDX-License-Identifier: ISC */
/*
 * publisher_test - what an agent asks its relay to publish, and what it makes of the answers; relay
 * and clock are the test.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_init,--wrap=timer_fini
 * link: -Wl,--wrap=timer_set,--wrap=timer_cancel
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/agent/publisher.h"
#include "test/unit/heap.h"
#include "test/unit/publisherfix.h"

/* ---- asking ---- */

static void
each_carrier_asks_for_everything_after_its_login(void **state)
{
	(void)state;
	use("ssh=22;public=2222;deny=192.0.2.0/24;proxy=v2 private=1 auto=80;max-rate=7");
	assert_int_equal(n_said, 0);
	/* Nobody has refused it. */
	time_passes(3 * PUBLISHER_AGAIN_MS);
	assert_false(publisher_is_answered(p));
	lists(NOTHING);
	up(1);
	assert_int_equal(n_said, 2);
	assert_int_equal(said[0].carrier, 1);
	assert_int_equal(said[0].q.verb, REQUEST_PUBLISH);
	assert_string_equal(said[0].q.kind, "tcp");
	assert_string_equal(said[0].q.service, "ssh");
	assert_int_equal(said[0].q.port, 2222);
	assert_int_equal(said[0].q.rules.n_deny, 1);
	assert_int_equal(said[0].q.rules.proxy, 2);
	assert_string_equal(said[1].q.service, "auto");
	assert_int_equal(said[1].q.port, 0);
	assert_int_equal(said[1].q.had, 0);
	assert_int_equal(said[1].q.rules.max_rate, 7);
	up(0);
	assert_int_equal(n_said, 4);
	for (unsigned i = 0; i < n_said; i++)
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(said[i].q.id, said[k].q.id);
}

static void
a_grant_is_told_once(void **state)
{
	const char *heard;

	(void)state;
	use("ssh=22;public=2222");
	up(0);
	up(1);
	heardlog_begin(LOG_LEVEL_INFO);
	grant(0, "203.0.113.7", 2222);
	assert_false(publisher_is_answered(p));
	changes = 0;
	grant(1, "203.0.113.7", 2222);
	assert_true(changes > 0); /* it is all answered now */
	heard = heardlog_end();
	says(heard, "info: published: tcp ssh (127.0.0.1:22) at 203.0.113.7:2222\n");
	assert_int_equal(strchr(heard, '\n')[1], '\0');
	assert_true(publisher_is_answered(p));
	lists(SSH);
	/* Nothing is asked for again; after a new login everything is, and the same is no news. */
	time_passes(10 * PUBLISHER_AGAIN_MS);
	assert_int_equal(n_said, 2);
	down(0);
	assert_true(publisher_is_answered(p));
	up(0);
	assert_int_equal(n_said, 3);
	lists(SSH);
	heardlog_begin(LOG_LEVEL_INFO);
	grant(2, "203.0.113.7", 2222);
	assert_string_equal(heardlog_end(), "");
	/* Another address is. */
	down(1);
	up(1);
	heardlog_begin(LOG_LEVEL_INFO);
	grant(3, "203.0.113.8", 2222);
	says(heardlog_end(), "at 203.0.113.8:2222\n");
}

/* Every address of the relay's: people know the one that we know. */
static void
every_address_is_the_host_that_we_dial(void **state)
{
	static const struct {
		const char *host, *bound, *shown;
	} rows[] = {
		{ NULL, "0.0.0.0", "0.0.0.0" },
		{ "t.example.com", "0.0.0.0", "t.example.com" },
		{ "t.example.com", "[::]", "t.example.com" },
		{ "2001:db8::7", "[::]", "[2001:db8::7]" },
		{ "t.example.com", "10.0.0.0", "10.0.0.0" },
		{ "t.example.com", "[::1]", "[::1]" },
	};
	char want[128];

	(void)state;
	use("ssh=22;public=2222");
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		publisher_host(p, rows[i].host);
		up(0);
		grant(i, rows[i].bound, 2222);
		snprintf(want, sizeof want,
		    "{\"services\":[{\"kind\":\"tcp\",\"service\":\"ssh\",\"target\":"
		    "\"127.0.0.1:22\",\"public\":\"%s:2222\"}],\"refused\":[]}",
		    rows[i].shown);
		lists(want);
		down(0);
	}
}

static void
an_automatic_port_is_asked_for_again(void **state)
{
	(void)state;
	use("web=80;public=auto");
	up(0);
	grant(0, "203.0.113.7", 30017);
	down(0);
	up(0);
	assert_int_equal(said[1].q.port, 0);
	assert_int_equal(said[1].q.had, 30017);
	answer(1, ",\"ok\":false,\"error\":\"later\"");
	time_passes(PUBLISHER_AGAIN_MS);
	assert_int_equal(said[2].q.had, 30017);
	grant(2, "203.0.113.7", 30018);
	down(0);
	up(0);
	assert_int_equal(said[3].q.had, 30018);
	use("web=80;public=8080");
	assert_int_equal(said[5].q.port, 8080);
	assert_int_equal(said[5].q.had, 0);
}

/* ---- refusals ---- */

static void
a_refusal_is_told_and_asked_for_again(void **state)
{
	const char *heard;

	(void)state;
	use("ssh=22;public=2222");
	up(0);
	up(1);
	heardlog_begin(LOG_LEVEL_INFO);
	answer(0, TAKEN);
	answer(1, TAKEN);
	heard = heardlog_end();
	says(heard, "warn: not published: tcp ssh (127.0.0.1:22): port 2222 is another agent's");
	assert_int_equal(strchr(heard, '\n')[1], '\0');
	assert_true(publisher_is_answered(p));
	lists("{\"services\":[],\"refused\":[{\"kind\":\"tcp\",\"service\":\"ssh\","
	      "\"error\":\"port 2222 is another agent's\"}]}");
	time_passes(PUBLISHER_AGAIN_MS - 1);
	assert_int_equal(n_said, 2);
	time_passes(1);
	assert_int_equal(n_said, 3); /* one carrier does */
	heardlog_begin(LOG_LEVEL_INFO);
	answer(2, TAKEN);
	assert_string_equal(heardlog_end(), "");
	time_passes(PUBLISHER_AGAIN_MS);
	heardlog_begin(LOG_LEVEL_INFO);
	answer(3, ",\"ok\":false");
	says(heardlog_end(), "(127.0.0.1:22): the relay does not say why");
	/* The first carrier that is up. */
	down(0);
	time_passes(PUBLISHER_AGAIN_MS);
	assert_int_equal(n_said, 5);
	assert_int_equal(said[4].carrier, 1);
	grant(4, "203.0.113.7", 2222);
	lists(SSH);
	time_passes(10 * PUBLISHER_AGAIN_MS);
	assert_int_equal(n_said, 5);
}

static void
what_was_granted_may_be_refused_later(void **state)
{
	(void)state;
	use("ssh=22;public=2222");
	up(0);
	grant(0, "203.0.113.7", 2222);
	down(0);
	up(0);
	changes = 0;
	answer(1, TAKEN);
	assert_true(changes > 0);
	lists("{\"services\":[],\"refused\":[{\"kind\":\"tcp\",\"service\":\"ssh\","
	      "\"error\":\"port 2222 is another agent's\"}]}");
}

static void
what_the_relay_has_ended_is_asked_for_again(void **state)
{
	(void)state;
	use("ssh=22;public=2222 web=80;public=2223");
	up(0);
	grant(0, "203.0.113.7", 2222);
	grant(1, "203.0.113.7", 2223);
	n_said = 2;
	time_passes(PUBLISHER_AGAIN_MS);
	changes = 0;
	reply(0, 5, ",\"request\":\"withdraw\",\"kind\":\"tcp\",\"service\":\"ssh\"");
	assert_int_equal(changes, 1);
	assert_string_equal(said[2].text, "{\"id\":5,\"ok\":true}");
	lists("{\"services\":[{\"kind\":\"tcp\",\"service\":\"web\",\"target\":\"127.0.0.1:80\","
	      "\"public\":\"203.0.113.7:2223\"}],"
	      "\"refused\":[{\"kind\":\"tcp\",\"service\":\"ssh\","
	      "\"error\":\"the relay does not publish it any more\"}]}");
	/* Once more, or of what there is not, nothing comes of it. */
	reply(0, 6, ",\"request\":\"withdraw\",\"kind\":\"tcp\",\"service\":\"ssh\"");
	reply(0, 7, ",\"request\":\"withdraw\",\"kind\":\"udp\",\"service\":\"web\"");
	reply(0, 8, ",\"request\":\"withdraw\",\"kind\":\"tcp\"");
	assert_int_equal(changes, 1);
	assert_false(said[5].a.ok);
	time_passes(PUBLISHER_AGAIN_MS - 1);
	assert_int_equal(n_said, 6);
	time_passes(1);
	assert_int_equal(n_said, 7);
	assert_string_equal(said[6].q.service, "ssh");
	grant(6, "203.0.113.7", 2222);
	assert_true(changes > 1);
}

static void
a_relay_that_does_not_answer_has_refused(void **state)
{
	const char *heard;

	(void)state;
	use("ssh=22;public=2222");
	up(0);
	heardlog_begin(LOG_LEVEL_INFO);
	time_passes(PUBLISHER_AGAIN_MS);
	heard = heardlog_end();
	says(heard, "not published: tcp ssh (127.0.0.1:22): the relay does not answer");
	assert_int_equal(n_said, 2);
	/* Nobody waits for the first answer any more. */
	grant(0, "203.0.113.7", 2222);
	lists("{\"services\":[],\"refused\":[{\"kind\":\"tcp\",\"service\":\"ssh\","
	      "\"error\":\"the relay does not answer\"}]}");
	grant(1, "203.0.113.7", 2222);
	assert_true(publisher_is_answered(p));
	lists(SSH);
}

static void
a_yes_stays_when_another_carrier_gets_no_answer(void **state)
{
	(void)state;
	use("ssh=22;public=2222");
	up(0);
	up(1);
	grant(0, "203.0.113.7", 2222);
	assert_false(publisher_is_answered(p));
	changes = 0;
	time_passes(PUBLISHER_AGAIN_MS);
	assert_true(publisher_is_answered(p));
	assert_true(changes > 0);
	lists(SSH);
	assert_int_equal(n_said, 2);
}

static void
a_relay_that_cannot_publish_is_told_once(void **state)
{
	const char *heard;

	(void)state;
	is_able = false;
	use("ssh=22;public=2222 web=80;public=auto");
	heardlog_begin(LOG_LEVEL_INFO);
	up(0);
	up(1);
	time_passes(3 * PUBLISHER_AGAIN_MS);
	down(0);
	up(0);
	heard = heardlog_end();
	says(heard, "warn: this relay cannot publish");
	assert_int_equal(strchr(heard, '\n')[1], '\0');
	assert_true(publisher_is_answered(p));
	lists("{\"services\":[],\"refused\":[{\"kind\":\"tcp\",\"service\":\"ssh\",\"error\":"
	      "\"this relay cannot publish\"},{\"kind\":\"tcp\",\"service\":\"web\",\"error\":"
	      "\"this relay cannot publish\"}]}");
	/* Nor what is offered later. */
	use("ssh=22;public=2222 web=80;public=auto new=1;public=auto");
	assert_true(publisher_is_answered(p));
	use("ssh=22;public=2222 web=80;public=auto");
	/* Another one takes its place. */
	is_able = true;
	down(0);
	up(0);
	assert_int_equal(n_said, 3);
	assert_int_equal(said[2].q.verb, REQUEST_WITHDRAW);
	grant(0, "203.0.113.7", 2222);
	grant(1, "203.0.113.7", 30000);
	down(0);
	is_able = false;
	heardlog_begin(LOG_LEVEL_INFO);
	up(0);
	says(heardlog_end(), "warn: this relay cannot publish");
}

static void
one_without_public_services_says_nothing_of_it(void **state)
{
	(void)state;
	is_able = false;
	use("ssh=22");
	heardlog_begin(LOG_LEVEL_INFO);
	up(0);
	assert_string_equal(heardlog_end(), "");
	assert_true(publisher_is_answered(p));
	lists(NOTHING);
}

/* ---- other offers ---- */

static void
only_the_difference_is_asked_for(void **state)
{
	(void)state;
	use("ssh=22;public=2222 web=80;public=auto 7000=7 db=5432");
	up(0);
	grant(0, "203.0.113.7", 2222);
	/* Ports that are named first: one that is chosen must be none of them. */
	grant(1, "203.0.113.7", 7000);
	grant(2, "203.0.113.7", 30000);
	/* The same, with a target that the relay does not know of. */
	changes = 0;
	use("ssh=10.0.0.7:22;public=2222 web=80;public=auto 7000=7 db=5432");
	assert_int_equal(n_said, 3);
	assert_true(changes > 0);
	lists("{\"services\":[{\"kind\":\"tcp\",\"service\":\"ssh\",\"target\":\"10.0.0.7:22\","
	      "\"public\":\"203.0.113.7:2222\"},{\"kind\":\"tcp\",\"service\":\"7000\",\"target\":"
	      "\"127.0.0.1:7\",\"public\":\"203.0.113.7:7000\"},{\"kind\":\"tcp\",\"service\":"
	      "\"web\",\"target\":\"127.0.0.1:80\",\"public\":\"203.0.113.7:30000\"}],"
	      "\"refused\":[]}");
	/* One goes, one comes at its port, one has another rule. */
	use("ssh=22;public=2222;max-rate=3 web=80;public=auto seven=7;public=7000");
	assert_int_equal(n_said, 6);
	assert_int_equal(said[3].q.verb, REQUEST_WITHDRAW);
	assert_string_equal(said[3].q.service, "7000");
	assert_int_equal(said[4].q.verb, REQUEST_PUBLISH);
	assert_string_equal(said[4].q.service, "ssh");
	assert_int_equal(said[4].q.rules.max_rate, 3);
	assert_string_equal(said[5].q.service, "seven");
	assert_int_equal(said[5].q.port, 7000);
	assert_false(publisher_is_answered(p));
	grant(4, "203.0.113.7", 2222);
	grant(5, "203.0.113.7", 7000);
	assert_false(publisher_is_answered(p));
	answer(3, ",\"ok\":true");
	assert_true(publisher_is_answered(p));
	/* It is forgotten. */
	down(0);
	up(0);
	assert_int_equal(n_said, 9);
	for (unsigned i = 6; i < 9; i++)
		assert_int_equal(said[i].q.verb, REQUEST_PUBLISH);
}

static void
a_private_service_is_withdrawn(void **state)
{
	const char *heard;

	(void)state;
	use("ssh=22;public=2222");
	up(0);
	up(1);
	grant(0, "203.0.113.7", 2222);
	heardlog_begin(LOG_LEVEL_INFO);
	use("ssh=22");
	heard = heardlog_end();
	says(heard, "withdrawn: tcp ssh");
	lists(NOTHING);
	/* By each carrier: one may have said publish and not been heard yet. */
	assert_int_equal(n_said, 4);
	answer(1, TAKEN);
	answer(2, ",\"ok\":false,\"error\":\"no\"");
	assert_false(publisher_is_answered(p));
	answer(3, ",\"ok\":true");
	lists(NOTHING);
	assert_true(publisher_is_answered(p));
}

static void
ports_may_be_swapped(void **state)
{
	(void)state;
	use("a=1;public=1001 b=2;public=1002");
	up(0);
	grant(0, "h", 1001);
	grant(1, "h", 1002);
	use("a=1;public=1002 b=2;public=1001");
	assert_int_equal(n_said, 6);
	for (unsigned i = 2; i < 6; i++)
		assert_int_equal(said[i].q.verb, i < 4 ? REQUEST_WITHDRAW : REQUEST_PUBLISH);
	answer(2, ",\"ok\":true");
	answer(3, ",\"ok\":true");
	grant(4, "h", 1002);
	grant(5, "h", 1001);
	lists("{\"services\":[{\"kind\":\"tcp\",\"service\":\"a\",\"target\":\"127.0.0.1:1\","
	      "\"public\":\"h:1002\"},{\"kind\":\"tcp\",\"service\":\"b\",\"target\":"
	      "\"127.0.0.1:2\",\"public\":\"h:1001\"}],\"refused\":[]}");
}

static void
what_went_while_we_were_away_is_withdrawn_after_the_login(void **state)
{
	(void)state;
	use("ssh=22;public=2222 web=80;public=8080");
	up(0);
	grant(0, "203.0.113.7", 2222);
	grant(1, "203.0.113.7", 8080);
	down(0);
	use("ssh=22;public=2222");
	assert_int_equal(n_said, 2);
	up(0);
	assert_int_equal(n_said, 4);
	assert_int_equal(said[2].q.verb, REQUEST_PUBLISH);
	assert_int_equal(said[3].q.verb, REQUEST_WITHDRAW);
	/* It comes back before the answer, which is no answer to that. */
	use("ssh=22;public=2222 web=80;public=8080");
	assert_int_equal(n_said, 5);
	answer(3, ",\"ok\":true");
	grant(2, "203.0.113.7", 2222);
	assert_false(publisher_is_answered(p));
	grant(4, "203.0.113.7", 8080);
	assert_true(publisher_is_answered(p));
	/* A withdrawal without an answer is repeated. */
	use("ssh=22;public=2222");
	time_passes(PUBLISHER_AGAIN_MS);
	assert_int_equal(n_said, 7);
	assert_int_equal(said[6].q.verb, REQUEST_WITHDRAW);
	answer(6, ",\"ok\":true");
	time_passes(10 * PUBLISHER_AGAIN_MS);
	assert_int_equal(n_said, 7);
}

static void
who_goes_asks_for_nothing(void **state)
{
	(void)state;
	use("ssh=22;public=2222");
	up(0);
	answer(0, TAKEN);
	publisher_stop(p);
	time_passes(10 * PUBLISHER_AGAIN_MS);
	up(1);
	assert_int_equal(n_said, 1);
}

/* ---- memory ---- */

static void
each_allocation_may_fail(void **state)
{
	(void)state;
	offers = offers_of(&(struct offer_words){ .tcp = "ssh=22;public=2222 7000=7" });
	is_out_of_memory = true;
	for (long n = 0, done = 0; done == 0; n++) {
		struct publisher *q;
		struct jobj *o;

		n_said = 0;
		is_up[0] = true;
		mem_fail_after(n);
		q = publisher_new(NULL, 2, &user, NULL);
		if (q != NULL && publisher_use(q, offers) == 0 && n_said == 2) {
			reply(0, 1, ",\"request\":\"dance\"");
			for (unsigned i = 0; i < 2; i++)
				publisher_control(q, 0, said[i].text, strlen(said[i].text));
			o = jobj_new_obj();
			done = publisher_list(q, o) == 0 && n_said == 5;
			jobj_free(o);
		}
		mem_fail_after(MEM_NO_FAIL);
		publisher_free(q);
		assert_true(n < 10000);
	}
	is_out_of_memory = false;
	n_said = 0;
	publisher_free(p);
	p = publisher_new(NULL, 2, &user, NULL); /* the clock knows the last one */
	/* What could not be said is said later. */
	mem_fail_after(2);
	IGNORE_RESULT(publisher_use(p, offers));
	mem_fail_after(MEM_NO_FAIL);
	assert_int_equal(publisher_use(p, offers), 0);
	time_passes(PUBLISHER_AGAIN_MS);
	assert_true(n_said >= 2);
}

static void
round_trip(void)
{
	struct publisher *q = publisher_new(NULL, 2, &user, NULL);

	n_said = 0;
	IGNORE_RESULT(publisher_use(q, offers));
	publisher_control(q, 0, "nonsense", 8);
	publisher_free(q);
}

static void
relay_asks_for_something(void)
{
	reply(0, 7, ",\"request\":\"publish\",\"kind\":\"http\",\"service\":\"x\"");
	request_fini(&said[--n_said].q);
}

static void
what_the_relay_asks_for_is_given_back(void **state)
{
	(void)state;
	is_up[0] = true;
	heap_is_given_back(relay_asks_for_something);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	offers = offers_of(&(struct offer_words){ .tcp = "ssh=22;public=2222 7000=7" });
	is_up[0] = true;
	heap_is_given_back(round_trip);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_carrier_asks_for_everything_after_its_login),
		TEST(a_grant_is_told_once),
		TEST(every_address_is_the_host_that_we_dial),
		TEST(an_automatic_port_is_asked_for_again),
		TEST(a_refusal_is_told_and_asked_for_again),
		TEST(what_was_granted_may_be_refused_later),
		TEST(what_the_relay_has_ended_is_asked_for_again),
		TEST(a_relay_that_does_not_answer_has_refused),
		TEST(a_yes_stays_when_another_carrier_gets_no_answer),
		TEST(a_relay_that_cannot_publish_is_told_once),
		TEST(one_without_public_services_says_nothing_of_it),
		TEST(only_the_difference_is_asked_for),
		TEST(a_private_service_is_withdrawn),
		TEST(ports_may_be_swapped),
		TEST(what_went_while_we_were_away_is_withdrawn_after_the_login),
		TEST(who_goes_asks_for_nothing),
		TEST(each_allocation_may_fail),
		TEST(what_the_relay_asks_for_is_given_back),
		TEST(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
