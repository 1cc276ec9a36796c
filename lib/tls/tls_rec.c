/* SPDX-License-Identifier: ISC */
/*
 * tls_rec - seal and open the records of TLS 1.3.
 *
 * Copies of payload.  In: decrypted in place and moved: 0; 1 for a record that came in several
 * blocks (one in eight of a bulk), and for payload up to SMALL_PIECE, so that a flood of tiny
 * records costs memory in proportion to its bytes.  Out: encrypted from the caller's slices into
 * the blocks that are sent: 0 beside that.
 */
#include "lib/tls/tls_rec.h"

#include <assert.h>
#include <string.h>
#include <mbedtls/hkdf.h>
#include <mbedtls/ssl.h>

#include "lib/base/mem.h"
#include "lib/tls/tls_aead.h"
#include "lib/tls/tls_words.h"

enum {
	TYPE_CCS = 20,
	TYPE_ALERT = 21,
	TYPE_HANDSHAKE = 22,
	TYPE_DATA = 23,
	HS_NEW_SESSION_TICKET = 4,
	HS_KEY_UPDATE = 24,
	HS_HEADER = 4,
	ALERT_LEN = 2,
	ALERT_WARNING = 1,
	ALERT_FATAL = 2,
	/* Payload that is copied rather than pinned. */
	SMALL_PIECE = 512,
};

/* RFC 8446 B.4 */
static const struct suite {
	int id;
	bool chacha;
	uint8_t key_len;
	mbedtls_md_type_t md;
	/* Under one key. */
	uint64_t records;
} suites[] = {
	{ MBEDTLS_TLS1_3_AES_128_GCM_SHA256, false, 16, MBEDTLS_MD_SHA256, TLS_REC_GCM_RECORDS },
	{ MBEDTLS_TLS1_3_AES_256_GCM_SHA384, false, 32, MBEDTLS_MD_SHA384, TLS_REC_GCM_RECORDS },
	/* 5.5: the counter of records ends before this cipher does. */
	{ MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, true, 32, MBEDTLS_MD_SHA256, UINT64_MAX - 1 },
};

/* One direction. */
struct half {
	struct tls_aead aead;
	/* Of the next record. */
	uint64_t seq;
	uint8_t iv[TLS_AEAD_NONCE];
	uint8_t secret[TLS_REC_SECRET_MAX];
};

struct tls_rec {
	const struct suite *suite;
	const mbedtls_md_info_t *md;
	struct half rd, wr;
	size_t fragment;
	bool server;
	/* The peer asked for a KeyUpdate of ours. */
	bool owes_update;
	/* The record being read ends with a KeyUpdate of the peer's. */
	bool turn_key;
	enum tls_alert refusal;
	/* Records in a row that brought nothing. */
	unsigned idle;

	/* The handshake message that is being read; it may be spread over records (5.1). */
	uint8_t hs_head[HS_HEADER];
	/* Bytes of hs_head that are there. */
	uint8_t hs_got;
	/* Bytes of its body that are not. */
	uint32_t hs_left;
};

/* ---- keys (RFC 8446 7) ---- */

/* HKDF-Expand-Label with an empty context (7.1).  Want of memory is all that can go wrong. */
static int
expand_label(
    const mbedtls_md_info_t *md, const uint8_t *secret, const char *label, uint8_t *out, size_t n)
{
	static const char prefix[] = "tls13 ";
	uint8_t info[40];
	size_t skip = sizeof prefix - 1, len = strlen(label);

	assert(4 + skip + len <= sizeof info);
	info[0] = (uint8_t)(n >> 8);
	info[1] = (uint8_t)n;
	info[2] = (uint8_t)(skip + len);
	memcpy(info + 3, prefix, skip);
	memcpy(info + 3 + skip, label, len);
	info[3 + skip + len] = 0;
	return mbedtls_hkdf_expand(
		   md, secret, mbedtls_md_get_size(md), info, 4 + skip + len, out, n) == 0
		   ? 0
		   : ERR_NOMEM;
}

/* Key and IV from h->secret (7.3); the records are counted from 0 again (5.3). */
static int
half_key(const struct tls_rec *r, struct half *h)
{
	uint8_t key[TLS_AEAD_KEY_MAX];
	size_t n = r->suite->key_len;
	int ret;

	tls_aead_fini(&h->aead);
	h->seq = 0;
	if ((ret = expand_label(r->md, h->secret, "iv", h->iv, sizeof h->iv)) == 0 &&
	    (ret = expand_label(r->md, h->secret, "key", key, n)) == 0)
		ret = tls_aead_init(&h->aead, r->suite->chacha, key, n);
	mem_wipe(key, sizeof key);
	return ret;
}

