/* SPDX-License-Identifier: ISC */
/* bufpipe_test - pipes as blocks: order, loading, doubling, what is thrown away, and every limit that refuses one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/bufpipe.h"
#include "lib/base/mem.h"
#include "test/unit/sockpair.h"

enum { NOBODY = 65534 };

/* Where bytes come from, and where they go. */
static int from[2], to[2];

static int
open_both(void **state)
{
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, from), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, to), 0);
	return 0;
}

static int
close_both(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		close(from[i]);
		close(to[i]);
	}
	buf_pool_free();
	return 0;
}

/* Descriptors of this process, but for the one that looks. */
static unsigned
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 3;
}

static void
supply(size_t at, size_t n)
{
	uint8_t p[BUFPIPE_PIECE];

	assert_true(n <= sizeof p);
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(at + i);
	assert_int_equal(write(from[1], p, n), n);
}

/* A pipe with n bytes of the pattern, from offset at. */
static struct block *
filled(size_t at, size_t n)
{
	struct block *b = NULL;

	supply(at, n);
	assert_int_equal(bufpipe_fill(from[0], SIZE_MAX, &b), n);
	assert_non_null(b);
	assert_int_equal(b->fill, n);
	return b;
}

static void
queue_pipe(struct bufq *q, size_t at, size_t n)
{
	struct block *b = filled(at, n);

	assert_int_equal(bufq_append_pipe(q, b), 0);
	block_unref(b);
}

static void
queue_memory(struct bufq *q, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = pattern(at + i);

		assert_int_equal(bufq_copy(q, &c, 1), 0);
	}
}

