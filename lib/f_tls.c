/* SPDX-License-Identifier: ISC */
/*
 * f_tls - TLS as a filter: mbedTLS's record layer between two queues of blocks.
 *
 * Copies of payload.  In: below->in → mbedTLS's input buffer (it insists on its own), decrypted there, → a pooled
 * block of f->in: 2.  Out: slices → mbedTLS's output buffer, encrypted there, → a pooled block for below: 2; slices that are
 * smaller than a record are gathered first, which is one more for them.
 *
 * mbedTLS never waits here: its send callback takes everything, so that only WANT_READ is left.
 *
 *     handshake ── done ──> ready ── filter_shutdown ──> shut (reads on until the peer's end)
 *         └── error ──┬───────┴── close_notify, end below, error ──> told by user->closed
 */
#include "lib/f_tls.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>

#include "lib/mem.h"
#include "lib/tls_gen.h"
#include "lib/tls_verify.h"

enum {
	RECORD_PLAIN = 16384, /* RFC 8446 5.1 */
	RECORD_EXTRA = 40,    /* header, type, padding, tag in TLS 1.3: up to 37; 29 in 1.2 */
	SMALL =
	    2048, /* a turn that moves no more has touched the head of the record buffers only */
	BUFFER_HEAD = 64, /* of a record buffer: holds the record's counter between two records */
};

struct f_tls {
	struct filter f;
	mbedtls_ssl_context ssl;
	struct tls_gen *gen;
	struct tls_verify *verify; /* client, until the handshake is done */
	struct bufq held;          /* plain text, until a flush after the handshake */
	struct bufq out;           /* records, until the call from above or below returns */
	struct block *filling;     /* the last block of out */
	size_t out_expected;       /* bytes of records that this flush will make */
	struct task step;
	void (*ready_fn)(void *arg);
	void *ready_arg;
	uint64_t busy_ms; /* when more than SMALL was moved last */
	int end;          /* what is to be told when the user has seen all input; 0 */
	const char *lost; /* the sentence for it */
	bool ready, shut_wanted, shut_sent, below_eof, trimmed;
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
	size_t left = n;

	while (left > 0) {
		if (t->filling == NULL || block_room(t->filling) == 0) {
			size_t want = t->out_expected > left ? t->out_expected : left;

			block_unref(t->filling);
			t->filling = block_new(want < BUF_HUGE ? want : BUF_HUGE);
			if (t->filling == NULL)
				return MBEDTLS_ERR_SSL_ALLOC_FAILED;
		}
		struct block *b = t->filling;
		size_t k = left < block_room(b) ? left : block_room(b);

		if (bufq_append(&t->out, b, b->data + b->fill, k) != 0)
			return MBEDTLS_ERR_SSL_ALLOC_FAILED;
		memcpy(b->data + b->fill, p, k);
		b->fill += (uint32_t)k;
		p += k;
		left -= k;
		t->out_expected -= k < t->out_expected ? k : t->out_expected;
	}
	return (int)n;
}

/*
 * Hand the records that were made to the filter below.  False: that failed, the user has been told, and may have freed this
 * filter; nothing of it but f.closed may be looked at.
 */
static bool
push(struct f_tls *t)
{
	block_unref(t->filling);
	t->filling = NULL;
	if (t->out.len > 0) {
		int r = filter_write(t->f.below, &t->out);

		if (t->f.closed)
			return false;
		bufq_fini(&t->out);
		if (r == ERR_NOMEM)
			filter_close(&t->f, r, "out of memory");
		else if (r == 0)
			filter_flush(t->f.below);
	}
	return !t->f.closed;
}

/* ---- the end ---- */

static const char *
alert_words(unsigned alert)
{
	switch (alert) {
	case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
		return "no cipher or key in common";
	case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION:
		return "no TLS version in common";
	case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
	case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
	case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
	case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
	case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED:
		return "it does not accept our certificate";
	case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
		return "our certificate has expired";
	case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
		return "it does not know who issued our certificate";
	case MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED:
		return "it wants a certificate from us";
	case MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME:
		return "it does not serve that name";
	case MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL:
		return "it does not speak HTTP/1.1";
	case MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC:
		return "a record was changed on its way";
	default:
		return "RFC 8446 6.2";
	}
}

