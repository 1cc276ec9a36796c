/* SPDX-License-Identifier: ISC */
/* visitor - one connection to a public port.  Copies of payload: 0 (cmd/common/pump.h). */
#include "cmd/relay/ingress/visitor.h"

#include <assert.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/common/pump.h"
#include "cmd/relay/group.h"
#include "cmd/relay/ingress/door.h"
#include "cmd/relay/ingress/proxied.h"
#include "cmd/relay/ingress/publication.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/net/f_sock.h"
#include "lib/net/proxy_hdr.h"
#include "lib/net/sockopt.h"

enum visitor_state {
	/* Its proxy has yet to say who it is. */
	VISITOR_PROXIED,
	/* Admitted, and the agent is away. */
	VISITOR_WAITING,
	VISITOR_CARRIED,
	VISITOR_OVER,
	VISITOR_STATES
};

static const char *const state_name[] = { "proxied", "waiting", "carried", "over" };

/* From the row's state to the column's.  Most come and are carried at once. */
static const bool state_can[VISITOR_STATES][VISITOR_STATES] = {
	[VISITOR_PROXIED] = { [VISITOR_WAITING] = true, [VISITOR_OVER] = true },
	[VISITOR_WAITING] = { [VISITOR_CARRIED] = true, [VISITOR_OVER] = true },
	[VISITOR_CARRIED] = { [VISITOR_OVER] = true },
};

struct visitor {
	struct worker *w;
	/* NULL: it is over. */
	struct publication *pub;
	enum visitor_state state;
	/* -1 once the pump has it. */
	int fd;
	/* The visitor, and what it connected to. */
	struct addr from, to;
	/* Of VISITOR_PROXIED and VISITOR_WAITING. */
	struct io io;
	struct timer deadline;
	/* From its admission on. */
	struct door_pass pass;
	struct pump *pump;
	/* Bytes charged to the account since the stream ended. */
	size_t lingering;
	uint64_t since_ms;
	/* In the publication's list of those that arrive, or the worker's of those carried. */
	TAILQ_ENTRY(visitor) link;
	char label[ADDR_TEXT + PUBLICATION_NAME];
	struct grave grave;
};

static void
set_state(struct visitor *v, enum visitor_state next)
{
	assert(state_can[v->state][next]);
	log_debug("visitor %s: %s -> %s", v->label, state_name[v->state], state_name[next]);
	v->state = next;
}

/* ---- the end ---- */

static void
visitor_dispose(void *arg)
{
	mem_free(arg);
}

static void
close_by_reset(int fd)
{
	sockopt_reset(fd, true);
	close(fd);
}

static void
leave_list(struct visitor *v)
{
	if (v->state == VISITOR_CARRIED)
		TAILQ_REMOVE(&v->w->visitors, v, link);
	else
		TAILQ_REMOVE(&v->pub->arriving, v, link);
}

static void
visitor_free(struct visitor *v)
{
	struct relay *r = v->w->relay;

	leave_list(v);
	if (v->pub != NULL)
		v->pub->n_visitors--;
	if (v->state == VISITOR_CARRIED)
		atomic_fetch_sub(&r->counts.visitors, 1);
	set_state(v, VISITOR_OVER);
	io_fini(&v->io);
	timer_fini(&v->deadline);
	if (v->fd >= 0)
		close_by_reset(v->fd);
	if (v->pass.account != NULL)
		budget_charge(account_budget(v->pass.account), v->lingering, 0);
	door_leave(&v->pass, v->w);
	loop_bury(v->w->loop, &v->grave, visitor_dispose, v);
}

/* A line about it: its publication counts them, and behind that its address's account. */
__attribute__((format(printf, 3, 4))) static void
log_visitor(struct visitor *v, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_limited_about(v->pub != NULL ? &v->pub->log : account_log(v->pass.account),
	    loop_now_ms(v->w->loop), level, "visitor", v->label, fmt, ap);
	va_end(ap);
}

static void
turn_away(struct visitor *v, const char *why)
{
	log_visitor(v, LOG_LEVEL_WARN, "turned away: %s", why);
	visitor_free(v);
}

/* ---- carried ---- */

static void
on_done(void *arg, const struct pump_result *res)
{
	struct visitor *v = arg;
	uint64_t ms = loop_now_ms(v->w->loop) - v->since_ms;

	log_visitor(v, LOG_LEVEL_INFO,
	    "closed by %s: %s%s%s, %llu bytes up, %llu down, %llu.%03llu s",
	    res->local ? "visitor" : "agent",
	    res->code == CODE_OK ? "ended" : frame_code_str(res->code),
	    res->text[0] != '\0' ? ": " : "", res->text, (unsigned long long)res->to_stream,
	    (unsigned long long)res->from_stream, (unsigned long long)ms / 1000,
	    (unsigned long long)ms % 1000);
	visitor_free(v);
}

