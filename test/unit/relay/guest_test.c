/* SPDX-License-Identifier: ISC */
/*
 * guest_test - a connection until it is a peer: what each request is answered, and that its place
 * is always given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/guest.h"
#include "cmd/relay/origin.h"
#include "lib/base/mem.h"
#include "lib/net/f_sock.h"
#include "test/unit/heap.h"
#include "test/unit/memfilter.h"
#include "test/unit/muxpair.h"
#include "test/unit/relaytest.h"
#include "test/unit/sockpair.h"
#include "test/unit/tlstest.h"
#include "test/unit/turns.h"

#define UPGRADE(path, version)                                               \
	"GET " path " HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n"         \
	"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" \
	"\r\nSec-WebSocket-Version: " version "\r\n\r\n"

struct fix {
	struct relay r;
	struct worker *w;
	/* the visitor's end */
	int fd;
	char got[8192];
	size_t len;
	/* the relay has closed its end */
	bool over;
};

static int
setup(void **state)
{
	static struct fix x;

	x = (struct fix){ .fd = -1 };
	relaytest_init(&x.r, 1);
	x.w = &x.r.workers[0];
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *x = *state;

	if (x->fd >= 0)
		close(x->fd);
	relaytest_fini(&x->r);
	return 0;
}

static struct gate_place *
enter(struct fix *x, const struct addr *from)
{
	struct gate_place *place;
	struct gate_who who;

	origin_who(&x->r, from, &who);
	assert_int_equal(gate_enter(x->r.gate, &who, 0, 0, &place), GATE_IN);
	return place;
}

/* A visit while only so many allocations succeed. */
static void
visit_failing(struct fix *x, long fail)
{
	struct addr from = { .len = sizeof(struct sockaddr_in) };
	struct gate_place *place;
	int fd[2];

	from.u.in.sin_family = AF_INET;
	place = enter(x, &from);
	sockpair_tcp(fd, true);
	x->fd = fd[0];
	mem_fail_after(fail);
	guest_start(x->w, fd[1], &from, false, place);
	mem_fail_after(MEM_NO_FAIL);
}

static void
visit(struct fix *x)
{
	visit_failing(x, MEM_NO_FAIL);
}

static void
say_bytes(struct fix *x, const void *p, size_t n)
{
	assert_int_equal(send(x->fd, p, n, MSG_NOSIGNAL), n);
}

static void
say(struct fix *x, const char *text)
{
	say_bytes(x, text, strlen(text));
}

static void
listen_in(struct fix *x)
{
	ssize_t n = recv(x->fd, x->got + x->len, sizeof x->got - 1 - x->len, 0);

	if (n > 0)
		x->len += (size_t)n;
	x->over = x->over || n == 0;
	x->got[x->len] = '\0';
}

static bool
has_head(void *arg)
{
	struct fix *x = arg;

	listen_in(x);
	return strstr(x->got, "\r\n\r\n") != NULL;
}

static bool
is_over(void *arg)
{
	struct fix *x = arg;

	listen_in(x);
	return x->over;
}

static bool
has_left(void *arg)
{
	struct fix *x = arg;

	return gate_count(x->r.gate) == 0;
}

static bool
has_peer(void *arg)
{
	struct fix *x = arg;

	return !TAILQ_EMPTY(&x->w->peers);
}

/*
 * What the relay answers to this request on a connection of its own, and that nothing stays of it.
 */
static const char *
answer(struct fix *x, const char *request)
{
	visit(x);
	x->len = 0;
	x->over = false;
	say(x, request);
	assert_true(turns_until(x->w->loop, is_over, x));
	close(x->fd);
	x->fd = -1;
	assert_true(turns_until(x->w->loop, has_left, x));
	assert_true(TAILQ_EMPTY(&x->w->guests) && TAILQ_EMPTY(&x->w->peers));
	return x->got;
}

static bool
starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void
health_is_told_as_it_is(void **state)
{
	struct fix *x = *state;
	const char *s = answer(x, "GET /health HTTP/1.1\r\nHost: t\r\n\r\n");

	assert_true(starts(s, "HTTP/1.1 200 "));
	assert_string_equal(strstr(s, "\r\n\r\n"), "\r\n\r\nok\n");
	s = answer(x, "HEAD /health HTTP/1.1\r\nHost: t\r\n\r\n");
	assert_true(starts(s, "HTTP/1.1 200 "));
	assert_string_equal(strstr(s, "\r\n\r\n"), "\r\n\r\n");
	assert_true(starts(answer(x, "POST /health HTTP/1.1\r\nHost: t\r\n\r\n"), "HTTP/1.1 404 "));
	atomic_store(&x->r.draining, true);
	s = answer(x, "GET /health HTTP/1.1\r\nHost: t\r\n\r\n");
	assert_true(starts(s, "HTTP/1.1 503 "));
	assert_string_equal(strstr(s, "\r\n\r\n"), "\r\n\r\ndraining\n");
}

