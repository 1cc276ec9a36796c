/* SPDX-License-Identifier: ISC */
/*
 * resolve - names to addresses, by c-ares on the loop's descriptors and timers.
 *
 *     resolver (one a loop) ── channel (one; older ones until their last question is answered) ──
 *     sockets look-up ── question (one, or two) ── channel
 *
 * A channel of c-ares 1.18 cannot read its configuration again, and a single question cannot be
 * taken back.  So a change of the files makes a new channel, and a look-up whose asker has gone
 * lives on until c-ares has answered; when nobody waits for any answer of a channel, all its
 * questions are taken back at once.
 *
 * c-ares calls us from within its own functions: nothing but this file's state is touched there,
 * askers are told from a task.
 */
#include "lib/net/resolve.h"

#include <ares.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/time.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/hostport.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define HOSTS_FILE "/etc/hosts"

struct channel;

/* A socket of c-ares. */
struct sock {
	struct channel *ch;
	struct io io;
	int fd;
	TAILQ_ENTRY(sock) link;
	struct grave grave;
};

struct channel {
	struct resolver *resolver;
	ares_channel ares;
	struct timer timer;
	TAILQ_HEAD(, sock) socks;
	/* Questions under way, and of them those that nobody waits for. */
	unsigned n_asked, n_orphans;
	/* Not the newest: ends with its last question, by the task. */
	bool retired;
	struct task end;
	TAILQ_ENTRY(channel) link;
};

struct resolver {
	struct loop *loop;
	struct file_stamp conf, hosts;
	/* The newest; NULL: none could be made. */
	struct channel *now;
	TAILQ_HEAD(, channel) channels;
	unsigned n_asked;
	/* With questions under way. */
	TAILQ_HEAD(, resolve) asking;
};

struct question {
	struct resolve *r;
	/* NULL: not asked, or answered. */
	struct channel *ch;
};

/* Both families together, then A alone. */
enum { Q_ALL, Q_ALONE, N_QUESTIONS };

struct resolve {
	struct loop *loop;
	uint64_t asker;
	struct question q[N_QUESTIONS];
	unsigned n_asked;
	TAILQ_ENTRY(resolve) link;
	struct timer alone;
	char host[HOSTPORT_HOST_MAX + 1];
	uint16_t port;
	/* NULL: told, or cancelled. */
	resolve_fn *fn;
	void *arg;
	struct addr a[RESOLVE_ADDRS_MAX];
	size_t n;
	int err;
	char text[ERR_TEXT_MAX];
	struct task tell;
	struct grave grave;
};

/* ---- a channel's sockets and time ---- */

