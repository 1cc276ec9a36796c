/* SPDX-License-Identifier: ISC */
/*
 * f_tls - TLS as a filter, with two engines between two queues of blocks.
 *
 * mbedTLS (t->session) does every handshake, and the records of TLS 1.2.  When a handshake of TLS 1.3 is done, its secrets and
 * counters are handed to lib/tls/tls_rec.c (t->rec), which makes the records from then on, and mbedTLS's session is freed.  One of
 * the two is there at any time.
 *
 * Copies of payload.
 *   tls_rec   in: decrypted where it stands and moved: 0.  Out: encrypted into the blocks that are sent: 0 beside that.
 *   mbedTLS   in: below->in → its input buffer, decrypted there → a pooled block of f->in: 2.  Out: slices → its output buffer,
 *             encrypted there → a pooled block for below: 2; slices that are smaller than a record are gathered first: 1 more.
 *
 * mbedTLS never waits here: its send callback takes everything, so that only WANT_READ is left.
 *
 *     handshake ── done ──> ready ── filter_shutdown ──> shut (reads on until the peer's end)
 *         └── error ──┬───────┴── close_notify, end below, error ──> told by user->closed
 */
#include "lib/tls/f_tls.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>

#include "lib/base/mem.h"
#include "lib/tls/tls_gen.h"
#include "lib/tls/tls_out.h"
#include "lib/tls/tls_rec.h"
#include "lib/tls/tls_verify.h"
#include "lib/tls/tls_words.h"

enum {
	RECORD_EXTRA =
	    40, /* of mbedTLS's: header, nonce, tag: 29 in TLS 1.2; with padding 37 in 1.3 */
	SMALL =
	    2048, /* a turn that moves no more has touched the head of the record buffers only */
	BUFFER_HEAD = 64, /* of a record buffer: holds the record's counter between two records */
	ANSWERS_MAX = 32, /* that reading makes mbedTLS send; none is due in good order */
};

/* mbedTLS's part of a connection. */
struct session {
	mbedtls_ssl_context ssl;
	/* The application traffic secrets of TLS 1.3, as soon as there are any. */
	uint8_t client_secret[TLS_REC_SECRET_MAX], server_secret[TLS_REC_SECRET_MAX];
	size_t client_len, server_len;
};

struct f_tls {
	struct filter f;
	struct session *session; /* NULL when rec has taken over */
	struct tls_rec *rec;     /* NULL until then */
	struct tls_gen *gen;
	struct tls_verify *verify; /* client, until the handshake is done */
	struct bufq held;          /* plain text, until a flush after the handshake */
	struct tls_out out;        /* records, until the call from above or below returns */
	struct task step;
	void (*ready_fn)(void *arg);
	void *ready_arg;
	bool reading;     /* mbedTLS is */
	unsigned answers; /* records it has sent meanwhile */
	uint64_t busy_ms; /* when more than SMALL was moved last */
	int end;          /* what is to be told when the user has seen all input; 0 */
	const char *lost; /* the sentence for it */
	int below_err;    /* 0, or how below ended */
	char below_text[64];
	bool ready, shut_wanted, shut_sent, trimmed;
	char words[64];
};

static struct f_tls *
tls_of(const struct filter *f)
{
	return (struct f_tls *)(uintptr_t)f;
}

/* ---- between mbedTLS and the filter below ---- */

static int
on_recv(void *arg, unsigned char *p, size_t n)
{
	struct f_tls *t = arg;
	size_t got = bufq_read(&t->f.below->in, 0, p, n);

	if (got == 0)
		return MBEDTLS_ERR_SSL_WANT_READ;
	bufq_drain(&t->f.below->in, got);
	return (int)got;
}

