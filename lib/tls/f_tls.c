/* SPDX-License-Identifier: ISC */
/*
 * f_tls - TLS as a filter.
 *
 * A tls_session (mbedTLS) does every handshake, and the records of TLS 1.2.  When a handshake of
 * TLS 1.3 is done, a tls_rec makes the records from then on, and the session is freed.  One of the
 * two is there at any time.  Copies of payload: as they say; none here.
 *
 *     input    HANDSHAKE ── done ──> OPEN ── close_notify, error, end below ──> ENDED
 *                  └─────────── error, end below ────────────────────────────────┘
 *              user->closed is called when all input before the end was taken
 *     output   HELD ── handshake done ──> OPEN ── filter_shutdown, close_notify ──> ENDED
 *                └── filter_shutdown ──> HELD_END ── handshake done ────────────────┘
 *
 * HELD: what is written waits for the handshake.  Before it is ENDED the output sends what is held,
 * and close_notify.
 */
#include "lib/tls/f_tls.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/tls/tls_generation.h"
#include "lib/tls/tls_rec.h"
#include "lib/tls/tls_session.h"
#include "lib/tls/tls_writer.h"

enum input { INPUT_HANDSHAKE, INPUT_OPEN, INPUT_ENDED, N_INPUT };
enum output { OUTPUT_HELD, OUTPUT_HELD_END, OUTPUT_OPEN, OUTPUT_ENDED, N_OUTPUT };

static const char *const input_name[N_INPUT] = { "HANDSHAKE", "OPEN", "ENDED" };
static const char *const output_name[N_OUTPUT] = { "HELD", "HELD_END", "OPEN", "ENDED" };

static const bool input_can[N_INPUT][N_INPUT] = {
	[INPUT_HANDSHAKE] = { [INPUT_OPEN] = true, [INPUT_ENDED] = true },
	[INPUT_OPEN] = { [INPUT_ENDED] = true },
};
static const bool output_can[N_OUTPUT][N_OUTPUT] = {
	[OUTPUT_HELD] = { [OUTPUT_HELD_END] = true, [OUTPUT_OPEN] = true },
	[OUTPUT_HELD_END] = { [OUTPUT_ENDED] = true },
	[OUTPUT_OPEN] = { [OUTPUT_ENDED] = true },
};

struct f_tls {
	struct filter f;
	enum input input;
	enum output output;
	/* NULL when rec has taken over. */
	struct tls_session *session;
	/* NULL until then. */
	struct tls_rec *rec;
	struct tls_generation *gen;
	/* Of a server. */
	struct tls_asked asked;
	/* Of a keyed one, when its handshake is done: the peer's key. */
	uint8_t peer[KEYS_POINT_LEN];
	bool has_peer;
	/* Plain text, until a flush after the handshake. */
	struct bufq held;
	/* Records, until the call from above or below returns. */
	struct tls_writer records;
	struct task step;
	/* Of those whose handshakes take turns; and it is this one's. */
	struct tls_place place;
	bool my_turn;
	void (*ready_fn)(void *arg);
	void *ready_arg;
	/* When the session last moved more than a keepalive; was its memory given back since? */
	uint64_t busy_ms;
	bool trimmed;
	/* The end of the input, and its sentence. */
	int end;
	const char *end_text;
	/* 0, or how below ended. */
	int below_err;
	char below_text[64];
	char description[64];
};

static struct f_tls *
tls_of(const struct filter *f)
{
	return (struct f_tls *)(uintptr_t)f;
}

static void
set_input(struct f_tls *t, enum input next)
{
	assert(input_can[t->input][next]);
	log_debug("tls: input %s -> %s", input_name[t->input], input_name[next]);
	t->input = next;
}

static void
set_output(struct f_tls *t, enum output next)
{
	assert(output_can[t->output][next]);
	log_debug("tls: output %s -> %s", output_name[t->output], output_name[next]);
	t->output = next;
}

