/* SPDX-License-Identifier: ISC */
/*
 * dialer_test - a dial from its first byte to its end; the proxy and the relay are the test, behind
 * a socket.
 *
 * link: -Wl,--wrap=timer_set,--wrap=ws_handshake_key_new
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/common/dialer.h"
#include "lib/base/mem.h"
#include "lib/net/f_sock.h"
#include "lib/ws/handshake.h"
#include "proto/dialect/dialect.h"
#include "test/unit/heap.h"
#include "test/unit/listen_on.h"
#include "test/unit/tlstest.h"
#include "test/unit/turns.h"

#define OK_TO_CONNECT "HTTP/1.1 200 Connection established\r\n\r\n"

void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms);
int __wrap_ws_handshake_key_new(char key[WS_KEY_LEN + 1]);
int __real_ws_handshake_key_new(char key[WS_KEY_LEN + 1]);

/* A phase's time is over at once; there are no random bytes. */
static bool hurried, no_random;

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	__real_timer_set(t, hurried && ms == DIALER_PHASE_MS ? 10 : ms);
}

int
__wrap_ws_handshake_key_new(char key[WS_KEY_LEN + 1])
{
	return no_random ? ERR_SYS : __real_ws_handshake_key_new(key);
}

struct fix {
	struct loop *l;
	struct dialer_target t;
	struct dialer *d;
	/* The far side: where it listens, and its end of the connection. */
	int listener;
	uint16_t port;
	struct filter *far;
	bool far_over;
	/* What it has been sent so far. */
	char got[16 * 1024];
	/* How the dial has ended. */
	int n_ends, err;
	struct filter *f;
	char text[ERR_TEXT_MAX];
	uint64_t wait_ms;
};

static struct fix x;

static int
setup(void **state)
{
	struct addr a;

	(void)state;
	hurried = no_random = false;
	x = (struct fix){ .l = loop_new() };
	x.listener = listen_on("127.0.0.1:0", &a);
	x.port = addr_port(&a);
	x.t.dialect = &dialect_native;
	snprintf(x.t.url.at.host, sizeof x.t.url.at.host, "127.0.0.1");
	x.t.url.at.port = x.port;
	x.t.url.scheme = URL_WS;
	snprintf(x.t.url.target, sizeof x.t.url.target, "/tunnel?x");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	dialer_cancel(x.d);
	if (x.f != NULL)
		filter_free(x.f);
	if (x.far != NULL)
		filter_free(x.far);
	tls_client_free(x.t.tls);
	close(x.listener);
	loop_free(x.l);
	buf_pool_free();
	return 0;
}

/* ---- this side ---- */

static void
on_end(void *arg, struct filter *f, int err, const char *text)
{
	assert_ptr_equal(arg, &x);
	x.n_ends++;
	x.f = f;
	x.err = err;
	x.wait_ms = dialer_wait_ms(x.d);
	x.d = NULL;
	snprintf(x.text, sizeof x.text, "%s", text);
}

static bool
has_ended(void *arg)
{
	(void)arg;
	return x.n_ends > 0;
}

static void
start(void)
{
	x.d = dialer_start(x.l, &x.t, on_end, &x);
	assert_non_null(x.d);
}

/* The dial ends so, and its text has these words, in this order. */
static void
ends(int err, const char *first, const char *second)
{
	const char *at;

	assert_true(turns_until(x.l, has_ended, NULL));
	assert_int_equal(x.n_ends, 1);
	assert_true((x.f != NULL) == (err == 0));
	at = strstr(x.text, first);
	if (x.err != err || at == NULL || strstr(at, second) == NULL)
		fail_msg("ended with %d: %s", x.err, x.text);
}

/* ---- the far side ---- */

static void
far_readable(void *arg)
{
	(void)arg;
}

static void
far_closed(void *arg, int err, const char *text)
{
	(void)arg;
	(void)err;
	(void)text;
	x.far_over = true;
}

static const struct filter_user far_user = { far_readable, far_readable, far_closed };

