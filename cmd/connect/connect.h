/* SPDX-License-Identifier: ISC */
/* connect - the ways into the subcommand: standard input and output, local ports, a SOCKS proxy. */
#ifndef CMD_CONNECT_CONNECT_H
#define CMD_CONNECT_CONNECT_H

#include "cmd/connect/client.h"

/* connect_command - run with these arguments to the end; returns the status.  dropin: or NULL. */
int connect_command(int argc, char **argv, struct client_dropin *dropin);

/* ---- stdio.c ---- */

/*
 * stdio_start - carry standard input and output to o.  The client stops when both directions have
 * ended: CMD_OK if in good order. ERR_SYS, ERR_NOMEM with e.
 */
int stdio_start(
    struct client *c, const char *agent, const struct ctl_open *o, struct errtext *e) WARN_UNUSED;
/*
 * stdio_start_datagrams - the same for an o of CTL_UDP: each read of standard input is a datagram,
 * each that comes is one write.
 */
int stdio_start_datagrams(
    struct client *c, const char *agent, const struct ctl_open *o, struct errtext *e) WARN_UNUSED;
/*
 * stdio_end - after the loop: wait until what was written has left the helper thread.
 *   cut   by a signal: at most STDIO_CUT_S seconds, since a terminal may be stopped for ever
 * ERR_SYS, logged: it could not.
 */
#define STDIO_CUT_S 1
int stdio_end(bool cut) WARN_UNUSED;

/* ---- forward.c ---- */

/* One -L or -D. */
struct forward;
TAILQ_HEAD(forward_list, forward);

/*
 * forward_local - "[udp:][BIND:]PORT=AGENT:SERVICE" or "=AGENT:HOST:PORT"; forward_socks -
 * "[BIND:]PORT=AGENT".  ERR_INVALID, ERR_SYS with e.
 */
int forward_local(
    struct client *c, struct forward_list *list, const char *spec, struct errtext *e) WARN_UNUSED;
int forward_socks(
    struct client *c, struct forward_list *list, const char *spec, struct errtext *e) WARN_UNUSED;
/* forwards_stop - listen no more; what was accepted goes on. */
void forwards_stop(struct forward_list *list);
void forwards_free(struct forward_list *list);
/* forwards_json - what --ready-file holds; malloc'd, NULL when out of memory. */
char *forwards_json(const struct forward_list *list);

/* ---- socks.c ---- */

/* socks_start - speak SOCKS5 (RFC 1928) with f, then carry it through r. */
void socks_start(struct client *c, struct route *r, struct filter *f);
/* socks_free_all - after client_fini: what has not come to a target yet is closed, too. */
void socks_free_all(struct client *c);

#endif
