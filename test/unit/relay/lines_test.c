/* SPDX-License-Identifier: ISC */
/*
 * lines_test - a foreign dialect through the whole relay: found by its path, in whole messages both
 * ways, logged in by its first message or by its request, at once or later, joined to a native
 * agent and client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/relay/admit.h"
#include "cmd/relay/gate.h"
#include "cmd/relay/guest.h"
#include "lib/net/f_sock.h"
#include "test/unit/lines.h"
#include "test/unit/memfilter.h"
#include "test/unit/relaytest.h"
#include "test/unit/sockpair.h"
#include "test/unit/turns.h"

/* Somebody who speaks the dialect with the relay. */
struct visitor {
	int fd;
	char answer[1024];
	size_t len;
	bool over;
	struct carrier *c;
	bool welcome, closed;
	char bye[256];
	/* Its stream, opened by it or the relay; and what it was told of it. */
	struct stream *s;
	struct bufq got;
	bool opened, stream_closed;
	uint32_t code;
	size_t sent;
};

static struct fix {
	struct relay r;
	struct loop *l;
	struct visitor v, w;
} x;

static const struct dialect *const dialects[] = { &dialect_native, &dialect_lines,
	&dialect_lines_head, NULL };

static int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .v.fd = -1, .w.fd = -1 };
	relaytest_init(&x.r, 1);
	x.r.dialects = dialects;
	x.l = x.r.workers[0].loop;
	return 0;
}

static void
leave(struct visitor *v)
{
	carrier_free(v->c, CODE_GONE, "");
	v->c = NULL;
	bufq_fini(&v->got);
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}

static int
teardown(void **state)
{
	(void)state;
	leave(&x.v);
	leave(&x.w);
	loop_settle(x.l);
	relaytest_fini(&x.r);
	return 0;
}

/* ---- a visitor's stream ---- */

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)ok;
	((struct visitor *)arg)->opened = true;
}

static void
on_data(void *arg, struct bufq *in)
{
	struct visitor *v = arg;

	assert_int_equal(bufq_move(&v->got, in, in->len), 0);
}

static void
on_eof(void *arg)
{
	(void)arg;
	fail_msg("the dialect has no half-close");
}

static void
on_sent(void *arg, size_t n)
{
	((struct visitor *)arg)->sent += n;
}

static void
on_acked(void *arg, uint64_t off, bool eof)
{
	(void)arg;
	(void)off;
	(void)eof;
	fail_msg("the dialect has no acknowledgements");
}

static void
on_stream_closed(void *arg, uint32_t code, const char *text)
{
	struct visitor *v = arg;

	(void)text;
	v->s = NULL;
	v->stream_closed = true;
	v->code = code;
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.data = on_data,
	.eof = on_eof,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_stream_closed,
};

/* ---- a visitor's session ---- */

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	assert_int_equal(h->role, CTL_RELAY);
	((struct visitor *)arg)->welcome = true;
	return SESSION_GO_ON;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct visitor *v = arg;
	const struct ctl_open_ok ok = { 0 };

	assert_string_equal(o->service, "ssh");
	v->s = s;
	stream_set_user(s, &stream_user, v);
	assert_int_equal(stream_accept(s, &ok), 0);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct visitor *v = arg;

	(void)code;
	snprintf(v->bye, sizeof v->bye, "%s", text);
}

static void
on_idle(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)err;
	(void)text;
	((struct visitor *)arg)->closed = true;
}

static const struct carrier_user carrier_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
};

/* ---- conditions ---- */

static bool
has_answer(void *arg)
{
	struct visitor *v = arg;
	ssize_t n;

	/* Byte by byte: what comes behind the head is the WebSocket's. */
	while (!v->over && strstr(v->answer, "\r\n\r\n") == NULL &&
	       (n = recv(v->fd, v->answer + v->len, 1, 0)) >= 0) {
		v->len += (size_t)n;
		v->over = n == 0;
	}
	return v->over || strstr(v->answer, "\r\n\r\n") != NULL;
}

static bool
is_welcome(void *arg)
{
	return ((struct visitor *)arg)->welcome;
}

static bool
is_gone(void *arg)
{
	return ((struct visitor *)arg)->closed;
}

static bool
has_bytes(void *arg)
{
	return ((struct visitor *)arg)->got.len > 0;
}

static bool
has_stream(void *arg)
{
	return ((struct visitor *)arg)->s != NULL;
}

static bool
stream_is_over(void *arg)
{
	return ((struct visitor *)arg)->stream_closed;
}

static bool
was_sent(void *arg)
{
	return ((struct visitor *)arg)->sent > 0;
}

static bool
is_open(void *arg)
{
	return ((struct visitor *)arg)->opened;
}

/* The answer and its end have come: what closes now is no reset. */
static bool
has_all(void *arg)
{
	struct visitor *v = arg;
	char byte;
	ssize_t n;

	while (!v->over && (n = recv(v->fd, &byte, 1, 0)) >= 0)
		v->over = n == 0;
	return v->over;
}

