/* SPDX-License-Identifier: ISC */
/* reload - credentials, certificates and pages read again while the relay runs. */
#include "cmd/relay/reload.h"

#include "cmd/relay/ingress/pages.h"
#include "cmd/relay/who.h"
#include "cmd/relay/worker.h"
#include "lib/base/log.h"
#include "lib/tls/tls.h"

static void begin(struct reload *rl, bool only_changed);

static bool
creds_changed(struct reload *rl)
{
	struct file_stamp now;

	file_stamp_take(&now, rl->relay->opts.credentials);
	return !file_stamp_same(&now, &rl->creds_stamp);
}

static void
read_them(void *arg)
{
	struct reload *rl = arg;

	if (rl->only_changed) {
		if ((rl->with & RELOAD_CREDS) != 0 && !creds_changed(rl))
			rl->with &= ~(unsigned)RELOAD_CREDS;
		if ((rl->with & RELOAD_TLS) != 0 && !tls_server_changed(rl->relay->tls))
			rl->with &= ~(unsigned)RELOAD_TLS;
	}
	if ((rl->with & RELOAD_CREDS) != 0) {
		reload_seen(rl);
		rl->creds_rc = who_read(rl->relay, &rl->fresh, &rl->creds_why);
	}
	if ((rl->with & RELOAD_TLS) != 0)
		rl->tls_rc = tls_server_reload(rl->relay->tls, &rl->tls_why);
	if ((rl->with & RELOAD_PAGES) != 0)
		rl->pages_rc =
		    pages_load(rl->relay->opts.error_pages, &rl->fresh_pages, &rl->pages_why);
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
	who_warn(r);
	log_info("%s: read again", r->opts.credentials);
	rl->done(rl->arg);
}

static void
use_pages(struct reload *rl)
{
	struct relay *r = rl->relay;
	struct pages *old;

	if (rl->pages_rc != 0) {
		log_errorx("--error-pages: %s; the pages in use stay", rl->pages_why.s);
		return;
	}
	pthread_mutex_lock(&r->creds_lock);
	old = r->pages;
	r->pages = rl->fresh_pages;
	pthread_mutex_unlock(&r->creds_lock);
	rl->fresh_pages = NULL;
	pages_unref(old);
	log_info("%s: read again", r->opts.error_pages);
}

static void
on_read(void *arg)
{
	struct reload *rl = arg;

	if ((rl->with & RELOAD_CREDS) != 0)
		use_creds(rl);
	if ((rl->with & RELOAD_TLS) != 0 && rl->tls_rc != 0)
		log_errorx("%s; this certificate stays as it was", rl->tls_why.s);
	else if ((rl->with & RELOAD_TLS) != 0)
		log_info("certificates read again");
	if ((rl->with & RELOAD_PAGES) != 0)
		use_pages(rl);
	if (rl->wanted != 0)
		begin(rl, false);
}

void
reload_init(struct reload *rl, struct relay *r, void (*done)(void *arg), void *arg)
{
	*rl = (struct reload){ .relay = r, .done = done, .arg = arg };
	log_limit_init(&rl->failed_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "reload");
}

void
reload_seen(struct reload *rl)
{
	file_stamp_take(&rl->creds_stamp, rl->relay->opts.credentials);
}

static unsigned
configured(const struct relay *r)
{
	return (r->opts.credentials != NULL ? RELOAD_CREDS : 0u) |
	       (r->tls != NULL ? RELOAD_TLS : 0u) |
	       (r->opts.error_pages != NULL ? RELOAD_PAGES : 0u);
}

/* What is wanted; or only_changed: of credentials and certificates, what differs from before. */
static void
begin(struct reload *rl, bool only_changed)
{
	const struct relay *r = rl->relay;

	rl->only_changed = only_changed;
	rl->with = (only_changed ? RELOAD_CREDS | RELOAD_TLS : rl->wanted) & configured(r);
	rl->wanted = 0;
	rl->fresh = NULL;
	rl->fresh_pages = NULL;
	/* When reload_init was called there were no loops yet. */
	aside_init(&rl->reading, r->workers[0].loop, read_them, on_read, rl);
	if (rl->with == 0 || aside_start(&rl->reading) == 0)
		return;
	/* The next look tries again what was asked for; what has changed it finds by itself. */
	rl->wanted = only_changed ? 0 : rl->with;
	log_limited(&rl->failed_log, loop_now_ms(r->workers[0].loop), LOG_LEVEL_ERROR,
	    "reload: no thread, nothing is read again: %s", err_str(ERR_SYS));
}

void
reload_start(struct reload *rl, unsigned what)
{
	rl->wanted |= what;
	if (!aside_is_busy(&rl->reading))
		begin(rl, false);
}

void
reload_watch(struct reload *rl)
{
	if (!aside_is_busy(&rl->reading))
		begin(rl, rl->wanted == 0);
}

void
reload_fini(struct reload *rl)
{
	aside_fini(&rl->reading);
	creds_unref(rl->fresh);
	rl->fresh = NULL;
	pages_unref(rl->fresh_pages);
	rl->fresh_pages = NULL;
	log_limit_fini(&rl->failed_log);
}
