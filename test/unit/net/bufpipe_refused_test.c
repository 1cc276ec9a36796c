/* SPDX-License-Identifier: ISC */
/*
 * bufpipe_refused_test - a sandbox that does not know splice(2) and tee(2), or does not admit them: everything passes all the same, in
 * memory.
 *
 * The refusal is a real one, a filter of system calls, in a process of its own for each answer.  Pipes that were filled before it was
 * installed are there as well: a sandbox may be entered at any time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/bufpipe.h"
#include "lib/net/f_sock.h"
#include "test/unit/sockpair.h"
#include "test/wire.h"

enum { N_READY = 6, LEN = 40000, PIECES = 50, WAIT_MS = 20000 };

static int answer; /* errno of what is refused */
static struct block *ready[N_READY];
static unsigned n_ready;

/* ---- the refusal ---- */

static void
refuse_splice(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_splice, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_tee, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof code / sizeof code[0], code };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

static void
fill_pattern(uint8_t *p, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(at + i);
}

static void
unix_pair(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
}

static int
fill_and_refuse(void **state)
{
	uint8_t p[LEN];
	int fd[2];

	(void)state;
	unix_pair(fd);
	fill_pattern(p, 0, LEN);
	for (int i = 0; i < N_READY; i++) {
		assert_int_equal(write(fd[1], p, LEN), LEN);
		assert_int_equal(bufpipe_fill(fd[0], SIZE_MAX, &ready[i]), LEN);
	}
	n_ready = N_READY;
	close(fd[0]);
	close(fd[1]);
	refuse_splice(answer);
	assert_int_equal(splice(0, NULL, 1, NULL, 1, 0), -1);
	assert_int_equal(errno, answer);
	assert_int_equal(tee(0, 1, 1, 0), -1);
	assert_int_equal(errno, answer);
	return 0;
}

static int
drop_ready(void **state)
{
	(void)state;
	while (n_ready > 0)
		block_unref(ready[--n_ready]);
	buf_pool_free();
	return 0;
}

/* A pipe with LEN bytes of the pattern. */
static struct block *
take_ready(void)
{
	assert_true(n_ready > 0);
	return ready[--n_ready];
}

static unsigned
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
expect_pattern(const struct bufq *q, size_t off, size_t at, size_t n)
{
	uint8_t p[4096];

	for (size_t k; n > 0; off += k, at += k, n -= k) {
		k = bufq_read(q, off, p, n < sizeof p ? n : sizeof p);
		assert_true(k > 0);
		for (size_t i = 0; i < k; i++)
			if (p[i] != pattern(at + i))
				fail_msg("byte %zu is wrong", at + i);
	}
}

/* ---- pipes ---- */

static void
nothing_is_read_and_the_caller_is_told_to(void **state)
{
	struct block *b = NULL;
	uint8_t p[100];
	unsigned before;
	int fd[2];

	(void)state;
	unix_pair(fd);
	before = descriptors();
	assert_int_equal(write(fd[1], "0123456789", 10), 10);
	assert_int_equal(bufpipe_fill(fd[0], SIZE_MAX, &b), ERR_LIMIT);
	assert_null(b);
	assert_int_equal(read(fd[0], p, sizeof p), 10);
	bufpipe_trim();
	assert_int_equal(descriptors(), before);
	close(fd[0]);
	close(fd[1]);
}

static void
a_full_pipe_is_loaded(void **state)
{
	struct block *b = take_ready();
	struct bufq q = { 0 };
	int fd[2];

	(void)state;
	unix_pair(fd);
	assert_int_equal(bufpipe_send(b, 0, LEN, fd[0]), ERR_INVALID);
	assert_null(bufpipe_tee(b));
	assert_int_equal(bufq_append_pipe(&q, b), 0);
	block_unref(b);
	assert_int_equal(bufq_load(&q), 0);
	expect_pattern(&q, 0, 0, LEN);
	bufq_fini(&q);
	close(fd[0]);
	close(fd[1]);
}

static void
what_two_queues_hold_is_loaded(void **state)
{
	struct block *b = take_ready();
	struct bufq q = { 0 }, copy = { 0 };

	(void)state;
	assert_int_equal(bufq_append_pipe(&q, b), 0);
	block_unref(b);
	assert_int_equal(bufq_share(&copy, &q, 0, LEN), 0);
	expect_pattern(&q, 0, 0, LEN);
	expect_pattern(&copy, 0, 0, LEN);
	bufq_fini(&q);
	bufq_fini(&copy);
}

