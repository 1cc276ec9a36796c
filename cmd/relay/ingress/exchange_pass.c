/* SPDX-License-Identifier: ISC */
/*
 * exchange - the request's body and the answer on their way.
 *
 * Copies of payload: 0.  Visitor's filter → body_reader (moved) → backend, and back: backend →
 * [chunk's line before and behind] → filter.
 */
#include "cmd/relay/ingress/exchange_int.h"

#include "cmd/relay/account.h"

/* ---- the request's body ---- */

/* The visitor is read while somebody wants what it sends. */
void
exchange_watch_visitor(struct exchange *x)
{
	bool wanted = exchange_awaits_body(x) || (x->body_done && x->f->in.len == 0);

	filter_pause(x->f, !wanted);
}

/* What is handed over now may have to be sent again. */
static void
keep_again(struct exchange *x, const struct bufq *q)
{
	if (x->may_again && (x->again.len + q->len > EXCHANGE_AGAIN_MAX ||
				bufq_share(&x->again, q, 0, q->len) != 0)) {
		x->may_again = false;
		bufq_fini(&x->again);
	}
}

static int
hand_over(struct exchange *x, struct bufq *q)
{
	size_t n = q->len;
	int r = 0;

	if (n > 0) {
		x->up += n;
		x->body_ms = exchange_now_ms(x);
		keep_again(x, q);
		r = backend_body(x->b, q);
	}
	if (r == 0 && body_is_done(&x->body)) {
		x->body_done = true;
		r = backend_end(x->b, &x->body);
	}
	return r;
}

/* Returns ERR_AGAIN: the visitor has to send more first. */
static int
take_body(struct exchange *x, size_t room, struct errtext *why)
{
	struct bufq q = { 0 };
	size_t before = x->f->in.len;
	int r = body_take(&x->body, &x->f->in, &q, room, why);

	if (r == 0 && q.len == 0 && before == 0 && !body_is_done(&x->body))
		r = ERR_AGAIN;
	else if (r == 0)
		r = hand_over(x, &q);
	bufq_fini(&q);
	return r;
}

static const struct refusal bad_body = { 400, "the body of the request is malformed" };
static const struct refusal half_body = { 400, "the body of the request is not whole" };

void
exchange_move_body(struct exchange *x)
{
	struct errtext why = { "" };
	int r = 0;

	x->blocked = false;
	while (r == 0 && !x->body_done && !x->holding && !x->blocked) {
		size_t room = backend_room(x->b);

		x->blocked = room == 0;
		if (!x->blocked)
			r = take_body(x, room, &why);
	}
	if (r == 0 || (r == ERR_AGAIN && !x->ended)) {
		exchange_watch_visitor(x);
		return;
	}
	/* The next request cannot be found any more. */
	x->keep = false;
	if (r == ERR_AGAIN)
		exchange_refuse(x, half_body, "the visitor's connection ended within the body");
	else
		exchange_refuse(x, r == ERR_NOMEM ? exchange_no_memory : bad_body,
		    r == ERR_NOMEM ? "out of memory" : why.s);
}

void
exchange_stop_holding(struct exchange *x)
{
	if (!x->holding)
		return;
	x->holding = false;
	x->body_ms = exchange_now_ms(x);
	exchange_move_body(x);
}

/* ---- the answer ---- */

/* Has the visitor taken something since it was looked at last? */
void
exchange_note_backlog(struct exchange *x)
{
	size_t n = filter_backlog(x->f);

	if (n != x->backlog)
		x->moved_ms = exchange_now_ms(x);
	x->backlog = n;
}

/*
 * At the end of a turn: what came in it leaves together, and a process that ends between now and
 * the answer's end must not leave one that looks whole.
 */
void
exchange_flush(void *arg)
{
	struct exchange *x = arg;

	if (!x->whole)
		exchange_set_reset(x, true);
	filter_flush(x->f);
	if (x->state == EXCHANGE_OVER)
		return;
	if (filter_room(x->f) > 0) {
		x->backlog = 0;
		if (x->whole) {
			exchange_set_reset(x, false);
			exchange_answered(x, x->keep);
		}
		return;
	}
	exchange_note_backlog(x);
	if (!x->paused && !x->whole)
		backend_pause(x->b, true);
	x->paused = true;
	exchange_arrange(x);
}

static bool
write_head(struct exchange *x, const struct http_build *b)
{
	if (filter_send(x->f, b->s, b->len) == 0) {
		exchange_note_given(x);
		task_soon(x->w->loop, &x->flush);
		return true;
	}
	exchange_cut(x, "the connection is broken");
	return false;
}

static const struct refusal bad_answer = { 502, "the service's answer is no valid HTTP" };

/* RFC 9110 15.2: passed on, but to HTTP/1.0.  Whoever takes nothing now does without. */
static void
pass_interim(struct exchange *x, const struct http_head *h)
{
	struct http_build b;

	if (http_minor(x->head) > 0 && filter_room(x->f) > 0 && heads_interim(&b, h) == 0 &&
	    !write_head(x, &b))
		return;
	if (http_status(h) == 100)
		exchange_stop_holding(x);
}

