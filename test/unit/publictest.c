/* SPDX-License-Identifier: ISC */
/* publictest - a relay with agents that are the test, and visitors' sockets. */
#include "test/unit/publictest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/relay/group.h"
#include "cmd/relay/ingress/ports.h"
#include "lib/base/mem.h"
#include "test/unit/turns.h"

/* Below the ports that the system gives to clients. */
enum { PORT_FIRST = 16384, PORT_STEPS = 250 };

static void
must(bool ok)
{
	if (!ok)
		abort();
}

void
publictest_init(struct relay *r, int n)
{
	struct ingress *in = &r->ingress;

	relaytest_init(r, n);
	budget_init(&r->memory, 1024 * 1024 * 1024, NULL);
	r->opts.grace_ms = 600000;
	r->opts.max_streams = 400;
	/* Tests that run at once begin in different places. */
	in->first = (uint16_t)(PORT_FIRST + getpid() % PORT_STEPS * PUBLICTEST_PORTS);
	in->last = (uint16_t)(in->first + PUBLICTEST_PORTS - 1);
	in->ports = ports_new(in->first, in->last);
	must(in->ports != NULL && addr_literal("127.0.0.1", 0, &in->at));
}

void
publictest_web(
    struct relay *r, uint16_t http, uint16_t https, const char *domain, const char *other)
{
	char *v[] = { (char *)(uintptr_t)domain, (char *)(uintptr_t)other };
	struct relay_opts o = { .domain = { v, (size_t)(domain != NULL) + (other != NULL) } };

	names_fini(&r->ingress.names);
	r->ingress.names = (struct names){ 0 };
	must(names_init(&r->ingress.names, &o, NULL) == 0);
	r->ingress.http_port = http;
	r->ingress.https_port = https;
}

void
publictest_fini(struct relay *r)
{
	struct ports *ports = r->ingress.ports;
	struct addr_net *proxies = r->ingress.proxies;
	struct names names = r->ingress.names;

	relaytest_fini(r);
	names_fini(&names);
	ports_free(ports);
	mem_free(proxies);
}

const struct request_reply *
publictest_ask(struct fake_session *agent, const char *members)
{
	static struct request_reply reply;
	static int64_t id;
	struct request q;
	char json[4096];
	int before = agent->n_control;

	snprintf(json, sizeof json, "{\"id\":%lld,%s}", (long long)++id, members);
	fake_control(agent, json);
	must(agent->n_control == before + 1);
	must(request_parse(&q, &reply, agent->control, strlen(agent->control), NULL) == 0);
	must(q.verb == REQUEST_REPLY && reply.id == id);
	return &reply;
}

uint16_t
publictest_publish(struct fake_session *agent, const char *service, const char *more)
{
	const struct request_reply *a;
	char members[2048];

	snprintf(members, sizeof members,
	    "\"request\":\"publish\",\"kind\":\"tcp\",\"service\":\"%s\"%s", service, more);
	a = publictest_ask(agent, members);
	return a->ok ? a->port : 0;
}

void
publictest_withdraw(struct fake_session *agent, const char *service)
{
	char members[256];

	snprintf(members, sizeof members,
	    "\"request\":\"withdraw\",\"kind\":\"tcp\",\"service\":\"%s\"", service);
	must(publictest_ask(agent, members)->ok);
}

struct publication *
publictest_find(struct worker *w, const char *agent, const char *service)
{
	struct publication *pub;
	struct group *g;

	HASH_FIND_STR(w->groups, agent, g);
	if (g == NULL)
		return NULL;
	TAILQ_FOREACH (pub, &g->published, link)
		if (strcmp(pub->service, service) == 0)
			return pub;
	return NULL;
}

int
publictest_visit(uint16_t port, const char *from)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr a;

	must(fd >= 0);
	if (from != NULL) {
		must(addr_literal(from, 0, &a));
		must(bind(fd, &a.u.sa, a.len) == 0);
	}
	must(addr_literal("127.0.0.1", port, &a));
	if (connect(fd, &a.u.sa, a.len) == 0)
		return fd;
	must(errno == ECONNREFUSED);
	close(fd);
	return -1;
}

enum visit
publictest_look(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0 || (n < 0 && errno == EAGAIN))
		return VISIT_OPEN;
	must(n == 0 || errno == ECONNRESET);
	return n == 0 ? VISIT_FIN : VISIT_RESET;
}

struct seen {
	int fd;
	enum visit how;
};

static bool
is_over(void *arg)
{
	struct seen *s = arg;

	/* A reset is told once. */
	if (s->how == VISIT_OPEN)
		s->how = publictest_look(s->fd);
	return s->how != VISIT_OPEN;
}

enum visit
publictest_ends(struct worker *w, int fd)
{
	struct seen s = { fd, VISIT_OPEN };

	IGNORE_RESULT(turns_until(w->loop, is_over, &s)); /* s says what came of it */
	close(fd);
	return s.how;
}

struct asked {
	const struct fake_session *agent;
	size_t n;
};

static bool
was_asked(void *arg)
{
	const struct asked *a = arg;

	return a->agent->n_streams >= a->n;
}

bool
publictest_streams(struct worker *w, const struct fake_session *agent, size_t n)
{
	struct asked a = { agent, n };

	return turns_until(w->loop, was_asked, &a) && agent->n_streams == n;
}

struct arrived {
	const struct publication *pub;
	unsigned n;
};

static bool
have_arrived(void *arg)
{
	const struct arrived *a = arg;

	return a->pub->n_visitors >= a->n;
}

bool
publictest_arrived(const struct publication *pub, unsigned n)
{
	struct arrived a = { pub, n };

	return turns_until(pub->w->loop, have_arrived, &a) && pub->n_visitors == n;
}
