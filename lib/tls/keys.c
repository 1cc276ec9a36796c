/* SPDX-License-Identifier: ISC */
/*
 * keys - P-256 key pairs as one-line strings.
 */
#include "lib/tls/keys.h"

#include <string.h>

#include <mbedtls/bignum.h>
#include <mbedtls/ecp.h>

#include "lib/base/b64.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

/* What every function here needs of the curve's arithmetic. */
struct work {
	mbedtls_ecp_group group;
	/* Private: wiped by work_fini(). */
	mbedtls_mpi d;
	/* Public. */
	mbedtls_ecp_point q;
};

static int
work_init(struct work *w)
{
	mbedtls_ecp_group_init(&w->group);
	mbedtls_mpi_init(&w->d);
	mbedtls_ecp_point_init(&w->q);
	return mbedtls_ecp_group_load(&w->group, MBEDTLS_ECP_DP_SECP256R1) == 0 ? 0 : ERR_NOMEM;
}

static void
work_fini(struct work *w)
{
	mbedtls_ecp_point_free(&w->q);
	mbedtls_mpi_free(&w->d);
	mbedtls_ecp_group_free(&w->group);
}

/* The library's memory failures, as against its verdict on what it was given. */
static bool
is_nomem(int mbed)
{
	return mbed == MBEDTLS_ERR_MPI_ALLOC_FAILED || mbed == MBEDTLS_ERR_ECP_ALLOC_FAILED;
}

struct secret *
keys_scalar_text(const uint8_t scalar[KEYS_SCALAR_LEN])
{
	char text[KEYS_PRIV_TEXT_LEN + 1] = KEYS_PRIV_PREFIX;
	size_t prefix = strlen(KEYS_PRIV_PREFIX);
	struct secret *s = NULL;

	if (b64_encode(text + prefix, sizeof(text) - prefix, scalar, KEYS_SCALAR_LEN, B64_URL) > 0)
		s = secret_new(text, sizeof(text) - 1);
	mem_wipe(text, sizeof(text));
	return s;
}

struct secret *
keys_generate(void)
{
	uint8_t scalar[KEYS_SCALAR_LEN];
	struct secret *s = NULL;
	struct work w;

	if (work_init(&w) == 0 &&
	    mbedtls_ecp_gen_privkey(&w.group, &w.d, rand_callback, NULL) == 0 &&
	    mbedtls_mpi_write_binary(&w.d, scalar, sizeof(scalar)) == 0)
		s = keys_scalar_text(scalar);
	mem_wipe(scalar, sizeof(scalar));
	work_fini(&w);
	return s;
}

/* The bytes behind the prefix. */
static int
unwrap(const char *text, size_t n, uint8_t scalar[KEYS_SCALAR_LEN], struct errtext *e)
{
	size_t np = strlen(KEYS_PRIV_PREFIX);
	uint8_t raw[64];
	int r = 0;

	if (n < np || memcmp(text, KEYS_PRIV_PREFIX, np) != 0)
		return err_set(
		    e, ERR_INVALID, "this is no private key: one begins with " KEYS_PRIV_PREFIX);
	if (b64_decode(raw, sizeof(raw), text + np, n - np, B64_URL) != KEYS_SCALAR_LEN)
		r = err_set(e, ERR_INVALID,
		    "this private key is damaged: cut off, or with an extra character");
	else
		memcpy(scalar, raw, KEYS_SCALAR_LEN);
	mem_wipe(raw, sizeof(raw));
	return r;
}

/* The scalar of a private text into w->d, checked. */
static int
load_priv(struct work *w, const char *text, size_t n, struct errtext *e)
{
	uint8_t scalar[KEYS_SCALAR_LEN];
	int r, mbed;

	if ((r = unwrap(text, n, scalar, e)) != 0)
		return r;
	if ((mbed = mbedtls_mpi_read_binary(&w->d, scalar, sizeof(scalar))) == 0)
		mbed = mbedtls_ecp_check_privkey(&w->group, &w->d);
	mem_wipe(scalar, sizeof(scalar));
	if (mbed == 0)
		return 0;
	if (is_nomem(mbed))
		return err_set(e, ERR_NOMEM, "out of memory");
	return err_set(e, ERR_INVALID, "this private key is damaged: its number is out of range");
}

