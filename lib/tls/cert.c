/* SPDX-License-Identifier: ISC */
/*
 * cert - a self-signed certificate with a new key.
 */
#include "lib/tls/cert.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "lib/base/b64.h"
#include "lib/base/clock.h"
#include "lib/base/hash.h"
#include "lib/net/hostport.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

/* Bytes; RFC 5280 4.1.2.2 allows 20. */
#define SERIAL_LEN 16
/* Bytes of a P-256 key as text. */
#define KEY_PEM_MAX 2048
/* Bytes of a P-256 public key as DER. */
#define SPKI_MAX 256
/* X.520 ub-common-name. */
#define COMMON_NAME_MAX 64
/* A client's clock may be behind ours. */
#define BACKDATE_S 3600
#define DAY_S 86400

/* The names of a certificate as the library wants them: a list, addresses in binary. */
struct names {
	mbedtls_x509_san_list node[CERT_HOSTS_MAX];
	uint8_t ip[CERT_HOSTS_MAX][16];
	size_t n;
};

static int
fail(struct errtext *e, const char *what, int mbed)
{
	char why[128];

	mbedtls_strerror(mbed, why, sizeof(why));
	return err_set(e, ERR_TLS, "cannot %s: %s", what, why);
}

/* host stays borrowed by the list; what it points to lives in names or in the caller's array. */
static int
names_add(struct names *t, const char *host, struct errtext *e)
{
	mbedtls_x509_subject_alternative_name *san;
	bool wild = strncmp(host, "*.", 2) == 0;
	struct hostport hp;
	uint8_t *ip = t->ip[t->n];
	size_t ip_len = 0;

	if (hostport_host(wild ? host + 2 : host, &hp, e) != 0)
		return ERR_INVALID;
	if (inet_pton(AF_INET, hp.host, ip) == 1)
		ip_len = 4;
	else if (inet_pton(AF_INET6, hp.host, ip) == 1)
		ip_len = 16;
	if ((ip_len > 0 && wild) || (hp.is_v6 && ip_len == 0))
		return err_set(e, ERR_INVALID, "\"%s\" cannot stand in a certificate", hp.host);
	t->node[t->n] = (mbedtls_x509_san_list){ 0 };
	san = &t->node[t->n].node;
	san->type = ip_len > 0 ? MBEDTLS_X509_SAN_IP_ADDRESS : MBEDTLS_X509_SAN_DNS_NAME;
	san->san.unstructured_name.p = ip_len > 0 ? ip : (unsigned char *)(uintptr_t)host;
	san->san.unstructured_name.len = ip_len > 0 ? ip_len : strlen(host);
	if (t->n > 0)
		t->node[t->n - 1].next = &t->node[t->n];
	t->n++;
	return 0;
}

static void
stamp(char out[16], int64_t when_s)
{
	time_t t = (time_t)when_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 16, "%Y%m%d%H%M%S", &tm);
}

static int
new_key(mbedtls_pk_context *pk)
{
	int r = mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));

	if (r != 0)
		return r;
	return mbedtls_ecp_gen_key(
	    MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*pk), rand_callback, NULL);
}

static int
set_fields(mbedtls_x509write_cert *w, const char *host, unsigned days)
{
	char subject[sizeof("CN=") + COMMON_NAME_MAX], from[16], until[16];
	uint8_t serial[SERIAL_LEN];
	int64_t now = clock_wall_s();
	int r;

	if (rand_bytes(serial, sizeof(serial)) != 0)
		return MBEDTLS_ERR_ECP_RANDOM_FAILED;
	/* Positive and not shortened by a leading zero: RFC 5280 4.1.2.2. */
	serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
	stamp(from, now - BACKDATE_S);
	stamp(until, now + (int64_t)days * DAY_S);
	snprintf(
	    subject, sizeof(subject), "CN=%s", strlen(host) <= COMMON_NAME_MAX ? host : "tunnel");
	if ((r = mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof(serial))) != 0 ||
	    (r = mbedtls_x509write_crt_set_validity(w, from, until)) != 0 ||
	    (r = mbedtls_x509write_crt_set_subject_name(w, subject)) != 0)
		return r;
	return mbedtls_x509write_crt_set_issuer_name(w, subject);
}

