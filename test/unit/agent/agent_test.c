/* SPDX-License-Identifier: ISC */
/*
 * agent_test - the whole subcommand, from its arguments to its exit status; the relay is the test.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams,--wrap=uplink_is_up
 * link: -Wl,--wrap=sig_init,--wrap=sig_fini,--wrap=uplink_control
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/cmd.h"
#include "lib/base/file.h"
#include "test/unit/fakeuplink.h"
#include "test/unit/sigcount.h"

static char ready[64];

/* How far a play is that waits for the ready file, which is written beside the loop. */
static int act;

/* The subcommand with these arguments, separated by blanks. */
static int
run(bool (*play)(int i), const char *arguments)
{
	char words[1024];
	int code;

	act = 0;
	snprintf(ready, sizeof ready, "/tmp/agent_test.%d", (int)getpid());
	snprintf(words, sizeof words, "agent %s", arguments);
	code = fake_run(agent_main, play, words);
	assert_int_equal(sigcount, 0);
	return code;
}

#define GOOD "--relay ws://127.0.0.1:1 --secret s --name pi --log-level error "

static bool
ready_says(const char *what)
{
	const char *text = subcommand_text(ready);

	return text != NULL && strstr(text, what) != NULL;
}

/* ---- the command line ---- */

static void
wrong_arguments_are_status_2(void **state)
{
	static const struct {
		const char *arguments, *says;
	} bad[] = {
		{ "--relay ws://127.0.0.1:1 --secret s", "--name NAME: 1 to" },
		{ "--relay ws://127.0.0.1:1 --secret s --name a\tb", "--name NAME: 1 to" },
		{ "--secret s --name pi", "no relay" },
		{ "--relay ws://127.0.0.1:1 --name pi", "no secret" },
		{ "--relay http://127.0.0.1:1 --secret s --name pi", "ws://" },
		{ GOOD "--tcp nonsense", "--tcp nonsense" },
		{ GOOD "--allow nonsense", "nonsense" },
		{ GOOD "--carriers 9", "--carriers" },
		{ GOOD "--carriers 0", "--carriers" },
		{ GOOD "--bogus", "--bogus" },
		{ GOOD "argument", "argument" },
		{ "--relay ws://127.0.0.1:1 --secret-file /nonexistent/x --name pi",
		    "/nonexistent/x" },
	};

	(void)state;
	fake_uplinks_reset();
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char words[256];

		snprintf(words, sizeof words, "agent %s", bad[i].arguments);
		if (subcommand_heard(agent_main, words) != CMD_USAGE ||
		    strstr(subcommand_err, bad[i].says) == NULL)
			fail_msg("%s: %s", words, subcommand_err);
		assert_int_equal(fake_n_uplinks, 0);
	}
	assert_int_equal(subcommand_heard(agent_main, "agent --help"), CMD_OK);
	assert_non_null(strstr(subcommand_out, "usage: tunnel agent"));
}

static void
what_the_system_refuses_is_status_1(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		sigcount_bad = signals[i];
		assert_int_equal(run(NULL, GOOD), CMD_FAILED);
	}
	sigcount_bad = 0;
	/* No memory for the second of three carriers: the first one is freed. */
	fake_uplinks_reset();
	fake_uplinks_max = 1;
	assert_int_equal(subcommand_heard(agent_main, "agent " GOOD "--carriers 3"), CMD_FAILED);
	assert_non_null(strstr(subcommand_err, "out of memory"));
	assert_int_equal(fake_n_uplinks, 1);
	assert_true(fake_uplink[0].freed);
}

/* ---- life ---- */

static bool
two_carriers(int i)
{
	struct uplink *k = fake_uplink;

	if (i == 0) {
		assert_int_equal(fake_n_uplinks, 2);
		assert_int_equal(k[0].role, CTL_AGENT);
		assert_string_equal(k[1].name, "pi");
		fake_stand(&k[0]);
		assert_int_not_equal(access(ready, F_OK), 0);
		fake_stand(&k[1]);
		return true;
	}
	if (act == 0 && !ready_says("\"name\":\"pi\""))
		return true;
	if (act++ == 0) {
		assert_true(ready_says("\"carriers\":2"));
		assert_true(ready_says("\"services\":[],\"refused\":[]"));
		assert_true(k[0].user->away(k[0].arg, "going"));
		k[0].user->down(k[0].arg, ERR_CLOSED, "lost", 500);
		k[0].user->down(k[0].arg, ERR_EOF, "the relay has gone", 500);
		raise(SIGTERM);
		return true;
	}
	if (!k[1].finished)
		return true; /* the signal is still on its way */
	assert_true(k[0].finished);
	fake_goodbye(&k[0]);
	assert_int_equal(access(ready, F_OK), 0);
	fake_goodbye(&k[1]);
	return false;
}

