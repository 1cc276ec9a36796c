/* SPDX-License-Identifier: ISC */
/* tls_names - the names of certificates in a hash table. */
#include "lib/tls/tls_names.h"

#include <ctype.h>
#include <string.h>
#include <mbedtls/oid.h>

/* What a key begins with, so that an address is never taken for a name of four letters. */
enum { KEY_NAME = 'n', KEY_ADDRESS = 'a' };

/* The key of a name or an address; 0: too long for one. */
static size_t
make_key(char key[1 + TLS_NAME_MAX], char kind, const char *p, size_t n)
{
	if (n > TLS_NAME_MAX)
		return 0;
	key[0] = kind;
	for (size_t i = 0; i < n; i++)
		key[1 + i] = kind == KEY_NAME ? (char)tolower((unsigned char)p[i]) : p[i];
	return 1 + n;
}

static struct tls_name *
find(const struct tls_names *t, const char *key, size_t len)
{
	struct tls_name *e;

	HASH_FIND(hh, t->first, key, len, e);
	return e;
}

/* ---- what a certificate is for ---- */

/* Call fn for each name and address until it says other than 0, and return that. */
static int
each_name(const mbedtls_x509_crt *crt,
    int (*fn)(void *arg, char kind, const mbedtls_x509_buf *name), void *arg)
{
	int r = 0;

	if (!mbedtls_x509_crt_has_ext_type(crt, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME)) {
		for (const mbedtls_x509_name *n = &crt->subject; n != NULL && r == 0; n = n->next)
			if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &n->oid) == 0)
				r = fn(arg, KEY_NAME, &n->val);
		return r;
	}
	for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s != NULL && r == 0;
	     s = s->next) {
		int type = s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK;

		if (type == MBEDTLS_X509_SAN_DNS_NAME)
			r = fn(arg, KEY_NAME, &s->buf);
		else if (type == MBEDTLS_X509_SAN_IP_ADDRESS)
			r = fn(arg, KEY_ADDRESS, &s->buf);
	}
	return r;
}

struct adding {
	struct tls_names *t;
	size_t cert;
};

static int
add_name(void *arg, char kind, const mbedtls_x509_buf *name)
{
	const struct adding *a = arg;
	char key[1 + TLS_NAME_MAX];
	size_t len = make_key(key, kind, (const char *)name->p, name->len);
	struct tls_name *last, *e;

	if (len == 0)
		return 0;
	last = find(a->t, key, len);
	while (last != NULL && last->next != NULL)
		last = last->next;
	if (last != NULL && last->cert == a->cert)
		return 0; /* it names this twice */
	if ((e = mem_zalloc(sizeof *e + len)) == NULL)
		return ERR_NOMEM;
	e->cert = a->cert;
	e->len = len;
	memcpy(e->key, key, len);
	if (last != NULL) {
		last->next = e;
		return 0;
	}
	HASH_ADD_KEYPTR(hh, a->t->first, e->key, e->len, e);
	if (hashtab_has(e))
		return 0;
	mem_free(e);
	return ERR_NOMEM;
}

int
tls_names_add(struct tls_names *t, size_t cert, const mbedtls_x509_crt *crt)
{
	return each_name(crt, add_name, &(struct adding){ t, cert });
}

void
tls_names_fini(struct tls_names *t)
{
	struct tls_name *e, *next_name, *next;

	HASH_ITER(hh, t->first, e, next_name)
	{
		HASH_DEL(t->first, e);
		for (; e != NULL; e = next) {
			next = e->next;
			mem_free(e);
		}
	}
}

/* ---- questions ---- */

struct tls_names_found
tls_names_find(const struct tls_names *t, const char *name, size_t n)
{
	const char *dot = memchr(name, '.', n);
	struct tls_names_found found = { 0 };
	char key[1 + TLS_NAME_MAX];
	size_t len = make_key(key, KEY_NAME, name, n), label;

	if (len == 0)
		return found;
	found.exact = find(t, key, len);
	if (dot == NULL || dot == name || dot == name + n - 1)
		return found;
	label = (size_t)(dot - name);
	key[label] = '*';
	key[label - 1] = KEY_NAME;
	found.wild = find(t, key + label - 1, len - label + 1);
	return found;
}

static bool
is_in(const struct tls_name *e, size_t cert)
{
	while (e != NULL && e->cert != cert)
		e = e->next;
	return e != NULL;
}

bool
tls_names_has(const struct tls_names_found *f, size_t cert)
{
	return is_in(f->exact, cert) || is_in(f->wild, cert);
}

struct asking {
	const struct tls_names *t;
	size_t cert;
};

static int
is_for(void *arg, char kind, const mbedtls_x509_buf *name)
{
	const struct asking *a = arg;
	char key[1 + TLS_NAME_MAX];
	struct tls_names_found found;
	size_t len;

	if (kind == KEY_NAME) {
		found = tls_names_find(a->t, (const char *)name->p, name->len);
		return tls_names_has(&found, a->cert);
	}
	len = make_key(key, kind, (const char *)name->p, name->len);
	return len > 0 && is_in(find(a->t, key, len), a->cert);
}

bool
tls_names_any(const struct tls_names *t, size_t cert, const mbedtls_x509_crt *crt)
{
	return each_name(crt, is_for, &(struct asking){ t, cert }) != 0;
}
