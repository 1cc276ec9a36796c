/* SPDX-License-Identifier: ISC */
/* loop - one thread's reactor on libevent. */
#include "lib/net/loop.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/net/buf.h"

/* Indices of the lists of tasks; a task's state is 0 when idle, else 1 + the index of its list. */
enum { TASK_IDLE = 0 };
enum { TASK_SOON, TASK_LATER, TASK_LISTS = TASK_LATER + 2 };

enum {
	/* Bytes freed after which it is looked whether the load has gone. */
	REST_MIN = 4 * 1024 * 1024,
	/* It has when in so long no more than this part of the busiest time was freed. */
	REST_MS = 2000,
	REST_PART = 16
};

TAILQ_HEAD(task_list, task);

STAILQ_HEAD(message_list, loop_message);
TAILQ_HEAD(orphan_list, orphan);

struct loop {
	struct event_base *base;
	struct task_list tasks[TASK_LISTS];
	/* which of the two later lists takes new tasks */
	int later_now;
	struct grave *graves;
	/* the oldest first */
	struct orphan_list orphans;
	unsigned n_orphans;
	uint64_t turn;
	/* 0: not read in this turn */
	uint64_t now_us;
	atomic_bool stop;
	/* of log lines that were left out */
	struct timer tell;
	/*
	 * Looks whether the load has gone; mem_freed() as of its last look, and the most between
	 * two.
	 */
	struct timer rest;
	uint64_t freed, most_freed;
	struct loop_part resolver;

	/* eventfd: messages or stop */
	int wake_fd;
	struct event *wake;
	/* guards inbox only; nothing else is taken while it is held */
	pthread_mutex_t lock;
	struct message_list inbox;
};

static void
wake_up(struct loop *l)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then the loop is awake anyway. */
	IGNORE_RESULT(write(l->wake_fd, &one, sizeof one));
}

/* One that was sent may be sent again in fn, or go with its sender. */
static void
run_message(struct loop_message *m)
{
	bool posted = m->posted;

	m->fn(m->arg);
	if (posted)
		mem_free(m);
}

/* Runs at most LOOP_POST_TURN messages, so that a flood of them cannot hold the descriptors up. */
static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	uint64_t n;
	bool more = true;

	(void)what;
	IGNORE_RESULT(
	    read(fd, &n, sizeof n)); /* level-triggered: an empty read only costs a turn */
	for (int i = 0; i < LOOP_POST_TURN && more; i++) {
		struct loop_message *m;

		pthread_mutex_lock(&l->lock);
		m = STAILQ_FIRST(&l->inbox);
		if (m != NULL)
			STAILQ_REMOVE_HEAD(&l->inbox, link);
		more = !STAILQ_EMPTY(&l->inbox);
		pthread_mutex_unlock(&l->lock);
		if (m == NULL)
			return;
		run_message(m);
	}
	if (more)
		wake_up(l);
}

/* What libevent has to say is a line of the log like any other. */
static void
on_library_log(int severity, const char *msg)
{
	if (severity >= EVENT_LOG_WARN)
		log_warnx("libevent: %s", msg);
	else
		log_debug("libevent: %s", msg);
}

static void
take_library_log(void)
{
	event_set_log_callback(on_library_log);
}

static void
on_tell(void *arg)
{
	struct loop *l = arg;

	log_limits_tell(loop_now_ms(l));
}

static void
on_rest(void *arg)
{
	struct loop *l = arg;
	uint64_t now = mem_freed() - l->freed;

	l->freed = mem_freed();
	if (now > l->most_freed / REST_PART) {
		l->most_freed = now > l->most_freed ? now : l->most_freed;
		timer_set(&l->rest, REST_MS);
		return;
	}
	l->most_freed = 0;
	buf_pool_free();
	mem_trim();
	log_debug("loop: free memory is given back");
}

struct loop *
loop_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct loop *l = mem_zalloc(sizeof *l);
	struct event_config *cfg = event_config_new();

	pthread_once(&once, take_library_log);
	if (l != NULL)
		l->wake_fd = -1;
	if (l == NULL || cfg == NULL)
		goto fail;
	for (int i = 0; i < TASK_LISTS; i++)
		TAILQ_INIT(&l->tasks[i]);
	STAILQ_INIT(&l->inbox);
	TAILQ_INIT(&l->orphans);
	/*
	 * One thread uses the base; the precise timer is cheap with epoll and keeps keepalives
	 * true.
	 */
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	l->base = event_base_new_with_config(cfg);
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->base == NULL || l->wake_fd < 0)
		goto fail;
	l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
	if (l->wake == NULL || event_add(l->wake, NULL) != 0 ||
	    timer_init(&l->tell, l, on_tell, l) != 0 || timer_init(&l->rest, l, on_rest, l) != 0)
		goto fail;
	if (pthread_mutex_init(&l->lock, NULL) != 0)
		goto fail;
	event_config_free(cfg);
	return l;
