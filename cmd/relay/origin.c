/* SPDX-License-Identifier: ISC */
/* origin - where a connection comes from. */
#include "cmd/relay/origin.h"

/*
 * New connections a second from one address, unless the configuration says otherwise; loopback is
 * then free.
 */
#define CONNECTION_RATE 100
/* Of --max-handshakes the part that one address may have. */
#define PLACES_PART 4

void
origin_limits(const struct relay_opts *o, struct gate_limits *limits)
{
	limits->places = o->max_handshakes;
	limits->places_of_one = o->max_handshakes / PLACES_PART;
	if (limits->places_of_one == 0)
		limits->places_of_one = 1;
	limits->rate = o->connection_rate != 0 ? o->connection_rate : CONNECTION_RATE;
}

void
origin_who(const struct relay *r, const struct addr *from, struct gate_who *who)
{
	addr_identity(from, who->key);
	who->any_places = addr_is_loopback(from);
	who->any_rate = who->any_places && r->opts.connection_rate == 0;
}
