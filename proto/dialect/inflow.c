/* SPDX-License-Identifier: ISC */
/* inflow - when a peer without windows is read, and which of its streams is too much. */
#include "proto/dialect/inflow.h"

#include <assert.h>

void
inflow_init(struct inflow *f, struct session *s)
{
	*f = (struct inflow){ .s = s, .look_us = UINT64_MAX, .sip_us = UINT64_MAX };
	TAILQ_INIT(&f->holding);
}

void
inflow_stream_init(struct inflow_stream *x, struct budget *budget)
{
	*x = (struct inflow_stream){ .budget = budget, .may = INFLOW_STOP };
	budget_join(budget);
}

static void
tell(const struct inflow *f, bool stop)
{
	const struct session_user *u = f->s->user;

	if (u != NULL && u->stop != NULL)
		u->stop(f->s->arg, stop);
}

static bool
is_paused(const struct inflow *f)
{
	return f->look_us != UINT64_MAX;
}

/* Streams that do not hold too much wait, too. */
static bool
others_wait(const struct inflow *f)
{
	return f->s->n_streams > f->n_over;
}

/* No ping can be under way. */
static bool
is_quiet(const struct inflow *f, uint64_t now_us)
{
	return now_us < f->s->peer_ping_us + INFLOW_QUIET_US;
}

static uint64_t
next_sip(const struct inflow *f, uint64_t now_us)
{
	if (is_quiet(f, now_us))
		return f->s->peer_ping_us + INFLOW_QUIET_US;
	return now_us + (now_us < f->s->peer_ping_us + INFLOW_MUTE_US ? INFLOW_SIP_EACH_US
								      : INFLOW_SIP_MUTE_US);
}

static void
stop(struct inflow *f, uint64_t now_us)
{
	if (is_paused(f))
		return;
	f->since_us = now_us;
	f->look_us = now_us + INFLOW_STALL_US;
	f->sip_us = next_sip(f, now_us);
	tell(f, true);
}

/* So much is read in spite of a pause. */
static void
grant(struct inflow *f, uint64_t n)
{
	uint64_t was = f->sip;

	if (n > was)
		f->sip = n;
	if (was == 0)
		tell(f, false);
}

/* So much of it has come. */
static void
granted_came(struct inflow *f, uint64_t n)
{
	if (f->sip == 0)
		return;
	f->sip -= n < f->sip ? n : f->sip;
	if (f->sip == 0)
		tell(f, true);
}

static void
go_on(struct inflow *f)
{
	if (!is_paused(f) || f->n_over > 0)
		return;
	f->look_us = f->sip_us = UINT64_MAX;
	if (f->sip == 0)
		tell(f, false);
	f->sip = 0;
}

void
inflow_listen(struct inflow *f)
{
	if (is_paused(f))
		grant(f, INFLOW_LISTEN);
}

static void
set_over(struct inflow *f, struct inflow_stream *x, bool over)
{
	if (x->over == over)
		return;
	x->over = over;
	x->moved = 0;
	if (over)
		f->n_over++;
	else
		f->n_over--;
}

static void
set_held(struct inflow *f, struct inflow_stream *x, uint64_t held)
{
	if (x->held == 0 && held > 0)
		TAILQ_INSERT_TAIL(&f->holding, x, link);
	if (x->held > 0 && held == 0)
		TAILQ_REMOVE(&f->holding, x, link);
	budget_charge(x->budget, x->held, held);
	x->held = held;
}

void
inflow_stream_fini(struct inflow *f, struct inflow_stream *x)
{
	set_held(f, x, 0);
	set_over(f, x, false);
	budget_leave(x->budget);
	go_on(f);
}

struct inflow_stream *
inflow_fullest(struct inflow *f, const struct budget *b)
{
	struct inflow_stream *x, *most = NULL;

	if (!budget_is_over(b))
		return NULL;
	TAILQ_FOREACH (x, &f->holding, link)
		if (x->budget == b && x->held > INFLOW_FLOOR &&
		    (most == NULL || x->held > most->held))
			most = x;
	return most;
}

/* One that was allowed more has that, whatever the budget gives. */
static uint64_t
may_hold(const struct inflow_stream *x)
{
	uint64_t share = INFLOW_FLOOR + budget_share(x->budget, x->held, false);

	return x->may > INFLOW_STOP || x->may < share ? x->may : share;
}

struct inflow_stream *
inflow_came(struct inflow *f, struct inflow_stream *x, size_t n, uint64_t now_us)
{
	if (n == 0)
		return NULL;
	set_held(f, x, x->held + n);
	granted_came(f, n);
	if (x->held > may_hold(x)) {
		set_over(f, x, true);
		stop(f, now_us);
	}
	return inflow_fullest(f, x->budget);
}

void
inflow_taken(struct inflow *f, struct inflow_stream *x, size_t n)
{
	assert(n <= x->held);
	set_held(f, x, x->held - n);
	x->moved += n;
	if (x->held <= may_hold(x) / 2)
		set_over(f, x, false);
	if (x->held <= INFLOW_STOP / 2)
		x->may = INFLOW_STOP;
	go_on(f);
}

/* It may hold more from now on, if nobody is to wait for it any longer. */
static void
look_at(struct inflow *f, struct inflow_stream *x, bool at_last)
{
	bool stalled = x->moved < INFLOW_MOVES;

	x->moved = 0;
	if (!stalled && !at_last)
		return;
	x->may = x->held + (stalled && x->held > INFLOW_STOP ? x->held : INFLOW_STOP);
	set_over(f, x, false);
}

static void
look(struct inflow *f, uint64_t now_us)
{
	bool at_last = now_us >= f->since_us + INFLOW_PAUSE_US;
	struct inflow_stream *x;

	f->look_us = now_us + INFLOW_STALL_US;
	TAILQ_FOREACH (x, &f->holding, link)
		if (x->over && others_wait(f))
			look_at(f, x, at_last);
	go_on(f);
}

static void
sip(struct inflow *f, uint64_t now_us)
{
	f->sip_us = next_sip(f, now_us);
	if (!is_quiet(f, now_us))
		grant(f, INFLOW_SIP);
}

void
inflow_tick(struct inflow *f, uint64_t now_us)
{
	if (now_us >= f->look_us)
		look(f, now_us);
	if (now_us >= f->sip_us)
		sip(f, now_us);
}
