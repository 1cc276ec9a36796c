/* SPDX-License-Identifier: ISC */
/*
 * file - whole files: read with a bound, written so that nobody ever sees half of one, watched for
 * change.
 */
#ifndef LIB_FILE_H
#define LIB_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

/*
 * file_read_all - the whole of path, at most max bytes; a FIFO or /dev/stdin works too.
 *   *buf, *len   on success a block of the caller's (mem_free) with a NUL after its len bytes
 * Returns 0; ERR_NOTFOUND; ERR_INVALID: a directory, or not ours to read; ERR_LIMIT for a longer
 * file; ERR_SYS; ERR_NOMEM.  e (may be NULL) names the file.
 * A thread may be cancelled while it waits for the file, and only then; nothing is left behind.
 */
int file_read_all(
    const char *path, size_t max, char **buf, size_t *len, struct errtext *e) WARN_UNUSED;

/* file_read_fd - the same from an open descriptor (borrowed); name is what e calls it. */
int file_read_fd(
    int fd, const char *name, size_t max, char **buf, size_t *len, struct errtext *e) WARN_UNUSED;

/*
 * file_write_atomic - replace or create path with n bytes: a temporary file in the same directory,
 * fsync, rename. A reader sees the old file or the new one, whole.  On failure (full disk, ...) the
 * temporary file is gone and path is as it was.  Of a symbolic link the file it leads to is
 * replaced (or the link, if it leads nowhere); a pipe or a device (/dev/stdout) is written to,
 * without waiting for a reader.  Returns 0, ERR_SYS or ERR_NOMEM; e names the path and the step.
 */
int file_write_atomic(
    const char *path, const void *p, size_t n, mode_t mode, struct errtext *e) WARN_UNUSED;

/*
 * file_create_new - write n bytes to a file that must not exist yet.  Returns 0; ERR_EXISTS and the
 * file that is there is untouched (a dangling symbolic link counts as there); ERR_SYS, and what was
 * begun is removed.
 */
int file_create_new(
    const char *path, const void *p, size_t n, mode_t mode, struct errtext *e) WARN_UNUSED;

/*
 * What a file looked like: two stamps differ when it was rewritten, replaced, touched, created or
 * removed.
 */
struct file_stamp {
	bool exists;
	dev_t dev;
	ino_t ino;
	off_t size;
	int64_t mtime_ns;
};

/*
 * file_stamp_take - look at path now (links are followed).  A file that cannot be looked at counts
 * as absent.
 */
void file_stamp_take(struct file_stamp *st, const char *path);

/* file_stamp_same - do both describe the same content, as far as stat(2) tells? */
bool file_stamp_same(const struct file_stamp *a, const struct file_stamp *b);

#endif