fail:
	if (cfg != NULL)
		event_config_free(cfg);
	if (l != NULL) {
		timer_fini(&l->tell);
		timer_fini(&l->rest);
		if (l->wake != NULL)
			event_free(l->wake);
		if (l->base != NULL)
			event_base_free(l->base);
		if (l->wake_fd >= 0)
			close(l->wake_fd);
		mem_free(l);
	}
	return NULL;
}

static void
run_graves(struct loop *l)
{
	while (l->graves != NULL) {
		struct grave *g = l->graves;

		l->graves = g->next;
		g->fn(g->arg);
	}
}

void
loop_free(struct loop *l)
{
	struct orphan *o;
	struct loop_message *m;

	if (l == NULL)
		return;
	while ((m = STAILQ_FIRST(&l->inbox)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->inbox, link);
		if (m->drop != NULL)
			m->drop(m->arg);
		if (m->posted)
			mem_free(m);
	}
	/* What was dropped may have left some. */
	while ((o = TAILQ_FIRST(&l->orphans)) != NULL)
		o->end(o->arg);
	if (l->resolver.obj != NULL)
		l->resolver.end(l->resolver.obj);
	run_graves(l);
	timer_fini(&l->tell);
	timer_fini(&l->rest);
	event_free(l->wake);
	event_base_free(l->base);
	close(l->wake_fd);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

static void
run_list(struct task_list *list)
{
	struct task *t;

	while ((t = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, t, link);
		t->state = TASK_IDLE;
		t->fn(t->arg);
	}
}

/*
 * One turn after its events: first what the last turn left for this one (sockets that used up their
 * budget), then the flushes that all of it has asked for, then the dead.  What is queued for later
 * meanwhile lands in the other list and waits for the next turn.
 */
static void
run_tasks(struct loop *l)
{
	int due = l->later_now;

	l->later_now ^= 1;
	run_list(&l->tasks[TASK_LATER + due]);
	run_list(&l->tasks[TASK_SOON]);
	run_graves(l);
	l->turn++;
}

static bool
has_work(const struct loop *l)
{
	return !TAILQ_EMPTY(&l->tasks[TASK_SOON]) ||
	       !TAILQ_EMPTY(&l->tasks[TASK_LATER + l->later_now]) || l->graves != NULL;
}

int
loop_run(struct loop *l)
{
	while (!atomic_load_explicit(&l->stop, memory_order_relaxed)) {
		l->now_us = 0;
		if (event_base_loop(l->base, EVLOOP_ONCE | (has_work(l) ? EVLOOP_NONBLOCK : 0)) < 0)
			return ERR_SYS;
		run_tasks(l);
		if (log_limits_waiting() && !timer_pending(&l->tell))
			timer_set(&l->tell, LOG_LIMIT_MS);
		if (mem_freed() - l->freed >= REST_MIN && !timer_pending(&l->rest))
			timer_set(&l->rest, REST_MS);
	}
	atomic_store_explicit(&l->stop, false, memory_order_relaxed); /* it may run again */
	return 0;
}

void
loop_settle(struct loop *l)
{
	run_tasks(l);
}

void
loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->stop, true, memory_order_relaxed);
	wake_up(l);
}

uint64_t
loop_turn(const struct loop *l)
{
	return l->turn;
}

uint64_t
loop_now_us(struct loop *l)
{
	/* Read at most once a turn, and only in a turn that asks. */
	if (l->now_us == 0)
		l->now_us = clock_mono_us();
	return l->now_us;
}

uint64_t
loop_now_ms(struct loop *l)
{
	return loop_now_us(l) / 1000;
}

struct loop_part *
loop_resolver(struct loop *l)
{
	return &l->resolver;
}

int
loop_post(struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
	struct loop_message *m = mem_alloc(sizeof *m);

	if (m == NULL)
		return ERR_NOMEM;
	*m = (struct loop_message){ .fn = fn, .drop = drop, .arg = arg, .posted = true };
	loop_send(l, m);
	return 0;
}

void
loop_send(struct loop *l, struct loop_message *m)
{
	bool first;

	pthread_mutex_lock(&l->lock);
	first = STAILQ_EMPTY(&l->inbox);
	STAILQ_INSERT_TAIL(&l->inbox, m, link);
	pthread_mutex_unlock(&l->lock);
	if (first)
		wake_up(l);
}

void
loop_recall(struct loop *l, struct loop_message *m)
{
	struct loop_message *at;

	pthread_mutex_lock(&l->lock);
	STAILQ_FOREACH (at, &l->inbox, link)
		if (at == m) {
			STAILQ_REMOVE(&l->inbox, m, loop_message, link);
			break;
		}
	pthread_mutex_unlock(&l->lock);
}

/* ---- tasks ---- */

void
task_init(struct task *t, void (*fn)(void *arg), void *arg)
{
	*t = (struct task){ .fn = fn, .arg = arg };
}