/* What c-ares waits for next in time. */
static void
channel_rearm(struct channel *ch)
{
	struct timeval tv;

	if (ares_timeout(ch->ares, NULL, &tv) == NULL)
		timer_cancel(&ch->timer);
	else
		timer_set(&ch->timer, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
}

static void
on_time(void *arg)
{
	struct channel *ch = arg;

	ares_process_fd(ch->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	channel_rearm(ch);
}

static void
on_socket(void *arg, int what)
{
	struct sock *s = arg;
	struct channel *ch = s->ch;
	int fd = s->fd;

	ares_process_fd(ch->ares, (what & IO_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (what & IO_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
	channel_rearm(ch);
}

static void
sock_dispose(void *arg)
{
	mem_free(arg);
}

static void
sock_free(struct sock *s)
{
	TAILQ_REMOVE(&s->ch->socks, s, link);
	io_fini(&s->io);
	loop_bury(s->ch->resolver->loop, &s->grave, sock_dispose, s);
}

static struct sock *
sock_get(struct channel *ch, int fd)
{
	struct sock *s;

	TAILQ_FOREACH (s, &ch->socks, link)
		if (s->fd == fd)
			return s;
	s = mem_zalloc(sizeof *s);
	if (s == NULL)
		return NULL;
	s->ch = ch;
	s->fd = fd;
	if (io_init(&s->io, ch->resolver->loop, fd, false, on_socket, s) != 0) {
		mem_free(s);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&ch->socks, s, link);
	return s;
}

/* c-ares says what it waits for at a socket; for nothing at all just before it closes it. */
static void
on_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct channel *ch = arg;
	struct sock *s = sock_get(ch, fd);

	if (s != NULL && !readable && !writable)
		sock_free(s);
	/* A socket that is not watched is one that does not answer: c-ares goes on to the next. */
	else if (s == NULL ||
		 io_want(&s->io, (readable ? IO_READ : 0) | (writable ? IO_WRITE : 0)) != 0)
		log_debug("resolve: a socket cannot be watched");
}

/* ---- channels ---- */

static void
channel_free(struct channel *ch)
{
	struct sock *s;

	/* Questions end within; their sockets are closed. */
	ares_destroy(ch->ares);
	while ((s = TAILQ_FIRST(&ch->socks)) != NULL)
		sock_free(s);
	timer_fini(&ch->timer);
	task_cancel(ch->resolver->loop, &ch->end);
	TAILQ_REMOVE(&ch->resolver->channels, ch, link);
	mem_free(ch);
}

static void
on_end(void *arg)
{
	channel_free(arg);
}

static void
channel_retire(struct channel *ch)
{
	if (ch == NULL)
		return;
	ch->retired = true;
	if (ch->n_asked == 0)
		task_soon(ch->resolver->loop, &ch->end);
}

static int
channel_open(struct channel *ch)
{
	struct ares_options o = {
		.flags = ARES_FLAG_EDNS,
		.timeout = RESOLVE_TRY_MS,
		.tries = RESOLVE_TRIES,
		.lookups = (char[]){ "fb" },
		.sock_state_cb = on_interest,
		.sock_state_cb_data = ch,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
		   ARES_OPT_SOCK_STATE_CB;

#ifdef ARES_OPT_QUERY_CACHE
	/* Newer ones keep answers, which 1.18 does not: off, so that all behave alike. */
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	return ares_init_options(&ch->ares, &o, mask) == ARES_SUCCESS ? 0 : ERR_NOMEM;
}

static struct channel *
channel_new(struct resolver *rs)
{
	struct channel *ch = mem_zalloc(sizeof *ch);

	if (ch == NULL)
		return NULL;
	ch->resolver = rs;
	TAILQ_INIT(&ch->socks);
	task_init(&ch->end, on_end, ch);
	if (timer_init(&ch->timer, rs->loop, on_time, ch) != 0 || channel_open(ch) != 0) {
		timer_fini(&ch->timer);
		mem_free(ch);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&rs->channels, ch, link);
	return ch;
}

/* ---- the resolver ---- */

static void *
ares_resize(void *p, size_t n)
{
	return mem_resize(p, n, 1);
}

static void
init_library(void)
{
	/* It fails on other systems only. */
	IGNORE_RESULT(ares_library_init_mem(ARES_LIB_INIT_ALL, mem_alloc, mem_free, ares_resize));
}

static void
resolver_end(void *arg)
{
	struct resolver *rs = arg;
	struct channel *ch;

	while ((ch = TAILQ_FIRST(&rs->channels)) != NULL)
		channel_free(ch);
	mem_free(rs);
}

static struct resolver *
resolver_new(struct loop *l)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct resolver *rs = mem_zalloc(sizeof *rs);

	pthread_once(&once, init_library);
	if (rs == NULL)
		return NULL;
	rs->loop = l;
	TAILQ_INIT(&rs->channels);
	TAILQ_INIT(&rs->asking);
	return rs;
}

/* The loop's resolver, with a channel that knows the files as they are; NULL: out of memory. */
static struct resolver *
resolver_get(struct loop *l)
{
	struct loop_part *part = loop_resolver(l);
	struct resolver *rs = part->obj;
	struct file_stamp conf, hosts;

	if (rs == NULL && (rs = resolver_new(l)) == NULL)
		return NULL;
	*part = (struct loop_part){ rs, resolver_end };
	file_stamp_take(&conf, RESOLV_CONF);
	file_stamp_take(&hosts, HOSTS_FILE);
	if (rs->now != NULL && file_stamp_same(&conf, &rs->conf) &&
	    file_stamp_same(&hosts, &rs->hosts))
		return rs;
	rs->conf = conf;
	rs->hosts = hosts;
	channel_retire(rs->now);
	rs->now = channel_new(rs);
	return rs->now != NULL ? rs : NULL;
}

static void
channel_servers(struct channel *ch, char *out, size_t size)
{
#if ARES_VERSION >= 0x011800
	char *csv = ares_get_servers_csv(ch->ares);

	snprintf(out, size, "%s", csv != NULL ? csv : "");
	ares_free_string(csv);
#else
	struct ares_addr_node *all = NULL;
	size_t len = 0;

	out[0] = '\0';
	if (ares_get_servers(ch->ares, &all) != ARES_SUCCESS)
		return;
	for (const struct ares_addr_node *n = all; n != NULL && len < size; n = n->next) {
		char ip[INET6_ADDRSTRLEN] = "?";

		ares_inet_ntop(n->family, &n->addr, ip, sizeof ip);
		len += (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "", ip);
	}
	ares_free_data(all);
#endif
}

const char *
resolve_servers(struct loop *l, char out[RESOLVE_SERVERS_TEXT])
{
	struct resolver *rs = loop_resolver(l)->obj;

	out[0] = '\0';
	if (rs != NULL && rs->now != NULL)
		channel_servers(rs->now, out, RESOLVE_SERVERS_TEXT);
	return out;
}

/* ---- answers ---- */

static void
dispose(void *arg)
{
	mem_free(arg);
}

static void
add_literal(struct resolve *r, const char *host)
{
	if (r->n < RESOLVE_ADDRS_MAX && addr_literal(host, r->port, &r->a[r->n]))
		r->n++;
}

/* RFC 8305 4: the families in turn, each in its order, the first one's first. */
static void
take_answers(struct resolve *r, const struct ares_addrinfo_node *all)
{
	const struct ares_addrinfo_node *next[2] = { all, all };
	int family[2] = { all->ai_family, all->ai_family == AF_INET ? AF_INET6 : AF_INET };
	int turn = 0, idle = 0;

	while (r->n < RESOLVE_ADDRS_MAX && idle < 2) {
		const struct ares_addrinfo_node *ai = next[turn];

		while (ai != NULL && ai->ai_family != family[turn])
			ai = ai->ai_next;
		if (ai != NULL && ai->ai_addrlen <= (ares_socklen_t)sizeof r->a[0].u) {
			struct addr *a = &r->a[r->n++];

			memcpy(&a->u, ai->ai_addr, (size_t)ai->ai_addrlen);
			a->len = (socklen_t)ai->ai_addrlen;
			addr_set_port(a, r->port);
		}
		idle = ai == NULL ? idle + 1 : 0;
		next[turn] = ai == NULL ? NULL : ai->ai_next;
		turn = !turn;
	}
}

static void
set_error(struct resolve *r, int err, const char *what)
{
	char servers[RESOLVE_SERVERS_TEXT];

	r->err = err;
	snprintf(r->text, sizeof r->text, "%s: %s (asked " HOSTS_FILE " and %s of " RESOLV_CONF ")",
	    r->host, what, resolve_servers(r->loop, servers));
}

static void
set_status(struct resolve *r, int status)
{
	char what[100];

	switch (status) {
	case ARES_ENOMEM:
		r->err = ERR_NOMEM;
		snprintf(r->text, sizeof r->text, "out of memory");
		break;
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		set_error(r, ERR_NOTFOUND, "there is no such host");
		break;
	case ARES_ENODATA:
		set_error(r, ERR_NOTFOUND, "the name exists, but has no address");
		break;
	case ARES_ETIMEOUT:
	case ARES_ECONNREFUSED:
		set_error(r, ERR_TIMEOUT, "the name servers do not answer");
		break;
	default:
		snprintf(
		    what, sizeof what, "the name servers have failed: %s", ares_strerror(status));
		set_error(r, ERR_TIMEOUT, what);
	}
}

/* Nobody waits for the look-up any more.  It lives on until c-ares has answered. */
static void
orphan(struct resolve *r)
{
	r->fn = NULL;
	timer_fini(&r->alone);
	task_cancel(r->loop, &r->tell);
	if (r->n_asked == 0)
		loop_bury(r->loop, &r->grave, dispose, r);
	for (int i = 0; i < N_QUESTIONS; i++)
		if (r->q[i].ch != NULL)
			r->q[i].ch->n_orphans++;
}

/* The same, and questions that nobody waits for are taken back: not to be called by c-ares. */
static void
release(struct resolve *r)
{
	orphan(r);
	for (int i = 0; i < N_QUESTIONS; i++) {
		struct channel *ch = r->q[i].ch;

		if (ch != NULL && ch->n_orphans == ch->n_asked) {
			ares_cancel(ch->ares);
			channel_rearm(ch);
		}
	}
}

static void
question_over(struct question *q)
{
	struct channel *ch = q->ch;

	q->ch = NULL;
	if (--q->r->n_asked == 0)
		TAILQ_REMOVE(&ch->resolver->asking, q->r, link);
	ch->resolver->n_asked--;
	ch->n_asked--;
	if (q->r->fn == NULL)
		ch->n_orphans--;
	if (ch->retired && ch->n_asked == 0)
		task_soon(ch->resolver->loop, &ch->end);
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *res)
{
	struct question *q = arg;
	struct resolve *r = q->r;

	(void)timeouts;
	question_over(q);
	/* The loop goes, and with it who asked. */
	if (status == ARES_EDESTRUCTION && r->fn != NULL) {
		orphan(r);
	} else if (r->fn == NULL) {
		if (r->n_asked == 0)
			loop_bury(r->loop, &r->grave, dispose, r);
	} else {
		if (r->n == 0 && status == ARES_SUCCESS && res != NULL && res->nodes != NULL)
			take_answers(r, res->nodes);
		else if (status == ARES_SUCCESS)
			status = ARES_ENODATA;
		if (r->n == 0 && r->n_asked == 0)
			set_status(r, status);
		if (r->n > 0 || r->n_asked == 0)
			task_soon(r->loop, &r->tell);
	}
	if (res != NULL)
		ares_freeaddrinfo(res);
}

static void
on_tell(void *arg)
{
	struct resolve *r = arg;
	resolve_fn *fn = r->fn;

	release(r);
	fn(r->arg, r->a, r->n, r->err, r->text);
}

/* ---- questions ---- */

/* Is there room for one more question of that asker? */
static bool
has_room(const struct resolver *rs, uint64_t asker)
{
	const struct resolve *r;
	unsigned own = 0;

	if (asker == 0)
		return rs->n_asked < RESOLVE_MAX;
	TAILQ_FOREACH (r, &rs->asking, link)
		own += r->asker == asker ? r->n_asked : 0;
	return own < (RESOLVE_MAX - (rs->n_asked - own)) / 2;
}

static int
ask(struct resolve *r, struct resolver *rs, int which)
{
	struct ares_addrinfo_hints hints = { .ai_socktype = SOCK_STREAM,
		.ai_family = which == Q_ALL ? AF_UNSPEC : AF_INET };
	struct channel *ch = rs->now;

	if (!has_room(rs, r->asker))
		return ERR_LIMIT;
	r->q[which] = (struct question){ r, ch };
	if (r->n_asked++ == 0)
		TAILQ_INSERT_TAIL(&rs->asking, r, link);
	rs->n_asked++;
	ch->n_asked++;
	ares_getaddrinfo(ch->ares, r->host, NULL, &hints, on_answer, &r->q[which]);
	channel_rearm(ch);
	return 0;
}

static void
on_alone(void *arg)
{
	struct resolve *r = arg;
	struct resolver *rs = resolver_get(r->loop);

	/* The first question is under way all the same. */
	if (rs != NULL && r->n == 0 && r->n_asked > 0)
		IGNORE_RESULT(ask(r, rs, Q_ALONE));
}

static bool
is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t n = strlen(host), k = sizeof name - 1;

	/* An absolute name is the same one. */
	if (n > 1 && host[n - 1] == '.')
		n--;
	return n >= k && strncasecmp(host + n - k, name, k) == 0 &&
	       (n == k || host[n - k - 1] == '.');
}

/* Returns false when out of memory. */
static bool
begin(struct resolve *r)
{
	struct resolver *rs;

	if (timer_init(&r->alone, r->loop, on_alone, r) != 0 ||
	    (rs = resolver_get(r->loop)) == NULL)
		return false;
	timer_set(&r->alone, RESOLVE_ALONE_MS);
	if (ask(r, rs, Q_ALL) == 0)
		return true;
	r->err = ERR_LIMIT;
	snprintf(
	    r->text, sizeof r->text, "%s: too many names are being looked up already", r->host);
	task_soon(r->loop, &r->tell);
	return true;
}

struct resolve *
resolve_start(
    struct loop *l, const char *host, uint16_t port, uint64_t asker, resolve_fn *fn, void *arg)
{
	struct resolve *r = mem_zalloc(sizeof *r);

	if (r == NULL)
		return NULL;
	r->loop = l;
	r->asker = asker;
	r->port = port;
	r->fn = fn;
	r->arg = arg;
	task_init(&r->tell, on_tell, r);
	snprintf(r->host, sizeof r->host, "%s", host);
	if (is_localhost(host)) {
		add_literal(r, "::1");
		add_literal(r, "127.0.0.1");
	} else {
		add_literal(r, host);
	}
	if (r->n == 0 && strlen(host) > HOSTPORT_HOST_MAX) {
		r->err = ERR_NOTFOUND;
		snprintf(r->text, sizeof r->text, "%s...: no name is that long", r->host);
	}
	if (r->n > 0 || r->err != 0) {
		task_soon(l, &r->tell);
	} else if (!begin(r)) {
		timer_fini(&r->alone);
		mem_free(r);
		return NULL;
	}
	return r;
}

void
resolve_cancel(struct resolve *r)
{
	if (r != NULL)
		release(r);
}
