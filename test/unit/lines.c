/* SPDX-License-Identifier: ISC */
/* lines - a small foreign dialect for tests. */
#include "test/unit/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/http.h"
#include "lib/base/mem.h"

enum { MESSAGE_MAX = 4096, QUEUE_MAX = 64 };

struct lines {
	struct session s;
	/* The only stream; exists while open. */
	struct stream stream;
	bool open;
	/*
	 * Messages that wait to leave, and the bytes of payload in each; end: the stream is over
	 * with it.
	 */
	struct {
		struct bufq text;
		size_t payload;
		bool end;
	} queue[QUEUE_MAX];
	unsigned n;
};

struct lines_seen lines_seen;

static struct lines *
of_session(const struct session *s)
{
	return (struct lines *)(uintptr_t)s;
}

static struct lines *
of_stream(struct stream *s)
{
	return of_session(s->session);
}

static int
say(struct lines *x, const char *word, const char *rest)
{
	struct bufq *q = &x->queue[x->n].text;

	if (x->n == QUEUE_MAX || bufq_copy(q, word, strlen(word)) != 0 ||
	    bufq_copy(q, rest, strlen(rest)) != 0)
		return ERR_NOMEM;
	x->n++;
	if (x->s.user != NULL)
		x->s.user->want_output(x->s.arg);
	return 0;
}

/* ---- the stream ---- */

static void
stream_over(struct lines *x, bool tell, uint32_t code, const char *text)
{
	const struct stream_user *user = x->stream.user;

	if (!x->open)
		return;
	x->open = false;
	x->s.n_streams = 0;
	if (tell && user != NULL)
		user->closed(x->stream.arg, code, text);
	if (x->s.user != NULL)
		x->s.user->idle(x->s.arg);
}

static int
op_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	(void)ok;
	return say(of_stream(s), "ok", "");
}

static size_t
op_room(struct stream *s)
{
	return of_stream(s)->n < QUEUE_MAX / 2 ? MESSAGE_MAX : 0;
}

static int
op_send(struct stream *s, struct bufq *src, size_t n)
{
	struct lines *x = of_stream(s);
	int r = say(x, "data ", "");

	if (r == 0)
		r = bufq_move(&x->queue[x->n - 1].text, src, n);
	x->queue[x->n - 1].payload = n;
	return r;
}

/* Without half-closes the stream is over when this has left. */
static void
op_eof(struct stream *s)
{
	struct lines *x = of_stream(s);

	if (say(x, "end", "") == 0)
		x->queue[x->n - 1].end = true;
}

static void
op_reset(struct stream *s, uint32_t code, const char *text)
{
	(void)code;
	IGNORE_RESULT(say(of_stream(s), "reset ", text));
	stream_over(of_stream(s), false, 0, "");
}

/* What is told is not needed here: nothing is ever stopped. */
static void
op_consumed(struct stream *s, size_t n)
{
	(void)s;
	(void)n;
}

/* No acknowledgements: whoever calls those has not looked at what the session can do. */
static const struct stream_ops stream_ops = { .accept = op_accept,
	.room = op_room,
	.send = op_send,
	.eof = op_eof,
	.reset = op_reset,
	.abort = op_reset,
	.consumed = op_consumed };

static struct stream *
stream_begin(struct lines *x)
{
	x->stream = (struct stream){ .ops = &stream_ops, .session = &x->s };
	x->open = true;
	x->s.n_streams = 1;
	return &x->stream;
}

/* ---- what arrives ---- */

static int
parse_hello(const char *text, struct ctl_hello *h)
{
	char role[8], name[CTL_NAME_MAX + 1], secret[64];

	*h = (struct ctl_hello){ .version = CTL_VERSION };
	if (sscanf(text, "%7s %64s %63s", role, name, secret) != 3 ||
	    (strcmp(role, "agent") != 0 && strcmp(role, "connect") != 0))
		return ERR_PROTO;
	h->role = strcmp(role, "agent") == 0 ? CTL_AGENT : CTL_CONNECT;
	snprintf(h->name, sizeof h->name, "%s", name);
	snprintf(h->secret, sizeof h->secret, "%s", secret);
	return 0;
}

static void
take_open(struct lines *x, const char *service)
{
	struct ctl_open o = { .protocol = "tcp" };

	snprintf(o.service, sizeof o.service, "%.*s", CTL_NAME_MAX, service);
	x->s.user->open(x->s.arg, stream_begin(x), &o);
}

static int
take_data(struct lines *x, const char *text)
{
	struct bufq q = { 0 };
	int r = bufq_copy(&q, text, strlen(text));

	if (r == 0)
		x->stream.user->data(x->stream.arg, &q);
	bufq_fini(&q);
	return r;
}

static int
take(struct lines *x, const char *text, struct errtext *why)
{
	const struct ctl_open_ok ok = { 0 };
	struct ctl_hello h = { .role = CTL_RELAY };

	if (strcmp(text, "welcome") == 0 || parse_hello(text, &h) == 0)
		x->s.user->hello(x->s.arg, &h);
	else if (strncmp(text, "bye ", 4) == 0)
		x->s.user->goaway(x->s.arg, CODE_OK, text + 4);
	else if (strncmp(text, "open ", 5) == 0 && !x->open)
		take_open(x, text + 5);
	else if (!x->open)
		return err_set(why, ERR_PROTO, "nothing is open");
	else if (strcmp(text, "ok") == 0)
		x->stream.user->opened(x->stream.arg, &ok);
	else if (strncmp(text, "data ", 5) == 0)
		return take_data(x, text + 5);
	else if (strcmp(text, "end") == 0)
		stream_over(x, true, CODE_OK, "");
	else if (strncmp(text, "reset ", 6) == 0)
		stream_over(x, true, CODE_REFUSED, text + 6);
	else
		return err_set(why, ERR_PROTO, "no such word");
	return 0;
}

