/* SPDX-License-Identifier: ISC */
/* argparse - command lines as Python's argparse reads them. */
#include "lib/conf/argparse.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/argv.h"
#include "lib/base/mem.h"

/* Columns of usage and help. */
#define WIDTH 78
#define HELP_COLUMN 24
#define SHOWN_MAX 256

struct reader {
	const struct argparse_spec *spec;
	char **values;
	struct strbuf *say;
	/* Positional arguments read so far. */
	size_t n_positional;
	/* Words that nobody wants, for the message. */
	struct strbuf extras;
};

/* ---- what is said ---- */

/* The name of an option's value: "RELAY_URL". */
static void
add_metavar(struct strbuf *b, const struct argparse_row *row)
{
	for (const char *s = row->name; *s != '\0'; s++)
		strbuf_addc(b, *s == '-' ? '_' : (char)toupper((unsigned char)*s));
}

static void
usage_word(struct strbuf *b, const struct argparse_row *row)
{
	if (row->positional) {
		strbuf_adds(b, row->name);
		return;
	}
	strbuf_addf(b, "[--%s ", row->name);
	add_metavar(b, row);
	strbuf_addc(b, ']');
}

static size_t
usage_len(const struct argparse_row *row)
{
	return row->positional ? strlen(row->name) : 2 * strlen(row->name) + strlen("[-- ]");
}

/* Below each other from column indent on, where the options or the positional arguments begin. */
static void
usage_part(struct strbuf *b, const struct argparse_spec *spec, bool positional, size_t indent)
{
	size_t at = positional ? WIDTH : indent + strlen("[-h]");

	for (size_t i = 0; i < spec->n_rows; i++) {
		size_t n = usage_len(&spec->rows[i]);

		if (spec->rows[i].positional != positional)
			continue;
		if (at + 1 + n > WIDTH) {
			strbuf_addf(b, "\n%*s", (int)indent, "");
			at = indent;
		} else {
			strbuf_addc(b, ' ');
			at++;
		}
		usage_word(b, &spec->rows[i]);
		at += n;
	}
}

static void
usage(struct strbuf *b, const struct argparse_spec *spec)
{
	size_t indent = strlen("usage: ") + strlen(spec->prog) + 1;

	strbuf_addf(b, "usage: %s [-h]", spec->prog);
	usage_part(b, spec, false, indent);
	usage_part(b, spec, true, indent);
	strbuf_addc(b, '\n');
}

static void
help_line(struct strbuf *b, const struct argparse_row *row)
{
	size_t begin = b->len;

	strbuf_addf(b, row->positional ? "  %s" : "  --%s ", row->name);
	if (!row->positional)
		add_metavar(b, row);
	if (b->len - begin > HELP_COLUMN - 2) {
		strbuf_addc(b, '\n');
		begin = b->len;
	}
	strbuf_addf(b, "%*s%s\n", (int)(HELP_COLUMN - (b->len - begin)), "", row->help);
}

static void
help_part(struct strbuf *b, const struct argparse_spec *spec, bool positional)
{
	for (size_t i = 0; i < spec->n_rows; i++)
		if (spec->rows[i].positional == positional)
			help_line(b, &spec->rows[i]);
}

static int
say_help(struct reader *r)
{
	usage(r->say, r->spec);
	strbuf_addf(r->say, "\n%s\n", r->spec->about);
	if (r->spec->n_rows > 0 && r->spec->rows[0].positional) {
		strbuf_adds(r->say, "\npositional arguments:\n");
		help_part(r->say, r->spec, true);
	}
	strbuf_addf(r->say, "\noptions:\n  %-*s%s\n", HELP_COLUMN - 2, "-h, --help",
	    "show this help message and exit");
	help_part(r->say, r->spec, false);
	return strbuf_status(r->say) != 0 ? ERR_NOMEM : ARGPARSE_HELP;
}