/*
 * Its stream has ended, which paid for the bytes that the visitor has yet to take: now they are
 * charged here, for as long as they wait.
 */
static void
on_linger(void *arg)
{
	struct visitor *v = arg;
	struct budget *b = account_budget(v->pass.account);

	v->lingering = pump_unwritten(v->pump);
	budget_charge(b, 0, v->lingering);
	if (budget_is_over(b))
		pump_hurry(v->pump);
}

/* What the service learns of the visitor, before the first byte.  ERR_NOMEM. */
static int
send_header(const struct visitor *v, struct stream *s)
{
	uint8_t hdr[PROXY_HDR_MAX];
	struct bufq q = { 0 };
	size_t n;
	int r;

	if (v->pub->rules.proxy == 0)
		return 0;
	n = proxy_hdr_build(hdr, v->pub->rules.proxy, &v->from, &v->to);
	r = bufq_copy(&q, hdr, n);
	if (r == 0)
		r = stream_send(s, &q, n);
	bufq_fini(&q);
	return r;
}

static struct stream *
open_stream(struct visitor *v, struct peer *agent, struct errtext *why)
{
	struct ctl_open o = { .client = account_number(v->pass.account) };
	char from[ADDR_TEXT];

	if (rand_bytes(o.token, sizeof o.token) != 0) {
		err_set(why, ERR_SYS, "the system gives no random bytes");
		return NULL;
	}
	snprintf(o.protocol, sizeof o.protocol, "%s", CTL_TCP);
	publication_target(v->pub, &o);
	snprintf(
	    o.source, sizeof o.source, "%.*s", (int)sizeof o.source - 1, addr_text(&v->from, from));
	return session_open(
	    carrier_session(agent->carrier), &o, account_budget(v->pass.account), NULL, NULL, why);
}

/* From here on the pump has the socket and the stream. */
static bool
start_pump(struct visitor *v, struct stream *s)
{
	struct filter *f = f_sock_new(v->w->loop, v->fd, false);

	if (f == NULL)
		return false;
	v->fd = -1;
	/* Without a pump, too. */
	filter_reset(f, true);
	v->pump = pump_new(v->w->loop, f, s, on_done, v);
	if (v->pump == NULL)
		filter_free(f);
	return v->pump != NULL;
}

static void
carry(struct visitor *v, struct stream *s)
{
	if (!start_pump(v, s)) {
		stream_reset(s, CODE_INTERNAL, "out of memory");
		turn_away(v, "out of memory");
		return;
	}
	if (send_header(v, s) != 0) {
		pump_stop(v->pump, CODE_INTERNAL, "out of memory");
		turn_away(v, "out of memory");
		return;
	}
	timer_fini(&v->deadline);
	TAILQ_REMOVE(&v->pub->arriving, v, link);
	set_state(v, VISITOR_CARRIED);
	TAILQ_INSERT_TAIL(&v->w->visitors, v, link);
	atomic_fetch_add(&v->w->relay->counts.visitors, 1);
	log_visitor(v, LOG_LEVEL_INFO, "opened");
	pump_on_linger(v->pump, on_linger);
	pump_await(v->pump);
	pump_start(v->pump);
}

static void
go(struct visitor *v, struct peer *agent)
{
	enum door_answer a = door_stream(&v->pass, v->pub);
	struct errtext why = { "" };
	struct stream *s;

	if (a != DOOR_IN) {
		turn_away(v, door_words(a));
		return;
	}
	/* The descriptor has one owner in the loop. */
	io_fini(&v->io);
	s = open_stream(v, agent, &why);
	if (s == NULL)
		turn_away(v, why.s);
	else
		carry(v, s);
}

/* ---- waiting ---- */

static bool
has_waiting_place(const struct visitor *v)
{
	const struct visitor *other;
	unsigned all = 0, own = 0;

	TAILQ_FOREACH (other, &v->pub->arriving, link)
		if (other->state == v->state) {
			all++;
			own += other->pass.account == v->pass.account;
		}
	if (v->state == VISITOR_PROXIED)
		return all <= VISITOR_PROXIED_MAX;
	return all <= VISITOR_WAITING_MAX && own <= VISITOR_WAITING_OF_ONE;
}

static void
on_deadline(void *arg)
{
	struct visitor *v = arg;

	turn_away(v, v->state == VISITOR_PROXIED ? "its proxy sent no PROXY header in time"
						 : "the agent has not come back");
}

/*
 * Its connection was reset, or it has ended without a word: nobody wants an answer.  Who has said
 * something and no more may still read one.
 */
static bool
has_gone(const struct visitor *v)
{
	struct pollfd p = { .fd = v->fd };
	char c;

	return poll(&p, 1, 0) > 0 || recv(v->fd, &c, 1, MSG_PEEK) == 0;
}

