/* SPDX-License-Identifier: ISC */
/* acceptor - takes the connections of one listening socket. */
#include "cmd/common/acceptor.h"

#include "lib/net/listen.h"

static void
rest(struct acceptor *a)
{
	/* If it is told of again at once, it rests again. */
	IGNORE_RESULT(io_want(&a->io, 0));
	timer_set(&a->pause, ACCEPTOR_PAUSE_MS);
}

static void
on_pause_over(void *arg)
{
	struct acceptor *a = arg;

	if (io_want(&a->io, IO_READ) == 0)
		return;
	log_limited(&a->log, loop_now_ms(a->loop), LOG_LEVEL_ERROR,
	    "%s: cannot watch the socket: %s", a->cfg.name, err_str(ERR_SYS));
	timer_set(&a->pause, ACCEPTOR_PAUSE_MS);
}

static void
out_of_descriptors(struct acceptor *a)
{
	log_limited(&a->log, loop_now_ms(a->loop), LOG_LEVEL_ERROR,
	    "%s: out of file descriptors: new connections are closed; raise the limit "
	    "(ulimit -n, LimitNOFILE=)",
	    a->cfg.name);
	/* If there is none in reserve, the next pause tries again. */
	IGNORE_RESULT(rlimit_reserve_refuse(a->cfg.reserve, a->cfg.fd));
	rest(a);
}

static void
cannot_accept(struct acceptor *a)
{
	log_limited(&a->log, loop_now_ms(a->loop), LOG_LEVEL_ERROR, "%s: accept: %s", a->cfg.name,
	    err_str(ERR_SYS));
	rest(a);
}

static void
on_acceptable(void *arg, int what)
{
	struct acceptor *a = arg;
	struct addr from;

	(void)what;
	for (int i = 0; i < ACCEPTOR_TURN && !a->over; i++) {
		int fd = -1, r = listen_accept(a->cfg.fd, &fd, &from);

		if (r == 0)
			a->cfg.accepted(a->cfg.arg, fd, &from);
		else if (r == ERR_LIMIT)
			out_of_descriptors(a);
		else if (r != ERR_CLOSED && r != ERR_AGAIN)
			cannot_accept(a);
		if (r != 0 && r != ERR_CLOSED)
			return;
	}
}

int
acceptor_init(struct acceptor *a, struct loop *l, const struct acceptor_config *cfg)
{
	int r;

	*a = (struct acceptor){ .cfg = *cfg, .loop = l };
	log_limit_init(&a->log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "%s", cfg->name);
	r = timer_init(&a->pause, l, on_pause_over, a);
	if (r == 0)
		r = io_init(&a->io, l, cfg->fd, false, on_acceptable, a);
	if (r == 0)
		r = io_want(&a->io, IO_READ);
	if (r != 0)
		acceptor_fini(a);
	return r;
}

void
acceptor_fini(struct acceptor *a)
{
	a->over = true;
	io_fini(&a->io);
	timer_fini(&a->pause);
	log_limit_fini(&a->log);
}
