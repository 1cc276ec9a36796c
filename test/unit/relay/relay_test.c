/* SPDX-License-Identifier: ISC */
/*
 * relay_test - the whole subcommand, from its arguments to its exit status; its peers are the test,
 * in its own loop.
 *
 * link: -Wl,--wrap=listeners_start,--wrap=workers_init,--wrap=workers_start
 * link: -Wl,--wrap=workers_stop,--wrap=timer_set
 * link: -Wl,--wrap=sig_init,--wrap=sig_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/listen.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/conf/jobj.h"
#include "test/unit/listen_on.h"
#include "test/unit/relaytest.h"
#include "test/unit/sigcount.h"
#include "test/unit/subcommand.h"
#include "test/unit/tlstest.h"
#include "test/by_secret.h"

enum { WATCH_MS = 1000 };

#define A "{\"edge-agents\":{\"a\":\"secret\"}}"
#define B "{\"edge-agents\":{\"b\":\"secret\"}}"
/* A port of its own, and nothing said but mistakes. */
#define QUIET "--listen 127.0.0.1:0 --threads 1 --log-level error "

int __wrap_listeners_start(struct listeners *ls, struct loop *l);
int __real_listeners_start(struct listeners *ls, struct loop *l);
int __wrap_workers_init(struct relay *r, int n, struct errtext *e);
int __real_workers_init(struct relay *r, int n, struct errtext *e);
int __wrap_workers_start(struct relay *r, struct errtext *e);
int __real_workers_start(struct relay *r, struct errtext *e);
void __wrap_workers_stop(struct relay *r);
void __real_workers_stop(struct relay *r);
void __wrap_timer_set(struct timer *t, uint64_t ms);
void __real_timer_set(struct timer *t, uint64_t ms);

static struct fix {
	char dir[64], creds[96], ready[96];
	/* The relay that runs, and how many workers it was to have. */
	struct relay *r;
	int n_workers;
	/* How long a look at the files is away; 0: they are not looked at. */
	uint64_t watch_ms;
	/* What fails. */
	bool no_threads, hup_at_load;
	/* Peers. */
	struct fake_session *f, *g;
	/* When the signal was sent. */
	uint64_t begun_ms;
} x;

static void
put_creds(const char *text)
{
	assert_int_equal(file_write_atomic(x.creds, text, strlen(text), 0600, NULL), 0);
}

int
__wrap_workers_init(struct relay *r, int n, struct errtext *e)
{
	x.r = r;
	x.n_workers = n;
	if (x.hup_at_load) {
		/* The credentials have been read; these are newer. */
		put_creds(B);
		raise(SIGHUP);
	}
	return __real_workers_init(r, n, e);
}

int
__wrap_workers_start(struct relay *r, struct errtext *e)
{
	return x.no_threads ? err_set(e, ERR_SYS, "no thread") : __real_workers_start(r, e);
}

/* The loops go: what is ours in them has to be gone by now. */
void
__wrap_workers_stop(struct relay *r)
{
	relaytest_hang_up_all();
	subcommand_unloop();
	__real_workers_stop(r);
}

int
__wrap_listeners_start(struct listeners *ls, struct loop *l)
{
	subcommand_loop(l);
	return __real_listeners_start(ls, l);
}

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	if (ms != WATCH_MS)
		__real_timer_set(t, ms);
	else if (x.watch_ms != 0)
		__real_timer_set(t, x.watch_ms);
}

/* ---- the set-up ---- */

static int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .dir = "/tmp/relay_test.XXXXXX" };
	relaytest_from("192.0.2.7");
	subcommand_in = subcommand_to = NULL;
	subcommand_play(NULL);
	if (mkdtemp(x.dir) == NULL)
		return -1;
	snprintf(x.creds, sizeof x.creds, "%s/creds", x.dir);
	snprintf(x.ready, sizeof x.ready, "%s/ready", x.dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(sigcount, 0);
	fake_free_all();
	unlink(x.creds);
	unlink(x.ready);
	return rmdir(x.dir);
}

