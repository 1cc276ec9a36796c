/* SPDX-License-Identifier: ISC */
/*
 * filter - byte streams that compose: socket → [TLS] → WebSocket → [inner TLS] → mux.
 *
 * A filter is a reliable, ordered, two-way byte stream.  It stands on the filter below it and
 * serves one user: the filter above, or whoever owns the stack.  All of them look the same from
 * above:
 *
 *   input    what arrived stands in f->in.  The user takes as much as it likes (bufq_move,
 *            bufq_drain).  user->readable is called after bytes were added, and after
 *            filter_pause(f, false) while bytes are left.  A user that does not keep up calls
 *            filter_pause(f, true): the socket stops reading, and at most FILTER_IN_MAX more bytes
 *            arrive (of a connection that broke all that the kernel had in store, since nothing
 *            comes after it).
 *   output   filter_room() says how many bytes should be written now: 0 while the socket has not
 *            taken what it has.  The user that found no room, and has something to send, is told by
 *            user->writable when there is some again; if it has written since its last flush, it
 *            flushes first and looks once more, since that alone may make room.  filter_write()
 *            takes bytes (never partially, whatever the room: room is advice, so that a reply can
 *            always be queued).  filter_flush() lets them go: a filter may hold written bytes until
 *            then to make one message or record of many small writes.
 *   progress after filter_follow() one learns what has become of written bytes:
 *            filter_written() are those that the kernel has taken, filter_unacked() is 0 when the
 *            other end's kernel has all.
 *   end      filter_shutdown() ends our direction after all that was written (FIN; TLS
 *            close_notify; WebSocket Close).  user->closed tells of each end once:
 *              ERR_EOF       the peer's orderly end, after all input was delivered.  On a socket
 *                            our direction goes on.  TLS and WebSocket answer by themselves after
 *                            what was written, and take nothing more (filter_write: ERR_CLOSED).
 *              another ERR_* with a text: the stream is over both ways, and what was written may be
 *                            lost.  It may come with input unread, which stays in f->in, and it may
 *                            come after ERR_EOF.  Nothing is called after it.
 *            An end that nobody can be told of yet (no user, or for ERR_EOF a paused one that has
 *            input left) is kept for the user.
 *   reset    filter_free() after filter_reset() breaks the connection off: the peer sees no orderly
 *            end of any layer (on TLS a TCP reset without close_notify), and what it has not got is
 *            lost.
 *   free     filter_free() closes and frees the filter and all below it; no callback after it
 *            returns.  Safe inside the filter's own callbacks: the memory is buried at the end of
 *            the turn.  A detached filter, which has no callbacks, is freed at once.
 *
 * Ownership: the top filter owns the one below, and so on down to the descriptor.
 * Threads: a stack belongs to one loop; filter_detach() and filter_attach() move an idle moment's
 * stack to another.  Between the two only filter_free() may be called.
 */
#ifndef LIB_FILTER_H
#define LIB_FILTER_H

#include "lib/net/buf.h"
#include "lib/base/err.h"
#include "lib/net/loop.h"

/*
 * The most decoded input that may stand unread in one filter while paused (what one turn can add).
 */
#define FILTER_IN_MAX (1024 * 1024)

struct filter;

/* What a user of a filter is told.  All members are set. */
struct filter_user {
	void (*readable)(void *arg);
	void (*writable)(void *arg);
	/*
	 * err: ERR_EOF or another ERR_*; text: one sentence without secrets, or "" ; borrowed for
	 * the call.
	 */
	void (*closed)(void *arg, int err, const char *text);
};

/*
 * What an implementation provides.  The wrappers below check the common state, so that an operation
 * is never called on a filter that is closed or freed.
 */
struct filter_ops {
	/* "socket", "tls", "websocket". */
	const char *name;
	/*
	 * Take all of src (moved), encode, write to below.  ERR_NOMEM, or the error that closes the
	 * stack.
	 */
	int (*write)(struct filter *f, struct bufq *src);
	/* Let go what was held back, then flush below. */
	void (*flush)(struct filter *f);
	size_t (*room)(struct filter *f);
	void (*shutdown)(struct filter *f);
	/* Free what the implementation owns, not below and not f itself: filter_free does that. */
	void (*fini)(struct filter *f);
	/*
	 * Stop (true) or go on (false) reading; implementations without a buffer of their own pass
	 * it down.
	 */
	void (*pause)(struct filter *f, bool paused);
	/* Leave / enter a loop.  An attach that fails (ERR_NOMEM) has undone what it did. */
	void (*detach)(struct filter *f);
	int (*attach)(struct filter *f, struct loop *l);
	/* Bytes taken by write and not handed on yet.  NULL: there never are any. */
	size_t (*pending)(const struct filter *f);
	/* At the bottom: bytes handed on that have not arrived.  NULL: they always have. */
	size_t (*unacked)(const struct filter *f);
	/* At the bottom: is fini to break the connection off? */
	void (*reset)(struct filter *f, bool on);
};

