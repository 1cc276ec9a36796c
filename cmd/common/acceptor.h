/* SPDX-License-Identifier: ISC */
/*
 * acceptor - takes the connections of one listening socket, so many in a turn.
 *
 * When descriptors run out, the one in reserve turns the next connection away, so that its peer
 * learns, and accepting rests for a moment.
 */
#ifndef CMD_COMMON_ACCEPTOR_H
#define CMD_COMMON_ACCEPTOR_H

#include "lib/base/log_limit.h"
#include "lib/base/rlimit.h"
#include "lib/net/addr.h"
#include "lib/net/loop.h"

/* How long accepting rests when descriptors have run out. */
#define ACCEPTOR_PAUSE_MS 100
/* Connections taken in a turn. */
#define ACCEPTOR_TURN 64

struct acceptor_config {
	/* the listener; borrowed */
	int fd;
	/* what messages call it: "--listen 127.0.0.1:80"; borrowed */
	const char *name;
	/* of this thread; borrowed */
	struct rlimit_reserve *reserve;
	/*
	 * fd is taken over, from is borrowed.  acceptor_fini is allowed; the memory of the acceptor
	 * lasts until the end of the turn.
	 */
	void (*accepted)(void *arg, int fd, const struct addr *from);
	void *arg;
};

/* Embedded.  Members are private. */
struct acceptor {
	struct acceptor_config cfg;
	struct loop *loop;
	struct io io;
	struct timer pause;
	struct log_limit log;
	bool over;
};

/*
 * acceptor_init - accept from now on.  ERR_NOMEM, ERR_SYS.  acceptor_fini does not close the
 * listener, and accepts a zeroed one.
 */
int acceptor_init(
    struct acceptor *a, struct loop *l, const struct acceptor_config *cfg) WARN_UNUSED;
void acceptor_fini(struct acceptor *a);

#endif
