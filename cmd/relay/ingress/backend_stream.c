/* SPDX-License-Identifier: ISC */
/*
 * backend_stream - requests on a stream to the agent's service, in HTTP/1.1.  Copies of payload: 0
 * (blocks move between the queues).
 *
 * Three machines.
 *      ask      UNSAID ── backend_begin ──> BODY ── backend_end ──> WHOLE
 *      answer   backend_answer.c
 *      life     USED ── failed ──> FAILED ── backend_close ──> OVER
 *               USED ── 101 ──> SWITCHED ── backend_close ──> OVER
 *               USED ── backend_close, and a message was not whole ──> OVER
 *               USED ── backend_close ──> LEAVING ── the service has closed, too ──> OVER
 *               USED ── backend_close ──> IDLE (pool.h) ── backend_open ──> USED
 *                                         IDLE ── the pool drops it ──> LEAVING
 *                                         IDLE ── it ends, or says something ──> OVER
 *
 * A stream is kept (can_keep) only if nobody can be mistaken about where its messages end, and
 * nothing that was said on it changes what the next request means there.
 */
#include "cmd/relay/ingress/backend_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/common/f_stream.h"
#include "cmd/relay/group.h"
#include "cmd/relay/ingress/door.h"
#include "cmd/relay/ingress/publication.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/net/proxy_hdr.h"

static const char *const ask_name[N_ASK] = { "UNSAID", "BODY", "WHOLE" };
static const char *const life_name[N_LIFE] = { "USED", "IDLE", "FAILED", "SWITCHED", "LEAVING",
	"OVER" };

static const bool ask_can[N_ASK][N_ASK] = {
	[ASK_UNSAID] = { [ASK_BODY] = true },
	[ASK_BODY] = { [ASK_WHOLE] = true },
};
static const bool life_can[N_LIFE][N_LIFE] = {
	[LIFE_USED] = { [LIFE_IDLE] = true,
	    [LIFE_FAILED] = true,
	    [LIFE_SWITCHED] = true,
	    [LIFE_LEAVING] = true,
	    [LIFE_OVER] = true },
	[LIFE_IDLE] = { [LIFE_USED] = true, [LIFE_LEAVING] = true, [LIFE_OVER] = true },
	[LIFE_FAILED] = { [LIFE_OVER] = true },
	[LIFE_SWITCHED] = { [LIFE_OVER] = true },
	[LIFE_LEAVING] = { [LIFE_OVER] = true },
};

static void
set_ask(struct backend *b, enum ask next)
{
	assert(ask_can[b->ask][next]);
	log_debug("backend: ask %s -> %s", ask_name[b->ask], ask_name[next]);
	b->ask = next;
}

void
backend_set_life(struct backend *b, enum life next)
{
	assert(life_can[b->life][next]);
	log_debug("backend: %s -> %s", life_name[b->life], life_name[next]);
	b->life = next;
}

/* ---- the end ---- */

static void
backend_dispose(void *arg)
{
	struct backend *b = arg;

	http_head_free(b->head);
	mem_free(b->upgrade);
	mem_free(b);
}

static void
set_counted(struct backend *b, bool on)
{
	if (b->counted == on)
		return;
	b->counted = on;
	if (on)
		b->party->streams++;
	else
		b->party->streams--;
}

/* cut: the service is to see that it has not got, or not sent, all. */
static void
drop_stream(struct backend *b, bool cut)
{
	if (b->f == NULL)
		return;
	b->acked = f_stream_acked(b->f);
	filter_reset(b->f, cut);
	filter_free(b->f);
	b->f = NULL;
}

static void
backend_free(struct backend *b)
{
	backend_set_life(b, LIFE_OVER);
	pool_remove(&b->pooled);
	drop_stream(b, true);
	timer_fini(&b->timer);
	task_cancel(b->loop, &b->resume);
	body_fini(&b->body);
	set_counted(b, false);
	party_put(b->w, b->party);
	publication_unref(b->pub);
	account_put(b->w->relay->accounts, b->payer, loop_now_ms(b->loop));
	loop_bury(b->loop, &b->grave, backend_dispose, b);
}

