/* SPDX-License-Identifier: ISC */
/* fakesession - a session whose other side is the test. */
#include "test/unit/fakesession.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

struct fake_session *fake_last;
static struct fake_session *all;

static struct fake_stream *
stream_of(struct stream *s)
{
	return (struct fake_stream *)s;
}

static struct fake_session *
session_of(const struct session *s)
{
	return (struct fake_session *)(uintptr_t)s;
}

/* A user that calls a stream which is over has a pointer that dangles in life. */
static void
must_live(const struct fake_stream *f)
{
	if (f->over)
		abort();
}

/* ---- streams ---- */

static int
op_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	struct fake_stream *f = stream_of(s);

	must_live(f);
	f->accepted = !f->fail;
	snprintf(f->target, sizeof f->target, "%s", ok->target);
	return f->fail ? ERR_NOMEM : 0;
}

static size_t
op_room(struct stream *s)
{
	must_live(stream_of(s));
	return stream_of(s)->no_room ? 0 : 65536;
}

static int
op_send(struct stream *s, struct bufq *src, size_t n)
{
	struct fake_stream *f = stream_of(s);

	must_live(f);
	return f->fail ? ERR_NOMEM : bufq_move(&f->sent, src, n);
}

static int
op_datagram(struct stream *s, struct bufq *src, unsigned *dropped)
{
	struct fake_stream *f = stream_of(s);

	must_live(f);
	*dropped = f->lose;
	f->n_datagrams += !f->fail;
	return f->fail ? ERR_NOMEM : bufq_move(&f->sent, src, src->len);
}

static void
op_eof(struct stream *s)
{
	must_live(stream_of(s));
	stream_of(s)->eof = true;
}

static void
gone(struct fake_stream *f, uint32_t code, const char *text)
{
	must_live(f);
	f->over = true;
	f->session->s.n_streams--;
	f->code = code;
	snprintf(f->text, sizeof f->text, "%s", text);
}

static void
op_reset(struct stream *s, uint32_t code, const char *text)
{
	gone(stream_of(s), code, text);
	stream_of(s)->reset = true;
}

static void
op_abort(struct stream *s, uint32_t code, const char *text)
{
	gone(stream_of(s), code, text);
	stream_of(s)->aborted = true;
}

static void
op_consumed(struct stream *s, size_t n)
{
	must_live(stream_of(s));
	stream_of(s)->consumed += n;
}

static void
op_ack(struct stream *s, uint64_t off, bool eof)
{
	must_live(stream_of(s));
	stream_of(s)->acked = off;
	stream_of(s)->acked_eof = eof;
}

static const struct stream_ops stream_ops = {
	.accept = op_accept,
	.room = op_room,
	.send = op_send,
	.datagram = op_datagram,
	.eof = op_eof,
	.reset = op_reset,
	.abort = op_abort,
	.consumed = op_consumed,
	.ack = op_ack,
};

static struct fake_stream *
add_stream(struct fake_session *f, const struct ctl_open *o)
{
	struct fake_stream *st = calloc(1, sizeof *st);

	if (st == NULL || f->n_streams == FAKE_STREAMS)
		abort();
	st->s.ops = &stream_ops;
	st->s.session = &f->s;
	st->session = f;
	st->open = *o;
	f->stream[f->n_streams++] = st;
	f->s.n_streams++;
	return st;
}

/* ---- sessions ---- */

static int
op_input(struct session *s, struct bufq *in, uint64_t now_ms, struct errtext *why)
{
	(void)now_ms;
	bufq_drain(in, in->len);
	return session_of(s)->fail_input != 0
		   ? err_set(why, session_of(s)->fail_input, "the fake does not like it")
		   : 0;
}

static int
op_output(struct session *s, struct bufq *out, size_t max, uint64_t now_ms)
{
	(void)s;
	(void)out;
	(void)max;
	(void)now_ms;
	return 0;
}

static bool
op_has_output(const struct session *s)
{
	(void)s;
	return false;
}

static struct stream *
op_open(struct session *s, const struct ctl_open *o, struct budget *charge,
    const struct stream_user *user, void *arg, struct errtext *why)
{
	struct fake_session *f = session_of(s);

	(void)charge;
	struct fake_stream *st;

	if (f->fail_open != 0) {
		s->open_error = err_set(why, f->fail_open, "the fake does not open");
		return NULL;
	}
	st = add_stream(f, o);
	stream_set_user(&st->s, user, arg);
	return &st->s;
}

static int
op_greet(struct session *s, const struct ctl_hello *h)
{
	struct fake_session *f = session_of(s);

	f->greeted = f->fail_greet == 0;
	f->hello = *h;
	return f->fail_greet;
}

static void
op_goaway(struct session *s, uint32_t code, const char *text)
{
	struct fake_session *f = session_of(s);

	s->going = true;
	if (f->n_away++ > 0)
		return;
	f->away_code = code;
	snprintf(f->away_text, sizeof f->away_text, "%s", text);
}

static void
op_ping(struct session *s)
{
	session_of(s)->n_pings++;
}

