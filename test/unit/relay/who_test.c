/* SPDX-License-Identifier: ISC */
/* who_test - credentials and the relay's key, from the options: what is read, what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/who.h"
#include "lib/base/file.h"
#include "lib/tls/tls_keyed.h"
#include "proto/creds.h"
#include "test/unit/heardlog.h"

#define ONE_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define ONE_PUB "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"
#define NOBODY "nobody can log in with these credentials"
#define NO_KEY "there are keys, but the relay has none of its own"

static struct relay r;
static struct errtext why;
static char file[64];

static int
setup(void **state)
{
	(void)state;
	memset(&r, 0, sizeof r);
	errtext_clear(&why);
	snprintf(file, sizeof file, "/tmp/who_test.%d", (int)getpid());
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	creds_unref(r.creds);
	tls_keyed_free(r.keyed);
	secret_free(r.opts.key.key);
	unlink(file);
	return 0;
}

static void
file_says(const char *text)
{
	assert_int_equal(file_write_atomic(file, text, strlen(text), 0600, NULL), 0);
	r.opts.credentials = file;
}

static void
key_is(const char *text)
{
	r.opts.key.key = secret_new(text, strlen(text));
	assert_non_null(r.opts.key.key);
}

/* What is said of it in the log. */
static const char *
load(int expected)
{
	int rc;

	heardlog_begin(LOG_LEVEL_INFO);
	rc = who_load(&r, &why);
	if (rc != expected)
		fail_msg("%d: %s", rc, why.s);
	return heardlog_end();
}

static void
says(const char *log, const char *what)
{
	if (strstr(log, what) == NULL)
		fail_msg("no \"%s\" in \"%s\"", what, log);
}

static void
without_options_everybody_is_let_in(void **state)
{
	(void)state;
	assert_string_equal(load(0), "");
	assert_null(r.creds);
	assert_null(r.keyed);
}

static void
credentials_in_order_need_no_words(void **state)
{
	(void)state;
	file_says("{\"edge-agents\":{\"pi\":\"s\"},\"access-client-secrets\":[\"t\"]}");
	assert_string_equal(load(0), "");
	assert_non_null(r.creds);
	assert_null(r.keyed);
}

static void
whoever_can_never_log_in_is_told(void **state)
{
	const char *log;

	(void)state;
	file_says("{}");
	log = load(0);
	says(log, file);
	says(log, NOBODY);
	creds_unref(r.creds);
	file_says("{\"edge-agents\":{\"pi\":{\"key\":\"" ONE_PUB "\"}}}");
	log = load(0);
	says(log, NO_KEY);
	assert_null(strstr(log, NOBODY));
}

static void
the_relays_key_is_told(void **state)
{
	const char *log;

	(void)state;
	key_is(ONE_PRIV);
	file_says("{\"edge-agents\":{\"pi\":{\"key\":\"" ONE_PUB "\"}}}");
	log = load(0);
	says(log, "the relay's key: " ONE_PUB);
	assert_null(strstr(log, NO_KEY));
	assert_null(strstr(log, ONE_PRIV));
	assert_non_null(r.keyed);
}

static void
a_key_alone_lets_everybody_in(void **state)
{
	(void)state;
	key_is(ONE_PRIV);
	says(load(0), "the relay's key: " ONE_PUB);
	assert_null(r.creds);
}

static void
keys_of_agents_need_one_of_the_relay(void **state)
{
	static char *keys[] = { "pi=" ONE_PUB };

	(void)state;
	r.opts.agent_keys = (struct opt_list){ keys, 1 };
	load(ERR_INVALID);
	says(why.s, "--agent-key needs a key of the relay's own");
	assert_null(r.creds);
	key_is(ONE_PRIV);
	assert_null(strstr(load(0), "--agent-key"));
	assert_true(creds_has_keys(r.creds));
}

static void
what_is_wrong_stops_it(void **state)
{
	(void)state;
	file_says("{");
	assert_string_equal(load(ERR_INVALID), "");
	says(why.s, file);
	assert_null(r.creds);
	file_says("{}");
	key_is("tunnel-priv-x");
	load(ERR_INVALID);
	assert_null(r.creds);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_options_everybody_is_let_in),
		T(credentials_in_order_need_no_words),
		T(whoever_can_never_log_in_is_told),
		T(the_relays_key_is_told),
		T(a_key_alone_lets_everybody_in),
		T(keys_of_agents_need_one_of_the_relay),
		T(what_is_wrong_stops_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
