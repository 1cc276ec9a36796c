/* SPDX-License-Identifier: ISC */
/*
 * body - bodies of HTTP/1.1 messages, by payload that moves and framing that is read byte by byte.
 *
 *     PAYLOAD (length, until close) ──> DONE
 *
 *     SIZE ──> EXTENSION ──> SIZE_LF ──> PAYLOAD ──> CHUNK_CR ──> CHUNK_LF ──> SIZE
 *       └────────────────────^   └─ size 0 ──> TRAILERS ──> DONE
 *     any ──> BROKEN
 *
 * Copies of payload: 0.  Moves are not logged: there are three or more for each chunk.
 */
#include "lib/http/body.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/hex.h"
#include "lib/base/mem.h"
#include "lib/http/fields.h"

enum {
	/* Leading zeros are allowed, but not without end. */
	DIGITS_MAX = 16,
	/* first room for trailers */
	TEXT_MIN = 256,
	/* "SIZE" CR LF, and CR LF behind the payload */
	CHUNK_FRAME_MAX = DIGITS_MAX + 4
};

static const bool can[BODY_STATES][BODY_STATES] = {
	[BODY_SIZE] = { [BODY_EXTENSION] = true, [BODY_SIZE_LF] = true, [BODY_BROKEN] = true },
	[BODY_EXTENSION] = { [BODY_SIZE_LF] = true, [BODY_BROKEN] = true },
	[BODY_SIZE_LF] = { [BODY_PAYLOAD] = true, [BODY_TRAILERS] = true, [BODY_BROKEN] = true },
	[BODY_PAYLOAD] = { [BODY_CHUNK_CR] = true, [BODY_DONE] = true, [BODY_BROKEN] = true },
	[BODY_CHUNK_CR] = { [BODY_CHUNK_LF] = true, [BODY_BROKEN] = true },
	[BODY_CHUNK_LF] = { [BODY_SIZE] = true, [BODY_BROKEN] = true },
	[BODY_TRAILERS] = { [BODY_DONE] = true, [BODY_BROKEN] = true },
};

static void
set_state(struct body_reader *b, enum body_state next)
{
	assert(can[b->state][next]);
	b->state = next;
}

void
body_begin(struct body_reader *b, enum http_body kind, uint64_t length)
{
	*b = (struct body_reader){ .kind = kind, .left = length };
	if (kind == HTTP_BODY_NONE || (kind == HTTP_BODY_LENGTH && length == 0))
		b->state = BODY_DONE;
	else if (kind == HTTP_BODY_CHUNKED)
		b->state = BODY_SIZE;
	else
		b->state = BODY_PAYLOAD;
	if (kind != HTTP_BODY_LENGTH)
		b->left = 0;
}

/* Trailers may hold what nobody but the two ends should know. */
static void
drop_text(char *text, size_t cap)
{
	if (text != NULL)
		mem_wipe(text, cap);
	mem_free(text);
}

void
body_fini(struct body_reader *b)
{
	drop_text(b->text, b->cap);
	*b = (struct body_reader){ .state = BODY_DONE };
}

static int
refuse(struct body_reader *b, struct errtext *e, int code, const char *why)
{
	set_state(b, BODY_BROKEN);
	return err_set(e, code, "malformed HTTP body: %s", why);
}

/* ---- chunks ---- */

/* RFC 9112 7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) */
enum extension {
	/* behind the size or a value; and after space there, where only ";" may follow */
	EXT_END,
	EXT_END_SPACE,
	/* before, within and behind a name */
	EXT_BEFORE_NAME,
	EXT_NAME,
	EXT_NAME_SPACE,
	/* before and within a value */
	EXT_BEFORE_VALUE,
	EXT_VALUE,
	EXT_QUOTED,
	EXT_QUOTED_PAIR,
	EXT_INVALID = -1
};

