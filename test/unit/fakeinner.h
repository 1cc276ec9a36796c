/* SPDX-License-Identifier: ISC */
/*
 * fakeinner - sessions end to end whose other side is the test, for what stands on them
 * (cmd/connect/e2e.c, cmd/agent/clients.c).
 *
 * A test that uses them has in its head comment
 *
 *      * link: -Wl,--wrap=inner_new,--wrap=inner_free,--wrap=inner_finish
 *      * link: -Wl,--wrap=inner_session,--wrap=inner_may_open,--wrap=inner_take_turns
 *
 * No TLS is spoken: the test says which key the peer has proved, and the judge is asked as in life.
 */
#ifndef TEST_UNIT_FAKEINNER_H
#define TEST_UNIT_FAKEINNER_H

#include "cmd/common/inner.h"
#include "test/unit/fakesession.h"

enum { FAKE_INNERS = 512 };

struct inner {
	/* How it was begun. */
	struct stream *outer;
	struct tls_judge judge;
	bool dials;
	struct ctl_hello hello;
	/* Of whom its handshake takes turns. */
	struct tls_turns_who who;
	const struct inner_user *user;
	void *arg;
	/* Its session, and what that may cost; NULL until the key is proved. */
	struct fake_session *f;
	struct mux_config cfg;
	/* Told by the test, or by the user. */
	bool over, finished, freed;
	uint32_t code;
	char text[256];
};

/* In the order they were made. */
extern struct inner fake_inner[FAKE_INNERS];
extern int fake_n_inners;
/* The test wants inner_new to fail after so many; negative: never. */
extern int fake_inners_max;

/* fake_inners_reset - none are there. */
void fake_inners_reset(void);

/*
 * fake_prove - the peer has proved this key (a public one's text).  Returns whether that was
 * accepted; else the user has been told that it is over.
 */
bool fake_prove(struct inner *in, const char *pub);

/* fake_inner_hello - the peer says HELLO; returns what the user answers. */
enum session_verdict fake_inner_hello(struct inner *in, enum ctl_role role, const char *name);

/* fake_inner_end - it has ended by itself. */
void fake_inner_end(struct inner *in, uint32_t code, const char *text);

#endif
