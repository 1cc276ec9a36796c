/* SPDX-License-Identifier: ISC */
/* exchange - one request of a visitor and its answer: its life, its end, its times. */
#include "cmd/relay/ingress/exchange_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "cmd/relay/account.h"
#include "cmd/relay/ingress/acme.h"
#include "cmd/relay/ingress/answers.h"
#include "cmd/relay/origin.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/http/xff.h"

/* An answer that does not move is looked at so many times within its limit. */
#define STALL_LOOKS 4

static const char *const state_name[] = { "routed", "waiting", "asked", "answered", "tunnel",
	"over" };

/* From the row's state to the column's. */
static const bool state_can[EXCHANGE_STATES][EXCHANGE_STATES] = {
	[EXCHANGE_ROUTED] = { [EXCHANGE_WAITING] = true,
	    [EXCHANGE_ASKED] = true,
	    [EXCHANGE_OVER] = true },
	[EXCHANGE_WAITING] = { [EXCHANGE_ASKED] = true, [EXCHANGE_OVER] = true },
	[EXCHANGE_ASKED] = { [EXCHANGE_ANSWERED] = true,
	    [EXCHANGE_TUNNEL] = true,
	    [EXCHANGE_OVER] = true },
	[EXCHANGE_ANSWERED] = { [EXCHANGE_OVER] = true },
	[EXCHANGE_TUNNEL] = { [EXCHANGE_OVER] = true },
};

void
exchange_set_state(struct exchange *x, enum exchange_state next)
{
	assert(state_can[x->state][next]);
	log_debug("request %s: %s -> %s", x->id, state_name[x->state], state_name[next]);
	x->state = next;
}

uint64_t
exchange_now_ms(const struct exchange *x)
{
	return loop_now_ms(x->w->loop);
}

const struct relay_opts *
exchange_opts(const struct exchange *x)
{
	return &x->w->relay->opts;
}

/* ---- the end ---- */

/* One line for each request, as far as its visitor may have lines. */
void
exchange_log(const struct exchange *x)
{
	uint64_t now = exchange_now_ms(x);
	char from[ADDR_TEXT];

	if (!log_limit_admits(account_log(x->pass.account), now, LOG_LEVEL_INFO))
		return;
	log_info("request %s: %s -> %s%s%s: %s http%s://%s%s: %d, %llu bytes up, %llu down, "
		 "%llu ms to the first byte, %llu ms%s%s",
	    x->id, addr_text(&x->visitor, from), x->route.agent,
	    x->route.agent[0] != '\0' ? ":" : "nobody", x->route.service, http_method(x->head),
	    x->tls ? "s" : "", x->site.host, x->site.target, x->status, (unsigned long long)x->up,
	    (unsigned long long)x->down,
	    (unsigned long long)(x->first_ms != 0 ? x->first_ms - x->since_ms : 0),
	    (unsigned long long)(now - x->since_ms), x->why[0] != '\0' ? ": " : "", x->why);
}

void
exchange_set_why(struct exchange *x, const char *why)
{
	/* It may be what stands there already: of a refusal that was known from the start. */
	if (why != x->why)
		snprintf(x->why, sizeof x->why, "%s", why);
}

void
exchange_close_backend(struct exchange *x)
{
	if (x->b != NULL)
		backend_close(x->b);
	x->b = NULL;
}

/* Everything is given back but the memory. */
static void
release(struct exchange *x)
{
	exchange_leave_publication(x);
	exchange_set_state(x, EXCHANGE_OVER);
	if (x->splice != NULL)
		splice_stop(x->splice);
	if (x->head != NULL)
		exchange_log(x);
	task_cancel(x->w->loop, &x->flush);
	acme_cancel(x->challenge);
	x->challenge = NULL;
	exchange_close_backend(x);
	request_web_unref(x->rules);
	door_leave(&x->pass, x->w);
	body_fini(&x->body);
	bufq_fini(&x->again);
	http_head_free(x->head);
	if (x->counted)
		atomic_fetch_sub(&x->w->relay->counts.visitors, 1);
}

void
exchange_finish(struct exchange *x, enum exchange_end end)
{
	release(x);
	x->user->done(x->arg, end);
}

/* The answer that has begun must not be taken for a whole one. */
void
exchange_cut(struct exchange *x, const char *why)
{
	exchange_set_why(x, why);
	exchange_finish(x, EXCHANGE_CUT);
}