__attribute__((format(printf, 2, 3))) static int
mistake(struct reader *r, const char *fmt, ...)
{
	char text[2 * SHOWN_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	usage(r->say, r->spec);
	strbuf_addf(r->say, "%s: error: %s\n", r->spec->prog, text);
	return strbuf_status(r->say) != 0 ? ERR_NOMEM : ERR_INVALID;
}

/* ---- words ---- */

/* "-1", "-.5" */
static bool
is_negative_number(const char *s)
{
	size_t n = strspn(s + 1, "0123456789");

	if (s[0] != '-')
		return false;
	if (n > 0 && s[1 + n] == '\0')
		return true;
	if (s[1 + n] != '.')
		return false;
	s += n + 2;
	n = strspn(s, "0123456789");
	return n > 0 && s[n] == '\0';
}

static bool
looks_like_option(const char *s)
{
	return s[0] == '-' && s[1] != '\0' && strcmp(s, "--") != 0 && !is_negative_number(s) &&
	       strchr(s, ' ') == NULL;
}

/*
 * The option that "--name" or "--name=VALUE" means: a row, or NULL for --help.  Returns how many
 * there are.
 */
static size_t
find_option(struct reader *r, const char *word, const struct argparse_row **row, struct strbuf *all)
{
	const char *name = word + 2;
	size_t len = strcspn(name, "="), n = 0;

	*row = NULL;
	if (len <= strlen("help") && strncmp(name, "help", len) == 0) {
		strbuf_adds(all, "--help");
		n++;
	}
	for (size_t i = 0; i < r->spec->n_rows; i++) {
		const struct argparse_row *one = &r->spec->rows[i];

		if (one->positional || strncmp(one->name, name, len) != 0)
			continue;
		*row = one;
		if (one->name[len] == '\0')
			return 1;
		strbuf_addf(all, "%s--%s", n > 0 ? ", " : "", one->name);
		n++;
	}
	return n;
}

static int
check_int(struct reader *r, const struct argparse_row *row, const char *text)
{
	char shown[SHOWN_MAX];
	const char *digits = text + (text[0] == '-' || text[0] == '+');

	if (row->kind != ARGPARSE_INT ||
	    (digits[0] != '\0' && digits[strspn(digits, "0123456789")] == '\0'))
		return 0;
	return mistake(r, "argument %s%s: invalid int value: '%s'", row->positional ? "" : "--",
	    row->name, str_escape(shown, sizeof shown, text, strlen(text)));
}

/* text is argv's, or the environment's. */
static int
take(struct reader *r, const struct argparse_row *row, char *text)
{
	char **v = &r->values[row - r->spec->rows];
	int rc = check_int(r, row, text);

	if (rc != 0)
		return rc;
	if (*v != NULL)
		mem_wipe(*v, strlen(*v));
	mem_free(*v);
	*v = mem_strdup(text);
	return *v != NULL ? 0 : ERR_NOMEM;
}

static int
take_word(struct reader *r, const struct argparse_row *row, char *text)
{
	int rc = take(r, row, text);

	if (row->kind == ARGPARSE_SECRET)
		argv_wipe(text);
	return rc;
}

static void
extra(struct reader *r, const char *word)
{
	char shown[SHOWN_MAX];

	strbuf_addf(&r->extras, "%s%s", r->extras.len > 0 ? " " : "",
	    str_escape(shown, sizeof shown, word, strlen(word)));
}

/* argv[*i] begins with "-" and is an option, known or not. */
static int
take_option(struct reader *r, int argc, char **argv, int *i)
{
	char *word = argv[*i], *equals = strchr(word, '=');
	const struct argparse_row *row = NULL;
	struct strbuf all;
	size_t n = 0;
	int rc = 0;

	if (strncmp(word, "-h", 2) == 0)
		return word[2] == '\0'
			   ? say_help(r)
			   : mistake(
				 r, "argument -h/--help: ignored explicit argument '%s'", word + 2);
	strbuf_init(&all, SHOWN_MAX);
	if (word[1] == '-')
		n = find_option(r, word, &row, &all);
	if (n == 0)
		extra(r, word);
	else if (n > 1)
		rc = mistake(r, "ambiguous option: %.*s could match %s", (int)strcspn(word, "="),
		    word, all.s);
	else if (row == NULL && equals != NULL)
		rc = mistake(r, "argument -h/--help: ignored explicit argument '%s'", equals + 1);
	else if (row == NULL)
		rc = say_help(r);
	else if (equals != NULL)
		rc = take_word(r, row, equals + 1);
	else if (*i + 1 >= argc || strcmp(argv[*i + 1], "--") == 0 ||
		 looks_like_option(argv[*i + 1]))
		rc = mistake(r, "argument --%s: expected one argument", row->name);
	else
		rc = take_word(r, row, argv[++*i]);
	strbuf_fini(&all);
	return rc;
}

static int
take_positional(struct reader *r, char *word)
{
	size_t n = 0;

	for (size_t i = 0; i < r->spec->n_rows; i++)
		if (r->spec->rows[i].positional && n++ == r->n_positional) {
			r->n_positional++;
			return take_word(r, &r->spec->rows[i], word);
		}
	extra(r, word);
	return 0;
}

static int
read_words(struct reader *r, int argc, char **argv)
{
	bool options = true;
	int rc = 0;

	for (int i = 1; i < argc && rc == 0; i++)
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && looks_like_option(argv[i]))
			rc = take_option(r, argc, argv, &i);
		else
			rc = take_positional(r, argv[i]);
	return rc;
}

