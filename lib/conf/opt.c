/* SPDX-License-Identifier: ISC */
/*
 * opt - a command's options from one table: flags, environment, configuration file, --help.
 *
 * Sources are read from the highest to the lowest, and each fills only what no higher one has set;
 * the file comes after flags and environment because they name it.
 */
#include "lib/conf/opt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/file.h"
#include "lib/conf/jobj.h"
#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "lib/base/argv.h"

#define WHERE_MAX 200  /* bytes of "--name" or "NAME in FILE" in an error */
#define VALUE_SHOWN 80 /* bytes of a wrong value in an error */
#define LIST_MAX 65536 /* values of one list option */

/* Where a row's value came from; a source may only set rows of a lower one. */
enum from { FROM_NOWHERE, FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_FLAG };

struct parse {
	const struct opt_spec *spec;
	char *target;
	struct opt_result *res;
	struct errtext *e;
	unsigned char *from; /* enum from of each row */
};

static void *
slot(const struct opt_row *row, void *target)
{
	return (char *)target + row->off;
}

static const char *
row_key(const struct opt_row *row)
{
	return row->key != NULL ? row->key : row->name;
}

static const struct opt_row *
row_by_name(const struct opt_spec *spec, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < spec->n_rows; i++)
		if (strlen(spec->rows[i].name) == n && memcmp(spec->rows[i].name, name, n) == 0)
			return &spec->rows[i];
	return NULL;
}

static const struct opt_row *
row_by_letter(const struct opt_spec *spec, char letter)
{
	size_t i;

	for (i = 0; i < spec->n_rows; i++)
		if (spec->rows[i].letter == letter)
			return &spec->rows[i];
	return NULL;
}

/* ---- values ---- */

static void
list_fini(struct opt_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		mem_free(l->v[i]);
	mem_free(l->v);
	*l = (struct opt_list){ 0 };
}

static int
list_add(struct opt_list *l, const char *s, size_t n)
{
	char **v, *copy;

	if (l->n >= LIST_MAX)
		return ERR_LIMIT;
	/* Room in powers of two: the length alone tells when it is used up. */
	if ((l->n & (l->n - 1)) == 0) {
		if ((v = mem_resize(l->v, l->n > 0 ? l->n * 2 : 1, sizeof(*v))) == NULL)
			return ERR_NOMEM;
		l->v = v;
	}
	if ((copy = mem_alloc(n + 1)) == NULL)
		return ERR_NOMEM;
	memcpy(copy, s, n);
	copy[n] = '\0';
	l->v[l->n++] = copy;
	return 0;
}

static bool
parse_bool(const char *s, bool *out)
{
	static const char *const words[] = { "0", "1", "false", "true", "no", "yes", NULL };
	size_t i;

	for (i = 0; words[i] != NULL; i++)
		if (strcasecmp(s, words[i]) == 0) {
			*out = i % 2 != 0;
			return true;
		}
	return false;
}

static int
set_enum(struct parse *p, const struct opt_row *row, const char *where, const char *value)
{
	struct strbuf words;
	char shown[VALUE_SHOWN];
	int i, r;

	for (i = 0; row->words[i] != NULL; i++)
		if (strcmp(row->words[i], value) == 0) {
			*(int *)slot(row, p->target) = i;
			return 0;
		}
	strbuf_init(&words, ERR_TEXT_MAX);
	opt_words(row, ", ", &words);
	r = err_set(p->e, ERR_INVALID, "%s: \"%s\" is none of %s", where,
	    str_escape(shown, sizeof(shown), value, strlen(value)), words.s);
	strbuf_fini(&words);
	return r;
}

