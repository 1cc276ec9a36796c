/* SPDX-License-Identifier: ISC */
/* host_test - one host for each request, or none; addresses in any spelling are no names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/http/host.h"
#include "test/unit/http/headof.h"

#define L63 "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"

/* The answer for a request line and header lines; the target is "" where it is refused. */
static int
ask(const char *line, const char *lines, struct http_site *out, char target[256])
{
	struct http_head *h;
	struct errtext why;
	char head[2048];
	int r;

	errtext_clear(&why);
	snprintf(head, sizeof head, "%s\r\n%s\r\n", line, lines);
	h = headof(HTTP_HEAD_REQUEST, head);
	r = http_site(h, out, &why);
	assert_int_equal(r != 0, why.s[0] != '\0');
	snprintf(target, 256, "%s", r == 0 ? out->target : "");
	http_head_free(h);
	return r;
}

static int
ask_host(const char *host, struct http_site *out)
{
	char lines[1024], target[256];

	snprintf(lines, sizeof lines, "Host: %s\r\n", host);
	return ask("GET / HTTP/1.1", lines, out, target);
}

static void
a_name_is_taken_in_its_normal_form(void **state)
{
	static const struct {
		const char *host, *norm;
		uint16_t port;
	} t[] = {
		{ "pi.t.example.com", "pi.t.example.com", 0 },
		{ "PI.T.Example.COM", "pi.t.example.com", 0 },
		{ "pi.example.com.", "pi.example.com", 0 },
		{ "pi.example.com.:8080", "pi.example.com", 8080 },
		{ "pi:80", "pi", 80 },
		{ "pi:00080", "pi", 80 },
		{ "pi:", "pi", 0 },
		{ "pi:65535", "pi", 65535 },
		{ "my_app.x--y.example", "my_app.x--y.example", 0 },
		{ "_a_.example", "_a_.example", 0 },
		{ "xn--bcher-kva.example", "xn--bcher-kva.example", 0 },
		{ "1.2.3.com", "1.2.3.com", 0 },
		{ "0x7f.example", "0x7f.example", 0 },
		{ "a.0xg", "a.0xg", 0 },
		{ "a.1b", "a.1b", 0 },
		{ L63 ".example", L63 ".example", 0 },
	};
	struct http_site s;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		assert_int_equal(ask_host(t[i].host, &s), 0);
		assert_string_equal(s.host, t[i].norm);
		assert_int_equal(s.port, t[i].port);
		assert_false(s.is_literal);
	}
}

static void
an_address_is_no_name_however_it_is_spelt(void **state)
{
	static const struct {
		const char *host, *norm;
		uint16_t port;
	} t[] = {
		{ "127.0.0.1", "127.0.0.1", 0 },
		{ "127.0.0.1.", "127.0.0.1", 0 },
		{ "127.0.0.1:8080", "127.0.0.1", 8080 },
		{ "127.1", "127.1", 0 },
		{ "0x7f.1", "0x7f.1", 0 },
		{ "0X7F.0.0.0X1", "0x7f.0.0.0x1", 0 },
		{ "0177.0.0.01", "0177.0.0.01", 0 },
		{ "2130706433", "2130706433", 0 },
		{ "0x7f000001", "0x7f000001", 0 },
		{ "0x", "0x", 0 },
		{ "a.0x", "a.0x", 0 },
		{ "example.com.1", "example.com.1", 0 },
		{ "999.999.999.999", "999.999.999.999", 0 },
		{ "1.2.3.4.5", "1.2.3.4.5", 0 },
		{ "[::1]", "[::1]", 0 },
		{ "[::1]:", "[::1]", 0 },
		{ "[2001:DB8:0:0:0:0:0:1]:443", "[2001:db8::1]", 443 },
		{ "[::ffff:127.0.0.1]", "[127.0.0.1]", 0 },
	};
	struct http_site s;
	char out[HTTP_HOST_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		assert_int_equal(ask_host(t[i].host, &s), 0);
		assert_string_equal(s.host, t[i].norm);
		assert_int_equal(s.port, t[i].port);
		assert_true(s.is_literal);
		assert_int_equal(http_host_norm(t[i].host, strlen(t[i].host), out), ERR_INVALID);
	}
}

static void
what_is_no_host_is_refused(void **state)
{
	static const char *const bad[] = { "", ".", "a..b", ".a", "a..", "a b", "a,b", "a, b",
		"a/b", "a@b", "user@example.com", "user:pw@example.com", "a?b", "a#b", "a\\b",
		"a%2eb", "%61", "\xc3\xa4.example", "-a.example", "a-.example", "a.-", "a\tb",
		"a:b", "a:80:80", "a:0", "a:65536", "a:99999", "a:000080", "a:-1", "a:+1", "a: 80",
		":80", ":", "[", "[]", "]", "[::1", "::1", "[::1]a", "[::1%eth0]", "[::1%251]",
		"[v1.fe80::a]", "[127.0.0.1]", "[example.com]", "[::g]", "[[::1]]", "a]", "*",
		"*.example", "http://a", "a;b", "a'b", "a\"b", "a=b", "a&b", L63 "0.example",
		L63 "." L63 "." L63 "." L63, "127.0.0.1:x", "a.b:80a" };
	struct http_site s;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int r = ask_host(bad[i], &s);

		if (r != ERR_PROTO)
			fail_msg("\"%s\" is taken for %s", bad[i], s.host);
	}
}

