/* SPDX-License-Identifier: ISC */
/*
 * Which implementation of AES-GCM this process uses. lib/tls/gcm_ipsec.c decides once, from the
 * build (x86-64 with libipsec-mb, or anything else) and from the processor it runs on.
 */
#ifndef LIB_GCM_PROVIDER_H
#define LIB_GCM_PROVIDER_H

/*
 * gcm_alt_provider - the implementation in use, in words for `tunnel --version`:
 * "ipsec-mb 1.3.0 (VAES/AVX512)", or "mbedTLS" for mbedTLS's own.
 * The string is static. Safe to call from any thread; the first call may take a millisecond.
 */
const char *gcm_alt_provider(void);

#endif
