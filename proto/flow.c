/* SPDX-License-Identifier: ISC */
/* flow - windows and what they cost. */
#include "proto/flow.h"

#include <string.h>

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
proven_after(uint64_t rtt_us)
{
	return max64(FLOW_PROVEN_US, FLOW_PROVEN_RTTS * rtt_us);
}

/* Bytes from offset off on have moved at now_us. */
static void
run_move(struct flow_run *r, uint64_t off, uint64_t now_us, uint64_t rtt_us)
{
	/* A busy scheduler makes pauses, too: what counts is that bytes go on moving. */
	if (r->last_us == 0 || now_us - r->last_us >= proven_after(rtt_us)) {
		r->since_us = now_us;
		r->from = off;
	}
	r->last_us = now_us;
}

/* Whether they have really moved, up to off, and still do. */
static bool
run_proves(const struct flow_run *r, uint64_t off, uint64_t now_us, uint64_t rtt_us)
{
	uint64_t after = proven_after(rtt_us);

	return r->last_us != 0 && now_us - r->last_us < after && now_us - r->since_us >= after &&
	       off - r->from >= FLOW_PROVEN_BYTES;
}

/* ---- the half from the peer ---- */

static void
in_charge(struct flow_in *f)
{
	uint64_t stand = (f->ended ? f->received : f->limit) - f->consumed;
	uint64_t now = stand > FLOW_FLOOR ? stand - FLOW_FLOOR : 0;

	budget_charge(f->budget, f->charged, now);
	f->charged = now;
}

static uint64_t
first_window(const struct flow_in *f)
{
	uint64_t more = min64(budget_share(f->budget, f->charged, false) / 2, FLOW_FIRST);

	return FLOW_FLOOR + min64(more, f->window_max - FLOW_FLOOR);
}

void
flow_in_init(struct flow_in *f, struct budget *budget, uint64_t window_max, bool endpoint,
    bool told, uint64_t now_us)
{
	memset(f, 0, sizeof *f);
	f->budget = budget;
	f->window_max = max64(window_max, FLOW_FLOOR);
	f->endpoint = endpoint;
	f->mark_us = now_us;
	budget_join(budget);
	f->window = first_window(f);
	f->limit = told ? f->window : FLOW_FLOOR;
	in_charge(f);
}

void
flow_in_fini(struct flow_in *f)
{
	budget_charge(f->budget, f->charged, 0);
	budget_leave(f->budget);
}

bool
flow_in_take(struct flow_in *f, uint64_t n)
{
	if (f->ended || n > f->limit - f->received)
		return false;
	f->received += n;
	return true;
}

/*
 * The window follows the product of bandwidth and delay: a peer that used half of it within two
 * round trips would soon wait for us with the next half.  n: what was passed on just now.
 */
static void
grow(struct flow_in *f, uint64_t n, uint64_t now_us, uint64_t rtt_us)
{
	uint64_t span = max64(FLOW_SPAN_MIN_US, 2 * rtt_us);
	uint64_t backlog = f->received - f->consumed, most;

	if (now_us - f->mark_us > span) {
		/* Too slow, or a pause.  What came now begins a new measurement. */
		f->mark = f->consumed - n;
		f->mark_us = now_us;
	}
	if (f->consumed - f->mark < f->window / 2)
		return;
	/* Bytes that wait for the next hop here would only become a longer queue. */
	if (backlog < f->window / 4 && now_us - f->grown_us >= span / 2) {
		f->grown_us = now_us;
		most = budget_share(
		    f->budget, f->charged, run_proves(&f->run, f->consumed, now_us, rtt_us));
		most = min64(FLOW_FLOOR + most, f->window_max);
		f->window = max64(f->window, min64(max64(2 * f->window, first_window(f)), most));
	}
	f->mark = f->consumed;
	f->mark_us = now_us;
}