/* It cannot be emptied: it must not be the next bytes' pipe. */
static void
a_full_pipe_that_nobody_wants_is_closed(void **state)
{
	unsigned before;

	(void)state;
	bufpipe_trim();
	before = descriptors();
	block_unref(take_ready());
	bufpipe_trim();
	assert_int_equal(descriptors(), before - 2);
}

/* ---- sockets ---- */

struct fixture {
	struct loop *l;
	struct filter *f;
	int peer;
	struct bufq got;
	unsigned pipes;
	size_t sent, n;
};

static void
on_readable(void *arg)
{
	struct fixture *t = arg;

	t->pipes += t->f->in.pipes;
	assert_int_equal(bufq_move(&t->got, &t->f->in, t->f->in.len), 0);
	/* It is one piece, as far as there is one. */
	filter_express(t->f, true, t->n - t->got.len);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg, int err, const char *text)
{
	(void)arg;
	fail_msg("closed: %d %s", err, text);
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static void
start(struct fixture *t, bool tcp)
{
	int fd[2];

	if (tcp) {
		sockpair_tcp(fd, false);
	} else {
		unix_pair(fd);
	}
	*t = (struct fixture){ .l = loop_new(), .peer = fd[1] };
	t->f = f_sock_new(t->l, fd[0], true);
	assert_non_null(t->f);
	filter_set_user(t->f, &user, t);
}

static void
finish(struct fixture *t)
{
	filter_free(t->f);
	close(t->peer);
	bufq_fini(&t->got);
	wire_turns(t->l, 2);
	loop_free(t->l);
}

static bool
writes_and_has_got_all(void *arg)
{
	struct fixture *t = arg;
	uint8_t p[LEN];
	size_t k = t->n - t->sent < LEN ? t->n - t->sent : LEN;
	ssize_t n;

	fill_pattern(p, t->sent, k);
	if (k > 0 && (n = write(t->peer, p, k)) > 0)
		t->sent += (size_t)n;
	return t->got.len >= t->n;
}

static void
a_socket_is_read_in_memory(void **state)
{
	(void)state;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct fixture t;

		start(&t, tcp);
		t.n = (size_t)PIECES * LEN;
		assert_true(wire_run(t.l, WAIT_MS, writes_and_has_got_all, &t));
		assert_int_equal(t.got.len, t.n);
		assert_int_equal(t.pipes, 0);
		expect_pattern(&t.got, 0, 0, t.n);
		finish(&t);
	}
}

static bool
peer_has_all(void *arg)
{
	struct fixture *t = arg;
	uint8_t p[LEN];
	ssize_t n;

	while ((n = read(t->peer, p, sizeof p)) > 0)
		assert_int_equal(bufq_copy(&t->got, p, (size_t)n), 0);
	return t->got.len >= t->n;
}

/* Between what stands in memory. */
static void
full_pipes_are_written_from_memory(void **state)
{
	(void)state;
	for (int tcp = 0; tcp < 2; tcp++) {
		struct bufq q = { 0 };
		struct block *b = take_ready();
		uint8_t p[4];
		struct fixture t;

		start(&t, tcp);
		assert_int_equal(bufq_copy(&q, "head", 4), 0);
		assert_int_equal(bufq_append_pipe(&q, b), 0);
		block_unref(b);
		assert_int_equal(bufq_copy(&q, "tail", 4), 0);
		t.n = q.len;
		assert_int_equal(filter_write(t.f, &q), 0);
		filter_flush(t.f);
		assert_true(wire_run(t.l, WAIT_MS, peer_has_all, &t));
		assert_int_equal(t.got.len, t.n);
		assert_int_equal(bufq_read(&t.got, 0, p, 4), 4);
		assert_memory_equal(p, "head", 4);
		expect_pattern(&t.got, 4, 0, LEN);
		assert_int_equal(bufq_read(&t.got, 4 + LEN, p, 4), 4);
		assert_memory_equal(p, "tail", 4);
		finish(&t);
	}
}

static int
run_refused(int error)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_read_and_the_caller_is_told_to),
		cmocka_unit_test(a_full_pipe_is_loaded),
		cmocka_unit_test(what_two_queues_hold_is_loaded),
		cmocka_unit_test(a_full_pipe_that_nobody_wants_is_closed),
		cmocka_unit_test(a_socket_is_read_in_memory),
		cmocka_unit_test(full_pipes_are_written_from_memory),
	};

	answer = error;
	return cmocka_run_group_tests(tests, fill_and_refuse, drop_ready);
}

int
main(void)
{
	static const int errors[] = { ENOSYS, EPERM };
	int failed = 0;

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		pid_t pid = fork();
		int status = 0;

		if (pid == 0)
			return run_refused(errors[i]) != 0;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			failed++;
	}
	return failed;
}
