/* SPDX-License-Identifier: ISC */
/* hnr_dial_test - our sessions with a relay of http-network-relay; the test is the relay. */
#include "proto/dialect/hnr_dial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "proto/dialect/hnr_msg.h"

enum { STREAMS = 8, S = 1000000 };

#define ID "237369e7-ea63-4072-8e48-36594930ba19"
#define OTHER "0b0cbd31-37a8-4ad0-8f6b-2f4ba8d4f7ee"
#define INITIATE(id)                                                                \
	"{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"127.0.0.1\"," \
	"\"target_port\":22,\"protocol\":\"tcp\",\"connection_id\":\"" id "\"}}"
#define DATA(id, b64)                                                                           \
	"{\"inner\":{\"kind\":\"tcp_data\",\"connection_id\":\"" id "\",\"data_base64\":\"" b64 \
	"\"}}"
#define CLOSE(id)                                                                               \
	"{\"inner\":{\"kind\":\"connection_close\",\"message\":\"Connection closed by relay\"," \
	"\"connection_id\":\"" id "\"}}"

/* A stream as its user sees it. */
struct one {
	struct stream *s;
	struct ctl_open open;
	struct bufq got;
	bool opened, closed, keep;
	uint64_t sent;
	uint32_t code;
	char text[128];
};

static struct fix {
	struct session *s;
	struct budget budget;
	uint64_t now;
	struct errtext why;
	int r;
	struct one one[STREAMS];
	int n, n_hello, n_idle, n_ping;
	bool stopped;
	uint32_t away;
	char said[4096];
} x;

/* ---- the sessions' user ---- */

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	struct one *o = arg;

	(void)ok;
	o->opened = true;
}

static void
on_data(void *arg, struct bufq *in)
{
	struct one *o = arg;
	size_t n = in->len;

	assert_int_equal(bufq_move(&o->got, in, n), 0);
	if (!o->keep)
		stream_consumed(o->s, n);
}

static void
on_eof(void *arg)
{
	(void)arg;
	fail_msg("the protocol has no half-close");
}

static void
on_sent(void *arg, size_t n)
{
	struct one *o = arg;

	o->sent += n;
}

static void
on_acked(void *arg, uint64_t off, bool eof)
{
	(void)arg;
	(void)off;
	(void)eof;
	fail_msg("the protocol has no acknowledgements");
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct one *o = arg;

	assert_false(o->closed);
	o->closed = true;
	o->s = NULL;
	o->code = code;
	snprintf(o->text, sizeof o->text, "%s", text);
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.data = on_data,
	.eof = on_eof,
	.sent = on_sent,
	.acked = on_acked,
	.closed = on_closed,
};

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	(void)arg;
	assert_int_equal(h->role, CTL_RELAY);
	x.n_hello++;
	return SESSION_GO_ON;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct one *one = &x.one[x.n++];

	(void)arg;
	assert_true(x.n <= STREAMS);
	one->s = s;
	one->open = *o;
	stream_set_user(s, &stream_user, one);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg;
	(void)text;
	x.away = code;
}

static void
on_want_output(void *arg)
{
	(void)arg;
}

static void
on_idle(void *arg)
{
	(void)arg;
	x.n_idle++;
}

static void
on_stop(void *arg, bool on)
{
	(void)arg;
	x.stopped = on;
	session_unread(x.s, on, x.now);
}

static void
on_ping(void *arg)
{
	(void)arg;
	x.n_ping++;
}

static const struct session_user session_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.want_output = on_want_output,
	.idle = on_idle,
	.stop = on_stop,
	.ping = on_ping,
};

/* ---- the test as the relay ---- */

static void
begin(enum ctl_role role, bool ours)
{
	struct mux_config cfg = { .dialer = true,
		.endpoint = true,
		.keepalive_ms = 15000,
		.budget = &x.budget,
		.ours = ours };
	struct ctl_hello h = { .role = role, .name = "pi", .secret = "sesame" };

	budget_init(&x.budget, 64 * 1024 * 1024, NULL);
	x.now = 5 * S;
	x.s = role == CTL_AGENT ? hnr_dial_agent(&cfg, x.now) : hnr_dial_client(&cfg, x.now);
	assert_non_null(x.s);
	session_set_user(x.s, &session_user, NULL);
	h.last_error = role == CTL_AGENT ? "gone \"away\"" : NULL;
	assert_int_equal(session_greet(x.s, &h), 0);
}

