/* SPDX-License-Identifier: ISC */
/* url_test - URLs are taken apart; what is wrong with one is said, and never with its password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/net/url.h"

#define RELAY (URL_WS | URL_WSS)
#define PROXY (URL_HTTP | URL_HTTPS | URL_USERINFO | URL_BARE_HOST)

static void
urls_are_taken_apart(void **state)
{
	static const struct {
		const char *s;
		unsigned allowed;
		enum url_scheme scheme;
		const char *host;
		uint16_t port;
		const char *target, *header;
	} cases[] = {
		{ "ws://a", RELAY, URL_WS, "a", 80, "/", "a" },
		{ "wss://t.example.com", RELAY, URL_WSS, "t.example.com", 443, "/",
		    "t.example.com" },
		{ "WSS://a:80/", RELAY, URL_WSS, "a", 80, "/", "a:80" },
		{ "ws://a:80/p/q?r=s", RELAY, URL_WS, "a", 80, "/p/q?r=s", "a" },
		{ "ws://a?x", RELAY, URL_WS, "a", 80, "/?x", "a" },
		{ "ws://[::1]:8080/x", RELAY, URL_WS, "::1", 8080, "/x", "[::1]:8080" },
		{ "wss://[2001:db8::1]", RELAY, URL_WSS, "2001:db8::1", 443, "/", "[2001:db8::1]" },
		/* RFC 6874 4: a zone is this machine's business and is not sent. */
		{ "ws://[fe80::1%eth0]:81/", RELAY, URL_WS, "fe80::1%eth0", 81, "/",
		    "[fe80::1]:81" },
		{ "ws://[fe80::1%25eth0]/x", RELAY, URL_WS, "fe80::1%eth0", 80, "/x", "[fe80::1]" },
		{ "ws://[fe80::1%25]/x", RELAY, URL_WS, "fe80::1%25", 80, "/x", "[fe80::1]" },
		{ "https://a:8443", PROXY, URL_HTTPS, "a", 8443, "/", "a:8443" },
		{ "proxy:3128", PROXY, URL_HTTP, "proxy", 3128, "/", "proxy:3128" },
		{ "ws://a/@b", RELAY, URL_WS, "a", 80, "/@b", "a" },
	};
	char out[HOSTPORT_TEXT_MAX + 1];
	struct errtext e;
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		errtext_clear(&e);
		if (url_parse(cases[i].s, cases[i].allowed, "URL", &u, &e) != 0)
			fail_msg("%s: %s", cases[i].s, e.s);
		assert_int_equal(u.scheme, cases[i].scheme);
		assert_int_equal(u.tls, cases[i].scheme == URL_WSS || cases[i].scheme == URL_HTTPS);
		assert_string_equal(u.at.host, cases[i].host);
		assert_int_equal(u.at.port, cases[i].port);
		assert_string_equal(u.target, cases[i].target);
		assert_string_equal(url_host_header(&u, out), cases[i].header);
	}
}

static void
user_and_password_are_a_proxys(void **state)
{
	struct errtext e;
	struct url u;
	char text[100];

	(void)state;
	assert_int_equal(
	    url_parse("http://us%65r:p%40ss@w@host:1", PROXY, "HTTP_PROXY", &u, &e), 0);
	assert_true(u.has_user);
	assert_string_equal(u.user, "user");
	assert_string_equal(u.password, "p@ss@w");
	assert_string_equal(u.at.host, "host");
	assert_string_equal(url_text(&u, text, sizeof text), "http://host:1");
	url_wipe(&u);
	assert_string_equal(u.password, "");

	assert_int_equal(
	    url_parse("wss://agent:hunter2@host", RELAY, "relay URL", &u, &e), ERR_INVALID);
	assert_null(strstr(e.s, "hunter2"));
	assert_non_null(strstr(e.s, "relay URL"));
	assert_int_equal(
	    url_parse("http://a:hunter2%zz@h", PROXY, "HTTP_PROXY", &u, &e), ERR_INVALID);
	assert_null(strstr(e.s, "hunter2"));
	assert_int_equal(url_parse("http://a%00:b@h", PROXY, "HTTP_PROXY", &u, &e), ERR_INVALID);
	/* An escape that is cut short, and texts of the longest length and beyond. */
	assert_int_equal(url_parse("http://a%4@h", PROXY, "HTTP_PROXY", &u, &e), ERR_INVALID);
	assert_int_equal(url_parse("http://a%@h", PROXY, "HTTP_PROXY", &u, &e), ERR_INVALID);
	assert_int_equal(url_parse("http://a%41@h", PROXY, "HTTP_PROXY", &u, &e), 0);
	assert_string_equal(u.user, "aA");
	assert_string_equal(u.password, "");
	for (int over = 0; over < 2; over++) {
		char lengthy[2 * URL_USER_MAX + 100];

		snprintf(lengthy, sizeof lengthy, "http://u:%0*d@h", URL_USER_MAX + over, 0);
		assert_int_equal(
		    url_parse(lengthy, PROXY, "HTTP_PROXY", &u, NULL), over ? ERR_INVALID : 0);
		snprintf(lengthy, sizeof lengthy, "http://%0*d:p@h", URL_USER_MAX + over, 0);
		assert_int_equal(
		    url_parse(lengthy, PROXY, "HTTP_PROXY", &u, NULL), over ? ERR_INVALID : 0);
	}
}

