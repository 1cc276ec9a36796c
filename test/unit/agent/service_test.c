/* SPDX-License-Identifier: ISC */
/*
 * service_test - what an agent serves, what it refuses, and what the target sees; the relay is the
 * test.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/agent/service.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "test/unit/heap.h"
#include "test/unit/fakesession.h"
#include "test/unit/listen_on.h"
#include "test/unit/offerwords.h"
#include "test/unit/turns.h"

static struct loop *l;
static struct offers *offers;
static struct services *sv;
static struct fake_session *relay;
static struct errtext e;
static struct addr at;
static int listener, target;

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	services_open(sv, s, o, NULL);
}

static const struct session_user session_user = { .open = on_open };

static int
setup(void **state)
{
	(void)state;
	l = loop_new();
	relay = fake_new();
	session_set_user(&relay->s, &session_user, NULL);
	listener = listen_on("127.0.0.1:0", &at);
	target = -1;
	sv = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	services_free(sv);
	offers_free(offers);
	offers = NULL;
	loop_settle(l);
	loop_free(l);
	if (listener >= 0)
		close(listener);
	if (target >= 0)
		close(target);
	fake_free_all();
	buf_pool_free();
	return 0;
}

static int
serve(const char *tcp, const char *allow)
{
	int r;

	services_free(sv);
	offers_free(offers);
	sv = NULL;
	if ((r = offers_of_words(
		 &(struct offer_words){ .tcp = tcp, .allow = allow }, &offers, &e)) != 0)
		return r;
	sv = services_new(l, offers, 100);
	return sv != NULL ? 0 : err_set(&e, ERR_NOMEM, "out of memory");
}

/* The service "db" is our listener. */
static void
serve_db(void)
{
	char text[64];

	snprintf(text, sizeof text, "db=127.0.0.1:%u", addr_port(&at));
	assert_int_equal(serve(text, ""), 0);
}

static struct fake_stream *
open_as(const struct ctl_open *o)
{
	struct stream *s = session_open(&relay->s, o, NULL, NULL, NULL, &e);

	assert_non_null(s);
	services_open(sv, s, o, NULL);
	return (struct fake_stream *)s;
}

static struct fake_stream *
ask(const char *protocol, const char *service, const char *host, unsigned port)
{
	static uint32_t n;
	struct ctl_open o = { .port = (uint16_t)port, .source = "192.0.2.9:1234" };

	n++;
	memcpy(o.token, &n, sizeof n);
	snprintf(o.protocol, sizeof o.protocol, "%s", protocol);
	snprintf(o.service, sizeof o.service, "%s", service);
	snprintf(o.host, sizeof o.host, "%s", host);
	return open_as(&o);
}

static bool
is_answered(void *arg)
{
	struct fake_stream *s = arg;

	return s->accepted || s->over;
}

static bool
is_over(void *arg)
{
	return ((struct fake_stream *)arg)->over;
}

static void
turn(void)
{
	turns_some(l, 20);
}

static void
take(void)
{
	for (int i = 0; i < 1000 && target < 0; i++) {
		target = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		if (target < 0)
			turn();
	}
	assert_true(target >= 0);
}

/* What the target sees next: bytes, 0 for an end, -errno. */
static ssize_t
target_sees(char *got, size_t room)
{
	ssize_t n = -1;

	for (int i = 0; i < 1000; i++) {
		n = read(target, got, room);
		if (n >= 0 || errno != EAGAIN)
			break;
		turn();
	}
	return n >= 0 ? n : -errno;
}

/* ---- what a client gets ---- */

static void
a_service_is_carried_to_its_place(void **state)
{
	struct fake_stream *s;
	char got[64];

	(void)state;
	serve_db();
	s = ask("tcp", "db", "", 0);
	assert_false(s->accepted);
	/* What comes while the target is dialled waits for it. */
	fake_data(s, "early ");
	fake_data(s, "bird");
	s->s.user->eof(s->s.arg);
	assert_true(turns_until(l, is_answered, s));
	assert_true(s->accepted);
	assert_string_equal(s->target, ""); /* where it is, is the agent's business */
	take();
	assert_int_equal(target_sees(got, sizeof got), 10);
	assert_memory_equal(got, "early bird", 10);
	assert_int_equal(target_sees(got, sizeof got), 0);
	assert_true(s->acked_eof);
	assert_int_equal(s->acked, 10);
	assert_int_equal(write(target, "worm", 4), 4);
	close(target);
	target = -1;
	for (int i = 0; i < 1000 && !s->eof; i++)
		turn();
	assert_true(fake_got(s, "worm"));
	assert_true(s->eof);
	fake_end(s, CODE_OK, "");
}

