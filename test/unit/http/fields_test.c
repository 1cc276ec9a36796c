/* SPDX-License-Identifier: ISC */
/* fields_test - what a proxy drops, passes on and adds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/b64.h"
#include "lib/http/fields.h"
#include "test/unit/http/headof.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"

/* The lines of b, which was begun with "GET / HTTP/1.1". */
static void
has_lines(struct http_build *b, const char *lines)
{
	char all[4096];
	int n = snprintf(all, sizeof all, "GET / HTTP/1.1\r\n%s\r\n", lines);

	assert_int_equal(http_build_end(b), 0);
	b->s[b->len] = '\0';
	assert_string_equal(b->s, all);
	assert_int_equal(b->len, n);
}

/* What of these lines is passed on. */
static void
passes(const char *lines, const char *rest)
{
	char text[4096];
	struct http_head *h;
	struct http_build b;

	snprintf(text, sizeof text, GET "%s\r\n", lines);
	h = headof(HTTP_HEAD_REQUEST, text);
	http_build_request(&b, "GET", "/");
	fields_pass(&b, h, NULL, NULL);
	has_lines(&b, rest);
	http_head_free(h);
}

static void
fields_pass_in_their_order(void **state)
{
	(void)state;
	passes("", "");
	passes("B: 2\r\na:1\r\nB: 3\r\nAccept: */*\r\nCookie: x=y\r\nEmpty:\r\n",
	    "B: 2\r\na: 1\r\nB: 3\r\nAccept: */*\r\nCookie: x=y\r\nEmpty: \r\n");
}

static void
what_belongs_to_one_connection_does_not_pass(void **state)
{
	static const char *const names[] = { "Connection", "Keep-Alive", "Proxy-Connection",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info", "TE",
		"Trailer", "Upgrade", "HTTP2-Settings", "proxy_authorization", "TRANSFER_ENCODING",
		"Content_Length", "keep_alive" };
	char lines[256];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(lines, sizeof lines, "A: 1\r\n%s: 5\r\nB: 2\r\n", names[i]);
		passes(lines, "A: 1\r\nB: 2\r\n");
	}
	passes("Content-Length: 5\r\nA: 1\r\n", "A: 1\r\n");
	passes("Transfer-Encoding: chunked\r\nTrailer: X\r\n", "Trailer: X\r\n");
}

static void
what_connection_names_does_not_pass(void **state)
{
	(void)state;
	passes("X-One: 1\r\nConnection: close, x-one ,, X-Two\r\nX-Two: 2\r\nX-Three: 3\r\n",
	    "X-Three: 3\r\n");
	passes("Connection: X-One\r\nConnection: X-Two\r\nX-One: 1\r\nX-Two: 2\r\n", "");
}

static bool
drop_x(void *arg, const char *name)
{
	(*(int *)arg)++;
	return name[0] == 'X';
}

static void
the_caller_may_drop_more(void **state)
{
	struct http_head *h =
	    headof(HTTP_HEAD_REQUEST, GET "X: 1\r\nY: 2\r\nTE: a\r\nX-Z: 3\r\n\r\n");
	struct http_build b;
	int n = 0;

	(void)state;
	http_build_request(&b, "GET", "/");
	fields_pass(&b, h, drop_x, &n);
	has_lines(&b, "Y: 2\r\n");
	assert_int_equal(n, 3);
	http_head_free(h);
}

static bool
is_honest(const char *lines)
{
	char text[4096];
	struct http_head *h;
	bool honest;

	snprintf(text, sizeof text, GET "%s\r\n", lines);
	h = headof(HTTP_HEAD_REQUEST, text);
	honest = fields_connection_is_honest(h);
	http_head_free(h);
	return honest;
}

static void
connection_must_not_name_what_everybody_reads(void **state)
{
	static const char *const names[] = { "Host", "authorization", "Cookie", "X-Forwarded-For",
		"x_forwarded_for", "X-Forwarded-Port", "Forwarded", "Content-Length", "Expect",
		"Range", "If-None-Match", "Cache-Control", "X-Real-IP", "Origin", "Content-Type",
		"Sec-WebSocket-Key" };
	char lines[FIELDS_CONNECTION_MAX + 64];

	(void)state;
	assert_true(is_honest(""));
	assert_true(is_honest("Connection:\r\n"));
	assert_true(is_honest("Connection: keep-alive, Upgrade, HTTP2-Settings, TE, X-Mine\r\n"));
	assert_true(is_honest("Connection: hosts, cookies, Transfer-Encoding\r\n"));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(
		    lines, sizeof lines, "Connection: close\r\nConnection: a, %s ,b\r\n", names[i]);
		assert_false(is_honest(lines));
	}
	snprintf(lines, sizeof lines, "Connection: %0*d\r\n", FIELDS_CONNECTION_MAX, 0);
	assert_true(is_honest(lines));
	snprintf(lines, sizeof lines, "Connection: %0*d\r\n", FIELDS_CONNECTION_MAX + 1, 0);
	assert_false(is_honest(lines));
}

