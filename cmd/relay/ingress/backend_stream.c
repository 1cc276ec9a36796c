/* SPDX-License-Identifier: ISC */
/*
 * backend_stream - requests on a stream to the agent's service, in HTTP/1.1.  Copies of payload: 0
 * (blocks move between the queues).
 *
 * Three machines.
 *      ask      UNSAID ── backend_begin ──> BODY ── backend_end ──> WHOLE
 *      answer   AWAITED ── its final head ──> BODY ── its last byte ──> WHOLE
 *      life     USED ── failed ──> FAILED ── backend_close ──> OVER
 *               USED ── 101 ──> SWITCHED ── backend_close ──> OVER
 *               USED ── backend_close ──> OVER: broken off, the messages were not whole
 *               USED ── backend_close ──> LEAVING ── the service has closed, too ──> OVER
 *
 * What is read is strict (lib/http): the answer's bytes are all that decides where it ends, and on
 * doubt the stream is dropped with what follows.
 */
#include "cmd/relay/ingress/backend.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/common/f_stream.h"
#include "cmd/relay/group.h"
#include "cmd/relay/ingress/publish.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/net/proxy_hdr.h"

enum ask { ASK_UNSAID, ASK_BODY, ASK_WHOLE, N_ASK };
enum answer { ANSWER_AWAITED, ANSWER_BODY, ANSWER_WHOLE, N_ANSWER };
enum life { LIFE_USED, LIFE_FAILED, LIFE_SWITCHED, LIFE_LEAVING, LIFE_OVER, N_LIFE };

static const char *const ask_name[N_ASK] = { "UNSAID", "BODY", "WHOLE" };
static const char *const answer_name[N_ANSWER] = { "AWAITED", "BODY", "WHOLE" };
static const char *const life_name[N_LIFE] = { "USED", "FAILED", "SWITCHED", "LEAVING", "OVER" };

static const bool ask_can[N_ASK][N_ASK] = {
	[ASK_UNSAID] = { [ASK_BODY] = true },
	[ASK_BODY] = { [ASK_WHOLE] = true },
};
static const bool answer_can[N_ANSWER][N_ANSWER] = {
	[ANSWER_AWAITED] = { [ANSWER_BODY] = true },
	[ANSWER_BODY] = { [ANSWER_WHOLE] = true },
};
static const bool life_can[N_LIFE][N_LIFE] = {
	[LIFE_USED] = { [LIFE_FAILED] = true,
	    [LIFE_SWITCHED] = true,
	    [LIFE_LEAVING] = true,
	    [LIFE_OVER] = true },
	[LIFE_FAILED] = { [LIFE_OVER] = true },
	[LIFE_SWITCHED] = { [LIFE_OVER] = true },
	[LIFE_LEAVING] = { [LIFE_OVER] = true },
};

struct backend {
	struct loop *loop;
	struct worker *w;
	/* NULL: nobody is told. */
	const struct backend_user *user;
	void *arg;
	enum ask ask;
	enum answer answer;
	enum life life;
	/* The stream; NULL once it has failed, or is the user's. */
	struct filter *f;
	/* Its share of the agent's streams and memory; references. */
	struct account *payer;
	struct party *party;
	/* Of the request. */
	enum http_body framing;
	bool is_head, once;
	char *upgrade;
	uint64_t connect_ms, timeout_ms;
	/* Of the answer. */
	struct http_head *head;
	struct body_reader body;
	unsigned n_interim;
	/* Its answer began before the request had ended. */
	bool early;
	bool paused;
	/* The stream ended while the answer was paused: what stands in it is yet to be delivered. */
	bool ended, broken;
	char why[128];
	enum backend_failure failure;
	/* Acknowledged bytes of the stream, when it failed or the request began. */
	uint64_t acked_before, acked;
	/* Since when it is waited for. */
	uint64_t since_ms;
	struct timer timer;
	uint64_t fires_ms;
	struct task resume;
	struct grave grave;
};

static void
set_ask(struct backend *b, enum ask next)
{
	assert(ask_can[b->ask][next]);
	log_debug("backend: ask %s -> %s", ask_name[b->ask], ask_name[next]);
	b->ask = next;
}

