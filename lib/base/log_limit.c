/* SPDX-License-Identifier: ISC */
/*
 * log_limit - windows of lines, and a list of the limits that have left some out.
 *
 * One lock guards all of it: a line that is written costs a system call, so the lock is not what
 * counts, and who leaves lines out holds it for a few instructions.
 */
#include "lib/base/log_limit.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

TAILQ_HEAD(limit_list, log_limit);

/* Guards every limit and the list; nothing else is taken while it is held. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct limit_list all = TAILQ_HEAD_INITIALIZER(all);
static atomic_uint n_waiting;

/* What is to be told of a limit, copied out of the lock. */
struct gap {
	char who[LOG_LIMIT_WHO];
	uint64_t n;
	enum log_level level;
};

__attribute__((format(printf, 2, 3))) static void
line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(level, fmt, ap);
	va_end(ap);
}

static void
tell(const struct gap *g)
{
	if (g->n > 0)
		line(g->level, "%s%s%llu lines left out", g->who, g->who[0] != '\0' ? ": " : "",
		    (unsigned long long)g->n);
}

/* With the lock held: what l has left out becomes the caller's to tell. */
static void
take_gap(struct log_limit *l, struct gap *g)
{
	g->n = l->left_out;
	if (g->n == 0)
		return;
	snprintf(g->who, sizeof g->who, "%s", l->who);
	g->level = l->worst;
	l->left_out = 0;
	TAILQ_REMOVE(&all, l, waiting);
	atomic_fetch_sub_explicit(&n_waiting, 1, memory_order_relaxed);
}

/* With the lock held. */
static void
leave_out(struct log_limit *l, enum log_level level)
{
	if (l->left_out++ == 0) {
		TAILQ_INSERT_TAIL(&all, l, waiting);
		atomic_fetch_add_explicit(&n_waiting, 1, memory_order_relaxed);
		l->worst = level;
	}
	if (level < l->worst)
		l->worst = level;
}

/* Loops read the clock once a turn, so one may be behind the other: then the window is not over. */
static bool
is_over(const struct log_limit *l, uint64_t now_ms)
{
	return now_ms >= l->since_ms && now_ms - l->since_ms >= l->ms;
}

void
log_limit_init(struct log_limit *l, unsigned lines, unsigned ms, const char *who, ...)
{
	va_list ap;

	*l = (struct log_limit){ .lines = lines, .ms = ms };
	va_start(ap, who);
	vsnprintf(l->who, sizeof l->who, who, ap);
	va_end(ap);
}

void
log_limit_fini(struct log_limit *l)
{
	struct gap g;

	pthread_mutex_lock(&lock);
	take_gap(l, &g);
	pthread_mutex_unlock(&lock);
	tell(&g);
}

/* With the lock held: may one more line be written? */
static bool
admit(struct log_limit *l, uint64_t now_ms, enum log_level level, struct gap *g)
{
	if (l->lines == 0)
		l->lines = LOG_LIMIT_LINES;
	if (l->ms == 0)
		l->ms = LOG_LIMIT_MS;
	if (l->n == 0 || is_over(l, now_ms)) {
		l->since_ms = now_ms;
		l->n = 0;
		take_gap(l, g);
	}
	if (l->n == l->lines) {
		leave_out(l, level);
		return false;
	}
	l->n++;
	return true;
}

bool
log_limit_admits(struct log_limit *l, uint64_t now_ms, enum log_level level)
{
	struct gap g = { .n = 0 };
	bool yes;

	if (!log_enabled(level))
		return false;
	pthread_mutex_lock(&lock);
	yes = admit(l, now_ms, level, &g);
	pthread_mutex_unlock(&lock);
	if (yes)
		tell(&g);
	return yes;
}

void
log_limited(struct log_limit *l, uint64_t now_ms, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log_limit_admits(l, now_ms, level))
		return;
	va_start(ap, fmt);
	log_line(level, fmt, ap);
	va_end(ap);
}

void
log_limited_about(struct log_limit *l, uint64_t now_ms, enum log_level level, const char *kind,
    const char *name, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX / 2];

	if (!log_limit_admits(l, now_ms, level))
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	line(level, "%s %s: %s", kind, name, text);
}

bool
log_limits_waiting(void)
{
	return atomic_load_explicit(&n_waiting, memory_order_relaxed) > 0;
}

/* With the lock held: the first whose window is over. */
static bool
next_gap(uint64_t now_ms, struct gap *g)
{
	struct log_limit *l;

	TAILQ_FOREACH (l, &all, waiting)
		if (is_over(l, now_ms)) {
			take_gap(l, g);
			return true;
		}
	return false;
}

void
log_limits_tell(uint64_t now_ms)
{
	struct gap g;
	bool more = true;

	while (more) {
		pthread_mutex_lock(&lock);
		more = next_gap(now_ms, &g);
		pthread_mutex_unlock(&lock);
		if (more)
			tell(&g);
	}
}
