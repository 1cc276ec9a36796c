/* SPDX-License-Identifier: ISC */
/*
 * entry_test - a connection to a web listener until it is known who serves it: who gets it, with
 * every byte, and that its place is always given back or handed on.
 *
 * link: -Wl,--wrap=front_start,--wrap=guest_start_beside,--wrap=visitor_adopt
 * link: -Wl,--wrap=publish_route,--wrap=publish_find
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/gate.h"
#include "cmd/relay/guest.h"
#include "cmd/relay/ingress/entry.h"
#include "cmd/relay/ingress/front.h"
#include "cmd/relay/ingress/publish.h"
#include "cmd/relay/ingress/publish_host.h"
#include "cmd/relay/origin.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "test/unit/relaytest.h"
#include "test/unit/sockpair.h"

#define HELLO_FILE "test/fuzz/corpus/hello/openssl-tls13"
#define PROXY "PROXY TCP4 198.51.100.7 203.0.113.1 4711 443\r\n"

enum { WORKERS = 2, SHORT_MS = 50 };

enum whom { NOBODY, FRONT, GUEST, VISITOR };

struct fix {
	struct relay r;
	struct addr_net proxy;
	/* the visitor's end */
	int fd;
	bool reset;
	/* so many allocations succeed when it comes */
	long fail;
	/* an openssl's hello for shop.acme.test */
	char *hello;
	size_t hello_len;
	/* Whom the name is published by: on this worker, and what it is; "": by nobody. */
	int worker;
	const char *kind;
	bool gone;
	/* Who got it, and what he was told. */
	enum whom whom;
	int got_fd;
	struct worker *got_w;
	struct addr from, to;
	bool tls;
	struct gate_place *place;
};

static struct fix *x;
static struct publication pub;

/* ---- who gets it ---- */

static void
take(enum whom whom, struct worker *w, int fd, const struct addr *from, const struct addr *to,
    bool tls, struct gate_place *place)
{
	assert_int_equal(x->whom, NOBODY);
	x->whom = whom;
	x->got_w = w;
	x->got_fd = fd;
	x->from = *from;
	x->to = *to;
	x->tls = tls;
	x->place = place;
}

void __wrap_front_start(struct worker *w, int fd, const struct addr *from, const struct addr *to,
    bool tls, struct gate_place *place);
void
__wrap_front_start(struct worker *w, int fd, const struct addr *from, const struct addr *to,
    bool tls, struct gate_place *place)
{
	take(FRONT, w, fd, from, to, tls, place);
}

void __wrap_guest_start_beside(struct worker *w, int fd, const struct addr *from,
    const struct addr *to, bool tls, struct gate_place *place);
void
__wrap_guest_start_beside(struct worker *w, int fd, const struct addr *from, const struct addr *to,
    bool tls, struct gate_place *place)
{
	take(GUEST, w, fd, from, to, tls, place);
}

void __wrap_visitor_adopt(
    struct publication *p, int fd, const struct addr *from, const struct addr *to);
void
__wrap_visitor_adopt(struct publication *p, int fd, const struct addr *from, const struct addr *to)
{
	assert_ptr_equal(p, &pub);
	take(VISITOR, p->w, fd, from, to, true, NULL);
}

enum publish_route __wrap_publish_route(struct relay *r, const char *host, struct route *out);
enum publish_route
__wrap_publish_route(struct relay *r, const char *host, struct route *out)
{
	assert_ptr_equal(r, &x->r);
	assert_string_equal(host, "shop.acme.test");
	*out = (struct route){ .worker = x->worker };
	snprintf(out->kind, sizeof out->kind, "%s", x->kind);
	return x->kind[0] != '\0' ? ROUTE_FOUND : ROUTE_NONE;
}

struct publication *__wrap_publish_find(struct worker *w, const struct route *r);
struct publication *
__wrap_publish_find(struct worker *w, const struct route *r)
{
	assert_int_equal(w->index, x->worker);
	assert_string_equal(r->kind, "tls");
	pub.w = w;
	return x->gone ? NULL : &pub;
}

