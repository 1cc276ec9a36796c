/* SPDX-License-Identifier: ISC */
/*
 * tls_rec_fuzz - records of TLS 1.3 from a peer that has the keys and follows no rule.
 *
 * The first byte: bit 0 we are the server, bits 1 to 3 the size of the blocks that the bytes stand
 * in.  Then operations: a byte
 *   0        the next 2 bytes are a length (big-endian, at most what is left): so many raw bytes
 *            arrive
 *   1        the same, but they are sealed: a TLSInnerPlaintext
 *   2        the same with a type and as many zeros as the type's value behind them
 *   3        what arrived is opened, with a small budget
 *   others   a byte of payload and that number as the type, sealed
 * What was delivered came in records of payload, an error is the end, and what is answered can be
 * sealed.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/tls/tls_aead.h"
#include "lib/tls/tls_rec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AES128 = 0x1301, RAW = 0, SEALED = 1, PADDED = 2, OPEN = 3, SIZE_MAX_IN = 40000 };

/* RFC 8448 3: the application secrets, and the keys and IVs that follow from them. */
static const uint8_t secrets[2][32] = {
	{ 0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8, 0x88, 0x9b, 0xce, 0x65,
	    0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf, 0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1,
	    0x75, 0x04, 0xa5 },
	{ 0xa1, 0x1a, 0xf9, 0xf0, 0x55, 0x31, 0xf8, 0x56, 0xad, 0x47, 0x11, 0x6b, 0x45, 0xa9, 0x50,
	    0x32, 0x82, 0x04, 0xb4, 0xf4, 0x4b, 0xfb, 0x6b, 0x3a, 0x4b, 0x4f, 0x1f, 0x3f, 0xcb,
	    0x63, 0x16, 0x43 },
};
static const uint8_t keys[2][16] = {
	{ 0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50,
	    0x51 },
	{ 0x9f, 0x02, 0x28, 0x3b, 0x6c, 0x9c, 0x07, 0xef, 0xc2, 0x6b, 0xb9, 0xf2, 0xac, 0x92, 0xe3,
	    0x56 },
};
static const uint8_t ivs[2][12] = {
	{ 0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9 },
	{ 0xcf, 0x78, 0x2b, 0x88, 0xdd, 0x83, 0x54, 0x9a, 0xad, 0xf1, 0xe9, 0x84 },
};

struct peer {
	/* The end under test. */
	struct tls_rec *r;
	struct tls_aead aead;
	const uint8_t *iv;
	uint64_t seq;
	/* allowed: bytes of payload sent in records that are right so far. */
	size_t block, allowed;
	struct bufq in, got;
	bool over;
};

static void
arrive(struct peer *p, const uint8_t *q, size_t n)
{
	while (n > 0) {
		size_t k = n < p->block ? n : p->block;
		struct block *b = block_new(k);

		assert(b != NULL);
		memcpy(b->data, q, k);
		b->fill = (uint32_t)k;
		assert(bufq_append(&p->in, b, b->data, k) == 0);
		block_unref(b);
		q += k;
		n -= k;
	}
}

static void
arrive_sealed(struct peer *p, const uint8_t *inner, size_t n)
{
	static uint8_t body[5 + SIZE_MAX_IN + 256 + TLS_AEAD_TAG];
	size_t len = n + TLS_AEAD_TAG;
	uint8_t nonce[TLS_AEAD_NONCE];

	memcpy(body, (uint8_t[]){ 23, 3, 3, (uint8_t)(len >> 8), (uint8_t)len }, 5);
	memcpy(nonce, p->iv, sizeof nonce);
	for (int i = 0; i < 8; i++)
		nonce[11 - i] ^= (uint8_t)(p->seq >> (8 * i));
	p->seq++;
	assert(tls_aead_begin(&p->aead, nonce, body, 5) == 0);
	assert(tls_aead_update(&p->aead, inner, n, body + 5) == 0);
	assert(tls_aead_end(&p->aead, body + 5 + n) == 0);
	p->allowed += n;
	arrive(p, body, 5 + len);
}

static void
open_all(struct peer *p, size_t budget)
{
	size_t before = p->in.len;
	struct errtext e = { "" };
	int r = tls_rec_open(p->r, &p->in, &p->got, budget, &e);

	assert(r == 0 || r == ERR_AGAIN || r == ERR_EOF || r == ERR_TLS);
	assert((r == ERR_TLS) == (e.s[0] != '\0'));
	assert(r != ERR_AGAIN || p->in.len < before);
	assert(p->got.len <= p->allowed);
	p->over = r != 0 && r != ERR_AGAIN;
}

/* One operation; returns how many bytes of the input it was. */
static size_t
operate(struct peer *p, const uint8_t *q, size_t n)
{
	static uint8_t inner[SIZE_MAX_IN + 256];
	size_t len, pad = 0;

	if (q[0] == OPEN) {
		open_all(p, 1000);
		return 1;
	}
	if (q[0] > OPEN) {
		inner[0] = n > 1 ? q[1] : 0;
		inner[1] = q[0];
		arrive_sealed(p, inner, 2);
		return n > 1 ? 2 : 1;
	}
	if (n < 4)
		return n;
	len = (size_t)q[1] << 8 | q[2];
	len = len < n - 3 ? len : n - 3;
	memcpy(inner, q + 3, len);
	if (q[0] == PADDED && len > 0) {
		pad = inner[len - 1];
		memset(inner + len, 0, pad);
	}
	if (q[0] == RAW)
		arrive(p, inner, len);
	else
		arrive_sealed(p, inner, len + pad);
	return 3 + len;
}

/* Whatever the peer did, what we send is well formed. */
static void
answer(struct peer *p)
{
	struct tls_writer out = { 0 };
	bool owes = tls_rec_owes_update(p->r);
	size_t n = p->got.len, records = (n + TLS_REC_PLAIN - 1) / TLS_REC_PLAIN;

	assert(tls_rec_seal(p->r, &p->got, &out) == 0);
	tls_writer_end(&out);
	assert(out.q.len == n + records * TLS_REC_EXTRA + (owes && n > 0 ? 5 + TLS_REC_EXTRA : 0));
	tls_writer_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer p = { 0 };
	int peer_is_server;

	if (size < 1 || size > SIZE_MAX_IN)
		return 0;
	peer_is_server = data[0] & 1 ? 0 : 1;
	p.block = (size_t)4 << ((data[0] >> 1 & 7) * 2);
	p.iv = ivs[peer_is_server];
	p.r = tls_rec_new(&(struct tls_rec_start){ .server = !peer_is_server,
	    .suite = AES128,
	    .client_secret = secrets[0],
	    .server_secret = secrets[1],
	    .secret_len = 32,
	    .fragment = TLS_REC_PLAIN });
	assert(p.r != NULL && tls_aead_init(&p.aead, false, keys[peer_is_server], 16) == 0);
	for (size_t at = 1; at < size && !p.over;)
		at += operate(&p, data + at, size - at);
	if (!p.over)
		open_all(&p, SIZE_MAX);
	answer(&p);
	bufq_fini(&p.in);
	bufq_fini(&p.got);
	tls_aead_fini(&p.aead);
	tls_rec_free(p.r);
	return 0;
}
