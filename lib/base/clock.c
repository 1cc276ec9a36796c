/* SPDX-License-Identifier: ISC */
/*
 * clock - the monotonic clock for deadlines, the wall clock for people.
 */
#include "lib/base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

static struct timespec
now(clockid_t id)
{
	struct timespec ts;
	int r = clock_gettime(id, &ts);

	assert(r == 0); /* it fails only for a clock that does not exist */
	return ts;
}

uint64_t
clock_mono_us(void)
{
	struct timespec ts = now(CLOCK_MONOTONIC);

	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t
clock_wall_s(void)
{
	return now(CLOCK_REALTIME).tv_sec;
}

void
clock_wall_iso(char out[CLOCK_ISO_LEN + 1])
{
	struct timespec ts = now(CLOCK_REALTIME);
	struct tm tm;
	size_t n;

	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(out, CLOCK_ISO_LEN + 1, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, CLOCK_ISO_LEN + 1 - n, ".%03uZ", (unsigned)(ts.tv_nsec / 1000000) % 1000);
}