int
keys_scalar(const struct secret *priv, uint8_t scalar[KEYS_SCALAR_LEN], struct errtext *e)
{
	struct work w;
	int r;

	if ((r = work_init(&w)) != 0)
		err_set(e, r, "out of memory");
	else if ((r = load_priv(&w, secret_bytes(priv), secret_len(priv), e)) == 0 &&
		 mbedtls_mpi_write_binary(&w.d, scalar, KEYS_SCALAR_LEN) != 0)
		r = err_set(e, ERR_NOMEM, "out of memory");
	work_fini(&w);
	return r;
}

void
keys_point_text(const uint8_t point[KEYS_POINT_LEN], char pub[KEYS_PUB_TEXT_LEN + 1])
{
	size_t prefix = strlen(KEYS_PUB_PREFIX);

	memcpy(pub, KEYS_PUB_PREFIX, prefix);
	IGNORE_RESULT(b64_encode(pub + prefix, KEYS_PUB_TEXT_LEN + 1 - prefix, point,
	    KEYS_POINT_LEN, B64_URL)); /* it fits */
}

int
keys_public(const struct secret *priv, char pub[KEYS_PUB_TEXT_LEN + 1], struct errtext *e)
{
	size_t len = 0;
	uint8_t point[KEYS_POINT_LEN];
	struct work w;
	int r;

	if ((r = work_init(&w)) != 0)
		err_set(e, r, "out of memory");
	else
		r = load_priv(&w, secret_bytes(priv), secret_len(priv), e);
	/* Random bytes blind the multiplication against timing; mbedTLS asks for them. */
	if (r == 0 &&
	    (mbedtls_ecp_mul(&w.group, &w.q, &w.d, &w.group.G, rand_callback, NULL) != 0 ||
		mbedtls_ecp_point_write_binary(
		    &w.group, &w.q, MBEDTLS_ECP_PF_COMPRESSED, &len, point, sizeof(point)) != 0))
		r = err_set(e, ERR_NOMEM, "cannot compute the public key: out of memory");
	if (r == 0)
		keys_point_text(point, pub);
	work_fini(&w);
	return r;
}

int
keys_point(const char *text, size_t n, uint8_t point[KEYS_POINT_LEN], struct errtext *e)
{
	size_t np = strlen(KEYS_PUB_PREFIX);
	uint8_t raw[64];
	struct work w;
	int mbed;

	if (n < np || memcmp(text, KEYS_PUB_PREFIX, np) != 0)
		return err_set(
		    e, ERR_INVALID, "this is no public key: one begins with " KEYS_PUB_PREFIX);
	if (b64_decode(raw, sizeof(raw), text + np, n - np, B64_URL) != KEYS_POINT_LEN)
		return err_set(e, ERR_INVALID,
		    "this public key is damaged: cut off, or with an extra character");
	if ((mbed = work_init(&w)) == 0 &&
	    (mbed = mbedtls_ecp_point_read_binary(&w.group, &w.q, raw, KEYS_POINT_LEN)) == 0)
		mbed = mbedtls_ecp_check_pubkey(&w.group, &w.q);
	work_fini(&w);
	if (mbed == ERR_NOMEM || is_nomem(mbed))
		return err_set(e, ERR_NOMEM, "out of memory");
	if (mbed != 0)
		return err_set(
		    e, ERR_INVALID, "this public key is damaged: it is no point of the curve");
	memcpy(point, raw, KEYS_POINT_LEN);
	return 0;
}

int
keys_list_add(struct keys_list *l, const char *text, size_t n, struct errtext *e)
{
	int r;

	if (l->n == KEYS_LIST_MAX)
		return err_set(e, ERR_LIMIT, "more than %d keys", KEYS_LIST_MAX);
	if ((r = keys_point(text, n, l->points[l->n], e)) == 0)
		l->n++;
	return r;
}

bool
keys_list_has(const struct keys_list *l, const uint8_t point[KEYS_POINT_LEN])
{
	bool found = false;

	for (size_t i = 0; i < l->n; i++)
		found |= hash_equal(l->points[i], point, KEYS_POINT_LEN);
	return found;
}