/* The next message that the session has to say, "" if there is none. */
static const char *
said(void)
{
	struct bufq out = { 0 };
	size_t n;

	assert_int_equal(session_output(x.s, &out, 65536, x.now), 0);
	n = bufq_read(&out, 0, x.said, sizeof x.said - 1);
	x.said[n] = '\0';
	bufq_fini(&out);
	return x.said;
}

static void
hear(const char *text)
{
	struct bufq in = { 0 };

	assert_int_equal(bufq_copy(&in, text, strlen(text)), 0);
	errtext_clear(&x.why);
	x.r = session_input(x.s, &in, x.now, &x.why);
	bufq_fini(&in);
}

static void
good(const char *text)
{
	hear(text);
	if (x.r != 0)
		fail_msg("%s: %s", text, x.why.s);
}

/* Time passes, a deadline at a time. */
static int
pass(uint64_t us)
{
	uint64_t until = x.now + us;
	int r = 0;

	while (r == 0 && session_deadline_us(x.s) <= until) {
		x.now = session_deadline_us(x.s) > x.now ? session_deadline_us(x.s) : x.now;
		r = session_tick(x.s, x.now, &x.why);
	}
	x.now = until;
	return r;
}

static void
send_text(struct one *o, const char *text)
{
	struct bufq q = { 0 };

	assert_int_equal(bufq_copy(&q, text, strlen(text)), 0);
	assert_int_equal(stream_send(o->s, &q, q.len), 0);
	bufq_fini(&q);
}

static void
got(struct one *o, const char *text)
{
	char buf[256];
	size_t n = bufq_read(&o->got, 0, buf, sizeof buf - 1);

	buf[n] = '\0';
	assert_string_equal(buf, text);
}

static int
setup(void **state)
{
	(void)state;
	memset(&x, 0, sizeof x);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (x.s != NULL) {
		session_abandon(x.s, CODE_GONE, "the end");
		session_free(x.s);
	}
	for (int i = 0; i < STREAMS; i++)
		bufq_fini(&x.one[i].got);
	assert_int_equal(x.budget.used, 0);
	assert_true(budget_is_idle(&x.budget));
	buf_pool_free();
	return 0;
}

/* ---- as an edge-agent ---- */

/* It has logged in, and has been asked for a stream, which is its user's first. */
static struct one *
asked(void)
{
	begin(CTL_AGENT, false);
	said();
	good(INITIATE(ID));
	return &x.one[0];
}

static struct one *
connected(void)
{
	const struct ctl_open_ok ok = { 0 };
	struct one *o = asked();

	assert_int_equal(stream_accept(o->s, &ok), 0);
	said();
	return o;
}

static void
the_login_says_what_went_wrong_before(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	assert_string_equal(said(), "{\"inner\":{\"kind\":\"start\",\"last_error\":\"gone "
				    "\\\"away\\\"\",\"name\":\"pi\",\"secret\":\"sesame\"}}");
	assert_string_equal(said(), "");
}

static void
silence_after_the_login_is_a_welcome(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	assert_int_equal(pass(60 * S), ERR_TIMEOUT); /* nothing has left, so it does not count */
	assert_int_equal(x.n_hello, 0);
	session_free(x.s);
	begin(CTL_AGENT, false);
	said();
	assert_int_equal(pass(HNR_SETTLE_US - 1), 0);
	assert_int_equal(x.n_hello, 0);
	assert_int_equal(pass(1), 0);
	assert_int_equal(x.n_hello, 1);
	good("{\"inner\":{\"kind\":\"keep_alive\"}}");
	assert_int_equal(x.n_hello, 1);
}

static void
a_word_of_the_relay_is_one_too(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	said();
	good("{\"inner\":{\"kind\":\"keep_alive\"}}");
	assert_int_equal(x.n_hello, 1);
	session_hung_up(x.s, ERR_EOF, 1000, "");
	assert_int_equal(x.away, CODE_OK);
}

