/* SPDX-License-Identifier: ISC */
/*
 * known - the file of --known-agents: the keys by which agents are known, never those that a relay
 * tells.
 *
 *     # the key at the end is the next one of pi
 *     pi  tunnel-pub-A1b2...
 *     pi  tunnel-pub-C3d4...
 *
 * A line is a name and a key; an empty one, and one that begins with '#', says nothing.  Several
 * lines of one name are several keys, of which any will do.
 */
#ifndef CMD_CONNECT_KNOWN_H
#define CMD_CONNECT_KNOWN_H

#include "lib/tls/keys.h"

/* Bytes of the file. */
#define KNOWN_FILE_MAX (1024 * 1024)

struct known;

/*
 * known_parse - n bytes of text.  ERR_INVALID, ERR_LIMIT (a name has more than KEYS_LIST_MAX keys),
 * ERR_NOMEM with e naming the line.  known_load - the file at path; ERR_NOTFOUND, ERR_SYS too.
 */
int known_parse(const char *p, size_t n, struct known **out, struct errtext *e) WARN_UNUSED;
int known_load(const char *path, struct known **out, struct errtext *e) WARN_UNUSED;
void known_free(struct known *k);

/* known_keys - of this agent; NULL: it is not known.  Valid as long as k. */
const struct keys_list *known_keys(const struct known *k, const char *agent);

#endif