static void
task_queue(struct loop *l, struct task *t, int list)
{
	if (t->state != TASK_IDLE)
		return;
	t->state = (uint8_t)(1 + list);
	TAILQ_INSERT_TAIL(&l->tasks[list], t, link);
}

void
task_soon(struct loop *l, struct task *t)
{
	task_queue(l, t, TASK_SOON);
}

void
task_later(struct loop *l, struct task *t)
{
	task_queue(l, t, TASK_LATER + l->later_now);
}

void
task_cancel(struct loop *l, struct task *t)
{
	if (t->state == TASK_IDLE)
		return;
	TAILQ_REMOVE(&l->tasks[t->state - 1], t, link);
	t->state = TASK_IDLE;
}

void
loop_bury(struct loop *l, struct grave *g, void (*fn)(void *arg), void *arg)
{
	*g = (struct grave){ .next = l->graves, .fn = fn, .arg = arg };
	l->graves = g;
}

void
loop_adopt(struct loop *l, struct orphan *o, void (*end)(void *arg), void *arg)
{
	struct orphan *oldest = TAILQ_FIRST(&l->orphans);

	*o = (struct orphan){ .end = end, .arg = arg };
	TAILQ_INSERT_TAIL(&l->orphans, o, link);
	if (++l->n_orphans > LOOP_ORPHANS_MAX)
		oldest->end(oldest->arg);
}

void
loop_disown(struct loop *l, struct orphan *o)
{
	TAILQ_REMOVE(&l->orphans, o, link);
	l->n_orphans--;
}

/* ---- timers ---- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	(void)fd;
	(void)what;
	t->fn(t->arg);
}

int
timer_init(struct timer *t, struct loop *l, void (*fn)(void *arg), void *arg)
{
	*t = (struct timer){ .loop = l, .fn = fn, .arg = arg };
	t->ev = evtimer_new(l->base, on_timer, t);
	return t->ev != NULL ? 0 : ERR_NOMEM;
}

void
timer_fini(struct timer *t)
{
	if (t->ev != NULL)
		event_free(t->ev);
	t->ev = NULL;
}

void
timer_set(struct timer *t, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	/*
	 * Fails only if the heap of timers cannot grow by one pointer: nothing sensible goes on
	 * without timers.
	 */
	if (event_add(t->ev, &tv) != 0)
		abort();
}

void
timer_cancel(struct timer *t)
{
	if (t->ev != NULL)
		event_del(t->ev);
}

bool
timer_pending(const struct timer *t)
{
	return t->ev != NULL && event_pending(t->ev, EV_TIMEOUT, NULL);
}

/* ---- descriptors ---- */

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
	struct io *io = arg;

	(void)fd;
	io->fn(io->arg, (what & EV_READ ? IO_READ : 0) | (what & EV_WRITE ? IO_WRITE : 0) |
			    (what & EV_CLOSED ? IO_HUP : 0));
}

int
io_init(
    struct io *io, struct loop *l, int fd, bool edge, void (*fn)(void *arg, int what), void *arg)
{
	*io = (struct io){ .loop = l, .fd = fd, .edge = edge, .fn = fn, .arg = arg };
	io->ev = event_new(l->base, fd, EV_PERSIST, on_io, io);
	return io->ev != NULL ? 0 : ERR_NOMEM;
}

void
io_fini(struct io *io)
{
	if (io->ev != NULL)
		event_free(io->ev);
	io->ev = NULL;
}

int
io_want(struct io *io, int what)
{
	short ev = EV_PERSIST;

	if (what == io->want)
		return 0;
	event_del(io->ev);
	io->want = 0;
	if (what == 0)
		return 0;
	ev = (short)(ev | (io->edge ? EV_ET : 0) | (what & IO_READ ? EV_READ : 0) |
		     (what & IO_WRITE ? EV_WRITE : 0) | (what & IO_HUP ? EV_CLOSED : 0));
	if (event_assign(io->ev, io->loop->base, io->fd, ev, on_io, io) != 0 ||
	    event_add(io->ev, NULL) != 0)
		return ERR_SYS;
	io->want = what;
	return 0;
}

/* ---- signals ---- */

/* Signals are the process's. */
static atomic_int last_signal;

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct sig *s = arg;

	(void)what;
	atomic_store(&last_signal, (int)signo);
	s->fn(s->arg);
}

int
sig_last(void)
{
	return atomic_load(&last_signal);
}

int
sig_init(struct sig *s, struct loop *l, int signo, void (*fn)(void *arg), void *arg)
{
	*s = (struct sig){ .fn = fn, .arg = arg };
	s->ev = evsignal_new(l->base, signo, on_signal, s);
	if (s->ev == NULL)
		return ERR_NOMEM;
	if (event_add(s->ev, NULL) != 0) {
		sig_fini(s);
		return ERR_SYS;
	}
	return 0;
}

void
sig_fini(struct sig *s)
{
	if (s->ev != NULL)
		event_free(s->ev);
	s->ev = NULL;
}
