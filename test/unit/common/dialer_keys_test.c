/* SPDX-License-Identifier: ISC */
/*
 * dialer_keys_test - the last phase of a dial with a key: both sides prove theirs inside the
 * WebSocket, and nothing goes on without.  The relay is the test, behind a socket.
 *
 * link: -Wl,--wrap=timer_set
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
#include "lib/http/http.h"
#include "lib/net/f_sock.h"
#include "lib/tls/f_tls.h"
#include "lib/ws/f_ws.h"
#include "lib/ws/handshake.h"
#include "proto/dialect/dialect.h"
#include "test/unit/listen_on.h"
#include "test/unit/turns.h"

/* Of the private keys 1 and 2. */
#define ONE_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define ONE_PUB "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"
#define TWO_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI"
#define TWO_PUB "tunnel-pub-A3zyexiNA09-ilI4AwS1GsPAiWnid_IbNaYLSPxHZpl4"

void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms);

/* A phase's time is over at once. */
static bool hurried;

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	__real_timer_set(t, hurried && ms == DIALER_PHASE_MS ? 10 : ms);
}

static struct fix {
	struct loop *l;
	struct dialer_target t;
	struct dialer *d;
	/* The relay: its key, where it listens, and its end of the connection. */
	struct tls_keyed *relay;
	int listener;
	struct filter *far;
	struct http_head *head;
	bool far_ready, far_over;
	/* How the dial has ended. */
	int n_ends, err;
	struct filter *f;
	char text[ERR_TEXT_MAX];
} x;

static struct tls_keyed *
keyed(const char *priv, enum tls_keyed_end end, const char *alpn)
{
	struct secret *s = secret_new(priv, strlen(priv));
	struct tls_keyed *k = NULL;

	assert_int_equal(tls_keyed_new(s, end, alpn, &k, NULL), 0);
	secret_free(s);
	return k;
}

static void
expect_key(const char *pub)
{
	assert_int_equal(keys_list_add(&x.t.relay_keys, pub, strlen(pub), NULL), 0);
}

static int
setup(void **state)
{
	struct addr a;

	(void)state;
	hurried = false;
	x = (struct fix){ .l = loop_new(), .head = http_head_new(HTTP_HEAD_REQUEST) };
	x.listener = listen_on("127.0.0.1:0", &a);
	x.t.dialect = &dialect_native;
	snprintf(x.t.url.at.host, sizeof x.t.url.at.host, "127.0.0.1");
	x.t.url.at.port = addr_port(&a);
	x.t.url.scheme = URL_WS;
	snprintf(x.t.url.target, sizeof x.t.url.target, "/");
	x.relay = keyed(ONE_PRIV, TLS_KEYED_SERVER, TLS_KEYED_LOGIN);
	x.t.keyed = keyed(TWO_PRIV, TLS_KEYED_CLIENT, TLS_KEYED_LOGIN);
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
	http_head_free(x.head);
	tls_keyed_free(x.relay);
	tls_keyed_free(x.t.keyed);
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
	x.d = NULL;
	snprintf(x.text, sizeof x.text, "%s", text);
}