static bool
has_no_guests(void *arg)
{
	(void)arg;
	return TAILQ_EMPTY(&x.r.workers[0].guests);
}

#define UNTIL(cond, v) assert_true(turns_until(x.l, cond, v))

/* ---- what a visitor does ---- */

static void
ask(struct visitor *v, const char *path, const char *header)
{
	struct gate_who who = { .any_rate = true, .any_places = true };
	struct gate_place *place;
	struct addr from = { .len = sizeof(struct sockaddr_in) };
	char request[512];
	int fd[2], n;

	from.u.in.sin_family = AF_INET;
	sockpair_tcp(fd, true);
	v->fd = fd[0];
	assert_int_equal(gate_enter(x.r.gate, &who, 0, 0, &place), GATE_IN);
	guest_start(&x.r.workers[0], fd[1], &from, false, place);
	n = snprintf(request, sizeof request,
	    "GET %s HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
	    path, header);
	assert_int_equal(send(v->fd, request, (size_t)n, MSG_NOSIGNAL), n);
}

static int
status(struct visitor *v)
{
	int code = 0;

	UNTIL(has_answer, v);
	assert_int_equal(sscanf(v->answer, "HTTP/1.1 %d ", &code), 1);
	return code;
}

/* The WebSocket stands: from here on the visitor has a session. */
static void
talk(struct visitor *v)
{
	struct f_ws_config cfg = carrier_ws(dialect_lines.carries, dialect_lines.message_max);
	struct session *s = dialect_dial(&dialect_lines, NULL, 0);
	struct filter *f = f_sock_new(x.l, v->fd, true);

	v->fd = -1;
	cfg.client = true;
	assert_true(s != NULL && f != NULL);
	f = f_ws_new(f, x.l, &cfg);
	assert_non_null(f);
	v->c = carrier_new(x.l, f, s, &carrier_user, v);
	assert_non_null(v->c);
}

static void
say_hello(struct visitor *v, enum ctl_role role, const char *secret)
{
	struct ctl_hello h = { .role = role };

	snprintf(h.name, sizeof h.name, "pi");
	snprintf(h.secret, sizeof h.secret, "%s", secret);
	assert_int_equal(session_greet(carrier_session(v->c), &h), 0);
}

static void
log_in(struct visitor *v, enum ctl_role role)
{
	ask(v, "/lines", "");
	assert_int_equal(status(v), 101);
	talk(v);
	say_hello(v, role, "s");
	UNTIL(is_welcome, v);
}

static void
open_ssh(struct visitor *v)
{
	const struct ctl_open o = { .service = "ssh" };

	v->s = session_open(carrier_session(v->c), &o, NULL, &stream_user, v, NULL);
	assert_non_null(v->s);
}

static void
send_text(struct visitor *v, const char *text)
{
	struct bufq q = { 0 };

	assert_int_equal(bufq_copy(&q, text, strlen(text)), 0);
	assert_int_equal(stream_send(v->s, &q, q.len), 0);
	bufq_fini(&q);
}

static bool
got(const struct visitor *v, const char *text)
{
	char s[256];
	size_t n = bufq_read(&v->got, 0, s, sizeof s);

	return n == strlen(text) && memcmp(s, text, n) == 0;
}

/* ---- the tests ---- */

static void
a_client_and_an_agent_of_a_foreign_dialect(void **state)
{
	(void)state;
	log_in(&x.v, CTL_AGENT);
	assert_string_equal(lines_seen.target, "/lines");
	assert_string_equal(lines_seen.tls, "");
	assert_non_null(strstr(lines_seen.address, "0.0.0.0"));
	log_in(&x.w, CTL_CONNECT);
	open_ssh(&x.w);
	UNTIL(has_stream, &x.v);
	UNTIL(is_open, &x.w);
	send_text(&x.w, "question");
	UNTIL(has_bytes, &x.v);
	assert_true(got(&x.v, "question"));
	send_text(&x.v, "answer");
	UNTIL(has_bytes, &x.w);
	assert_true(got(&x.w, "answer"));
	stream_eof(x.v.s);
	UNTIL(stream_is_over, &x.w);
	assert_int_equal(x.w.code, CODE_OK);
	UNTIL(stream_is_over, &x.v);
	assert_int_equal(x.v.code, CODE_OK);
}

static void
a_native_agent_behind_it(void **state)
{
	struct fake_session *agent = relaytest_login(&x.r, 0, CTL_AGENT, "pi");
	struct fake_stream *a;

	(void)state;
	log_in(&x.w, CTL_CONNECT);
	open_ssh(&x.w);
	send_text(&x.w, "early");
	UNTIL(was_sent, &x.w);
	while (agent->n_streams == 0 || !fake_got(agent->stream[0], "early"))
		mem_settle(x.l);
	a = agent->stream[0];
	fake_data(a, "answer");
	a->s.user->eof(a->s.arg);
	UNTIL(stream_is_over, &x.w);
	assert_true(got(&x.w, "answer"));
	/* It knows no acknowledgements: what has left stands for one. */
	assert_int_equal(a->acked, 6);
	assert_true(a->acked_eof);
	assert_true(a->eof);
}

