/* SPDX-License-Identifier: ISC */
/* guest - a connection to the relay until it is a peer. */
#include "cmd/relay/guest.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/relay/admit.h"
#include "cmd/relay/ingress/acme.h"
#include "cmd/relay/ingress/front.h"
#include "cmd/relay/origin.h"
#include "cmd/relay/peer.h"
#include "lib/net/f_sock.h"
#include "lib/tls/f_tls.h"
#include "lib/ws/f_ws.h"
#include "lib/http/http.h"
#include "lib/http/xff.h"
#include "lib/base/log.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/base/version.h"
#include "lib/ws/handshake.h"

enum guest_state {
	/* TLS, and the request. */
	GUEST_HEAD,
	/* The request says who it is, and somebody is asked whether that may come in. */
	GUEST_ASKED,
	/* Another answer than 101 was sent: until the other side has closed. */
	GUEST_ANSWERED,
	/* The WebSocket stands: its first byte says how the login is made. */
	GUEST_FIRST,
	/* By key: the handshake of the TLS inside. */
	GUEST_KEYS,
	/* The WebSocket stands, and a peer has it: until the login is settled. */
	GUEST_PEER,
	GUEST_OVER,
	GUEST_STATES
};

static const char *const state_name[] = { "head", "asked", "answered", "first", "keys", "peer",
	"over" };

/* From the row's state to the column's. */
static const bool state_can[GUEST_STATES][GUEST_STATES] = {
	[GUEST_HEAD] = { [GUEST_ASKED] = true,
	    [GUEST_ANSWERED] = true,
	    [GUEST_FIRST] = true,
	    [GUEST_PEER] = true,
	    [GUEST_OVER] = true },
	[GUEST_FIRST] = { [GUEST_KEYS] = true, [GUEST_PEER] = true, [GUEST_OVER] = true },
	[GUEST_KEYS] = { [GUEST_PEER] = true, [GUEST_OVER] = true },
	[GUEST_ASKED] = { [GUEST_ANSWERED] = true, [GUEST_PEER] = true, [GUEST_OVER] = true },
	[GUEST_ANSWERED] = { [GUEST_OVER] = true },
	[GUEST_PEER] = { [GUEST_OVER] = true },
};

static const struct filter_user user;

struct guest {
	struct gate_owner owner;
	struct worker *w;
	enum guest_state state;
	/* The stack so far; NULL once a peer has it. */
	struct filter *f;
	/* Of GUEST_PEER; borrowed. */
	struct peer *peer;
	struct http_head *head;
	const struct dialect *dialect;
	/* Of GUEST_ASKED. */
	struct admit admit;
	struct ctl_hello hello;
	struct timer deadline;
	struct gate_place *place;
	/* of the client, as soon as a trusted proxy has told it */
	struct addr addr;
	char from[ADDR_TEXT];
	/* It came to a listener that is the web's, too; then: what it connected to. */
	bool beside;
	struct addr to;
	bool tls;
	/* What TLS says of it; "" without. */
	char tls_words[64];
	TAILQ_ENTRY(guest) link;
	struct grave grave;
};

static void
set_state(struct guest *g, enum guest_state next)
{
	assert(state_can[g->state][next]);
	log_debug("guest from %s: %s -> %s", g->from, state_name[g->state], state_name[next]);
	g->state = next;
}

static void
guest_dispose(void *arg)
{
	mem_free(arg);
}

