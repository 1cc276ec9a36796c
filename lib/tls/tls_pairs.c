/* SPDX-License-Identifier: ISC */
/* tls_pairs - a server's certificates and keys, read from files and directories. */
#include "lib/tls/tls_pairs.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/ssl.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"

/* ---- one pair ---- */

int
tls_pairs_fail(struct errtext *e, int ret, const char *what, const char *name)
{
	char words[128];

	if (ret == MBEDTLS_ERR_SSL_ALLOC_FAILED || ret == MBEDTLS_ERR_X509_ALLOC_FAILED ||
	    ret == MBEDTLS_ERR_PK_ALLOC_FAILED)
		return err_set(e, ERR_NOMEM, "%s: out of memory", name);
	mbedtls_strerror(ret, words, sizeof words);
	return err_set(e, ERR_INVALID, "%s: %s: %s", name, what, words);
}

int
tls_pairs_read_certs(const char *path, mbedtls_x509_crt *chain, bool lax, struct errtext *e)
{
	char *pem = NULL;
	size_t len = 0;
	int ret, r;

	if ((r = file_read_all(path, TLS_FILE_MAX, &pem, &len, e)) != 0)
		return r;
	ret = mbedtls_x509_crt_parse(chain, (const unsigned char *)pem, len + 1);
	mem_free(pem);
	if (ret < 0 || (ret > 0 && !lax))
		return ret > 0 ? err_set(e, ERR_INVALID,
				     "%s: %d of its certificates cannot be read", path, ret)
			       : tls_pairs_fail(e, ret, "no certificate in PEM form", path);
	return 0;
}

static int
read_key(const char *path, mbedtls_pk_context *key, struct errtext *e)
{
	char *pem = NULL;
	size_t len = 0;
	int ret, r;

	if ((r = file_read_all(path, TLS_FILE_MAX, &pem, &len, e)) != 0)
		return r;
	ret = mbedtls_pk_parse_key(
	    key, (const unsigned char *)pem, len + 1, NULL, 0, rand_callback, NULL);
	mem_wipe(pem, len);
	mem_free(pem);
	if (ret == MBEDTLS_ERR_PK_PASSWORD_REQUIRED)
		return err_set(
		    e, ERR_INVALID, "%s: the key is encrypted; give one without a password", path);
	return ret == 0 ? 0 : tls_pairs_fail(e, ret, "no private key in PEM form", path);
}

/* A server signs its handshake.  mbedTLS never shows a certificate that forbids this. */
static bool
is_for_servers(const mbedtls_x509_crt *crt)
{
	return mbedtls_x509_crt_check_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) == 0 &&
	       mbedtls_x509_crt_check_extended_key_usage(
		   crt, MBEDTLS_OID_SERVER_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) == 0;
}

static int
read_pair(const char *cert, const char *key, struct tls_loaded *p, struct errtext *e)
{
	int r;

	if ((r = tls_pairs_read_certs(cert, &p->chain, false, e)) != 0 ||
	    (r = read_key(key, &p->key, e)) != 0)
		return r;
	if (mbedtls_pk_check_pair(&p->chain.pk, &p->key, rand_callback, NULL) != 0)
		return err_set(e, ERR_INVALID,
		    "%s: the key does not belong to the first certificate of %s", key, cert);
	if (!is_for_servers(&p->chain))
		return err_set(e, ERR_INVALID,
		    "%s: this certificate is not meant for a server: its key usage must allow "
		    "server authentication and digital signatures",
		    cert);
	return 0;
}

struct tls_loaded *
tls_loaded_new(void)
{
	struct tls_loaded *p = mem_zalloc(sizeof *p);

	if (p == NULL)
		return NULL;
	atomic_init(&p->refs, 1);
	mbedtls_x509_crt_init(&p->chain);
	mbedtls_pk_init(&p->key);
	return p;
}