static void
explain(const struct f_tls *t, int ret, struct errtext *e)
{
	const char *doing = t->ready ? "TLS" : "TLS handshake";
	char words[128];

	if (t->verify != NULL && tls_verify_explain(t->verify, e))
		return;
	switch (ret) {
	case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
		words[0] = (char)t->ssl.MBEDTLS_PRIVATE(in_msg)[1];
		err_set(e, ERR_TLS, "%s: the peer ended it with alert %u (%s)", doing,
		    (unsigned)(uint8_t)words[0], alert_words((uint8_t)words[0]));
		return;
	case MBEDTLS_ERR_SSL_INVALID_RECORD:
		err_set(e, ERR_TLS,
		    t->ready ? "TLS: the peer sent a malformed record"
			     : "TLS handshake: the peer does not speak TLS");
		return;
	case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
		err_set(e, ERR_TLS, "TLS handshake: the peer offers neither TLS 1.2 nor 1.3");
		return;
	case MBEDTLS_ERR_SSL_INVALID_MAC:
		/* mbedTLS as a client sends the alert about a certificate without encryption. */
		err_set(e, ERR_TLS,
		    t->ready ? "TLS: a record was changed on its way"
			     : "TLS handshake: a record cannot be decrypted; a peer that "
			       "does not accept our certificate may send one");
		return;
	default:
		mbedtls_strerror(ret, words, sizeof words);
		err_set(e, ERR_TLS, "%s: %s", doing, words);
	}
}

