/* SPDX-License-Identifier: ISC */
/* udp_port - flows of one socket. */
#include "cmd/common/udp_port.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/buf.h"
#include "lib/net/udp.h"

static const char *const state_name[] = { "new", "answered", "proven", "over" };

/* From the row's state to the column's. */
static const bool state_can[UDP_STATES][UDP_STATES] = {
	[UDP_NEW] = { [UDP_ANSWERED] = true, [UDP_OVER] = true },
	[UDP_ANSWERED] = { [UDP_PROVEN] = true, [UDP_OVER] = true },
	[UDP_PROVEN] = { [UDP_OVER] = true },
};

struct udp_port {
	struct udp_port_config cfg;
	struct loop *loop;
	struct io io;
	struct timer sweep;
	struct udp_flow *flows;
	/* By state, in the order in which they came to it. */
	struct udp_flow_list of[UDP_OVER];
	struct udp_port_counts n;
};

const char *
udp_port_counts_text(const struct udp_port_counts *n, char out[UDP_PORT_COUNTS_TEXT])
{
	snprintf(out, UDP_PORT_COUNTS_TEXT,
	    "%llu flows, %llu of them made room; %llu datagrams up (%llu bytes): %llu refused, "
	    "%llu dropped here, %llu more by the kernel; %llu down (%llu bytes), %llu held back, "
	    "%llu not sent",
	    (unsigned long long)n->flows, (unsigned long long)n->evicted, (unsigned long long)n->up,
	    (unsigned long long)n->up_bytes, (unsigned long long)n->refused,
	    (unsigned long long)n->dropped, (unsigned long long)n->missed,
	    (unsigned long long)n->down, (unsigned long long)n->down_bytes,
	    (unsigned long long)n->held, (unsigned long long)n->unsent);
	return out;
}

/* ---- flows ---- */

static void
set_state(struct udp_flow *f, enum udp_flow_state next)
{
	struct udp_port *p = f->port;

	assert(state_can[f->state][next]);
	log_debug("flow: %s -> %s", state_name[f->state], state_name[next]);
	TAILQ_REMOVE(&p->of[f->state], f, link);
	f->state = next;
	if (next != UDP_OVER)
		TAILQ_INSERT_TAIL(&p->of[next], f, link);
}

static void
ip_bytes(const struct addr *a, uint8_t out[16])
{
	if (a->u.sa.sa_family == AF_INET)
		memcpy(out, &a->u.in.sin_addr, 4);
	else
		memcpy(out, &a->u.in6.sin6_addr, 16);
}

static struct udp_key
key_of(const struct udp_datagram *d)
{
	struct udp_key k;

	memset(&k, 0, sizeof k);
	k.family = d->from.u.sa.sa_family;
	k.port = addr_port(&d->from);
	if (k.family == AF_INET6)
		k.zone = d->from.u.in6.sin6_scope_id;
	ip_bytes(&d->from, k.from);
	ip_bytes(&d->to, k.to);
	return k;
}

/* Its stream is over by now. */
static void
flow_over(struct udp_flow *f, uint32_t code, const char *text)
{
	struct udp_port *p = f->port;

	HASH_DEL(p->flows, f);
	set_state(f, UDP_OVER);
	p->cfg.user->closed(p->cfg.arg, f, code, text);
	loop_bury(p->loop, &f->grave, mem_free, f);
}

static void
flow_end(struct udp_flow *f, const char *text)
{
	struct stream *s = f->s;

	f->s = NULL;
	stream_reset(s, CODE_CANCELLED, text);
	flow_over(f, CODE_OK, text);
}

/* ---- answers ---- */

static bool
may_answer(struct udp_flow *f, size_t n)
{
	const struct udp_port_config *cfg = &f->port->cfg;

	if (f->state == UDP_PROVEN)
		return true;
	if (cfg->amplify != 0 && f->n.down_bytes + n > cfg->amplify * f->n.up_bytes)
		return false;
	return cfg->user->answer == NULL || cfg->user->answer(cfg->arg, f, n);
}

static int
reply(const struct udp_flow *f, const struct bufq *in)
{
	struct iovec iov[UDP_IOV];
	uint8_t room[UDP_MAX];
	int n = udp_gather(in, iov, room);

	return udp_reply(f->port->cfg.fd, &f->from, &f->to, iov, n);
}

static void
on_datagram(void *arg, struct bufq *in)
{
	struct udp_flow *f = arg;
	struct udp_port *p = f->port;

	f->used_ms = loop_now_ms(p->loop);
	if (!may_answer(f, in->len)) {
		f->held++;
		p->n.held++;
		return;
	}
	if (reply(f, in) != 0) {
		f->n.dropped++;
		p->n.unsent++;
		return;
	}
	f->n.down++;
	f->n.down_bytes += in->len;
	p->n.down++;
	p->n.down_bytes += in->len;
	if (f->state == UDP_NEW)
		set_state(f, UDP_ANSWERED);
}

static void
on_opened(void *arg, const struct ctl_open_ok *ok)
{
	(void)arg; /* datagrams have not waited for it */
	(void)ok;
}

static void
on_sent(void *arg, size_t n)
{
	(void)arg; /* what waits is the stream's own business */
	(void)n;
}

static void
on_closed(void *arg, uint32_t code, const char *text)
{
	struct udp_flow *f = arg;

	f->s = NULL;
	flow_over(f, code, text);
}

static const struct stream_user stream_user = {
	.opened = on_opened,
	.datagram = on_datagram,
	.sent = on_sent,
	.closed = on_closed,
};

/* ---- room ---- */

