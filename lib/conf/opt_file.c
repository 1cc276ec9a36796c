/* SPDX-License-Identifier: ISC */
/* opt_file - options from a configuration file: one JSON object, a member for each row. */
#include "lib/conf/opt_int.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/conf/jobj.h"

static const char *
row_key(const struct opt_row *row)
{
	return row->key != NULL ? row->key : row->name;
}

static const struct opt_row *
row_by_key(const struct opt_spec *spec, const char *key)
{
	size_t i;

	for (i = 0; i < spec->n_rows; i++)
		if (*key != '\0' && strcmp(row_key(&spec->rows[i]), key) == 0)
			return &spec->rows[i];
	return NULL;
}

static int
no_such_key(struct opt_parse *p, const char *path, const char *key)
{
	struct str_near near;
	char shown[OPT_VALUE_SHOWN];
	size_t i;

	str_escape(shown, sizeof(shown), key, strlen(key));
	str_near_start(&near, key);
	for (i = 0; i < p->spec->n_rows; i++)
		if (*row_key(&p->spec->rows[i]) != '\0')
			str_near_offer(&near, row_key(&p->spec->rows[i]));
	if (str_near_best(&near) != NULL)
		return err_set(p->e, ERR_INVALID, "%s: unknown key \"%s\"; did you mean \"%s\"?",
		    path, shown, str_near_best(&near));
	return err_set(p->e, ERR_INVALID, "%s: unknown key \"%s\"", path, shown);
}

/* The digest goes on with this value: opt_changed() needs no values, of which some are secret. */
static int
note(struct opt_parse *p, const struct opt_row *row, const char *where, const char *value)
{
	struct opt_mark *mark = &p->marks[row - p->spec->rows];
	uint8_t both[2 * HASH_SHA256_LEN];
	int r;

	memcpy(both, mark->digest, HASH_SHA256_LEN);
	if ((r = hash_sha256(value, strlen(value), both + HASH_SHA256_LEN)) == 0)
		r = hash_sha256(both, sizeof both, mark->digest);
	return r == 0 ? 0 : err_set(p->e, r, "%s: %s", where, err_str(r));
}

static int
take(struct opt_parse *p, const struct opt_row *row, const char *where, const char *value)
{
	int r = note(p, row, where, value);

	return r != 0 ? r : opt_set_value(p, row, FROM_FILE, where, value);
}

/* A single value of the file as the text that a flag would have had. */
static int
set_json(struct opt_parse *p, const struct opt_row *row, const char *where, const struct jobj *v)
{
	char number[24];
	int64_t i;
	bool b;

	if (row->kind == OPT_FLAG) {
		if (!jobj_as_bool(v, &b))
			return err_set(p->e, ERR_INVALID, "%s must be true or false", where);
		return take(p, row, where, b ? "true" : "false");
	}
	if (jobj_as_str(v) != NULL)
		return take(p, row, where, jobj_as_str(v));
	if (jobj_as_int(v, &i) && (row->kind == OPT_U64 || row->kind == OPT_SIZE)) {
		snprintf(number, sizeof(number), "%lld", (long long)i);
		return take(p, row, where, number);
	}
	return err_set(p->e, ERR_INVALID, "%s must be %s", where,
	    row->kind == OPT_LIST   ? "a string or an array of strings"
	    : row->kind == OPT_U64  ? "a number"
	    : row->kind == OPT_SIZE ? "a number of bytes or a string such as \"64k\""
				    : "a string");
}

static int
set_values(struct opt_parse *p, const struct opt_row *row, const char *where, const struct jobj *v)
{
	size_t i;
	int r = 0;

	if (row->kind != OPT_LIST || jobj_kind(v) != JOBJ_ARR)
		return set_json(p, row, where, v);
	for (i = 0; i < jobj_count(v) && r == 0; i++)
		r = set_json(p, row, where, jobj_at(v, i));
	p->marks[row - p->spec->rows].from = FROM_FILE;
	return r;
}

/*
 * A value that a higher source overrides must be right all the same: some day it will be the one
 * that counts.
 */
static int
check_values(
    const struct opt_parse *p, const struct opt_row *row, const char *where, const struct jobj *v)
{
	union {
		bool flag;
		char *string;
		struct secret *secret;
		struct opt_list list;
		uint64_t number;
		int word;
	} value;
	struct opt_row alone = *row;
	struct opt_spec spec = *p->spec;
	struct opt_result none = { 0 };
	struct opt_mark mark = { .from = FROM_NOWHERE };
	struct opt_parse q = { &spec, (char *)&value, &none, p->e, &mark };
	int r;

	memset(&value, 0, sizeof(value));
	alone.off = 0;
	spec.rows = &alone;
	spec.n_rows = 1;
	r = set_values(&q, &alone, where, v);
	opt_fini(&spec, &value, &none);
	return r;
}

static int
set_member(struct opt_parse *p, const char *path, const char *key, const struct jobj *v)
{
	const struct opt_row *row = row_by_key(p->spec, key);
	char where[OPT_WHERE_MAX];

	if (row == NULL)
		return no_such_key(p, path, key);
	snprintf(where, sizeof(where), "%s: \"%s\"", path, key);
	if (p->marks[row - p->spec->rows].from > FROM_FILE)
		return check_values(p, row, where, v);
	return set_values(p, row, where, v);
}

int
opt_from_file(struct opt_parse *p, const char *path)
{
	struct jobj_iter it = { 0 };
	struct errtext why = { "" };
	const struct jobj *v;
	struct jobj *root = NULL;
	const char *key;
	char *buf = NULL;
	size_t len = 0;
	int r;

	if ((r = file_read_all(path, OPT_CONFIG_MAX, &buf, &len, p->e)) != 0)
		return r == ERR_NOMEM ? r : ERR_INVALID;
	if ((r = jobj_parse(buf, len, OPT_CONFIG_MAX, &root, &why)) != 0)
		r = err_set(p->e, r == ERR_NOMEM ? r : ERR_INVALID, "%s: %s", path, why.s);
	else if (jobj_kind(root) != JOBJ_OBJ)
		r = err_set(p->e, ERR_INVALID, "%s: the file must be one JSON object", path);
	while (r == 0 && jobj_each(root, &it, &key, &v))
		r = set_member(p, path, key, v);
	jobj_free(root);
	mem_wipe(buf, len); /* it may hold secrets */
	mem_free(buf);
	return r;
}