static void
an_end_in_good_order_right_after_the_login_is_a_refusal(void **state)
{
	static const struct {
		int err, code;
		uint32_t away;
	} ends[] = { { ERR_EOF, 1000, CODE_DENIED }, { ERR_EOF, 1012, CODE_OK },
		{ ERR_CLOSED, 0, CODE_OK } };

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		begin(CTL_AGENT, false);
		said();
		session_hung_up(x.s, ends[i].err, ends[i].code, "");
		assert_int_equal(x.away, ends[i].away);
		session_free(x.s);
		x.s = NULL;
		x.away = CODE_OK;
	}
}

static void
a_stream_is_dialled_and_carried(void **state)
{
	struct one *o;
	const struct ctl_open_ok ok = { 0 };

	(void)state;
	o = asked();
	assert_string_equal(o->open.host, "127.0.0.1");
	assert_int_equal(o->open.port, 22);
	assert_string_equal(o->open.protocol, "tcp");
	/* Bytes may come before our answer. */
	good(DATA(ID, "aGVsbG8="));
	got(o, "hello");
	assert_int_equal(stream_accept(o->s, &ok), 0);
	send_text(o, "welcome");
	assert_string_equal(said(), "{\"inner\":{\"kind\":\"initiate_connection_ok\","
				    "\"connection_id\":\"" ID "\"}}");
	assert_string_equal(said(), DATA(ID, "d2VsY29tZQ=="));
	assert_int_equal(o->sent, 7);
	assert_string_equal(said(), "");
	good(CLOSE(ID));
	assert_true(o->closed);
	assert_int_equal(o->code, CODE_OK);
	assert_int_equal(x.n_idle, 1);
	/* What is unknown by now is passed over. */
	good(CLOSE(ID));
	good(DATA(ID, "aGVsbG8="));
}

static void
a_refusal_has_its_text(void **state)
{
	struct one *o;

	(void)state;
	o = asked();
	stream_reset(o->s, CODE_REFUSED, "nobody listens");
	assert_string_equal(said(),
	    "{\"inner\":{\"kind\":\"initiate_connection_error\","
	    "\"message\":\"nobody listens\",\"connection_id\":\"" ID "\"}}");
	assert_false(o->closed);
	assert_int_equal(x.s->n_streams, 0);
	/* The id is free again. */
	good(INITIATE(ID));
	assert_int_equal(x.n, 2);
}

static void
what_makes_no_sense_is_answered(void **state)
{
	static const char *const port[] = { "0", "-1", "65536", "99999999999" };
	char text[512];

	(void)state;
	begin(CTL_AGENT, false);
	said();
	for (size_t i = 0; i < sizeof port / sizeof port[0]; i++) {
		snprintf(text, sizeof text,
		    "{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"h\","
		    "\"target_port\":%s,\"protocol\":\"tcp\",\"connection_id\":\"" ID "\"}}",
		    port[i]);
		good(text);
		assert_non_null(strstr(said(), "initiate_connection_error"));
	}
	good("{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"h\",\"target_port\":1,"
	     "\"protocol\":\"udp\",\"connection_id\":\"" ID "\"}}");
	assert_non_null(strstr(said(), "Unsupported protocol: udp"));
	good("{\"inner\":{\"kind\":\"initiate_connection\",\"target_ip\":\"\",\"target_port\":1,"
	     "\"protocol\":\"tcp\",\"connection_id\":\"" ID "\"}}");
	assert_non_null(strstr(said(), "Name or service not known"));
	assert_int_equal(x.n, 0);
	session_goaway(x.s, CODE_OK, "");
	good(INITIATE(ID));
	assert_non_null(strstr(said(), "shutting down"));
}

static void
a_relay_that_makes_no_sense_is_left(void **state)
{
	static const char *const bad[] = { "", "{}", "[]", "{\"inner\":{}}",
		"{\"inner\":{\"kind\":\"start_ok\"}}", "{\"inner\":{\"kind\":\"tcp_data\"}}",
		DATA(ID, "a"), DATA(ID, "aGVsbG8"), INITIATE("a b") };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		asked();
		hear(bad[i]);
		if (x.r != ERR_PROTO || x.why.s[0] == '\0')
			fail_msg("%s: %d", bad[i], x.r);
		session_abandon(x.s, CODE_LOST, "");
		session_free(x.s);
		setup(state);
	}
	asked();
	hear(INITIATE(ID));
	assert_int_equal(x.r, ERR_PROTO);
}