/* ---- what was not given ---- */

static int
check_given(struct reader *r)
{
	struct strbuf missing;
	int rc = 0;

	strbuf_init(&missing, SHOWN_MAX);
	for (size_t i = 0; i < r->spec->n_rows; i++)
		if (r->spec->rows[i].positional && r->values[i] == NULL)
			strbuf_addf(
			    &missing, "%s%s", missing.len > 0 ? ", " : "", r->spec->rows[i].name);
	if (missing.len > 0)
		rc = mistake(r, "the following arguments are required: %s", missing.s);
	else if (r->extras.len > 0)
		rc = mistake(r, "unrecognized arguments: %s", r->extras.s);
	strbuf_fini(&missing);
	return rc;
}

static int
take_default(struct reader *r, size_t i)
{
	const struct argparse_row *row = &r->spec->rows[i];
	char *v = row->env != NULL ? getenv(row->env) : NULL;
	int rc = 0;

	if (r->values[i] == NULL && v != NULL)
		rc = take(r, row, v);
	else if (r->values[i] == NULL && row->def != NULL)
		rc = (r->values[i] = mem_strdup(row->def)) != NULL ? 0 : ERR_NOMEM;
	if (v != NULL && row->kind == ARGPARSE_SECRET) {
		mem_wipe(v, strlen(v));
		unsetenv(row->env);
	}
	return rc;
}

int
argparse_read(
    const struct argparse_spec *spec, int argc, char **argv, char **values, struct strbuf *say)
{
	struct reader r = { .spec = spec, .values = values, .say = say };
	int rc;

	strbuf_init(&r.extras, SHOWN_MAX);
	rc = read_words(&r, argc, argv);
	if (rc == 0)
		rc = check_given(&r);
	for (size_t i = 0; rc == 0 && i < spec->n_rows; i++)
		rc = take_default(&r, i);
	strbuf_fini(&r.extras);
	return rc;
}

void
argparse_fini(const struct argparse_spec *spec, char **values)
{
	for (size_t i = 0; i < spec->n_rows; i++) {
		if (values[i] != NULL)
			mem_wipe(values[i], strlen(values[i]));
		mem_free(values[i]);
		values[i] = NULL;
	}
}
