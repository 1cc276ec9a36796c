/* SPDX-License-Identifier: ISC */
/*
 * stdio_test - standard input and output as a connection: pipes, files, sockets, and what becomes
 * of the exit status.
 *
 * Each case runs in a process of its own, since it has descriptors 0 and 1 of its own.
 *
 * link: -Wl,--wrap=uplink_new,--wrap=uplink_free,--wrap=uplink_finish
 * link: -Wl,--wrap=uplink_open,--wrap=uplink_has_session,--wrap=uplink_streams
 * link: -Wl,--wrap=socketpair,--wrap=pthread_create
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/connect/connect.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "test/unit/fakeuplink.h"
#include "test/unit/turns.h"

/* What the child has seen. */
struct outcome {
	int started, code, end;
	enum client_state state;
	bool got_all, eof, reset;
	uint32_t reset_code;
	size_t n_streams;
	char service[CTL_NAME_MAX + 1];
};

/* What the far side does, and what it is to get first. */
struct play {
	const char *want; /* until then it waits; NULL: it does not */
	bool want_eof;
	const char *says;
	bool ends;     /* says its end, and the stream ends in good order */
	uint32_t code; /* or it is reset with this */
	bool lost;     /* the uplink is lost before that */
	size_t repeat; /* says it so often */
};

static struct client c;
static const struct play *play;

/* What fails in the child: so many socket pairs, threads, allocations are there; negative: all. */
static long pairs = -1, threads = -1, allocations = MEM_NO_FAIL;

int __wrap_socketpair(int domain, int type, int protocol, int fd[2]);
int __real_socketpair(int domain, int type, int protocol, int fd[2]);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *arg), void *arg);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *arg), void *arg);

int
__wrap_socketpair(int domain, int type, int protocol, int fd[2])
{
	if (pairs-- == 0) {
		errno = EMFILE;
		return -1;
	}
	return __real_socketpair(domain, type, protocol, fd);
}

int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *arg), void *arg)
{
	return threads-- == 0 ? EAGAIN : __real_pthread_create(t, a, fn, arg);
}

static struct fake_stream *
stream(void)
{
	return fake_uplink[0].f->stream[0];
}

static bool
has_wanted(void *arg)
{
	(void)arg;
	return stream()->over || ((play->want == NULL || fake_got(stream(), play->want)) &&
				     (!play->want_eof || stream()->eof));
}

static bool
is_acked(void *arg)
{
	(void)arg;
	return stream()->over || stream()->acked_eof;
}

static bool
is_reset(void *arg)
{
	(void)arg;
	return stream()->over;
}

static bool
is_known(void *arg)
{
	(void)arg;
	return c.state != CLIENT_RUNNING;
}

static void
far_side(void)
{
	struct ctl_open_ok ok = { 0 };

	stream()->s.user->opened(stream()->s.arg, &ok);
	turns_until(c.loop, has_wanted, NULL);
	for (size_t i = 0; play->says != NULL && !stream()->over && i < play->repeat + 1; i++)
		fake_data(stream(), play->says);
	if (play->lost)
		fake_uplink[0].user->down(fake_uplink[0].arg, ERR_CLOSED, "lost", 500);
	if (play->ends && !stream()->over) {
		stream()->s.user->eof(stream()->s.arg);
		turns_until(c.loop, is_acked, NULL);
		if (!stream()->over)
			fake_end(stream(), CODE_OK, "");
	} else if (play->code != CODE_OK && !stream()->over) {
		fake_end(stream(), play->code, "on purpose");
	} else {
		turns_until(c.loop, is_reset, NULL);
	}
	turns_until(c.loop, is_known, NULL);
}

static void
child(struct outcome *o)
{
	struct ctl_open target;
	struct errtext e;

	c = (struct client){ .loop = loop_new() };
	c.config.target.dialect = &dialect_fake;
	c.opts.uplink.carriers = 1;
	if (client_init(&c) != 0 || conn_target(&target, CTL_TCP, "ssh", "target", &e) != 0)
		abort();
	mem_fail_after(allocations);
	o->started = stdio_start(&c, "pi", &target, &e);
	mem_fail_after(MEM_NO_FAIL);
	if (o->started == 0) {
		fake_stand(&fake_uplink[0]);
		o->n_streams = fake_uplink[0].f->n_streams;
		snprintf(o->service, sizeof o->service, "%s", stream()->open.service);
		far_side();
		o->got_all = play->want == NULL || fake_got(stream(), play->want);
		o->eof = stream()->eof;
		o->reset = stream()->reset;
		o->reset_code = stream()->code;
	}
	o->state = c.state;
	client_fini(&c);
	loop_settle(c.loop);
	loop_free(c.loop);
	o->end = stdio_end(false);
	o->code = c.code;
}

