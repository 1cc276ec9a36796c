/* SPDX-License-Identifier: ISC */
/* inner - a session end to end.  Copies of payload: those of TLS (lib/tls/tls_rec.h). */
#include "cmd/common/inner.h"

#include <assert.h>
#include <stdio.h>

#include "cmd/common/f_stream.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "proto/dialect/dialect.h"

/* The last write may be a hundredth over the room there was, and TLS adds to it. */
#define QUEUE_LIMIT (INNER_QUEUE_MAX - INNER_QUEUE_MAX / 16)

enum inner_state { INNER_HANDSHAKE, INNER_GREETING, INNER_UP, INNER_OVER, N_INNER };

static const char *const state_name[N_INNER] = { "HANDSHAKE", "GREETING", "UP", "OVER" };
static const bool state_can[N_INNER][N_INNER] = {
	[INNER_HANDSHAKE] = { [INNER_GREETING] = true, [INNER_OVER] = true },
	[INNER_GREETING] = { [INNER_UP] = true, [INNER_OVER] = true },
	[INNER_UP] = { [INNER_OVER] = true },
};

struct inner {
	struct loop *loop;
	enum inner_state state;
	/* The stack, until the carrier has it; its bottom lives as long as either. */
	struct filter *f, *bottom;
	struct carrier *carrier;
	bool dialer;
	struct ctl_hello hello;
	const struct inner_user *user;
	void *arg;
	uint64_t begun_us;
	struct timer deadline;
	/* Of the peer's GOAWAY. */
	uint32_t away_code;
	char away_text[256];
	struct grave grave;
};

static void
set_state(struct inner *in, enum inner_state next)
{
	assert(state_can[in->state][next]);
	log_debug("end to end: %s -> %s", state_name[in->state], state_name[next]);
	in->state = next;
}

/* ---- the end ---- */

static void
inner_end(struct inner *in, uint32_t code, const char *text)
{
	if (in->state == INNER_OVER)
		return;
	set_state(in, INNER_OVER);
	timer_cancel(&in->deadline);
	in->user->closed(in->arg, code, text);
}

/* What an end of the stack means for the streams in the session. */
static uint32_t
code_of(const struct inner *in, int err)
{
	switch (err) {
	case ERR_DENIED:
		return CODE_DENIED;
	case ERR_TLS:
	case ERR_PROTO:
		return CODE_PROTOCOL;
	case ERR_TIMEOUT:
		return CODE_TIMEOUT;
	case ERR_NOMEM:
		return CODE_INTERNAL;
	default:
		return f_stream_code(in->bottom) != CODE_OK ? f_stream_code(in->bottom) : CODE_LOST;
	}
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct inner *in = arg;

	if (in->away_code != CODE_OK)
		inner_end(in, in->away_code, in->away_text);
	else if (err == ERR_DENIED && in->state == INNER_GREETING)
		inner_end(in, CODE_DENIED, "the agent refused our key: it is not in its --clients");
	else
		inner_end(in, code_of(in, err),
		    text[0] != '\0' ? text : "the end-to-end session has ended");
}

static void
on_deadline(void *arg)
{
	inner_end(arg, CODE_TIMEOUT, "the other end did not answer in time (end to end)");
}

/* ---- the carrier's calls ---- */

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct inner *in = arg;
	enum session_verdict v = in->user->hello(in->arg, h);

	timer_cancel(&in->deadline);
	if (v == SESSION_GO_ON)
		set_state(in, INNER_UP);
	return v;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct inner *in = arg;

	in->user->open(in->arg, s, o);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct inner *in = arg;

	in->away_code = code;
	snprintf(in->away_text, sizeof in->away_text, "%s", text);
	in->user->goaway(in->arg, code, text);
}

static void
on_idle(void *arg)
{
	struct inner *in = arg;

	if (in->state != INNER_OVER)
		in->user->idle(in->arg);
}

static const struct carrier_user carrier_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
};

/* ---- the handshake ---- */

static void
on_nothing(void *arg)
{
	(void)arg; /* on_proved tells when there is something to read, or to write */
}