/* ---- Unix sockets; other offers ---- */

/* The service "db" is a Unix socket. */
static char *
serve_unix(void)
{
	static char path[64];
	char text[96];

	snprintf(path, sizeof path, "unix:/tmp/service_test.%d", (int)getpid());
	unlink(path + 5);
	if (listener >= 0)
		close(listener);
	listener = listen_on(path, &at);
	snprintf(text, sizeof text, "db=%s", path);
	assert_int_equal(serve(text, ""), 0);
	return path + 5;
}

static void
a_target_may_be_a_unix_socket(void **state)
{
	char got[64], *path = serve_unix();
	struct fake_stream *s = ask("tcp", "db", "", 0);

	(void)state;
	fake_data(s, "early");
	take();
	assert_true(turns_until(l, is_answered, s));
	assert_true(s->accepted);
	assert_int_equal(target_sees(got, sizeof got), 5);
	assert_int_equal(write(target, "worm", 4), 4);
	close(target);
	target = -1;
	for (int i = 0; i < 1000 && !s->eof; i++)
		turn();
	assert_true(fake_got(s, "worm"));
	fake_end(s, CODE_OK, "");
	/* Nobody listens there, and nobody may name one. */
	close(listener);
	listener = -1;
	s = ask("tcp", "db", "", 0);
	assert_true(turns_until(l, is_answered, s));
	assert_int_equal(s->code, CODE_REFUSED);
	unlink(path);
	s = ask("tcp", "", "unix:/tmp/service_test", 1);
	assert_true(turns_until(l, is_answered, s));
	assert_int_equal(s->code, CODE_DENIED);
}

static void
what_is_open_goes_on_with_other_offers(void **state)
{
	struct offers *others = NULL;
	struct fake_stream *s, *dialled;
	char got[64];

	(void)state;
	serve_db();
	s = ask("tcp", "db", "", 0);
	take();
	assert_true(turns_until(l, is_answered, s));
	dialled = ask("tcp", "db", "", 0);
	assert_int_equal(offers_of_words(&(struct offer_words){ .tcp = "" }, &others, &e), 0);
	services_use(sv, others);
	offers_free(offers);
	offers = others;
	fake_data(s, "early");
	assert_int_equal(target_sees(got, sizeof got), 5);
	assert_true(turns_until(l, is_answered, dialled));
	assert_true(dialled->accepted);
	s = ask("tcp", "db", "", 0);
	assert_true(turns_until(l, is_answered, s));
	assert_int_equal(s->code, CODE_NOT_FOUND);
}

static void
who_names_an_address_learns_which_one_it_became(void **state)
{
	struct fake_stream *s;
	char want[64];

	(void)state;
	assert_int_equal(serve("", ""), 0);
	s = ask("tcp", "", "127.0.0.1", addr_port(&at));
	assert_true(turns_until(l, is_answered, s));
	assert_true(s->accepted);
	snprintf(want, sizeof want, "127.0.0.1:%u", addr_port(&at));
	assert_string_equal(s->target, want);
}

static void
a_service_needs_no_pattern_and_a_target_does(void **state)
{
	struct fake_stream *s;
	char text[64];

	(void)state;
	snprintf(text, sizeof text, "db=127.0.0.1:%u", addr_port(&at));
	assert_int_equal(serve(text, "10.0.0.0/8:*"), 0);
	s = ask("tcp", "db", "", 0);
	assert_true(turns_until(l, is_answered, s));
	assert_true(s->accepted);
	s = ask("tcp", "", "127.0.0.1", addr_port(&at));
	assert_true(turns_until(l, is_answered, s));
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_DENIED);
	/* Without a pattern it is loopback alone. */
	assert_int_equal(serve("", ""), 0);
	s = ask("tcp", "", "192.0.2.1", 80);
	assert_true(turns_until(l, is_answered, s));
	assert_int_equal(s->code, CODE_DENIED);
}

static void
what_is_not_there_is_not_found(void **state)
{
	static const char *const asked[][2] = { { "tcp", "ssh" }, { "udp", "db" } };

	(void)state;
	serve_db();
	for (size_t i = 0; i < 2; i++) {
		struct fake_stream *s = ask(asked[i][0], asked[i][1], "", 0);

		assert_true(s->reset);
		assert_int_equal(s->code, CODE_NOT_FOUND);
	}
}

