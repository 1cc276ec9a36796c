/* SPDX-License-Identifier: ISC */
/* state - what the relay remembers beyond its own end. */
#include "cmd/relay/ingress/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/relay/ingress/ports.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/hash.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"

enum { FILE_MODE = 0600 };

struct state {
	/* constant */
	struct ports *ports;
	char path[PATH_MAX];
	pthread_t thread;
	/* the thread's: what the file holds, NULL if that is not known */
	char *written;
	struct log_limit log;
	/* guards what follows */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool changed, over;
};

static int
read_file(struct state *st, struct errtext *e)
{
	struct errtext why = { "" };
	char *text = NULL;
	size_t n = 0;
	int r = file_read_all(st->path, PORTS_FILE_MAX, &text, &n, e);

	if (r == ERR_NOTFOUND)
		return 0;
	if (r == 0 && (r = ports_load(st->ports, text, n, &why)) != 0)
		err_set(e, r, "%s: %s; mend it, or remove it and each service gets a new port",
		    st->path, why.s);
	mem_free(text);
	return r;
}

static void
write_file(struct state *st)
{
	struct errtext why = { "out of memory" };
	size_t n;
	char *text = ports_dump(st->ports, &n);

	if (text != NULL && st->written != NULL && strcmp(text, st->written) == 0) {
		mem_free(text);
		return;
	}
	mem_free(st->written);
	st->written = NULL;
	if (text != NULL && file_write_atomic(st->path, text, n, FILE_MODE, &why) == 0) {
		st->written = text;
		return;
	}
	log_limited(&st->log, clock_mono_ms(), LOG_LEVEL_ERROR,
	    "--state: %s; a restarted relay will not know these ports", why.s);
	mem_free(text);
}

static void *
state_run(void *arg)
{
	struct state *st = arg;

	pthread_mutex_lock(&st->lock);
	while (!st->over || st->changed) {
		if (!st->changed) {
			pthread_cond_wait(&st->wake, &st->lock);
			continue;
		}
		st->changed = false;
		pthread_mutex_unlock(&st->lock);
		write_file(st);
		pthread_mutex_lock(&st->lock);
	}
	pthread_mutex_unlock(&st->lock);
	return NULL;
}

static void
state_free(struct state *st)
{
	pthread_cond_destroy(&st->wake);
	pthread_mutex_destroy(&st->lock);
	log_limit_fini(&st->log);
	mem_free(st->written);
	mem_free(st);
}

/* Not when the first port is taken, but while the operator looks. */
static int
check_dir(const char *dir, struct errtext *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	int r = 0;

	if (fd < 0 || faccessat(fd, ".", W_OK | X_OK, 0) != 0)
		r = err_set(e, ERR_INVALID, "--state %s: no directory that can be written: %s", dir,
		    err_str(ERR_SYS));
	if (fd >= 0)
		close(fd);
	return r;
}

/* ---- the key ---- */

enum { KEY_TEXT = HASH_HEX_LEN(STATE_KEY_LEN) };

static int
make_key(const char *path, uint8_t key[STATE_KEY_LEN], struct errtext *e)
{
	char text[KEY_TEXT + 2];
	int r;

	if (rand_bytes(key, STATE_KEY_LEN) != 0)
		return err_set(e, ERR_SYS, "the system gives no random bytes");
	hash_hex(text, key, STATE_KEY_LEN);
	memcpy(text + KEY_TEXT, "\n", 2);
	r = file_create_new(path, text, KEY_TEXT + 1, FILE_MODE, e);
	mem_wipe(text, sizeof text);
	return r;
}

static int
read_key(const char *path, uint8_t key[STATE_KEY_LEN], struct errtext *e)
{
	char *text = NULL;
	size_t n = 0;
	int r = file_read_all(path, KEY_TEXT + 1, &text, &n, e);

	if (r == ERR_NOTFOUND)
		return make_key(path, key, e);
	if (r == 0) {
		if (n == KEY_TEXT + 1 && text[KEY_TEXT] == '\n')
			text[KEY_TEXT] = '\0';
		if (!hash_unhex(key, STATE_KEY_LEN, text))
			r = err_set(e, ERR_INVALID,
			    "%s: not %d hexadecimal digits; put the key back, or remove it and "
			    "each random name becomes another",
			    path, KEY_TEXT);
		mem_wipe(text, n);
	}
	mem_free(text);
	return r;
}

int
state_key(const char *dir, uint8_t key[STATE_KEY_LEN], struct errtext *e)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/names.key", dir), r;

	if (n < 0 || (size_t)n >= sizeof path)
		return err_set(e, ERR_INVALID, "--state: the path is too long");
	r = check_dir(dir, e);
	return r != 0 ? r : read_key(path, key, e);
}

/* ---- the ports ---- */

static int
start_thread(struct state *st)
{
	sigset_t all, old;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	errno = pthread_create(&st->thread, NULL, state_run, st);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return errno == 0 ? 0 : ERR_SYS;
}

int
state_open(const char *dir, struct ports *ports, struct state **out, struct errtext *e)
{
	struct state *st = mem_must_zalloc(sizeof *st);
	int n = snprintf(st->path, sizeof st->path, "%s/ports.json", dir), r;

	st->ports = ports;
	log_limit_init(&st->log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "--state");
	if (n < 0 || (size_t)n >= sizeof st->path) {
		log_limit_fini(&st->log);
		mem_free(st);
		return err_set(e, ERR_INVALID, "--state: the path is too long");
	}
	if (pthread_mutex_init(&st->lock, NULL) != 0 || pthread_cond_init(&st->wake, NULL) != 0)
		r = err_set(e, ERR_NOMEM, "out of memory");
	else if ((r = check_dir(dir, e)) == 0 && (r = read_file(st, e)) == 0 &&
		 (r = start_thread(st)) != 0)
		r = err_sys(e, "--state %s: cannot start a thread", dir);
	if (r == 0)
		*out = st;
	else
		state_free(st);
	return r;
}

void
state_changed(struct state *st)
{
	if (st == NULL)
		return;
	pthread_mutex_lock(&st->lock);
	st->changed = true;
	pthread_cond_signal(&st->wake);
	pthread_mutex_unlock(&st->lock);
}

void
state_close(struct state *st)
{
	if (st == NULL)
		return;
	pthread_mutex_lock(&st->lock);
	st->over = true;
	pthread_cond_signal(&st->wake);
	pthread_mutex_unlock(&st->lock);
	pthread_join(st->thread, NULL);
	state_free(st);
}
