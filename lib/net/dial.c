/* SPDX-License-Identifier: ISC */
/*
 * dial - connecting to a name (RFC 8305).
 *
 * States: looking up → trying (one attempt for each address, several at once) → over.  What happens
 * next is decided in one place, try_next(), after each event.
 */
#include "lib/net/dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/hostport.h"
#include "lib/base/mem.h"
#include "lib/net/addr.h"
#include "lib/net/sockopt.h"
#include "lib/net/resolve.h"
#include "lib/base/str.h"

struct attempt {
	struct dial *d;
	struct addr a;
	/* -1: not begun, or over */
	int fd;
	struct io io;
	/* why it failed */
	int error;
	/* not tried: dial_set_vet */
	bool vetoed;
};

struct dial {
	struct loop *loop;
	/* for messages */
	char target[ADDR_TEXT + HOSTPORT_TEXT_MAX];
	dial_fn *fn;
	void *arg;
	/* NULL: every address */
	bool (*may)(void *arg, const struct addr *a);
	void *may_arg;
	/* addresses it refused */
	size_t vetoed;
	/* SOCK_STREAM or SOCK_DGRAM */
	int type;
	uint64_t timeout_ms;
	/* while looking up */
	struct resolve *resolve;
	struct timer stagger, deadline;
	/* for targets that need no look-up */
	struct task begin;
	struct attempt attempts[RESOLVE_ADDRS_MAX];
	/* attempts there are; the first not begun */
	size_t n, next;
	size_t running;
	struct grave grave;
};

static void
attempt_close(struct attempt *t)
{
	io_fini(&t->io);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

static void
dispose(void *arg)
{
	mem_free(arg);
}

/* Let go of everything; the memory goes at the end of the turn. */
static void
dial_bury(struct dial *d)
{
	resolve_cancel(d->resolve);
	d->resolve = NULL;
	task_cancel(d->loop, &d->begin);
	timer_fini(&d->stagger);
	timer_fini(&d->deadline);
	for (size_t i = 0; i < d->n; i++)
		attempt_close(&d->attempts[i]);
	loop_bury(d->loop, &d->grave, dispose, d);
}

static void
dial_end(struct dial *d, int fd, int err, const char *text)
{
	dial_fn *fn = d->fn;
	void *arg = d->arg;

	dial_bury(d);
	fn(arg, fd, err, text);
}

/* Every address that was tried, with its error. */
static void
dial_fail(struct dial *d, int err)
{
	char at[ADDR_TEXT];
	struct strbuf b;

	strbuf_init(&b, ERR_TEXT_MAX - 1);
	strbuf_addf(&b, "cannot connect to %s", d->target);
	for (size_t i = 0; i < d->next; i++) {
		const struct attempt *t = &d->attempts[i];

		strbuf_adds(&b, i == 0 ? ": " : "; ");
		if (strcmp(addr_text(&t->a, at), d->target) != 0)
			strbuf_addf(&b, "%s: ", at);
		strbuf_adds(
		    &b, t->vetoed ? "not allowed" : strerror(t->error != 0 ? t->error : ETIMEDOUT));
	}
	dial_end(d, -1, err, b.s);
	strbuf_fini(&b);
}

/* What the failures of all attempts come to. */
static int
dial_error(const struct dial *d)
{
	int err = d->n > d->vetoed ? ERR_NOTFOUND : d->n > 0 ? ERR_DENIED : ERR_CLOSED;

	for (size_t i = 0; i < d->n; i++) {
		switch (d->attempts[i].vetoed ? ENETUNREACH : d->attempts[i].error) {
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			return ERR_LIMIT;
		case ENETUNREACH:
		case EHOSTUNREACH:
		case ENETDOWN:
		case EHOSTDOWN:
		case EADDRNOTAVAIL:
		case EAFNOSUPPORT:
			break;
		default:
			err = ERR_CLOSED;
		}
	}
	return err;
}

static void
dial_win(struct dial *d, struct attempt *t)
{
	int fd = t->fd;

	io_fini(&t->io);
	t->fd = -1;
	if (d->type == SOCK_STREAM)
		sockopt_nodelay(fd);
	dial_end(d, fd, 0, "");
}

static void try_next(struct dial *d);

static void
on_connect(void *arg, int what)
{
	struct attempt *t = arg;
	struct dial *d = t->d;
	socklen_t len = sizeof t->error;

	(void)what;
	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &t->error, &len) != 0)
		t->error = errno;
	if (t->error == 0) {
		dial_win(d, t);
		return;
	}
	attempt_close(t);
	d->running--;
	/* RFC 8305 5: after a failure the next address need not wait. */
	try_next(d);
}

/* Returns 0 if connected at once, ERR_AGAIN while it takes time, ERR_SYS with t->error. */
static int
attempt_start(struct attempt *t)
{
	int r;

	t->fd = socket(t->a.u.sa.sa_family, t->d->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd < 0) {
		t->error = errno;
		return ERR_SYS;
	}
	do
		r = connect(t->fd, &t->a.u.sa, t->a.len);
	while (r != 0 && errno == EINTR);
	if (r == 0)
		return 0;
	t->error = errno;
	if (errno == EINPROGRESS) {
		t->error = ENOMEM;
		if (io_init(&t->io, t->d->loop, t->fd, false, on_connect, t) == 0 &&
		    io_want(&t->io, IO_WRITE) == 0) {
			t->error = 0;
			return ERR_AGAIN;
		}
	}
	attempt_close(t);
	return ERR_SYS;
}