void
backend_fail(struct backend *b, enum backend_failure f, const char *why)
{
	backend_set_life(b, LIFE_FAILED);
	drop_stream(b, true);
	timer_cancel(&b->timer);
	task_cancel(b->loop, &b->resume);
	b->user->failed(b->arg, f, why);
}

/* ---- time ---- */

/* When it has waited too long for what comes next; UINT64_MAX: it waits for nothing. */
static uint64_t
deadline(const struct backend *b, enum backend_failure *f, const char **why)
{
	*f = BACKEND_SILENT;
	*why = "the service does not answer";
	if (b->life == LIFE_LEAVING)
		return b->since_ms + BACKEND_LEAVE_MS;
	if (b->life != LIFE_USED || b->answer == ANSWER_WHOLE)
		return UINT64_MAX;
	if (!f_stream_is_open(b->f)) {
		*f = BACKEND_UNREACHED;
		*why = "the service cannot be connected in time";
		return b->since_ms + b->connect_ms;
	}
	if (b->answer == ANSWER_BODY) {
		*f = BACKEND_STALLED;
		*why = "the answer stands still";
		/* Of one that may have ended nobody would learn it. */
		if (b->endless && b->body.kind == HTTP_BODY_CLOSE)
			return b->paused ? UINT64_MAX : b->since_ms + b->timeout_ms;
		return b->paused ? UINT64_MAX : b->since_ms + b->stall_ms;
	}
	/* While the visitor says nothing there is nothing to answer. */
	if (b->ask != ASK_WHOLE && filter_unacked(b->f) == 0)
		return UINT64_MAX;
	return b->since_ms + b->timeout_ms;
}

/* A timer that fires too soon is set anew then: so most requests leave it alone. */
static void
watch(struct backend *b)
{
	uint64_t now = loop_now_ms(b->loop), due;
	enum backend_failure f;
	const char *why;

	due = deadline(b, &f, &why);
	if (due == UINT64_MAX || (timer_pending(&b->timer) && b->fires_ms <= due))
		return;
	b->fires_ms = due;
	timer_set(&b->timer, due > now ? due - now : 0);
}

static void
on_timer(void *arg)
{
	struct backend *b = arg;
	enum backend_failure f;
	const char *why;
	uint64_t due = deadline(b, &f, &why);

	if (due > loop_now_ms(b->loop))
		watch(b);
	else if (b->life == LIFE_LEAVING)
		backend_free(b);
	else
		backend_fail(b, f, why);
}

/* Something has happened: from now on it is waited for the next thing. */
static void
progress(struct backend *b)
{
	b->since_ms = loop_now_ms(b->loop);
	watch(b);
}

static void
on_resume(void *arg)
{
	struct backend *b = arg;

	if (backend_is_reading(b))
		backend_take(b);
}

/* ---- closing ---- */

/* Both messages were whole, and the service has ended, too. */
static void
end_well(struct backend *b)
{
	filter_shutdown(b->f);
	drop_stream(b, false);
	backend_free(b);
}

/* It is not kept: it ends as a client of the service would end it. */
static void
leave(struct backend *b)
{
	backend_set_life(b, LIFE_LEAVING);
	set_counted(b, false);
	filter_shutdown(b->f);
	if (b->ended || b->endless)
		end_well(b);
	else
		progress(b);
}

static struct backend *
of_pooled(struct pooled *x)
{
	return (struct backend *)((char *)x - offsetof(struct backend, pooled));
}

static void
on_drop(struct pooled *x)
{
	leave(of_pooled(x));
}

static const struct session *
on_session(const struct pooled *x)
{
	const char *b = (const char *)x - offsetof(struct backend, pooled);

	return f_stream_session(((const struct backend *)(const void *)b)->f);
}

static const struct pooled_ops pooled_ops = { on_drop, on_session };

/* Idle ones leave most of the agent's places to others. */
static bool
has_places(const struct backend *b)
{
	return f_stream_session(b->f)->n_streams <= b->w->relay->opts.max_streams / 2;
}

static bool
can_keep(const struct backend *b)
{
	const struct session *s = f_stream_session(b->f);

	return !b->once && !b->early && !b->followed && !b->ended && s != NULL && !s->going &&
	       (s->can & SESSION_HALF_CLOSE) != 0 && b->pub->state == PUBLICATION_LIVE &&
	       filter_unacked(b->f) <= BACKEND_UNACKED_MAX && has_places(b);
}

