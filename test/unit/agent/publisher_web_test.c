/* SPDX-License-Identifier: ISC */
/*
 * publisher_web_test - web services that the relay is asked to publish; relay and clock are the
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
use_http(const char *http)
{
	use_all(&(struct offer_words){ .http = http });
}

/* The members of the last that was said, behind the id. */
static const char *
last_said(void)
{
	assert_true(n_said > 0);
	return strchr(said[n_said - 1].text, ',');
}

static void
the_url_is_listed(void **state)
{
	(void)state;
	use_all(&(struct offer_words){
	    .tcp = "ssh=22;public=2222", .http = "3000", .tls = "a.test=1" });
	up(0);
	assert_int_equal(n_said, 3);
	grant(0, "203.0.113.7", 2222);
	answer(1, ",\"ok\":true,\"public\":\"http://pi.t.test\",\"host\":\"pi.t.test\"");
	answer(2, ",\"ok\":true,\"public\":\"https://a.test\",\"host\":\"a.test\"");
	lists("{\"services\":[{\"kind\":\"tcp\",\"service\":\"ssh\",\"target\":\"127.0.0.1:22\","
	      "\"public\":\"203.0.113.7:2222\"},{\"kind\":\"http\",\"service\":\"http\",\"target\":"
	      "\"127.0.0.1:3000\",\"url\":\"http://pi.t.test\"},{\"kind\":\"tls\",\"service\":"
	      "\"tls-a.test\",\"target\":\"127.0.0.1:1\",\"url\":\"https://a.test\"}],"
	      "\"refused\":[]}");
	assert_true(publisher_is_answered(p));
}

static void
a_request_says_where_and_how(void **state)
{
	(void)state;
	use_http("shop=3000;header+=A:b;pool=0");
	up(0);
	assert_string_equal(last_said(), ",\"request\":\"publish\",\"kind\":\"http\",\"service\":"
					 "\"http-shop\",\"host\":\"shop\","
					 "\"add_fields\":[\"A: b\"],\"pool\":false}");
	use_http("random=3000");
	/* The one goes, the other comes. */
	assert_int_equal(n_said, 3);
	assert_string_equal(strchr(said[1].text, ','),
	    ",\"request\":\"withdraw\",\"kind\":\"http\",\"service\":\"http-shop\"}");
	assert_string_equal(last_said(), ",\"request\":\"publish\",\"kind\":\"http\",\"service\":"
					 "\"http-random\",\"random\":true}");
}

static void
a_random_name_is_asked_for_again(void **state)
{
	(void)state;
	use_http("random=3000");
	up(0);
	answer(0, ",\"ok\":true,\"public\":\"http://abc.t.test:80\",\"host\":\"abc.t.test\"");
	down(0);
	up(0);
	assert_string_equal(last_said(),
	    ",\"request\":\"publish\",\"kind\":\"http\",\"service\":\"http-random\","
	    "\"had_host\":\"abc.t.test\",\"random\":true}");
}

static void
what_has_not_changed_is_not_asked_for(void **state)
{
	(void)state;
	use_http("shop=3000;timeout=5s");
	up(0);
	answer(0, ",\"ok\":true,\"public\":\"http://shop.t.test\"");
	use_http("shop=4000;timeout=5s");
	assert_int_equal(n_said, 1);
	use_http("shop=4000;timeout=6s");
	assert_int_equal(n_said, 2);
	assert_int_equal(said[1].q.web->timeout_ms, 6000);
	assert_false(publisher_is_answered(p));
	/* The same name, and another kind. */
	answer(1, ",\"ok\":true,\"public\":\"http://shop.t.test\"");
	use("http-shop=3000;public=2222");
	assert_int_equal(n_said, 4);
	assert_string_equal(strchr(said[2].text, ','),
	    ",\"request\":\"withdraw\",\"kind\":\"http\",\"service\":\"http-shop\"}");
	assert_string_equal(said[3].q.kind, "tcp");
}

static void
a_yes_without_a_url_is_a_refusal(void **state)
{
	(void)state;
	use_http("shop=3000 random=3000");
	up(0);
	answer(0, ",\"ok\":true,\"port\":80,\"host\":\"shop.t.test\"");
	/* It could not be asked for again. */
	answer(1, ",\"ok\":true,\"public\":\"http://abc.t.test\"");
	lists(
	    "{\"services\":[],\"refused\":[{\"kind\":\"http\",\"service\":\"http-shop\",\"error\":"
	    "\"the relay says yes, but not where\"},{\"kind\":\"http\",\"service\":"
	    "\"http-random\",\"error\":\"the relay says yes, but not where\"}]}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_url_is_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_says_where_and_how, setup, teardown),
		cmocka_unit_test_setup_teardown(a_random_name_is_asked_for_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_has_not_changed_is_not_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_yes_without_a_url_is_a_refusal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
