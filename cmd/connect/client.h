/* SPDX-License-Identifier: ISC */
/*
 * client - what the ways into `tunnel connect` share: routes to agents, and local connections carried over them.
 *
 * A route is the agent's name and its uplinks to the relay (one session each, bound to that agent).  A conn is one local byte stream
 * (standard input and output, an accepted socket) on its way to a target behind the agent.
 */
#ifndef CMD_CONNECT_CLIENT_H
#define CMD_CONNECT_CLIENT_H

#include <sys/queue.h>

#include "cmd/cmd.h"
#include "cmd/common/uplink.h"
#include "cmd/common/pump.h"

/* How long a local connection waits for a uplink that is being dialled. */
#define CLIENT_WAIT_MS 15000
/* A goodbye takes a round trip; a relay that does not read is not waited for. */
#define CLIENT_GOODBYE_MS 500

struct connect_opts {
	struct uplink_opts uplink;
	struct opt_list local, socks;
	uint64_t carriers;
	char *ready_file;
	struct cmd_common common;
};

struct route;
struct conn;
TAILQ_HEAD(route_list, route);
struct socks;
TAILQ_HEAD(socks_list, socks);

struct client {
	struct connect_opts opts;
	struct loop *loop;
	struct uplink_config config;
	struct route_list routes;
	struct socks_list socks; /* connections to -D, until they have ended */
	struct timer goodbye;
	bool once; /* standard input and output: the first failure to reach the relay is the end */
	bool draining;
	int code;
};

/* client_stop - end the loop with this exit code; the first call counts. */
void client_stop(struct client *c, int code);
/*
 * client_cancel - the same after a goodbye: what is being carried is reset with text, so that no far side takes it for an end in
 * good order.  A second call does not wait.
 */
void client_cancel(struct client *c, int code, const char *text);

/* route_get - the route to an agent, made and dialled at the first call; NULL: out of memory. */
struct route *route_get(struct client *c, const char *agent);
/* routes_finish - say goodbye on all uplinks; client_stop(CMD_OK) when they are gone. */
void routes_finish(struct client *c);
void routes_free(struct client *c);

/*
 * conn_target - fill o from "SERVICE" or "HOST:PORT"; what: the option for messages.  ERR_INVALID with e.
 */
int conn_target(
    struct ctl_open *o, const char *text, const char *what, struct errtext *e) WARN_UNUSED;

/* How a conn that waits for the target's answer (SOCKS) is told: the stream stands, or was refused with a code. */
typedef void conn_answer_fn(void *arg, uint32_t code, const char *text);
typedef void conn_done_fn(void *arg, const struct pump_result *res);

/*
 * conn_start - carry f (taken over, also on failure) to o through the route.
 *   answer   NULL: bytes flow at once.  Otherwise it is called once; with CODE_OK bytes flow after it returns; with another
 *            code f stays the caller's again.
 *   done     called once at the end, not after an answer with another code than CODE_OK
 * All of these may be called before conn_start returns.
 * Returns NULL when out of memory: f has been freed, nothing is called.
 */
struct conn *conn_start(struct route *r, struct filter *f, const struct ctl_open *o,
    conn_answer_fn *answer, conn_done_fn *done, void *arg);

#endif