static void
it_is_ready_when_all_carriers_are_up_and_ends_when_all_have_ended(void **state)
{
	char arguments[200];

	(void)state;
	run(NULL, "--help"); /* sets ready */
	snprintf(arguments, sizeof arguments, GOOD "--carriers 2 --ready-file %s", ready);
	assert_int_equal(run(two_carriers, arguments), CMD_OK);
	assert_true(fake_uplink[0].freed && fake_uplink[1].freed);
	assert_int_equal(fake_uplink[0].code, CODE_GONE);
	assert_int_not_equal(access(ready, F_OK), 0);
}

static bool
up(int i)
{
	(void)i;
	fake_stand(&fake_uplink[0]);
	return false;
}

static void
a_ready_file_that_cannot_be_written_ends_it(void **state)
{
	(void)state;
	assert_int_equal(run(up, GOOD "--ready-file /nonexistent/x"), CMD_FAILED);
}

static bool
two_signals(int i)
{
	static const int kinds[] = { SIGINT, SIGTERM };

	fake_stand(&fake_uplink[0]);
	raise(kinds[i]);
	return i == 0;
}

static bool
one_signal(int i)
{
	(void)i;
	fake_stand(&fake_uplink[0]);
	raise(SIGHUP);
	return false;
}

static void
a_second_signal_and_the_end_of_the_drain_do_not_wait(void **state)
{
	(void)state;
	assert_int_equal(run(two_signals, GOOD "--drain 1h"), CMD_OK);
	assert_int_equal(subcommand_steps(), 2);
	assert_int_equal(run(one_signal, GOOD "--drain 10ms"), CMD_OK);
	assert_true(fake_uplink[0].finished);
}

static bool
hung_up_with_nohup(int i)
{
	if (i == 0)
		fake_stand(&fake_uplink[0]);
	if (i == 0)
		raise(SIGHUP);
	if (i < 20)
		return true;
	assert_false(fake_uplink[0].finished);
	/* What one client may have in memory is less than all. */
	assert_true(fake_uplink[0].cfg->client_max > 0);
	assert_true(fake_uplink[0].cfg->client_max < fake_uplink[0].cfg->memory.max);
	raise(SIGTERM);
	raise(SIGTERM);
	return false;
}

static void
under_nohup_a_hangup_is_nothing(void **state)
{
	(void)state;
	signal(SIGHUP, SIG_IGN);
	assert_int_equal(run(hung_up_with_nohup, GOOD "--drain 1h"), CMD_OK);
	signal(SIGHUP, SIG_DFL);
	assert_int_equal(subcommand_steps(), 21);
}

/* It is lost, the relay goes, and a signal ends it while something is not over. */
static bool
eventful(int i)
{
	struct uplink *k = &fake_uplink[0];

	(void)i;
	fake_stand(k);
	k->user->down(k->arg, ERR_CLOSED, "the wire is cut", 12345);
	k->user->away(k->arg, "a new version");
	raise(SIGTERM);
	return false;
}

static int
run_eventful(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return fake_run(agent_main, eventful,
	    "agent --relay ws://127.0.0.1:1 --secret s --name pi --drain 1200ms");
}

static void
it_says_what_happens(void **state)
{
	static const char *const lines[] = {
		"connected to ws://127.0.0.1:1 as pi",
		"the wire is cut: next attempt in 12.3 s",
		"a new version: dialling again; open streams go on",
		"shutting down: streams have 1 s to finish",
		"streams that have not finished are cut off",
	};

	(void)state;
	assert_int_equal(subcommand_heard(run_eventful, "agent"), CMD_OK);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (strstr(subcommand_err, lines[i]) == NULL)
			fail_msg("\"%s\" is not in: %s", lines[i], subcommand_err);
}

/* ---- refusals ---- */