static void
the_end_of_a_target_is_told_after_its_bytes_and_a_pause(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	send_text(o, "bye");
	stream_eof(o->s);
	assert_string_equal(said(), DATA(ID, "Ynll"));
	assert_string_equal(said(), "");
	assert_int_equal(pass(HNR_END_PAUSE_US - 1), 0);
	assert_string_equal(said(), "");
	/* Meanwhile the other way goes on. */
	good(DATA(ID, "aGVsbG8="));
	got(o, "hello");
	assert_int_equal(pass(1000), 0);
	assert_string_equal(said(),
	    "{\"inner\":{\"kind\":\"connection_reset\",\"message\":\"" HNR_ENDED
	    "\",\"connection_id\":\"" ID "\"}}");
	assert_true(o->closed);
	assert_int_equal(o->code, CODE_OK);
}

static void
the_pause_grows_with_what_the_relay_has_to_pass_on(void **state)
{
	struct bufq q = { 0 };
	struct one *o;
	uint8_t p[48000] = { 0 };

	(void)state;
	o = connected();
	for (int i = 0; i < 32; i++) {
		assert_int_equal(bufq_copy(&q, p, sizeof p), 0);
		assert_int_equal(stream_send(o->s, &q, q.len), 0);
		said();
	}
	stream_eof(o->s);
	assert_string_equal(said(), "");
	assert_int_equal(pass(3 * S), 0);
	assert_string_equal(said(), "");
	assert_false(o->closed);
	assert_int_equal(pass(2 * S), 0);
	assert_true(o->closed);
	/* It has had time for these before the end. */
	session_abandon(x.s, CODE_OK, "");
	session_free(x.s);
	setup(state);
	o = connected();
	send_text(o, "bye");
	said();
	assert_int_equal(pass(5 * S), 0);
	stream_eof(o->s);
	said();
	assert_int_equal(pass(HNR_END_PAUSE_US), 0);
	assert_true(o->closed);
}

static void
our_own_relay_is_not_waited_for(void **state)
{
	const struct ctl_open_ok ok = { 0 };

	(void)state;
	begin(CTL_AGENT, true);
	said();
	good(INITIATE(ID));
	assert_int_equal(stream_accept(x.one[0].s, &ok), 0);
	said();
	stream_eof(x.one[0].s);
	said();
	assert_int_equal(pass(0), 0);
	assert_non_null(strstr(said(), HNR_ENDED));
}

static void
a_reset_goes_behind_what_was_sent_and_says_another_text(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	send_text(o, "bye");
	stream_reset(o->s, CODE_RESET, "broken");
	assert_int_equal(x.s->n_streams, 0);
	assert_string_equal(said(), DATA(ID, "Ynll"));
	assert_string_equal(said(), "");
	assert_int_equal(pass(2 * S), 0);
	assert_non_null(strstr(said(), "connection_reset"));
	assert_null(strstr(x.said, HNR_ENDED));
	assert_false(o->closed);
}

static void
an_abort_goes_at_once(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	send_text(o, "bye");
	stream_abort(o->s, CODE_LIMIT, "too much");
	assert_non_null(strstr(said(), "connection_reset"));
	assert_string_equal(said(), "");
	assert_false(session_has_output(x.s));
}

static void
streams_take_turns(void **state)
{
	const struct ctl_open_ok ok = { 0 };
	struct bufq q = { 0 };
	struct one *o;
	uint8_t p[100000] = { 0 };

	(void)state;
	o = connected();
	good(INITIATE(OTHER));
	assert_int_equal(stream_accept(x.one[1].s, &ok), 0);
	said();
	assert_int_equal(bufq_copy(&q, p, sizeof p), 0);
	assert_int_equal(stream_send(o->s, &q, q.len), 0);
	send_text(&x.one[1], "small");
	said();
	assert_int_equal(o->sent, HNR_DATA_MAX);
	assert_string_equal(said(), DATA(OTHER, "c21hbGw="));
	said();
	said();
	assert_int_equal(o->sent, sizeof p);
	assert_string_equal(said(), "");
	/* And a reader that does not keep up is told by the room. */
	assert_int_equal(bufq_copy(&q, p, sizeof p), 0);
	assert_int_equal(stream_send(o->s, &q, q.len), 0);
	assert_int_equal(stream_room(o->s), MUX_UNSENT_MAX - sizeof p);
}

