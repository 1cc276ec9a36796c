/* SPDX-License-Identifier: ISC */
/* front - one visitor's connection to a web listener.  Copies of payload: 0. */
#include "cmd/relay/ingress/front.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/relay/account.h"
#include "cmd/relay/ingress/answers.h"
#include "cmd/relay/ingress/door.h"
#include "cmd/relay/ingress/exchange.h"
#include "cmd/relay/move.h"
#include "cmd/relay/origin.h"
#include "lib/base/mem.h"
#include "lib/http/http.h"
#include "lib/net/f_sock.h"
#include "lib/net/sockopt.h"
#include "lib/tls/f_tls.h"

/* Of --max-idle the part that one address may have. */
#define PLACES_PART 4

enum front_state {
	/* The TLS handshake, and a head. */
	FRONT_HEAD,
	/* An answer is through, and nothing has come since. */
	FRONT_IDLE,
	/* On its way to the worker of its request. */
	FRONT_MOVING,
	FRONT_CARRIED,
	/* The last answer is through: the rest of its request is read past. */
	FRONT_ENDING,
	FRONT_OVER,
	FRONT_STATES
};

static const char *const state_name[] = { "head", "idle", "moving", "carried", "ending", "over" };

/* From the row's state to the column's. */
static const bool state_can[FRONT_STATES][FRONT_STATES] = {
	[FRONT_HEAD] = { [FRONT_MOVING] = true,
	    [FRONT_CARRIED] = true,
	    [FRONT_ENDING] = true,
	    [FRONT_OVER] = true },
	[FRONT_IDLE] = { [FRONT_HEAD] = true, [FRONT_OVER] = true },
	[FRONT_MOVING] = { [FRONT_CARRIED] = true, [FRONT_OVER] = true },
	[FRONT_CARRIED] = { [FRONT_IDLE] = true, [FRONT_ENDING] = true, [FRONT_OVER] = true },
	[FRONT_ENDING] = { [FRONT_OVER] = true },
};

struct front {
	/* Of its place; the first member. */
	struct gate_owner owner;
	struct worker *w;
	enum front_state state;
	/* NULL: a tunnel has it. */
	struct filter *f;
	/* While one is being read. */
	struct http_head *head;
	/* Of FRONT_MOVING and FRONT_CARRIED. */
	struct exchange *x;
	/* NULL while a request is carried. */
	struct gate_place *place;
	/* The other end, told by its proxy or the kernel, and ours. */
	struct addr from, to;
	bool tls;
	/* The visitor sends no more. */
	bool eof;
	/* Of FRONT_ENDING: bytes read past. */
	size_t past;
	/* When something is due, UINT64_MAX: never; and what the timer is set to, 0: it is not. */
	uint64_t due_ms, armed_ms;
	struct timer timer;
	/* Requests that have come already are taken one in a turn. */
	struct task next;
	struct move move;
	TAILQ_ENTRY(front) link;
	struct grave grave;
};

static void
set_state(struct front *fr, enum front_state next)
{
	assert(state_can[fr->state][next]);
	log_debug("visitor's connection %p: %s -> %s", (void *)fr, state_name[fr->state],
	    state_name[next]);
	fr->state = next;
}

static const struct relay_opts *
opts(const struct front *fr)
{
	return &fr->w->relay->opts;
}

/* A line about it counts among those of its address. */
__attribute__((format(printf, 3, 4))) static void
log_front(const struct front *fr, enum log_level level, const char *fmt, ...)
{
	struct door_pass pass = { 0 };
	char from[ADDR_TEXT];
	va_list ap;

	if (!door_known(&pass, fr->w, &fr->from))
		return;
	va_start(ap, fmt);
	log_limited_about(account_log(pass.account), loop_now_ms(fr->w->loop), level, "visitor",
	    addr_text(&fr->from, from), fmt, ap);
	va_end(ap);
	door_leave(&pass, fr->w);
}

/* ---- time ---- */

