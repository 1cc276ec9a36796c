/* SPDX-License-Identifier: ISC */
/*
 * session - what relay, agent and connect see of a peer and of the streams to it, whatever protocol
 * carries them.
 *
 * A session is one logged-in peer.  A stream is one connection carried by it: two independent
 * halves of bytes, each ending by an EOF, or both by a reset.  The native implementation is
 * proto/mux.h; a foreign protocol is one more file in proto/dialect/ that fills the same two tables
 * of operations.
 *
 * No I/O and no clock: bytes go in and out through session_input() and session_output(); time
 * (microseconds, monotonic) is an argument.  Nothing here calls back into itself: a user's callback
 * may call any stream or session function but the free of the session, which must wait until the
 * call that led to the callback has returned.
 *
 * Flow of bytes towards the peer (absolute offsets from the stream's start):
 *     stream_send() queues; user->sent(n) tells when n bytes went to the carrier; user->acked(off)
 *     when the endpoint at the far end has handed everything before off to its socket.
 *     stream_room() says how much more is welcome.
 * Flow from the peer:
 *     user->data(in) delivers; the user takes all of it.  stream_consumed(n): n bytes have been
 *     passed on, the peer may send as many more (where a protocol cannot say that of one stream,
 *     its session has the carrier stop: user->stop).  stream_ack(off): the endpoint behind the
 *     user has handed everything before off to its socket. An endpoint calls both for the same
 *     bytes; a relay calls consumed when the next hop took them, and ack when told.
 *
 * A stream whose OPEN says CTL_UDP carries datagrams, and nothing else: no bytes, no end of a half,
 * no acknowledgements.  stream_datagram() queues one, user->datagram delivers one, each for itself
 * and in order; what does not fit is dropped.
 */
#ifndef PROTO_SESSION_H
#define PROTO_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/buf.h"
#include "proto/budget.h"
#include "lib/base/err.h"
#include "proto/ctl.h"
#include "proto/frame.h"

struct stream;
struct session;

/* ---- streams ---- */

struct stream_user {
	/* Our OPEN was accepted. */
	void (*opened)(void *arg, const struct ctl_open_ok *ok);
	/* Bytes from the peer; the user moves all of them out of in. */
	void (*data)(void *arg, struct bufq *in);
	/* One datagram from the peer, which may be empty; what the user leaves in in is dropped. */
	void (*datagram)(void *arg, struct bufq *in);
	/* The peer will send no more. */
	void (*eof)(void *arg);
	/* n bytes went to the carrier; of datagrams one call tells of one. */
	void (*sent)(void *arg, size_t n);
	/* eof: everything and the end of the stream has arrived. */
	void (*acked)(void *arg, uint64_t off, bool eof);
	/*
	 * The stream is gone: code CODE_OK when both halves ended in good order, else why.  The
	 * last call; s is no longer valid.
	 */
	void (*closed)(void *arg, uint32_t code, const char *text);
};

struct stream_ops {
	int (*accept)(struct stream *s, const struct ctl_open_ok *ok);
	size_t (*room)(struct stream *s);
	int (*send)(struct stream *s, struct bufq *src, size_t n);
	/* NULL: the protocol has no datagrams. */
	int (*datagram)(struct stream *s, struct bufq *src, unsigned *dropped);
	void (*eof)(struct stream *s);
	void (*reset)(struct stream *s, uint32_t code, const char *text);
	void (*abort)(struct stream *s, uint32_t code, const char *text);
	void (*consumed)(struct stream *s, size_t n);
	void (*ack)(struct stream *s, uint64_t off, bool eof);
};

struct stream {
	const struct stream_ops *ops;
	/* NULL: nobody is told */
	const struct stream_user *user;
	void *arg;
	struct session *session;
	/* bytes of payload received and sent; statistics */
	uint64_t rx, tx;
};

static inline void
stream_set_user(struct stream *s, const struct stream_user *user, void *arg)
{
	s->user = user;
	s->arg = arg;
}

/* stream_accept - answer the peer's OPEN with OPEN_OK.  To refuse, stream_reset. */
static inline int WARN_UNUSED
stream_accept(struct stream *s, const struct ctl_open_ok *ok)
{
	return s->ops->accept(s, ok);
}

/*
 * stream_room - bytes that are welcome now; stream_send takes more, but a user that respects it
 * keeps memory bounded.
 */
