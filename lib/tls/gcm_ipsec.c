/* SPDX-License-Identifier: ISC */
/*
 * AES-GCM for mbedTLS by libipsec-mb: the functions of <mbedtls/gcm.h> when MBEDTLS_GCM_ALT is set,
 * with its arguments and errors (NIST SP 800-38D).
 *
 * libipsec-mb's "direct" functions are used: one call, one message, no job queue. Its manager
 * serves only to choose them for this processor; their addresses are copied into a table and the
 * manager is freed, so that what threads share is read-only. On a processor without AES-NI and
 * carry-less multiplication every call goes to mbedTLS's own code in lib/tls/gcm_soft.c.
 *
 * Copies of payload: none, input and output are the caller's. With the streaming calls the IV and
 * the additional data are kept until the first byte of payload, because libipsec-mb takes them
 * together while mbedTLS hands them over one by one; those of a TLS record need no allocation.
 */
#include "lib/tls/gcm_provider.h"

#include <mbedtls/gcm.h>

#if defined(MBEDTLS_GCM_ALT)

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>
#include <mbedtls/constant_time.h>
#include <mbedtls/platform_util.h>

#include "lib/tls/gcm_soft.h"

enum {
	/* SP 800-38D 5.2.1.2 allows 4, 8, 12 to 16; mbedTLS all from 4 to 16. */
	GCM_TAG_MIN = 4,
	GCM_TAG_MAX = 16,
	/* The length that needs no GHASH, and the only one that TLS uses. */
	GCM_IV_FAST = 12,
	GCM_KEY_ALIGN = 64,
	/* A TLS record has 12 bytes of IV, and 5 or 13 of additional data. */
	GCM_HEAD_BRIEF = 32,
};

/* Bytes of payload under one IV, SP 800-38D 5.2.1.1 (2^39 - 256 bits). */
static const uint64_t GCM_LEN_MAX = 0xFFFFFFFE0ull;

/* The functions of one key size. */
struct gcm_ops {
	aes_gcm_pre_t pre;
	aes_gcm_enc_dec_t enc, dec;
	aes_gcm_init_var_iv_t init;
	aes_gcm_enc_dec_update_t enc_update, dec_update;
	aes_gcm_enc_dec_finalize_t enc_final, dec_final;
};

/* Where a message handed over piece by piece is: see mbedtls_gcm_starts(). */
enum gcm_step { GCM_IDLE, GCM_HEAD, GCM_BODY };

/* One key, and the message in progress under it. A context belongs to one thread at a time. */
struct gcm_key {
	/* Round keys and powers of H; aligned for vector loads. */
	struct gcm_key_data data;
	/* The state, for libipsec-mb, of the message in progress. */
	struct gcm_context_data work;
	/* Borrowed, static; NULL when soft is used. */
	const struct gcm_ops *ops;
	/* Owned; mbedTLS's own code where libipsec-mb cannot run. */
	struct gcm_soft *soft;
	enum gcm_step step;
	bool encrypt;
	/* Payload so far. */
	uint64_t len;
	/* The IV, then the additional data, until the payload begins: brief, or owned. */
	uint8_t *head;
	size_t iv_len, head_len;
	uint8_t brief[GCM_HEAD_BRIEF];
};

/*
 * Chosen once, read-only afterwards. pthread_once() is here, outside the modules that otherwise own
 * threads, because the first handshakes of several workers may meet at this point.
 */
static pthread_once_t gcm_once = PTHREAD_ONCE_INIT;
static struct gcm_ops gcm_ops[3]; /* for 128, 192 and 256 bits */
static bool gcm_usable;
static char gcm_name[64] = "mbedTLS";

static bool
gcm_can_run(const IMB_MGR *m)
{
	const uint64_t need = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SSE4_2;

	/* Without AES-NI version 1 emulates it in C, far slower than mbedTLS's tables. */
	if ((m->features & need) != need)
		return false;
	return (m->features & IMB_FEATURE_SELF_TEST) == 0 ||
	       (m->features & IMB_FEATURE_SELF_TEST_PASS) != 0;
}

