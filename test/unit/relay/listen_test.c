/* SPDX-License-Identifier: ISC */
/*
 * listen_test - the relay's listeners: what they may be, who is let in, on which worker, and what
 * the others are told.
 *
 * link: -Wl,--wrap=guest_start,--wrap=gate_enter,--wrap=listen_accept
 * link: -Wl,--wrap=rlimit_reserve_init,--wrap=timer_set,--wrap=io_init
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/relay/gate.h"
#include "cmd/relay/guest.h"
#include "cmd/relay/listen.h"
#include "cmd/relay/origin.h"
#include "lib/base/mem.h"
#include "lib/base/rlimit.h"
#include "lib/conf/jobj.h"
#include "test/unit/heap.h"
#include "test/unit/listen_on.h"
#include "test/unit/relaytest.h"
#include "test/unit/turns.h"

enum { GUESTS_MAX = 128, PAUSE_MS = 100, TURN_MAX = 64 };

void __wrap_guest_start(
    struct worker *w, int fd, const struct addr *from, bool tls, struct gate_place *place);
enum gate_answer __wrap_gate_enter(struct gate *g, const struct gate_who *who, int worker,
    uint64_t now_ms, struct gate_place **place);
enum gate_answer __real_gate_enter(struct gate *g, const struct gate_who *who, int worker,
    uint64_t now_ms, struct gate_place **place);
int __wrap_listen_accept(int listener, int *fd, struct addr *peer);
int __real_listen_accept(int listener, int *fd, struct addr *peer);
int __wrap_rlimit_reserve_init(struct rlimit_reserve *r);
int __real_rlimit_reserve_init(struct rlimit_reserve *r);
void __wrap_timer_set(struct timer *t, uint64_t ms);
void __real_timer_set(struct timer *t, uint64_t ms);
int __wrap_io_init(
    struct io *io, struct loop *l, int fd, bool edge, void (*fn)(void *arg, int what), void *arg);
int __real_io_init(
    struct io *io, struct loop *l, int fd, bool edge, void (*fn)(void *arg, int what), void *arg);

static struct fix {
	struct relay r;
	struct listeners *ls;
	char *specs[4];
	/* Who was let in. */
	struct {
		struct worker *w;
		int fd;
		struct addr from;
		bool tls;
		struct gate_place *place;
		uint64_t turn;
	} guest[GUESTS_MAX];
	int n_guests, wanted;
	/* The gate's answer; GATE_IN: its own. */
	enum gate_answer answer;
	/* What listen_accept says first; 0: nothing. */
	int accept_error;
	bool no_reserve;
	/* So many descriptors can be watched; negative: all. */
	int watch_max;
	/* The end of a pause, which the test brings about. */
	struct timer *pause;
	/* A visitor. */
	int fd;
	char got[512];
	bool over;
} x;

void
__wrap_guest_start(
    struct worker *w, int fd, const struct addr *from, bool tls, struct gate_place *place)
{
	assert_true(x.n_guests < GUESTS_MAX);
	x.guest[x.n_guests].w = w;
	x.guest[x.n_guests].fd = fd;
	x.guest[x.n_guests].from = *from;
	x.guest[x.n_guests].tls = tls;
	x.guest[x.n_guests].place = place;
	x.guest[x.n_guests++].turn = loop_turn(w->loop);
}

enum gate_answer
__wrap_gate_enter(struct gate *g, const struct gate_who *who, int worker, uint64_t now_ms,
    struct gate_place **place)
{
	return x.answer != GATE_IN ? x.answer : __real_gate_enter(g, who, worker, now_ms, place);
}

int
__wrap_listen_accept(int listener, int *fd, struct addr *peer)
{
	int r = x.accept_error;

	x.accept_error = 0;
	return r != 0 ? r : __real_listen_accept(listener, fd, peer);
}

int
__wrap_rlimit_reserve_init(struct rlimit_reserve *r)
{
	return x.no_reserve ? ERR_SYS : __real_rlimit_reserve_init(r);
}

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	if (ms == PAUSE_MS)
		x.pause = t;
	else
		__real_timer_set(t, ms);
}

