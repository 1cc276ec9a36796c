/* SPDX-License-Identifier: ISC */
/* listen - the relay's listeners. */
#include "cmd/relay/listen.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/common/acceptor.h"
#include "cmd/relay/guest.h"
#include "cmd/relay/ingress/entry.h"
#include "cmd/relay/origin.h"
#include "cmd/relay/worker.h"
#include "lib/net/listen.h"
#include "lib/conf/jobj.h"
#include "lib/net/linger.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"

#define PLAIN_PREFIX "plain:"

struct listener {
	struct listeners *all;
	struct acceptor acceptor;
	int fd;
	bool tls;
	/* Agents and clients come here, visitors of the web do, or both. */
	bool tunnel, web;
	/* As it was given; borrowed.  And for messages: "--listen SPEC". */
	const char *spec;
	char name[ADDR_TEXT + 16];
};

struct listeners {
	struct relay *relay;
	struct listener *v;
	size_t n;
	int next_worker;
	struct loop *loop;
	struct rlimit_reserve reserve;
	struct log_limit full_log, rate_log;
};

/* A connection on its way to its worker. */
struct arrival {
	struct worker *w;
	int fd;
	bool tls, tunnel, web;
	struct addr from;
	struct gate_place *place;
};

/* ---- opening ---- */

/*
 * Without credentials anybody who can connect may use the relay: then only this machine can
 * connect.
 */
static int
check_exposure(struct relay *r, const struct listener *l, struct errtext *e)
{
	struct addr a;

	if (r->creds != NULL || r->opts.insecure)
		return 0;
	if (addr_local(l->fd, &a) == 0 && addr_is_loopback(&a))
		return 0;
	return err_set(e, ERR_INVALID,
	    "%s: reachable from other machines, but there are no --credentials; give "
	    "some, or listen on 127.0.0.1 (or say --insecure)",
	    l->name);
}

static const char *
without_prefix(const char *spec)
{
	size_t n = strlen(PLAIN_PREFIX);

	return strncmp(spec, PLAIN_PREFIX, n) == 0 ? spec + n : spec;
}

/* NULL: nobody listens there.  What the system is to choose is a port of its own each time. */
static struct listener *
find_listener(struct listeners *ls, const char *spec)
{
	size_t len = strlen(spec);

	if (len > 2 && strcmp(spec + len - 2, ":0") == 0)
		return NULL;
	for (size_t i = 0; i < ls->n; i++)
		if (strcmp(without_prefix(ls->v[i].spec), spec) == 0)
			return &ls->v[i];
	return NULL;
}

static int
listener_open(
    struct listeners *ls, const char *option, const char *spec, bool tls, struct errtext *e)
{
	struct listener *l = &ls->v[ls->n++];
	struct errtext why = { "" };
	int rc;

	l->all = ls;
	l->tls = tls;
	l->spec = spec;
	snprintf(l->name, sizeof l->name, "%s %s", option, spec);
	rc = listen_open(without_prefix(spec), &l->fd, &why);
	return rc != 0 ? err_set(e, rc, "%s: %s", option, why.s) : check_exposure(ls->relay, l, e);
}

static int
open_tunnel(struct listeners *ls, const char *spec, struct errtext *e)
{
	bool tls = ls->relay->tls != NULL && without_prefix(spec) == spec;
	int rc = listener_open(ls, "--listen", spec, tls, e);

	ls->v[ls->n - 1].tunnel = true;
	return rc;
}

/* The same address may be given as --listen: then one listener does both. */
static int
open_web(struct listeners *ls, const char *spec, bool tls, struct errtext *e)
{
	const char *option = tls ? "--https" : "--http";
	struct listener *l = find_listener(ls, spec);
	int rc = 0;

	if (tls && ls->relay->tls == NULL)
		return err_set(
		    e, ERR_INVALID, "--https %s: there is no certificate (--tls-cert)", spec);
	if (l != NULL && (l->web || l->tls != tls))
		return err_set(e, ERR_INVALID, "%s %s: the same address as %s%s", option, spec,
		    l->name, l->web ? "" : ", which is one with TLS and one without");
	if (l == NULL) {
		rc = listener_open(ls, option, spec, tls, e);
		l = &ls->v[ls->n - 1];
	}
	l->web = true;
	return rc;
}

