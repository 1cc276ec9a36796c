/* SPDX-License-Identifier: ISC */
/*
 * jobj - JSON, read strictly and written compactly; the only file that knows jansson.
 *
 * A struct jobj * is a json_t * under another name.
 */
#include "lib/conf/jobj.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/utf8.h"

#define NAME_SHOWN 80 /* bytes of a member's name in an error text */

static const char *const kind_words[] = {
	[JOBJ_NULL] = "null",
	[JOBJ_BOOL] = "true or false",
	[JOBJ_INT] = "an integer",
	[JOBJ_REAL] = "a number",
	[JOBJ_STR] = "a string",
	[JOBJ_ARR] = "an array",
	[JOBJ_OBJ] = "an object",
};

/* A credentials file is full of secrets, and jansson copies each string. */
static void
free_wiped(void *p)
{
	if (p != NULL)
		mem_wipe(p, malloc_usable_size(p));
	free(p);
}

/* jansson had no memory in this thread: it may call that bad JSON, or cut a string and go on. */
static _Thread_local bool starved;

/*
 * What a parse keeps for that case.  jansson 2.14 collects each string in a buffer that it doubles,
 * and does not look whether that failed: a closing quote that found no room is missed, and the scan
 * leaves the buffer.  All the doublings of one string take less than RESERVE_TIMES the text.
 */
static _Thread_local void *reserve;
enum { RESERVE_TIMES = 4 };

static void *
alloc_noted(size_t n)
{
	void *p = mem_alloc(n);

	if (p == NULL) {
		starved = true;
		mem_free(reserve);
		if (reserve != NULL)
			p = mem_alloc(n);
		reserve = NULL;
	}
	return p;
}

/* Before main(), so before any thread. */
__attribute__((constructor)) static void
give_jansson_its_memory(void)
{
	json_set_alloc_funcs(alloc_noted, free_wiped);
}

static json_t *
js(const struct jobj *v)
{
	return (json_t *)(uintptr_t)v; /* jansson's readers are not const throughout */
}

static struct jobj *
wrap(json_t *v)
{
	return (struct jobj *)v;
}

/*
 * Is no place of the text nested deeper than JOBJ_DEPTH_MAX?  jansson's own bound is 2048 and fixed
 * when it is built.  Brackets in strings do not count; what is no JSON is for the parser to find.
 */
