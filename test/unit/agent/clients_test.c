/* SPDX-License-Identifier: ISC */
/*
 * clients_test - the agent's own clients: who comes in by which key, what each may open, what all
 * sessions of an entry share, and how handshakes of strangers are bounded.
 *
 * link: -Wl,--wrap=inner_new,--wrap=inner_free,--wrap=inner_finish
 * link: -Wl,--wrap=inner_session,--wrap=inner_may_open,--wrap=inner_take_turns
 * link: -Wl,--wrap=services_open,--wrap=services_left,--wrap=clock_wall_s
 * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/agent/clients.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "test/unit/fakeinner.h"
#include "test/unit/handclock.h"
#include "test/unit/heardlog.h"
#include "test/unit/turns.h"

/* Of the private keys 1, 2 and 3. */
#define OWN_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define K1 "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"
#define K2 "tunnel-pub-A3zyexiNA09-ilI4AwS1GsPAiWnid_IbNaYLSPxHZpl4"
#define K3 "tunnel-pub-Al7L5NGmMwpEyPfvlR1L8WXmxrch762phftBZhvG5_1s"

#define ALICE(more)                                      \
	"\"alice\": {\"key\": \"" K1 "\", \"targets\": " \
	"[\"ssh\", \"web-*\", \"10.0.0.0/8:22\"]" more "}"
#define BOB(more) "\"bob\": {\"key\": [\"" K2 "\", \"" K3 "\"], \"targets\": [\"ssh\"]" more "}"

enum { OPENED = 64 };

static struct fix {
	struct loop *l;
	struct clients *cl;
	struct uplink_config uplink;
	char path[64];
	int64_t now_s;
	/* The session with the relay. */
	struct fake_session *relay;
	/* What came to the services. */
	struct {
		struct fake_stream *s;
		struct ctl_open open;
		const struct service_client *whose;
	} opened[OPENED];
	int n_opened;
	uint64_t left;
} f;

void __wrap_services_open(struct services *sv, struct stream *s, const struct ctl_open *o,
    const struct service_client *whose);
uint64_t __wrap_services_left(const struct services *sv);
int64_t __wrap_clock_wall_s(void);

void
__wrap_services_open(struct services *sv, struct stream *s, const struct ctl_open *o,
    const struct service_client *whose)
{
	(void)sv;
	assert_true(f.n_opened < OPENED);
	f.opened[f.n_opened].s = (struct fake_stream *)s;
	f.opened[f.n_opened].open = *o;
	f.opened[f.n_opened++].whose = whose;
}

uint64_t
__wrap_services_left(const struct services *sv)
{
	(void)sv;
	return f.left;
}

int64_t
__wrap_clock_wall_s(void)
{
	return f.now_s;
}

/* A stream at the services is over. */
static void
ended(int i)
{
	f.opened[i].whose->ended(f.opened[i].whose->arg);
}

static void
file_says(const char *entries)
{
	char text[2048];

	snprintf(text, sizeof text, "{\"clients\": {%s}}", entries);
	assert_int_equal(file_write_atomic(f.path, text, strlen(text), 0600, NULL), 0);
}

static void
serve(const char *entries, uint64_t max_sessions)
{
	const struct clients_config cfg = { .loop = f.l,
		.name = "pi",
		.path = f.path,
		.uplink = &f.uplink,
		.max_sessions = max_sessions };
	struct errtext e = { "" };

	file_says(entries);
	if (clients_new(&cfg, &f.cl, &e) != 0)
		fail_msg("%s", e.s);
}