struct filter_marks;

/*
 * Embedded as the first member of each implementation.  in may be used by the user; the rest
 * through the functions.
 */
struct filter {
	const struct filter_ops *ops;
	/* Owned; NULL at the bottom. */
	struct filter *below;
	struct loop *loop;
	const struct filter_user *user;
	void *arg;
	struct bufq in;
	/* Over with an error, or filter_free was called. */
	bool closed;
	/* The peer's orderly end has come. */
	bool eof;
	bool paused;
	/* The most that a socket reads before it tells of it; not 0. */
	size_t want;
	/* Bytes written to it; and by the time of filter_follow(). */
	uint64_t taken, taken_before;
	/* Since filter_follow(): who is told, and above the bottom where the bytes are. */
	void (*drained)(void *arg);
	void *drained_arg;
	struct filter_marks *marks;
	/* 0, or the end that the user has yet to be told. */
	int due;
	char due_text[64];
	struct task resume;
	struct grave grave;
};

/* ---- for users ---- */

void filter_set_user(struct filter *f, const struct filter_user *user, void *arg);
int filter_write(struct filter *f, struct bufq *src) WARN_UNUSED;
/* filter_send - copy n bytes and write them. */
int filter_send(struct filter *f, const void *p, size_t n) WARN_UNUSED;
void filter_flush(struct filter *f);
size_t filter_room(struct filter *f);
void filter_shutdown(struct filter *f);
void filter_pause(struct filter *f, bool paused);
/*
 * filter_want - n more bytes are welcome: 0 pauses; else a socket reads at most n before it tells
 * its user of them, who then says anew how many are. Bytes that are decoded (TLS, WebSocket) come
 * by records and frames, however few are.
 */
void filter_want(struct filter *f, size_t n);

/*
 * filter_follow - from now on count what is written, and call drained(arg) when the kernel has
 * taken something.  ERR_NOMEM.
 */
int filter_follow(struct filter *f, void (*drained)(void *arg), void *arg) WARN_UNUSED;

/*
 * filter_written - bytes written since filter_follow() that the kernel has taken.  Exact on a
 * socket; where they are encoded on the way (TLS, WebSocket) they are counted by flushes, never too
 * early.
 */
uint64_t filter_written(struct filter *f);

/* filter_pending - bytes written to the filter that it has not handed on yet. */
size_t filter_pending(const struct filter *f);

/*
 * filter_backlog - bytes written to the filter, or what they have become, that the kernel has not
 * taken.
 */
size_t filter_backlog(const struct filter *f);

/*
 * filter_unacked - bytes that were written, or what they have become, and that the kernel at the
 * other end does not have.  Pipes and terminals have no such question: what they took has arrived.
 */
size_t filter_unacked(const struct filter *f);

/*
 * filter_reset - on: when the connection is closed, by filter_free or because the process dies, it
 * is broken off.  off: it ends in good order again.
 */
void filter_reset(struct filter *f, bool on);

void filter_free(struct filter *f);

/* filter_detach, filter_attach - attach: ERR_NOMEM; the stack is as detached as before. */
void filter_detach(struct filter *f);
int filter_attach(struct filter *f, struct loop *l) WARN_UNUSED;

/* ---- for implementations ---- */

/*
 * filter_init - common members; below may be NULL.  The implementation becomes below's user itself.
 */
void filter_init(
    struct filter *f, const struct filter_ops *ops, struct filter *below, struct loop *l);
/*
 * filter_readable - after bytes were added to f->in: tell the user, unless it paused or there are
 * none.
 */
void filter_readable(struct filter *f);
void filter_writable(struct filter *f);
/* filter_drained - at the bottom: the kernel has taken something. */
void filter_drained(struct filter *f);
/* filter_close - tell the user of an end, as soon as it can be told; f stays until filter_free. */
void filter_close(struct filter *f, int err, const char *text);

#endif
