/* SPDX-License-Identifier: ISC */
/*
 * file - whole files: bounded reads, writes that nobody sees half done, change detection.
 */
#include "lib/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

#define FIRST_READ 4096 /* bytes; doubled until the file fits */

/* A file on its way into memory. */
struct reading {
	/* -1: somebody else's */
	int fd;
	char *buf;
	size_t cap, len;
};

static void
reading_drop(void *arg)
{
	struct reading *rd = arg;

	if (rd->fd >= 0)
		close(rd->fd);
	if (rd->buf != NULL)
		mem_wipe(rd->buf, rd->len);
	mem_free(rd->buf);
}

/*
 * A name that leads to nothing, or to what is no file or not for us, is its writer's mistake; the
 * rest is the system's trouble.
 */
static int
why_unreadable(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOTFOUND;
	case EISDIR:
	case EACCES:
	case EPERM:
	case ELOOP:
	case ENAMETOOLONG:
		return ERR_INVALID;
	default:
		return ERR_SYS;
	}
}

/* Read to the end, growing the buffer; one byte stays free for the NUL. */
static int
slurp(struct reading *rd, int fd, size_t max)
{
	ssize_t got;
	char *bigger;

	for (;;) {
		if (rd->len + 1 >= rd->cap) {
			size_t want = rd->cap * 2 > max + 2 ? max + 2 : rd->cap * 2;

			/* A private key may pass here: no realloc, which leaves copies behind. */
			if ((bigger = mem_alloc(want)) == NULL)
				return ERR_NOMEM;
			memcpy(bigger, rd->buf, rd->len);
			mem_wipe(rd->buf, rd->len);
			mem_free(rd->buf);
			rd->buf = bigger;
			rd->cap = want;
		}
		got = read(fd, rd->buf + rd->len, rd->cap - 1 - rd->len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? 0 : why_unreadable(errno);
		rd->len += (size_t)got;
		if (rd->len > max)
			return ERR_LIMIT;
	}
}

static int
read_whole(struct reading *rd, int fd, const char *name, size_t max, struct errtext *e)
{
	int r;

	rd->cap = max + 2 < FIRST_READ ? max + 2 : FIRST_READ;
	rd->buf = mem_alloc(rd->cap);
	r = rd->buf != NULL ? slurp(rd, fd, max) : ERR_NOMEM;
	if (r == 0)
		rd->buf[rd->len] = '\0';
	else if (r == ERR_LIMIT)
		err_set(e, r, "%s is longer than %zu bytes", name, max);
	else if (r == ERR_NOMEM)
		err_set(e, r, "cannot read %s: %s", name, err_str(r));
	else
		err_sys(e, "cannot read %s", name);
	return r;
}

/* What was read is the caller's; the rest, or after a failure everything, is dropped. */
static int
reading_end(struct reading *rd, int r, char **buf, size_t *len)
{
	if (r == 0) {
		*buf = rd->buf;
		*len = rd->len;
		rd->buf = NULL;
	}
	reading_drop(rd);
	return r;
}

int
file_read_fd(int fd, const char *name, size_t max, char **buf, size_t *len, struct errtext *e)
{
	struct reading rd = { .fd = -1 };

	return reading_end(&rd, read_whole(&rd, fd, name, max, e), buf, len);
}

static int
open_and_read(struct reading *rd, const char *path, size_t max, struct errtext *e)
{
	int r;

	rd->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (rd->fd >= 0)
		return read_whole(rd, rd->fd, path, max, e);
	r = why_unreadable(errno);
	err_sys(e, "cannot open %s", path);
	return r;
}

int
file_read_all(const char *path, size_t max, char **buf, size_t *len, struct errtext *e)
{
	struct reading rd = { .fd = -1 };
	int r, before;

	/*
	 * A FIFO may keep us waiting for ever: here, and nowhere else, a thread that is to end
	 * does.
	 */
	pthread_cleanup_push(reading_drop, &rd);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
	r = open_and_read(&rd, path, max, e);
	pthread_setcancelstate(before, NULL);
	pthread_cleanup_pop(0);
	return reading_end(&rd, r, buf, len);
}

static int
write_all(int fd, const char *p, size_t n)
{
	ssize_t w;

	while (n > 0) {
		w = write(fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return ERR_SYS;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Content onto the disk, and fd closed in every case; *step is what failed. */
static int
finish(int fd, const void *p, size_t n, mode_t mode, const char **step)
{
	int r = 0, saved;

	if (fchmod(fd, mode) != 0) {
		*step = "set the mode of";
		r = ERR_SYS;
	} else if (write_all(fd, p, n) != 0) {
		*step = "write";
		r = ERR_SYS;
	} else if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS) {
		/* Descriptors without a disk behind them answer EINVAL or EROFS: fsync(2). */
		*step = "sync";
		r = ERR_SYS;
	}
	saved = errno;
	if (close(fd) != 0 && r == 0) {
		*step = "close";
		return ERR_SYS; /* a network file system may report a full disk this late */
	}
	errno = saved;
	return r;
}

/* The rename itself survives a power cut only when the directory has been synced too. */
static void
sync_dir(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash != NULL ? mem_dup(path, (size_t)(slash - path) + 2) : mem_strdup(".");
	int fd;

	if (dir == NULL)
		return;
	if (slash != NULL)
		dir[slash - path + 1] = '\0';
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		/* The new content is in place either way; this only narrows a window. */
		IGNORE_RESULT(fsync(fd));
		close(fd);
	}
	mem_free(dir);
}

static int
replace(const char *path, const void *p, size_t n, mode_t mode, struct errtext *e)
{
	static const char suffix[] = ".XXXXXX";
	size_t len = strlen(path);
	const char *step = "create";
	char *tmp = mem_alloc(len + sizeof(suffix));
	int fd, r = 0, saved;

	if (tmp == NULL)
		return err_set(e, ERR_NOMEM, "cannot write %s: out of memory", path);
	memcpy(tmp, path, len);
	memcpy(tmp + len, suffix, sizeof(suffix));
	if ((fd = mkostemp(tmp, O_CLOEXEC)) < 0) {
		r = err_sys(e, "cannot create a temporary file beside %s", path);
		mem_free(tmp);
		return r;
	}
	if ((r = finish(fd, p, n, mode, &step)) == 0 && rename(tmp, path) != 0) {
		step = "replace";
		r = ERR_SYS;
	}
	if (r != 0) {
		saved = errno;
		unlink(tmp);
		errno = saved;
		err_sys(e, "cannot %s %s", step, path);
	} else {
		sync_dir(path);
	}
	mem_free(tmp);
	return r;
}

/*
 * A pipe or a device, which no other file can take the place of.  Without a reader it fails and
 * does not wait.
 */
static int
write_special(const char *path, const void *p, size_t n, struct errtext *e)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), r;

	if (fd < 0)
		return err_sys(e, "cannot open %s", path);
	r = write_all(fd, p, n);
	if (r != 0)
		err_sys(e, "cannot write %s", path);
	close(fd);
	return r;
}

