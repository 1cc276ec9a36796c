/* SPDX-License-Identifier: ISC */
/*
 * acceptor_test - who comes is taken, so many in a turn; what goes wrong is told, rests, and is
 * tried again.  (listen_test has it at work with a relay's listeners.)
 *
 * link: -Wl,--wrap=listen_accept,--wrap=io_want
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/common/acceptor.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/net/listen.h"
#include "test/unit/heap.h"
#include "test/unit/heardlog.h"
#include "test/unit/memfilter.h"
#include "test/unit/turns.h"

int __real_listen_accept(int listener, int *fd, struct addr *peer);
int __wrap_listen_accept(int listener, int *fd, struct addr *peer);
int __real_io_want(struct io *io, int what);
int __wrap_io_want(struct io *io, int what);

/* accept(2) fails so for as long as it is not 0; how often it was asked. */
static int accept_error;
static unsigned n_accepts;
/* So many times a socket cannot be watched. */
static unsigned n_refused_wants;

int
__wrap_listen_accept(int listener, int *fd, struct addr *peer)
{
	n_accepts++;
	if (accept_error == 0)
		return __real_listen_accept(listener, fd, peer);
	errno = EINVAL;
	return accept_error;
}

int
__wrap_io_want(struct io *io, int what)
{
	if (what != 0 && n_refused_wants > 0) {
		n_refused_wants--;
		errno = ENOMEM;
		return ERR_SYS;
	}
	return __real_io_want(io, what);
}

static struct fix {
	struct loop *l;
	struct acceptor a;
	struct rlimit_reserve reserve;
	int listener;
	struct addr at, from;
	/* Those that were taken, and in which turn the last one. */
	unsigned n, in_turn, most_in_turn;
	uint64_t turn;
	/* The one that ends the acceptor; 0: none. */
	unsigned last;
} x;

static void
on_accepted(void *arg, int fd, const struct addr *from)
{
	assert_ptr_equal(arg, &x);
	x.from = *from;
	close(fd);
	x.n++;
	x.in_turn = loop_turn(x.l) == x.turn ? x.in_turn + 1 : 1;
	x.turn = loop_turn(x.l);
	if (x.in_turn > x.most_in_turn)
		x.most_in_turn = x.in_turn;
	if (x.n == x.last)
		acceptor_fini(&x.a);
}

static int
begin(void)
{
	struct acceptor_config cfg = { x.listener, "--listen here", &x.reserve, on_accepted, &x };

	return acceptor_init(&x.a, x.l, &cfg);
}

static int
setup(void **state)
{
	(void)state;
	x = (struct fix){ .l = loop_new(), .listener = -1 };
	accept_error = 0;
	n_accepts = n_refused_wants = 0;
	return x.l != NULL && rlimit_reserve_init(&x.reserve) == 0 &&
		       listen_open("127.0.0.1:0", &x.listener, NULL) == 0 &&
		       addr_local(x.listener, &x.at) == 0
		   ? 0
		   : -1;
}

static int
teardown(void **state)
{
	(void)state;
	acceptor_fini(&x.a);
	listen_close(x.listener);
	rlimit_reserve_fini(&x.reserve);
	loop_free(x.l);
	return 0;
}

static int
come(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &x.at.u.sa, x.at.len), 0);
	return fd;
}

static bool
were_taken(void *arg)
{
	return x.n >= *(unsigned *)arg;
}

static bool
takes(unsigned n)
{
	return turns_until(x.l, were_taken, &n) && x.n == n;
}

static void
who_comes_is_taken(void **state)
{
	struct addr us;
	int fd;

	(void)state;
	assert_int_equal(begin(), 0);
	fd = come();
	assert_true(takes(1));
	assert_int_equal(addr_local(fd, &us), 0);
	assert_int_equal(addr_port(&us), addr_port(&x.from));
	close(fd);
	acceptor_fini(&x.a);
	close(come());
	mem_settle(x.l);
	assert_int_equal(x.n, 1);
}