static struct {
	bool been_up, draining;
	uint32_t code;
	bool again;
} refusal;

static bool
refused(int i)
{
	struct uplink *k = &fake_uplink[0];

	if (i == 0 && refusal.been_up)
		fake_stand(k);
	if (i == 0 && refusal.draining)
		raise(SIGTERM);
	if (i == 0)
		return true;
	assert_int_equal(k->user->refused(k->arg, refusal.code, "no"), refusal.again);
	/* It goes on, and has to be ended. */
	if (refusal.again) {
		raise(SIGTERM);
		raise(SIGTERM);
	}
	return false;
}

static void
a_refusal_ends_it_unless_time_may_heal(void **state)
{
	static const struct {
		bool been_up, draining;
		uint32_t code;
		bool again;
	} cases[] = {
		{ false, false, CODE_DENIED, false },
		{ true, false, CODE_DENIED, true },
		{ true, false, CODE_REVOKED, true },
		{ false, false, CODE_LIMIT, true },
		{ true, false, CODE_LIMIT, true },
		{ false, false, CODE_REPLACED, false },
		{ true, false, CODE_REPLACED, false },
		{ true, true, CODE_DENIED, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		refusal.been_up = cases[i].been_up;
		refusal.draining = cases[i].draining;
		refusal.code = cases[i].code;
		refusal.again = cases[i].again;
		/* One that goes on is told to end, and its drain is over at once. */
		assert_int_equal(
		    run(refused, GOOD "--drain 1ms"), cases[i].again ? CMD_OK : CMD_REFUSED);
	}
}

static bool
asked(int i)
{
	struct ctl_open o = { .protocol = "tcp", .service = "nothing" };
	struct uplink *k = &fake_uplink[0];
	struct stream *s = session_open(&k->f->s, &o, NULL, NULL, NULL, NULL);

	(void)i;
	k->user->open(k->arg, s, &o);
	assert_true(k->f->stream[0]->reset);
	assert_int_equal(k->f->stream[0]->code, CODE_NOT_FOUND);
	raise(SIGTERM);
	return false;
}

static void
streams_go_to_the_services(void **state)
{
	(void)state;
	assert_int_equal(run(asked, GOOD "--drain 1ms --tcp ssh=22"), CMD_OK);
}

/* ---- public ports ---- */

static void
relay_says(struct uplink *k, const char *body)
{
	k->user->control(k->arg, body, strlen(body));
}

static bool
publishing(int i)
{
	/* What it says before each act. */
	static const char *const says[] = { NULL, NULL, "h:30000", NULL, "h:30001" };
	struct uplink *k = fake_uplink;

	(void)i;
	if (says[act] != NULL && !ready_says(says[act]))
		return true;
	switch (act++) {
	case 0:
		k->publishes = true;
		fake_stand(k);
		assert_int_equal(k->n_said, 2);
		assert_non_null(strstr(k->said, "\"service\":\"auto\""));
		return true;
	case 1:
		/* Up, but not answered. */
		assert_int_not_equal(access(ready, F_OK), 0);
		relay_says(k, "{\"id\":3,\"ok\":false,\"error\":\"not yours\"}");
		relay_says(k, "{\"id\":4,\"ok\":true,\"public\":\"h:30000\",\"port\":30000}");
		return true;
	case 2:
		assert_true(ready_says("\"services\":[{\"kind\":\"tcp\",\"service\":\"auto\","
				       "\"target\":\"127.0.0.1:80\",\"public\":\"h:30000\"}]"));
		assert_true(ready_says("\"refused\":[{\"kind\":\"tcp\",\"service\":\"2222\","
				       "\"error\":\"not yours\"}]"));
		k->up = false;
		k->user->down(k->arg, ERR_CLOSED, "lost", 500);
		fake_stand(k);
		assert_non_null(strstr(k->said, "\"had\":30000"));
		relay_says(k, "{\"id\":6,\"ok\":true,\"public\":\"h:30001\",\"port\":30001}");
		return true;
	case 3:
		/* The other one has no answer yet. */
		assert_false(ready_says("h:30001"));
		relay_says(k, "{\"id\":5,\"ok\":true,\"public\":\"h:2222\",\"port\":2222}");
		return true;
	default:
		assert_true(ready_says("h:2222"));
		assert_true(ready_says("\"refused\":[]"));
		raise(SIGTERM);
		return false;
	}
}

static void
the_ready_file_says_what_is_published(void **state)
{
	char arguments[200];

	(void)state;
	snprintf(arguments, sizeof arguments,
	    GOOD "--drain 1ms --tcp 2222=22 --tcp auto=80 --ready-file %s", ready);
	assert_int_equal(run(publishing, arguments), CMD_OK);
	assert_int_not_equal(access(ready, F_OK), 0);
}

/* ---- the configuration file once more ---- */

static char config[64];

static void
config_says(const char *text)
{
	snprintf(config, sizeof config, "/tmp/agent_test.%d.json", (int)getpid());
	assert_int_equal(file_write_atomic(config, text, strlen(text), 0600, NULL), 0);
}

/* Steps until the relay has heard so many requests; then next. */
static int heard_at, heard_step;

static bool
has_heard(int n)
{
	assert_true(++heard_at < 10000);
	return fake_uplink[0].n_said == n;
}

static bool
rereading(int i)
{
	struct uplink *k = fake_uplink;

	switch (heard_step) {
	case 0:
		assert_int_equal(i, 0);
		k->publishes = true;
		fake_stand(k);
		assert_int_equal(k->n_said, 1);
		assert_non_null(strstr(k->said, "\"port\":2222"));
		/* Nothing comes of what is wrong, in the file or in what it says. */
		config_says("{\"tcp\":[\"2223=22\"],\"secret\":7}");
		raise(SIGHUP);
		break;
	case 1:
		if (i < 20)
			return true;
		assert_int_equal(k->n_said, 1);
		config_says("{\"tcp\":[\"2223=22\",\"nonsense\"]}");
		raise(SIGHUP);
		break;
	case 2:
		if (i < 40)
			return true;
		assert_int_equal(k->n_said, 1);
		config_says("{\"tcp\":[\"2223=22\"],\"carriers\":2}");
		raise(SIGHUP);
		break;
	case 3:
		if (!has_heard(3))
			return true;
		assert_non_null(strstr(k->said, "\"port\":2223"));
		config_says("{}");
		raise(SIGHUP);
		break;
	default:
		if (!has_heard(4))
			return true;
		assert_non_null(strstr(k->said, "withdraw"));
		raise(SIGTERM);
		return false;
	}
	heard_step++;
	return true;
}

static int
run_rereading(int argc, char **argv)
{
	char words[200];

	(void)argc;
	(void)argv;
	config_says("{\"tcp\":[\"2222=22\"],\"max-streams\":9}");
	heard_at = heard_step = 0;
	snprintf(words, sizeof words,
	    "agent --relay ws://127.0.0.1:1 --secret s --name pi --drain 1ms --config %s", config);
	return fake_run(agent_main, rereading, words);
}

static void
a_hangup_reads_the_file_again(void **state)
{
	static const char *const lines[] = {
		"unknown key \"secret\"; the configuration in use stays",
		"--tcp nonsense: not of the form NAME=TARGET or PORT=TARGET; the configuration in",
		".json: read again",
		".json: of what has changed this needs a restart: carriers, max-streams",
		"withdrawn: tcp 2222",
	};

	(void)state;
	assert_int_equal(subcommand_heard(run_rereading, "agent"), CMD_OK);
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (strstr(subcommand_err, lines[i]) == NULL)
			fail_msg("\"%s\" is not in: %s", lines[i], subcommand_err);
	assert_int_equal(heard_step, 4);
	unlink(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_arguments_are_status_2),
		cmocka_unit_test(what_the_system_refuses_is_status_1),
		cmocka_unit_test(it_is_ready_when_all_carriers_are_up_and_ends_when_all_have_ended),
		cmocka_unit_test(a_ready_file_that_cannot_be_written_ends_it),
		cmocka_unit_test(a_second_signal_and_the_end_of_the_drain_do_not_wait),
		cmocka_unit_test(under_nohup_a_hangup_is_nothing),
		cmocka_unit_test(it_says_what_happens),
		cmocka_unit_test(a_refusal_ends_it_unless_time_may_heal),
		cmocka_unit_test(streams_go_to_the_services),
		cmocka_unit_test(the_ready_file_says_what_is_published),
		cmocka_unit_test(a_hangup_reads_the_file_again),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