/*
 * The timer is not moved for something later, but looks again when it is over: most requests come
 * and go without touching it.
 */
static void
set_due(struct front *fr, uint64_t at_ms)
{
	uint64_t now = loop_now_ms(fr->w->loop);

	fr->due_ms = at_ms;
	if (at_ms == UINT64_MAX || (fr->armed_ms != 0 && fr->armed_ms <= at_ms))
		return;
	timer_set(&fr->timer, at_ms > now ? at_ms - now : 0);
	fr->armed_ms = at_ms;
}

static void
set_due_in(struct front *fr, uint64_t ms)
{
	set_due(fr, loop_now_ms(fr->w->loop) + ms);
}

/* ---- the end ---- */

static void
front_dispose(void *arg)
{
	mem_free(arg);
}

static void
front_free(struct front *fr)
{
	struct relay *r = fr->w->relay;

	if (fr->state == FRONT_OVER)
		return;
	set_state(fr, FRONT_OVER);
	move_cancel(&fr->move);
	task_cancel(fr->w->loop, &fr->next);
	timer_fini(&fr->timer);
	http_head_free(fr->head);
	exchange_free(fr->x);
	filter_free(fr->f);
	TAILQ_REMOVE(&fr->w->fronts, fr, link);
	gate_leave(r->fronts, fr->place);
	loop_bury(fr->w->loop, &fr->grave, front_dispose, fr);
}

/* In good order: what was written arrives. */
static void
front_close(struct front *fr)
{
	if (fr->f != NULL)
		filter_shutdown(fr->f);
	front_free(fr);
}

static void
read_past(struct front *fr)
{
	fr->past += fr->f->in.len;
	bufq_drain(&fr->f->in, fr->f->in.len);
	if (fr->past > FRONT_PAST_MAX || fr->eof)
		front_close(fr);
}

/*
 * The visitor may still be sending: a connection that is closed on it would be reset, and the reset
 * would overtake the answer.  So our direction is closed first (RFC 9112 9.6).
 */
static void
begin_ending(struct front *fr)
{
	set_state(fr, FRONT_ENDING);
	http_head_free(fr->head);
	fr->head = NULL;
	filter_shutdown(fr->f);
	if (fr->state == FRONT_OVER)
		return;
	set_due_in(fr, FRONT_PAST_MS);
	filter_pause(fr->f, false);
	read_past(fr);
}

/* ---- places ---- */

static void
who_is(const struct front *fr, struct gate_who *who)
{
	origin_who(fr->w->relay, &fr->from, who);
	/* It came long ago. */
	who->any_rate = true;
}

/* It waits for the visitor from now on.  false: it has ended, for want of a place. */
static bool
take_place(struct front *fr)
{
	struct gate *g = fr->w->relay->fronts;
	struct gate_who who;

	if (fr->place != NULL)
		return true;
	who_is(fr, &who);
	if (gate_enter(g, &who, fr->w->index, loop_now_ms(fr->w->loop), &fr->place) == GATE_IN &&
	    gate_claim(g, fr->place, &fr->owner))
		return true;
	front_close(fr);
	return false;
}

static void
leave_place(struct front *fr)
{
	gate_leave(fr->w->relay->fronts, fr->place);
	fr->place = NULL;
}

static void
front_evicted(struct gate_owner *o)
{
	struct front *fr = (struct front *)o;

	log_front(fr, LOG_LEVEL_INFO, "dropped to make room for others (--max-idle): %s",
	    state_name[fr->state]);
	front_free(fr);
}

struct gate *
fronts_gate(struct relay *r, int n_workers)
{
	struct gate_limits limits;

	origin_limits(&r->opts, &limits);
	limits.places = r->opts.max_idle;
	limits.places_of_one = r->opts.max_idle / PLACES_PART;
	if (limits.places_of_one == 0)
		limits.places_of_one = 1;
	return origin_gate(r, &limits, n_workers);
}

/* ---- requests ---- */

