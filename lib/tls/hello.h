/* SPDX-License-Identifier: ISC */
/*
 * hello - the name that a TLS client asks for, out of the first bytes that it sends (RFC 8446
 * 4.1.2, RFC 5246 7.4.1.2, RFC 6066 3).
 *
 * Nothing is decrypted or answered: who reads the name may hand the connection to somebody else
 * with every byte.  The ClientHello may span records.  Reading is strict: lengths fit exactly, no
 * extension comes twice, there is one name.  A name under Encrypted Client Hello stays hidden; the
 * outer one is told.
 */
#ifndef LIB_TLS_HELLO_H
#define LIB_TLS_HELLO_H

#include <stddef.h>
#include <stdint.h>

/* Bytes on the wire up to the end of the ClientHello, with the headers of its records. */
#define HELLO_MAX (16 * 1024)
/* Bytes of a name (RFC 1035 2.3.4). */
#define HELLO_NAME_MAX 253

enum hello {
	/* more bytes must come */
	HELLO_MORE,
	HELLO_NAME,
	/* a ClientHello that asks for none */
	HELLO_NO_NAME,
	/* no ClientHello, a malformed one, or one that is too long */
	HELLO_NOT_TLS,
};

/*
 * hello_name - look at the n bytes that have come so far; those behind the ClientHello, or behind
 * HELLO_MAX, do not count.  With more of the same bytes HELLO_MORE may become another answer; every
 * other answer stays, and so HELLO_MORE is never said of HELLO_MAX bytes.
 *   name  of HELLO_NAME: as it came (which need not be a valid host), terminated, without NUL
 */
enum hello hello_name(const uint8_t *p, size_t n, char name[HELLO_NAME_MAX + 1]);

#endif
