/* SPDX-License-Identifier: ISC */
/*
 * handclock - the clock and the timers of a loop, turned by the test.
 *
 * Header only, after cmocka.h, as it replaces functions: a test that uses it has in its head
 * comment
 *
 *      * link: -Wl,--wrap=loop_now_ms,--wrap=timer_set,--wrap=timer_cancel,--wrap=timer_fini
 *
 * No timer fires by itself.
 */
#ifndef TEST_UNIT_HANDCLOCK_H
#define TEST_UNIT_HANDCLOCK_H

#include "lib/net/loop.h"

uint64_t __wrap_loop_now_ms(struct loop *l);
void __wrap_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_cancel(struct timer *t);
void __real_timer_cancel(struct timer *t);
void __real_timer_set(struct timer *t, uint64_t ms);
void __wrap_timer_fini(struct timer *t);
void __real_timer_fini(struct timer *t);

enum { HANDCLOCK_TIMERS = 256 };

static struct {
	uint64_t now_ms;
	struct {
		struct timer *t;
		uint64_t due_ms;
	} set[HANDCLOCK_TIMERS];
} handclock = { .now_ms = 1000000 };

uint64_t
__wrap_loop_now_ms(struct loop *l)
{
	(void)l;
	return handclock.now_ms;
}

void
__wrap_timer_cancel(struct timer *t)
{
	for (int i = 0; i < HANDCLOCK_TIMERS; i++)
		if (handclock.set[i].t == t)
			handclock.set[i].t = NULL;
	__real_timer_cancel(t);
}

void
__wrap_timer_set(struct timer *t, uint64_t ms)
{
	int i = 0;

	__wrap_timer_cancel(t);
	while (handclock.set[i].t != NULL)
		assert_true(++i < HANDCLOCK_TIMERS);
	handclock.set[i].t = t;
	handclock.set[i].due_ms = handclock.now_ms + ms;
	/* It is pending, and its time does not come. */
	__real_timer_set(t, 1000000000);
}

void
__wrap_timer_fini(struct timer *t)
{
	if (t->ev != NULL)
		__wrap_timer_cancel(t);
	__real_timer_fini(t);
}

/* handclock_pass - the clock goes on by ms, and what is due meanwhile fires in its order. */
static inline void
handclock_pass(uint64_t ms)
{
	uint64_t until = handclock.now_ms + ms;

	for (;;) {
		struct timer *t;
		int next = -1;

		for (int i = 0; i < HANDCLOCK_TIMERS; i++)
			if (handclock.set[i].t != NULL && handclock.set[i].due_ms <= until &&
			    (next < 0 || handclock.set[i].due_ms < handclock.set[next].due_ms))
				next = i;
		if (next < 0)
			break;
		t = handclock.set[next].t;
		if (handclock.set[next].due_ms > handclock.now_ms)
			handclock.now_ms = handclock.set[next].due_ms;
		__wrap_timer_cancel(t);
		t->fn(t->arg);
	}
	handclock.now_ms = until;
}

#endif