/* Run a play with these descriptors, which are closed here; it may not even start. */
static struct outcome
try(const struct play *p, int in, int out)
{
	struct outcome o = { 0 };
	int result[2], status;
	pid_t pid;

	assert_int_equal(pipe2(result, O_CLOEXEC), 0);
	play = p;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		dup2(in, 0);
		dup2(out, 1);
		close(in);
		if (out != in)
			close(out);
		child(&o);
		_exit(write(result[1], &o, sizeof o) == sizeof o ? 0 : 1);
	}
	close(result[1]);
	close(in);
	if (out != in)
		close(out);
	assert_int_equal(read(result[0], &o, sizeof o), sizeof o);
	close(result[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return o;
}

static struct outcome
run(const struct play *p, int in, int out)
{
	struct outcome o = try(p, in, out);

	assert_int_equal(o.started, 0);
	assert_int_equal(o.n_streams, 1);
	assert_string_equal(o.service, "ssh");
	return o;
}

/* A pipe's read end with this text in it, and nothing behind it. */
static int
pipe_with(const char *text)
{
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	assert_int_equal(write(fd[1], text, strlen(text)), strlen(text));
	close(fd[1]);
	return fd[0];
}

static int
pipe_out(int *reader)
{
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	*reader = fd[0];
	return fd[1];
}

/* A file without a name, with this text. */
static int
file_with(const char *text)
{
	char path[] = "/tmp/stdio_test.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* What can be read from fd to its end is this text; fd is closed. */
static void
holds(int fd, const char *text)
{
	char got[256];
	size_t n = 0;
	ssize_t k = 1;

	while (k > 0 && n < sizeof got) {
		k = read(fd, got + n, sizeof got - n);
		n += k > 0 ? (size_t)k : 0;
	}
	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, n);
	close(fd);
}

static void
a_good_end(const struct outcome *o)
{
	assert_int_equal(o->code, CMD_OK);
	assert_int_equal(o->end, 0);
	assert_int_equal(o->state, CLIENT_LEAVING);
	assert_true(o->got_all && o->eof && !o->reset);
}

static const struct play exchange = {
	.want = "hello", .want_eof = true, .says = "answer", .ends = true
};

static void
pipes_carry_both_ways_to_both_ends(void **state)
{
	struct outcome o;
	int reader, out = pipe_out(&reader);

	(void)state;
	o = run(&exchange, pipe_with("hello"), out);
	a_good_end(&o);
	holds(reader, "answer");
}

static void
files_do_too(void **state)
{
	struct outcome o;
	int file = file_with("");

	(void)state;
	o = run(&exchange, file_with("hello"), dup(file));
	a_good_end(&o);
	lseek(file, 0, SEEK_SET);
	holds(file, "answer");
}

static void
one_socket_may_be_both(void **state)
{
	struct outcome o;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(write(fd[1], "hello", 5), 5);
	shutdown(fd[1], SHUT_WR);
	o = run(&exchange, fd[0], fd[0]);
	a_good_end(&o);
	holds(fd[1], "answer");
}

static void
a_pipe_and_a_socket_are_two(void **state)
{
	struct outcome o;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	o = run(&exchange, pipe_with("hello"), fd[0]);
	a_good_end(&o);
	holds(fd[1], "answer");
}

/* The end of standard input is no end of the other direction, and the other way round. */
static void
each_direction_ends_by_itself(void **state)
{
	static const struct play silent = { .says = "answer", .ends = true, .want_eof = true };
	struct outcome o;
	int reader, out = pipe_out(&reader);

	(void)state;
	o = run(&silent, pipe_with(""), out);
	a_good_end(&o);
	holds(reader, "answer");
}

static void
input_that_cannot_be_read_is_no_end(void **state)
{
	static const struct play p = { .want = NULL };
	struct outcome o;
	int reader, out = pipe_out(&reader);

	(void)state;
	o = run(&p, open("/tmp", O_RDONLY | O_CLOEXEC), out);
	assert_int_equal(o.code, CMD_FAILED);
	assert_int_equal(o.end, ERR_SYS);
	assert_true(o.reset);
	assert_false(o.eof);
	close(reader);
}

static void
output_that_nobody_reads_is_a_failure(void **state)
{
	static const struct play p = { .want = "hello", .says = "answer", .repeat = 3 };
	struct outcome o;
	int reader, out = pipe_out(&reader), in[2];

	(void)state;
	close(reader);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(write(in[1], "hello", 5), 5);
	o = run(&p, in[0], out);
	assert_int_equal(o.code, CMD_FAILED);
	assert_int_equal(o.end, 0); /* told by the loop */
	assert_true(o.reset);
	assert_int_equal(o.reset_code, CODE_RESET);
	close(in[1]);
}

static void
a_full_disk_is_a_failure(void **state)
{
	struct outcome o;

	(void)state;
	o = run(&exchange, pipe_with("hello"), open("/dev/full", O_WRONLY | O_CLOEXEC));
	assert_int_equal(o.end, ERR_SYS);
}

static void
the_exit_status_says_who_refused(void **state)
{
	static const struct {
		struct play p;
		int exits;
	} cases[] = {
		{ { .code = CODE_DENIED }, CMD_REFUSED },
		{ { .code = CODE_REVOKED }, CMD_REFUSED },
		{ { .code = CODE_REFUSED }, CMD_FAILED },
		{ { .code = CODE_NOT_FOUND }, CMD_FAILED },
		{ { .code = CODE_RESET, .says = "half" }, CMD_FAILED },
		{ { .code = CODE_GONE, .says = "half", .lost = true }, CMD_FAILED },
		/* What is known already stays. */
		{ { .code = CODE_DENIED, .lost = true }, CMD_FAILED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct outcome o;
		int in[2], reader, out = pipe_out(&reader);

		assert_int_equal(pipe2(in, O_CLOEXEC), 0);
		o = run(&cases[i].p, in[0], out);
		assert_int_equal(o.code, cases[i].exits);
		/* Where the reason is known already nobody is left to say goodbye to. */
		assert_int_equal(o.state, cases[i].p.lost ? CLIENT_OVER : CLIENT_LEAVING);
		holds(reader, cases[i].p.says != NULL ? cases[i].p.says : "");
		close(in[1]);
	}
}

static void
what_cannot_be_started_is_told(void **state)
{
	(void)state;
	/* A thread and a pair for each of two files: the first or the second fails. */
	for (long n = 0; n < 2; n++) {
		pairs = n;
		assert_int_equal(
		    try(&exchange, file_with("hello"), file_with("")).started, ERR_SYS);
		pairs = -1;
		threads = n;
		assert_int_equal(
		    try(&exchange, file_with("hello"), file_with("")).started, ERR_SYS);
		threads = -1;
	}
}

static void
without_memory_it_does_not_start(void **state)
{
	int reader, n_failed = 0, started;

	(void)state;
	do {
		int out = pipe_out(&reader);

		allocations = n_failed;
		started = try(&exchange, pipe_with("hello"), out).started;
		close(reader);
		n_failed += started != 0;
	} while (started != 0 && n_failed < 100);
	allocations = MEM_NO_FAIL;
	assert_int_equal(started, 0);
	assert_true(n_failed > 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipes_carry_both_ways_to_both_ends),
		cmocka_unit_test(files_do_too),
		cmocka_unit_test(one_socket_may_be_both),
		cmocka_unit_test(a_pipe_and_a_socket_are_two),
		cmocka_unit_test(each_direction_ends_by_itself),
		cmocka_unit_test(input_that_cannot_be_read_is_no_end),
		cmocka_unit_test(output_that_nobody_reads_is_a_failure),
		cmocka_unit_test(a_full_disk_is_a_failure),
		cmocka_unit_test(the_exit_status_says_who_refused),
		cmocka_unit_test(what_cannot_be_started_is_told),
		cmocka_unit_test(without_memory_it_does_not_start),
	};

	signal(SIGPIPE, SIG_IGN); /* as main() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
