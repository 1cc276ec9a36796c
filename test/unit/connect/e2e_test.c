/* SPDX-License-Identifier: ISC */
/*
 * e2e_test - connect's sessions with agents: when one is begun, which keys the agent may show, and
 * what becomes of one whose agent, relay or key goes.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams,--wrap=uplink_is_up
 * link: -Wl,--wrap=inner_new,--wrap=inner_free,--wrap=inner_finish
 * link: -Wl,--wrap=inner_session,--wrap=inner_may_open,--wrap=inner_take_turns
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

#include "cmd/connect/e2e.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "proto/dialect/dialect.h"
#include "test/unit/fakeinner.h"
#include "test/unit/fakeuplink.h"
#include "test/unit/turns.h"

/* Of the private keys 1 and 2. */
#define OWN_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define K1 "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"
#define K2 "tunnel-pub-A3zyexiNA09-ilI4AwS1GsPAiWnid_IbNaYLSPxHZpl4"

static struct fix {
	struct loop *l;
	struct uplink_config config;
	struct e2e x;
	struct e2e_link *lk;
	char known[64];
	/* What the link's user was told. */
	int n_ready, n_failed;
	uint32_t code;
	char text[256];
} f;

static void
on_ready(void *arg)
{
	assert_ptr_equal(arg, &f);
	f.n_ready++;
}

static void
on_failed(void *arg, uint32_t code, const char *text)
{
	assert_ptr_equal(arg, &f);
	f.n_failed++;
	f.code = code;
	snprintf(f.text, sizeof f.text, "%s", text);
}

static const struct e2e_user user = { on_ready, on_failed };

static void
known_says(const char *text)
{
	assert_int_equal(file_write_atomic(f.known, text, strlen(text), 0600, NULL), 0);
}

static int
setup(void **state)
{
	struct secret *priv = secret_new(OWN_PRIV, strlen(OWN_PRIV));

	(void)state;
	f = (struct fix){ .l = loop_new() };
	fake_uplinks_reset();
	fake_inners_reset();
	assert_int_equal(
	    tls_keyed_new(priv, TLS_KEYED_CLIENT, TLS_KEYED_LOGIN, &f.config.target.keyed, NULL),
	    0);
	secret_free(priv);
	f.config.target.dialect = &dialect_native;
	f.config.other = &dialect_fake;
	snprintf(f.known, sizeof f.known, "/tmp/e2e_test.%d", getpid());
	known_says("pi " K1 "\n");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	e2e_link_free(f.lk, CODE_CANCELLED, "the client has ended");
	e2e_fini(&f.x);
	tls_keyed_free(f.config.target.keyed);
	loop_settle(f.l);
	loop_free(f.l);
	buf_pool_free();
	unlink(f.known);
	fake_uplinks_reset();
	return 0;
}

/* ---- */

static char *key_of_option[] = { (char *)(uintptr_t)K1 };
static const struct e2e_opts by_file = { .on = true, .known_agents = f.known };
static const struct e2e_opts by_option = { .on = true, .agent_keys = { key_of_option, 1 } };

/* A link to pi on an uplink that stands. */
static struct uplink *
linked(const struct e2e_opts *o)
{
	struct errtext e = { "" };
	struct uplink *k;

	if (e2e_init(&f.x, f.l, &f.config, o, &e) != 0)
		fail_msg("%s", e.s);
	k = uplink_new(f.l, &f.config, CTL_CONNECT, "pi", NULL, NULL);
	k->stands = true;
	f.lk = e2e_link_new(&f.x, k, "pi", &user, &f);
	assert_non_null(f.lk);
	return k;
}

/* A session is begun.  Returns it. */
static struct inner *
begun(void)
{
	struct errtext why = { "" };
	uint32_t code = CODE_OK;
	int before = fake_n_inners;

	if (!e2e_start(f.lk, &code, &why))
		fail_msg("%s", why.s);
	assert_int_equal(fake_n_inners, before + 1);
	assert_true(e2e_is_starting(f.lk));
	assert_null(e2e_session(f.lk));
	return &fake_inner[before];
}

/* One that takes streams. */
static struct inner *
standing(void)
{
	struct inner *in = begun();

	assert_true(fake_prove(in, K1));
	assert_int_equal(fake_inner_hello(in, CTL_AGENT, "pi"), SESSION_GO_ON);
	assert_false(e2e_is_starting(f.lk));
	return in;
}

