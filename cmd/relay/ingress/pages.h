/* SPDX-License-Identifier: ISC */
/*
 * pages - the operator's own pages for what the relay answers by itself (--error-pages): of DIR the
 * files 404.html, 503.html and so on.
 *
 * They are read at start and by a reload, never in a loop.  Threads: any; read only, with a count.
 */
#ifndef CMD_RELAY_INGRESS_PAGES_H
#define CMD_RELAY_INGRESS_PAGES_H

#include <stddef.h>

#include "lib/base/err.h"

/* Bytes of one page. */
#define PAGES_MAX (64 * 1024)

struct pages;

/*
 * pages_load - those that are there, one reference in *out.
 * ERR_SYS, ERR_INVALID (no directory), ERR_LIMIT (PAGES_MAX), ERR_NOMEM, with e.
 */
int pages_load(const char *dir, struct pages **out, struct errtext *e) WARN_UNUSED;

struct pages *pages_ref(struct pages *p);
/* pages_unref - accepts NULL. */
void pages_unref(struct pages *p);

/* pages_find - *n bytes of HTML for this status; NULL: there is none.  p may be NULL. */
const char *pages_find(const struct pages *p, int status, size_t *n);

#endif