struct tls_loaded *
tls_loaded_ref(struct tls_loaded *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void
tls_loaded_unref(struct tls_loaded *p)
{
	if (p == NULL || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	mbedtls_x509_crt_free(&p->chain);
	mbedtls_pk_free(&p->key);
	mem_free(p);
}

/* ---- which files ---- */

/* Pairs under way; room for cap of them. */
struct list {
	struct tls_pair_files *v;
	size_t n, cap;
};

static void
list_fini(struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		mem_free(l->v[i].cert);
		mem_free(l->v[i].key);
		tls_loaded_unref(l->v[i].loaded);
	}
	mem_free(l->v);
	*l = (struct list){ 0 };
}

static int
list_add(struct list *l, const char *cert, const char *key, struct errtext *e)
{
	struct tls_pair_files *v = l->v, *f;
	size_t cap = l->cap == 0 ? 8 : 2 * l->cap;

	if (l->n == TLS_PAIRS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d certificates", TLS_PAIRS_MAX);
	if (l->n == l->cap) {
		if ((v = mem_resize(l->v, cap, sizeof *v)) == NULL)
			return err_set(e, ERR_NOMEM, "out of memory");
		l->v = v;
		l->cap = cap;
	}
	f = &v[l->n++];
	*f = (struct tls_pair_files){ .cert = mem_strdup(cert), .key = mem_strdup(key) };
	return f->cert != NULL && f->key != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* DIR/NAME.crt with DIR/NAME.key (lego), or DIR/NAME/ with certbot's names. */
static int
add_entry(struct list *l, const char *dir, const char *name, struct errtext *e)
{
	static const char crt[] = ".crt";
	size_t n = strlen(name), stem = n > strlen(crt) ? n - strlen(crt) : 0;
	char cert[PATH_MAX], key[PATH_MAX];
	bool is_file = stem > 0 && strcmp(name + stem, crt) == 0;
	int a, b;

	if (is_file) {
		a = snprintf(cert, sizeof cert, "%s/%s", dir, name);
		b = snprintf(key, sizeof key, "%s/%.*s.key", dir, (int)stem, name);
	} else {
		a = snprintf(cert, sizeof cert, "%s/%s/fullchain.pem", dir, name);
		b = snprintf(key, sizeof key, "%s/%s/privkey.pem", dir, name);
	}
	if (a < 0 || b < 0 || (size_t)a >= sizeof cert || (size_t)b >= sizeof key)
		return err_set(e, ERR_INVALID, "%s/%s: the path is too long", dir, name);
	if (access(cert, F_OK) != 0 || access(key, F_OK) != 0)
		return 0;
	return list_add(l, cert, key, e);
}

static int
by_name(const void *a, const void *b)
{
	const struct tls_pair_files *x = a, *y = b;

	return strcmp(x->cert, y->cert);
}

/* All pairs of a directory, in the order of their names. */
static int
add_dir(struct list *l, const char *path, struct errtext *e)
{
	DIR *d = opendir(path);
	size_t from = l->n;
	struct dirent *at;
	int r = 0;

	if (d == NULL)
		return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_INVALID,
		    "%s: no directory that can be read: %s", path, err_str(ERR_SYS));
	while (r == 0 && (at = readdir(d)) != NULL)
		if (at->d_name[0] != '.')
			r = add_entry(l, path, at->d_name, e);
	closedir(d);
	if (l->n > from)
		qsort(l->v + from, l->n - from, sizeof *l->v, by_name);
	return r;
}

static int
list_all(const struct tls_pairs *t, struct list *l, struct errtext *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n_given; i++)
		r = t->given[i].key_file == NULL
			? add_dir(l, t->given[i].cert_file, e)
			: list_add(l, t->given[i].cert_file, t->given[i].key_file, e);
	return r;
}

/* ---- reading ---- */

static bool
is_same(const struct tls_pair_files *a, const struct tls_pair_files *b)
{
	return strcmp(a->cert, b->cert) == 0 && strcmp(a->key, b->key) == 0;
}

/* The same pair of the last time; NULL: it is new.  *at is where the one before it was. */
static const struct tls_pair_files *
find_old(const struct tls_pairs *t, const struct tls_pair_files *f, size_t *at)
{
	/* Both lists are in the same order, but for those that came or went. */
	for (size_t i = 0; i < t->n; i++) {
		size_t k = (*at + i) % t->n;

		if (!is_same(&t->v[k], f))
			continue;
		*at = k + 1;
		return &t->v[k];
	}
	return NULL;
}

static void
take_stamps(struct tls_pair_files *f)
{
	file_stamp_take(&f->cert_stamp, f->cert);
	file_stamp_take(&f->key_stamp, f->key);
}

static bool
has_changed(const struct tls_pair_files *f)
{
	struct file_stamp cert, key;

	file_stamp_take(&cert, f->cert);
	file_stamp_take(&key, f->key);
	return !file_stamp_same(&cert, &f->cert_stamp) || !file_stamp_same(&key, &f->key_stamp);
}

/* old: NULL if it is new. */
static int
read_one(struct tls_pair_files *f, const struct tls_pair_files *old, struct errtext *e)
{
	struct tls_loaded *p;
	int r;

	/* Before they are read: a change while they are read is seen at the next look. */
	take_stamps(f);
	if (old != NULL && !old->broken && file_stamp_same(&old->cert_stamp, &f->cert_stamp) &&
	    file_stamp_same(&old->key_stamp, &f->key_stamp)) {
		f->loaded = tls_loaded_ref(old->loaded);
		return 0;
	}
	p = tls_loaded_new();
	r = p != NULL ? read_pair(f->cert, f->key, p, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (r == 0) {
		f->loaded = p;
		return 0;
	}
	tls_loaded_unref(p);
	f->broken = true;
	/* Memory comes back without a change of the files. */
	if (r == ERR_NOMEM)
		f->cert_stamp = (struct file_stamp){ 0 };
	if (old != NULL && old->loaded != NULL)
		f->loaded = tls_loaded_ref(old->loaded);
	return r;
}

int
tls_pairs_read(struct tls_pairs *t, struct errtext *e)
{
	struct errtext why = { "" };
	struct list fresh = { 0 }, old;
	size_t at = 0;
	int first = 0, r;

	r = list_all(t, &fresh, e);
	t->unlisted = r != 0;
	if (r != 0) {
		list_fini(&fresh);
		return r;
	}
	for (size_t i = 0; i < fresh.n; i++) {
		r = read_one(&fresh.v[i], find_old(t, &fresh.v[i], &at), &why);
		if (r != 0 && first == 0)
			first = err_set(e, r, "%s", why.s);
	}
	old = (struct list){ t->v, t->n, t->n };
	t->v = fresh.v;
	t->n = fresh.n;
	list_fini(&old);
	return first;
}

bool
tls_pairs_changed(const struct tls_pairs *t)
{
	struct list now = { 0 };
	struct errtext why = { "" };
	bool changed;

	if (list_all(t, &now, &why) != 0) {
		list_fini(&now);
		return !t->unlisted; /* so that it is told once */
	}
	changed = now.n != t->n || t->unlisted;
	for (size_t i = 0; !changed && i < now.n; i++)
		changed = !is_same(&now.v[i], &t->v[i]) || has_changed(&t->v[i]);
	list_fini(&now);
	return changed;
}

/* ---- life ---- */

int
tls_pairs_new(const struct tls_pair *given, size_t n, struct tls_pairs **out)
{
	struct tls_pairs *t = mem_zalloc(sizeof *t);
	bool whole;

	if (t == NULL || (t->given = mem_array(n, sizeof *t->given)) == NULL) {
		mem_free(t);
		return ERR_NOMEM;
	}
	for (whole = true; whole && t->n_given < n; t->n_given++) {
		const struct tls_pair *from = &given[t->n_given];
		struct tls_pair *to = &t->given[t->n_given];

		to->cert_file = mem_strdup(from->cert_file);
		to->key_file = from->key_file != NULL ? mem_strdup(from->key_file) : NULL;
		whole = to->cert_file != NULL && (to->key_file != NULL) == (from->key_file != NULL);
	}
	if (!whole) {
		tls_pairs_free(t);
		return ERR_NOMEM;
	}
	*out = t;
	return 0;
}

void
tls_pairs_free(struct tls_pairs *t)
{
	struct list l;

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_given; i++) {
		mem_free((char *)(uintptr_t)t->given[i].cert_file);
		mem_free((char *)(uintptr_t)t->given[i].key_file);
	}
	mem_free(t->given);
	l = (struct list){ t->v, t->n, t->n };
	list_fini(&l);
	mem_free(t);
}