static void
every_spelling_of_forwarded_fields_is_known(void **state)
{
	static const char *const yes[] = { "X-Forwarded-For", "x_forwarded_for", "X-Forwarded_For",
		"X-FORWARDED-PROTO", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded",
		"Forwarded", "X-Real-IP", "X_Real_IP", "True-Client-IP", "CF-Connecting-IP" };
	static const char *const no[] = { "X-Forward", "Forwarded-For", "Forwarde", "X-Real",
		"X-Real-IPs", "Via", "X-Request-Id" };

	(void)state;
	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
		assert_true(fields_is_forwarded(yes[i]));
	for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
		assert_false(fields_is_forwarded(no[i]));
}

/* What is added to a request with these lines. */
static void
adds(const char *peer, const char *visitor, const char *lines, struct fields_origin o,
    const char *added)
{
	struct addr p, v;
	char text[4096];
	struct http_head *h;
	struct http_build b;

	assert_int_equal(addr_parse(peer, &p, NULL), 0);
	assert_int_equal(addr_parse(visitor, &v, NULL), 0);
	o.peer = &p;
	o.visitor = &v;
	snprintf(text, sizeof text, GET "%s\r\n", lines);
	h = headof(HTTP_HEAD_REQUEST, text);
	http_build_request(&b, "GET", "/");
	fields_forwarded(&b, h, &o);
	has_lines(&b, added);
	http_head_free(h);
}

static void
a_visitor_is_told_as_it_is(void **state)
{
	static const char theirs[] = "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n"
				     "X-Forwarded-Proto: https\r\nX-Real-IP: 1.2.3.4\r\n";

	(void)state;
	adds("192.0.2.1:5", "192.0.2.1:5", theirs,
	    (struct fields_origin){ .host = "Pi.example:80" },
	    "X-Forwarded-For: 192.0.2.1\r\n"
	    "X-Forwarded-Proto: http\r\n"
	    "X-Forwarded-Host: Pi.example:80\r\n"
	    "Forwarded: for=192.0.2.1;host=\"Pi.example:80\";proto=http\r\n");
	adds("[2001:db8::1]:5", "[2001:db8::1]:5", "",
	    (struct fields_origin){ .host = "a", .tls = true },
	    "X-Forwarded-For: 2001:db8::1\r\n"
	    "X-Forwarded-Proto: https\r\n"
	    "X-Forwarded-Host: a\r\n"
	    "Forwarded: for=\"[2001:db8::1]\";host=\"a\";proto=https\r\n");
	adds("[::ffff:192.0.2.1]:5", "[::ffff:192.0.2.1]:5", "",
	    (struct fields_origin){ .host = "" },
	    "X-Forwarded-For: 192.0.2.1\r\n"
	    "X-Forwarded-Proto: http\r\n"
	    "Forwarded: for=192.0.2.1;proto=http\r\n");
	adds("unix:/x", "unix:/x", "", (struct fields_origin){ .host = "a\"\\b" },
	    "X-Forwarded-For: unknown\r\n"
	    "X-Forwarded-Proto: http\r\n"
	    "X-Forwarded-Host: a\"\\b\r\n"
	    "Forwarded: for=unknown;host=\"a\\\"\\\\b\";proto=http\r\n");
}

static void
a_trusted_proxy_is_believed_and_added(void **state)
{
	(void)state;
	adds("10.0.0.1:5", "203.0.113.9:0",
	    "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\n"
	    "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nX-Forwarded-Port: 443\r\n"
	    "X_Forwarded_Port: 1\r\nX-Real-IP: 203.0.113.9\r\n",
	    (struct fields_origin){ .host = "a", .trusted = true },
	    "X-Forwarded-For: 198.51.100.1, 203.0.113.9, 10.0.0.1\r\n"
	    "X-Forwarded-Proto: https\r\n"
	    "X-Forwarded-Host: b\r\n"
	    "Forwarded: for=203.0.113.9, for=10.0.0.1;host=\"a\";proto=http\r\n"
	    "X-Forwarded-Port: 443\r\n"
	    "X-Real-IP: 203.0.113.9\r\n");
	adds("[2001:db8::1]:5", "[2001:db8::1]:5",
	    "Forwarded: for=_x\r\nForwarded: for=1.2.3.4\r\n",
	    (struct fields_origin){ .host = "a", .trusted = true },
	    "X-Forwarded-For: 2001:db8::1\r\n"
	    "X-Forwarded-Proto: http\r\n"
	    "X-Forwarded-Host: a\r\n"
	    "Forwarded: for=_x, for=1.2.3.4, for=\"[2001:db8::1]\";host=\"a\";proto=http\r\n");
}

/* ---- basic authentication ---- */

static int
basic(const char *lines, char out[FIELDS_BASIC_MAX], const char **user, const char **password)
{
	char text[4096];
	struct http_head *h;
	int r;

	snprintf(text, sizeof text, GET "%s\r\n", lines);
	h = headof(HTTP_HEAD_REQUEST, text);
	r = fields_basic(h, out, user, password);
	http_head_free(h);
	return r;
}