static int
run(bool (*play)(int step), const char *arguments)
{
	char words[8192];

	subcommand_play(play);
	snprintf(words, sizeof words, "relay %s", arguments);
	return subcommand_run(relay_main, words);
}

static int
run_with_creds(bool (*play)(int step), const char *text)
{
	char arguments[256];

	put_creds(text);
	snprintf(arguments, sizeof arguments, QUIET "--drain 0 --credentials %s", x.creds);
	return run(play, arguments);
}

/* What a run says that is told to end as soon as it runs; it makes no assertions. */
static bool
ended_at_once(int step)
{
	(void)step;
	raise(SIGTERM);
	return false;
}

static int
heard(const char *arguments)
{
	char words[8192];

	subcommand_play(ended_at_once);
	snprintf(words, sizeof words, "relay %s", arguments);
	return subcommand_heard(relay_main, words);
}

static void
says(const char *what)
{
	if (strstr(subcommand_err, what) == NULL)
		fail_msg("\"%s\" is not in: %s", what, subcommand_err);
}

/* The port in the ready file; 0: there is none. */
static uint16_t
ready_port(bool *tls)
{
	const char *text = subcommand_text(x.ready);
	struct jobj *o = NULL;
	const struct jobj *one;
	int64_t port = 0;

	if (text == NULL)
		return 0;
	assert_int_equal(jobj_parse(text, strlen(text), 4096, &o, NULL), 0);
	one = jobj_at(jobj_get(o, "tunnel"), 0);
	assert_true(jobj_as_int(jobj_get(one, "port"), &port));
	assert_true(jobj_as_bool(jobj_get(one, "tls"), tls));
	jobj_free(o);
	return (uint16_t)port;
}

static bool
takes_connections(uint16_t port)
{
	int fd = listen_visit(port);

	close(fd);
	return fd >= 0;
}

/* A peer that has logged in. */
static struct fake_session *
login(enum ctl_role role, const char *name)
{
	static uint8_t instance;
	struct fake_session *f = relaytest_peer(x.r, 0, NULL);

	assert_int_equal(fake_hello(f, role, name, "secret", ++instance), SESSION_GO_ON);
	assert_true(f->greeted);
	return f;
}

/* ---- the command line ---- */