static int
set_number(struct parse *p, const struct opt_row *row, const char *where, const char *value)
{
	static const struct {
		int (*parse)(const char *s, uint64_t min, uint64_t max, uint64_t *out);
		const char *what, *unit;
	} kinds[] = {
		[OPT_U64] = { str_parse_u64, "a number such as 8", "" },
		[OPT_SIZE] = { str_parse_size, "a size such as 64k or 4m", " bytes" },
		[OPT_DURATION] = { str_parse_duration_ms, "a duration such as 500ms, 30s, 5m or 1h",
		    " ms" },
	};
	uint64_t max = row->max > 0 ? row->max : UINT64_MAX;
	char shown[VALUE_SHOWN];
	int r = kinds[row->kind].parse(value, row->min, max, slot(row, p->target));

	if (r == 0)
		return 0;
	str_escape(shown, sizeof(shown), value, strlen(value));
	if (r == ERR_LIMIT && row->max > 0)
		return err_set(p->e, ERR_INVALID, "%s: \"%s\" is not between %llu and %llu%s",
		    where, shown, (unsigned long long)row->min, (unsigned long long)row->max,
		    kinds[row->kind].unit);
	if (r == ERR_LIMIT)
		return err_set(p->e, ERR_INVALID, "%s: \"%s\" is too large, or less than %llu%s",
		    where, shown, (unsigned long long)row->min, kinds[row->kind].unit);
	return err_set(
	    p->e, ERR_INVALID, "%s: \"%s\" is not %s", where, shown, kinds[row->kind].what);
}

static int
set_string(struct parse *p, const struct opt_row *row, const char *value)
{
	char **s = slot(row, p->target), *copy = mem_strdup(value);

	if (copy == NULL)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	mem_free(*s);
	*s = copy;
	return 0;
}

static int
set_secret(struct parse *p, const struct opt_row *row, const char *where, const char *value)
{
	struct secret **s = slot(row, p->target), *copy;
	size_t n = strlen(value);

	if (n == 0 || n > SECRET_MAX)
		return err_set(
		    p->e, ERR_INVALID, "%s: a secret has 1 to %d bytes", where, SECRET_MAX);
	if ((copy = secret_new(value, n)) == NULL)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	secret_free(*s);
	*s = copy;
	return 0;
}

/* One value for one row.  where is what an error calls the place it came from. */
static int
set_value(struct parse *p, const struct opt_row *row, enum from from, const char *where,
    const char *value)
{
	char shown[VALUE_SHOWN];
	int r = 0;

	switch (row->kind) {
	case OPT_FLAG:
		if (!parse_bool(value, slot(row, p->target)))
			r = err_set(p->e, ERR_INVALID, "%s: \"%s\" is neither true nor false",
			    where, str_escape(shown, sizeof(shown), value, strlen(value)));
		break;
	case OPT_STRING:
		r = set_string(p, row, value);
		break;
	case OPT_SECRET:
		r = set_secret(p, row, where, value);
		break;
	case OPT_LIST:
		if ((r = list_add(slot(row, p->target), value, strlen(value))) != 0)
			err_set(p->e, r, "%s: %s", where, err_str(r));
		break;
	case OPT_U64:
	case OPT_SIZE:
	case OPT_DURATION:
		r = set_number(p, row, where, value);
		break;
	case OPT_ENUM:
		r = set_enum(p, row, where, value);
		break;
	}
	p->from[row - p->spec->rows] = (unsigned char)from;
	return r;
}

/* ---- the command line ---- */

static int
no_such_option(struct parse *p, const char *name, size_t n)
{
	struct str_near near;
	char word[STR_NEAR_MAX + 1], shown[VALUE_SHOWN];
	size_t i;

	str_escape(shown, sizeof(shown), name, n);
	if (n < sizeof(word)) {
		memcpy(word, name, n);
		word[n] = '\0';
		str_near_start(&near, word);
		str_near_offer(&near, "help");
		for (i = 0; i < p->spec->n_rows; i++)
			str_near_offer(&near, p->spec->rows[i].name);
		if (str_near_best(&near) != NULL)
			return err_set(p->e, ERR_INVALID,
			    "--%s: no such option; did you mean --%s?", shown,
			    str_near_best(&near));
	}
	return err_set(
	    p->e, ERR_INVALID, "--%s: no such option; %s --help lists them", shown, p->spec->prog);
}

/* Values that others may not see: a secret's, and those that may hold a password. */
static bool
is_hidden(const struct opt_row *row)
{
	return row->kind == OPT_SECRET || row->wipe;
}

