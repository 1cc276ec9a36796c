/* SPDX-License-Identifier: ISC */
/*
 * peer_test - a login at a relay that runs out of memory at each of its allocations in turn:
 * nothing of it stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/admit.h"
#include "cmd/relay/group.h"
#include "cmd/relay/peer.h"
#include "cmd/relay/registry.h"
#include "cmd/relay/worker.h"
#include "lib/base/mem.h"
#include "test/unit/memfilter.h"
#include "test/unit/muxpair.h"
#include "test/unit/relaytest.h"

struct client {
	struct carrier *c;
	bool greeted;
};

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	(void)h;
	((struct client *)arg)->greeted = true;
	return SESSION_GO_ON;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	(void)arg;
	(void)o;
	stream_reset(s, CODE_NOT_FOUND, "");
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)code;
	(void)text;
}

static void
on_idle(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct client *cl = arg;

	(void)err;
	(void)text;
	carrier_free(cl->c, CODE_GONE, "");
	cl->c = NULL;
}

static const struct carrier_user client_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
};

static void
on_settled(void *arg)
{
	(void)arg;
}

/* The client has said HELLO; the relay's part follows in mem_settle(). */
static void
client_init(struct client *cl, struct worker *w, enum ctl_role role)
{
	static struct budget budget = { .max = BUDGET_DEFAULT };
	const struct mux_config cfg = {
		.dialer = true, .endpoint = true, .keepalive_ms = 60000, .budget = &budget
	};
	struct session *s = mux_new(&cfg, loop_now_us(w->loop));
	struct ctl_hello h = net_hello(role);
	const struct dialect_from from = { .address = "test", .tls = "" };
	struct filter *f[2];
	struct addr addr;

	assert_true(addr_literal("192.0.2.7", 5022, &addr));
	assert_true(s != NULL && memfilter_pair(w->loop, f));
	cl->greeted = false;
	cl->c = carrier_new(w->loop, f[0], s, &client_user, cl);
	assert_non_null(cl->c);
	assert_non_null(peer_new(w, f[1], &dialect_native, &from, &addr, on_settled, NULL));
	assert_int_equal(session_greet(carrier_session(cl->c), &h), 0);
}

static void
nothing_stays_of_a_login_without_memory(void **state)
{
	bool failed = true;
	long fail = 0;

	(void)state;
	for (; failed; fail++) {
		struct relay r;
		struct client cl;
		uint64_t before;

		relaytest_init(&r, 1);
		client_init(&cl, &r.workers[0], fail % 2 == 0 ? CTL_AGENT : CTL_CONNECT);
		buf_pool_free();
		before = mem_count();
		mem_fail_after(fail / 2);
		mem_settle(r.workers[0].loop);
		failed = mem_count() - before > (uint64_t)fail / 2 || fail % 2 == 0;
		mem_fail_after(MEM_NO_FAIL);
		assert_true(failed || cl.greeted);
		carrier_free(cl.c, CODE_GONE, "");
		mem_settle(r.workers[0].loop);
		peer_drop_all(&r.workers[0]);
		assert_null(r.workers[0].groups);
		assert_int_equal(atomic_load(&r.counts.agents) + atomic_load(&r.counts.clients), 0);
		relaytest_fini(&r);
	}
	assert_true(fail > 20);
}

/* Who says goodbye without a stream is let go at once; with streams, when they are over. */
static void
a_goodbye_ends_the_session_when_its_streams_are_over(void **state)
{
	struct relay r;
	struct fake_session *agent, *idle, *busy;
	struct fake_stream *s;

	(void)state;
	relaytest_init(&r, 1);
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	idle = relaytest_login(&r, 0, CTL_CONNECT, "pi");
	busy = relaytest_login(&r, 0, CTL_CONNECT, "pi");
	s = fake_open(busy, "ssh");
	/* Nothing has been said: no streams is no reason to go. */
	idle->s.user->idle(idle->s.arg);
	relaytest_settle(&r);
	assert_false(relaytest_is_ended(idle));
	idle->s.going = busy->s.going = true;
	idle->s.user->goaway(idle->s.arg, CODE_OK, "bye");
	busy->s.user->goaway(busy->s.arg, CODE_OK, "bye");
	relaytest_settle(&r);
	assert_true(relaytest_is_ended(idle));
	assert_false(relaytest_is_ended(busy));
	assert_false(s->over);
	fake_end(s, CODE_OK, "");
	busy->s.user->idle(busy->s.arg);
	relaytest_settle(&r);
	assert_true(relaytest_is_ended(busy));
	assert_false(relaytest_is_ended(agent));
	relaytest_fini(&r);
}

/* Each allocation of a new peer fails in turn: there is none, and the connection is its owner's. */
static void
without_memory_there_is_no_peer(void **state)
{
	const struct dialect_from from = { .address = "test", .tls = "" };
	struct peer *p = NULL;
	struct addr addr;
	struct relay r;
	long n = 0;

	(void)state;
	relaytest_init(&r, 1);
	assert_true(addr_literal("192.0.2.7", 5022, &addr));
	for (; p == NULL; n++) {
		struct filter *f[2];

		assert_true(memfilter_pair(r.workers[0].loop, f));
		mem_fail_after(n);
		p = peer_new(&r.workers[0], f[0], &dialect_native, &from, &addr, on_settled, NULL);
		mem_fail_after(MEM_NO_FAIL);
		assert_int_equal(TAILQ_EMPTY(&r.workers[0].peers), p == NULL);
		if (p == NULL)
			filter_free(f[0]);
		filter_free(f[1]);
		mem_settle(r.workers[0].loop);
	}
	assert_true(n > 3);
	peer_drop_all(&r.workers[0]);
	relaytest_fini(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_stays_of_a_login_without_memory),
		cmocka_unit_test(a_goodbye_ends_the_session_when_its_streams_are_over),
		cmocka_unit_test(without_memory_there_is_no_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