static void
basic_credentials_are_read(void **state)
{
	char out[FIELDS_BASIC_MAX], value[HTTP_BASIC_MAX], lines[2048];
	const char *user, *password;

	(void)state;
	assert_int_equal(
	    basic("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", out, &user, &password),
	    0);
	assert_string_equal(user, "Aladdin");
	assert_string_equal(password, "open sesame");
	assert_int_equal(basic("authorization: BASIC   YTpiOmM=\r\n", out, &user, &password), 0);
	assert_string_equal(user, "a");
	assert_string_equal(password, "b:c");
	assert_int_equal(http_basic("", "", value), 0);
	snprintf(lines, sizeof lines, "Authorization: %s\r\n", value);
	assert_int_equal(basic(lines, out, &user, &password), 0);
	assert_string_equal(user, "");
	assert_string_equal(password, "");
}

static void
what_is_no_basic_is_refused(void **state)
{
	static const char *const bad[] = { "", "Authorization:\r\n", "Authorization: Basic\r\n",
		"Authorization: Basic \r\n", "Authorization: BasicYTpi\r\n",
		"Authorization: Bearer YTpi\r\n", "Authorization: Basic YWI=\r\n",
		"Authorization: Basic YTpi=\r\n", "Authorization: Basic YTpi YTpi\r\n",
		"Authorization: Basic YT\r\n", "Authorization: Basic YTpiAA==\r\n",
		"Authorization: Basic YTpiCg==\r\n", "Authorization: Basic YT-i\r\n",
		"Authorization: Basic YTpi\r\nAuthorization: Basic YTpi\r\n" };
	char out[FIELDS_BASIC_MAX], plain[FIELDS_BASIC_MAX + 1], lines[3 * FIELDS_BASIC_MAX];
	const char *user, *password;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(basic(bad[i], out, &user, &password), ERR_INVALID);
	memset(plain, ':', sizeof plain);
	for (size_t n = FIELDS_BASIC_MAX - 2; n <= FIELDS_BASIC_MAX + 1; n++) {
		size_t len = (size_t)snprintf(lines, sizeof lines, "Authorization: Basic ");
		ssize_t k = b64_encode(lines + len, sizeof lines - len, plain, n, B64_STD);

		assert_true(k > 0);
		memcpy(lines + len + (size_t)k, "\r\n", 3);
		assert_int_equal(
		    basic(lines, out, &user, &password), n < FIELDS_BASIC_MAX ? 0 : ERR_INVALID);
	}
}

/* ERR_NOTFOUND: nothing is said. */
static int
hops_of(const char *method, const char *lines)
{
	char text[512];
	struct http_head *h;
	uint64_t hops = 0;
	int r;

	snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method, lines);
	h = headof(HTTP_HEAD_REQUEST, text);
	r = fields_hops(h, &hops);
	http_head_free(h);
	return r == 0 ? (int)hops : r;
}

static void
hops_are_counted_of_two_methods(void **state)
{
	(void)state;
	assert_int_equal(hops_of("OPTIONS", "Max-Forwards: 0\r\n"), 0);
	assert_int_equal(hops_of("TRACE", "max-forwards: 07\r\n"), 7);
	assert_int_equal(hops_of("TRACE", "Max-Forwards: 1000\r\n"), FIELDS_HOPS_MAX);
	assert_int_equal(hops_of("TRACE", "Max-Forwards: 1001\r\n"), FIELDS_HOPS_MAX);
	assert_int_equal(
	    hops_of("OPTIONS", "Max-Forwards: 99999999999999999999999\r\n"), FIELDS_HOPS_MAX);
	assert_int_equal(hops_of("OPTIONS", ""), ERR_NOTFOUND);
	assert_int_equal(hops_of("GET", "Max-Forwards: 0\r\n"), ERR_NOTFOUND);
	assert_int_equal(hops_of("GET", "Max-Forwards: x\r\n"), ERR_NOTFOUND);
	assert_int_equal(hops_of("OPTIONS", "Max-Forwards:\r\n"), ERR_PROTO);
	assert_int_equal(hops_of("OPTIONS", "Max-Forwards: -1\r\n"), ERR_PROTO);
	assert_int_equal(hops_of("OPTIONS", "Max-Forwards: 1, 1\r\n"), ERR_PROTO);
	assert_int_equal(hops_of("TRACE", "Max-Forwards: 1\r\nMax-Forwards: 1\r\n"), ERR_PROTO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_pass_in_their_order),
		cmocka_unit_test(what_belongs_to_one_connection_does_not_pass),
		cmocka_unit_test(what_connection_names_does_not_pass),
		cmocka_unit_test(the_caller_may_drop_more),
		cmocka_unit_test(connection_must_not_name_what_everybody_reads),
		cmocka_unit_test(every_spelling_of_forwarded_fields_is_known),
		cmocka_unit_test(a_visitor_is_told_as_it_is),
		cmocka_unit_test(a_trusted_proxy_is_believed_and_added),
		cmocka_unit_test(basic_credentials_are_read),
		cmocka_unit_test(what_is_no_basic_is_refused),
		cmocka_unit_test(hops_are_counted_of_two_methods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
