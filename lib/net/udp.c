/* SPDX-License-Identifier: ISC */
/* udp - sockets of datagrams. */
#include "lib/net/udp.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/mem.h"

/* Room for what the kernel tells of a datagram: where it came to, and what was lost. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t)) + 64];
};

struct udp_batch {
	struct mmsghdr hdr[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	union control control[UDP_BATCH];
	struct udp_datagram got[UDP_BATCH];
	uint8_t bytes[UDP_BATCH][UDP_MAX];
};

struct udp_batch *
udp_batch_new(void)
{
	/* Not zeroed: that would touch every page. */
	struct udp_batch *b = mem_alloc(sizeof *b);

	if (b == NULL)
		return NULL;
	for (int i = 0; i < UDP_BATCH; i++)
		b->iov[i] = (struct iovec){ b->bytes[i], UDP_MAX };
	return b;
}

void
udp_batch_free(struct udp_batch *b)
{
	mem_free(b);
}

/* ---- a public socket ---- */

static void
set(int fd, int level, int option, int value)
{
	/* What is wanted but not needed; udp_open looks at what is. */
	IGNORE_RESULT(setsockopt(fd, level, option, &value, sizeof value));
}

static int
tell_where(int fd, const struct addr *at)
{
	int one = 1;

	if (at->u.sa.sa_family == AF_INET)
		return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
	return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one);
}

int
udp_open(const struct addr *at, int *out, struct errtext *e)
{
	char text[ADDR_TEXT];
	struct addr a = *at;
	int fd = socket(a.u.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 && errno == EAFNOSUPPORT && a.u.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&a.u.in6.sin6_addr)) {
		/* A kernel without IPv6: "every address" is IPv4's. */
		IGNORE_RESULT(!addr_literal("0.0.0.0", addr_port(at), &a)); /* it is one */
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	if (fd < 0)
		return err_sys(e, "cannot make a socket for %s", addr_text(at, text));
	if (a.u.sa.sa_family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY,
		    IN6_IS_ADDR_UNSPECIFIED(&a.u.in6.sin6_addr) ? 0 : 1);
	set(fd, SOL_SOCKET, SO_RCVBUF, UDP_QUEUE);
	set(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_QUEUE);
	set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
	if (tell_where(fd, &a) != 0 || bind(fd, &a.u.sa, a.len) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		return err_sys(e, "cannot receive on %s", addr_text(at, text));
	}
	*out = fd;
	return 0;
}

/* ---- receiving ---- */

/* Of datagrams nothing is known before the first: a few may be as large as can be. */
enum { FIRST = 2 };

int
udp_turn_max(const struct udp_turn *t)
{
	size_t left = t->taken < UDP_TURN_BYTES ? UDP_TURN_BYTES - t->taken : 0, n;

	if (t->largest == 0)
		return left > 0 ? FIRST : 0;
	n = left / t->largest + (left > 0);
	return n < UDP_BATCH ? (int)n : UDP_BATCH;
}

void
udp_turn_took(struct udp_turn *t, const struct udp_datagram *v, ssize_t n)
{
	/* An empty one costs something, too. */
	enum { COST = 64 };

	for (ssize_t i = 0; i < n; i++) {
		t->taken += v[i].n + COST;
		if (v[i].n + COST > t->largest)
			t->largest = v[i].n + COST;
	}
}

static void
read_control(struct msghdr *h, struct udp_datagram *d, uint32_t *lost)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		struct in_pktinfo in;
		struct in6_pktinfo in6;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&in, CMSG_DATA(c), sizeof in);
			d->to.u.in.sin_family = AF_INET;
			d->to.u.in.sin_addr = in.ipi_addr;
			d->to.len = sizeof d->to.u.in;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&in6, CMSG_DATA(c), sizeof in6);
			d->to.u.in6.sin6_family = AF_INET6;
			d->to.u.in6.sin6_addr = in6.ipi6_addr;
			/* Only such an address is one of an interface's. */
			if (IN6_IS_ADDR_LINKLOCAL(&in6.ipi6_addr))
				d->to.u.in6.sin6_scope_id = in6.ipi6_ifindex;
			d->to.len = sizeof d->to.u.in6;
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
			memcpy(lost, CMSG_DATA(c), sizeof *lost);
		}
	}
}