static bool
depth_ok(const char *p, size_t n)
{
	size_t i, depth = 0;
	bool in_string = false;

	for (i = 0; i < n; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
		} else if (p[i] == '"') {
			in_string = true;
		} else if (p[i] == '{' || p[i] == '[') {
			if (++depth > JOBJ_DEPTH_MAX)
				return false;
		} else if ((p[i] == '}' || p[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return true;
}

int
jobj_parse(const void *p, size_t n, size_t max, struct jobj **out, struct errtext *e)
{
	json_error_t je;
	json_t *v;
	char *quoted;

	if (n > max)
		return err_set(
		    e, ERR_LIMIT, "JSON text of %zu bytes is over the limit of %zu", n, max);
	if (!depth_ok(p, n))
		return err_set(e, ERR_LIMIT, "JSON is nested deeper than %d", JOBJ_DEPTH_MAX);
	starved = false;
	reserve = mem_resize(NULL, n, RESERVE_TIMES);
	if (reserve == NULL)
		return err_set(e, ERR_NOMEM, "no memory for a JSON text");
	v = json_loadb(p, n, JSON_REJECT_DUPLICATES, &je);
	mem_free(reserve);
	reserve = NULL;
	if (starved) {
		json_decref(v);
		return err_set(e, ERR_NOMEM, "no memory for a JSON text");
	}
	if (v != NULL) {
		*out = wrap(v);
		return 0;
	}
	/*
	 * Where jansson quotes the input, it may be a secret: behind "near", and the escapes that
	 * it does not know.
	 */
	if ((quoted = strstr(je.text, " near '")) == NULL &&
	    strncmp(je.text, "invalid Unicode", 15) == 0)
		quoted = strstr(je.text, " '");
	if (quoted != NULL)
		*quoted = '\0';
	return err_set(e, ERR_INVALID, "not valid JSON at line %d, column %d: %s", je.line,
	    je.column, je.text);
}

void
jobj_free(struct jobj *v)
{
	json_decref(js(v));
}

/* ---- reading ---- */

enum jobj_kind
jobj_kind(const struct jobj *v)
{
	if (v == NULL)
		return JOBJ_NULL;
	switch (json_typeof(js(v))) {
	case JSON_OBJECT:
		return JOBJ_OBJ;
	case JSON_ARRAY:
		return JOBJ_ARR;
	case JSON_STRING:
		return JOBJ_STR;
	case JSON_INTEGER:
		return JOBJ_INT;
	case JSON_REAL:
		return JOBJ_REAL;
	case JSON_TRUE:
	case JSON_FALSE:
		return JOBJ_BOOL;
	case JSON_NULL:
		break;
	}
	return JOBJ_NULL;
}

const struct jobj *
jobj_get(const struct jobj *o, const char *name)
{
	const json_t *v = json_object_get(js(o), name);

	return json_is_null(v) ? NULL : (const struct jobj *)v;
}

/* The member if it is of this kind; else the code and the text. */
static int
typed(const struct jobj *o, const char *name, enum jobj_kind kind, const struct jobj **out,
    struct errtext *e)
{
	const struct jobj *v = jobj_get(o, name);

	if (v == NULL)
		return err_set(e, ERR_NOTFOUND, "\"%s\" is missing", name);
	if (jobj_kind(v) != kind)
		return err_set(e, ERR_INVALID, "\"%s\" must be %s", name, kind_words[kind]);
	*out = v;
	return 0;
}

int
jobj_str(const struct jobj *o, const char *name, const char **out, struct errtext *e)
{
	const struct jobj *v = NULL;
	int r = typed(o, name, JOBJ_STR, &v, e);

	if (r == 0)
		*out = json_string_value(js(v));
	return r;
}

int
jobj_int(const struct jobj *o, const char *name, int64_t min, int64_t max, int64_t *out,
    struct errtext *e)
{
	const struct jobj *v = NULL;
	int r = typed(o, name, JOBJ_INT, &v, e);
	int64_t i;

	if (r != 0)
		return r;
	i = json_integer_value(js(v));
	if (i < min || i > max)
		return err_set(e, ERR_INVALID, "\"%s\" must be within %lld and %lld", name,
		    (long long)min, (long long)max);
	*out = i;
	return 0;
}

int
jobj_obj(const struct jobj *o, const char *name, const struct jobj **out, struct errtext *e)
{
	return typed(o, name, JOBJ_OBJ, out, e);
}

int
jobj_arr(const struct jobj *o, const char *name, const struct jobj **out, struct errtext *e)
{
	return typed(o, name, JOBJ_ARR, out, e);
}

int
jobj_only(const struct jobj *o, const char *const *allowed, struct errtext *e)
{
	struct jobj_iter it = { 0 };
	const struct jobj *v = NULL;
	const char *name, *near;
	char shown[NAME_SHOWN];
	size_t i;

	while (jobj_each(o, &it, &name, &v)) {
		for (i = 0; allowed[i] != NULL && strcmp(allowed[i], name) != 0; i++)
			;
		if (allowed[i] != NULL)
			continue;
		str_escape(shown, sizeof(shown), name, strlen(name));
		if ((near = str_nearest(name, allowed)) != NULL)
			return err_set(e, ERR_INVALID, "unknown key \"%s\"; did you mean \"%s\"?",
			    shown, near);
		return err_set(e, ERR_INVALID, "unknown key \"%s\"", shown);
	}
	return 0;
}

const char *
jobj_as_str(const struct jobj *v)
{
	return json_string_value(js(v));
}

bool
jobj_as_int(const struct jobj *v, int64_t *out)
{
	if (!json_is_integer(js(v)))
		return false;
	*out = json_integer_value(js(v));
	return true;
}

bool
jobj_as_bool(const struct jobj *v, bool *out)
{
	if (!json_is_boolean(js(v)))
		return false;
	*out = json_is_true(js(v));
	return true;
}

size_t
jobj_count(const struct jobj *v)
{
	return jobj_kind(v) == JOBJ_ARR ? json_array_size(js(v)) : json_object_size(js(v));
}

const struct jobj *
jobj_at(const struct jobj *arr, size_t i)
{
	return (const struct jobj *)json_array_get(js(arr), i);
}

bool
jobj_each(const struct jobj *o, struct jobj_iter *it, const char **name, const struct jobj **val)
{
	it->pos = it->begun ? json_object_iter_next(js(o), it->pos) : json_object_iter(js(o));
	it->begun = true;
	if (it->pos == NULL)
		return false;
	*name = json_object_iter_key(it->pos);
	*val = (const struct jobj *)json_object_iter_value(it->pos);
	return true;
}

/* ---- writing ---- */

struct jobj *
jobj_new_obj(void)
{
	return wrap(json_object());
}

struct jobj *
jobj_new_arr(void)
{
	return wrap(json_array());
}

struct jobj *
jobj_copy(const struct jobj *v)
{
	struct jobj *copy = wrap(json_copy(js(v)));

	/* jansson leaves out what it has no memory for, and says nothing. */
	if (copy != NULL && jobj_count(copy) != jobj_count(v)) {
		jobj_free(copy);
		copy = NULL;
	}
	return copy;
}

/* json_string() fails for what is not UTF-8 and for want of memory alike. */
static int
new_str(const char *s, json_t **out)
{
	if (!utf8_is_valid(s, strlen(s)))
		return ERR_INVALID;
	*out = json_string(s);
	return *out != NULL ? 0 : ERR_NOMEM;
}

int
jobj_set_take(struct jobj *o, const char *name, struct jobj *child)
{
	if (o == NULL || child == NULL) {
		jobj_free(child);
		return ERR_NOMEM;
	}
	return json_object_set_new(js(o), name, js(child)) == 0 ? 0 : ERR_NOMEM;
}

int
jobj_set_str(struct jobj *o, const char *name, const char *s)
{
	json_t *v;
	int r = new_str(s, &v);

	return r != 0 ? r : jobj_set_take(o, name, wrap(v));
}

int
jobj_set_int(struct jobj *o, const char *name, int64_t i)
{
	return jobj_set_take(o, name, wrap(json_integer(i)));
}

int
jobj_set_bool(struct jobj *o, const char *name, bool b)
{
	return jobj_set_take(o, name, wrap(json_boolean(b)));
}

int
jobj_set_null(struct jobj *o, const char *name)
{
	return jobj_set_take(o, name, wrap(json_null()));
}

int
jobj_add_str(struct jobj *a, const char *s)
{
	json_t *v;
	int r = new_str(s, &v);

	return r != 0 ? r : jobj_add_take(a, wrap(v));
}

int
jobj_add_take(struct jobj *a, struct jobj *child)
{
	if (a == NULL || child == NULL) {
		jobj_free(child);
		return ERR_NOMEM;
	}
	return json_array_append_new(js(a), js(child)) == 0 ? 0 : ERR_NOMEM;
}

char *
jobj_dump(const struct jobj *v, size_t *len)
{
	size_t n = json_dumpb(js(v), NULL, 0, JSON_COMPACT);
	char *s;

	if (n == 0 || (s = mem_alloc(n + 1)) == NULL)
		return NULL;
	if (json_dumpb(js(v), s, n, JSON_COMPACT) != n) {
		mem_free(s);
		return NULL;
	}
	s[n] = '\0';
	if (len != NULL)
		*len = n;
	return s;
}

const char *
jobj_version(void)
{
	return jansson_version_str();
}