static bool
is_connected(void *arg)
{
	int fd;

	(void)arg;
	if (x.far == NULL && listen_accept(x.listener, &fd, NULL) == 0) {
		/* Where memory fails (only once), it is not to be ours. */
		x.far = f_sock_new(x.l, fd, false);
		if (x.far == NULL)
			x.far = f_sock_new(x.l, fd, false);
		assert_non_null(x.far);
		filter_set_user(x.far, &far_user, NULL);
	}
	return x.far != NULL;
}

static bool
has_head(void *arg)
{
	(void)arg;
	x.got[bufq_read(&x.far->in, 0, x.got, sizeof x.got - 1)] = '\0';
	return strstr(x.got, "\r\n\r\n") != NULL;
}

static bool
is_over(void *arg)
{
	(void)arg;
	return x.far_over;
}

/* The whole request is there; the next one is looked for behind it. */
static void
hear(void)
{
	assert_true(turns_until(x.l, is_connected, NULL));
	assert_true(turns_until(x.l, has_head, NULL));
	bufq_drain(&x.far->in, strlen(x.got));
}

static void
say_bytes(const void *p, size_t n)
{
	assert_int_equal(filter_send(x.far, p, n), 0);
	filter_flush(x.far);
}

static void
say(const char *text)
{
	say_bytes(text, strlen(text));
}