static inline size_t
stream_room(struct stream *s)
{
	return s->ops->room(s);
}

/* stream_send - take the first n bytes of src.  ERR_NOMEM, ERR_CLOSED (after eof or reset). */
static inline int WARN_UNUSED
stream_send(struct stream *s, struct bufq *src, size_t n)
{
	return s->ops->send(s, src, n);
}

/*
 * stream_datagram - queue all of src as one datagram, on a stream whose protocol is CTL_UDP.
 *   dropped  datagrams that were lost for it: older ones that made room, or itself
 * The queue is bounded (datagrams.h); stream_room tells how large a datagram would cost no other.
 * ERR_NOMEM, ERR_CLOSED (after reset, or where there are none): src is as it was.
 */
static inline int WARN_UNUSED
stream_datagram(struct stream *s, struct bufq *src, unsigned *dropped)
{
	*dropped = 0;
	return s->ops->datagram != NULL ? s->ops->datagram(s, src, dropped) : ERR_CLOSED;
}

/*
 * stream_eof - end our half after what was queued.  Not of a stream of datagrams, which ends by
 * stream_reset alone.  Without SESSION_HALF_CLOSE: the peer that has opened the stream has all that
 * it will get, and the stream ends; from one that we have asked something the answer is still to
 * come, and ends it.
 */
static inline void
stream_eof(struct stream *s)
{
	s->ops->eof(s);
}

/*
 * stream_reset - end both halves: what was queued for the peer still goes, then the RESET; what
 * comes from the peer is dropped.  To the caller s is no longer valid, and its user is not called
 * again.
 */
static inline void
stream_reset(struct stream *s, uint32_t code, const char *text)
{
	s->ops->reset(s, code, text);
}

/*
 * stream_abort - as stream_reset, and at once: what was queued is dropped.  For streams whose queue
 * is the fault.
 */
static inline void
stream_abort(struct stream *s, uint32_t code, const char *text)
{
	s->ops->abort(s, code, text);
}

static inline void
stream_consumed(struct stream *s, size_t n)
{
	s->ops->consumed(s, n);
}

/*
 * stream_ack - off never goes back; eof: the end of the stream was passed on too.  s may be gone
 * afterwards (closed is called).
 */
static inline void
stream_ack(struct stream *s, uint64_t off, bool eof)
{
	s->ops->ack(s, off, eof);
}

/* ---- sessions ---- */

enum session_verdict {
	SESSION_GO_ON,
	/* keep further input until session_input is called again (a hand-over is under way) */
	SESSION_HOLD,
	/* the user has called session_goaway; the carrier is to be closed after a flush */
	SESSION_REFUSED
};

struct session_user {
	/* The peer has said who it is.  A dialer gets the relay's greeting. */
	enum session_verdict (*hello)(void *arg, const struct ctl_hello *h);
	/*
	 * The peer opens a stream.  The user sets the stream's user and later calls stream_accept
	 * or stream_reset (at once is allowed).
	 */
	void (*open)(void *arg, struct stream *s, const struct ctl_open *o);
	/* The peer will take no new streams; those that are open go on. */
	void (*goaway)(void *arg, uint32_t code, const char *text);
	/* There is something to send: call session_output soon. */
	void (*want_output)(void *arg);
	/* The last stream has gone. */
	void (*idle)(void *arg);
	/*
	 * A request that concerns no stream, or the answer to one (request.h).  NULL: nobody
	 * listens.
	 */
	void (*control)(void *arg, const void *body, size_t n);
	/*
	 * An OPEN was refused without asking: it was malformed, or one too many.  NULL: nobody
	 * counts them.
	 */
	void (*open_refused)(void *arg);
	/*
	 * on: read nothing more from the peer, for one whose streams cannot be stopped one by one;
	 * off: go on.
	 */
	void (*stop)(void *arg, bool on);
	/*
	 * Ask the carrier for a sign of life, of a protocol that has no words for it: the ping's
	 * number is pings.  heard_us tells of the answer, and ops->ponged.
	 */
	void (*ping)(void *arg);
};