static void
what_is_no_tunnel_is_refused(void **state)
{
	struct fix *x = *state;

	assert_true(starts(answer(x, UPGRADE("/elsewhere", "13")), "HTTP/1.1 404 "));
	assert_true(starts(answer(x, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), "HTTP/1.1 404 "));
	assert_true(starts(answer(x, UPGRADE("/", "12")), "HTTP/1.1 426 "));
	assert_true(starts(answer(x, "\x16\x03\x01 is TLS\r\n\r\n"), "HTTP/1.1 400 "));
}

static void
a_relay_that_drains_lets_nobody_in(void **state)
{
	struct fix *x = *state;

	atomic_store(&x->r.draining, true);
	assert_true(starts(answer(x, UPGRADE("/", "13")), "HTTP/1.1 503 "));
}

static void
an_upgrade_makes_a_peer(void **state)
{
	struct fix *x = *state;

	visit(x);
	say(x, UPGRADE("/tunnel?x=1", "13"));
	assert_true(turns_until(x->w->loop, has_head, x));
	assert_true(starts(x->got, "HTTP/1.1 101 "));
	assert_non_null(strstr(x->got, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
	assert_true(has_peer(x));
	/* Its deadline still runs, and it still counts. */
	assert_int_equal(gate_count(x->r.gate), 1);
	assert_false(TAILQ_EMPTY(&x->w->guests));
	close(x->fd);
	x->fd = -1;
	assert_true(turns_until(x->w->loop, has_left, x));
	assert_true(TAILQ_EMPTY(&x->w->peers));
}

static void
a_request_may_come_in_any_pieces(void **state)
{
	static const char request[] = UPGRADE("/", "13");
	struct fix *x = *state;

	visit(x);
	for (size_t i = 0; i < sizeof request - 1; i++) {
		assert_false(has_peer(x));
		say_bytes(x, request + i, 1);
		mem_settle(x->w->loop);
	}
	assert_true(turns_until(x->w->loop, has_head, x));
	assert_true(starts(x->got, "HTTP/1.1 101 "));
}

/* A client that does not wait for the 101, and whose login is right. */
static void
a_login_behind_the_request_is_taken(void **state)
{
	static struct budget budget = { .max = BUDGET_DEFAULT };
	const struct mux_config cfg = {
		.dialer = true, .endpoint = true, .keepalive_ms = 60000, .budget = &budget
	};
	struct session *s = mux_new(&cfg, 1);
	struct ctl_hello h = net_hello(CTL_AGENT);
	struct fix *x = *state;
	uint8_t frame[4096] = { 0x82, 0x80 | 126 };
	struct bufq out = { 0 };
	size_t n;

	assert_int_equal(session_greet(s, &h), 0);
	assert_int_equal(session_output(s, &out, 4000, 1), 0);
	n = bufq_read(&out, 0, frame + 8, sizeof frame - 8);
	frame[2] = (uint8_t)(n >> 8);
	frame[3] = (uint8_t)n;
	visit(x);
	say(x, UPGRADE("/", "13"));
	say_bytes(x, frame, n + 8);
	assert_true(turns_until(x->w->loop, has_left, x));
	assert_true(has_peer(x));
	assert_int_equal(atomic_load(&x->r.counts.agents), 1);
	assert_true(TAILQ_EMPTY(&x->w->guests));
	bufq_fini(&out);
	session_free(s);
}

static void
who_says_nothing_is_dropped_at_the_deadline(void **state)
{
	struct fix *x = *state;

	x->r.opts.handshake_ms = 30;
	visit(x);
	assert_true(turns_until(x->w->loop, is_over, x));
	assert_int_equal(x->len, 0);
	assert_true(has_left(x));
}

static void
who_does_not_log_in_is_told_at_the_deadline(void **state)
{
	struct fix *x = *state;

	x->r.opts.handshake_ms = 100;
	visit(x);
	say(x, UPGRADE("/", "13"));
	assert_true(turns_until(x->w->loop, is_over, x));
	assert_non_null(memmem(x->got, x->len, "no login within the time", 24));
	close(x->fd);
	x->fd = -1;
	assert_true(turns_until(x->w->loop, has_left, x));
}

static void
what_comes_after_an_answer_is_not_a_request(void **state)
{
	struct fix *x = *state;
	const char *s = answer(
	    x, "GET /health HTTP/1.1\r\nHost: t\r\n\r\nGET /health HTTP/1.1\r\nHost: t\r\n\r\n");

	assert_string_equal(strstr(s, "\r\n\r\n"), "\r\n\r\nok\n");
}

static void
all_can_be_dropped_at_any_stage(void **state)
{
	struct fix *x = *state;

	visit(x);
	say(x, "GET /hea");
	mem_settle(x->w->loop);
	guest_drop_all(x->w);
	assert_true(has_left(x));
	assert_true(turns_until(x->w->loop, is_over, x));
	close(x->fd);
	visit(x);
	say(x, UPGRADE("/", "13"));
	assert_true(turns_until(x->w->loop, has_peer, x));
	worker_drop_all(x->w);
	assert_true(has_left(x) && !has_peer(x));
}

static void
without_memory_the_connection_is_closed(void **state)
{
	struct fix *x = *state;
	bool started = false;
	long fail = 0;

	for (; !started; fail++) {
		x->over = false;
		visit_failing(x, fail);
		started = !TAILQ_EMPTY(&x->w->guests);
		if (!started) {
			assert_true(has_left(x));
			assert_true(turns_until(x->w->loop, is_over, x));
		}
		close(x->fd);
		x->fd = -1;
	}
	assert_true(fail > 3);
}

/* Two more of its address, as many as may be there: the visitor has to go. */
static void
crowd_out(struct fix *x)
{
	struct addr from = { .len = sizeof(struct sockaddr_in) };
	struct gate_place *place[2];

	from.u.in.sin_family = AF_INET;
	for (int i = 0; i < 2; i++) {
		place[i] = enter(x, &from);
		assert_true(gate_claim(x->r.gate, place[i], (void *)&place[i]));
	}
	assert_true(turns_until(x->w->loop, is_over, x));
	assert_int_equal(gate_count(x->r.gate), 2);
	assert_true(TAILQ_EMPTY(&x->w->guests));
	assert_true(TAILQ_EMPTY(&x->w->peers));
	for (int i = 0; i < 2; i++)
		gate_leave(x->r.gate, place[i]);
}

static void
who_has_said_nothing_makes_room(void **state)
{
	struct fix *x = *state;

	visit(x);
	crowd_out(x);
	assert_int_equal(x->len, 0);
}

static void
who_has_not_logged_in_makes_room_at_once(void **state)
{
	struct fix *x = *state;

	visit(x);
	say(x, UPGRADE("/", "13"));
	assert_true(turns_until(x->w->loop, has_head, x));
	assert_true(has_peer(x));
	crowd_out(x);
}

static void
who_lost_the_place_on_the_way_is_closed_on_arrival(void **state)
{
	struct fix *x = *state;
	struct addr from = { .len = sizeof(struct sockaddr_in) };
	struct gate_place *place[3];
	int fd[2];

	from.u.in.sin_family = AF_INET;
	for (int i = 0; i < 3; i++)
		place[i] = enter(x, &from);
	sockpair_tcp(fd, true);
	x->fd = fd[0];
	guest_start(x->w, fd[1], &from, false, place[0]);
	assert_true(turns_until(x->w->loop, is_over, x));
	assert_true(TAILQ_EMPTY(&x->w->guests));
	assert_int_equal(gate_count(x->r.gate), 2);
	gate_leave(x->r.gate, place[1]);
	gate_leave(x->r.gate, place[2]);
}

static bool
is_left_and_over(void *arg)
{
	return has_left(arg) && is_over(arg);
}

/*
 * Each allocation between a request and its answer fails in turn: the connection ends, and its
 * place is free.
 */
static void
without_memory_for_an_answer_the_connection_ends(void **state)
{
	static const char *const requests[] = { "GET /health HTTP/1.1\r\nHost: t\r\n\r\n",
		UPGRADE("/", "12"), UPGRADE("/", "13") };
	struct fix *x = *state;

	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		bool failed = true;
		long fail = 0;

		for (; failed; fail++) {
			visit(x);
			x->len = 0;
			x->over = false;
			say(x, requests[i]);
			buf_pool_free();
			mem_fail_after(fail);
			mem_settle(x->w->loop);
			mem_fail_after(MEM_NO_FAIL);
			listen_in(x);
			failed = x->len == 0;
			assert_true(!failed || turns_until(x->w->loop, is_left_and_over, x));
			close(x->fd);
			x->fd = -1;
			assert_true(turns_until(x->w->loop, has_left, x));
		}
		assert_true(fail > 2);
	}
}

static void
behind_a_proxy_the_client_counts(void **state)
{
	struct fix *x = *state;
	char *net = "0.0.0.0/32";
	struct gate_who client = { 0 };
	struct gate_place *place[2];
	struct addr a;

	x->r.opts.trusted_proxy = (struct opt_list){ &net, 1 };
	assert_int_equal(origin_nets("--trusted-proxy", &x->r.opts.trusted_proxy, &x->r.proxies,
			     &x->r.n_proxies, NULL),
	    0);
	assert_true(addr_literal("198.51.100.1", 0, &a));
	addr_identity(&a, client.key);
	visit(x);
	say(x, "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	       "X-Forwarded-For: 203.0.113.9, 198.51.100.1\r\n"
	       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
	assert_true(turns_until(x->w->loop, has_head, x));
	assert_true(starts(x->got, "HTTP/1.1 101 "));
	assert_string_equal(TAILQ_FIRST(&x->w->peers)->from, "198.51.100.1:0");
	/* Its place is among those of that address, which may have two. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(gate_enter(x->r.gate, &client, 0, 0, &place[i]), GATE_IN);
		assert_true(gate_claim(x->r.gate, place[i], (void *)&place[i]));
	}
	assert_true(turns_until(x->w->loop, is_over, x));
	for (int i = 0; i < 2; i++)
		gate_leave(x->r.gate, place[i]);
	mem_free(x->r.proxies);
}

static void
behind_a_proxy_the_clients_rate_counts(void **state)
{
	struct fix *x = *state;
	char *net = "0.0.0.0/32";
	struct gate_who client = { 0 };
	struct gate_place *place;
	struct addr a;

	x->r.opts.trusted_proxy = (struct opt_list){ &net, 1 };
	assert_int_equal(origin_nets("--trusted-proxy", &x->r.opts.trusted_proxy, &x->r.proxies,
			     &x->r.n_proxies, NULL),
	    0);
	assert_true(addr_literal("198.51.100.1", 0, &a));
	addr_identity(&a, client.key);
	gate_free(x->r.gate);
	x->r.opts.connection_rate = 1;
	x->r.gate = guests_gate(&x->r, 1);
	assert_non_null(x->r.gate);
	visit(x);
	while (gate_enter(x->r.gate, &client, 0, loop_now_ms(x->w->loop), &place) == GATE_IN)
		gate_leave(x->r.gate, place);
	say(x, "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	       "X-Forwarded-For: 198.51.100.1\r\n"
	       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
	assert_true(turns_until(x->w->loop, has_head, x));
	assert_true(starts(x->got, "HTTP/1.1 429 "));
	mem_free(x->r.proxies);
}

static bool
has_input(void *arg)
{
	return ((struct filter *)arg)->in.len > 0;
}

static void
a_request_inside_tls_is_answered_inside_it(void **state)
{
	const struct tls_client_opts opts = { .ca_file = tlstest_pem };
	struct fix *x = *state;
	struct addr from = { .len = sizeof(struct sockaddr_in) };
	struct sink sink = { 0 };
	struct tls_client_ctx *ctx;
	struct filter *f;
	char got[16] = "";
	int fd[2];

	from.u.in.sin_family = AF_INET;
	x->r.tls = tlstest_server_ctx;
	assert_int_equal(tls_client_new(&opts, &ctx, NULL), 0);
	sockpair_tcp(fd, true);
	guest_start(x->w, fd[1], &from, true, enter(x, &from));
	f = f_tls_client(f_sock_new(x->w->loop, fd[0], true), x->w->loop, ctx, "relay.test");
	assert_non_null(f);
	filter_set_user(f, &sink_user, &sink);
	assert_int_equal(filter_send(f, "GET /health HTTP/1.1\r\nHost: t\r\n\r\n", 33), 0);
	filter_flush(f);
	assert_true(turns_until(x->w->loop, has_input, f));
	bufq_read(&f->in, 0, got, 12);
	assert_string_equal(got, "HTTP/1.1 200");
	filter_free(f);
	tls_client_free(ctx);
	assert_true(turns_until(x->w->loop, has_left, x));
}

static void
round_trip(void)
{
	void *state = NULL;

	assert_int_equal(setup(&state), 0);
	health_is_told_as_it_is(&state);
	assert_int_equal(teardown(&state), 0);
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
		T(health_is_told_as_it_is),
		T(what_is_no_tunnel_is_refused),
		T(a_relay_that_drains_lets_nobody_in),
		T(an_upgrade_makes_a_peer),
		T(a_request_may_come_in_any_pieces),
		T(a_login_behind_the_request_is_taken),
		T(who_says_nothing_is_dropped_at_the_deadline),
		T(who_does_not_log_in_is_told_at_the_deadline),
		T(what_comes_after_an_answer_is_not_a_request),
		T(all_can_be_dropped_at_any_stage),
		T(behind_a_proxy_the_client_counts),
		T(behind_a_proxy_the_clients_rate_counts),
		T(who_has_said_nothing_makes_room),
		T(who_has_not_logged_in_makes_room_at_once),
		T(who_lost_the_place_on_the_way_is_closed_on_arrival),
		T(without_memory_the_connection_is_closed),
		T(without_memory_for_an_answer_the_connection_ends),
		T(a_request_inside_tls_is_answered_inside_it),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, tlstest_setup, tlstest_teardown);
}
