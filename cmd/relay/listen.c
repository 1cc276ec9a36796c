/* SPDX-License-Identifier: ISC */
/* listen - the relay's listeners. */
#include "cmd/relay/listen.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/common/acceptor.h"
#include "cmd/relay/guest.h"
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
	/* "--listen SPEC" */
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
	bool tls;
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

static int
listener_open(struct relay *r, struct listener *l, const char *spec, struct errtext *e)
{
	bool plain = strncmp(spec, PLAIN_PREFIX, strlen(PLAIN_PREFIX)) == 0;
	struct errtext why = { "" };
	int rc;

	l->fd = -1;
	l->tls = r->tls != NULL && !plain;
	snprintf(l->name, sizeof l->name, "--listen %s", spec);
	rc = listen_open(spec + (plain ? strlen(PLAIN_PREFIX) : 0), &l->fd, &why);
	return rc != 0 ? err_set(e, rc, "--listen: %s", why.s) : check_exposure(r, l, e);
}

int
listeners_open(struct relay *r, struct listeners **out, struct errtext *e)
{
	struct listeners *ls = mem_must_zalloc(sizeof *ls);
	int rc = 0;

	ls->relay = r;
	ls->reserve.fd = -1;
	log_limit_init(&ls->rate_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "new connections");
	log_limit_init(&ls->full_log, LOG_LIMIT_FEW, LOG_LIMIT_LONG_MS, "new connections");
	ls->v = mem_must_zalloc(r->opts.listen.n * sizeof *ls->v);
	for (; rc == 0 && ls->n < r->opts.listen.n; ls->n++) {
		ls->v[ls->n].all = ls;
		rc = listener_open(r, &ls->v[ls->n], r->opts.listen.v[ls->n], e);
	}
	if (rc == 0 && rlimit_reserve_init(&ls->reserve) != 0)
		rc = err_sys(e, "no descriptor to keep in reserve");
	if (rc == 0)
		*out = ls;
	else
		listeners_stop(ls);
	return rc;
}

char *
listeners_ready_json(const struct listeners *ls)
{
	struct jobj *o = jobj_new_obj(), *arr = jobj_new_arr();
	char *text = NULL;
	int r = jobj_set_int(o, "pid", getpid());

	for (size_t i = 0; r == 0 && i < ls->n; i++) {
		struct jobj *one = jobj_new_obj();
		char host[ADDR_TEXT];
		struct addr a;

		if (addr_local(ls->v[i].fd, &a) != 0 ||
		    (r = jobj_set_str(one, "address",
			 a.u.sa.sa_family == AF_UNIX ? addr_text(&a, host)
						     : addr_host(&a, host))) != 0 ||
		    (r = jobj_set_int(one, "port", addr_port(&a))) != 0 ||
		    (r = jobj_set_bool(one, "tls", ls->v[i].tls)) != 0)
			jobj_free(one);
		else
			r = jobj_add_take(arr, one);
	}
	if (r == 0) {
		r = jobj_set_take(o, "tunnel", arr);
		arr = NULL;
	}
	if (r == 0)
		text = jobj_dump(o, NULL);
	jobj_free(arr);
	jobj_free(o);
	return text;
}

/* ---- accepting ---- */

static void
on_deal(void *arg)
{
	struct arrival *a = arg;

	guest_start(a->w, a->fd, &a->from, a->tls, a->place);
	mem_free(a);
}

static void
on_deal_dropped(void *arg)
{
	struct arrival *a = arg;

	gate_leave(a->w->relay->gate, a->place);
	close(a->fd);
	mem_free(a);
}

static void
deal(
    struct listener *l, struct worker *w, int fd, const struct addr *from, struct gate_place *place)
{
	struct listeners *ls = l->all;
	struct arrival *a;

	if (w->loop == ls->loop) {
		guest_start(w, fd, from, l->tls, place);
		return;
	}
	a = mem_zalloc(sizeof *a);
	if (a != NULL) {
		*a = (struct arrival){ w, fd, l->tls, *from, place };
		if (loop_post(w->loop, on_deal, on_deal_dropped, a) == 0)
			return;
	}
	gate_leave(ls->relay->gate, place);
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
		    "(--max-handshakes)",
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
	answer = gate_enter(r->gate, &who, w->index, loop_now_ms(ls->loop), &place);
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