static const char *
gcm_level(const IMB_MGR *m, IMB_ARCH arch)
{
	if (arch == IMB_ARCH_AVX512)
		return (m->features & IMB_FEATURE_VAES) != 0 ? "VAES/AVX512" : "AVX512";
	if (arch == IMB_ARCH_AVX2)
		return "AVX2";
	return (m->features & IMB_FEATURE_AVX) != 0 ? "AVX" : "SSE";
}

static void
gcm_choose(void)
{
	IMB_ARCH arch = IMB_ARCH_NONE;
	IMB_MGR *m = alloc_mb_mgr(0);

	if (m == NULL)
		return;
	init_mb_mgr_auto(m, &arch);
	if (imb_get_errno(m) == 0 && arch != IMB_ARCH_NONE && gcm_can_run(m)) {
		gcm_ops[0] = (struct gcm_ops){ m->gcm128_pre, m->gcm128_enc, m->gcm128_dec,
			m->gcm128_init_var_iv, m->gcm128_enc_update, m->gcm128_dec_update,
			m->gcm128_enc_finalize, m->gcm128_dec_finalize };
		gcm_ops[1] = (struct gcm_ops){ m->gcm192_pre, m->gcm192_enc, m->gcm192_dec,
			m->gcm192_init_var_iv, m->gcm192_enc_update, m->gcm192_dec_update,
			m->gcm192_enc_finalize, m->gcm192_dec_finalize };
		gcm_ops[2] = (struct gcm_ops){ m->gcm256_pre, m->gcm256_enc, m->gcm256_dec,
			m->gcm256_init_var_iv, m->gcm256_enc_update, m->gcm256_dec_update,
			m->gcm256_enc_finalize, m->gcm256_dec_finalize };
		/* The version string ends in a build number: "1.3.0-dev0". */
		snprintf(gcm_name, sizeof(gcm_name), "ipsec-mb %.*s (%s)",
		    (int)strcspn(imb_get_version_str(), "-"), imb_get_version_str(),
		    gcm_level(m, arch));
		gcm_usable = true;
	}
	free_mb_mgr(m);
}

const char *
gcm_alt_provider(void)
{
	pthread_once(&gcm_once, gcm_choose);
	return gcm_name;
}

/* ---- life cycle ---- */

static void
gcm_drop_head(struct gcm_key *k)
{
	if (k->head != k->brief)
		free(k->head);
	k->head = k->brief;
	k->head_len = k->iv_len = 0;
}

static void
gcm_key_free(struct gcm_key *k)
{
	if (k == NULL)
		return;
	gcm_drop_head(k);
	gcm_soft_delete(k->soft);
	mbedtls_platform_zeroize(k, sizeof(*k));
	free(k);
}

static struct gcm_key *
gcm_key_new(void)
{
	struct gcm_key *k = aligned_alloc(
	    GCM_KEY_ALIGN, (sizeof(*k) + GCM_KEY_ALIGN - 1) / GCM_KEY_ALIGN * GCM_KEY_ALIGN);

	if (k != NULL) {
		memset(k, 0, sizeof(*k));
		k->head = k->brief;
	}
	return k;
}

void
mbedtls_gcm_init(mbedtls_gcm_context *ctx)
{
	ctx->key = NULL;
}

void
mbedtls_gcm_free(mbedtls_gcm_context *ctx)
{
	if (ctx == NULL)
		return;
	gcm_key_free(ctx->key);
	ctx->key = NULL;
}

int
mbedtls_gcm_setkey(mbedtls_gcm_context *ctx, mbedtls_cipher_id_t cipher, const unsigned char *key,
    unsigned int keybits)
{
	struct gcm_key *k;
	int r = MBEDTLS_ERR_CIPHER_ALLOC_FAILED;

	if (cipher != MBEDTLS_CIPHER_ID_AES || (keybits != 128 && keybits != 192 && keybits != 256))
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	mbedtls_gcm_free(ctx);
	pthread_once(&gcm_once, gcm_choose);
	if ((k = gcm_key_new()) == NULL)
		return r;
	if (gcm_usable) {
		k->ops = &gcm_ops[(keybits - 128) / 64];
		k->ops->pre(key, &k->data);
		r = 0;
	} else if ((k->soft = gcm_soft_new()) != NULL) {
		r = gcm_soft_setkey(k->soft, cipher, key, keybits);
	}
	if (r != 0) {
		gcm_key_free(k);
		return r;
	}
	ctx->key = k;
	return 0;
}