static void
a_target_has_one_of_its_forms(void **state)
{
	static const struct {
		const char *line, *target;
	} good[] = {
		{ "GET / HTTP/1.1", "/" },
		{ "GET /a?b=http://x/ HTTP/1.1", "/a?b=http://x/" },
		{ "GET //other/ HTTP/1.1", "//other/" },
		{ "GET http://pi.example/a?b HTTP/1.1", "/a?b" },
		{ "GET HTTP://PI.example./a HTTP/1.1", "/a" },
		{ "GET https://pi.example/ HTTP/1.1", "/" },
		{ "GET http://pi.example HTTP/1.1", "/" },
		{ "GET http://pi.example:80/a HTTP/1.1", "/a" },
		{ "GET https://pi.example:443/a HTTP/1.1", "/a" },
		{ "OPTIONS * HTTP/1.1", "*" },
		{ "OPTIONS http://pi.example HTTP/1.1", "*" },
		{ "OPTIONS http://pi.example/ HTTP/1.1", "/" },
		{ "OPTIONS /a HTTP/1.1", "/a" },
	};
	static const struct {
		const char *line;
		int r;
	} bad[] = {
		{ "GET * HTTP/1.1", ERR_PROTO },
		{ "OPTIONS ** HTTP/1.1", ERR_PROTO },
		{ "OPTIONS *?a HTTP/1.1", ERR_PROTO },
		{ "GET http://other.example/ HTTP/1.1", ERR_PROTO },
		{ "GET http://pi.example:81/ HTTP/1.1", ERR_PROTO },
		{ "GET https://pi.example:80/ HTTP/1.1", ERR_PROTO },
		{ "GET http://pi.example@other/ HTTP/1.1", ERR_PROTO },
		{ "GET http://a:b@pi.example/ HTTP/1.1", ERR_PROTO },
		{ "GET http:///a HTTP/1.1", ERR_PROTO },
		{ "GET http://pi.example?a HTTP/1.1", ERR_PROTO },
		{ "GET ftp://pi.example/ HTTP/1.1", ERR_PROTO },
		{ "GET /a#b HTTP/1.1", ERR_PROTO },
		{ "GET http://pi.example/#b HTTP/1.1", ERR_PROTO },
		{ "CONNECT pi.example:443 HTTP/1.1", ERR_DENIED },
	};
	struct http_site s;
	char target[256];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(ask(good[i].line, "Host: pi.example\r\n", &s, target), 0);
		assert_string_equal(target, good[i].target);
		assert_string_equal(s.host, "pi.example");
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int r = ask(bad[i].line, "Host: pi.example\r\n", &s, target);

		if (r != bad[i].r)
			fail_msg("%s: %d", bad[i].line, r);
	}
}

static void
ports_are_compared_by_what_they_mean(void **state)
{
	struct http_site s;
	char t[256];

	(void)state;
	assert_int_equal(ask("GET http://a/ HTTP/1.1", "Host: a:80\r\n", &s, t), 0);
	assert_int_equal(s.port, 80);
	assert_int_equal(ask("GET http://a:8080/ HTTP/1.1", "Host: a:8080\r\n", &s, t), 0);
	assert_int_equal(ask("GET http://a/ HTTP/1.1", "Host: a:8080\r\n", &s, t), ERR_PROTO);
	assert_int_equal(ask("GET http://[::1]/ HTTP/1.1", "Host: [0::1]\r\n", &s, t), 0);
	assert_true(s.is_literal);
}

static void
http_1_0_may_name_no_host(void **state)
{
	struct http_site s;
	char t[256];

	(void)state;
	assert_int_equal(ask("GET / HTTP/1.0", "", &s, t), 0);
	assert_string_equal(s.host, "");
	assert_int_equal(ask("GET http://PI.example:81/x HTTP/1.0", "", &s, t), 0);
	assert_string_equal(s.host, "pi.example");
	assert_string_equal(t, "/x");
	assert_int_equal(s.port, 81);
	assert_int_equal(ask("GET / HTTP/1.0", "Host:\r\n", &s, t), ERR_PROTO);
	assert_int_equal(ask("GET http://b/ HTTP/1.0", "Host: a\r\n", &s, t), ERR_PROTO);
}

static void
a_name_from_elsewhere_obeys_the_same_rule(void **state)
{
	char out[HTTP_HOST_MAX + 1];

	(void)state;
	assert_int_equal(http_host_norm("WWW.Acme.test.", 14, out), 0);
	assert_string_equal(out, "www.acme.test");
	assert_int_equal(http_host_norm("acme.test:80", 12, out), ERR_INVALID);
	assert_int_equal(http_host_norm("acme\0.test", 10, out), ERR_INVALID);
	assert_int_equal(http_host_norm("acme.test\0", 10, out), ERR_INVALID);
	assert_int_equal(http_host_norm("", 0, out), ERR_INVALID);
	assert_int_equal(http_host_norm("[::1]", 5, out), ERR_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_taken_in_its_normal_form),
		cmocka_unit_test(an_address_is_no_name_however_it_is_spelt),
		cmocka_unit_test(what_is_no_host_is_refused),
		cmocka_unit_test(a_target_has_one_of_its_forms),
		cmocka_unit_test(ports_are_compared_by_what_they_mean),
		cmocka_unit_test(http_1_0_may_name_no_host),
		cmocka_unit_test(a_name_from_elsewhere_obeys_the_same_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
