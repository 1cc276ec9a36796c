/* SPDX-License-Identifier: ISC */
/*
 * carrier - a session on its filter stack: moves bytes between the two and keeps the session's
 * time.
 *
 * The carrier owns the filter stack and the session.  All calls into the session's user come
 * through struct carrier_user, whose arg is the owner.  Belongs to one loop; carrier_detach and
 * carrier_attach move it to another worker.
 */
#ifndef CMD_CARRIER_H
#define CMD_CARRIER_H

#include "lib/net/filter.h"
#include "lib/ws/f_ws.h"
#include "proto/session.h"

/* How long a carrier that was told to finish waits for the peer's goodbye. */
#define CARRIER_FINISH_MS 3000
/* Bytes written in one turn before others get theirs; 1 MiB is 2 ms of it more for a keystroke. */
#define CARRIER_TURN (256 * 1024)

/*
 * Why nothing is read: a hello that answered SESSION_HOLD; the session itself says so
 * (session_user.stop); carrier_slow; input that was more than one turn's work.
 */
enum { CARRIER_HOLD = 1, CARRIER_STOP = 2, CARRIER_SLOW = 4, CARRIER_BEHIND = 8 };

struct carrier;

struct carrier_user {
	enum session_verdict (*hello)(void *arg, const struct ctl_hello *h);
	void (*open)(void *arg, struct stream *s, const struct ctl_open *o);
	void (*goaway)(void *arg, uint32_t code, const char *text);
	/* The last stream has gone; carrier_free is not allowed here, carrier_finish is. */
	void (*idle)(void *arg);
	/*
	 * The carrier is lost or has ended (ERR_EOF); the owner calls carrier_free, at once or
	 * later.
	 */
	void (*closed)(void *arg, int err, const char *text);
	/* See session.h; may be NULL. */
	void (*control)(void *arg, const void *body, size_t n);
	/* See session_user; NULL: nobody counts them. */
	void (*open_refused)(void *arg);
};

/*
 * carrier_new - takes over f and s; on failure (NULL, out of memory) both still belong to the
 * caller.
 */
struct carrier *carrier_new(struct loop *l, struct filter *f, struct session *s,
    const struct carrier_user *user, void *arg);

/* carrier_free - streams end with code and text; accepts NULL; safe in callbacks. */
void carrier_free(struct carrier *c, uint32_t code, const char *text);

/*
 * carrier_finish - send what is queued, say goodbye, wait CARRIER_FINISH_MS at most; then
 * user->closed.
 */
void carrier_finish(struct carrier *c);

/*
 * carrier_ws - how the WebSocket below such a session is to be made (f_ws_new): for messages the
 * carrier_new that follows must be given it, in the same turn of the loop.
 */
struct f_ws_config carrier_ws(enum session_carries carries, uint64_t message_max);

/*
 * carrier_slow - read nothing more until slow is false again: for a peer that asks for too much.
 * The other side's pings wait unread too.  What is sent goes on.
 */
void carrier_slow(struct carrier *c, bool slow);

/* carrier_set_message_max - of a session that carries messages, from now on; else nothing. */
void carrier_set_message_max(struct carrier *c, uint64_t max);

/* carrier_resume - after a hello that answered SESSION_HOLD: look at the input that waited. */
void carrier_resume(struct carrier *c);

/*
 * carrier_detach, carrier_attach - move to another loop, with every byte.  attach: ERR_NOMEM; it is
 * as detached as before, and may be freed so.
 */
void carrier_detach(struct carrier *c);
int carrier_attach(struct carrier *c, struct loop *l) WARN_UNUSED;

struct session *carrier_session(struct carrier *c);
void carrier_set_user(struct carrier *c, const struct carrier_user *user, void *arg);

#endif
