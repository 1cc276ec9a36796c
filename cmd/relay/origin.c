/* SPDX-License-Identifier: ISC */
/* origin - where a connection comes from. */
#include "cmd/relay/origin.h"

#include "cmd/relay/worker.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/http/xff.h"

/*
 * New connections a second from one address, unless the configuration says otherwise; loopback is
 * then free.
 */
#define CONNECTION_RATE 100
/*
 * Of these the part that may begin a login by key in each worker: several milliseconds of its time
 * each.  As many seconds of that rate may come at once.
 */
#define KEYS_PART 3
#define KEYS_BURST_S 2
/* Of --max-handshakes the part that one address may have. */
#define PLACES_PART 4

int
origin_nets(
    const char *flag, const struct opt_list *l, struct addr_net **out, size_t *n, struct errtext *e)
{
	*out = mem_must_zalloc(l->n * sizeof **out);
	for (; *n < l->n; (*n)++) {
		int rc = addr_net_parse(l->v[*n], &(*out)[*n]);

		if (rc == ERR_LIMIT)
			return err_set(e, ERR_INVALID, "%s %s: there are bits behind the network's",
			    flag, l->v[*n]);
		if (rc != 0)
			return err_set(e, ERR_INVALID,
			    "%s %s: not an address or network like 10.0.0.0/8", flag, l->v[*n]);
	}
	return 0;
}

bool
origin_is_proxy(const struct relay *r, const struct addr *a)
{
	return xff_is_trusted(a, r->proxies, r->n_proxies);
}

static uint64_t
rate_of(const struct relay_opts *o)
{
	return o->connection_rate != 0 ? o->connection_rate : CONNECTION_RATE;
}

void
origin_limits(const struct relay_opts *o, struct gate_limits *limits)
{
	limits->places = o->max_handshakes;
	limits->places_of_one = o->max_handshakes / PLACES_PART;
	if (limits->places_of_one == 0)
		limits->places_of_one = 1;
	limits->rate = rate_of(o);
}

struct tls_turns *
origin_turns(const struct relay_opts *o, struct loop *l)
{
	uint64_t rate = rate_of(o) / KEYS_PART;

	if (rate == 0)
		rate = 1;
	return tls_turns_new(l, rate, rate * KEYS_BURST_S);
}

void
origin_who(const struct relay *r, const struct addr *from, struct gate_who *who)
{
	bool proxy = origin_is_proxy(r, from), loopback = addr_is_loopback(from);

	addr_identity(from, who->key);
	who->any_places = proxy || loopback;
	who->any_rate = proxy || (loopback && r->opts.connection_rate == 0);
}

/* ---- places ---- */

/* Of both gates: either may have asked for it. */
static void
evict(void *arg)
{
	struct worker *w = arg;
	struct gate *gates[] = { w->relay->gate, w->relay->fronts };
	struct gate_owner *o;

	for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++)
		while (gates[i] != NULL && (o = gate_evicted(gates[i], w->index)) != NULL)
			o->evict(o);
}

/* Any thread. */
static bool
on_evict(void *arg, int worker)
{
	struct relay *r = arg;
	int rc = loop_post(r->workers[worker].loop, evict, NULL, &r->workers[worker]);

	if (rc != 0)
		log_warnx("worker %d is not told: out of memory", worker);
	return rc == 0;
}

struct gate *
origin_gate(struct relay *r, const struct gate_limits *limits, int n_workers)
{
	return gate_new(limits, n_workers, on_evict, r);
}
