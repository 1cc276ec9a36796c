/* SPDX-License-Identifier: ISC */
/*
 * loop_test - turns, tasks, timers, descriptors, signals, messages, burial.
 *
 * link: -Wl,--wrap=event_config_new,--wrap=eventfd,--wrap=event_base_new_with_config
 * link: -Wl,--wrap=event_new,--wrap=event_add,--wrap=pthread_mutex_init
 */
#include <event2/event.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/log_limit.h"
#include "lib/net/loop.h"
#include "lib/base/mem.h"

static bool no_config, no_eventfd;

struct event_config *__real_event_config_new(void);
struct event_config *__wrap_event_config_new(void);
int __real_eventfd(unsigned n, int flags);
int __wrap_eventfd(unsigned n, int flags);

struct event_config *
__wrap_event_config_new(void)
{
	return no_config ? NULL : __real_event_config_new();
}

int
__wrap_eventfd(unsigned n, int flags)
{
	if (!no_eventfd)
		return __real_eventfd(n, flags);
	errno = EMFILE;
	return -1;
}

/* Which of the next calls below fails; -1: none. */
static int lacking = -1;

static bool
is_lacking(void)
{
	return lacking >= 0 && lacking-- == 0;
}

struct event_base *__real_event_base_new_with_config(const struct event_config *c);
struct event_base *__wrap_event_base_new_with_config(const struct event_config *c);
struct event *__real_event_new(
    struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn, void *arg);
struct event *__wrap_event_new(
    struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn, void *arg);
int __real_event_add(struct event *e, const struct timeval *t);
int __wrap_event_add(struct event *e, const struct timeval *t);
int __real_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a);

struct event_base *
__wrap_event_base_new_with_config(const struct event_config *c)
{
	return is_lacking() ? NULL : __real_event_base_new_with_config(c);
}

struct event *
__wrap_event_new(
    struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn, void *arg)
{
	return is_lacking() ? NULL : __real_event_new(b, fd, what, fn, arg);
}

int
__wrap_event_add(struct event *e, const struct timeval *t)
{
	return is_lacking() ? -1 : __real_event_add(e, t);
}

int
__wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *a)
{
	return is_lacking() ? ENOMEM : __real_pthread_mutex_init(m, a);
}

/* What happened, one letter each. */
static char events[256];

static void
note(const char *what)
{
	strncat(events, what, sizeof events - strlen(events) - 1);
}

struct fix {
	struct loop *l;
	struct task a, b, stop;
	struct grave grave;
	int left;
};

static void
on_a(void *arg)
{
	(void)arg;
	note("a");
}

static void
on_b(void *arg)
{
	(void)arg;
	note("b");
}

static void
on_grave(void *arg)
{
	(void)arg;
	note("g");
}

static void
on_stop(void *arg)
{
	note(".");
	loop_stop(arg);
}

static void
init(struct fix *x)
{
	memset(x, 0, sizeof *x);
	events[0] = '\0';
	x->l = loop_new();
	assert_non_null(x->l);
	task_init(&x->a, on_a, x);
	task_init(&x->b, on_b, x);
	task_init(&x->stop, on_stop, x->l);
}

static void
run(struct fix *x)
{
	assert_int_equal(loop_run(x->l), 0);
}

/* ---- tasks ---- */

static void
a_task_runs_once_however_often_it_is_queued(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	task_soon(x.l, &x.a);
	task_soon(x.l, &x.a);
	task_soon(x.l, &x.stop);
	run(&x);
	assert_string_equal(events, "a.");
	loop_free(x.l);
}

static void
a_cancelled_task_does_not_run(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	task_soon(x.l, &x.a);
	task_later(x.l, &x.b);
	task_cancel(x.l, &x.a);
	task_cancel(x.l, &x.b);
	task_cancel(x.l, &x.b);
	task_later(x.l, &x.stop);
	run(&x);
	assert_string_equal(events, ".");
	loop_free(x.l);
}

