/* SPDX-License-Identifier: ISC */
/* bufpipe - pipes as blocks.  Copies of payload: 0; loading: 1. */
#include "lib/net/bufpipe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/mem.h"

/* What a pipe's block holds in place of data. */
struct pipe_state {
	int fd[2];
	uint32_t taken; /* bytes that have left the pipe */
	uint8_t *mem;   /* loaded: bytes from taken on, at their offsets */
};

static __thread struct {
	struct block *free[BUFPIPE_MAX];
	unsigned n;
	uint64_t used_ms; /* as of the last bufpipe_idle() that found them used */
	bool used;        /* since then */
	int null;         /* /dev/null, where bytes go that nobody wants; -1: not open */
} pool = { .null = -1 };

static atomic_uint
    n_open; /* of all threads: never more than BUFPIPE_MAX pipes, wherever they are dropped */

static struct pipe_state *
state_of(const struct block *b)
{
	assert(b->class == BUF_PIPE);
	return (struct pipe_state *)(uintptr_t)b->data;
}

static void
pipe_close(struct pipe_state *p)
{
	close(p->fd[0]);
	close(p->fd[1]);
	atomic_fetch_sub(&n_open, 1);
}

static void
pipe_free(struct block *b)
{
	struct pipe_state *p = state_of(b);

	if (p->mem == NULL)
		pipe_close(p);
	mem_free(p->mem);
	mem_free(b);
}

/* Count one more, unless that is one too many. */
static bool
reserve_one(void)
{
	struct rlimit rl;

	unsigned n = atomic_fetch_add(&n_open, 1);

	if (n < BUFPIPE_MAX && getrlimit(RLIMIT_NOFILE, &rl) == 0 && n < rl.rlim_cur / 16)
		return true;
	atomic_fetch_sub(&n_open, 1);
	return false;
}

static struct block *
pipe_new(void)
{
	struct block *b = mem_zalloc(sizeof *b + sizeof(struct pipe_state));

	if (b == NULL)
		return NULL;
	b->class = BUF_PIPE;
	if (!reserve_one()) {
		mem_free(b);
		return NULL;
	}
	if (pipe2(state_of(b)->fd, O_CLOEXEC | O_NONBLOCK) != 0) {
		atomic_fetch_sub(&n_open, 1);
		mem_free(b);
		return NULL;
	}
	/* Refused to a user that has many pipes: then it holds less. */
	IGNORE_RESULT(fcntl(state_of(b)->fd[1], F_SETPIPE_SZ, BUFPIPE_BYTES));
	return b;
}

static struct block *
pipe_get(void)
{
	pool.used = true;
	if (pool.n > 0)
		return pool.free[--pool.n];
	return pipe_new();
}

/* Not by splice, but by read and write: a descriptor of an odd kind, or a sandbox that does not know or admit the call. */
static bool
not_spliced(int error)
{
	return error == EINVAL || error == ENOSYS || error == EPERM || error == EOPNOTSUPP;
}

ssize_t
bufpipe_fill(int fd, size_t max, struct block **out)
{
	struct block *b = pipe_get();
	ssize_t n;

	if (b == NULL)
		return ERR_LIMIT;
	if (max > BUFPIPE_PIECE)
		max = BUFPIPE_PIECE;
	do
		n = splice(
		    fd, NULL, state_of(b)->fd[1], NULL, max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	b->refs = 1;
	b->fill = b->cap = n > 0 ? (uint32_t)n : 0;
	state_of(b)->taken = 0;
	if (n > 0) {
		*out = b;
		return n;
	}
	if (n < 0)
		n = errno == EAGAIN ? ERR_AGAIN : not_spliced(errno) ? ERR_LIMIT : ERR_SYS;
	int error = errno;

	block_unref(b);
	errno = error;
	return n;
}

ssize_t
bufpipe_send(struct block *b, uint32_t off, uint32_t n, int fd)
{
	struct pipe_state *p = state_of(b);
	ssize_t k;

	/* Bytes before these were dropped and are still in the pipe, or all are in memory. */
	if (p->taken != off || p->mem != NULL)
		return ERR_INVALID;
	do
		k = splice(p->fd[0], NULL, fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (k < 0 && errno == EINTR);
	if (k > 0)
		p->taken += (uint32_t)k;
	if (k >= 0)
		return k;
	return errno == EAGAIN ? ERR_AGAIN : not_spliced(errno) ? ERR_INVALID : ERR_SYS;
}

struct block *
bufpipe_tee(const struct block *b)
{
	const struct pipe_state *p = state_of(b);
	struct block *t;
	ssize_t n;

	if (p->taken > 0 || p->mem != NULL || (t = pipe_get()) == NULL)
		return NULL;
	do
		n = tee(p->fd[0], state_of(t)->fd[1], b->fill, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	t->refs = 1;
	t->fill = t->cap = n > 0 ? (uint32_t)n : 0;
	state_of(t)->taken = 0;
	if (t->fill == b->fill)
		return t;
	block_unref(t);
	return NULL;
}

int
bufpipe_load(struct block *b)
{
	struct pipe_state *p = state_of(b);

	if (p->mem != NULL)
		return 0;
	p->mem = mem_alloc(b->fill);
	if (p->mem == NULL)
		return ERR_NOMEM;
	for (uint32_t at = p->taken; at < b->fill;) {
		ssize_t n = read(p->fd[0], p->mem + at, b->fill - at);

		/* Only we fill and empty it: what it was given is there. */
		assert(n > 0 || errno == EINTR);
		at += n > 0 ? (uint32_t)n : 0;
	}
	/* It may wait in memory for long, and the pipe would only be missing elsewhere. */
	pipe_close(p);
	return 0;
}

uint8_t *
bufpipe_mem(const struct block *b)
{
	return state_of(b)->mem;
}

/* Throw away what is left in it; the pages themselves are not touched. */
static bool
pipe_empty(struct block *b)
{
	struct pipe_state *p = state_of(b);

	if (p->mem != NULL)
		return false;
	if (p->taken < b->fill && pool.null < 0)
		pool.null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	while (p->taken < b->fill) {
		ssize_t n =
		    splice(p->fd[0], NULL, pool.null, NULL, b->fill - p->taken, SPLICE_F_NONBLOCK);

		if (n <= 0)
			return false;
		p->taken += (uint32_t)n;
	}
	return true;
}

void
bufpipe_put(struct block *b)
{
	if (pipe_empty(b))
		pool.free[pool.n++] = b;
	else
		pipe_free(b);
}

bool
bufpipe_idle(uint64_t now_ms)
{
	if (pool.used)
		pool.used_ms = now_ms;
	else if (now_ms - pool.used_ms >= BUFPIPE_IDLE_MS)
		bufpipe_trim();
	pool.used = false;
	return atomic_load(&n_open) > 0;
}

void
bufpipe_trim(void)
{
	while (pool.n > 0)
		pipe_free(pool.free[--pool.n]);
	if (pool.null >= 0)
		close(pool.null);
	pool.null = -1;
}