static void
keep(struct backend *b)
{
	backend_set_life(b, LIFE_IDLE);
	set_counted(b, false);
	b->n_before++;
}

void
backend_close(struct backend *b)
{
	if (b->life != LIFE_USED || b->ask != ASK_WHOLE || b->answer != ANSWER_WHOLE || b->broken)
		backend_free(b);
	else if (can_keep(b) && pool_put(&b->w->pool, &b->pooled, &pooled_ops, b->party, b->pub))
		keep(b);
	else
		leave(b);
}

/* ---- the stream's calls ---- */

static void
on_readable(void *arg)
{
	struct backend *b = arg;

	if (b->life == LIFE_IDLE) {
		log_debug("backend: the service says something unasked on an idle connection");
		backend_free(b);
	} else if (backend_is_awaited(b)) {
		progress(b);
		if (backend_is_reading(b))
			backend_take(b);
	} else {
		backend_pass_over(b);
	}
}

static void
on_writable(void *arg)
{
	struct backend *b = arg;

	if (b->life == LIFE_USED && b->ask == ASK_BODY)
		b->user->writable(b->arg);
}

/* Who ended it, and when. */
static enum backend_failure
failure_of(const struct backend *b)
{
	uint32_t code = f_stream_code(b->f);

	if (code == CODE_LOST || code == CODE_GONE)
		return BACKEND_LOST;
	if (f_stream_is_open(b->f))
		return BACKEND_CUT;
	return code == CODE_TIMEOUT ? BACKEND_UNREACHED
	       : code == CODE_LIMIT ? BACKEND_FULL
				    : BACKEND_REFUSED;
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct backend *b = arg;

	if (b->life == LIFE_IDLE || b->life == LIFE_LEAVING) {
		end_well(b);
		return;
	}
	if (err == ERR_EOF) {
		b->ended = true;
	} else {
		b->broken = true;
		b->failure = err == ERR_NOMEM ? BACKEND_NO_MEMORY : failure_of(b);
		snprintf(b->why, sizeof b->why, "%s", text);
	}
	if (backend_is_reading(b))
		backend_take(b);
}

static void
on_opened(void *arg)
{
	progress(arg);
}

static void
on_acked(void *arg)
{
	struct backend *b = arg;

	if (b->life == LIFE_USED && b->answer == ANSWER_AWAITED)
		progress(b);
}

static const struct filter_user filter_user = { on_readable, on_writable, on_closed };
static const struct f_stream_news stream_news = { on_opened, on_acked };

/* ---- opening ---- */

static int
send_proxy_header(struct backend *b, const struct backend_request *q)
{
	uint8_t hdr[PROXY_HDR_MAX];

	if (q->proxy == 0)
		return 0;
	return filter_send(b->f, hdr, proxy_hdr_build(hdr, q->proxy, q->visitor, q->to));
}

static struct stream *
open_stream(const struct backend_request *q, struct errtext *why)
{
	struct ctl_open o = { .protocol = "tcp", .client = account_number(q->payer) };
	char from[ADDR_TEXT];

	if (rand_bytes(o.token, sizeof o.token) != 0) {
		err_set(why, ERR_SYS, "the system gives no random bytes");
		return NULL;
	}
	publication_target(q->pub, &o);
	snprintf(o.source, sizeof o.source, "%.*s", (int)sizeof o.source - 1,
	    addr_text(q->visitor, from));
	return session_open(
	    carrier_session(q->agent->carrier), &o, account_budget(q->payer), NULL, NULL, why);
}

static enum backend_failure
open_failure(const struct session *s)
{
	switch (s->open_error) {
	case ERR_LIMIT:
		return BACKEND_FULL;
	case ERR_CLOSED:
		return BACKEND_LOST;
	default:
		return BACKEND_NO_MEMORY;
	}
}

static bool
stand_on_stream(struct backend *b, const struct backend_request *q, enum backend_failure *f,
    struct errtext *why)
{
	struct stream *s = open_stream(q, why);

