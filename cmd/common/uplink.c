/* SPDX-License-Identifier: ISC */
/* link - one session with the relay, kept alive. */
#include "cmd/common/uplink.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/version.h"
#include "proto/dialect/dialect.h"

enum uplink_state {
	UPLINK_WAITING,
	UPLINK_DIALLING,
	UPLINK_GREETING,
	UPLINK_UP,
	UPLINK_ENDED,
	N_UPLINK
};

/* A session whose relay has said goodbye: until its streams have ended. */
struct leaving {
	struct uplink *uplink;
	struct carrier *carrier;
	TAILQ_ENTRY(leaving) entry;
	struct grave grave;
};

struct uplink {
	struct loop *loop;
	struct uplink_config *cfg;
	enum ctl_role role;
	char name[CTL_AGENT_MAX + 1];
	const struct uplink_user *user;
	void *arg;
	enum uplink_state state;
	struct dialer *dialer;
	/* What was dialled last; and the other one has been tried since this one failed. */
	const struct dialect *dialect;
	bool tried_other;
	/* How long the relay's last refusal asks to stay away. */
	uint64_t asked_ms;
	struct carrier *carrier;
	struct timer retry;
	uint64_t backoff_ms, up_ms;
	/* Of the relay: set of CTL_CAN_*. */
	unsigned abilities;
	/* What ended the last session, or dial, if it was no goodbye. */
	char last_error[ERR_TEXT_MAX];
	bool finishing;
	/* the relay's GOAWAY, CODE_OK if none */
	uint32_t away_code;
	char away_text[256];
	/* the oldest first */
	TAILQ_HEAD(, leaving) leaving;
	unsigned n_leaving;
	struct grave grave;
};

static void uplink_dial(struct uplink *k);

static const char *const state_name[N_UPLINK] = { "waiting", "dialling", "greeting", "up",
	"ended" };

/* From each state it may end, or be lost and tried again; the way up has no short cut. */
static const bool state_can[N_UPLINK][N_UPLINK] = {
	[UPLINK_WAITING] = { [UPLINK_WAITING] = true,
	    [UPLINK_DIALLING] = true,
	    [UPLINK_ENDED] = true },
	[UPLINK_DIALLING] = { [UPLINK_DIALLING] = true,
	    [UPLINK_WAITING] = true,
	    [UPLINK_GREETING] = true,
	    [UPLINK_ENDED] = true },
	[UPLINK_GREETING] = { [UPLINK_WAITING] = true, [UPLINK_UP] = true, [UPLINK_ENDED] = true },
	[UPLINK_UP] = { [UPLINK_WAITING] = true, [UPLINK_ENDED] = true },
	/* After a refusal the owner may want to try again, or to finish. */
	[UPLINK_ENDED] = { [UPLINK_WAITING] = true, [UPLINK_ENDED] = true },
};

static void
set_state(struct uplink *k, enum uplink_state next)
{
	assert(state_can[k->state][next]);
	log_debug("uplink to %s: %s -> %s", k->cfg->relay, state_name[k->state], state_name[next]);
	k->state = next;
}

/*
 * Full jitter: thousands of agents of one relay that comes back must not all knock at the same
 * moment.
 */
static uint64_t
next_wait_ms(struct uplink *k)
{
	uint64_t wait = 0;

	if (rand_below(k->backoff_ms / 2 + 1, &wait) != 0)
		wait = 0;
	wait += k->backoff_ms / 2;
	/* Behind what the relay asks for, so that not all come at that moment either. */
	wait += k->asked_ms < UPLINK_BACKOFF_MAX_MS ? k->asked_ms : UPLINK_BACKOFF_MAX_MS;
	k->asked_ms = 0;
	k->backoff_ms =
	    k->backoff_ms * 2 < UPLINK_BACKOFF_MAX_MS ? k->backoff_ms * 2 : UPLINK_BACKOFF_MAX_MS;
	return wait;
}

/* uplink_finish has been called: when the last session has gone, the owner is told. */
static void
uplink_ended(struct uplink *k, const char *text)
{
	if (k->carrier != NULL || k->n_leaving > 0)
		return;
	set_state(k, UPLINK_ENDED);
	k->user->down(k->arg, ERR_EOF, text, 0);
}

/* A session that lasted was a success: the back-off starts anew. */
static bool
note_success(struct uplink *k)
{
	if (k->state != UPLINK_UP || loop_now_ms(k->loop) - k->up_ms < UPLINK_LASTED_MS)
		return false;
	k->backoff_ms = UPLINK_BACKOFF_MIN_MS;
	return true;
}

