/* SPDX-License-Identifier: ISC */
/*
 * opt - a command's options from one table: flags, environment, configuration file, --help.
 *
 * Sources are read from the highest to the lowest, and each fills only what no higher one has set;
 * the file comes after flags and environment because they name it.
 */
#include "lib/conf/opt_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "lib/base/argv.h"

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

/* ---- the command line ---- */

static int
no_such_option(struct opt_parse *p, const char *name, size_t n)
{
	struct str_near near;
	char word[STR_NEAR_MAX + 1], shown[OPT_VALUE_SHOWN];
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
take_value(struct opt_parse *p, const struct opt_row *row, const char *where, char *value)
{
	int r = opt_set_value(p, row, FROM_FLAG, where, value);

	if (is_hidden(row))
		argv_wipe(value);
	return r;
}

/* argv[*i] is "--name...": take it, and the argument after it if that is its value. */
static int
take_long(struct opt_parse *p, int argc, char **argv, int *i)
{
	char *name = argv[*i] + 2, *equals = strchr(name, '=');
	size_t n = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct opt_row *row = row_by_name(p->spec, name, n);
	char where[OPT_WHERE_MAX];

	if (row == NULL && n > 3 && strncmp(name, "no-", 3) == 0) {
		row = row_by_name(p->spec, name + 3, n - 3);
		if (row != NULL && row->kind == OPT_FLAG && equals == NULL)
			return opt_set_value(p, row, FROM_FLAG, argv[*i], "false");
		row = NULL;
	}
	if (row == NULL)
		return no_such_option(p, name, n);
	snprintf(where, sizeof(where), "--%s", row->name);
	if (equals != NULL)
		return take_value(p, row, where, equals + 1);
	if (row->kind == OPT_FLAG)
		return opt_set_value(p, row, FROM_FLAG, where, "true");
	if (*i + 1 >= argc)
		return err_set(p->e, ERR_INVALID, "%s: the value is missing: %s %s", where, where,
		    row->arg != NULL ? row->arg : "VALUE");
	return take_value(p, row, where, argv[++*i]);
}

/* argv[*i] is "-x...": bundled flags; a letter with a value takes the rest, or argv[++*i]. */
static int
take_short(struct opt_parse *p, int argc, char **argv, int *i)
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
		if ((r = opt_set_value(p, row, FROM_FLAG, where, "true")) != 0)
			return r;
	}
	return 0;
}

static int
take_positional(struct opt_parse *p, const char *arg)
{
	char shown[OPT_VALUE_SHOWN];
	int r;

	if (p->res->args.n >= p->spec->args_max)
		return err_set(p->e, ERR_INVALID, "\"%s\": one argument too many; see %s --help",
		    str_escape(shown, sizeof(shown), arg, strlen(arg)), p->spec->prog);
	if ((r = opt_list_add(&p->res->args, arg, strlen(arg))) != 0)
		return err_set(p->e, r, "%s", err_str(r));
	return 0;
}

static int
from_argv(struct opt_parse *p, int argc, char **argv)
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
	char flag[OPT_WHERE_MAX];
	size_t i;

	for (i = 0; i < spec->n_rows; i++)
		if (is_hidden(&spec->rows[i])) {
			snprintf(flag, sizeof(flag), "--%s", spec->rows[i].name);
			argv_wipe_flag(argc, argv, flag);
		}
}

/* ---- the environment ---- */

static int
secret_env(struct opt_parse *p, const struct opt_row *row, bool wanted)
{
	struct secret *s = NULL, **to = opt_slot(row, p->target);
	int r = secret_from_env(row->env, &s);

	if (r == 0 && wanted) {
		*to = s;
		p->marks[row - p->spec->rows].from = FROM_ENV;
		return 0;
	}
	secret_free(s); /* a flag was stronger; still it is out of the environment now */
	if (r == 0 || r == ERR_NOTFOUND)
		return 0;
	return err_set(p->e, r == ERR_LIMIT ? ERR_INVALID : r, "environment variable %s: %s",
	    row->env, err_str(r));
}

static int
list_env(struct opt_parse *p, const struct opt_row *row, const char *where, const char *v)
{
	size_t n;
	int r = 0;

	for (; *v != '\0' && r == 0; v += n + (v[n] == ',')) {
		n = strcspn(v, ",");
		if (n > 0 && (r = opt_list_add(opt_slot(row, p->target), v, n)) != 0)
			err_set(p->e, r, "%s: %s", where, err_str(r));
	}
	p->marks[row - p->spec->rows].from = FROM_ENV;
	return r;
}

static int
value_env(struct opt_parse *p, const struct opt_row *row, bool wanted)
{
	char where[OPT_WHERE_MAX], *v = getenv(row->env);
	int r = 0;

	if (v == NULL)
		return 0;
	snprintf(where, sizeof(where), "environment variable %s", row->env);
	/* An empty variable is how many shells and container files say "not set". */
	if (wanted && *v != '\0')
		r = row->kind == OPT_LIST ? list_env(p, row, where, v)
					  : opt_set_value(p, row, FROM_ENV, where, v);
	if (row->wipe) {
		mem_wipe(v, strlen(v));
		unsetenv(row->env);
	}
	return r;
}