/*
 * Hand the records that were made to the filter below.  False: that failed.  The user was told and
 * may have freed this filter: only f.closed may be read then.
 */
static bool
push(struct f_tls *t)
{
	tls_writer_end(&t->records);
	if (t->records.q.len > 0) {
		int r = filter_write(t->f.below, &t->records.q);

		if (t->f.closed)
			return false;
		bufq_fini(&t->records.q);
		if (r == ERR_NOMEM)
			filter_close(&t->f, r, "out of memory");
		else if (r == 0)
			filter_flush(t->f.below);
	}
	return !t->f.closed;
}

/* ---- the end ---- */

static void
end_input(struct f_tls *t, int err, const char *text)
{
	set_input(t, INPUT_ENDED);
	t->end = err;
	t->end_text = text;
}

/* The connection is over: the alert about it goes out, if there is one, then the user is told. */
static void
fail(struct f_tls *t, int err, const struct errtext *e)
{
	if (!push(t))
		return; /* nobody to alert, and the user has been told */
	filter_shutdown(t->f.below);
	filter_close(&t->f, err, err == ERR_NOMEM ? "out of memory" : e->s);
}

/* Below has ended, and so it ends here: clean is what an end of the stream below means. */
static void
end_as_below(struct f_tls *t, const char *clean)
{
	if (t->below_err == ERR_EOF)
		end_input(t, ERR_CLOSED, clean);
	else
		end_input(t, t->below_err, t->below_text);
}

/* Tell of the end once all input before it has been delivered. */
static void
tell_end(struct f_tls *t)
{
	if (t->input != INPUT_ENDED || t->f.closed || t->f.eof || (t->f.paused && t->f.in.len > 0))
		return;
	filter_close(&t->f, t->end, t->end_text);
}

/* ---- the session's memory ---- */

static void
trim(struct f_tls *t)
{
	tls_session_trim(t->session);
	t->trimmed = true;
}

/* n bytes of payload were moved: more than a keepalive uses the session's buffers. */
static void
note_moved(struct f_tls *t, size_t n)
{
	uint64_t now_ms = loop_now_ms(t->f.loop);

	if (n > TLS_SESSION_SMALL) {
		t->busy_ms = now_ms;
		t->trimmed = false;
	} else if (!t->trimmed && now_ms - t->busy_ms > F_TLS_TRIM_MS) {
		trim(t);
	}
}

/* ---- writing ---- */

/* Make records of all that is held.  False: the filter has failed and told so. */
static bool
encrypt(struct f_tls *t)
{
	size_t n = t->held.len;
	struct errtext e;
	int r;

	if (n == 0)
		return true;
	if (t->rec != NULL) {
		r = tls_rec_seal(t->rec, &t->held, &t->records);
	} else {
		r = tls_session_seal(t->session, &t->held, &e);
		if (n > TLS_SESSION_SMALL)
			note_moved(t, n);
	}
	if (r != 0)
		fail(t, r, &e);
	return r == 0;
}

static void
send_held(struct f_tls *t)
{
	if (t->held.len > 0 && encrypt(t))
		IGNORE_RESULT(push(t)); /* the last thing done */
}

/* Send our end: what was written, close_notify (RFC 8446 6.1), then the end of the stream below. */
static void
send_end(struct f_tls *t)
{
	int r;

	if (t->output == OUTPUT_ENDED || !encrypt(t))
		return;
	set_output(t, OUTPUT_ENDED);
	if (t->rec != NULL)
		r = tls_rec_send_alert(t->rec, TLS_ALERT_CLOSE_NOTIFY, &t->records);
	else
		r = tls_session_close(t->session);
	if (r != 0) /* out of memory: the peer will see a cut, which is what it is */
		tls_writer_fini(&t->records);
	if (push(t))
		filter_shutdown(t->f.below);
}

