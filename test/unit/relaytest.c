/* SPDX-License-Identifier: ISC */
/* relaytest - a relay without listeners and threads. */
#include "test/unit/relaytest.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/relay/admit.h"
#include "cmd/relay/gate.h"
#include "cmd/relay/guest.h"
#include "cmd/relay/ingress/routes.h"
#include "cmd/relay/registry.h"
#include "test/unit/memfilter.h"

enum { ENDS_MAX = 64 };

/* The test's ends of the connections. */
static struct {
	struct fake_session *of;
	struct filter *f;
} ends[ENDS_MAX];
static size_t n_ends;
static struct addr addr;

static void
must(bool ok)
{
	if (!ok)
		abort();
}

void
relaytest_init(struct relay *r, int n)
{
	*r = (struct relay){ .opts = { .max_agents = 10,
				 .max_clients = 10,
				 .max_streams = 10,
				 .max_handshakes = 10,
				 .handshake_ms = 60000,
				 .max_window = FLOW_WINDOW_MAX,
				 .keepalive_ms = 60000,
				 .identity = { 10, 100, 64 * 1024 * 1024, 1000000 } } };
	r->dialects = dialects_all;
	r->admitter = &admit_by_creds;
	relaytest_from("192.0.2.7");
	r->registry = registry_new(n);
	r->ingress.routes = routes_new();
	must(r->ingress.routes != NULL);
	must(r->registry != NULL && pthread_mutex_init(&r->creds_lock, NULL) == 0);
	r->gate = guests_gate(r, n);
	r->accounts = accounts_new(&r->opts.identity, &r->memory);
	must(r->accounts != NULL && r->gate != NULL && workers_init(r, n, NULL) == 0);
}

void
relaytest_hang_up_all(void)
{
	while (n_ends > 0)
		if (ends[--n_ends].f != NULL)
			filter_free(ends[n_ends].f);
}

void
relaytest_fini(struct relay *r)
{
	for (int i = 0; i < r->n_workers; i++)
		worker_drop_all(&r->workers[i]);
	relaytest_hang_up_all();
	workers_fini(r);
	registry_free(r->registry);
	gate_free(r->gate);
	accounts_free(r->accounts);
	routes_free(r->ingress.routes);
	creds_unref(r->creds);
	pthread_mutex_destroy(&r->creds_lock);
	buf_pool_free();
	fake_free_all();
}

void
relaytest_creds(struct relay *r, const char *json)
{
	struct creds *c = NULL;

	must(creds_parse(json, strlen(json), &c, NULL) == 0);
	creds_unref(r->creds);
	r->creds = c;
}

void
relaytest_settle(struct relay *r)
{
	/* As often as a message can wander: from any worker to any other, and back. */
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < r->n_workers; i++)
			mem_settle(r->workers[i].loop);
}

static void
on_settled(void *arg)
{
	int *n = arg;

	if (n != NULL)
		(*n)++;
}

void
relaytest_from(const char *address)
{
	must(addr_literal(address, 5022, &addr));
}

struct fake_session *
relaytest_peer(struct relay *r, int w, int *settled)
{
	char text[ADDR_TEXT];
	const struct dialect_from from = { .address = addr_text(&addr, text), .tls = "" };
	struct filter *f[2];

	must(memfilter_pair(r->workers[w].loop, f));
	must(peer_new(&r->workers[w], f[1], &dialect_fake, &from, &addr, on_settled, settled) !=
	     NULL);
	must(n_ends < ENDS_MAX);
	ends[n_ends].of = fake_last;
	ends[n_ends++].f = f[0];
	return fake_last;
}

struct fake_session *
relaytest_login(struct relay *r, int w, enum ctl_role role, const char *name)
{
	static uint8_t instance;
	struct fake_session *f = relaytest_peer(r, w, NULL);

	fake_hello(f, role, name, "", ++instance);
	relaytest_settle(r);
	return f;
}

bool
relaytest_is_ended(const struct fake_session *f)
{
	for (size_t i = 0; i < n_ends; i++)
		if (ends[i].of == f && ends[i].f != NULL)
			return ends[i].f->eof || ends[i].f->closed;
	return false;
}

void
relaytest_hang_up(struct fake_session *f)
{
	for (size_t i = 0; i < n_ends; i++)
		if (ends[i].of == f && ends[i].f != NULL) {
			filter_free(ends[i].f);
			ends[i].f = NULL;
		}
}