static void
what_cannot_be_served_is_told(void **state)
{
	static const struct {
		const char *arguments, *says;
		int status;
	} cases[] = {
		{ "--bogus", "--bogus", CMD_USAGE },
		{ "stray", "stray", CMD_USAGE },
		{ "--listen nonsense", "--listen: ", CMD_USAGE },
		{ "--listen 0.0.0.0:0", "--insecure", CMD_USAGE },
		{ QUIET "--path tunnel", "--path tunnel: a path begins with a slash", CMD_USAGE },
		{ QUIET "--path /a --path b", "--path b: ", CMD_USAGE },
		{ QUIET "--trusted-proxy 10.0.0.0/99", "--trusted-proxy", CMD_USAGE },
		{ QUIET "--tls-cert c", "1 --tls-cert but 0 --tls-key", CMD_USAGE },
		{ QUIET "--tls-key k", "0 --tls-cert but 1 --tls-key", CMD_USAGE },
		{ QUIET "--tls-cert /nonexistent/c --tls-key k", "/nonexistent/c", CMD_USAGE },
		{ QUIET "--credentials /nonexistent/c", "/nonexistent/c", CMD_USAGE },
		{ QUIET "--credentials /dev/null", "/dev/null", CMD_USAGE },
		{ QUIET "--ready-file /nonexistent/r", "/nonexistent/r", CMD_FAILED },
		{ QUIET "--threads 65", "--threads", CMD_USAGE },
		{ QUIET "--max-handshakes 0", "--max-handshakes", CMD_USAGE },
		{ QUIET "--on-duplicate maybe", "--on-duplicate", CMD_USAGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (heard(cases[i].arguments) != cases[i].status)
			fail_msg("relay %s", cases[i].arguments);
		says("tunnel relay: ");
		says(cases[i].says);
	}
	assert_int_equal(heard("--help"), CMD_OK);
	assert_non_null(strstr(subcommand_out, "--credentials FILE"));
}

/* One file of variables may be a relay's and an agent's. */
static void
an_agents_variables_are_none_of_ours(void **state)
{
	(void)state;
	setenv("TUNNEL_HTTP", "nonsense", 1);
	assert_int_equal(heard(QUIET "--tls-cert c"), CMD_USAGE);
	says("1 --tls-cert but 0 --tls-key");
	setenv("TUNNEL_LISTEN_HTTP", "nonsense", 1);
	assert_int_equal(heard(QUIET), CMD_USAGE);
	says("nonsense");
	unsetenv("TUNNEL_LISTEN_HTTP");
	assert_int_equal(heard(QUIET "--threads 65"), CMD_USAGE);
	says("--threads");
	unsetenv("TUNNEL_HTTP");
}

static void
certificates_have_a_number(void **state)
{
	(void)state;
	for (int n = TLS_PAIRS_MAX; n <= TLS_PAIRS_MAX + 1; n++) {
		/* In one list each, as in the environment. */
		for (int key = 0; key < 2; key++) {
			static char list[(TLS_PAIRS_MAX + 1) * 8 + 1];

			for (int i = 0; i < n; i++)
				memcpy(list + 8 * i, "/none/x,", 8);
			list[8 * n - 1] = '\0';
			setenv(key ? "TUNNEL_TLS_KEY" : "TUNNEL_TLS_CERT", list, 1);
		}
		assert_int_equal(heard(QUIET), CMD_USAGE);
		says(n > TLS_PAIRS_MAX ? "more than 4096 certificates" : "/none/x");
	}
	unsetenv("TUNNEL_TLS_KEY");
	unsetenv("TUNNEL_TLS_CERT");
}

static void
what_the_system_refuses_is_status_1(void **state)
{
	static const int signals[] = { SIGHUP, SIGTERM, SIGINT };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		sigcount_bad = signals[i];
		assert_int_equal(heard(QUIET), CMD_FAILED);
		says("cannot set up the event loop");
	}
	sigcount_bad = 0;
	x.no_threads = true;
	assert_int_equal(heard(QUIET), CMD_FAILED);
	says("no thread");
}

static void
it_says_how_it_starts(void **state)
{
	char arguments[256];

	(void)state;
	assert_int_equal(heard("--listen 127.0.0.1:0 --threads 2 --drain 90s"), CMD_OK);
	says("relay: 2 workers, credentials: NONE, everybody who can connect is let in");
	says("\"address\":\"127.0.0.1\"");
	says("streams have 90 s to finish");
	assert_null(strstr(subcommand_err, "nobody can log in"));
	put_creds("{\"edge-agents\":{}}");
	snprintf(arguments, sizeof arguments, "--listen 127.0.0.1:0 --credentials %s", x.creds);
	assert_int_equal(heard(arguments), CMD_OK);
	says(x.creds);
	says("nobody can log in with these credentials");
}

static void
without_a_word_it_listens_on_this_machine(void **state)
{
	char arguments[256];

	(void)state;
	snprintf(arguments, sizeof arguments, "--ready-file %s", x.ready);
	/* Another program may have that port. */
	if (heard(arguments) != CMD_OK)
		says("127.0.0.1:8080");
	else
		says("\"address\":\"127.0.0.1\",\"port\":8080");
}

static void
it_has_as_many_workers_as_it_is_told(void **state)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	assert_int_equal(heard(QUIET), CMD_OK);
	assert_int_equal(x.n_workers, 1);
	assert_int_equal(heard("--listen 127.0.0.1:0 --threads 64"), CMD_OK);
	assert_int_equal(x.n_workers, 64);
	assert_int_equal(heard("--listen 127.0.0.1:0"), CMD_OK);
	assert_int_equal(x.n_workers, cpus < 64 ? cpus : 64);
}

