/* SPDX-License-Identifier: ISC */
/* names_test - domains, labels, the relay's own hosts, random names, URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/ingress/names.h"
#include "cmd/relay/relay.h"

static struct names n;
static struct errtext e;

/* Each NULL: not given. */
static int
init(const char *d1, const char *d2, const char *own, const char *url)
{
	char *domains[] = { (char *)(uintptr_t)d1, (char *)(uintptr_t)d2 };
	char *hosts[] = { (char *)(uintptr_t)own };
	struct relay_opts o = { .domain = { domains, (size_t)(d1 != NULL) + (d2 != NULL) },
		.relay_host = { hosts, own != NULL },
		.public_url = (char *)(uintptr_t)url };

	names_fini(&n);
	n = (struct names){ 0 };
	errtext_clear(&e);
	return names_init(&n, &o, &e);
}

static int
teardown(void **state)
{
	(void)state;
	names_fini(&n);
	n = (struct names){ 0 };
	return 0;
}

static void
assert_refused(const char *d, const char *own, const char *url, const char *words)
{
	assert_int_equal(init(d, NULL, own, url), ERR_INVALID);
	if (strstr(e.s, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.s, words);
}

static void
options_are_host_names_and_a_url(void **state)
{
	(void)state;
	assert_int_equal(init(NULL, NULL, NULL, NULL), 0);
	assert_false(names_has_labels(&n));
	assert_int_equal(init("t.test", NULL, NULL, NULL), 0);
	assert_true(names_has_labels(&n));
	assert_int_equal(init("*", NULL, NULL, NULL), 0);
	assert_true(names_has_labels(&n));
	assert_int_equal(init("T.Example.Com.", "*", "R.test", "http://x.test:8080/"), 0);
	assert_true(names_has_labels(&n));
	assert_refused("a..b", NULL, NULL, "--domain a..b: not a host name");
	assert_refused("*.t.test", NULL, NULL, "--domain");
	assert_refused("10.0.0.1", NULL, NULL, "--domain");
	assert_refused(NULL, "a b", NULL, "--relay-host a b");
	assert_refused(NULL, NULL, "t.test", "--public-url");
	assert_refused(NULL, NULL, "wss://t.test", "--public-url");
	assert_refused(NULL, NULL, "https://t.test/a", "no path");
	assert_refused(NULL, NULL, "https://10.0.0.1", "not a host name");
	assert_refused(NULL, NULL, "https://u:p@t.test", "--public-url");
}

/* The hosts, separated by blanks. */
static const char *
all(const char *asked)
{
	static char text[1024];
	char host[REQUEST_HOST_MAX + 1];

	text[0] = '\0';
	for (size_t i = 0; names_each(&n, asked, i, host); i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i > 0 ? " " : "",
		    host);
	return text;
}

static void
a_label_is_completed_and_a_name_is_not(void **state)
{
	char longest[HTTP_HOST_MAX + 1];

	(void)state;
	assert_int_equal(init("a.test", "b.test", NULL, NULL), 0);
	assert_string_equal(all("shop"), "shop.a.test shop.b.test");
	assert_string_equal(all("www.acme.test"), "www.acme.test");
	assert_string_equal(all("*.acme.test"), "*.acme.test");
	assert_int_equal(init("a.test", "*", NULL, NULL), 0);
	assert_string_equal(all("shop"), "shop.a.test shop");
	assert_int_equal(init("*", NULL, NULL, NULL), 0);
	assert_string_equal(all("shop"), "shop");
	assert_int_equal(init(NULL, NULL, NULL, NULL), 0);
	assert_string_equal(all("shop"), "");
	assert_string_equal(all("a.b"), "a.b");
	/* What would be too long for a host is none. */
	for (size_t i = 0; i < HTTP_HOST_MAX; i++)
		longest[i] = i % 2 == 0 ? 'a' : '.';
	longest[HTTP_HOST_MAX] = '\0';
	assert_int_equal(init(longest, NULL, NULL, NULL), 0);
	assert_string_equal(all("b"), "");
	assert_int_equal(init(longest + 2, NULL, NULL, NULL), 0);
	assert_int_equal(strlen(all("b")), HTTP_HOST_MAX);
	assert_string_equal(all("bc"), "");
}

static void
a_label_is_found_again(void **state)
{
	char label[NAMES_LABEL_MAX + 1];

	(void)state;
	assert_int_equal(init("a.test", "b.a.test", NULL, NULL), 0);
	assert_true(names_label(&n, "pi.a.test", label));
	assert_string_equal(label, "pi");
	assert_true(names_label(&n, "pi.b.a.test", label));
	assert_string_equal(label, "pi");
	assert_true(names_label(&n, "b.a.test", label));
	assert_false(names_label(&n, "a.test", label));
	assert_false(names_label(&n, "x.pi.a.test", label));
	assert_false(names_label(&n, "*.a.test", label));
	assert_false(names_label(&n, "pi.xa.test", label));
	assert_false(names_label(&n, "pi", label));
	assert_false(names_first_label(&n, "pi.x.test", label));
	assert_int_equal(init("*", NULL, NULL, NULL), 0);
	assert_false(names_label(&n, "pi.x.test", label));
	assert_true(names_first_label(&n, "pi.x.test", label));
	assert_string_equal(label, "pi");
	assert_true(names_first_label(&n, "pi", label));
	assert_false(names_first_label(&n, "", label));
}

static void
the_relays_hosts_are_its_own(void **state)
{
	(void)state;
	assert_int_equal(init("a.test", "b.test", NULL, NULL), 0);
	assert_true(names_is_relay(&n, "a.test"));
	assert_true(names_is_relay(&n, "b.test"));
	assert_false(names_is_relay(&n, "pi.a.test"));
	assert_int_equal(init("a.test", NULL, "relay.a.test", NULL), 0);
	assert_true(names_is_relay(&n, "relay.a.test"));
	assert_false(names_is_relay(&n, "a.test"));
}

static void
an_agents_name_is_a_label_if_it_can_be(void **state)
{
	char label[NAMES_LABEL_MAX + 1], name[CTL_AGENT_MAX + 1];

	(void)state;
	assert_true(names_of_agent("Raspberry-1", label));
	assert_string_equal(label, "raspberry-1");
	assert_true(names_of_agent("10", label));
	assert_string_equal(label, "10");
	assert_false(names_of_agent("a.b", label));
	assert_false(names_of_agent("a-", label));
	assert_false(names_of_agent("", label));
	memset(name, 'x', sizeof name);
	name[CTL_AGENT_MAX] = '\0';
	assert_false(names_of_agent(name, label));
	name[NAMES_LABEL_MAX] = '\0';
	assert_true(names_of_agent(name, label));
}

static void
random_names_have_26_characters(void **state)
{
	/* By an independent program: base32(hmac_sha256(bytes(32), b"pi/http-random"))[:26] */
	static const char known[] = "k73apgzop3oiuru4l4mavdbr22";
	static const uint8_t zero[STATE_KEY_LEN];
	char a[NAMES_RANDOM_LEN + 1], b[NAMES_RANDOM_LEN + 1];

	(void)state;
	assert_int_equal(init("a.test", NULL, NULL, NULL), 0);
	assert_int_equal(names_random(&n, "pi", "x", a), 0);
	assert_true(names_is_random(a));
	assert_int_equal(names_random(&n, "pi", "x", b), 0);
	assert_string_equal(a, b);
	assert_int_equal(names_random(&n, "p", "ix", b), 0);
	assert_string_not_equal(a, b);
	names_set_key(&n, zero);
	assert_int_equal(names_random(&n, "pi", "http-random", a), 0);
	assert_string_equal(a, known);
	assert_false(names_is_random(""));
	assert_false(names_is_random("shop"));
	assert_false(names_is_random("abcdefghijklmnopqrstuvwxy1"));
	assert_false(names_is_random("abcdefghijklmnopqrstuvwxyza"));
}

static void
assert_url(const char *asked, uint16_t http, uint16_t https, bool tls, const char *want)
{
	char got[REQUEST_PUBLIC_MAX + 1] = "";
	int r = names_url(&n, asked, http, https, tls, got);

	assert_int_equal(r, want != NULL ? 0 : ERR_DENIED);
	assert_string_equal(got, want != NULL ? want : "");
}

static void
a_url_is_what_must_be_typed(void **state)
{
	(void)state;
	assert_int_equal(init("t.test", "u.test", NULL, NULL), 0);
	assert_url("pi", 80, 0, false, "http://pi.t.test");
	assert_url("pi", 8080, 0, false, "http://pi.t.test:8080");
	assert_url("pi", 80, 443, false, "https://pi.t.test");
	assert_url("pi", 443, 80, false, "https://pi.t.test:80");
	assert_url("www.x.test", 443, 0, false, "http://www.x.test:443");
	assert_url("pi", 80, 8443, true, "https://pi.t.test:8443");
	assert_url("pi", 80, 0, true, NULL);
	assert_url("pi", 0, 0, false, NULL);
	/* Behind another proxy. */
	assert_int_equal(init("t.test", NULL, NULL, "https://people.test"), 0);
	assert_url("pi", 8080, 0, false, "https://pi.people.test");
	assert_url("www.x.test", 8080, 0, false, "https://www.x.test");
	assert_url("pi", 8080, 0, true, "https://pi.people.test");
	assert_int_equal(init("*", NULL, NULL, "http://people.test:81"), 0);
	assert_url("pi", 8080, 8443, false, "http://pi.people.test:81");
	assert_url("pi", 8080, 8443, true, "https://pi.people.test:8443");
	assert_int_equal(init("*", NULL, NULL, NULL), 0);
	assert_url("pi", 8080, 0, false, "http://pi.localhost:8080");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(options_are_host_names_and_a_url, teardown),
		cmocka_unit_test_teardown(a_label_is_completed_and_a_name_is_not, teardown),
		cmocka_unit_test_teardown(a_label_is_found_again, teardown),
		cmocka_unit_test_teardown(the_relays_hosts_are_its_own, teardown),
		cmocka_unit_test_teardown(an_agents_name_is_a_label_if_it_can_be, teardown),
		cmocka_unit_test_teardown(random_names_have_26_characters, teardown),
		cmocka_unit_test_teardown(a_url_is_what_must_be_typed, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
