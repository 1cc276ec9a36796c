/* SPDX-License-Identifier: ISC */
/* tls_session - mbedTLS between a queue and a tls_writer. */
#include "lib/tls/tls_session.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>

#include "lib/base/mem.h"
#include "lib/tls/tls_verify.h"
#include "lib/tls/tls_words.h"

enum {
	/* Header, nonce and tag of a record: 29 bytes in TLS 1.2, 37 with padding in 1.3. */
	RECORD_EXTRA = 40,
	/*
	 * Bytes at the head of a record buffer: the record's counter is there between two records.
	 */
	BUFFER_HEAD = 64,
	/* mbedTLS reads a record's header, then its body. */
	READS_OF_RECORD = 2,
};

struct tls_session {
	mbedtls_ssl_context ssl;
	const struct tls_generation *gen;
	struct bufq *in;
	struct tls_writer *out;
	/* Of a client, until the handshake is done. */
	struct tls_verify *verify;
	/* The application traffic secrets of TLS 1.3, as soon as there are any. */
	uint8_t client_secret[TLS_REC_SECRET_MAX], server_secret[TLS_REC_SECRET_MAX];
	size_t client_len, server_len;
	/* tls_session_open() is at work. */
	bool opening;
	/* Reads that were met since data came, and records that were sent meanwhile. */
	unsigned idle, answers;
	/* Of a keyed one: who may be at the other end, who is, and was that judged? */
	struct tls_judge judge;
	uint8_t peer[KEYS_POINT_LEN];
	bool judged;
	/* Bytes that came in its handshake. */
	size_t taken;
};

/* ---- between mbedTLS and the filter below ---- */

static int
on_recv(void *arg, unsigned char *p, size_t n)
{
	struct tls_session *s = arg;
	size_t got = bufq_read(s->in, 0, p, n);

	if (got == 0)
		return MBEDTLS_ERR_SSL_WANT_READ;
	if (s->opening && got == n && ++s->idle > READS_OF_RECORD * TLS_SESSION_IDLE_MAX)
		return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
	if (s->gen->alpn != NULL && !mbedtls_ssl_is_handshake_over(&s->ssl) &&
	    (s->taken += got) > TLS_KEYED_HANDSHAKE_MAX)
		return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
	bufq_drain(s->in, got);
	return (int)got;
}

