/* SPDX-License-Identifier: ISC */
/*
 * frame - the unit of the mux on the wire (PROTOCOL.md 3): an 8-byte header and at most 65535 bytes
 * of body.
 *
 *      0       1       2       3       4       5       6       7
 *     +-------+-------+---------------+-------------------------------+
 *     | type  | flags | body length   | stream id (0: the session)    |
 *     +-------+-------+---------------+-------------------------------+
 *
 * All integers are unsigned and big-endian.  Pure functions: nothing is allocated or logged.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_HDR_LEN 8
#define FRAME_BODY_MAX 65535
/* bytes of body of OPEN and OPEN_OK */
#define FRAME_OPEN_MAX 4096
#define FRAME_DATA_MAX \
	65528 /* bytes of payload in one DATA frame that we send; a receiver takes FRAME_BODY_MAX */

/* the largest payload of UDP over IPv4 */
#define FRAME_DATAGRAM_MAX 65507

enum frame_type {
	/* JSON; session; the first frame each way */
	FRAME_HELLO = 1,
	/* JSON */
	FRAME_OPEN = 2,
	/* JSON */
	FRAME_OPEN_OK = 3,
	/* raw bytes of the stream */
	FRAME_DATA = 4,
	/* acked, limit: two 64-bit offsets */
	FRAME_WINDOW = 5,
	/* the sender's final offset, 64 bits */
	FRAME_EOF = 6,
	/* 32-bit code, UTF-8 text */
	FRAME_RESET = 7,
	/* one datagram */
	FRAME_DATAGRAM = 8,
	/* JSON; session */
	FRAME_CONTROL = 9,
	/* 32-bit code, UTF-8 text; session */
	FRAME_GOAWAY = 10,
	/* 8 opaque bytes; session */
	FRAME_PING = 11,
	/* the same 8 bytes; session */
	FRAME_PONG = 12,
	/* an offset from which on credit is given back, 64 bits */
	FRAME_RETURN = 13,
	/* one more than the last */
	FRAME_TYPES
};

/*
 * The first byte of TLS (RFC 8446 5.1), and no frame's type for ever: a carrier that begins with it
 * is a login by key (PROTOCOL.md 2.1).
 */
#define FRAME_TLS 22

/* WINDOW: the far endpoint has passed on everything and the end of the stream too. */
#define FRAME_F_EOF_ACKED 1
/* WINDOW: it answers a RETURN, so its limit is newer than that. */
#define FRAME_F_RETURNED 2

/* Codes of RESET and GOAWAY (PROTOCOL.md 3.8). */
enum frame_code {
	/* GOAWAY: orderly shutdown */
	CODE_OK = 0,
	/* the other end of the stream closed it */
	CODE_CANCELLED = 1,
	/* the target refused the connection */
	CODE_REFUSED = 2,
	/* no way to the target; its name does not resolve */
	CODE_UNREACHABLE = 3,
	/* the target, or the peer, did not answer in time */
	CODE_TIMEOUT = 4,
	/* no such agent or service */
	CODE_NOT_FOUND = 5,
	/* authentication or policy says no */
	CODE_DENIED = 6,
	/* a limit was reached */
	CODE_LIMIT = 7,
	/* the peer broke the protocol */
	CODE_PROTOCOL = 8,
	/* out of memory or descriptors */
	CODE_INTERNAL = 9,
	/* no new streams are taken */
	CODE_GONE = 10,
	/* the socket at the far end was reset */
	CODE_RESET = 11,
	/* GOAWAY: a newer session has this name */
	CODE_REPLACED = 12,
	/* GOAWAY: the credentials are no longer valid */
	CODE_REVOKED = 13,
	/* a carrier on the way is lost; no endpoint says so */
	CODE_LOST = 14,
	/* one more than the last */
	CODES
};

/* frame_code_str - the code's name in words; "unknown" for others. */
const char *frame_code_str(uint32_t code);

struct frame {
	uint8_t type;
	uint8_t flags;
	/* bytes of body */
	uint16_t len;
	uint32_t id;
};

/* frame_pack - write f's header to p[FRAME_HDR_LEN]. */
void frame_pack(uint8_t *p, const struct frame *f);

/*
 * frame_unpack - read one frame header.
 *   p, n   borrowed bytes; at most FRAME_HDR_LEN are looked at
 *   f      filled on success only
 * Returns FRAME_HDR_LEN; 0 if n is too short (call again with more); ERR_PROTO for an unknown type,
 * a flag that the type does not have, a body length that the type does not allow, or an id where
 * there must be none or one.
 */
ssize_t frame_unpack(struct frame *f, const uint8_t *p, size_t n);

static inline void
put_u16be(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put_u32be(uint8_t *p, uint32_t v)
{
	put_u16be(p, (uint16_t)(v >> 16));
	put_u16be(p + 2, (uint16_t)v);
}

static inline void
put_u64be(uint8_t *p, uint64_t v)
{
	put_u32be(p, (uint32_t)(v >> 32));
	put_u32be(p + 4, (uint32_t)v);
}

static inline uint16_t
get_u16be(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
get_u32be(const uint8_t *p)
{
	return (uint32_t)get_u16be(p) << 16 | get_u16be(p + 2);
}

static inline uint64_t
get_u64be(const uint8_t *p)
{
	return (uint64_t)get_u32be(p) << 32 | get_u32be(p + 4);
}

#endif