static const struct filter_user handshake_user = { on_nothing, on_nothing, on_closed };

/* Its session stands on TLS.  ERR_NOMEM. */
static int
begin_session(struct inner *in, const struct mux_config *cfg)
{
	uint64_t now_us = loop_now_us(in->loop);
	struct session *s = in->dialer ? dialect_dial(&dialect_native, cfg, now_us)
				       : dialect_accept(&dialect_native, cfg, NULL, now_us);

	if (s == NULL)
		return ERR_NOMEM;
	/* The handshake was a round trip from end to end, and there will be no PING. */
	s->rtt_us = now_us - in->begun_us;
	in->carrier = carrier_new(in->loop, in->f, s, &carrier_user, in);
	if (in->carrier == NULL) {
		session_free(s);
		return ERR_NOMEM;
	}
	in->f = NULL;
	return in->dialer ? session_greet(s, &in->hello) : 0;
}

static void
on_proved(void *arg)
{
	struct inner *in = arg;
	struct mux_config cfg = { .dialer = in->dialer, .endpoint = true, .inner = true };

	if (!in->user->proved(in->arg, f_tls_peer(in->f), &cfg) || begin_session(in, &cfg) != 0) {
		inner_end(in, CODE_INTERNAL, "out of memory");
		return;
	}
	set_state(in, INNER_GREETING);
	if (in->dialer)
		in->user->ready(in->arg);
}

/* ---- life ---- */

static int
begin(struct inner *in, struct stream *s, const struct tls_keyed *tls, struct tls_judge judge)
{
	in->bottom = f_stream_new(in->loop, s);
	if (in->bottom == NULL) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		return ERR_NOMEM;
	}
	f_stream_limit(in->bottom, QUEUE_LIMIT);
	in->f = f_tls_keyed(in->bottom, in->loop, tls, judge);
	if (in->f == NULL) {
		filter_free(in->bottom);
		return ERR_NOMEM;
	}
	f_tls_set_ready(in->f, on_proved, in);
	filter_set_user(in->f, &handshake_user, in);
	return 0;
}

struct inner *
inner_new(struct loop *l, struct stream *s, const struct tls_keyed *tls, struct tls_judge judge,
    const struct ctl_hello *hello, const struct inner_user *user, void *arg)
{
	struct inner *in = mem_zalloc(sizeof *in);

	if (in == NULL || timer_init(&in->deadline, l, on_deadline, in) != 0) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		mem_free(in);
		return NULL;
	}
	in->loop = l;
	in->user = user;
	in->arg = arg;
	in->dialer = hello != NULL;
	if (hello != NULL)
		in->hello = *hello;
	in->begun_us = loop_now_us(l);
	if (begin(in, s, tls, judge) != 0) {
		timer_fini(&in->deadline);
		mem_free(in);
		return NULL;
	}
	timer_set(&in->deadline, INNER_GREETING_MS);
	return in;
}

void
inner_take_turns(struct inner *in, struct tls_turns *t, const struct tls_turns_who *who)
{
	f_tls_take_turns(in->f, t, who);
}

void
inner_free(struct inner *in, uint32_t code, const char *text)
{
	if (in == NULL)
		return;
	if (in->state != INNER_OVER)
		set_state(in, INNER_OVER);
	timer_fini(&in->deadline);
	if (in->f != NULL)
		filter_free(in->f);
	in->f = NULL;
	carrier_free(in->carrier, code, text);
	in->carrier = NULL;
	loop_bury(in->loop, &in->grave, mem_free, in);
}

void
inner_finish(struct inner *in)
{
	if (in->carrier != NULL)
		carrier_finish(in->carrier);
	else
		inner_end(in, CODE_CANCELLED, "ended before it stood");
}

struct session *
inner_session(struct inner *in)
{
	return in->carrier != NULL && in->state != INNER_OVER ? carrier_session(in->carrier) : NULL;
}

bool
inner_may_open(struct inner *in)
{
	const struct session *s = inner_session(in);

	return s != NULL && in->dialer && !s->going;
}
