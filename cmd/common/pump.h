/* SPDX-License-Identifier: ISC */
/*
 * pump - an endpoint: carries bytes between a local byte stream (a filter: socket, pipe pair) and a
 * session's stream.
 *
 * Both halves end independently, in order, and without loss: the socket's end of file becomes the
 * stream's EOF after all bytes; the stream's EOF becomes FIN after all bytes; and the end is
 * acknowledged when the kernel has everything.  A broken socket resets the stream after what was
 * read from it; a reset stream resets the socket after what was received.
 *
 * A stream that does not end in good order is always a reset of the socket, even if the process is
 * killed: the program behind it must not take half a file for a whole one.
 *
 * The pump owns the filter.  The stream stays its session's.  Memory: the stream's room towards the
 * peer (session.h), its window towards the socket.
 */
#ifndef CMD_PUMP_H
#define CMD_PUMP_H

#include "lib/net/filter.h"
#include "proto/session.h"

/*
 * How long a local socket may take to accept the last bytes of a stream that has ended by a reset;
 * or, if the stream could end before they were acknowledged, each of them.
 */
#define PUMP_LINGER_MS 30000
/* How often it is asked meanwhile whether it has them: a RST drops what the kernel still holds. */
#define PUMP_LINGER_POLL_MS 20

/* What both sides are told of bytes before OPEN_OK. */
#define PUMP_TOO_EARLY "the relay or the agent sent bytes before it accepted the stream"

struct pump;

/* How it went, for the log and the exit status. */
struct pump_result {
	/* CODE_OK: both halves ended in good order. */
	uint32_t code;
	/* Borrowed for the call. */
	const char *text;
	/* The local side was the reason. */
	bool local;
	/* Bytes of payload. */
	uint64_t to_stream, from_stream;
};

/*
 * pump_new - take over f and become s's user.  done is called once, when both are over; the
 * pump frees itself.  NULL: out of memory; nothing was taken.
 */
struct pump *pump_new(struct loop *l, struct filter *f, struct stream *s,
    void (*done)(void *arg, const struct pump_result *res), void *arg);

/*
 * pump_await - after pump_new: we opened the stream, and it has yet to be accepted.  Bytes of the
 * socket go at once; bytes from the stream must not come before that (PROTOCOL.md 4.3): both sides
 * are then reset, with CODE_PROTOCOL.
 */
void pump_await(struct pump *p);

/*
 * pump_one_sided - after pump_new: the stream's protocol cannot say that our half has ended.  So
 * the socket's end of file is kept to ourselves, and the stream goes on until it ends; but when
 * nothing has come for so many milliseconds after it, it is reset (0: never).
 */
void pump_one_sided(struct pump *p, uint64_t quiet_ms);

/*
 * pump_start - the stream stands: begin reading the socket.  Before, only data from the stream is
 * taken.
 */
void pump_start(struct pump *p);

/*
 * pump_deliver - what the stream had delivered before the pump was its user; eof: and that it had
 * ended.
 */
void pump_deliver(struct pump *p, struct bufq *in, bool eof);

/*
 * pump_on_linger - lingers is called once if the stream is over before the socket has taken all:
 * its program does not read, and has PUMP_LINGER_MS for it.
 * pump_unwritten - bytes from the stream that the socket has not taken.
 * pump_hurry - its time is over now; done is called.
 */
void pump_on_linger(struct pump *p, void (*lingers)(void *arg));
size_t pump_unwritten(const struct pump *p);
void pump_hurry(struct pump *p);

/*
 * pump_stop - end it from outside (shutdown): both sides are reset, the stream with code and text;
 * done is not called.
 */
void pump_stop(struct pump *p, uint32_t code, const char *text);

#endif
