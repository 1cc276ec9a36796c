/* SPDX-License-Identifier: ISC */
/*
 * rectest - what the tests of tls_rec share: ends with the secrets that RFC 8448 3 prints, and
 * records that tls_rec itself never makes, sealed with the keys that follow from them.
 */
#ifndef TEST_UNIT_RECTEST_H
#define TEST_UNIT_RECTEST_H

#include "lib/tls/tls_rec.h"

enum {
	RECTEST_AES128 = 0x1301,
	RECTEST_AES256 = 0x1302,
	RECTEST_CHACHA = 0x1303,
	RECTEST_ALERT = 21,
	RECTEST_HANDSHAKE = 22,
	RECTEST_DATA = 23,
	RECTEST_PLENTY = 1 << 30 /* a budget */
};

/*
 * rectest_new - an end; of the suites other than AES-128 the secrets are longer or used otherwise,
 * and not of the RFC.
 */
struct tls_rec *rectest_new(int suite, bool server, uint64_t read_seq, uint64_t write_seq);

/*
 * rectest_fill - n bytes of the pattern in blocks of piece bytes.  rectest_pattern - q holds
 * exactly these.
 */
void rectest_fill(struct bufq *q, size_t n, size_t piece);
void rectest_pattern(const struct bufq *q, size_t n);

/* rectest_seal - what r makes of n bytes of the pattern, at the end of wire. */
void rectest_seal(struct tls_rec *r, size_t n, size_t piece, struct bufq *wire);

/*
 * rectest_carry - move wire to the end of in, in blocks of piece bytes, whatever the blocks were.
 */
void rectest_carry(struct bufq *wire, size_t piece, struct bufq *in);

void rectest_put(struct bufq *q, const void *p, size_t n);

/*
 * rectest_craft - a record of the client's or the server's first key of RFC 8448 3, with this
 * TLSInnerPlaintext.
 */
void rectest_craft(struct bufq *q, bool server, uint64_t seq, const void *inner, size_t n);

/* One end with a peer whose records are crafted. */
struct rectest {
	struct tls_rec *r;
	bool server;
	/* Of the peer's next record. */
	uint64_t seq;
	struct bufq in, got;
	struct errtext e;
};

void rectest_start(struct rectest *x, bool server);
void rectest_stop(struct rectest *x);

/*
 * rectest_hear - the peer sends a record of type and content, padded with pad zeros.  Returns what
 * tls_rec_open() says.
 */
int rectest_hear(struct rectest *x, uint8_t type, const void *content, size_t n, size_t pad);

/* rectest_refused - r is a refusal with this alert; stops x. */
void rectest_refused(struct rectest *x, int r, enum tls_alert alert);

#endif
