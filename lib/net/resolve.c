/* SPDX-License-Identifier: ISC */
/*
 * resolve - names to addresses, by libevent's resolver.
 *
 * Each look-up has a resolver of its own.  A cancelled one lives on without its user until libevent has let go of it, which it does
 * from the loop.
 */
#include "lib/net/resolve.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/net/hostport.h"
#include "lib/net/hosts.h"
#include "lib/base/mem.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define HOSTS_FILE "/etc/hosts"

struct resolve {
	struct loop *loop;
	struct evdns_base *dns;
	struct evdns_getaddrinfo_request *request; /* NULL: none under way */
	char host[HOSTPORT_HOST_MAX + 1];
	uint16_t port;
	resolve_fn *fn; /* NULL: cancelled */
	void *arg;
	struct addr a[RESOLVE_ADDRS_MAX];
	size_t n;
	int err;
	char text[ERR_TEXT_MAX];
	struct task tell;
	struct grave grave;
};

static void
dispose(void *arg)
{
	struct resolve *r = arg;

	if (r->dns != NULL)
		evdns_base_free(r->dns, 0);
	mem_free(r);
}

static void
on_tell(void *arg)
{
	struct resolve *r = arg;

	r->fn(r->arg, r->a, r->n, r->err, r->text);
	loop_bury(r->loop, &r->grave, dispose, r);
}

static void
add_literal(struct resolve *r, const char *host)
{
	if (r->n < RESOLVE_ADDRS_MAX && addr_literal(host, r->port, &r->a[r->n]))
		r->n++;
}

/* RFC 8305 4: the families in turn, IPv6 first, each in the order in which it was given. */
static void
take_answers(struct resolve *r, const struct evutil_addrinfo *all)
{
	const struct evutil_addrinfo *next[2] = { all, all };
	static const int family[2] = { AF_INET6, AF_INET };
	int turn = 0, idle = 0;

	while (r->n < RESOLVE_ADDRS_MAX && idle < 2) {
		const struct evutil_addrinfo *ai = next[turn];

		while (ai != NULL && ai->ai_family != family[turn])
			ai = ai->ai_next;
		if (ai != NULL && ai->ai_addrlen <= sizeof r->a[0].u) {
			memcpy(&r->a[r->n].u, ai->ai_addr, ai->ai_addrlen);
			r->a[r->n++].len = ai->ai_addrlen;
		}
		idle = ai == NULL ? idle + 1 : 0;
		next[turn] = ai == NULL ? NULL : ai->ai_next;
		turn = !turn;
	}
}

/* What the file of hosts says, by family: IPv6, IPv4. */
struct found {
	uint16_t port;
	struct addr a[2][RESOLVE_ADDRS_MAX];
	size_t n[2];
};

static void
on_host(void *arg, const char *address)
{
	struct found *f = arg;
	struct addr a;
	int family;

	if (!addr_literal(address, f->port, &a))
		return;
	family = a.u.sa.sa_family == AF_INET6 ? 0 : 1;
	if (f->n[family] < RESOLVE_ADDRS_MAX)
		f->a[family][f->n[family]++] = a;
}

/* In the same order as answers. */
static void
take_hosts(struct resolve *r)
{
	struct found f = { .port = r->port };

	hosts_each(HOSTS_FILE, r->host, loop_now_ms(r->loop), on_host, &f);
	for (size_t i = 0; i < RESOLVE_ADDRS_MAX; i++)
		for (int family = 0; family < 2; family++)
			if (i < f.n[family] && r->n < RESOLVE_ADDRS_MAX)
				r->a[r->n++] = f.a[family][i];
}

static void
set_error(struct resolve *r, int gai)
{
	switch (gai) {
	case EVUTIL_EAI_MEMORY:
		r->err = ERR_NOMEM;
		snprintf(r->text, sizeof r->text, "out of memory");
		break;
	case EVUTIL_EAI_NONAME:
	case 0:
		r->err = ERR_NOTFOUND;
		snprintf(r->text, sizeof r->text,
		    "%s: there is no such host (asked /etc/hosts and the name servers "
		    "of " RESOLV_CONF ")",
		    r->host);
		break;
	default:
		/* libevent tells silence, a server's failure, a name without addresses and a truncated answer by the same code. */
		r->err = ERR_TIMEOUT;
		snprintf(r->text, sizeof r->text,
		    "%s: the name servers of " RESOLV_CONF
		    " do not answer, or have no address for it, or too many for an answer of 512 "
		    "bytes",
		    r->host);
	}
}

static void
on_answer(int gai, struct evutil_addrinfo *all, void *arg)
{
	struct resolve *r = arg;

	r->request = NULL;
	if (r->fn == NULL) {
		if (all != NULL)
			evutil_freeaddrinfo(all);
		loop_bury(r->loop, &r->grave, dispose, r);
		return;
	}
	if (gai == 0 && all != NULL)
		take_answers(r, all);
	if (all != NULL)
		evutil_freeaddrinfo(all);
	if (r->n == 0)
		set_error(r, gai);
	task_soon(r->loop, &r->tell);
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

static bool
ask(struct resolve *r)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	char port[8], skew[16];

	r->dns = evdns_base_new(loop_base(r->loop), 0);
	if (r->dns == NULL)
		return false;
	/* Without the file, or servers in it, libevent asks 127.0.0.1, as the C library does. */
	IGNORE_RESULT(evdns_base_resolv_conf_parse(
	    r->dns, DNS_OPTIONS_ALL & ~DNS_OPTION_HOSTSFILE, RESOLV_CONF));
	snprintf(skew, sizeof skew, "0.%03d", RESOLVE_SKEW_MS);
	IGNORE_RESULT(
	    evdns_base_set_option(r->dns, "getaddrinfo-allow-skew", skew)); /* known since 2.0 */
	snprintf(port, sizeof port, "%u", r->port);
	r->request = evdns_getaddrinfo(r->dns, r->host, port, &hints, on_answer, r);
	return true;
}

struct resolve *
resolve_start(struct loop *l, const char *host, uint16_t port, resolve_fn *fn, void *arg)
{
	struct resolve *r = mem_zalloc(sizeof *r);

	if (r == NULL)
		return NULL;
	r->loop = l;
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
	if (strlen(host) > HOSTPORT_HOST_MAX)
		set_error(r, EVUTIL_EAI_NONAME);
	else if (r->n == 0)
		take_hosts(r);
	if (r->n > 0 || r->err != 0) {
		task_soon(l, &r->tell);
	} else if (!ask(r)) {
		mem_free(r);
		return NULL;
	}
	return r;
}

void
resolve_cancel(struct resolve *r)
{
	if (r == NULL)
		return;
	r->fn = NULL;
	task_cancel(r->loop, &r->tell);
	if (r->request != NULL)
		evdns_getaddrinfo_cancel(r->request); /* on_answer follows from the loop */
	else
		loop_bury(r->loop, &r->grave, dispose, r);
}