static void
set_answer(struct backend *b, enum answer next)
{
	assert(answer_can[b->answer][next]);
	log_debug("backend: answer %s -> %s", answer_name[b->answer], answer_name[next]);
	b->answer = next;
}

static void
set_life(struct backend *b, enum life next)
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

/* Nobody counts it any more. */
static void
uncount(struct backend *b)
{
	if (b->party == NULL)
		return;
	b->party->streams--;
	party_put(b->w, b->party);
	b->party = NULL;
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
	set_life(b, LIFE_OVER);
	drop_stream(b, true);
	timer_fini(&b->timer);
	task_cancel(b->loop, &b->resume);
	body_fini(&b->body);
	uncount(b);
	account_put(b->w->relay->accounts, b->payer, loop_now_ms(b->loop));
	loop_bury(b->loop, &b->grave, backend_dispose, b);
}

static void
fail(struct backend *b, enum backend_failure f, const char *why)
{
	set_life(b, LIFE_FAILED);
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
		return b->paused ? UINT64_MAX : b->since_ms + BACKEND_STALL_MS;
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
		fail(b, f, why);
}

/* Something has happened: from now on it is waited for the next thing. */
static void
progress(struct backend *b)
{
	b->since_ms = loop_now_ms(b->loop);
	watch(b);
}

/* ---- the answer ---- */

static void
malformed(struct backend *b, const char *why)
{
	fail(b, BACKEND_MALFORMED, why);
}

/* RFC 9110 7.8: a switch is to one of those that were asked for. */
static bool
may_switch(const struct backend *b, const struct http_head *h)
{
	const char *list = http_header(h, "upgrade");
	char name[64];
	size_t n, some = 0;

	if (b->upgrade == NULL || list == NULL || http_header_count(h, "upgrade") > 1 ||
	    !http_has_token(h, "connection", "upgrade"))
		return false;
	for (; *list != '\0'; list += n) {
		list += strspn(list, " \t,");
		n = strcspn(list, " \t,");
		if (n == 0)
			continue;
		if (n >= sizeof name)
			return false;
		snprintf(name, sizeof name, "%.*s", (int)n, list);
		if (!http_list_has(b->upgrade, name))
			return false;
		some++;
	}
	return some > 0;
}

static void
take_switch(struct backend *b)
{
	if (b->ask != ASK_WHOLE || !may_switch(b, b->head)) {
		malformed(b, "the service switches to a protocol that was not asked for");
		return;
	}
	set_life(b, LIFE_SWITCHED);
	timer_cancel(&b->timer);
	filter_pause(b->f, true);
	filter_set_user(b->f, NULL, NULL);
	f_stream_watch(b->f, NULL, NULL);
	b->user->head(b->arg, b->head);
}

static void
take_interim(struct backend *b)
{
	if (http_status(b->head) == 101) {
		take_switch(b);
		return;
	}
	if (b->n_interim++ == BACKEND_INTERIM_MAX) {
		malformed(b, "the service sends one 1xx after the other");
		return;
	}
	b->user->head(b->arg, b->head);
	if (b->life == LIFE_USED)
		http_head_reset(b->head);
}

static bool
names_bound_scheme(const char *list)
{
	const char *s;
	size_t n;

	while ((s = http_next_scheme(&list, &n)) != NULL)
		if ((n == 4 && strncasecmp(s, "NTLM", n) == 0) ||
		    (n == 9 && strncasecmp(s, "Negotiate", n) == 0))
			return true;
	return false;
}

/* Schemes that authenticate the connection, and so whoever uses it next. */
static bool
binds_connection(const struct http_head *h)
{
	const char *name, *value;

	for (size_t i = 0; http_header_at(h, i, &name, &value); i++)
		if ((strcasecmp(name, "WWW-Authenticate") == 0 ||
			strcasecmp(name, "Proxy-Authenticate") == 0) &&
		    names_bound_scheme(value))
			return true;
	return false;
}

