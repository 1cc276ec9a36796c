/* SPDX-License-Identifier: ISC */
/* worker - the relay's threads. */
#include "cmd/relay/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "cmd/relay/guest.h"
#include "cmd/relay/ingress/publish.h"
#include "cmd/relay/ingress/udp.h"
#include "cmd/relay/origin.h"
#include "cmd/relay/peer.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ws/f_ws.h"

int
workers_init(struct relay *r, int n, struct errtext *e)
{
	r->workers = mem_must_zalloc((size_t)n * sizeof *r->workers);
	for (r->n_workers = 0; r->n_workers < n; r->n_workers++) {
		struct worker *w = &r->workers[r->n_workers];

		w->relay = r;
		w->index = r->n_workers;
		snprintf(w->name, sizeof w->name, "w%d", w->index);
		TAILQ_INIT(&w->peers);
		TAILQ_INIT(&w->guests);
		TAILQ_INIT(&w->entries);
		TAILQ_INIT(&w->visitors);
		TAILQ_INIT(&w->fronts);
		w->reserve.fd = -1;
		log_limit_init(&w->evicted_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS,
		    "connections that are not logged in");
		log_limit_init(&w->proxy_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "trusted proxies");
		log_limit_init(&w->entry_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS,
		    "connections to web listeners");
		w->loop = loop_new();
		if (w->loop != NULL)
			w->turns = origin_turns(&r->opts, w->loop);
		if (w->turns == NULL || pool_init(&w->pool, w->loop) != 0)
			return err_sys(e, "cannot make the event loop of worker %d", w->index);
	}
	return 0;
}

void
worker_drop_all(struct worker *w)
{
	entry_drop_all(w);
	guest_drop_all(w);
	front_drop_all(w);
	publish_stop(w);
	pool_stop(&w->pool);
	visitor_drop_all(w);
	peer_drop_all(w);
	rlimit_reserve_fini(&w->reserve);
	udp_guard_free(w->udp);
	w->udp = NULL;
}

static void *
worker_run(void *arg)
{
	struct worker *w = arg;

	log_set_worker(w->name);
	if (loop_run(w->loop) != 0)
		log_error("worker %d: the event loop failed", w->index);
	worker_drop_all(w);
	/* In this thread, whose pool the blocks go back to. */
	loop_settle(w->loop);
	f_ws_thread_fini();
	buf_pool_free();
	return NULL;
}

int
workers_start(struct relay *r, struct errtext *e)
{
	sigset_t all, old;
	int rc = 0;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (int i = 1; rc == 0 && i < r->n_workers; i++) {
		rc = pthread_create(&r->workers[i].thread, NULL, worker_run, &r->workers[i]);
		r->workers[i].started = rc == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		return 0;
	errno = rc;
	return err_sys(e, "cannot start a worker thread");
}

void
workers_each(struct relay *r, void (*fn)(void *worker))
{
	for (int i = 1; i < r->n_workers; i++)
		if (loop_post(r->workers[i].loop, fn, NULL, &r->workers[i]) != 0)
			log_warnx("worker %d is not told: out of memory", i);
	fn(&r->workers[0]);
}

void
workers_stop(struct relay *r)
{
	for (int i = 1; i < r->n_workers; i++)
		if (r->workers[i].started)
			loop_stop(r->workers[i].loop);
	for (int i = 1; i < r->n_workers; i++)
		if (r->workers[i].started)
			pthread_join(r->workers[i].thread, NULL);
}

void
workers_fini(struct relay *r)
{
	for (int i = 0; i < r->n_workers; i++) {
		pool_fini(&r->workers[i].pool);
		tls_turns_free(r->workers[i].turns);
		loop_free(r->workers[i].loop);
		log_limit_fini(&r->workers[i].evicted_log);
		log_limit_fini(&r->workers[i].proxy_log);
		log_limit_fini(&r->workers[i].entry_log);
	}
	mem_free(r->workers);
}
