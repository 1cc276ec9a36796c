/* SPDX-License-Identifier: ISC */
/*
 * exchange_door_test - whose a request is and who may ask: --https-only, challenges of authorities,
 * the service's rules, names and passwords, places to wait in; and the line that the log has of it.
 *
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 * link: -Wl,--wrap=loop_post
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cmd/relay/ingress/acme.h"
#include "cmd/relay/ingress/exchange_int.h"
#include "lib/base/file.h"
#include "test/unit/frontfix.h"
#include "test/unit/heardlog.h"
#include "test/unit/nopost.h"

/* The service says so; each request has a stream of its own. */
static void
treats(const char *more)
{
	char text[512];

	snprintf(text, sizeof text, ",\"pool\":false%s", more);
	publish_again(text);
}

static int
setup_treated(void **state)
{
	if (setup(state) != 0)
		return -1;
	treats("");
	return 0;
}

/* What the relay itself answers to this request, of which the service hears nothing. */
static const char *
refused(const char *request)
{
	size_t n = agent->n_streams;
	int fd = visitor_on(w);
	const char *text;

	visitor_says(fd, request);
	text = hears(fd, "\r\n\r\n");
	assert_int_equal(agent->n_streams, n);
	close(fd);
	all_leave();
	return text;
}

/* A request that the service answers. */
static void
served(const char *request)
{
	int fd = visitor_on(w);

	visitor_says(fd, request);
	fake_data(taken("\r\n\r\n"), SHORT);
	hears(fd, "\r\n\r\nok");
	close(fd);
	all_leave();
}

/* One or the other. */
static const char *
refused_or_served(const char *request)
{
	size_t n = agent->n_streams;
	int fd = visitor_on(w);
	const char *text;

	visitor_says(fd, request);
	turns_some(w->loop, 20);
	if (agent->n_streams > n)
		fake_data(taken("\r\n\r\n"), SHORT);
	text = hears(fd, "\r\n\r\n");
	close(fd);
	all_leave();
	return text;
}

static void
assert_says(const char *text, const char *wanted)
{
	if (strstr(text, wanted) == NULL)
		fail_msg("no \"%s\" in \"%s\"", wanted, text);
}

static const char *
get(const char *target, const char *fields)
{
	static char text[512];

	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: pi.t.test\r\n%s\r\n", target, fields);
	return text;
}

/* ---- --https-only ---- */

