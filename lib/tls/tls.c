/* SPDX-License-Identifier: ISC */
/*
 * tls - read certificates, keys and authorities, and make the generations that connections use.
 *
 * The mutex of a server context guards its pointer to the current generation and nothing else; it
 * is held for the few instructions that read or change it, and no other lock is taken meanwhile.
 */
#include "lib/tls/tls.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "lib/base/b64.h"
#include "lib/tls/gcm_provider.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/tls/tls_generation.h"

struct tls_server_ctx {
	pthread_mutex_t lock;
	struct tls_generation *cur;
	/* From here on the one thread's that reads them. */
	struct tls_pairs *files;
	/* They were read, and there was no memory to put them in force. */
	bool stale;
};

struct tls_client_ctx {
	struct tls_generation *gen;
};

/* ---- what server and client have in common ---- */

#define TLS12_AES128                                     \
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, \
	    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
#define TLS12_AES256                                     \
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
	    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
#define TLS12_CHACHA                                           \
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, \
	    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256

/* RFC 9325 4.2: forward secrecy and authenticated encryption only. */
static const int suites_aes_first[] = { MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_AES_256_GCM_SHA384, MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, TLS12_AES128,
	TLS12_AES256, TLS12_CHACHA, 0 };
static const int suites_chacha_first[] = { MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384, TLS12_CHACHA,
	TLS12_AES128, TLS12_AES256, 0 };

/*
 * P-256 is first: mbedTLS does a handshake with it in less than half the time of X25519 (193
 * against 85 a second, both ends on one core). P-384 is last: in TLS 1.2 the list also says which
 * certificates' keys are understood.
 */
static const uint16_t groups[] = { MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_X25519, MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_NONE };

static const char *alpn[] = { "http/1.1", NULL };

struct tls_generation *
tls_generation_new(void)
{
	struct tls_generation *g = mem_zalloc(sizeof *g);

	if (g == NULL)
		return NULL;
	atomic_init(&g->refs, 1);
	mbedtls_ssl_config_init(&g->conf);
	mbedtls_ssl_ticket_init(&g->tickets);
	mbedtls_x509_crt_init(&g->roots);
	return g;
}

struct tls_generation *
tls_generation_ref(struct tls_generation *g)
{
	atomic_fetch_add(&g->refs, 1);
	return g;
}

void
tls_generation_drop(struct tls_generation *g)
{
	if (g == NULL || atomic_fetch_sub(&g->refs, 1) != 1)
		return;
	mbedtls_ssl_config_free(&g->conf);
	mbedtls_ssl_ticket_free(&g->tickets);
	mbedtls_x509_crt_free(&g->roots);
	for (size_t i = 0; i < g->n_pairs; i++)
		tls_loaded_unref(g->pairs[i]);
	mem_free(g->pairs);
	mem_free(g->defaults);
	tls_names_fini(&g->names);
	mem_free(g);
}

