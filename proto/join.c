/* SPDX-License-Identifier: ISC */
/* join - the word that keygen --join makes. */
#include "proto/join.h"

#include <string.h>

#include "lib/base/b64.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/net/url.h"

enum {
	SUM_LEN = 4,
	SCALAR_AT = KEYS_POINT_LEN,
	SUM_AT = SCALAR_AT + KEYS_SCALAR_LEN,
	URL_AT = SUM_AT + SUM_LEN,
	RAW_MAX = URL_AT + JOIN_URL_MAX,
	TEXT_MAX = sizeof(JOIN_PREFIX) + B64_ENC_LEN(RAW_MAX),
};

/* Of n bytes, as if there were none where the sum stands. */
static int
sum_of(const uint8_t *raw, size_t n, uint8_t sum[SUM_LEN])
{
	uint8_t digest[HASH_SHA256_LEN], copy[RAW_MAX];
	int r;

	memcpy(copy, raw, n);
	memset(copy + SUM_AT, 0, SUM_LEN);
	r = hash_sha256(copy, n, digest);
	mem_wipe(copy, sizeof copy);
	memcpy(sum, digest, SUM_LEN);
	return r;
}

static int
check_url(const char *text, struct errtext *e)
{
	struct url u;

	return url_parse(text, URL_WS | URL_WSS, "relay URL", &u, e);
}

int
join_make(const char *url, const uint8_t relay[KEYS_POINT_LEN], const struct secret *key,
    struct secret **out, struct errtext *e)
{
	char text[TEXT_MAX] = JOIN_PREFIX;
	size_t prefix = strlen(JOIN_PREFIX), n = strlen(url);
	uint8_t raw[RAW_MAX];
	ssize_t len;
	int r;

	if (n > JOIN_URL_MAX)
		return err_set(
		    e, ERR_INVALID, "the URL is longer than %d characters", JOIN_URL_MAX);
	if ((r = check_url(url, e)) != 0)
		return r;
	memcpy(raw, relay, KEYS_POINT_LEN);
	memcpy(raw + URL_AT, url, n);
	*out = NULL;
	if ((r = keys_scalar(key, raw + SCALAR_AT, e)) == 0 &&
	    (r = sum_of(raw, URL_AT + n, raw + SUM_AT)) == 0) {
		len = b64_encode(text + prefix, sizeof text - prefix, raw, URL_AT + n, B64_URL);
		if (len > 0)
			*out = secret_new(text, prefix + (size_t)len);
		if (*out == NULL)
			r = err_set(e, ERR_NOMEM, "out of memory");
	}
	mem_wipe(raw, sizeof raw);
	mem_wipe(text, sizeof text);
	return r;
}

/* What was decoded; its own text is what is checked, as if each part had been given alone. */
static int
take_parts(const uint8_t *raw, size_t n, struct join *j, struct errtext *e)
{
	char pub[KEYS_PUB_TEXT_LEN + 1];
	uint8_t sum[SUM_LEN];
	int r;

	if ((r = sum_of(raw, n, sum)) != 0)
		return err_set(e, r, "out of memory");
	if (memcmp(sum, raw + SUM_AT, SUM_LEN) != 0 || memchr(raw + URL_AT, 0, n - URL_AT) != NULL)
		return err_set(e, ERR_INVALID, "this join string is damaged");
	memcpy(j->url, raw + URL_AT, n - URL_AT);
	keys_point_text(raw, pub);
	if ((r = check_url(j->url, e)) != 0 || (r = keys_point(pub, strlen(pub), j->relay, e)) != 0)
		return r;
	if ((j->key = keys_scalar_text(raw + SCALAR_AT)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	return keys_public(j->key, pub, e);
}

int
join_parse(const char *text, size_t n, struct join *j, struct errtext *e)
{
	size_t prefix = strlen(JOIN_PREFIX);
	uint8_t raw[RAW_MAX];
	ssize_t len;
	int r;

	memset(j, 0, sizeof *j);
	if (n < prefix || memcmp(text, JOIN_PREFIX, prefix) != 0)
		return err_set(
		    e, ERR_INVALID, "this is no join string: one begins with " JOIN_PREFIX);
	len = b64_decode(raw, sizeof raw, text + prefix, n - prefix, B64_URL);
	r = len <= URL_AT ? err_set(e, ERR_INVALID,
				"this join string is damaged: cut off, or with an extra character")
			  : take_parts(raw, (size_t)len, j, e);
	mem_wipe(raw, sizeof raw);
	return r;
}

void
join_fini(struct join *j)
{
	secret_free(j->key);
	mem_wipe(j, sizeof *j);
}
