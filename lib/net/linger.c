/* SPDX-License-Identifier: ISC */
/* linger - close a connected socket so that what was written last arrives. */
#include "lib/net/linger.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/mem.h"

enum {
	SCRATCH = 16 * 1024,
	/* Of one socket, before others get theirs. */
	READS_TURN = 16,
	IOV_TURN = 16,
};

struct leaver {
	struct loop *loop;
	int fd;
	struct io io;
	struct timer timer;
	struct bufq out;
	/* We have ended our direction, the peer has ended its own. */
	bool shut, ended;
	size_t dropped;
	struct orphan orphan;
	struct grave grave;
};

static void
linger_dispose(void *arg)
{
	mem_free(arg);
}

static void
linger_end(void *arg)
{
	struct leaver *g = arg;

	io_fini(&g->io);
	timer_fini(&g->timer);
	loop_disown(g->loop, &g->orphan);
	bufq_fini(&g->out);
	close(g->fd);
	loop_bury(g->loop, &g->grave, linger_dispose, g);
}

/* Write what is left, then end our direction.  False: the connection is broken. */
static bool
say_rest(struct leaver *g)
{
	while (g->out.len > 0) {
		struct iovec iov[IOV_TURN];
		struct msghdr msg = { .msg_iov = iov };
		ssize_t n;

		msg.msg_iovlen = (size_t)bufq_peek(&g->out, 0, g->out.len, iov, IOV_TURN);
		n = sendmsg(g->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		bufq_drain(&g->out, (size_t)n);
		/* It reads: it gets the time that it takes. */
		timer_set(&g->timer, LINGER_MS);
	}
	if (!g->shut && shutdown(g->fd, SHUT_WR) != 0)
		return false;
	g->shut = true;
	return true;
}

/* Throw away what has come.  False: the connection is broken, or the peer has sent all it may. */
static bool
drop_input(struct leaver *g)
{
	uint8_t scratch[SCRATCH];

	for (int i = 0; i < READS_TURN && !g->ended; i++) {
		ssize_t n = recv(g->fd, scratch, sizeof scratch, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		g->ended = n == 0;
		g->dropped += (size_t)n;
		if (g->dropped >= LINGER_BYTES)
			return false;
	}
	return true;
}

/* Returns false when there is nothing more to wait for. */
static bool
step(struct leaver *g)
{
	if (!say_rest(g) || !drop_input(g) || (g->shut && g->ended))
		return false;
	return io_want(&g->io, (g->ended ? 0 : IO_READ) | (g->out.len > 0 ? IO_WRITE : 0)) == 0;
}

static void
on_event(void *arg, int what)
{
	struct leaver *g = arg;

	(void)what;
	if (!step(g))
		linger_end(g);
}

void
linger_close(struct loop *l, int fd, struct bufq *out)
{
	struct leaver *g = mem_zalloc(sizeof *g);

	if (g == NULL) {
		bufq_fini(out);
		close(fd);
		return;
	}
	g->loop = l;
	g->fd = fd;
	g->out = *out;
	*out = (struct bufq){ 0 };
	loop_adopt(l, &g->orphan, linger_end, g);
	if (io_init(&g->io, l, fd, false, on_event, g) != 0 ||
	    timer_init(&g->timer, l, linger_end, g) != 0) {
		linger_end(g);
		return;
	}
	timer_set(&g->timer, LINGER_MS);
	if (!step(g))
		linger_end(g);
}
