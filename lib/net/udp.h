/* SPDX-License-Identifier: ISC */
/*
 * udp - sockets of datagrams: several in one call, and which address each one came to.
 *
 * A public socket (udp_open) is bound and serves many peers: it tells which of our addresses a
 * datagram was sent to, so that the answer can leave from there, whatever the routes say; and how
 * many the kernel dropped for want of room.  A connected one has a single peer, and tells of ICMP
 * errors.
 *
 * recvmmsg(2) takes up to UDP_BATCH at once: 30,000 datagrams of 1,200 bytes a second cost the
 * relay 4.1 us each, and 9.7 us when it took one in a turn (test/bench/udp_flood.py --rate 30000,
 * medians of three on a busy machine).  Sending is one call for each: what arrives in frames leaves
 * as it comes.  A batch's memory is the caller's, one for all sockets of a thread; the kernel fills
 * in pages of it only as datagrams come.
 */
#ifndef LIB_UDP_H
#define LIB_UDP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/addr.h"
#include "lib/net/buf.h"

#define UDP_BATCH 32
/* Bytes that a datagram may have: more than any stream carries, so that none is cut unnoticed. */
#define UDP_MAX 65536
/*
 * What is taken from a socket in a turn: half of what the queue of one stream holds (datagrams.h),
 * so that a burst waits in the kernel, and not in a queue that drops before the carrier was asked.
 */
#define UDP_TURN_BYTES (128 * 1024)
/* What a public socket's queue in the kernel should hold, as far as the system allows. */
#define UDP_QUEUE (4 * 1024 * 1024)

/* One datagram; of a connected socket only the bytes. */
struct udp_datagram {
	const uint8_t *p;
	size_t n;
	/* Who sent it; which of our addresses it was sent to, port 0. */
	struct addr from, to;
};

struct udp_batch;

/* udp_batch_new - NULL: out of memory.  udp_batch_free accepts NULL. */
struct udp_batch *udp_batch_new(void);
void udp_batch_free(struct udp_batch *b);

/*
 * udp_open - a public socket, bound to at; its port may be 0.  Every address (::) is IPv4's too.
 * ERR_SYS with e.
 */
int udp_open(const struct addr *at, int *fd, struct errtext *e) WARN_UNUSED;

/* What a turn has left; zero it at its beginning. */
struct udp_turn {
	/* Bytes taken, and the largest datagram. */
	size_t taken, largest;
};

/*
 * udp_turn_max - how many may be asked for now; 0: the turn is over.
 * udp_turn_took - n datagrams have come.
 */
int udp_turn_max(const struct udp_turn *t);
void udp_turn_took(struct udp_turn *t, const struct udp_datagram *v, ssize_t n);

/*
 * udp_recv - up to max datagrams that wait, at most UDP_BATCH; *v points into b until its next use.
 *   lost  set to how many the kernel has dropped in the socket's whole life, if it says so now
 * Returns how many; 0: none waits; on a connected socket ERR_CLOSED: its peer has no such port,
 * ERR_NOTFOUND: no way there; otherwise ERR_SYS, and what may be tried again is none.
 */
ssize_t udp_recv(struct udp_batch *b, int fd, int max, const struct udp_datagram **v,
    uint32_t *lost) WARN_UNUSED;

/*
 * udp_gather - the bytes of q, at most UDP_MAX, as iovecs for what follows; those in many pieces
 * are copied into room.  Returns how many iovecs.
 */
#define UDP_IOV 16
int udp_gather(const struct bufq *q, struct iovec iov[UDP_IOV], uint8_t room[UDP_MAX]);

/*
 * udp_reply - n iovecs as one datagram from a public socket, to to and from the address from.
 * udp_send - on a connected socket.
 * Returns 0; ERR_AGAIN: the kernel has no room; ERR_LIMIT: it is too large for the way; the errors
 * of udp_recv.
 */
int udp_reply(int fd, const struct addr *to, const struct addr *from, const struct iovec *iov,
    int n) WARN_UNUSED;
int udp_send(int fd, const struct iovec *iov, int n) WARN_UNUSED;

#endif