/* n messages of 48,000 bytes each for a stream. */
static void
flood(const char *id, int n)
{
	uint8_t p[48000] = { 0 };

	for (int i = 0; i < n && x.r == 0; i++) {
		struct bufq raw = { 0 }, in = { 0 };

		assert_int_equal(bufq_copy(&raw, p, sizeof p), 0);
		assert_int_equal(hnr_data_write(&in, id, &raw, raw.len), 0);
		x.r = session_input(x.s, &in, x.now, &x.why);
		bufq_fini(&in);
	}
	assert_int_equal(x.r, 0);
}

static void
a_target_that_does_not_read_stops_the_relay_for_a_while(void **state)
{
	struct one *o;

	(void)state;
	o = connected();
	o->keep = true;
	flood(ID, 10);
	assert_false(x.stopped);
	flood(ID, 20);
	assert_true(x.stopped);
	stream_consumed(o->s, o->got.len);
	assert_false(x.stopped);
	/* Its pings must be read some time. */
	flood(ID, 30);
	assert_true(x.stopped);
	assert_int_equal(pass(10 * S), 0);
	assert_false(x.stopped);
}

static void
the_fullest_is_closed_when_memory_ends(void **state)
{
	const struct ctl_open_ok ok = { 0 };
	struct one *o;

	(void)state;
	o = connected();
	budget_init(&x.budget, 1024 * 1024, NULL);
	budget_join(&x.budget); /* what was counted before */
	good(INITIATE(OTHER));
	assert_int_equal(stream_accept(x.one[1].s, &ok), 0);
	said();
	o->keep = x.one[1].keep = true;
	flood(ID, 20);
	assert_false(o->closed);
	flood(OTHER, 6);
	assert_true(o->closed);
	assert_int_equal(o->code, CODE_LIMIT);
	assert_false(x.one[1].closed);
	assert_non_null(strstr(said(), "connection_reset"));
}

static void
it_says_that_it_lives_and_asks_the_relay(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	said();
	assert_int_equal(pass(HNR_KEEP_ALIVE_US - 1), 0);
	assert_string_equal(said(), "");
	assert_int_equal(pass(1), 0);
	assert_string_equal(said(), "{\"inner\":{\"kind\":\"keep_alive\"}}");
	assert_string_equal(said(), "");
	assert_int_equal(pass(6 * S), 0);
	assert_int_equal(x.n_ping, 1);
	x.s->heard_us = x.now;
	assert_int_equal(pass(44 * S), 0);
	assert_int_equal(pass(2 * S), ERR_TIMEOUT);
}

static void
answers_that_are_not_read_have_a_bound(void **state)
{
	(void)state;
	begin(CTL_AGENT, false);
	session_goaway(x.s, CODE_OK, "");
	for (x.r = 0; x.r == 0 && x.n < 1;)
		hear(INITIATE(ID));
	assert_int_equal(x.r, ERR_LIMIT);
}

/* ---- as an access-client ---- */

static struct one *
ask(void)
{
	struct ctl_open o = { .protocol = "tcp", .host = "10.0.0.1", .port = 22 };

	begin(CTL_CONNECT, false);
	assert_false(session_has_output(x.s));
	x.one[0].s = session_open(x.s, &o, NULL, &stream_user, &x.one[0], &x.why);
	assert_non_null(x.one[0].s);
	return &x.one[0];
}

static struct one *
opened(void)
{
	struct one *o = ask();

	said();
	good("{\"inner\":{\"kind\":\"start_ok\"}}");
	assert_true(o->opened);
	return o;
}

