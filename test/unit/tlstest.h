/* SPDX-License-Identifier: ISC */
/*
 * tlstest - what the tests of the TLS filter share: a server and a client joined in memory
 * (test/wire.h), with a certificate for relay.test, *.wild.test, 127.0.0.1 and ::1 that is made for
 * the run.
 */
#ifndef TEST_UNIT_TLSTEST_H
#define TEST_UNIT_TLSTEST_H

#include "lib/tls/cert.h"
#include "lib/tls/f_tls.h"
#include "test/wire.h"

struct tlstest_side {
	struct filter *f;
	/* Below f; or NULL. */
	struct wire *wire;
	struct bufq got;
	/* Loop stops when so much was got; or at the end. */
	size_t want;
	/* Takes nothing and pauses. */
	bool hold;
	bool free_in_readable, free_in_closed, free_in_ready;
	unsigned n_ready, n_closed;
	/* Bytes that had arrived by then. */
	uint64_t ready_at;
	int err;
	char text[ERR_TEXT_MAX];
};

struct tlstest {
	struct loop *l;
	struct tls_client_ctx *ctx;
	struct tlstest_side c, s;
};

/* The certificate, its file and that of its key, and a server context with it. */
extern struct cert tlstest_cert;
extern char tlstest_pem[64], tlstest_key[64];
extern struct tls_server_ctx *tlstest_server_ctx;
/* The clients that are made next know TLS 1.2 and nothing newer. */
extern bool tlstest_tls12_only;

/* tlstest_setup, tlstest_teardown - for the whole group of tests. */
int tlstest_setup(void **state);
int tlstest_teardown(void **state);

/*
 * tlstest_open - both ends, at the start of their handshake; the client trusts ca and pins (both
 * may be NULL).
 */
void tlstest_open(struct tlstest *p, const char *host, const char *ca, const char *pins);
/* tlstest_ready - the same with a good client, and the handshake done. */
void tlstest_ready(struct tlstest *p);
void tlstest_close(struct tlstest *p);

/*
 * tlstest_side_start - x becomes the user of f.  tlstest_side_free - free it before the end of the
 * test.
 */
void tlstest_side_start(struct tlstest_side *x, struct filter *f);
void tlstest_side_free(struct tlstest_side *x);

/*
 * tlstest_write - n bytes of the pattern in slices of piece bytes, one flush.  tlstest_got -
 * exactly these have arrived.
 */
void tlstest_write(struct tlstest_side *x, size_t n, size_t piece);
void tlstest_got(const struct tlstest_side *x, size_t n);

/* Conditions for wire_run(); got: as many bytes as each side's want. */
bool tlstest_both_ready(void *arg);
bool tlstest_both_closed(void *arg);
bool tlstest_both_got(void *arg);

#endif
