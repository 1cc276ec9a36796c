/* SPDX-License-Identifier: ISC */
/*
 * f_sock - the socket at the bottom of a filter stack.
 *
 * Copies of payload: kernel → block (read), block → kernel (writev); none in user space, but reads
 * of at most BUF_SMALL bytes, which are copied so that a keystroke does not pin a large block.
 *
 * The descriptor is watched edge-triggered, for everything, once: `readable` and `writable`
 * remember what the kernel said last, and no epoll_ctl is needed when a reader pauses or a writer
 * fills up.
 *
 * Two machines; a break ends both, and is the filter's state (f.closed).
 *      input    OPEN ── the peer's end ──> ENDED
 *      output   OPEN ── filter_shutdown ──> ENDING ── all is in the kernel ──> ENDED
 */
#include "lib/net/f_sock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/net/linger.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/sockopt.h"
#include "lib/net/pace.h"

enum {
	/* Slices in one writev. */
	IOV_MAX_TURN = 128,
	/* What stands behind the last bytes without an event is noticed. */
	CHECK_MS = 100,
	/* Small reads in a row before the block size goes down. */
	SHRINK_AFTER = 32,
};

enum input { INPUT_OPEN, INPUT_ENDED, N_INPUT };
enum output { OUTPUT_OPEN, OUTPUT_ENDING, OUTPUT_ENDED, N_OUTPUT };

static const char *const input_name[N_INPUT] = { "OPEN", "ENDED" };
static const char *const output_name[N_OUTPUT] = { "OPEN", "ENDING", "ENDED" };

static const bool input_can[N_INPUT][N_INPUT] = {
	[INPUT_OPEN] = { [INPUT_ENDED] = true },
};
static const bool output_can[N_OUTPUT][N_OUTPUT] = {
	[OUTPUT_OPEN] = { [OUTPUT_ENDING] = true },
	[OUTPUT_ENDING] = { [OUTPUT_ENDED] = true },
};

struct f_sock {
	struct filter f;
	enum input input;
	enum output output;
	/* Of one descriptor only rio is used. */
	struct io rio, wio;
	int rfd, wfd;
	/* Of descriptors that others may share, as they were; -1: nothing to restore. */
	int rflags, wflags;
	struct bufq out;
	/*
	 * Looks for what no event has told of.  It is set; bytes have come since; when it looked
	 * last.
	 */
	struct timer check;
	bool checking, arrived;
	uint64_t looked_ms;
	/* Reading goes on after the budget was used up, or after a pause. */
	struct task again;
	/* The size of block to read into; small reads in a row. */
	size_t read_size;
	unsigned n_small;
	/* Of the writing side. */
	struct pace pace;
	uint64_t written;
	/* What the kernel said last. */
	bool readable, writable, hup;
	/*
	 * An error may stand behind what is still to be read: reads go on until there is nothing.
	 */
	bool doubt;
	/* To be reset when it is closed. */
	bool hard;
};

static struct f_sock *
sock_of(const struct filter *f)
{
	return (struct f_sock *)(uintptr_t)f;
}

static void
set_input(struct f_sock *s, enum input next)
{
	assert(input_can[s->input][next]);
	log_debug("socket %d: input %s -> %s", s->rfd, input_name[s->input], input_name[next]);
	s->input = next;
}

static void
set_output(struct f_sock *s, enum output next)
{
	assert(output_can[s->output][next]);
	log_debug("socket %d: output %s -> %s", s->wfd, output_name[s->output], output_name[next]);
	s->output = next;
}

static void
sock_fail(struct f_sock *s, int error)
{
	filter_close(&s->f, ERR_CLOSED, strerror(error));
}

/*
 * O_NONBLOCK belongs to the open file, which a shell or another program may share: leave it as it
 * was found.
 */
static void
close_restored(int fd, int flags)
{
	if (flags >= 0)
		IGNORE_RESULT(fcntl(
		    fd, F_SETFL, flags)); /* then it stays non-blocking; there is nobody to tell */
	close(fd);
}

/* ---- reading ---- */

static void
read_adapt(struct f_sock *s, size_t got, size_t cap)
{
	if (got == cap) {
		s->n_small = 0;
		s->read_size = s->read_size < BUF_HUGE / 4 ? s->read_size * 4 : BUF_HUGE;
	} else if (got >= cap / 8) {
		s->n_small = 0;
	} else if (++s->n_small >= SHRINK_AFTER) {
		s->n_small = 0;
		if (s->read_size > BUF_MEDIUM)
			s->read_size /= 4;
	}
}

/*
 * One read of at most max bytes into f.in.  Returns bytes; 0 at the end of file; ERR_AGAIN,
 * ERR_NOMEM, or ERR_SYS.
 */