static void
the_stream_is_asked_for_and_bytes_follow_at_once(void **state)
{
	struct one *o;

	(void)state;
	o = ask();
	send_text(o, "hello");
	assert_string_equal(said(), "{\"inner\":{\"kind\":\"start\",\"connection_target\":\"pi\","
				    "\"target_ip\":\"10.0.0.1\",\"target_port\":22,"
				    "\"protocol\":\"tcp\",\"secret\":\"sesame\"}}");
	assert_string_equal(
	    said(), "{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"aGVsbG8=\"}}");
	assert_int_equal(o->sent, 5);
	good("{\"inner\":{\"kind\":\"start_ok\",\"connection_id\":\"" ID "\"}}");
	assert_int_equal(x.n_hello, 1);
	assert_true(o->opened);
	good("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	got(o, "welcome");
}

static void
it_has_one_stream_of_bytes_to_a_host(void **state)
{
	struct ctl_open o = { .protocol = "tcp", .service = "ssh" };

	(void)state;
	begin(CTL_CONNECT, false);
	assert_null(session_open(x.s, &o, NULL, &stream_user, &x.one[1], &x.why));
	assert_int_equal(session_open_code(x.s), CODE_NOT_FOUND);
	session_free(x.s);
	opened();
	o = (struct ctl_open){ .protocol = "tcp", .host = "h", .port = 1 };
	assert_null(session_open(x.s, &o, NULL, &stream_user, &x.one[1], &x.why));
	assert_int_equal(session_open_code(x.s), CODE_GONE);
}

static void
a_refusal_is_told_with_a_code(void **state)
{
	static const struct {
		const char *text;
		uint32_t code;
	} errors[] = {
		{ "Agent not registered", CODE_NOT_FOUND },
		{ "Error initiating connection: [Errno 111] Connect call failed ('127.0.0.1', 1)",
		    CODE_REFUSED },
		{ "Error initiating connection: Unsupported protocol: udp", CODE_NOT_FOUND },
		{ "Error initiating connection: [Errno -2] Name or service not known",
		    CODE_UNREACHABLE },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		struct one *o = ask();

		snprintf(text, sizeof text, "{\"inner\":{\"kind\":\"error\",\"message\":\"%s\"}}",
		    errors[i].text);
		good(text);
		assert_true(o->closed);
		assert_int_equal(o->code, errors[i].code);
		assert_string_equal(o->text, errors[i].text);
		assert_int_equal(x.away, CODE_OK);
		session_free(x.s);
		setup(state);
	}
}

static void
a_wrong_secret_is_the_logins_refusal(void **state)
{
	(void)state;
	ask();
	hear("{\"inner\":{\"kind\":\"error\",\"message\":\"Invalid access client secret\"}}");
	assert_int_equal(x.r, ERR_DENIED);
	assert_int_equal(x.away, CODE_DENIED);
}

static void
the_end_of_the_websocket_is_that_of_the_stream(void **state)
{
	static const struct {
		int err, ws_code;
		const char *text;
		uint32_t code;
	} ends[] = {
		{ ERR_EOF, 1000, "", CODE_OK },
		{ ERR_EOF, 1005, "", CODE_OK },
		/* Our own relay says so when it has cut the stream. */
		{ ERR_EOF, 1000, "the agent is gone", CODE_LOST },
		{ ERR_EOF, 1011, "", CODE_LOST },
		{ ERR_EOF, 1012, "", CODE_LOST },
		{ ERR_CLOSED, 0, "reset", CODE_LOST },
	};

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		struct one *o = opened();

		session_hung_up(x.s, ends[i].err, ends[i].ws_code, ends[i].text);
		assert_true(o->closed);
		assert_int_equal(o->code, ends[i].code);
		session_free(x.s);
		setup(state);
	}
	ask();
	session_hung_up(x.s, ERR_EOF, 1000, "");
	assert_int_equal(x.one[0].code, CODE_GONE);
}

