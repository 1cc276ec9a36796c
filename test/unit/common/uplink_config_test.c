/* SPDX-License-Identifier: ISC */
/*
 * uplink_config_test - from options to what a dial needs: which are refused, and what the others
 * become.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/common/uplink.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "proto/dialect/dialect.h"
#include "proto/join.h"
#include "test/unit/heap.h"
#include "test/unit/heardlog.h"
#include "test/unit/tlstest.h"

#define PIN "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static struct uplink_config c;
static struct uplink_opts o;
static struct errtext why;
static char file[64];

static int
setup(void **state)
{
	(void)state;
	memset(&o, 0, sizeof o);
	errtext_clear(&why);
	o.relay = "ws://127.0.0.1:81/t";
	o.secret = secret_new("s", 1);
	o.keepalive_ms = 1234;
	o.max_window = 5678;
	o.max_memory = 100;
	snprintf(file, sizeof file, "/tmp/uplink_config_test.%d", (int)getpid());
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	uplink_config_fini(&c);
	secret_free(o.secret);
	secret_free(o.key.key);
	unlink(file);
	return 0;
}

static void
refused(const char *words)
{
	assert_int_equal(uplink_config_init(&c, &o, CTL_AGENT, &why), ERR_INVALID);
	if (strstr(why.s, words) == NULL)
		fail_msg("not \"%s\": %s", words, why.s);
	uplink_config_fini(&c);
}

static void
taken(void)
{
	if (uplink_config_init(&c, &o, CTL_AGENT, &why) != 0)
		fail_msg("%s", why.s);
}

static void
secret_is(const void *p, size_t n)
{
	secret_free(o.secret);
	o.secret = secret_new(p, n);
	assert_non_null(o.secret);
}

static void
options_become_what_a_dial_needs(void **state)
{
	static const uint8_t nothing[CTL_TOKEN_LEN];

	(void)state;
	taken();
	assert_string_equal(c.relay, "ws://127.0.0.1:81/t");
	assert_string_equal(c.target.url.at.host, "127.0.0.1");
	assert_int_equal(c.target.url.at.port, 81);
	assert_string_equal(c.target.url.target, "/t");
	assert_ptr_equal(c.target.dialect, &dialect_native);
	assert_ptr_equal(c.target.headers, &o.headers);
	assert_null(c.target.tls);
	assert_false(c.target.has_proxy);
	assert_int_equal(c.keepalive_ms, 1234);
	assert_int_equal(c.max_window, 5678);
	/* A third of the memory for what comes, the rest for what is kept. */
	assert_int_equal(c.memory.max, 33);
	assert_int_equal(c.keep.max, 67);
	assert_string_equal(secret_bytes(c.secret), "s");
	assert_null(o.secret);
	assert_memory_not_equal(c.instance, nothing, sizeof nothing);
}

static void
the_relay_is_a_websocket_url(void **state)
{
	(void)state;
	o.relay = NULL;
	refused("no relay: give --relay URL");
	o.relay = "https://relay.test";
	refused("ws://");
	o.relay = "relay.test";
	refused("ws://");
}

static void
headers_and_the_proxy_are_looked_at(void **state)
{
	static char *bad = "Host: x";

	(void)state;
	o.headers = (struct opt_list){ &bad, 1 };
	refused("Host");
	o.headers.n = 0;
	secret_is("s", 1);
	o.proxy = "socks5://127.0.0.1:1";
	refused("--proxy must begin with http://");
	secret_is("s", 1);
	o.proxy = "http://u:p@127.0.0.1:3128";
	taken();
	assert_true(c.target.has_proxy);
	assert_string_equal(c.target.proxy.password, "p");
}

static void
a_secret_is_a_line_of_text(void **state)
{
	static char longest[CTL_SECRET_MAX + 2];

	(void)state;
	memset(longest, 'x', sizeof longest - 1);
	secret_is(longest, CTL_SECRET_MAX + 1);
	refused("longer than");
	secret_is(longest, CTL_SECRET_MAX);
	taken();
	uplink_config_fini(&c);
	secret_is("a\0b", 3);
	refused("NUL byte");
	secret_is("a\nb", 3);
	refused("the secret has a control character");
	secret_is("\xff", 1);
	refused("not UTF-8");
}

