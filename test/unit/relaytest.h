/* SPDX-License-Identifier: ISC */
/*
 * relaytest - a relay without listeners and threads: its workers' loops are turned by the test, and
 * its peers are sessions whose other side is the test (fakesession.h).
 */
#ifndef TEST_UNIT_RELAYTEST_H
#define TEST_UNIT_RELAYTEST_H

#include "cmd/relay/peer.h"
#include "test/unit/fakesession.h"

/* relaytest_init - n workers, options with room for all; the test may change opts afterwards. */
void relaytest_init(struct relay *r, int n);
void relaytest_fini(struct relay *r);

/* relaytest_creds - from now on these credentials (JSON) are in force. */
void relaytest_creds(struct relay *r, const char *json);

/* relaytest_settle - turn the loops, one after the other, until nothing moves. */
void relaytest_settle(struct relay *r);

/* relaytest_from - peers come from this address from now on; 192.0.2.7 until then. */
void relaytest_from(const char *address);

/*
 * relaytest_peer - a peer on worker w that has said nothing yet; *settled, which may be NULL,
 * counts.
 * Returns its session.
 */
struct fake_session *relaytest_peer(struct relay *r, int w, int *settled);

/*
 * relaytest_login - a peer on worker w that has said HELLO, and all that comes of it has happened.
 */
struct fake_session *relaytest_login(struct relay *r, int w, enum ctl_role role, const char *name);

/*
 * relaytest_is_ended - has the relay ended this session's connection, as far as the other side
 * sees?
 */
bool relaytest_is_ended(const struct fake_session *f);

/*
 * relaytest_hang_up - the other side of this session has closed its connection; _all: of each one
 * that there is.
 */
void relaytest_hang_up(struct fake_session *f);
void relaytest_hang_up_all(void);

#endif