static int
tls_write(struct filter *f, struct bufq *src)
{
	struct f_tls *t = tls_of(f);

	if (t->input == INPUT_ENDED || (t->output != OUTPUT_HELD && t->output != OUTPUT_OPEN))
		return ERR_CLOSED;
	return bufq_move(&t->held, src, src->len);
}

static void
tls_flush(struct filter *f)
{
	struct f_tls *t = tls_of(f);

	if (t->output == OUTPUT_OPEN)
		send_held(t);
}

static size_t
tls_room(struct filter *f)
{
	struct f_tls *t = tls_of(f);
	size_t room = F_TLS_EARLY;

	if (t->output == OUTPUT_OPEN) {
		room = filter_room(f->below);
		if (room > F_TLS_AHEAD)
			room = F_TLS_AHEAD;
	} else if (t->output != OUTPUT_HELD) {
		return 0;
	}
	return room > t->held.len ? room - t->held.len : 0;
}

static void
tls_shutdown(struct filter *f)
{
	struct f_tls *t = tls_of(f);

	if (t->output == OUTPUT_HELD)
		set_output(t, OUTPUT_HELD_END);
	else if (t->output == OUTPUT_OPEN)
		send_end(t);
}

/* ---- reading ---- */

/* Hand the connection to a tls_rec, if it can take it. */
static void
take_over(struct f_tls *t)
{
	t->rec = tls_session_records(t->session);
	if (t->rec != NULL) {
		tls_session_free(t->session);
		t->session = NULL;
		return;
	}
	/* Certificates are large, and many connections are idle from here on. */
	t->busy_ms = loop_now_ms(t->f.loop);
	trim(t);
}

static void
become_ready(struct f_tls *t)
{
	set_input(t, INPUT_OPEN);
	tls_session_describe(t->session, t->description, sizeof t->description);
	if (t->gen->alpn != NULL) {
		memcpy(t->peer, tls_session_peer(t->session), sizeof t->peer);
		t->has_peer = true;
	}
	take_over(t);
	if (t->output == OUTPUT_HELD_END) {
		send_end(t);
	} else {
		set_output(t, OUTPUT_OPEN);
		send_held(t);
	}
	if (t->ready_fn != NULL && !t->f.closed)
		t->ready_fn(t->ready_arg);
	filter_writable(&t->f);
}

/* False: not done, or failed and told so. */
static bool
handshake(struct f_tls *t)
{
	struct errtext e;
	int r = tls_session_handshake(t->session, &e);

	if (r == ERR_AGAIN) {
		if (push(t) && t->below_err != 0) {
			end_as_below(t, "TLS handshake: the peer ended the connection");
			tell_end(t);
		}
		return false;
	}
	if (r != 0) {
		fail(t, r, &e);
		return false;
	}
	if (push(t))
		become_ready(t);
	return !t->f.closed;
}

/*
 * Answer a peer's KeyUpdate.  While the peer takes nothing the answer waits for room, or leaves
 * with the next data, in front of it.  Returns 0 or ERR_NOMEM.
 */
static int
answer_update(struct f_tls *t)
{
	if (!tls_rec_owes_update(t->rec) || t->f.closed || t->output != OUTPUT_OPEN ||
	    filter_room(t->f.below) == 0)
		return 0;
	return tls_rec_send_update(t->rec, false, &t->records);
}

/*
 * Decrypt a turn's worth; whatever has to be said about it goes to records.
 * Returns 0 when all that is there was taken, ERR_AGAIN when the turn is over, ERR_EOF after
 * close_notify, ERR_NOMEM, ERR_TLS and e.
 */
static int
decrypt(struct f_tls *t, struct errtext *e)
{
	size_t before = t->f.in.len;
	int r;

	if (t->rec == NULL) {
		r = tls_session_open(t->session, &t->f.in, F_TLS_TURN, e);
		note_moved(t, t->f.in.len - before);
		return r;
	}
	r = tls_rec_open(t->rec, &t->f.below->in, &t->f.in, F_TLS_TURN, e);
	if (t->output == OUTPUT_ENDED)
		return r; /* RFC 8446 6.1: after our close_notify we send nothing */
	if (r == ERR_TLS && tls_rec_refusal(t->rec) != TLS_ALERT_CLOSE_NOTIFY)
		IGNORE_RESULT(tls_rec_send_alert(
		    t->rec, tls_rec_refusal(t->rec), &t->records)); /* it is over all the same */
	return r == 0 ? answer_update(t) : r;
}