static void
a_turn_is_bounded(void **state)
{
	int fd[ACCEPTOR_TURN + 1];

	(void)state;
	for (int i = 0; i <= ACCEPTOR_TURN; i++)
		fd[i] = come();
	assert_int_equal(begin(), 0);
	assert_true(takes(ACCEPTOR_TURN + 1));
	assert_int_equal(x.most_in_turn, ACCEPTOR_TURN);
	for (int i = 0; i <= ACCEPTOR_TURN; i++)
		close(fd[i]);
}

static void
it_may_end_among_those_who_come(void **state)
{
	int fd[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		fd[i] = come();
	x.last = 2;
	assert_int_equal(begin(), 0);
	assert_true(takes(2));
	mem_settle(x.l);
	assert_int_equal(x.n, 2);
	for (int i = 0; i < 5; i++)
		close(fd[i]);
}

static bool
was_asked_four_times(void *arg)
{
	(void)arg;
	return n_accepts >= 4;
}

/* Neither the processor nor the log is filled, and it goes on when it can. */
static void
rests_and_tells_few(int error, const char *words)
{
	uint64_t begin_ms = clock_mono_ms();
	size_t lines = 0;
	const char *text;
	int fd[4];

	/* Without descriptors each time one is refused. */
	for (int i = 0; i < 4; i++)
		fd[i] = come();
	heardlog_begin(LOG_LEVEL_INFO);
	accept_error = error;
	assert_int_equal(begin(), 0);
	assert_true(turns_until(x.l, was_asked_four_times, NULL));
	/* The first of the four at once. */
	assert_true(clock_mono_ms() - begin_ms >= 3 * ACCEPTOR_PAUSE_MS - 10);
	accept_error = 0;
	close(come());
	assert_true(turns_until(x.l, were_taken, &(unsigned){ 1 }));
	text = heardlog_end();
	for (; (text = strstr(text, words)) != NULL; text++)
		lines++;
	assert_in_range(lines, 1, LOG_LIMIT_FEW);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
}

static void
without_descriptors_it_rests(void **state)
{
	(void)state;
	rests_and_tells_few(ERR_LIMIT, "--listen here: out of file descriptors");
}

static void
a_socket_that_is_broken_is_told_of_and_rests(void **state)
{
	(void)state;
	rests_and_tells_few(ERR_SYS, "--listen here: accept: Invalid argument");
}

static void
what_cannot_be_watched_for_a_moment_is_watched_later(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(begin(), 0);
	accept_error = ERR_LIMIT;
	fd = come();
	close(come());
	n_accepts = 3;
	assert_true(turns_until(x.l, was_asked_four_times, NULL));
	accept_error = 0;
	n_refused_wants = 2;
	assert_true(turns_until(x.l, were_taken, &(unsigned){ 1 }));
	close(fd);
}

static void
what_cannot_be_made_leaves_nothing(void **state)
{
	int r = ERR_NOMEM;

	(void)state;
	for (long n = 0; r != 0; n++) {
		assert_true(n < 10);
		mem_fail_after(n);
		r = begin();
		mem_fail_after(MEM_NO_FAIL);
		/* The owner may end it once more. */
		acceptor_fini(&x.a);
	}
	n_refused_wants = 1;
	assert_int_equal(begin(), ERR_SYS);
	acceptor_fini(&(struct acceptor){ 0 });
}

static void
make_and_end(void)
{
	assert_int_equal(begin(), 0);
	acceptor_fini(&x.a);
}

static void
all_is_given_back(void **state)
{
	(void)state;
	heap_is_given_back(make_and_end);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_comes_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(a_turn_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(it_may_end_among_those_who_come, setup, teardown),
		cmocka_unit_test_setup_teardown(without_descriptors_it_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_socket_that_is_broken_is_told_of_and_rests, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_cannot_be_watched_for_a_moment_is_watched_later, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    what_cannot_be_made_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(all_is_given_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