int
__wrap_io_init(
    struct io *io, struct loop *l, int fd, bool edge, void (*fn)(void *arg, int what), void *arg)
{
	if (x.watch_max == 0)
		return ERR_NOMEM;
	x.watch_max--;
	return __real_io_init(io, l, fd, edge, fn, arg);
}

/* ---- the set-up ---- */

static int
setup_n(int workers)
{
	x = (struct fix){ .fd = -1, .answer = GATE_IN, .watch_max = -1 };
	relaytest_init(&x.r, workers);
	x.r.opts.listen.v = x.specs;
	/* Room for more visitors than a turn takes. */
	x.r.opts.max_handshakes = 1000;
	gate_free(x.r.gate);
	x.r.gate = guests_gate(&x.r, workers);
	return x.r.gate == NULL;
}

static int
setup(void **state)
{
	(void)state;
	return setup_n(1);
}

static int
setup_three(void **state)
{
	(void)state;
	return setup_n(3);
}

static int
teardown(void **state)
{
	(void)state;
	listeners_stop(x.ls);
	for (int i = 0; i < x.n_guests; i++) {
		gate_leave(x.r.gate, x.guest[i].place);
		close(x.guest[i].fd);
	}
	if (x.fd >= 0)
		close(x.fd);
	relaytest_fini(&x.r);
	return 0;
}

static int
open_specs(const char *first, const char *second, struct errtext *why)
{
	x.specs[0] = (char *)(uintptr_t)first;
	x.specs[1] = (char *)(uintptr_t)second;
	x.r.opts.listen.n = second != NULL ? 2 : 1;
	return listeners_open(&x.r, &x.ls, why);
}

/* As open, and accepting. */
static void
listen_at(const char *first, const char *second)
{
	struct errtext why = { "" };

	if (open_specs(first, second, &why) != 0)
		fail_msg("%s", why.s);
	assert_int_equal(listeners_start(x.ls, x.r.workers[0].loop), 0);
}

/* What the ready file says of listener i. */
static void
told(int i, char host[64], uint16_t *port, bool *tls)
{
	char *text = listeners_ready_json(x.ls);
	struct jobj *o = NULL;
	const struct jobj *one;
	int64_t n;

	assert_non_null(text);
	assert_int_equal(jobj_parse(text, strlen(text), 4096, &o, NULL), 0);
	assert_true(jobj_as_int(jobj_get(o, "pid"), &n));
	assert_int_equal(n, getpid());
	one = jobj_at(jobj_get(o, "tunnel"), (size_t)i);
	assert_non_null(one);
	snprintf(host, 64, "%s", jobj_as_str(jobj_get(one, "address")));
	assert_true(jobj_as_int(jobj_get(one, "port"), &n));
	*port = (uint16_t)n;
	assert_true(jobj_as_bool(jobj_get(one, "tls"), tls));
	jobj_free(o);
	mem_free(text);
}

/* A connection to listener i. */
static int
visit(int i)
{
	char host[64];
	uint16_t port;
	bool tls;
	int fd;

	told(i, host, &port, &tls);
	fd = listen_visit(port);
	assert_true(fd >= 0);
	return fd;
}

static bool
are_there(void *arg)
{
	(void)arg;
	return x.n_guests >= x.wanted;
}

static void
wait_for_guests(int n)
{
	x.wanted = n;
	assert_true(turns_until(x.r.workers[0].loop, are_there, NULL));
	relaytest_settle(&x.r);
	assert_int_equal(x.n_guests, n);
}

/* What the visitor was sent, until the end. */
static bool
is_over(void *arg)
{
	size_t len = strlen(x.got);
	ssize_t n = recv(x.fd, x.got + len, sizeof x.got - 1 - len, MSG_DONTWAIT);

	(void)arg;
	x.over = n == 0;
	return x.over;
}