/* Takes everything, so that mbedTLS never waits to send. */
static int
on_send(void *arg, const unsigned char *p, size_t n)
{
	struct tls_session *s = arg;

	/*
	 * TLS 1.2: each ask for a new handshake is answered by a warning, and the peer may read
	 * none of them.
	 */
	if (s->opening && ++s->answers > TLS_SESSION_ANSWERS_MAX)
		return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
	return tls_writer_put(s->out, p, n) == 0 ? (int)n : MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

/* mbedTLS has made a secret of the connection. */
static void
on_secret(void *arg, mbedtls_ssl_key_export_type type, const unsigned char *p, size_t n,
    const unsigned char client_random[32], const unsigned char server_random[32],
    mbedtls_tls_prf_types prf)
{
	struct tls_session *s = arg;

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

/* ---- life ---- */

static struct tls_session *
session_new(const struct tls_generation *g, struct bufq *in, struct tls_writer *out)
{
	struct tls_session *s = mem_zalloc(sizeof *s);

	if (s == NULL)
		return NULL;
	s->gen = g;
	s->in = in;
	s->out = out;
	mbedtls_ssl_init(&s->ssl);
	if (mbedtls_ssl_setup(&s->ssl, &g->conf) != 0) {
		tls_session_free(s);
		return NULL;
	}
	mbedtls_ssl_set_bio(&s->ssl, s, on_send, on_recv, NULL);
	mbedtls_ssl_set_export_keys_cb(&s->ssl, on_secret, s);
	return s;
}

struct tls_session *
tls_session_new_client(
    const struct tls_generation *g, const char *host, struct bufq *in, struct tls_writer *out)
{
	struct tls_session *s = session_new(g, in, out);

	if (s != NULL && (s->verify = tls_verify_new(&s->ssl, g, host)) == NULL) {
		tls_session_free(s);
		return NULL;
	}
	return s;
}

struct tls_session *
tls_session_new_server(const struct tls_generation *g, struct tls_asked *asked, struct bufq *in,
    struct tls_writer *out)
{
	struct tls_session *s = session_new(g, in, out);

	if (s != NULL)
		tls_generation_serve(&s->ssl, asked);
	return s;
}

struct tls_session *
tls_session_new_keyed(
    const struct tls_generation *g, struct tls_judge judge, struct bufq *in, struct tls_writer *out)
{
	struct tls_session *s = session_new(g, in, out);

	if (s == NULL)
		return NULL;
	s->judge = judge;
	if (mbedtls_ssl_set_hostname(&s->ssl, NULL) != 0) {
		tls_session_free(s);
		return NULL;
	}
	return s;
}

void
tls_session_free(struct tls_session *s)
{
	if (s == NULL)
		return;
	mbedtls_ssl_free(&s->ssl);
	tls_verify_free(s->verify);
	mem_wipe(s, sizeof *s);
	mem_free(s);
}

/* ---- errors ---- */

/* RFC 8446 5.1, 5.2, of the record that mbedTLS has at hand. */
static bool
is_too_long(const struct tls_session *s)
{
	const uint8_t *head = s->ssl.MBEDTLS_PRIVATE(in_hdr);

	return ((unsigned)head[3] << 8 | head[4]) > TLS_REC_CIPHER;
}

/* The alert for what mbedTLS refuses without a word (RFC 8446 6.2); -1: there is none. */
static int
missing_alert(const struct tls_session *s, int ret)
{
	switch (ret) {
	case MBEDTLS_ERR_SSL_BAD_INPUT_DATA:
	case MBEDTLS_ERR_SSL_INVALID_RECORD:
		return is_too_long(s) ? MBEDTLS_SSL_ALERT_MSG_RECORD_OVERFLOW
				      : MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE;
	case MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE:
	case MBEDTLS_ERR_SSL_UNEXPECTED_RECORD:
		return MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE;
	case MBEDTLS_ERR_SSL_DECODE_ERROR:
		return MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR;
	default:
		return -1;
	}
}

static void
alert(struct tls_session *s, int ret)
{
	int code = missing_alert(s, ret);

	if (code < 0 || s->ssl.MBEDTLS_PRIVATE(out_msgtype) == MBEDTLS_SSL_MSG_ALERT)
		return;
	IGNORE_RESULT(mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
	    (unsigned char)code)); /* it is over all the same */
}

static int
explain(const struct tls_session *s, int ret, struct errtext *e)
{
	bool done = mbedtls_ssl_is_handshake_over((mbedtls_ssl_context *)(uintptr_t)&s->ssl) != 0;
	const char *doing = done ? "TLS" : "TLS handshake";
	char words[128];

	if (s->verify != NULL && tls_verify_explain(s->verify, e))
		return ERR_TLS;
	if (!done && s->taken > TLS_KEYED_HANDSHAKE_MAX)
		return err_set(e, ERR_TLS, "%s: the peer sends more than %d bytes", doing,
		    TLS_KEYED_HANDSHAKE_MAX);
	if (s->answers > TLS_SESSION_ANSWERS_MAX)
		return err_set(
		    e, ERR_TLS, "TLS: the peer asks for a new handshake again and again");
	if (s->idle > READS_OF_RECORD * TLS_SESSION_IDLE_MAX)
		return err_set(e, ERR_TLS, TLS_WORDS_IDLE);
	switch (ret) {
	case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
		return tls_words_alert(e, doing, s->ssl.MBEDTLS_PRIVATE(in_msg)[1]);
	case MBEDTLS_ERR_SSL_BAD_INPUT_DATA:
	case MBEDTLS_ERR_SSL_INVALID_RECORD:
		if (!done && memcmp(s->ssl.MBEDTLS_PRIVATE(in_hdr), "HTTP/", 5) == 0)
			return err_set(e, ERR_PROTO, "TLS handshake: the peer speaks plain HTTP");
		return err_set(e, ERR_TLS, "%s",
		    done ? TLS_WORDS_MALFORMED : "TLS handshake: the peer does not speak TLS");
	case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
		return err_set(e, ERR_TLS, "TLS handshake: the peer offers no TLS %s",
		    s->gen->alpn == NULL ? "1.2 or 1.3" : "1.3");
	case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE:
		return err_set(e, ERR_TLS,
		    "TLS handshake: no cipher, group or kind of certificate in common with the "
		    "peer");
	case MBEDTLS_ERR_SSL_INVALID_MAC:
		/* mbedTLS as a client sends the alert about a certificate without encryption. */
		return err_set(e, ERR_TLS, "%s",
		    done ? TLS_WORDS_CHANGED
			 : "TLS handshake: a record cannot be decrypted; a peer that does not "
			   "accept our certificate may send one");
	default:
		mbedtls_strerror(ret, words, sizeof words);
		return err_set(e, ERR_TLS, "%s: %s", doing, words);
	}
}

/* An error of mbedTLS ends the connection: tell the peer, return our code and a sentence. */
static int
refuse(struct tls_session *s, int ret, struct errtext *e)
{
	if (ret == MBEDTLS_ERR_SSL_ALLOC_FAILED)
		return ERR_NOMEM;
	s->opening = false;
	alert(s, ret);
	return explain(s, ret, e);
}

/* ---- the handshake ---- */

static mbedtls_ssl_states
state_of(const struct tls_session *s)
{
	return (mbedtls_ssl_states)s->ssl.MBEDTLS_PRIVATE(state);
}

/* What a judge refuses, and why.  The peer gets the alert only. */
static int
deny(struct tls_session *s, int alert_code, int err, struct errtext *e, const char *why)
{
	IGNORE_RESULT(mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
	    (unsigned char)alert_code)); /* it is over all the same */
	return why != NULL ? err_set(e, err, "TLS handshake: %s", why) : err;
}

