/* SPDX-License-Identifier: ISC */
/*
 * tls_keyed - a private key, the certificate that carries its public half, and how TLS is
 * configured for both.
 */
#include "lib/tls/tls_keyed.h"

#include <string.h>
#include <mbedtls/ecp.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/tls/tls_generation.h"

/* Bytes of a certificate in DER, which has 300. */
#define DER_MAX 1024

struct tls_keyed {
	struct tls_generation *gen;
	char pub[KEYS_PUB_TEXT_LEN + 1];
};

/* The curve of the keys is that of the exchange, too: mbedTLS is fastest with it. */
static const uint16_t groups[] = { MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_NONE };
static const uint16_t sig_algs[] = { MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
	MBEDTLS_TLS1_3_SIG_NONE };

static int
load_key(mbedtls_pk_context *pk, const struct secret *priv, struct errtext *e)
{
	uint8_t scalar[KEYS_SCALAR_LEN];
	mbedtls_ecp_keypair *pair;
	int r, mbed;

	if ((r = keys_scalar(priv, scalar, e)) != 0)
		return r;
	if ((mbed = mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY))) == 0) {
		pair = mbedtls_pk_ec(*pk);
		mbed = mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, pair, scalar, sizeof(scalar));
		if (mbed == 0)
			mbed = mbedtls_ecp_keypair_calc_public(pair, rand_callback, NULL);
	}
	mem_wipe(scalar, sizeof(scalar));
	return mbed == 0 ? 0 : err_set(e, ERR_NOMEM, "cannot load the key: out of memory");
}

/* Version 3, without an extension: a use that it named would be the only one. */
static int
write_cert(mbedtls_x509write_cert *w, mbedtls_pk_context *pk, mbedtls_x509_crt *chain)
{
	static const unsigned char serial = 1;
	unsigned char der[DER_MAX];
	int r;

	mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
	mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
	mbedtls_x509write_crt_set_subject_key(w, pk);
	mbedtls_x509write_crt_set_issuer_key(w, pk);
	if ((r = mbedtls_x509write_crt_set_serial_raw(w, (unsigned char *)(uintptr_t)&serial, 1)) !=
		0 ||
	    (r = mbedtls_x509write_crt_set_validity(w, "20000101000000", "99991231235959")) != 0 ||
	    (r = mbedtls_x509write_crt_set_subject_name(w, "CN=tunnel")) != 0 ||
	    (r = mbedtls_x509write_crt_set_issuer_name(w, "CN=tunnel")) != 0)
		return r;
	if ((r = mbedtls_x509write_crt_der(w, der, sizeof(der), rand_callback, NULL)) < 0)
		return r;
	/* mbedTLS writes DER backwards, to the end of the buffer. */
	return mbedtls_x509_crt_parse_der(chain, der + sizeof(der) - r, (size_t)r);
}

static int
load_pair(struct tls_loaded *p, const struct secret *priv, struct errtext *e)
{
	mbedtls_x509write_cert w;
	int r, mbed;

	if ((r = load_key(&p->key, priv, e)) != 0)
		return r;
	mbedtls_x509write_crt_init(&w);
	mbed = write_cert(&w, &p->key, &p->chain);
	mbedtls_x509write_crt_free(&w);
	return mbed == 0 ? 0 : tls_pairs_fail(e, mbed, "cannot make a certificate", "key");
}