static int
op_control(struct session *s, const void *body, size_t n)
{
	struct fake_session *f = session_of(s);

	f->n_control++;
	snprintf(f->control, sizeof f->control, "%.*s", (int)n, (const char *)body);
	return 0;
}

static int
op_tick(struct session *s, uint64_t now_ms, struct errtext *why)
{
	struct fake_session *f = session_of(s);

	(void)now_ms;
	f->n_ticks++;
	f->deadline_us = 0;
	return f->fail_tick != 0 ? err_set(why, f->fail_tick, "its time is over") : 0;
}

static uint64_t
op_deadline_us(const struct session *s)
{
	uint64_t due = session_of(s)->deadline_us;

	return due != 0 ? due : UINT64_MAX;
}

static void
op_abandon(struct session *s, uint32_t code, const char *text)
{
	struct fake_session *f = session_of(s);

	f->n_abandoned++;
	for (size_t i = 0; i < f->n_streams; i++)
		if (!f->stream[i]->over)
			fake_end(f->stream[i], code, text);
	s->user = NULL;
}

static void
op_free(struct session *s)
{
	session_of(s)->freed = true;
}

static const struct session_ops session_ops = {
	.name = "fake",
	.input = op_input,
	.output = op_output,
	.has_output = op_has_output,
	.open = op_open,
	.greet = op_greet,
	.goaway = op_goaway,
	.ping = op_ping,
	.control = op_control,
	.tick = op_tick,
	.deadline_us = op_deadline_us,
	.abandon = op_abandon,
	.free = op_free,
};

struct fake_session *
fake_new(void)
{
	struct fake_session *f = calloc(1, sizeof *f);

	if (f == NULL)
		abort();
	f->s.ops = &session_ops;
	f->s.can = SESSION_HALF_CLOSE | SESSION_ACKS | SESSION_ENDS | SESSION_DATAGRAMS;
	f->next = all;
	all = fake_last = f;
	return f;
}

void
fake_free_all(void)
{
	struct fake_session *f;

	while ((f = all) != NULL) {
		all = f->next;
		for (size_t i = 0; i < f->n_streams; i++) {
			bufq_fini(&f->stream[i]->sent);
			free(f->stream[i]);
		}
		free(f);
	}
	fake_last = NULL;
}

static struct session *
fake_accept(const struct mux_config *cfg, const struct dialect_from *from, uint64_t now)
{
	(void)cfg;
	(void)from;
	(void)now;
	return &fake_new()->s;
}

static struct session *
fake_dial(const struct mux_config *cfg, uint64_t now)
{
	(void)now;
	fake_new()->dialled = *cfg;
	return &fake_last->s;
}

static const char *const paths[] = { "/fake", NULL };

const struct dialect dialect_fake = {
	.name = "fake",
	.paths = paths,
	.can = SESSION_HALF_CLOSE | SESSION_ACKS | SESSION_ENDS | SESSION_YIELDS,
	.accept = fake_accept,
	.dial = fake_dial,
};

/* ---- what the test says as the peer ---- */

enum session_verdict
fake_hello(struct fake_session *f, enum ctl_role role, const char *name, const char *secret,
    uint8_t instance)
{
	struct ctl_hello h = { .version = CTL_VERSION, .role = role, .abilities = f->abilities };

	snprintf(h.name, sizeof h.name, "%s", name);
	snprintf(h.secret, sizeof h.secret, "%s", secret);
	memset(h.instance, instance, sizeof h.instance);
	return f->s.user->hello(f->s.arg, &h);
}

static struct fake_stream *
open_from_peer(struct fake_session *f, const char *protocol, const char *service)
{
	struct ctl_open o = { .source = "a client's claim", .client = f->client };
	struct fake_stream *st;

	snprintf(o.protocol, sizeof o.protocol, "%s", protocol);
	snprintf(o.service, sizeof o.service, "%s", service);
	/* Each its own: a token that is open is refused. */
	memcpy(o.token, &f->n_streams, sizeof f->n_streams);
	st = add_stream(f, &o);
	f->s.user->open(f->s.arg, &st->s, &o);
	return st;
}

struct fake_stream *
fake_open(struct fake_session *f, const char *service)
{
	return open_from_peer(f, CTL_TCP, service);
}

struct fake_stream *
fake_open_e2e(struct fake_session *f)
{
	return open_from_peer(f, CTL_E2E, "");
}

void
fake_control(struct fake_session *f, const char *json)
{
	f->s.user->control(f->s.arg, json, strlen(json));
}

void
fake_data(struct fake_stream *f, const char *text)
{
	struct bufq q = { 0 };

	if (bufq_copy(&q, text, strlen(text)) != 0)
		abort();
	f->s.user->data(f->s.arg, &q);
	bufq_fini(&q);
}

void
fake_end(struct fake_stream *f, uint32_t code, const char *text)
{
	gone(f, code, text);
	if (f->s.user != NULL)
		f->s.user->closed(f->s.arg, code, text);
}

bool
fake_got(const struct fake_stream *f, const char *text)
{
	char got[256];
	size_t n = bufq_read(&f->sent, 0, got, sizeof got);

	return n == strlen(text) && memcmp(got, text, n) == 0;
}