static int
setup(void **state)
{
	struct secret *priv = secret_new(OWN_PRIV, strlen(OWN_PRIV));

	(void)state;
	f = (struct fix){ .l = loop_new(), .now_s = 1800000000, .left = 1000 };
	fake_inners_reset();
	assert_int_equal(
	    tls_keyed_new(priv, TLS_KEYED_CLIENT, TLS_KEYED_LOGIN, &f.uplink.target.keyed, NULL),
	    0);
	secret_free(priv);
	memset(f.uplink.instance, 7, sizeof f.uplink.instance);
	f.uplink.max_window = 1234567;
	snprintf(f.path, sizeof f.path, "/tmp/clients_test.%d", getpid());
	f.relay = fake_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	clients_free(f.cl);
	tls_keyed_free(f.uplink.target.keyed);
	loop_settle(f.l);
	loop_free(f.l);
	unlink(f.path);
	fake_free_all();
	return 0;
}

/* ---- what clients do ---- */

/* The relay opens a stream end to end for its client of this number. */
static struct fake_stream *
outer(uint32_t number)
{
	struct ctl_open o = { .protocol = CTL_E2E, .client = number, .source = "192.0.2.7:1234" };
	struct stream *s = session_open(&f.relay->s, &o, NULL, NULL, NULL, NULL);

	clients_take(f.cl, s, &o);
	return (struct fake_stream *)s;
}

/* A handshake is under way. */
static struct inner *
shaking(uint32_t number)
{
	int before = fake_n_inners;

	assert_true(outer(number)->accepted);
	assert_int_equal(fake_n_inners, before + 1);
	return &fake_inner[before];
}

static struct inner *
proved(const char *key)
{
	struct inner *in = shaking(1);

	assert_true(fake_prove(in, key));
	return in;
}

/* One that is in. */
static struct inner *
in_by(const char *key)
{
	struct inner *in = proved(key);

	assert_int_equal(fake_inner_hello(in, CTL_CONNECT, "pi"), SESSION_GO_ON);
	return in;
}

/* Its stream to a service is with the services. */
static struct fake_stream *
reaches(struct inner *in, const char *service)
{
	int before = f.n_opened;
	struct fake_stream *s = fake_open(in->f, service);

	assert_int_equal(f.n_opened, before + 1);
	assert_ptr_equal(f.opened[before].s, s);
	assert_false(s->reset);
	return s;
}

/* Its stream to a service is refused. */
static void
is_denied(struct inner *in, const char *service, uint32_t code)
{
	int before = f.n_opened;
	struct fake_stream *s = fake_open(in->f, service);

	assert_int_equal(f.n_opened, before);
	assert_true(s->reset);
	assert_int_equal(s->code, code);
}

static void read_again(const char *entries);

/* ---- who comes in ---- */

static void
who_is_in_the_file_comes_in(void **state)
{
	struct inner *in;

	(void)state;
	serve(ALICE(""), 100);
	in = shaking(5);
	assert_false(in->dials);
	assert_int_equal(in->who.key[0], 5);
	assert_true(fake_prove(in, K1));
	assert_int_equal(in->cfg.window_max, 1234567);
	assert_int_equal(in->cfg.budget->max, BUDGET_DEFAULT);
	assert_int_equal(in->cfg.keep->max, 2 * BUDGET_DEFAULT);
	assert_false(in->f->greeted);
	assert_int_equal(fake_inner_hello(in, CTL_CONNECT, "pi"), SESSION_GO_ON);
	assert_true(in->f->greeted);
	assert_int_equal(in->f->hello.role, CTL_AGENT);
	assert_string_equal(in->f->hello.name, "pi");
	assert_memory_equal(in->f->hello.instance, f.uplink.instance, sizeof f.uplink.instance);
	/* Both end. */
	fake_inner_end(in, CODE_LOST, "cut");
	assert_true(in->freed);
	assert_int_equal(in->code, CODE_LOST);
}

static void
another_key_does_not(void **state)
{
	struct inner *in;

	(void)state;
	serve(ALICE(", \"expires\": \"2027-01-31T00:00:00Z\""), 100);
	in = shaking(1);
	assert_false(fake_prove(in, K2));
	assert_true(in->freed);
	assert_non_null(strstr(in->text, "has ended"));
	f.now_s = 1801440000; /* 2027-02-01 */
	in = shaking(1);
	assert_false(fake_prove(in, K1));
	assert_true(in->freed);
	f.now_s = 1800000000;
	in_by(K1);
}