static int
take_value(struct parse *p, const struct opt_row *row, const char *where, char *value)
{
	int r = set_value(p, row, FROM_FLAG, where, value);

	if (is_hidden(row))
		argv_wipe(value);
	return r;
}

/* argv[*i] is "--name...": take it, and the argument after it if that is its value. */
static int
take_long(struct parse *p, int argc, char **argv, int *i)
{
	char *name = argv[*i] + 2, *equals = strchr(name, '=');
	size_t n = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct opt_row *row = row_by_name(p->spec, name, n);
	char where[WHERE_MAX];

	if (row == NULL && n > 3 && strncmp(name, "no-", 3) == 0) {
		row = row_by_name(p->spec, name + 3, n - 3);
		if (row != NULL && row->kind == OPT_FLAG && equals == NULL)
			return set_value(p, row, FROM_FLAG, argv[*i], "false");
		row = NULL;
	}
	if (row == NULL)
		return no_such_option(p, name, n);
	snprintf(where, sizeof(where), "--%s", row->name);
	if (equals != NULL)
		return take_value(p, row, where, equals + 1);
	if (row->kind == OPT_FLAG)
		return set_value(p, row, FROM_FLAG, where, "true");
	if (*i + 1 >= argc)
		return err_set(p->e, ERR_INVALID, "%s: the value is missing: %s %s", where, where,
		    row->arg != NULL ? row->arg : "VALUE");
	return take_value(p, row, where, argv[++*i]);
}

/* argv[*i] is "-x...": bundled flags; a letter with a value takes the rest, or argv[++*i]. */
static int
take_short(struct parse *p, int argc, char **argv, int *i)
{
	char *s = argv[*i] + 1;
	const struct opt_row *row;
	char where[8], shown[8];
	int r;

	for (; *s != '\0'; s++) {
		if (*s == 'h') {
			p->res->help = true;
			return 0;
		}
		if ((row = row_by_letter(p->spec, *s)) == NULL)
			return err_set(p->e, ERR_INVALID,
			    "-%s: no such option; %s --help lists them",
			    str_escape(shown, sizeof(shown), s, 1), p->spec->prog);
		snprintf(where, sizeof(where), "-%c", *s);
		if (row->kind != OPT_FLAG) {
			if (s[1] != '\0')
				return take_value(p, row, where, s + 1);
			if (*i + 1 >= argc)
				return err_set(p->e, ERR_INVALID, "%s: the value is missing: %s %s",
				    where, where, row->arg != NULL ? row->arg : "VALUE");
			return take_value(p, row, where, argv[++*i]);
		}
		if ((r = set_value(p, row, FROM_FLAG, where, "true")) != 0)
			return r;
	}
	return 0;
}

static int
take_positional(struct parse *p, const char *arg)
{
	char shown[VALUE_SHOWN];
	int r;

	if (p->res->args.n >= p->spec->args_max)
		return err_set(p->e, ERR_INVALID, "\"%s\": one argument too many; see %s --help",
		    str_escape(shown, sizeof(shown), arg, strlen(arg)), p->spec->prog);
	if ((r = list_add(&p->res->args, arg, strlen(arg))) != 0)
		return err_set(p->e, r, "%s", err_str(r));
	return 0;
}