/* ---- whole messages ---- */

/* In place or apart is fine; <mbedtls/gcm.h> refuses an output that begins inside the input. */
static bool
gcm_overlaps(const uint8_t *in, const uint8_t *out, size_t len)
{
	return (uintptr_t)out > (uintptr_t)in && (uintptr_t)out - (uintptr_t)in < len;
}

static bool
gcm_is_bad(const struct gcm_key *k, size_t len, size_t iv_len, size_t ad_len)
{
	/*
	 * SP 800-38D 5.2.1.1: the IV has 1 to 2^64 - 1 bits, the additional data at most as many.
	 */
	return k == NULL || len > GCM_LEN_MAX || iv_len == 0 || (uint64_t)iv_len >> 61 != 0 ||
	       (uint64_t)ad_len >> 61 != 0;
}

/* The whole message; tag has room for GCM_TAG_MAX bytes. */
static void
gcm_whole(struct gcm_key *k, bool encrypt, size_t len, const uint8_t *iv, size_t iv_len,
    const uint8_t *ad, size_t ad_len, const uint8_t *in, uint8_t *out, uint8_t *tag)
{
	const struct gcm_ops *o = k->ops;

	if (iv_len == GCM_IV_FAST) {
		(encrypt ? o->enc : o->dec)(
		    &k->data, &k->work, out, in, len, iv, ad, ad_len, tag, GCM_TAG_MAX);
		return;
	}
	o->init(&k->data, &k->work, iv, iv_len, ad, ad_len);
	if (len > 0)
		(encrypt ? o->enc_update : o->dec_update)(&k->data, &k->work, out, in, len);
	(encrypt ? o->enc_final : o->dec_final)(&k->data, &k->work, tag, GCM_TAG_MAX);
}

int
mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t length,
    const unsigned char *iv, size_t iv_len, const unsigned char *add, size_t add_len,
    const unsigned char *input, unsigned char *output, size_t tag_len, unsigned char *tag)
{
	struct gcm_key *k = ctx->key;
	uint8_t full[GCM_TAG_MAX];

	if (gcm_is_bad(k, length, iv_len, add_len) || gcm_overlaps(input, output, length) ||
	    tag_len < GCM_TAG_MIN || tag_len > GCM_TAG_MAX)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	if (k->soft != NULL)
		return gcm_soft_crypt_and_tag(
		    k->soft, mode, length, iv, iv_len, add, add_len, input, output, tag_len, tag);
	gcm_whole(
	    k, mode == MBEDTLS_GCM_ENCRYPT, length, iv, iv_len, add, add_len, input, output, full);
	memcpy(tag, full, tag_len);
	return 0;
}

int
mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t length, const unsigned char *iv,
    size_t iv_len, const unsigned char *add, size_t add_len, const unsigned char *tag,
    size_t tag_len, const unsigned char *input, unsigned char *output)
{
	struct gcm_key *k = ctx->key;
	uint8_t full[GCM_TAG_MAX];

	if (gcm_is_bad(k, length, iv_len, add_len) || gcm_overlaps(input, output, length) ||
	    tag_len < GCM_TAG_MIN || tag_len > GCM_TAG_MAX)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	if (k->soft != NULL)
		return gcm_soft_auth_decrypt(
		    k->soft, length, iv, iv_len, add, add_len, tag, tag_len, input, output);
	gcm_whole(k, false, length, iv, iv_len, add, add_len, input, output, full);
	if (mbedtls_ct_memcmp(full, tag, tag_len) != 0) {
		/* SP 800-38D 7.2 step 8: nothing of the plaintext leaves. */
		mbedtls_platform_zeroize(output, length);
		mbedtls_platform_zeroize(full, sizeof(full));
		return MBEDTLS_ERR_GCM_AUTH_FAILED;
	}
	return 0;
}

/* ---- messages piece by piece ---- */