static void
take_final(struct backend *b)
{
	enum http_body kind = b->is_head ? HTTP_BODY_NONE : http_body(b->head);

	b->early = b->ask != ASK_WHOLE || filter_pending(b->f) > 0;
	b->once = b->once || kind == HTTP_BODY_CLOSE || http_minor(b->head) == 0 ||
		  http_has_token(b->head, "connection", "close") || binds_connection(b->head);
	body_begin(&b->body, kind, http_content_length(b->head));
	set_answer(b, ANSWER_BODY);
	b->user->head(b->arg, b->head);
}

static void
take_head(struct backend *b)
{
	struct errtext why = { "" };
	int r = http_head_take(b->head, &b->f->in, &why);

	if (r != 0) {
		fail(b,
		    r == ERR_LIMIT   ? BACKEND_HEAD_TOO_LARGE
		    : r == ERR_NOMEM ? BACKEND_NO_MEMORY
				     : BACKEND_MALFORMED,
		    why.s);
		return;
	}
	if (!http_head_is_done(b->head))
		return;
	if (b->ask == ASK_UNSAID)
		malformed(b, "the service answers before it was asked");
	else if (http_status(b->head) < 200)
		take_interim(b);
	else
		take_final(b);
}

static void
take_body(struct backend *b)
{
	struct bufq out = { 0 };
	struct errtext why = { "" };
	int r = body_take(&b->body, &b->f->in, &out, SIZE_MAX, &why);

	if (r != 0)
		fail(b, r == ERR_NOMEM ? BACKEND_NO_MEMORY : BACKEND_MALFORMED, why.s);
	else if (out.len > 0)
		b->user->body(b->arg, &out);
	bufq_fini(&out);
}

static void
answer_is_whole(struct backend *b)
{
	set_answer(b, ANSWER_WHOLE);
	/* Nothing may follow: what does is seen when the stream is closed. */
	filter_pause(b->f, true);
	/* The last thing done here: b may be another's request afterwards. */
	b->user->end(b->arg, &b->body);
}

/* The service has closed in good order. */
static void
answer_has_ended(struct backend *b)
{
	if (b->answer == ANSWER_AWAITED)
		fail(b, BACKEND_CUT, "the service closed the connection without an answer");
	else if (b->body.kind != HTTP_BODY_CLOSE)
		fail(b, BACKEND_CUT, "the service closed the connection within its answer");
	else
		answer_is_whole(b);
}

static bool
is_awaited(const struct backend *b)
{
	return b->life == LIFE_USED && b->answer != ANSWER_WHOLE;
}

static bool
is_reading(const struct backend *b)
{
	return is_awaited(b) && !b->paused;
}

/* Take what there is, a head or a piece of a body at a time; the user may end it at each. */
static void
take(struct backend *b)
{
	size_t before;

	do {
		before = b->f->in.len;
		if (b->answer == ANSWER_AWAITED)
			take_head(b);
		if (is_reading(b) && b->answer == ANSWER_BODY && b->f->in.len > 0)
			take_body(b);
		/* The end is no payload: it is told even if it was paused just now. */
		if (is_awaited(b) && b->answer == ANSWER_BODY && body_is_done(&b->body)) {
			answer_is_whole(b);
			return;
		}
	} while (is_reading(b) && b->f->in.len > 0 && b->f->in.len < before);
	if (!is_reading(b))
		return;
	if (b->broken)
		fail(b, b->failure, b->why);
	else if (b->ended)
		answer_has_ended(b);
}

static void
on_resume(void *arg)
{
	struct backend *b = arg;

	if (is_reading(b))
		take(b);
}

/* ---- the stream's calls ---- */