void
exchange_set_reset(struct exchange *x, bool on)
{
	if (x->reset != on)
		filter_reset(x->f, on);
	x->reset = on;
}

void
exchange_answered(struct exchange *x, bool keep)
{
	exchange_finish(x, !x->body_done ? EXCHANGE_EARLY : keep ? EXCHANGE_KEEP : EXCHANGE_LAST);
}

const struct refusal exchange_no_memory = { 503, "the relay is out of memory" };

/* a: what is to be said; the rest is filled in. */
static void
answer(struct exchange *x, struct answer *a)
{
	bool written;

	/* RFC 9112 9.3: the next request stands behind this one's body. */
	a->keep = x->keep && x->body_done && !atomic_load(&x->w->relay->draining);
	a->request_id = x->id;
	x->status = a->status;
	x->first_ms = exchange_now_ms(x);
	written = answer_send(x->w->relay, x->f, a, x->head) == 0;
	/* The connection may have turned out to be broken. */
	if (x->state == EXCHANGE_OVER)
		return;
	if (written)
		exchange_answered(x, a->keep);
	else
		exchange_finish(x, EXCHANGE_CUT);
}

/* Answer in the service's place; what has begun is cut. */
void
exchange_refuse(struct exchange *x, struct refusal no, const char *why)
{
	struct answer a = { .status = no.status, .text = no.text };

	if (x->state == EXCHANGE_ANSWERED) {
		exchange_cut(x, why);
		return;
	}
	if (no.status == 308) {
		a.host = x->site.host;
		a.target = x->site.target[0] == '/' ? x->site.target : "/";
		a.port = x->w->relay->ingress.https_public;
	}
	exchange_set_why(x, why);
	answer(x, &a);
}

void
exchange_answer_text(struct exchange *x, const char *text, size_t n)
{
	x->down = n;
	answer(x, &(struct answer){ .status = 200, .body = text, .len = n });
}

/* ---- what is due ---- */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool
exchange_awaits_body(const struct exchange *x)
{
	return x->b != NULL && !x->body_done && !x->holding && !x->blocked;
}

/* Does nothing but the service's next byte tell whether the visitor is still there? */
static bool
may_have_gone(const struct exchange *x)
{
	return x->ended && x->backlog == 0 && !exchange_awaits_body(x) &&
	       (x->state == EXCHANGE_WAITING || x->state == EXCHANGE_ASKED ||
		   x->state == EXCHANGE_ANSWERED);
}

static uint64_t
gone_ms(const struct exchange *x)
{
	/* A body that the service takes slowly is on its way, too. */
	return (x->body_ms > x->ended_ms ? x->body_ms : x->ended_ms) + EXCHANGE_ENDED_MS;
}

void
exchange_note_given(struct exchange *x)
{
	x->ended_ms = exchange_now_ms(x);
}

void
exchange_arrange(struct exchange *x)
{
	uint64_t at = UINT64_MAX;

	if (x->state == EXCHANGE_WAITING || x->holding || x->challenge != NULL)
		at = x->until_ms;
	if (exchange_awaits_body(x))
		at = earlier(at, x->body_ms + exchange_opts(x)->body_ms);
	if (x->backlog > 0)
		at = earlier(at, exchange_now_ms(x) + exchange_opts(x)->answer_ms / STALL_LOOKS);
	if (may_have_gone(x))
		at = earlier(at, gone_ms(x));
	if (at != UINT64_MAX)
		x->user->due(x->arg, at);
}

/* ---- what the connection tells ---- */

void
exchange_readable(struct exchange *x)
{
	if (x->state == EXCHANGE_OVER)
		return;
	if (exchange_awaits_body(x))
		exchange_move_body(x);
	else
		exchange_watch_visitor(x);
}

void
exchange_writable(struct exchange *x)
{
	/* 1xx heads, too, may have filled it up. */
	if ((x->state != EXCHANGE_ASKED && x->state != EXCHANGE_ANSWERED) || filter_room(x->f) == 0)
		return;
	if (x->whole) {
		exchange_flush(x);
		return;
	}
	x->backlog = 0;
	if (x->paused)
		backend_pause(x->b, false);
	x->paused = false;
}

void
exchange_ended(struct exchange *x)
{
	if (x->state == EXCHANGE_OVER)
		return;
	x->ended = true;
	exchange_note_given(x);
	/* What has come before is the body's still. */
	if (exchange_awaits_body(x))
		exchange_move_body(x);
	if (x->state != EXCHANGE_OVER)
		exchange_arrange(x);
}

