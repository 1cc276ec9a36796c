/* SPDX-License-Identifier: ISC */
/*
 * pace - how much of what a TCP connection is to carry the kernel is given ahead.
 *
 * What the kernel holds cannot be put in another order any more, so it gets little more than it can
 * send at once:
 *
 *   lowat    bytes that it has and has not sent yet (TCP_NOTSENT_LOWAT): PACE_AHEAD_US of the rate
 *            at which the peer really receives, between PACE_LOWAT_MIN and PACE_LOWAT_MAX.
 *   flight   bytes that are under way (SO_SNDBUF): what the path itself holds, and PACE_QUEUE_US
 *            more; at least PACE_FLIGHT_SEGMENTS of its segments.  The kernel's congestion control
 *            fills the queues of a path with a millisecond or two of bytes in each direction, and
 *            every keystroke waits behind them.  On a fast or a long path the kernel's own tuning
 *            of the buffer goes on: a queue there is short in time, and only the kernel can make
 *            the buffer large enough.
 *
 * A socket that carries a single stream has nothing to put in another order: its lowat stays at
 * PACE_LOWAT_MAX, and the kernel decides about the rest.  Without a lowat the kernel takes up to 4
 * MiB for a reader that has stopped (net.ipv4.tcp_wmem), and 500 such readers look fast until then
 * and take 1.4 GB.
 *
 * The rate is what the kernel measures (struct tcp_info), smoothed: one sample in ten is half or
 * twice the path's, and a bound that followed it would fill the queue or starve the link.  On a
 * short path it is at most what was acknowledged lately: links take what they have not used for a
 * while as a burst (a token bucket), and the kernel measures that as 10 Gbit/s.
 *
 * What it was measured to give (shared/bench/run.py --subjects ours-l --metrics hol,link, a ping
 * beside 4 downloads on a link of 400 Mbit/s; medians of 3 runs by turns on a busy machine):
 *
 *      both     p50 of `link` 9 ms, 74 ms with neither
 *      flight   p50 of `link` 9 ms, 13 ms without
 *
 * Since then (quiet machine; ratios and times of one run each):
 *
 *      lowat of a single stream's socket   test/bench/stalled_readers.py --cases many, the ratio to
 *                                          alone: 0.83, 0.14 without (and FLOW_PROVEN_BYTES)
 *      what passed, not a burst's rate     test/bench/keystroke.py, p99: burst-up 10 ms, 23
 *                                          without; burst-down 6, 16 without
 *      PACE_FLIGHT_SEGMENTS                downloads below half of the usual speed: 0 of 48, 4
 *                                          without
 *
 * What it costs: a few per cent of CPU.  And while other programs leave us little of a CPU a
 * download is slower, 40 to 95 MB/s in place of 70 to 200: what is measured is then our own rate,
 * and the bounds follow it down.
 *
 * Private to lib/net.
 */
#ifndef LIB_PACE_H
#define LIB_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_LOWAT_START (64 * 1024)
/* Less would wake us for every few segments. */
#define PACE_LOWAT_MIN (8 * 1024)
/* One turn of bulk. */
#define PACE_LOWAT_MAX (256 * 1024)
#define PACE_AHEAD_US 250
#define PACE_QUEUE_US 1100
#define PACE_FLIGHT_MIN (32 * 1024)
/* With fewer the peer's delayed acknowledgements (40 ms) are waited for; loopback's are 64 KiB. */
#define PACE_FLIGHT_SEGMENTS 4
/* The usual net.core.wmem_max admits it, and it stays in a CPU's cache. */
#define PACE_FLIGHT_MAX (340 * 1024)
/* Bytes between two samples, in units of lowat: some milliseconds; and at most. */
#define PACE_SAMPLE_LOWATS 8
#define PACE_SAMPLE_MAX (512 * 1024)
/* What was acknowledged in so long says how fast a path is: not a single burst, and no pause. */
#define PACE_SPAN_MIN_US 4000
#define PACE_SPAN_MAX_US 50000

struct pace {
	/* A TCP connection that carries more than a single stream; else nothing below is used. */
	bool shape;
	/* The kernel can be given the decision about its buffer back. */
	bool unlock;
	/* Bytes. */
	size_t lowat;
	/* Bytes; 0: the kernel decides. */
	size_t flight;
	/* Bytes per second: the last three measured, the newest last; and smoothed. */
	uint64_t rates[3], rate;
	/* Of the bytes written, at the last sample. */
	uint64_t sampled;
	/* Where the measured span began: bytes acknowledged, and when. */
	uint64_t acked, since_us;
	/* What passed in the last whole span, bytes per second; 0: it says nothing. */
	uint64_t passed;
};

/* What the kernel has measured. */
struct pace_sample {
	/* Bytes per second. */
	uint64_t rate;
	/* The shortest. */
	uint32_t rtt_us;
	/* Bytes of a segment. */
	uint32_t mss;
	/* What was acknowledged lately, bytes per second; 0: unknown. */
	uint64_t passed;
	/* We had no more to send, and the rate says no more than that. */
	bool app_limited;
};

/*
 * pace_init - for a connected stream socket.  shape: for one that carries more than a single
 * stream.
 */
void pace_init(struct pace *p, int fd, bool shape);

/*
 * pace_wrote - so many bytes in all have been written.  Looks at the connection now and then and
 * sets its bounds.
 */
void pace_wrote(struct pace *p, int fd, uint64_t written);

/*
 * pace_decide - what a sample means.  Returns false if it means nothing, else *lowat and *flight
 * are the bounds that should be (flight 0: the kernel's own tuning).  Touches no socket.
 */
bool pace_decide(struct pace *p, const struct pace_sample *s, size_t *lowat, size_t *flight);

#endif