static void
what_it_says_of_itself_must_fit(void **state)
{
	static const struct {
		enum ctl_role role;
		const char *name;
		uint32_t code;
	} says[] = { { CTL_CONNECT, "lab", CODE_DENIED }, { CTL_CONNECT, "PI", CODE_DENIED },
		{ CTL_CONNECT, "", CODE_DENIED }, { CTL_AGENT, "pi", CODE_PROTOCOL },
		{ CTL_RELAY, "pi", CODE_PROTOCOL } };

	(void)state;
	serve(ALICE(""), 100);
	for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
		struct inner *in = proved(K1);

		assert_int_equal(fake_inner_hello(in, says[i].role, says[i].name), SESSION_REFUSED);
		assert_int_equal(in->f->away_code, says[i].code);
		assert_false(in->f->greeted);
		fake_inner_end(in, says[i].code, "");
		assert_true(in->freed);
	}
}

static void
without_memory_it_is_refused(void **state)
{
	struct fake_stream *s;
	struct inner *in;

	(void)state;
	serve(ALICE(""), 100);
	fake_inners_max = 0;
	s = outer(1);
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_INTERNAL);
	fake_inners_max = -1;
	in = proved(K1);
	in->f->fail_greet = ERR_NOMEM;
	assert_int_equal(fake_inner_hello(in, CTL_CONNECT, "pi"), SESSION_REFUSED);
	assert_int_equal(in->f->away_code, CODE_INTERNAL);
}

/* ---- what it may open ---- */

static void
streams_are_judged_by_the_entry(void **state)
{
	struct inner *alice, *bob;

	(void)state;
	serve(ALICE("") ", " BOB(""), 100);
	alice = in_by(K1);
	bob = in_by(K3);
	reaches(alice, "ssh");
	/* What it says of itself is not believed. */
	assert_string_equal(f.opened[0].open.source, "alice 192.0.2.7:1234");
	reaches(alice, "web-shop");
	reaches(bob, "ssh");
	assert_string_equal(f.opened[2].open.source, "bob 192.0.2.7:1234");
	is_denied(alice, "db", CODE_DENIED);
	is_denied(alice, "SSH", CODE_DENIED);
	is_denied(bob, "web-shop", CODE_DENIED);
	/* No relay numbers its clients so, and each has its own. */
	assert_true(f.opened[0].whose->number > UINT32_MAX);
	assert_ptr_equal(f.opened[0].whose, f.opened[1].whose);
	assert_int_not_equal(f.opened[0].whose->number, f.opened[2].whose->number);
	for (int i = 0; i < 3; i++)
		ended(i);
}

static bool
may_dial(int i, const char *address, uint16_t port)
{
	struct addr a;

	assert_true(addr_literal(address, port, &a));
	return f.opened[i].whose->may_dial(f.opened[i].whose->arg, address, &a);
}

static void
a_host_and_port_is_judged_by_its_address(void **state)
{
	(void)state;
	serve(ALICE("") ", " BOB(""), 100);
	/* No service is named. */
	reaches(in_by(K1), "");
	assert_true(may_dial(0, "10.1.2.3", 22));
	assert_false(may_dial(0, "10.1.2.3", 23));
	assert_false(may_dial(0, "127.0.0.1", 22));
	assert_false(may_dial(0, "11.1.2.3", 22));
	reaches(in_by(K2), "");
	assert_false(may_dial(1, "10.1.2.3", 22));
	/* By what the file says then. */
	read_again(BOB(""));
	assert_false(may_dial(0, "10.1.2.3", 22));
	ended(0);
	ended(1);
}

/* ---- what an entry has ---- */

