/* SPDX-License-Identifier: ISC */
/*
 * match - which targets are allowed: a list of HOST:PORT patterns that denies by default.
 *
 *     127.0.0.1:*          one address, every port
 *     10.0.0.0/8:443       a network
 *     [::1]:8000-8999      IPv6, a range of ports
 *     localhost:22         a name, one port
 *     *.example.com:80     every name below, not example.com itself
 *     *:443                every host
 *
 * A pattern whose host is an address or a network is an address rule, any other is a name rule; "*"
 * is both.  Addresses are compared after ::ffff:a.b.c.d has become a.b.c.d, so no spelling slips
 * past a rule.
 *
 * The agent asks match_target() for each resolved address just before it dials that very address.
 * An address rule admits it whatever it was called.  A name rule admits it only if the address is
 * an ordinary one: a name cannot be pointed (DNS rebinding) at loopback, at the metadata services
 * of clouds or at another address that addr_is_special() knows.  Names at or below localhost may be
 * loopback (RFC 6761 6.3).  The relay, which resolves nothing, asks match_name().
 */
#ifndef LIB_MATCH_H
#define LIB_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/addr.h"
#include "lib/net/hostport.h"

#define MATCH_RULES_MAX 4096 /* patterns of one list */

struct match;

/* match_new - an empty list, which allows nothing; NULL without memory.  match_free takes NULL. */
struct match *match_new(void) WARN_UNUSED;
void match_free(struct match *m);

/*
 * match_add - one more pattern.  Returns 0; ERR_INVALID with e saying what is wrong with it;
 * ERR_LIMIT; ERR_NOMEM.
 */
int match_add(struct match *m, const char *pattern, struct errtext *e) WARN_UNUSED;

/* match_add_loopback - the agent's default: 127.0.0.0/8 and ::1 and localhost, every port. */
int match_add_loopback(struct match *m) WARN_UNUSED;

/*
 * match_target - may a be dialled for somebody who asked for name?
 *   name   host as it was asked for, name or address; any letter case, one trailing dot ignored
 *   a      port included; a Unix socket is never admitted
 */
bool match_target(const struct match *m, const char *name, const struct addr *a);

/*
 * match_name - would the pattern list admit this host (name, or address as text) as it is written,
 * and the port?
 */
bool match_name(const struct match *m, const char *host, uint16_t port);

/*
 * match_glob - does text match pattern, where '*' stands for any run of characters and the rest for
 * itself?
 */
bool match_glob(const char *pattern, const char *text);

#endif
