/* SPDX-License-Identifier: ISC */
/*
 * client - what the ways into `tunnel connect` share: routes to agents, and local connections
 * carried over them.
 *
 * A route is the agent's name and its uplinks to the relay (one session each, bound to that
 * agent), which its connections share; or, where the relay's protocol has one stream for each
 * WebSocket, an uplink for each connection.  A conn is one local byte stream (standard input and
 * output, an accepted socket) on its way to a target behind the agent.
 *
 *     RUNNING ── signal ──> ENDING ── nothing is carried any more ──> LEAVING
 *     LEAVING ── goodbyes said ──> OVER
 *
 * ENDING lasts CLIENT_GRACE_MS, for connections that are at their end anyway; what is still carried
 * then is cut: reset at both ends, so that neither takes it for an end in good order.
 */
#ifndef CMD_CONNECT_CLIENT_H
#define CMD_CONNECT_CLIENT_H

#include <sys/queue.h>

#include "cmd/cmd.h"
#include "cmd/common/uplink.h"
#include "cmd/common/dpump.h"
#include "cmd/common/pump.h"
#include "cmd/connect/e2e.h"
#include "lib/base/log_limit.h"

/* How long a local connection waits for an uplink that is being dialled. */
#define CLIENT_WAIT_MS 15000
/* A goodbye takes a round trip; a relay that does not read is not waited for. */
#define CLIENT_GOODBYE_MS 500
/*
 * Where the protocol cannot say that the local end is over: how long the other end may be silent
 * after it.  Standard input and output: for ever.
 */
#define CLIENT_ONE_SIDED_MS 60000
/* The last acknowledgement of a connection whose program has just ended takes one too. */
#define CLIENT_GRACE_MS 200

struct connect_opts {
	struct uplink_opts uplink;
	struct opt_list local, socks;
	struct e2e_opts e2e;
	char *ready_file;
	struct cmd_common common;
};

/* connect as http-network-relay's access-client: its target, and what its exit status is about. */
struct client_dropin {
	const char *agent;
	/* Bytes, whatever its protocol. */
	struct ctl_open open;
	/* The relay has answered; our own side failed, or the relay made no sense. */
	bool answered, failed;
};

struct route;
struct conn;
TAILQ_HEAD(route_list, route);
struct socks;
TAILQ_HEAD(socks_list, socks);

enum client_state { CLIENT_RUNNING, CLIENT_ENDING, CLIENT_LEAVING, CLIENT_OVER };

struct client {
	struct connect_opts opts;
	struct loop *loop;
	struct uplink_config config;
	struct e2e e2e;
	struct route_list routes;
	/* Connections to -D, until they have ended. */
	struct socks_list socks;
	/* Of ENDING and LEAVING. */
	struct timer deadline;
	enum client_state state;
	unsigned n_conns;
	/* Of this thread; made for the first that carries datagrams. */
	struct udp_batch *batch;
	/* Standard input and output: the first failure to reach the relay is the end. */
	bool once;
	/* Of lines about single connections: programs, and web pages in them, decide how many. */
	struct log_limit log;
	/* NULL: it runs under its own name. */
	struct client_dropin *dropin;
	/* The exit status; negative: not known yet.  The first one counts. */
	int code;
};

/*
 * client_init - the members below opts; ERR_NOMEM.  client_fini accepts one that was only zeroed.
 */
int client_init(struct client *c) WARN_UNUSED;
void client_fini(struct client *c);

/* client_code - what the exit status will be, unless that is known already. */
void client_code(struct client *c, int code);
/* client_stop - end the loop with this exit status. */
void client_stop(struct client *c, int code);
/* client_leave - say goodbye on all uplinks and stop when they are gone. */
void client_leave(struct client *c, int code);
/*
 * client_cancel - the same after everything that is carried was reset with text; the goodbye gets
 * CLIENT_GOODBYE_MS.
 */
void client_cancel(struct client *c, int code, const char *text);
/*
 * client_end - a signal: let end what is at its end, cut the rest, say goodbye.  CMD_OK if nothing
 * was cut, otherwise CMD_FAILED. A second call does not wait.
 */
void client_end(struct client *c);

/* route_get - the route to an agent, made and dialled at the first call; NULL: out of memory. */
struct route *route_get(struct client *c, const char *agent);

/*
 * route_stream - a stream on one of the route's sessions; o gets its token here.  NULL: none is up,
 * or it takes no more.
 */
struct stream *route_stream(
    struct route *r, struct ctl_open *o, const struct stream_user *user, void *arg) WARN_UNUSED;

/* client_batch - the thread's.  NULL: out of memory. */
struct udp_batch *client_batch(struct client *c);

/*
 * conn_target - fill o from "SERVICE" or "HOST:PORT", for CTL_TCP or CTL_UDP; what: the option for
 * messages.  ERR_INVALID with e.
 */
int conn_target(struct ctl_open *o, const char *protocol, const char *text, const char *what,
    struct errtext *e) WARN_UNUSED;

/*
 * How a conn that waits for the target's answer (SOCKS) is told: the stream stands, or was refused
 * with a code.  Returns whether that could be said; if not, what stands ends.
 */
typedef bool conn_answer_fn(void *arg, uint32_t code, const char *text);
typedef void conn_done_fn(void *arg, const struct pump_result *res);

/*
 * conn_start - carry f (a socket filter, taken over, also on failure) to o through the route.
 *   answer   NULL: bytes flow at once.  Otherwise it is called once; with CODE_OK bytes
 *            flow after it returns; with another code f stays the caller's again.
 *   done     called once at the end, not after an answer with another code than CODE_OK
 * All of these may be called before conn_start returns.
 * Returns NULL when out of memory: f has been freed, nothing is called.
 */
struct conn *conn_start(struct route *r, struct filter *f, const struct ctl_open *o,
    conn_answer_fn *answer, conn_done_fn *done, void *arg);

/*
 * conn_start_datagrams - the same for a socket that keeps the boundaries of datagrams (dpump.h),
 * and an o of CTL_UDP.  Nobody waits for an answer.
 */
struct conn *conn_start_datagrams(
    struct route *r, int fd, const struct ctl_open *o, conn_done_fn *done, void *arg);

#endif