/* application_traffic_secret_N+1 (7.2). */
static int
half_update(const struct tls_rec *r, struct half *h)
{
	uint8_t next[TLS_REC_SECRET_MAX];
	size_t n = mbedtls_md_get_size(r->md);
	int ret = expand_label(r->md, h->secret, "traffic upd", next, n);

	if (ret == 0) {
		memcpy(h->secret, next, n);
		ret = half_key(r, h);
	}
	mem_wipe(next, sizeof next);
	return ret;
}

/* The nonce of the next record (5.3); it is used up. */
static void
half_nonce(struct half *h, uint8_t nonce[TLS_AEAD_NONCE])
{
	uint64_t seq = h->seq++;

	memcpy(nonce, h->iv, TLS_AEAD_NONCE);
	for (int i = 1; i <= 8; i++, seq >>= 8)
		nonce[TLS_AEAD_NONCE - i] ^= (uint8_t)seq;
}

static const struct suite *
find_suite(int id)
{
	for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++)
		if (suites[i].id == id)
			return &suites[i];
	return NULL;
}

bool
tls_rec_is_known(int suite)
{
	return find_suite(suite) != NULL;
}

struct tls_rec *
tls_rec_new(const struct tls_rec_start *s)
{
	const struct suite *suite = find_suite(s->suite);
	const mbedtls_md_info_t *md = suite ? mbedtls_md_info_from_type(suite->md) : NULL;
	struct tls_rec *r;

	assert(s->fragment > 0 && s->fragment <= TLS_REC_PLAIN);
	if (md == NULL || mbedtls_md_get_size(md) != s->secret_len ||
	    (r = mem_zalloc(sizeof *r)) == NULL)
		return NULL;
	r->suite = suite;
	r->md = md;
	r->server = s->server;
	r->fragment = s->fragment;
	memcpy(r->rd.secret, s->server ? s->client_secret : s->server_secret, s->secret_len);
	memcpy(r->wr.secret, s->server ? s->server_secret : s->client_secret, s->secret_len);
	if (half_key(r, &r->rd) != 0 || half_key(r, &r->wr) != 0) {
		tls_rec_free(r);
		return NULL;
	}
	r->rd.seq = s->read_seq;
	r->wr.seq = s->write_seq;
	return r;
}

void
tls_rec_free(struct tls_rec *r)
{
	if (r == NULL)
		return;
	tls_aead_fini(&r->rd.aead);
	tls_aead_fini(&r->wr.aead);
	mem_wipe(r, sizeof *r);
	mem_free(r);
}

/* ---- sealing ---- */

/* n bytes at p, encrypted, behind what was written. */
static int
seal_piece(struct half *h, const uint8_t *p, size_t n, struct tls_writer *out)
{
	while (n > 0) {
		size_t k;
		uint8_t *to = tls_writer_room(out, &k);
		int ret;

		if (to == NULL)
			return ERR_NOMEM;
		k = k < n ? k : n;
		if ((ret = tls_aead_update(&h->aead, p, k, to)) != 0 ||
		    (ret = tls_writer_add(out, k)) != 0)
			return ret;
		p += k;
		n -= k;
	}
	return 0;
}

/* One record (5.2) of the first n bytes of plain, which are taken. */
static int
seal_record(struct half *h, uint8_t type, struct bufq *plain, size_t n, struct tls_writer *out)
{
	size_t len = n + 1 + TLS_AEAD_TAG;
	uint8_t head[TLS_REC_HEADER] = { TYPE_DATA, 3, 3, (uint8_t)(len >> 8), (uint8_t)len };
	uint8_t nonce[TLS_AEAD_NONCE], tag[TLS_AEAD_TAG];
	int ret;

	half_nonce(h, nonce);
	if ((ret = tls_writer_put(out, head, sizeof head)) != 0 ||
	    (ret = tls_aead_begin(&h->aead, nonce, head, sizeof head)) != 0)
		return ret;
	while (n > 0) {
		size_t k;
		const uint8_t *p = bufq_front(plain, &k);

		k = k < n ? k : n;
		if ((ret = seal_piece(h, p, k, out)) != 0)
			return ret;
		bufq_drain(plain, k);
		n -= k;
	}
	if ((ret = seal_piece(h, &type, 1, out)) != 0 || (ret = tls_aead_end(&h->aead, tag)) != 0)
		return ret;
	return tls_writer_put(out, tag, sizeof tag);
}