static int
open_all(struct listeners *ls, struct errtext *e)
{
	const struct relay_opts *o = &ls->relay->opts;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < o->listen.n; i++)
		rc = open_tunnel(ls, o->listen.v[i], e);
	for (size_t i = 0; rc == 0 && i < o->http.n; i++)
		rc = open_web(ls, o->http.v[i], false, e);
	for (size_t i = 0; rc == 0 && i < o->https.n; i++)
		rc = open_web(ls, o->https.v[i], true, e);
	return rc;
}

int
listeners_open(struct relay *r, struct listeners **out, struct errtext *e)
{
	struct listeners *ls = mem_must_zalloc(sizeof *ls);
	size_t n = r->opts.listen.n + r->opts.http.n + r->opts.https.n;
	int rc;

	ls->relay = r;
	ls->reserve.fd = -1;
	log_limit_init(&ls->rate_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "new connections");
	log_limit_init(&ls->full_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "new connections");
	ls->v = mem_must_zalloc(n * sizeof *ls->v);
	for (size_t i = 0; i < n; i++)
		ls->v[i].fd = -1;
	rc = open_all(ls, e);
	if (rc == 0 && rlimit_reserve_init(&ls->reserve) != 0)
		rc = err_sys(e, "no descriptor to keep in reserve");
	if (rc == 0)
		*out = ls;
	else
		listeners_stop(ls);
	return rc;
}

static int
add_address(struct jobj *arr, const struct listener *l)
{
	struct jobj *one = jobj_new_obj();
	char host[ADDR_TEXT];
	struct addr a;
	int r;

	if (addr_local(l->fd, &a) != 0) {
		jobj_free(one);
		return 0;
	}
	if ((r = jobj_set_str(one, "address",
		 a.u.sa.sa_family == AF_UNIX ? addr_text(&a, host) : addr_host(&a, host))) != 0 ||
	    (r = jobj_set_int(one, "port", addr_port(&a))) != 0 ||
	    (r = jobj_set_bool(one, "tls", l->tls)) != 0) {
		jobj_free(one);
		return r;
	}
	return jobj_add_take(arr, one);
}

/* Those of one kind, under its name. */
static int
add_kind(struct jobj *o, const struct listeners *ls, const char *kind,
    bool (*is)(const struct listener *l))
{
	struct jobj *arr = jobj_new_arr();
	int r = 0;

	for (size_t i = 0; r == 0 && i < ls->n; i++)
		if (is(&ls->v[i]))
			r = add_address(arr, &ls->v[i]);
	if (r == 0)
		return jobj_set_take(o, kind, arr);
	jobj_free(arr);
	return r;
}

static bool
is_tunnel(const struct listener *l)
{
	return l->tunnel;
}

static bool
is_http(const struct listener *l)
{
	return l->web && !l->tls;
}

static bool
is_https(const struct listener *l)
{
	return l->web && l->tls;
}

char *
listeners_ready_json(const struct listeners *ls)
{
	struct jobj *o = jobj_new_obj();
	char *text = NULL;
	int r = jobj_set_int(o, "pid", getpid());

	if (r == 0)
		r = add_kind(o, ls, "tunnel", is_tunnel);
	if (r == 0 && ls->relay->opts.http.n > 0)
		r = add_kind(o, ls, "http", is_http);
	if (r == 0 && ls->relay->opts.https.n > 0)
		r = add_kind(o, ls, "https", is_https);
	if (r == 0)
		text = jobj_dump(o, NULL);
	jobj_free(o);
	return text;
}

uint16_t
listeners_web_port(const struct listeners *ls, bool tls)
{
	struct addr a;

	for (size_t i = 0; i < ls->n; i++)
		if (ls->v[i].web && ls->v[i].tls == tls && addr_local(ls->v[i].fd, &a) == 0)
			return addr_port(&a);
	return 0;
}

/* ---- accepting ---- */

static struct gate *
gate_of(const struct relay *r, bool tunnel)
{
	return tunnel ? r->gate : r->fronts;
}

/* Its worker's thread. */
static void
arrive(const struct arrival *a)
{
	struct gate *gate = gate_of(a->w->relay, a->tunnel);

	if (a->web)
		entry_start(a->w,
		    &(struct entry_from){ a->fd, a->from, a->tls, a->tunnel, gate, a->place });
	else
		guest_start(a->w, a->fd, &a->from, a->tls, a->place);
}