static void
a_wrong_secret_is_a_goodbye(void **state)
{
	(void)state;
	relaytest_creds(&x.r, "{\"edge-agents\":{\"pi\":\"s\"}}");
	ask(&x.v, "/lines", "");
	assert_int_equal(status(&x.v), 101);
	talk(&x.v);
	say_hello(&x.v, CTL_AGENT, "wrong");
	UNTIL(is_gone, &x.v);
	assert_string_equal(x.v.bye, "wrong name or secret");
	assert_false(x.v.welcome);
}

static void
a_binary_message_is_a_mistake(void **state)
{
	(void)state;
	log_in(&x.v, CTL_AGENT);
	carrier_session(x.v.c)->carries = SESSION_BINARY;
	assert_int_equal(session_greet(carrier_session(x.v.c), &(struct ctl_hello){ 0 }), 0);
	UNTIL(is_gone, &x.v);
}

/* ---- who it is stands in the request ---- */

static void
the_request_may_say_who_it_is(void **state)
{
	(void)state;
	relaytest_creds(&x.r, "{\"edge-agents\":{\"pi\":\"s\"}}");
	ask(&x.v, "/lines-head", "X-Lines: agent pi s\r\n");
	assert_int_equal(status(&x.v), 101);
	talk(&x.v);
	UNTIL(is_welcome, &x.v);
	assert_int_equal(atomic_load(&x.r.counts.agents), 1);
}

static void
a_refusal_is_a_status_then(void **state)
{
	static const struct {
		const char *header;
		int status;
	} v[] = { { "X-Lines: agent pi wrong\r\n", 403 }, { "", 403 },
		{ "X-Lines: agent\r\n", 400 }, { "X-Lines: agent \x7f s\r\n", 400 } };

	(void)state;
	relaytest_creds(&x.r, "{\"edge-agents\":{\"pi\":\"s\"}}");
	for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
		x.v = (struct visitor){ .fd = -1 };
		ask(&x.v, "/lines-head", v[i].header);
		assert_int_equal(status(&x.v), v[i].status);
		UNTIL(has_all, &x.v);
		leave(&x.v);
		assert_true(TAILQ_EMPTY(&x.r.workers[0].peers));
		/* Its place is free as soon as it has closed. */
		UNTIL(has_no_guests, NULL);
	}
}

/* Who may log in is known when the test says so. */
static struct admit *asked;
static int n_cancelled;

static void
late_ask(struct relay *r, struct admit *a, const struct ctl_hello *h)
{
	(void)r;
	assert_string_equal(h->secret, "s");
	asked = a;
}

static void
late_cancel(struct relay *r, struct admit *a)
{
	(void)r;
	assert_ptr_equal(a, asked);
	asked = NULL;
	n_cancelled++;
}

static const struct admitter late = { late_ask, late_cancel };

static bool
was_asked(void *arg)
{
	(void)arg;
	return asked != NULL;
}

static bool
was_cancelled(void *arg)
{
	(void)arg;
	return n_cancelled > 0;
}

static void
ask_late(struct visitor *v)
{
	x.r.admitter = &late;
	asked = NULL;
	n_cancelled = 0;
	ask(v, "/lines-head", "X-Lines: agent pi s\r\n");
	UNTIL(was_asked, NULL);
	assert_int_equal(recv(v->fd, v->answer, 1, 0), -1);
}

static void
the_answer_may_come_later(void **state)
{
	const struct creds_id id = { .kind = CREDS_AGENT, .name = "pi" };

	(void)state;
	ask_late(&x.v);
	asked->done(asked->arg, 0, &id);
	assert_int_equal(status(&x.v), 101);
	talk(&x.v);
	UNTIL(is_welcome, &x.v);
	assert_int_equal(n_cancelled, 0);
}

static void
later_it_may_be_a_refusal(void **state)
{
	(void)state;
	ask_late(&x.v);
	asked->done(asked->arg, ERR_AGAIN, NULL);
	assert_int_equal(status(&x.v), 503);
	leave(&x.v);
	x.v = (struct visitor){ .fd = -1 };
	ask_late(&x.v);
	asked->done(asked->arg, ERR_DENIED, NULL);
	assert_int_equal(status(&x.v), 403);
}

static void
the_deadline_ends_the_waiting(void **state)
{
	(void)state;
	x.r.opts.handshake_ms = 100;
	ask_late(&x.v);
	UNTIL(was_cancelled, NULL);
	UNTIL(has_answer, &x.v);
	assert_true(x.v.over && x.v.len == 0);
	assert_true(TAILQ_EMPTY(&x.r.workers[0].guests));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_client_and_an_agent_of_a_foreign_dialect),
		T(a_native_agent_behind_it),
		T(a_wrong_secret_is_a_goodbye),
		T(a_binary_message_is_a_mistake),
		T(the_request_may_say_who_it_is),
		T(a_refusal_is_a_status_then),
		T(the_answer_may_come_later),
		T(later_it_may_be_a_refusal),
		T(the_deadline_ends_the_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
