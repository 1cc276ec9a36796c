/* SPDX-License-Identifier: ISC */
/*
 * guest_keys_test - a connection between the WebSocket and the login by key: what its first byte
 * decides, who gets in, and that its place is given back from each stage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/common/carrier.h"
#include "cmd/relay/guest.h"
#include "cmd/relay/origin.h"
#include "lib/net/f_sock.h"
#include "lib/tls/f_tls.h"
#include "test/unit/memfilter.h"
#include "test/unit/muxpair.h"
#include "test/unit/relaytest.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

#define UPGRADE                                                              \
	"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n"                \
	"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" \
	"\r\nSec-WebSocket-Version: 13\r\n\r\n"

/* Of the private keys 1 and 2. */
#define ONE_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define ONE_PUB "tunnel-pub-A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"
#define TWO_PRIV "tunnel-priv-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI"
#define TWO_PUB "tunnel-pub-A3zyexiNA09-ilI4AwS1GsPAiWnid_IbNaYLSPxHZpl4"

struct fix {
	struct relay r;
	struct worker *w;
	/* The client's end, until its filter has it. */
	int fd;
	struct filter *f;
	/* What came on it, and that it ended. */
	struct bufq got;
	bool ready, ended;
	struct tls_keyed *client;
	struct keys_list relay_keys;
};

static struct tls_keyed *
keyed(const char *priv, enum tls_keyed_end end)
{
	struct secret *s = secret_new(priv, strlen(priv));
	struct tls_keyed *k = NULL;

	assert_int_equal(tls_keyed_new(s, end, TLS_KEYED_LOGIN, &k, NULL), 0);
	secret_free(s);
	return k;
}

/* The relay's key is 1, the client's 2. */
static int
setup(void **state)
{
	static struct fix x;

	x = (struct fix){ .fd = -1 };
	relaytest_init(&x.r, 1);
	x.w = &x.r.workers[0];
	x.r.keyed = keyed(ONE_PRIV, TLS_KEYED_SERVER);
	x.client = keyed(TWO_PRIV, TLS_KEYED_CLIENT);
	assert_int_equal(keys_list_add(&x.relay_keys, ONE_PUB, strlen(ONE_PUB), NULL), 0);
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	if (x->f != NULL)
		filter_free(x->f);
	bufq_fini(&x->got);
	tls_keyed_free(x->r.keyed);
	tls_keyed_free(x->client);
	relaytest_fini(&x->r);
	return 0;
}

/* ---- the client ---- */

