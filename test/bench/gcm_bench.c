/* SPDX-License-Identifier: ISC */
/*
 * How fast TLS records are: AES-GCM alone, and whole TLS 1.3 records from one context in memory to
 * another, by libipsec-mb and by mbedTLS's own code in the same run. `make bench-gcm` runs it.
 * Each figure is the median of five runs of SECONDS (argument 1, default 0.3).
 *
 * link: -Wl,--wrap=init_mb_mgr_auto
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/gcm.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "lib/tls/gcm_provider.h"

enum {
	RECORD = 16384,
	/* Of a TLS 1.3 record: the content type takes the last byte. */
	PAYLOAD = RECORD - 1,
	RUNS = 5,
};

static double seconds = 0.3;
static bool own; /* mbedTLS's own code: libipsec-mb seems to find no AES-NI */

#if defined(MBEDTLS_GCM_ALT)
#include <intel-ipsec-mb.h>

void __real_init_mb_mgr_auto(IMB_MGR *m, IMB_ARCH *arch);
void __wrap_init_mb_mgr_auto(IMB_MGR *m, IMB_ARCH *arch);

void
__wrap_init_mb_mgr_auto(IMB_MGR *m, IMB_ARCH *arch)
{
	__real_init_mb_mgr_auto(m, arch);
	if (own)
		m->features &= ~IMB_FEATURE_AESNI;
}
#endif

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "gcm_bench: %s failed\n", what);
	exit(1);
}

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* report - the median rate of RUNS runs of step(arg), which moves n bytes. */
static void
report(const char *what, void (*step)(void *), void *arg, size_t n)
{
	double rate[RUNS], began, took;
	size_t i, k, done;

	for (i = 0; i < RUNS; i++) {
		began = now_s();
		done = 0;
		do {
			for (k = 0; k < 16; k++)
				step(arg);
			done += 16 * n;
		} while ((took = now_s() - began) < seconds);
		rate[i] = (double)done / took / 1e9;
	}
	qsort(rate, RUNS, sizeof(rate[0]), by_value);
	printf("  %-44s %7.3f GB/s\n", what, rate[RUNS / 2]);
}

/* ---- AES-GCM alone ---- */

struct gcm_arg {
	mbedtls_gcm_context ctx;
	uint8_t iv[12], ad[5], tag[16];
	uint8_t in[RECORD], out[RECORD];
	size_t len;
};

static void
gcm_encrypt(void *arg)
{
	struct gcm_arg *a = arg;

	must(mbedtls_gcm_crypt_and_tag(&a->ctx, MBEDTLS_GCM_ENCRYPT, a->len, a->iv, 12, a->ad, 5,
		 a->in, a->out, 16, a->tag) == 0,
	    "encryption");
}

static void
gcm_decrypt(void *arg)
{
	struct gcm_arg *a = arg;

	must(mbedtls_gcm_auth_decrypt(
		 &a->ctx, a->len, a->iv, 12, a->ad, 5, a->tag, 16, a->out, a->in) == 0,
	    "decryption");
}

static void
bench_gcm(unsigned int bits, size_t len)
{
	static struct gcm_arg a;
	char what[64];

	a.len = len;
	mbedtls_gcm_init(&a.ctx);
	must(mbedtls_gcm_setkey(&a.ctx, MBEDTLS_CIPHER_ID_AES, a.in, bits) == 0, "setkey");
	snprintf(what, sizeof(what), "AES-%u-GCM encrypt, %zu bytes", bits, len);
	report(what, gcm_encrypt, &a, len);
	gcm_encrypt(&a);
	snprintf(what, sizeof(what), "AES-%u-GCM decrypt, %zu bytes", bits, len);
	report(what, gcm_decrypt, &a, len);
	mbedtls_gcm_free(&a.ctx);
}

/* ---- TLS 1.3 in memory ---- */

/* One direction of the wire. */
struct pipe {
	uint8_t b[4 * RECORD];
	size_t from, to;
};

struct end {
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config conf;
	struct pipe *in, *out;
};

static struct pipe wire[2];
static struct end server, client;
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context rng;

static int
wire_send(void *arg, const unsigned char *p, size_t n)
{
	struct pipe *w = ((struct end *)arg)->out;

	if (w->from == w->to)
		w->from = w->to = 0;
	if (n > sizeof(w->b) - w->to)
		n = sizeof(w->b) - w->to;
	if (n == 0)
		return MBEDTLS_ERR_SSL_WANT_WRITE;
	memcpy(w->b + w->to, p, n);
	w->to += n;
	return (int)n;
}

static int
wire_recv(void *arg, unsigned char *p, size_t n)
{
	struct pipe *w = ((struct end *)arg)->in;

	if (n > w->to - w->from)
		n = w->to - w->from;
	if (n == 0)
		return MBEDTLS_ERR_SSL_WANT_READ;
	memcpy(p, w->b + w->from, n);
	w->from += n;
	return (int)n;
}