static void
is_turned_away(void)
{
	x.got[0] = '\0';
	memset(x.got, 0, sizeof x.got);
	assert_true(turns_until(x.r.workers[0].loop, is_over, NULL));
	close(x.fd);
	x.fd = -1;
}

/* ---- opening ---- */

static void
each_listener_of_the_web_counts(void **state)
{
	static char first[] = "127.0.0.1:0", second[] = "nonsense";
	char *specs[] = { first, second };
	struct errtext why = { "" };

	(void)state;
	x.r.opts.http = (struct opt_list){ specs, 2 };
	assert_int_equal(listeners_open(&x.r, &x.ls, &why), ERR_INVALID);
	assert_non_null(strstr(why.s, "nonsense"));
	x.r.opts.http.n = 0;
	x.r.opts.https = (struct opt_list){ specs, 1 };
	assert_int_equal(listeners_open(&x.r, &x.ls, &why), ERR_INVALID);
	assert_non_null(strstr(why.s, "--https 127.0.0.1:0: there is no certificate"));
}

static void
what_cannot_be_listened_on_is_told(void **state)
{
	struct errtext why = { "" };
	char used[96];
	struct addr a;
	int fd = -1;

	(void)state;
	assert_int_equal(open_specs("nonsense", NULL, &why), ERR_INVALID);
	assert_int_equal(strncmp(why.s, "--listen: ", 10), 0);
	assert_non_null(strstr(why.s, "nonsense"));
	assert_int_equal(open_specs("127.0.0.1:0", "plain:nonsense", &why), ERR_INVALID);
	assert_null(strstr(why.s, "plain:"));
	/* What was open is closed again, one that is in use by another is not. */
	snprintf(used, sizeof used, "unix:/tmp/listen_test.%d", (int)getpid());
	assert_int_equal(listen_open(used, &fd, &why), 0);
	assert_int_equal(open_specs("127.0.0.1:0", used, &why), ERR_EXISTS);
	assert_int_equal(addr_local(fd, &a), 0);
	assert_int_equal(access(used + 5, F_OK), 0);
	listen_close(fd);
	assert_int_equal(open_specs(used, "nonsense", &why), ERR_INVALID);
	assert_int_not_equal(access(used + 5, F_OK), 0);
	assert_null(x.ls);
}

static void
without_a_descriptor_in_reserve_nothing_is_open(void **state)
{
	struct errtext why = { "" };
	char path[96];

	(void)state;
	snprintf(path, sizeof path, "unix:/tmp/listen_test.%d", (int)getpid());
	x.no_reserve = true;
	assert_int_equal(open_specs(path, NULL, &why), ERR_SYS);
	assert_non_null(strstr(why.s, "reserve"));
	assert_int_not_equal(access(path + 5, F_OK), 0);
}

static void
nobody_else_reaches_a_relay_without_credentials(void **state)
{
	static const struct {
		const char *spec;
		bool exposed;
	} cases[] = {
		{ "127.0.0.1:0", false },
		{ "localhost:0", false },
		{ "unix:", false },
		{ "0.0.0.0:0", true },
		{ "plain:0.0.0.0:0", true },
	};
	struct errtext why = { "" };

	(void)state;
	for (int let_in = 0; let_in < 3; let_in++) {
		if (let_in == 1)
			relaytest_creds(&x.r, "{\"edge-agents\":{\"pi\":\"s\"}}");
		if (let_in == 2) {
			creds_unref(x.r.creds);
			x.r.creds = NULL;
			x.r.opts.insecure = true;
		}
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
			bool refused = cases[i].exposed && let_in == 0;
			char spec[96];

			snprintf(spec, sizeof spec, "%s", cases[i].spec);
			if (strcmp(spec, "unix:") == 0)
				snprintf(
				    spec, sizeof spec, "unix:/tmp/listen_test.%d", (int)getpid());
			assert_int_equal(open_specs(spec, NULL, &why), refused ? ERR_INVALID : 0);
			if (refused) {
				assert_non_null(strstr(why.s, spec));
				assert_non_null(strstr(why.s, "--insecure"));
			}
			listeners_stop(x.ls);
			x.ls = NULL;
		}
	}
}