void
flow_in_consumed(struct flow_in *f, uint64_t n, uint64_t now_us, uint64_t rtt_us)
{
	run_move(&f->run, f->consumed, now_us, rtt_us);
	f->consumed += n;
	grow(f, n, now_us, rtt_us);
	in_charge(f);
}

void
flow_in_ack(struct flow_in *f, uint64_t off)
{
	off = min64(off, f->received);
	if (off > f->acked)
		f->acked = off;
}

void
flow_in_end(struct flow_in *f)
{
	f->ended = true;
	in_charge(f);
}

bool
flow_in_returned(struct flow_in *f, uint64_t to)
{
	if (f->ended || to < f->received || to > f->limit)
		return false;
	f->limit = to;
	/* What it keeps is all it has, until it sends again. */
	f->window = max64(FLOW_FLOOR, to - f->consumed);
	f->run.last_us = 0;
	f->answer_due = true;
	in_charge(f);
	return true;
}

/* How much further the limit would be if it were said now. */
static uint64_t
limit_news(const struct flow_in *f)
{
	uint64_t limit = f->consumed + f->window;

	return f->ended || limit <= f->limit ? 0 : limit - f->limit;
}

bool
flow_in_due(const struct flow_in *f)
{
	uint64_t quarter = f->window / 4;

	if (f->answer_due || limit_news(f) >= quarter)
		return true;
	return f->acked - f->acked_said >= (f->endpoint ? min64(FLOW_SAY, quarter) : 1);
}

bool
flow_in_has_news(const struct flow_in *f)
{
	return f->acked > f->acked_said;
}

void
flow_in_say(struct flow_in *f, uint64_t *acked, uint64_t *limit, bool *answer)
{
	f->limit += limit_news(f);
	f->acked_said = f->acked;
	*answer = f->answer_due;
	f->answer_due = false;
	in_charge(f);
	*acked = f->acked;
	*limit = f->limit;
}

/* ---- the half towards the peer ---- */

void
flow_out_init(
    struct flow_out *f, struct budget *budget, bool endpoint, uint64_t limit, uint64_t now_us)
{
	memset(f, 0, sizeof *f);
	f->budget = budget;
	f->endpoint = endpoint;
	f->limit = limit;
	f->used_us = now_us;
}

void
flow_out_fini(struct flow_out *f)
{
	budget_charge(f->budget, f->charged, 0);
}

void
flow_out_sent(struct flow_out *f, uint64_t n, uint64_t now_us)
{
	f->sent += n;
	f->used_us = now_us;
}

void
flow_out_kept(struct flow_out *f, uint64_t n)
{
	uint64_t now = f->endpoint && n > FLOW_KEEP ? n - FLOW_KEEP : 0;

	budget_charge(f->budget, f->charged, now);
	f->charged = now;
}

uint64_t
flow_out_may_keep(const struct flow_out *f, uint64_t now_us, uint64_t rtt_us)
{
	bool proven = run_proves(&f->run, f->acked, now_us, rtt_us);

	return FLOW_KEEP + budget_share(f->budget, f->charged, proven);
}

bool
flow_out_window(struct flow_out *f, uint64_t acked, uint64_t limit, bool answer, uint64_t now_us,
    uint64_t rtt_us)
{
	if (acked > f->sent || limit > INT64_MAX || (answer && !f->returning))
		return false;
	if (acked > f->acked) {
		run_move(&f->run, f->acked, now_us, rtt_us);
		f->acked = acked;
	}
	if (answer)
		f->returning = false;
	if (!f->returning && limit > f->limit) {
		f->limit = limit;
		f->used_us = now_us;
	}
	return true;
}

bool
flow_out_is_idle(const struct flow_out *f, uint64_t now_us)
{
	return !f->returning && flow_out_credit(f) > FLOW_FLOOR &&
	       now_us - f->used_us >= FLOW_IDLE_US;
}

uint64_t
flow_out_return(struct flow_out *f)
{
	f->limit = f->sent + FLOW_FLOOR;
	f->returning = true;
	return f->limit;
}