static bool
is_in_vain(uint32_t want)
{
	struct errtext why = { "" };
	uint32_t code = CODE_OK;
	int before = fake_n_inners;

	if (e2e_start(f.lk, &code, &why))
		return false;
	snprintf(f.text, sizeof f.text, "%s", why.s);
	assert_int_equal(fake_n_inners, before);
	return code == want && !e2e_is_starting(f.lk);
}

static struct stream *
open_in(struct session *s)
{
	const struct ctl_open o = { .protocol = CTL_TCP, .service = "ssh" };
	struct stream *st;

	assert_non_null(s);
	st = session_open(s, &o, NULL, NULL, NULL, NULL);
	assert_non_null(st);
	return st;
}

static void
a_session_is_begun_once(void **state)
{
	struct uplink *k = linked(&by_file);
	struct inner *in = begun();
	struct errtext why = { "" };
	uint32_t code;

	(void)state;
	/* The relay is told that it is end to end, and nothing else. */
	assert_int_equal(k->f->n_streams, 1);
	assert_string_equal(k->f->stream[0]->open.protocol, CTL_E2E);
	assert_string_equal(k->f->stream[0]->open.service, "");
	assert_string_equal(k->f->stream[0]->open.host, "");
	assert_ptr_equal(in->outer, &k->f->stream[0]->s);
	assert_true(in->dials);
	assert_int_equal(in->hello.role, CTL_CONNECT);
	assert_string_equal(in->hello.name, "pi");
	assert_string_equal(in->hello.secret, "");
	/* Another instance than the relay knows us by. */
	assert_memory_not_equal(in->hello.instance, f.config.instance, sizeof in->hello.instance);
	assert_true(e2e_start(f.lk, &code, &why));
	assert_true(fake_prove(in, K1));
	assert_true(e2e_start(f.lk, &code, &why));
	assert_int_equal(fake_n_inners, 1);
	assert_int_equal(f.n_ready, 1);
	assert_ptr_equal(e2e_session(f.lk), &in->f->s);
	/* What it may make us hold is what all of the client's may. */
	assert_ptr_equal(in->cfg.budget, &f.config.memory);
	assert_ptr_equal(in->cfg.keep, &f.config.keep);
}

static void
the_agent_must_show_a_known_key(void **state)
{
	(void)state;
	linked(&by_file);
	assert_false(fake_prove(begun(), K2));
	assert_int_equal(f.n_failed, 1);
	assert_int_equal(f.code, CODE_DENIED);
	assert_non_null(strstr(f.text, K2));
	assert_non_null(strstr(f.text, K1));
	assert_int_equal(f.n_ready, 0);
	assert_false(e2e_is_starting(f.lk));
	assert_null(e2e_session(f.lk));
	/* It is tried anew when somebody wants it. */
	standing();
	assert_int_equal(f.n_ready, 1);
}

static void
the_option_stands_for_a_file(void **state)
{
	(void)state;
	linked(&by_option);
	assert_false(fake_prove(begun(), K2));
	standing();
}

static void
an_agent_that_is_not_in_the_file_is_not_asked(void **state)
{
	struct uplink *k;

	(void)state;
	known_says("lab " K1 "\n");
	k = linked(&by_file);
	assert_true(is_in_vain(CODE_DENIED));
	assert_non_null(strstr(f.text, "agent pi is not in"));
	assert_int_equal(k->f->n_streams, 0);
}

static void
a_wrong_name_or_role_is_refused(void **state)
{
	static const struct {
		enum ctl_role role;
		const char *name;
	} says[] = { { CTL_AGENT, "lab" }, { CTL_AGENT, "PI" }, { CTL_AGENT, "" },
		{ CTL_CONNECT, "pi" }, { CTL_RELAY, "pi" } };

	(void)state;
	linked(&by_file);
	for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
		struct inner *in = begun();

		assert_true(fake_prove(in, K1));
		assert_int_equal(fake_inner_hello(in, says[i].role, says[i].name), SESSION_REFUSED);
		assert_int_equal(in->f->away_code, CODE_PROTOCOL);
		/* It takes no streams from now on. */
		assert_null(e2e_session(f.lk));
		fake_inner_end(in, CODE_PROTOCOL, "this is another agent");
		assert_true(in->freed);
	}
}

static void
streams_of_the_agent_are_denied(void **state)
{
	struct fake_stream *st;

	(void)state;
	linked(&by_file);
	st = fake_open(standing()->f, "ssh");
	assert_true(st->reset);
	assert_int_equal(st->code, CODE_DENIED);
}