static void
read_turn(struct f_tls *t)
{
	size_t before = t->f.in.len;
	struct errtext e;
	int r = decrypt(t, &e);

	if (!push(t)) /* answers to the peer */
		return;
	if (t->f.paused)
		bufq_compact(&t->f.in);
	if (r == ERR_AGAIN)
		task_later(t->f.loop, &t->step);
	if (t->f.in.len > before)
		filter_readable(&t->f);
	if (t->f.closed || r == ERR_AGAIN)
		return;
	if (r == ERR_EOF) {
		end_input(t, ERR_EOF, "");
		send_end(t);
	} else if (r != 0) {
		fail(t, r, &e);
	} else if (t->below_err != 0) {
		end_as_below(t, "TLS: the connection ended without close_notify");
	}
	tell_end(t);
}

/* False: what came waits for its turn, or it has failed and told so. */
static bool
may_shake(struct f_tls *t)
{
	if (t->place.turns == NULL || t->f.below->in.len == 0 || t->my_turn) {
		t->my_turn = false;
		return true;
	}
	if (tls_place_wait(&t->place) != 0)
		fail(t, ERR_NOMEM, NULL);
	return false;
}

static void
on_step(void *arg)
{
	struct f_tls *t = arg;

	if (t->f.closed || t->f.eof)
		return;
	if (t->input == INPUT_ENDED) {
		filter_readable(&t->f);
		tell_end(t);
		return;
	}
	if (t->f.paused || (t->input == INPUT_HANDSHAKE && (!may_shake(t) || !handshake(t))))
		return;
	read_turn(t);
}

static void
on_turn(void *arg)
{
	struct f_tls *t = arg;

	t->my_turn = true;
	on_step(t);
}

static void
on_below_readable(void *arg)
{
	on_step(arg);
}

static void
on_below_writable(void *arg)
{
	struct f_tls *t = arg;

	if (t->output != OUTPUT_OPEN)
		return;
	if (t->rec != NULL && answer_update(t) != 0)
		fail(t, ERR_NOMEM, NULL);
	else if (push(t))
		filter_writable(&t->f);
}

/* Something that came before the end is still to be delivered. */
static bool
has_input(const struct f_tls *t)
{
	return t->f.below->in.len > 0 || t->f.in.len > 0 ||
	       (t->session != NULL && tls_session_has_input(t->session));
}

static void
on_below_closed(void *arg, int err, const char *text)
{
	struct f_tls *t = arg;

	/* Our answer to the peer's end, and what was written before it, may be lost. */
	if (t->f.eof && err != ERR_EOF)
		filter_close(&t->f, err, text);
	if (t->input == INPUT_ENDED)
		return;
	t->below_err = err;
	snprintf(t->below_text, sizeof t->below_text, "%s", text);
	/* This may come from inside a write whose reason says more: not now. */
	if (err == ERR_EOF || !t->f.paused || has_input(t))
		task_soon(t->f.loop, &t->step);
	else
		filter_close(&t->f, err, text);
}

static const struct filter_user below_user = { on_below_readable, on_below_writable,
	on_below_closed };

/* ---- life ---- */

static void
tls_pause(struct filter *f, bool paused)
{
	struct f_tls *t = tls_of(f);

	filter_pause(f->below, paused);
	/* What is decrypted or has arrived already makes no event below. */
	if (!paused)
		task_soon(f->loop, &t->step);
}

static size_t
tls_pending(const struct filter *f)
{
	return tls_of(f)->held.len;
}

