/* SPDX-License-Identifier: ISC */
/*
 * pace_test - the bounds that a measured rate leads to, and that they reach the kernel.
 *
 * link: -Wl,--wrap=getsockopt
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/net/pace.h"

#define MB 1000000ULL
#define RTT_US 200

/* ---- in the place of a path: what the kernel has measured; 0: its own ---- */

static uint64_t measured;

int __real_getsockopt(int fd, int level, int name, void *v, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *v, socklen_t *len);

int
__wrap_getsockopt(int fd, int level, int name, void *v, socklen_t *len)
{
	int r = __real_getsockopt(fd, level, name, v, len);

	if (measured > 0 && level == IPPROTO_TCP && name == TCP_INFO) {
		((struct tcp_info *)v)->tcpi_delivery_rate = measured;
		((struct tcp_info *)v)->tcpi_min_rtt = RTT_US;
		((struct tcp_info *)v)->tcpi_delivery_rate_app_limited = 0;
	}
	return r;
}

static struct pace
fresh(void)
{
	return (struct pace){ .shape = true, .lowat = PACE_LOWAT_START };
}

/* One sample; the bounds are taken over, as pace_wrote does. */
static void
sample(struct pace *p, uint64_t rate)
{
	const struct pace_sample s = { .rate = rate, .rtt_us = RTT_US };

	assert_true(pace_decide(p, &s, &p->lowat, &p->flight));
}

static void
bounds_follow_from_rate_and_round_trip(void **state)
{
	struct pace p = fresh();

	(void)state;
	sample(&p, 50 * MB);
	assert_int_equal(p.lowat, 12500);          /* 250 us */
	assert_int_equal(p.flight, 20000 + 55000); /* twice the round trip, and 1.1 ms */
	sample(&p, 50 * MB);
	assert_int_equal(p.flight, 75000);
}

static void
bounds_have_bounds(void **state)
{
	struct pace slow = fresh(), fast = fresh();

	(void)state;
	sample(&slow, 10000);
	assert_int_equal(slow.lowat, PACE_LOWAT_MIN);
	assert_int_equal(slow.flight, PACE_FLIGHT_MIN);
	sample(&fast, 5000 * MB);
	assert_int_equal(fast.lowat, PACE_LOWAT_MAX);
	assert_int_equal(fast.flight, 0); /* the kernel's own */
}

static void
a_single_sample_changes_little(void **state)
{
	static const uint64_t odd[] = { 556 * MB, 5 * MB, 100 * MB, 25 * MB };

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		struct pace p = fresh();

		for (int k = 0; k < 4; k++)
			sample(&p, 50 * MB);
		sample(&p, odd[i]);
		assert_int_equal(p.flight, 75000);
		sample(&p, 50 * MB);
		assert_int_equal(p.flight, 75000);
	}
}

static void
noise_is_averaged(void **state)
{
	static const uint64_t noise[] = { 36, 55, 61, 44, 40, 67, 48, 52, 39, 58 };
	struct pace p = fresh();

	(void)state;
	sample(&p, 50 * MB);
	for (int k = 0; k < 100; k++) {
		sample(&p, noise[k % 10] * MB);
		assert_in_range(p.flight, 75000 * 9 / 10, 75000 * 11 / 10);
	}
}

static void
another_path_is_followed_at_once(void **state)
{
	struct pace p = fresh();

	(void)state;
	for (int k = 0; k < 4; k++)
		sample(&p, 100 * MB);
	sample(&p, 20 * MB);
	sample(&p, 20 * MB);
	assert_int_equal(p.lowat, PACE_LOWAT_MIN);
	assert_int_equal(p.flight, PACE_FLIGHT_MIN);
	sample(&p, 100 * MB);
	sample(&p, 100 * MB);
	assert_int_equal(p.lowat, 25000);
}

/*
 * What an application did not send says nothing about the path, unless it was more than was thought
 * possible.
 */
static void
an_idle_sender_says_nothing(void **state)
{
	struct pace_sample s = { .rate = MB, .rtt_us = RTT_US, .app_limited = true };
	struct pace p = fresh();
	size_t lowat = 1, flight = 1;

	(void)state;
	assert_false(pace_decide(&p, &s, &lowat, &flight));
	s.rate = 0;
	s.app_limited = false;
	assert_false(pace_decide(&p, &s, &lowat, &flight));
	assert_int_equal(lowat, 1);
	assert_int_equal(flight, 1);
	s.rate = 1000 * MB;
	s.app_limited = true;
	assert_true(pace_decide(&p, &s, &lowat, &flight));
	assert_int_equal(lowat, 250000);
}

/*
 * A small bound leaves nothing unsent, so what it lets through looks like an application's own
 * rate.
 */
