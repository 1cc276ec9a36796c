/* SPDX-License-Identifier: ISC */
/* pages - the operator's own pages for what the relay answers by itself. */
#include "cmd/relay/ingress/pages.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/base/mem.h"

/* All that the relay answers. */
static const int statuses[] = { 308, 400, 401, 403, 404, 408, 421, 429, 431, 501, 502, 503, 504,
	505 };

enum { N_STATUSES = sizeof statuses / sizeof statuses[0] };

struct pages {
	atomic_uint refs;
	struct page {
		/* NULL: there is none */
		char *text;
		size_t len;
	} v[N_STATUSES];
};

static int
load_page(struct page *p, const char *dir, int status, struct errtext *e)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/%d.html", dir, status);
	int r;

	if (n < 0 || (size_t)n >= sizeof path)
		return err_set(e, ERR_INVALID, "%s: the path is too long", dir);
	r = file_read_all(path, PAGES_MAX, &p->text, &p->len, e);
	return r == ERR_NOTFOUND ? 0 : r;
}

int
pages_load(const char *dir, struct pages **out, struct errtext *e)
{
	struct pages *p;
	struct stat st;
	int r = 0;

	if (stat(dir, &st) != 0)
		return err_sys(e, "%s", dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVALID, "%s: not a directory", dir);
	p = mem_zalloc(sizeof *p);
	if (p == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	atomic_init(&p->refs, 1);
	for (size_t i = 0; r == 0 && i < N_STATUSES; i++)
		r = load_page(&p->v[i], dir, statuses[i], e);
	if (r == 0)
		*out = p;
	else
		pages_unref(p);
	return r;
}

struct pages *
pages_ref(struct pages *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void
pages_unref(struct pages *p)
{
	if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < N_STATUSES; i++)
		mem_free(p->v[i].text);
	mem_free(p);
}

const char *
pages_find(const struct pages *p, int status, size_t *n)
{
	for (size_t i = 0; p != NULL && i < N_STATUSES; i++)
		if (statuses[i] == status && p->v[i].text != NULL) {
			*n = p->v[i].len;
			return p->v[i].text;
		}
	return NULL;
}