/* An error of mbedTLS: its alert goes out, then the user is told. */
static void
fail(struct f_tls *t, int ret)
{
	struct errtext e;
	bool nomem = ret == MBEDTLS_ERR_SSL_ALLOC_FAILED;

	explain(t, ret, &e);
	if (!push(t))
		return; /* nobody to alert, and the user has been told */
	filter_shutdown(t->f.below);
	filter_close(&t->f, nomem ? ERR_NOMEM : ERR_TLS, nomem ? "out of memory" : e.s);
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

static int
write_record(struct f_tls *t, struct block **scratch)
{
	size_t n;
	const uint8_t *p = bufq_front(&t->held, &n);
	int ret;

	if (n < RECORD_PLAIN && n < t->held.len) {
		if (*scratch == NULL && (*scratch = block_new(RECORD_PLAIN)) == NULL)
			return MBEDTLS_ERR_SSL_ALLOC_FAILED;
		n = bufq_read(&t->held, 0, (*scratch)->data, RECORD_PLAIN);
		p = (*scratch)->data;
	}
	ret = mbedtls_ssl_write(&t->ssl, p, n);
	if (ret > 0)
		bufq_drain(&t->held, (size_t)ret);
	return ret;
}

/* Make records of all that is held.  False: the filter has failed and told so. */
static bool
encrypt(struct f_tls *t)
{
	struct block *scratch = NULL;
	int ret = 1;

	if (t->held.len > SMALL) {
		t->busy_ms = loop_now_ms(t->f.loop);
		t->trimmed = false;
	}
	t->out_expected = t->held.len + (t->held.len / RECORD_PLAIN + 1) * RECORD_EXTRA;
	while (t->held.len > 0 && ret > 0)
		ret = write_record(t, &scratch);
	t->out_expected = 0;
	block_unref(scratch);
	if (ret <= 0)
		fail(t, ret);
	return ret > 0;
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
	if (t->shut_sent || !encrypt(t))
		return;
	t->shut_sent = true;
	if (mbedtls_ssl_close_notify(&t->ssl) != 0)
		bufq_fini(
		    &t->out); /* out of memory: the peer will see a cut, which is what it is */
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
 * mbedTLS keeps two buffers of a record each for as long as the connection lives.  Between two records nothing in them
 * matters but the counter at the head, so the whole pages behind it go back to the system; they come back as
 * zeros when they are touched.  mbedTLS has no call for this, hence the look at its members.
 */
static void
trim(struct f_tls *t)
{
#if !defined(MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH)
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	unsigned char *buf[] = { t->ssl.MBEDTLS_PRIVATE(in_buf), t->ssl.MBEDTLS_PRIVATE(out_buf) };

	if (t->ssl.MBEDTLS_PRIVATE(in_left) > 0 || mbedtls_ssl_check_pending(&t->ssl))
		return;
	for (int i = 0; i < 2; i++) {
		uintptr_t from = ((uintptr_t)buf[i] + BUFFER_HEAD + page - 1) & ~(page - 1);
		uintptr_t to = ((uintptr_t)buf[i] + RECORD_PLAIN) & ~(page - 1);

		if (to > from)
			IGNORE_RESULT(
			    madvise((void *)from, to - from, MADV_DONTNEED)); /* a favour */
	}
#endif
	t->trimmed = true;
}

static void
become_ready(struct f_tls *t)
{
	t->ready = true;
	t->busy_ms = loop_now_ms(t->f.loop);
	snprintf(t->words, sizeof t->words, "%s %s", mbedtls_ssl_get_version(&t->ssl),
	    mbedtls_ssl_get_ciphersuite(&t->ssl));
	mbedtls_ssl_set_verify(&t->ssl, NULL, NULL);
	tls_verify_free(t->verify);
	t->verify = NULL;
	trim(t); /* certificates are large, and many connections are idle from here on */
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
	int ret = mbedtls_ssl_handshake(&t->ssl);

	if (ret == MBEDTLS_ERR_SSL_WANT_READ) {
		if (push(t) && t->below_eof) {
			t->end = ERR_CLOSED;
			t->lost = "TLS handshake: the peer ended the connection";
			tell_end(t);
		}
		return false;
	}
	if (ret != 0) {
		fail(t, ret);
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
	size_t want = mbedtls_ssl_get_bytes_avail(&t->ssl) + t->f.below->in.len;

	if (want > budget)
		want = budget;
	if (want > BUF_LARGE && want < BUF_HUGE / 2)
		want = BUF_LARGE;
	return block_new(want < BUF_HUGE ? want : BUF_HUGE);
}

/* Decrypt until b is full.  Returns what mbedTLS said last, 1 when b is full. */
static int
fill_block(struct f_tls *t, struct block *b)
{
	while (block_room(b) > 0) {
		int ret = mbedtls_ssl_read(&t->ssl, b->data + b->fill, block_room(b));

		if (ret > 0)
			b->fill += (uint32_t)ret;
		else if (ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
			continue; /* we never resume */
		else if (ret == MBEDTLS_ERR_SSL_WANT_READ && t->f.below->in.len > 0)
			continue; /* it passed over a warning */
		else
			return ret;
	}
	return 1;
}

static int
decrypt(struct f_tls *t)
{
	size_t budget = F_TLS_TURN;
	int ret = 1;

	while (ret > 0 && budget > 0) {
		struct block *b = input_block(t, budget);

		if (b == NULL)
			return MBEDTLS_ERR_SSL_ALLOC_FAILED;
		ret = fill_block(t, b);
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
	uint64_t now = loop_now_ms(t->f.loop);

	if (moved > SMALL) {
		t->busy_ms = now;
		t->trimmed = false;
	} else if (!t->trimmed && now - t->busy_ms > F_TLS_TRIM_MS) {
		trim(t);
	}
}

static void
read_turn(struct f_tls *t)
{
	size_t before = t->f.in.len;
	int ret = decrypt(t);

	if (!push(t)) /* answers of mbedTLS's own */
		return;
	consider_trim(t, t->f.in.len - before);
	if (ret > 0)
		task_later(t->f.loop, &t->step);
	if (t->f.in.len > before)
		filter_readable(&t->f);
	if (t->f.closed || ret > 0)
		return;
	if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
		t->end = ERR_EOF;
		t->lost = "";
		send_end(t);
	} else if (ret == MBEDTLS_ERR_SSL_WANT_READ) {
		if (!t->below_eof)
			return;
		t->end = ERR_CLOSED;
		t->lost = "TLS: the connection ended without close_notify";
	} else {
		fail(t, ret);
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

	if (t->ready)
		filter_writable(&t->f);
}

static void
on_below_closed(void *arg, int err, const char *text)
{
	struct f_tls *t = arg;

	if (err == ERR_EOF) {
		t->below_eof = true;
		on_step(t);
	} else if (t->end == 0) {
		filter_close(&t->f, err, text);
	}
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
	mbedtls_ssl_free(&t->ssl);
	tls_verify_free(t->verify);
	tls_gen_drop(t->gen);
	block_unref(t->filling);
	bufq_fini(&t->held);
	bufq_fini(&t->out);
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
	mbedtls_ssl_init(&t->ssl);
	if (mbedtls_ssl_setup(&t->ssl, &g->conf) != 0 ||
	    (host != NULL && (t->verify = tls_verify_new(&t->ssl, g, host)) == NULL)) {
		tls_fini(&t->f);
		mem_free(t);
		return NULL;
	}
	mbedtls_ssl_set_bio(&t->ssl, t, on_send, on_recv, NULL);
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
