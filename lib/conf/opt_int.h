/* SPDX-License-Identifier: ISC */
/*
 * opt_int - what the files of opt share.
 *
 * Private to lib/conf.
 */
#ifndef LIB_OPT_INT_H
#define LIB_OPT_INT_H

#include "lib/base/hash.h"
#include "lib/conf/opt.h"

/* Bytes of "--name" or "NAME in FILE" in an error, and of a wrong value. */
#define OPT_WHERE_MAX 200
#define OPT_VALUE_SHOWN 80

/* Where a row's value came from; a source may only set rows of a lower one. */
enum opt_from { FROM_NOWHERE, FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_FLAG };

struct opt_mark {
	enum opt_from from;
	/* Of what the file says; zero if it says nothing. */
	uint8_t digest[HASH_SHA256_LEN];
};

struct opt_parse {
	const struct opt_spec *spec;
	char *target;
	struct opt_result *res;
	struct errtext *e;
	/* Of each row; those of res. */
	struct opt_mark *marks;
};

/* opt_slot - where a row's value is. */
static inline void *
opt_slot(const struct opt_row *row, void *target)
{
	return (char *)target + row->off;
}

/* ---- opt_value.c ---- */

/* opt_set_value - one value for one row.  where: what an error calls the place it came from. */
int opt_set_value(struct opt_parse *p, const struct opt_row *row, enum opt_from from,
    const char *where, const char *value) WARN_UNUSED;

/* opt_list_add - n bytes, copied: ERR_LIMIT, ERR_NOMEM.  opt_list_fini leaves an empty list. */
int opt_list_add(struct opt_list *l, const char *s, size_t n) WARN_UNUSED;
void opt_list_fini(struct opt_list *l);

/* ---- opt_file.c ---- */

/* opt_from_file - what the configuration file says, for rows that no higher source has set. */
int opt_from_file(struct opt_parse *p, const char *path) WARN_UNUSED;

#endif