static void
sessions_of_an_entry_share_its_streams(void **state)
{
	struct inner *one, *two;

	(void)state;
	serve(BOB(", \"max-streams\": 3, \"max-memory\": 1048576"), 100);
	one = in_by(K2);
	two = in_by(K3);
	assert_ptr_equal(one->cfg.budget, two->cfg.budget);
	assert_int_equal(one->cfg.budget->max, 1048576);
	assert_int_equal(one->cfg.keep->max, 2 * 1048576);
	reaches(one, "ssh");
	reaches(one, "ssh");
	reaches(two, "ssh");
	is_denied(one, "ssh", CODE_LIMIT);
	is_denied(two, "ssh", CODE_LIMIT);
	ended(0);
	reaches(two, "ssh");
	is_denied(one, "ssh", CODE_LIMIT);
	/* A session that ends keeps the place of streams that have not. */
	fake_inner_end(one, CODE_LOST, "");
	is_denied(two, "ssh", CODE_LIMIT);
	for (int i = 1; i < 4; i++)
		ended(i);
	reaches(two, "ssh");
	ended(4);
}

static void
an_entry_leaves_half_of_the_streams(void **state)
{
	struct inner *alice, *bob;

	(void)state;
	serve(ALICE("") ", " BOB(""), 100);
	alice = in_by(K1);
	bob = in_by(K2);
	f.left = 2;
	reaches(alice, "ssh");
	f.left = 1;
	is_denied(alice, "ssh", CODE_LIMIT);
	reaches(bob, "ssh");
	f.left = 0;
	is_denied(bob, "ssh", CODE_LIMIT);
	ended(0);
	ended(1);
}

static void
sessions_of_an_entry_are_bounded(void **state)
{
	struct inner *one, *two;

	(void)state;
	serve(ALICE("") ", " BOB(", \"max-sessions\": 1"), 100);
	one = in_by(K2);
	two = proved(K3);
	assert_int_equal(fake_inner_hello(two, CTL_CONNECT, "pi"), SESSION_REFUSED);
	assert_int_equal(two->f->away_code, CODE_LIMIT);
	in_by(K1);
	fake_inner_end(two, CODE_LIMIT, "");
	fake_inner_end(one, CODE_LOST, "");
	in_by(K3);
}

static void
an_entry_leaves_half_of_the_sessions(void **state)
{
	struct inner *more;

	(void)state;
	serve(ALICE("") ", " BOB(""), 5);
	for (int i = 0; i < 3; i++)
		in_by(K1);
	more = proved(K1);
	assert_int_equal(fake_inner_hello(more, CTL_CONNECT, "pi"), SESSION_REFUSED);
	assert_int_equal(more->f->away_code, CODE_LIMIT);
	fake_inner_end(more, CODE_LIMIT, "");
	in_by(K2);
	more = proved(K2);
	assert_int_equal(fake_inner_hello(more, CTL_CONNECT, "pi"), SESSION_REFUSED);
}

/* ---- handshakes ---- */

static void
handshakes_of_one_client_are_bounded(void **state)
{
	struct fake_stream *s;

	(void)state;
	serve(ALICE(""), 100);
	for (int i = 0; i < CLIENTS_HANDSHAKES_EACH; i++)
		shaking(1);
	s = outer(1);
	assert_true(s->reset);
	assert_int_equal(s->code, CODE_LIMIT);
	assert_non_null(strstr(s->text, "too many handshakes at once"));
	shaking(2);
	/* One that is over makes room, if the rate lets it. */
	fake_inner_end(&fake_inner[0], CODE_LOST, "");
	handclock_pass(1000);
	shaking(1);
}