static void
a_failed_open_is_told(void **state)
{
	struct uplink *k = linked(&by_file);

	(void)state;
	k->f->fail_open = ERR_LIMIT;
	assert_true(is_in_vain(session_open_code(&k->f->s)));
	assert_string_equal(f.text, "the fake does not open");
	k->f->fail_open = 0;
	fake_inners_max = 0;
	assert_true(is_in_vain(CODE_OK));
	assert_true(k->f->stream[0]->reset);
	fake_inners_max = -1;
	standing();
}

static void
an_end_that_nobody_waited_for_is_no_failure(void **state)
{
	struct inner *in;
	struct stream *s;

	(void)state;
	linked(&by_file);
	in = standing();
	s = open_in(e2e_session(f.lk));
	fake_inner_end(in, CODE_LOST, "cut");
	assert_int_equal(f.n_failed, 0);
	assert_int_equal(in->code, CODE_LOST);
	assert_true(((struct fake_stream *)s)->over);
	assert_null(e2e_session(f.lk));
	standing();
}

/* ---- sessions that leave ---- */

static void
a_goodbye_waits_for_the_streams(void **state)
{
	struct inner *in, *second;

	(void)state;
	linked(&by_file);
	in = standing();
	open_in(e2e_session(f.lk));
	in->user->goaway(in->arg, CODE_OK, "the agent is shutting down");
	assert_int_equal(in->f->n_away, 1);
	assert_int_equal(in->f->away_code, CODE_OK);
	assert_false(in->finished);
	assert_null(e2e_session(f.lk));
	/* New streams go elsewhere, and the old one ends with its last. */
	second = standing();
	assert_ptr_equal(e2e_session(f.lk), &second->f->s);
	in->user->idle(in->arg);
	assert_true(in->finished);
	fake_inner_end(in, CODE_LOST, "");
	assert_true(in->freed);
	assert_false(second->freed);
	/* The one that takes streams does not end for want of them. */
	second->user->idle(second->arg);
	assert_false(second->finished);
	assert_int_equal(f.n_failed, 0);
}

static void
a_goodbye_without_streams_ends_it(void **state)
{
	struct inner *in;

	(void)state;
	linked(&by_file);
	in = standing();
	e2e_leave(f.lk);
	assert_true(in->finished);
	/* Twice is once. */
	e2e_leave(f.lk);
	assert_int_equal(in->f->n_away, 1);
	fake_inner_end(in, CODE_LOST, "");
	assert_true(in->freed);
	e2e_leave(f.lk);
	/* One that is not ready yet has nothing to wait for. */
	in = begun();
	e2e_leave(f.lk);
	assert_true(in->freed);
	assert_false(e2e_is_starting(f.lk));
}

static void
a_goodbye_with_a_reason_is_a_refusal(void **state)
{
	struct inner *in;

	(void)state;
	linked(&by_file);
	in = standing();
	in->user->goaway(in->arg, CODE_LIMIT, "too many");
	assert_int_equal(in->f->n_away, 0);
	fake_inner_end(in, CODE_LIMIT, "too many");
	assert_true(in->freed);
}

static void
too_many_that_leave_cut_off_the_oldest(void **state)
{
	struct inner *in[E2E_LEAVING_MAX + 2];

	(void)state;
	linked(&by_file);
	for (int i = 0; i < E2E_LEAVING_MAX + 1; i++) {
		in[i] = standing();
		open_in(e2e_session(f.lk));
		if (i == E2E_LEAVING_MAX)
			assert_false(in[0]->freed);
		e2e_leave(f.lk);
	}
	assert_true(in[0]->freed);
	assert_int_equal(in[0]->code, CODE_LOST);
	for (int i = 1; i < E2E_LEAVING_MAX + 1; i++)
		assert_false(in[i]->freed);
	/* The link's end is that of all. */
	in[E2E_LEAVING_MAX + 1] = standing();
	e2e_link_free(f.lk, CODE_CANCELLED, "the client has ended");
	f.lk = NULL;
	for (int i = 1; i < E2E_LEAVING_MAX + 2; i++) {
		assert_true(in[i]->freed);
		assert_int_equal(in[i]->code, CODE_CANCELLED);
	}
}

/* ---- the file is read again ---- */

static bool
is_read(void *arg)
{
	const struct known *before = arg;

	return f.x.known != before;
}

static void
known_changes(const char *text)
{
	struct known *before = f.x.known;

	known_says(text);
	watched_reread(&f.x.watched);
	assert_true(turns_until(f.l, is_read, before));
}

