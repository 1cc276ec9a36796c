/* SPDX-License-Identifier: ISC */
/*
 * mbedTLS's own library/gcm.c, compiled once more under the names of lib/tls/gcm_soft.h. The source
 * is the one that `make deps` unpacked; nothing of it is kept in this tree. Elsewhere than on
 * x86-64 with libipsec-mb, mbedTLS uses its own gcm.c as it is and this file is empty.
 */
#include <mbedtls/build_info.h>

#if defined(MBEDTLS_GCM_ALT)

#undef MBEDTLS_GCM_ALT
#define mbedtls_gcm_context gcm_soft
#define mbedtls_gcm_init gcm_soft_init
#define mbedtls_gcm_setkey gcm_soft_setkey
#define mbedtls_gcm_crypt_and_tag gcm_soft_crypt_and_tag
#define mbedtls_gcm_auth_decrypt gcm_soft_auth_decrypt
#define mbedtls_gcm_starts gcm_soft_starts
#define mbedtls_gcm_update_ad gcm_soft_update_ad
#define mbedtls_gcm_update gcm_soft_update
#define mbedtls_gcm_finish gcm_soft_finish
#define mbedtls_gcm_free gcm_soft_free

#include <gcm.c>

#include <stdlib.h>

#include "lib/tls/gcm_soft.h"

struct gcm_soft *
gcm_soft_new(void)
{
	struct gcm_soft *ctx = malloc(sizeof(*ctx));

	if (ctx != NULL)
		gcm_soft_init(ctx);
	return ctx;
}

void
gcm_soft_delete(struct gcm_soft *ctx)
{
	if (ctx == NULL)
		return;
	gcm_soft_free(ctx);
	free(ctx);
}

#endif
