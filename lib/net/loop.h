/* SPDX-License-Identifier: ISC */
/*
 * loop - one thread's reactor: descriptors, timers, deferred work.  The only user of libevent's
 * event loop.
 *
 * A turn is: wait for events, run their callbacks, run the tasks, free what was buried.  Callbacks
 * and tasks of one loop run in one thread and never at the same time.  Nothing here blocks but the
 * wait itself.
 *
 * All objects are embedded in their owner's struct and belong to that owner, who cancels them
 * before it goes.  An object is bound to a loop by its _init call; moving an owner to another
 * thread means _fini here and _init there.
 *
 * Memory: after a load the loop gives what is free, in its thread's pools and in the heap, back to
 * the system.
 *
 * Threads: only loop_post(), loop_send() and loop_stop() may be called from another thread.
 */
#ifndef LIB_LOOP_H
#define LIB_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/base/err.h"

struct event;
struct loop;

/* loop_new - NULL when the system refuses (errno). */
struct loop *loop_new(void);
void loop_free(struct loop *l);
/* loop_run - turns until loop_stop; returns 0, or ERR_SYS when the kernel's poll fails. */
int loop_run(struct loop *l) WARN_UNUSED;
/* loop_stop - end loop_run after this turn.  Safe from any thread. */
void loop_stop(struct loop *l);

/*
 * loop_settle - outside loop_run: run the tasks that are due and free what was buried, without
 * waiting.
 */
void loop_settle(struct loop *l);

/* loop_turn - the number of this turn: for work that is bounded in each. */
uint64_t loop_turn(const struct loop *l);

/* loop_now_ms, loop_now_us - the monotonic clock read at most once a turn. */
uint64_t loop_now_ms(struct loop *l);
uint64_t loop_now_us(struct loop *l);

/*
 * loop_resolver - the place for the loop's name resolver (lib/net/resolve.h), which is made at its
 * first use and ended by end(obj) when the loop is freed.
 */
struct loop_part {
	void *obj;
	void (*end)(void *obj);
};
struct loop_part *loop_resolver(struct loop *l);

/* ---- tasks: work at the end of this turn, or in the next one ---- */

struct task {
	TAILQ_ENTRY(task) link;
	void (*fn)(void *arg);
	void *arg;
	/* private */
	uint8_t state;
};

void task_init(struct task *t, void (*fn)(void *arg), void *arg);
/*
 * task_soon - run once at the end of this turn (flushes).  Queued already: nothing.  A task may
 * queue itself or others.
 */
void task_soon(struct loop *l, struct task *t);
/*
 * task_later - run once, for work that used up its budget: in the tasks of this turn when an
 * event's callback asks, in those of the next turn, which does not wait for events, when a task
 * does.  So what goes on asking is called once a turn.
 */
void task_later(struct loop *l, struct task *t);
void task_cancel(struct loop *l, struct task *t);

/*
 * loop_bury - call fn(arg) when the callbacks and tasks of this turn are done: how an object frees
 * itself while its own callback may be on the stack.  Cannot fail: the link is part of the object.
 */
struct grave {
	struct grave *next;
	void (*fn)(void *arg);
	void *arg;
};
void loop_bury(struct loop *l, struct grave *g, void (*fn)(void *arg), void *arg);

/*
 * loop_adopt - an object that has no owner any more and will end by itself.  The loop ends it, by
 * end(arg), when the loop is freed, and when it is the oldest and there is one more than
 * LOOP_ORPHANS_MAX: what nobody waits for is bounded.  end calls loop_disown, as the object does
 * when it ends by itself.
 */
#define LOOP_ORPHANS_MAX 128
struct orphan {
	TAILQ_ENTRY(orphan) link;
	void (*end)(void *arg);
	void *arg;
};
void loop_adopt(struct loop *l, struct orphan *o, void (*end)(void *arg), void *arg);
void loop_disown(struct loop *l, struct orphan *o);

/* ---- timers: one shot, milliseconds ---- */

struct timer {
	struct event *ev;
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
};

/* timer_init - ERR_NOMEM possible.  timer_fini accepts a zeroed timer and cancels. */
int timer_init(struct timer *t, struct loop *l, void (*fn)(void *arg), void *arg) WARN_UNUSED;
void timer_fini(struct timer *t);
/* timer_set - fire once in ms milliseconds; a set timer is moved. */
void timer_set(struct timer *t, uint64_t ms);
void timer_cancel(struct timer *t);
bool timer_pending(const struct timer *t);

/* ---- descriptors ---- */

/*
 * IO_HUP: the peer will send no more; what it sent may still be unread (EPOLLRDHUP). Sockets only.
 */
enum { IO_READ = 1, IO_WRITE = 2, IO_HUP = 4 };

struct io {
	struct event *ev;
	struct loop *loop;
	int fd;
	/* what: set of IO_* */
	void (*fn)(void *arg, int what);
	void *arg;
	bool edge;
	int want;
};

/*
 * io_init - watch fd.  edge: the callback is told once of each change to ready (the owner must then
 * read or write until EAGAIN, or come back by a task); otherwise as long as it is ready.  Nothing
 * is wanted at first.  io_fini does not close fd and accepts a zeroed io.
 */
int io_init(struct io *io, struct loop *l, int fd, bool edge, void (*fn)(void *arg, int what),
    void *arg) WARN_UNUSED;
void io_fini(struct io *io);
/* io_want - the set of IO_* of which the callback is to be told. */
int io_want(struct io *io, int what) WARN_UNUSED;

/* ---- signals ---- */

struct sig {
	struct event *ev;
	void (*fn)(void *arg);
	void *arg;
};
int sig_init(
    struct sig *s, struct loop *l, int signo, void (*fn)(void *arg), void *arg) WARN_UNUSED;
void sig_fini(struct sig *s);
/* sig_last - the last signal that one of them was told of; 0: none was. */
int sig_last(void);

/* ---- messages from other threads ---- */

/*
 * loop_post - run fn(arg) in l's thread, in one of its next turns.  The message is allocated before
 * anything is handed over: ERR_NOMEM leaves arg with the caller.  Messages from one thread arrive
 * in order; at most LOOP_POST_TURN a turn. Messages still queued when the loop is freed are dropped
 * through drop(arg) (may be NULL).
 */
#define LOOP_POST_TURN 256
int loop_post(
    struct loop *l, void (*fn)(void *arg), void (*drop)(void *arg), void *arg) WARN_UNUSED;

/* A message whose memory is its sender's.  He sets fn and arg; the rest is private. */
struct loop_message {
	void (*fn)(void *arg);
	void *arg;
	void (*drop)(void *arg);
	/* The loop's to free. */
	bool posted;
	STAILQ_ENTRY(loop_message) link;
};

/* loop_send - as loop_post, and it cannot fail.  m is the loop's until fn is called. */
void loop_send(struct loop *l, struct loop_message *m);
/* loop_recall - m is the caller's again, and fn is not called if it was not yet.  In l's thread. */
void loop_recall(struct loop *l, struct loop_message *m);

#endif