static void read_head(struct front *fr);

static void
on_due(void *arg, uint64_t at_ms)
{
	struct front *fr = arg;

	if (at_ms < fr->due_ms)
		set_due(fr, at_ms);
}

static void
on_taken(void *arg)
{
	struct front *fr = arg;

	fr->f = NULL;
}

/* The next request, if it is there; else the connection is idle. */
static void
go_on(struct front *fr)
{
	set_state(fr, FRONT_IDLE);
	if (atomic_load(&fr->w->relay->draining) || (fr->eof && fr->f->in.len == 0)) {
		front_close(fr);
		return;
	}
	if (fr->f->in.len > 0) {
		task_later(fr->w->loop, &fr->next);
		return;
	}
	if (!take_place(fr))
		return;
	set_due_in(fr, opts(fr)->idle_ms);
	filter_pause(fr->f, false);
}

static void
on_next(void *arg)
{
	struct front *fr = arg;

	/* Answers that nobody takes must not pile up. */
	if (filter_room(fr->f) > 0) {
		read_head(fr);
		return;
	}
	if (take_place(fr))
		set_due_in(fr, opts(fr)->idle_ms);
}

static void
on_done(void *arg, enum exchange_end end)
{
	struct front *fr = arg;

	exchange_free(fr->x);
	fr->x = NULL;
	fr->due_ms = UINT64_MAX;
	switch (end) {
	case EXCHANGE_KEEP:
		go_on(fr);
		break;
	case EXCHANGE_EARLY:
		begin_ending(fr);
		break;
	case EXCHANGE_CUT:
		filter_reset(fr->f, true);
		front_free(fr);
		break;
	case EXCHANGE_LAST:
	case EXCHANGE_TAKEN:
		front_close(fr);
		break;
	}
}

static const struct exchange_user exchange_user = { on_due, on_taken, on_done };

static void
carry(struct front *fr)
{
	set_state(fr, FRONT_CARRIED);
	fr->due_ms = UINT64_MAX;
	exchange_begin(fr->x);
	/* It may have ended on the way. */
	if (fr->eof && fr->state == FRONT_CARRIED)
		exchange_ended(fr->x);
}

/* The head is done. */
static void
begin_request(struct front *fr)
{
	const struct exchange_from from = { fr->f, &fr->from, &fr->to, fr->tls, &exchange_user,
		fr };
	struct worker *to;

	leave_place(fr);
	fr->x = exchange_new(fr->w, fr->head, &from);
	if (fr->x == NULL) {
		log_front(fr, LOG_LEVEL_WARN, "dropped: out of memory");
		front_free(fr);
		return;
	}
	fr->head = NULL;
	to = exchange_worker(fr->x, fr->w);
	if (to == fr->w) {
		carry(fr);
		return;
	}
	set_state(fr, FRONT_MOVING);
	fr->due_ms = UINT64_MAX;
	move_start(&fr->move, fr->w, to);
}

/* What cannot be read is answered, and is the last. */
static void
answer_bad_head(struct front *fr, int status, const char *text, const char *why)
{
	struct answer a = { .status = status, .text = text, .request_id = "" };
	bool written;

	log_front(fr, LOG_LEVEL_INFO, "%d: %s", status, why);
	written = answer_send(fr->w->relay, fr->f, &a, fr->head) == 0;
	if (fr->state == FRONT_OVER)
		return;
	if (written)
		begin_ending(fr);
	else
		front_free(fr);
}

static void
refuse_head(struct front *fr, const char *why)
{
	int status = http_refusal(fr->head);

	answer_bad_head(fr, status,
	    status == 431   ? "the head of the request is too large"
	    : status == 501 ? "the method is not known"
	    : status == 505 ? "the version of HTTP is not known"
			    : "the request is malformed",
	    why);
}