static void
http_is_sent_to_https(void **state)
{
	(void)state;
	r.opts.https_only = true;
	r.ingress.https_public = 8443;
	assert_says(refused(get("/a?b=c", "")), "HTTP/1.1 308 Permanent Redirect\r\n");
	assert_says(refused(get("/a?b=c", "")), "\r\nLocation: https://pi.t.test:8443/a?b=c\r\n");
	r.ingress.https_public = 0;
	assert_says(refused(get("/", "")), "\r\nLocation: https://pi.t.test/\r\n");
	/* It has no path. */
	assert_says(refused("OPTIONS * HTTP/1.1\r\nHost: pi.t.test\r\n\r\n"),
	    "\r\nLocation: https://pi.t.test/\r\n");
	assert_says(refused("GET / HTTP/1.1\r\nHost: none.test\r\n\r\n"), "HTTP/1.1 404 ");
	assert_says(refused("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), "HTTP/1.1 404 ");
	/* Whoever is away is known. */
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	assert_says(refused(get("/", "")), "HTTP/1.1 308 ");
}

static void
https_to_a_proxy_is_https(void **state)
{
	static struct addr_net here;

	(void)state;
	r.opts.https_only = true;
	/* A visitor's own word is none. */
	assert_says(refused(get("/", "X-Forwarded-Proto: https\r\n")), "HTTP/1.1 308 ");
	assert_int_equal(addr_net_parse("127.0.0.0/8", &here), 0);
	r.proxies = &here;
	r.n_proxies = 1;
	served(get("/", "X-Forwarded-Proto: HTTPS\r\n"));
	assert_says(refused(get("/", "X-Forwarded-Proto: http\r\n")), "HTTP/1.1 308 ");
	assert_says(refused(get("/", "")), "HTTP/1.1 308 ");
}

/* ---- Max-Forwards ---- */

static void
the_last_server_may_be_the_relay(void **state)
{
	const char *text;

	(void)state;
	text = refused("OPTIONS * HTTP/1.1\r\nHost: pi.t.test\r\nMax-Forwards: 0\r\n\r\n");
	assert_says(text, "HTTP/1.1 200 OK\r\n");
	assert_says(text, "\r\nContent-Length: 0\r\n");
	assert_says(refused("TRACE / HTTP/1.1\r\nHost: pi.t.test\r\nMax-Forwards: 0\r\n\r\n"),
	    "HTTP/1.1 501 ");
	assert_says(refused("TRACE / HTTP/1.1\r\nHost: pi.t.test\r\nMax-Forwards: x\r\n\r\n"),
	    "HTTP/1.1 400 ");
	assert_says(refused("OPTIONS / HTTP/1.1\r\nHost: none.test\r\nMax-Forwards: 0\r\n\r\n"),
	    "HTTP/1.1 404 ");
	served("OPTIONS / HTTP/1.1\r\nHost: pi.t.test\r\nMax-Forwards: 1\r\n\r\n");
	served("GET / HTTP/1.1\r\nHost: pi.t.test\r\nMax-Forwards: 0\r\n\r\n");
}

/* ---- challenges ---- */

#define TOKEN "/.well-known/acme-challenge/token"

static char dir[64], file[96];

static void
open_acme(void)
{
	struct errtext e;

	snprintf(dir, sizeof dir, "/tmp/exchange_door_test.%d", (int)getpid());
	snprintf(file, sizeof file, "%s/token", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(file_write_atomic(file, "word", 4, 0600, &e), 0);
	assert_int_equal(acme_open(dir, &r.ingress.acme, &e), 0);
}

static int
teardown_acme(void **state)
{
	no_post = false;
	unlink(file);
	rmdir(dir);
	acme_close(r.ingress.acme);
	r.ingress.acme = NULL;
	return teardown(state);
}

static void
a_challenge_is_answered_out_of_its_file(void **state)
{
	static const char *const hosts[] = { "pi.t.test", "none.test", "127.0.0.1" };
	char text[256];

	(void)state;
	open_acme();
	for (int only = 0; only < 2; only++)
		for (int i = 0; i < 3; i++) {
			r.opts.https_only = only;
			snprintf(text, sizeof text, "GET " TOKEN " HTTP/1.1\r\nHost: %s\r\n\r\n",
			    hosts[i]);
			assert_says(refused(text), "HTTP/1.1 200 OK\r\n");
			assert_says(refused(text), "\r\nContent-Length: 4\r\n");
		}
	assert_says(refused(get(TOKEN, "")), "\r\n\r\nword");
	assert_null(strstr(refused("HEAD " TOKEN " HTTP/1.1\r\nHost: pi.t.test\r\n\r\n"), "word"));
}

static void
what_is_no_challenge_goes_to_the_agent(void **state)
{
	(void)state;
	open_acme();
	r.opts.https_only = true;
	/* A token that is not there: by http, too, as the agent's own certbot may be at work. */
	served(get(TOKEN "2", ""));
	r.opts.https_only = false;
	served("POST " TOKEN " HTTP/1.1\r\nHost: pi.t.test\r\nContent-Length: 0\r\n\r\n");
	served(get(TOKEN "/x", ""));
	/* A request that is refused whatever it asks for. */
	assert_says(refused("GET " TOKEN " HTTP/1.1\r\nHost: pi.t.test\r\nHost: pi.t.test\r\n\r\n"),
	    "HTTP/1.1 400 ");
	assert_says(refused(get(TOKEN, "Connection: Host\r\n")), "HTTP/1.1 400 ");
	assert_says(refused("GET " TOKEN "2 HTTP/1.1\r\nHost: none.test\r\n\r\n"), "HTTP/1.1 404 ");
}

static bool
is_carried(void *arg)
{
	(void)arg;
	return atomic_load(&r.counts.visitors) == 1;
}

static void
a_disk_that_does_not_answer_is_given_up(void **state)
{
	int fd = visitor_on(w);
	char c;

	(void)state;
	open_acme();
	/* The thread has no memory to tell what it has read. */
	no_post = true;
	visitor_says(fd, get(TOKEN, ""));
	assert_true(turns_until(w->loop, is_carried, NULL));
	handclock_pass(ACME_WAIT_MS - 1);
	turns_some(w->loop, 20);
	assert_int_equal(read(fd, &c, 1), -1);
	handclock_pass(1);
	hears(fd, "HTTP/1.1 504 ");
	no_post = false;
	/* Its answer comes too late, and harms nobody. */
	visitor_says(fd, get(TOKEN, ""));
	hears(fd, "\r\n\r\nword");
	close(fd);
	all_leave();
}

static void
too_many_challenges_are_refused(void **state)
{
	int fd[ACME_ASKS_MAX + 8], n = 0;

	(void)state;
	open_acme();
	r.opts.max_idle = 1000;
	no_post = true;
	/* The thread has one of them in hand. */
	for (; n < ACME_ASKS_MAX + 1; n++) {
		fd[n] = visitor_on(w);
		visitor_says(fd[n], get(TOKEN, ""));
		turns_some(w->loop, 3);
	}
	fd[n] = visitor_on(w);
	visitor_says(fd[n], get(TOKEN, ""));
	assert_says(hears(fd[n], "\r\n\r\n"), "HTTP/1.1 503 ");
	no_post = false;
	for (int i = 0; i < n; i++)
		assert_says(hears(fd[i], "word"), "HTTP/1.1 200 ");
	for (int i = 0; i <= n; i++)
		close(fd[i]);
	all_leave();
}

static void
a_visitor_who_has_gone_is_not_answered(void **state)
{
	int fd = visitor_on(w);

	(void)state;
	open_acme();
	no_post = true;
	visitor_says(fd, get(TOKEN, ""));
	assert_true(turns_until(w->loop, is_carried, NULL));
	front_drop_all(w);
	no_post = false;
	close(fd);
	all_leave();
	assert_says(refused(get(TOKEN, "")), "HTTP/1.1 200 ");
}

/* ---- the service's rules ---- */

static void
networks_are_admitted_or_not(void **state)
{
	(void)state;
	treats(",\"allow\":[\"10.0.0.0/8\"]");
	assert_says(refused(get("/", "")), "HTTP/1.1 403 ");
	treats(",\"allow\":[\"127.0.0.0/8\"]");
	served(get("/", ""));
	treats(",\"allow\":[\"127.0.0.0/8\"],\"deny\":[\"127.0.0.1\"]");
	assert_says(refused(get("/", "")), "HTTP/1.1 403 ");
}

static void
fields_are_taken_away_and_given(void **state)
{
	(void)state;
	treats(",\"remove_fields\":[\"X-Other\",\"X-Drop\"],\"add_fields\":[\"X-Add: yes\"],"
	       "\"rewrite_host\":\"in.test:81\"");
	served(get("/", "x-drop: 1\r\nX-Drop: 2\r\nX-Keep: 3\r\n"));
	assert_false(was_asked((void *)(uintptr_t) "rop: "));
	assert_true(was_asked((void *)(uintptr_t) "\r\nX-Keep: 3\r\n"));
	assert_true(was_asked((void *)(uintptr_t) "\r\nX-Add: yes\r\n"));
	assert_true(was_asked((void *)(uintptr_t) "\r\nHost: in.test:81\r\n"));
	assert_true(was_asked((void *)(uintptr_t) "\r\nX-Forwarded-Host: pi.t.test\r\n"));
}

static void
who_is_admitted_is_who_asks(void **state)
{
	static struct addr_net here;

	(void)state;
	assert_int_equal(addr_net_parse("127.0.0.0/8", &here), 0);
	r.proxies = &here;
	r.n_proxies = 1;
	treats(",\"allow\":[\"10.0.0.0/8\"]");
	served(get("/", "X-Forwarded-For: 10.1.2.3\r\n"));
	assert_says(refused(get("/", "X-Forwarded-For: 192.0.2.1\r\n")), "HTTP/1.1 403 ");
	r.n_proxies = 0;
	assert_says(refused(get("/", "X-Forwarded-For: 10.1.2.3\r\n")), "HTTP/1.1 403 ");
}

static void
a_service_has_so_many_requests_at_once(void **state)
{
	int fd[3];

	(void)state;
	treats(",\"max_connections\":2");
	for (int i = 0; i < 2; i++) {
		fd[i] = visitor_on(w);
		visitor_says(fd[i], get("/", ""));
		taken("GET / ");
	}
	assert_int_equal(agent->n_streams, 2);
	fd[2] = visitor_on(w);
	visitor_says(fd[2], get("/", ""));
	assert_says(hears(fd[2], "\r\n\r\n"), "HTTP/1.1 429 ");
	fake_data(agent->stream[0], SHORT);
	hears(fd[0], "ok");
	visitor_says(fd[2], get("/", ""));
	assert_true(publictest_streams(w, agent, 3));
	for (int i = 0; i < 3; i++)
		visitor_breaks_off(fd[i]);
	all_leave();
}

static void
a_service_has_so_many_requests_a_second(void **state)
{
	(void)state;
	treats(",\"max_rate\":2");
	served(get("/", ""));
	served(get("/", ""));
	assert_says(refused(get("/", "")), "HTTP/1.1 429 ");
	assert_says(refused(get("/", "")), "\r\nRetry-After: ");
}

/* ---- names and passwords ---- */

/* The digests of "open" and "sesame". */
#define OPEN "2348f998744212575d85959674f9607ab26f67708a917157472832386337c904"
#define SESAME "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272"

static bool
lets_in(const char *credentials)
{
	char field[256];
	const char *text;

	snprintf(field, sizeof field, "Authorization: %s\r\n", credentials);
	text = strstr(refused_or_served(get("/", field)), "HTTP/1.1 ");
	return strncmp(text, "HTTP/1.1 200 ", 13) == 0;
}

static void
a_service_asks_for_a_password(void **state)
{
	(void)state;
	treats(",\"auth\":{\"ann\":\"" OPEN "\",\"bob\":\"" SESAME "\"}");
	assert_says(refused(get("/", "")), "HTTP/1.1 401 ");
	assert_says(refused(get("/", "")), "\r\nWWW-Authenticate: Basic ");
	/* ann:open, bob:sesame */
	assert_true(lets_in("Basic YW5uOm9wZW4="));
	assert_true(lets_in("Basic Ym9iOnNlc2FtZQ=="));
	/* The other's password, no such name, another's name, a prefix, no password. */
	assert_false(lets_in("Basic YW5uOnNlc2FtZQ=="));
	assert_false(lets_in("Basic ZXZlOm9wZW4="));
	assert_false(lets_in("Basic Ym9iOm9wZW4="));
	assert_false(lets_in("Basic YW46b3Blbg=="));
	assert_false(lets_in("Basic YW5uOg=="));
	assert_false(lets_in("Bearer open"));
	/* The service does not see them. */
	assert_false(was_asked((void *)(uintptr_t) "Authorization"));
	treats(",\"auth\":{\"ann\":\"" OPEN "\"}");
	assert_true(lets_in("Basic YW5uOm9wZW4="));
	assert_false(was_asked((void *)(uintptr_t) "Authorization"));
	/* It may have its own. */
	treats("");
	assert_true(lets_in("Basic YW5uOm9wZW4="));
	assert_true(was_asked((void *)(uintptr_t) "Authorization: Basic YW5uOm9wZW4="));
}

/* ---- waiting ---- */

static void
few_of_one_address_wait_for_an_agent(void **state)
{
	int fd[VISITOR_WAITING_OF_ONE + 1];

	(void)state;
	relaytest_hang_up(agent);
	relaytest_settle(&r);
	for (int i = 0; i <= VISITOR_WAITING_OF_ONE; i++) {
		fd[i] = visitor_on(w);
		visitor_says(fd[i], get("/", ""));
		turns_some(w->loop, 3);
	}
	assert_says(hears(fd[VISITOR_WAITING_OF_ONE], "\r\n\r\n"), "HTTP/1.1 503 ");
	agent = agent_comes("pi", "");
	assert_true(publictest_streams(w, agent, VISITOR_WAITING_OF_ONE));
	for (int i = 0; i <= VISITOR_WAITING_OF_ONE; i++)
		visitor_breaks_off(fd[i]);
	all_leave();
}

/* ---- ids, and the line in the log ---- */

static bool
passes_id(const char *id)
{
	int fd = visitor_on(w);
	char text[512];
	bool same;

	snprintf(
	    text, sizeof text, "GET / HTTP/1.1\r\nHost: pi.t.test\r\nX-Request-Id: %s\r\n\r\n", id);
	visitor_says(fd, text);
	fake_data(taken("\r\n\r\n"), SHORT);
	hears(fd, "ok");
	snprintf(text, sizeof text, "\r\nX-Request-Id: %s\r\n", id);
	same = was_asked(text);
	assert_true(was_asked((void *)(uintptr_t) "\r\nX-Request-Id: "));
	close(fd);
	all_leave();
	return same;
}

static void
a_visitors_own_id_has_a_form(void **state)
{
	char longest[EXCHANGE_ID_MAX + 2];

	(void)state;
	assert_true(passes_id("a-Z.9_~+/=:@"));
	assert_false(passes_id("a b"));
	assert_false(passes_id("a\"b"));
	memset(longest, 'x', sizeof longest - 1);
	longest[EXCHANGE_ID_MAX + 1] = '\0';
	assert_false(passes_id(longest));
	longest[EXCHANGE_ID_MAX] = '\0';
	assert_true(passes_id(longest));
}

static void
each_request_has_a_line(void **state)
{
	struct fake_stream *s;
	const char *text;
	int fd;

	(void)state;
	heardlog_begin(LOG_LEVEL_INFO);
	fd = visitor_on(w);
	visitor_says(fd, "POST /a HTTP/1.1\r\nHost: pi.t.test\r\nX-Request-Id: one\r\n"
			 "Content-Length: 4\r\n\r\nbody");
	s = asked("body");
	accepts(s);
	handclock_pass(7);
	takes_all(s);
	fake_data(s, "HTTP/1.1 201 Made\r\nContent-Length: 6\r\n\r\nan");
	hears(fd, "an");
	handclock_pass(4);
	fake_data(s, "swer");
	hears(fd, "swer");
	visitor_says(fd, "GET /b HTTP/1.1\r\nHost: none.test\r\nX-Request-Id: two\r\n\r\n");
	hears(fd, "404");
	visitor_says(fd, get("/c", "X-Request-Id: three\r\nConnection: Upgrade\r\n"
				   "Upgrade: websocket\r\n"));
	s = taken("GET /c ");
	fake_data(s, "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	hears(fd, "101");
	visitor_breaks_off(fd);
	all_leave();
	text = heardlog_end();
	assert_says(text, "request one: 127.0.0.1:");
	assert_says(text, " -> pi:http: POST http://pi.t.test/a: 201, 4 bytes up, 6 down, "
			  "7 ms to the first byte, 11 ms\n");
	assert_says(text, " -> nobody: GET http://none.test/b: 404, 0 bytes up, 0 down, "
			  "0 ms to the first byte, 0 ms: no such host\n");
	assert_says(text, "GET http://pi.t.test/c: 101, ");
	assert_says(text, "request three: ended by visitor");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_treated, teardown)
#define A(name) cmocka_unit_test_setup_teardown(name, setup_treated, teardown_acme)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(http_is_sent_to_https),
		T(https_to_a_proxy_is_https),
		T(the_last_server_may_be_the_relay),
		A(a_challenge_is_answered_out_of_its_file),
		A(what_is_no_challenge_goes_to_the_agent),
		A(a_disk_that_does_not_answer_is_given_up),
		A(too_many_challenges_are_refused),
		A(a_visitor_who_has_gone_is_not_answered),
		T(networks_are_admitted_or_not),
		T(fields_are_taken_away_and_given),
		T(who_is_admitted_is_who_asks),
		T(a_service_has_so_many_requests_at_once),
		T(a_service_has_so_many_requests_a_second),
		T(a_service_asks_for_a_password),
		T(few_of_one_address_wait_for_an_agent),
		T(a_visitors_own_id_has_a_form),
		T(each_request_has_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