int
tls_generation_configure(struct tls_generation *g, int endpoint, struct errtext *e)
{
	bool aes_in_hardware = strcmp(gcm_alt_provider(), "mbedTLS") != 0;
	int ret;

	/* TLS 1.3 of mbedTLS stands on PSA; the second and later calls do nothing. */
	if (psa_crypto_init() != PSA_SUCCESS)
		return err_set(e, ERR_TLS, "mbedTLS's PSA layer does not start");
	ret = mbedtls_ssl_config_defaults(
	    &g->conf, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
	if (ret != 0)
		return tls_pairs_fail(e, ret, "cannot configure", "TLS");
	mbedtls_ssl_conf_rng(&g->conf, rand_callback, NULL);
	mbedtls_ssl_conf_min_tls_version(&g->conf, MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_ciphersuites(
	    &g->conf, aes_in_hardware ? suites_aes_first : suites_chacha_first);
	mbedtls_ssl_conf_groups(&g->conf, groups);
	ret = mbedtls_ssl_conf_alpn_protocols(&g->conf, alpn);
	return ret == 0 ? 0 : tls_pairs_fail(e, ret, "cannot configure", "TLS");
}

/* ---- server ---- */

/* Offer the pairs that name what was asked for, then those whose wildcard covers it. */
static int
offer(const struct tls_generation *g, mbedtls_ssl_context *ssl, const struct tls_names_found *f)
{
	const struct tls_names_found exact = { f->exact, NULL };

	for (int wild = 0; wild <= 1; wild++)
		for (const struct tls_name *e = wild ? f->wild : f->exact; e != NULL; e = e->next) {
			struct tls_loaded *p = g->pairs[e->cert];

			if (wild && tls_names_has(&exact, e->cert))
				continue;
			if (mbedtls_ssl_set_hs_own_cert(ssl, &p->chain, &p->key) != 0)
				return -1;
		}
	return 0;
}

/*
 * All pairs that fit are offered, so that of an ECDSA and an RSA certificate the client gets the
 * one that it can check: mbedTLS takes the first of the kind that the client likes most.  If none
 * fits, the defaults remain.  A second ClientHello (RFC 8446 4.1.4) asks again.
 */
static int
on_sni(void *arg, mbedtls_ssl_context *ssl, const unsigned char *p, size_t len)
{
	struct tls_asked *asked = mbedtls_ssl_get_user_data_p(ssl);
	const struct tls_generation *g = arg;

	tls_asked_fini(asked);
	if (len == 0 || len > TLS_NAME_MAX || memchr(p, '\0', len) != NULL)
		return 0;
	if ((asked->name = mem_zalloc(len + 1)) == NULL)
		return -1;
	for (size_t i = 0; i < len; i++)
		asked->name[i] = (char)tolower(p[i]);
	asked->offered = tls_names_find(&g->names, asked->name, len);
	return offer(g, ssl, &asked->offered);
}

void
tls_generation_serve(mbedtls_ssl_context *ssl, struct tls_asked *asked)
{
	mbedtls_ssl_set_user_data_p(ssl, asked);
}

void
tls_asked_fini(struct tls_asked *asked)
{
	mem_free(asked->name);
	*asked = (struct tls_asked){ 0 };
}

/* Are all of a list among those that were found? */
static bool
has_all(const struct tls_names_found *f, const struct tls_name *e)
{
	while (e != NULL && tls_names_has(f, e->cert))
		e = e->next;
	return e == NULL;
}

/*
 * mbedTLS does not tell which of those it was offered it has shown; a resumed session shows none.
 * So all must fit, which those that share a name mostly do.
 */
bool
tls_generation_covers(
    const struct tls_generation *g, const struct tls_asked *asked, const char *host)
{
	struct tls_names_found f;

	if (asked->offered.exact != NULL || asked->offered.wild != NULL) {
		if (strcmp(asked->name, host) == 0)
			return true;
		f = tls_names_find(&g->names, host, strlen(host));
		return has_all(&f, asked->offered.exact) && has_all(&f, asked->offered.wild);
	}
	f = tls_names_find(&g->names, host, strlen(host));
	for (size_t i = 0; i < g->n_defaults; i++)
		if (!tls_names_has(&f, g->defaults[i]))
			return false;
	return true;
}

/* Without a name, or for an unknown one, the first pair is offered, and those that share a name. */
static int
gen_add_pairs(struct tls_generation *g)
{
	if ((g->defaults = mem_array(g->n_pairs, sizeof *g->defaults)) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < g->n_pairs; i++)
		if (tls_names_add(&g->names, i, &g->pairs[i]->chain) != 0)
			return ERR_NOMEM;
	for (size_t i = 0; i < g->n_pairs; i++) {
		struct tls_loaded *p = g->pairs[i];

		if (i > 0 && !tls_names_any(&g->names, i, &g->pairs[0]->chain))
			continue;
		if (mbedtls_ssl_conf_own_cert(&g->conf, &p->chain, &p->key) != 0)
			return ERR_NOMEM;
		g->defaults[g->n_defaults++] = i;
	}
	mbedtls_ssl_conf_sni(&g->conf, on_sni, g);
	return 0;
}

static int
gen_add_tickets(struct tls_generation *g, struct errtext *e)
{
	int ret = mbedtls_ssl_ticket_setup(
	    &g->tickets, rand_callback, NULL, MBEDTLS_CIPHER_AES_256_GCM, TLS_TICKET_S);

	if (ret != 0)
		return tls_pairs_fail(e, ret, "cannot make the keys of session tickets", "TLS");
	mbedtls_ssl_conf_session_tickets_cb(
	    &g->conf, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &g->tickets);
	return 0;
}

static int
gen_new_server(struct tls_server_ctx *ctx, struct tls_generation **out, struct errtext *e)
{
	struct tls_generation *g = tls_generation_new();
	int r;

	if (g == NULL || (g->pairs = mem_array(ctx->files->n, sizeof(void *))) == NULL) {
		r = err_set(e, ERR_NOMEM, "out of memory");
		goto fail;
	}
	for (size_t i = 0; i < ctx->files->n; i++)
		if (ctx->files->v[i].loaded != NULL)
			g->pairs[g->n_pairs++] = tls_loaded_ref(ctx->files->v[i].loaded);
	if (g->n_pairs == 0) {
		r = err_set(e, ERR_NOTFOUND, "no certificate: %s has none",
		    ctx->files->n_given > 0 ? ctx->files->given[0].cert_file : "");
		goto fail;
	}
	if ((r = tls_generation_configure(g, MBEDTLS_SSL_IS_SERVER, e)) != 0 ||
	    (r = gen_add_tickets(g, e)) != 0)
		goto fail;
	if ((r = gen_add_pairs(g)) != 0) {
		err_set(e, r, "out of memory");
		goto fail;
	}
	*out = g;
	return 0;
fail:
	tls_generation_drop(g);
	return r;
}

int
tls_server_new(
    const struct tls_pair *pairs, size_t n, struct tls_server_ctx **out, struct errtext *e)
{
	struct tls_server_ctx *ctx;
	int r;

	if (n == 0 || n > TLS_PAIRS_MAX)
		return err_set(
		    e, ERR_LIMIT, "%zu certificates given; 1 to %d are possible", n, TLS_PAIRS_MAX);
	ctx = mem_zalloc(sizeof *ctx);
	if (ctx == NULL || tls_pairs_new(pairs, n, &ctx->files) != 0) {
		mem_free(ctx);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	pthread_mutex_init(&ctx->lock, NULL);
	if ((r = tls_pairs_read(ctx->files, e)) != 0 ||
	    (r = gen_new_server(ctx, &ctx->cur, e)) != 0) {
		tls_server_free(ctx);
		return r;
	}
	*out = ctx;
	return 0;
}

void
tls_server_free(struct tls_server_ctx *ctx)
{
	if (ctx == NULL)
		return;
	tls_generation_drop(ctx->cur);
	tls_pairs_free(ctx->files);
	pthread_mutex_destroy(&ctx->lock);
	mem_free(ctx);
}

struct tls_generation *
tls_generation_server(struct tls_server_ctx *ctx)
{
	struct tls_generation *g;

	pthread_mutex_lock(&ctx->lock);
	g = tls_generation_ref(ctx->cur);
	pthread_mutex_unlock(&ctx->lock);
	return g;
}

bool
tls_server_changed(struct tls_server_ctx *ctx)
{
	return ctx->stale || tls_pairs_changed(ctx->files);
}

int
tls_server_reload(struct tls_server_ctx *ctx, struct errtext *e)
{
	int r = tls_pairs_read(ctx->files, e), made;
	struct tls_generation *fresh, *old;
	struct errtext why = { "" };

	made = gen_new_server(ctx, &fresh, &why);
	ctx->stale = made == ERR_NOMEM;
	if (made != 0)
		return r != 0 ? r : err_set(e, made, "%s", why.s);
	pthread_mutex_lock(&ctx->lock);
	old = ctx->cur;
	ctx->cur = fresh;
	pthread_mutex_unlock(&ctx->lock);
	tls_generation_drop(old);
	return r;
}

/* ---- client ---- */

static int
add_pin(struct tls_generation *g, const char *s, size_t n, struct errtext *e)
{
	static const char prefix[] = "sha256//";
	const size_t skip = sizeof prefix - 1;
	uint8_t *pin = g->pins[g->n_pins];

	if (g->n_pins == TLS_PINS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d pins", TLS_PINS_MAX);
	if (n < skip || strncmp(s, prefix, skip) != 0 ||
	    b64_decode(pin, HASH_SHA256_LEN, s + skip, n - skip, B64_STD) != HASH_SHA256_LEN)
		return err_set(e, ERR_INVALID,
		    "pin %.*s: not sha256// and the base64 form of a SHA-256 hash",
		    n < 80 ? (int)n : 80, s);
	g->n_pins++;
	return 0;
}

static int
read_pins(struct tls_generation *g, const char *s, struct errtext *e)
{
	int r = 0;

	while (r == 0 && s != NULL) {
		const char *end = strchrnul(s, ';');

		r = add_pin(g, s, (size_t)(end - s), e);
		s = *end != '\0' ? end + 1 : NULL;
	}
	return r;
}

static int
read_system_roots(struct tls_generation *g, struct errtext *e)
{
	const char *path = getenv("SSL_CERT_FILE");
	struct errtext why;
	int r;

	if (path == NULL || path[0] == '\0')
		path = TLS_SYSTEM_CA;
	r = tls_pairs_read_certs(path, &g->roots, true, &why);
	if (r != 0)
		return err_set(e, r,
		    "no authorities to check certificates with: %s; "
		    "install ca-certificates, or give --ca FILE or --pin sha256//...",
		    why.s);
	return 0;
}

static int
gen_new_client(const struct tls_client_opts *opts, struct tls_generation **out, struct errtext *e)
{
	struct tls_generation *g = tls_generation_new();
	int r;

	if (g == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	g->pin_suffices = opts->ca_file == NULL;
	if ((r = tls_generation_configure(g, MBEDTLS_SSL_IS_CLIENT, e)) != 0 ||
	    (r = read_pins(g, opts->pins, e)) != 0)
		goto fail;
	if (opts->ca_file != NULL)
		r = tls_pairs_read_certs(opts->ca_file, &g->roots, false, e);
	else if (g->n_pins == 0)
		r = read_system_roots(g, e);
	if (r != 0)
		goto fail;
	mbedtls_ssl_conf_authmode(&g->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_ca_chain(&g->conf, &g->roots, NULL);
	*out = g;
	return 0;
fail:
	tls_generation_drop(g);
	return r;
}

int
tls_client_new(const struct tls_client_opts *opts, struct tls_client_ctx **out, struct errtext *e)
{
	struct tls_client_ctx *ctx = mem_zalloc(sizeof *ctx);
	int r;

	if (ctx == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	if ((r = gen_new_client(opts, &ctx->gen, e)) != 0) {
		mem_free(ctx);
		return r;
	}
	*out = ctx;
	return 0;
}

void
tls_client_free(struct tls_client_ctx *ctx)
{
	if (ctx == NULL)
		return;
	tls_generation_drop(ctx->gen);
	mem_free(ctx);
}

struct tls_generation *
tls_generation_client(struct tls_client_ctx *ctx)
{
	return tls_generation_ref(ctx->gen);
}
