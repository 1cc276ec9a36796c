/* SPDX-License-Identifier: ISC */
/* guest - a connection to the relay until it is a peer. */
#include "cmd/relay/guest.h"

#include <string.h>
#include <unistd.h>

#include "cmd/relay/origin.h"
#include "cmd/relay/peer.h"
#include "lib/net/f_sock.h"
#include "lib/tls/f_tls.h"
#include "lib/ws/f_ws.h"
#include "lib/http/http.h"
#include "lib/http/xff.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/ws/ws.h"

struct guest {
	struct worker *w;
	struct filter *f; /* the stack so far; NULL once a peer has it */
	struct peer *peer;
	struct http_head *head;
	struct timer deadline;
	struct gate_place *place;
	struct addr addr; /* of the client, as soon as a trusted proxy has told it */
	char from[ADDR_TEXT];
	bool answered, over;
	TAILQ_ENTRY(guest) link;
	struct grave grave;
};

static void
guest_dispose(void *arg)
{
	mem_free(arg);
}

static void
guest_free(struct guest *g)
{
	if (g->over)
		return;
	g->over = true;
	timer_fini(&g->deadline);
	http_head_free(g->head);
	if (g->f != NULL)
		filter_free(g->f);
	TAILQ_REMOVE(&g->w->guests, g, link);
	gate_leave(g->w->relay->gate, g->place);
	loop_bury(g->w->loop, &g->grave, guest_dispose, g);
}

/* ---- answers ---- */

/*
 * Send a whole answer and end; the guest stays until the other side has closed, or for its
 * deadline.
 */
static void
guest_answer(struct guest *g, const struct http_build *b)
{
	g->answered = true;
	if (filter_send(g->f, b->s, b->len) != 0) {
		guest_free(g);
		return;
	}
	filter_flush(g->f);
	if (!g->over)
		filter_shutdown(g->f);
}

static void
guest_status(struct guest *g, int status, const char *body)
{
	struct http_build b;
	const char *end;

	if (http_build_simple(&b, status, body) != 0) {
		guest_free(g);
		return;
	}
	/* RFC 9110 9.3.2: the answer to HEAD is that to GET without its body. */
	if (http_head_is_done(g->head) && strcmp(http_method(g->head), "HEAD") == 0 &&
	    (end = memmem(b.s, b.len, "\r\n\r\n", 4)) != NULL)
		b.len = (size_t)(end + 4 - b.s);
	guest_answer(g, &b);
}

static void
answer_health(struct guest *g)
{
	if (atomic_load(&g->w->relay->draining))
		guest_status(g, 503, "draining\n");
	else
		guest_status(g, 200, "ok\n");
}

/* ---- behind a proxy ---- */

/* The client for whom a trusted proxy asks is who counts from now on.  False: answered. */
static bool
learn_client(struct guest *g)
{
	struct relay *r = g->w->relay;
	enum gate_answer answer;
	struct gate_who who;
	struct addr client;

	if (!origin_is_proxy(r, &g->addr))
		return true;
	xff_client(g->head, &g->addr, r->proxies, r->n_proxies, &client);
	if (origin_is_proxy(r, &client)) {
		log_limited(&g->w->proxy_log, loop_now_ms(g->w->loop), LOG_LEVEL_WARN,
		    "%s: a trusted proxy that names no client (X-Forwarded-For); its own address "
		    "counts",
		    g->from);
		return true;
	}
	origin_who(r, &client, &who);
	answer = gate_move(r->gate, g->place, &who, loop_now_ms(g->w->loop));
	if (answer != GATE_IN) {
		guest_status(g, answer == GATE_OFTEN ? 429 : 503, NULL);
		return false;
	}
	g->addr = client;
	addr_text(&client, g->from);
	return true;
}

/* ---- the WebSocket ---- */

static void
on_settled(void *arg)
{
	struct guest *g = arg;

	g->peer = NULL;
	guest_free(g);
}

static void
become_peer(struct guest *g, const struct dialect *d)
{
	const struct f_ws_config cfg = { .mode = F_WS_STREAM };
	struct filter *ws;
	struct http_build b;

	ws_response_begin(&b, g->head, NULL, WS_ZERO_KEY);
	if (http_build_end(&b) != 0 || filter_send(g->f, b.s, b.len) != 0) {
		guest_free(g);
		return;
	}
	filter_flush(g->f);
	if (g->over)
		return;
	filter_set_user(g->f, NULL, NULL);
	ws = f_ws_new(g->f, g->w->loop, &cfg);
	if (ws == NULL) {
		guest_free(g);
		return;
	}
	g->f = ws;
	g->peer = peer_new(g->w, ws, d, g->from, on_settled, g);
	if (g->peer == NULL)
		guest_free(g);
	else
		g->f = NULL;
}