/* A record of a few bytes. */
static int
seal_brief(struct tls_rec *r, uint8_t type, const void *p, size_t n, struct tls_writer *out)
{
	struct bufq q = { 0 };
	int ret = bufq_copy(&q, p, n);

	if (ret == 0 && out->expected < n + TLS_REC_EXTRA)
		out->expected = n + TLS_REC_EXTRA;
	if (ret == 0)
		ret = seal_record(&r->wr, type, &q, n, out);
	bufq_fini(&q);
	return ret;
}

int
tls_rec_send_alert(struct tls_rec *r, enum tls_alert alert, struct tls_writer *out)
{
	bool warning = alert == TLS_ALERT_CLOSE_NOTIFY || alert == TLS_ALERT_USER_CANCELED;
	uint8_t p[ALERT_LEN] = { warning ? ALERT_WARNING : ALERT_FATAL, (uint8_t)alert };

	return seal_brief(r, TYPE_ALERT, p, sizeof p, out);
}

int
tls_rec_send_update(struct tls_rec *r, bool ask, struct tls_writer *out)
{
	uint8_t p[HS_HEADER + 1] = { HS_KEY_UPDATE, 0, 0, 1, ask ? 1 : 0 };
	int ret = seal_brief(r, TYPE_HANDSHAKE, p, sizeof p, out);

	r->owes_update = false;
	return ret != 0 ? ret : half_update(r, &r->wr);
}

bool
tls_rec_owes_update(const struct tls_rec *r)
{
	return r->owes_update;
}

int
tls_rec_seal(struct tls_rec *r, struct bufq *plain, struct tls_writer *out)
{
	size_t records = plain->len / r->fragment + 1;
	int ret = 0;

	out->expected = plain->len + records * TLS_REC_EXTRA;
	while (plain->len > 0 && ret == 0) {
		size_t n = plain->len < r->fragment ? plain->len : r->fragment;

		/* 4.6.3: the answer comes before the next data.  5.5: a key protects so much. */
		if (r->owes_update || r->wr.seq >= r->suite->records)
			ret = tls_rec_send_update(r, false, out);
		if (ret == 0)
			ret = seal_record(&r->wr, TYPE_DATA, plain, n, out);
	}
	return ret;
}

/* ---- what a record holds ---- */

static int
refuse(struct tls_rec *r, enum tls_alert alert, struct errtext *e, const char *words)
{
	r->refusal = alert;
	return err_set(e, ERR_TLS, "%s", words);
}

static int
refuse_unexpected(struct tls_rec *r, struct errtext *e)
{
	return refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE, e,
	    "TLS: the peer sent a message that does not belong there");
}

static int
refuse_malformed(struct tls_rec *r, enum tls_alert alert, struct errtext *e)
{
	return refuse(r, alert, e, TLS_WORDS_MALFORMED);
}

/* A record, or a ticket, has brought nothing that the user sees. */
static int
count_idle(struct tls_rec *r, struct errtext *e)
{
	if (++r->idle <= TLS_REC_IDLE_MAX)
		return 0;
	return refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE, e, TLS_WORDS_IDLE);
}

static int
read_alert(struct tls_rec *r, struct bufq *in, size_t n, struct errtext *e)
{
	uint8_t p[ALERT_LEN];

	if (n == 0)
		return refuse_unexpected(r, e); /* 5.4 */
	if (n != ALERT_LEN)
		return refuse_malformed(r, TLS_ALERT_DECODE_ERROR, e);
	IGNORE_RESULT(bufq_read(in, 0, p, sizeof p)); /* they are there */
	/* RFC 8446 6: the level says nothing, the description all. */
	if (p[1] == TLS_ALERT_CLOSE_NOTIFY)
		return ERR_EOF;
	if (p[1] == TLS_ALERT_USER_CANCELED)
		return count_idle(r, e);
	r->refusal = TLS_ALERT_CLOSE_NOTIFY;
	return tls_words_alert(e, "TLS", p[1]);
}