static void
read_head(struct front *fr)
{
	bool was_idle = fr->state == FRONT_IDLE;
	struct errtext why = { "" };
	int r;

	if (was_idle)
		set_state(fr, FRONT_HEAD);
	if (fr->head == NULL) {
		fr->head = http_head_new(HTTP_HEAD_REQUEST);
		if (fr->head == NULL) {
			front_free(fr);
			return;
		}
		/* Of the first one the time runs from the connection on. */
		if (was_idle)
			set_due_in(fr, opts(fr)->head_ms);
	}
	r = http_head_take(fr->head, &fr->f->in, &why);
	if (r != 0)
		refuse_head(fr, why.s);
	else if (http_head_is_done(fr->head))
		begin_request(fr);
	else if (fr->eof)
		front_close(fr);
	else if (take_place(fr))
		filter_pause(fr->f, false);
}

/* ---- between workers ---- */

static void
on_leave(void *arg)
{
	struct front *fr = arg;

	filter_detach(fr->f);
	timer_fini(&fr->timer);
	fr->armed_ms = 0;
	TAILQ_REMOVE(&fr->w->fronts, fr, link);
}

static void
come_to(struct front *fr, struct worker *w)
{
	fr->w = w;
	TAILQ_INSERT_TAIL(&w->fronts, fr, link);
	exchange_move(fr->x, w);
}

static void on_timer(void *arg);

static void
on_arrive(void *arg, struct worker *w)
{
	struct front *fr = arg;

	come_to(fr, w);
	if (timer_init(&fr->timer, w->loop, on_timer, fr) != 0 ||
	    filter_attach(fr->f, w->loop) != 0) {
		log_front(fr, LOG_LEVEL_WARN, "dropped: out of memory");
		front_free(fr);
		return;
	}
	carry(fr);
}

static void
on_move_lost(void *arg, struct worker *w)
{
	struct front *fr = arg;

	come_to(fr, w);
	front_free(fr);
}

static const struct move_user move_user = { on_leave, on_arrive, on_move_lost };

/* ---- the filter's calls ---- */

static void
on_readable(void *arg)
{
	struct front *fr = arg;

	switch (fr->state) {
	case FRONT_HEAD:
		read_head(fr);
		break;
	case FRONT_IDLE:
		/* Else on_next is on its way, or waits for room. */
		if (fr->place != NULL && filter_room(fr->f) > 0)
			read_head(fr);
		break;
	case FRONT_CARRIED:
		exchange_readable(fr->x);
		break;
	case FRONT_ENDING:
		read_past(fr);
		break;
	default:
		break;
	}
}

static void
on_writable(void *arg)
{
	struct front *fr = arg;

	if (fr->state == FRONT_CARRIED)
		exchange_writable(fr->x);
	else if (fr->state == FRONT_IDLE && fr->f->in.len > 0)
		task_later(fr->w->loop, &fr->next);
}

static void
on_eof(struct front *fr)
{
	fr->eof = true;
	if (fr->state == FRONT_CARRIED)
		exchange_ended(fr->x);
	else if (fr->state == FRONT_ENDING || (fr->state != FRONT_MOVING && fr->f->in.len == 0))
		front_close(fr);
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct front *fr = arg;

	if (err == ERR_EOF) {
		on_eof(fr);
		return;
	}
	if (fr->state == FRONT_CARRIED)
		exchange_lost(fr->x, "the visitor has gone");
	log_debug("visitor's connection %p: %s", (void *)fr, text[0] != '\0' ? text : err_str(err));
	front_free(fr);
}

static const struct filter_user filter_user = { on_readable, on_writable, on_closed };

/* ---- time that is over ---- */

static void
head_is_late(struct front *fr)
{
	if (fr->head == NULL) {
		log_front(fr, LOG_LEVEL_INFO, "closed: no request within --head-timeout");
		front_close(fr);
		return;
	}
	answer_bad_head(fr, 408, "the head of the request does not come",
	    "no whole head within --head-timeout");
}

