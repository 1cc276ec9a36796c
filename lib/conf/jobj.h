/* SPDX-License-Identifier: ISC */
/*
 * jobj - JSON, read strictly and written compactly (RFC 8259): configuration, credentials and
 * control messages.
 *
 * A value is a `struct jobj *`, never defined: only jobj.c knows what is behind it.  Two rules of
 * ownership:
 *   - what jobj_parse() and jobj_new_*() give is the caller's and ends with jobj_free();
 *   - what a getter, jobj_at() or jobj_each() gives is borrowed and lives as long as its root.
 * jobj_set_take() and jobj_add_take() swallow the child in every case, also when they fail.
 *
 * Strict means: one object or array and nothing after it, UTF-8 checked, no member twice, no U+0000
 * in a string (so each is a C string), integers within 64 bits, nesting up to JOBJ_DEPTH_MAX, size
 * up to the caller's limit.
 *
 * Getters by name return 0; ERR_NOTFOUND if o has no such member (an explicit null counts as
 * absent); ERR_INVALID if it has another type or is out of range.  On error *out is as it was, so a
 * default can be put there before.  The text in e (may be NULL) names the member and what is wrong
 * with it, never its value: that may be a secret.
 */
#ifndef LIB_JOBJ_H
#define LIB_JOBJ_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

#define JOBJ_DEPTH_MAX 16 /* nested objects and arrays */

struct jobj;

enum jobj_kind {
	JOBJ_NULL,
	JOBJ_BOOL,
	JOBJ_INT,
	JOBJ_REAL,
	JOBJ_STR,
	JOBJ_ARR,
	JOBJ_OBJ,
};

/*
 * jobj_parse - n bytes of text (need not be terminated) into *out.
 *   max   the most bytes that are looked at; from a named limit
 * Returns 0; ERR_LIMIT for too long or too deep a text; ERR_INVALID otherwise, with line and column
 * in e; ERR_NOMEM.
 */
int jobj_parse(
    const void *p, size_t n, size_t max, struct jobj **out, struct errtext *e) WARN_UNUSED;

/* jobj_free - end an owned value and all below it; NULL is fine. */
void jobj_free(struct jobj *v);

/* ---- reading ---- */

/* jobj_kind - what v is; NULL counts as JOBJ_NULL. */
enum jobj_kind jobj_kind(const struct jobj *v);

/* jobj_get - member of object o, borrowed; NULL if absent or null, or if o is no object. */
const struct jobj *jobj_get(const struct jobj *o, const char *name);

/* Typed members; see above.  jobj_int takes the inclusive range that the caller can live with. */
int jobj_str(
    const struct jobj *o, const char *name, const char **out, struct errtext *e) WARN_UNUSED;
int jobj_int(const struct jobj *o, const char *name, int64_t min, int64_t max, int64_t *out,
    struct errtext *e) WARN_UNUSED;
int jobj_obj(
    const struct jobj *o, const char *name, const struct jobj **out, struct errtext *e) WARN_UNUSED;
int jobj_arr(
    const struct jobj *o, const char *name, const struct jobj **out, struct errtext *e) WARN_UNUSED;

/*
 * jobj_only - 0 if every member of object o is in allowed (NULL-terminated); else ERR_INVALID, and
 * e names the member and the nearest allowed one.  For files that people write; messages from peers
 * ignore what they do not know.
 */
int jobj_only(const struct jobj *o, const char *const *allowed, struct errtext *e) WARN_UNUSED;

/*
 * jobj_as_str - the string v is, borrowed, or NULL; _as_int, _as_bool - false if v is of another
 * kind.
 */
const char *jobj_as_str(const struct jobj *v);
bool jobj_as_int(const struct jobj *v, int64_t *out);
bool jobj_as_bool(const struct jobj *v, bool *out);

/* jobj_count - items of an array or members of an object, else 0.  jobj_at - item i, or NULL. */
size_t jobj_count(const struct jobj *v);
const struct jobj *jobj_at(const struct jobj *arr, size_t i);

/*
 * jobj_each - walk an object's members in the order they were written:
 *     struct jobj_iter it = { 0 };
 *     while (jobj_each(o, &it, &name, &val)) ...
 * false at the end, or if o is no object.  The object must not change meanwhile.
 */
struct jobj_iter {
	/* private */
	void *pos;
	bool begun;
};
bool jobj_each(
    const struct jobj *o, struct jobj_iter *it, const char **name, const struct jobj **val);

/* ---- writing ---- */

/* jobj_new_obj, jobj_new_arr - an empty one, owned; NULL without memory. */
struct jobj *jobj_new_obj(void) WARN_UNUSED;
struct jobj *jobj_new_arr(void) WARN_UNUSED;

/*
 * jobj_copy - another object or array with the same members, which are shared and must not be
 * changed; owned; NULL without memory.
 */
struct jobj *jobj_copy(const struct jobj *v) WARN_UNUSED;

/*
 * jobj_set_* - put a member into object o (replacing one of that name); jobj_add_* - append to
 * array a. Strings are copied and must be UTF-8.  o or a = NULL (a failed jobj_new_*) and a NULL
 * child give ERR_NOMEM, so a chain needs no check between.  Return 0, ERR_NOMEM, or ERR_INVALID for
 * text that is not UTF-8.
 */
int jobj_set_str(struct jobj *o, const char *name, const char *s) WARN_UNUSED;
int jobj_set_int(struct jobj *o, const char *name, int64_t i) WARN_UNUSED;
int jobj_set_bool(struct jobj *o, const char *name, bool b) WARN_UNUSED;
int jobj_set_null(struct jobj *o, const char *name) WARN_UNUSED;
int jobj_set_take(struct jobj *o, const char *name, struct jobj *child) WARN_UNUSED;
int jobj_add_str(struct jobj *a, const char *s) WARN_UNUSED;
int jobj_add_take(struct jobj *a, struct jobj *child) WARN_UNUSED;

/*
 * jobj_dump - v as compact text, members in order of insertion, terminated, the caller's
 * (mem_free); *len may be NULL.
 */
char *jobj_dump(const struct jobj *v, size_t *len) WARN_UNUSED;

/* jobj_version - the JSON library at run time, "2.14". */
const char *jobj_version(void);

#endif