static void
on_again(void *arg)
{
	struct fix *x = arg;

	note("x");
	task_later(x->l, &x->b);
	task_soon(x->l, &x->a);
	loop_bury(x->l, &x->grave, on_grave, x);
}

/* Soon is this turn, later the next one, and the dead go when the turn's tasks are done. */
static void
soon_comes_before_the_dead_and_later_after(void **state)
{
	struct fix x;
	struct task t;

	(void)state;
	init(&x);
	task_init(&t, on_again, &x);
	task_soon(x.l, &t);
	loop_settle(x.l);
	assert_string_equal(events, "xag");
	loop_settle(x.l);
	assert_string_equal(events, "xagb");
	loop_free(x.l);
}

static void
on_event_asks(void *arg)
{
	struct fix *x = arg;

	loop_stop(x->l); /* after this turn */
	on_again(arg);
}

static void
later_of_an_event_is_this_turn(void **state)
{
	struct fix x;
	struct timer t;

	(void)state;
	init(&x);
	assert_int_equal(timer_init(&t, x.l, on_event_asks, &x), 0);
	timer_set(&t, 0);
	run(&x);
	assert_string_equal(events, "xbag");
	timer_fini(&t);
	loop_free(x.l);
}

static void
on_count(void *arg)
{
	struct fix *x = arg;

	if (--x->left > 0)
		task_later(x->l, &x->a);
	else
		loop_stop(x->l);
}

/* A turn with work left for the next one does not wait for events. */
static void
later_does_not_wait(void **state)
{
	struct fix x;
	uint64_t start = clock_mono_ms();

	(void)state;
	init(&x);
	x.left = 1000;
	task_init(&x.a, on_count, &x);
	task_later(x.l, &x.a);
	run(&x);
	assert_int_equal(x.left, 0);
	assert_true(clock_mono_ms() - start < 5000);
	loop_free(x.l);
}

static void
a_freed_loop_buries_what_is_left(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	loop_bury(x.l, &x.grave, on_grave, NULL);
	loop_free(x.l);
	assert_string_equal(events, "g");
	loop_free(NULL);
}

/* ---- timers ---- */

static void
timers_fire_in_their_order_and_once(void **state)
{
	struct fix x;
	struct timer ta, tb, ts;

	(void)state;
	init(&x);
	assert_int_equal(timer_init(&ta, x.l, on_a, NULL), 0);
	assert_int_equal(timer_init(&tb, x.l, on_b, NULL), 0);
	assert_int_equal(timer_init(&ts, x.l, on_stop, x.l), 0);
	timer_set(&ta, 500000);
	timer_set(&ts, 40);
	timer_set(&tb, 1);
	timer_set(&ta, 20); /* moved */
	assert_true(timer_pending(&ta));
	run(&x);
	assert_string_equal(events, "ba.");
	assert_false(timer_pending(&ta));
	timer_fini(&ta);
	timer_fini(&tb);
	timer_fini(&ts);
	timer_fini(&ts);
	loop_free(x.l);
}

static void
a_cancelled_timer_does_not_fire(void **state)
{
	struct fix x;
	struct timer ta, ts;

	(void)state;
	init(&x);
	assert_int_equal(timer_init(&ta, x.l, on_a, NULL), 0);
	assert_int_equal(timer_init(&ts, x.l, on_stop, x.l), 0);
	timer_set(&ta, 1);
	timer_set(&ts, 20);
	timer_cancel(&ta);
	run(&x);
	assert_string_equal(events, ".");
	timer_fini(&ta);
	timer_fini(&ts);
	loop_free(x.l);
}

/* ---- descriptors and signals ---- */

struct watch {
	struct loop *l;
	struct io io;
	int seen;
};

static void
on_io(void *arg, int what)
{
	struct watch *w = arg;

	w->seen |= what;
	loop_stop(w->l);
}

