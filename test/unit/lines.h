/* SPDX-License-Identifier: ISC */
/*
 * lines - a small foreign dialect for tests: one text message for each thing that is said.
 *
 *     agent NAME SECRET     connect NAME SECRET     welcome     bye TEXT
 *     open SERVICE          ok                      data TEXT   end          reset TEXT
 *
 * One stream for a session, no half-closes, no acknowledgements, no windows: what
 * http-network-relay's access-client has.  dialect_lines is served at /lines and logs in by its
 * first message; dialect_lines_head at /lines-head, and who it is stands in the request: "X-Lines:
 * agent NAME SECRET".
 */
#ifndef TEST_UNIT_LINES_H
#define TEST_UNIT_LINES_H

#include "proto/dialect/dialect.h"

extern const struct dialect dialect_lines, dialect_lines_head;

/* What the last accept was told. */
struct lines_seen {
	char address[64], tls[64], target[64];
};
extern struct lines_seen lines_seen;

#endif
