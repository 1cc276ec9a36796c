/* SPDX-License-Identifier: ISC */
/*
 * connect_test - the whole subcommand with local ports, from its arguments to its exit status; the
 * relay is the test.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams,--wrap=uplink_is_up
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/cmd.h"
#include "lib/base/mem.h"
#include "lib/conf/jobj.h"
#include "test/unit/fakeuplink.h"

#define GOOD "--relay ws://127.0.0.1:1 --secret s --log-level error "

static char ready[64];
static int app;

static int
run(bool (*play)(int i), const char *arguments)
{
	char words[1024];

	app = -1;
	snprintf(words, sizeof words, "connect %s", arguments);
	return fake_run(connect_main, play, words);
}

/* With -L 0=pi:ssh, -D 0=pi and a ready file. */
static int
run_forwards(bool (*p)(int i))
{
	char arguments[200];

	snprintf(ready, sizeof ready, "/tmp/connect_test.%d", (int)getpid());
	snprintf(arguments, sizeof arguments, GOOD "-L 0=pi:ssh -D 0=pi --ready-file %s", ready);
	return run(p, arguments);
}

/* A connection to the port of "local" or "socks". */
static int
dial(const char *kind)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *text = subcommand_text(ready);
	struct jobj *o = NULL;
	int64_t port = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_non_null(text);
	assert_int_equal(jobj_parse(text, strlen(text), 4096, &o, NULL), 0);
	assert_true(jobj_as_int(jobj_get(jobj_at(jobj_get(o, kind), 0), "port"), &port));
	jobj_free(o);
	a.sin_port = htons((uint16_t)port);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
wrong_arguments_are_status_2(void **state)
{
	static const char *const bad[] = {
		GOOD "pi",
		GOOD,
		GOOD "pi ssh 22 udp",
		GOOD "p/i ssh",
		GOOD "pi host 70000",
		GOOD "pi two:words",
		GOOD "-L 0=pi:ssh pi",
		GOOD "-L nonsense",
		GOOD "-D 0=pi:ssh",
		"--secret s pi ssh",
		"--relay ws://127.0.0.1:1 pi ssh",
		GOOD "--bogus",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int code = run(NULL, bad[i]);

		if (code != CMD_USAGE)
			fail_msg("connect %s: status %d", bad[i], code);
	}
	assert_int_equal(run(NULL, "--help"), CMD_OK);
}

static bool
idle_and_ended(int i)
{
	static const int kinds[] = { SIGTERM, SIGINT, SIGHUP };
	static int n;

	if (i == 0) {
		assert_int_equal(fake_n_uplinks, 1);
		assert_int_equal(fake_uplink[0].role, CTL_CONNECT);
		fake_stand(&fake_uplink[0]);
		raise(kinds[n++ % 3]);
		return true;
	}
	if (!fake_uplink[0].finished)
		return true; /* the signal is still on its way */
	assert_int_equal(dial("local"), -1);
	assert_int_equal(dial("socks"), -1);
	fake_goodbye(&fake_uplink[0]);
	return false;
}

static void
idle_forwards_end_well(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run_forwards(idle_and_ended), CMD_OK);
		assert_true(fake_uplink[0].freed);
		assert_int_not_equal(access(ready, F_OK), 0);
	}
}

static bool
carried_and_ended(int i)
{
	static bool told;
	struct fake_session *f = fake_uplink[0].f;

	if (i == 0) {
		told = false;
		fake_stand(&fake_uplink[0]);
		app = dial("local");
		assert_true(app >= 0);
	} else if (f->n_streams > 0 && !told) {
		told = true;
		raise(SIGTERM);
	} else if (fake_uplink[0].finished) {
		assert_true(f->stream[0]->reset);
		fake_goodbye(&fake_uplink[0]);
		return false;
	}
	return true;
}

static void
forwards_that_carry_are_cut_and_say_so(void **state)
{
	char c;

	(void)state;
	assert_int_equal(run_forwards(carried_and_ended), CMD_FAILED);
	assert_int_equal(read(app, &c, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	close(app);
}

static bool
refused(int i)
{
	(void)i;
	assert_false(fake_uplink[0].user->refused(fake_uplink[0].arg, CODE_DENIED, "no"));
	return false;
}

static void
a_refusal_is_status_3(void **state)
{
	(void)state;
	assert_int_equal(run_forwards(refused), CMD_REFUSED);
}

static void
a_ready_file_that_cannot_be_written_ends_it(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, GOOD "-D 0=pi --ready-file /nonexistent/x"), CMD_FAILED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_arguments_are_status_2),
		cmocka_unit_test(idle_forwards_end_well),
		cmocka_unit_test(forwards_that_carry_are_cut_and_say_so),
		cmocka_unit_test(a_refusal_is_status_3),
		cmocka_unit_test(a_ready_file_that_cannot_be_written_ends_it),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
