/* SPDX-License-Identifier: ISC */
/*
 * str - text: a buffer that grows up to a limit, strict numbers, printable forms, neighbours.
 */
#ifndef LIB_STR_H
#define LIB_STR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

/*
 * strbuf - growable text, always terminated, embedded in its owner.
 *
 * The first failure sticks: later additions do nothing, and strbuf_status() tells once at the end,
 * so a chain of additions needs one check.  It never holds more than max bytes.  Readers may use
 * b->s and b->len between two calls that change it; b->s is never NULL after strbuf_init().
 */
struct strbuf {
	/* text, s[len] == 0 */
	char *s;
	/* bytes without the NUL */
	size_t len;
	/* private: room, 0 while s is the shared empty string */
	size_t cap;
	/* private: limit for len */
	size_t max;
	/* private: 0, ERR_LIMIT or ERR_NOMEM */
	int status;
};

/*
 * strbuf_init - empty, at most max bytes of text (without the NUL); allocates nothing.  strbuf_fini
 * frees it.
 */
void strbuf_init(struct strbuf *b, size_t max);
void strbuf_fini(struct strbuf *b);

/* strbuf_add - append n bytes; _adds a string, _addc one character, _addf as printf. */
void strbuf_add(struct strbuf *b, const void *p, size_t n);
void strbuf_adds(struct strbuf *b, const char *s);
void strbuf_addc(struct strbuf *b, char c);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* strbuf_status - 0, or the first failure: ERR_LIMIT (over max) or ERR_NOMEM. */
int strbuf_status(const struct strbuf *b) WARN_UNUSED;

/*
 * str_escape - n bytes from the network as printable ASCII: others and the backslash as \xNN.
 *   out, outsz   filled and terminated; outsz at least 4; a cut is marked by "..."
 * Returns out, so that it can stand among the arguments of a format.
 */
const char *str_escape(char *out, size_t outsz, const void *p, size_t n);

/*
 * str_is_name - 1 to max letters, digits, '.', '_' or '-', not beginning with '.' or '-': fit for
 * agents and services.
 */
bool str_is_name(const char *s, size_t max);

/*
 * "Did you mean": start with the word, offer candidates (borrowed until the end), take the best.
 * NULL when none is near: more than one edit for each three letters, or longer than STR_NEAR_MAX.
 */
#define STR_NEAR_MAX 64
struct str_near {
	/* all members private */
	const char *word;
	const char *best;
	size_t dist;
};
void str_near_start(struct str_near *n, const char *word);
void str_near_offer(struct str_near *n, const char *candidate);
const char *str_near_best(const struct str_near *n);

/* str_nearest - the same over a NULL-terminated list. */
const char *str_nearest(const char *word, const char *const *list);

/*
 * Strict numbers: the whole string, decimal digits and, where it has one, a unit; no sign or space.
 *   str_parse_u64           "8080"
 *   str_parse_size          "512", "64k", "4m", "1g": bytes, powers of 1024, in either case
 *   str_parse_duration_ms   "500ms", "30s", "5m", "1h", "7d" or "0"; others need their unit
 * Return 0 with *out set; ERR_INVALID if it is no such number; ERR_LIMIT if it is not in min..max.
 */
int str_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out) WARN_UNUSED;
int str_parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *out) WARN_UNUSED;
int str_parse_duration_ms(const char *s, uint64_t min, uint64_t max, uint64_t *out) WARN_UNUSED;

/*
 * str_parse_range - "80" (from there to there) or "80-90", both ends within min..max.  Returns 0
 * with *lo <= *hi; ERR_INVALID or ERR_LIMIT as above, also for a range that ends before it begins.
 */
int str_parse_range(
    const char *s, uint64_t min, uint64_t max, uint64_t *lo, uint64_t *hi) WARN_UNUSED;

#endif
