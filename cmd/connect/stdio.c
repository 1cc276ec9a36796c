/* SPDX-License-Identifier: ISC */
/*
 * stdio - standard input and output as one byte stream, or as one flow of datagrams.
 *
 * Pipes and sockets are read and written by the loop itself.  Files and terminals cannot be (epoll
 * refuses files, and a non-blocking terminal would be so for every other program on it), so a
 * thread of its own moves their bytes to or from a socket pair, and may block.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/common/dropin.h"
#include "cmd/connect/connect.h"
#include "lib/net/f_sock.h"
#include "lib/base/log.h"

#define COPY_BYTES (64 * 1024)

/* One direction through a thread. */
struct copier {
	int from, to;
	bool started;
	/* from is a terminal: when it hangs up it has ended. */
	bool tty;
	/* One of two threads at one socket of packets; see copiers_start_packets. */
	bool packets;
	/* errno of a failed read of standard input, or write of standard output. */
	atomic_int error;
	pthread_t thread;
	uint8_t buf[COPY_BYTES];
};

static struct {
	struct copier in, out;
} self;

/* ---- threads ---- */

/*
 * Another program may have left the terminal, or a file that we share with it, non-blocking: that
 * is waited out.
 */
static bool
would_block(int fd, short what)
{
	struct pollfd p = { .fd = fd, .events = what };

	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return errno == EINTR;
	return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

static int
write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && would_block(fd, POLLOUT))
			continue;
		if (k < 0)
			return -1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static void *
copy_run(void *arg)
{
	struct copier *c = arg;

	for (;;) {
		ssize_t n = read(c->from, c->buf, c->packets ? FRAME_DATAGRAM_MAX : COPY_BYTES);

		if (n < 0 && would_block(c->from, POLLIN))
			continue;
		if (n < 0 && c == &self.in && !c->tty)
			c->error = errno;
		if (n <= 0)
			break;
		if (write_all(c->to, c->buf, (size_t)n) != 0) {
			if (c == &self.out)
				c->error = errno;
			break;
		}
	}
	/*
	 * Input that failed is no end: with the mark unread the loop's end is reset, after the
	 * bytes before.
	 */
	if (c == &self.in && c->error == 0 && !c->packets)
		IGNORE_RESULT(read(c->to, c->buf, 1) != 1); /* the mark is always there */
	/* The loop's end sees end of file on one side, a broken pipe on the other. */
	if (c->packets)
		shutdown(c == &self.in ? c->to : c->from, c == &self.in ? SHUT_WR : SHUT_RD);
	close(c == &self.in ? c->to : c->from);
	return NULL;
}

/* Put a thread between fd and the loop; returns the loop's end, or -1. */
static int
copier_start(struct copier *c, int fd, bool input)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return -1;
	c->from = input ? fd : sv[0];
	c->to = input ? sv[0] : fd;
	c->tty = isatty(c->from);
	/* The mark: see copy_run. */
	if ((input && write(sv[1], "", 1) != 1) ||
	    pthread_create(&c->thread, NULL, copy_run, c) != 0) {
		close(sv[0]);
		close(sv[1]);
		return -1;
	}
	/* Nobody waits for the reader: it may sit in read(2) when the process ends. */
	if (input)
		pthread_detach(c->thread);
	c->started = true;
	return sv[1];
}

/*
 * The same for both, of whatever kind they are, and with one socket of packets: what one read
 * brings stays together, and so does what one write gets.
 */
static int
copiers_start_packets(void)
{
	int sv[2], other;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0)
		return -1;
	other = fcntl(sv[0], F_DUPFD_CLOEXEC, 0);
	self.in = (struct copier){ .from = 0, .to = sv[0], .tty = isatty(0), .packets = true };
	self.out = (struct copier){ .from = other, .to = 1, .packets = true };
	self.in.started =
	    other >= 0 && pthread_create(&self.in.thread, NULL, copy_run, &self.in) == 0;
	self.out.started =
	    self.in.started && pthread_create(&self.out.thread, NULL, copy_run, &self.out) == 0;
	if (self.in.started)
		pthread_detach(self.in.thread);
	if (self.out.started)
		return sv[1];
	/* What a thread has already it closes. */
	if (!self.in.started)
		close(sv[0]);
	if (other >= 0)
		close(other);
	close(sv[1]);
	return -1;
}

/* ---- descriptors ---- */