/* PROTOCOL.md 8: in the middle of another stream nothing begins anew. */
static void
what_would_be_a_resumption_is_refused(void **state)
{
	struct ctl_open o = { .protocol = "tcp", .service = "db", .received = 7 };
	struct fake_stream *first, *s;

	(void)state;
	serve_db();
	s = open_as(&o);
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_NOT_FOUND);
	o.received = 0;
	first = open_as(&o);
	assert_true(turns_until(l, is_answered, first));
	assert_true(first->accepted);
	s = open_as(&o);
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_NOT_FOUND);
	assert_false(first->over);
	/* The token of a stream that has gone is free. */
	fake_end(first, CODE_CANCELLED, "");
	for (int i = 0; i < 5; i++)
		turn();
	s = open_as(&o);
	assert_true(turns_until(l, is_answered, s));
	assert_true(s->accepted);
}

static void
a_target_that_refuses_is_told(void **state)
{
	struct fake_stream *s;

	(void)state;
	serve_db();
	close(listener);
	listener = -1;
	s = ask("tcp", "db", "", 0);
	fake_data(s, "lost");
	assert_true(turns_until(l, is_answered, s));
	assert_false(s->accepted);
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_REFUSED);
}

/* ---- ends ---- */

static void
a_stream_that_goes_while_its_target_is_dialled_leaves_nothing(void **state)
{
	struct fake_stream *s;

	(void)state;
	serve_db();
	s = ask("tcp", "db", "", 0);
	fake_data(s, "never");
	fake_end(s, CODE_CANCELLED, "gone");
	for (int i = 0; i < 5; i++)
		turn();
	assert_false(s->accepted);
	assert_false(s->reset);
}

static void
a_stream_that_is_cut_is_a_reset_for_the_target(void **state)
{
	static const uint32_t codes[] = { CODE_CANCELLED, CODE_GONE };
	char got[64];

	(void)state;
	serve_db();
	for (size_t i = 0; i < 2; i++) {
		struct fake_stream *s = ask("tcp", "db", "", 0);

		take();
		assert_true(turns_until(l, is_answered, s));
		fake_data(s, "half");
		assert_int_equal(target_sees(got, sizeof got), 4);
		fake_end(s, codes[i], "cut");
		assert_int_equal(target_sees(got, sizeof got), -ECONNRESET);
		close(target);
		target = -1;
	}
}

static void
a_target_that_breaks_is_a_reset_for_the_stream(void **state)
{
	struct linger hard = { .l_onoff = 1 };
	struct fake_stream *s;

	(void)state;
	serve_db();
	s = ask("tcp", "db", "", 0);
	take();
	assert_true(turns_until(l, is_answered, s));
	assert_int_equal(setsockopt(target, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
	close(target);
	target = -1;
	assert_true(turns_until(l, is_over, s));
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_RESET);
}

static void
the_agents_end_resets_all(void **state)
{
	struct fake_stream *carried, *dialled;
	char got[64];

	(void)state;
	serve_db();
	carried = ask("tcp", "db", "", 0);
	take();
	assert_true(turns_until(l, is_answered, carried));
	dialled = ask("tcp", "db", "", 0);
	services_free(sv);
	sv = NULL;
	assert_true(carried->reset && dialled->reset);
	assert_int_equal(carried->code, CODE_GONE);
	assert_int_equal(dialled->code, CODE_GONE);
	assert_int_equal(target_sees(got, sizeof got), -ECONNRESET);
}

/* A target that was connected in vain must not take it for a short connection that ended well. */
static void
without_memory_the_stream_and_the_target_are_reset(void **state)
{
	struct fake_stream *s;
	char got[64];

	(void)state;
	serve_db();
	s = ask("tcp", "db", "", 0);
	s->fail = true;
	fake_data(s, "early");
	assert_true(turns_until(l, is_answered, s));
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_INTERNAL);
	take();
	assert_int_equal(target_sees(got, sizeof got), -ECONNRESET);
}

/*
 * Each allocation between an OPEN and its answer fails in turn: that stream is refused, and costs
 * no place.
 */