static void
a_target_is_printable_ascii(void **state)
{
	struct url u;

	(void)state;
	for (int c = 1; c < 256; c++) {
		char s[] = "ws://a/x";

		s[7] = (char)c;
		assert_int_equal(url_parse(s, RELAY, "URL", &u, NULL),
		    c > ' ' && c < 0x7f && c != '#' ? 0 : ERR_INVALID);
	}
	for (int over = 0; over < 2; over++) {
		char lengthy[URL_TARGET_MAX + 20];

		/* With the slash, as many as there are without the end of the string. */
		snprintf(lengthy, sizeof lengthy, "ws://a/%0*d", URL_TARGET_MAX - 2 + over, 0);
		assert_int_equal(
		    url_parse(lengthy, RELAY, "URL", &u, NULL), over ? ERR_INVALID : 0);
	}
}

/* What is unescaped in a password makes a part of it the host, and host and port may be shown. */
static void
a_password_is_not_taken_for_a_host(void **state)
{
	static const char *const proxies[] = { "http://bob:hunter/2@host",
		"http://bob:hunter?2@host", "http://bob:hunter#2@host", "bob:hunter/2@host:1",
		"http://bob:80/hunter@host" };
	static const char *const relays[] = { "ws://bob:hunter/2@host", "ws://hunter]:x/2@host" };
	struct errtext e;
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof proxies / sizeof proxies[0]; i++) {
		errtext_clear(&e);
		assert_int_equal(url_parse(proxies[i], PROXY, "HTTP_PROXY", &u, &e), ERR_INVALID);
		assert_null(strstr(e.s, "hunter"));
		assert_non_null(strstr(e.s, "%2F"));
	}
	for (size_t i = 0; i < sizeof relays / sizeof relays[0]; i++) {
		errtext_clear(&e);
		assert_int_equal(url_parse(relays[i], RELAY, "relay URL", &u, &e), ERR_INVALID);
		assert_null(strstr(e.s, "hunter"));
	}
}

static void
wrong_urls_are_refused_with_a_text(void **state)
{
	static const char *const cases[] = { "", "a", "a:80", "http://a", "ftp://a", "ws:/a",
		"ws:a", "://a", "ws://", "ws:///x", "ws://a:", "ws://a:0", "ws://a:65536",
		"ws://a:x", "ws://a b", "ws://a/b c", "ws://a/#f", "ws://a#f", "ws://a/\xc3\xa9",
		"ws://::1", "ws://[::1", "ws://[::1]x", "ws://a/\n", "ws://\ta" };
	char lengthy[5000];
	struct errtext e;
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		errtext_clear(&e);
		if (url_parse(cases[i], RELAY, "relay URL", &u, &e) != ERR_INVALID)
			fail_msg("%s", cases[i]);
		assert_non_null(strstr(e.s, "relay URL"));
	}
	assert_int_equal(url_parse("http://a", RELAY, "relay URL", &u, &e), ERR_INVALID);
	assert_string_equal(e.s, "the relay URL must begin with ws:// or wss://");
	snprintf(lengthy, sizeof lengthy, "ws://a/%04000d", 1);
	assert_int_equal(url_parse(lengthy, RELAY, "relay URL", &u, &e), ERR_INVALID);
	snprintf(lengthy, sizeof lengthy, "ws://%04000d/", 1);
	assert_int_equal(url_parse(lengthy, RELAY, "relay URL", &u, NULL), ERR_INVALID);
}

/* RFC 6874 2: what is written out reads the same, a zone that begins with 25 too. */
static void
zones_come_back_the_same(void **state)
{
	static const struct {
		const char *in, *host, *out;
	} t[] = {
		{ "ws://[fe80::1%eth0]/", "fe80::1%eth0", "ws://[fe80::1%25eth0]" },
		{ "ws://[fe80::1%25eth0]:81/x", "fe80::1%eth0", "ws://[fe80::1%25eth0]:81/x" },
		{ "ws://[::%25256]", "::%256", "ws://[::%25256]" },
		{ "ws://[::%2525]", "::%25", "ws://[::%2525]" },
		{ "ws://[::%25]", "::%25", "ws://[::%2525]" },
		{ "ws://[::%0123456789abcde]", "::%0123456789abcde",
		    "ws://[::%250123456789abcde]" },
	};
	char text[256];
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		assert_int_equal(url_parse(t[i].in, RELAY, "URL", &u, NULL), 0);
		assert_string_equal(u.at.host, t[i].host);
		assert_string_equal(url_text(&u, text, sizeof text), t[i].out);
		assert_int_equal(url_parse(text, RELAY, "URL", &u, NULL), 0);
		assert_string_equal(u.at.host, t[i].host);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(user_and_password_are_a_proxys),
		cmocka_unit_test(a_target_is_printable_ascii),
		cmocka_unit_test(a_password_is_not_taken_for_a_host),
		cmocka_unit_test(wrong_urls_are_refused_with_a_text),
		cmocka_unit_test(zones_come_back_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
