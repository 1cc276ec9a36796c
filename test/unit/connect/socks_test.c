/* SPDX-License-Identifier: ISC */
/*
 * socks_test - SOCKS5 byte by byte: what is answered, what is asked of the agent, what ends the
 * connection.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams,--wrap=timer_set
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/connect/connect.h"
#include "lib/base/mem.h"
#include "lib/net/f_sock.h"
#include "test/unit/fakeuplink.h"
#include "test/unit/heap.h"
#include "test/unit/heardlog.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

#define GREETING "\5\1\0"
#define TO_NAME "\5\1\0\3\4name\0\26" /* name, port 22 */

/* Half a minute is over at once if the test says so. */
void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms);
static bool impatient;

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	__real_timer_set(t, impatient && ms == 30000 ? 1 : ms);
}

static struct client c;
static struct route *r;
static int app;
static uint8_t got[256];
static size_t n_got;
static int over; /* 0, ERR_EOF, or ERR_SYS for a reset */

static int
setup(void **state)
{
	int fd[2];
	struct filter *f;

	(void)state;
	fake_uplinks_reset();
	c = (struct client){ .loop = loop_new() };
	c.config.target.dialect = &dialect_fake;
	c.opts.uplink.carriers = 1;
	assert_int_equal(client_init(&c), 0);
	r = route_get(&c, "pi");
	fake_stand(&fake_uplink[0]);
	sockpair_tcp(fd, true);
	app = fd[1];
	n_got = 0;
	over = 0;
	f = f_sock_new(c.loop, fd[0], false);
	assert_non_null(f);
	socks_start(&c, r, f);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	impatient = false;
	client_fini(&c);
	socks_free_all(&c);
	loop_settle(c.loop);
	loop_free(c.loop);
	if (app >= 0)
		close(app);
	buf_pool_free();
	fake_uplinks_reset();
	return 0;
}

/* Some turns of the loop, then what the program has read by now. */
static void
turn(void)
{
	ssize_t n = 1;

	turns_some(c.loop, 20);
	while (app >= 0 && over == 0 && n > 0) {
		n = read(app, got + n_got, sizeof got - n_got);
		if (n > 0)
			n_got += (size_t)n;
		else if (n == 0)
			over = ERR_EOF;
		else if (errno != EAGAIN)
			over = ERR_SYS;
	}
}

static void
say(const char *p, size_t n)
{
	assert_int_equal(write(app, p, n), n);
	turn();
}

#define SAY(s) say(s, sizeof(s) - 1)

/* Exactly these bytes have come since the last look. */
static void
expect(const char *p, size_t n)
{
	assert_int_equal(n_got, n);
	assert_memory_equal(got, p, n);
	n_got = 0;
}

#define EXPECT(s) expect(s, sizeof(s) - 1)

static struct fake_stream *
stream(void)
{
	assert_int_equal(fake_uplink[0].f->n_streams, 1);
	return fake_uplink[0].f->stream[0];
}

static void
accepted(struct fake_stream *s)
{
	struct ctl_open_ok ok = { 0 };

	s->s.user->opened(s->s.arg, &ok);
}

static void
a_name_is_carried_after_the_agent_has_answered(void **state)
{
	(void)state;
	SAY(GREETING);
	EXPECT("\5\0");
	SAY(TO_NAME "early");
	EXPECT("");
	assert_string_equal(stream()->open.host, "name");
	assert_int_equal(stream()->open.port, 22);
	assert_string_equal(stream()->open.protocol, "tcp");
	assert_string_equal(stream()->open.service, "");
	assert_true(fake_got(stream(), ""));
	accepted(stream());
	turn();
	EXPECT("\5\0\0\1\0\0\0\0\0\0");
	assert_true(fake_got(stream(), "early"));
	fake_data(stream(), "hi");
	turn();
	EXPECT("hi");
	stream()->s.user->eof(stream()->s.arg);
	assert_int_equal(shutdown(app, SHUT_WR), 0);
	turn();
	assert_int_equal(over, ERR_EOF);
	assert_true(stream()->eof);
	fake_end(stream(), CODE_OK, "");
	assert_true(TAILQ_EMPTY(&c.socks));
}

static void
without_memory_there_is_no_yes(void **state)
{
	for (long n = 0; n < 8; n++) {
		SAY(GREETING);
		EXPECT("\5\0");
		SAY(TO_NAME);
		mem_fail_after(n);
		accepted(stream());
		mem_fail_after(MEM_NO_FAIL);
		turn();
		/* It is carried, or was told that it is not. */
		if (stream()->over)
			assert_true(n_got == 0 || got[1] == 1);
		else
			assert_true(n_got == 10 && got[1] == 0);
		assert_int_equal(stream()->over, over != 0);
		teardown(state);
		setup(state);
	}
}

static void
every_byte_may_come_alone(void **state)
{
	static const char all[] = "\5\3\2\1\0" TO_NAME;

	(void)state;
	for (size_t i = 0; i < sizeof all - 1; i++) {
		assert_int_equal(fake_uplink[0].f->n_streams, 0);
		say(all + i, 1);
		if (i < 4)
			EXPECT("");
		else if (i == 4)
			EXPECT("\5\0");
	}
	assert_string_equal(stream()->open.host, "name");
	assert_int_equal(stream()->open.port, 22);
}