	if (s == NULL) {
		*f = open_failure(carrier_session(q->agent->carrier));
		return false;
	}
	b->f = f_stream_new(b->loop, s);
	b->endless = (s->session->can & SESSION_ENDS) == 0;
	if (b->f == NULL) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
	} else if (send_proxy_header(b, q) == 0) {
		filter_set_user(b->f, &filter_user, b);
		f_stream_watch(b->f, &stream_news, b);
		return true;
	}
	*f = BACKEND_NO_MEMORY;
	err_set(why, ERR_NOMEM, "out of memory");
	return false;
}

static struct backend *
backend_new(struct loop *l, const struct backend_request *q, struct party *y)
{
	struct backend *b = mem_zalloc(sizeof *b);

	if (b == NULL)
		return NULL;
	b->loop = l;
	b->pub = q->pub;
	publication_ref(b->pub);
	b->w = q->pub->w;
	b->payer = q->payer;
	account_ref(b->w->relay->accounts, b->payer);
	b->party = party_ref(y);
	task_init(&b->resume, on_resume, b);
	b->head = http_head_new(HTTP_HEAD_RESPONSE);
	if (timer_init(&b->timer, l, on_timer, b) == 0 && b->head != NULL)
		return b;
	backend_free(b);
	return NULL;
}

/* One that waits for this, or a new one. */
static struct backend *
get(struct loop *l, const struct backend_request *q, struct party *y, enum backend_failure *f,
    struct errtext *why)
{
	struct pooled *x = q->fresh || q->proxy != 0 ? NULL : pool_take(y, q->pub);
	struct backend *b;

	if (x != NULL) {
		b = of_pooled(x);
		backend_set_life(b, LIFE_USED);
		return b;
	}
	if (!door_may_open(q->payer, q->pub->w)) {
		*f = BACKEND_LIMITED;
		err_set(why, ERR_LIMIT, "%s", door_words(DOOR_ADDRESS));
		return NULL;
	}
	b = backend_new(l, q, y);
	if (b == NULL) {
		*f = BACKEND_NO_MEMORY;
		err_set(why, ERR_NOMEM, "out of memory");
	} else if (!stand_on_stream(b, q, f, why)) {
		backend_free(b);
		b = NULL;
	}
	return b;
}

/* It is this request's from now on.  ERR_NOMEM. */
static int
begin(struct backend *b, const struct backend_request *q, const struct backend_user *u, void *arg)
{
	b->user = u;
	b->arg = arg;
	b->ask = ASK_UNSAID;
	b->answer = ANSWER_AWAITED;
	b->is_head = q->is_head;
	b->once = q->once || q->proxy != 0 || q->upgrade != NULL || b->endless;
	b->connect_ms = q->connect_ms;
	b->timeout_ms = q->timeout_ms;
	b->stall_ms = q->stall_ms;
	b->n_interim = 0;
	b->early = b->paused = false;
	b->before = b->acked = f_stream_acked(b->f) + filter_unacked(b->f);
	http_head_reset(b->head);
	body_fini(&b->body);
	set_counted(b, true);
	progress(b);
	if (q->upgrade != NULL && (b->upgrade = mem_strdup(q->upgrade)) == NULL)
		return ERR_NOMEM;
	return 0;
}

struct backend *
backend_open(struct loop *l, const struct backend_request *q, const struct backend_user *u,
    void *arg, enum backend_failure *f, struct errtext *why)
{
	struct worker *w = q->pub->w;
	struct backend *b = NULL;
	struct party *y;

	if (q->pub->group == NULL) {
		*f = BACKEND_LOST;
		err_set(why, ERR_CLOSED, "the service is no longer published");
		return NULL;
	}
	y = party_get(w, q->payer, q->pub->group->name);
	if (y != NULL && !group_leaves_room(q->pub->group, y, w->relay->opts.max_streams)) {
		*f = BACKEND_LIMITED;
		err_set(why, ERR_LIMIT, "this address has its share of the agent's streams");
	} else if (y == NULL || ((b = get(l, q, y, f, why)) != NULL && begin(b, q, u, arg) != 0)) {
		*f = BACKEND_NO_MEMORY;
		err_set(why, ERR_NOMEM, "out of memory");
		if (b != NULL)
			backend_free(b);
		b = NULL;
	}
	party_put(w, y);
	return b;
}

/* ---- the request ---- */