static void
the_ready_file_says_where_and_how(void **state)
{
	char path[96], host[64];
	uint16_t port, other;
	bool tls;

	(void)state;
	/* Looked at for being there. */
	x.r.tls = (struct tls_server_ctx *)&x;
	listen_at("127.0.0.1:0", "plain:127.0.0.1:0");
	told(0, host, &port, &tls);
	assert_string_equal(host, "127.0.0.1");
	assert_int_not_equal(port, 0);
	assert_true(tls);
	told(1, host, &other, &tls);
	assert_int_not_equal(other, port);
	assert_false(tls);
	listeners_stop(x.ls);

	snprintf(path, sizeof path, "unix:/tmp/listen_test.%d", (int)getpid());
	x.r.tls = NULL;
	listen_at(path, "127.0.0.1:0");
	told(0, host, &port, &tls);
	assert_string_equal(host, path);
	assert_int_equal(port, 0);
	assert_false(tls);
	told(1, host, &port, &tls);
	assert_false(tls);
}

static void
without_memory_there_is_no_ready_file(void **state)
{
	char *text = NULL;
	long n = 0;

	(void)state;
	listen_at("127.0.0.1:0", NULL);
	for (; text == NULL && n < 1000; n++) {
		mem_fail_after(n);
		text = listeners_ready_json(x.ls);
		mem_fail_after(MEM_NO_FAIL);
		/* Whole or not at all. */
		assert_true(text == NULL || strstr(text, "\"port\"") != NULL);
	}
	assert_non_null(text);
	assert_true(n > 1);
	mem_free(text);
}

static void
what_cannot_be_watched_is_not_accepted_from(void **state)
{
	(void)state;
	for (int n = 0; n <= 2; n++) {
		assert_int_equal(open_specs("127.0.0.1:0", "127.0.0.1:0", NULL), 0);
		x.watch_max = n;
		assert_int_equal(listeners_start(x.ls, x.r.workers[0].loop), n < 2 ? ERR_NOMEM : 0);
		listeners_stop(x.ls);
	}
	x.ls = NULL;
}

/* ---- accepting ---- */

static void
a_visitor_is_a_guest_with_a_place(void **state)
{
	struct sockaddr_in own;
	socklen_t len = sizeof own;

	(void)state;
	x.r.tls = (struct tls_server_ctx *)&x;
	listen_at("127.0.0.1:0", "plain:127.0.0.1:0");
	x.fd = visit(0);
	wait_for_guests(1);
	assert_ptr_equal(x.guest[0].w, &x.r.workers[0]);
	assert_true(x.guest[0].tls);
	assert_int_equal(getsockname(x.fd, (struct sockaddr *)&own, &len), 0);
	assert_int_equal(addr_port(&x.guest[0].from), ntohs(own.sin_port));
	assert_non_null(x.guest[0].place);
	assert_int_equal(gate_count(x.r.gate), 1);
	close(x.fd);
	x.fd = visit(1);
	wait_for_guests(2);
	assert_false(x.guest[1].tls);
	assert_int_equal(gate_count(x.r.gate), 2);
}

static void
visitors_are_dealt_out_in_turn(void **state)
{
	int fd[7];

	(void)state;
	listen_at("127.0.0.1:0", NULL);
	for (int i = 0; i < 7; i++) {
		fd[i] = visit(0);
		/* One after the other, whatever the order of the loops. */
		for (int left = 1000; x.n_guests == i && left > 0; left--)
			relaytest_settle(&x.r);
		assert_int_equal(x.n_guests, i + 1);
		assert_ptr_equal(x.guest[i].w, &x.r.workers[i % 3]);
		assert_false(x.guest[i].tls);
	}
	for (int i = 0; i < 7; i++)
		close(fd[i]);
}

static bool
is_dealt(void *arg)
{
	(void)arg;
	return gate_count(x.r.gate) == 2;
}

