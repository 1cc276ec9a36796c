/* SPDX-License-Identifier: ISC */
/*
 * wsmask - WebSocket masking (RFC 6455 5.3) at memory speed.
 *
 * Byte i of a frame's payload is combined with key[i % 4] by exclusive or; the same call masks and
 * unmasks.
 *
 * Private to lib/ws.
 */
#ifndef LIB_WSMASK_H
#define LIB_WSMASK_H

#include <stddef.h>
#include <stdint.h>

/*
 * wsmask - dst[i] = src[i] ^ key[(phase + i) % 4] for i < n.
 *   dst, src   any alignment; the same address (in place), or no overlap at all
 *   phase      how many bytes of this payload went before; only its value modulo 4 counts
 * Uses 32-byte vectors where the CPU has them, 64-bit words elsewhere.
 */
void wsmask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], unsigned phase);

/* wsmask_plain - the same byte by byte: the reference that tests compare with. */
void wsmask_plain(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], unsigned phase);

/* wsmask_words - the same by 64-bit words: what wsmask() does on a CPU without wide vectors. */
void wsmask_words(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], unsigned phase);

#endif
