/* SPDX-License-Identifier: ISC */
/*
 * visitorfix - a public port, "ssh" of the agent "pi", whose visitors are real sockets and whose
 * agent is the test.
 *
 * Header only, after cmocka.h; the test links with -Wl,--wrap=timer_set.
 */
#ifndef TEST_UNIT_VISITORFIX_H
#define TEST_UNIT_VISITORFIX_H

#include <string.h>

#include "cmd/relay/group.h"
#include "test/unit/publictest.h"
#include "test/unit/turns.h"

void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_set(struct timer *t, uint64_t ms);

/* A timer of this many milliseconds is over at once. */
static uint64_t hurried_ms;

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	__real_timer_set(t, ms == hurried_ms ? 0 : ms);
}

static struct relay r;
static struct worker *w;
static struct fake_session *agent;
static uint16_t port;

static int
setup(void **state)
{
	(void)state;
	hurried_ms = UINT64_MAX;
	publictest_init(&r, 1);
	w = &r.workers[0];
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	port = publictest_publish(agent, "ssh", "");
	return port != 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	publictest_fini(&r);
	return 0;
}

static inline struct publication *
ssh(void)
{
	struct publication *pub = publictest_find(w, "pi", "ssh");

	assert_non_null(pub);
	return pub;
}

/* The stream of a visitor that comes now. */
static inline struct fake_stream *
next_stream(void)
{
	size_t n = agent->n_streams;

	assert_true(publictest_streams(w, agent, n + 1));
	return agent->stream[n];
}

static inline void
agent_leaves(void)
{
	relaytest_hang_up(agent);
	relaytest_settle(&r);
}

static inline void
agent_returns(void)
{
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
}

/* The service has these rules from now on. */
static inline void
use_rules(const char *rules)
{
	assert_int_equal(publictest_publish(agent, "ssh", rules), port);
}

struct has_got {
	struct fake_stream *s;
	const void *p;
	size_t n;
};

static inline bool
has_got(void *arg)
{
	struct has_got *x = arg;
	char got[512];

	return bufq_read(&x->s->sent, 0, got, sizeof got) == x->n && memcmp(got, x->p, x->n) == 0;
}

/* The service has got these bytes, no more and no less. */
static inline bool
gets_bytes(struct fake_stream *s, const void *p, size_t n)
{
	struct has_got x = { s, p, n };

	return turns_until(w->loop, has_got, &x);
}

static inline bool
gets(struct fake_stream *s, const char *text)
{
	return gets_bytes(s, text, strlen(text));
}

#endif
