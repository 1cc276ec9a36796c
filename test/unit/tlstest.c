/* SPDX-License-Identifier: ISC */
/* tlstest - both ends of TLS joined in memory, with a certificate of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/file.h"
#include "lib/base/rand.h"
#include "lib/tls/tls_generation.h"
#include "test/unit/tlstest.h"
#include "test/unit/sockpair.h"

/* ---- certificates for all tests ---- */

static char dir[32];
char tlstest_pem[64];
char tlstest_key[64];
struct cert tlstest_cert;
struct tls_server_ctx *tlstest_server_ctx;
bool tlstest_tls12_only;

static struct tls_client_ctx *
client_ctx(const char *ca, const char *pins)
{
	struct tls_client_ctx *ctx;
	struct errtext e;

	if (tls_client_new(&(struct tls_client_opts){ ca, pins }, &ctx, &e) != 0)
		fail_msg("%s", e.s);
	return ctx;
}

int
tlstest_setup(void **state)
{
	const char *hosts[] = { "relay.test", "*.wild.test", "127.0.0.1", "::1" };
	struct errtext e = { "" };

	(void)state;
	rand_init();
	snprintf(dir, sizeof dir, "/tmp/f_tls_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(tlstest_pem, sizeof tlstest_pem, "%s/c.pem", dir);
	snprintf(tlstest_key, sizeof tlstest_key, "%s/k.pem", dir);
	if (cert_self_signed(hosts, 4, 30, &tlstest_cert, &e) != 0 ||
	    file_write_atomic(tlstest_pem, tlstest_cert.pem, strlen(tlstest_cert.pem), 0600, &e) !=
		0 ||
	    file_write_atomic(tlstest_key, secret_bytes(tlstest_cert.key_pem),
		secret_len(tlstest_cert.key_pem), 0600, &e) != 0 ||
	    tls_server_new(
		&(struct tls_pair){ tlstest_pem, tlstest_key }, 1, &tlstest_server_ctx, &e) != 0)
		fail_msg("%s", e.s);
	return 0;
}

int
tlstest_teardown(void **state)
{
	(void)state;
	tls_server_free(tlstest_server_ctx);
	cert_fini(&tlstest_cert);
	unlink(tlstest_pem);
	unlink(tlstest_key);
	rmdir(dir);
	buf_pool_free();
	return 0;
}

/* ---- two ends ---- */

void
tlstest_side_free(struct tlstest_side *x)
{
	if (x->f != NULL)
		filter_free(x->f);
	x->f = NULL;
}

static void
on_readable(void *arg)
{
	struct tlstest_side *x = arg;

	if (x->free_in_readable) {
		tlstest_side_free(x);
		return;
	}
	if (x->hold) {
		filter_pause(x->f, true);
		return;
	}
	assert_int_equal(bufq_move(&x->got, &x->f->in, x->f->in.len), 0);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct tlstest_side *x = arg;

	x->n_closed++;
	x->err = err;
	snprintf(x->text, sizeof x->text, "%s", text);
	if (x->free_in_closed)
		tlstest_side_free(x);
}

static void
on_ready(void *arg)
{
	struct tlstest_side *x = arg;

	x->n_ready++;
	x->ready_at = x->wire != NULL ? x->wire->passed : 0;
	if (x->free_in_ready)
		tlstest_side_free(x);
}

static const struct filter_user side_user = { on_readable, on_writable, on_closed };

void
tlstest_side_start(struct tlstest_side *x, struct filter *f)
{
	assert_non_null(f);
	x->f = f;
	filter_set_user(f, &side_user, x);
	f_tls_set_ready(f, on_ready, x);
}

/* The client trusts the certificate of the tests unless opts says otherwise. */
void
tlstest_open(struct tlstest *p, const char *host, const char *ca, const char *pins)
{
	*p = (struct tlstest){ .l = loop_new() };
	assert_non_null(p->l);
	p->ctx = client_ctx(ca, pins);
	if (tlstest_tls12_only) {
		struct tls_generation *g = tls_generation_client(p->ctx);

		mbedtls_ssl_conf_max_tls_version(&g->conf, MBEDTLS_SSL_VERSION_TLS1_2);
		tls_generation_drop(g);
	}
	wire_pair(p->l, &p->c.wire, &p->s.wire);
	tlstest_side_start(&p->c, f_tls_client(&p->c.wire->f, p->l, p->ctx, host));
	tlstest_side_start(&p->s, f_tls_server(&p->s.wire->f, p->l, tlstest_server_ctx));
}

void
tlstest_close(struct tlstest *p)
{
	tlstest_side_free(&p->c);
	tlstest_side_free(&p->s);
	bufq_fini(&p->c.got);
	bufq_fini(&p->s.got);
	tls_client_free(p->ctx);
	wire_turns(p->l, 2);
	loop_free(p->l);
}

bool
tlstest_both_ready(void *arg)
{
	struct tlstest *p = arg;

	return p->c.n_ready == 1 && p->s.n_ready == 1;
}

bool
tlstest_both_closed(void *arg)
{
	struct tlstest *p = arg;

	return p->c.n_closed > 0 && p->s.n_closed > 0;
}

bool
tlstest_both_got(void *arg)
{
	struct tlstest *p = arg;

	return p->c.got.len >= p->c.want && p->s.got.len >= p->s.want;
}

void
tlstest_ready(struct tlstest *p)
{
	tlstest_open(p, "relay.test", tlstest_pem, NULL);
	assert_true(wire_run(p->l, 10000, tlstest_both_ready, p));
}

/* Byte i of every stream of the tests. */
/* Write n bytes as slices of piece bytes, one flush. */
void
tlstest_write(struct tlstest_side *x, size_t n, size_t piece)
{
	struct bufq q = { 0 };

	if (piece > BUF_HUGE)
		piece = BUF_HUGE;
	for (size_t off = 0; off < n; off += piece) {
		size_t k = n - off < piece ? n - off : piece;
		struct block *b = block_new(k);

		assert_non_null(b);
		for (size_t i = 0; i < k; i++)
			b->data[i] = pattern(off + i);
		b->fill = (uint32_t)k;
		assert_int_equal(bufq_append(&q, b, b->data, k), 0);
		block_unref(b);
	}
	assert_int_equal(filter_write(x->f, &q), 0);
	assert_int_equal(q.len, 0);
	filter_flush(x->f);
	bufq_fini(&q);
}

void
tlstest_got(const struct tlstest_side *x, size_t n)
{
	uint8_t p[4096];

	assert_int_equal(x->got.len, n);
	for (size_t off = 0; off < n;) {
		size_t k = bufq_read(&x->got, off, p, sizeof p);

		for (size_t i = 0; i < k; i++)
			assert_int_equal(p[i], pattern(off + i));
		off += k;
	}
}