static void
who_is_under_way_at_the_end_is_closed(void **state)
{
	struct worker *w = &x.r.workers[1];
	int fd;

	(void)state;
	listen_at("127.0.0.1:0", NULL);
	fd = visit(0);
	wait_for_guests(1);
	x.fd = visit(0);
	assert_true(turns_until(x.r.workers[0].loop, is_dealt, NULL));
	assert_int_equal(x.n_guests, 1);
	/* Worker 1 never sees it: its loop is freed with the message. */
	pool_fini(&w->pool);
	tls_turns_free(w->turns);
	loop_free(w->loop);
	w->loop = loop_new();
	w->turns = origin_turns(&x.r.opts, w->loop);
	assert_non_null(w->turns);
	assert_int_equal(pool_init(&w->pool, w->loop), 0);
	assert_int_equal(gate_count(x.r.gate), 1);
	is_turned_away();
	assert_string_equal(x.got, "");
	close(fd);
}

static void
without_memory_a_visitor_is_dropped_and_leaves_no_place(void **state)
{
	int n_dropped = 0;

	(void)state;
	listen_at("127.0.0.1:0", NULL);
	for (long n = 0; n < 30; n++) {
		int before = x.n_guests;

		/* For worker 1, by a message. */
		while (x.n_guests % 3 != 1) {
			close(visit(0));
			wait_for_guests(x.n_guests + 1);
		}
		before = x.n_guests;
		x.fd = visit(0);
		mem_fail_after(n);
		for (int left = 1000; left > 0 && x.n_guests == before && !x.over; left--) {
			relaytest_settle(&x.r);
			is_over(NULL);
		}
		mem_fail_after(MEM_NO_FAIL);
		assert_true(x.over || x.n_guests > before);
		n_dropped += x.over;
		assert_int_equal(gate_count(x.r.gate), x.n_guests);
		close(x.fd);
		x.fd = -1;
		x.over = false;
		if (n_dropped > 0 && x.n_guests > before)
			return;
		/* The turn went on to the next worker. */
		for (int i = 0; i < x.n_guests; i++) {
			gate_leave(x.r.gate, x.guest[i].place);
			close(x.guest[i].fd);
		}
		x.n_guests = 0;
		teardown(state);
		setup_three(state);
		listen_at("127.0.0.1:0", NULL);
	}
	fail_msg("%d dropped", n_dropped);
}