static ssize_t
read_once(struct f_sock *s, size_t max)
{
	struct block *b = block_new(max);
	ssize_t n;
	int r = 0;

	if (b == NULL)
		return ERR_NOMEM;
	do
		n = read(s->rfd, b->data, max);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		block_unref(b);
		return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_SYS;
	}
	b->fill = (uint32_t)n;
	if (n > BUF_SMALL)
		r = bufq_append(&s->f.in, b, b->data, (size_t)n);
	else if (n > 0)
		r = bufq_copy(&s->f.in, b->data, (size_t)n);
	/* Less than asked for means empty, unless the end stands behind it, or an error may. */
	if ((size_t)n < max && !s->hup && !s->doubt)
		s->readable = false;
	block_unref(b);
	return r != 0 ? r : n;
}

/* Read until there is no more, or the turn is over.  Returns as read_once. */
static ssize_t
read_portion(struct f_sock *s, size_t *budget)
{
	ssize_t n = 1;

	while (n > 0 && s->readable && *budget > 0) {
		size_t max = s->read_size < *budget ? s->read_size : *budget;

		n = read_once(s, max);
		if (n > 0) {
			read_adapt(s, (size_t)n, max);
			s->arrived = true;
			*budget -= (size_t)n < *budget ? (size_t)n : *budget;
		}
	}
	return n;
}

static void
sock_read(struct f_sock *s)
{
	size_t budget = s->f.want < F_SOCK_TURN ? s->f.want : F_SOCK_TURN;
	ssize_t n = 1;

	while (n > 0 && s->readable && !s->f.paused && !s->f.closed && budget > 0) {
		size_t before = s->f.in.len;
		int error;

		n = read_portion(s, &budget);
		error = n == ERR_NOMEM ? ENOMEM : errno;
		if (n == ERR_AGAIN || n == 0)
			s->readable = s->doubt = false;
		/*
		 * What came before an end, or before the connection broke, is the user's all the
		 * same.
		 */
		if (s->f.in.len > before)
			filter_readable(&s->f);
		if (s->f.closed)
			return;
		if (n < 0 && n != ERR_AGAIN) {
			sock_fail(s, error);
			return;
		}
	}
	if (s->f.closed)
		return;
	if (s->readable && !s->f.paused)
		task_later(s->f.loop, &s->again);
	if (n == 0) {
		set_input(s, INPUT_ENDED);
		filter_close(&s->f, ERR_EOF, "");
	}
}

static void
on_again(void *arg)
{
	struct f_sock *s = arg;

	if (!s->f.closed && s->input == INPUT_OPEN)
		sock_read(s);
}

/* ---- writing ---- */

static void
finish_shutdown(struct f_sock *s)
{
	if (s->output != OUTPUT_ENDING || s->out.len > 0)
		return;
	set_output(s, OUTPUT_ENDED);
	if (s->wfd == s->rfd) {
		/* ENOTCONN: the peer has reset the connection, and the reader will learn it. */
		IGNORE_RESULT(shutdown(s->wfd, SHUT_WR));
	} else if (s->wfd >= 0) {
		io_fini(&s->wio);
		close_restored(s->wfd, s->wflags);
		s->wfd = -1;
	}
}

/* One gathered write.  Returns bytes, ERR_AGAIN, or ERR_SYS. */
static ssize_t
write_once(struct f_sock *s)
{
	struct iovec iov[IOV_MAX_TURN];
	int k = bufq_peek(&s->out, 0, s->out.len, iov, IOV_MAX_TURN);
	size_t offered = 0;
	ssize_t n;

	for (int i = 0; i < k; i++)
		offered += iov[i].iov_len;
	do
		n = writev(s->wfd, iov, k);
	while (n < 0 && errno == EINTR);
	/* After a partial write the kernel tells of room by a new edge. */
	if (n < (ssize_t)offered)
		s->writable = false;
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_SYS;
	return n;
}

/* Returns 0, or -1 after the filter was closed. */
static int
sock_write(struct f_sock *s)
{
	uint64_t before = s->written;

	while (s->out.len > 0 && s->writable) {
		ssize_t n = write_once(s);

		if (n < 0 && n != ERR_AGAIN) {
			sock_fail(s, errno);
			return -1;
		}
		if (n > 0) {
			bufq_drain(&s->out, (size_t)n);
			s->written += (uint64_t)n;
		}
	}
	pace_wrote(&s->pace, s->wfd, s->written);
	finish_shutdown(s);
	if (s->written != before)
		filter_drained(&s->f);
	return 0;
}