/* Appends to what is kept until the payload begins. */
static int
gcm_keep(struct gcm_key *k, const uint8_t *p, size_t n)
{
	uint8_t *grown = k->head;

	if (n > sizeof(k->brief) || k->head_len > sizeof(k->brief) - n) {
		if ((grown = malloc(k->head_len + n)) == NULL)
			return MBEDTLS_ERR_CIPHER_ALLOC_FAILED;
		memcpy(grown, k->head, k->head_len);
		if (k->head != k->brief)
			free(k->head);
	}
	memcpy(grown + k->head_len, p, n);
	k->head = grown;
	k->head_len += n;
	return 0;
}

/* From IV and additional data to payload. */
static void
gcm_begin_body(struct gcm_key *k)
{
	k->ops->init(
	    &k->data, &k->work, k->head, k->iv_len, k->head + k->iv_len, k->head_len - k->iv_len);
	gcm_drop_head(k);
	k->step = GCM_BODY;
}

int
mbedtls_gcm_starts(mbedtls_gcm_context *ctx, int mode, const unsigned char *iv, size_t iv_len)
{
	struct gcm_key *k = ctx->key;
	int r;

	if (gcm_is_bad(k, 0, iv_len, 0))
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	if (k->soft != NULL)
		return gcm_soft_starts(k->soft, mode, iv, iv_len);
	gcm_drop_head(k);
	k->step = GCM_IDLE;
	if ((r = gcm_keep(k, iv, iv_len)) != 0)
		return r;
	k->iv_len = iv_len;
	k->encrypt = mode == MBEDTLS_GCM_ENCRYPT;
	k->len = 0;
	k->step = GCM_HEAD;
	return 0;
}

int
mbedtls_gcm_update_ad(mbedtls_gcm_context *ctx, const unsigned char *add, size_t add_len)
{
	struct gcm_key *k = ctx->key;

	if (k == NULL || (uint64_t)add_len >> 61 != 0)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	if (k->soft != NULL)
		return gcm_soft_update_ad(k->soft, add, add_len);
	if (add_len == 0)
		return 0;
	if (k->step != GCM_HEAD || add_len > SIZE_MAX - k->head_len)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	return gcm_keep(k, add, add_len);
}

int
mbedtls_gcm_update(mbedtls_gcm_context *ctx, const unsigned char *input, size_t input_length,
    unsigned char *output, size_t output_size, size_t *output_length)
{
	struct gcm_key *k = ctx->key;

	if (k != NULL && k->soft != NULL)
		return gcm_soft_update(
		    k->soft, input, input_length, output, output_size, output_length);
	if (output_size < input_length)
		return MBEDTLS_ERR_GCM_BUFFER_TOO_SMALL;
	if (k == NULL || k->step == GCM_IDLE)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	*output_length = input_length;
	if (input_length == 0)
		return 0;
	if (gcm_overlaps(input, output, input_length))
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	if (input_length > GCM_LEN_MAX - k->len)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	if (k->step == GCM_HEAD)
		gcm_begin_body(k);
	k->len += input_length;
	(k->encrypt ? k->ops->enc_update : k->ops->dec_update)(
	    &k->data, &k->work, output, input, input_length);
	return 0;
}

int
mbedtls_gcm_finish(mbedtls_gcm_context *ctx, unsigned char *output, size_t output_size,
    size_t *output_length, unsigned char *tag, size_t tag_len)
{
	struct gcm_key *k = ctx->key;
	uint8_t full[GCM_TAG_MAX];

	*output_length = 0; /* update() leaves nothing behind */
	if (k != NULL && k->soft != NULL)
		return gcm_soft_finish(k->soft, output, output_size, output_length, tag, tag_len);
	if (k == NULL || k->step == GCM_IDLE || tag_len < GCM_TAG_MIN || tag_len > GCM_TAG_MAX)
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	if (k->step == GCM_HEAD)
		gcm_begin_body(k);
	(k->encrypt ? k->ops->enc_final : k->ops->dec_final)(&k->data, &k->work, full, GCM_TAG_MAX);
	memcpy(tag, full, tag_len);
	k->step = GCM_IDLE;
	return 0;
}

#else

const char *
gcm_alt_provider(void)
{
	return "mbedTLS";
}

#endif
