/* SPDX-License-Identifier: ISC */
/*
 * listen_on - a listener for a test, which fails if there can be none; and a connection to one that
 * is not the test's.
 *
 * Header only; after cmocka.h.
 */
#ifndef TEST_UNIT_LISTEN_ON_H
#define TEST_UNIT_LISTEN_ON_H

#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/listen.h"

/* The descriptor; *a is where it listens. */
static inline int
listen_on(const char *spec, struct addr *a)
{
	struct errtext e;
	int fd = -1;

	if (listen_open(spec, &fd, &e) != 0)
		fail_msg("%s: %s", spec, e.s);
	assert_int_equal(addr_local(fd, a), 0);
	return fd;
}

/* listen_visit - a blocking connection to a port of this machine; -1: nobody listens there. */
static inline int
listen_visit(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr a;

	assert_true(fd >= 0);
	assert_true(addr_literal("127.0.0.1", port, &a));
	if (connect(fd, &a.u.sa, a.len) == 0)
		return fd;
	close(fd);
	return -1;
}

#endif