static void
the_client_that_has_most_gives_way(void **state)
{
	(void)state;
	serve(ALICE(""), 100);
	/* Three have 62 each, one has 64, one 6: 256. */
	for (int i = 0; i < CLIENTS_HANDSHAKES_EACH; i++)
		shaking(9);
	for (uint32_t number = 1; number <= 3; number++)
		for (int i = 0; i < 62; i++)
			shaking(number);
	for (int i = 0; i < 6; i++)
		shaking(4);
	assert_int_equal(fake_n_inners, CLIENTS_HANDSHAKES);
	for (int i = 0; i < 3; i++)
		shaking(5);
	/* The oldest of its. */
	assert_true(fake_inner[0].freed);
	assert_true(fake_inner[1].freed);
	/* Who has few keeps them. */
	for (int i = CLIENTS_HANDSHAKES - 6; i < CLIENTS_HANDSHAKES + 3; i++)
		assert_false(fake_inner[i].freed);
}

static void
handshakes_keep_to_a_rate(void **state)
{
	struct fake_stream *s;

	(void)state;
	serve(ALICE(""), 100);
	for (int i = 0; i < CLIENTS_BURST; i++)
		fake_inner_end(shaking(1), CODE_LOST, "");
	s = outer(1);
	assert_int_equal(s->code, CODE_LIMIT);
	assert_non_null(strstr(s->text, "short time"));
	shaking(2);
	handclock_pass(1000);
	for (int i = 0; i < CLIENTS_RATE; i++)
		fake_inner_end(shaking(1), CODE_LOST, "");
	assert_int_equal(outer(1)->code, CODE_LIMIT);
}

/* ---- the file is read again ---- */

/* The log tells of it, whether the file is right or wrong. */
static bool
is_read(void *arg)
{
	char text[2048];
	ssize_t n = read(heardlog_fd[0], text, sizeof text);
	bool *read_it = arg;

	*read_it = *read_it || (n > 0 && memmem(text, (size_t)n, f.path, strlen(f.path)) != NULL);
	return *read_it;
}

static void
read_again(const char *entries)
{
	bool read_it = false;

	heardlog_begin(LOG_LEVEL_INFO);
	file_says(entries);
	clients_reread(f.cl);
	assert_true(turns_until(f.l, is_read, &read_it));
	heardlog_end();
}

static void
a_session_ends_with_its_key(void **state)
{
	struct inner *alice, *bob, *other;
	struct fake_stream *s;

	(void)state;
	serve(ALICE("") ", " BOB(""), 100);
	alice = in_by(K1);
	bob = in_by(K2);
	other = in_by(K3);
	s = reaches(bob, "ssh");
	/* One of two keys of an entry. */
	read_again(ALICE("") ", \"bob\": {\"key\": \"" K3 "\", \"targets\": [\"ssh\"]}");
	assert_int_equal(bob->f->away_code, CODE_REVOKED);
	assert_true(s->over);
	assert_int_equal(s->code, CODE_REVOKED);
	assert_true(bob->finished);
	assert_false(alice->finished);
	assert_false(other->finished);
	ended(0);
	fake_inner_end(bob, CODE_REVOKED, "");
	/* An entry as a whole. */
	read_again(ALICE(""));
	assert_true(other->finished);
	assert_false(alice->finished);
	assert_false(fake_prove(shaking(1), K3));
}

static void
a_session_ends_when_its_entry_expires(void **state)
{
	struct inner *in;

	(void)state;
	serve(ALICE(", \"expires\": \"2027-01-31T00:00:00Z\""), 100);
	in = in_by(K1);
	handclock_pass(2000);
	assert_false(in->finished);
	f.now_s = 1801440000;
	is_denied(in, "ssh", CODE_DENIED);
	handclock_pass(2000);
	assert_true(in->finished);
	assert_int_equal(in->f->away_code, CODE_REVOKED);
	/* Once. */
	handclock_pass(2000);
	assert_int_equal(in->f->n_away, 1);
}