/* The point of the certificate that the peer has shown; false: another kind of key, or none. */
static bool
take_point(struct tls_session *s)
{
	const mbedtls_ssl_session *shown = s->ssl.MBEDTLS_PRIVATE(session_negotiate);
	const mbedtls_x509_crt *crt;
	mbedtls_ecp_keypair *pair;
	size_t n = 0;

	if (shown == NULL)
		shown = s->ssl.MBEDTLS_PRIVATE(session);
	crt = shown != NULL ? shown->MBEDTLS_PRIVATE(peer_cert) : NULL;
	if (crt == NULL || !mbedtls_pk_can_do(&crt->pk, MBEDTLS_PK_ECKEY))
		return false;
	pair = mbedtls_pk_ec(crt->pk);
	return mbedtls_ecp_keypair_get_group_id(pair) == MBEDTLS_ECP_DP_SECP256R1 &&
	       mbedtls_ecp_point_write_binary(&pair->MBEDTLS_PRIVATE(grp),
		   &pair->MBEDTLS_PRIVATE(Q), MBEDTLS_ECP_PF_COMPRESSED, &n, s->peer,
		   sizeof s->peer) == 0 &&
	       n == sizeof s->peer;
}

/* The peer has proved that the key is its own. */
static int
judge_peer(struct tls_session *s, struct errtext *e)
{
	const char *alpn = mbedtls_ssl_get_alpn_protocol(&s->ssl);
	int r;

	s->judged = true;
	/* mbedTLS lets a peer pass that names no protocol at all. */
	if (alpn == NULL || strcmp(alpn, s->gen->alpn) != 0)
		return deny(s, MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL, ERR_TLS, e,
		    "the peer does not say that it speaks our protocol");
	if (!take_point(s))
		return deny(s, MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT, ERR_TLS, e,
		    "the peer shows no P-256 key");
	if (s->judge.fn != NULL && (r = s->judge.fn(s->judge.arg, s->peer, e)) != 0)
		return deny(s, MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED, r, e, NULL);
	return 0;
}

