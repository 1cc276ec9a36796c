/* SPDX-License-Identifier: ISC */
/*
 * tls_verify - judge a certificate chain by authorities, pins, name and dates.
 *
 * mbedTLS shows each certificate with what it found wrong, the issuer's end first and the server's
 * own (depth 0) last.  All verdicts are kept back until that one, because a pin can make up for an
 * unknown issuer.
 */
#include "lib/tls/tls_verify.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>

#include "lib/base/b64.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { NAMES_SHOWN = 4, NAME_TEXT = 64 };

struct tls_verify {
	const struct tls_generation *gen;
	char host[TLS_HOST_MAX + 1];
	uint8_t ip[16];
	/* 0: host is a name. */
	size_t ip_len;
	/* MBEDTLS_X509_BADCERT_* of the decision. */
	uint32_t flags;
	/* Whose decision it is. */
	const mbedtls_ssl_context *ssl;
	bool pin_mismatch;
	bool self_signed;
	/* Who signed the last certificate of the chain. */
	char issuer[NAME_TEXT * 2];
	/* Whom the certificate is for. */
	char names[NAMES_SHOWN * (NAME_TEXT + 2) + 8];
	char pin[8 + B64_ENC_LEN(HASH_SHA256_LEN) + 1];
	/* The limit that is passed, or not reached yet. */
	char date[32];
};

/* ---- what the certificate says ---- */

static void
keep_issuer(struct tls_verify *v, const mbedtls_x509_crt *crt)
{
	char dn[256];
	int n;

	for (const mbedtls_x509_name *a = &crt->issuer; a != NULL; a = a->next)
		if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &a->oid) == 0) {
			str_escape(v->issuer, sizeof v->issuer, a->val.p, a->val.len);
			return;
		}
	n = mbedtls_x509_dn_gets(dn, sizeof dn, &crt->issuer);
	str_escape(v->issuer, sizeof v->issuer, dn, n > 0 ? (size_t)n : 0);
}

static void
keep_date(struct tls_verify *v, const mbedtls_x509_time *t)
{
	snprintf(v->date, sizeof v->date, "%04d-%02d-%02d %02d:%02d UTC", t->year % 10000,
	    t->mon % 100, t->day % 100, t->hour % 100, t->min % 100);
}

static void
add_name(struct tls_verify *v, unsigned *n, const char *text)
{
	size_t len = strlen(v->names);

	if (*n == NAMES_SHOWN)
		snprintf(v->names + len, sizeof v->names - len, ", ...");
	else if (*n < NAMES_SHOWN)
		snprintf(v->names + len, sizeof v->names - len, "%s%s", len > 0 ? ", " : "", text);
	(*n)++;
}

static void
add_san(struct tls_verify *v, unsigned *n, const mbedtls_x509_buf *b)
{
	int type = b->tag & MBEDTLS_ASN1_TAG_VALUE_MASK;
	char text[NAME_TEXT];

	if (type == MBEDTLS_X509_SAN_DNS_NAME)
		str_escape(text, sizeof text, b->p, b->len);
	else if (type != MBEDTLS_X509_SAN_IP_ADDRESS || (b->len != 4 && b->len != 16))
		return;
	else if (inet_ntop(b->len == 4 ? AF_INET : AF_INET6, b->p, text, sizeof text) == NULL)
		return;
	add_name(v, n, text);
}

static void
keep_names(struct tls_verify *v, const mbedtls_x509_crt *crt)
{
	char text[NAME_TEXT];
	unsigned n = 0;

	if (mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME)) {
		for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s != NULL;
		     s = s->next)
			add_san(v, &n, &s->buf);
		return;
	}
	for (const mbedtls_x509_name *a = &crt->subject; a != NULL; a = a->next)
		if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &a->oid) == 0)
			add_name(v, &n, str_escape(text, sizeof text, a->val.p, a->val.len));
}

/* ---- the decision ---- */

/*
 * mbedTLS would send an address as a server name, which RFC 6066 3 forbids; so addresses are
 * compared here.
 */
static bool
has_address(const struct tls_verify *v, const mbedtls_x509_crt *crt)
{
	if (!mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME))
		return false;
	for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s != NULL; s = s->next)
		if ((s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
		    s->buf.len == v->ip_len && memcmp(s->buf.p, v->ip, v->ip_len) == 0)
			return true;
	return false;
}

static bool
has_pin(struct tls_verify *v, const mbedtls_x509_crt *crt)
{
	uint8_t hash[HASH_SHA256_LEN];
	bool found = false;

	if (hash_sha256(crt->pk_raw.p, crt->pk_raw.len, hash) != 0)
		return false;
	memcpy(v->pin, "sha256//", 8);
	IGNORE_RESULT(
	    b64_encode(v->pin + 8, sizeof v->pin - 8, hash, sizeof hash, B64_STD)); /* it fits */
	for (size_t i = 0; i < v->gen->n_pins; i++)
		if (hash_equal(hash, v->gen->pins[i], sizeof hash))
			found = true;
	return found;
}