/* Behind a name or a value, or before either: the next place, without what only some allow. */
static enum extension
extension_step(enum extension at, unsigned char c)
{
	bool space = c == ' ' || c == '\t';
	bool text = space || (c > ' ' && c != 0x7f);

	switch (at) {
	case EXT_END:
	case EXT_END_SPACE:
		return c == ';' ? EXT_BEFORE_NAME : space ? EXT_END_SPACE : EXT_INVALID;
	case EXT_BEFORE_NAME:
		return space ? at : http_is_tchar(c) ? EXT_NAME : EXT_INVALID;
	case EXT_NAME:
		if (http_is_tchar(c))
			return at;
		/* fall through */
	case EXT_NAME_SPACE:
		if (c == '=')
			return EXT_BEFORE_VALUE;
		return c == ';' ? EXT_BEFORE_NAME : space ? EXT_NAME_SPACE : EXT_INVALID;
	case EXT_BEFORE_VALUE:
		if (c == '"')
			return EXT_QUOTED;
		return space ? at : http_is_tchar(c) ? EXT_VALUE : EXT_INVALID;
	case EXT_VALUE:
		return http_is_tchar(c) ? at : extension_step(EXT_END, c);
	case EXT_QUOTED:
		return c == '"' ? EXT_END : c == '\\' ? EXT_QUOTED_PAIR : text ? at : EXT_INVALID;
	case EXT_QUOTED_PAIR:
		return text ? EXT_QUOTED : EXT_INVALID;
	case EXT_INVALID:
		break;
	}
	return EXT_INVALID;
}

static int
take_extension(struct body_reader *b, unsigned char c, struct errtext *why)
{
	enum extension at = b->extension;

	if (c == '\r') {
		if (at != EXT_END && at != EXT_NAME && at != EXT_VALUE)
			return refuse(b, why, ERR_PROTO, "a chunk extension that breaks off");
		set_state(b, BODY_SIZE_LF);
		return 0;
	}
	b->extension = at = extension_step(at, c);
	if (at == EXT_INVALID)
		return refuse(b, why, ERR_PROTO, "a chunk size or extension that is none");
	return 0;
}

static int
take_size(struct body_reader *b, unsigned char c, struct errtext *why)
{
	int digit = hex_value((char)c);

	if (digit < 0) {
		if (b->line == 1)
			return refuse(b, why, ERR_PROTO, "a chunk size that is no number");
		b->extension = EXT_END;
		if (c != '\r')
			set_state(b, BODY_EXTENSION);
		return take_extension(b, c, why);
	}
	b->left = b->left << 4 | (unsigned)digit;
	if (b->line > DIGITS_MAX || b->left > INT64_MAX)
		return refuse(b, why, ERR_PROTO, "a chunk size without measure");
	return 0;
}

/* The line is whole: is there too much of it for what it brings? */
static int
end_size(struct body_reader *b, struct errtext *why)
{
	/* Excess is never more than the limit and a line: twice that much payload pays for it. */
	size_t left = b->left < BODY_OVERHEAD_MAX ? (size_t)b->left : BODY_OVERHEAD_MAX;
	size_t allowed = BODY_OVERHEAD_FREE + left * 2;

	b->overhead += b->line;
	b->overhead = b->overhead > allowed ? b->overhead - allowed : 0;
	b->line = 0;
	if (b->overhead > BODY_OVERHEAD_MAX)
		return refuse(b, why, ERR_LIMIT, "more framing than payload");
	set_state(b, b->left > 0 ? BODY_PAYLOAD : BODY_TRAILERS);
	return 0;
}

/* ---- trailers ---- */

