/* SPDX-License-Identifier: ISC */
/*
 * fakesession - a session whose other side is the test: nothing crosses a wire, each call of its
 * user is noted.
 *
 * The test plays the peer by fake_hello, fake_open and the calls of struct stream_user
 * (f->s.user->data ...), and looks at what the session was told: fake_session for the session,
 * fake_stream for each stream, whoever opened it.
 *
 * Life cycle: a session comes from fake_new (or the dialect, where a relay accepts); the code under
 * test frees it by session_free, which only sets freed.  fake_free_all frees the memory of all, at
 * the end of the test.
 */
#ifndef TEST_UNIT_FAKESESSION_H
#define TEST_UNIT_FAKESESSION_H

#include "proto/dialect/dialect.h"
#include "proto/mux.h"

enum { FAKE_STREAMS = 512 };

struct fake_stream {
	struct stream s;
	struct fake_session *session;
	/* What it was opened with, by us (opened by the session's user) or by the test. */
	struct ctl_open open;
	/* Told by the user. */
	bool accepted, eof, aborted, reset;
	char target[CTL_HOST_MAX + 8];
	uint32_t code;
	char text[256];
	struct bufq sent;
	/* Datagrams of those bytes; given by the test: how many each costs. */
	unsigned n_datagrams, lose;
	uint64_t consumed, acked;
	bool acked_eof;
	/* Given by the test: send and accept fail; there is no room. */
	bool fail, no_room;
	/* Reset, aborted or told closed: the user may not call it any more. */
	bool over;
};

struct fake_session {
	struct session s;
	struct fake_stream *stream[FAKE_STREAMS];
	size_t n_streams;
	/* Of the HELLO that it was told to say, and of the last GOAWAY. */
	bool greeted;
	struct ctl_hello hello;
	int n_away, n_abandoned, n_control;
	uint32_t away_code;
	char away_text[256];
	/* The last body of CONTROL that it was told to say. */
	char control[CTL_BODY_MAX + 1];
	bool freed;
	/* How it was dialled. */
	struct mux_config dialled;
	/* Given by the test: ERR_* that session_open and session_greet fail with. */
	int fail_open, fail_greet;
	/*
	 * When its time comes, 0: never; what it says then, and how often that was.  What its input
	 * is judged as.
	 */
	uint64_t deadline_us;
	int fail_tick, n_ticks, n_pings, fail_input;
	struct fake_session *next;
	/* the client's number in what the peer opens */
	uint32_t client;
	/* CTL_CAN_* of the peer's HELLO */
	unsigned abilities;
};

/* The dialect of such sessions; fake_last is the one that it, or fake_new, made last. */
extern const struct dialect dialect_fake;
extern struct fake_session *fake_last;

struct fake_session *fake_new(void);
void fake_free_all(void);

/* fake_hello - the peer says HELLO; returns what the user answers. */
enum session_verdict fake_hello(struct fake_session *f, enum ctl_role role, const char *name,
    const char *secret, uint8_t instance);

/* fake_open - the peer opens a stream to a service, for f->client. */
struct fake_stream *fake_open(struct fake_session *f, const char *service);

/* fake_open_e2e - the peer opens one for a session end to end. */
struct fake_stream *fake_open_e2e(struct fake_session *f);

/* fake_control - the peer sends a request, or an answer. */
void fake_control(struct fake_session *f, const char *json);

/*
 * fake_data - the peer sends a text on the stream.  fake_end - both halves are over, or the peer
 * has reset it.
 */
void fake_data(struct fake_stream *f, const char *text);
void fake_end(struct fake_stream *f, uint32_t code, const char *text);

/* fake_got - is what was sent to the peer this text? */
bool fake_got(const struct fake_stream *f, const char *text);

#endif
