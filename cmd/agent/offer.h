/* SPDX-License-Identifier: ISC */
/*
 * offer - what --tcp, --udp, --http, --tls and --allow say: which services an agent has, where they
 * are, and which of them the relay is to publish.
 *
 *     ssh=127.0.0.1:22                     private: for clients, by its name
 *     ssh=22;public=2222                   published at that port of the relay, too
 *     ssh=22;public=auto                   at any port
 *     2222=22    auto=22                   the same without a name of its own
 *     6000-6010=10.0.0.7:6000-6010         as many services as there are ports
 *     web=unix:/run/web.sock;public=8080;allow=10.0.0.0/8,192.0.2.7;max-connections=50
 *
 * The same of UDP, whose names and ports are others.  Of the web, by host name:
 *
 *     3000                                 the agent's own name, under the relay's domain
 *     shop=3000                            another label there
 *     www.acme.test=3000  *.acme.test=80   a name of one's own, and all under it
 *     random=3000;auth=/etc/users          one that nobody guesses, for those in a file
 *
 * A target is PORT, HOST:PORT, [ADDR]:PORT or unix:PATH.
 */
#ifndef CMD_AGENT_OFFER_H
#define CMD_AGENT_OFFER_H

#include "lib/conf/match.h"
#include "lib/conf/opt.h"
#include "proto/request.h"

#define OFFERS_MAX 256 /* services of one agent */
/*
 * Networks of all services together: what asks for everything at once, 50 bytes for each, stays far
 * below what a session takes (MUX_CONTROL_MAX).
 */
#define OFFERS_NETS_MAX 8192
/* Bytes of what asks for one web service, and for all: the port or host that it had comes to it. */
#define OFFER_REQUEST_MAX (CTL_BODY_MAX - 512)
#define OFFERS_WEB_MAX (256 * 1024)
#define OFFER_TARGET_MAX (HOSTPORT_TEXT_MAX + 1)

/* One service. */
struct offer {
	/* "tcp", "udp", "http", "tls" */
	char kind[8];
	/* What clients and the relay's OPENs name. */
	char name[CTL_NAME_MAX + 1];
	/* A name, an address, or "unix:PATH" with port 0. */
	char host[HOSTPORT_HOST_MAX + 1];
	uint16_t port;
	/* The relay is to publish it, at this port of its own; 0: at any. */
	bool published;
	uint16_t public;
	struct request_rules rules;
	/* http, tls: the host that is asked for, "": the agent's own label, or a random one. */
	char web_host[REQUEST_HOST_MAX + 1];
	bool random;
	/* http: the rest of what is asked for; a reference, NULL of other kinds. */
	struct request_web *web;
	/* The file of its users; NULL: none. */
	char *auth;
};

/* All of them.  Read only. */
struct offers {
	struct offer *v;
	size_t n;
	/* Of all rules. */
	size_t n_nets;
	/* Bytes of what asks for the web services. */
	size_t n_web;
	/* Targets that clients may name. */
	struct match *allow;
};

/* The options, each NULL if there are none. */
struct offer_lists {
	const struct opt_list *tcp, *udp, *http, *tls, *allow;
	/* Without an --allow all targets are allowed, not only those on loopback. */
	bool open;
};

/*
 * offers_new - from the options, and the files that these name; without an --allow targets on
 * loopback are allowed.  ERR_INVALID, ERR_SYS, ERR_NOMEM with e.  *out is NULL then; the thread may
 * be cancelled while it waits for a file, and *out is to be freed then.
 */
int offers_new(const struct offer_lists *l, struct offers **out, struct errtext *e) WARN_UNUSED;
void offers_free(struct offers *o);

/* offer_protocol - of the streams to it: "tcp", "udp".  A name is one service's of a protocol. */
const char *offer_protocol(const struct offer *f);

/* offers_find - NULL: there is no service of this name. */
const struct offer *offers_find(const struct offers *o, const char *protocol, const char *name);

/* offer_request - what the relay is asked for, but for the id and what it had; borrows from f. */
void offer_request(const struct offer *f, struct request *q);

/* offer_target - where it is, as text; returns out. */
const char *offer_target(const struct offer *f, char out[OFFER_TARGET_MAX]);

/* offer_same_rules - would the relay be asked for the same? */
bool offer_same_rules(const struct offer *a, const struct offer *b);

#endif