static void
decide(struct tls_verify *v, const mbedtls_x509_crt *own, uint32_t own_flags)
{
	bool pinned = has_pin(v, own);

	v->flags |= own_flags;
	if (pinned && v->gen->pin_suffices)
		v->flags = own_flags & ~(uint32_t)MBEDTLS_X509_BADCERT_NOT_TRUSTED;
	if (v->gen->n_pins > 0 && !pinned) {
		v->pin_mismatch = true;
		v->flags |= MBEDTLS_X509_BADCERT_OTHER;
	}
	if (v->ip_len > 0 && !has_address(v, own))
		v->flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
	if (v->flags & MBEDTLS_X509_BADCERT_CN_MISMATCH)
		keep_names(v, own);
}

static int
on_certificate(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
	struct tls_verify *v = arg;

	if (v->issuer[0] == '\0') {
		keep_issuer(v, crt);
		/* A peer may send a list without a certificate: mbedTLS then shows an empty one. */
		v->self_signed =
		    depth == 0 && crt->issuer_raw.len > 0 &&
		    crt->issuer_raw.len == crt->subject_raw.len &&
		    memcmp(crt->issuer_raw.p, crt->subject_raw.p, crt->issuer_raw.len) == 0;
	}
	if (*flags & MBEDTLS_X509_BADCERT_EXPIRED)
		keep_date(v, &crt->valid_to);
	else if (*flags & MBEDTLS_X509_BADCERT_FUTURE)
		keep_date(v, &crt->valid_from);
	if (depth > 0) {
		v->flags |= *flags;
		*flags = 0;
		return 0;
	}
	decide(v, crt, *flags);
	*flags = v->flags;
	return 0;
}

/*
 * An address without the interface that may be named behind it, which no certificate holds (RFC
 * 4007 11).
 */
static size_t
parse_address(const char *host, uint8_t ip[16])
{
	char text[INET6_ADDRSTRLEN];
	size_t n = strcspn(host, "%");

	if (inet_pton(AF_INET, host, ip) == 1)
		return 4;
	if (n >= sizeof text)
		return 0;
	memcpy(text, host, n);
	text[n] = '\0';
	return inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
}

struct tls_verify *
tls_verify_new(mbedtls_ssl_context *ssl, const struct tls_generation *g, const char *host)
{
	struct tls_verify *v = mem_zalloc(sizeof *v);
	size_t len = strlen(host);

	if (v == NULL || len > TLS_HOST_MAX)
		goto fail;
	v->gen = g;
	/* RFC 6066 3: the dot that ends an absolute name is not sent, and no certificate has it. */
	if (len > 1 && host[len - 1] == '.')
		len--;
	v->ssl = ssl;
	memcpy(v->host, host, len);
	v->ip_len = parse_address(v->host, v->ip);
	if (mbedtls_ssl_set_hostname(ssl, v->ip_len > 0 ? NULL : v->host) != 0)
		goto fail;
	mbedtls_ssl_set_verify(ssl, on_certificate, v);
	return v;
fail:
	mem_free(v);
	return NULL;
}

void
tls_verify_free(struct tls_verify *v)
{
	mem_free(v);
}

/* ---- the sentence ---- */

static void
explain_trust(const struct tls_verify *v, struct errtext *e)
{
	if (v->self_signed)
		err_set(e, ERR_TLS,
		    "certificate of %s is self-signed; if it is the right one, add --ca FILE with "
		    "it or "
		    "--pin %s",
		    v->host, v->pin);
	else
		err_set(e, ERR_TLS,
		    "certificate of %s issued by \"%s\", which is not trusted; "
		    "add --ca FILE with that authority or --pin %s",
		    v->host, v->issuer, v->pin);
}

/* What a certificate may be used for is looked at by mbedTLS when on_certificate has been heard. */
static bool
is_for_servers(const struct tls_verify *v)
{
	uint32_t late = mbedtls_ssl_get_verify_result(v->ssl);

	/* All bits: there is no result. */
	return late == UINT32_MAX ||
	       (late & (MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE)) == 0;
}

bool
tls_verify_explain(const struct tls_verify *v, struct errtext *e)
{
	bool for_servers = is_for_servers(v);

	if (v->flags == 0 && for_servers)
		return false;
	/* The most telling reason first: with a wrong key or name the rest says little. */
	if (v->pin_mismatch)
		err_set(e, ERR_TLS, "certificate of %s has another key than --pin says: %s",
		    v->host, v->pin);
	else if (v->flags & MBEDTLS_X509_BADCERT_CN_MISMATCH)
		err_set(e, ERR_TLS, "certificate of %s is for %s", v->host,
		    v->names[0] != '\0' ? v->names : "no host at all");
	else if (v->flags & MBEDTLS_X509_BADCERT_EXPIRED)
		err_set(e, ERR_TLS, "certificate of %s expired on %s", v->host, v->date);
	else if (v->flags & MBEDTLS_X509_BADCERT_FUTURE)
		err_set(e, ERR_TLS,
		    "certificate of %s is not valid before %s; is the clock of this machine right?",
		    v->host, v->date);
	else if (v->flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
		explain_trust(v, e);
	else if (!for_servers)
		err_set(e, ERR_TLS,
		    "certificate of %s issued by \"%s\" is not meant for a server (its key usage)",
		    v->host, v->issuer);
	else
		err_set(e, ERR_TLS,
		    "certificate of %s issued by \"%s\" has a weak key or signature or is for "
		    "another use "
		    "(reason 0x%x)",
		    v->host, v->issuer, (unsigned)v->flags);
	return true;
}