static void
guest_free(struct guest *g)
{
	if (g->state == GUEST_OVER)
		return;
	if (g->state == GUEST_ASKED)
		g->w->relay->admitter->cancel(g->w->relay, &g->admit);
	set_state(g, GUEST_OVER);
	ctl_hello_wipe(&g->hello);
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
	set_state(g, GUEST_ANSWERED);
	if (filter_send(g->f, b->s, b->len) != 0) {
		guest_free(g);
		return;
	}
	filter_flush(g->f);
	if (g->state != GUEST_OVER)
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

/* The answer that opens the WebSocket.  false: the guest has ended. */
static bool
answer_101(struct guest *g)
{
	struct http_build b;

	ws_handshake_response_begin(&b, g->head, NULL);
	/* So that our own programs know that this relay loses nothing of what they send last. */
	if (g->dialect != &dialect_native)
		http_build_header(&b, WS_OURS_HEADER, "1");
	if (http_build_end(&b) != 0 || filter_send(g->f, b.s, b.len) != 0) {
		guest_free(g);
		return false;
	}
	filter_flush(g->f);
	return g->state != GUEST_OVER;
}

/*
 * id: who it is, if that was asked before; NULL: its session will tell.  key: what it has proved,
 * or NULL.
 */
static void
make_peer(struct guest *g, const struct creds_id *id, const uint8_t *key)
{
	const struct dialect_from from = { g->head, g->from, g->tls_words, key };

	g->peer = peer_new(g->w, g->f, g->dialect, &from, &g->addr, on_settled, g);
	if (g->peer == NULL) {
		guest_free(g);
		return;
	}
	g->f = NULL;
	set_state(g, GUEST_PEER);
	if (id != NULL)
		peer_login(g->peer, &g->hello, id);
}

static void
become_peer(struct guest *g, const struct creds_id *id)
{
	const struct dialect *d = g->dialect;
	const struct f_ws_config cfg = carrier_ws(d->carries,
	    d->message_max < PEER_FIRST_MESSAGE_MAX ? d->message_max : PEER_FIRST_MESSAGE_MAX);
	struct filter *ws;

	if (!answer_101(g))
		return;
	filter_set_user(g->f, NULL, NULL);
	ws = f_ws_new(g->f, g->w->loop, &cfg);
	if (ws == NULL) {
		guest_free(g);
		return;
	}
	g->f = ws;
	if (id != NULL || g->w->relay->keyed == NULL || d->carries != SESSION_BYTES) {
		make_peer(g, id, NULL);
		return;
	}
	set_state(g, GUEST_FIRST);
	filter_set_user(ws, &user, g);
}

/* ---- the login by key (PROTOCOL.md 2.1) ---- */

static void
on_keys_ready(void *arg)
{
	struct guest *g = arg;

	f_tls_set_ready(g->f, NULL, NULL);
	make_peer(g, NULL, f_tls_peer(g->f));
}

/* Whoever can prove a key: whose it is, is asked together with the name that HELLO says. */
static void
prove_keys(struct guest *g)
{
	static const struct tls_judge anybody = { NULL, NULL };
	struct filter *tls = f_tls_keyed(g->f, g->w->loop, g->w->relay->keyed, anybody);
	struct gate_who from;
	struct tls_turns_who who;

	if (tls == NULL) {
		guest_free(g);
		return;
	}
	g->f = tls;
	origin_who(g->w->relay, &g->addr, &from);
	memcpy(who.key, from.key, sizeof who.key);
	who.any_rate = from.any_rate;
	f_tls_take_turns(tls, g->w->turns, &who);
	set_state(g, GUEST_KEYS);
	filter_set_user(tls, &user, g);
	f_tls_set_ready(tls, on_keys_ready, g);
}

static void
take_first(struct guest *g)
{
	uint8_t first;

	if (bufq_read(&g->f->in, 0, &first, 1) == 0)
		return;
	if (first == FRAME_TLS)
		prove_keys(g);
	else
		make_peer(g, NULL, NULL);
}

/* ---- who stands in the request ---- */

static void
on_admitted(void *arg, int err, const struct creds_id *id)
{
	struct guest *g = arg;

	if (err == 0) {
		become_peer(g, id);
		return;
	}
	/* Its end must be seen. */
	filter_pause(g->f, false);
	guest_status(g, err == ERR_AGAIN ? 503 : 403, NULL);
}

static void
ask_who(struct guest *g)
{
	const struct dialect_from from = { g->head, g->from, g->tls_words, NULL };
	struct relay *r = g->w->relay;
	int err = g->dialect->login(&from, &g->hello);

	if (err != 0 || !ctl_hello_may_log_in(&g->hello)) {
		guest_status(g, err == ERR_DENIED ? 403 : 400, NULL);
		return;
	}
	set_state(g, GUEST_ASKED);
	/* What comes behind the request is kept for the session. */
	filter_pause(g->f, true);
	g->admit = (struct admit){ on_admitted, g, NULL };
	r->admitter->ask(r, &g->admit, &g->hello);
}

static void
let_in(struct guest *g)
{
	if (g->dialect->login != NULL)
		ask_who(g);
	else
		become_peer(g, NULL);
}

/* ---- the request ---- */

static bool
is_health(const struct http_head *h)
{
	return strcmp(http_target(h), "/health") == 0 &&
	       (strcmp(http_method(h), "GET") == 0 || strcmp(http_method(h), "HEAD") == 0);
}

/*
 * Addresses, and no host at all, are ours: nobody publishes them, and who looks after us asks so.
 * A challenge is answered for every host.
 */
static bool
is_for_web(const struct guest *g)
{
	const struct ingress *in = &g->w->relay->ingress;
	struct errtext why = { "" };
	struct http_site site;

	if (!g->beside)
		return false;
	if (http_site(g->head, &site, &why) != 0)
		return true;
	if (acme_token(site.target) != NULL)
		return true;
	return !site.is_literal && site.host[0] != '\0' && !names_is_relay(&in->names, site.host);
}

static void
hand_on(struct guest *g)
{
	struct http_head *head = g->head;
	struct filter *f = g->f;

	if (g->tls)
		f_tls_set_ready(f, NULL, NULL);
	g->f = NULL;
	g->head = NULL;
	front_adopt(g->w, f, head, &g->addr, &g->to, g->tls);
	guest_free(g);
}

static void
handle_request(struct guest *g)
{
	struct errtext why = { "" };
	const struct relay *r = g->w->relay;
	struct http_build b;
	int status;

	g->dialect =
	    dialect_find(r->dialects, http_target(g->head), r->opts.path.v, r->opts.path.n);
	if (is_for_web(g))
		hand_on(g);
	else if (is_health(g->head))
		answer_health(g);
	else if (g->dialect == NULL || !ws_handshake_is_upgrade(g->head))
		guest_status(g, 404, NULL);
	else if (ws_handshake_check_request(g->head, &status, &why) != 0) {
		log_debug("%s: bad WebSocket request: %s", g->from, why.s);
		if (ws_handshake_refuse(&b, status) == 0)
			guest_answer(g, &b);
		else
			guest_free(g);
	} else if (atomic_load(&r->draining))
		guest_status(g, 503, "draining\n");
	else if (learn_client(g))
		let_in(g);
}

/* ---- the filters' calls ---- */

static void
on_readable(void *arg)
{
	struct guest *g = arg;
	struct errtext why = { "" };
	int r;

	if (g->state == GUEST_ANSWERED)
		bufq_drain(&g->f->in, g->f->in.len);
	if (g->state == GUEST_FIRST)
		take_first(g);
	if (g->state != GUEST_HEAD)
		return;
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
	/* Short answers need no room. */
	(void)arg;
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
	/* It is told why, in our own protocol. */
	if (g->state == GUEST_FIRST) {
		make_peer(g, NULL, NULL);
		if (g->state == GUEST_OVER)
			return;
	}
	/* A peer that is closed settles, and so frees g, when it is gone. */
	if (g->peer != NULL)
		peer_close(g->peer, CODE_TIMEOUT, "no login within the time allowed");
	else
		guest_free(g);
}

/* ---- places that are given to others ---- */

static void
guest_evicted(struct gate_owner *o)
{
	struct guest *g = (struct guest *)o;

	log_limited(&g->w->evicted_log, loop_now_ms(g->w->loop), LOG_LEVEL_WARN,
	    "%s: not logged in yet, dropped to make room for others (--max-handshakes)", g->from);
	if (g->peer != NULL)
		peer_drop(g->peer, CODE_LIMIT, "others need the place");
	else
		guest_free(g);
}

struct gate *
guests_gate(struct relay *r, int n_workers)
{
	struct gate_limits limits;

	origin_limits(&r->opts, &limits);
	return origin_gate(r, &limits, n_workers);
}

/* ---- life ---- */

static void
on_tls_ready(void *arg)
{
	struct guest *g = arg;

	snprintf(g->tls_words, sizeof g->tls_words, "%s", f_tls_describe(g->f));
}

static int
build_stack(struct guest *g, int *fd)
{
	struct filter *f = f_sock_new(g->w->loop, *fd, true);

	if (f == NULL)
		return ERR_NOMEM;
	*fd = -1;
	g->f = f;
	if (g->tls) {
		f = f_tls_server(f, g->w->loop, g->w->relay->tls);
		if (f == NULL)
			return ERR_NOMEM;
		g->f = f;
		f_tls_set_ready(f, on_tls_ready, g);
	}
	filter_set_user(g->f, &user, g);
	return 0;
}

static int
guest_begin(struct guest *g, int *fd)
{
	int r;

	g->head = http_head_new(HTTP_HEAD_REQUEST);
	if (g->head == NULL)
		return ERR_NOMEM;
	r = timer_init(&g->deadline, g->w->loop, on_deadline, g);
	if (r == 0)
		r = build_stack(g, fd);
	if (r == 0)
		timer_set(&g->deadline, g->w->relay->opts.handshake_ms);
	return r;
}

/* to: NULL if it is not beside. */
static void
start(struct worker *w, int fd, const struct addr *from, const struct addr *to, bool tls,
    struct gate_place *place)
{
	struct guest *g = mem_zalloc(sizeof *g);
	int r = ERR_NOMEM;

	if (g == NULL)
		gate_leave(w->relay->gate, place);
	else {
		g->owner.evict = guest_evicted;
		g->w = w;
		g->place = place;
		g->addr = *from;
		g->tls = tls;
		g->beside = to != NULL;
		if (g->beside)
			g->to = *to;
		addr_text(from, g->from);
		TAILQ_INSERT_TAIL(&w->guests, g, link);
		r = gate_claim(w->relay->gate, place, &g->owner) ? guest_begin(g, &fd) : ERR_LIMIT;
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
guest_start(struct worker *w, int fd, const struct addr *from, bool tls, struct gate_place *place)
{
	start(w, fd, from, NULL, tls, place);
}

void
guest_start_beside(struct worker *w, int fd, const struct addr *from, const struct addr *to,
    bool tls, struct gate_place *place)
{
	start(w, fd, from, to, tls, place);
}

void
guest_drop_all(struct worker *w)
{
	struct guest *g;

	while ((g = TAILQ_FIRST(&w->guests)) != NULL)
		guest_free(g);
}