static bool
loop_can_watch(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static bool
is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool
same_socket(void)
{
	struct stat a, b;

	return fstat(0, &a) == 0 && fstat(1, &b) == 0 && S_ISSOCK(a.st_mode) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int
end_for(int fd, struct copier *c, bool input)
{
	return loop_can_watch(fd) ? fd : copier_start(c, fd, input);
}

static struct filter *
make_filter(struct loop *l)
{
	int in, out;

	if (same_socket())
		return f_sock_new_pair(l, 0, 0);
	in = end_for(0, &self.in, true);
	out = in >= 0 ? end_for(1, &self.out, false) : -1;
	return out >= 0 ? f_sock_new_pair(l, in, out) : NULL;
}

/* ---- the connection ---- */

/* In the words of the reference: the relay's `error`, or the end of the WebSocket. */
static void
tell_dropin(struct client_dropin *d, const struct pump_result *res)
{
	bool ended = res->code == CODE_LOST || res->code == CODE_PROTOCOL ||
		     (res->code == CODE_GONE && !d->answered);

	d->failed = d->failed || res->code == CODE_PROTOCOL;
	if (ended) {
		dropin_say("Connection closed: Error: %s", res->text);
	} else {
		d->answered = true;
		dropin_say("Received error message: %s", res->text);
	}
}

static void
on_done(void *arg, const struct pump_result *res)
{
	struct client *c = arg;

	if (res->code == CODE_OK) {
		if (c->dropin != NULL)
			dropin_say("Connection closed: OK");
		client_leave(c, CMD_OK); /* the last acknowledgement has yet to leave */
		return;
	}
	if (c->code >= 0) {
		client_stop(c, c->code); /* the reason has been told */
		return;
	}
	if (c->dropin != NULL && res->local)
		c->dropin->failed = true;
	if (res->local) {
		if (self.in.error == 0 && self.out.error == 0) /* else stdio_end tells */
			log_errorx("standard %s: %s", is_socket(0) ? "input or output" : "output",
			    res->text);
		client_cancel(c, CMD_FAILED, res->text);
		return;
	}
	if (c->dropin != NULL)
		tell_dropin(c->dropin, res);
	else
		log_errorx("%s%s%s", frame_code_str(res->code), res->text[0] != '\0' ? ": " : "",
		    res->text);
	client_cancel(c,
	    res->code == CODE_DENIED || res->code == CODE_REVOKED ? CMD_REFUSED : CMD_FAILED, "");
}

int
stdio_start(struct client *c, const char *agent, const struct ctl_open *o, struct errtext *e)
{
	struct route *r;
	struct filter *f;

	c->once = true;
	f = make_filter(c->loop);
	if (f == NULL)
		return err_sys(e, "standard input and output");
	r = route_get(c, agent);
	if (r == NULL) {
		filter_free(f);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	if (conn_start(r, f, o, NULL, on_done, c) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	return 0;
}

/* The agent ends a flow that was silent for a minute. */
static void
on_flow_done(void *arg, const struct pump_result *res)
{
	struct client *c = arg;

	if (res->local || res->code != CODE_CANCELLED) {
		on_done(arg, res);
		return;
	}
	log_info("the flow has ended: %s", res->text);
	client_leave(c, CMD_OK);
}

int
stdio_start_datagrams(
    struct client *c, const char *agent, const struct ctl_open *o, struct errtext *e)
{
	int fd = copiers_start_packets();
	struct route *r;

	c->once = true;
	if (fd < 0)
		return err_sys(e, "standard input and output");
	r = route_get(c, agent);
	if (r == NULL) {
		close(fd);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	if (conn_start_datagrams(r, fd, o, on_flow_done, c) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	return 0;
}

/*
 * The loop's end of the pair is closed: the writer ends when it has written everything.  The reader
 * may sit in read(2) for ever.
 */
static void
wait_for_writer(bool cut)
{
	struct timespec until;

	if (!self.out.started)
		return;
	if (!cut || clock_gettime(CLOCK_REALTIME, &until) != 0) {
		pthread_join(self.out.thread, NULL);
		return;
	}
	until.tv_sec += STDIO_CUT_S;
	/* What it has not written by then is lost: the status says that it was cut. */
	IGNORE_RESULT(pthread_timedjoin_np(self.out.thread, NULL, &until));
}

int
stdio_end(bool cut)
{
	wait_for_writer(cut);
	if (self.in.error == 0 && self.out.error == 0)
		return 0;
	errno = self.in.error != 0 ? self.in.error : self.out.error;
	log_error("standard %s", self.in.error != 0 ? "input" : "output");
	return ERR_SYS;
}