/* The next n bytes at the far end are the pattern's from at. */
static void
expect(size_t at, size_t n)
{
	uint8_t p[BUFPIPE_PIECE];

	while (n > 0) {
		ssize_t k = read(to[1], p, n < sizeof p ? n : sizeof p);

		assert_true(k > 0);
		for (ssize_t i = 0; i < k; i++)
			if (p[i] != pattern(at + (size_t)i))
				fail_msg("byte %zu is wrong", at + (size_t)i);
		at += (size_t)k;
		n -= (size_t)k;
	}
	assert_int_equal(read(to[1], p, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
expect_loaded(struct bufq *q, size_t at, size_t n)
{
	uint8_t p[BUFPIPE_PIECE];

	assert_int_equal(q->len, n);
	assert_int_equal(bufq_load(q), 0);
	for (size_t off = 0, k; off < n; off += k) {
		k = bufq_read(q, off, p, sizeof p);
		assert_true(k > 0);
		for (size_t i = 0; i < k; i++)
			if (p[i] != pattern(at + off + i))
				fail_msg("byte %zu is wrong", at + off + i);
	}
}

/* As a socket does it: by splice while that is possible, else from memory. */
static void
send_all(struct bufq *q)
{
	while (q->len > 0) {
		const struct slice *s = bufq_first(q);
		struct iovec iov;
		ssize_t n = ERR_INVALID;

		if (s->b->class == BUF_PIPE && bufpipe_mem(s->b) == NULL)
			n = bufpipe_send(s->b, s->off, s->n, to[0]);
		if (n == ERR_INVALID) {
			assert_int_equal(bufq_load(q), 0);
			assert_int_equal(bufq_peek(q, 0, q->len, &iov, 1), 1);
			n = write(to[0], iov.iov_base, iov.iov_len);
		}
		assert_true(n > 0);
		bufq_drain(q, (size_t)n);
	}
}

/* ---- the way of the bytes ---- */

static void
a_pipe_is_sent_whole_or_in_parts(void **state)
{
	static const size_t sizes[] = { 1, 2, 4095, 4096, 4097, 60000, BUFPIPE_PIECE };

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (uint32_t part = 1; part <= 7; part += 3) {
			uint32_t n = (uint32_t)sizes[i], off = 0, k = n / part + 1;
			struct block *b = filled(0, n);

			while (off < n) {
				ssize_t r = bufpipe_send(b, off, k < n - off ? k : n - off, to[0]);

				assert_true(r > 0);
				off += (uint32_t)r;
			}
			block_unref(b);
			expect(0, n);
		}
}

static void
what_there_is_to_fill_is_told_apart(void **state)
{
	struct block *b = NULL;

	(void)state;
	assert_int_equal(bufpipe_fill(from[0], 100, &b), ERR_AGAIN);
	assert_int_equal(bufpipe_fill(-1, 100, &b), ERR_SYS);
	assert_int_equal(errno, EBADF);
	supply(0, 50);
	assert_int_equal(bufpipe_fill(from[0], 20, &b), 20);
	block_unref(b);
	shutdown(from[1], SHUT_WR);
	assert_int_equal(bufpipe_fill(from[0], 100, &b), 30);
	block_unref(b);
	assert_int_equal(bufpipe_fill(from[0], 100, &b), 0);
}

static void
a_descriptor_without_splice_is_refused(void **state)
{
	struct block *b = filled(0, 100), *none = NULL;
	int dir = open("/", O_RDONLY | O_DIRECTORY);
	char name[] = "/tmp/bufpipe.XXXXXX";
	int append = mkstemp(name);

	(void)state;
	unlink(name);
	assert_int_equal(fcntl(append, F_SETFL, O_APPEND), 0);
	assert_int_equal(bufpipe_send(b, 0, 100, append), ERR_INVALID);
	assert_int_equal(bufpipe_fill(dir, 100, &none), ERR_LIMIT);
	assert_int_equal(bufpipe_send(b, 0, 100, to[0]), 100);
	expect(0, 100);
	block_unref(b);
	close(append);
	close(dir);
}

static void
a_full_receiver_takes_a_part_and_the_rest_follows(void **state)
{
	uint8_t zeros[65536] = { 0 };
	uint32_t off = 0;
	ssize_t n;

	(void)state;
	while (write(to[0], zeros, sizeof zeros) > 0)
		;
	struct block *b = filled(0, 60000);

	assert_int_equal(bufpipe_send(b, 0, 60000, to[0]), ERR_AGAIN);
	while (read(to[1], zeros, sizeof zeros) > 0)
		;
	while (off < 60000 && (n = bufpipe_send(b, off, 60000 - off, to[0])) > 0)
		off += (uint32_t)n;
	assert_int_equal(off, 60000);
	expect(0, 60000);
	block_unref(b);
}

/* ---- bytes that are looked at, dropped, or sent by another queue ---- */

static void
loading_keeps_what_has_not_left(void **state)
{
	struct bufq q = { 0 };

	(void)state;
	for (size_t gone = 0; gone < 50000; gone += 12345) {
		struct block *b = filled(0, 50000);
		ssize_t n = gone > 0 ? bufpipe_send(b, 0, (uint32_t)gone, to[0]) : 0;

		assert_int_equal(n, gone);
		assert_int_equal(bufq_append_pipe(&q, b), 0);
		block_unref(b);
		bufq_drain(&q, gone);
		expect(0, gone);
		expect_loaded(&q, gone, 50000 - gone);
		send_all(&q);
		expect(gone, 50000 - gone);
	}
}

/* Two queues hold the halves of one pipe.  The second one may be sent, loaded or dropped first. */
static void
halves_in_two_queues_stay_right_in_any_order(void **state)
{
	(void)state;
	for (int how = 0; how < 8; how++) {
		struct bufq a = { 0 }, b = { 0 };

		queue_pipe(&b, 0, 40000);
		assert_int_equal(bufq_move(&a, &b, 15000), 0);
		assert_int_equal(a.len, 15000);
		assert_int_equal(a.pipes, 1);
		assert_int_equal(b.pipes, 1);
		if (how & 1)
			send_all(&b), expect(15000, 25000);
		if (how & 2)
			expect_loaded(&a, 0, 15000);
		if (how & 4)
			bufq_drain(&a, 15000);
		send_all(&a);
		expect(0, how & 4 ? 0 : 15000);
		send_all(&b);
		expect(15000, how & 1 ? 0 : 25000);
	}
}

static void
bytes_behind_dropped_ones_are_the_right_ones(void **state)
{
	struct bufq q = { 0 };

	(void)state;
	queue_pipe(&q, 0, 30000);
	const struct slice *s = bufq_first(&q);

	bufq_drain(&q, 10000);
	assert_int_equal(bufpipe_send(s->b, s->off, s->n, to[0]), ERR_INVALID);
	send_all(&q);
	expect(10000, 20000);
}

static void
a_doubled_pipe_reads_the_same_on_both_sides(void **state)
{
	struct bufq a = { 0 }, b = { 0 };

	(void)state;
	queue_pipe(&a, 0, BUFPIPE_PIECE);
	assert_int_equal(bufq_share(&b, &a, 0, a.len), 0);
	assert_ptr_not_equal(bufq_first(&a)->b, bufq_first(&b)->b);
	assert_null(bufpipe_mem(bufq_first(&a)->b));
	send_all(&b);
	expect(0, BUFPIPE_PIECE);
	expect_loaded(&a, 0, BUFPIPE_PIECE);
	bufq_fini(&a);
}

static void
a_pipe_that_was_begun_cannot_be_doubled(void **state)
{
	struct block *b = filled(0, 1000);

	(void)state;
	assert_int_equal(bufpipe_send(b, 0, 1, to[0]), 1);
	assert_null(bufpipe_tee(b));
	assert_int_equal(bufpipe_load(b), 0);
	assert_null(bufpipe_tee(b));
	block_unref(b);
	expect(0, 1);
}

static void
a_share_of_a_part_loads_it(void **state)
{
	struct bufq a = { 0 }, b = { 0 };

	(void)state;
	queue_memory(&a, 0, 100);
	queue_pipe(&a, 100, 20000);
	queue_memory(&a, 20100, 100);
	assert_int_equal(bufq_share(&b, &a, 50, 10000), 0);
	assert_int_equal(bufq_share(&b, &a, 10050, 10150), 0);
	expect_loaded(&b, 50, 20150);
	bufq_fini(&b);
	send_all(&a);
	expect(0, 20200);
}

static void
what_nobody_wants_does_not_turn_up_again(void **state)
{
	unsigned open;

	(void)state;
	block_unref(filled(0, 5000));
	open = descriptors();
	for (size_t i = 0; i < 20; i++) {
		struct block *b = filled(0, 50000);

		assert_int_equal(bufpipe_send(b, 0, (uint32_t)(i * 1000), to[0]), i * 1000);
		block_unref(b);
		expect(0, i * 1000);
		b = filled(7, 3000);
		assert_int_equal(bufpipe_send(b, 0, 3000, to[0]), 3000);
		block_unref(b);
		expect(7, 3000);
	}
	/* One pipe did all that. */
	assert_int_equal(descriptors(), open);
}

/* Descriptor 0 is as good as any other where standard input was closed. */
static void
throwing_away_works_without_standard_input(void **state)
{
	int in = dup(0);
	unsigned before;

	(void)state;
	assert_true(in > 0);
	before = descriptors();
	close(0);
	for (int i = 0; i < 3; i++)
		block_unref(filled(0, 5000));
	bufpipe_trim();
	assert_int_equal(descriptors(), before - 1);
	assert_int_equal(dup2(in, 0), 0);
	close(in);
}

/* ---- limits ---- */

static void
a_loaded_block_has_no_descriptors(void **state)
{
	unsigned before = descriptors();
	struct bufq q = { 0 };

	(void)state;
	for (size_t i = 0; i < 10; i++)
		queue_pipe(&q, i * 1000, 1000);
	assert_int_equal(descriptors(), before + 20);
	expect_loaded(&q, 0, 10000);
	assert_int_equal(descriptors(), before);
	send_all(&q);
	expect(0, 10000);
	assert_int_equal(descriptors(), before);
}

/* How many pipes can be had at once; all are given back. */
static unsigned
available(void)
{
	static struct block *all[2 * BUFPIPE_MAX];
	unsigned n = 0;
	ssize_t r = 1;

	supply(0, 1000);
	while (n < 2 * BUFPIPE_MAX && (r = bufpipe_fill(from[0], 1, &all[n])) == 1)
		n++;
	assert_int_equal(r, ERR_LIMIT);
	while (read(from[0], all + n, sizeof *all) > 0)
		;
	for (unsigned i = 0; i < n; i++)
		block_unref(all[i]);
	return n;
}

static void
set_files(rlim_t n)
{
	struct rlimit rl;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	rl.rlim_cur = n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
}

static void
there_are_only_so_many(void **state)
{
	struct rlimit rl;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	set_files(320);
	assert_int_equal(available(), 20);
	assert_int_equal(available(), 20);
	bufpipe_trim();
	set_files(10);
	assert_int_equal(available(), 0);
	if (rl.rlim_max >= 16 * BUFPIPE_MAX) {
		set_files(rl.rlim_max);
		assert_int_equal(available(), BUFPIPE_MAX);
		bufpipe_trim();
	}
	set_files(rl.rlim_cur);
}

static void
without_descriptors_there_is_none(void **state)
{
	struct rlimit rl;
	int fd[64], n = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	set_files(64);
	while (n < 64 && (fd[n] = dup(from[0])) >= 0)
		n++;
	assert_int_equal(available(), 0);
	/* One is not enough, and is not lost. */
	close(fd[--n]);
	assert_int_equal(available(), 0);
	close(fd[--n]);
	assert_int_equal(available(), 1);
	/* What is left in it goes nowhere without a descriptor, so it is closed. */
	bufpipe_trim();
	assert_int_equal(dup(from[0]), fd[n]);
	n++;
	while (n > 0)
		close(fd[--n]);
	set_files(rl.rlim_cur);
}

static void
without_memory_nothing_is_lost(void **state)
{
	struct bufq a = { 0 }, b = { 0 };
	struct block *none = NULL;

	(void)state;
	queue_pipe(&a, 0, 10000);
	mem_fail_after(0);
	assert_int_equal(bufq_load(&a), ERR_NOMEM);
	for (long i = 0; i < 3; i++) {
		mem_fail_after(i);
		if (bufq_share(&b, &a, 100, 5000) == ERR_NOMEM)
			assert_int_equal(b.len, 0);
		else
			bufq_fini(&b);
		mem_fail_after(MEM_NO_FAIL);
	}
	expect_loaded(&a, 0, 10000);
	bufq_fini(&a);
	bufpipe_trim();
	supply(0, 100);
	mem_fail_after(0);
	assert_int_equal(bufpipe_fill(from[0], 100, &none), ERR_LIMIT);
	mem_fail_after(MEM_NO_FAIL);
	assert_int_equal(bufpipe_fill(from[0], 100, &none), 100);
	block_unref(none);
}

/* ---- users over their share of pipes ---- */

/* In a child that may become another user: true if the pipes were small and the bytes right. */
static bool
small_pipes(void)
{
	int fd[2];
	struct bufq a = { 0 }, b = { 0 };
	size_t got = 0;
	char small = 0;

	if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
		return false;
	/* The kernel's limit is 16384 pages for all pipes of a user. */
	for (int i = 0; i < 100; i++)
		if (pipe(fd) != 0 || fcntl(fd[1], F_SETPIPE_SZ, 1 << 20) < 0)
			break;
	if (pipe(fd) != 0)
		return false;
	small = fcntl(fd[1], F_GETPIPE_SZ) < 65536;
	while (got < 60000) {
		size_t n = 60000 - got;
		struct block *p;
		ssize_t k;

		if (got == 0)
			supply(0, n);
		k = bufpipe_fill(from[0], n, &p);
		assert_true(k > 0);
		assert_int_equal(bufq_append_pipe(&a, p), 0);
		block_unref(p);
		got += (size_t)k;
	}
	assert_int_equal(bufq_share(&b, &a, 0, 60000), 0);
	send_all(&b);
	expect(0, 60000);
	expect_loaded(&a, 0, 60000);
	return small;
}

static void
pipes_of_a_page_do_as_well(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(small_pipes() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- idle, threads ---- */

static void
unused_pipes_are_closed_after_a_while(void **state)
{
	uint64_t now = 1000000;
	unsigned before = descriptors();
	struct bufq q = { 0 };

	(void)state;
	for (size_t i = 0; i < 5; i++)
		queue_pipe(&q, 0, 100);
	bufpipe_idle(now);
	bufpipe_idle(now += 2 * BUFPIPE_IDLE_MS);
	assert_int_equal(descriptors(), before + 10);
	send_all(&q);
	while (read(to[1], &(uint8_t[4096]){ 0 }, 4096) > 0)
		;
	queue_pipe(&q, 0, 100);
	bufq_fini(&q);
	assert_true(bufpipe_idle(now));
	assert_true(bufpipe_idle(now + BUFPIPE_IDLE_MS - 1));
	assert_true(descriptors() > before);
	assert_false(bufpipe_idle(now + BUFPIPE_IDLE_MS));
	assert_int_equal(descriptors(), before);
	assert_false(bufpipe_idle(now + 10 * BUFPIPE_IDLE_MS));
}

static void *
drop_elsewhere(void *arg)
{
	bufq_fini(arg);
	/* They are this thread's now. */
	assert_int_equal(available(), BUFPIPE_MAX);
	buf_pool_free();
	return NULL;
}

static void
another_thread_may_drop_any_number(void **state)
{
	unsigned before = descriptors();
	struct rlimit rl;
	pthread_t t;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	set_files(rl.rlim_max);
	/* Each round this thread makes new ones, while the other has those of the last. */
	for (int round = 0; round < 3; round++) {
		struct bufq q = { 0 };
		struct block *b;

		supply(0, BUFPIPE_MAX);
		for (int i = 0; i < BUFPIPE_MAX; i++) {
			assert_int_equal(bufpipe_fill(from[0], 1, &b), 1);
			assert_int_equal(bufq_append_pipe(&q, b), 0);
			block_unref(b);
		}
		assert_int_equal(bufpipe_fill(from[0], 1, &b), ERR_LIMIT);
		assert_int_equal(pthread_create(&t, NULL, drop_elsewhere, &q), 0);
		assert_int_equal(pthread_join(t, NULL), 0);
	}
	set_files(rl.rlim_cur);
	assert_int_equal(descriptors(), before);
}

/* Threads share one process's descriptors. */
static pthread_barrier_t all_have;

static void *
take_all(void *arg)
{
	struct bufq q = { 0 };
	struct block *b;
	int *n = arg;

	while (bufpipe_fill(from[0], 1, &b) == 1) {
		assert_int_equal(bufq_append_pipe(&q, b), 0);
		block_unref(b);
		++*n;
	}
	pthread_barrier_wait(&all_have);
	bufq_fini(&q);
	buf_pool_free();
	return NULL;
}

static void
threads_together_take_an_eighth_of_the_descriptors(void **state)
{
	int n[4] = { 0 };
	pthread_t t[4];
	struct rlimit rl;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	set_files(320);
	supply(0, 4000);
	assert_int_equal(pthread_barrier_init(&all_have, NULL, 4), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, take_all, &n[i]), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	pthread_barrier_destroy(&all_have);
	assert_int_equal(n[0] + n[1] + n[2] + n[3], 20);
	set_files(rl.rlim_cur);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_both, close_both)
	const struct CMUnitTest tests[] = {
		TEST(a_pipe_is_sent_whole_or_in_parts),
		TEST(what_there_is_to_fill_is_told_apart),
		TEST(a_descriptor_without_splice_is_refused),
		TEST(a_full_receiver_takes_a_part_and_the_rest_follows),
		TEST(loading_keeps_what_has_not_left),
		TEST(halves_in_two_queues_stay_right_in_any_order),
		TEST(bytes_behind_dropped_ones_are_the_right_ones),
		TEST(a_doubled_pipe_reads_the_same_on_both_sides),
		TEST(a_pipe_that_was_begun_cannot_be_doubled),
		TEST(a_share_of_a_part_loads_it),
		TEST(what_nobody_wants_does_not_turn_up_again),
		TEST(throwing_away_works_without_standard_input),
		TEST(a_loaded_block_has_no_descriptors),
		TEST(there_are_only_so_many),
		TEST(without_descriptors_there_is_none),
		TEST(without_memory_nothing_is_lost),
		TEST(pipes_of_a_page_do_as_well),
		TEST(unused_pipes_are_closed_after_a_while),
		TEST(another_thread_may_drop_any_number),
		TEST(threads_together_take_an_eighth_of_the_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