static void
on_readable(void *arg)
{
	struct backend *b = arg;

	if (b->life == LIFE_LEAVING) {
		bufq_drain(&b->f->in, b->f->in.len);
		return;
	}
	progress(b);
	if (is_reading(b))
		take(b);
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

	if (b->life == LIFE_LEAVING) {
		/* Both have ended, or it is broken. */
		drop_stream(b, false);
		backend_free(b);
		return;
	}
	if (err == ERR_EOF) {
		b->ended = true;
	} else {
		b->broken = true;
		b->failure = err == ERR_NOMEM ? BACKEND_NO_MEMORY : failure_of(b);
		snprintf(b->why, sizeof b->why, "%s", text);
	}
	if (is_reading(b))
		take(b);
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
	snprintf(o.service, sizeof o.service, "%s", q->pub->service);
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

/* Its place among the payer's streams at this agent. */
static bool
count(struct backend *b, const struct backend_request *q, enum backend_failure *f,
    struct errtext *why)
{
	struct party *y = party_get(b->w, q->payer, q->pub->group->name);

	if (y == NULL) {
		*f = BACKEND_NO_MEMORY;
		err_set(why, ERR_NOMEM, "out of memory");
		return false;
	}
	if (!group_leaves_room(q->pub->group, y, b->w->relay->opts.max_streams)) {
		party_put(b->w, y);
		*f = BACKEND_LIMITED;
		err_set(why, ERR_LIMIT, "this address has its share of the agent's streams");
		return false;
	}
	y->streams++;
	b->party = y;
	return true;
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
backend_new(struct loop *l, const struct backend_request *q)
{
	struct backend *b = mem_zalloc(sizeof *b);

	if (b == NULL)
		return NULL;
	b->loop = l;
	b->w = q->pub->w;
	b->payer = q->payer;
	account_ref(b->w->relay->accounts, b->payer);
	task_init(&b->resume, on_resume, b);
	b->head = http_head_new(HTTP_HEAD_RESPONSE);
	if (timer_init(&b->timer, l, on_timer, b) == 0 && b->head != NULL)
		return b;
	backend_free(b);
	return NULL;
}

struct backend *
backend_open(struct loop *l, const struct backend_request *q, const struct backend_user *u,
    void *arg, enum backend_failure *f, struct errtext *why)
{
	struct backend *b = backend_new(l, q);

	*f = BACKEND_NO_MEMORY;
	if (b == NULL || (q->upgrade != NULL && (b->upgrade = mem_strdup(q->upgrade)) == NULL)) {
		err_set(why, ERR_NOMEM, "out of memory");
		goto fail;
	}
	if (!count(b, q, f, why) || !stand_on_stream(b, q, f, why))
		goto fail;
	b->user = u;
	b->arg = arg;
	b->is_head = q->is_head;
	b->once = q->once || q->proxy != 0 || q->upgrade != NULL;
	b->connect_ms = q->connect_ms;
	b->timeout_ms = q->timeout_ms;
	progress(b);
	return b;
fail:
	if (b != NULL)
		backend_free(b);
	return NULL;
}

/* ---- the request ---- */

/* Credentials that authenticate the connection (binds_connection). */
static bool
asks_for_bound(const struct http_build *head)
{
	static const char name[] = "\r\nAuthorization: ";
	const char *at = memmem(head->s, head->len, name, sizeof name - 1);
	size_t left;

	if (at == NULL)
		return false;
	at += sizeof name - 1;
	left = (size_t)(head->s + head->len - at);
	return (left > 4 && strncasecmp(at, "NTLM", 4) == 0) ||
	       (left > 9 && strncasecmp(at, "Negotiate", 9) == 0);
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
	if (!is_awaited(b))
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
	(void)b;
	return false;
}

bool
backend_is_untouched(const struct backend *b)
{
	return b->acked == b->acked_before;
}

struct filter *
backend_upgraded(struct backend *b)
{
	struct filter *f = b->f;

	assert(b->life == LIFE_SWITCHED && f != NULL);
	b->f = NULL;
	return f;
}

/* ---- closing ---- */

/* Both messages are whole, and the stream is not kept: it ends as the service would end it. */
static void
leave(struct backend *b)
{
	set_life(b, LIFE_LEAVING);
	uncount(b);
	filter_shutdown(b->f);
	bufq_drain(&b->f->in, b->f->in.len);
	filter_pause(b->f, false);
	if (b->ended) {
		drop_stream(b, false);
		backend_free(b);
	} else {
		progress(b);
	}
}

void
backend_close(struct backend *b)
{
	if (b->life == LIFE_USED && b->ask == ASK_WHOLE && b->answer == ANSWER_WHOLE && !b->broken)
		leave(b);
	else
		backend_free(b);
}
