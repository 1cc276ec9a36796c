/* SPDX-License-Identifier: ISC */
/*
 * rfc3339 - a point in time as people and other programs write it (RFC 3339 5.6).
 *
 *     2027-01-31T00:00:00Z    2027-01-31T01:00:00.5+01:00
 *
 * Pure: no clock, no time zone of the machine.
 */
#ifndef PROTO_RFC3339_H
#define PROTO_RFC3339_H

#include <stdbool.h>
#include <stdint.h>

/*
 * rfc3339_parse - the whole of s as seconds since 1970-01-01T00:00:00Z; a fraction is checked and
 * dropped, a leap second counts as the one after it.  false for anything else, a date that no
 * calendar has included; *out is as it was then.
 */
bool rfc3339_parse(const char *s, int64_t *out);

#endif