static void
on_waiting(void *arg, int what)
{
	struct visitor *v = arg;

	(void)what;
	if (has_gone(v)) {
		log_visitor(v, LOG_LEVEL_INFO, "has gone before its agent came back");
		visitor_free(v);
	}
}

/* Without memory to watch it, it stays for the time that all have. */
static void
await_agent(struct visitor *v)
{
	timer_set(&v->deadline, VISITOR_WAIT_MS);
	if (io_init(&v->io, v->w->loop, v->fd, true, on_waiting, v) == 0)
		IGNORE_RESULT(io_want(&v->io, IO_READ));
}

static void
come(struct visitor *v)
{
	enum door_answer a = door_enter(&v->pass, v->pub, &v->from);
	struct peer *agent = group_agent(v->pub->group);

	if (a != DOOR_IN)
		turn_away(v, door_words(a));
	else if (agent == NULL && !has_waiting_place(v))
		turn_away(v, "the agent is away, and others wait for it");
	else if (agent != NULL)
		go(v, agent);
	else
		await_agent(v);
}

/* ---- behind a proxy ---- */

static void
set_label(struct visitor *v)
{
	char from[ADDR_TEXT];

	snprintf(v->label, sizeof v->label, "%s -> %s", addr_text(&v->from, from), v->pub->name);
}

static void
on_header(void *arg, int what)
{
	struct visitor *v = arg;
	struct errtext why = { "" };
	int r = proxied_read(v->fd, &v->from, &v->to, &why);

	(void)what;
	if (r == ERR_AGAIN)
		return;
	if (r != 0) {
		turn_away(v, why.s);
		return;
	}
	io_fini(&v->io);
	timer_cancel(&v->deadline);
	set_label(v);
	set_state(v, VISITOR_WAITING);
	come(v);
}

/* ---- life ---- */

/* NULL: it could not be begun, and is reset. */
static struct visitor *
visitor_new(struct publication *pub, int fd, const struct addr *from)
{
	struct visitor *v = mem_zalloc(sizeof *v);

	if (v == NULL || timer_init(&v->deadline, pub->w->loop, on_deadline, v) != 0 ||
	    addr_local(fd, &v->to) != 0) {
		if (v != NULL)
			timer_fini(&v->deadline);
		mem_free(v);
		close_by_reset(fd);
		return NULL;
	}
	v->w = pub->w;
	v->pub = pub;
	v->fd = fd;
	v->from = *from;
	v->since_ms = loop_now_ms(pub->w->loop);
	pub->n_visitors++;
	TAILQ_INSERT_TAIL(&pub->arriving, v, link);
	set_label(v);
	return v;
}

static void
await_header(struct visitor *v)
{
	timer_set(&v->deadline, PROXIED_MS);
	if (io_init(&v->io, v->w->loop, v->fd, true, on_header, v) != 0 ||
	    io_want(&v->io, IO_READ) != 0)
		turn_away(v, "out of memory");
	else if (!has_waiting_place(v))
		turn_away(v, "too many whose proxy has not said who they are");
}

void
visitor_start(struct publication *pub, int fd, const struct addr *from)
{
	const struct ingress *in = &pub->w->relay->ingress;
	struct visitor *v = visitor_new(pub, fd, from);

	if (v == NULL)
		return;
	if (addr_in_nets(from, in->proxies, in->n_proxies)) {
		await_header(v);
		return;
	}
	v->state = VISITOR_WAITING;
	come(v);
}

void
visitor_adopt(struct publication *pub, int fd, const struct addr *from, const struct addr *to)
{
	struct visitor *v = visitor_new(pub, fd, from);

	if (v == NULL)
		return;
	v->to = *to;
	v->state = VISITOR_WAITING;
	come(v);
}

void
visitors_go(struct publication *pub)
{
	struct visitor *v, *next;
	struct peer *agent;

	for (v = TAILQ_FIRST(&pub->arriving); v != NULL; v = next) {
		next = TAILQ_NEXT(v, link);
		if (v->state == VISITOR_WAITING && (agent = group_agent(pub->group)) != NULL)
			go(v, agent);
	}
}

void
visitors_leave(struct publication *pub)
{
	struct visitor *v;

	while ((v = TAILQ_FIRST(&pub->arriving)) != NULL)
		turn_away(v, "the service is no longer published");
	TAILQ_FOREACH (v, &pub->w->visitors, link)
		if (v->pub == pub)
			v->pub = NULL;
}

void
visitor_drop_all(struct worker *w)
{
	struct visitor *v;

	while ((v = TAILQ_FIRST(&w->visitors)) != NULL) {
		pump_stop(v->pump, CODE_GONE, "the relay is shutting down");
		visitor_free(v);
	}
}