static void
uplink_lost(struct uplink *k, int err, const char *text)
{
	uint64_t wait;

	IGNORE_RESULT(note_success(k));
	if (err != ERR_EOF)
		snprintf(k->last_error, sizeof k->last_error, "%s", text);
	carrier_free(k->carrier, err == ERR_PROTO ? CODE_PROTOCOL : CODE_LOST,
	    text[0] != '\0' ? text : "the link to the relay was lost");
	k->carrier = NULL;
	if (k->finishing) {
		uplink_ended(k, text);
		return;
	}
	wait = next_wait_ms(k);
	set_state(k, UPLINK_WAITING);
	timer_set(&k->retry, wait);
	k->user->down(k->arg, err, text, wait);
}

/* The relay said why it does not want us; whether to come back is the owner's decision. */
static void
uplink_refused(struct uplink *k)
{
	struct carrier *c = k->carrier;
	bool again;

	k->carrier = NULL;
	set_state(k, UPLINK_ENDED);
	again = k->user->refused(k->arg, k->away_code, k->away_text);
	/* After the owner knows, so that it does not take the end of the streams for the news. */
	carrier_free(c, k->away_code, k->away_text);
	if (again && !k->finishing) {
		k->backoff_ms = UPLINK_BACKOFF_MAX_MS;
		set_state(k, UPLINK_WAITING);
		timer_set(&k->retry, next_wait_ms(k));
	}
}

/* ---- sessions that leave ---- */

static void
leaving_dispose(void *arg)
{
	mem_free(arg);
}

static void
leaving_free(struct leaving *lv, uint32_t code, const char *text)
{
	struct uplink *k = lv->uplink;

	TAILQ_REMOVE(&k->leaving, lv, entry);
	k->n_leaving--;
	carrier_free(lv->carrier, code, text);
	loop_bury(k->loop, &lv->grave, leaving_dispose, lv);
}

static enum session_verdict
on_leaving_hello(void *arg, const struct ctl_hello *h)
{
	(void)arg; /* never: it has been said */
	(void)h;
	return SESSION_REFUSED;
}

static void
on_leaving_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct leaving *lv = arg;

	/* It was under way when the goodbye was said. */
	lv->uplink->user->open(lv->uplink->arg, s, o);
}

static void
on_leaving_goaway(void *arg, uint32_t code, const char *text)
{
	(void)arg; /* never: only the first counts */
	(void)code;
	(void)text;
}

static void
on_leaving_idle(void *arg)
{
	struct leaving *lv = arg;

	carrier_finish(lv->carrier);
}

static void
on_leaving_closed(void *arg, int err, const char *text)
{
	struct leaving *lv = arg;
	struct uplink *k = lv->uplink;

	log_debug("uplink to %s: the old session has ended: %s", k->cfg->relay,
	    text[0] != '\0' ? text : err_str(err));
	leaving_free(lv, CODE_LOST, text[0] != '\0' ? text : "the link to the relay was lost");
	if (k->finishing)
		uplink_ended(k, text);
}

static const struct carrier_user leaving_user = {
	.hello = on_leaving_hello,
	.open = on_leaving_open,
	.goaway = on_leaving_goaway,
	.idle = on_leaving_idle,
	.closed = on_leaving_closed,
};

/* At once, but for one goodbye after the other. */
static uint64_t
leave_wait_ms(struct uplink *k)
{
	uint64_t wait;

	if (!note_success(k))
		return next_wait_ms(k);
	if (rand_below(UPLINK_LEAVE_SPREAD_MS, &wait) != 0)
		wait = 0;
	return k->role == CTL_AGENT ? wait : wait + UPLINK_LEAVE_SPREAD_MS;
}

/*
 * Put the session aside and begin anew.  Without memory for that it stays, and the uplink dials
 * when it has ended.
 */
static void
uplink_leave(struct uplink *k)
{
	struct leaving *lv = mem_zalloc(sizeof *lv);
	uint64_t wait;

	if (lv == NULL)
		return;
	if (k->n_leaving == UPLINK_LEAVING_MAX)
		leaving_free(TAILQ_FIRST(&k->leaving), CODE_LOST,
		    "the relay went away, and others after it");
	lv->uplink = k;
	lv->carrier = k->carrier;
	TAILQ_INSERT_TAIL(&k->leaving, lv, entry);
	k->n_leaving++;
	carrier_set_user(lv->carrier, &leaving_user, lv);
	if (carrier_session(lv->carrier)->n_streams == 0)
		carrier_finish(lv->carrier);
	k->carrier = NULL;
	k->away_code = CODE_OK;
	k->away_text[0] = '\0';
	wait = leave_wait_ms(k);
	set_state(k, UPLINK_WAITING);
	timer_set(&k->retry, wait);
}

/* ---- the carrier's calls ---- */

