/* SPDX-License-Identifier: ISC */
/* opt_value - one value, as text, into the slot of its row. */
#include "lib/conf/opt_int.h"

#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/secret.h"
#include "lib/base/str.h"

/* Values of one list option. */
#define LIST_MAX 65536

void
opt_list_fini(struct opt_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		mem_free(l->v[i]);
	mem_free(l->v);
	*l = (struct opt_list){ 0 };
}

int
opt_list_add(struct opt_list *l, const char *s, size_t n)
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
set_enum(struct opt_parse *p, const struct opt_row *row, const char *where, const char *value)
{
	struct strbuf words;
	char shown[OPT_VALUE_SHOWN];
	int i, r;

	for (i = 0; row->words[i] != NULL; i++)
		if (strcmp(row->words[i], value) == 0) {
			*(int *)opt_slot(row, p->target) = i;
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
set_number(struct opt_parse *p, const struct opt_row *row, const char *where, const char *value)
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
	char shown[OPT_VALUE_SHOWN];
	int r = kinds[row->kind].parse(value, row->min, max, opt_slot(row, p->target));

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
set_string(struct opt_parse *p, const struct opt_row *row, const char *value)
{
	char **s = opt_slot(row, p->target), *copy = mem_strdup(value);

	if (copy == NULL)
		return err_set(p->e, ERR_NOMEM, "out of memory");
	mem_free(*s);
	*s = copy;
	return 0;
}

static int
set_secret(struct opt_parse *p, const struct opt_row *row, const char *where, const char *value)
{
	struct secret **s = opt_slot(row, p->target), *copy;
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

int
opt_set_value(struct opt_parse *p, const struct opt_row *row, enum opt_from from, const char *where,
    const char *value)
{
	char shown[OPT_VALUE_SHOWN];
	int r = 0;

	switch (row->kind) {
	case OPT_FLAG:
		if (!parse_bool(value, opt_slot(row, p->target)))
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
		if ((r = opt_list_add(opt_slot(row, p->target), value, strlen(value))) != 0)
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
	p->marks[row - p->spec->rows].from = from;
	return r;
}