/* The header of a handshake message is complete: may it come, and how long is it? */
static int
begin_message(struct tls_rec *r, struct errtext *e)
{
	const uint8_t *p = r->hs_head;

	r->hs_left = (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	switch (p[0]) {
	case HS_KEY_UPDATE:
		return r->hs_left == 1 ? 0 : refuse_malformed(r, TLS_ALERT_DECODE_ERROR, e);
	case HS_NEW_SESSION_TICKET:
		if (r->server)
			return refuse_unexpected(r, e);
		return r->hs_left > 0 && r->hs_left <= TLS_REC_TICKET_MAX
			   ? count_idle(r, e)
			   : refuse_malformed(r, TLS_ALERT_DECODE_ERROR, e);
	default:
		return refuse_unexpected(r, e);
	}
}

/* RFC 8446 4.6.3 */
static int
read_update(struct tls_rec *r, uint8_t ask, struct errtext *e)
{
	if (ask > 1)
		return refuse_malformed(r, TLS_ALERT_ILLEGAL_PARAMETER, e);
	r->turn_key = true;
	r->owes_update = r->owes_update || ask == 1;
	return count_idle(r, e);
}

/* Some bytes of handshake messages. */
static int
read_message(struct tls_rec *r, const uint8_t *p, size_t n, struct errtext *e)
{
	while (n > 0) {
		size_t k = 1;
		int ret = 0;

		/* 5.1: nothing of the old key's record may follow. */
		if (r->turn_key)
			return refuse_unexpected(r, e);
		if (r->hs_got < HS_HEADER) {
			r->hs_head[r->hs_got++] = *p;
			if (r->hs_got == HS_HEADER)
				ret = begin_message(r, e);
		} else {
			if (r->hs_head[0] == HS_KEY_UPDATE)
				ret = read_update(r, *p, e);
			else
				k = n < r->hs_left ? n : r->hs_left;
			r->hs_left -= (uint32_t)k;
			if (r->hs_left == 0)
				r->hs_got = 0;
		}
		if (ret != 0)
			return ret;
		p += k;
		n -= k;
	}
	return 0;
}

static int
read_handshake(struct tls_rec *r, const struct bufq *in, size_t n, struct errtext *e)
{
	size_t front;
	int ret;

	if (n == 0)
		return refuse_unexpected(r, e); /* 5.4 */
	if ((ret = read_message(r, bufq_front(in, &front), n, e)) != 0 || !r->turn_key)
		return ret;
	r->turn_key = false;
	return half_update(r, &r->rd);
}

static int
read_data(struct tls_rec *r, struct bufq *in, size_t n, struct bufq *out, struct errtext *e)
{
	uint8_t piece[SMALL_PIECE];
	int ret;

	if (n == 0)
		return count_idle(r, e);
	r->idle = 0;
	if (n > SMALL_PIECE)
		return bufq_move(out, in, n);
	ret = bufq_copy(out, piece, bufq_read(in, 0, piece, n));
	if (ret == 0)
		bufq_drain(in, n);
	return ret;
}

/* ---- opening ---- */

bool
tls_rec_find_type(const uint8_t *p, size_t n, uint8_t *type, size_t *payload)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	if (n == 0)
		return false;
	*type = p[n - 1];
	*payload = n - 1;
	return true;
}

/* The record is decrypted: n bytes of payload, of this type, at the front of in. */
static int
read_content(
    struct tls_rec *r, uint8_t type, struct bufq *in, size_t n, struct bufq *out, struct errtext *e)
{
	/* 5.1: a message in pieces is not interrupted. */
	if (r->hs_got > 0 && type != TYPE_HANDSHAKE)
		return refuse_unexpected(r, e);
	switch (type) {
	case TYPE_DATA:
		return read_data(r, in, n, out, e);
	case TYPE_HANDSHAKE:
		return read_handshake(r, in, n, e);
	case TYPE_ALERT:
		return read_alert(r, in, n, e);
	default:
		return refuse_unexpected(r, e);
	}
}

/* Take the body of a record: len bytes at the front of in, in one piece but for the tag. */
static int
open_body(struct tls_rec *r, const uint8_t *head, struct bufq *in, size_t len, struct bufq *out,
    struct errtext *e)
{
	uint8_t nonce[TLS_AEAD_NONCE], tag[TLS_AEAD_TAG], type;
	struct iovec inner = { .iov_base = tag };
	size_t payload, before = in->len;
	int ret;