/*
 * mbedTLS walks through the handshake and we stop it at two places.
 *
 * A server's authmode must be REQUIRED where it asks for the certificate and NONE where it looks at
 * it: so mbedTLS checks no chain and no dates, but still that there is a certificate and that its
 * key has signed.
 *
 * A client judges the server when that has signed and before it shows itself, and does not go on
 * when it was not asked to show itself.
 */
static int
handshake_keyed(struct tls_session *s, struct errtext *e)
{
	bool server = mbedtls_ssl_conf_get_endpoint(&s->gen->conf) == MBEDTLS_SSL_IS_SERVER;
	mbedtls_ssl_states before;
	int ret = 0, r;

	while (ret == 0 && !mbedtls_ssl_is_handshake_over(&s->ssl)) {
		before = state_of(s);
		if (server && before == MBEDTLS_SSL_CLIENT_CERTIFICATE)
			mbedtls_ssl_set_hs_authmode(&s->ssl, MBEDTLS_SSL_VERIFY_NONE);
		if (!server && before == MBEDTLS_SSL_CLIENT_CERTIFICATE && !s->judged &&
		    (r = judge_peer(s, e)) != 0)
			return r;
		ret = mbedtls_ssl_handshake_step(&s->ssl);
		if (!server && before == MBEDTLS_SSL_CLIENT_CERTIFICATE && ret == 0 &&
		    state_of(s) != MBEDTLS_SSL_CLIENT_CERTIFICATE_VERIFY)
			return deny(s, MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE, ERR_TLS, e,
			    "the peer does not ask for our key");
	}
	if (ret == MBEDTLS_ERR_SSL_WANT_READ)
		return ERR_AGAIN;
	if (ret != 0)
		return refuse(s, ret, e);
	return s->judged ? 0 : judge_peer(s, e);
}

const uint8_t *
tls_session_peer(const struct tls_session *s)
{
	return s->peer;
}

int
tls_session_handshake(struct tls_session *s, struct errtext *e)
{
	int ret;

	if (s->gen->alpn != NULL)
		return handshake_keyed(s, e);
	ret = mbedtls_ssl_handshake(&s->ssl);
	if (ret == MBEDTLS_ERR_SSL_WANT_READ)
		return ERR_AGAIN;
	if (ret != 0)
		return refuse(s, ret, e);
	mbedtls_ssl_set_verify(&s->ssl, NULL, NULL);
	tls_verify_free(s->verify);
	s->verify = NULL;
	return 0;
}

