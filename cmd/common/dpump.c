/* SPDX-License-Identifier: ISC */
/* dpump - datagrams between a stream and a local socket. */
#include "cmd/common/dpump.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/net/buf.h"

struct dpump {
	struct loop *loop;
	/* NULL once it is over. */
	struct stream *s;
	struct udp_batch *batch;
	int fd;
	struct io io;
	/* Looks at used_ms, so that a datagram costs no timer. */
	struct timer idle;
	struct task again;
	uint64_t used_ms, quiet_ms;
	bool local;
	/* A socket of packets, which has an end; it has come. */
	bool packets, ended;
	/* Of the socket's that are in the stream's queue; reading waits for some to leave. */
	uint64_t queued;
	bool paused;
	struct flow_counts n;
	dpump_done_fn *done;
	void *arg;
	struct grave grave;
};

const char *
flow_counts_text(const struct flow_counts *n, char out[FLOW_COUNTS_TEXT])
{
	snprintf(out, FLOW_COUNTS_TEXT,
	    "%llu datagrams up (%llu bytes), %llu down (%llu), %llu dropped here",
	    (unsigned long long)n->up, (unsigned long long)n->up_bytes, (unsigned long long)n->down,
	    (unsigned long long)n->down_bytes, (unsigned long long)n->dropped);
	return out;
}

/* ---- the end ---- */

static void
dpump_close(struct dpump *p)
{
	io_fini(&p->io);
	timer_fini(&p->idle);
	task_cancel(p->loop, &p->again);
	close(p->fd);
	p->fd = -1;
	loop_bury(p->loop, &p->grave, mem_free, p);
}

/* The stream is over by now. */
static void
finish(struct dpump *p, uint32_t code, const char *text, bool local)
{
	struct pump_result res = { .code = code, .text = text, .local = local };

	res.to_stream = p->local ? p->n.up_bytes : p->n.down_bytes;
	res.from_stream = p->local ? p->n.down_bytes : p->n.up_bytes;
	dpump_close(p);
	p->done(p->arg, &res, &p->n);
}

/* The socket's side ends it.  With CODE_CANCELLED nothing is wrong. */
static void
end_here(struct dpump *p, uint32_t code, const char *text)
{
	struct stream *s = p->s;

	p->s = NULL;
	stream_reset(s, code, text);
	finish(p, code == CODE_CANCELLED ? CODE_OK : code, text, true);
}

static void
end_for(struct dpump *p, int err)
{
	if (err == ERR_CLOSED)
		end_here(p, CODE_REFUSED, "the target takes no datagrams on that port");
	else if (err == ERR_NOTFOUND)
		end_here(p, CODE_UNREACHABLE, "there is no way to the target");
	else
		end_here(p, CODE_INTERNAL, "the socket failed");
}

void
dpump_stop(struct dpump *p, uint32_t code, const char *text)
{
	struct stream *s = p->s;

	p->s = NULL;
	stream_reset(s, code, text);
	dpump_close(p);
}

void
dpump_quiet(struct dpump *p, uint64_t ms)
{
	p->quiet_ms = ms;
	p->used_ms = loop_now_ms(p->loop);
	timer_set(&p->idle, ms);
}

static void
on_idle(void *arg)
{
	struct dpump *p = arg;
	uint64_t now_ms = loop_now_ms(p->loop);

	if (p->used_ms + p->quiet_ms > now_ms)
		timer_set(&p->idle, p->used_ms + p->quiet_ms - now_ms);
	else
		end_here(p, CODE_CANCELLED, p->ended ? "its input has ended" : "idle");
}

/* ---- from the socket ---- */

static void
count(struct dpump *p, bool from_socket, size_t n)
{
	p->used_ms = loop_now_ms(p->loop);
	if (from_socket == p->local) {
		p->n.up++;
		p->n.up_bytes += n;
	} else {
		p->n.down++;
		p->n.down_bytes += n;
	}
}

/* Into the stream's queue.  ERR_NOMEM: lost. */
static void
queue(struct dpump *p, const struct udp_datagram *d)
{
	struct bufq q = { 0 };
	unsigned dropped = 0;

	count(p, true, d->n);
	if (d->n > FRAME_DATAGRAM_MAX || bufq_copy(&q, d->p, d->n) != 0 ||
	    stream_datagram(p->s, &q, &dropped) != 0)
		dropped++;
	else
		p->queued++;
	p->queued -= dropped < p->queued ? dropped : p->queued;
	p->n.dropped += dropped;
	bufq_fini(&q);
}