struct session_ops {
	const char *name;
	int (*input)(struct session *s, struct bufq *in, uint64_t now_us, struct errtext *why);
	int (*output)(struct session *s, struct bufq *out, size_t max, uint64_t now_us);
	bool (*has_output)(const struct session *s);
	struct stream *(*open)(struct session *s, const struct ctl_open *o, struct budget *charge,
	    const struct stream_user *user, void *arg, struct errtext *why);
	int (*greet)(struct session *s, const struct ctl_hello *h);
	void (*goaway)(struct session *s, uint32_t code, const char *text);
	void (*ping)(struct session *s);
	/* More of pings was answered.  NULL: nobody waits for that. */
	void (*ponged)(struct session *s, uint64_t now_us);
	/* NULL: the protocol has no words for it. */
	int (*control)(struct session *s, const void *body, size_t n);
	int (*tick)(struct session *s, uint64_t now_us, struct errtext *why);
	uint64_t (*deadline_us)(const struct session *s);
	/* NULL: the end of the carrier says nothing. */
	void (*hung_up)(struct session *s, int err, int ws_code, const char *text);
	void (*abandon)(struct session *s, uint32_t code, const char *text);
	void (*free)(struct session *s);
};

/* What passes between a session and its carrier. */
enum session_carries {
	/*
	 * A stream of bytes: session_input and session_output cut it where they like.  Only here
	 * session_input may say SESSION_MORE.
	 */
	SESSION_BYTES,
	/*
	 * Whole messages: session_input gets one and takes it all, session_output gives one or
	 * none; bye is the reason in our goodbye.
	 */
	SESSION_TEXT,
	SESSION_BINARY,
};

/*
 * What a session's protocol can do beside carrying bytes.  An operation that it has no words for is
 * not called.
 */
enum session_can {
	/* One half of a stream can end by itself; without: see stream_eof. */
	SESSION_HALF_CLOSE = 1,
	/*
	 * The far endpoint acknowledges bytes; without: user->acked is never called, nor stream_ack
	 * wanted.
	 */
	SESSION_ACKS = 2,
	/*
	 * That a target has said all is told; without: nobody learns it, so what was asked is over
	 * when our side says so, or when nothing has come for a while.
	 */
	SESSION_ENDS = 4,
	/* Streams of datagrams. */
	SESSION_DATAGRAMS = 8,
	/* Streams that hold a session end to end: an OPEN of CTL_E2E. */
	SESSION_E2E = 16,
	/* An agent that was replaced learns it, and does not come back by itself. */
	SESSION_YIELDS = 32,
};

struct session {
	const struct session_ops *ops;
	/* Both set by dialect_accept and dialect_dial. */
	enum session_carries carries;
	unsigned can;
	const struct session_user *user;
	void *arg;
	uint32_t n_streams;
	/*
	 * when the last byte came from the peer; and when it last asked the carrier for a sign of
	 * life, or could have begun to
	 */
	uint64_t heard_us, peer_ping_us;
	/* nothing is read from the peer for the time being: its silence means nothing */
	bool unread;
	/* how many times user->ping was called, and the last of them that was answered */
	uint32_t pings, ponged;
	/* smallest round trip measured lately; 0: not yet */
	uint64_t rtt_us;
	/* pays for streams that name no other; set by its owner while there are none, borrowed */
	struct budget *budget;
	/* a GOAWAY was sent or received: no new streams */
	bool going;
	/* of the last session_open that failed */
	int open_error;
	/* why it ends, for the peer; borrowed, NULL: nothing is said */
	const char *bye;
};

static inline void
session_set_user(struct session *s, const struct session_user *user, void *arg)
{
	s->user = user;
	s->arg = arg;
}

/*
 * session_input - take what arrived.  Complete frames are used up, and payload as far as it is
 * there; the rest stays in in. Returns 0; SESSION_MORE when its share of work for a turn is done
 * and more of in is ready: call again in the next turn, and take nothing new from below until then.
 * An error (ERR_PROTO, ERR_LIMIT, ERR_NOMEM) ends the session; why says it in one sentence.
 */
#define SESSION_MORE 1
static inline int WARN_UNUSED
session_input(struct session *s, struct bufq *in, uint64_t now_us, struct errtext *why)
{
	return s->ops->input(s, in, now_us, why);
}

/* session_output - append about max bytes of what is most urgent to out.  ERR_NOMEM. */
static inline int WARN_UNUSED
session_output(struct session *s, struct bufq *out, size_t max, uint64_t now_us)
{
	return s->ops->output(s, out, max, now_us);
}

