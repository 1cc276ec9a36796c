/* SPDX-License-Identifier: ISC */
/* rlimit_test - limits are lifted, and a connection is turned away with the last descriptor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/rlimit.h"

static void
the_soft_limit_reaches_the_hard_one(void **state)
{
	struct rlimit rl;
	uint64_t got;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	rl.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	got = rlimit_raise_files();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_true(got == rl.rlim_cur);
	assert_true(rl.rlim_cur == rl.rlim_max);
}

static int
listener(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

static void
a_full_table_still_refuses_politely(void **state)
{
	struct rlimit_reserve r;
	struct rlimit rl;
	struct sockaddr_in at;
	int listen_fd = listener(&at), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int filler[64], n = 0, input;
	char c;

	(void)state;
	assert_int_equal(rlimit_reserve_init(&r), 0);
	assert_int_equal(rlimit_reserve_refuse(&r, listen_fd), ERR_AGAIN);
	assert_true(r.fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	rl.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	while (n < 64 && (filler[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	assert_int_equal(errno, EMFILE);
	assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), -1);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(rlimit_reserve_refuse(&r, listen_fd), 0);
	assert_true(r.fd >= 0);
	/* It was told, not left waiting, and what it was told looks like no answer. */
	assert_int_equal(read(client, &c, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	while (n > 0)
		close(filler[--n]);
	rlimit_reserve_fini(&r);
	assert_int_equal(r.fd, -1);
	/* The one that is refused may get descriptor 0. */
	close(client);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	input = dup(0);
	close(0);
	assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(rlimit_reserve_refuse(&r, listen_fd), 0);
	assert_int_equal(read(client, &c, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(r.fd, 0);
	rlimit_reserve_fini(&r);
	assert_int_equal(fcntl(0, F_GETFD), -1);
	assert_int_equal(dup2(input, 0), 0);
	close(input);
	close(client);
	close(listen_fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_soft_limit_reaches_the_hard_one),
		cmocka_unit_test(a_full_table_still_refuses_politely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