static void
addresses_of_both_kinds_are_passed_on_as_text(void **state)
{
	(void)state;
	SAY(GREETING "\5\1\0\1\300\0\2\7\1\2");
	assert_string_equal(stream()->open.host, "192.0.2.7");
	assert_int_equal(stream()->open.port, 258);
}

static void
an_ipv6_address_too(void **state)
{
	(void)state;
	SAY(GREETING "\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\377\377");
	assert_string_equal(stream()->open.host, "2001:db8::1");
	assert_int_equal(stream()->open.port, 65535);
}

static void
the_longest_name_fits(void **state)
{
	char request[3 + 5 + 255 + 2] = GREETING, want[256];

	(void)state;
	memcpy(request + 3, "\5\1\0\3\377", 5);
	memset(request + 8, 'a', 255);
	memcpy(request + 8 + 255, "\0\1", 2);
	memset(want, 'a', 255);
	want[255] = '\0';
	say(request, sizeof request);
	assert_string_equal(stream()->open.host, want);
	assert_int_equal(stream()->open.port, 1);
}

/* What is said, what is answered, and then the end. */
static void
what_cannot_be_served_is_answered_and_ended(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		const char *answer;
		size_t n_answer;
	} cases[] = {
#define CASE(said, answered) { said, sizeof(said) - 1, answered, sizeof(answered) - 1 }
		CASE("\4\1\0\26\177\0\0\1", ""),
		CASE("GET / HTTP/1.1\r\n", ""),
		/* As soon as the byte is there. */
		CASE("\4", ""),
		CASE(GREETING "\4", "\5\0"),
		CASE(GREETING "\5\2\0\1\0", "\5\0\5\7\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\2\0", "\5\0\5\10\0\1\0\0\0\0\0\0"),
		CASE("\5\1\2", "\5\377"),
		CASE("\5\2\1\2", "\5\377"),
		CASE("\5\0", "\5\377"),
		CASE(GREETING "\4\1\0\1\177", "\5\0"),
		CASE(GREETING "\5\2\0\1\177\0\0\1\0\26", "\5\0\5\7\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\3\0\3\4name\0\26", "\5\0\5\7\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\2\177\0\0\1\0\26", "\5\0\5\10\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\0\177\0\0\1\0\26", "\5\0\5\10\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\3\0\0\26", "\5\0\5\10\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\3\3a b\0\26", "\5\0\5\10\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\3\3a\0b\0\26", "\5\0\5\10\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\3\3a\177b\0\26", "\5\0\5\10\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\3\3a\303\244\0\26", "\5\0\5\10\0\1\0\0\0\0\0\0"),
		CASE(GREETING "\5\1\0\1\177\0\0\1\0\0", "\5\0\5\1\0\1\0\0\0\0\0\0"),
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (i > 0) {
			teardown(state);
			setup(state);
		}
		say(cases[i].p, cases[i].n);
		turn();
		if (over != ERR_EOF || n_got != cases[i].n_answer ||
		    memcmp(got, cases[i].answer, n_got) != 0)
			fail_msg("case %zu: %zu bytes, end %d", i, n_got, over);
		assert_int_equal(fake_uplink[0].f->n_streams, 0);
		assert_true(TAILQ_EMPTY(&c.socks));
	}
}

/* The visible characters but the blank: the first and the last of them, and those beside. */
static void
a_name_has_visible_characters_only(void **state)
{
	char request[] = GREETING "\5\1\0\3\1?\0\1";

	for (int ch = 1; ch < 256; ch++) {
		bool good = ch > ' ' && ch < 0x7f;

		if (ch > '!' + 1 && ch < '~' - 1)
			continue;
		teardown(state);
		setup(state);
		request[sizeof request - 4] = (char)ch;
		say(request, sizeof request - 1);
		assert_int_equal(fake_uplink[0].f->n_streams, good);
		assert_int_equal(over, good ? 0 : ERR_EOF);
		if (good)
			assert_int_equal(stream()->open.port, 1);
		if (ch > 0x82)
			break;
	}
}

static void
refusals_have_replies_of_their_own(void **state)
{
	static const struct {
		uint32_t code;
		char reply;
	} cases[] = { { CODE_REFUSED, 5 }, { CODE_UNREACHABLE, 4 }, { CODE_TIMEOUT, 6 },
		{ CODE_NOT_FOUND, 3 }, { CODE_DENIED, 2 }, { CODE_CANCELLED, 1 }, { CODE_LIMIT, 1 },
		{ CODE_INTERNAL, 1 }, { CODE_GONE, 1 }, { 77, 1 } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char want[] = "\5\0\5?\0\1\0\0\0\0\0\0";

		if (i > 0) {
			teardown(state);
			setup(state);
		}
		want[3] = cases[i].reply;
		SAY(GREETING TO_NAME);
		fake_end(stream(), cases[i].code, "no");
		turn();
		expect(want, sizeof want - 1);
		assert_int_equal(over, ERR_EOF);
		assert_true(TAILQ_EMPTY(&c.socks));
	}
}