static void
a_bound_does_not_hold_itself_down(void **state)
{
	struct pace_sample s = { .rate = 5 * MB, .rtt_us = 50000, .app_limited = true };
	struct pace p = fresh();
	size_t lowat, flight = 1;

	(void)state;
	p.rate = p.rates[0] = p.rates[1] = p.rates[2] = 2 * MB;
	p.flight = 191000;
	for (int k = 0; k < 3 && flight != 0; k++)
		IGNORE_RESULT(pace_decide(&p, &s, &lowat, &flight));
	assert_int_equal(flight, 0);
}

/*
 * On loopback a slow moment would leave room for half a segment, and each waits for a delayed
 * acknowledgement.
 */
static void
some_segments_are_always_under_way(void **state)
{
	const struct pace_sample s = { .rate = 20 * MB, .rtt_us = 3, .mss = 65483 };
	struct pace p = fresh();
	size_t lowat, flight;

	(void)state;
	assert_true(pace_decide(&p, &s, &lowat, &flight));
	assert_int_equal(flight, 4 * 65483);
}

/* A token bucket lets through at once what was not used for a while. */
static void
a_burst_is_not_the_speed_of_the_link(void **state)
{
	struct pace_sample s = {
		.rate = 1250 * MB, .rtt_us = 6, .app_limited = true, .passed = 50 * MB
	};
	struct pace p = fresh();
	size_t lowat = 0, flight = 0;

	(void)state;
	for (int k = 0; k < 4; k++)
		sample(&p, 50 * MB);
	for (int k = 0; k < 5; k++)
		IGNORE_RESULT(pace_decide(&p, &s, &p.lowat, &p.flight));
	assert_in_range(p.flight, 55000, 75000);
	/* Unknown, or fast enough: the kernel is believed. */
	for (int k = 0; k < 2; k++) {
		p = fresh();
		s.passed = k == 0 ? 0 : 240 * MB;
		assert_true(pace_decide(&p, &s, &lowat, &flight));
		assert_int_equal(lowat, PACE_LOWAT_MAX);
	}
}

static void
the_kernel_is_told(void **state)
{
	struct pace p;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), pair[2], value = 0;
	socklen_t len = sizeof value;

	(void)state;
	assert_true(fd >= 0);
	pace_init(&p, fd, true);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len), 0);
	assert_int_equal(value, PACE_LOWAT_START);
	/* A single stream's socket: one bound, which does not follow the rate. */
	pace_init(&p, fd, false);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len), 0);
	assert_int_equal(value, PACE_LOWAT_MAX);
	pace_wrote(&p, fd, 1 << 30);
	assert_int_equal(p.sampled, 0);
	close(fd);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pace_init(&p, pair[0], true);
	assert_false(p.shape);
	pace_wrote(&p, pair[0], 1 << 30);
	assert_int_equal(p.sampled, 0);
	close(pair[0]);
	close(pair[1]);
}

static int
option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void
the_kernel_is_told_what_was_measured(void **state)
{
	struct pace p;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), own;

	(void)state;
	own = option(fd, SOL_SOCKET, SO_SNDBUF);
	pace_init(&p, fd, true);
	measured = 50 * MB;
	/* Not before so much was written. */
	pace_wrote(&p, fd, PACE_SAMPLE_LOWATS * PACE_LOWAT_START - 1);
	assert_int_equal(p.lowat, PACE_LOWAT_START);
	pace_wrote(&p, fd, PACE_SAMPLE_LOWATS * PACE_LOWAT_START);
	assert_int_equal(p.lowat, 12500);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 12500);
	if (p.unlock) {
		assert_int_equal(p.flight, 75000);
		assert_int_equal(option(fd, SOL_SOCKET, SO_SNDBUF), 2 * (75000 * 5 / 8));
	}
	/* A bound that is hardly another one is not worth a call. */
	p.rate = 51 * MB;
	pace_wrote(&p, fd, 1 << 20);
	assert_int_equal(p.lowat, 12500);
	/* A path that is too fast for a bound gets the kernel's own buffer back. */
	measured = 5000 * MB;
	for (uint64_t i = 2; i < 6; i++)
		pace_wrote(&p, fd, i << 28);
	assert_int_equal(p.lowat, PACE_LOWAT_MAX);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), PACE_LOWAT_MAX);
	assert_int_equal(p.flight, 0);
	assert_true(option(fd, SOL_SOCKET, SO_SNDBUF) >= own);
	measured = 0;
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_follow_from_rate_and_round_trip),
		cmocka_unit_test(bounds_have_bounds),
		cmocka_unit_test(a_single_sample_changes_little),
		cmocka_unit_test(noise_is_averaged),
		cmocka_unit_test(another_path_is_followed_at_once),
		cmocka_unit_test(an_idle_sender_says_nothing),
		cmocka_unit_test(a_bound_does_not_hold_itself_down),
		cmocka_unit_test(some_segments_are_always_under_way),
		cmocka_unit_test(a_burst_is_not_the_speed_of_the_link),
		cmocka_unit_test(the_kernel_is_told),
		cmocka_unit_test(the_kernel_is_told_what_was_measured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