int
file_write_atomic(const char *path, const void *p, size_t n, mode_t mode, struct errtext *e)
{
	struct stat sb, link;
	char *real;
	int r;

	if (stat(path, &sb) != 0 || lstat(path, &link) != 0)
		return replace(path, p, n, mode, e);
	if (!S_ISREG(sb.st_mode) && !S_ISDIR(sb.st_mode))
		return write_special(path, p, n, e);
	if (!S_ISLNK(link.st_mode))
		return replace(path, p, n, mode, e);
	/* A link stays: /dev/stdout is one, and root could replace it. */
	if ((real = realpath(path, NULL)) == NULL)
		return err_sys(e, "cannot find %s", path);
	r = replace(real, p, n, mode, e);
	free(real);
	return r;
}

int
file_create_new(const char *path, const void *p, size_t n, mode_t mode, struct errtext *e)
{
	const char *step = "create";
	int fd, r, saved;

	if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)) < 0) {
		if (errno == EEXIST)
			return err_set(e, ERR_EXISTS,
			    "%s exists already and is not overwritten: move it away or name "
			    "another file",
			    path);
		return err_sys(e, "cannot create %s", path);
	}
	if ((r = finish(fd, p, n, mode, &step)) != 0) {
		saved = errno;
		unlink(path);
		errno = saved;
		err_sys(e, "cannot %s %s", step, path);
	}
	return r;
}

void
file_stamp_take(struct file_stamp *st, const char *path)
{
	struct stat sb;

	*st = (struct file_stamp){ 0 };
	if (stat(path, &sb) != 0)
		return;
	st->exists = true;
	st->dev = sb.st_dev;
	st->ino = sb.st_ino;
	st->size = sb.st_size;
	st->mtime_ns = (int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec;
}

bool
file_stamp_same(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino &&
	       a->size == b->size && a->mtime_ns == b->mtime_ns;
}
