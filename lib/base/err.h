/* SPDX-License-Identifier: ISC */
/*
 * err - the error codes that every fallible function of lib/ and proto/ returns.
 *
 * Three return shapes and no fourth: an action returns 0 or a negative ERR_*; a question (is_,
 * has_, can_) returns bool; a transfer returns ssize_t bytes, 0 for no progress, negative for an
 * error.  A code exists only because some caller acts on it differently.  Where a person must learn
 * what failed, the function takes a `struct errtext *` and fills it with one sentence that says
 * what was tried, on what, and what to do; it never holds a secret.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include <stddef.h>

enum err {
	/* a system call failed: see errno */
	ERR_SYS = -1,
	/* out of memory */
	ERR_NOMEM = -2,
	/* would block; come back when there is more input or room */
	ERR_AGAIN = -3,
	/* the stream has ended in good order */
	ERR_EOF = -4,
	/* the peer broke the protocol: end this stream or session */
	ERR_PROTO = -5,
	/* a named limit was reached */
	ERR_LIMIT = -6,
	/* authentication or policy says no */
	ERR_DENIED = -7,
	/* no such name, file, key */
	ERR_NOTFOUND = -8,
	/* wrong value from the operator: option, file, address */
	ERR_INVALID = -9,
	/* it is there already */
	ERR_EXISTS = -10,
	/* a deadline passed */
	ERR_TIMEOUT = -11,
	/* the object was closed, or the peer broke off */
	ERR_CLOSED = -12,
	/* the TLS layer failed; the text says how */
	ERR_TLS = -13,
};

#define ERR_TEXT_MAX 512

/* One sentence for a person.  Always terminated; "" after errtext_clear(). */
struct errtext {
	char s[ERR_TEXT_MAX];
};

#define WARN_UNUSED __attribute__((warn_unused_result))

/* Ignore the result of a fallible call on purpose; write the reason beside it. */
#define IGNORE_RESULT(call) \
	do {                \
		if (call) { \
		}           \
	} while (0)

/* err_str - words for a code; ERR_SYS: errno's.  Valid until the next call in this thread. */
const char *err_str(int code);

/* errtext_clear - empty the text. */
void errtext_clear(struct errtext *e);

/*
 * err_set - fill e (if not NULL) from the format and return code, so one line reports and fails:
 *     return err_set(e, ERR_INVALID, "%s: no such option; did you mean %s?", name, nearest);
 * Keeps errno.  Too long a text is cut.
 */
int err_set(struct errtext *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* err_sys - as err_set with ERR_SYS, and ": " and errno's words appended. */
int err_sys(struct errtext *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
