/* SPDX-License-Identifier: ISC */
/*
 * dialect - the protocols that are spoken on a WebSocket with a relay: one row, and one file, for
 * each.
 *
 * A dialect turns what a WebSocket carries into a session (proto/session.h).  So whoever stands on
 * the other side, login, rights and bridges see the same two tables of operations.  The native mux
 * is the first; a foreign tool's protocol is another file here with its own session_ops and
 * stream_ops, and a row in dialect.c.
 *
 * What a dialect decides by its row:
 *   paths     where a relay serves it
 *   carries   a stream of bytes, or whole messages (text or binary): session_input and
 *             session_output then get and give one message at a time
 *   can       what its sessions can do beside carrying bytes.  For what is missing the relay's
 *             bridge makes up (cmd/relay/bridge.h), and never calls the operation
 *   login     who it is may stand in the upgrade request; the answer is then an HTTP status.  Else
 *             it is in the session, which calls user->hello, and a refusal is a GOAWAY.  Either may
 *             come later
 *
 * Life cycle in a relay (dialect_accept):
 *   path of the request ──> dialect ──> (login: asked, refused by status) ──> 101
 *   101 ──> accept ──> session
 * and at a dialer (dialect_dial):
 *   101 ──> dial ──> session, which is told by session_greet who we are
 * The session then belongs to its carrier.  No I/O and no clock, as in all of proto/.
 */
#ifndef PROTO_DIALECT_DIALECT_H
#define PROTO_DIALECT_DIALECT_H

#include "proto/mux.h"
#include "proto/session.h"

struct http_head;

/* What is known of the other side before it has said a word; borrowed for the call. */
struct dialect_from {
	/* The upgrade request (lib/http/http.h). */
	const struct http_head *head;
	/* Its address, for logs and for what names it. */
	const char *address;
	/* What TLS says of the connection (f_tls_describe); "" without TLS. */
	const char *tls;
	/* The public key that it has proved inside (KEYS_POINT_LEN bytes); NULL: none. */
	const uint8_t *key;
};

#define DIALECT_FOR(role) (1u << (role))

struct dialect {
	/* For logs. */
	const char *name;
	/* NULL-terminated; matched exactly.  The first is the one to dial. */
	const char *const *paths;
	/* Who dials there: set of DIALECT_FOR(CTL_AGENT) and DIALECT_FOR(CTL_CONNECT). */
	unsigned roles;
	/* One stream for each WebSocket. */
	bool single;
	enum session_carries carries;
	/* SESSION_HALF_CLOSE and so on. */
	unsigned can;
	/* Messages: the most bytes of one; not looked at for SESSION_BYTES. */
	uint64_t message_max;
	/*
	 * Who says this request that it is?  NULL: the session will tell.
	 *   h  filled on success; its secret is wiped by the caller
	 * ERR_PROTO: the request makes no sense; ERR_DENIED: it does not say who it is.
	 */
	int (*login)(const struct dialect_from *from, struct ctl_hello *h);
	/*
	 * A session for a peer that has just connected; its limits come from cfg.  NULL: out of
	 * memory.  Without the function it is not served.
	 */
	struct session *(*accept)(
	    const struct mux_config *cfg, const struct dialect_from *from, uint64_t now);
	/* A session with the relay that we have dialled.  NULL: out of memory. */
	struct session *(*dial)(const struct mux_config *cfg, uint64_t now);
};

/* All that we have, NULL-terminated. */
extern const struct dialect *const dialects_all[];
extern const struct dialect dialect_native;
/* http-network-relay: what its edge-agent speaks, and what its access-client does. */
extern const struct dialect dialect_hnr_agents, dialect_hnr_clients;

/*
 * dialect_find - the dialect of a request's path.
 *   all           NULL-terminated
 *   target        of the request line; a query is not looked at
 *   native_paths  n paths that stand for the native dialect's own when n > 0 (--path)
 * NULL: no dialect is served there.
 */
const struct dialect *dialect_find(
    const struct dialect *const *all, const char *target, char *const *native_paths, size_t n);

/*
 * dialect_by_name - the dialect of that name for whoever has this role; NULL: none.
 */
const struct dialect *dialect_by_name(
    const struct dialect *const *all, const char *name, enum ctl_role role);

/*
 * dialect_by_url - the foreign dialect that the path of a relay's URL ends in, whatever stands
 * before it; NULL: none.
 */
const struct dialect *dialect_by_url(const struct dialect *const *all, const char *target);

/*
 * dialect_accept, dialect_dial - d's session, which knows what it carries and can.  NULL: out of
 * memory.
 */
struct session *dialect_accept(const struct dialect *d, const struct mux_config *cfg,
    const struct dialect_from *from, uint64_t now);
struct session *dialect_dial(const struct dialect *d, const struct mux_config *cfg, uint64_t now);

#endif