static void
on_deal(void *arg)
{
	struct arrival *a = arg;

	arrive(a);
	mem_free(a);
}

static void
on_deal_dropped(void *arg)
{
	struct arrival *a = arg;

	gate_leave(gate_of(a->w->relay, a->tunnel), a->place);
	close(a->fd);
	mem_free(a);
}

static void
deal(
    struct listener *l, struct worker *w, int fd, const struct addr *from, struct gate_place *place)
{
	const struct arrival here = { w, fd, l->tls, l->tunnel, l->web, *from, place };
	struct listeners *ls = l->all;
	struct arrival *a;

	if (w->loop == ls->loop) {
		arrive(&here);
		return;
	}
	a = mem_zalloc(sizeof *a);
	if (a != NULL) {
		*a = here;
		if (loop_post(w->loop, on_deal, on_deal_dropped, a) == 0)
			return;
	}
	gate_leave(gate_of(ls->relay, l->tunnel), place);
	mem_free(a);
	close(fd);
	log_warnx("a connection is dropped: out of memory");
}

/* Too many: say so where it costs nothing (a TLS client would not understand), and close. */
static void
turn_away(struct listener *l, int fd, int status)
{
	static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: "
				   "5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	static const char often[] = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: "
				    "1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

	struct bufq nothing = { 0 };

	if (l->tls) {
		close(fd);
		return;
	}
	/* If the empty socket does not take a hundred bytes, the close says enough. */
	IGNORE_RESULT(send(fd, status == 503 ? busy : often,
	    (status == 503 ? sizeof busy : sizeof often) - 1, MSG_DONTWAIT | MSG_NOSIGNAL));
	linger_close(l->all->loop, fd, &nothing);
}

static void
complain(struct listeners *ls, enum gate_answer answer, const struct addr *from)
{
	uint64_t now_ms = loop_now_ms(ls->loop);
	char text[ADDR_TEXT];

	if (answer == GATE_OFTEN)
		log_limited(&ls->rate_log, now_ms, LOG_LEVEL_WARN,
		    "%s: too many new connections a second (--connection-rate), turned away",
		    addr_host(from, text));
	else
		log_limited(&ls->full_log, now_ms, LOG_LEVEL_WARN,
		    "%s: turned away, connections that are to go are still there "
		    "(--max-handshakes, --max-idle)",
		    addr_host(from, text));
}

static void
welcome(void *arg, int fd, const struct addr *from)
{
	struct listener *l = arg;
	struct listeners *ls = l->all;
	struct relay *r = ls->relay;
	struct worker *w = &r->workers[ls->next_worker];
	struct gate_who who;
	struct gate_place *place;
	enum gate_answer answer;

	origin_who(r, from, &who);
	/* For whom a proxy stands it says later (entry.h). */
	if (l->web && addr_in_nets(from, r->ingress.proxies, r->ingress.n_proxies))
		who.any_rate = who.any_places = true;
	answer = gate_enter(gate_of(r, l->tunnel), &who, w->index, loop_now_ms(ls->loop), &place);
	if (answer == GATE_IN) {
		ls->next_worker = (ls->next_worker + 1) % r->n_workers;
		deal(l, w, fd, from, place);
		return;
	}
	complain(ls, answer, from);
	turn_away(l, fd, answer == GATE_OFTEN ? 429 : 503);
}

int
listeners_start(struct listeners *ls, struct loop *l)
{
	int r = 0;

	ls->loop = l;
	for (size_t i = 0; r == 0 && i < ls->n; i++) {
		struct acceptor_config cfg = { ls->v[i].fd, ls->v[i].name, &ls->reserve, welcome,
			&ls->v[i] };

		r = acceptor_init(&ls->v[i].acceptor, l, &cfg);
	}
	return r;
}

void
listeners_stop(struct listeners *ls)
{
	if (ls == NULL)
		return;
	for (size_t i = 0; i < ls->n; i++) {
		acceptor_fini(&ls->v[i].acceptor);
		if (ls->v[i].fd >= 0)
			listen_close(ls->v[i].fd);
	}
	rlimit_reserve_fini(&ls->reserve);
	log_limit_fini(&ls->rate_log);
	log_limit_fini(&ls->full_log);
	mem_free(ls->v);
	mem_free(ls);
}
