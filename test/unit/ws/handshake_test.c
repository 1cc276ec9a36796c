/* SPDX-License-Identifier: ISC */
/*
 * handshake_test - the opening handshake: RFC 6455's example, our two sides against each other,
 * every rule broken once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ws/handshake.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 1.3 */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static struct http_head *
head(enum http_kind kind, const char *text)
{
	struct http_head *h = http_head_new(kind);
	struct errtext e;

	assert_non_null(h);
	if (http_head_feed(h, text, strlen(text), &e) < 0)
		fail_msg("%s: %s", text, e.s);
	assert_true(http_head_is_done(h));
	return h;
}

static void
the_rfcs_key_has_the_rfcs_answer(void **state)
{
	char accept[WS_ACCEPT_LEN + 1];

	(void)state;
	assert_int_equal(ws_handshake_accept(KEY, accept), 0);
	assert_string_equal(accept, ACCEPT);
}

static void
keys_are_random_and_well_formed(void **state)
{
	char a[WS_KEY_LEN + 1], b[WS_KEY_LEN + 1];

	(void)state;
	assert_int_equal(ws_handshake_key_new(a), 0);
	assert_int_equal(ws_handshake_key_new(b), 0);
	assert_int_equal(strlen(a), WS_KEY_LEN);
	assert_string_not_equal(a, b);
}

static void
our_client_and_server_agree(void **state)
{
	struct http_head *request = http_head_new(HTTP_HEAD_REQUEST);
	struct http_head *response = http_head_new(HTTP_HEAD_RESPONSE);
	char key[WS_KEY_LEN + 1];
	struct http_build b;
	int status;

	(void)state;
	assert_int_equal(ws_handshake_key_new(key), 0);
	ws_handshake_request_begin(&b, "example.com", "/tunnel", key, "a, b");
	http_build_header(&b, "X-Own", "1");
	assert_int_equal(http_build_end(&b), 0);
	assert_int_equal(http_head_feed(request, b.s, b.len, NULL), b.len);
	assert_true(ws_handshake_is_upgrade(request));
	assert_int_equal(ws_handshake_check_request(request, &status, NULL), 0);
	assert_string_equal(http_header(request, "x-own"), "1");

	ws_handshake_response_begin(&b, request, "b");
	assert_int_equal(http_build_end(&b), 0);
	assert_int_equal(http_head_feed(response, b.s, b.len, NULL), b.len);
	assert_int_equal(ws_handshake_check_response(response, key, "a, b", NULL), 0);
	assert_int_equal(ws_handshake_check_response(response, key, "a", NULL), ERR_PROTO);
	assert_int_equal(ws_handshake_check_response(response, key, NULL, NULL), ERR_PROTO);
	assert_int_equal(ws_handshake_check_response(response, KEY, "a, b", NULL), ERR_PROTO);
	http_head_free(request);
	http_head_free(response);
}

#define R(method, version, upgrade, connection, v, key)                                            \
	method " / HTTP/" version "\r\nHost: a\r\nUpgrade: " upgrade "\r\nConnection: " connection \
	       "\r\nSec-WebSocket-Version: " v "\r\nSec-WebSocket-Key: " key "\r\n"

static void
requests_are_checked(void **state)
{
	static const struct {
		const char *text;
		int status; /* 0: good */
	} cases[] = {
		{ R("GET", "1.1", "websocket", "Upgrade", "13", KEY), 0 },
		{ R("GET", "1.1", "WebSocket", "keep-alive, upgrade", "13", KEY), 0 },
		{ R("GET", "1.1", "h2c, websocket", "Upgrade", "13", KEY), 0 },
		{ R("POST", "1.1", "websocket", "Upgrade", "13", KEY), 400 },
		{ R("GET", "1.0", "websocket", "Upgrade", "13", KEY), 400 },
		{ R("GET", "1.1", "web", "Upgrade", "13", KEY), 400 },
		{ R("GET", "1.1", "websocket", "close", "13", KEY), 400 },
		{ R("GET", "1.1", "websocket", "Upgrade", "12", KEY), 426 },
		{ R("GET", "1.1", "websocket", "Upgrade", "013", KEY), 426 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13\r\nSec-WebSocket-Version: 8", KEY),
		    426 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13", ""), 400 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZQ="), 400 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13", "dGhlIHNhbXBsZSBub25jZTE="), 400 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13", "!!!!IHNhbXBsZSBub25jZQ=="), 400 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13", KEY "\r\nSec-WebSocket-Key: " KEY),
		    400 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13", KEY "\r\nContent-Length: 5"), 400 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13", KEY "\r\nContent-Length: 1"), 400 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13", KEY "\r\nContent-Length: 0"), 0 },
		{ R("GET", "1.1", "websocket", "Upgrade", "13",
		      KEY "\r\nTransfer-Encoding: chunked"),
		    400 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
		    426 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[1000];
		struct errtext e;
		struct http_head *h;
		int status = 0, r;

		snprintf(text, sizeof text, "%s\r\n", cases[i].text);
		h = head(HTTP_HEAD_REQUEST, text);
		errtext_clear(&e);
		r = ws_handshake_check_request(h, &status, &e);
		if (r != (cases[i].status == 0 ? 0 : ERR_PROTO) ||
		    (r != 0 && status != cases[i].status))
			fail_msg("%s: %d, %d", text, r, status);
		assert_true((r == 0) == (e.s[0] == 0));
		http_head_free(h);
	}
}