static void
who_is_too_much_is_told_so(void **state)
{
	(void)state;
	listen_at("127.0.0.1:0", NULL);
	x.answer = GATE_OFTEN;
	x.fd = visit(0);
	is_turned_away();
	assert_string_equal(x.got,
	    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n");
	x.answer = GATE_FULL;
	x.fd = visit(0);
	is_turned_away();
	assert_string_equal(x.got,
	    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n");
	assert_int_equal(x.n_guests, 0);
	/* It is nobody's turn that was taken. */
	x.answer = GATE_IN;
	x.fd = visit(0);
	wait_for_guests(1);
	assert_ptr_equal(x.guest[0].w, &x.r.workers[0]);
}

static void
who_would_not_understand_is_told_nothing(void **state)
{
	(void)state;
	x.r.tls = (struct tls_server_ctx *)&x;
	listen_at("127.0.0.1:0", NULL);
	x.answer = GATE_OFTEN;
	x.fd = visit(0);
	is_turned_away();
	assert_string_equal(x.got, "");
}

static void
the_rate_of_an_address_counts(void **state)
{
	(void)state;
	x.r.opts.connection_rate = 1;
	gate_free(x.r.gate);
	x.r.gate = guests_gate(&x.r, 1);
	listen_at("127.0.0.1:0", NULL);
	for (int i = 0; i < 100 && x.got[0] == '\0'; i++) {
		x.fd = visit(0);
		for (int left = 100; left > 0 && x.n_guests <= i && x.got[0] == '\0'; left--) {
			relaytest_settle(&x.r);
			is_over(NULL);
		}
		close(x.fd);
		x.fd = -1;
	}
	assert_int_equal(strncmp(x.got, "HTTP/1.1 429 ", 13), 0);
}

static void
a_connection_that_is_gone_again_is_passed_over(void **state)
{
	(void)state;
	listen_at("127.0.0.1:0", NULL);
	/* The next is taken all the same. */
	x.accept_error = ERR_CLOSED;
	x.fd = visit(0);
	wait_for_guests(1);
	assert_null(x.pause);
	close(x.fd);
	x.fd = -1;
}

static void
a_turn_is_bounded(void **state)
{
	enum { N = TURN_MAX + 6 };
	int fd[N], first = 0;

	(void)state;
	listen_at("127.0.0.1:0", NULL);
	for (int i = 0; i < N; i++)
		fd[i] = visit(0);
	wait_for_guests(N);
	while (first < N && x.guest[first].turn == x.guest[0].turn)
		first++;
	assert_int_equal(first, TURN_MAX);
	for (int i = 0; i < N; i++)
		close(fd[i]);
}

/* ---- no descriptors ---- */

static struct rlimit own_limit;

static void
limit_descriptors(bool on)
{
	struct rlimit rl = own_limit;
	int lowest;

	if (on) {
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &own_limit), 0);
		rl = own_limit;
		lowest = dup(0);
		close(lowest);
		rl.rlim_cur = (rlim_t)lowest;
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
}

static void
without_descriptors_one_is_refused_and_accepting_rests(void **state)
{
	int next;

	(void)state;
	listen_at("127.0.0.1:0", NULL);
	x.fd = visit(0);
	next = visit(0);
	limit_descriptors(true);
	for (int left = 1000; x.pause == NULL && left > 0; left--)
		relaytest_settle(&x.r);
	limit_descriptors(false);
	relaytest_settle(&x.r);
	assert_int_equal(x.n_guests, 0);
	x.pause->fn(x.pause->arg);
	/* The first was refused, the other one is a guest now. */
	wait_for_guests(1);
	is_turned_away();
	assert_string_equal(x.got, "");
	close(next);
	/* And accepting goes on. */
	x.fd = visit(0);
	wait_for_guests(2);
}

/* ---- the end ---- */

static void
who_stops_is_reached_by_nobody(void **state)
{
	char host[64];
	uint16_t port;
	bool tls;

	(void)state;
	listeners_stop(NULL);
	listen_at("127.0.0.1:0", NULL);
	told(0, host, &port, &tls);
	listeners_stop(x.ls);
	x.ls = NULL;
	assert_int_equal(listen_visit(port), -1);
}

static void
round_trip(void)
{
	setup_n(1);
	listen_at("127.0.0.1:0", "plain:127.0.0.1:0");
	for (int i = 0; i < 2; i++)
		close(visit(0));
	wait_for_guests(2);
	teardown(NULL);
}

static void
everything_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(round_trip);
}

#define ONE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define THREE(name) cmocka_unit_test_setup_teardown(name, setup_three, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(what_cannot_be_listened_on_is_told),
		ONE(each_listener_of_the_web_counts),
		ONE(without_a_descriptor_in_reserve_nothing_is_open),
		ONE(nobody_else_reaches_a_relay_without_credentials),
		ONE(the_ready_file_says_where_and_how),
		ONE(without_memory_there_is_no_ready_file),
		ONE(what_cannot_be_watched_is_not_accepted_from),
		ONE(a_visitor_is_a_guest_with_a_place),
		THREE(visitors_are_dealt_out_in_turn),
		THREE(who_is_under_way_at_the_end_is_closed),
		THREE(without_memory_a_visitor_is_dropped_and_leaves_no_place),
		ONE(who_is_too_much_is_told_so),
		ONE(who_would_not_understand_is_told_nothing),
		ONE(the_rate_of_an_address_counts),
		ONE(a_connection_that_is_gone_again_is_passed_over),
		ONE(a_turn_is_bounded),
		ONE(without_descriptors_one_is_refused_and_accepting_rests),
		ONE(who_stops_is_reached_by_nobody),
		cmocka_unit_test(everything_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
