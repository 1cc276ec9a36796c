/* SPDX-License-Identifier: ISC */
/*
 * sockpair - what tests of connections need again and again: a connection with both ends in hand,
 * bytes that tell their place, and random numbers that are the same in each run.
 *
 * Header only; after cmocka.h.
 */
#ifndef TEST_UNIT_SOCKPAIR_H
#define TEST_UNIT_SOCKPAIR_H

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Both ends of a TCP connection over loopback, non-blocking.  nodelay: nothing waits for an
 * acknowledgement.
 */
static inline void
sockpair_tcp(int fd[2], bool nodelay)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM, 0), on = nodelay;

	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&a, sizeof a), 0);
	fd[1] = accept(l, NULL, NULL);
	assert_true(fd[1] >= 0);
	close(l);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fcntl(fd[i], F_SETFL, O_NONBLOCK), 0);
		assert_int_equal(setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	}
}

/* The byte at place i: shifted, doubled or missing ones are noticed. */
static inline uint8_t
pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

/* A number below n; 0 for n = 0. */
static inline size_t
random_below(unsigned *seed, size_t n)
{
	*seed = *seed * 1103515245u + 12345u;
	return n > 0 ? (*seed >> 8) % n : 0;
}

#endif