#define OK101 "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static void
responses_are_checked(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *says;
	} cases[] = {
		{ OK101 "Sec-WebSocket-Accept: " ACCEPT "\r\n", 0, "" },
		{ OK101 "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Extensions:\r\n", 0,
		    "" },
		{ OK101, ERR_PROTO, "Accept" },
		{ OK101 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n", ERR_PROTO,
		    "Accept" },
		{ OK101 "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n", ERR_PROTO,
		    "Accept" },
		{ OK101 "Sec-WebSocket-Accept: " ACCEPT
			"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
		    ERR_PROTO, "extension" },
		{ OK101 "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: x\r\n",
		    ERR_PROTO, "subprotocol" },
		{ "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n",
		    ERR_PROTO, "upgrade" },
		{ "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " ACCEPT "\r\n",
		    ERR_PROTO, "Connection" },
		{ "HTTP/1.1 200 OK\r\n", ERR_PROTO, "200 OK" },
		{ "HTTP/1.1 302 Found\r\nLocation: https://b/\r\n", ERR_PROTO, "https://b/" },
		{ "HTTP/1.1 301 F\r\nLocation: /b\r\n", ERR_PROTO, "redirects to /b" },
		{ "HTTP/1.1 300 F\r\n", ERR_PROTO, "instead of opening" },
		{ "HTTP/1.1 300 F\r\nLocation: /b\r\n", ERR_PROTO, "redirects to /b" },
		{ "HTTP/1.1 399 F\r\nLocation: /b\r\n", ERR_PROTO, "redirects to /b" },
		{ "HTTP/1.1 299 F\r\nLocation: /b\r\n", ERR_PROTO, "instead of opening" },
		{ "HTTP/1.1 400 F\r\nLocation: /b\r\n", ERR_PROTO, "instead of opening" },
		{ "HTTP/1.1 401 Unauthorized\r\n", ERR_DENIED,
		    "401 Unauthorized: it does not let" },
		{ "HTTP/1.1 403 F\r\n", ERR_DENIED, "403 F: it does not let us in" },
		{ "HTTP/1.1 404 F\r\n", ERR_NOTFOUND, "404 F: there is no tunnel at this path" },
		{ "HTTP/1.1 408 F\r\n", ERR_AGAIN, "408 F; try again later" },
		{ "HTTP/1.1 426 F\r\n", ERR_PROTO, "instead of opening" },
		{ "HTTP/1.1 429 F\r\nRetry-After: 7\r\n", ERR_AGAIN, "429 F; try again in 7 s" },
		{ "HTTP/1.1 500 F\r\n", ERR_AGAIN, "500 F; try again later" },
		{ "HTTP/1.1 503 F\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", ERR_AGAIN,
		    "503 F; try again later" },
		{ "HTTP/1.1 502 Bad Gateway\r\n", ERR_AGAIN, "502 Bad Gateway" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[1000];
		struct errtext e;
		struct http_head *h;
		int r;

		snprintf(text, sizeof text, "%s\r\n", cases[i].text);
		h = head(HTTP_HEAD_RESPONSE, text);
		errtext_clear(&e);
		r = ws_handshake_check_response(h, KEY, NULL, &e);
		if (r != cases[i].r || strstr(e.s, cases[i].says) == NULL)
			fail_msg("%s: %d, %s", text, r, e.s);
		http_head_free(h);
	}
}

