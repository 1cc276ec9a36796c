/* SPDX-License-Identifier: ISC */
/*
 * b64 - base64 and base64url (RFC 4648), decoded strictly.
 *
 * Strict: no line breaks or other foreign characters, padding exactly where the form has it, and
 * unused bits zero, so that each byte string has one text only.
 *
 * Two pairs of functions: for keys and the like, without a table that a secret would index; and for
 * payload in bulk, with tables, ten times as fast.
 */
#ifndef LIB_B64_H
#define LIB_B64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

/* The form: alphabet and padding. */
enum b64_form {
	/* RFC 4648 4: +/ and padding */
	B64_STD,
	/* RFC 4648 5: -_ without padding, as in JWT */
	B64_URL,
};

#define B64_ENC_LEN(n) (((n) + 2) / 3 * 4) /* characters for n bytes at most, without the NUL */
#define B64_DEC_LEN(n) ((n) / 4 * 3 + 2)   /* bytes from n characters at most */

/*
 * b64_encode - n bytes as text, terminated.
 * Returns the characters written, without the NUL; ERR_LIMIT if outsz is too small (out untouched).
 */
ssize_t b64_encode(
    char *out, size_t outsz, const void *p, size_t n, enum b64_form form) WARN_UNUSED;

/*
 * b64_decode - n characters as bytes.
 * Returns the bytes written; ERR_INVALID for text that is not of this form; ERR_LIMIT if outsz is
 * too small.  On error the content of out is undefined.
 */
ssize_t b64_decode(
    void *out, size_t outsz, const char *s, size_t n, enum b64_form form) WARN_UNUSED;

/*
 * b64_encode_groups - n bytes, a multiple of 3, as n / 3 * 4 characters of B64_STD, which are not
 * terminated.  b64_decode_groups - n characters, a multiple of 4, of B64_STD without padding as
 * n / 4 * 3 bytes; false for a foreign character, and then the content of out is undefined.
 *
 * Measured with the message around them, 16 kB at a time, on a busy AMD EPYC at about 3 GHz
 * (test/bench/hnr_bench.c): 2.0 and 1.8 GB of bytes for each second of a processor's time.
 */
void b64_encode_groups(char *out, const uint8_t *p, size_t n);
bool b64_decode_groups(uint8_t *out, const char *s, size_t n) WARN_UNUSED;

#endif