/* ---- a connection ---- */

static int
setup(void **state)
{
	static struct fix fix;
	struct errtext why;

	x = &fix;
	*x = (struct fix){ .fd = -1, .got_fd = -1, .kind = "", .fail = MEM_NO_FAIL };
	relaytest_init(&x->r, WORKERS);
	assert_int_equal(addr_net_parse("127.0.0.2", &x->proxy), 0);
	if (file_read_all(HELLO_FILE, 65536, &x->hello, &x->hello_len, &why) != 0)
		fail_msg("%s (tests run in the project's directory)", why.s);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (x->fd >= 0)
		close(x->fd);
	if (x->got_fd >= 0)
		close(x->got_fd);
	gate_leave(x->r.gate, x->place);
	assert_int_equal(gate_count(x->r.gate), 0);
	x->r.ingress.proxies = NULL;
	relaytest_fini(&x->r);
	mem_free(x->hello);
	return 0;
}

static void
come_from(const char *address, bool tls, bool tunnel)
{
	char text[ADDR_TEXT];
	struct entry_from from = { .tls = tls, .tunnel = tunnel, .gate = x->r.gate };
	struct gate_who who;
	int fd[2];

	snprintf(text, sizeof text, "%s:40000", address);
	assert_int_equal(addr_parse(text, &from.from, NULL), 0);
	origin_who(&x->r, &from.from, &who);
	assert_int_equal(gate_enter(x->r.gate, &who, 0, 0, &from.place), GATE_IN);
	sockpair_tcp(fd, true);
	x->fd = fd[0];
	from.fd = fd[1];
	mem_fail_after(x->fail);
	entry_start(&x->r.workers[0], &from);
	mem_fail_after(MEM_NO_FAIL);
}

static void
come(bool tls)
{
	come_from("192.0.2.9", tls, false);
}

static void
say(const void *p, size_t n)
{
	assert_int_equal(send(x->fd, p, n, MSG_NOSIGNAL), n);
}

/* Turn the loops until it is true, or ten seconds have passed. */
static bool
until(bool (*cond)(void))
{
	uint64_t end_ms = clock_mono_ms() + 10000;

	while (!cond() && clock_mono_ms() < end_ms)
		relaytest_settle(&x->r);
	return cond();
}

static bool
is_taken(void)
{
	return x->whom != NOBODY;
}

static void
expect_taken(enum whom whom)
{
	assert_true(until(is_taken));
	assert_int_equal(x->whom, whom);
	assert_int_equal(gate_count(x->r.gate), whom == VISITOR ? 0 : 1);
	assert_true(TAILQ_EMPTY(&x->r.workers[0].entries));
}

/* The hello, and nothing before or behind it, is there to be read. */
static void
expect_hello(void)
{
	char got[4096];

	assert_int_equal(recv(x->got_fd, got, sizeof got, 0), x->hello_len);
	assert_memory_equal(got, x->hello, x->hello_len);
}

static bool
is_reset(void)
{
	char c;

	/* An error is told once. */
	x->reset = x->reset || (recv(x->fd, &c, 1, 0) < 0 && errno == ECONNRESET);
	return x->reset;
}

/* The relay has closed it, and nobody got it. */
static void
expect_turned_away(void)
{
	assert_true(until(is_reset));
	assert_int_equal(x->whom, NOBODY);
	assert_int_equal(gate_count(x->r.gate), 0);
	assert_true(TAILQ_EMPTY(&x->r.workers[0].entries));
}

/* Everything that has come was looked at, and more is waited for. */
static void
expect_waiting(void)
{
	relaytest_settle(&x->r);
	relaytest_settle(&x->r);
	assert_int_equal(x->whom, NOBODY);
	assert_false(TAILQ_EMPTY(&x->r.workers[0].entries));
}