static void
a_descriptor_says_what_was_wanted(void **state)
{
	struct fix x;
	struct watch w = { 0 };
	int fd[2];

	(void)state;
	init(&x);
	w.l = x.l;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	assert_int_equal(io_init(&w.io, x.l, fd[0], false, on_io, &w), 0);
	assert_int_equal(io_want(&w.io, IO_READ), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	run(&x);
	assert_int_equal(w.seen, IO_READ);
	w.seen = 0;
	assert_int_equal(io_want(&w.io, IO_WRITE), 0);
	run(&x);
	assert_int_equal(w.seen, IO_WRITE);
	w.seen = 0;
	assert_int_equal(io_want(&w.io, IO_HUP), 0);
	close(fd[1]);
	run(&x);
	assert_true(w.seen & IO_HUP);
	/* Nothing wanted, nothing told. */
	w.seen = 0;
	assert_int_equal(io_want(&w.io, 0), 0);
	task_later(x.l, &x.stop);
	run(&x);
	assert_int_equal(w.seen, 0);
	io_fini(&w.io);
	io_fini(&w.io);
	close(fd[0]);
	loop_free(x.l);
}

static void
a_signal_is_told_in_the_loop(void **state)
{
	struct fix x;
	struct sig s;

	(void)state;
	init(&x);
	assert_int_equal(sig_init(&s, x.l, SIGUSR1, on_stop, x.l), 0);
	raise(SIGUSR1);
	assert_string_equal(events, "");
	run(&x);
	assert_string_equal(events, ".");
	sig_fini(&s);
	sig_fini(&s);
	loop_free(x.l);
}

/* ---- messages ---- */

enum { SENDERS = 4, MESSAGES = 5000 };

struct sender {
	struct loop *l;
	pthread_t thread;
	int next; /* as the loop's thread counts */
	int *done;
};

struct parcel {
	struct sender *from;
	int n;
};

static void
on_parcel(void *arg)
{
	struct parcel *p = arg;

	if (p->n != p->from->next++)
		note("!"); /* out of order */
	if (p->from->next == MESSAGES && ++*p->from->done == SENDERS)
		loop_stop(p->from->l);
	mem_free(p);
}

static void *
send_all(void *arg)
{
	struct sender *s = arg;

	for (int i = 0; i < MESSAGES; i++) {
		struct parcel *p = mem_must_zalloc(sizeof *p);

		*p = (struct parcel){ s, i };
		if (loop_post(s->l, on_parcel, mem_free, p) != 0)
			return arg;
	}
	return NULL;
}

static void
messages_of_each_thread_arrive_in_order(void **state)
{
	struct sender s[SENDERS];
	struct fix x;
	int done = 0;

	(void)state;
	init(&x);
	for (int i = 0; i < SENDERS; i++) {
		s[i] = (struct sender){ .l = x.l, .done = &done };
		assert_int_equal(pthread_create(&s[i].thread, NULL, send_all, &s[i]), 0);
	}
	run(&x);
	for (int i = 0; i < SENDERS; i++) {
		void *failed;

		assert_int_equal(pthread_join(s[i].thread, &failed), 0);
		assert_null(failed);
		assert_int_equal(s[i].next, MESSAGES);
	}
	assert_string_equal(events, "");
	loop_free(x.l);
}

static void
messages_left_in_a_freed_loop_are_dropped(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	assert_int_equal(loop_post(x.l, on_a, on_b, NULL), 0);
	assert_int_equal(loop_post(x.l, on_a, NULL, NULL), 0);
	loop_free(x.l);
	assert_string_equal(events, "b");
}

struct left {
	struct loop *l;
	struct orphan orphan;
};

static void
end_left(void *arg)
{
	struct left *x = arg;

	loop_disown(x->l, &x->orphan);
	note("e");
}

/* As a session does that was on its way to this loop: its socket lingers. */
static void
leave_orphan(void *arg)
{
	struct left *x = arg;

	loop_adopt(x->l, &x->orphan, end_left, x);
	note("d");
}

static void
what_a_dropped_message_leaves_behind_is_ended(void **state)
{
	struct left x = { .l = NULL };
	struct fix f;

	(void)state;
	init(&f);
	x.l = f.l;
	assert_int_equal(loop_post(f.l, on_a, leave_orphan, &x), 0);
	loop_free(f.l);
	assert_string_equal(events, "de");
}

static void
a_message_without_memory_stays_with_its_sender(void **state)
{
	struct fix x;

	(void)state;
	init(&x);
	mem_fail_after(0);
	assert_int_equal(loop_post(x.l, on_a, on_b, NULL), ERR_NOMEM);
	mem_fail_after(MEM_NO_FAIL);
	loop_free(x.l);
	assert_string_equal(events, "");
}

/* Sent again where it arrives, and so often. */
struct echo {
	struct loop *l;
	struct loop_message m;
	int left;
};

static void
on_echo(void *arg)
{
	struct echo *x = arg;

	note("e");
	if (x->left-- > 0)
		loop_send(x->l, &x->m);
	else
		loop_stop(x->l);
}

static void
a_message_of_its_senders_needs_no_memory(void **state)
{
	struct echo e = { .left = 2, .m = { .fn = on_echo, .arg = &e } };
	struct fix x;

	(void)state;
	init(&x);
	e.l = x.l;
	mem_fail_after(0);
	loop_send(x.l, &e.m);
	run(&x);
	mem_fail_after(MEM_NO_FAIL);
	assert_string_equal(events, "eee");
	/* What waits in a freed loop is its sender's, and nobody is told. */
	loop_send(x.l, &e.m);
	loop_free(x.l);
	assert_string_equal(events, "eee");
}

static void
a_message_that_is_recalled_does_not_arrive(void **state)
{
	struct echo e = { .m = { .fn = on_echo, .arg = &e } };
	struct fix x;

	(void)state;
	init(&x);
	e.l = x.l;
	assert_int_equal(loop_post(x.l, on_a, NULL, NULL), 0);
	loop_send(x.l, &e.m);
	assert_int_equal(loop_post(x.l, on_stop, NULL, x.l), 0);
	loop_recall(x.l, &e.m);
	run(&x);
	assert_string_equal(events, "a.");
	/* There is none to recall. */
	loop_recall(x.l, &e.m);
	loop_free(x.l);
}

/* ---- the clock ---- */

static void
time_stands_still_within_a_turn(void **state)
{
	struct fix x;
	uint64_t t;

	(void)state;
	init(&x);
	t = loop_now_us(x.l);
	while (clock_mono_us() < t + 2000)
		;
	assert_true(loop_now_us(x.l) == t);
	assert_true(loop_now_ms(x.l) == t / 1000);
	task_soon(x.l, &x.stop);
	run(&x);
	assert_true(loop_now_us(x.l) >= t + 2000);
	loop_free(x.l);
}

/* Descriptor 0 is somebody's, and no descriptor of a failed loop stays. */
static void
a_loop_that_cannot_be_made_closes_its_own_only(void **state)
{
	int before = dup(0), after;

	(void)state;
	assert_true(before > 0);
	close(before);
	no_config = true;
	assert_null(loop_new());
	no_config = false;
	no_eventfd = true;
	assert_null(loop_new());
	no_eventfd = false;
	mem_fail_after(0);
	assert_null(loop_new());
	mem_fail_after(MEM_NO_FAIL);
	assert_true(fcntl(0, F_GETFD) >= 0);
	after = dup(0);
	assert_int_equal(after, before);
	close(after);
}

/* Whatever of a loop's parts cannot be had, the others are given back. */
static void
each_part_of_a_loop_may_be_lacking(void **state)
{
	struct loop *l = NULL;
	int before = dup(0), n = 0;
	uint64_t heap;

	(void)state;
	close(before);
	/* What libevent keeps for ever it makes at first. */
	loop_free(loop_new());
	heap = mallinfo2().uordblks;
	for (; l == NULL; n++) {
		int after;

		lacking = n;
		l = loop_new();
		lacking = -1;
		if (l != NULL)
			break;
		after = dup(0);
		assert_int_equal(after, before);
		close(after);
		assert_int_equal(mallinfo2().uordblks, heap);
	}
	/* The base, three events, and a lock. */
	assert_true(n >= 5);
	loop_free(l);
}

/* libevent would write lines of its own to standard error, in the middle of a log that is JSON. */
static void
what_the_library_says_is_a_line_of_the_log(void **state)
{
	struct loop *l = loop_new();
	char out[1024] = "";
	struct io io;
	int p[2], dir = open("/", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_JSON, p[1]);
	assert_int_equal(io_init(&io, l, dir, false, NULL, NULL), 0);
	assert_int_equal(io_want(&io, IO_READ), ERR_SYS);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	assert_true(read(p[0], out, sizeof out - 1) > 0);
	assert_non_null(strstr(out, "\"msg\":\"libevent: "));
	io_fini(&io);
	loop_free(l);
	close(dir);
	close(p[0]);
	close(p[1]);
}

static void
on_left_out(void *arg)
{
	struct log_limit *limit = arg;

	for (int i = 0; i < 5; i++)
		log_limited(limit, clock_mono_ms(), LOG_LEVEL_INFO, "x");
}

static void
lines_left_out_are_told_when_quiet_returns(void **state)
{
	struct loop *l = loop_new();
	struct log_limit limit;
	struct timer shout, stop;
	char text[1024] = "";
	int fd[2];

	(void)state;
	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, fd[1]);
	log_limit_init(&limit, 1, 10, "pi");
	assert_int_equal(timer_init(&shout, l, on_left_out, &limit), 0);
	assert_int_equal(timer_init(&stop, l, on_stop, l), 0);
	timer_set(&shout, 1);
	timer_set(&stop, LOG_LIMIT_MS * 3 / 2);
	assert_int_equal(loop_run(l), 0);
	assert_true(read(fd[0], text, sizeof text - 1) > 0);
	assert_non_null(strstr(text, "pi: 4 lines left out"));
	log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	log_limit_fini(&limit);
	timer_fini(&shout);
	timer_fini(&stop);
	loop_free(l);
	close(fd[0]);
	close(fd[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_runs_once_however_often_it_is_queued),
		cmocka_unit_test(a_cancelled_task_does_not_run),
		cmocka_unit_test(soon_comes_before_the_dead_and_later_after),
		cmocka_unit_test(later_of_an_event_is_this_turn),
		cmocka_unit_test(later_does_not_wait),
		cmocka_unit_test(a_freed_loop_buries_what_is_left),
		cmocka_unit_test(timers_fire_in_their_order_and_once),
		cmocka_unit_test(a_cancelled_timer_does_not_fire),
		cmocka_unit_test(a_descriptor_says_what_was_wanted),
		cmocka_unit_test(a_signal_is_told_in_the_loop),
		cmocka_unit_test(messages_of_each_thread_arrive_in_order),
		cmocka_unit_test(messages_left_in_a_freed_loop_are_dropped),
		cmocka_unit_test(what_a_dropped_message_leaves_behind_is_ended),
		cmocka_unit_test(a_message_without_memory_stays_with_its_sender),
		cmocka_unit_test(a_message_of_its_senders_needs_no_memory),
		cmocka_unit_test(a_message_that_is_recalled_does_not_arrive),
		cmocka_unit_test(time_stands_still_within_a_turn),
		cmocka_unit_test(a_loop_that_cannot_be_made_closes_its_own_only),
		cmocka_unit_test(each_part_of_a_loop_may_be_lacking),
		cmocka_unit_test(what_the_library_says_is_a_line_of_the_log),
		cmocka_unit_test(lines_left_out_are_told_when_quiet_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