/* ---- life ---- */

static uint16_t port;

static bool
idle_and_ended(int step)
{
	bool tls = true;

	if (step > 0)
		return true;
	port = ready_port(&tls);
	assert_int_not_equal(port, 0);
	assert_false(tls);
	assert_true(takes_connections(port));
	assert_non_null(x.r->registry);
	raise(SIGTERM);
	return true;
}

static void
an_idle_relay_ends_at_once(void **state)
{
	char arguments[256];

	(void)state;
	snprintf(arguments, sizeof arguments, QUIET "--drain 1h --ready-file %s", x.ready);
	assert_int_equal(run(idle_and_ended, arguments), CMD_OK);
	assert_null(subcommand_text(x.ready));
	assert_false(takes_connections(port));
}

static bool
with_tls(int step)
{
	bool tls = false;

	if (step > 0)
		return false;
	assert_int_not_equal(ready_port(&tls), 0);
	assert_true(tls);
	raise(SIGINT);
	return false;
}

static void
with_a_certificate_it_speaks_tls(void **state)
{
	char arguments[512];

	(void)state;
	snprintf(arguments, sizeof arguments, QUIET "--tls-cert %s --tls-key %s --ready-file %s",
	    tlstest_pem, tlstest_key, x.ready);
	assert_int_equal(run(with_tls, arguments), CMD_OK);
}

static bool
drained(int step)
{
	bool tls;

	switch (step) {
	case 0:
		x.f = login(CTL_AGENT, "a");
		x.g = login(CTL_CONNECT, "a");
		port = ready_port(&tls);
		raise(SIGTERM);
		return true;
	case 1:
		/* The signal comes with the loop's next turn. */
		return true;
	case 20:
		assert_true(atomic_load(&x.r->draining));
		assert_false(takes_connections(port));
		assert_int_equal(x.f->n_away, 1);
		assert_int_equal(x.f->away_code, CODE_OK);
		assert_int_equal(x.g->n_away, 1);
		relaytest_hang_up(x.f);
		return true;
	case 60:
		/* More than a look later: the client is still there. */
		relaytest_hang_up(x.g);
		x.g = NULL;
		return true;
	default:
		return true;
	}
}

static void
a_drain_ends_when_all_have_gone(void **state)
{
	char arguments[256];

	(void)state;
	snprintf(arguments, sizeof arguments, QUIET "--drain 1h --ready-file %s", x.ready);
	assert_int_equal(run(drained, arguments), CMD_OK);
	assert_null(x.g);
	assert_true(x.f->freed);
}

static bool let_go;

static bool
visited(int step)
{
	if (step == 0) {
		/* One that has yet to take its last bytes. */
		atomic_store(&x.r->counts.visitors, 1);
		raise(SIGTERM);
	} else if (step == 60) {
		let_go = true;
		atomic_store(&x.r->counts.visitors, 0);
	}
	return true;
}

static void
a_drain_waits_for_visitors(void **state)
{
	(void)state;
	let_go = false;
	assert_int_equal(run(visited, QUIET "--drain 1h"), CMD_OK);
	assert_true(let_go);
}

static bool
not_drained(int step)
{
	if (step == 0) {
		x.f = login(CTL_AGENT, "a");
		x.begun_ms = clock_mono_ms();
		raise(SIGTERM);
	}
	return true;
}

static void
a_drain_has_an_end(void **state)
{
	(void)state;
	/* Not a multiple of the steps in which it looks. */
	assert_int_equal(run(not_drained, QUIET "--drain 130ms"), CMD_OK);
	assert_in_range(clock_mono_ms() - x.begun_ms, 130, 10000);
	assert_true(x.f->freed);
	assert_int_equal(run(not_drained, QUIET "--drain 0"), CMD_OK);
	assert_true(x.f->freed);
}

static bool
two_signals(int step)
{
	if (step == 0)
		x.f = login(CTL_AGENT, "a");
	if (step == 0 || step == 20)
		raise(step == 0 ? SIGINT : SIGTERM);
	return step < 20;
}