/* Gates of other sizes; who is to go is asked for by the test. */
static bool
is_told(void *arg, int worker)
{
	(void)arg;
	(void)worker;
	return true;
}

static void
set_gate(uint64_t places, uint64_t rate)
{
	gate_free(x->r.gate);
	x->r.gate = gate_new(&(struct gate_limits){ places, places, rate }, WORKERS, is_told, NULL);
	assert_non_null(x->r.gate);
}

/* ---- tests ---- */

static void
without_tls_it_is_handed_on_at_once(void **state)
{
	char text[ADDR_TEXT];

	(void)state;
	come(false);
	assert_int_equal(x->whom, FRONT);
	assert_false(x->tls);
	assert_string_equal(addr_text(&x->from, text), "192.0.2.9:40000");
	assert_string_equal(addr_host(&x->to, text), "127.0.0.1");
	assert_int_equal(gate_count(x->r.gate), 1);
}

static void
a_listener_that_is_a_tunnels_too_makes_guests(void **state)
{
	(void)state;
	come_from("192.0.2.9", false, true);
	assert_int_equal(x->whom, GUEST);
}

static void
a_name_that_nobody_serves_with_tls_is_the_relays(void **state)
{
	static const char *const kinds[] = { "", "http" };

	for (size_t i = 0; i < 2; i++) {
		x->kind = kinds[i];
		come_from("192.0.2.9", true, i == 1);
		expect_waiting();
		say(x->hello, x->hello_len);
		expect_taken(i == 1 ? GUEST : FRONT);
		assert_true(x->tls);
		assert_ptr_equal(x->got_w, &x->r.workers[0]);
		expect_hello();
		teardown(state);
		setup(state);
	}
}

static void
what_is_no_hello_is_the_relays_to_refuse(void **state)
{
	(void)state;
	come(true);
	say("GET / HTTP/1.1\r\n", 16);
	expect_taken(FRONT);
}

static void
a_service_with_tls_of_its_own_gets_every_byte(void **state)
{
	for (int worker = 0; worker < WORKERS; worker++) {
		x->kind = "tls";
		x->worker = worker;
		come(true);
		/* It came in pieces. */
		for (size_t i = 0; i < x->hello_len; i += 100) {
			expect_waiting();
			say(x->hello + i, x->hello_len - i < 100 ? x->hello_len - i : 100);
		}
		expect_taken(VISITOR);
		assert_ptr_equal(x->got_w, &x->r.workers[worker]);
		expect_hello();
		teardown(state);
		setup(state);
	}
}

static void
a_service_that_has_just_gone_is_a_reset(void **state)
{
	for (int worker = 0; worker < WORKERS; worker++) {
		x->kind = "tls";
		x->worker = worker;
		x->gone = true;
		come(true);
		say(x->hello, x->hello_len);
		expect_turned_away();
		teardown(state);
		setup(state);
	}
}

static void
a_proxys_header_comes_first(void **state)
{
	char text[ADDR_TEXT];

	for (int tls = 0; tls < 2; tls++) {
		x->r.ingress.proxies = &x->proxy;
		x->r.ingress.n_proxies = 1;
		x->kind = "tls";
		come_from("127.0.0.2", tls == 1, false);
		say(PROXY, 20);
		expect_waiting();
		say(&PROXY[20], strlen(PROXY) - 20);
		if (tls == 1)
			expect_waiting();
		say(x->hello, x->hello_len);
		expect_taken(tls == 1 ? VISITOR : FRONT);
		assert_string_equal(addr_text(&x->from, text), "198.51.100.7:4711");
		assert_string_equal(addr_text(&x->to, text), "203.0.113.1:443");
		expect_hello();
		teardown(state);
		setup(state);
	}
}

static void
a_proxy_that_says_nothing_of_the_kind_is_turned_away(void **state)
{
	(void)state;
	x->r.ingress.proxies = &x->proxy;
	x->r.ingress.n_proxies = 1;
	come_from("127.0.0.2", true, false);
	say(x->hello, x->hello_len);
	expect_turned_away();
}

