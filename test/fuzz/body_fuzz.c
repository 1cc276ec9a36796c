/* SPDX-License-Identifier: ISC */
/*
 * body_fuzz - bodies: however they are cut the same comes of them, which is what a second, simple
 * reader of the whole says, and nothing behind them is taken.
 *
 * The first byte: bits 0 and 1 the kind of body; the second its length, or the size of the pieces.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/hex.h"
#include "lib/http/body.h"
#include "lib/http/fields.h"
#include "test/unit/bodyrun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the second reader ---- */

enum verdict {
	/* the body is whole */
	WHOLE,
	/* good so far */
	OPEN,
	/* malformed, or beyond a limit */
	BAD,
	/* within a line, of which this reader says nothing before its end */
	IN_LINE
};

struct reading {
	const char *p;
	size_t n, at, payload_n, overhead;
	char *payload;
	char trailers[2 * BODY_TRAILERS_MAX];
};

/* The line at r->at as a string without its end; NULL with the verdict if it is none. */
static char *
next_line(struct reading *r, enum verdict *v)
{
	const char *s = r->p + r->at, *lf = memchr(s, '\n', r->n - r->at);
	size_t len = lf == NULL ? 0 : (size_t)(lf - s) + 1;
	char *line;

	*v = lf == NULL ? IN_LINE : BAD;
	if (lf == NULL || len < 2 || memchr(s, '\r', len) != lf - 1 || memchr(s, 0, len) != NULL)
		return NULL;
	r->at += len;
	/* No strndup: ASan's strict checks of strings ask it for a NUL. */
	line = calloc(1, len - 1);
	assert(line != NULL);
	memcpy(line, s, len - 2);
	return line;
}

static const char *
skip_blank(const char *s)
{
	return s + strspn(s, " \t");
}

static const char *
skip_token(const char *s)
{
	while (http_is_tchar((unsigned char)*s))
		s++;
	return s;
}

/* The byte behind a quoted string, NULL if it is none. */
static const char *
skip_quoted(const char *s)
{
	for (s++; *s != '"'; s++) {
		if (*s == '\\')
			s++;
		if (*s == '\0' || (*s != '\t' && *s >= 0 && *s < ' ') || *s == 0x7f)
			return NULL;
	}
	return s + 1;
}

static bool
is_extensions(const char *s)
{
	while (*s != '\0') {
		const char *name;

		s = skip_blank(s);
		if (*s++ != ';')
			return false;
		name = skip_blank(s);
		if ((s = skip_token(name)) == name)
			return false;
		if (*skip_blank(s) == '=') {
			const char *value = skip_blank(skip_blank(s) + 1);

			s = *value == '"' ? skip_quoted(value) : skip_token(value);
			if (s == NULL || s == value)
				return false;
		}
	}
	return true;
}

/* The size of the chunk that the line announces. */
static bool
read_size(struct reading *r, const char *line, uint64_t *size)
{
	size_t digits = strspn(line, "0123456789abcdefABCDEF"), len = strlen(line) + 2;
	char number[17] = "";

	if (digits == 0 || digits > 16 || len > BODY_LINE_MAX || !is_extensions(line + digits))
		return false;
	memcpy(number, line, digits);
	*size = strtoull(number, NULL, 16);
	if (*size > INT64_MAX)
		return false;
	r->overhead += len;
	if (*size >= 65536 || r->overhead < BODY_OVERHEAD_FREE + 2 * *size)
		r->overhead = 0;
	else
		r->overhead -= BODY_OVERHEAD_FREE + 2 * *size;
	return r->overhead <= BODY_OVERHEAD_MAX;
}

static bool
read_trailer(struct reading *r, char *line)
{
	char *colon = strchr(line, ':');
	size_t at = strlen(r->trailers);
	const char *value;
	int n;

	if (colon == NULL)
		return false;
	*colon = '\0';
	if (!http_is_token(line) || !http_is_value(colon + 1))
		return false;
	value = skip_blank(colon + 1);
	n = (int)strlen(value);
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	if (fields_may_trail(line))
		snprintf(r->trailers + at, sizeof r->trailers - at, "%s: %.*s|", line, n, value);
	return true;
}

static enum verdict
read_trailers(struct reading *r)
{
	size_t begin = r->at;

	for (int n = 0;; n++) {
		enum verdict v;
		char *line = next_line(r, &v);
		bool end, good;

		if (line == NULL)
			return v;
		end = line[0] == '\0';
		good = r->at - begin <= BODY_TRAILERS_MAX &&
		       (end || (n < HTTP_HEADERS_MAX && read_trailer(r, line)));
		free(line);
		if (!good || end)
			return good ? WHOLE : BAD;
	}
}

