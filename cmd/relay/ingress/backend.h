/* SPDX-License-Identifier: ISC */
/*
 * backend - where a request goes: the one interface between visitors' HTTP and agents.
 *
 *     exchange ── head, payload, end ──> backend ── head, payload, end ──> exchange
 *
 * Behind it stands a stream to the service (backend_stream.c), which speaks HTTP/1.1 and may be kept
 * for the next request.  Framing is the backend's: the exchange hands over heads without
 * Content-Length, Transfer-Encoding and Connection, and payload.
 *
 * Back-pressure: backend_room says how much payload is welcome, writable tells when there is some
 * again; while backend_pause(true) is in force no payload of the answer is delivered, and at most
 * the stream's window comes to stand.
 *
 * Life cycle: backend_open, backend_begin, backend_body as often as there is payload, backend_end;
 * the callbacks; backend_close, always, which keeps the stream for others if both messages have
 * ended as they should.  Callbacks are never called from within backend_open, and not after
 * backend_close.
 */
#ifndef CMD_RELAY_INGRESS_BACKEND_H
#define CMD_RELAY_INGRESS_BACKEND_H

#include "lib/http/body.h"
#include "lib/http/http.h"
#include "lib/net/addr.h"
#include "lib/net/filter.h"

struct account;
struct backend;
struct peer;
struct publication;

/* What went wrong; the visitor's status hangs on it, if no byte of an answer has left yet. */
enum backend_failure {
	/* the agent says that the service cannot be reached, or must not be */
	BACKEND_REFUSED,
	/* the agent or its session is gone */
	BACKEND_LOST,
	/* the stream or the service ended before the answer was whole */
	BACKEND_CUT,
	/* no OPEN_OK within ;connect= */
	BACKEND_UNREACHED,
	/* no head within ;timeout=, counted from the last byte of the request that was acknowledged */
	BACKEND_SILENT,
	/* the answer stands still for BACKEND_STALL_MS */
	BACKEND_STALLED,
	/* no HTTP/1.x, or against its rules; a body where none may be */
	BACKEND_MALFORMED,
	BACKEND_HEAD_TOO_LARGE,
	BACKEND_NO_MEMORY,
};

struct backend_user {
	/* There is room for payload again. */
	void (*writable)(void *arg);
	/* An answer's head: each 1xx, then the final one; borrowed for the call. */
	void (*head)(void *arg, const struct http_head *h);
	/* Payload, all of which the user moves out of in. */
	void (*body)(void *arg, struct bufq *in);
	/* The answer is whole; its trailers, borrowed for the call, stand in b. */
	void (*end)(void *arg, const struct body_reader *b);
	/* Instead of all that has not been called yet. */
	void (*failed)(void *arg, enum backend_failure f, const char *why);
};

/* What a request is opened with; all borrowed for the call. */
struct backend_request {
	struct publication *pub;
	struct peer *agent;
	/* whose streams and memory it takes; a reference is taken */
	struct account *payer;
	const struct addr *visitor, *to;
	/* HEAD: the answer has no body, whatever its head says */
	bool is_head;
	/* the names of Upgrade that were asked for, as one list; NULL: none, and 101 is malformed */
	const char *upgrade;
	/* no stream that was used before */
	bool fresh;
};

/* backend_open - NULL with why and the failure. */
struct backend *backend_open(struct loop *l, const struct backend_request *q,
    const struct backend_user *u, void *arg, enum backend_failure *f, struct errtext *why);

/*
 * backend_begin - the request's head.
 *   head    built, without its end and the fields that frame
 *   body    NONE, LENGTH or CHUNKED
 * ERR_NOMEM, ERR_LIMIT.  A failure that is told comes later by failed.
 */
int backend_begin(
    struct backend *b, struct http_build *head, enum http_body body, uint64_t length) WARN_UNUSED;
size_t backend_room(struct backend *b);
int backend_body(struct backend *b, struct bufq *payload) WARN_UNUSED;
/* backend_end - the request is whole; trailers: of its reader, NULL: none. */
int backend_end(struct backend *b, const struct body_reader *trailers) WARN_UNUSED;

void backend_pause(struct backend *b, bool paused);

/* backend_was_used - it is a stream that carried a request before: a failure may be of its age. */
bool backend_was_used(const struct backend *b);
/* backend_is_untouched - after failed: no byte of the request was handed to the service. */
bool backend_is_untouched(const struct backend *b);

/*
 * backend_upgraded - after the head callback had a 101 that names what was asked for: the stream, with
 * what came behind the head in its input.  The caller owns it; b is freed.
 */
struct filter *backend_upgraded(struct backend *b);

/* backend_close - b is gone for the caller, whatever it was doing. */
void backend_close(struct backend *b);

#endif