static void
on_readable(void *arg)
{
	struct fix *x = arg;

	assert_int_equal(bufq_move(&x->got, &x->f->in, x->f->in.len), 0);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct fix *x = arg;

	(void)err;
	(void)text;
	x->ended = true;
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

/* Bytes of the answer to the request; 0: it is not there yet. */
static size_t
answer_len(const struct fix *x)
{
	char head[1024];
	ssize_t n = recv(x->fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);

	return n > 0 && memmem(head, (size_t)n, "\r\n\r\n", 4) != NULL ? (size_t)n : 0;
}

static bool
has_answer(void *arg)
{
	return answer_len(arg) > 0;
}

/* A WebSocket that has said nothing. */
static void
visit(struct fix *x)
{
	struct addr from = { .len = sizeof(struct sockaddr_in) };
	const struct f_ws_config cfg = { .mode = F_WS_STREAM, .client = true };
	struct gate_place *place;
	struct gate_who who;
	struct filter *sock;
	char head[1024];
	size_t n;
	int fd[2];

	from.u.in.sin_family = AF_INET;
	origin_who(&x->r, &from, &who);
	assert_int_equal(gate_enter(x->r.gate, &who, 0, 0, &place), GATE_IN);
	sockpair_tcp(fd, true);
	x->fd = fd[0];
	guest_start(x->w, fd[1], &from, false, place);
	assert_int_equal(send(x->fd, UPGRADE, strlen(UPGRADE), MSG_NOSIGNAL), strlen(UPGRADE));
	assert_true(turns_until(x->w->loop, has_answer, x));
	n = answer_len(x);
	assert_int_equal(recv(x->fd, head, n, 0), n);
	assert_memory_equal(head, "HTTP/1.1 101 ", 13);
	sock = f_sock_new(x->w->loop, x->fd, true);
	assert_non_null(sock);
	x->f = f_ws_new(sock, x->w->loop, &cfg);
	assert_non_null(x->f);
	filter_set_user(x->f, &user, x);
	x->ended = x->ready = false;
}

static void
on_ready(void *arg)
{
	((struct fix *)arg)->ready = true;
}

static bool
is_ready(void *arg)
{
	struct fix *x = arg;

	return x->ready || x->ended;
}

static void
prove(struct fix *x)
{
	filter_set_user(x->f, NULL, NULL);
	x->f = f_tls_keyed(x->f, x->w->loop, x->client, tls_judge_list(&x->relay_keys));
	assert_non_null(x->f);
	filter_set_user(x->f, &user, x);
	f_tls_set_ready(x->f, on_ready, x);
	assert_true(turns_until(x->w->loop, is_ready, x));
	assert_false(x->ended);
}

/* HELLO of an agent, pi, on whatever the client has. */
static void
say_hello(struct fix *x, const char *secret)
{
	static struct budget budget = { .max = BUDGET_DEFAULT };
	const struct mux_config cfg = {
		.dialer = true, .endpoint = true, .keepalive_ms = 60000, .budget = &budget
	};
	struct session *s = mux_new(&cfg, 1);
	struct ctl_hello h = net_hello(CTL_AGENT);
	struct bufq out = { 0 };

	snprintf(h.secret, sizeof h.secret, "%s", secret);
	assert_int_equal(session_greet(s, &h), 0);
	assert_int_equal(session_output(s, &out, 4000, 1), 0);
	assert_int_equal(filter_write(x->f, &out), 0);
	filter_flush(x->f);
	bufq_fini(&out);
	session_free(s);
}

static bool
has_left(void *arg)
{
	struct fix *x = arg;

	return gate_count(x->r.gate) == 0;
}

static bool
is_ended(void *arg)
{
	struct fix *x = arg;

	return x->ended;
}

static bool
has_said(struct fix *x, const char *text)
{
	char got[2048];
	size_t n = bufq_read(&x->got, 0, got, sizeof got);

	return memmem(got, n, text, strlen(text)) != NULL;
}

static void
hang_up(struct fix *x)
{
	filter_free(x->f);
	x->f = NULL;
	assert_true(turns_until(x->w->loop, has_left, x));
	assert_true(TAILQ_EMPTY(&x->w->guests));
}

/* ---- the tests ---- */

static void
who_proves_its_key_logs_in(void **state)
{
	struct fix *x = *state;

	relaytest_creds(&x->r, "{\"edge-agents\": {\"pi\": {\"key\": \"" TWO_PUB "\"}}}");
	visit(x);
	prove(x);
	say_hello(x, "");
	assert_true(turns_until(x->w->loop, has_left, x));
	assert_int_equal(atomic_load(&x->r.counts.agents), 1);
}

/* The secret that it says beside is the right one, and does not count. */
static void
who_proves_another_key_is_refused(void **state)
{
	struct fix *x = *state;

	relaytest_creds(
	    &x->r, "{\"edge-agents\": {\"pi\": {\"key\": \"" ONE_PUB "\", \"secret\": \"s\"}}}");
	visit(x);
	prove(x);
	say_hello(x, "s");
	assert_true(turns_until(x->w->loop, is_ended, x));
	assert_true(has_said(x, "wrong name or key"));
	assert_int_equal(atomic_load(&x->r.counts.agents), 0);
	hang_up(x);
}

static void
another_first_byte_is_a_login_by_secret(void **state)
{
	struct fix *x = *state;

	relaytest_creds(&x->r, "{\"edge-agents\": {\"pi\": \"s\"}}");
	visit(x);
	say_hello(x, "s");
	assert_true(turns_until(x->w->loop, has_left, x));
	assert_int_equal(atomic_load(&x->r.counts.agents), 1);
}

static void
a_relay_without_a_key_does_not_wait_for_one(void **state)
{
	struct fix *x = *state;

	tls_keyed_free(x->r.keyed);
	x->r.keyed = NULL;
	visit(x);
	assert_false(TAILQ_EMPTY(&x->w->peers));
	hang_up(x);
}

static void
say_bytes(struct fix *x, const char *p, size_t n)
{
	assert_int_equal(filter_send(x->f, p, n), 0);
	filter_flush(x->f);
}

static void
what_is_no_handshake_ends_it(void **state)
{
	struct fix *x = *state;

	visit(x);
	say_bytes(x, "\x16 this is no TLS at all", 23);
	assert_true(turns_until(x->w->loop, is_ended, x));
	assert_true(TAILQ_EMPTY(&x->w->peers));
	hang_up(x);
}

static bool
is_alone(void *arg)
{
	struct fix *x = arg;

	return TAILQ_EMPTY(&x->w->guests);
}

static void
its_place_is_given_back_from_each_stage(void **state)
{
	struct fix *x = *state;

	/* Lost before the first byte, and in the handshake. */
	visit(x);
	hang_up(x);
	visit(x);
	say_bytes(x, "\x16\x03\x01", 3);
	for (int i = 0; i < 3; i++)
		mem_settle(x->w->loop);
	assert_false(is_alone(x));
	hang_up(x);
	/* Dropped with all others, in both. */
	for (int keys = 0; keys <= 1; keys++) {
		visit(x);
		if (keys)
			say_bytes(x, "\x16\x03\x01", 3);
		guest_drop_all(x->w);
		assert_true(has_left(x));
		hang_up(x);
	}
}

static void
who_says_nothing_is_told_at_the_deadline(void **state)
{
	struct fix *x = *state;

	x->r.opts.handshake_ms = 100;
	visit(x);
	assert_true(turns_until(x->w->loop, is_ended, x));
	assert_true(has_said(x, "no login within the time"));
	hang_up(x);
	/* One that has begun a handshake reads no words of ours. */
	bufq_fini(&x->got);
	visit(x);
	say_bytes(x, "\x16\x03\x01", 3);
	assert_true(turns_until(x->w->loop, is_ended, x));
	assert_int_equal(x->got.len, 0);
	hang_up(x);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_proves_its_key_logs_in),
		T(who_proves_another_key_is_refused),
		T(another_first_byte_is_a_login_by_secret),
		T(a_relay_without_a_key_does_not_wait_for_one),
		T(what_is_no_handshake_ends_it),
		T(its_place_is_given_back_from_each_stage),
		T(who_says_nothing_is_told_at_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