static void
handle_request(struct guest *g)
{
	struct errtext why = { "" };
	const struct opt_list *paths = &g->w->relay->opts.path;
	const struct dialect *d = dialect_find(http_target(g->head), paths->v, paths->n);
	struct http_build b;
	int status;

	if (strcmp(http_target(g->head), "/health") == 0 &&
	    (strcmp(http_method(g->head), "GET") == 0 || strcmp(http_method(g->head), "HEAD") == 0))
		answer_health(g);
	else if (d == NULL || !ws_is_upgrade(g->head))
		guest_status(g, 404, NULL);
	else if (ws_check_request(g->head, &status, &why) != 0) {
		log_debug("%s: bad WebSocket request: %s", g->from, why.s);
		if (ws_refuse(&b, status) == 0)
			guest_answer(g, &b);
		else
			guest_free(g);
	} else if (atomic_load(&g->w->relay->draining))
		guest_status(g, 503, "draining\n");
	else if (learn_client(g))
		become_peer(g, d);
}

/* ---- the filters' calls ---- */

static void
on_readable(void *arg)
{
	struct guest *g = arg;
	struct errtext why = { "" };
	int r;

	if (g->over || g->answered) {
		bufq_drain(&g->f->in, g->f->in.len);
		return;
	}
	r = http_head_take(g->head, &g->f->in, &why);
	if (r != 0) {
		log_debug("%s: bad request: %s", g->from, why.s);
		guest_status(g, http_refusal(g->head), NULL);
	} else if (http_head_is_done(g->head)) {
		handle_request(g);
	}
}

static void
on_writable(void *arg)
{
	(void)arg; /* short answers need no room */
}

static void
on_closed(void *arg, int err, const char *text)
{
	struct guest *g = arg;

	log_debug("%s: connection ended before login: %s", g->from,
	    text[0] != '\0' ? text : err_str(err));
	guest_free(g);
}

static const struct filter_user user = { on_readable, on_writable, on_closed };

static void
on_deadline(void *arg)
{
	struct guest *g = arg;

	log_debug("%s: not logged in within the time allowed, dropped", g->from);
	/* A peer that is closed settles, and so frees g, when it is gone. */
	if (g->peer != NULL)
		peer_close(g->peer, CODE_TIMEOUT, "no login within the time allowed");
	else
		guest_free(g);
}

/* ---- places that are given to others ---- */

static void
evict(void *arg)
{
	struct worker *w = arg;
	struct guest *g;

	while ((g = gate_evicted(w->relay->gate, w->index)) != NULL) {
		log_limited(&w->evicted_log, loop_now_ms(w->loop), LOG_LEVEL_WARN,
		    "%s: not logged in yet, dropped to make room for others "
		    "(--max-handshakes)",
		    g->from);
		if (g->peer != NULL)
			peer_drop(g->peer, CODE_LIMIT, "others need the place");
		else
			guest_free(g);
	}
}

/* Any thread.  Those whose worker cannot be told stay until their deadline. */
static void
on_evict(void *arg, int worker)
{
	struct relay *r = arg;

	if (loop_post(r->workers[worker].loop, evict, NULL, &r->workers[worker]) != 0)
		log_warnx("worker %d is not told: out of memory", worker);
}

struct gate *
guests_gate(struct relay *r, int n_workers)
{
	struct gate_limits limits;

	origin_limits(&r->opts, &limits);
	return gate_new(&limits, n_workers, on_evict, r);
}

/* ---- life ---- */

static int
build_stack(struct guest *g, int *fd, bool tls)
{
	struct filter *f = f_sock_new(g->w->loop, *fd, true);

	if (f == NULL)
		return ERR_NOMEM;
	*fd = -1;
	g->f = f;
	if (tls) {
		f = f_tls_server(f, g->w->loop, g->w->relay->tls);
		if (f == NULL)
			return ERR_NOMEM;
		g->f = f;
	}
	filter_set_user(g->f, &user, g);
	return 0;
}

static int
guest_begin(struct guest *g, int *fd, bool tls)
{
	int r;

	g->head = http_head_new(HTTP_HEAD_REQUEST);
	if (g->head == NULL)
		return ERR_NOMEM;
	r = timer_init(&g->deadline, g->w->loop, on_deadline, g);
	if (r == 0)
		r = build_stack(g, fd, tls);
	if (r == 0)
		timer_set(&g->deadline, g->w->relay->opts.handshake_ms);
	return r;
}

void
guest_start(struct worker *w, int fd, const struct addr *from, bool tls, struct gate_place *place)
{
	struct guest *g = mem_zalloc(sizeof *g);
	int r = ERR_NOMEM;

	if (g == NULL)
		gate_leave(w->relay->gate, place);
	else {
		g->w = w;
		g->place = place;
		g->addr = *from;
		addr_text(from, g->from);
		TAILQ_INSERT_TAIL(&w->guests, g, link);
		r = gate_claim(w->relay->gate, place, g) ? guest_begin(g, &fd, tls) : ERR_LIMIT;
	}
	if (r == 0)
		return;
	if (r != ERR_LIMIT)
		log_warnx("a connection is dropped: out of memory");
	if (fd >= 0)
		close(fd);
	if (g != NULL)
		guest_free(g);
}

void
guest_drop_all(struct worker *w)
{
	struct guest *g;

	while ((g = TAILQ_FIRST(&w->guests)) != NULL)
		guest_free(g);
}
