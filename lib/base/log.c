/* SPDX-License-Identifier: ISC */
/*
 * log - one escaped line, one write(2).
 *
 * A line is formatted on the caller's stack, escaped into a second buffer there and written;
 * nothing is shared but the settings, which do not change once threads run, and the counter of lost
 * lines.
 */
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/hex.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

const char *const log_level_words[] = { "error", "warn", "info", "debug", NULL };
const char *const log_format_words[] = { "text", "json", NULL };

enum log_level log_threshold = LOG_LEVEL_INFO;
static enum log_format log_form = LOG_FORMAT_TEXT;
static int log_fd = STDERR_FILENO;
static int own_fd = -1; /* log_fd's pipe or terminal, opened anew without blocking; -1: it is not */
static enum { SEND_WRITE, SEND_SOCKET, SEND_POLL } sending;
static pthread_mutex_t polling = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local const char *worker;
static atomic_uint_fast64_t untold; /* lines lost, of which no line has told yet */

enum {
	ESCAPED_MAX =
	    /* the longest escape of one byte: \xNN, and in JSON its backslash doubled */
	5,
	/* what stands behind a message */
	END_MAX = 3,
};

/* A pipe takes so much whole or not at all. */
struct line {
	size_t len;
	char s[PIPE_BUF];
};

/*
 * How to write to fd without ever waiting.  O_NONBLOCK on fd itself would be O_NONBLOCK for the
 * shell and everybody else who has the same open file.
 */
static void
choose_sending(int fd)
{
	struct stat sb;
	char path[32];

	if (own_fd >= 0)
		close(own_fd);
	own_fd = -1;
	sending = SEND_WRITE;
	if (fstat(fd, &sb) != 0)
		return;
	if (S_ISSOCK(sb.st_mode)) {
		sending = SEND_SOCKET;
	} else if (S_ISFIFO(sb.st_mode) || (S_ISCHR(sb.st_mode) && isatty(fd))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		/* Another user's pipe, or no /proc. */
		if (own_fd < 0)
			sending = SEND_POLL;
	}
}

void
log_init(enum log_level level, enum log_format format, int fd)
{
	log_threshold = level;
	log_form = format;
	log_fd = fd;
	choose_sending(fd);
}

void
log_set_worker(const char *name)
{
	worker = name;
}

static void
put(struct line *l, const char *s)
{
	size_t n = strlen(s);

	if (n > sizeof(l->s) - l->len)
		n = sizeof(l->s) - l->len;
	memcpy(l->s + l->len, s, n);
	l->len += n;
}

/* What is left is printable ASCII, so in JSON only two characters need a backslash. */
static void
put_escaped(struct line *l, const char *s)
{
	char few[ESCAPED_MAX + 1];

	for (; l->len + ESCAPED_MAX + END_MAX <= sizeof(l->s) && *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		char *o = few;

		if (c == '\t')
			c = ' ';
		if (c < 0x20 || c > 0x7e) {
			*o++ = '\\';
			if (log_form == LOG_FORMAT_JSON)
				*o++ = '\\';
			*o++ = 'x';
			*o++ = hex_digits[c >> 4];
			*o++ = hex_digits[c & 15];
		} else {
			if (log_form == LOG_FORMAT_JSON && (c == '"' || c == '\\'))
				*o++ = '\\';
			*o++ = (char)c;
		}
		*o = '\0';
		put(l, few);
	}
}

static void
compose(struct line *l, enum log_level level, const char *msg)
{
	char when[CLOCK_ISO_LEN + 1], name[32];

	clock_wall_iso(when);
	/* A worker's name is ours and printable; the bound is for the envelope. */
	snprintf(name, sizeof(name), "%s", worker != NULL ? worker : "");
	l->len = 0;
	if (log_form == LOG_FORMAT_JSON) {
		put(l, "{\"time\":\"");
		put(l, when);
		put(l, "\",\"level\":\"");
		put(l, log_level_words[level]);
		if (worker != NULL) {
			put(l, "\",\"worker\":\"");
			put_escaped(l, name);
		}
		put(l, "\",\"msg\":\"");
		put_escaped(l, msg);
		put(l, "\"}\n");
		return;
	}
	put(l, when);
	put(l, " ");
	put(l, log_level_words[level]);
	if (worker != NULL) {
		put(l, " ");
		put_escaped(l, name);
	}
	put(l, ": ");
	put_escaped(l, msg);
	put(l, "\n");
}

/*
 * A pipe that reports room takes PIPE_BUF bytes without waiting.  Our own threads must not use the
 * same room twice.
 */
static ssize_t
write_polled(const struct line *l)
{
	struct pollfd p = { .fd = log_fd, .events = POLLOUT };
	ssize_t w = -1;

	pthread_mutex_lock(&polling);
	if (poll(&p, 1, 0) == 1 && p.revents & POLLOUT)
		w = write(log_fd, l->s, l->len);
	pthread_mutex_unlock(&polling);
	return w;
}

static bool
send_line(const struct line *l)
{
	ssize_t w;

	do {
		errno = 0;
		if (sending == SEND_SOCKET)
			w = send(log_fd, l->s, l->len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (sending == SEND_POLL)
			w = write_polled(l);
		else
			w = write(own_fd >= 0 ? own_fd : log_fd, l->s, l->len);
	} while (w < 0 && errno == EINTR);
	return w == (ssize_t)l->len;
}

static void
emit(enum log_level level, const char *msg)
{
	struct line l;
	uint64_t lost = atomic_exchange_explicit(&untold, 0, memory_order_relaxed);
	char gap[64];

	if (lost > 0) {
		snprintf(gap, sizeof(gap), "%llu log lines were lost before this one",
		    (unsigned long long)lost);
		compose(&l, LOG_LEVEL_WARN, gap);
		if (!send_line(&l)) {
			/* Still no room: this line is lost as well, and none has been told of. */
			atomic_fetch_add_explicit(&untold, lost + 1, memory_order_relaxed);
			return;
		}
	}
	compose(&l, level, msg);
	if (!send_line(&l)) {
		atomic_fetch_add_explicit(&untold, 1, memory_order_relaxed);
	}
}

__attribute__((format(printf, 3, 0))) static void
vlog(enum log_level level, bool with_errno, const char *fmt, va_list ap)
{
	int saved = errno;
	char msg[LOG_LINE_MAX + 1];
	size_t len;

	if (!log_enabled(level))
		return;
	if (vsnprintf(msg, sizeof(msg), fmt, ap) < 0)
		snprintf(msg, sizeof(msg), "(a log line could not be formatted)");
	if (with_errno) {
		len = strlen(msg);
		errno = saved;
		snprintf(msg + len, sizeof(msg) - len, ": %s", err_str(ERR_SYS));
	}
	emit(level, msg);
	errno = saved;
}

#define LOG_FUNCTION(name, level, with_errno)     \
	void name(const char *fmt, ...)           \
	{                                         \
		va_list ap;                       \
                                                  \
		va_start(ap, fmt);                \
		vlog(level, with_errno, fmt, ap); \
		va_end(ap);                       \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, true)
LOG_FUNCTION(log_errorx, LOG_LEVEL_ERROR, false)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, true)
LOG_FUNCTION(log_warnx, LOG_LEVEL_WARN, false)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, false)
LOG_FUNCTION(log_debug_line, LOG_LEVEL_DEBUG, false)

void
log_line(enum log_level level, const char *fmt, va_list ap)
{
	vlog(level, false, fmt, ap);
}
