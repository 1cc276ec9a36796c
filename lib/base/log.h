/* SPDX-License-Identifier: ISC */
/*
 * log - one line for each thing worth telling, to standard error or another descriptor.
 *
 * Levels: error (an operator must act), warn (degraded), info (one line when a session or stream
 * opens, one when it closes), debug.  A line leaves in one write(2), so lines of several threads
 * and processes do not mix.  A full pipe, socket or terminal never blocks the caller: the line is
 * dropped and counted, and the next line that goes through is preceded by one that says how many
 * are missing.  The descriptor itself is left as it is, since others may share it.
 *
 * Whatever is formatted may hold bytes from the network.  All bytes outside printable ASCII leave
 * as \xNN (tab as a space), so no peer can forge a line or speak to a terminal.  A message is cut
 * at LOG_LINE_MAX, and a line at PIPE_BUF: a pipe takes it whole or not at all.  Never format a
 * secret: struct secret has no printable form on purpose.  Lines that a peer can cause at will go
 * through lib/base/log_limit.h.
 *
 *     text    2026-01-02T03:04:05.678Z info w1: agent pi: session opened from 192.0.2.7:5022
 *     json    {"time":"2026-01-02T03:04:05.678Z","level":"info","worker":"w1","msg":"..."}
 *
 * Thread-safe.  Before log_init() level info, text, descriptor 2.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_MAX 2048 /* bytes of one message before escaping */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/*
 * The words of the two enums, in order, NULL-terminated: for a row of kind OPT_ENUM
 * (lib/conf/opt.h).
 */
extern const char *const log_level_words[];
extern const char *const log_format_words[];

/* Read by the macros below; changed by log_init() only. */
extern enum log_level log_threshold;

/*
 * log_init - from now on write lines up to and including level in this format to fd (borrowed; 2 as
 * a rule). Call it before threads are started; until then a full pipe blocks.
 */
void log_init(enum log_level level, enum log_format format, int fd);

/*
 * log_set_worker - the name of the calling thread in its lines; borrowed for the thread's life,
 * NULL for none.
 */
void log_set_worker(const char *name);

/* log_enabled - would a line of this level be written?  Ask before costly preparations. */
static inline bool
log_enabled(enum log_level level)
{
	return level <= log_threshold;
}

/*
 * log_error, log_warn   append ": " and errno's words
 * log_errorx, log_warnx, log_info   do not
 * log_debug   a macro: switched off it costs one branch, and its arguments are not evaluated
 * errno is kept by all of them.
 */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_errorx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* log_line - for those who make their own functions that log. */
void log_line(enum log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

#define log_debug(...)                               \
	do {                                         \
		if (log_enabled(LOG_LEVEL_DEBUG))    \
			log_debug_line(__VA_ARGS__); \
	} while (0)

#endif