/* Credentials that authenticate the connection (binds_connection). */
static bool
asks_for_bound(const struct http_build *head)
{
	static const char name[] = "Authorization: ";
	const char *line = head->s, *end = head->s + head->len, *lf;

	for (; (lf = memchr(line, '\n', (size_t)(end - line))) != NULL; line = lf + 1) {
		size_t n = (size_t)(lf - line);

		if (n < sizeof name - 1 || strncasecmp(line, name, sizeof name - 1) != 0)
			continue;
		line += sizeof name - 1;
		if (strncasecmp(line, "NTLM", 4) == 0 || strncasecmp(line, "Negotiate", 9) == 0)
			return true;
	}
	return false;
}

int
backend_begin(struct backend *b, struct http_build *head, enum http_body body, uint64_t length)
{
	int r;

	b->framing = body;
	b->once = b->once || asks_for_bound(head);
	if (b->upgrade != NULL) {
		http_build_header(head, "Connection", "Upgrade");
		http_build_header(head, "Upgrade", b->upgrade);
	} else if (b->once) {
		http_build_header(head, "Connection", "close");
	}
	if (body == HTTP_BODY_LENGTH)
		http_build_headerf(head, "Content-Length", "%llu", (unsigned long long)length);
	else if (body == HTTP_BODY_CHUNKED)
		http_build_header(head, "Transfer-Encoding", "chunked");
	if ((r = http_build_end(head)) != 0)
		return r;
	set_ask(b, ASK_BODY);
	if (b->life != LIFE_USED)
		return 0;
	r = filter_send(b->f, head->s, head->len);
	/* It has ended, and tells of it. */
	return r == ERR_CLOSED ? 0 : r;
}

size_t
backend_room(struct backend *b)
{
	return b->life == LIFE_USED ? filter_room(b->f) : 0;
}

/* q is the stream's from now on; if that has ended, it tells of it. */
static int
write_all(struct backend *b, struct bufq *q)
{
	bool idle = filter_unacked(b->f) == 0;
	int r = filter_write(b->f, q);

	bufq_drain(q, q->len);
	if (r == 0 && idle && b->answer == ANSWER_AWAITED)
		progress(b);
	return r == ERR_CLOSED ? 0 : r;
}

int
backend_body(struct backend *b, struct bufq *payload)
{
	struct bufq chunk = { 0 };
	int r = 0;

	assert(b->ask == ASK_BODY);
	if (b->life != LIFE_USED) {
		bufq_drain(payload, payload->len);
		return 0;
	}
	if (b->framing != HTTP_BODY_CHUNKED)
		return write_all(b, payload);
	if ((r = body_chunk(payload, &chunk)) == 0)
		r = write_all(b, &chunk);
	bufq_fini(&chunk);
	return r;
}

int
backend_end(struct backend *b, const struct body_reader *trailers)
{
	struct bufq last = { 0 };
	int r = 0;

	if (b->life == LIFE_USED && b->framing == HTTP_BODY_CHUNKED) {
		if ((r = body_last_chunk(trailers, &last)) == 0)
			r = write_all(b, &last);
		bufq_fini(&last);
	}
	if (r != 0)
		return r;
	set_ask(b, ASK_WHOLE);
	if (b->life == LIFE_USED && b->answer == ANSWER_AWAITED)
		progress(b);
	return 0;
}

void
backend_pause(struct backend *b, bool paused)
{
	if (b->paused == paused)
		return;
	b->paused = paused;
	if (!backend_is_awaited(b))
		return;
	filter_pause(b->f, paused);
	if (paused)
		return;
	progress(b);
	/* A filter that has ended tells nothing of what it still has. */
	if (b->ended || b->broken)
		task_soon(b->loop, &b->resume);
}

bool
backend_was_used(const struct backend *b)
{
	return b->n_before > 0;
}

/* Only a reset by the agent has the last word about what was acknowledged (PROTOCOL.md 5.6). */
bool
backend_is_untouched(const struct backend *b)
{
	return b->life == LIFE_FAILED && b->broken && b->failure != BACKEND_LOST &&
	       b->failure != BACKEND_NO_MEMORY && b->acked <= b->before;
}

struct filter *
backend_upgraded(struct backend *b)
{
	struct filter *f = b->f;

	assert(b->life == LIFE_SWITCHED && f != NULL);
	b->f = NULL;
	return f;
}