/* A Unix socket whose queue is full: no event tells when there is room. */
static bool
is_full(const struct attempt *t)
{
	return t->error == EAGAIN && t->a.u.sa.sa_family == AF_UNIX;
}

static void
try_next(struct dial *d)
{
	timer_cancel(&d->stagger);
	while (d->next < d->n) {
		struct attempt *t = &d->attempts[d->next++];
		int r;

		t->vetoed = d->may != NULL && !d->may(d->may_arg, &t->a);
		if (t->vetoed) {
			d->vetoed++;
			continue;
		}
		r = attempt_start(t);
		if (r == 0) {
			dial_win(d, t);
			return;
		}
		if (is_full(t)) {
			timer_set(&d->stagger, DIAL_FULL_MS);
			return;
		}
		if (r == ERR_AGAIN) {
			d->running++;
			if (d->next < d->n)
				timer_set(&d->stagger, DIAL_STAGGER_MS);
			return;
		}
	}
	if (d->running == 0)
		dial_fail(d, dial_error(d));
}

static void
on_stagger(void *arg)
{
	struct dial *d = arg;

	if (is_full(&d->attempts[d->next - 1]))
		d->next--;
	try_next(d);
}

static void
on_begin(void *arg)
{
	try_next(arg);
}

static void
on_deadline(void *arg)
{
	struct dial *d = arg;

	if (d->resolve != NULL) {
		char text[ERR_TEXT_MAX], servers[RESOLVE_SERVERS_TEXT];

		snprintf(text, sizeof text,
		    "cannot connect to %s: the name servers of /etc/resolv.conf (%s) did not "
		    "answer within %llu ms",
		    d->target, resolve_servers(d->loop, servers),
		    (unsigned long long)d->timeout_ms);
		dial_end(d, -1, ERR_TIMEOUT, text);
		return;
	}
	dial_fail(d, ERR_TIMEOUT);
}

static void
add_addr(struct dial *d, const struct addr *a)
{
	d->attempts[d->n++].a = *a;
}

static void
on_resolved(void *arg, const struct addr *a, size_t n, int err, const char *text)
{
	struct dial *d = arg;

	d->resolve = NULL;
	if (err != 0) {
		dial_end(d, -1, err, text);
		return;
	}
	for (size_t i = 0; i < n; i++)
		add_addr(d, &a[i]);
	try_next(d);
}

/* Set up what the target needs.  Returns 0 or ERR_NOMEM. */
static int
dial_prepare(struct dial *d, const char *host, uint16_t port, uint64_t asker)
{
	bool is_unix = strncmp(host, ADDR_UNIX_PREFIX, strlen(ADDR_UNIX_PREFIX)) == 0;
	struct hostport hp;
	struct addr a;

	if (is_unix) {
		snprintf(d->target, sizeof d->target, "%s", host);
		if (addr_parse(host, &a, NULL) == 0)
			add_addr(d, &a);
	} else if (hostport_host(host, &hp, NULL) == 0) {
		hp.port = port;
		hostport_text(&hp, d->target);
		d->resolve = resolve_start(d->loop, hp.host, port, asker, on_resolved, d);
		return d->resolve == NULL ? ERR_NOMEM : 0;
	} else {
		str_escape(d->target, sizeof d->target, host, strlen(host));
	}
	/* Without an address this ends as a failure that names the target. */
	task_soon(d->loop, &d->begin);
	return 0;
}

struct dial *
dial_start(struct loop *l, const char *host, uint16_t port, uint64_t asker, uint64_t timeout_ms,
    dial_fn *fn, void *arg)
{
	struct dial *d = mem_zalloc(sizeof *d);

	if (d == NULL)
		return NULL;
	d->loop = l;
	d->fn = fn;
	d->arg = arg;
	d->timeout_ms = timeout_ms;
	d->type = SOCK_STREAM;
	task_init(&d->begin, on_begin, d);
	for (int i = 0; i < RESOLVE_ADDRS_MAX; i++)
		d->attempts[i] = (struct attempt){ .d = d, .fd = -1 };
	if (timer_init(&d->stagger, l, on_stagger, d) != 0 ||
	    timer_init(&d->deadline, l, on_deadline, d) != 0 ||
	    dial_prepare(d, host, port, asker) != 0) {
		dial_bury(d);
		return NULL;
	}
	timer_set(&d->deadline, timeout_ms);
	return d;
}

void
dial_set_vet(struct dial *d, bool (*may)(void *arg, const struct addr *a), void *arg)
{
	d->may = may;
	d->may_arg = arg;
}

void
dial_set_datagrams(struct dial *d)
{
	d->type = SOCK_DGRAM;
}

void
dial_cancel(struct dial *d)
{
	if (d != NULL)
		dial_bury(d);
}