static int
sock_op_write(struct filter *f, struct bufq *src)
{
	struct f_sock *s = sock_of(f);
	int r;

	if (s->output != OUTPUT_OPEN)
		return ERR_CLOSED;
	/*
	 * While the kernel takes nothing, a peer that sends shreds must not make us hold their
	 * blocks.
	 */
	r = s->writable ? bufq_move(&s->out, src, src->len) : bufq_keep(&s->out, src, src->len);
	if (r == 0 && !s->writable && bufq_weight(&s->out) > F_SOCK_WEIGHT_MAX)
		bufq_compact(&s->out);
	return r;
}

static void
sock_op_flush(struct filter *f)
{
	IGNORE_RESULT(sock_write(sock_of(f))); /* a failure has told the user */
}

static size_t
sock_op_room(struct filter *f)
{
	struct f_sock *s = sock_of(f);

	return s->writable && s->out.len == 0 && s->output == OUTPUT_OPEN ? s->pace.lowat : 0;
}

static void
sock_op_shutdown(struct filter *f)
{
	struct f_sock *s = sock_of(f);

	if (s->output != OUTPUT_OPEN)
		return;
	set_output(s, OUTPUT_ENDING);
	IGNORE_RESULT(sock_write(s)); /* a failure has told the user */
}

/* ---- events ---- */

/*
 * A broken connection comes as readable and writable, like any other news, and nothing comes after
 * it: a read that finds bytes, or a pause, would never learn of it.  What the kernel has in store
 * was sent before, and is read first, paused or not.
 */
static void
check_error(struct f_sock *s)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(s->rfd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error == 0)
		return;
	while (read_once(s, s->read_size) > 0)
		;
	filter_readable(&s->f);
	sock_fail(s, error);
}

static void
arm_check(struct f_sock *s)
{
	s->checking = true;
	s->arrived = false;
	timer_set(&s->check, CHECK_MS);
}

/*
 * A read ends in front of an urgent byte as if there were no more (RFC 9293 3.8.5), and does not
 * tell of a connection that broke behind what it found.  One more read finds both.
 */
static void
look_again(struct f_sock *s)
{
	s->looked_ms = loop_now_ms(s->f.loop);
	s->readable = true;
	if (s->f.paused || s->input == INPUT_ENDED)
		check_error(s);
	else
		sock_read(s);
}

static void
on_check(void *arg)
{
	struct f_sock *s = arg;

	s->checking = false;
	if (s->arrived && !s->f.closed)
		arm_check(s);
	if (!s->checking && !s->f.closed)
		look_again(s);
}

/*
 * Readable and writable at once may mean an error.  If there is more to read, the reads that follow
 * go on until they meet it.  Otherwise it is looked for: at once when nothing is being read, or
 * when such news are rare, else in CHECK_MS, since a ping-pong brings them with every message.
 */
static void
suspect(struct f_sock *s)
{
	if (s->f.loop == NULL) /* it is on its way to another thread, which will be told anew */
		return;
	if (s->f.paused || s->input == INPUT_ENDED)
		check_error(s);
	else if (s->readable)
		s->doubt = true;
	else if (s->checking)
		return;
	else if (loop_now_ms(s->f.loop) - s->looked_ms >= CHECK_MS)
		look_again(s);
	else
		arm_check(s);
}

static void
on_event(void *arg, int what)
{
	struct f_sock *s = arg;

	if (what & IO_HUP)
		s->hup = true;
	if (what & (IO_READ | IO_HUP))
		s->readable = true;
	if (what & IO_WRITE)
		s->writable = true;
	if (s->readable && !s->f.paused && !s->f.closed && s->input == INPUT_OPEN)
		sock_read(s);
	if (what & IO_READ && what & IO_WRITE && !(what & IO_HUP) && !s->f.closed)
		suspect(s);
	if (what & IO_WRITE && !s->f.closed && sock_write(s) == 0 && s->writable)
		filter_writable(&s->f);
}

static void
on_write_event(void *arg, int what)
{
	struct f_sock *s = arg;

	(void)what;
	s->writable = true;
	if (!s->f.closed && sock_write(s) == 0 && s->writable)
		filter_writable(&s->f);
}

static void
sock_op_pause(struct filter *f, bool paused)
{
	struct f_sock *s = sock_of(f);

	if (!paused && s->readable)
		task_later(f->loop, &s->again);
}

static void
sock_op_detach(struct filter *f)
{
	struct f_sock *s = sock_of(f);

	task_cancel(f->loop, &s->again);
	timer_fini(&s->check);
	s->checking = false;
	io_fini(&s->rio);
	io_fini(&s->wio);
}

static int
sock_watch(struct f_sock *s, struct loop *l)
{
	bool pair = s->rfd != s->wfd;
	int r = 0;

	if (s->rfd >= 0 && (r = io_init(&s->rio, l, s->rfd, true, on_event, s)) == 0)
		r = io_want(&s->rio, IO_READ | (pair ? 0 : IO_WRITE | IO_HUP));
	if (r == 0 && pair && s->wfd >= 0 &&
	    (r = io_init(&s->wio, l, s->wfd, true, on_write_event, s)) == 0)
		r = io_want(&s->wio, IO_WRITE);
	return r;
}

