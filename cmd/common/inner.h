/* SPDX-License-Identifier: ISC */
/*
 * inner - a session end to end (PROTOCOL.md 5.8): TLS by keys on a stream of the session with the
 * relay, and in it a session of streams between client and agent.
 *
 *     socket → WebSocket → mux ═ a stream of it ═ f_stream → TLS → mux
 *
 *     HANDSHAKE ── both keys proved ──> GREETING ── the peer's HELLO ──> UP ──> OVER
 *
 * The outer stream keeps what is under way and shows that the peer lives, so the inner mux does
 * neither.  Of what it sends no more than INNER_QUEUE_MAX stands below it, so that a keystroke can
 * overtake the rest.  HANDSHAKE and GREETING have INNER_GREETING_MS together.
 *
 * The session's own end is close_notify, behind its last frame.  Every other end is a cut: the
 * streams in it are reset, whatever the outer stream says of itself.
 */
#ifndef CMD_COMMON_INNER_H
#define CMD_COMMON_INNER_H

#include "cmd/common/carrier.h"
#include "lib/tls/f_tls.h"
#include "proto/mux.h"

/* Bytes written by the inner session that the outer one has not sent, records' heads included. */
#define INNER_QUEUE_MAX (64 * 1024)
/* For the handshake and both HELLOs: some round trips, and two signatures on a slow machine. */
#define INNER_GREETING_MS 10000

struct inner;

struct inner_user {
	/*
	 * The peer has proved that it has this key.  The user says in cfg what the session may
	 * cost: budgets and limits; the rest is set.  False: out of memory.
	 */
	bool (*proved)(void *arg, const uint8_t point[KEYS_POINT_LEN], struct mux_config *cfg);
	/* A dialer may open streams from now on: they leave behind our HELLO. */
	void (*ready)(void *arg);
	/* As in carrier_user; the greeting of an acceptor is the user's (session_greet). */
	enum session_verdict (*hello)(void *arg, const struct ctl_hello *h);
	void (*open)(void *arg, struct stream *s, const struct ctl_open *o);
	/* The peer takes no new streams. */
	void (*goaway)(void *arg, uint32_t code, const char *text);
	void (*idle)(void *arg);
	/*
	 * It has ended: the code is what its streams are told.  The user calls inner_free, at once
	 * or later.
	 */
	void (*closed)(void *arg, uint32_t code, const char *text);
};

/*
 * inner_new - begin, on s, which we opened (a dialer) or have accepted.
 *   tls     borrowed for the call; the client's end dials
 *   judge   see tls_keyed.h; it lives until proved or closed
 *   hello   what a dialer says; NULL: an acceptor
 * NULL: out of memory, and s has been reset.
 */
struct inner *inner_new(struct loop *l, struct stream *s, const struct tls_keyed *tls,
    struct tls_judge judge, const struct ctl_hello *hello, const struct inner_user *user,
    void *arg);

/* inner_take_turns - of an acceptor, at once: see f_tls_take_turns. */
void inner_take_turns(struct inner *in, struct tls_turns *t, const struct tls_turns_who *who);

/* inner_free - its streams end with code and text; accepts NULL; safe in callbacks. */
void inner_free(struct inner *in, uint32_t code, const char *text);

/* inner_finish - send what is queued and say goodbye; user->closed then. */
void inner_finish(struct inner *in);

/* inner_session - NULL before both keys are proved, and after the end. */
struct session *inner_session(struct inner *in);

/* inner_may_open - would a dialer's new stream be taken? */
bool inner_may_open(struct inner *in);

#endif