void
exchange_tick(struct exchange *x, uint64_t now)
{
	static const struct refusal slow = { 408, "the body of the request does not come" };
	static const struct refusal late = { 504, "the relay's disk does not answer in time" };

	if (x->challenge != NULL && now >= x->until_ms) {
		exchange_refuse(x, late, "the file of a challenge is not read in time");
		return;
	}
	if (x->state == EXCHANGE_WAITING && now >= x->until_ms) {
		exchange_away(x);
		return;
	}
	if (x->holding && now >= x->until_ms)
		exchange_stop_holding(x);
	if (x->state != EXCHANGE_OVER && exchange_awaits_body(x) &&
	    now >= x->body_ms + exchange_opts(x)->body_ms) {
		x->keep = false;
		exchange_refuse(x, slow, "no byte of the body within --body-timeout");
	}
	if (x->state == EXCHANGE_ANSWERED && x->backlog > 0) {
		exchange_note_backlog(x);
		if (x->backlog > 0 && now >= x->moved_ms + exchange_opts(x)->answer_ms)
			exchange_cut(
			    x, "the visitor takes nothing of the answer within --answer-timeout");
	}
	if (may_have_gone(x) && now >= gone_ms(x))
		exchange_cut(x, "the visitor has ended, and the service has nothing for it yet");
	if (x->state != EXCHANGE_OVER)
		exchange_arrange(x);
}

void
exchange_lost(struct exchange *x, const char *why)
{
	if (x->state == EXCHANGE_OVER)
		return;
	exchange_set_why(x, why);
	release(x);
}

/* ---- life ---- */

static bool
is_id(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= EXCHANGE_ID_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			 "-._~+/=:@") == n;
}

static int
set_id(struct exchange *x)
{
	const char *given = http_header(x->head, "X-Request-Id");
	uint8_t random[8];

	if (given != NULL && is_id(given)) {
		snprintf(x->id, sizeof x->id, "%s", given);
		return 0;
	}
	if (rand_bytes(random, sizeof random) != 0)
		return ERR_SYS;
	hash_hex(x->id, random, sizeof random);
	return 0;
}

static void
learn_visitor(struct exchange *x)
{
	const struct relay *r = x->w->relay;

	x->visitor = *x->peer;
	x->trusted = origin_is_proxy(r, x->peer);
	if (x->trusted)
		xff_client(x->head, x->peer, r->proxies, r->n_proxies, &x->visitor);
}

static void
begin_body(struct exchange *x)
{
	bool expects = http_minor(x->head) > 0 && http_has_token(x->head, "Expect", "100-continue");

	body_begin(&x->body, http_body(x->head), http_content_length(x->head));
	x->body_done = body_is_done(&x->body);
	x->holding = expects && !x->body_done;
	x->until_ms = x->since_ms + EXCHANGE_EXPECT_MS;
}

struct exchange *
exchange_new(struct worker *w, struct http_head *head, const struct exchange_from *from)
{
	struct exchange *x = mem_zalloc(sizeof *x);

	if (x == NULL)
		return NULL;
	x->w = w;
	x->f = from->f;
	x->head = head;
	x->peer = from->peer;
	x->to = from->to;
	x->tls = from->tls;
	x->user = from->user;
	x->arg = from->arg;
	x->since_ms = exchange_now_ms(x);
	x->is_head = strcmp(http_method(head), "HEAD") == 0;
	x->keep = http_minor(head) > 0 ? !http_has_token(head, "Connection", "close")
				       : http_has_token(head, "Connection", "keep-alive");
	task_init(&x->flush, exchange_flush, x);
	learn_visitor(x);
	if (set_id(x) != 0 || !door_known(&x->pass, w, &x->visitor)) {
		mem_free(x);
		return NULL;
	}
	begin_body(x);
	exchange_route(x);
	return x;
}

struct worker *
exchange_worker(const struct exchange *x, struct worker *w)
{
	return x->refusal.status != 0 ? w : &w->relay->workers[x->route.worker];
}

void
exchange_move(struct exchange *x, struct worker *w)
{
	x->w = w;
}

static void
exchange_dispose(void *arg)
{
	mem_free(arg);
}

void
exchange_free(struct exchange *x)
{
	if (x == NULL)
		return;
	exchange_lost(x, "broken off");
	loop_bury(x->w->loop, &x->grave, exchange_dispose, x);
}
