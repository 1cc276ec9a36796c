/* SPDX-License-Identifier: ISC */
/*
 * frontfix - visitors of a web listener: their connections are real sockets, and the agent "pi" is
 * the test, as is the clock.
 *
 * Header only, after cmocka.h; the test links as handclock.h says.
 */
#ifndef TEST_UNIT_FRONTFIX_H
#define TEST_UNIT_FRONTFIX_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/relay/gate.h"
#include "cmd/relay/group.h"
#include "cmd/relay/ingress/front.h"
#include "cmd/relay/ingress/publish_host.h"
#include "lib/net/sockopt.h"
#include "test/unit/handclock.h"
#include "test/unit/publictest.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

enum {
	WORKERS = 2,
	PLACES = 4,
	HEAD_MS = 10000,
	BODY_MS = 30000,
	ANSWER_MS = 40000,
	IDLE_MS = 60000,
	REQUEST_MS = 25000,
	UPGRADE_MS = 3600000
};

static struct relay r;
static struct fake_session *agent;
/* The worker that the agent's name is on. */
static struct worker *w;

static void
use_times(struct relay_opts *o)
{
	o->head_ms = HEAD_MS;
	o->body_ms = BODY_MS;
	o->answer_ms = ANSWER_MS;
	o->idle_ms = IDLE_MS;
	o->request_ms = REQUEST_MS;
	o->upgrade_ms = UPGRADE_MS;
	o->max_idle = PLACES;
}

/* more: members of the request ("" or ",..."). */
static inline struct fake_session *
agent_comes(const char *name, const char *more)
{
	struct fake_session *f = relaytest_login(&r, 0, CTL_AGENT, name);
	char text[512];

	snprintf(text, sizeof text,
	    "\"request\":\"publish\",\"kind\":\"http\",\"service\":\"http\"%s", more);
	assert_true(publictest_ask(f, text)->ok);
	return f;
}

static int
setup(void **state)
{
	struct route at;

	(void)state;
	publictest_init(&r, WORKERS);
	publictest_web(&r, 8080, 0, "t.test", NULL);
	use_times(&r.opts);
	r.fronts = fronts_gate(&r, WORKERS);
	agent = agent_comes("pi", "");
	if (publish_route(&r, "pi.t.test", &at) != ROUTE_FOUND)
		return -1;
	w = &r.workers[at.worker];
	return r.fronts != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	struct gate *g = r.fronts;

	(void)state;
	publictest_fini(&r);
	gate_free(g);
	return 0;
}

/* publish_again - the same service, said with these members. */
static inline void
publish_again(const char *more)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "\"request\":\"publish\",\"kind\":\"http\",\"service\":\"http\"%s", more);
	assert_true(publictest_ask(agent, text)->ok);
}

/* ---- visitors ---- */

/* Its connection is on this worker; returns the other end. */
static inline int
visitor_on(struct worker *at)
{
	struct gate_who who = { .any_rate = true, .any_places = true };
	struct gate_place *place;
	struct addr from, to;
	int fd[2];

	sockpair_tcp(fd, true);
	assert_int_equal(addr_local(fd[0], &from), 0);
	assert_int_equal(addr_local(fd[1], &to), 0);
	addr_identity(&from, who.key);
	assert_int_equal(gate_enter(r.fronts, &who, at->index, 0, &place), GATE_IN);
	front_start(at, fd[1], &from, &to, false, place);
	return fd[0];
}

/* It breaks off; a mere end would leave it the answer that it waits for. */
static inline void
visitor_breaks_off(int fd)
{
	sockopt_reset(fd, true);
	close(fd);
}

static inline void
visitor_says(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static inline void
visitor_gets(int fd, const char *target)
{
	char text[256];

	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: pi.t.test\r\n\r\n", target);
	visitor_says(fd, text);
}

/* What a visitor's program has read, and how it ended. */
struct heard {
	int fd;
	const char *wanted;
	char text[8192];
	size_t len;
	enum visit how;
};

static inline bool
has_heard(void *arg)
{
	struct heard *h = arg;
	ssize_t n = 0;

	while (h->how == VISIT_OPEN &&
	       (n = read(h->fd, h->text + h->len, sizeof h->text - 1 - h->len)) > 0)
		h->len += (size_t)n;
	h->text[h->len] = '\0';
	if (h->how == VISIT_OPEN && n == 0)
		h->how = VISIT_FIN;
	else if (h->how == VISIT_OPEN && errno == ECONNRESET)
		h->how = VISIT_RESET;
	return h->wanted != NULL ? strstr(h->text, h->wanted) != NULL : h->how != VISIT_OPEN;
}

/* Until this is among what it has read; text: all of it. */
static inline const char *
hears(int fd, const char *wanted)
{
	static struct heard h;

	h = (struct heard){ .fd = fd, .wanted = wanted };
	if (!turns_until(w->loop, has_heard, &h))
		fail_msg("\"%s\" does not come, but \"%s\"", wanted, h.text);
	return h.text;
}

/* How its connection ends, and what came before; it is closed then. */
static inline enum visit
ends(int fd, char text[8192])
{
	struct heard h = { .fd = fd };

	assert_true(turns_until(w->loop, has_heard, &h));
	if (text != NULL)
		memcpy(text, h.text, sizeof h.text);
	close(fd);
	return h.how;
}

/* ---- the service ---- */

static inline bool
was_asked(void *arg)
{
	const char *wanted = arg;
	struct fake_stream *s = agent->n_streams > 0 ? agent->stream[agent->n_streams - 1] : NULL;
	static char text[128 * 1024];
	size_t n;

	if (s == NULL)
		return false;
	n = bufq_read(&s->sent, 0, text, sizeof text);
	return memmem(text, n, wanted, strlen(wanted)) != NULL;
}

/* The newest stream, once this was said on it. */
static inline struct fake_stream *
asked(const char *wanted)
{
	struct fake_stream *s;

	if (!turns_until(w->loop, was_asked, (void *)(uintptr_t)wanted))
		fail_msg("the service is not asked for \"%s\"", wanted);
	s = agent->stream[agent->n_streams - 1];
	return s;
}

static inline void
accepts(struct fake_stream *s)
{
	static const struct ctl_open_ok ok;

	s->s.user->opened(s->s.arg, &ok);
}

static inline void
takes_all(struct fake_stream *s)
{
	size_t n = s->sent.len;

	s->s.user->sent(s->s.arg, n - s->s.tx);
	s->s.tx = n;
	s->s.user->acked(s->s.arg, n, false);
}

/* A request on a new stream that the service has taken. */
static inline struct fake_stream *
taken(const char *wanted)
{
	struct fake_stream *s = asked(wanted);

	accepts(s);
	takes_all(s);
	return s;
}

#define SHORT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* A stream that has carried a request and waits; the visitor's connection is fd. */
static inline struct fake_stream *
used_stream(int fd)
{
	struct fake_stream *s;

	visitor_gets(fd, "/first");
	s = taken("GET /first ");
	fake_data(s, SHORT);
	hears(fd, "ok");
	return s;
}

static inline bool
is_empty(void *arg)
{
	struct worker *at = arg;

	return TAILQ_EMPTY(&at->fronts);
}

static inline void
all_leave(void)
{
	for (int i = 0; i < WORKERS; i++)
		assert_true(turns_until(r.workers[i].loop, is_empty, &r.workers[i]));
	assert_int_equal(gate_count(r.fronts), 0);
	assert_int_equal(atomic_load(&r.counts.visitors), 0);
}

#endif