static void
a_time_to_stay_away_is_read_if_it_is_one(void **state)
{
	static const struct {
		const char *lines;
		unsigned s;
	} cases[] = {
		{ "", 0 },
		{ "Retry-After:\r\n", 0 },
		{ "Retry-After: 0\r\n", 0 },
		{ "Retry-After: 1\r\n", 1 },
		{ "Retry-After: 120\r\n", 120 },
		{ "Retry-After: 3599\r\n", 3599 },
		{ "Retry-After: 3600\r\n", WS_RETRY_AFTER_MAX_S },
		{ "Retry-After: 3601\r\n", WS_RETRY_AFTER_MAX_S },
		{ "Retry-After: 99999999999999999999\r\n", WS_RETRY_AFTER_MAX_S },
		{ "Retry-After: -1\r\n", 0 },
		{ "Retry-After: 1.5\r\n", 0 },
		{ "Retry-After: 9s\r\n", 0 },
		{ "Retry-After: 1:0\r\n", 0 },
		{ "Retry-After: 5\r\nRetry-After: 6\r\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[200];
		struct http_head *h;

		snprintf(text, sizeof text, "HTTP/1.1 503 F\r\n%s\r\n", cases[i].lines);
		h = head(HTTP_HEAD_RESPONSE, text);
		if (ws_handshake_retry_after_s(h) != cases[i].s)
			fail_msg("%s: %u", text, ws_handshake_retry_after_s(h));
		http_head_free(h);
	}
}

/* None is ever offered. */
static void
an_extension_ends_the_handshake(void **state)
{
	static const struct {
		const char *lines;
		int r;
	} cases[] = {
		{ "", 0 },
		{ "Sec-WebSocket-Extensions:\r\n", 0 },
		{ "Sec-WebSocket-Extensions: x\r\n", ERR_PROTO },
		{ "Sec-WebSocket-Extensions: permessage-deflate; a=1\r\n", ERR_PROTO },
		{ "Sec-WebSocket-Extensions:\r\nSec-WebSocket-Extensions:\r\n", ERR_PROTO },
		{ "Sec-WebSocket-Extensions:\r\nSec-WebSocket-Extensions: x\r\n", ERR_PROTO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[1000];
		struct http_head *h;

		snprintf(text, sizeof text, OK101 "Sec-WebSocket-Accept: " ACCEPT "\r\n%s\r\n",
		    cases[i].lines);
		h = head(HTTP_HEAD_RESPONSE, text);
		if (ws_handshake_check_response(h, KEY, NULL, NULL) != cases[i].r)
			fail_msg("%s", text);
		http_head_free(h);
	}
}

static void
what_a_client_offers_is_not_agreed_to(void **state)
{
	struct http_head *request = head(
	    HTTP_HEAD_REQUEST, R("GET", "1.1", "websocket", "Upgrade", "13",
				   KEY) "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
	struct http_head *response = http_head_new(HTTP_HEAD_RESPONSE);
	struct http_build b;
	int status;

	(void)state;
	assert_int_equal(ws_handshake_check_request(request, &status, NULL), 0);
	ws_handshake_response_begin(&b, request, NULL);
	assert_int_equal(http_build_end(&b), 0);
	assert_int_equal(http_head_feed(response, b.s, b.len, NULL), b.len);
	assert_null(http_header(response, "sec-websocket-extensions"));
	http_head_free(request);
	http_head_free(response);
}

static void
a_key_of_another_length_has_no_answer(void **state)
{
	char accept[WS_ACCEPT_LEN + 1];

	(void)state;
	assert_int_equal(ws_handshake_accept(KEY, accept), 0);
	assert_int_equal(ws_handshake_accept(KEY "=", accept), ERR_LIMIT);
	assert_int_equal(ws_handshake_accept(KEY "==", accept), ERR_LIMIT);
}

static void
another_version_is_told_which_one_is_spoken(void **state)
{
	struct http_build b;
	char text[HTTP_BUILD_MAX + 1];
	struct http_head *h;

	(void)state;
	assert_int_equal(ws_handshake_refuse(&b, 426), 0);
	snprintf(text, sizeof text, "%.*s", (int)b.len, b.s);
	h = head(HTTP_HEAD_RESPONSE, text);
	assert_int_equal(http_status(h), 426);
	assert_string_equal(http_header(h, "sec-websocket-version"), "13");
	assert_string_equal(http_header(h, "upgrade"), "websocket");
	assert_string_equal(http_header(h, "connection"), "Upgrade, close");
	assert_string_equal(http_header(h, "content-length"), "0");
	http_head_free(h);
	assert_int_equal(ws_handshake_refuse(&b, 400), 0);
	assert_memory_equal(b.s, "HTTP/1.1 400 ", 13);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfcs_key_has_the_rfcs_answer),
		cmocka_unit_test(keys_are_random_and_well_formed),
		cmocka_unit_test(our_client_and_server_agree),
		cmocka_unit_test(requests_are_checked),
		cmocka_unit_test(responses_are_checked),
		cmocka_unit_test(a_time_to_stay_away_is_read_if_it_is_one),
		cmocka_unit_test(an_extension_ends_the_handshake),
		cmocka_unit_test(what_a_client_offers_is_not_agreed_to),
		cmocka_unit_test(a_key_of_another_length_has_no_answer),
		cmocka_unit_test(another_version_is_told_which_one_is_spoken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
