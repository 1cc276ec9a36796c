/* SPDX-License-Identifier: ISC */
/* acme - the thread that reads the files of challenges. */
#include "cmd/relay/ingress/acme.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"

/* How long the thread waits for memory before it tries again to tell an answer. */
#define TELL_AGAIN_MS 10

struct acme_ask {
	struct loop *loop;
	/* The asker's thread's; NULL: cancelled. */
	void (*fn)(void *arg, const char *text, size_t n);
	void *arg;
	/* The answer. */
	char *text;
	size_t n;
	STAILQ_ENTRY(acme_ask) link;
	char token[ACME_TOKEN_MAX + 1];
};

STAILQ_HEAD(ask_list, acme_ask);

struct acme {
	/* Constant: --acme-dir. */
	int dir;
	pthread_t thread;
	/* The thread's. */
	struct log_limit log;
	/* Guards what follows. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct ask_list asks;
	unsigned n_asks;
	bool over;
};

static void
ask_free(struct acme_ask *q)
{
	mem_free(q->text);
	mem_free(q);
}

/* ---- reading ---- */

/* No link that leads elsewhere, and nothing that could keep the thread waiting. */
static int
read_at(struct acme *a, const char *path, struct acme_ask *q)
{
	int fd = openat(a->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), r;
	struct errtext why = { "" };
	struct stat st;

	if (fd < 0)
		return ERR_NOTFOUND;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		r = ERR_NOTFOUND;
	else
		r = file_read_fd(fd, path, ACME_FILE_MAX, &q->text, &q->n, &why);
	close(fd);
	if (r != 0 && r != ERR_NOTFOUND)
		log_limited(&a->log, clock_mono_ms(), LOG_LEVEL_WARN, "--acme-dir: %s", why.s);
	return r;
}

static void
read_token(struct acme *a, struct acme_ask *q)
{
	char path[sizeof ACME_PATH + ACME_TOKEN_MAX];

	snprintf(path, sizeof path, "%s%s", &ACME_PATH[1], q->token);
	if (read_at(a, path, q) != 0 && read_at(a, q->token, q) != 0)
		q->text = NULL;
}

/* ---- answers ---- */

static void
on_answer(void *arg)
{
	struct acme_ask *q = arg;

	if (q->fn != NULL)
		q->fn(q->arg, q->text, q->n);
	ask_free(q);
}

static void
on_dropped(void *arg)
{
	ask_free(arg);
}

static bool
is_over(struct acme *a)
{
	bool over;

	pthread_mutex_lock(&a->lock);
	over = a->over;
	pthread_mutex_unlock(&a->lock);
	return over;
}

/* The asker waits, so this goes on until there is memory for the message. */
static void
tell(struct acme *a, struct acme_ask *q)
{
	const struct timespec pause = { .tv_nsec = TELL_AGAIN_MS * 1000000L };

	while (loop_post(q->loop, on_answer, on_dropped, q) != 0) {
		if (is_over(a)) {
			ask_free(q);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

static void *
acme_run(void *arg)
{
	struct acme *a = arg;
	struct acme_ask *q;

	pthread_mutex_lock(&a->lock);
	while (!a->over) {
		q = STAILQ_FIRST(&a->asks);
		if (q == NULL) {
			pthread_cond_wait(&a->wake, &a->lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&a->asks, link);
		a->n_asks--;
		pthread_mutex_unlock(&a->lock);
		read_token(a, q);
		tell(a, q);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* ---- questions ---- */

const char *
acme_token(const char *target)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-_";
	const char *token = target + strlen(ACME_PATH);
	size_t n;

	if (strncmp(target, ACME_PATH, strlen(ACME_PATH)) != 0)
		return NULL;
	n = strspn(token, allowed);
	return n > 0 && n <= ACME_TOKEN_MAX && token[n] == '\0' ? token : NULL;
}

struct acme_ask *
acme_ask(struct acme *a, struct loop *l, const char *token,
    void (*fn)(void *arg, const char *text, size_t n), void *arg)
{
	struct acme_ask *q = mem_zalloc(sizeof *q);
	bool full;

	if (q == NULL)
		return NULL;
	q->loop = l;
	q->fn = fn;
	q->arg = arg;
	snprintf(q->token, sizeof q->token, "%s", token);
	pthread_mutex_lock(&a->lock);
	full = a->n_asks >= ACME_ASKS_MAX;
	if (!full) {
		STAILQ_INSERT_TAIL(&a->asks, q, link);
		a->n_asks++;
		pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
	if (!full)
		return q;
	mem_free(q);
	return NULL;
}

void
acme_cancel(struct acme_ask *q)
{
	if (q != NULL)
		q->fn = NULL;
}

/* ---- life ---- */

static void
acme_free(struct acme *a)
{
	struct acme_ask *q;

	while ((q = STAILQ_FIRST(&a->asks)) != NULL) {
		STAILQ_REMOVE_HEAD(&a->asks, link);
		ask_free(q);
	}
	if (a->dir >= 0)
		close(a->dir);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	log_limit_fini(&a->log);
	mem_free(a);
}

static int
start_thread(struct acme *a)
{
	sigset_t all, old;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	errno = pthread_create(&a->thread, NULL, acme_run, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return errno == 0 ? 0 : ERR_SYS;
}

int
acme_open(const char *dir, struct acme **out, struct errtext *e)
{
	struct acme *a = mem_zalloc(sizeof *a);
	int r = 0;

	if (a == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	STAILQ_INIT(&a->asks);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	log_limit_init(&a->log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "--acme-dir");
	a->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->dir < 0 || faccessat(a->dir, ".", R_OK | X_OK, 0) != 0)
		r = err_set(e, ERR_INVALID, "--acme-dir %s: no directory that can be read: %s", dir,
		    err_str(ERR_SYS));
	else if (start_thread(a) != 0)
		r = err_sys(e, "--acme-dir %s: cannot start a thread", dir);
	if (r == 0)
		*out = a;
	else
		acme_free(a);
	return r;
}

void
acme_close(struct acme *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	a->over = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	acme_free(a);
}