static void
a_session_ends_with_its_key(void **state)
{
	struct inner *old, *now;
	struct stream *s[2];

	(void)state;
	linked(&by_file);
	old = standing();
	s[0] = open_in(e2e_session(f.lk));
	e2e_leave(f.lk);
	now = standing();
	s[1] = open_in(e2e_session(f.lk));
	/* Another line, and one more key: it stays. */
	known_changes("pi " K2 "\nlab " K2 "\npi " K1 "\n");
	assert_false(old->freed);
	assert_false(now->freed);
	known_changes("pi " K2 "\n");
	assert_true(old->freed);
	assert_true(now->freed);
	for (int i = 0; i < 2; i++) {
		assert_true(((struct fake_stream *)s[i])->over);
		assert_int_equal(((struct fake_stream *)s[i])->code, CODE_REVOKED);
	}
	assert_null(e2e_session(f.lk));
	/* The agent has changed its key meanwhile. */
	assert_true(fake_prove(begun(), K2));
	/* It is known no more. */
	known_changes("lab " K2 "\n");
	assert_true(fake_inner[2].freed);
	assert_true(is_in_vain(CODE_DENIED));
}

static void
a_handshake_is_judged_by_the_file_of_its_end(void **state)
{
	struct inner *in;

	(void)state;
	linked(&by_file);
	in = begun();
	known_changes("pi " K2 "\n");
	assert_false(in->freed);
	assert_false(fake_prove(in, K1));
	assert_int_equal(f.code, CODE_DENIED);
	in = begun();
	known_changes("lab " K2 "\n");
	assert_false(fake_prove(in, K2));
	assert_int_equal(f.n_failed, 2);
}

/* ---- options ---- */

static void
refused(const struct e2e_opts *o, const char *words)
{
	struct errtext e = { "" };

	assert_int_equal(e2e_init(&f.x, f.l, &f.config, o, &e), ERR_INVALID);
	if (strstr(e.s, words) == NULL)
		fail_msg("%s", e.s);
	e2e_fini(&f.x);
}

static void
options_must_make_sense(void **state)
{
	static char *bad[] = { (char *)(uintptr_t) "tunnel-pub-x" };
	struct e2e_opts o = { .on = false };
	struct tls_keyed *keyed = f.config.target.keyed;
	struct errtext e = { "" };

	(void)state;
	assert_int_equal(e2e_init(&f.x, f.l, &f.config, &o, &e), 0);
	assert_null(f.x.tls);
	assert_ptr_equal(f.config.other, &dialect_fake);
	e2e_fini(&f.x);
	o.known_agents = f.known;
	refused(&o, "which was not given");
	o = (struct e2e_opts){ .agent_keys = by_option.agent_keys };
	refused(&o, "which was not given");
	o = (struct e2e_opts){ .on = true };
	refused(&o, "never comes from the relay");
	o = by_file;
	o.agent_keys = by_option.agent_keys;
	refused(&o, "give either");
	o = (struct e2e_opts){ .on = true, .agent_keys = { bad, 1 } };
	refused(&o, "--agent-key: this public key is damaged");
	f.config.target.keyed = NULL;
	refused(&by_file, "--key-file");
	f.config.target.keyed = keyed;
	f.config.target.dialect = &dialect_fake;
	refused(&by_file, "nothing like it");
	f.config.target.dialect = &dialect_native;
	/* There is no way from it to another protocol. */
	assert_int_equal(e2e_init(&f.x, f.l, &f.config, &by_file, &e), 0);
	assert_null(f.config.other);
}

static void
a_file_that_is_not_there_is_told(void **state)
{
	struct errtext e = { "" };

	(void)state;
	unlink(f.known);
	assert_int_equal(e2e_init(&f.x, f.l, &f.config, &by_file, &e), ERR_NOTFOUND);
	assert_non_null(strstr(e.s, f.known));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_session_is_begun_once, setup, teardown),
		cmocka_unit_test_setup_teardown(the_agent_must_show_a_known_key, setup, teardown),
		cmocka_unit_test_setup_teardown(the_option_stands_for_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    an_agent_that_is_not_in_the_file_is_not_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_name_or_role_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_of_the_agent_are_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_open_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    an_end_that_nobody_waited_for_is_no_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(a_goodbye_waits_for_the_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(a_goodbye_without_streams_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_goodbye_with_a_reason_is_a_refusal, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    too_many_that_leave_cut_off_the_oldest, setup, teardown),
		cmocka_unit_test_setup_teardown(a_session_ends_with_its_key, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_handshake_is_judged_by_the_file_of_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(options_must_make_sense, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_told, setup, teardown),
	};

	return cmocka_run_group_tests_name("connect/e2e", tests, NULL, NULL);
}
