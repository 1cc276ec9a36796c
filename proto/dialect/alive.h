/* SPDX-License-Identifier: ISC */
/*
 * alive - signs of life from a peer whose protocol has none that can be asked for: the carrier's
 * pings (session_user.ping), and how long may go without an answer.
 *
 * Embedded in its session.  Pure: time is an argument.
 */
#ifndef PROTO_DIALECT_ALIVE_H
#define PROTO_DIALECT_ALIVE_H

#include "proto/mux.h"
#include "proto/session.h"

struct alive {
	uint64_t interval_us, pinged_us;
	/* A ping behind what was said last. */
	bool ask_due;
};

static inline void
alive_init(struct alive *a, const struct mux_config *cfg, uint64_t now_us)
{
	*a = (struct alive){ .interval_us = (uint64_t)cfg->keepalive_ms * 1000,
		.pinged_us = now_us };
}

/* Nothing was heard for so long; silence of a peer that is not read means nothing. */
static inline uint64_t
alive_dead_us(const struct alive *a, const struct session *s)
{
	return s->unread ? UINT64_MAX : s->heard_us + MUX_KEEPALIVE_MISSES * a->interval_us;
}

static inline uint64_t
alive_ping_us(const struct alive *a, const struct session *s)
{
	return (a->pinged_us > s->heard_us ? a->pinged_us : s->heard_us) + a->interval_us;
}

static inline uint64_t
alive_deadline_us(const struct alive *a, const struct session *s)
{
	uint64_t dead = alive_dead_us(a, s), ping = alive_ping_us(a, s);

	return dead < ping ? dead : ping;
}

/* alive_ask - at once; fits session_ops.ping. */
static inline void
alive_ask(struct session *s)
{
	if (s->user == NULL || s->user->ping == NULL)
		return;
	s->pings++;
	s->user->ping(s->arg);
}

/*
 * What was said must have been received before something else is done: alive_mark gives the number
 * of a ping behind it, which goes with the next output (alive_ask_due); alive_passed says whether
 * that has been answered.
 */
static inline uint32_t
alive_mark(struct alive *a, const struct session *s)
{
	a->ask_due = true;
	return s->pings + 1;
}

/* Called when all that was said before has left. */
static inline void
alive_ask_due(struct alive *a, struct session *s)
{
	if (a->ask_due)
		alive_ask(s);
	a->ask_due = false;
}

static inline bool
alive_passed(const struct session *s, uint32_t mark)
{
	return s->ponged - mark < UINT32_MAX / 2;
}

/* alive_tick - ERR_TIMEOUT: the peer is dead. */
static inline int WARN_UNUSED
alive_tick(struct alive *a, struct session *s, uint64_t now_us, struct errtext *why)
{
	if (now_us >= alive_dead_us(a, s))
		return err_set(why, ERR_TIMEOUT, "nothing heard for %llu s",
		    (unsigned long long)(now_us - s->heard_us) / 1000000);
	if (now_us >= alive_ping_us(a, s)) {
		a->pinged_us = now_us;
		alive_ask(s);
	}
	return 0;
}

#endif