static int
on_send(void *arg, const unsigned char *p, size_t n)
{
	struct f_tls *t = arg;

	/* TLS 1.2: each ask for a new handshake is answered by a warning, and the peer may read none of them. */
	if (t->reading && ++t->answers > ANSWERS_MAX)
		return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
	return tls_out_put(&t->out, p, n) == 0 ? (int)n : MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

/*
 * Hand the records that were made to the filter below.  False: that failed, the user has been told, and may have freed this
 * filter; nothing of it but f.closed may be looked at.
 */
static bool
push(struct f_tls *t)
{
	tls_out_end(&t->out);
	if (t->out.q.len > 0) {
		int r = filter_write(t->f.below, &t->out.q);

		if (t->f.closed)
			return false;
		bufq_fini(&t->out.q);
		if (r == ERR_NOMEM)
			filter_close(&t->f, r, "out of memory");
		else if (r == 0)
			filter_flush(t->f.below);
	}
	return !t->f.closed;
}

/* ---- the end ---- */

/* What an error of mbedTLS means: its code of lib/base/err.h, and a sentence. */
static int
explain(const struct f_tls *t, int ret, struct errtext *e)
{
	const char *doing = t->ready ? "TLS" : "TLS handshake";
	char words[128];

	if (ret == MBEDTLS_ERR_SSL_ALLOC_FAILED)
		return ERR_NOMEM;
	if (t->verify != NULL && tls_verify_explain(t->verify, e))
		return ERR_TLS;
	if (t->answers > ANSWERS_MAX)
		return err_set(
		    e, ERR_TLS, "TLS: the peer asks for a new handshake again and again");
	switch (ret) {
	case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
		return tls_words_alert(e, doing, t->session->ssl.MBEDTLS_PRIVATE(in_msg)[1]);
	case MBEDTLS_ERR_SSL_INVALID_RECORD:
		return err_set(e, ERR_TLS, "%s",
		    t->ready ? TLS_WORDS_MALFORMED : "TLS handshake: the peer does not speak TLS");
	case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
		return err_set(
		    e, ERR_TLS, "TLS handshake: the peer offers neither TLS 1.2 nor 1.3");
	case MBEDTLS_ERR_SSL_INVALID_MAC:
		/* mbedTLS as a client sends the alert about a certificate without encryption. */
		return err_set(e, ERR_TLS, "%s",
		    t->ready ? TLS_WORDS_CHANGED
			     : "TLS handshake: a record cannot be decrypted; a peer that "
			       "does not accept our certificate may send one");
	default:
		mbedtls_strerror(ret, words, sizeof words);
		return err_set(e, ERR_TLS, "%s: %s", doing, words);
	}
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
	t->end = t->below_err == ERR_EOF ? ERR_CLOSED : t->below_err;
	t->lost = t->below_err == ERR_EOF ? clean : t->below_text;
}

/* Tell of the end once all input before it has been delivered. */
static void
tell_end(struct f_tls *t)
{
	if (t->end == 0 || t->f.closed || t->f.eof || (t->f.paused && t->f.in.len > 0))
		return;
	filter_close(&t->f, t->end, t->lost);
}

/* ---- writing ---- */

/* Something was sent or received that is more than a keepalive: mbedTLS's buffers are in use. */
static void
note_busy(struct f_tls *t)
{
	t->busy_ms = loop_now_ms(t->f.loop);
	t->trimmed = false;
}

static int
write_record(struct f_tls *t, struct block **scratch)
{
	size_t n;
	const uint8_t *p = bufq_front(&t->held, &n);
	int ret;

	if (n < TLS_REC_PLAIN && n < t->held.len) {
		if (*scratch == NULL && (*scratch = block_new(TLS_REC_PLAIN)) == NULL)
			return MBEDTLS_ERR_SSL_ALLOC_FAILED;
		n = bufq_read(&t->held, 0, (*scratch)->data, TLS_REC_PLAIN);
		p = (*scratch)->data;
	}
	ret = mbedtls_ssl_write(&t->session->ssl, p, n);
	if (ret > 0)
		bufq_drain(&t->held, (size_t)ret);
	return ret;
}

/* mbedTLS makes records of all that is held.  Returns 0 or its error. */
static int
write_records(struct f_tls *t)
{
	struct block *scratch = NULL;
	int ret = 1;

	if (t->held.len > SMALL)
		note_busy(t);
	t->out.expected = t->held.len + (t->held.len / TLS_REC_PLAIN + 1) * RECORD_EXTRA;
	while (t->held.len > 0 && ret > 0)
		ret = write_record(t, &scratch);
	block_unref(scratch);
	return ret > 0 ? 0 : ret;
}

/* Make records of all that is held.  False: the filter has failed and told so. */
static bool
encrypt(struct f_tls *t)
{
	struct errtext e;
	int r, ret;

	if (t->rec != NULL) {
		r = tls_rec_seal(t->rec, &t->held, &t->out);
	} else {
		ret = write_records(t);
		r = ret == 0 ? 0 : explain(t, ret, &e);
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

/* Our end: what was written, close_notify (RFC 8446 6.1), then the end of the stream below. */
static void
send_end(struct f_tls *t)
{
	int r;

	if (t->shut_sent || !encrypt(t))
		return;
	t->shut_sent = true;
	if (t->rec != NULL)
		r = tls_rec_send_alert(t->rec, TLS_ALERT_CLOSE_NOTIFY, &t->out);
	else
		r = mbedtls_ssl_close_notify(&t->session->ssl);
	if (r != 0) /* out of memory: the peer will see a cut, which is what it is */
		tls_out_fini(&t->out);
	if (push(t))
		filter_shutdown(t->f.below);
}

static int
tls_write(struct filter *f, struct bufq *src)
{
	struct f_tls *t = tls_of(f);

	if (t->shut_wanted || t->end != 0)
		return ERR_CLOSED;
	return bufq_move(&t->held, src, src->len);
}

static void
tls_flush(struct filter *f)
{
	struct f_tls *t = tls_of(f);

	if (t->ready && !t->shut_sent)
		send_held(t);
}

static size_t
tls_room(struct filter *f)
{
	struct f_tls *t = tls_of(f);
	size_t room = F_TLS_EARLY;

	if (t->ready) {
		room = filter_room(f->below);
		if (room > F_TLS_AHEAD)
			room = F_TLS_AHEAD;
	}
	return room > t->held.len ? room - t->held.len : 0;
}

static void
tls_shutdown(struct filter *f)
{
	struct f_tls *t = tls_of(f);

	t->shut_wanted = true;
	if (t->ready)
		send_end(t);
}

/* ---- reading ---- */

/*
 * In TLS 1.2 mbedTLS keeps two buffers of a record each for as long as the connection lives.  Between two records nothing in them
 * matters but the counter at the head, so the whole pages behind it go back to the system; they come back as
 * zeros when they are touched.  mbedTLS has no call for this, hence the look at its members.
 */
static void
trim(struct f_tls *t)
{
#if !defined(MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH)
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	mbedtls_ssl_context *ssl = &t->session->ssl;
	unsigned char *buf[] = { ssl->MBEDTLS_PRIVATE(in_buf), ssl->MBEDTLS_PRIVATE(out_buf) };

	if (ssl->MBEDTLS_PRIVATE(in_left) > 0 || mbedtls_ssl_check_pending(ssl))
		return;
	for (int i = 0; i < 2; i++) {
		uintptr_t from = ((uintptr_t)buf[i] + BUFFER_HEAD + page - 1) & ~(page - 1);
		uintptr_t to = ((uintptr_t)buf[i] + TLS_REC_PLAIN) & ~(page - 1);

		if (to > from)
			IGNORE_RESULT(
			    madvise((void *)from, to - from, MADV_DONTNEED)); /* a favour */
	}
#endif
	t->trimmed = true;
}

static void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	mbedtls_ssl_free(&s->ssl);
	mem_wipe(s, sizeof *s);
	mem_free(s);
}

/* mbedTLS has made a secret of the connection. */
static void
on_secret(void *arg, mbedtls_ssl_key_export_type type, const unsigned char *p, size_t n,
    const unsigned char client_random[32], const unsigned char server_random[32],
    mbedtls_tls_prf_types prf)
{
	struct session *s = arg;

	(void)client_random;
	(void)server_random;
	(void)prf;
	if (n > TLS_REC_SECRET_MAX)
		return;
	if (type == MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET) {
		memcpy(s->client_secret, p, n);
		s->client_len = n;
	} else if (type == MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET) {
		memcpy(s->server_secret, p, n);
		s->server_len = n;
	}
}

static uint64_t
counter(const unsigned char p[8])
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | p[i];
	return n;
}

/*
 * Hand the connection from mbedTLS to tls_rec.  It has read whole records and no byte more, and its two counters say how many
 * records the new keys have protected (a server's session tickets are some); it has no calls for them, hence the look at its
 * members.  Where something is still in its hands, where the version or the suite is another, or without memory, it goes on.
 */
static void
take_over(struct f_tls *t)
{
	struct session *s = t->session;
	const mbedtls_ssl_context *ssl = &s->ssl;
	int payload = mbedtls_ssl_get_max_out_record_payload(ssl);
	struct tls_rec_start start = {
		.server = mbedtls_ssl_conf_get_endpoint(&t->gen->conf) == MBEDTLS_SSL_IS_SERVER,
		.suite = mbedtls_ssl_get_ciphersuite_id_from_ssl(ssl),
		.client_secret = s->client_secret,
		.server_secret = s->server_secret,
		.secret_len = s->client_len,
		.read_seq = counter(ssl->MBEDTLS_PRIVATE(in_ctr)),
		.write_seq = counter(ssl->MBEDTLS_PRIVATE(cur_out_ctr)),
		.fragment = TLS_REC_PLAIN,
	};

	if (mbedtls_ssl_get_version_number(ssl) != MBEDTLS_SSL_VERSION_TLS1_3 ||
	    !tls_rec_is_known(start.suite) || s->client_len == 0 ||
	    s->client_len != s->server_len || payload <= 0)
		return;
	if (mbedtls_ssl_check_pending(ssl) || ssl->MBEDTLS_PRIVATE(in_left) > 0 ||
	    ssl->MBEDTLS_PRIVATE(out_left) > 0)
		return;
	/* The peer may have asked for less than 2^14; mbedTLS's own padding takes a byte off that. */
	if (payload < TLS_REC_PLAIN - 1)
		start.fragment = (size_t)payload;
	t->rec = tls_rec_new(&start);
	if (t->rec == NULL)
		return;
	session_free(s);
	t->session = NULL;
}

static void
become_ready(struct f_tls *t)
{
	mbedtls_ssl_context *ssl = &t->session->ssl;

	t->ready = true;
	snprintf(t->words, sizeof t->words, "%s %s", mbedtls_ssl_get_version(ssl),
	    mbedtls_ssl_get_ciphersuite(ssl));
	mbedtls_ssl_set_verify(ssl, NULL, NULL);
	tls_verify_free(t->verify);
	t->verify = NULL;
	take_over(t);
	if (t->session != NULL) {
		t->busy_ms = loop_now_ms(t->f.loop);
		trim(t); /* certificates are large, and many connections are idle from here on */
	}
	if (t->shut_wanted)
		send_end(t);
	else
		send_held(t);
	if (t->ready_fn != NULL && !t->f.closed)
		t->ready_fn(t->ready_arg);
	filter_writable(&t->f);
}

/* False: not done, or failed and told so. */
static bool
handshake(struct f_tls *t)
{
	int ret = mbedtls_ssl_handshake(&t->session->ssl);
	struct errtext e;

	if (ret == MBEDTLS_ERR_SSL_WANT_READ) {
		if (push(t) && t->below_err != 0) {
			end_as_below(t, "TLS handshake: the peer ended the connection");
			tell_end(t);
		}
		return false;
	}
	if (ret != 0) {
		fail(t, explain(t, ret, &e), &e);
		return false;
	}
	if (push(t))
		become_ready(t);
	return !t->f.closed;
}

/* The block to decrypt into: about as large as what is there, so that a queue of them pins little beyond its length. */
static struct block *
input_block(const struct f_tls *t, size_t budget)
{
	size_t want = mbedtls_ssl_get_bytes_avail(&t->session->ssl) + t->f.below->in.len;

	if (want > budget)
		want = budget;
	return block_new(want < BUF_HUGE ? want : BUF_HUGE);
}

/* Decrypt until b is full or holds max bytes.  Returns what mbedTLS said last, 1 when it does. */
static int
fill_block(struct f_tls *t, struct block *b, size_t max)
{
	while (block_room(b) > 0 && b->fill < max) {
		size_t want = block_room(b) < max - b->fill ? block_room(b) : max - b->fill;
		int ret;

		t->reading = true;
		ret = mbedtls_ssl_read(&t->session->ssl, b->data + b->fill, want);
		t->reading = false;
		if (ret > 0)
			b->fill += (uint32_t)ret;
		else if (ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
			continue; /* we never resume */
		else if (ret == 0)
			continue; /* RFC 5246 6.2.1: an empty record; mbedTLS ends a flood of them */
		else if (ret == MBEDTLS_ERR_SSL_WANT_READ && t->f.below->in.len > 0)
			continue; /* it passed over a warning */
		else
			return ret;
	}
	return 1;
}

/* mbedTLS reads records for a turn.  Returns what it said last, 1 when the turn is over. */
static int
read_records(struct f_tls *t)
{
	size_t budget = F_TLS_TURN;
	int ret = 1;

	while (ret > 0 && budget > 0) {
		struct block *b = input_block(t, budget);

		if (b == NULL)
			return MBEDTLS_ERR_SSL_ALLOC_FAILED;
		ret = fill_block(t, b, budget);
		if (bufq_append(&t->f.in, b, b->data, b->fill) != 0)
			ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
		budget -= b->fill < budget ? b->fill : budget;
		block_unref(b);
	}
	return ret;
}

static void
consider_trim(struct f_tls *t, size_t moved)
{
	if (moved > SMALL)
		note_busy(t);
	else if (!t->trimmed && loop_now_ms(t->f.loop) - t->busy_ms > F_TLS_TRIM_MS)
		trim(t);
}

/* While the peer takes nothing its answer waits for room, or for the next data, which it goes before.  Returns 0 or ERR_NOMEM. */
static int
answer_update(struct f_tls *t)
{
	if (!tls_rec_owes_update(t->rec) || t->f.closed || t->shut_sent ||
	    filter_room(t->f.below) == 0)
		return 0;
	return tls_rec_send_update(t->rec, false, &t->out);
}

/*
 * Decrypt a turn's worth; whatever has to be said about it goes to out.
 * Returns 0 when all that is there was taken, ERR_AGAIN when the turn is over, ERR_EOF after close_notify, ERR_NOMEM, ERR_TLS and e.
 */
static int
decrypt(struct f_tls *t, struct errtext *e)
{
	size_t before = t->f.in.len;
	int ret, r;

	if (t->rec == NULL) {
		ret = read_records(t);
		consider_trim(t, t->f.in.len - before);
		if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
			return ERR_EOF;
		return ret > 0 ? ERR_AGAIN
			       : (ret == MBEDTLS_ERR_SSL_WANT_READ ? 0 : explain(t, ret, e));
	}
	r = tls_rec_open(t->rec, &t->f.below->in, &t->f.in, F_TLS_TURN, e);
	if (t->shut_sent)
		return r; /* RFC 8446 6.1: nothing follows our close_notify */
	if (r == ERR_TLS && tls_rec_refusal(t->rec) != TLS_ALERT_CLOSE_NOTIFY)
		IGNORE_RESULT(tls_rec_send_alert(
		    t->rec, tls_rec_refusal(t->rec), &t->out)); /* it is over all the same */
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
		t->end = ERR_EOF;
		t->lost = "";
		send_end(t);
	} else if (r != 0) {
		fail(t, r, &e);
	} else if (t->below_err != 0) {
		end_as_below(t, "TLS: the connection ended without close_notify");
	}
	tell_end(t);
}

static void
on_step(void *arg)
{
	struct f_tls *t = arg;

	if (t->f.closed || t->f.eof)
		return;
	if (t->end != 0) {
		filter_readable(&t->f);
		tell_end(t);
		return;
	}
	if (t->f.paused || (!t->ready && !handshake(t)))
		return;
	read_turn(t);
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

	if (t->rec != NULL && answer_update(t) != 0)
		fail(t, ERR_NOMEM, NULL);
	else if (t->ready && push(t))
		filter_writable(&t->f);
}

/* Something that came before the end is still to be delivered. */
static bool
has_input(const struct f_tls *t)
{
	return t->f.below->in.len > 0 || t->f.in.len > 0 ||
	       (t->session != NULL && mbedtls_ssl_check_pending(&t->session->ssl));
}

static void
on_below_closed(void *arg, int err, const char *text)
{
	struct f_tls *t = arg;

	if (t->end != 0)
		return;
	t->below_err = err;
	snprintf(t->below_text, sizeof t->below_text, "%s", text);
	if (err == ERR_EOF)
		on_step(t);
	else if (has_input(t)) /* this may come from inside a write: not now */
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
	session_free(t->session);
	tls_rec_free(t->rec);
	tls_verify_free(t->verify);
	tls_gen_drop(t->gen);
	bufq_fini(&t->held);
	tls_out_fini(&t->out);
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
};

/* mbedTLS's part, at the start of a handshake; host: we are the client. */
static int
session_start(struct f_tls *t, const char *host)
{
	struct session *s = t->session = mem_zalloc(sizeof *s);

	if (s == NULL)
		return ERR_NOMEM;
	mbedtls_ssl_init(&s->ssl);
	if (mbedtls_ssl_setup(&s->ssl, &t->gen->conf) != 0 ||
	    (host != NULL && (t->verify = tls_verify_new(&s->ssl, t->gen, host)) == NULL))
		return ERR_NOMEM;
	mbedtls_ssl_set_bio(&s->ssl, t, on_send, on_recv, NULL);
	mbedtls_ssl_set_export_keys_cb(&s->ssl, on_secret, s);
	return 0;
}

/* Takes the reference to g in every case. */
static struct filter *
tls_start(struct filter *below, struct loop *l, struct tls_gen *g, const char *host)
{
	struct f_tls *t = mem_zalloc(sizeof *t);

	if (t == NULL) {
		tls_gen_drop(g);
		return NULL;
	}
	filter_init(&t->f, &tls_ops, below, l);
	task_init(&t->step, on_step, t);
	t->gen = g;
	if (session_start(t, host) != 0) {
		tls_fini(&t->f);
		mem_free(t);
		return NULL;
	}
	filter_set_user(below, &below_user, t);
	task_soon(l, &t->step);
	return &t->f;
}

struct filter *
f_tls_server(struct filter *below, struct loop *l, struct tls_server_ctx *ctx)
{
	return tls_start(below, l, tls_gen_server(ctx), NULL);
}

struct filter *
f_tls_client(struct filter *below, struct loop *l, struct tls_client_ctx *ctx, const char *host)
{
	return tls_start(below, l, tls_gen_client(ctx), host);
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
	return tls_of(f)->words;
}
