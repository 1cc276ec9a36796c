/* SPDX-License-Identifier: ISC */
/*
 * rlimit - as many descriptors as the system gives, and one kept back.
 */
#include "lib/base/rlimit.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

uint64_t
rlimit_raise_files(void)
{
	struct rlimit rl, more;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return 0;
	more = rl;
	if (more.rlim_max < RLIMIT_FILES_WANTED)
		more.rlim_max = RLIMIT_FILES_WANTED;
	more.rlim_cur = more.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return more.rlim_cur;
	/* The hard limit is not ours to lift: go up to it. */
	more = rl;
	more.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return more.rlim_cur;
	return rl.rlim_cur;
}

int
rlimit_reserve_init(struct rlimit_reserve *r)
{
	r->fd = eventfd(0, EFD_CLOEXEC);
	return r->fd >= 0 ? 0 : ERR_SYS;
}

void
rlimit_reserve_fini(struct rlimit_reserve *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

int
rlimit_reserve_refuse(struct rlimit_reserve *r, int listen_fd)
{
	static const struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	int fd, saved;

	rlimit_reserve_fini(r);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	saved = errno;
	if (fd >= 0) {
		IGNORE_RESULT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
		close(fd);
	}
	/* Another thread may have been quicker to it; then the next call tries again. */
	IGNORE_RESULT(rlimit_reserve_init(r));
	if (fd >= 0)
		return 0;
	errno = saved;
	return saved == EAGAIN || saved == EWOULDBLOCK || saved == ECONNABORTED ? ERR_AGAIN
										: ERR_SYS;
}
