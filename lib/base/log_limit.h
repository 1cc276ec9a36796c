/* SPDX-License-Identifier: ISC */
/*
 * log_limit - lines that somebody else can cause at will, so many in a time for each of those, and
 * the rest counted.
 *
 * A struct log_limit is part of whatever stands for the one who causes the lines: an account, a
 * session, a listener.  The first lines of a window are written, the others counted, and one line
 * tells their number when the window is over:
 *
 *     client of pi from 192.0.2.7: 4711 lines left out
 *
 * That line comes in front of the next one; when quiet has returned, from log_limits_tell(), which
 * each loop calls while log_limits_waiting(); and at the latest from log_limit_fini().
 *
 * Thread-safe: a limit may serve several threads.  log_limit_fini() is not called beside another
 * use of the same limit.
 */
#ifndef LIB_LOG_LIMIT_H
#define LIB_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/base/log.h"

/* What a window lets through, and how long it is, if log_limit_init does not say otherwise. */
#define LOG_LIMIT_LINES 20
#define LOG_LIMIT_MS 1000
/* For complaints of our own that are true for a while, such as a full table. */
#define LOG_LIMIT_FEW 5
#define LOG_LIMIT_LONG_MS 10000

#define LOG_LIMIT_WHO 96

/* All members are private. */
struct log_limit {
	char who[LOG_LIMIT_WHO];
	/* Allowed in one window of ms; 0: the usual. */
	unsigned lines;
	unsigned ms;
	/* When the running window began, and the lines written in it. */
	uint64_t since_ms;
	unsigned n;
	/* Lines that no line has told of, and the gravest of their levels. */
	uint64_t left_out;
	enum log_level worst;
	TAILQ_ENTRY(log_limit) waiting;
};

/*
 * log_limit_init - lines in ms milliseconds; 0: LOG_LIMIT_LINES, LOG_LIMIT_MS.
 *   who   what the line about lines left out begins with, as printf makes it; cut at LOG_LIMIT_WHO
 * A zeroed limit is as good as one with 0, 0 and no name.  log_limit_fini accepts that, too.
 */
void log_limit_init(struct log_limit *l, unsigned lines, unsigned ms, const char *who, ...)
    __attribute__((format(printf, 4, 5)));
void log_limit_fini(struct log_limit *l);

/* log_limited - as log_info() and the others, if the limit allows.  now_ms: the monotonic clock. */
void log_limited(struct log_limit *l, uint64_t now_ms, enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * log_limited_about - the same for a thing that has a name: "visitor 192.0.2.7:40000: opened".
 * log_limit_admits - may a line be written now?  For one that costs something to make: the caller
 * writes it if so, and it is counted if not.
 */
void log_limited_about(struct log_limit *l, uint64_t now_ms, enum log_level level, const char *kind,
    const char *name, const char *fmt, va_list ap) __attribute__((format(printf, 6, 0)));
bool log_limit_admits(struct log_limit *l, uint64_t now_ms, enum log_level level);

/* log_limits_waiting - are there lines left out that no line has told of? */
bool log_limits_waiting(void);
/* log_limits_tell - tell of those whose window is over. */
void log_limits_tell(uint64_t now_ms);

#endif
