/* SPDX-License-Identifier: ISC */
/*
 * memfilter - two filters joined in memory: what one side writes the other reads, from the loop.
 *
 * Bytes are copied on the way, as a socket would, so that what one side retains the other may
 * change.  Everything happens in tasks of the loop, and mem_settle() turns it until nothing moves
 * any more: no clock, no descriptors.
 */
#ifndef TEST_UNIT_MEMFILTER_H
#define TEST_UNIT_MEMFILTER_H

#include "lib/net/filter.h"

/*
 * memfilter_pair - a new pair; false: out of memory.  Each end is freed by itself, which is an end
 * of file for the other.
 */
bool memfilter_pair(struct loop *l, struct filter *ends[2]);

/* memfilter_set_chunk - deliver what f writes n bytes at a time (0: all at once). */
void memfilter_set_chunk(struct filter *f, size_t n);

/*
 * memfilter_stall - deliver nothing of what f writes, and give it no room, until stall is false
 * again.
 */
void memfilter_stall(struct filter *f, bool stall);

/*
 * memfilter_cut - the connection breaks: the other end sees closed(ERR_CLOSED) and what was not
 * delivered is lost.
 */
void memfilter_cut(struct filter *f);

/* memfilter_refuse_attach - the next filter_attach() of f fails. */
void memfilter_refuse_attach(struct filter *f);

/* mem_settle - run the loop until no bytes have moved for a while. */
void mem_settle(struct loop *l);

/* A user that collects in f->in and notes what it was told. */
struct sink {
	int n_readable, n_writable, n_closed;
	/* of the last closed */
	int err;
	char text[256];
};
extern const struct filter_user sink_user; /* arg: struct sink */

#endif