/* What an errno means to whoever sends or receives. */
static int
failure(void)
{
	switch (errno) {
	case EAGAIN:
	case EINTR:
	case ENOBUFS:
	case ENOMEM:
		return ERR_AGAIN;
	case EMSGSIZE:
		return ERR_LIMIT;
	case ECONNREFUSED:
	case ECONNRESET:
	case EPIPE:
		return ERR_CLOSED;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case EACCES:
	case EPERM:
		return ERR_NOTFOUND;
	default:
		return ERR_SYS;
	}
}

ssize_t
udp_recv(struct udp_batch *b, int fd, int max, const struct udp_datagram **v, uint32_t *lost)
{
	int n, r;

	max = max < UDP_BATCH ? max : UDP_BATCH;
	for (int i = 0; i < max; i++) {
		b->got[i] = (struct udp_datagram){ .p = b->bytes[i] };
		b->hdr[i].msg_hdr = (struct msghdr){ .msg_name = &b->got[i].from.u,
			.msg_namelen = sizeof b->got[i].from.u,
			.msg_iov = &b->iov[i],
			.msg_iovlen = 1,
			.msg_control = &b->control[i],
			.msg_controllen = sizeof b->control[i] };
	}
	n = recvmmsg(fd, b->hdr, (unsigned)max, MSG_DONTWAIT, NULL);
	if (n < 0) {
		r = failure();
		return r == ERR_AGAIN ? 0 : r;
	}
	for (int i = 0; i < n; i++) {
		b->got[i].n = b->hdr[i].msg_len;
		b->got[i].from.len = b->hdr[i].msg_hdr.msg_namelen;
		read_control(&b->hdr[i].msg_hdr, &b->got[i], lost);
	}
	*v = b->got;
	return n;
}

/* ---- sending ---- */

int
udp_gather(const struct bufq *q, struct iovec iov[UDP_IOV], uint8_t room[UDP_MAX])
{
	int n = bufq_peek(q, 0, q->len, iov, UDP_IOV);
	size_t have = 0;

	for (int i = 0; i < n; i++)
		have += iov[i].iov_len;
	if (have == q->len)
		return n;
	iov[0] = (struct iovec){ room, bufq_read(q, 0, room, UDP_MAX) };
	return 1;
}

/* The address that the datagram is to leave from. */
static void
write_control(struct msghdr *h, union control *room, const struct addr *from)
{
	bool v4 = from->u.sa.sa_family == AF_INET;
	struct in_pktinfo in = { 0 };
	struct in6_pktinfo in6 = { 0 };
	struct cmsghdr *c;

	if (from->len == 0)
		return;
	memset(room, 0, sizeof *room);
	h->msg_control = room;
	h->msg_controllen = v4 ? CMSG_SPACE(sizeof in) : CMSG_SPACE(sizeof in6);
	c = CMSG_FIRSTHDR(h);
	c->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	c->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
	c->cmsg_len = v4 ? CMSG_LEN(sizeof in) : CMSG_LEN(sizeof in6);
	in.ipi_spec_dst = from->u.in.sin_addr;
	in6.ipi6_addr = from->u.in6.sin6_addr;
	in6.ipi6_ifindex = from->u.in6.sin6_scope_id;
	memcpy(
	    CMSG_DATA(c), v4 ? (const void *)&in : (const void *)&in6, v4 ? sizeof in : sizeof in6);
}

static int
send_one(int fd, const struct msghdr *h)
{
	ssize_t n;

	do
		n = sendmsg(fd, h, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n >= 0 ? 0 : failure();
}

int
udp_reply(int fd, const struct addr *to, const struct addr *from, const struct iovec *iov, int n)
{
	struct addr name = *to;
	struct msghdr h = { .msg_name = &name.u,
		.msg_namelen = to->len,
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)n };
	union control room;

	write_control(&h, &room, from);
	return send_one(fd, &h);
}

int
udp_send(int fd, const struct iovec *iov, int n)
{
	struct msghdr h = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n };

	return send_one(fd, &h);
}