static enum session_verdict
on_hello(void *arg, const struct ctl_hello *h)
{
	struct uplink *k = arg;

	if (h->role != CTL_RELAY) {
		session_goaway(carrier_session(k->carrier), CODE_PROTOCOL, "this is not a relay");
		return SESSION_REFUSED;
	}
	k->up_ms = loop_now_ms(k->loop);
	k->abilities = h->abilities;
	set_state(k, UPLINK_UP);
	k->user->up(k->arg);
	return SESSION_GO_ON;
}

static void
on_open(void *arg, struct stream *s, const struct ctl_open *o)
{
	struct uplink *k = arg;

	k->user->open(k->arg, s, o);
}

static void
on_goaway(void *arg, uint32_t code, const char *text)
{
	struct uplink *k = arg;

	k->away_code = code;
	snprintf(k->away_text, sizeof k->away_text, "%s", text);
	log_debug("relay says goodbye: %s (%s)", frame_code_str(code), text);
	if (code == CODE_OK && k->state == UPLINK_UP && !k->finishing &&
	    k->user->away(k->arg, text))
		uplink_leave(k);
}

static void
on_idle(void *arg)
{
	struct uplink *k = arg;

	if (k->finishing)
		carrier_finish(k->carrier);
	k->user->idle(k->arg);
}

/*
 * The others are the relay's or the network's trouble of the moment: a login that came too late may
 * be in time when repeated.
 */
static bool
is_refusal(uint32_t code)
{
	return code != CODE_OK && code != CODE_INTERNAL && code != CODE_TIMEOUT;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct uplink *k = arg;

	if (is_refusal(k->away_code) && !k->finishing)
		uplink_refused(k);
	else
		uplink_lost(k, err,
		    k->away_text[0] != '\0' ? k->away_text
		    : text[0] != '\0'       ? text
					    : "the relay closed the connection");
}

static void
on_control(void *arg, const void *body, size_t n)
{
	struct uplink *k = arg;

	if (k->user->control != NULL)
		k->user->control(k->arg, body, n);
}

static const struct carrier_user carrier_user = {
	.hello = on_hello,
	.open = on_open,
	.goaway = on_goaway,
	.idle = on_idle,
	.closed = on_closed,
	.control = on_control,
};

/* ---- dialling ---- */

static int
say_hello(struct uplink *k, struct session *s)
{
	struct ctl_hello h = {
		.version = CTL_VERSION, .role = k->role, .keepalive_ms = k->cfg->keepalive_ms
	};
	int r;

	snprintf(h.name, sizeof h.name, "%s", k->name);
	if (k->cfg->secret != NULL)
		snprintf(h.secret, sizeof h.secret, "%s", secret_bytes(k->cfg->secret));
	snprintf(h.software, sizeof h.software, "tunnel/%s", VERSION);
	memcpy(h.instance, k->cfg->instance, sizeof h.instance);
	h.last_error = k->last_error[0] != '\0' ? k->last_error : NULL;
	r = session_greet(s, &h);
	ctl_hello_wipe(&h);
	return r;
}

static bool
is_unserved(int status)
{
	return status == 403 || status == 404;
}

/*
 * The relay does not serve what we speak: try the other dialect.  Another uplink may have found
 * that out before.
 */
static bool
try_other(struct uplink *k, int status, const char *text)
{
	struct uplink_config *c = k->cfg;
	bool found = c->target.dialect != k->dialect;

	if (!is_unserved(status) || k->tried_other || (!found && c->other == NULL))
		return false;
	k->tried_other = true;
	snprintf(k->last_error, sizeof k->last_error, "%s", text);
	if (!found) {
		log_info("%s: trying the dialect %s at %s", text, c->other->name, c->other_path);
		uplink_config_switch(c);
	}
	uplink_dial(k);
	return true;
}

static void
dial_failed(struct uplink *k, int status, int err, const char *text)
{
	char first[ERR_TEXT_MAX];

	if (try_other(k, status, text))
		return;
	snprintf(first, sizeof first, "%s", text);
	/* It serves neither: what counts is how it refused the one that it is to serve. */
	if (k->tried_other && is_unserved(status)) {
		snprintf(first, sizeof first, "%s", k->last_error);
		if (k->cfg->target.dialect == k->dialect)
			uplink_config_switch(k->cfg);
	}
	k->tried_other = false;
	uplink_lost(k, err, first);
}