static void
a_secret_may_stand_in_a_file(void **state)
{
	const char *log;

	(void)state;
	secret_free(o.secret);
	o.secret = NULL;
	refused("no secret: give --secret-file FILE");
	o.secret_file = file;
	assert_int_equal(uplink_config_init(&c, &o, CTL_AGENT, &why), ERR_NOTFOUND);
	assert_non_null(strstr(why.s, file));

	assert_int_equal(file_write_atomic(file, "sesame\n", 7, 0600, NULL), 0);
	heardlog_begin(LOG_LEVEL_INFO);
	taken();
	assert_string_equal(secret_bytes(c.secret), "sesame");
	assert_string_equal(heardlog_end(), "");
	uplink_config_fini(&c);

	/* Others may read it: that is told, and no mistake. */
	assert_int_equal(file_write_atomic(file, "sesame\n", 7, 0644, NULL), 0);
	heardlog_begin(LOG_LEVEL_INFO);
	taken();
	log = heardlog_end();
	assert_non_null(strstr(log, file));
	uplink_config_fini(&c);

	assert_int_equal(file_write_atomic(file, "sesame\n\n", 8, 0600, NULL), 0);
	refused(file);
	assert_non_null(strstr(why.s, "control character"));
}

static void
trust_needs_tls(void **state)
{
	static char *pins[] = { PIN, PIN, "nonsense" };

	(void)state;
	o.ca = tlstest_pem;
	refused("--ca and --pin need a wss:// relay");
	secret_is("s", 1);
	o.ca = NULL;
	o.pins = (struct opt_list){ pins, 1 };
	refused("--ca and --pin need a wss:// relay");

	o.relay = "wss://relay.test";
	for (size_t n = 0; n <= 2; n++) {
		secret_is("s", 1);
		o.pins.n = n;
		o.ca = n == 1 ? NULL : tlstest_pem;
		taken();
		assert_non_null(c.target.tls);
		uplink_config_fini(&c);
	}
	secret_is("s", 1);
	o.pins.n = 3;
	refused("nonsense");
	secret_is("s", 1);
	o.pins.n = 0;
	o.ca = "/nonexistent/ca";
	assert_int_equal(uplink_config_init(&c, &o, CTL_AGENT, &why), ERR_NOTFOUND);
}