static int
set_extensions(mbedtls_x509write_cert *w, const struct names *t)
{
	mbedtls_asn1_sequence usage = { 0 };
	int r;

	usage.buf.tag = MBEDTLS_ASN1_OID;
	usage.buf.p = (unsigned char *)(uintptr_t)MBEDTLS_OID_SERVER_AUTH;
	usage.buf.len = MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH);
	/* No CA: whoever trusts this certificate trusts it alone, not what its key might sign. */
	if ((r = mbedtls_x509write_crt_set_basic_constraints(w, 0, -1)) != 0 ||
	    (r = mbedtls_x509write_crt_set_key_usage(w, MBEDTLS_X509_KU_DIGITAL_SIGNATURE)) != 0 ||
	    (r = mbedtls_x509write_crt_set_ext_key_usage(w, &usage)) != 0 ||
	    (r = mbedtls_x509write_crt_set_subject_key_identifier(w)) != 0 ||
	    (r = mbedtls_x509write_crt_set_authority_key_identifier(w)) != 0)
		return r;
	return mbedtls_x509write_crt_set_subject_alternative_name(w, &t->node[0]);
}

static int
write_cert(mbedtls_pk_context *pk, const char *host, const struct names *t, unsigned days,
    struct cert *out, struct errtext *e)
{
	mbedtls_x509write_cert w;
	int r;

	if ((out->pem = mem_alloc(CERT_PEM_MAX)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	mbedtls_x509write_crt_init(&w);
	mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(&w, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(&w, pk);
	mbedtls_x509write_crt_set_issuer_key(&w, pk);
	if ((r = set_fields(&w, host, days)) == 0 && (r = set_extensions(&w, t)) == 0)
		r = mbedtls_x509write_crt_pem(
		    &w, (unsigned char *)out->pem, CERT_PEM_MAX, rand_callback, NULL);
	mbedtls_x509write_crt_free(&w);
	return r == 0 ? 0 : fail(e, "write the certificate", r);
}

static int
write_key(mbedtls_pk_context *pk, struct cert *out, struct errtext *e)
{
	unsigned char pem[KEY_PEM_MAX];
	int r = mbedtls_pk_write_key_pem(pk, pem, sizeof(pem));

	if (r != 0)
		return fail(e, "write the key", r);
	out->key_pem = secret_new(pem, strlen((const char *)pem));
	mem_wipe(pem, sizeof(pem));
	return out->key_pem != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int
write_pin(mbedtls_pk_context *pk, struct cert *out, struct errtext *e)
{
	static const char prefix[] = "sha256//";
	unsigned char der[SPKI_MAX];
	uint8_t digest[HASH_SHA256_LEN];
	size_t np = strlen(prefix);
	int n = mbedtls_pk_write_pubkey_der(pk, der, sizeof(der));

	if (n < 0)
		return fail(e, "write the public key", n);
	/* mbedTLS writes DER backwards, to the end of the buffer. */
	if (hash_sha256(der + sizeof(der) - n, (size_t)n, digest) != 0)
		return err_set(e, ERR_NOMEM, "cannot compute the pin");
	memcpy(out->pin, prefix, np);
	if (b64_encode(out->pin + np, sizeof(out->pin) - np, digest, sizeof(digest), B64_STD) < 0)
		return err_set(e, ERR_LIMIT, "cannot write the pin");
	return 0;
}

int
cert_self_signed(
    const char *const *hosts, size_t n, unsigned days, struct cert *out, struct errtext *e)
{
	mbedtls_pk_context pk;
	struct names *t;
	size_t i;
	int r = 0, mbed;

	*out = (struct cert){ 0 };
	if (n == 0 || n > CERT_HOSTS_MAX)
		return err_set(
		    e, ERR_LIMIT, "a certificate is for 1 to %d hosts, not %zu", CERT_HOSTS_MAX, n);
	if ((t = mem_zalloc(sizeof(*t))) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	for (i = 0; i < n && r == 0; i++)
		r = names_add(t, hosts[i], e);
	mbedtls_pk_init(&pk);
	if (r == 0 && (mbed = new_key(&pk)) != 0)
		r = fail(e, "make a key", mbed);
	if (r == 0 && (r = write_cert(&pk, hosts[0], t, days, out, e)) == 0 &&
	    (r = write_key(&pk, out, e)) == 0)
		r = write_pin(&pk, out, e);
	mbedtls_pk_free(&pk);
	mem_free(t);
	if (r != 0)
		cert_fini(out);
	return r;
}

void
cert_fini(struct cert *c)
{
	mem_free(c->pem);
	secret_free(c->key_pem);
	*c = (struct cert){ 0 };
}