/* ---- the session ---- */

static int
op_input(struct session *s, struct bufq *in, uint64_t now, struct errtext *why)
{
	char text[MESSAGE_MAX + 1];
	size_t n = bufq_read(in, 0, text, MESSAGE_MAX);

	(void)now;
	text[n] = '\0';
	bufq_drain(in, in->len);
	return take(of_session(s), text, why);
}

static int
op_output(struct session *s, struct bufq *out, size_t max, uint64_t now)
{
	struct lines *x = of_session(s);
	size_t payload;
	bool end;

	(void)max;
	(void)now;
	if (x->n == 0)
		return 0;
	*out = x->queue[0].text;
	payload = x->queue[0].payload;
	end = x->queue[0].end;
	memmove(x->queue, x->queue + 1, --x->n * sizeof x->queue[0]);
	memset(&x->queue[x->n], 0, sizeof x->queue[0]);
	if (payload > 0 && x->open && x->stream.user != NULL)
		x->stream.user->sent(x->stream.arg, payload);
	if (end)
		stream_over(x, true, CODE_OK, "");
	return 0;
}

static bool
op_has_output(const struct session *s)
{
	return of_session(s)->n > 0;
}

static struct stream *
op_open(struct session *s, const struct ctl_open *o, struct budget *charge,
    const struct stream_user *user, void *arg, struct errtext *why)
{
	(void)charge;
	struct lines *x = of_session(s);

	if (x->open || say(x, "open ", o->service) != 0) {
		s->open_error = err_set(why, ERR_LIMIT, "there is a stream already");
		return NULL;
	}
	stream_begin(x);
	stream_set_user(&x->stream, user, arg);
	return &x->stream;
}

static int
op_greet(struct session *s, const struct ctl_hello *h)
{
	char rest[CTL_AGENT_MAX + CTL_SECRET_MAX + 3];

	if (h->role == CTL_RELAY)
		return say(of_session(s), "welcome", "");
	snprintf(rest, sizeof rest, " %s %s", h->name, h->secret);
	return say(of_session(s), h->role == CTL_AGENT ? "agent" : "connect", rest);
}

static void
op_goaway(struct session *s, uint32_t code, const char *text)
{
	(void)code;
	if (!s->going)
		IGNORE_RESULT(say(of_session(s), "bye ", text));
	s->going = true;
}

static int
op_tick(struct session *s, uint64_t now, struct errtext *why)
{
	(void)s;
	(void)now;
	(void)why;
	return 0;
}

static uint64_t
op_deadline(const struct session *s)
{
	(void)s;
	return UINT64_MAX;
}

static void
op_abandon(struct session *s, uint32_t code, const char *text)
{
	s->user = NULL;
	stream_over(of_session(s), true, code, text);
}

static void
op_free(struct session *s)
{
	struct lines *x = of_session(s);

	while (x->n > 0)
		bufq_fini(&x->queue[--x->n].text);
	free(x);
}

static const struct session_ops session_ops = {
	.name = "lines",
	.input = op_input,
	.output = op_output,
	.has_output = op_has_output,
	.open = op_open,
	.greet = op_greet,
	.goaway = op_goaway,
	.tick = op_tick,
	.deadline_us = op_deadline,
	.abandon = op_abandon,
	.free = op_free,
};

static struct session *
lines_dial(const struct mux_config *cfg, uint64_t now)
{
	struct lines *x = calloc(1, sizeof *x);

	(void)cfg;
	(void)now;
	if (x == NULL)
		return NULL;
	x->s.ops = &session_ops;
	return &x->s;
}

static struct session *
lines_accept(const struct mux_config *cfg, const struct dialect_from *from, uint64_t now)
{
	snprintf(lines_seen.address, sizeof lines_seen.address, "%s", from->address);
	snprintf(lines_seen.tls, sizeof lines_seen.tls, "%s", from->tls);
	snprintf(lines_seen.target, sizeof lines_seen.target, "%s", http_target(from->head));
	return lines_dial(cfg, now);
}

static int
lines_login(const struct dialect_from *from, struct ctl_hello *h)
{
	const char *value = http_header(from->head, "X-Lines");

	return value == NULL ? ERR_DENIED : parse_hello(value, h);
}

static const char *const paths[] = { "/lines", NULL };
static const char *const head_paths[] = { "/lines-head", NULL };

const struct dialect dialect_lines = {
	.name = "lines",
	.paths = paths,
	.carries = SESSION_TEXT,
	.message_max = MESSAGE_MAX,
	.accept = lines_accept,
	.dial = lines_dial,
};

const struct dialect dialect_lines_head = {
	.name = "lines-head",
	.paths = head_paths,
	.carries = SESSION_TEXT,
	.message_max = MESSAGE_MAX,
	.login = lines_login,
	.accept = lines_accept,
	.dial = lines_dial,
};
