/* SPDX-License-Identifier: ISC */
/* creds_int - the credentials in memory, shared by creds_file.c and creds.c. */
#ifndef PROTO_CREDS_INT_H
#define PROTO_CREDS_INT_H

#include <stdatomic.h>

#include "lib/conf/match.h"
#include "proto/creds.h"
#include "proto/creds_publish.h"

/* Strings. */
struct creds_list {
	char **v;
	size_t n;
};

struct creds_digests {
	uint8_t (*v)[HASH_SHA256_LEN];
	size_t n;
};

struct creds_entry {
	char *name;
	/* Agent: another's differs from it in case only. */
	bool has_twin;
	struct creds_digests secrets;
	/* SHA-256 of each public key's point; never mixed with those of secrets. */
	struct creds_digests keys;
	int64_t expires_s;
	struct creds_limits limits;
	/* Agent: it has "services" or "targets", and offers nothing else. */
	bool limited;
	/* Agent. */
	struct creds_publish publish;
	/* Agent: its "services"; client: those of "targets" without a colon. */
	struct creds_list services;
	/* Those of "targets" with a colon. */
	struct match *hosts;
	/* Client. */
	struct creds_list agents;
	/* Client: it may have sessions end to end, whose targets a relay cannot see. */
	bool e2e;
};

struct creds_table {
	/* sorted by name */
	struct creds_entry *v;
	size_t n;
};

struct creds {
	atomic_uint refs;
	struct creds_table agents;
	struct creds_table clients;
	struct creds_digests shared;
	struct errtext warnings[CREDS_WARNINGS_MAX];
	size_t n_warnings;
};

struct jobj;

/*
 * creds_read - n bytes of text, a JSON object from which take fills c; otherwise as creds_parse.
 * creds_read_file - the same of the file at path.
 */
typedef int creds_take(const struct jobj *o, struct creds *c, struct errtext *e);
int creds_read(
    const void *p, size_t n, creds_take *take, struct creds **out, struct errtext *e) WARN_UNUSED;
int creds_read_file(
    const char *path, creds_take *take, struct creds **out, struct errtext *e) WARN_UNUSED;
/* creds_take_clients - of an agent's own file (creds_clients.h). */
creds_take creds_take_clients;

/* creds_client_entry - NULL: there is none.  creds_list_has - does a pattern of l match name? */
const struct creds_entry *creds_client_entry(const struct creds *c, const char *name);
bool creds_list_has(const struct creds_list *l, const char *name);

int creds_digest_of_key(
    const uint8_t point[KEYS_POINT_LEN], uint8_t out[HASH_SHA256_LEN]) WARN_UNUSED;
int creds_digest_of(const char *secret, uint8_t out[HASH_SHA256_LEN]) WARN_UNUSED;

/* creds_by_name - the order of a table: names that are equal but for case are neighbours. */
int creds_by_name(const void *a, const void *b);

#endif
