/* SPDX-License-Identifier: ISC */
/* entry - a connection to a web listener until it is known who serves it. */
#include "cmd/relay/ingress/entry.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/relay/gate.h"
#include "cmd/relay/guest.h"
#include "cmd/relay/ingress/front.h"
#include "cmd/relay/ingress/proxied.h"
#include "cmd/relay/ingress/publish.h"
#include "cmd/relay/ingress/publish_host.h"
#include "cmd/relay/origin.h"
#include "lib/base/mem.h"
#include "lib/http/host.h"
#include "lib/net/sockopt.h"
#include "lib/tls/hello.h"

enum entry_state {
	/* Its proxy has yet to say who it is. */
	ENTRY_PROXIED,
	/* Its ClientHello has yet to come. */
	ENTRY_HELLO,
	ENTRY_OVER,
	ENTRY_STATES
};

static const char *const state_name[] = { "proxied", "hello", "over" };

/* From the row's state to the column's. */
static const bool state_can[ENTRY_STATES][ENTRY_STATES] = {
	[ENTRY_PROXIED] = { [ENTRY_HELLO] = true, [ENTRY_OVER] = true },
	[ENTRY_HELLO] = { [ENTRY_OVER] = true },
};

struct entry {
	struct gate_owner owner;
	struct worker *w;
	enum entry_state state;
	/* fd is -1 and place NULL once somebody else has them. */
	struct entry_from from;
	/* What it connected to. */
	struct addr to;
	struct io io;
	struct timer deadline;
	char label[ADDR_TEXT];
	TAILQ_ENTRY(entry) link;
	struct grave grave;
};

/* A connection on its way to the worker of the agent that serves it. */
struct passage {
	struct worker *w;
	int fd;
	struct addr from, to;
	struct route route;
};

static void
set_state(struct entry *e, enum entry_state next)
{
	assert(state_can[e->state][next]);
	log_debug("entry %s: %s -> %s", e->label, state_name[e->state], state_name[next]);
	e->state = next;
}

static void
close_by_reset(int fd)
{
	sockopt_reset(fd, true);
	close(fd);
}

static void
entry_dispose(void *arg)
{
	mem_free(arg);
}

static void
entry_free(struct entry *e)
{
	set_state(e, ENTRY_OVER);
	io_fini(&e->io);
	timer_fini(&e->deadline);
	if (e->from.fd >= 0)
		close_by_reset(e->from.fd);
	gate_leave(e->from.gate, e->from.place);
	TAILQ_REMOVE(&e->w->entries, e, link);
	loop_bury(e->w->loop, &e->grave, entry_dispose, e);
}

static void
turn_away(struct entry *e, const char *why)
{
	log_limited(&e->w->entry_log, loop_now_ms(e->w->loop), LOG_LEVEL_WARN,
	    "%s: turned away: %s", e->label, why);
	entry_free(e);
}

/* ---- whom it is for ---- */

/* It is the relay's own to serve. */
static void
serve(struct worker *w, const struct entry_from *from, const struct addr *to)
{
	if (from->tunnel)
		guest_start_beside(w, from->fd, &from->from, to, from->tls, from->place);
	else
		front_start(w, from->fd, &from->from, to, from->tls, from->place);
}

/* On the agent's worker. */
static void
pass(const struct passage *p)
{
	struct publication *pub = publish_find(p->w, &p->route);

	if (pub != NULL)
		visitor_adopt(pub, p->fd, &p->from, &p->to);
	else
		close_by_reset(p->fd);
}

static void
on_passed(void *arg)
{
	pass(arg);
	mem_free(arg);
}

static void
on_pass_dropped(void *arg)
{
	struct passage *p = arg;

	close_by_reset(p->fd);
	mem_free(p);
}

static void
pass_on(struct entry *e, const struct route *route)
{
	struct worker *w = &e->w->relay->workers[route->worker];
	const struct passage here = { w, e->from.fd, e->from.from, e->to, *route };
	struct passage *p;

	/* From here on the descriptor, or its number, may be another thread's. */
	io_fini(&e->io);
	if (w == e->w) {
		e->from.fd = -1;
		pass(&here);
	} else if ((p = mem_dup(&here, sizeof here)) == NULL ||
		   loop_post(w->loop, on_passed, on_pass_dropped, p) != 0) {
		mem_free(p);
		turn_away(e, "out of memory");
		return;
	} else {
		e->from.fd = -1;
	}
	entry_free(e);
}