static void
tls_detach(struct filter *f)
{
	task_cancel(f->loop, &tls_of(f)->step);
}

static int
tls_attach(struct filter *f, struct loop *l)
{
	task_soon(l, &tls_of(f)->step);
	return 0;
}

static void
tls_fini(struct filter *f)
{
	struct f_tls *t = tls_of(f);

	if (f->loop != NULL)
		task_cancel(f->loop, &t->step);
	tls_place_leave(&t->place);
	tls_session_free(t->session);
	tls_rec_free(t->rec);
	tls_asked_fini(&t->asked);
	tls_generation_drop(t->gen);
	bufq_fini(&t->held);
	tls_writer_fini(&t->records);
}

static const struct filter_ops tls_ops = {
	.name = "tls",
	.write = tls_write,
	.flush = tls_flush,
	.room = tls_room,
	.shutdown = tls_shutdown,
	.fini = tls_fini,
	.pause = tls_pause,
	.detach = tls_detach,
	.attach = tls_attach,
	.pending = tls_pending,
};

/* Takes the reference to g in every case.  NULL: out of memory, and below is not touched. */
static struct f_tls *
tls_new(struct filter *below, struct loop *l, struct tls_generation *g)
{
	struct f_tls *t = mem_zalloc(sizeof *t);

	if (t == NULL) {
		tls_generation_drop(g);
		return NULL;
	}
	filter_init(&t->f, &tls_ops, below, l);
	task_init(&t->step, on_step, t);
	t->gen = g;
	return t;
}

/* Takes below if the session, t->session, could be made. */
static struct filter *
tls_start(struct f_tls *t)
{
	if (t->session == NULL) {
		tls_fini(&t->f);
		mem_free(t);
		return NULL;
	}
	filter_set_user(t->f.below, &below_user, t);
	task_soon(t->f.loop, &t->step);
	return &t->f;
}

struct filter *
f_tls_server(struct filter *below, struct loop *l, struct tls_server_ctx *ctx)
{
	struct f_tls *t = tls_new(below, l, tls_generation_server(ctx));

	if (t == NULL)
		return NULL;
	t->session = tls_session_new_server(t->gen, &t->asked, &below->in, &t->records);
	return tls_start(t);
}

struct filter *
f_tls_client(struct filter *below, struct loop *l, struct tls_client_ctx *ctx, const char *host)
{
	struct f_tls *t = tls_new(below, l, tls_generation_client(ctx));

	if (t == NULL)
		return NULL;
	t->session = tls_session_new_client(t->gen, host, &below->in, &t->records);
	return tls_start(t);
}

struct filter *
f_tls_keyed(
    struct filter *below, struct loop *l, const struct tls_keyed *ctx, struct tls_judge judge)
{
	struct f_tls *t = tls_new(below, l, tls_generation_keyed(ctx));

	if (t == NULL)
		return NULL;
	t->session = tls_session_new_keyed(t->gen, judge, &below->in, &t->records);
	return tls_start(t);
}

void
f_tls_take_turns(struct filter *f, struct tls_turns *t, const struct tls_turns_who *who)
{
	tls_place_init(&tls_of(f)->place, t, who, on_turn, f);
}

const uint8_t *
f_tls_peer(const struct filter *f)
{
	const struct f_tls *t = tls_of(f);

	return t->has_peer ? t->peer : NULL;
}

void
f_tls_set_ready(struct filter *f, void (*fn)(void *arg), void *arg)
{
	tls_of(f)->ready_fn = fn;
	tls_of(f)->ready_arg = arg;
}

const char *
f_tls_describe(const struct filter *f)
{
	return tls_of(f)->description;
}

const char *
f_tls_asked(const struct filter *f)
{
	return tls_of(f)->asked.name;
}

bool
f_tls_covers(const struct filter *f, const char *host)
{
	const struct f_tls *t = tls_of(f);

	return tls_generation_covers(t->gen, &t->asked, host);
}
