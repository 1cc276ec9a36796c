/* SPDX-License-Identifier: ISC */
/* publish_port - ports of the relay that are agents' services. */
#include "cmd/relay/ingress/publish_port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/relay/group.h"
#include "cmd/relay/ingress/ports.h"
#include "cmd/relay/ingress/state.h"
#include "cmd/relay/ingress/udp.h"
#include "lib/net/listen.h"
#include "lib/net/sockopt.h"
#include "lib/net/udp.h"

static bool
is_udp(const struct publication *pub)
{
	return pub->kind == &publish_udp;
}

/* ---- which port ---- */

struct attempt {
	struct publication *pub;
	const struct creds *creds;
	struct errtext *why;
};

static uint16_t
next_port(void *arg, uint16_t port)
{
	struct attempt *t = arg;

	return creds_agent_next_port(t->creds, &t->pub->id, port);
}

static int
try_port(void *arg, uint16_t port)
{
	struct attempt *t = arg;
	struct addr at = t->pub->w->relay->ingress.at;
	char spec[ADDR_TEXT];
	int r;

	/* What was said of another port. */
	t->why->s[0] = '\0';
	if (!creds_agent_may_publish(t->creds, &t->pub->id, port))
		return err_set(
		    t->why, ERR_DENIED, "the credentials do not allow this agent port %u", port);
	addr_set_port(&at, port);
	if (is_udp(t->pub))
		r = udp_open(&at, &t->pub->fd, t->why);
	else
		r = listen_open(addr_text(&at, spec), &t->pub->fd, t->why);
	return r == ERR_SYS && errno == EADDRINUSE ? ERR_EXISTS : r;
}

static int
take_port(
    struct publication *pub, const struct request *q, const struct creds *c, struct errtext *why)
{
	const struct ingress *in = &pub->w->relay->ingress;
	char owner[PORTS_OWNER_MAX + 1];
	struct attempt t = { pub, c, why };
	const struct ports_user user = { next_port, try_port, &t };
	int r;

	snprintf(owner, sizeof owner, "%s/%s/%s", pub->group->name, pub->kind->name, pub->service);
	r = ports_take(in->ports, is_udp(pub), owner, q->port, q->had, &user, &pub->port);
	if (r != 0 && pub->fd >= 0) {
		listen_close(pub->fd);
		pub->fd = -1;
	}
	if (r == 0)
		return r;
	/* Of the ports that were tried each had a reason of its own. */
	if (r == ERR_LIMIT)
		return err_set(why, r, "none of this relay's public ports is free for this agent");
	if (why->s[0] != '\0')
		return r;
	if (r == ERR_DENIED)
		return err_set(why, r, "port %u is none of this relay's public ports, %u to %u",
		    q->port, in->first, in->last);
	if (r == ERR_EXISTS)
		return err_set(why, r, "port %u belongs to another service", q->port);
	return err_set(why, r, "out of memory");
}

/* ---- the kind ---- */

static int
port_check(
    const struct peer *p, const struct request *q, const struct creds *c, struct errtext *why)
{
	if (!creds_agent_may_offer(c, &p->id, q->service))
		return err_set(
		    why, ERR_DENIED, "the credentials do not name %s as a service", q->service);
	if (p->w->relay->ingress.ports == NULL)
		return err_set(why, ERR_DENIED, "this relay has no public ports (--ports)");
	if (q->rules.proxy != 0 && strcmp(q->kind, publish_udp.name) == 0)
		return err_set(why, ERR_INVALID, "datagrams have no PROXY header");
	return 0;
}

static bool
port_is_at(const struct publication *pub, const struct request *q)
{
	return q->port == 0 || q->port == pub->port;
}

/* The port is still kept for a service of the agent's, which it has not asked for again. */
static void
port_clear_way(struct group *g, const struct request *q)
{
	struct publication *pub, *next;

	for (pub = TAILQ_FIRST(&g->published); pub != NULL; pub = next) {
		next = TAILQ_NEXT(pub, link);
		if (strcmp(pub->kind->name, q->kind) == 0 && pub->port == q->port &&
		    pub->state == PUBLICATION_AWAY)
			publication_end(pub, "its agent wants the port for another service");
	}
}

static void
on_accepted(void *arg, int fd, const struct addr *from)
{
	visitor_start(arg, fd, from);
}

static int
begin_accepting(struct publication *pub)
{
	struct acceptor_config cfg = { pub->fd, pub->name, &pub->w->reserve, on_accepted, pub };

	if (is_udp(pub))
		return udp_start(pub);
	/* A visitor who vanished must not have a place for ever. */
	sockopt_keepalive(pub->fd);
	if (pub->w->reserve.fd < 0 && rlimit_reserve_init(&pub->w->reserve) != 0)
		return ERR_SYS;
	return acceptor_init(&pub->acceptor, pub->w->loop, &cfg);
}

static int
port_open(
    struct publication *pub, const struct request *q, const struct creds *c, struct errtext *why)
{
	struct addr at;
	char text[ADDR_TEXT];
	int r = take_port(pub, q, c, why);

	if (r != 0)
		return r;
	if (addr_local(pub->fd, &at) != 0)
		return err_sys(why, "the public port is lost");
	snprintf(pub->public, sizeof pub->public, "%s", addr_text(&at, text));
	publication_set_name(pub);
	if (publication_set_rules(pub, q) != 0 || begin_accepting(pub) != 0)
		return err_set(why, ERR_NOMEM, "out of memory or file descriptors");
	state_changed(pub->w->relay->ingress.state);
	return 0;
}

static bool
port_may_stay(const struct publication *pub, const struct creds *c)
{
	return creds_agent_may_offer(c, &pub->id, pub->service) &&
	       creds_agent_may_publish(c, &pub->id, pub->port);
}

static void
port_close(struct publication *pub)
{
	bool is_open = pub->fd >= 0 || pub->udp != NULL;

	visitors_leave(pub);
	acceptor_fini(&pub->acceptor);
	udp_stop(pub);
	if (pub->fd >= 0)
		listen_close(pub->fd);
	pub->fd = -1;
	if (is_open)
		ports_release(pub->w->relay->ingress.ports, is_udp(pub), pub->port);
}

static void
port_tell(const struct publication *pub, struct request_reply *a)
{
	a->port = pub->port;
}

const struct publication_kind publish_tcp = {
	.name = "tcp",
	.check = port_check,
	.is_at = port_is_at,
	.clear_way = port_clear_way,
	.open = port_open,
	.may_stay = port_may_stay,
	.close = port_close,
	.joined = visitors_go,
	.tell = port_tell,
};

const struct publication_kind publish_udp = {
	.name = "udp",
	.check = port_check,
	.is_at = port_is_at,
	.clear_way = port_clear_way,
	.open = port_open,
	.may_stay = port_may_stay,
	.close = port_close,
	/* None of its waits. */
	.joined = visitors_go,
	.tell = port_tell,
};