static void
serve_here(struct entry *e)
{
	struct entry_from from = e->from;

	/* The descriptor has one owner in the loop. */
	io_fini(&e->io);
	e->from.fd = -1;
	e->from.place = NULL;
	serve(e->w, &from, &e->to);
	entry_free(e);
}

static bool
has_own_certificate(const struct entry *e, const char *name, struct route *route)
{
	char host[HTTP_HOST_MAX + 1];

	return http_host_norm(name, strlen(name), host) == 0 &&
	       publish_route(e->w->relay, host, route) == ROUTE_FOUND &&
	       strcmp(route->kind, "tls") == 0;
}

/* ---- its first bytes, looked at and not taken ---- */

static void
on_hello(struct entry *e)
{
	char name[HELLO_NAME_MAX + 1];
	uint8_t p[HELLO_MAX];
	ssize_t n = recv(e->from.fd, p, sizeof p, MSG_PEEK);
	struct route route;
	enum hello r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		log_debug("entry %s: ended before its ClientHello", e->label);
		entry_free(e);
		return;
	}
	r = hello_name(p, (size_t)n, name);
	if (r == HELLO_MORE)
		return;
	if (r == HELLO_NAME && has_own_certificate(e, name, &route))
		pass_on(e, &route);
	else
		serve_here(e);
}

static void
await_hello(struct entry *e)
{
	set_state(e, ENTRY_HELLO);
	timer_set(&e->deadline, e->w->relay->opts.handshake_ms);
	on_hello(e);
}

/* The client for whom its proxy speaks is who counts from now on. */
static void
on_header(struct entry *e)
{
	struct errtext why = { "" };
	int r = proxied_read(e->from.fd, &e->from.from, &e->to, &why);
	struct gate_who who;

	if (r == ERR_AGAIN)
		return;
	if (r != 0) {
		turn_away(e, why.s);
		return;
	}
	addr_text(&e->from.from, e->label);
	origin_who(e->w->relay, &e->from.from, &who);
	if (gate_move(e->from.gate, e->from.place, &who, loop_now_ms(e->w->loop)) != GATE_IN)
		turn_away(e, "too many new connections a second (--connection-rate)");
	else if (e->from.tls)
		await_hello(e);
	else
		serve_here(e);
}

static void
on_bytes(void *arg, int what)
{
	struct entry *e = arg;

	(void)what;
	if (e->state == ENTRY_PROXIED)
		on_header(e);
	else
		on_hello(e);
}

static void
on_deadline(void *arg)
{
	struct entry *e = arg;

	turn_away(e, e->state == ENTRY_PROXIED ? "its proxy sent no PROXY header in time"
					       : "no ClientHello within the time allowed");
}

/* ---- life ---- */

static void
entry_evicted(struct gate_owner *o)
{
	struct entry *e = (struct entry *)o;

	turn_away(e, "others need the place");
}

/* ERR_LIMIT: its place was given to others meanwhile. */
static int
entry_begin(struct entry *e, bool proxied)
{
	int r;

	if (!gate_claim(e->from.gate, e->from.place, &e->owner))
		return ERR_LIMIT;
	if ((r = timer_init(&e->deadline, e->w->loop, on_deadline, e)) != 0 ||
	    (r = io_init(&e->io, e->w->loop, e->from.fd, true, on_bytes, e)) != 0 ||
	    (r = io_want(&e->io, IO_READ)) != 0)
		return r;
	if (proxied)
		timer_set(&e->deadline, PROXIED_MS);
	else
		await_hello(e);
	return 0;
}

void
entry_start(struct worker *w, const struct entry_from *from)
{
	const struct ingress *in = &w->relay->ingress;
	bool proxied = addr_in_nets(&from->from, in->proxies, in->n_proxies);
	struct entry *e;
	struct addr to;

	if (addr_local(from->fd, &to) != 0) {
		gate_leave(from->gate, from->place);
		close_by_reset(from->fd);
		return;
	}
	if (!proxied && !from->tls) {
		serve(w, from, &to);
		return;
	}
	if ((e = mem_zalloc(sizeof *e)) == NULL) {
		gate_leave(from->gate, from->place);
		close_by_reset(from->fd);
		return;
	}
	e->owner.evict = entry_evicted;
	e->w = w;
	e->from = *from;
	e->to = to;
	addr_text(&from->from, e->label);
	TAILQ_INSERT_TAIL(&w->entries, e, link);
	switch (entry_begin(e, proxied)) {
	case 0:
		break;
	case ERR_LIMIT:
		entry_free(e);
		break;
	default:
		turn_away(e, "out of memory");
	}
}

void
entry_drop_all(struct worker *w)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&w->entries)) != NULL)
		entry_free(e);
}