	IGNORE_RESULT(bufq_own(in, 0, len - sizeof tag, &inner, 1));     /* 0 pieces if empty */
	IGNORE_RESULT(bufq_read(in, len - sizeof tag, tag, sizeof tag)); /* they are there */
	half_nonce(&r->rd, nonce);
	ret = tls_aead_open(
	    &r->rd.aead, nonce, head, TLS_REC_HEADER, inner.iov_base, inner.iov_len, tag);
	if (ret == ERR_DENIED)
		return refuse(r, TLS_ALERT_BAD_RECORD_MAC, e, TLS_WORDS_CHANGED);
	if (ret != 0)
		return ret;
	if (inner.iov_len > TLS_REC_PLAIN + 1)
		return refuse_malformed(r, TLS_ALERT_RECORD_OVERFLOW, e); /* 5.4 */
	if (!tls_rec_find_type(inner.iov_base, inner.iov_len, &type, &payload))
		return refuse_unexpected(r, e); /* 5.4 */
	ret = read_content(r, type, in, payload, out, e);
	bufq_drain(in, len - (before - in->len));
	return ret;
}

/* A body that came in several pieces is copied into one. */
static int
open_pieces(struct tls_rec *r, const uint8_t *head, struct bufq *in, size_t len, struct bufq *out,
    struct errtext *e)
{
	struct block *b = block_new(len);
	struct bufq whole = { 0 };
	int ret = ERR_NOMEM;

	if (b != NULL) {
		b->fill = (uint32_t)bufq_read(in, 0, b->data, len);
		ret = bufq_append(&whole, b, b->data, len);
		block_unref(b);
	}
	if (ret == 0) {
		bufq_drain(in, len);
		ret = open_body(r, head, &whole, len, out, e);
	}
	bufq_fini(&whole);
	return ret;
}

static int
open_record(struct tls_rec *r, const uint8_t *head, struct bufq *in, size_t len, struct bufq *out,
    struct errtext *e)
{
	size_t front;

	bufq_drain(in, TLS_REC_HEADER);
	IGNORE_RESULT(bufq_front(in, &front)); /* for its length */
	if (front < len - TLS_AEAD_TAG)
		return open_pieces(r, head, in, len, out, e);
	return open_body(r, head, in, len, out, e);
}

/* Refuse what the header alone shows to be wrong.  The version says nothing (5.1). */
static int
check_header(struct tls_rec *r, const uint8_t *head, size_t len, struct errtext *e)
{
	/* 5: an unprotected change_cipher_spec is for the time of the handshake. */
	if (head[0] != TYPE_DATA)
		return refuse_malformed(r, TLS_ALERT_UNEXPECTED_MESSAGE, e);
	if (len > TLS_REC_CIPHER)
		return refuse_malformed(r, TLS_ALERT_RECORD_OVERFLOW, e);
	if (len < TLS_AEAD_TAG)
		return refuse(r, TLS_ALERT_BAD_RECORD_MAC, e, TLS_WORDS_CHANGED);
	if (r->rd.seq == UINT64_MAX)
		return refuse(r, TLS_ALERT_UNEXPECTED_MESSAGE, e,
		    "TLS: the peer never changes its key"); /* 5.3 */
	return 0;
}

int
tls_rec_open(struct tls_rec *r, struct bufq *in, struct bufq *out, size_t budget, struct errtext *e)
{
	uint8_t head[TLS_REC_HEADER];
	int ret = 0;

	while (ret == 0 && budget > 0 && bufq_read(in, 0, head, sizeof head) == sizeof head) {
		size_t len = (size_t)head[3] << 8 | head[4], cost = len + TLS_REC_COST;
		uint64_t seq = r->rd.seq;

		if ((ret = check_header(r, head, len, e)) != 0)
			return ret;
		if (in->len < sizeof head + len)
			return 0;
		ret = open_record(r, head, in, len, out, e);
		if (r->rd.seq <= seq)
			cost += TLS_REC_KEY_COST;
		budget -= cost < budget ? cost : budget;
	}
	return ret == 0 && budget == 0 ? ERR_AGAIN : ret;
}

enum tls_alert
tls_rec_refusal(const struct tls_rec *r)
{
	return r->refusal;
}