static void
take(struct reading *r, uint64_t size)
{
	size_t n = size < r->n - r->at ? (size_t)size : r->n - r->at;

	memcpy(r->payload + r->payload_n, r->p + r->at, n);
	r->payload_n += n;
	r->at += n;
}

static enum verdict
read_chunks(struct reading *r)
{
	for (;;) {
		enum verdict v;
		char *line = next_line(r, &v);
		uint64_t size;
		bool good;

		if (line == NULL)
			return v;
		good = read_size(r, line, &size);
		free(line);
		if (!good)
			return BAD;
		if (size == 0)
			return read_trailers(r);
		take(r, size);
		if (r->n - r->at < 2)
			return IN_LINE;
		if (memcmp(r->p + r->at, "\r\n", 2) != 0)
			return BAD;
		r->at += 2;
	}
}

static enum verdict
read_whole(struct reading *r, enum http_body kind, uint64_t length)
{
	switch (kind) {
	case HTTP_BODY_NONE:
		return WHOLE;
	case HTTP_BODY_LENGTH:
		take(r, length);
		return r->payload_n == length ? WHOLE : OPEN;
	case HTTP_BODY_CLOSE:
		take(r, r->n);
		return OPEN;
	case HTTP_BODY_CHUNKED:
		return read_chunks(r);
	}
	return BAD;
}

static void
is_what_was_read(const struct bodyrun *run, const struct reading *r, enum verdict v)
{
	assert(run->n == r->payload_n && memcmp(run->payload, r->payload, run->n) == 0);
	assert(v == IN_LINE || (run->r != 0) == (v == BAD));
	assert(run->done == (v == WHOLE));
	if (v == WHOLE)
		assert(run->taken == r->at && strcmp(run->trailers, r->trailers) == 0);
	else if (run->r == 0)
		assert(run->taken == r->n);
}

/* ---- what is written ---- */

/* The payload in chunks of step, and trailers, reads as the same. */
static void
write_again(const struct bodyrun *run, const uint8_t *p, size_t n, size_t step)
{
	struct bufq in = { 0 }, piece = { 0 }, out = { 0 };
	struct body_reader b;
	struct bodyrun *again;
	uint8_t *text;
	int r;

	body_begin(&b, HTTP_BODY_CHUNKED, 0);
	r = bufq_copy(&in, p, n);
	while (r == 0 && !body_is_done(&b)) {
		r = body_take(&b, &in, &piece, step, NULL);
		assert(r == 0 && piece.len <= step && (piece.len > 0 || body_is_done(&b)));
		r = body_chunk(&piece, &out);
	}
	assert(r == 0 && in.len == n - run->taken && body_last_chunk(&b, &out) == 0);
	text = malloc(out.len);
	assert(text != NULL);
	n = bufq_read(&out, 0, text, out.len);
	again = bodyrun(HTTP_BODY_CHUNKED, 0, text, n, n, n, n);
	assert(again != NULL && again->r == 0 && again->done && again->taken == n);
	assert(again->n == run->n && memcmp(again->payload, run->payload, run->n) == 0);
	assert(strcmp(again->trailers, run->trailers) == 0);
	bodyrun_free(again);
	free(text);
	body_fini(&b);
	bufq_fini(&in);
	bufq_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum http_body kinds[] = { HTTP_BODY_CHUNKED, HTTP_BODY_LENGTH,
		HTTP_BODY_CLOSE, HTTP_BODY_NONE };
	struct reading r = { 0 };
	struct bodyrun *whole, *cut[3];
	enum http_body kind;
	uint64_t length;
	size_t n, step;

	if (size < 2)
		return 0;
	kind = kinds[data[0] & 3];
	length = data[1];
	step = data[1] + 1u;
	n = size - 2;
	r.p = (const char *)data + 2;
	r.n = n;
	r.payload = malloc(n + 1);
	assert(r.payload != NULL);
	whole = bodyrun(kind, length, r.p, n, n, n, n + 1);
	assert(whole != NULL && (whole->r == 0 || whole->r == ERR_PROTO || whole->r == ERR_LIMIT));
	is_what_was_read(whole, &r, read_whole(&r, kind, length));
	cut[0] = bodyrun(kind, length, r.p, n, 1, 1, n + 1);
	cut[1] = bodyrun(kind, length, r.p, n, step, n, 1);
	cut[2] = bodyrun(kind, length, r.p, n, 1, step, step);
	for (int i = 0; i < 3; i++) {
		assert(cut[i] != NULL && bodyrun_is_same(whole, cut[i]));
		bodyrun_free(cut[i]);
	}
	if (kind == HTTP_BODY_CHUNKED && whole->done)
		write_again(whole, data + 2, n, step);
	bodyrun_free(whole);
	free(r.payload);
	return 0;
}