/* Standard input waits, rather than to be dropped. */
static bool
must_wait(const struct dpump *p)
{
	return p->packets && p->queued > 0 && stream_room(p->s) < FRAME_DATAGRAM_MAX;
}

static void
read_interest(struct dpump *p)
{
	p->paused = must_wait(p);
	if (io_want(&p->io, p->ended || p->paused ? 0 : IO_READ) != 0)
		end_here(p, CODE_INTERNAL, "out of memory");
}

static void
end_of_input(struct dpump *p)
{
	p->ended = true;
	dpump_quiet(p, DPUMP_LAST_MS);
}

static void
read_socket(struct dpump *p)
{
	struct udp_turn turn = { 0 };

	while (udp_turn_max(&turn) > 0 && !p->ended && !must_wait(p)) {
		/* Of packets one at a time: there may be no room for a second. */
		int max = p->packets ? 1 : udp_turn_max(&turn);
		const struct udp_datagram *v = NULL;
		uint32_t lost = 0;
		ssize_t n = udp_recv(p->batch, p->fd, max, &v, &lost);

		if (n < 0) {
			end_for(p, (int)n);
			return;
		}
		for (ssize_t i = 0; i < n; i++)
			if (p->packets && v[i].n == 0)
				end_of_input(p);
			else
				queue(p, &v[i]);
		if (n < max)
			break;
		udp_turn_took(&turn, v, n);
	}
	read_interest(p);
}

static void
on_io(void *arg, int what)
{
	(void)what;
	read_socket(arg);
}

/* ---- from the stream ---- */

/* A socket of packets takes an empty one for an end. */
static int
write_socket(struct dpump *p, const struct bufq *in)
{
	struct iovec iov[UDP_IOV];
	uint8_t room[UDP_MAX];

	if (p->packets && in->len == 0)
		return 0;
	return udp_send(p->fd, iov, udp_gather(in, iov, room));
}

void
dpump_deliver(struct dpump *p, struct bufq *in)
{
	int r = write_socket(p, in);

	count(p, false, in->len);
	if (r == ERR_AGAIN || r == ERR_LIMIT)
		p->n.dropped++;
	else if (r != 0)
		end_for(p, r);
}

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)arg; /* datagrams have not waited for it */
	(void)ok;
}

static void
on_datagram(void *arg, struct bufq *in)
{
	dpump_deliver(arg, in);
}

static void
on_again(void *arg)
{
	read_interest(arg);
}

static void
on_sent(void *arg, size_t n)
{
	struct dpump *p = arg;

	(void)n;
	p->queued -= p->queued > 0;
	if (p->paused && !must_wait(p))
		task_soon(p->loop, &p->again);
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct dpump *p = arg;

	p->s = NULL;
	finish(p, code, text, false);
}

static const struct stream_user user = {
	.opened = on_opened,
	.datagram = on_datagram,
	.sent = on_sent,
	.closed = on_closed,
};

/* ---- life ---- */

static bool
is_of_packets(int fd)
{
	int type = 0;
	socklen_t len = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

struct dpump *
dpump_new(struct loop *l, int fd, struct stream *s, struct udp_batch *batch, bool local,
    dpump_done_fn *done, void *arg)
{
	struct dpump *p = mem_zalloc(sizeof *p);

	if (p == NULL)
		return NULL;
	p->loop = l;
	p->fd = fd;
	p->batch = batch;
	p->local = local;
	p->packets = is_of_packets(fd);
	p->quiet_ms = DPUMP_IDLE_MS;
	p->used_ms = loop_now_ms(l);
	p->done = done;
	p->arg = arg;
	task_init(&p->again, on_again, p);
	if (timer_init(&p->idle, l, on_idle, p) != 0 ||
	    io_init(&p->io, l, fd, false, on_io, p) != 0 || io_want(&p->io, IO_READ) != 0) {
		io_fini(&p->io);
		timer_fini(&p->idle);
		mem_free(p);
		return NULL;
	}
	p->s = s;
	stream_set_user(s, &user, p);
	/* A terminal's user may think for longer than that; the agent's end does the same. */
	if (!p->packets)
		timer_set(&p->idle, p->quiet_ms);
	return p;
}