/* The answer that opens the WebSocket; first: what goes before it, in the same segment. */
static void
say_welcome(const char *first)
{
	char key[WS_KEY_LEN + 1], accept[WS_ACCEPT_LEN + 1], text[512];
	const char *at = strstr(x.got, "Sec-WebSocket-Key: ");

	assert_non_null(at);
	snprintf(key, sizeof key, "%.24s", at + strlen("Sec-WebSocket-Key: "));
	assert_int_equal(ws_handshake_accept(key, accept), 0);
	snprintf(text, sizeof text,
	    "%sHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    first, accept);
	say(text);
}

static bool
request_has(const char *line)
{
	return strstr(x.got, line) != NULL;
}

/* ---- the WebSocket handshake ---- */

static bool
has_frame(void *arg)
{
	(void)arg;
	return x.far->in.len >= 2 + 4 + 2;
}

static bool
has_bytes(void *arg)
{
	(void)arg;
	return x.f->in.len == 2;
}

static void
a_relay_that_agrees_gives_a_websocket(void **state)
{
	static char *headers[] = { "X-Test: a: b", "X-Bare:c" };
	struct opt_list list = { headers, 2 };
	uint8_t p[2];
	char line[64];

	(void)state;
	x.t.headers = &list;
	start();
	hear();
	assert_int_equal(strncmp(x.got, "GET /tunnel?x HTTP/1.1\r\n", 24), 0);
	snprintf(line, sizeof line, "\r\nHost: 127.0.0.1:%u\r\n", x.port);
	assert_true(request_has(line));
	assert_true(request_has("\r\nX-Test: a: b\r\n"));
	assert_true(request_has("\r\nX-Bare: c\r\n"));
	say_welcome("");
	ends(0, "", "");
	/* We are its client: what we send is masked, what comes is not. */
	say_bytes("\x82\x02hi", 4);
	assert_true(turns_until(x.l, has_bytes, NULL));
	assert_int_equal(filter_send(x.f, "ho", 2), 0);
	filter_flush(x.f);
	assert_true(turns_until(x.l, has_frame, NULL));
	assert_int_equal(bufq_read(&x.far->in, 0, p, 2), 2);
	assert_int_equal(p[0], 0x82);
	assert_int_equal(p[1], 0x80 | 2);
}

static void
what_goes_before_the_answer_is_passed_over(void **state)
{
	(void)state;
	start();
	hear();
	say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 1");
	say("03 Early Hints\r\nLink: x\r\n\r\n");
	say_welcome("HTTP/1.1 102 Processing\r\n\r\n");
	ends(0, "", "");
}

static void
a_relay_that_does_not_agree_says_why(void **state)
{
	static const struct {
		const char *answer;
		int err;
		const char *first, *second;
		uint64_t wait_ms;
	} cases[] = {
		{ "HTTP/1.1 401 Unauthorized\r\n\r\n", ERR_DENIED, "ws://127.0.0.1:", "401", 0 },
		{ "HTTP/1.1 404 Not Found\r\n\r\n", ERR_NOTFOUND, "ws://127.0.0.1:", "404", 0 },
		{ "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n", ERR_AGAIN,
		    "ws://127.0.0.1:", "503", 7000 },
		{ "HTTP/1.1 200 OK\r\n\r\n", ERR_PROTO, "ws://127.0.0.1:", "200", 0 },
		{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		  "Connection: Upgrade\r\n"
		  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
		    ERR_PROTO, "ws://127.0.0.1:", "", 0 },
		/* It is not waited for more of what is no HTTP. */
		{ "SSH-2.0-OpenSSH_9.2\r\n", ERR_PROTO, "ws://127.0.0.1:", "not an HTTP answer",
		    0 },
		{ "220 mail.example ESMTP\r\n", ERR_PROTO, "ws://127.0.0.1:", "not an HTTP answer",
		    0 },
		{ "HTTQ", ERR_PROTO, "ws://127.0.0.1:", "not an HTTP answer", 0 },
		/* An alert and a handshake of TLS, and what only looks like them. */
		{ "\x15\x03\x01", ERR_PROTO, "relay speaks TLS on this port", "wss://", 0 },
		{ "\x16\x03", ERR_PROTO, "relay speaks TLS on this port", "wss://", 0 },
		{ "\x15\x02\x01", ERR_PROTO, "ws://127.0.0.1:", "not an HTTP answer", 0 },
		{ "\x17\x03\x01", ERR_PROTO, "ws://127.0.0.1:", "not an HTTP answer", 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		start();
		hear();
		say(cases[i].answer);
		ends(cases[i].err, cases[i].first, cases[i].second);
		assert_int_equal(x.wait_ms, cases[i].wait_ms);
		/* The connection is closed: nobody is left on it. */
		assert_true(turns_until(x.l, is_over, NULL));
		teardown(state);
		setup(state);
	}
}

static void
a_relay_that_ends_without_an_answer_may_want_tls(void **state)
{
	(void)state;
	start();
	hear();
	say("HTTP/1.1 10");
	filter_shutdown(x.far);
	ends(ERR_CLOSED, "ended the connection before it answered", "wss://");
}

static void
nobody_listens(void **state)
{
	(void)state;
	close(x.listener);
	start();
	ends(ERR_CLOSED, "127.0.0.1", "");
	assert_int_not_equal(strncmp(x.text, "proxy: ", 7), 0);
	x.listener = -1;
}

static void
without_random_bytes_there_is_no_handshake(void **state)
{
	(void)state;
	no_random = true;
	start();
	ends(ERR_SYS, "random bytes", "");
}

/* ---- TLS ---- */

static void
trust(const char *ca)
{
	struct tls_client_opts o = { ca, NULL };

	assert_int_equal(tls_client_new(&o, &x.t.tls, NULL), 0);
	x.t.url.scheme = URL_WSS;
	x.t.url.tls = true;
}

/* The far side speaks TLS from now on. */
static void
far_tls(void)
{
	assert_true(turns_until(x.l, is_connected, NULL));
	filter_set_user(x.far, NULL, NULL);
	x.far = f_tls_server(x.far, x.l, tlstest_server_ctx);
	assert_non_null(x.far);
	filter_set_user(x.far, &far_user, NULL);
}

static void
over_tls_it_is_the_same(void **state)
{
	(void)state;
	trust(tlstest_pem);
	start();
	far_tls();
	hear();
	assert_int_equal(strncmp(x.got, "GET /tunnel?x HTTP/1.1\r\n", 24), 0);
	say_welcome("");
	ends(0, "", "");
}

static void
the_certificate_must_be_for_the_host(void **state)
{
	(void)state;
	trust(tlstest_pem);
	snprintf(x.t.url.at.host, sizeof x.t.url.at.host, "localhost");
	start();
	far_tls();
	ends(ERR_TLS, "wss://localhost:", "");
}

static void
a_port_without_tls_is_told(void **state)
{
	(void)state;
	trust(tlstest_pem);
	start();
	assert_true(turns_until(x.l, is_connected, NULL));
	say("HTTP/1.1 400 Bad Request\r\n\r\n");
	ends(ERR_PROTO, "plain HTTP on this port", "ws://");
}

static void
a_handshake_that_is_cut_is_told(void **state)
{
	(void)state;
	trust(tlstest_pem);
	start();
	assert_true(turns_until(x.l, is_connected, NULL));
	filter_shutdown(x.far);
	ends(ERR_CLOSED, "wss://127.0.0.1:", "");
	assert_null(strstr(x.text, "wss://,"));
}

static void
behind_tls_no_hint_says_wss(void **state)
{
	(void)state;
	trust(tlstest_pem);
	start();
	far_tls();
	hear();
	filter_shutdown(x.far);
	ends(ERR_CLOSED, "ended the connection before it answered", "");
	assert_null(strstr(x.text, "use wss://"));
}

/* ---- the proxy ---- */

static void
through_proxy(const char *user, const char *password)
{
	x.t.has_proxy = true;
	x.t.proxy.scheme = URL_HTTP;
	x.t.proxy.at = x.t.url.at;
	x.t.proxy.has_user = user != NULL;
	if (user != NULL) {
		snprintf(x.t.proxy.user, sizeof x.t.proxy.user, "%s", user);
		snprintf(x.t.proxy.password, sizeof x.t.proxy.password, "%s", password);
	}
	/* Names are the proxy's to resolve. */
	snprintf(x.t.url.at.host, sizeof x.t.url.at.host, "relay.test");
	x.t.url.at.port = 8443;
}

static void
a_proxy_is_asked_for_the_relay(void **state)
{
	(void)state;
	through_proxy(NULL, NULL);
	start();
	hear();
	assert_int_equal(strncmp(x.got, "CONNECT relay.test:8443 HTTP/1.1\r\n", 34), 0);
	assert_true(request_has("\r\nHost: relay.test:8443\r\n"));
	assert_false(request_has("Proxy-Authorization"));
	say("HTTP/1.1 100 Continue\r\n\r\n" OK_TO_CONNECT);
	hear();
	assert_int_equal(strncmp(x.got, "GET /tunnel?x HTTP/1.1\r\n", 24), 0);
	assert_true(request_has("\r\nHost: relay.test:8443\r\n"));
	say_welcome("");
	ends(0, "", "");
}

static void
a_proxy_and_tls_stand_on_each_other(void **state)
{
	(void)state;
	trust(tlstest_pem);
	through_proxy("user", "pass");
	start();
	hear();
	/* RFC 7617 2: "user:pass". */
	assert_true(request_has("\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n"));
	say("HTTP/1.1 299 Fine\r\n\r\n");
	far_tls();
	hear();
	assert_false(request_has("Proxy-Authorization"));
	say_welcome("");
	ends(0, "", "");
}

#define AUTH "Proxy-Authenticate: "
/* 20 and 17 characters: with five of the first and their commas, the second just fits. */
#define TWENTY "AAAAAAAAAAAAAAAAAAAA"
#define FIVE_OF_20 TWENTY ", " TWENTY ", " TWENTY ", " TWENTY ", " TWENTY

static void
a_proxy_that_refuses_is_quoted(void **state)
{
	static const struct {
		const char *answer;
		int err;
		const char *first, *second;
		const char *user;
	} cases[] = {
		{ "HTTP/1.1 403 Forbidden\r\n\r\n", ERR_CLOSED,
		    "proxy http://127.0.0.1:", "answers 403 Forbidden to CONNECT", NULL },
		{ "HTTP/1.1 300 Choices\r\n\r\n", ERR_CLOSED,
		    "proxy http://127.0.0.1:", "answers 300", NULL },
		{ "HTTP/1.1 101 Switching\r\n\r\n", ERR_CLOSED,
		    "proxy http://127.0.0.1:", "answers 101", NULL },
		{ "HTTP/1.1 407 Who\r\n" AUTH "basic realm=\"x\"\r\n\r\n", ERR_DENIED,
		    "(offers: basic)", "put user:password@ before the proxy's host", NULL },
		{ "HTTP/1.1 407 Who\r\nproxy-authenticate: Basic realm=x\r\n\r\n", ERR_DENIED,
		    "(offers: Basic)", "the user name or password is wrong", "u" },
		{ "HTTP/1.1 407 Who\r\n" AUTH "NTLM\r\n\r\n", ERR_DENIED, "(offers: NTLM)",
		    "Basic is the only kind that tunnel knows", "u" },
		{ "HTTP/1.1 407 Who\r\n" AUTH "Basics\r\n\r\n", ERR_DENIED, "(offers: Basics)",
		    "Basic is the only kind that tunnel knows", NULL },
		{ "HTTP/1.1 407 Who\r\nX: Basic\r\n" AUTH "NTLM, Basic realm=\"a, b\"\r\n" AUTH
		  "Negotiate\r\n\r\n",
		    ERR_DENIED, "(offers: NTLM, Basic, Negotiate)", "put user:password@", NULL },
		{ "HTTP/1.1 407 Who\r\n\r\n", ERR_DENIED, "(offers: nothing)",
		    "Basic is the only kind", NULL },
		{ "HTTP/1.1 407 Who\r\n" AUTH FIVE_OF_20 ", BBBBBBBBBBBBBBBBB, Basic\r\n\r\n",
		    ERR_DENIED, "(offers: " FIVE_OF_20 ", BBBBBBBBBBBBBBBBB)", "put user:password@",
		    NULL },
		{ "HTTP/1.1 407 Who\r\n" AUTH FIVE_OF_20 ", BBBBBBBBBBBBBBBBBB, Basic\r\n\r\n",
		    ERR_DENIED, "(offers: " FIVE_OF_20 ", Basic)", "put user:password@", NULL },
		{ "\x15\x03\x03", ERR_PROTO, "http://127.0.0.1:", "the proxy speaks TLS", NULL },
		{ "nonsense", ERR_PROTO, "http://127.0.0.1:", "not an HTTP answer", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		through_proxy(cases[i].user, "p");
		start();
		hear();
		say(cases[i].answer);
		ends(cases[i].err, cases[i].first, cases[i].second);
		assert_int_equal(x.wait_ms, 0);
		teardown(state);
		setup(state);
	}
}

static void
a_proxy_that_ends_the_connection_is_named(void **state)
{
	(void)state;
	through_proxy(NULL, NULL);
	start();
	hear();
	filter_shutdown(x.far);
	ends(ERR_CLOSED, "http://127.0.0.1:", "the proxy ended the connection");
}

static void
nobody_listens_at_the_proxy(void **state)
{
	(void)state;
	close(x.listener);
	through_proxy(NULL, NULL);
	start();
	ends(ERR_CLOSED, "proxy: ", "127.0.0.1");
	x.listener = -1;
}

static void
a_user_with_a_colon_cannot_be_said(void **state)
{
	(void)state;
	through_proxy("a:b", "p");
	start();
	ends(ERR_INVALID, "colon", "");
}

/* ---- time, cancelling, memory ---- */

static void
each_phase_has_its_deadline(void **state)
{
	(void)state;
	hurried = true;
	start();
	ends(ERR_TIMEOUT, "ws://127.0.0.1:", "no answer to the WebSocket handshake within 15 s");
	teardown(state);

	setup(state);
	hurried = true;
	through_proxy(NULL, NULL);
	start();
	ends(ERR_TIMEOUT, "http://127.0.0.1:", "no answer to CONNECT within 15 s");
	teardown(state);

	setup(state);
	hurried = true;
	trust(tlstest_pem);
	start();
	ends(ERR_TIMEOUT, "wss://127.0.0.1:", "no TLS handshake within 15 s");
}

static void
each_phase_begins_its_time_anew(void **state)
{
	(void)state;
	through_proxy(NULL, NULL);
	start();
	hear();
	/* Only what is set from now on is short. */
	hurried = true;
	say(OK_TO_CONNECT);
	ends(ERR_TIMEOUT, "ws://relay.test:8443", "no answer to the WebSocket handshake");
}

static void
who_cancels_hears_nothing_more(void **state)
{
	/* While it connects, while it waits for an answer, with the answer under way. */
	for (int when = 0; when < 3; when++) {
		start();
		if (when > 0)
			hear();
		if (when > 1)
			say_welcome("");
		dialer_cancel(x.d);
		x.d = NULL;
		if (when > 0)
			assert_true(turns_until(x.l, is_over, NULL));
		loop_settle(x.l);
		assert_int_equal(x.n_ends, 0);
		teardown(state);
		setup(state);
	}
	dialer_cancel(NULL);
}

/*
 * It waits for the far side, which has a request, or the beginning of a TLS handshake; or it was
 * the far side that had no memory.
 */
static bool
ended_or_heard(void *arg)
{
	is_connected(NULL);
	return has_ended(arg) || (x.far != NULL && (x.far_over || x.far->in.len > 0));
}

/*
 * Each allocation of one step fails once, until there are no more: the dial ends once, with a
 * connection or without, and goes on if it can.
 */
static void
fail_in(int step)
{
	int n_failed = 0;
	long n = 0;

	for (bool through = false; !through; n++) {
		assert_true(n < 1000);
		trust(tlstest_pem);
		through_proxy("u", "p");
		for (int at = 0; at < 3 && x.n_ends == 0 && !x.far_over; at++) {
			uint64_t before;

			if (at == 1) {
				hear();
				say(OK_TO_CONNECT);
			} else if (at == 2) {
				far_tls();
				hear();
				say_welcome("");
			}
			before = mem_count();
			if (at == step)
				mem_fail_after(n);
			if (at == 0)
				x.d = dialer_start(x.l, &x.t, on_end, &x);
			if (x.d == NULL)
				break;
			turns_until(x.l, at < 2 ? ended_or_heard : has_ended, NULL);
			if (at == step)
				through = mem_count() - before <= (uint64_t)n;
			mem_fail_after(MEM_NO_FAIL);
		}
		mem_fail_after(MEM_NO_FAIL);
		/* Told at once, and not by a deadline. */
		assert_int_not_equal(x.err, ERR_TIMEOUT);
		assert_true(x.far_over || x.n_ends == 1 || (x.d == NULL && step == 0));
		assert_true((x.f != NULL) == (x.n_ends == 1 && x.err == 0));
		n_failed += x.f == NULL;
		teardown(NULL);
		setup(NULL);
	}
	assert_true(n_failed > 0);
}

static void
without_memory_it_ends_in_each_step(void **state)
{
	(void)state;
	for (int step = 0; step < 3; step++)
		fail_in(step);
}

static void
round_trip(void)
{
	setup(NULL);
	through_proxy("u", "p");
	start();
	hear();
	say(OK_TO_CONNECT);
	hear();
	say_welcome("");
	assert_true(turns_until(x.l, has_ended, NULL));
	teardown(NULL);
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
		T(a_relay_that_agrees_gives_a_websocket),
		T(what_goes_before_the_answer_is_passed_over),
		T(a_relay_that_does_not_agree_says_why),
		T(a_relay_that_ends_without_an_answer_may_want_tls),
		T(nobody_listens),
		T(without_random_bytes_there_is_no_handshake),
		T(over_tls_it_is_the_same),
		T(the_certificate_must_be_for_the_host),
		T(a_port_without_tls_is_told),
		T(a_handshake_that_is_cut_is_told),
		T(behind_tls_no_hint_says_wss),
		T(a_proxy_is_asked_for_the_relay),
		T(a_proxy_and_tls_stand_on_each_other),
		T(a_proxy_that_refuses_is_quoted),
		T(a_proxy_that_ends_the_connection_is_named),
		T(nobody_listens_at_the_proxy),
		T(a_user_with_a_colon_cannot_be_said),
		T(each_phase_has_its_deadline),
		T(each_phase_begins_its_time_anew),
		T(who_cancels_hears_nothing_more),
		T(without_memory_it_ends_in_each_step),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
