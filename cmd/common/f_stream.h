/* SPDX-License-Identifier: ISC */
/*
 * f_stream - a session's stream as the bottom of a filter stack, so that TLS or another session can
 * stand on it:
 *
 *     socket → WebSocket → mux ═ a stream of it ═ f_stream → TLS → mux
 *
 * What arrives is handed to the user a piece a turn, and given as credit to the other side, and
 * acknowledged, piece by piece. While the filter is paused none of that happens: so the stream's
 * window, which its account pays for, bounds what stands here, and what a user has and cannot pass
 * on is one piece. Room is the stream's room, or less (f_stream_limit), and filter_flush has
 * nothing to do: the session sends by itself.
 *
 *   filter_shutdown     the end of our half, behind what was written
 *   closed(ERR_EOF)     the end of the other half
 *   closed(ERR_CLOSED)  the stream was reset, with its text, or its session is lost
 *   filter_free         resets a stream that has not ended both ways, behind what was written;
 *                       after filter_reset at once
 *
 * The stream stays its session's.  A session with streams does not move to another loop, so the
 * stack cannot be detached either.
 */
#ifndef CMD_COMMON_F_STREAM_H
#define CMD_COMMON_F_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/filter.h"
#include "proto/session.h"

/* Bytes of a piece.  Of 256 KiB a fast visitor has no more, and we hold them for a stalled one. */
#define F_STREAM_PIECE (64 * 1024)

/*
 * f_stream_new - become s's user.  s was opened by us, or is the peer's and was accepted; what is
 * written before our OPEN is answered leaves behind it.
 * NULL: out of memory; s still has the user it had.
 */
struct filter *f_stream_new(struct loop *l, struct stream *s) WARN_UNUSED;

/* What filters do not tell. */
struct f_stream_news {
	/* The other side has accepted the stream that we opened. */
	void (*opened)(void *arg);
	/* More of what was written has arrived: filter_unacked is less. */
	void (*acked)(void *arg);
};
void f_stream_watch(struct filter *f, const struct f_stream_news *news, void *arg);

/*
 * f_stream_limit - from now on there is room only while fewer bytes are written and not sent: what
 * stands in line here has lost its chance to be overtaken.
 */
void f_stream_limit(struct filter *f, size_t bytes);

/* f_stream_is_open - has the other side accepted the stream, or sent anything? */
bool f_stream_is_open(const struct filter *f);
/* f_stream_acked - bytes that the endpoint at the other side has handed on, of all written. */
uint64_t f_stream_acked(const struct filter *f);
/* f_stream_session - NULL once the stream is gone. */
struct session *f_stream_session(const struct filter *f);
/* f_stream_code - after an end by ERR_CLOSED: the code of the reset (proto/frame.h). */
uint32_t f_stream_code(const struct filter *f);

#endif