static int
from_argv(struct parse *p, int argc, char **argv)
{
	bool options = true;
	int i, r = 0;

	for (i = 1; i < argc && r == 0 && !p->res->help; i++) {
		if (!options || argv[i][0] != '-' || argv[i][1] == '\0')
			r = take_positional(p, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			options = false;
		else if (strcmp(argv[i], "--help") == 0)
			p->res->help = true;
		else if (argv[i][1] == '-')
			r = take_long(p, argc, argv, &i);
		else
			r = take_short(p, argc, argv, &i);
	}
	return r;
}

static void
wipe_argv(const struct opt_spec *spec, int argc, char **argv)
{
	char flag[WHERE_MAX];
	size_t i;

	for (i = 0; i < spec->n_rows; i++)
		if (is_hidden(&spec->rows[i])) {
			snprintf(flag, sizeof(flag), "--%s", spec->rows[i].name);
			argv_wipe_flag(argc, argv, flag);
		}
}

/* ---- the environment ---- */

static int
secret_env(struct parse *p, const struct opt_row *row, bool wanted)
{
	struct secret *s = NULL, **to = slot(row, p->target);
	int r = secret_from_env(row->env, &s);

	if (r == 0 && wanted) {
		*to = s;
		p->from[row - p->spec->rows] = FROM_ENV;
		return 0;
	}
	secret_free(s); /* a flag was stronger; still it is out of the environment now */
	if (r == 0 || r == ERR_NOTFOUND)
		return 0;
	return err_set(p->e, r == ERR_LIMIT ? ERR_INVALID : r, "environment variable %s: %s",
	    row->env, err_str(r));
}

static int
list_env(struct parse *p, const struct opt_row *row, const char *where, const char *v)
{
	size_t n;
	int r = 0;

	for (; *v != '\0' && r == 0; v += n + (v[n] == ',')) {
		n = strcspn(v, ",");
		if (n > 0 && (r = list_add(slot(row, p->target), v, n)) != 0)
			err_set(p->e, r, "%s: %s", where, err_str(r));
	}
	p->from[row - p->spec->rows] = FROM_ENV;
	return r;
}

static int
value_env(struct parse *p, const struct opt_row *row, bool wanted)
{
	char where[WHERE_MAX], *v = getenv(row->env);
	int r = 0;

	if (v == NULL)
		return 0;
	snprintf(where, sizeof(where), "environment variable %s", row->env);
	/* An empty variable is how many shells and container files say "not set". */
	if (wanted && *v != '\0')
		r = row->kind == OPT_LIST ? list_env(p, row, where, v)
					  : set_value(p, row, FROM_ENV, where, v);
	if (row->wipe) {
		mem_wipe(v, strlen(v));
		unsetenv(row->env);
	}
	return r;
}

static int
from_env(struct parse *p)
{
	size_t i;
	int r = 0;

	for (i = 0; i < p->spec->n_rows && r == 0; i++) {
		const struct opt_row *row = &p->spec->rows[i];

		if (row->env != NULL)
			r = (row->kind == OPT_SECRET ? secret_env : value_env)(
			    p, row, p->from[i] < FROM_ENV);
	}
	return r;
}

/* ---- the configuration file ---- */

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
no_such_key(struct parse *p, const char *path, const char *key)
{
	struct str_near near;
	char shown[VALUE_SHOWN];
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

/* A single value of the file as the text that a flag would have had. */
static int
set_json(struct parse *p, const struct opt_row *row, const char *where, const struct jobj *v)
{
	char number[24];
	int64_t i;
	bool b;

	if (row->kind == OPT_FLAG) {
		if (!jobj_as_bool(v, &b))
			return err_set(p->e, ERR_INVALID, "%s must be true or false", where);
		return set_value(p, row, FROM_FILE, where, b ? "true" : "false");
	}
	if (jobj_as_str(v) != NULL)
		return set_value(p, row, FROM_FILE, where, jobj_as_str(v));
	if (jobj_as_int(v, &i) && (row->kind == OPT_U64 || row->kind == OPT_SIZE)) {
		snprintf(number, sizeof(number), "%lld", (long long)i);
		return set_value(p, row, FROM_FILE, where, number);
	}
	return err_set(p->e, ERR_INVALID, "%s must be %s", where,
	    row->kind == OPT_LIST   ? "a string or an array of strings"
	    : row->kind == OPT_U64  ? "a number"
	    : row->kind == OPT_SIZE ? "a number of bytes or a string such as \"64k\""
				    : "a string");
}

static int
set_values(struct parse *p, const struct opt_row *row, const char *where, const struct jobj *v)
{
	size_t i;
	int r = 0;

	if (row->kind != OPT_LIST || jobj_kind(v) != JOBJ_ARR)
		return set_json(p, row, where, v);
	for (i = 0; i < jobj_count(v) && r == 0; i++)
		r = set_json(p, row, where, jobj_at(v, i));
	p->from[row - p->spec->rows] = FROM_FILE;
	return r;
}

/* A value that a higher source overrides must be right all the same: some day it will be the one that counts. */
static int
check_values(
    const struct parse *p, const struct opt_row *row, const char *where, const struct jobj *v)
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
	unsigned char from = FROM_NOWHERE;
	struct parse q = { &spec, (char *)&value, &none, p->e, &from };
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
set_member(struct parse *p, const char *path, const char *key, const struct jobj *v)
{
	const struct opt_row *row = row_by_key(p->spec, key);
	char where[WHERE_MAX];

	if (row == NULL)
		return no_such_key(p, path, key);
	snprintf(where, sizeof(where), "%s: \"%s\"", path, key);
	if (p->from[row - p->spec->rows] > FROM_FILE)
		return check_values(p, row, where, v);
	return set_values(p, row, where, v);
}

static int
from_file(struct parse *p, const char *path)
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

static int
from_config_row(struct parse *p)
{
	const struct opt_row *row;
	char **path;

	if (p->spec->config_row == NULL)
		return 0;
	row = row_by_name(p->spec, p->spec->config_row, strlen(p->spec->config_row));
	assert(row != NULL && row->kind == OPT_STRING);
	path = slot(row, p->target);
	return *path != NULL ? from_file(p, *path) : 0;
}

/* ---- all of it ---- */

static int
from_defaults(struct parse *p)
{
	size_t i;
	int r = 0;

	for (i = 0; i < p->spec->n_rows && r == 0; i++)
		if (p->from[i] == FROM_NOWHERE && p->spec->rows[i].def != NULL) {
			r = set_value(p, &p->spec->rows[i], FROM_DEFAULT, p->spec->rows[i].name,
			    p->spec->rows[i].def);
			assert(r == 0 || r == ERR_NOMEM); /* the table itself would be wrong */
		}
	return r;
}

static void
clear(const struct opt_row *row, void *target)
{
	if (row->kind == OPT_STRING) {
		char **s = slot(row, target);

		mem_free(*s);
		*s = NULL;
	} else if (row->kind == OPT_SECRET) {
		struct secret **s = slot(row, target);

		secret_free(*s);
		*s = NULL;
	}
}

/* Of two rows that say the same the one from the higher source stays. */
static int
settle_rivals(struct parse *p)
{
	static const char *const source[] = { [FROM_FILE] = "in the configuration file",
		[FROM_ENV] = "in the environment",
		[FROM_FLAG] = "on the command line" };

	for (size_t i = 0; i < p->spec->n_rows; i++) {
		const struct opt_row *row = &p->spec->rows[i], *rival;
		size_t k;

		if (row->rival == NULL)
			continue;
		rival = row_by_name(p->spec, row->rival, strlen(row->rival));
		assert(rival != NULL);
		k = (size_t)(rival - p->spec->rows);
		if (p->from[i] > p->from[k])
			clear(rival, p->target);
		else if (p->from[i] == p->from[k] && p->from[i] > FROM_DEFAULT)
			return err_set(p->e, ERR_INVALID,
			    "--%s and --%s are both given %s: one must do", row->name, rival->name,
			    source[p->from[i]]);
	}
	return 0;
}

int
opt_parse(const struct opt_spec *spec, int argc, char **argv, void *target, struct opt_result *res,
    struct errtext *e)
{
	struct parse p = { .spec = spec, .target = target, .res = res, .e = e };
	int r;

	*res = (struct opt_result){ 0 };
	if ((p.from = mem_array(spec->n_rows, 1)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	r = from_argv(&p, argc, argv);
	if (r != 0 || res->help)
		wipe_argv(spec, argc, argv);
	if (r == 0 && !res->help && (r = from_env(&p)) == 0 && (r = from_config_row(&p)) == 0 &&
	    (r = settle_rivals(&p)) == 0)
		r = from_defaults(&p);
	mem_free(p.from);
	return r;
}

void
opt_fini(const struct opt_spec *spec, void *target, struct opt_result *res)
{
	size_t i;

	for (i = 0; i < spec->n_rows; i++) {
		const struct opt_row *row = &spec->rows[i];

		if (row->kind == OPT_LIST)
			list_fini(slot(row, target));
		else
			clear(row, target);
	}
	list_fini(&res->args);
}