static void
pass_final(struct exchange *x, const struct http_head *h)
{
	int minor = http_minor(x->head);
	struct http_build b;

	x->framing = heads_framing(h, minor, x->is_head);
	/* The visitor has been told to send its body, or may still send it: nobody knows where the
	 * next request begins. */
	x->keep = x->keep && x->body_done && x->framing != HEADS_CLOSE &&
		  !atomic_load(&x->w->relay->draining);
	if (heads_answer(&b, h, minor, x->framing, x->keep) != 0) {
		exchange_refuse(x, bad_answer, "the answer's head cannot be passed on");
		return;
	}
	x->status = http_status(h);
	x->first_ms = exchange_now_ms(x);
	exchange_set_state(x, EXCHANGE_ANSWERED);
	x->may_again = false;
	bufq_fini(&x->again);
	/* What is to come of the body is the service's to refuse. */
	if (write_head(x, &b))
		exchange_stop_holding(x);
}

/* ---- what follows a 101 ---- */

static void
on_spliced(void *arg, const struct splice_result *res)
{
	struct exchange *x = arg;
	uint64_t now = exchange_now_ms(x);

	x->splice = NULL;
	log_limited(account_log(x->pass.account), now, LOG_LEVEL_INFO,
	    "request %s: ended by %s%s%s, %llu bytes up, %llu down, %llu ms", x->id,
	    res->side == SPLICE_A   ? "visitor"
	    : res->side == SPLICE_B ? "service"
				    : "relay",
	    res->text[0] != '\0' ? ": " : "", res->text, (unsigned long long)res->bytes[SPLICE_A],
	    (unsigned long long)res->bytes[SPLICE_B], (unsigned long long)(now - x->since_ms));
	exchange_finish(x, EXCHANGE_TAKEN);
}

/* From here on the two connections are the splice's. */
static void
join(struct exchange *x)
{
	struct filter *service = backend_upgraded(x->b);

	x->user->taken(x->arg);
	filter_set_user(x->f, NULL, NULL);
	x->splice =
	    splice_new(x->w->loop, x->f, service, exchange_opts(x)->upgrade_ms, on_spliced, x);
	if (x->splice != NULL)
		return;
	filter_reset(x->f, true);
	filter_free(x->f);
	filter_free(service);
	exchange_finish(x, EXCHANGE_TAKEN);
}

static void
begin_tunnel(struct exchange *x, const struct http_head *h)
{
	struct http_build b;

	if (heads_switch(&b, h) != 0) {
		exchange_refuse(x, bad_answer, "the answer's head cannot be passed on");
		return;
	}
	if (!write_head(x, &b))
		return;
	task_cancel(x->w->loop, &x->flush);
	filter_flush(x->f);
	if (x->state == EXCHANGE_OVER)
		return;
	exchange_set_state(x, EXCHANGE_TUNNEL);
	x->status = 101;
	x->first_ms = exchange_now_ms(x);
	exchange_log(x);
	/* It may last for days. */
	http_head_free(x->head);
	x->head = NULL;
	join(x);
}

static void
on_head(void *arg, const struct http_head *h)
{
	struct exchange *x = arg;

	if (http_status(h) == 101)
		begin_tunnel(x, h);
	else if (http_status(h) >= 200)
		pass_final(x, h);
	else
		pass_interim(x, h);
}

static void
on_body(void *arg, struct bufq *in)
{
	struct exchange *x = arg;
	struct bufq out = { 0 };
	int r;

	x->down += in->len;
	if (x->framing == HEADS_CHUNKED)
		r = body_chunk(in, &out);
	else
		r = bufq_move(&out, in, in->len);
	if (r == 0)
		r = filter_write(x->f, &out);
	bufq_fini(&out);
	exchange_note_given(x);
	if (r == 0)
		task_soon(x->w->loop, &x->flush);
	else
		exchange_cut(x, r == ERR_NOMEM ? "out of memory" : "the connection is broken");
}

static void
on_end(void *arg, const struct body_reader *trailers)
{
	struct exchange *x = arg;
	struct bufq out = { 0 };
	int r = 0;

	if (x->framing == HEADS_CHUNKED && (r = body_last_chunk(trailers, &out)) == 0)
		r = filter_write(x->f, &out);
	bufq_fini(&out);
	if (r != 0) {
		exchange_cut(x, r == ERR_NOMEM ? "out of memory" : "the connection is broken");
		return;
	}
	x->whole = true;
	/* Now, so that the stream can serve the next request. */
	exchange_close_backend(x);
	task_cancel(x->w->loop, &x->flush);
	exchange_flush(x);
}

static void
on_writable(void *arg)
{
	struct exchange *x = arg;

	x->body_ms = exchange_now_ms(x);
	exchange_move_body(x);
	if (x->state != EXCHANGE_OVER)
		exchange_arrange(x);
}

const struct backend_user exchange_backend_user = {
	.writable = on_writable,
	.head = on_head,
	.body = on_body,
	.end = on_end,
	.failed = exchange_failed,
};