static void
without_memory_one_stream_is_refused(void **state)
{
	struct fake_stream *s = NULL;
	int fd = dup(listener);
	long n = 0;

	(void)state;
	close(fd);
	serve_db();
	for (; s == NULL || s->reset; n++) {
		struct ctl_open o = { .protocol = "tcp", .service = "db", .token = { (uint8_t)n } };
		struct turns t;
		struct stream *open = session_open(&relay->s, &o, NULL, NULL, NULL, &e);

		assert_non_null(open);
		s = (struct fake_stream *)open;
		turns_begin(&t, l, is_answered, s);
		mem_fail_after(n);
		services_open(sv, open, &o, NULL);
		assert_int_equal(loop_run(l), 0);
		mem_fail_after(MEM_NO_FAIL);
		turns_end(&t);
		assert_true(s->reset || s->accepted);
		assert_true(s->accepted || s->code == CODE_INTERNAL);
		assert_true(n < 100);
		loop_settle(l);
		/* Nor a descriptor. */
		if (!s->accepted) {
			assert_int_equal(dup(listener), fd);
			close(fd);
		}
	}
	assert_true(n > 4);
}

static void
without_memory_there_are_no_services(void **state)
{
	int r = ERR_NOMEM;
	long n = 1;

	(void)state;
	for (const char *allow = "10.0.0.0/8:*"; allow != NULL;
	     allow = *allow != '\0' ? "" : NULL) {
		for (n = 1, r = ERR_NOMEM; r != 0; n++) {
			mem_fail_after(n);
			r = serve("db=1", allow);
			mem_fail_after(MEM_NO_FAIL);
			assert_true(r == 0 || r == ERR_NOMEM);
			assert_true(r == 0 || strstr(e.s, "memory") != NULL);
			assert_int_equal(sv != NULL, r == 0);
		}
		assert_true(n > 2);
	}
}

/* A line for each stream that opened, ended or was refused: who came, where to, and why not. */
static void
it_says_what_became_of_each_stream(void **state)
{
	struct fake_stream *s;
	char said[2048], want[128];
	ssize_t n;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	serve_db();
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, p[1]);
	s = ask("tcp", "db", "", 0);
	assert_true(turns_until(l, is_answered, s));
	fake_end(s, CODE_CANCELLED, "enough");
	ask("tcp", "none", "", 0);
	ask("tcp", "", "192.0.2.1", 9);
	turn();
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	close(p[1]);
	n = read(p[0], said, sizeof said - 1);
	assert_true(n > 0);
	said[n] = '\0';
	close(p[0]);
	snprintf(want, sizeof want, "info: stream 192.0.2.9:1234 -> db=127.0.0.1:%u: opened\n",
	    addr_port(&at));
	assert_non_null(strstr(said, want));
	snprintf(want, sizeof want,
	    "info: stream 192.0.2.9:1234 -> db=127.0.0.1:%u: closed by peer: cancelled: enough, 0 "
	    "bytes up, 0 down, ",
	    addr_port(&at));
	assert_non_null(strstr(said, want));
	assert_non_null(strstr(said,
	    "warn: stream 192.0.2.9:1234 -> none:0: refused: no such service at this agent\n"));
	assert_non_null(strstr(said, "-> 192.0.2.1:9: refused: cannot connect to 192.0.2.1:9"));
}

/* ":PORT" and "PORT" are this machine's. */
static void
a_place_without_a_host_is_this_machine(void **state)
{
	static const char *const hosts[] = { "", ":", "127.0.0.1:" };
	struct fake_stream *s;
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		snprintf(text, sizeof text, "db=%s%u", hosts[i], addr_port(&at));
		assert_int_equal(serve(text, ""), 0);
		s = ask("tcp", "db", "", 0);
		assert_true(turns_until(l, is_answered, s));
		assert_true(s->accepted);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void
round_trip(void)
{
	setup(NULL);
	assert_int_equal(serve("ssh=22 db=127.0.0.1:5432", "10.0.0.0/8:443 *.lan:*"), 0);
	teardown(NULL);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_service_is_carried_to_its_place),
		TEST(a_target_may_be_a_unix_socket),
		TEST(what_is_open_goes_on_with_other_offers),
		TEST(who_names_an_address_learns_which_one_it_became),
		TEST(a_service_needs_no_pattern_and_a_target_does),
		TEST(what_is_not_there_is_not_found),
		TEST(what_would_be_a_resumption_is_refused),
		TEST(a_target_that_refuses_is_told),
		TEST(a_stream_that_goes_while_its_target_is_dialled_leaves_nothing),
		TEST(a_stream_that_is_cut_is_a_reset_for_the_target),
		TEST(a_target_that_breaks_is_a_reset_for_the_stream),
		TEST(the_agents_end_resets_all),
		TEST(without_memory_the_stream_and_the_target_are_reset),
		TEST(without_memory_one_stream_is_refused),
		TEST(without_memory_there_are_no_services),
		TEST(it_says_what_became_of_each_stream),
		TEST(a_place_without_a_host_is_this_machine),
		cmocka_unit_test(everything_is_given_back),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