static int
sock_op_attach(struct filter *f, struct loop *l)
{
	struct f_sock *s = sock_of(f);
	int r = timer_init(&s->check, l, on_check, s);

	if (r == 0)
		r = sock_watch(s, l);
	if (r != 0) {
		sock_op_detach(f);
		return r;
	}
	/*
	 * What was ready before is announced again by the new watch; a pipe's end of file counts as
	 * data.
	 */
	s->hup = s->hup || s->rfd != s->wfd;
	return 0;
}

static void
sock_op_fini(struct filter *f)
{
	struct f_sock *s = sock_of(f);

	if (f->loop != NULL)
		sock_op_detach(f);
	/*
	 * Input that we do not read must not turn our last words into a reset, nor the close cut
	 * them off.
	 */
	if (f->loop != NULL && s->rfd == s->wfd && s->rfd >= 0 && s->rflags < 0 && !s->hard &&
	    (s->out.len > 0 || (s->written > 0 && s->input == INPUT_OPEN))) {
		linger_close(f->loop, s->rfd, &s->out);
		s->rfd = s->wfd = -1;
	}
	bufq_fini(&s->out);
	if (s->wfd >= 0 && s->wfd != s->rfd)
		close_restored(s->wfd, s->wflags);
	if (s->rfd >= 0)
		close_restored(s->rfd, s->rflags);
	s->rfd = s->wfd = -1;
}

static size_t
sock_op_pending(const struct filter *f)
{
	return sock_of(f)->out.len;
}

static size_t
sock_op_unacked(const struct filter *f)
{
	const struct f_sock *s = sock_of(f);
	int n = 0;

	/* A pipe has no such question, and keeps its bytes when it is closed. */
	return s->wfd >= 0 && ioctl(s->wfd, SIOCOUTQ, &n) == 0 ? (size_t)n : 0;
}

static void
sock_op_reset(struct filter *f, bool on)
{
	struct f_sock *s = sock_of(f);

	s->hard = on;
	/* A pipe cannot: its reader sees an end, and somebody else has to tell it more. */
	sockopt_reset(s->rfd, on);
	if (s->wfd != s->rfd)
		sockopt_reset(s->wfd, on);
}

static const struct filter_ops sock_ops = {
	.name = "socket",
	.write = sock_op_write,
	.flush = sock_op_flush,
	.room = sock_op_room,
	.shutdown = sock_op_shutdown,
	.fini = sock_op_fini,
	.pause = sock_op_pause,
	.detach = sock_op_detach,
	.attach = sock_op_attach,
	.pending = sock_op_pending,
	.unacked = sock_op_unacked,
	.reset = sock_op_reset,
};

static struct f_sock *
sock_make(struct loop *l, int rfd, int wfd)
{
	struct f_sock *s = mem_zalloc(sizeof *s);

	if (s == NULL)
		return NULL;
	filter_init(&s->f, &sock_ops, NULL, l);
	task_init(&s->again, on_again, s);
	s->rfd = rfd;
	s->wfd = wfd;
	s->rflags = s->wflags = -1;
	s->read_size = BUF_MEDIUM;
	s->pace.lowat = PACE_LOWAT_START;
	if (sock_op_attach(&s->f, l) != 0) {
		mem_free(s);
		return NULL;
	}
	return s;
}

struct filter *
f_sock_new(struct loop *l, int fd, bool shape)
{
	struct f_sock *s = sock_make(l, fd, fd);
	int one = 1;

	if (s == NULL)
		return NULL;
	/*
	 * RFC 6093 5: an urgent byte stays where it stands, and is not missing.  Other sockets have
	 * none.
	 */
	IGNORE_RESULT(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
	pace_init(&s->pace, fd, shape);
	return &s->f;
}

struct filter *
f_sock_new_pair(struct loop *l, int rfd, int wfd)
{
	int rflags = fcntl(rfd, F_GETFL), wflags = fcntl(wfd, F_GETFL);
	struct f_sock *s = NULL;

	if (rflags < 0 || wflags < 0)
		return NULL;
	if (fcntl(rfd, F_SETFL, rflags | O_NONBLOCK) == 0 &&
	    fcntl(wfd, F_SETFL, wflags | O_NONBLOCK) == 0)
		s = sock_make(l, rfd, wfd);
	if (s == NULL) {
		/* They stay the caller's, as they were. */
		IGNORE_RESULT(fcntl(rfd, F_SETFL, rflags));
		IGNORE_RESULT(fcntl(wfd, F_SETFL, wflags));
		return NULL;
	}
	s->rflags = rflags;
	s->wflags = wflags;
	return &s->f;
}
