/* SPDX-License-Identifier: ISC */
/*
 * connect_test - the whole subcommand with local ports, from its arguments to its exit status; the
 * relay is the test.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams,--wrap=uplink_is_up
 * link: -Wl,--wrap=sig_init,--wrap=sig_fini
 */
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
#include "lib/net/hostport.h"
#include "test/unit/fakeuplink.h"
#include "test/unit/listen_on.h"
#include "test/unit/sigcount.h"

#define GOOD "--relay ws://127.0.0.1:1 --secret s --log-level error "

static char ready[64];
static int app;

static int
run(bool (*play)(int i), const char *arguments)
{
	char words[1024];
	int code;

	app = -1;
	snprintf(words, sizeof words, "connect %s", arguments);
	code = fake_run(connect_main, play, words);
	assert_int_equal(sigcount, 0);
	return code;
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
	const char *text = subcommand_text(ready);
	struct jobj *o = NULL;
	int64_t port = 0;

	assert_non_null(text);
	assert_int_equal(jobj_parse(text, strlen(text), 4096, &o, NULL), 0);
	assert_true(jobj_as_int(jobj_get(jobj_at(jobj_get(o, kind), 0), "port"), &port));
	jobj_free(o);
	return listen_visit((uint16_t)port);
}

static void
wrong_arguments_are_status_2(void **state)
{
	static const struct {
		const char *arguments, *says;
	} bad[] = {
		{ GOOD "pi", "usage: tunnel connect AGENT SERVICE" },
		{ GOOD, "usage: tunnel connect AGENT SERVICE" },
		{ GOOD "pi ssh 22 sctp", "sctp: the protocols are tcp and udp" },
		{ GOOD "pi unix:/x 22 udp", "unix" },
		{ GOOD "-L udp:unix:/x=pi:dns", "a Unix socket has no datagrams here" },
		{ GOOD "-L udp:53", "-L udp:53: not of the form" },
		{ GOOD "-L udp=pi:dns", "-L udp=pi:dns" },
		{ GOOD "pi ssh 22 tcp more", "more" },
		{ GOOD "p\ti ssh", "\"p i\": not an agent's name" },
		{ GOOD "pi host 70000", "host:70000" },
		{ GOOD "pi two:words", "two:words" },
		{ GOOD "-L 0=pi:ssh pi", "pi: -L and -D take no further arguments" },
		{ GOOD "-D 0=pi pi", "pi: -L and -D take no further arguments" },
		{ GOOD "-L nonsense", "-L nonsense" },
		{ GOOD "-D 0=pi:ssh", "-D 0=pi:ssh" },
		{ "--secret s pi ssh", "no relay" },
		{ "--relay ws://127.0.0.1:1 pi ssh", "no secret" },
		{ GOOD "--bogus", "--bogus" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char words[256];

		snprintf(words, sizeof words, "connect %s", bad[i].arguments);
		if (subcommand_heard(connect_main, words) != CMD_USAGE ||
		    strstr(subcommand_err, bad[i].says) == NULL)
			fail_msg("%s: %s", words, subcommand_err);
	}
	assert_int_equal(subcommand_heard(connect_main, "connect --help"), CMD_OK);
	assert_non_null(strstr(subcommand_out, "usage: tunnel connect"));
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

static void
without_signals_it_does_not_start(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		sigcount_bad = signals[i];
		assert_int_equal(run(NULL, GOOD "pi ssh"), CMD_FAILED);
	}
	sigcount_bad = 0;
}

static bool
hung_up_with_nohup(int i)
{
	if (i == 0) {
		fake_stand(&fake_uplink[0]);
		raise(SIGHUP);
	} else if (i == 20) {
		assert_false(fake_uplink[0].finished);
		raise(SIGTERM);
	} else if (fake_uplink[0].finished) {
		fake_goodbye(&fake_uplink[0]);
		return false;
	}
	return true;
}

static void
under_nohup_a_hangup_is_nothing(void **state)
{
	(void)state;
	signal(SIGHUP, SIG_IGN);
	assert_int_equal(run_forwards(hung_up_with_nohup), CMD_OK);
	signal(SIGHUP, SIG_DFL);
	assert_true(subcommand_steps() > 20);
}

/* ---- standard input and output ---- */

/* Which target was asked for, and the signal that ends it. */
static struct ctl_open asked;
static int end_by;
static bool opened;

static bool
asked_and_ended(int i)
{
	struct fake_session *f = fake_uplink[0].f;

	if (i == 0) {
		opened = false;
		fake_stand(&fake_uplink[0]);
	} else if (f->n_streams > 0 && !opened) {
		opened = true;
		asked = f->stream[0]->open;
		raise(end_by);
	} else if (fake_uplink[0].finished) {
		fake_goodbye(&fake_uplink[0]);
		return false;
	}
	return true;
}

static int
fake_connect(int argc, char **argv)
{
	char words[1024];
	size_t n = 0;

	for (int i = 0; i < argc; i++)
		n += (size_t)snprintf(words + n, sizeof words - n, "%s ", argv[i]);
	return fake_run(connect_main, asked_and_ended, words);
}

/* "connect" with these arguments behind the good ones, its three descriptors in our hands. */
static int
ask(const char *arguments, int signal)
{
	char words[1024];

	memset(&asked, 0, sizeof asked);
	end_by = signal;
	opened = false;
	snprintf(words, sizeof words, "connect " GOOD "%s", arguments);
	return subcommand_heard(fake_connect, words);
}

static void
the_target_is_what_the_arguments_say(void **state)
{
	static const struct {
		const char *arguments, *service, *host;
		uint16_t port;
	} cases[] = {
		{ "pi ssh", "ssh", "", 0 },
		{ "pi db.lan 5432", "", "db.lan", 5432 },
		{ "pi db.lan 5432 tcp", "", "db.lan", 5432 },
		{ "pi ::1 22", "", "::1", 22 },
		{ "pi [::1] 22", "", "::1", 22 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ask(cases[i].arguments, SIGTERM);
		assert_true(opened);
		assert_string_equal(asked.service, cases[i].service);
		assert_string_equal(asked.host, cases[i].host);
		assert_int_equal(asked.port, cases[i].port);
	}
}

static void
a_connection_that_a_signal_cuts_says_so_unless_it_is_a_hangup(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ask("pi ssh", signals[i]), CMD_FAILED);
		assert_true(opened);
		assert_int_equal(
		    strstr(subcommand_err, "the connection is cut off by a signal") != NULL,
		    signals[i] != SIGHUP);
	}
}

/* "HOST:PORT" just fits, and does not. */
static void
a_host_has_an_end(void **state)
{
	char arguments[HOSTPORT_TEXT_MAX + 32];

	(void)state;
	for (size_t more = 0; more < 2; more++) {
		size_t n = HOSTPORT_TEXT_MAX - strlen(":22") + more;

		memcpy(arguments, "pi ", 3);
		memset(arguments + 3, 'h', n);
		strcpy(arguments + 3 + n, " 22");
		assert_int_equal(ask(arguments, SIGTERM), CMD_USAGE);
		assert_false(opened);
		assert_int_equal(strstr(subcommand_err, "too long for a host") != NULL, more == 1);
	}
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
		cmocka_unit_test(without_signals_it_does_not_start),
		cmocka_unit_test(under_nohup_a_hangup_is_nothing),
		cmocka_unit_test(the_target_is_what_the_arguments_say),
		cmocka_unit_test(a_connection_that_a_signal_cuts_says_so_unless_it_is_a_hangup),
		cmocka_unit_test(a_host_has_an_end),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
