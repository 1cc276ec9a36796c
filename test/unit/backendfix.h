/* SPDX-License-Identifier: ISC */
/*
 * backendfix - requests to the service of an agent that is the test: what the backend's user was
 * told, and what the service got.
 *
 * Header only, after cmocka.h; the test links as handclock.h says.
 */
#ifndef TEST_UNIT_BACKENDFIX_H
#define TEST_UNIT_BACKENDFIX_H

#include <stdio.h>
#include <string.h>

#include "cmd/relay/account.h"
#include "cmd/relay/group.h"
#include "cmd/relay/ingress/backend.h"
#include "lib/base/mem.h"
#include "test/unit/handclock.h"
#include "test/unit/publictest.h"

enum { BACKENDFIX_CONNECT_MS = 10000, BACKENDFIX_TIMEOUT_MS = 25000, BACKENDFIX_STALL_MS = 60000 };

static struct relay r;
static struct worker *w;
static struct fake_session *agent;

/* One request, and what came of it. */
struct ask {
	struct backend_request q;
	struct backend *b;
	/* What it is told, in order: heads, payload, "|end", "|failed: why". */
	char got[4096];
	enum backend_failure failure;
	int n_heads, n_writable;
	bool ended, failed;
	/* What it does in its callbacks. */
	bool close_in_head, close_in_body, close_in_end, pause_in_body;
	/* Of a 101. */
	struct filter *switched;
	struct errtext why;
};

/* ---- the backend's user ---- */

static void
ask_note(struct ask *a, const char *text)
{
	strncat(a->got, text, sizeof a->got - strlen(a->got) - 1);
}

static void
ask_close(struct ask *a)
{
	if (a->b != NULL)
		backend_close(a->b);
	a->b = NULL;
}

static void
ask_on_writable(void *arg)
{
	((struct ask *)arg)->n_writable++;
}

static void
ask_on_head(void *arg, const struct http_head *h)
{
	struct ask *a = arg;
	char line[256];

	a->n_heads++;
	snprintf(line, sizeof line, "[%d %s]", http_status(h), http_reason(h));
	ask_note(a, line);
	if (http_status(h) == 101)
		a->switched = backend_upgraded(a->b);
	if (a->close_in_head)
		ask_close(a);
}

static void
ask_on_body(void *arg, struct bufq *in)
{
	struct ask *a = arg;
	char text[1024] = "";

	while (in->len > 0) {
		size_t n = bufq_read(in, 0, text, sizeof text - 1);

		text[n] = '\0';
		ask_note(a, text);
		bufq_drain(in, n);
	}
	if (a->pause_in_body)
		backend_pause(a->b, true);
	if (a->close_in_body)
		ask_close(a);
}

static void
ask_on_end(void *arg, const struct body_reader *b)
{
	struct ask *a = arg;
	const char *name, *value;
	char line[256];

	a->ended = true;
	for (size_t i = 0; body_trailer_at(b, i, &name, &value); i++) {
		snprintf(line, sizeof line, "{%s: %s}", name, value);
		ask_note(a, line);
	}
	ask_note(a, "|end");
	if (a->close_in_end)
		ask_close(a);
}

static void
ask_on_failed(void *arg, enum backend_failure f, const char *why)
{
	struct ask *a = arg;

	a->failed = true;
	a->failure = f;
	ask_note(a, "|failed: ");
	ask_note(a, why);
}

static const struct backend_user ask_user = { ask_on_writable, ask_on_head, ask_on_body, ask_on_end,
	ask_on_failed };

/* ---- asking ---- */

static struct publication *
web(void)
{
	struct publication *pub = publictest_find(w, "pi", "web");

	assert_non_null(pub);
	return pub;
}

static struct account *
account_of(const char *address)
{
	static const struct creds_id nobody = { .kind = CREDS_NOBODY };
	uint8_t who[ADDR_IDENTITY_LEN];
	struct account *a;
	struct addr at;

	assert_true(addr_literal(address, 1, &at));
	addr_identity(&at, who);
	a = accounts_get(r.accounts, &nobody, who, NULL);
	assert_non_null(a);
	return a;
}

static struct ask
ask_by(const char *address)
{
	static struct addr visitor, to;

	assert_true(addr_literal(address, 40000, &visitor));
	assert_true(addr_literal("198.51.100.1", 80, &to));
	return (struct ask){ .q = { .pub = web(),
				 .agent = group_agent(web()->group),
				 .payer = account_of(address),
				 .visitor = &visitor,
				 .to = &to,
				 .connect_ms = BACKENDFIX_CONNECT_MS,
				 .timeout_ms = BACKENDFIX_TIMEOUT_MS,
				 .stall_ms = BACKENDFIX_STALL_MS } };
}

/* Also gives the reference of ask_by back. */
static bool
ask_open(struct ask *a)
{
	a->b = backend_open(w->loop, &a->q, &ask_user, a, &a->failure, &a->why);
	account_put(r.accounts, a->q.payer, 0);
	return a->b != NULL;
}

static void
ask_say(struct ask *a, const char *method, enum http_body body, uint64_t length)
{
	struct http_build head;

	http_build_request(&head, method, "/");
	http_build_header(&head, "Host", "a.test");
	assert_int_equal(backend_begin(a->b, &head, body, length), 0);
}

static void
ask_payload(struct ask *a, const char *text)
{
	struct bufq q = { 0 };

	assert_int_equal(bufq_copy(&q, text, strlen(text)), 0);
	assert_int_equal(backend_body(a->b, &q), 0);
	assert_int_equal(q.len, 0);
	bufq_fini(&q);
}

static void
ask_end(struct ask *a)
{
	assert_int_equal(backend_end(a->b, NULL), 0);
}

/* GET / for a visitor. */
static void
ask_get(struct ask *a)
{
	assert_true(ask_open(a));
	ask_say(a, "GET", HTTP_BODY_NONE, 0);
	ask_end(a);
}

/* ---- the service ---- */

static struct fake_stream *
stream_at(size_t i)
{
	assert_true(i < agent->n_streams);
	return agent->stream[i];
}

static struct fake_stream *
newest(void)
{
	return stream_at(agent->n_streams - 1);
}

static void
service_accepts(struct fake_stream *s)
{
	static const struct ctl_open_ok ok;

	s->s.user->opened(s->s.arg, &ok);
}

/* All that was sent to it has left the relay, and was handed on. */
static void
service_takes_all(struct fake_stream *s)
{
	size_t n = s->sent.len;

	s->s.user->sent(s->s.arg, n - s->s.tx);
	s->s.tx = n;
	s->s.user->acked(s->s.arg, n, false);
}

static void
service_says(struct fake_stream *s, const char *text)
{
	fake_data(s, text);
}

static void
service_closes(struct fake_stream *s)
{
	s->s.user->eof(s->s.arg);
}

/* A GET on a new stream that the service has taken. */
static struct fake_stream *
ask_taken(struct ask *a)
{
	struct fake_stream *s;

	ask_get(a);
	s = newest();
	service_accepts(s);
	service_takes_all(s);
	return s;
}

/* ---- setup ---- */

static int
backendfix_setup(void **state)
{
	(void)state;
	publictest_init(&r, 1);
	w = &r.workers[0];
	agent = relaytest_login(&r, 0, CTL_AGENT, "pi");
	return publictest_publish(agent, "web", "") != 0 ? 0 : -1;
}

static int
backendfix_teardown(void **state)
{
	(void)state;
	publictest_fini(&r);
	return 0;
}

#endif
