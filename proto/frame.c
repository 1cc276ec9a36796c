/* SPDX-License-Identifier: ISC */
/* frame - packing and checking of frame headers (PROTOCOL.md 3). */
#include "proto/frame.h"

#include "lib/base/err.h"

enum { ID_NONE, ID_STREAM };

/*
 * One row for each type: whose it is, which flags and how long a body it may have (PROTOCOL.md
 * 3.2).
 */
static const struct {
	uint8_t id;
	uint8_t flags;
	uint16_t min, max;
} rules[FRAME_TYPES] = {
	[FRAME_HELLO] = { ID_NONE, 0, 2, 8192 },
	[FRAME_OPEN] = { ID_STREAM, 0, 2, FRAME_OPEN_MAX },
	[FRAME_OPEN_OK] = { ID_STREAM, 0, 2, FRAME_OPEN_MAX },
	[FRAME_DATA] = { ID_STREAM, 0, 1, FRAME_BODY_MAX },
	[FRAME_WINDOW] = { ID_STREAM, FRAME_F_EOF_ACKED | FRAME_F_RETURNED, 16, 16 },
	[FRAME_EOF] = { ID_STREAM, 0, 8, 8 },
	[FRAME_RESET] = { ID_STREAM, 0, 4, 1024 },
	[FRAME_DATAGRAM] = { ID_STREAM, 0, 0, FRAME_DATAGRAM_MAX },
	[FRAME_CONTROL] = { ID_NONE, 0, 2, 8192 },
	[FRAME_GOAWAY] = { ID_NONE, 0, 4, 1024 },
	[FRAME_PING] = { ID_NONE, 0, 8, 8 },
	[FRAME_PONG] = { ID_NONE, 0, 8, 8 },
	[FRAME_RETURN] = { ID_STREAM, 0, 8, 8 },
};

void
frame_pack(uint8_t *p, const struct frame *f)
{
	p[0] = f->type;
	p[1] = f->flags;
	put_u16be(p + 2, f->len);
	put_u32be(p + 4, f->id);
}

ssize_t
frame_unpack(struct frame *f, const uint8_t *p, size_t n)
{
	struct frame g;

	if (n < FRAME_HDR_LEN)
		return 0;
	g = (struct frame){ p[0], p[1], get_u16be(p + 2), get_u32be(p + 4) };
	if (g.type == 0 || g.type >= FRAME_TYPES || g.flags & ~rules[g.type].flags)
		return ERR_PROTO;
	if (g.len < rules[g.type].min || g.len > rules[g.type].max)
		return ERR_PROTO;
	if ((g.id != 0) != (rules[g.type].id == ID_STREAM))
		return ERR_PROTO;
	*f = g;
	return FRAME_HDR_LEN;
}

const char *
frame_code_str(uint32_t code)
{
	static const char *const names[] = {
		[CODE_OK] = "ok",
		[CODE_CANCELLED] = "cancelled",
		[CODE_REFUSED] = "refused",
		[CODE_UNREACHABLE] = "unreachable",
		[CODE_TIMEOUT] = "timed out",
		[CODE_NOT_FOUND] = "not found",
		[CODE_DENIED] = "denied",
		[CODE_LIMIT] = "limit reached",
		[CODE_PROTOCOL] = "protocol error",
		[CODE_INTERNAL] = "internal error",
		[CODE_GONE] = "going away",
		[CODE_RESET] = "connection reset",
		[CODE_REPLACED] = "replaced",
		[CODE_REVOKED] = "revoked",
		[CODE_LOST] = "link lost",
	};

	return code < sizeof names / sizeof names[0] ? names[code] : "unknown";
}
