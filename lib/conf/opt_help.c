/* SPDX-License-Identifier: ISC */
/* opt_help - the text of --help, from the same table. */
#include <stdio.h>
#include <string.h>

#include "lib/conf/opt.h"

#define HELP_WIDTH 80
#define HELP_COLUMN 30 /* where the explanations begin */
#define NOTE_MAX 200   /* bytes of a remark behind one */

void
opt_words(const struct opt_row *row, const char *between, struct strbuf *out)
{
	size_t i;

	for (i = 0; row->words[i] != NULL; i++) {
		strbuf_adds(out, i > 0 ? between : "");
		strbuf_adds(out, row->words[i]);
	}
}

/* Bytes of the first word; what stands in brackets is not torn apart: "[--key FILE]". */
static size_t
word_len(const char *text, size_t n)
{
	size_t i, depth = 0;

	for (i = 0; i < n && (text[i] != ' ' || depth > 0); i++) {
		if (text[i] == '[')
			depth++;
		else if (text[i] == ']' && depth > 0)
			depth--;
	}
	return i;
}

/* Append n bytes word by word; *col is where the line stands, later lines begin at indent. */
static void
wrap(struct strbuf *out, const char *text, size_t n, size_t *col, size_t indent)
{
	const char *end = text + n;
	size_t word;

	for (; text < end; text += word + 1) {
		word = word_len(text, (size_t)(end - text));
		if (*col > indent && *col + 1 + word > HELP_WIDTH) {
			strbuf_addf(out, "\n%*s", (int)indent, "");
			*col = indent;
		} else if (*col > indent) {
			strbuf_addc(out, ' ');
			++*col;
		}
		strbuf_add(out, text, word);
		*col += word;
	}
}

/* A short remark after the explanation of a row. */
static void
note(struct strbuf *out, size_t *col, const char *before, const char *what, const char *after)
{
	char text[NOTE_MAX];

	snprintf(text, sizeof(text), "%s%s%s", before, what, after);
	wrap(out, text, strlen(text), col, HELP_COLUMN);
}

static void
help_left(const struct opt_row *row, struct strbuf *out)
{
	bool negative = row->kind == OPT_FLAG && row->def != NULL && strcmp(row->def, "true") == 0;

	if (row->letter != 0)
		strbuf_addf(out, "  -%c, ", row->letter);
	else
		strbuf_adds(out, "      ");
	strbuf_addf(out, "--%s%s", negative ? "no-" : "", row->name);
	if (row->kind == OPT_FLAG)
		return;
	strbuf_addc(out, ' ');
	if (row->arg == NULL && row->kind == OPT_ENUM)
		opt_words(row, "|", out);
	else
		strbuf_adds(out, row->arg != NULL ? row->arg : "VALUE");
}

static void
help_row(const struct opt_row *row, struct strbuf *out)
{
	size_t start = out->len, col;

	help_left(row, out);
	col = out->len - start;
	if (col + 2 > HELP_COLUMN) {
		strbuf_addc(out, '\n');
		col = 0;
	}
	strbuf_addf(out, "%*s", (int)(HELP_COLUMN - col), "");
	col = HELP_COLUMN;
	wrap(out, row->help, strlen(row->help), &col, HELP_COLUMN);
	if (row->kind == OPT_LIST)
		note(out, &col, "(", "repeatable", ")");
	if (row->def != NULL && row->kind != OPT_FLAG)
		note(out, &col, "(default ", row->def, ")");
	if (row->env != NULL)
		note(out, &col, "[", row->env, "]");
	strbuf_addc(out, '\n');
}

void
opt_help(const struct opt_spec *spec, struct strbuf *out)
{
	const char *line = spec->synopsis;
	size_t n, col, i, indent = strlen("usage: ") + strlen(spec->prog) + 1;

	for (i = 0; *line != '\0'; i++) {
		n = strcspn(line, "\n");
		strbuf_addf(out, "%s %s ", i == 0 ? "usage:" : "      ", spec->prog);
		col = indent;
		wrap(out, line, n, &col, indent);
		strbuf_addc(out, '\n');
		line += n + (line[n] == '\n');
	}
	strbuf_addc(out, '\n');
	col = 0;
	wrap(out, spec->about, strlen(spec->about), &col, 0);
	strbuf_adds(out, "\n\n");
	for (i = 0; i < spec->n_rows; i++)
		help_row(&spec->rows[i], out);
	strbuf_adds(out, "  -h, --help                  show this text\n");
	if (spec->config_row != NULL)
		strbuf_addf(out,
		    "\nFlags go before [environment] variables, these before the file of --%s\n"
		    "(a JSON object whose keys are the long names), and that before defaults.\n",
		    spec->config_row);
}
