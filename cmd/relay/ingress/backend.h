/* SPDX-License-Identifier: ISC */
/*
 * backend - where a request goes: the one interface between visitors' HTTP and agents.
 *
 *     exchange ── head, payload, end ──> backend ── head, payload, end ──> exchange
 *
 * Behind it stands a stream to the service (backend_stream.c), which speaks HTTP/1.1 and may be
 * kept for the next request.  Framing is the backend's: the exchange hands over heads without
 * Content-Length, Transfer-Encoding, Connection and Upgrade, and payload.
 *
 * Back-pressure: backend_room says how much payload is welcome, writable tells when there is some
 * again; while backend_pause(true) is in force no payload of the answer is delivered, and at most
 * the stream's window comes to stand.
 *
 * Where the agent's protocol does not tell of a service's end (SESSION_ENDS) each request has a
 * stream of its own, and an answer that ends with the connection is a failure, BACKEND_STALLED,
 * when nothing has come for timeout_ms.
 *
 * An answer may begin, and end, before the request has: then backend_body and backend_end may still
 * be called, or backend_close at once.
 *
 * Life cycle: backend_open, backend_begin, backend_body as often as there is payload, backend_end;
 * the callbacks; backend_close, always, which keeps the stream for others if both messages have
 * ended as they should.  Callbacks are never called from within a function of this interface, and
 * not after backend_close; backend_close may be called in each of them.
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

/* How long a service may take to close a connection that is not kept. */
#define BACKEND_LEAVE_MS 2000
/*
 * Bytes of a request that may be yet to be acknowledged, when its answer is whole, for the stream
 * to be kept: acknowledgements come late, and a service that has answered without reading the
 * request is not to be asked again on the same connection.
 */
#define BACKEND_UNACKED_MAX (16 * 1024)
/* Heads of 1xx before an answer. */
#define BACKEND_INTERIM_MAX 16

/* What went wrong; the visitor's status hangs on it, if no byte of an answer has left yet. */
enum backend_failure {
	/* the agent says that the service cannot be reached, or must not be: 502 */
	BACKEND_REFUSED,
	/* the agent or its session is gone: 503 */
	BACKEND_LOST,
	/* the stream or the service ended before the answer was whole: 502 */
	BACKEND_CUT,
	/* no OPEN_OK within connect_ms, or the agent says so: 504 */
	BACKEND_UNREACHED,
	/* no head within timeout_ms, counted from the last byte that was acknowledged: 504 */
	BACKEND_SILENT,
	/* the answer stands still for stall_ms */
	BACKEND_STALLED,
	/* no HTTP/1.x, or against its rules; a switch of protocols that was not asked for: 502 */
	BACKEND_MALFORMED,
	/* 502 */
	BACKEND_HEAD_TOO_LARGE,
	/* the payer has its share of the agent's streams: 429 */
	BACKEND_LIMITED,
	/* the agent takes no more streams, whoever asks: 503 */
	BACKEND_FULL,
	/* 503 */
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
	/* for OPEN and the PROXY header: who asks, and where it came in */
	const struct addr *visitor, *to;
	/* 1 or 2: the version of the PROXY header; 0: none */
	int proxy;
	/* for OPEN_OK; for a head; for some more of an answer that is not paused */
	uint64_t connect_ms, timeout_ms, stall_ms;
	/* HEAD: the answer has no body, whatever its head says */
	bool is_head;
	/* the names of Upgrade that were asked for, as one list; NULL: none, 101 is malformed */
	const char *upgrade;
	/* no stream that was used before; and none that is used again afterwards */
	bool fresh, once;
};

/* backend_open - NULL with why and the failure. */
struct backend *backend_open(struct loop *l, const struct backend_request *q,
    const struct backend_user *u, void *arg, enum backend_failure *f, struct errtext *why);

/*
 * backend_begin - the request's head.
 *   head    built, without its end and the fields that frame
 *   body    NONE, LENGTH or CHUNKED
 * ERR_NOMEM, ERR_LIMIT, ERR_INVALID: of the head; nothing was sent.  A failure of the stream is
 * told by failed.
 */
int backend_begin(
    struct backend *b, struct http_build *head, enum http_body body, uint64_t length) WARN_UNUSED;
/* backend_room - bytes of payload that are welcome; 0: writable tells when there is some. */
size_t backend_room(struct backend *b);
/* backend_body - all of payload is taken, whatever the room.  ERR_NOMEM. */
int backend_body(struct backend *b, struct bufq *payload) WARN_UNUSED;
/* backend_end - the request is whole; trailers: of its reader, NULL: none.  ERR_NOMEM. */
int backend_end(struct backend *b, const struct body_reader *trailers) WARN_UNUSED;

/* backend_pause - from the first callback of the answer's on. */
void backend_pause(struct backend *b, bool paused);

/* backend_was_used - it is a stream that carried a request before: a failure may be of its age. */
bool backend_was_used(const struct backend *b);
/* backend_is_untouched - after failed: no byte of the request was handed to the service. */
bool backend_is_untouched(const struct backend *b);

/*
 * backend_upgraded - in or after the head callback of a 101, which names what was asked for: the
 * stream, with what came behind the head in its input, the caller's from now on.  b still counts
 * it, so the filter is freed before backend_close(b), and no callback comes any more.
 */
struct filter *backend_upgraded(struct backend *b);

/* backend_close - b is gone for the caller, whatever it was doing. */
void backend_close(struct backend *b);

#endif