static void
on_dialled(void *arg, struct filter *f, int err, const char *text)
{
	struct uplink *k = arg;
	struct mux_config cfg = { .dialer = true,
		.endpoint = true,
		.keepalive_ms = k->cfg->keepalive_ms,
		.window_max = k->cfg->max_window,
		.budget = &k->cfg->memory,
		.keep = &k->cfg->keep,
		.client_max = k->cfg->client_max };
	int status = f == NULL ? dialer_status(k->dialer) : 0;
	struct session *s;

	cfg.ours = f != NULL && dialer_is_ours(k->dialer);
	k->asked_ms = dialer_wait_ms(k->dialer);
	k->dialer = NULL;
	if (f == NULL) {
		dial_failed(k, status, err, text);
		return;
	}
	k->tried_other = false;
	k->away_code = CODE_OK;
	k->away_text[0] = '\0';
	s = dialect_dial(k->cfg->target.dialect, &cfg, loop_now_us(k->loop));
	if (s != NULL)
		k->carrier = carrier_new(k->loop, f, s, &carrier_user, k);
	if (k->carrier == NULL) {
		session_free(s);
		filter_free(f);
		uplink_lost(k, ERR_NOMEM, "out of memory");
		return;
	}
	if (say_hello(k, s) != 0) {
		uplink_lost(k, ERR_NOMEM, "out of memory");
		return;
	}
	set_state(k, UPLINK_GREETING);
	k->user->ready(k->arg);
}

static void
uplink_dial(struct uplink *k)
{
	k->dialect = k->cfg->target.dialect;
	k->dialer = dialer_start(k->loop, &k->cfg->target, on_dialled, k);
	if (k->dialer == NULL)
		uplink_lost(k, ERR_NOMEM, "out of memory");
	else
		set_state(k, UPLINK_DIALLING);
}

static void
on_retry(void *arg)
{
	uplink_dial(arg);
}

/* ---- life ---- */

struct uplink *
uplink_new(struct loop *l, struct uplink_config *cfg, enum ctl_role role, const char *name,
    const struct uplink_user *user, void *arg)
{
	struct uplink *k = mem_zalloc(sizeof *k);

	if (k == NULL)
		return NULL;
	if (timer_init(&k->retry, l, on_retry, k) != 0) {
		mem_free(k);
		return NULL;
	}
	k->loop = l;
	k->cfg = cfg;
	k->role = role;
	snprintf(k->name, sizeof k->name, "%s", name);
	k->user = user;
	k->arg = arg;
	k->backoff_ms = UPLINK_BACKOFF_MIN_MS;
	TAILQ_INIT(&k->leaving);
	timer_set(&k->retry, 0);
	return k;
}

static void
uplink_dispose(void *arg)
{
	mem_free(arg);
}

void
uplink_free(struct uplink *k, uint32_t code, const char *text)
{
	if (k == NULL)
		return;
	set_state(k, UPLINK_ENDED);
	dialer_cancel(k->dialer);
	while (k->n_leaving > 0)
		leaving_free(TAILQ_FIRST(&k->leaving), code, text);
	carrier_free(k->carrier, code, text);
	timer_fini(&k->retry);
	loop_bury(k->loop, &k->grave, uplink_dispose, k);
}

void
uplink_finish(struct uplink *k, const char *text)
{
	k->finishing = true;
	if (k->carrier == NULL) {
		dialer_cancel(k->dialer);
		k->dialer = NULL;
		timer_cancel(&k->retry);
		uplink_ended(k, text);
		return;
	}
	session_goaway(carrier_session(k->carrier), CODE_OK, text);
	if (carrier_session(k->carrier)->n_streams == 0)
		carrier_finish(k->carrier);
}

struct stream *
uplink_open(struct uplink *k, const struct ctl_open *o, const struct stream_user *user, void *arg,
    uint32_t *code, struct errtext *why)
{
	struct stream *s;

	if (!uplink_has_session(k)) {
		*code = CODE_GONE;
		err_set(why, ERR_CLOSED, "there is no connection to %s", k->cfg->relay);
		return NULL;
	}
	s = session_open(carrier_session(k->carrier), o, NULL, user, arg, why);
	*code = s != NULL ? CODE_OK : session_open_code(carrier_session(k->carrier));
	return s;
}

int
uplink_control(struct uplink *k, const void *body, size_t n)
{
	if (k->state != UPLINK_UP || (k->abilities & CTL_CAN_PUBLISH) == 0)
		return ERR_CLOSED;
	return session_control(carrier_session(k->carrier), body, n);
}

bool
uplink_is_up(const struct uplink *k)
{
	return k->state == UPLINK_UP;
}

bool
uplink_has_session(const struct uplink *k)
{
	return (k->state == UPLINK_UP || k->state == UPLINK_GREETING) &&
	       !carrier_session(k->carrier)->going;
}

uint32_t
uplink_streams(const struct uplink *k)
{
	return k->carrier != NULL ? carrier_session(k->carrier)->n_streams : 0;
}
