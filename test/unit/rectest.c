/* SPDX-License-Identifier: ISC */
/* rectest - ends of TLS 1.3 connections with known keys, and peers that send anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/hash.h"
#include "lib/tls/tls_aead.h"
#include "test/unit/rectest.h"
#include "test/unit/sockpair.h"

static const char c_secret[] = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char s_secret[] = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
static const char c_key[] = "17422dda596ed5d9acd890e3c63f5051";
static const char c_iv[] = "5b78923dee08579033e523d9";
static const char s_key[] = "9f02283b6c9c07efc26bb9f2ac92e356";
static const char s_iv[] = "cf782b88dd83549aadf1e984";

struct tls_rec *
rectest_new(int suite, bool server, uint64_t read_seq, uint64_t write_seq)
{
	uint8_t c[TLS_REC_SECRET_MAX] = { 1 }, s[TLS_REC_SECRET_MAX] = { 2 };
	struct tls_rec *r;

	assert_true(hash_unhex(c, 32, c_secret) && hash_unhex(s, 32, s_secret));
	r = tls_rec_new(&(struct tls_rec_start){ .server = server,
	    .suite = suite,
	    .client_secret = c,
	    .server_secret = s,
	    .secret_len = suite == RECTEST_AES256 ? 48 : 32,
	    .read_seq = read_seq,
	    .write_seq = write_seq,
	    .fragment = TLS_REC_PLAIN });
	assert_non_null(r);
	return r;
}

/* n bytes of the pattern in blocks of piece bytes. */
void
rectest_fill(struct bufq *q, size_t n, size_t piece)
{
	for (size_t off = 0; off < n; off += piece) {
		size_t k = n - off < piece ? n - off : piece;
		struct block *b = block_new(k);

		assert_non_null(b);
		for (size_t i = 0; i < k; i++)
			b->data[i] = pattern(off + i);
		b->fill = (uint32_t)k;
		assert_int_equal(bufq_append(q, b, b->data, k), 0);
		block_unref(b);
	}
}

void
rectest_pattern(const struct bufq *q, size_t n)
{
	uint8_t p[4096];

	assert_int_equal(q->len, n);
	for (size_t off = 0; off < n;) {
		size_t k = bufq_read(q, off, p, sizeof p);

		for (size_t i = 0; i < k; i++)
			assert_int_equal(p[i], pattern(off + i));
		off += k;
	}
}

/* The bytes of wire again, in blocks of piece bytes. */
void
rectest_carry(struct bufq *wire, size_t piece, struct bufq *in)
{
	while (wire->len > 0) {
		size_t k = wire->len < piece ? wire->len : piece;
		struct block *b = block_new(k);

		assert_non_null(b);
		b->fill = (uint32_t)bufq_read(wire, 0, b->data, k);
		assert_int_equal(bufq_append(in, b, b->data, k), 0);
		block_unref(b);
		bufq_drain(wire, k);
	}
}

void
rectest_put(struct bufq *q, const void *p, size_t n)
{
	assert_int_equal(bufq_copy(q, p, n), 0);
}

/* A record of the client's or the server's first key, with this TLSInnerPlaintext. */
void
rectest_craft(struct bufq *q, bool server, uint64_t seq, const void *inner, size_t n)
{
	static uint8_t body[20000];
	size_t len = n + TLS_AEAD_TAG;
	uint8_t key[16], nonce[TLS_AEAD_NONCE],
	    head[] = { 23, 3, 3, (uint8_t)(len >> 8), (uint8_t)len };
	struct tls_aead a;

	assert_true(n <= sizeof body - TLS_AEAD_TAG);
	assert_true(hash_unhex(key, 16, server ? s_key : c_key));
	assert_true(hash_unhex(nonce, 12, server ? s_iv : c_iv));
	for (int i = 0; i < 8; i++)
		nonce[11 - i] ^= (uint8_t)(seq >> (8 * i));
	assert_int_equal(tls_aead_init(&a, false, key, 16), 0);
	assert_int_equal(tls_aead_begin(&a, nonce, head, sizeof head), 0);
	assert_int_equal(tls_aead_update(&a, inner, n, body), 0);
	assert_int_equal(tls_aead_end(&a, body + n), 0);
	tls_aead_fini(&a);
	rectest_put(q, head, sizeof head);
	rectest_put(q, body, len);
}

void
rectest_start(struct rectest *x, bool server)
{
	*x = (struct rectest){ .r = rectest_new(RECTEST_AES128, server, 0, 0), .server = server };
}

void
rectest_stop(struct rectest *x)
{
	bufq_fini(&x->in);
	bufq_fini(&x->got);
	tls_rec_free(x->r);
}

/*
 * The peer sends one record of type and content, padded with pad zeros.  Returns what
 * tls_rec_open() says.
 */
int
rectest_hear(struct rectest *x, uint8_t type, const void *content, size_t n, size_t pad)
{
	static uint8_t inner[20000];

	memcpy(inner, content, n);
	inner[n] = type;
	memset(inner + n + 1, 0, pad);
	rectest_craft(&x->in, !x->server, x->seq++, inner, n + 1 + pad);
	return tls_rec_open(x->r, &x->in, &x->got, RECTEST_PLENTY, &x->e);
}

void
rectest_refused(struct rectest *x, int r, enum tls_alert alert)
{
	assert_int_equal(r, ERR_TLS);
	assert_int_equal(tls_rec_refusal(x->r), alert);
	assert_true(x->e.s[0] != '\0');
	rectest_stop(x);
}

/* What r makes of n bytes of the pattern, at the end of wire. */
void
rectest_seal(struct tls_rec *r, size_t n, size_t piece, struct bufq *wire)
{
	struct bufq plain = { 0 };
	struct tls_writer out = { 0 };

	rectest_fill(&plain, n, piece);
	assert_int_equal(tls_rec_seal(r, &plain, &out), 0);
	assert_int_equal(plain.len, 0);
	tls_writer_end(&out);
	assert_int_equal(bufq_move(wire, &out.q, out.q.len), 0);
}