static void
who_speaks_in_the_clear_is_warned(void **state)
{
	static const struct {
		char *relay;
		bool warned;
	} cases[] = {
		{ "ws://relay.test", true },
		{ "ws://192.0.2.1", true },
		{ "ws://[2001:db8::1]", true },
		{ "ws://127.0.0.1", false },
		{ "ws://127.1.2.3:80", false },
		{ "ws://[::1]", false },
		{ "ws://localhost", false },
		{ "wss://relay.test", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *log;

		secret_is("s", 1);
		o.relay = cases[i].relay;
		heardlog_begin(LOG_LEVEL_INFO);
		taken();
		log = heardlog_end();
		if ((strstr(log, "is not encrypted") != NULL) != cases[i].warned)
			fail_msg("%s: %s", cases[i].relay, log);
		uplink_config_fini(&c);
	}
}

/* ---- keys ---- */

#define ONE_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define ONE_PUB "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"

static char *relay_keys[] = { ONE_PUB, ONE_PUB };

static void
key_is(const char *text)
{
	secret_free(o.secret);
	o.secret = NULL;
	secret_free(o.key.key);
	o.key.key = secret_new(text, strlen(text));
	assert_non_null(o.key.key);
	o.relay_keys = (struct opt_list){ relay_keys, 2 };
}

static void
a_key_stands_for_a_secret(void **state)
{
	const char *log;

	(void)state;
	key_is(ONE_PRIV);
	o.relay = "ws://relay.test";
	heardlog_begin(LOG_LEVEL_INFO);
	taken();
	log = heardlog_end();
	assert_null(c.secret);
	assert_null(o.key.key);
	assert_string_equal(tls_keyed_public(c.target.keyed), ONE_PUB);
	assert_int_equal(c.target.relay_keys.n, 2);
	assert_non_null(strstr(log, "own key: " ONE_PUB));
	/* There is nothing to warn of, and nothing to fall back to. */
	assert_null(strstr(log, "not encrypted"));
	assert_ptr_equal(c.target.dialect, &dialect_native);
	assert_null(c.other);
}

static void
a_key_is_for_the_native_dialect(void **state)
{
	(void)state;
	key_is(ONE_PRIV);
	o.relay = "ws://relay.test/ws_for_edge_agents";
	refused("native dialect");
	key_is(ONE_PRIV);
	o.relay = "ws://relay.test";
	o.dialect = 2;
	refused("native dialect");
}

static void
keys_that_make_no_sense_are_refused(void **state)
{
	static char *bad[] = { ONE_PUB, "x" };

	(void)state;
	key_is(ONE_PRIV);
	o.relay_keys.n = 0;
	refused("needs --relay-key");
	key_is(ONE_PRIV);
	o.relay_keys.v = bad;
	refused("--relay-key: this is no public key");
	key_is(ONE_PRIV);
	o.secret = secret_new("s", 1);
	refused("both a key and a secret");
	key_is(ONE_PUB);
	refused("this is no private key");
	secret_is("s", 1);
	refused("give --key-file");
}

/* ---- one word for all ---- */

static void
join_file_says(const struct secret *word)
{
	o.relay = NULL;
	secret_free(o.secret);
	o.secret = NULL;
	assert_int_equal(
	    file_write_atomic(file, secret_bytes(word), secret_len(word), 0600, NULL), 0);
	o.join_file = file;
}

static struct secret *
word_for(const char *url)
{
	struct secret *one = secret_new(ONE_PRIV, strlen(ONE_PRIV)), *word;
	uint8_t point[KEYS_POINT_LEN];

	assert_int_equal(keys_point(ONE_PUB, strlen(ONE_PUB), point, NULL), 0);
	assert_int_equal(join_make(url, point, one, &word, NULL), 0);
	secret_free(one);
	return word;
}

static void
a_join_file_stands_for_relay_and_keys(void **state)
{
	struct secret *word = word_for("wss://relay.test/t");
	uint8_t point[KEYS_POINT_LEN];

	(void)state;
	join_file_says(word);
	taken();
	/* As an option would be, it is freed with them. */
	assert_string_equal(o.relay, "wss://relay.test/t");
	mem_free(o.relay);
	assert_string_equal(c.target.url.at.host, "relay.test");
	assert_string_equal(tls_keyed_public(c.target.keyed), ONE_PUB);
	assert_int_equal(keys_point(ONE_PUB, strlen(ONE_PUB), point, NULL), 0);
	assert_int_equal(c.target.relay_keys.n, 1);
	assert_memory_equal(c.target.relay_keys.points[0], point, sizeof point);
	secret_free(word);
}

static void
a_join_file_is_given_alone(void **state)
{
	static char relay[] = "ws://relay.test", key[] = "/nonexistent/key";
	struct secret *word = word_for("wss://relay.test/t");

	(void)state;
	join_file_says(word);
	o.relay = relay;
	refused("give it alone");
	o.relay = NULL;
	o.key.file = key;
	refused("give it alone");
	o.key.file = NULL;
	key_is(ONE_PRIV);
	o.relay_keys.n = 0;
	refused("give it alone");
	key_is(ONE_PRIV);
	secret_free(o.key.key);
	o.key.key = NULL;
	refused("give it alone");
	secret_free(word);
}

static void
a_join_file_that_is_wrong_is_named(void **state)
{
	struct secret *word = secret_new("tunnel-join-x", 13);

	(void)state;
	join_file_says(word);
	refused(file);
	secret_free(word);
}

static void
without_memory_it_fails_and_leaves_nothing(void **state)
{
	static char *pins[] = { PIN };
	long n = 0;
	int r;

	(void)state;
	o.relay = "wss://relay.test";
	o.ca = tlstest_pem;
	o.pins = (struct opt_list){ pins, 1 };
	do {
		secret_is("s", 1);
		mem_fail_after(n++);
		r = uplink_config_init(&c, &o, CTL_AGENT, &why);
		mem_fail_after(MEM_NO_FAIL);
		uplink_config_fini(&c);
	} while (r != 0 && n < 100000);
	assert_int_equal(r, 0);
	assert_true(n > 3);
}

static void
round_trip(void)
{
	static char *pins[] = { PIN };

	setup(NULL);
	o.relay = "wss://relay.test";
	o.ca = tlstest_pem;
	o.pins = (struct opt_list){ pins, 1 };
	o.proxy = "http://u:p@127.0.0.1:3128";
	taken();
	teardown(NULL);
}

/* ---- what is spoken ---- */

enum { AUTO, NATIVE, HNR };

static void
spoken(const char *relay, int dialect, enum ctl_role role, const struct dialect *d,
    const char *target, const char *other_path)
{
	uplink_config_fini(&c);
	secret_free(o.secret);
	o.secret = secret_new("s", 1);
	o.relay = (char *)(uintptr_t)relay;
	o.dialect = dialect;
	o.carriers = 1;
	if (uplink_config_init(&c, &o, role, &why) != 0)
		fail_msg("%s: %s", relay, why.s);
	assert_ptr_equal(c.target.dialect, d);
	assert_string_equal(c.target.url.target, target);
	assert_string_equal(c.other != NULL ? c.other_path : "", other_path);
}

static void
the_dialect_is_that_of_the_path_or_the_option(void **state)
{
	const struct dialect *agents = &dialect_hnr_agents, *clients = &dialect_hnr_clients;
	const char *a = "/ws_for_edge_agents", *k = "/ws_for_access_clients";

	(void)state;
	spoken("ws://127.0.0.1", AUTO, CTL_AGENT, &dialect_native, "/", a);
	spoken("ws://127.0.0.1", AUTO, CTL_CONNECT, &dialect_native, "/", k);
	spoken("ws://127.0.0.1/tunnel", AUTO, CTL_AGENT, &dialect_native, "/tunnel", "");
	spoken("ws://127.0.0.1/ws_for_edge_agents", AUTO, CTL_AGENT, agents, a, "");
	spoken("ws://127.0.0.1/x/ws_for_edge_agents?y", AUTO, CTL_AGENT, agents,
	    "/x/ws_for_edge_agents?y", "");
	spoken("ws://127.0.0.1/ws_for_access_clients", AUTO, CTL_CONNECT, clients, k, "");
	spoken("ws://127.0.0.1", HNR, CTL_AGENT, agents, a, "");
	spoken("ws://127.0.0.1", HNR, CTL_CONNECT, clients, k, "");
	spoken("ws://127.0.0.1/other", HNR, CTL_AGENT, agents, "/other", "");
	spoken("ws://127.0.0.1", NATIVE, CTL_AGENT, &dialect_native, "/", "");
	spoken("ws://127.0.0.1/ws_for_edge_agents", NATIVE, CTL_AGENT, &dialect_native, a, "");
}

static void
what_cannot_be_spoken_is_refused(void **state)
{
	(void)state;
	o.relay = (char *)(uintptr_t) "ws://127.0.0.1/ws_for_access_clients";
	o.carriers = 1;
	refused("that path is for clients; an agent's path ends in /ws_for_edge_agents");
	o.relay = (char *)(uintptr_t) "ws://127.0.0.1";
	o.dialect = HNR;
	o.carriers = 2;
	refused("one WebSocket for each agent");
	/* The second carrier would be refused there: it is not tried. */
	o.dialect = AUTO;
	secret_free(o.secret);
	o.secret = secret_new("s", 1);
	taken();
	assert_null(c.other);
}

static void
a_switch_swaps_the_dialects_and_their_paths(void **state)
{
	(void)state;
	spoken("ws://127.0.0.1", AUTO, CTL_AGENT, &dialect_native, "/", "/ws_for_edge_agents");
	for (int i = 0; i < 2; i++) {
		uplink_config_switch(&c);
		assert_ptr_equal(c.target.dialect, &dialect_hnr_agents);
		assert_string_equal(c.target.url.target, "/ws_for_edge_agents");
		uplink_config_switch(&c);
		assert_ptr_equal(c.target.dialect, &dialect_native);
		assert_string_equal(c.target.url.target, "/");
	}
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(options_become_what_a_dial_needs),
		T(the_relay_is_a_websocket_url),
		T(headers_and_the_proxy_are_looked_at),
		T(a_secret_is_a_line_of_text),
		T(a_secret_may_stand_in_a_file),
		T(trust_needs_tls),
		T(who_speaks_in_the_clear_is_warned),
		T(a_key_stands_for_a_secret),
		T(a_key_is_for_the_native_dialect),
		T(keys_that_make_no_sense_are_refused),
		T(a_join_file_stands_for_relay_and_keys),
		T(a_join_file_is_given_alone),
		T(a_join_file_that_is_wrong_is_named),
		T(without_memory_it_fails_and_leaves_nothing),
		T(the_dialect_is_that_of_the_path_or_the_option),
		T(what_cannot_be_spoken_is_refused),
		T(a_switch_swaps_the_dialects_and_their_paths),
		cmocka_unit_test(everything_is_given_back),
	};
	static const char *const variables[] = { "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
		"http_proxy", "https_proxy", "all_proxy" };

	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
		unsetenv(variables[i]);
	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
