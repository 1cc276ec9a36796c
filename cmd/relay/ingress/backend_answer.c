/* SPDX-License-Identifier: ISC */
/*
 * backend_answer - reading a service's answer: heads, where the body ends, what may not be.
 *
 *      AWAITED ── its final head ──> BODY ── its last byte ──> WHOLE
 *
 * What is read is strict (lib/http): the answer's bytes are all that decides where it ends.
 */
#include "cmd/relay/ingress/backend_int.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cmd/common/f_stream.h"

static const char *const answer_name[N_ANSWER] = { "AWAITED", "BODY", "WHOLE" };

static const bool answer_can[N_ANSWER][N_ANSWER] = {
	[ANSWER_AWAITED] = { [ANSWER_BODY] = true },
	[ANSWER_BODY] = { [ANSWER_WHOLE] = true },
};

static void
set_answer(struct backend *b, enum answer next)
{
	assert(answer_can[b->answer][next]);
	log_debug("backend: answer %s -> %s", answer_name[b->answer], answer_name[next]);
	b->answer = next;
}

static void
malformed(struct backend *b, const char *why)
{
	backend_fail(b, BACKEND_MALFORMED, why);
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
	backend_set_life(b, LIFE_SWITCHED);
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

	if (http_header(h, "WWW-Authenticate") == NULL &&
	    http_header(h, "Proxy-Authenticate") == NULL)
		return false;
	for (size_t i = 0; http_header_at(h, i, &name, &value); i++)
		if ((strcasecmp(name, "WWW-Authenticate") == 0 ||
			strcasecmp(name, "Proxy-Authenticate") == 0) &&
		    names_bound_scheme(value))
			return true;
	return false;
}

/*
 * An answer without a body that names one: some services send it all the same, and in a segment of
 * its own that would come as the answer to the next request.
 */
static bool
names_a_body(const struct backend *b)
{
	if (b->is_head)
		return http_body(b->head) != HTTP_BODY_LENGTH || http_content_length(b->head) > 0;
	return http_body(b->head) == HTTP_BODY_NONE &&
	       (http_content_length(b->head) > 0 ||
		   http_header(b->head, "Transfer-Encoding") != NULL);
}

static void
take_final(struct backend *b)
{
	enum http_body kind = b->is_head ? HTTP_BODY_NONE : http_body(b->head);

	b->early = b->ask != ASK_WHOLE || filter_pending(b->f) > 0;
	b->once = b->once || kind == HTTP_BODY_CLOSE || http_minor(b->head) == 0 ||
		  names_a_body(b) || http_has_token(b->head, "connection", "close") ||
		  binds_connection(b->head);
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
		backend_fail(b,
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
		backend_fail(b, r == ERR_NOMEM ? BACKEND_NO_MEMORY : BACKEND_MALFORMED, why.s);
	else if (out.len > 0)
		b->user->body(b->arg, &out);
	bufq_fini(&out);
}

void
backend_pass_over(struct backend *b)
{
	b->followed = b->followed || b->f->in.len > 0;
	bufq_drain(&b->f->in, b->f->in.len);
}

static void
answer_is_whole(struct backend *b)
{
	set_answer(b, ANSWER_WHOLE);
	backend_pass_over(b);
	/* It may have been paused just now. */
	filter_pause(b->f, false);
	/* The last thing done here: b may be another's request afterwards. */
	b->user->end(b->arg, &b->body);
}

/* The service has closed in good order. */
static void
answer_has_ended(struct backend *b)
{
	if (b->answer == ANSWER_AWAITED)
		backend_fail(b, BACKEND_CUT, "the service closed the connection without an answer");
	else if (b->body.kind != HTTP_BODY_CLOSE)
		backend_fail(b, BACKEND_CUT, "the service closed the connection within its answer");
	else
		answer_is_whole(b);
}

bool
backend_is_awaited(const struct backend *b)
{
	return b->life == LIFE_USED && b->answer != ANSWER_WHOLE;
}

bool
backend_is_reading(const struct backend *b)
{
	return backend_is_awaited(b) && !b->paused;
}

/* Take what there is, a head or a piece of a body at a time; the user may end it at each. */
void
backend_take(struct backend *b)
{
	size_t before;

	do {
		before = b->f->in.len;
		if (b->answer == ANSWER_AWAITED)
			take_head(b);
		if (backend_is_reading(b) && b->answer == ANSWER_BODY && b->f->in.len > 0)
			take_body(b);
		/* The end is no payload: it is told even if it was paused just now. */
		if (backend_is_awaited(b) && b->answer == ANSWER_BODY && body_is_done(&b->body)) {
			answer_is_whole(b);
			return;
		}
	} while (backend_is_reading(b) && b->f->in.len > 0 && b->f->in.len < before);
	if (!backend_is_reading(b))
		return;
	if (b->broken)
		backend_fail(b, b->failure, b->why);
	else if (b->ended)
		answer_has_ended(b);
}