static void
make_cert(mbedtls_x509_crt *crt, mbedtls_pk_context *key)
{
	mbedtls_x509write_cert w;
	unsigned char serial[] = { 1 }, der[2048];
	int n;

	mbedtls_pk_init(key);
	must(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0, "pk_setup");
	must(mbedtls_ecp_gen_key(
		 MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), mbedtls_ctr_drbg_random, &rng) == 0,
	    "gen_key");
	mbedtls_x509write_crt_init(&w);
	mbedtls_x509write_crt_set_md_alg(&w, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_subject_key(&w, key);
	mbedtls_x509write_crt_set_issuer_key(&w, key);
	must(mbedtls_x509write_crt_set_serial_raw(&w, serial, sizeof(serial)) == 0 &&
		 mbedtls_x509write_crt_set_subject_name(&w, "CN=localhost") == 0 &&
		 mbedtls_x509write_crt_set_issuer_name(&w, "CN=localhost") == 0 &&
		 mbedtls_x509write_crt_set_validity(&w, "20200101000000", "20991231235959") == 0,
	    "certificate");
	n = mbedtls_x509write_crt_der(&w, der, sizeof(der), mbedtls_ctr_drbg_random, &rng);
	must(n > 0, "certificate");
	mbedtls_x509write_crt_free(&w);
	mbedtls_x509_crt_init(crt);
	must(mbedtls_x509_crt_parse_der(crt, der + sizeof(der) - n, (size_t)n) == 0, "certificate");
}

static void
end_init(struct end *e, int role, const int *suites, struct pipe *in, struct pipe *out)
{
	mbedtls_ssl_config_init(&e->conf);
	must(mbedtls_ssl_config_defaults(
		 &e->conf, role, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) == 0,
	    "config");
	mbedtls_ssl_conf_rng(&e->conf, mbedtls_ctr_drbg_random, &rng);
	mbedtls_ssl_conf_authmode(&e->conf, MBEDTLS_SSL_VERIFY_NONE);
	mbedtls_ssl_conf_ciphersuites(&e->conf, suites);
	mbedtls_ssl_conf_min_tls_version(&e->conf, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_init(&e->ssl);
	e->in = in;
	e->out = out;
	in->from = in->to = 0;
	mbedtls_ssl_set_bio(&e->ssl, e, wire_send, wire_recv, NULL);
}

static void
tls_record(void *arg)
{
	static uint8_t plain[PAYLOAD], got[PAYLOAD];
	size_t off;
	int n;

	(void)arg;
	must(mbedtls_ssl_write(&server.ssl, plain, PAYLOAD) == PAYLOAD, "ssl_write");
	for (off = 0; off < PAYLOAD; off += (size_t)n) {
		/* The first call may have to take the server's session ticket. */
		do
			n = mbedtls_ssl_read(&client.ssl, got, PAYLOAD);
		while (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
		must(n > 0, "ssl_read");
	}
}

static void
bench_tls(const char *what, const int *suites, mbedtls_x509_crt *crt, mbedtls_pk_context *key)
{
	int a, b, turns = 0;

	end_init(&server, MBEDTLS_SSL_IS_SERVER, suites, &wire[0], &wire[1]);
	end_init(&client, MBEDTLS_SSL_IS_CLIENT, suites, &wire[1], &wire[0]);
	must(mbedtls_ssl_conf_own_cert(&server.conf, crt, key) == 0, "own_cert");
	must(mbedtls_ssl_setup(&server.ssl, &server.conf) == 0 &&
		 mbedtls_ssl_setup(&client.ssl, &client.conf) == 0 &&
		 mbedtls_ssl_set_hostname(&client.ssl, NULL) == 0,
	    "ssl_setup");
	do {
		a = mbedtls_ssl_handshake(&client.ssl);
		b = mbedtls_ssl_handshake(&server.ssl);
	} while ((a != 0 || b != 0) && ++turns < 20);
	must(a == 0 && b == 0, "handshake");
	report(what, tls_record, NULL, PAYLOAD);
	mbedtls_ssl_free(&server.ssl);
	mbedtls_ssl_free(&client.ssl);
	mbedtls_ssl_config_free(&server.conf);
	mbedtls_ssl_config_free(&client.conf);
}

static void
bench_all(void)
{
	static const int aes128[] = { MBEDTLS_TLS1_3_AES_128_GCM_SHA256, 0 };
	static const int aes256[] = { MBEDTLS_TLS1_3_AES_256_GCM_SHA384, 0 };
	static const int chacha[] = { MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, 0 };
	mbedtls_x509_crt crt;
	mbedtls_pk_context key;

	printf("%s\n", gcm_alt_provider());
	bench_gcm(128, 64);
	bench_gcm(128, 1024);
	bench_gcm(128, RECORD);
	bench_gcm(256, RECORD);
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&rng);
	must(mbedtls_ctr_drbg_seed(&rng, mbedtls_entropy_func, &entropy, NULL, 0) == 0, "seed");
	must(psa_crypto_init() == PSA_SUCCESS, "psa_crypto_init");
	make_cert(&crt, &key);
	bench_tls("TLS 1.3 record pair, AES-128-GCM, 16 KiB", aes128, &crt, &key);
	bench_tls("TLS 1.3 record pair, AES-256-GCM, 16 KiB", aes256, &crt, &key);
	bench_tls("TLS 1.3 record pair, ChaCha20-Poly1305, 16 KiB", chacha, &crt, &key);
	mbedtls_x509_crt_free(&crt);
	mbedtls_pk_free(&key);
	mbedtls_ctr_drbg_free(&rng);
	mbedtls_entropy_free(&entropy);
}

int
main(int argc, char **argv)
{
	int status = 1;
	pid_t child;

	if (argc > 1)
		seconds = strtod(argv[1], NULL);
	fflush(stdout);
	/* The choice is made once in a process, so the other one is measured in a child. */
	if ((child = fork()) == 0) {
		own = true;
		bench_all();
		return 0;
	}
	must(child > 0 && waitpid(child, &status, 0) == child && status == 0, "the first half");
	bench_all();
	return 0;
}