static void
a_second_signal_does_not_wait(void **state)
{
	(void)state;
	assert_int_equal(run(two_signals, QUIET "--drain 1h"), CMD_OK);
	assert_int_equal(subcommand_steps(), 21);
	assert_true(x.f->freed);
}

/* ---- reload ---- */

static bool
hung_up(int step)
{
	if (step == 0) {
		x.f = login(CTL_AGENT, "a");
		put_creds(B);
		raise(SIGHUP);
	}
	if (x.f->n_away == 0)
		return true;
	assert_int_equal(x.f->away_code, CODE_REVOKED);
	x.g = login(CTL_AGENT, "b");
	raise(SIGTERM);
	return false;
}

static void
a_hangup_reads_the_credentials_again(void **state)
{
	(void)state;
	assert_int_equal(run_with_creds(hung_up, A), CMD_OK);
	assert_int_equal(x.f->away_code, CODE_REVOKED);
}

static bool
changed(int step)
{
	if (step == 0) {
		x.f = login(CTL_AGENT, "a");
		put_creds(B);
	}
	if (x.f->n_away == 0)
		return true;
	assert_int_equal(x.f->away_code, CODE_REVOKED);
	raise(SIGTERM);
	return false;
}

static void
a_changed_file_is_read_without_a_word(void **state)
{
	(void)state;
	x.watch_ms = 2;
	assert_int_equal(run_with_creds(changed, A), CMD_OK);
	assert_int_equal(x.f->away_code, CODE_REVOKED);
}

static bool
let_in_by_the_new_file(int step)
{
	struct creds *c = relay_creds(x.r);
	struct creds_id id;
	bool yes = creds_agent(c, "b", BY_SECRET("secret"), 0, &id) == 0;

	(void)step;
	creds_unref(c);
	if (!yes)
		return true;
	x.f = login(CTL_AGENT, "b");
	raise(SIGTERM);
	return false;
}

/* A hangup while the files are read for the first time waits until there is somebody to hear it. */
static void
a_hangup_during_the_start_is_not_lost(void **state)
{
	(void)state;
	x.hup_at_load = true;
	assert_int_equal(run_with_creds(let_in_by_the_new_file, A), CMD_OK);
	assert_true(x.f->greeted);
}

static bool
expired(int step)
{
	if (step == 0)
		x.f = login(CTL_AGENT, "a");
	if (x.f->n_away == 0)
		return true;
	assert_int_equal(x.f->away_code, CODE_REVOKED);
	raise(SIGTERM);
	return false;
}

static void
who_expires_meanwhile_has_to_go(void **state)
{
	time_t then = time(NULL) + 2;
	char when[32], text[128];
	struct tm tm;

	(void)state;
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&then, &tm));
	snprintf(text, sizeof text,
	    "{\"edge-agents\":{\"a\":{\"secret\":\"secret\",\"expires\":\"%s\"}}}", when);
	x.watch_ms = 2;
	assert_int_equal(run_with_creds(expired, text), CMD_OK);
	assert_true(time(NULL) >= then);
	assert_int_equal(x.f->away_code, CODE_REVOKED);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_cannot_be_served_is_told),
		T(an_agents_variables_are_none_of_ours),
		T(certificates_have_a_number),
		T(what_the_system_refuses_is_status_1),
		T(it_says_how_it_starts),
		T(without_a_word_it_listens_on_this_machine),
		T(it_has_as_many_workers_as_it_is_told),
		T(an_idle_relay_ends_at_once),
		T(with_a_certificate_it_speaks_tls),
		T(a_drain_ends_when_all_have_gone),
		T(a_drain_waits_for_visitors),
		T(a_drain_has_an_end),
		T(a_second_signal_does_not_wait),
		T(a_hangup_reads_the_credentials_again),
		T(a_changed_file_is_read_without_a_word),
		T(a_hangup_during_the_start_is_not_lost),
		T(who_expires_meanwhile_has_to_go),
	};

	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