static int
from_env(struct opt_parse *p)
{
	size_t i;
	int r = 0;

	for (i = 0; i < p->spec->n_rows && r == 0; i++) {
		const struct opt_row *row = &p->spec->rows[i];

		if (row->env != NULL)
			r = (row->kind == OPT_SECRET ? secret_env : value_env)(
			    p, row, p->marks[i].from < FROM_ENV);
	}
	return r;
}

static int
from_config_row(struct opt_parse *p)
{
	const struct opt_row *row;
	char **path;

	if (p->spec->config_row == NULL)
		return 0;
	row = row_by_name(p->spec, p->spec->config_row, strlen(p->spec->config_row));
	assert(row != NULL && row->kind == OPT_STRING);
	path = opt_slot(row, p->target);
	return *path != NULL ? opt_from_file(p, *path) : 0;
}

/* ---- all of it ---- */

static int
from_defaults(struct opt_parse *p)
{
	size_t i;
	int r = 0;

	for (i = 0; i < p->spec->n_rows && r == 0; i++)
		if (p->marks[i].from == FROM_NOWHERE && p->spec->rows[i].def != NULL) {
			r = opt_set_value(p, &p->spec->rows[i], FROM_DEFAULT, p->spec->rows[i].name,
			    p->spec->rows[i].def);
			assert(r == 0 || r == ERR_NOMEM); /* the table itself would be wrong */
		}
	return r;
}

static void
clear(const struct opt_row *row, void *target)
{
	if (row->kind == OPT_STRING) {
		char **s = opt_slot(row, target);

		mem_free(*s);
		*s = NULL;
	} else if (row->kind == OPT_SECRET) {
		struct secret **s = opt_slot(row, target);

		secret_free(*s);
		*s = NULL;
	}
}

/* Of two rows that say the same the one from the higher source stays. */
static int
settle_rivals(struct opt_parse *p)
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
		if (p->marks[i].from > p->marks[k].from)
			clear(rival, p->target);
		else if (p->marks[i].from == p->marks[k].from && p->marks[i].from > FROM_DEFAULT)
			return err_set(p->e, ERR_INVALID,
			    "--%s and --%s are both given %s: one must do", row->name, rival->name,
			    source[p->marks[i].from]);
	}
	return 0;
}

static int
begin(struct opt_parse *p, const struct opt_spec *spec, void *target, struct opt_result *res,
    struct errtext *e)
{
	*res = (struct opt_result){ .marks = mem_array(spec->n_rows, sizeof *res->marks) };
	*p = (struct opt_parse){
		.spec = spec, .target = target, .res = res, .e = e, .marks = res->marks
	};
	return p->marks != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

int
opt_parse(const struct opt_spec *spec, int argc, char **argv, void *target, struct opt_result *res,
    struct errtext *e)
{
	struct opt_parse p;
	int r;

	if ((r = begin(&p, spec, target, res, e)) != 0)
		return r;
	r = from_argv(&p, argc, argv);
	if (r != 0 || res->help)
		wipe_argv(spec, argc, argv);
	if (r == 0 && !res->help && (r = from_env(&p)) == 0 && (r = from_config_row(&p)) == 0 &&
	    (r = settle_rivals(&p)) == 0)
		r = from_defaults(&p);
	return r;
}

/* ---- the file once more ---- */

int
opt_reread(const struct opt_spec *spec, const struct opt_result *before, const char *path,
    void *target, struct opt_result *res, struct errtext *e)
{
	struct opt_parse p;
	int r;

	if ((r = begin(&p, spec, target, res, e)) != 0)
		return r;
	for (size_t i = 0; i < spec->n_rows; i++)
		if (before->marks[i].from > FROM_FILE)
			p.marks[i].from = before->marks[i].from;
	if ((r = opt_from_file(&p, path)) == 0 && (r = settle_rivals(&p)) == 0)
		r = from_defaults(&p);
	return r;
}

bool
opt_is_files(const struct opt_spec *spec, const struct opt_result *res, const char *name)
{
	const struct opt_row *row = row_by_name(spec, name, strlen(name));

	assert(row != NULL);
	return res->marks[row - spec->rows].from <= FROM_FILE;
}

static bool
is_in(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

void
opt_changed(const struct opt_spec *spec, const struct opt_result *before,
    const struct opt_result *now, const char *const *except, struct strbuf *out)
{
	const char *between = "";

	for (size_t i = 0; i < spec->n_rows; i++) {
		const struct opt_mark *a = &before->marks[i], *b = &now->marks[i];

		if (a->from > FROM_FILE || is_in(spec->rows[i].name, except) ||
		    memcmp(a->digest, b->digest, sizeof a->digest) == 0)
			continue;
		strbuf_addf(out, "%s%s", between, spec->rows[i].name);
		between = ", ";
	}
}

void
opt_fini(const struct opt_spec *spec, void *target, struct opt_result *res)
{
	size_t i;

	for (i = 0; i < spec->n_rows; i++) {
		const struct opt_row *row = &spec->rows[i];

		if (row->kind == OPT_LIST)
			opt_list_fini(opt_slot(row, target));
		else
			clear(row, target);
	}
	opt_list_fini(&res->args);
	mem_free(res->marks);
	res->marks = NULL;
}
