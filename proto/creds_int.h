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

int creds_digest_of_key(
    const uint8_t point[KEYS_POINT_LEN], uint8_t out[HASH_SHA256_LEN]) WARN_UNUSED;
int creds_digest_of(const char *secret, uint8_t out[HASH_SHA256_LEN]) WARN_UNUSED;

/* creds_by_name - the order of a table: names that are equal but for case are neighbours. */
int creds_by_name(const void *a, const void *b);

#endif
