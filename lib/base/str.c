/* SPDX-License-Identifier: ISC */
/*
 * str - text: a buffer that grows up to a limit, strict numbers, printable forms, neighbours.
 */
#include "lib/base/str.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/hex.h"
#include "lib/base/mem.h"

#define STRBUF_FIRST 64 /* bytes of the first allocation */

/* What b->s points at before the first allocation: never written to. */
static char empty[1];

void
strbuf_init(struct strbuf *b, size_t max)
{
	*b = (struct strbuf){ .s = empty, .max = max };
}

void
strbuf_fini(struct strbuf *b)
{
	if (b->cap > 0)
		mem_free(b->s);
	strbuf_init(b, b->max);
}

/* Make room for n more bytes and the NUL, doubling so that many small additions stay linear. */
static bool
reserve(struct strbuf *b, size_t n)
{
	size_t want;
	char *s;

	if (b->status != 0)
		return false;
	if (n > b->max - b->len) {
		b->status = ERR_LIMIT;
		return false;
	}
	if (b->len + n < b->cap)
		return true;
	want = b->cap > 0 ? b->cap : STRBUF_FIRST;
	while (want <= b->len + n)
		want = want > SIZE_MAX / 2 ? SIZE_MAX : want * 2;
	if (want - 1 > b->max)
		want = b->max + 1; /* max >= len + n, so that is still enough */
	if ((s = mem_resize(b->cap > 0 ? b->s : NULL, want, 1)) == NULL) {
		b->status = ERR_NOMEM;
		return false;
	}
	b->s = s;
	b->cap = want;
	return true;
}

void
strbuf_add(struct strbuf *b, const void *p, size_t n)
{
	if (n == 0 || !reserve(b, n))
		return;
	memcpy(b->s + b->len, p, n);
	b->len += n;
	b->s[b->len] = '\0';
}

void
strbuf_adds(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void
strbuf_addc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void
strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n > 0 && reserve(b, (size_t)n)) {
		vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	} else if (n < 0 && b->status == 0) {
		b->status = ERR_NOMEM; /* vsnprintf's only failure for our formats */
	}
	va_end(again);
}

int
strbuf_status(const struct strbuf *b)
{
	return b->status;
}

const char *
str_escape(char *out, size_t outsz, const void *p, size_t n)
{
	const unsigned char *s = p;
	size_t i, o = 0, cut = 0, w;

	/* cut is the last place where "..." and the NUL would still fit. */
	for (i = 0; i < n; i++) {
		w = s[i] < 0x20 || s[i] > 0x7e || s[i] == '\\' ? 4 : 1;
		if (o + 3 < outsz)
			cut = o;
		if (o + w >= outsz) {
			memcpy(out + cut, "...", 4);
			return out;
		}
		if (w == 1) {
			out[o++] = (char)s[i];
			continue;
		}
		out[o++] = '\\';
		out[o++] = 'x';
		out[o++] = hex_digits[s[i] >> 4];
		out[o++] = hex_digits[s[i] & 15];
	}
	out[o] = '\0';
	return out;
}

bool
str_is_name(const char *s, size_t max)
{
	size_t i;

	if (s[0] == '\0' || s[0] == '.' || s[0] == '-')
		return false;
	for (i = 0; s[i] != '\0'; i++) {
		bool word = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
			    (s[i] >= '0' && s[i] <= '9');

		if (i >= max || !(word || s[i] == '.' || s[i] == '_' || s[i] == '-'))
			return false;
	}
	return true;
}

/* ---- did you mean ---- */

/* Levenshtein's distance with one row; both at most STR_NEAR_MAX long. */
static size_t
distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t row[STR_NEAR_MAX + 1], i, j, diag, up;

	for (j = 0; j <= nb; j++)
		row[j] = j;
	for (i = 1; i <= na; i++) {
		diag = row[0];
		row[0] = i;
		for (j = 1; j <= nb; j++) {
			up = row[j];
			row[j] = diag + (a[i - 1] != b[j - 1]);
			if (up + 1 < row[j])
				row[j] = up + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diag = up;
		}
	}
	return row[nb];
}

void
str_near_start(struct str_near *n, const char *word)
{
	*n = (struct str_near){ .word = word, .dist = SIZE_MAX };
}

void
str_near_offer(struct str_near *n, const char *candidate)
{
	size_t nw = strlen(n->word), nc = strlen(candidate), longer, dist;

	if (nw > STR_NEAR_MAX || nc > STR_NEAR_MAX)
		return;
	longer = nw > nc ? nw : nc;
	dist = distance(n->word, nw, candidate, nc);
	if (dist <= (longer + 2) / 3 && dist < longer && dist < n->dist) {
		n->best = candidate;
		n->dist = dist;
	}
}

const char *
str_near_best(const struct str_near *n)
{
	return n->best;
}

const char *
str_nearest(const char *word, const char *const *list)
{
	struct str_near n;

	str_near_start(&n, word);
	for (; *list != NULL; list++)
		str_near_offer(&n, *list);
	return str_near_best(&n);
}

/* ---- strict numbers ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };
static const struct unit size_units[] = {
	{ "", 1 },
	{ "k", 1024 },
	{ "m", 1024 * 1024 },
	{ "g", 1024 * 1024 * 1024 },
	{ NULL, 0 },
};
static const struct unit time_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 3600 * 1000 },
	{ "d", 24 * 3600 * 1000 },
	{ NULL, 0 },
};

static int
parse(const char *s, const struct unit *units, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	bool over = false;

	if (*s < '0' || *s > '9')
		return ERR_INVALID;
	for (; *s >= '0' && *s <= '9'; s++)
		over |= __builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*s - '0'), &v);
	while (units->name != NULL && strcasecmp(units->name, s) != 0)
		units++;
	if (units->name == NULL)
		return ERR_INVALID;
	over |= __builtin_mul_overflow(v, units->factor, &v);
	if (over || v < min || v > max)
		return ERR_LIMIT;
	*out = v;
	return 0;
}

int
str_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	return parse(s, no_units, min, max, out);
}

int
str_parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	return parse(s, size_units, min, max, out);
}

int
str_parse_duration_ms(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	/* Zero is the same in every unit. */
	return parse(s, strcmp(s, "0") == 0 ? no_units : time_units, min, max, out);
}

int
str_parse_range(const char *s, uint64_t min, uint64_t max, uint64_t *lo, uint64_t *hi)
{
	char first[sizeof "18446744073709551615"];
	size_t n = strcspn(s, "-");
	uint64_t a, b;
	int r;

	if (n >= sizeof first)
		return ERR_INVALID;
	memcpy(first, s, n);
	first[n] = '\0';
	if ((r = str_parse_u64(first, min, max, &a)) != 0)
		return r;
	b = a;
	if (s[n] == '-' && (r = str_parse_u64(s + n + 1, a, max, &b)) != 0)
		return r;
	*lo = a;
	*hi = b;
	return 0;
}
