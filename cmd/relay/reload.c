/* SPDX-License-Identifier: ISC */
/* reload - credentials and certificates read again while the relay runs. */
#include "cmd/relay/reload.h"

#include <errno.h>

#include "lib/log.h"

static void on_read(void *arg);

static void *
reload_run(void *arg)
{
	struct reload *rl = arg;

	if (rl->with_creds)
		rl->creds_rc = creds_load(rl->relay->opts.credentials, &rl->fresh, &rl->creds_why);
	if (rl->with_tls)
		rl->tls_rc = tls_server_reload(rl->relay->tls, &rl->tls_why);
	if (loop_post(rl->relay->workers[0].loop, on_read, NULL, rl) != 0)
		atomic_store(&rl->undelivered, true);
	return NULL;
}

/* In force for every login and stream from now on. */
static void
use_creds(struct reload *rl)
{
	struct relay *r = rl->relay;
	struct creds *old;

	if (rl->creds_rc != 0) {
		log_errorx("%s; the credentials in use stay", rl->creds_why.s);
		return;
	}
	pthread_mutex_lock(&r->creds_lock);
	old = r->creds;
	r->creds = rl->fresh;
	pthread_mutex_unlock(&r->creds_lock);
	rl->fresh = NULL;
	creds_unref(old);
	log_info("%s: read again", r->opts.credentials);
	rl->done(rl->arg);
}

static void
join(struct reload *rl)
{
	pthread_join(rl->thread, NULL);
	rl->running = false;
}

static void
on_read(void *arg)
{
	struct reload *rl = arg;

	join(rl); /* posting this was the last thing it did */
	if (rl->with_creds)
		use_creds(rl);
	if (rl->with_tls && rl->tls_rc != 0)
		log_errorx("%s; the certificates in use stay", rl->tls_why.s);
	else if (rl->with_tls)
		log_info("certificates read again");
	if (rl->creds_wanted || rl->tls_wanted)
		reload_start(rl, rl->creds_wanted, rl->tls_wanted);
}

void
reload_init(struct reload *rl, struct relay *r, void (*done)(void *arg), void *arg)
{
	*rl = (struct reload){ .relay = r, .done = done, .arg = arg };
}

void
reload_start(struct reload *rl, bool creds, bool tls)
{
	int rc;

	if (rl->running && atomic_load(&rl->undelivered)) {
		join(rl);
		creds_unref(rl->fresh);
		log_errorx("reload: out of memory, once more");
	}
	if (rl->running) {
		rl->creds_wanted = rl->creds_wanted || creds;
		rl->tls_wanted = rl->tls_wanted || tls;
		return;
	}
	rl->creds_wanted = rl->tls_wanted = false;
	rl->with_creds = creds && rl->relay->opts.credentials != NULL;
	rl->with_tls = tls && rl->relay->tls != NULL;
	rl->fresh = NULL;
	atomic_store(&rl->undelivered, false);
	if (!rl->with_creds && !rl->with_tls)
		return;
	rc = pthread_create(&rl->thread, NULL, reload_run, rl);
	rl->running = rc == 0;
	errno = rc;
	if (rc != 0)
		log_error("reload: no thread, nothing is read again");
}

void
reload_fini(struct reload *rl)
{
	if (rl->running)
		join(rl);
	creds_unref(rl->fresh);
	rl->fresh = NULL;
}