static struct udp_flow *
oldest_waited(struct udp_port *p, enum udp_flow_state state)
{
	struct udp_flow *f = TAILQ_FIRST(&p->of[state]);

	return f != NULL && f->used_ms + UDP_WAIT_MS <= loop_now_ms(p->loop) ? f : NULL;
}

bool
udp_port_evict(struct udp_port *p)
{
	struct udp_flow *f = oldest_waited(p, UDP_NEW);

	if (f == NULL)
		f = oldest_waited(p, UDP_ANSWERED);
	if (f == NULL)
		f = TAILQ_FIRST(&p->of[UDP_NEW]);
	if (f == NULL)
		return false;
	p->n.evicted++;
	flow_end(f, "another flow takes its place");
	return true;
}

static void
sweep(struct udp_port *p, struct udp_flow_list *list)
{
	uint64_t now_ms = loop_now_ms(p->loop);
	struct udp_flow *f, *next;

	for (f = TAILQ_FIRST(list); f != NULL; f = next) {
		next = TAILQ_NEXT(f, link);
		if (f->used_ms + UDP_IDLE_MS <= now_ms)
			flow_end(f, "idle");
	}
}

static void
on_sweep(void *arg)
{
	struct udp_port *p = arg;

	for (int i = 0; i < UDP_OVER; i++)
		sweep(p, &p->of[i]);
	if (p->flows != NULL)
		timer_set(&p->sweep, UDP_SWEEP_MS);
}

/* ---- from sources ---- */

/* NULL: without memory, or the user does not want it. */
static struct udp_flow *
flow_new(struct udp_port *p, const struct udp_datagram *d, const struct udp_key *k)
{
	struct udp_flow *f;

	if (HASH_COUNT(p->flows) >= p->cfg.max && !udp_port_evict(p))
		return NULL;
	if ((f = mem_zalloc(sizeof *f)) == NULL)
		return NULL;
	f->port = p;
	f->key = *k;
	f->from = d->from;
	f->to = d->to;
	f->since_ms = f->used_ms = loop_now_ms(p->loop);
	HASH_ADD(hh, p->flows, key, sizeof f->key, f);
	if (hashtab_has(f)) {
		f->s = p->cfg.user->open(p->cfg.arg, f, &stream_user);
		if (f->s == NULL)
			HASH_DEL(p->flows, f);
	}
	if (f->s == NULL) {
		mem_free(f);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&p->of[UDP_NEW], f, link);
	p->n.flows++;
	if (!timer_pending(&p->sweep))
		timer_set(&p->sweep, UDP_SWEEP_MS);
	return f;
}

static void
pass_on(struct udp_flow *f, const struct udp_datagram *d)
{
	struct bufq q = { 0 };
	unsigned dropped = 0;

	f->used_ms = loop_now_ms(f->port->loop);
	f->n.up++;
	f->n.up_bytes += d->n;
	if (f->state == UDP_ANSWERED)
		set_state(f, UDP_PROVEN);
	if (d->n > FRAME_DATAGRAM_MAX || bufq_copy(&q, d->p, d->n) != 0 ||
	    stream_datagram(f->s, &q, &dropped) != 0)
		dropped++;
	f->n.dropped += dropped;
	f->port->n.dropped += dropped;
	bufq_fini(&q);
}

static void
take(struct udp_port *p, const struct udp_datagram *d)
{
	struct udp_key k = key_of(d);
	struct udp_flow *f;

	p->n.up++;
	p->n.up_bytes += d->n;
	HASH_FIND(hh, p->flows, &k, sizeof k, f);
	if (f == NULL)
		f = flow_new(p, d, &k);
	if (f == NULL)
		p->n.refused++;
	else
		pass_on(f, d);
}

static void
on_io(void *arg, int what)
{
	struct udp_turn turn = { 0 };
	struct udp_port *p = arg;
	int max;
	ssize_t n;

	(void)what;
	do {
		uint32_t missed = (uint32_t)p->n.missed;
		const struct udp_datagram *v = NULL;

		max = udp_turn_max(&turn);
		n = max > 0 ? udp_recv(p->cfg.batch, p->cfg.fd, max, &v, &missed) : 0;
		/* An error is of one that was sent before: nobody's any more. */
		for (ssize_t i = 0; i < n; i++)
			take(p, &v[i]);
		udp_turn_took(&turn, v, n);
		p->n.missed += (uint32_t)(missed - (uint32_t)p->n.missed);
	} while (n > 0 && n == max);
}

/* ---- life ---- */

struct udp_port *
udp_port_new(struct loop *l, const struct udp_port_config *cfg)
{
	struct udp_port *p = mem_zalloc(sizeof *p);

	if (p == NULL)
		return NULL;
	p->cfg = *cfg;
	p->loop = l;
	for (int i = 0; i < UDP_OVER; i++)
		TAILQ_INIT(&p->of[i]);
	if (timer_init(&p->sweep, l, on_sweep, p) == 0 &&
	    io_init(&p->io, l, cfg->fd, false, on_io, p) == 0 && io_want(&p->io, IO_READ) == 0)
		return p;
	io_fini(&p->io);
	timer_fini(&p->sweep);
	mem_free(p);
	return NULL;
}

void
udp_port_free(struct udp_port *p)
{
	struct udp_flow *f;

	if (p == NULL)
		return;
	for (int i = 0; i < UDP_OVER; i++)
		while ((f = TAILQ_FIRST(&p->of[i])) != NULL)
			flow_end(f, "the port is closed");
	io_fini(&p->io);
	timer_fini(&p->sweep);
	close(p->cfg.fd);
	mem_free(p);
}

const struct udp_port_counts *
udp_port_counts(const struct udp_port *p)
{
	return &p->n;
}

unsigned
udp_port_flows(const struct udp_port *p)
{
	return HASH_COUNT(p->flows);
}