static void
our_own_end_is_kept_to_ourselves(void **state)
{
	struct one *o;

	(void)state;
	o = opened();
	stream_eof(o->s);
	assert_false(session_has_output(x.s));
	good("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	got(o, "welcome");
	stream_reset(o->s, CODE_CANCELLED, "");
	assert_int_equal(x.n_idle, 1);
	assert_false(o->closed);
	/* What was under way is passed over. */
	good("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	good("{\"inner\":{\"kind\":\"error\",\"message\":\"late\"}}");
}

static void
a_late_error_is_no_end_in_good_order(void **state)
{
	struct one *o;

	(void)state;
	o = opened();
	good("{\"inner\":{\"kind\":\"error\",\"message\":\"it went wrong\"}}");
	assert_false(o->closed);
	session_hung_up(x.s, ERR_EOF, 1000, "");
	assert_int_equal(o->code, CODE_GONE);
	assert_string_equal(o->text, "it went wrong");
}

static void
nothing_comes_before_the_answer_nor_twice(void **state)
{
	(void)state;
	ask();
	hear("{\"inner\":{\"kind\":\"tcp_data\",\"data_base64\":\"d2VsY29tZQ==\"}}");
	assert_int_equal(x.r, ERR_PROTO);
	session_free(x.s);
	setup(state);
	opened();
	hear("{\"inner\":{\"kind\":\"start_ok\"}}");
	assert_int_equal(x.r, ERR_PROTO);
}

static void
a_reader_that_has_stopped_stops_the_relay(void **state)
{
	struct one *o;

	(void)state;
	o = opened();
	o->keep = true;
	flood(NULL, 30);
	assert_true(x.stopped);
	stream_consumed(o->s, o->got.len);
	assert_false(x.stopped);
}

/* ---- both ---- */

static void
without_memory_it_fails_and_nothing_is_left(void **state)
{
	static const char *const words[] = { INITIATE(ID), DATA(ID, "aGVsbG8="), CLOSE(ID) };
	const struct ctl_open_ok ok = { 0 };

	for (long n = 0; n < 40; n++) {
		begin(CTL_AGENT, false);
		said();
		mem_fail_after(n);
		for (size_t i = 0; x.r == 0 && i < sizeof words / sizeof words[0]; i++) {
			struct bufq in = { 0 };

			mem_fail_after(MEM_NO_FAIL);
			assert_int_equal(bufq_copy(&in, words[i], strlen(words[i])), 0);
			mem_fail_after(n);
			x.r = session_input(x.s, &in, x.now, &x.why);
			if (i == 0 && x.n == 1 && x.one[0].s != NULL)
				IGNORE_RESULT(stream_accept(x.one[0].s, &ok)); /* or it fails */
			mem_fail_after(MEM_NO_FAIL);
			bufq_fini(&in);
		}
		session_abandon(x.s, CODE_GONE, "");
		session_free(x.s);
		bufq_fini(&x.one[0].got);
		setup(state);
	}
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_login_says_what_went_wrong_before),
		TEST(silence_after_the_login_is_a_welcome),
		TEST(a_word_of_the_relay_is_one_too),
		TEST(an_end_in_good_order_right_after_the_login_is_a_refusal),
		TEST(a_stream_is_dialled_and_carried),
		TEST(a_refusal_has_its_text),
		TEST(what_makes_no_sense_is_answered),
		TEST(a_relay_that_makes_no_sense_is_left),
		TEST(the_end_of_a_target_is_told_after_its_bytes_and_a_pause),
		TEST(the_pause_grows_with_what_the_relay_has_to_pass_on),
		TEST(our_own_relay_is_not_waited_for),
		TEST(a_reset_goes_behind_what_was_sent_and_says_another_text),
		TEST(an_abort_goes_at_once),
		TEST(streams_take_turns),
		TEST(a_target_that_does_not_read_stops_the_relay_for_a_while),
		TEST(the_fullest_is_closed_when_memory_ends),
		TEST(it_says_that_it_lives_and_asks_the_relay),
		TEST(answers_that_are_not_read_have_a_bound),
		TEST(the_stream_is_asked_for_and_bytes_follow_at_once),
		TEST(it_has_one_stream_of_bytes_to_a_host),
		TEST(a_refusal_is_told_with_a_code),
		TEST(a_wrong_secret_is_the_logins_refusal),
		TEST(the_end_of_the_websocket_is_that_of_the_stream),
		TEST(our_own_end_is_kept_to_ourselves),
		TEST(a_late_error_is_no_end_in_good_order),
		TEST(nothing_comes_before_the_answer_nor_twice),
		TEST(a_reader_that_has_stopped_stops_the_relay),
		TEST(without_memory_it_fails_and_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