static void
what_was_carried_and_is_cut_is_a_reset(void **state)
{
	(void)state;
	SAY(GREETING TO_NAME);
	accepted(stream());
	turn();
	fake_end(stream(), CODE_GONE, "lost");
	turn();
	assert_int_equal(over, ERR_SYS);
	assert_true(TAILQ_EMPTY(&c.socks));
}

static void
a_program_that_goes_is_forgotten(void **state)
{
	struct linger hard = { .l_onoff = 1 };

	for (int i = 0; i < 4; i++) {
		if (i > 0) {
			teardown(state);
			setup(state);
		}
		/* With its end, or by a reset that arrives before our answer can leave. */
		if (i % 2 == 1)
			assert_int_equal(
			    setsockopt(app, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
		assert_int_equal(write(app, GREETING TO_NAME, i < 2 ? 3 : 1), i < 2 ? 3 : 1);
		close(app);
		app = -1;
		for (int k = 0; k < 100 && !TAILQ_EMPTY(&c.socks); k++)
			turn();
		assert_true(TAILQ_EMPTY(&c.socks));
	}
}

static void
who_says_nothing_has_its_time(void **state)
{
	(void)state;
	teardown(state);
	impatient = true;
	setup(state);
	for (int k = 0; k < 100 && over == 0; k++)
		turn();
	assert_int_equal(over, ERR_EOF);
	assert_true(TAILQ_EMPTY(&c.socks));
}

static void
who_has_asked_may_wait_for_the_agent(void **state)
{
	teardown(state);
	impatient = true;
	setup(state);
	assert_int_equal(
	    write(app, GREETING TO_NAME, sizeof GREETING TO_NAME - 1), sizeof GREETING TO_NAME - 1);
	for (int k = 0; k < 5; k++)
		turn();
	assert_int_equal(over, 0);
	assert_string_equal(stream()->open.host, "name");
}

/* With a client that ends whatever their stage. */
static void
all_of_them_end_with_the_client(void **state)
{
	for (int i = 0; i < 3; i++) {
		if (i > 0) {
			teardown(state);
			setup(state);
		}
		if (i > 0)
			SAY(GREETING TO_NAME);
		if (i > 1)
			accepted(stream());
		client_fini(&c);
		socks_free_all(&c);
		assert_true(TAILQ_EMPTY(&c.socks));
		turn();
		assert_int_equal(over, i > 0 ? ERR_SYS : ERR_EOF);
		if (i > 0)
			assert_true(stream()->reset);
	}
}

/* A page in a browser can ask for targets that nobody serves, as fast as it likes. */
static void
lines_about_refusals_are_limited(void **state)
{
	enum { N = LOG_LIMIT_LINES + 5 };
	struct fake_session *fs = fake_uplink[0].f;
	int fd[N][2], lines = 0;
	const char *text;

	(void)state;
	for (int i = 0; i < N; i++) {
		struct filter *f;

		sockpair_tcp(fd[i], true);
		f = f_sock_new(c.loop, fd[i][0], false);
		assert_non_null(f);
		socks_start(&c, r, f);
		assert_int_equal(write(fd[i][1], GREETING TO_NAME, sizeof GREETING TO_NAME - 1),
		    sizeof GREETING TO_NAME - 1);
	}
	for (int i = 0; i < 1000 && fs->n_streams < N; i++)
		turn();
	assert_int_equal(fs->n_streams, N);
	heardlog_begin(LOG_LEVEL_WARN);
	for (int i = 0; i < N; i++)
		fake_end(fs->stream[i], CODE_REFUSED, "no");
	log_limit_fini(&c.log);
	text = heardlog_end();
	for (const char *p = text; (p = strstr(p, "socks: ")) != NULL; p++)
		lines++;
	assert_int_equal(lines, LOG_LIMIT_LINES);
	assert_non_null(strstr(text, "connections: 5 lines left out"));
	for (int i = 0; i < N; i++)
		close(fd[i][1]);
}

static void
round_trip(void)
{
	void *state = NULL;

	assert_int_equal(setup(&state), 0);
	a_name_is_carried_after_the_agent_has_answered(&state);
	assert_int_equal(teardown(&state), 0);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_about_refusals_are_limited),
		TEST(a_name_is_carried_after_the_agent_has_answered),
		TEST(without_memory_there_is_no_yes),
		TEST(every_byte_may_come_alone),
		TEST(addresses_of_both_kinds_are_passed_on_as_text),
		TEST(an_ipv6_address_too),
		TEST(the_longest_name_fits),
		TEST(what_cannot_be_served_is_answered_and_ended),
		TEST(a_name_has_visible_characters_only),
		TEST(refusals_have_replies_of_their_own),
		TEST(what_was_carried_and_is_cut_is_a_reset),
		TEST(a_program_that_goes_is_forgotten),
		TEST(who_says_nothing_has_its_time),
		TEST(who_has_asked_may_wait_for_the_agent),
		TEST(all_of_them_end_with_the_client),
		cmocka_unit_test(everything_is_given_back),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