static void
on_timer(void *arg)
{
	struct front *fr = arg;
	uint64_t now = loop_now_ms(fr->w->loop);

	fr->armed_ms = 0;
	if (now < fr->due_ms) {
		set_due(fr, fr->due_ms);
		return;
	}
	fr->due_ms = UINT64_MAX;
	switch (fr->state) {
	case FRONT_HEAD:
		head_is_late(fr);
		break;
	case FRONT_IDLE:
		log_front(fr, LOG_LEVEL_INFO, "closed: idle for --idle-timeout");
		front_close(fr);
		break;
	case FRONT_CARRIED:
		exchange_tick(fr->x, now);
		break;
	case FRONT_ENDING:
		front_close(fr);
		break;
	default:
		break;
	}
}

/* ---- life ---- */

static struct front *
front_new(struct worker *w, const struct addr *from, const struct addr *to, bool tls)
{
	struct front *fr = mem_zalloc(sizeof *fr);

	if (fr == NULL || timer_init(&fr->timer, w->loop, on_timer, fr) != 0) {
		log_warnx("a visitor's connection is dropped: out of memory");
		mem_free(fr);
		return NULL;
	}
	fr->owner.evict = front_evicted;
	fr->w = w;
	fr->from = *from;
	fr->to = *to;
	fr->tls = tls;
	fr->due_ms = UINT64_MAX;
	task_init(&fr->next, on_next, fr);
	move_init(&fr->move, &move_user, fr);
	fr->state = FRONT_HEAD;
	TAILQ_INSERT_TAIL(&w->fronts, fr, link);
	return fr;
}

/* From here on the filter has the socket; fd is -1 then. */
static int
build_stack(struct front *fr, int *fd)
{
	struct filter *f = f_sock_new(fr->w->loop, *fd, false);

	if (f == NULL)
		return ERR_NOMEM;
	*fd = -1;
	fr->f = f;
	if (fr->tls) {
		f = f_tls_server(f, fr->w->loop, fr->w->relay->tls);
		if (f == NULL)
			return ERR_NOMEM;
		fr->f = f;
	}
	filter_set_user(fr->f, &filter_user, fr);
	return 0;
}

void
front_start(struct worker *w, int fd, const struct addr *from, const struct addr *to, bool tls,
    struct gate_place *place)
{
	struct front *fr = front_new(w, from, to, tls);

	if (fr == NULL) {
		gate_leave(w->relay->fronts, place);
		close(fd);
		return;
	}
	fr->place = place;
	/* A visitor who vanished must not have a place for ever. */
	sockopt_keepalive(fd);
	if (!gate_claim(w->relay->fronts, place, &fr->owner)) {
		front_free(fr);
	} else if (build_stack(fr, &fd) != 0) {
		log_warnx("a visitor's connection is dropped: out of memory");
		front_free(fr);
	} else {
		set_due_in(fr, opts(fr)->head_ms);
	}
	if (fd >= 0)
		close(fd);
}

void
front_adopt(struct worker *w, struct filter *f, struct http_head *head, const struct addr *from,
    const struct addr *to, bool tls)
{
	struct front *fr = front_new(w, from, to, tls);

	if (fr == NULL) {
		http_head_free(head);
		filter_free(f);
		return;
	}
	fr->f = f;
	fr->head = head;
	filter_set_user(f, &filter_user, fr);
	begin_request(fr);
}

void
fronts_drain(struct worker *w)
{
	struct front *fr, *next;

	for (fr = TAILQ_FIRST(&w->fronts); fr != NULL; fr = next) {
		next = TAILQ_NEXT(fr, link);
		if (fr->state == FRONT_IDLE)
			front_close(fr);
	}
}

void
front_drop_all(struct worker *w)
{
	struct front *fr;

	while ((fr = TAILQ_FIRST(&w->fronts)) != NULL) {
		/* An answer that has begun must not look whole. */
		if (fr->state == FRONT_CARRIED && fr->f != NULL)
			filter_reset(fr->f, true);
		front_free(fr);
	}
}
