/* SPDX-License-Identifier: ISC */
/* offer_web_test - --http and --tls: what they say, the file of users, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "test/unit/offerwords.h"

static struct errtext e;
static struct offers *o;
/* Of users. */
static char path[64];

static int
setup(void **state)
{
	int fd;

	(void)state;
	snprintf(path, sizeof path, "/tmp/offer_web_test.XXXXXX");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	(void)state;
	offers_free(o);
	o = NULL;
	return unlink(path);
}

static int
read_words(const char *http, const char *tls)
{
	int r;

	offers_free(o);
	errtext_clear(&e);
	r = offers_of_words(&(struct offer_words){ .http = http, .tls = tls }, &o, &e);
	assert_true(r == 0 || (o == NULL && e.s[0] != '\0'));
	return r;
}

static const struct offer *
one(const char *http)
{
	if (read_words(http, NULL) != 0)
		fail_msg("%s: %s", http, e.s);
	return &o->v[0];
}

/* Each as "NAME HOST TARGET", "?" for a random host. */
static void
offers(const char *http, const char *tls, const char *want)
{
	char got[2048] = "", target[OFFER_TARGET_MAX];

	if (read_words(http, tls) != 0)
		fail_msg("%s: %s", http, e.s);
	for (size_t i = 0; i < o->n; i++) {
		const struct offer *f = &o->v[i];

		assert_true(f->published);
		assert_int_equal(f->public, 0);
		assert_int_equal(f->web != NULL, strcmp(f->kind, "http") == 0);
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s %s %s",
		    i > 0 ? ", " : "", f->name,
		    f->random                ? "?"
		    : f->web_host[0] != '\0' ? f->web_host
					     : "-",
		    offer_target(f, target));
	}
	assert_string_equal(got, want);
}

static void
a_service_is_a_host_and_a_place(void **state)
{
	(void)state;
	offers("3000", "8443", "http - 127.0.0.1:3000, tls - 127.0.0.1:8443");
	offers("10.0.0.7:80", NULL, "http - 10.0.0.7:80");
	offers("unix:/run/a=b", NULL, "http - unix:/run/a=b");
	offers("Shop=3000 www.Acme.test.=1 *.acme.test=[::1]:2 a_1=unix:/x=y", "shop=4",
	    "http-shop shop 127.0.0.1:3000, http-www.acme.test www.acme.test 127.0.0.1:1, "
	    "http--.acme.test *.acme.test [::1]:2, http-a_1 a_1 unix:/x=y, "
	    "tls-shop shop 127.0.0.1:4");
	offers("random=1 random=2", "random=3",
	    "http-random ? 127.0.0.1:1, http-random-2 ? 127.0.0.1:2, tls-random ? 127.0.0.1:3");
}

static void
a_long_host_has_a_name_of_its_own(void **state)
{
	static const char labels[] =
	    "a23456789012345678901234567890123456789012345678901234567890123.b.c.d.e.test";
	char words[256];

	(void)state;
	snprintf(words, sizeof words, "%s=1 x.%s=2 xx.%s=3", labels, labels, labels);
	assert_int_equal(read_words(words, NULL), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(strlen(o->v[i].name), CTL_NAME_MAX);
		assert_true(ctl_is_name(o->v[i].name));
	}
	assert_string_not_equal(o->v[0].name, o->v[1].name);
	assert_string_not_equal(o->v[1].name, o->v[2].name);
}

static void
options_travel_with_it(void **state)
{
	const struct offer *f = one("shop=127.0.0.1:3000;host=intern:80;connect=10s;timeout=500ms;"
				    "header+=X-A:b;header-=Cookie;upgrade=foo;upgrade=bar;pool=0;"
				    "allow=10.0.0.0/8;deny=10.1.0.0/16;max-connections=5;"
				    "max-rate=6;proxy=v2");

	(void)state;
	assert_string_equal(f->web->host, "intern:80");
	assert_int_equal(f->web->connect_ms, 10000);
	assert_int_equal(f->web->timeout_ms, 500);
	assert_string_equal(f->web->add[0].name, "X-A");
	assert_string_equal(f->web->add[0].value, "b");
	assert_string_equal(f->web->remove[0].name, "Cookie");
	assert_string_equal(f->web->upgrades, "foo, bar");
	assert_true(f->web->no_pool);
	assert_int_equal(f->rules.n_allow, 1);
	assert_int_equal(f->rules.n_deny, 1);
	assert_int_equal(f->rules.max_connections, 5);
	assert_int_equal(f->rules.max_rate, 6);
	assert_int_equal(f->rules.proxy, 2);
	assert_string_equal(one("nas.lan:5000;host=rewrite")->web->host, "nas.lan:5000");
	assert_string_equal(one("[::1]:5000;host=rewrite")->web->host, "[::1]:5000");
	assert_string_equal(one("unix:/run/x;host=rewrite")->web->host, "localhost");
	assert_false(one("3000;pool=1")->web->no_pool);
	assert_int_equal(read_words(NULL, "a.test=1;allow=10.0.0.0/8;max-rate=3;proxy=v1"), 0);
	assert_int_equal(o->v[0].rules.max_rate, 3);
}