static bool
has_ended(void *arg)
{
	(void)arg;
	return x.n_ends > 0;
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

/* ---- the relay ---- */

static void
far_event(void *arg)
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

static const struct filter_user far_user = { far_event, far_event, far_closed };

static void
far_ready(void *arg)
{
	(void)arg;
	x.far_ready = true;
}

static bool
is_asked(void *arg)
{
	int fd;

	(void)arg;
	if (x.far == NULL && listen_accept(x.listener, &fd, NULL) == 0) {
		x.far = f_sock_new(x.l, fd, false);
		filter_set_user(x.far, &far_user, NULL);
	}
	return x.far != NULL && http_head_take(x.head, &x.far->in, NULL) == 0 &&
	       http_head_is_done(x.head);
}

static void
far_becomes(struct filter *f)
{
	assert_non_null(f);
	x.far = f;
	filter_set_user(f, &far_user, NULL);
}

/* The WebSocket stands, and the dialer begins to prove its key. */
static void
agree(void)
{
	const struct f_ws_config cfg = { .mode = F_WS_STREAM };
	struct http_build b;

	x.d = dialer_start(x.l, &x.t, on_end, &x);
	assert_non_null(x.d);
	assert_true(turns_until(x.l, is_asked, NULL));
	ws_handshake_response_begin(&b, x.head, NULL);
	assert_int_equal(http_build_end(&b), 0);
	assert_int_equal(filter_send(x.far, b.s, b.len), 0);
	filter_flush(x.far);
	filter_set_user(x.far, NULL, NULL);
	far_becomes(f_ws_new(x.far, x.l, &cfg));
}

/* The relay proves its key. */
static void
prove(void)
{
	static const struct tls_judge anybody = { NULL, NULL };

	far_becomes(f_tls_keyed(x.far, x.l, x.relay, anybody));
	f_tls_set_ready(x.far, far_ready, NULL);
}

static bool
has_come(void *arg)
{
	(void)arg;
	return x.far->in.len > 0 || x.far_over;
}

/* ---- the tests ---- */

static bool
is_proved(void *arg)
{
	(void)arg;
	return x.far_ready;
}

static void
a_relay_with_the_right_key_gets_ours(void **state)
{
	uint8_t point[KEYS_POINT_LEN];

	(void)state;
	expect_key(TWO_PUB);
	expect_key(ONE_PUB);
	agree();
	prove();
	ends(0, "", "");
	assert_true(turns_until(x.l, is_proved, NULL));
	assert_int_equal(keys_point(TWO_PUB, strlen(TWO_PUB), point, NULL), 0);
	assert_memory_equal(f_tls_peer(x.far), point, sizeof point);
	assert_int_equal(keys_point(ONE_PUB, strlen(ONE_PUB), point, NULL), 0);
	assert_memory_equal(f_tls_peer(x.f), point, sizeof point);
}

static bool
is_far_over(void *arg)
{
	(void)arg;
	return x.far_over;
}

static void
a_relay_with_another_key_is_told_with_both(void **state)
{
	(void)state;
	expect_key(TWO_PUB);
	agree();
	prove();
	ends(ERR_DENIED, "the relay's key is " ONE_PUB, "--relay-key says " TWO_PUB ":");
	assert_true(turns_until(x.l, is_far_over, NULL));
	/* It has not learned ours. */
	assert_false(x.far_ready);
	assert_null(f_tls_peer(x.far));
}

static void
several_keys_are_told_as_such(void **state)
{
	(void)state;
	expect_key(TWO_PUB);
	expect_key(TWO_PUB);
	agree();
	prove();
	ends(ERR_DENIED, "the relay's key is " ONE_PUB, TWO_PUB " or another:");
}

static void
another_protocol_inside_is_refused(void **state)
{
	(void)state;
	tls_keyed_free(x.relay);
	x.relay = keyed(ONE_PRIV, TLS_KEYED_SERVER, TLS_KEYED_E2E);
	expect_key(ONE_PUB);
	agree();
	prove();
	ends(ERR_TLS, "login by key: ", "does the relay have a key");
	assert_false(x.far_ready);
}

/* Nothing of ours is said to it but the beginning of TLS. */
static void
a_relay_without_a_key_is_no_way(void **state)
{
	uint8_t first;

	(void)state;
	expect_key(ONE_PUB);
	agree();
	assert_true(turns_until(x.l, has_come, NULL));
	assert_int_equal(bufq_read(&x.far->in, 0, &first, 1), 1);
	assert_int_equal(first, FRAME_TLS);
	/* It says goodbye in the protocol that it knows. */
	assert_int_equal(filter_send(x.far, "\x0a\0\0\4\0\0\0\0\0\0\0\1", 12), 0);
	filter_flush(x.far);
	ends(ERR_TLS, "login by key: ", "does the relay have a key (--key-file)?");
}

static void
an_end_is_told(void **state)
{
	(void)state;
	expect_key(ONE_PUB);
	agree();
	assert_true(turns_until(x.l, has_come, NULL));
	filter_shutdown(x.far);
	ends(ERR_CLOSED, "login by key: ", "does the relay have a key (--key-file)?");
}

static void
a_proof_that_does_not_come_is_not_waited_for(void **state)
{
	(void)state;
	expect_key(ONE_PUB);
	agree();
	hurried = true;
	ends(ERR_TIMEOUT, "127.0.0.1", "no proof of the relay's key within");
}

static void
who_cancels_hears_nothing_more(void **state)
{
	(void)state;
	expect_key(ONE_PUB);
	agree();
	assert_true(turns_until(x.l, has_come, NULL));
	dialer_cancel(x.d);
	x.d = NULL;
	assert_true(turns_until(x.l, is_far_over, NULL));
	assert_int_equal(x.n_ends, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_relay_with_the_right_key_gets_ours),
		T(a_relay_with_another_key_is_told_with_both),
		T(several_keys_are_told_as_such),
		T(another_protocol_inside_is_refused),
		T(a_relay_without_a_key_is_no_way),
		T(an_end_is_told),
		T(a_proof_that_does_not_come_is_not_waited_for),
		T(who_cancels_hears_nothing_more),
	};

	return cmocka_run_group_tests_name("common/dialer_keys", tests, NULL, NULL);
}