static int
configure(struct tls_generation *g, enum tls_keyed_end end, const char *alpn, struct errtext *e)
{
	bool server = end == TLS_KEYED_SERVER;
	mbedtls_ssl_config *c = &g->conf;
	int r, mbed;

	r = tls_generation_configure(g, server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT, e);
	if (r != 0)
		return r;
	mbedtls_ssl_conf_min_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_conf_max_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_3);
	mbedtls_ssl_conf_groups(c, groups);
	mbedtls_ssl_conf_sig_algs(c, sig_algs);
	/* No pre-shared keys: so a ticket, of whoever made it, resumes nothing. */
	mbedtls_ssl_conf_tls13_key_exchange_modes(
	    c, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
	mbedtls_ssl_conf_new_session_tickets(c, 0);
	/* A server asks for a certificate; tls_session judges it in place of mbedTLS. */
	mbedtls_ssl_conf_authmode(
	    c, server ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
	g->alpn = g->alpn_list[0] = alpn;
	if ((mbed = mbedtls_ssl_conf_alpn_protocols(c, g->alpn_list)) != 0 ||
	    (mbed = mbedtls_ssl_conf_own_cert(c, &g->pairs[0]->chain, &g->pairs[0]->key)) != 0)
		return tls_pairs_fail(e, mbed, "cannot configure", "TLS");
	return 0;
}

/* Takes the reference to p in every case. */
static int
gen_new_keyed(struct tls_loaded *p, enum tls_keyed_end end, const char *alpn,
    struct tls_generation **out, struct errtext *e)
{
	struct tls_generation *g = tls_generation_new();
	int r;

	if (g == NULL || (g->pairs = mem_array(1, sizeof(void *))) == NULL) {
		tls_loaded_unref(p);
		r = err_set(e, ERR_NOMEM, "out of memory");
	} else {
		g->pairs[0] = p;
		g->n_pairs = 1;
		r = configure(g, end, alpn, e);
	}
	if (r == 0)
		*out = g;
	else
		tls_generation_drop(g);
	return r;
}

int
tls_keyed_new(const struct secret *priv, enum tls_keyed_end end, const char *alpn,
    struct tls_keyed **out, struct errtext *e)
{
	struct tls_keyed *k = mem_zalloc(sizeof(*k));
	struct tls_loaded *p = tls_loaded_new();
	int r = ERR_NOMEM;

	if (k == NULL || p == NULL)
		err_set(e, r, "out of memory");
	else if ((r = keys_public(priv, k->pub, e)) == 0)
		r = load_pair(p, priv, e);
	if (r == 0 && (r = gen_new_keyed(tls_loaded_ref(p), end, alpn, &k->gen, e)) == 0)
		*out = k;
	else
		mem_free(k);
	tls_loaded_unref(p);
	return r;
}

int
tls_keyed_sibling(const struct tls_keyed *k, enum tls_keyed_end end, const char *alpn,
    struct tls_keyed **out, struct errtext *e)
{
	struct tls_keyed *s = mem_zalloc(sizeof(*s));
	int r;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	memcpy(s->pub, k->pub, sizeof(s->pub));
	r = gen_new_keyed(tls_loaded_ref(k->gen->pairs[0]), end, alpn, &s->gen, e);
	if (r == 0)
		*out = s;
	else
		mem_free(s);
	return r;
}

void
tls_keyed_free(struct tls_keyed *k)
{
	if (k == NULL)
		return;
	tls_generation_drop(k->gen);
	mem_free(k);
}

const char *
tls_keyed_public(const struct tls_keyed *k)
{
	return k->pub;
}

struct tls_generation *
tls_generation_keyed(const struct tls_keyed *k)
{
	return tls_generation_ref(k->gen);
}

static int
judge_list(void *arg, const uint8_t point[KEYS_POINT_LEN], struct errtext *e)
{
	char came[KEYS_PUB_TEXT_LEN + 1], known[KEYS_PUB_TEXT_LEN + 1];
	const struct keys_list *l = arg;

	if (keys_list_has(l, point))
		return 0;
	keys_point_text(point, came);
	if (l->n == 0)
		return err_set(e, ERR_DENIED, "the peer has the key %s, and none is allowed", came);
	keys_point_text(l->points[0], known);
	return err_set(e, ERR_DENIED, "the peer has the key %s, not %s%s", came, known,
	    l->n > 1 ? " or another that is allowed" : "");
}

struct tls_judge
tls_judge_list(const struct keys_list *l)
{
	return (struct tls_judge){ judge_list, (void *)(uintptr_t)l };
}