static int
add_text(struct body_reader *b, char c)
{
	if (b->len == b->cap) {
		size_t cap = b->cap == 0 ? TEXT_MIN : b->cap * 2;
		char *text = mem_alloc(cap);

		if (text == NULL)
			return ERR_NOMEM;
		if (b->len > 0)
			memcpy(text, b->text, b->len);
		drop_text(b->text, b->cap);
		b->text = text;
		b->cap = cap;
	}
	b->text[b->len++] = c;
	return 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Keep the trailer in the line, whose n bytes and a NUL are the end of text. */
static const char *
keep_trailer(struct body_reader *b, size_t n)
{
	char *name = b->text + b->kept, *colon = memchr(name, ':', n), *value, *end = name + n;

	if (colon == NULL)
		return "a trailer without a colon";
	*colon = '\0';
	/* RFC 9112 5.1: no space before the colon; 5.2: nor before the name. */
	if (!http_is_token(name))
		return "a trailer's name that is no token";
	for (value = colon + 1; is_blank(*value); value++)
		;
	while (end > value && is_blank(end[-1]))
		end--;
	*end = '\0';
	/* RFC 9110 6.5.1: a field that may not stand here is dropped. */
	if (!fields_may_trail(name)) {
		b->len = b->kept;
		return NULL;
	}
	memmove(colon + 1, value, (size_t)(end - value) + 1);
	b->len = b->kept = (size_t)(colon + 1 - b->text) + (size_t)(end - value) + 1;
	b->n_trailers++;
	return NULL;
}

static int
end_trailer(struct body_reader *b, struct errtext *why)
{
	const char *fault;

	if (b->len == b->kept) {
		set_state(b, BODY_DONE);
		return 0;
	}
	if (++b->n_lines > HTTP_HEADERS_MAX)
		return refuse(b, why, ERR_LIMIT, "too many trailers");
	if (add_text(b, '\0') != 0)
		return refuse(b, why, ERR_NOMEM, "out of memory");
	fault = keep_trailer(b, b->len - 1 - b->kept);
	return fault != NULL ? refuse(b, why, ERR_PROTO, fault) : 0;
}

static int
take_trailer(struct body_reader *b, unsigned char c, struct errtext *why)
{
	if (++b->section > BODY_TRAILERS_MAX)
		return refuse(b, why, ERR_LIMIT, "the trailers are too large");
	if (b->cr != (c == '\n'))
		return refuse(b, why, ERR_PROTO, "a trailer's line that does not end with CR LF");
	b->cr = c == '\r';
	if (c == '\n')
		return end_trailer(b, why);
	if (b->cr)
		return 0;
	if ((c < 0x20 && c != '\t') || c == 0x7f)
		return refuse(b, why, ERR_PROTO, "a control character in a trailer");
	if (add_text(b, (char)c) != 0)
		return refuse(b, why, ERR_NOMEM, "out of memory");
	return 0;
}

/* ---- reading ---- */

/* Take one byte that is no payload. */
static int
take_frame(struct body_reader *b, unsigned char c, struct errtext *why)
{
	bool in_line =
	    b->state == BODY_SIZE || b->state == BODY_EXTENSION || b->state == BODY_SIZE_LF;

	if (in_line && ++b->line > BODY_LINE_MAX)
		return refuse(b, why, ERR_LIMIT, "a chunk's line is too long");
	switch (b->state) {
	case BODY_SIZE:
		return take_size(b, c, why);
	case BODY_EXTENSION:
		return take_extension(b, c, why);
	case BODY_SIZE_LF:
		if (c == '\n')
			return end_size(b, why);
		return refuse(b, why, ERR_PROTO, "a chunk's line that does not end with CR LF");
	case BODY_CHUNK_CR:
	case BODY_CHUNK_LF:
		if (c != (b->state == BODY_CHUNK_CR ? '\r' : '\n'))
			return refuse(b, why, ERR_PROTO, "a chunk that is longer than it says");
		set_state(b, b->state == BODY_CHUNK_CR ? BODY_CHUNK_LF : BODY_SIZE);
		return 0;
	case BODY_TRAILERS:
		return take_trailer(b, c, why);
	case BODY_PAYLOAD:
	case BODY_DONE:
	case BODY_BROKEN:
	case BODY_STATES:
		break;
	}
	return 0;
}

static bool
is_framing(const struct body_reader *b)
{
	return b->state != BODY_PAYLOAD && b->state != BODY_DONE && b->state != BODY_BROKEN;
}

static int
skip_frame(struct body_reader *b, struct bufq *in, struct errtext *why)
{
	size_t n, i = 0;
	const uint8_t *p = bufq_front(in, &n);
	int r = 0;

	while (r == 0 && i < n && is_framing(b))
		r = take_frame(b, p[i++], why);
	bufq_drain(in, i);
	return r;
}

static int
move_payload(
    struct body_reader *b, struct bufq *in, struct bufq *out, size_t max, struct errtext *why)
{
	size_t n = in->len < max ? in->len : max;

	if (b->kind != HTTP_BODY_CLOSE && n > b->left)
		n = (size_t)b->left;
	if (bufq_move(out, in, n) != 0)
		return refuse(b, why, ERR_NOMEM, "out of memory");
	b->payload += n;
	if (b->kind == HTTP_BODY_CLOSE)
		return 0;
	b->left -= n;
	if (b->left == 0)
		set_state(b, b->kind == HTTP_BODY_CHUNKED ? BODY_CHUNK_CR : BODY_DONE);
	return 0;
}

int
body_take(struct body_reader *b, struct bufq *in, struct bufq *out, size_t max, struct errtext *why)
{
	uint64_t before = b->payload;
	int r = 0;

	if (b->state == BODY_BROKEN)
		return err_set(why, ERR_PROTO, "the HTTP body was refused before");
	while (r == 0 && in->len > 0 && b->state != BODY_DONE) {
		size_t taken = (size_t)(b->payload - before);

		if (b->state != BODY_PAYLOAD)
			r = skip_frame(b, in, why);
		else if (taken < max)
			r = move_payload(b, in, out, max - taken, why);
		else
			break;
	}
	return r;
}

bool
body_is_done(const struct body_reader *b)
{
	return b->state == BODY_DONE;
}

bool
body_trailer_at(const struct body_reader *b, size_t i, const char **name, const char **value)
{
	const char *s = b->text;

	if (i >= b->n_trailers)
		return false;
	/* Two strings for each. */
	for (i *= 2; i > 0; i--)
		s += strlen(s) + 1;
	*name = s;
	*value = s + strlen(s) + 1;
	return true;
}

/* ---- writing ---- */

int
body_chunk(struct bufq *in, struct bufq *out)
{
	struct block *frame;
	int n, r;

	if (in->len == 0)
		return 0;
	/* Both lines in one block, as two copies would take two. */
	if ((frame = block_new(CHUNK_FRAME_MAX + 1)) == NULL)
		return ERR_NOMEM;
	n = snprintf((char *)frame->data, CHUNK_FRAME_MAX + 1, "%zx\r\n\r\n", in->len);
	frame->fill = (uint32_t)n;
	if ((r = bufq_append(out, frame, frame->data, frame->fill - 2)) == 0 &&
	    (r = bufq_move(out, in, in->len)) == 0)
		r = bufq_append(out, frame, frame->data + frame->fill - 2, 2);
	block_unref(frame);
	return r;
}

int
body_last_chunk(const struct body_reader *b, struct bufq *out)
{
	const char *s = b != NULL ? b->text : NULL;
	int r = bufq_copy(out, "0\r\n", 3);

	for (size_t i = 0; r == 0 && b != NULL && i < b->n_trailers * 2; i++) {
		const char *behind = i % 2 == 0 ? ": " : "\r\n";

		if ((r = bufq_copy(out, s, strlen(s))) == 0)
			r = bufq_copy(out, behind, 2);
		s += strlen(s) + 1;
	}
	return r == 0 ? bufq_copy(out, "\r\n", 2) : r;
}
