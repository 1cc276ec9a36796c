/* SPDX-License-Identifier: ISC */
/*
 * dialect - the protocols that a relay speaks on its WebSockets: one row, and one file, for each.
 *
 * A dialect turns the bytes of a WebSocket into a session (proto/session.h): whoever stands on the other side, the relay's login,
 * rights and bridges see the same two tables of operations.  The native mux is the first; a foreign tool's protocol is another
 * file here with its own session_ops and stream_ops, and a row in dialect.c.
 *
 * Life cycle: the relay finds the dialect by the path of the upgrade request, completes the handshake, and calls accept once for
 * each WebSocket.  The session then belongs to the relay's carrier.
 */
#ifndef PROTO_DIALECT_DIALECT_H
#define PROTO_DIALECT_DIALECT_H

#include "proto/mux.h"
#include "proto/session.h"

struct dialect {
	const char *name; /* for logs */
	const char *const
	    *paths; /* where a relay serves it by default; NULL-terminated, matched exactly */
	/* accept - a session for a peer that has just connected; its limits come from cfg.  NULL: out of memory. */
	struct session *(*accept)(const struct mux_config *cfg, uint64_t now_ms);
};

/*
 * dialect_find - the dialect of a request's path.
 *   target        of the request line; a query is not looked at
 *   native_paths  n paths that stand for the native dialect's own when n > 0 (--path)
 * NULL: no dialect is served there.
 */
const struct dialect *dialect_find(const char *target, char *const *native_paths, size_t n);

extern const struct dialect dialect_native;

#endif
