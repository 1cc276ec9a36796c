/* SPDX-License-Identifier: ISC */
/*
 * pace - how much of what a TCP connection is to carry the kernel is given ahead.
 */
#include "lib/net/pace.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

/* Linux 5.14; older headers do not have it, and older kernels refuse it. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

#define US_PER_S 1000000

static size_t
between(uint64_t v, size_t min, size_t max)
{
	return v < min ? min : v > max ? max : (size_t)v;
}

/* Is b so near to a that a system call is not worth it? */
static bool
is_near(size_t a, size_t b, size_t parts)
{
	return b <= a + a / parts && b >= a - a / parts;
}

static uint64_t
median(const uint64_t v[3])
{
	uint64_t low = v[0] < v[1] ? v[0] : v[1], high = v[0] < v[1] ? v[1] : v[0];

	return v[2] < low ? low : v[2] > high ? high : v[2];
}

/*
 * The median forgets single samples, the average the rest; a path that has really changed is
 * followed at once.
 */
static void
smooth(struct pace *p, uint64_t measured)
{
	uint64_t rate;

	if (p->rates[2] == 0)
		p->rates[1] = p->rates[2] = measured;
	p->rates[0] = p->rates[1];
	p->rates[1] = p->rates[2];
	p->rates[2] = measured;
	rate = median(p->rates);
	if (rate > p->rate * 2 || rate < p->rate / 2)
		p->rate = rate;
	else
		p->rate = (p->rate * 7 + rate) / 8;
}

/* What a sample says of the path, in bytes per second. */
static uint64_t
sampled_rate(const struct pace_sample *s)
{
	/* So fast that the largest bounds are a short queue, and smaller ones only cost. */
	bool fast = s->passed >= (uint64_t)PACE_LOWAT_MAX * US_PER_S / PACE_QUEUE_US;

	return s->passed == 0 || fast || s->rate < s->passed ? s->rate : s->passed;
}

bool
pace_decide(struct pace *p, const struct pace_sample *s, size_t *lowat, size_t *flight)
{
	uint64_t rate = sampled_rate(s);
	size_t least =
	    between((uint64_t)s->mss * PACE_FLIGHT_SEGMENTS, PACE_FLIGHT_MIN, PACE_FLIGHT_MAX);
	uint64_t bytes;

	/*
	 * A rate that we limited says at least that the path can do as much.  Without that a small
	 * bound would stay for ever: what it lets through counts as ours.
	 */
	if (rate == 0 || (s->app_limited && (p->flight == 0 || rate <= p->rate) &&
			     rate * PACE_AHEAD_US / US_PER_S < p->lowat))
		return false;
	smooth(p, rate);
	*lowat = between(p->rate * PACE_AHEAD_US / US_PER_S, PACE_LOWAT_MIN, PACE_LOWAT_MAX);
	bytes = p->rate * 2 * s->rtt_us / US_PER_S + p->rate * PACE_QUEUE_US / US_PER_S;
	*flight = bytes >= PACE_FLIGHT_MAX ? 0 : between(bytes, least, PACE_FLIGHT_MAX);
	return true;
}

static void
set_lowat(struct pace *p, int fd, size_t lowat)
{
	int value = (int)lowat;

	if (is_near(p->lowat, lowat, 4))
		return;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value) == 0)
		p->lowat = lowat;
}

/* Give the decision about the buffer back to the kernel. */
static void
free_flight(struct pace *p, int fd)
{
	int value = PACE_FLIGHT_MAX, unlock = 0;

	/* What fails leaves the buffer as it was: slower on a long path, and correct. */
	IGNORE_RESULT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
	IGNORE_RESULT(setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &unlock, sizeof unlock));
	p->flight = 0;
}

static void
set_flight(struct pace *p, int fd, size_t flight)
{
	/*
	 * The kernel doubles the value, for its own overhead, which is small for the large segments
	 * of bulk.
	 */
	int value = (int)(flight * 5 / 8);

	if (!p->unlock || is_near(p->flight, flight, 8))
		return;
	if (flight == 0)
		free_flight(p, fd);
	else if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value) == 0)
		p->flight = flight;
}

/* What passes in spans that are longer than bursts and the path, and have no pause in them. */
static void
measure(struct pace *p, uint64_t acked, uint32_t rtt_us)
{
	uint64_t now_us = clock_mono_us(), span_us = now_us - p->since_us;

	if (span_us < PACE_SPAN_MIN_US)
		return;
	p->passed = span_us <= PACE_SPAN_MAX_US && span_us >= 2 * (uint64_t)rtt_us
			? (acked - p->acked) * US_PER_S / span_us
			: 0;
	p->acked = acked;
	p->since_us = now_us;
}

static void
look(struct pace *p, int fd)
{
	struct tcp_info info;
	struct pace_sample s;
	socklen_t len = sizeof info;
	size_t lowat, flight;

	memset(&info, 0, sizeof info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return;
	measure(p, info.tcpi_bytes_acked, info.tcpi_min_rtt);
	s = (struct pace_sample){ .rate = info.tcpi_delivery_rate,
		.rtt_us = info.tcpi_min_rtt,
		.mss = info.tcpi_snd_mss,
		.passed = p->passed,
		.app_limited = info.tcpi_delivery_rate_app_limited };
	if (!pace_decide(p, &s, &lowat, &flight))
		return;
	set_lowat(p, fd, lowat);
	set_flight(p, fd, flight);
}

void
pace_wrote(struct pace *p, int fd, uint64_t written)
{
	uint64_t due = PACE_SAMPLE_LOWATS * p->lowat;

	if (!p->shape || written - p->sampled < (due < PACE_SAMPLE_MAX ? due : PACE_SAMPLE_MAX))
		return;
	p->sampled = written;
	look(p, fd);
}

void
pace_init(struct pace *p, int fd, bool shape)
{
	int value = 0;
	socklen_t len = sizeof value;

	memset(p, 0, sizeof *p);
	p->lowat = PACE_LOWAT_START;
	p->unlock = getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &value, &len) == 0;
	value = shape ? PACE_LOWAT_START : PACE_LOWAT_MAX;
	/* Fails for what is no TCP socket, which has no rate to adapt to. */
	p->shape =
	    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value) == 0 && shape;
}