/* The address that the proxy names has its limits. */
static void
a_client_behind_a_proxy_that_comes_too_often_is_turned_away(void **state)
{
	(void)state;
	set_gate(10, 1);
	x->r.ingress.proxies = &x->proxy;
	x->r.ingress.n_proxies = 1;
	come_from("127.0.0.2", false, false);
	say(PROXY, strlen(PROXY));
	expect_taken(FRONT);
	close(x->got_fd);
	close(x->fd);
	gate_leave(x->r.gate, x->place);
	x->place = NULL;
	x->got_fd = -1;
	x->whom = NOBODY;
	for (int i = 0; i < 2 && x->whom == NOBODY; i++) {
		come_from("127.0.0.2", false, false);
		say(PROXY, strlen(PROXY));
	}
	expect_turned_away();
}

static void
an_end_before_the_hello_is_no_more_than_that(void **state)
{
	(void)state;
	come(true);
	expect_waiting();
	close(x->fd);
	x->fd = -1;
	while (!TAILQ_EMPTY(&x->r.workers[0].entries))
		relaytest_settle(&x->r);
	assert_int_equal(gate_count(x->r.gate), 0);
}

static void
a_hello_that_does_not_go_on_is_late(void **state)
{
	(void)state;
	x->r.opts.handshake_ms = SHORT_MS;
	come(true);
	say(x->hello, 50);
	expect_turned_away();
}

static void
its_place_can_be_given_to_others(void **state)
{
	struct gate_owner *o;
	struct gate_place *other;
	struct gate_who who = { 0 };

	(void)state;
	set_gate(1, 1000);
	come(true);
	who.key[0] = 1;
	assert_int_equal(gate_enter(x->r.gate, &who, 0, 0, &other), GATE_IN);
	o = gate_evicted(x->r.gate, 0);
	assert_non_null(o);
	o->evict(o);
	gate_leave(x->r.gate, other);
	expect_turned_away();
}

static void
all_are_dropped_at_the_end(void **state)
{
	(void)state;
	come(true);
	entry_drop_all(&x->r.workers[0]);
	expect_turned_away();
}

static void
every_failed_allocation_ends_one_connection_only(void **state)
{
	unsigned taken = 0;

	for (long n = 0; n < 8; n++) {
		x->kind = "tls";
		x->worker = 1;
		x->fail = n;
		come(true);
		if (!TAILQ_EMPTY(&x->r.workers[0].entries)) {
			say(x->hello, x->hello_len);
			mem_fail_after(n);
			while (!TAILQ_EMPTY(&x->r.workers[0].entries))
				relaytest_settle(&x->r);
			mem_fail_after(MEM_NO_FAIL);
		}
		relaytest_settle(&x->r);
		if (x->whom == NOBODY)
			expect_turned_away();
		taken += x->whom != NOBODY;
		teardown(state);
		setup(state);
	}
	assert_true(taken > 0 && taken < 8);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_tls_it_is_handed_on_at_once),
		TEST(a_listener_that_is_a_tunnels_too_makes_guests),
		TEST(a_name_that_nobody_serves_with_tls_is_the_relays),
		TEST(what_is_no_hello_is_the_relays_to_refuse),
		TEST(a_service_with_tls_of_its_own_gets_every_byte),
		TEST(a_service_that_has_just_gone_is_a_reset),
		TEST(a_proxys_header_comes_first),
		TEST(a_proxy_that_says_nothing_of_the_kind_is_turned_away),
		TEST(a_client_behind_a_proxy_that_comes_too_often_is_turned_away),
		TEST(an_end_before_the_hello_is_no_more_than_that),
		TEST(a_hello_that_does_not_go_on_is_late),
		TEST(its_place_can_be_given_to_others),
		TEST(all_are_dropped_at_the_end),
		TEST(every_failed_allocation_ends_one_connection_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