void
tls_session_describe(const struct tls_session *s, char *words, size_t size)
{
	snprintf(words, size, "%s %s", mbedtls_ssl_get_version(&s->ssl),
	    mbedtls_ssl_get_ciphersuite(&s->ssl));
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
 * mbedTLS has read whole records and no byte more, and its two counters say how many records the
 * new keys have protected (a server's session tickets are some).  It has no calls for them, hence
 * the look at its members.  Where something is still in its hands, or the version or the suite is
 * another, it goes on.
 */
struct tls_rec *
tls_session_records(const struct tls_session *s)
{
	const mbedtls_ssl_context *ssl = &s->ssl;
	int payload = mbedtls_ssl_get_max_out_record_payload(ssl);
	struct tls_rec_start start = {
		.server = mbedtls_ssl_conf_get_endpoint(&s->gen->conf) == MBEDTLS_SSL_IS_SERVER,
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
		return NULL;
	if (mbedtls_ssl_check_pending(ssl) || ssl->MBEDTLS_PRIVATE(in_left) > 0 ||
	    ssl->MBEDTLS_PRIVATE(out_left) > 0)
		return NULL;
	/*
	 * The peer may have asked for less than 2^14; mbedTLS's own padding takes a byte off that.
	 */
	if (payload < TLS_REC_PLAIN - 1)
		start.fragment = (size_t)payload;
	return tls_rec_new(&start);
}

/* ---- writing ---- */

static int
write_record(struct tls_session *s, struct bufq *plain, struct block **scratch)
{
	size_t n;
	const uint8_t *p = bufq_front(plain, &n);
	int ret;

	if (n < TLS_REC_PLAIN && n < plain->len) {
		if (*scratch == NULL && (*scratch = block_new(TLS_REC_PLAIN)) == NULL)
			return MBEDTLS_ERR_SSL_ALLOC_FAILED;
		n = bufq_read(plain, 0, (*scratch)->data, TLS_REC_PLAIN);
		p = (*scratch)->data;
	}
	ret = mbedtls_ssl_write(&s->ssl, p, n);
	if (ret > 0)
		bufq_drain(plain, (size_t)ret);
	return ret;
}

int
tls_session_seal(struct tls_session *s, struct bufq *plain, struct errtext *e)
{
	struct block *scratch = NULL;
	int ret = 1;

	s->out->expected = plain->len + (plain->len / TLS_REC_PLAIN + 1) * RECORD_EXTRA;
	while (plain->len > 0 && ret > 0)
		ret = write_record(s, plain, &scratch);
	block_unref(scratch);
	return ret > 0 ? 0 : refuse(s, ret, e);
}

int
tls_session_close(struct tls_session *s)
{
	return mbedtls_ssl_close_notify(&s->ssl) == 0 ? 0 : ERR_NOMEM;
}

/* ---- reading ---- */

/*
 * The block to decrypt into: about as large as what is there, so that a queue of them pins little
 * beyond its length.
 */
static struct block *
input_block(const struct tls_session *s, size_t budget)
{
	size_t want = mbedtls_ssl_get_bytes_avail(&s->ssl) + s->in->len;

	if (want > budget)
		want = budget;
	return block_new(want < BUF_HUGE ? want : BUF_HUGE);
}

/* Decrypt until b is full or holds max bytes.  Returns what mbedTLS said last, 1 when it does. */
static int
fill_block(struct tls_session *s, struct block *b, size_t max)
{
	while (block_room(b) > 0 && b->fill < max) {
		size_t want = block_room(b) < max - b->fill ? block_room(b) : max - b->fill;
		int ret = mbedtls_ssl_read(&s->ssl, b->data + b->fill, want);

		if (ret > 0) {
			b->fill += (uint32_t)ret;
			s->idle = 0;
		} else if (ret == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
			continue; /* we never resume */
		} else if (ret == 0) {
			continue; /* an empty record (RFC 5246 6.2.1) */
		} else if (ret == MBEDTLS_ERR_SSL_WANT_READ && s->in->len > 0) {
			continue; /* it passed over a warning */
		} else {
			return ret;
		}
	}
	return 1;
}

int
tls_session_open(struct tls_session *s, struct bufq *plain, size_t budget, struct errtext *e)
{
	int ret = 1;

	s->opening = true;
	while (ret > 0 && budget > 0) {
		struct block *b = input_block(s, budget);

		if (b == NULL)
			return ERR_NOMEM;
		ret = fill_block(s, b, budget);
		if (bufq_append(plain, b, b->data, b->fill) != 0)
			ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
		budget -= b->fill < budget ? b->fill : budget;
		block_unref(b);
	}
	s->opening = false;
	if (ret == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
		return ERR_EOF;
	if (ret == MBEDTLS_ERR_SSL_WANT_READ)
		return 0;
	return ret > 0 ? ERR_AGAIN : refuse(s, ret, e);
}

bool
tls_session_has_input(const struct tls_session *s)
{
	return mbedtls_ssl_check_pending(&s->ssl) != 0;
}

/*
 * In TLS 1.2 mbedTLS keeps two buffers of a record each for as long as the connection lives.
 * Between two records nothing in them matters but the counter at the head, so the whole pages
 * behind it go back to the system; they come back as zeros when they are touched.  mbedTLS has no
 * call for this, hence the look at its members.
 */
void
tls_session_trim(struct tls_session *s)
{
#if !defined(MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH)
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	mbedtls_ssl_context *ssl = &s->ssl;
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
#else
	(void)s;
#endif
}