static void
what_makes_no_sense_is_refused_with_its_text(void **state)
{
	static const struct {
		const char *http, *tls, *says;
	} bad[] = {
		{ "", "a.test=1;host=x", "--tls a.test=1;host=x: there is no option \"host\"" },
		{ "", "1;auth=/x", "there is no option \"auth\"" },
		{ "3000;public=80", "", "there is no option \"public\"" },
		{ "3000;hots=x", "", "did you mean \"host\"?" },
		{ "3000;colour=x", "",
		    "there are allow, deny, max-connections, max-rate, proxy, auth" },
		{ "web", "", "--http web: " },
		{ "a/b=1", "", "\"a/b\" is no host" },
		{ "=1", "", "\"\" is no host" },
		{ "*=1", "", "\"*\" is no host" },
		{ "10.0.0.1=1", "", "is no host" },
		{ "shop=", "", "no target" },
		{ "shop=1 SHOP=2", "", "two services of that name, http-shop" },
		{ "1 2", "", "two services of that name, http" },
		{ "1;auth=", "", "--http http: auth: " },
		{ "1;auth=/nowhere", "", "--http http: auth: cannot open /nowhere" },
		{ "1;auth=a;auth=b", "", "auth is given twice" },
		{ "1;host=a;host=b", "", "host is given twice" },
		{ "1;host=a/b", "", "neither HOST nor HOST:PORT" },
		{ "1;connect=1s;connect=2s", "", "connect is given twice" },
		{ "1;timeout=2h", "", "timeout=2h: write a time up to 1h" },
		{ "1;timeout=0", "", "write a time" },
		{ "1;header+=X", "", "write header+=NAME: VALUE" },
		{ "1;header+=Host:x", "", "the field Host is the relay's" },
		{ "1;header-=a:b", "", "no name of a header field" },
		{ "1;header", "", "did you mean \"header+\"?" },
		{ "1;upgrade=h2c", "", "h2c is never passed on" },
		{ "1;upgrade=a;upgrade=b;upgrade=c;upgrade=d;upgrade=e", "", "more than 4" },
		{ "1;pool=2", "", "write pool=0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (read_words(bad[i].http, bad[i].tls) != ERR_INVALID ||
		    strstr(e.s, bad[i].says) == NULL)
			fail_msg("%s %s: %s", bad[i].http, bad[i].tls, e.s);
}

static void
a_request_fits_a_frame(void **state)
{
	static char words[OFFERS_WEB_MAX * 2];
	char field[1100] = ";header+=A:";
	size_t n;

	(void)state;
	memset(field + strlen(field), 'x', 1000);
	snprintf(words, sizeof words, "1");
	for (int i = 0; i < 7; i++)
		strcat(words, field);
	assert_int_equal(read_words(words, NULL), 0);
	strcat(words, field);
	assert_int_equal(read_words(words, NULL), ERR_INVALID);
	assert_non_null(strstr(e.s, "--http http: its options are longer than"));
	/* And all of them a session. */
	n = 0;
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(words + n, sizeof words - n, "h%d=1%s ", i, field);
	assert_int_equal(read_words(words, NULL), 0);
	for (int i = 200; i < 250; i++)
		n += (size_t)snprintf(words + n, sizeof words - n, "h%d=1%s ", i, field);
	assert_int_equal(read_words(words, NULL), ERR_INVALID);
	assert_non_null(strstr(e.s, "the options of all are longer"));
}

/* ---- users ---- */

static int
read_users(const char *text)
{
	char words[128];
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	fclose(f);
	snprintf(words, sizeof words, "1;auth=%s", path);
	return read_words(words, NULL);
}

static void
users_are_lines_of_a_file(void **state)
{
	const struct request_web *w;
	uint8_t digest[HASH_SHA256_LEN];

	(void)state;
	assert_int_equal(
	    read_users("# of the house\n\nann:open: sesame\r\nbob:sha256:"
		       "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"),
	    0);
	w = o->v[0].web;
	assert_int_equal(w->n_users, 2);
	assert_string_equal(w->users[0].name, "ann");
	assert_int_equal(hash_sha256("open: sesame", 12, digest), 0);
	assert_memory_equal(w->users[0].digest, digest, sizeof digest);
	assert_string_equal(w->users[1].name, "bob");
	assert_int_equal(w->users[1].digest[31], 0xff);
}

static void
a_file_of_users_that_is_wrong_is_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "nobody stands there" },
		{ "# a:b\n", "nobody stands there" },
		{ "a:b\nann\n", "line 2: not of the form USER:PASSWORD" },
		{ "ann:", "the password is empty" },
		{ ":x", "line 1: a user has" },
		{ "a:x\n\na:y\n", "line 3: the user a stands there twice" },
		{ "a:sha256:00\n", "after sha256:" },
		{ "a\tb:x\n", "a user has" },
	};
	static char many[40 * 8];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (read_users(bad[i].text) != ERR_INVALID || strstr(e.s, bad[i].says) == NULL ||
		    strstr(e.s, path) == NULL)
			fail_msg("%s: %s", bad[i].text, e.s);
	for (int i = 0; i <= REQUEST_USERS_MAX; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), "u%d:x\n", i);
	assert_int_equal(read_users(many), ERR_INVALID);
	assert_non_null(strstr(e.s, "more than 32 users"));
}

/* ---- without memory ---- */

static void
each_allocation_may_fail(void **state)
{
	char words[256];
	int r = ERR_NOMEM;

	(void)state;
	assert_int_equal(read_users("a:b\nc:d\n"), 0);
	snprintf(words, sizeof words, "a=1;auth=%s;header+=A:b;header-=C;upgrade=x random=2", path);
	for (long n = 0; r != 0; n++) {
		mem_fail_after(n);
		r = read_words(words, "b=1");
		mem_fail_after(MEM_NO_FAIL);
		if (r != 0 && (r != ERR_NOMEM || strstr(e.s, "memory") == NULL))
			fail_msg("%d: %s", r, e.s);
	}
	assert_int_equal(o->n, 3);
	assert_int_equal(o->v[0].web->n_users, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_service_is_a_host_and_a_place, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_host_has_a_name_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(options_travel_with_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_makes_no_sense_is_refused_with_its_text, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_fits_a_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(users_are_lines_of_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_file_of_users_that_is_wrong_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(each_allocation_may_fail, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