static void
rights_and_limits_are_those_of_the_file_now(void **state)
{
	struct inner *in;

	(void)state;
	serve(BOB(""), 100);
	in = in_by(K2);
	reaches(in, "ssh");
	reaches(in, "ssh");
	read_again(BOB(", \"max-streams\": 2, \"max-memory\": 1048576"));
	is_denied(in, "ssh", CODE_LIMIT);
	assert_int_equal(in->cfg.budget->max, 1048576);
	read_again("\"bob\": {\"key\": \"" K2 "\", \"targets\": [\"db\"]}");
	is_denied(in, "ssh", CODE_DENIED);
	reaches(in, "db");
	assert_false(in->finished);
	/* A file that is wrong changes nothing. */
	read_again("\"bob\": {\"secret\": \"x\"}");
	reaches(in, "db");
	for (int i = 0; i < f.n_opened; i++)
		ended(i);
}

/* ---- the end ---- */

static void
who_drains_waits_for_streams(void **state)
{
	struct inner *idle, *busy, *shakes;
	struct fake_stream *s;

	(void)state;
	serve(ALICE("") ", " BOB(""), 100);
	idle = in_by(K1);
	busy = in_by(K2);
	shakes = shaking(1);
	s = reaches(busy, "ssh");
	clients_drain(f.cl);
	assert_true(shakes->freed);
	assert_int_equal(shakes->code, CODE_GONE);
	assert_true(idle->finished);
	assert_int_equal(busy->f->away_code, CODE_OK);
	assert_false(busy->finished);
	assert_int_equal(outer(1)->code, CODE_GONE);
	ended(0);
	fake_end(s, CODE_OK, "");
	busy->user->idle(busy->arg);
	assert_true(busy->finished);
}

static void
a_client_that_leaves_is_waited_for(void **state)
{
	struct inner *in;
	struct fake_stream *s;

	(void)state;
	serve(BOB(""), 100);
	in = in_by(K2);
	/* One that is idle and has not said goodbye stays. */
	in->user->idle(in->arg);
	assert_false(in->finished);
	s = reaches(in, "ssh");
	in->user->goaway(in->arg, CODE_OK, "the client is done");
	assert_false(in->finished);
	ended(0);
	fake_end(s, CODE_OK, "");
	in->f->s.going = true;
	in->user->idle(in->arg);
	assert_true(in->finished);
	in = in_by(K2);
	in->user->goaway(in->arg, CODE_OK, "the client is done");
	assert_true(in->finished);
}

static void
options_must_make_sense(void **state)
{
	struct clients_config cfg = { .loop = f.l, .name = "pi", .path = f.path };
	struct uplink_config keyless = { .max_window = 1 };
	struct errtext e = { "" };

	(void)state;
	file_says(ALICE(""));
	cfg.uplink = &keyless;
	assert_int_equal(clients_new(&cfg, &f.cl, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "--key-file"));
	cfg.uplink = &f.uplink;
	file_says("\"alice\": {\"secret\": \"x\"}");
	assert_int_equal(clients_new(&cfg, &f.cl, &e), ERR_INVALID);
	assert_non_null(strstr(e.s, "alice"));
	unlink(f.path);
	assert_int_equal(clients_new(&cfg, &f.cl, &e), ERR_NOTFOUND);
	assert_null(f.cl);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_is_in_the_file_comes_in),
		T(another_key_does_not),
		T(what_it_says_of_itself_must_fit),
		T(without_memory_it_is_refused),
		T(streams_are_judged_by_the_entry),
		T(a_host_and_port_is_judged_by_its_address),
		T(sessions_of_an_entry_share_its_streams),
		T(an_entry_leaves_half_of_the_streams),
		T(sessions_of_an_entry_are_bounded),
		T(an_entry_leaves_half_of_the_sessions),
		T(handshakes_of_one_client_are_bounded),
		T(the_client_that_has_most_gives_way),
		T(handshakes_keep_to_a_rate),
		T(a_session_ends_with_its_key),
		T(a_session_ends_when_its_entry_expires),
		T(rights_and_limits_are_those_of_the_file_now),
		T(who_drains_waits_for_streams),
		T(a_client_that_leaves_is_waited_for),
		T(options_must_make_sense),
	};

	return cmocka_run_group_tests_name("agent/clients", tests, NULL, NULL);
}