static inline bool
session_has_output(const struct session *s)
{
	return s->ops->has_output(s);
}

/*
 * session_open - open a stream to the peer.  Bytes may be sent at once.
 *   charge  pays for what the stream may make us hold, borrowed until it has gone; NULL: the
 *           session's own budget
 * NULL and why: too many streams, out of memory, the session is going away.
 */
static inline struct stream *
session_open(struct session *s, const struct ctl_open *o, struct budget *charge,
    const struct stream_user *user, void *arg, struct errtext *why)
{
	return s->ops->open(s, o, charge, user, arg, why);
}

/* session_open_code - after it has failed: what a RESET that passes the refusal on says. */
static inline uint32_t
session_open_code(const struct session *s)
{
	switch (s->open_error) {
	case ERR_CLOSED:
		return CODE_GONE;
	case ERR_NOMEM:
		return CODE_INTERNAL;
	case ERR_NOTFOUND:
		return CODE_NOT_FOUND;
	default:
		return CODE_LIMIT;
	}
}

/* session_unread - nothing is read from the peer from now on, or it is again. */
static inline void
session_unread(struct session *s, bool on, uint64_t now_us)
{
	if (s->unread && !on)
		s->heard_us = now_us;
	s->unread = on;
}

/* session_greet - say HELLO: a dialer at once, a relay when it has let the peer in. */
static inline int WARN_UNUSED
session_greet(struct session *s, const struct ctl_hello *h)
{
	return s->ops->greet(s, h);
}

/*
 * session_goaway - tell the peer that no new streams are taken, and why.  Only the first call
 * counts.
 */
static inline void
session_goaway(struct session *s, uint32_t code, const char *text)
{
	s->ops->goaway(s, code, text);
}

/*
 * session_ping - ask the peer for a sign of life now: heard_us tells of the answer, if it is read.
 */
static inline void
session_ping(struct session *s)
{
	s->ops->ping(s);
}

/*
 * session_ponged - the carrier's ping of that number was answered: whatever left before it has been
 * received.
 */
static inline void
session_ponged(struct session *s, uint32_t ping, uint64_t now_us)
{
	/* Numbers wrap; one that was never asked for, or is known, says nothing. */
	if (ping - s->ponged - 1 >= s->pings - s->ponged)
		return;
	s->ponged = ping;
	if (s->ops->ponged != NULL)
		s->ops->ponged(s, now_us);
}

/*
 * session_control - a request or an answer, n bytes (at most CTL_BODY_MAX).  ERR_CLOSED: the
 * session is over, or its protocol has none; what else goes wrong ends the session at its next
 * call.
 */
static inline int WARN_UNUSED
session_control(struct session *s, const void *body, size_t n)
{
	return s->ops->control != NULL ? s->ops->control(s, body, n) : ERR_CLOSED;
}

/*
 * session_tick - to be called at session_deadline_us: keepalive, delayed acknowledgements, unused
 * credit.  ERR_TIMEOUT: the peer is dead.
 */
static inline int WARN_UNUSED
session_tick(struct session *s, uint64_t now_us, struct errtext *why)
{
	return s->ops->tick(s, now_us, why);
}

static inline uint64_t
session_deadline_us(const struct session *s)
{
	return s->ops->deadline_us(s);
}

/*
 * session_hung_up - the carrier has ended, and nothing goes in or out any more.  Where that is how
 * the protocol ends a stream, or refuses somebody, the users are told so now.
 *   err      ERR_EOF: after the peer's goodbye
 *   ws_code  what that was (RFC 6455 7.4), 0 if there was none
 *   text     what the peer gave as the reason, or what went wrong; ASCII, "" if there is none
 */
static inline void
session_hung_up(struct session *s, int err, int ws_code, const char *text)
{
	if (s->ops->hung_up != NULL)
		s->ops->hung_up(s, err, ws_code, text);
}

/*
 * session_abandon - all streams are closed with code and text (their users are told), the session's
 * user is told nothing more. Allowed inside callbacks.
 */
static inline void
session_abandon(struct session *s, uint32_t code, const char *text)
{
	s->ops->abandon(s, code, text);
}

/* session_free - abandoned or not; accepts NULL.  Not inside a callback of the session. */
static inline void
session_free(struct session *s)
{
	if (s != NULL)
		s->ops->free(s);
}

#endif
